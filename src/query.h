/*-------------------------------------------------------------------------
 *
 * query.h
 *	  The query of an export or of a bulk job's items: parsing and checking it.
 *
 * All of this runs as the current user, and planning runs the user's code.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_QUERY_H
#define JOBS_QUERY_H

#include "postgres.h"

#include "nodes/parsenodes.h"

/* What walking through a query finds out. */
typedef struct JobsQueryFacts
{
	bool		locks;
	bool		writes;
	Oid			table;			/* the first that it reads */
	bool		more_tables;
	Oid			temporary;		/* a temporary table that it reads */
} JobsQueryFacts;

/*
 * Parses, checks and rewrites a query; whose it is, as "an export", is for
 * messages.  Raises 22023 unless it is one that only
 * reads and has columns, or what the parser raises.  Needs an active snapshot.
 * The facts about tables are those of the query as it was written, before views
 * and rules were put in.
 */
extern Query *jobs_query_analyze(const char *query, const char *whose, JobsQueryFacts *facts);

/*
 * An error context callback with the query's text as its argument: an error's
 * position is one in the query, not in the statement that the client has sent.
 */
extern void jobs_query_error_context(void *arg);

#endif							/* JOBS_QUERY_H */
