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

#endif							/* JOBS_WORKER_H */
