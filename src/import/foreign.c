/*-------------------------------------------------------------------------
 *
 * foreign.c
 *	  Whether rows refer to rows that are there.
 *
 * Referenced keys are looked up (referenced.c) through the index that the constraint
 * depends on, as of the job's snapshot.  PostgreSQL asks with the rights of the referenced
 * table's owner and past its policies, since whoever may insert into the referencing
 * table may learn this much; the access methods used here ask for no rights, and so
 * nobody's are taken on.  What casts there are run as the job's owner.
 *
 * A row of the file may be the one that is referred to, where the constraint is of
 * the target on itself: any row before that was good, or the row itself.
 *
 * With PERIOD, all rows that have the key and overlap the period have to cover it
 * together.  Rows of the file can't be among them, so such a constraint of the
 * target on itself is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "commands/trigger.h"
#include "compat.h"
#include "import/judge.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

struct ForeignKey
{
	char	   *name;
	bool		match_full;
	int			nkeys;
	AttrNumber	attnums[INDEX_MAX_KEYS];	/* of the leaf, in the order of the index */
	List	   *attnos;			/* the same, of the target */
	bool		temporal;		/* the last is a PERIOD */
	KeyShape   *shape;			/* of the values as the file has them */
	Referenced *referenced;
	Oid			own_index;		/* the target refers to itself, by this index; or InvalidOid */
	bool		own_types;		/* its key has the same types */
	bool		filled;			/* by the file, at least in part */
	KeyEntries	entries;
};

static bool is_checked(Relation rel, Oid constraint);
static void open_key(Constraints *c, Leaf *leaf, ForeignKeyCacheInfo *info);
static void refuse_own_period(Constraints *c, ForeignKey *fk, Oid table);
static void make_key(Constraints *c, Judged *judged, Step *step);
static bool in_file(Constraints *c, ForeignKey *fk, KeyEntry *entry, Judged *judged);

void
jobs_foreign_open(Constraints *c, Leaf *leaf)
{
	List	   *keys = copyObject(RelationGetFKeyList(leaf->rel));
	ListCell   *lc;

	foreach(lc, keys)
	{
		ForeignKeyCacheInfo *info = lfirst(lc);
		bool		unknown = false;

		for (int i = 0; i < info->nkeys; i++)
			unknown |= bms_is_member(info->conkey[i], leaf->unknown);
		if (!unknown && is_checked(leaf->rel, info->conoid))
			open_key(c, leaf, info);
	}
	list_free_deep(keys);
}

/* Constraints that are not enforced, and disabled ones, have no trigger that fires. */
static bool
is_checked(Relation rel, Oid constraint)
{
	for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgconstraint != constraint || trigger->tgfoid != F_RI_FKEY_CHECK_INS)
			continue;
		if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
			return trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA || trigger->tgenabled == TRIGGER_FIRES_ALWAYS;
		return trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN || trigger->tgenabled == TRIGGER_FIRES_ALWAYS;
	}
	return false;
}

static void
open_key(Constraints *c, Leaf *leaf, ForeignKeyCacheInfo *info)
{
	ForeignKey *fk = palloc0(sizeof(ForeignKey));
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(info->conoid));
	Form_pg_constraint form;
	Relation	index;
	Reference	reference = {0};

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", info->conoid);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	reference.index = form->conindid;
	reference.nkeys = info->nkeys;
	reference.temporal = jobs_is_temporal(form);
	fk->name = pstrdup(NameStr(form->conname));
	fk->match_full = form->confmatchtype == FKCONSTR_MATCH_FULL;
	fk->temporal = reference.temporal;
	ReleaseSysCache(tuple);
	if (fk->temporal)
		refuse_own_period(c, fk, info->confrelid);

	/* Index columns may come in another order than those of the constraint. */
	LockRelationOid(info->confrelid, AccessShareLock);
	index = index_open(reference.index, AccessShareLock);
	fk->own_index = jobs_index_top(index);
	fk->own_types = true;
	for (int i = 0; i < info->nkeys; i++)
	{
		for (int k = 0; k < info->nkeys; k++)
		{
			Oid			operator = info->conpfeqop[k];
			Oid			left;

			if (info->confkey[k] != index->rd_index->indkey.values[i])
				continue;
			fk->attnums[i] = info->conkey[k];
			reference.types[i] = TupleDescAttr(RelationGetDescr(leaf->rel), info->conkey[k] - 1)->atttypid;
			op_input_types(operator, &left, &reference.subtypes[i]);
			reference.functions[i] = get_opcode(operator);
			reference.strategies[i] = get_op_opfamily_strategy(operator, index->rd_opfamily[i]);
			if (reference.types[i] != TupleDescAttr(RelationGetDescr(index), i)->atttypid)
				fk->own_types = false;
		}
	}
	index_close(index, NoLock);
	fk->nkeys = info->nkeys;
	for (int k = 0; k < info->nkeys; k++)
	{
		AttrNumber	attno = jobs_judge_root_attno(leaf, info->conkey[k]);

		fk->attnos = lappend_int(fk->attnos, attno);
		fk->filled |= bms_is_member(attno, c->filled);
	}
	fk->shape = jobs_key_shape_of_bytes(fk->nkeys, reference.types);
	fk->referenced = jobs_referenced_open(c, info->confrelid, &reference);
	leaf->foreign_keys = lappend(leaf->foreign_keys, fk);
	jobs_judge_step(leaf, make_key, "foreign_key", psprintf("Foreign key \"%s\"", fk->name), fk);
}

static void
refuse_own_period(Constraints *c, ForeignKey *fk, Oid table)
{
	Oid			target = RelationGetRelid(c->target);

	if (table == target ||
		(c->target->rd_rel->relispartition && list_member_oid(get_partition_ancestors(target), table)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot check rows for foreign key \"%s\", by which table \"%s\" refers to periods of itself",
						fk->name, RelationGetRelationName(c->target)),
				 errhint("Import into a table without that foreign key, and insert from there.")));
}

/* One batch. */

void
jobs_foreign_begin_batch(Leaf *leaf)
{
	ListCell   *lc;

	foreach(lc, leaf->foreign_keys)
	{
		ForeignKey *fk = lfirst(lc);

		fk->entries = (KeyEntries) {0};
	}
}

static void
make_key(Constraints *c, Judged *judged, Step *step)
{
	ForeignKey *fk = step->of;
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	int			nnulls = 0;

	/* An update that leaves the reference as it is asks nobody. */
	if (judged->update && !fk->filled)
		return;
	for (int i = 0; i < fk->nkeys; i++)
	{
		values[i] = judged->slot->tts_values[fk->attnums[i] - 1];
		nulls[i] = judged->slot->tts_isnull[fk->attnums[i] - 1];
		nnulls += nulls[i];
	}
	if (nnulls == 0)
		jobs_judge_key(c, &fk->entries, fk->shape, judged, values, nulls, false);
	else if (fk->match_full && nnulls < fk->nkeys)
		jobs_judge_refuse(c, judged, step->code, fk->attnos,
						  psprintf("%s must be given together or not at all",
								   jobs_judge_sentence(jobs_judge_names(c, fk->attnos))));
}

void
jobs_foreign_look_up(Constraints *c, Leaf *leaf)
{
	ListCell   *lc;

	foreach(lc, leaf->foreign_keys)
	{
		ForeignKey *fk = lfirst(lc);

		for (int i = 0; i < fk->entries.n; i++)
		{
			KeyEntry   *entry = &fk->entries.entries[i];

			CHECK_FOR_INTERRUPTS();
			if (jobs_referenced_has(fk->referenced, &entry->key))
				ItemPointerSet(&entry->existing, 0, 1);
		}
	}
}

void
jobs_foreign_met(Constraints *c, Judged *judged)
{
	ListCell   *lc;

	foreach(lc, judged->leaf->foreign_keys)
	{
		ForeignKey *fk = lfirst(lc);
		KeyEntry   *entry = jobs_judge_met(c, &fk->entries, judged);

		if (entry && !ItemPointerIsValid(&entry->existing) && !in_file(c, fk, entry, judged))
			jobs_judge_refuse(c, judged, "foreign_key", fk->attnos,
							  psprintf("%s%s does not exist%s",
									   jobs_judge_sentence(jobs_judge_names(c, fk->attnos)),
									   jobs_judge_values(c, judged->row, fk->attnos),
									   fk->temporal ? ", or not for all of the period" : ""));
	}
}

/* Whether the file itself has the row that is referred to. */
static bool
in_file(Constraints *c, ForeignKey *fk, KeyEntry *entry, Judged *judged)
{
	const KeyShape *shape;
	KeySet	   *set;
	Key			key;
	int64		row_no;

	if (!fk->own_types)
		return false;
	set = jobs_keys_of_index(c, fk->own_index, &shape);
	if (set == NULL)
		return false;
	if (jobs_keys_is_own(c, judged, fk->own_index, entry->key.values, entry->key.nulls))
		return true;
	jobs_key_make(shape, entry->key.values, entry->key.nulls, &key);
	row_no = jobs_keyset_find(set, &key);
	/* Updates come after all inserts. */
	return row_no != 0 && (judged->update || !jobs_merging_has_updated(c, row_no));
}
