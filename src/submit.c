/*-------------------------------------------------------------------------
 *
 * submit.c
 *	  What all functions that submit a job share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "args.h"
#include "catalog/pg_type.h"
#include "delivery/delivery.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "rights.h"
#include "store.h"
#include "submit.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "wake.h"

#define TITLE_FROM_TEXT	60		/* characters of a text in a title */

/* The arguments that all submitting functions have, in this order. */
enum
{
	ARG_TITLE,
	ARG_QUEUE,
	ARG_PRIORITY,
	ARG_RUN_AT,
	ARG_AFTER,
	ARG_TIMEOUT,
	ARG_MAX_ATTEMPTS,
	ARG_UNIQUE_KEY,
	ARG_NOTIFY
};

static void set_times(FunctionCallInfo fcinfo, int first, Job *job);
static void check_text(const char *what, const char *value, int max);
static Interval *effective_timeout(Interval *timeout);
static ArrayType *captured_settings(void);
static List *awaited_jobs(FunctionCallInfo fcinfo, int n);

void
jobs_check_can_submit(const char *function)
{
	jobs_require_preload();
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	PreventCommandDuringRecovery(function);

	/*
	 * There, somebody else's function runs under a role that did not choose to
	 * call it; a job would take that role's identity out of the cage.
	 */
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot submit a job within a security-restricted operation"),
				 errhint("Index expressions, materialized views and maintenance commands cannot submit jobs.")));
}

/* Fills in everything but command, title where none was given, and id. */
Job *
jobs_new_job(FunctionCallInfo fcinfo, int first, JobKind kind)
{
	Job		   *job = palloc0(sizeof(Job));
	int			sqlstate;
	Oid			connect_as;
	char	   *refused;

	job->kind = kind;
	job->owner = GetUserId();
	job->owner_name = GetUserNameFromId(job->owner, false);
	jobs_set_submitter(job);
	job->tenant = pstrdup(jobs_tenant);
	refused = jobs_owner_refused(job, &sqlstate, &connect_as);
	if (refused)
		ereport(ERROR,
				(errcode(sqlstate),
				 errmsg("cannot submit a job: %s", refused),
				 errhint("A job runs in a session of the role that submits it.")));

	job->title = jobs_text_arg(fcinfo, first + ARG_TITLE);
	if (job->title)
		check_text("title", job->title, JOBS_MAX_TITLE);
	job->queue = jobs_text_arg(fcinfo, first + ARG_QUEUE);
	if (job->queue == NULL)
		job->queue = "default";
	check_text("queue", job->queue, NAMEDATALEN - 1);
	job->unique_key = jobs_text_arg(fcinfo, first + ARG_UNIQUE_KEY);
	if (job->unique_key)
		check_text("unique_key", job->unique_key, JOBS_MAX_KEY);
	if (!PG_ARGISNULL(first + ARG_PRIORITY))
		job->priority = PG_GETARG_INT32(first + ARG_PRIORITY);
	job->max_attempts = PG_ARGISNULL(first + ARG_MAX_ATTEMPTS) ? 1
		: PG_GETARG_INT32(first + ARG_MAX_ATTEMPTS);
	if (job->max_attempts < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_attempts must be at least 1"),
				 errhint("The first run is one of them.")));
	if (!PG_ARGISNULL(first + ARG_NOTIFY))
		job->notify = jobs_notify_arg(PG_GETARG_JSONB_P(first + ARG_NOTIFY), job->owner);
	set_times(fcinfo, first, job);

	job->round = 1;
	job->processed = job->total = job->succeeded = job->failed = job->skipped = job->warnings = -1;
	job->settings = captured_settings();
	job->origin = jobs_origin();
	return job;
}

static void
set_times(FunctionCallInfo fcinfo, int first, Job *job)
{
	job->created_at = GetCurrentTimestamp();
	job->run_at = PG_ARGISNULL(first + ARG_RUN_AT) ? job->created_at
		: PG_GETARG_TIMESTAMPTZ(first + ARG_RUN_AT);
	if (TIMESTAMP_NOT_FINITE(job->run_at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("run_at must be finite"),
				 errhint("Leave it out for a job that is to run now.")));
	/* The clock may have been set back since the transaction began, whose now() it is. */
	if (job->run_at <= GetCurrentTransactionStartTimestamp())
		job->run_at = Min(job->run_at, job->created_at);
	job->timeout = effective_timeout(PG_ARGISNULL(first + ARG_TIMEOUT) ? NULL
									 : PG_GETARG_INTERVAL_P(first + ARG_TIMEOUT));
}

/* What people and logs will read must be short, and one line. */
static void
check_text(const char *what, const char *value, int max)
{
	if (value[0] == '\0' || pg_mbstrlen(value) > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have 1 to %d characters", what, max),
				 errhint("Leave it out, or choose a shorter one.")));
	if (strcmp(what, "queue") == 0 && strlen(value) > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have at most %d bytes", what, max),
				 errhint("Characters other than ASCII have several.")));
	for (const char *p = value; *p; p++)
	{
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s must not contain control characters", what),
					 errhint("It is shown in one line.")));
	}
}

/* The default where none is given, and never more than jobs.max_timeout. */
static Interval *
effective_timeout(Interval *timeout)
{
	Interval   *result = palloc0(sizeof(Interval));
	int64		limit = (int64) jobs_max_timeout * 1000;

	if (timeout)
	{
		/* Intervals can be longer than 64 bits count in microseconds. */
		double		usecs = (timeout->month * (double) DAYS_PER_MONTH + timeout->day) * USECS_PER_DAY +
			timeout->time;

		if (usecs <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("timeout must be more than zero"),
					 errhint("Leave it out for jobs.default_timeout.")));
		*result = *timeout;
		if (limit > 0 && usecs > limit)
			*result = (Interval) {.time = limit};
		return result;
	}
	result->time = (int64) jobs_default_timeout * 1000;
	if (limit > 0 && (result->time == 0 || result->time > limit))
		result->time = limit;
	return result->time > 0 ? result : NULL;
}

/* text[] of name=value; NULL where there is nothing to keep. */
static ArrayType *
captured_settings(void)
{
	char	   *names = pstrdup(jobs_capture_settings);
	List	   *list;
	ListCell   *cell;
	Datum	   *settings;
	int			n = 0;

	/* It has been checked when it was set. */
	(void) SplitGUCList(names, ',', &list);
	settings = palloc(Max(list_length(list), 1) * sizeof(Datum));
	foreach(cell, list)
	{
		const char *name = lfirst(cell);
		const char *value = GetConfigOption(name, true, false);

		/* The options of a connection are not verified. */
		if (value && pg_verifymbstr(value, strlen(value), false))
			settings[n++] = CStringGetTextDatum(psprintf("%s=%s", name, value));
	}
	return n > 0 ? construct_array(settings, n, TEXTOID, -1, false, TYPALIGN_INT) : NULL;
}

/* "Run: " and the beginning of the command in one line. */
char *
jobs_title_from(const char *prefix, const char *text)
{
	StringInfoData title;
	bool		blank = false;
	int			chars = 0;

	initStringInfo(&title);
	appendStringInfoString(&title, prefix);
	for (const char *p = text; *p; p += pg_mblen(p))
	{
		if ((unsigned char) *p <= ' ' || *p == 0x7f)
		{
			blank = chars > 0;
			continue;
		}
		if (chars + 1 + blank > TITLE_FROM_TEXT)
		{
			appendStringInfoString(&title, "...");
			break;
		}
		if (blank)
			appendStringInfoChar(&title, ' ');
		appendBinaryStringInfo(&title, p, pg_mblen(p));
		chars += 1 + blank;
		blank = false;
	}
	return title.data;
}

/*
 * The last steps, which write.  Returns the id of the job, or of the one that
 * has the same unique key and is not final.
 */
JobId
jobs_submit(FunctionCallInfo fcinfo, int first, Job *job)
{
	List	   *awaited = awaited_jobs(fcinfo, first + ARG_AFTER);
	ListCell   *cell;

	if (job->unique_key)
	{
		Job		   *same;

		jobs_store_lock_key(job->owner, job->tenant, job->unique_key);
		same = jobs_store_find_key(job->owner, job->tenant, job->unique_key);
		if (same)
			return same->id;
	}

	job->id = jobs_store_next_id();
	if (awaited != NIL)
		job->state = JOB_WAITING;
	else
		job->state = job->run_at > job->created_at ? JOB_SCHEDULED : JOB_QUEUED;
	jobs_note_job(job->id);
	jobs_store_insert(job);
	foreach(cell, awaited)
		jobs_store_add_dependency(job->id, *(int64 *) lfirst(cell));
	return job->id;
}

/* The jobs of after that have not ended well yet: list of int64 *. */
static List *
awaited_jobs(FunctionCallInfo fcinfo, int n)
{
	ArrayType  *after;
	Datum	   *ids;
	bool	   *nulls;
	int			count;
	List	   *awaited = NIL;

	if (PG_ARGISNULL(n))
		return NIL;
	after = PG_GETARG_ARRAYTYPE_P(n);
	deconstruct_array(after, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &ids, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		int64	   *id = palloc(sizeof(int64));
		bool		known = false;
		bool		own;
		ListCell   *cell;
		Job		   *other;

		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("after must not contain nulls"),
					 errhint("Pass the ids of jobs, or leave it out.")));
		*id = DatumGetInt64(ids[i]);
		foreach(cell, awaited)
			known |= *(int64 *) lfirst(cell) == *id;
		if (known)
			continue;
		other = jobs_find_seen(*id, &own);
		if (other->state != JOB_SUCCEEDED && other->state != JOB_PARTIAL)
			awaited = lappend(awaited, id);
	}
	return awaited;
}

void
jobs_push_text(JsonbParseState **state, const char *key, const char *value)
{
	JsonbValue	v;

	v.type = jbvString;
	v.val.string.val = unconstify(char *, key);
	v.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &v);
	v.val.string.val = unconstify(char *, value);
	v.val.string.len = strlen(value);
	pushJsonbValue(state, WJB_VALUE, &v);
}
