/*-------------------------------------------------------------------------
 *
 * columns.c
 *	  The design of a table: paper, size of the font, widths of columns.
 *
 * The first page on which all columns have the width that they want is taken:
 * upright, then across, then with smaller letters.  Where there is none, columns
 * get less, and text is broken into more lines, so that the table is as short as
 * it can be.  Where even that is too much for a page, the columns are spread
 * over several pages side by side.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "columns.h"
#include "miscadmin.h"

#define LEAST			2.0		/* em; no column is narrower */
#define LEAST_WORD		14.0	/* longer words may be broken */
#define LEAST_WHOLE		24.0	/* ... and longer numbers */
#define LEAST_NAME		0.4		/* of a column's name on one line; so it has two or three */
#define COMFORT			22.0	/* text of this width needs no more */
#define MOST_COMFORT	36.0	/* ... if all its lines are long */
#define NAME_COMFORT	8.0		/* longer names of columns may be broken */
#define GROUPS_SIZE		7.0		/* of the font, where columns are spread over pages */
#define REPEATED		0.25	/* part of the page's width for the first column on each */
#define STRETCH			0.6		/* tables that are nearly as wide as the page become as wide */
#define ROWS_OF_PAGE	40
#define SAMPLE			512		/* rows */
#define FIRST_STEP		0.5		/* em; what is tried to add to a width */
#define UNSEEN			0.05	/* worth of lines that make no row less high */

/* A page that the table may have. */
typedef struct Sheet
{
	JobsPdfOrientation orientation;
	double		size;			/* of the font */
	double		share;			/* of what columns want over the least that they must have */
	bool		only_asked;		/* not for those who leave the choice to us */
} Sheet;

/* The first on which the columns have room is taken. */
static const Sheet sheets[] = {
	{ORIENTATION_PORTRAIT, 9, 1.0},
	{ORIENTATION_PORTRAIT, 8, 1.0},
	{ORIENTATION_LANDSCAPE, 9, 1.0},
	{ORIENTATION_LANDSCAPE, 8, 1.0},
	{ORIENTATION_LANDSCAPE, 7, 1.0},
	{ORIENTATION_LANDSCAPE, 8, 0.5},
	{ORIENTATION_LANDSCAPE, 7, 0.5},
	{ORIENTATION_LANDSCAPE, 6, 0.0},
	{ORIENTATION_PORTRAIT, 7, 1.0, true},
	{ORIENTATION_PORTRAIT, 8, 0.5, true},
	{ORIENTATION_PORTRAIT, 7, 0.5, true},
	{ORIENTATION_PORTRAIT, 6, 0.0, true}
};

/* Rows whose height is looked at. */
typedef struct Rows
{
	int			n;
	int			ncolumns;
	float	   *widths;			/* of each cell of each row */
	int		   *lines;			/* ... with the columns as they are */
	int		   *highest;		/* the column with most lines, for each row */
	int		   *others;			/* the most lines of its other columns */
} Rows;

static float least_width(const PdfColumn *column);
static float wanted_width(const PdfColumn *columns, const PdfSample *sample, int i);
static float typical_width(const PdfSample *sample, int i);
static int	compare_widths(const void *a, const void *b);
static bool allowed(const JobsPdfOptions *options, const Sheet *sheet);
static float room_on(const JobsPdfOptions *options, const Sheet *sheet);
static void set_page(PdfDesign *design, const JobsPdfOptions *options, const Sheet *sheet);
static float set_least(PdfColumn *columns, int n);
static void widen(PdfColumn *columns, const PdfSample *sample, float room);
static int	lines_of(float text, float width);
static void begin_rows(Rows *rows, const PdfColumn *columns, const PdfSample *sample);
static void find_highest(Rows *rows, const PdfColumn *columns);
static double lines_saved(const Rows *rows, int i, float width);
static void stretch(PdfColumn *columns, int n, float room);
static void one_group(PdfDesign *design, int n);
static void spread(PdfDesign *design, PdfColumn *columns, const PdfSample *sample, float room);

/* ------------------------------------------------------------------------
 * What the rows are like
 * ------------------------------------------------------------------------
 */

void
jobs_pdf_note_cell(PdfColumn *column, const PdfExtent *extent)
{
	column->filled++;
	column->rtl += extent->rtl;
	column->widest = Max(column->widest, extent->width);
	column->word = Max(column->word, extent->word);
}

PdfSample *
jobs_pdf_begin_sample(int ncolumns)
{
	PdfSample  *sample = palloc0(sizeof(PdfSample));

	sample->ncolumns = ncolumns;
	sample->widths = palloc(SAMPLE * ncolumns * sizeof(float));
	return sample;
}

/* Chance is the same each time, so that the same rows make the same file. */
void
jobs_pdf_note_row(PdfSample *sample, const float *widths)
{
	int64		place = sample->seen++;

	if (place >= SAMPLE)
	{
		sample->random = sample->random * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
		place = (int64) ((sample->random >> 32) % sample->seen);
	}
	else
		sample->n++;
	if (place < SAMPLE)
		memcpy(sample->widths + place * sample->ncolumns, widths, sample->ncolumns * sizeof(float));
}

/* ------------------------------------------------------------------------
 * What a column needs
 * ------------------------------------------------------------------------
 */

/* With less, words or numbers would be broken. */
static float
least_width(const PdfColumn *column)
{
	float		width = column->whole ? Min(column->widest, LEAST_WHOLE) : Min(column->word, LEAST_WORD);
	float		name = Max(column->name_extent.word, column->name_extent.width * LEAST_NAME);

	return Max(LEAST, Max(width, Min(name, LEAST_WORD)));
}

/* With more, it would hardly look better. */
static float
wanted_width(const PdfColumn *columns, const PdfSample *sample, int i)
{
	const PdfColumn *column = &columns[i];
	float		least = least_width(column);
	float		name = column->name_extent.width;
	float		width = column->widest;

	if (!column->whole && width > COMFORT)
		width = Min(width, Max(COMFORT, Min(typical_width(sample, i), MOST_COMFORT)));
	if (name > NAME_COMFORT)
		name = Min(name, Max(name * 0.6, NAME_COMFORT));
	return Max(least, Max(width, name));
}

/* Nine of ten cells are not wider. */
static float
typical_width(const PdfSample *sample, int i)
{
	float	   *widths = palloc((sample->n + 1) * sizeof(float));
	int			n = 0;
	float		result = 0;

	for (int row = 0; row < sample->n; row++)
	{
		float		width = sample->widths[row * sample->ncolumns + i];

		if (width > 0)
			widths[n++] = width;
	}
	if (n > 0)
	{
		qsort(widths, n, sizeof(float), compare_widths);
		result = widths[(int) (n * 0.9)];
	}
	pfree(widths);
	return result;
}

static int
compare_widths(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return x < y ? -1 : x > y;
}

/* ------------------------------------------------------------------------
 * The page
 * ------------------------------------------------------------------------
 */

PdfDesign *
jobs_pdf_design(const JobsPdfOptions *options, PdfColumn *columns, const PdfSample *sample)
{
	int			n = sample->ncolumns;
	PdfDesign  *design = palloc0(sizeof(PdfDesign));
	Sheet		groups_sheet = {ORIENTATION_LANDSCAPE, GROUPS_SIZE};
	float		wanted = (n - 1) * PDF_GAP;
	float		least = set_least(columns, n);

	for (int i = 0; i < n; i++)
	{
		columns[i].right = columns[i].number || columns[i].rtl * 2 > columns[i].filled;
		wanted += wanted_width(columns, sample, i);
	}
	for (int i = 0; i < lengthof(sheets); i++)
	{
		const Sheet *sheet = &sheets[i];
		float		room = room_on(options, sheet);

		if (allowed(options, sheet) && least + (wanted - least) * sheet->share <= room)
		{
			set_page(design, options, sheet);
			one_group(design, n);
			widen(columns, sample, room - least);
			stretch(columns, n, room);
			return design;
		}
	}
	if (options->orientation == ORIENTATION_PORTRAIT)
		groups_sheet.orientation = ORIENTATION_PORTRAIT;
	set_page(design, options, &groups_sheet);
	spread(design, columns, sample, room_on(options, &groups_sheet));
	return design;
}

static bool
allowed(const JobsPdfOptions *options, const Sheet *sheet)
{
	if (options->orientation == ORIENTATION_AUTO)
		return !sheet->only_asked;
	return sheet->orientation == options->orientation;
}

static void
set_page(PdfDesign *design, const JobsPdfOptions *options, const Sheet *sheet)
{
	double		width = options->paper == PAPER_LETTER ? 612.0 : 210 / 25.4 * 72;
	double		height = options->paper == PAPER_LETTER ? 792.0 : 297 / 25.4 * 72;
	bool		upright = sheet->orientation == ORIENTATION_PORTRAIT;

	design->page_width = upright ? width : height;
	design->page_height = upright ? height : width;
	design->size = sheet->size;
}

/* Em between the margins. */
static float
room_on(const JobsPdfOptions *options, const Sheet *sheet)
{
	PdfDesign	design;

	set_page(&design, options, sheet);
	return (design.page_width - 2 * PDF_MARGIN) / design.size;
}

/* ------------------------------------------------------------------------
 * Widths
 * ------------------------------------------------------------------------
 */

/* Returns the sum, with the gaps. */
static float
set_least(PdfColumn *columns, int n)
{
	float		sum = (n - 1) * PDF_GAP;

	for (int i = 0; i < n; i++)
	{
		columns[i].width = least_width(&columns[i]);
		sum += columns[i].width;
	}
	return sum;
}

static int
lines_of(float text, float width)
{
	return text <= width ? 1 : (int) ceilf(text / width - 0.001f);
}

/*
 * Gives room to the columns, always to the one where it saves most lines, until
 * there is none or nobody needs it.
 */
static void
widen(PdfColumn *columns, const PdfSample *sample, float room)
{
	Rows		rows;
	int			n = sample->ncolumns;

	begin_rows(&rows, columns, sample);
	for (;;)
	{
		double		best = 0;
		int			column = 0;
		float		width = 0;

		CHECK_FOR_INTERRUPTS();
		find_highest(&rows, columns);
		for (int i = 0; i < n; i++)
		{
			float		most = Min(room, Max(columns[i].widest, columns[i].name_extent.width) - columns[i].width);

			for (float add = FIRST_STEP; most > 0; add *= 1.5)
			{
				double		saved;

				add = Min(add, most);
				saved = lines_saved(&rows, i, columns[i].width + add) / add;
				if (saved > best)
				{
					best = saved;
					column = i;
					width = columns[i].width + add;
				}
				if (add == most)
					break;
			}
		}
		if (best == 0)
			break;
		room -= width - columns[column].width;
		columns[column].width = width;
	}
	pfree(rows.widths);
	pfree(rows.lines);
	pfree(rows.highest);
	pfree(rows.others);
}

/* The rows of the sample, with the names of the columns as the first. */
static void
begin_rows(Rows *rows, const PdfColumn *columns, const PdfSample *sample)
{
	int			n = sample->ncolumns;

	rows->n = sample->n + 1;
	rows->ncolumns = n;
	rows->widths = palloc(rows->n * n * sizeof(float));
	rows->lines = palloc(rows->n * n * sizeof(int));
	rows->highest = palloc(rows->n * sizeof(int));
	rows->others = palloc(rows->n * sizeof(int));
	for (int i = 0; i < n; i++)
		rows->widths[i] = columns[i].name_extent.width;
	memcpy(rows->widths + n, sample->widths, sample->n * n * sizeof(float));
}

/* Counts the lines of all cells, and finds each row's highest. */
static void
find_highest(Rows *rows, const PdfColumn *columns)
{
	for (int row = 0; row < rows->n; row++)
	{
		int		   *lines = rows->lines + row * rows->ncolumns;
		int			highest = 0;
		int			others = 1;

		for (int i = 0; i < rows->ncolumns; i++)
		{
			lines[i] = lines_of(rows->widths[row * rows->ncolumns + i], columns[i].width);
			if (i > 0 && lines[i] > lines[highest])
			{
				others = lines[highest];
				highest = i;
			}
			else if (i > 0)
				others = Max(others, lines[i]);
		}
		rows->highest[row] = highest;
		rows->others[row] = others;
	}
}

/*
 * What another width of a column would save: mostly the lines by which rows get
 * less high, but a little also where others keep them from that.
 */
static double
lines_saved(const Rows *rows, int i, float width)
{
	double		saved = 0;

	for (int row = 0; row < rows->n; row++)
	{
		int			at = row * rows->ncolumns + i;
		int			lines = rows->lines[at];
		int			fewer = lines - lines_of(rows->widths[at], width);
		int			visible = rows->highest[row] == i ? Min(fewer, lines - rows->others[row]) : 0;

		saved += (visible + fewer * UNSEEN) * (row == 0 ? 1 + rows->n / ROWS_OF_PAGE : 1);
	}
	return saved;
}

/*
 * What is left goes to columns whose longest text is broken still.  Where there
 * is none, all grow: a table that is nearly as wide as the page looks better when
 * it is as wide.
 */
static void
stretch(PdfColumn *columns, int n, float room)
{
	float		sum = 0;
	float		short_of = 0;
	float		gaps = (n - 1) * PDF_GAP;

	for (int i = 0; i < n; i++)
	{
		sum += columns[i].width;
		short_of += Max(columns[i].widest - columns[i].width, 0);
	}
	if (short_of > 0)
	{
		float		share = Min((room - gaps - sum) / short_of, 1);

		for (int i = 0; i < n; i++)
		{
			float		add = Max(columns[i].widest - columns[i].width, 0) * share;

			columns[i].width += add;
			sum += add;
		}
	}
	if (sum + gaps < room * STRETCH || sum + gaps > room)
		return;
	for (int i = 0; i < n; i++)
		columns[i].width *= (room - gaps) / sum;
}

/* ------------------------------------------------------------------------
 * Groups
 * ------------------------------------------------------------------------
 */

static void
one_group(PdfDesign *design, int n)
{
	design->ngroups = 1;
	design->groups = palloc(sizeof(PdfGroup));
	design->groups[0].n = n;
	design->groups[0].columns = palloc(n * sizeof(int));
	for (int i = 0; i < n; i++)
		design->groups[0].columns[i] = i;
}

/*
 * Fills one page after the other.  The first column, which mostly says what a
 * row is about, comes again on each.
 */
static void
spread(PdfDesign *design, PdfColumn *columns, const PdfSample *sample, float room)
{
	int			n = sample->ncolumns;
	PdfGroup   *group = NULL;
	float		first = wanted_width(columns, sample, 0);
	bool		repeat = first <= room * REPEATED;
	float		most = repeat ? room - first - PDF_GAP : room;
	float		used = 0;

	design->groups = palloc0(n * sizeof(PdfGroup));
	for (int i = 0; i < n; i++)
	{
		PdfColumn  *column = &columns[i];

		column->width = Min(wanted_width(columns, sample, i), most);
		if (group == NULL || used + PDF_GAP + column->width > room)
		{
			group = &design->groups[design->ngroups++];
			group->columns = palloc(n * sizeof(int));
			used = -PDF_GAP;
			if (repeat && i > 0)
			{
				group->columns[group->n++] = 0;
				used += PDF_GAP + columns[0].width;
			}
		}
		group->columns[group->n++] = i;
		used += PDF_GAP + column->width;
	}
}
