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
#include "common/hashfn.h"
#include "compat.h"
#include "import/keyset.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define MAX_KEY		(16 * 1024 * 1024)	/* bytes; keyset.c keeps lengths in 24 bits */

static void shape_column(KeyColumn *column, Oid opfamily, Oid opcintype, Oid type, Oid collation,
						 bool *hashable);

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
	Oid			image = get_opfamily_proc(opfamily, opcintype, opcintype, BTEQUALIMAGE_PROC);
	Oid			hash;

	if (!OidIsValid(equal) || !OidIsValid(compare))
		elog(ERROR, "operator family %u has no equality or order for type %u", opfamily, opcintype);
	get_typlenbyval(type, &column->typlen, &column->typbyval);
	column->collation = collation;
	fmgr_info(get_opcode(equal), &column->equal);
	fmgr_info(compare, &column->compare);
	column->image_equal = OidIsValid(image) &&
		DatumGetBool(OidFunctionCall1Coll(image, collation, ObjectIdGetDatum(opcintype)));
	if (column->image_equal)
		return;
	*hashable = get_op_hash_functions(equal, &hash, NULL);
	if (*hashable)
		fmgr_info(hash, &column->hash);
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
		if (!column->image_equal && shape->hashable)
			key->hash = hash_combine64(key->hash,
									   DatumGetUInt32(FunctionCall1Coll(unconstify(FmgrInfo *, &column->hash),
																		column->collation, values[i])));
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

int
jobs_key_compare(const KeyShape *shape, const Datum *values1, const bool *nulls1,
				 const Datum *values2, const bool *nulls2)
{
	for (int i = 0; i < shape->ncolumns; i++)
	{
		KeyColumn  *column = &shape->columns[i];
		int			order;

		if (nulls1[i] || nulls2[i])
		{
			if (nulls1[i] == nulls2[i])
				continue;
			return nulls1[i] ? 1 : -1;
		}
		if (OidIsValid(column->overlaps.fn_oid) &&
			DatumGetBool(FunctionCall2Coll(&column->overlaps, column->collation, values1[i], values2[i])))
			continue;
		order = DatumGetInt32(FunctionCall2Coll(&column->compare, column->collation, values1[i], values2[i]));
		if (order != 0)
			return order > 0 ? 1 : -1;
	}
	return 0;
}
