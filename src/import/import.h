/*-------------------------------------------------------------------------
 *
 * import.h
 *	  Previews and imports of files, from their submission to their end.
 *
 * What a job of each kind has in its options:
 *
 *	 import_preview	{"target": OID, "upload": id, "filename": text, "options": {...}}
 *	 import			{"preview": id, "target": OID, "include_warnings": boolean}
 *
 * and in its result (public, so that only is in it what a user may read):
 *
 *	 import_preview	{"rows_parsed", "ready", "warnings", "errors", "to_insert",
 *					"to_update", "to_skip", "dialect", "columns", "issues", ...,
 *					"table_version": text, and "import": id once one was submitted}
 *	 import			{"preview", "inserted", "updated", "skipped", "fell_out",
 *					"issues", and "undone_at" once it has been taken back}
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_IMPORT_H
#define JOBS_IMPORT_H

#include "import/reader.h"
#include "jobs.h"

#include "utils/rel.h"

/*
 * The job's work, in its worker's transaction as the owner: read only and
 * writing.  Set job->result and the counts.
 */
extern void jobs_preview_run(Job *job);
extern void jobs_import_run(Job *job);

/* What a preview was submitted with; filename may be NULL. */
typedef struct PreviewSpec
{
	Oid			target;
	JobId		upload;
	char	   *filename;
	Jsonb	   *options;		/* never NULL */
} PreviewSpec;

/* Result in the current memory context.  Raises XX000 for a row that nobody has written so. */
extern PreviewSpec *jobs_preview_spec(const Job *preview);

/*
 * What jobs.rejects puts before its two columns' values in a file without a header, so
 * that they are known when the mended file comes back; whether a row has them, and the
 * options with which they are passed over.
 */
#define COMEBACK_ROW_NO	"row_no="
#define COMEBACK_REASON	"reason="

extern bool jobs_is_comeback(const FileRow *row);
extern Jsonb *jobs_comeback_options(const PreviewSpec *spec, const Dialect *dialect);

/*
 * Checks the names of a preview's options, and the values of max_errors and
 * max_error_ratio, which the next gives; -1 where one is not there.  Raises 22023.
 */
extern void jobs_preview_check_options(Jsonb *options);
extern double jobs_preview_limit(Jsonb *options, const char *name);

/* The preview of an import. */
extern JobId jobs_import_preview_id(const Job *import);
extern bool jobs_import_includes_warnings(const Job *import);

/*
 * Refuses to run an import whose preview has gone (then it is NULL) or is another
 * import's: 55000.  A failed import may be retried after another has taken its place.
 */
extern void jobs_import_check_preview(const Job *import, const Job *preview);

/* What was imported has been taken back, and may be imported again. */
extern void jobs_import_forget(const Job *import);

/*
 * Whether a preview, a final job, has an import that is not final and needs its
 * file and verdicts.
 */
extern bool jobs_preview_in_use(const Job *preview);

/*
 * Whether the error of a preview or an import may show a value of a column that is
 * said to be sensitive: triggers and rules make up messages of their own.
 */
extern bool jobs_import_is_sensitive(const Job *job);

/*
 * The preview that a job is, or that an import has imported.  Raises 42704 where
 * the caller may not see it, 55000 where it is none, has gone or has not succeeded.
 */
extern Job *jobs_find_preview(JobId id);

/*
 * Opens a preview's target with a lock.  Raises 55000 where it was altered after the
 * preview, and what jobs_target_open and jobs_checker_check do.
 */
extern Relation jobs_import_open_target(const Job *preview, LOCKMODE mode);

/*
 * Fields of a result; -1, 0, false or NULL where it has none.  The value of the
 * last is in the current memory context.
 */
extern int64 jobs_result_int(Jsonb *result, const char *key);
extern bool jobs_result_bool(Jsonb *result, const char *key);
extern char *jobs_result_text(Jsonb *result, const char *key);
extern Jsonb *jobs_result_object(Jsonb *result, const char *key);

/* Adds "key": value to an object that is being built; text may be NULL, then null. */
extern void jobs_push_int(JsonbParseState **state, const char *key, int64 value);
extern void jobs_push_bool(JsonbParseState **state, const char *key, bool value);
extern void jobs_push_jsonb(JsonbParseState **state, const char *key, Jsonb *value);

/* A copy of an object with one more field. */
extern Jsonb *jobs_with_int(Jsonb *object, const char *key, int64 value);
extern Jsonb *jobs_with_text(Jsonb *object, const char *key, const char *value);

/* ... and with one less. */
extern Jsonb *jobs_without(Jsonb *object, const char *key);

/* ------------------------------------------------------------------------
 * The target
 * ------------------------------------------------------------------------
 */

/*
 * Opens it with a lock.  Raises 42P01 where it has gone, with the name that it had,
 * which may be NULL.
 */
extern Relation jobs_target_open(Oid target, const char *name, LOCKMODE mode);

/* Changes whenever its columns, their types or its partitions do. */
extern char *jobs_target_version(Relation target);

/*
 * Whether it makes a column's values itself, so that nobody may give any: a generated
 * column, or one of a view through which no values go.
 */
extern bool jobs_target_generates(Relation target, AttrNumber attnum);

/* "public.contacts", quoted as needed. */
extern char *jobs_target_name(Oid target);

#endif							/* JOBS_IMPORT_H */
