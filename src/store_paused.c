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
#include "miscadmin.h"
#include "rel.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define GET(a)		(slot->tts_values[a])
#define GET_TEXT(a)	TextDatumGetCString(GET(a))

/* Of one role.  The scheduler keeps all pauses in memory, for everybody. */
#define MAX_PAUSED		1000

static bool find_paused(JobsRel *r, const char *queue, Oid owner, const char *tenant);
static void check_max_paused(Oid owner);

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

		check_max_paused(owner);
		jobs_rel_insert(&paused, values, nulls);
	}
	jobs_rel_close(&paused);
	return !found;
}

/* Operators, who pause for everybody, know what they do. */
static void
check_max_paused(Oid owner)
{
	ListCell   *cell;
	int			n = 0;

	if (!OidIsValid(owner))
		return;
	foreach(cell, jobs_store_paused(NULL))
		n += ((JobsPaused *) lfirst(cell))->owner == owner;
	if (n >= MAX_PAUSED)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many queues are paused by role \"%s\"", GetUserNameFromId(owner, false)),
				 errdetail("A role can have %d of them.", MAX_PAUSED),
				 errhint("Resume those that need not be paused any more.")));
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
jobs_store_paused(const char *queue)
{
	JobsRel		paused;
	JobsRelScan scan;
	ScanKeyData key;
	List	   *list = NIL;

	jobs_rel_open(&paused, REL_PAUSED, AccessShareLock);
	if (queue)
		jobs_key_text(&key, 1, queue);
	jobs_rel_scan(&scan, &paused, "paused_pkey", queue ? &key : NULL, queue ? 1 : 0, jobs_rel_snapshot());
	while (jobs_rel_next(&scan))
	{
		TupleTableSlot *slot = paused.slot;
		JobsPaused *p = palloc(sizeof(JobsPaused));

		slot_getallattrs(slot);
		p->queue = GET_TEXT(0);
		p->owner = DatumGetObjectId(GET(1));
		p->tenant = GET_TEXT(2);
		list = lappend(list, p);
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&paused);
	return list;
}

bool
jobs_store_is_paused(const Job *job)
{
	JobsRel		paused;
	bool		found;

	jobs_rel_open(&paused, REL_PAUSED, AccessShareLock);
	found = find_paused(&paused, job->queue, InvalidOid, "") ||
		find_paused(&paused, job->queue, job->owner, "") ||
		(job->tenant[0] != '\0' && find_paused(&paused, job->queue, job->owner, job->tenant));
	jobs_rel_close(&paused);
	return found;
}

bool
jobs_paused_applies(const JobsPaused *paused, const char *queue, Oid owner, const char *tenant)
{
	return strcmp(paused->queue, queue) == 0 &&
		(!OidIsValid(paused->owner) ||
		 (paused->owner == owner &&
		  (paused->tenant[0] == '\0' || strcmp(paused->tenant, tenant) == 0)));
}
