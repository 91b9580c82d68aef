/*-------------------------------------------------------------------------
 *
 * rules.c
 *	  What options.rules ask of values, beyond what the target does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "executor/executor.h"
#include "import/columns.h"
#include "import/rules.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "options.h"
#include "regex/regex.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

/* Characters of a bound, list or expression in a message. */
#define MAX_SHOWN		200

/* What rules are read with. */
typedef struct RuleReader
{
	Relation	target;
	const ValueStyle *style;
	EState	   *estate;
	AttrNumber	attnum;
	const char *name;			/* the column's */
	ValueParser parser;			/* of the column's type */
	OnFail		on_fail;
	const char *message;
	List	   *rules;
} RuleReader;

static void read_column(RuleReader *r, JsonbContainer *container, const JsonbValue *scalar);
static void read_object(RuleReader *r, JsonbContainer *object);
static OnFail on_fail_option(RuleReader *r, const JsonbValue *value);
static void read_check(RuleReader *r, const char *check);
static Rule *add_rule(RuleReader *r, RuleKind kind);
static void add_bound(RuleReader *r, RuleKind kind, const char *text);
static void add_list(RuleReader *r, List *words);
static void add_regex(RuleReader *r, const char *pattern);
static void add_sql(RuleReader *r, const char *expression);
static void compile(RuleReader *r, Rule *rule, const char *expression);
static Datum parse_constant(RuleReader *r, const char *text);
static bool passes_bound(Rule *rule, const RuleInput *input);
static bool passes_list(Rule *rule, const RuleInput *input);
static char *text_of(const JsonbValue *value);
static List *split_list(const char *text);
static char *join_list(List *words);
static pg_noreturn void refuse(RuleReader *r, const char *what, const char *hint);

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------
 */

List *
jobs_rules_read(Relation target, Jsonb *options, const ValueStyle *style, EState *estate)
{
	JsonbValue *rules = jobs_columns_option(options, "rules");
	JsonbIterator *it;
	JsonbValue	v;
	RuleReader	r = {.target = target, .style = style, .estate = estate};

	if (rules == NULL)
		return NIL;
	if (rules->type != jbvBinary || !JsonContainerIsObject(rules->val.binary.data))
		jobs_refuse_option(errmsg("option \"rules\" must be a JSON object"),
						   errhint("For example {\"rules\": {\"email\": {\"check\": \"email\", \"on_fail\": \"null\"}}}."));
	it = JsonbIteratorInit(rules->val.binary.data);
	(void) JsonbIteratorNext(&it, &v, true);
	while (JsonbIteratorNext(&it, &v, true) == WJB_KEY)
	{
		Form_pg_attribute att;

		r.name = pnstrdup(v.val.string.val, v.val.string.len);
		r.attnum = jobs_columns_named(target, r.name, "rules");
		att = TupleDescAttr(RelationGetDescr(target), r.attnum - 1);
		jobs_value_init(&r.parser, att->atttypid, att->atttypmod, style);
		(void) JsonbIteratorNext(&it, &v, true);
		read_column(&r, v.type == jbvBinary ? v.val.binary.data : NULL, &v);
	}
	return r.rules;
}

/* A check, an object, or an array of them. */
static void
read_column(RuleReader *r, JsonbContainer *container, const JsonbValue *scalar)
{
	JsonbIterator *it;
	JsonbValue	v;

	r->on_fail = FAIL_SKIP;
	r->message = NULL;
	if (scalar->type == jbvString)
		read_check(r, text_of(scalar));
	else if (container != NULL && JsonContainerIsObject(container))
		read_object(r, container);
	else if (container != NULL && JsonContainerIsArray(container) && !JsonContainerIsScalar(container))
	{
		it = JsonbIteratorInit(container);
		(void) JsonbIteratorNext(&it, &v, true);
		while (JsonbIteratorNext(&it, &v, true) == WJB_ELEM)
		{
			if (v.type == jbvBinary && JsonContainerIsArray(v.val.binary.data))
				refuse(r, "must not be an array in an array", NULL);
			read_column(r, v.type == jbvBinary ? v.val.binary.data : NULL, &v);
		}
	}
	else if (scalar->type != jbvNull)
		refuse(r, "must be a check, an object or an array of them", "For example {\"check\": \"email\"}.");
}

static void
read_object(RuleReader *r, JsonbContainer *object)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbValue	v;
	JsonbValue *on_fail = getKeyJsonValueFromContainer(object, "on_fail", strlen("on_fail"), NULL);
	JsonbValue *message = getKeyJsonValueFromContainer(object, "message", strlen("message"), NULL);
	int			before = list_length(r->rules);

	if (on_fail != NULL)
		r->on_fail = on_fail_option(r, on_fail);
	if (message != NULL)
	{
		if (message->type != jbvString)
			refuse(r, "needs a string as its \"message\"", NULL);
		r->message = text_of(message);
	}
	(void) JsonbIteratorNext(&it, &v, true);
	while (JsonbIteratorNext(&it, &v, true) == WJB_KEY)
	{
		char	   *key = text_of(&v);

		(void) JsonbIteratorNext(&it, &v, true);
		if (strcmp(key, "on_fail") == 0 || strcmp(key, "message") == 0 || v.type == jbvNull)
			continue;
		if (strcmp(key, "check") == 0 && v.type == jbvString)
			read_check(r, text_of(&v));
		else if (strcmp(key, "required") == 0 && v.type == jbvBool)
		{
			if (v.val.boolean)
				(void) add_rule(r, RULE_REQUIRED);
		}
		else if (strcmp(key, "min") == 0 && (v.type == jbvNumeric || v.type == jbvString))
			add_bound(r, RULE_MIN, text_of(&v));
		else if (strcmp(key, "max") == 0 && (v.type == jbvNumeric || v.type == jbvString))
			add_bound(r, RULE_MAX, text_of(&v));
		else if (strcmp(key, "regex") == 0 && v.type == jbvString)
			add_regex(r, text_of(&v));
		else if (strcmp(key, "in") == 0 && v.type == jbvBinary && JsonContainerIsArray(v.val.binary.data))
		{
			JsonbIterator *list = JsonbIteratorInit(v.val.binary.data);
			JsonbValue	e;
			List	   *words = NIL;

			(void) JsonbIteratorNext(&list, &e, true);
			while (JsonbIteratorNext(&list, &e, true) == WJB_ELEM)
			{
				if (e.type != jbvString && e.type != jbvNumeric && e.type != jbvBool)
					refuse(r, "has a list with something else than strings, numbers and booleans", NULL);
				words = lappend(words, text_of(&e));
			}
			add_list(r, words);
		}
		else
			refuse(r, psprintf("has no such key, or no such value for it: \"%s\"", key),
				   "Keys of a rule are check, required, min, max, in, regex, on_fail and message.");
	}
	if (list_length(r->rules) == before)
		(void) add_rule(r, RULE_TYPE);
}

static OnFail
on_fail_option(RuleReader *r, const JsonbValue *value)
{
	static const char *const names[] = {"skip", "null", "default", "reject"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (value->type == jbvString && strcmp(text_of(value), names[i]) == 0)
			return (OnFail) i;
	}
	/* What JSON calls null is the word as well. */
	if (value->type == jbvNull)
		return FAIL_NULL;
	refuse(r, "has an \"on_fail\" that is not known", "It is one of skip, null, default and reject.");
}

static void
read_check(RuleReader *r, const char *check)
{
	static const struct
	{
		const char *word;
		RuleKind	kind;
	}			words[] = {
		{"required", RULE_REQUIRED}, {"email", RULE_EMAIL}, {"url", RULE_URL}, {"date", RULE_DATE}
	};
	const char *argument = strchr(check, ':');
	int			len = argument != NULL ? argument - check : 0;

	for (int i = 0; i < lengthof(words); i++)
	{
		if (strcmp(check, words[i].word) == 0)
		{
			Rule	   *rule = add_rule(r, words[i].kind);

			if (rule->kind == RULE_DATE)
				jobs_value_init(&rule->date, DATEOID, -1, r->style);
			return;
		}
	}
	if (argument != NULL)
	{
		argument++;
		if (len == 5 && strncmp(check, "regex", len) == 0)
			add_regex(r, argument);
		else if (len == 3 && strncmp(check, "min", len) == 0)
			add_bound(r, RULE_MIN, argument);
		else if (len == 3 && strncmp(check, "max", len) == 0)
			add_bound(r, RULE_MAX, argument);
		else if (len == 2 && strncmp(check, "in", len) == 0)
			add_list(r, split_list(argument));
		else if (len == 3 && strncmp(check, "sql", len) == 0)
			add_sql(r, argument);
		else
			argument = NULL;
	}
	if (argument == NULL)
		refuse(r, psprintf("has a check that is not known: \"%s\"", check),
			   "Checks are required, email, url, date, regex:..., min:..., max:..., in:... and sql:....");
}

static Rule *
add_rule(RuleReader *r, RuleKind kind)
{
	Rule	   *rule = palloc0(sizeof(Rule));

	rule->kind = kind;
	rule->attnum = r->attnum;
	rule->on_fail = r->on_fail;
	rule->message = r->message;
	rule->collation = TupleDescAttr(RelationGetDescr(r->target), r->attnum - 1)->attcollation;
	r->rules = lappend(r->rules, rule);
	return rule;
}

/* Of texts, how many characters they have. */
static void
add_bound(RuleReader *r, RuleKind kind, const char *text)
{
	Rule	   *rule = add_rule(r, kind);
	TypeCacheEntry *type;

	rule->shown = text;
	rule->by_length = r->parser.is_string;
	if (rule->by_length)
	{
		char	   *end;
		long		length = strtol(text, &end, 10);

		if (*text == '\0' || *end != '\0' || length < 0 || length > PG_INT32_MAX)
			refuse(r, psprintf("needs a number of characters as its bound, and not \"%s\"", text), NULL);
		rule->length = length;
		return;
	}
	type = lookup_type_cache(r->parser.type, TYPECACHE_CMP_PROC_FINFO);
	if (!OidIsValid(type->cmp_proc_finfo.fn_oid))
		refuse(r, "has a bound, but values of its type have no order", NULL);
	fmgr_info(type->cmp_proc_finfo.fn_oid, &rule->compare);
	rule->bound = parse_constant(r, text);
}

static void
add_list(RuleReader *r, List *words)
{
	Rule	   *rule = add_rule(r, RULE_IN);
	TypeCacheEntry *type;
	ListCell   *lc;

	if (words == NIL)
		refuse(r, "has an empty list", NULL);
	rule->words = words;
	rule->shown = join_list(words);
	if (r->parser.is_string)
		return;
	type = lookup_type_cache(r->parser.type, TYPECACHE_EQ_OPR_FINFO);
	if (!OidIsValid(type->eq_opr_finfo.fn_oid))
		return;
	fmgr_info(type->eq_opr_finfo.fn_oid, &rule->compare);
	rule->values = palloc(sizeof(Datum) * list_length(words));
	foreach(lc, words)
		rule->values[rule->nvalues++] = parse_constant(r, lfirst(lc));
}

static void
add_regex(RuleReader *r, const char *pattern)
{
	Rule	   *rule = add_rule(r, RULE_REGEX);

	rule->regex = cstring_to_text(pattern);
	if (!OidIsValid(rule->collation))
		rule->collation = DEFAULT_COLLATION_OID;
	compile(r, rule, NULL);
}

static void
add_sql(RuleReader *r, const char *expression)
{
	Rule	   *rule = add_rule(r, RULE_SQL);

	rule->shown = expression + strspn(expression, " ");
	compile(r, rule, expression);
}

/* A regular expression, or SQL. */
static void
compile(RuleReader *r, Rule *rule, const char *expression)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		if (expression)
			rule->state = jobs_rule_compile(r->target, r->attnum, expression, r->estate, &rule->uses_row);
		else
			(void) RE_compile_and_cache(rule->regex, REG_ADVANCED, rule->collation);
	}
	PG_CATCH();
	{
		ErrorData  *error;
		int			category;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
		if (error->sqlerrcode == ERRCODE_INVALID_PARAMETER_VALUE || error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE ||
			(category != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION && category != ERRCODE_DATA_EXCEPTION))
			PG_RE_THROW();
		/* What the parser says is the option's fault, and of this column. */
		FlushErrorState();
		error->sqlerrcode = ERRCODE_INVALID_PARAMETER_VALUE;
		error->message = psprintf("the rule for column \"%s\" cannot be used: %s", r->name, error->message);
		ReThrowError(error);
	}
	PG_END_TRY();
}

/* JSON's numbers have a decimal point, whatever the file has. */
static Datum
parse_constant(RuleReader *r, const char *text)
{
	ValueStyle	style = *r->style;
	ValueParser parser = r->parser;
	Datum		value;
	int16		typlen;
	bool		typbyval;

	style.decimal = '.';
	parser.style = &style;
	parser.domain = InvalidOid;
	if (jobs_value_parse(&parser, text, strlen(text), &value) != VALUE_READ)
		refuse(r, psprintf("has a bound or a list with \"%s\", which is no value of the column", text), NULL);
	get_typlenbyval(parser.type, &typlen, &typbyval);
	return datumCopy(value, typbyval, typlen);
}

/* ------------------------------------------------------------------------
 * Judging
 * ------------------------------------------------------------------------
 */

bool
jobs_rule_passes(Rule *rule, const RuleInput *input, EState *estate)
{
	Datum		value;
	bool		isnull;

	if (rule->kind == RULE_REQUIRED)
		return !input->isnull && !(input->text != NULL && input->len == 0);
	if (rule->kind == RULE_SQL)
	{
		ExprContext *econtext = GetPerTupleExprContext(estate);

		econtext->ecxt_scantuple = input->slot;
		value = ExecEvalExpr(rule->state, econtext, &isnull);
		return isnull || DatumGetBool(value);
	}
	if (input->isnull || input->text == NULL)
		return true;
	switch (rule->kind)
	{
		case RULE_EMAIL:
			return jobs_is_email(input->text, input->len);
		case RULE_URL:
			return jobs_is_url(input->text, input->len);
		case RULE_DATE:
			return strpbrk(input->text, "0123456789") != NULL &&
				jobs_value_parse(&rule->date, input->text, input->len, &value) == VALUE_READ;
		case RULE_REGEX:
			return RE_compile_and_execute(rule->regex, unconstify(char *, input->text), input->len, REG_ADVANCED,
										  rule->collation, 0, NULL);
		case RULE_MIN:
		case RULE_MAX:
			return passes_bound(rule, input);
		case RULE_IN:
			return passes_list(rule, input);
		default:
			return true;
	}
}

static bool
passes_bound(Rule *rule, const RuleInput *input)
{
	int			compared;

	if (rule->by_length)
		compared = pg_mbstrlen_with_len(input->text, input->len) - rule->length;
	else
		compared = DatumGetInt32(FunctionCall2Coll(&rule->compare, rule->collation, input->value, rule->bound));
	return rule->kind == RULE_MIN ? compared >= 0 : compared <= 0;
}

static bool
passes_list(Rule *rule, const RuleInput *input)
{
	ListCell   *lc;

	for (int i = 0; i < rule->nvalues; i++)
	{
		if (DatumGetBool(FunctionCall2Coll(&rule->compare, rule->collation, input->value, rule->values[i])))
			return true;
	}
	if (rule->nvalues > 0)
		return false;
	foreach(lc, rule->words)
	{
		if (strcmp(lfirst(lc), input->text) == 0)
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------------
 * Words
 * ------------------------------------------------------------------------
 */

const char *
jobs_rule_code(const Rule *rule)
{
	switch (rule->kind)
	{
		case RULE_MIN:
			return rule->by_length ? "too_short" : "out_of_range";
		case RULE_MAX:
			return rule->by_length ? "too_long" : "out_of_range";
		case RULE_IN:
			return "not_in_list";
		case RULE_SQL:
			return "rule_violation";
		case RULE_REQUIRED:
			return "missing_required";
		default:
			return "malformed";
	}
}

const char *
jobs_rule_message(const Rule *rule)
{
	if (rule->message != NULL)
		return rule->message;
	switch (rule->kind)
	{
		case RULE_URL:
			return "is not a web address";
		case RULE_DATE:
			return "is not a date";
		case RULE_MIN:
			return psprintf(rule->by_length ? "has fewer than %s characters" : "is less than %s", rule->shown);
		case RULE_MAX:
			return psprintf(rule->by_length ? "has more than %s characters" : "is more than %s", rule->shown);
		case RULE_IN:
			return psprintf("is not one of %s", rule->shown);
		case RULE_SQL:
			return psprintf("violates the rule %s",
							pnstrdup(rule->shown, pg_mbcliplen(rule->shown, strlen(rule->shown), MAX_SHOWN)));
		default:
			return "is malformed";
	}
}

static char *
text_of(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return pstrdup("");
	}
}

static List *
split_list(const char *text)
{
	List	   *words = NIL;

	for (;;)
	{
		int			len = strcspn(text, ",");
		const char *start = text + strspn(text, " ");
		int			size = text + len - start;

		while (size > 0 && start[size - 1] == ' ')
			size--;
		if (size > 0)
			words = lappend(words, pnstrdup(start, size));
		if (text[len] == '\0')
			return words;
		text += len + 1;
	}
}

static char *
join_list(List *words)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, words)
	{
		if (list.len > MAX_SHOWN)
		{
			appendStringInfo(&list, " and %d more", list_length(words) - foreach_current_index(lc));
			break;
		}
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", (char *) lfirst(lc));
	}
	return list.data;
}

static void
refuse(RuleReader *r, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the rule for column \"%s\" %s", r->name, what),
			 hint != NULL ? errhint("%s", hint) : 0));
}
