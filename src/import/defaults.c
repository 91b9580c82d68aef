/*-------------------------------------------------------------------------
 *
 * defaults.c
 *	  What the target's own expressions put into a row: defaults, generated columns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "import/defaults.h"
#include "import/guard.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/datum.h"
#include "utils/memutils.h"

typedef struct Evaluation
{
	Defaults   *defaults;
	Relation	target;
	ExprState **states;
} Evaluation;

static void evaluate_constants(void *arg);
static GeneratedColumn *generated_column(Relation target, AttrNumber attnum, EState *estate);

Defaults *
jobs_defaults_open(Relation target)
{
	TupleDesc	desc = RelationGetDescr(target);
	Defaults   *defaults = palloc0(sizeof(Defaults));
	ExprState **constants = palloc0(sizeof(ExprState *) * (desc->natts + 1));
	Evaluation	evaluation = {defaults, target, constants};
	ErrorData  *error;

	defaults->natts = desc->natts;
	defaults->present = palloc0(sizeof(bool) * (desc->natts + 1));
	defaults->is_volatile = palloc0(sizeof(bool) * (desc->natts + 1));
	defaults->values = palloc0(sizeof(Datum) * (desc->natts + 1));
	defaults->isnull = palloc(sizeof(bool) * (desc->natts + 1));
	memset(defaults->isnull, true, desc->natts + 1);
	defaults->states = palloc0(sizeof(ExprState *) * (desc->natts + 1));
	defaults->estate = CreateExecutorState();

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Expr	   *expr;
		ExprState  *state;

		if (att->attisdropped)
			continue;
		if (att->attgenerated != '\0')
		{
			if (att->attgenerated == ATTRIBUTE_GENERATED_STORED)
				defaults->generated = lappend(defaults->generated, generated_column(target, i + 1, defaults->estate));
			continue;
		}
		expr = (Expr *) build_column_default(target, i + 1);
		if (expr == NULL)
			continue;
		expr = expression_planner(expr);
		state = ExecPrepareExpr(expr, defaults->estate);
		defaults->present[i] = true;
		if (contain_volatile_functions((Node *) expr))
		{
			defaults->is_volatile[i] = true;
			defaults->states[i] = state;
		}
		else
			constants[i] = state;
	}
	error = jobs_guard(evaluate_constants, &evaluation);
	if (error != NULL)
		ReThrowError(error);
	return defaults;
}

static void
evaluate_constants(void *arg)
{
	Evaluation *e = arg;
	Defaults   *defaults = e->defaults;
	TupleDesc	desc = RelationGetDescr(e->target);

	XactReadOnly = true;
	for (int i = 0; i < defaults->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		ExprContext *econtext = GetPerTupleExprContext(defaults->estate);

		if (e->states[i] == NULL)
			continue;
		defaults->values[i] = ExecEvalExprSwitchContext(e->states[i], econtext, &defaults->isnull[i]);
		if (!defaults->isnull[i])
			defaults->values[i] = datumCopy(defaults->values[i], att->attbyval, att->attlen);
	}
	ResetPerTupleExprContext(defaults->estate);
}

static GeneratedColumn *
generated_column(Relation target, AttrNumber attnum, EState *estate)
{
	GeneratedColumn *column = palloc0(sizeof(GeneratedColumn));
	Node	   *expr = build_column_default(target, attnum);
	Bitmapset  *used = NULL;
	int			member = -1;

	column->attnum = attnum;
	pull_varattnos(expr, 1, &used);
	while ((member = bms_next_member(used, member)) >= 0)
	{
		AttrNumber	source = member + FirstLowInvalidHeapAttributeNumber;

		if (source <= 0)
		{
			column->sources = NULL;
			break;
		}
		column->sources = bms_add_member(column->sources, source);
	}
	column->state = ExecPrepareExpr((Expr *) expr, estate);
	return column;
}

Datum
jobs_defaults_evaluate(Defaults *defaults, AttrNumber attnum, bool *isnull)
{
	ExprContext *econtext = GetPerTupleExprContext(defaults->estate);

	/* A trigger's, not a default's. */
	if (defaults->states[attnum - 1] == NULL)
	{
		*isnull = true;
		return (Datum) 0;
	}
	return ExecEvalExpr(defaults->states[attnum - 1], econtext, isnull);
}

void
jobs_defaults_generate(Defaults *defaults, const GeneratedColumn *column, TupleTableSlot *slot)
{
	ExprContext *econtext = GetPerTupleExprContext(defaults->estate);
	int			i = column->attnum - 1;

	econtext->ecxt_scantuple = slot;
	slot->tts_values[i] = ExecEvalExpr(column->state, econtext, &slot->tts_isnull[i]);
}

void
jobs_defaults_close(Defaults *defaults)
{
	FreeExecutorState(defaults->estate);
}
