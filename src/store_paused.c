/*-------------------------------------------------------------------------
 *
 * store_paused.c
 *	  Paused queues: part of the store.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "executor/executor.h"
#include "rel.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define GET(a)		(slot->tts_values[a])
#define GET_TEXT(a)	TextDatumGetCString(GET(a))

static bool find_paused(JobsRel *r, const char *queue, Oid owner, const char *tenant);

static bool
find_paused(JobsRel *r, const char *queue, Oid owner, const char *tenant)
{
	JobsRelScan scan;
	ScanKeyData keys[3];
	bool		found;

	jobs_key_text(&keys[0], 1, queue);
	jobs_key_oid(&keys[1], 2, owner);
	jobs_key_text(&keys[2], 3, tenant);
	jobs_rel_scan(&scan, r, "paused_pkey", keys, 3, jobs_rel_snapshot());
	found = jobs_rel_next(&scan);
	if (found)
		ExecMaterializeSlot(r->slot);
	jobs_rel_scan_end(&scan);
	return found;
}

/* The key's lock lets two sessions pause the same queue at once. */
bool
jobs_store_pause(const char *queue, Oid owner, const char *tenant)
{
	JobsRel		paused;
	bool		found;

	jobs_store_lock_key(owner, tenant, queue);
	jobs_rel_open(&paused, REL_PAUSED, RowExclusiveLock);
	found = find_paused(&paused, queue, owner, tenant);
	if (!found)
	{
		Datum		values[4] = {CStringGetTextDatum(queue), ObjectIdGetDatum(owner),
		CStringGetTextDatum(tenant), TimestampTzGetDatum(GetCurrentTimestamp())};
		bool		nulls[4] = {false, false, false, false};

		jobs_rel_insert(&paused, values, nulls);
	}
	jobs_rel_close(&paused);
	return !found;
}

bool
jobs_store_resume(const char *queue, Oid owner, const char *tenant)
{
	JobsRel		paused;
	bool		found;

	jobs_store_lock_key(owner, tenant, queue);
	jobs_rel_open(&paused, REL_PAUSED, RowExclusiveLock);
	found = find_paused(&paused, queue, owner, tenant) && jobs_rel_lock(&paused, JOBS_WAIT_BLOCK, NULL);
	if (found)
		jobs_rel_delete(&paused);
	jobs_rel_close(&paused);
	return found;
}

List *
jobs_store_paused(void)
{
	JobsRel		paused;
	Snapshot	snapshot = RegisterSnapshot(jobs_rel_latest());
	TableScanDesc scan;
	List	   *list = NIL;

	jobs_rel_open(&paused, REL_PAUSED, AccessShareLock);
	scan = table_beginscan(paused.rel, snapshot, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, paused.slot))
	{
		TupleTableSlot *slot = paused.slot;
		JobsPaused *p = palloc(sizeof(JobsPaused));

		slot_getallattrs(slot);
		p->queue = GET_TEXT(0);
		p->owner = DatumGetObjectId(GET(1));
		p->tenant = GET_TEXT(2);
		list = lappend(list, p);
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	jobs_rel_close(&paused);
	return list;
}

bool
jobs_paused_applies(const JobsPaused *paused, const char *queue, Oid owner, const char *tenant)
{
	return strcmp(paused->queue, queue) == 0 &&
		(!OidIsValid(paused->owner) ||
		 (paused->owner == owner &&
		  (paused->tenant[0] == '\0' || strcmp(paused->tenant, tenant) == 0)));
}
