/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  Running the items of a bulk job, batch by batch.
 *
 * A batch is one transaction: items, each in its own subtransaction, and their
 * outcomes.  It ends after some 200 ms, so that locks are short and a cancel or
 * a pause is heeded soon; a slow item is a batch of its own.  Whatever happens to
 * the transaction, the items' effects and what the ledger says of them are both
 * there or both not.
 *
 * A transaction that fails as a whole, by a deferred trigger or by its commit, is
 * run again without the item whose fault it was; where that is not known, its
 * items are run again one by one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bulk/bulk.h"
#include "bulk/equal.h"
#include "bulk/items.h"
#include "bulk/ledger.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "guc.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "rights.h"
#include "session.h"
#include "storage/lock.h"
#include "store.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker.h"

#define BATCH_US		200000
#define FIRST_BATCH_US	20000	/* so that helpers, if there shall be, come soon */
#define SLOW_ITEM_US	20000	/* an item as slow as this ends its batch */
#define BATCH_BYTES		(8 * 1024 * 1024)	/* of results that a batch keeps in memory */
#define BATCH_ITEMS		(1 << 20)
#define BATCH_CHUNKS	64
#define MAX_TRIES		5		/* of an item that others were in the way of */

StaticAssertDecl(ITEM_NUM_STATES == JOBS_ITEM_STATES, "JOBS_ITEM_STATES is wrong");

typedef enum Phase
{
	PHASE_OTHER,
	PHASE_DEFERRED,				/* firing what the current item has deferred */
	PHASE_COMMIT
} Phase;

typedef enum Ending
{
	MORE,						/* items may be open */
	NONE_OPEN,
	HELD,						/* those that are open are in another worker's batch */
	PAUSED,
	LEAVE						/* a helper is to go, or its job is over */
} Ending;

typedef struct Run
{
	Job		   *job;
	JobsSlot   *leader;			/* of the worker that has claimed the job */
	bool		helper;			/* that is another one */
	JobsCommand *command;
	int64		stop_after;		/* -1: never */
	int64		workers;
	MemoryContext context;		/* of the run, and of one batch */
	MemoryContext batch_context;
	MemoryContext error_context;	/* of the last one, and of the guilty item's verdict */
	MemoryContext guilty_context;
	int64		cursor;			/* where to look for open items */
	int64		wait_for;		/* chunk that another worker had, 0: none */
	int64		batch_us;		/* time of a batch */
	int64		batch_limit;	/* items, where some defer errors */
	int64		careful_until;	/* items up to there are batches of their own */
	int64		guilty_no;		/* an item that is known to fail ... */
	JobsVerdict guilty;			/* ... and how */
	int64		blamed_no;		/* the last one whose failure was written down */
	int64		tried_no;		/* an item that is run again ... */
	int			tries;			/* ... and how often it was */
	ErrorData  *stop;			/* to be raised after the batch */

	/* of a batch */
	Phase		phase;
	Ending		ending;
	TimestampTz began;
	Oid			user;
	int			sec_context;
	JobsLedger *ledger;
	JobsItems  *items;			/* the chunk at hand, or NULL */
	int			index;			/* of the item in it */
	int64		item_no;
	int64		first_no;		/* of the first item of the batch */
	int64		nitems;
	int64		bytes;
	int			nchunks;
	bool		full;
	JobsOutcome pending;		/* neighbours with the same outcome; n is 0 for none */
	Jsonb	   *results[JOBS_CHUNK_ITEMS];
	int64		counts[ITEM_NUM_STATES];
	JobsEqual	equal;			/* as it was before it */
} Run;

static void init_run(Run *run, Job *job, JobsSlot *leader);
static void run_items(Run *run);
static ErrorData *try_batch(Run *run);
static bool recover(Run *run, ErrorData *error);
static void run_batch(Run *run);
static void begin_batch(Run *run);
static bool job_goes_on(Run *run);
static bool next_item(Run *run);
static bool take_chunk(Run *run);
static bool take_this_chunk(Run *run, int64 first_no, bool wait);
static void run_item(Run *run);
static bool is_transient(int sqlstate);
static bool try_again(Run *run);
static void record(Run *run, const JobsVerdict *verdict);
static bool same_text(const char *a, const char *b);
static void flush_pending(Run *run);
static void end_batch(Run *run);
static void persist_cursors(void);
static void raise_stop(Run *run);
static void want_helpers(Run *run);

/* ------------------------------------------------------------------------
 * A run
 * ------------------------------------------------------------------------
 */

static void
init_run(Run *run, Job *job, JobsSlot *leader)
{
	memset(run, 0, sizeof(Run));
	run->job = job;
	run->leader = leader;
	run->helper = leader != jobs_my_slot;
	run->stop_after = jobs_bulk_option(job, "stop_after");
	run->workers = jobs_bulk_option(job, "workers");
	run->context = AllocSetContextCreate(CurrentMemoryContext, "jobs bulk", ALLOCSET_DEFAULT_SIZES);
	run->batch_context = AllocSetContextCreate(run->context, "jobs batch", ALLOCSET_DEFAULT_SIZES);
	run->error_context = AllocSetContextCreate(run->context, "jobs error", ALLOCSET_SMALL_SIZES);
	run->guilty_context = AllocSetContextCreate(run->context, "jobs guilty item", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(run->context);
	run->command = jobs_command_begin(job->command);
	run->cursor = 1;
	run->batch_us = FIRST_BATCH_US;
	run->batch_limit = BATCH_ITEMS;
}

bool
jobs_bulk_run(Job *job)
{
	Run			run;

	init_run(&run, job, jobs_my_slot);
	PG_TRY();
	{
		run_items(&run);
	}
	PG_FINALLY();
	{
		jobs_command_free(run.command);
	}
	PG_END_TRY();
	return run.ending != PAUSED;
}

/* The job is another worker's; whatever happens here is no end of it. */
bool
jobs_bulk_help(Job *job, int slotno)
{
	Run			run;

	jobs_bulk_enter(job);
	init_run(&run, job, &jobs_shared->slots[slotno]);
	PG_TRY();
	{
		run_items(&run);
	}
	PG_FINALLY();
	{
		jobs_command_free(run.command);
	}
	PG_END_TRY();
	debug_query_string = NULL;
	jobs_worker_flush(0);
	return run.ending == LEAVE;
}

static void
run_items(Run *run)
{
	do
	{
		ErrorData  *error = try_batch(run);

		if (error && !recover(run, error))
			ReThrowError(error);
		raise_stop(run);
		CHECK_FOR_INTERRUPTS();
		/* An item's exception handler may have taken the interrupt. */
		if (jobs_my_slot->cancel || jobs_job_timed_out())
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("canceling statement due to user request")));
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (run->ending == MORE && !run->helper)
			want_helpers(run);
		if (run->ending == HELD && !run->helper)
			run->ending = MORE;
	} while (run->ending == MORE);
}

/* Once it is worth it: others may come for the items of this job. */
static void
want_helpers(Run *run)
{
	JobsSlot   *slot = jobs_my_slot;

	if (run->workers <= 1 || slot->helpers_wanted != 0)
		return;
	SpinLockAcquire(&slot->mutex);
	slot->helpers_wanted = run->workers - 1;
	SpinLockRelease(&slot->mutex);
	jobs_worker_wake_scheduler();
}

/* ------------------------------------------------------------------------
 * A batch
 * ------------------------------------------------------------------------
 */

/* Returns what went wrong, with the transaction rolled back, or NULL. */
static ErrorData *
try_batch(Run *run)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		run_batch(run);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		jobs_stop_statement_timeout();
		MemoryContextReset(run->error_context);
		MemoryContextSwitchTo(run->error_context);
		error = CopyErrorData();
		jobs_session_abort();
		/* The commit that has failed may have kept some, which are to be opened again. */
		PortalHashTableDeleteAll();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(run->context);
	return error;
}

/* The batch is there no more; whether its items can be run again. */
static bool
recover(Run *run, ErrorData *error)
{
	bool		transient = is_transient(error->sqlerrcode);

	if (jobs_stops_job(error) || run->nitems == 0)
		return false;
	if (run->phase == PHASE_DEFERRED && !transient)
	{
		run->guilty_no = run->item_no;
		run->batch_limit = Max(run->nitems / 2, 1);
	}
	else if (run->nitems > 1 && (run->phase == PHASE_COMMIT || transient))
		run->careful_until = run->item_no;
	else if (transient && try_again(run))
		pg_usleep(1000L << run->tries);
	/* Where the commit of its failure fails too, it is not the item. */
	else if ((run->phase == PHASE_COMMIT || transient) && run->blamed_no != run->item_no)
		run->guilty_no = run->item_no;
	else
		return false;
	if (run->guilty_no == run->item_no)
	{
		MemoryContextReset(run->guilty_context);
		MemoryContextSwitchTo(run->guilty_context);
		jobs_verdict_failed(error, &run->guilty);
		MemoryContextSwitchTo(run->context);
	}
	jobs_equal_restore(run->leader, run->job->id, &run->equal);
	run->cursor = run->first_no;
	run->ending = MORE;
	run->stop = NULL;
	return true;
}

static void
run_batch(Run *run)
{
	begin_batch(run);
	if (job_goes_on(run))
	{
		while (!run->full && next_item(run))
			run_item(run);
	}
	end_batch(run);
}

static void
begin_batch(Run *run)
{
	MemoryContextReset(run->batch_context);
	run->phase = PHASE_OTHER;
	run->ending = MORE;
	run->ledger = NULL;
	run->items = NULL;
	run->nitems = run->bytes = run->nchunks = 0;
	run->full = false;
	run->pending.n = 0;
	jobs_equal_save(run->leader, &run->equal);
	memset(run->counts, 0, sizeof(run->counts));
	jobs_session_begin(run->job->owner, false);
	MemoryContextSwitchTo(run->batch_context);
	GetUserIdAndSecContext(&run->user, &run->sec_context);
	run->began = GetCurrentTimestamp();
	SPI_connect();
	MemoryContextSwitchTo(run->batch_context);
}

/* Asked under the lock for which the end of the job waits. */
static bool
job_goes_on(Run *run)
{
	Job		   *row;
	bool		own;
	int			sqlstate;
	Oid			connect_as;
	char	   *refused;

	PushActiveSnapshot(GetTransactionSnapshot());
	jobs_ledger_share(run->job->id);
	row = jobs_store_find(run->job->id, &own);
	/* People leave while their jobs run. */
	refused = jobs_owner_refused(run->job, &sqlstate, &connect_as);
	if (row == NULL || row->state != JOB_RUNNING || row->attempt != run->job->attempt ||
		row->round != run->job->round)
	{
		if (!run->helper)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("job %lld is no longer this worker's", (long long) run->job->id)));
		run->ending = LEAVE;
	}
	else if (refused && !run->helper)
		ereport(ERROR, (errcode(sqlstate), errmsg("%s", refused)));
	else if (refused)
		run->ending = LEAVE;
	else if (jobs_store_is_paused(run->job))
		run->ending = PAUSED;
	else if (run->helper &&
			 (jobs_my_slot->leave || jobs_my_slot->inbox_n > 0 || run->leader->job != run->job->id ||
			  jobs_equal_reached(run->leader, run->job->id, run->stop_after)))
		run->ending = LEAVE;
	else
		run->ledger = jobs_ledger_open(run->job->id, run->job->round, NULL, false);
	PopActiveSnapshot();
	return run->ending == MORE;
}

/*
 * The next open item, of the chunk at hand or another.  A cancel is looked for
 * here rather than raised, since what is finished can be committed before it.
 */
static bool
next_item(Run *run)
{
	if ((InterruptPending && QueryCancelPending) || jobs_my_slot->cancel || jobs_job_timed_out())
		return false;
	for (;;)
	{
		while (run->items && ++run->index < run->items->n)
		{
			if (run->items->item[run->index].state != ITEM_OPEN)
				continue;
			if (jobs_equal_reached(run->leader, run->job->id, run->stop_after))
				return false;
			run->item_no = run->items->first_no + run->index;
			if (run->nitems == 0)
				run->first_no = run->item_no;
			return true;
		}
		flush_pending(run);
		/* Each has a lock in shared memory to the end of the batch. */
		if (++run->nchunks > BATCH_CHUNKS || !take_chunk(run))
			return false;
	}
}

/* From the cursor on, and then from the first to there. */
static bool
take_chunk(Run *run)
{
	int64		start = run->cursor;
	int64		held = 0;
	bool		wrapped = false;

	run->items = NULL;
	if (run->wait_for > 0 && run->nitems == 0)
	{
		int64		first_no = run->wait_for;

		run->wait_for = 0;
		if (take_this_chunk(run, first_no, true))
			return true;
	}
	for (;;)
	{
		JobsItems  *items = jobs_ledger_read(run->ledger, run->cursor);
		int64		first_no;

		CHECK_FOR_INTERRUPTS();
		if (items == NULL || (wrapped && items->first_no >= start))
		{
			if (wrapped || start <= 1)
				break;
			wrapped = true;
			run->cursor = 1;
			continue;
		}
		first_no = items->first_no;
		run->cursor = first_no + items->n;
		if (items->nopen == 0)
			continue;
		if (!jobs_ledger_take(run->job->id, first_no, false))
			held = held > 0 ? held : first_no;
		else if (take_this_chunk(run, first_no, false))
			return true;
	}
	run->cursor = 1;
	run->wait_for = held;
	run->ending = held > 0 ? HELD : NONE_OPEN;
	return false;
}

/* Reads it under its lock, as others left it. */
static bool
take_this_chunk(Run *run, int64 first_no, bool wait)
{
	JobsItems  *items;

	(void) jobs_ledger_take(run->job->id, first_no, wait);
	items = jobs_ledger_read(run->ledger, first_no);
	if (items == NULL || items->nopen == 0)
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	(void) jobs_items_payload(items, 0);
	PopActiveSnapshot();
	run->items = items;
	run->index = -1;
	run->cursor = first_no;
	return true;
}

/* ------------------------------------------------------------------------
 * An item
 * ------------------------------------------------------------------------
 */

static void
run_item(Run *run)
{
	TimestampTz before = GetCurrentTimestamp();
	TimestampTz now;
	JobsVerdict verdict;

	if (run->guilty_no == run->item_no)
	{
		verdict = run->guilty;
		run->blamed_no = run->guilty_no;
		run->guilty_no = 0;
		run->full = true;
	}
	else
	{
		jobs_command_run(run->command, jobs_items_payload(run->items, run->index), run->user, run->sec_context,
						 &verdict);
		if (verdict.state == ITEM_SUCCEEDED)
		{
			/* Where this fails, it is the last item of the batch. */
			run->nitems++;
			run->phase = PHASE_DEFERRED;
			jobs_command_settle(run->user, run->sec_context);
			run->phase = PHASE_OTHER;
			run->nitems--;
		}
	}
	if (verdict.stop || (is_transient(verdict.sqlstate) && try_again(run)))
	{
		/* In the batch's memory, which stays until the next one. */
		run->stop = verdict.stop;
		run->full = true;
		run->cursor = run->item_no;
		return;
	}
	record(run, &verdict);
	now = GetCurrentTimestamp();
	if (now - run->began >= run->batch_us || now - before >= SLOW_ITEM_US || run->bytes >= BATCH_BYTES ||
		run->nitems >= run->batch_limit || run->item_no <= run->careful_until)
		run->full = true;
}

/*
 * An item that met with a deadlock or a serialization failure is run again, as the
 * first of a batch: it may succeed when others are out of the way.
 */
static bool
is_transient(int sqlstate)
{
	return sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED || sqlstate == ERRCODE_T_R_SERIALIZATION_FAILURE;
}

static bool
try_again(Run *run)
{
	if (run->tried_no != run->item_no)
		run->tries = 0;
	run->tried_no = run->item_no;
	return ++run->tries < MAX_TRIES;
}

/* Neighbours that came to the same end share a row of the ledger. */
static void
record(Run *run, const JobsVerdict *verdict)
{
	JobsOutcome *pending = &run->pending;
	const char *code = verdict->sqlstate ? unpack_sql_state(verdict->sqlstate) : NULL;

	if (pending->n > 0 &&
		(pending->first_no + pending->n != run->item_no || pending->state != verdict->state ||
		 !same_text(pending->code, code) || !same_text(pending->message, verdict->message) ||
		 !same_text(pending->detail, verdict->detail) || !same_text(pending->hint, verdict->hint)))
		flush_pending(run);
	if (pending->n == 0)
	{
		*pending = (JobsOutcome) {.first_no = run->item_no, .state = verdict->state,
		.code = code ? pstrdup(code) : NULL, .message = verdict->message, .detail = verdict->detail,
		.hint = verdict->hint};
	}
	run->results[pending->n++] = verdict->result;
	if (verdict->result)
		pending->results = run->results;
	run->bytes += verdict->result ? VARSIZE(verdict->result) : 0;
	run->nitems++;
	run->counts[verdict->state]++;
	if (run->stop_after > 0)
		jobs_equal_note(run->leader, run->job->id, verdict);
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* ------------------------------------------------------------------------
 * The end of a batch
 * ------------------------------------------------------------------------
 */

/* The chunk that it belongs to is still at hand, and locked. */
static void
flush_pending(Run *run)
{
	if (run->pending.n == 0)
		return;
	run->pending.finished_at = GetCurrentTimestamp();
	PushActiveSnapshot(GetTransactionSnapshot());
	jobs_ledger_add(run->ledger, &run->pending);
	PopActiveSnapshot();
	run->pending.n = 0;
}

/*
 * A cancel that has come is heeded after the commit.  Advisory locks that an item
 * has left in the session would be in the way of other workers' items.
 */
static void
end_batch(Run *run)
{
	HOLD_CANCEL_INTERRUPTS();
	flush_pending(run);
	SPI_finish();
	MemoryContextSwitchTo(run->batch_context);
	LockReleaseSession(USER_LOCKMETHOD);
	run->phase = PHASE_COMMIT;
	persist_cursors();
	jobs_session_commit(jobs_worker_may_commit_async(true));
	run->phase = PHASE_OTHER;
	RESUME_CANCEL_INTERRUPTS();
	MemoryContextSwitchTo(run->context);
	jobs_worker_flush(BATCH_US);
	SpinLockAcquire(&run->leader->mutex);
	for (int i = ITEM_SUCCEEDED; i < ITEM_NUM_STATES && run->leader->job == run->job->id; i++)
		pg_atomic_fetch_add_u64(&run->leader->items[i], run->counts[i]);
	SpinLockRelease(&run->leader->mutex);
	if (run->nitems > 0)
		run->batch_limit = Min(run->batch_limit * 2, BATCH_ITEMS);
	run->batch_us = BATCH_US;
	pgstat_report_stat(false);
}

/*
 * As the commit would do it, but settings that a cursor WITH HOLD changes are put back.
 */
static void
persist_cursors(void)
{
	int			nest = NewGUCNestLevel();

	do
		AfterTriggerFireDeferred();
	while (PreCommit_Portals(false));
	AtEOXact_GUC(false, nest);
}

/* What ends the job, now that all that was finished is committed. */
static void
raise_stop(Run *run)
{
	if (run->stop)
		ReThrowError(run->stop);
	if (!run->helper && run->ending != NONE_OPEN &&
		jobs_equal_reached(run->leader, run->job->id, run->stop_after))
		jobs_equal_raise(run->leader, run->stop_after);
}
