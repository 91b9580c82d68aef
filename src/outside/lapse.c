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
#include "bulk/bulk.h"
#include "bulk/equal.h"
#include "common/int.h"
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

#define READ_LEASES_US	USECS_PER_SEC

static void offer(JobId id);
static TimestampTz look_at_lease(const Job *job, JobsEntry *entry);
static void lapse(JobId id);
static void settle_lapsed(Job *job, const JobsLease *lease);
static void tell_progress(const Job *job, int64 processed, int64 total, double percent, JobsEntry *entry);
static void place_items(JobId id, JobsEntry *entry);
static TimestampTz look_at_items(const Job *job, JobsEntry *entry);
static bool look_at_leases(const Job *job, JobsEntry *entry, TimestampTz *next);
static bool lock_end(JobId id, Job **job);
static void end_items(JobId id);
static void end_timed_out(JobId id);
static void end_stopped(const Job *seen, int64 stop_after, int64 item_no);
static void tally_slots(Tuplestorestate *store, TupleDesc desc);
static int64 processed_of(const JobsTally *tally);
static double percent_of(int64 processed, int64 total);

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
			if (job->kind == JOB_BULK)
				place_items(job->id, entry);
			else
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
	if (lease->processed >= 0)
		tell_progress(job, lease->processed, lease->total, lease->percent, entry);
	return lease->until;
}

static void
tell_progress(const Job *job, int64 processed, int64 total, double percent, JobsEntry *entry)
{
	JobsEvent	event = {
		.job = job->id,
		.job_kind = job->kind,
		.state = JOB_RUNNING,
		.processed = processed,
		.total = total
	};

	if (processed == entry->told_processed && total == entry->told_total)
		return;
	entry->told_processed = processed;
	entry->told_total = total;
	jobs_notify_outside(&event, percent);
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
 * Items
 * ------------------------------------------------------------------------
 */

static void
place_items(JobId id, JobsEntry *entry)
{
	bool		own;
	Job		   *job = jobs_store_find(id, &own);
	TimestampTz next;

	if (job == NULL || job->state != JOB_RUNNING)
	{
		jobs_books_note(id);
		return;
	}
	next = look_at_items(job, entry);
	if (next != DT_NOEND)
		jobs_queue_timed(entry, next);
	else
		jobs_queue_offered(entry);
}

/* Returns when to look again, unless something happens before. */
static TimestampTz
look_at_items(const Job *job, JobsEntry *entry)
{
	JobsLedger *ledger = jobs_ledger_open(job->id, job->round, NULL, false);
	int64		timeout = jobs_interval_usecs(job->timeout);
	int64		stop_after = jobs_bulk_option(job, "stop_after");
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOEND;
	JobsTally	tally;
	bool		tallied = jobs_tally_read(job, &tally);

	if (entry->began_at != job->started_at)
	{
		entry->began_at = job->started_at;
		entry->done_upto = 1;
		entry->told_lapsed = 0;
		entry->leases_read_at = 0;
	}
	/* The server was restarted, there was no room for it, or nobody knows. */
	if (!tallied || tally.inexact || tally.counting)
		jobs_tally_count(job);
	else
		tell_progress(job, processed_of(&tally), tally.total, percent_of(processed_of(&tally), tally.total), entry);
	entry->done_upto = jobs_items_first_open(ledger, entry->done_upto);
	jobs_ledger_close(ledger);
	if (entry->done_upto == PG_INT64_MAX)
		end_items(job->id);
	else if (timeout > 0 && now - job->started_at >= timeout)
		end_timed_out(job->id);
	else if (tallied && stop_after > 0 && tally.equal_count >= stop_after)
		end_stopped(job, stop_after, tally.equal_no);
	else
	{
		/* One of a million years is never over. */
		if (timeout > 0 && pg_add_s64_overflow(job->started_at, timeout, &next))
			next = DT_NOEND;
		if (look_at_leases(job, entry, &next))
			jobs_books_announce(job);
	}
	return next;
}

/*
 * Whether there are leases that have ended and that clients have not been told of.
 * They stay for whoever claims next.  *next becomes the end of the first that lasts.
 */
static bool
look_at_leases(const Job *job, JobsEntry *entry, TimestampTz *next)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz lapsed = 0;
	ListCell   *cell;

	/* There may be thousands, and a look at them after each answer would take all the time. */
	if (now < entry->lease_ends && now >= entry->leases_read_at && now - entry->leases_read_at < READ_LEASES_US)
	{
		*next = Min(*next, Min(entry->lease_ends, entry->leases_read_at + READ_LEASES_US));
		return false;
	}
	entry->leases_read_at = now;
	entry->lease_ends = DT_NOEND;
	foreach(cell, jobs_store_item_leases(job->id, entry->done_upto, PG_INT64_MAX))
	{
		JobsItemLease *lease = lfirst(cell);

		if (lease->until > now)
			entry->lease_ends = Min(entry->lease_ends, lease->until);
		else
			lapsed = Max(lapsed, lease->until);
	}
	*next = Min(*next, entry->lease_ends);
	if (lapsed <= entry->told_lapsed)
		return false;
	entry->told_lapsed = lapsed;
	return true;
}

/*
 * Locks what a job needs to end; *job is NULL where it has ended.  False where others
 * are at it, which is waited for.
 */
static bool
lock_end(JobId id, Job **job)
{
	bool		held;

	*job = jobs_store_lock(id, JOBS_WAIT_SKIP, &held);
	if (held || !jobs_ledger_exclude(id, false))
	{
		(void) jobs_held_again(id);
		return false;
	}
	if (*job && (*job)->state != JOB_RUNNING)
		*job = NULL;
	return true;
}

/* Every item has an outcome. */
static void
end_items(JobId id)
{
	Job		   *job;

	if (!lock_end(id, &job))
		return;
	if (job)
	{
		jobs_ledger_count_job(job);
		job->state = job->failed > 0 ? JOB_PARTIAL : JOB_SUCCEEDED;
		job->finished_at = Max(GetCurrentTimestamp(), job->started_at);
		jobs_store_finish(job, JOB_RUNNING);
	}
	jobs_books_note(id);
}

static void
end_timed_out(JobId id)
{
	Job		   *job;

	if (!lock_end(id, &job))
		return;
	if (job)
	{
		JobsFailure failure = {.sqlstate = ERRCODE_QUERY_CANCELED};

		failure.message = psprintf("timeout after %s", jobs_duration(jobs_interval_usecs(job->timeout)));
		jobs_settle(job, &failure);
	}
	jobs_books_note(id);
}

/* So many have failed in a row with the error of this one. */
static void
end_stopped(const Job *seen, int64 stop_after, int64 item_no)
{
	Job		   *job;

	if (!lock_end(seen->id, &job))
		return;
	if (job && job->started_at == seen->started_at)
	{
		JobsLedger *ledger = jobs_ledger_open(job->id, job->round, NULL, false);
		JobsItems  *items = jobs_ledger_read(ledger, item_no);
		const JobsOutcome *outcome = items->item[item_no - items->first_no].outcome;
		const char *code = outcome->code;
		JobsFailure failure = {
			.sqlstate = MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]),
			.message = jobs_equal_text(stop_after, outcome->message),
			.hint = JOBS_EQUAL_HINT
		};

		jobs_settle(job, &failure);
		jobs_ledger_close(ledger);
	}
	jobs_books_note(seen->id);
}

/* ------------------------------------------------------------------------
 * The views
 * ------------------------------------------------------------------------
 */

static int64
processed_of(const JobsTally *tally)
{
	return Min(tally->n[ITEM_SUCCEEDED] + tally->n[ITEM_FAILED] + tally->n[ITEM_SKIPPED], tally->total);
}

static double
percent_of(int64 processed, int64 total)
{
	return total > 0 ? Min(100.0 * processed / total, JOBS_MAX_PERCENT) : -1;
}

void
jobs_outside_slots(Tuplestorestate *store, TupleDesc desc)
{
	ListCell   *cell;

	tally_slots(store, desc);
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

static void
tally_slots(Tuplestorestate *store, TupleDesc desc)
{
	uint64		tenant = jobs_tenant_hash(jobs_tenant);
	ListCell   *cell;

	foreach(cell, jobs_tally_all())
	{
		const JobsTally *tally = lfirst(cell);
		JobsProgress progress = {
			.job = tally->key.job,
			.phase = "claimed",
			.processed = processed_of(tally),
			.total = tally->total,
			.bytes = -1,
			.succeeded = tally->n[ITEM_SUCCEEDED],
			.failed = tally->n[ITEM_FAILED],
			.skipped = tally->n[ITEM_SKIPPED],
			.warnings = -1,
			.percent = percent_of(processed_of(tally), tally->total),
			.counted_at = tally->counted_at,
			.counted_from = tally->counted_from
		};
		Datum		values[JOBS_SLOTS_COLUMNS];
		bool		nulls[JOBS_SLOTS_COLUMNS];

		/* The tally has only the hash of the tenant. */
		if ((tenant != 0 && tenant != tally->tenant) || !jobs_may_see(tally->owner, jobs_tenant))
			continue;
		jobs_progress_values(&progress, 0, values, nulls);
		tuplestore_putvalues(store, desc, values, nulls);
	}
}
