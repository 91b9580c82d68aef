/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Settings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "delivery/address.h"
#include "jobs.h"
#include "mb/pg_wchar.h"

#define SECS_PER_DAY_INT	86400

int			jobs_artifact_ttl = SECS_PER_DAY_INT;
char	   *jobs_capture_settings = NULL;
int			jobs_default_timeout = 0;
bool		jobs_enabled = true;
int			jobs_history_retention = 7 * SECS_PER_DAY_INT;
char	   *jobs_link_template = NULL;
char	   *jobs_mail_domains = NULL;
int			jobs_max_artifact_bytes_per_role = 0;
int			jobs_max_artifact_size = 10 * 1024;
int			jobs_max_artifact_ttl = 30 * SECS_PER_DAY_INT;
int			jobs_max_deliveries_per_role = 1000;
int			jobs_max_export_workers = 4;
int			jobs_max_issues = 10000;
int			jobs_max_running_per_role = 0;
int			jobs_max_timeout = 0;
int			jobs_max_upload_size = 10 * 1024;
int			jobs_max_workers = 4;
int			jobs_pdf_max_rows = 100000;
int			jobs_progress_interval = 500;
int			jobs_retry_delay = 1000;
char	   *jobs_tenant = NULL;
char	   *jobs_webhook_hosts = NULL;
int			jobs_worker_idle_timeout = 60;

static void
define_time(const char *name, const char *text, const char *detail, int *value, int min, int max,
			GucContext context, int unit)
{
	DefineCustomIntVariable(name, text, detail, value, *value, min, max, context, unit,
							NULL, NULL, NULL);
}

static bool
check_tenant(char **newval, void **extra, GucSource source)
{
	/* The options of a connection are not verified. */
	if (*newval && !pg_verifymbstr(*newval, strlen(*newval), true))
		return false;
	if (*newval && pg_mbstrlen(*newval) > JOBS_MAX_KEY)
	{
		GUC_check_errdetail("A tenant has at most %d characters.", JOBS_MAX_KEY);
		return false;
	}
	return true;
}

static bool
check_list(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *names;
	bool		valid = SplitGUCList(copy, ',', &names);

	if (!valid)
		GUC_check_errdetail("List syntax is invalid.");
	list_free(names);
	pfree(copy);
	return valid;
}

/*
 * Limits of the whole server, and what an administrator gives to roles.  Where
 * the library was not preloaded nothing can be set at server start any more;
 * jobs.max_workers is then without effect, and here only for its name.
 */
static void
define_administrators_settings(void)
{
	DefineCustomBoolVariable("jobs.enabled", "Starts jobs.",
							 "Off starts nothing, for clones and emergencies; jobs can still be submitted.",
							 &jobs_enabled, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("jobs.max_workers", "Jobs that run at once in the whole cluster.",
							"Each takes one of max_worker_processes.",
							&jobs_max_workers, 4, 1, 1024,
							process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP,
							0, NULL, NULL, NULL);
	DefineCustomIntVariable("jobs.max_running_per_role", "Jobs of one role that run at once.",
							"0 is no limit.  Changes are seen within a second.",
							&jobs_max_running_per_role, 0, 0, 1024, PGC_SUSET, 0, NULL, NULL, NULL);
	define_time("jobs.max_timeout", "The longest time a job may run.",
				"Taken at submission, also for jobs without a timeout.  0 is no ceiling.",
				&jobs_max_timeout, 0, INT_MAX, PGC_SUSET, GUC_UNIT_MS);
	DefineCustomIntVariable("jobs.max_export_workers", "Parallel workers that one export may use.",
							"0 is none.  max_parallel_workers and max_parallel_workers_per_gather hold as well.",
							&jobs_max_export_workers, 4, 0, 1024, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("jobs.max_artifact_size", "The largest file an export may make.", "A larger one fails.",
							&jobs_max_artifact_size, 10 * 1024, 1, INT_MAX, PGC_SUSET, GUC_UNIT_MB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("jobs.max_artifact_bytes_per_role",
							"Size of all the files together that the exports of one role may keep.",
							"An export that would pass it fails.  0 is no limit.",
							&jobs_max_artifact_bytes_per_role, 0, 0, INT_MAX, PGC_SUSET, GUC_UNIT_MB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("jobs.max_issues", "Issues of an import preview that are kept, one by one.",
							"All are counted, however many there are.",
							&jobs_max_issues, 10000, 0, INT_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("jobs.max_upload_size", "The largest file that may be uploaded.",
							"Counted as it is handed in, and once more as a gzip inflates.",
							&jobs_max_upload_size, 10 * 1024, 1, INT_MAX, PGC_SUSET, GUC_UNIT_MB,
							NULL, NULL, NULL);
	define_time("jobs.max_artifact_ttl", "The longest time that the file of an export is kept.",
				"A ceiling for jobs.artifact_ttl and the argument expires_in.",
				&jobs_max_artifact_ttl, 1, INT_MAX, PGC_SUSET, GUC_UNIT_S);
	DefineCustomStringVariable("jobs.capture_settings",
							   "Settings whose values at submission hold in the job too.",
							   "A comma-separated list of names; one that the owner may not set fails the job.",
							   &jobs_capture_settings, "search_path, DateStyle, IntervalStyle, TimeZone",
							   PGC_SUSET, GUC_LIST_INPUT, check_list, NULL, NULL);
	DefineCustomIntVariable("jobs.pdf_max_rows", "Rows that a PDF file may have.",
							"Nobody reads more on paper, and drawing them takes long.",
							&jobs_pdf_max_rows, 100000, 1, INT_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
	define_time("jobs.progress_interval", "The shortest time between two progress notifications of a job.",
				"Channel jobs_progress.", &jobs_progress_interval, 10, 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS);
	define_time("jobs.worker_idle_timeout", "How long a worker without work stays.",
				"And, after the last worker, the scheduler of a database, a second at least.",
				&jobs_worker_idle_timeout, 0, SECS_PER_DAY_INT, PGC_SIGHUP, GUC_UNIT_S);
	define_time("jobs.history_retention", "How long finished jobs are kept.",
				"At least until their file expires.  -1 keeps them until they are deleted.",
				&jobs_history_retention, -1, INT_MAX, PGC_SIGHUP, GUC_UNIT_S);
	define_time("jobs.retry_delay", "The delay before a failed job's second attempt.",
				"It doubles with each further attempt, up to an hour, and varies by a quarter.",
				&jobs_retry_delay, 0, 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS);
}

/* Nothing leaves the server, and no role's word is enough, before these are set. */
static void
define_delivery_settings(void)
{
	DefineCustomStringVariable("jobs.mail_domains", "Domains that messages about jobs may be mailed to.",
							   "A comma-separated list; * is any domain, *.example.com those below one.  Empty allows none.",
							   &jobs_mail_domains, "", PGC_SIGHUP, 0, jobs_check_mail_domains, NULL, NULL);
	DefineCustomStringVariable("jobs.webhook_hosts", "Hosts that messages about jobs may be posted to.",
							   "A comma-separated list, with :port for other ports than 443; * is any host, *.example.com "
							   "those below one.  Empty allows none.",
							   &jobs_webhook_hosts, "", PGC_SIGHUP, 0, jobs_check_webhook_hosts, NULL, NULL);
	DefineCustomStringVariable("jobs.link_template", "The link in messages about jobs.",
							   "A URL in which {token} is replaced by a token for the job's file and {job} by its id.  "
							   "Empty leaves the link out.",
							   &jobs_link_template, "", PGC_SIGHUP, 0, jobs_check_link_template, NULL, NULL);
	DefineCustomIntVariable("jobs.max_deliveries_per_role",
							"Messages about the jobs of one role within an hour.",
							"0 is no limit.  Meant for ALTER ROLE and ALTER DATABASE.",
							&jobs_max_deliveries_per_role, 1000, 0, INT_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
}

void
jobs_define_settings(void)
{
	define_administrators_settings();
	define_delivery_settings();
	define_time("jobs.default_timeout", "The timeout of a job that is submitted without one.",
				"0 is none.", &jobs_default_timeout, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS);
	define_time("jobs.artifact_ttl", "How long the file of an export is kept.",
				"Where expires_in is left out; at most jobs.max_artifact_ttl.", &jobs_artifact_ttl, 1, INT_MAX, PGC_USERSET, GUC_UNIT_S);
	DefineCustomStringVariable("jobs.tenant",
							   "Tells the users of an application apart that share one role.",
							   "A job keeps the tenant it was submitted under, and a session with a tenant "
							   "sees and controls only that tenant's jobs.",
							   &jobs_tenant, "", PGC_USERSET, 0, check_tenant, NULL, NULL);
	MarkGUCPrefixReserved("jobs");
}
