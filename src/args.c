/*-------------------------------------------------------------------------
 *
 * args.c
 *	  Checks that functions share, of their arguments and of where they are called.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "args.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

void
jobs_check_can_change(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	PreventCommandDuringRecovery(function);
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot execute %s within a security-restricted operation", function),
				 errhint("Index expressions, materialized views and maintenance commands cannot call it.")));
}

void
jobs_require_arg(FunctionCallInfo fcinfo, int n, const char *name, const char *hint)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be null", name),
				 errhint("%s", hint)));
}

JobId
jobs_job_arg(FunctionCallInfo fcinfo)
{
	jobs_require_arg(fcinfo, 0, "job", "Pass the id that the submitting function has returned.");
	return PG_GETARG_INT64(0);
}

JobId
jobs_changed_job_arg(FunctionCallInfo fcinfo, const char *function)
{
	jobs_check_can_change(function);
	return jobs_job_arg(fcinfo);
}

char *
jobs_queue_arg(FunctionCallInfo fcinfo, int n)
{
	char	   *queue;

	jobs_require_arg(fcinfo, n, "queue", "Pass the name of a queue.");
	queue = text_to_cstring(PG_GETARG_TEXT_PP(n));
	if (queue[0] == '\0' || strlen(queue) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("queue must have 1 to %d bytes", NAMEDATALEN - 1),
				 errhint("Pass the name of a queue, as jobs are submitted to it.")));
	return queue;
}

int64
jobs_count_arg(FunctionCallInfo fcinfo, int n, const char *name)
{
	int64		count;

	if (PG_ARGISNULL(n))
		return -1;
	count = PG_GETARG_INT64(n);
	if (count < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", name),
				 errhint("Counts begin at 0.")));
	return count;
}

char *
jobs_text_arg(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

int
jobs_claim_arg(FunctionCallInfo fcinfo, int n, int preset, int most)
{
	int32		count = PG_ARGISNULL(n) ? preset : PG_GETARG_INT32(n);

	if (count < 1 || count > most)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("n must be from 1 to %d", most),
				 errhint("Claim again for more.")));
	return count;
}

int64
jobs_lease_arg(FunctionCallInfo fcinfo, int n, int hours, const char *hint)
{
	Interval   *lease;
	double		usecs;

	if (PG_ARGISNULL(n))
		return USECS_PER_MINUTE;
	lease = PG_GETARG_INTERVAL_P(n);
	/* Intervals can be longer than 64 bits count in microseconds. */
	usecs = (lease->month * (double) DAYS_PER_MONTH + lease->day) * USECS_PER_DAY + lease->time;
	if (usecs <= 0 || usecs > hours * (double) USECS_PER_HOUR)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lease must be more than zero and at most %s",
						hours == 1 ? "one hour" : psprintf("%d hours", hours)),
				 errhint("%s", hint)));
	return (int64) usecs;
}

TupleDesc
jobs_result_desc(FunctionCallInfo fcinfo, int natts)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != natts)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function must be called as it is declared")));
	return BlessTupleDesc(desc);
}
