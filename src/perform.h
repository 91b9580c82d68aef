/*-------------------------------------------------------------------------
 *
 * perform.h
 *	  One job from its claim to its end, in a worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_PERFORM_H
#define JOBS_PERFORM_H

#include "jobs.h"

/* Prepares the session that has just been connected. */
extern void jobs_perform_init(void);

/*
 * Claims a job that was dealt to this worker, runs it, and records its end.
 * Raises nothing that the job causes; where bookkeeping fails the process ends,
 * with the reason in its slot.
 */
extern void jobs_perform(JobId id);

/*
 * Helps the worker in another slot with the items of its job.  Raises nothing;
 * what goes wrong is that worker's to find out.
 */
extern void jobs_perform_help(JobId id, int slotno);

/* The job whose work this process is at, or NULL. */
extern const Job *jobs_performing(void);

/*
 * For what runs a job, in its last transaction.  check locks its row, and raises
 * 55000 unless this worker still has it; finish does too, and writes its end.
 * commit is the one after which a cancel comes too late.
 */
extern void jobs_perform_check(const Job *job);
extern void jobs_perform_finish(const Job *job, Job *end);
extern void jobs_perform_commit(void);

/* Nothing to do for now: cleans the session and shows it as idle. */
extern void jobs_perform_rest(void);

/* A cancel that was meant for something else must not hit what comes next. */
extern void jobs_perform_forget_cancel(void);

#endif							/* JOBS_PERFORM_H */
