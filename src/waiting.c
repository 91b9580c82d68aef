/*-------------------------------------------------------------------------
 *
 * waiting.c
 *	  What a job that has not begun waits for, in words.
 *
 * What is the same for all the rows of a query (paused queues, free slots, how
 * many jobs each role runs) is looked up once and kept for the query.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "args.h"
#include "fmgr.h"
#include "funcapi.h"
#include "guc.h"
#include "jobs.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "outside/outside.h"
#include "rights.h"
#include "rolesetting.h"
#include "shmem.h"
#include "store.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "waiting.h"

PG_FUNCTION_INFO_V1(jobs_waiting);

/* What holds for the whole query. */
typedef struct Outlook
{
	TupleDesc	desc;
	HTAB	   *queues;			/* of QueuePauses */
	int			nfree;			/* slots */
	int			nidle;			/* workers without a job */
	int			nslots;
	bool		no_process;
	List	   *owners;			/* of Running * */
} Outlook;

typedef struct QueuePauses
{
	char		queue[NAMEDATALEN];
	List	   *paused;			/* of JobsPaused * */
} QueuePauses;

typedef struct Running
{
	Oid			owner;
	int			njobs;			/* that run, or are about to */
	int			limit;
} Running;

static Outlook *outlook(FunctionCallInfo fcinfo);
static void look_around(Outlook *look);
static bool is_paused(Outlook *look, const Job *job);
static Running *running_of(Outlook *look, Oid owner);
static JobState shown_state(const Job *job, Outlook *look, char **waiting_for);
static char *queued_for(Outlook *look, const Job *job, bool *turn);
static char *awaited_titles(JobId id);

/*
 * jobs._waiting(id, state, queue, owner, tenant, run_at, attempt, origin, kind, command, total):
 * shown_state, waiting_for
 */
Datum
jobs_waiting(PG_FUNCTION_ARGS)
{
	Outlook    *look = outlook(fcinfo);
	Job			job = {
		.id = PG_GETARG_INT64(0),
		.state = job_state_from_name(text_to_cstring(PG_GETARG_TEXT_PP(1))),
		.queue = text_to_cstring(PG_GETARG_TEXT_PP(2)),
		.owner = PG_GETARG_OID(3),
		.tenant = text_to_cstring(PG_GETARG_TEXT_PP(4)),
		.run_at = PG_GETARG_TIMESTAMPTZ(5),
		.attempt = PG_GETARG_INT32(6),
		.origin = PG_GETARG_INT64(7),
		.kind = job_kind_from_name(text_to_cstring(PG_GETARG_TEXT_PP(8))),
	};
	char	   *waiting_for = NULL;
	JobState	state = job.state;
	Datum		values[2];
	bool		nulls[2];

	job.outside = jobs_is_outside(job.kind, PG_GETARG_DATUM(9), PG_GETARG_INT64(10));
	if (jobs_may_see(job.owner, job.tenant))
		state = shown_state(&job, look, &waiting_for);
	nulls[0] = false;
	nulls[1] = waiting_for == NULL;
	values[0] = CStringGetTextDatum(job_state_names[state]);
	values[1] = waiting_for ? CStringGetTextDatum(waiting_for) : (Datum) 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(look->desc, values, nulls)));
}

/* For as long as the function's call site lives, which is one query. */
static Outlook *
outlook(FunctionCallInfo fcinfo)
{
	Outlook    *look = fcinfo->flinfo->fn_extra;
	MemoryContext old;

	if (look)
		return look;
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	look = palloc0(sizeof(Outlook));
	look->desc = jobs_result_desc(fcinfo, 2);
	look_around(look);
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = look;
	return look;
}

static void
look_around(Outlook *look)
{
	JobsDatabase *db = jobs_database(MyDatabaseId, false);
	HASHCTL		ctl = {.keysize = NAMEDATALEN, .entrysize = sizeof(QueuePauses), .hcxt = CurrentMemoryContext};

	look->queues = hash_create("jobs queues", 16, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	if (jobs_shared == NULL)
		return;
	look->no_process = db != NULL && db->no_process;
	look->nslots = jobs_shared->nslots;
	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		if (slot->state == SLOT_FREE)
			look->nfree++;
		else if (slot->idle)
			look->nidle++;
	}
	LWLockRelease(jobs_shared->lock);
}

static bool
is_paused(Outlook *look, const Job *job)
{
	ListCell   *cell;
	bool		found;
	QueuePauses *pauses = hash_search(look->queues, job->queue, HASH_ENTER, &found);

	if (!found)
	{
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(look));

		pauses->paused = jobs_store_paused(job->queue);
		MemoryContextSwitchTo(old);
	}
	foreach(cell, pauses->paused)
	{
		if (jobs_paused_applies(lfirst(cell), job->queue, job->owner, job->tenant))
			return true;
	}
	return false;
}

static Running *
running_of(Outlook *look, Oid owner)
{
	ListCell   *cell;
	Running    *running;
	MemoryContext old;

	foreach(cell, look->owners)
	{
		running = lfirst(cell);
		if (running->owner == owner)
			return running;
	}
	old = MemoryContextSwitchTo(GetMemoryChunkContext(look));
	running = palloc0(sizeof(Running));
	running->owner = owner;
	running->limit = jobs_role_limit(owner);
	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		if (slot->owner == owner && slot->state != SLOT_FREE && !slot->idle)
			running->njobs++;
	}
	LWLockRelease(jobs_shared->lock);
	look->owners = lappend(look->owners, running);
	MemoryContextSwitchTo(old);
	return running;
}

/*
 * A stored state is what the bookkeeping needs; whoever reads it wants to know
 * whether the job could start if there were a worker.
 */
static JobState
shown_state(const Job *job, Outlook *look, char **waiting_for)
{
	bool		turn = false;

	*waiting_for = NULL;
	switch (job->state)
	{
		case JOB_WAITING:
			*waiting_for = awaited_titles(job->id);
			return JOB_WAITING;
		case JOB_SCHEDULED:
			if (job->run_at > GetCurrentTimestamp())
			{
				*waiting_for = pstrdup("its start time");
				return JOB_SCHEDULED;
			}
			break;
		case JOB_QUEUED:
			break;
		default:
			return job->state;
	}
	*waiting_for = queued_for(look, job, &turn);
	return turn ? JOB_WAITING : JOB_QUEUED;
}

/* Sets *turn where it is the owner's or the queue's turn that the job waits for. */
static char *
queued_for(Outlook *look, const Job *job, bool *turn)
{
	Running    *running;

	if (job->origin != jobs_origin())
		return pstrdup("the server that it was submitted to, of which this is a copy");
	if (RecoveryInProgress())
		return pstrdup("the primary server");
	if (jobs_shared == NULL)
		return pstrdup("jobs to be in shared_preload_libraries");
	if (!jobs_enabled)
		return pstrdup("jobs.enabled to be on");
	if (is_paused(look, job))
	{
		*turn = true;
		return psprintf("queue \"%s\" to be resumed", job->queue);
	}
	if (job->outside)
		return pstrdup(job->kind == JOB_BULK ? "a client to claim its items" : "a client to claim it");
	running = running_of(look, job->owner);
	if (running->limit > 0 && running->njobs >= running->limit)
	{
		*turn = true;
		return psprintf("another job of role \"%s\" to finish (at most %d at once)",
						GetUserNameFromId(job->owner, true), running->limit);
	}
	if (look->no_process)
		return pstrdup("a background worker of the server (all of max_worker_processes are in use)");
	if (look->nfree == 0 && look->nidle == 0)
		return psprintf("a free worker (all %d of jobs.max_workers are busy)", look->nslots);
	return NULL;
}

/*
 * "Export: Q4 Revenue Report to finish"; what the reader may not see stays
 * unnamed.  Anybody can call jobs._waiting with any id, so that is looked up.
 */
static char *
awaited_titles(JobId id)
{
	StringInfoData text;
	ListCell   *cell;
	int			n = 0;
	char	   *title = NULL;
	bool		own;
	Job		   *job = jobs_store_find_brief(id, &own);

	if (job == NULL || !jobs_may_see(job->owner, job->tenant))
		return NULL;
	foreach(cell, jobs_store_dependencies(id))
	{
		Job		   *other = jobs_store_find_brief(*(int64 *) lfirst(cell), &own);

		CHECK_FOR_INTERRUPTS();
		if (other == NULL || job_state_is_final(other->state))
			continue;
		n++;
		if (title == NULL && jobs_may_see(other->owner, other->tenant))
			title = other->title;
	}
	if (n == 0)
		return NULL;
	initStringInfo(&text);
	appendStringInfoString(&text, title ? title : "another job");
	if (n > 1)
		appendStringInfo(&text, " and %d other job%s", n - 1, n == 2 ? "" : "s");
	appendStringInfoString(&text, " to finish");
	return text.data;
}

/* Outside of a query over a view. */
JobState
jobs_shown_state_now(const Job *job)
{
	Outlook    *look = palloc0(sizeof(Outlook));
	char	   *waiting_for;

	if (job_state_is_final(job->state) || job->state == JOB_RUNNING)
		return job->state;
	look_around(look);
	return shown_state(job, look, &waiting_for);
}
