/*-------------------------------------------------------------------------
 *
 * csv.h
 *	  CSV the way COPY (query) TO writes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_CSV_H
#define JOBS_CSV_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct JobsCsvOptions
{
	char		delimiter;
	char		quote;
	char		escape;
	char	   *null;			/* what stands for NULL */
	bool		header;
	bool		force_quote_all;
	List	   *force_quote;	/* of char *, names of columns */
	int			encoding;		/* the database's unless given */
	bool		bom;
	bool		crlf;
	bool		gzip;			/* for the caller; the encoder does not compress */
	bool		escape_formulas;
} JobsCsvOptions;

/*
 * Reads the options of an export; what is missing has COPY's default.  Raises
 * 22023.  Result in the current memory context.
 */
extern JobsCsvOptions *jobs_csv_options(Jsonb *options);

/* Raises 22023 unless the columns that force_quote names are there, once each. */
extern void jobs_csv_check_columns(const JobsCsvOptions *options, TupleDesc desc);

/* Takes the bytes of the file in pieces of any size. */
typedef void (*JobsCsvSink) (void *arg, const char *data, Size len);

typedef struct JobsCsv JobsCsv;

/*
 * Begins a file with the byte order mark and the header line, where wanted.
 * Lives in the current memory context, which must last until the end.
 */
extern JobsCsv *jobs_csv_begin(const JobsCsvOptions *options, TupleDesc desc, JobsCsvSink sink,
							   void *arg);

/*
 * Adds a row.  Bytes collect in a buffer of fixed size, and what is longer goes
 * to the sink directly, so a row may be larger than any buffer could be.  The
 * sink is called in a memory context that is reset after the row.
 */
extern void jobs_csv_row(JobsCsv *csv, TupleTableSlot *slot);

/* Gives the rest to the sink. */
extern void jobs_csv_end(JobsCsv *csv);

/* Bytes in the buffer that the sink has not had yet. */
extern Size jobs_csv_pending(const JobsCsv *csv);

#endif							/* JOBS_CSV_H */
