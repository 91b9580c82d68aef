/*-------------------------------------------------------------------------
 *
 * checker.h
 *	  What will happen to each row of a file, and why.
 *
 * Preview and import are one pipeline in two modes: both take their rows from a
 * checker, so that the preview cannot promise what the import does not do.
 * Runs as the job's owner; user code (input functions, defaults, CHECK
 * expressions, domains, rules) runs in here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_CHECKER_H
#define JOBS_CHECKER_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "import/reader.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

typedef enum RowAction
{
	ROW_INSERT,
	ROW_UPDATE,					/* of the existing row whose key it has */
	ROW_SKIP,
	ROW_REJECT					/* on_fail => "reject": the whole file is refused */
} RowAction;

typedef enum Severity
{
	SEVERITY_NONE,
	SEVERITY_WARNING,
	SEVERITY_ERROR
} Severity;

typedef struct Issue
{
	Severity	severity;
	const char *code;			/* stable word: malformed, duplicate_existing, ... */
	const char *column;			/* as the file names it, or NULL for the row */
	const char *value;			/* NULL for a sensitive column */
	const char *message;		/* Email "bob@" is malformed */
	const char *action;			/* will skip */
} Issue;

/* A row with its verdict; valid until the next batch is asked for. */
typedef struct CheckedRow
{
	int64		row_no;
	int64		line_no;
	RowAction	planned;		/* an import: what its preview has said; one to be skipped is not judged */
	RowAction	action;
	Severity	severity;		/* of its worst issue */
	List	   *issues;			/* of Issue * */
	bool		readable;		/* all values could be had: slot is filled */
	TupleTableSlot *slot;		/* the target's row as it would be inserted, defaults filled in */

	/*
	 * Attribute numbers whose values only the import will know, since a volatile
	 * default gives them: null in the slot of a preview.  NULL: none.
	 */
	const Bitmapset *unknown;
	ItemPointerData existing;	/* of the row that is met, where a key of it is taken */
	Oid			existing_rel;	/* ... and its table: a partition, maybe */
	char	  **fields;			/* as read, for rejects */
	int			nfields;
} CheckedRow;

/*
 * Adds an issue to a row, and makes its severity and action the worse one.  The
 * struct is copied into the current memory context, its strings are not.
 */
extern void jobs_issue_add(CheckedRow *row, const Issue *issue, RowAction action);

/*
 * Refuses a target that takes no rows, by its kind or by the current user's rights,
 * and options of columns and rules that are wrong for it: 22023, 42501, 42809, 0A000.
 * What submission calls; opening a checker does the same again.
 */
extern void jobs_checker_check(Relation target, Jsonb *options);

typedef struct Checker Checker;

/*
 * What tells an import from a preview.  It is asked once for each row, in the file's
 * order, what is planned for it: one that is to be skipped gets no values and takes no key.
 */
typedef struct CheckerImport
{
	RowAction	(*planned) (void *arg);
	void	   *arg;
	bool		defaults;		/* volatile defaults are evaluated here, not by the statement that inserts rows */
} CheckerImport;

/*
 * options: those of the job; import: NULL for a preview.  Everything lives in a child of the current memory context until it is
 * closed.  Raises what jobs_checker_check does, and 42703 or 42701 where the file's
 * columns do not fit the target's.  Needs an active snapshot, RowExclusiveLock (or
 * AccessShareLock for a preview) on target, and the job's owner as the current user.
 */
extern Checker *jobs_checker_open(Relation target, Reader *reader, Jsonb *options, const CheckerImport *import);

/* The target's columns that the file fills, as attribute numbers. */
extern const AttrNumber *jobs_checker_columns(Checker *checker, int *n);

/*
 * What became of the file's columns, for a preview's result: an object with arrays
 * "columns" (pairs of "file" and "target"), "left_over", "missing", "suggestions", and
 * "generated" where any were given.
 */
extern Jsonb *jobs_checker_columns_jsonb(Checker *checker);

/* Issues of the whole file: of Issue *, said once for a column. */
extern List *jobs_checker_file_issues(Checker *checker);

/* The word for one row of the target in messages: "contact" for a table contacts. */
extern const char *jobs_checker_entity(Checker *checker);

/* The next rows in the file's order; 0 at the end. */
extern int jobs_checker_next(Checker *checker, CheckedRow **rows);

extern void jobs_checker_close(Checker *checker);

#endif							/* JOBS_CHECKER_H */
