/*-------------------------------------------------------------------------
 *
 * held.h
 *	  Jobs whose rows other transactions hold, in the scheduler's memory.
 *
 * The scheduler waits for no row, or else whoever holds one would hold up
 * everybody.  It leaves such a job alone for a while and looks at it again, each
 * time after twice as long, up to a second.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_HELD_H
#define JOBS_HELD_H

#include "jobs.h"
#include "settle.h"

typedef struct JobsHeld
{
	JobId		id;
	TimestampTz due;			/* DT_NOEND: is being looked at */
	int			wait_ms;
	bool		lost;			/* its worker has gone: the rest tells why */
	bool		requeue;
	JobsFailure failure;
} JobsHeld;

/* The one of a job, or NULL. */
extern JobsHeld *jobs_held_find(JobId id);

/* Its row is held, for the first time or again. */
extern JobsHeld *jobs_held_again(JobId id);

/* Keeps what is to become of a job that has lost its worker, if it is not known yet. */
extern void jobs_held_lost(JobsHeld *held, const JobsFailure *failure, bool requeue);

/* It has been looked at; forgets it unless its row was held again. */
extern void jobs_held_forget(JobId id);

/* Calls back for those that are due now. */
extern void jobs_held_due(void (*look) (JobId id));

/* When the next one is due, or DT_NOEND. */
extern TimestampTz jobs_held_next(void);

#endif							/* JOBS_HELD_H */
