/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The process that starts schedulers.
 *
 * One for the cluster, after recovery has ended, connected to no database.  At
 * its start it has a scheduler look into each database; one that finds no
 * extension goes at once and its entry is free again.  After that it sleeps
 * until a commit, a scheduler's end or the time of a job wakes it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "compat.h"
#include "guc.h"
#include "launcher.h"
#include "miscadmin.h"
#include "outside/tally.h"
#include "nodes/pg_list.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "scheduler.h"
#include "shmem.h"
#include "slots.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#define RESTART_SECS		1	/* of the launcher itself */
#define MAX_LOOKING			2	/* databases looked into at once at the start */
#define SHORT_LIFE_US		USECS_PER_SEC	/* a scheduler that lives shorter has failed */
#define FIRST_DELAY_US		USECS_PER_SEC	/* before a failed one is tried again ... */
#define LONGEST_DELAY_US	USECS_PER_MINUTE	/* ... doubled up to this */
#define CLOSED_US			(10 * USECS_PER_SEC)	/* before a look whether a database is open again */

/* What the launcher remembers of an entry in shared memory. */
typedef struct Watch
{
	Oid			dboid;			/* whose scheduler it was */
	BackgroundWorkerHandle *handle; /* NULL: none was asked for */
	TimestampTz started_at;
	int			failures;		/* in a row */
	TimestampTz not_before;
} Watch;

static Watch watches[JOBS_MAX_DATABASES];
static List *unvisited = NIL;	/* databases not yet looked into (of Oid) */
static MemoryContext unvisited_context = NULL;

static void attach(void);
static void detach(int code, Datum arg);
static void list_databases(void);
static void visit_databases(void);
static bool is_looking(int i);
static void want_all(bool enabled);
static TimestampTz watch_all(TimestampTz now);
static void reap(int i, TimestampTz now);
static bool database_exists(Oid dboid, bool *open);
static bool is_open(Form_pg_database form);
static bool forget_database(int i);
static TimestampTz wanted_at(int i, TimestampTz now);
static bool start_scheduler(int i, TimestampTz now);

void
jobs_launcher_register(void)
{
	BackgroundWorker worker = {0};

	/* Nothing runs while pg_upgrade has the server. */
	if (IsBinaryUpgrade)
		return;
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_SECS;
	strlcpy(worker.bgw_library_name, "jobs", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "jobs_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "jobs launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "jobs launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

void
jobs_launcher_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, SIG_IGN);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	attach();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("jobs launcher");
	unvisited_context = AllocSetContextCreate(TopMemoryContext, "jobs launcher", ALLOCSET_SMALL_SIZES);
	list_databases();

	while (!ShutdownRequestPending)
	{
		TimestampTz next;
		long		left = -1;

		if (ConfigReloadPending)
		{
			bool		was_enabled = jobs_enabled;

			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			want_all(jobs_enabled && !was_enabled);
		}
		visit_databases();
		next = watch_all(GetCurrentTimestamp());
		if (unvisited != NIL)
			next = Min(next, GetCurrentTimestamp() + FIRST_DELAY_US);
		if (next != DT_NOEND)
			left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (left >= 0 ? WL_TIMEOUT : 0),
						 Min(left, INT_MAX), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	/* Zero would mean that it is never to be started again. */
	proc_exit(1);
}

/* Handles of an earlier launcher are lost; whoever it asked for may still come. */
static void
attach(void)
{
	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	jobs_shared->launcher_pid = MyProcPid;
	jobs_shared->launcher_latch = MyLatch;
	for (int i = 0; i < JOBS_MAX_DATABASES; i++)
		jobs_shared->databases[i].starting = false;
	LWLockRelease(jobs_shared->lock);
	before_shmem_exit(detach, (Datum) 0);
}

static void
detach(int code, Datum arg)
{
	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	jobs_shared->launcher_pid = 0;
	jobs_shared->launcher_latch = NULL;
	LWLockRelease(jobs_shared->lock);
}

/* ------------------------------------------------------------------------
 * The first look
 * ------------------------------------------------------------------------
 */

static void
list_databases(void)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		if (is_open(form))
		{
			MemoryContext old = MemoryContextSwitchTo(unvisited_context);

			unvisited = lappend_oid(unvisited, form->oid);
			MemoryContextSwitchTo(old);
		}
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static void
visit_databases(void)
{
	int			looking = 0;

	for (int i = 0; i < JOBS_MAX_DATABASES; i++)
		looking += is_looking(i);
	while (unvisited != NIL && looking < MAX_LOOKING)
	{
		JobsDatabase *db = jobs_database(linitial_oid(unvisited), true);

		/* All entries are taken: those that have no extension become free. */
		if (db == NULL)
			break;
		LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
		db->wanted = db->scheduler_pid == 0;
		LWLockRelease(jobs_shared->lock);
		unvisited = list_delete_first(unvisited);
		looking++;
	}
}

/* Those that are closed, or whose scheduler fails each time, would keep all others waiting. */
static bool
is_looking(int i)
{
	JobsDatabase *db = &jobs_shared->databases[i];
	Watch	   *watch = &watches[i];

	if (!db->starting && !db->wanted)
		return false;
	return watch->dboid != db->dboid || db->no_process || (watch->failures == 0 && watch->not_before == 0);
}

/*
 * jobs.enabled may be on again, or jobs.history_retention shorter: what a
 * scheduler said when it left no longer holds.  Clients can claim again then, as
 * when a queue is resumed, and one that is alive sees that by itself.
 */
static void
want_all(bool enabled)
{
	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < JOBS_MAX_DATABASES; i++)
	{
		JobsDatabase *db = &jobs_shared->databases[i];

		if (!OidIsValid(db->dboid) || db->scheduler_pid != 0)
			continue;
		db->wanted = true;
		if (enabled)
		{
			SpinLockAcquire(&db->mutex);
			db->paused_changed = true;
			SpinLockRelease(&db->mutex);
		}
	}
	LWLockRelease(jobs_shared->lock);
}

/* ------------------------------------------------------------------------
 * Watching over the schedulers
 * ------------------------------------------------------------------------
 */

/* Returns when to look again if nothing happens before. */
static TimestampTz
watch_all(TimestampTz now)
{
	TimestampTz next = DT_NOEND;

	for (int i = 0; i < JOBS_MAX_DATABASES; i++)
	{
		TimestampTz at;

		reap(i, now);
		at = wanted_at(i, now);
		if (at <= now && !start_scheduler(i, now))
			at = watches[i].not_before;
		if (at > now)
			next = Min(next, at);
	}
	return next;
}

/* A scheduler that has gone, by itself or not. */
static void
reap(int i, TimestampTz now)
{
	JobsDatabase *db = &jobs_shared->databases[i];
	Watch	   *watch = &watches[i];
	pid_t		pid;
	bool		failed;

	if (watch->handle == NULL || GetBackgroundWorkerPid(watch->handle, &pid) != BGWH_STOPPED)
		return;
	pfree(watch->handle);
	watch->handle = NULL;

	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	failed = db->dboid == watch->dboid && (db->starting || db->failed);
	if (db->starting)
		db->wanted = true;
	db->starting = false;
	LWLockRelease(jobs_shared->lock);
	if (!failed || now - watch->started_at > SHORT_LIFE_US)
	{
		watch->failures = 0;
		watch->not_before = 0;
		return;
	}
	/* The first time may be an administrator's doing. */
	if (watch->failures > 0)
		watch->not_before = now + Min(FIRST_DELAY_US << Min(watch->failures - 1, 10), LONGEST_DELAY_US);
	watch->failures++;
}

static bool
database_exists(Oid dboid, bool *open)
{
	HeapTuple	tuple;
	bool		exists;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dboid));
	exists = HeapTupleIsValid(tuple);
	*open = exists && is_open((Form_pg_database) GETSTRUCT(tuple));
	if (exists)
		ReleaseSysCache(tuple);
	CommitTransactionCommand();
	return exists;
}

/* What an interrupted DROP DATABASE has left can't be connected to either. */
static bool
is_open(Form_pg_database form)
{
	return form->datallowconn && form->datconnlimit != DATCONNLIMIT_INVALID_DB;
}

/*
 * No scheduler will settle the workers that DROP DATABASE has ended by force, or
 * that never came: their slots are free for others.  False where one is left.
 */
static bool
forget_database(int i)
{
	JobsDatabase *db = &jobs_shared->databases[i];
	int			slotno;

	while ((slotno = jobs_next_exited(watches[i].dboid)) >= 0)
		jobs_free_slot(slotno);
	if (jobs_has_slots(watches[i].dboid))
		return false;
	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	if (db->dboid == watches[i].dboid && db->scheduler_pid == 0)
	{
		db->dboid = InvalidOid;
		db->wanted = false;
	}
	LWLockRelease(jobs_shared->lock);
	jobs_tally_prune(watches[i].dboid, NULL);
	watches[i].failures = 0;
	watches[i].not_before = 0;
	return true;
}

/* When the entry's database wants a scheduler that it has not; DT_NOEND for never. */
static TimestampTz
wanted_at(int i, TimestampTz now)
{
	JobsDatabase *db = &jobs_shared->databases[i];
	TimestampTz at = DT_NOEND;

	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	if (OidIsValid(db->dboid) && db->scheduler_pid == 0 && !db->starting && db->quiet == 0 &&
		watches[i].handle == NULL)
		at = db->wanted ? now : db->next_needed;
	LWLockRelease(jobs_shared->lock);
	if (at != DT_NOEND && watches[i].dboid == db->dboid)
		at = Max(at, watches[i].not_before);
	return at;
}

/* False where it can't be now; asked again a little later. */
static bool
start_scheduler(int i, TimestampTz now)
{
	JobsDatabase *db = &jobs_shared->databases[i];
	Watch	   *watch = &watches[i];
	MemoryContext old;
	bool		open;
	bool		started;

	if (watch->dboid != db->dboid)
	{
		watch->dboid = db->dboid;
		watch->failures = 0;
		watch->not_before = 0;
	}
	if (!database_exists(watch->dboid, &open))
	{
		if (forget_database(i))
			return true;
		watch->not_before = now + FIRST_DELAY_US;
		return false;
	}
	if (!open)
	{
		watch->not_before = now + CLOSED_US;
		return false;
	}
	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	db->starting = true;
	LWLockRelease(jobs_shared->lock);

	old = MemoryContextSwitchTo(TopMemoryContext);
	started = jobs_scheduler_register(watch->dboid, &watch->handle);
	MemoryContextSwitchTo(old);
	watch->started_at = now;
	if (!started)
	{
		watch->handle = NULL;
		LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
		db->starting = false;
		LWLockRelease(jobs_shared->lock);
		if (jobs_spare_process())
			watch->not_before = now + SPARED_US;
		else
		{
			jobs_slot_ask(watch->dboid, InvalidOid, 0, now);
			watch->not_before = now + FIRST_DELAY_US;
		}
	}
	db->no_process = !started;
	return started;
}
