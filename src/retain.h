/*-------------------------------------------------------------------------
 *
 * retain.h
 *	  Retention and expiry, by the scheduler.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_RETAIN_H
#define JOBS_RETAIN_H

#include "jobs.h"
#include "shmem.h"

/*
 * Removes a batch of what retention and expiry have made superfluous.  Returns
 * when it wants to be called again.
 */
extern TimestampTz jobs_retain(JobsDatabase *db, TimestampTz now);

#endif							/* JOBS_RETAIN_H */
