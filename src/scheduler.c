/*-------------------------------------------------------------------------
 *
 * scheduler.c
 *	  The process that knows a database's jobs and deals them to workers.
 *
 * It reads the tables once, when it starts; after that, commits and workers
 * tell it which jobs to look at, and timers what is due.  After any error it
 * simply goes: the launcher starts another, which reads everything anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "books.h"
#include "compat.h"
#include "delivery/delivery.h"
#include "dispatch.h"
#include "guc.h"
#include "held.h"
#include "miscadmin.h"
#include "notify.h"
#include "outside/tally.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "queue.h"
#include "retain.h"
#include "scheduler.h"
#include "shmem.h"
#include "slots.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "store.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/pidfile.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#define NOTIFY_EVERY_US		5000	/* state changes together, while there are many */
#define PUBLISH_EVERY_US	100000	/* the first live job, for readers */
#define COOLING_US			2000	/* workers' events together, likewise */
#define KILL_AFTER_CANCEL_US	(5 * USECS_PER_SEC)
#define LEAVE_AFTER_MIN_S	1	/* however short jobs.worker_idle_timeout is */
#define RETAIN_AFTER_US		USECS_PER_SEC	/* what has happened may be the next to expire */
#define SHUTDOWN_LOOK_MS	20
#define SHUTDOWN_LOCK_TIMEOUT	"500ms"

#define SHORT_OF_PROCESSES_US	USECS_PER_SEC

static JobsDatabase *db = NULL;
static TimestampTz retain_at = 0;
static TimestampTz notified_at = 0;
static TimestampTz progress_at = 0;
static TimestampTz published_at = 0;
static TimestampTz busy_at = 0;
static MemoryContext round_context = NULL;
static bool announce_all = false;	/* the one before may not have told of all */

static void forget_database(void);
static void stop_handler(SIGNAL_ARGS);
static void serve(void);
static void tell_couriers(void);
static void attach(Oid dboid);
static void detach(int code, Datum arg);
static void connect_to(Oid dboid);
static bool extension_exists(void);
static void take_database_events(void);
static void retain_soon(void);
static int	take_ring(int slotno);
static int	take_worker_events(void);
static void handle(const JobsEvent *event, int slotno);
static bool fire_timers(TimestampTz now);
static void settle_exited(void);
static bool server_is_stopping(void);
static TimestampTz stop_stubborn(TimestampTz now);
static TimestampTz run_round(void);
static TimestampTz push_news(TimestampTz now);
static bool may_leave(TimestampTz now, TimestampTz *when);
static bool leave(TimestampTz now);
static void shut_down(void);

bool
jobs_scheduler_register(Oid dboid, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = ObjectIdGetDatum(dboid);
	strlcpy(worker.bgw_library_name, "jobs", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "jobs_scheduler_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "jobs scheduler", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "jobs scheduler", BGW_MAXLEN);
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

/* ------------------------------------------------------------------------
 * Start and end
 * ------------------------------------------------------------------------
 */

void
jobs_scheduler_main(Datum arg)
{
	Oid			dboid = DatumGetObjectId(arg);

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, SIG_IGN);
	pqsignal(SIGTERM, stop_handler);
	BackgroundWorkerUnblockSignals();
	attach(dboid);
	connect_to(dboid);

	if (!extension_exists())
	{
		forget_database();
		proc_exit(0);
	}

	PG_TRY();
	{
		serve();
	}
	PG_CATCH();
	{
		if (!ShutdownRequestPending)
			PG_RE_THROW();
		HOLD_INTERRUPTS();
		AbortCurrentTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	shut_down();
	/* Not 0 only for the log: the launcher starts another where there is need. */
	proc_exit(1);
}

/* The database has no extension, unless one has been committed just now. */
static void
forget_database(void)
{
	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	SpinLockAcquire(&db->mutex);
	db->next_needed = DT_NOEND;
	if (db->nevents == 0 && !db->paused_changed)
		db->dboid = InvalidOid;
	else
		db->wanted = true;
	db->nevents = 0;
	db->paused_changed = false;
	SpinLockRelease(&db->mutex);
	LWLockRelease(jobs_shared->lock);
	jobs_tally_prune(MyDatabaseId, NULL);
}

/*
 * Signal handler.  Ends a wait for a lock too, as a cancel does: who holds it
 * may be a prepared transaction, which does not end with the server.
 */
static void
stop_handler(SIGNAL_ARGS)
{
	int			save_errno = errno;

	ShutdownRequestPending = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
	errno = save_errno;
}

/* Until the scheduler shall stop. */
static void
serve(void)
{
	MemoryContextSwitchTo(AllocSetContextCreate(TopMemoryContext, "jobs queue", ALLOCSET_DEFAULT_SIZES));
	jobs_queue_init();
	round_context = AllocSetContextCreate(TopMemoryContext, "jobs round", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(round_context);
	settle_exited();
	jobs_books_open(db, announce_all);
	tell_couriers();
	busy_at = GetCurrentTimestamp();

	while (!ShutdownRequestPending)
	{
		TimestampTz next;
		TimestampTz now;
		long		left;

		MemoryContextReset(round_context);
		MemoryContextSwitchTo(round_context);
		if (ConfigReloadPending)
		{
			bool		was_enabled = jobs_enabled;

			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			if (jobs_enabled && !was_enabled)
				jobs_books_wake_clients();
			tell_couriers();
			retain_at = 0;
		}
		next = run_round();
		now = GetCurrentTimestamp();
		if (may_leave(now, &next) && leave(now))
			proc_exit(0);
		left = next == DT_NOEND ? -1 : TimestampDifferenceMilliseconds(now, next);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (left >= 0 ? WL_TIMEOUT : 0),
						 Min(left, INT_MAX), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* The scheduler before may not have told of all, and settings may have held deliveries up. */
static void
tell_couriers(void)
{
	int			channels;

	StartTransactionCommand();
	channels = jobs_delivery_waiting();
	CommitTransactionCommand();
	MemoryContextSwitchTo(round_context);
	jobs_notify_couriers(channels);
}

static void
attach(Oid dboid)
{
	bool		first;

	db = jobs_database(dboid, false);
	if (db == NULL)
		proc_exit(0);
	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	first = db->scheduler_pid == 0;
	if (first)
	{
		db->scheduler_pid = MyProcPid;
		db->scheduler_latch = MyLatch;
		db->starting = false;
		db->wanted = false;
		announce_all = db->failed;
		db->failed = false;
		db->cooling = false;
		db->first_live = 0;
		db->next_needed = DT_NOEND;
		/* Until it has left by itself, somebody has to look after what it leaves. */
		before_shmem_exit(detach, (Datum) 0);
	}
	LWLockRelease(jobs_shared->lock);
	if (!first)
		proc_exit(0);
}

static void
detach(int code, Datum arg)
{
	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	if (db->scheduler_pid == MyProcPid)
	{
		db->scheduler_pid = 0;
		db->scheduler_latch = NULL;
		if (code != 0)
			db->wanted = db->failed = true;
	}
	LWLockRelease(jobs_shared->lock);
	jobs_wake_launcher();
}

/*
 * Settings that a database or a configuration file has for its users' sessions
 * must not bend the scheduler's.
 */
static void
connect_to(Oid dboid)
{
	static const char *const settings[][2] = {
		{"synchronous_commit", "local"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"transaction_timeout", "0"},	/* since 17 */
		{"idle_in_transaction_session_timeout", "0"},
		{"search_path", "pg_catalog, pg_temp"},
		{"application_name", "jobs scheduler"}
	};

	BackgroundWorkerInitializeConnectionByOid(dboid, InvalidOid, 0);
	for (int i = 0; i < lengthof(settings); i++)
	{
		if (GetConfigOption(settings[i][0], true, false))
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	}
	pgstat_report_appname("jobs scheduler");
	pgstat_report_activity(STATE_IDLE, NULL);
}

static bool
extension_exists(void)
{
	bool		exists;

	StartTransactionCommand();
	exists = jobs_store_exists();
	CommitTransactionCommand();
	return exists;
}

/* ------------------------------------------------------------------------
 * What has happened
 * ------------------------------------------------------------------------
 */

static void
take_database_events(void)
{
	JobsDbEvent events[JOBS_DB_EVENTS];
	int			n;
	bool		paused;

	SpinLockAcquire(&db->mutex);
	n = db->nevents;
	memcpy(events, db->events, n * sizeof(JobsDbEvent));
	db->nevents = 0;
	/* Readers must see at once what we are only about to look at. */
	for (int i = 0; i < n; i++)
	{
		if (!events[i].download && events[i].lo < db->first_live)
		{
			db->first_live = events[i].lo;
			published_at = 0;
		}
	}
	paused = db->paused_changed;
	db->paused_changed = false;
	SpinLockRelease(&db->mutex);

	for (int i = 0; i < n; i++)
	{
		if (events[i].download)
			jobs_books_note_download(events[i].lo);
		else
			jobs_books_note_range(events[i].lo, events[i].hi, events[i].again);
	}
	if (n > 0)
		retain_soon();
	if (paused)
	{
		jobs_books_read_paused();
		jobs_take_back(db);
		jobs_books_wake_clients();
	}
}

/* The time of the next look at retention was found before this event. */
static void
retain_soon(void)
{
	retain_at = Min(retain_at, GetCurrentTimestamp() + RETAIN_AFTER_US);
}

static int
take_ring(int slotno)
{
	JobsSlot   *slot = &jobs_shared->slots[slotno];
	uint32		head = pg_atomic_read_u32(&slot->ring_head);
	uint32		tail = pg_atomic_read_u32(&slot->ring_tail);
	int			n = 0;

	pg_read_barrier();
	for (; head != tail; head++, n++)
		handle(&slot->ring[head % JOBS_RING], slotno);
	pg_memory_barrier();
	pg_atomic_write_u32(&slot->ring_head, head);
	return n;
}

static int
take_worker_events(void)
{
	int			n = 0;

	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		if (jobs_shared->slots[i].dboid == MyDatabaseId)
			n += take_ring(i);
	}
	return n;
}

static void
handle(const JobsEvent *event, int slotno)
{
	JobsEntry  *entry = jobs_queue_find(event->job);

	if (event->kind == JOBS_EVENT_HELD)
	{
		if (entry == NULL)
			return;
		entry->held_ms = Min(Max(entry->held_ms * 2, 50), 1000);
		jobs_queue_timed(entry, GetCurrentTimestamp() + entry->held_ms * INT64CONST(1000));
		return;
	}
	if (event->kind == JOBS_EVENT_LOOK)
	{
		/* One that is not known has ended, and was told of. */
		if (entry)
			jobs_books_note(event->job);
		return;
	}
	/* A look at its row was quicker. */
	if (entry == NULL && job_state_is_final(event->state) && jobs_books_end_told(event->job))
		return;
	jobs_notify_state(event);
	if (entry)
		entry->announced = event->state;
	if (job_state_is_final(event->state))
	{
		retain_soon();
		if (entry)
			jobs_queue_forget(entry);
		jobs_books_ended(event->job);
	}
	else if (event->state != JOB_RUNNING)
		jobs_books_note(event->job);
}

/* Whether there is something to look at: offers to make, leases that may have ended. */
static bool
fire_timers(TimestampTz now)
{
	JobsEntry  *entry;
	bool		look = false;

	while ((entry = jobs_queue_pop_due(now)) != NULL)
	{
		if (entry->outside)
		{
			jobs_books_note(entry->id);
			look = true;
		}
		else
			jobs_queue_ready(entry);
	}
	return look;
}

/* ------------------------------------------------------------------------
 * A round
 * ------------------------------------------------------------------------
 */

/* Returns when the next one is due if nothing happens before. */
static TimestampTz
run_round(void)
{
	TimestampTz now;
	TimestampTz next;
	int			events;

	take_database_events();
	events = take_worker_events();
	settle_exited();
	jobs_books_look();
	now = GetCurrentTimestamp();
	if (fire_timers(now))
		jobs_books_look();
	/* Before 17 the end of a transaction leaves one in the context that lasts. */
	MemoryContextSwitchTo(round_context);

	next = jobs_dispatch(db, now);
	next = Min(next, stop_stubborn(now));
	next = Min(next, push_news(now));
	if (now - published_at >= PUBLISH_EVERY_US || now < published_at)
	{
		jobs_books_publish();
		published_at = now;
	}
	if (now >= retain_at)
		retain_at = jobs_retain(db, now);
	next = Min(next, retain_at);
	next = Min(next, Min(jobs_queue_next_due(), jobs_held_next()));

	/* Under load one look serves many events. */
	db->cooling = events > 4;
	if (db->cooling)
		next = Min(next, now + COOLING_US);
	return next;
}

/*
 * A worker that was told to stop may be one that an administrator wanted to
 * stop, or one that was in the way of a shutdown or a utility command.
 */
static void
settle_exited(void)
{
	int			slotno;

	while ((slotno = jobs_next_exited(MyDatabaseId)) >= 0)
	{
		JobsSlot   *slot = &jobs_shared->slots[slotno];
		bool		told = slot->reason_code == 0 || slot->reason_code == ERRCODE_ADMIN_SHUTDOWN;

		(void) take_ring(slotno);
		jobs_books_settle_slot(slotno, slot->job != 0 && told && (db->leave || server_is_stopping()));
		jobs_free_slot(slotno);
		retain_soon();
	}
}

/*
 * The postmaster says so in its lock file, for pg_ctl, before it signals its
 * children, and so before a worker can have gone.
 */
static bool
server_is_stopping(void)
{
	FILE	   *file = AllocateFile("postmaster.pid", PG_BINARY_R);
	char		line[MAXPGPATH];
	int			n = 0;

	if (file == NULL)
		return false;
	while (n < LOCK_FILE_LINE_PM_STATUS && fgets(line, sizeof(line), file) != NULL)
		n++;
	FreeFile(file);
	return n == LOCK_FILE_LINE_PM_STATUS &&
		strncmp(line, PM_STATUS_STOPPING, strlen(PM_STATUS_STOPPING)) == 0;
}

/* A job that does not heed its cancellation is ended with its process. */
static TimestampTz
stop_stubborn(TimestampTz now)
{
	TimestampTz next = DT_NOEND;

	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		if (slot->dboid != MyDatabaseId || slot->state != SLOT_ALIVE)
			continue;
		SpinLockAcquire(&slot->mutex);
		if ((slot->job != 0 || slot->helping != 0) && slot->cancel && !slot->finishing)
		{
			if (now - slot->cancel_at >= KILL_AFTER_CANCEL_US)
			{
				kill(slot->pid, SIGTERM);
				slot->cancel_at = now;
			}
			next = Min(next, slot->cancel_at + KILL_AFTER_CANCEL_US);
		}
		SpinLockRelease(&slot->mutex);
	}
	return next;
}

/* States at once, but not each alone while there are many; progress at its interval. */
static TimestampTz
push_news(TimestampTz now)
{
	TimestampTz interval = jobs_progress_interval * INT64CONST(1000);
	TimestampTz next = DT_NOEND;
	bool		running = false;

	if (now - progress_at >= interval || now < progress_at)
	{
		running = jobs_notify_progress(MyDatabaseId);
		progress_at = now;
	}
	else
		running = jobs_has_slots(MyDatabaseId);
	if (jobs_notify_pending())
	{
		if (now - notified_at >= NOTIFY_EVERY_US || now < notified_at)
		{
			jobs_notify_send();
			notified_at = GetCurrentTimestamp();
		}
		if (jobs_notify_pending())
			next = notified_at + NOTIFY_EVERY_US;
	}
	if ((running && jobs_any_busy(MyDatabaseId)) || jobs_notify_outside_pending())
		next = Min(next, progress_at + interval);
	return next;
}

/*
 * With no worker, nothing ready and no timer near for as long as idle workers
 * stay; at once where the server is short of processes.  Sets *when to the time
 * at which to ask again.
 */
static bool
may_leave(TimestampTz now, TimestampTz *when)
{
	TimestampTz stay = Max(jobs_worker_idle_timeout, LEAVE_AFTER_MIN_S) * USECS_PER_SEC;

	/* Somebody needs a process now. */
	if (now - jobs_shared->short_at < SHORT_OF_PROCESSES_US)
		stay = 0;
	if (db->leave)
	{
		jobs_dismiss(MyDatabaseId);
		return !jobs_has_slots(MyDatabaseId);
	}
	if (jobs_has_slots(MyDatabaseId) || jobs_notify_pending() || jobs_notify_outside_pending() ||
		(jobs_enabled && jobs_queue_any_ready()) ||
		Min(Min(jobs_queue_next_due(), retain_at), jobs_held_next()) < now + stay)
	{
		busy_at = now;
		return false;
	}
	if (now - busy_at >= stay)
		return true;
	*when = Min(*when, busy_at + stay);
	return false;
}

/* Whoever comes after this finds no scheduler and asks for one. */
static bool
leave(TimestampTz now)
{
	bool		quiet;

	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	SpinLockAcquire(&db->mutex);
	quiet = db->leave || (db->nevents == 0 && !db->paused_changed);
	SpinLockRelease(&db->mutex);
	if (quiet)
	{
		db->scheduler_pid = 0;
		db->scheduler_latch = NULL;
		db->next_needed = Min(jobs_queue_next_due(), retain_at);
		if (db->leave && (jobs_queue_any_ready() || db->nevents > 0))
			db->wanted = true;
	}
	LWLockRelease(jobs_shared->lock);
	return quiet;
}

/*
 * At a shutdown of the server the workers are told to stop too.  Their jobs are
 * queued again, as if they had not begun; no attempt is lost by it.  However
 * long a worker takes, the server waits for it anyway.
 */
static void
shut_down(void)
{
	QueryCancelPending = false;
	SetConfigOption("lock_timeout", SHUTDOWN_LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);
	while (server_is_stopping())
	{
		(void) take_worker_events();
		settle_exited();
		if (!jobs_any_busy(MyDatabaseId))
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 SHUTDOWN_LOOK_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}
