/*-------------------------------------------------------------------------
 *
 * canvas.c
 *	  Drawing pages into a PDF file, by Cairo.
 *
 * Cairo's objects are of malloc's memory; a callback of the memory context frees
 * them, whatever happens.  No error may be raised through Cairo's frames, so the
 * function that takes its bytes only collects them.
 *
 * Glyphs are collected as well, as one call of Cairo for each cell would cost
 * more than all the rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <cairo-pdf.h>
#include <math.h>
#include <pango/pangofc-font.h>

#include "canvas.h"
#include "pgtime.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define MAX_GLYPHS		4096	/* in one call */
#define MAX_IMAGES		1024	/* of emoji, kept so that each is in the file once */
#define IMAGE_SCALE		6.0		/* pixels in a point */

/* A glyph of a font with colours. */
typedef struct Image
{
	cairo_font_face_t *face;	/* referenced by the surface's owner, the font */
	unsigned long glyph;
	double		size;
	double		x;				/* of its upper left corner, from the glyph's origin */
	double		y;
	cairo_surface_t *surface;
} Image;

struct PdfCanvas
{
	JobsSink	sink;
	void	   *arg;
	cairo_surface_t *surface;
	cairo_t    *cairo;
	MemoryContextCallback callback;
	double		gray;
	/* bytes that the sink has not had yet, of malloc's memory */
	char	   *bytes;
	Size		nbytes;
	Size		size;
	bool		closed;			/* takes no more bytes */
	/* glyphs that Cairo has not had yet */
	cairo_scaled_font_t *font;	/* referenced */
	int			nglyphs;
	int			nclusters;
	int			ntext;
	int			text_size;
	cairo_glyph_t *glyphs;		/* of MAX_GLYPHS */
	cairo_text_cluster_t *clusters;
	char	   *text;
	int			nimages;
	Image	   *images;			/* of MAX_IMAGES, or NULL */
};

static cairo_status_t take_bytes(void *arg, const unsigned char *data, unsigned int len);
static void give_bytes(PdfCanvas *canvas);
static void check(PdfCanvas *canvas);
static void destroy(void *arg);
static void use_font(PdfCanvas *canvas, cairo_scaled_font_t *font);
static void show_glyphs(PdfCanvas *canvas);
static void add_cluster(PdfCanvas *canvas, const char *text, int len, int nglyphs);
static void put_simple(PdfCanvas *canvas, PdfFace face, double size, double x, double baseline,
					   const char *text, int len);
static void put_run(PdfCanvas *canvas, PdfFace face, double size, double *x, double baseline,
					PangoGlyphItem *run, const char *text, const PangoLogAttr *attrs);
static void put_cluster(PdfCanvas *canvas, PdfFace face, double size, double *x, double baseline,
						const PangoGlyphItem *run, int first, int end, const char *text, int len);
static bool has_colour(PangoFont *font);
static void put_image(PdfCanvas *canvas, cairo_scaled_font_t *font, unsigned long glyph,
					  double size, double x, double y);
static Image *find_image(PdfCanvas *canvas, cairo_scaled_font_t *font, unsigned long glyph, double size);
static void draw_image(PdfCanvas *canvas, Image *image, cairo_scaled_font_t *font);

/* ------------------------------------------------------------------------
 * The file
 * ------------------------------------------------------------------------
 */

PdfCanvas *
jobs_pdf_begin_canvas(double width, double height, JobsSink sink, void *arg)
{
	PdfCanvas  *canvas = palloc0(sizeof(PdfCanvas));

	canvas->sink = sink;
	canvas->arg = arg;
	canvas->glyphs = palloc(MAX_GLYPHS * sizeof(cairo_glyph_t));
	canvas->clusters = palloc(MAX_GLYPHS * sizeof(cairo_text_cluster_t));
	canvas->text_size = MAX_GLYPHS;
	canvas->text = palloc(canvas->text_size);
	canvas->callback.func = destroy;
	canvas->callback.arg = canvas;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &canvas->callback);

	canvas->surface = cairo_pdf_surface_create_for_stream(take_bytes, canvas, width, height);
	canvas->cairo = cairo_create(canvas->surface);
	check(canvas);
	return canvas;
}

void
jobs_pdf_set_metadata(PdfCanvas *canvas, const char *title, TimestampTz created)
{
	char		iso[32];
	pg_time_t	time = timestamptz_to_time_t(created);

	pg_strftime(iso, sizeof(iso), "%Y-%m-%dT%H:%M:%SZ", pg_gmtime(&time));
	cairo_pdf_surface_set_metadata(canvas->surface, CAIRO_PDF_METADATA_TITLE, title);
	cairo_pdf_surface_set_metadata(canvas->surface, CAIRO_PDF_METADATA_CREATOR, "jobs for PostgreSQL");
	cairo_pdf_surface_set_metadata(canvas->surface, CAIRO_PDF_METADATA_CREATE_DATE, iso);
}

/* Called by Cairo; must return to it. */
static cairo_status_t
take_bytes(void *arg, const unsigned char *data, unsigned int len)
{
	PdfCanvas  *canvas = arg;

	if (canvas->closed)
		return CAIRO_STATUS_WRITE_ERROR;
	if (len > canvas->size - canvas->nbytes)
	{
		Size		size = Max(canvas->size * 2, canvas->nbytes + len + 65536);
		char	   *bytes = realloc(canvas->bytes, size);

		if (bytes == NULL)
			return CAIRO_STATUS_NO_MEMORY;
		canvas->bytes = bytes;
		canvas->size = size;
	}
	memcpy(canvas->bytes + canvas->nbytes, data, len);
	canvas->nbytes += len;
	return CAIRO_STATUS_SUCCESS;
}

static void
give_bytes(PdfCanvas *canvas)
{
	Size		n = canvas->nbytes;

	canvas->nbytes = 0;
	if (n > 0)
		canvas->sink(canvas->arg, canvas->bytes, n);
}

static void
check(PdfCanvas *canvas)
{
	cairo_status_t status = cairo_status(canvas->cairo);

	if (status == CAIRO_STATUS_SUCCESS)
		status = cairo_surface_status(canvas->surface);
	if (status == CAIRO_STATUS_NO_MEMORY)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("The PDF file could not be drawn.")));
	if (status != CAIRO_STATUS_SUCCESS)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not draw the PDF file: %s", cairo_status_to_string(status))));
}

void
jobs_pdf_end_page(PdfCanvas *canvas)
{
	show_glyphs(canvas);
	cairo_show_page(canvas->cairo);
	check(canvas);
	give_bytes(canvas);
	/* A page begins with Cairo's own colour. */
	jobs_pdf_set_gray(canvas, canvas->gray);
}

void
jobs_pdf_end_canvas(PdfCanvas *canvas)
{
	cairo_surface_finish(canvas->surface);
	if (cairo_surface_status(canvas->surface) != CAIRO_STATUS_SUCCESS)
		check(canvas);
	give_bytes(canvas);
}

/* The memory context is being reset. */
static void
destroy(void *arg)
{
	PdfCanvas  *canvas = arg;

	canvas->closed = true;
	for (int i = 0; i < canvas->nimages; i++)
	{
		cairo_surface_destroy(canvas->images[i].surface);
		cairo_font_face_destroy(canvas->images[i].face);
	}
	if (canvas->font)
		cairo_scaled_font_destroy(canvas->font);
	if (canvas->cairo)
		cairo_destroy(canvas->cairo);
	if (canvas->surface)
		cairo_surface_destroy(canvas->surface);
	free(canvas->bytes);
}

/* ------------------------------------------------------------------------
 * Rules and shades
 * ------------------------------------------------------------------------
 */

void
jobs_pdf_set_gray(PdfCanvas *canvas, double gray)
{
	if (gray != canvas->gray)
		show_glyphs(canvas);
	canvas->gray = gray;
	cairo_set_source_rgb(canvas->cairo, gray, gray, gray);
}

void
jobs_pdf_put_rule(PdfCanvas *canvas, double x, double y, double length, double thickness)
{
	jobs_pdf_put_rectangle(canvas, x, y - thickness / 2, length, thickness);
}

void
jobs_pdf_put_rectangle(PdfCanvas *canvas, double x, double y, double width, double height)
{
	cairo_rectangle(canvas->cairo, x, y, width, height);
	cairo_fill(canvas->cairo);
}

/* ------------------------------------------------------------------------
 * Text
 * ------------------------------------------------------------------------
 */

void
jobs_pdf_put_text(PdfCanvas *canvas, PdfFace face, double size, double x, double baseline,
				  const char *text, int len, bool complex, bool rtl)
{
	PangoLayout *layout;
	const PangoLogAttr *attrs;
	int			nattrs;

	if (len == 0)
		return;
	if (!complex)
	{
		put_simple(canvas, face, size, x, baseline, text, len);
		return;
	}
	layout = jobs_pdf_layout(face, size, text, len, rtl);
	attrs = pango_layout_get_log_attrs_readonly(layout, &nattrs);
	for (GSList *cell = pango_layout_get_line_readonly(layout, 0)->runs; cell != NULL; cell = cell->next)
		put_run(canvas, face, size, &x, baseline, cell->data, text, attrs);
}

static void
put_simple(PdfCanvas *canvas, PdfFace face, double size, double x, double baseline, const char *text, int len)
{
	use_font(canvas, jobs_pdf_font(face, size));
	while (len > 0)
	{
		const unsigned char *p = (const unsigned char *) text;
		int			n = pg_utf_mblen(p);
		const PdfGlyph *glyph = jobs_pdf_glyph(face, utf8_to_unicode(p));
		cairo_glyph_t *g;

		add_cluster(canvas, text, n, 1);
		g = &canvas->glyphs[canvas->nglyphs++];
		g->index = glyph->index;
		g->x = x;
		g->y = baseline;
		x += glyph->advance * size;
		text += n;
		len -= n;
	}
}

static void
use_font(PdfCanvas *canvas, cairo_scaled_font_t *font)
{
	if (font == canvas->font)
		return;
	show_glyphs(canvas);
	if (canvas->font)
		cairo_scaled_font_destroy(canvas->font);
	canvas->font = cairo_scaled_font_reference(font);
	cairo_set_scaled_font(canvas->cairo, font);
}

/* Gives Cairo the glyphs collected. */
static void
show_glyphs(PdfCanvas *canvas)
{
	if (canvas->nclusters > 0)
		cairo_show_text_glyphs(canvas->cairo, canvas->text, canvas->ntext, canvas->glyphs, canvas->nglyphs,
							   canvas->clusters, canvas->nclusters, 0);
	canvas->nglyphs = canvas->nclusters = canvas->ntext = 0;
}

/* Makes room for a cluster, and says that some characters are the next glyphs. */
static void
add_cluster(PdfCanvas *canvas, const char *text, int len, int nglyphs)
{
	cairo_text_cluster_t *cluster;

	if (canvas->nclusters == MAX_GLYPHS || canvas->nglyphs + nglyphs > MAX_GLYPHS)
		show_glyphs(canvas);
	if (canvas->ntext + len > canvas->text_size)
	{
		canvas->text_size = 2 * (canvas->ntext + len);
		canvas->text = repalloc(canvas->text, canvas->text_size);
	}
	cluster = &canvas->clusters[canvas->nclusters++];
	cluster->num_bytes = len;
	cluster->num_glyphs = nglyphs;
	memcpy(canvas->text + canvas->ntext, text, len);
	canvas->ntext += len;
}

/* ------------------------------------------------------------------------
 * Text that Pango has laid out
 * ------------------------------------------------------------------------
 */

/*
 * Goes from left to right, also in text that is read from right to left, because
 * that is how programs that extract text from PDF files want its letters.  What
 * belongs to one letter stays together, as they would lose accents otherwise.
 */
static void
put_run(PdfCanvas *canvas, PdfFace face, double size, double *x, double baseline, PangoGlyphItem *run,
		const char *text, const PangoLogAttr *attrs)
{
	bool		rtl = run->item->analysis.level % 2 == 1;
	PangoGlyphItemIter iter;
	gboolean	more = rtl ? pango_glyph_item_iter_init_end(&iter, run, text)
		: pango_glyph_item_iter_init_start(&iter, run, text);

	while (more)
	{
		int			first = rtl ? iter.end_glyph + 1 : iter.start_glyph;
		int			start = iter.start_index;
		int			stop = iter.end_index;
		int			end;

		do
		{
			end = rtl ? iter.start_glyph + 1 : iter.end_glyph;
			start = Min(start, iter.start_index);
			stop = Max(stop, iter.end_index);
			more = rtl ? pango_glyph_item_iter_prev_cluster(&iter) : pango_glyph_item_iter_next_cluster(&iter);
		} while (more && !attrs[g_utf8_pointer_to_offset(text, text + (rtl ? start : stop))].is_cursor_position);
		put_cluster(canvas, face, size, x, baseline, run, first, end, text + start, stop - start);
	}
}

static void
put_cluster(PdfCanvas *canvas, PdfFace face, double size, double *x, double baseline,
			const PangoGlyphItem *run, int first, int end, const char *text, int len)
{
	PangoFont  *font = run->item->analysis.font;
	cairo_scaled_font_t *own = jobs_pdf_font(face, size);
	cairo_scaled_font_t *scaled = pango_cairo_font_get_scaled_font(PANGO_CAIRO_FONT(font));
	bool		colour = has_colour(font);
	bool		unknown = false;
	double		start = *x;
	int			n = 0;
	cairo_glyph_t *glyphs = palloc((end - first + 8) * sizeof(cairo_glyph_t));

	for (int i = first; i < end; i++)
	{
		const PangoGlyphInfo *info = &run->glyphs->glyphs[i];

		if (info->glyph != PANGO_GLYPH_EMPTY)
		{
			unknown |= (info->glyph & PANGO_GLYPH_UNKNOWN_FLAG) != 0;
			glyphs[n].index = info->glyph;
			glyphs[n].x = *x + info->geometry.x_offset / (double) PANGO_SCALE;
			glyphs[n].y = baseline + info->geometry.y_offset / (double) PANGO_SCALE;
			if (colour && !unknown)
				put_image(canvas, scaled, info->glyph, size, glyphs[n].x, glyphs[n].y);
			n++;
		}
		*x += info->geometry.width / (double) PANGO_SCALE;
	}
	if (unknown || colour)
	{
		/* A box for what no font has, and behind a picture as many spaces as are as wide. */
		const PdfGlyph *space = jobs_pdf_glyph(face, ' ');

		scaled = own;
		n = unknown ? 1 : Max(1, Min(end - first + 8, (int) rint((*x - start) / (space->advance * size))));
		for (int i = 0; i < n; i++)
		{
			glyphs[i].index = unknown ? 0 : space->index;
			glyphs[i].x = start + i * (*x - start) / n;
			glyphs[i].y = baseline;
		}
	}
	if (n > 0)
	{
		use_font(canvas, scaled);
		if (n <= MAX_GLYPHS)
		{
			add_cluster(canvas, text, len, n);
			memcpy(canvas->glyphs + canvas->nglyphs, glyphs, n * sizeof(cairo_glyph_t));
			canvas->nglyphs += n;
		}
	}
	pfree(glyphs);
}

/* ------------------------------------------------------------------------
 * Emoji
 *
 * What a font has as coloured pictures, Cairo would draw with as many pixels as
 * the page has points.
 * ------------------------------------------------------------------------
 */

static bool
has_colour(PangoFont *font)
{
	FcBool		colour;

	return PANGO_IS_FC_FONT(font) &&
		FcPatternGetBool(pango_fc_font_get_pattern(PANGO_FC_FONT(font)), FC_COLOR, 0, &colour) == FcResultMatch &&
		colour;
}

static void
put_image(PdfCanvas *canvas, cairo_scaled_font_t *font, unsigned long glyph, double size, double x, double y)
{
	Image	   *image = find_image(canvas, font, glyph, size);

	show_glyphs(canvas);
	cairo_save(canvas->cairo);
	cairo_translate(canvas->cairo, x + image->x, y + image->y);
	cairo_scale(canvas->cairo, 1 / IMAGE_SCALE, 1 / IMAGE_SCALE);
	cairo_set_source_surface(canvas->cairo, image->surface, 0, 0);
	cairo_paint(canvas->cairo);
	cairo_restore(canvas->cairo);
}

static Image *
find_image(PdfCanvas *canvas, cairo_scaled_font_t *font, unsigned long glyph, double size)
{
	cairo_font_face_t *face = cairo_scaled_font_get_font_face(font);
	Image	   *image;

	if (canvas->images == NULL)
		canvas->images = MemoryContextAlloc(GetMemoryChunkContext(canvas), MAX_IMAGES * sizeof(Image));
	for (int i = 0; i < canvas->nimages; i++)
	{
		image = &canvas->images[i];
		if (image->glyph == glyph && image->face == face && image->size == size)
			return image;
	}
	if (canvas->nimages == MAX_IMAGES)
	{
		canvas->nimages--;
		cairo_surface_destroy(canvas->images[canvas->nimages].surface);
		cairo_font_face_destroy(canvas->images[canvas->nimages].face);
	}
	image = &canvas->images[canvas->nimages];
	image->face = cairo_font_face_reference(face);
	image->glyph = glyph;
	image->size = size;
	draw_image(canvas, image, font);
	canvas->nimages++;
	return image;
}

static void
draw_image(PdfCanvas *canvas, Image *image, cairo_scaled_font_t *font)
{
	cairo_glyph_t glyph = {image->glyph, 0, 0};
	cairo_text_extents_t extents;
	cairo_t    *cairo;

	cairo_scaled_font_glyph_extents(font, &glyph, 1, &extents);
	/* A pixel more on each side for the soft edge. */
	image->x = extents.x_bearing - 1 / IMAGE_SCALE;
	image->y = extents.y_bearing - 1 / IMAGE_SCALE;
	image->surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, ceil(extents.width * IMAGE_SCALE) + 2,
												ceil(extents.height * IMAGE_SCALE) + 2);
	cairo = cairo_create(image->surface);
	cairo_scale(cairo, IMAGE_SCALE, IMAGE_SCALE);
	cairo_translate(cairo, -image->x, -image->y);
	cairo_set_font_face(cairo, image->face);
	cairo_set_font_size(cairo, image->size);
	cairo_show_glyphs(cairo, &glyph, 1);
	cairo_destroy(cairo);
}
