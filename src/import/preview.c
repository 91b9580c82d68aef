/*-------------------------------------------------------------------------
 *
 * preview.c
 *	  A preview: what an import of a file would do to each of its rows.
 *
 * It goes once through the file and writes nothing but the findings, the verdict
 * on every row, and the counts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "import/checker.h"
#include "import/import.h"
#include "import/input.h"
#include "import/issues.h"
#include "import/reader.h"
#include "import/verdict.h"
#include "miscadmin.h"
#include "progress.h"
#include "submit.h"
#include "utils/snapmgr.h"

/* What options say of a hopeless file; a limit that is not given is no limit. */
typedef struct Patience
{
	int64		errors;			/* -1: not given */
	double		ratio;			/* -1: not given */
} Patience;

#define MIN_ROWS_FOR_RATIO	1000

typedef struct Preview
{
	Job		   *job;
	PreviewSpec *spec;
	Relation	target;
	Reader	   *reader;
	Checker    *checker;
	IssueLog   *issues;
	VerdictWriter *verdicts;
	Patience	patience;
	int64		rows;
	int64		ready;
	int64		warnings;
	int64		errors;
	int64		actions[ROW_REJECT + 1];
	bool		stopped_early;
} Preview;

static void read_patience(Preview *p);
static void check_rows(Preview *p);
static void tell(Preview *p, const CheckedRow *row);
static bool hopeless(const Preview *p);
static void finish(Preview *p);
static Jsonb *result_of(Preview *p);

void
jobs_preview_run(Job *job)
{
	Preview		p = {.job = job, .spec = jobs_preview_spec(job)};

	jobs_progress_begin("reading", -1);
	PushActiveSnapshot(GetTransactionSnapshot());
	p.target = jobs_target_open(p.spec->target, job->command, AccessShareLock);
	read_patience(&p);
	p.reader = jobs_reader_open(jobs_input_open(p.spec->upload), p.spec->options);
	p.checker = jobs_checker_open(p.target, p.reader, jobs_comeback_options(p.spec, jobs_reader_dialect(p.reader)), NULL);
	p.issues = jobs_issues_begin(job->id);
	/* Of the header: row 0. */
	jobs_issues_add(p.issues, &(CheckedRow) {.issues = jobs_checker_file_issues(p.checker)});
	p.verdicts = jobs_verdicts_begin(job->id, VERDICTS_OF_ROWS);
	jobs_progress_phase("checking");
	check_rows(&p);
	finish(&p);
	PopActiveSnapshot();
}

/* ------------------------------------------------------------------------
 * Patience
 * ------------------------------------------------------------------------
 */

static void
read_patience(Preview *p)
{
	double		errors = jobs_preview_limit(p->spec->options, "max_errors");

	p->patience.errors = errors < 0 ? -1 : errors > PG_INT64_MAX / 2 ? PG_INT64_MAX : (int64) errors;
	p->patience.ratio = jobs_preview_limit(p->spec->options, "max_error_ratio");
}

/* Where both limits are given, both must have been passed. */
static bool
hopeless(const Preview *p)
{
	const Patience *patience = &p->patience;

	if (patience->errors < 0 && patience->ratio < 0)
		return false;
	if (patience->errors >= 0 && p->errors <= patience->errors)
		return false;
	if (patience->ratio >= 0 &&
		((patience->errors < 0 && p->rows < MIN_ROWS_FOR_RATIO) || p->errors <= patience->ratio * p->rows))
		return false;
	return true;
}

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

static void
check_rows(Preview *p)
{
	CheckedRow *rows;
	int			n;
	int64		total = jobs_reader_bytes_total(p->reader);

	while (!p->stopped_early && (n = jobs_checker_next(p->checker, &rows)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n && !p->stopped_early; i++)
		{
			tell(p, &rows[i]);
			p->stopped_early = rows[i].severity == SEVERITY_ERROR && hopeless(p);
		}
		if (total > 0)
			jobs_progress_part((double) jobs_reader_bytes_read(p->reader) / total, p->rows,
							   jobs_reader_bytes_read(p->reader));
	}
	/* A ratio of few rows says little until all are there. */
	p->stopped_early |= p->patience.errors < 0 && p->patience.ratio >= 0 && p->rows < MIN_ROWS_FOR_RATIO &&
		p->errors > p->patience.ratio * p->rows;
}

static void
tell(Preview *p, const CheckedRow *row)
{
	Verdict		verdict = {row->action, row->severity, NULL};

	p->rows++;
	p->actions[row->action]++;
	switch (row->severity)
	{
		case SEVERITY_NONE:
			p->ready++;
			break;
		case SEVERITY_WARNING:
			p->warnings++;
			break;
		case SEVERITY_ERROR:
			p->errors++;
			break;
	}
	if (row->issues != NIL)
	{
		jobs_issues_add(p->issues, row);
		verdict.reason = jobs_issues_reason(p->issues, row);
	}
	jobs_verdicts_put(p->verdicts, row->row_no, &verdict);
}

/* ------------------------------------------------------------------------
 * The end
 * ------------------------------------------------------------------------
 */

static void
finish(Preview *p)
{
	Job		   *job = p->job;

	jobs_verdicts_end(p->verdicts);
	job->result = result_of(p);
	job->processed = job->total = p->rows;
	job->succeeded = p->ready;
	job->warnings = p->warnings;
	job->failed = p->errors;
	job->skipped = p->actions[ROW_SKIP] + p->actions[ROW_REJECT];
	jobs_checker_close(p->checker);
	jobs_reader_close(p->reader);
	relation_close(p->target, NoLock);
}

static Jsonb *
result_of(Preview *p)
{
	JsonbParseState *state = NULL;
	bool		rejected = p->actions[ROW_REJECT] > 0;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	jobs_push_int(&state, "rows_parsed", p->rows);
	jobs_push_int(&state, "ready", p->ready);
	jobs_push_int(&state, "warnings", p->warnings);
	jobs_push_int(&state, "errors", p->errors);
	jobs_push_int(&state, "to_insert", rejected ? 0 : p->actions[ROW_INSERT]);
	jobs_push_int(&state, "to_update", rejected ? 0 : p->actions[ROW_UPDATE]);
	jobs_push_int(&state, "to_skip", rejected ? p->rows : p->actions[ROW_SKIP]);
	jobs_push_bool(&state, "rejected", rejected);
	jobs_push_bool(&state, "stopped_early", p->stopped_early);
	jobs_push_text(&state, "table", p->job->command);
	jobs_push_text(&state, "table_version", jobs_target_version(p->target));
	jobs_push_jsonb(&state, "dialect", jobs_dialect_to_jsonb(jobs_reader_dialect(p->reader)));
	jobs_push_jsonb(&state, "columns", jobs_checker_columns_jsonb(p->checker));
	jobs_issues_end(p->issues, &state);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
