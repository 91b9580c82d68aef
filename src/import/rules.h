/*-------------------------------------------------------------------------
 *
 * rules.h
 *	  What options.rules ask of values, beyond what the target does.
 *
 * {"email": {"check": "email", "on_fail": "null"}}: keys are columns of the target,
 * values one rule, a list of them, or a check alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_RULES_H
#define JOBS_RULES_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "fmgr.h"
#include "import/complaint.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

typedef enum RuleKind
{
	RULE_TYPE,					/* on_fail alone: for what the type refuses */
	RULE_REQUIRED,
	RULE_EMAIL,
	RULE_URL,
	RULE_DATE,
	RULE_REGEX,
	RULE_MIN,
	RULE_MAX,
	RULE_IN,
	RULE_SQL
} RuleKind;

typedef struct Rule
{
	RuleKind	kind;
	AttrNumber	attnum;
	OnFail		on_fail;
	const char *message;		/* of the rule's author, or NULL */
	const char *shown;			/* the bound, the list or the expression, for messages */
	text	   *regex;
	bool		by_length;		/* min and max are characters */
	int			length;
	Datum		bound;
	FmgrInfo	compare;		/* for bounds; equality for a list of values */
	Oid			collation;
	List	   *words;			/* of a list, as char * */
	Datum	   *values;			/* ... or as values of the type; then nvalues > 0 */
	int			nvalues;
	ExprState  *state;
	bool		uses_row;		/* more than value */
	ValueParser date;
} Rule;

/* A value that a rule judges. */
typedef struct RuleInput
{
	const char *text;			/* as the file has it, or NULL */
	int			len;
	Datum		value;
	bool		isnull;
	TupleTableSlot *slot;		/* the whole row */
} RuleInput;

/*
 * Of Rule *, in the current memory context; raises 22023 with a hint, or what the parser
 * does, for rules that are wrong.  estate is for SQL, and must last as long as the rules.
 */
extern List *jobs_rules_read(Relation target, Jsonb *options, const ValueStyle *style, EState *estate);

/*
 * Whether a value passes; raises what the rule's SQL does.  Null passes all but
 * RULE_REQUIRED and SQL.
 */
extern bool jobs_rule_passes(Rule *rule, const RuleInput *input, EState *estate);

/* The code of an issue, and the end of its sentence: "is malformed". */
extern const char *jobs_rule_code(const Rule *rule);
extern const char *jobs_rule_message(const Rule *rule);

/* Whether a text looks like an address that mail can be sent to, or a web address: rule_words.c */
extern bool jobs_is_email(const char *text, int len);

/* Whether it may be the name of a host, other scripts and underscores included. */
extern bool jobs_is_host(const char *host, int len);
extern bool jobs_is_url(const char *text, int len);

/*
 * An expression over "value", a column's value, and "row", the target's row:
 * rule_sql.c.  Refuses what writes, is volatile or has a subquery: 22023.
 */
extern ExprState *jobs_rule_compile(Relation target, AttrNumber attnum, const char *expression,
									EState *estate, bool *uses_row);

#endif							/* JOBS_RULES_H */
