/*-------------------------------------------------------------------------
 *
 * due.h
 *	  Rows that are superfluous from some time on, for retention.
 *
 * Private to the store's files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_DUE_H
#define JOBS_DUE_H

#include "rel.h"

#include "datatype/timestamp.h"

/* A table with an id in its first column, by the time at which its rows become superfluous. */
typedef struct JobsTimetable
{
	JobsRelName rel;
	const char *index;
	int			attno;
} JobsTimetable;

typedef struct JobsDue
{
	JobId		job;			/* the id */
	TimestampTz time;
} JobsDue;

/* Up to max rows whose time is from a time on and before another, oldest first. */
extern int	jobs_due(const JobsTimetable *table, TimestampTz from, TimestampTz before, JobsDue *due, int max);

/* Moves on, but never past what had to be left because somebody has it. */
extern void jobs_due_passed(const JobsDue *due, bool removed, bool *left, TimestampTz *from);

/* The least time from a time on, or DT_NOEND. */
extern TimestampTz jobs_due_first(const JobsTimetable *table, TimestampTz from);

#endif							/* JOBS_DUE_H */
