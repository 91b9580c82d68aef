/*-------------------------------------------------------------------------
 *
 * delivery.h
 *	  Messages about the ends of jobs, and the couriers that deliver them.
 *
 * The transaction that ends a job writes a row of jobs.outbox for each channel of
 * its option notify: pending.  A courier, a program outside of the server, claims
 * rows over SQL, sends what they say, and tells how that went:
 *
 *	 pending -> claimed -> delivered
 *	    ^          |  \-> failed: for good, or a day is over
 *	    |          v
 *	    +----- not now: tried again, later and later
 *
 * A claim is a lease.  One whose time is over is claimed again, so a message comes
 * at least once, always with the same message_id; an answer counts for the attempt
 * that it is about, and only while no other has begun.
 *
 * A link to a job's file has a token.  No row has it: each claim makes one and
 * stores its hash, as jobs.share does.  Texts have marks in its place, see message.h.
 *
 * Locks: the job's row, where somebody has it, before rows of the outbox.  The
 * scheduler waits for none of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_DELIVERY_H
#define JOBS_DELIVERY_H

#include "jobs.h"

#include "store.h"

typedef enum JobsChannel
{
	CHANNEL_EMAIL,
	CHANNEL_WEBHOOK
} JobsChannel;
#define JOBS_NUM_CHANNELS	(CHANNEL_WEBHOOK + 1)

#define JOBS_CHANNEL_BIT(c)	(1 << (c))

typedef enum JobsDeliveryState
{
	DELIVERY_PENDING,
	DELIVERY_CLAIMED,
	DELIVERY_DELIVERED,
	DELIVERY_FAILED
} JobsDeliveryState;
#define JOBS_NUM_DELIVERY_STATES	(DELIVERY_FAILED + 1)

extern const char *const jobs_channel_names[JOBS_NUM_CHANNELS];
extern const char *const jobs_delivery_state_names[JOBS_NUM_DELIVERY_STATES];

/* For so long a delivery is tried, or waits for a courier. */
#define JOBS_DELIVERY_US	USECS_PER_DAY

/* The limit of a role counts what it has had for so long. */
#define JOBS_LIMIT_US		USECS_PER_HOUR

/* ------------------------------------------------------------------------
 * Writing, in write.c
 * ------------------------------------------------------------------------
 */

/*
 * The value of notify, checked: 22023 for what is no address, 42501 for one that
 * is not allowed, 53400 where the owner has had too many messages.
 */
extern Jsonb *jobs_notify_arg(Jsonb *notify, Oid owner);

/* The address for a channel, or NULL. */
extern char *jobs_notify_address(const Jsonb *notify, JobsChannel channel);

/* A job has just ended: writes what its option notify asks for. */
extern void jobs_delivery_write(const Job *job);

/* A bit for each channel for which there is something new since the job ended. */
extern int	jobs_delivery_channels(const Job *job);

/* ------------------------------------------------------------------------
 * The tables, in store_outbox.c
 * ------------------------------------------------------------------------
 */

/* One row of jobs.outbox.  Pointers are NULL and times 0 where the column is null. */
typedef struct JobsDelivery
{
	int64		id;
	JobId		job;
	Oid			owner;			/* of the job, as are the next three */
	char	   *owner_name;
	char	   *tenant;
	int64		origin;
	JobsChannel channel;
	char	   *address;
	char	   *message_id;
	TimestampTz created_at;
	JobsDeliveryState state;
	int32		attempts;
	TimestampTz due_at;			/* next attempt, or the lease's end; 0: there is none */
	TimestampTz claimed_at;
	char	   *courier;		/* the role that claimed */
	TimestampTz ended_at;
	char	   *answer;			/* to the last attempt that was answered */
	bool		link;			/* a token is made for each attempt */
	char	   *subject;
	char	   *body;			/* NULL, as the next two, once it has ended */
	char	   *html;
	char	   *payload;
} JobsDelivery;

/* Adds a row, whose id it sets. */
extern void jobs_outbox_add(JobsDelivery *delivery);

/* Locks a row, as jobs_store_lock does; update is about a locked one. */
extern JobsDelivery *jobs_outbox_lock(int64 id, JobsWaitPolicy policy);
extern void jobs_outbox_update(const JobsDelivery *delivery);

/* Adds what came of the last attempt; answer may be NULL. */
extern void jobs_outbox_add_attempt(const JobsDelivery *delivery, const char *outcome, const char *answer);

/*
 * Calls back for each row of a channel that is due before a time, the first to
 * come due first, until the callback returns false.  The callback may write.
 */
typedef bool (*JobsOutboxFn) (int64 id, TimestampTz due_at, const char *tenant, void *arg);
extern void jobs_outbox_due(JobsChannel channel, TimestampTz before, JobsOutboxFn fn, void *arg);

/* How many messages of an owner since a time have been sent or are to be, counted up to max. */
extern int	jobs_outbox_count(Oid owner, TimestampTz since, int max);

/* No further attempt of a job's deliveries makes a token. */
extern void jobs_outbox_unlink(JobId job);

/*
 * Removes all rows of a job.  What has been sent still counts for its owner's limit,
 * or deleting the job would get around that: a row without a job stays for the hour.
 */
extern void jobs_outbox_remove(JobId job);

/*
 * Removes rows without a job from before a time, about limit of them.  Returns how
 * many; left says whether there are more, of any time.
 */
extern int	jobs_outbox_forget(TimestampTz before, int limit, bool *left);

/*
 * For retention: whether a job has deliveries that are still to be made; and locks
 * its rows, false where others have one of them.
 */
extern bool jobs_outbox_busy(JobId job);
extern bool jobs_outbox_try_lock(JobId job);

/* ------------------------------------------------------------------------
 * Couriers and the scheduler
 * ------------------------------------------------------------------------
 */

/* This session is a courier of a channel, until it ends; and whether there is one. */
extern void jobs_courier_register(JobsChannel channel);
extern bool jobs_courier_alive(JobsChannel channel);

/*
 * Ends deliveries that no courier has taken for a day, about limit of them.  Returns
 * when the next is due, in a transaction of the scheduler's.
 */
extern TimestampTz jobs_delivery_give_up(TimestampTz now, int limit);

/* A bit for each channel that has something to be claimed, now or later. */
extern int	jobs_delivery_waiting(void);

#endif							/* JOBS_DELIVERY_H */
