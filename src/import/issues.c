/*-------------------------------------------------------------------------
 *
 * issues.c
 *	  What a preview or an import has found, one by one and counted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "import/import.h"
#include "import/issues.h"
#include "mb/pg_wchar.h"
#include "rel.h"
#include "submit.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#define ROWS_AT_ONCE	JOBS_MAX_ROWS

/* Columns of jobs.issue. */
enum
{
	ISSUE_JOB, ISSUE_NO, ISSUE_ROW_NO, ISSUE_LINE_NO, ISSUE_COLUMN, ISSUE_VALUE, ISSUE_SEVERITY, ISSUE_CODE,
	ISSUE_MESSAGE, ISSUE_ACTION, ISSUE_COUNT
};
StaticAssertDecl(ISSUE_COUNT == JOBS_ISSUE_NATTS, "JOBS_ISSUE_NATTS is wrong");

/* How many there are of a kind. */
typedef struct Tally
{
	struct
	{
		char		code[NAMEDATALEN];
		char		column[2 * NAMEDATALEN];
		int			severity;
	}			key;
	int64		count;
} Tally;

struct IssueLog
{
	JobId		job;
	JobsRel		rel;
	int64		kept;
	int64		all;
	HTAB	   *tallies;
	Tally	   *last;			/* the one counted last, and its issue's words */
	const char *last_code;
	const char *last_column;
	StringInfoData reason;
	MemoryContext context;		/* of one issue */
};

struct IssueReader
{
	JobsRel		rel;
	JobsRelScan scan;
	bool		more;
};

static const char *const severity_names[] = {"none", "warning", "error"};

static void keep(IssueLog *log, const CheckedRow *row, const Issue *issue);
static void count(IssueLog *log, const Issue *issue);
static int	compare_tallies(const void *a, const void *b);

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------
 */

IssueLog *
jobs_issues_begin(JobId job)
{
	IssueLog   *log = palloc0(sizeof(IssueLog));
	HASHCTL		ctl = {.keysize = sizeof(log->last->key), .entrysize = sizeof(Tally), .hcxt = CurrentMemoryContext};

	log->job = job;
	log->tallies = hash_create("jobs issues", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	log->context = AllocSetContextCreate(CurrentMemoryContext, "jobs issue", ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&log->reason);
	jobs_rel_open(&log->rel, REL_ISSUE, RowExclusiveLock);
	return log;
}

void
jobs_issues_add(IssueLog *log, const CheckedRow *row)
{
	ListCell   *cell;

	foreach(cell, row->issues)
	{
		const Issue *issue = lfirst(cell);

		count(log, issue);
		if (log->kept < jobs_max_issues)
			keep(log, row, issue);
	}
}

static void
keep(IssueLog *log, const CheckedRow *row, const Issue *issue)
{
	Datum		values[JOBS_ISSUE_NATTS];
	bool		nulls[JOBS_ISSUE_NATTS] = {false};
	MemoryContext old = MemoryContextSwitchTo(log->context);

	values[ISSUE_JOB] = Int64GetDatum(log->job);
	values[ISSUE_NO] = Int64GetDatum(++log->kept);
	values[ISSUE_ROW_NO] = Int64GetDatum(row->row_no);
	values[ISSUE_LINE_NO] = Int64GetDatum(row->line_no);
	nulls[ISSUE_COLUMN] = issue->column == NULL;
	values[ISSUE_COLUMN] = issue->column ? CStringGetTextDatum(issue->column) : (Datum) 0;
	nulls[ISSUE_VALUE] = issue->value == NULL;
	values[ISSUE_VALUE] = issue->value ? CStringGetTextDatum(issue->value) : (Datum) 0;
	values[ISSUE_SEVERITY] = CStringGetTextDatum(severity_names[issue->severity]);
	values[ISSUE_CODE] = CStringGetTextDatum(issue->code);
	values[ISSUE_MESSAGE] = CStringGetTextDatum(issue->message);
	values[ISSUE_ACTION] = CStringGetTextDatum(issue->action);
	MemoryContextSwitchTo(old);
	jobs_rel_insert(&log->rel, values, nulls);
	MemoryContextReset(log->context);
}

/* A column that is at fault in one row mostly is so in the next. */
static void
count(IssueLog *log, const Issue *issue)
{
	bool		found;
	Tally		probe;
	const char *column = issue->column ? issue->column : "";

	log->all++;
	if (log->last == NULL || log->last_code != issue->code || log->last_column != issue->column ||
		log->last->key.severity != issue->severity)
	{
		memset(&probe, 0, sizeof(probe));
		strlcpy(probe.key.code, issue->code, sizeof(probe.key.code));
		memcpy(probe.key.column, column, pg_mbcliplen(column, strlen(column), sizeof(probe.key.column) - 1));
		probe.key.severity = issue->severity;
		log->last = hash_search(log->tallies, &probe.key, HASH_ENTER, &found);
		if (!found)
			log->last->count = 0;
		log->last_code = issue->code;
		log->last_column = issue->column;
	}
	log->last->count++;
}

const char *
jobs_issues_reason(IssueLog *log, const CheckedRow *row)
{
	ListCell   *cell;

	if (row->issues == NIL)
		return NULL;
	resetStringInfo(&log->reason);
	foreach(cell, row->issues)
	{
		const Issue *issue = lfirst(cell);

		appendStringInfo(&log->reason, "%s%s", log->reason.len > 0 ? "; " : "", issue->code);
		if (issue->column)
			appendStringInfo(&log->reason, " (%s)", issue->column);
	}
	return log->reason.data;
}

void
jobs_issues_end(IssueLog *log, JsonbParseState **result)
{
	int			n = hash_get_num_entries(log->tallies);
	Tally	   *tallies = palloc(Max(n, 1) * sizeof(Tally));
	HASH_SEQ_STATUS status;
	Tally	   *tally;
	int			i = 0;
	JsonbValue	key = {.type = jbvString, .val.string = {.val = "issues", .len = 6}};

	jobs_rel_close(&log->rel);
	hash_seq_init(&status, log->tallies);
	while ((tally = hash_seq_search(&status)) != NULL)
		tallies[i++] = *tally;
	qsort(tallies, n, sizeof(Tally), compare_tallies);
	pushJsonbValue(result, WJB_KEY, &key);
	pushJsonbValue(result, WJB_BEGIN_ARRAY, NULL);
	for (i = 0; i < n; i++)
	{
		pushJsonbValue(result, WJB_BEGIN_OBJECT, NULL);
		jobs_push_text(result, "code", tallies[i].key.code);
		if (tallies[i].key.column[0])
			jobs_push_text(result, "column", tallies[i].key.column);
		jobs_push_text(result, "severity", severity_names[tallies[i].key.severity]);
		jobs_push_int(result, "count", tallies[i].count);
		pushJsonbValue(result, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(result, WJB_END_ARRAY, NULL);
	if (log->kept < log->all)
		jobs_push_int(result, "issues_kept", log->kept);
}

static int
compare_tallies(const void *a, const void *b)
{
	const Tally *x = a;
	const Tally *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return memcmp(&x->key, &y->key, sizeof(x->key));
}

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------
 */

IssueReader *
jobs_issues_open(JobId job, Snapshot snapshot)
{
	IssueReader *reader = palloc0(sizeof(IssueReader));
	ScanKeyData key;

	jobs_rel_open(&reader->rel, REL_ISSUE, AccessShareLock);
	jobs_key_int8(&key, 1, job);
	jobs_rel_scan(&reader->scan, &reader->rel, "issue_pkey", &key, 1, snapshot);
	reader->more = jobs_rel_next(&reader->scan);
	return reader;
}

char *
jobs_issues_of_row(IssueReader *reader, int64 row_no)
{
	TupleTableSlot *slot = reader->rel.slot;
	StringInfoData words;

	initStringInfo(&words);
	while (reader->more)
	{
		int64		at;

		slot_getallattrs(slot);
		at = DatumGetInt64(slot->tts_values[ISSUE_ROW_NO]);
		if (at > row_no)
			break;
		if (at == row_no)
			appendStringInfo(&words, "%s%s", words.len > 0 ? "; " : "",
							 TextDatumGetCString(slot->tts_values[ISSUE_MESSAGE]));
		reader->more = jobs_rel_next(&reader->scan);
	}
	return words.len > 0 ? words.data : NULL;
}

void
jobs_issues_close(IssueReader *reader)
{
	jobs_rel_scan_end(&reader->scan);
	jobs_rel_close(&reader->rel);
}
