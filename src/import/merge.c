/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  Rows that update others: on_conflict => "update".
 *
 * What has to satisfy the constraints is the row that is there with the file's
 * columns replaced.  The import does it by an UPDATE, so this may also send the row
 * to another partition.  A row of a table that inherits from the target stays there,
 * and what constraints ask of columns that only that table has is left to the import.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "executor/executor.h"
#include "import/guard.h"
#include "import/judge.h"
#include "rewrite/rewriteHandler.h"
#include "utils/datum.h"
#include "utils/memutils.h"

/* A column that follows from others. */
typedef struct Generated
{
	AttrNumber	attno;
	ExprState  *state;
} Generated;

/* Slots of the target's form, one for each row that needs one. */
typedef struct SlotPool
{
	TupleTableSlot **slots;
	int			n;
	int			used;
} SlotPool;

struct Merging
{
	SlotPool	olds;
	SlotPool	wholes;
	List	   *generated;		/* of Generated * */
	Bitmapset  *changed;		/* attributes: those of the file, but for identities that the table makes itself */
	KeyShape   *shape;
	KeySet	   *updated;		/* rows of the target that a row of the file updates */
	uint8	   *rows;			/* a bit for each row of the file that does so */
	int64		nbits;
};

/* Argument of a guard. */
typedef struct Generation
{
	Constraints *c;
	TupleTableSlot *slot;
} Generation;

static TupleTableSlot *pool_slot(Constraints *c, SlotPool *pool);
static void free_pool(SlotPool *pool);
static void load_old(Constraints *c, Judged *judged);
static void generate(void *arg);
static void remember(Merging *merging, MemoryContext context, int64 row_no);
static void updated_key(Constraints *c, Judged *judged, Datum *values, bool *nulls, Key *key);

void
jobs_merging_open(Constraints *c)
{
	static const Oid types[] = {OIDOID, INT8OID};
	Merging    *merging = palloc0(sizeof(Merging));
	TupleDesc	desc = RelationGetDescr(c->target);

	merging->shape = jobs_key_shape_of_bytes(lengthof(types), types);
	merging->updated = jobs_keyset_create(merging->shape, &c->memory);
	for (AttrNumber attno = 1; attno <= desc->natts; attno++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, attno - 1);
		Generated  *generated;

		if (bms_is_member(attno, c->filled) && att->attidentity != ATTRIBUTE_IDENTITY_ALWAYS)
			merging->changed = bms_add_member(merging->changed, attno);
		if (att->attgenerated != ATTRIBUTE_GENERATED_STORED)
			continue;
		generated = palloc(sizeof(Generated));
		generated->attno = attno;
		generated->state = ExecPrepareExpr((Expr *) build_column_default(c->target, attno), c->estate);
		merging->generated = lappend(merging->generated, generated);
	}
	c->merging = merging;
}

void
jobs_merging_close(Constraints *c)
{
	jobs_keyset_free(c->merging->updated);
	free_pool(&c->merging->olds);
	free_pool(&c->merging->wholes);
}

static void
free_pool(SlotPool *pool)
{
	for (int i = 0; i < pool->n; i++)
		ExecDropSingleTupleTableSlot(pool->slots[i]);
}

static TupleTableSlot *
pool_slot(Constraints *c, SlotPool *pool)
{
	if (pool->used == pool->n)
	{
		MemoryContext old = MemoryContextSwitchTo(c->context);
		int			n = Max(16, 2 * pool->n);

		pool->slots = pool->slots ? repalloc(pool->slots, n * sizeof(TupleTableSlot *)) :
			palloc(n * sizeof(TupleTableSlot *));
		while (pool->n < n)
			pool->slots[pool->n++] = MakeSingleTupleTableSlot(RelationGetDescr(c->target), &TTSOpsVirtual);
		MemoryContextSwitchTo(old);
	}
	return ExecClearTuple(pool->slots[pool->used++]);
}

void
jobs_merging_merge(Constraints *c)
{
	Merging    *merging = c->merging;
	int			natts = RelationGetNumberOfAttributes(c->target);

	merging->olds.used = 0;
	merging->wholes.used = 0;
	for (int i = 0; i < c->nrows; i++)
	{
		Judged	   *judged = &c->rows[i];
		Generation	generation = {.c = c};
		ErrorData  *error;

		KeyEntry   *entry = judged->leaf ? jobs_keys_existing(c, judged, &judged->met) : NULL;

		if (entry == NULL)
			continue;
		judged->update = true;
		judged->row->existing = entry->existing;
		judged->row->existing_rel = entry->existing_rel;
		load_old(c, judged);
		judged->whole = pool_slot(c, &merging->wholes);
		for (int k = 0; k < natts; k++)
		{
			TupleTableSlot *from = bms_is_member(k + 1, merging->changed) ? judged->row->slot : judged->old;

			judged->whole->tts_values[k] = from->tts_values[k];
			judged->whole->tts_isnull[k] = from->tts_isnull[k];
		}
		ExecStoreVirtualTuple(judged->whole);
		generation.slot = judged->whole;
		if (merging->generated && (error = jobs_guard(generate, &generation)) != NULL)
			jobs_judge_refuse(c, judged, "rule_failed", NIL,
							  psprintf("Generated column failed%s", jobs_judge_reason(c, judged, error)));
		jobs_judge_send(c, judged);
	}
}

/* The row that is there, in the target's form, for as long as the batch lasts. */
static void
load_old(Constraints *c, Judged *judged)
{
	Leaf	   *leaf = jobs_judge_leaf_of(c, judged->row->existing_rel);
	TupleTableSlot *found;

	/* One that was attached a moment ago. */
	if (!RELKIND_HAS_TABLE_AM(leaf->rel->rd_rel->relkind))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign table \"%s\" has become a part of \"%s\" meanwhile",
						RelationGetRelationName(leaf->rel), RelationGetRelationName(c->target)),
				 errhint("Preview the file again.")));
	found = table_slot_create(leaf->rel, NULL);
	if (!table_tuple_fetch_row_version(leaf->rel, &judged->row->existing, c->snapshot, found))
		elog(ERROR, "could not fetch a row that an index has led to");
	slot_getallattrs(found);
	judged->old = pool_slot(c, &c->merging->olds);
	memset(judged->old->tts_isnull, true, judged->old->tts_tupleDescriptor->natts * sizeof(bool));
	for (AttrNumber attno = 1; attno <= found->tts_tupleDescriptor->natts; attno++)
	{
		AttrNumber	root = jobs_judge_root_attno(leaf, attno);

		if (root == 0)
			continue;
		judged->old->tts_values[root - 1] = found->tts_values[attno - 1];
		judged->old->tts_isnull[root - 1] = found->tts_isnull[attno - 1];
	}
	ExecStoreVirtualTuple(judged->old);
	ExecMaterializeSlot(judged->old);
	ExecDropSingleTupleTableSlot(found);
}

static void
generate(void *arg)
{
	Generation *generation = arg;
	TupleTableSlot *slot = generation->slot;
	ListCell   *lc;

	generation->c->econtext->ecxt_scantuple = slot;
	foreach(lc, generation->c->merging->generated)
	{
		Generated  *generated = lfirst(lc);
		Form_pg_attribute att = TupleDescAttr(slot->tts_tupleDescriptor, generated->attno - 1);
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(generated->state, generation->c->econtext, &isnull);

		slot->tts_isnull[generated->attno - 1] = isnull;
		if (!isnull)
			slot->tts_values[generated->attno - 1] = datumCopy(value, att->attbyval, att->attlen);
	}
	ResetExprContext(generation->c->econtext);
}

/* A row of the target is updated once, whichever of its keys leads there. */
static void
updated_key(Constraints *c, Judged *judged, Datum *values, bool *nulls, Key *key)
{
	ItemPointer tid = &judged->row->existing;

	values[0] = ObjectIdGetDatum(judged->row->existing_rel);
	values[1] = Int64GetDatum(((int64) ItemPointerGetBlockNumber(tid) << 16) | ItemPointerGetOffsetNumber(tid));
	nulls[0] = nulls[1] = false;
	jobs_key_make(c->merging->shape, values, nulls, key);
}

void
jobs_merging_met(Constraints *c, Judged *judged)
{
	Datum		values[2];
	bool		nulls[2];
	Key			key;
	int64		row_no;

	if (judged->refused)
		return;
	updated_key(c, judged, values, nulls, &key);
	row_no = jobs_keyset_find(c->merging->updated, &key);
	if (row_no == 0)
	{
		/* What was asked for is no issue. */
		judged->row->action = Max(judged->row->action, ROW_UPDATE);
	}
	else
		jobs_judge_issue(c, judged, SEVERITY_WARNING, "duplicate_in_file", judged->met,
						 psprintf("Same existing %s%s as row %lld", c->input->entity,
								  jobs_judge_values(c, judged->row, judged->met), (long long) row_no),
						 "will skip", ROW_SKIP);
}

void
jobs_merging_take(Constraints *c, Judged *judged)
{
	Datum		values[2];
	bool		nulls[2];
	Key			key;

	updated_key(c, judged, values, nulls, &key);
	jobs_keyset_add(c->merging->updated, &key, judged->row->row_no);
	remember(c->merging, c->context, judged->row->row_no);
}

/* Sets the row's bit. */
static void
remember(Merging *merging, MemoryContext context, int64 row_no)
{
	if (row_no >= merging->nbits)
	{
		int64		n = TYPEALIGN(8, Max(64 * 1024, 2 * row_no));

		merging->rows = merging->rows ? repalloc_huge(merging->rows, n / 8) : MemoryContextAllocHuge(context, n / 8);
		memset(merging->rows + merging->nbits / 8, 0, (n - merging->nbits) / 8);
		merging->nbits = n;
	}
	merging->rows[row_no / 8] |= 1 << row_no % 8;
}

bool
jobs_merging_has_updated(Constraints *c, int64 row_no)
{
	return c->merging && row_no < c->merging->nbits && (c->merging->rows[row_no / 8] & 1 << row_no % 8) != 0;
}
