/*-------------------------------------------------------------------------
 *
 * update.c
 *	  Rows of a file change rows that are there, or go in by a statement.
 *
 * What the rows become is left to the planner and the executor: policies, triggers,
 * moves to another partition and columns that are generated are theirs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "import/guard.h"
#include "import/import.h"
#include "import/statement.h"
#include "import/update.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

/* Columns of jobs_rows before the file's. */
enum
{
	ROWS_NO, ROWS_LINE, ROWS_TID, ROWS_REL, ROWS_OLD, ROWS_FIRST
};

#define INSERT_FIRST	2

/* A table that has rows to be updated: the target, or a partition of it. */
typedef struct Leaf
{
	Oid			relid;			/* key of the hash table */
	Relation	rel;
	TupleTableSlot *slot;
	AttrNumber *attnums;		/* here, of the target's attributes */
} Leaf;

struct Updater
{
	RowStatement statement;
	Relation	target;
	AttrNumber *columns;
	int			ncolumns;
	FmgrInfo   *outputs;
	UndoRecord *undo;
	HTAB	   *leaves;
	RowRefused	refused;
	void	   *arg;
	int64		updated;
	uint8	   *settled;		/* a bit for each row of the file that is updated or was refused */
	int64		nbits;
	MemoryContext row_context;
	Datum	   *values;
	bool	   *nulls;
};

/* Locking the newest version of a row, in a guard. */
typedef struct RowLock
{
	Leaf	   *leaf;
	ItemPointerData tid;
	bool		locked;
} RowLock;

struct ViewInserter
{
	RowStatement statement;
	const AttrNumber *columns;
	int			ncolumns;
	UndoRecord *undo;
	RowRefused	refused;
	void	   *arg;
	bool		can_undo;
	int64		inserted;
	Datum	   *values;
	bool	   *nulls;
};

static char *update_sql(Relation target, const AttrNumber *columns, int ncolumns);
static TupleDesc rows_desc(Relation target, const AttrNumber *columns, int ncolumns, int first);
static TupleDesc returned_desc(void);
static Leaf *find_leaf(Updater *up, Oid relid);
static bool lock_row(Updater *up, Leaf *leaf, const CheckedRow *row);
static void lock_newest(void *arg);
static bool same_key(Updater *up, Leaf *leaf, TupleTableSlot *row);
static bytea *old_values(Updater *up, Leaf *leaf);
static void allow_bit(Updater *up, int64 n);
static void refused_update(void *arg, RowId id, const ErrorData *error);
static void refused_insert(void *arg, RowId id, const ErrorData *error);
static void updated(void *arg, TransactionId xid, CommandId cid, int64 processed, Tuplestorestate *result,
					TupleDesc desc);
static void inserted(void *arg, TransactionId xid, CommandId cid, int64 processed, Tuplestorestate *result,
					 TupleDesc desc);

/* ------------------------------------------------------------------------
 * SQL
 * ------------------------------------------------------------------------
 */

char *
jobs_column_list(Relation target, const AttrNumber *columns, int ncolumns, const char *prefix)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < ncolumns; i++)
		appendStringInfo(&list, "%s%s%s", i > 0 ? ", " : "", prefix,
						 quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(target), columns[i] - 1)->attname)));
	return list.data;
}

/* The file's columns are called after the target's, with a letter before. */
static TupleDesc
rows_desc(Relation target, const AttrNumber *columns, int ncolumns, int first)
{
	TupleDesc	desc = CreateTemplateTupleDesc(first + ncolumns);

	TupleDescInitEntry(desc, ROWS_NO + 1, "n", INT8OID, -1, 0);
	TupleDescInitEntry(desc, ROWS_LINE + 1, "line", INT8OID, -1, 0);
	if (first > INSERT_FIRST)
	{
		TupleDescInitEntry(desc, ROWS_TID + 1, "tid", TIDOID, -1, 0);
		TupleDescInitEntry(desc, ROWS_REL + 1, "rel", OIDOID, -1, 0);
		TupleDescInitEntry(desc, ROWS_OLD + 1, "old", BYTEAOID, -1, 0);
	}
	for (int i = 0; i < ncolumns; i++)
	{
		Form_pg_attribute a = TupleDescAttr(RelationGetDescr(target), columns[i] - 1);

		TupleDescInitEntry(desc, first + i + 1, psprintf("c%d", i + 1), a->atttypid, a->atttypmod, a->attndims);
		TupleDescInitEntryCollation(desc, first + i + 1, a->attcollation);
	}
	return desc;
}

static TupleDesc
returned_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(4);

	TupleDescInitEntry(desc, 1, "n", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "rel", OIDOID, -1, 0);
	TupleDescInitEntry(desc, 3, "tid", TIDOID, -1, 0);
	TupleDescInitEntry(desc, 4, "old", BYTEAOID, -1, 0);
	return desc;
}

static char *
update_sql(Relation target, const AttrNumber *columns, int ncolumns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS t SET ", jobs_target_name(RelationGetRelid(target)));
	for (int i = 0; i < ncolumns; i++)
		appendStringInfo(&sql, "%s%s = r.c%d", i > 0 ? ", " : "",
						 jobs_column_list(target, &columns[i], 1, ""), i + 1);
	appendStringInfoString(&sql, " FROM jobs_rows AS r"
						   " WHERE t.ctid OPERATOR(pg_catalog.=) r.tid AND t.tableoid OPERATOR(pg_catalog.=) r.rel"
						   " RETURNING r.n, t.tableoid, t.ctid, r.old");
	return sql.data;
}

/* ------------------------------------------------------------------------
 * Updates
 * ------------------------------------------------------------------------
 */

Updater *
jobs_updater_open(Relation target, const AttrNumber *columns, int ncolumns, UndoRecord *undo, RowRefused refused,
				  void *arg)
{
	Updater    *up = palloc0(sizeof(Updater));
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(Leaf), .hcxt = CurrentMemoryContext};

	up->target = target;
	up->columns = palloc(ncolumns * sizeof(AttrNumber));
	for (int i = 0; i < ncolumns; i++)
	{
		if (TupleDescAttr(RelationGetDescr(target), columns[i] - 1)->attidentity != ATTRIBUTE_IDENTITY_ALWAYS)
			up->columns[up->ncolumns++] = columns[i];
	}
	up->undo = undo;
	up->refused = refused;
	up->arg = arg;
	up->leaves = hash_create("jobs partitions", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	up->row_context = AllocSetContextCreate(CurrentMemoryContext, "jobs update row", ALLOCSET_DEFAULT_SIZES);
	up->values = palloc((ROWS_FIRST + ncolumns) * sizeof(Datum));
	up->nulls = palloc0((ROWS_FIRST + ncolumns) * sizeof(bool));
	up->outputs = palloc(ncolumns * sizeof(FmgrInfo));
	for (int i = 0; i < up->ncolumns; i++)
	{
		Oid			output;
		bool		isvarlena;

		getTypeOutputInfo(TupleDescAttr(RelationGetDescr(target), up->columns[i] - 1)->atttypid, &output, &isvarlena);
		fmgr_info(output, &up->outputs[i]);
	}
	up->statement.sql = update_sql(target, up->columns, up->ncolumns);
	up->statement.desc = rows_desc(target, up->columns, up->ncolumns, ROWS_FIRST);
	up->statement.result = returned_desc();
	up->statement.done = updated;
	up->statement.refused = refused_update;
	up->statement.arg = up;
	jobs_statement_begin(&up->statement);
	return up;
}

const AttrNumber *
jobs_updater_columns(const Updater *up, int *n)
{
	*n = up->ncolumns;
	return up->columns;
}

bool
jobs_updater_add(Updater *up, RowId id, const CheckedRow *row)
{
	Leaf	   *leaf = find_leaf(up, row->existing_rel);
	MemoryContext old;

	if (leaf == NULL || !lock_row(up, leaf, row))
		return false;
	allow_bit(up, id.row_no);
	old = MemoryContextSwitchTo(up->row_context);
	up->values[ROWS_NO] = Int64GetDatum(id.row_no);
	up->values[ROWS_LINE] = Int64GetDatum(id.line_no);
	up->values[ROWS_TID] = PointerGetDatum(&leaf->slot->tts_tid);
	up->values[ROWS_REL] = ObjectIdGetDatum(leaf->relid);
	up->values[ROWS_OLD] = PointerGetDatum(old_values(up, leaf));
	for (int i = 0; i < up->ncolumns; i++)
		up->values[ROWS_FIRST + i] = slot_getattr(row->slot, up->columns[i], &up->nulls[ROWS_FIRST + i]);
	jobs_statement_add(&up->statement, up->values, up->nulls);
	MemoryContextSwitchTo(old);
	MemoryContextReset(up->row_context);
	ExecClearTuple(leaf->slot);
	return true;
}

static Leaf *
find_leaf(Updater *up, Oid relid)
{
	bool		found;
	Leaf	   *leaf = hash_search(up->leaves, &relid, HASH_ENTER, &found);
	TupleDesc	desc = RelationGetDescr(up->target);

	if (found)
		return leaf->rel ? leaf : NULL;
	leaf->rel = try_table_open(relid, RowExclusiveLock);
	if (leaf->rel == NULL)
		return NULL;
	leaf->slot = table_slot_create(leaf->rel, NULL);
	leaf->attnums = palloc0(desc->natts * sizeof(AttrNumber));
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			leaf->attnums[i] = get_attnum(relid, NameStr(TupleDescAttr(desc, i)->attname));
	}
	return leaf;
}

/* Its newest version, into the leaf's slot. */
static bool
lock_row(Updater *up, Leaf *leaf, const CheckedRow *row)
{
	RowLock		lock = {.leaf = leaf,.tid = row->existing};
	TM_FailureData failure;
	TM_Result	result;
	ErrorData  *error;

	result = table_tuple_lock(leaf->rel, &lock.tid, GetActiveSnapshot(), leaf->slot, GetCurrentCommandId(false),
							  LockTupleNoKeyExclusive, LockWaitBlock, 0, &failure);
	if (result == TM_Ok)
		return true;
	ExecClearTuple(leaf->slot);
	if (result != TM_Updated)
		return false;

	/* That the newest one is in another partition is said by an error. */
	lock.tid = row->existing;
	error = jobs_guard(lock_newest, &lock);
	if (error && error->sqlerrcode != ERRCODE_T_R_SERIALIZATION_FAILURE)
		ReThrowError(error);
	if (error)
		FreeErrorData(error);
	return error == NULL && lock.locked && same_key(up, leaf, row->slot);
}

static void
lock_newest(void *arg)
{
	RowLock    *lock = arg;
	TM_FailureData failure;

	lock->locked = table_tuple_lock(lock->leaf->rel, &lock->tid, GetActiveSnapshot(), lock->leaf->slot,
									GetCurrentCommandId(false), LockTupleNoKeyExclusive, LockWaitBlock,
									TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure) == TM_Ok;
	/* A pin would end with the subtransaction. */
	if (lock->locked)
		ExecMaterializeSlot(lock->leaf->slot);
	else
		ExecClearTuple(lock->leaf->slot);
}

/* Whether a row that another transaction has changed has still a key of the file's row. */
static bool
same_key(Updater *up, Leaf *leaf, TupleTableSlot *row)
{
	TupleDesc	desc = RelationGetDescr(up->target);
	List	   *indexes = RelationGetIndexList(leaf->rel);
	bool		same = false;
	ListCell   *cell;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);
		bool		equal = index->rd_index->indisunique;

		for (int k = 0; k < index->rd_index->indnkeyatts && equal; k++)
		{
			AttrNumber	attnum = index->rd_index->indkey.values[k];
			int			i;
			bool		null1,
						null2;
			Datum		value1,
						value2;

			for (i = 0; i < desc->natts && leaf->attnums[i] != attnum; i++)
				;
			if (attnum <= 0 || i == desc->natts)
			{
				equal = false;
				break;
			}
			value1 = slot_getattr(leaf->slot, attnum, &null1);
			value2 = slot_getattr(row, i + 1, &null2);
			equal = !null1 && !null2 &&
				datum_image_eq(value1, value2, TupleDescAttr(desc, i)->attbyval, TupleDescAttr(desc, i)->attlen);
		}
		same |= equal;
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return same;
}

static bytea *
old_values(Updater *up, Leaf *leaf)
{
	char	  **texts = palloc(up->ncolumns * sizeof(char *));

	slot_getallattrs(leaf->slot);
	jobs_undo_set_formats();
	PG_TRY();
	{
		for (int i = 0; i < up->ncolumns; i++)
		{
			AttrNumber	attnum = leaf->attnums[up->columns[i] - 1];

			texts[i] = leaf->slot->tts_isnull[attnum - 1] ? NULL :
				OutputFunctionCall(&up->outputs[i], leaf->slot->tts_values[attnum - 1]);
		}
	}
	PG_FINALLY();
	{
		jobs_undo_reset_formats();
	}
	PG_END_TRY();
	return jobs_undo_pack(texts, up->ncolumns);
}

/* Bits beyond the last are those of rows that were not added. */
static void
allow_bit(Updater *up, int64 n)
{
	int64		old = up->nbits;

	if (n < old)
		return;
	up->nbits = Max(1024 * 1024, 2 * n);
	up->settled = up->settled ? repalloc_huge(up->settled, up->nbits / 8 + 1) : palloc(up->nbits / 8 + 1);
	memset(up->settled + (old ? old / 8 + 1 : 0), 0, up->nbits / 8 - (old ? old / 8 : -1));
}

static void
refused_update(void *arg, RowId id, const ErrorData *error)
{
	Updater    *up = arg;

	up->settled[id.row_no / 8] |= 1 << id.row_no % 8;
	up->refused(up->arg, id, error);
}

/* The result says which rows were updated, and where they are now. */
static void
updated(void *arg, TransactionId xid, CommandId cid, int64 processed, Tuplestorestate *result,
		TupleDesc desc)
{
	Updater    *up = arg;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);

	while (tuplestore_gettupleslot(result, true, false, slot))
	{
		int64		n;

		slot_getallattrs(slot);
		n = DatumGetInt64(slot->tts_values[0]);
		up->settled[n / 8] |= 1 << n % 8;
		up->updated++;
		if (up->undo)
			jobs_undo_updated(up->undo, DatumGetObjectId(slot->tts_values[1]), xid,
							  (ItemPointer) DatumGetPointer(slot->tts_values[2]), DatumGetByteaPP(slot->tts_values[3]));
	}
	ExecDropSingleTupleTableSlot(slot);
}

/* What neither was updated nor has raised an error, a policy or a trigger has left out. */
int64
jobs_updater_close(Updater *up)
{
	HASH_SEQ_STATUS status;
	Leaf	   *leaf;
	RowId		id;

	jobs_statement_run(&up->statement);
	jobs_statement_rescan(&up->statement);
	while (jobs_statement_next(&up->statement, &id))
	{
		if ((up->settled[id.row_no / 8] & 1 << id.row_no % 8) == 0)
			up->refused(up->arg, id, NULL);
	}
	jobs_statement_end(&up->statement);
	hash_seq_init(&status, up->leaves);
	while ((leaf = hash_seq_search(&status)) != NULL)
	{
		if (leaf->rel == NULL)
			continue;
		ExecDropSingleTupleTableSlot(leaf->slot);
		table_close(leaf->rel, NoLock);
	}
	return up->updated;
}

/* ------------------------------------------------------------------------
 * Inserts
 * ------------------------------------------------------------------------
 */

ViewInserter *
jobs_view_inserter_open(Relation target, const AttrNumber *columns, int ncolumns, UndoRecord *undo, RowRefused refused,
						void *arg)
{
	ViewInserter *in = palloc0(sizeof(ViewInserter));
	StringInfoData sql;

	in->columns = columns;
	in->ncolumns = ncolumns;
	in->can_undo = target->rd_rel->relkind == RELKIND_RELATION || target->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	in->undo = undo;
	in->refused = refused;
	in->arg = arg;
	in->values = palloc((INSERT_FIRST + ncolumns) * sizeof(Datum));
	in->nulls = palloc0((INSERT_FIRST + ncolumns) * sizeof(bool));
	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT ", jobs_target_name(RelationGetRelid(target)),
					 jobs_column_list(target, columns, ncolumns, ""));
	for (int i = 0; i < ncolumns; i++)
		appendStringInfo(&sql, "%sr.c%d", i > 0 ? ", " : "", i + 1);
	appendStringInfoString(&sql, " FROM jobs_rows AS r");
	in->statement.sql = sql.data;
	in->statement.desc = rows_desc(target, columns, ncolumns, INSERT_FIRST);
	in->statement.done = inserted;
	in->statement.refused = refused_insert;
	in->statement.arg = in;
	jobs_statement_begin(&in->statement);
	return in;
}

void
jobs_view_inserter_add(ViewInserter *in, RowId id, TupleTableSlot *slot)
{
	in->values[ROWS_NO] = Int64GetDatum(id.row_no);
	in->values[ROWS_LINE] = Int64GetDatum(id.line_no);
	for (int i = 0; i < in->ncolumns; i++)
		in->values[INSERT_FIRST + i] = slot_getattr(slot, in->columns[i], &in->nulls[INSERT_FIRST + i]);
	jobs_statement_add(&in->statement, in->values, in->nulls);
}

static void
refused_insert(void *arg, RowId id, const ErrorData *error)
{
	ViewInserter *in = arg;

	in->refused(in->arg, id, error);
}

/* Triggers may have left out some; which ones, nobody can tell. */
static void
inserted(void *arg, TransactionId xid, CommandId cid, int64 processed, Tuplestorestate *result,
		 TupleDesc desc)
{
	ViewInserter *in = arg;

	in->inserted += processed;
	if (in->undo && in->can_undo)
		jobs_undo_inserted_by(in->undo, xid, cid);
}

int64
jobs_view_inserter_close(ViewInserter *in)
{
	jobs_statement_run(&in->statement);
	jobs_statement_end(&in->statement);
	return in->inserted;
}
