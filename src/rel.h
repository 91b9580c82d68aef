/*-------------------------------------------------------------------------
 *
 * rel.h
 *	  The tables of schema jobs, row by row, through the table access methods.
 *
 * Private to the store's files.  Locks on tables for writing are kept to
 * the end of the transaction; those for reading are not, so that whoever waits
 * for a job is not in the way of DROP EXTENSION.  After each write, unless it says otherwise, the command
 * counter goes on, so the next look-up sees it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_REL_H
#define JOBS_REL_H

#include "postgres.h"

#include "access/genam.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "store.h"

typedef enum JobsRelName
{
	REL_LIVE,
	REL_HISTORY,
	REL_DEPENDENCY,
	REL_PAUSED,
	REL_FILE,
	REL_CHUNK,
	REL_TOKEN,
	REL_ITEM_CHUNK,
	REL_OUTCOME,
	REL_ITEM_RULE,
	REL_GARBAGE,
	REL_OFFER,
	REL_JOB_LEASE,
	REL_CLAIMER,
	REL_ITEM_LEASE,
	REL_UPLOAD,
	REL_UPLOAD_USE,
	REL_ISSUE,
	REL_OUTBOX,
	REL_ATTEMPT
} JobsRelName;
#define JOBS_NUM_RELS	(REL_ATTEMPT + 1)

#define JOBS_LIVE_NATTS		36
#define JOBS_FILE_NATTS		13
#define JOBS_CHUNK_NATTS	5
#define JOBS_ITEM_CHUNK_NATTS	4
#define JOBS_OUTCOME_NATTS	11
#define JOBS_ITEM_RULE_NATTS	6
#define JOBS_ISSUE_NATTS	10
#define JOBS_OUTBOX_NATTS	22
#define JOBS_ATTEMPT_NATTS	8
#define JOBS_MAX_NATTS		JOBS_LIVE_NATTS

#define JOBS_MAX_ROWS		16	/* that can be added at once */

/* A table open for reading or writing; in the caller's memory context. */
typedef struct JobsRel
{
	Relation	rel;
	LOCKMODE	mode;
	TupleTableSlot *slot;		/* what a scan or lock has found */
	EState	   *estate;			/* for writing, made with the first write */
	ResultRelInfo *target;
	TupleTableSlot *new_slot;
	TupleTableSlot *row_slots[JOBS_MAX_ROWS];	/* for several rows at once */
} JobsRel;

/* Opens and closes; mode is AccessShareLock or RowExclusiveLock. */
extern void jobs_rel_open(JobsRel *r, JobsRelName name, LOCKMODE mode);
extern void jobs_rel_close(JobsRel *r);

/*
 * Rows by the first nkeys columns of an index, in its order.  next leaves each
 * in r->slot; false at the end.  The index is found by its name.
 */
typedef struct JobsRelScan
{
	JobsRel    *r;
	Relation	index;
	IndexScanDesc scan;
	Snapshot	snapshot;
} JobsRelScan;

extern void jobs_rel_scan(JobsRelScan *s, JobsRel *r, const char *index, ScanKey keys, int nkeys,
						  Snapshot snapshot);
extern bool jobs_rel_next(JobsRelScan *s);
extern bool jobs_rel_previous(JobsRelScan *s);	/* in the other direction */
extern void jobs_rel_scan_end(JobsRelScan *s);

/* Key column attno = value, of the four types that keys have. */
extern void jobs_key_int8(ScanKey key, int attno, int64 value);
extern void jobs_key_int8_range(ScanKey keys, int attno, int64 lo, int64 hi);
extern void jobs_key_oid(ScanKey key, int attno, Oid value);
extern void jobs_key_oid_above(ScanKey key, int attno, Oid value);	/* column > value */
extern void jobs_key_text(ScanKey key, int attno, const char *value);
extern void jobs_key_bytea(ScanKey key, int attno, const bytea *value);

/* The one row with an int8 primary key, into r->slot. */
extern bool jobs_rel_find(JobsRel *r, const char *index, int64 id);

/* Locks the newest version of the row in r->slot; false where it is gone or held. */
extern bool jobs_rel_lock(JobsRel *r, JobsWaitPolicy policy, bool *held);

/* Writes.  update and delete are about the row in r->slot, which must be locked. */
extern void jobs_rel_insert(JobsRel *r, const Datum *values, const bool *nulls);
extern void jobs_rel_update(JobsRel *r, const Datum *values, const bool *nulls);
extern void jobs_rel_delete(JobsRel *r);

/*
 * Deletes rows, at most limit, by an index whose first column is attribute attno
 * and has a job's id; returns how many.  Those that others hold, as policy says.
 */
extern int64 jobs_rel_delete_by_job(JobsRelName name, const char *index, int attno, JobId job,
									JobsWaitPolicy policy, int64 limit);

/*
 * Adds up to JOBS_MAX_ROWS rows without nulls; values has the columns of the first, then those of
 * the next.  The command counter stays where it is, so this works while a query
 * runs, a parallel one too, and the rows are seen after another write.
 */
extern void jobs_rel_insert_rows(JobsRel *r, Datum *values, int nrows);

/*
 * A snapshot of now.  In a serializable transaction it is one that takes no
 * predicate locks, so that the queue causes no serialization failures.
 */
extern Snapshot jobs_rel_snapshot(void);

/* The same without that; in a query with a parallel plan it is the query's own. */
extern Snapshot jobs_rel_latest(void);

/* The schema of the extension, or InvalidOid; and the same with an error. */
extern Oid	jobs_rel_schema(void);
extern Oid	jobs_rel_require_schema(void);

#endif							/* JOBS_REL_H */
