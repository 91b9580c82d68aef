/*-------------------------------------------------------------------------
 *
 * words.h
 *	  A job in the words of jobs.panel.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_WORDS_H
#define JOBS_WORDS_H

#include "jobs.h"

#include "lib/stringinfo.h"

/* What is said of a job; NULL, 0 for times and -1 for counts where not known. */
typedef struct JobsFacts
{
	const char *kind;
	JobState	state;
	int64		processed;
	int64		total;
	int64		succeeded;
	int64		failed;
	int64		skipped;
	int64		warnings;
	double		percent;
	int32		round;
	TimestampTz run_at;
	TimestampTz started_at;
	TimestampTz finished_at;
	const char *message;
	const char *waiting_for;
	const char *error_message;
	const char *format;			/* of its file, as are the next */
	int64		rows;
	int64		bytes;
	TimestampTz expires_at;
	bool		estimated;		/* total is */
	bool		mailed;			/* somebody will get a mail when it ends */
	TimestampTz now;
} JobsFacts;

/* Adds what the panel says; reads no table and raises no error for an odd value. */
extern void jobs_describe_facts(const JobsFacts *facts, StringInfo headline, StringInfo detail);

#endif							/* JOBS_WORDS_H */
