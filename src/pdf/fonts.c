/*-------------------------------------------------------------------------
 *
 * fonts.c
 *	  The server's fonts, by fontconfig and Pango.
 *
 * Pango looks for fonts in threads of its own.  They start inside of its calls,
 * so all signals are blocked meanwhile: a thread keeps the mask that it was
 * started with, and PostgreSQL's handlers must run in the main thread only.
 *
 * The libraries' memory is malloc's, and what is kept here is theirs too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <fontconfig/fontconfig.h>
#include <signal.h>
#include <unistd.h>

#include "fonts.h"
#include "utils/memutils.h"

#define FAMILY		"Sans"		/* which font that is says fontconfig */
#define MAX_SIZES	16			/* of fonts in a file */

PdfGlyph   *jobs_pdf_glyphs[PDF_FACES];

static struct
{
	bool		ready;
	PangoContext *context;
	PangoLayout *layout;
	PangoFontDescription *description[PDF_FACES];
	cairo_font_options_t *options;
	cairo_font_face_t *face[PDF_FACES];
	double		line_height[PDF_FACES];
	cairo_scaled_font_t *measure[PDF_FACES];	/* at PDF_MEASURE_SIZE */
	int			nsizes;
	struct
	{
		PdfFace		face;
		double		size;
		cairo_scaled_font_t *font;
	}			sizes[MAX_SIZES];
}			fonts;

static void block_signals(sigset_t *old);
static void restore_signals(const sigset_t *old);
static int	init_fontconfig(char *message, int size);
static void init_pango(void);
static void init_face(PdfFace face);
static bool is_simple(pg_wchar c);
static cairo_scaled_font_t *scale(PdfFace face, double size);
static void drop_message(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer data);

static void
block_signals(sigset_t *old)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
}

static void
restore_signals(const sigset_t *old)
{
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* ------------------------------------------------------------------------
 * Start
 * ------------------------------------------------------------------------
 */

void
jobs_pdf_init_fonts(void)
{
	sigset_t	old;
	char		message[1024];
	int			nfonts;

	if (fonts.ready)
		return;
	for (PdfFace face = PDF_REGULAR; face < PDF_FACES; face++)
	{
		if (jobs_pdf_glyphs[face] == NULL)
			jobs_pdf_glyphs[face] = MemoryContextAllocZero(TopMemoryContext, PDF_SIMPLE_CHARS * sizeof(PdfGlyph));
	}
	block_signals(&old);
	nfonts = init_fontconfig(message, sizeof(message));
	if (nfonts > 0)
		init_pango();
	restore_signals(&old);

	if (message[0] != '\0')
		elog(DEBUG1, "fontconfig: %s", message);
	if (nfonts <= 0 || jobs_pdf_glyph(PDF_REGULAR, 'A') == NULL || jobs_pdf_glyph(PDF_BOLD, 'A') == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("there are no fonts for PDF files on this server"),
				 errhint("An administrator can install fonts, for example Debian's package fonts-noto-core, or look at fontconfig's settings with \"fc-match sans\".")));
	fonts.ready = true;
}

/*
 * Fontconfig complains on standard error, the server's log, where it can't write
 * a cache, as the server's user often has no home.  It then looks at the fonts
 * anew in each process, which is all right.  What it says comes as a message.
 * Returns the number of fonts.
 */
static int
init_fontconfig(char *message, int size)
{
	int			ends[2];
	bool		piped = pipe(ends) == 0;
	int			saved = -1;
	ssize_t		n = 0;
	int			nfonts = 0;

	if (piped)
	{
		/* Whatever is too much for the pipe is lost. */
		(void) fcntl(ends[0], F_SETFL, O_NONBLOCK);
		(void) fcntl(ends[1], F_SETFL, O_NONBLOCK);
		saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
		if (saved >= 0)
			(void) dup2(ends[1], STDERR_FILENO);
	}
	(void) FcInit();
	for (FcSetName name = FcSetSystem; name <= FcSetApplication; name++)
	{
		FcFontSet  *set = FcConfigGetFonts(NULL, name);

		nfonts += set ? set->nfont : 0;
	}
	if (saved >= 0)
	{
		(void) dup2(saved, STDERR_FILENO);
		(void) close(saved);
		n = read(ends[0], message, size - 1);
	}
	if (piped)
	{
		(void) close(ends[0]);
		(void) close(ends[1]);
	}
	message[Max(n, 0)] = '\0';
	return nfonts;
}

static void
init_pango(void)
{
	if (fonts.context == NULL)
	{
		/* Its warnings would go to the server's log, too. */
		(void) g_log_set_default_handler(drop_message, NULL);
		fonts.context = pango_font_map_create_context(pango_cairo_font_map_get_default());
		fonts.options = cairo_font_options_create();
		cairo_font_options_set_hint_style(fonts.options, CAIRO_HINT_STYLE_NONE);
		cairo_font_options_set_hint_metrics(fonts.options, CAIRO_HINT_METRICS_OFF);
		pango_cairo_context_set_font_options(fonts.context, fonts.options);
		pango_context_set_round_glyph_positions(fonts.context, FALSE);
		fonts.layout = pango_layout_new(fonts.context);
		pango_layout_set_single_paragraph_mode(fonts.layout, TRUE);
		pango_layout_set_auto_dir(fonts.layout, FALSE);
	}
	for (PdfFace face = PDF_REGULAR; face < PDF_FACES; face++)
	{
		if (fonts.face[face] == NULL)
			init_face(face);
	}
}

static void
init_face(PdfFace face)
{
	PangoFontDescription *description = pango_font_description_new();
	PangoFont  *font;
	PangoFontMetrics *metrics;

	pango_font_description_set_family_static(description, FAMILY);
	pango_font_description_set_weight(description, face == PDF_BOLD ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
	pango_font_description_set_absolute_size(description, PDF_MEASURE_SIZE * PANGO_SCALE);
	fonts.description[face] = description;
	font = pango_context_load_font(fonts.context, description);
	metrics = pango_font_get_metrics(font, NULL);
	fonts.line_height[face] = (pango_font_metrics_get_ascent(metrics) + pango_font_metrics_get_descent(metrics)) /
		(PDF_MEASURE_SIZE * PANGO_SCALE);
	pango_font_metrics_unref(metrics);
	fonts.face[face] =
		cairo_font_face_reference(cairo_scaled_font_get_font_face(pango_cairo_font_get_scaled_font(PANGO_CAIRO_FONT(font))));
	g_object_unref(font);
	fonts.measure[face] = scale(face, PDF_MEASURE_SIZE);
}

static void
drop_message(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer data)
{
}

/* ------------------------------------------------------------------------
 * Simple characters
 * ------------------------------------------------------------------------
 */

PdfGlyph *
jobs_pdf_find_glyph(PdfFace face, pg_wchar c)
{
	PdfGlyph   *glyph = &jobs_pdf_glyphs[face][c];
	cairo_glyph_t *found = NULL;
	int			n = 0;
	unsigned char utf8[8];
	cairo_text_extents_t extents;

	glyph->advance = -1;
	if (!is_simple(c))
		return glyph;
	unicode_to_utf8(c, utf8);
	if (cairo_scaled_font_text_to_glyphs(fonts.measure[face], 0, 0, (char *) utf8, pg_utf_mblen(utf8),
										 &found, &n, NULL, NULL, NULL) == CAIRO_STATUS_SUCCESS &&
		n == 1 && found[0].index != 0)
	{
		cairo_scaled_font_glyph_extents(fonts.measure[face], found, 1, &extents);
		if (extents.x_advance > 0)
		{
			glyph->index = found[0].index;
			glyph->advance = extents.x_advance / PDF_MEASURE_SIZE;
		}
	}
	cairo_glyph_free(found);
	return glyph;
}

/* Scripts whose letters stand side by side, and signs that go with them. */
static bool
is_simple(pg_wchar c)
{
	static const struct
	{
		pg_wchar	first;
		pg_wchar	last;
	}			ranges[] = {
		{0x0020, 0x007E}, {0x00A0, 0x00AC}, {0x00AE, 0x02FF},	/* Latin; no soft hyphen */
		{0x0370, 0x0482}, {0x048A, 0x0556}, {0x0559, 0x058F},	/* Greek, Cyrillic, Armenian */
		{0x1E00, 0x1FFF},		/* more of Latin and Greek */
		{0x2010, 0x2027}, {0x2030, 0x205E}, {0x2070, 0x20CF},	/* no control characters */
		{0x2100, 0x23FF}, {0x2460, 0x25FF}
	};

	for (int i = 0; i < lengthof(ranges); i++)
	{
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------------
 * Fonts and layouts
 * ------------------------------------------------------------------------
 */

static cairo_scaled_font_t *
scale(PdfFace face, double size)
{
	cairo_matrix_t font_matrix;
	cairo_matrix_t identity;

	cairo_matrix_init_scale(&font_matrix, size, size);
	cairo_matrix_init_identity(&identity);
	return cairo_scaled_font_create(fonts.face[face], &font_matrix, &identity, fonts.options);
}

cairo_scaled_font_t *
jobs_pdf_font(PdfFace face, double size)
{
	int			i;

	for (i = 0; i < fonts.nsizes; i++)
	{
		if (fonts.sizes[i].face == face && fonts.sizes[i].size == size)
			return fonts.sizes[i].font;
	}
	if (fonts.nsizes == MAX_SIZES)
	{
		i = 0;
		cairo_scaled_font_destroy(fonts.sizes[i].font);
	}
	else
		fonts.nsizes++;
	fonts.sizes[i].face = face;
	fonts.sizes[i].size = size;
	fonts.sizes[i].font = scale(face, size);
	return fonts.sizes[i].font;
}

PangoLayout *
jobs_pdf_layout(PdfFace face, double size, const char *text, int len, bool rtl)
{
	sigset_t	old;

	block_signals(&old);
	pango_font_description_set_absolute_size(fonts.description[face], size * PANGO_SCALE);
	pango_layout_set_font_description(fonts.layout, fonts.description[face]);
	pango_context_set_base_dir(fonts.context, rtl ? PANGO_DIRECTION_RTL : PANGO_DIRECTION_LTR);
	pango_layout_context_changed(fonts.layout);
	pango_layout_set_text(fonts.layout, text, len);
	(void) pango_layout_get_line_readonly(fonts.layout, 0);
	restore_signals(&old);
	return fonts.layout;
}

double
jobs_pdf_line_height(PdfFace face)
{
	return fonts.line_height[face];
}
