/*-------------------------------------------------------------------------
 *
 * keyset.h
 *	  Keys of a file's rows, each with the row that has it, in bounded memory.
 *
 * Two keys are the same where the operator class of the index says so, not by
 * bytes or by hash alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_KEYSET_H
#define JOBS_KEYSET_H

#include "postgres.h"

#include "access/attnum.h"
#include "fmgr.h"
#include "storage/block.h"
#include "utils/rel.h"

/* How one column of a key is kept, hashed and compared. */
typedef struct KeyColumn
{
	int16		typlen;
	bool		typbyval;
	bool		image_equal;	/* equal values have equal bytes */
	Oid			collation;
	FmgrInfo	compare;		/* of the operator class: three-way */
	FmgrInfo	equal;
	FmgrInfo	hash;			/* agrees with equal; not used where image_equal */
	FmgrInfo	overlaps;		/* of ranges: those that overlap count as the same; fn_oid 0: none.  One column's at most */
} KeyColumn;

typedef struct KeyShape
{
	int			ncolumns;
	bool		image_equal;	/* all of its columns */
	bool		hashable;		/* all of its columns */
	KeyColumn  *columns;
} KeyShape;

/* A key, packed: for each column a byte that tells a null, and the value without TOAST. */
typedef struct Key
{
	uint64		hash;
	int			len;
	char	   *bytes;
	Datum	   *values;
	bool	   *nulls;
} Key;

/* The shape of a key by operator classes of B-trees; in the current memory context. */
extern KeyShape *jobs_key_shape(int ncolumns, const Oid *opfamilies, const Oid *opcintypes,
								const Oid *types, const Oid *collations);

/* One for keys that are only packed, hashed and compared as bytes. */
extern KeyShape *jobs_key_shape_of_bytes(int ncolumns, const Oid *types);

/*
 * Packs and hashes.  bytes, values and nulls are in the current memory context; what
 * values point to stays where it is.  Raises 54000 for a key of 16 MB.
 */
extern void jobs_key_make(const KeyShape *shape, const Datum *values, const bool *nulls, Key *key);

/*
 * Three-way, in the order of the operator classes, nulls last; directions do not count.
 * A column with overlaps comes after all others.
 */
extern int	jobs_key_compare(const KeyShape *shape, const Datum *values1, const bool *nulls1,
							 const Datum *values2, const bool *nulls2);

/* Values back from a key's bytes; those by reference are in the current memory context. */
extern void jobs_key_unpack(const KeyShape *shape, const char *bytes, Datum *values, bool *nulls);

/* Whether a key equals the one with these bytes. */
extern bool jobs_key_equal(const KeyShape *shape, const Key *key, const char *bytes, int len);

typedef struct KeySet KeySet;

/* What all sets together may have in memory, in bytes, and have. */
typedef struct KeyMemory
{
	Size		limit;
	Size		used;
} KeyMemory;

/*
 * What goes beyond memory is in temporary files of the current resource owner.
 * Lives in a context below the current one.  Raises 54000 where keys without a
 * hash function, which have to stay in memory, outgrow it.
 */
extern KeySet *jobs_keyset_create(const KeyShape *shape, KeyMemory *memory);

/* Fetches what a search for the key will read first, since it is hardly ever in a cache. */
extern void jobs_keyset_prefetch(KeySet *set, const Key *key);

/* The row that has the key, or 0. */
extern int64 jobs_keyset_find(KeySet *set, const Key *key);

/* Adds a key that was not found. */
extern void jobs_keyset_add(KeySet *set, const Key *key, int64 row_no);

extern void jobs_keyset_free(KeySet *set);

#endif							/* JOBS_KEYSET_H */
