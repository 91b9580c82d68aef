/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  From a backend's commit to its database's scheduler.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/twophase.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "outside/tally.h"
#include "recent.h"
#include "storage/shmem.h"
#include "store.h"
#include "utils/inval.h"
#include "wake.h"

/* Ranges of a transaction; more than these are merged into the last. */
#define MAX_NOTED	16

typedef struct Noted
{
	JobId		lo;
	JobId		hi;
} Noted;

typedef struct Notes
{
	int			n;
	Noted		noted[MAX_NOTED];
	bool		pause;
	bool		claim;			/* some of it was claimed by a client ... */
	bool		undone;			/* ... and that was rolled back */
} Notes;

/* One that is prepared, with or without notes; in shared memory, under prepared_lock, which is taken alone. */
typedef struct Prepared
{
	char		gid[GIDSIZE];	/* "": the entry is free */
	Notes		notes;
} Prepared;

static Notes notes = {0};		/* of this transaction */
static char preparing[GIDSIZE] = "";	/* its name, if it is to be prepared */
static Notes ending = {0};		/* of the prepared transaction that a command is about to end */
static Prepared *all_prepared = NULL;
static JobsDatabase *my_database = NULL;

static void at_xact_end(XactEvent event, void *arg);
static void at_subxact_end(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg);
static JobId first_of(const Notes *what);
static void push(const Notes *what, bool again);
static Prepared *prepared_entry(const char *gid);
static void keep_prepared(void);

void
jobs_wake_init(void)
{
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
}

/*
 * After an abort there is nothing to tell, unless others passed over what was claimed
 * meanwhile: a row that the scheduler found locked is looked at again by itself.
 */
static void
at_xact_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (notes.n > 0)
				jobs_recent_touch(jobs_first_noted());
			return;
		case XACT_EVENT_COMMIT:
			if (notes.n > 0 || notes.pause)
				push(&notes, notes.undone);
			break;
		case XACT_EVENT_ABORT:
			notes.pause = false;
			if (notes.claim || notes.undone)
				push(&notes, true);
			break;
		case XACT_EVENT_PREPARE:
			keep_prepared();
			break;
		default:
			return;
	}
	notes.n = 0;
	notes.pause = notes.claim = notes.undone = false;
	preparing[0] = '\0';
}

/* Which of them does not matter: being told once too often does no harm. */
static void
at_subxact_end(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && notes.claim)
		notes.undone = true;
}

/*
 * A scheduler that saw no extension before this commit may have given the entry
 * back meanwhile.  If it does so later, it sees our events.
 */
static void
push(const Notes *what, bool again)
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
		if (what->pause)
			db->paused_changed = true;
		SpinLockRelease(&db->mutex);
		for (int i = 0; i < what->n; i++)
			jobs_push_event(db, (JobsDbEvent) {.again = again, .lo = what->noted[i].lo, .hi = what->noted[i].hi});
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
	Noted	   *last;

	attach();
	for (int i = notes.n - 1; i >= 0 && i >= notes.n - 2; i--)
	{
		Noted	   *noted = &notes.noted[i];

		if (id >= noted->lo && id <= noted->hi + 1)
		{
			noted->hi = Max(noted->hi, id);
			return;
		}
	}
	if (notes.n < MAX_NOTED)
	{
		notes.noted[notes.n].lo = notes.noted[notes.n].hi = id;
		notes.n++;
		return;
	}
	last = &notes.noted[MAX_NOTED - 1];
	last->lo = Min(last->lo, id);
	last->hi = Max(last->hi, id);
}

void
jobs_note_claim(JobId id)
{
	jobs_note_job(id);
	notes.claim = true;
}

void
jobs_note_pause(void)
{
	attach();
	notes.pause = true;
}

JobId
jobs_first_noted(void)
{
	return first_of(&notes);
}

static JobId
first_of(const Notes *what)
{
	JobId		first = PG_INT64_MAX;

	for (int i = 0; i < what->n; i++)
		first = Min(first, what->noted[i].lo);
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

/* ------------------------------------------------------------------------
 * Two-phase commit
 * ------------------------------------------------------------------------
 */

Size
jobs_wake_size(void)
{
	return mul_size(max_prepared_xacts, sizeof(Prepared));
}

/* After a crash the transactions are still there and the notes are not. */
void
jobs_wake_shmem_init(void)
{
	bool		found;

	all_prepared = ShmemInitStruct("jobs prepared", jobs_wake_size(), &found);
	if (!found)
		memset(all_prepared, 0, jobs_wake_size());
}

/* Under the lock; "" finds a free entry. */
static Prepared *
prepared_entry(const char *gid)
{
	for (int i = 0; i < max_prepared_xacts; i++)
	{
		if (strcmp(all_prepared[i].gid, gid) == 0)
			return &all_prepared[i];
	}
	return NULL;
}

void
jobs_wake_prepare(const char *gid)
{
	strlcpy(preparing, gid, GIDSIZE);
}

/* Also where there are no notes: else that could not be told from not knowing. */
static void
keep_prepared(void)
{
	Prepared   *entry;

	if (all_prepared == NULL || preparing[0] == '\0')
		return;
	LWLockAcquire(jobs_shared->prepared_lock, LW_EXCLUSIVE);
	entry = prepared_entry(preparing);
	if (entry == NULL)
		entry = prepared_entry("");
	if (entry)
	{
		strlcpy(entry->gid, preparing, GIDSIZE);
		entry->notes = notes;
	}
	LWLockRelease(jobs_shared->prepared_lock);
}

/*
 * The entry goes before the command can fail: then nobody knows any more, which only makes
 * work.  Readers shall see what becomes visible before the scheduler has been told.
 */
void
jobs_wake_end_prepared(const char *gid)
{
	Prepared   *entry;

	LWLockAcquire(jobs_shared->prepared_lock, LW_EXCLUSIVE);
	entry = gid[0] ? prepared_entry(gid) : NULL;
	if (entry)
	{
		ending = entry->notes;
		entry->gid[0] = '\0';
	}
	else
		ending = (Notes) {.n = 1, .noted = {{0, PG_INT64_MAX}}, .pause = true};
	LWLockRelease(jobs_shared->prepared_lock);
	if (ending.n > 0)
		jobs_recent_touch(first_of(&ending));
}

/* It may even have created the extension, or claimed what is free again. */
void
jobs_wake_prepared_ended(void)
{
	if (ending.n == 0 && !ending.pause)
		return;
	AcceptInvalidationMessages();
	if (!jobs_store_exists() || jobs_database(MyDatabaseId, true) == NULL)
		return;
	for (int i = 0; i < ending.n; i++)
		jobs_tally_distrust(ending.noted[i].lo, ending.noted[i].hi);
	push(&ending, ending.claim || ending.undone);
}
