/*-------------------------------------------------------------------------
 *
 * notify.c
 *	  NOTIFY jobs, jobs_progress and jobs_delivery, from the scheduler only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "commands/async.h"
#include "delivery/delivery.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "notify.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "wake.h"

/* Kept while the server's queue of notifications is full. */
#define MAX_KEPT	100000

/* A full queue is complained of so often. */
#define COMPLAIN_US	USECS_PER_MINUTE

/* What a slot showed when its progress was last sent. */
typedef struct Sent
{
	JobId		job;
	int64		processed;
	int64		total;
	double		percent;
} Sent;

/* The progress of a job that a client does. */
typedef struct Outside
{
	JobsEvent	event;
	double		percent;
} Outside;

static MemoryContext notify_context = NULL;
static List *states = NIL;		/* of JobsEvent * */
static List *progress = NIL;	/* of JobsEvent *, percent in percents */
static List *percents = NIL;	/* of double * */
static List *outside = NIL;		/* of Outside *, for the next time */
static int	couriers = 0;		/* JOBS_CHANNEL_BIT of each that has something to deliver */
static Sent *sent = NULL;
static TimestampTz complained_at = 0;

static void make_context(void);
static void add_progress(const JobsEvent *event, double percent);
static void append_count(StringInfo json, const char *name, int64 n);
static void append_percent(StringInfo json, double percent);
static char *message(const JobsEvent *event, double percent);
static void send_all(void);
static void clear(List **list);

static void
make_context(void)
{
	if (notify_context)
		return;
	notify_context = AllocSetContextCreate(TopMemoryContext, "jobs notify", ALLOCSET_DEFAULT_SIZES);
	sent = MemoryContextAllocZero(notify_context, jobs_shared->nslots * sizeof(Sent));
}

void
jobs_notify_state(const JobsEvent *event)
{
	MemoryContext old;
	JobsEvent  *copy;

	make_context();
	couriers |= event->channels;
	if (list_length(states) >= MAX_KEPT)
		return;
	old = MemoryContextSwitchTo(notify_context);
	copy = palloc(sizeof(JobsEvent));
	*copy = *event;
	states = lappend(states, copy);
	MemoryContextSwitchTo(old);
}

bool
jobs_notify_progress(Oid dboid)
{
	bool		running = false;
	MemoryContext old;
	ListCell   *cell;

	make_context();
	old = MemoryContextSwitchTo(notify_context);
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];
		JobsProgress now;
		JobsEvent	event = {0};

		if (slot->dboid != dboid || slot->state != SLOT_ALIVE || !jobs_progress_read(slot, &now))
			continue;
		running = true;
		if (now.processed < 0 ||
			(sent[i].job == now.job && sent[i].processed == now.processed &&
			 sent[i].total == now.total && sent[i].percent == now.percent))
			continue;
		sent[i] = (Sent) {now.job, now.processed, now.total, now.percent};
		event.job = now.job;
		event.job_kind = now.kind;
		event.state = JOB_RUNNING;
		event.processed = now.processed;
		event.total = now.total;
		add_progress(&event, now.percent);
	}
	foreach(cell, outside)
		add_progress(&((Outside *) lfirst(cell))->event, ((Outside *) lfirst(cell))->percent);
	clear(&outside);
	MemoryContextSwitchTo(old);
	return running;
}

/* In our memory context. */
static void
add_progress(const JobsEvent *event, double percent)
{
	JobsEvent  *copy = palloc(sizeof(JobsEvent));
	double	   *percent_copy = palloc(sizeof(double));

	*copy = *event;
	*percent_copy = percent;
	progress = lappend(progress, copy);
	percents = lappend(percents, percent_copy);
}

void
jobs_notify_outside(const JobsEvent *event, double percent)
{
	Outside    *kept = NULL;
	MemoryContext old;
	ListCell   *cell;

	make_context();
	foreach(cell, outside)
	{
		if (((Outside *) lfirst(cell))->event.job == event->job)
			kept = lfirst(cell);
	}
	if (kept == NULL)
	{
		old = MemoryContextSwitchTo(notify_context);
		kept = palloc(sizeof(Outside));
		outside = lappend(outside, kept);
		MemoryContextSwitchTo(old);
	}
	kept->event = *event;
	kept->percent = percent;
}

bool
jobs_notify_outside_pending(void)
{
	return outside != NIL;
}

void
jobs_notify_couriers(int channels)
{
	couriers |= channels;
}

bool
jobs_notify_pending(void)
{
	return states != NIL || progress != NIL || couriers != 0;
}

static void
append_count(StringInfo json, const char *name, int64 n)
{
	if (n < 0)
		appendStringInfo(json, ", \"%s\": null", name);
	else
		appendStringInfo(json, ", \"%s\": " INT64_FORMAT, name, n);
}

static void
append_percent(StringInfo json, double percent)
{
	if (percent < 0)
		appendStringInfoString(json, ", \"percent\": null");
	else
		appendStringInfo(json, ", \"percent\": %.10g", floor(percent * 10) / 10);
}

/* Nothing in it is anybody's data: any role may LISTEN. */
static char *
message(const JobsEvent *event, double percent)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"job\": " INT64_FORMAT ", \"kind\": \"%s\", \"state\": \"%s\"",
					 event->job, job_kind_names[event->job_kind], job_state_names[event->state]);
	append_count(&json, "processed", event->processed);
	append_count(&json, "total", event->total);
	append_percent(&json, percent);
	if (job_state_is_final(event->state))
	{
		append_count(&json, "succeeded", event->succeeded);
		append_count(&json, "failed", event->failed);
		append_count(&json, "skipped", event->skipped);
		append_count(&json, "warnings", event->warnings);
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

static void
send_all(void)
{
	ListCell   *cell;
	ListCell   *cell2;

	/* A transaction that does nothing but notify waits for no disk. */
	if (states != NIL || couriers != 0)
		jobs_flush();
	StartTransactionCommand();
	foreach(cell, states)
	{
		JobsEvent  *event = lfirst(cell);
		bool		whole = event->state == JOB_SUCCEEDED || event->state == JOB_PARTIAL;

		Async_Notify("jobs", message(event, whole ? 100 : -1));
	}
	forboth(cell, progress, cell2, percents)
		Async_Notify("jobs_progress", message(lfirst(cell), *(double *) lfirst(cell2)));
	for (int c = 0; c < JOBS_NUM_CHANNELS; c++)
	{
		if (couriers & JOBS_CHANNEL_BIT(c))
			Async_Notify("jobs_delivery", jobs_channel_names[c]);
	}
	CommitTransactionCommand();
}

static void
clear(List **list)
{
	list_free_deep(*list);
	*list = NIL;
}

void
jobs_notify_send(void)
{
	if (!jobs_notify_pending())
		return;
	PG_TRY();
	{
		send_all();
		clear(&states);
		couriers = 0;
	}
	PG_CATCH();
	{
		TimestampTz now = GetCurrentTimestamp();

		HOLD_INTERRUPTS();
		if (now - complained_at > COMPLAIN_US)
		{
			complained_at = now;
			EmitErrorReport();
		}
		AbortCurrentTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	clear(&progress);
	clear(&percents);
}
