/*-------------------------------------------------------------------------
 *
 * rounds.c
 *	  What is done with the failed items of a bulk job: another round for them,
 *	  or leaving it at that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "args.h"
#include "bulk/ledger.h"
#include "control.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "rights.h"
#include "store.h"
#include "submit.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(jobs_retry_failed);
PG_FUNCTION_INFO_V1(jobs_skip_failed);

static Job *lock_partial(FunctionCallInfo fcinfo, const char *function, const char *what);
static int64 count_failed(JobsLedger *ledger, const char *reason);

/*
 * jobs.retry_failed(job bigint, reason text): how many items are queued again.
 */
Datum
jobs_retry_failed(PG_FUNCTION_ARGS)
{
	Job		   *job = lock_partial(fcinfo, "jobs.retry_failed()", "retried");
	JobsLedger *ledger = jobs_ledger_open(job->id, job->round, NULL, false);
	JobsItemRule rule = {.reason = jobs_text_arg(fcinfo, 1)};
	int64		n = count_failed(ledger, rule.reason);

	jobs_require_preload();
	if (n == 0)
		PG_RETURN_INT64(0);
	job->round++;
	job->failed -= n;
	job->processed -= n;
	rule.round = job->round;
	rule.made_at = GetCurrentTimestamp();
	jobs_ledger_add_rule(ledger, &rule);
	jobs_requeue(job);
	PG_RETURN_INT64(n);
}

/*
 * jobs.skip_failed(job bigint, reason text): how many items are skipped now.
 */
Datum
jobs_skip_failed(PG_FUNCTION_ARGS)
{
	Job		   *job = lock_partial(fcinfo, "jobs.skip_failed()", "changed");
	JobsLedger *ledger = jobs_ledger_open(job->id, job->round, NULL, false);
	JobsItemRule rule = {.skip = true, .reason = jobs_text_arg(fcinfo, 1)};
	int64		n = count_failed(ledger, rule.reason);

	if (n == 0)
		PG_RETURN_INT64(0);
	rule.round = job->round;
	rule.made_at = GetCurrentTimestamp();
	jobs_ledger_add_rule(ledger, &rule);
	job->failed -= n;
	job->skipped += n;
	if (job->failed == 0)
		job->state = JOB_SUCCEEDED;
	jobs_store_update_final(job, JOB_PARTIAL);
	jobs_note_job(job->id);
	PG_RETURN_INT64(n);
}

/* A bulk job that has finished, with or without failures, locked. */
static Job *
lock_partial(FunctionCallInfo fcinfo, const char *function, const char *what)
{
	JobId		id = jobs_changed_job_arg(fcinfo, function);
	Job		   *job = jobs_lock_controlled_final(id, what, "Wait until it has ended.");

	if (job->kind != JOB_BULK)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld is not a bulk job", (long long) id),
				 errhint("Call jobs.retry for a job that has failed.")));
	if (job->state == JOB_FAILED || job->state == JOB_CANCELLED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld %s before it was through with its items", (long long) id,
						job->state == JOB_FAILED ? "has failed" : "was cancelled"),
				 errhint("Call jobs.retry first: it goes on with the items that are still open.")));
	return job;
}

static int64
count_failed(JobsLedger *ledger, const char *reason)
{
	JobsItems  *items;
	int64		n = 0;
	int64		next = 1;

	while ((items = jobs_ledger_read(ledger, next)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < items->n; i++)
		{
			if (items->item[i].state == ITEM_FAILED &&
				(reason == NULL || strcmp(items->item[i].outcome->message, reason) == 0))
				n++;
		}
		next = items->first_no + items->n;
	}
	return n;
}
