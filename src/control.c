/*-------------------------------------------------------------------------
 *
 * control.c
 *	  Cancelling, retrying, deleting and awaiting jobs; pausing queues.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "args.h"
#include "bulk/ledger.h"
#include "common/int.h"
#include "control.h"
#include "fmgr.h"
#include "guc.h"
#include "import/import.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "rights.h"
#include "shmem.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "store.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "waiting.h"
#include "wake.h"
#include "worker.h"

#include "catalog/pg_authid.h"

PG_FUNCTION_INFO_V1(jobs_cancel);
PG_FUNCTION_INFO_V1(jobs_retry);
PG_FUNCTION_INFO_V1(jobs_delete);
PG_FUNCTION_INFO_V1(jobs_wait);
PG_FUNCTION_INFO_V1(jobs_pause);
PG_FUNCTION_INFO_V1(jobs_resume);

/* A lock on a row, a look at shared memory, another look at the row ... */
#define CANCEL_TRIES	100

static bool cancel_running(JobId id);
static bool cancel_unbegun(JobId id);
static bool cancel_if_unbegun(JobId id);
static void cancel_stored(Job *job);
static char *queue_arg(FunctionCallInfo fcinfo, const char *function, Oid *owner);
static TimestampTz wait_deadline(FunctionCallInfo fcinfo);
static Job *find_awaited(JobId id);
static void check_deadlock(JobId id);

/*
 * jobs.cancel(job bigint): false if the job was already final.
 *
 * A running job is stopped at once, by a signal, not at this transaction's
 * commit: as with pg_cancel_backend there is no taking it back.  The client of
 * one that runs outside of the server learns it when it next says something.
 */
Datum
jobs_cancel(PG_FUNCTION_ARGS)
{
	JobId		id = jobs_changed_job_arg(fcinfo, "jobs.cancel()");
	bool		own;

	for (int i = 0; i < CANCEL_TRIES; i++)
	{
		Job		   *job = jobs_store_find(id, &own);

		if (job == NULL)
			jobs_no_such_job(id);
		if (!jobs_may_cancel(job->owner, job->tenant))
			(void) jobs_find_controlled(id, &own);
		if (job_state_is_final(job->state))
			PG_RETURN_BOOL(false);
		if (job->state == JOB_RUNNING && !job->outside && cancel_running(id))
			PG_RETURN_BOOL(true);
		if (job->state == JOB_RUNNING && !job->outside)
		{
			/* Between its claim and its place in the slot, or just over. */
			CHECK_FOR_INTERRUPTS();
			pg_usleep(1000L);
			continue;
		}
		if (cancel_unbegun(id))
			PG_RETURN_BOOL(true);
	}

	/* Its worker has died, and the scheduler is about to settle it. */
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("job %lld cannot be cancelled at the moment", (long long) id),
			 errhint("Try again; it is changing its state.")));
}

/*
 * Stops the worker at the job.  The slot's lock keeps the worker from going on
 * to its next job between our look and our signal.
 */
static bool
cancel_running(JobId id)
{
	JobsSlot   *slot = jobs_slot_of(MyDatabaseId, id);
	bool		stopped = false;

	if (slot == NULL)
		return false;
	SpinLockAcquire(&slot->mutex);
	if (slot->job == id && slot->job_shown && !slot->finishing && slot->pid != 0)
	{
		if (!slot->cancel)
		{
			slot->cancel = true;
			slot->cancel_at = GetCurrentTimestamp();
		}
		stopped = kill(slot->pid, SIGINT) == 0;
	}
	SpinLockRelease(&slot->mutex);
	if (stopped)
	{
		jobs_stop_helpers(MyDatabaseId, id);
		jobs_wake_scheduler(jobs_database(MyDatabaseId, true));
	}
	return stopped;
}

/*
 * False where the job has begun here or ended meanwhile.  In a subtransaction, because
 * its worker needs the row, and our lock would last as long as the caller's
 * transaction.  An error must not leave it open: what catches errors outside would
 * end it for its own.
 */
static bool
cancel_unbegun(JobId id)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool		cancelled;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		MemoryContextSwitchTo(context);
		cancelled = cancel_if_unbegun(id);
		if (cancelled)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		ReThrowError(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return cancelled;
}

static bool
cancel_if_unbegun(JobId id)
{
	bool		held;
	Job		   *job = jobs_store_lock(id, JOBS_WAIT_BLOCK, &held);

	if (job == NULL || (job->state == JOB_RUNNING && !job->outside))
		return false;
	cancel_stored(job);
	return true;
}

static void
cancel_stored(Job *job)
{
	JobState	old = job->state;

	/* A bulk job keeps the items that clients have done, and those that just commit. */
	if (old == JOB_RUNNING && job->kind == JOB_BULK)
	{
		(void) jobs_ledger_exclude(job->id, true);
		jobs_ledger_count_job(job);
	}
	job->state = JOB_CANCELLED;
	job->finished_at = GetCurrentTimestamp();
	job->error_code = NULL;
	job->error_message = NULL;
	job->error_detail = NULL;
	job->error_hint = NULL;
	jobs_store_finish(job, old);
	jobs_note_job(job->id);
}

/*
 * jobs.retry(job bigint)
 */
Datum
jobs_retry(PG_FUNCTION_ARGS)
{
	JobId		id = jobs_changed_job_arg(fcinfo, "jobs.retry()");
	Job		   *job;

	jobs_require_preload();
	job = jobs_lock_controlled_final(id, "retried",
								"Wait until it has ended, or cancel it.");
	if (job->state == JOB_SUCCEEDED || job->state == JOB_PARTIAL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld has %s and cannot be retried", (long long) id, job_state_names[job->state]),
				 job->kind == JOB_BULK && job->failed > 0 ?
				 errhint("Call jobs.retry_failed for its failed items.") :
				 errhint("Submit it again as a new job.")));
	/* With its lock, nobody submits another import of it meanwhile. */
	if (job->kind == JOB_IMPORT)
		jobs_import_check_preview(job, jobs_store_lock_final(jobs_import_preview_id(job), JOBS_WAIT_BLOCK));
	jobs_requeue(job);
	PG_RETURN_BOOL(true);
}

/*
 * Takes a final job back to the queue, for jobs.retry and jobs.retry_failed.
 */
void
jobs_requeue(Job *job)
{
	JobState	old;

	if (job->unique_key)
	{
		jobs_store_lock_key(job->owner, job->tenant, job->unique_key);
		if (jobs_store_find_key(job->owner, job->tenant, job->unique_key))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("job %lld cannot be retried while another job has its unique_key", (long long) job->id),
					 errhint("Wait for the other job, or cancel it.")));
	}
	old = job->state;
	job->state = JOB_QUEUED;
	job->attempt = 0;
	job->run_at = GetCurrentTimestamp();
	job->started_at = job->finished_at = 0;
	/* The items of a bulk job that are done stay done. */
	if (job->kind != JOB_BULK)
		job->processed = job->total = job->succeeded = job->failed = job->skipped = job->warnings = -1;
	job->error_code = job->error_message = job->error_detail = job->error_hint = NULL;
	job->result = NULL;
	/* Also where the row came here with a copy or an upgrade of its server. */
	job->origin = jobs_origin();
	jobs_store_remove_dependencies(job->id);
	jobs_store_revive(job, old);
	jobs_note_job(job->id);
}

/*
 * jobs.delete(job bigint)
 */
Datum
jobs_delete(PG_FUNCTION_ARGS)
{
	JobId		id = jobs_changed_job_arg(fcinfo, "jobs.delete()");

	if (jobs_preview_in_use(jobs_lock_controlled_final(id, "deleted", "Cancel it first.")))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld is being imported and cannot be deleted", (long long) id),
				 errhint("Wait until its import has ended, or cancel that first.")));
	jobs_store_delete(id);
	jobs_note_job(id);
	PG_RETURN_BOOL(true);
}

/* Where another session has retried or deleted it meanwhile, we look again. */
Job *
jobs_lock_controlled_final(JobId id, const char *what, const char *hint)
{
	for (;;)
	{
		bool		own;
		Job		   *job = jobs_find_controlled(id, &own);

		if (!job_state_is_final(job->state))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("job %lld is %s and cannot be %s", (long long) id,
							job_state_names[jobs_shown_state_now(job)], what),
					 errhint("%s", hint)));
		job = jobs_store_lock_final(id, JOBS_WAIT_BLOCK);
		if (job != NULL)
			return job;
		CHECK_FOR_INTERRUPTS();
	}
}

/* ------------------------------------------------------------------------
 * Queues
 * ------------------------------------------------------------------------
 */

/*
 * jobs.pause(queue text)
 */
Datum
jobs_pause(PG_FUNCTION_ARGS)
{
	Oid			owner;
	char	   *queue = queue_arg(fcinfo, "jobs.pause()", &owner);

	jobs_require_preload();
	if (jobs_store_pause(queue, owner, jobs_tenant))
		jobs_note_pause();
	PG_RETURN_VOID();
}

/*
 * jobs.resume(queue text)
 */
Datum
jobs_resume(PG_FUNCTION_ARGS)
{
	Oid			owner;
	char	   *queue = queue_arg(fcinfo, "jobs.resume()", &owner);

	jobs_require_preload();
	if (jobs_store_resume(queue, owner, jobs_tenant))
		jobs_note_pause();
	PG_RETURN_VOID();
}

/*
 * Operators pause a queue for everybody (owner 0), all others for the jobs of
 * their role only: else anybody could hold up everybody.
 */
static char *
queue_arg(FunctionCallInfo fcinfo, const char *function, Oid *owner)
{
	char	   *queue;

	jobs_check_can_change(function);
	queue = jobs_queue_arg(fcinfo, 0);
	*owner = GetUserId();
	if (jobs_tenant[0] == '\0' && has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND))
		*owner = InvalidOid;
	return queue;
}

/* ------------------------------------------------------------------------
 * Waiting
 * ------------------------------------------------------------------------
 */

/*
 * jobs.wait(job bigint, timeout interval)
 */
Datum
jobs_wait(PG_FUNCTION_ARGS)
{
	TimestampTz deadline = wait_deadline(fcinfo);
	JobId		id;
	JobsDatabase *db;
	ConditionVariable *changed;
	MemoryContext turn;
	MemoryContext old;
	Job		   *job;

	id = jobs_job_arg(fcinfo);
	job = find_awaited(id);
	if (job_state_is_final(job->state) || RecoveryInProgress())
		PG_RETURN_TEXT_P(cstring_to_text(job_state_names[jobs_shown_state_now(job)]));
	jobs_require_preload();
	if (jobs_my_slot != NULL && (jobs_my_slot->job == id || jobs_my_slot->helping == id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld cannot wait for itself", (long long) id),
				 errhint("Wait for it in another session.")));

	db = jobs_database(MyDatabaseId, true);
	if (db == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("extension \"jobs\" is in use in too many databases"),
				 errhint("One cluster can have it in %d databases.", JOBS_MAX_DATABASES)));
	changed = &db->changed[id % JOBS_WAIT_CVS];
	/* Others' ends wake us too, as often as there are any. */
	turn = AllocSetContextCreate(CurrentMemoryContext, "jobs wait", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(turn);
	ConditionVariablePrepareToSleep(changed);
	for (;;)
	{
		long		left;
		bool		check;

		MemoryContextReset(turn);
		job = find_awaited(id);
		left = deadline == DT_NOEND ? LONG_MAX : TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
		if (job_state_is_final(job->state) || left == 0)
			break;
		check = left > DeadlockTimeout;
		if (ConditionVariableTimedSleep(changed, check ? DeadlockTimeout : left, PG_WAIT_EXTENSION) && check)
			check_deadlock(id);
	}
	ConditionVariableCancelSleep();
	MemoryContextSwitchTo(old);
	PG_RETURN_TEXT_P(cstring_to_text(job_state_names[jobs_shown_state_now(job)]));
}

static TimestampTz
wait_deadline(FunctionCallInfo fcinfo)
{
	Interval   *timeout;
	double		usecs;

	if (PG_ARGISNULL(1))
		return DT_NOEND;
	timeout = PG_GETARG_INTERVAL_P(1);
	/* Intervals can be longer than 64 bits count in microseconds. */
	usecs = (timeout->month * (double) DAYS_PER_MONTH + timeout->day) * USECS_PER_DAY + timeout->time;
	if (usecs < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must not be negative"),
				 errhint("Leave it out to wait until the job has ended.")));
	return usecs > USECS_PER_DAY * 10000.0 ? DT_NOEND : GetCurrentTimestamp() + (int64) usecs;
}

/*
 * The server's own search for deadlocks does not know that we wait.  Some
 * commands wait for the snapshot of a query, and our caller's is one.
 */
static void
check_deadlock(JobId id)
{
	JobsSlot   *slot = jobs_slot_of(MyDatabaseId, id);
	PGPROC	   *proc;
	ArrayType  *blockers;
	int			nblockers;
	pid_t		pid;

	if (slot == NULL)
		return;
	SpinLockAcquire(&slot->mutex);
	pid = slot->job == id ? slot->pid : 0;
	SpinLockRelease(&slot->mutex);
	proc = BackendPidGetProc(pid);
	if (proc == NULL || proc->waitLock == NULL)
		return;
	blockers = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid)));
	nblockers = ArrayGetNItems(ARR_NDIM(blockers), ARR_DIMS(blockers));
	for (int i = 0; i < nblockers; i++)
	{
		if (((int32 *) ARR_DATA_PTR(blockers))[i] == MyProcPid)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
					 errmsg("job %lld waits for this session", (long long) id),
					 errhint("Commit first, then call jobs.wait.  For a command that waits for all transactions, "
							 "such as CREATE INDEX CONCURRENTLY, call it again and again with a short timeout.")));
	}
}

/*
 * A final state that is answered must outlive a crash, and the worker may have
 * committed it without waiting for the disk.
 */
static Job *
find_awaited(JobId id)
{
	bool		own = false;
	Job		   *job = jobs_find_seen(id, &own);

	if (job_state_is_final(job->state))
	{
		jobs_flush();
	}
	else if (own)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld was submitted in this transaction and cannot start before its end", (long long) id),
				 errhint("Commit first, then call jobs.wait.")));
	return job;
}
