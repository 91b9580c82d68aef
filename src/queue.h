/*-------------------------------------------------------------------------
 *
 * queue.h
 *	  The scheduler's picture of all jobs that are not final, in its memory.
 *
 * A job that is ready stands in a lane: the jobs of one queue, owner, session's
 * role and tenant, by priority and then by id.  A job with a time to come
 * stands in the timers.  Nothing here touches a table or shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_QUEUE_H
#define JOBS_QUEUE_H

#include "jobs.h"

#include "lib/ilist.h"
#include "lib/pairingheap.h"

typedef enum JobsPlace
{
	PLACE_NONE,
	PLACE_READY,				/* in its lane */
	PLACE_TIMED,				/* in the timers, until due */
	PLACE_WAITING,				/* for other jobs */
	PLACE_DEALT,				/* in a worker's slot */
	PLACE_OFFERED				/* to clients, see outside/outside.h */
} JobsPlace;

#define JOBS_UNANNOUNCED	(-1)

typedef struct JobsLane
{
	/* the key */
	char	   *queue;
	char	   *tenant;
	Oid			owner;
	Oid			session_role;

	uint64		hash;			/* of that */
	long		nentries;		/* that are in it, ready or not */
	dlist_node	node;			/* in jobs_lanes while jobs are ready */
	pairingheap *ready;
	int			nready;
	bool		paused;
	Oid			connect_as;		/* looked up at checked_at */
	TimestampTz checked_at;
	uint32		told;			/* the last pass of jobs_queue_some_offered */
} JobsLane;

typedef struct JobsEntry
{
	JobId		id;				/* hash key */
	JobsPlace	place;
	JobsLane   *lane;
	int32		priority;
	TimestampTz due;			/* of a timer */
	int			held_ms;		/* row was locked: how long to leave it alone */
	int			starts_failed;	/* workers that could not be started for it */
	int			slotno;			/* where it was dealt to */
	int			announced;		/* state that NOTIFY told last, or JOBS_UNANNOUNCED ... */
	TimestampTz announced_run;	/* ... and the job's run_at then */
	bool		items;			/* it is a bulk job */
	bool		outside;		/* clients do it, and said last ... */
	int64		told_processed; /* ... how far it is */
	int64		told_total;
	/* of a bulk job that clients do, since it began at began_at */
	TimestampTz began_at;
	int64		done_upto;		/* all items before have an outcome */
	TimestampTz told_lapsed;	/* leases that ended by then were told of */
	TimestampTz leases_read_at;	/* and all of them were last read then ... */
	TimestampTz lease_ends;		/* ... and the first of them ends then */
	pairingheap_node node;
} JobsEntry;

/* Lanes with jobs that are ready. */
extern dlist_head jobs_lanes;

/* Starts empty, in the current memory context, which must last. */
extern void jobs_queue_init(void);

extern JobsEntry *jobs_queue_find(JobId id);

/* The entry of a job, made if there is none; *found says which. */
extern JobsEntry *jobs_queue_enter(const Job *job, bool *found);
extern void jobs_queue_forget(JobsEntry *entry);

/* Puts an entry into a place, out of the one where it is. */
extern void jobs_queue_ready(JobsEntry *entry);
extern void jobs_queue_timed(JobsEntry *entry, TimestampTz due);
extern void jobs_queue_waiting(JobsEntry *entry);
extern void jobs_queue_dealt(JobsEntry *entry, int slotno);
extern void jobs_queue_offered(JobsEntry *entry);

/* The first job of a lane that has some. */
extern JobsEntry *jobs_lane_first(const JobsLane *lane);

/* Takes the next entry that is due out of the timers, or NULL. */
extern JobsEntry *jobs_queue_pop_due(TimestampTz now);

/* When the next one is, or DT_NOEND. */
extern TimestampTz jobs_queue_next_due(void);

/* No entry has an id below this.  Looks through all of them unless they are many. */
extern JobId jobs_queue_first(void);

/* How many entries there are, and how many in PLACE_WAITING. */
extern long jobs_queue_size(void);
extern long jobs_queue_num_waiting(void);

/* Whether a job is ready in a queue that is not paused. */
extern bool jobs_queue_any_ready(void);

/* All known ids from lo to hi, a list of int64 *. */
extern List *jobs_queue_range(JobId lo, JobId hi);

/* What clients can claim from lo to hi is news again. */
extern void jobs_queue_tell_again(JobId lo, JobId hi);

/*
 * Of each lane that is not paused, one job that is offered as a whole, and all bulk
 * jobs whose items are: a list of JobsEntry *.
 */
extern List *jobs_queue_some_offered(void);

/* Sets paused in every lane; the list is that of jobs_store_paused. */
extern void jobs_queue_set_paused(List *paused);

#endif							/* JOBS_QUEUE_H */
