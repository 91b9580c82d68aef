/*-------------------------------------------------------------------------
 *
 * lookup.h
 *	  Rows of a table by an index, as of a snapshot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_LOOKUP_H
#define JOBS_LOOKUP_H

#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

typedef struct Lookup
{
	Relation	table;
	Relation	index;
	Snapshot	snapshot;
	int			nkeys;			/* the first columns of the index */
	ScanKeyData keys[INDEX_MAX_KEYS];	/* arguments are filled in by each look-up */
	IndexScanDesc scan;			/* begun where it is needed */
	TupleTableSlot *slot;		/* what was found */
	bool		empty;			/* the table has no rows */
	MemoryContext context;
} Lookup;

/*
 * By the first nkeys columns of an index and these operators' functions and
 * strategies; subtypes are of their right sides, or NULL.  Relations are locked by
 * the caller.  In the current memory context and resource owner, until it is closed.
 */
extern Lookup *jobs_lookup_open(Relation table, Relation index, Snapshot snapshot, int nkeys,
								const Oid *functions, const uint16 *strategies, const Oid *subtypes);

/* Begins with rows that have these values; a null finds nulls. */
extern void jobs_lookup_start(Lookup *lookup, const Datum *values, const bool *nulls);

/* The next row, in lookup->slot; false at the end, and then the slot is empty. */
extern bool jobs_lookup_next(Lookup *lookup);

/* Lets go of what the last look-up holds. */
extern void jobs_lookup_end(Lookup *lookup);

/* And of the scan, which takes some 30 kB, until it is needed again. */
extern void jobs_lookup_end_scan(Lookup *lookup);

extern void jobs_lookup_close(Lookup *lookup);

#endif							/* JOBS_LOOKUP_H */
