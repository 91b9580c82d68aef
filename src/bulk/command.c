/*-------------------------------------------------------------------------
 *
 * command.c
 *	  The command of a bulk job, and the query that gives it items.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bulk/command.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "query.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

/* What walking through a command finds. */
typedef struct CommandFacts
{
	bool		payload;		/* it uses $1 */
	Oid			temporary;		/* a temporary table */
} CommandFacts;

static RawStmt *parse_command(const char *command);
static bool find_facts(Node *node, CommandFacts *facts);
static void check_columns(const Query *query);
static void check_call(CallStmt *call);
static void check_can_run(PlannedStmt *plan, const char *command, ParamListInfo params);

/* ------------------------------------------------------------------------
 * Commands
 * ------------------------------------------------------------------------
 */

void
jobs_bulk_check_command(const char *command)
{
	ErrorContextCallback callback;
	CommandFacts facts = {0};
	Oid			type = JSONBOID;
	RawStmt    *statement;
	Query	   *query;
	ParamListInfo params = makeParamList(1);
	ListCell   *cell;

	params->params[0].ptype = JSONBOID;
	params->params[0].value = (Datum) 0;
	params->params[0].isnull = true;
	params->params[0].pflags = 0;	/* no constant: an item may be anything */
	callback.callback = jobs_query_error_context;
	callback.arg = unconstify(char *, command);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	PushActiveSnapshot(GetTransactionSnapshot());
	statement = parse_command(command);
	query = parse_analyze_fixedparams(statement, command, &type, 1, NULL);
	check_columns(query);
	(void) find_facts((Node *) query, &facts);
	if (!facts.payload)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the command of a bulk job must use $1"),
				 errdetail("It runs once for each item, and $1 is the item as jsonb."),
				 errhint("Use jobs.run for SQL that is to run once.")));
	if (OidIsValid(facts.temporary))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a bulk job cannot use the temporary table \"%s\"", get_rel_name(facts.temporary)),
				 errhint("It runs in sessions of its own.  Use a permanent table, or an unlogged one.")));
	if (query->commandType == CMD_UTILITY)
		check_call(castNode(CallStmt, query->utilityStmt));
	else
	{
		foreach(cell, pg_rewrite_query(query))
		{
			Query	   *rewritten = lfirst_node(Query, cell);

			if (rewritten->commandType != CMD_UTILITY)
				check_can_run(pg_plan_query(rewritten, command, CURSOR_OPT_PARALLEL_OK, params), command, params);
		}
	}
	PopActiveSnapshot();
	error_context_stack = callback.previous;
}

/* The one statement, of a kind that knows parameters. */
static RawStmt *
parse_command(const char *command)
{
	List	   *statements = raw_parser(command, RAW_PARSE_DEFAULT);
	RawStmt    *statement;

	if (statements == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("command must not be empty"),
				 errhint("Pass the statement that does one item.")));
	if (list_length(statements) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the command of a bulk job must be one statement, not %d", list_length(statements)),
				 errhint("Put them into a function and call it with $1, or join them with WITH.")));
	statement = linitial_node(RawStmt, statements);
	switch (nodeTag(statement->stmt))
	{
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
		case T_CallStmt:
			break;
		case T_TransactionStmt:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the command of a bulk job must not control its transaction"),
					 errhint("Each item's effect and its outcome are committed together, by the job.")));
			break;
		case T_VariableSetStmt:
		case T_PrepareStmt:
		case T_ListenStmt:
		case T_LockStmt:
		case T_DiscardStmt:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the command of a bulk job must not change its session"),
					 errhint("Settings of the session that submits are kept for the job, see jobs.capture_settings.")));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the command of a bulk job must be SELECT, INSERT, UPDATE, DELETE, MERGE or CALL"),
					 errhint("Put other statements into a function and call it with $1.")));
	}
	return statement;
}

static bool
find_facts(Node *node, CommandFacts *facts)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		facts->payload = true;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *cell;

		foreach(cell, query->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

			if (rte->rtekind == RTE_RELATION && get_rel_persistence(rte->relid) == RELPERSISTENCE_TEMP)
				facts->temporary = rte->relid;
		}
		if (query->utilityStmt && IsA(query->utilityStmt, CallStmt))
			return expression_tree_walker((Node *) ((CallStmt *) query->utilityStmt)->funcexpr, find_facts, facts);
		return query_tree_walker(query, find_facts, facts, 0);
	}
	return expression_tree_walker(node, find_facts, facts);
}

/* SELECT INTO is a utility statement by now. */
static void
check_columns(const Query *query)
{
	List	   *columns = query->commandType == CMD_SELECT ? query->targetList : query->returningList;
	ListCell   *cell;
	int			n = 0;

	if (query->commandType == CMD_UTILITY && !IsA(query->utilityStmt, CallStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the command of a bulk job must not have INTO"),
				 errhint("Use INSERT.")));
	foreach(cell, columns)
		n += !lfirst_node(TargetEntry, cell)->resjunk;
	if (query->commandType == CMD_UTILITY)
		n = list_length(((CallStmt *) query->utilityStmt)->outargs);
	if (n > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the command of a bulk job must return at most one column, not %d", n),
				 errhint("Combine them with jsonb_build_object.")));
}

static void
check_call(CallStmt *call)
{
	Oid			procedure = call->funcexpr->funcid;

	if (jobs_proc_aclcheck(procedure, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_PROCEDURE, get_func_name(procedure));
}

/* Lets the executor check rights, without running anything. */
static void
check_can_run(PlannedStmt *plan, const char *command, ParamListInfo params)
{
	QueryDesc  *desc = CreateQueryDesc(plan, command, GetActiveSnapshot(), InvalidSnapshot,
									   None_Receiver, params, NULL, 0);

	ExecutorStart(desc, EXEC_FLAG_EXPLAIN_ONLY);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
}

/* ------------------------------------------------------------------------
 * Queries that give items
 * ------------------------------------------------------------------------
 */

PlannedStmt *
jobs_bulk_plan_items(const char *query)
{
	ErrorContextCallback callback;
	JobsQueryFacts facts;
	PlannedStmt *plan;

	callback.callback = jobs_query_error_context;
	callback.arg = unconstify(char *, query);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	plan = pg_plan_query(jobs_query_analyze(query, "items_query", &facts), query, CURSOR_OPT_PARALLEL_OK, NULL);
	if (OidIsValid(facts.temporary))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("items_query cannot read the temporary table \"%s\"", get_rel_name(facts.temporary)),
				 errhint("It runs in a session of its own.  Use a permanent table, or an unlogged one.")));
	check_can_run(plan, query, NULL);
	error_context_stack = callback.previous;
	return plan;
}

/* ------------------------------------------------------------------------
 * Values
 * ------------------------------------------------------------------------
 */

/* The function wants to know the type of its argument from a call's expression. */
void
jobs_to_jsonb_prepare(FmgrInfo *function, Oid type)
{
	Node	   *argument = (Node *) makeNullConst(type, -1, InvalidOid);

	fmgr_info_cxt(F_TO_JSONB, function, CurrentMemoryContext);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(argument), InvalidOid, InvalidOid,
											 COERCE_EXPLICIT_CALL), function);
}

Jsonb *
jobs_to_jsonb(FmgrInfo *function, Oid type, Datum value)
{
	return DatumGetJsonbP(type == JSONBOID ? value : FunctionCall1(function, value));
}
