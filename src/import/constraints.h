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
 * What the constraints have to know of the file.  columns are the target's
 * attributes that it fills, names the file's names for them (for messages), fields
 * the numbers of the fields in CheckedRow.fields that hold them (or NULL: values are
 * shown as their types write them).  unique: attributes of options.unique (integer
 * list), a key that the target need not have, or NIL.  sensitive: attributes whose
 * values are never shown.  unknown: attributes whose values nobody knows before the
 * row is written, by a volatile default or a trigger; constraints that touch them
 * are left out.  by_trigger: those of them that are null until a trigger fills them in,
 * as the partition of a row is found before.  Messages name a row by what entity says ("contact").
 * It stays the caller's, and must last as long as the constraints.
 */
typedef struct ConstraintInput
{
	const AttrNumber *columns;
	const char *const *names;
	const int  *fields;
	int			ncolumns;
	List	   *unique;
	Bitmapset  *sensitive;		/* attribute numbers, as they are */
	Bitmapset  *unknown;		/* the same */
	Bitmapset  *by_trigger;		/* the same */
	OnConflict	on_conflict;
	const char *entity;
} ConstraintInput;

/*
 * target is locked by the caller (AccessShareLock is enough) and stays so; what is
 * found is of the active snapshot.  Tables that are met on the way (partitions,
 * referenced tables) are locked in AccessShareLock to the end of the transaction.
 * Lives in a context below the current one and in the current resource owner, which
 * must not be that of a subtransaction that ends before.
 */
extern Constraints *jobs_constraints_open(Relation target, const ConstraintInput *input);

/*
 * Judges n rows, in the file's order, that are readable and not skipped or
 * rejected yet; adds issues, sets action and existing.  A row that is refused
 * does not take its keys.  Issues last until the next call.
 */
extern void jobs_constraints_check(Constraints *constraints, CheckedRow **rows, int n);

extern void jobs_constraints_close(Constraints *constraints);

/* Whether any of these attributes (numbers, as they are) decides in which partition a row ends. */
extern bool jobs_routing_follows(Relation target, const Bitmapset *attnos);

#endif							/* JOBS_CONSTRAINTS_H */
