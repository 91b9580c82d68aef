/*-------------------------------------------------------------------------
 *
 * claimer.c
 *	  Who may do whose jobs outside of the server, and for how long.
 *
 * Members of a job's owner may.  An owner can allow others, for a queue: then
 * they read the payload and say how the job ended, and no more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "args.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "guc.h"
#include "miscadmin.h"
#include "outside/outside.h"
#include "rights.h"
#include "session.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(jobs_grant_claim);
PG_FUNCTION_INFO_V1(jobs_revoke_claim);

/* A client's JSON holds integers of this many bits exactly. */
#define CLAIM_BITS		53

static bool is_role(Oid role, const char *name);
static void claimer_args(FunctionCallInfo fcinfo, const char *function, JobsClaimer *claimer);

/* ------------------------------------------------------------------------
 * Grants
 * ------------------------------------------------------------------------
 */

/*
 * jobs.grant_claim(queue text, client regrole, everybody boolean)
 */
Datum
jobs_grant_claim(PG_FUNCTION_ARGS)
{
	JobsClaimer claimer;

	claimer_args(fcinfo, "jobs.grant_claim()", &claimer);
	PG_RETURN_BOOL(jobs_store_add_claimer(&claimer));
}

/*
 * jobs.revoke_claim(queue text, client regrole, everybody boolean)
 */
Datum
jobs_revoke_claim(PG_FUNCTION_ARGS)
{
	JobsClaimer claimer;

	claimer_args(fcinfo, "jobs.revoke_claim()", &claimer);
	PG_RETURN_BOOL(jobs_store_remove_claimer(&claimer));
}

/* Everybody's jobs are a superuser's to give; what he gives away he could read. */
static void
claimer_args(FunctionCallInfo fcinfo, const char *function, JobsClaimer *claimer)
{
	jobs_require_preload();
	jobs_check_can_change(function);
	claimer->queue = jobs_queue_arg(fcinfo, 0);
	jobs_require_arg(fcinfo, 1, "client", "Pass the role that clients log in as.");
	jobs_require_arg(fcinfo, 2, "everybody", "Pass true, or false for your own jobs.");
	claimer->client = PG_GETARG_OID(1);
	claimer->client_name = GetUserNameFromId(claimer->client, true);
	if (claimer->client_name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", claimer->client),
				 errhint("Pass the name of a role.")));
	claimer->owner = PG_GETARG_BOOL(2) ? InvalidOid : GetUserId();
	claimer->owner_name = PG_GETARG_BOOL(2) ? "" : GetUserNameFromId(claimer->owner, false);
	if (!OidIsValid(claimer->owner) && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for the jobs of everybody"),
				 errhint("Only a superuser may; leave out everybody for your own jobs.")));
}

/* A role that has been dropped leaves nothing to the next with its OID. */
static bool
is_role(Oid role, const char *name)
{
	char	   *now = GetUserNameFromId(role, true);

	return now && strcmp(now, name) == 0;
}

List *
jobs_claim_grants(const char *queue)
{
	List	   *grants = NIL;
	ListCell   *cell;

	foreach(cell, jobs_store_claimers(queue))
	{
		JobsClaimer *claimer = lfirst(cell);
		if (is_role(claimer->client, claimer->client_name) &&
			(!OidIsValid(claimer->owner) || is_role(claimer->owner, claimer->owner_name)) &&
			has_privs_of_role(GetUserId(), claimer->client))
			grants = lappend_oid(grants, claimer->owner);
	}
	return grants;
}

bool
jobs_may_claim(Oid owner, const char *tenant, List *grants)
{
	return jobs_tenant_fits(tenant) &&
		(has_privs_of_role(GetUserId(), owner) ||
		 list_member_oid(grants, owner) || list_member_oid(grants, InvalidOid));
}

Job *
jobs_find_claimable(JobId id)
{
	bool		own;
	Job		   *job = jobs_store_find(id, &own);

	if (job == NULL)
		jobs_no_such_job(id);
	if (job->outside && jobs_may_claim(job->owner, job->tenant, jobs_claim_grants(job->queue)))
		return job;
	if (!jobs_may_see(job->owner, job->tenant))
		jobs_no_such_job(id);
	if (!jobs_may_control(job->owner, job->tenant))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for job %lld", (long long) id),
				 errhint("Members of the role that submitted it can do it, and whom that role allows to by jobs.grant_claim.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("job %lld is not done by clients", (long long) id),
			 errhint("The server does it by itself; clients do jobs of jobs.submit, and items of bulk jobs without a command.")));
}

Job *
jobs_claimable_arg(FunctionCallInfo fcinfo, const char *function, JobKind kind)
{
	Job		   *job;

	jobs_require_preload();
	job = jobs_find_claimable(jobs_changed_job_arg(fcinfo, function));
	if (job->kind == JOB_BULK && kind != JOB_BULK)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld is done item by item", (long long) job->id),
				 errhint("Use jobs.claim_items, jobs.finish_items and jobs.fail_item.")));
	if (job->kind != JOB_BULK && kind == JOB_BULK)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld has no items", (long long) job->id),
				 errhint("Use jobs.claim, jobs.finish and jobs.fail.")));
	return job;
}

/* ------------------------------------------------------------------------
 * Claims
 * ------------------------------------------------------------------------
 */

int64
jobs_new_claim(void)
{
	return (int64) (pg_prng_uint64(&pg_global_prng_state) >> (64 - CLAIM_BITS)) | 1;
}

int64
jobs_my_session(void)
{
	return (int64) hash_combine64((uint64) MyStartTimestamp, (uint64) MyProcPid);
}

bool
jobs_is_my_session(int64 session, Oid client)
{
	return session == jobs_my_session() && client == GetUserId();
}

int
jobs_claim_count(FunctionCallInfo fcinfo, int n)
{
	return jobs_claim_arg(fcinfo, n, 1, JOBS_MAX_CLAIM);
}

void
jobs_check_payload(const char *what, Jsonb *value)
{
	if (VARSIZE(value) > JOBS_MAX_PAYLOAD)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s has more than %d MB", what, JOBS_MAX_PAYLOAD / (1024 * 1024)),
				 errhint("Keep large values in a table, and pass its key.")));
}

int64
jobs_lease_usecs(FunctionCallInfo fcinfo, int n)
{
	return jobs_lease_arg(fcinfo, n, 24, "What takes longer is kept by jobs.extend_lease.");
}

TimestampTz
jobs_lease_end(const Job *job, int64 usecs)
{
	TimestampTz until = GetCurrentTimestamp() + usecs;
	int64		timeout = jobs_interval_usecs(job->timeout);

	if (timeout > 0 && timeout < until - job->started_at)
		until = job->started_at + timeout;
	return until;
}
