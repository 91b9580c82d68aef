/*-------------------------------------------------------------------------
 *
 * scheduler.h
 *	  The process that knows a database's jobs and deals them to workers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_SCHEDULER_H
#define JOBS_SCHEDULER_H

#include "postgres.h"

/*
 * Asks the postmaster for the scheduler of a database.  False where no process
 * can be had.
 */
struct BackgroundWorkerHandle;
extern bool jobs_scheduler_register(Oid dboid, struct BackgroundWorkerHandle **handle);

extern PGDLLEXPORT void jobs_scheduler_main(Datum arg);

#endif							/* JOBS_SCHEDULER_H */
