/*-------------------------------------------------------------------------
 *
 * rejects.c
 *	  jobs.rejects: the rows of a file that do not go in, to mend and upload again.
 *
 * The file is read once more, in its dialect, beside its verdicts.  What comes out has
 * the same form: delimiter, quotes, encoding, ends of lines, header or none; and two
 * columns more, which are passed over when the mended file comes back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "args.h"
#include "catalog/namespace.h"
#include "compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "import/import.h"
#include "import/input.h"
#include "import/issues.h"
#include "import/reader.h"
#include "import/verdict.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "rights.h"
#include "store.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(jobs_rejects);

#define CHUNK_BYTES		(128 * 1024)
#define CONVERTED_BYTES	(64 * 1024) /* of a line at a time: room for the worst case is four times as much */

typedef struct Rejects
{
	Job		   *preview;
	Job		   *import;			/* or NULL */
	bool		warnings;		/* rows with warnings went in, too */
	Reader	   *reader;
	const Dialect *dialect;
	Oid			conversion;		/* to the file's encoding, or InvalidOid */
	int			nfields;		/* of the file's own, without those that rejects added before; -1 all */
	VerdictReader *verdicts;
	VerdictReader *fell_out;
	IssueReader *issues;
	IssueReader *import_issues;
	StringInfoData buf;			/* in the file's encoding */
	StringInfoData line;		/* in the database's */
	int			nth;			/* number of the line's next field, from 0 */
	Tuplestorestate *store;
	TupleDesc	desc;
} Rejects;

static void open_file(Rejects *r, Snapshot snapshot);
static void write_file(Rejects *r);
static void write_header(Rejects *r);
static char *reason_of(Rejects *r, int64 row_no);
static void write_row(Rejects *r, const FileRow *row, const char *reason);
static void begin_field(Rejects *r);
static void append_field(Rejects *r, const char *value, int len, bool quoted);
static void append_unquoted(Rejects *r, const char *value, int len);
static void convert_line(Rejects *r);
static void end_line(Rejects *r);
static void end_chunk(Rejects *r);

/*
 * jobs.rejects(job bigint): of a preview or an import.
 */
Datum
jobs_rejects(PG_FUNCTION_ARGS)
{
	JobId		id = jobs_job_arg(fcinfo);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Rejects		r = {0};
	Snapshot	snapshot;
	bool		own;
	Job		   *job = jobs_find_controlled(id, &own);

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	r.store = rsinfo->setResult;
	r.desc = rsinfo->setDesc;
	r.preview = jobs_find_preview(id);
	if (job->kind == JOB_IMPORT)
	{
		if (job->state != JOB_SUCCEEDED)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("import %lld has not succeeded", (long long) id),
					 errhint("For the rows that its preview leaves out, pass the preview's id.")));
		r.import = job;
		r.warnings = jobs_import_includes_warnings(job);
	}
	else
		r.warnings = true;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	open_file(&r, snapshot);
	write_file(&r);
	jobs_issues_close(r.issues);
	if (r.import_issues)
		jobs_issues_close(r.import_issues);
	jobs_reader_close(r.reader);
	UnregisterSnapshot(snapshot);
	return (Datum) 0;
}

static void
open_file(Rejects *r, Snapshot snapshot)
{
	PreviewSpec *spec = jobs_preview_spec(r->preview);
	const Dialect *d;

	r->reader = jobs_reader_reopen(jobs_input_open(spec->upload),
								   jobs_dialect_from_jsonb(jobs_result_object(r->preview->result, "dialect")));
	r->dialect = d = jobs_reader_dialect(r->reader);
	if (d->encoding != GetDatabaseEncoding() && d->encoding != PG_SQL_ASCII && GetDatabaseEncoding() != PG_SQL_ASCII)
		r->conversion = FindDefaultConversionProc(GetDatabaseEncoding(), d->encoding);
	r->nfields = -1;
	if (d->columns && d->ncolumns > 2 && strcmp(d->columns[d->ncolumns - 2], "row_no") == 0 &&
		strcmp(d->columns[d->ncolumns - 1], "reason") == 0)
		r->nfields = d->ncolumns - 2;
	r->verdicts = jobs_verdicts_open(r->preview->id, VERDICTS_OF_ROWS, snapshot);
	r->issues = jobs_issues_open(r->preview->id, snapshot);
	if (r->import)
	{
		r->fell_out = jobs_verdicts_open(r->import->id, VERDICTS_FELL_OUT, snapshot);
		r->import_issues = jobs_issues_open(r->import->id, snapshot);
	}
	initStringInfo(&r->buf);
	appendStringInfoSpaces(&r->buf, VARHDRSZ);
	initStringInfo(&r->line);
}

static void
write_file(Rejects *r)
{
	int64		rows = jobs_result_int(r->preview->result, "rows_parsed");
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "jobs rejects row", ALLOCSET_DEFAULT_SIZES);
	FileRow    *row;

	write_header(r);
	/* A preview that was stopped early knows nothing of the rest. */
	while (rows-- > 0 && (row = jobs_reader_next(r->reader)) != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		char	   *reason;

		CHECK_FOR_INTERRUPTS();
		reason = reason_of(r, row->row_no);
		if (reason)
			write_row(r, row, reason);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	end_chunk(r);
	MemoryContextDelete(context);
}

/* ------------------------------------------------------------------------
 * Which rows, and why
 * ------------------------------------------------------------------------
 */

/* NULL for a row that goes or went in. */
static char *
reason_of(Rejects *r, int64 row_no)
{
	const Verdict *verdict = jobs_verdicts_next(r->verdicts);
	const Verdict *fallen = r->fell_out ? jobs_verdicts_next(r->fell_out) : NULL;
	IssueReader *issues = NULL;
	const char *reason = NULL;
	char	   *words;

	if (verdict->action == ROW_SKIP || verdict->action == ROW_REJECT ||
		(verdict->severity != SEVERITY_NONE && !r->warnings))
	{
		reason = verdict->reason;
		issues = r->issues;
	}
	else if (fallen && fallen->action == ROW_SKIP)
	{
		reason = fallen->reason;
		issues = r->import_issues;
	}
	else
		return NULL;
	words = jobs_issues_of_row(issues, row_no);
	return words ? words : pstrdup(reason ? reason : "left out");
}

/* ------------------------------------------------------------------------
 * In the file's own form
 * ------------------------------------------------------------------------
 */

/* Lines that options say to pass over are there, so that the same options fit the mended file. */
static void
write_header(Rejects *r)
{
	const Dialect *d = r->dialect;
	Jsonb	   *options = jobs_preview_spec(r->preview)->options;
	int64		skip = jobs_result_int(options, "skip_lines");
	int64		header_rows = jobs_result_int(options, "header_rows");
	int			n = r->nfields >= 0 ? r->nfields : d->ncolumns;

	if (d->bom || strncmp(d->encoding_name, "UTF-16", 6) == 0)
		appendBinaryStringInfo(&r->buf, "\357\273\277", 3);
	for (int64 i = 0; i < skip; i++)
		end_line(r);
	if (!d->has_header || d->columns == NULL)
		return;
	for (int64 i = 1; i < header_rows; i++)
	{
		for (int c = 0; c < n + 1; c++)
			appendStringInfoChar(&r->line, d->delimiter);
		end_line(r);
	}
	for (int i = 0; i < n; i++)
	{
		if (d->quote)
			append_field(r, d->columns[i], strlen(d->columns[i]), false);
		else
		{
			/* A name without quotes has kept its escapes. */
			begin_field(r);
			appendStringInfoString(&r->line, d->columns[i]);
		}
	}
	append_field(r, "row_no", 6, false);
	append_field(r, "reason", 6, false);
	end_line(r);
}

static void
write_row(Rejects *r, const FileRow *row, const char *reason)
{
	bool		header = r->dialect->has_header;
	int			ncolumns = r->nfields >= 0 ? r->nfields : r->dialect->ncolumns;
	int			n = r->nfields >= 0 ? Min(row->nfields, r->nfields) : row->nfields;
	char	   *row_no = psprintf("%s%lld", header ? "" : COMEBACK_ROW_NO, (long long) row->row_no);

	if (!header)
		reason = psprintf("%s%s", COMEBACK_REASON, reason);
	if (!header && jobs_is_comeback(row))
	{
		n -= 2;
		ncolumns -= 2;
	}

	for (int i = 0; i < n; i++)
		append_field(r, row->fields[i], row->fields[i] ? row->lengths[i] : 0, row->quoted && row->quoted[i]);
	/* Else the reason of a row with too few fields would be taken for one of them. */
	for (int i = n; i < ncolumns; i++)
		append_field(r, NULL, 0, false);
	append_field(r, row_no, strlen(row_no), false);
	append_field(r, reason, strlen(reason), false);
	end_line(r);
}

static void
begin_field(Rejects *r)
{
	if (r->nth++ > 0)
		appendStringInfoChar(&r->line, r->dialect->delimiter);
}

static void
append_field(Rejects *r, const char *value, int len, bool quoted)
{
	const Dialect *d = r->dialect;
	bool		first = r->nth == 0;

	begin_field(r);
	if (value == NULL)
	{
		appendStringInfoString(&r->line, d->null ? d->null : "");
		/* A line without anything would be no row. */
		if (first && r->line.len == 0 && d->quote && d->ncolumns == 1)
			appendStringInfo(&r->line, "%c%c", d->quote, d->quote);
		return;
	}
	if (d->quote == '\0')
	{
		append_unquoted(r, value, len);
		return;
	}
	quoted |= strcmp(value, d->null ? d->null : "") == 0 || (first && d->comment && value[0] == d->comment);
	for (int i = 0; i < len && !quoted; i++)
		quoted = value[i] == d->delimiter || value[i] == d->quote || value[i] == '\n' || value[i] == '\r' ||
			(value[i] == d->escape && d->escape != '\0');
	if (!quoted)
	{
		appendBinaryStringInfo(&r->line, value, len);
		return;
	}
	appendStringInfoChar(&r->line, d->quote);
	for (int i = 0; i < len; i++)
	{
		if (value[i] == d->quote || value[i] == d->escape)
			appendStringInfoChar(&r->line, d->escape ? d->escape : d->quote);
		appendStringInfoChar(&r->line, value[i]);
	}
	appendStringInfoChar(&r->line, d->quote);
}

/* As adapt.c reads it; without an escape, spaces stand for what cannot be written. */
static void
append_unquoted(Rejects *r, const char *value, int len)
{
	const Dialect *d = r->dialect;

	for (int i = 0; i < len; i++)
	{
		char		c = value[i];
		bool		special = c == d->delimiter || c == '\n' || c == '\r';

		if (d->escape && (special || c == d->escape))
		{
			appendStringInfoChar(&r->line, d->escape);
			c = c == '\n' ? 'n' : c == '\r' ? 'r' : c;
		}
		else if (special)
			c = ' ';
		appendStringInfoChar(&r->line, c);
	}
}

/* A character that the file's encoding does not have is a question mark: only words of ours can have it. */
static void
convert_line(Rejects *r)
{
	char	   *from = r->line.data;
	char	   *end = from + r->line.len;

	while (from < end)
	{
		int			len = Max(pg_mbcliplen(from, end - from, CONVERTED_BYTES), 1);
		int			size = (len + 2) * MAX_CONVERSION_GROWTH;
		int			done;

		enlargeStringInfo(&r->buf, size);
		done = pg_do_encoding_conversion_buf(r->conversion, GetDatabaseEncoding(), r->dialect->encoding,
											 (unsigned char *) from, len,
											 (unsigned char *) r->buf.data + r->buf.len, size, true);
		r->buf.len += strlen(r->buf.data + r->buf.len);
		from += done;
		if (done < len)
		{
			appendStringInfoChar(&r->buf, '?');
			from += pg_mblen(from);
		}
	}
}

static void
end_line(Rejects *r)
{
	const char *newline = r->dialect->newline && strcmp(r->dialect->newline, "CRLF") == 0 ? "\r\n" :
		r->dialect->newline && strcmp(r->dialect->newline, "CR") == 0 ? "\r" : "\n";

	if (OidIsValid(r->conversion))
		convert_line(r);
	else
		appendBinaryStringInfo(&r->buf, r->line.data, r->line.len);
	appendStringInfoString(&r->buf, newline);
	resetStringInfo(&r->line);
	r->nth = 0;
	if (r->buf.len >= CHUNK_BYTES)
		end_chunk(r);
}

static void
end_chunk(Rejects *r)
{
	Datum		value = PointerGetDatum(r->buf.data);
	bool		isnull = false;

	if (r->buf.len == VARHDRSZ)
		return;
	SET_VARSIZE(r->buf.data, r->buf.len);
	tuplestore_putvalues(r->store, r->desc, &value, &isnull);
	r->buf.len = VARHDRSZ;
}
