/*-------------------------------------------------------------------------
 *
 * gzip.h
 *	  A gzip file, compressed block by block, in threads.
 *
 * The file is one gzip member.  Its blocks are cut by bytes of the input alone
 * and do not refer to each other, so the same input makes the same file however
 * many threads there are.  Threads run no PostgreSQL code and see no signal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_GZIP_H
#define JOBS_GZIP_H

#include "postgres.h"

#include "format.h"

typedef struct JobsGzip JobsGzip;

/*
 * Begins a file.  With no threads the caller's own compresses.  The sink is
 * called by the caller's thread only.  What it takes goes with the current memory
 * context, also after an error.
 */
extern JobsGzip *jobs_gzip_begin(int nthreads, JobsSink sink, void *arg);

extern void jobs_gzip_write(JobsGzip *gzip, const char *data, Size len);

/* Gives the rest to the sink and ends the threads. */
extern void jobs_gzip_end(JobsGzip *gzip);

#endif							/* JOBS_GZIP_H */
