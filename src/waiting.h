/*-------------------------------------------------------------------------
 *
 * waiting.h
 *	  What a job that has not begun waits for, in words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_WAITING_H
#define JOBS_WAITING_H

#include "jobs.h"

/* The state of a job as the views show it.  Reads tables, takes shared locks. */
extern JobState jobs_shown_state_now(const Job *job);

#endif							/* JOBS_WAITING_H */
