/*-------------------------------------------------------------------------
 *
 * sniff.c
 *	  jobs.sniff: how a file is written, its columns, and its first rows.
 *
 * What it shows comes from the reader, as an import would read it; it reads no
 * more of a file than is quick.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "args.h"
#include "fmgr.h"
#include "funcapi.h"
#include "import/sniff.h"
#include "import/upload.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(jobs_sniff_data);
PG_FUNCTION_INFO_V1(jobs_sniff_content);
PG_FUNCTION_INFO_V1(jobs_sniff_upload);

#define SHOWN_ROWS		10
#define SHOWN_LENGTH	1000	/* bytes of a value that are shown */
#define EXAMPLE_LENGTH	100

/* How much is read, in bytes of values; and of how many rows every value is looked at. */
#define SNIFF_BYTES		1048576
#define SNIFF_ALL_ROWS	1000
#define SNIFF_EVERY		8

static Datum sniff(FunctionCallInfo fcinfo, Input *input, Jsonb *options);
static Jsonb *options_arg(FunctionCallInfo fcinfo);
static Jsonb *in_database_encoding(Jsonb *options);
static void keep_examples(SniffColumn *columns, int n, const FileRow *row);
static void show_row(StringInfo json, const FileRow *row);
static Jsonb *columns_to_jsonb(const SniffColumn *columns, int n);
static void put_text(StringInfo json, const char *text, int len, int max);

Datum
jobs_sniff_data(PG_FUNCTION_ARGS)
{
	bytea	   *data;

	jobs_require_arg(fcinfo, 0, "data", "Pass the bytes of a file.");
	data = PG_GETARG_BYTEA_PP(0);
	return sniff(fcinfo, jobs_input_open_bytes(VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data)), options_arg(fcinfo));
}

Datum
jobs_sniff_content(PG_FUNCTION_ARGS)
{
	text	   *content;

	jobs_require_arg(fcinfo, 0, "content", "Pass the text of a file.");
	content = PG_GETARG_TEXT_PP(0);
	return sniff(fcinfo, jobs_input_open_bytes(VARDATA_ANY(content), VARSIZE_ANY_EXHDR(content)),
				 in_database_encoding(options_arg(fcinfo)));
}

Datum
jobs_sniff_upload(PG_FUNCTION_ARGS)
{
	Upload	   *upload;

	jobs_require_arg(fcinfo, 0, "upload", "Pass the id that jobs.upload has returned.");
	upload = jobs_upload_find_controlled(PG_GETARG_INT64(0));
	return sniff(fcinfo, jobs_input_open(upload->id), options_arg(fcinfo));
}

static Jsonb *
options_arg(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(1))
		return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	return PG_GETARG_JSONB_P(1);
}

/* A value of type text has been converted already, whatever its first lines say. */
static Jsonb *
in_database_encoding(Jsonb *options)
{
	StringInfoData encoding;

	jobs_dialect_check_options(options);
	initStringInfo(&encoding);
	appendStringInfoString(&encoding, "{\"encoding\": ");
	escape_json(&encoding, GetDatabaseEncodingName());
	appendStringInfoChar(&encoding, '}');
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(options),
											  DirectFunctionCall1(jsonb_in, CStringGetDatum(encoding.data))));
}

static Datum
sniff(FunctionCallInfo fcinfo, Input *input, Jsonb *options)
{
	Reader	   *reader = jobs_reader_open(input, options);
	const Dialect *dialect = jobs_reader_dialect(reader);
	SniffColumn *columns = jobs_sniff_columns(dialect);
	StringInfoData rows;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	int64		bytes = 0;
	FileRow    *row;

	desc = jobs_result_desc(fcinfo, lengthof(values));
	initStringInfo(&rows);
	appendStringInfoChar(&rows, '[');
	while (bytes < SNIFF_BYTES && (row = jobs_reader_next(reader)) != NULL)
	{
		if (row->row_no <= SHOWN_ROWS)
			show_row(&rows, row);
		if (row->row_no <= SNIFF_ALL_ROWS || row->row_no % SNIFF_EVERY == 0)
		{
			jobs_sniff_row(columns, dialect, row);
			keep_examples(columns, dialect->ncolumns, row);
		}
		for (int i = 0; i < row->nfields; i++)
			bytes += row->lengths[i] + 1;
	}
	appendStringInfoChar(&rows, ']');
	jobs_reader_close(reader);

	values[0] = JsonbPGetDatum(jobs_dialect_to_jsonb(dialect));
	values[1] = JsonbPGetDatum(columns_to_jsonb(columns, dialect->ncolumns));
	values[2] = DirectFunctionCall1(jsonb_in, CStringGetDatum(rows.data));
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* The first value of each column. */
static void
keep_examples(SniffColumn *columns, int n, const FileRow *row)
{
	if (row->flaws != 0)
		return;
	for (int i = 0; i < Min(row->nfields, n); i++)
	{
		if (columns[i].example == NULL && row->fields[i] != NULL && row->lengths[i] > 0)
			columns[i].example = pnstrdup(row->fields[i], pg_mbcliplen(row->fields[i], row->lengths[i], EXAMPLE_LENGTH));
	}
}

static void
show_row(StringInfo json, const FileRow *row)
{
	appendStringInfoString(json, row->row_no > 1 ? ", [" : "[");
	for (int i = 0; i < row->nfields; i++)
	{
		if (i > 0)
			appendStringInfoString(json, ", ");
		put_text(json, row->fields[i], row->lengths[i], SHOWN_LENGTH);
	}
	appendStringInfoChar(json, ']');
}

static Jsonb *
columns_to_jsonb(const SniffColumn *columns, int n)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	for (int i = 0; i < n; i++)
	{
		const SniffColumn *column = &columns[i];

		appendStringInfo(&json, "%s{\"name\": ", i > 0 ? ", " : "");
		put_text(&json, column->name, column->name ? strlen(column->name) : 0, SHOWN_LENGTH);
		appendStringInfoString(&json, ", \"column\": ");
		escape_json(&json, column->sql_name);
		appendStringInfo(&json, ", \"type\": \"%s\", \"nullable\": %s, \"example\": ",
						 jobs_guess_type(&column->guess), column->guess.nulls > 0 ? "true" : "false");
		put_text(&json, column->example, column->example ? strlen(column->example) : 0, SHOWN_LENGTH);
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, ']');
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}

/* A string of JSON, cut after max bytes; text may be NULL. */
static void
put_text(StringInfo json, const char *text, int len, int max)
{
	if (text == NULL)
		appendStringInfoString(json, "null");
	else if (len <= max)
		escape_json(json, text);
	else
		escape_json(json, psprintf("%.*s...", pg_mbcliplen(text, len, max), text));
}

/* ------------------------------------------------------------------------
 * Columns
 * ------------------------------------------------------------------------ */

SniffColumn *
jobs_sniff_columns(const Dialect *dialect)
{
	SniffColumn *columns = palloc0(dialect->ncolumns * sizeof(SniffColumn));
	const char **sql_names = jobs_sql_names(dialect->columns, dialect->ncolumns);

	for (int i = 0; i < dialect->ncolumns; i++)
	{
		columns[i].name = dialect->columns ? dialect->columns[i] : NULL;
		columns[i].sql_name = sql_names[i];
		jobs_guess_begin(&columns[i].guess, columns[i].name);
	}
	return columns;
}

void
jobs_sniff_row(SniffColumn *columns, const Dialect *dialect, const FileRow *row)
{
	if (row->flaws != 0)
		return;
	for (int i = 0; i < Min(row->nfields, dialect->ncolumns); i++)
		jobs_guess_add(&columns[i].guess, dialect, row->fields[i], row->lengths[i], row->quoted[i]);
}
