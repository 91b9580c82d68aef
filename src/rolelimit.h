/*-------------------------------------------------------------------------
 *
 * rolelimit.h
 *	  Limits that an administrator gives to roles and databases.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ROLELIMIT_H
#define JOBS_ROLELIMIT_H

#include "postgres.h"

/*
 * jobs.max_running_per_role as ALTER ROLE and ALTER DATABASE have set it for a
 * role in this database, else as this process has it; 0 is no limit.  Read anew
 * after a second.  Opens a transaction where there is none.
 */
extern int	jobs_role_limit(Oid role);

#endif							/* JOBS_ROLELIMIT_H */
