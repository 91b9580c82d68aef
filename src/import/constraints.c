/*-------------------------------------------------------------------------
 *
 * constraints.c
 *	  What would make the target refuse rows, found without writing to it.
 *
 * A batch goes through four steps.  Each row is sent to its table (partition.c).
 * Expressions of the user, CHECKs for instance, and keys, which may be expressions
 * too, are evaluated in a guard.  Keys are looked up, all of one index at a time.
 * And at last, row by row in the file's order, a row meets the keys of those
 * before it and takes its own, unless it is refused.
 *
 * A constraint of a partitioned table is also one of its partitions, so what
 * counts for a row is only the table where it ends.  Of tables that inherit from the
 * target, only options.unique knows: their rows may be updated, and stay there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/tupconvert.h"
#include "catalog/pg_class.h"
#include "compat.h"
#include "executor/executor.h"
#include "import/guard.h"
#include "import/judge.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/snapmgr.h"

/* All sets of keys, in memory; or maintenance_work_mem, where that is less. */
#define KEYS_MEMORY		(64 * 1024 * 1024)

/* Where evaluating the steps of a batch has got to. */
typedef struct Evaluation
{
	Constraints *c;
	bool		keys_only;		/* with their errors left for later */
	int			row;
	int			step;
} Evaluation;

typedef struct Check
{
	const char *name;
	ExprState  *state;
	List	   *attnos;			/* of the target, that it uses */
} Check;

/* A generated column that is not stored and must have a value. */
typedef struct VirtualNotNull
{
	AttrNumber	attno;			/* of the target */
	List	   *used;			/* the same, of what it is generated from */
	ExprState  *state;
} VirtualNotNull;

static AttrMap *leaf_map(Constraints *c, Relation rel);
static void open_not_nulls(Constraints *c, Leaf *leaf);
static void open_virtual_not_null(Constraints *c, Leaf *leaf, Form_pg_attribute att);
static void open_checks(Constraints *c, Leaf *leaf);
static void open_bounds(Constraints *c, Leaf *leaf);
static void begin_batch(Constraints *c, CheckedRow **rows, int n);
static void begin_keys(Constraints *c);
static void trim_slots(Leaf *leaf);
static void settle(Constraints *c, Judged *judged);
static TupleTableSlot *leaf_slot(Constraints *c, Leaf *leaf);
static void check_not_nulls(Constraints *c, Judged *judged);
static void evaluate(Constraints *c, bool keys_only);
static void evaluate_steps(void *arg);
static void step_failed(Evaluation *at, ErrorData *error);
static void run_virtual_not_null(Constraints *c, Judged *judged, Step *step);
static bool knows_all(Judged *judged, List *attnos);
static void run_check(Constraints *c, Judged *judged, Step *step);
static void run_bounds(Constraints *c, Judged *judged, Step *step);

Constraints *
jobs_constraints_open(Relation target, const ConstraintInput *input)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "jobs constraints", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Constraints *c = palloc0(sizeof(Constraints));

	c->target = target;
	c->input = input;
	c->context = context;
	c->batch = AllocSetContextCreate(context, "jobs constraints batch", ALLOCSET_DEFAULT_SIZES);
	c->memory.limit = Min(KEYS_MEMORY, maintenance_work_mem * (Size) 1024);
	c->snapshot = RegisterSnapshot(GetActiveSnapshot());
	c->estate = CreateExecutorState();
	c->estate->es_snapshot = c->snapshot;
	c->econtext = GetPerTupleExprContext(c->estate);
	for (int i = 0; i < input->ncolumns; i++)
		c->filled = bms_add_member(c->filled, input->columns[i]);
	if (input->on_conflict == CONFLICT_UPDATE)
		jobs_merging_open(c);
	jobs_policy_open(c);
	if (input->unique != NIL)
		jobs_own_key_open(c);
	if (target->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		jobs_routing_open(c);
	else
		jobs_judge_leaf(c, target);
	MemoryContextSwitchTo(old);
	return c;
}

void
jobs_constraints_close(Constraints *c)
{
	ListCell   *lc;

	jobs_keys_close(c);
	if (c->own_key)
		jobs_own_key_close(c);
	if (c->merging)
		jobs_merging_close(c);
	foreach(lc, c->leaves)
		jobs_exclusions_close(lfirst(lc));
	jobs_referenced_close(c);
	if (c->routing)
		jobs_routing_close(c);
	foreach(lc, c->others)
		table_close(((Leaf *) lfirst(lc))->rel, NoLock);
	foreach(lc, c->leaves)
	{
		Leaf	   *leaf = lfirst(lc);

		for (int i = 0; i < leaf->nslots; i++)
			ExecDropSingleTupleTableSlot(leaf->slots[i]);
	}
	FreeExecutorState(c->estate);
	UnregisterSnapshot(c->snapshot);
	MemoryContextDelete(c->context);
}

Leaf *
jobs_judge_leaf(Constraints *c, Relation rel)
{
	MemoryContext old = MemoryContextSwitchTo(c->context);
	Leaf	   *leaf = palloc0(sizeof(Leaf));

	leaf->rel = rel;
	if (rel != c->target)
		leaf->map = leaf_map(c, rel);
	for (AttrNumber i = 1; i <= RelationGetNumberOfAttributes(rel); i++)
	{
		AttrNumber	root = jobs_judge_root_attno(leaf, i);

		if (root == 0 ? !TupleDescAttr(RelationGetDescr(rel), i - 1)->attisdropped : bms_is_member(root, c->input->unknown))
			leaf->unknown = bms_add_member(leaf->unknown, i);
	}
	c->leaves = lappend(c->leaves, leaf);

	/* Of views and foreign tables, PostgreSQL checks nothing. */
	if (RELKIND_HAS_TABLE_AM(rel->rd_rel->relkind))
	{
		jobs_keys_open(c, leaf);
		jobs_policy_step(c, leaf);
		open_not_nulls(c, leaf);
		open_checks(c, leaf);
		open_bounds(c, leaf);
		jobs_foreign_open(c, leaf);
	}
	MemoryContextSwitchTo(old);
	return leaf;
}

/* From the target's attributes.  A child may have more of them, a partition not. */
static AttrMap *
leaf_map(Constraints *c, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	AttrMap    *map;

	if (rel->rd_rel->relispartition)
		return jobs_attrmap_if_req(RelationGetDescr(c->target), desc);
	map = make_attrmap(desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			map->attnums[i] = get_attnum(RelationGetRelid(c->target), NameStr(TupleDescAttr(desc, i)->attname));
	}
	return map;
}

Leaf *
jobs_judge_leaf_of(Constraints *c, Oid table)
{
	MemoryContext old;
	ListCell   *lc;
	Leaf	   *leaf;

	foreach(lc, c->leaves)
	{
		leaf = lfirst(lc);
		if (RelationGetRelid(leaf->rel) == table)
			return leaf;
	}
	old = MemoryContextSwitchTo(c->context);
	leaf = jobs_judge_leaf(c, table_open(table, AccessShareLock));
	c->others = lappend(c->others, leaf);
	MemoryContextSwitchTo(old);
	return leaf;
}

void
jobs_judge_step(Leaf *leaf, void (*run) (Constraints *, Judged *, Step *),
				const char *code, const char *what, void *of)
{
	Step	   *step = palloc0(sizeof(Step));

	step->run = run;
	step->code = code;
	step->what = what;
	step->of = of;
	leaf->steps = lappend(leaf->steps, step);
}

AttrNumber
jobs_judge_root_attno(const Leaf *leaf, AttrNumber attno)
{
	return leaf->map ? leaf->map->attnums[attno - 1] : attno;
}

/* A system column or the whole row counts as every attribute. */
bool
jobs_judge_unknown(const Leaf *leaf, Node *expression)
{
	Bitmapset  *used = NULL;
	int			member = -1;

	if (leaf->unknown == NULL)
		return false;
	pull_varattnos(expression, 1, &used);
	while ((member = bms_next_member(used, member)) >= 0)
	{
		AttrNumber	attno = member + FirstLowInvalidHeapAttributeNumber;

		if (attno <= 0 || bms_is_member(attno, leaf->unknown))
			return true;
	}
	return false;
}

List *
jobs_judge_used(const Leaf *leaf, Node *expression)
{
	Bitmapset  *used = NULL;
	List	   *attnos = NIL;
	int			member = -1;

	pull_varattnos(expression, 1, &used);
	while ((member = bms_next_member(used, member)) >= 0)
	{
		AttrNumber	attno = member + FirstLowInvalidHeapAttributeNumber;

		if (attno > 0)
			attnos = lappend_int(attnos, jobs_judge_root_attno(leaf, attno));
	}
	return attnos;
}

static void
open_not_nulls(Constraints *c, Leaf *leaf)
{
	TupleDesc	desc = RelationGetDescr(leaf->rel);

	leaf->not_nulls = palloc(desc->natts * sizeof(AttrNumber));
	for (AttrNumber attno = 1; attno <= desc->natts; attno++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, attno - 1);

		if (!att->attnotnull || att->attisdropped)
			continue;
		if (jobs_is_virtual(att))
			open_virtual_not_null(c, leaf, att);
		else if (!bms_is_member(attno, leaf->unknown))
			leaf->not_nulls[leaf->nnot_nulls++] = attno;
	}
}

/* A row has no value of such a column: its expression stands for it. */
static void
open_virtual_not_null(Constraints *c, Leaf *leaf, Form_pg_attribute att)
{
	Var		   *var = makeVar(1, att->attnum, att->atttypid, att->atttypmod, att->attcollation, 0);
	Node	   *expression = jobs_expand_generated((Node *) var, leaf->rel);
	VirtualNotNull *column;

	if (jobs_judge_unknown(leaf, expression))
		return;
	column = palloc0(sizeof(VirtualNotNull));
	column->attno = jobs_judge_root_attno(leaf, att->attnum);
	column->used = jobs_judge_used(leaf, expression);
	column->state = ExecPrepareExpr((Expr *) expression, c->estate);
	jobs_judge_step(leaf, run_virtual_not_null, "missing_required",
					psprintf("Column \"%s\"", NameStr(att->attname)), column);
}

static void
open_checks(Constraints *c, Leaf *leaf)
{
	TupleConstr *constr = RelationGetDescr(leaf->rel)->constr;

	for (int i = 0; constr && i < constr->num_check; i++)
	{
		Check	   *check;
		Node	   *expression;

		if (!jobs_check_is_enforced(&constr->check[i]))
			continue;
		expression = jobs_expand_generated(stringToNode(constr->check[i].ccbin), leaf->rel);
		if (jobs_judge_unknown(leaf, expression))
			continue;
		check = palloc0(sizeof(Check));
		check->name = pstrdup(constr->check[i].ccname);
		check->attnos = jobs_judge_used(leaf, expression);
		check->state = ExecPrepareCheck(make_ands_implicit((Expr *) expression), c->estate);
		jobs_judge_step(leaf, run_check, "check_violation", psprintf("Check \"%s\"", check->name), check);
	}
}

/* A partition that is itself the target takes only rows within its bounds. */
static void
open_bounds(Constraints *c, Leaf *leaf)
{
	List	   *bounds;

	if (!c->target->rd_rel->relispartition)
		return;
	bounds = RelationGetPartitionQual(leaf->rel);
	if (bounds != NIL && !jobs_judge_unknown(leaf, (Node *) bounds))
		jobs_judge_step(leaf, run_bounds, "no_partition", "Bounds of the partition",
						ExecPrepareCheck(bounds, c->estate));
}

void
jobs_constraints_check(Constraints *c, CheckedRow **rows, int n)
{
	MemoryContext old;
	ListCell   *lc;

	MemoryContextReset(c->batch);
	old = MemoryContextSwitchTo(c->batch);
	begin_batch(c, rows, n);
	for (int i = 0; i < n; i++)
		jobs_judge_send(c, &c->rows[i]);
	if (c->merging)
	{
		/* Which rows there are is known by their keys, and then what they become. */
		evaluate(c, true);
		foreach(lc, c->leaves)
			jobs_keys_look_up(c, lfirst(lc), false);
		jobs_merging_merge(c);
		begin_keys(c);
	}
	for (int i = 0; i < n; i++)
	{
		if (c->rows[i].leaf)
			check_not_nulls(c, &c->rows[i]);
	}
	evaluate(c, false);
	foreach(lc, c->leaves)
	{
		jobs_keys_look_up(c, lfirst(lc), c->merging != NULL);
		jobs_foreign_look_up(c, lfirst(lc));
		jobs_exclusions_look_up(c, lfirst(lc));
	}
	for (int i = 0; i < n; i++)
	{
		if (c->rows[i].leaf)
			settle(c, &c->rows[i]);
	}
	MemoryContextSwitchTo(old);
}

/* A row meets those before it, and takes its place among them. */
static void
settle(Constraints *c, Judged *judged)
{
	jobs_keys_met(c, judged);
	jobs_foreign_met(c, judged);
	jobs_exclusions_met(c, judged);
	if (judged->update)
		jobs_merging_met(c, judged);
	if (judged->refused)
		return;
	jobs_keys_take(c, judged);
	jobs_exclusions_take(c, judged);
	if (judged->update)
		jobs_merging_take(c, judged);
}

static void
begin_batch(Constraints *c, CheckedRow **rows, int n)
{
	ListCell   *lc;

	if (n > c->rows_size)
	{
		if (c->rows)
			pfree(c->rows);
		c->rows_size = n;
		c->rows = MemoryContextAlloc(c->context, n * sizeof(Judged));
	}
	c->nrows = n;
	for (int i = 0; i < n; i++)
	{
		c->rows[i].row = rows[i];
		c->rows[i].leaf = NULL;
		c->rows[i].whole = rows[i]->slot;
		c->rows[i].update = false;
		c->rows[i].old = NULL;
		c->rows[i].refused = false;
	}
	foreach(lc, c->leaves)
		trim_slots(lfirst(lc));
	begin_keys(c);
}

static void
begin_keys(Constraints *c)
{
	ListCell   *lc;

	foreach(lc, c->leaves)
	{
		jobs_keys_begin_batch(lfirst(lc));
		jobs_foreign_begin_batch(lfirst(lc));
		jobs_exclusions_begin_batch(lfirst(lc));
	}
}

void
jobs_judge_send(Constraints *c, Judged *judged)
{
	slot_getallattrs(judged->whole);
	judged->leaf = NULL;
	judged->slot = judged->whole;
	if (c->routing)
		jobs_routing_send(c, judged);
	else
		judged->leaf = judged->update ? jobs_judge_leaf_of(c, judged->row->existing_rel) : linitial(c->leaves);
	if (judged->leaf && judged->leaf->map)
		judged->slot = execute_attr_map_slot(judged->leaf->map, judged->whole, leaf_slot(c, judged->leaf));
	if (judged->leaf)
		judged->slot->tts_tableOid = RelationGetRelid(judged->leaf->rel);
}

/* Partitions may get their rows one after the other: what the last batch did not need goes. */
static void
trim_slots(Leaf *leaf)
{
	while (leaf->nslots > 2 * leaf->nused)
		ExecDropSingleTupleTableSlot(leaf->slots[--leaf->nslots]);
	leaf->nused = 0;
}

/* One that no other row of the batch has. */
static TupleTableSlot *
leaf_slot(Constraints *c, Leaf *leaf)
{
	MemoryContext old = MemoryContextSwitchTo(c->context);

	if (leaf->nused == leaf->nslots)
	{
		int			n = Max(16, 2 * leaf->nslots);

		leaf->slots = leaf->slots ? repalloc(leaf->slots, n * sizeof(TupleTableSlot *)) :
			palloc(n * sizeof(TupleTableSlot *));
		while (leaf->nslots < n)
			leaf->slots[leaf->nslots++] = MakeSingleTupleTableSlot(RelationGetDescr(leaf->rel), &TTSOpsVirtual);
	}
	MemoryContextSwitchTo(old);
	return leaf->slots[leaf->nused++];
}

static void
check_not_nulls(Constraints *c, Judged *judged)
{
	Leaf	   *leaf = judged->leaf;

	for (int i = 0; i < leaf->nnot_nulls; i++)
	{
		AttrNumber	attno = jobs_judge_root_attno(leaf, leaf->not_nulls[i]);

		if (judged->slot->tts_isnull[leaf->not_nulls[i] - 1] && !bms_is_member(attno, judged->row->unknown))
		{
			jobs_judge_refuse(c, judged, "missing_required", list_make1_int(attno),
							  psprintf("Missing required field \"%s\"", jobs_judge_name(c, attno)));
		}
	}
}

/* The steps of all rows, in as many guards as there are errors. */
static void
evaluate(Constraints *c, bool keys_only)
{
	Evaluation	at = {.c = c,.keys_only = keys_only};
	ErrorData  *error;

	while ((error = jobs_guard(evaluate_steps, &at)) != NULL)
	{
		jobs_policy_forget(c);
		if (at.row == c->nrows)
			ReThrowError(error);
		step_failed(&at, error);
		at.step++;
	}
}

static void
evaluate_steps(void *arg)
{
	Evaluation *at = arg;
	Constraints *c = at->c;

	for (; at->row < c->nrows; at->row++)
	{
		Judged	   *judged = &c->rows[at->row];

		CHECK_FOR_INTERRUPTS();
		if (judged->leaf)
		{
			int			nsteps = at->keys_only ? judged->leaf->nkey_steps : list_length(judged->leaf->steps);

			c->econtext->ecxt_scantuple = judged->slot;
			for (; at->step < nsteps; at->step++)
			{
				Step	   *step = list_nth(judged->leaf->steps, at->step);

				step->run(c, judged, step);
			}
			ResetExprContext(c->econtext);
		}
		at->step = 0;
	}
	jobs_policy_end(c);
}

static void
step_failed(Evaluation *at, ErrorData *error)
{
	Judged	   *judged = &at->c->rows[at->row];
	Step	   *step = list_nth(judged->leaf->steps, at->step);

	/* A preview is read-only.  What needs to write is left to the import. */
	if (!at->keys_only && error->sqlerrcode != ERRCODE_READ_ONLY_SQL_TRANSACTION)
		jobs_judge_refuse(at->c, judged, step->code, NIL,
						  psprintf("%s failed%s", step->what, jobs_judge_reason(at->c, judged, error)));
}

static void
run_virtual_not_null(Constraints *c, Judged *judged, Step *step)
{
	VirtualNotNull *column = step->of;
	bool		isnull;

	if (!knows_all(judged, column->used))
		return;
	(void) ExecEvalExprSwitchContext(column->state, c->econtext, &isnull);
	if (isnull)
		jobs_judge_refuse(c, judged, step->code, list_make1_int(column->attno),
						  psprintf("Missing required field \"%s\"", jobs_judge_name(c, column->attno)));
}

/* Values that only the import will know are left to it. */
static bool
knows_all(Judged *judged, List *attnos)
{
	ListCell   *lc;

	foreach(lc, attnos)
	{
		if (bms_is_member(lfirst_int(lc), judged->row->unknown))
			return false;
	}
	return true;
}

static void
run_check(Constraints *c, Judged *judged, Step *step)
{
	Check	   *check = step->of;
	char	   *message;

	if (!knows_all(judged, check->attnos) || ExecCheck(check->state, c->econtext))
		return;
	if (list_length(check->attnos) == 1)
		message = psprintf("%s%s violates check \"%s\"",
						   jobs_judge_sentence(jobs_judge_name(c, linitial_int(check->attnos))),
						   jobs_judge_values(c, judged->row, check->attnos), check->name);
	else
		message = psprintf("Row violates check \"%s\"", check->name);
	jobs_judge_refuse(c, judged, step->code, check->attnos, message);
}

static void
run_bounds(Constraints *c, Judged *judged, Step *step)
{
	if (!ExecCheck(step->of, c->econtext))
		jobs_judge_refuse(c, judged, step->code, NIL,
						  psprintf("Row is not within the bounds of partition \"%s\"",
								   RelationGetRelationName(c->target)));
}
