/*-------------------------------------------------------------------------
 *
 * lapse.c
 *	  Jobs for clients as the scheduler sees them: offers, leases, news.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "books.h"
#include "guc.h"
#include "held.h"
#include "miscadmin.h"
#include "notify.h"
#include "outside/outside.h"
#include "rights.h"
#include "session.h"
#include "settle.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static void offer(JobId id);
static TimestampTz look_at_lease(const Job *job, JobsEntry *entry);
static void lapse(JobId id);
static void settle_lapsed(Job *job, const JobsLease *lease);
static void tell_progress(const Job *job, const JobsLease *lease);

void
jobs_outside_place(const Job *job, JobsEntry *entry)
{
	switch (job->state)
	{
		case JOB_SCHEDULED:
			if (job->run_at > GetCurrentTimestamp())
				jobs_queue_timed(entry, job->run_at);
			else
				offer(job->id);
			break;
		case JOB_QUEUED:
			jobs_queue_offered(entry);
			break;
		case JOB_RUNNING:
			{
				TimestampTz until = look_at_lease(job, entry);

				if (until > GetCurrentTimestamp())
					jobs_queue_timed(entry, until);
				else
					lapse(job->id);
			}
			break;
		default:
			break;
	}
}

/* A scheduled job is due. */
static void
offer(JobId id)
{
	bool		held;
	Job		   *job = jobs_store_lock(id, JOBS_WAIT_SKIP, &held);

	if (held)
	{
		(void) jobs_held_again(id);
		return;
	}
	if (job && job->state == JOB_SCHEDULED && job->run_at <= GetCurrentTimestamp())
	{
		job->state = JOB_QUEUED;
		jobs_store_update(job, JOB_SCHEDULED);
	}
	jobs_books_note(id);
}

/* When it ends; tells of progress that it shows. */
static TimestampTz
look_at_lease(const Job *job, JobsEntry *entry)
{
	JobsLease  *lease = jobs_store_find_lease(job->id);

	if (lease == NULL)
		return DT_NOBEGIN;
	if (lease->processed >= 0 &&
		(lease->processed != entry->told_processed || lease->total != entry->told_total))
		tell_progress(job, lease);
	entry->told_processed = lease->processed;
	entry->told_total = lease->total;
	return lease->until;
}

static void
tell_progress(const Job *job, const JobsLease *lease)
{
	JobsEvent	event = {
		.job = job->id,
		.job_kind = job->kind,
		.state = JOB_RUNNING,
		.processed = lease->processed,
		.total = lease->total
	};

	jobs_notify_outside(&event, lease->percent);
}

/*
 * The lease of a job has ended and its client has not answered.  Neither row is
 * waited for: a client's transaction may hold them.
 */
static void
lapse(JobId id)
{
	bool		held;
	bool		lease_held = false;
	Job		   *job = jobs_store_lock(id, JOBS_WAIT_SKIP, &held);

	if (job && job->state == JOB_RUNNING)
	{
		JobsLease  *lease = jobs_store_lock_lease(id, JOBS_WAIT_SKIP, &lease_held);

		if (!lease_held && (lease == NULL || lease->until <= GetCurrentTimestamp()))
			settle_lapsed(job, lease);
	}
	if (held || lease_held)
		(void) jobs_held_again(id);
	else
		jobs_books_note(id);
}

/* A lease ends with the job's timeout at the latest. */
static void
settle_lapsed(Job *job, const JobsLease *lease)
{
	JobsFailure failure = {.sqlstate = ERRCODE_CONNECTION_FAILURE, .message = "the client's lease ran out"};
	int64		timeout = jobs_interval_usecs(job->timeout);
	char	   *client = lease ? GetUserNameFromId(lease->client, true) : NULL;

	if (client)
		failure.detail = psprintf("Role \"%s\" had claimed it.", client);
	if (timeout > 0 && lease && lease->until - job->started_at >= timeout)
	{
		failure.sqlstate = ERRCODE_QUERY_CANCELED;
		failure.message = psprintf("timeout after %s", jobs_duration(timeout));
	}
	jobs_settle(job, &failure);
}

/* ------------------------------------------------------------------------
 * The views
 * ------------------------------------------------------------------------
 */

void
jobs_outside_slots(Tuplestorestate *store, TupleDesc desc)
{
	ListCell   *cell;

	foreach(cell, jobs_store_leases())
	{
		JobsLease  *lease = lfirst(cell);
		JobsProgress progress = {
			.job = lease->job,
			.phase = "claimed",
			.processed = lease->processed,
			.total = lease->total,
			.bytes = -1, .succeeded = -1, .failed = -1, .skipped = -1, .warnings = -1,
			.percent = lease->percent,
			.counted_at = lease->claimed_at
		};
		Datum		values[JOBS_SLOTS_COLUMNS];
		bool		nulls[JOBS_SLOTS_COLUMNS];

		if (!jobs_may_see(lease->owner, lease->tenant))
			continue;
		if (progress.total >= 0)
			progress.total = Max(progress.total, progress.processed);
		if (lease->message)
			strlcpy(progress.message, lease->message, JOBS_MESSAGE_LEN);
		jobs_progress_values(&progress, 0, values, nulls);
		tuplestore_putvalues(store, desc, values, nulls);
	}
}
