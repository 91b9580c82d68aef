/*-------------------------------------------------------------------------
 *
 * merge.h
 *	  A plan node that merges the batches of rows that parallel workers encode.
 *
 * It stands in the place of Gather Merge, above JobsEncode.  It reads ahead, so that
 * a worker goes on while rows of another come first, and moves whole runs of
 * rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_MERGE_H
#define JOBS_MERGE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "nodes/plannodes.h"

/* What the node gives: bytes, how many rows they are, and a place. */
#define JOBS_MERGE_BYTES	1
#define JOBS_MERGE_ROWS		2
#define JOBS_MERGE_PLACE	3	/* tid of the first row; NULL where rows have other keys */

typedef struct JobsMerge
{
	int			nworkers;
	Bitmapset  *params;			/* that workers need the values of */
	bool		by_place;		/* the only key is a tid */
	/* Of the keys, in order: */
	List	   *types;			/* of Oid */
	List	   *operators;		/* of Oid: that sort */
	List	   *collations;		/* of Oid */
	List	   *nulls_first;	/* of int */
} JobsMerge;

/* Makes the node known to the executor; from _PG_init. */
extern void jobs_merge_init(void);

/* Puts the node above JobsEncode, in the place of top. */
extern Plan *jobs_merge_plan(const JobsMerge *merge, const Plan *top, Plan *child);

#endif							/* JOBS_MERGE_H */
