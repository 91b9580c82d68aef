/*-------------------------------------------------------------------------
 *
 * rights.c
 *	  Who may see and control which job, and as whom a job may run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "compat.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "perform.h"
#include "rights.h"
#include "shmem.h"
#include "store.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(jobs_visible);

static Job *require_seen(JobId id, Job *job);
static char *role_refused(Oid role, int *sqlstate, bool *can_login);
static char *connection_refused(Oid role);

/* A session with a tenant sees that tenant's jobs only. */
bool
jobs_tenant_fits(const char *tenant)
{
	return jobs_tenant[0] == '\0' || strcmp(jobs_tenant, tenant) == 0;
}

bool
jobs_may_see(Oid owner, const char *tenant)
{
	Oid			user = GetUserId();

	return jobs_tenant_fits(tenant) &&
		(has_privs_of_role(user, owner) || has_privs_of_role(user, ROLE_PG_READ_ALL_STATS));
}

bool
jobs_may_control(Oid owner, const char *tenant)
{
	return jobs_tenant_fits(tenant) && has_privs_of_role(GetUserId(), owner);
}

bool
jobs_may_cancel(Oid owner, const char *tenant)
{
	if (!jobs_tenant_fits(tenant))
		return false;
	if (has_privs_of_role(GetUserId(), owner))
		return true;
	return has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND) && !superuser_arg(owner);
}

/* jobs._visible(owner oid, tenant text) */
Datum
jobs_visible(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(1));

	PG_RETURN_BOOL(jobs_may_see(PG_GETARG_OID(0), tenant));
}

static Job *
require_seen(JobId id, Job *job)
{
	if (job == NULL || !jobs_may_see(job->owner, job->tenant))
		jobs_no_such_job(id);
	return job;
}

Job *
jobs_find_seen(JobId id, bool *own)
{
	return require_seen(id, jobs_store_find_brief(id, own));
}

Job *
jobs_find_controlled(JobId id, bool *own)
{
	Job		   *job = require_seen(id, jobs_store_find(id, own));

	if (jobs_may_control(job->owner, job->tenant))
		return job;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for job %lld", (long long) id),
			 errhint("Only members of the role that submitted it may do that.")));
}

void
jobs_no_such_job(JobId id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("job %lld does not exist", (long long) id),
			 errhint("The view jobs.job lists the jobs that you may see.")));
}

void
jobs_require_preload(void)
{
	if (jobs_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("jobs must be loaded via shared_preload_libraries"),
				 errhint("Add jobs to shared_preload_libraries in postgresql.conf and restart the server.")));
}

/*
 * The owner is who the submitter is or became by SET ROLE, and then he must be a
 * member of it, also later; or else it is a function of the owner's that has
 * submitted, and whoever called it need not be.  One who stays in a role after he
 * has lost it by now submits nothing any more.
 *
 * A job that submits another is its own submitter's, or it could go on for ever
 * on behalf of one who has left.  On 15 and 16 the session of an owner without
 * LOGIN looks like that of a SECURITY DEFINER function, but cannot SET ROLE.
 */
void
jobs_set_submitter(Job *job)
{
	const Job  *running = jobs_performing();
	bool		function = InLocalUserIdChange();

	if (running)
		function = !running->by_membership || (function && running->owner != job->owner);
	job->session_role = running ? running->session_role : GetSessionUserId();
	job->by_membership = !function || jobs_can_set_role(job->session_role, job->owner);
}

/* Why a role may not log in, or NULL; a role that has gone raises nothing. */
static char *
role_refused(Oid role, int *sqlstate, bool *can_login)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	Form_pg_authid form;
	char	   *refused = NULL;
	bool		isnull;
	Datum		until;

	if (!HeapTupleIsValid(tuple))
	{
		*sqlstate = ERRCODE_UNDEFINED_OBJECT;
		*can_login = false;
		return psprintf("role with OID %u no longer exists", role);
	}
	form = (Form_pg_authid) GETSTRUCT(tuple);
	*can_login = form->rolcanlogin;
	until = SysCacheGetAttr(AUTHOID, tuple, Anum_pg_authid_rolvaliduntil, &isnull);
	if (!isnull && DatumGetTimestampTz(until) < GetCurrentTimestamp())
		refused = psprintf("the password of role \"%s\" has expired", NameStr(form->rolname));
	else if (!form->rolcanlogin)
		refused = psprintf("role \"%s\" is not permitted to log in", NameStr(form->rolname));
	if (refused)
		*sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE;
	ReleaseSysCache(tuple);
	return refused;
}

/*
 * Why a role may not connect to this database, or NULL.  The server does not
 * count background workers, but who has set a limit to 0 wants nobody there.
 */
static char *
connection_refused(Oid role)
{
	const char *name = GetUserNameFromId(role, false);
	HeapTuple	tuple;
	bool		none;

	if (jobs_database_aclcheck(MyDatabaseId, role, ACL_CONNECT) != ACLCHECK_OK)
		return psprintf("role \"%s\" has no CONNECT privilege on the database", name);
	if (superuser_arg(role))
		return NULL;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	none = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolconnlimit == 0;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (none)
		return psprintf("role \"%s\" has a connection limit of 0", name);
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	none = HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datconnlimit == 0;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return none ? pstrdup("the database has a connection limit of 0") : NULL;
}

char *
jobs_owner_refused(const Job *job, int *sqlstate, Oid *connect_as)
{
	bool		owner_login;
	bool		session_login;
	char	   *owner_refused = role_refused(job->owner, sqlstate, &owner_login);
	char	   *refused;

	*connect_as = job->owner;
	if (owner_refused && *sqlstate == ERRCODE_UNDEFINED_OBJECT)
		return psprintf("role \"%s\" no longer exists", job->owner_name);

	/*
	 * The submitter logged in as session_role, and either was or became the
	 * owner, or called a SECURITY DEFINER function of the owner's.  Both must
	 * still be able to be what they were.
	 */
	refused = role_refused(job->session_role, sqlstate, &session_login);
	if (refused)
	{
		if (*sqlstate == ERRCODE_UNDEFINED_OBJECT)
			refused = pstrdup("the role that submitted the job no longer exists");
		return refused;
	}
	if (job->by_membership && job->session_role != job->owner &&
		!jobs_can_set_role(job->session_role, job->owner))
	{
		*sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE;
		return psprintf("role \"%s\" is no longer a member of role \"%s\"",
						GetUserNameFromId(job->session_role, false), job->owner_name);
	}
	if (!owner_login && !JOBS_CAN_BYPASS_LOGIN)
		*connect_as = job->session_role;
	*sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE;
	return connection_refused(*connect_as);
}
