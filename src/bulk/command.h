/*-------------------------------------------------------------------------
 *
 * command.h
 *	  The command of a bulk job, and the query that gives it items.
 *
 * Both are the owner's SQL: parsed, analyzed and planned as the current user.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_COMMAND_H
#define JOBS_COMMAND_H

#include "postgres.h"

#include "jobs.h"
#include "nodes/plannodes.h"

/*
 * Checks a command as the caller, at submission: one statement that reads or
 * writes data or calls a procedure, that uses $1 and no other parameter, gives at
 * most one column, and that the caller may run.  Runs nothing but what planning
 * runs.  Raises 22023, 42501, or what the parser raises.
 */
extern void jobs_bulk_check_command(const char *command);

/*
 * Plans an items_query; raises 22023 unless it only reads, 42501 where the
 * current user may not run it.  Needs an active snapshot.
 */
extern PlannedStmt *jobs_bulk_plan_items(const char *query);

/*
 * Any value as jsonb, by a function that was prepared for its type; that may run
 * a cast of the type's owner.
 */
extern void jobs_to_jsonb_prepare(FmgrInfo *function, Oid type);
extern Jsonb *jobs_to_jsonb(FmgrInfo *function, Oid type, Datum value);

#endif							/* JOBS_COMMAND_H */
