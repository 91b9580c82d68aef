/*-------------------------------------------------------------------------
 *
 * xlsx.h
 *	  Excel workbooks: what jobs.so and jobs_xlsx.so know of each other.
 *
 * The library that writes workbooks is linked to a module of its own, which
 * only a worker that makes one loads.  Both are built from the same sources at
 * the same time; JOBS_XLSX_VERSION tells where they were not.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_XLSX_H
#define JOBS_XLSX_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "format.h"
#include "gzip.h"
#include "scalar.h"

#define JOBS_XLSX_VERSION		1

#define XLSX_MAX_ROWS			1048576 /* of a sheet, with its header */
#define XLSX_MAX_CELL			32767	/* UTF-16 code units */
#define XLSX_MAX_SHEET_NAME		31	/* UTF-16 code units */
#define XLSX_BAD_IN_SHEET_NAME	"[]:*?/\\"

typedef struct JobsXlsxOptions
{
	JobsFormatOptions common;
	bool		header;
	char	   *sheet;			/* or NULL: from the title */
} JobsXlsxOptions;

/* What the module takes from jobs.so. */
typedef struct JobsXlsxHost
{
	int			version;
	int			threads;		/* that may compress */
	JobsGzip   *(*gzip_begin) (int nthreads, JobsSink sink, void *arg);
	void		(*gzip_write) (JobsGzip *gzip, const char *data, Size len);
	void		(*gzip_end) (JobsGzip *gzip);
	JobsScalar	(*scalar_of) (PGFunction output);
	int			(*scalar_put) (JobsScalar scalar, Datum value, char *out);
	Timestamp	(*local_time) (TimestampTz time);
} JobsXlsxHost;

/* What it gives: the functions of JobsFormat that make a file. */
typedef struct JobsXlsxModule
{
	void	   *(*begin) (const JobsXlsxHost *host, const JobsXlsxOptions *options, TupleDesc desc,
						  const JobsFormatFile *file, JobsSink sink, void *arg);
	void		(*row) (void *state, TupleTableSlot *slot);
	void		(*end) (void *state);
} JobsXlsxModule;

/* The length of UTF-8 as Excel counts it. */
static inline int
jobs_utf16_length(const char *s, Size len)
{
	int			n = 0;

	for (Size i = 0; i < len; i++)
		n += ((unsigned char) s[i] & 0xC0) != 0x80 ? ((unsigned char) s[i] >= 0xF0 ? 2 : 1) : 0;
	return n;
}

#endif							/* JOBS_XLSX_H */
