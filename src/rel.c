/*-------------------------------------------------------------------------
 *
 * rel.c
 *	  The tables of schema jobs, row by row, through the table access methods.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_collation.h"
#include "commands/extension.h"
#include "compat.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "rel.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

static const struct
{
	const char *name;
	int			natts;
}			rels[JOBS_NUM_RELS] = {
	{"live", JOBS_LIVE_NATTS},
	{"history", JOBS_LIVE_NATTS},
	{"dependency", 2},
	{"paused", 4},
	{"file", JOBS_FILE_NATTS},
	{"chunk", JOBS_CHUNK_NATTS},
	{"share_token", 3},
	{"item_chunk", JOBS_ITEM_CHUNK_NATTS},
	{"outcome", JOBS_OUTCOME_NATTS},
	{"item_rule", JOBS_ITEM_RULE_NATTS},
	{"garbage", 1},
	{"offer", 6},
	{"job_lease", 12},
	{"claimer", 5},
	{"item_lease", 10},
	{"upload_entry", 6},
	{"upload_use", 2},
	{"issue", JOBS_ISSUE_NATTS},
	{"outbox", JOBS_OUTBOX_NATTS},
	{"outbox_attempt", JOBS_ATTEMPT_NATTS}
};

static void prepare_write(JobsRel *r);
static TupleTableSlot *fill_new_slot(JobsRel *r, const Datum *values, const bool *nulls);
static void finish_write(JobsRel *r);
static void init_key(ScanKey key, int attno, RegProcedure eq, Datum value);

/* ------------------------------------------------------------------------
 * Finding the extension
 * ------------------------------------------------------------------------
 */

/*
 * A schema called jobs counts only where it belongs to the extension.  That is
 * looked up once for each OID that the name has had in this process.
 */
Oid
jobs_rel_schema(void)
{
	static Oid	verified = InvalidOid;
	Oid			schema = get_namespace_oid("jobs", true);
	Oid			extension;

	if (!OidIsValid(schema) || schema == verified)
		return schema;
	extension = getExtensionOfObject(NamespaceRelationId, schema);
	if (!OidIsValid(extension) || extension != get_extension_oid("jobs", true))
		return InvalidOid;
	verified = schema;
	return schema;
}

Oid
jobs_rel_require_schema(void)
{
	Oid			schema = jobs_rel_schema();

	if (!OidIsValid(schema))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"jobs\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION jobs.")));
	return schema;
}

/* ------------------------------------------------------------------------
 * Opening and reading
 * ------------------------------------------------------------------------
 */

void
jobs_rel_open(JobsRel *r, JobsRelName name, LOCKMODE mode)
{
	Oid			oid = get_relname_relid(rels[name].name, jobs_rel_require_schema());

	memset(r, 0, sizeof(JobsRel));
	r->rel = OidIsValid(oid) ? try_table_open(oid, mode) : NULL;
	if (r->rel == NULL || RelationGetNumberOfAttributes(r->rel) != rels[name].natts)
	{
		/* Maybe it has just been dropped, which our caches did not know. */
		AcceptInvalidationMessages();
		(void) jobs_rel_require_schema();
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"jobs\" is of another version than its library"),
				 errhint("Run ALTER EXTENSION jobs UPDATE, or restart the server with the library of that version.")));
	}
	r->mode = mode;
	r->slot = table_slot_create(r->rel, NULL);
}

void
jobs_rel_close(JobsRel *r)
{
	ExecDropSingleTupleTableSlot(r->slot);
	if (r->estate)
	{
		ExecCloseIndices(r->target);
		ExecResetTupleTable(r->estate->es_tupleTable, false);
		FreeExecutorState(r->estate);
	}
	table_close(r->rel, r->mode == AccessShareLock ? AccessShareLock : NoLock);
}

Snapshot
jobs_rel_latest(void)
{
	return IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot();
}

Snapshot
jobs_rel_snapshot(void)
{
	return IsolationIsSerializable() ? SnapshotSelf : jobs_rel_latest();
}

void
jobs_rel_scan(JobsRelScan *s, JobsRel *r, const char *index, ScanKey keys, int nkeys, Snapshot snapshot)
{
	Oid			oid = get_relname_relid(index, RelationGetNamespace(r->rel));

	s->r = r;
	s->index = index_open(oid, AccessShareLock);
	s->snapshot = snapshot == SnapshotSelf ? snapshot : RegisterSnapshot(snapshot);
	s->scan = jobs_index_beginscan(r->rel, s->index, s->snapshot, nkeys);
	index_rescan(s->scan, keys, nkeys, NULL, 0);
}

bool
jobs_rel_next(JobsRelScan *s)
{
	return index_getnext_slot(s->scan, ForwardScanDirection, s->r->slot);
}

bool
jobs_rel_previous(JobsRelScan *s)
{
	return index_getnext_slot(s->scan, BackwardScanDirection, s->r->slot);
}

void
jobs_rel_scan_end(JobsRelScan *s)
{
	index_endscan(s->scan);
	index_close(s->index, AccessShareLock);
	if (s->snapshot != SnapshotSelf)
		UnregisterSnapshot(s->snapshot);
}

static void
init_key(ScanKey key, int attno, RegProcedure eq, Datum value)
{
	ScanKeyEntryInitialize(key, 0, attno, BTEqualStrategyNumber, InvalidOid,
						   C_COLLATION_OID, eq, value);
}

void
jobs_key_int8(ScanKey key, int attno, int64 value)
{
	init_key(key, attno, F_INT8EQ, Int64GetDatum(value));
}

/* Two keys: lo <= column <= hi. */
void
jobs_key_int8_range(ScanKey keys, int attno, int64 lo, int64 hi)
{
	ScanKeyInit(&keys[0], attno, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(lo));
	ScanKeyInit(&keys[1], attno, BTLessEqualStrategyNumber, F_INT8LE, Int64GetDatum(hi));
}

void
jobs_key_oid(ScanKey key, int attno, Oid value)
{
	init_key(key, attno, F_OIDEQ, ObjectIdGetDatum(value));
}

void
jobs_key_oid_above(ScanKey key, int attno, Oid value)
{
	ScanKeyInit(key, attno, BTGreaterStrategyNumber, F_OIDGT, ObjectIdGetDatum(value));
}

void
jobs_key_text(ScanKey key, int attno, const char *value)
{
	init_key(key, attno, F_TEXTEQ, CStringGetTextDatum(value));
}

void
jobs_key_bytea(ScanKey key, int attno, const bytea *value)
{
	init_key(key, attno, F_BYTEAEQ, PointerGetDatum(value));
}

bool
jobs_rel_find(JobsRel *r, const char *index, int64 id)
{
	JobsRelScan scan;
	ScanKeyData key;
	bool		found;

	jobs_key_int8(&key, 1, id);
	jobs_rel_scan(&scan, r, index, &key, 1, jobs_rel_snapshot());
	found = jobs_rel_next(&scan);
	if (found)
		ExecMaterializeSlot(r->slot);
	jobs_rel_scan_end(&scan);
	return found;
}

bool
jobs_rel_lock(JobsRel *r, JobsWaitPolicy policy, bool *held)
{
	ItemPointerData tid = r->slot->tts_tid;
	Snapshot	snapshot = jobs_rel_snapshot();
	TM_FailureData failure;
	TM_Result	result;

	if (held)
		*held = false;
	if (snapshot != SnapshotSelf)
		snapshot = RegisterSnapshot(snapshot);
	result = table_tuple_lock(r->rel, &tid, snapshot, r->slot, GetCurrentCommandId(false),
							  LockTupleExclusive,
							  policy == JOBS_WAIT_SKIP ? LockWaitSkip : LockWaitBlock,
							  TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
	if (snapshot != SnapshotSelf)
		UnregisterSnapshot(snapshot);
	switch (result)
	{
		case TM_Ok:
			return true;
		case TM_WouldBlock:
			if (held)
				*held = true;
			return false;
		case TM_Deleted:
		case TM_Updated:
		case TM_SelfModified:
			return false;
		default:
			elog(ERROR, "unexpected result %d of locking a row of \"%s\"", result,
				 RelationGetRelationName(r->rel));
	}
	return false;				/* not reached */
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------
 */

/*
 * Triggers do not fire, nor is row security asked: we are no user's statement.
 * Whoever was given rights on the tables, by a GRANT on all of them for
 * instance, could else have others run his code.
 */
static void
prepare_write(JobsRel *r)
{
	if (r->estate != NULL)
		return;
	r->estate = CreateExecutorState();
	r->target = makeNode(ResultRelInfo);
	InitResultRelInfo(r->target, r->rel, 0, NULL, 0);
	r->target->ri_TrigDesc = NULL;
	ExecOpenIndices(r->target, false);
	r->new_slot = ExecInitExtraTupleSlot(r->estate, RelationGetDescr(r->rel), &TTSOpsVirtual);
}

static TupleTableSlot *
fill_new_slot(JobsRel *r, const Datum *values, const bool *nulls)
{
	int			natts = RelationGetNumberOfAttributes(r->rel);

	ExecClearTuple(r->new_slot);
	memcpy(r->new_slot->tts_values, values, natts * sizeof(Datum));
	memcpy(r->new_slot->tts_isnull, nulls, natts * sizeof(bool));
	return ExecStoreVirtualTuple(r->new_slot);
}

static void
finish_write(JobsRel *r)
{
	ResetPerTupleExprContext(r->estate);
	CommandCounterIncrement();
}

void
jobs_rel_insert(JobsRel *r, const Datum *values, const bool *nulls)
{
	prepare_write(r);
	ExecSimpleRelationInsert(r->target, r->estate, fill_new_slot(r, values, nulls));
	finish_write(r);
}

void
jobs_rel_update(JobsRel *r, const Datum *values, const bool *nulls)
{
	EPQState	epq;

	prepare_write(r);
	jobs_EvalPlanQualInit(&epq, r->estate);
	ExecSimpleRelationUpdate(r->target, r->estate, &epq, r->slot, fill_new_slot(r, values, nulls));
	finish_write(r);
}

void
jobs_rel_delete(JobsRel *r)
{
	EPQState	epq;

	prepare_write(r);
	jobs_EvalPlanQualInit(&epq, r->estate);
	ExecSimpleRelationDelete(r->target, r->estate, &epq, r->slot);
	finish_write(r);
}

int64
jobs_rel_delete_by_job(JobsRelName name, const char *index, int attno, JobId job,
					   JobsWaitPolicy policy, int64 limit)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData key;
	int64		n = 0;

	jobs_rel_open(&r, name, RowExclusiveLock);
	jobs_key_int8(&key, attno, job);
	jobs_rel_scan(&scan, &r, index, &key, 1, jobs_rel_snapshot());
	while (n < limit && jobs_rel_next(&scan))
	{
		CHECK_FOR_INTERRUPTS();
		if (!jobs_rel_lock(&r, policy, NULL))
			continue;
		jobs_rel_delete(&r);
		n++;
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	return n;
}

void
jobs_rel_insert_rows(JobsRel *r, Datum *values, int nrows)
{
	int			natts = RelationGetNumberOfAttributes(r->rel);

	Assert(nrows <= JOBS_MAX_ROWS);
	prepare_write(r);
	for (int i = 0; i < nrows; i++)
	{
		if (r->row_slots[i] == NULL)
			r->row_slots[i] = ExecInitExtraTupleSlot(r->estate, RelationGetDescr(r->rel),
													 table_slot_callbacks(r->rel));
		ExecClearTuple(r->row_slots[i]);
		memcpy(r->row_slots[i]->tts_values, values + i * natts, natts * sizeof(Datum));
		memset(r->row_slots[i]->tts_isnull, false, natts * sizeof(bool));
		ExecStoreVirtualTuple(r->row_slots[i]);
	}
	table_multi_insert(r->rel, r->row_slots, nrows, GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < nrows; i++)
	{
		(void) jobs_ExecInsertIndexTuples(r->target, r->row_slots[i], r->estate);
		ResetPerTupleExprContext(r->estate);
	}
}
