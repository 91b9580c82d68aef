/*-------------------------------------------------------------------------
 *
 * constraints.h
 *	  What would make the target refuse rows, found without writing to it.
 *
 * CHECK, NOT NULL of the whole row, unique and exclusion constraints (rows of
 * the file among themselves and against those that are there), foreign keys,
 * bounds of partitions, policies, WITH CHECK OPTION.  Keys are looked up a batch
 * at a time; those of the file are remembered in bounded memory, the rest on
 * disk.  Called by the checker with rows whose values could be read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_CONSTRAINTS_H
#define JOBS_CONSTRAINTS_H

#include "postgres.h"

#include "import/checker.h"

typedef struct Constraints Constraints;

typedef enum OnConflict
{
	CONFLICT_SKIP,
	CONFLICT_UPDATE,			/* the columns of the file only */
	CONFLICT_ERROR
} OnConflict;

/*
 * columns: the attributes that the file fills, with the file's names for them in
 * names (for messages).  unique: attributes of options.unique, a key that the
 * target need not have, or NIL.  sensitive: attributes whose values are never
 * shown.  Messages name a row by what entity says ("contact").
 */
extern Constraints *jobs_constraints_open(Relation target, const AttrNumber *columns, const char *const *names,
										  int ncolumns, List *unique, Bitmapset *sensitive, OnConflict on_conflict,
										  const char *entity);

/*
 * Judges n rows, in the file's order, that are readable and not skipped or
 * rejected yet; adds issues, sets action and existing.  A row that is refused
 * does not take its keys.
 */
extern void jobs_constraints_check(Constraints *constraints, CheckedRow **rows, int n);

extern void jobs_constraints_close(Constraints *constraints);

#endif							/* JOBS_CONSTRAINTS_H */
