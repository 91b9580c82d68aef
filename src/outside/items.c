/*-------------------------------------------------------------------------
 *
 * items.c
 *	  Clients claim items of bulk jobs.
 *
 * A client walks through the chunks.  It passes over one that another is claiming
 * from, and waits for it a little only where there is nothing else.  Each session
 * remembers how far it had come, so that it need not begin at the first chunk each
 * time; what it remembers is never wrong, since it forgets all when a transaction
 * is rolled back:
 *
 *	 done_upto	before it, all items have an outcome
 *	 taken_upto	before it, all items have an outcome or a lease, which may be over
 *	 next		where it found something last
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "args.h"
#include "access/xact.h"
#include "funcapi.h"
#include "guc.h"
#include "miscadmin.h"
#include "outside/outside.h"
#include "rights.h"
#include "settle.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(jobs_claimable);
PG_FUNCTION_INFO_V1(jobs_claim_items);

#define POSITIONS		16		/* jobs that a session remembers */
#define LAPSED_EVERY_US	USECS_PER_SEC
#define PATIENCE_MS		100		/* for chunks that others are at */
#define ITEM_COLUMNS	4

typedef struct Position
{
	JobId		job;
	int32		round;
	TimestampTz started_at;
	int64		done_upto;
	int64		taken_upto;
	int64		next;
	TimestampTz lapsed_at;		/* leases that are over were last looked for */
} Position;

/* One call of jobs.claim_items. */
typedef struct Taking
{
	const Job  *job;
	JobsLedger *ledger;
	Position   *position;
	int			wanted;
	int			taken;
	bool		busy;			/* a chunk was left out, others are at it */
	JobsItemLease lease;		/* what all of its leases have in common */
	ReturnSetInfo *rsinfo;
} Taking;

/* One chunk: which items are taken already, by a lease that has not ended. */
typedef struct Chunk
{
	JobsItems  *items;
	List	   *leases;			/* of JobsItemLease *, all of it */
	List	   *consumed;		/* those of them that are over, and locked */
	bool		mine[JOBS_CHUNK_ITEMS];
} Chunk;

static Position positions[POSITIONS];

static bool list_offer(const JobsOfferPlace *place, const char *tenant, bool items, void *arg);
static Job *begin_items(JobId id);
static bool may_begin(const Job *job);
static Position *position_of(const Job *job);
static void forget_positions(XactEvent event, void *arg);
static void forget_sub_positions(SubXactEvent event, SubTransactionId mySubid,
								 SubTransactionId parentSubid, void *arg);
static void take_items(Taking *taking);
static void take_lapsed(Taking *taking);
static void walk(Taking *taking, int64 from, int64 upto);
static bool take_chunk(Taking *taking, int64 first_no, int64 *next);
static int	look_at_chunk(Taking *taking, int64 first_no, Chunk *chunk);
static bool is_free(Taking *taking, Chunk *chunk, int i);
static JobsItemLease *lease_of(Chunk *chunk, int64 item_no);
static bool consume(Taking *taking, Chunk *chunk, int64 item_no);
static void lease_chunk(Taking *taking, Chunk *chunk);
static void give_back_rest(Chunk *chunk);
static void return_item(Taking *taking, int64 item_no, Jsonb *payload);

/* ------------------------------------------------------------------------
 * Which jobs
 * ------------------------------------------------------------------------
 */

typedef struct Listing
{
	Oid			owner;
	List	   *grants;
	ReturnSetInfo *rsinfo;
} Listing;

/*
 * jobs.claimable(queue text)
 */
Datum
jobs_claimable(PG_FUNCTION_ARGS)
{
	Listing		listing;
	char	   *queue;
	ListCell   *cell;

	queue = jobs_queue_arg(fcinfo, 0);
	InitMaterializedSRF(fcinfo, 0);
	listing.grants = jobs_claim_grants(queue);
	listing.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(cell, jobs_store_offer_owners(queue))
	{
		listing.owner = lfirst_oid(cell);
		jobs_store_offers(queue, listing.owner, NULL, list_offer, &listing);
	}
	return (Datum) 0;
}

static bool
list_offer(const JobsOfferPlace *place, const char *tenant, bool items, void *arg)
{
	Listing    *listing = arg;
	bool		own;
	Job		   *job;
	Datum		values[4];
	bool		nulls[4] = {false};

	if (!items || !jobs_may_claim(listing->owner, tenant, listing->grants))
		return true;
	job = jobs_store_find(place->job, &own);
	if (job == NULL || !may_begin(job))
		return true;
	values[0] = Int64GetDatum(job->id);
	values[1] = CStringGetTextDatum(job->title);
	values[2] = CStringGetTextDatum(job->owner_name);
	values[3] = CStringGetTextDatum(job->tenant);
	tuplestore_putvalues(listing->rsinfo->setResult, listing->rsinfo->setDesc, values, nulls);
	return true;
}

/* Whether items are given out: the job's turn has come, and nothing is switched off. */
static bool
may_begin(const Job *job)
{
	return (job->state == JOB_QUEUED || job->state == JOB_RUNNING) && job->origin == jobs_origin() && jobs_enabled &&
		!jobs_store_is_paused(job);
}

/*
 * The first claim of a round begins it.  Others that come at once wait for that a
 * little, and are told of its commit.  NULL where there is nothing to be claimed.
 */
static Job *
begin_items(JobId id)
{
	bool		held = false;
	Job		   *job = jobs_store_lock(id, JOBS_WAIT_SKIP, &held);
	JobsFailure failure = {.final = true};
	JobsItemCounts counts = {0};
	Oid			connect_as;

	for (int waited = 0; held && waited < PATIENCE_MS; waited++)
	{
		CHECK_FOR_INTERRUPTS();
		pg_usleep(1000L);
		job = jobs_store_lock(id, JOBS_WAIT_SKIP, &held);
	}
	if (job == NULL || job->state != JOB_QUEUED)
		return job;
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
	if (job->round > 1 || job->attempt > 1)
		jobs_ledger_count(id, job->round, NULL, &counts);
	jobs_tally_begin(job, &counts);
	return job;
}

/* ------------------------------------------------------------------------
 * What a session remembers
 * ------------------------------------------------------------------------
 */

static Position *
position_of(const Job *job)
{
	static bool registered = false;
	Position   *position = &positions[job->id % POSITIONS];

	if (!registered)
	{
		RegisterXactCallback(forget_positions, NULL);
		RegisterSubXactCallback(forget_sub_positions, NULL);
		registered = true;
	}
	if (position->job != job->id || position->round != job->round || position->started_at != job->started_at)
		*position = (Position) {.job = job->id, .round = job->round, .started_at = job->started_at,
		.done_upto = 1, .taken_upto = 1, .next = 1};
	return position;
}

static void
forget_positions(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		memset(positions, 0, sizeof(positions));
}

static void
forget_sub_positions(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		memset(positions, 0, sizeof(positions));
}

int64
jobs_items_first_open(JobsLedger *ledger, int64 from)
{
	JobsItems  *items;

	while ((items = jobs_ledger_read(ledger, from)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (items->nopen > 0)
			return items->first_no;
		from = items->first_no + items->n;
	}
	return PG_INT64_MAX;
}

/* ------------------------------------------------------------------------
 * Claiming
 * ------------------------------------------------------------------------
 */

/*
 * jobs.claim_items(job bigint, n integer, lease interval)
 */
Datum
jobs_claim_items(PG_FUNCTION_ARGS)
{
	Job		   *job = jobs_claimable_arg(fcinfo, "jobs.claim_items()", JOB_BULK);
	Taking		taking = {.wanted = jobs_claim_count(fcinfo, 1)};
	int64		usecs = jobs_lease_usecs(fcinfo, 2);
	bool		own;

	InitMaterializedSRF(fcinfo, 0);
	taking.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	if (!may_begin(job))
		return (Datum) 0;
	if (job->state == JOB_QUEUED)
		job = begin_items(job->id);
	if (job == NULL)
		return (Datum) 0;
	jobs_ledger_share(job->id);
	job = jobs_store_find(job->id, &own);
	if (job == NULL || job->state != JOB_RUNNING)
		return (Datum) 0;

	taking.job = job;
	taking.ledger = jobs_ledger_open(job->id, job->round, NULL, false);
	taking.position = position_of(job);
	taking.lease.job = job->id;
	taking.lease.claim = jobs_new_claim();
	taking.lease.owner = job->owner;
	taking.lease.tenant = job->tenant;
	taking.lease.client = GetUserId();
	taking.lease.session = jobs_my_session();
	taking.lease.claimed_at = GetCurrentTimestamp();
	taking.lease.until = jobs_lease_end(job, usecs);
	take_items(&taking);
	jobs_ledger_close(taking.ledger);
	if (taking.taken > 0)
		jobs_note_claim(job->id);
	return (Datum) 0;
}

/*
 * Leases that are over are looked for now and then, and when there is nothing else.
 * Other clients' claims are short, so it is worth waiting for them a little.
 */
static void
take_items(Taking *taking)
{
	Position   *position = taking->position;
	TimestampTz now = GetCurrentTimestamp();

	if (now - position->lapsed_at > LAPSED_EVERY_US || now < position->lapsed_at)
		take_lapsed(taking);
	for (int waited = 0;; waited++)
	{
		int64		begun = position->next;

		taking->busy = false;
		walk(taking, begun, PG_INT64_MAX);
		if (taking->taken < taking->wanted)
		{
			position->next = position->taken_upto;
			walk(taking, position->taken_upto, begun);
		}
		if (taking->taken > 0 || !taking->busy || waited >= PATIENCE_MS)
			break;
		CHECK_FOR_INTERRUPTS();
		pg_usleep(1000L);
	}
	if (taking->taken == 0)
		take_lapsed(taking);
}

static void
take_lapsed(Taking *taking)
{
	Position   *position = taking->position;
	List	   *leases;
	ListCell   *cell;

	position->lapsed_at = GetCurrentTimestamp();
	position->done_upto = jobs_items_first_open(taking->ledger, position->done_upto);
	leases = jobs_store_item_leases(taking->job->id, position->done_upto, PG_INT64_MAX);
	foreach(cell, leases)
	{
		JobsItemLease *lease = lfirst(cell);
		JobsItems  *items;
		int64		next;

		if (taking->taken >= taking->wanted)
			break;
		if (lease->until > position->lapsed_at)
			continue;
		items = jobs_ledger_read(taking->ledger, lease->first_no);
		if (items)
			(void) take_chunk(taking, items->first_no, &next);
	}
}

/* Chunks from one on; upto is the beginning of one. */
static void
walk(Taking *taking, int64 from, int64 upto)
{
	Position   *position = taking->position;

	while (from < upto && taking->taken < taking->wanted)
	{
		int64		next;
		bool		exhausted = take_chunk(taking, from, &next);

		if (exhausted && from == position->taken_upto)
			position->taken_upto = next;
		position->next = from;
		if (next == PG_INT64_MAX)
			break;
		if (exhausted || taking->taken < taking->wanted)
			position->next = next;
		from = next;
	}
}

/*
 * Takes what is free in one chunk.  Returns whether nothing is left then; *next is
 * where the next chunk begins, PG_INT64_MAX behind the last one.
 *
 * Only a chunk that seems to have something is locked, and then looked at anew: what
 * is committed does not become free again, so that nothing is found too often.
 */
static bool
take_chunk(Taking *taking, int64 first_no, int64 *next)
{
	Chunk		chunk;
	int			left;

	CHECK_FOR_INTERRUPTS();
	left = look_at_chunk(taking, first_no, &chunk);
	*next = chunk.items ? first_no + chunk.items->n : PG_INT64_MAX;
	if (left == 0 || taking->taken >= taking->wanted)
		return left == 0;
	if (!jobs_ledger_take(taking->job->id, first_no, false))
	{
		taking->busy = true;
		return false;
	}
	left = look_at_chunk(taking, first_no, &chunk);
	for (int i = 0; left > 0 && i < chunk.items->n && taking->taken < taking->wanted; i++)
	{
		if (!is_free(taking, &chunk, i) || !consume(taking, &chunk, first_no + i) ||
			!is_free(taking, &chunk, i))
			continue;
		chunk.mine[i] = true;
		left--;
		taking->taken++;
		return_item(taking, first_no + i, jobs_items_payload(chunk.items, i));
	}
	lease_chunk(taking, &chunk);
	return left == 0;
}

/*
 * How many items of a chunk are free.  Leases are read before outcomes: an answer
 * replaces one by the other, and seeing neither we would give an item out again.
 */
static int
look_at_chunk(Taking *taking, int64 first_no, Chunk *chunk)
{
	int			n = 0;

	memset(chunk, 0, sizeof(Chunk));
	chunk->leases = jobs_store_item_leases(taking->job->id, first_no, first_no + JOBS_CHUNK_ITEMS - 1);
	chunk->items = jobs_ledger_read(taking->ledger, first_no);
	for (int i = 0; chunk->items && i < chunk->items->n; i++)
		n += is_free(taking, chunk, i);
	return n;
}

/* Whether the i-th item is open and has no lease, or one that is over. */
static bool
is_free(Taking *taking, Chunk *chunk, int i)
{
	JobsItemLease *lease;

	if (chunk->items->item[i].state != ITEM_OPEN)
		return false;
	lease = lease_of(chunk, chunk->items->first_no + i);
	return lease == NULL || lease->until <= taking->lease.claimed_at;
}

static JobsItemLease *
lease_of(Chunk *chunk, int64 item_no)
{
	ListCell   *cell;

	foreach(cell, chunk->leases)
	{
		JobsItemLease *lease = lfirst(cell);

		if (item_no >= lease->first_no && item_no < lease->first_no + lease->n)
			return lease;
	}
	return NULL;
}

/* A free item's lease that is over is ours to replace, unless its client just answers. */
static bool
consume(Taking *taking, Chunk *chunk, int64 item_no)
{
	JobsItemLease *lease = lease_of(chunk, item_no);
	JobsItemLease *locked;
	bool		held;

	if (lease == NULL || list_member_ptr(chunk->consumed, lease))
		return true;
	if (lease->until == DT_NOEND)
		return false;
	locked = jobs_store_lock_item_lease(lease->job, lease->first_no, JOBS_WAIT_SKIP, &held);
	/* Since our look it may have been divided; a part that begins where it did is shorter. */
	if (locked == NULL || locked->claim != lease->claim || locked->until != lease->until || locked->n != lease->n)
	{
		/* Nor are its other items. */
		lease->until = DT_NOEND;
		return false;
	}
	chunk->consumed = lappend(chunk->consumed, lease);
	/* Its client may have answered for some between our look and our lock. */
	chunk->items = jobs_ledger_read(taking->ledger, chunk->items->first_no);
	return true;
}

/*
 * Writes the leases of a chunk's items that we have taken: one for neighbours, also
 * beyond items that have an outcome.
 */
static void
lease_chunk(Taking *taking, Chunk *chunk)
{
	JobsItems  *items = chunk->items;
	int			first = -1;
	int			last = -1;
	ListCell   *cell;

	foreach(cell, chunk->consumed)
		jobs_store_remove_item_lease(lfirst(cell));
	for (int i = 0; i <= items->n; i++)
	{
		if (i < items->n && chunk->mine[i])
		{
			first = first < 0 ? i : first;
			last = i;
		}
		else if (first >= 0 && (i == items->n || items->item[i].state == ITEM_OPEN))
		{
			taking->lease.first_no = items->first_no + first;
			taking->lease.n = last - first + 1;
			jobs_store_add_item_lease(&taking->lease);
			first = -1;
		}
	}
	give_back_rest(chunk);
}

/* What we have not taken of leases that are over is still to be found by them. */
static void
give_back_rest(Chunk *chunk)
{
	JobsItems  *items = chunk->items;
	ListCell   *cell;

	foreach(cell, chunk->consumed)
	{
		JobsItemLease rest = *(JobsItemLease *) lfirst(cell);
		int64		end = rest.first_no + rest.n;

		for (; rest.first_no < end; rest.first_no++)
		{
			int			i = rest.first_no - items->first_no;

			if (items->item[i].state == ITEM_OPEN && !chunk->mine[i])
				break;
		}
		rest.n = end - rest.first_no;
		if (rest.n > 0)
			jobs_store_add_item_lease(&rest);
	}
}

static void
return_item(Taking *taking, int64 item_no, Jsonb *payload)
{
	Datum		values[ITEM_COLUMNS];
	bool		nulls[ITEM_COLUMNS] = {false};

	values[0] = Int64GetDatum(item_no);
	values[1] = JsonbPGetDatum(payload);
	values[2] = TimestampTzGetDatum(taking->lease.until);
	values[3] = Int64GetDatum(taking->lease.claim);
	tuplestore_putvalues(taking->rsinfo->setResult, taking->rsinfo->setDesc, values, nulls);
}

/* ------------------------------------------------------------------------
 * What is left of a claim
 * ------------------------------------------------------------------------
 */

TimestampTz
jobs_keep_items(Job *job, bool numbered, int64 claim, int64 usecs)
{
	JobsLedger *ledger;
	Position   *position;
	List	   *leases = NIL;
	ListCell   *cell;
	TimestampTz now;
	TimestampTz until;
	bool		any = false;

	jobs_ledger_share(job->id);
	/* It may have been deleted while we waited. */
	job = jobs_find_claimable(job->id);
	now = GetCurrentTimestamp();
	until = usecs > 0 ? jobs_lease_end(job, usecs) : now;
	if (job->state == JOB_RUNNING)
	{
		ledger = jobs_ledger_open(job->id, job->round, NULL, false);
		position = position_of(job);
		position->done_upto = jobs_items_first_open(ledger, position->done_upto);
		leases = jobs_store_item_leases(job->id, position->done_upto, PG_INT64_MAX);
		jobs_ledger_close(ledger);
	}
	foreach(cell, leases)
	{
		JobsItemLease *lease = lfirst(cell);
		bool		held;

		if (numbered ? lease->claim != claim : !jobs_is_my_session(lease->session, lease->client))
			continue;
		lease = jobs_store_lock_item_lease(job->id, lease->first_no, JOBS_WAIT_BLOCK, &held);
		if (lease == NULL || lease->claim != ((JobsItemLease *) lfirst(cell))->claim || lease->until <= now)
			continue;
		any = true;
		lease->until = usecs > 0 ? Max(lease->until, until) : now;
		jobs_store_set_item_lease(lease);
	}
	if (!any)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this client has no items of job %lld", (long long) job->id),
				 errdetail("%s", job->state == JOB_RUNNING ? "It has answered for all, or the lease has run out." :
						   jobs_what_happened(job)),
				 numbered ? 0 : errhint("In another session than the one that claimed, give the number that jobs.claim_items returned as claim.")));
	/* Others can have them now. */
	if (usecs == 0)
		jobs_note_job(job->id);
	return until;
}
