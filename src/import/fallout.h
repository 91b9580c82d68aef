/*-------------------------------------------------------------------------
 *
 * fallout.h
 *	  Rows that a preview had found good and an import could not take any more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_FALLOUT_H
#define JOBS_FALLOUT_H

#include "postgres.h"

#include "import/checker.h"
#include "import/insert.h"
#include "jobs.h"

typedef struct Fallout Fallout;

/*
 * In the current memory context.  entity is the word for a row; with discreet no
 * message of an error is told, since it might show a value of a sensitive column.
 */
extern Fallout *jobs_fallout_begin(JobId job, const char *entity, bool discreet);

/* One that the checker refuses now, with its issues. */
extern void jobs_fallout_row(Fallout *fallout, const CheckedRow *row);

/* One whose key another row has by now, or that was to update a row that has gone. */
extern void jobs_fallout_duplicate(Fallout *fallout, RowId id);
extern void jobs_fallout_gone(Fallout *fallout, RowId id);

/* One that the table has refused; error is NULL where a trigger or policy left it out. */
extern void jobs_fallout_error(Fallout *fallout, RowId id, const ErrorData *error);

extern int64 jobs_fallout_count(const Fallout *fallout);

/* Writes issues and verdicts, and adds what jobs_issues_end does to a result. */
extern void jobs_fallout_end(Fallout *fallout, JsonbParseState **result);

#endif							/* JOBS_FALLOUT_H */
