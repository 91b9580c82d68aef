/*-------------------------------------------------------------------------
 *
 * items.h
 *	  Running one item of a bulk job.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ITEMS_H
#define JOBS_ITEMS_H

#include "jobs.h"

#include "bulk/ledger.h"

/* SQLSTATE by which a command refuses its item without calling it a failure. */
#define JOBS_SKIPPED		MAKE_SQLSTATE('J', 'B', '0', '0', '1')

/* What became of one item; strings in the context in which it was run. */
typedef struct JobsVerdict
{
	JobsItemState state;		/* ITEM_OPEN: it has to be run again, or the job stops */
	int			sqlstate;		/* 0 where it succeeded */
	char	   *message;
	char	   *detail;
	char	   *hint;
	Jsonb	   *result;			/* may be NULL */
	ErrorData  *stop;			/* what stops the job, or NULL */
} JobsVerdict;

/* A command, ready to be run again and again. */
typedef struct JobsCommand JobsCommand;

/* In the current memory context, which must last until it is freed. */
extern JobsCommand *jobs_command_begin(const char *command);
extern void jobs_command_free(JobsCommand *command);

/*
 * Runs the command for one item in a subtransaction of its own, as user with
 * the security context; needs an SPI connection.  What the item raises is in the
 * verdict, and nothing is left of it, its changes of settings in any case.
 */
extern void jobs_command_run(JobsCommand *command, Jsonb *payload, Oid user, int sec_context,
							 JobsVerdict *verdict);

/*
 * Fires what the item has deferred to the commit, so that it is known whose
 * error it is.  After the item's subtransaction; raises what it raises.
 */
extern void jobs_command_settle(Oid user, int sec_context);

/* An error as the verdict on an item. */
extern void jobs_verdict_failed(const ErrorData *edata, JobsVerdict *verdict);

/* Whether an error is the end of the job, not of its item: a cancel or its timeout. */
extern bool jobs_stops_job(const ErrorData *edata);

#endif							/* JOBS_ITEMS_H */
