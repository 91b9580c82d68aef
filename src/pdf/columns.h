/*-------------------------------------------------------------------------
 *
 * columns.h
 *	  The design of a table: paper, size of the font, widths of columns.
 *
 * Widths are in em, as in text.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_PDF_COLUMNS_H
#define JOBS_PDF_COLUMNS_H

#include "postgres.h"

#include "../pdf.h"
#include "text.h"

#define PDF_MARGIN			36.0	/* points on the left, on the right and above */
#define PDF_BOTTOM_MARGIN	42.0	/* with the footer */
#define PDF_GAP				1.4		/* em between two columns */

typedef struct PdfColumn
{
	PdfText		name;
	PdfExtent	name_extent;	/* in the bold face */
	bool		number;			/* stands on the right */
	bool		whole;			/* better not broken: numbers, times */
	/* of all its cells */
	int64		filled;			/* are not null */
	int64		rtl;
	float		widest;
	float		word;
	/* chosen */
	bool		right;			/* its text stands on the right */
	float		width;
	PdfLines	name_lines;
} PdfColumn;

/* The widths of the cells of some rows, each row as likely as any other. */
typedef struct PdfSample
{
	int			ncolumns;
	int			n;				/* rows */
	int64		seen;			/* rows */
	uint64		random;
	float	   *widths;			/* of n * ncolumns cells */
} PdfSample;

/* Columns that go onto a page together. */
typedef struct PdfGroup
{
	int			n;
	int		   *columns;
} PdfGroup;

typedef struct PdfDesign
{
	double		page_width;		/* points */
	double		page_height;
	double		size;			/* of the font */
	int			ngroups;		/* more than 1: the columns do not fit onto a page */
	PdfGroup   *groups;
} PdfDesign;

extern void jobs_pdf_note_cell(PdfColumn *column, const PdfExtent *extent);

extern PdfSample *jobs_pdf_begin_sample(int ncolumns);

/* Looks at the widths of each row's cells, and takes some. */
extern void jobs_pdf_note_row(PdfSample *sample, const float *widths);

/* Chooses everything, in the current memory context. */
extern PdfDesign *jobs_pdf_design(const JobsPdfOptions *options, PdfColumn *columns, const PdfSample *sample);

#endif							/* JOBS_PDF_COLUMNS_H */
