/*-------------------------------------------------------------------------
 *
 * encode.c
 *	  A plan node that encodes the rows of the plan below it.
 *
 * With batches, rows are put together until they are as many bytes as a chunk.
 * The rows then come from a sequential scan, and batches are merged by the place
 * of their first row.  That keeps the order of the table: a parallel scan hands
 * out runs of blocks in ascending order, so a batch that covers blocks without
 * a gap has no other process's rows between its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "encode.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "storage/itemptr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#define BATCH_BYTES		(128 * 1024)
#define KEEP_BYTES		(1024 * 1024)	/* a larger buffer is not kept */

/* Not the id of any other node. */
#define ENCODE_NODE_ID	1000000

typedef struct EncodeState
{
	CustomScanState css;
	const JobsFormat *format;
	bool		batches;
	List	   *keys;
	void	   *encoder;
	TupleTableSlot *row;		/* the columns that are written */
	int		   *columns;		/* ... and where they are in the plan's rows */
	MemoryContext context;		/* of the encoder */
	bytea	   *buffer;
	Size		used;			/* without header */
	Size		size;
	int64		nrows;			/* in the buffer */
	ItemPointerData first;		/* of the batch */
	BlockNumber last_block;
	TupleTableSlot *held;		/* a row that belongs to the next batch */
} EncodeState;

static Node *create_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *next_output(CustomScanState *node);
static TupleTableSlot *next_batch(EncodeState *state);
static TupleTableSlot *next_row(EncodeState *state);
static void encode_row(EncodeState *state, TupleTableSlot *slot);
static void append(void *arg, const char *data, Size len);
static TupleTableSlot *emit(EncodeState *state);
static void clear(EncodeState *state);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);

static const CustomScanMethods scan_methods = {
	.CustomName = "JobsEncode",
	.CreateCustomScanState = create_state
};

static const CustomExecMethods exec_methods = {
	.CustomName = "JobsEncode",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = next_output,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan
};

void
jobs_encode_init(void)
{
	RegisterCustomScanMethods(&scan_methods);
}

/* ------------------------------------------------------------------------
 * The plan
 * ------------------------------------------------------------------------
 */

/* Types of the node's columns, as a list of Const. */
static List *
output_types(const JobsEncode *encode, Plan *child)
{
	List	   *types = list_make2(makeNullConst(BYTEAOID, -1, InvalidOid), makeNullConst(INT8OID, -1, InvalidOid));
	ListCell   *cell;

	foreach(cell, encode->keys)
	{
		Node	   *expr = (Node *) list_nth_node(TargetEntry, child->targetlist, lfirst_int(cell) - 1)->expr;

		types = lappend(types, makeNullConst(exprType(expr), exprTypmod(expr), exprCollation(expr)));
	}
	return types;
}

List *
jobs_encode_targetlist(const JobsEncode *encode, Plan *child, int varno)
{
	List	   *targetlist = NIL;
	ListCell   *cell;
	int			n = 0;

	foreach(cell, output_types(encode, child))
	{
		Const	   *type = lfirst_node(Const, cell);

		n++;
		targetlist = lappend(targetlist,
							 makeTargetEntry((Expr *) makeVar(varno, n, type->consttype, type->consttypmod,
															  type->constcollid, 0),
											 n, NULL, false));
	}
	return targetlist;
}

Plan *
jobs_encode_plan(const JobsEncode *encode, Plan *child)
{
	CustomScan *scan = makeNode(CustomScan);
	ListCell   *cell;
	int			n = 0;

	scan->scan.plan.startup_cost = child->startup_cost;
	scan->scan.plan.total_cost = child->total_cost;
	scan->scan.plan.plan_rows = child->plan_rows;
	scan->scan.plan.plan_width = child->plan_width;
	scan->scan.plan.parallel_safe = true;
	scan->scan.plan.plan_node_id = ENCODE_NODE_ID;
	scan->scan.plan.extParam = bms_copy(child->extParam);
	scan->scan.plan.allParam = bms_copy(child->allParam);
	scan->scan.plan.targetlist = jobs_encode_targetlist(encode, child, INDEX_VAR);
	foreach(cell, output_types(encode, child))
		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist,
										  makeTargetEntry(lfirst(cell), ++n, NULL, false));
	scan->custom_plans = list_make1(child);
	scan->custom_private = list_make5(makeString(pstrdup(encode->format)),
									  makeString(pstrdup(encode->options)),
									  list_make1_int(encode->batches),
									  encode->columns, encode->names);
	scan->custom_private = lappend(scan->custom_private, encode->keys);
	scan->methods = &scan_methods;
	return &scan->scan.plan;
}

/* ------------------------------------------------------------------------
 * Its execution
 * ------------------------------------------------------------------------
 */

static Node *
create_state(CustomScan *scan)
{
	EncodeState *state = palloc0(sizeof(EncodeState));

	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &exec_methods;
	return (Node *) state;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	EncodeState *state = (EncodeState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	PlanState  *child = ExecInitNode(linitial(scan->custom_plans), estate, eflags);
	List	   *private = scan->custom_private;
	List	   *columns = list_nth(private, 3);
	List	   *names = list_nth(private, 4);
	TupleDesc	from = ExecGetResultType(child);
	TupleDesc	desc = CreateTemplateTupleDesc(list_length(columns));
	MemoryContext old;
	Jsonb	   *options;
	int			n = 0;
	ListCell   *column;
	ListCell   *name;

	node->custom_ps = list_make1(child);
	state->format = jobs_format(strVal(linitial(private)));
	state->batches = linitial_int(list_nth(private, 2)) != 0;
	state->keys = list_nth(private, 5);
	state->columns = palloc(list_length(columns) * sizeof(int));
	forboth(column, columns, name, names)
	{
		Form_pg_attribute attr = TupleDescAttr(from, lfirst_int(column) - 1);

		state->columns[n++] = lfirst_int(column) - 1;
		TupleDescInitEntry(desc, n, strVal(lfirst(name)), attr->atttypid, attr->atttypmod, 0);
		TupleDescInitEntryCollation(desc, n, attr->attcollation);
	}
	state->row = ExecInitExtraTupleSlot(estate, desc, &TTSOpsVirtual);
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	state->context = AllocSetContextCreate(CurrentMemoryContext, "jobs encode", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(state->context);
	options = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(strVal(lsecond(private)))));
	state->encoder = state->format->begin(state->format->options(options), desc, NULL, append, state);
	MemoryContextSwitchTo(old);
}

static TupleTableSlot *
next_output(CustomScanState *node)
{
	EncodeState *state = (EncodeState *) node;

	clear(state);
	return state->batches ? next_batch(state) : next_row(state);
}

static TupleTableSlot *
next_batch(EncodeState *state)
{
	PlanState  *child = linitial(state->css.custom_ps);
	int			tid_column = linitial_int(state->keys);

	for (;;)
	{
		TupleTableSlot *slot = state->held;
		bool		isnull;
		ItemPointer tid;
		BlockNumber block;

		CHECK_FOR_INTERRUPTS();
		if (slot == NULL)
			slot = ExecProcNode(child);
		state->held = NULL;
		if (TupIsNull(slot))
			break;
		tid = (ItemPointer) DatumGetPointer(slot_getattr(slot, tid_column, &isnull));
		block = ItemPointerGetBlockNumber(tid);
		if (state->nrows == 0)
			state->first = *tid;
		else if (block > state->last_block + 1)
		{
			state->held = slot;
			break;
		}
		state->last_block = block;
		encode_row(state, slot);
		if (state->used >= BATCH_BYTES)
			break;
	}
	if (state->nrows == 0)
		return NULL;
	state->format->flush(state->encoder);
	return emit(state);
}

static TupleTableSlot *
next_row(EncodeState *state)
{
	TupleTableSlot *slot = ExecProcNode(linitial(state->css.custom_ps));
	TupleTableSlot *output;
	ListCell   *cell;
	int			n = JOBS_ENCODE_KEYS;

	if (TupIsNull(slot))
		return NULL;
	encode_row(state, slot);
	state->format->flush(state->encoder);
	output = emit(state);
	/* They stay where they are until the next call. */
	foreach(cell, state->keys)
	{
		output->tts_values[n - 1] = slot_getattr(slot, lfirst_int(cell), &output->tts_isnull[n - 1]);
		n++;
	}
	return output;
}

static void
encode_row(EncodeState *state, TupleTableSlot *slot)
{
	TupleTableSlot *row = state->row;

	slot_getallattrs(slot);
	ExecClearTuple(row);
	for (int i = 0; i < row->tts_tupleDescriptor->natts; i++)
	{
		row->tts_values[i] = slot->tts_values[state->columns[i]];
		row->tts_isnull[i] = slot->tts_isnull[state->columns[i]];
	}
	ExecStoreVirtualTuple(row);
	state->format->row(state->encoder, row);
	state->nrows++;
}

/* The encoder's sink. */
static void
append(void *arg, const char *data, Size len)
{
	EncodeState *state = arg;
	Size		needed = VARHDRSZ + state->used + len;

	if (needed > state->size)
	{
		Size		size = Max(state->size * 2, VARHDRSZ + BATCH_BYTES + KEEP_BYTES / 8);

		while (size < needed)
			size *= 2;
		/* Raises an error for a line of more than a gigabyte. */
		size = Min(size, Max(needed, MaxAllocSize));
		if (state->buffer == NULL)
			state->buffer = MemoryContextAlloc(state->context, size);
		else
			state->buffer = repalloc(state->buffer, size);
		state->size = size;
	}
	memcpy(VARDATA(state->buffer) + state->used, data, len);
	state->used += len;
}

static TupleTableSlot *
emit(EncodeState *state)
{
	TupleTableSlot *output = state->css.ss.ss_ScanTupleSlot;

	ExecClearTuple(output);
	SET_VARSIZE(state->buffer, VARHDRSZ + state->used);
	memset(output->tts_isnull, false, output->tts_tupleDescriptor->natts * sizeof(bool));
	output->tts_values[JOBS_ENCODE_BYTES - 1] = PointerGetDatum(state->buffer);
	output->tts_values[JOBS_ENCODE_ROWS - 1] = Int64GetDatum(state->nrows);
	if (state->batches)
		output->tts_values[JOBS_ENCODE_KEYS - 1] = PointerGetDatum(&state->first);
	return ExecStoreVirtualTuple(output);
}

/* What the last output pointed to is no longer needed. */
static void
clear(EncodeState *state)
{
	state->used = 0;
	state->nrows = 0;
	if (state->size > KEEP_BYTES)
	{
		pfree(state->buffer);
		state->buffer = NULL;
		state->size = 0;
	}
}

static void
end_scan(CustomScanState *node)
{
	ExecEndNode(linitial(node->custom_ps));
}

static void
rescan(CustomScanState *node)
{
	EncodeState *state = (EncodeState *) node;

	clear(state);
	state->held = NULL;
	ExecReScan(linitial(node->custom_ps));
}
