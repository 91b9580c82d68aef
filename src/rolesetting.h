/*-------------------------------------------------------------------------
 *
 * rolesetting.h
 *	  Settings that an administrator gives to roles and databases.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ROLESETTING_H
#define JOBS_ROLESETTING_H

#include "postgres.h"

/*
 * jobs.max_running_per_role as ALTER ROLE and ALTER DATABASE have set it for a
 * role in this database, else as this process has it; 0 is no limit.  Read anew
 * after a second.  Opens a transaction where there is none.
 */
extern int	jobs_role_limit(Oid role);

/* The same of jobs.max_deliveries_per_role, read anew each time; needs a transaction. */
extern int	jobs_role_max_deliveries(Oid role);

/*
 * Changes whenever what ALTER ROLE and ALTER DATABASE have set for a role in
 * this database does.  Needs a transaction.
 */
extern uint64 jobs_role_settings_stamp(Oid role);

/*
 * Gives this session the settings that one of the role would have begun with,
 * on top of those that it has.  Needs a transaction.
 */
extern void jobs_apply_role_settings(Oid role);

#endif							/* JOBS_ROLESETTING_H */
