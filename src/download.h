/*-------------------------------------------------------------------------
 *
 * download.h
 *	  Reading the files that exports made, and sharing them by token.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_DOWNLOAD_H
#define JOBS_DOWNLOAD_H

#include "jobs.h"

/*
 * A new token for a job's file, as long as the file exists, or NULL where it has
 * none.  Asks for no right of the caller's.
 */
extern char *jobs_token_for(JobId job);

#endif							/* JOBS_DOWNLOAD_H */
