/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  From a backend's commit to its database's scheduler.
 *
 * A backend notes the jobs that its transaction touches; when it commits, the
 * scheduler is told to look at them.  Nothing here writes a row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_WAKE_H
#define JOBS_WAKE_H

#include "jobs.h"
#include "shmem.h"

/* Registers the transaction callbacks; from _PG_init. */
extern void jobs_wake_init(void);

/*
 * Notes that the current transaction has added or changed a job, or paused or
 * resumed a queue.  Raises 54000 where JOBS_MAX_DATABASES is exceeded.
 */
extern void jobs_note_job(JobId id);
extern void jobs_note_pause(void);

/*
 * The same of a job that a client claims, or claims items of: where that is rolled
 * back, clients are told of it again, since they may have passed over it meanwhile.
 */
extern void jobs_note_claim(JobId id);

/* The least id of the jobs that the current transaction has noted, or PG_INT64_MAX. */
extern JobId jobs_first_noted(void);

/* Notes at once, commit or not, that a file was read to its end. */
extern void jobs_note_download(JobId id);

/* Brings to the disk all that has been committed without waiting for it. */
extern void jobs_flush(void);

/* Tells a database's scheduler at once. */
extern void jobs_push_event(JobsDatabase *db, JobsDbEvent event);

#endif							/* JOBS_WAKE_H */
