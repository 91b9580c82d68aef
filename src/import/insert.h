/*-------------------------------------------------------------------------
 *
 * insert.h
 *	  Rows of a file go into a table.
 *
 * A statement as far as triggers can tell, whose rows are inserted in groups,
 * each in a subtransaction: a row that is refused costs its group a second try
 * and is left out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_INSERT_H
#define JOBS_INSERT_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "import/undo.h"
#include "utils/rel.h"

/* Where a row stands in its file. */
typedef struct RowId
{
	int64		row_no;
	int64		line_no;
} RowId;

/* Told of a row that did not go in; error is NULL for one that a trigger left out. */
typedef void (*RowRefused) (void *arg, RowId id, const ErrorData *error);

typedef struct Inserter Inserter;

/*
 * Whether rows can go into the target this way: it is a table, or partitions that
 * are, and no policy applies to the current user.
 */
extern bool jobs_inserter_fits(Relation target);

/*
 * Needs RowExclusiveLock on target, an active snapshot, and that the current user
 * may insert.  Lives in the current memory context.  undo may be NULL.
 */
extern Inserter *jobs_inserter_open(Relation target, UndoRecord *undo, RowRefused refused, void *arg);

/* slot has the target's columns, with all defaults; it is copied. */
extern void jobs_inserter_add(Inserter *inserter, RowId id, TupleTableSlot *slot);

/* Fires what is left to fire; returns how many rows have been inserted. */
extern int64 jobs_inserter_close(Inserter *inserter);

#endif							/* JOBS_INSERT_H */
