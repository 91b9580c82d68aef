/*-------------------------------------------------------------------------
 *
 * bulk.h
 *	  Bulk jobs: one command for each of many items.
 *
 * The options of a bulk job are {"workers": n, "stop_after": n or null}, and
 * "items_query" where its items are still to be found when it starts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_BULK_H
#define JOBS_BULK_H

#include "jobs.h"

#define JOBS_MAX_BULK_WORKERS	1024

/* A number among a job's options, or -1 where there is none. */
extern int64 jobs_bulk_option(const Job *job, const char *name);

/* The items_query of a job, or NULL. */
extern char *jobs_bulk_items_query(const Job *job);

/*
 * Performs a job that this worker has claimed, in transactions of its own; none is
 * open before or after.  What an item raises is that item's.  An error of the
 * job's own, a cancel or a timeout is raised once what was finished before it is
 * committed.  The job's state is then final, or queued where its queue was paused.
 */
extern void jobs_bulk_perform(Job *job);

/*
 * Helps another worker with the items of its job, until there are no more, or
 * this one is wanted elsewhere.  Returns whether there may be more.
 */
extern bool jobs_bulk_help(Job *job, int slotno);

/* The settings of the job's submission hold in this session from now on. */
extern void jobs_bulk_enter(const Job *job);

/* Runs open items until there are none, or the queue is paused: then false. */
extern bool jobs_bulk_run(Job *job);

#endif							/* JOBS_BULK_H */
