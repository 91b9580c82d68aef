/*-------------------------------------------------------------------------
 *
 * filename.c
 *	  Names of files that exports make.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "filename.h"
#include "fmgr.h"
#include "jobs.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#define MAX_FILENAME	255

PG_FUNCTION_INFO_V1(jobs_content_disposition);

pg_noreturn static void refuse_filename(const char *why);
static void check_filename_characters(const char *filename);

static void
refuse_filename(const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("filename %s", why),
			 errhint("Give the name of a file alone, such as \"orders.csv\".")));
}

void
jobs_filename_check(const char *filename)
{
	if (filename[0] == '\0')
		refuse_filename("must not be empty");
	if (strlen(filename) > MAX_FILENAME)
		refuse_filename("must have at most 255 bytes");
	if (strcmp(filename, ".") == 0 || strcmp(filename, "..") == 0)
		refuse_filename("must not be \".\" or \"..\"");
	check_filename_characters(filename);
}

/* Control characters could fake a header, and bidirectional ones an extension. */
static void
check_filename_characters(const char *filename)
{
	const unsigned char *p = (const unsigned char *) filename;
	bool		ascii = true;

	for (; *p; p++)
	{
		if (*p == '/' || *p == '\\')
			refuse_filename("must not contain a slash or backslash");
		if (*p < ' ' || *p == 0x7f)
			refuse_filename("must not contain control characters");
		ascii &= !IS_HIGHBIT_SET(*p);
	}
	if (ascii)
		return;

	/* Bytes of no known encoding are taken for UTF-8, as most readers would. */
	p = (const unsigned char *) filename;
	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		p = (const unsigned char *) pg_server_to_any(filename, strlen(filename), PG_UTF8);
	while (*p)
	{
		int			len = pg_utf_mblen(p);
		pg_wchar	c;

		if (strnlen((const char *) p, len) < len || !pg_utf8_islegal(p, len))
			refuse_filename("must be valid UTF-8");
		c = utf8_to_unicode(p);
		if (c >= 0x80 && c <= 0x9f)
			refuse_filename("must not contain control characters");
		if (c == 0x061C || c == 0x200E || c == 0x200F ||
			(c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069))
			refuse_filename("must not contain bidirectional formatting characters");
		p += len;
	}
}

/*
 * jobs.content_disposition(filename text)
 */
Datum
jobs_content_disposition(PG_FUNCTION_ARGS)
{
	char	   *filename = text_to_cstring(PG_GETARG_TEXT_PP(0));

	/* A header must not be broken out of, whoever made up the name. */
	jobs_filename_check(filename);
	PG_RETURN_TEXT_P(cstring_to_text(jobs_disposition(filename)));
}

char *
jobs_disposition(const char *filename)
{
	/* Those that RFC 5987 lets stand as they are, besides letters and digits. */
	static const char plain[] = "!#$&+-.^_`|~";
	const char *utf8 = pg_server_to_any(filename, strlen(filename), PG_UTF8);
	StringInfoData value;
	bool		ascii = true;

	initStringInfo(&value);
	appendStringInfoString(&value, "attachment; filename=\"");
	for (const char *p = utf8; *p; p += pg_utf_mblen((const unsigned char *) p))
	{
		bool		safe = !IS_HIGHBIT_SET(*p) && *p != '"' && *p != '\\' && *p != '%';

		ascii &= safe;
		appendStringInfoChar(&value, safe ? *p : '_');
	}
	appendStringInfoChar(&value, '"');
	if (ascii)
		return value.data;

	appendStringInfoString(&value, "; filename*=UTF-8''");
	for (const unsigned char *p = (const unsigned char *) utf8; *p; p++)
	{
		if (!IS_HIGHBIT_SET(*p) && (isalnum(*p) || strchr(plain, *p)))
			appendStringInfoChar(&value, *p);
		else
			appendStringInfo(&value, "%%%02X", *p);
	}
	return value.data;
}
