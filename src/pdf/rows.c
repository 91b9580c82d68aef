/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  Rows that wait until the widths of their columns are known.
 *
 * They are kept in a tuplestore, which goes to disk with what is more than
 * work_mem, as tuples of one bytea that has all the cells.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "table.h"
#include "utils/memutils.h"

/* In front of the text of a cell. */
typedef struct Header
{
	int32		len;			/* -1: null */
	float		width;
	bool		complex;
	bool		rtl;
	bool		paragraphs;
} Header;

struct PdfRows
{
	int			ncolumns;
	Tuplestorestate *store;
	TupleTableSlot *slot;
	char	   *buffer;
	Size		size;
};

PdfRows *
jobs_pdf_begin_rows(int ncolumns)
{
	PdfRows    *rows = palloc0(sizeof(PdfRows));
	TupleDesc	desc = CreateTemplateTupleDesc(1);

	TupleDescInitEntry(desc, 1, "cells", BYTEAOID, -1, 0);
	rows->ncolumns = ncolumns;
	rows->store = tuplestore_begin_heap(false, false, work_mem);
	rows->slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	return rows;
}

void
jobs_pdf_add_row(PdfRows *rows, const PdfCell *cells)
{
	Size		size = VARHDRSZ;
	char	   *p;
	Datum		value;
	bool		null = false;

	for (int i = 0; i < rows->ncolumns; i++)
		size += sizeof(Header) + (cells[i].null ? 0 : cells[i].text.len);
	if (size > MaxAllocSize / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a row is too large for a PDF file"),
				 errhint("Leave its longest columns out, or choose another format.")));
	if (size > rows->size)
	{
		if (rows->buffer)
			pfree(rows->buffer);
		rows->size = Max(size, 2 * rows->size);
		rows->buffer = MemoryContextAlloc(GetMemoryChunkContext(rows), rows->size);
	}
	p = rows->buffer + VARHDRSZ;
	for (int i = 0; i < rows->ncolumns; i++)
	{
		const PdfCell *cell = &cells[i];
		Header		header = {-1, cell->width, cell->text.complex, cell->rtl, cell->paragraphs};

		if (!cell->null)
			header.len = cell->text.len;
		memcpy(p, &header, sizeof(Header));
		p += sizeof(Header);
		if (!cell->null)
			memcpy(p, cell->text.data, cell->text.len);
		p += cell->null ? 0 : cell->text.len;
	}
	SET_VARSIZE(rows->buffer, size);
	value = PointerGetDatum(rows->buffer);
	tuplestore_putvalues(rows->store, rows->slot->tts_tupleDescriptor, &value, &null);
}

void
jobs_pdf_rewind_rows(PdfRows *rows)
{
	tuplestore_rescan(rows->store);
}

bool
jobs_pdf_next_row(PdfRows *rows, PdfCell *cells)
{
	MemoryContext old;
	bool		found;
	bool		null;
	struct varlena *value;
	char	   *p;

	/* What comes from disk belongs to the slot, which lives longer than the caller's memory. */
	old = MemoryContextSwitchTo(GetMemoryChunkContext(rows));
	found = tuplestore_gettupleslot(rows->store, true, false, rows->slot);
	MemoryContextSwitchTo(old);
	if (!found)
		return false;
	value = (struct varlena *) DatumGetPointer(slot_getattr(rows->slot, 1, &null));
	/* The slot's memory lasts until the next row only. */
	p = palloc(VARSIZE_ANY_EXHDR(value));
	memcpy(p, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	for (int i = 0; i < rows->ncolumns; i++)
	{
		Header		header;

		memcpy(&header, p, sizeof(Header));
		p += sizeof(Header);
		cells[i].null = header.len < 0;
		cells[i].text.data = p;
		cells[i].text.len = Max(header.len, 0);
		cells[i].text.complex = header.complex;
		cells[i].rtl = header.rtl;
		cells[i].paragraphs = header.paragraphs;
		cells[i].width = header.width;
		p += cells[i].text.len;
	}
	return true;
}

void
jobs_pdf_end_rows(PdfRows *rows)
{
	ExecDropSingleTupleTableSlot(rows->slot);
	tuplestore_end(rows->store);
}
