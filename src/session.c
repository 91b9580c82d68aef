/*-------------------------------------------------------------------------
 *
 * session.c
 *	  The session that a worker gives to each job.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dlfcn.h>
#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/discard.h"
#include "common/int.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "session.h"
#include "settle.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#define KILL_AFTER_TIMEOUT_MS	5000

/* Anything longer is no timeout. */
#define LONGEST_TIMEOUT	(INT64CONST(10000) * USECS_PER_DAY)

/* Languages with variables that outlive a function's call, and connections that do. */
static const char *const keeping_libraries[] = {
	"plperl", "plpython3", "plpython2", "pltcl", "plv8", "pllua", "plr", "pljava", "dblink", "pg_variables", "orafce"
};

static volatile sig_atomic_t timed_out = false;
static TimeoutId job_timeout_id = MAX_TIMEOUTS;
static int64 job_timeout = 0;	/* us */

static void discard_all(void);
static void job_timeout_handler(void);
static void apply_setting(const char *setting, GucContext context);

/* ------------------------------------------------------------------------
 * Transactions
 * ------------------------------------------------------------------------
 */

void
jobs_session_begin(Oid owner, bool reset)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (reset)
		discard_all();
	/* Not the session's user, as ALTER ROLE ... SET role can give it another role. */
	if (owner != GetUserId())
		SetUserIdAndSecContext(owner, SECURITY_LOCAL_USERID_CHANGE);
}

/*
 * Exports and previews change nothing.  A row that an import meets has to be seen as
 * it is when it is met, whatever the owner's default is: in a snapshot of the
 * beginning it could only fail.
 */
void
jobs_session_isolate(JobKind kind)
{
	if (kind == JOB_EXPORT || kind == JOB_IMPORT_PREVIEW)
		XactReadOnly = true;
	if (kind == JOB_EXPORT)
		XactIsoLevel = XACT_REPEATABLE_READ;
	if (kind == JOB_IMPORT_PREVIEW || kind == JOB_IMPORT)
	{
		XactIsoLevel = XACT_READ_COMMITTED;
		XactDeferrable = false;
	}
	if (kind == JOB_IMPORT)
		XactReadOnly = false;
}

void
jobs_session_commit(bool async)
{
	/* A commit would end the subtransaction only, and leave the rest to nobody. */
	if (GetCurrentTransactionNestLevel() != 1)
		elog(ERROR, "a subtransaction of a job was left open");
	/* Of this transaction only, on top of what the job may have set for it. */
	if (async && synchronous_commit > SYNCHRONOUS_COMMIT_OFF)
		(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	CommitTransactionCommand();
	/* A transaction must not begin with the identity that one has taken. */
	SetUserIdAndSecContext(GetSessionUserId(), 0);
}

void
jobs_session_abort(void)
{
	AbortOutOfAnyTransaction();
	PortalErrorCleanup();
	SetUserIdAndSecContext(GetSessionUserId(), 0);
}

bool
jobs_session_can_commit(void)
{
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	return context == 0;
}

/* ------------------------------------------------------------------------
 * Between jobs
 * ------------------------------------------------------------------------
 */

static void
discard_all(void)
{
	DiscardStmt *discard = makeNode(DiscardStmt);

	discard->target = DISCARD_ALL;
	DiscardCommand(discard, true);
}

void
jobs_session_reset(void)
{
	jobs_session_begin(GetSessionUserId(), true);
	jobs_session_commit(true);
}

bool
jobs_session_keeps_values(void)
{
	for (int i = 0; i < lengthof(keeping_libraries); i++)
	{
		char		path[MAXPGPATH];
		void	   *library;

		snprintf(path, sizeof(path), "%s/%s%s", pkglib_path, keeping_libraries[i], DLSUFFIX);
		library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
		if (library)
		{
			dlclose(library);
			return true;
		}
	}
	return false;
}

void
jobs_session_enter(const Job *job)
{
	GucContext	context = superuser_arg(job->owner) ? PGC_SUSET : PGC_USERSET;
	char		name[NAMEDATALEN];
	char	   *activity;

	if (job->settings)
	{
		Datum	   *settings;
		int			n;

		deconstruct_array(job->settings, TEXTOID, -1, false, TYPALIGN_INT, &settings, NULL, &n);
		for (int i = 0; i < n; i++)
			apply_setting(TextDatumGetCString(settings[i]), context);
	}
	if (job->tenant[0] != '\0')
		SetConfigOption("jobs.tenant", job->tenant, PGC_USERSET, PGC_S_SESSION);

	snprintf(name, sizeof(name), "jobs %lld %s", (long long) job->id, job_kind_names[job->kind]);
	SetConfigOption("application_name", name, PGC_USERSET, PGC_S_SESSION);
	/* Whoever can log in as the session's role reads it, and need not be a member of the owner. */
	if (GetSessionUserId() == job->owner)
		activity = psprintf("job %lld \"%s\": %s", (long long) job->id, job->title, job->command);
	else
		activity = psprintf("job %lld", (long long) job->id);
	pgstat_report_activity(STATE_RUNNING, activity);
}

static void
apply_setting(const char *setting, GucContext context)
{
	char	   *name = pstrdup(setting);
	char	   *value = strchr(name, '=');

	if (value == NULL)
		return;
	*value++ = '\0';
	SetConfigOption(name, value, context, PGC_S_SESSION);
}

void
jobs_session_idle(void)
{
	pgstat_report_activity(STATE_IDLE, NULL);
	pgstat_report_stat(false);
}

/* ------------------------------------------------------------------------
 * Timeouts
 * ------------------------------------------------------------------------
 */

void
jobs_start_statement_timeout(void)
{
	if (StatementTimeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
}

void
jobs_stop_statement_timeout(void)
{
	if (get_timeout_active(STATEMENT_TIMEOUT))
		disable_timeout(STATEMENT_TIMEOUT, false);
}

/* Signal handler: asks once, then insists. */
static void
job_timeout_handler(void)
{
	if (timed_out)
	{
		kill(MyProcPid, SIGTERM);
		return;
	}
	timed_out = true;
	kill(MyProcPid, SIGINT);
}

void
jobs_start_job_timeout(int64 usecs)
{
	if (job_timeout_id == MAX_TIMEOUTS)
		job_timeout_id = RegisterTimeout(USER_TIMEOUT, job_timeout_handler);
	timed_out = false;
	job_timeout = usecs;
	if (usecs > 0 && usecs < LONGEST_TIMEOUT)
		enable_timeout_every(job_timeout_id, GetCurrentTimestamp() + usecs, KILL_AFTER_TIMEOUT_MS);
}

void
jobs_stop_job_timeout(void)
{
	if (job_timeout_id != MAX_TIMEOUTS && get_timeout_active(job_timeout_id))
		disable_timeout(job_timeout_id, false);
}

bool
jobs_job_timed_out(void)
{
	return timed_out;
}

char *
jobs_timeout_text(void)
{
	return psprintf("timeout after %s", jobs_duration(job_timeout));
}

int64
jobs_interval_usecs(const Interval *interval)
{
	int64		usecs;

	if (interval == NULL)
		return 0;
	if (pg_mul_s64_overflow(interval->month * (int64) DAYS_PER_MONTH + interval->day, USECS_PER_DAY, &usecs) ||
		pg_add_s64_overflow(usecs, interval->time, &usecs))
		return PG_INT64_MAX;
	return usecs;
}
