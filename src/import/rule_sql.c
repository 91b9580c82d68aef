/*-------------------------------------------------------------------------
 *
 * rule_sql.c
 *	  Rules that are SQL: compiled once, evaluated for each row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "compat.h"
#include "executor/executor.h"
#include "import/rules.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "options.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "query.h"

/* What the parser's hook has to know. */
typedef struct RuleScope
{
	AttrNumber	attnum;			/* of "value" */
	Form_pg_attribute att;
} RuleScope;

static Node *parse_expression(const char *text);
static char *quote_row(const char *expression);
static bool is_word(char c);
static const char *skip_quoted(const char *expression, const char *p);
static Node *resolve_value(ParseState *pstate, ColumnRef *cref);
static bool has_subquery(Node *node, void *context);
static bool reads_more(Node *expr, AttrNumber attnum);

ExprState *
jobs_rule_compile(Relation target, AttrNumber attnum, const char *expression, EState *estate, bool *uses_row)
{
	char	   *text = quote_row(expression);
	ErrorContextCallback callback = {error_context_stack, jobs_query_error_context, text};
	ParseState *pstate = make_parsestate(NULL);
	RuleScope	scope = {attnum, TupleDescAttr(RelationGetDescr(target), attnum - 1)};
	ParseNamespaceItem *item;
	Node	   *expr;

	error_context_stack = &callback;
	pstate->p_sourcetext = text;
	pstate->p_pre_columnref_hook = resolve_value;
	pstate->p_ref_hook_state = &scope;
	item = addRangeTableEntryForRelation(pstate, target, AccessShareLock, makeAlias("row", NIL), false, false);
	addNSItemToQuery(pstate, item, false, true, true);

	expr = parse_expression(text);
	if (has_subquery(expr, NULL))
		jobs_refuse_option(errmsg("a rule cannot have a subquery"),
						   errhint("Call a function that is marked STABLE and has the query."));
	expr = transformExpr(pstate, expr, EXPR_KIND_CHECK_CONSTRAINT);
	expr = coerce_to_boolean(pstate, expr, "a rule");
	assign_expr_collations(pstate, expr);
	expr = jobs_expand_generated(expr, target);
	*uses_row = reads_more(expr, attnum);
	expr = (Node *) expression_planner((Expr *) expr);
	if (contain_volatile_functions(expr))
		jobs_refuse_option(errmsg("a rule cannot call a volatile function"),
						   errhint("Mark the function STABLE or IMMUTABLE if it only reads."));
	error_context_stack = callback.previous;
	return ExecPrepareExpr((Expr *) expr, estate);
}

/* One expression, and nothing that makes a query of it. */
static Node *
parse_expression(const char *text)
{
	List	   *list = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = (SelectStmt *) linitial_node(RawStmt, list)->stmt;
	ResTarget  *target;

	if (list_length(list) != 1 || !IsA(select, SelectStmt) || list_length(select->targetList) != 1 ||
		select->distinctClause != NIL || select->intoClause != NULL || select->fromClause != NIL ||
		select->whereClause != NULL || select->groupClause != NIL || select->havingClause != NULL ||
		select->windowClause != NIL || select->valuesLists != NIL || select->sortClause != NIL ||
		select->limitOffset != NULL || select->limitCount != NULL || select->lockingClause != NIL ||
		select->withClause != NULL || select->op != SETOP_NONE)
		jobs_refuse_option(errmsg("a rule must be one expression"),
						   errhint("For example \"sql:value > 0\"."));
	target = linitial_node(ResTarget, select->targetList);
	return target->val;
}

/*
 * ROW is a reserved word: as the name of the target's row it is put in quotes, where
 * a point follows it or no parenthesis.
 */
static char *
quote_row(const char *expression)
{
	StringInfoData out;
	const char *p = expression;

	initStringInfo(&out);
	while (*p != '\0')
	{
		const char *start = p;
		const char *next;

		if (is_word(*p) && *p != '$')
		{
			while (is_word(*p))
				p++;
			for (next = p; isspace((unsigned char) *next);)
				next++;
			if (p - start == 3 && pg_strncasecmp(start, "row", 3) == 0 && *next != '(' &&
				(start == expression || start[-1] != '.'))
			{
				appendStringInfoString(&out, "\"row\"");
				continue;
			}
		}
		else
			p = skip_quoted(expression, p);
		appendBinaryStringInfo(&out, start, p - start);
	}
	return out.data;
}

static bool
is_word(char c)
{
	return isalnum((unsigned char) c) || c == '_' || c == '$' || IS_HIGHBIT_SET(c);
}

/* Behind a string, a quoted name, a dollar-quoted string, a comment, or one character. */
static const char *
skip_quoted(const char *expression, const char *p)
{
	const char *end;

	if (*p == '\'' || *p == '"')
	{
		/* An E of its own, not that of LIKE. */
		bool		escapes = *p == '\'' && p > expression && (p[-1] == 'e' || p[-1] == 'E') &&
			(p - 1 == expression || !is_word(p[-2]));

		for (end = p + 1; *end != '\0' && *end != *p; end++)
		{
			if (escapes && *end == '\\' && end[1] != '\0')
				end++;
		}
		return *end != '\0' ? end + 1 : end;
	}
	if (*p == '$')
	{
		int			tag = 1;

		while (isalnum((unsigned char) p[tag]) || p[tag] == '_')
			tag++;
		if (p[tag] == '$' && !isdigit((unsigned char) p[1]))
		{
			char	   *quote = pnstrdup(p, tag + 1);

			end = strstr(p + tag + 1, quote);
			return end != NULL ? end + tag + 1 : p + strlen(p);
		}
		return p + tag;
	}
	if (p[0] == '-' && p[1] == '-')
		return p + strcspn(p, "\n\r");
	if (p[0] == '/' && p[1] == '*')
	{
		end = strstr(p + 2, "*/");
		return end != NULL ? end + 2 : p + strlen(p);
	}
	return p + 1;
}

/* "value" is the column's, also where the target has a column of that name. */
static Node *
resolve_value(ParseState *pstate, ColumnRef *cref)
{
	RuleScope  *scope = pstate->p_ref_hook_state;
	Node	   *name = linitial(cref->fields);

	if (list_length(cref->fields) != 1 || !IsA(name, String) || strcmp(strVal(name), "value") != 0)
		return NULL;
	return (Node *) makeVar(1, scope->attnum, scope->att->atttypid, scope->att->atttypmod,
							scope->att->attcollation, 0);
}

static bool
has_subquery(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink) || IsA(node, SelectStmt))
		return true;
	return raw_expression_tree_walker(node, has_subquery, context);
}

/* Whether an expression needs other columns than its own. */
static bool
reads_more(Node *expr, AttrNumber attnum)
{
	ListCell   *lc;

	foreach(lc, pull_var_clause(expr, 0))
	{
		if (((Var *) lfirst(lc))->varattno != attnum)
			return true;
	}
	return false;
}
