/*-------------------------------------------------------------------------
 *
 * statement.h
 *	  One SQL statement over many rows of a file.
 *
 * For what is the planner's business: views, foreign tables, policies, updates.
 * Rows wait in a tuplestore, which spills to disk, and the statement sees them as the
 * relation jobs_rows.  If it fails because of a row, nothing of it stays, and
 * it is run again over parts of the rows until those that are at fault are known.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_STATEMENT_H
#define JOBS_STATEMENT_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "import/insert.h"

/*
 * A run of the statement has succeeded; xid is its subtransaction's, and cid its own
 * command, which nothing has that triggers ran.  result has the rows that it
 * returned, or is NULL.
 */
typedef struct Tuplestorestate Tuplestorestate;
typedef void (*RowsDone) (void *arg, TransactionId xid, CommandId cid, int64 processed, Tuplestorestate *result,
						  TupleDesc desc);

typedef struct RowStatement
{
	const char *sql;
	TupleDesc	desc;			/* of jobs_rows; the first two columns are a RowId, int8 */
	TupleDesc	result;			/* of what is returned, or NULL */
	RowsDone	done;			/* may be NULL */
	RowRefused	refused;
	void	   *arg;

	/* private */
	Tuplestorestate *rows;
	TupleTableSlot *slot;
	int64		nrows;
} RowStatement;

/* Fill in the public fields first.  Lives in the current memory context. */
extern void jobs_statement_begin(RowStatement *statement);
extern void jobs_statement_add(RowStatement *statement, const Datum *values, const bool *nulls);

/* Runs it as the current user, unless it has no rows. */
extern void jobs_statement_run(RowStatement *statement);

/* Goes through its rows once more; false at the end. */
extern void jobs_statement_rescan(RowStatement *statement);
extern bool jobs_statement_next(RowStatement *statement, RowId *id);

extern void jobs_statement_end(RowStatement *statement);

/*
 * Runs a statement once over rows of a tuplestore, without a net; returns how many
 * rows it has processed.  result may be NULL.
 */
extern int64 jobs_statement_execute(const char *sql, TupleDesc desc, Tuplestorestate *rows, int64 nrows,
									Tuplestorestate *result);

#endif							/* JOBS_STATEMENT_H */
