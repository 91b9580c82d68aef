/*-------------------------------------------------------------------------
 *
 * checker_private.h
 *	  What the parts of the checker share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_CHECKER_PRIVATE_H
#define JOBS_CHECKER_PRIVATE_H

#include "postgres.h"

#include "import/checker.h"
#include "import/columns.h"
#include "import/complaint.h"
#include "import/constraints.h"
#include "import/defaults.h"
#include "import/rules.h"
#include "import/value.h"

/* The most rows of a batch. */
#define CHECKER_BATCH	1024

/* Options of the checker itself; attributes as their numbers. */
typedef struct CheckOptions
{
	List	   *unique;			/* integer list */
	Bitmapset  *sensitive;
	OnConflict	on_conflict;
} CheckOptions;

/* A column that the file fills. */
typedef struct CheckedColumn
{
	int			field;
	AttrNumber	attnum;
	bool		notnull;
	bool		has_default;
	bool		failed;			/* in the row at hand: has no value that a rule can judge */
	OnFail		on_fail;		/* where its type refuses a value */
	bool		on_fail_set;
	ColumnWords words;
	ValueParser parser;
} CheckedColumn;

typedef struct CheckedRule
{
	Rule	   *rule;
	CheckedColumn *column;		/* NULL: the file does not fill it */
	int			order;			/* in which it was given */
	ColumnWords words;
} CheckedRule;

struct Checker
{
	MemoryContext context;
	MemoryContext batch;
	Arena		arena;
	Relation	target;
	Reader	   *reader;
	const Dialect *dialect;
	const CheckerImport *import;	/* NULL: a preview */
	CheckOptions options;
	ValueStyle	style;
	ColumnMap  *map;
	Defaults   *defaults;
	EState	   *estate;			/* of rules */
	char	   *entity;

	CheckedColumn *columns;
	int			ncolumns;
	AttrNumber *attnums;		/* for constraints, by column */
	const char **names;
	int		   *fields;
	Bitmapset  *filled;
	Bitmapset  *unknown;		/* by volatile defaults and triggers, of columns that are not filled */
	Bitmapset  *by_trigger;		/* those of them that a trigger fills in */
	Bitmapset  *stay_unknown;	/* ... that an import does not know either; of a preview, all */
	List	   *absent;			/* of ColumnWords *: required, and nothing fills them */
	List	   *rules;
	CheckedRule *checks;
	int			nchecks;
	List	   *file_issues;
	ConstraintInput input;
	Constraints *constraints;	/* NULL: rows meet them only when they are written */

	/* the batch */
	FileRow    *file;
	CheckedRow	rows[CHECKER_BATCH];
	CheckedRow *order[CHECKER_BATCH];
	int			nrows;
	int			at_row;			/* where reading has got to: a row, and its step */
	int			at_step;
	int			saved_date_order;
};

/* The order that an option names, or -1. */
extern int	jobs_date_order(const char *name);

/* Reads and checks options of columns and conflicts: 22023, and 42501 where they ask for more than the current user may. */
extern void jobs_check_options(Relation target, Jsonb *options, CheckOptions *result);

/*
 * Reads the values of the batch's rows into their slots and judges them by the rules: checker_rows.c.
 */
extern void jobs_check_rows(Checker *checker);

/*
 * Evaluates the volatile defaults of a row of an import, raising what they do, and
 * what follows from them.
 */
extern void jobs_check_finish_defaults(Checker *checker, CheckedRow *row);

#endif							/* JOBS_CHECKER_PRIVATE_H */
