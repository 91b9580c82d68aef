/*-------------------------------------------------------------------------
 *
 * module.h
 *	  Libraries of our own that only some jobs need.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_MODULE_H
#define JOBS_MODULE_H

#include "postgres.h"

typedef struct JobsModule
{
	const char *name;			/* of its file, without suffix */
	const char *entry;			/* its function, of the type JobsModuleEntry */
	int			version;		/* that it must be of */
	const char *what;			/* what needs it, the beginning of a message */
	const char *needs;			/* what it is built with, for a hint */
} JobsModule;

/* What a module has for a version, or NULL where it is of another. */
typedef const void *(*JobsModuleEntry) (int version);

/*
 * Raises 0A000 where the module is not installed: at submission that is better
 * than a failed job.
 */
extern void jobs_require_module(const JobsModule *module);

/* Loads it, once in a process.  Raises 55000 where it is of another version. */
extern const void *jobs_load_module(const JobsModule *module);

#endif							/* JOBS_MODULE_H */
