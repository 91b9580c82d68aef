/*-------------------------------------------------------------------------
 *
 * jobs.h
 *	  Types that every part of the extension shares.
 *
 * Vocabulary: a *job* is one long-running action; its *owner* is the role
 * whose SQL it runs; an *artifact* is the file an export made; a *slot* is the
 * shared-memory place of one worker process; a *lane* is the queued jobs of
 * one queue, owner and tenant.
 *
 * The path of a job, and the file that does each step:
 *
 *	 api -> store (row) -> hooks (commit) -> launcher -> scheduler -> worker
 *	     -> export | runsql -> progress -> notify -> retention
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_H
#define JOBS_H

#include "postgres.h"

#include "access/transam.h"
#include "compat.h"
#include "datatype/timestamp.h"
#include "utils/array.h"
#include "utils/jsonb.h"

typedef int64 JobId;

#define JOBS_MAX_TITLE		500 /* characters */
#define JOBS_MAX_KEY		500 /* characters of a unique_key or tenant */

typedef enum JobKind
{
	JOB_RUN,
	JOB_EXPORT,
	JOB_IMPORT_PREVIEW,
	JOB_IMPORT,
	JOB_BULK,
	JOB_EXTERNAL				/* done by a client, outside the server */
} JobKind;
#define JOB_NUM_KINDS	(JOB_EXTERNAL + 1)

/* The order is that of a job's life; the final states come last. */
typedef enum JobState
{
	JOB_SCHEDULED,
	JOB_WAITING,
	JOB_QUEUED,
	JOB_RUNNING,
	JOB_SUCCEEDED,
	JOB_PARTIAL,
	JOB_FAILED,
	JOB_CANCELLED
} JobState;
#define JOB_NUM_STATES	(JOB_CANCELLED + 1)

#define job_state_is_final(s) ((s) >= JOB_SUCCEEDED)

/*
 * One row of jobs.live or jobs.history, in memory.  Pointers are NULL and
 * times 0 where the column is null; counts are -1 where null.
 */
typedef struct Job
{
	JobId		id;
	JobKind		kind;
	char	   *title;
	Oid			owner;
	char	   *owner_name;		/* as it was at submission */
	Oid			session_role;	/* session_user at submission */
	bool		by_membership;	/* session_role was a member of owner */
	char	   *tenant;			/* "" is none */
	char	   *queue;
	int32		priority;
	JobState	state;
	int32		round;
	int32		attempt;
	int32		max_attempts;
	TimestampTz created_at;
	TimestampTz run_at;
	TimestampTz started_at;
	TimestampTz finished_at;
	Interval   *timeout;
	int64		processed;
	int64		total;
	int64		succeeded;
	int64		failed;
	int64		skipped;
	int64		warnings;
	char	   *error_code;		/* SQLSTATE */
	char	   *error_message;
	char	   *error_detail;
	char	   *error_hint;
	Jsonb	   *result;
	char	   *unique_key;
	char	   *command;
	Jsonb	   *options;
	ArrayType  *settings;		/* text[] of name=value */
	Jsonb	   *notify;
	int64		origin;			/* jobs_origin() at submission */
	bool		outside;		/* not a column: clients do it, see outside/outside.h */
} Job;

/* Words used in the tables, the views and the notifications. */
extern const char *const job_kind_names[JOB_NUM_KINDS];
extern const char *const job_state_names[JOB_NUM_STATES];

/*
 * Of the cluster and the database in which a job was submitted: copies of either
 * carry its row along and must not run it.
 */
extern int64 jobs_origin(void);

extern JobKind job_kind_from_name(const char *name);
extern JobState job_state_from_name(const char *name);

#endif							/* JOBS_H */
