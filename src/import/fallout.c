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
	bool		discreet;
	const char *duplicate;		/* words for such rows */
	const char *gone;
	Fallen	   *rows;
	int64		n;
	int64		max;
	List	   *common;			/* List of Issue * each, that rows share once many have fallen */
	MemoryContext context;
};

static void add(Fallout *fallout, RowId id, List *issues);
static void add_one(Fallout *fallout, RowId id, const char *code, const char *message);
static Issue *copy_issue(const Issue *issue, const char *message);
static List *kept(const List *issues);
static List *shared(Fallout *fallout, const List *issues);
static bool same_kind(const List *a, const List *b);
static const char *code_of(int sqlstate);
static int	compare_rows(const void *a, const void *b);

Fallout *
jobs_fallout_begin(JobId job, const char *entity, bool discreet)
{
	Fallout    *fallout = palloc0(sizeof(Fallout));

	fallout->job = job;
	fallout->discreet = discreet;
	fallout->duplicate = psprintf("Duplicate of a %s that came after the preview", entity);
	fallout->gone = psprintf("The %s to update has gone or has another key since the preview", entity);
	fallout->context = AllocSetContextCreate(CurrentMemoryContext, "jobs fallout", ALLOCSET_DEFAULT_SIZES);
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
	add(fallout, (RowId) {row->row_no, row->line_no}, row->issues);
}

void
jobs_fallout_duplicate(Fallout *fallout, RowId id)
{
	add_one(fallout, id, "duplicate_existing", fallout->duplicate);
}

void
jobs_fallout_gone(Fallout *fallout, RowId id)
{
	add_one(fallout, id, "changed", fallout->gone);
}

void
jobs_fallout_error(Fallout *fallout, RowId id, const ErrorData *error)
{
	char		words[64];

	if (error == NULL)
		add_one(fallout, id, "left_out", "Left out by a trigger or a policy");
	else if (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION)
		jobs_fallout_duplicate(fallout, id);
	else if (fallout->discreet || error->message == NULL)
	{
		snprintf(words, sizeof(words), "Refused by the table with SQLSTATE %s", unpack_sql_state(error->sqlerrcode));
		add_one(fallout, id, code_of(error->sqlerrcode), words);
	}
	else
		add_one(fallout, id, code_of(error->sqlerrcode), error->message);
}

static void
add_one(Fallout *fallout, RowId id, const char *code, const char *message)
{
	Issue		issue = {SEVERITY_ERROR, code, NULL, NULL, message, SKIPPED};
	List	   *issues = list_make1(&issue);

	add(fallout, id, issues);
	list_free(issues);
}

/* issues are the caller's. */
static void
add(Fallout *fallout, RowId id, List *issues)
{
	MemoryContext old = MemoryContextSwitchTo(fallout->context);

	if (fallout->n == fallout->max)
	{
		fallout->max = Max(256, 2 * fallout->max);
		fallout->rows = fallout->rows ? repalloc_huge(fallout->rows, fallout->max * sizeof(Fallen)) :
			palloc(fallout->max * sizeof(Fallen));
	}
	fallout->rows[fallout->n].id = id;
	fallout->rows[fallout->n].issues = fallout->n < jobs_max_issues ? kept(issues) : shared(fallout, issues);
	fallout->n++;
	MemoryContextSwitchTo(old);
}

static Issue *
copy_issue(const Issue *issue, const char *message)
{
	Issue	   *copy = palloc(sizeof(Issue));

	copy->severity = issue->severity;
	copy->code = pstrdup(issue->code);
	copy->column = issue->column ? pstrdup(issue->column) : NULL;
	copy->value = NULL;
	copy->message = pstrdup(message);
	copy->action = SKIPPED;
	return copy;
}

static List *
kept(const List *issues)
{
	List	   *copies = NIL;
	ListCell   *cell;

	foreach(cell, issues)
	{
		const Issue *issue = lfirst(cell);
		Issue	   *copy = copy_issue(issue, issue->message);

		copy->value = issue->value ? pstrdup(issue->value) : NULL;
		copies = lappend(copies, copy);
	}
	return copies;
}

/* Words of their own are not kept for so many, and those of others would tell wrong values. */
static List *
shared(Fallout *fallout, const List *issues)
{
	List	   *common = NIL;
	ListCell   *cell;

	foreach(cell, fallout->common)
	{
		if (same_kind(lfirst(cell), issues))
			return lfirst(cell);
	}
	foreach(cell, issues)
	{
		const Issue *issue = lfirst(cell);

		common = lappend(common, copy_issue(issue, psprintf("Refused as %s, after so many that no more is told", issue->code)));
	}
	fallout->common = lappend(fallout->common, common);
	return common;
}

static bool
same_kind(const List *a, const List *b)
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
