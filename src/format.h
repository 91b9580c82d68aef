/*-------------------------------------------------------------------------
 *
 * format.h
 *	  The formats of exports: one struct of functions for each.
 *
 * A format turns rows into the bytes of a file.  It knows nothing of jobs,
 * chunks or processes; bytes go to a sink in pieces of any size.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_FORMAT_H
#define JOBS_FORMAT_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "utils/jsonb.h"

/* Takes bytes of the file. */
typedef void (*JobsSink) (void *arg, const char *data, Size len);

/* What is the same for every format; the first field of each struct of options. */
typedef struct JobsFormatOptions
{
	bool		gzip;			/* the caller compresses, not the format */
} JobsFormatOptions;

/* The file around the rows, for formats that show it. */
typedef struct JobsFormatFile
{
	const char *title;			/* of the job */
	const char *filename;
	int64		rows;			/* -1: not known beforehand */
} JobsFormatFile;

typedef struct JobsFormat
{
	const char *name;			/* also the ending of file names */

	/*
	 * Each row is some bytes that do not depend on those before, so that
	 * several processes can encode rows.  Their part of the file begins with
	 * file NULL and has neither a beginning nor an end.
	 */
	bool		lines;

	/* Its bytes are compressed already; to try again would be a waste. */
	bool		packed;

	/* Reads options; raises 22023.  Result in the current memory context. */
	JobsFormatOptions *(*options) (Jsonb *options);

	/* Raises 22023 or 54000 for columns that do not go with the options; may be NULL. */
	void		(*check_columns) (const JobsFormatOptions *options, TupleDesc desc);

	/* For HTTP, in the current memory context; not of the compressed file. */
	char	   *(*media_type) (const JobsFormatOptions *options);

	/*
	 * A file, from its beginning to its end.  The state lives in the current
	 * memory context, which must last; the sink is called in one that is reset
	 * after the row.
	 */
	void	   *(*begin) (const JobsFormatOptions *options, TupleDesc desc,
						  const JobsFormatFile *file, JobsSink sink, void *arg);
	void		(*row) (void *state, TupleTableSlot *slot);
	void		(*end) (void *state);

	/* Only where rows are lines: gives the sink all that it has not had yet. */
	void		(*flush) (void *state);

	/* Bytes that the state still has; may be NULL where rows are not lines. */
	Size		(*pending) (const void *state);
} JobsFormat;

/* Raises 22023 for a name that is none. */
extern const JobsFormat *jobs_format(const char *name);

extern const JobsFormat jobs_csv_format;
extern const JobsFormat jobs_jsonl_format;
extern const JobsFormat jobs_xlsx_format;
extern const JobsFormat jobs_pdf_format;

#endif							/* JOBS_FORMAT_H */
