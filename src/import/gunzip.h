/*-------------------------------------------------------------------------
 *
 * gunzip.h
 *	  Inflating gzip, of one member or several.
 *
 * Runs in a thread: knows nothing of the server, and builds with zlib alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_GUNZIP_H
#define JOBS_GUNZIP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Gunzip Gunzip;

/* The first bytes are those of a gzip. */
extern bool gunzip_is_gzip(const char *bytes, size_t len);

/* NULL where memory is out. */
extern Gunzip *gunzip_begin(void);
extern void gunzip_end(Gunzip *gunzip);

/*
 * Takes some of the input, moving on in it, and writes to out what it holds; *n is
 * how much.  False where the bytes are broken.  Zeros behind the last member are
 * passed over.
 */
extern bool gunzip_some(Gunzip *gunzip, const char **in, size_t *in_len, char *out, size_t size, size_t *n);

/* Whether the input may end here. */
extern bool gunzip_is_whole(const Gunzip *gunzip);

#endif							/* JOBS_GUNZIP_H */
