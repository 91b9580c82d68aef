/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The process that starts schedulers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_LAUNCHER_H
#define JOBS_LAUNCHER_H

#include "postgres.h"

/* Registers the launcher with the postmaster; from _PG_init. */
extern void jobs_launcher_register(void);

extern PGDLLEXPORT void jobs_launcher_main(Datum arg);

#endif							/* JOBS_LAUNCHER_H */
