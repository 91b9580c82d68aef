/*-------------------------------------------------------------------------
 *
 * slots.h
 *	  The scheduler's side of the workers' slots.
 *
 * All of these take JobsShared->lock or a slot's mutex themselves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_SLOTS_H
#define JOBS_SLOTS_H

#include "jobs.h"
#include "shmem.h"

#define TIME_SLICE_US		200000	/* of an owner's slot that others want */

/* Puts a job into a slot's inbox; false where it is full or its worker is to leave. */
extern bool jobs_slot_deal(int slotno, JobId job);

/* Has a worker without work help with the job in another slot; false where it has some. */
extern bool jobs_slot_help(int slotno, JobId job, int leader);

/* Takes everything out of an inbox; ids has room for JOBS_INBOX.  Returns how many. */
extern int	jobs_slot_take_inbox(int slotno, JobId *ids);

/* Wakes the worker of a slot, if it has come. */
extern void jobs_slot_wake(int slotno);

/* Takes a free slot, in state SLOT_STARTING; -1 if there is none. */
extern int	jobs_slot_take(Oid dboid, Oid owner, Oid connect_as, TimestampTz now);

/* Asks the postmaster for its worker; false where no process can be had. */
extern bool jobs_slot_start(int slotno);

/*
 * Makes the worker go that can best be spared for an owner with nslots: one
 * without work, or of the owner with the most.  One at a time; its slot is kept
 * for the database for a moment.  Returns whether that is going to be at once.
 */
extern bool jobs_slot_ask(Oid dboid, Oid owner, int nslots, TimestampTz now);

#define SPARED_US			20000	/* until a process that was asked to go may be gone */

/*
 * The server has no background worker left: makes the worker go that has had
 * nothing to do for the longest, in any database, or else schedulers that have
 * neither workers nor work.  False where there is nobody to ask.
 */
extern bool jobs_spare_process(void);

/* Whether the database has a slot, with or without work. */
extern bool jobs_has_slots(Oid dboid);

/* Whether one of its workers has a job. */
extern bool jobs_any_busy(Oid dboid);

/* Lets idle workers of the database go; all once they are idle. */
extern void jobs_dismiss(Oid dboid);

/*
 * The next slot of the database whose process has gone, -1 for none: a worker
 * that exited, or one that was asked for and never came.
 */
extern int	jobs_next_exited(Oid dboid);

/* Gives a slot that was settled back to all. */
extern void jobs_free_slot(int slotno);

#endif							/* JOBS_SLOTS_H */
