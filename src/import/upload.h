/*-------------------------------------------------------------------------
 *
 * upload.h
 *	  Uploads: bytes that a client handed in, to be previewed and imported.
 *
 * An upload has its id from the same sequence as jobs, and its bytes in jobs.chunk.
 * All chunks but the last have JOBS_CHUNK_SIZE bytes, so where it ends follows from
 * the last row there, and nothing needs to be counted.  Whoever changes an upload
 * locks its row in jobs.upload_entry first.
 *
 * One that a job uses is kept as long as one of those jobs, and not added to any
 * more; others go a day after they were added to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_UPLOAD_H
#define JOBS_UPLOAD_H

#include "jobs.h"

typedef struct Upload
{
	JobId		id;
	Oid			owner;
	char	   *tenant;
	char	   *filename;		/* or NULL */
	TimestampTz created_at;
	TimestampTz expires_at;		/* DT_NOEND while it is used */
} Upload;

/* ------------------------------------------------------------------------
 * upload.c: as the caller
 * ------------------------------------------------------------------------
 */

/*
 * The upload that the caller wants to read or use.  42704 where there is none or he may
 * not see it, 42501 where he may only look.
 */
extern Upload *jobs_upload_find_controlled(JobId id);

/* The same, and locks it: what jobs_upload_use wants first. */
extern Upload *jobs_upload_lock_controlled(JobId id);

/* A new one with the bytes of a value; 54000 where they exceed jobs.max_upload_size. */
extern JobId jobs_upload_from_bytes(const char *bytes, size_t len, const char *filename);

/* ------------------------------------------------------------------------
 * store_upload.c: nobody's rights are asked
 * ------------------------------------------------------------------------
 */

extern void jobs_store_add_upload(const Upload *upload);

/* NULL where there is none; with lock, held against all others to the transaction's end. */
extern Upload *jobs_store_find_upload(JobId id, bool lock);

/* Sets when a locked upload goes. */
extern void jobs_store_keep_upload(JobId id, TimestampTz expires_at);

/* How many bytes an upload has, 0 where it is not there; they are added by jobs_store_append. */
extern int64 jobs_upload_bytes(JobId id);

/* One chunk; 55000 where the upload has gone. */
extern bytea *jobs_upload_chunk(JobId id, int64 seq);

/* Removes a locked upload; its bytes go in batches. */
extern void jobs_store_remove_upload(JobId id);

/*
 * A job uses an upload, which must be locked; and, as the job is deleted, no longer.
 * An upload that no job uses any more is removed.
 */
extern void jobs_upload_use(JobId upload, JobId job);
extern void jobs_upload_unuse(JobId job);

/* Locks the upload that a job uses, if it uses one; false where another transaction holds it. */
extern bool jobs_upload_try_lock(JobId job);

/* A job that uses an upload, and the upload that a job uses; or 0. */
extern JobId jobs_upload_user(JobId upload);
extern JobId jobs_upload_of_job(JobId job);

/* Retention; see the functions for files in store.h. */
extern bool jobs_store_expire_uploads(TimestampTz *from, TimestampTz now, int limit);
extern TimestampTz jobs_store_next_upload_expiry(TimestampTz from);

#endif							/* JOBS_UPLOAD_H */
