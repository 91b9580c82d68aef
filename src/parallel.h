/*-------------------------------------------------------------------------
 *
 * parallel.h
 *	  Plans for exports in which parallel workers encode the rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_PARALLEL_H
#define JOBS_PARALLEL_H

#include "postgres.h"

#include "format.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

typedef struct JobsExportPlan
{
	PlannedStmt *plan;
	bool		encoded;		/* its rows are those of merge.h */
	bool		by_place;		/* they come with places in the table read */
	Oid			table;			/* all rows are of this one, by themselves; or InvalidOid */
	bool		is_volatile;	/* the query has volatile functions */
} JobsExportPlan;

/*
 * Plans an analyzed query, as the current user.  Rows come in the order that
 * COPY has them: the table's own, or ORDER BY's.  With neither, the plan is the
 * one that COPY has.  options is JSON.  Needs an active
 * snapshot.
 */
extern JobsExportPlan jobs_plan_export(Query *query, const char *text, const JobsFormat *format,
									   const char *options);

#endif							/* JOBS_PARALLEL_H */
