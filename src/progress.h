/*-------------------------------------------------------------------------
 *
 * progress.h
 *	  Live progress of the running job, in the worker's slot.
 *
 * Writers are the worker's own process only; a tick costs some 100 ns, takes
 * no lock and writes no row.  Readers are everybody, through jobs._slots().
 * All of these are for workers only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_PROGRESS_H
#define JOBS_PROGRESS_H

#include "jobs.h"

#define JOBS_PHASE_LEN		32	/* bytes, with the NUL */
#define JOBS_MESSAGE_LEN	256

/* A running job shows less than 100 percent, whatever it counts. */
#define JOBS_MAX_PERCENT	99.9

#define JOBS_SLOTS_COLUMNS	15

/* Shows the slot as running a job, or no job where it is 0. */
extern void jobs_progress_job(JobId job, JobKind kind);

/* Starts a job's counters anew.  total is -1 where it is not known. */
extern void jobs_progress_begin(const char *phase, int64 total);

/* A word such as "counting", "exporting", "finishing"; cut at JOBS_PHASE_LEN. */
extern void jobs_progress_phase(const char *phase);

/* Sets the total, -1 where it is not known; estimate is shown with it. */
extern void jobs_progress_total(int64 total, bool estimate);

/*
 * Which part of the work is done, from 0 to 1, where that is known better than
 * the number of rows: the total is then estimated from it.  Together with
 * jobs_progress_done, which it replaces.
 */
extern void jobs_progress_part(double part, int64 processed, int64 bytes);

/* Rows and bytes done so far in this attempt; cheap enough for every row. */
extern void jobs_progress_done(int64 processed, int64 bytes);

/* A bulk job's items so far; from now on its counts are those of the slot's items. */
extern void jobs_progress_items(const Job *job);

/* A line for people, or NULL; cut at JOBS_MESSAGE_LEN at a character's end. */
extern void jobs_progress_message(const char *message);

#endif							/* JOBS_PROGRESS_H */
