/*-------------------------------------------------------------------------
 *
 * checker_rows.c
 *	  Values of rows, read and judged by rules.
 *
 * The steps of a row are its columns, then the rules, then generated columns.
 * All rows of a batch run in one guard; a step that raises an error is a finding,
 * and the next guard goes on behind it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "import/checker_private.h"
#include "import/guard.h"
#include "miscadmin.h"

static void run_steps(void *arg);
static void step_failed(Checker *c, const ErrorData *error);
static void read_value(Checker *c, CheckedRow *row, CheckedColumn *column);
static void read_null(Checker *c, CheckedRow *row, CheckedColumn *column);
static void run_rule(Checker *c, CheckedRow *row, CheckedRule *check);
static void refused(Checker *c, CheckedRow *row, AttrNumber attnum, CheckedColumn *column, OnFail on_fail);
static void use_default(Checker *c, CheckedRow *row, AttrNumber attnum);
static void generate(Checker *c, CheckedRow *row, GeneratedColumn *column);
static void finish_generated(void *arg);
static const char *field_of(const CheckedRow *row, const CheckedColumn *column);

void
jobs_check_rows(Checker *c)
{
	ErrorData  *error;
	int			date_order = DateOrder;

	c->at_row = 0;
	c->at_step = 0;
	while ((error = jobs_guard(run_steps, c)) != NULL)
	{
		/* An input function may have been left in the middle. */
		DateOrder = date_order;
		step_failed(c, error);
		c->at_step++;
	}
}

/* Rules and types may look into tables, and must not write to them. */
static void
run_steps(void *arg)
{
	Checker    *c = arg;
	int			nrules = c->ncolumns + c->nchecks;
	int			nsteps = nrules + list_length(c->defaults->generated);

	XactReadOnly = true;
	for (; c->at_row < c->nrows; c->at_row++, c->at_step = 0)
	{
		CheckedRow *row = &c->rows[c->at_row];

		if (c->file[c->at_row].flaws != 0 || row->planned >= ROW_SKIP)
			continue;
		CHECK_FOR_INTERRUPTS();
		for (; c->at_step < c->ncolumns; c->at_step++)
			read_value(c, row, &c->columns[c->at_step]);
		for (; c->at_step < nrules; c->at_step++)
			run_rule(c, row, &c->checks[c->at_step - c->ncolumns]);
		for (; c->at_step < nsteps && row->readable; c->at_step++)
			generate(c, row, list_nth(c->defaults->generated, c->at_step - nrules));
	}
}

static void
step_failed(Checker *c, const ErrorData *error)
{
	CheckedRow *row = &c->rows[c->at_row];
	int			step = c->at_step;

	if (step < c->ncolumns)
	{
		CheckedColumn *column = &c->columns[step];

		jobs_find_unread(row, &column->words, field_of(row, column), &column->parser,
						 jobs_value_error(error), column->on_fail, error);
		refused(c, row, column->attnum, column, column->on_fail);
	}
	else if (step < c->ncolumns + c->nchecks)
	{
		CheckedRule *check = &c->checks[step - c->ncolumns];
		const char *reason = "";

		if (error->sqlerrcode == ERRCODE_READ_ONLY_SQL_TRANSACTION)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the rule for column \"%s\" writes", check->words.name),
					 errdetail_internal("%s", error->message),
					 errhint("Rules may only look at values and tables.")));
		/* Its words may hold the value of any column. */
		if (c->options.sensitive == NULL)
			reason = psprintf(": %s", error->message);
		jobs_find_value(row, &check->words, field_of(row, check->column), "rule_failed", check->rule->on_fail,
						psprintf("could not be checked%s", reason));
		refused(c, row, check->rule->attnum, check->column, check->rule->on_fail);
	}
	else
	{
		GeneratedColumn *column = list_nth(c->defaults->generated, step - c->ncolumns - c->nchecks);
		const char *name = NameStr(TupleDescAttr(RelationGetDescr(c->target), column->attnum - 1)->attname);

		jobs_find_row(row, "generated_column",
					  c->options.sensitive != NULL ? psprintf("Column \"%s\" cannot be generated", name)
					  : psprintf("Column \"%s\" cannot be generated: %s", name, error->message));
		row->readable = false;
	}
}

static const char *
field_of(const CheckedRow *row, const CheckedColumn *column)
{
	return column != NULL && column->field < row->nfields ? row->fields[column->field] : NULL;
}

static inline void
read_value(Checker *c, CheckedRow *row, CheckedColumn *column)
{
	FileRow    *file = &c->file[c->at_row];
	const char *text = column->field < file->nfields ? file->fields[column->field] : NULL;
	int			len;
	int			i = column->attnum - 1;
	ValueResult result;

	column->failed = false;
	len = text != NULL ? file->lengths[column->field] : 0;

	/* Many programs put quotes around every field: "" is no number, and no wrong one. */
	if (text == NULL || (len == 0 && !column->parser.is_string))
	{
		read_null(c, row, column);
		return;
	}
	row->slot->tts_isnull[i] = false;
	result = jobs_value_parse(&column->parser, text, len, &row->slot->tts_values[i]);
	if (likely(result == VALUE_READ))
		return;
	jobs_find_unread(row, &column->words, text, &column->parser, result, column->on_fail,
					 column->parser.error);
	refused(c, row, column->attnum, column, column->on_fail);
}

/* An empty field of a column that must have a value takes its default. */
static void
read_null(Checker *c, CheckedRow *row, CheckedColumn *column)
{
	row->slot->tts_isnull[column->attnum - 1] = true;
	if (column->notnull && column->has_default)
		use_default(c, row, column->attnum);
	else if (column->notnull)
	{
		jobs_find_missing(row, &column->words, FAIL_SKIP);
		refused(c, row, column->attnum, column, FAIL_SKIP);
	}
}

static void
run_rule(Checker *c, CheckedRow *row, CheckedRule *check)
{
	CheckedColumn *column = check->column;
	Rule	   *rule = check->rule;
	RuleInput	input;

	if ((column != NULL && column->failed) || (rule->uses_row && !row->readable))
		return;
	input.text = field_of(row, column);
	input.len = input.text != NULL ? c->file[c->at_row].lengths[column->field] : 0;
	input.value = row->slot->tts_values[rule->attnum - 1];
	input.isnull = row->slot->tts_isnull[rule->attnum - 1];
	input.slot = row->slot;
	if (jobs_rule_passes(rule, &input, c->estate))
		return;
	if (rule->kind == RULE_REQUIRED)
	{
		/* Once is enough. */
		if (row->readable || column == NULL || !column->notnull)
			jobs_find_missing(row, &check->words, rule->on_fail);
	}
	else
		jobs_find_value(row, &check->words, input.text, jobs_rule_code(rule), rule->on_fail,
						jobs_rule_message(rule));
	refused(c, row, rule->attnum, column, rule->on_fail);
}

/* What the row has instead of a value that is refused. */
static void
refused(Checker *c, CheckedRow *row, AttrNumber attnum, CheckedColumn *column, OnFail on_fail)
{
	row->slot->tts_isnull[attnum - 1] = true;
	if (column != NULL)
		column->failed = true;
	if (on_fail == FAIL_DEFAULT)
		use_default(c, row, attnum);
	else if (on_fail != FAIL_NULL)
		row->readable = false;
}

static void
use_default(Checker *c, CheckedRow *row, AttrNumber attnum)
{
	int			i = attnum - 1;

	row->slot->tts_values[i] = c->defaults->values[i];
	row->slot->tts_isnull[i] = c->defaults->isnull[i];
	if (c->defaults->is_volatile[i])
		row->unknown = bms_add_member(bms_copy(row->unknown), attnum);
}

static void
generate(Checker *c, CheckedRow *row, GeneratedColumn *column)
{
	if (jobs_defaults_depends(column, row->unknown))
	{
		if (!bms_is_member(column->attnum, row->unknown))
			row->unknown = bms_add_member(bms_copy(row->unknown), column->attnum);
		return;
	}
	jobs_defaults_generate(c->defaults, column, row->slot);
}

/* As COPY: an error of a default is the import's. */
void
jobs_check_finish_defaults(Checker *c, CheckedRow *row)
{
	/* A row that updates another has no use for them, but where a value of the file is replaced. */
	const Bitmapset *unknown = row->planned == ROW_UPDATE ? c->unknown : c->stay_unknown;
	int			attnum = -1;
	ListCell   *lc;

	while ((attnum = bms_next_member(row->unknown, attnum)) >= 0)
	{
		if (c->defaults->is_volatile[attnum - 1] && !bms_is_member(attnum, unknown))
			row->slot->tts_values[attnum - 1] =
				jobs_defaults_evaluate(c->defaults, attnum, &row->slot->tts_isnull[attnum - 1]);
	}
	c->at_row = row - c->rows;
	foreach(lc, c->defaults->generated)
	{
		GeneratedColumn *column = lfirst(lc);
		ErrorData  *error;

		if (!bms_is_member(column->attnum, row->unknown) || bms_is_member(column->attnum, unknown))
			continue;
		c->at_step = c->ncolumns + c->nchecks + foreach_current_index(lc);
		if ((error = jobs_guard(finish_generated, c)) != NULL)
			step_failed(c, error);
	}
	row->unknown = unknown;
}

static void
finish_generated(void *arg)
{
	Checker    *c = arg;

	XactReadOnly = true;
	jobs_defaults_generate(c->defaults, list_nth(c->defaults->generated, c->at_step - c->ncolumns - c->nchecks),
						   c->rows[c->at_row].slot);
}
