/*-------------------------------------------------------------------------
 *
 * table.h
 *	  A table on its way to paper: its rows, and the pages that they make.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_PDF_TABLE_H
#define JOBS_PDF_TABLE_H

#include "postgres.h"

#include "columns.h"
#include "datatype/timestamp.h"
#include "utils/tuplestore.h"

/* A cell as it was found. */
typedef struct PdfCell
{
	PdfText		text;
	bool		null;
	bool		rtl;
	bool		paragraphs;		/* more than one */
	float		width;			/* of its longest line, not broken */
} PdfCell;

/* Rows that wait for their column widths; on disk where they are many. */
typedef struct PdfRows PdfRows;

extern PdfRows *jobs_pdf_begin_rows(int ncolumns);
extern void jobs_pdf_add_row(PdfRows *rows, const PdfCell *cells);
extern void jobs_pdf_rewind_rows(PdfRows *rows);

/* Fills in the cells, with memory of the current context.  False: there are no more. */
extern bool jobs_pdf_next_row(PdfRows *rows, PdfCell *cells);

extern void jobs_pdf_end_rows(PdfRows *rows);

typedef struct PdfTable
{
	const JobsPdfOptions *options;
	PdfText		title;			/* bold, above the table; may be empty */
	PdfText		subtitle;
	char	   *metadata_title;
	TimestampTz date;
	int			ncolumns;
	PdfColumn  *columns;
	PdfSample  *sample;
	PdfRows    *rows;
	int64		nrows;
} PdfTable;

/* Draws everything.  Memory is of the current context, which must be a short-lived one. */
extern void jobs_pdf_draw_table(PdfTable *table, JobsSink sink, void *arg);

#endif							/* JOBS_PDF_TABLE_H */
