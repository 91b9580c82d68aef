/*-------------------------------------------------------------------------
 *
 * defaults.h
 *	  What the target's own expressions put into a row: defaults, generated columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_DEFAULTS_H
#define JOBS_DEFAULTS_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "utils/rel.h"

/* By attribute number - 1. */
typedef struct Defaults
{
	int			natts;
	bool	   *present;		/* has a default */
	bool	   *is_volatile;	/* only the import evaluates it, for each row */
	Datum	   *values;			/* of the others; null where there is none */
	bool	   *isnull;
	ExprState **states;			/* of the volatile ones */
	List	   *generated;		/* of GeneratedColumn *, in order */
	EState	   *estate;
} Defaults;

typedef struct GeneratedColumn
{
	AttrNumber	attnum;
	Bitmapset  *sources;		/* attribute numbers that it reads; NULL: perhaps all */
	ExprState  *state;
} GeneratedColumn;

/*
 * In the current memory context.  Evaluates those that are not volatile, in a
 * read-only way.  Raises what they do, but for the columns that are filled by the
 * file, which count as having none.  Needs an active snapshot.
 */
extern Defaults *jobs_defaults_open(Relation target, const Bitmapset *filled);

/* The value of a volatile default; raises what it does.  In the current memory context. */
extern Datum jobs_defaults_evaluate(Defaults *defaults, AttrNumber attnum, bool *isnull);

/*
 * Puts a stored generated column's value into the slot; raises what its expression
 * does.  In the current memory context.
 */
extern void jobs_defaults_generate(Defaults *defaults, const GeneratedColumn *column, TupleTableSlot *slot);

/* Whether a generated column follows from any of these attributes. */
extern bool jobs_defaults_depends(const GeneratedColumn *column, const Bitmapset *unknown);

extern void jobs_defaults_close(Defaults *defaults);

#endif							/* JOBS_DEFAULTS_H */
