/*-------------------------------------------------------------------------
 *
 * rolesetting.c
 *	  Settings that an administrator gives to roles and databases.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "guc.h"
#include "miscadmin.h"
#include "rolesetting.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define RUNNING		"jobs.max_running_per_role"
#define KEEP_US		USECS_PER_SEC

typedef struct Known
{
	Oid			role;
	int			limit;
	TimestampTz at;
} Known;

static HTAB *known = NULL;

static HeapTuple setting_row(Relation rel, Oid database, Oid role);
static bool read_setting(Relation rel, Oid database, Oid role, const char *setting, int *limit);
static int	read_limit(Oid role, const char *setting, int limit);
static uint64 row_stamp(Relation rel, Oid database, Oid role, uint64 stamp);

/* A copy of one row of pg_db_role_setting, or NULL. */
static HeapTuple
setting_row(Relation rel, Oid database, Oid role)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_db_role_setting_setdatabase, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(database));
	ScanKeyInit(&keys[1], Anum_pg_db_role_setting_setrole, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(role));
	scan = systable_beginscan(rel, DbRoleSettingDatidRolidIndexId, true, NULL, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

static bool
read_setting(Relation rel, Oid database, Oid role, const char *setting, int *limit)
{
	HeapTuple	tuple = setting_row(rel, database, role);
	Datum		settings;
	Datum	   *values;
	bool		isnull;
	bool		found = false;
	int			n;

	if (tuple == NULL)
		return false;
	settings = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig, RelationGetDescr(rel), &isnull);
	if (isnull)
		return false;
	deconstruct_array(DatumGetArrayTypeP(settings), TEXTOID, -1, false, TYPALIGN_INT, &values, NULL, &n);
	for (int i = 0; i < n && !found; i++)
	{
		char	   *value = TextDatumGetCString(values[i]);

		if (strncmp(value, setting, strlen(setting)) == 0 && value[strlen(setting)] == '=')
			found = parse_int(value + strlen(setting) + 1, limit, 0, NULL);
	}
	return found;
}

/*
 * In the order in which a session would apply them; limit is this process's own.
 * Settings of more than 2 kB are stored apart, and reading them takes a snapshot,
 * which the scheduler has none of.
 */
static int
read_limit(Oid role, const char *setting, int limit)
{
	Relation	rel = table_open(DbRoleSettingRelationId, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(DbRoleSettingRelationId));

	if (!read_setting(rel, MyDatabaseId, role, setting, &limit) &&
		!read_setting(rel, InvalidOid, role, setting, &limit) &&
		!read_setting(rel, MyDatabaseId, InvalidOid, setting, &limit))
		(void) read_setting(rel, InvalidOid, InvalidOid, setting, &limit);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return limit;
}

int
jobs_role_max_deliveries(Oid role)
{
	return read_limit(role, "jobs.max_deliveries_per_role", jobs_max_deliveries_per_role);
}

int
jobs_role_limit(Oid role)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		own_transaction = !IsTransactionState();
	Known	   *entry;
	bool		found;

	if (known == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(Known)};

		known = hash_create("jobs role limits", 32, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(known, &role, HASH_ENTER, &found);
	if (found && now >= entry->at && now - entry->at < KEEP_US)
		return entry->limit;
	entry->at = 0;
	if (own_transaction)
	{
		MemoryContext context = CurrentMemoryContext;

		StartTransactionCommand();
		entry->limit = read_limit(role, RUNNING, jobs_max_running_per_role);
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
	}
	else
		entry->limit = read_limit(role, RUNNING, jobs_max_running_per_role);
	entry->at = now;
	return entry->limit;
}

/* A row that has been written anew has another place or another transaction. */
static uint64
row_stamp(Relation rel, Oid database, Oid role, uint64 stamp)
{
	HeapTuple	tuple = setting_row(rel, database, role);

	if (tuple == NULL)
		return hash_combine64(stamp, database);
	stamp = hash_combine64(stamp, HeapTupleHeaderGetRawXmin(tuple->t_data));
	stamp = hash_combine64(stamp, ItemPointerGetBlockNumber(&tuple->t_self));
	stamp = hash_combine64(stamp, ItemPointerGetOffsetNumber(&tuple->t_self));
	heap_freetuple(tuple);
	return stamp;
}

uint64
jobs_role_settings_stamp(Oid role)
{
	Relation	rel = table_open(DbRoleSettingRelationId, AccessShareLock);
	uint64		stamp;

	stamp = row_stamp(rel, MyDatabaseId, role, 0);
	stamp = row_stamp(rel, InvalidOid, role, stamp);
	stamp = row_stamp(rel, MyDatabaseId, InvalidOid, stamp);
	stamp = row_stamp(rel, InvalidOid, InvalidOid, stamp);
	table_close(rel, AccessShareLock);
	return stamp;
}

/* With the sources of a session's start, so that RESET comes back to them. */
void
jobs_apply_role_settings(Oid role)
{
	Relation	rel = table_open(DbRoleSettingRelationId, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(DbRoleSettingRelationId));

	ApplySetting(snapshot, InvalidOid, role, rel, PGC_S_USER);
	ApplySetting(snapshot, MyDatabaseId, role, rel, PGC_S_DATABASE_USER);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
}
