/*-------------------------------------------------------------------------
 *
 * dialect.c
 *	  How a file of rows is written: found by looking at it, and as JSON.
 *
 * What options say is read by dialect_options.c; the looking is in detect.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "import/detect.h"
#include "import/dialect.h"
#include "import/dialect_options.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

/* More than a table has columns: wider headers are not looked through for doubles. */
#define JOBS_MAX_NAMED	1600

/* The file's first bytes, in an encoding whose ASCII characters are bytes of their own. */
typedef struct Sample
{
	const char *text;
	int			len;
	bool		at_end;
	int			encoding;
} Sample;

/* A name and where it stands. */
typedef struct Place
{
	char	   *name;
	int			column;
} Place;

static void refuse(const NoText *no_text);
static void find_encoding(const char *raw, int len, bool at_end, DialectOptions *options, Sample *sample);
static void take_utf16(const char *raw, int len, bool big_endian, Sample *sample);
static void take_client_encoding(Sample *sample);
static void find_form(const Sample *sample, DialectOptions *options);
static void read_header(const Sample *sample, const FileForm *form, Dialect *dialect);
static char **header_record(const Sample *sample, Scan *scan, int *ncells);
static char *cell_text(const Sample *sample, const ScanForm *form, const ScanCell *cell);
static char *to_database(const char *text, int len, int encoding);
static char **join_header_rows(char ***rows, const int *widths, int nrows, int ncolumns);
static void number_names(char **names, int n);
static int	compare_by_name(const void *a, const void *b);
static int	compare_names(const void *a, const void *b);
static bool names_all(char **cells, int n, int ncolumns);
static void put_char(StringInfo json, const char *name, char c);
static void put_string(StringInfo json, const char *name, const char *string);

/* ------------------------------------------------------------------------
 * Finding it
 * ------------------------------------------------------------------------ */

Dialect *
jobs_dialect_find(const char *raw, int len, bool at_end, bool gzip, Jsonb *options)
{
	DialectOptions found;
	const NoText *no_text;
	Sample		sample;
	Dialect    *result;

	jobs_dialect_read_options(options, &found);
	no_text = jobs_detect_no_text(raw, len);
	if (no_text != NULL)
		refuse(no_text);
	find_encoding(raw, len, at_end, &found, &sample);
	find_form(&sample, &found);
	found.dialect.gzip = gzip;
	result = palloc(sizeof(Dialect));
	*result = found.dialect;
	return result;
}

static void
refuse(const NoText *no_text)
{
	ereport(ERROR,
			(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
			 errmsg("the file is %s", no_text->what),
			 errhint("%s", no_text->hint)));
}

/* Says in which encoding the file is, and makes the sample that the rest is found in. */
static void
find_encoding(const char *raw, int len, bool at_end, DialectOptions *options, Sample *sample)
{
	Dialect    *dialect = &options->dialect;
	int			bom;
	TextCoding	coding = jobs_detect_coding(raw, len, at_end, &bom);
	bool		utf16 = coding == CODING_UTF16LE || coding == CODING_UTF16BE;

	bool		said_utf16 = options->said_encoding && strncmp(dialect->encoding_name, "UTF-16", 6) == 0;

	/* A byte order mark is the last word; without one, what is said counts. */
	if (said_utf16 && (!utf16 || (bom == 0 && dialect->encoding_name[6] != '\0')))
	{
		coding = strcmp(dialect->encoding_name, "UTF-16BE") == 0 ? CODING_UTF16BE : CODING_UTF16LE;
		utf16 = true;
	}
	else if (options->said_encoding && !said_utf16 && utf16 && bom == 0)
		utf16 = false;

	dialect->bom = bom > 0;
	sample->text = raw + bom;
	sample->len = len - bom;
	sample->at_end = at_end;
	if (utf16)
	{
		dialect->encoding = PG_UTF8;
		dialect->encoding_name = coding == CODING_UTF16BE ? "UTF-16BE" : "UTF-16LE";
		take_utf16(raw + bom, len - bom, coding == CODING_UTF16BE, sample);
		return;
	}
	if (!options->said_encoding)
	{
		if (coding != CODING_8BIT)
			dialect->encoding = PG_UTF8;
		else if (GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII &&
				 pg_verify_mbstr_len(GetDatabaseEncoding(), sample->text, sample->len, true) >= 0)
			dialect->encoding = GetDatabaseEncoding();
		else
			dialect->encoding = PG_WIN1252;
		dialect->encoding_name = pg_encoding_to_char(dialect->encoding);
		dialect->ascii = coding == CODING_ASCII;
	}
	sample->encoding = dialect->encoding;
	if (!PG_VALID_BE_ENCODING(dialect->encoding))
		take_client_encoding(sample);
}

static void
take_utf16(const char *raw, int len, bool big_endian, Sample *sample)
{
	char	   *text = palloc(len / 2 * 3 + 1);

	sample->len = jobs_detect_from_utf16(raw, len, big_endian, text);
	sample->text = text;
	sample->encoding = PG_UTF8;
}

/* SJIS and its like have bytes of ASCII within other characters: convert first, as far as it goes. */
static void
take_client_encoding(Sample *sample)
{
	int			to = GetDatabaseEncoding();
	Oid			proc = FindDefaultConversionProc(sample->encoding, to);
	int			size;
	char	   *text;

	if (to == PG_SQL_ASCII || !OidIsValid(proc) || sample->len >= MaxAllocSize / MAX_CONVERSION_GROWTH)
		return;
	size = sample->len * MAX_CONVERSION_GROWTH + 1;
	text = palloc(size);
	(void) pg_do_encoding_conversion_buf(proc, sample->encoding, to, (unsigned char *) unconstify(char *, sample->text),
										 sample->len, (unsigned char *) text, size, true);
	sample->at_end = false;
	sample->text = text;
	sample->len = strlen(text);
	sample->encoding = to;
}

static void
find_form(const Sample *sample, DialectOptions *options)
{
	static const NoText empty = {"empty", "Upload a file with a header and rows."};
	Dialect    *dialect = &options->dialect;
	FileForm	form = {0};

	form.scan.delimiter = dialect->delimiter;
	form.scan.quote = dialect->quote;
	form.scan.escape = dialect->escape;
	form.scan.comment = dialect->comment;
	form.trim = dialect->trim;
	form.has_header = dialect->has_header;
	form.header_rows = dialect->header_rows;
	form.skip_lines = dialect->skip_lines;
	form.null = dialect->null;
	form.decimal = dialect->decimal;
	form.date_order = dialect->date_order;
	jobs_detect_form(sample->text, sample->len, sample->at_end, &options->said, &form);
	if (form.width == 0 && sample->at_end)
		refuse(&empty);

	dialect->delimiter = form.scan.delimiter;
	dialect->quote = form.scan.quote;
	dialect->escape = form.scan.escape;
	dialect->comment = form.scan.comment;
	dialect->trim = form.trim;
	dialect->has_header = form.has_header;
	dialect->header_rows = form.header_rows;
	dialect->skip_lines = form.skip_lines;
	dialect->null = form.null;
	dialect->decimal = form.decimal;
	dialect->date_order = form.date_order;
	dialect->newline = form.newline ? form.newline : "LF";
	dialect->ncolumns = Max(form.width, 1);
	if (form.has_header)
		read_header(sample, &form, dialect);
}

/* ------------------------------------------------------------------------
 * The header
 * ------------------------------------------------------------------------ */

static void
read_header(const Sample *sample, const FileForm *form, Dialect *dialect)
{
	char	 ***rows = palloc(form->header_rows * sizeof(char **));
	int		   *widths = palloc(form->header_rows * sizeof(int));
	int			nrows = 0;
	int			ncolumns = 0;
	Scan		scan;

	jobs_scan_begin(&scan, &form->scan, sample->text, sample->len, true, NULL, 0);
	while (nrows < form->header_rows)
	{
		Scan		again = scan;

		if (!jobs_scan_next(&scan))
			break;
		if (scan.line <= form->skip_lines || scan.is_comment || (scan.blank && form->width > 1))
			continue;
		rows[nrows] = header_record(sample, &again, &widths[nrows]);
		ncolumns = Max(ncolumns, widths[nrows]);
		nrows++;
	}
	if (nrows == 0)
		return;
	/* Delimiters at the end of all rows but the header make columns, which have no name. */
	ncolumns = Max(ncolumns, form->width);
	dialect->columns = join_header_rows(rows, widths, nrows, ncolumns);
	/* Those at the end of the header alone make none. */
	while (ncolumns > form->width && ncolumns > 1 && dialect->columns[ncolumns - 1][0] == '\0')
		ncolumns--;
	dialect->ncolumns = ncolumns;
	number_names(dialect->columns, ncolumns);
}

/* Reads the next record with all its fields, as text in the database's encoding. */
static char **
header_record(const Sample *sample, Scan *scan, int *ncells)
{
	Scan		counting = *scan;
	char	  **texts;

	(void) jobs_scan_next(&counting);
	*ncells = counting.ncells;
	scan->max_cells = counting.ncells;
	scan->cells = palloc(counting.ncells * sizeof(ScanCell));
	(void) jobs_scan_next(scan);
	texts = palloc(*ncells * sizeof(char *));
	for (int i = 0; i < *ncells; i++)
		texts[i] = cell_text(sample, &scan->form, &scan->cells[i]);
	return texts;
}

/* The name that a cell of a header has: without escapes and spaces around it. */
static char *
cell_text(const Sample *sample, const ScanForm *form, const ScanCell *cell)
{
	char	   *raw = palloc(cell->len + 1);
	int			len = 0;
	char	   *text;
	char	   *end;

	for (int i = 0; i < cell->len; i++)
	{
		char		c = cell->text[i];

		if (cell->quoted && c == form->escape && i + 1 < cell->len &&
			(form->escape != form->quote || cell->text[i + 1] == form->quote))
			c = cell->text[++i];
		if (c != '\0')
			raw[len++] = c;
	}
	text = to_database(raw, len, sample->encoding);
	while (*text == ' ' || *text == '\t' || *text == '\n' || *text == '\r')
		text++;
	for (end = text + strlen(text); end > text && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\n' || end[-1] == '\r');)
		*--end = '\0';
	return text;
}

/* Bytes that the encoding does not have, or the database, become question marks. */
static char *
to_database(const char *text, int len, int encoding)
{
	int			to = GetDatabaseEncoding();
	Oid			proc = InvalidOid;
	StringInfoData result;

	if (encoding != to && encoding != PG_SQL_ASCII && to != PG_SQL_ASCII)
	{
		proc = FindDefaultConversionProc(encoding, to);
		if (!OidIsValid(proc))
			encoding = to;
	}
	if (to == PG_SQL_ASCII || encoding == PG_SQL_ASCII)
		encoding = to;

	initStringInfo(&result);
	while (len > 0)
	{
		int			n;

		if (OidIsValid(proc))
		{
			int			size = len * MAX_CONVERSION_GROWTH + 1;
			char	   *converted = palloc(size);

			n = pg_do_encoding_conversion_buf(proc, encoding, to, (unsigned char *) unconstify(char *, text), len,
											  (unsigned char *) converted, size, true);
			appendStringInfoString(&result, converted);
		}
		else
		{
			n = pg_encoding_verifymbstr(encoding, text, len);
			appendBinaryStringInfo(&result, text, n);
		}
		if (n < len)
		{
			appendStringInfoChar(&result, '?');
			n++;
		}
		text += n;
		len -= n;
	}
	return result.data;
}

/*
 * The names of columns: of the only row, or of the first that names them all, as
 * that above units does; else of all rows together, where a group's name holds
 * until the next.
 */
static char **
join_header_rows(char ***rows, const int *widths, int nrows, int ncolumns)
{
	char	  **names = palloc(ncolumns * sizeof(char *));
	int		   *groups = palloc0(nrows * sizeof(int));	/* for each row, where the group at hand is named */
	StringInfoData name;

	for (int row = 0; row < nrows; row++)
	{
		if (nrows > 1 && !names_all(rows[row], widths[row], ncolumns))
			continue;
		for (int i = 0; i < ncolumns; i++)
			names[i] = i < widths[row] ? rows[row][i] : "";
		return names;
	}
	initStringInfo(&name);
	for (int i = 0; i < ncolumns; i++)
	{
		resetStringInfo(&name);
		for (int row = 0; row < nrows; row++)
		{
			if (i >= widths[row])
				continue;
			if (row == nrows - 1 || rows[row][i][0] != '\0')
				groups[row] = i;
			if (rows[row][groups[row]][0] != '\0')
				appendStringInfo(&name, "%s%s", name.len > 0 ? " " : "", rows[row][groups[row]]);
		}
		names[i] = pstrdup(name.data);
	}
	return names;
}

/* Columns without a name get one by their number, and of those with the same all but the first. */
static void
number_names(char **names, int n)
{
	Place	   *places = palloc(n * sizeof(Place));

	for (int i = 0; i < n; i++)
	{
		if (names[i][0] == '\0')
			names[i] = psprintf("column%d", i + 1);
		places[i].name = names[i];
		places[i].column = i;
	}
	qsort(places, n, sizeof(Place), compare_names);
	for (int first = 0, next; first < n; first = next)
	{
		int			number = 2;

		for (next = first + 1; next < n && strcmp(places[next].name, places[first].name) == 0; next++)
		{
			Place		numbered = {.column = -1};

			do
				numbered.name = psprintf("%s_%d", places[first].name, number++);
			while (bsearch(&numbered, places, n, sizeof(Place), compare_by_name) != NULL);
			names[places[next].column] = numbered.name;
		}
	}
}

static int
compare_by_name(const void *a, const void *b)
{
	return strcmp(((const Place *) a)->name, ((const Place *) b)->name);
}

/* Those of the same name in their order. */
static int
compare_names(const void *a, const void *b)
{
	int			order = compare_by_name(a, b);

	return order != 0 ? order : ((const Place *) a)->column - ((const Place *) b)->column;
}

/* None is empty and no two are the same. */
static bool
names_all(char **cells, int n, int ncolumns)
{
	if (n < ncolumns || n > JOBS_MAX_NAMED)
		return false;
	for (int i = 0; i < n; i++)
	{
		if (cells[i][0] == '\0')
			return false;
		for (int j = 0; j < i; j++)
		{
			if (strcmp(cells[i], cells[j]) == 0)
				return false;
		}
	}
	return true;
}

/* ------------------------------------------------------------------------
 * JSON
 * ------------------------------------------------------------------------ */

Jsonb *
jobs_dialect_to_jsonb(const Dialect *dialect)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	put_char(&json, "delimiter", dialect->delimiter);
	put_char(&json, "quote", dialect->quote);
	if (dialect->escape != '\0')
		put_char(&json, "escape", dialect->escape);
	put_string(&json, "encoding", dialect->encoding_name);
	appendStringInfo(&json, "\"header\": %s, \"header_rows\": %d, \"skip_lines\": %d, ",
					 dialect->has_header ? "true" : "false", dialect->header_rows, dialect->skip_lines);
	put_string(&json, "null", dialect->null);
	put_char(&json, "comment", dialect->comment);
	appendStringInfo(&json, "\"trim\": %s, ", dialect->trim ? "true" : "false");
	put_string(&json, "ragged", dialect->pad ? "pad" : "reject");
	put_char(&json, "decimal", dialect->decimal);
	put_string(&json, "date_order", dialect->date_order);
	put_string(&json, "newline", dialect->newline);
	appendStringInfo(&json, "\"gzip\": %s, \"bom\": %s, \"ascii\": %s, \"ncolumns\": %d, \"columns\": ",
					 dialect->gzip ? "true" : "false", dialect->bom ? "true" : "false",
					 dialect->ascii ? "true" : "false", dialect->ncolumns);
	if (dialect->columns == NULL)
		appendStringInfoString(&json, "null");
	else
	{
		for (int i = 0; i < dialect->ncolumns; i++)
		{
			appendStringInfoString(&json, i == 0 ? "[" : ", ");
			escape_json(&json, dialect->columns[i]);
		}
		appendStringInfoChar(&json, ']');
	}
	appendStringInfoChar(&json, '}');
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}

/* None is an empty string. */
static void
put_char(StringInfo json, const char *name, char c)
{
	char		string[2] = {c, '\0'};

	put_string(json, name, string);
}

static void
put_string(StringInfo json, const char *name, const char *string)
{
	appendStringInfo(json, "\"%s\": ", name);
	if (string == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, string);
	appendStringInfoString(json, ", ");
}

/*
 * The keys are those of options, so that what was found for one file can be said
 * of the next; only these others are not.
 */
Dialect *
jobs_dialect_from_jsonb(Jsonb *jsonb)
{
	static const char *const newlines[] = {"LF", "CRLF", "CR", "mixed"};
	DialectOptions options;
	Dialect    *dialect = palloc(sizeof(Dialect));
	JsonbValue *value;

	jobs_dialect_read_options(jsonb, &options);
	*dialect = options.dialect;
	value = jobs_dialect_key(jsonb, "newline");
	for (int i = 0; value != NULL && value->type == jbvString && i < lengthof(newlines); i++)
	{
		if (value->val.string.len == strlen(newlines[i]) && memcmp(value->val.string.val, newlines[i], value->val.string.len) == 0)
			dialect->newline = newlines[i];
	}
	value = jobs_dialect_key(jsonb, "gzip");
	dialect->gzip = value != NULL && value->type == jbvBool && value->val.boolean;
	value = jobs_dialect_key(jsonb, "bom");
	dialect->bom = value != NULL && value->type == jbvBool && value->val.boolean;
	value = jobs_dialect_key(jsonb, "ascii");
	dialect->ascii = value != NULL && value->type == jbvBool && value->val.boolean;
	value = jobs_dialect_key(jsonb, "ncolumns");
	if (value != NULL && value->type == jbvNumeric)
		dialect->ncolumns = DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(value->val.numeric)));
	value = jobs_dialect_key(jsonb, "columns");
	if (value != NULL && value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data))
	{
		JsonbContainer *array = value->val.binary.data;

		dialect->ncolumns = JsonContainerSize(array);
		dialect->columns = palloc(dialect->ncolumns * sizeof(char *));
		for (int i = 0; i < dialect->ncolumns; i++)
		{
			JsonbValue *name = getIthJsonbValueFromContainer(array, i);

			dialect->columns[i] = name->type == jbvString ? pnstrdup(name->val.string.val, name->val.string.len) : "";
		}
	}
	return dialect;
}
