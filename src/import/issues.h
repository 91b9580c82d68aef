/*-------------------------------------------------------------------------
 *
 * issues.h
 *	  What a preview or an import has found, one by one and counted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ISSUES_H
#define JOBS_ISSUES_H

#include "postgres.h"

#include "import/checker.h"
#include "jobs.h"
#include "utils/snapshot.h"

typedef struct IssueLog IssueLog;

/* In the current memory context; keeps at most jobs.max_issues. */
extern IssueLog *jobs_issues_begin(JobId job);

/* Adds those of a row. */
extern void jobs_issues_add(IssueLog *log, const CheckedRow *row);

/* In few words, for rejects; or NULL where it has none.  Valid until the next call. */
extern const char *jobs_issues_reason(IssueLog *log, const CheckedRow *row);

/*
 * Writes what is left, and adds to the object that is being built how many there
 * were: "issues": [{"code", "column", "severity", "count"}], most first, and
 * "issues_kept", where not all were.
 */
extern void jobs_issues_end(IssueLog *log, JsonbParseState **result);

/*
 * Those that a job has kept, in order, for rejects: the text of all of a row's,
 * joined, or NULL where none was kept.  Rows are asked for in the file's order.
 */
typedef struct IssueReader IssueReader;
extern IssueReader *jobs_issues_open(JobId job, Snapshot snapshot);
extern char *jobs_issues_of_row(IssueReader *reader, int64 row_no);
extern void jobs_issues_close(IssueReader *reader);

#endif							/* JOBS_ISSUES_H */
