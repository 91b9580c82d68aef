/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  The rows of an uploaded file, whatever its form.
 *
 * A reader goes once through the bytes of an upload, inflates them if they are
 * gzip, finds out or is told their dialect, converts them to the database's
 * encoding and hands out the rows.  Memory is flat.  What is wrong with one row is
 * said of that row; the rest of the file stays whole.  The work is done in a thread,
 * see pump.h, unless the file is small.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_READER_H
#define JOBS_READER_H

#include "postgres.h"

#include "import/dialect.h"
#include "import/input.h"
#include "import/rows.h"

typedef struct Reader Reader;

/*
 * Opens the bytes of an upload, or of a value (see input.h, which the reader closes),
 * in the dialect that options say or that is found.  options is that of the job (others
 * than the dialect's are passed over).  Raises what jobs_dialect_find does.  Lives in
 * the current memory context, and needs no closing where that goes.
 */
extern Reader *jobs_reader_open(Input *input, Jsonb *options);
extern const Dialect *jobs_reader_dialect(Reader *reader);

/* The same in a dialect that is known: what an earlier reader has found. */
extern Reader *jobs_reader_reopen(Input *input, const Dialect *dialect);

/*
 * The next rows, at most max, in an array; returns how many, 0 at the end.  They are
 * valid until the next are asked for.
 */
extern int jobs_reader_next_rows(Reader *reader, FileRow **rows, int max);

/* The next row, or NULL at the end. */
extern FileRow *jobs_reader_next(Reader *reader);

/*
 * How much has been read for the rows that were handed out, of how much: bytes of the
 * upload as it is stored.
 */
extern int64 jobs_reader_bytes_read(Reader *reader);
extern int64 jobs_reader_bytes_total(Reader *reader);

extern void jobs_reader_close(Reader *reader);

#endif							/* JOBS_READER_H */
