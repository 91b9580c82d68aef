/*-------------------------------------------------------------------------
 *
 * pages.c
 *	  Pages: where each row stands, and how it looks.
 *
 * The rows are gone through twice.  The first time only tells how many pages
 * there are, for "Page 1 of 12".  A row is as high as the most lines of its cells;
 * one that is higher than a page goes on on the next.
 *
 * Where the columns are spread over several pages, these come one after the
 * other for the same rows, which therefore stay in memory until all are drawn.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "canvas.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "table.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define TITLE_SIZE		15.0	/* points */
#define SUBTITLE_SIZE	8.0
#define FOOTER_SIZE		7.5
#define FOOTER_TITLE	0.6		/* part of the page's width for the title */
#define FOOTER_ABOVE	24.0	/* its baseline over the paper's end */
#define UNDER_TITLE		12.0	/* between it and the table */

/* Heights in the table, in em. */
#define LEAST_LINE		1.25
#define MOST_LINE		1.4
#define ABOVE_ROW		0.28
#define BELOW_ROW		0.28
#define MIDDLE			0.36	/* of a capital letter, over its baseline */

#define FEW_LINES		3		/* a row that does not fit begins only with more */

#define BLACK			0.1
#define GRAY			0.4
#define HEADER_RULE		0.45
#define ROW_RULE		0.85

/* A row in memory, until its last line is drawn. */
typedef struct Row
{
	MemoryContext context;
	PdfCell    *cells;
	PdfLines   *lines;			/* of each cell */
	int			nlines;			/* the most */
} Row;

/* Lines of a row that are on the page. */
typedef struct Part
{
	Row		   *row;
	int			first;
	int			n;
	double		y;
} Part;

typedef struct Pages
{
	PdfTable   *table;
	PdfDesign  *design;
	PdfCanvas  *canvas;			/* NULL: they are only counted */
	double		line;			/* points from one line to the next */
	double		header;			/* height of the table's header */
	PdfLines	title;
	double		above;			/* height of what stands over the first page's table */
	int			total;			/* pages, known when they have been counted */
	int			number;			/* of the page, from 1 */
	bool		first;			/* or one of those beside it */
	double		top;			/* of its first row */
	double		bottom;			/* where its last row must end */
	double		y;				/* where the next row begins */
	int			nparts;
	int			parts_size;
	Part	   *parts;
	PdfText		footer;			/* the title, or its beginning */
	MemoryContext row_context;	/* while they are counted */
	MemoryContext page_context; /* while one is drawn */
} Pages;

static Pages *plan_pages(PdfTable *table, PdfDesign *design);
static PdfText subtitle(const PdfTable *table);
static void go_through_rows(Pages *pages);
static Row *read_row(Pages *pages);
static void place_row(Pages *pages, Row *row);
static void add_part(Pages *pages, Row *row, int first, int n);
static void begin_page(Pages *pages);
static void end_page(Pages *pages);
static void draw_page(Pages *pages, const PdfGroup *group, int part);
static void draw_title(Pages *pages);
static void draw_header(Pages *pages, const PdfGroup *group);
static void draw_part(Pages *pages, const PdfGroup *group, const Part *part);
static void draw_line(Pages *pages, PdfFace face, const PdfText *text, const PdfLine *line,
					  double x, double y, const PdfColumn *column);
static void draw_rules(Pages *pages, const PdfGroup *group);
static double width_of(const Pages *pages, const PdfGroup *group);
static void draw_footer(Pages *pages, int part);
static void draw_right(Pages *pages, double baseline, const char *s);
static PdfText fit(PdfFace face, PdfText text, float width);

void
jobs_pdf_draw_table(PdfTable *table, JobsSink sink, void *arg)
{
	PdfDesign  *design = jobs_pdf_design(table->options, table->columns, table->sample);
	Pages	   *pages = plan_pages(table, design);

	go_through_rows(pages);
	pages->total = pages->number;

	pages->canvas = jobs_pdf_begin_canvas(design->page_width, design->page_height, sink, arg);
	jobs_pdf_set_metadata(pages->canvas, table->metadata_title, table->date);
	go_through_rows(pages);
	jobs_pdf_end_canvas(pages->canvas);
}

/* ------------------------------------------------------------------------
 * The plan of the pages
 * ------------------------------------------------------------------------
 */

static Pages *
plan_pages(PdfTable *table, PdfDesign *design)
{
	Pages	   *pages = palloc0(sizeof(Pages));
	double		line = Min(Max(jobs_pdf_line_height(PDF_REGULAR), LEAST_LINE), MOST_LINE);
	int			most = 0;

	pages->table = table;
	pages->design = design;
	pages->line = line * design->size;
	pages->bottom = design->page_height - PDF_BOTTOM_MARGIN;
	pages->row_context = AllocSetContextCreate(CurrentMemoryContext, "jobs pdf counted row", ALLOCSET_DEFAULT_SIZES);
	pages->page_context = AllocSetContextCreate(CurrentMemoryContext, "jobs pdf page", ALLOCSET_DEFAULT_SIZES);
	table->subtitle = subtitle(table);
	/* Another face may have other characters. */
	pages->footer = fit(PDF_REGULAR, jobs_pdf_clean(PDF_REGULAR, table->title.data, table->title.len),
						(design->page_width - 2 * PDF_MARGIN) / FOOTER_SIZE * FOOTER_TITLE);

	for (int i = 0; table->options->header && i < table->ncolumns; i++)
	{
		PdfColumn  *column = &table->columns[i];

		jobs_pdf_wrap(PDF_BOLD, &column->name, column->width, &column->name_lines);
		most = Max(most, column->name_lines.n);
	}
	if (table->options->header)
		pages->header = most * pages->line + (ABOVE_ROW + BELOW_ROW) * design->size;

	if (table->title.len > 0)
		jobs_pdf_wrap(PDF_BOLD, &table->title, (design->page_width - 2 * PDF_MARGIN) / TITLE_SIZE, &pages->title);
	pages->above = (pages->title.n * TITLE_SIZE + SUBTITLE_SIZE) * line + UNDER_TITLE;
	return pages;
}

/* "2026-11-25 14:03 UTC · 48,291 rows" */
static PdfText
subtitle(const PdfTable *table)
{
	StringInfoData text;
	char		time[64];
	pg_time_t	seconds = timestamptz_to_time_t(table->date);
	char	   *digits = psprintf(INT64_FORMAT, table->nrows);

	pg_strftime(time, sizeof(time), "%Y-%m-%d %H:%M %Z", pg_localtime(&seconds, session_timezone));
	initStringInfo(&text);
	appendStringInfo(&text, "%s \302\267 ", time);
	for (int i = 0, n = strlen(digits); i < n; i++)
		appendStringInfo(&text, "%s%c", i > 0 && (n - i) % 3 == 0 ? "," : "", digits[i]);
	appendStringInfoString(&text, table->nrows == 1 ? " row" : " rows");
	return jobs_pdf_clean(PDF_REGULAR, text.data, text.len);
}

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

/* Counts all pages, or draws them. */
static void
go_through_rows(Pages *pages)
{
	Row		   *row;

	pages->number = 0;
	begin_page(pages);
	jobs_pdf_rewind_rows(pages->table->rows);
	while ((row = read_row(pages)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		place_row(pages, row);
		if (!pages->canvas)
			MemoryContextReset(pages->row_context);
	}
	end_page(pages);
}

/* The next row, in memory of its own; NULL after the last. */
static Row *
read_row(Pages *pages)
{
	int			n = pages->table->ncolumns;
	MemoryContext context = pages->row_context;
	MemoryContext old;
	Row		   *row;

	if (pages->canvas)
		context = AllocSetContextCreate(CurrentMemoryContext, "jobs pdf row", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	row = palloc0(sizeof(Row));
	row->context = context;
	row->cells = palloc(n * sizeof(PdfCell));
	row->lines = palloc0(n * sizeof(PdfLines));
	row->nlines = 1;
	if (jobs_pdf_next_row(pages->table->rows, row->cells))
	{
		for (int i = 0; i < n; i++)
		{
			const PdfCell *cell = &row->cells[i];
			const PdfColumn *column = &pages->table->columns[i];

			/* Mostly it is known that a cell has one line. */
			if (cell->null ||
				(cell->width <= column->width && !cell->paragraphs && cell->text.len <= PDF_MAX_LINE))
				continue;
			if (pages->canvas)
				jobs_pdf_wrap(PDF_REGULAR, &cell->text, column->width, &row->lines[i]);
			else
				row->lines[i].n = jobs_pdf_count_lines(PDF_REGULAR, &cell->text, column->width);
			row->nlines = Max(row->nlines, row->lines[i].n);
		}
	}
	else
	{
		if (pages->canvas)
			MemoryContextDelete(context);
		row = NULL;
	}
	MemoryContextSwitchTo(old);
	return row;
}

/* Puts a row onto the page, or where it does not fit, onto the next, or on several. */
static void
place_row(Pages *pages, Row *row)
{
	double		padding = (ABOVE_ROW + BELOW_ROW) * pages->design->size;
	int			first = 0;

	while (first < row->nlines)
	{
		int			rest = row->nlines - first;
		int			fit = (pages->bottom - pages->y - padding) / pages->line + 1e-6;

		if (rest > fit && (pages->y > pages->top || pages->first))
		{
			double		top = PDF_MARGIN + pages->header;
			int			whole = (pages->bottom - top - padding) / pages->line + 1e-6;

			/* A title may be so long that the table begins on the second page. */
			if ((rest <= whole && pages->y > pages->top) || fit < Min(FEW_LINES, whole))
			{
				end_page(pages);
				begin_page(pages);
				continue;
			}
		}
		fit = Min(rest, Max(fit, 1));
		add_part(pages, row, first, fit);
		pages->y += fit * pages->line + padding;
		first += fit;
		if (first < row->nlines)
		{
			end_page(pages);
			begin_page(pages);
		}
	}
}

static void
add_part(Pages *pages, Row *row, int first, int n)
{
	Part	   *part;

	if (!pages->canvas)
		return;
	if (pages->nparts == pages->parts_size)
	{
		pages->parts_size = Max(2 * pages->parts_size, 64);
		if (pages->parts == NULL)
			pages->parts = palloc(pages->parts_size * sizeof(Part));
		else
			pages->parts = repalloc(pages->parts, pages->parts_size * sizeof(Part));
	}
	part = &pages->parts[pages->nparts++];
	part->row = row;
	part->first = first;
	part->n = n;
	part->y = pages->y;
}

static void
begin_page(Pages *pages)
{
	pages->first = pages->number == 0;
	pages->number++;
	pages->top = PDF_MARGIN + pages->header + (pages->first ? pages->above : 0);
	pages->y = pages->top;
	pages->nparts = 0;
}

static void
end_page(Pages *pages)
{
	int			ngroups = pages->design->ngroups;

	for (int i = 0; pages->canvas && i < ngroups; i++)
	{
		draw_page(pages, &pages->design->groups[i], i);
		if (i < ngroups - 1)
			pages->number++;
	}
	if (!pages->canvas)
		pages->number += ngroups - 1;
	for (int i = 0; i < pages->nparts; i++)
	{
		Part	   *part = &pages->parts[i];

		if (part->first + part->n == part->row->nlines)
			MemoryContextDelete(part->row->context);
	}
}

/* ------------------------------------------------------------------------
 * Drawing
 * ------------------------------------------------------------------------
 */

/* Text comes in the order in which it is read, the rules before it. */
static void
draw_page(Pages *pages, const PdfGroup *group, int part)
{
	MemoryContext old = MemoryContextSwitchTo(pages->page_context);

	draw_rules(pages, group);
	if (pages->first)
		draw_title(pages);
	jobs_pdf_set_gray(pages->canvas, BLACK);
	draw_header(pages, group);
	for (int i = 0; i < pages->nparts; i++)
	{
		CHECK_FOR_INTERRUPTS();
		draw_part(pages, group, &pages->parts[i]);
	}
	jobs_pdf_set_gray(pages->canvas, GRAY);
	draw_footer(pages, part);
	jobs_pdf_end_page(pages->canvas);
	MemoryContextSwitchTo(old);
	MemoryContextReset(pages->page_context);
}

static void
draw_title(Pages *pages)
{
	const PdfTable *table = pages->table;
	double		line = pages->line / pages->design->size;
	double		y = PDF_MARGIN;

	jobs_pdf_set_gray(pages->canvas, BLACK);
	for (int i = 0; i < pages->title.n; i++)
	{
		PdfLine    *l = &pages->title.lines[i];

		jobs_pdf_put_text(pages->canvas, PDF_BOLD, TITLE_SIZE, PDF_MARGIN, y + (line / 2 + MIDDLE) * TITLE_SIZE,
						  table->title.data + l->start, l->len, table->title.complex, l->rtl);
		y += line * TITLE_SIZE;
	}
	jobs_pdf_set_gray(pages->canvas, GRAY);
	jobs_pdf_put_text(pages->canvas, PDF_REGULAR, SUBTITLE_SIZE, PDF_MARGIN, y + (line / 2 + MIDDLE) * SUBTITLE_SIZE,
					  table->subtitle.data, table->subtitle.len, table->subtitle.complex, false);
}

/* Names of one line stand beside the last line of longer ones. */
static void
draw_header(Pages *pages, const PdfGroup *group)
{
	double		x = PDF_MARGIN;
	double		last = pages->top - BELOW_ROW * pages->design->size - pages->line;

	for (int i = 0; pages->header > 0 && i < group->n; i++)
	{
		PdfColumn  *column = &pages->table->columns[group->columns[i]];
		int			n = column->name_lines.n;

		for (int j = 0; j < n; j++)
			draw_line(pages, PDF_BOLD, &column->name, &column->name_lines.lines[j], x,
					  last - (n - 1 - j) * pages->line, column);
		x += (column->width + PDF_GAP) * pages->design->size;
	}
}

static void
draw_part(Pages *pages, const PdfGroup *group, const Part *part)
{
	double		x = PDF_MARGIN;
	double		y = part->y + ABOVE_ROW * pages->design->size;

	for (int i = 0; i < group->n; i++)
	{
		int			c = group->columns[i];
		const PdfColumn *column = &pages->table->columns[c];
		const PdfCell *cell = &part->row->cells[c];
		const PdfLines *lines = &part->row->lines[c];

		if (!cell->null && lines->n == 0 && part->first == 0)
		{
			PdfLine		line = {0, cell->text.len, cell->width, cell->rtl};

			draw_line(pages, PDF_REGULAR, &cell->text, &line, x, y, column);
		}
		for (int j = part->first; j < Min(lines->n, part->first + part->n); j++)
			draw_line(pages, PDF_REGULAR, &cell->text, &lines->lines[j], x, y + (j - part->first) * pages->line, column);
		x += (column->width + PDF_GAP) * pages->design->size;
	}
}

/* A line of a cell, from y downwards. */
static void
draw_line(Pages *pages, PdfFace face, const PdfText *text, const PdfLine *line, double x, double y,
		  const PdfColumn *column)
{
	double		size = pages->design->size;

	if (column->right)
		x += (column->width - line->width) * size;
	jobs_pdf_put_text(pages->canvas, face, size, x, y + pages->line / 2 + MIDDLE * size,
					  text->data + line->start, line->len, text->complex, line->rtl);
}

static double
width_of(const Pages *pages, const PdfGroup *group)
{
	double		width = (group->n - 1) * PDF_GAP;

	for (int i = 0; i < group->n; i++)
		width += pages->table->columns[group->columns[i]].width;
	return width * pages->design->size;
}

/* Under the header, and thin ones under rows; none under a row that goes on. */
static void
draw_rules(Pages *pages, const PdfGroup *group)
{
	double		width = width_of(pages, group);
	double		padding = (ABOVE_ROW + BELOW_ROW) * pages->design->size;

	jobs_pdf_set_gray(pages->canvas, ROW_RULE);
	for (int i = 0; i < pages->nparts; i++)
	{
		const Part *part = &pages->parts[i];

		if (part->first + part->n == part->row->nlines)
			jobs_pdf_put_rule(pages->canvas, PDF_MARGIN, part->y + part->n * pages->line + padding, width, 0.4);
	}
	jobs_pdf_set_gray(pages->canvas, HEADER_RULE);
	jobs_pdf_put_rule(pages->canvas, PDF_MARGIN, pages->top, width, 0.8);
}

/* The title again, and "Page 1 of 12". */
static void
draw_footer(Pages *pages, int part)
{
	const PdfDesign *design = pages->design;
	double		baseline = design->page_height - FOOTER_ABOVE;
	char	   *page = psprintf("Page %d of %d", pages->number, pages->total);

	if (design->ngroups > 1)
	{
		const PdfGroup *group = &design->groups[part];
		bool		repeated = part > 0 && group->n > 1 && group->columns[0] == 0;

		page = psprintf("Columns %d\342\200\223%d of %d \302\267 %s", group->columns[repeated ? 1 : 0] + 1,
						group->columns[group->n - 1] + 1, pages->table->ncolumns, page);
	}
	jobs_pdf_put_text(pages->canvas, PDF_REGULAR, FOOTER_SIZE, PDF_MARGIN, baseline,
					  pages->footer.data, pages->footer.len, pages->footer.complex, false);
	draw_right(pages, baseline, page);
}

static void
draw_right(Pages *pages, double baseline, const char *s)
{
	PdfText		text = jobs_pdf_clean(PDF_REGULAR, s, strlen(s));
	PdfExtent	extent = jobs_pdf_measure(PDF_REGULAR, &text);

	jobs_pdf_put_text(pages->canvas, PDF_REGULAR, FOOTER_SIZE,
					  pages->design->page_width - PDF_MARGIN - extent.width * FOOTER_SIZE, baseline,
					  text.data, text.len, text.complex, false);
}

/* As much of a text as fits on a line, with an ellipsis where that is not all. */
static PdfText
fit(PdfFace face, PdfText text, float width)
{
	PdfLines	lines = {0};
	PdfText		cut = text;

	jobs_pdf_wrap(face, &text, width, &lines);
	if (lines.n > 1)
	{
		char	   *s = psprintf("%.*s\342\200\246", lines.lines[0].len, text.data + lines.lines[0].start);

		cut = jobs_pdf_clean(face, s, strlen(s));
	}
	if (lines.lines)
		pfree(lines.lines);
	return cut;
}
