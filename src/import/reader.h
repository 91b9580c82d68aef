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

#include "jobs.h"

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

/* How a file is written; said by options or found by looking at it. */
typedef struct Dialect
{
	char		delimiter;
	char		quote;			/* '\0': none */
	char		escape;			/* quote itself where doubled */
	int			encoding;		/* pg_enc */
	const char *encoding_name;	/* as shown: also UTF-16LE, which pg_enc has not */
	bool		has_header;
	int			header_rows;
	int			skip_lines;		/* preamble above the header */
	const char *null;			/* text of a null; "" by default */
	char		comment;		/* '\0': none */
	bool		trim;
	bool		pad;			/* ragged => "pad" */
	char		decimal;		/* '.' or ',' */
	const char *date_order;		/* "YMD", "DMY", "MDY", or NULL: DateStyle's */
	const char *newline;		/* "LF", "CRLF", "CR", "mixed" */
	bool		gzip;
	bool		bom;
	int			ncolumns;
	char	  **columns;		/* names of the header, or NULL without one */
} Dialect;

typedef struct Reader Reader;

/*
 * Opens the bytes of an upload.  options is the options of the job (others than
 * the dialect's are passed over).  Raises 22023 for a wrong option, 22P04 with a
 * hint for what is no text at all (an xlsx, a PDF, a cut gzip, an empty file).
 */
extern Reader *jobs_reader_open(JobId upload, Jsonb *options);
extern const Dialect *jobs_reader_dialect(Reader *reader);

/* The same bytes again in the form that an earlier reader has found: what jobs_dialect_to_jsonb gave. */
extern Reader *jobs_reader_reopen(JobId upload, Jsonb *dialect);
extern Jsonb *jobs_dialect_to_jsonb(const Dialect *dialect);

/* The next row, or NULL at the end. */
extern FileRow *jobs_reader_next(Reader *reader);

/* How much has been read, of how much: bytes of the upload as it is stored. */
extern int64 jobs_reader_bytes_read(Reader *reader);
extern int64 jobs_reader_bytes_total(Reader *reader);

extern void jobs_reader_close(Reader *reader);

#endif							/* JOBS_READER_H */
