/*-------------------------------------------------------------------------
 *
 * dispatch.h
 *	  Which job goes to which worker.
 *
 * Part of the scheduler.  A slot's worker has one owner.  Each owner with jobs
 * that are ready gets workers until all slots are taken; the owner with the
 * fewest comes first, whatever his jobs' priority.  A slot without work, of any
 * database, is given up to whom needs it at once, one with work after its job.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_DISPATCH_H
#define JOBS_DISPATCH_H

#include "jobs.h"
#include "queue.h"
#include "shmem.h"

/*
 * Deals jobs that are ready, starting workers where it may.  Returns when to
 * call it again if nothing happens before, or DT_NOEND.  Opens transactions of
 * its own.
 */
extern TimestampTz jobs_dispatch(JobsDatabase *db, TimestampTz now);

/* Takes all that has been dealt and not begun back into the queue. */
extern void jobs_take_back(JobsDatabase *db);

#endif							/* JOBS_DISPATCH_H */
