/*-------------------------------------------------------------------------
 *
 * submit.h
 *	  What all functions that submit a job share.
 *
 * A submitting function checks with jobs_check_can_submit, makes a job with
 * jobs_new_job, sets its command, options and (where it has none) title, and
 * ends with jobs_submit.  Results are in the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_SUBMIT_H
#define JOBS_SUBMIT_H

#include "jobs.h"

#include "fmgr.h"
#include "utils/jsonb.h"

/*
 * Raises 55000 without the preload, 25006 in a read-only transaction, 42501
 * within a security-restricted operation.  function is its name with "()".
 */
extern void jobs_check_can_submit(const char *function);

/*
 * Fills in everything but id, command, options, and title where none was given.
 * first is the number of the first of the common arguments (title ... notify).
 * Raises 22023 and 42501.
 */
extern Job *jobs_new_job(FunctionCallInfo fcinfo, int first, JobKind kind);

/*
 * The last steps, which write.  Returns the id of the job, or of the one that
 * has the same unique key and is not final.
 */
extern JobId jobs_submit(FunctionCallInfo fcinfo, int first, Job *job);

/* A title: the prefix and the beginning of a text, in one line. */
extern char *jobs_title_from(const char *prefix, const char *text);

/* Adds "key": "value" to an object that is being built. */
extern void jobs_push_text(JsonbParseState **state, const char *key, const char *value);

#endif							/* JOBS_SUBMIT_H */
