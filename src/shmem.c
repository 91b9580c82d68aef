/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Shared memory: its size, its start, and finding one's way in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "guc.h"
#include "miscadmin.h"
#include "outside/tally.h"
#include "shmem.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "wake.h"

#define JOBS_TRANCHE	"jobs"

/* A job that crashes the server right away is back before this is over. */
#define CAREFUL_US		USECS_PER_MINUTE

JobsShared *jobs_shared = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static Size jobs_shmem_size(void);
static void jobs_shmem_request(void);
static void jobs_shmem_startup(void);

void
jobs_shmem_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = jobs_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = jobs_shmem_startup;
}

static Size
jobs_shmem_size(void)
{
	return add_size(offsetof(JobsShared, slots),
					mul_size(jobs_max_workers, sizeof(JobsSlot)));
}

static void
jobs_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(jobs_shmem_size());
	RequestAddinShmemSpace(jobs_tally_size());
	RequestAddinShmemSpace(jobs_wake_size());
	RequestNamedLWLockTranche(JOBS_TRANCHE, 3);
}

static void
jobs_shmem_startup(void)
{
	/* Kept by the postmaster, which sets up shared memory anew after a crash. */
	static bool started_before = false;
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	jobs_shared = ShmemInitStruct("jobs", jobs_shmem_size(), &found);
	if (!found)
	{
		memset(jobs_shared, 0, jobs_shmem_size());
		jobs_shared->lock = &(GetNamedLWLockTranche(JOBS_TRANCHE))[0].lock;
		jobs_shared->tally_lock = &(GetNamedLWLockTranche(JOBS_TRANCHE))[1].lock;
		jobs_shared->prepared_lock = &(GetNamedLWLockTranche(JOBS_TRANCHE))[2].lock;
		jobs_shared->nslots = jobs_max_workers;
		if (started_before)
			jobs_shared->careful_until = GetCurrentTimestamp() + CAREFUL_US;
		started_before = true;
		for (int i = 0; i < JOBS_MAX_DATABASES; i++)
		{
			JobsDatabase *db = &jobs_shared->databases[i];

			SpinLockInit(&db->mutex);
			for (int j = 0; j < JOBS_WAIT_CVS; j++)
				ConditionVariableInit(&db->changed[j]);
		}
		for (int i = 0; i < jobs_shared->nslots; i++)
		{
			JobsSlot   *slot = &jobs_shared->slots[i];

			SpinLockInit(&slot->mutex);
			pg_atomic_init_u32(&slot->ring_head, 0);
			pg_atomic_init_u32(&slot->ring_tail, 0);
			for (int j = 0; j < JOBS_ITEM_STATES; j++)
				pg_atomic_init_u64(&slot->items[j], 0);
		}
	}
	jobs_tally_init();
	jobs_wake_shmem_init();
	LWLockRelease(AddinShmemInitLock);
}

JobsDatabase *
jobs_database(Oid dboid, bool create)
{
	JobsDatabase *free_entry = NULL;
	JobsDatabase *found = NULL;

	if (jobs_shared == NULL)
		return NULL;

	LWLockAcquire(jobs_shared->lock, create ? LW_EXCLUSIVE : LW_SHARED);
	for (int i = 0; i < JOBS_MAX_DATABASES && found == NULL; i++)
	{
		JobsDatabase *db = &jobs_shared->databases[i];

		if (db->dboid == dboid)
			found = db;
		else if (db->dboid == InvalidOid && free_entry == NULL)
			free_entry = db;
	}
	if (found == NULL && create && free_entry != NULL)
	{
		found = free_entry;
		found->scheduler_pid = 0;
		found->scheduler_latch = NULL;
		found->starting = false;
		found->wanted = false;
		found->failed = false;
		found->next_needed = DT_NOEND;
		found->quiet = 0;
		found->leave = false;
		found->nevents = 0;
		found->paused_changed = false;
		memset(found->recent, 0, sizeof(found->recent));
		found->recent_known = false;
		found->recent_filled = false;
		memset(found->touched, 0, sizeof(found->touched));
		found->first_live = 0;
		found->cooling = false;
		found->wants_slot = false;
		found->no_process = false;
		found->dboid = dboid;
	}
	LWLockRelease(jobs_shared->lock);
	return found;
}

void
jobs_wake_scheduler(JobsDatabase *db)
{
	bool		alive;

	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	alive = db->scheduler_pid != 0;
	if (alive)
		SetLatch(db->scheduler_latch);
	LWLockRelease(jobs_shared->lock);
	if (alive)
		return;

	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	alive = db->scheduler_pid != 0;
	if (alive)
		SetLatch(db->scheduler_latch);
	else
		db->wanted = true;
	LWLockRelease(jobs_shared->lock);
	if (!alive)
		jobs_wake_launcher();
}

void
jobs_wake_slot_seekers(void)
{
	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	for (int i = 0; i < JOBS_MAX_DATABASES; i++)
	{
		JobsDatabase *db = &jobs_shared->databases[i];

		if (OidIsValid(db->dboid) && db->wants_slot && db->scheduler_pid != 0)
			SetLatch(db->scheduler_latch);
	}
	LWLockRelease(jobs_shared->lock);
}

void
jobs_wake_launcher(void)
{
	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	if (jobs_shared->launcher_latch)
		SetLatch(jobs_shared->launcher_latch);
	LWLockRelease(jobs_shared->lock);
}

void
jobs_wake_waiters(JobsDatabase *db, JobId job)
{
	ConditionVariableBroadcast(&db->changed[job % JOBS_WAIT_CVS]);
}

JobsSlot *
jobs_slot_of(Oid dboid, JobId job)
{
	if (jobs_shared == NULL)
		return NULL;
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		/* Both are checked again under the slot's lock where it matters. */
		if (slot->dboid == dboid && slot->job == job && slot->state != SLOT_FREE)
			return slot;
	}
	return NULL;
}

void
jobs_stop_helpers(Oid dboid, JobId job)
{
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		if (slot->dboid != dboid || slot->helping != job)
			continue;
		SpinLockAcquire(&slot->mutex);
		/* One that has got a job of its own before it came to help must not be hit. */
		if (slot->helping == job && slot->job != 0)
			slot->helping = 0;
		else if (slot->helping == job && slot->pid != 0)
		{
			if (!slot->cancel)
				slot->cancel_at = GetCurrentTimestamp();
			slot->cancel = true;
			kill(slot->pid, SIGINT);
		}
		SpinLockRelease(&slot->mutex);
	}
}
