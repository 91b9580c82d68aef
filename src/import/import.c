/*-------------------------------------------------------------------------
 *
 * import.c
 *	  An import: the rows that a preview has found good go into the target.
 *
 * The file is read once more, by the same checker, and the preview's verdicts say
 * which rows are meant.  A row that cannot go in any more, or not in that way, because
 * the world has changed since, falls out and is told of; none that the preview left
 * out goes in.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "guc.h"
#include "import/checker.h"
#include "import/dialect_options.h"
#include "import/fallout.h"
#include "import/import.h"
#include "import/input.h"
#include "import/insert.h"
#include "import/reader.h"
#include "import/undo.h"
#include "import/update.h"
#include "import/verdict.h"
#include "miscadmin.h"
#include "progress.h"
#include "store.h"
#include "submit.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

typedef struct Import
{
	Job		   *job;
	Job		   *preview;
	PreviewSpec *spec;
	bool		warnings;		/* rows with warnings go in, too */
	Relation	target;
	Reader	   *reader;
	Checker    *checker;
	const AttrNumber *columns;
	int			ncolumns;
	VerdictReader *verdicts;
	CheckerImport plan;
	Fallout    *fallout;
	UndoRecord *undo;
	Inserter   *inserter;		/* one of these two */
	ViewInserter *view_inserter;
	Updater    *updater;		/* or NULL */
	int64		rows;
	int64		inserted;
	int64		updated;
} Import;

static Job *find_preview(const Job *job);
static void open_target(Import *im);
static RowAction planned(void *arg);
static void import_rows(Import *im);
static void import_row(Import *im, const CheckedRow *row);
static void refused(void *arg, RowId id, const ErrorData *error);
static void close_target(Import *im);
static void finish(Import *im);
static Jsonb *updated_columns(Import *im);

void
jobs_import_run(Job *job)
{
	Import		im = {.job = job, .warnings = jobs_import_includes_warnings(job)};
	Snapshot	snapshot;

	jobs_progress_begin("reading", -1);
	PushActiveSnapshot(GetTransactionSnapshot());
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	im.preview = find_preview(job);
	im.spec = jobs_preview_spec(im.preview);
	im.target = jobs_import_open_target(im.preview, RowExclusiveLock);
	im.reader = jobs_reader_reopen(jobs_input_open(im.spec->upload),
								   jobs_dialect_from_jsonb(jobs_result_object(im.preview->result, "dialect")));
	im.verdicts = jobs_verdicts_open(im.preview->id, VERDICTS_OF_ROWS, snapshot);
	im.plan = (CheckerImport) {.planned = planned,.arg = &im,.defaults = jobs_inserter_fits(im.target)};
	im.checker = jobs_checker_open(im.target, im.reader,
								   jobs_comeback_options(im.spec, jobs_reader_dialect(im.reader)), &im.plan);
	im.columns = jobs_checker_columns(im.checker, &im.ncolumns);
	im.fallout = jobs_fallout_begin(job->id, jobs_checker_entity(im.checker),
									jobs_dialect_key(im.spec->options, "sensitive") != NULL);
	open_target(&im);
	jobs_progress_phase("importing");
	import_rows(&im);
	close_target(&im);
	finish(&im);
	UnregisterSnapshot(snapshot);
	PopActiveSnapshot();
}

static Job *
find_preview(const Job *job)
{
	bool		own;
	Job		   *preview = jobs_store_find(jobs_import_preview_id(job), &own);

	jobs_import_check_preview(job, preview);
	return preview;
}

static void
open_target(Import *im)
{
	char		relkind = im->target->rd_rel->relkind;

	im->undo = relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE ? jobs_undo_begin(im->job->id) : NULL;
	if (im->plan.defaults)
		im->inserter = jobs_inserter_open(im->target, im->undo, refused, im);
	else
		im->view_inserter = jobs_view_inserter_open(im->target, im->columns, im->ncolumns, im->undo, refused, im);
	if (jobs_result_int(im->preview->result, "to_update") > 0)
		im->updater = jobs_updater_open(im->target, im->columns, im->ncolumns, im->undo, refused, im);
}

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

/* None that the preview left out goes in, though it would be in order by now. */
static RowAction
planned(void *arg)
{
	Import	   *im = arg;
	const Verdict *verdict = jobs_verdicts_next(im->verdicts);

	return verdict->severity != SEVERITY_NONE && !im->warnings ? ROW_SKIP : verdict->action;
}

static void
import_rows(Import *im)
{
	int64		wanted = jobs_result_int(im->preview->result, "rows_parsed");
	int64		total = jobs_reader_bytes_total(im->reader);
	CheckedRow *rows;
	int			n;

	while ((n = jobs_checker_next(im->checker, &rows)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
			import_row(im, &rows[i]);
		im->rows += n;
		if (total > 0)
			jobs_progress_part((double) jobs_reader_bytes_read(im->reader) / total, im->rows,
							   jobs_reader_bytes_read(im->reader));
	}
	if (im->rows != wanted)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the file of preview %lld has %lld rows instead of %lld", (long long) im->preview->id,
						(long long) im->rows, (long long) wanted),
				 errhint("Upload the file again.")));
}

static void
import_row(Import *im, const CheckedRow *row)
{
	RowId		id = {row->row_no, row->line_no};

	if (row->planned >= ROW_SKIP)
		return;
	if (row->action >= ROW_SKIP)
		jobs_fallout_row(im->fallout, row);
	else if (row->planned == ROW_UPDATE)
	{
		if (row->action != ROW_UPDATE || !jobs_updater_add(im->updater, id, row))
			jobs_fallout_gone(im->fallout, id);
	}
	else if (row->action == ROW_UPDATE)
		jobs_fallout_duplicate(im->fallout, id);
	else if (im->inserter)
		jobs_inserter_add(im->inserter, id, row->slot);
	else
		jobs_view_inserter_add(im->view_inserter, id, row->slot);
}

static void
refused(void *arg, RowId id, const ErrorData *error)
{
	Import	   *im = arg;

	jobs_fallout_error(im->fallout, id, error);
}

/* ------------------------------------------------------------------------
 * The end
 * ------------------------------------------------------------------------
 */

static void
close_target(Import *im)
{
	im->inserted = im->inserter ? jobs_inserter_close(im->inserter) : jobs_view_inserter_close(im->view_inserter);
	if (im->updater)
	{
		/* What the rows were inserted by has ended. */
		CommandCounterIncrement();
		im->updated = jobs_updater_close(im->updater);
	}
	if (im->undo)
		jobs_undo_end(im->undo);
}

static void
finish(Import *im)
{
	Job		   *job = im->job;
	JsonbParseState *state = NULL;
	int64		skipped = im->rows - im->inserted - im->updated;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	jobs_push_int(&state, "preview", im->preview->id);
	jobs_push_text(&state, "table", job->command);
	jobs_push_int(&state, "inserted", im->inserted);
	jobs_push_int(&state, "updated", im->updated);
	jobs_push_int(&state, "skipped", skipped);
	jobs_push_int(&state, "fell_out", jobs_fallout_count(im->fallout));
	jobs_push_bool(&state, "undoable", im->undo != NULL);
	if (im->updated > 0)
		jobs_push_jsonb(&state, "updated_columns", updated_columns(im));
	jobs_fallout_end(im->fallout, &state);
	job->result = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	job->processed = job->total = im->rows;
	job->succeeded = im->inserted + im->updated;
	job->skipped = skipped;
	job->failed = 0;
	jobs_checker_close(im->checker);
	jobs_reader_close(im->reader);
	relation_close(im->target, NoLock);
}

/* For jobs.undo_import, which has their old values. */
static Jsonb *
updated_columns(Import *im)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;
	int			n;
	const AttrNumber *columns = jobs_updater_columns(im->updater, &n);

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		value.type = jbvString;
		value.val.string.val = NameStr(TupleDescAttr(RelationGetDescr(im->target), columns[i] - 1)->attname);
		value.val.string.len = strlen(value.val.string.val);
		pushJsonbValue(&state, WJB_ELEM, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}
