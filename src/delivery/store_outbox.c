/*-------------------------------------------------------------------------
 *
 * store_outbox.c
 *	  The outbox and what became of its attempts: part of the store.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/sequence.h"
#include "delivery/delivery.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "rel.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Columns of jobs.outbox. */
enum
{
	O_ID, O_JOB, O_OWNER, O_OWNER_NAME, O_TENANT, O_ORIGIN, O_CHANNEL, O_ADDRESS, O_MESSAGE_ID, O_CREATED_AT,
	O_STATE, O_ATTEMPTS, O_DUE_AT, O_CLAIMED_AT, O_COURIER, O_ENDED_AT, O_ANSWER, O_LINK, O_SUBJECT,
	O_BODY, O_HTML, O_PAYLOAD, O_COUNT
};
StaticAssertDecl(O_COUNT == JOBS_OUTBOX_NATTS, "JOBS_OUTBOX_NATTS is wrong");

/* Columns of jobs.outbox_attempt; the first three are the primary key. */
enum
{
	A_JOB, A_DELIVERY, A_ATTEMPT, A_COURIER, A_CLAIMED_AT, A_ENDED_AT, A_OUTCOME, A_ANSWER, A_COUNT
};
StaticAssertDecl(A_COUNT == JOBS_ATTEMPT_NATTS, "JOBS_ATTEMPT_NATTS is wrong");

#define GET(a)			(slot->tts_values[a])
#define GET_TEXT(a)		(slot->tts_isnull[a] ? NULL : TextDatumGetCString(GET(a)))
#define GET_TIME(a)		(slot->tts_isnull[a] ? 0 : DatumGetTimestampTz(GET(a)))

static int64 next_id(void);
static int	index_of(const char *const *names, int n, const char *name);
static void delivery_to_row(const JobsDelivery *d, Datum *values, bool *nulls);
static JobsDelivery *row_to_delivery(TupleTableSlot *slot);
static void put_text(Datum *values, bool *nulls, int n, const char *text);
static void put_time(Datum *values, bool *nulls, int n, TimestampTz time);
typedef bool (*RowFn) (JobsRel *r, void *arg);
static bool rows_of_job(JobId job, LOCKMODE mode, RowFn fn, void *arg);
static bool is_done(JobsRel *r, void *arg);
static bool lock_row(JobsRel *r, void *arg);
static bool add_id(JobsRel *r, void *arg);
static bool remove_row(JobsRel *r, void *arg);
static bool forget_row(JobsRel *r, void *arg);

/* The job of a row that only counts for its owner's limit. */
#define NO_JOB			0

/* One call of jobs_outbox_forget. */
typedef struct Forget
{
	TimestampTz before;
	int			limit;
	int			n;				/* removed */
	bool		left;			/* there are others */
} Forget;

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

/* The end of a job that only reads is written in a read-only transaction too. */
static int64
next_id(void)
{
	Oid			sequence = get_relname_relid("delivery_id", jobs_rel_require_schema());
	bool		read_only = XactReadOnly;
	int64		id;

	XactReadOnly = false;
	id = nextval_internal(sequence, false);
	XactReadOnly = read_only;
	return id;
}

static int
index_of(const char *const *names, int n, const char *name)
{
	for (int i = 0; name && i < n; i++)
	{
		if (strcmp(names[i], name) == 0)
			return i;
	}
	elog(ERROR, "unrecognized word in jobs.outbox: \"%s\"", name ? name : "null");
	return 0;					/* not reached */
}

static void
put_text(Datum *values, bool *nulls, int n, const char *text)
{
	nulls[n] = text == NULL;
	values[n] = text ? CStringGetTextDatum(text) : (Datum) 0;
}

static void
put_time(Datum *values, bool *nulls, int n, TimestampTz time)
{
	nulls[n] = time == 0;
	values[n] = TimestampTzGetDatum(time);
}

static void
delivery_to_row(const JobsDelivery *d, Datum *values, bool *nulls)
{
	memset(nulls, false, O_COUNT * sizeof(bool));
	values[O_ID] = Int64GetDatum(d->id);
	values[O_JOB] = Int64GetDatum(d->job);
	values[O_OWNER] = ObjectIdGetDatum(d->owner);
	put_text(values, nulls, O_OWNER_NAME, d->owner_name);
	put_text(values, nulls, O_TENANT, d->tenant);
	values[O_ORIGIN] = Int64GetDatum(d->origin);
	put_text(values, nulls, O_CHANNEL, jobs_channel_names[d->channel]);
	put_text(values, nulls, O_ADDRESS, d->address);
	put_text(values, nulls, O_MESSAGE_ID, d->message_id);
	put_time(values, nulls, O_CREATED_AT, d->created_at);
	put_text(values, nulls, O_STATE, jobs_delivery_state_names[d->state]);
	values[O_ATTEMPTS] = Int32GetDatum(d->attempts);
	put_time(values, nulls, O_DUE_AT, d->due_at);
	put_time(values, nulls, O_CLAIMED_AT, d->claimed_at);
	put_text(values, nulls, O_COURIER, d->courier);
	put_time(values, nulls, O_ENDED_AT, d->ended_at);
	put_text(values, nulls, O_ANSWER, d->answer);
	values[O_LINK] = BoolGetDatum(d->link);
	put_text(values, nulls, O_SUBJECT, d->subject);
	put_text(values, nulls, O_BODY, d->body);
	put_text(values, nulls, O_HTML, d->html);
	put_text(values, nulls, O_PAYLOAD, d->payload);
}

static JobsDelivery *
row_to_delivery(TupleTableSlot *slot)
{
	JobsDelivery *d = palloc0(sizeof(JobsDelivery));

	slot_getallattrs(slot);
	d->id = DatumGetInt64(GET(O_ID));
	d->job = DatumGetInt64(GET(O_JOB));
	d->owner = DatumGetObjectId(GET(O_OWNER));
	d->owner_name = GET_TEXT(O_OWNER_NAME);
	d->tenant = GET_TEXT(O_TENANT);
	d->origin = DatumGetInt64(GET(O_ORIGIN));
	d->channel = index_of(jobs_channel_names, JOBS_NUM_CHANNELS, TextDatumGetCString(GET(O_CHANNEL)));
	d->address = GET_TEXT(O_ADDRESS);
	d->message_id = GET_TEXT(O_MESSAGE_ID);
	d->created_at = GET_TIME(O_CREATED_AT);
	d->state = index_of(jobs_delivery_state_names, JOBS_NUM_DELIVERY_STATES, TextDatumGetCString(GET(O_STATE)));
	d->attempts = DatumGetInt32(GET(O_ATTEMPTS));
	d->due_at = GET_TIME(O_DUE_AT);
	d->claimed_at = GET_TIME(O_CLAIMED_AT);
	d->courier = GET_TEXT(O_COURIER);
	d->ended_at = GET_TIME(O_ENDED_AT);
	d->answer = GET_TEXT(O_ANSWER);
	d->link = DatumGetBool(GET(O_LINK));
	d->subject = GET_TEXT(O_SUBJECT);
	d->body = GET_TEXT(O_BODY);
	d->html = GET_TEXT(O_HTML);
	d->payload = GET_TEXT(O_PAYLOAD);
	return d;
}

void
jobs_outbox_add(JobsDelivery *delivery)
{
	JobsRel		r;
	Datum		values[O_COUNT];
	bool		nulls[O_COUNT];

	delivery->id = next_id();
	jobs_rel_open(&r, REL_OUTBOX, RowExclusiveLock);
	delivery_to_row(delivery, values, nulls);
	jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
}

JobsDelivery *
jobs_outbox_lock(int64 id, JobsWaitPolicy policy)
{
	JobsRel		r;
	JobsDelivery *delivery = NULL;

	jobs_rel_open(&r, REL_OUTBOX, RowExclusiveLock);
	if (jobs_rel_find(&r, "outbox_pkey", id) && jobs_rel_lock(&r, policy, NULL))
		delivery = row_to_delivery(r.slot);
	jobs_rel_close(&r);
	return delivery;
}

void
jobs_outbox_update(const JobsDelivery *delivery)
{
	JobsRel		r;
	Datum		values[O_COUNT];
	bool		nulls[O_COUNT];

	jobs_rel_open(&r, REL_OUTBOX, RowExclusiveLock);
	if (!jobs_rel_find(&r, "outbox_pkey", delivery->id))
		elog(ERROR, "delivery %lld is not in jobs.outbox", (long long) delivery->id);
	delivery_to_row(delivery, values, nulls);
	jobs_rel_update(&r, values, nulls);
	jobs_rel_close(&r);
}

void
jobs_outbox_add_attempt(const JobsDelivery *delivery, const char *outcome, const char *answer)
{
	JobsRel		r;
	Datum		values[A_COUNT];
	bool		nulls[A_COUNT] = {false};

	values[A_JOB] = Int64GetDatum(delivery->job);
	values[A_DELIVERY] = Int64GetDatum(delivery->id);
	values[A_ATTEMPT] = Int32GetDatum(delivery->attempts);
	put_text(values, nulls, A_COURIER, delivery->courier);
	put_time(values, nulls, A_CLAIMED_AT, delivery->claimed_at);
	put_time(values, nulls, A_ENDED_AT, GetCurrentTimestamp());
	put_text(values, nulls, A_OUTCOME, outcome);
	put_text(values, nulls, A_ANSWER, answer);
	jobs_rel_open(&r, REL_ATTEMPT, RowExclusiveLock);
	jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
}

/* ------------------------------------------------------------------------
 * By time and by owner
 * ------------------------------------------------------------------------
 */

void
jobs_outbox_due(JobsChannel channel, TimestampTz before, JobsOutboxFn fn, void *arg)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData keys[2];
	bool		more = true;

	jobs_rel_open(&r, REL_OUTBOX, AccessShareLock);
	jobs_key_text(&keys[0], 1, jobs_channel_names[channel]);
	ScanKeyInit(&keys[1], 2, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(before));
	jobs_rel_scan(&scan, &r, "outbox_due", keys, 2, jobs_rel_snapshot());
	while (more && jobs_rel_next(&scan))
	{
		TupleTableSlot *slot = r.slot;
		char	   *tenant;

		CHECK_FOR_INTERRUPTS();
		slot_getsomeattrs(slot, O_DUE_AT + 1);
		tenant = GET_TEXT(O_TENANT);
		more = fn(DatumGetInt64(GET(O_ID)), GET_TIME(O_DUE_AT), tenant, arg);
		pfree(tenant);
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
}

int
jobs_outbox_count(Oid owner, TimestampTz since, int max)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData keys[2];
	int			n = 0;

	jobs_rel_open(&r, REL_OUTBOX, AccessShareLock);
	jobs_key_oid(&keys[0], 1, owner);
	ScanKeyInit(&keys[1], 2, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT, TimestampTzGetDatum(since));
	jobs_rel_scan(&scan, &r, "outbox_owner", keys, 2, jobs_rel_snapshot());
	while (n < max && jobs_rel_next(&scan))
	{
		CHECK_FOR_INTERRUPTS();
		n++;
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	return n;
}

/* ------------------------------------------------------------------------
 * Those of a job
 * ------------------------------------------------------------------------
 */

/* Calls for each row until one call returns false; returns whether none did. */
static bool
rows_of_job(JobId job, LOCKMODE mode, RowFn fn, void *arg)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData key;
	bool		more = true;

	jobs_rel_open(&r, REL_OUTBOX, mode);
	jobs_key_int8(&key, 1, job);
	jobs_rel_scan(&scan, &r, "outbox_job", &key, 1, jobs_rel_snapshot());
	while (more && jobs_rel_next(&scan))
		more = fn(&r, arg);
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	return more;
}

static bool
is_done(JobsRel *r, void *arg)
{
	TupleTableSlot *slot = r->slot;

	slot_getsomeattrs(slot, O_DUE_AT + 1);
	return slot->tts_isnull[O_DUE_AT];
}

bool
jobs_outbox_busy(JobId job)
{
	return !rows_of_job(job, AccessShareLock, is_done, NULL);
}

/* One that has gone meanwhile is nobody's. */
static bool
lock_row(JobsRel *r, void *arg)
{
	bool		held;

	return jobs_rel_lock(r, JOBS_WAIT_SKIP, &held) || !held;
}

bool
jobs_outbox_try_lock(JobId job)
{
	return rows_of_job(job, RowExclusiveLock, lock_row, NULL);
}

static bool
add_id(JobsRel *r, void *arg)
{
	TupleTableSlot *slot = r->slot;
	int64	   *id = palloc(sizeof(int64));
	List	  **ids = arg;

	slot_getsomeattrs(slot, O_ID + 1);
	*id = DatumGetInt64(GET(O_ID));
	*ids = lappend(*ids, id);
	return true;
}

void
jobs_outbox_unlink(JobId job)
{
	List	   *ids = NIL;
	ListCell   *cell;

	(void) rows_of_job(job, AccessShareLock, add_id, &ids);
	foreach(cell, ids)
	{
		JobsDelivery *d = jobs_outbox_lock(*(int64 *) lfirst(cell), JOBS_WAIT_BLOCK);

		if (d && d->link)
		{
			d->link = false;
			jobs_outbox_update(d);
		}
	}
}

/* Of a message that has been sent within the hour, that it has. */
static bool
remove_row(JobsRel *r, void *arg)
{
	Datum		values[O_COUNT];
	bool		nulls[O_COUNT];
	JobsDelivery *d;

	/* A courier that answers meanwhile has it. */
	if (!jobs_rel_lock(r, JOBS_WAIT_BLOCK, NULL))
		return true;
	d = row_to_delivery(r->slot);
	if (d->attempts == 0 || d->created_at <= GetCurrentTimestamp() - JOBS_LIMIT_US)
	{
		jobs_rel_delete(r);
		return true;
	}
	d->job = NO_JOB;
	if (d->state == DELIVERY_CLAIMED || d->state == DELIVERY_PENDING)
		d->state = DELIVERY_FAILED;
	d->address = d->subject = "";
	d->due_at = 0;
	d->link = false;
	d->answer = d->body = d->html = d->payload = NULL;
	delivery_to_row(d, values, nulls);
	jobs_rel_update(r, values, nulls);
	return true;
}

void
jobs_outbox_remove(JobId job)
{
	(void) rows_of_job(job, RowExclusiveLock, remove_row, NULL);
	(void) jobs_rel_delete_by_job(REL_ATTEMPT, "outbox_attempt_pkey", 1, job, JOBS_WAIT_BLOCK, PG_INT64_MAX);
}

static bool
forget_row(JobsRel *r, void *arg)
{
	TupleTableSlot *slot = r->slot;
	Forget	   *f = arg;

	CHECK_FOR_INTERRUPTS();
	slot_getsomeattrs(slot, O_CREATED_AT + 1);
	if (f->n < f->limit && GET_TIME(O_CREATED_AT) <= f->before && jobs_rel_lock(r, JOBS_WAIT_SKIP, NULL))
	{
		jobs_rel_delete(r);
		f->n++;
	}
	else
		f->left = true;
	return f->n < f->limit;
}

int
jobs_outbox_forget(TimestampTz before, int limit, bool *left)
{
	Forget		f = {.before = before, .limit = limit};

	*left = !rows_of_job(NO_JOB, RowExclusiveLock, forget_row, &f) || f.left;
	return f.n;
}
