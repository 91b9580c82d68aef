/*-------------------------------------------------------------------------
 *
 * input.h
 *	  The bytes of an upload, or of a value, inflated where they are gzip.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_INPUT_H
#define JOBS_INPUT_H

#include "postgres.h"

#include "jobs.h"

typedef struct Input Input;

/*
 * Of a stored upload, or of bytes that stay where they are until it is closed.  Both
 * live in the current memory context and need no closing where that goes.  Whether the
 * caller may read the upload is not asked here, see upload.h.
 */
extern Input *jobs_input_open(JobId upload);
extern Input *jobs_input_open_bytes(const char *bytes, size_t len);

extern bool jobs_input_is_gzip(Input *input);

/*
 * The first bytes, at most len, inflated; NUL-terminated, in the current memory
 * context.  *at_end tells that there are no more.  Only before anything was read.
 */
extern const char *jobs_input_peek(Input *input, int len, int *got, bool *at_end);

/* The next bytes; 0 at the end.  A gzip that is cut short or broken is 22P04, one that holds too much 54000. */
extern int jobs_input_read(Input *input, char *buffer, int size);

/*
 * The next bytes as they are stored, at most size; 0 at the end.  For who inflates
 * himself: not to be mixed with jobs_input_read.
 */
extern int jobs_input_read_stored(Input *input, char *buffer, int size);

/* How much has been read, of how much: bytes as they are stored. */
extern int64 jobs_input_bytes_read(Input *input);
extern int64 jobs_input_bytes_total(Input *input);

extern void jobs_input_close(Input *input);

/* The bytes that a gzip may hold: a small one can hold more than anybody has time for. */
extern int64 jobs_input_max_inflated(void);

/* What a gzip that is cut short, broken, or holds too much is answered with. */
pg_noreturn extern void jobs_input_gzip_cut(void);
pg_noreturn extern void jobs_input_gzip_broken(void);
pg_noreturn extern void jobs_input_gzip_large(void);

#endif							/* JOBS_INPUT_H */
