/*-------------------------------------------------------------------------
 *
 * export.c
 *	  Exports: from a query to an artifact.
 *
 * The rows go through a chain: executor -> encoder -> (gzip) -> artifact ->
 * store.  Everything here runs as the owner of the job, or at submission as
 * the caller who becomes it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <zlib.h>

#include "access/xact.h"
#include "artifact.h"
#include "catalog/pg_class.h"
#include "compat.h"
#include "csv.h"
#include "executor/executor.h"
#include "export.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "progress.h"
#include "session.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define GZIP_LEVEL		1
#define GZIP_WINDOW		(15 + 16)	/* 32 kB, with a gzip header */
#define GZIP_MEMORY		8			/* zlib's default */
#define GZIP_BUFFER		(64 * 1024)

#define MAX_FILENAME	255
#define MAX_ESTIMATE	1e15		/* rows; more is no estimate */

/* What the row of the job asks for. */
typedef struct Request
{
	char	   *format;
	char	   *filename;
	int64		ttl;			/* s; used where expires_at is 0 */
	TimestampTz expires_at;
	JobsCsvOptions *csv;
} Request;

/* What walking through a query finds out. */
typedef struct QueryFacts
{
	bool		locks;
	bool		writes;
	Oid			table;			/* the first that it reads */
	bool		more_tables;
	Oid			temporary;		/* a temporary table that it reads */
} QueryFacts;

/* The end of the chain, from the encoder on. */
typedef struct Output
{
	DestReceiver receiver;		/* first, so that the executor can call it */
	JobsCsv    *csv;
	JobsArtifact *artifact;
	bool		gzip;
	z_stream	stream;
	char	   *compressed;
	int64		rows;
} Output;

static void show_query(void *arg);
static PlannedStmt *plan_query(const char *query, QueryFacts *facts);
static RawStmt *parse_query(const char *query);
static void check_query(const Query *query);
static bool find_facts(Node *node, QueryFacts *facts);
static void note_table(QueryFacts *facts, Oid table);
static void check_can_run(const char *query, PlannedStmt *plan, const JobsCsvOptions *options);
static void check_format(const char *format);
pg_noreturn static void refuse_filename(const char *why);
static void check_filename_characters(const char *filename);
static Request *read_request(Jsonb *options);
static char *request_text(Jsonb *options, const char *key);
static int64 execute(const Job *job, const Request *request, Output *output);
static Output *output_begin(const Job *job, const Request *request);
static bool output_row(TupleTableSlot *slot, DestReceiver *receiver);
static void output_startup(DestReceiver *receiver, int operation, TupleDesc desc);
static void output_nothing(DestReceiver *receiver);
static void output_end(Output *output);
static void write_bytes(void *arg, const char *data, Size len);
static void gzip_begin(Output *output);
static void gzip_write(Output *output, const char *data, Size len, int mode);
static char *media_type(const JobsCsvOptions *options);
static Jsonb *export_result(const char *filename, int64 rows, int64 bytes, const char *sha256);

/* ------------------------------------------------------------------------
 * The query
 * ------------------------------------------------------------------------
 */

/*
 * An error's position is one in the query, not in the statement that the
 * client has sent.
 */
static void
show_query(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

/*
 * Parses, checks and plans a query.  Needs an active snapshot.  Of facts, what
 * is about tables is found in the query as it was written, the rest after
 * views and rules have been put in.
 */
static PlannedStmt *
plan_query(const char *query, QueryFacts *facts)
{
	Query	   *parsed = parse_analyze_fixedparams(parse_query(query), query, NULL, 0, NULL);
	QueryFacts	rewritten = {0};
	List	   *queries;

	check_query(parsed);
	memset(facts, 0, sizeof(QueryFacts));
	(void) find_facts((Node *) parsed, facts);

	queries = pg_rewrite_query(parsed);
	if (list_length(queries) != 1)
		elog(ERROR, "a query was rewritten to %d", list_length(queries));
	(void) find_facts(linitial(queries), &rewritten);
	if (rewritten.writes)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of an export must not change data"),
				 errhint("Use jobs.run for statements that write.")));
	if (rewritten.locks)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of an export must not lock rows"),
				 errhint("Leave out FOR UPDATE or FOR SHARE.")));
	return pg_plan_query(linitial(queries), query, CURSOR_OPT_PARALLEL_OK, NULL);
}

/* The one statement of a query's text. */
static RawStmt *
parse_query(const char *query)
{
	List	   *statements = raw_parser(query, RAW_PARSE_DEFAULT);
	RawStmt    *statement;

	if (statements == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query must not be empty")));
	if (list_length(statements) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an export takes one query, not %d statements", list_length(statements)),
				 errhint("Combine them with UNION ALL, or submit an export for each.")));
	statement = linitial_node(RawStmt, statements);
	if (!IsA(statement->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an export needs a query"),
				 errhint("Use SELECT, VALUES, TABLE, or WITH and one of these.")));
	return statement;
}

static void
check_query(const Query *query)
{
	ListCell   *cell;

	/* This is what SELECT INTO has become. */
	if (query->commandType != CMD_SELECT || query->utilityStmt != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of an export must not have INTO"),
				 errhint("Use jobs.run for statements that write.")));
	foreach(cell, query->targetList)
	{
		if (!lfirst_node(TargetEntry, cell)->resjunk)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the query has no columns")));
}

/* Walks through a query and all the queries within it. */
static bool
find_facts(Node *node, QueryFacts *facts)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *cell;

		if (query->commandType != CMD_SELECT)
			facts->writes = true;
		if (query->rowMarks != NIL)
			facts->locks = true;
		foreach(cell, query->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

			if (rte->rtekind == RTE_RELATION)
				note_table(facts, rte->relid);
		}
		return query_tree_walker(query, find_facts, facts, 0);
	}
	return expression_tree_walker(node, find_facts, facts);
}

static void
note_table(QueryFacts *facts, Oid table)
{
	if (!OidIsValid(facts->table))
		facts->table = table;
	else if (facts->table != table)
		facts->more_tables = true;
	if (get_rel_persistence(table) == RELPERSISTENCE_TEMP)
		facts->temporary = table;
}

/*
 * Lets the executor check the caller's rights and find the result's columns,
 * without running anything.
 */
static void
check_can_run(const char *query, PlannedStmt *plan, const JobsCsvOptions *options)
{
	QueryDesc  *desc = CreateQueryDesc(plan, query, GetActiveSnapshot(), InvalidSnapshot,
									   None_Receiver, NULL, NULL, 0);

	ExecutorStart(desc, EXEC_FLAG_EXPLAIN_ONLY);
	jobs_csv_check_columns(options, desc->tupDesc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
}

/* ------------------------------------------------------------------------
 * Checks at submission
 * ------------------------------------------------------------------------
 */

char *
jobs_export_check(const char *query, const char *format, Jsonb *options)
{
	ErrorContextCallback callback;
	JobsCsvOptions *csv;
	PlannedStmt *plan;
	QueryFacts	facts;

	check_format(format);
	csv = jobs_csv_options(options);

	callback.callback = show_query;
	callback.arg = unconstify(char *, query);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	PushActiveSnapshot(GetTransactionSnapshot());
	plan = plan_query(query, &facts);
	if (OidIsValid(facts.temporary))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an export cannot read the temporary table \"%s\"",
						get_rel_name(facts.temporary)),
				 errhint("Exports run in a session of their own.  Use a permanent table, or an unlogged one.")));
	check_can_run(query, plan, csv);
	PopActiveSnapshot();
	error_context_stack = callback.previous;

	return OidIsValid(facts.table) && !facts.more_tables ? get_rel_name(facts.table) : NULL;
}

static void
check_format(const char *format)
{
	if (strcmp(format, "csv") == 0)
		return;
	if (strcmp(format, "jsonl") == 0 || strcmp(format, "xlsx") == 0 || strcmp(format, "pdf") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("format \"%s\" is not supported yet", format),
				 errhint("Use the format \"csv\".")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("format \"%s\" not recognized", format),
			 errhint("Use the format \"csv\".")));
}

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

/* ------------------------------------------------------------------------
 * Running
 * ------------------------------------------------------------------------
 */

void
jobs_export_run(Job *job)
{
	ErrorContextCallback callback;
	Request    *request;
	Output	   *output;
	int64		bytes;
	TimestampTz expires_at;
	char	   *sha256;

	callback.callback = show_query;
	callback.arg = job->command;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	request = read_request(job->options);
	output = output_begin(job, request);

	PushActiveSnapshot(GetTransactionSnapshot());
	jobs_start_statement_timeout();
	job->processed = job->total = execute(job, request, output);
	jobs_stop_statement_timeout();

	jobs_progress_phase("finishing");
	expires_at = request->expires_at;
	if (expires_at == 0)
		expires_at = GetCurrentTimestamp() + request->ttl * USECS_PER_SEC;
	bytes = jobs_artifact_bytes(output->artifact);
	sha256 = jobs_artifact_end(output->artifact, request->filename, request->format,
							   media_type(request->csv), job->processed, expires_at);
	PopActiveSnapshot();
	job->result = export_result(request->filename, job->processed, bytes, sha256);
	error_context_stack = callback.previous;
}

static Request *
read_request(Jsonb *options)
{
	Request    *request = palloc0(sizeof(Request));
	char	   *expires_at = request_text(options, "expires_at");
	JsonbValue	buffer;
	JsonbValue *value;

	request->format = request_text(options, "format");
	request->filename = request_text(options, "filename");
	if (request->format == NULL || request->filename == NULL)
		elog(ERROR, "the options of the export are incomplete");
	check_format(request->format);

	value = getKeyJsonValueFromContainer(&options->root, "options", 7, &buffer);
	if (value == NULL || value->type != jbvBinary)
		elog(ERROR, "the options of the export are incomplete");
	request->csv = jobs_csv_options(JsonbValueToJsonb(value));

	request->ttl = jobs_artifact_ttl;
	value = getKeyJsonValueFromContainer(&options->root, "ttl", 3, &buffer);
	if (value && value->type == jbvNumeric)
		request->ttl = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
	if (expires_at)
		request->expires_at =
			DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(expires_at),
													ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	return request;
}

/* A string of the options, or NULL. */
static char *
request_text(Jsonb *options, const char *key)
{
	JsonbValue	buffer;
	JsonbValue *value = getKeyJsonValueFromContainer(&options->root, key, strlen(key), &buffer);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* Runs the query into the output; returns the number of rows. */
static int64
execute(const Job *job, const Request *request, Output *output)
{
	QueryFacts	facts;
	PlannedStmt *plan = plan_query(job->command, &facts);
	QueryDesc  *desc = CreateQueryDesc(plan, job->command, GetActiveSnapshot(), InvalidSnapshot,
									   &output->receiver, NULL, NULL, 0);
	double		rows;

	jobs_progress_phase("exporting");
	rows = plan->planTree->plan_rows;
	jobs_progress_total(rows < MAX_ESTIMATE ? (int64) rows : -1, true);

	/* While parallel workers run, the first chunk could not get one. */
	(void) GetCurrentTransactionId();

	ExecutorStart(desc, 0);
	jobs_csv_check_columns(request->csv, desc->tupDesc);
	output->csv = jobs_csv_begin(request->csv, desc->tupDesc, write_bytes, output);
	jobs_ExecutorRun(desc, ForwardScanDirection, 0);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	output_end(output);
	return output->rows;
}

/* For example "text/csv; charset=utf-8". */
static char *
media_type(const JobsCsvOptions *options)
{
	const char *charset;
	char	   *type;

	if (options->gzip)
		return pstrdup("application/gzip");
	switch (options->encoding)
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
			charset = get_encoding_name_for_icu(options->encoding);
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

/* {"filename": ..., "rows": ..., "bytes": ..., "sha256": ...} */
static Jsonb *
export_result(const char *filename, int64 rows, int64 bytes, const char *sha256)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"filename\": ");
	escape_json(&json, filename);
	appendStringInfo(&json, ", \"rows\": " INT64_FORMAT ", \"bytes\": " INT64_FORMAT ", \"sha256\": \"%s\"}",
					 rows, bytes, sha256);
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}

/* ------------------------------------------------------------------------
 * From the executor to the artifact
 * ------------------------------------------------------------------------
 */

static Output *
output_begin(const Job *job, const Request *request)
{
	Output	   *output = palloc0(sizeof(Output));

	output->receiver.receiveSlot = output_row;
	output->receiver.rStartup = output_startup;
	output->receiver.rShutdown = output_nothing;
	output->receiver.rDestroy = output_nothing;
	output->receiver.mydest = DestNone;
	output->gzip = request->csv->gzip;
	if (output->gzip)
		gzip_begin(output);
	output->artifact = jobs_artifact_begin(job, !output->gzip);
	return output;
}

static void
output_startup(DestReceiver *receiver, int operation, TupleDesc desc)
{
}

static void
output_nothing(DestReceiver *receiver)
{
}

static bool
output_row(TupleTableSlot *slot, DestReceiver *receiver)
{
	Output	   *output = (Output *) receiver;
	int64		bytes;

	CHECK_FOR_INTERRUPTS();
	jobs_csv_row(output->csv, slot);
	output->rows++;
	bytes = jobs_artifact_bytes(output->artifact);
	if (!output->gzip)
		bytes += jobs_csv_pending(output->csv);
	jobs_progress_done(output->rows, bytes);
	return true;
}

static void
output_end(Output *output)
{
	jobs_csv_end(output->csv);
	if (output->gzip)
	{
		gzip_write(output, "", 0, Z_FINISH);
		deflateEnd(&output->stream);
	}
	jobs_progress_done(output->rows, jobs_artifact_bytes(output->artifact));
}

/* The encoder's sink. */
static void
write_bytes(void *arg, const char *data, Size len)
{
	Output	   *output = arg;

	if (output->gzip)
		gzip_write(output, data, len, Z_NO_FLUSH);
	else
		jobs_artifact_write(output->artifact, data, len);
}

/* ------------------------------------------------------------------------
 * gzip
 * ------------------------------------------------------------------------
 */

/* Memory that an error frees. */
static void *
gzip_alloc(void *context, unsigned int items, unsigned int size)
{
	return MemoryContextAlloc(context, (Size) items * size);
}

static void
gzip_free(void *context, void *pointer)
{
	pfree(pointer);
}

/* The header has no time and no name, so equal rows make equal files. */
static void
gzip_begin(Output *output)
{
	output->compressed = palloc(GZIP_BUFFER);
	output->stream.zalloc = gzip_alloc;
	output->stream.zfree = gzip_free;
	output->stream.opaque = CurrentMemoryContext;
	if (deflateInit2(&output->stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
					 Z_DEFAULT_STRATEGY) != Z_OK)
		elog(ERROR, "could not start compression: %s",
			 output->stream.msg ? output->stream.msg : "unknown error");
}

static void
gzip_write(Output *output, const char *data, Size len, int mode)
{
	z_stream   *stream = &output->stream;
	int			result;

	do
	{
		/* A field can be longer than what zlib counts. */
		Size		n = Min(len, 1024 * 1024);

		stream->next_in = (Bytef *) unconstify(char *, data);
		stream->avail_in = n;
		do
		{
			stream->next_out = (Bytef *) output->compressed;
			stream->avail_out = GZIP_BUFFER;
			result = deflate(stream, mode);
			if (result == Z_STREAM_ERROR)
				elog(ERROR, "could not compress: %s", stream->msg ? stream->msg : "unknown error");
			jobs_artifact_write(output->artifact, output->compressed, GZIP_BUFFER - stream->avail_out);
		} while (stream->avail_out == 0);
		CHECK_FOR_INTERRUPTS();
		data += n;
		len -= n;
	} while (len > 0);
}
