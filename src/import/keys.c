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
#include "compat.h"
#include "executor/executor.h"
#include "import/existing.h"
#include "import/judge.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* So many rows ahead the place of a key is fetched into the caches. */
#define AHEAD	8

struct KeyCheck
{
	Leaf	   *leaf;
	Relation	index;			/* NULL: options.unique */
	IndexInfo  *info;			/* the same */
	bool		nulls_distinct;
	bool		like_own;		/* of the same columns as options.unique, but only in this one of several tables */
	const KeyShape *shape;
	AttrNumber *attnums;		/* of the leaf; NULL: there are expressions */
	List	   *attnos;			/* of the target */
	Existing   *existing;
	KeySet	   *set;			/* of the file's keys */
	KeyEntries	entries;		/* of the batch */
	KeyEntry   *current;		/* of the row that was met last, or NULL */
};

/* The keys of the file for all partitions of an index, by its uppermost parent. */
typedef struct SharedSet
{
	Oid			index;
	const KeyShape *shape;
	KeySet	   *set;
} SharedSet;

static void open_own(Constraints *c, Leaf *leaf);
static void open_index(Constraints *c, Leaf *leaf, Relation index);
static bool same_as_another(Leaf *leaf, IndexInfo *info, Relation index);
static KeyShape *index_shape(Leaf *leaf, IndexInfo *info, Relation index);
static KeySet *shared_set(Constraints *c, Relation index, const KeyShape *shape);
static void make_key(Constraints *c, Judged *judged, Step *step);
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

		if (index->rd_index->indisready && index->rd_index->indisexclusion)
			jobs_exclusion_open(c, leaf, index);
		else if (index->rd_index->indisready && index->rd_index->indisunique)
			open_index(c, leaf, index);
		else
			index_close(index, AccessShareLock);
	}
	list_free(indexes);
	if (c->own_key)
		open_own(c, leaf);
	leaf->nkey_steps = list_length(leaf->steps);
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

			if (check->index == NULL)
				continue;
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

	if (same_as_another(leaf, info, index) || jobs_index_unknown(leaf, info))
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
	if (info->ii_Expressions == NIL)
		check->attnums = info->ii_IndexAttrNumbers;
	check->nulls_distinct = !info->ii_NullsNotDistinct;
	check->shape = index_shape(leaf, info, index);
	check->attnos = jobs_index_attnos(leaf, info);
	check->existing = jobs_existing_open(leaf->rel, index, info, check->shape, c->snapshot, &c->memory);
	check->set = shared_set(c, index, check->shape);
	leaf->keys = lappend(leaf->keys, check);
	jobs_judge_step(leaf, make_key, "check_violation", psprintf("Index \"%s\"", RelationGetRelationName(index)), check);
}

/*
 * options.unique, unless it is a key of the table anyway.  A key of a partition alone
 * says nothing of the others, nor that of a table with children of these.
 */
static void
open_own(Constraints *c, Leaf *leaf)
{
	KeyCheck   *check = palloc0(sizeof(KeyCheck));
	const AttrNumber *attnos;
	ListCell   *lc;

	check->leaf = leaf;
	check->nulls_distinct = true;
	check->shape = jobs_own_key_shape(c, &check->set, &attnos);
	check->attnos = c->input->unique;
	check->attnums = palloc0(check->shape->ncolumns * sizeof(AttrNumber));
	for (int i = 0; i < check->shape->ncolumns; i++)
	{
		for (AttrNumber k = 1; k <= RelationGetNumberOfAttributes(leaf->rel); k++)
		{
			if (jobs_judge_root_attno(leaf, k) == attnos[i])
				check->attnums[i] = k;
		}
		if (bms_is_member(check->attnums[i], leaf->unknown))
			return;
	}
	foreach(lc, leaf->keys)
	{
		KeyCheck   *other = lfirst(lc);

		if (other->info->ii_Expressions == NIL && other->info->ii_Predicate == NIL && other->nulls_distinct &&
			list_difference_int(check->attnos, other->attnos) == NIL &&
			list_difference_int(other->attnos, check->attnos) == NIL)
		{
			bool		alone = c->target->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ?
				IndexGetRelation(jobs_index_top(other->index), false) != RelationGetRelid(c->target) :
				c->target->rd_rel->relhassubclass;

			if (!alone)
				return;
			other->like_own = true;
		}
	}
	leaf->keys = lappend(leaf->keys, check);
	jobs_judge_step(leaf, make_key, "check_violation", "Option \"unique\"", check);
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

static KeyShape *
index_shape(Leaf *leaf, IndexInfo *info, Relation index)
{
	Oid			types[INDEX_MAX_KEYS];

	jobs_index_types(leaf, info, types);
	return jobs_key_shape(info->ii_NumIndexKeyAttrs, index->rd_opfamily, index->rd_opcintype, types,
						  index->rd_indcollation);
}

static KeySet *
shared_set(Constraints *c, Relation index, const KeyShape *shape)
{
	Oid			top = jobs_index_top(index);
	SharedSet  *shared;
	ListCell   *lc;

	foreach(lc, c->shared_sets)
	{
		shared = lfirst(lc);
		if (shared->index == top)
			return shared->set;
	}
	shared = palloc(sizeof(SharedSet));
	shared->index = top;
	shared->shape = shape;
	shared->set = jobs_keyset_create(shape, &c->memory);
	c->shared_sets = lappend(c->shared_sets, shared);
	return shared->set;
}

KeySet *
jobs_keys_of_index(Constraints *c, Oid index, const KeyShape **shape)
{
	ListCell   *lc;

	foreach(lc, c->shared_sets)
	{
		SharedSet  *shared = lfirst(lc);

		if (shared->index == index)
		{
			*shape = shared->shape;
			return shared->set;
		}
	}
	return NULL;
}

/* One batch. */

void
jobs_keys_begin_batch(Leaf *leaf)
{
	ListCell   *lc;

	foreach(lc, leaf->keys)
	{
		KeyCheck   *check = lfirst(lc);

		check->entries = (KeyEntries) {0};
		check->current = NULL;
	}
}

static void
make_key(Constraints *c, Judged *judged, Step *step)
{
	KeyCheck   *check = step->of;
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];

	if (check->info)
	{
		if (!ExecQual(check->info->ii_PredicateState, c->econtext))
			return;
	}
	if (check->attnums == NULL)
		FormIndexDatum(check->info, judged->slot, c->estate, values, nulls);
	else
	{
		/* All columns of the slot are there. */
		for (int i = 0; i < check->shape->ncolumns; i++)
		{
			values[i] = judged->slot->tts_values[check->attnums[i] - 1];
			nulls[i] = judged->slot->tts_isnull[check->attnums[i] - 1];
		}
	}
	for (int i = 0; i < check->shape->ncolumns; i++)
	{
		if (nulls[i] && check->nulls_distinct)
			return;
	}
	jobs_judge_key(c, &check->entries, check->shape, judged, values, nulls,
				   check->attnums == NULL);
}

void
jobs_keys_look_up(Constraints *c, Leaf *leaf, bool updates_only)
{
	const Key **keys = palloc(c->nrows * sizeof(Key *));
	KeyEntry  **wanted = palloc(c->nrows * sizeof(KeyEntry *));
	ItemPointerData *tids = palloc(c->nrows * sizeof(ItemPointerData));
	ListCell   *lc;

	foreach(lc, leaf->keys)
	{
		KeyCheck   *check = lfirst(lc);
		int			n = 0;

		for (int i = 0; i < check->entries.n; i++)
		{
			KeyEntry   *entry = &check->entries.entries[i];

			if (updates_only && !c->rows[entry->row].update)
				continue;
			wanted[n] = entry;
			keys[n++] = &entry->key;
		}
		if (n == 0)
			continue;
		if (check->index == NULL)
		{
			jobs_own_key_look_up(c, wanted, keys, n, tids);
			continue;
		}
		jobs_existing_find(check->existing, keys, n, tids);
		for (int i = 0; i < n; i++)
		{
			wanted[i]->existing = tids[i];
			wanted[i]->existing_rel = RelationGetRelid(leaf->rel);
		}
	}
	pfree(keys);
	pfree(wanted);
	pfree(tids);
}

KeyEntry *
jobs_keys_existing(Constraints *c, Judged *judged, List **attnos)
{
	KeyEntry   *found = NULL;
	ListCell   *lc;

	foreach(lc, judged->leaf->keys)
	{
		KeyCheck   *check = lfirst(lc);
		KeyEntry   *entry = jobs_judge_met(c, &check->entries, judged);

		if (found || entry == NULL || !ItemPointerIsValid(&entry->existing))
			continue;
		*attnos = check->attnos;
		found = entry;
	}
	return found;
}

bool
jobs_keys_is_own(Constraints *c, Judged *judged, Oid index, const Datum *values, const bool *nulls)
{
	ListCell   *lc;

	foreach(lc, judged->leaf->keys)
	{
		KeyCheck   *check = lfirst(lc);

		if (check->index && check->current && jobs_index_top(check->index) == index)
			return jobs_key_compare(check->shape, values, nulls,
									check->current->key.values, check->current->key.nulls) == 0;
	}
	return false;
}

void
jobs_keys_met(Constraints *c, Judged *judged)
{
	ListCell   *lc;
	bool		told = false;

	foreach(lc, judged->leaf->keys)
	{
		KeyCheck   *check = lfirst(lc);
		int64		row_no;
		bool		own;

		check->current = jobs_judge_met(c, &check->entries, judged);
		if (check->current == NULL)
			continue;
		if (check->entries.next + AHEAD < check->entries.n)
			jobs_keyset_prefetch(check->set, &check->entries.entries[check->entries.next + AHEAD].key);
		own = judged->update && ItemPointerIsValid(&check->current->existing) &&
			ItemPointerEquals(&check->current->existing, &judged->row->existing) &&
			judged->row->existing_rel == check->current->existing_rel;

		/* merge.c tells of a row that is updated twice; one key is enough to say so. */
		if (own && check->attnos != judged->met)
			continue;
		if (check->index == NULL && told)
			continue;
		if (ItemPointerIsValid(&check->current->existing) && !own)
			existing_issue(c, judged, check);
		else if ((row_no = jobs_keyset_find(check->set, &check->current->key)) != 0)
			repeated_issue(c, judged, check, row_no);
		else
			continue;
		told |= check->like_own;
	}
}

void
jobs_keys_take(Constraints *c, Judged *judged)
{
	ListCell   *lc;

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
	if (!judged->update)
	{
		judged->row->existing = check->current->existing;
		judged->row->existing_rel = check->current->existing_rel;
	}
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
