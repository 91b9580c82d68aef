/*-------------------------------------------------------------------------
 *
 * fonts.h
 *	  The server's fonts, by fontconfig and Pango.
 *
 * Most text needs no shaping: each character is one glyph, and its width does
 * not depend on its neighbours.  For such characters there are tables.  All
 * others go through a PangoLayout, which also finds fonts that have them.
 *
 * Everything here lives as long as the process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_PDF_FONTS_H
#define JOBS_PDF_FONTS_H

#include "postgres.h"

#include <pango/pangocairo.h>

#include "mb/pg_wchar.h"

typedef enum PdfFace
{
	PDF_REGULAR,
	PDF_BOLD
} PdfFace;

#define PDF_FACES			2

/* Characters from here on have no place in the tables. */
#define PDF_SIMPLE_CHARS	0x2600

/* Widths are measured at this size; they grow with the size of the font. */
#define PDF_MEASURE_SIZE	100.0

typedef struct PdfGlyph
{
	uint32		index;
	float		advance;		/* em; negative: the character is not simple */
} PdfGlyph;

extern PdfGlyph *jobs_pdf_glyphs[PDF_FACES];	/* of PDF_SIMPLE_CHARS; index 0: not known yet */

extern PdfGlyph *jobs_pdf_find_glyph(PdfFace face, pg_wchar c);

/* Finds the fonts, once in a process.  Raises an error where there are none. */
extern void jobs_pdf_init_fonts(void);

/* The font itself; belongs to this file. */
extern cairo_scaled_font_t *jobs_pdf_font(PdfFace face, double size);

/*
 * One line of text, laid out in one direction.  It is the callers' until the
 * next call.
 */
extern PangoLayout *jobs_pdf_layout(PdfFace face, double size, const char *text, int len, bool rtl);

/* Height of a line as the face's designer wants it, in em. */
extern double jobs_pdf_line_height(PdfFace face);

/* The glyph of a character that is simple, or NULL. */
static inline const PdfGlyph *
jobs_pdf_glyph(PdfFace face, pg_wchar c)
{
	PdfGlyph   *glyph;

	if (c >= PDF_SIMPLE_CHARS)
		return NULL;
	glyph = &jobs_pdf_glyphs[face][c];
	if (unlikely(glyph->index == 0 && glyph->advance == 0))
		glyph = jobs_pdf_find_glyph(face, c);
	return glyph->advance < 0 ? NULL : glyph;
}

#endif							/* JOBS_PDF_FONTS_H */
