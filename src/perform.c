/*-------------------------------------------------------------------------
 *
 * perform.c
 *	  One job from its claim to its end, in a worker.
 *
 * Two transactions: the claim, which commits "running", and the run, in which
 * the work's effects and the end of the job become one commit.  If the run
 * fails, its effects are rolled back and a third transaction records why.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "bulk/bulk.h"
#include "bulk/ledger.h"
#include "commands/trigger.h"
#include "export.h"
#include "guc.h"
#include "import/import.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "perform.h"
#include "rights.h"
#include "rolesetting.h"
#include "runsql.h"
#include "session.h"
#include "settle.h"
#include "storage/ipc.h"
#include "store.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "worker.h"

/* How long ends of jobs may wait for the disk while more jobs follow. */
#define FLUSH_AFTER_US		20000

/* How long ALTER ROLE ... SET may go unnoticed while job follows job. */
#define SETTINGS_CHECK_US	USECS_PER_SEC

static MemoryContext job_context = NULL;

/* The job at hand, while the owner's code runs. */
static const Job *performing = NULL;

/* The slot of the worker that this one helps, or -1; whether it can do with more help. */
static int	helped_slot = -1;
static bool help_is_wanted;

/* The commit under way is that of a job's work and end. */
static bool ending = false;

/* What the session has seen since its last reset. */
static bool session_used = false;
static char last_tenant[JOBS_MAX_KEY * MAX_MULTIBYTE_CHAR_LEN + 1];
static Oid	last_session_role = InvalidOid;

/* The role's and database's settings as they were when the session began. */
static uint64 settings_stamp;
static TimestampTz settings_checked_at;

static bool settings_changed(const Job *job);
static void begin_books(Oid owner, bool reset);
static void end_books(void);
static void job_error_context(void *arg);
static Job *claim(JobId id);
static Job *claim_row(JobId id, bool *held);
static bool can_run(const Job *job);
static bool refuse(Job *job);
static bool belongs_here(const Job *job);
static void show_job(const Job *job);
static ErrorData *run(Job *job);
static int64 timeout_of(const Job *job);
static void run_in_transaction(Job *job);
static void end_help(JobsSlot *leader, JobId id);
static void begin_finish(void);
static void at_commit(XactEvent event, void *arg);
static void record_failure(Job *job, ErrorData *edata);
static void describe_failure(ErrorData *edata, JobsFailure *failure);
pg_noreturn static void give_up(const JobsFailure *failure);
static void end_job(void);

/* ------------------------------------------------------------------------
 * The session
 * ------------------------------------------------------------------------
 */

/*
 * A session that is not the owner's has begun with another role's settings.
 * Remembers which settings there were, since a change of them needs a new session.
 */
void
jobs_perform_init(void)
{
	job_context = AllocSetContextCreate(TopMemoryContext, "jobs job", ALLOCSET_DEFAULT_SIZES);
	RegisterXactCallback(at_commit, NULL);
	StartTransactionCommand();
	if (jobs_my_slot->owner != jobs_my_slot->connect_as)
		jobs_apply_role_settings(jobs_my_slot->owner);
	settings_stamp = jobs_role_settings_stamp(jobs_my_slot->owner);
	settings_checked_at = GetCurrentTimestamp();
	CommitTransactionCommand();
}

/*
 * Looked up at once for a job that is due only since the last time, and once a
 * second among jobs that were.
 */
static bool
settings_changed(const Job *job)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = Max(job->created_at, job->run_at);

	if (due < settings_checked_at && now >= settings_checked_at &&
		now - settings_checked_at < SETTINGS_CHECK_US)
		return false;
	settings_checked_at = now;
	return jobs_role_settings_stamp(job->owner) != settings_stamp;
}

void
jobs_perform_rest(void)
{
	/* A failed job may have left memory and threads. */
	MemoryContextReset(job_context);
	if (session_used)
	{
		jobs_session_reset();
		session_used = false;
	}
	settings_checked_at = 0;
	jobs_session_idle();
}

/* ------------------------------------------------------------------------
 * A job
 * ------------------------------------------------------------------------
 */

void
jobs_perform(JobId id)
{
	ErrorContextCallback callback;
	ErrorData  *edata;
	Job		   *job;

	MemoryContextReset(job_context);
	MemoryContextSwitchTo(job_context);
	job = claim(id);
	if (job == NULL || job->state != JOB_RUNNING)
		return;
	jobs_worker_tell(JOBS_EVENT_STATE, job);

	callback.callback = job_error_context;
	callback.arg = job;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	performing = job;
	edata = run(job);
	performing = NULL;
	if (edata)
		record_failure(job, edata);
	error_context_stack = callback.previous;
	end_job();
	jobs_worker_tell(JOBS_EVENT_STATE, job);
	jobs_worker_wake_waiters(id);
	jobs_worker_flush(FLUSH_AFTER_US);
}

const Job *
jobs_performing(void)
{
	return performing;
}

static void
job_error_context(void *arg)
{
	const Job  *job = arg;

	errcontext("job %lld \"%s\" of role %s", (long long) job->id, job->title, job->owner_name);
}

/*
 * A transaction of ours alone, whatever the owner's default is: one that is
 * serializable can fail because of others, and one that is deferrable as well
 * waits for them.
 */
static void
begin_books(Oid owner, bool reset)
{
	jobs_session_begin(owner, reset);
	XactIsoLevel = XACT_READ_COMMITTED;
	XactReadOnly = false;
	XactDeferrable = false;
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(job_context);
}

static void
end_books(void)
{
	PopActiveSnapshot();
	jobs_session_commit(jobs_worker_may_commit_async(true));
}

/*
 * Commits "running".  Returns NULL where the job is not to run here, and the
 * scheduler has been told; a job that its owner may not run any more has failed.
 */
static Job *
claim(JobId id)
{
	Job		   *volatile job = NULL;
	bool		held = false;

	PG_TRY();
	{
		begin_books(jobs_my_slot->owner, session_used);
		session_used = true;
		job = claim_row(id, &held);
		end_books();
		/* Else a job that crashes the server would do so again and again. */
		if (GetCurrentTimestamp() < jobs_shared->careful_until)
			jobs_worker_flush(0);
	}
	PG_CATCH();
	{
		/* The tables are not as they should be: better a new process. */
		give_up(NULL);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(job_context);
	if (job == NULL)
	{
		Job			unclaimed = {.id = id};

		/*
		 * First out of the slot, else the scheduler finds it there and leaves
		 * it to us; and not without telling, else it waits for us for ever.
		 */
		HOLD_INTERRUPTS();
		end_job();
		jobs_worker_tell(held ? JOBS_EVENT_HELD : JOBS_EVENT_LOOK, &unclaimed);
		RESUME_INTERRUPTS();
	}
	else if (job->state != JOB_RUNNING)
	{
		end_job();
		jobs_worker_tell(JOBS_EVENT_STATE, job);
		jobs_worker_wake_waiters(id);
	}
	return job;
}

static Job *
claim_row(JobId id, bool *held)
{
	Job		   *job = jobs_store_lock(id, JOBS_WAIT_SKIP, held);
	JobState	old;

	if (job == NULL || !can_run(job))
		return NULL;
	if (refuse(job))
		return job;
	if (!belongs_here(job))
		return NULL;
	old = job->state;
	job->state = JOB_RUNNING;
	job->attempt++;
	job->started_at = GetCurrentTimestamp();
	if (job->kind == JOB_BULK)
		jobs_ledger_count_job(job);
	/* Those of an earlier attempt. */
	job->error_code = job->error_message = job->error_detail = job->error_hint = NULL;
	jobs_store_update(job, old);
	show_job(job);
	return job;
}

static bool
can_run(const Job *job)
{
	return (job->state == JOB_QUEUED ||
			(job->state == JOB_SCHEDULED && job->run_at <= GetCurrentTimestamp())) &&
		job->owner == jobs_my_slot->owner &&
		job->origin == jobs_origin();
}

/* People leave while their jobs wait. */
static bool
refuse(Job *job)
{
	JobsFailure failure = {.final = true};
	Oid			connect_as;

	failure.message = jobs_owner_refused(job, &failure.sqlstate, &connect_as);
	if (failure.message == NULL)
		return false;
	jobs_settle(job, &failure);
	return true;
}

/*
 * A job whose session has to be another role's or has other settings by now, or
 * must not find what another tenant's job left in a language's variables, needs
 * another worker.
 */
static bool
belongs_here(const Job *job)
{
	int			sqlstate;
	Oid			connect_as;
	bool		other;

	(void) jobs_owner_refused(job, &sqlstate, &connect_as);
	other = OidIsValid(last_session_role) &&
		(last_session_role != job->session_role || strcmp(last_tenant, job->tenant) != 0);
	if (connect_as != jobs_my_slot->connect_as || (other && jobs_session_keeps_values()) ||
		settings_changed(job))
	{
		SpinLockAcquire(&jobs_my_slot->mutex);
		jobs_my_slot->leave = true;
		SpinLockRelease(&jobs_my_slot->mutex);
		return false;
	}
	last_session_role = job->session_role;
	strlcpy(last_tenant, job->tenant, sizeof(last_tenant));
	return true;
}

/* From now on the job is seen in jobs.progress and can be cancelled by a signal. */
static void
show_job(const Job *job)
{
	JobsSlot   *slot = jobs_my_slot;

	jobs_progress_begin("running", -1);
	jobs_progress_job(job->id, job->kind);
	SpinLockAcquire(&slot->mutex);
	slot->job_owner = job->owner;
	slot->job_tenant = jobs_tenant_hash(job->tenant);
	slot->job_shown = true;
	SpinLockRelease(&slot->mutex);
}

/* Returns what went wrong, with the transaction rolled back, or NULL. */
static ErrorData *
run(Job *job)
{
	ErrorData  *volatile edata = NULL;

	PG_TRY();
	{
		if (helped_slot >= 0)
		{
			jobs_start_job_timeout(0);
			help_is_wanted = jobs_bulk_help(job, helped_slot);
		}
		else
		{
			jobs_start_job_timeout(timeout_of(job));
			if (job->kind == JOB_BULK)
				jobs_bulk_perform(job);
			else
				run_in_transaction(job);
		}
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		ending = false;
		MemoryContextSwitchTo(job_context);
		disable_all_timeouts(false);
		QueryCancelPending = false;
		edata = CopyErrorData();
		EmitErrorReport();
		debug_query_string = NULL;
		jobs_session_abort();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(job_context);
	return edata;
}

/*
 * The limit that counts is the owner's.  At the submission it was that of the
 * session, which after SET ROLE is another role's.
 */
static int64
timeout_of(const Job *job)
{
	int64		usecs = jobs_interval_usecs(job->timeout);
	int64		limit = (int64) jobs_max_timeout * 1000;

	return limit > 0 && (usecs == 0 || usecs > limit) ? limit : usecs;
}

static void
run_in_transaction(Job *job)
{
	Job			end = *job;

	jobs_session_begin(job->owner, false);
	jobs_session_isolate(job->kind);
	jobs_session_enter(job);
	MemoryContextSwitchTo(job_context);
	debug_query_string = job->command;
	switch (job->kind)
	{
		case JOB_EXPORT:
			jobs_export_run(&end);
			break;
		case JOB_RUN:
			jobs_run_command(&end);
			if (jobs_my_slot->progress.processed >= 0)
				end.processed = jobs_my_slot->progress.processed;
			end.total = jobs_my_slot->progress.total;
			break;
		case JOB_IMPORT_PREVIEW:
			jobs_preview_run(&end);
			break;
		case JOB_IMPORT:
			jobs_import_run(&end);
			break;
		case JOB_BULK:
		case JOB_EXTERNAL:
			elog(ERROR, "cannot run a job of kind \"%s\"", job_kind_names[job->kind]);
	}

	begin_finish();
	end.state = JOB_SUCCEEDED;
	jobs_perform_finish(job, &end);
	jobs_start_statement_timeout();
	jobs_perform_commit();
	debug_query_string = NULL;
	MemoryContextSwitchTo(job_context);
	*job = end;
}

/*
 * Deferred constraints are checked now, before the end is written.  What they
 * defer anew, and cursors that outlive the transaction, run during the commit.
 */
static void
begin_finish(void)
{
	ConstraintsSetStmt *immediate = makeNode(ConstraintsSetStmt);

	jobs_start_statement_timeout();
	AfterTriggerSetState(immediate);
	jobs_stop_statement_timeout();
}

/*
 * Called when a commit has run the last of the user's code.  Up to here the job
 * can be cancelled and time out; after this a cancel is refused, and nothing
 * stops it any more.
 */
static void
at_commit(XactEvent event, void *arg)
{
	JobsSlot   *slot = jobs_my_slot;
	bool		cancel;

	if (event != XACT_EVENT_PRE_COMMIT || !ending)
		return;
	ending = false;
	CHECK_FOR_INTERRUPTS();
	jobs_stop_statement_timeout();
	jobs_stop_job_timeout();

	SpinLockAcquire(&slot->mutex);
	cancel = slot->cancel;
	slot->finishing = !cancel;
	SpinLockRelease(&slot->mutex);
	if (cancel || jobs_job_timed_out())
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceling statement due to user request")));
}

void
jobs_perform_commit(void)
{
	ending = true;
	jobs_session_commit(jobs_worker_may_commit_async(jobs_my_slot->inbox_n > 0));
}

void
jobs_perform_check(const Job *job)
{
	bool		held;
	Job		   *row = jobs_store_lock(job->id, JOBS_WAIT_BLOCK, &held);

	if (row == NULL || row->state != JOB_RUNNING || row->attempt != job->attempt)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld is no longer this worker's", (long long) job->id)));
}

/* In the transaction of the work: one commit for both. */
void
jobs_perform_finish(const Job *job, Job *end)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	jobs_perform_check(job);
	end->finished_at = Max(GetCurrentTimestamp(), end->started_at);
	end->error_code = end->error_message = end->error_detail = end->error_hint = NULL;
	jobs_store_finish(end, JOB_RUNNING);
	PopActiveSnapshot();
}

static void
record_failure(Job *job, ErrorData *edata)
{
	JobsFailure failure = {0};
	bool		held;
	Job		   *row = NULL;

	describe_failure(edata, &failure);
	PG_TRY();
	{
		begin_books(job->owner, false);
		if (job->kind == JOB_BULK)
		{
			jobs_stop_helpers(MyDatabaseId, job->id);
			(void) jobs_ledger_exclude(job->id, true);
		}
		row = jobs_store_lock(job->id, JOBS_WAIT_BLOCK, &held);
		if (row && row->state == JOB_RUNNING && row->attempt == job->attempt)
			jobs_settle(row, &failure);
		end_books();
	}
	PG_CATCH();
	{
		give_up(&failure);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(job_context);
	if (row)
		*job = *row;
}

static void
describe_failure(ErrorData *edata, JobsFailure *failure)
{
	bool		cancel;

	SpinLockAcquire(&jobs_my_slot->mutex);
	cancel = jobs_my_slot->cancel;
	jobs_my_slot->finishing = true;
	SpinLockRelease(&jobs_my_slot->mutex);

	/* The message's untranslated form tells a request from a statement's timeout. */
	if (edata->sqlerrcode == ERRCODE_QUERY_CANCELED && !jobs_job_timed_out() &&
		edata->message_id && strcmp(edata->message_id, "canceling statement due to user request") == 0)
		cancel = true;
	failure->cancelled = cancel;
	if (cancel)
		return;
	failure->sqlstate = edata->sqlerrcode;
	failure->message = edata->message;
	failure->detail = edata->detail;
	failure->hint = edata->hint;
	if (jobs_job_timed_out())
	{
		failure->sqlstate = ERRCODE_QUERY_CANCELED;
		failure->message = jobs_timeout_text();
		failure->detail = failure->hint = NULL;
	}
}

/*
 * In an error handler: bookkeeping has failed.  The scheduler settles what a
 * worker leaves, with the reason that it leaves.
 */
static void
give_up(const JobsFailure *failure)
{
	ErrorData  *edata;

	MemoryContextSwitchTo(job_context);
	edata = CopyErrorData();
	EmitErrorReport();
	if (failure == NULL)
		jobs_worker_leave_reason(edata->message, edata->sqlerrcode);
	else if (!failure->cancelled)
		jobs_worker_leave_reason(failure->message, failure->sqlstate);
	proc_exit(1);
}

/* The slot lets go of the job; a cancel that came late must not hit the next. */
static void
end_job(void)
{
	JobsSlot   *slot = jobs_my_slot;
	bool		cancel;

	jobs_progress_job(0, JOB_RUN);
	SpinLockAcquire(&slot->mutex);
	slot->job = 0;
	slot->job_shown = false;
	slot->helpers_wanted = 0;
	cancel = slot->cancel;
	slot->cancel = false;
	SpinLockRelease(&slot->mutex);
	if (cancel)
		jobs_perform_forget_cancel();
}

/* A signal that was sent under the slot's lock, which we have had since, comes at once. */
void
jobs_perform_forget_cancel(void)
{
	pg_usleep(1000L);
	QueryCancelPending = false;
}

/* ------------------------------------------------------------------------
 * Another worker's job
 * ------------------------------------------------------------------------
 */

void
jobs_perform_help(JobId id, int slotno)
{
	ErrorContextCallback callback;
	Job		   *volatile job = NULL;
	bool		own;

	MemoryContextReset(job_context);
	MemoryContextSwitchTo(job_context);
	PG_TRY();
	{
		begin_books(jobs_my_slot->owner, session_used);
		session_used = true;
		job = jobs_store_find(id, &own);
		if (job && (job->state != JOB_RUNNING || job->owner != jobs_my_slot->owner || !belongs_here(job)))
			job = NULL;
		end_books();
	}
	PG_CATCH();
	{
		give_up(NULL);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(job_context);
	helped_slot = slotno;
	help_is_wanted = job != NULL ? false : true;
	if (job)
	{
		callback.callback = job_error_context;
		callback.arg = job;
		callback.previous = error_context_stack;
		error_context_stack = &callback;
		performing = job;
		/* For what its items say. */
		jobs_progress_begin("running", -1);
		jobs_progress_job(job->id, job->kind);
		(void) run(job);
		performing = NULL;
		error_context_stack = callback.previous;
	}
	helped_slot = -1;
	end_help(&jobs_shared->slots[slotno], id);
}

/* Where there was nothing to do, or an error, nobody is to come again. */
static void
end_help(JobsSlot *leader, JobId id)
{
	if (!help_is_wanted)
	{
		SpinLockAcquire(&leader->mutex);
		if (leader->job == id)
			leader->helpers_wanted = -1;
		SpinLockRelease(&leader->mutex);
	}
	SpinLockAcquire(&jobs_my_slot->mutex);
	jobs_my_slot->helping = 0;
	SpinLockRelease(&jobs_my_slot->mutex);
	end_job();
}
