/*-------------------------------------------------------------------------
 *
 * runsql.h
 *	  Running the SQL of jobs.run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_RUNSQL_H
#define JOBS_RUNSQL_H

#include "jobs.h"

#include "nodes/pg_list.h"

/*
 * Parses the command of a run without looking into the catalogs: raw parse
 * trees in the current memory context.  Raises 22023 for an empty command, for
 * transaction control and for COPY from or to the client; syntax errors show
 * the command and the place in it.
 */
extern List *jobs_parse_command(const char *command);

/*
 * Runs a command of one statement or several as a client's simple query would,
 * in the transaction that is open, and leaves open the one that it ends in: a
 * procedure that is alone in its command may commit.  Sets job->processed and
 * job->result.
 */
extern void jobs_run_command(Job *job);

#endif							/* JOBS_RUNSQL_H */
