/*-------------------------------------------------------------------------
 *
 * submission.c
 *	  jobs.import_preview, jobs.import and jobs.import_summary.
 *
 * Everything that can be known is checked here and now, as the caller.  A preview
 * finds out the rest about its file; an import runs only what a preview has found.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "args.h"
#include "catalog/pg_type.h"
#include "control.h"
#include "filename.h"
#include "fmgr.h"
#include "funcapi.h"
#include "import/checker.h"
#include "import/dialect.h"
#include "import/import.h"
#include "import/upload.h"
#include "miscadmin.h"
#include "rights.h"
#include "store.h"
#include "submit.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(jobs_import_preview_data);
PG_FUNCTION_INFO_V1(jobs_import_preview_content);
PG_FUNCTION_INFO_V1(jobs_import_preview_upload);
PG_FUNCTION_INFO_V1(jobs_import);
PG_FUNCTION_INFO_V1(jobs_import_summary);

/* The arguments of a preview, before the common ones. */
enum
{
	ARG_TARGET, ARG_SOURCE, ARG_FILENAME, ARG_OPTIONS, ARG_COMMON
};

/* The arguments of an import. */
#define IMPORT_COMMON	2

static Job *new_preview(FunctionCallInfo fcinfo, const char *source, const char *hint);
static Datum submit_value(FunctionCallInfo fcinfo, Job *job, const char *bytes, size_t len);
static JobId submit_preview(FunctionCallInfo fcinfo, Job *job, JobId upload, const char *filename);
static Jsonb *options_arg(FunctionCallInfo fcinfo);
static void check_owner(const Job *preview);
static ArrayType *settings_for(ArrayType *previews, ArrayType *callers);
static void add_settings(ArrayBuildState **state, ArrayType *settings, bool custom);
static void check_importable(const Job *preview);
static void check_not_imported(const Job *preview);

/* ------------------------------------------------------------------------
 * Previews
 * ------------------------------------------------------------------------
 */

/*
 * jobs.import_preview(target regclass, data bytea, ...)
 */
Datum
jobs_import_preview_data(PG_FUNCTION_ARGS)
{
	Job		   *job = new_preview(fcinfo, "data", "Pass the bytes of the file, as they are or compressed with gzip.");
	bytea	   *data = PG_GETARG_BYTEA_PP(ARG_SOURCE);

	return submit_value(fcinfo, job, VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data));
}

/*
 * jobs.import_preview(target regclass, content text, ...)
 */
Datum
jobs_import_preview_content(PG_FUNCTION_ARGS)
{
	Job		   *job = new_preview(fcinfo, "content", "Pass the text of the file.");
	text	   *content = PG_GETARG_TEXT_PP(ARG_SOURCE);

	return submit_value(fcinfo, job, VARDATA_ANY(content), VARSIZE_ANY_EXHDR(content));
}

/*
 * jobs.import_preview(target regclass, upload bigint, ...)
 */
Datum
jobs_import_preview_upload(PG_FUNCTION_ARGS)
{
	Job		   *job = new_preview(fcinfo, "upload", "Pass the id that jobs.upload, or a function like it, has returned.");
	char	   *filename = jobs_text_arg(fcinfo, ARG_FILENAME);
	Upload	   *upload = jobs_upload_lock_controlled(PG_GETARG_INT64(ARG_SOURCE));

	PG_RETURN_INT64(submit_preview(fcinfo, job, upload->id, filename ? filename : upload->filename));
}

/* The bytes become an upload that nobody else knows of. */
static Datum
submit_value(FunctionCallInfo fcinfo, Job *job, const char *bytes, size_t len)
{
	char	   *filename = jobs_text_arg(fcinfo, ARG_FILENAME);
	JobId		upload = jobs_upload_from_bytes(bytes, len, filename);
	JobId		id;

	(void) jobs_store_find_upload(upload, true);
	id = submit_preview(fcinfo, job, upload, filename);
	/* Another job with the same unique key has a file of its own. */
	if (id != job->id)
		jobs_store_remove_upload(upload);
	PG_RETURN_INT64(id);
}

static Job *
new_preview(FunctionCallInfo fcinfo, const char *source, const char *hint)
{
	Job		   *job;
	Relation	target;

	jobs_check_can_submit("jobs.import_preview()");
	jobs_require_arg(fcinfo, ARG_TARGET, "target", "Pass the name of the table that the file goes to.");
	jobs_require_arg(fcinfo, ARG_SOURCE, source, hint);
	job = jobs_new_job(fcinfo, ARG_COMMON, JOB_IMPORT_PREVIEW);
	if (!PG_ARGISNULL(ARG_FILENAME))
		jobs_filename_check(jobs_text_arg(fcinfo, ARG_FILENAME));
	job->options = options_arg(fcinfo);
	target = jobs_target_open(PG_GETARG_OID(ARG_TARGET), NULL, AccessShareLock);
	jobs_preview_check_options(job->options);
	jobs_dialect_check_options(job->options);
	jobs_checker_check(target, job->options);
	job->command = jobs_target_name(RelationGetRelid(target));
	relation_close(target, NoLock);
	return job;
}

static Jsonb *
options_arg(FunctionCallInfo fcinfo)
{
	Jsonb	   *options = PG_ARGISNULL(ARG_OPTIONS) ?
		DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"))) : PG_GETARG_JSONB_P(ARG_OPTIONS);

	return options;
}

static JobId
submit_preview(FunctionCallInfo fcinfo, Job *job, JobId upload, const char *filename)
{
	JsonbParseState *state = NULL;
	JobId		id;

	if (job->title == NULL)
		job->title = jobs_title_from("Import preview: ", filename ? filename : job->command);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	jobs_push_int(&state, "target", PG_GETARG_OID(ARG_TARGET));
	jobs_push_int(&state, "upload", upload);
	if (filename)
		jobs_push_text(&state, "filename", filename);
	jobs_push_jsonb(&state, "options", job->options);
	job->options = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	id = jobs_submit(fcinfo, ARG_COMMON, job);
	if (id == job->id)
		jobs_upload_use(upload, id);
	return id;
}

/* ------------------------------------------------------------------------
 * Imports
 * ------------------------------------------------------------------------
 */

/*
 * jobs.import(preview bigint, include_warnings boolean, ...)
 */
Datum
jobs_import(PG_FUNCTION_ARGS)
{
	JobId		id;
	Job		   *preview;
	Job		   *job;
	PreviewSpec *spec;
	JsonbParseState *state = NULL;
	JobId		import;

	jobs_check_can_submit("jobs.import()");
	jobs_require_arg(fcinfo, 0, "preview", "Pass the id that jobs.import_preview has returned.");
	id = PG_GETARG_INT64(0);
	preview = jobs_lock_controlled_final(id, "imported", "Wait until it has ended: jobs.wait does.");
	check_importable(preview);
	check_owner(preview);
	spec = jobs_preview_spec(preview);
	relation_close(jobs_import_open_target(preview, AccessShareLock), NoLock);

	job = jobs_new_job(fcinfo, IMPORT_COMMON, JOB_IMPORT);
	job->command = preview->command;
	job->settings = settings_for(preview->settings, job->settings);
	if (job->title == NULL)
		job->title = jobs_title_from("Import: ", spec->filename ? spec->filename : preview->command);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	jobs_push_int(&state, "preview", id);
	jobs_push_int(&state, "target", spec->target);
	jobs_push_bool(&state, "include_warnings", PG_ARGISNULL(1) || PG_GETARG_BOOL(1));
	job->options = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	if (job->unique_key)
	{
		/* Asking again for the same import is no second import. */
		Job		   *same;

		jobs_store_lock_key(job->owner, job->tenant, job->unique_key);
		same = jobs_store_find_key(job->owner, job->tenant, job->unique_key);
		if (same)
			PG_RETURN_INT64(same->id);
	}
	check_not_imported(preview);
	import = jobs_submit(fcinfo, IMPORT_COMMON, job);
	preview->result = jobs_with_int(preview->result, "import", import);
	jobs_store_update_final(preview, preview->state);
	PG_RETURN_INT64(import);
}

/* Its rules and policies would be asked as somebody else, and its SQL run with his rights. */
static void
check_owner(const Job *preview)
{
	char	   *owner = GetUserNameFromId(preview->owner, true);

	if (preview->owner != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("preview %lld was made by role \"%s\"", (long long) preview->id,
						owner ? owner : preview->owner_name),
				 errdetail("What it has found, and its rules, hold for that role."),
				 errhint("SET ROLE to it first, or preview the file again as \"%s\".",
						 GetUserNameFromId(GetUserId(), false))));
}

/*
 * What "01.02.03" means must not have changed since the preview.  Who it is that asks, as
 * applications say by settings of their own, is for the caller to say.
 */
static ArrayType *
settings_for(ArrayType *previews, ArrayType *callers)
{
	ArrayBuildState *state = NULL;

	add_settings(&state, previews, false);
	add_settings(&state, callers, true);
	return state ? DatumGetArrayTypeP(makeArrayResult(state, CurrentMemoryContext)) : NULL;
}

/* Those whose names have a point, or the others, each written name=value. */
static void
add_settings(ArrayBuildState **state, ArrayType *settings, bool custom)
{
	Datum	   *elements;
	int			n = 0;

	if (settings)
		deconstruct_array(settings, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *setting = TextDatumGetCString(elements[i]);
		char	   *point = strchr(setting, '.');

		if ((point != NULL && point < strchr(setting, '=')) == custom)
			*state = accumArrayResult(*state, elements[i], false, TEXTOID, CurrentMemoryContext);
	}
}

static void
check_importable(const Job *preview)
{
	if (preview->kind != JOB_IMPORT_PREVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld is no import preview", (long long) preview->id),
				 errhint("Call jobs.import_preview with the file first, and pass the id that it returns.")));
	if (preview->state != JOB_SUCCEEDED || preview->result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("preview %lld has %s and cannot be imported", (long long) preview->id,
						preview->state == JOB_CANCELLED ? "been cancelled" : "failed"),
				 errhint("jobs.retry runs the preview again.")));
	if (jobs_result_bool(preview->result, "stopped_early"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("preview %lld has found too many errors and was stopped early", (long long) preview->id),
				 errhint("Mend the file, or preview it again with higher max_errors or max_error_ratio.")));
	if (jobs_result_bool(preview->result, "rejected"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("preview %lld has found rows for which the whole file is refused", (long long) preview->id),
				 errhint("The view jobs.import_issue names them; mend the file and preview it again.")));
}

/* One that has failed or was cancelled has left nothing. */
static void
check_not_imported(const Job *preview)
{
	JobId		other = jobs_result_int(preview->result, "import");
	bool		own;
	Job		   *import = other >= 0 ? jobs_store_find(other, &own) : NULL;

	if (other < 0 || (import && (import->state == JOB_FAILED || import->state == JOB_CANCELLED)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 import && !job_state_is_final(import->state) ?
			 errmsg("preview %lld is being imported by job %lld", (long long) preview->id, (long long) other) :
			 errmsg("preview %lld has been imported by job %lld", (long long) preview->id, (long long) other),
			 errhint("To import the file once more, preview it again: that shows what it does to the rows of today.")));
}

void
jobs_import_check_preview(const Job *import, const Job *preview)
{
	JobId		id = jobs_import_preview_id(import);

	if (preview == NULL || preview->state != JOB_SUCCEEDED || preview->result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("preview %lld is not there any more", (long long) id),
				 errhint("Preview the file again.")));
	if (jobs_result_int(preview->result, "import") != import->id)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("preview %lld is imported by job %lld", (long long) id,
						(long long) jobs_result_int(preview->result, "import")),
				 errhint("To import the file once more, preview it again.")));
}

void
jobs_import_forget(const Job *import)
{
	Job		   *preview = jobs_store_lock_final(jobs_import_preview_id(import), JOBS_WAIT_BLOCK);

	if (preview && preview->result && jobs_result_int(preview->result, "import") == import->id)
	{
		preview->result = jobs_without(preview->result, "import");
		jobs_store_update_final(preview, preview->state);
	}
}

Relation
jobs_import_open_target(const Job *preview, LOCKMODE mode)
{
	PreviewSpec *spec = jobs_preview_spec(preview);
	Relation	target = jobs_target_open(spec->target, preview->command, mode);
	char	   *version = jobs_result_text(preview->result, "table_version");

	if (version == NULL || strcmp(version, jobs_target_version(target)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s was altered after preview %lld", preview->command, (long long) preview->id),
				 errhint("Preview the file again.")));
	jobs_checker_check(target, spec->options);
	return target;
}

bool
jobs_preview_in_use(const Job *preview)
{
	JobId		id;
	bool		own;
	Job		   *import;

	if (preview->kind != JOB_IMPORT_PREVIEW || (id = jobs_result_int(preview->result, "import")) < 0)
		return false;
	import = jobs_store_find(id, &own);
	return import && !job_state_is_final(import->state);
}

/* ------------------------------------------------------------------------
 * Summary
 * ------------------------------------------------------------------------
 */

/*
 * jobs.import_summary(job bigint): of a preview, or of that of an import.
 */
Datum
jobs_import_summary(PG_FUNCTION_ARGS)
{
	static const char *const keys[] = {
		"rows_parsed", "ready", "warnings", "errors", "to_insert", "to_update", "to_skip"
	};
	JobId		id = jobs_job_arg(fcinfo);
	Job		   *preview = jobs_find_preview(id);
	TupleDesc	desc;
	Datum		values[lengthof(keys)];
	bool		nulls[lengthof(keys)] = {false};

	desc = jobs_result_desc(fcinfo, lengthof(keys));
	for (int i = 0; i < lengthof(keys); i++)
		values[i] = Int64GetDatum(jobs_result_int(preview->result, keys[i]));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

Job *
jobs_find_preview(JobId id)
{
	bool		own;
	Job		   *job = jobs_store_find(id, &own);

	if (job == NULL || !jobs_may_see(job->owner, job->tenant))
		jobs_no_such_job(id);
	if (job->kind == JOB_IMPORT)
	{
		JobId		preview = jobs_import_preview_id(job);

		job = jobs_store_find(preview, &own);
		if (job == NULL || !jobs_may_see(job->owner, job->tenant))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("preview %lld, which job %lld has imported, is not kept any more",
							(long long) preview, (long long) id),
					 errhint("jobs.history_retention says for how long ended jobs are kept.")));
	}
	if (job->kind != JOB_IMPORT_PREVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld is no import", (long long) id),
				 errhint("Pass the id that jobs.import_preview or jobs.import has returned.")));
	if (job->state != JOB_SUCCEEDED || job->result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("preview %lld has not succeeded", (long long) job->id),
				 job_state_is_final(job->state) ? errhint("jobs.retry runs it again.") :
				 errhint("It has not ended yet; jobs.wait waits for that.")));
	return job;
}
