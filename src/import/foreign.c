/*-------------------------------------------------------------------------
 *
 * foreign.c
 *	  Whether rows refer to rows that are there.
 *
 * Referenced keys are looked up through the index that the constraint depends on,
 * as of the job's snapshot.  PostgreSQL asks with the rights of the referenced
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
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "commands/trigger.h"
#include "compat.h"
#include "import/judge.h"
#include "import/period.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#define CACHE_SLOTS		8192	/* a power of two */
#define CACHED_KEY		128		/* bytes of a key that is remembered, at most */

/* Whether a key was there. */
typedef struct Remembered
{
	uint64		hash;
	int			len;			/* 0: free */
	bool		exists;
	char		bytes[CACHED_KEY];
} Remembered;

struct ForeignKey
{
	char	   *name;
	bool		match_full;
	int			nkeys;
	AttrNumber	attnums[INDEX_MAX_KEYS];	/* of the leaf, in the order of the index */
	FmgrInfo	casts[INDEX_MAX_KEYS];	/* to what the index compares with; fn_oid 0: none */
	List	   *attnos;			/* the same, of the target */
	Cover	   *cover;			/* the last is a PERIOD: those of rows that are found; or NULL */
	KeyShape   *shape;			/* of the values as the file has them */
	List	   *lookups;		/* of Lookup *: one for each table of the referenced one */
	Oid			own_index;		/* the target refers to itself, by this index; or InvalidOid */
	bool		own_types;		/* its key has the same types */
	bool		filled;			/* by the file, at least in part */
	KeyEntries	entries;
	MemoryContext context;
	Remembered **cache;
};

static bool is_checked(Relation rel, Oid constraint);
static void open_key(Constraints *c, Leaf *leaf, ForeignKeyCacheInfo *info);
static void open_column(ForeignKey *fk, int i, Leaf *leaf, AttrNumber attnum, Oid operator,
						Oid *function, Oid *subtype);
static void open_period(Constraints *c, ForeignKey *fk, Oid table, Oid type);
static List *open_lookups(Constraints *c, Oid table, Oid index, int nkeys, const Oid *functions,
						  const uint16 *strategies, const Oid *subtypes);
static Relation index_for(Relation table, Oid top);
static void make_key(Constraints *c, Judged *judged, Step *step);
static bool exists(ForeignKey *fk, KeyEntry *entry);
static bool look_up(ForeignKey *fk, const Datum *values, const bool *nulls);
static bool is_found(ForeignKey *fk, Lookup *lookup, Datum period);
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
	Oid			functions[INDEX_MAX_KEYS];
	uint16		strategies[INDEX_MAX_KEYS];
	Oid			subtypes[INDEX_MAX_KEYS];
	Oid			types[INDEX_MAX_KEYS];
	Oid			index_oid;
	bool		temporal;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", info->conoid);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	temporal = jobs_is_temporal(form);
	fk->name = pstrdup(NameStr(form->conname));
	fk->match_full = form->confmatchtype == FKCONSTR_MATCH_FULL;
	index_oid = form->conindid;
	ReleaseSysCache(tuple);

	/* Index columns may come in another order than those of the constraint. */
	LockRelationOid(info->confrelid, AccessShareLock);
	index = index_open(index_oid, AccessShareLock);
	fk->own_index = jobs_index_top(index);
	fk->own_types = true;
	for (int i = 0; i < info->nkeys; i++)
	{
		for (int k = 0; k < info->nkeys; k++)
		{
			if (info->confkey[k] != index->rd_index->indkey.values[i])
				continue;
			open_column(fk, i, leaf, info->conkey[k], info->conpfeqop[k], &functions[i], &subtypes[i]);
			strategies[i] = get_op_opfamily_strategy(info->conpfeqop[k], index->rd_opfamily[i]);
			types[i] = TupleDescAttr(RelationGetDescr(leaf->rel), info->conkey[k] - 1)->atttypid;
			if (types[i] != TupleDescAttr(RelationGetDescr(index), i)->atttypid)
				fk->own_types = false;
		}
	}
	index_close(index, NoLock);
	fk->nkeys = info->nkeys;
	if (temporal)
		open_period(c, fk, info->confrelid, types[fk->nkeys - 1]);
	for (int k = 0; k < info->nkeys; k++)
	{
		AttrNumber	attno = jobs_judge_root_attno(leaf, info->conkey[k]);

		fk->attnos = lappend_int(fk->attnos, attno);
		fk->filled |= bms_is_member(attno, c->filled);
	}
	fk->shape = jobs_key_shape_of_bytes(fk->nkeys, types);
	fk->lookups = open_lookups(c, info->confrelid, index_oid, fk->nkeys, functions, strategies, subtypes);
	fk->context = CurrentMemoryContext;
	fk->cache = palloc0(CACHE_SLOTS * sizeof(Remembered *));
	leaf->foreign_keys = lappend(leaf->foreign_keys, fk);
	jobs_judge_step(leaf, make_key, "foreign_key", psprintf("Foreign key \"%s\"", fk->name), fk);
}

/* As the constraint's operator wants the value, which may need a cast. */
static void
open_column(ForeignKey *fk, int i, Leaf *leaf, AttrNumber attnum, Oid operator, Oid *function, Oid *subtype)
{
	Oid			type = TupleDescAttr(RelationGetDescr(leaf->rel), attnum - 1)->atttypid;
	Oid			left;
	Oid			cast;

	op_input_types(operator, &left, subtype);
	*function = get_opcode(operator);
	fk->attnums[i] = attnum;
	if (type != *subtype && !IsBinaryCoercible(type, *subtype) &&
		find_coercion_pathway(*subtype, type, COERCION_IMPLICIT, &cast) == COERCION_PATH_FUNC)
		fmgr_info(cast, &fk->casts[i]);
}

/* The index has the period last, as the constraint has. */
static void
open_period(Constraints *c, ForeignKey *fk, Oid table, Oid type)
{
	Oid			target = RelationGetRelid(c->target);

	if (table == target ||
		(c->target->rd_rel->relispartition && list_member_oid(get_partition_ancestors(target), table)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot check rows for foreign key \"%s\", by which table \"%s\" refers to periods of itself",
						fk->name, RelationGetRelationName(c->target)),
				 errhint("Import into a table without that foreign key, and insert from there.")));
	fk->cover = jobs_cover_create(type);
}

static List *
open_lookups(Constraints *c, Oid table, Oid index, int nkeys, const Oid *functions, const uint16 *strategies,
			 const Oid *subtypes)
{
	List	   *tables = get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE ?
		find_all_inheritors(table, AccessShareLock, NULL) : list_make1_oid(table);
	List	   *lookups = NIL;
	ListCell   *lc;

	foreach(lc, tables)
	{
		Relation	rel;
		Relation	index_rel;

		if (!RELKIND_HAS_TABLE_AM(get_rel_relkind(lfirst_oid(lc))))
			continue;
		rel = table_open(lfirst_oid(lc), AccessShareLock);
		index_rel = index_for(rel, index);
		if (index_rel)
			lookups = lappend(lookups, jobs_lookup_open(rel, index_rel, c->snapshot, nkeys,
														functions, strategies, subtypes));
		else
			table_close(rel, NoLock);
	}
	return lookups;
}

/* A table's index that is this one, or a partition of it. */
static Relation
index_for(Relation table, Oid top)
{
	List	   *indexes = RelationGetIndexList(table);
	Relation	found = NULL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Oid			index = lfirst_oid(lc);

		if (index == top || (get_rel_relispartition(index) && list_member_oid(get_partition_ancestors(index), top)))
		{
			found = index_open(index, AccessShareLock);
			break;
		}
	}
	list_free(indexes);
	return found;
}

void
jobs_foreign_close(Leaf *leaf)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, leaf->foreign_keys)
	{
		foreach(lc2, ((ForeignKey *) lfirst(lc))->lookups)
		{
			Lookup	   *lookup = lfirst(lc2);
			Relation	table = lookup->table;
			Relation	index = lookup->index;

			jobs_lookup_close(lookup);
			index_close(index, NoLock);
			table_close(table, NoLock);
		}
	}
}

/* One batch. */

void
jobs_foreign_begin_batch(Leaf *leaf)
{
	ListCell   *lc;

	foreach(lc, leaf->foreign_keys)
	{
		ForeignKey *fk = lfirst(lc);

		fk->entries.n = 0;
		fk->entries.next = 0;
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
			if (exists(fk, entry))
				ItemPointerSet(&entry->existing, 0, 1);
		}
	}
}

/* What has been looked up lately is known. */
static bool
exists(ForeignKey *fk, KeyEntry *entry)
{
	Remembered **slot = &fk->cache[entry->key.hash & (CACHE_SLOTS - 1)];
	Remembered *remembered = *slot;
	bool		found;

	if (remembered && remembered->hash == entry->key.hash && remembered->len == entry->key.len &&
		memcmp(remembered->bytes, entry->key.bytes, entry->key.len) == 0)
		return remembered->exists;
	found = look_up(fk, entry->key.values, entry->key.nulls);
	if (entry->key.len > CACHED_KEY)
		return found;
	if (remembered == NULL)
		*slot = remembered = MemoryContextAlloc(fk->context, sizeof(Remembered));
	remembered->hash = entry->key.hash;
	remembered->len = entry->key.len;
	remembered->exists = found;
	memcpy(remembered->bytes, entry->key.bytes, entry->key.len);
	return found;
}

static bool
look_up(ForeignKey *fk, const Datum *values, const bool *nulls)
{
	Datum		wanted[INDEX_MAX_KEYS];
	bool		found = false;
	ListCell   *lc;

	for (int i = 0; i < fk->nkeys; i++)
	{
		wanted[i] = values[i];
		if (OidIsValid(fk->casts[i].fn_oid))
			wanted[i] = FunctionCall3(&fk->casts[i], values[i], Int32GetDatum(-1), BoolGetDatum(false));
	}
	if (fk->cover)
		jobs_cover_reset(fk->cover);
	foreach(lc, fk->lookups)
	{
		Lookup	   *lookup = lfirst(lc);

		jobs_lookup_start(lookup, wanted, nulls);
		while (!found && jobs_lookup_next(lookup))
			found = is_found(fk, lookup, wanted[fk->nkeys - 1]);
		jobs_lookup_end(lookup);
		if (found)
			break;
	}
	return found;
}

/* Whether the row at hand is enough, with those before it where there is a period. */
static bool
is_found(ForeignKey *fk, Lookup *lookup, Datum period)
{
	bool		isnull;

	for (int i = 0; i < fk->nkeys && lookup->scan->xs_recheck; i++)
	{
		ScanKey		key = &lookup->keys[i];
		Datum		value = slot_getattr(lookup->slot, lookup->index->rd_index->indkey.values[i], &isnull);

		if (isnull || !DatumGetBool(FunctionCall2Coll(&key->sk_func, key->sk_collation, value, key->sk_argument)))
			return false;
	}
	if (fk->cover == NULL)
		return true;
	jobs_cover_add(fk->cover, slot_getattr(lookup->slot, lookup->index->rd_index->indkey.values[fk->nkeys - 1], &isnull));
	return jobs_cover_contains(fk->cover, period);
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
									   fk->cover ? ", or not for all of the period" : ""));
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
