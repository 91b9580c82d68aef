/*-------------------------------------------------------------------------
 *
 * export.h
 *	  Exports: from a query to an artifact.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_EXPORT_H
#define JOBS_EXPORT_H

#include "jobs.h"

/*
 * Checks an export's arguments as the caller, at submission: one read-only
 * query with columns that the caller may run, a known format, valid options
 * and file name.  Plans the query, so it runs user code (immutable functions)
 * and must be called as the caller only.  Raises 22023, 42501, or whatever the
 * parser or planner raises.
 *
 * Returns, in the current memory context, the name of the one table the query
 * reads, or NULL; it serves for default titles and file names.
 */
extern char *jobs_export_check(const char *query, const char *format, Jsonb *options);

/*
 * Runs an export in the worker, inside the job's transaction (read only,
 * repeatable read, as the owner): executes job->command, formats and stores
 * the rows, and writes the jobs.file row.  Sets job->processed, job->total and
 * job->result.  Keeps progress by jobs_progress_*.  Memory stays flat.
 * job->options is {"format": text, "filename": text, "ttl": seconds, "options": {...}}.
 */
extern void jobs_export_run(Job *job);

#endif							/* JOBS_EXPORT_H */
