/*-------------------------------------------------------------------------
 *
 * complaint.h
 *	  What is said of a column's value: codes, words, and what is done about it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_COMPLAINT_H
#define JOBS_COMPLAINT_H

#include "postgres.h"

#include "import/checker.h"
#include "import/value.h"

/* What a rule, or a column, wants where a value is not good. */
typedef enum OnFail
{
	FAIL_SKIP,
	FAIL_NULL,
	FAIL_DEFAULT,
	FAIL_REJECT
} OnFail;

/* A column as messages name it. */
typedef struct ColumnWords
{
	const char *name;			/* as the file has it */
	const char *label;			/* the same at the beginning of a sentence */
	bool		sensitive;		/* no value is shown */
	const char *missing;		/* messages and actions that every row may have */
	const char *without;
	const char *with_default;
} ColumnWords;

/* In the current memory context; name stays the caller's. */
extern void jobs_words_init(ColumnWords *words, const char *name, bool sensitive);

/*
 * What follows are issues in the current memory context.  message of
 * jobs_find_value is the end of a sentence that begins with the column and its
 * value: "is malformed".
 */
extern void jobs_find_value(CheckedRow *row, const ColumnWords *words, const char *value, const char *code,
							OnFail on_fail, const char *message);
extern void jobs_find_missing(CheckedRow *row, const ColumnWords *words, OnFail on_fail);
extern void jobs_find_row(CheckedRow *row, const char *code, const char *message);

/* A value that could not be had; reason: an error's own words, or NULL. */
extern void jobs_find_unread(CheckedRow *row, const ColumnWords *words, const char *value,
								 const ValueParser *parser, ValueResult result, OnFail on_fail,
								 const ErrorData *error);

/* A flaw of the row's form. */
extern void jobs_find_flaw(CheckedRow *row, const FileRow *file, const Dialect *dialect);

#endif							/* JOBS_COMPLAINT_H */
