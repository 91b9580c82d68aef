/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  The items of bulk jobs and what became of them, in tables.
 *
 * Items are numbered from 1.  Their payloads never change and stand in chunks
 * (jobs.item_chunk) of up to JOBS_CHUNK_ITEMS.  What became of them is only ever
 * added (jobs.outcome): neighbours of one chunk that came to the same end in the
 * same round are one row, so that success costs next to nothing.  An item has at
 * most one outcome a round.  jobs.item_rule says which failed items a new round
 * has made open again, or were settled as skipped, without a row for each.
 *
 * The present state of an item follows from going through the rounds:
 *
 *	 open -> for each round up to the job's:
 *			 a rule that begins the round makes failed items open;
 *			 an outcome of the round is the item's state;
 *			 a rule of the round that skips makes failed items skipped
 *
 * Who works at items, in whatever process, holds two locks to the end of the
 * transaction that writes their outcomes.  jobs_ledger_share lets the end of the
 * job wait for it (and a job whose end holds jobs_ledger_exclude has no more
 * outcomes after it); it must then see that the job is still running.  And either
 * jobs_ledger_take of the chunk, after which it must read the chunk anew, since
 * others may have been there; or whatever else makes sure that nobody does the
 * same item in the same round.  A lock vanishes with its transaction, and so with
 * a process that dies.
 *
 * All of this goes through rel.h: it needs a transaction, commits nothing, and
 * no code of any user takes part.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_LEDGER_H
#define JOBS_LEDGER_H

#include "jobs.h"

#include "nodes/pg_list.h"
#include "utils/snapshot.h"

#define JOBS_CHUNK_ITEMS	256 /* at most, in a chunk */
#define JOBS_MAX_PAYLOAD	(16 * 1024 * 1024)	/* bytes of an item's payload or result */

typedef enum JobsItemState
{
	ITEM_OPEN,
	ITEM_SUCCEEDED,
	ITEM_FAILED,
	ITEM_SKIPPED
} JobsItemState;
#define ITEM_NUM_STATES	(ITEM_SKIPPED + 1)

extern const char *const jobs_item_state_names[ITEM_NUM_STATES];

/* What became of n items, from first_no on, all of one chunk, in one round. */
typedef struct JobsOutcome
{
	int64		first_no;
	int32		n;
	int32		round;
	JobsItemState state;		/* not ITEM_OPEN */
	TimestampTz finished_at;
	char	   *code;			/* SQLSTATE; NULL, as the next, where it succeeded */
	char	   *message;
	char	   *detail;			/* may be NULL */
	char	   *hint;			/* may be NULL */
	Jsonb	  **results;		/* n of them, each may be NULL; or NULL: none has one */
} JobsOutcome;

/* Failed items are open in a round from its beginning, or skipped from its end on. */
typedef struct JobsItemRule
{
	int32		round;
	bool		skip;
	char	   *reason;			/* only those with this message; NULL: all */
	TimestampTz made_at;
} JobsItemRule;

typedef struct JobsItem
{
	JobsItemState state;
	int32		round;			/* of its outcome; where it is open, the job's */
	TimestampTz finished_at;	/* 0 where it is open */
	const JobsOutcome *outcome; /* the last one, also of an item that is open again; or NULL */
} JobsItem;

typedef struct JobsItemCounts
{
	int64		total;
	int64		state[ITEM_NUM_STATES];
} JobsItemCounts;

/* ------------------------------------------------------------------------
 * Adding items
 * ------------------------------------------------------------------------
 */

typedef struct JobsItemWriter JobsItemWriter;

/*
 * Begins the items of a job that has none.  expected is how many there will be,
 * -1 where that is not known; chunks are small enough for the workers to share
 * them.  Works inside a read-only transaction, and while a query runs.  Lives in
 * the current memory context.
 */
extern JobsItemWriter *jobs_items_begin(JobId job, int workers, int64 expected);

/* Adds one.  Raises 54000 for a payload of more than JOBS_MAX_PAYLOAD. */
extern void jobs_items_add(JobsItemWriter *writer, const Jsonb *payload);

/* Returns how many there are. */
extern int64 jobs_items_end(JobsItemWriter *writer);

/* ------------------------------------------------------------------------
 * Reading chunks and adding outcomes
 * ------------------------------------------------------------------------
 */

typedef struct JobsLedger JobsLedger;

typedef struct JobsItems
{
	int64		first_no;
	int			n;
	int			nopen;
	JobsItem	item[JOBS_CHUNK_ITEMS];
	List	   *outcomes;		/* of JobsOutcome *, all of the chunk's, by round and number */
	/* for jobs_items_payload */
	struct varlena *packed;
	Jsonb	  **payloads;
	MemoryContext context;
} JobsItems;

/*
 * Opens a job's ledger as it is in a round, by a snapshot, or by one of now with
 * each look where it is NULL.  results tells whether outcomes are wanted with
 * theirs.  Lives in the current memory context.
 */
extern JobsLedger *jobs_ledger_open(JobId job, int32 round, Snapshot snapshot, bool results);
extern void jobs_ledger_close(JobsLedger *ledger);

/*
 * The chunk with an item, or where there is no such item the next chunk; NULL at
 * the end.  Valid until the next call.
 */
extern JobsItems *jobs_ledger_read(JobsLedger *ledger, int64 item_no);

/* The payload of the i-th item, counted from 0, of a chunk; valid as long as that. */
extern Jsonb *jobs_items_payload(JobsItems *items, int i);

/* Adds an outcome; it is seen by the next read.  Its round is the ledger's. */
extern void jobs_ledger_add(JobsLedger *ledger, const JobsOutcome *outcome);

/* Adds a rule; whoever does holds the job's row. */
extern void jobs_ledger_add_rule(JobsLedger *ledger, const JobsItemRule *rule);

/* The items of a job by their state, by a snapshot or NULL as above. */
extern void jobs_ledger_count(JobId job, int32 round, Snapshot snapshot, JobsItemCounts *counts);

/* The same into the job's counts; leaves a job alone whose items are not known yet. */
extern void jobs_ledger_count_job(Job *job);

/* Failed items with the same error. */
typedef struct JobsReason
{
	const char *code;			/* SQLSTATE */
	const char *message;
	int64		n;
} JobsReason;

/*
 * The reasons for which most items of a job have failed, at most max of them, most
 * first, of JobsReason *; *others is how many items failed for others.  In view.c.
 */
extern List *jobs_failure_reasons(JobId job, int32 round, int max, int64 *others);

/* ------------------------------------------------------------------------
 * Removing
 * ------------------------------------------------------------------------
 */

/*
 * Notes that a job has been deleted, an upload, or the file of an export; its rows go in batches,
 * by jobs_ledger_purge, which removes about limit rows, fewer of bytes, and returns whether there
 * are more.
 */
extern void jobs_ledger_remove(JobId job);
extern bool jobs_ledger_purge(int limit);

/* ------------------------------------------------------------------------
 * Locks, to the end of the transaction
 * ------------------------------------------------------------------------
 */

/* Beside others that work at the job's items; waits for its end. */
extern void jobs_ledger_share(JobId job);

/* Against them, for the job's end.  False where it does not wait and there are others. */
extern bool jobs_ledger_exclude(JobId job, bool wait);

/* Of one chunk, by its first item.  False where it does not wait and another has it. */
extern bool jobs_ledger_take(JobId job, int64 first_no, bool wait);

#endif							/* JOBS_LEDGER_H */
