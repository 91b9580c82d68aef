/*-------------------------------------------------------------------------
 *
 * dialect_options.c
 *	  Options that say how a file is written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "import/dialect_options.h"
#include "mb/pg_wchar.h"
#include "options.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

typedef void (*DialectSetter) (const char *name, const JsonbValue *value, DialectOptions *result);

static void set_delimiter(const char *name, const JsonbValue *value, DialectOptions *result);
static void set_quote(const char *name, const JsonbValue *value, DialectOptions *result);
static void set_escape(const char *name, const JsonbValue *value, DialectOptions *result);
static void set_encoding(const char *name, const JsonbValue *value, DialectOptions *result);
static void set_header(const char *name, const JsonbValue *value, DialectOptions *result);
static void set_skip_lines(const char *name, const JsonbValue *value, DialectOptions *result);
static void set_header_rows(const char *name, const JsonbValue *value, DialectOptions *result);
static void set_null(const char *name, const JsonbValue *value, DialectOptions *result);
static void set_comment(const char *name, const JsonbValue *value, DialectOptions *result);
static void set_trim(const char *name, const JsonbValue *value, DialectOptions *result);
static void set_ragged(const char *name, const JsonbValue *value, DialectOptions *result);
static void set_decimal(const char *name, const JsonbValue *value, DialectOptions *result);
static void set_date_order(const char *name, const JsonbValue *value, DialectOptions *result);
static void check_together(const DialectOptions *options);
static char *string_value(const char *name, const JsonbValue *value, const char *hint);
static char char_value(const char *name, const JsonbValue *value, bool may_be_none, const char *hint);
static bool bool_value(const char *name, const JsonbValue *value);
static int	count_value(const char *name, const JsonbValue *value, int max);
static int	encoding_by_name(const char *name);

void
jobs_dialect_check_options(Jsonb *options)
{
	DialectOptions ignored;

	jobs_dialect_read_options(options, &ignored);
}

void
jobs_dialect_read_options(Jsonb *options, DialectOptions *result)
{
	static const struct
	{
		const char *name;
		DialectSetter set;
	}			setters[] = {
		{"delimiter", set_delimiter},
		{"quote", set_quote},
		{"escape", set_escape},
		{"encoding", set_encoding},
		{"header", set_header},
		{"skip_lines", set_skip_lines},
		{"header_rows", set_header_rows},
		{"null", set_null},
		{"comment", set_comment},
		{"trim", set_trim},
		{"ragged", set_ragged},
		{"decimal", set_decimal},
		{"date_order", set_date_order},
	};

	memset(result, 0, sizeof(*result));
	result->dialect.delimiter = ',';
	result->dialect.quote = result->dialect.escape = '"';
	result->dialect.encoding = PG_UTF8;
	result->dialect.encoding_name = pg_encoding_to_char(PG_UTF8);
	result->dialect.has_header = true;
	result->dialect.header_rows = 1;
	result->dialect.null = "";
	result->dialect.decimal = '.';
	result->dialect.newline = "LF";

	if (!JB_ROOT_IS_OBJECT(options))
		jobs_refuse_option(errmsg("options must be a JSON object"),
						   errhint("For example '{\"%s\": \";\"}'.", setters[0].name));
	for (int i = 0; i < lengthof(setters); i++)
	{
		JsonbValue *value = jobs_dialect_key(options, setters[i].name);

		if (value != NULL)
			setters[i].set(setters[i].name, value, result);
	}
	check_together(result);
}

JsonbValue *
jobs_dialect_key(Jsonb *object, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&object->root, name, strlen(name), NULL);

	return value == NULL || value->type == jbvNull ? NULL : value;
}

/* ------------------------------------------------------------------------
 * One option
 * ------------------------------------------------------------------------ */

static void
set_delimiter(const char *name, const JsonbValue *value, DialectOptions *result)
{
	static const char *const hint = "Use a character such as \",\", \";\", \"|\", or \"\\t\" for a tab.";
	char	   *string = string_value(name, value, hint);

	/* A backslash and a t, where a shell or a program has kept them apart. */
	if (strcmp(string, "\\t") == 0 || pg_strcasecmp(string, "tab") == 0)
		result->dialect.delimiter = '\t';
	else
		result->dialect.delimiter = char_value(name, value, false, hint);
	result->said.delimiter = true;
}

static void
set_quote(const char *name, const JsonbValue *value, DialectOptions *result)
{
	result->dialect.quote = char_value(name, value, true, "Use a character such as \"'\", or \"\" for a file without quotes.");
	result->said.quote = true;
	if (!result->said.escape)
		result->dialect.escape = result->dialect.quote;
}

static void
set_escape(const char *name, const JsonbValue *value, DialectOptions *result)
{
	result->dialect.escape = char_value(name, value, false,
										"Use the quote itself where it is doubled, or \"\\\\\" for a backslash.");
	result->said.escape = true;
}

static void
set_encoding(const char *name, const JsonbValue *value, DialectOptions *result)
{
	static const char *const hint = "Use a name such as UTF8, UTF-16, WIN1252 or LATIN1.";
	char	   *string = string_value(name, value, hint);
	static const char *const utf16[] = {"UTF16", "UTF-16", "UTF16LE", "UTF-16LE", "UTF16BE", "UTF-16BE"};
	int			encoding;

	result->said_encoding = true;
	for (int i = 0; i < lengthof(utf16); i++)
	{
		if (pg_strcasecmp(string, utf16[i]) == 0)
		{
			result->dialect.encoding = PG_UTF8;
			result->dialect.encoding_name = i < 2 ? "UTF-16" : i < 4 ? "UTF-16LE" : "UTF-16BE";
			return;
		}
	}
	encoding = encoding_by_name(string);
	if (encoding < 0)
		jobs_refuse_option(errmsg("encoding \"%s\" not recognized", string), errhint("%s", hint));
	if (encoding != GetDatabaseEncoding() && encoding != PG_SQL_ASCII && GetDatabaseEncoding() != PG_SQL_ASCII &&
		!OidIsValid(FindDefaultConversionProc(encoding, GetDatabaseEncoding())))
		jobs_refuse_option(errmsg("encoding \"%s\" cannot be converted to the database's, %s",
								  string, GetDatabaseEncodingName()),
						   errhint("Convert the file to UTF-8 first."));
	result->dialect.encoding = encoding;
	result->dialect.encoding_name = pg_encoding_to_char(encoding);
}

/* PostgreSQL's names, and cp1252 and the like. */
static int
encoding_by_name(const char *name)
{
	if (pg_strncasecmp(name, "cp", 2) == 0 || pg_strncasecmp(name, "ansi", 4) == 0)
	{
		const char *digits = name + strcspn(name, "0123456789");

		return *digits == '\0' ? PG_WIN1252 : pg_char_to_encoding(psprintf("WIN%s", digits));
	}
	if (pg_strcasecmp(name, "ascii") == 0 || pg_strcasecmp(name, "us-ascii") == 0)
		return PG_UTF8;
	return pg_char_to_encoding(name);
}

static void
set_header(const char *name, const JsonbValue *value, DialectOptions *result)
{
	result->dialect.has_header = bool_value(name, value);
	result->dialect.header_rows = result->dialect.has_header ? 1 : 0;
	result->said.header = true;
}

static void
set_skip_lines(const char *name, const JsonbValue *value, DialectOptions *result)
{
	result->dialect.skip_lines = count_value(name, value, 1000000);
	result->said.skip_lines = true;
}

static void
set_header_rows(const char *name, const JsonbValue *value, DialectOptions *result)
{
	int			rows = count_value(name, value, 100);

	if (result->said.header && result->dialect.has_header != (rows > 0))
		jobs_refuse_option(errmsg("options \"header\" and \"header_rows\" contradict each other"),
						   errhint("Say only how many header_rows there are; 0 is a file without a header."));
	result->dialect.header_rows = rows;
	result->dialect.has_header = rows > 0;
	result->said.header = result->said.header_rows = true;
}

static void
set_null(const char *name, const JsonbValue *value, DialectOptions *result)
{
	char	   *string = string_value(name, value, "Use the text that stands for a null, such as \"\" or \"\\\\N\".");

	if (strpbrk(string, "\r\n") != NULL)
		jobs_refuse_option(errmsg("option \"%s\" cannot contain a newline", name),
						   errhint("Use the text that stands for a null, such as \"\" or \"\\\\N\"."));
	result->dialect.null = string;
	result->said.null = true;
}

static void
set_comment(const char *name, const JsonbValue *value, DialectOptions *result)
{
	result->dialect.comment = char_value(name, value, true, "Use the character that comments begin with, such as \"#\", or \"\" for none.");
	result->said.comment = true;
}

static void
set_trim(const char *name, const JsonbValue *value, DialectOptions *result)
{
	result->dialect.trim = bool_value(name, value);
	result->said.trim = true;
}

static void
set_ragged(const char *name, const JsonbValue *value, DialectOptions *result)
{
	static const char *const hint = "Use \"reject\", or \"pad\" to read missing fields as null.";
	char	   *string = string_value(name, value, hint);

	if (strcmp(string, "reject") != 0 && strcmp(string, "pad") != 0)
		jobs_refuse_option(errmsg("option \"%s\" has no value \"%s\"", name, string), errhint("%s", hint));
	result->dialect.pad = string[0] == 'p';
}

static void
set_decimal(const char *name, const JsonbValue *value, DialectOptions *result)
{
	static const char *const hint = "Use \".\" or \",\".";
	char	   *string = string_value(name, value, hint);

	if (strcmp(string, ".") != 0 && strcmp(string, ",") != 0)
		jobs_refuse_option(errmsg("option \"%s\" has no value \"%s\"", name, string), errhint("%s", hint));
	result->dialect.decimal = string[0];
	result->said.decimal = true;
}

static void
set_date_order(const char *name, const JsonbValue *value, DialectOptions *result)
{
	static const char *const orders[] = {"YMD", "DMY", "MDY"};
	static const char *const hint = "Use \"DMY\", \"MDY\" or \"YMD\".";
	char	   *string = string_value(name, value, hint);

	for (int i = 0; i < lengthof(orders); i++)
	{
		if (pg_strcasecmp(string, orders[i]) == 0)
		{
			result->dialect.date_order = orders[i];
			result->said.date_order = true;
			return;
		}
	}
	jobs_refuse_option(errmsg("option \"%s\" has no value \"%s\"", name, string), errhint("%s", hint));
}

/* One character can have one meaning only. */
static void
check_together(const DialectOptions *options)
{
	const Dialect *d = &options->dialect;

	if (options->said.delimiter && d->delimiter == d->quote && options->said.quote)
		jobs_refuse_option(errmsg("delimiter and quote must be different"),
						   errhint("Say only the one that you know; the other is found by looking at the file."));
	if (options->said.delimiter && !options->said.quote && d->delimiter == '"')
		jobs_refuse_option(errmsg("a delimiter of \" needs another quote"),
						   errhint("Say which one in \"quote\", or \"\" for a file without quotes."));
	if (d->comment != '\0' && ((options->said.delimiter && d->comment == d->delimiter) || d->comment == d->quote))
		jobs_refuse_option(errmsg("comment must be different from delimiter and quote"),
						   errhint("Lines that begin with it are passed over."));
	if (options->said.escape && options->said.delimiter && d->escape == d->delimiter)
		jobs_refuse_option(errmsg("delimiter and escape must be different"),
						   errhint("Leave out escape where quotes are doubled."));
}

/* ------------------------------------------------------------------------
 * Values
 * ------------------------------------------------------------------------ */

static char *
string_value(const char *name, const JsonbValue *value, const char *hint)
{
	if (value->type != jbvString)
		jobs_refuse_option(errmsg("option \"%s\" must be a string", name), errhint("%s", hint));
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* '\0' for an empty string, where it may be none. */
static char
char_value(const char *name, const JsonbValue *value, bool may_be_none, const char *hint)
{
	char	   *string = string_value(name, value, hint);

	if (string[0] == '\0' && may_be_none)
		return '\0';
	if (string[0] == '\0' || string[1] != '\0' || IS_HIGHBIT_SET(string[0]))
		jobs_refuse_option(errmsg("option \"%s\" must be a single one-byte character", name), errhint("%s", hint));
	if (string[0] == '\n' || string[0] == '\r')
		jobs_refuse_option(errmsg("option \"%s\" cannot be a newline", name), errhint("%s", hint));
	return string[0];
}

static bool
bool_value(const char *name, const JsonbValue *value)
{
	if (value->type != jbvBool)
		jobs_refuse_option(errmsg("option \"%s\" must be true or false", name),
						   errhint("Without quotes: {\"%s\": true}.", name));
	return value->val.boolean;
}

static int
count_value(const char *name, const JsonbValue *value, int max)
{
	if (value->type == jbvNumeric)
	{
		bool		failed;
		int			count = numeric_int4_opt_error(value->val.numeric, &failed);

		if (!failed && count >= 0 && count <= max &&
			DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(value->val.numeric), NumericGetDatum(int64_to_numeric(count)))))
			return count;
	}
	jobs_refuse_option(errmsg("option \"%s\" must be a number from 0 to %d", name, max),
					   errhint("Without quotes: {\"%s\": 1}.", name));
}
