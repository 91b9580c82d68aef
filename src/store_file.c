/*-------------------------------------------------------------------------
 *
 * store_file.c
 *	  Artifacts with their tokens, and retention.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tableam.h"
#include "bulk/ledger.h"
#include "executor/executor.h"
#include "delivery/delivery.h"
#include "miscadmin.h"
#include "due.h"
#include "import/import.h"
#include "import/upload.h"
#include "rel.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Columns of jobs.file. */
enum
{
	FILE_JOB, FILE_OWNER, FILE_TENANT, FILE_FILENAME, FILE_FORMAT, FILE_MEDIA_TYPE, FILE_ROWS, FILE_BYTES, FILE_SHA256,
	FILE_CREATED_AT, FILE_EXPIRES_AT, FILE_DOWNLOADS, FILE_CHUNKS, FILE_COUNT
};
StaticAssertDecl(FILE_COUNT == JOBS_FILE_NATTS, "JOBS_FILE_NATTS is wrong");

static const JobsTimetable history_times = {REL_HISTORY, "history_finished_at", 18};
static const JobsTimetable file_times = {REL_FILE, "file_expires_at", FILE_EXPIRES_AT + 1};

/* A job that is kept for its deliveries is looked at again after so long. */
#define KEPT_US		(10 * USECS_PER_MINUTE)

#define GET(a)		(slot->tts_values[a])
#define GET_TEXT(a)	TextDatumGetCString(GET(a))

static JobsFile *row_to_file(TupleTableSlot *slot);
static void change_file(JobId job, int64 downloads, bool no_chunks);
static bool lock_file(JobId job, JobsWaitPolicy policy, bool *held);
static bytea *hash_value(const uint8 *hash);
static bool file_is_alive(JobId job);
static void expire_file(JobId job);

/* ------------------------------------------------------------------------
 * Files
 * ------------------------------------------------------------------------
 */

void
jobs_store_add_file(const JobsFile *file)
{
	JobsRel		r;
	Datum		values[JOBS_FILE_NATTS];
	bool		nulls[JOBS_FILE_NATTS] = {false};

	values[FILE_JOB] = Int64GetDatum(file->job);
	values[FILE_OWNER] = ObjectIdGetDatum(file->owner);
	values[FILE_TENANT] = CStringGetTextDatum(file->tenant);
	values[FILE_FILENAME] = CStringGetTextDatum(file->filename);
	values[FILE_FORMAT] = CStringGetTextDatum(file->format);
	values[FILE_MEDIA_TYPE] = CStringGetTextDatum(file->media_type);
	values[FILE_ROWS] = Int64GetDatum(file->rows);
	values[FILE_BYTES] = Int64GetDatum(file->bytes);
	values[FILE_SHA256] = CStringGetTextDatum(file->sha256);
	values[FILE_CREATED_AT] = TimestampTzGetDatum(file->created_at);
	values[FILE_EXPIRES_AT] = TimestampTzGetDatum(file->expires_at);
	values[FILE_DOWNLOADS] = Int64GetDatum(file->downloads);
	values[FILE_CHUNKS] = Int64GetDatum(file->chunks);
	jobs_rel_open(&r, REL_FILE, RowExclusiveLock);
	jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
}

static JobsFile *
row_to_file(TupleTableSlot *slot)
{
	JobsFile   *file = palloc0(sizeof(JobsFile));

	slot_getallattrs(slot);
	file->job = DatumGetInt64(GET(FILE_JOB));
	file->owner = DatumGetObjectId(GET(FILE_OWNER));
	file->tenant = GET_TEXT(FILE_TENANT);
	file->filename = GET_TEXT(FILE_FILENAME);
	file->format = GET_TEXT(FILE_FORMAT);
	file->media_type = GET_TEXT(FILE_MEDIA_TYPE);
	file->rows = DatumGetInt64(GET(FILE_ROWS));
	file->bytes = DatumGetInt64(GET(FILE_BYTES));
	file->sha256 = GET_TEXT(FILE_SHA256);
	file->created_at = DatumGetTimestampTz(GET(FILE_CREATED_AT));
	file->expires_at = DatumGetTimestampTz(GET(FILE_EXPIRES_AT));
	file->downloads = DatumGetInt64(GET(FILE_DOWNLOADS));
	file->chunks = DatumGetInt64(GET(FILE_CHUNKS));
	return file;
}

JobsFile *
jobs_store_find_file(JobId job)
{
	JobsRel		r;
	JobsFile   *file = NULL;

	jobs_rel_open(&r, REL_FILE, AccessShareLock);
	if (jobs_rel_find(&r, "file_pkey", job))
		file = row_to_file(r.slot);
	jobs_rel_close(&r);
	return file;
}

/*
 * Whoever removes chunks or tokens of a file locks its row first, so that
 * retention, which must not wait for anybody, needs to ask for this one only.  When
 * a file has expired, its chunks are jobs_ledger_purge's.
 */
static bool
lock_file(JobId job, JobsWaitPolicy policy, bool *held)
{
	JobsRel		r;
	bool		locked;

	if (held)
		*held = false;
	jobs_rel_open(&r, REL_FILE, RowExclusiveLock);
	locked = jobs_rel_find(&r, "file_pkey", job) && jobs_rel_lock(&r, policy, held);
	jobs_rel_close(&r);
	return locked;
}

/* Adds to the downloads, and may set the chunks to 0.  Leaves a file that somebody holds. */
static void
change_file(JobId job, int64 downloads, bool no_chunks)
{
	JobsRel		r;

	jobs_rel_open(&r, REL_FILE, RowExclusiveLock);
	if (jobs_rel_find(&r, "file_pkey", job) && jobs_rel_lock(&r, JOBS_WAIT_SKIP, NULL))
	{
		TupleTableSlot *slot = r.slot;
		Datum		values[JOBS_FILE_NATTS];
		bool		nulls[JOBS_FILE_NATTS] = {false};

		slot_getallattrs(slot);
		memcpy(values, slot->tts_values, sizeof(values));
		values[FILE_DOWNLOADS] = Int64GetDatum(DatumGetInt64(GET(FILE_DOWNLOADS)) + downloads);
		if (no_chunks)
			values[FILE_CHUNKS] = Int64GetDatum(0);
		jobs_rel_update(&r, values, nulls);
	}
	jobs_rel_close(&r);
}

void
jobs_store_count_downloads(JobId job, int64 n)
{
	change_file(job, n, false);
}

/* The chunks of one that has expired are left to jobs_ledger_purge. */
void
jobs_store_remove_file(JobId job)
{
	JobsFile   *file;

	(void) lock_file(job, JOBS_WAIT_BLOCK, NULL);
	file = jobs_store_find_file(job);
	if (file && file->chunks > 0)
		(void) jobs_rel_delete_by_job(REL_CHUNK, "chunk_pkey", 1, job, JOBS_WAIT_BLOCK, PG_INT64_MAX);
	(void) jobs_rel_delete_by_job(REL_TOKEN, "share_token_job", 1, job, JOBS_WAIT_BLOCK, PG_INT64_MAX);
	(void) jobs_rel_delete_by_job(REL_FILE, "file_pkey", 1, job, JOBS_WAIT_BLOCK, PG_INT64_MAX);
}

int64
jobs_store_file_bytes(Oid owner)
{
	JobsRel		r;
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan;
	TimestampTz now = GetCurrentTimestamp();
	int64		bytes = 0;

	jobs_rel_open(&r, REL_FILE, AccessShareLock);
	scan = table_beginscan(r.rel, snapshot, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, r.slot))
	{
		TupleTableSlot *slot = r.slot;

		slot_getallattrs(slot);
		if (DatumGetObjectId(GET(FILE_OWNER)) == owner && DatumGetInt64(GET(FILE_CHUNKS)) > 0 &&
			DatumGetTimestampTz(GET(FILE_EXPIRES_AT)) > now)
			bytes += DatumGetInt64(GET(FILE_BYTES));
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	jobs_rel_close(&r);
	return bytes;
}

/* ------------------------------------------------------------------------
 * Tokens
 * ------------------------------------------------------------------------
 */

static bytea *
hash_value(const uint8 *hash)
{
	bytea	   *value = palloc(VARHDRSZ + 32);

	SET_VARSIZE(value, VARHDRSZ + 32);
	memcpy(VARDATA(value), hash, 32);
	return value;
}

void
jobs_store_add_token(const uint8 *hash, JobId job, TimestampTz expires_at)
{
	JobsRel		r;
	Datum		values[3] = {PointerGetDatum(hash_value(hash)), Int64GetDatum(job), TimestampTzGetDatum(expires_at)};
	bool		nulls[3] = {false, false, false};

	jobs_rel_open(&r, REL_TOKEN, RowExclusiveLock);
	jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
}

bool
jobs_store_find_token(const uint8 *hash, JobId *job, TimestampTz *expires_at)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData key;
	bool		found;

	jobs_rel_open(&r, REL_TOKEN, AccessShareLock);
	jobs_key_bytea(&key, 1, hash_value(hash));
	jobs_rel_scan(&scan, &r, "share_token_pkey", &key, 1, jobs_rel_snapshot());
	found = jobs_rel_next(&scan);
	if (found)
	{
		bool		isnull;

		*job = DatumGetInt64(slot_getattr(r.slot, 2, &isnull));
		*expires_at = DatumGetTimestampTz(slot_getattr(r.slot, 3, &isnull));
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	return found;
}

void
jobs_store_remove_tokens(JobId job)
{
	(void) lock_file(job, JOBS_WAIT_BLOCK, NULL);
	(void) jobs_rel_delete_by_job(REL_TOKEN, "share_token_job", 1, job, JOBS_WAIT_BLOCK, PG_INT64_MAX);
}

/* ------------------------------------------------------------------------
 * Retention
 * ------------------------------------------------------------------------
 */

/* Whether a file has not expired, or only just now; its job is kept with it. */
static bool
file_is_alive(JobId job)
{
	JobsFile   *file = jobs_store_find_file(job);

	return file && file->chunks > 0;
}

/* The row stays to tell that it expired; its bytes may be many and go in batches. */
static void
expire_file(JobId job)
{
	(void) jobs_rel_delete_by_job(REL_TOKEN, "share_token_job", 1, job, JOBS_WAIT_BLOCK, PG_INT64_MAX);
	change_file(job, 0, true);
	jobs_ledger_remove(job);
}

bool
jobs_store_prune_history(TimestampTz *from, TimestampTz before, int limit, TimestampTz *kept_until)
{
	JobsDue		   *due = palloc(limit * sizeof(JobsDue));
	int			n = jobs_due(&history_times, *from, before, due, limit);
	TimestampTz began = *from;
	TimestampTz now = GetCurrentTimestamp();
	int			removed = 0;
	bool		left = false;

	for (int i = 0; i < n; i++)
	{
		bool		held = false;
		bool		own;
		bool		mine;
		bool		deliveries = jobs_outbox_busy(due[i].job);
		Job		   *job;

		if (deliveries)
			*kept_until = Min(*kept_until, now + KEPT_US);
		if (deliveries || file_is_alive(due[i].job))
		{
			/* It is looked at again when a file has expired. */
			if (!left)
				*from = due[i].time + 1;
			continue;
		}
		job = jobs_store_lock_final_brief(due[i].job, JOBS_WAIT_SKIP);
		if (job && job->kind == JOB_IMPORT_PREVIEW)
			job = jobs_store_find(due[i].job, &own);
		mine = job && !jobs_preview_in_use(job);
		if (mine)
			(void) lock_file(due[i].job, JOBS_WAIT_SKIP, &held);
		mine &= !held;
		mine = mine && jobs_upload_try_lock(due[i].job) && jobs_outbox_try_lock(due[i].job);
		if (mine)
			jobs_store_delete(due[i].job);
		removed += mine;
		jobs_due_passed(&due[i], mine, &left, from);
	}
	return n == limit && (removed > 0 || *from > began);
}

bool
jobs_store_expire_files(TimestampTz *from, TimestampTz now, int limit, bool *removed)
{
	JobsDue		   *due = palloc(limit * sizeof(JobsDue));
	int			n = jobs_due(&file_times, *from, now, due, limit);
	bool		left = false;

	*removed = false;
	for (int i = 0; i < n; i++)
	{
		bool		mine = lock_file(due[i].job, JOBS_WAIT_SKIP, NULL);

		if (mine)
			expire_file(due[i].job);
		*removed |= mine;
		jobs_due_passed(&due[i], mine, &left, from);
	}
	return n == limit && *removed;
}

void
jobs_store_scan_ended(TimestampTz from, JobsEndedFn fn, void *arg)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData key;

	jobs_rel_open(&r, REL_HISTORY, AccessShareLock);
	ScanKeyInit(&key, 1, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE, TimestampTzGetDatum(from));
	jobs_rel_scan(&scan, &r, history_times.index, &key, 1, GetLatestSnapshot());
	while (jobs_rel_next(&scan))
	{
		TupleTableSlot *slot = r.slot;

		CHECK_FOR_INTERRUPTS();
		slot_getsomeattrs(slot, history_times.attno);
		fn(DatumGetInt64(GET(0)), DatumGetTimestampTz(GET(history_times.attno - 1)), arg);
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
}

TimestampTz
jobs_store_oldest_finished(TimestampTz from)
{
	return jobs_due_first(&history_times, from);
}

TimestampTz
jobs_store_next_expiry(TimestampTz from)
{
	return jobs_due_first(&file_times, from);
}
