/*-------------------------------------------------------------------------
 *
 * undo.c
 *	  jobs.undo_import: takes an import back.
 *
 * Two statements of the caller's, with his rights, policies and triggers: one deletes
 * what was inserted, one writes old values back.  A row that somebody has changed
 * has another place or another xmin than the record says, and is let alone.
 *
 * Places that are not known are found anew, see find_lost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "args.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "control.h"
#include "fmgr.h"
#include "funcapi.h"
#include "import/import.h"
#include "import/statement.h"
#include "import/undo.h"
#include "import/update.h"
#include "import/verdict.h"
#include "miscadmin.h"
#include "rel.h"
#include "store.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(jobs_undo_import);

/* A transaction's number means another transaction after so many. */
#define MAX_AGE		(UINT64CONST(1) << 31)

/*
 * What has inserted rows whose places are lost.  One without a transaction stands for
 * the table, and one without a table for any.
 */
typedef struct Writer
{
	Oid			rel;
	TransactionId xid;
	CommandId	cid;
} Writer;

typedef struct Undo
{
	Job		   *import;
	Relation	target;
	Snapshot	snapshot;
	char	   *name;			/* of the target */
	Oid			last_rel;		/* whose file's number was looked up last */
	uint64		last_number;

	/* what was inserted */
	TupleDesc	places_desc;
	Tuplestorestate *places;
	int64		nplaces;
	HTAB	   *writers;		/* or NULL */

	/* what was updated */
	AttrNumber *columns;
	int			ncolumns;
	FmgrInfo   *inputs;
	Oid		   *ioparams;
	TupleDesc	old_desc;
	Tuplestorestate *old;
	int64		nold;
} Undo;

static void check_undoable(const Job *import);
static void open_undo(Undo *u);
static void find_columns(Undo *u);
static void read_inserted(Undo *u);
static void read_updated(Undo *u);
static bytea *next_chunk(Undo *u, int64 *seq, const char **p, const char **end);
static void add_place(Undo *u, Oid rel, TransactionId xid, ItemPointer tid);
static void add_writer(Undo *u, Oid rel, TransactionId xid, CommandId cid);
static bool is_writer(const Undo *u, Oid rel, TransactionId xid, CommandId cid);
static void find_lost(Undo *u);
static void find_lost_in(Undo *u, Relation rel, Oid writer);
static bool file_is_same(Undo *u, Oid relid, uint64 number);
static int64 delete_rows(Undo *u);
static int64 restore_rows(Undo *u);
static void mark_undone(Undo *u);
static Datum answer(FunctionCallInfo fcinfo, const Undo *u, int64 deleted, int64 restored);

/*
 * jobs.undo_import(job bigint)
 */
Datum
jobs_undo_import(PG_FUNCTION_ARGS)
{
	JobId		id = jobs_changed_job_arg(fcinfo, "jobs.undo_import()");
	Undo		u = {0};
	int64		deleted;
	int64		restored;

	u.import = jobs_lock_controlled_final(id, "undone", "Wait until it has ended, or cancel it.");
	check_undoable(u.import);
	open_undo(&u);
	read_inserted(&u);
	find_lost(&u);
	read_updated(&u);
	/* The other way round as the import did it. */
	restored = restore_rows(&u);
	CommandCounterIncrement();
	deleted = delete_rows(&u);
	mark_undone(&u);
	tuplestore_end(u.places);
	if (u.old)
		tuplestore_end(u.old);
	UnregisterSnapshot(u.snapshot);
	relation_close(u.target, NoLock);
	return answer(fcinfo, &u, deleted, restored);
}

static void
check_undoable(const Job *import)
{
	if (import->kind != JOB_IMPORT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld is no import", (long long) import->id),
				 errhint("Pass the id that jobs.import has returned.")));
	if (import->state != JOB_SUCCEEDED || import->result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("import %lld has not succeeded", (long long) import->id),
				 errhint("It has left nothing in the table.")));
	if (jobs_result_text(import->result, "undone_at"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("import %lld has been taken back already", (long long) import->id),
				 errhint("What could not be taken back then cannot be now.")));
	if (!jobs_result_bool(import->result, "undoable"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("import %lld cannot be taken back", (long long) import->id),
				 errdetail("Of rows that went into a view or a foreign table nobody knows where they are."),
				 errhint("Delete them by their keys.")));
}

static void
open_undo(Undo *u)
{
	Oid			target = (Oid) jobs_result_int(u->import->options, "target");

	u->target = try_relation_open(target, RowExclusiveLock);
	if (u->target == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s has been dropped", u->import->command),
				 errhint("The rows of import %lld have gone with it.", (long long) u->import->id)));
	u->name = jobs_target_name(RelationGetRelid(u->target));
	u->snapshot = RegisterSnapshot(GetLatestSnapshot());
	u->places_desc = CreateTemplateTupleDesc(3);
	TupleDescInitEntry(u->places_desc, 1, "tid", TIDOID, -1, 0);
	TupleDescInitEntry(u->places_desc, 2, "rel", OIDOID, -1, 0);
	TupleDescInitEntry(u->places_desc, 3, "xid", XIDOID, -1, 0);
	u->places = tuplestore_begin_heap(true, false, work_mem);
	find_columns(u);
}

/* Those that were updated, by their names; one that has gone since is left out. */
static void
find_columns(Undo *u)
{
	Jsonb	   *names = jobs_result_object(u->import->result, "updated_columns");
	int			n = names ? JB_ROOT_COUNT(names) : 0;

	u->ncolumns = n;
	u->columns = palloc0(Max(n, 1) * sizeof(AttrNumber));
	u->inputs = palloc0(Max(n, 1) * sizeof(FmgrInfo));
	u->ioparams = palloc0(Max(n, 1) * sizeof(Oid));
	u->old_desc = CreateTemplateTupleDesc(3 + n);
	TupleDescInitEntry(u->old_desc, 1, "tid", TIDOID, -1, 0);
	TupleDescInitEntry(u->old_desc, 2, "rel", OIDOID, -1, 0);
	TupleDescInitEntry(u->old_desc, 3, "xid", XIDOID, -1, 0);
	for (int i = 0; i < n; i++)
	{
		JsonbValue *name = getIthJsonbValueFromContainer(&names->root, i);
		AttrNumber	attnum = get_attnum(RelationGetRelid(u->target),
										pnstrdup(name->val.string.val, name->val.string.len));
		Form_pg_attribute a = attnum > 0 ? TupleDescAttr(RelationGetDescr(u->target), attnum - 1) : NULL;

		u->columns[i] = attnum;
		TupleDescInitEntry(u->old_desc, 4 + i, psprintf("c%d", i + 1), a ? a->atttypid : TEXTOID, a ? a->atttypmod : -1, 0);
		if (a)
		{
			Oid			input;

			getTypeInputInfo(a->atttypid, &input, &u->ioparams[i]);
			fmgr_info(input, &u->inputs[i]);
			TupleDescInitEntryCollation(u->old_desc, 4 + i, a->attcollation);
		}
	}
	if (n > 0)
		u->old = tuplestore_begin_heap(true, false, work_mem);
}

/* ------------------------------------------------------------------------
 * Reading the record
 * ------------------------------------------------------------------------
 */

/* NULL at the end; a record of transactions so old that their numbers may be others' by now is refused. */
static bytea *
next_chunk(Undo *u, int64 *seq, const char **p, const char **end)
{
	bytea	   *chunk = jobs_store_get_chunk(u->import->id, (*seq)++, u->snapshot);
	uint64		transaction;

	if (chunk == NULL)
		return NULL;
	*p = VARDATA_ANY(chunk);
	*end = *p + VARSIZE_ANY_EXHDR(chunk);
	transaction = jobs_read_varint(p, *end);
	/* The statements would not see the import's rows, and take them for changed. */
	if (IsolationUsesXactSnapshot() && XidInMVCCSnapshot((TransactionId) transaction, GetTransactionSnapshot()))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errhint("The transaction might succeed if retried.")));
	if (U64FromFullTransactionId(ReadNextFullTransactionId()) - transaction > MAX_AGE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("import %lld is too old to be taken back", (long long) u->import->id),
				 errhint("More than two billion transactions have run since.")));
	return chunk;
}

static void
read_inserted(Undo *u)
{
	int64		seq = UNDO_INSERTED;
	const char *p;
	const char *end;
	bytea	   *chunk;

	while ((chunk = next_chunk(u, &seq, &p, &end)) != NULL)
	{
		Oid			rel = InvalidOid;
		TransactionId xid = InvalidTransactionId;
		bool		known = false;
		int64		block = 0;

		CHECK_FOR_INTERRUPTS();
		while (p < end)
		{
			uint64		head = jobs_read_varint(&p, end);

			if (head == 0)
			{
				uint64		number;
				CommandId	cid;
				bool		all;

				rel = (Oid) jobs_read_varint(&p, end);
				number = jobs_read_varint(&p, end);
				xid = (TransactionId) jobs_read_varint(&p, end);
				cid = (CommandId) jobs_read_varint(&p, end);
				all = jobs_read_varint(&p, end) == 1;
				known = !all && file_is_same(u, rel, number);
				if (!known)
					add_writer(u, rel, xid, cid);
				block = 0;
			}
			else
			{
				uint64		offset = jobs_read_varint(&p, end);
				uint64		n = jobs_read_varint(&p, end);

				head--;
				block += head & 1 ? -(int64) (head >> 1) : (int64) (head >> 1);
				for (uint64 i = 0; i < n && known; i++)
				{
					ItemPointerData tid;

					ItemPointerSet(&tid, (BlockNumber) block, (OffsetNumber) (offset + i));
					add_place(u, rel, xid, &tid);
				}
			}
		}
		pfree(chunk);
	}
}

/* VACUUM FULL and CLUSTER move rows and keep their writers; other rewrites keep neither. */
static bool
file_is_same(Undo *u, Oid relid, uint64 number)
{
	if (relid != u->last_rel)
	{
		Relation	rel = try_relation_open(relid, AccessShareLock);

		u->last_rel = relid;
		u->last_number = rel ? jobs_file_number(rel) : 0;
		if (rel)
			relation_close(rel, AccessShareLock);
	}
	return u->last_number == number;
}

static void
add_place(Undo *u, Oid rel, TransactionId xid, ItemPointer tid)
{
	Datum		values[3] = {PointerGetDatum(tid), ObjectIdGetDatum(rel), TransactionIdGetDatum(xid)};
	bool		nulls[3] = {false};

	tuplestore_putvalues(u->places, u->places_desc, values, nulls);
	u->nplaces++;
}

static void
add_writer(Undo *u, Oid rel, TransactionId xid, CommandId cid)
{
	HASHCTL		ctl = {.keysize = sizeof(Writer), .entrysize = sizeof(Writer), .hcxt = CurrentMemoryContext};
	Writer		table = {rel, InvalidTransactionId, 0};
	Writer		writer = {rel, xid, cid};

	if (u->writers == NULL)
		u->writers = hash_create("jobs undo writers", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	(void) hash_search(u->writers, &table, HASH_ENTER, NULL);
	(void) hash_search(u->writers, &writer, HASH_ENTER, NULL);
}

static bool
is_writer(const Undo *u, Oid rel, TransactionId xid, CommandId cid)
{
	Writer		writer = {rel, xid, cid};

	return hash_search(u->writers, &writer, HASH_FIND, NULL) != NULL;
}

/* ------------------------------------------------------------------------
 * Places that are not known
 * ------------------------------------------------------------------------
 */

/* By one pass over each table. */
static void
find_lost(Undo *u)
{
	Oid			target = RelationGetRelid(u->target);
	List	   *tables;
	ListCell   *cell;

	if (u->writers == NULL)
		return;
	tables = u->target->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ?
		find_all_inheritors(target, RowExclusiveLock, NULL) : list_make1_oid(target);
	foreach(cell, tables)
	{
		Oid			relid = lfirst_oid(cell);
		Oid			writer = is_writer(u, InvalidOid, InvalidTransactionId, 0) ? InvalidOid : relid;
		Relation	rel;

		if (!is_writer(u, writer, InvalidTransactionId, 0))
			continue;
		rel = relation_open(relid, NoLock);
		if (rel->rd_tableam == GetHeapamTableAmRoutine())
			find_lost_in(u, rel, writer);
		relation_close(rel, NoLock);
	}
}

/*
 * The import's transaction may have written more than the import has: what its triggers
 * did was done by other commands.  A version of a row that was there before is never
 * taken, nor is a row whose command is not known any more, because somebody has tried to
 * change or delete it.
 */
static void
find_lost_in(Undo *u, Relation rel, Oid writer)
{
	TableScanDesc scan = table_beginscan(rel, u->snapshot, 0, NULL);
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		HeapTupleHeader header = tuple->t_data;
		TransactionId xid = HeapTupleHeaderGetRawXmin(header);

		CHECK_FOR_INTERRUPTS();
		if ((header->t_infomask & (HEAP_UPDATED | HEAP_COMBOCID)) == 0 &&
			(!TransactionIdIsValid(HeapTupleHeaderGetRawXmax(header)) || HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask)) &&
			is_writer(u, writer, xid, HeapTupleHeaderGetRawCommandId(header)))
			add_place(u, RelationGetRelid(rel), xid, &tuple->t_self);
	}
	table_endscan(scan);
}

static void
read_updated(Undo *u)
{
	int64		seq = UNDO_UPDATED;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "jobs undo row", ALLOCSET_DEFAULT_SIZES);
	Datum	   *values = palloc((3 + u->ncolumns) * sizeof(Datum));
	bool	   *nulls = palloc0((3 + u->ncolumns) * sizeof(bool));
	const char *p;
	const char *end;
	bytea	   *chunk;

	while (u->ncolumns > 0 && (chunk = next_chunk(u, &seq, &p, &end)) != NULL)
	{
		while (p < end)
		{
			MemoryContext old = MemoryContextSwitchTo(context);
			ItemPointerData tid;
			BlockNumber block;
			Oid			rel = (Oid) jobs_read_varint(&p, end);
			bool		known = file_is_same(u, rel, jobs_read_varint(&p, end));

			CHECK_FOR_INTERRUPTS();
			values[1] = ObjectIdGetDatum(rel);
			values[2] = TransactionIdGetDatum((TransactionId) jobs_read_varint(&p, end));
			block = (BlockNumber) jobs_read_varint(&p, end);
			ItemPointerSet(&tid, block, (OffsetNumber) jobs_read_varint(&p, end));
			values[0] = PointerGetDatum(&tid);
			(void) jobs_read_varint(&p, end);	/* length */
			for (int i = 0; i < u->ncolumns; i++)
			{
				uint64		len = jobs_read_varint(&p, end);

				nulls[3 + i] = len == 0 || u->columns[i] <= 0;
				if (len > 1 && len - 1 > end - p)
					jobs_record_damaged();
				if (known && len > 0 && u->columns[i] > 0)
					values[3 + i] = InputFunctionCall(&u->inputs[i], pnstrdup(p, len - 1), u->ioparams[i],
													  TupleDescAttr(u->old_desc, 3 + i)->atttypmod);
				if (len > 0)
					p += len - 1;
			}
			/* In another file, the place may be that of another row of the same writer. */
			if (known)
			{
				tuplestore_putvalues(u->old, u->old_desc, values, nulls);
				u->nold++;
			}
			MemoryContextSwitchTo(old);
			MemoryContextReset(context);
		}
		pfree(chunk);
	}
	MemoryContextDelete(context);
}

/* ------------------------------------------------------------------------
 * Statements
 * ------------------------------------------------------------------------
 */

static int64
delete_rows(Undo *u)
{
	if (u->nplaces == 0)
		return 0;
	return jobs_statement_execute(psprintf("DELETE FROM %s AS t USING jobs_rows AS r"
										   " WHERE t.ctid OPERATOR(pg_catalog.=) r.tid"
										   " AND t.tableoid OPERATOR(pg_catalog.=) r.rel"
										   " AND t.xmin OPERATOR(pg_catalog.=) r.xid", u->name),
								  u->places_desc, u->places, u->nplaces, NULL);
}

static int64
restore_rows(Undo *u)
{
	StringInfoData sql;
	int			n = 0;

	if (u->nold == 0)
		return 0;
	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS t SET ", u->name);
	for (int i = 0; i < u->ncolumns; i++)
	{
		if (u->columns[i] > 0)
			appendStringInfo(&sql, "%s%s = r.c%d", n++ > 0 ? ", " : "",
							 jobs_column_list(u->target, &u->columns[i], 1, ""), i + 1);
	}
	if (n == 0)
		return 0;
	appendStringInfoString(&sql, " FROM jobs_rows AS r WHERE t.ctid OPERATOR(pg_catalog.=) r.tid"
						   " AND t.tableoid OPERATOR(pg_catalog.=) r.rel AND t.xmin OPERATOR(pg_catalog.=) r.xid");
	return jobs_statement_execute(sql.data, u->old_desc, u->old, u->nold, NULL);
}

/* The record has served, and the preview can. */
static void
mark_undone(Undo *u)
{
	u->import->result = jobs_with_text(u->import->result, "undone_at",
									   timestamptz_to_str(GetCurrentTimestamp()));
	jobs_store_update_final(u->import, u->import->state);
	jobs_import_forget(u->import);
}

static Datum
answer(FunctionCallInfo fcinfo, const Undo *u, int64 deleted, int64 restored)
{
	int64		inserted = jobs_result_int(u->import->result, "inserted");
	int64		updated = jobs_result_int(u->import->result, "updated");
	int64		kept = Max(inserted - deleted, 0) + Max(updated - restored, 0);
	StringInfoData words;
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false};

	desc = jobs_result_desc(fcinfo, lengthof(values));
	initStringInfo(&words);
	appendStringInfo(&words, "%lld of %lld inserted rows deleted", (long long) deleted, (long long) inserted);
	if (updated > 0)
		appendStringInfo(&words, ", %lld of %lld updated rows restored", (long long) restored, (long long) updated);
	if (kept > 0)
		appendStringInfo(&words, "; %lld %s", (long long) kept, kept == 1 ?
						 "row was changed since and stays as it is" : "rows were changed since and stay as they are");
	values[0] = Int64GetDatum(deleted);
	values[1] = Int64GetDatum(restored);
	values[2] = Int64GetDatum(kept);
	values[3] = CStringGetTextDatum(words.data);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}
