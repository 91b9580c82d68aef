/*-------------------------------------------------------------------------
 *
 * equal.h
 *	  Items of a bulk job that fail in a row with the same error.
 *
 * They are counted in the slot of the worker that has claimed the job, for all of
 * its workers together.  That worker may have died and its slot be another job's,
 * of another role even, so each call asks whether the slot is still the job's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_EQUAL_H
#define JOBS_EQUAL_H

#include "bulk/items.h"
#include "compat.h"
#include "shmem.h"

typedef struct JobsEqual
{
	uint32		hash;			/* of the error */
	int			count;
} JobsEqual;

/* Two errors are equal where these are. */
extern uint32 jobs_equal_hash(int sqlstate, const char *message);

extern void jobs_equal_note(JobsSlot *slot, JobId job, const JobsVerdict *verdict);
extern bool jobs_equal_reached(const JobsSlot *slot, JobId job, int64 stop_after);	/* -1: never */

/* For a batch that may have to be run again. */
extern void jobs_equal_save(JobsSlot *slot, JobsEqual *saved);
extern void jobs_equal_restore(JobsSlot *slot, JobId job, const JobsEqual *saved);

/* The error with which a job stops: that of the items.  Raises it. */
pg_noreturn extern void jobs_equal_raise(JobsSlot *slot, int64 stop_after);

/* What it says. */
extern char *jobs_equal_text(int64 stop_after, const char *message);
#define JOBS_EQUAL_HINT	"Items that are still open go on with jobs.retry."

#endif							/* JOBS_EQUAL_H */
