/*-------------------------------------------------------------------------
 *
 * books.c
 *	  The scheduler's dealings with the tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "books.h"
#include "bulk/ledger.h"
#include "catalog/pg_subscription.h"
#include "delivery/delivery.h"
#include "held.h"
#include "miscadmin.h"
#include "notify.h"
#include "outside/outside.h"
#include "queue.h"
#include "recent.h"
#include "settle.h"
#include "store.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define HELD_MS				50	/* a locked row is left alone, then twice as long ... */
#define MAX_HELD_MS			1000	/* ... up to this */
#define MAX_STARTS_FAILED	3	/* workers that died before a job began */
#define ENDS_TOLD			4096	/* jobs whose end is remembered to have been told */

static JobsDatabase *db = NULL;
static MemoryContext noted_context = NULL;
static MemoryContext one_context = NULL;	/* what is read of one job */
static List *noted = NIL;		/* of int64 * */
static List *ranges = NIL;		/* of int64[2] */
static List *downloads = NIL;	/* of int64 * */
static List *all_ended = NIL;	/* of int64 * */
static bool announcing = true;

/*
 * When the end of a job was told of last, for those of late.  News of a commit can
 * come after others have led to what it has made, and to its end.
 */
static struct
{
	JobId		id;
	TimestampTz at;
}			ends_told[ENDS_TOLD];

/* The least id of live jobs of another cluster; 0 where more of them may come. */
static JobId first_foreign = PG_INT64_MAX;

static bool is_known(JobId id);
static void begin(void);
static void commit(void);
static void done_with_one(MemoryContext old);
static MemoryContext switch_to_noted(void);
static List *add_id(List *list, JobId id);
static void tell_end(JobId id);
static bool end_is_told(const Job *job);
static void place_row(const Job *job, void *arg);
static void place(const Job *job);
static bool in_a_slot(JobId id, int *slotno);
static void gone(JobId id);
static bool waits_no_more(JobId id, JobId ended);
static int	compare_ids(const ListCell *a, const ListCell *b);
static void look_one(JobId id);
static void look_range(JobId lo, JobId hi);
static void check_waiting(JobId id);
static char *why_not(JobId id, const Job *other);
static void release(JobId id);
static void settle_lost(JobId id, const JobsFailure *failure, bool requeue);
static void unclaimed(JobId id, const JobsSlot *slot);

/* ------------------------------------------------------------------------
 * Noting
 * ------------------------------------------------------------------------
 */

/* Where what is noted lasts from one round to the next. */
static MemoryContext
switch_to_noted(void)
{
	if (noted_context == NULL)
		noted_context = AllocSetContextCreate(TopMemoryContext, "jobs noted", ALLOCSET_DEFAULT_SIZES);
	return MemoryContextSwitchTo(noted_context);
}

static List *
add_id(List *list, JobId id)
{
	MemoryContext old = switch_to_noted();
	int64	   *copy = palloc(sizeof(int64));

	*copy = id;
	list = lappend(list, copy);
	MemoryContextSwitchTo(old);
	return list;
}

void
jobs_books_note(JobId id)
{
	noted = add_id(noted, id);
}

/* Two elements for each range. */
void
jobs_books_note_range(JobId lo, JobId hi, bool again)
{
	if (again)
		jobs_queue_tell_again(lo, hi);
	if (lo == hi)
		jobs_books_note(lo);
	else
		ranges = add_id(add_id(ranges, lo), hi);
}

void
jobs_books_note_download(JobId id)
{
	downloads = add_id(downloads, id);
}

bool
jobs_books_end_told(JobId id)
{
	return ends_told[id % ENDS_TOLD].id == id;
}

static void
tell_end(JobId id)
{
	ends_told[id % ENDS_TOLD].id = id;
	ends_told[id % ENDS_TOLD].at = GetCurrentTimestamp();
}

static bool
end_is_told(const Job *job)
{
	return jobs_books_end_told(job->id) && ends_told[job->id % ENDS_TOLD].at >= job->finished_at;
}

/* Without anybody waiting for anything there is nothing to read. */
void
jobs_books_ended(JobId id)
{
	tell_end(id);
	if (jobs_queue_num_waiting() > 0)
		all_ended = add_id(all_ended, id);
}

static void
begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	one_context = AllocSetContextCreate(TopTransactionContext, "jobs one job", ALLOCSET_DEFAULT_SIZES);
}

static void
commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* A round may look at all the jobs that there are: what it has read of one goes before the next. */
static void
done_with_one(MemoryContext old)
{
	MemoryContextSwitchTo(old);
	MemoryContextReset(one_context);
}

/* ------------------------------------------------------------------------
 * Looking
 * ------------------------------------------------------------------------
 */

void
jobs_books_open(JobsDatabase *database, bool announce_all)
{
	db = database;
	begin();
	jobs_queue_set_paused(jobs_store_paused(NULL));
	announcing = announce_all;
	if (CountDBSubscriptions(MyDatabaseId) > 0)
		first_foreign = 0;
	jobs_store_scan(0, PG_INT64_MAX, place_row, NULL);
	/* Of jobs that ended while there was no scheduler, or of an extension that was dropped. */
	jobs_tally_prune(MyDatabaseId, is_known);
	announcing = true;
	commit();
}

static bool
is_known(JobId id)
{
	return jobs_queue_find(id) != NULL;
}

/* Jobs that another server's publication brings come without a word to us. */
void
jobs_books_publish(void)
{
	jobs_recent_publish(db, Min(jobs_queue_first(), first_foreign));
}

void
jobs_books_read_paused(void)
{
	begin();
	jobs_queue_set_paused(jobs_store_paused(NULL));
	commit();
}

/*
 * Looking at one job may note others: dependants, and what it was changed to.
 * A cycle is not possible, because after can only name jobs that are there.
 */
void
jobs_books_look(void)
{
	ListCell   *cell;
	MemoryContext old;

	jobs_held_due(jobs_books_note);
	while (noted != NIL || ranges != NIL || downloads != NIL || all_ended != NIL)
	{
		List	   *ended = all_ended;
		List	   *ids = noted;
		List	   *bounds = ranges;
		List	   *files = downloads;
		int64	   *last = NULL;

		noted = ranges = downloads = all_ended = NIL;
		begin();
		foreach(cell, ended)
		{
			old = MemoryContextSwitchTo(one_context);
			gone(*(int64 *) lfirst(cell));
			done_with_one(old);
		}
		for (int i = 0; i < list_length(bounds); i += 2)
			look_range(*(int64 *) list_nth(bounds, i), *(int64 *) list_nth(bounds, i + 1));
		/* One that was noted twice has changed twice, and is told of once. */
		list_sort(ids, compare_ids);
		foreach(cell, ids)
		{
			if (last == NULL || *last != *(int64 *) lfirst(cell))
			{
				old = MemoryContextSwitchTo(one_context);
				look_one(*(int64 *) lfirst(cell));
				done_with_one(old);
				jobs_held_forget(*(int64 *) lfirst(cell));
			}
			last = lfirst(cell);
		}
		foreach(cell, files)
			jobs_store_count_downloads(*(int64 *) lfirst(cell), 1);
		commit();
		list_free_deep(ended);
		list_free_deep(ids);
		list_free_deep(bounds);
		list_free_deep(files);
	}
}

static int
compare_ids(const ListCell *a, const ListCell *b)
{
	int64		x = *(int64 *) lfirst(a);
	int64		y = *(int64 *) lfirst(b);

	return x < y ? -1 : x > y;
}

static void
place_row(const Job *job, void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(one_context);

	place(job);
	done_with_one(old);
}

/* Brings the queue up to date with a live row. */
static void
place(const Job *job)
{
	JobsEntry  *entry;
	bool		found;
	int			slotno;

	/* Of another cluster, whose tables are replicated or were copied to here. */
	if (job->origin != jobs_origin())
	{
		first_foreign = Min(first_foreign, job->id);
		return;
	}
	entry = jobs_queue_enter(job, &found);
	if (announcing && (entry->announced != job->state ||
					   (job->outside && entry->announced_run != job->run_at)))
	{
		jobs_books_announce(job);
		entry->announced = job->state;
		entry->announced_run = job->run_at;
	}
	if (job->outside && job->state != JOB_WAITING)
	{
		jobs_outside_place(job, entry);
		return;
	}
	if (in_a_slot(job->id, &slotno))
	{
		jobs_queue_dealt(entry, slotno);
		return;
	}
	switch (job->state)
	{
		case JOB_SCHEDULED:
			jobs_queue_timed(entry, job->run_at);
			break;
		case JOB_WAITING:
			if (entry->place != PLACE_WAITING)
				jobs_queue_waiting(entry);
			check_waiting(job->id);
			break;
		case JOB_QUEUED:
			jobs_queue_ready(entry);
			break;
		default:
			{
				JobsFailure lost = {.sqlstate = ERRCODE_CRASH_SHUTDOWN,
				.message = "the server was restarted while the job was running"};
				JobsHeld   *held = jobs_held_find(job->id);

				if (held && held->lost)
					settle_lost(job->id, &held->failure, held->requeue);
				else
					settle_lost(job->id, &lost, false);
			}
			break;
	}
}

/* Whether a worker has it, or has it before it. */
static bool
in_a_slot(JobId id, int *slotno)
{
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];
		bool		found;

		if (slot->dboid != MyDatabaseId || slot->state == SLOT_FREE)
			continue;
		SpinLockAcquire(&slot->mutex);
		found = slot->job == id;
		for (int j = 0; j < slot->inbox_n && !found; j++)
			found = slot->inbox[(slot->inbox_first + j) % JOBS_INBOX] == id;
		SpinLockRelease(&slot->mutex);
		*slotno = i;
		if (found)
			return true;
	}
	return false;
}

/*
 * Clients can claim again, from queues that were paused or everywhere: one message
 * for each lane is enough to wake those who listen, and one for each bulk job.
 */
void
jobs_books_wake_clients(void)
{
	List	   *offered = jobs_queue_some_offered();
	ListCell   *cell;

	foreach(cell, offered)
	{
		JobsEntry  *entry = lfirst(cell);

		entry->announced = JOBS_UNANNOUNCED;
		jobs_books_note(entry->id);
	}
	list_free(offered);
}

void
jobs_books_announce(const Job *job)
{
	JobsEvent	event = {
		.kind = JOBS_EVENT_STATE,
		.job = job->id,
		.job_kind = job->kind,
		.state = job->state,
		.processed = -1, .total = -1, .succeeded = -1, .failed = -1, .skipped = -1, .warnings = -1
	};

	if (job_state_is_final(job->state))
	{
		event.processed = job->processed;
		event.total = job->total;
		event.succeeded = job->succeeded;
		event.failed = job->failed;
		event.skipped = job->skipped;
		event.warnings = job->warnings;
		event.channels = jobs_delivery_channels(job);
	}
	jobs_notify_state(&event);
}

static void
look_one(JobId id)
{
	bool		own;
	Job		   *job = jobs_store_find_brief(id, &own);
	JobsEntry  *entry = jobs_queue_find(id);

	if (job != NULL && !job_state_is_final(job->state))
	{
		place(job);
		return;
	}
	if (job != NULL && (entry ? entry->announced != job->state : !end_is_told(job)))
		jobs_books_announce(job);
	tell_end(id);
	if (job == NULL || job->kind == JOB_BULK)
		jobs_tally_end(id);
	if (entry)
		jobs_queue_forget(entry);
	if (jobs_queue_num_waiting() > 0)
		gone(id);
	if (job != NULL)
		jobs_wake_waiters(db, id);
}

/* Those that were known and are no longer live are looked at one by one. */
static void
look_range(JobId lo, JobId hi)
{
	List	   *known = jobs_queue_range(lo, hi);
	ListCell   *cell;

	jobs_store_scan(lo, hi, place_row, NULL);
	foreach(cell, known)
		noted = add_id(noted, *(int64 *) lfirst(cell));
}

/* ------------------------------------------------------------------------
 * Dependencies
 * ------------------------------------------------------------------------
 */

/* A job has ended or vanished. */
static void
gone(JobId id)
{
	List	   *dependants = jobs_store_dependants(id);
	ListCell   *cell;

	if (dependants != NIL)
	{
		bool		own;
		Job		   *job = jobs_store_find_brief(id, &own);
		bool		well = why_not(id, job) == NULL && job_state_is_final(job->state);

		foreach(cell, dependants)
		{
			if (!well || waits_no_more(*(int64 *) lfirst(cell), id))
				noted = add_id(noted, *(int64 *) lfirst(cell));
		}
	}
}

/*
 * A job need not wait for another that has ended well.  To be looked at it has
 * to wait for nothing else: one that waits for thousands is much to read.
 */
static bool
waits_no_more(JobId id, JobId ended)
{
	bool		held;

	jobs_store_remove_dependency(id, ended, &held);
	if (held)
		(void) jobs_held_again(id);
	return !held && !jobs_store_has_dependencies(id);
}

/*
 * Whether what a job waits for has ended: then it goes on, or is cancelled.  Of what has
 * ended before this job was there to be seen, nobody tells again.
 */
static void
check_waiting(JobId id)
{
	List	   *awaited = jobs_store_dependencies(id);
	List	   *ended = NIL;
	ListCell   *cell;
	bool		pending = false;

	foreach(cell, awaited)
	{
		bool		own;
		Job		   *other = jobs_store_find_brief(*(int64 *) lfirst(cell), &own);
		char	   *reason = why_not(*(int64 *) lfirst(cell), other);

		if (reason)
		{
			JobsFailure failure = {.cancelled = true, .message = reason};
			bool		held;

			jobs_settle_unbegun(id, &failure, &held);
			if (held)
				(void) jobs_held_again(id);
			else
				noted = add_id(noted, id);
			return;
		}
		if (job_state_is_final(other->state))
			ended = lappend(ended, lfirst(cell));
		else
			pending = true;
	}
	if (!pending)
		release(id);
	else
	{
		foreach(cell, ended)
			(void) waits_no_more(id, *(int64 *) lfirst(cell));
	}
}

/* Why a job that waits for another will not begin, or NULL. */
static char *
why_not(JobId id, const Job *other)
{
	if (other == NULL)
		return psprintf("the job %lld that it waited for no longer exists", (long long) id);
	if (other->state == JOB_FAILED)
		return psprintf("the job \"%s\" that it waited for has failed", other->title);
	if (other->state == JOB_CANCELLED)
		return psprintf("the job \"%s\" that it waited for was cancelled", other->title);
	return NULL;
}

static void
release(JobId id)
{
	bool		held;
	Job		   *job = jobs_store_lock(id, JOBS_WAIT_SKIP, &held);

	if (held)
		(void) jobs_held_again(id);
	if (job == NULL || job->state != JOB_WAITING)
		return;
	/* One that was due at its submission is so whatever the clock has done since. */
	job->state = job->run_at > Max(job->created_at, GetCurrentTimestamp()) ? JOB_SCHEDULED : JOB_QUEUED;
	jobs_store_remove_dependencies(id);
	jobs_store_update(job, JOB_WAITING);
	noted = add_id(noted, id);
}

/* ------------------------------------------------------------------------
 * Workers that are gone
 * ------------------------------------------------------------------------
 */

void
jobs_books_settle_slot(int slotno, bool requeue)
{
	JobsSlot   *slot = &jobs_shared->slots[slotno];
	JobsFailure failure = {.cancelled = slot->cancel};

	failure.sqlstate = slot->reason_code ? slot->reason_code : ERRCODE_ADMIN_SHUTDOWN;
	failure.message = slot->reason_code == 0 || slot->reason_code == ERRCODE_ADMIN_SHUTDOWN
		? "terminated by administrator" : slot->reason;
	if (failure.cancelled)
	{
		failure.sqlstate = 0;
		failure.message = NULL;
	}
	begin();
	for (int i = 0; i < slot->inbox_n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(one_context);

		unclaimed(slot->inbox[(slot->inbox_first + i) % JOBS_INBOX], slot);
		done_with_one(old);
	}
	slot->inbox_n = 0;
	if (slot->job != 0)
		settle_lost(slot->job, &failure, requeue && !slot->cancel);
	commit();
}

/* A job that was to begin in a worker which has not come, or could not. */
static void
unclaimed(JobId id, const JobsSlot *slot)
{
	JobsEntry  *entry = jobs_queue_find(id);
	JobsFailure failure = {.final = true, .sqlstate = slot->reason_code, .message = slot->reason};
	bool		held;

	if (entry == NULL)
		return;
	if (slot->reason_code == 0 || slot->reason_code == ERRCODE_ADMIN_SHUTDOWN ||
		slot->reason_code == ERRCODE_TOO_MANY_CONNECTIONS)
		jobs_queue_timed(entry, GetCurrentTimestamp() + (slot->reason_code == ERRCODE_TOO_MANY_CONNECTIONS ?
														 MAX_HELD_MS * 1000 : 0));
	else if (++entry->starts_failed < MAX_STARTS_FAILED)
		jobs_queue_timed(entry, GetCurrentTimestamp() + HELD_MS * 1000 * entry->starts_failed);
	else
	{
		jobs_settle_unbegun(id, &failure, &held);
		jobs_queue_timed(entry, GetCurrentTimestamp() + MAX_HELD_MS * 1000);
		noted = add_id(noted, id);
	}
}

/* Settles a job that says running and that no worker has. */
static void
settle_lost(JobId id, const JobsFailure *failure, bool requeue)
{
	bool		held;
	Job		   *job = jobs_store_lock(id, JOBS_WAIT_SKIP, &held);

	if (held)
	{
		jobs_held_lost(jobs_held_again(id), failure, requeue);
		return;
	}
	if (job != NULL && job->state == JOB_RUNNING)
	{
		if (job->kind == JOB_BULK)
		{
			int64		before = job->processed;

			/* Their batches are finished first; the row's lock ends with our transaction. */
			if (!jobs_ledger_exclude(id, false))
			{
				jobs_stop_helpers(MyDatabaseId, id);
				jobs_held_lost(jobs_held_again(id), failure, requeue);
				return;
			}
			jobs_ledger_count_job(job);
			/* After a crash it goes on, unless it is this job that crashes the server. */
			requeue |= failure->sqlstate == ERRCODE_CRASH_SHUTDOWN && job->processed > before;
		}
		if (requeue)
		{
			job->state = JOB_QUEUED;
			job->attempt--;
			job->started_at = 0;
			jobs_store_update(job, JOB_RUNNING);
		}
		else
			jobs_settle(job, failure);
	}
	else if (job != NULL && jobs_queue_find(id))
	{
		for (int i = 0; i < jobs_shared->nslots; i++)
		{
			if (jobs_shared->slots[i].job == id && jobs_shared->slots[i].dboid == MyDatabaseId)
			{
				unclaimed(id, &jobs_shared->slots[i]);
				return;
			}
		}
	}
	noted = add_id(noted, id);
}
