/*-------------------------------------------------------------------------
 *
 * store_upload.c
 *	  Uploads in the tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bulk/ledger.h"
#include "due.h"
#include "import/upload.h"
#include "rel.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Columns of jobs.upload_entry. */
enum
{
	UPLOAD_ID, UPLOAD_OWNER, UPLOAD_TENANT, UPLOAD_FILENAME, UPLOAD_CREATED_AT, UPLOAD_EXPIRES_AT, UPLOAD_COUNT
};

/* Columns of jobs.upload_use. */
enum
{
	USE_JOB, USE_UPLOAD, USE_COUNT
};

static const JobsTimetable upload_times = {REL_UPLOAD, "upload_entry_expires_at", UPLOAD_EXPIRES_AT + 1};

static Upload *row_to_upload(TupleTableSlot *slot);
static JobId upload_of_job(JobsRel *r, JobId job);
static bool remove_expired(JobId id, TimestampTz now);

void
jobs_store_add_upload(const Upload *upload)
{
	JobsRel		r;
	Datum		values[UPLOAD_COUNT];
	bool		nulls[UPLOAD_COUNT] = {false};

	values[UPLOAD_ID] = Int64GetDatum(upload->id);
	values[UPLOAD_OWNER] = ObjectIdGetDatum(upload->owner);
	values[UPLOAD_TENANT] = CStringGetTextDatum(upload->tenant);
	values[UPLOAD_FILENAME] = upload->filename ? CStringGetTextDatum(upload->filename) : (Datum) 0;
	nulls[UPLOAD_FILENAME] = upload->filename == NULL;
	values[UPLOAD_CREATED_AT] = TimestampTzGetDatum(upload->created_at);
	values[UPLOAD_EXPIRES_AT] = TimestampTzGetDatum(upload->expires_at);
	jobs_rel_open(&r, REL_UPLOAD, RowExclusiveLock);
	jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
}

static Upload *
row_to_upload(TupleTableSlot *slot)
{
	Upload	   *upload = palloc0(sizeof(Upload));

	slot_getallattrs(slot);
	upload->id = DatumGetInt64(slot->tts_values[UPLOAD_ID]);
	upload->owner = DatumGetObjectId(slot->tts_values[UPLOAD_OWNER]);
	upload->tenant = TextDatumGetCString(slot->tts_values[UPLOAD_TENANT]);
	if (!slot->tts_isnull[UPLOAD_FILENAME])
		upload->filename = TextDatumGetCString(slot->tts_values[UPLOAD_FILENAME]);
	upload->created_at = DatumGetTimestampTz(slot->tts_values[UPLOAD_CREATED_AT]);
	upload->expires_at = DatumGetTimestampTz(slot->tts_values[UPLOAD_EXPIRES_AT]);
	return upload;
}

Upload *
jobs_store_find_upload(JobId id, bool lock)
{
	JobsRel		r;
	Upload	   *upload = NULL;

	jobs_rel_open(&r, REL_UPLOAD, lock ? RowExclusiveLock : AccessShareLock);
	if (jobs_rel_find(&r, "upload_entry_pkey", id) && (!lock || jobs_rel_lock(&r, JOBS_WAIT_BLOCK, NULL)))
		upload = row_to_upload(r.slot);
	jobs_rel_close(&r);
	return upload;
}

void
jobs_store_keep_upload(JobId id, TimestampTz expires_at)
{
	JobsRel		r;

	jobs_rel_open(&r, REL_UPLOAD, RowExclusiveLock);
	if (jobs_rel_find(&r, "upload_entry_pkey", id) && jobs_rel_lock(&r, JOBS_WAIT_BLOCK, NULL))
	{
		Datum		values[UPLOAD_COUNT];
		bool		nulls[UPLOAD_COUNT];

		slot_getallattrs(r.slot);
		memcpy(values, r.slot->tts_values, sizeof(values));
		memcpy(nulls, r.slot->tts_isnull, sizeof(nulls));
		values[UPLOAD_EXPIRES_AT] = TimestampTzGetDatum(expires_at);
		jobs_rel_update(&r, values, nulls);
	}
	jobs_rel_close(&r);
}

int64
jobs_upload_bytes(JobId id)
{
	return jobs_store_appended(id);
}

bytea *
jobs_upload_chunk(JobId id, int64 seq)
{
	bytea	   *chunk = jobs_store_get_chunk(id, seq, jobs_rel_snapshot());

	if (chunk == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("upload %lld has just been removed", (long long) id),
				 errhint("Upload the file again.")));
	return chunk;
}

void
jobs_store_remove_upload(JobId id)
{
	(void) jobs_rel_delete_by_job(REL_UPLOAD, "upload_entry_pkey", 1, id, JOBS_WAIT_BLOCK, 1);
	jobs_ledger_remove(id);
}

/* ------------------------------------------------------------------------
 * Jobs that use uploads
 * ------------------------------------------------------------------------
 */

void
jobs_upload_use(JobId upload, JobId job)
{
	JobsRel		r;
	Datum		values[USE_COUNT] = {Int64GetDatum(job), Int64GetDatum(upload)};
	bool		nulls[USE_COUNT] = {false};

	jobs_rel_open(&r, REL_UPLOAD_USE, RowExclusiveLock);
	jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
	jobs_store_keep_upload(upload, DT_NOEND);
}

static JobId
upload_of_job(JobsRel *r, JobId job)
{
	if (!jobs_rel_find(r, "upload_use_pkey", job))
		return 0;
	slot_getallattrs(r->slot);
	return DatumGetInt64(r->slot->tts_values[USE_UPLOAD]);
}

JobId
jobs_upload_of_job(JobId job)
{
	JobsRel		r;
	JobId		upload;

	jobs_rel_open(&r, REL_UPLOAD_USE, AccessShareLock);
	upload = upload_of_job(&r, job);
	jobs_rel_close(&r);
	return upload;
}

bool
jobs_upload_try_lock(JobId job)
{
	JobId		upload = jobs_upload_of_job(job);
	JobsRel		r;
	bool		held = false;

	if (upload == 0)
		return true;
	jobs_rel_open(&r, REL_UPLOAD, RowExclusiveLock);
	if (jobs_rel_find(&r, "upload_entry_pkey", upload))
		(void) jobs_rel_lock(&r, JOBS_WAIT_SKIP, &held);
	jobs_rel_close(&r);
	return !held;
}

/* The upload's row is locked first, by whoever wants to use it too. */
void
jobs_upload_unuse(JobId job)
{
	JobId		upload = jobs_upload_of_job(job);

	if (upload == 0)
		return;
	(void) jobs_store_find_upload(upload, true);
	(void) jobs_rel_delete_by_job(REL_UPLOAD_USE, "upload_use_pkey", USE_JOB + 1, job, JOBS_WAIT_BLOCK, 1);
	if (jobs_upload_user(upload) == 0)
		jobs_store_remove_upload(upload);
}

JobId
jobs_upload_user(JobId upload)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData key;
	JobId		job = 0;

	jobs_rel_open(&r, REL_UPLOAD_USE, AccessShareLock);
	jobs_key_int8(&key, 1, upload);
	jobs_rel_scan(&scan, &r, "upload_use_upload", &key, 1, jobs_rel_snapshot());
	if (jobs_rel_next(&scan))
	{
		slot_getallattrs(r.slot);
		job = DatumGetInt64(r.slot->tts_values[USE_JOB]);
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	return job;
}

/* ------------------------------------------------------------------------
 * Retention
 * ------------------------------------------------------------------------
 */

/* Unless somebody has it, or has it no longer expire; false where that is so. */
static bool
remove_expired(JobId id, TimestampTz now)
{
	JobsRel		r;
	bool		held = false;
	bool		mine;

	jobs_rel_open(&r, REL_UPLOAD, RowExclusiveLock);
	mine = jobs_rel_find(&r, "upload_entry_pkey", id) && jobs_rel_lock(&r, JOBS_WAIT_SKIP, &held) &&
		row_to_upload(r.slot)->expires_at < now;
	if (mine)
	{
		jobs_rel_delete(&r);
		jobs_ledger_remove(id);
	}
	jobs_rel_close(&r);
	return !held;
}

bool
jobs_store_expire_uploads(TimestampTz *from, TimestampTz now, int limit)
{
	JobsDue    *due = palloc(limit * sizeof(JobsDue));
	int			n = jobs_due(&upload_times, *from, now, due, limit);
	TimestampTz began = *from;
	bool		left = false;

	for (int i = 0; i < n; i++)
		jobs_due_passed(&due[i], remove_expired(due[i].job, now), &left, from);
	return n == limit && *from > began;
}

TimestampTz
jobs_store_next_upload_expiry(TimestampTz from)
{
	return jobs_due_first(&upload_times, from);
}
