/*-------------------------------------------------------------------------
 *
 * export.c
 *	  Exports: from a query to an artifact.
 *
 * The rows go through a chain: executor -> format -> (gzip) -> artifact ->
 * store.  Where the plan is a parallel one, workers do the format's part and the
 * executor gives bytes.  Everything here runs as the owner of the job, or at
 * submission as the caller who becomes it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "artifact.h"
#include "compat.h"
#include "executor/executor.h"
#include "export.h"
#include "format.h"
#include "guc.h"
#include "gzip.h"
#include "merge.h"
#include "miscadmin.h"
#include "parallel.h"
#include "progress.h"
#include "query.h"
#include "session.h"
#include "source.h"
#include "storage/bufmgr.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define MAX_ESTIMATE	1e15		/* rows; more is no estimate */
#define CHEAP_COST		20000		/* in units of the planner; some 100 ms */
#define FEW_ROWS		1000		/* done before anybody looks */

/* What the row of the job asks for. */
typedef struct Request
{
	const JobsFormat *format;
	char	   *filename;
	int64		ttl;			/* s */
	Jsonb	   *json;			/* the format's options */
	char	   *source;			/* the server that runs the query, or NULL */
	JobsFormatOptions *options;
} Request;

/* The end of the chain, from the format on. */
typedef struct Output
{
	DestReceiver receiver;		/* first, so that the executor can call it */
	const JobsFormat *format;
	void	   *file;			/* the format's state */
	bool		encoded;		/* rows come as bytes */
	JobsGzip   *gzip;			/* or NULL */
	JobsArtifact *artifact;
	int64		rows;
	bool		finishing;		/* there are no more */
	BlockNumber nblocks;		/* of the one table that is read, else 0 */
	bool		by_place;		/* rows come with the place of the first */
	SeqScanState *scan;			/* or the scan knows where it is */
	BlockNumber block;			/* is being read */
} Output;

static char *take_source(Jsonb **options);
static void check_can_run(const char *query, PlannedStmt *plan, const JobsFormat *format,
						  const JobsFormatOptions *options);
static Request *read_request(Jsonb *options);
static char *request_text(Jsonb *options, const char *key);
static void execute(const Job *job, const Request *request, Output *output);
static void run_here(const Job *job, const Request *request, Query *query, TupleDesc columns,
					 JobsFormatFile *file, Output *output);
static void source_row(void *arg, TupleTableSlot *slot);
static QueryDesc *start_query(const Job *job, const JobsExportPlan *plan, Output *output,
							  JobsFormatFile *file);

static bool count_is_cheap(const JobsExportPlan *plan);
static int64 count_rows(const Job *job, PlannedStmt *plan);
static Output *output_begin(const Job *job, const Request *request);
static bool output_row(TupleTableSlot *slot, DestReceiver *receiver);
static bool output_lines(TupleTableSlot *slot, DestReceiver *receiver);
static void show_progress(Output *output);
static void output_startup(DestReceiver *receiver, int operation, TupleDesc desc);
static void output_nothing(DestReceiver *receiver);
static void write_bytes(void *arg, const char *data, Size len);
static void write_artifact(void *arg, const char *data, Size len);
static Jsonb *export_result(const char *filename, int64 rows, int64 bytes, const char *sha256);

/* ------------------------------------------------------------------------
 * Formats
 * ------------------------------------------------------------------------
 */

static const JobsFormat *const formats[] = {
	&jobs_csv_format,
	&jobs_jsonl_format,
	&jobs_xlsx_format,
	&jobs_pdf_format
};

const JobsFormat *
jobs_format(const char *name)
{
	StringInfoData names;

	for (int i = 0; i < lengthof(formats); i++)
	{
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	}
	initStringInfo(&names);
	for (int i = 0; i < lengthof(formats); i++)
		appendStringInfo(&names, "%s\"%s\"", i == 0 ? "" : i == lengthof(formats) - 1 ? " and " : ", ",
						 formats[i]->name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("format \"%s\" not recognized", name),
			 errhint("Formats are %s.", names.data)));
}

/* ------------------------------------------------------------------------
 * Checks at submission
 * ------------------------------------------------------------------------
 */

char *
jobs_export_check(const char *query, const char *format_name, Jsonb *options)
{
	const JobsFormat *format = jobs_format(format_name);
	char	   *source = take_source(&options);
	JobsFormatOptions *format_options = format->options(options);
	ErrorContextCallback callback;
	JobsQueryFacts facts;
	Query	   *analyzed;

	if (source)
		jobs_source_check(source);
	callback.callback = jobs_query_error_context;
	callback.arg = unconstify(char *, query);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	PushActiveSnapshot(GetTransactionSnapshot());
	analyzed = jobs_query_analyze(query, "an export", &facts);
	if (OidIsValid(facts.temporary))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an export cannot read the temporary table \"%s\"",
						get_rel_name(facts.temporary)),
				 errhint("Exports run in a session of their own.  Use a permanent table, or an unlogged one.")));
	check_can_run(query, pg_plan_query(analyzed, query, CURSOR_OPT_PARALLEL_OK, NULL), format, format_options);
	PopActiveSnapshot();
	error_context_stack = callback.previous;

	return OidIsValid(facts.table) && !facts.more_tables ? get_rel_name(facts.table) : NULL;
}

/* Takes what is not a format's out of the options. */
static char *
take_source(Jsonb **options)
{
	JsonbValue	buffer;
	JsonbValue *value;

	if (!JB_ROOT_IS_OBJECT(*options))
		return NULL;
	value = getKeyJsonValueFromContainer(&(*options)->root, "source", 6, &buffer);
	if (value == NULL)
		return NULL;
	if (value->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must be a string", "source"),
				 errhint("Name a server of postgres_fdw.")));
	*options = DatumGetJsonbP(DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(*options),
												  CStringGetTextDatum("source")));
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * Lets the executor check the caller's rights and find the result's columns,
 * without running anything.
 */
static void
check_can_run(const char *query, PlannedStmt *plan, const JobsFormat *format,
			  const JobsFormatOptions *options)
{
	QueryDesc  *desc = CreateQueryDesc(plan, query, GetActiveSnapshot(), InvalidSnapshot,
									   None_Receiver, NULL, NULL, 0);

	ExecutorStart(desc, EXEC_FLAG_EXPLAIN_ONLY);
	if (format->check_columns)
		format->check_columns(options, desc->tupDesc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
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
	char	   *media_type;
	char	   *sha256;

	callback.callback = jobs_query_error_context;
	callback.arg = job->command;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	request = read_request(job->options);
	output = output_begin(job, request);

	PushActiveSnapshot(GetTransactionSnapshot());
	jobs_start_statement_timeout();
	execute(job, request, output);
	jobs_stop_statement_timeout();
	job->processed = job->total = output->rows;

	bytes = jobs_artifact_bytes(output->artifact);
	media_type = request->options->gzip ? "application/gzip" : request->format->media_type(request->options);
	sha256 = jobs_artifact_end(output->artifact, request->filename, request->format->name, media_type,
							   job->processed, GetCurrentTimestamp() + request->ttl * USECS_PER_SEC);
	PopActiveSnapshot();
	job->result = export_result(request->filename, job->processed, bytes, sha256);
	error_context_stack = callback.previous;
}

static Request *
read_request(Jsonb *options)
{
	Request    *request = palloc0(sizeof(Request));
	char	   *format = request_text(options, "format");
	JsonbValue	buffer;
	JsonbValue *value;

	request->filename = request_text(options, "filename");
	value = getKeyJsonValueFromContainer(&options->root, "options", 7, &buffer);
	if (format == NULL || request->filename == NULL || value == NULL || value->type != jbvBinary)
		elog(ERROR, "the options of the export are incomplete");
	request->format = jobs_format(format);
	request->json = JsonbValueToJsonb(value);
	request->source = take_source(&request->json);
	request->options = request->format->options(request->json);

	request->ttl = jobs_artifact_ttl;
	value = getKeyJsonValueFromContainer(&options->root, "ttl", 3, &buffer);
	if (value && value->type == jbvNumeric)
		request->ttl = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
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

/* Runs the query into the output. */
static void
execute(const Job *job, const Request *request, Output *output)
{
	JobsQueryFacts facts;
	Query	   *query = jobs_query_analyze(job->command, "an export", &facts);
	JobsFormatFile file = {.title = job->title, .filename = request->filename, .rows = -1};
	TupleDesc	columns;
	int			level = NewGUCNestLevel();

	/* A table is read from its beginning, wherever other scans are. */
	(void) set_config_option("synchronize_seqscans", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	/* The leader has the bytes to store. */
	(void) set_config_option("parallel_leader_participation", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	columns = ExecCleanTypeFromTL(query->targetList);
	if (request->format->check_columns)
		request->format->check_columns(request->options, columns);
	if (request->source)
	{
		jobs_progress_phase("exporting");
		output->file = request->format->begin(request->options, columns, &file, write_bytes, output);
		jobs_source_run(request->source, job->command, columns, source_row, output);
	}
	else
		run_here(job, request, query, columns, &file, output);
	AtEOXact_GUC(true, level);

	/* Some formats have all their work before them. */
	jobs_progress_phase("finishing");
	output->finishing = true;
	request->format->end(output->file);
	if (output->gzip)
		jobs_gzip_end(output->gzip);
	show_progress(output);
}

static void
run_here(const Job *job, const Request *request, Query *query, TupleDesc columns,
		 JobsFormatFile *file, Output *output)
{
	char	   *options = JsonbToCString(NULL, &request->json->root, VARSIZE(request->json));
	JobsExportPlan plan = jobs_plan_export(query, job->command, request->format, options);
	QueryDesc  *desc;

	output->encoded = plan.encoded;
	output->receiver.receiveSlot = plan.encoded ? output_lines : output_row;
	desc = start_query(job, &plan, output, file);
	output->file = request->format->begin(request->options, columns, file, write_bytes, output);
	if (plan.encoded)
		request->format->flush(output->file);
	jobs_ExecutorRun(desc, ForwardScanDirection, 0);
	output->scan = NULL;
	ExecutorFinish(desc);
	output->scan = NULL;		/* it goes with the executor's memory */
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
}

static void
source_row(void *arg, TupleTableSlot *slot)
{
	(void) output_row(slot, arg);
}

static QueryDesc *
start_query(const Job *job, const JobsExportPlan *plan, Output *output, JobsFormatFile *file)
{
	QueryDesc  *desc = CreateQueryDesc(plan->plan, job->command, GetActiveSnapshot(), InvalidSnapshot,
									   &output->receiver, NULL, NULL, 0);
	double		rows = plan->plan->planTree->plan_rows;

	if (count_is_cheap(plan))
	{
		jobs_progress_phase("counting");
		file->rows = count_rows(job, plan->plan);
		jobs_progress_total(file->rows, false);
	}
	else
		jobs_progress_total(rows < MAX_ESTIMATE ? (int64) rows : -1, true);
	jobs_progress_phase("exporting");

	/* While parallel workers run, the first chunk could not get one. */
	(void) GetCurrentTransactionId();
	ExecutorStart(desc, 0);
	if (OidIsValid(plan->table))
	{
		Relation	rel = table_open(plan->table, NoLock);

		output->nblocks = RelationGetNumberOfBlocks(rel);
		table_close(rel, NoLock);
		output->by_place = plan->by_place;
		if (!plan->encoded && IsA(desc->planstate, SeqScanState))
			output->scan = (SeqScanState *) desc->planstate;
	}
	return desc;
}

/*
 * Where the result comes at once, so that reading it twice costs a moment.  Of
 * one table the blocks tell how far it is, and a volatile function must not be
 * called twice.
 */
static bool
count_is_cheap(const JobsExportPlan *plan)
{
	return !OidIsValid(plan->table) && !plan->encoded && !plan->is_volatile &&
		plan->plan->planTree->total_cost <= CHEAP_COST && plan->plan->planTree->plan_rows >= FEW_ROWS;
}

static int64
count_rows(const Job *job, PlannedStmt *plan)
{
	QueryDesc  *desc = CreateQueryDesc(plan, job->command, GetActiveSnapshot(), InvalidSnapshot,
									   None_Receiver, NULL, NULL, 0);
	int64		rows;

	ExecutorStart(desc, 0);
	jobs_ExecutorRun(desc, ForwardScanDirection, 0);
	rows = desc->estate->es_processed;
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	return rows;
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

	output->receiver.rStartup = output_startup;
	output->receiver.rShutdown = output_nothing;
	output->receiver.rDestroy = output_nothing;
	output->receiver.mydest = DestNone;
	output->format = request->format;
	output->artifact = jobs_artifact_begin(job, !request->options->gzip && !request->format->packed);
	if (request->options->gzip)
		output->gzip = jobs_gzip_begin(jobs_max_export_workers, write_artifact, output);
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

	CHECK_FOR_INTERRUPTS();
	output->format->row(output->file, slot);
	output->rows++;
	show_progress(output);
	return true;
}

/* What JobsEncode has made of some rows. */
static bool
output_lines(TupleTableSlot *slot, DestReceiver *receiver)
{
	Output	   *output = (Output *) receiver;
	struct varlena *bytes;

	CHECK_FOR_INTERRUPTS();
	slot_getsomeattrs(slot, JOBS_MERGE_ROWS);
	bytes = (struct varlena *) DatumGetPointer(slot->tts_values[JOBS_MERGE_BYTES - 1]);
	write_bytes(output, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	output->rows += DatumGetInt64(slot->tts_values[JOBS_MERGE_ROWS - 1]);
	if (output->by_place)
	{
		bool		isnull;
		Datum		place = slot_getattr(slot, JOBS_MERGE_PLACE, &isnull);

		output->block = ItemPointerGetBlockNumber((ItemPointer) DatumGetPointer(place));
	}
	show_progress(output);
	return true;
}

static void
show_progress(Output *output)
{
	int64		bytes = jobs_artifact_bytes(output->artifact);

	if (output->gzip == NULL && !output->encoded && output->format->pending)
		bytes += output->format->pending(output->file);
	if (output->scan && output->scan->ss.ss_currentScanDesc)
		output->block = ((HeapScanDesc) output->scan->ss.ss_currentScanDesc)->rs_cblock;
	if ((output->scan || output->by_place) && BlockNumberIsValid(output->block))
		jobs_progress_part((double) output->block / output->nblocks, output->rows, bytes);
	else
		jobs_progress_done(output->rows, bytes);
}

/* The format's sink. */
static void
write_bytes(void *arg, const char *data, Size len)
{
	Output	   *output = arg;

	if (output->gzip)
		jobs_gzip_write(output->gzip, data, len);
	else
		jobs_artifact_write(output->artifact, data, len);
	if (output->finishing)
		show_progress(output);
}

static void
write_artifact(void *arg, const char *data, Size len)
{
	jobs_artifact_write(((Output *) arg)->artifact, data, len);
}
