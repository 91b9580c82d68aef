/*-------------------------------------------------------------------------
 *
 * api.c
 *	  jobs.run and jobs.export: submitting jobs.
 *
 * Everything is checked here and now, as the caller, so that a mistake is an
 * error where it was made and not a failed job later.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "args.h"
#include "common/int.h"
#include "compat.h"
#include "export.h"
#include "filename.h"
#include "fmgr.h"
#include "guc.h"
#include "runsql.h"
#include "submit.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(jobs_run);
PG_FUNCTION_INFO_V1(jobs_export);

static Jsonb *export_options(const char *format, const char *filename, Interval *expires_in,
							 Jsonb *options);
static char *default_filename(const char *table, const char *format, Jsonb *options);

/*
 * jobs.run(command, ...)
 */
Datum
jobs_run(PG_FUNCTION_ARGS)
{
	Job		   *job;

	jobs_check_can_submit("jobs.run()");
	jobs_require_arg(fcinfo, 0, "command", "Pass the SQL to run.");
	job = jobs_new_job(fcinfo, 1, JOB_RUN);
	job->command = jobs_text_arg(fcinfo, 0);
	(void) jobs_parse_command(job->command);
	if (job->title == NULL)
		job->title = jobs_title_from("Run: ", job->command);
	PG_RETURN_INT64(jobs_submit(fcinfo, 1, job));
}

/*
 * jobs.export(query, format, filename, options, expires_in, ...)
 */
Datum
jobs_export(PG_FUNCTION_ARGS)
{
	Job		   *job;
	char	   *format;
	char	   *filename;
	char	   *table;
	Jsonb	   *options;

	jobs_check_can_submit("jobs.export()");
	jobs_require_arg(fcinfo, 0, "query", "Pass the query whose result is to be a file.");
	job = jobs_new_job(fcinfo, 5, JOB_EXPORT);
	job->command = jobs_text_arg(fcinfo, 0);
	format = PG_ARGISNULL(1) ? "csv" : jobs_text_arg(fcinfo, 1);
	filename = jobs_text_arg(fcinfo, 2);
	options = PG_ARGISNULL(3) ? DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")))
		: PG_GETARG_JSONB_P(3);
	table = jobs_export_check(job->command, format, options);
	if (filename == NULL)
		filename = default_filename(table, format, options);
	jobs_filename_check(filename);
	job->options = export_options(format, filename,
								  PG_ARGISNULL(4) ? NULL : PG_GETARG_INTERVAL_P(4), options);
	if (job->title == NULL)
		job->title = jobs_title_from("Export: ", filename);
	PG_RETURN_INT64(jobs_submit(fcinfo, 5, job));
}

/* ------------------------------------------------------------------------
 * Exports
 * ------------------------------------------------------------------------
 */

/* What jobs_export_run in export.h wants to find in the row. */
static Jsonb *
export_options(const char *format, const char *filename, Interval *expires_in, Jsonb *options)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;
	int64		ttl = jobs_artifact_ttl;

	if (expires_in)
	{
		ttl = (expires_in->month * (int64) DAYS_PER_MONTH + expires_in->day) * SECS_PER_DAY +
			expires_in->time / USECS_PER_SEC;
		if (ttl <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("expires_in must be at least one second"),
					 errhint("Leave it out for jobs.artifact_ttl.")));
	}
	ttl = Min(ttl, jobs_max_artifact_ttl);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	jobs_push_text(&state, "format", format);
	jobs_push_text(&state, "filename", filename);
	value.type = jbvString;
	value.val.string.val = "ttl";
	value.val.string.len = 3;
	pushJsonbValue(&state, WJB_KEY, &value);
	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(ttl);
	pushJsonbValue(&state, WJB_VALUE, &value);
	value.type = jbvString;
	value.val.string.val = "options";
	value.val.string.len = 7;
	pushJsonbValue(&state, WJB_KEY, &value);
	JsonbToJsonbValue(options, &value);
	pushJsonbValue(&state, WJB_VALUE, &value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* sales.csv, or export.csv where the query reads more than one table. */
static char *
default_filename(const char *table, const char *format, Jsonb *options)
{
	char	   *base = pstrdup(table ? table : "export");
	JsonbValue	buffer;
	JsonbValue *compression = getKeyJsonValueFromContainer(&options->root, "compression", 11, &buffer);
	bool		gzip = compression && compression->type == jbvString &&
		compression->val.string.len == 4 && memcmp(compression->val.string.val, "gzip", 4) == 0;

	/* A table's name can hold what a file's cannot. */
	for (char *p = base; *p; p++)
	{
		if ((unsigned char) *p < ' ' || strchr("/\\:*?\"<>|\x7f", *p))
			*p = '_';
	}
	return psprintf("%s.%s%s", base, format, gzip ? ".gz" : "");
}
