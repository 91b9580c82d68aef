/*-------------------------------------------------------------------------
 *
 * item_answer.c
 *	  What clients say of the items that they have claimed.
 *
 * An answer is an outcome in the ledger.  Together with it goes the lease, once all
 * of its items have one.  Whoever answers holds the lease's row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "args.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "outside/outside.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(jobs_finish_items);
PG_FUNCTION_INFO_V1(jobs_fail_item);

#define SKIPPED_CODE	"JB001"

/* One item that is answered. */
typedef struct Answered
{
	int64		no;
	Jsonb	   *result;			/* or NULL */
} Answered;

/* One call. */
typedef struct Answer
{
	Job		   *job;
	JobsLedger *ledger;
	bool		numbered;
	int64		claim;
	JobsOutcome outcome;		/* what all of its outcomes have in common */
	Answered   *items;			/* by number */
	int			n;
	int64		usecs;			/* for which they are kept; 0: they are given back */
	TimestampTz until;			/* that is then */
} Answer;

static void read_items(Answer *answer, ArrayType *array, Jsonb *results);
static void read_results(Answer *answer, Jsonb *results);
static int	compare_items(const void *a, const void *b);
static void give_answer(Answer *answer);
static void for_each_lease(Answer *answer, void (*fn) (Answer *answer, JobsItemLease *lease, int first, int n));
static JobsItemLease *lock_lease(Answer *answer, int64 item_no);
static JobsItems *read_leased(Answer *answer, JobsItemLease *lease, int first, int n, bool *chosen);
static void answer_lease(Answer *answer, JobsItemLease *lease, int first, int n);
static void add_run(Answer *answer, int first, int n);
static void keep_lease(Answer *answer, JobsItemLease *lease, int first, int n);
static void refuse(const Answer *answer, int64 item_no, const char *detail, const char *hint);
static void refuse_ended(Answer *answer, int64 item_no);

/* ------------------------------------------------------------------------
 * Answers
 * ------------------------------------------------------------------------
 */

/*
 * jobs.finish_items(job bigint, items bigint[], results jsonb, claim bigint)
 */
Datum
jobs_finish_items(PG_FUNCTION_ARGS)
{
	Answer		answer = {.job = jobs_claimable_arg(fcinfo, "jobs.finish_items()", JOB_BULK)};

	jobs_require_arg(fcinfo, 1, "items", "Pass the numbers of the items that are done.");
	answer.numbered = !PG_ARGISNULL(3);
	answer.claim = answer.numbered ? PG_GETARG_INT64(3) : 0;
	answer.outcome.state = ITEM_SUCCEEDED;
	read_items(&answer, PG_GETARG_ARRAYTYPE_P(1), PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2));
	give_answer(&answer);
	PG_RETURN_VOID();
}

/*
 * jobs.fail_item(job bigint, item_no bigint, message text, code text, claim bigint)
 */
Datum
jobs_fail_item(PG_FUNCTION_ARGS)
{
	Answer		answer = {.job = jobs_claimable_arg(fcinfo, "jobs.fail_item()", JOB_BULK)};
	Answered	item = {0};

	jobs_require_arg(fcinfo, 1, "item_no", "Pass the number that jobs.claim_items has returned.");
	item.no = PG_GETARG_INT64(1);
	answer.items = &item;
	answer.n = 1;
	answer.numbered = !PG_ARGISNULL(4);
	answer.claim = answer.numbered ? PG_GETARG_INT64(4) : 0;
	answer.outcome.message = jobs_failure_message(fcinfo, 2);
	answer.outcome.code = pstrdup(unpack_sql_state(jobs_failure_code(fcinfo, 3)));
	answer.outcome.state = strcmp(answer.outcome.code, SKIPPED_CODE) == 0 ? ITEM_SKIPPED : ITEM_FAILED;
	give_answer(&answer);
	PG_RETURN_VOID();
}

static void
read_items(Answer *answer, ArrayType *array, Jsonb *results)
{
	Datum	   *numbers;
	bool	   *nulls;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &numbers, &nulls, &answer->n);
	if (answer->n > JOBS_MAX_CLAIM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("items must have at most %d elements", JOBS_MAX_CLAIM),
				 errhint("Finish them in several calls.")));
	answer->items = palloc0(Max(answer->n, 1) * sizeof(Answered));
	for (int i = 0; i < answer->n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("items must not contain nulls"),
					 errhint("Pass the numbers that jobs.claim_items has returned.")));
		answer->items[i].no = DatumGetInt64(numbers[i]);
	}
	if (results)
		read_results(answer, results);
	qsort(answer->items, answer->n, sizeof(Answered), compare_items);
	for (int i = 1; i < answer->n; i++)
	{
		if (answer->items[i].no == answer->items[i - 1].no)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("items must not contain %lld twice", (long long) answer->items[i].no),
					 errhint("An item is done once.")));
	}
}

/* One for each item, in their order; null is none. */
static void
read_results(Answer *answer, Jsonb *results)
{
	if (!JB_ROOT_IS_ARRAY(results) || JB_ROOT_IS_SCALAR(results) || JB_ROOT_COUNT(results) != answer->n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("results must be an array with an element for each item"),
				 errhint("An element that is null stands for no result.")));
	for (int i = 0; i < answer->n; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&results->root, i);

		if (value->type != jbvNull)
			answer->items[i].result = JsonbValueToJsonb(value);
		if (answer->items[i].result)
			jobs_check_payload(psprintf("the result of item %lld", (long long) answer->items[i].no),
							   answer->items[i].result);
	}
}

static int
compare_items(const void *a, const void *b)
{
	int64		x = ((const Answered *) a)->no;
	int64		y = ((const Answered *) b)->no;

	return x < y ? -1 : x > y;
}

/* All of it or nothing. */
static void
give_answer(Answer *answer)
{
	if (answer->n == 0)
		return;
	for_each_lease(answer, answer_lease);
	jobs_tally_add(answer->job, &answer->outcome, answer->items[answer->n - 1].no, answer->n);
	jobs_note_job(answer->job->id);
}

/* Calls it with each lease that has some of the items, locked, and which they are. */
static void
for_each_lease(Answer *answer, void (*fn) (Answer *answer, JobsItemLease *lease, int first, int n))
{
	int			first = 0;
	int64		total = answer->job->total;

	if (answer->items[0].no < 1 || answer->items[answer->n - 1].no > total)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("job %lld has no item %lld", (long long) answer->job->id,
						(long long) (answer->items[0].no < 1 ? answer->items[0].no : answer->items[answer->n - 1].no)),
				 errhint("Its items are numbered from 1 to %lld.", (long long) total)));
	jobs_ledger_share(answer->job->id);
	/* It may have been deleted while we waited. */
	answer->job = jobs_find_claimable(answer->job->id);
	if (answer->job->state != JOB_RUNNING)
		refuse(answer, answer->items[0].no, jobs_what_happened(answer->job),
			   "Stop working on it; nothing of it is wanted any more.");
	answer->ledger = jobs_ledger_open(answer->job->id, answer->job->round, NULL, false);
	answer->outcome.round = answer->job->round;
	answer->outcome.finished_at = GetCurrentTimestamp();
	while (first < answer->n)
	{
		JobsItemLease *lease = lock_lease(answer, answer->items[first].no);
		int			n = 1;

		while (first + n < answer->n && answer->items[first + n].no < lease->first_no + lease->n)
			n++;
		fn(answer, lease, first, n);
		first += n;
	}
	jobs_ledger_close(answer->ledger);
}

/* The lease that has an item, which must be the caller's and last still. */
static JobsItemLease *
lock_lease(Answer *answer, int64 item_no)
{
	bool		held;
	JobsItemLease *lease = jobs_store_lock_item_lease(answer->job->id, item_no, JOBS_WAIT_BLOCK, &held);

	if (lease && !answer->numbered && !jobs_is_my_session(lease->session, lease->client))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("item %lld of job %lld was claimed in another session", (long long) item_no,
						(long long) answer->job->id),
				 errhint("Give the number that jobs.claim_items returned as claim.")));
	if (lease == NULL)
		refuse_ended(answer, item_no);
	if (answer->numbered && lease->claim != answer->claim)
		refuse(answer, item_no, "Another client has claimed it.",
			   "Stop working on it; nothing of it is wanted any more.");
	if (lease->until <= answer->outcome.finished_at)
		refuse(answer, item_no, "Its lease has run out.",
			   "Ask for a longer lease, or keep it with jobs.extend_lease.");
	return lease;
}

/* The chunk of a lease, and which of its items are among n that must be open. */
static JobsItems *
read_leased(Answer *answer, JobsItemLease *lease, int first, int n, bool *chosen)
{
	JobsItems  *items = jobs_ledger_read(answer->ledger, lease->first_no);

	memset(chosen, false, JOBS_CHUNK_ITEMS * sizeof(bool));
	for (int i = first; i < first + n; i++)
	{
		int			at = answer->items[i].no - items->first_no;

		if (items->item[at].state != ITEM_OPEN)
			refuse_ended(answer, answer->items[i].no);
		chosen[at] = true;
	}
	return items;
}

/* Answers for n items of a lease. */
static void
answer_lease(Answer *answer, JobsItemLease *lease, int first, int n)
{
	bool		done[JOBS_CHUNK_ITEMS];
	JobsItems  *items = read_leased(answer, lease, first, n, done);
	int			left = 0;
	int			begun = first;

	for (int at = lease->first_no - items->first_no; at < lease->first_no - items->first_no + lease->n; at++)
		left += items->item[at].state == ITEM_OPEN && !done[at];
	for (int i = first; i < first + n; i++)
	{
		if (i + 1 == first + n || answer->items[i + 1].no != answer->items[i].no + 1)
		{
			add_run(answer, begun, i + 1 - begun);
			begun = i + 1;
		}
	}
	if (left == 0)
		jobs_store_remove_item_lease(lease);
}

/* One outcome for neighbours. */
static void
add_run(Answer *answer, int first, int n)
{
	JobsOutcome outcome = answer->outcome;
	Jsonb	   *results[JOBS_CHUNK_ITEMS];

	outcome.first_no = answer->items[first].no;
	outcome.n = n;
	for (int i = 0; i < n; i++)
	{
		results[i] = answer->items[first + i].result;
		if (results[i])
			outcome.results = results;
	}
	jobs_ledger_add(answer->ledger, &outcome);
}

static void
refuse(const Answer *answer, int64 item_no, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("item %lld of job %lld is no longer claimed by this client", (long long) item_no,
					(long long) answer->job->id),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}

/* An item that has no lease. */
static void
refuse_ended(Answer *answer, int64 item_no)
{
	JobsItems  *items = jobs_ledger_read(answer->ledger, item_no);
	JobsItemState state = items->item[item_no - items->first_no].state;

	refuse(answer, item_no, state == ITEM_OPEN ? "Nobody has claimed it." :
		   psprintf("It has already %s%s.", state == ITEM_SKIPPED ? "been " : "", jobs_item_state_names[state]),
		   "Stop working on it; nothing of it is wanted any more.");
}

/* ------------------------------------------------------------------------
 * Keeping some of them
 * ------------------------------------------------------------------------
 */

TimestampTz
jobs_keep_some_items(Job *job, ArrayType *items, bool numbered, int64 claim, int64 usecs)
{
	Answer		answer = {.job = job, .numbered = numbered, .claim = claim};

	read_items(&answer, items, NULL);
	if (answer.n == 0)
		return GetCurrentTimestamp();
	answer.usecs = usecs;
	for_each_lease(&answer, keep_lease);
	/* Others can have them now. */
	if (usecs == 0)
		jobs_note_job(job->id);
	return answer.until;
}

/* Those of a lease that are not meant get one of their own, which ends when it did. */
static void
keep_lease(Answer *answer, JobsItemLease *lease, int first, int n)
{
	bool		chosen[JOBS_CHUNK_ITEMS];
	JobsItems  *items = read_leased(answer, lease, first, n, chosen);
	int64		end = lease->first_no + lease->n;
	JobsItemLease part = *lease;
	TimestampTz until;

	if (answer->until == 0)
		answer->until = answer->usecs > 0 ? jobs_lease_end(answer->job, answer->usecs) : GetCurrentTimestamp();
	until = answer->usecs > 0 ? Max(answer->until, lease->until) : answer->until;
	part.n = 0;
	jobs_store_remove_item_lease(lease);
	for (int64 no = lease->first_no; no < end; no++)
	{
		int			at = no - items->first_no;
		TimestampTz its = chosen[at] ? until : lease->until;

		if (items->item[at].state != ITEM_OPEN)
			continue;
		if (part.n > 0 && part.until != its)
		{
			jobs_store_add_item_lease(&part);
			part.n = 0;
		}
		if (part.n == 0)
			part.first_no = no;
		part.n = no - part.first_no + 1;
		part.until = its;
	}
	if (part.n > 0)
		jobs_store_add_item_lease(&part);
}
