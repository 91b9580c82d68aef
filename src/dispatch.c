/*-------------------------------------------------------------------------
 *
 * dispatch.c
 *	  Which job goes to which worker.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "dispatch.h"
#include "guc.h"
#include "rolesetting.h"
#include "miscadmin.h"
#include "rights.h"
#include "settle.h"
#include "slots.h"
#include "store.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "wake.h"

#define MAX_DEALT			16	/* jobs dealt to one worker ahead */
#define SLOW_JOB_US			20000	/* jobs behind a longer one are taken back */
#define RETRY_PROCESS_US	USECS_PER_SEC	/* the server was out of processes */

/* A slot as it was when this round began, kept true while we deal. */
typedef struct SlotView
{
	bool		ours;			/* of our database, and ready for more */
	Oid			owner;
	Oid			connect_as;
	bool		busy;			/* has work, or is about to begin */
	bool		helping;		/* with another's job, until there is something of its own */
	bool		slow;			/* its job runs for long */
	int			inbox_n;
} SlotView;

/* An owner with jobs that are ready. */
typedef struct Party
{
	Oid			owner;
	int			limit;			/* of slots with work */
	int			nready;
	int			nslots;
	int			nworking;
	int32		priority;		/* the highest of its first jobs ... */
	JobId		first;			/* ... and the oldest of these */
	bool		blocked;		/* no slot to be had in this round ... */
	bool		soon;			/* ... but one will be free at once */
} Party;

static JobsDatabase *db = NULL;
static SlotView *views = NULL;
static List *parties = NIL;		/* of Party * */
static TimestampTz next_look;

static void view_slots(TimestampTz now);
static void find_parties(void);
static void count_elsewhere(void);
static Party *party_of(Oid owner, bool create);
static bool lane_fits(const JobsLane *lane, const SlotView *view);
static JobsEntry *best_entry(Oid owner, const SlotView *view);
static int	share(const Party *party);
static bool deal(int slotno, JobsEntry *entry);
static void deal_to_idle(bool helping);
static void deal_help(TimestampTz now);
static bool send_helper(int leader, JobId job, TimestampTz now);
static bool may_help(Oid owner);
static void deal_ahead(void);
static void start_workers(TimestampTz now);
static Party *neediest(void);
static bool start_one(Party *party, TimestampTz now);
static bool resolve_role(JobsEntry *entry, Oid *connect_as);
static void look_again(TimestampTz when);
static int	deal_some(Party *party, int slotno, int n);

/* ------------------------------------------------------------------------
 * One round
 * ------------------------------------------------------------------------
 */

TimestampTz
jobs_dispatch(JobsDatabase *database, TimestampTz now)
{
	db = database;
	next_look = DT_NOEND;
	if (views == NULL)
		views = MemoryContextAllocZero(TopMemoryContext, jobs_shared->nslots * sizeof(SlotView));
	if (!jobs_enabled || db->leave)
	{
		jobs_take_back(db);
		return DT_NOEND;
	}
	view_slots(now);
	db->wants_slot = false;
	if (!dlist_is_empty(&jobs_lanes))
	{
		find_parties();
		deal_to_idle(false);
		deal_to_idle(true);
		start_workers(now);
		deal_ahead();
	}
	deal_help(now);
	return next_look;
}

static void
look_again(TimestampTz when)
{
	next_look = Min(next_look, when);
}

static void
view_slots(TimestampTz now)
{
	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];
		SlotView   *view = &views[i];
		JobId		ids[JOBS_INBOX];
		int			n = 0;

		memset(view, 0, sizeof(SlotView));
		if (slot->dboid != db->dboid || (slot->state != SLOT_STARTING && slot->state != SLOT_ALIVE))
			continue;
		SpinLockAcquire(&slot->mutex);
		view->ours = !slot->leave;
		view->owner = slot->owner;
		view->connect_as = slot->connect_as;
		view->busy = slot->job != 0 || slot->inbox_n > 0 || slot->state == SLOT_STARTING;
		view->helping = slot->helping != 0;
		view->slow = slot->job != 0 && now - slot->job_started > SLOW_JOB_US;
		view->inbox_n = slot->inbox_n;
		SpinLockRelease(&slot->mutex);

		/* Jobs must not wait behind one that takes its time. */
		if (view->inbox_n > 0 && view->slow)
			n = jobs_slot_take_inbox(i, ids);
		else if (view->inbox_n > 0 && view->busy)
			look_again(now + SLOW_JOB_US);
		view->inbox_n -= n;
		for (int j = 0; j < n; j++)
		{
			JobsEntry  *entry = jobs_queue_find(ids[j]);

			if (entry)
				jobs_queue_ready(entry);
		}
	}
	LWLockRelease(jobs_shared->lock);
}

static Party *
party_of(Oid owner, bool create)
{
	ListCell   *cell;
	Party	   *party;

	foreach(cell, parties)
	{
		party = lfirst(cell);
		if (party->owner == owner)
			return party;
	}
	if (!create)
		return NULL;
	party = palloc0(sizeof(Party));
	party->owner = owner;
	party->limit = jobs_role_limit(owner);
	if (party->limit == 0)
		party->limit = INT_MAX;
	parties = lappend(parties, party);
	return party;
}

/* In the scheduler's per-round memory context. */
static void
find_parties(void)
{
	dlist_iter	iter;

	parties = NIL;
	dlist_foreach(iter, &jobs_lanes)
	{
		JobsLane   *lane = dlist_container(JobsLane, node, iter.cur);
		JobsEntry  *first;
		Party	   *party;

		if (lane->paused)
			continue;
		party = party_of(lane->owner, true);
		first = jobs_lane_first(lane);
		if (party->nready == 0 || first->priority > party->priority ||
			(first->priority == party->priority && first->id < party->first))
		{
			party->priority = first->priority;
			party->first = first->id;
		}
		party->nready += lane->nready;
	}
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		Party	   *party = views[i].owner ? party_of(views[i].owner, false) : NULL;

		if (party)
		{
			party->nslots++;
			party->nworking += views[i].busy;
		}
	}
	count_elsewhere();
}

/*
 * The limit of a role holds for all databases together.  Whoever is at it
 * because of others is woken when one of their workers has nothing to do.
 */
static void
count_elsewhere(void)
{
	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];
		Party	   *party;

		if (slot->state == SLOT_FREE || slot->dboid == db->dboid || slot->idle)
			continue;
		party = party_of(slot->owner, false);
		if (party == NULL || party->limit == INT_MAX)
			continue;
		if (++party->nworking >= party->limit)
		{
			db->wants_slot = true;
			/* It may have become idle just before we wanted to be told. */
			look_again(GetCurrentTimestamp() + TIME_SLICE_US);
		}
	}
	LWLockRelease(jobs_shared->lock);
}

/* ------------------------------------------------------------------------
 * Dealing
 * ------------------------------------------------------------------------
 */

static bool
lane_fits(const JobsLane *lane, const SlotView *view)
{
	return lane->owner == view->owner &&
		(view->connect_as == lane->owner || view->connect_as == lane->session_role);
}

/* The first job of an owner, one that a slot can run if view is given. */
static JobsEntry *
best_entry(Oid owner, const SlotView *view)
{
	JobsEntry  *best = NULL;
	dlist_iter	iter;

	dlist_foreach(iter, &jobs_lanes)
	{
		JobsLane   *lane = dlist_container(JobsLane, node, iter.cur);
		JobsEntry  *first;

		if (lane->paused || lane->owner != owner || (view && !lane_fits(lane, view)))
			continue;
		first = jobs_lane_first(lane);
		if (best == NULL || first->priority > best->priority ||
			(first->priority == best->priority && first->id < best->id))
			best = first;
	}
	return best;
}

/* How many jobs a worker gets at once: one, unless there are plenty for all. */
static int
share(const Party *party)
{
	int			workers = Min(party->limit, jobs_shared->nslots);
	int			n = party->nready / Max(workers, 1);

	return Min(Max(n, 1), MAX_DEALT);
}

static bool
deal(int slotno, JobsEntry *entry)
{
	if (!jobs_slot_deal(slotno, entry->id))
		return false;
	jobs_queue_dealt(entry, slotno);
	views[slotno].inbox_n++;
	return true;
}

/* Deals up to n jobs; returns how many. */
static int
deal_some(Party *party, int slotno, int n)
{
	int			dealt = 0;

	while (dealt < n)
	{
		JobsEntry  *entry = best_entry(party->owner, &views[slotno]);

		if (entry == NULL || !deal(slotno, entry))
			break;
		dealt++;
		party->nready--;
	}
	return dealt;
}

/* To those that have nothing to do, or to those that only help. */
static void
deal_to_idle(bool helping)
{
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		Party	   *party = NULL;

		if (views[i].ours && !views[i].busy && views[i].helping == helping)
			party = party_of(views[i].owner, false);
		if (party == NULL || party->nready == 0 || party->nworking >= party->limit)
			continue;
		if (deal_some(party, i, 1) > 0)
		{
			party->nworking++;
			views[i].busy = true;
			jobs_slot_wake(i);
		}
	}
}

/*
 * More for those who are at it, so that they need not wait for us.  Only once
 * every worker that can be had has one: a job must not wait behind another
 * while later ones start elsewhere.
 */
static void
deal_ahead(void)
{
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		Party	   *party = views[i].ours && views[i].busy && !views[i].slow
			? party_of(views[i].owner, false) : NULL;
		int			n;

		if (party == NULL || party->nready == 0 || party->soon)
			continue;
		n = share(party);
		if (views[i].inbox_n > n / 2)
			continue;
		n = deal_some(party, i, n - views[i].inbox_n);
		if (n > 0)
		{
			look_again(GetCurrentTimestamp() + SLOW_JOB_US);
			/* It may have found the inbox empty just now. */
			jobs_slot_wake(i);
		}
	}
}

void
jobs_take_back(JobsDatabase *database)
{
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobId		ids[JOBS_INBOX];
		int			n;

		if (jobs_shared->slots[i].dboid != database->dboid)
			continue;
		n = jobs_slot_take_inbox(i, ids);
		for (int j = 0; j < n; j++)
		{
			JobsEntry  *entry = jobs_queue_find(ids[j]);

			if (entry)
				jobs_queue_ready(entry);
		}
	}
}

/* ------------------------------------------------------------------------
 * Starting workers
 * ------------------------------------------------------------------------
 */

static void
start_workers(TimestampTz now)
{
	Party	   *party;

	while ((party = neediest()) != NULL)
	{
		if (!start_one(party, now))
			party->blocked = true;
	}
}

/*
 * The owner with the fewest slots who could use one more.  Priorities count
 * among an owner's jobs, and between owners only where all else is equal: else
 * one owner could starve the others.
 */
static Party *
neediest(void)
{
	Party	   *best = NULL;
	ListCell   *cell;

	foreach(cell, parties)
	{
		Party	   *party = lfirst(cell);

		if (party->blocked || party->nready == 0 || party->nworking >= party->limit)
			continue;
		if (best == NULL || party->nslots < best->nslots ||
			(party->nslots == best->nslots &&
			 (party->priority > best->priority ||
			  (party->priority == best->priority && party->first < best->first))))
			best = party;
	}
	return best;
}

static bool
start_one(Party *party, TimestampTz now)
{
	JobsEntry  *entry = best_entry(party->owner, NULL);
	Oid			connect_as;
	int			slotno;

	if (entry == NULL)
		return false;
	if (!resolve_role(entry, &connect_as))
	{
		party->nready--;
		return true;
	}
	slotno = jobs_slot_take(db->dboid, party->owner, connect_as, now);
	if (slotno < 0)
	{
		db->wants_slot = true;
		look_again(now + TIME_SLICE_US);
		party->soon = jobs_slot_ask(db->dboid, party->owner, party->nslots, now);
		return false;
	}
	views[slotno] = (SlotView) {.ours = true, .owner = party->owner, .connect_as = connect_as, .busy = true};
	(void) deal_some(party, slotno, 1);
	party->nslots++;
	party->nworking++;
	if (jobs_slot_start(slotno))
	{
		db->no_process = false;
		return true;
	}

	/* Out of background workers, of which one of ours may be spared. */
	db->no_process = true;
	jobs_take_back(db);
	jobs_free_slot(slotno);
	views[slotno].ours = false;
	db->wants_slot = true;
	if (jobs_spare_process())
		look_again(now + SPARED_US);
	else
	{
		jobs_slot_ask(db->dboid, party->owner, party->nslots - 1, now);
		look_again(now + RETRY_PROCESS_US);
	}
	return false;
}

/*
 * As whom a worker has to connect.  Where the owner may not run anything any
 * more, the job fails with the reason and false is returned.
 */
static bool
resolve_role(JobsEntry *entry, Oid *connect_as)
{
	bool		own;
	bool		held = false;
	Job		   *job;
	JobsFailure failure = {.final = true};
	JobId		id = entry->id;
	MemoryContext context = CurrentMemoryContext;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	job = jobs_store_find_brief(id, &own);
	if (job == NULL || job_state_is_final(job->state))
	{
		jobs_queue_forget(entry);
		job = NULL;
	}
	else if ((failure.message = jobs_owner_refused(job, &failure.sqlstate, connect_as)) != NULL)
	{
		jobs_settle_unbegun(id, &failure, &held);
		jobs_queue_timed(entry, GetCurrentTimestamp() + (held ? 50000 : 0));
		job = NULL;
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	if (failure.message && !held)
		jobs_push_event(db, (JobsDbEvent) {.lo = id, .hi = id});
	return job != NULL;
}

/* ------------------------------------------------------------------------
 * Helpers
 * ------------------------------------------------------------------------
 */

/*
 * Bulk jobs whose worker could do with others beside it get what nobody else
 * wants.  A helper that is wanted for a job or by another owner
 * is gone after its batch.
 */
static void
deal_help(TimestampTz now)
{
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];
		JobId		job;
		int			wanted;

		if (!views[i].ours || !views[i].busy)
			continue;
		SpinLockAcquire(&slot->mutex);
		job = slot->cancel || slot->finishing ? 0 : slot->job;
		wanted = slot->helpers_wanted;
		SpinLockRelease(&slot->mutex);
		for (int j = 0; j < jobs_shared->nslots && job != 0; j++)
			wanted -= jobs_shared->slots[j].dboid == db->dboid && jobs_shared->slots[j].helping == job;
		while (job != 0 && wanted-- > 0 && may_help(views[i].owner) && send_helper(i, job, now))
			;
	}
}

/* The limit of the owner holds for helpers too. */
static bool
may_help(Oid owner)
{
	int			limit = jobs_role_limit(owner);
	int			n = 0;

	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		if (slot->state != SLOT_FREE && slot->owner == owner && !slot->idle)
			n++;
	}
	return limit == 0 || n < limit;
}

/* One that has nothing to do, or a new one; false where there is none. */
static bool
send_helper(int leader, JobId job, TimestampTz now)
{
	SlotView   *view = &views[leader];
	int			slotno;

	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		if (views[i].ours && !views[i].busy && !views[i].helping && views[i].owner == view->owner &&
			views[i].connect_as == view->connect_as && jobs_slot_help(i, job, leader))
		{
			views[i].helping = true;
			jobs_slot_wake(i);
			return true;
		}
	}
	if (db->wants_slot)
		return false;
	slotno = jobs_slot_take(db->dboid, view->owner, view->connect_as, now);
	if (slotno < 0)
		return false;
	views[slotno] = (SlotView) {.ours = true, .owner = view->owner, .connect_as = view->connect_as, .helping = true};
	if (jobs_slot_help(slotno, job, leader) && jobs_slot_start(slotno))
		return true;
	jobs_free_slot(slotno);
	views[slotno].ours = false;
	return false;
}
