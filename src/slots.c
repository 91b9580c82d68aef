/*-------------------------------------------------------------------------
 *
 * slots.c
 *	  The scheduler's side of the workers' slots.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "slots.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker.h"

#define RESERVED_US			USECS_PER_SEC	/* of a slot given up for somebody */

/* Of the workers that this process has asked for; NULL where it has not. */
static BackgroundWorkerHandle **handles = NULL;

static int	find_free(Oid dboid, TimestampTz now);
static int	slots_of(Oid dboid, Oid owner);
static bool has_slots(Oid dboid);
static bool is_victim(JobsSlot *slot, Oid dboid, Oid owner, int nslots, TimestampTz now, bool idle);

/* ------------------------------------------------------------------------
 * Dealing
 * ------------------------------------------------------------------------
 */

bool
jobs_slot_deal(int slotno, JobId job)
{
	JobsSlot   *slot = &jobs_shared->slots[slotno];
	bool		dealt;

	SpinLockAcquire(&slot->mutex);
	dealt = !slot->leave && slot->inbox_n < JOBS_INBOX;
	if (dealt)
	{
		slot->inbox[(slot->inbox_first + slot->inbox_n) % JOBS_INBOX] = job;
		slot->inbox_n++;
		slot->idle = false;
	}
	SpinLockRelease(&slot->mutex);
	return dealt;
}

bool
jobs_slot_help(int slotno, JobId job, int leader)
{
	JobsSlot   *slot = &jobs_shared->slots[slotno];
	bool		done;

	SpinLockAcquire(&slot->mutex);
	done = !slot->leave && slot->inbox_n == 0 && slot->job == 0 && slot->helping == 0;
	if (done)
	{
		slot->helping = job;
		slot->help_slot = leader;
		slot->idle = false;
	}
	SpinLockRelease(&slot->mutex);
	return done;
}

int
jobs_slot_take_inbox(int slotno, JobId *ids)
{
	JobsSlot   *slot = &jobs_shared->slots[slotno];
	int			n;

	SpinLockAcquire(&slot->mutex);
	n = slot->inbox_n;
	for (int i = 0; i < n; i++)
		ids[i] = slot->inbox[(slot->inbox_first + i) % JOBS_INBOX];
	slot->inbox_n = 0;
	SpinLockRelease(&slot->mutex);
	return n;
}

void
jobs_slot_wake(int slotno)
{
	JobsSlot   *slot = &jobs_shared->slots[slotno];

	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	if (slot->state == SLOT_ALIVE && slot->latch)
		SetLatch(slot->latch);
	LWLockRelease(jobs_shared->lock);
}

/* ------------------------------------------------------------------------
 * Slots that begin
 * ------------------------------------------------------------------------
 */

/* The handle must last. */
bool
jobs_slot_start(int slotno)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		done;

	if (handles == NULL)
		handles = palloc0(jobs_shared->nslots * sizeof(BackgroundWorkerHandle *));
	done = jobs_worker_register(slotno, &handles[slotno]);
	if (!done)
		handles[slotno] = NULL;
	MemoryContextSwitchTo(old);
	return done;
}

/* First one that is kept for the database, then any that is kept for none; -1 if there is none. */
static int
find_free(Oid dboid, TimestampTz now)
{
	int			found = -1;

	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		if (slot->state != SLOT_FREE)
			continue;
		if (slot->reserved_for == dboid)
			return i;
		if (!OidIsValid(slot->reserved_for) || now - slot->reserved_at > RESERVED_US)
			found = i;
	}
	return found;
}

int
jobs_slot_take(Oid dboid, Oid owner, Oid connect_as, TimestampTz now)
{
	int			slotno;

	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	slotno = find_free(dboid, now);
	if (slotno >= 0)
	{
		JobsSlot   *slot = &jobs_shared->slots[slotno];

		slot->state = SLOT_STARTING;
		slot->generation++;
		slot->dboid = dboid;
		slot->owner = owner;
		slot->connect_as = connect_as;
		slot->pid = 0;
		slot->latch = NULL;
		slot->reserved_for = InvalidOid;
		slot->taken_at = now;
		slot->job = 0;
		slot->job_shown = false;
		slot->helping = 0;
		slot->helpers_wanted = 0;
		slot->inbox_n = 0;
		slot->idle = false;
		slot->leave = false;
		slot->cancel = false;
		slot->finishing = false;
		slot->reason[0] = '\0';
		slot->reason_code = 0;
		slot->progress.job = 0;
		pg_atomic_write_u32(&slot->ring_head, pg_atomic_read_u32(&slot->ring_tail));
	}
	LWLockRelease(jobs_shared->lock);
	return slotno;
}

static int
slots_of(Oid dboid, Oid owner)
{
	int			n = 0;

	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		if (slot->state != SLOT_FREE && slot->dboid == dboid && slot->owner == owner)
			n++;
	}
	return n;
}

/* Whether a slot is to be given up for an owner with nslots: an idle one, or one after its job. */
static bool
is_victim(JobsSlot *slot, Oid dboid, Oid owner, int nslots, TimestampTz now, bool idle)
{
	if (slot->state != SLOT_ALIVE || slot->leave)
		return false;
	if (slot->dboid == dboid && slot->owner == owner)
		return idle && slot->idle;
	if (idle)
		return slot->idle;
	return slots_of(slot->dboid, slot->owner) > nslots + 1 ||
		(nslots == 0 && now - slot->taken_at > TIME_SLICE_US);
}

/*
 * One at a time.  A busy worker that was asked before is left out of account as
 * soon as another has nothing to do.
 */
bool
jobs_slot_ask(Oid dboid, Oid owner, int nslots, TimestampTz now)
{
	JobsSlot   *best = NULL;
	JobsSlot   *asked = NULL;
	bool		soon;

	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		if (slot->reserved_for == dboid && slot->state != SLOT_FREE &&
			now - slot->reserved_at < RESERVED_US)
		{
			asked = slot;
			if (slot->state != SLOT_ALIVE || slot->idle)
				break;
		}
		if (is_victim(slot, dboid, owner, nslots, now, true) && (best == NULL || !best->idle))
			best = slot;
		else if ((best == NULL || !best->idle) && is_victim(slot, dboid, owner, nslots, now, false) &&
				 (best == NULL || slots_of(slot->dboid, slot->owner) > slots_of(best->dboid, best->owner) ||
				  (slots_of(slot->dboid, slot->owner) == slots_of(best->dboid, best->owner) &&
				   slot->helping != 0 && best->helping == 0)))
			best = slot;
	}
	soon = asked && (asked->state != SLOT_ALIVE || asked->idle);
	if (soon || (asked && best && !best->idle))
		best = NULL;
	if (best)
	{
		if (asked)
			asked->reserved_for = InvalidOid;
		SpinLockAcquire(&best->mutex);
		best->leave = true;
		SpinLockRelease(&best->mutex);
		best->reserved_for = dboid;
		best->reserved_at = now;
		if (best->latch)
			SetLatch(best->latch);
		soon = best->idle;
	}
	LWLockRelease(jobs_shared->lock);
	return soon;
}

bool
jobs_spare_process(void)
{
	JobsSlot   *best = NULL;
	bool		asked = false;

	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	jobs_shared->short_at = GetCurrentTimestamp();
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		if (slot->state != SLOT_ALIVE || !slot->idle)
			continue;
		if (slot->leave)
			asked = true;
		else if (best == NULL || slot->idle_since < best->idle_since)
			best = slot;
	}
	if (best && !asked)
	{
		SpinLockAcquire(&best->mutex);
		best->leave = true;
		SpinLockRelease(&best->mutex);
		if (best->latch)
			SetLatch(best->latch);
		asked = true;
	}

	/* Schedulers without workers and work go as well, see may_leave. */
	for (int i = 0; i < JOBS_MAX_DATABASES && best == NULL; i++)
	{
		JobsDatabase *other = &jobs_shared->databases[i];

		if (OidIsValid(other->dboid) && other->scheduler_pid != 0 && other->scheduler_pid != MyProcPid &&
			!other->no_process && !has_slots(other->dboid))
		{
			SetLatch(other->scheduler_latch);
			asked = true;
		}
	}
	LWLockRelease(jobs_shared->lock);
	return asked;
}

/* ------------------------------------------------------------------------
 * Slots that end
 * ------------------------------------------------------------------------
 */

/* With JobsShared->lock held. */
static bool
has_slots(Oid dboid)
{
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		if (jobs_shared->slots[i].state != SLOT_FREE && jobs_shared->slots[i].dboid == dboid)
			return true;
	}
	return false;
}

bool
jobs_has_slots(Oid dboid)
{
	bool		found;

	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	found = has_slots(dboid);
	LWLockRelease(jobs_shared->lock);
	return found;
}

bool
jobs_any_busy(Oid dboid)
{
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		if (slot->dboid == dboid && slot->state != SLOT_FREE && (slot->job != 0 || slot->helping != 0))
			return true;
	}
	return false;
}

void
jobs_dismiss(Oid dboid)
{
	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		if (slot->state == SLOT_FREE || slot->dboid != dboid)
			continue;
		SpinLockAcquire(&slot->mutex);
		slot->leave = true;
		SpinLockRelease(&slot->mutex);
		if (slot->latch)
			SetLatch(slot->latch);
	}
	LWLockRelease(jobs_shared->lock);
}

/*
 * A scheduler that took over from another has no handle for a worker that was
 * asked for and has not come; that one is given up, and told so by the
 * generation when it comes after all.
 */
int
jobs_next_exited(Oid dboid)
{
	int			found = -1;

	for (int i = 0; i < jobs_shared->nslots && found < 0; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];
		pid_t		pid;

		if (slot->dboid != dboid)
			continue;
		if (slot->state == SLOT_EXITED)
			found = i;
		else if (slot->state == SLOT_STARTING &&
				 (handles == NULL || handles[i] == NULL ||
				  GetBackgroundWorkerPid(handles[i], &pid) == BGWH_STOPPED))
		{
			LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
			if (slot->state == SLOT_STARTING)
				slot->state = SLOT_EXITED;
			slot->generation++;
			LWLockRelease(jobs_shared->lock);
			found = slot->state == SLOT_EXITED ? i : -1;
		}
	}
	return found;
}

void
jobs_free_slot(int slotno)
{
	JobsSlot   *slot = &jobs_shared->slots[slotno];

	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	slot->state = SLOT_FREE;
	slot->dboid = InvalidOid;
	slot->owner = InvalidOid;
	slot->job = 0;
	slot->job_shown = false;
	slot->helping = 0;
	slot->helpers_wanted = 0;
	slot->inbox_n = 0;
	slot->progress.job = 0;
	LWLockRelease(jobs_shared->lock);
	if (handles && handles[slotno])
	{
		pfree(handles[slotno]);
		handles[slotno] = NULL;
	}
	jobs_wake_slot_seekers();
}
