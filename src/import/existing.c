/*-------------------------------------------------------------------------
 *
 * existing.c
 *	  Which keys of a unique index are taken by rows that are there.
 *
 * A look-up in a large index costs about as much as reading and checking the rest
 * of the row, so it is avoided where it can be: in an empty table, for a key
 * beyond the least and the greatest one (new rows with ascending keys), and, once
 * look-ups have cost as much as going through the whole index would, by a Bloom
 * filter that is filled in this way.  Each of these only ever says that nobody
 * has a key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/itup.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "compat.h"
#include "import/existing.h"
#include "lib/bloomfilter.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/memutils.h"

/* Entries of an index that can be read in the time of one look-up. */
#define ENTRIES_PER_LOOKUP	8
#define MIN_LOOKUPS			20000	/* before a filter is thought of */
#define FILTER_MEMORY		(16 * 1024 * 1024)
#define MIN_FILTER			(1024 * 1024)	/* bloom_create makes none that is smaller */

struct Existing
{
	Lookup	   *lookup;
	IndexInfo  *info;
	const KeyShape *shape;
	KeyMemory  *memory;
	MemoryContext context;

	bool		bounded;		/* of a key with one column */
	Datum		least;
	Datum		greatest;

	bool		can_filter;
	int64		nentries;		/* of the index, estimated */
	int64		nlookups;
	bloom_filter *filter;
	Size		filter_bytes;
};

/* A key to look up, and its place among those that were given. */
typedef struct Wanted
{
	const Key  *key;
	int			place;
} Wanted;

static void find_bounds(Existing *existing);
static bool end_of_index(Existing *existing, ScanDirection direction, Datum *value);
static bool may_filter(Existing *existing);
static bool has_room(Existing *existing);
static Size filter_bytes(Existing *existing);
static void fill_filter(Existing *existing);
static bool may_exist(Existing *existing, const Key *key);
static int	compare_wanted(const void *a, const void *b, void *arg);

Existing *
jobs_existing_open(Relation table, Relation index, IndexInfo *info, const KeyShape *shape,
				   Snapshot snapshot, KeyMemory *memory)
{
	Existing   *existing = palloc0(sizeof(Existing));

	existing->lookup = jobs_lookup_open(table, index, snapshot, info->ii_NumIndexKeyAttrs,
										info->ii_UniqueProcs, info->ii_UniqueStrats, NULL);
	existing->info = info;
	existing->shape = shape;
	existing->memory = memory;
	existing->context = CurrentMemoryContext;
	if (existing->lookup->empty)
		return existing;
	existing->can_filter = may_filter(existing);
	existing->nentries = Max((int64) index->rd_rel->reltuples, (int64) RelationGetNumberOfBlocks(index) * 64);
	if (shape->ncolumns == 1 && info->ii_Expressions == NIL)
		find_bounds(existing);
	return existing;
}

void
jobs_existing_close(Existing *existing)
{
	if (existing->filter)
		bloom_free(existing->filter);
	existing->memory->used -= existing->filter_bytes;
	jobs_lookup_close(existing->lookup);
}

void
jobs_existing_find(Existing *existing, const Key **keys, int n, ItemPointerData *tids)
{
	Wanted	   *wanted;
	int			nwanted = 0;
	bool		sorted = true;

	for (int i = 0; i < n; i++)
		ItemPointerSetInvalid(&tids[i]);
	if (existing->lookup->empty)
		return;
	wanted = palloc(n * sizeof(Wanted));
	for (int i = 0; i < n; i++)
	{
		if (!may_exist(existing, keys[i]))
			continue;
		wanted[nwanted].key = keys[i];
		wanted[nwanted].place = i;
		if (nwanted > 0 && sorted)
			sorted = compare_wanted(&wanted[nwanted - 1], &wanted[nwanted], existing) <= 0;
		nwanted++;
	}
	if (!sorted)
		qsort_arg(wanted, nwanted, sizeof(Wanted), compare_wanted, existing);
	for (int i = 0; i < nwanted; i++)
	{
		CHECK_FOR_INTERRUPTS();
		jobs_lookup_start(existing->lookup, wanted[i].key->values, wanted[i].key->nulls);
		if (jobs_lookup_next(existing->lookup))
			tids[wanted[i].place] = existing->lookup->slot->tts_tid;
	}
	jobs_lookup_end_scan(existing->lookup);
	pfree(wanted);
	existing->nlookups += nwanted;
	if (existing->can_filter && existing->filter == NULL && existing->nlookups > MIN_LOOKUPS &&
		existing->nlookups > existing->nentries / ENTRIES_PER_LOOKUP && has_room(existing))
		fill_filter(existing);
}

static int
compare_wanted(const void *a, const void *b, void *arg)
{
	const Key  *left = ((const Wanted *) a)->key;
	const Key  *right = ((const Wanted *) b)->key;

	return jobs_key_compare(((Existing *) arg)->shape, left->values, left->nulls, right->values, right->nulls);
}

static bool
may_exist(Existing *existing, const Key *key)
{
	if (existing->bounded && !key->nulls[0])
	{
		bool		no = false;

		if (jobs_key_compare(existing->shape, key->values, key->nulls, &existing->greatest, &no) > 0 ||
			jobs_key_compare(existing->shape, key->values, key->nulls, &existing->least, &no) < 0)
			return false;
	}
	return existing->filter == NULL ||
		!bloom_lacks_element(existing->filter, (unsigned char *) &key->hash, sizeof(key->hash));
}

static void
find_bounds(Existing *existing)
{
	Datum		first;
	Datum		last;
	bool		no = false;

	if (!end_of_index(existing, ForwardScanDirection, &first))
	{
		/* There may be nulls, which are looked up where they are not distinct. */
		return;
	}
	if (!end_of_index(existing, BackwardScanDirection, &last))
		return;
	existing->bounded = true;

	/* The index may descend. */
	if (jobs_key_compare(existing->shape, &first, &no, &last, &no) <= 0)
	{
		existing->least = first;
		existing->greatest = last;
	}
	else
	{
		existing->least = last;
		existing->greatest = first;
	}
}

/* The key of the first row from one end that is not null. */
static bool
end_of_index(Existing *existing, ScanDirection direction, Datum *value)
{
	Lookup	   *lookup = existing->lookup;
	IndexScanDesc scan;
	ScanKeyData key;
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	bool		found;

	ScanKeyEntryInitialize(&key, SK_ISNULL | SK_SEARCHNOTNULL, 1, InvalidStrategy, InvalidOid,
						   InvalidOid, InvalidOid, (Datum) 0);
	scan = jobs_index_beginscan(lookup->table, lookup->index, lookup->snapshot, 1);
	index_rescan(scan, &key, 1, NULL, 0);
	found = index_getnext_slot(scan, direction, lookup->slot);
	if (found)
	{
		FormIndexDatum(existing->info, lookup->slot, NULL, values, nulls);
		*value = existing->shape->columns[0].typlen == -1 ?
			PointerGetDatum(PG_DETOAST_DATUM_COPY(values[0])) :
			datumCopy(values[0], existing->shape->columns[0].typbyval, existing->shape->columns[0].typlen);
	}
	ExecClearTuple(lookup->slot);
	index_endscan(scan);
	return found;
}

/* An index of names has them as cstring: its values are not those of the table. */
static bool
may_filter(Existing *existing)
{
	TupleDesc	desc = RelationGetDescr(existing->lookup->index);

	if (!existing->shape->hashable)
		return false;
	for (int i = 0; i < existing->shape->ncolumns; i++)
	{
		if (TupleDescAttr(desc, i)->attlen != existing->shape->columns[i].typlen)
			return false;
	}
	return true;
}

/* Filters of many partitions together are within the limit, too. */
static bool
has_room(Existing *existing)
{
	return existing->memory->used + filter_bytes(existing) <= existing->memory->limit;
}

static Size
filter_bytes(Existing *existing)
{
	return Max(MIN_FILTER, Min(FILTER_MEMORY, 2 * existing->nentries));
}

/* Whether the entries' rows are seen does not matter here. */
static void
fill_filter(Existing *existing)
{
	MemoryContext context = AllocSetContextCreate(existing->context, "jobs keys of an index", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(existing->context);
	Lookup	   *lookup = existing->lookup;
	bloom_filter *filter;
	IndexScanDesc scan;
	int64		n = 0;

	existing->filter_bytes = filter_bytes(existing);
	existing->memory->used += existing->filter_bytes;
	filter = bloom_create(existing->nentries, FILTER_MEMORY / 1024, 0);
	scan = jobs_index_beginscan(lookup->table, lookup->index, lookup->snapshot, 0);
	scan->xs_want_itup = true;
	index_rescan(scan, NULL, 0, NULL, 0);
	MemoryContextSwitchTo(context);
	while (index_getnext_tid(scan, ForwardScanDirection))
	{
		Datum		values[INDEX_MAX_KEYS];
		bool		nulls[INDEX_MAX_KEYS];
		Key			key;

		CHECK_FOR_INTERRUPTS();
		index_deform_tuple(scan->xs_itup, scan->xs_itupdesc, values, nulls);
		jobs_key_make(existing->shape, values, nulls, &key);
		bloom_add_element(filter, (unsigned char *) &key.hash, sizeof(key.hash));
		if (++n % 1024 == 0)
			MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	index_endscan(scan);
	MemoryContextDelete(context);
	existing->filter = filter;
}
