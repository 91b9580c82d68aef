/*-------------------------------------------------------------------------
 *
 * zip.h
 *	  A zip file that is written from its beginning to its end, without going
 *	  back, and the reading of a small one in memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ZIP_H
#define JOBS_ZIP_H

#include "postgres.h"

#include "../compat.h"
#include "../xlsx.h"
#include "nodes/pg_list.h"

typedef struct JobsZip JobsZip;

/* A file within a zip file, as it stands there. */
typedef struct ZipPart
{
	char	   *name;
	uint16		method;			/* 0 stored, 8 deflated */
	uint32		crc;
	uint32		packed_len;
	uint32		len;
	const char *packed;
} ZipPart;

/*
 * Begins a zip file; all dates in it are 1980-01-01.  Lives in the current
 * memory context, as do the buffers of each part.  Raises 54000 when the file
 * or a part would be larger than 4 GB, which many readers can't read.
 */
extern JobsZip *zip_begin(const JobsXlsxHost *host, JobsSink sink, void *arg);

/* A part that is compressed while it is written. */
extern void zip_open(JobsZip *zip, const char *name);
extern void zip_write(JobsZip *zip, const char *data, Size len);
extern uint64 zip_part_len(const JobsZip *zip); /* bytes written so far */
extern void zip_close(JobsZip *zip);

/* A part of another file, as it is. */
extern void zip_add(JobsZip *zip, const ZipPart *part);

extern void zip_end(JobsZip *zip);

/* The parts of a zip file: a list of ZipPart *, which point into it. */
extern List *zip_parts(const char *data, Size len);

/* A part's bytes, with a NUL behind them. */
extern char *zip_unpack(const ZipPart *part);

#endif							/* JOBS_ZIP_H */
