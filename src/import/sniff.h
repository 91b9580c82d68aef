/*-------------------------------------------------------------------------
 *
 * sniff.h
 *	  What a file holds: its columns, and the types of their values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_SNIFF_H
#define JOBS_SNIFF_H

#include "postgres.h"

#include "import/guess.h"
#include "import/reader.h"

/* A column as it is shown, and as a table of it has it. */
typedef struct SniffColumn
{
	const char *name;			/* the file's, or NULL without a header */
	const char *sql_name;
	TypeGuess	guess;
	char	   *example;		/* or NULL */
} SniffColumn;

/* As many as the dialect has; in the current memory context. */
extern SniffColumn *jobs_sniff_columns(const Dialect *dialect);

/* Takes a row into account, unless its form is broken. */
extern void jobs_sniff_row(SniffColumn *columns, const Dialect *dialect, const FileRow *row);

/*
 * Names for columns of a table, made of the file's: lower case, "_" for spaces, no
 * two the same.  An import finds them again by the file's.  names is NULL without
 * a header.
 */
extern const char **jobs_sql_names(char *const *names, int n);

#endif							/* JOBS_SNIFF_H */
