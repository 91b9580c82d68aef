/*-------------------------------------------------------------------------
 *
 * view.c
 *	  The items of bulk jobs for those who may see them: jobs.item,
 *	  jobs.failures and jobs.item_history.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bulk/ledger.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "rights.h"
#include "store.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(jobs_items);
PG_FUNCTION_INFO_V1(jobs_failures);
PG_FUNCTION_INFO_V1(jobs_item_history);

#define ITEM_COLUMNS	10
#define HISTORY_COLUMNS	9
#define KEPT_REASONS	1000	/* that are told apart in a message */

/* Failed items with the same error. */
typedef struct Reason
{
	const char *key[2];			/* SQLSTATE and message */
	int64		n;
	int64		first_no;
	Jsonb	   *example;
} Reason;

static Job *visible_job(JobId id);
static Job *required_job(JobId id);
static void put_text(Datum *values, bool *nulls, int n, const char *text);
static void put_jsonb(Datum *values, bool *nulls, int n, const Jsonb *value);
static Jsonb *result_of(const JobsItem *item, int64 item_no);
static HTAB *gather_reasons(JobsLedger *ledger, bool all, int64 *others);
static bool add_failure(HTAB *reasons, JobsItems *items, int i, bool all);
static List *sort_reasons(HTAB *reasons);
static int	compare_reasons(const ListCell *a, const ListCell *b);
static void put_item(ReturnSetInfo *rsinfo, JobsItems *items, int i);
static void put_history(ReturnSetInfo *rsinfo, int64 item_no, int32 round, JobsItemState state,
						const JobsOutcome *outcome, Jsonb *result, TimestampTz at);

/* NULL where there is none or it is not the caller's to see. */
static Job *
visible_job(JobId id)
{
	bool		own;
	Job		   *job = jobs_store_find(id, &own);

	if (job == NULL || job->kind != JOB_BULK || !jobs_may_see(job->owner, job->tenant))
		return NULL;
	return job;
}

/* For functions that are about one job. */
static Job *
required_job(JobId id)
{
	bool		own;
	Job		   *job = jobs_find_seen(id, &own);

	if (job->kind != JOB_BULK)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld is not a bulk job", (long long) id),
				 errhint("Only bulk jobs have items.")));
	return job;
}

static void
put_text(Datum *values, bool *nulls, int n, const char *text)
{
	nulls[n] = text == NULL;
	values[n] = text ? CStringGetTextDatum(text) : (Datum) 0;
}

static void
put_jsonb(Datum *values, bool *nulls, int n, const Jsonb *value)
{
	nulls[n] = value == NULL;
	values[n] = PointerGetDatum(value);
}

static Jsonb *
result_of(const JobsItem *item, int64 item_no)
{
	const JobsOutcome *outcome = item->outcome;

	return outcome && outcome->results && item->state != ITEM_OPEN ? outcome->results[item_no - outcome->first_no] : NULL;
}

/*
 * jobs._items(job bigint, first_no bigint): the items of one chunk.
 *
 * The view calls it for chunk after chunk of a job, in one query.
 */
Datum
jobs_items(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	JobId		id = PG_GETARG_INT64(0);
	Job		   *job = visible_job(id);
	JobsLedger *ledger;
	JobsItems  *items;

	InitMaterializedSRF(fcinfo, 0);
	if (job == NULL)
		return (Datum) 0;
	ledger = jobs_ledger_open(id, job->round, GetActiveSnapshot(), true);
	items = jobs_ledger_read(ledger, PG_GETARG_INT64(1));
	for (int i = 0; items && items->first_no == PG_GETARG_INT64(1) && i < items->n; i++)
	{
		const JobsItem *item = &items->item[i];
		const JobsOutcome *outcome = item->state == ITEM_OPEN ? NULL : item->outcome;
		Datum		values[ITEM_COLUMNS];
		bool		nulls[ITEM_COLUMNS] = {false};

		values[0] = Int64GetDatum(items->first_no + i);
		put_jsonb(values, nulls, 1, jobs_items_payload(items, i));
		put_text(values, nulls, 2, jobs_item_state_names[item->state]);
		values[3] = Int32GetDatum(item->round);
		put_text(values, nulls, 4, outcome ? outcome->code : NULL);
		put_text(values, nulls, 5, outcome ? outcome->message : NULL);
		put_text(values, nulls, 6, outcome ? outcome->detail : NULL);
		put_text(values, nulls, 7, outcome ? outcome->hint : NULL);
		put_jsonb(values, nulls, 8, result_of(item, items->first_no + i));
		nulls[9] = item->finished_at == 0;
		values[9] = TimestampTzGetDatum(item->finished_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	jobs_ledger_close(ledger);
	return (Datum) 0;
}

/* ------------------------------------------------------------------------
 * Failures by reason
 * ------------------------------------------------------------------------
 */

/*
 * jobs.failures(job bigint): reason, error_code, count, example
 */
Datum
jobs_failures(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Job		   *job = required_job(PG_GETARG_INT64(0));
	JobsLedger *ledger;
	ListCell   *cell;
	int64		others;

	InitMaterializedSRF(fcinfo, 0);
	ledger = jobs_ledger_open(job->id, job->round, GetActiveSnapshot(), false);
	foreach(cell, sort_reasons(gather_reasons(ledger, true, &others)))
	{
		Datum		values[4];
		bool		nulls[4] = {false};
		Reason	   *reason = lfirst(cell);

		put_text(values, nulls, 0, reason->key[1]);
		put_text(values, nulls, 1, reason->key[0]);
		values[2] = Int64GetDatum(reason->n);
		put_jsonb(values, nulls, 3, reason->example);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	jobs_ledger_close(ledger);
	return (Datum) 0;
}

static uint32
hash_reason(const void *key, Size size)
{
	const char *const *k = key;

	return hash_bytes((const unsigned char *) k[0], strlen(k[0])) ^
		hash_bytes((const unsigned char *) k[1], strlen(k[1]));
}

static int
match_reasons(const void *a, const void *b, Size size)
{
	const char *const *x = a;
	const char *const *y = b;

	return strcmp(x[0], y[0]) != 0 || strcmp(x[1], y[1]) != 0;
}

List *
jobs_failure_reasons(JobId job, int32 round, int max, int64 *others)
{
	JobsLedger *ledger = jobs_ledger_open(job, round, NULL, false);
	List	   *reasons = NIL;
	ListCell   *cell;

	foreach(cell, sort_reasons(gather_reasons(ledger, false, others)))
	{
		Reason	   *reason = lfirst(cell);
		JobsReason *copy = palloc(sizeof(JobsReason));

		*copy = (JobsReason) {reason->key[0], reason->key[1], reason->n};
		if (list_length(reasons) < max)
			reasons = lappend(reasons, copy);
		else
			*others += reason->n;
	}
	jobs_ledger_close(ledger);
	return reasons;
}

static List *
sort_reasons(HTAB *reasons)
{
	HASH_SEQ_STATUS status;
	Reason	   *reason;
	List	   *sorted = NIL;

	hash_seq_init(&status, reasons);
	while ((reason = hash_seq_search(&status)) != NULL)
		sorted = lappend(sorted, reason);
	list_sort(sorted, compare_reasons);
	return sorted;
}

/*
 * In the current memory context.  Unless all are wanted, with their examples, what
 * comes after KEPT_REASONS different ones is only counted.
 */
static HTAB *
gather_reasons(JobsLedger *ledger, bool all, int64 *others)
{
	HASHCTL		ctl = {.keysize = 2 * sizeof(char *), .entrysize = sizeof(Reason), .hash = hash_reason,
	.match = match_reasons, .hcxt = CurrentMemoryContext};
	HTAB	   *reasons = hash_create("jobs reasons", 64, &ctl,
									  HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	JobsItems  *items;
	int64		next = 1;

	*others = 0;
	while ((items = jobs_ledger_read(ledger, next)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < items->n; i++)
		{
			if (items->item[i].state == ITEM_FAILED && !add_failure(reasons, items, i, all))
				(*others)++;
		}
		next = items->first_no + items->n;
	}
	return reasons;
}

static bool
add_failure(HTAB *reasons, JobsItems *items, int i, bool all)
{
	const JobsOutcome *outcome = items->item[i].outcome;
	const char *key[2] = {outcome->code ? outcome->code : "", outcome->message ? outcome->message : ""};
	bool		room = all || hash_get_num_entries(reasons) < KEPT_REASONS;
	bool		found;
	Reason	   *reason = hash_search(reasons, key, room ? HASH_ENTER : HASH_FIND, &found);

	if (reason == NULL)
		return false;
	if (!found)
	{
		/* The chunk goes with the next one. */
		reason->key[0] = pstrdup(key[0]);
		reason->key[1] = pstrdup(key[1]);
		reason->n = 0;
		reason->first_no = items->first_no + i;
		reason->example = NULL;
		if (all)
		{
			Jsonb	   *payload = jobs_items_payload(items, i);

			reason->example = palloc(VARSIZE(payload));
			memcpy(reason->example, payload, VARSIZE(payload));
		}
	}
	reason->n++;
	return true;
}

/* Most first; of equals the one that was met first. */
static int
compare_reasons(const ListCell *a, const ListCell *b)
{
	const Reason *x = lfirst(a);
	const Reason *y = lfirst(b);

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return x->first_no < y->first_no ? -1 : 1;
}

/* ------------------------------------------------------------------------
 * History
 * ------------------------------------------------------------------------
 */

/*
 * jobs.item_history(job bigint, item_no bigint): every outcome that an item, or
 * each item, has had, by item and round.
 */
Datum
jobs_item_history(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Job		   *job;
	JobsLedger *ledger;
	JobsItems  *items;
	bool		all = PG_ARGISNULL(1);
	int64		only = all ? 1 : PG_GETARG_INT64(1);
	int64		next = only;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	job = required_job(PG_GETARG_INT64(0));
	ledger = jobs_ledger_open(job->id, job->round, GetActiveSnapshot(), true);
	while (next > 0 && (items = jobs_ledger_read(ledger, next)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < items->n; i++)
		{
			if (all || items->first_no + i == only)
				put_item(rsinfo, items, i);
		}
		next = items->first_no + items->n;
		if (!all)
			break;
	}
	jobs_ledger_close(ledger);
	return (Datum) 0;
}

/* Its outcomes, and that it was settled as skipped where the last is that it failed. */
static void
put_item(ReturnSetInfo *rsinfo, JobsItems *items, int i)
{
	const JobsItem *item = &items->item[i];
	int64		item_no = items->first_no + i;
	ListCell   *cell;

	foreach(cell, items->outcomes)
	{
		const JobsOutcome *outcome = lfirst(cell);

		if (item_no >= outcome->first_no && item_no < outcome->first_no + outcome->n)
			put_history(rsinfo, item_no, outcome->round, outcome->state, outcome,
						outcome->results ? outcome->results[item_no - outcome->first_no] : NULL,
						outcome->finished_at);
	}
	if (item->state == ITEM_SKIPPED && item->outcome->state == ITEM_FAILED)
		put_history(rsinfo, item_no, item->round, ITEM_SKIPPED, item->outcome, NULL, item->finished_at);
}

static void
put_history(ReturnSetInfo *rsinfo, int64 item_no, int32 round, JobsItemState state,
			const JobsOutcome *outcome, Jsonb *result, TimestampTz at)
{
	Datum		values[HISTORY_COLUMNS];
	bool		nulls[HISTORY_COLUMNS] = {false};

	values[0] = Int64GetDatum(item_no);
	values[1] = Int32GetDatum(round);
	put_text(values, nulls, 2, jobs_item_state_names[state]);
	put_text(values, nulls, 3, outcome->code);
	put_text(values, nulls, 4, outcome->message);
	put_text(values, nulls, 5, outcome->detail);
	put_text(values, nulls, 6, outcome->hint);
	put_jsonb(values, nulls, 7, result);
	values[8] = TimestampTzGetDatum(at);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
