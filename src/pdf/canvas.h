/*-------------------------------------------------------------------------
 *
 * canvas.h
 *	  Drawing pages into a PDF file, by Cairo.
 *
 * All lengths are in points, from the upper left corner of the page.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_PDF_CANVAS_H
#define JOBS_PDF_CANVAS_H

#include "postgres.h"

#include "../format.h"
#include "datatype/timestamp.h"
#include "fonts.h"

typedef struct PdfCanvas PdfCanvas;

/*
 * Begins a file.  Lives in the current memory context, which frees what the
 * library has allocated too when it is reset.  The sink is called after each
 * page, never from inside of the library.
 */
extern PdfCanvas *jobs_pdf_begin_canvas(double width, double height, JobsSink sink, void *arg);

/* What readers show as the file's properties; UTF-8. */
extern void jobs_pdf_set_metadata(PdfCanvas *canvas, const char *title, TimestampTz created);

/* Shades of gray, 0 is black; for text and for rules. */
extern void jobs_pdf_set_gray(PdfCanvas *canvas, double gray);

/*
 * Puts a line of text on the page, with its left end at x.  Text can be
 * selected in the order in which it was put.
 */
extern void jobs_pdf_put_text(PdfCanvas *canvas, PdfFace face, double size, double x, double baseline,
							  const char *text, int len, bool complex, bool rtl);

/* A horizontal rule. */
extern void jobs_pdf_put_rule(PdfCanvas *canvas, double x, double y, double length, double thickness);

extern void jobs_pdf_put_rectangle(PdfCanvas *canvas, double x, double y, double width, double height);

/* Ends the page; what is put next is on another one. */
extern void jobs_pdf_end_page(PdfCanvas *canvas);

/* Ends the file. */
extern void jobs_pdf_end_canvas(PdfCanvas *canvas);

#endif							/* JOBS_PDF_CANVAS_H */
