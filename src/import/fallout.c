/*-------------------------------------------------------------------------
 *
 * fallout.c
 *	  Rows that a preview had found good and an import could not take any more.
 *
 * They are known in no particular order, and written in the file's at the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "import/fallout.h"
#include "import/issues.h"
#include "import/verdict.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define SKIPPED		"skipped"

typedef struct Fallen
{
	RowId		id;
	List	   *issues;			/* of Issue * */
} Fallen;

struct Fallout
{
	JobId		job;
	const char *entity;
	bool		discreet;
	Fallen	   *rows;
	int64		n;
	int64		max;
	List	   *common;			/* List of Issue * each, that rows share once many have fallen */
	MemoryContext context;
};

static void add(Fallout *fallout, RowId id, List *issues);
static void add_one(Fallout *fallout, RowId id, const char *code, const char *message);
static List *shared(Fallout *fallout, List *issues);
static bool same_kind(List *a, List *b);
static const char *code_of(int sqlstate);
static int	compare_rows(const void *a, const void *b);

Fallout *
jobs_fallout_begin(JobId job, const char *entity, bool discreet)
{
	Fallout    *fallout = palloc0(sizeof(Fallout));

	fallout->job = job;
	fallout->entity = entity;
	fallout->discreet = discreet;
	fallout->context = CurrentMemoryContext;
	return fallout;
}

int64
jobs_fallout_count(const Fallout *fallout)
{
	return fallout->n;
}

/* ------------------------------------------------------------------------
 * Adding
 * ------------------------------------------------------------------------
 */

void
jobs_fallout_row(Fallout *fallout, const CheckedRow *row)
{
	List	   *issues = NIL;
	ListCell   *cell;
	MemoryContext old = MemoryContextSwitchTo(fallout->context);

	foreach(cell, row->issues)
	{
		const Issue *from = lfirst(cell);
		Issue	   *issue = palloc(sizeof(Issue));

		issue->severity = from->severity;
		issue->code = pstrdup(from->code);
		issue->column = from->column ? pstrdup(from->column) : NULL;
		issue->value = from->value ? pstrdup(from->value) : NULL;
		issue->message = pstrdup(from->message);
		issue->action = SKIPPED;
		issues = lappend(issues, issue);
	}
	MemoryContextSwitchTo(old);
	add(fallout, (RowId) {row->row_no, row->line_no}, issues);
}

void
jobs_fallout_duplicate(Fallout *fallout, RowId id)
{
	add_one(fallout, id, "duplicate_existing",
			psprintf("Duplicate of a %s that came after the preview", fallout->entity));
}

void
jobs_fallout_gone(Fallout *fallout, RowId id)
{
	add_one(fallout, id, "changed", psprintf("The %s to update has gone or has another key since the preview", fallout->entity));
}

void
jobs_fallout_error(Fallout *fallout, RowId id, const ErrorData *error)
{
	if (error == NULL)
		add_one(fallout, id, "left_out", "Left out by a trigger or a policy");
	else if (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION)
		jobs_fallout_duplicate(fallout, id);
	else if (fallout->discreet || error->message == NULL)
		add_one(fallout, id, code_of(error->sqlerrcode),
				psprintf("Refused by the table with SQLSTATE %s", unpack_sql_state(error->sqlerrcode)));
	else
		add_one(fallout, id, code_of(error->sqlerrcode), error->message);
}

static void
add_one(Fallout *fallout, RowId id, const char *code, const char *message)
{
	MemoryContext old = MemoryContextSwitchTo(fallout->context);
	Issue	   *issue = palloc0(sizeof(Issue));

	*issue = (Issue) {SEVERITY_ERROR, code, NULL, NULL, pstrdup(message), SKIPPED};
	add(fallout, id, list_make1(issue));
	MemoryContextSwitchTo(old);
}

static void
add(Fallout *fallout, RowId id, List *issues)
{
	if (fallout->n == fallout->max)
	{
		fallout->max = Max(256, 2 * fallout->max);
		fallout->rows = fallout->rows ? repalloc_huge(fallout->rows, fallout->max * sizeof(Fallen)) :
			MemoryContextAlloc(fallout->context, fallout->max * sizeof(Fallen));
	}
	if (fallout->n >= jobs_max_issues)
		issues = shared(fallout, issues);
	fallout->rows[fallout->n++] = (Fallen) {id, issues};
}

/* Words of their own are not kept for so many; those of an equal kind stand for them. */
static List *
shared(Fallout *fallout, List *issues)
{
	MemoryContext old;
	ListCell   *cell;

	foreach(cell, fallout->common)
	{
		if (same_kind(lfirst(cell), issues))
		{
			list_free_deep(issues);
			return lfirst(cell);
		}
	}
	old = MemoryContextSwitchTo(fallout->context);
	fallout->common = lappend(fallout->common, issues);
	MemoryContextSwitchTo(old);
	return issues;
}

static bool
same_kind(List *a, List *b)
{
	ListCell   *x;
	ListCell   *y;

	if (list_length(a) != list_length(b))
		return false;
	forboth(x, a, y, b)
	{
		const Issue *i = lfirst(x);
		const Issue *j = lfirst(y);

		if (strcmp(i->code, j->code) != 0 || i->severity != j->severity ||
			strcmp(i->column ? i->column : "", j->column ? j->column : "") != 0)
			return false;
	}
	return true;
}

static const char *
code_of(int sqlstate)
{
	switch (sqlstate)
	{
		case ERRCODE_FOREIGN_KEY_VIOLATION:
			return "foreign_key";
		case ERRCODE_CHECK_VIOLATION:
			return "check_violation";
		case ERRCODE_NOT_NULL_VIOLATION:
			return "missing_required";
		case ERRCODE_EXCLUSION_VIOLATION:
			return "exclusion";
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
		case ERRCODE_WITH_CHECK_OPTION_VIOLATION:
			return "policy";
		case ERRCODE_STRING_DATA_RIGHT_TRUNCATION:
			return "too_long";
		case ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE:
			return "out_of_range";
	}
	return "refused";
}

/* ------------------------------------------------------------------------
 * The end
 * ------------------------------------------------------------------------
 */

void
jobs_fallout_end(Fallout *fallout, JsonbParseState **result)
{
	IssueLog   *log = jobs_issues_begin(fallout->job);
	VerdictWriter *verdicts = jobs_verdicts_begin(fallout->job, VERDICTS_FELL_OUT);

	if (fallout->n > 0)
		qsort(fallout->rows, fallout->n, sizeof(Fallen), compare_rows);
	for (int64 i = 0; i < fallout->n; i++)
	{
		CheckedRow	row = {0};
		Verdict		verdict = {ROW_SKIP, SEVERITY_ERROR, NULL};

		CHECK_FOR_INTERRUPTS();
		row.row_no = fallout->rows[i].id.row_no;
		row.line_no = fallout->rows[i].id.line_no;
		row.issues = fallout->rows[i].issues;
		jobs_issues_add(log, &row);
		verdict.reason = jobs_issues_reason(log, &row);
		jobs_verdicts_put(verdicts, row.row_no, &verdict);
	}
	jobs_verdicts_end(verdicts);
	jobs_issues_end(log, result);
}

static int
compare_rows(const void *a, const void *b)
{
	const Fallen *x = a;
	const Fallen *y = b;

	return x->id.row_no < y->id.row_no ? -1 : 1;
}
