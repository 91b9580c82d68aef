/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  Live progress of the running job, in the worker's slot.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "args.h"
#include "bulk/ledger.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "perform.h"
#include "outside/outside.h"
#include "progress.h"
#include "rights.h"
#include "shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker.h"

/* A reader gives up on a torn record after so many looks. */
#define MAX_LOOKS		1000

/* The protocol of pg_stat_activity: odd while a change is under way. */
#define BEGIN_CHANGE(p) \
	do { START_CRIT_SECTION(); (p)->changes++; pg_write_barrier(); } while (0)
#define END_CHANGE(p) \
	do { pg_write_barrier(); (p)->changes++; END_CRIT_SECTION(); } while (0)

PG_FUNCTION_INFO_V1(jobs_report_progress);
PG_FUNCTION_INFO_V1(jobs_slots);

static void set_percent(JobsProgress *progress);
static void show_percent(JobsProgress *progress, double percent);
static void read_items(JobsSlot *slot, JobsProgress *copy);
static void read_message(JobId job, JobsProgress *copy);
static char *item_message(int64 processed, int64 total, const char *message);

/* ------------------------------------------------------------------------
 * Writers
 * ------------------------------------------------------------------------
 */

void
jobs_progress_job(JobId job, JobKind kind)
{
	JobsProgress *progress = &jobs_my_slot->progress;

	BEGIN_CHANGE(progress);
	progress->job = job;
	progress->kind = kind;
	END_CHANGE(progress);
}

void
jobs_progress_begin(const char *phase, int64 total)
{
	JobsProgress *progress = &jobs_my_slot->progress;

	BEGIN_CHANGE(progress);
	strlcpy(progress->phase, phase, JOBS_PHASE_LEN);
	progress->message[0] = '\0';
	progress->said_at = 0;
	progress->processed = -1;
	progress->total = total;
	progress->estimate = false;
	progress->bytes = -1;
	progress->succeeded = -1;
	progress->failed = -1;
	progress->skipped = -1;
	progress->warnings = -1;
	progress->percent = -1;
	progress->counted_at = GetCurrentTimestamp();
	progress->counted_from = 0;
	progress->items = false;
	END_CHANGE(progress);
}

void
jobs_progress_phase(const char *phase)
{
	JobsProgress *progress = &jobs_my_slot->progress;

	BEGIN_CHANGE(progress);
	strlcpy(progress->phase, phase, JOBS_PHASE_LEN);
	END_CHANGE(progress);
}

void
jobs_progress_total(int64 total, bool estimate)
{
	JobsProgress *progress = &jobs_my_slot->progress;

	BEGIN_CHANGE(progress);
	progress->total = total;
	progress->estimate = estimate;
	set_percent(progress);
	END_CHANGE(progress);
}

void
jobs_progress_done(int64 processed, int64 bytes)
{
	JobsProgress *progress = &jobs_my_slot->progress;

	BEGIN_CHANGE(progress);
	progress->processed = processed;
	progress->bytes = bytes;
	set_percent(progress);
	END_CHANGE(progress);
}

void
jobs_progress_part(double part, int64 processed, int64 bytes)
{
	JobsProgress *progress = &jobs_my_slot->progress;

	BEGIN_CHANGE(progress);
	progress->processed = processed;
	progress->bytes = bytes;
	if (part > 0 && processed > 0)
	{
		double		total = processed / Min(part, 1);

		/* A tiny part of very many may be more than there are numbers. */
		progress->total = FLOAT8_FITS_IN_INT64(total) ? Max((int64) total, processed) : processed;
		progress->estimate = true;
		show_percent(progress, 100 * part);
	}
	END_CHANGE(progress);
}

void
jobs_progress_items(const Job *job)
{
	JobsProgress *progress = &jobs_my_slot->progress;

	pg_atomic_write_u64(&jobs_my_slot->items[ITEM_SUCCEEDED], job->succeeded);
	pg_atomic_write_u64(&jobs_my_slot->items[ITEM_FAILED], job->failed);
	pg_atomic_write_u64(&jobs_my_slot->items[ITEM_SKIPPED], job->skipped);
	BEGIN_CHANGE(progress);
	progress->total = job->total;
	progress->estimate = false;
	progress->counted_at = GetCurrentTimestamp();
	progress->counted_from = job->processed;
	progress->items = true;
	END_CHANGE(progress);
}

void
jobs_progress_message(const char *message)
{
	JobsProgress *progress = &jobs_my_slot->progress;
	TimestampTz now = GetCurrentTimestamp();
	int			len;

	if (message == NULL)
		message = "";
	len = pg_mbcliplen(message, strlen(message), JOBS_MESSAGE_LEN - 1);
	BEGIN_CHANGE(progress);
	memcpy(progress->message, message, len);
	progress->message[len] = '\0';
	progress->said_at = now;
	END_CHANGE(progress);
}

static void
set_percent(JobsProgress *progress)
{
	if (progress->total > 0 && progress->processed >= 0)
		show_percent(progress, 100.0 * progress->processed / progress->total);
}

/* A better total found on the way must not make the percentage go back. */
static void
show_percent(JobsProgress *progress, double percent)
{
	percent = Min(percent, JOBS_MAX_PERCENT);
	if (percent > progress->percent)
		progress->percent = percent;
}

/*
 * jobs.report_progress(processed bigint, total bigint, message text)
 */
Datum
jobs_report_progress(PG_FUNCTION_ARGS)
{
	int64		processed;
	int64		total = jobs_count_arg(fcinfo, 1, "total");
	char	   *message = jobs_text_arg(fcinfo, 2);

	jobs_require_arg(fcinfo, 0, "processed", "Pass how much is done.");
	processed = jobs_count_arg(fcinfo, 0, "processed");
	if (jobs_performing() == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no job in this session to report progress of"),
				 errhint("Call jobs.report_progress inside the SQL of a job.")));

	if (jobs_performing()->kind == JOB_BULK)
	{
		jobs_progress_message(item_message(processed, total, message));
		PG_RETURN_VOID();
	}
	if (total >= 0 && total != jobs_my_slot->progress.total)
		jobs_progress_total(total, false);
	jobs_progress_done(processed, jobs_my_slot->progress.bytes);
	if (message)
		jobs_progress_message(message);
	PG_RETURN_VOID();
}

/* The counts of a bulk job are of its items; what one of them counts is for people. */
static char *
item_message(int64 processed, int64 total, const char *message)
{
	StringInfoData text;

	initStringInfo(&text);
	if (message && message[0] != '\0')
		appendStringInfo(&text, "%s (", message);
	appendStringInfo(&text, INT64_FORMAT, processed);
	if (total >= 0)
		appendStringInfo(&text, " of " INT64_FORMAT, total);
	if (message && message[0] != '\0')
		appendStringInfoChar(&text, ')');
	return text.data;
}

/* ------------------------------------------------------------------------
 * Readers
 * ------------------------------------------------------------------------
 */

bool
jobs_progress_read(JobsSlot *slot, JobsProgress *copy)
{
	volatile JobsProgress *progress = &slot->progress;

	for (int look = 0; look < MAX_LOOKS; look++)
	{
		uint32		before = progress->changes;

		pg_read_barrier();
		memcpy(copy, unvolatize(JobsProgress *, progress), sizeof(JobsProgress));
		pg_read_barrier();
		if (before == progress->changes && (before & 1) == 0)
		{
			if (copy->items)
				read_items(slot, copy);
			if (copy->total >= 0)
				copy->total = Max(copy->total, copy->processed);
			return copy->job != 0;
		}
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/* What all workers of a bulk job have committed. */
static void
read_items(JobsSlot *slot, JobsProgress *copy)
{
	copy->succeeded = pg_atomic_read_u64(&slot->items[ITEM_SUCCEEDED]);
	copy->failed = pg_atomic_read_u64(&slot->items[ITEM_FAILED]);
	copy->skipped = pg_atomic_read_u64(&slot->items[ITEM_SKIPPED]);
	copy->processed = copy->succeeded + copy->failed + copy->skipped;
	set_percent(copy);
}

/* The last that any of its workers has said. */
static void
read_message(JobId job, JobsProgress *copy)
{
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];
		JobsProgress other;

		if (slot->dboid != MyDatabaseId || slot->helping != job || !jobs_progress_read(slot, &other) ||
			other.job != job || other.said_at <= copy->said_at)
			continue;
		memcpy(copy->message, other.message, JOBS_MESSAGE_LEN);
		copy->said_at = other.said_at;
	}
}

uint64
jobs_tenant_hash(const char *tenant)
{
	if (tenant == NULL || tenant[0] == '\0')
		return 0;
	return hash_bytes_extended((const unsigned char *) tenant, strlen(tenant), 0) | 1;
}

/*
 * jobs._slots(): live progress of the running jobs of this database that the
 * caller may see, also of those that clients do.
 */
Datum
jobs_slots(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	uint64		tenant = jobs_tenant_hash(jobs_tenant);

	InitMaterializedSRF(fcinfo, 0);
	jobs_outside_slots(rsinfo->setResult, rsinfo->setDesc);
	if (jobs_shared == NULL)
		return (Datum) 0;

	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];
		JobsProgress copy;
		Oid			owner;
		uint64		job_tenant;
		JobId		job;
		pid_t		pid;
		Datum		values[JOBS_SLOTS_COLUMNS];
		bool		nulls[JOBS_SLOTS_COLUMNS];

		if (slot->dboid != MyDatabaseId)
			continue;
		SpinLockAcquire(&slot->mutex);
		job = slot->job_shown ? slot->job : 0;
		owner = slot->job_owner;
		job_tenant = slot->job_tenant;
		pid = slot->pid;
		SpinLockRelease(&slot->mutex);

		/* The slot has only the hash of the tenant. */
		if (job == 0 || (tenant != 0 && tenant != job_tenant) || !jobs_may_see(owner, jobs_tenant))
			continue;
		if (!jobs_progress_read(slot, &copy) || copy.job != job)
			continue;
		if (copy.items)
			read_message(job, &copy);
		jobs_progress_values(&copy, pid, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

void
jobs_progress_values(const JobsProgress *progress, pid_t pid, Datum *values, bool *nulls)
{
	double		elapsed = (GetCurrentTimestamp() - progress->counted_at) / 1000000.0;
	double		rate = -1;
	double		left = -1;

	if (progress->processed > 0 && elapsed > 0.1)
		rate = (progress->processed - progress->counted_from) / elapsed;
	if (rate > 0 && progress->total >= progress->processed)
		left = (progress->total - progress->processed) / rate;

#define COUNT(n, value) \
	(nulls[n] = (value) < 0, values[n] = Int64GetDatum(value))

	memset(nulls, false, JOBS_SLOTS_COLUMNS * sizeof(bool));
	values[0] = Int64GetDatum(progress->job);
	values[1] = CStringGetTextDatum(progress->phase);
	COUNT(2, progress->processed);
	COUNT(3, progress->total);
	values[4] = Float8GetDatum(floor(progress->percent * 10) / 10);
	nulls[4] = progress->percent < 0;
	COUNT(5, progress->bytes);
	COUNT(6, progress->succeeded);
	COUNT(7, progress->failed);
	COUNT(8, progress->skipped);
	COUNT(9, progress->warnings);
	values[10] = Float8GetDatum(rint(rate * 10) / 10);
	nulls[10] = rate < 0;
	nulls[11] = left < 0 || left > 1e9;
	if (!nulls[11])
	{
		Interval   *eta = palloc0(sizeof(Interval));

		eta->time = (int64) ceil(left) * USECS_PER_SEC;
		values[11] = IntervalPGetDatum(eta);
	}
	values[12] = CStringGetTextDatum(progress->message);
	nulls[12] = progress->message[0] == '\0';
	values[13] = Int32GetDatum(pid);
	nulls[13] = pid == 0;
	values[14] = BoolGetDatum(progress->estimate);
	nulls[14] = progress->total < 0;
}
