/*-------------------------------------------------------------------------
 *
 * query.c
 *	  The query of an export or of a bulk job's items: parsing and checking it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "query.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"

static RawStmt *parse_query(const char *query, const char *whose);
static void check_query(const Query *query, const char *whose);
static bool find_facts(Node *node, JobsQueryFacts *facts);
static void note_table(JobsQueryFacts *facts, Oid table);

/*
 * An error's position is one in the query, not in the statement that the
 * client has sent.
 */
void
jobs_query_error_context(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

Query *
jobs_query_analyze(const char *query, const char *whose, JobsQueryFacts *facts)
{
	Query	   *parsed = parse_analyze_fixedparams(parse_query(query, whose), query, NULL, 0, NULL);
	JobsQueryFacts	rewritten = {0};
	List	   *queries;

	check_query(parsed, whose);
	memset(facts, 0, sizeof(JobsQueryFacts));
	(void) find_facts((Node *) parsed, facts);

	queries = pg_rewrite_query(parsed);
	if (list_length(queries) != 1)
		elog(ERROR, "a query was rewritten to %d", list_length(queries));
	(void) find_facts(linitial(queries), &rewritten);
	if (rewritten.writes)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of %s must not change data", whose),
				 errhint("Use jobs.run for statements that write.")));
	if (rewritten.locks)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of %s must not lock rows", whose),
				 errhint("Leave out FOR UPDATE or FOR SHARE.")));
	return linitial(queries);
}

/* The one statement of a query's text. */
static RawStmt *
parse_query(const char *query, const char *whose)
{
	List	   *statements = raw_parser(query, RAW_PARSE_DEFAULT);
	RawStmt    *statement;

	if (statements == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query must not be empty"),
				 errhint("Use SELECT, VALUES, TABLE, or WITH and one of these.")));
	if (list_length(statements) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s takes one query, not %d statements", whose, list_length(statements)),
				 errhint("Combine them with UNION ALL, or submit a job for each.")));
	statement = linitial_node(RawStmt, statements);
	if (!IsA(statement->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s needs a query", whose),
				 errhint("Use SELECT, VALUES, TABLE, or WITH and one of these.")));
	return statement;
}

static void
check_query(const Query *query, const char *whose)
{
	ListCell   *cell;

	/* This is what SELECT INTO has become. */
	if (query->commandType != CMD_SELECT || query->utilityStmt != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of %s must not have INTO", whose),
				 errhint("Use jobs.run for statements that write.")));
	foreach(cell, query->targetList)
	{
		if (!lfirst_node(TargetEntry, cell)->resjunk)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the query has no columns"),
			 errhint("Name at least one column after SELECT.")));
}

/* Walks through a query and all the queries within it. */
static bool
find_facts(Node *node, JobsQueryFacts *facts)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *cell;

		if (query->commandType != CMD_SELECT)
			facts->writes = true;
		if (query->rowMarks != NIL)
			facts->locks = true;
		foreach(cell, query->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

			if (rte->rtekind == RTE_RELATION)
				note_table(facts, rte->relid);
		}
		return query_tree_walker(query, find_facts, facts, 0);
	}
	return expression_tree_walker(node, find_facts, facts);
}

static void
note_table(JobsQueryFacts *facts, Oid table)
{
	if (!OidIsValid(facts->table))
		facts->table = table;
	else if (facts->table != table)
		facts->more_tables = true;
	if (get_rel_persistence(table) == RELPERSISTENCE_TEMP)
		facts->temporary = table;
}
