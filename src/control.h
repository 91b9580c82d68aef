/*-------------------------------------------------------------------------
 *
 * control.h
 *	  What functions that control jobs share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_CONTROL_H
#define JOBS_CONTROL_H

#include "jobs.h"

/*
 * Locks a final job that the caller may control, to the end of the transaction.
 * Raises 42704, 42501, and 55000 where it is not final: what is what would have
 * been done with it.
 */
extern Job *jobs_lock_controlled_final(JobId id, const char *what, const char *hint);

/*
 * Takes a locked final job back to the queue, with a fresh count of attempts.
 * Raises 55000 where another job has its unique key by now.
 */
extern void jobs_requeue(Job *job);

#endif							/* JOBS_CONTROL_H */
