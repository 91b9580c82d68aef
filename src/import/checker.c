/*-------------------------------------------------------------------------
 *
 * checker.c
 *	  What will happen to each row of a file, and why.
 *
 * A batch of rows goes through these steps: the values of each row are read,
 * rules judge them, and generated columns follow (check_rows, all of it in a
 * guard, since user code runs there); volatile defaults are evaluated where rows
 * will be written; constraints judge the rows that are still good.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "import/checker_private.h"
#include "import/guard.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* Memory for values of one batch that stays. */
#define ARENA_SIZE		(512 * 1024)
#define BATCH_MEMORY	((Size) 512 * 1024)

static void check_updates(Checker *c);
static void open_sensitive(Checker *c);
static void open_columns(Checker *c);
static bool needs_value(Checker *c, Form_pg_attribute att);
static bool cannot_be_absent(Checker *c, Form_pg_attribute att);
static bool type_needs_value(Checker *c, Form_pg_attribute att);
static void check_null(void *arg);
static void open_absent(Checker *c);
static void open_rules(Checker *c);
static int	compare_checks(const void *a, const void *b);
static OnFail possible(Checker *c, AttrNumber attnum, OnFail on_fail);
static void open_file_issues(Checker *c);
static void open_constraints(Checker *c);
static void begin_row(Checker *c, CheckedRow *row, FileRow *file);

/* ------------------------------------------------------------------------
 * Opening
 * ------------------------------------------------------------------------
 */

Checker *
jobs_checker_open(Relation target, Reader *reader, Jsonb *options, const CheckerImport *import)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "jobs checker", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Checker    *c = palloc0(sizeof(Checker));

	c->context = context;
	c->batch = AllocSetContextCreate(context, "jobs checker batch", BATCH_MEMORY, BATCH_MEMORY, ALLOCSET_DEFAULT_MAXSIZE);
	c->target = target;
	c->reader = reader;
	c->dialect = jobs_reader_dialect(reader);
	c->import = import;
	jobs_columns_check_target(target);
	jobs_check_options(target, options, &c->options);

	jobs_arena_init(&c->arena, ARENA_SIZE, c->batch);
	c->style.decimal = c->dialect->decimal;
	c->style.date_order = jobs_date_order(c->dialect->date_order);
	c->style.arena = &c->arena;
	c->map = jobs_columns_match(target, c->dialect, options);
	if (c->options.on_conflict == CONFLICT_UPDATE)
		check_updates(c);
	for (int f = 0; f < c->map->nfields; f++)
	{
		if (c->map->attnums[f] != InvalidAttrNumber)
			c->filled = bms_add_member(c->filled, c->map->attnums[f]);
	}
	c->defaults = jobs_defaults_open(target, c->filled);
	open_sensitive(c);
	c->estate = CreateExecutorState();
	c->entity = jobs_columns_entity(RelationGetRelationName(target));
	open_columns(c);
	open_absent(c);
	c->rules = jobs_rules_read(target, options, &c->style, c->estate);
	open_rules(c);
	open_file_issues(c);
	open_constraints(c);

	for (int i = 0; i < CHECKER_BATCH; i++)
	{
		c->rows[i].slot = table_slot_create(target, NULL);
		c->order[i] = &c->rows[i];
	}
	MemoryContextSwitchTo(old);
	return c;
}

/* An update changes all columns of the file, but for identities that the table makes itself. */
static void
check_updates(Checker *c)
{
	Oid			table = RelationGetRelid(c->target);
	bool		may_update = pg_class_aclcheck(table, GetUserId(), ACL_UPDATE) == ACLCHECK_OK;
	bool		any = false;

	for (int f = 0; f < c->map->nfields; f++)
	{
		AttrNumber	attnum = c->map->attnums[f];
		Form_pg_attribute att = attnum > 0 ? TupleDescAttr(RelationGetDescr(c->target), attnum - 1) : NULL;

		if (att == NULL || att->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
			continue;
		any = true;
		if (!may_update && pg_attribute_aclcheck(table, attnum, GetUserId(), ACL_UPDATE) != ACLCHECK_OK)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to update column \"%s\" of \"%s\"", NameStr(att->attname),
							RelationGetRelationName(c->target)),
					 errhint("Leave the file's column out by option \"mapping\", as {\"%s\": null}.", c->map->names[f])));
	}
	if (!any)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the file has no column that option \"on_conflict\" \"update\" could change"),
				 errhint("The table makes the values of its identity column itself.")));
}

/* What is generated from a sensitive value would tell it. */
static void
open_sensitive(Checker *c)
{
	Bitmapset  *given = bms_copy(c->options.sensitive);
	ListCell   *lc;

	foreach(lc, c->defaults->generated)
	{
		GeneratedColumn *column = lfirst(lc);

		if (jobs_defaults_depends(column, given))
			c->options.sensitive = bms_add_member(c->options.sensitive, column->attnum);
	}
}

/* Columns that the file fills. */
static void
open_columns(Checker *c)
{
	c->columns = palloc0(sizeof(CheckedColumn) * (c->map->nfields + 1));
	c->attnums = palloc0(sizeof(AttrNumber) * (c->map->nfields + 1));
	c->names = palloc0(sizeof(char *) * (c->map->nfields + 1));
	c->fields = palloc0(sizeof(int) * (c->map->nfields + 1));
	for (int f = 0; f < c->map->nfields; f++)
	{
		AttrNumber	attnum = c->map->attnums[f];
		CheckedColumn *column = &c->columns[c->ncolumns];
		Form_pg_attribute att;

		if (attnum == InvalidAttrNumber)
			continue;
		att = TupleDescAttr(RelationGetDescr(c->target), attnum - 1);
		column->field = f;
		column->attnum = attnum;
		column->notnull = needs_value(c, att);
		column->has_default = c->defaults->present[attnum - 1];
		jobs_words_init(&column->words, c->map->names[f], bms_is_member(attnum, c->options.sensitive));
		jobs_value_init(&column->parser, att->atttypid, att->atttypmod, &c->style);
		c->attnums[c->ncolumns] = attnum;
		c->names[c->ncolumns] = c->map->names[f];
		c->fields[c->ncolumns] = f;
		c->ncolumns++;
	}
}

/* By itself or by its domain, NOT NULL of which COPY does not look at where it fills in defaults. */
static bool
needs_value(Checker *c, Form_pg_attribute att)
{
	return att->attnotnull || type_needs_value(c, att);
}

/*
 * Behind a view, and a foreign table, may be defaults that are not seen here.  But a
 * null that stands for a column is one of its type before a trigger or a server has it.
 */
static bool
cannot_be_absent(Checker *c, Form_pg_attribute att)
{
	switch (c->target->rd_rel->relkind)
	{
		case RELKIND_VIEW:
			return c->target->trigdesc && c->target->trigdesc->trig_insert_instead_row && type_needs_value(c, att);
		case RELKIND_FOREIGN_TABLE:
			return type_needs_value(c, att);
		default:
			return needs_value(c, att);
	}
}

static bool
type_needs_value(Checker *c, Form_pg_attribute att)
{
	ValueParser parser;

	if (get_typtype(att->atttypid) != TYPTYPE_DOMAIN)
		return false;
	jobs_value_init(&parser, att->atttypid, att->atttypmod, &c->style);
	return jobs_guard(check_null, &parser) != NULL;
}

static void
check_null(void *arg)
{
	XactReadOnly = true;
	jobs_value_check_null(arg);
}

/* Columns that it does not fill: values that only an import knows, and required ones. */
static void
open_absent(Checker *c)
{
	TupleDesc	desc = RelationGetDescr(c->target);
	ListCell   *lc;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated != '\0' || bms_is_member(i + 1, c->filled))
			continue;
		/* A trigger may fill in what would be null. */
		if (c->defaults->is_volatile[i])
			c->unknown = bms_add_member(c->unknown, i + 1);
		else if (c->defaults->isnull[i] && c->target->trigdesc && c->target->trigdesc->trig_insert_before_row)
			c->by_trigger = bms_add_member(c->by_trigger, i + 1);
		else if (c->defaults->isnull[i] && cannot_be_absent(c, att))
		{
			ColumnWords *words = palloc(sizeof(ColumnWords));

			jobs_words_init(words, NameStr(att->attname), false);
			c->absent = lappend(c->absent, words);
		}
	}
	c->unknown = bms_add_members(c->unknown, c->by_trigger);
	foreach(lc, c->defaults->generated)
	{
		GeneratedColumn *column = lfirst(lc);

		if (jobs_defaults_depends(column, c->unknown))
			c->unknown = bms_add_member(c->unknown, column->attnum);
		if (jobs_defaults_depends(column, c->by_trigger))
			c->by_trigger = bms_add_member(c->by_trigger, column->attnum);
	}
	c->stay_unknown = c->import && c->import->defaults ? c->by_trigger : c->unknown;
}

static void
open_rules(Checker *c)
{
	ListCell   *lc;

	foreach(lc, c->rules)
	{
		Rule	   *rule = lfirst(lc);
		CheckedColumn *column = NULL;
		CheckedRule *checked = &c->checks[c->nchecks];

		if (c->nchecks == 0)
			c->checks = checked = palloc0(sizeof(CheckedRule) * list_length(c->rules));
		for (int i = 0; i < c->ncolumns; i++)
		{
			if (c->columns[i].attnum == rule->attnum)
				column = &c->columns[i];
		}
		rule->on_fail = possible(c, rule->attnum, rule->on_fail);
		if (rule->kind == RULE_TYPE)
		{
			if (column != NULL)
				column->on_fail = rule->on_fail;
			continue;
		}
		checked->rule = rule;
		checked->column = column;
		if (column != NULL)
			checked->words = column->words;
		else
			jobs_words_init(&checked->words,
							NameStr(TupleDescAttr(RelationGetDescr(c->target), rule->attnum - 1)->attname),
							bms_is_member(rule->attnum, c->options.sensitive));
		checked->order = c->nchecks++;
	}
	qsort(c->checks, c->nchecks, sizeof(CheckedRule), compare_checks);

	/* What a type refuses is treated as what the column's first rule refuses. */
	for (int i = 0; i < c->nchecks; i++)
	{
		CheckedColumn *column = c->checks[i].column;

		if (column != NULL && column->on_fail == FAIL_SKIP && !column->on_fail_set)
		{
			column->on_fail = c->checks[i].rule->on_fail;
			column->on_fail_set = true;
		}
	}
}

/* As the file has its columns; rules of one column as they were given. */
static int
compare_checks(const void *a, const void *b)
{
	const CheckedRule *x = a;
	const CheckedRule *y = b;
	int			xfield = x->column != NULL ? x->column->field : PG_INT32_MAX;
	int			yfield = y->column != NULL ? y->column->field : PG_INT32_MAX;

	if (xfield != yfield)
		return xfield < yfield ? -1 : 1;
	return x->order - y->order;
}

/* A value that is left out has to be one that the column can do without. */
static OnFail
possible(Checker *c, AttrNumber attnum, OnFail on_fail)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(c->target), attnum - 1);

	if (on_fail == FAIL_DEFAULT && !c->defaults->present[attnum - 1])
		on_fail = FAIL_NULL;
	if (on_fail == FAIL_NULL && needs_value(c, att))
		on_fail = c->defaults->present[attnum - 1] ? FAIL_DEFAULT : FAIL_SKIP;
	return on_fail;
}

static void
open_file_issues(Checker *c)
{
	ListCell   *lc;

	foreach(lc, c->map->generated)
	{
		Issue	   *issue = palloc0(sizeof(Issue));
		ColumnWords words;

		jobs_words_init(&words, lfirst(lc), false);
		issue->severity = SEVERITY_WARNING;
		issue->code = "generated_column";
		issue->column = words.name;
		issue->message = psprintf("%s is made by the %s itself", words.label,
								  c->target->rd_rel->relkind == RELKIND_VIEW ? "view" : "table");
		issue->action = psprintf("will import without %s", words.name);
		c->file_issues = lappend(c->file_issues, issue);
	}
}

/*
 * An import finds out by inserting, unless nothing would tell it, or, of a row that
 * has no partition, an error of the whole statement.
 */
static void
open_constraints(Checker *c)
{
	bool		update = c->options.on_conflict == CONFLICT_UPDATE;
	bool		routes = c->import && c->import->defaults && c->target->rd_rel->relkind == RELKIND_PARTITIONED_TABLE &&
		jobs_routing_follows(c->target, c->unknown);

	if (c->import && !routes && !update && c->options.unique == NIL)
		return;
	c->input.columns = c->attnums;
	c->input.names = c->names;
	c->input.fields = c->fields;
	c->input.ncolumns = c->ncolumns;
	c->input.unique = c->options.unique;
	c->input.sensitive = c->options.sensitive;
	/* Rows that are updated must be found by the same keys. */
	c->input.unknown = update && !routes ? c->unknown : c->stay_unknown;
	c->input.by_trigger = c->by_trigger;
	c->input.on_conflict = c->options.on_conflict;
	c->input.entity = c->entity;
	c->constraints = jobs_constraints_open(c->target, &c->input);
}

const AttrNumber *
jobs_checker_columns(Checker *c, int *n)
{
	*n = c->ncolumns;
	return c->attnums;
}

Jsonb *
jobs_checker_columns_jsonb(Checker *c)
{
	return jobs_columns_to_jsonb(c->map, c->target);
}

List *
jobs_checker_file_issues(Checker *c)
{
	return c->file_issues;
}

const char *
jobs_checker_entity(Checker *c)
{
	return c->entity;
}

void
jobs_checker_close(Checker *c)
{
	if (c->constraints)
		jobs_constraints_close(c->constraints);
	for (int i = 0; i < CHECKER_BATCH; i++)
		ExecDropSingleTupleTableSlot(c->rows[i].slot);
	jobs_defaults_close(c->defaults);
	FreeExecutorState(c->estate);
	MemoryContextDelete(c->context);
}

/* ------------------------------------------------------------------------
 * Batches
 * ------------------------------------------------------------------------
 */

int
jobs_checker_next(Checker *c, CheckedRow **rows)
{
	MemoryContext old;
	FileRow    *file;
	int			ngood = 0;

	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(c->batch);
	jobs_arena_reset(&c->arena);
	c->nrows = jobs_reader_next_rows(c->reader, &file, CHECKER_BATCH);
	c->file = file;
	if (c->nrows == 0)
		return 0;

	old = MemoryContextSwitchTo(c->batch);
	for (int i = 0; i < c->nrows; i++)
		begin_row(c, &c->rows[i], &file[i]);
	jobs_check_rows(c);

	for (int i = 0; i < c->nrows; i++)
	{
		CheckedRow *row = &c->rows[i];

		if (!row->readable || row->action >= ROW_SKIP)
			continue;
		if (c->import && row->unknown != NULL)
			jobs_check_finish_defaults(c, row);
		if (row->action >= ROW_SKIP)
			continue;
		c->order[ngood++] = row;
	}
	if (ngood > 0 && c->constraints)
		jobs_constraints_check(c->constraints, c->order, ngood);
	MemoryContextSwitchTo(old);
	*rows = c->rows;
	return c->nrows;
}

static void
begin_row(Checker *c, CheckedRow *row, FileRow *file)
{
	TupleTableSlot *slot = row->slot;
	ListCell   *lc;

	row->row_no = file->row_no;
	row->line_no = file->line_no;
	row->planned = c->import ? c->import->planned(c->import->arg) : ROW_INSERT;
	row->action = ROW_INSERT;
	row->severity = SEVERITY_NONE;
	row->issues = NIL;
	row->readable = file->flaws == 0 && row->planned < ROW_SKIP;
	row->unknown = c->unknown;
	ItemPointerSetInvalid(&row->existing);
	row->existing_rel = InvalidOid;
	row->fields = file->fields;
	row->nfields = file->nfields;

	ExecClearTuple(slot);
	if (row->planned >= ROW_SKIP)
		return;
	memcpy(slot->tts_values, c->defaults->values, c->defaults->natts * sizeof(Datum));
	memcpy(slot->tts_isnull, c->defaults->isnull, c->defaults->natts * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(c->target);
	if (file->flaws != 0)
		jobs_find_flaw(row, file, c->dialect);
	else
	{
		foreach(lc, c->absent)
		{
			jobs_find_missing(row, lfirst(lc), FAIL_SKIP);
			row->readable = false;
		}
	}
}
