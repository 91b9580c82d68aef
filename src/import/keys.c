/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  Unique keys: of rows that are there, and of the file's rows among themselves.
 *
 * A key is one that the target has (a unique index, with its expressions, its
 * predicate and its operator classes), or options.unique.  Partitions of one
 * index share the keys of the file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "compat.h"
#include "executor/executor.h"
#include "import/existing.h"
#include "import/judge.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"

/* The key of one row of the batch. */
typedef struct KeyEntry
{
	int			row;			/* of c->rows */
	Key			key;
	ItemPointerData existing;	/* the row that has it, or invalid */
} KeyEntry;

struct KeyCheck
{
	Leaf	   *leaf;
	Relation	index;
	IndexInfo  *info;
	bool		nulls_distinct;
	KeyShape   *shape;
	List	   *attnos;			/* of the target */
	Existing   *existing;
	KeySet	   *set;			/* of the file's keys */
	KeyEntry   *entries;		/* of the batch, in the order of its rows */
	int			nentries;
	int			size;
	int			next;			/* entry that has not been met */
	KeyEntry   *current;		/* of the row that was met last, or NULL */
};

/* The keys of the file for all partitions of an index, by its uppermost parent. */
typedef struct SharedSet
{
	Oid			index;
	KeySet	   *set;
} SharedSet;

static void open_index(Constraints *c, Leaf *leaf, Relation index);
static bool same_as_another(Leaf *leaf, IndexInfo *info, Relation index);
static bool index_unknown(Leaf *leaf, IndexInfo *info);
static List *index_attnos(Leaf *leaf, IndexInfo *info);
static KeyShape *index_shape(Leaf *leaf, IndexInfo *info, Relation index);
static KeySet *shared_set(Constraints *c, Relation index, const KeyShape *shape);
static void make_key(Constraints *c, Judged *judged, Step *step);
static void add_entry(Constraints *c, KeyCheck *check, Judged *judged, const Datum *values, const bool *nulls);
static void existing_issue(Constraints *c, Judged *judged, KeyCheck *check);
static void repeated_issue(Constraints *c, Judged *judged, KeyCheck *check, int64 row_no);

void
jobs_keys_open(Constraints *c, Leaf *leaf)
{
	List	   *indexes = RelationGetIndexList(leaf->rel);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index->rd_index->indisunique && index->rd_index->indisready && !index->rd_index->indisexclusion)
			open_index(c, leaf, index);
		else
			index_close(index, AccessShareLock);
	}
	list_free(indexes);
}

void
jobs_keys_close(Constraints *c)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, c->leaves)
	{
		foreach(lc2, ((Leaf *) lfirst(lc))->keys)
		{
			KeyCheck   *check = lfirst(lc2);

			jobs_existing_close(check->existing);
			index_close(check->index, NoLock);
		}
	}
	foreach(lc, c->shared_sets)
		jobs_keyset_free(((SharedSet *) lfirst(lc))->set);
}

static void
open_index(Constraints *c, Leaf *leaf, Relation index)
{
	IndexInfo  *info = BuildIndexInfo(index);
	KeyCheck   *check;

	if (same_as_another(leaf, info, index) || index_unknown(leaf, info))
	{
		index_close(index, AccessShareLock);
		return;
	}
	BuildSpeculativeIndexInfo(index, info);
	info->ii_PredicateState = ExecPrepareQual(info->ii_Predicate, c->estate);
	check = palloc0(sizeof(KeyCheck));
	check->leaf = leaf;
	check->index = index;
	check->info = info;
	check->nulls_distinct = !info->ii_NullsNotDistinct;
	check->shape = index_shape(leaf, info, index);
	check->attnos = index_attnos(leaf, info);
	check->existing = jobs_existing_open(leaf->rel, index, info, check->shape, c->snapshot, &c->memory);
	check->set = shared_set(c, index, check->shape);
	leaf->keys = lappend(leaf->keys, check);
	jobs_judge_step(leaf, make_key, "check_violation", psprintf("Index \"%s\"", RelationGetRelationName(index)), check);
}

/* Two indexes of the same columns find the same duplicates. */
static bool
same_as_another(Leaf *leaf, IndexInfo *info, Relation index)
{
	ListCell   *lc;

	if (info->ii_Expressions || info->ii_Predicate)
		return false;
	foreach(lc, leaf->keys)
	{
		KeyCheck   *other = lfirst(lc);
		int			n = info->ii_NumIndexKeyAttrs;

		if (other->info->ii_Expressions == NIL && other->info->ii_Predicate == NIL &&
			other->info->ii_NumIndexKeyAttrs == n &&
			other->info->ii_NullsNotDistinct == info->ii_NullsNotDistinct &&
			memcmp(other->info->ii_IndexAttrNumbers, info->ii_IndexAttrNumbers, n * sizeof(AttrNumber)) == 0 &&
			memcmp(other->index->rd_opfamily, index->rd_opfamily, n * sizeof(Oid)) == 0 &&
			memcmp(other->index->rd_indcollation, index->rd_indcollation, n * sizeof(Oid)) == 0)
			return true;
	}
	return false;
}

static bool
index_unknown(Leaf *leaf, IndexInfo *info)
{
	for (int i = 0; i < info->ii_NumIndexKeyAttrs; i++)
	{
		if (info->ii_IndexAttrNumbers[i] > 0 && bms_is_member(info->ii_IndexAttrNumbers[i], leaf->unknown))
			return true;
	}
	return jobs_judge_unknown(leaf, (Node *) info->ii_Expressions) ||
		jobs_judge_unknown(leaf, (Node *) info->ii_Predicate);
}

/* The target's attributes in a key, each once, in its order. */
static List *
index_attnos(Leaf *leaf, IndexInfo *info)
{
	List	   *attnos = NIL;
	ListCell   *lc = list_head(info->ii_Expressions);

	for (int i = 0; i < info->ii_NumIndexKeyAttrs; i++)
	{
		AttrNumber	attno = info->ii_IndexAttrNumbers[i];

		if (attno > 0)
			attnos = list_append_unique_int(attnos, jobs_judge_root_attno(leaf, attno));
		else
		{
			attnos = list_union_int(attnos, jobs_judge_used(leaf, lfirst(lc)));
			lc = lnext(info->ii_Expressions, lc);
		}
	}
	return attnos;
}

static KeyShape *
index_shape(Leaf *leaf, IndexInfo *info, Relation index)
{
	Oid			types[INDEX_MAX_KEYS];
	ListCell   *lc = list_head(info->ii_Expressions);

	for (int i = 0; i < info->ii_NumIndexKeyAttrs; i++)
	{
		AttrNumber	attno = info->ii_IndexAttrNumbers[i];

		if (attno > 0)
			types[i] = TupleDescAttr(RelationGetDescr(leaf->rel), attno - 1)->atttypid;
		else
		{
			types[i] = exprType(lfirst(lc));
			lc = lnext(info->ii_Expressions, lc);
		}
	}
	return jobs_key_shape(info->ii_NumIndexKeyAttrs, index->rd_opfamily, index->rd_opcintype, types,
						  index->rd_indcollation);
}

static KeySet *
shared_set(Constraints *c, Relation index, const KeyShape *shape)
{
	Oid			top = RelationGetRelid(index);
	SharedSet  *shared;
	ListCell   *lc;

	if (index->rd_rel->relispartition)
		top = llast_oid(get_partition_ancestors(top));
	foreach(lc, c->shared_sets)
	{
		shared = lfirst(lc);
		if (shared->index == top)
			return shared->set;
	}
	shared = palloc(sizeof(SharedSet));
	shared->index = top;
	shared->set = jobs_keyset_create(shape, &c->memory);
	c->shared_sets = lappend(c->shared_sets, shared);
	return shared->set;
}

/* One batch. */

void
jobs_keys_begin_batch(Constraints *c)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, c->leaves)
	{
		foreach(lc2, ((Leaf *) lfirst(lc))->keys)
		{
			KeyCheck   *check = lfirst(lc2);

			check->nentries = 0;
			check->next = 0;
			check->current = NULL;
		}
	}
}

static void
make_key(Constraints *c, Judged *judged, Step *step)
{
	KeyCheck   *check = step->of;
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];

	if (!ExecQual(check->info->ii_PredicateState, c->econtext))
		return;
	FormIndexDatum(check->info, judged->slot, c->estate, values, nulls);
	for (int i = 0; i < check->shape->ncolumns; i++)
	{
		if (nulls[i] && check->nulls_distinct)
			return;
	}
	add_entry(c, check, judged, values, nulls);
}

static void
add_entry(Constraints *c, KeyCheck *check, Judged *judged, const Datum *values, const bool *nulls)
{
	int			n = check->shape->ncolumns;
	MemoryContext old;
	KeyEntry   *entry;

	if (check->nentries == check->size)
	{
		check->size = Max(64, 2 * check->size);
		check->entries = check->entries ? repalloc(check->entries, check->size * sizeof(KeyEntry)) :
			MemoryContextAlloc(c->context, check->size * sizeof(KeyEntry));
	}
	entry = &check->entries[check->nentries];
	old = MemoryContextSwitchTo(c->batch);
	jobs_key_make(check->shape, values, nulls, &entry->key);
	entry->key.values = palloc(n * sizeof(Datum));
	entry->key.nulls = palloc(n * sizeof(bool));

	/* What expressions gave goes with the row; the slot's values stay. */
	if (check->info->ii_Expressions)
		jobs_key_unpack(check->shape, entry->key.bytes, entry->key.values, entry->key.nulls);
	else
	{
		memcpy(entry->key.values, values, n * sizeof(Datum));
		memcpy(entry->key.nulls, nulls, n * sizeof(bool));
	}
	MemoryContextSwitchTo(old);
	entry->row = judged - c->rows;
	ItemPointerSetInvalid(&entry->existing);
	check->nentries++;
}

void
jobs_keys_look_up(Constraints *c)
{
	const Key **keys = palloc(c->nrows * sizeof(Key *));
	ItemPointerData *tids = palloc(c->nrows * sizeof(ItemPointerData));
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, c->leaves)
	{
		foreach(lc2, ((Leaf *) lfirst(lc))->keys)
		{
			KeyCheck   *check = lfirst(lc2);

			if (check->nentries == 0)
				continue;
			for (int i = 0; i < check->nentries; i++)
				keys[i] = &check->entries[i].key;
			jobs_existing_find(check->existing, keys, check->nentries, tids);
			for (int i = 0; i < check->nentries; i++)
				check->entries[i].existing = tids[i];
		}
	}
	pfree(keys);
	pfree(tids);
}

void
jobs_keys_met(Constraints *c, Judged *judged)
{
	ListCell   *lc;

	if (judged->leaf == NULL)
		return;
	foreach(lc, judged->leaf->keys)
	{
		KeyCheck   *check = lfirst(lc);
		int64		row_no;

		check->current = NULL;
		if (check->next == check->nentries || check->entries[check->next].row != judged - c->rows)
			continue;
		check->current = &check->entries[check->next++];
		if (ItemPointerIsValid(&check->current->existing))
			existing_issue(c, judged, check);
		else if ((row_no = jobs_keyset_find(check->set, &check->current->key)) != 0)
			repeated_issue(c, judged, check, row_no);
	}
}

void
jobs_keys_take(Constraints *c, Judged *judged)
{
	ListCell   *lc;

	if (judged->leaf == NULL)
		return;
	foreach(lc, judged->leaf->keys)
	{
		KeyCheck   *check = lfirst(lc);

		if (check->current)
			jobs_keyset_add(check->set, &check->current->key, judged->row->row_no);
	}
}

static void
existing_issue(Constraints *c, Judged *judged, KeyCheck *check)
{
	judged->row->existing = check->current->existing;
	judged->row->existing_rel = RelationGetRelid(check->leaf->rel);
	jobs_judge_issue(c, judged, c->input->on_conflict == CONFLICT_ERROR ? SEVERITY_ERROR : SEVERITY_WARNING,
					 "duplicate_existing", check->attnos,
					 psprintf("Duplicate of existing %s%s", c->input->entity,
							  jobs_judge_values(c, judged->row, check->attnos)),
					 "will skip", ROW_SKIP);
}

static void
repeated_issue(Constraints *c, Judged *judged, KeyCheck *check, int64 row_no)
{
	jobs_judge_issue(c, judged, c->input->on_conflict == CONFLICT_ERROR ? SEVERITY_ERROR : SEVERITY_WARNING,
					 "duplicate_in_file", check->attnos,
					 psprintf("Same %s%s as row %lld", jobs_judge_names(c, check->attnos),
							  jobs_judge_values(c, judged->row, check->attnos), (long long) row_no),
					 "will skip", ROW_SKIP);
}
