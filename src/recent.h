/*-------------------------------------------------------------------------
 *
 * recent.h
 *	  From which id on the jobs are that a reader of the views is to see.
 *
 * The views read the tables by their primary keys from there on.  Of history
 * they need not look through all of the last hour for the newest few, and of
 * live jobs not through what is left of those that have ended, which stays for
 * as long as anybody holds a snapshot.
 *
 * Kept in shared memory: the least id for each minute or second, noted before the commit
 * that ends a job or lets it be seen, and the least id that the scheduler knows
 * to be live or is about to look at.  They may be less than they need be, never more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_RECENT_H
#define JOBS_RECENT_H

#include "jobs.h"
#include "shmem.h"

/* Notes that a job is about to end. */
extern void jobs_recent_note(JobId id, TimestampTz finished_at);

/* Notes that a job is about to be seen as live, or to be so no longer. */
extern void jobs_recent_touch(JobId id);

/* The scheduler knows all live jobs, of which this is the first. */
extern void jobs_recent_publish(JobsDatabase *db, JobId first_live);

/*
 * Reads those that ended before the server started, once.  In the scheduler,
 * in a transaction.
 */
extern void jobs_recent_fill(JobsDatabase *db);

#endif							/* JOBS_RECENT_H */
