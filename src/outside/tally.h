/*-------------------------------------------------------------------------
 *
 * tally.h
 *	  The counts of bulk jobs that clients do, in shared memory.
 *
 * They are for the views, for NOTIFY, and to find out that everything fails.  What a
 * transaction says of items is added when it has committed.  The ledger has the
 * truth, by which the job ends; a tally is made from it where there is none, and
 * where a prepared transaction may have added to the ledger.  Where there are
 * JOBS_MAX_TALLIES jobs in the cluster, further ones show their counts at the end.
 *
 * JobsShared->tally_lock guards all of them; none of the others is taken under it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_TALLY_H
#define JOBS_TALLY_H

#include "jobs.h"

#include "bulk/ledger.h"

#define JOBS_MAX_TALLIES	4096

typedef struct JobsTallyKey
{
	JobId		job;
	Oid			dboid;
	uint32		unused;			/* 0: the key is compared as bytes */
} JobsTallyKey;

typedef struct JobsTally
{
	JobsTallyKey key;
	int32		round;
	Oid			owner;
	uint64		tenant;			/* hash of it, 0: none */
	TimestampTz began_at;		/* the job's started_at */
	TimestampTz counted_at;		/* counts are known from then on ... */
	int64		counted_from;	/* ... when so many were done */
	int64		total;
	int64		n[ITEM_NUM_STATES];
	int64		since[ITEM_NUM_STATES]; /* added since the snapshot that it is counted by */
	bool		counting;		/* n is not known yet */
	bool		inexact;		/* count again */
	int64		equal_count;	/* items that have failed in a row with the same error ... */
	uint32		equal_hash;
	int64		equal_no;		/* ... and the last of them */
} JobsTally;

/* At the server's start. */
extern Size jobs_tally_size(void);
extern void jobs_tally_init(void);

/* When this transaction commits, a round of a job begins with these counts. */
extern void jobs_tally_begin(const Job *job, const JobsItemCounts *counts);

/* When it commits, these n items, the last of which is last_no, have come to this end. */
extern void jobs_tally_add(const Job *job, const JobsOutcome *outcome, int64 last_no, int64 n);

/* A copy of a job's; false where there is none, or none of this run of the job. */
extern bool jobs_tally_read(const Job *job, JobsTally *copy);

/* Counts the ledger into a job's tally. */
extern void jobs_tally_count(const Job *job);

/* Copies of all of this database's; a list of JobsTally *. */
extern List *jobs_tally_all(void);

/* Those of this database's jobs from lo to hi have to be counted again. */
extern void jobs_tally_distrust(JobId lo, JobId hi);

/* Removes a job's; those of a database's jobs that are not known (NULL: all). */
extern void jobs_tally_end(JobId job);
extern void jobs_tally_prune(Oid dboid, bool (*known) (JobId job));

#endif							/* JOBS_TALLY_H */
