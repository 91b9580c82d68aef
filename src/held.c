/*-------------------------------------------------------------------------
 *
 * held.c
 *	  Jobs whose rows other transactions hold, in the scheduler's memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "held.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define FIRST_MS	50
#define MAX_MS		1000

static List *all_held = NIL;	/* of JobsHeld *; in TopMemoryContext */

JobsHeld *
jobs_held_find(JobId id)
{
	ListCell   *cell;

	foreach(cell, all_held)
	{
		JobsHeld   *held = lfirst(cell);

		if (held->id == id)
			return held;
	}
	return NULL;
}

JobsHeld *
jobs_held_again(JobId id)
{
	JobsHeld   *held = jobs_held_find(id);

	if (held == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		held = palloc0(sizeof(JobsHeld));
		held->id = id;
		held->wait_ms = FIRST_MS / 2;
		all_held = lappend(all_held, held);
		MemoryContextSwitchTo(old);
	}
	held->wait_ms = Min(held->wait_ms * 2, MAX_MS);
	held->due = GetCurrentTimestamp() + held->wait_ms * INT64CONST(1000);
	return held;
}

void
jobs_held_lost(JobsHeld *held, const JobsFailure *failure, bool requeue)
{
	if (held->lost)
		return;
	held->lost = true;
	held->requeue = requeue;
	held->failure = *failure;
	if (failure->message)
		held->failure.message = MemoryContextStrdup(TopMemoryContext, failure->message);
}

void
jobs_held_forget(JobId id)
{
	JobsHeld   *held = jobs_held_find(id);

	if (held == NULL || held->due != DT_NOEND)
		return;
	all_held = list_delete_ptr(all_held, held);
	if (held->failure.message)
		pfree(unconstify(char *, held->failure.message));
	pfree(held);
}

void
jobs_held_due(void (*look) (JobId id))
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *cell;

	foreach(cell, all_held)
	{
		JobsHeld   *held = lfirst(cell);

		if (held->due > now)
			continue;
		held->due = DT_NOEND;
		look(held->id);
	}
}

TimestampTz
jobs_held_next(void)
{
	TimestampTz next = DT_NOEND;
	ListCell   *cell;

	foreach(cell, all_held)
		next = Min(next, ((JobsHeld *) lfirst(cell))->due);
	return next;
}
