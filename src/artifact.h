/*-------------------------------------------------------------------------
 *
 * artifact.h
 *	  Writing a file, chunk by chunk, in the job's transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ARTIFACT_H
#define JOBS_ARTIFACT_H

#include "jobs.h"

#define JOBS_CHUNK_SIZE		(256 * 1024)	/* bytes of a chunk but the last */

typedef struct JobsArtifact JobsArtifact;

/*
 * Begins the artifact of a job; compress tells whether that may make its bytes
 * less.  Lives in the current memory context, which must last until the end.
 */
extern JobsArtifact *jobs_artifact_begin(const Job *job, bool compress);

/*
 * Adds bytes.  Stores a chunk whenever one is full.  Raises 54000 when the file
 * would pass jobs.max_artifact_size, or the owner's artifacts together
 * jobs.max_artifact_bytes_per_role.
 */
extern void jobs_artifact_write(JobsArtifact *artifact, const char *data, Size len);

/* Bytes so far. */
extern int64 jobs_artifact_bytes(const JobsArtifact *artifact);

/*
 * Stores the rest and the row of jobs.file.  Returns the SHA-256 as 64
 * hexadecimal digits.
 */
extern char *jobs_artifact_end(JobsArtifact *artifact, const char *filename, const char *format,
							   const char *media_type, int64 rows, TimestampTz expires_at);

#endif							/* JOBS_ARTIFACT_H */
