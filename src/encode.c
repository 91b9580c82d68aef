/*-------------------------------------------------------------------------
 *
 * encode.c
 *	  A plan node that encodes the rows of the plan below it.
 *
 * It gives batches of rows.  Where their order is that of a sequential scan,
 * batches are merged by the place of their first row.  That keeps the order of the
 * table: a parallel scan hands out runs of blocks in ascending order, so a batch
 * that covers blocks without a gap has no other process's rows between its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "encode.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "storage/itemptr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#define BATCH_BYTES		(64 * 1024)
#define KEEP_BYTES		(1024 * 1024)	/* a larger buffer is not kept */
#define KEYS_HEADER		MAXALIGN(VARHDRSZ)

/* Not the id of any other node. */
#define ENCODE_NODE_ID	1000000

typedef struct EncodeState
{
	CustomScanState css;
	const JobsFormat *format;
	bool		by_place;
	int			nkeys;
	int		   *keys;			/* where they are in the plan's rows */
	void	   *encoder;
	TupleTableSlot *row;		/* the columns that are written */
	int		   *columns;		/* ... and where they are in the plan's rows */
	MemoryContext context;		/* of the encoder */
	MemoryContext key_context;	/* of values of keys, for one batch */
	bytea	   *buffer;
	Size		used;			/* without header */
	Size		size;
	int64		nrows;			/* in the buffer */
	StringInfoData key_bytes;	/* after KEYS_HEADER bytes */
	StringInfoData index;		/* after VARHDRSZ bytes */
	BlockNumber last_block;
	TupleTableSlot *held;		/* a row that belongs to the next batch */
} EncodeState;

static Node *create_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *next_output(CustomScanState *node);
static bool continues(EncodeState *state, TupleTableSlot *slot);
static void add_entry(EncodeState *state, TupleTableSlot *slot);
static JobsEncodedRow *last_entry(EncodeState *state);
static void add_key(EncodeState *state, TupleTableSlot *slot);
static int	add_pointed_to(EncodeState *state, Datum value, int16 length);
static void skip(StringInfo out, int len);
static Size encoded_bytes(const EncodeState *state);
static void encode_row(EncodeState *state, TupleTableSlot *slot);
static void append(void *arg, const char *data, Size len);
static TupleTableSlot *emit(EncodeState *state);
static void clear(EncodeState *state);
static void clear_string(StringInfo string, int header);
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

void
jobs_set_scan_columns(CustomScan *scan, const Oid *types, int ntypes)
{
	for (int i = 1; i <= ntypes; i++)
	{
		Expr	   *value = (Expr *) makeNullConst(types[i - 1], -1, InvalidOid);
		Expr	   *var = (Expr *) makeVar(INDEX_VAR, i, types[i - 1], -1, InvalidOid, 0);

		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist, makeTargetEntry(value, i, NULL, false));
		scan->scan.plan.targetlist = lappend(scan->scan.plan.targetlist, makeTargetEntry(var, i, NULL, false));
	}
}

Plan *
jobs_encode_plan(const JobsEncode *encode, Plan *child)
{
	static const Oid types[] = {BYTEAOID, INT8OID, BYTEAOID, BYTEAOID};
	CustomScan *scan = makeNode(CustomScan);

	scan->scan.plan.startup_cost = child->startup_cost;
	scan->scan.plan.total_cost = child->total_cost;
	scan->scan.plan.plan_rows = child->plan_rows;
	scan->scan.plan.plan_width = child->plan_width;
	scan->scan.plan.parallel_safe = true;
	scan->scan.plan.plan_node_id = ENCODE_NODE_ID;
	scan->scan.plan.extParam = bms_copy(child->extParam);
	scan->scan.plan.allParam = bms_copy(child->allParam);
	jobs_set_scan_columns(scan, types, lengthof(types));
	scan->custom_plans = list_make1(child);
	scan->custom_private = list_make5(makeString(pstrdup(encode->format)),
									  makeString(pstrdup(encode->options)),
									  list_make1_int(encode->by_place),
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
	List	   *keys = list_nth(private, 5);
	TupleDesc	from = ExecGetResultType(child);
	TupleDesc	desc = CreateTemplateTupleDesc(list_length(columns));
	MemoryContext old;
	Jsonb	   *options;
	int			n = 0;
	ListCell   *column;
	ListCell   *name;

	node->custom_ps = list_make1(child);
	state->format = jobs_format(strVal(linitial(private)));
	state->by_place = linitial_int(list_nth(private, 2)) != 0;
	state->columns = palloc(list_length(columns) * sizeof(int));
	forboth(column, columns, name, names)
	{
		Form_pg_attribute attr = TupleDescAttr(from, lfirst_int(column) - 1);

		state->columns[n++] = lfirst_int(column) - 1;
		TupleDescInitEntry(desc, n, strVal(lfirst(name)), attr->atttypid, attr->atttypmod, 0);
		TupleDescInitEntryCollation(desc, n, attr->attcollation);
	}
	state->row = ExecInitExtraTupleSlot(estate, desc, &TTSOpsVirtual);
	state->keys = palloc(list_length(keys) * sizeof(int));
	foreach(column, keys)
		state->keys[state->nkeys++] = lfirst_int(column) - 1;
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	state->context = AllocSetContextCreate(CurrentMemoryContext, "jobs encode", ALLOCSET_DEFAULT_SIZES);
	state->key_context = AllocSetContextCreate(CurrentMemoryContext, "jobs encode keys", ALLOCSET_SMALL_SIZES);
	initStringInfo(&state->key_bytes);
	initStringInfo(&state->index);
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
	while (encoded_bytes(state) < BATCH_BYTES && state->key_bytes.len < BATCH_BYTES)
	{
		TupleTableSlot *slot = state->held;

		CHECK_FOR_INTERRUPTS();
		state->held = NULL;
		if (slot == NULL)
			slot = ExecProcNode(linitial(node->custom_ps));
		if (TupIsNull(slot))
			break;
		if (state->by_place && !continues(state, slot))
		{
			state->held = slot;
			break;
		}
		if (state->nrows == 0 || !state->by_place)
			add_entry(state, slot);
		encode_row(state, slot);
		last_entry(state)->end = encoded_bytes(state);
	}
	if (state->nrows == 0)
		return NULL;
	state->format->flush(state->encoder);
	return emit(state);
}

/* Whether no other process can have rows between this one and the last. */
static bool
continues(EncodeState *state, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		tid = slot_getattr(slot, state->keys[0] + 1, &isnull);
	BlockNumber block = ItemPointerGetBlockNumber((ItemPointer) DatumGetPointer(tid));

	if (state->nrows > 0 && block > state->last_block + 1)
		return false;
	state->last_block = block;
	return true;
}

/* The row's key, and room for where its bytes end. */
static void
add_entry(EncodeState *state, TupleTableSlot *slot)
{
	JobsEncodedRow entry = {0, state->key_bytes.len - KEYS_HEADER};

	appendBinaryStringInfo(&state->index, (char *) &entry, sizeof(entry));
	add_key(state, slot);
}

static JobsEncodedRow *
last_entry(EncodeState *state)
{
	return (JobsEncodedRow *) (state->index.data + state->index.len - sizeof(JobsEncodedRow));
}

static void
add_key(EncodeState *state, TupleTableSlot *slot)
{
	StringInfo	out = &state->key_bytes;
	int			start = out->len;

	/* First what has a fixed place, then what it points to. */
	skip(out, state->nkeys * sizeof(NullableDatum));
	for (int i = 0; i < state->nkeys; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(slot->tts_tupleDescriptor, state->keys[i]);
		NullableDatum key = {0};

		key.value = slot_getattr(slot, state->keys[i] + 1, &key.isnull);
		if (!key.isnull && !attr->attbyval)
			key.value = add_pointed_to(state, key.value, attr->attlen) - start;
		memcpy(out->data + start + i * sizeof(NullableDatum), &key, sizeof(NullableDatum));
	}
}

/* Appends a value that is passed by reference; returns where. */
static int
add_pointed_to(EncodeState *state, Datum value, int16 length)
{
	StringInfo	out = &state->key_bytes;
	int			place = out->len;
	Size		size;

	if (length == -1)
	{
		MemoryContext old = MemoryContextSwitchTo(state->key_context);

		value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
		MemoryContextSwitchTo(old);
	}
	size = datumGetSize(value, false, length);
	appendBinaryStringInfo(out, DatumGetPointer(value), size);
	skip(out, MAXALIGN(size) - size);
	return place;
}

/* Leaves room. */
static void
skip(StringInfo out, int len)
{
	enlargeStringInfo(out, len);
	memset(out->data + out->len, 0, len);
	out->len += len;
}

/* With those that the encoder has still. */
static Size
encoded_bytes(const EncodeState *state)
{
	return state->used + state->format->pending(state->encoder);
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

	/* With all of a batch in one message. */
	if (needed + state->key_bytes.len + state->index.len + BATCH_BYTES > MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a row of the export is too long for parallel workers"),
				 errdetail("They send at most 1 GB at once."),
				 errhint("Set max_parallel_workers_per_gather to 0 for the role, so that one process writes the file.")));
	if (needed > state->size)
	{
		Size		size = Max(state->size * 2, VARHDRSZ + BATCH_BYTES + KEEP_BYTES / 8);

		while (size < needed)
			size *= 2;
		size = Min(size, MaxAllocSize);
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
	char	   *keys = state->key_bytes.data + KEYS_HEADER - VARHDRSZ;

	ExecClearTuple(output);
	SET_VARSIZE(state->buffer, VARHDRSZ + state->used);
	SET_VARSIZE(keys, state->key_bytes.len - KEYS_HEADER + VARHDRSZ);
	SET_VARSIZE(state->index.data, state->index.len);
	memset(output->tts_isnull, false, output->tts_tupleDescriptor->natts * sizeof(bool));
	output->tts_values[JOBS_ENCODE_BYTES - 1] = PointerGetDatum(state->buffer);
	output->tts_values[JOBS_ENCODE_ROWS - 1] = Int64GetDatum(state->nrows);
	output->tts_values[JOBS_ENCODE_KEYS - 1] = PointerGetDatum(keys);
	output->tts_values[JOBS_ENCODE_INDEX - 1] = PointerGetDatum(state->index.data);
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
	MemoryContextReset(state->key_context);
	clear_string(&state->key_bytes, KEYS_HEADER);
	clear_string(&state->index, VARHDRSZ);
}

/* Keeps the beginning for a header. */
static void
clear_string(StringInfo string, int header)
{
	if (string->maxlen > KEEP_BYTES)
	{
		pfree(string->data);
		initStringInfo(string);
	}
	resetStringInfo(string);
	skip(string, header);
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
