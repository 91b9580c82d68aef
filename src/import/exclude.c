/*-------------------------------------------------------------------------
 *
 * exclude.c
 *	  Exclusion constraints: against rows that are there and among those of the file.
 *
 * Those that are there are found through the index.  Of the file's own, the keys
 * of good rows stay in memory.  Where all operators but one are equality and that
 * one is "overlaps" of a range type, as nearly always, they are in a tree: good
 * rows do not overlap, so ranges that overlap can count as equal, and one search
 * finds a conflict.  With any other operators each row is compared with all good
 * ones before it that have an equal part, which takes quadratic time in the worst
 * case.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_opfamily.h"
#include "compat.h"
#include "executor/executor.h"
#include "import/judge.h"
#include "import/keytree.h"
#include "import/period.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#define LIST_BUCKETS	4096	/* a power of two */

/* A good row of the file, where there is no tree. */
typedef struct Accepted
{
	struct Accepted *next;		/* in its bucket */
	int64		row_no;
	Datum	   *values;
} Accepted;

struct Exclusion
{
	Leaf	   *leaf;
	Relation	index;
	IndexInfo  *info;
	FmgrInfo	operators[INDEX_MAX_KEYS];
	List	   *attnos;			/* of the target */
	KeyShape   *shape;
	Oid			period;			/* type of the last part of a key WITHOUT OVERLAPS, or InvalidOid */
	bool		is_equality[INDEX_MAX_KEYS];	/* of the type's own equality */
	KeyMemory  *memory;
	MemoryContext context;
	KeyTree    *tree;			/* good rows: here, or in */
	Size		bytes;			/* ... of these */
	Accepted  **buckets;
	Lookup	   *lookup;
	KeyEntries	entries;
	KeyEntry   *current;
};

static bool shape_of(Exclusion *exclusion, const Oid *types);
static void make_key(Constraints *c, Judged *judged, Step *step);
static bool conflicts(Exclusion *exclusion, const Datum *old, const bool *old_nulls, const Datum *new);
static int64 find_accepted(Exclusion *exclusion, const Key *key);
static void accept_row(Exclusion *exclusion, const Key *key, int64 row_no);

void
jobs_exclusion_open(Constraints *c, Leaf *leaf, Relation index)
{
	Exclusion  *exclusion = palloc0(sizeof(Exclusion));
	IndexInfo  *info = BuildIndexInfo(index);
	Oid			types[INDEX_MAX_KEYS];
	MemoryContext old;

	if (jobs_index_unknown(leaf, info))
	{
		index_close(index, AccessShareLock);
		return;
	}
	info->ii_PredicateState = ExecPrepareQual(info->ii_Predicate, c->estate);
	exclusion->leaf = leaf;
	exclusion->index = index;
	exclusion->info = info;
	exclusion->memory = &c->memory;
	exclusion->attnos = jobs_index_attnos(leaf, info);
	for (int i = 0; i < info->ii_NumIndexKeyAttrs; i++)
		fmgr_info(info->ii_ExclusionProcs[i], &exclusion->operators[i]);
	jobs_index_types(leaf, info, types);
	if (jobs_without_overlaps(info))
		exclusion->period = types[info->ii_NumIndexKeyAttrs - 1];
	exclusion->context = AllocSetContextCreate(CurrentMemoryContext, "jobs exclusion", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(exclusion->context);
	if (shape_of(exclusion, types))
		exclusion->tree = jobs_keytree_create(exclusion->shape, &c->memory);
	else
		exclusion->buckets = palloc0(LIST_BUCKETS * sizeof(Accepted *));
	MemoryContextSwitchTo(old);
	exclusion->lookup = jobs_lookup_open(leaf->rel, index, c->snapshot, info->ii_NumIndexKeyAttrs,
										 info->ii_ExclusionProcs, info->ii_ExclusionStrats, NULL);
	leaf->exclusions = lappend(leaf->exclusions, exclusion);
	jobs_judge_step(leaf, make_key, "exclusion", psprintf("Index \"%s\"", RelationGetRelationName(index)), exclusion);
}

/* Whether good rows have an order; and how their keys look. */
static bool
shape_of(Exclusion *exclusion, const Oid *types)
{
	int			n = exclusion->info->ii_NumIndexKeyAttrs;
	int			noverlaps = 0;

	exclusion->shape = jobs_key_shape_of_bytes(n, types);
	for (int i = 0; i < n; i++)
	{
		KeyColumn  *column = &exclusion->shape->columns[i];
		TypeCacheEntry *type = lookup_type_cache(types[i], TYPECACHE_EQ_OPR | TYPECACHE_CMP_PROC_FINFO |
												 TYPECACHE_HASH_PROC_FINFO | TYPECACHE_BTREE_OPFAMILY);
		Oid			operator = exclusion->info->ii_ExclusionOps[i];

		column->collation = exclusion->index->rd_indcollation[i];
		exclusion->is_equality[i] = OidIsValid(type->cmp_proc) &&
			get_op_opfamily_strategy(operator, type->btree_opf) == BTEqualStrategyNumber;
		if (OidIsValid(type->cmp_proc))
			fmgr_info(type->cmp_proc, &column->compare);
		if (exclusion->is_equality[i])
		{
			column->image_equal = false;
			exclusion->shape->image_equal = false;
			if (OidIsValid(type->hash_proc))
				fmgr_info(type->hash_proc, &column->hash);
		}
		else if (exclusion->info->ii_ExclusionProcs[i] == F_RANGE_OVERLAPS)
		{
			fmgr_info(F_RANGE_OVERLAPS, &column->overlaps);
			noverlaps++;
		}
		else
			noverlaps = n + 1;
	}
	exclusion->shape->hashable = false;
	return noverlaps <= 1;
}

void
jobs_exclusions_close(Leaf *leaf)
{
	ListCell   *lc;

	foreach(lc, leaf->exclusions)
	{
		Exclusion  *exclusion = lfirst(lc);

		jobs_lookup_close(exclusion->lookup);
		index_close(exclusion->index, NoLock);
	}
}

/* One batch. */

void
jobs_exclusions_begin_batch(Leaf *leaf)
{
	ListCell   *lc;

	foreach(lc, leaf->exclusions)
	{
		Exclusion  *exclusion = lfirst(lc);

		exclusion->entries = (KeyEntries) {0};
	}
}

static void
make_key(Constraints *c, Judged *judged, Step *step)
{
	Exclusion  *exclusion = step->of;
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	int			last = exclusion->shape->ncolumns - 1;

	if (!ExecQual(exclusion->info->ii_PredicateState, c->econtext))
		return;
	FormIndexDatum(exclusion->info, judged->slot, c->estate, values, nulls);
	if (OidIsValid(exclusion->period) && !nulls[last] && jobs_period_is_empty(exclusion->period, values[last]))
	{
		List	   *attnos = list_make1_int(llast_int(exclusion->attnos));

		jobs_judge_refuse(c, judged, "check_violation", attnos,
						  psprintf("%s must not be empty", jobs_judge_sentence(jobs_judge_names(c, attnos))));
		return;
	}
	for (int i = 0; i <= last; i++)
	{
		if (nulls[i])
			return;
	}
	/* An empty range overlaps nothing, itself neither. */
	if (exclusion->tree && !conflicts(exclusion, values, nulls, values))
		return;
	jobs_judge_key(c, &exclusion->entries, exclusion->shape, judged, values, nulls,
				   exclusion->info->ii_Expressions != NIL);
}

void
jobs_exclusions_look_up(Constraints *c, Leaf *leaf)
{
	ListCell   *lc;

	foreach(lc, leaf->exclusions)
	{
		Exclusion  *exclusion = lfirst(lc);
		Lookup	   *lookup = exclusion->lookup;

		for (int i = 0; i < exclusion->entries.n && !lookup->empty; i++)
		{
			KeyEntry   *entry = &exclusion->entries.entries[i];

			CHECK_FOR_INTERRUPTS();
			jobs_lookup_start(lookup, entry->key.values, entry->key.nulls);
			while (jobs_lookup_next(lookup))
			{
				Datum		values[INDEX_MAX_KEYS];
				bool		nulls[INDEX_MAX_KEYS];

				if (c->rows[entry->row].update &&
					ItemPointerEquals(&lookup->slot->tts_tid, &c->rows[entry->row].row->existing) &&
					c->rows[entry->row].row->existing_rel == RelationGetRelid(exclusion->leaf->rel))
					continue;
				if (lookup->scan->xs_recheck)
				{
					c->econtext->ecxt_scantuple = lookup->slot;
					FormIndexDatum(exclusion->info, lookup->slot, c->estate, values, nulls);
					if (!conflicts(exclusion, values, nulls, entry->key.values))
						continue;
				}
				entry->existing = lookup->slot->tts_tid;
				break;
			}
			jobs_lookup_end(lookup);
			ResetExprContext(c->econtext);
		}
		jobs_lookup_end_scan(lookup);
	}
}

static bool
conflicts(Exclusion *exclusion, const Datum *old, const bool *old_nulls, const Datum *new)
{
	for (int i = 0; i < exclusion->shape->ncolumns; i++)
	{
		if (old_nulls && old_nulls[i])
			return false;
		if (!DatumGetBool(FunctionCall2Coll(&exclusion->operators[i], exclusion->index->rd_indcollation[i],
											old[i], new[i])))
			return false;
	}
	return true;
}

void
jobs_exclusions_met(Constraints *c, Judged *judged)
{
	ListCell   *lc;

	foreach(lc, judged->leaf->exclusions)
	{
		Exclusion  *exclusion = lfirst(lc);
		KeyEntry   *entry = jobs_judge_met(c, &exclusion->entries, judged);
		const char *with;
		int64		row_no;

		exclusion->current = entry;
		if (entry == NULL)
			continue;
		if (ItemPointerIsValid(&entry->existing))
			with = psprintf("an existing %s", c->input->entity);
		else if ((row_no = find_accepted(exclusion, &entry->key)) != 0)
			with = psprintf("row %lld", (long long) row_no);
		else
			continue;
		jobs_judge_refuse(c, judged, "exclusion", exclusion->attnos,
						  psprintf("%s%s conflicts with %s",
								   jobs_judge_sentence(jobs_judge_names(c, exclusion->attnos)),
								   jobs_judge_values(c, judged->row, exclusion->attnos), with));
	}
}

void
jobs_exclusions_take(Constraints *c, Judged *judged)
{
	ListCell   *lc;

	foreach(lc, judged->leaf->exclusions)
	{
		Exclusion  *exclusion = lfirst(lc);

		if (exclusion->current)
			accept_row(exclusion, &exclusion->current->key, judged->row->row_no);
	}
}

/* Good rows of the file. */

static uint32
bucket_of(Exclusion *exclusion, const Key *key)
{
	uint32		hash = 0;

	for (int i = 0; i < exclusion->shape->ncolumns; i++)
	{
		KeyColumn  *column = &exclusion->shape->columns[i];

		if (exclusion->is_equality[i] && OidIsValid(column->hash.fn_oid))
			hash = hash * 31 + DatumGetUInt32(FunctionCall1Coll(&column->hash, column->collation, key->values[i]));
	}
	return hash & (LIST_BUCKETS - 1);
}

static int64
find_accepted(Exclusion *exclusion, const Key *key)
{
	if (exclusion->tree)
		return jobs_keytree_find(exclusion->tree, key);
	for (Accepted *accepted = exclusion->buckets[bucket_of(exclusion, key)]; accepted; accepted = accepted->next)
	{
		CHECK_FOR_INTERRUPTS();
		if (conflicts(exclusion, accepted->values, NULL, key->values))
			return accepted->row_no;
	}
	return 0;
}

static void
accept_row(Exclusion *exclusion, const Key *key, int64 row_no)
{
	MemoryContext old;
	Accepted   *accepted;
	uint32		bucket;
	bool		nulls[INDEX_MAX_KEYS];

	if (exclusion->tree)
	{
		jobs_keytree_add(exclusion->tree, key, row_no);
		return;
	}
	exclusion->bytes += sizeof(Accepted) + 2 * key->len + 64;
	jobs_keytree_check_bytes(exclusion->bytes, exclusion->memory);
	bucket = bucket_of(exclusion, key);
	old = MemoryContextSwitchTo(exclusion->context);
	accepted = palloc(sizeof(Accepted));
	accepted->row_no = row_no;
	accepted->values = palloc(exclusion->shape->ncolumns * sizeof(Datum));
	jobs_key_unpack(exclusion->shape, key->bytes, accepted->values, nulls);
	MemoryContextSwitchTo(old);
	accepted->next = exclusion->buckets[bucket];
	exclusion->buckets[bucket] = accepted;
}
