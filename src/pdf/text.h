/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Text in cells: made clean, measured, broken into lines.
 *
 * Widths are in em, so that they hold for every size of the font.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_PDF_TEXT_H
#define JOBS_PDF_TEXT_H

#include "postgres.h"

#include "fonts.h"

/* UTF-8 without control characters but newlines. */
typedef struct PdfText
{
	const char *data;
	int			len;
	bool		complex;		/* needs Pango */
} PdfText;

/* Bytes that a line has at most, as some characters have no width. */
#define PDF_MAX_LINE	2048

/* What is drawn at one height. */
typedef struct PdfLine
{
	int			start;			/* in the text */
	int			len;
	float		width;
	bool		rtl;			/* its paragraph is written from right to left */
} PdfLine;

typedef struct PdfLines
{
	int			n;
	int			size;			/* allocated */
	PdfLine    *lines;
} PdfLines;

typedef struct PdfExtent
{
	float		width;			/* of the longest line */
	float		word;			/* of the longest part that should not be broken */
	bool		rtl;
} PdfExtent;

/*
 * Makes what came from the database fit for drawing, in the current memory
 * context.  Bytes that are no UTF-8 and control characters become U+FFFD.
 */
extern PdfText jobs_pdf_clean(PdfFace face, const char *s, int len);

extern PdfExtent jobs_pdf_measure(PdfFace face, const PdfText *text);

/*
 * Breaks a text into lines no wider than width, a very wide character aside.
 * lines->lines is of the current memory context, or the caller's for reuse.
 */
extern void jobs_pdf_wrap(PdfFace face, const PdfText *text, float width, PdfLines *lines);

/* How many lines that would be. */
extern int	jobs_pdf_count_lines(PdfFace face, const PdfText *text, float width);

#endif							/* JOBS_PDF_TEXT_H */
