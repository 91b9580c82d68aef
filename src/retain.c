/*-------------------------------------------------------------------------
 *
 * retain.c
 *	  Retention and expiry, by the scheduler, in batches.
 *
 * What another transaction holds is left for later.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bulk/ledger.h"
#include "delivery/delivery.h"
#include "guc.h"
#include "import/upload.h"
#include "recent.h"
#include "retain.h"
#include "store.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define BATCH		500
#define PURGE_BATCH	5000		/* rows of what was deleted or has expired */
#define PAUSE_US	20000
#define SWEEP_US	USECS_PER_HOUR

/*
 * A clock that was set back may leave rows behind where the sweep has been, so
 * it begins anew from time to time.
 */
TimestampTz
jobs_retain(JobsDatabase *db, TimestampTz now)
{
	static TimestampTz history_from = DT_NOBEGIN;
	static TimestampTz files_from = DT_NOBEGIN;
	static TimestampTz uploads_from = DT_NOBEGIN;
	static TimestampTz kept_until = DT_NOEND;	/* jobs that were left for their deliveries */
	static TimestampTz forget_at = DT_NOBEGIN;	/* messages whose jobs were deleted */
	static TimestampTz sweep_began = 0;
	static bool more = false;	/* this call goes on where the last one was */
	TimestampTz next;
	bool		kept = kept_until != DT_NOEND && !more;
	bool		expired;

	if (now < sweep_began || now - sweep_began > SWEEP_US)
	{
		history_from = files_from = uploads_from = forget_at = DT_NOBEGIN;
		sweep_began = now;
	}
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	jobs_recent_fill(db);
	more = jobs_store_expire_files(&files_from, now, BATCH, &expired);
	/* Their jobs may have been kept for them, or for deliveries that are made by now. */
	if (expired || kept)
	{
		history_from = DT_NOBEGIN;
		kept_until = DT_NOEND;
	}
	next = jobs_store_next_expiry(files_from);
	more |= jobs_store_expire_uploads(&uploads_from, now, BATCH);
	next = Min(next, jobs_store_next_upload_expiry(uploads_from));
	next = Min(next, jobs_delivery_give_up(now, BATCH));
	if (now >= forget_at)
	{
		bool		left;

		more |= jobs_outbox_forget(now - JOBS_LIMIT_US, BATCH, &left) == BATCH;
		forget_at = more ? DT_NOBEGIN : left ? now + JOBS_LIMIT_US : DT_NOEND;
	}
	next = Min(next, forget_at);
	if (jobs_history_retention >= 0)
	{
		int64		keep = jobs_history_retention * USECS_PER_SEC;
		TimestampTz oldest;

		more |= jobs_store_prune_history(&history_from, now - keep, BATCH, &kept_until);
		oldest = jobs_store_oldest_finished(history_from);
		if (oldest != DT_NOEND)
			next = Min(next, oldest + keep);
		next = Min(next, kept_until);
	}
	/* After what was deleted just now. */
	more |= jobs_ledger_purge(PURGE_BATCH);
	PopActiveSnapshot();
	CommitTransactionCommand();
	/* What another transaction holds is left for later. */
	return more ? now + PAUSE_US : Max(next, now + USECS_PER_SEC);
}
