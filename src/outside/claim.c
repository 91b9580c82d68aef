/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  jobs.submit and jobs.claim: work for clients, and clients for it.
 *
 * A client locks a job's row with SKIP, so that clients wait neither for each
 * other nor for whoever else holds a job.
 *
 * While an old snapshot is held, offers that are gone stay in the index, and finding
 * the first that is not takes longer and longer.  So a session remembers how far it has
 * come in a queue, and looks from the beginning only so often that it takes a part of
 * its time.  Until then it does not see what has come before that place: offers of a
 * higher priority or of other owners, and those that are offered again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "args.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "funcapi.h"
#include "guc.h"
#include "miscadmin.h"
#include "outside/outside.h"
#include "rights.h"
#include "session.h"
#include "settle.h"
#include "submit.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(jobs_submit_external);
PG_FUNCTION_INFO_V1(jobs_claim);

#define SUBMIT_COMMON		9	/* arguments that all jobs have */
#define CLAIM_COLUMNS		8

#define LOOKS				8	/* queues that a session remembers */
#define LOOK_OWNERS			8	/* of one that has no more */
#define LOOK_PART			10	/* a look from the beginning waits for so many times its time ... */
#define LOOK_MAX_US			USECS_PER_SEC	/* ... and not longer than this ... */
#define LOOK_MIN_US			100 /* ... if it takes as long as this */

typedef struct Look
{
	uint64		queue;			/* hash of it */
	TimestampTz at;				/* from the beginning; 0: it does not count */
	int64		usecs;			/* which took so long to the first offer, -1: none found yet */
	int			n;
	Oid			owners[LOOK_OWNERS];
	JobsOfferPlace places[LOOK_OWNERS];
} Look;

/* One call of jobs.claim. */
typedef struct Claim
{
	const char *queue;
	Look	   *look;
	JobsOfferPlace place;		/* where something was found last */
	Oid			owner;			/* whose jobs are looked at */
	List	   *grants;			/* of Oid */
	List	   *paused;			/* of JobsPaused *, of the queue */
	int			wanted;
	int64		lease_us;
	int64		number;
	int			n;				/* claimed */
	ReturnSetInfo *rsinfo;
} Claim;

static Look looks[LOOKS];

static Look *recall(const char *queue);
static void forget(XactEvent event, void *arg);
static void forget_sub(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg);
static bool is_recent(const Look *look);
static List *look_for_owners(Claim *claim);
static void claim_fairly(Claim *claim, List *owners, bool on);
static void claim_of(Claim *claim, Oid owner, int wanted, bool on);
static bool claim_offer(const JobsOfferPlace *place, const char *tenant, bool items, void *arg);
static bool is_paused(const Claim *claim, const char *tenant);
static Job *claim_row(Claim *claim, JobId id);
static JobsLease *new_lease(const Claim *claim, const Job *job);
static void return_claimed(Claim *claim, Job *job, const JobsLease *lease);
static Datum payload_of(const Job *job, bool *isnull);

/* ------------------------------------------------------------------------
 * Submitting
 * ------------------------------------------------------------------------
 */

/*
 * jobs.submit(queue, payload, title, priority, run_at, after, timeout,
 *			   max_attempts, unique_key, notify)
 *
 * The payload is in the column options, as the member "payload".
 */
Datum
jobs_submit_external(PG_FUNCTION_ARGS)
{
	LOCAL_FCINFO(common, SUBMIT_COMMON);
	Job		   *job;

	jobs_check_can_submit("jobs.submit()");
	jobs_require_arg(fcinfo, 0, "queue", "Pass the name of a queue.");

	/* The order of all other submitting functions: the title, then the queue. */
	InitFunctionCallInfoData(*common, fcinfo->flinfo, SUBMIT_COMMON, InvalidOid, NULL, NULL);
	common->args[0] = fcinfo->args[2];
	common->args[1] = fcinfo->args[0];
	memcpy(&common->args[2], &fcinfo->args[3], (SUBMIT_COMMON - 2) * sizeof(NullableDatum));

	job = jobs_new_job(common, 0, JOB_EXTERNAL);
	job->outside = true;
	job->command = "";
	if (!PG_ARGISNULL(1))
	{
		JsonbParseState *state = NULL;
		JsonbValue	value;

		jobs_check_payload("payload", PG_GETARG_JSONB_P(1));
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		value.type = jbvString;
		value.val.string.val = "payload";
		value.val.string.len = strlen("payload");
		pushJsonbValue(&state, WJB_KEY, &value);
		JsonbToJsonbValue(PG_GETARG_JSONB_P(1), &value);
		pushJsonbValue(&state, WJB_VALUE, &value);
		job->options = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	}
	if (job->title == NULL)
		job->title = jobs_title_from("External: ", job->queue);
	PG_RETURN_INT64(jobs_submit(common, 0, job));
}

/* ------------------------------------------------------------------------
 * Claiming
 * ------------------------------------------------------------------------
 */

/*
 * jobs.claim(queue text, n integer, lease interval)
 */
Datum
jobs_claim(PG_FUNCTION_ARGS)
{
	Claim		claim = {0};

	jobs_require_preload();
	jobs_check_can_change("jobs.claim()");
	claim.queue = jobs_queue_arg(fcinfo, 0);
	claim.wanted = jobs_claim_count(fcinfo, 1);
	claim.lease_us = jobs_lease_usecs(fcinfo, 2);
	claim.number = jobs_new_claim();
	InitMaterializedSRF(fcinfo, 0);
	claim.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	if (jobs_enabled)
	{
		claim.grants = jobs_claim_grants(claim.queue);
		claim.paused = jobs_store_paused(claim.queue);
		claim.look = recall(claim.queue);
		if (is_recent(claim.look))
		{
			List	   *owners = NIL;

			for (int i = 0; i < claim.look->n; i++)
				owners = lappend_oid(owners, claim.look->owners[i]);
			claim_fairly(&claim, owners, true);
		}
		if (claim.n < claim.wanted)
			claim_fairly(&claim, look_for_owners(&claim), false);
	}
	return (Datum) 0;
}

/* Queues that meet by their hashes take the other's places, and look again soon. */
static Look *
recall(const char *queue)
{
	static bool registered = false;
	uint64		hash = hash_bytes_extended((const unsigned char *) queue, strlen(queue), 0);
	Look	   *look = &looks[hash % LOOKS];

	if (!registered)
	{
		RegisterXactCallback(forget, NULL);
		RegisterSubXactCallback(forget_sub, NULL);
		registered = true;
	}
	if (look->queue != hash)
		*look = (Look) {.queue = hash};
	return look;
}

void
jobs_claim_look_again(void)
{
	memset(looks, 0, sizeof(looks));
}

/* What was claimed is free again. */
static void
forget(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		jobs_claim_look_again();
}

static void
forget_sub(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		jobs_claim_look_again();
}

static bool
is_recent(const Look *look)
{
	TimestampTz now = GetCurrentTimestamp();

	return look->at > 0 && now >= look->at && look->usecs >= LOOK_MIN_US &&
		now - look->at < Min(look->usecs * LOOK_PART, LOOK_MAX_US);
}

/* From the beginning.  What the caller may not claim is nothing to remember. */
static List *
look_for_owners(Claim *claim)
{
	Look	   *look = claim->look;
	List	   *owners = NIL;
	ListCell   *cell;

	look->at = GetCurrentTimestamp();
	look->usecs = -1;
	look->n = 0;
	foreach(cell, jobs_store_offer_owners(claim->queue))
	{
		if (!jobs_may_claim(lfirst_oid(cell), jobs_tenant, claim->grants))
			continue;
		owners = lappend_oid(owners, lfirst_oid(cell));
		if (look->n < LOOK_OWNERS)
			look->owners[look->n++] = lfirst_oid(cell);
	}
	if (list_length(owners) > LOOK_OWNERS)
		look->at = 0;
	return owners;
}

/*
 * The same number from each owner, beginning with any of them, then what there is.
 * So no owner can keep clients busy with his jobs alone.  From the places where
 * something was found last, where on is set.
 */
static void
claim_fairly(Claim *claim, List *owners, bool on)
{
	int			n;
	int			first;
	int			share;

	n = list_length(owners);
	if (n == 0)
		return;
	first = pg_prng_uint64_range(&pg_global_prng_state, 0, n - 1);
	share = n == 1 ? claim->wanted : (claim->wanted + n - 1) / n;
	for (int i = 0; i < n; i++)
		claim_of(claim, list_nth_oid(owners, (first + i) % n), share, on);
	for (int i = 0; i < n && n > 1; i++)
		claim_of(claim, list_nth_oid(owners, (first + i) % n), claim->wanted, on);
}

static void
claim_of(Claim *claim, Oid owner, int wanted, bool on)
{
	Look	   *look = claim->look;
	JobsOfferPlace *place = NULL;
	int			all = claim->wanted;

	wanted = Min(wanted, all - claim->n);
	if (wanted <= 0)
		return;
	for (int i = 0; i < look->n; i++)
	{
		if (look->owners[i] == owner)
			place = &look->places[i];
	}
	claim->owner = owner;
	claim->wanted = claim->n + wanted;
	claim->place = on && place ? *place : (JobsOfferPlace) {PG_INT64_MIN, 0};
	jobs_store_offers(claim->queue, owner, on ? place : NULL, claim_offer, claim);
	claim->wanted = all;
	if (place)
		*place = claim->place;
	if (look->usecs < 0)
		look->usecs = GetCurrentTimestamp() - look->at;
}

/* Whether another one is wanted. */
static bool
claim_offer(const JobsOfferPlace *place, const char *tenant, bool items, void *arg)
{
	Claim	   *claim = arg;
	Job		   *job = NULL;

	if (claim->look->usecs < 0)
		claim->look->usecs = GetCurrentTimestamp() - claim->look->at;
	if (!items && jobs_may_claim(claim->owner, tenant, claim->grants) && !is_paused(claim, tenant))
		job = claim_row(claim, place->job);
	if (job)
	{
		JobsLease  *lease = new_lease(claim, job);

		claim->place = *place;
		jobs_store_add_lease(lease);
		return_claimed(claim, job, lease);
	}
	return claim->n < claim->wanted;
}

static bool
is_paused(const Claim *claim, const char *tenant)
{
	ListCell   *cell;

	foreach(cell, claim->paused)
	{
		if (jobs_paused_applies(lfirst(cell), claim->queue, claim->owner, tenant))
			return true;
	}
	return false;
}

/* NULL where it is not to be had: others are at it, or it has to fail. */
static Job *
claim_row(Claim *claim, JobId id)
{
	bool		held;
	Job		   *job = jobs_store_lock(id, JOBS_WAIT_SKIP, &held);
	JobsFailure failure = {.final = true};
	Oid			connect_as;

	if (job == NULL || job->state != JOB_QUEUED)
		return NULL;
	if (job->origin != jobs_origin())
	{
		/* Of the server that this is a copy of; once is enough to find that out. */
		jobs_store_remove_offer(job->queue, job->owner, job->priority, id);
		return NULL;
	}
	jobs_note_claim(id);
	failure.message = jobs_owner_refused(job, &failure.sqlstate, &connect_as);
	if (failure.message)
	{
		/* People leave while their jobs wait. */
		jobs_settle(job, &failure);
		return NULL;
	}
	job->state = JOB_RUNNING;
	job->attempt++;
	job->started_at = GetCurrentTimestamp();
	job->error_code = job->error_message = job->error_detail = job->error_hint = NULL;
	jobs_store_update(job, JOB_QUEUED);
	return job;
}

static JobsLease *
new_lease(const Claim *claim, const Job *job)
{
	JobsLease  *lease = palloc0(sizeof(JobsLease));

	lease->job = job->id;
	lease->claim = claim->number;
	lease->owner = job->owner;
	lease->tenant = job->tenant;
	lease->client = GetUserId();
	lease->session = jobs_my_session();
	lease->claimed_at = job->started_at;
	lease->until = jobs_lease_end(job, claim->lease_us);
	lease->processed = lease->total = -1;
	lease->percent = -1;
	return lease;
}

/* Payloads may be large, so none is kept. */
static void
return_claimed(Claim *claim, Job *job, const JobsLease *lease)
{
	Datum		values[CLAIM_COLUMNS];
	bool		nulls[CLAIM_COLUMNS] = {false};

	values[0] = Int64GetDatum(job->id);
	values[1] = payload_of(job, &nulls[1]);
	values[2] = CStringGetTextDatum(job->title);
	values[3] = CStringGetTextDatum(job->owner_name);
	values[4] = CStringGetTextDatum(job->tenant);
	values[5] = Int32GetDatum(job->attempt);
	values[6] = Int64GetDatum(lease->claim);
	values[7] = TimestampTzGetDatum(lease->until);
	tuplestore_putvalues(claim->rsinfo->setResult, claim->rsinfo->setDesc, values, nulls);
	if (!nulls[1])
	{
		pfree(DatumGetPointer(values[1]));
		pfree(job->options);
	}
	claim->n++;
}

static Datum
payload_of(const Job *job, bool *isnull)
{
	JsonbValue	buffer;
	JsonbValue *payload = NULL;

	if (job->options)
		payload = getKeyJsonValueFromContainer(&job->options->root, "payload", strlen("payload"), &buffer);
	*isnull = payload == NULL;
	return payload ? JsonbPGetDatum(JsonbValueToJsonb(payload)) : (Datum) 0;
}
