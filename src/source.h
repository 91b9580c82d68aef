/*-------------------------------------------------------------------------
 *
 * source.h
 *	  Exports whose query another server runs, such as a read replica.
 *
 * The server is one of postgres_fdw, reached by the user mapping of the job's
 * owner with the rules that postgres_fdw has for passwords.  The connection is
 * made by a module of its own, so that only workers that need libpq load it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_SOURCE_H
#define JOBS_SOURCE_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "executor/tuptable.h"

/*
 * Checks as the current user that he may use the server: raises 42704 where
 * there is none or no mapping for him, 42501, 22023 for one of another wrapper,
 * 0A000 where the module is missing.
 */
extern void jobs_source_check(const char *server);

/*
 * Runs a query there in one read-only snapshot and gives each row to a
 * function, in a slot with the columns of desc.  Raises what the other server
 * does, with its code.
 */
typedef void (*JobsSourceRow) (void *arg, TupleTableSlot *slot);
extern void jobs_source_run(const char *server, const char *query, TupleDesc desc,
							JobsSourceRow row, void *arg);

/* ------------------------------------------------------------------------
 * Between jobs and the module
 * ------------------------------------------------------------------------
 */

#define JOBS_REMOTE_VERSION	1

typedef struct JobsRemoteQuery
{
	const char *const *keywords;	/* of the connection, NULL at the end */
	const char *const *values;
	bool		need_password;	/* the server must have asked for it */
	const char *settings;		/* statements before the query */
	const char *query;
	int			ncolumns;
	/* values in text form, NULL for null; they stay until the function returns */
	void		(*row) (void *arg, char **values);
	void	   *arg;
} JobsRemoteQuery;

/* Symbol jobs_remote_module; NULL for a version that it does not know. */
typedef struct JobsRemoteModule
{
	void		(*run) (const JobsRemoteQuery *query);
} JobsRemoteModule;

#endif							/* JOBS_SOURCE_H */
