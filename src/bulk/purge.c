/*-------------------------------------------------------------------------
 *
 * purge.c
 *	  Removing the rows of what was deleted in batches, and the ledger's locks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bulk/ledger.h"
#include "miscadmin.h"
#include "rel.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/fmgroids.h"

/* Locks are advisory ones, in spaces of their own. */
#define RUN_LOCK_FIELD4		75
#define CHUNK_LOCK_FIELD4	76

/* A row of a chunk fills a page and counts for so many others. */
#define CHUNK_ROWS		10

static int64 remove_chunks(JobId job, int64 limit);
static bool lock(JobId job, uint32 field3, uint16 field4, LOCKMODE mode, bool wait);

/* ------------------------------------------------------------------------
 * Removing
 * ------------------------------------------------------------------------
 */

/* A million rows would take seconds, in which the caller waits and holds their locks. */
void
jobs_ledger_remove(JobId job)
{
	JobsRel		r;
	Datum		values[1] = {Int64GetDatum(job)};
	bool		nulls[1] = {false};

	jobs_rel_open(&r, REL_GARBAGE, RowExclusiveLock);
	jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
}

bool
jobs_ledger_purge(int limit)
{
	JobsRel		r;
	JobsRelScan scan;
	bool		more = false;

	jobs_rel_open(&r, REL_GARBAGE, RowExclusiveLock);
	jobs_rel_scan(&scan, &r, "garbage_pkey", NULL, 0, jobs_rel_snapshot());
	while (!more && jobs_rel_next(&scan))
	{
		bool		isnull;
		JobId		job = DatumGetInt64(slot_getattr(r.slot, 1, &isnull));

		if (!jobs_rel_lock(&r, JOBS_WAIT_SKIP, NULL))
			continue;
		limit -= jobs_rel_delete_by_job(REL_OUTCOME, "outcome_pkey", 1, job, JOBS_WAIT_SKIP, limit);
		limit -= jobs_rel_delete_by_job(REL_ITEM_CHUNK, "item_chunk_pkey", 1, job, JOBS_WAIT_SKIP, limit);
		limit -= jobs_rel_delete_by_job(REL_ITEM_RULE, "item_rule_pkey", 1, job, JOBS_WAIT_SKIP, limit);
		limit -= jobs_rel_delete_by_job(REL_ISSUE, "issue_pkey", 1, job, JOBS_WAIT_SKIP, limit);
		limit -= remove_chunks(job, (limit + CHUNK_ROWS - 1) / CHUNK_ROWS) * CHUNK_ROWS;
		more = limit <= 0;
		if (!more)
			jobs_rel_delete(&r);
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	return more;
}

/*
 * The rows of a large file take hundreds of batches, and while somebody has an old
 * snapshot, each would have to pass over all that were removed before.  What an
 * error takes back is no matter, since the scheduler ends with it.
 */
static int64
remove_chunks(JobId job, int64 limit)
{
	static JobId last_job = 0;
	static int64 last_seq;
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData keys[2];
	int64		n = 0;

	if (job != last_job)
		last_seq = 0;
	last_job = job;
	jobs_rel_open(&r, REL_CHUNK, RowExclusiveLock);
	jobs_key_int8(&keys[0], 1, job);
	ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(last_seq));
	jobs_rel_scan(&scan, &r, "chunk_pkey", keys, 2, jobs_rel_snapshot());
	while (n < limit && jobs_rel_next(&scan))
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		last_seq = DatumGetInt64(slot_getattr(r.slot, 2, &isnull));
		if (!jobs_rel_lock(&r, JOBS_WAIT_SKIP, NULL))
			continue;
		jobs_rel_delete(&r);
		n++;
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	if (n < limit)
		last_job = 0;
	return n;
}

/* ------------------------------------------------------------------------
 * Locks
 * ------------------------------------------------------------------------
 */

/* What meets by its hash or by being cut is only taken to be held. */
static bool
lock(JobId job, uint32 field3, uint16 field4, LOCKMODE mode, bool wait)
{
	LOCKTAG		tag;
	LockAcquireResult result;
	int			saved = LockTimeout;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) job, field3, field4);
	/* The owner's lock_timeout is for the locks of its items. */
	LockTimeout = 0;
	PG_TRY();
	{
		result = LockAcquire(&tag, mode, false, !wait);
	}
	PG_FINALLY();
	{
		LockTimeout = saved;
	}
	PG_END_TRY();
	return result != LOCKACQUIRE_NOT_AVAIL;
}

void
jobs_ledger_share(JobId job)
{
	(void) lock(job, (uint32) (job >> 32), RUN_LOCK_FIELD4, ShareLock, true);
}

bool
jobs_ledger_exclude(JobId job, bool wait)
{
	return lock(job, (uint32) (job >> 32), RUN_LOCK_FIELD4, ExclusiveLock, wait);
}

bool
jobs_ledger_take(JobId job, int64 first_no, bool wait)
{
	return lock(job, (uint32) first_no, CHUNK_LOCK_FIELD4, ExclusiveLock, wait);
}
