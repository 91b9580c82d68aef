/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  One SQL statement over many rows of a file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "import/guard.h"
#include "import/statement.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/tuplestore.h"

#define PIECE_ROWS		1024	/* that are held in memory, once one has been refused */
#define PARTS			8

/* One run of the statement. */
typedef struct Run
{
	RowStatement *statement;
	Tuplestorestate *rows;
	int64		nrows;
	Tuplestorestate *result;
	int64		processed;
	TransactionId xid;
	CommandId	cid;
} Run;

static ErrorData *try_rows(RowStatement *statement, Tuplestorestate *rows, int64 nrows);
static void run_guarded(void *arg);
static void run_piece(RowStatement *statement, MinimalTuple *tuples, int n);
static RowId row_id(RowStatement *statement);

void
jobs_statement_begin(RowStatement *statement)
{
	statement->rows = tuplestore_begin_heap(true, false, work_mem);
	statement->slot = MakeSingleTupleTableSlot(statement->desc, &TTSOpsMinimalTuple);
	statement->nrows = 0;
}

void
jobs_statement_add(RowStatement *statement, const Datum *values, const bool *nulls)
{
	tuplestore_putvalues(statement->rows, statement->desc, unconstify(Datum *, values), unconstify(bool *, nulls));
	statement->nrows++;
}

void
jobs_statement_run(RowStatement *statement)
{
	ErrorData  *error = NULL;
	MemoryContext context;
	MemoryContext old;

	if (statement->nrows > 0)
		error = try_rows(statement, statement->rows, statement->nrows);
	if (error)
	{
		bool		more = true;

		FreeErrorData(error);
		context = AllocSetContextCreate(CurrentMemoryContext, "jobs rows", ALLOCSET_DEFAULT_SIZES);
		old = MemoryContextSwitchTo(context);
		tuplestore_rescan(statement->rows);
		while (more)
		{
			MinimalTuple tuples[PIECE_ROWS];
			int			n = 0;

			while (n < PIECE_ROWS &&
				   (more = tuplestore_gettupleslot(statement->rows, true, false, statement->slot)))
				tuples[n++] = ExecCopySlotMinimalTuple(statement->slot);
			run_piece(statement, tuples, n);
			MemoryContextReset(context);
		}
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
	}
}

void
jobs_statement_rescan(RowStatement *statement)
{
	tuplestore_rescan(statement->rows);
}

bool
jobs_statement_next(RowStatement *statement, RowId *id)
{
	if (!tuplestore_gettupleslot(statement->rows, true, false, statement->slot))
		return false;
	*id = row_id(statement);
	return true;
}

void
jobs_statement_end(RowStatement *statement)
{
	ExecDropSingleTupleTableSlot(statement->slot);
	tuplestore_end(statement->rows);
}

/* All of them, or parts of them until the row at fault stands alone. */
static void
run_piece(RowStatement *statement, MinimalTuple *tuples, int n)
{
	Tuplestorestate *rows;
	ErrorData  *error;
	int			part = Max((n + PARTS - 1) / PARTS, 1);

	if (n == 0)
		return;
	rows = tuplestore_begin_heap(true, false, work_mem);
	for (int i = 0; i < n; i++)
	{
		ExecStoreMinimalTuple(tuples[i], statement->slot, false);
		tuplestore_puttupleslot(rows, statement->slot);
	}
	error = try_rows(statement, rows, n);
	tuplestore_end(rows);
	if (error && n == 1)
		statement->refused(statement->arg, row_id(statement), error);
	else if (error)
	{
		FreeErrorData(error);
		for (int i = 0; i < n; i += part)
			run_piece(statement, tuples + i, Min(part, n - i));
	}
}

/* Of the row in the slot. */
static RowId
row_id(RowStatement *statement)
{
	RowId		id;
	bool		isnull;

	id.row_no = DatumGetInt64(slot_getattr(statement->slot, 1, &isnull));
	id.line_no = DatumGetInt64(slot_getattr(statement->slot, 2, &isnull));
	return id;
}

/* NULL where it has succeeded; an error that is not a row's is raised again. */
static ErrorData *
try_rows(RowStatement *statement, Tuplestorestate *rows, int64 nrows)
{
	Run			run = {.statement = statement, .rows = rows, .nrows = nrows};
	ErrorData  *error;

	CHECK_FOR_INTERRUPTS();
	if (statement->result)
		run.result = tuplestore_begin_heap(false, false, work_mem);
	error = jobs_guard(run_guarded, &run);
	if (error && !jobs_is_row_error(error))
		ReThrowError(error);
	if (error == NULL && statement->done)
		statement->done(statement->arg, run.xid, run.cid, run.processed, run.result, statement->result);
	if (run.result)
		tuplestore_end(run.result);
	return error;
}

static void
run_guarded(void *arg)
{
	Run		   *run = arg;

	run->xid = GetCurrentTransactionId();
	/* SPI would do so, if anything had used the one before. */
	CommandCounterIncrement();
	run->cid = GetCurrentCommandId(false);
	run->processed = jobs_statement_execute(run->statement->sql, run->statement->desc, run->rows, run->nrows, run->result);
}

int64
jobs_statement_execute(const char *sql, TupleDesc desc, Tuplestorestate *rows, int64 nrows, Tuplestorestate *result)
{
	EphemeralNamedRelationData relation = {0};
	SPIExecuteOptions options = {0};
	int64		processed;
	int			code;

	relation.md.name = pstrdup("jobs_rows");
	relation.md.tupdesc = desc;
	relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	relation.md.enrtuples = nrows;
	relation.reldata = rows;
	if (result)
	{
		options.dest = CreateDestReceiver(DestTuplestore);
		SetTuplestoreDestReceiverParams(options.dest, result, CurrentMemoryContext, false, NULL, NULL);
	}
	if ((code = SPI_connect()) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed: %s", SPI_result_code_string(code));
	if ((code = SPI_register_relation(&relation)) != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation failed: %s", SPI_result_code_string(code));
	code = SPI_execute_extended(sql, &options);
	if (code < 0)
		elog(ERROR, "could not run a statement of an import: %s", SPI_result_code_string(code));
	processed = SPI_processed;
	SPI_finish();
	return processed;
}
