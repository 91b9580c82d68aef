/*-------------------------------------------------------------------------
 *
 * bulk.c
 *	  jobs.bulk and jobs.bulk_query: submitting bulk jobs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "args.h"
#include "bulk/bulk.h"
#include "bulk/command.h"
#include "bulk/ledger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "store.h"
#include "submit.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(jobs_bulk);
PG_FUNCTION_INFO_V1(jobs_bulk_query);

/* The arguments of both, before the common ones. */
enum
{
	ARG_COMMAND, ARG_ITEMS, ARG_WORKERS, ARG_STOP_AFTER, ARG_COMMON
};

static Job *new_bulk(FunctionCallInfo fcinfo, const char *function, bool outside);
static void set_options(FunctionCallInfo fcinfo, Job *job, const char *items_query);
static void push_number(JsonbParseState **state, const char *key, bool isnull, int32 number);
static int64 check_items(Jsonb *items);
static void add_items(JobId job, int workers, Jsonb *items);

/*
 * jobs.bulk(command text, items jsonb, workers integer, stop_after integer, ...)
 */
Datum
jobs_bulk(PG_FUNCTION_ARGS)
{
	Job		   *job = new_bulk(fcinfo, "jobs.bulk()", PG_ARGISNULL(ARG_COMMAND));
	Jsonb	   *items;
	JobId		id;

	jobs_require_arg(fcinfo, ARG_ITEMS, "items", "Pass a JSON array with an element for each item.");
	items = PG_GETARG_JSONB_P(ARG_ITEMS);
	job->total = check_items(items);
	job->processed = job->succeeded = job->failed = job->skipped = 0;
	set_options(fcinfo, job, NULL);
	id = jobs_submit(fcinfo, ARG_COMMON, job);
	/* Else it is another job, with the same unique key. */
	if (id == job->id)
		add_items(id, jobs_bulk_option(job, "workers"), items);
	PG_RETURN_INT64(id);
}

/*
 * jobs.bulk_query(command text, items_query text, workers integer, stop_after integer, ...)
 */
Datum
jobs_bulk_query(PG_FUNCTION_ARGS)
{
	Job		   *job = new_bulk(fcinfo, "jobs.bulk_query()", PG_ARGISNULL(ARG_COMMAND));
	char	   *items_query;

	jobs_require_arg(fcinfo, ARG_ITEMS, "items_query", "Pass a query that returns a row for each item.");
	items_query = jobs_text_arg(fcinfo, ARG_ITEMS);
	PushActiveSnapshot(GetTransactionSnapshot());
	(void) jobs_bulk_plan_items(items_query);
	PopActiveSnapshot();
	set_options(fcinfo, job, items_query);
	PG_RETURN_INT64(jobs_submit(fcinfo, ARG_COMMON, job));
}

/* A job without a command is for clients to do, outside of the server. */
static Job *
new_bulk(FunctionCallInfo fcinfo, const char *function, bool outside)
{
	Job		   *job;

	jobs_check_can_submit(function);
	if (!outside)
		jobs_require_arg(fcinfo, ARG_COMMAND, "command", "Pass the statement that does one item.");
	job = jobs_new_job(fcinfo, ARG_COMMON, JOB_BULK);
	job->command = outside ? "" : jobs_text_arg(fcinfo, ARG_COMMAND);
	if (!outside)
		jobs_bulk_check_command(job->command);
	if (job->title == NULL)
		job->title = outside ? "Bulk job" : jobs_title_from("Bulk: ", job->command);
	return job;
}

static void
set_options(FunctionCallInfo fcinfo, Job *job, const char *items_query)
{
	JsonbParseState *state = NULL;
	int32		workers = PG_ARGISNULL(ARG_WORKERS) ? 1 : PG_GETARG_INT32(ARG_WORKERS);

	if (workers < 1 || workers > JOBS_MAX_BULK_WORKERS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workers must be from 1 to %d", JOBS_MAX_BULK_WORKERS),
				 errhint("jobs.max_workers says how many can work at a time.")));
	if (!PG_ARGISNULL(ARG_STOP_AFTER) && PG_GETARG_INT32(ARG_STOP_AFTER) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("stop_after must be at least 1"),
				 errhint("With null, no number of equal failures stops the job.")));
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_number(&state, "workers", false, workers);
	push_number(&state, "stop_after", PG_ARGISNULL(ARG_STOP_AFTER),
				PG_ARGISNULL(ARG_STOP_AFTER) ? 0 : PG_GETARG_INT32(ARG_STOP_AFTER));
	if (items_query)
		jobs_push_text(&state, "items_query", items_query);
	job->options = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static void
push_number(JsonbParseState **state, const char *key, bool isnull, int32 number)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
	value.type = isnull ? jbvNull : jbvNumeric;
	if (!isnull)
		value.val.numeric = int64_to_numeric(number);
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* Returns how many there are. */
static int64
check_items(Jsonb *items)
{
	JsonbIterator *it;
	JsonbValue	value;
	int64		n = 0;

	if (!JB_ROOT_IS_ARRAY(items) || JB_ROOT_IS_SCALAR(items))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("items must be a JSON array"),
				 errhint("For the rows of a query use jobs.bulk_query.")));
	if (JB_ROOT_COUNT(items) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("items must not be empty"),
				 errhint("There would be nothing to do.")));
	it = JsonbIteratorInit(&items->root);
	(void) JsonbIteratorNext(&it, &value, false);
	while (JsonbIteratorNext(&it, &value, true) == WJB_ELEM)
	{
		n++;
		CHECK_FOR_INTERRUPTS();
		if (value.type == jbvNull)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("item %lld is null", (long long) n),
					 errhint("Leave it out, or use an object with a field that is null.")));
	}
	return n;
}

static void
add_items(JobId job, int workers, Jsonb *items)
{
	JobsItemWriter *writer = jobs_items_begin(job, workers, JB_ROOT_COUNT(items));
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "jobs item", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	JsonbIterator *it = JsonbIteratorInit(&items->root);
	JsonbValue	value;

	(void) JsonbIteratorNext(&it, &value, false);
	while (JsonbIteratorNext(&it, &value, true) == WJB_ELEM)
	{
		Jsonb	   *payload;

		CHECK_FOR_INTERRUPTS();
		old = MemoryContextSwitchTo(context);
		payload = JsonbValueToJsonb(&value);
		MemoryContextSwitchTo(old);
		jobs_items_add(writer, payload);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
	(void) jobs_items_end(writer);
}

/* ------------------------------------------------------------------------
 * Options
 * ------------------------------------------------------------------------
 */

static JsonbValue *
option(const Job *job, const char *name, JsonbValue *buffer)
{
	if (job->options == NULL || !JB_ROOT_IS_OBJECT(job->options))
		return NULL;
	return getKeyJsonValueFromContainer(&job->options->root, name, strlen(name), buffer);
}

int64
jobs_bulk_option(const Job *job, const char *name)
{
	JsonbValue	buffer;
	JsonbValue *value = option(job, name, &buffer);

	if (value == NULL || value->type != jbvNumeric)
		return -1;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

char *
jobs_bulk_items_query(const Job *job)
{
	JsonbValue	buffer;
	JsonbValue *value = option(job, "items_query", &buffer);

	return value && value->type == jbvString ? pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}
