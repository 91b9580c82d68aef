/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  Rows of a file go into a table.
 *
 * All rows are one statement: BEFORE and AFTER STATEMENT triggers fire once, and
 * transition tables have all rows.  AFTER ROW triggers are queued only when a
 * row's group has succeeded, because what a subtransaction queues for a statement that
 * began before it would stay when it is rolled back.  Foreign keys are the exception: they
 * are checked at the end of a group, inside of its subtransaction, so that a row
 * whose key has gone meanwhile falls out like any other.  A row of the file that is
 * referred to stands before those that do so (foreign.c), and they fall out with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/genam.h"
#include "access/heapam.h"
#include "access/hio.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "compat.h"
#include "executor/execPartition.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "import/guard.h"
#include "import/insert.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_relation.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"

#define GROUP_ROWS		32768
#define GROUP_BYTES		(16 * 1024 * 1024)
#define ROWS_AT_ONCE	1000	/* for the table's access method */
#define FIRST_TRY		32		/* rows, once one has been refused */
#define MAX_SLOTS		(2 * GROUP_ROWS)	/* that are kept for the next group, of all tables */

/* A table that rows go to: the target, or a partition of it. */
typedef struct Leaf
{
	Oid			relid;			/* key of the hash table */
	int			no;
	ResultRelInfo *rri;
	ResultRelInfo *trigger_rri; /* what AFTER triggers fire with, the same or another */
	AttrMap    *map;			/* from the target's columns, or NULL */
	TupleDesc	desc;			/* a copy: pins on the same one cost the square of their number */
	TupleTableSlot **slots;
	int			nslots;
	int			used;			/* of them by the group */
	bool		before_row;		/* has triggers that may change a row */
	bool		after_row;		/* ... that fire later */
	bool		checks_keys;
	bool		checks_own;		/* ... that may be those of rows before */
	bool		keeps_pins;		/* has indexes that do from one row to the next */
	TriggerDesc *triggers;		/* its own */
	TriggerDesc *key_triggers;	/* the same, those that check keys only */
	TriggerDesc *other_triggers;
} Leaf;

typedef struct Pending
{
	Leaf	   *leaf;
	TupleTableSlot *slot;
	HeapTuple	original;		/* as it was before triggers, where there are some */
	RowId		id;
	CommandId	cid;			/* that has inserted it */
	bool		left_out;		/* by a trigger */
	List	   *recheck;		/* indexes whose uniqueness is checked later */
} Pending;

struct Inserter
{
	Relation	target;
	UndoRecord *undo;
	RowRefused	refused;
	void	   *arg;
	EState	   *estate;
	ResultRelInfo *root;
	ModifyTableState *mtstate;
	PartitionTupleRouting *routing;
	HTAB	   *leaves;
	int			nleaves;
	int			nslots;			/* of all of them */
	Leaf	   *last_leaf;
	bool		in_order;		/* triggers and keys must see the rows in the file's order */
	BulkInsertState bulk;
	Leaf	   *bulk_leaf;		/* whose buffer it may hold */

	Pending    *pending;
	int			npending;
	Size		bytes;
	MemoryContext group_context;
	MemoryContext context;
	int64		inserted;

	/* of one try */
	int			from;
	int			to;
	int			at;				/* the row at hand, -1 when the keys are checked */
	TransactionId xid;
};

static void start_statement(Inserter *in);
static Leaf *find_leaf(Inserter *in, TupleTableSlot *slot);
static Leaf *add_leaf(Inserter *in, ResultRelInfo *rri);
static void split_triggers(Inserter *in, Leaf *leaf);
static void insert_group(Inserter *in);
static bool try_rows(Inserter *in, int from, int to, ErrorData **error);
static void forget_pins(Inserter *in);
static void insert_rows(void *arg);
static void release_indexes(Leaf *leaf, bool pinned);
static void use_bulk_for(Inserter *in, Leaf *leaf);
static int	insert_many(Inserter *in, int i);
static void insert_one(Inserter *in, int i);
static void check_row(Inserter *in, Pending *p, bool partition);
static void check_keys(Inserter *in);
static void succeeded(Inserter *in);
static void drop_slots(Inserter *in);
static int	compare_pending(const void *a, const void *b);

bool
jobs_inserter_fits(Relation target)
{
	ListCell   *cell;

	if (check_enable_rls(RelationGetRelid(target), InvalidOid, true) == RLS_ENABLED)
		return false;
	if (target->rd_rel->relkind == RELKIND_RELATION)
		return true;
	if (target->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return false;
	foreach(cell, find_all_inheritors(RelationGetRelid(target), NoLock, NULL))
	{
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_FOREIGN_TABLE)
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------------
 * The statement
 * ------------------------------------------------------------------------
 */

Inserter *
jobs_inserter_open(Relation target, UndoRecord *undo, RowRefused refused, void *arg)
{
	Inserter   *in = palloc0(sizeof(Inserter));
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(Leaf), .hcxt = CurrentMemoryContext};

	in->target = target;
	in->undo = undo;
	in->refused = refused;
	in->arg = arg;
	in->context = CurrentMemoryContext;
	in->group_context = AllocSetContextCreate(CurrentMemoryContext, "jobs insert group", ALLOCSET_DEFAULT_SIZES);
	in->leaves = hash_create("jobs partitions", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	in->pending = palloc_extended(GROUP_ROWS * sizeof(Pending), MCXT_ALLOC_ZERO);
	in->bulk = GetBulkInsertState();
	start_statement(in);
	return in;
}

static void
start_statement(Inserter *in)
{
	ParseState *pstate = make_parsestate(NULL);
	ResultRelInfo *root = makeNode(ResultRelInfo);
	ModifyTableState *mtstate = makeNode(ModifyTableState);

	in->estate = CreateExecutorState();
	(void) addRangeTableEntryForRelation(pstate, in->target, RowExclusiveLock, NULL, false, false);
	jobs_ExecInitRangeTable(in->estate, pstate);
	ExecInitResultRelation(in->estate, root, 1);
	in->root = root;
	ExecOpenIndices(root, false);

	/* What the routing of partitions wants to know of a statement. */
	mtstate->ps.plan = NULL;
	mtstate->ps.state = in->estate;
	mtstate->operation = CMD_INSERT;
	mtstate->mt_nrels = 1;
	mtstate->resultRelInfo = root;
	mtstate->rootResultRelInfo = root;
	in->mtstate = mtstate;

	AfterTriggerBeginQuery();
	mtstate->mt_transition_capture = MakeTransitionCaptureState(in->target->trigdesc, RelationGetRelid(in->target),
															   CMD_INSERT);
	if (in->target->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		in->routing = ExecSetupPartitionTupleRouting(in->estate, in->target);
	ExecBSInsertTriggers(in->estate, root);
}

int64
jobs_inserter_close(Inserter *in)
{
	HASH_SEQ_STATUS status;
	Leaf	   *leaf;

	insert_group(in);
	FreeBulkInsertState(in->bulk);
	ExecASInsertTriggers(in->estate, in->root, in->mtstate->mt_transition_capture);
	AfterTriggerEndQuery(in->estate);

	drop_slots(in);
	hash_seq_init(&status, in->leaves);
	while ((leaf = hash_seq_search(&status)) != NULL)
		table_finish_bulk_insert(leaf->rri->ri_RelationDesc, 0);
	if (in->routing)
		ExecCleanupTupleRouting(in->mtstate, in->routing);
	ExecResetTupleTable(in->estate->es_tupleTable, false);
	ExecCloseResultRelations(in->estate);
	ExecCloseRangeTableRelations(in->estate);
	FreeExecutorState(in->estate);
	return in->inserted;
}

/* ------------------------------------------------------------------------
 * Tables
 * ------------------------------------------------------------------------
 */

/* Outside of a subtransaction, for what this opens has to outlast it. */
static Leaf *
find_leaf(Inserter *in, TupleTableSlot *slot)
{
	ResultRelInfo *rri = in->root;
	Oid			relid;
	Leaf	   *leaf;

	if (in->routing)
		rri = ExecFindPartition(in->mtstate, in->root, in->routing, slot, in->estate);
	if (in->last_leaf && in->last_leaf->rri == rri)
		return in->last_leaf;
	relid = RelationGetRelid(rri->ri_RelationDesc);
	leaf = hash_search(in->leaves, &relid, HASH_FIND, NULL);
	if (leaf == NULL)
		leaf = add_leaf(in, rri);
	in->last_leaf = leaf;
	return leaf;
}

static Leaf *
add_leaf(Inserter *in, ResultRelInfo *rri)
{
	Relation	rel = rri->ri_RelationDesc;
	Oid			relid = RelationGetRelid(rel);
	MemoryContext old = MemoryContextSwitchTo(in->context);
	Leaf	   *leaf = hash_search(in->leaves, &relid, HASH_ENTER, NULL);
	TupleConversionMap *map = rri == in->root ? NULL : jobs_root_to_child_map(rri, in->estate);

	/* One that was attached a moment ago. */
	if (rri->ri_FdwRoutine)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign table \"%s\" has become a partition after the preview", RelationGetRelationName(rel)),
				 errhint("Preview the file again.")));
	memset((char *) leaf + sizeof(Oid), 0, sizeof(Leaf) - sizeof(Oid));
	leaf->no = in->nleaves++;
	leaf->rri = rri;
	leaf->map = map ? map->attrMap : NULL;
	leaf->desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	leaf->nslots = 64;
	leaf->slots = palloc0(leaf->nslots * sizeof(TupleTableSlot *));
	leaf->triggers = rri->ri_TrigDesc;
	if (leaf->triggers)
	{
		leaf->before_row = leaf->triggers->trig_insert_before_row;
		split_triggers(in, leaf);
	}
	for (int i = 0; i < rri->ri_NumIndices; i++)
	{
		if (!jobs_keeps_pins(rri->ri_IndexRelationDescs[i]))
			continue;
		leaf->keeps_pins = true;
		rri->ri_IndexRelationInfo[i]->ii_Context = in->group_context;
	}
	/* What a subtransaction made would go with it. */
	leaf->trigger_rri = ExecGetTriggerResultRel(in->estate, relid, NULL);
	(void) ExecGetTriggerOldSlot(in->estate, leaf->trigger_rri);
	(void) ExecGetTriggerNewSlot(in->estate, leaf->trigger_rri);
	leaf->after_row |= in->mtstate->mt_transition_capture != NULL;
	in->in_order |= leaf->before_row || leaf->after_row || leaf->checks_own;
	MemoryContextSwitchTo(old);
	return leaf;
}

/* Disabled triggers keep their places, by which the executor finds what belongs to them. */
static void
split_triggers(Inserter *in, Leaf *leaf)
{
	leaf->key_triggers = CopyTriggerDesc(leaf->triggers);
	leaf->other_triggers = CopyTriggerDesc(leaf->triggers);
	for (int i = 0; i < leaf->triggers->numtriggers; i++)
	{
		Trigger    *t = &leaf->triggers->triggers[i];
		bool		foreign = RI_FKey_trigger_type(t->tgfoid) == RI_TRIGGER_FK;
		bool		key = t->tgisinternal && !t->tginitdeferred && (foreign || t->tgfoid == F_UNIQUE_KEY_RECHECK);

		if (key)
			leaf->other_triggers->triggers[i].tgenabled = TRIGGER_DISABLED;
		else
			leaf->key_triggers->triggers[i].tgenabled = TRIGGER_DISABLED;
		if (!TRIGGER_FOR_ROW(t->tgtype) || !TRIGGER_FOR_INSERT(t->tgtype) || !TRIGGER_FOR_AFTER(t->tgtype))
			continue;
		leaf->checks_keys |= key;
		leaf->checks_own |= key && foreign &&
			(t->tgconstrrelid == leaf->relid || t->tgconstrrelid == RelationGetRelid(in->target));
		leaf->after_row |= !key && t->tgfoid != F_UNIQUE_KEY_RECHECK;
	}
}

/* ------------------------------------------------------------------------
 * Groups of rows
 * ------------------------------------------------------------------------
 */

void
jobs_inserter_add(Inserter *in, RowId id, TupleTableSlot *slot)
{
	Leaf	   *leaf = find_leaf(in, slot);
	Pending    *p = &in->pending[in->npending++];
	TupleTableSlot *copy;

	if (leaf->used == leaf->nslots)
	{
		leaf->slots = repalloc(leaf->slots, 2 * leaf->nslots * sizeof(TupleTableSlot *));
		memset(leaf->slots + leaf->nslots, 0, leaf->nslots * sizeof(TupleTableSlot *));
		leaf->nslots *= 2;
	}
	if (leaf->slots[leaf->used] == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(in->context);

		leaf->slots[leaf->used] = MakeSingleTupleTableSlot(leaf->desc, table_slot_callbacks(leaf->rri->ri_RelationDesc));
		in->nslots++;
		MemoryContextSwitchTo(old);
	}
	copy = leaf->slots[leaf->used++];
	if (leaf->map)
	{
		execute_attr_map_slot(leaf->map, slot, copy);
		ExecMaterializeSlot(copy);
	}
	else
		ExecCopySlot(copy, slot);
	copy->tts_tableOid = leaf->relid;
	*p = (Pending) {.leaf = leaf, .slot = copy, .id = id};
	if (leaf->before_row)
	{
		MemoryContext old = MemoryContextSwitchTo(in->group_context);

		p->original = ExecCopySlotHeapTuple(copy);
		MemoryContextSwitchTo(old);
	}
	in->bytes += TTS_IS_BUFFERTUPLE(copy) ? ((HeapTupleTableSlot *) copy)->tuple->t_len : 1024;
	ResetPerTupleExprContext(in->estate);
	if (in->npending == GROUP_ROWS || in->bytes >= GROUP_BYTES)
		insert_group(in);
}

/*
 * A group without a bad row is one subtransaction.  After a row has been refused,
 * fewer rows are tried at a time, so that the next one costs less.
 */
static void
insert_group(Inserter *in)
{
	int			from = 0;
	int			limit = in->npending;
	HASH_SEQ_STATUS status;
	Leaf	   *leaf;

	if (in->nleaves > 1 && !in->in_order)
		qsort(in->pending, in->npending, sizeof(Pending), compare_pending);
	while (from < in->npending)
	{
		int			to = Min(from + limit, in->npending);
		ErrorData  *error;

		CHECK_FOR_INTERRUPTS();
		if (try_rows(in, from, to, &error))
		{
			from = to;
			limit = Min(2 * limit, GROUP_ROWS);
		}
		else if (to == from + 1)
		{
			in->refused(in->arg, in->pending[from++].id, error);
			limit = FIRST_TRY;
		}
		else if (in->at == from)
			limit = 1;
		else
			limit = in->at > from ? in->at - from : Max((to - from) / 4, 1);
	}

	for (int i = 0; i < in->npending; i++)
		ExecClearTuple(in->pending[i].slot);
	hash_seq_init(&status, in->leaves);
	while ((leaf = hash_seq_search(&status)) != NULL)
		leaf->used = 0;
	if (in->nslots > MAX_SLOTS)
		drop_slots(in);
	in->npending = 0;
	in->bytes = 0;
	MemoryContextReset(in->group_context);
}

/* A file in the order of many partitions would have those of a group in each. */
static void
drop_slots(Inserter *in)
{
	HASH_SEQ_STATUS status;
	Leaf	   *leaf;

	hash_seq_init(&status, in->leaves);
	while ((leaf = hash_seq_search(&status)) != NULL)
	{
		for (int i = 0; i < leaf->nslots && leaf->slots[i]; i++)
		{
			ExecDropSingleTupleTableSlot(leaf->slots[i]);
			leaf->slots[i] = NULL;
		}
	}
	in->nslots = 0;
}

/* By table, and in the file's order among those of one. */
static int
compare_pending(const void *a, const void *b)
{
	const Pending *x = a;
	const Pending *y = b;

	if (x->leaf != y->leaf)
		return x->leaf->no < y->leaf->no ? -1 : 1;
	return x->id.row_no < y->id.row_no ? -1 : 1;
}

static bool
try_rows(Inserter *in, int from, int to, ErrorData **error)
{
	MemoryContext old = MemoryContextSwitchTo(in->group_context);

	in->from = from;
	in->to = to;
	in->at = from;
	*error = jobs_guard(insert_rows, in);
	if (*error)
	{
		MemoryContextSwitchTo(in->context);
		forget_pins(in);
		MemoryContextSwitchTo(old);
		if (!jobs_is_row_error(*error))
			ReThrowError(*error);
		return false;
	}
	MemoryContextSwitchTo(old);
	succeeded(in);
	return true;
}

/* Buffers that were pinned in a subtransaction are not any more, once it is rolled back. */
static void
forget_pins(Inserter *in)
{
	HASH_SEQ_STATUS status;
	Leaf	   *leaf;

	in->bulk->current_buf = InvalidBuffer;
	FreeBulkInsertState(in->bulk);
	in->bulk = GetBulkInsertState();
	hash_seq_init(&status, in->leaves);
	while ((leaf = hash_seq_search(&status)) != NULL)
	{
		TupleTableSlot *slots[] = {leaf->trigger_rri->ri_TrigOldSlot, leaf->trigger_rri->ri_TrigNewSlot};

		if (leaf->keeps_pins)
			release_indexes(leaf, false);
		for (int i = 0; i < lengthof(slots); i++)
		{
			if (TTS_IS_BUFFERTUPLE(slots[i]))
				((BufferHeapTupleTableSlot *) slots[i])->buffer = InvalidBuffer;
			ExecClearTuple(slots[i]);
		}
	}
}

/* In the subtransaction. */
static void
insert_rows(void *arg)
{
	Inserter   *in = arg;
	bool		keys = false;
	int			i = in->from;

	in->xid = GetCurrentTransactionId();
	while (i < in->to)
	{
		keys |= in->pending[i].leaf->checks_keys;
		if (in->pending[i].leaf->before_row)
			insert_one(in, i++);
		else
			i = insert_many(in, i);
	}
	ReleaseBulkInsertStatePin(in->bulk);
	for (i = in->from; i < in->to; i++)
	{
		Leaf	   *leaf = in->pending[i].leaf;

		if (leaf->keeps_pins && (i == in->from || leaf != in->pending[i - 1].leaf))
			release_indexes(leaf, true);
	}
	in->at = -1;
	if (keys)
		check_keys(in);
}

/* What they keep for the next insert; pinned: the subtransaction that has done so still goes on. */
static void
release_indexes(Leaf *leaf, bool pinned)
{
	for (int i = 0; i < leaf->rri->ri_NumIndices; i++)
	{
		Relation	index = leaf->rri->ri_IndexRelationDescs[i];
		IndexInfo  *info = leaf->rri->ri_IndexRelationInfo[i];

		if (!jobs_keeps_pins(index))
			continue;
		if (pinned)
			jobs_index_insert_cleanup(index, info);
		info->ii_AmCache = NULL;
	}
}

/* The buffer of another table must not be taken for one of this. */
static void
use_bulk_for(Inserter *in, Leaf *leaf)
{
	if (in->bulk_leaf != leaf)
		ReleaseBulkInsertStatePin(in->bulk);
	in->bulk_leaf = leaf;
}

/* Neighbours of one table; returns the number of the next row. */
static int
insert_many(Inserter *in, int i)
{
	Leaf	   *leaf = in->pending[i].leaf;
	Relation	rel = leaf->rri->ri_RelationDesc;
	TupleTableSlot *slots[ROWS_AT_ONCE];
	CommandId	cid;
	int			n;

	for (n = 0; n < ROWS_AT_ONCE && i + n < in->to && in->pending[i + n].leaf == leaf; n++)
	{
		in->at = i + n;
		check_row(in, &in->pending[i + n], in->routing == NULL);
		slots[n] = in->pending[i + n].slot;
	}
	CHECK_FOR_INTERRUPTS();
	in->at = i;
	use_bulk_for(in, leaf);
	cid = GetCurrentCommandId(true);
	table_multi_insert(rel, slots, n, cid, 0, in->bulk);
	for (int j = 0; j < n; j++)
	{
		Pending    *p = &in->pending[i + j];

		in->at = i + j;
		p->cid = cid;
		p->left_out = false;
		p->recheck = NIL;
		if (leaf->rri->ri_NumIndices > 0)
			p->recheck = jobs_ExecInsertIndexTuples(leaf->rri, p->slot, in->estate);
		ResetPerTupleExprContext(in->estate);
	}
	return i + n;
}

/* One row whose triggers may change it or leave it out. */
static void
insert_one(Inserter *in, int i)
{
	Pending    *p = &in->pending[i];
	ResultRelInfo *rri = p->leaf->rri;

	CHECK_FOR_INTERRUPTS();
	in->at = i;
	p->recheck = NIL;
	ExecForceStoreHeapTuple(p->original, p->slot, false);
	p->slot->tts_tableOid = p->leaf->relid;
	p->left_out = !ExecBRInsertTriggers(in->estate, rri, p->slot);
	if (!p->left_out)
	{
		check_row(in, p, true);
		use_bulk_for(in, p->leaf);
		p->cid = GetCurrentCommandId(true);
		table_tuple_insert(rri->ri_RelationDesc, p->slot, p->cid, 0, in->bulk);
		if (rri->ri_NumIndices > 0)
			p->recheck = jobs_ExecInsertIndexTuples(rri, p->slot, in->estate);
	}
	ResetPerTupleExprContext(in->estate);
}

/* A row that came by the routing fits its partition, unless a trigger has changed it. */
static void
check_row(Inserter *in, Pending *p, bool partition)
{
	ResultRelInfo *rri = p->leaf->rri;
	Relation	rel = rri->ri_RelationDesc;

	if (rel->rd_att->constr && rel->rd_att->constr->has_generated_stored)
		ExecComputeStoredGenerated(rri, in->estate, p->slot, CMD_INSERT);
	if (rel->rd_att->constr)
		ExecConstraints(rri, p->slot, in->estate);
	if (partition && rel->rd_rel->relispartition)
		ExecPartitionCheck(rri, p->slot, in->estate, true);
	ResetPerTupleExprContext(in->estate);
}

/* ------------------------------------------------------------------------
 * Triggers after rows
 * ------------------------------------------------------------------------
 */

static void
check_keys(Inserter *in)
{
	AfterTriggerBeginQuery();
	for (int i = in->from; i < in->to; i++)
	{
		Pending    *p = &in->pending[i];

		if (p->left_out || !p->leaf->checks_keys)
			continue;
		p->leaf->rri->ri_TrigDesc = p->leaf->key_triggers;
		ExecARInsertTriggers(in->estate, p->leaf->rri, p->slot, p->recheck, NULL);
		p->leaf->rri->ri_TrigDesc = p->leaf->triggers;
	}
	AfterTriggerEndQuery(in->estate);
}

/* The subtransaction has ended well; a row whose transaction id is known can be undone. */
static void
succeeded(Inserter *in)
{
	for (int i = in->from; i < in->to; i++)
	{
		Pending    *p = &in->pending[i];

		if (p->left_out)
		{
			in->refused(in->arg, p->id, NULL);
			continue;
		}
		in->inserted++;
		if (in->undo)
			jobs_undo_inserted(in->undo, p->leaf->rri->ri_RelationDesc, in->xid, p->cid, &p->slot->tts_tid);
		if (!p->leaf->after_row && p->recheck == NIL)
			continue;
		p->leaf->rri->ri_TrigDesc = p->leaf->other_triggers;
		ExecARInsertTriggers(in->estate, p->leaf->rri, p->slot, p->recheck, in->mtstate->mt_transition_capture);
		p->leaf->rri->ri_TrigDesc = p->leaf->triggers;
		ResetPerTupleExprContext(in->estate);
	}
}
