/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  The rows of an uploaded file, whatever its form.
 *
 * A reader goes once through the bytes of an upload, inflates them if they are
 * gzip, finds out or is told their dialect, converts them to the database's
 * encoding and hands out one row after the other.  Memory is flat.  What is
 * wrong with one row is said of that row; the rest of the file stays whole.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_READER_H
#define JOBS_READER_H

#include "postgres.h"

#include "import/dialect.h"
#include "import/input.h"

/* What is wrong with a row's form. */
typedef enum RowFlaw
{
	ROW_TOO_FEW = 1 << 0,		/* fields; only with ragged => "reject" */
	ROW_TOO_MANY = 1 << 1,
	ROW_BROKEN_QUOTE = 1 << 2,	/* opened and never closed, or text after it */
	ROW_BAD_ENCODING = 1 << 3,	/* bytes that the encoding does not have, or NUL */
	ROW_TOO_LONG = 1 << 4		/* a field that no value can hold */
} RowFlaw;

/* One row of data, valid until the next is asked for. */
typedef struct FileRow
{
	int64		row_no;			/* of data rows, from 1 */
	int64		line_no;		/* physical line on which it starts, from 1 */
	int			nfields;
	char	  **fields;			/* NUL-terminated, in the database's encoding; NULL is null */
	int		   *lengths;
	bool	   *quoted;			/* stood in quotes */
	int			flaws;			/* of RowFlaw */
	const char *flaw_detail;	/* in words, for a message; or NULL */
	int			flaw_field;		/* number of the field at fault from 0, or -1 */
} FileRow;

typedef struct Reader Reader;

/*
 * Opens the bytes of an upload, or of a value (see input.h, which the reader closes),
 * in the dialect that options say or that is found.  options is that of the job (others
 * than the dialect's are passed over).  Raises what jobs_dialect_find does.
 */
extern Reader *jobs_reader_open(Input *input, Jsonb *options);
extern const Dialect *jobs_reader_dialect(Reader *reader);

/* The same in a dialect that is known: what an earlier reader has found. */
extern Reader *jobs_reader_reopen(Input *input, const Dialect *dialect);

/* The next row, or NULL at the end. */
extern FileRow *jobs_reader_next(Reader *reader);

/* How much has been read, of how much: bytes of the upload as it is stored. */
extern int64 jobs_reader_bytes_read(Reader *reader);
extern int64 jobs_reader_bytes_total(Reader *reader);

extern void jobs_reader_close(Reader *reader);

#endif							/* JOBS_READER_H */
