/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The process that runs jobs.
 *
 * A worker belongs to one database and one role, and takes the jobs that the
 * scheduler deals into its slot; perform.c does them.  It tells the scheduler
 * of each change through the ring of its slot.  Transactions may be committed
 * without waiting for the disk while more jobs follow, since nobody is told of
 * an end before the disk has it: the scheduler flushes before it notifies,
 * jobs.wait before it answers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "compat.h"
#include "delivery/delivery.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "perform.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/syncrep.h"
#include "session.h"
#include "storage/ipc.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "worker.h"

/* A worker that has been there so long goes when it has nothing to do. */
#define MAX_LIFE_US			(15 * USECS_PER_MINUTE)

JobsSlot   *jobs_my_slot = NULL;

static JobsDatabase *my_database = NULL;
static emit_log_hook_type prev_emit_log_hook = NULL;
static TimestampTz born;
static TimestampTz unflushed_since = 0;	/* 0: nothing to flush */

static bool attach(int slotno, uint32 generation);
static void detach(int code, Datum arg);
static void keep_reason(ErrorData *edata);
static JobId take_job(void);
static JobId take_help(int *slotno);
static bool wait_for_job(void);
static void push(const JobsEvent *event);

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
	int			leader;

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
	jobs_perform_init();
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
			jobs_perform(id);
		else if ((id = take_help(&leader)) != 0)
			jobs_perform_help(id, leader);
		else if (!wait_for_job())
			break;
	}
	proc_exit(0);
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
	/* Nobody may signal whoever gets it next. */
	SpinLockAcquire(&slot->mutex);
	slot->pid = 0;
	SpinLockRelease(&slot->mutex);
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
		/* Then it is this process that has terminated itself. */
		if (edata->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN && jobs_my_slot->job != 0 && jobs_job_timed_out())
			jobs_worker_leave_reason(jobs_timeout_text(), ERRCODE_QUERY_CANCELED);
		else
			jobs_worker_leave_reason(edata->message, edata->sqlerrcode);
	}
	if (prev_emit_log_hook)
		prev_emit_log_hook(edata);
}

/* Cut at a character's end, for it becomes text in a table. */
void
jobs_worker_leave_reason(const char *message, int sqlstate)
{
	int			len;

	if (message == NULL)
		message = "";
	len = pg_mbcliplen(message, strlen(message), JOBS_REASON_LEN - 1);
	memcpy(jobs_my_slot->reason, message, len);
	jobs_my_slot->reason[len] = '\0';
	jobs_my_slot->reason_code = sqlstate;
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
	bool		stale = false;

	SpinLockAcquire(&slot->mutex);
	if (slot->inbox_n > 0 && !slot->leave)
	{
		stale = slot->cancel;
		id = slot->inbox[slot->inbox_first];
		slot->inbox_first = (slot->inbox_first + 1) % JOBS_INBOX;
		slot->inbox_n--;
		slot->job = id;
		slot->job_started = now;
		slot->job_shown = false;
		slot->cancel = false;
		slot->finishing = false;
		slot->idle = false;
		slot->helpers_wanted = 0;
		slot->equal_count = 0;
	}
	SpinLockRelease(&slot->mutex);
	if (stale)
		jobs_perform_forget_cancel();
	return id;
}

/* Another worker's job that this one is to help with, or 0. */
static JobId
take_help(int *slotno)
{
	JobsSlot   *slot = jobs_my_slot;
	JobId		id = 0;
	bool		stale = false;

	SpinLockAcquire(&slot->mutex);
	if (!slot->leave)
	{
		/* The job was stopped before we came to help. */
		stale = slot->cancel;
		if (stale)
			slot->helping = 0;
		id = slot->helping;
		*slotno = slot->help_slot;
		slot->cancel = false;
		slot->finishing = false;
		if (id != 0)
			slot->idle = false;
	}
	SpinLockRelease(&slot->mutex);
	if (stale)
		jobs_perform_forget_cancel();
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

	jobs_worker_flush(0);
	jobs_perform_rest();

	now = GetCurrentTimestamp();
	SpinLockAcquire(&slot->mutex);
	leave = slot->leave;
	work = slot->inbox_n > 0 || slot->helping != 0;
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
	{
		jobs_wake_scheduler(my_database);
		jobs_wake_slot_seekers();
	}
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	return true;
}

/* ------------------------------------------------------------------------
 * To the scheduler and to the disk
 * ------------------------------------------------------------------------
 */

void
jobs_worker_tell(JobsEventKind kind, const Job *job)
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
		.warnings = job->warnings,
		.channels = jobs_delivery_channels(job)
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
bool
jobs_worker_may_commit_async(bool more)
{
	if (!more || (SyncRepStandbyNames != NULL && SyncRepStandbyNames[0] != '\0'))
		return false;
	if (unflushed_since == 0)
		unflushed_since = GetCurrentTimestamp();
	return true;
}

void
jobs_worker_flush(int64 older_than)
{
	if (unflushed_since == 0 || GetCurrentTimestamp() - unflushed_since < older_than)
		return;
	XLogFlush(XactLastCommitEnd);
	unflushed_since = 0;
}

void
jobs_worker_wake_waiters(JobId job)
{
	jobs_wake_waiters(my_database, job);
}

void
jobs_worker_wake_scheduler(void)
{
	jobs_wake_scheduler(my_database);
}
