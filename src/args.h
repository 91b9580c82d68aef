/*-------------------------------------------------------------------------
 *
 * args.h
 *	  Checks that functions share, of their arguments and of where they are called.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ARGS_H
#define JOBS_ARGS_H

#include "jobs.h"

#include "access/tupdesc.h"
#include "fmgr.h"

/*
 * Raises an error where a function that changes something may not be called: 25006
 * in a read-only transaction or on a standby, 25000 in parallel mode, 42501 in a
 * security-restricted operation.  function is its name with "()".
 */
extern void jobs_check_can_change(const char *function);

/* Raises 22023 where argument n is null; hint says what to pass. */
extern void jobs_require_arg(FunctionCallInfo fcinfo, int n, const char *name, const char *hint);

/* The job that is the first argument; and the same of a function that changes something. */
extern JobId jobs_job_arg(FunctionCallInfo fcinfo);
extern JobId jobs_changed_job_arg(FunctionCallInfo fcinfo, const char *function);

/* A queue's name; in the current memory context. */
extern char *jobs_queue_arg(FunctionCallInfo fcinfo, int n);

/* A count, which must not be negative; -1 where it is null. */
extern int64 jobs_count_arg(FunctionCallInfo fcinfo, int n, const char *name);

/* How many things to claim: from 1 to most, and preset where it is null. */
extern int	jobs_claim_arg(FunctionCallInfo fcinfo, int n, int preset, int most);

/* A lease in microseconds: a minute where it is null, at most so many hours.  hint says what else to do. */
extern int64 jobs_lease_arg(FunctionCallInfo fcinfo, int n, int hours, const char *hint);

/* A text in the current memory context; NULL where it is null. */
extern char *jobs_text_arg(FunctionCallInfo fcinfo, int n);

/* The row type that the function returns, of so many columns; in the current memory context. */
extern TupleDesc jobs_result_desc(FunctionCallInfo fcinfo, int natts);

#endif							/* JOBS_ARGS_H */
