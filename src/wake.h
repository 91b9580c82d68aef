/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  From a backend's commit to its database's scheduler.
 *
 * A backend notes the jobs that its transaction touches; when it commits, the
 * scheduler is told to look at them.  Nothing here writes a row.
 *
 * What a prepared transaction has noted waits in shared memory for its end.  Of one that
 * is older than that memory, or that had no room there, nobody knows what it has done to
 * jobs: the scheduler looks at everything.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_WAKE_H
#define JOBS_WAKE_H

#include "jobs.h"
#include "shmem.h"

/* Registers the transaction callbacks; from _PG_init. */
extern void jobs_wake_init(void);

/* At the server's start. */
extern Size jobs_wake_size(void);
extern void jobs_wake_shmem_init(void);

/*
 * Around the commands of two-phase commit: before PREPARE TRANSACTION, before COMMIT
 * PREPARED or ROLLBACK PREPARED, and after one of these has done its work.
 */
extern void jobs_wake_prepare(const char *gid);
extern void jobs_wake_end_prepared(const char *gid);
extern void jobs_wake_prepared_ended(void);

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
