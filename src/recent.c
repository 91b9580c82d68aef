/*-------------------------------------------------------------------------
 *
 * recent.c
 *	  From which id on the jobs are that a reader of the views is to see.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "recent.h"
#include "store.h"
#include "utils/timestamp.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(jobs_live_floor);
PG_FUNCTION_INFO_V1(jobs_recent_floor);

/* What the views call recent. */
#define RECENT_US		USECS_PER_HOUR

/* Minutes that the ring keeps beyond that. */
#define SPARE_US		(2 * USECS_PER_MINUTE)

/* A transaction that began longer ago has to do without. */
#define YOUNG_US		USECS_PER_MINUTE
#define VERY_YOUNG_US	(2 * USECS_PER_SEC)

static JobsDatabase *my_entry(void);
static bool note(JobsRecent *ring, int size, JobId id, int64 period);
static void note_ended(JobsDatabase *db, JobId id, TimestampTz finished_at);
static void fill_one(JobId id, TimestampTz finished_at, void *arg);
static JobId least(const JobsRecent *ring, int size, int64 from);

static JobsDatabase *
my_entry(void)
{
	static JobsDatabase *db = NULL;

	if (db == NULL || db->dboid != MyDatabaseId)
		db = jobs_database(MyDatabaseId, false);
	return db;
}

/* False where the period has been given up already, after a clock was set back. */
static bool
note(JobsRecent *ring, int size, JobId id, int64 period)
{
	JobsRecent *recent = &ring[period % size];

	if (recent->period > period)
		return false;
	if (recent->period < period)
		recent->first = id;
	recent->period = period;
	recent->first = Min(recent->first, id);
	return true;
}

static void
note_ended(JobsDatabase *db, JobId id, TimestampTz finished_at)
{
	SpinLockAcquire(&db->mutex);
	if (!note(db->recent, JOBS_RECENT_MINUTES, id, finished_at / USECS_PER_MINUTE))
		db->recent_known = false;
	SpinLockRelease(&db->mutex);
}

void
jobs_recent_note(JobId id, TimestampTz finished_at)
{
	JobsDatabase *db = my_entry();

	if (db == NULL)
		return;
	note_ended(db, id, finished_at);
	jobs_recent_touch(id);
}

void
jobs_recent_touch(JobId id)
{
	JobsDatabase *db = my_entry();
	TimestampTz now = GetCurrentTimestamp();

	if (db == NULL)
		return;
	SpinLockAcquire(&db->mutex);
	if (!note(db->touched, JOBS_TOUCHED_SECONDS, id, now / USECS_PER_SEC))
		db->first_live = 0;
	SpinLockRelease(&db->mutex);
}

void
jobs_recent_publish(JobsDatabase *db, JobId first_live)
{
	SpinLockAcquire(&db->mutex);
	db->first_live = first_live;
	SpinLockRelease(&db->mutex);
}

static void
fill_one(JobId id, TimestampTz finished_at, void *arg)
{
	note_ended((JobsDatabase *) arg, id, finished_at);
}

static JobId
least(const JobsRecent *ring, int size, int64 from)
{
	JobId		first = PG_INT64_MAX;

	for (int i = 0; i < size; i++)
	{
		if (ring[i].period >= from)
			first = Min(first, ring[i].first);
	}
	return first;
}

void
jobs_recent_fill(JobsDatabase *db)
{
	static bool done = false;

	/* An earlier scheduler may have read them. */
	SpinLockAcquire(&db->mutex);
	done |= db->recent_known && db->recent_filled;
	if (!done)
		db->recent_known = true;
	SpinLockRelease(&db->mutex);
	if (done)
		return;
	done = true;
	jobs_store_scan_ended(GetCurrentTimestamp() - RECENT_US - SPARE_US, fill_one, db);
	SpinLockAcquire(&db->mutex);
	db->recent_filled = true;
	SpinLockRelease(&db->mutex);
}

/*
 * jobs._recent_floor(): 0 where it is not known.  The views' hour ends at the
 * beginning of their transaction, which may have been long ago.
 */
Datum
jobs_recent_floor(PG_FUNCTION_ARGS)
{
	JobsDatabase *db = jobs_shared && !RecoveryInProgress() ? my_entry() : NULL;
	TimestampTz began = GetCurrentTransactionStartTimestamp();
	JobId		first = 0;

	if (db == NULL || GetCurrentTimestamp() - began > YOUNG_US)
		PG_RETURN_INT64(0);
	SpinLockAcquire(&db->mutex);
	if (db->recent_known && db->recent_filled)
		first = least(db->recent, JOBS_RECENT_MINUTES, (began - RECENT_US) / USECS_PER_MINUTE);
	SpinLockRelease(&db->mutex);
	PG_RETURN_INT64(first);
}

/*
 * jobs._live_floor(): 0 where it is not known.  A snapshot as old as its
 * transaction may see jobs as live that have ended since.
 */
Datum
jobs_live_floor(PG_FUNCTION_ARGS)
{
	JobsDatabase *db = jobs_shared && !RecoveryInProgress() ? my_entry() : NULL;
	TimestampTz began = GetCurrentTransactionStartTimestamp();
	JobId		first = 0;

	if (db == NULL || db->scheduler_pid == 0 || GetCurrentTimestamp() - began > VERY_YOUNG_US)
		PG_RETURN_INT64(0);
	SpinLockAcquire(&db->mutex);
	/* Of events that are pending the scheduler knows nothing yet. */
	if (db->nevents == 0)
		first = Min(db->first_live, least(db->touched, JOBS_TOUCHED_SECONDS, began / USECS_PER_SEC - 1));
	SpinLockRelease(&db->mutex);
	PG_RETURN_INT64(Min(first, jobs_first_noted()));
}
