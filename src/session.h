/*-------------------------------------------------------------------------
 *
 * session.h
 *	  The session that a worker gives to each job.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_SESSION_H
#define JOBS_SESSION_H

#include "jobs.h"

/*
 * Begins a transaction as the job's owner.  Where the session's role is another
 * (15 and 16, for an owner without LOGIN) the owner's identity is taken as a
 * SECURITY DEFINER function would take it, which SET ROLE cannot leave; it is
 * taken anew here each time because an abort restores the session's.  With
 * reset, what an earlier job may have left in the session is put back first:
 * settings, temporary tables, prepared statements, advisory locks, LISTEN, plans.
 */
extern void jobs_session_begin(Oid owner, bool reset);

/* Sets what a job's transaction is by its kind, before its first snapshot. */
extern void jobs_session_isolate(JobKind kind);

/* Commits; without waiting for the disk where async is set. */
extern void jobs_session_commit(bool async);

/* Rolls back whatever is open, after an error that has been caught. */
extern void jobs_session_abort(void);

/* Whether a procedure may commit in this session: not with a taken identity. */
extern bool jobs_session_can_commit(void);

/* The same reset in a transaction of its own. */
extern void jobs_session_reset(void);

/*
 * Whether a library is loaded that keeps something between the jobs of a session
 * where no reset reaches it.
 */
extern bool jobs_session_keeps_values(void);

/* Gives a job the settings of its submission, its name and its text for operators. */
extern void jobs_session_enter(const Job *job);

/* Says in pg_stat_activity that the session is idle. */
extern void jobs_session_idle(void);

/* The timeouts that a client's session would have from the server's main loop. */
extern void jobs_start_statement_timeout(void);
extern void jobs_stop_statement_timeout(void);

/*
 * The job's own timeout, in microseconds; the first time it runs out the
 * statement is cancelled, five seconds later the process terminated.
 */
extern void jobs_start_job_timeout(int64 usecs);
extern void jobs_stop_job_timeout(void);
extern bool jobs_job_timed_out(void);

/* "timeout after 5 min", for the job whose time was started last. */
extern char *jobs_timeout_text(void);

/* An interval in microseconds; months have 30 days. */
extern int64 jobs_interval_usecs(const Interval *interval);

#endif							/* JOBS_SESSION_H */
