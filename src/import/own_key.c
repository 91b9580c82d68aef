/*-------------------------------------------------------------------------
 *
 * own_key.c
 *	  options.unique: a key that the target need not have.
 *
 * PostgreSQL would not tell who may only insert whether such a key is there, so its
 * columns must be ones that the current user may read, and rows that policies hide
 * from him do not count.  Those of tables that inherit from the target do, as in any
 * query of it.  Where an index helps, and neither policies nor such tables are in the
 * way, it is asked; else all keys are read once, by a query as the current user.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "compat.h"
#include "executor/spi.h"
#include "import/existing.h"
#include "import/judge.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"

#define ROWS_AT_ONCE	1000

struct OwnKey
{
	int			ncolumns;
	AttrNumber	attnos[INDEX_MAX_KEYS]; /* of the target */
	Oid			opfamilies[INDEX_MAX_KEYS];
	Oid			opcintypes[INDEX_MAX_KEYS];
	Oid			types[INDEX_MAX_KEYS];
	Oid			collations[INDEX_MAX_KEYS];
	KeyShape   *shape;
	KeySet	   *file;			/* keys of the file */
	Relation	index;			/* one of the two: an index ... */
	Existing   *existing;
	KeySet	   *there;			/* ... or the keys of all rows, with numbers from 1 ... */
	BufFile    *places;			/* ... and for each number its Place */
	int64		nplaces;
};

/* Where a row is. */
typedef struct Place
{
	Oid			table;
	ItemPointerData tid;
} Place;

static void set_column(Constraints *c, OwnKey *own, int i, AttrNumber attno);
static bool use_index(Constraints *c, OwnKey *own, Relation index);
static void find_index(Constraints *c, OwnKey *own);
static void read_all(Constraints *c, OwnKey *own);
static void read_row(OwnKey *own, HeapTuple tuple, TupleDesc desc);
static Place place_of(OwnKey *own, int64 number);

void
jobs_own_key_open(Constraints *c)
{
	OwnKey	   *own = palloc0(sizeof(OwnKey));
	ListCell   *lc;

	if (list_length(c->input->unique) > INDEX_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"unique\" has more than %d columns", INDEX_MAX_KEYS)));
	foreach(lc, c->input->unique)
		set_column(c, own, own->ncolumns++, lfirst_int(lc));
	if (c->target->rd_rel->relkind == RELKIND_RELATION && !c->target->rd_rel->relhassubclass &&
		check_enable_rls(RelationGetRelid(c->target), InvalidOid, true) != RLS_ENABLED)
		find_index(c, own);
	own->shape = jobs_key_shape(own->ncolumns, own->opfamilies, own->opcintypes, own->types, own->collations);
	own->file = jobs_keyset_create(own->shape, &c->memory);
	if (own->index)
	{
		IndexInfo  *info = BuildIndexInfo(own->index);

		info->ii_NumIndexKeyAttrs = own->ncolumns;
		info->ii_UniqueProcs = palloc(own->ncolumns * sizeof(Oid));
		info->ii_UniqueStrats = palloc(own->ncolumns * sizeof(uint16));
		for (int i = 0; i < own->ncolumns; i++)
		{
			info->ii_UniqueStrats[i] = BTEqualStrategyNumber;
			info->ii_UniqueProcs[i] = get_opcode(get_opfamily_member(own->opfamilies[i], own->opcintypes[i],
																	 own->opcintypes[i], BTEqualStrategyNumber));
		}
		own->existing = jobs_existing_open(c->target, own->index, info, own->shape, c->snapshot, &c->memory);
	}
	else
		read_all(c, own);
	c->own_key = own;
}

void
jobs_own_key_close(Constraints *c)
{
	OwnKey	   *own = c->own_key;

	jobs_keyset_free(own->file);
	if (own->there)
	{
		jobs_keyset_free(own->there);
		BufFileClose(own->places);
	}
	if (own->existing)
		jobs_existing_close(own->existing);
	if (own->index)
		index_close(own->index, NoLock);
}

static void
set_column(Constraints *c, OwnKey *own, int i, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(c->target), attno - 1);
	Oid			type = getBaseType(att->atttypid);
	Oid			opclass = GetDefaultOpClass(type, BTREE_AM_OID);

	if (!OidIsValid(opclass))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of option \"unique\" has a type without order: %s",
						NameStr(att->attname), format_type_be(att->atttypid)),
				 errhint("Name columns whose type has a default operator class for btree.")));
	own->attnos[i] = attno;
	own->opfamilies[i] = get_opclass_family(opclass);
	own->opcintypes[i] = get_opclass_input_type(opclass);
	own->types[i] = att->atttypid;
	own->collations[i] = att->attcollation;
}

/* Its first columns must be the key's, in any order. */
static void
find_index(Constraints *c, OwnKey *own)
{
	List	   *indexes = RelationGetIndexList(c->target);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (use_index(c, own, index))
		{
			own->index = index;
			break;
		}
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
}

static bool
use_index(Constraints *c, OwnKey *own, Relation index)
{
	Form_pg_index form = index->rd_index;
	OwnKey		ordered = *own;

	if (!form->indisvalid || form->indnkeyatts < own->ncolumns || index->rd_rel->relam != BTREE_AM_OID ||
		RelationGetIndexPredicate(index) != NIL)
		return false;
	for (int i = 0; i < own->ncolumns; i++)
	{
		int			k;

		for (k = 0; k < own->ncolumns && own->attnos[k] != form->indkey.values[i]; k++)
			;
		if (k == own->ncolumns || index->rd_opfamily[i] != own->opfamilies[k] ||
			index->rd_opcintype[i] != own->opcintypes[k] || index->rd_indcollation[i] != own->collations[k])
			return false;
		for (int j = 0; j < i; j++)
		{
			if (form->indkey.values[j] == form->indkey.values[i])
				return false;
		}
		ordered.attnos[i] = own->attnos[k];
		ordered.opfamilies[i] = own->opfamilies[k];
		ordered.opcintypes[i] = own->opcintypes[k];
		ordered.types[i] = own->types[k];
		ordered.collations[i] = own->collations[k];
	}
	*own = ordered;
	return true;
}

/* All keys, each with the first row that has it. */
static void
read_all(Constraints *c, OwnKey *own)
{
	StringInfoData sql;
	Portal		portal;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "jobs keys of a table", ALLOCSET_DEFAULT_SIZES);

	own->there = jobs_keyset_create(own->shape, &c->memory);
	own->places = BufFileCreateTemp(false);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT tableoid, ctid");
	for (int i = 0; i < own->ncolumns; i++)
		appendStringInfo(&sql, ", %s", quote_identifier(get_attname(RelationGetRelid(c->target), own->attnos[i], false)));
	appendStringInfo(&sql, " FROM %s",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(c->target)),
												RelationGetRelationName(c->target)));
	SPI_connect();
	portal = SPI_cursor_open_with_args(NULL, sql.data, 0, NULL, NULL, NULL, true, CURSOR_OPT_NO_SCROLL);
	for (;;)
	{
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, ROWS_AT_ONCE);
		if (SPI_processed == 0)
			break;
		old = MemoryContextSwitchTo(context);
		for (uint64 i = 0; i < SPI_processed; i++)
			read_row(own, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	SPI_finish();
	MemoryContextDelete(context);
}

static void
read_row(OwnKey *own, HeapTuple tuple, TupleDesc desc)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	bool		isnull;
	Oid			table = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));
	ItemPointer tid = (ItemPointer) DatumGetPointer(SPI_getbinval(tuple, desc, 2, &isnull));
	Key			key;

	for (int i = 0; i < own->ncolumns; i++)
	{
		values[i] = SPI_getbinval(tuple, desc, i + 3, &nulls[i]);
		if (nulls[i])
			return;
	}
	jobs_key_make(own->shape, values, nulls, &key);
	if (jobs_keyset_find(own->there, &key) == 0)
	{
		Place		place = {.table = table,.tid = *tid};

		BufFileWrite(own->places, &place, sizeof(place));
		jobs_keyset_add(own->there, &key, ++own->nplaces);
	}
}

static Place
place_of(OwnKey *own, int64 number)
{
	Place		place;

	if (BufFileSeek(own->places, 0, (number - 1) * sizeof(place), SEEK_SET) != 0 ||
		BufFileRead(own->places, &place, sizeof(place)) != sizeof(place))
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not read a temporary file of keys: %m")));
	return place;
}

const KeyShape *
jobs_own_key_shape(Constraints *c, KeySet **file, const AttrNumber **attnos)
{
	*file = c->own_key->file;
	*attnos = c->own_key->attnos;
	return c->own_key->shape;
}

void
jobs_own_key_look_up(Constraints *c, KeyEntry **entries, const Key **keys, int n, ItemPointerData *tids)
{
	OwnKey	   *own = c->own_key;

	if (own->existing)
		jobs_existing_find(own->existing, keys, n, tids);
	for (int i = 0; i < n; i++)
	{
		int64		number;
		Place		place;

		entries[i]->existing_rel = RelationGetRelid(c->target);
		if (own->existing)
		{
			entries[i]->existing = tids[i];
			continue;
		}
		ItemPointerSetInvalid(&entries[i]->existing);
		number = jobs_keyset_find(own->there, keys[i]);
		if (number == 0)
			continue;
		place = place_of(own, number);
		entries[i]->existing_rel = place.table;
		entries[i]->existing = place.tid;
	}
}
