/*-------------------------------------------------------------------------
 *
 * verdict.h
 *	  The verdict on every row of a file, in few bytes.
 *
 * Verdicts are written in the file's order as runs of equal ones, into chunks of
 * the job (jobs.chunk).  Reasons are words for rejects: each is written once, and
 * then named by a number.  A job may have several lists, told apart by where
 * their chunks' numbers begin.
 *
 *	 run		= varint(length << 4 | action << 2 | severity), varint(reason)
 *	 reason		= 0 for none; where it is the next unused number, varint(length)
 *				  and the bytes of its text follow
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_VERDICT_H
#define JOBS_VERDICT_H

#include "postgres.h"

#include "import/checker.h"
#include "jobs.h"
#include "utils/snapshot.h"

/* Numbers of the first chunks of a job's lists. */
#define VERDICTS_OF_ROWS		INT64CONST(0)	/* a preview's */
#define VERDICTS_FELL_OUT		INT64CONST(0)	/* an import's: rows that were not inserted or updated */
#define UNDO_INSERTED			(INT64CONST(1) << 40)	/* see undo.h */
#define UNDO_UPDATED			(INT64CONST(2) << 40)

typedef struct Verdict
{
	RowAction	action;
	Severity	severity;
	const char *reason;			/* or NULL */
} Verdict;

typedef struct VerdictWriter VerdictWriter;

/* In the current memory context. */
extern VerdictWriter *jobs_verdicts_begin(JobId job, int64 first_chunk);

/*
 * The verdict on a row, whose number must be higher than the last one's.  Rows
 * that are passed over are inserted without a word.
 */
extern void jobs_verdicts_put(VerdictWriter *writer, int64 row_no, const Verdict *verdict);
extern void jobs_verdicts_end(VerdictWriter *writer);

typedef struct VerdictReader VerdictReader;

/* In the current memory context; snapshot must outlive it. */
extern VerdictReader *jobs_verdicts_open(JobId job, int64 first_chunk, Snapshot snapshot);

/*
 * The verdict on the next row, from the first on; after the last, rows are
 * inserted without a word.  Valid until the next call.
 */
extern const Verdict *jobs_verdicts_next(VerdictReader *reader);

/* Integers in 7 bits a byte, low ones first; also of undo.c. */
extern void jobs_append_varint(StringInfo buf, uint64 value);
extern uint64 jobs_read_varint(const char **p, const char *end);

/* The error for what cannot have been written so. */
pg_noreturn extern void jobs_record_damaged(void);

#endif							/* JOBS_VERDICT_H */
