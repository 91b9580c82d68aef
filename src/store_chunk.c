/*-------------------------------------------------------------------------
 *
 * store_chunk.c
 *	  The bytes of artifacts and uploads.
 *
 * A chunk is more than a page holds.  TOAST would cut it into pieces of a quarter of
 * a page, each with an entry in an index; ours fill a page.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/toast_internals.h"
#include "access/xact.h"
#include "artifact.h"
#include "compat.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "rel.h"
#include "utils/snapmgr.h"

/* Columns of jobs.chunk. */
enum
{
	CHUNK_JOB, CHUNK_SEQ, CHUNK_PIECE, CHUNK_COMPRESSED, CHUNK_DATA, CHUNK_COUNT
};
StaticAssertDecl(CHUNK_COUNT == JOBS_CHUNK_NATTS, "JOBS_CHUNK_NATTS is wrong");

/* So many bytes of data make a row of jobs.chunk fill a page. */
#define PIECE_SIZE \
	(MaxHeapTupleSize - MAXALIGN(SizeofHeapTupleHeader) - \
	 (2 * sizeof(int64) + sizeof(int32) + INTALIGN(sizeof(bool)) + VARHDRSZ))

#define PIECES_AT_ONCE	JOBS_MAX_ROWS
#define MIN_COMPRESSED	64		/* bytes of a chunk */

/* lz4 is several times faster, where the server has been built with it. */
#ifdef USE_LZ4
#define CHUNK_COMPRESSION	TOAST_LZ4_COMPRESSION
#else
#define CHUNK_COMPRESSION	TOAST_PGLZ_COMPRESSION
#endif

#define GET(a)		(slot->tts_values[a])

/* The last row of what has grown by jobs_store_append; in front of it all are full. */
typedef struct End
{
	int64		seq;
	int			piece;
	bool		compressed;		/* the chunk, which then is full too */
	Size		len;			/* bytes of the piece */
} End;

static bytea *compress_chunk(bytea *chunk);
static void put_pieces(JobsRel *r, JobId job, int64 seq, int piece, const char *data, Size len, bool compressed);
static bool find_end(JobsRel *r, JobId job, End *end);
static int64 bytes_before(const End *end);
static Size fill_last(JobsRel *r, JobId job, const End *end, const char *data, Size len);

/*
 * The chunk itself, compressed in a way that the server's own functions undo,
 * or as it is where that saves nothing.
 */
static bytea *
compress_chunk(bytea *chunk)
{
	Datum		compressed;

	/* Of almost nothing, lz4 would make more. */
	if (VARSIZE_ANY_EXHDR(chunk) < MIN_COMPRESSED)
		return chunk;
	compressed = toast_compress_datum(PointerGetDatum(chunk), CHUNK_COMPRESSION);
	return DatumGetPointer(compressed) == NULL ? chunk : (bytea *) DatumGetPointer(compressed);
}

/* Rows of a chunk, from a piece on. */
static void
put_pieces(JobsRel *r, JobId job, int64 seq, int piece, const char *data, Size len, bool compressed)
{
	char	   *pieces = palloc(PIECES_AT_ONCE * MAXALIGN(VARHDRSZ + PIECE_SIZE));
	bool		any = false;

	while (len > 0 || !any)
	{
		Datum		values[PIECES_AT_ONCE][CHUNK_COUNT];
		int			n;

		for (n = 0; n < PIECES_AT_ONCE && (len > 0 || !any); n++)
		{
			Size		part = Min(len, PIECE_SIZE);
			bytea	   *value = (bytea *) (pieces + n * MAXALIGN(VARHDRSZ + PIECE_SIZE));

			SET_VARSIZE(value, VARHDRSZ + part);
			memcpy(VARDATA(value), data, part);
			values[n][CHUNK_JOB] = Int64GetDatum(job);
			values[n][CHUNK_SEQ] = Int64GetDatum(seq);
			values[n][CHUNK_PIECE] = Int32GetDatum(piece++);
			values[n][CHUNK_COMPRESSED] = BoolGetDatum(compressed);
			values[n][CHUNK_DATA] = PointerGetDatum(value);
			data += part;
			len -= part;
			any = true;
		}
		jobs_rel_insert_rows(r, values[0], n);
	}
	pfree(pieces);
}

void
jobs_store_add_chunk(JobId job, int64 seq, bytea *chunk, bool compress)
{
	JobsRel		r;
	bytea	   *stored = compress ? compress_chunk(chunk) : chunk;

	jobs_rel_open(&r, REL_CHUNK, RowExclusiveLock);
	put_pieces(&r, job, seq, 0, (char *) stored + VARHDRSZ, VARSIZE_ANY(stored) - VARHDRSZ, stored != chunk);
	jobs_rel_close(&r);
	if (stored != chunk)
		pfree(stored);
}

/* The pieces of a chunk in order, put together. */
bytea *
jobs_store_get_chunk(JobId job, int64 seq, Snapshot snapshot)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData keys[2];
	StringInfoData stored;
	int			npieces = 0;
	bool		compressed = false;
	bytea	   *data;

	initStringInfo(&stored);
	appendStringInfoSpaces(&stored, VARHDRSZ);
	jobs_rel_open(&r, REL_CHUNK, AccessShareLock);
	jobs_key_int8(&keys[0], 1, job);
	jobs_key_int8(&keys[1], 2, seq);
	jobs_rel_scan(&scan, &r, "chunk_pkey", keys, 2, snapshot);
	while (jobs_rel_next(&scan))
	{
		TupleTableSlot *slot = r.slot;
		bytea	   *piece;

		slot_getallattrs(slot);
		if (DatumGetInt32(GET(CHUNK_PIECE)) != npieces)
			break;
		npieces++;
		compressed = DatumGetBool(GET(CHUNK_COMPRESSED));
		piece = DatumGetByteaPP(GET(CHUNK_DATA));
		appendBinaryStringInfo(&stored, VARDATA_ANY(piece), VARSIZE_ANY_EXHDR(piece));
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	if (npieces == 0)
		return NULL;
	if (!compressed)
	{
		SET_VARSIZE(stored.data, stored.len);
		return (bytea *) stored.data;
	}
	SET_VARSIZE_COMPRESSED(stored.data, stored.len);
	data = (bytea *) detoast_attr((struct varlena *) stored.data);
	pfree(stored.data);
	return data;
}

/* ------------------------------------------------------------------------
 * Appending
 * ------------------------------------------------------------------------
 */

/* Its row is then in r->slot. */
static bool
find_end(JobsRel *r, JobId job, End *end)
{
	JobsRelScan scan;
	ScanKeyData key;
	bool		found;

	jobs_key_int8(&key, 1, job);
	jobs_rel_scan(&scan, r, "chunk_pkey", &key, 1, jobs_rel_snapshot());
	found = jobs_rel_previous(&scan);
	if (found)
	{
		TupleTableSlot *slot = r->slot;

		ExecMaterializeSlot(slot);
		slot_getallattrs(slot);
		end->seq = DatumGetInt64(GET(CHUNK_SEQ));
		end->piece = DatumGetInt32(GET(CHUNK_PIECE));
		end->compressed = DatumGetBool(GET(CHUNK_COMPRESSED));
		end->len = VARSIZE_ANY_EXHDR(DatumGetByteaPP(GET(CHUNK_DATA)));
	}
	jobs_rel_scan_end(&scan);
	return found;
}

static int64
bytes_before(const End *end)
{
	if (end->compressed)
		return (end->seq + 1) * JOBS_CHUNK_SIZE;
	return end->seq * JOBS_CHUNK_SIZE + (int64) end->piece * PIECE_SIZE + end->len;
}

int64
jobs_store_appended(JobId job)
{
	JobsRel		r;
	End			end;
	int64		bytes = 0;

	jobs_rel_open(&r, REL_CHUNK, AccessShareLock);
	if (find_end(&r, job, &end))
		bytes = bytes_before(&end);
	jobs_rel_close(&r);
	return bytes;
}

/*
 * Adds to the last chunk until it is full; returns how much.  Only its last piece is
 * written anew, so that many small bits cost no more than a page each.
 */
static Size
fill_last(JobsRel *r, JobId job, const End *end, const char *data, Size len)
{
	Size		room = (end->seq + 1) * JOBS_CHUNK_SIZE - bytes_before(end);
	Size		n = Min(len, room);
	TupleTableSlot *slot = r->slot;
	char	   *joined;

	if (n == 0 || end->len == PIECE_SIZE)
	{
		if (n > 0)
			put_pieces(r, job, end->seq, end->piece + 1, data, n, false);
		return n;
	}
	joined = palloc(end->len + n);
	memcpy(joined, VARDATA_ANY(DatumGetByteaPP(GET(CHUNK_DATA))), end->len);
	memcpy(joined + end->len, data, n);
	if (!jobs_rel_lock(r, JOBS_WAIT_BLOCK, NULL))
		elog(ERROR, "the last piece of upload %lld has gone", (long long) job);
	jobs_rel_delete(r);
	put_pieces(r, job, end->seq, end->piece, joined, end->len + n, false);
	pfree(joined);
	return n;
}

void
jobs_store_append(JobId job, const char *data, Size len)
{
	JobsRel		r;
	End			end;
	int64		seq = 0;
	bytea	   *chunk;

	if (len == 0)
		return;
	jobs_rel_open(&r, REL_CHUNK, RowExclusiveLock);
	if (find_end(&r, job, &end))
	{
		Size		n = fill_last(&r, job, &end, data, len);

		data += n;
		len -= n;
		seq = end.seq + 1;
	}
	chunk = palloc(VARHDRSZ + JOBS_CHUNK_SIZE);
	for (; len >= JOBS_CHUNK_SIZE; len -= JOBS_CHUNK_SIZE, data += JOBS_CHUNK_SIZE)
	{
		bytea	   *stored;

		CHECK_FOR_INTERRUPTS();
		SET_VARSIZE(chunk, VARHDRSZ + JOBS_CHUNK_SIZE);
		memcpy(VARDATA(chunk), data, JOBS_CHUNK_SIZE);
		stored = compress_chunk(chunk);
		put_pieces(&r, job, seq++, 0, (char *) stored + VARHDRSZ, VARSIZE_ANY(stored) - VARHDRSZ, stored != chunk);
		if (stored != chunk)
			pfree(stored);
	}
	pfree(chunk);
	if (len > 0)
		put_pieces(&r, job, seq, 0, data, len, false);
	jobs_rel_close(&r);
	CommandCounterIncrement();
}
