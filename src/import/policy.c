/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  Whether row-level security lets rows in.
 *
 * What is checked is what the rewriter adds to an INSERT into the target, and for
 * rows that update others to an INSERT ... ON CONFLICT DO UPDATE, by the current
 * user: both are planned and started, but never run.  Policies may have subqueries,
 * whose scans must not outlive the subtransaction of a guard, so an executor is
 * started anew in each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/xact.h"
#include "compat.h"
#include "executor/execdesc.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "import/judge.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

/* A statement that is never run. */
typedef struct Statement
{
	char	   *sql;
	PlannedStmt *plan;			/* NULL: there is nothing to check */
	QueryDesc  *query;			/* in a guard: started */
} Statement;

struct Policy
{
	Statement	insert;
	Statement	update;
};

static void plan_statement(Constraints *c, Statement *statement, char *sql);
static char *insert_sql(Constraints *c, bool update);
static char *arbiter(Constraints *c);
static void start(Statement *statement);
static bool unknown_to(Constraints *c, WithCheckOption *option, Index result);
static void run_policy(Constraints *c, Judged *judged, Step *step);
static bool passes(Constraints *c, Judged *judged, Statement *statement, WCOKind kind, TupleTableSlot *slot);

void
jobs_policy_open(Constraints *c)
{
	bool		locked;

	if (check_enable_rls(RelationGetRelid(c->target), InvalidOid, true) != RLS_ENABLED)
		return;
	c->policy = palloc0(sizeof(Policy));

	/* An INSERT locks its target for writing, which nothing here needs for longer. */
	locked = CheckRelationLockedByMe(c->target, RowExclusiveLock, true);
	plan_statement(c, &c->policy->insert, insert_sql(c, false));
	if (c->input->on_conflict == CONFLICT_UPDATE)
		plan_statement(c, &c->policy->update, insert_sql(c, true));
	while (!locked && CheckRelationLockedByMe(c->target, RowExclusiveLock, false))
		UnlockRelation(c->target, RowExclusiveLock);
}

void
jobs_policy_step(Constraints *c, Leaf *leaf)
{
	if (c->policy)
		jobs_judge_step(leaf, run_policy, "policy", "Row-level security", NULL);
}

/* INSERT INTO t (a, b) VALUES ($1, $2), and ON CONFLICT (a) DO UPDATE SET a = $1, b = $2 */
static char *
insert_sql(Constraints *c, bool update)
{
	TupleDesc	desc = RelationGetDescr(c->target);
	StringInfoData names;
	StringInfoData values;
	StringInfoData sets;
	char	   *conflict = update ? arbiter(c) : "";

	if (conflict == NULL)
		return NULL;
	initStringInfo(&names);
	initStringInfo(&values);
	initStringInfo(&sets);
	for (int i = 0; i < c->input->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, c->input->columns[i] - 1);
		const char *name = quote_identifier(NameStr(att->attname));
		const char *comma = names.len > 0 ? ", " : "";

		if (att->attgenerated)
			continue;
		appendStringInfo(&names, "%s%s", comma, name);
		appendStringInfo(&values, "%s$%d", comma, i + 1);
		if (att->attidentity != ATTRIBUTE_IDENTITY_ALWAYS)
			appendStringInfo(&sets, "%s%s = $%d", sets.len > 0 ? ", " : "", name, i + 1);
	}
	if (names.len == 0 || (update && sets.len == 0))
		return NULL;
	return psprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE VALUES (%s)%s%s",
					quote_qualified_identifier(get_namespace_name(RelationGetNamespace(c->target)),
											   RelationGetRelationName(c->target)),
					names.data, values.data, conflict, update ? sets.data : "");
}

/* By any unique key of plain columns; or NULL. */
static char *
arbiter(Constraints *c)
{
	List	   *indexes = RelationGetIndexList(c->target);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		StringInfoData columns;

		initStringInfo(&columns);
		if (form->indisunique && form->indimmediate && form->indisvalid && !form->indisexclusion &&
			RelationGetIndexPredicate(index) == NIL && RelationGetIndexExpressions(index) == NIL)
		{
			for (int i = 0; i < form->indnkeyatts; i++)
				appendStringInfo(&columns, "%s%s", i > 0 ? ", " : "",
								 quote_identifier(get_attname(RelationGetRelid(c->target),
															  form->indkey.values[i], false)));
		}
		index_close(index, AccessShareLock);
		if (columns.len > 0)
			return psprintf(" ON CONFLICT (%s) DO UPDATE SET ", columns.data);
	}
	return NULL;
}

static void
plan_statement(Constraints *c, Statement *statement, char *sql)
{
	Oid		   *types = palloc(c->input->ncolumns * sizeof(Oid));
	List	   *queries;
	ListCell   *lc;

	if (sql == NULL)
		return;
	statement->sql = sql;
	for (int i = 0; i < c->input->ncolumns; i++)
		types[i] = TupleDescAttr(RelationGetDescr(c->target), c->input->columns[i] - 1)->atttypid;
	queries = pg_analyze_and_rewrite_fixedparams(linitial(pg_parse_query(sql)), sql, types, c->input->ncolumns, NULL);

	/* A rule may have made something else of it, which has no policy of the target. */
	foreach(lc, queries)
	{
		Query	   *query = lfirst(lc);

		if (query->commandType == CMD_INSERT && query->withCheckOptions != NIL &&
			rt_fetch(query->resultRelation, query->rtable)->relid == RelationGetRelid(c->target))
		{
			statement->plan = pg_plan_query(query, sql, 0, NULL);
			break;
		}
	}
}

/* In the batch's context, so that what an error leaves behind goes with it. */
static void
start(Statement *statement)
{
	bool		read_only = XactReadOnly;

	statement->query = CreateQueryDesc(statement->plan, statement->sql, GetActiveSnapshot(), InvalidSnapshot,
									   None_Receiver, NULL, NULL, 0);
	PG_TRY();
	{
		/* It is not run, so a transaction that only reads is good enough. */
		XactReadOnly = false;
		/* Transition tables want a query to belong to. */
		AfterTriggerBeginQuery();
		ExecutorStart(statement->query, EXEC_FLAG_SKIP_TRIGGERS);
		AfterTriggerEndQuery(statement->query->estate);
	}
	PG_FINALLY();
	{
		XactReadOnly = read_only;
	}
	PG_END_TRY();
}

static void
finish(Statement *statement)
{
	if (statement->query)
	{
		QueryDesc  *query = statement->query;

		statement->query = NULL;
		ExecutorFinish(query);
		ExecutorEnd(query);
		FreeQueryDesc(query);
	}
}

void
jobs_policy_end(Constraints *c)
{
	if (c->policy == NULL)
		return;
	finish(&c->policy->insert);
	finish(&c->policy->update);
}

void
jobs_policy_forget(Constraints *c)
{
	if (c->policy == NULL)
		return;
	c->policy->insert.query = NULL;
	c->policy->update.query = NULL;
}

static void
run_policy(Constraints *c, Judged *judged, Step *step)
{
	if (!judged->update)
		(void) passes(c, judged, &c->policy->insert, WCO_RLS_INSERT_CHECK, judged->whole);
	else if (passes(c, judged, &c->policy->update, WCO_RLS_CONFLICT_CHECK, judged->old))
		(void) passes(c, judged, &c->policy->update, WCO_RLS_UPDATE_CHECK, judged->whole);
}

/* Refuses the row where it does not. */
static bool
passes(Constraints *c, Judged *judged, Statement *statement, WCOKind kind, TupleTableSlot *slot)
{
	ResultRelInfo *result;
	ExprContext *econtext;
	bool		good = true;
	ListCell   *lc;
	ListCell   *lc2;

	if (statement->plan == NULL)
		return true;
	if (statement->query == NULL)
		start(statement);
	result = ((ModifyTableState *) statement->query->planstate)->resultRelInfo;
	econtext = GetPerTupleExprContext(statement->query->estate);
	econtext->ecxt_scantuple = slot;
	forboth(lc, result->ri_WithCheckOptions, lc2, result->ri_WithCheckOptionExprs)
	{
		WithCheckOption *option = lfirst(lc);
		MemoryContext old;

		if (option->kind != kind || unknown_to(c, option, result->ri_RangeTableIndex))
			continue;
		old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
		good = ExecQual(lfirst(lc2), econtext);
		MemoryContextSwitchTo(old);
		if (good)
			continue;
		jobs_judge_refuse(c, judged, "policy", NIL, option->polname ?
						  psprintf("Row violates row-level security policy \"%s\"", option->polname) :
						  psprintf("Row violates row-level security policy of \"%s\"",
								   RelationGetRelationName(c->target)));
		break;
	}
	ResetExprContext(econtext);
	return good;
}

static bool
unknown_to(Constraints *c, WithCheckOption *option, Index result)
{
	Bitmapset  *used = NULL;
	int			member = -1;
	bool		unknown = false;

	if (c->input->unknown == NULL)
		return false;
	pull_varattnos(option->qual, result, &used);
	while ((member = bms_next_member(used, member)) >= 0)
	{
		AttrNumber	attno = member + FirstLowInvalidHeapAttributeNumber;

		unknown |= attno <= 0 || bms_is_member(attno, c->input->unknown);
	}
	bms_free(used);
	return unknown;
}
