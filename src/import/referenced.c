/*-------------------------------------------------------------------------
 *
 * referenced.c
 *	  Tables that foreign keys refer to, and which keys they have.
 *
 * All foreign keys that look for the same kinds of values by the same index share one,
 * as those of the partitions of a target do.  Where the table is partitioned itself,
 * only the partition is asked that the key belongs to: its columns are among those of
 * every unique index.  Partitions are opened when the first key goes there, and only
 * the one that was asked last has a scan, which takes memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "import/judge.h"
#include "import/period.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "partitioning/partdesc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"

#define CACHE_SLOTS		8192	/* a power of two */
#define CACHED_KEY		128		/* bytes of a key that is remembered, at most */

/* Whether a key was there. */
typedef struct Remembered
{
	uint64		hash;
	int			len;			/* 0: free */
	bool		exists;
	char		bytes[CACHED_KEY];
} Remembered;

/* The table, or a partition of it. */
typedef struct Holder
{
	Relation	rel;
	Lookup	   *lookup;			/* NULL: it is partitioned, and then ... */
	PartitionKey key;
	PartitionDesc desc;
	struct Holder **parts;		/* in the order of desc; NULL: not opened yet */
	bool		routes;			/* a key tells the partition, by these columns of the index */
	int			columns[PARTITION_MAX_KEYS];
} Holder;

struct Referenced
{
	Reference	reference;
	FmgrInfo	casts[INDEX_MAX_KEYS];	/* to what the index compares with; fn_oid 0: none */
	Cover	   *cover;			/* of the rows that are found, where it is temporal; or NULL */
	Snapshot	snapshot;
	MemoryContext context;
	PartitionDirectory directory;	/* NULL: not partitioned */
	Holder	   *table;
	Lookup	   *asked;			/* the one that has a scan, or NULL */
	Remembered **cache;
};

static bool is_same(const Reference *a, const Reference *b);
static Holder *open_holder(Referenced *referenced, Oid table);
static void open_partitioned(Referenced *referenced, Holder *holder, Relation index);
static bool is_wider(Oid type, Oid than);
static Relation index_for(Relation table, Oid top);
static void close_holder(Holder *holder);
static bool look_up(Referenced *referenced, const Datum *values, const bool *nulls);
static bool holds(Referenced *referenced, Holder *holder, const Datum *values, const bool *nulls);
static Datum widened(Datum value, Oid from, Oid to);
static bool part_holds(Referenced *referenced, Holder *holder, int i, const Datum *values, const bool *nulls);
static bool finds(Referenced *referenced, Lookup *lookup, const Datum *values, const bool *nulls);
static bool is_found(Referenced *referenced, Lookup *lookup, Datum period);

Referenced *
jobs_referenced_open(Constraints *c, Oid table, const Reference *reference)
{
	Referenced *referenced;
	ListCell   *lc;

	foreach(lc, c->referenced)
	{
		referenced = lfirst(lc);
		if (is_same(&referenced->reference, reference))
			return referenced;
	}
	referenced = palloc0(sizeof(Referenced));
	referenced->reference = *reference;
	for (int i = 0; i < reference->nkeys; i++)
	{
		Oid			type = reference->types[i];
		Oid			subtype = reference->subtypes[i];
		Oid			cast;

		if (type != subtype && !IsBinaryCoercible(type, subtype) &&
			find_coercion_pathway(subtype, type, COERCION_IMPLICIT, &cast) == COERCION_PATH_FUNC)
			fmgr_info(cast, &referenced->casts[i]);
	}
	if (reference->temporal)
		referenced->cover = jobs_cover_create(reference->types[reference->nkeys - 1]);
	referenced->snapshot = c->snapshot;
	referenced->context = CurrentMemoryContext;
	referenced->table = open_holder(referenced, table);
	referenced->cache = palloc0(CACHE_SLOTS * sizeof(Remembered *));
	c->referenced = lappend(c->referenced, referenced);
	return referenced;
}

/* All else follows from these. */
static bool
is_same(const Reference *a, const Reference *b)
{
	return a->index == b->index && a->nkeys == b->nkeys &&
		memcmp(a->types, b->types, a->nkeys * sizeof(Oid)) == 0 &&
		memcmp(a->functions, b->functions, a->nkeys * sizeof(Oid)) == 0;
}

static Holder *
open_holder(Referenced *referenced, Oid table)
{
	const Reference *reference = &referenced->reference;
	MemoryContext old = MemoryContextSwitchTo(referenced->context);
	Holder	   *holder = palloc0(sizeof(Holder));
	Relation	index;

	holder->rel = table_open(table, AccessShareLock);
	index = index_for(holder->rel, reference->index);
	if (holder->rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
	{
		open_partitioned(referenced, holder, index);
		index_close(index, NoLock);
	}
	else
		holder->lookup = jobs_lookup_open(holder->rel, index, referenced->snapshot, reference->nkeys,
										  reference->functions, reference->strategies, reference->subtypes);
	MemoryContextSwitchTo(old);
	return holder;
}

/* Values of a wider type, and periods, which may be of several rows, do not tell the partition. */
static void
open_partitioned(Referenced *referenced, Holder *holder, Relation index)
{
	const Reference *reference = &referenced->reference;
	PartitionKey key = RelationGetPartitionKey(holder->rel);

	if (referenced->directory == NULL)
		referenced->directory = CreatePartitionDirectory(referenced->context, true);
	holder->key = key;
	holder->desc = PartitionDirectoryLookup(referenced->directory, holder->rel);
	holder->parts = palloc0(Max(holder->desc->nparts, 1) * sizeof(Holder *));
	holder->routes = true;
	for (int k = 0; k < key->partnatts; k++)
	{
		int			n = reference->nkeys - (reference->temporal ? 1 : 0);
		int			i = 0;

		while (i < n && index->rd_index->indkey.values[i] != key->partattrs[k])
			i++;
		holder->columns[k] = i;
		if (key->partattrs[k] == 0 || i == n ||
			(key->partopcintype[k] != reference->subtypes[i] &&
			 !is_wider(key->partopcintype[k], reference->subtypes[i])))
			holder->routes = false;
	}
}

/* Of integers, among which nothing can go wrong. */
static bool
is_wider(Oid type, Oid than)
{
	return (than == INT2OID && (type == INT4OID || type == INT8OID)) || (than == INT4OID && type == INT8OID);
}

/* A table's index that is this one, or a partition of it. */
static Relation
index_for(Relation table, Oid top)
{
	List	   *indexes = RelationGetIndexList(table);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Oid			index = lfirst_oid(lc);

		if (index == top || (get_rel_relispartition(index) && list_member_oid(get_partition_ancestors(index), top)))
		{
			list_free(indexes);
			return index_open(index, AccessShareLock);
		}
	}
	elog(ERROR, "table \"%s\" has no partition of index %u", RelationGetRelationName(table), top);
}

void
jobs_referenced_close(Constraints *c)
{
	ListCell   *lc;

	foreach(lc, c->referenced)
	{
		Referenced *referenced = lfirst(lc);

		close_holder(referenced->table);
		if (referenced->directory)
			DestroyPartitionDirectory(referenced->directory);
	}
}

static void
close_holder(Holder *holder)
{
	if (holder->lookup)
	{
		Relation	index = holder->lookup->index;

		jobs_lookup_close(holder->lookup);
		index_close(index, NoLock);
	}
	else
	{
		for (int i = 0; i < holder->desc->nparts; i++)
		{
			if (holder->parts[i])
				close_holder(holder->parts[i]);
		}
	}
	table_close(holder->rel, NoLock);
}

/* What has been looked up lately is known. */
bool
jobs_referenced_has(Referenced *referenced, const Key *key)
{
	Remembered **slot = &referenced->cache[key->hash & (CACHE_SLOTS - 1)];
	Remembered *remembered = *slot;
	bool		found;

	if (remembered && remembered->hash == key->hash && remembered->len == key->len &&
		memcmp(remembered->bytes, key->bytes, key->len) == 0)
		return remembered->exists;
	found = look_up(referenced, key->values, key->nulls);
	if (key->len > CACHED_KEY)
		return found;
	if (remembered == NULL)
		*slot = remembered = MemoryContextAlloc(referenced->context, sizeof(Remembered));
	remembered->hash = key->hash;
	remembered->len = key->len;
	remembered->exists = found;
	memcpy(remembered->bytes, key->bytes, key->len);
	return found;
}

static bool
look_up(Referenced *referenced, const Datum *values, const bool *nulls)
{
	Datum		wanted[INDEX_MAX_KEYS];

	for (int i = 0; i < referenced->reference.nkeys; i++)
	{
		wanted[i] = values[i];
		if (OidIsValid(referenced->casts[i].fn_oid))
			wanted[i] = FunctionCall3(&referenced->casts[i], values[i], Int32GetDatum(-1), BoolGetDatum(false));
	}
	if (referenced->cover)
		jobs_cover_reset(referenced->cover);
	return holds(referenced, referenced->table, wanted, nulls);
}

/* There are no nulls among the values. */
static bool
holds(Referenced *referenced, Holder *holder, const Datum *values, const bool *nulls)
{
	if (holder->lookup)
		return finds(referenced, holder->lookup, values, nulls);
	if (holder->routes)
	{
		Datum		key[PARTITION_MAX_KEYS];
		bool		key_nulls[PARTITION_MAX_KEYS] = {false};
		int			i;

		for (int k = 0; k < holder->key->partnatts; k++)
			key[k] = widened(values[holder->columns[k]], referenced->reference.subtypes[holder->columns[k]],
							 holder->key->partopcintype[k]);
		i = jobs_partition_of(holder->key, holder->desc, key, key_nulls);
		return i >= 0 && part_holds(referenced, holder, i, values, nulls);
	}
	for (int i = 0; i < holder->desc->nparts; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (part_holds(referenced, holder, i, values, nulls))
			return true;
	}
	return false;
}

static Datum
widened(Datum value, Oid from, Oid to)
{
	int64		number;

	if (from == to)
		return value;
	number = from == INT2OID ? DatumGetInt16(value) : DatumGetInt32(value);
	return to == INT8OID ? Int64GetDatum(number) : Int32GetDatum(number);
}

static bool
part_holds(Referenced *referenced, Holder *holder, int i, const Datum *values, const bool *nulls)
{
	if (holder->parts[i] == NULL)
		holder->parts[i] = open_holder(referenced, holder->desc->oids[i]);
	return holds(referenced, holder->parts[i], values, nulls);
}

static bool
finds(Referenced *referenced, Lookup *lookup, const Datum *values, const bool *nulls)
{
	bool		found = false;

	if (referenced->asked && referenced->asked != lookup)
		jobs_lookup_end_scan(referenced->asked);
	referenced->asked = lookup;
	jobs_lookup_start(lookup, values, nulls);
	while (!found && jobs_lookup_next(lookup))
		found = is_found(referenced, lookup, values[referenced->reference.nkeys - 1]);
	jobs_lookup_end(lookup);
	return found;
}

/* Whether the row at hand is enough, with those before it where there is a period. */
static bool
is_found(Referenced *referenced, Lookup *lookup, Datum period)
{
	const int16 *attnums = lookup->index->rd_index->indkey.values;
	int			nkeys = referenced->reference.nkeys;
	bool		isnull;

	for (int i = 0; i < nkeys && lookup->scan->xs_recheck; i++)
	{
		ScanKey		key = &lookup->keys[i];
		Datum		value = slot_getattr(lookup->slot, attnums[i], &isnull);

		if (isnull || !DatumGetBool(FunctionCall2Coll(&key->sk_func, key->sk_collation, value, key->sk_argument)))
			return false;
	}
	if (referenced->cover == NULL)
		return true;
	jobs_cover_add(referenced->cover, slot_getattr(lookup->slot, attnums[nkeys - 1], &isnull));
	return jobs_cover_contains(referenced->cover, period);
}
