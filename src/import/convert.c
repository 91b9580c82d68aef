/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  From a file's encoding to the database's.
 *
 * Encodings with one byte a character become a table, and UTF-16 becomes UTF-8, both
 * in the thread.  For all others the server's functions are called, before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "import/convert.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#define MAX_CHAR		8		/* bytes of a character, in any encoding */

struct Converter
{
	Oid			proc;			/* InvalidOid: only UTF-16 is decoded */
	int			encoding;
	bool		begun;
	Decoder		decoder;		/* of UTF-16, in front of that */
	StringInfoData in;
	StringInfoData out;
};

static DecodeKind utf16_kind(const char *name);
static Oid	conversion_proc(int encoding);

static DecodeKind
utf16_kind(const char *name)
{
	if (name && pg_strcasecmp(name, "UTF-16LE") == 0)
		return DECODE_UTF16LE;
	if (name && pg_strcasecmp(name, "UTF-16BE") == 0)
		return DECODE_UTF16BE;
	return DECODE_NONE;
}

Conversion
jobs_conversion(const char *name, int encoding, DecodeTable *table)
{
	Conversion	conversion = {.decode = utf16_kind(name),.encoding = encoding};
	int			ours = GetDatabaseEncoding();

	if (conversion.decode != DECODE_NONE)
		encoding = conversion.encoding = PG_UTF8;
	if (encoding == ours || ours == PG_SQL_ASCII || encoding == PG_SQL_ASCII)
		return conversion;
	(void) conversion_proc(encoding);
	if (conversion.decode == DECODE_NONE && pg_encoding_max_length(encoding) == 1)
	{
		conversion.decode = DECODE_TABLE;
		jobs_conversion_table(encoding, table);
	}
	else
	{
		conversion.decode = DECODE_NONE;
		conversion.server = true;
	}
	return conversion;
}

static Oid
conversion_proc(int encoding)
{
	Oid			proc = FindDefaultConversionProc(encoding, GetDatabaseEncoding());

	if (!OidIsValid(proc))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("files in %s cannot be converted to the encoding of this database, %s",
						pg_encoding_to_char(encoding), GetDatabaseEncodingName()),
				 errhint("Convert the file, with iconv for instance, and upload it again.")));
	return proc;
}

void
jobs_conversion_table(int encoding, DecodeTable *table)
{
	Oid			proc = conversion_proc(encoding);

	for (int c = 0; c < 256; c++)
	{
		unsigned char in[2] = {(unsigned char) c, '\0'};
		unsigned char out[MAX_CONVERSION_GROWTH + 1] = {0};
		int			len = 1;

		/* What cannot be converted stays a NUL. */
		if (!IS_HIGHBIT_SET(c))
			out[0] = (unsigned char) c;
		else if (pg_do_encoding_conversion_buf(proc, encoding, GetDatabaseEncoding(), in, 1,
											   out, sizeof(out), true) == 1)
			len = strlen((char *) out);
		else
			out[0] = '\0';
		if (len < 1 || len > DECODE_MAX)
			elog(ERROR, "unexpected length %d of a converted character", len);
		table->length[c] = len;
		memcpy(table->bytes[c], out, DECODE_MAX);
	}
}

Converter *
jobs_converter_begin(const char *name, int encoding)
{
	Converter  *converter = palloc0(sizeof(Converter));

	decode_begin(&converter->decoder, utf16_kind(name), NULL);
	converter->encoding = converter->decoder.kind == DECODE_NONE ? encoding : PG_UTF8;
	converter->proc = conversion_proc(converter->encoding);
	initStringInfo(&converter->in);
	initStringInfo(&converter->out);
	return converter;
}

size_t
jobs_converter_run(Converter *converter, const char *bytes, size_t len, bool at_end, const char **result)
{
	StringInfo	in = &converter->in;
	StringInfo	out = &converter->out;
	int			done = 0;

	enlargeStringInfo(in, (len + 1) * DECODE_MAX);
	in->len += decode_some(&converter->decoder, bytes, len, in->data + in->len);
	if (at_end)
		in->len += decode_rest(&converter->decoder, in->data + in->len);
	if (!converter->begun && converter->encoding == PG_UTF8 && in->len >= 3 &&
		memcmp(in->data, "\xef\xbb\xbf", 3) == 0)
		done = 3;
	converter->begun |= in->len > 0;
	resetStringInfo(out);
	while (done < in->len)
	{
		int			rest = in->len - done;

		/* A NUL ends what is converted, and is what we write for what cannot be. */
		enlargeStringInfo(out, rest * MAX_CONVERSION_GROWTH + 1);
		done += pg_do_encoding_conversion_buf(converter->proc, converter->encoding, GetDatabaseEncoding(),
											  (unsigned char *) in->data + done, rest,
											  (unsigned char *) out->data + out->len,
											  rest * MAX_CONVERSION_GROWTH + 1, true);
		out->len += strlen(out->data + out->len);
		rest = in->len - done;
		if (rest == 0 || (rest < MAX_CHAR && !at_end && in->data[done] != '\0'))
			break;
		appendStringInfoChar(out, '\0');
		done++;
	}
	memmove(in->data, in->data + done, in->len - done);
	in->len -= done;
	*result = out->data;
	return out->len;
}
