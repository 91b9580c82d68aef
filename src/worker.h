/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The process that runs jobs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_WORKER_H
#define JOBS_WORKER_H

#include "jobs.h"
#include "shmem.h"

/* The slot of this process; NULL unless it is a worker. */
extern JobsSlot *jobs_my_slot;

/*
 * Asks the postmaster for a worker in a slot that the caller has set to
 * SLOT_STARTING.  False where no process can be had.
 */
struct BackgroundWorkerHandle;
extern bool jobs_worker_register(int slotno, struct BackgroundWorkerHandle **handle);

extern PGDLLEXPORT void jobs_worker_main(Datum arg);

/* Tells the scheduler of a job, once that is committed. */
extern void jobs_worker_tell(JobsEventKind kind, const Job *job);

/* Leaves a reason in the slot for the end of this process. */
extern void jobs_worker_leave_reason(const char *message, int sqlstate);

/* Something in this worker's slot is for the scheduler to see. */
extern void jobs_worker_wake_scheduler(void);

/* Wakes those who wait for a job. */
extern void jobs_worker_wake_waiters(JobId job);

/*
 * Whether a transaction may be committed without waiting for the disk; more
 * says that another will follow soon.  Notes that there is something to flush.
 */
extern bool jobs_worker_may_commit_async(bool more);

/* Brings to the disk what has not been there for older_than microseconds. */
extern void jobs_worker_flush(int64 older_than);

#endif							/* JOBS_WORKER_H */
