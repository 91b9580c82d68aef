/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  To which partition a row would go.
 *
 * As the executor finds it, but without an error where there is none, and without
 * locks for writing.  Partitions are opened when the first row goes there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/tupconvert.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "compat.h"
#include "executor/executor.h"
#include "import/guard.h"
#include "import/judge.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"

typedef struct Branch Branch;

/* A partition that rows have gone to: one of the two. */
typedef struct Part
{
	Branch	   *branch;
	Leaf	   *leaf;
} Part;

/* A partitioned table. */
struct Branch
{
	Relation	rel;
	PartitionKey key;
	PartitionDesc desc;
	List	   *expressions;	/* of ExprState *, of the key */
	AttrMap    *map;			/* of its attributes, those of the target; NULL: the same */
	TupleTableSlot *slot;		/* a row in its form, where map is needed */
	List	   *attnos;			/* of the key, in the target */
	bool		unknown;		/* nobody knows one of them yet */
	Part	   *parts;			/* for each partition, in the order of desc */
};

struct Routing
{
	PartitionDirectory directory;
	Branch	   *root;
};

/* Computing the key of a branch for a row, and the guard's argument. */
typedef struct BranchKey
{
	Constraints *c;
	Branch	   *branch;
	TupleTableSlot *slot;
	Datum	   *values;
	bool	   *nulls;
} BranchKey;

static Branch *open_branch(Constraints *c, Routing *routing, Relation rel);
static Part *open_part(Constraints *c, Branch *branch, int i);
static Leaf *leaf_for(Constraints *c, Relation rel);
static void form_key(void *arg);
static void close_branch(Branch *branch);

void
jobs_routing_open(Constraints *c)
{
	Routing    *routing = palloc0(sizeof(Routing));

	routing->directory = CreatePartitionDirectory(c->context, true);
	routing->root = open_branch(c, routing, c->target);
	c->routing = routing;
}

bool
jobs_routing_follows(Relation target, const Bitmapset *attnos)
{
	ListCell   *lc;
	bool		follows = false;

	foreach(lc, find_all_inheritors(RelationGetRelid(target), AccessShareLock, NULL))
	{
		Oid			table = lfirst_oid(lc);
		Bitmapset  *here = NULL;
		int			attno = -1;
		bool		in_expression;
		Relation	rel;

		if (get_rel_relkind(table) != RELKIND_PARTITIONED_TABLE)
			continue;
		while ((attno = bms_next_member(attnos, attno)) >= 0)
			here = bms_add_member(here, get_attnum(table, NameStr(TupleDescAttr(RelationGetDescr(target), attno - 1)->attname)) -
								  FirstLowInvalidHeapAttributeNumber);
		rel = table_open(table, NoLock);
		follows |= has_partition_attrs(rel, here, &in_expression);
		table_close(rel, NoLock);
	}
	return follows;
}

void
jobs_routing_close(Constraints *c)
{
	close_branch(c->routing->root);
	DestroyPartitionDirectory(c->routing->directory);
}

static void
close_branch(Branch *branch)
{
	for (int i = 0; i < branch->desc->nparts; i++)
	{
		Part	   *part = &branch->parts[i];

		if (part->branch)
		{
			Relation	rel = part->branch->rel;

			close_branch(part->branch);
			table_close(rel, NoLock);
		}
		if (part->leaf)
			table_close(part->leaf->rel, NoLock);
	}
	if (branch->slot)
		ExecDropSingleTupleTableSlot(branch->slot);
}

static Branch *
open_branch(Constraints *c, Routing *routing, Relation rel)
{
	Branch	   *branch = palloc0(sizeof(Branch));
	ListCell   *lc;

	branch->rel = rel;
	branch->key = RelationGetPartitionKey(rel);
	branch->desc = PartitionDirectoryLookup(routing->directory, rel);
	branch->parts = palloc0(Max(branch->desc->nparts, 1) * sizeof(Part));
	if (rel != c->target)
		branch->map = jobs_attrmap_if_req(RelationGetDescr(c->target), RelationGetDescr(rel));
	if (branch->map)
		branch->slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
	lc = list_head(branch->key->partexprs);
	for (int i = 0; i < branch->key->partnatts; i++)
	{
		Leaf		form = {.map = branch->map};

		if (branch->key->partattrs[i] != 0)
			branch->attnos = list_append_unique_int(branch->attnos,
													jobs_judge_root_attno(&form, branch->key->partattrs[i]));
		else
		{
			branch->attnos = list_union_int(branch->attnos, jobs_judge_used(&form, lfirst(lc)));
			branch->expressions = lappend(branch->expressions,
										  ExecPrepareExpr((Expr *) lfirst(lc), c->estate));
			lc = lnext(branch->key->partexprs, lc);
		}
	}
	foreach(lc, branch->attnos)
		branch->unknown |= bms_is_member(lfirst_int(lc), c->input->unknown) &&
			!bms_is_member(lfirst_int(lc), c->input->by_trigger);
	return branch;
}

static Part *
open_part(Constraints *c, Branch *branch, int i)
{
	Part	   *part = &branch->parts[i];
	MemoryContext old;
	Relation	rel;

	if (part->branch || part->leaf)
		return part;
	old = MemoryContextSwitchTo(c->context);
	rel = table_open(branch->desc->oids[i], AccessShareLock);
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		part->branch = open_branch(c, c->routing, rel);
	else
		part->leaf = leaf_for(c, rel);
	MemoryContextSwitchTo(old);
	return part;
}

/* A leaf is one, however it was come by. */
static Leaf *
leaf_for(Constraints *c, Relation rel)
{
	ListCell   *lc;

	foreach(lc, c->others)
	{
		Leaf	   *leaf = lfirst(lc);

		if (RelationGetRelid(leaf->rel) == RelationGetRelid(rel))
		{
			c->others = list_delete_cell(c->others, lc);
			table_close(rel, NoLock);
			return leaf;
		}
	}
	return jobs_judge_leaf(c, rel);
}

void
jobs_routing_send(Constraints *c, Judged *judged)
{
	Branch	   *branch = c->routing->root;

	for (;;)
	{
		Datum		values[PARTITION_MAX_KEYS];
		bool		nulls[PARTITION_MAX_KEYS];
		BranchKey	key = {c, branch, judged->whole, values, nulls};
		ErrorData  *error = NULL;
		Part	   *part;
		int			i;

		if (branch->unknown)
			return;
		if (branch->map)
			key.slot = execute_attr_map_slot(branch->map, judged->whole, branch->slot);
		if (branch->expressions)
			error = jobs_guard(form_key, &key);
		else
			form_key(&key);
		if (error)
		{
			jobs_judge_refuse(c, judged, "no_partition", branch->attnos,
							  psprintf("The partition cannot be found%s", jobs_judge_reason(c, judged, error)));
			return;
		}
		i = jobs_partition_of(branch->key, branch->desc, values, nulls);
		ResetExprContext(c->econtext);
		if (i < 0)
		{
			jobs_judge_refuse(c, judged, "no_partition", branch->attnos,
							  psprintf("No partition of \"%s\" for %s%s", RelationGetRelationName(branch->rel),
									   jobs_judge_names(c, branch->attnos),
									   jobs_judge_values(c, judged->row, branch->attnos)));
			return;
		}
		part = open_part(c, branch, i);
		if (part->leaf)
		{
			judged->leaf = part->leaf;
			return;
		}
		branch = part->branch;
	}
}

static void
form_key(void *arg)
{
	BranchKey  *key = arg;
	ListCell   *lc = list_head(key->branch->expressions);

	key->c->econtext->ecxt_scantuple = key->slot;
	for (int i = 0; i < key->branch->key->partnatts; i++)
	{
		if (key->branch->key->partattrs[i] != 0)
			key->values[i] = slot_getattr(key->slot, key->branch->key->partattrs[i], &key->nulls[i]);
		else
		{
			key->values[i] = ExecEvalExprSwitchContext(lfirst(lc), key->c->econtext, &key->nulls[i]);
			lc = lnext(key->branch->expressions, lc);
		}
	}
}

int
jobs_partition_of(PartitionKey key, PartitionDesc desc, Datum *values, bool *nulls)
{
	PartitionBoundInfo bounds = desc->boundinfo;
	int			found = -1;
	bool		equal = false;

	if (desc->nparts == 0)
		return -1;
	if (key->strategy == PARTITION_STRATEGY_HASH)
	{
		uint64		hash = compute_partition_hash_value(key->partnatts, key->partsupfunc, key->partcollation,
														values, nulls);

		return bounds->indexes[hash % bounds->nindexes];
	}
	if (key->strategy == PARTITION_STRATEGY_LIST)
	{
		if (nulls[0])
			found = partition_bound_accepts_nulls(bounds) ? bounds->null_index : -1;
		else
		{
			int			bound = partition_list_bsearch(key->partsupfunc, key->partcollation, bounds,
													   values[0], &equal);

			if (bound >= 0 && equal)
				found = bounds->indexes[bound];
		}
	}
	else
	{
		bool		has_null = false;

		for (int i = 0; i < key->partnatts; i++)
			has_null |= nulls[i];
		if (!has_null)
			found = bounds->indexes[1 + partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds,
																	  key->partnatts, values, &equal)];
	}
	return found >= 0 ? found : bounds->default_index;
}
