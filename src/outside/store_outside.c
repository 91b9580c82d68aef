/*-------------------------------------------------------------------------
 *
 * store_outside.c
 *	  Offers, leases, and who may claim: part of the store.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "outside/outside.h"
#include "rel.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Columns of jobs.offer; the first four are the primary key. */
enum
{
	O_QUEUE, O_OWNER, O_RANK, O_JOB, O_TENANT, O_ITEMS, O_COUNT
};

/* Columns of jobs.job_lease. */
enum
{
	L_JOB, L_CLAIM, L_OWNER, L_TENANT, L_CLIENT, L_SESSION, L_CLAIMED_AT, L_UNTIL,
	L_PROCESSED, L_TOTAL, L_PERCENT, L_MESSAGE, L_COUNT
};

/* Columns of jobs.item_lease; the first two are the primary key. */
enum
{
	I_JOB, I_FIRST_NO, I_N, I_CLAIM, I_OWNER, I_TENANT, I_CLIENT, I_SESSION, I_CLAIMED_AT, I_UNTIL, I_COUNT
};

/* Columns of jobs.claimer; the first three are the primary key. */
enum
{
	C_QUEUE, C_OWNER, C_CLIENT, C_OWNER_NAME, C_CLIENT_NAME, C_COUNT
};

#define GET(a)			(slot->tts_values[a])
#define GET_COUNT(a)	(slot->tts_isnull[a] ? -1 : DatumGetInt64(GET(a)))

static bool has_offer(const Job *job, JobState state);
static void add_offer(const Job *job);
static bool walk_offers(JobsRel *offer, ScanKeyData *keys, int nkeys, JobsOfferFn fn, void *arg);
static void remove_lease(JobId job);
static JobsItemLease *row_to_item_lease(TupleTableSlot *slot);
static bool find_item_lease(JobsRel *r, JobId job, int64 item_no);
static void item_lease_to_row(const JobsItemLease *lease, Datum *values, bool *nulls);
static void remove_item_leases(JobId job);
static void lease_to_row(const JobsLease *lease, Datum *values, bool *nulls);
static JobsLease *row_to_lease(TupleTableSlot *slot);
static bool find_claimer(JobsRel *r, const JobsClaimer *claimer);

/* ------------------------------------------------------------------------
 * In step with the job's state
 * ------------------------------------------------------------------------
 */

bool
jobs_is_outside(JobKind kind, Datum command, int64 total)
{
	return kind == JOB_EXTERNAL ||
		(kind == JOB_BULK && total >= 0 && toast_raw_datum_size(command) == VARHDRSZ);
}

static bool
has_offer(const Job *job, JobState state)
{
	return state == JOB_QUEUED || (state == JOB_RUNNING && job->kind == JOB_BULK);
}

/* The worker that has found out a bulk job's items does not know that it has become one. */
void
jobs_outside_follow(const Job *job, JobState old)
{
	bool		bulk = job->kind == JOB_BULK && job->total >= 0 && job->command[0] == '\0';
	bool		begins = bulk && old == JOB_RUNNING && job->state == JOB_QUEUED;

	if ((job->kind != JOB_EXTERNAL && !bulk) || old == job->state)
		return;
	if (has_offer(job, old) && (begins || !has_offer(job, job->state)))
		jobs_store_remove_offer(job->queue, job->owner, job->priority, job->id);
	if (old == JOB_RUNNING && bulk)
		remove_item_leases(job->id);
	else if (old == JOB_RUNNING)
		remove_lease(job->id);
	if (has_offer(job, job->state) && (begins || !has_offer(job, old)))
		add_offer(job);
}

/* ------------------------------------------------------------------------
 * Offers
 * ------------------------------------------------------------------------
 */

/* Higher priorities first, in an index that goes up. */
#define RANK(priority)	(-(int64) (priority))

static void
add_offer(const Job *job)
{
	JobsRel		offer;
	Datum		values[O_COUNT];
	bool		nulls[O_COUNT] = {false};

	jobs_claim_look_again();
	values[O_QUEUE] = CStringGetTextDatum(job->queue);
	values[O_OWNER] = ObjectIdGetDatum(job->owner);
	values[O_RANK] = Int64GetDatum(RANK(job->priority));
	values[O_JOB] = Int64GetDatum(job->id);
	values[O_TENANT] = CStringGetTextDatum(job->tenant);
	values[O_ITEMS] = BoolGetDatum(job->kind == JOB_BULK);
	jobs_rel_open(&offer, REL_OFFER, RowExclusiveLock);
	jobs_rel_insert(&offer, values, nulls);
	jobs_rel_close(&offer);
}

void
jobs_store_remove_offer(const char *queue, Oid owner, int32 priority, JobId job)
{
	JobsRel		offer;
	JobsRelScan scan;
	ScanKeyData keys[4];

	jobs_rel_open(&offer, REL_OFFER, RowExclusiveLock);
	jobs_key_text(&keys[0], 1, queue);
	jobs_key_oid(&keys[1], 2, owner);
	jobs_key_int8(&keys[2], 3, RANK(priority));
	jobs_key_int8(&keys[3], 4, job);
	jobs_rel_scan(&scan, &offer, "offer_pkey", keys, 4, jobs_rel_snapshot());
	if (jobs_rel_next(&scan) && jobs_rel_lock(&offer, JOBS_WAIT_BLOCK, NULL))
		jobs_rel_delete(&offer);
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&offer);
}

/* From one owner's first offer to that of the next. */
List *
jobs_store_offer_owners(const char *queue)
{
	JobsRel		offer;
	ScanKeyData keys[2];
	Oid			owner = InvalidOid;
	List	   *owners = NIL;
	bool		found;

	jobs_rel_open(&offer, REL_OFFER, AccessShareLock);
	jobs_key_text(&keys[0], 1, queue);
	do
	{
		JobsRelScan scan;

		CHECK_FOR_INTERRUPTS();
		jobs_key_oid_above(&keys[1], 2, owner);
		jobs_rel_scan(&scan, &offer, "offer_pkey", keys, 2, jobs_rel_snapshot());
		found = jobs_rel_next(&scan);
		if (found)
		{
			bool		isnull;

			owner = DatumGetObjectId(slot_getattr(offer.slot, O_OWNER + 1, &isnull));
			owners = lappend_oid(owners, owner);
		}
		jobs_rel_scan_end(&scan);
	} while (found);
	jobs_rel_close(&offer);
	return owners;
}

/* Those of the rank from the job on, and those of later ranks. */
void
jobs_store_offers(const char *queue, Oid owner, const JobsOfferPlace *from, JobsOfferFn fn, void *arg)
{
	JobsRel		offer;
	ScanKeyData keys[5];
	bool		more = true;

	jobs_rel_open(&offer, REL_OFFER, AccessShareLock);
	jobs_key_text(&keys[0], 1, queue);
	jobs_key_oid(&keys[1], 2, owner);
	if (from)
	{
		jobs_key_int8(&keys[2], 3, from->rank);
		jobs_key_int8_range(&keys[3], 4, from->job, PG_INT64_MAX);
		more = walk_offers(&offer, keys, 5, fn, arg);
		jobs_key_int8_range(&keys[2], 3, from->rank + 1, PG_INT64_MAX);
	}
	if (more)
		(void) walk_offers(&offer, keys, from ? 4 : 2, fn, arg);
	jobs_rel_close(&offer);
}

static bool
walk_offers(JobsRel *offer, ScanKeyData *keys, int nkeys, JobsOfferFn fn, void *arg)
{
	JobsRelScan scan;
	bool		more = true;

	jobs_rel_scan(&scan, offer, "offer_pkey", keys, nkeys, jobs_rel_snapshot());
	while (more && jobs_rel_next(&scan))
	{
		TupleTableSlot *slot = offer->slot;
		JobsOfferPlace place;
		char	   *tenant;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		place.rank = DatumGetInt64(GET(O_RANK));
		place.job = DatumGetInt64(GET(O_JOB));
		tenant = TextDatumGetCString(GET(O_TENANT));
		more = fn(&place, tenant, DatumGetBool(GET(O_ITEMS)), arg);
		pfree(tenant);
	}
	jobs_rel_scan_end(&scan);
	return more;
}

/* ------------------------------------------------------------------------
 * Leases
 * ------------------------------------------------------------------------
 */

static void
lease_to_row(const JobsLease *lease, Datum *values, bool *nulls)
{
	memset(nulls, false, L_COUNT * sizeof(bool));
	values[L_JOB] = Int64GetDatum(lease->job);
	values[L_CLAIM] = Int64GetDatum(lease->claim);
	values[L_OWNER] = ObjectIdGetDatum(lease->owner);
	values[L_TENANT] = CStringGetTextDatum(lease->tenant);
	values[L_CLIENT] = ObjectIdGetDatum(lease->client);
	values[L_SESSION] = Int64GetDatum(lease->session);
	values[L_CLAIMED_AT] = TimestampTzGetDatum(lease->claimed_at);
	values[L_UNTIL] = TimestampTzGetDatum(lease->until);
	values[L_PROCESSED] = Int64GetDatum(lease->processed);
	nulls[L_PROCESSED] = lease->processed < 0;
	values[L_TOTAL] = Int64GetDatum(lease->total);
	nulls[L_TOTAL] = lease->total < 0;
	values[L_PERCENT] = Float8GetDatum(lease->percent);
	nulls[L_PERCENT] = lease->percent < 0;
	nulls[L_MESSAGE] = lease->message == NULL;
	values[L_MESSAGE] = lease->message ? CStringGetTextDatum(lease->message) : (Datum) 0;
}

static JobsLease *
row_to_lease(TupleTableSlot *slot)
{
	JobsLease  *lease = palloc(sizeof(JobsLease));

	slot_getallattrs(slot);
	lease->job = DatumGetInt64(GET(L_JOB));
	lease->claim = DatumGetInt64(GET(L_CLAIM));
	lease->owner = DatumGetObjectId(GET(L_OWNER));
	lease->tenant = TextDatumGetCString(GET(L_TENANT));
	lease->client = DatumGetObjectId(GET(L_CLIENT));
	lease->session = DatumGetInt64(GET(L_SESSION));
	lease->claimed_at = DatumGetTimestampTz(GET(L_CLAIMED_AT));
	lease->until = DatumGetTimestampTz(GET(L_UNTIL));
	lease->processed = GET_COUNT(L_PROCESSED);
	lease->total = GET_COUNT(L_TOTAL);
	lease->percent = slot->tts_isnull[L_PERCENT] ? -1 : DatumGetFloat8(GET(L_PERCENT));
	lease->message = slot->tts_isnull[L_MESSAGE] ? NULL : TextDatumGetCString(GET(L_MESSAGE));
	return lease;
}

void
jobs_store_add_lease(const JobsLease *lease)
{
	JobsRel		r;
	Datum		values[L_COUNT];
	bool		nulls[L_COUNT];

	jobs_rel_open(&r, REL_JOB_LEASE, RowExclusiveLock);
	lease_to_row(lease, values, nulls);
	jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
}

JobsLease *
jobs_store_find_lease(JobId job)
{
	JobsRel		r;
	JobsLease  *lease = NULL;

	jobs_rel_open(&r, REL_JOB_LEASE, AccessShareLock);
	if (jobs_rel_find(&r, "job_lease_pkey", job))
		lease = row_to_lease(r.slot);
	jobs_rel_close(&r);
	return lease;
}

JobsLease *
jobs_store_lock_lease(JobId job, JobsWaitPolicy policy, bool *held)
{
	JobsRel		r;
	JobsLease  *lease = NULL;

	*held = false;
	jobs_rel_open(&r, REL_JOB_LEASE, RowExclusiveLock);
	if (jobs_rel_find(&r, "job_lease_pkey", job) && jobs_rel_lock(&r, policy, held))
		lease = row_to_lease(r.slot);
	jobs_rel_close(&r);
	return lease;
}

void
jobs_store_update_lease(const JobsLease *lease)
{
	JobsRel		r;
	Datum		values[L_COUNT];
	bool		nulls[L_COUNT];

	jobs_rel_open(&r, REL_JOB_LEASE, RowExclusiveLock);
	if (jobs_rel_find(&r, "job_lease_pkey", lease->job))
	{
		lease_to_row(lease, values, nulls);
		jobs_rel_update(&r, values, nulls);
	}
	jobs_rel_close(&r);
}

static void
remove_lease(JobId job)
{
	JobsRel		r;

	jobs_rel_open(&r, REL_JOB_LEASE, RowExclusiveLock);
	if (jobs_rel_find(&r, "job_lease_pkey", job) && jobs_rel_lock(&r, JOBS_WAIT_BLOCK, NULL))
		jobs_rel_delete(&r);
	jobs_rel_close(&r);
}

List *
jobs_store_leases(void)
{
	JobsRel		r;
	Snapshot	snapshot = RegisterSnapshot(jobs_rel_latest());
	TableScanDesc scan;
	List	   *list = NIL;

	jobs_rel_open(&r, REL_JOB_LEASE, AccessShareLock);
	scan = table_beginscan(r.rel, snapshot, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, r.slot))
		list = lappend(list, row_to_lease(r.slot));
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	jobs_rel_close(&r);
	return list;
}

/* ------------------------------------------------------------------------
 * Leases of items
 * ------------------------------------------------------------------------
 */

static void
item_lease_to_row(const JobsItemLease *lease, Datum *values, bool *nulls)
{
	memset(nulls, false, I_COUNT * sizeof(bool));
	values[I_JOB] = Int64GetDatum(lease->job);
	values[I_FIRST_NO] = Int64GetDatum(lease->first_no);
	values[I_N] = Int32GetDatum(lease->n);
	values[I_CLAIM] = Int64GetDatum(lease->claim);
	values[I_OWNER] = ObjectIdGetDatum(lease->owner);
	values[I_TENANT] = CStringGetTextDatum(lease->tenant);
	values[I_CLIENT] = ObjectIdGetDatum(lease->client);
	values[I_SESSION] = Int64GetDatum(lease->session);
	values[I_CLAIMED_AT] = TimestampTzGetDatum(lease->claimed_at);
	values[I_UNTIL] = TimestampTzGetDatum(lease->until);
}

static JobsItemLease *
row_to_item_lease(TupleTableSlot *slot)
{
	JobsItemLease *lease = palloc(sizeof(JobsItemLease));

	slot_getallattrs(slot);
	lease->job = DatumGetInt64(GET(I_JOB));
	lease->first_no = DatumGetInt64(GET(I_FIRST_NO));
	lease->n = DatumGetInt32(GET(I_N));
	lease->claim = DatumGetInt64(GET(I_CLAIM));
	lease->owner = DatumGetObjectId(GET(I_OWNER));
	lease->tenant = TextDatumGetCString(GET(I_TENANT));
	lease->client = DatumGetObjectId(GET(I_CLIENT));
	lease->session = DatumGetInt64(GET(I_SESSION));
	lease->claimed_at = DatumGetTimestampTz(GET(I_CLAIMED_AT));
	lease->until = DatumGetTimestampTz(GET(I_UNTIL));
	return lease;
}

List *
jobs_store_item_leases(JobId job, int64 lo, int64 hi)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData keys[3];
	List	   *list = NIL;

	jobs_rel_open(&r, REL_ITEM_LEASE, AccessShareLock);
	jobs_key_int8(&keys[0], 1, job);
	jobs_key_int8_range(&keys[1], 2, lo, hi);
	jobs_rel_scan(&scan, &r, "item_lease_pkey", keys, 3, jobs_rel_snapshot());
	while (jobs_rel_next(&scan))
		list = lappend(list, row_to_item_lease(r.slot));
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	return list;
}

/* The one that has an item, into r->slot. */
static bool
find_item_lease(JobsRel *r, JobId job, int64 item_no)
{
	JobsRelScan scan;
	ScanKeyData keys[3];
	bool		found;

	jobs_key_int8(&keys[0], 1, job);
	jobs_key_int8_range(&keys[1], 2, item_no - JOBS_CHUNK_ITEMS + 1, item_no);
	jobs_rel_scan(&scan, r, "item_lease_pkey", keys, 3, jobs_rel_snapshot());
	found = jobs_rel_previous(&scan);
	if (found)
	{
		slot_getallattrs(r->slot);
		found = DatumGetInt64(r->slot->tts_values[I_FIRST_NO]) + DatumGetInt32(r->slot->tts_values[I_N]) > item_no;
		ExecMaterializeSlot(r->slot);
	}
	jobs_rel_scan_end(&scan);
	return found;
}

JobsItemLease *
jobs_store_lock_item_lease(JobId job, int64 item_no, JobsWaitPolicy policy, bool *held)
{
	JobsRel		r;
	JobsItemLease *lease = NULL;

	*held = false;
	jobs_rel_open(&r, REL_ITEM_LEASE, RowExclusiveLock);
	while (lease == NULL && !*held && find_item_lease(&r, job, item_no))
	{
		/* One that has gone while we waited may have been divided. */
		if (jobs_rel_lock(&r, policy, held))
			lease = row_to_item_lease(r.slot);
		else if (policy == JOBS_WAIT_SKIP)
			break;
		CHECK_FOR_INTERRUPTS();
	}
	jobs_rel_close(&r);
	return lease;
}

void
jobs_store_add_item_lease(const JobsItemLease *lease)
{
	JobsRel		r;
	Datum		values[I_COUNT];
	bool		nulls[I_COUNT];

	jobs_rel_open(&r, REL_ITEM_LEASE, RowExclusiveLock);
	item_lease_to_row(lease, values, nulls);
	jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
}

void
jobs_store_set_item_lease(const JobsItemLease *lease)
{
	JobsRel		r;
	Datum		values[I_COUNT];
	bool		nulls[I_COUNT];

	jobs_rel_open(&r, REL_ITEM_LEASE, RowExclusiveLock);
	if (find_item_lease(&r, lease->job, lease->first_no))
	{
		item_lease_to_row(lease, values, nulls);
		jobs_rel_update(&r, values, nulls);
	}
	jobs_rel_close(&r);
}

void
jobs_store_remove_item_lease(const JobsItemLease *lease)
{
	JobsRel		r;

	jobs_rel_open(&r, REL_ITEM_LEASE, RowExclusiveLock);
	if (find_item_lease(&r, lease->job, lease->first_no))
		jobs_rel_delete(&r);
	jobs_rel_close(&r);
}

/* Whoever ends the job keeps others from its items by jobs_ledger_exclude. */
static void
remove_item_leases(JobId job)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData key;

	jobs_rel_open(&r, REL_ITEM_LEASE, RowExclusiveLock);
	jobs_key_int8(&key, 1, job);
	jobs_rel_scan(&scan, &r, "item_lease_pkey", &key, 1, jobs_rel_snapshot());
	while (jobs_rel_next(&scan))
	{
		if (jobs_rel_lock(&r, JOBS_WAIT_BLOCK, NULL))
			jobs_rel_delete(&r);
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
}

/* ------------------------------------------------------------------------
 * Who may claim
 * ------------------------------------------------------------------------
 */

List *
jobs_store_claimers(const char *queue)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData key;
	List	   *list = NIL;

	jobs_rel_open(&r, REL_CLAIMER, AccessShareLock);
	jobs_key_text(&key, 1, queue);
	jobs_rel_scan(&scan, &r, "claimer_pkey", &key, 1, jobs_rel_snapshot());
	while (jobs_rel_next(&scan))
	{
		TupleTableSlot *slot = r.slot;
		JobsClaimer *claimer = palloc(sizeof(JobsClaimer));

		slot_getallattrs(slot);
		claimer->queue = TextDatumGetCString(GET(C_QUEUE));
		claimer->owner = DatumGetObjectId(GET(C_OWNER));
		claimer->client = DatumGetObjectId(GET(C_CLIENT));
		claimer->owner_name = TextDatumGetCString(GET(C_OWNER_NAME));
		claimer->client_name = TextDatumGetCString(GET(C_CLIENT_NAME));
		list = lappend(list, claimer);
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	return list;
}

static bool
find_claimer(JobsRel *r, const JobsClaimer *claimer)
{
	JobsRelScan scan;
	ScanKeyData keys[3];
	bool		found;

	jobs_key_text(&keys[0], 1, claimer->queue);
	jobs_key_oid(&keys[1], 2, claimer->owner);
	jobs_key_oid(&keys[2], 3, claimer->client);
	jobs_rel_scan(&scan, r, "claimer_pkey", keys, 3, jobs_rel_snapshot());
	found = jobs_rel_next(&scan);
	if (found)
		ExecMaterializeSlot(r->slot);
	jobs_rel_scan_end(&scan);
	return found && jobs_rel_lock(r, JOBS_WAIT_BLOCK, NULL);
}

/* One that is there may be of a role that had the same OID. */
bool
jobs_store_add_claimer(const JobsClaimer *claimer)
{
	JobsRel		r;
	Datum		values[C_COUNT];
	bool		nulls[C_COUNT] = {false};
	bool		found;

	values[C_QUEUE] = CStringGetTextDatum(claimer->queue);
	values[C_OWNER] = ObjectIdGetDatum(claimer->owner);
	values[C_CLIENT] = ObjectIdGetDatum(claimer->client);
	values[C_OWNER_NAME] = CStringGetTextDatum(claimer->owner_name);
	values[C_CLIENT_NAME] = CStringGetTextDatum(claimer->client_name);
	/* Two sessions may do the same at once. */
	jobs_store_lock_key(claimer->owner, claimer->client_name, claimer->queue);
	jobs_rel_open(&r, REL_CLAIMER, RowExclusiveLock);
	found = find_claimer(&r, claimer);
	if (found)
		jobs_rel_update(&r, values, nulls);
	else
		jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
	return !found;
}

bool
jobs_store_remove_claimer(const JobsClaimer *claimer)
{
	JobsRel		r;
	bool		found;

	jobs_rel_open(&r, REL_CLAIMER, RowExclusiveLock);
	found = find_claimer(&r, claimer);
	if (found)
		jobs_rel_delete(&r);
	jobs_rel_close(&r);
	return found;
}
