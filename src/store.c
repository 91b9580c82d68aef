/*-------------------------------------------------------------------------
 *
 * store.c
 *	  Jobs in jobs.live and jobs.history, and dependencies.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "bulk/ledger.h"
#include "catalog/namespace.h"
#include "commands/sequence.h"
#include "common/hashfn.h"
#include "delivery/delivery.h"
#include "executor/executor.h"
#include "import/upload.h"
#include "miscadmin.h"
#include "outside/outside.h"
#include "recent.h"
#include "rel.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* The lock on a unique_key is an advisory lock in a space of its own. */
#define KEY_LOCK_FIELD4		74

/* Columns of jobs.live and jobs.history. */
enum
{
	A_ID, A_KIND, A_TITLE, A_OWNER, A_OWNER_NAME, A_SESSION_ROLE, A_BY_MEMBERSHIP, A_TENANT,
	A_QUEUE, A_PRIORITY, A_STATE, A_ROUND, A_ATTEMPT, A_MAX_ATTEMPTS, A_CREATED_AT, A_RUN_AT,
	A_STARTED_AT, A_FINISHED_AT, A_TIMEOUT, A_PROCESSED, A_TOTAL, A_SUCCEEDED, A_FAILED, A_SKIPPED,
	A_WARNINGS, A_ERROR_CODE, A_ERROR_MESSAGE, A_ERROR_DETAIL, A_ERROR_HINT, A_RESULT, A_UNIQUE_KEY,
	A_COMMAND, A_OPTIONS, A_SETTINGS, A_NOTIFY, A_ORIGIN, A_COUNT
};
StaticAssertDecl(A_COUNT == JOBS_LIVE_NATTS, "JOBS_LIVE_NATTS is wrong");

/* Which state may follow which: a bit for each. */
#define TO(s) (1 << (s))
static const int legal_next[JOB_NUM_STATES] = {
	[JOB_SCHEDULED] = TO(JOB_QUEUED) | TO(JOB_RUNNING) | TO(JOB_FAILED) | TO(JOB_CANCELLED),
	[JOB_WAITING] = TO(JOB_QUEUED) | TO(JOB_SCHEDULED) | TO(JOB_FAILED) | TO(JOB_CANCELLED),
	[JOB_QUEUED] = TO(JOB_RUNNING) | TO(JOB_FAILED) | TO(JOB_CANCELLED),
	[JOB_RUNNING] = TO(JOB_QUEUED) | TO(JOB_SCHEDULED) | TO(JOB_SUCCEEDED) | TO(JOB_PARTIAL) |
	TO(JOB_FAILED) | TO(JOB_CANCELLED),
	[JOB_SUCCEEDED] = 0,
	[JOB_PARTIAL] = TO(JOB_QUEUED) | TO(JOB_SUCCEEDED),
	[JOB_FAILED] = TO(JOB_QUEUED),
	[JOB_CANCELLED] = TO(JOB_QUEUED)
};

static void job_to_row(const Job *job, Datum *values, bool *nulls);
static Job *row_to_job(TupleTableSlot *slot, bool brief);
static bool written_here(TupleTableSlot *slot);
static Job *find_in(JobsRelName name, const char *index, JobId id, bool brief, bool *own);
static Job *find(JobId id, bool brief, bool *own);
static Job *lock_in(JobsRelName name, const char *index, JobId id, bool brief, JobsWaitPolicy policy, bool *held);
static void check_transition(JobId id, JobState old, JobState state);
static void move(Job *job, JobState old, JobsRelName from, const char *index, JobsRelName to);
static void scan_rel(JobsRel *r, JobId lo, JobId hi, JobsScanFn fn, void *arg);
static void report_row(TupleTableSlot *slot, JobsScanFn fn, void *arg);
static List *dependency_column(const char *index, int key_attno, int64 key, int attno);

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

#define PUT(a, is_null, datum) \
	do { if (!(nulls[a] = (is_null))) values[a] = (datum); else values[a] = (Datum) 0; } while (0)
#define PUT_TEXT(a, string)	PUT(a, (string) == NULL, CStringGetTextDatum(string))
#define PUT_TIME(a, time)	PUT(a, (time) == 0, TimestampTzGetDatum(time))
#define PUT_COUNT(a, n)		PUT(a, (n) < 0, Int64GetDatum(n))
#define PUT_POINTER(a, p)	PUT(a, (p) == NULL, PointerGetDatum(p))

static void
job_to_row(const Job *job, Datum *values, bool *nulls)
{
	PUT(A_ID, false, Int64GetDatum(job->id));
	PUT_TEXT(A_KIND, job_kind_names[job->kind]);
	PUT_TEXT(A_TITLE, job->title);
	PUT(A_OWNER, false, ObjectIdGetDatum(job->owner));
	PUT_TEXT(A_OWNER_NAME, job->owner_name);
	PUT(A_SESSION_ROLE, false, ObjectIdGetDatum(job->session_role));
	PUT(A_BY_MEMBERSHIP, false, BoolGetDatum(job->by_membership));
	PUT_TEXT(A_TENANT, job->tenant);
	PUT_TEXT(A_QUEUE, job->queue);
	PUT(A_PRIORITY, false, Int32GetDatum(job->priority));
	PUT_TEXT(A_STATE, job_state_names[job->state]);
	PUT(A_ROUND, false, Int32GetDatum(job->round));
	PUT(A_ATTEMPT, false, Int32GetDatum(job->attempt));
	PUT(A_MAX_ATTEMPTS, false, Int32GetDatum(job->max_attempts));
	PUT_TIME(A_CREATED_AT, job->created_at);
	PUT(A_RUN_AT, false, TimestampTzGetDatum(job->run_at));
	PUT_TIME(A_STARTED_AT, job->started_at);
	PUT_TIME(A_FINISHED_AT, job->finished_at);
	PUT_POINTER(A_TIMEOUT, job->timeout);
	PUT_COUNT(A_PROCESSED, job->processed);
	PUT_COUNT(A_TOTAL, job->total);
	PUT_COUNT(A_SUCCEEDED, job->succeeded);
	PUT_COUNT(A_FAILED, job->failed);
	PUT_COUNT(A_SKIPPED, job->skipped);
	PUT_COUNT(A_WARNINGS, job->warnings);
	PUT_TEXT(A_ERROR_CODE, job->error_code);
	PUT_TEXT(A_ERROR_MESSAGE, job->error_message);
	PUT_TEXT(A_ERROR_DETAIL, job->error_detail);
	PUT_TEXT(A_ERROR_HINT, job->error_hint);
	PUT_POINTER(A_RESULT, job->result);
	PUT_TEXT(A_UNIQUE_KEY, job->unique_key);
	PUT_TEXT(A_COMMAND, job->command);
	PUT_POINTER(A_OPTIONS, job->options);
	PUT_POINTER(A_SETTINGS, job->settings);
	PUT_POINTER(A_NOTIFY, job->notify);
	PUT(A_ORIGIN, false, Int64GetDatum(job->origin));
}

#define GET(a)			(slot->tts_values[a])
#define GET_TEXT(a)		(slot->tts_isnull[a] ? NULL : TextDatumGetCString(GET(a)))
#define GET_TIME(a)		(slot->tts_isnull[a] ? 0 : DatumGetTimestampTz(GET(a)))
#define GET_COUNT(a)	(slot->tts_isnull[a] ? -1 : DatumGetInt64(GET(a)))

static Job *
row_to_job(TupleTableSlot *slot, bool brief)
{
	Job		   *job = palloc0(sizeof(Job));

	slot_getallattrs(slot);
	job->id = DatumGetInt64(GET(A_ID));
	job->kind = job_kind_from_name(GET_TEXT(A_KIND));
	job->title = GET_TEXT(A_TITLE);
	job->owner = DatumGetObjectId(GET(A_OWNER));
	job->owner_name = GET_TEXT(A_OWNER_NAME);
	job->session_role = DatumGetObjectId(GET(A_SESSION_ROLE));
	job->by_membership = DatumGetBool(GET(A_BY_MEMBERSHIP));
	job->tenant = GET_TEXT(A_TENANT);
	job->queue = GET_TEXT(A_QUEUE);
	job->priority = DatumGetInt32(GET(A_PRIORITY));
	job->state = job_state_from_name(GET_TEXT(A_STATE));
	job->round = DatumGetInt32(GET(A_ROUND));
	job->attempt = DatumGetInt32(GET(A_ATTEMPT));
	job->max_attempts = DatumGetInt32(GET(A_MAX_ATTEMPTS));
	job->created_at = GET_TIME(A_CREATED_AT);
	job->run_at = GET_TIME(A_RUN_AT);
	job->started_at = GET_TIME(A_STARTED_AT);
	job->finished_at = GET_TIME(A_FINISHED_AT);
	if (!slot->tts_isnull[A_TIMEOUT])
	{
		job->timeout = palloc(sizeof(Interval));
		*job->timeout = *DatumGetIntervalP(GET(A_TIMEOUT));
	}
	job->processed = GET_COUNT(A_PROCESSED);
	job->total = GET_COUNT(A_TOTAL);
	job->succeeded = GET_COUNT(A_SUCCEEDED);
	job->failed = GET_COUNT(A_FAILED);
	job->skipped = GET_COUNT(A_SKIPPED);
	job->warnings = GET_COUNT(A_WARNINGS);
	job->error_code = GET_TEXT(A_ERROR_CODE);
	job->error_message = GET_TEXT(A_ERROR_MESSAGE);
	job->error_detail = GET_TEXT(A_ERROR_DETAIL);
	job->error_hint = GET_TEXT(A_ERROR_HINT);
	job->unique_key = GET_TEXT(A_UNIQUE_KEY);
	if (!slot->tts_isnull[A_NOTIFY])
		job->notify = DatumGetJsonbPCopy(GET(A_NOTIFY));
	job->origin = DatumGetInt64(GET(A_ORIGIN));
	job->outside = jobs_is_outside(job->kind, GET(A_COMMAND), job->total);
	if (brief)
		return job;
	if (!slot->tts_isnull[A_RESULT])
		job->result = DatumGetJsonbPCopy(GET(A_RESULT));
	job->command = GET_TEXT(A_COMMAND);
	if (!slot->tts_isnull[A_OPTIONS])
		job->options = DatumGetJsonbPCopy(GET(A_OPTIONS));
	if (!slot->tts_isnull[A_SETTINGS])
		job->settings = DatumGetArrayTypePCopy(GET(A_SETTINGS));
	return job;
}

/* ------------------------------------------------------------------------
 * Adding and finding
 * ------------------------------------------------------------------------
 */

bool
jobs_store_exists(void)
{
	return OidIsValid(jobs_rel_schema());
}

JobId
jobs_store_next_id(void)
{
	Oid			sequence = get_relname_relid("job_id", jobs_rel_require_schema());

	return nextval_internal(sequence, false);
}

void
jobs_store_insert(Job *job)
{
	JobsRel		live;
	Datum		values[JOBS_LIVE_NATTS];
	bool		nulls[JOBS_LIVE_NATTS];

	jobs_rel_open(&live, REL_LIVE, RowExclusiveLock);
	job_to_row(job, values, nulls);
	jobs_rel_insert(&live, values, nulls);
	jobs_rel_close(&live);
	jobs_outside_follow(job, JOB_NUM_STATES);
}

/* Whether the current transaction has written the row. */
static bool
written_here(TupleTableSlot *slot)
{
	bool		isnull;
	Datum		xmin = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull);

	return TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin));
}

static Job *
find_in(JobsRelName name, const char *index, JobId id, bool brief, bool *own)
{
	JobsRel		r;
	Job		   *job = NULL;

	jobs_rel_open(&r, name, AccessShareLock);
	if (jobs_rel_find(&r, index, id))
	{
		job = row_to_job(r.slot, brief);
		*own = written_here(r.slot);
	}
	jobs_rel_close(&r);
	return job;
}

/*
 * A job that moves from one table to the other between our two looks, each
 * with its own snapshot, is found by the third.
 */
static Job *
find(JobId id, bool brief, bool *own)
{
	Job		   *job;

	*own = false;
	job = find_in(REL_LIVE, "live_pkey", id, brief, own);
	if (job == NULL)
		job = find_in(REL_HISTORY, "history_pkey", id, brief, own);
	if (job == NULL)
		job = find_in(REL_LIVE, "live_pkey", id, brief, own);
	return job;
}

Job *
jobs_store_find(JobId id, bool *own)
{
	return find(id, false, own);
}

Job *
jobs_store_find_brief(JobId id, bool *own)
{
	return find(id, true, own);
}

void
jobs_store_lock_key(Oid owner, const char *tenant, const char *key)
{
	LOCKTAG		tag;
	uint64		hash;

	/* No key of one role can be made to meet another role's. */
	hash = hash_bytes_extended((const unsigned char *) tenant, strlen(tenant), 0);
	hash = hash_bytes_extended((const unsigned char *) key, strlen(key), hash);
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, owner, (uint32) hash, KEY_LOCK_FIELD4);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

Job *
jobs_store_find_key(Oid owner, const char *tenant, const char *key)
{
	JobsRel		live;
	JobsRelScan scan;
	ScanKeyData keys[3];
	Job		   *job = NULL;

	jobs_rel_open(&live, REL_LIVE, AccessShareLock);
	jobs_key_oid(&keys[0], 1, owner);
	jobs_key_text(&keys[1], 2, tenant);
	jobs_key_text(&keys[2], 3, key);
	jobs_rel_scan(&scan, &live, "live_unique_key", keys, 3, jobs_rel_snapshot());
	if (jobs_rel_next(&scan))
		job = row_to_job(live.slot, false);
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&live);
	return job;
}

void
jobs_store_scan(JobId lo, JobId hi, JobsScanFn fn, void *arg)
{
	JobsRel		live;

	jobs_rel_open(&live, REL_LIVE, AccessShareLock);
	if (lo > 0 || hi < PG_INT64_MAX)
		scan_rel(&live, lo, hi, fn, arg);
	else
	{
		Snapshot	snapshot = RegisterSnapshot(jobs_rel_latest());
		TableScanDesc scan = table_beginscan(live.rel, snapshot, 0, NULL);

		while (table_scan_getnextslot(scan, ForwardScanDirection, live.slot))
			report_row(live.slot, fn, arg);
		table_endscan(scan);
		UnregisterSnapshot(snapshot);
	}
	jobs_rel_close(&live);
}

static void
scan_rel(JobsRel *r, JobId lo, JobId hi, JobsScanFn fn, void *arg)
{
	JobsRelScan scan;
	ScanKeyData keys[2];

	jobs_key_int8_range(keys, 1, lo, hi);
	jobs_rel_scan(&scan, r, "live_pkey", keys, 2, GetLatestSnapshot());
	while (jobs_rel_next(&scan))
		report_row(r->slot, fn, arg);
	jobs_rel_scan_end(&scan);
}

static void
report_row(TupleTableSlot *slot, JobsScanFn fn, void *arg)
{
	Job			job = {0};
	char	   *kind;
	char	   *state;

	CHECK_FOR_INTERRUPTS();
	slot_getsomeattrs(slot, A_RUN_AT + 1);
	job.id = DatumGetInt64(GET(A_ID));
	kind = GET_TEXT(A_KIND);
	job.kind = job_kind_from_name(kind);
	job.owner = DatumGetObjectId(GET(A_OWNER));
	job.session_role = DatumGetObjectId(GET(A_SESSION_ROLE));
	job.by_membership = DatumGetBool(GET(A_BY_MEMBERSHIP));
	job.tenant = GET_TEXT(A_TENANT);
	job.queue = GET_TEXT(A_QUEUE);
	job.priority = DatumGetInt32(GET(A_PRIORITY));
	state = GET_TEXT(A_STATE);
	job.state = job_state_from_name(state);
	job.attempt = DatumGetInt32(GET(A_ATTEMPT));
	job.max_attempts = DatumGetInt32(GET(A_MAX_ATTEMPTS));
	job.created_at = GET_TIME(A_CREATED_AT);
	job.run_at = GET_TIME(A_RUN_AT);
	job.origin = DatumGetInt64(slot_getattr(slot, A_ORIGIN + 1, &slot->tts_isnull[A_ORIGIN]));
	job.outside = jobs_is_outside(job.kind, GET(A_COMMAND), GET_COUNT(A_TOTAL));
	fn(&job, arg);
	pfree(job.tenant);
	pfree(job.queue);
	pfree(kind);
	pfree(state);
}

/* ------------------------------------------------------------------------
 * Locking and changing
 * ------------------------------------------------------------------------
 */

static Job *
lock_in(JobsRelName name, const char *index, JobId id, bool brief, JobsWaitPolicy policy, bool *held)
{
	JobsRel		r;
	Job		   *job = NULL;

	*held = false;
	jobs_rel_open(&r, name, RowExclusiveLock);
	if (jobs_rel_find(&r, index, id) && jobs_rel_lock(&r, policy, held))
		job = row_to_job(r.slot, brief);
	jobs_rel_close(&r);
	return job;
}

Job *
jobs_store_lock(JobId id, JobsWaitPolicy policy, bool *held)
{
	return lock_in(REL_LIVE, "live_pkey", id, false, policy, held);
}

Job *
jobs_store_lock_final(JobId id, JobsWaitPolicy policy)
{
	bool		held;

	return lock_in(REL_HISTORY, "history_pkey", id, false, policy, &held);
}

Job *
jobs_store_lock_final_brief(JobId id, JobsWaitPolicy policy)
{
	bool		held;

	return lock_in(REL_HISTORY, "history_pkey", id, true, policy, &held);
}

static void
check_transition(JobId id, JobState old, JobState state)
{
	if (old != state && (legal_next[old] & TO(state)) == 0)
		elog(ERROR, "job %lld cannot go from state %s to state %s", (long long) id,
			 job_state_names[old], job_state_names[state]);
}

void
jobs_store_update(Job *job, JobState old)
{
	JobsRel		live;
	Datum		values[JOBS_LIVE_NATTS];
	bool		nulls[JOBS_LIVE_NATTS];

	Assert(!job_state_is_final(job->state));
	check_transition(job->id, old, job->state);
	jobs_rel_open(&live, REL_LIVE, RowExclusiveLock);
	if (!jobs_rel_find(&live, "live_pkey", job->id))
		elog(ERROR, "job %lld is not in jobs.live", (long long) job->id);
	job_to_row(job, values, nulls);
	jobs_rel_update(&live, values, nulls);
	jobs_rel_close(&live);
	jobs_outside_follow(job, old);
}

static void
move(Job *job, JobState old, JobsRelName from, const char *index, JobsRelName to)
{
	JobsRel		r;
	Datum		values[JOBS_LIVE_NATTS];
	bool		nulls[JOBS_LIVE_NATTS];

	check_transition(job->id, old, job->state);
	jobs_rel_open(&r, from, RowExclusiveLock);
	if (!jobs_rel_find(&r, index, job->id))
		elog(ERROR, "job %lld is not in jobs.%s", (long long) job->id, RelationGetRelationName(r.rel));
	jobs_rel_delete(&r);
	jobs_rel_close(&r);

	jobs_rel_open(&r, to, RowExclusiveLock);
	job_to_row(job, values, nulls);
	jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
	jobs_outside_follow(job, old);
}

void
jobs_store_finish(Job *job, JobState old)
{
	Assert(job_state_is_final(job->state));
	jobs_recent_note(job->id, job->finished_at);
	if (old == JOB_WAITING)
		jobs_store_remove_dependencies(job->id);
	move(job, old, REL_LIVE, "live_pkey", REL_HISTORY);
	jobs_delivery_write(job);
}

void
jobs_store_revive(Job *job, JobState old)
{
	Assert(!job_state_is_final(job->state));
	if (jobs_store_find_file(job->id))
		jobs_store_remove_file(job->id);
	move(job, old, REL_HISTORY, "history_pkey", REL_LIVE);
}

void
jobs_store_update_final(Job *job, JobState old)
{
	JobsRel		history;
	Datum		values[JOBS_LIVE_NATTS];
	bool		nulls[JOBS_LIVE_NATTS];

	Assert(job_state_is_final(job->state));
	check_transition(job->id, old, job->state);
	jobs_rel_open(&history, REL_HISTORY, RowExclusiveLock);
	if (!jobs_rel_find(&history, "history_pkey", job->id))
		elog(ERROR, "job %lld is not in jobs.history", (long long) job->id);
	job_to_row(job, values, nulls);
	jobs_rel_update(&history, values, nulls);
	jobs_rel_close(&history);
}

void
jobs_store_delete(JobId id)
{
	JobsRel		history;
	JobKind		kind = JOB_RUN;

	jobs_rel_open(&history, REL_HISTORY, RowExclusiveLock);
	if (jobs_rel_find(&history, "history_pkey", id))
	{
		slot_getsomeattrs(history.slot, A_KIND + 1);
		kind = job_kind_from_name(TextDatumGetCString(history.slot->tts_values[A_KIND]));
		jobs_rel_delete(&history);
	}
	jobs_rel_close(&history);
	if (kind == JOB_BULK || kind == JOB_IMPORT_PREVIEW || kind == JOB_IMPORT)
		jobs_ledger_remove(id);
	jobs_outbox_remove(id);
	jobs_store_remove_dependencies(id);
	if (jobs_store_find_file(id))
		jobs_store_remove_file(id);
	jobs_upload_unuse(id);
}

/* ------------------------------------------------------------------------
 * Dependencies
 * ------------------------------------------------------------------------
 */

static List *
dependency_column(const char *index, int key_attno, int64 key, int attno)
{
	JobsRel		dependency;
	JobsRelScan scan;
	ScanKeyData scankey;
	List	   *list = NIL;

	jobs_rel_open(&dependency, REL_DEPENDENCY, AccessShareLock);
	jobs_key_int8(&scankey, 1, key);
	jobs_rel_scan(&scan, &dependency, index, &scankey, 1, jobs_rel_snapshot());
	while (jobs_rel_next(&scan))
	{
		bool		isnull;
		int64	   *value = palloc(sizeof(int64));

		*value = DatumGetInt64(slot_getattr(dependency.slot, attno, &isnull));
		list = lappend(list, value);
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&dependency);
	return list;
}

List *
jobs_store_dependencies(JobId id)
{
	return dependency_column("dependency_pkey", 1, id, 2);
}

List *
jobs_store_dependants(JobId after)
{
	return dependency_column("dependency_after", 2, after, 1);
}

void
jobs_store_add_dependency(JobId id, JobId after)
{
	JobsRel		dependency;
	Datum		values[2] = {Int64GetDatum(id), Int64GetDatum(after)};
	bool		nulls[2] = {false, false};

	jobs_rel_open(&dependency, REL_DEPENDENCY, RowExclusiveLock);
	jobs_rel_insert(&dependency, values, nulls);
	jobs_rel_close(&dependency);
}

void
jobs_store_remove_dependencies(JobId id)
{
	JobsRel		dependency;
	JobsRelScan scan;
	ScanKeyData key;

	jobs_rel_open(&dependency, REL_DEPENDENCY, RowExclusiveLock);
	jobs_key_int8(&key, 1, id);
	jobs_rel_scan(&scan, &dependency, "dependency_pkey", &key, 1, jobs_rel_snapshot());
	while (jobs_rel_next(&scan))
	{
		if (jobs_rel_lock(&dependency, JOBS_WAIT_BLOCK, NULL))
			jobs_rel_delete(&dependency);
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&dependency);
}

void
jobs_store_remove_dependency(JobId id, JobId after, bool *held)
{
	JobsRel		dependency;
	JobsRelScan scan;
	ScanKeyData keys[2];

	*held = false;
	jobs_rel_open(&dependency, REL_DEPENDENCY, RowExclusiveLock);
	jobs_key_int8(&keys[0], 1, id);
	jobs_key_int8(&keys[1], 2, after);
	jobs_rel_scan(&scan, &dependency, "dependency_pkey", keys, 2, jobs_rel_snapshot());
	if (jobs_rel_next(&scan) && jobs_rel_lock(&dependency, JOBS_WAIT_SKIP, held))
		jobs_rel_delete(&dependency);
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&dependency);
}

/* From the end, because the first ones are usually the first to go. */
bool
jobs_store_has_dependencies(JobId id)
{
	JobsRel		dependency;
	JobsRelScan scan;
	ScanKeyData key;
	bool		found;

	jobs_rel_open(&dependency, REL_DEPENDENCY, AccessShareLock);
	jobs_key_int8(&key, 1, id);
	jobs_rel_scan(&scan, &dependency, "dependency_pkey", &key, 1, jobs_rel_snapshot());
	found = index_getnext_slot(scan.scan, BackwardScanDirection, dependency.slot);
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&dependency);
	return found;
}
