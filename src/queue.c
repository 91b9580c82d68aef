/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  The scheduler's picture of all jobs that are not final, in its memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "nodes/pg_list.h"
#include "queue.h"
#include "store.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* So many are looked through in less than a millisecond. */
#define FEW_ENTRIES		10000

/* Lanes hash by this; a collision is told apart by the key in the lane. */
typedef struct LaneBucket
{
	uint64		hash;
	List	   *lanes;
} LaneBucket;

dlist_head	jobs_lanes = DLIST_STATIC_INIT(jobs_lanes);

static MemoryContext queue_context = NULL;
static HTAB *entries = NULL;
static HTAB *lanes = NULL;
static pairingheap *timers = NULL;
static long nwaiting = 0;
static JobId highest_id = 0;
static JobId lowest_id = PG_INT64_MAX;	/* or less, until it is looked for anew */
static List *all_paused = NIL;

static int	compare_ready(const pairingheap_node *a, const pairingheap_node *b, void *arg);
static int	compare_timed(const pairingheap_node *a, const pairingheap_node *b, void *arg);
static JobsLane *lane_of(const Job *job);
static void leave_lane(JobsLane *lane);
static bool lane_is_paused(const JobsLane *lane);
static void take_out(JobsEntry *entry);

#define ENTRY(n)	pairingheap_container(JobsEntry, node, n)
#define CENTRY(n)	pairingheap_const_container(JobsEntry, node, n)

void
jobs_queue_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(JobId), .entrysize = sizeof(JobsEntry)};
	HASHCTL		lane_ctl = {.keysize = sizeof(uint64), .entrysize = sizeof(LaneBucket)};

	queue_context = CurrentMemoryContext;
	ctl.hcxt = lane_ctl.hcxt = queue_context;
	entries = hash_create("jobs entries", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	lanes = hash_create("jobs lanes", 64, &lane_ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	timers = pairingheap_allocate(compare_timed, NULL);
}

/* The greatest comes first out of a pairing heap. */
static int
compare_ready(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	const JobsEntry *x = CENTRY(a);
	const JobsEntry *y = CENTRY(b);

	if (x->priority != y->priority)
		return x->priority > y->priority ? 1 : -1;
	if (x->id != y->id)
		return x->id < y->id ? 1 : -1;
	return 0;
}

static int
compare_timed(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	const JobsEntry *x = CENTRY(a);
	const JobsEntry *y = CENTRY(b);

	if (x->due != y->due)
		return x->due < y->due ? 1 : -1;
	return compare_ready(a, b, arg);
}

static JobsLane *
lane_of(const Job *job)
{
	uint64		hash;
	bool		found;
	LaneBucket *bucket;
	ListCell   *cell;
	JobsLane   *lane;
	MemoryContext old;

	hash = hash_bytes_extended((const unsigned char *) job->queue, strlen(job->queue), job->owner);
	hash = hash_bytes_extended((const unsigned char *) job->tenant, strlen(job->tenant), hash ^ job->session_role);
	bucket = hash_search(lanes, &hash, HASH_ENTER, &found);
	if (!found)
		bucket->lanes = NIL;
	foreach(cell, bucket->lanes)
	{
		lane = lfirst(cell);
		if (lane->owner == job->owner && lane->session_role == job->session_role &&
			strcmp(lane->queue, job->queue) == 0 && strcmp(lane->tenant, job->tenant) == 0)
			return lane;
	}
	old = MemoryContextSwitchTo(queue_context);
	lane = palloc0(sizeof(JobsLane));
	lane->queue = pstrdup(job->queue);
	lane->tenant = pstrdup(job->tenant);
	lane->owner = job->owner;
	lane->session_role = job->session_role;
	lane->hash = hash;
	lane->ready = pairingheap_allocate(compare_ready, NULL);
	lane->paused = lane_is_paused(lane);
	bucket->lanes = lappend(bucket->lanes, lane);
	MemoryContextSwitchTo(old);
	return lane;
}

/* Tenants come and go, and a scheduler may stay for long. */
static void
leave_lane(JobsLane *lane)
{
	LaneBucket *bucket;

	if (--lane->nentries > 0)
		return;
	bucket = hash_search(lanes, &lane->hash, HASH_FIND, NULL);
	bucket->lanes = list_delete_ptr(bucket->lanes, lane);
	if (bucket->lanes == NIL)
		hash_search(lanes, &lane->hash, HASH_REMOVE, NULL);
	pairingheap_free(lane->ready);
	pfree(lane->queue);
	pfree(lane->tenant);
	pfree(lane);
}

JobsEntry *
jobs_queue_find(JobId id)
{
	return hash_search(entries, &id, HASH_FIND, NULL);
}

JobsEntry *
jobs_queue_enter(const Job *job, bool *found)
{
	JobsEntry  *entry = hash_search(entries, &job->id, HASH_ENTER, found);

	if (!*found)
	{
		memset((char *) entry + sizeof(JobId), 0, sizeof(JobsEntry) - sizeof(JobId));
		entry->lane = lane_of(job);
		entry->lane->nentries++;
		entry->priority = job->priority;
		entry->announced = JOBS_UNANNOUNCED;
		entry->items = job->kind == JOB_BULK;
		entry->told_processed = entry->told_total = -1;
		highest_id = Max(highest_id, job->id);
		lowest_id = Min(lowest_id, job->id);
	}
	/* The items of a query are found here, and then done by clients. */
	entry->outside = job->outside;
	return entry;
}

void
jobs_queue_forget(JobsEntry *entry)
{
	take_out(entry);
	leave_lane(entry->lane);
	hash_search(entries, &entry->id, HASH_REMOVE, NULL);
}

static void
take_out(JobsEntry *entry)
{
	switch (entry->place)
	{
		case PLACE_READY:
			pairingheap_remove(entry->lane->ready, &entry->node);
			if (--entry->lane->nready == 0)
				dlist_delete(&entry->lane->node);
			break;
		case PLACE_TIMED:
			pairingheap_remove(timers, &entry->node);
			break;
		case PLACE_WAITING:
			nwaiting--;
			break;
		case PLACE_NONE:
		case PLACE_DEALT:
		case PLACE_OFFERED:
			break;
	}
	entry->place = PLACE_NONE;
}

void
jobs_queue_ready(JobsEntry *entry)
{
	take_out(entry);
	entry->place = PLACE_READY;
	pairingheap_add(entry->lane->ready, &entry->node);
	if (entry->lane->nready++ == 0)
		dlist_push_tail(&jobs_lanes, &entry->lane->node);
}

void
jobs_queue_timed(JobsEntry *entry, TimestampTz due)
{
	take_out(entry);
	entry->place = PLACE_TIMED;
	entry->due = due;
	pairingheap_add(timers, &entry->node);
}

void
jobs_queue_waiting(JobsEntry *entry)
{
	take_out(entry);
	entry->place = PLACE_WAITING;
	nwaiting++;
}

void
jobs_queue_dealt(JobsEntry *entry, int slotno)
{
	take_out(entry);
	entry->place = PLACE_DEALT;
	entry->slotno = slotno;
}

void
jobs_queue_offered(JobsEntry *entry)
{
	take_out(entry);
	entry->place = PLACE_OFFERED;
}

JobsEntry *
jobs_lane_first(const JobsLane *lane)
{
	return ENTRY(pairingheap_first(lane->ready));
}

JobsEntry *
jobs_queue_pop_due(TimestampTz now)
{
	JobsEntry  *entry;

	if (pairingheap_is_empty(timers))
		return NULL;
	entry = ENTRY(pairingheap_first(timers));
	if (entry->due > now)
		return NULL;
	take_out(entry);
	return entry;
}

TimestampTz
jobs_queue_next_due(void)
{
	if (pairingheap_is_empty(timers))
		return DT_NOEND;
	return ENTRY(pairingheap_first(timers))->due;
}

long
jobs_queue_size(void)
{
	return hash_get_num_entries(entries);
}

JobId
jobs_queue_first(void)
{
	HASH_SEQ_STATUS status;
	JobsEntry  *entry;

	if (hash_get_num_entries(entries) > FEW_ENTRIES)
		return lowest_id;
	lowest_id = PG_INT64_MAX;
	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
		lowest_id = Min(lowest_id, entry->id);
	return lowest_id;
}

long
jobs_queue_num_waiting(void)
{
	return nwaiting;
}

bool
jobs_queue_any_ready(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &jobs_lanes)
	{
		if (!dlist_container(JobsLane, node, iter.cur)->paused)
			return true;
	}
	return false;
}

List *
jobs_queue_range(JobId lo, JobId hi)
{
	HASH_SEQ_STATUS status;
	JobsEntry  *entry;
	List	   *list = NIL;

	if (lo > highest_id)
		return NIL;
	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		int64	   *id;

		if (entry->id < lo || entry->id > hi)
			continue;
		id = palloc(sizeof(int64));
		*id = entry->id;
		list = lappend(list, id);
	}
	return list;
}

void
jobs_queue_tell_again(JobId lo, JobId hi)
{
	HASH_SEQ_STATUS status;
	JobsEntry  *entry;

	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->outside && entry->id >= lo && entry->id <= hi)
			entry->announced = JOBS_UNANNOUNCED;
	}
}

/* Looks at all entries, and is for rare events. */
List *
jobs_queue_some_offered(void)
{
	static uint32 pass = 0;
	HASH_SEQ_STATUS status;
	JobsEntry  *entry;
	List	   *list = NIL;

	pass++;
	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		bool		timed = entry->place == PLACE_TIMED && entry->began_at != 0;

		if (entry->lane->paused || !entry->outside || (entry->place != PLACE_OFFERED && !timed))
			continue;
		if (!entry->items)
		{
			if (entry->lane->told == pass)
				continue;
			entry->lane->told = pass;
		}
		list = lappend(list, entry);
	}
	return list;
}

/* ------------------------------------------------------------------------
 * Paused queues
 * ------------------------------------------------------------------------
 */

static bool
lane_is_paused(const JobsLane *lane)
{
	ListCell   *cell;

	foreach(cell, all_paused)
	{
		JobsPaused *paused = lfirst(cell);

		if (jobs_paused_applies(paused, lane->queue, lane->owner, lane->tenant))
			return true;
	}
	return false;
}

void
jobs_queue_set_paused(List *paused)
{
	MemoryContext old = MemoryContextSwitchTo(queue_context);
	HASH_SEQ_STATUS status;
	LaneBucket *bucket;
	ListCell   *cell;

	foreach(cell, all_paused)
	{
		JobsPaused *p = lfirst(cell);

		pfree(p->queue);
		pfree(p->tenant);
	}
	list_free_deep(all_paused);
	all_paused = NIL;
	foreach(cell, paused)
	{
		JobsPaused *p = palloc(sizeof(JobsPaused));

		*p = *(JobsPaused *) lfirst(cell);
		p->queue = pstrdup(p->queue);
		p->tenant = pstrdup(p->tenant);
		all_paused = lappend(all_paused, p);
	}
	hash_seq_init(&status, lanes);
	while ((bucket = hash_seq_search(&status)) != NULL)
	{
		foreach(cell, bucket->lanes)
		{
			JobsLane   *lane = lfirst(cell);

			lane->paused = lane_is_paused(lane);
		}
	}
	MemoryContextSwitchTo(old);
}
