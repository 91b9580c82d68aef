/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  What launcher, schedulers, workers and backends share.
 *
 * One entry for each database that has work, one slot for each worker process.
 * Three locks, never two at once but in this order:
 *
 *	 JobsShared->lock	which entries and slots are taken, and by whom
 *	 entry->mutex		a database's events (spinlock)
 *	 slot->mutex		a worker's inbox and its job (spinlock)
 *
 * A slot's progress has no lock: the change-count protocol guards it.  A slot's
 * ring of events has one writer, the worker, and one reader, the scheduler.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_SHMEM_H
#define JOBS_SHMEM_H

#include "jobs.h"

#include "port/atomics.h"
#include "progress.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#define JOBS_MAX_DATABASES	128 /* with the extension, in one cluster */
#define JOBS_DB_EVENTS		64	/* ranges a database can have pending */
#define JOBS_INBOX			32	/* jobs dealt to a worker ahead */
#define JOBS_RING			128 /* events of a worker; a power of 2 */
#define JOBS_WAIT_CVS		16	/* condition variables of jobs.wait, by id */
#define JOBS_REASON_LEN		256
#define JOBS_ITEM_STATES	4	/* of JobsItemState */

/* Jobs lo to hi may have changed, or a file was read to its end. */
typedef struct JobsDbEvent
{
	bool		download;		/* lo is the job whose file was read */
	bool		again;			/* clients are to be told of them in any case */
	JobId		lo;
	JobId		hi;
} JobsDbEvent;

/* The least id of the jobs of a minute, or a second, see recent.h. */
#define JOBS_RECENT_MINUTES	64
#define JOBS_TOUCHED_SECONDS	8
typedef struct JobsRecent
{
	int64		period;			/* number of the minute or second */
	JobId		first;
} JobsRecent;

typedef struct JobsDatabase
{
	Oid			dboid;			/* InvalidOid: the entry is free */
	slock_t		mutex;
	/* guarded by JobsShared->lock */
	pid_t		scheduler_pid;	/* 0: none */
	Latch	   *scheduler_latch;
	bool		starting;		/* the launcher has asked for a scheduler */
	bool		wanted;			/* somebody wants a scheduler now */
	bool		failed;			/* the last scheduler ended with an error */
	TimestampTz next_needed;	/* DT_NOEND: only when something happens */
	int			quiet;			/* utility commands that keep it quiet */
	/* guarded by mutex */
	int			nevents;
	JobsDbEvent events[JOBS_DB_EVENTS];
	bool		paused_changed;
	JobsRecent	recent[JOBS_RECENT_MINUTES];
	bool		recent_known;	/* no minute is missing from then on ... */
	bool		recent_filled;	/* ... and what was before has been read */
	JobsRecent	touched[JOBS_TOUCHED_SECONDS];
	JobId		first_live;		/* that the scheduler knows or is about to look at; 0: it does not know yet */
	/* flags, each written by one process */
	bool		leave;			/* the scheduler shall leave */
	bool		cooling;		/* scheduler will look by itself soon */
	bool		wants_slot;		/* has work but no slot for it */
	bool		no_process;		/* the server is out of background workers */
	ConditionVariable changed[JOBS_WAIT_CVS];
} JobsDatabase;

typedef enum JobsSlotState
{
	SLOT_FREE,
	SLOT_STARTING,				/* process asked for */
	SLOT_ALIVE,
	SLOT_EXITED					/* process gone, scheduler has to settle */
} JobsSlotState;

typedef enum JobsEventKind
{
	JOBS_EVENT_STATE,			/* a job has reached a state, committed */
	JOBS_EVENT_HELD,			/* a dealt job's row is locked by somebody */
	JOBS_EVENT_LOOK				/* a dealt job is not what it was dealt as */
} JobsEventKind;

typedef struct JobsEvent
{
	JobsEventKind kind;
	JobId		job;
	JobKind		job_kind;
	JobState	state;
	int64		processed;
	int64		total;
	int64		succeeded;
	int64		failed;
	int64		skipped;
	int64		warnings;
	int			channels;		/* JOBS_CHANNEL_BIT of each with a new delivery */
} JobsEvent;

/* What jobs._slots() and NOTIFY show of a running job. */
typedef struct JobsProgress
{
	uint32		changes;		/* odd while it is being written */
	JobId		job;
	JobKind		kind;
	char		phase[JOBS_PHASE_LEN];
	char		message[JOBS_MESSAGE_LEN];
	TimestampTz said_at;		/* the message */
	int64		processed;
	int64		total;			/* -1: not known */
	bool		estimate;
	int64		bytes;
	int64		succeeded;
	int64		failed;
	int64		skipped;
	int64		warnings;
	double		percent;		/* < 0: not known; never goes back */
	TimestampTz counted_at;		/* processed counts from then on ... */
	int64		counted_from;	/* ... and had this value then */
	bool		items;			/* counts are those of the slot's items */
} JobsProgress;

typedef struct JobsSlot
{
	/* guarded by JobsShared->lock */
	JobsSlotState state;
	uint32		generation;		/* tells a late process that its slot went on */
	Oid			dboid;
	Oid			owner;
	Oid			connect_as;		/* the session's role; owner where possible */
	pid_t		pid;
	Latch	   *latch;
	Oid			reserved_for;	/* database that gets it next, or InvalidOid */
	TimestampTz reserved_at;
	TimestampTz taken_at;		/* by its database and owner */

	/* guarded by mutex */
	slock_t		mutex;
	JobId		job;			/* taken from the inbox, 0: none */
	Oid			job_owner;
	uint64		job_tenant;		/* hash of it, 0: none */
	TimestampTz job_started;	/* taken then */
	bool		job_shown;		/* claimed: owner and tenant are set */
	int			inbox_first;
	int			inbox_n;
	JobId		inbox[JOBS_INBOX];
	bool		idle;			/* nothing claimed, nothing in the inbox */
	TimestampTz idle_since;
	bool		leave;			/* go after the job at hand */
	bool		cancel;			/* stop the job at hand ... */
	TimestampTz cancel_at;		/* ... asked then */
	bool		finishing;		/* too late for that: it is committing */
	char		reason[JOBS_REASON_LEN];	/* of a FATAL exit, "" if none */
	int			reason_code;
	int			helpers_wanted; /* workers that could help with the job at hand */
	JobId		helping;		/* another's job that this one helps with, 0: none ... */
	int			help_slot;		/* ... which is in that slot */
	int			equal_count;	/* items of the job that have failed in a row ... */
	uint32		equal_hash;		/* ... with the same error */
	int			equal_code;
	char		equal_message[JOBS_REASON_LEN];

	/* items of a bulk job by what became of them, committed; any worker adds */
	pg_atomic_uint64 items[JOBS_ITEM_STATES];

	/* worker to scheduler */
	pg_atomic_uint32 ring_head; /* next to be read */
	pg_atomic_uint32 ring_tail; /* next to be written */
	JobsEvent	ring[JOBS_RING];

	JobsProgress progress;
} JobsSlot;

/* A session that claims deliveries, see delivery/couriers.c. */
#define JOBS_MAX_COURIERS	64
typedef struct JobsCourier
{
	pid_t		pid;			/* 0: none */
	Oid			dboid;
	int			channels;		/* JOBS_CHANNEL_BIT of each */
} JobsCourier;

typedef struct JobsShared
{
	LWLock	   *lock;
	LWLock	   *tally_lock;		/* see outside/tally.h */
	LWLock	   *prepared_lock;	/* see wake.c */
	pid_t		launcher_pid;
	Latch	   *launcher_latch;
	TimestampTz short_at;		/* the server was last out of processes */
	TimestampTz careful_until;	/* after a crash: "running" waits for the disk */
	int			nslots;
	JobsCourier couriers[JOBS_MAX_COURIERS];	/* guarded by lock */
	JobsDatabase databases[JOBS_MAX_DATABASES];
	JobsSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} JobsShared;

/* NULL where the library was not preloaded. */
extern JobsShared *jobs_shared;

/* Called from _PG_init while shared libraries are preloaded. */
extern void jobs_shmem_init(void);

/*
 * The entry of a database, made where create is set.  NULL where there is none,
 * or with create where all are taken.  Takes JobsShared->lock.
 */
extern JobsDatabase *jobs_database(Oid dboid, bool create);

/* Wakes the schedulers that wait for a slot; after one has become free or idle. */
extern void jobs_wake_slot_seekers(void);

/* Wakes a database's scheduler, or the launcher to start one. */
extern void jobs_wake_scheduler(JobsDatabase *db);
extern void jobs_wake_launcher(void);

/* Wakes those who wait for a job in jobs.wait. */
extern void jobs_wake_waiters(JobsDatabase *db, JobId job);

/*
 * A copy of a slot's progress.  False where the slot runs no job, or where its
 * process died in the middle of a change.
 */
extern bool jobs_progress_read(JobsSlot *slot, JobsProgress *copy);

/* It as a row of jobs._slots(), of JOBS_SLOTS_COLUMNS columns; pid is 0 for none. */
extern void jobs_progress_values(const JobsProgress *progress, pid_t pid, Datum *values, bool *nulls);

/*
 * Stops the workers that help with a job: what they have finished is committed,
 * what they are at is rolled back.
 */
extern void jobs_stop_helpers(Oid dboid, JobId job);

/* Hash of a tenant's name for JobsSlot.job_tenant. */
extern uint64 jobs_tenant_hash(const char *tenant);

/* The slot that runs a job, or NULL.  Another job may have followed at once. */
extern JobsSlot *jobs_slot_of(Oid dboid, JobId job);

#endif							/* JOBS_SHMEM_H */
