/*-------------------------------------------------------------------------
 *
 * undo_record.c
 *	  Writing down what an import would need to be taken back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "compat.h"
#include "import/undo.h"
#include "import/verdict.h"
#include "store.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"

#define CHUNK_BYTES		(128 * 1024)

/* Entries on their way into chunks. */
typedef struct Stream
{
	int64		next_chunk;
	StringInfoData buf;
} Stream;

struct UndoRecord
{
	JobId		job;
	FullTransactionId transaction;
	Stream		inserted;
	Stream		updated;
	Oid			updated_rel;	/* whose file's number this is */
	uint64		updated_file;

	/* the run of neighbours that is not written yet, and its place */
	Oid			rel;
	TransactionId xid;
	CommandId	cid;
	BlockNumber last_block;
	BlockNumber block;
	OffsetNumber offset;
	int			count;
};

static void begin_stream(UndoRecord *undo, Stream *stream, int64 first_chunk);
static bool end_entry(UndoRecord *undo, Stream *stream);
static void write_chunk(UndoRecord *undo, Stream *stream);
static void end_run(UndoRecord *undo);

UndoRecord *
jobs_undo_begin(JobId job)
{
	UndoRecord *undo = palloc0(sizeof(UndoRecord));

	undo->job = job;
	undo->transaction = GetTopFullTransactionId();
	begin_stream(undo, &undo->inserted, UNDO_INSERTED);
	begin_stream(undo, &undo->updated, UNDO_UPDATED);
	return undo;
}

static void
begin_stream(UndoRecord *undo, Stream *stream, int64 first_chunk)
{
	stream->next_chunk = first_chunk;
	initStringInfo(&stream->buf);
	appendStringInfoSpaces(&stream->buf, VARHDRSZ);
	jobs_append_varint(&stream->buf, U64FromFullTransactionId(undo->transaction));
}

/* Whether a new chunk has begun. */
static bool
end_entry(UndoRecord *undo, Stream *stream)
{
	if (stream->buf.len < CHUNK_BYTES)
		return false;
	write_chunk(undo, stream);
	return true;
}

static void
write_chunk(UndoRecord *undo, Stream *stream)
{
	SET_VARSIZE(stream->buf.data, stream->buf.len);
	jobs_store_add_chunk(undo->job, stream->next_chunk++, (bytea *) stream->buf.data, true);
	stream->buf.len = VARHDRSZ;
	jobs_append_varint(&stream->buf, U64FromFullTransactionId(undo->transaction));
}

void
jobs_undo_inserted(UndoRecord *undo, Relation rel, TransactionId xid, CommandId cid, ItemPointer tid)
{
	BlockNumber block = ItemPointerGetBlockNumber(tid);
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);

	if (undo->count > 0 && undo->rel == RelationGetRelid(rel) && undo->xid == xid && undo->cid == cid &&
		undo->block == block && undo->offset + undo->count == offset)
	{
		undo->count++;
		return;
	}
	end_run(undo);
	if (undo->rel != RelationGetRelid(rel) || undo->xid != xid || undo->cid != cid)
	{
		StringInfo	buf = &undo->inserted.buf;

		jobs_append_varint(buf, 0);
		jobs_append_varint(buf, RelationGetRelid(rel));
		jobs_append_varint(buf, jobs_file_number(rel));
		jobs_append_varint(buf, xid);
		jobs_append_varint(buf, cid);
		jobs_append_varint(buf, 0);
		undo->rel = RelationGetRelid(rel);
		undo->xid = xid;
		undo->cid = cid;
		undo->last_block = 0;
	}
	undo->block = block;
	undo->offset = offset;
	undo->count = 1;
}

void
jobs_undo_inserted_by(UndoRecord *undo, TransactionId xid, CommandId cid)
{
	StringInfo	buf = &undo->inserted.buf;

	end_run(undo);
	jobs_append_varint(buf, 0);
	jobs_append_varint(buf, InvalidOid);
	jobs_append_varint(buf, 0);
	jobs_append_varint(buf, xid);
	jobs_append_varint(buf, cid);
	jobs_append_varint(buf, 1);
	undo->rel = InvalidOid;
	(void) end_entry(undo, &undo->inserted);
}

static void
end_run(UndoRecord *undo)
{
	int64		delta = (int64) undo->block - (int64) undo->last_block;

	if (undo->count == 0)
		return;
	jobs_append_varint(&undo->inserted.buf, (delta < 0 ? ((uint64) -delta << 1 | 1) : (uint64) delta << 1) + 1);
	jobs_append_varint(&undo->inserted.buf, undo->offset);
	jobs_append_varint(&undo->inserted.buf, undo->count);
	undo->last_block = undo->block;
	undo->count = 0;
	/* Each chunk can be read without those before it. */
	if (end_entry(undo, &undo->inserted))
		undo->rel = InvalidOid;
}

void
jobs_undo_updated(UndoRecord *undo, Oid rel, TransactionId xid, ItemPointer tid, bytea *old)
{
	StringInfo	buf = &undo->updated.buf;

	if (undo->updated_rel != rel)
	{
		Relation	relation = table_open(rel, AccessShareLock);

		undo->updated_rel = rel;
		undo->updated_file = jobs_file_number(relation);
		table_close(relation, NoLock);
	}
	jobs_append_varint(buf, rel);
	jobs_append_varint(buf, undo->updated_file);
	jobs_append_varint(buf, xid);
	jobs_append_varint(buf, ItemPointerGetBlockNumber(tid));
	jobs_append_varint(buf, ItemPointerGetOffsetNumber(tid));
	jobs_append_varint(buf, VARSIZE_ANY_EXHDR(old));
	appendBinaryStringInfo(buf, VARDATA_ANY(old), VARSIZE_ANY_EXHDR(old));
	(void) end_entry(undo, &undo->updated);
}

void
jobs_undo_end(UndoRecord *undo)
{
	StringInfoData empty;

	end_run(undo);
	initStringInfo(&empty);
	jobs_append_varint(&empty, U64FromFullTransactionId(undo->transaction));
	if (undo->inserted.buf.len > VARHDRSZ + empty.len)
		write_chunk(undo, &undo->inserted);
	if (undo->updated.buf.len > VARHDRSZ + empty.len)
		write_chunk(undo, &undo->updated);
}

/* ------------------------------------------------------------------------
 * Values
 * ------------------------------------------------------------------------
 */

static struct
{
	int			date_style;
	int			interval_style;
	int			float_digits;
	int			bytea_output;
}			saved_formats;

/* For every row that is updated, so the settings' own functions would cost too much. */
void
jobs_undo_set_formats(void)
{
	saved_formats.date_style = DateStyle;
	saved_formats.interval_style = IntervalStyle;
	saved_formats.float_digits = extra_float_digits;
	saved_formats.bytea_output = bytea_output;
	DateStyle = USE_ISO_DATES;
	IntervalStyle = INTSTYLE_POSTGRES;
	extra_float_digits = 3;
	bytea_output = BYTEA_OUTPUT_HEX;
}

void
jobs_undo_reset_formats(void)
{
	DateStyle = saved_formats.date_style;
	IntervalStyle = saved_formats.interval_style;
	extra_float_digits = saved_formats.float_digits;
	bytea_output = saved_formats.bytea_output;
}

bytea *
jobs_undo_pack(char **values, int n)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoSpaces(&buf, VARHDRSZ);
	for (int i = 0; i < n; i++)
	{
		int			len = values[i] ? strlen(values[i]) : 0;

		jobs_append_varint(&buf, values[i] ? (uint64) len + 1 : 0);
		if (values[i])
			appendBinaryStringInfo(&buf, values[i], len);
	}
	SET_VARSIZE(buf.data, buf.len);
	return (bytea *) buf.data;
}
