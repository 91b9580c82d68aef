/*-------------------------------------------------------------------------
 *
 * encode.h
 *	  A plan node that encodes the rows of the plan below it.
 *
 * It stands below Gather or Gather Merge, so that each parallel worker encodes
 * the rows that it finds, and only bytes go to the leader.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ENCODE_H
#define JOBS_ENCODE_H

#include "postgres.h"

#include "format.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"

/* What the node gives: the bytes, how many rows they are, and sort keys. */
#define JOBS_ENCODE_BYTES	1
#define JOBS_ENCODE_ROWS	2
#define JOBS_ENCODE_KEYS	3	/* and the following */

typedef struct JobsEncode
{
	const char *format;
	const char *options;		/* JSON */
	bool		batches;		/* many rows at once; the only key is their first row's tid */
	List	   *columns;		/* of int: which of the plan's columns are written, in order */
	List	   *names;			/* of String: what they are called */
	List	   *keys;			/* of int: the plan's columns that are sort keys */
} JobsEncode;

/* Makes the node known to the executor, in workers too; from _PG_init. */
extern void jobs_encode_init(void);

/* Puts the node above a finished plan. */
extern Plan *jobs_encode_plan(const JobsEncode *encode, Plan *child);

/* The target list of a node above it. */
extern List *jobs_encode_targetlist(const JobsEncode *encode, Plan *child, int varno);

#endif							/* JOBS_ENCODE_H */
