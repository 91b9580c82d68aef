/*-------------------------------------------------------------------------
 *
 * update.h
 *	  Rows of a file change rows that are there, or go in by a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_UPDATE_H
#define JOBS_UPDATE_H

#include "postgres.h"

#include "import/checker.h"
#include "import/insert.h"
#include "import/undo.h"

/*
 * Updates of the columns that a file fills, with on_conflict => "update".  A row is
 * locked when it is added, and all are updated by one statement at the end.
 */
typedef struct Updater Updater;

extern Updater *jobs_updater_open(Relation target, const AttrNumber *columns, int ncolumns, UndoRecord *undo,
								  RowRefused refused, void *arg);

/* False where the row that was to be updated has gone, or has another key by now. */
extern bool jobs_updater_add(Updater *updater, RowId id, const CheckedRow *row);

/* The columns that it changes: not those of the file that a table always makes itself. */
extern const AttrNumber *jobs_updater_columns(const Updater *updater, int *n);

/* Returns how many rows were updated. */
extern int64 jobs_updater_close(Updater *updater);

/*
 * Inserts where jobs_inserter_fits says no.  Defaults of other columns are the
 * statement's.
 */
typedef struct ViewInserter ViewInserter;

extern ViewInserter *jobs_view_inserter_open(Relation target, const AttrNumber *columns, int ncolumns,
											 UndoRecord *undo, RowRefused refused, void *arg);
extern void jobs_view_inserter_add(ViewInserter *inserter, RowId id, TupleTableSlot *slot);
extern int64 jobs_view_inserter_close(ViewInserter *inserter);

/* Columns of the target as a list for SQL, each after a prefix: "r.a, r.b". */
extern char *jobs_column_list(Relation target, const AttrNumber *columns, int ncolumns, const char *prefix);

#endif							/* JOBS_UPDATE_H */
