/*-------------------------------------------------------------------------
 *
 * key.c
 *	  Keys: their shape by operator classes, their bytes, hashes and order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "compat.h"
#include "import/keyset.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#define MAX_KEY		(16 * 1024 * 1024)	/* bytes; keyset.c keeps lengths in 24 bits */

static void shape_column(KeyColumn *column, Oid opfamily, Oid opcintype, Oid type, Oid collation,
						 bool *hashable);
static bool has_equal_images(Oid opfamily, Oid opcintype, Oid collation);
static int	compare_column(KeyColumn *column, Datum value1, bool null1, Datum value2, bool null2);

KeyShape *
jobs_key_shape(int ncolumns, const Oid *opfamilies, const Oid *opcintypes, const Oid *types, const Oid *collations)
{
	KeyShape   *shape = palloc0(sizeof(KeyShape));

	shape->ncolumns = ncolumns;
	shape->columns = palloc0(ncolumns * sizeof(KeyColumn));
	shape->image_equal = true;
	shape->hashable = true;
	for (int i = 0; i < ncolumns; i++)
	{
		bool		hashable = true;

		shape_column(&shape->columns[i], opfamilies[i], opcintypes[i], types[i], collations[i], &hashable);
		shape->image_equal &= shape->columns[i].image_equal;
		shape->hashable &= hashable;
	}
	return shape;
}

static void
shape_column(KeyColumn *column, Oid opfamily, Oid opcintype, Oid type, Oid collation, bool *hashable)
{
	Oid			equal = get_opfamily_member(opfamily, opcintype, opcintype, BTEqualStrategyNumber);
	Oid			compare = get_opfamily_proc(opfamily, opcintype, opcintype, BTORDER_PROC);
	Oid			hash;

	if (!OidIsValid(equal) || !OidIsValid(compare))
		elog(ERROR, "operator family %u has no equality or order for type %u", opfamily, opcintype);
	get_typlenbyval(type, &column->typlen, &column->typbyval);
	column->collation = collation;
	fmgr_info(get_opcode(equal), &column->equal);
	fmgr_info(compare, &column->compare);
	column->image_equal = has_equal_images(opfamily, opcintype, collation);
	if (column->image_equal)
		return;

	/* Arrays, composites and ranges have a function, which needs one of what they are made of. */
	*hashable = get_op_hash_functions(equal, &hash, NULL) &&
		OidIsValid(lookup_type_cache(getBaseType(type), TYPECACHE_HASH_PROC)->hash_proc);
	if (*hashable)
		fmgr_info(hash, &column->hash);
}

/*
 * Two types' operator classes promise it and do not keep it: bpchar's, whose equal values
 * differ in spaces at the end, and interval's in clusters that older minor releases made.
 */
static bool
has_equal_images(Oid opfamily, Oid opcintype, Oid collation)
{
	Oid			image = get_opfamily_proc(opfamily, opcintype, opcintype, BTEQUALIMAGE_PROC);

	return OidIsValid(image) && opcintype != BPCHAROID && opcintype != INTERVALOID &&
		DatumGetBool(OidFunctionCall1Coll(image, collation, ObjectIdGetDatum(opcintype)));
}

KeyShape *
jobs_key_shape_of_bytes(int ncolumns, const Oid *types)
{
	KeyShape   *shape = palloc0(sizeof(KeyShape));

	shape->ncolumns = ncolumns;
	shape->columns = palloc0(ncolumns * sizeof(KeyColumn));
	shape->image_equal = true;
	shape->hashable = true;
	for (int i = 0; i < ncolumns; i++)
	{
		get_typlenbyval(types[i], &shape->columns[i].typlen, &shape->columns[i].typbyval);
		shape->columns[i].image_equal = true;
	}
	return shape;
}

/* Bytes of a value, without TOAST and without the length word of a varlena. */
static const char *
value_bytes(const KeyColumn *column, const Datum *value, int *len)
{
	if (column->typbyval)
	{
		/* The bytes of the type come first, or last. */
		*len = column->typlen;
#ifdef WORDS_BIGENDIAN
		return (const char *) value + sizeof(Datum) - column->typlen;
#else
		return (const char *) value;
#endif
	}
	if (column->typlen == -1)
	{
		struct varlena *varlena = PG_DETOAST_DATUM_PACKED(*value);

		*len = VARSIZE_ANY_EXHDR(varlena);
		return VARDATA_ANY(varlena);
	}
	*len = column->typlen == -2 ? strlen(DatumGetCString(*value)) + 1 : column->typlen;
	return DatumGetPointer(*value);
}

static uint64
column_hash(const KeyColumn *column, Datum value, const char *bytes, int len)
{
	if (column->image_equal)
		return hash_bytes_extended((const unsigned char *) bytes, len, 0);
	return DatumGetUInt32(FunctionCall1Coll(unconstify(FmgrInfo *, &column->hash), column->collation, value));
}

void
jobs_key_make(const KeyShape *shape, const Datum *values, const bool *nulls, Key *key)
{
	const char *bytes[INDEX_MAX_KEYS];
	int			lens[INDEX_MAX_KEYS];
	Size		size = 0;
	char	   *at;

	for (int i = 0; i < shape->ncolumns; i++)
	{
		lens[i] = 0;
		if (!nulls[i])
			bytes[i] = value_bytes(&shape->columns[i], &values[i], &lens[i]);
		size = add_size(size, 1 + sizeof(int32) + lens[i]);
	}
	if (size >= MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a key has more than %d MB", MAX_KEY / (1024 * 1024))));
	key->values = palloc(shape->ncolumns * (sizeof(Datum) + sizeof(bool)) + size);
	key->nulls = (bool *) (key->values + shape->ncolumns);
	memcpy(key->values, values, shape->ncolumns * sizeof(Datum));
	memcpy(key->nulls, nulls, shape->ncolumns * sizeof(bool));
	at = key->bytes = (char *) (key->nulls + shape->ncolumns);
	key->hash = 0;
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const KeyColumn *column = &shape->columns[i];

		*at++ = nulls[i];
		if (nulls[i])
			continue;
		if (column->typlen < 0)
		{
			memcpy(at, &lens[i], sizeof(int32));
			at += sizeof(int32);
		}
		memcpy(at, bytes[i], lens[i]);
		at += lens[i];
		if (!shape->image_equal && shape->hashable)
			key->hash = hash_combine64(key->hash, column_hash(column, values[i], bytes[i], lens[i]));
	}
	key->len = at - key->bytes;
	if (shape->image_equal)
		key->hash = hash_bytes_extended((unsigned char *) key->bytes, key->len, 0);
	else if (shape->hashable)
	{
		/* The bits of a hash function of 32 bits, spread. */
		key->hash = hash_bytes_extended((unsigned char *) &key->hash, sizeof(key->hash), 0);
	}
}

static Datum
unpack_by_value(const char *at, int len)
{
	union
	{
		int16		two;
		int32		four;
		int64		eight;
	}			value;

	memcpy(&value, at, len);
	switch (len)
	{
		case 1:
			return CharGetDatum(*at);
		case 2:
			return Int16GetDatum(value.two);
		case 4:
			return Int32GetDatum(value.four);
		default:
			return Int64GetDatum(value.eight);
	}
}

/* Values back from bytes; those by reference are in the current memory context. */
void
jobs_key_unpack(const KeyShape *shape, const char *at, Datum *values, bool *nulls)
{
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const KeyColumn *column = &shape->columns[i];
		int32		len = column->typlen;

		nulls[i] = *at++;
		values[i] = (Datum) 0;
		if (nulls[i])
			continue;
		if (column->typlen < 0)
		{
			memcpy(&len, at, sizeof(int32));
			at += sizeof(int32);
		}
		if (column->typbyval)
			values[i] = unpack_by_value(at, len);
		else
		{
			int			header = column->typlen == -1 ? VARHDRSZ : 0;
			char	   *copy = palloc(len + header);

			if (header)
				SET_VARSIZE(copy, len + header);
			memcpy(copy + header, at, len);
			values[i] = PointerGetDatum(copy);
		}
		at += len;
	}
}

bool
jobs_key_equal(const KeyShape *shape, const Key *key, const char *bytes, int len)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];

	if (len == key->len && memcmp(bytes, key->bytes, len) == 0)
		return true;
	if (shape->image_equal)
		return false;
	jobs_key_unpack(shape, bytes, values, nulls);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		KeyColumn  *column = &shape->columns[i];

		if (nulls[i] != key->nulls[i])
			return false;
		if (!nulls[i] && !DatumGetBool(FunctionCall2Coll(&column->equal, column->collation,
														 key->values[i], values[i])))
			return false;
	}
	return true;
}

/* Ranges of which those that overlap are the same have an order only where all else is equal. */
int
jobs_key_compare(const KeyShape *shape, const Datum *values1, const bool *nulls1,
				 const Datum *values2, const bool *nulls2)
{
	int			ranges = -1;

	for (int i = 0; i < shape->ncolumns; i++)
	{
		int			order;

		if (OidIsValid(shape->columns[i].overlaps.fn_oid))
		{
			ranges = i;
			continue;
		}
		order = compare_column(&shape->columns[i], values1[i], nulls1[i], values2[i], nulls2[i]);
		if (order != 0)
			return order;
	}
	if (ranges < 0)
		return 0;
	return compare_column(&shape->columns[ranges], values1[ranges], nulls1[ranges], values2[ranges], nulls2[ranges]);
}

static int
compare_column(KeyColumn *column, Datum value1, bool null1, Datum value2, bool null2)
{
	int			order;

	if (null1 || null2)
		return null1 == null2 ? 0 : null1 ? 1 : -1;
	if (OidIsValid(column->overlaps.fn_oid) &&
		DatumGetBool(FunctionCall2Coll(&column->overlaps, column->collation, value1, value2)))
		return 0;
	order = DatumGetInt32(FunctionCall2Coll(&column->compare, column->collation, value1, value2));
	return order > 0 ? 1 : order < 0 ? -1 : 0;
}
