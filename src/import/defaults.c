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
	int			column;			/* the one that is evaluated */
} Evaluation;

static void evaluate_constant(void *arg);
static GeneratedColumn *generated_column(Relation target, AttrNumber attnum, EState *estate);

Defaults *
jobs_defaults_open(Relation target, const Bitmapset *filled)
{
	TupleDesc	desc = RelationGetDescr(target);
	Defaults   *defaults = palloc0(sizeof(Defaults));
	ExprState **constants = palloc0(sizeof(ExprState *) * (desc->natts + 1));
	Evaluation	evaluation = {defaults, target, constants, 0};
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
	for (int i = 0; i < desc->natts; i++)
	{
		evaluation.column = i;
		if (constants[i] == NULL || (error = jobs_guard(evaluate_constant, &evaluation)) == NULL)
			continue;
		if (!bms_is_member(i + 1, filled))
			ReThrowError(error);
		/* Most rows do not need it, and the others are as without one. */
		defaults->present[i] = false;
		defaults->isnull[i] = true;
	}
	return defaults;
}

static void
evaluate_constant(void *arg)
{
	Evaluation *e = arg;
	Defaults   *defaults = e->defaults;
	int			i = e->column;
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(e->target), i);
	ExprContext *econtext = GetPerTupleExprContext(defaults->estate);

	XactReadOnly = true;
	defaults->values[i] = ExecEvalExprSwitchContext(e->states[i], econtext, &defaults->isnull[i]);
	if (!defaults->isnull[i])
		defaults->values[i] = datumCopy(defaults->values[i], att->attbyval, att->attlen);
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

	return ExecEvalExpr(defaults->states[attnum - 1], econtext, isnull);
}

/* A generated column that reads the whole row, or a system column, depends on all. */
bool
jobs_defaults_depends(const GeneratedColumn *column, const Bitmapset *unknown)
{
	return unknown != NULL && (column->sources == NULL || bms_overlap(column->sources, unknown));
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
