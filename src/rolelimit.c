/*-------------------------------------------------------------------------
 *
 * rolelimit.c
 *	  Limits that an administrator gives to roles and databases.
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
#include "guc.h"
#include "miscadmin.h"
#include "rolelimit.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define SETTING		"jobs.max_running_per_role"
#define KEEP_US		USECS_PER_SEC

typedef struct Known
{
	Oid			role;
	int			limit;
	TimestampTz at;
} Known;

static HTAB *known = NULL;

static bool read_setting(Relation rel, Oid database, Oid role, int *limit);
static int	read_limit(Oid role);

/* The value in one row of pg_db_role_setting. */
static bool
read_setting(Relation rel, Oid database, Oid role, int *limit)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&keys[0], Anum_pg_db_role_setting_setdatabase, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(database));
	ScanKeyInit(&keys[1], Anum_pg_db_role_setting_setrole, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(role));
	scan = systable_beginscan(rel, DbRoleSettingDatidRolidIndexId, true, NULL, 2, keys);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		settings = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig,
											RelationGetDescr(rel), &isnull);
		Datum	   *values;
		int			n;

		if (isnull)
			continue;
		deconstruct_array(DatumGetArrayTypeP(settings), TEXTOID, -1, false, TYPALIGN_INT, &values, NULL, &n);
		for (int i = 0; i < n && !found; i++)
		{
			char	   *value = TextDatumGetCString(values[i]);

			if (strncmp(value, SETTING "=", strlen(SETTING "=")) == 0)
				found = parse_int(value + strlen(SETTING "="), limit, 0, NULL);
		}
	}
	systable_endscan(scan);
	return found;
}

/* In the order in which a session would apply them. */
static int
read_limit(Oid role)
{
	Relation	rel = table_open(DbRoleSettingRelationId, AccessShareLock);
	int			limit = jobs_max_running_per_role;

	if (!read_setting(rel, MyDatabaseId, role, &limit) &&
		!read_setting(rel, InvalidOid, role, &limit) &&
		!read_setting(rel, MyDatabaseId, InvalidOid, &limit))
		(void) read_setting(rel, InvalidOid, InvalidOid, &limit);
	table_close(rel, AccessShareLock);
	return limit;
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
		entry->limit = read_limit(role);
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
	}
	else
		entry->limit = read_limit(role);
	entry->at = now;
	return entry->limit;
}
