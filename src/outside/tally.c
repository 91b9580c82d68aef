/*-------------------------------------------------------------------------
 *
 * tally.c
 *	  The counts of bulk jobs that clients do, in shared memory.
 *
 * Clients go on answering while a ledger is counted.  It is counted by one snapshot,
 * and what is added after that is kept apart, so that each answer is in one of them.
 * In both would be one that the snapshot sees and that is added after it: a
 * transaction is seen a moment before it adds.  So it stands in committing from
 * before its commit until it has added, and a snapshot that sees one of these is
 * taken again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bulk/equal.h"
#include "miscadmin.h"
#include "outside/tally.h"
#include "rel.h"
#include "shmem.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define PATIENCE_MS		100		/* for transactions that are about to add */

/* What a transaction adds to a tally when it commits. */
typedef struct Addition
{
	JobId		job;
	int32		round;
	int64		n[ITEM_NUM_STATES];
	bool		broken;			/* the row of equal failures begins in it */
	int64		equal_count;
	uint32		equal_hash;
	int64		equal_no;
	JobsTally  *begun;			/* it is begun with this, or NULL */
	SubTransactionId subid;
} Addition;

static HTAB *tallies = NULL;
static TransactionId *committing = NULL;	/* of each process, in shared memory */
static List *additions = NIL;	/* of Addition *, in TopTransactionContext */

static JobsTallyKey key_of(JobId job);
static JobsTally *find(JobId job, HASHACTION action);
static void set_new(JobsTally *tally, const Job *job);
static void set_counted_from(JobsTally *tally, const JobsItemCounts *counts, TimestampTz at);
static Snapshot begin_count(const Job *job);
static bool all_added(Snapshot snapshot);
static Addition *addition_to(const Job *job);
static void at_xact_end(XactEvent event, void *arg);
static void apply(const Addition *addition);
static void merge(Addition *addition, const Addition *next);
static void at_subxact_end(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg);

/* ------------------------------------------------------------------------
 * The table
 * ------------------------------------------------------------------------
 */

Size
jobs_tally_size(void)
{
	return add_size(hash_estimate_size(JOBS_MAX_TALLIES, sizeof(JobsTally)),
					mul_size(MaxBackends, sizeof(TransactionId)));
}

void
jobs_tally_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(JobsTallyKey), .entrysize = sizeof(JobsTally)};
	Size		size = mul_size(MaxBackends, sizeof(TransactionId));
	bool		found;

	committing = ShmemInitStruct("jobs committing", size, &found);
	if (!found)
		memset(committing, 0, size);
	tallies = ShmemInitHash("jobs tallies", JOBS_MAX_TALLIES, JOBS_MAX_TALLIES, &ctl, HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
}

static JobsTallyKey
key_of(JobId job)
{
	return (JobsTallyKey) {.job = job, .dboid = MyDatabaseId};
}

/* Under the lock; NULL where there is none, or no room. */
static JobsTally *
find(JobId job, HASHACTION action)
{
	JobsTallyKey key = key_of(job);

	return hash_search(tallies, &key, action, NULL);
}

static void
set_new(JobsTally *tally, const Job *job)
{
	*tally = (JobsTally) {
		.key = key_of(job->id), .round = job->round, .owner = job->owner,
		.tenant = jobs_tenant_hash(job->tenant), .began_at = job->started_at, .total = job->total
	};
}

static void
set_counted_from(JobsTally *tally, const JobsItemCounts *counts, TimestampTz at)
{
	tally->counted_at = at;
	tally->counted_from = counts->state[ITEM_SUCCEEDED] + counts->state[ITEM_FAILED] + counts->state[ITEM_SKIPPED];
}

bool
jobs_tally_read(const Job *job, JobsTally *copy)
{
	JobsTally  *tally;

	LWLockAcquire(jobs_shared->tally_lock, LW_SHARED);
	tally = find(job->id, HASH_FIND);
	if (tally)
		*copy = *tally;
	LWLockRelease(jobs_shared->tally_lock);
	return tally && copy->began_at == job->started_at && copy->round == job->round;
}

void
jobs_tally_count(const Job *job)
{
	Snapshot	snapshot = begin_count(job);
	JobsTally  *tally;
	JobsItemCounts counts;

	if (snapshot == NULL)
		return;
	jobs_ledger_count(job->id, job->round, snapshot, &counts);
	UnregisterSnapshot(snapshot);
	LWLockAcquire(jobs_shared->tally_lock, LW_EXCLUSIVE);
	tally = find(job->id, HASH_FIND);
	if (tally && tally->began_at == job->started_at && tally->round == job->round)
	{
		for (int i = 0; i < ITEM_NUM_STATES; i++)
			tally->n[i] = counts.state[i] + tally->since[i];
		if (tally->counting)
			set_counted_from(tally, &counts, GetCurrentTimestamp());
		tally->counting = false;
	}
	LWLockRelease(jobs_shared->tally_lock);
}

/*
 * The snapshot to count by, after which additions are kept apart; NULL where there is
 * no room.  Where a transaction takes too long to add, it is to be counted again.
 */
static Snapshot
begin_count(const Job *job)
{
	Snapshot	snapshot;
	JobsTally  *tally;
	bool		exact;

	for (int waited = 0;; waited++)
	{
		LWLockAcquire(jobs_shared->tally_lock, LW_EXCLUSIVE);
		snapshot = RegisterSnapshot(jobs_rel_latest());
		exact = all_added(snapshot);
		if (exact || waited >= PATIENCE_MS)
			break;
		LWLockRelease(jobs_shared->tally_lock);
		UnregisterSnapshot(snapshot);
		CHECK_FOR_INTERRUPTS();
		pg_usleep(1000L);
	}
	tally = find(job->id, HASH_ENTER_NULL);
	if (tally)
	{
		if (tally->began_at != job->started_at || tally->round != job->round)
		{
			set_new(tally, job);
			tally->counting = true;
		}
		tally->inexact = !exact;
		memset(tally->since, 0, sizeof(tally->since));
	}
	LWLockRelease(jobs_shared->tally_lock);
	if (tally)
		return snapshot;
	UnregisterSnapshot(snapshot);
	return NULL;
}

/* Whether all transactions that a snapshot sees have added what they had to; under the lock. */
static bool
all_added(Snapshot snapshot)
{
	for (int i = 0; i < MaxBackends; i++)
	{
		TransactionId xid = committing[i];

		if (TransactionIdIsValid(xid) && !XidInMVCCSnapshot(xid, snapshot))
			return false;
	}
	return true;
}

List *
jobs_tally_all(void)
{
	HASH_SEQ_STATUS status;
	JobsTally  *tally;
	JobsTally  *copies;
	List	   *list = NIL;
	int			n = 0;

	if (jobs_shared == NULL)
		return NIL;
	LWLockAcquire(jobs_shared->tally_lock, LW_SHARED);
	copies = palloc((hash_get_num_entries(tallies) + 1) * sizeof(JobsTally));
	hash_seq_init(&status, tallies);
	while ((tally = hash_seq_search(&status)) != NULL)
	{
		if (tally->key.dboid == MyDatabaseId && !tally->counting)
			copies[n++] = *tally;
	}
	LWLockRelease(jobs_shared->tally_lock);
	for (int i = 0; i < n; i++)
		list = lappend(list, &copies[i]);
	return list;
}

void
jobs_tally_distrust(JobId lo, JobId hi)
{
	HASH_SEQ_STATUS status;
	JobsTally  *tally;

	LWLockAcquire(jobs_shared->tally_lock, LW_EXCLUSIVE);
	hash_seq_init(&status, tallies);
	while ((tally = hash_seq_search(&status)) != NULL)
		tally->inexact |= tally->key.dboid == MyDatabaseId && tally->key.job >= lo && tally->key.job <= hi;
	LWLockRelease(jobs_shared->tally_lock);
}

void
jobs_tally_end(JobId job)
{
	LWLockAcquire(jobs_shared->tally_lock, LW_EXCLUSIVE);
	(void) find(job, HASH_REMOVE);
	LWLockRelease(jobs_shared->tally_lock);
}

void
jobs_tally_prune(Oid dboid, bool (*known) (JobId job))
{
	HASH_SEQ_STATUS status;
	JobsTally  *tally;

	LWLockAcquire(jobs_shared->tally_lock, LW_EXCLUSIVE);
	hash_seq_init(&status, tallies);
	while ((tally = hash_seq_search(&status)) != NULL)
	{
		if (tally->key.dboid == dboid && (known == NULL || !known(tally->key.job)))
			(void) hash_search(tallies, &tally->key, HASH_REMOVE, NULL);
	}
	LWLockRelease(jobs_shared->tally_lock);
}

/* ------------------------------------------------------------------------
 * What a transaction adds
 * ------------------------------------------------------------------------
 */

/* By this subtransaction, when all is committed. */
static Addition *
addition_to(const Job *job)
{
	static bool registered = false;
	SubTransactionId subid = GetCurrentSubTransactionId();
	Addition   *addition = additions != NIL ? llast(additions) : NULL;

	if (!registered)
	{
		RegisterXactCallback(at_xact_end, NULL);
		RegisterSubXactCallback(at_subxact_end, NULL);
		registered = true;
	}
	if (addition == NULL || addition->job != job->id || addition->round != job->round || addition->subid != subid)
	{
		MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

		addition = palloc0(sizeof(Addition));
		addition->job = job->id;
		addition->round = job->round;
		addition->subid = subid;
		additions = lappend(additions, addition);
		MemoryContextSwitchTo(old);
	}
	return addition;
}

void
jobs_tally_begin(const Job *job, const JobsItemCounts *counts)
{
	Addition   *addition = addition_to(job);

	if (addition->begun == NULL)
		addition->begun = MemoryContextAlloc(TopTransactionContext, sizeof(JobsTally));
	set_new(addition->begun, job);
	memcpy(addition->begun->n, counts->state, sizeof(counts->state));
	set_counted_from(addition->begun, counts, job->started_at);
}

void
jobs_tally_add(const Job *job, const JobsOutcome *outcome, int64 last_no, int64 n)
{
	Addition   *addition = addition_to(job);
	uint32		hash = 0;

	addition->n[outcome->state] += n;
	if (outcome->state == ITEM_FAILED)
		hash = jobs_equal_hash(0, outcome->message) ^ jobs_equal_hash(0, outcome->code);
	if (outcome->state != ITEM_FAILED || addition->equal_hash != hash)
	{
		/* The first of a transaction may go on with those before it. */
		addition->broken |= outcome->state != ITEM_FAILED || addition->equal_count > 0;
		addition->equal_count = 0;
		addition->equal_hash = hash;
	}
	if (outcome->state == ITEM_FAILED)
	{
		addition->equal_count += n;
		addition->equal_no = last_no;
	}
}

static void
at_xact_end(XactEvent event, void *arg)
{
	TransactionId *mine = &committing[MyProc - ProcGlobal->allProcs];
	ListCell   *cell;

	if (additions == NIL || event == XACT_EVENT_PRE_PREPARE)
		return;
	if (event == XACT_EVENT_PRE_COMMIT)
	{
		*mine = GetTopTransactionIdIfAny();
		return;
	}
	if (event == XACT_EVENT_COMMIT)
	{
		LWLockAcquire(jobs_shared->tally_lock, LW_EXCLUSIVE);
		foreach(cell, additions)
			apply(lfirst(cell));
		LWLockRelease(jobs_shared->tally_lock);
	}
	*mine = InvalidTransactionId;
	additions = NIL;
}

static void
apply(const Addition *addition)
{
	JobsTally  *tally = find(addition->job, addition->begun ? HASH_ENTER_NULL : HASH_FIND);

	if (tally && addition->begun)
		*tally = *addition->begun;
	if (tally == NULL || tally->round != addition->round)
		return;
	for (int i = 0; i < ITEM_NUM_STATES; i++)
	{
		tally->n[i] += addition->n[i];
		tally->since[i] += addition->n[i];
	}
	if (addition->broken || tally->equal_hash != addition->equal_hash)
		tally->equal_count = 0;
	tally->equal_hash = addition->equal_hash;
	tally->equal_count += addition->equal_count;
	if (addition->equal_count > 0)
		tally->equal_no = addition->equal_no;
}

/*
 * What a subtransaction added goes with it, or becomes its parent's.  It is last in the
 * list, and kept short, since a transaction may have many.
 */
static void
at_subxact_end(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	for (int i = list_length(additions) - 1; i >= 0; i--)
	{
		Addition   *addition = list_nth(additions, i);
		Addition   *before = i > 0 ? list_nth(additions, i - 1) : NULL;

		if (addition->subid != mySubid)
			break;
		addition->subid = parentSubid;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			additions = list_truncate(additions, i);
		else if (before && before->job == addition->job && before->round == addition->round &&
				 (before->subid == parentSubid || before->subid == mySubid) && !addition->begun &&
				 i == list_length(additions) - 1)
		{
			merge(before, addition);
			additions = list_truncate(additions, i);
		}
	}
}

/* What came next belongs to it. */
static void
merge(Addition *addition, const Addition *next)
{
	for (int i = 0; i < ITEM_NUM_STATES; i++)
		addition->n[i] += next->n[i];
	if (next->broken || addition->equal_hash != next->equal_hash)
	{
		addition->broken |= next->broken || addition->equal_count > 0;
		addition->equal_count = 0;
		addition->equal_hash = next->equal_hash;
	}
	addition->equal_count += next->equal_count;
	if (next->equal_count > 0)
		addition->equal_no = next->equal_no;
}
