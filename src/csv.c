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

#include <stddef.h>

#include "catalog/namespace.h"
#include "csv.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define BUFFER_SIZE		(64 * 1024)

/* The longest number is that of an int8, with sign and NUL. */
#define MAX_NUMBER		21

/* What a byte asks for. */
#define NEEDS_QUOTE		1		/* the field must stand in quotes */
#define NEEDS_ESCAPE	2		/* the byte must be escaped within quotes */

typedef enum ColumnKind
{
	COLUMN_ANY,
	COLUMN_TEXT,				/* the value's bytes are its output */
	COLUMN_INT2,
	COLUMN_INT4,
	COLUMN_INT8
} ColumnKind;

typedef struct Column
{
	ColumnKind	kind;
	bool		force_quote;
	FmgrInfo	output;
} Column;

struct JobsCsv
{
	JobsCsvSink sink;
	void	   *arg;
	JobsCsvOptions options;
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
	Size		used;
	char		buffer[BUFFER_SIZE];
};

/* Wrong options all have this code. */
#define refuse(...) \
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), __VA_ARGS__))

typedef void (*OptionSetter) (const char *name, const JsonbValue *value, void *field);

static void set_option(JobsCsvOptions *result, const char *name, const JsonbValue *value);
static char *option_names(void);
static void check_options(const JobsCsvOptions *result);
static void check_encoding(const JobsCsvOptions *result);
static int	find_column(TupleDesc desc, const char *name);
static void fill_table(JobsCsv *csv);
static void prepare_columns(JobsCsv *csv, const JobsCsvOptions *options, TupleDesc desc);
static ColumnKind kind_of(JobsCsv *csv, const Column *column);
static bool numbers_are_plain(const JobsCsv *csv);
static void put_header(JobsCsv *csv, TupleDesc desc);
static void put_value(JobsCsv *csv, Column *column, Datum value);
static void put_field(JobsCsv *csv, const char *s, Size len, bool quote);
static const char *as_text(JobsCsv *csv, const char *s, Size *len);
static const char *convert(JobsCsv *csv, const char *s, Size *len);
static bool must_quote(const JobsCsv *csv, const char *s, Size len);
static void put_quoted(JobsCsv *csv, const char *s, Size len);

/* ------------------------------------------------------------------------
 * Options
 * ------------------------------------------------------------------------
 */

static char *
string_option(const char *name, const JsonbValue *value)
{
	if (value->type != jbvString)
		refuse(errmsg("option \"%s\" must be a string", name));
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static void
set_bool(const char *name, const JsonbValue *value, void *field)
{
	if (value->type != jbvBool)
		refuse(errmsg("option \"%s\" must be true or false", name));
	*(bool *) field = value->val.boolean;
}

static void
set_char(const char *name, const JsonbValue *value, void *field)
{
	char	   *string = string_option(name, value);

	if (strlen(string) != 1)
		refuse(errmsg("%s must be a single one-byte character", name));
	*(char *) field = string[0];
}

static void
set_null(const char *name, const JsonbValue *value, void *field)
{
	*(char **) field = string_option(name, value);
}

static void
set_encoding(const char *name, const JsonbValue *value, void *field)
{
	int			encoding = pg_char_to_encoding(string_option(name, value));

	if (encoding < 0)
		refuse(errmsg("option \"%s\" must be a valid encoding name", name),
			   errhint("Use a name such as UTF8, LATIN1 or WIN1252."));
	*(int *) field = encoding;
}

static void
set_compression(const char *name, const JsonbValue *value, void *field)
{
	char	   *string = string_option(name, value);

	if (strcmp(string, "gzip") != 0 && strcmp(string, "none") != 0)
		refuse(errmsg("compression \"%s\" not recognized", string),
			   errhint("Compressions are \"gzip\" and \"none\"."));
	*(bool *) field = string[0] == 'g';
}

/* Has two fields to set, so it gets the struct. */
static void
set_force_quote(const char *name, const JsonbValue *value, void *field)
{
	JobsCsvOptions *result = field;
	JsonbContainer *array;

	if (value->type == jbvString && value->val.string.len == 1 && value->val.string.val[0] == '*')
	{
		result->force_quote_all = true;
		return;
	}
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		refuse(errmsg("option \"%s\" must be an array of column names, or \"*\"", name));
	array = value->val.binary.data;
	for (uint32 i = 0; i < JsonContainerSize(array); i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);

		if (element->type != jbvString)
			refuse(errmsg("option \"%s\" must be an array of column names, or \"*\"", name));
		result->force_quote = lappend(result->force_quote, string_option(name, element));
	}
}

#define FIELD(f)	offsetof(JobsCsvOptions, f)

static const struct
{
	const char *name;
	OptionSetter set;
	Size		field;
}			known_options[] = {
	{"bom", set_bool, FIELD(bom)},
	{"compression", set_compression, FIELD(gzip)},
	{"crlf", set_bool, FIELD(crlf)},
	{"delimiter", set_char, FIELD(delimiter)},
	{"encoding", set_encoding, FIELD(encoding)},
	{"escape", set_char, FIELD(escape)},
	{"escape_formulas", set_bool, FIELD(escape_formulas)},
	{"force_quote", set_force_quote, 0},
	{"header", set_bool, FIELD(header)},
	{"null", set_null, FIELD(null)},
	{"quote", set_char, FIELD(quote)}
};

JobsCsvOptions *
jobs_csv_options(Jsonb *options)
{
	JobsCsvOptions *result = palloc0(sizeof(JobsCsvOptions));
	JsonbIterator *it;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(options))
		refuse(errmsg("options must be a JSON object"),
			   errhint("For example '{\"delimiter\": \";\"}'."));

	result->delimiter = ',';
	result->quote = '"';
	result->null = "";
	result->header = true;
	result->encoding = GetDatabaseEncoding();

	it = JsonbIteratorInit(&options->root);
	(void) JsonbIteratorNext(&it, &value, true);	/* WJB_BEGIN_OBJECT */
	while (JsonbIteratorNext(&it, &value, true) == WJB_KEY)
	{
		char	   *name = pnstrdup(value.val.string.val, value.val.string.len);

		(void) JsonbIteratorNext(&it, &value, true);
		set_option(result, name, &value);
	}
	if (result->escape == '\0')
		result->escape = result->quote;
	check_options(result);
	return result;
}

static void
set_option(JobsCsvOptions *result, const char *name, const JsonbValue *value)
{
	for (int i = 0; i < lengthof(known_options); i++)
	{
		if (strcmp(name, known_options[i].name) == 0)
		{
			known_options[i].set(name, value, (char *) result + known_options[i].field);
			return;
		}
	}
	refuse(errmsg("option \"%s\" not recognized", name),
		   errhint("Options of a CSV export are %s.", option_names()));
}

static char *
option_names(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(known_options); i++)
		appendStringInfo(&names, "%s%s", i == 0 ? "" : i == lengthof(known_options) - 1 ? " and " : ", ",
						 known_options[i].name);
	return names.data;
}

/* Values that do not go together; the words are COPY's where it has some. */
static void
check_options(const JobsCsvOptions *result)
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
		refuse(errmsg("%s", problem),
			   errhint("The rules are those of COPY with FORMAT csv."));
	check_encoding(result);
}

static void
check_encoding(const JobsCsvOptions *result)
{
	int			server = GetDatabaseEncoding();

	if (result->bom && result->encoding != PG_UTF8)
		refuse(errmsg("a byte order mark needs the encoding UTF8, not %s",
					  pg_encoding_to_char(result->encoding)),
			   errhint("Set encoding to UTF8, or leave out bom."));
	if (result->encoding != server && result->encoding != PG_SQL_ASCII && server != PG_SQL_ASCII &&
		!OidIsValid(FindDefaultConversionProc(server, result->encoding)))
		refuse(errmsg("this database's text cannot be converted from %s to %s",
					  GetDatabaseEncodingName(), pg_encoding_to_char(result->encoding)),
			   errhint("Leave out encoding to write %s.", GetDatabaseEncodingName()));
}

void
jobs_csv_check_columns(const JobsCsvOptions *options, TupleDesc desc)
{
	Bitmapset  *seen = NULL;
	ListCell   *cell;

	foreach(cell, options->force_quote)
	{
		const char *name = lfirst(cell);
		int			i = find_column(desc, name);

		if (i < 0)
			refuse(errmsg("force_quote column \"%s\" does not exist", name),
				   errhint("Name a column of the query's result."));
		if (bms_is_member(i, seen))
			refuse(errmsg("force_quote column \"%s\" specified more than once", name));
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
 * The buffer
 * ------------------------------------------------------------------------
 */

static void
flush(JobsCsv *csv)
{
	Size		len = csv->used;

	if (len > 0)
	{
		csv->used = 0;
		csv->sink(csv->arg, csv->buffer, len);
	}
}

/* What does not fit in the rest of the buffer. */
static pg_noinline void
put_long(JobsCsv *csv, const char *s, Size len)
{
	flush(csv);
	if (len >= BUFFER_SIZE)
	{
		csv->sink(csv->arg, s, len);
		return;
	}
	memcpy(csv->buffer, s, len);
	csv->used = len;
}

static inline void
put(JobsCsv *csv, const char *s, Size len)
{
	if (unlikely(len > BUFFER_SIZE - csv->used))
	{
		put_long(csv, s, len);
		return;
	}
	memcpy(csv->buffer + csv->used, s, len);
	csv->used += len;
}

static inline void
put_char(JobsCsv *csv, char c)
{
	if (unlikely(csv->used == BUFFER_SIZE))
		flush(csv);
	csv->buffer[csv->used++] = c;
}

/* ------------------------------------------------------------------------
 * The file
 * ------------------------------------------------------------------------
 */

JobsCsv *
jobs_csv_begin(const JobsCsvOptions *options, TupleDesc desc, JobsCsvSink sink, void *arg)
{
	JobsCsv    *csv = palloc0(sizeof(JobsCsv));

	csv->sink = sink;
	csv->arg = arg;
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
	if (options->bom)
		put(csv, "\xEF\xBB\xBF", 3);
	if (options->header)
		put_header(csv, desc);
	return csv;
}

static void
fill_table(JobsCsv *csv)
{
	csv->needs['\n'] |= NEEDS_QUOTE;
	csv->needs['\r'] |= NEEDS_QUOTE;
	csv->needs[(unsigned char) csv->options.delimiter] |= NEEDS_QUOTE;
	csv->needs[(unsigned char) csv->options.quote] |= NEEDS_QUOTE | NEEDS_ESCAPE;
	csv->needs[(unsigned char) csv->options.escape] |= NEEDS_ESCAPE;
}

static void
prepare_columns(JobsCsv *csv, const JobsCsvOptions *options, TupleDesc desc)
{
	ListCell   *cell;

	csv->ncolumns = desc->natts;
	csv->columns = palloc0(desc->natts * sizeof(Column));
	foreach(cell, options->force_quote)
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

		if (options->force_quote_all)
			column->force_quote = true;
		getTypeOutputInfo(TupleDescAttr(desc, i)->atttypid, &function, &varlena);
		fmgr_info(function, &column->output);
		column->kind = kind_of(csv, column);
	}
}

/*
 * The code behind the output function tells, and not the type, so that domains
 * and types such as citext are as fast.
 */
static ColumnKind
kind_of(JobsCsv *csv, const Column *column)
{
	PGFunction	code = column->output.fn_addr;

	if (code == textout || code == varcharout || code == bpcharout || code == json_out)
		return COLUMN_TEXT;
	if (column->force_quote || !numbers_are_plain(csv))
		return COLUMN_ANY;
	if (code == int2out)
		return COLUMN_INT2;
	if (code == int4out)
		return COLUMN_INT4;
	if (code == int8out)
		return COLUMN_INT8;
	return COLUMN_ANY;
}

/* Whether an integer can be written as it is, whatever its value. */
static bool
numbers_are_plain(const JobsCsv *csv)
{
	static const char digits[] = "-0123456789";

	for (const char *p = digits; *p; p++)
	{
		if (csv->needs[(unsigned char) *p] & NEEDS_QUOTE)
			return false;
	}
	if (csv->null_len > 0 && strchr(digits, csv->options.null[0]))
		return false;
	return !csv->options.escape_formulas;
}

static void
put_header(JobsCsv *csv, TupleDesc desc)
{
	MemoryContext old = MemoryContextSwitchTo(csv->row_context);

	for (int i = 0; i < desc->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(desc, i)->attname);

		if (i > 0)
			put_char(csv, csv->options.delimiter);
		put_field(csv, name, strlen(name), false);
	}
	put(csv, csv->eol, csv->eol_len);
	MemoryContextSwitchTo(old);
	MemoryContextReset(csv->row_context);
}

void
jobs_csv_row(JobsCsv *csv, TupleTableSlot *slot)
{
	MemoryContext old;

	slot_getallattrs(slot);
	old = MemoryContextSwitchTo(csv->row_context);
	for (int i = 0; i < csv->ncolumns; i++)
	{
		if (i > 0)
			put_char(csv, csv->options.delimiter);
		if (slot->tts_isnull[i])
			put(csv, csv->null_out, csv->null_out_len);
		else
			put_value(csv, &csv->columns[i], slot->tts_values[i]);
	}
	put(csv, csv->eol, csv->eol_len);
	MemoryContextSwitchTo(old);
	MemoryContextReset(csv->row_context);
}

void
jobs_csv_end(JobsCsv *csv)
{
	flush(csv);
	MemoryContextDelete(csv->row_context);
}

Size
jobs_csv_pending(const JobsCsv *csv)
{
	return csv->used;
}

/* ------------------------------------------------------------------------
 * Fields
 * ------------------------------------------------------------------------
 */

static void
put_value(JobsCsv *csv, Column *column, Datum value)
{
	const char *s;
	Size		len;

	if (column->kind == COLUMN_TEXT)
	{
		struct varlena *text = PG_DETOAST_DATUM_PACKED(value);

		s = VARDATA_ANY(text);
		len = VARSIZE_ANY_EXHDR(text);
	}
	else if (column->kind == COLUMN_ANY)
	{
		s = OutputFunctionCall(&column->output, value);
		len = strlen(s);
	}
	else
	{
		char	   *end;

		if (BUFFER_SIZE - csv->used < MAX_NUMBER)
			flush(csv);
		end = csv->buffer + csv->used;
		if (column->kind == COLUMN_INT4)
			csv->used += pg_ltoa(DatumGetInt32(value), end);
		else if (column->kind == COLUMN_INT8)
			csv->used += pg_lltoa(DatumGetInt64(value), end);
		else
			csv->used += pg_itoa(DatumGetInt16(value), end);
		return;
	}

	put_field(csv, s, len, column->force_quote);
	/* Several large fields in a row need not be in memory together. */
	if (len >= BUFFER_SIZE)
		MemoryContextReset(csv->row_context);
}

static void
put_field(JobsCsv *csv, const char *s, Size len, bool quote)
{
	if (csv->options.escape_formulas)
		s = as_text(csv, s, &len);
	/* COPY compares before the conversion, too. */
	if (len == csv->null_len && memcmp(s, csv->options.null, len) == 0)
		quote = true;
	if (csv->transcode)
		s = convert(csv, s, &len);
	if (quote || must_quote(csv, s, len))
		put_quoted(csv, s, len);
	else
		put(csv, s, len);
}

/* With an apostrophe in front, a spreadsheet takes the cell for text. */
static const char *
as_text(JobsCsv *csv, const char *s, Size *len)
{
	char	   *copy;

	if (*len == 0 || memchr("=+-@\t\r", s[0], 6) == NULL)
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
convert(JobsCsv *csv, const char *s, Size *len)
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
must_quote(const JobsCsv *csv, const char *s, Size len)
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
put_quoted(JobsCsv *csv, const char *s, Size len)
{
	const char *end = s + len;
	const char *start = s;		/* of what is not written yet */

	put_char(csv, csv->options.quote);
	while (s < end)
	{
		if (csv->needs[(unsigned char) *s] & NEEDS_ESCAPE)
		{
			put(csv, start, s - start);
			put_char(csv, csv->options.escape);
			start = s;
		}
		if (csv->embeds_ascii && IS_HIGHBIT_SET(*s))
			s += pg_encoding_mblen(csv->options.encoding, s);
		else
			s++;
	}
	put(csv, start, end - start);
	put_char(csv, csv->options.quote);
}
