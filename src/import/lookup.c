/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Rows of a table by an index, as of a snapshot.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "compat.h"
#include "import/lookup.h"
#include "storage/bufmgr.h"

Lookup *
jobs_lookup_open(Relation table, Relation index, Snapshot snapshot, int nkeys,
				 const Oid *functions, const uint16 *strategies, const Oid *subtypes)
{
	Lookup	   *lookup = palloc0(sizeof(Lookup));

	lookup->table = table;
	lookup->index = index;
	lookup->snapshot = snapshot;
	lookup->nkeys = nkeys;
	for (int i = 0; i < nkeys; i++)
		ScanKeyEntryInitialize(&lookup->keys[i], 0, i + 1, strategies[i], subtypes ? subtypes[i] : InvalidOid,
							   index->rd_indcollation[i], functions[i], (Datum) 0);
	lookup->context = CurrentMemoryContext;
	lookup->slot = table_slot_create(table, NULL);

	/* What the snapshot sees was there when it was taken. */
	lookup->empty = RelationGetNumberOfBlocks(table) == 0;
	return lookup;
}

void
jobs_lookup_start(Lookup *lookup, const Datum *values, const bool *nulls)
{
	MemoryContext old;

	if (lookup->empty)
		return;
	for (int i = 0; i < lookup->nkeys; i++)
	{
		lookup->keys[i].sk_flags = nulls[i] ? SK_ISNULL | SK_SEARCHNULL : 0;
		lookup->keys[i].sk_argument = values[i];
	}
	old = MemoryContextSwitchTo(lookup->context);
	if (lookup->scan == NULL)
		lookup->scan = jobs_index_beginscan(lookup->table, lookup->index, lookup->snapshot, lookup->nkeys);
	index_rescan(lookup->scan, lookup->keys, lookup->nkeys, NULL, 0);
	MemoryContextSwitchTo(old);
}

bool
jobs_lookup_next(Lookup *lookup)
{
	return !lookup->empty && index_getnext_slot(lookup->scan, ForwardScanDirection, lookup->slot);
}

void
jobs_lookup_end(Lookup *lookup)
{
	ExecClearTuple(lookup->slot);

	/* The scan has pins of its own, which would be in VACUUM's way. */
	if (lookup->scan)
		index_rescan(lookup->scan, lookup->keys, lookup->nkeys, NULL, 0);
}

void
jobs_lookup_end_scan(Lookup *lookup)
{
	ExecClearTuple(lookup->slot);
	if (lookup->scan)
		index_endscan(lookup->scan);
	lookup->scan = NULL;
}

void
jobs_lookup_close(Lookup *lookup)
{
	jobs_lookup_end_scan(lookup);
	ExecDropSingleTupleTableSlot(lookup->slot);
	pfree(lookup);
}
