/*-------------------------------------------------------------------------
 *
 * store.h
 *	  The only code that reads and writes the tables of schema jobs on behalf
 *	  of users and workers.
 *
 * It goes through the table access methods the way logical replication's apply
 * worker does, not through SQL: no privilege is raised for it, no search_path,
 * operator, cast or plan takes part, and it works inside a read-only
 * transaction.  Every function needs a transaction; none commits.  All raise
 * 55000 with a hint where the extension is gone or of another version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_STORE_H
#define JOBS_STORE_H

#include "jobs.h"

#include "nodes/pg_list.h"
#include "utils/snapshot.h"

typedef enum JobsWaitPolicy
{
	JOBS_WAIT_BLOCK,
	JOBS_WAIT_SKIP
} JobsWaitPolicy;

/* One row of jobs.file.  chunks is 0 once the bytes have been removed. */
typedef struct JobsFile
{
	JobId		job;
	Oid			owner;
	char	   *tenant;
	char	   *filename;
	char	   *format;
	char	   *media_type;
	int64		rows;
	int64		bytes;
	char	   *sha256;			/* 64 hexadecimal digits */
	TimestampTz created_at;
	TimestampTz expires_at;
	int64		downloads;
	int64		chunks;
} JobsFile;

/* Whether this database has the extension; cheap, cached per relcache inval. */
extern bool jobs_store_exists(void);

/* The next job id. */
extern JobId jobs_store_next_id(void);

/* Adds a row to jobs.live; every field of job must be set. */
extern void jobs_store_insert(Job *job);

/*
 * Finds a job, live or final, with a snapshot of now (not the transaction's).
 * *own is set to true where its row was written by the current transaction.
 * Returns NULL where there is none.  Result in the current memory context.
 */
extern Job *jobs_store_find(JobId id, bool *own);

/*
 * The same for those who look at many: command, options, settings and result, which
 * may be long, are not read and are NULL.  Not to be written back.
 */
extern Job *jobs_store_find_brief(JobId id, bool *own);

/*
 * Finds a live job by its unique key; NULL if none.  The lock, held to the end
 * of the transaction, keeps others from adding a job with that key meanwhile;
 * take it first.
 */
extern void jobs_store_lock_key(Oid owner, const char *tenant, const char *key);
extern Job *jobs_store_find_key(Oid owner, const char *tenant, const char *key);

/*
 * Calls back for every live job with lo <= id <= hi that a snapshot of now
 * sees, in no particular order; by the primary key unless the range is
 * everything (0, PG_INT64_MAX).  Only the columns of fixed length, outside, kind,
 * state, tenant and queue are set, and the last two only until the callback returns.
 * The callback must not write.
 */
typedef void (*JobsScanFn) (const Job *job, void *arg);
extern void jobs_store_scan(JobId lo, JobId hi, JobsScanFn fn, void *arg);

/*
 * Finds and locks a live job's row against all other writers until the end of
 * the transaction.  Returns NULL where there is none, or, with JOBS_WAIT_SKIP,
 * where another transaction holds it (*held is then true).
 */
extern Job *jobs_store_lock(JobId id, JobsWaitPolicy policy, bool *held);

/* The same for a final job, and one as in jobs_store_find_brief. */
extern Job *jobs_store_lock_final(JobId id, JobsWaitPolicy policy);
extern Job *jobs_store_lock_final_brief(JobId id, JobsWaitPolicy policy);

/*
 * Writes a locked live job's row anew.  old is the state it must have had;
 * an illegal pair of states is an error with both names.
 */
extern void jobs_store_update(Job *job, JobState old);

/* Moves a locked live job to jobs.history; job->state must be final. */
extern void jobs_store_finish(Job *job, JobState old);

/* Moves a locked final job back to jobs.live. */
extern void jobs_store_revive(Job *job, JobState old);

/* Writes a locked final job's row anew. */
extern void jobs_store_update_final(Job *job, JobState old);

/* Removes a locked final job with its dependencies, artifact and tokens. */
extern void jobs_store_delete(JobId id);

/*
 * Dependencies: what a job waits for and who waits for it (in order of id),
 * adding one, and removing all that a job waits for.
 */
extern List *jobs_store_dependencies(JobId id);	/* of int64 * */
extern List *jobs_store_dependants(JobId after);	/* of int64 * */
extern void jobs_store_add_dependency(JobId id, JobId after);
extern void jobs_store_remove_dependencies(JobId id);

/*
 * Removes one, if nobody holds it (*held is then true); and whether a job has
 * any left.
 */
extern void jobs_store_remove_dependency(JobId id, JobId after, bool *held);
extern bool jobs_store_has_dependencies(JobId id);

/* Paused queues. */
extern bool jobs_store_pause(const char *queue, Oid owner, const char *tenant);
extern bool jobs_store_resume(const char *queue, Oid owner, const char *tenant);
typedef struct JobsPaused
{
	char	   *queue;
	Oid			owner;			/* InvalidOid: everybody's */
	char	   *tenant;
} JobsPaused;
/* Of one queue, or with NULL of all; a list of JobsPaused *. */
extern List *jobs_store_paused(const char *queue);
extern bool jobs_store_is_paused(const Job *job);
extern bool jobs_paused_applies(const JobsPaused *paused, const char *queue, Oid owner, const char *tenant);

/* Artifacts: the file's row, and its bytes in chunks numbered from 0. */
extern void jobs_store_add_file(const JobsFile *file);
extern JobsFile *jobs_store_find_file(JobId job);

/*
 * Adds a chunk, which must not have a short header; compress tells whether it
 * may be worth it.  Works while a query runs, a parallel one too.
 */
extern void jobs_store_add_chunk(JobId job, int64 seq, bytea *chunk, bool compress);

/* The bytes of one chunk, or NULL; snapshot is the reader's own. */
extern bytea *jobs_store_get_chunk(JobId job, int64 seq, Snapshot snapshot);

/*
 * Adds bytes behind all that was added before, in chunks that are full but for the
 * last; the caller must keep others from doing the same.  And how much was added.
 */
extern void jobs_store_append(JobId job, const char *data, Size len);
extern int64 jobs_store_appended(JobId job);

/* Removes a file altogether: row, chunks and tokens. */
extern void jobs_store_remove_file(JobId job);

/* The bytes of all the artifacts of a role that have not expired. */
extern int64 jobs_store_file_bytes(Oid owner);

/* Adds n to a file's count of downloads, if the file is still there. */
extern void jobs_store_count_downloads(JobId job, int64 n);

/* Share tokens, by the SHA-256 of the token (32 bytes). */
extern void jobs_store_add_token(const uint8 *hash, JobId job, TimestampTz expires_at);
extern bool jobs_store_find_token(const uint8 *hash, JobId *job, TimestampTz *expires_at);
extern void jobs_store_remove_tokens(JobId job);

/*
 * Retention, a batch at a time: deletes final jobs that ended before a time,
 * has files expire, whose bytes are then left to jobs_ledger_purge.  A job whose
 * file has not expired is kept, as is one with deliveries that are still to be
 * made: *kept_until becomes no later than when to look for those again.
 * *from is where to begin, DT_NOBEGIN at first, and moves on.  Returns whether
 * there is more to do now; *removed says whether a file has expired.  The other two
 * give the time at which the oldest of each kind ended or expires, or DT_NOEND.
 */
extern bool jobs_store_prune_history(TimestampTz *from, TimestampTz before, int limit, TimestampTz *kept_until);
extern bool jobs_store_expire_files(TimestampTz *from, TimestampTz now, int limit, bool *removed);

/* Calls back for every final job that ended after a time. */
typedef void (*JobsEndedFn) (JobId id, TimestampTz finished_at, void *arg);
extern void jobs_store_scan_ended(TimestampTz from, JobsEndedFn fn, void *arg);

extern TimestampTz jobs_store_oldest_finished(TimestampTz from);
extern TimestampTz jobs_store_next_expiry(TimestampTz from);

#endif							/* JOBS_STORE_H */
