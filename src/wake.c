/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  From a backend's commit to its database's scheduler.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "recent.h"
#include "wake.h"

/* Ranges of this transaction; more than these are merged into the last. */
#define MAX_NOTED	16

typedef struct Noted
{
	JobId		lo;
	JobId		hi;
} Noted;

static Noted noted[MAX_NOTED];
static int	nnoted = 0;
static bool noted_pause = false;
static bool noted_claim = false;	/* some of it was claimed by a client ... */
static bool undone_claim = false;	/* ... and that was rolled back */
static JobsDatabase *my_database = NULL;

static void at_xact_end(XactEvent event, void *arg);
static void at_subxact_end(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg);
static void push_noted(bool again);

void
jobs_wake_init(void)
{
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
}

/*
 * After an abort there is nothing to tell, unless others passed over what was claimed
 * meanwhile: a row that the scheduler found locked is looked at again by itself.  At PREPARE TRANSACTION the ranges are dropped:
 * COMMIT PREPARED, seen by the utility hook, makes the scheduler look at everything.
 */
static void
at_xact_end(XactEvent event, void *arg)
{
	if (nnoted == 0 && !noted_pause)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (nnoted > 0)
				jobs_recent_touch(jobs_first_noted());
			return;
		case XACT_EVENT_COMMIT:
			push_noted(undone_claim);
			break;
		case XACT_EVENT_ABORT:
			noted_pause = false;
			if (noted_claim || undone_claim)
				push_noted(true);
			break;
		case XACT_EVENT_PREPARE:
			break;
		default:
			return;
	}
	nnoted = 0;
	noted_pause = noted_claim = undone_claim = false;
}

/* Which of them does not matter: being told once too often does no harm. */
static void
at_subxact_end(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && noted_claim)
		undone_claim = true;
}

/*
 * A scheduler that saw no extension before this commit may have given the entry
 * back meanwhile.  If it does so later, it sees our events.
 */
static void
push_noted(bool again)
{
	JobsDatabase *db;

	do
	{
		db = jobs_database(MyDatabaseId, false);
		if (db == NULL)
			db = jobs_database(MyDatabaseId, true);
		if (db == NULL)
			return;
		SpinLockAcquire(&db->mutex);
		if (noted_pause)
			db->paused_changed = true;
		SpinLockRelease(&db->mutex);
		for (int i = 0; i < nnoted; i++)
			jobs_push_event(db, (JobsDbEvent) {.again = again, .lo = noted[i].lo, .hi = noted[i].hi});
		jobs_wake_scheduler(db);
	} while (db->dboid != MyDatabaseId);
}

/* Tells of a full table of databases while there can still be an error. */
static void
attach(void)
{
	if (jobs_shared == NULL || (my_database && my_database->dboid == MyDatabaseId))
		return;
	my_database = jobs_database(MyDatabaseId, true);
	if (my_database == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("extension \"jobs\" is in use in too many databases"),
				 errhint("One cluster can have it in %d databases.", JOBS_MAX_DATABASES)));
}

void
jobs_note_job(JobId id)
{
	attach();
	for (int i = nnoted - 1; i >= 0 && i >= nnoted - 2; i--)
	{
		if (id >= noted[i].lo && id <= noted[i].hi + 1)
		{
			noted[i].hi = Max(noted[i].hi, id);
			return;
		}
	}
	if (nnoted < MAX_NOTED)
	{
		noted[nnoted].lo = noted[nnoted].hi = id;
		nnoted++;
	}
	else
	{
		noted[nnoted - 1].lo = Min(noted[nnoted - 1].lo, id);
		noted[nnoted - 1].hi = Max(noted[nnoted - 1].hi, id);
	}
}

void
jobs_note_claim(JobId id)
{
	jobs_note_job(id);
	noted_claim = true;
}

void
jobs_note_pause(void)
{
	attach();
	noted_pause = true;
}

JobId
jobs_first_noted(void)
{
	JobId		first = PG_INT64_MAX;

	for (int i = 0; i < nnoted; i++)
		first = Min(first, noted[i].lo);
	return first;
}

void
jobs_note_download(JobId id)
{
	JobsDatabase *db;

	if (jobs_shared == NULL || RecoveryInProgress())
		return;
	db = jobs_database(MyDatabaseId, false);
	if (db == NULL)
		return;
	jobs_push_event(db, (JobsDbEvent) {.download = true, .lo = id, .hi = id});
	jobs_wake_scheduler(db);
}

/*
 * At the beginning of a page the insert position is behind the page's header,
 * which is written with the next record only.
 */
void
jobs_flush(void)
{
	XLogRecPtr	lsn;
	int			header;

	if (RecoveryInProgress())
		return;
	lsn = GetXLogInsertRecPtr();
	header = XLogSegmentOffset(lsn, wal_segment_size) < XLOG_BLCKSZ ? SizeOfXLogLongPHD : SizeOfXLogShortPHD;
	if (lsn % XLOG_BLCKSZ <= header)
		lsn -= lsn % XLOG_BLCKSZ;
	XLogFlush(lsn);
}

void
jobs_push_event(JobsDatabase *db, JobsDbEvent event)
{
	SpinLockAcquire(&db->mutex);
	if (db->nevents < JOBS_DB_EVENTS)
		db->events[db->nevents++] = event;
	else if (!event.download)
	{
		JobsDbEvent *last = &db->events[JOBS_DB_EVENTS - 1];

		/* A lost count of a download hurts less than a lost job. */
		if (last->download)
			*last = event;
		last->again |= event.again;
		last->lo = Min(last->lo, event.lo);
		last->hi = Max(last->hi, event.hi);
	}
	SpinLockRelease(&db->mutex);
}
