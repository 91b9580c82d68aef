/*-------------------------------------------------------------------------
 *
 * runsql.c
 *	  Running the SQL of jobs.run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "compat.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "runsql.h"
#include "session.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

static void show_command(void *arg);
static void check_statement(RawStmt *statement);
static void run_statement(const char *command, RawStmt *statement, bool top, QueryCompletion *qc);
static Jsonb *run_result(const QueryCompletion *qc);

/*
 * A syntax error's position is one in the command, not in the statement that
 * the client has sent.
 */
static void
show_command(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

List *
jobs_parse_command(const char *command)
{
	ErrorContextCallback callback;
	List	   *statements;
	ListCell   *cell;

	callback.callback = show_command;
	callback.arg = unconstify(char *, command);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	statements = raw_parser(command, RAW_PARSE_DEFAULT);
	error_context_stack = callback.previous;

	if (statements == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("command must not be empty"),
				 errhint("Pass the SQL to run.")));
	foreach(cell, statements)
		check_statement(lfirst_node(RawStmt, cell));
	return statements;
}

static void
check_statement(RawStmt *statement)
{
	if (IsA(statement->stmt, TransactionStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a job's command must not control its transaction"),
				 errhint("All statements of a command are one transaction.  CALL a procedure to commit in between.")));
	if (IsA(statement->stmt, CopyStmt))
	{
		CopyStmt   *copy = (CopyStmt *) statement->stmt;

		if (copy->filename == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a job has no client to COPY from or to"),
					 errhint("Use jobs.export to make a file.")));
	}
}

void
jobs_run_command(Job *job)
{
	List	   *statements = jobs_parse_command(job->command);
	bool		top = list_length(statements) == 1 && jobs_session_can_commit();
	int64		rows = -1;
	QueryCompletion qc;
	ListCell   *cell;

	foreach(cell, statements)
	{
		CHECK_FOR_INTERRUPTS();
		run_statement(job->command, lfirst_node(RawStmt, cell), top, &qc);
		if (command_tag_display_rowcount(qc.commandTag))
			rows = Max(rows, 0) + qc.nprocessed;
		CommandCounterIncrement();
	}
	job->processed = rows;
	job->result = run_result(&qc);
}

static void
run_statement(const char *command, RawStmt *statement, bool top, QueryCompletion *qc)
{
	bool		snapshot = analyze_requires_snapshot(statement);
	List	   *queries;
	List	   *plans;
	Portal		portal;
	DestReceiver *receiver = CreateDestReceiver(DestNone);

	jobs_start_statement_timeout();
	if (snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	queries = pg_analyze_and_rewrite_fixedparams(statement, command, NULL, 0, NULL);
	plans = pg_plan_queries(queries, command, CURSOR_OPT_PARALLEL_OK, NULL);
	if (snapshot)
		PopActiveSnapshot();

	portal = CreateNewPortal();
	portal->visible = false;
	PortalDefineQuery(portal, NULL, command, CreateCommandTag(statement->stmt), plans, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	InitializeQueryCompletion(qc);
	SetQueryCompletion(qc, CreateCommandTag(statement->stmt), 0);
	(void) jobs_PortalRun(portal, FETCH_ALL, top, receiver, receiver, qc);
	receiver->rDestroy(receiver);
	PortalDrop(portal, false);
	jobs_stop_statement_timeout();
}

/* {"tag": "INSERT 0 5", "rows": 5} of the last statement. */
static Jsonb *
run_result(const QueryCompletion *qc)
{
	StringInfoData json;
	const char *tag = GetCommandTagName(qc->commandTag);

	initStringInfo(&json);
	if (!command_tag_display_rowcount(qc->commandTag))
		appendStringInfo(&json, "{\"tag\": \"%s\"}", tag);
	else
		appendStringInfo(&json, "{\"tag\": \"%s%s " UINT64_FORMAT "\", \"rows\": " UINT64_FORMAT "}",
						 tag, qc->commandTag == CMDTAG_INSERT ? " 0" : "", qc->nprocessed, qc->nprocessed);
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}
