/*-------------------------------------------------------------------------
 *
 * outside.h
 *	  Jobs that clients do, outside of the server.
 *
 * Such a job never goes to a background worker.  While it is queued it has an
 * offer, a row of jobs.offer, which a client finds with jobs.claim; while it is
 * running it has a lease, a row of jobs.job_lease, which ends when the client
 * answers or at its time.  The store keeps both in step with the job's state, in
 * the same transaction.
 *
 * A bulk job without a command is one of these once its items are known.  Its
 * offer stays while it is running, and clients have leases of its items: rows of
 * jobs.item_lease, each about neighbours in one chunk.  What of them has no outcome
 * in the ledger is leased.  A lease whose time is over stays, for the next client to
 * find; the job ends when the scheduler finds an outcome for each item.
 *
 * A claim has a random number, by which a client is known again however it is
 * connected.  Without the number only the session that claimed is.
 *
 * Locks: the job's row, then its lease or offer.  For items jobs_ledger_share, then
 * the chunk's lock to claim, or the lease's row to answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_OUTSIDE_H
#define JOBS_OUTSIDE_H

#include "jobs.h"

#include "bulk/ledger.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "outside/tally.h"
#include "queue.h"
#include "shmem.h"
#include "store.h"
#include "utils/array.h"
#include "utils/tuplestore.h"

#define JOBS_MAX_CLAIM		10000	/* jobs or items at once */
#define JOBS_CLIENT_TEXT	4000	/* bytes of a message that are kept */

/* One row of jobs.job_lease; counts are -1 and message NULL where null. */
typedef struct JobsLease
{
	JobId		job;
	int64		claim;
	Oid			owner;			/* of the job, as is tenant */
	char	   *tenant;
	Oid			client;			/* the role that claimed */
	int64		session;
	TimestampTz claimed_at;
	TimestampTz until;
	int64		processed;
	int64		total;
	double		percent;		/* -1: not known; never goes back */
	char	   *message;
} JobsLease;

/* One row of jobs.item_lease: items first_no to first_no + n - 1, of one chunk. */
typedef struct JobsItemLease
{
	JobId		job;
	int64		first_no;
	int32		n;
	int64		claim;
	Oid			owner;
	char	   *tenant;
	Oid			client;
	int64		session;
	TimestampTz claimed_at;
	TimestampTz until;
} JobsItemLease;

/* ------------------------------------------------------------------------
 * For the store
 * ------------------------------------------------------------------------
 */

/*
 * Whether a job is one of these, from the datum of its column command and the
 * number of its items (-1: not known).
 */
extern bool jobs_is_outside(JobKind kind, Datum command, int64 total);

/*
 * A job's row has been written: removes the offer or lease that belongs to the
 * state it was in (JOB_NUM_STATES: none), adds the offer where it is queued now.
 */
extern void jobs_outside_follow(const Job *job, JobState old);

/* ------------------------------------------------------------------------
 * The tables, in store_outside.c
 * ------------------------------------------------------------------------
 */

/* This session's next jobs.claim looks at a queue from the beginning. */
extern void jobs_claim_look_again(void);

/* Where an offer stands among those of its owner: higher priorities have lower ranks. */
typedef struct JobsOfferPlace
{
	int64		rank;
	JobId		job;
} JobsOfferPlace;

/*
 * Offers of a queue: their owners, and those of one owner in the order in which
 * they are to be claimed, from a place on or all (NULL), until the callback returns
 * false.  The callback may write.
 */
extern List *jobs_store_offer_owners(const char *queue);	/* of Oid */
typedef bool (*JobsOfferFn) (const JobsOfferPlace *place, const char *tenant, bool items, void *arg);
extern void jobs_store_offers(const char *queue, Oid owner, const JobsOfferPlace *from, JobsOfferFn fn, void *arg);
extern void jobs_store_remove_offer(const char *queue, Oid owner, int32 priority, JobId job);

/*
 * Leases.  lock_lease locks the row to the end of the transaction, as
 * jobs_store_lock does; both return NULL where there is none.  update is about a
 * locked one.
 */
extern void jobs_store_add_lease(const JobsLease *lease);
extern JobsLease *jobs_store_find_lease(JobId job);
extern JobsLease *jobs_store_lock_lease(JobId job, JobsWaitPolicy policy, bool *held);
extern void jobs_store_update_lease(const JobsLease *lease);
extern List *jobs_store_leases(void);	/* of JobsLease *, all of them */

/*
 * Leases of items: those of a job that begin at lo to hi, in order; the one that has
 * an item, locked, as above; and changes of a locked one.
 */
extern List *jobs_store_item_leases(JobId job, int64 lo, int64 hi);	/* of JobsItemLease * */
extern JobsItemLease *jobs_store_lock_item_lease(JobId job, int64 item_no, JobsWaitPolicy policy, bool *held);
extern void jobs_store_add_item_lease(const JobsItemLease *lease);
extern void jobs_store_set_item_lease(const JobsItemLease *lease);	/* its until */
extern void jobs_store_remove_item_lease(const JobsItemLease *lease);

/* Who may claim jobs of others: rows of jobs.claimer. */
typedef struct JobsClaimer
{
	char	   *queue;
	Oid			owner;			/* InvalidOid: everybody's */
	Oid			client;
	char	   *owner_name;		/* both at the grant; "" for everybody's */
	char	   *client_name;
} JobsClaimer;

extern List *jobs_store_claimers(const char *queue);	/* of JobsClaimer * */
extern bool jobs_store_add_claimer(const JobsClaimer *claimer);
extern bool jobs_store_remove_claimer(const JobsClaimer *claimer);

/* ------------------------------------------------------------------------
 * Rights and answers
 * ------------------------------------------------------------------------
 */

/* The owners whose jobs of a queue the caller has been allowed to claim. */
extern List *jobs_claim_grants(const char *queue);	/* of Oid; InvalidOid is all */

/*
 * Whether the caller may claim a job and answer for it: he is a member of its
 * owner or has been allowed to by jobs.grant_claim, and the tenant fits.
 */
extern bool jobs_may_claim(Oid owner, const char *tenant, List *grants);

/* Raises 42704 and 42501 unless the caller may claim the job. */
extern Job *jobs_find_claimable(JobId id);

/* The same for functions that are about one kind, with the argument job; else 55000. */
extern Job *jobs_claimable_arg(FunctionCallInfo fcinfo, const char *function, JobKind kind);

/* What has become of a job that is no longer its client's: a sentence. */
extern char *jobs_what_happened(const Job *job);

/* A number for a new claim; a client's JSON keeps it exactly. */
extern int64 jobs_new_claim(void);

/*
 * This session, among all that this server has ever had; and whether it is that
 * session, and its role is that client.
 */
extern int64 jobs_my_session(void);
extern bool jobs_is_my_session(int64 session, Oid client);

/* Raises 54000 for a value that is too large to be kept; what is the message's beginning. */
extern void jobs_check_payload(const char *what, Jsonb *value);

/* How many are claimed, and for how long, from arguments; raise 22023. */
extern int	jobs_claim_count(FunctionCallInfo fcinfo, int n);
extern int64 jobs_lease_usecs(FunctionCallInfo fcinfo, int n);

/* The message and the SQLSTATE of a failure, from arguments; raise 22023. */
extern char *jobs_failure_message(FunctionCallInfo fcinfo, int n);
extern int	jobs_failure_code(FunctionCallInfo fcinfo, int n);

/* The first item, from one on, whose chunk has open ones; PG_INT64_MAX if there is none. */
extern int64 jobs_items_first_open(JobsLedger *ledger, int64 from);

/*
 * Keeps, or gives back where usecs is 0, all that a claim has left of a bulk job.
 * Returns until when; raises 55000 where nothing is left.
 */
extern TimestampTz jobs_keep_items(Job *job, bool numbered, int64 claim, int64 usecs);

/*
 * The same for some of its items.  Those must all be the caller's, else 55000; what
 * shares a lease with them keeps its time.
 */
extern TimestampTz jobs_keep_some_items(Job *job, ArrayType *items, bool numbered, int64 claim, int64 usecs);

/* When a lease that begins or is extended now ends: at the job's timeout at the latest. */
extern TimestampTz jobs_lease_end(const Job *job, int64 usecs);

/* ------------------------------------------------------------------------
 * For the scheduler and the views
 * ------------------------------------------------------------------------
 */

/*
 * Brings the queue in memory up to date with a job's row, in a transaction of the
 * scheduler's: offers what is due, settles what has lost its lease.
 */
extern void jobs_outside_place(const Job *job, JobsEntry *entry);

/* Adds what the caller may see of claimed jobs to the result of jobs._slots(). */
extern void jobs_outside_slots(Tuplestorestate *store, TupleDesc desc);

#endif							/* JOBS_OUTSIDE_H */
