/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  What clients say of the jobs that they have claimed.
 *
 * An answer counts while the lease lasts and the claim is the caller's; any
 * other is an error with SQLSTATE 55000, by which a client learns that the job
 * was cancelled, or given to another because the lease had run out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "args.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "outside/outside.h"
#include "rights.h"
#include "progress.h"
#include "settle.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "waiting.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(jobs_finish);
PG_FUNCTION_INFO_V1(jobs_fail);
PG_FUNCTION_INFO_V1(jobs_release);
PG_FUNCTION_INFO_V1(jobs_extend_lease);
PG_FUNCTION_INFO_V1(jobs_report_progress_of);

static Job *any_job_arg(FunctionCallInfo fcinfo, const char *function);
static Job *lock_claimed(FunctionCallInfo fcinfo, const char *function, int claim_arg, JobsLease **lease);
static JobsLease *lock_lease(FunctionCallInfo fcinfo, Job *job, int claim_arg);
static TimestampTz keep_items(FunctionCallInfo fcinfo, Job *job, int claim_arg, int items_arg, int64 usecs);
static void refuse_items(FunctionCallInfo fcinfo, const Job *job, int items_arg);
static void check_lease(const Job *job, const JobsLease *lease, bool numbered, int64 claim);

/* ------------------------------------------------------------------------
 * Whose job it is
 * ------------------------------------------------------------------------
 */

/* A job that may be done as a whole or item by item. */
static Job *
any_job_arg(FunctionCallInfo fcinfo, const char *function)
{
	jobs_require_preload();
	return jobs_find_claimable(jobs_changed_job_arg(fcinfo, function));
}

/* The job and its lease, both locked, which are the caller's. */
static Job *
lock_claimed(FunctionCallInfo fcinfo, const char *function, int claim_arg, JobsLease **lease)
{
	Job		   *found = jobs_claimable_arg(fcinfo, function, JOB_EXTERNAL);
	bool		held;
	Job		   *job = jobs_store_lock(found->id, JOBS_WAIT_BLOCK, &held);

	if (job == NULL)
		job = jobs_find_claimable(found->id);
	*lease = lock_lease(fcinfo, job, claim_arg);
	return job;
}

static JobsLease *
lock_lease(FunctionCallInfo fcinfo, Job *job, int claim_arg)
{
	bool		held;
	JobsLease  *lease = NULL;

	if (job->state == JOB_RUNNING)
		lease = jobs_store_lock_lease(job->id, JOBS_WAIT_BLOCK, &held);
	/* It may have been cancelled while we waited. */
	if (lease == NULL && job->state == JOB_RUNNING)
		job = jobs_find_claimable(job->id);
	check_lease(job, lease, !PG_ARGISNULL(claim_arg), PG_ARGISNULL(claim_arg) ? 0 : PG_GETARG_INT64(claim_arg));
	return lease;
}

static void
check_lease(const Job *job, const JobsLease *lease, bool numbered, int64 claim)
{
	if (lease && !numbered && !jobs_is_my_session(lease->session, lease->client))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld was claimed in another session", (long long) job->id),
				 errhint("Give the number that jobs.claim returned as claim.")));
	if (lease == NULL || (numbered && lease->claim != claim))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld is no longer claimed by this client", (long long) job->id),
				 errdetail("%s", jobs_what_happened(job)),
				 errhint("Stop working on it; nothing of it is wanted any more.")));
	if (lease->until <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld is no longer claimed by this client", (long long) job->id),
				 errdetail("Its lease has run out."),
				 errhint("Ask for a longer lease, or keep it with jobs.extend_lease.")));
}

char *
jobs_what_happened(const Job *job)
{
	switch (job->state)
	{
		case JOB_RUNNING:
			return "Another client has claimed it.";
		case JOB_CANCELLED:
			return "The job was cancelled.";
		case JOB_SUCCEEDED:
		case JOB_PARTIAL:
		case JOB_FAILED:
			return psprintf("The job has already %s.", job->state == JOB_PARTIAL ? "ended" : job_state_names[job->state]);
		default:
			return psprintf("The job was given back and is %s.", job_state_names[jobs_shown_state_now(job)]);
	}
}

/* ------------------------------------------------------------------------
 * The end
 * ------------------------------------------------------------------------
 */

/*
 * jobs.finish(job bigint, result jsonb, claim bigint)
 */
Datum
jobs_finish(PG_FUNCTION_ARGS)
{
	JobsLease  *lease;
	Job		   *job = lock_claimed(fcinfo, "jobs.finish()", 2, &lease);

	if (!PG_ARGISNULL(1))
		jobs_check_payload("result", PG_GETARG_JSONB_P(1));
	job->state = JOB_SUCCEEDED;
	job->finished_at = Max(GetCurrentTimestamp(), job->started_at);
	job->processed = lease->processed;
	job->total = lease->total;
	job->result = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	jobs_store_finish(job, JOB_RUNNING);
	jobs_note_job(job->id);
	PG_RETURN_VOID();
}

/*
 * jobs.fail(job bigint, message text, code text, retry boolean, claim bigint)
 *
 * Returns the state in which the job is now.
 */
Datum
jobs_fail(PG_FUNCTION_ARGS)
{
	JobsFailure failure = {0};
	JobsLease  *lease;
	Job		   *job;

	failure.message = jobs_failure_message(fcinfo, 1);
	failure.sqlstate = jobs_failure_code(fcinfo, 2);
	failure.final = !PG_ARGISNULL(3) && !PG_GETARG_BOOL(3);
	job = lock_claimed(fcinfo, "jobs.fail()", 4, &lease);
	jobs_settle(job, &failure);
	jobs_note_job(job->id);
	PG_RETURN_TEXT_P(cstring_to_text(job_state_names[job->state]));
}

char *
jobs_failure_message(FunctionCallInfo fcinfo, int n)
{
	char	   *message = PG_ARGISNULL(n) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(n));

	if (message[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("message must not be empty"),
				 errhint("It is what people read of why the work failed.")));
	return pnstrdup(message, pg_mbcliplen(message, strlen(message), JOBS_CLIENT_TEXT));
}

int
jobs_failure_code(FunctionCallInfo fcinfo, int n)
{
	char	   *code;

	if (PG_ARGISNULL(n))
		return ERRCODE_RAISE_EXCEPTION;
	code = text_to_cstring(PG_GETARG_TEXT_PP(n));
	/* Class 00 is no error. */
	if (strlen(code) != 5 || strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 ||
		strncmp(code, "00", 2) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("code must be an SQLSTATE of five digits or capital letters"),
				 errhint("Leave it out for P0001.")));
	return MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]);
}

/*
 * jobs.release(job bigint, claim bigint, items bigint[]): as if it had not been claimed.
 */
Datum
jobs_release(PG_FUNCTION_ARGS)
{
	JobsLease  *lease;
	Job		   *job = any_job_arg(fcinfo, "jobs.release()");

	if (job->kind == JOB_BULK)
	{
		(void) keep_items(fcinfo, job, 1, 2, 0);
		PG_RETURN_VOID();
	}
	refuse_items(fcinfo, job, 2);
	job = lock_claimed(fcinfo, "jobs.release()", 1, &lease);
	job->state = JOB_QUEUED;
	job->attempt--;
	job->started_at = 0;
	/* Another time, by which the scheduler sees that others have to be told. */
	job->run_at = GetCurrentTimestamp();
	jobs_store_update(job, JOB_RUNNING);
	jobs_note_job(job->id);
	PG_RETURN_VOID();
}

/* ------------------------------------------------------------------------
 * On the way
 * ------------------------------------------------------------------------
 */

/* Items that are named, or all that the claim has left. */
static TimestampTz
keep_items(FunctionCallInfo fcinfo, Job *job, int claim_arg, int items_arg, int64 usecs)
{
	bool		numbered = !PG_ARGISNULL(claim_arg);
	int64		claim = numbered ? PG_GETARG_INT64(claim_arg) : 0;

	if (PG_ARGISNULL(items_arg))
		return jobs_keep_items(job, numbered, claim, usecs);
	return jobs_keep_some_items(job, PG_GETARG_ARRAYTYPE_P(items_arg), numbered, claim, usecs);
}

static void
refuse_items(FunctionCallInfo fcinfo, const Job *job, int items_arg)
{
	if (!PG_ARGISNULL(items_arg))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("job %lld has no items", (long long) job->id),
				 errhint("Leave out items for a job that is done as a whole.")));
}

/*
 * jobs.extend_lease(job bigint, lease interval, claim bigint, items bigint[])
 *
 * Never shortens it.  The scheduler looks when the lease was going to end.
 */
Datum
jobs_extend_lease(PG_FUNCTION_ARGS)
{
	Job		   *job = any_job_arg(fcinfo, "jobs.extend_lease()");
	int64		usecs = jobs_lease_usecs(fcinfo, 1);
	JobsLease  *lease;

	if (job->kind == JOB_BULK)
		PG_RETURN_TIMESTAMPTZ(keep_items(fcinfo, job, 2, 3, usecs));
	refuse_items(fcinfo, job, 3);
	job = lock_claimed(fcinfo, "jobs.extend_lease()", 2, &lease);
	lease->until = Max(lease->until, jobs_lease_end(job, usecs));
	jobs_store_update_lease(lease);
	PG_RETURN_TIMESTAMPTZ(lease->until);
}

/*
 * jobs.report_progress_of(job bigint, processed bigint, total bigint, message text, claim bigint)
 */
Datum
jobs_report_progress_of(PG_FUNCTION_ARGS)
{
	Job		   *job;
	int64		processed;
	int64		total = jobs_count_arg(fcinfo, 2, "total");
	JobsLease  *lease;

	jobs_require_arg(fcinfo, 1, "processed", "Pass how much is done.");
	processed = jobs_count_arg(fcinfo, 1, "processed");
	job = lock_claimed(fcinfo, "jobs.report_progress_of()", 4, &lease);
	lease->processed = processed;
	if (total >= 0)
		lease->total = total;
	if (lease->total > 0)
		lease->percent = Max(lease->percent, Min(100.0 * processed / lease->total, JOBS_MAX_PERCENT));
	if (!PG_ARGISNULL(3))
	{
		char	   *message = text_to_cstring(PG_GETARG_TEXT_PP(3));

		lease->message = pnstrdup(message, pg_mbcliplen(message, strlen(message), JOBS_MESSAGE_LEN - 1));
	}
	jobs_store_update_lease(lease);
	jobs_note_job(job->id);
	PG_RETURN_VOID();
}
