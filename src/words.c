/*-------------------------------------------------------------------------
 *
 * words.c
 *	  A job in the words of jobs.panel, and what its reader can call on it.
 *
 * The words are English and part of the contract.  Nothing here reads a table
 * or raises an error for a value that it does not know: it leaves it out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "args.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "jobs.h"
#include "miscadmin.h"
#include "phrase.h"
#include "rights.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "words.h"

PG_FUNCTION_INFO_V1(jobs_describe);
PG_FUNCTION_INFO_V1(jobs_actions);

static bool read_facts(FunctionCallInfo fcinfo, JobsFacts *f);
static bool find_state(const char *name, JobState *state);
static char *text_arg(FunctionCallInfo fcinfo, int n);
static int64 count_arg(FunctionCallInfo fcinfo, int n);
static TimestampTz time_arg(FunctionCallInfo fcinfo, int n);
static TupleDesc result_desc(FunctionCallInfo fcinfo);
static Datum text_or_null(StringInfo buf, bool *isnull);
static void describe_scheduled(const JobsFacts *f, StringInfo headline, StringInfo detail);
static void describe_queued(const JobsFacts *f, StringInfo headline, StringInfo detail);
static void describe_running(const JobsFacts *f, StringInfo headline, StringInfo detail);
static const char *noun_of(const JobsFacts *f);
static int64 two_digits(int64 n);
static void describe_export(const JobsFacts *f, StringInfo headline, StringInfo detail);
static void describe_bulk(const JobsFacts *f, StringInfo headline, StringInfo detail);
static void describe_preview(const JobsFacts *f, StringInfo headline, StringInfo detail);
static void describe_done(const JobsFacts *f, StringInfo headline, StringInfo detail);
static void describe_stopped(const JobsFacts *f, const char *word, StringInfo headline, StringInfo detail);
static bool append_items_done(const JobsFacts *f, StringInfo buf);

/*
 * jobs._describe(...): headline and detail
 */
Datum
jobs_describe(PG_FUNCTION_ARGS)
{
	TupleDesc	desc = result_desc(fcinfo);
	JobsFacts	facts;
	StringInfoData headline;
	StringInfoData detail;
	Datum		values[2];
	bool		nulls[2];

	initStringInfo(&headline);
	initStringInfo(&detail);
	if (read_facts(fcinfo, &facts))
		jobs_describe_facts(&facts, &headline, &detail);
	values[0] = text_or_null(&headline, &nulls[0]);
	values[1] = text_or_null(&detail, &nulls[1]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* False where kind or state is missing or unknown. */
static bool
read_facts(FunctionCallInfo fcinfo, JobsFacts *f)
{
	char	   *state = text_arg(fcinfo, 1);

	f->kind = text_arg(fcinfo, 0);
	if (f->kind == NULL || state == NULL || !find_state(state, &f->state))
		return false;
	f->processed = count_arg(fcinfo, 2);
	f->total = count_arg(fcinfo, 3);
	f->succeeded = count_arg(fcinfo, 4);
	f->failed = count_arg(fcinfo, 5);
	f->skipped = count_arg(fcinfo, 6);
	f->warnings = count_arg(fcinfo, 7);
	f->percent = PG_ARGISNULL(8) ? -1 : PG_GETARG_FLOAT8(8);
	f->round = PG_ARGISNULL(9) ? 1 : PG_GETARG_INT32(9);
	f->run_at = time_arg(fcinfo, 10);
	f->started_at = time_arg(fcinfo, 11);
	f->finished_at = time_arg(fcinfo, 12);
	f->message = text_arg(fcinfo, 14);
	f->waiting_for = text_arg(fcinfo, 15);
	f->error_message = text_arg(fcinfo, 16);
	f->format = text_arg(fcinfo, 17);
	f->rows = count_arg(fcinfo, 18);
	f->bytes = count_arg(fcinfo, 19);
	f->expires_at = time_arg(fcinfo, 20);
	f->estimated = !PG_ARGISNULL(21) && PG_GETARG_BOOL(21);
	f->mailed = !PG_ARGISNULL(22) && PG_GETARG_BOOL(22);

	/* The same for all rows of a statement, yet moving in a long transaction. */
	f->now = GetCurrentStatementStartTimestamp();
	return true;
}

static bool
find_state(const char *name, JobState *state)
{
	for (int i = 0; i < JOB_NUM_STATES; i++)
	{
		if (strcmp(name, job_state_names[i]) == 0)
		{
			*state = (JobState) i;
			return true;
		}
	}
	return false;
}

/* An empty text says as little as none. */
static char *
text_arg(FunctionCallInfo fcinfo, int n)
{
	char	   *value;

	if (PG_ARGISNULL(n))
		return NULL;
	value = text_to_cstring(PG_GETARG_TEXT_PP(n));
	return value[0] == '\0' ? NULL : value;
}

static int64
count_arg(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? -1 : Max(PG_GETARG_INT64(n), -1);
}

/* Infinity is no time that a person could be told. */
static TimestampTz
time_arg(FunctionCallInfo fcinfo, int n)
{
	TimestampTz time = PG_ARGISNULL(n) ? 0 : PG_GETARG_TIMESTAMPTZ(n);

	return TIMESTAMP_NOT_FINITE(time) ? 0 : time;
}

/* Looked up once for all the rows of a query. */
static TupleDesc
result_desc(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		fcinfo->flinfo->fn_extra = jobs_result_desc(fcinfo, 2);
		MemoryContextSwitchTo(old);
	}
	return (TupleDesc) fcinfo->flinfo->fn_extra;
}

static Datum
text_or_null(StringInfo buf, bool *isnull)
{
	*isnull = buf->len == 0;
	return *isnull ? (Datum) 0 : PointerGetDatum(cstring_to_text_with_len(buf->data, buf->len));
}

/* ------------------------------------------------------------------------
 * One function for each state, or for each kind where it has ended well
 * ------------------------------------------------------------------------
 */

void
jobs_describe_facts(const JobsFacts *f, StringInfo headline, StringInfo detail)
{
	switch (f->state)
	{
		case JOB_SCHEDULED:
			describe_scheduled(f, headline, detail);
			break;
		case JOB_WAITING:
		case JOB_QUEUED:
			describe_queued(f, headline, detail);
			break;
		case JOB_RUNNING:
			describe_running(f, headline, detail);
			break;
		case JOB_SUCCEEDED:
		case JOB_PARTIAL:
			if (strcmp(f->kind, "export") == 0)
				describe_export(f, headline, detail);
			else if (strcmp(f->kind, "bulk") == 0)
				describe_bulk(f, headline, detail);
			else if (strcmp(f->kind, "import_preview") == 0 && f->succeeded >= 0)
				describe_preview(f, headline, detail);
			else
				describe_done(f, headline, detail);
			break;
		case JOB_FAILED:
			describe_stopped(f, "Failed", headline, detail);
			break;
		case JOB_CANCELLED:
			describe_stopped(f, "Cancelled", headline, detail);
			break;
	}
	if (f->mailed && !job_state_is_final(f->state))
	{
		jobs_say_dot(detail);
		appendStringInfo(detail, "You can leave this page%swe'll email you when it's ready", JOBS_DASH);
	}
}

/* "Scheduled · Starts in 3 h", "At 2030-01-01 08:00:00+00" */
static void
describe_scheduled(const JobsFacts *f, StringInfo headline, StringInfo detail)
{
	if (f->run_at != 0 && f->run_at <= f->now)
	{
		/* Its time has come, but nothing starts it at the moment. */
		describe_queued(f, headline, detail);
		return;
	}
	appendStringInfoString(headline, "Scheduled");
	if (f->run_at != 0)
	{
		appendStringInfo(headline, "%s%s ", JOBS_DOT, f->error_message ? "Next attempt" : "Starts");
		jobs_say_until(headline, f->run_at - f->now, false);
	}
	if (f->error_message)
	{
		appendStringInfo(detail, "Last attempt failed%s", JOBS_DASH);
		jobs_say_line(detail, f->error_message);
	}
	else if (f->run_at != 0)
	{
		/* Nobody schedules to the microsecond. */
		TimestampTz second = f->run_at - f->run_at % USECS_PER_SEC;

		appendStringInfo(detail, "At %s",
						 DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(second))));
	}
}

/* "Queued · Waiting for Export: Q4 Revenue Report to finish", "Not started yet" */
static void
describe_queued(const JobsFacts *f, StringInfo headline, StringInfo detail)
{
	appendStringInfoString(headline, "Queued");
	if (f->waiting_for)
		appendStringInfo(headline, "%sWaiting for %s", JOBS_DOT, f->waiting_for);
	if (f->error_message)
	{
		appendStringInfo(detail, "Last attempt failed%s", JOBS_DASH);
		jobs_say_line(detail, f->error_message);
	}
	else if (!append_items_done(f, detail))
		appendStringInfoString(detail, f->waiting_for ? "Not started yet" : "Starting");
}

/* "29 of 50 items done", of a bulk job that has begun and was stopped. */
static bool
append_items_done(const JobsFacts *f, StringInfo buf)
{
	if (strcmp(f->kind, "bulk") != 0 || f->processed <= 0 || f->total <= 0)
		return false;
	jobs_say_number(buf, f->processed);
	appendStringInfoString(buf, " of ");
	jobs_say_count(buf, f->total, "item");
	appendStringInfoString(buf, " done");
	return true;
}

/* "Processing 48,291 rows" or "about" so many, "67% · Started 2 min ago · message" */
static void
describe_running(const JobsFacts *f, StringInfo headline, StringInfo detail)
{
	const char *noun = noun_of(f);

	if (f->total > 0)
	{
		appendStringInfo(headline, "Processing %s", f->estimated ? "about " : "");
		jobs_say_count(headline, f->estimated ? two_digits(f->total) : f->total, noun);
	}
	else if (f->processed > 0)
	{
		appendStringInfoString(headline, "Processed ");
		jobs_say_count(headline, f->processed, noun);
	}
	else
		appendStringInfoString(headline, "Running");

	/* Cut down, so that it does not say 100 % too early; false for NaN. */
	if (f->percent >= 0)
		appendStringInfo(detail, "%d%%", (int) floor(Min(f->percent, 100)));
	if (f->failed > 0)
	{
		jobs_say_dot(detail);
		jobs_say_number(detail, f->failed);
		appendStringInfoString(detail, " failed");
	}
	if (f->started_at != 0)
	{
		jobs_say_dot(detail);
		appendStringInfoString(detail, "Started ");
		jobs_say_ago(detail, f->started_at, f->now);
	}
	if (f->message)
	{
		jobs_say_dot(detail);
		jobs_say_line(detail, f->message);
	}
}

/* What a job of this kind counts; a client's may be anything. */
static const char *
noun_of(const JobsFacts *f)
{
	return strcmp(f->kind, "bulk") == 0 || strcmp(f->kind, "external") == 0 ? "item" : "row";
}

/* An estimate says no more than it knows: 48,291 is about 48,000. */
static int64
two_digits(int64 n)
{
	int64		unit = 1;

	while (n / unit >= 100)
		unit *= 10;
	return (n / unit + (n % unit >= (unit + 1) / 2 ? 1 : 0)) * unit;
}

/* "48,291 rows · 12.4 MB · CSV", "Link expires in 24 hours" */
static void
describe_export(const JobsFacts *f, StringInfo headline, StringInfo detail)
{
	int64		rows = f->rows >= 0 ? f->rows : f->processed;

	if (rows >= 0)
		jobs_say_count(headline, rows, "row");
	else
		appendStringInfoString(headline, "Done");
	if (f->bytes >= 0)
	{
		appendStringInfoString(headline, JOBS_DOT);
		jobs_say_size(headline, f->bytes);
	}
	if (f->format)
	{
		appendStringInfoString(headline, JOBS_DOT);
		for (const char *p = f->format; *p; p++)
			appendStringInfoChar(headline, pg_ascii_toupper((unsigned char) *p));
	}

	/* Once a file has gone altogether there is nothing but nulls. */
	if (f->format == NULL || f->bytes < 0 || f->expires_at <= f->now)
		appendStringInfoString(detail, "Link expired");
	else
	{
		appendStringInfoString(detail, "Link expires ");
		jobs_say_until(detail, f->expires_at - f->now, true);
	}
}

/* "Finished processing 50 items", "47 succeeded · 3 failed · 2nd round" */
static void
describe_bulk(const JobsFacts *f, StringInfo headline, StringInfo detail)
{
	int64		items = f->total >= 0 ? f->total : f->processed;

	if (items >= 0)
	{
		appendStringInfoString(headline, "Finished processing ");
		jobs_say_count(headline, items, "item");
	}
	else
		appendStringInfoString(headline, "Finished");
	if (f->succeeded >= 0)
	{
		jobs_say_number(detail, f->succeeded);
		appendStringInfoString(detail, " succeeded");
	}
	if (f->failed > 0)
	{
		jobs_say_dot(detail);
		jobs_say_number(detail, f->failed);
		appendStringInfoString(detail, " failed");
	}
	if (f->skipped > 0)
	{
		jobs_say_dot(detail);
		jobs_say_number(detail, f->skipped);
		appendStringInfoString(detail, " skipped");
	}
	if (f->round > 1)
	{
		jobs_say_dot(detail);
		jobs_say_ordinal(detail, f->round);
		appendStringInfoString(detail, " round");
	}
}

/* "842 rows: 839 ready · 2 warnings · 1 error", "Finished 5 min ago" */
static void
describe_preview(const JobsFacts *f, StringInfo headline, StringInfo detail)
{
	jobs_say_count(headline, f->processed, "row");
	appendStringInfoString(headline, ": ");
	jobs_say_number(headline, f->succeeded);
	appendStringInfoString(headline, " ready");
	if (f->warnings > 0)
	{
		appendStringInfoString(headline, JOBS_DOT);
		jobs_say_count(headline, f->warnings, "warning");
	}
	if (f->failed > 0)
	{
		appendStringInfoString(headline, JOBS_DOT);
		jobs_say_count(headline, f->failed, "error");
	}
	if (f->finished_at != 0)
	{
		appendStringInfoString(detail, "Finished ");
		jobs_say_ago(detail, f->finished_at, f->now);
	}
}

/* "839 rows imported" and "5 min ago"; "Done" and "Finished 5 min ago" */
static void
describe_done(const JobsFacts *f, StringInfo headline, StringInfo detail)
{
	bool		import = strcmp(f->kind, "import") == 0;
	int64		rows = import && f->succeeded >= 0 ? f->succeeded : f->processed;

	if (rows >= 0)
	{
		jobs_say_count(headline, rows, noun_of(f));
		appendStringInfoString(headline, import ? " imported" : " processed");
	}
	else
		appendStringInfoString(headline, "Done");
	if (f->finished_at != 0)
	{
		if (!import)
			appendStringInfoString(detail, "Finished ");
		jobs_say_ago(detail, f->finished_at, f->now);
	}
}

/* "Failed — timeout after 5 min", "2 min ago" */
static void
describe_stopped(const JobsFacts *f, const char *word, StringInfo headline, StringInfo detail)
{
	appendStringInfoString(headline, word);
	if (f->error_message)
	{
		appendStringInfoString(headline, JOBS_DASH);
		jobs_say_line(headline, f->error_message);
	}
	if (append_items_done(f, detail))
		jobs_say_dot(detail);
	if (f->finished_at != 0)
		jobs_say_ago(detail, f->finished_at, f->now);
}

/* ------------------------------------------------------------------------
 * Actions
 * ------------------------------------------------------------------------
 */

/*
 * jobs._actions(owner oid, tenant text, kind text, state text, usable boolean)
 *
 * usable: its file can be downloaded, the preview imported, the import undone.
 * What its caller can call now: the checks are those of the functions.
 */
Datum
jobs_actions(PG_FUNCTION_ARGS)
{
	Oid			owner = PG_GETARG_OID(0);
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(2));
	bool		usable = PG_GETARG_BOOL(4);
	bool		control = jobs_may_control(owner, tenant);
	JobState	state;
	Datum		actions[6];
	int			n = 0;

	if (!find_state(text_to_cstring(PG_GETARG_TEXT_PP(3)), &state))
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
	if (!job_state_is_final(state) && jobs_may_cancel(owner, tenant))
		actions[n++] = CStringGetTextDatum("cancel");
	if (control && (state == JOB_FAILED || state == JOB_CANCELLED))
		actions[n++] = CStringGetTextDatum("retry");
	if (control && state == JOB_PARTIAL && strcmp(kind, "bulk") == 0)
		actions[n++] = CStringGetTextDatum("retry_failed");
	/* What a preview has found holds for its owner. */
	if (control && usable && (strcmp(kind, "import_preview") != 0 || owner == GetUserId()))
		actions[n++] = CStringGetTextDatum(strcmp(kind, "import_preview") == 0 ? "import" :
										   strcmp(kind, "import") == 0 ? "undo_import" : "download");
	if (control && job_state_is_final(state))
		actions[n++] = CStringGetTextDatum("delete");
	PG_RETURN_ARRAYTYPE_P(construct_array(actions, n, TEXTOID, -1, false, TYPALIGN_INT));
}
