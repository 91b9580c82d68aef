/*-------------------------------------------------------------------------
 *
 * index.c
 *	  What an index is of, and keys of a batch's rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "import/judge.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"

bool
jobs_index_unknown(const Leaf *leaf, IndexInfo *info)
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
List *
jobs_index_attnos(const Leaf *leaf, IndexInfo *info)
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

void
jobs_index_types(const Leaf *leaf, IndexInfo *info, Oid *types)
{
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
}

/* The uppermost partitioned index that it is a partition of, or itself. */
Oid
jobs_index_top(Relation index)
{
	if (!index->rd_rel->relispartition)
		return RelationGetRelid(index);
	return llast_oid(get_partition_ancestors(RelationGetRelid(index)));
}

void
jobs_judge_key(Constraints *c, KeyEntries *entries, const KeyShape *shape, Judged *judged,
			   const Datum *values, const bool *nulls, bool copy)
{
	MemoryContext old;
	KeyEntry   *entry;

	if (entries->n == entries->size)
	{
		entries->size = Max(64, 2 * entries->size);
		entries->entries = entries->entries ? repalloc(entries->entries, entries->size * sizeof(KeyEntry)) :
			MemoryContextAlloc(c->batch, entries->size * sizeof(KeyEntry));
	}
	entry = &entries->entries[entries->n];
	old = MemoryContextSwitchTo(c->batch);
	jobs_key_make(shape, values, nulls, &entry->key);
	if (copy)
		jobs_key_unpack(shape, entry->key.bytes, entry->key.values, entry->key.nulls);
	MemoryContextSwitchTo(old);
	entry->row = judged - c->rows;
	ItemPointerSetInvalid(&entry->existing);
	entries->n++;
}

KeyEntry *
jobs_judge_met(Constraints *c, KeyEntries *entries, Judged *judged)
{
	if (entries->next == entries->n || entries->entries[entries->next].row != judged - c->rows)
		return NULL;
	return &entries->entries[entries->next++];
}
