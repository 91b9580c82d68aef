/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  User code of many rows in one subtransaction, until one of them fails.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_GUARD_H
#define JOBS_GUARD_H

#include "postgres.h"

/* Does work, and keeps in arg how far it has come. */
typedef void (*JobsGuarded) (void *arg);

/*
 * Calls work in a subtransaction.  NULL where it came to its end, or the error that
 * it raised, in the current memory context; then nothing is left of the
 * subtransaction, and the caller goes on behind the place where it happened.  An
 * error that ends the job (a cancel, its timeout) or is no row's fault (a full disk) is
 * raised again.  The identity is
 * afterwards what it was before.
 */
extern ErrorData *jobs_guard(JobsGuarded work, void *arg);

/*
 * Whether an error is a row's own, so that the others can go on: its values, keys,
 * a check, a policy, a trigger that raised an exception, be it with a code of its own.
 */
extern bool jobs_is_row_error(const ErrorData *error);

#endif							/* JOBS_GUARD_H */
