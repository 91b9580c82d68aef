/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The process that runs jobs.
 *
 * A worker belongs to one database and one role, and takes the jobs that the
 * scheduler deals into its slot.  Each is two transactions: the claim, which
 * commits "running", and the run, in which the work's effects and the end of
 * the job become one commit.  Both may be committed without waiting for the
 * disk while more jobs follow, since nobody is told of an end before the disk
 * has it: the scheduler flushes before it notifies, jobs.wait before it answers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogdefs.h"
#include "commands/trigger.h"
#include "compat.h"
#include "export.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/syncrep.h"
#include "rights.h"
#include "rolesetting.h"
#include "runsql.h"
#include "session.h"
#include "settle.h"
#include "storage/ipc.h"
#include "storage/procsignal.h"
#include "store.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "worker.h"

/* How long ends of jobs may wait for the disk while more jobs follow. */
#define FLUSH_AFTER_US		20000

/* A worker that has been there so long goes when it has nothing to do. */
#define MAX_LIFE_US			(15 * USECS_PER_MINUTE)

/* How long ALTER ROLE ... SET may go unnoticed while job follows job. */
#define SETTINGS_CHECK_US	USECS_PER_SEC

JobsSlot   *jobs_my_slot = NULL;

static JobsDatabase *my_database = NULL;
static emit_log_hook_type prev_emit_log_hook = NULL;
static MemoryContext job_context = NULL;
static TimestampTz born;
static TimestampTz unflushed_since = 0;	/* 0: nothing to flush */

/* What the session has seen since its last reset. */
static bool session_used = false;
static char last_tenant[JOBS_MAX_KEY * MAX_MULTIBYTE_CHAR_LEN + 1];
static Oid	last_session_role = InvalidOid;

/* The role's and database's settings as they were when the session began. */
static uint64 settings_stamp;
static TimestampTz settings_checked_at;

static void take_settings(void);
static bool settings_changed(Oid owner);
static bool attach(int slotno, uint32 generation);
static void detach(int code, Datum arg);
static void keep_reason(ErrorData *edata);
static JobId take_job(void);
static bool wait_for_job(void);
static void run_one(JobId id);
static Job *claim(JobId id);
static Job *claim_row(JobId id, bool *held);
static bool can_run(const Job *job);
static bool refuse(Job *job);
static bool belongs_here(const Job *job);
static void show_job(const Job *job);
static ErrorData *run(Job *job);
static void run_in_transaction(Job *job);
static void begin_finish(void);
static void finish(const Job *job, Job *end);
static void record_failure(Job *job, ErrorData *edata);
static void describe_failure(const Job *job, ErrorData *edata, JobsFailure *failure);
static void give_up(const JobsFailure *failure) pg_attribute_noreturn();
static void end_job(void);
static void tell(JobsEventKind kind, const Job *job);
static void push(const JobsEvent *event);
static bool may_commit_async(bool more);
static void flush(void);
static void job_error_context(void *arg);

/* ------------------------------------------------------------------------
 * The process
 * ------------------------------------------------------------------------
 */

bool
jobs_worker_register(int slotno, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker = {0};
	JobsSlot   *slot = &jobs_shared->slots[slotno];

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(slotno);
	memcpy(worker.bgw_extra, &slot->generation, sizeof(slot->generation));
	strlcpy(worker.bgw_library_name, "jobs", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "jobs_worker_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "jobs worker", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "jobs worker", BGW_MAXLEN);
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

void
jobs_worker_main(Datum arg)
{
	int			slotno = DatumGetInt32(arg);
	uint32		generation;
	JobId		id;

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, StatementCancelHandler);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	if (!attach(slotno, generation))
		proc_exit(0);
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = keep_reason;
	BackgroundWorkerInitializeConnectionByOid(jobs_my_slot->dboid, jobs_my_slot->connect_as,
											  JOBS_CONNECT_FLAGS);
	my_database = jobs_database(MyDatabaseId, true);
	take_settings();
	job_context = AllocSetContextCreate(TopMemoryContext, "jobs job", ALLOCSET_DEFAULT_SIZES);
	/* Some of the server's code wants one. */
	MessageContext = AllocSetContextCreate(TopMemoryContext, "MessageContext", ALLOCSET_DEFAULT_SIZES);
	born = GetCurrentTimestamp();

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		id = take_job();
		if (id != 0)
			run_one(id);
		else if (!wait_for_job())
			break;
	}
	proc_exit(0);
}

/*
 * A session that is not the owner's has begun with another role's settings.
 * Remembers which settings there were, since a change of them needs a new session.
 */
static void
take_settings(void)
{
	StartTransactionCommand();
	if (jobs_my_slot->owner != jobs_my_slot->connect_as)
		jobs_apply_role_settings(jobs_my_slot->owner);
	settings_stamp = jobs_role_settings_stamp(jobs_my_slot->owner);
	settings_checked_at = GetCurrentTimestamp();
	CommitTransactionCommand();
}

/* Looked up at once after a rest, and once a second between jobs that follow each other. */
static bool
settings_changed(Oid owner)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now >= settings_checked_at && now - settings_checked_at < SETTINGS_CHECK_US)
		return false;
	settings_checked_at = now;
	return jobs_role_settings_stamp(owner) != settings_stamp;
}

/* A slot that went on without us belongs to somebody else now. */
static bool
attach(int slotno, uint32 generation)
{
	JobsSlot   *slot = &jobs_shared->slots[slotno];
	bool		mine;

	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	mine = slot->state == SLOT_STARTING && slot->generation == generation;
	if (mine)
	{
		slot->state = SLOT_ALIVE;
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
		jobs_my_slot = slot;
		before_shmem_exit(detach, (Datum) 0);
	}
	LWLockRelease(jobs_shared->lock);
	return mine;
}

/*
 * Runs after the transaction has been rolled back.  What the slot still holds
 * is the scheduler's to settle.
 */
static void
detach(int code, Datum arg)
{
	JobsSlot   *slot = jobs_my_slot;
	JobsDatabase *db = jobs_database(slot->dboid, true);

	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	slot->state = SLOT_EXITED;
	slot->latch = NULL;
	LWLockRelease(jobs_shared->lock);
	jobs_my_slot = NULL;
	if (db)
		jobs_wake_scheduler(db);
}

/* What ends this process is the reason of its job's end. */
static void
keep_reason(ErrorData *edata)
{
	if (edata->elevel >= FATAL && jobs_my_slot != NULL && jobs_my_slot->reason_code == 0)
	{
		const char *message = edata->message ? edata->message : "";

		strlcpy(jobs_my_slot->reason, message, JOBS_REASON_LEN);
		jobs_my_slot->reason[pg_mbcliplen(message, strlen(message), JOBS_REASON_LEN - 1)] = '\0';
		jobs_my_slot->reason_code = edata->sqlerrcode;
	}
	if (prev_emit_log_hook)
		prev_emit_log_hook(edata);
}

/* ------------------------------------------------------------------------
 * The inbox
 * ------------------------------------------------------------------------
 */

static JobId
take_job(void)
{
	JobsSlot   *slot = jobs_my_slot;
	JobId		id = 0;
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&slot->mutex);
	if (slot->inbox_n > 0 && !slot->leave)
	{
		id = slot->inbox[slot->inbox_first];
		slot->inbox_first = (slot->inbox_first + 1) % JOBS_INBOX;
		slot->inbox_n--;
		slot->job = id;
		slot->job_started = now;
		slot->job_shown = false;
		slot->cancel = false;
		slot->finishing = false;
		slot->idle = false;
	}
	SpinLockRelease(&slot->mutex);
	return id;
}

/* False when the worker shall go. */
static bool
wait_for_job(void)
{
	JobsSlot   *slot = jobs_my_slot;
	TimestampTz now;
	bool		leave;
	bool		work;
	bool		became_idle;
	long		left;

	flush();
	if (session_used)
	{
		jobs_session_reset();
		session_used = false;
	}
	jobs_session_idle();

	now = GetCurrentTimestamp();
	SpinLockAcquire(&slot->mutex);
	leave = slot->leave;
	work = slot->inbox_n > 0;
	became_idle = !work && !slot->idle;
	if (became_idle)
	{
		slot->idle = true;
		slot->idle_since = now;
	}
	left = jobs_worker_idle_timeout * 1000L - (now - slot->idle_since) / 1000;
	if (!work && (left <= 0 || now - born > MAX_LIFE_US))
		slot->leave = leave = true;
	SpinLockRelease(&slot->mutex);
	if (leave)
		return false;
	if (work)
		return true;
	if (became_idle)
		jobs_wake_scheduler(my_database);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	settings_checked_at = 0;
	return true;
}

/* ------------------------------------------------------------------------
 * A job
 * ------------------------------------------------------------------------
 */

static void
run_one(JobId id)
{
	ErrorContextCallback callback;
	ErrorData  *edata;
	Job		   *job;

	MemoryContextReset(job_context);
	MemoryContextSwitchTo(job_context);
	job = claim(id);
	if (job == NULL || job->state != JOB_RUNNING)
	{
		end_job();
		return;
	}
	tell(JOBS_EVENT_STATE, job);

	callback.callback = job_error_context;
	callback.arg = job;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	edata = run(job);
	if (edata)
		record_failure(job, edata);
	error_context_stack = callback.previous;
	end_job();
	tell(JOBS_EVENT_STATE, job);
	jobs_wake_waiters(my_database, id);
	if (unflushed_since != 0 && GetCurrentTimestamp() - unflushed_since > FLUSH_AFTER_US)
		flush();
}

static void
job_error_context(void *arg)
{
	const Job  *job = arg;

	errcontext("job %lld \"%s\" of role %s", (long long) job->id, job->title, job->owner_name);
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
		jobs_session_begin(jobs_my_slot->owner, session_used);
		session_used = true;
		PushActiveSnapshot(GetTransactionSnapshot());
		MemoryContextSwitchTo(job_context);
		job = claim_row(id, &held);
		PopActiveSnapshot();
		jobs_session_commit(may_commit_async(true));
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

		tell(held ? JOBS_EVENT_HELD : JOBS_EVENT_LOOK, &unclaimed);
	}
	else if (job->state != JOB_RUNNING)
	{
		tell(JOBS_EVENT_STATE, job);
		jobs_wake_waiters(my_database, id);
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
		job->origin == (int64) GetSystemIdentifier();
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
		settings_changed(job->owner))
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
		run_in_transaction(job);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(job_context);
		disable_all_timeouts(false);
		QueryCancelPending = false;
		edata = CopyErrorData();
		EmitErrorReport();
		jobs_session_abort();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(job_context);
	return edata;
}

static void
run_in_transaction(Job *job)
{
	Job			end = *job;

	jobs_start_job_timeout(jobs_interval_usecs(job->timeout));
	jobs_session_begin(job->owner, false);
	if (job->kind == JOB_EXPORT)
	{
		XactReadOnly = true;
		XactIsoLevel = XACT_REPEATABLE_READ;
	}
	jobs_session_enter(job);
	MemoryContextSwitchTo(job_context);
	debug_query_string = job->command;
	if (job->kind == JOB_EXPORT)
		jobs_export_run(&end);
	else
	{
		jobs_run_command(&end);
		if (jobs_my_slot->progress.processed >= 0)
			end.processed = jobs_my_slot->progress.processed;
		end.total = jobs_my_slot->progress.total;
	}

	begin_finish();
	finish(job, &end);
	jobs_session_commit(may_commit_async(jobs_my_slot->inbox_n > 0));
	debug_query_string = NULL;
	MemoryContextSwitchTo(job_context);
	*job = end;
}

/*
 * Deferred constraints are checked while the job can still be cancelled.  After
 * this a cancel comes too late, and is refused.
 */
static void
begin_finish(void)
{
	ConstraintsSetStmt *immediate = makeNode(ConstraintsSetStmt);
	JobsSlot   *slot = jobs_my_slot;
	bool		cancel;

	jobs_start_statement_timeout();
	AfterTriggerSetState(immediate);
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

/* In the transaction of the work: one commit for both. */
static void
finish(const Job *job, Job *end)
{
	bool		held;
	Job		   *row;

	PushActiveSnapshot(GetTransactionSnapshot());
	row = jobs_store_lock(job->id, JOBS_WAIT_BLOCK, &held);
	if (row == NULL || row->state != JOB_RUNNING || row->attempt != job->attempt)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld is no longer this worker's", (long long) job->id)));
	end->state = JOB_SUCCEEDED;
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

	describe_failure(job, edata, &failure);
	PG_TRY();
	{
		jobs_session_begin(job->owner, false);
		PushActiveSnapshot(GetTransactionSnapshot());
		MemoryContextSwitchTo(job_context);
		row = jobs_store_lock(job->id, JOBS_WAIT_BLOCK, &held);
		if (row && row->state == JOB_RUNNING && row->attempt == job->attempt)
			jobs_settle(row, &failure);
		PopActiveSnapshot();
		jobs_session_commit(may_commit_async(true));
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
describe_failure(const Job *job, ErrorData *edata, JobsFailure *failure)
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
		failure->message = psprintf("timeout after %s", jobs_duration(jobs_interval_usecs(job->timeout)));
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
	if (failure == NULL || !failure->cancelled)
	{
		strlcpy(jobs_my_slot->reason, failure ? failure->message : edata->message, JOBS_REASON_LEN);
		jobs_my_slot->reason_code = failure ? failure->sqlstate : edata->sqlerrcode;
	}
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
	cancel = slot->cancel;
	SpinLockRelease(&slot->mutex);
	if (cancel)
	{
		pg_usleep(1000L);
		QueryCancelPending = false;
	}
}

/* ------------------------------------------------------------------------
 * To the scheduler and to the disk
 * ------------------------------------------------------------------------
 */

static void
tell(JobsEventKind kind, const Job *job)
{
	JobsEvent	event = {
		.kind = kind,
		.job = job->id,
		.job_kind = job->kind,
		.state = job->state,
		.processed = job->processed,
		.total = job->total,
		.succeeded = job->succeeded,
		.failed = job->failed,
		.skipped = job->skipped,
		.warnings = job->warnings
	};

	push(&event);
}

/*
 * The ring has one writer and one reader.  A full one is waited for, unless
 * there is no scheduler: the next one reads everything from the tables.
 */
static void
push(const JobsEvent *event)
{
	JobsSlot   *slot = jobs_my_slot;
	uint32		tail = pg_atomic_read_u32(&slot->ring_tail);
	uint32		used;

	while ((used = tail - pg_atomic_read_u32(&slot->ring_head)) >= JOBS_RING)
	{
		if (my_database->scheduler_pid == 0)
			return;
		jobs_wake_scheduler(my_database);
		CHECK_FOR_INTERRUPTS();
		pg_usleep(200L);
	}
	slot->ring[tail % JOBS_RING] = *event;
	pg_write_barrier();
	pg_atomic_write_u32(&slot->ring_tail, tail + 1);
	if ((used == 0 && !my_database->cooling) || used == JOBS_RING / 2 || slot->inbox_n == 0)
		jobs_wake_scheduler(my_database);
}

/*
 * While more jobs wait in the inbox, one flush serves several.  Not with
 * synchronous standbys, which a later flush would not wait for.
 */
static bool
may_commit_async(bool more)
{
	if (!more || (SyncRepStandbyNames != NULL && SyncRepStandbyNames[0] != '\0'))
		return false;
	if (unflushed_since == 0)
		unflushed_since = GetCurrentTimestamp();
	return true;
}

static void
flush(void)
{
	if (unflushed_since == 0)
		return;
	XLogFlush(XactLastCommitEnd);
	unflushed_since = 0;
}
