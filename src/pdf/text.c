/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Text in cells: made clean, measured, broken into lines.
 *
 * Text is looked at character by character, each with its width and whether a
 * line may begin with it.  For simple text that comes from the table of glyphs.
 * For all other it comes from Pango, piece by piece, so that memory stays small
 * and a job can be cancelled, however long the text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "text.h"

#define TAB				"    "
#define REPLACEMENT		0xFFFD
#define PIECE			2048	/* bytes of text that Pango gets at once */
#define SLACK			1e-4	/* em; sums are not exact */
#define MAX_LINES		10000000	/* of a cell */

/* What a character is to the breaking of lines. */
#define CHAR_SPACE		1		/* a line's end takes no room for it */
#define CHAR_BREAK		2		/* a line may begin here */
#define CHAR_SOFT		4		/* ... if the word is too long for a line */
#define CHAR_CUT		8		/* ... if there is no better place */

/* A place where the current line may end, and the next begin. */
typedef struct Place
{
	int			at;				/* the next line's first byte; -1: there is none */
	int			end;			/* behind this line's last character that is no space */
	float		used;			/* this line's width up to end */
	float		skipped;		/* up to at */
} Place;

typedef struct Breaker
{
	float		max;			/* width */
	PdfLines   *lines;			/* NULL: only to be counted */
	int			nlines;
	PdfExtent	extent;
	bool		rtl;			/* the paragraph */
	/* the line */
	int			start;
	int			end;			/* behind its last character that is no space */
	float		used;			/* its width up to there */
	float		width;			/* with the spaces behind */
	float		word;			/* width of what stands behind the last CHAR_BREAK */
	Place		space;			/* CHAR_BREAK */
	Place		soft;			/* CHAR_SOFT */
} Breaker;

static int	decode(const char *s, int len, pg_wchar *c);
static bool is_control(pg_wchar c);
static void append_char(StringInfo out, pg_wchar c);
static void scan(PdfFace face, const PdfText *text, Breaker *breaker);
static void scan_simple(PdfFace face, const char *text, int start, int end, Breaker *breaker);
static int	simple_flags(pg_wchar before, pg_wchar last, pg_wchar c, pg_wchar next);
static bool is_rtl(const char *text, int len);
static void scan_complex(PdfFace face, const char *text, int start, int end, Breaker *breaker);
static int	scan_piece(PdfFace face, const char *text, int start, int len, bool last, Breaker *breaker);
static void add_advances(PangoLayoutLine *line, float *advances);
static int	complex_flags(const PangoLogAttr *attr);
static void begin_line(Breaker *breaker, int start);
static void end_line(Breaker *breaker, int end, float width);
static void break_at(Breaker *breaker, const Place *place);
static void cut_line(Breaker *breaker, int at, int flags);
static void make_room(Breaker *breaker, int at);

/* ------------------------------------------------------------------------
 * Cleaning
 * ------------------------------------------------------------------------
 */

/* Bytes of the next character; what is no UTF-8 is taken byte by byte. */
static int
decode(const char *s, int len, pg_wchar *c)
{
	const unsigned char *p = (const unsigned char *) s;
	int			n = pg_utf_mblen(p);

	if (n > len || !pg_utf8_islegal(p, n))
	{
		*c = REPLACEMENT;
		return 1;
	}
	*c = utf8_to_unicode(p);
	return n;
}

/* Without the signs that end lines, and the tab. */
static bool
is_control(pg_wchar c)
{
	return c < ' ' || (c >= 0x7F && c <= 0x9F) || (c >= 0xFFF9 && c <= 0xFFFB) ||
		(c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF);
}

static void
append_char(StringInfo out, pg_wchar c)
{
	unsigned char utf8[8];

	unicode_to_utf8(c, utf8);
	appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
}

PdfText
jobs_pdf_clean(PdfFace face, const char *s, int len)
{
	PdfText		text = {s, len, false};
	StringInfoData out;
	int			i = 0;

	while (i < len && s[i] >= ' ' && s[i] <= '~' && jobs_pdf_glyph(face, s[i]) != NULL)
		i++;
	if (i == len)
		return text;

	initStringInfo(&out);
	enlargeStringInfo(&out, len);
	appendBinaryStringInfo(&out, s, i);
	while (i < len)
	{
		pg_wchar	c;

		i += decode(s + i, len - i, &c);
		if (c == '\t')
			appendStringInfoString(&out, TAB);
		else if (c == '\n' || c == '\r' || c == '\v' || c == '\f' || c == 0x85 || c == 0x2028 || c == 0x2029)
		{
			appendStringInfoChar(&out, '\n');
			if (c == '\r' && i < len && s[i] == '\n')
				i++;
		}
		else
		{
			if (is_control(c))
				c = REPLACEMENT;
			text.complex |= jobs_pdf_glyph(face, c) == NULL;
			append_char(&out, c);
		}
	}
	/* Lines that nobody sees. */
	while (out.len > 0 && out.data[out.len - 1] == '\n')
		out.len--;
	text.data = out.data;
	text.len = out.len;
	return text;
}

/* ------------------------------------------------------------------------
 * Measuring and wrapping
 * ------------------------------------------------------------------------
 */

PdfExtent
jobs_pdf_measure(PdfFace face, const PdfText *text)
{
	Breaker		breaker = {.max = FLT_MAX};

	scan(face, text, &breaker);
	return breaker.extent;
}

void
jobs_pdf_wrap(PdfFace face, const PdfText *text, float width, PdfLines *lines)
{
	Breaker		breaker = {.max = width + SLACK, .lines = lines};

	lines->n = 0;
	scan(face, text, &breaker);
}

int
jobs_pdf_count_lines(PdfFace face, const PdfText *text, float width)
{
	Breaker		breaker = {.max = width + SLACK};

	scan(face, text, &breaker);
	return breaker.nlines;
}

/* Gives the breaker a text, paragraph by paragraph. */
static void
scan(PdfFace face, const PdfText *text, Breaker *breaker)
{
	int			start = 0;

	for (;;)
	{
		const char *newline = memchr(text->data + start, '\n', text->len - start);
		int			end = newline ? newline - text->data : text->len;

		begin_line(breaker, start);
		breaker->rtl = false;
		if (text->complex)
			scan_complex(face, text->data, start, end, breaker);
		else
			scan_simple(face, text->data, start, end, breaker);
		end_line(breaker, breaker->end, breaker->used);
		if (newline == NULL)
			break;
		start = end + 1;
	}
}

/* Takes one character into the line. */
static inline void
put(Breaker *breaker, int at, int len, float advance, int flags)
{
	if (unlikely(at - breaker->start >= PDF_MAX_LINE))
		cut_line(breaker, at, flags);
	if (flags & CHAR_SPACE)
	{
		breaker->width += advance;
		return;
	}
	if (flags & CHAR_BREAK)
	{
		Place		place = {at, breaker->end, breaker->used, breaker->width};

		breaker->space = place;
		breaker->soft.at = -1;
		breaker->word = 0;
	}
	else if (flags & CHAR_SOFT)
	{
		Place		place = {at, breaker->end, breaker->used, breaker->width};

		breaker->soft = place;
	}
	if (unlikely(breaker->width + advance > breaker->max) && (flags & CHAR_CUT))
		make_room(breaker, at);
	breaker->width += advance;
	breaker->used = breaker->width;
	breaker->end = at + len;
	breaker->word += advance;
	if (breaker->word > breaker->extent.word)
		breaker->extent.word = breaker->word;
}

/* The line has as many characters as a line may have, whatever their width. */
static void
cut_line(Breaker *breaker, int at, int flags)
{
	Place		here = {at, breaker->end, breaker->used, breaker->width};

	if ((flags & (CHAR_CUT | CHAR_SPACE)) || at - breaker->start >= 2 * PDF_MAX_LINE)
		break_at(breaker, &here);
}

/* The character at this place does not fit into the line. */
static void
make_room(Breaker *breaker, int at)
{
	if (breaker->space.at > breaker->start)
		break_at(breaker, &breaker->space);
	else if (breaker->soft.at > breaker->start && breaker->soft.used > breaker->max / 3)
		break_at(breaker, &breaker->soft);
	else if (breaker->end > breaker->start)
	{
		Place		here = {at, breaker->end, breaker->used, breaker->width};

		break_at(breaker, &here);
	}
}

/* What stands behind the place goes to the next line. */
static void
break_at(Breaker *breaker, const Place *place)
{
	Place		at = *place;
	Place		soft = breaker->soft;
	int			end = breaker->end;
	float		width = breaker->width - at.skipped;

	/* Spaces in front of a long word make no line of their own. */
	if (at.end > breaker->start)
		end_line(breaker, at.end, at.used);
	begin_line(breaker, at.at);
	breaker->width = breaker->used = width;
	breaker->end = Max(end, at.at);
	if (soft.at > at.at)
	{
		soft.used -= at.skipped;
		soft.skipped -= at.skipped;
		breaker->soft = soft;
	}
}

static void
begin_line(Breaker *breaker, int start)
{
	breaker->start = breaker->end = start;
	breaker->used = breaker->width = breaker->word = 0;
	breaker->space.at = breaker->soft.at = -1;
}

static void
end_line(Breaker *breaker, int end, float width)
{
	PdfLines   *lines = breaker->lines;

	if (width > breaker->extent.width)
		breaker->extent.width = width;
	if (breaker->nlines++ == MAX_LINES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a cell has too many lines for a PDF file"),
				 errdetail("It would have more than %d.", MAX_LINES),
				 errhint("Leave the column out, or choose another format.")));
	if (lines == NULL)
		return;
	if (lines->n == lines->size)
	{
		lines->size = Max(lines->size * 2, 8);
		if (lines->lines == NULL)
			lines->lines = palloc(lines->size * sizeof(PdfLine));
		else
			lines->lines = repalloc(lines->lines, lines->size * sizeof(PdfLine));
	}
	lines->lines[lines->n].start = breaker->start;
	lines->lines[lines->n].len = end - breaker->start;
	lines->lines[lines->n].width = width;
	lines->lines[lines->n].rtl = breaker->rtl;
	lines->n++;
}

/* ------------------------------------------------------------------------
 * Characters of simple text
 * ------------------------------------------------------------------------
 */

static void
scan_simple(PdfFace face, const char *text, int start, int end, Breaker *breaker)
{
	pg_wchar	before = ' ';
	pg_wchar	last = ' ';
	pg_wchar	c;
	pg_wchar	next;
	int			len;
	int			next_len;
	int			n = 0;

	if (start == end)
		return;
	len = decode(text + start, end - start, &c);
	for (int at = start; at < end; at += len, len = next_len, before = last, last = c, c = next)
	{
		next = ' ';
		next_len = 0;
		if (at + len < end)
			next_len = decode(text + at + len, end - at - len, &next);
		put(breaker, at, len, jobs_pdf_glyphs[face][c].advance, simple_flags(before, last, c, next));
		if (++n % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
	}
}

static inline bool
is_letter(pg_wchar c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= 0xC0 && c < 0x2000);
}

/*
 * Words end at spaces, and at a hyphen between two letters (not in a date).
 * Where they are too long for a line, a sign is a better end than a letter.
 */
static int
simple_flags(pg_wchar before, pg_wchar last, pg_wchar c, pg_wchar next)
{
	if (c == ' ')
		return CHAR_SPACE;
	if (last == ' ')
		return CHAR_BREAK | CHAR_CUT;
	if (is_letter(c))
	{
		if ((last == '-' && is_letter(before)) || last == 0x2010 || last == 0x2013 || last == 0x2014)
			return CHAR_BREAK | CHAR_CUT;
		if (is_letter(last))
			return CHAR_CUT;
	}
	if (last < 0x80 && last != c && strchr(",;:/?&=_-.@|)}]+", (int) last) != NULL)
		return CHAR_SOFT | CHAR_CUT;
	return CHAR_CUT;
}

/* ------------------------------------------------------------------------
 * Characters of other text
 * ------------------------------------------------------------------------
 */

/* The first letter tells, or a mark that is there to tell. */
static bool
is_rtl(const char *text, int len)
{
	pg_wchar	c;

	while (len > 0)
	{
		int			n = decode(text, len, &c);

		if (c == 0x200E || c == 0x200F)
			return c == 0x200F;
		if (g_unichar_isalpha(c))
			return (c >= 0x0590 && c <= 0x08FF) || (c >= 0xFB1D && c <= 0xFDFF) || (c >= 0xFE70 && c <= 0xFEFF) ||
				(c >= 0x10800 && c <= 0x10FFF) || (c >= 0x1E800 && c <= 0x1EFFF);
		text += n;
		len -= n;
	}
	return false;
}

static void
scan_complex(PdfFace face, const char *text, int start, int end, Breaker *breaker)
{
	if (start == end)
		return;
	breaker->rtl = is_rtl(text + start, end - start);
	breaker->extent.rtl |= breaker->rtl;
	while (start < end)
	{
		int			len = Min(PIECE, end - start);

		/* Not within a character. */
		while (start + len < end && (text[start + len] & 0xC0) == 0x80)
			len--;
		start += scan_piece(face, text, start, len, start + len == end, breaker);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Returns how many bytes it has taken.  All but the last piece of a paragraph
 * end where a line may begin, if there is such a place, as what follows may
 * change the shape of the last word.
 */
static int
scan_piece(PdfFace face, const char *text, int start, int len, bool last, Breaker *breaker)
{
	PangoLayout *layout = jobs_pdf_layout(face, PDF_MEASURE_SIZE, text + start, len, breaker->rtl);
	float		advances[PIECE] = {0};
	const PangoLogAttr *attrs;
	int			nattrs;
	int			taken = len;
	int			at = 0;

	attrs = pango_layout_get_log_attrs_readonly(layout, &nattrs);
	add_advances(pango_layout_get_line_readonly(layout, 0), advances);
	if (!last)
	{
		int			best = 0;
		int			good = 0;

		for (int i = 0; i < nattrs && at < len; i++)
		{
			if (attrs[i].is_line_break)
				best = at;
			else if (attrs[i].is_cursor_position)
				good = at;
			at += pg_utf_mblen((const unsigned char *) text + start + at);
		}
		taken = best > 0 ? best : good > 0 ? good : len;
	}
	at = 0;
	for (int i = 0; i < nattrs && at < taken; i++)
	{
		int			bytes = pg_utf_mblen((const unsigned char *) text + start + at);

		put(breaker, start + at, bytes, advances[at], complex_flags(&attrs[i]));
		at += bytes;
	}
	return taken;
}

/* Adds the width of each cluster at its first byte. */
static void
add_advances(PangoLayoutLine *line, float *advances)
{
	for (GSList *cell = line->runs; cell != NULL; cell = cell->next)
	{
		PangoGlyphItem *run = cell->data;
		PangoGlyphItemIter iter;

		for (gboolean more = pango_glyph_item_iter_init_start(&iter, run, pango_layout_get_text(line->layout));
			 more; more = pango_glyph_item_iter_next_cluster(&iter))
		{
			/* Of text from right to left, the last glyph comes first. */
			int			step = iter.start_glyph < iter.end_glyph ? 1 : -1;
			int			width = 0;

			for (int i = iter.start_glyph; i != iter.end_glyph; i += step)
				width += run->glyphs->glyphs[i].geometry.width;
			advances[iter.start_index] += width / (PDF_MEASURE_SIZE * PANGO_SCALE);
		}
	}
}

static int
complex_flags(const PangoLogAttr *attr)
{
	if (attr->is_white)
		return CHAR_SPACE;
	if (attr->is_line_break)
		return CHAR_BREAK | CHAR_CUT;
	return attr->is_cursor_position ? CHAR_CUT : 0;
}
