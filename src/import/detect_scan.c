/*-------------------------------------------------------------------------
 *
 * detect_scan.c
 *	  Cuts text into records and fields, to find out how a file is written.
 *
 * It makes no values: it tells where fields stand and whether the quotes around
 * them make sense, for many forms on trial.  What is in the end taken from the
 * file comes from reader.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "import/detect.h"

/*
 * How far a closing quote may be from the opening one.  Where closing ones were
 * missing before, it must be nearer, so that time stays linear.
 */
#define QUOTE_REACH			65536
#define QUOTE_REACH_BROKEN	1024

static const char *scan_field(Scan *scan, const char *p);
static const char *quoted_field(Scan *scan, const char *open, ScanCell *cell);
static const char *plain_field(Scan *scan, const char *p, ScanCell *cell);
static void end_line(Scan *scan, const char *p);
static bool ends_field(const Scan *scan, const char *p);
static const char *skip_spaces(const Scan *scan, const char *p);
static int	count_lines(const char *from, const char *to);

void
jobs_scan_begin(Scan *scan, const ScanForm *form, const char *text, int len, bool at_end,
				ScanCell *cells, int max_cells)
{
	scan->form = *form;
	scan->next = text;
	scan->end = text + len;
	scan->at_end = at_end;
	scan->cells = cells;
	scan->max_cells = max_cells;
	scan->unclosed = 0;
	scan->next_line = 1;
}

bool
jobs_scan_next(Scan *scan)
{
	const char *start = scan->next;
	const char *p = start;

	if (p >= scan->end)
		return false;
	scan->line = scan->next_line;
	scan->ncells = 0;
	scan->broken = 0;
	scan->nquoted = 0;
	scan->is_comment = scan->form.comment != '\0' && *p == scan->form.comment;
	if (scan->is_comment)
	{
		while (p < scan->end && *p != '\n' && *p != '\r')
			p++;
		scan->blank = false;
		end_line(scan, p);
		return true;
	}

	if (scan->form.delimiter == ' ')
		p = skip_spaces(scan, p);
	for (;;)
	{
		p = scan_field(scan, p);
		if (p >= scan->end || *p == '\n' || *p == '\r')
			break;
		p++;					/* the delimiter */
		if (scan->form.delimiter == ' ')
		{
			p = skip_spaces(scan, p);
			/* Spaces at the end of a line separate nothing. */
			if (p >= scan->end || *p == '\n' || *p == '\r')
				break;
		}
	}
	if (p >= scan->end && !scan->at_end)
		return false;
	scan->blank = scan->ncells == 1 && !scan->first_filled;
	end_line(scan, p);
	return true;
}

/* Reads one field; returns where it ends: at a delimiter, a newline or the end. */
static const char *
scan_field(Scan *scan, const char *p)
{
	ScanCell	spare;
	ScanCell   *cell = scan->ncells < scan->max_cells ? &scan->cells[scan->ncells] : &spare;
	const char *after = NULL;
	const char *open = p;

	scan->ncells++;
	cell->quoted = false;
	cell->spaced = p < scan->end && *p == ' ';
	if (scan->form.quote != '\0')
		open = skip_spaces(scan, p);
	if (scan->form.quote != '\0' && open < scan->end && *open == scan->form.quote)
		after = quoted_field(scan, open, cell);
	if (after == NULL)
		after = plain_field(scan, p, cell);
	if (scan->ncells == 1)
		scan->first_filled = cell->quoted || cell->len > 0;
	return after;
}

/*
 * Reads a field in quotes.  NULL where they do not make one: the closing one is
 * missing, or has text after it.
 */
static const char *
quoted_field(Scan *scan, const char *open, ScanCell *cell)
{
	char		quote = scan->form.quote;
	char		escape = scan->form.escape;
	const char *limit = open + (scan->unclosed < 8 ? QUOTE_REACH : QUOTE_REACH_BROKEN);
	const char *p;

	if (limit > scan->end)
		limit = scan->end;
	for (p = open + 1; p < limit; p++)
	{
		if (*p == escape && escape != quote)
		{
			p++;
			continue;
		}
		if (*p != quote)
			continue;
		if (escape == quote && p + 1 < scan->end && p[1] == quote)
		{
			p++;
			continue;
		}
		cell->text = open + 1;
		cell->len = p - open - 1;
		cell->quoted = true;
		p++;
		if (scan->form.delimiter != ' ')
			p = skip_spaces(scan, p);
		if (!ends_field(scan, p))
			break;
		scan->nquoted++;
		return p;
	}
	/* The sample may end within quotes; the record is cut then, not broken. */
	if (limit == scan->end && p >= limit && !scan->at_end && scan->unclosed == 0)
	{
		cell->quoted = true;
		cell->text = open;
		cell->len = 0;
		return scan->end;
	}
	if (p >= limit)
		scan->unclosed++;
	scan->broken++;
	cell->quoted = false;
	return NULL;
}

static const char *
plain_field(Scan *scan, const char *p, ScanCell *cell)
{
	char		delimiter = scan->form.delimiter;
	char		escape = scan->form.quote == '\0' ? scan->form.escape : '\0';
	const char *start = p;

	while (p < scan->end && *p != delimiter && *p != '\n' && *p != '\r')
	{
		/* Without quotes, it is what stands before a delimiter that is none. */
		if (escape != '\0' && *p == escape && p + 1 < scan->end)
			p++;
		p++;
	}
	cell->text = start;
	cell->len = p - start;
	return p;
}

/* Moves on behind the end of a line. */
static void
end_line(Scan *scan, const char *p)
{
	scan->newline[0] = scan->newline[1] = '\0';
	if (p < scan->end)
	{
		scan->newline[0] = *p;
		if (*p == '\r' && p + 1 < scan->end && p[1] == '\n')
			scan->newline[1] = *++p;
		p++;
	}
	/* Only quotes and escapes keep newlines within a record. */
	scan->next_line = scan->line + (scan->nquoted > 0 || scan->form.quote == '\0' ? count_lines(scan->next, p) : scan->newline[0] != '\0');
	scan->next = p;
}

static bool
ends_field(const Scan *scan, const char *p)
{
	return p >= scan->end || *p == '\n' || *p == '\r' || *p == scan->form.delimiter;
}

static const char *
skip_spaces(const Scan *scan, const char *p)
{
	while (p < scan->end && *p == ' ')
		p++;
	return p;
}

static int
count_lines(const char *from, const char *to)
{
	int			n = 0;

	for (; from < to; from++)
	{
		if (*from == '\n' || (*from == '\r' && (from + 1 >= to || from[1] != '\n')))
			n++;
	}
	return n;
}
