/*-------------------------------------------------------------------------
 *
 * rights.h
 *	  Who may see and control which job, and as whom a job may run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_RIGHTS_H
#define JOBS_RIGHTS_H

#include "jobs.h"

/* The session has no tenant, or this one. */
extern bool jobs_tenant_fits(const char *tenant);

/* The caller is a member of the owner or of pg_read_all_stats, and the tenant fits. */
extern bool jobs_may_see(Oid owner, const char *tenant);

/* The caller is a member of the owner, and the tenant fits. */
extern bool jobs_may_control(Oid owner, const char *tenant);

/* As jobs_may_control, or a member of pg_signal_backend and the owner no superuser. */
extern bool jobs_may_cancel(Oid owner, const char *tenant);

/*
 * Finds a job, live or final, as jobs_store_find_brief does.  Raises 42704 where it
 * does not exist or the caller may not see it.
 */
extern Job *jobs_find_seen(JobId id, bool *own);

/*
 * Finds a job that the caller wants to control.  Raises 42704 where it does
 * not exist or the caller may not see it (the same words for both), 42501
 * where he may only look.  *own as in jobs_store_find.
 */
extern Job *jobs_find_controlled(JobId id, bool *own);

/* Raises 42704 for a job that does not exist or that the caller may not see. */
pg_noreturn extern void jobs_no_such_job(JobId id);

/* Raises 55000 with a hint unless the library was preloaded. */
extern void jobs_require_preload(void);

/*
 * Sets session_role and by_membership of a job that is being submitted, from
 * its owner.
 */
extern void jobs_set_submitter(Job *job);

/*
 * Why a job's owner may not (or no longer) run work here, or NULL if he may:
 * the role is gone, has no LOGIN or has expired, the submitter has left the
 * owner's role, CONNECT is missing.  *sqlstate is set with the text, which is
 * in the current memory context.  *connect_as is the role that a worker must
 * connect as.
 */
extern char *jobs_owner_refused(const Job *job, int *sqlstate, Oid *connect_as);

#endif							/* JOBS_RIGHTS_H */
