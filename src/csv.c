/*-------------------------------------------------------------------------
 *
 * csv.c
 *	  CSV the way COPY (query) TO writes it.
 *
 * The bytes are the same as COPY's in every supported version, which all write
 * alike.  It is faster because the types that most columns have need no call
 * of their output function, and because whether a byte needs quotes is one look
 * into a table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include <stddef.h>

#include "catalog/namespace.h"
#include "fmgr.h"
#include "format.h"
#include "mb/pg_wchar.h"
#include "options.h"
#include "outbuf.h"
#include "scalar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* What a byte asks for. */
#define NEEDS_QUOTE		1		/* the field must stand in quotes */
#define NEEDS_ESCAPE	2		/* the byte must be escaped within quotes */

typedef struct CsvOptions
{
	JobsFormatOptions common;
	char		delimiter;
	char		quote;
	char		escape;
	char	   *null;			/* what stands for NULL */
	bool		header;
	JobsColumnNames force_quote;
	int			encoding;		/* the database's unless given */
	bool		bom;
	bool		crlf;
	bool		escape_formulas;
} CsvOptions;

typedef struct Column
{
	JobsScalar	scalar;
	bool		plain;			/* whatever the value, it needs no quotes */
	bool		force_quote;
	bool		is_text;		/* a spreadsheet may take it for a formula */
	FmgrInfo	output;
} Column;

typedef struct Csv
{
	CsvOptions	options;
	bool		single;			/* only one column */
	bool		transcode;
	bool		embeds_ascii;	/* a character's later bytes may look like ASCII */
	Size		null_len;		/* of options.null, for comparison */
	const char *null_out;		/* in the file's encoding */
	Size		null_out_len;
	const char *eol;
	Size		eol_len;
	MemoryContext row_context;
	int			ncolumns;
	Column	   *columns;
	uint8		needs[256];		/* NEEDS_* of each byte */
	JobsOutbuf	out;
} Csv;

static JobsFormatOptions *csv_options(Jsonb *options);
static void check_options(const CsvOptions *result);
static void check_encoding(const CsvOptions *result);
static int	find_column(TupleDesc desc, const char *name);
static void fill_table(Csv *csv);
static void prepare_columns(Csv *csv, const CsvOptions *options, TupleDesc desc);
static bool is_plain(const Csv *csv, const Column *column);
static void put_header(Csv *csv, TupleDesc desc);
static void put_value(Csv *csv, Column *column, Datum value);
static void put_field(Csv *csv, const char *s, Size len, const Column *column);
static bool is_formula(const char *s, Size len);
static const char *as_text(Csv *csv, const char *s, Size *len);
static const char *convert(Csv *csv, const char *s, Size *len);
static bool must_quote(const Csv *csv, const char *s, Size len);
static void put_quoted(Csv *csv, const char *s, Size len);

/* ------------------------------------------------------------------------
 * Options
 * ------------------------------------------------------------------------
 */

#define FIELD(f)	offsetof(CsvOptions, f)

static const JobsOption known_options[] = {
	{"bom", jobs_set_bool, FIELD(bom)},
	{"compression", jobs_set_compression, FIELD(common.gzip)},
	{"crlf", jobs_set_bool, FIELD(crlf)},
	{"delimiter", jobs_set_char, FIELD(delimiter)},
	{"encoding", jobs_set_encoding, FIELD(encoding)},
	{"escape", jobs_set_char, FIELD(escape)},
	{"escape_formulas", jobs_set_bool, FIELD(escape_formulas)},
	{"force_quote", jobs_set_columns, FIELD(force_quote)},
	{"header", jobs_set_bool, FIELD(header)},
	{"null", jobs_set_string, FIELD(null)},
	{"quote", jobs_set_char, FIELD(quote)}
};

static JobsFormatOptions *
csv_options(Jsonb *options)
{
	CsvOptions *result = palloc0(sizeof(CsvOptions));

	result->delimiter = ',';
	result->quote = '"';
	result->null = "";
	result->header = true;
	result->encoding = GetDatabaseEncoding();
	jobs_read_options(options, known_options, lengthof(known_options), "CSV", result);
	if (result->escape == '\0')
		result->escape = result->quote;
	check_options(result);
	return &result->common;
}

/* Values that do not go together; the words are COPY's where it has some. */
static void
check_options(const CsvOptions *result)
{
	const char *problem = NULL;

	if (result->delimiter == '\n' || result->delimiter == '\r')
		problem = "delimiter cannot be newline or carriage return";
	else if (strpbrk(result->null, "\r\n"))
		problem = "null representation cannot use newline or carriage return";
	else if (result->delimiter == result->quote)
		problem = "delimiter and quote must be different";
	else if (strchr(result->null, result->delimiter))
		problem = "delimiter must not appear in the null representation";
	else if (strchr(result->null, result->quote))
		problem = "quote must not appear in the null representation";
	if (problem)
		jobs_refuse_option(errmsg("%s", problem),
						   errhint("The rules are those of COPY with FORMAT csv."));
	check_encoding(result);
}

static void
check_encoding(const CsvOptions *result)
{
	int			server = GetDatabaseEncoding();

	if (result->bom && result->encoding != PG_UTF8)
		jobs_refuse_option(errmsg("a byte order mark needs the encoding UTF8, not %s",
					  pg_encoding_to_char(result->encoding)),
						   errhint("Set encoding to UTF8, or leave out bom."));
	if (result->encoding != server && result->encoding != PG_SQL_ASCII && server != PG_SQL_ASCII &&
		!OidIsValid(FindDefaultConversionProc(server, result->encoding)))
		jobs_refuse_option(errmsg("this database's text cannot be converted from %s to %s",
					  GetDatabaseEncodingName(), pg_encoding_to_char(result->encoding)),
						   errhint("Leave out encoding to write %s.", GetDatabaseEncodingName()));
}

static void
csv_check_columns(const JobsFormatOptions *common, TupleDesc desc)
{
	const CsvOptions *options = (const CsvOptions *) common;
	Bitmapset  *seen = NULL;
	ListCell   *cell;

	foreach(cell, options->force_quote.names)
	{
		const char *name = lfirst(cell);
		int			i = find_column(desc, name);

		if (i < 0)
			jobs_refuse_option(errmsg("force_quote column \"%s\" does not exist", name),
							   errhint("Name a column of the query's result."));
		if (bms_is_member(i, seen))
			jobs_refuse_option(errmsg("force_quote column \"%s\" specified more than once", name));
		seen = bms_add_member(seen, i);
	}
}

/* The first column of a name, as in COPY, or -1. */
static int
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return i;
	}
	return -1;
}

/* ------------------------------------------------------------------------
 * The file
 * ------------------------------------------------------------------------
 */

/* A part of a file, without the header that stands before all parts, has no file. */
static void *
csv_begin(const JobsFormatOptions *common, TupleDesc desc, const JobsFormatFile *file,
		  JobsSink sink, void *arg)
{
	const CsvOptions *options = (const CsvOptions *) common;
	Csv		   *csv = palloc(sizeof(Csv));

	memset(csv, 0, offsetof(Csv, out.data));
	csv->out.sink = sink;
	csv->out.arg = arg;
	csv->options = *options;
	csv->single = desc->natts == 1;
	csv->transcode = options->encoding != GetDatabaseEncoding() && options->encoding != PG_SQL_ASCII;
	csv->embeds_ascii = PG_ENCODING_IS_CLIENT_ONLY(options->encoding);
	csv->null_len = strlen(options->null);
	csv->null_out_len = csv->null_len;
	csv->null_out = convert(csv, csv->options.null, &csv->null_out_len);
	csv->eol = options->crlf ? "\r\n" : "\n";
	csv->eol_len = strlen(csv->eol);
	csv->row_context = AllocSetContextCreate(CurrentMemoryContext, "jobs csv row",
											 ALLOCSET_DEFAULT_SIZES);
	fill_table(csv);
	prepare_columns(csv, options, desc);
	if (file && options->bom)
		jobs_outbuf_put(&csv->out, "\xEF\xBB\xBF", 3);
	if (file && options->header)
		put_header(csv, desc);
	return csv;
}

static void
fill_table(Csv *csv)
{
	csv->needs['\n'] |= NEEDS_QUOTE;
	csv->needs['\r'] |= NEEDS_QUOTE;
	csv->needs[(unsigned char) csv->options.delimiter] |= NEEDS_QUOTE;
	csv->needs[(unsigned char) csv->options.quote] |= NEEDS_QUOTE | NEEDS_ESCAPE;
	csv->needs[(unsigned char) csv->options.escape] |= NEEDS_ESCAPE;
}

static void
prepare_columns(Csv *csv, const CsvOptions *options, TupleDesc desc)
{
	ListCell   *cell;

	csv->ncolumns = desc->natts;
	csv->columns = palloc0(desc->natts * sizeof(Column));
	foreach(cell, options->force_quote.names)
	{
		int			i = find_column(desc, lfirst(cell));

		if (i >= 0)
			csv->columns[i].force_quote = true;
	}
	for (int i = 0; i < desc->natts; i++)
	{
		Column	   *column = &csv->columns[i];
		Oid			function;
		bool		varlena;

		if (options->force_quote.all)
			column->force_quote = true;
		getTypeOutputInfo(TupleDescAttr(desc, i)->atttypid, &function, &varlena);
		fmgr_info(function, &column->output);
		column->scalar = jobs_scalar_of(column->output.fn_addr);
		column->is_text = column->scalar < SCALAR_BOOL;
		column->plain = is_plain(csv, column);
	}
}

/* Whether the values of a type can be written as they are, whatever they are. */
static bool
is_plain(const Csv *csv, const Column *column)
{
	if (column->is_text || column->force_quote || csv->null_len > 0 || csv->embeds_ascii)
		return false;
	/* "-infinity" is no number to a spreadsheet. */
	if (csv->options.escape_formulas && column->scalar >= SCALAR_FLOAT4 && column->scalar != SCALAR_UUID)
		return false;
	for (const char *p = JOBS_SCALAR_ALPHABET; *p; p++)
	{
		if (csv->needs[(unsigned char) *p] & NEEDS_QUOTE)
			return false;
	}
	return true;
}

static void
put_header(Csv *csv, TupleDesc desc)
{
	static const Column heading = {.is_text = true};
	MemoryContext old = MemoryContextSwitchTo(csv->row_context);

	for (int i = 0; i < desc->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(desc, i)->attname);

		if (i > 0)
			jobs_outbuf_char(&csv->out, csv->options.delimiter);
		put_field(csv, name, strlen(name), &heading);
	}
	jobs_outbuf_put(&csv->out, csv->eol, csv->eol_len);
	MemoryContextSwitchTo(old);
	MemoryContextReset(csv->row_context);
}

static void
csv_row(void *state, TupleTableSlot *slot)
{
	Csv		   *csv = state;
	MemoryContext old;

	slot_getallattrs(slot);
	old = MemoryContextSwitchTo(csv->row_context);
	for (int i = 0; i < csv->ncolumns; i++)
	{
		if (i > 0)
			jobs_outbuf_char(&csv->out, csv->options.delimiter);
		if (slot->tts_isnull[i])
			jobs_outbuf_put(&csv->out, csv->null_out, csv->null_out_len);
		else
			put_value(csv, &csv->columns[i], slot->tts_values[i]);
	}
	jobs_outbuf_put(&csv->out, csv->eol, csv->eol_len);
	MemoryContextSwitchTo(old);
	MemoryContextReset(csv->row_context);
}

static void
csv_end(void *state)
{
	Csv		   *csv = state;

	jobs_outbuf_flush(&csv->out);
	MemoryContextDelete(csv->row_context);
}

static void
csv_flush(void *state)
{
	jobs_outbuf_flush(&((Csv *) state)->out);
}

static Size
csv_pending(const void *state)
{
	return ((const Csv *) state)->out.used;
}

/* For example "text/csv; charset=utf-8". */
static char *
csv_media_type(const JobsFormatOptions *common)
{
	int			encoding = ((const CsvOptions *) common)->encoding;
	const char *charset;
	char	   *type;

	switch (encoding)
	{
		case PG_SJIS:
			charset = "Shift_JIS";
			break;
		case PG_BIG5:
			charset = "Big5";
			break;
		case PG_GBK:
			charset = "GBK";
			break;
		case PG_GB18030:
			charset = "GB18030";
			break;
		default:
			charset = get_encoding_name_for_icu(encoding);
			break;
	}
	/* Some encodings have no name on the web. */
	if (charset == NULL)
		return pstrdup("text/csv");
	/* The same by its registered name. */
	if (strncmp(charset, "CP125", 5) == 0 || strcmp(charset, "CP874") == 0)
		charset = psprintf("windows-%s", charset + 2);
	type = psprintf("text/csv; charset=%s", charset);
	for (char *p = type; *p; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	return type;
}

const JobsFormat jobs_csv_format = {
	.name = "csv",
	.lines = true,
	.options = csv_options,
	.check_columns = csv_check_columns,
	.media_type = csv_media_type,
	.begin = csv_begin,
	.row = csv_row,
	.flush = csv_flush,
	.end = csv_end,
	.pending = csv_pending
};

/* ------------------------------------------------------------------------
 * Fields
 * ------------------------------------------------------------------------
 */

static void
put_value(Csv *csv, Column *column, Datum value)
{
	const char *s;
	Size		len;
	int			n;

	if (column->scalar >= SCALAR_BOOL)
	{
		char	   *room = jobs_outbuf_room(&csv->out, JOBS_SCALAR_MAX);

		if (column->plain && (n = jobs_scalar_put(column->scalar, value, room)) >= 0)
		{
			csv->out.used += n;
			return;
		}
		if (!column->plain)
		{
			char		buffer[JOBS_SCALAR_MAX];

			n = jobs_scalar_put(column->scalar, value, buffer);
			if (n >= 0)
			{
				put_field(csv, buffer, n, column);
				return;
			}
		}
	}
	if (column->scalar == SCALAR_TEXT)
	{
		struct varlena *text = PG_DETOAST_DATUM_PACKED(value);

		s = VARDATA_ANY(text);
		len = VARSIZE_ANY_EXHDR(text);
	}
	else
	{
		s = OutputFunctionCall(&column->output, value);
		len = strlen(s);
	}

	put_field(csv, s, len, column);
	/* Several large fields in a row need not be in memory together. */
	if (len >= JOBS_OUTBUF_SIZE)
		MemoryContextReset(csv->row_context);
}

static void
put_field(Csv *csv, const char *s, Size len, const Column *column)
{
	bool		quote = column->force_quote;

	if (csv->options.escape_formulas &&
		(column->is_text || (len > 1 && s[0] == '-' && isalpha((unsigned char) s[1]))))
		s = as_text(csv, s, &len);
	/* COPY compares before the conversion, too. */
	if (len == csv->null_len && memcmp(s, csv->options.null, len) == 0)
		quote = true;
	if (csv->transcode)
		s = convert(csv, s, &len);
	if (quote || must_quote(csv, s, len))
		put_quoted(csv, s, len);
	else
		jobs_outbuf_put(&csv->out, s, len);
}

/*
 * Whether a spreadsheet takes it for a formula: by OWASP's list, with the signs
 * of full width that some take for the others.
 */
static bool
is_formula(const char *s, Size len)
{
	static const char *const wide[] = {"\357\274\235", "\357\274\213", "\357\274\215", "\357\274\240"};

	if (len == 0)
		return false;
	if (memchr("=+-@\t\r\n", s[0], 7) != NULL)
		return true;
	if (len < 3 || (unsigned char) s[0] != 0xEF || GetDatabaseEncoding() != PG_UTF8)
		return false;
	for (int i = 0; i < lengthof(wide); i++)
	{
		if (memcmp(s, wide[i], 3) == 0)
			return true;
	}
	return false;
}

static const char *
as_text(Csv *csv, const char *s, Size *len)
{
	char	   *copy;

	if (!is_formula(s, *len))
		return s;
	copy = MemoryContextAllocExtended(csv->row_context, *len + 1, MCXT_ALLOC_HUGE);
	copy[0] = '\'';
	memcpy(copy + 1, s, *len);
	(*len)++;
	return copy;
}

/*
 * Converts to the file's encoding.  ASCII is the same in all of them, and to
 * know that is much cheaper than to look for the conversion.
 */
static const char *
convert(Csv *csv, const char *s, Size *len)
{
	const char *end = s + *len;
	char	   *converted;

	if (!csv->transcode)
		return s;
	for (const char *p = s; p < end; p++)
	{
		if (IS_HIGHBIT_SET(*p))
		{
			converted = pg_server_to_any(s, *len, csv->options.encoding);
			if (converted != s)
				*len = strlen(converted);
			return converted;
		}
	}
	return s;
}

static bool
must_quote(const Csv *csv, const char *s, Size len)
{
	const unsigned char *p = (const unsigned char *) s;
	const unsigned char *end = p + len;
	const uint8 *needs = csv->needs;

	/* Alone on its line it would end the data for a reader before 18. */
	if (csv->single && len == 2 && s[0] == '\\' && s[1] == '.')
		return true;
	if (csv->embeds_ascii)
	{
		for (; p < end; p += IS_HIGHBIT_SET(*p) ? pg_encoding_mblen(csv->options.encoding, (const char *) p) : 1)
		{
			if (needs[*p] & NEEDS_QUOTE)
				return true;
		}
		return false;
	}
	for (; end - p >= 8; p += 8)
	{
		if ((needs[p[0]] | needs[p[1]] | needs[p[2]] | needs[p[3]] |
			 needs[p[4]] | needs[p[5]] | needs[p[6]] | needs[p[7]]) & NEEDS_QUOTE)
			return true;
	}
	for (; p < end; p++)
	{
		if (needs[*p] & NEEDS_QUOTE)
			return true;
	}
	return false;
}

static void
put_quoted(Csv *csv, const char *s, Size len)
{
	const char *end = s + len;
	const char *start = s;		/* of what is not written yet */

	jobs_outbuf_char(&csv->out, csv->options.quote);
	while (s < end)
	{
		if (csv->needs[(unsigned char) *s] & NEEDS_ESCAPE)
		{
			jobs_outbuf_put(&csv->out, start, s - start);
			jobs_outbuf_char(&csv->out, csv->options.escape);
			start = s;
		}
		if (csv->embeds_ascii && IS_HIGHBIT_SET(*s))
			s += pg_encoding_mblen(csv->options.encoding, s);
		else
			s++;
	}
	jobs_outbuf_put(&csv->out, start, end - start);
	jobs_outbuf_char(&csv->out, csv->options.quote);
}
