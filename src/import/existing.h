/*-------------------------------------------------------------------------
 *
 * existing.h
 *	  Which keys of a unique index are taken by rows that are there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_EXISTING_H
#define JOBS_EXISTING_H

#include "postgres.h"

#include "import/keyset.h"
#include "import/lookup.h"
#include "nodes/execnodes.h"

typedef struct Existing Existing;

/*
 * The index and its table are locked by the caller; info is the index's, with what
 * BuildSpeculativeIndexInfo adds.  In the current memory context and resource owner.
 */
extern Existing *jobs_existing_open(Relation table, Relation index, IndexInfo *info, const KeyShape *shape,
									Snapshot snapshot, KeyMemory *memory);

/* Puts the rows that have the keys into tids; invalid where nobody has a key. */
extern void jobs_existing_find(Existing *existing, const Key **keys, int n, ItemPointerData *tids);

extern void jobs_existing_close(Existing *existing);

#endif							/* JOBS_EXISTING_H */
