/*-------------------------------------------------------------------------
 *
 * settle.c
 *	  What becomes of a job that did not end well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bulk/ledger.h"
#include "common/pg_prng.h"
#include "guc.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "settle.h"
#include "store.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define LONGEST_DELAY_MS	(3600 * 1000)
#define JITTER				0.25

/* What is kept of a message that a user's code may make as long as it likes. */
#define MAX_ERROR_TEXT		4000

static TimestampTz next_attempt(int attempt);
static void set_error(Job *job, const JobsFailure *failure);

void
jobs_settle(Job *job, const JobsFailure *failure)
{
	JobState	old = job->state;

	if (job->kind == JOB_BULK)
		jobs_ledger_count_job(job);
	else
		job->processed = job->total = job->succeeded = job->failed = job->skipped = job->warnings = -1;
	job->result = NULL;
	set_error(job, failure);
	if (!failure->cancelled && !failure->final && old == JOB_RUNNING && job->attempt < job->max_attempts)
	{
		job->state = JOB_SCHEDULED;
		job->run_at = next_attempt(job->attempt);
		job->started_at = 0;
		jobs_store_update(job, old);
		return;
	}
	job->state = failure->cancelled ? JOB_CANCELLED : JOB_FAILED;
	job->finished_at = Max(GetCurrentTimestamp(), job->started_at);
	jobs_store_finish(job, old);
}

void
jobs_settle_unbegun(JobId id, const JobsFailure *failure, bool *held)
{
	Job		   *job = jobs_store_lock(id, JOBS_WAIT_SKIP, held);

	if (job != NULL && job->state < JOB_RUNNING)
		jobs_settle(job, failure);
}

/* Exponential, so that what is down has time to come up; with jitter, so that not all come at once. */
static TimestampTz
next_attempt(int attempt)
{
	double		delay = jobs_retry_delay;

	for (int i = 1; i < attempt && delay < LONGEST_DELAY_MS; i++)
		delay *= 2;
	delay = Min(delay, LONGEST_DELAY_MS);
	delay *= 1 - JITTER + 2 * JITTER * pg_prng_double(&pg_global_prng_state);
	return GetCurrentTimestamp() + (int64) (delay * 1000);
}

char *
jobs_error_text(const char *text)
{
	if (text == NULL)
		return NULL;
	return pnstrdup(text, pg_mbcliplen(text, strlen(text), MAX_ERROR_TEXT));
}

static void
set_error(Job *job, const JobsFailure *failure)
{
	job->error_code = failure->sqlstate ? pstrdup(unpack_sql_state(failure->sqlstate)) : NULL;
	job->error_message = jobs_error_text(failure->message);
	job->error_detail = jobs_error_text(failure->detail);
	job->error_hint = jobs_error_text(failure->hint);
}

char *
jobs_duration(int64 usecs)
{
	static const struct
	{
		const char *unit;
		int64		usecs;
	}			units[] = {
		{"d", USECS_PER_DAY},
		{"h", USECS_PER_HOUR},
		{"min", USECS_PER_MINUTE},
		{"s", USECS_PER_SEC},
		{"ms", 1000}
	};
	StringInfoData text;
	int			parts = 0;

	initStringInfo(&text);
	for (int i = 0; i < lengthof(units) && parts < 2; i++)
	{
		int64		n = usecs / units[i].usecs;

		if (n == 0)
			continue;
		appendStringInfo(&text, "%s" INT64_FORMAT " %s", parts++ ? " " : "", n, units[i].unit);
		usecs -= n * units[i].usecs;
	}
	return text.len > 0 ? text.data : pstrdup("0 ms");
}
