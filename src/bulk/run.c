/*-------------------------------------------------------------------------
 *
 * run.c
 *	  A bulk job from its claim to its end: finding its items, running them, and
 *	  writing what became of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "bulk/bulk.h"
#include "bulk/command.h"
#include "bulk/ledger.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "perform.h"
#include "progress.h"
#include "session.h"
#include "store.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

static void requeue(const Job *job, Job *end);
static void find_items(Job *job);
static void offer(Job *job);
static void item_startup(DestReceiver *self, int operation, TupleDesc desc);
static bool item_receive(TupleTableSlot *slot, DestReceiver *self);
static void item_nothing(DestReceiver *self);

typedef struct ItemReceiver
{
	DestReceiver dest;
	JobsItemWriter *writer;
	FmgrInfo	to_jsonb;
	TupleDesc	desc;
	MemoryContext context;
	int64		n;
} ItemReceiver;

/*
 * The items commit as they go.  The end waits for workers that help, and counts
 * what they and this one have committed.
 */
void
jobs_bulk_perform(Job *job)
{
	MemoryContext context = CurrentMemoryContext;
	Job			end = *job;
	bool		done;

	jobs_bulk_enter(job);
	if (end.total < 0)
		find_items(&end);
	MemoryContextSwitchTo(context);
	if (end.state == JOB_QUEUED)
	{
		debug_query_string = NULL;
		*job = end;
		return;
	}
	jobs_progress_items(&end);
	done = end.total == 0 || jobs_bulk_run(&end);
	debug_query_string = NULL;

	jobs_session_begin(job->owner, false);
	XactIsoLevel = XACT_READ_COMMITTED;
	MemoryContextSwitchTo(context);
	PushActiveSnapshot(GetTransactionSnapshot());
	(void) jobs_ledger_exclude(job->id, true);
	jobs_ledger_count_job(&end);
	if (done && end.processed != end.total)
		elog(ERROR, "bulk job %lld has items that were left open", (long long) job->id);
	if (done)
	{
		end.state = end.failed > 0 ? JOB_PARTIAL : JOB_SUCCEEDED;
		jobs_perform_finish(job, &end);
	}
	else
		requeue(job, &end);
	PopActiveSnapshot();
	jobs_perform_commit();
	MemoryContextSwitchTo(context);
	*job = end;
}

/* Its queue is paused: as if it had not begun, but for the items that are done. */
static void
requeue(const Job *job, Job *end)
{
	jobs_perform_check(job);
	end->state = JOB_QUEUED;
	end->attempt--;
	end->started_at = 0;
	jobs_store_update(end, JOB_RUNNING);
}

/* The settings of the submission hold for all transactions. */
void
jobs_bulk_enter(const Job *job)
{
	MemoryContext context = CurrentMemoryContext;

	jobs_session_begin(job->owner, false);
	jobs_session_enter(job);
	jobs_session_commit(true);
	MemoryContextSwitchTo(context);
	debug_query_string = job->command;
}

/* ------------------------------------------------------------------------
 * The items of a query
 * ------------------------------------------------------------------------
 */

/* All of them, or none. */
static void
find_items(Job *job)
{
	ItemReceiver receiver = {0};
	char	   *query = jobs_bulk_items_query(job);
	QueryDesc  *desc;
	int			nest;

	if (query == NULL)
		elog(ERROR, "bulk job %lld has no items", (long long) job->id);
	jobs_progress_phase("finding items");
	jobs_session_begin(job->owner, false);
	XactReadOnly = true;
	XactIsoLevel = XACT_REPEATABLE_READ;
	nest = NewGUCNestLevel();
	/* None can be had once parallel workers are at it. */
	(void) GetCurrentTransactionId();
	jobs_start_statement_timeout();
	PushActiveSnapshot(GetTransactionSnapshot());
	receiver.dest.receiveSlot = item_receive;
	receiver.dest.rStartup = item_startup;
	receiver.dest.rShutdown = item_nothing;
	receiver.dest.rDestroy = item_nothing;
	receiver.dest.mydest = DestNone;
	receiver.context = AllocSetContextCreate(CurrentMemoryContext, "jobs item", ALLOCSET_DEFAULT_SIZES);
	receiver.writer = jobs_items_begin(job->id, jobs_bulk_option(job, "workers"), -1);
	desc = CreateQueryDesc(jobs_bulk_plan_items(query), query, GetActiveSnapshot(), InvalidSnapshot,
						   &receiver.dest, NULL, NULL, 0);
	ExecutorStart(desc, 0);
	jobs_ExecutorRun(desc, ForwardScanDirection, 0);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	jobs_stop_statement_timeout();
	AtEOXact_GUC(false, nest);
	job->total = jobs_items_end(receiver.writer);
	job->processed = job->succeeded = job->failed = job->skipped = 0;
	jobs_perform_check(job);
	if (job->command[0] == '\0' && job->total > 0)
	{
		offer(job);
		return;
	}
	jobs_store_update(job, JOB_RUNNING);
	PopActiveSnapshot();
	jobs_session_commit(false);
	jobs_progress_phase("running");
}

/* The items are found, and clients do them: ends the transaction. */
static void
offer(Job *job)
{
	job->state = JOB_QUEUED;
	job->attempt--;
	job->started_at = 0;
	jobs_store_update(job, JOB_RUNNING);
	PopActiveSnapshot();
	jobs_perform_commit();
}

static void
item_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	ItemReceiver *receiver = (ItemReceiver *) self;

	receiver->desc = BlessTupleDesc(CreateTupleDescCopy(desc));
	jobs_to_jsonb_prepare(&receiver->to_jsonb, receiver->desc->tdtypeid);
}

static bool
item_receive(TupleTableSlot *slot, DestReceiver *self)
{
	ItemReceiver *receiver = (ItemReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);
	bool		free_tuple;
	HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, false, &free_tuple);
	Datum		row = heap_copy_tuple_as_datum(tuple, receiver->desc);

	jobs_items_add(receiver->writer, jobs_to_jsonb(&receiver->to_jsonb, receiver->desc->tdtypeid, row));
	jobs_progress_done(++receiver->n, -1);
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->context);
	CHECK_FOR_INTERRUPTS();
	return true;
}

static void
item_nothing(DestReceiver *self)
{
}
