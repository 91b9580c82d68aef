/*-------------------------------------------------------------------------
 *
 * encode.h
 *	  A plan node that encodes the rows of the plan below it.
 *
 * It stands below JobsMerge, so that each parallel worker encodes the rows that it
 * finds, and only bytes and sort keys go to the leader.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ENCODE_H
#define JOBS_ENCODE_H

#include "postgres.h"

#include "format.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"

/* What the node gives, many rows at once. */
#define JOBS_ENCODE_BYTES	1
#define JOBS_ENCODE_ROWS	2
#define JOBS_ENCODE_KEYS	3	/* bytea: the sort keys */
#define JOBS_ENCODE_INDEX	4	/* bytea: JobsEncodedRow for each row, or one for all */

typedef struct JobsEncodedRow
{
	uint32		end;			/* of its bytes */
	uint32		key;			/* where its key begins */
} JobsEncodedRow;

/*
 * A key is a NullableDatum for each column; where the type is passed by
 * reference, its value is the distance from the key's beginning.
 */
static inline NullableDatum
jobs_encoded_key(const char *key, int column, bool by_value)
{
	NullableDatum value;

	memcpy(&value, key + column * sizeof(NullableDatum), sizeof(NullableDatum));
	if (!by_value && !value.isnull)
		value.value = PointerGetDatum(key + value.value);
	return value;
}

typedef struct JobsEncode
{
	const char *format;
	const char *options;		/* JSON */
	bool		by_place;		/* one key for all the rows: the first one's tid */
	List	   *columns;		/* of int: which of the plan's columns are written, in order */
	List	   *names;			/* of String: what they are called */
	List	   *keys;			/* of int: the plan's columns that are sort keys */
} JobsEncode;

/* Makes the node known to the executor, in workers too; from _PG_init. */
extern void jobs_encode_init(void);

/* Gives a node of our own its target list: columns of these types. */
extern void jobs_set_scan_columns(CustomScan *scan, const Oid *types, int ntypes);

/* Puts the node above a finished plan. */
extern Plan *jobs_encode_plan(const JobsEncode *encode, Plan *child);

#endif							/* JOBS_ENCODE_H */
