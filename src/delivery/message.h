/*-------------------------------------------------------------------------
 *
 * message.h
 *	  The texts of messages about the ends of jobs.
 *
 * A text may have parts that depend on a token, which only a claim makes.  Marks,
 * which are control characters and so cannot come from anybody's title or error,
 * say where: JOBS_MARK_IF what is there with a token, JOBS_MARK_ELSE what is there
 * without, JOBS_MARK_END; and JOBS_MARK_TOKEN where the token goes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_MESSAGE_H
#define JOBS_MESSAGE_H

#include "delivery/delivery.h"

#define JOBS_MARK_TOKEN	'\001'
#define JOBS_MARK_IF	'\002'
#define JOBS_MARK_ELSE	'\003'
#define JOBS_MARK_END	'\004'

/* Sets subject, link and the texts of the delivery's channel, for a job that has ended. */
extern void jobs_message_write(const Job *job, JobsDelivery *delivery);

/* A text with the token, or as it is without where that is NULL. */
extern char *jobs_message_fill(const char *text, const char *token);

#endif							/* JOBS_MESSAGE_H */
