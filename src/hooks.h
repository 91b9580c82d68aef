/*-------------------------------------------------------------------------
 *
 * hooks.h
 *	  Utility commands that the extension must not stand in the way of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_HOOKS_H
#define JOBS_HOOKS_H

/* Installs the utility hook; from _PG_init. */
extern void jobs_hooks_init(void);

#endif							/* JOBS_HOOKS_H */
