/*-------------------------------------------------------------------------
 *
 * parallel.c
 *	  Plans for exports in which parallel workers encode the rows.
 *
 * The planner finds a parallel plan; this puts JobsMerge and JobsEncode in the
 * place of its Gather or Gather Merge.  Two kinds of query have an order that
 * this keeps:
 *
 *	 - the rows of one table as it is.  They come from a Parallel Seq Scan,
 *	   and batches of them are put in the table's order, by ctid.
 *	 - rows with ORDER BY, by the keys of the planner's Gather Merge.
 *
 * All others are planned as COPY would plan them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "encode.h"
#include "guc.h"
#include "merge.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "parallel.h"
#include "parser/parsetree.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/rel.h"

static bool is_one_table(const Query *query, Oid *table);
static bool is_plain_table(const RangeTblEntry *rte);
static bool has_order(const Query *query);
static Query *with_place(const Query *query, AttrNumber *place);
static PlannedStmt *plan_parallel(const Query *query, const char *text);
static bool encode_scan(PlannedStmt *plan, AttrNumber place, const JobsFormat *format, const char *options);
static bool encode_sorted(PlannedStmt *plan, const JobsFormat *format, const char *options);
static void add_key(JobsMerge *merge, const Plan *child, AttrNumber column, Oid sort_operator, Oid collation,
					bool nulls_first);
static bool find_columns(Plan *top, AttrNumber place, JobsEncode *encode);
static AttrNumber find_below(Plan *top, Expr *expr);

JobsExportPlan
jobs_plan_export(Query *query, const char *text, const JobsFormat *format, const char *options)
{
	JobsExportPlan result = {0};
	bool		one_table = is_one_table(query, &result.table);
	int			level = NewGUCNestLevel();

	result.is_volatile = contain_volatile_functions((Node *) query);
	if (max_parallel_workers_per_gather > jobs_max_export_workers)
		(void) set_config_option("max_parallel_workers_per_gather", psprintf("%d", jobs_max_export_workers),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (format->lines && max_parallel_workers_per_gather > 0)
	{
		if (one_table)
		{
			AttrNumber	place;
			Query	   *placed = with_place(query, &place);

			result.plan = plan_parallel(placed, text);
			result.encoded = result.by_place = encode_scan(result.plan, place, format, options);
		}
		else if (has_order(query))
		{
			result.plan = plan_parallel(query, text);
			result.encoded = encode_sorted(result.plan, format, options);
		}
	}
	if (!result.encoded)
		result.plan = pg_plan_query(query, text, CURSOR_OPT_PARALLEL_OK, NULL);
	AtEOXact_GUC(true, level);
	return result;
}

/* ------------------------------------------------------------------------
 * Which queries
 * ------------------------------------------------------------------------
 */

/* Whether the rows are one table's, each by itself and in no order of the query's. */
static bool
is_one_table(const Query *query, Oid *table)
{
	RangeTblRef *ref;
	RangeTblEntry *rte;

	if (query->hasAggs || query->hasWindowFuncs || query->hasTargetSRFs || query->groupClause ||
		query->groupingSets || query->distinctClause || query->sortClause || query->setOperations ||
		query->limitCount || query->limitOffset || query->havingQual || query->rowMarks ||
		list_length(query->jointree->fromlist) != 1)
		return false;
	ref = linitial(query->jointree->fromlist);
	if (!IsA(ref, RangeTblRef))
		return false;
	rte = rt_fetch(ref->rtindex, query->rtable);
	if (rte->rtekind != RTE_RELATION || rte->tablesample != NULL || !is_plain_table(rte))
		return false;
	*table = rte->relid;
	return true;
}

/* One that has blocks of its own, and no children whose rows come too. */
static bool
is_plain_table(const RangeTblEntry *rte)
{
	Relation	rel = table_open(rte->relid, NoLock);
	bool		plain = (rel->rd_rel->relkind == RELKIND_RELATION || rel->rd_rel->relkind == RELKIND_MATVIEW) &&
		rel->rd_rel->relam == HEAP_TABLE_AM_OID && !(rte->inh && rel->rd_rel->relhassubclass);

	table_close(rel, NoLock);
	return plain;
}

static bool
has_order(const Query *query)
{
	return query->sortClause != NIL && query->limitCount == NULL && query->limitOffset == NULL;
}

/* The query with each row's ctid as one more column. */
static Query *
with_place(const Query *query, AttrNumber *place)
{
	Query	   *placed = copyObject(unconstify(Query *, query));
	RangeTblRef *ref = linitial_node(RangeTblRef, placed->jointree->fromlist);

	*place = list_length(placed->targetList) + 1;
	placed->targetList = lappend(placed->targetList,
								 makeTargetEntry((Expr *) makeVar(ref->rtindex, SelfItemPointerAttributeNumber,
																  TIDOID, -1, InvalidOid, 0),
												 *place, pstrdup("ctid"), true));
	return placed;
}

/* ------------------------------------------------------------------------
 * Planning
 * ------------------------------------------------------------------------
 */

/*
 * Few bytes go from workers to the leader, so the planner must not count on
 * rows.  It works on a copy.
 */
static PlannedStmt *
plan_parallel(const Query *query, const char *text)
{
	int			level = NewGUCNestLevel();
	PlannedStmt *plan;

	(void) set_config_option("parallel_tuple_cost", "0", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	plan = pg_plan_query(copyObject(unconstify(Query *, query)), text, CURSOR_OPT_PARALLEL_OK, NULL);
	AtEOXact_GUC(true, level);
	return plan;
}

/*
 * Gather over Parallel Seq Scan becomes JobsMerge by ctid over JobsEncode over
 * Parallel Seq Scan.  False where the plan is another.
 */
static bool
encode_scan(PlannedStmt *plan, AttrNumber place, const JobsFormat *format, const char *options)
{
	Gather	   *gather = (Gather *) plan->planTree;
	Plan	   *child;
	JobsEncode	encode = {.format = format->name, .options = options, .by_place = true};
	JobsMerge	merge = {.by_place = true};

	if (!IsA(gather, Gather) || gather->single_copy || gather->plan.qual)
		return false;
	child = outerPlan(gather);
	if (!IsA(child, SeqScan) || !child->parallel_aware || !find_columns(&gather->plan, place, &encode))
		return false;

	merge.nworkers = gather->num_workers;
	merge.params = gather->initParam;
	add_key(&merge, child, linitial_int(encode.keys), TIDLessOperator, InvalidOid, false);
	plan->planTree = jobs_merge_plan(&merge, &gather->plan, jobs_encode_plan(&encode, child));
	return true;
}

/* Gather Merge becomes JobsMerge over JobsEncode. */
static bool
encode_sorted(PlannedStmt *plan, const JobsFormat *format, const char *options)
{
	GatherMerge *gather = (GatherMerge *) plan->planTree;
	Plan	   *child;
	JobsEncode	encode = {.format = format->name, .options = options};
	JobsMerge	merge = {0};

	if (!IsA(gather, GatherMerge) || gather->plan.qual || !find_columns(&gather->plan, 0, &encode))
		return false;
	child = outerPlan(gather);
	merge.nworkers = gather->num_workers;
	merge.params = gather->initParam;
	for (int i = 0; i < gather->numCols; i++)
	{
		encode.keys = lappend_int(encode.keys, gather->sortColIdx[i]);
		add_key(&merge, child, gather->sortColIdx[i], gather->sortOperators[i], gather->collations[i],
				gather->nullsFirst[i]);
	}
	plan->planTree = jobs_merge_plan(&merge, &gather->plan, jobs_encode_plan(&encode, child));
	return true;
}

static void
add_key(JobsMerge *merge, const Plan *child, AttrNumber column, Oid sort_operator, Oid collation, bool nulls_first)
{
	const TargetEntry *entry = list_nth_node(TargetEntry, child->targetlist, column - 1);

	merge->types = lappend_oid(merge->types, exprType((Node *) entry->expr));
	merge->operators = lappend_oid(merge->operators, sort_operator);
	merge->collations = lappend_oid(merge->collations, collation);
	merge->nulls_first = lappend_int(merge->nulls_first, nulls_first);
}

/*
 * Where the columns of the result are in the rows from below; false where one
 * is computed by the top node.
 */
static bool
find_columns(Plan *top, AttrNumber place, JobsEncode *encode)
{
	ListCell   *cell;

	foreach(cell, top->targetlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		AttrNumber	below = find_below(top, entry->expr);

		if (below == 0)
			return false;
		if (entry->resno == place)
			encode->keys = list_make1_int(below);
		if (entry->resjunk)
			continue;
		encode->columns = lappend_int(encode->columns, below);
		encode->names = lappend(encode->names, makeString(pstrdup(entry->resname ? entry->resname : "?column?")));
	}
	return place == 0 || encode->keys != NIL;
}

/* A constant stands in both nodes, and in neither as a Var.  0 is none. */
static AttrNumber
find_below(Plan *top, Expr *expr)
{
	ListCell   *cell;

	if (IsA(expr, Var))
	{
		Var		   *var = (Var *) expr;

		return var->varno == OUTER_VAR ? Max(var->varattno, 0) : 0;
	}
	if (!IsA(expr, Const))
		return 0;
	foreach(cell, outerPlan(top)->targetlist)
	{
		if (equal(lfirst_node(TargetEntry, cell)->expr, expr))
			return foreach_current_index(cell) + 1;
	}
	return 0;
}
