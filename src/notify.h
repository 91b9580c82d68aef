/*-------------------------------------------------------------------------
 *
 * notify.h
 *	  NOTIFY jobs, jobs_progress and jobs_delivery, from the scheduler only.
 *
 * Messages are gathered and sent together in a small transaction, so that
 * neither a submitter's nor a job's own transaction takes the lock that every
 * notifying commit takes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_NOTIFY_H
#define JOBS_NOTIFY_H

#include "jobs.h"
#include "shmem.h"

/* Adds a committed change of state, to be sent by the next jobs_notify_send. */
extern void jobs_notify_state(const JobsEvent *event);

/*
 * Looks at the progress of the running jobs of a database; adds a message for
 * each that has moved.  Returns whether a job is running.
 */
extern bool jobs_notify_progress(Oid dboid);

/*
 * The progress of a job that a client does; sent with that of the others.  Of
 * several for one job the last counts.
 */
extern void jobs_notify_outside(const JobsEvent *event, double percent);
extern bool jobs_notify_outside_pending(void);

/* There is something to deliver on these channels: a JOBS_CHANNEL_BIT for each. */
extern void jobs_notify_couriers(int channels);

/* Whether there is something to send. */
extern bool jobs_notify_pending(void);

/*
 * Sends what was gathered, in a transaction of its own that is on disk, with
 * all that was committed before, when it returns.  A failure is logged; the
 * changes of state are kept for the next time.
 */
extern void jobs_notify_send(void);

#endif							/* JOBS_NOTIFY_H */
