/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  A plan node that merges the batches of rows that parallel workers encode.
 *
 * The queue of a parallel worker holds 64 kB.  Gather Merge waits for the worker
 * whose row is next while the others wait for it, so where the rows of one come
 * in long runs, as they do in a table's order, one works at a time.  This
 * node takes what all of them have, up to a limit, before it needs it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "encode.h"
#include "executor/execParallel.h"
#include "executor/executor.h"
#include "executor/tqueue.h"
#include "merge.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "storage/latch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/sortsupport.h"
#include "utils/wait_event.h"

#define READ_AHEAD_BYTES	(8 * 1024 * 1024)	/* of all workers together */
#define OUTPUT_BYTES		(64 * 1024)
#define MAX_OUTPUT			(MaxAllocSize / 2)	/* of several runs */
#define BATCH_WORTH_KEEPING	(8 * 1024)	/* smaller ones are put together */
#define KEEP_BYTES			(1024 * 1024)	/* a larger buffer is not kept */
#define BATCH_ROOM			(96 * 1024)	/* enough for most; such memory is used again */

/* Whether a batch of that size gets such room: of many small ones it would be far more than they need. */
#define FITS_ROOM(size)		((size) > BATCH_ROOM / 2 && (size) <= BATCH_ROOM)

/* Of one worker; in one piece of memory with what it points to. */
typedef struct Batch
{
	struct Batch *next;
	Size		size;			/* with the header */
	int64		nrows;
	int			nentries;		/* entries of the index */
	int			entry;			/* the next one to give */
	char	   *keys;
	JobsEncodedRow *index;
	bytea	   *bytes;
} Batch;

/* What comes from one worker. */
typedef struct Stream
{
	TupleQueueReader *reader;
	bool		ended;			/* the worker has no more */
	Batch	   *first;
	Batch	   *last;
	Size		held;			/* bytes of its batches */
} Stream;

typedef struct MergeState
{
	CustomScanState css;
	bool		by_place;
	int			nkeys;
	SortSupport keys;
	bool	   *by_value;		/* of each key */
	bool		started;
	bool		ended;
	ParallelExecutorInfo *workers;	/* or NULL */
	TupleTableSlot *received;
	MemoryContext context;
	Stream	   *streams;
	int			nreaders;		/* of streams */
	Size		limit;			/* bytes that are read ahead, of each */
	Stream	  **order;			/* those not at their end, the least row first */
	int			nstreams;		/* in order */
	Batch	   *given;			/* the last output points to it, or NULL */
	Batch	   *spare;			/* memory of BATCH_ROOM bytes each */
	bytea	   *output;			/* rows of several batches */
	Size		used;			/* without header */
	Size		size;
	int64		nrows;			/* in output */
	ItemPointerData place;		/* of the last rows given */
} MergeState;

static Node *create_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *next_output(CustomScanState *node);
static void start(MergeState *state);
static TupleTableSlot *own_batch(MergeState *state);
static TupleTableSlot *merged(MergeState *state);
static void clear(MergeState *state);
static int	end_of_run(MergeState *state, const Batch *batch);
static int	compare(MergeState *state, const Batch *a, int entry_a, const Batch *b, int entry_b);
static Size run_bytes(const Batch *batch, int end);
static void append_run(MergeState *state, Batch *batch, int end);
static void take_off(Stream *stream);
static void put_in_order(MergeState *state);
static void fill(MergeState *state, Stream *stream);
static bool read_ahead(MergeState *state, Stream *stream);
static Batch *make_batch(MergeState *state, MinimalTuple tuple);
static void release(MergeState *state, Batch *batch);
static void set_place(MergeState *state, const char *key);
static TupleTableSlot *give(MergeState *state, bytea *bytes, int64 nrows);
static void stop(MergeState *state);
static void shutdown_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);

static const CustomScanMethods scan_methods = {
	.CustomName = "JobsMerge",
	.CreateCustomScanState = create_state
};

static const CustomExecMethods exec_methods = {
	.CustomName = "JobsMerge",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = next_output,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ShutdownCustomScan = shutdown_scan
};

void
jobs_merge_init(void)
{
	RegisterCustomScanMethods(&scan_methods);
}

/* ------------------------------------------------------------------------
 * The plan
 * ------------------------------------------------------------------------
 */

Plan *
jobs_merge_plan(const JobsMerge *merge, const Plan *top, Plan *child)
{
	static const Oid types[] = {BYTEAOID, INT8OID, TIDOID};
	CustomScan *scan = makeNode(CustomScan);
	List	   *params = NIL;
	int			param = -1;

	while ((param = bms_next_member(merge->params, param)) >= 0)
		params = lappend_int(params, param);
	scan->scan.plan = *top;
	scan->scan.plan.type = T_CustomScan;
	scan->scan.plan.lefttree = NULL;
	scan->scan.plan.targetlist = NIL;
	jobs_set_scan_columns(scan, types, lengthof(types));
	scan->custom_plans = list_make1(child);
	scan->custom_private = list_make5(list_make2_int(merge->nworkers, merge->by_place), params,
									  merge->types, merge->operators, merge->collations);
	scan->custom_private = lappend(scan->custom_private, merge->nulls_first);
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
	MergeState *state = palloc0(sizeof(MergeState));

	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &exec_methods;
	return (Node *) state;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	MergeState *state = (MergeState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	PlanState  *child = ExecInitNode(linitial(scan->custom_plans), estate, eflags);
	List	   *types = list_nth(scan->custom_private, 2);

	node->custom_ps = list_make1(child);
	state->by_place = lsecond_int(linitial(scan->custom_private)) != 0;
	state->received = ExecInitExtraTupleSlot(estate, ExecGetResultType(child), &TTSOpsMinimalTuple);
	state->context = AllocSetContextCreate(CurrentMemoryContext, "jobs merge", ALLOCSET_DEFAULT_SIZES);
	state->nkeys = list_length(types);
	state->keys = palloc0(state->nkeys * sizeof(SortSupportData));
	state->by_value = palloc(state->nkeys * sizeof(bool));
	for (int i = 0; i < state->nkeys; i++)
	{
		SortSupport key = &state->keys[i];

		key->ssup_cxt = CurrentMemoryContext;
		key->ssup_collation = list_nth_oid(list_nth(scan->custom_private, 4), i);
		key->ssup_nulls_first = list_nth_int(list_nth(scan->custom_private, 5), i) != 0;
		PrepareSortSupportFromOrderingOp(list_nth_oid(list_nth(scan->custom_private, 3), i), key);
		state->by_value[i] = get_typbyval(list_nth_oid(types, i));
	}
}

static TupleTableSlot *
next_output(CustomScanState *node)
{
	MergeState *state = (MergeState *) node;

	if (state->ended)
		return NULL;
	if (!state->started)
		start(state);
	return state->nreaders > 0 ? merged(state) : own_batch(state);
}

/* Starts the workers; without any, the rows are this process's own. */
static void
start(MergeState *state)
{
	EState	   *estate = state->css.ss.ps.state;
	List	   *private = ((CustomScan *) state->css.ss.ps.plan)->custom_private;
	Bitmapset  *params = NULL;
	ListCell   *cell;
	int			launched;

	state->started = true;
	if (!estate->es_use_parallel_mode)
		return;
	foreach(cell, (List *) lsecond(private))
		params = bms_add_member(params, lfirst_int(cell));
	state->workers = ExecInitParallelPlan(linitial(state->css.custom_ps), estate, params,
										  linitial_int(linitial(private)), -1);
	LaunchParallelWorkers(state->workers->pcxt);
	launched = state->workers->pcxt->nworkers_launched;
	if (launched == 0)
		return;
	ExecParallelCreateReaders(state->workers);
	state->streams = MemoryContextAllocZero(state->context, launched * sizeof(Stream));
	state->order = MemoryContextAlloc(state->context, launched * sizeof(Stream *));
	state->nreaders = launched;
	state->limit = READ_AHEAD_BYTES / launched;
	for (int i = 0; i < launched; i++)
		state->streams[i].reader = state->workers->reader[i];
	for (int i = 0; i < launched; i++)
	{
		memmove(state->order + 1, state->order, state->nstreams * sizeof(Stream *));
		state->order[0] = &state->streams[i];
		state->nstreams++;
		put_in_order(state);
	}
}

/*
 * What this process's JobsEncode has made.  Its plan may use the memory that
 * was meant to be shared with workers, so that stays.
 */
static TupleTableSlot *
own_batch(MergeState *state)
{
	TupleTableSlot *slot = ExecProcNode(linitial(state->css.custom_ps));

	if (TupIsNull(slot))
		return NULL;
	slot_getallattrs(slot);
	if (state->by_place)
		set_place(state, VARDATA_ANY(DatumGetPointer(slot->tts_values[JOBS_ENCODE_KEYS - 1])));
	return give(state, (bytea *) DatumGetPointer(slot->tts_values[JOBS_ENCODE_BYTES - 1]),
				DatumGetInt64(slot->tts_values[JOBS_ENCODE_ROWS - 1]));
}

/* The next rows of all workers: a batch as it is, or runs of several. */
static TupleTableSlot *
merged(MergeState *state)
{
	clear(state);
	for (int i = 0; i < state->nreaders; i++)
		(void) read_ahead(state, &state->streams[i]);
	while (state->nstreams > 0 && state->used < OUTPUT_BYTES)
	{
		Stream	   *stream = state->order[0];
		Batch	   *batch = stream->first;
		int			end = end_of_run(state, batch);

		if (batch->entry == 0 && end == batch->nentries && batch->size >= BATCH_WORTH_KEEPING)
		{
			if (state->used > 0)
				break;
			take_off(stream);
			state->given = batch;
			if (state->by_place)
				set_place(state, batch->keys);
			put_in_order(state);
			return give(state, batch->bytes, batch->nrows);
		}
		if (state->used > 0 && state->used + run_bytes(batch, end) > MAX_OUTPUT)
			break;
		append_run(state, batch, end);
		if (end == batch->nentries)
		{
			take_off(stream);
			release(state, batch);
		}
		put_in_order(state);
	}
	if (state->used == 0)
		return NULL;
	SET_VARSIZE(state->output, VARHDRSZ + state->used);
	return give(state, state->output, state->nrows);
}

/* What the last output pointed to is no longer needed. */
static void
clear(MergeState *state)
{
	if (state->given)
		release(state, state->given);
	state->given = NULL;
	state->used = 0;
	state->nrows = 0;
	if (state->size > KEEP_BYTES)
	{
		pfree(state->output);
		state->output = NULL;
		state->size = 0;
	}
}

/* How far the first stream's batch goes before the second's row comes. */
static int
end_of_run(MergeState *state, const Batch *batch)
{
	const Batch *other;
	int			end = batch->entry + 1;

	if (state->nstreams == 1)
		return batch->nentries;
	other = state->order[1]->first;
	if (batch->entry == 0 && compare(state, batch, batch->nentries - 1, other, other->entry) <= 0)
		return batch->nentries;
	while (end < batch->nentries && compare(state, batch, end, other, other->entry) <= 0)
		end++;
	return end;
}

static int
compare(MergeState *state, const Batch *a, int entry_a, const Batch *b, int entry_b)
{
	const char *key_a = a->keys + a->index[entry_a].key;
	const char *key_b = b->keys + b->index[entry_b].key;

	for (int i = 0; i < state->nkeys; i++)
	{
		NullableDatum value_a = jobs_encoded_key(key_a, i, state->by_value[i]);
		NullableDatum value_b = jobs_encoded_key(key_b, i, state->by_value[i]);
		int			result = ApplySortComparator(value_a.value, value_a.isnull, value_b.value, value_b.isnull,
												 &state->keys[i]);

		if (result != 0)
			return result;
	}
	return 0;
}

/* Of the rows that are next, up to an entry. */
static Size
run_bytes(const Batch *batch, int end)
{
	return batch->index[end - 1].end - (batch->entry == 0 ? 0 : batch->index[batch->entry - 1].end);
}

/* Copies the rows of a batch up to an entry. */
static void
append_run(MergeState *state, Batch *batch, int end)
{
	Size		len = run_bytes(batch, end);
	Size		from = batch->index[end - 1].end - len;
	Size		needed = VARHDRSZ + state->used + len;

	if (needed > state->size)
	{
		Size		size = Max(needed + needed / 8, VARHDRSZ + 2 * OUTPUT_BYTES);

		size = Min(size, Max(needed, MaxAllocSize));
		if (state->output == NULL)
			state->output = MemoryContextAlloc(state->context, size);
		else
			state->output = repalloc(state->output, size);
		state->size = size;
	}
	memcpy(VARDATA(state->output) + state->used, VARDATA_ANY(batch->bytes) + from, len);
	state->used += len;
	state->nrows += batch->nentries == 1 ? batch->nrows : end - batch->entry;
	if (state->by_place)
		set_place(state, batch->keys);
	batch->entry = end;
}

/* ------------------------------------------------------------------------
 * Streams
 * ------------------------------------------------------------------------
 */

static void
take_off(Stream *stream)
{
	stream->held -= stream->first->size;
	stream->first = stream->first->next;
	if (stream->first == NULL)
		stream->last = NULL;
}

/* Moves the first stream to where its next row belongs, or out. */
static void
put_in_order(MergeState *state)
{
	Stream	   *stream = state->order[0];
	int			i = 0;

	fill(state, stream);
	if (stream->first == NULL)
	{
		state->nstreams--;
		memmove(state->order, state->order + 1, state->nstreams * sizeof(Stream *));
		return;
	}
	while (i + 1 < state->nstreams)
	{
		const Batch *other = state->order[i + 1]->first;

		if (compare(state, other, other->entry, stream->first, stream->first->entry) >= 0)
			break;
		state->order[i] = state->order[i + 1];
		i++;
	}
	state->order[i] = stream;
}

/* Waits until a stream has a batch or is at its end; others are read meanwhile. */
static void
fill(MergeState *state, Stream *stream)
{
	while (stream->first == NULL && !stream->ended)
	{
		bool		any = false;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < state->nreaders; i++)
			any |= read_ahead(state, &state->streams[i]);
		if (any)
			continue;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, WAIT_EVENT_EXECUTE_GATHER);
		ResetLatch(MyLatch);
	}
}

/* Takes what there is, up to the limit; whether that was something. */
static bool
read_ahead(MergeState *state, Stream *stream)
{
	bool		any = false;

	while (!stream->ended && stream->held < state->limit)
	{
		MinimalTuple tuple = TupleQueueReaderNext(stream->reader, true, &stream->ended);
		Batch	   *batch;

		any |= tuple != NULL || stream->ended;
		if (tuple == NULL)
			break;
		batch = make_batch(state, tuple);
		if (stream->last)
			stream->last->next = batch;
		else
			stream->first = batch;
		stream->last = batch;
		stream->held += batch->size;
	}
	return any;
}

/* The tuple is the queue's memory, so everything is copied. */
static Batch *
make_batch(MergeState *state, MinimalTuple tuple)
{
	TupleTableSlot *slot = ExecStoreMinimalTuple(tuple, state->received, false);
	struct varlena *keys;
	struct varlena *index;
	struct varlena *bytes;
	Size		header = MAXALIGN(sizeof(Batch));
	Size		keys_size;
	Size		index_size;
	Size		size;
	Batch	   *batch;

	slot_getallattrs(slot);
	bytes = (struct varlena *) DatumGetPointer(slot->tts_values[JOBS_ENCODE_BYTES - 1]);
	keys = (struct varlena *) DatumGetPointer(slot->tts_values[JOBS_ENCODE_KEYS - 1]);
	index = (struct varlena *) DatumGetPointer(slot->tts_values[JOBS_ENCODE_INDEX - 1]);
	keys_size = MAXALIGN(VARSIZE_ANY_EXHDR(keys));
	index_size = MAXALIGN(VARSIZE_ANY_EXHDR(index));

	size = header + keys_size + index_size + VARSIZE_ANY(bytes);
	batch = FITS_ROOM(size) ? state->spare : NULL;
	if (batch)
		state->spare = batch->next;
	else
		batch = MemoryContextAllocHuge(state->context, FITS_ROOM(size) ? BATCH_ROOM : size);
	batch->next = NULL;
	batch->size = size;
	batch->nrows = DatumGetInt64(slot->tts_values[JOBS_ENCODE_ROWS - 1]);
	batch->nentries = VARSIZE_ANY_EXHDR(index) / sizeof(JobsEncodedRow);
	batch->entry = 0;
	batch->keys = (char *) batch + header;
	batch->index = (JobsEncodedRow *) (batch->keys + keys_size);
	batch->bytes = (bytea *) (batch->keys + keys_size + index_size);
	memcpy(batch->keys, VARDATA_ANY(keys), VARSIZE_ANY_EXHDR(keys));
	memcpy(batch->index, VARDATA_ANY(index), VARSIZE_ANY_EXHDR(index));
	memcpy(batch->bytes, bytes, VARSIZE_ANY(bytes));
	ExecClearTuple(slot);
	return batch;
}

static void
release(MergeState *state, Batch *batch)
{
	if (!FITS_ROOM(batch->size))
	{
		pfree(batch);
		return;
	}
	batch->next = state->spare;
	state->spare = batch;
}

/* ------------------------------------------------------------------------
 * Output and end
 * ------------------------------------------------------------------------
 */

static void
set_place(MergeState *state, const char *key)
{
	ItemPointerCopy((ItemPointer) DatumGetPointer(jobs_encoded_key(key, 0, false).value), &state->place);
}

static TupleTableSlot *
give(MergeState *state, bytea *bytes, int64 nrows)
{
	TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	slot->tts_values[JOBS_MERGE_BYTES - 1] = PointerGetDatum(bytes);
	slot->tts_values[JOBS_MERGE_ROWS - 1] = Int64GetDatum(nrows);
	slot->tts_values[JOBS_MERGE_PLACE - 1] = PointerGetDatum(&state->place);
	slot->tts_isnull[JOBS_MERGE_BYTES - 1] = false;
	slot->tts_isnull[JOBS_MERGE_ROWS - 1] = false;
	slot->tts_isnull[JOBS_MERGE_PLACE - 1] = !state->by_place;
	return ExecStoreVirtualTuple(slot);
}

static void
stop(MergeState *state)
{
	if (state->workers == NULL)
		return;
	ExecParallelFinish(state->workers);
	ExecParallelCleanup(state->workers);
	state->workers = NULL;
	state->nreaders = 0;
}

/* Before the executor leaves parallel mode. */
static void
shutdown_scan(CustomScanState *node)
{
	MergeState *state = (MergeState *) node;

	stop(state);
	state->ended = true;
}

static void
end_scan(CustomScanState *node)
{
	ExecEndNode(linitial(node->custom_ps));
	stop((MergeState *) node);
}

static void
rescan(CustomScanState *node)
{
	elog(ERROR, "an export is read once");
}
