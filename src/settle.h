/*-------------------------------------------------------------------------
 *
 * settle.h
 *	  What becomes of a job that did not end well.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_SETTLE_H
#define JOBS_SETTLE_H

#include "jobs.h"

/* Why; code and message are set unless cancelled is. */
typedef struct JobsFailure
{
	bool		cancelled;
	bool		final;			/* another attempt would be in vain */
	int			sqlstate;
	const char *message;
	const char *detail;
	const char *hint;
} JobsFailure;

/*
 * Writes the end of a running job that the caller has locked: cancelled,
 * failed, or, while it has attempts left, scheduled for the next one.
 */
extern void jobs_settle(Job *job, const JobsFailure *failure);

/*
 * The same for a job that has not begun; its attempts do not matter.  Nothing
 * happens where it has begun or ended meanwhile.  *held as in jobs_store_lock.
 */
extern void jobs_settle_unbegun(JobId id, const JobsFailure *failure, bool *held);

/* What is kept of an error's text, which may be as long as its author likes; NULL of NULL. */
extern char *jobs_error_text(const char *text);

/* "5 min", "1 h 30 min", "250 ms". */
extern char *jobs_duration(int64 usecs);

#endif							/* JOBS_SETTLE_H */
