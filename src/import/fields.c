/*-------------------------------------------------------------------------
 *
 * fields.c
 *	  Rows with quotes: libcsv reads them.
 *
 * libcsv in its strict mode reads what is in good form.  What it refuses is
 * written in a form that it reads (adapt.c).  Whether a row with a broken quote is
 * taken, and where reading goes on after it, follows from the number of columns.
 * Three kinds of row are doubtful:
 *
 * - one whose quote is still open where the text ends (or after ROWS_MAX_ROW bytes);
 * - one of several lines with something else than a delimiter behind a quote;
 * - one of several lines that has another number of fields than there are columns.
 *
 * In a doubtful row we look for the first further line with which a row begins that
 * is in good form and has the right number of fields.  If there is one, a quote was
 * opened and never closed: the lines before it are one broken row, and reading goes
 * on with it.  If there is none, a row that has an end is what it is.  Of one that
 * has no end, the first line alone is a broken row, and the next line is read as if
 * nothing had been.
 *
 * A row on one line with something behind a quote is taken as it is, the quote being
 * a character of the value, unless the number of its fields is wrong.
 *
 *-------------------------------------------------------------------------
 */
#include "import/rows_private.h"

#include <stdlib.h>
#include <string.h>

#define BUFFER_STEP		(ROWS_BLOCK / 2)	/* by which libcsv's buffer grows */
#define MUCH			(1024 * 1024)	/* what no buffer keeps */
#define SHORT_LINE		(ROWS_MAX_ROW / 16)	/* where the end of a row that is too long is looked for */
#define LINES_OF_FIT	16		/* behind its first that a row may have with which reading goes on, or
								 * whose quote has spaces before it */

static bool parser_init(RowSplitter *s);
static void parser_reset(RowSplitter *s);
static int	no_space(unsigned char c);
static void field_read(void *field, size_t len, void *arg);
static void row_read(int c, void *arg);
static bool is_quoted(RowSplitter *s, const char *value, size_t len);
static const char *take_unquoted(RowSplitter *s, const char *text, const char *end);
static RecordState read_strict(RowSplitter *s, const char *text, const char *end, const char **next, int64_t *nlines,
							   int *open_field);
static const char *look_ahead(const char *line, const char *end);
static RecordState read_adapted(RowSplitter *s, const char *text, const char *end, bool at_end, const char **next,
								int64_t *nlines, int *odd_field);
static bool parse_adapted(RowSplitter *s);
static bool has_width(const RowSplitter *s, int nfields);
static bool fits(RowSplitter *s, const char *line, const char *end);
static const char *find_fit(RowSplitter *s, const char *text, const char *end);
static const char *find_early_fit(RowSplitter *s, const char *text, const char *end, int *field);
static int64_t count_lines(const char *text, const char *end);
static bool broken_row(RowSplitter *s, const char *text, const char *end, int field);
static bool finish_open(RowSplitter *s, size_t *pos, const char *end, bool at_end, int field);
static void shrink(RowText *text);

/* ------------------------------------------------------------------------
 * libcsv
 * ------------------------------------------------------------------------
 */

static int
no_space(unsigned char c)
{
	return 0;
}

/* Spaces belong to values, and an empty field outside of quotes is told by NULL. */
static bool
parser_init(RowSplitter *s)
{
	if (csv_init(&s->parser, CSV_STRICT | CSV_APPEND_NULL) != 0)
		return false;
	csv_set_delim(&s->parser, s->form->delimiter);
	csv_set_quote(&s->parser, adapted_quote(s->form));
	csv_set_space_func(&s->parser, no_space);
	csv_set_blk_size(&s->parser, BUFFER_STEP);
	return true;
}

/* Gives up what has been read of a row. */
static void
parser_reset(RowSplitter *s)
{
	(void) csv_fini(&s->parser, NULL, NULL, NULL);
	if (csv_get_buffer_size(&s->parser) > MUCH)
	{
		csv_free(&s->parser);
		(void) parser_init(s);
	}
}

bool
rows_fields_begin(RowSplitter *s)
{
	return parser_init(s);
}

void
rows_fields_end(RowSplitter *s)
{
	csv_free(&s->parser);
	free(s->adapted.data);
	free(s->flags.data);
}

static void
shrink(RowText *text)
{
	if (text->size > MUCH)
	{
		free(text->data);
		text->data = NULL;
		text->size = 0;
	}
	text->len = 0;
}

/*
 * Whether the field that begins at the cursor stood in quotes, which libcsv does not
 * tell; moves on behind its delimiter.  In good form all its bytes are accounted for.
 */
static bool
is_quoted(RowSplitter *s, const char *value, size_t len)
{
	char		quote = s->parser.quote_char;

	if (*s->cursor != quote)
	{
		s->cursor += len + 1;
		return false;
	}
	s->cursor += len + 3;
	for (const char *p = value; (p = memchr(p, quote, value + len - p)) != NULL; p++)
		s->cursor++;
	return true;
}

static void
field_read(void *field, size_t len, void *arg)
{
	RowSplitter *s = arg;
	bool		quoted = is_quoted(s, field, len);
	char	   *copy;

	if (s->use_flags)
		quoted = s->flags.data[s->nread++];
	if (s->nfields >= ROWS_MAX_FIELDS)
	{
		s->nfields++;
		return;
	}
	copy = rows_alloc(s->block, len);
	if (copy == NULL)
	{
		s->no_memory = true;
		return;
	}
	memcpy(copy, field, len);
	if (!rows_add_field(s, copy, len, quoted))
		s->no_memory = true;
}

static void
row_read(int c, void *arg)
{
	((RowSplitter *) arg)->row_ended = true;
}

/*
 * Fields that end before the first quote are split as those of a line without one
 * (lines.c), and libcsv has the rest to read.  The result is where that begins.
 */
static const char *
take_unquoted(RowSplitter *s, const char *text, const char *end)
{
	const char *quote = memchr(text, s->form->quote, end - text);
	const char *delimiter;

	if (quote == NULL || s->form->only_libcsv)
		return text;
	while ((delimiter = memchr(text, s->form->delimiter, quote - text)) != NULL)
	{
		if (!rows_add_field(s, s->block->text + (text - s->block->text), delimiter - text, false))
			s->no_memory = true;
		text = delimiter + 1;
	}
	return text;
}

/*
 * Line by line, so that libcsv stops where the row does.  The fields are those of the
 * row being made, if the result is RECORD_DONE.
 */
static RecordState
read_strict(RowSplitter *s, const char *text, const char *end, const char **next, int64_t *nlines, int *open_field)
{
	const RowForm *form = s->form;
	RecordState state = RECORD_OPEN;
	const char *start = take_unquoted(s, text, rows_find_newline(text, end));

	s->cursor = start;
	s->row_ended = false;
	s->use_flags = false;
	*next = text;
	*nlines = 0;
	while (state == RECORD_OPEN && *next < end)
	{
		const char *line = *next;
		const char *newline = rows_find_newline(line, end);
		size_t		len;

		if (newline == end)
			break;
		*next = rows_behind_newline(newline, end);
		len = *next - line;
		if (form->escape && form->escape != form->quote && memchr(line, form->escape, len) != NULL)
			state = RECORD_REFUSED;
		else if (csv_parse(&s->parser, start, *next - start, field_read, row_read, s) != *next - start)
			state = csv_error(&s->parser) == CSV_EPARSE ? RECORD_REFUSED : RECORD_NO_MEMORY;
		else if (s->no_memory)
			state = RECORD_NO_MEMORY;
		else if (s->row_ended)
			state = RECORD_DONE;
		start = *next;
		++*nlines;
	}
	if (state == RECORD_OPEN)
		*open_field = s->nfields;
	if (state != RECORD_DONE)
		rows_drop_fields(s);
	if (state != RECORD_DONE || csv_get_buffer_size(&s->parser) > MUCH)
		parser_reset(s);
	return state;
}

static bool
parse_adapted(RowSplitter *s)
{
	s->cursor = s->adapted.data;
	s->use_flags = true;
	s->nread = 0;
	if (csv_parse(&s->parser, s->adapted.data, s->adapted.len, field_read, row_read, s) != s->adapted.len)
		s->no_memory = true;
	parser_reset(s);
	return !s->no_memory;
}

/* Behind a line and LINES_OF_FIT more, or the end where there are not so many. */
static const char *
look_ahead(const char *line, const char *end)
{
	const char *newline = rows_find_newline(line, end);

	for (int i = 0; i < LINES_OF_FIT && newline < end; i++)
		newline = rows_find_newline(rows_behind_newline(newline, end), end);
	return rows_behind_newline(newline, end);
}

/*
 * What libcsv has refused; the result is RECORD_DONE or RECORD_ODD with its fields, or RECORD_OPEN.
 *
 * Spaces before a quote are no part of the value, unless then something is wrong while
 * the line alone is a row with them: the quote is a character then.  It is wrong too
 * where the quote is not closed within some lines, of which all must be there.
 */
static RecordState
read_adapted(RowSplitter *s, const char *text, const char *end, bool at_end, const char **next, int64_t *nlines,
			 int *odd_field)
{
	const char *limit = look_ahead(text, end);
	const char *line = rows_behind_newline(rows_find_newline(text, end), end);
	RecordState state = rows_adapt(s, text, limit, false, next, nlines, odd_field);

	if (state == RECORD_OPEN || state == RECORD_ODD)
	{
		const char *other_next;
		int64_t		other_nlines;
		int			other_odd;

		if (rows_adapt(s, text, line, true, &other_next, &other_nlines, &other_odd) != RECORD_DONE ||
			!has_width(s, (int) s->flags.len))
			state = rows_adapt(s, text, end, false, next, nlines, odd_field);
		else if (state == RECORD_ODD || limit < end || at_end)
		{
			*odd_field = -1;
			*next = other_next;
			*nlines = other_nlines;
			state = RECORD_DONE;
		}
	}
	if ((state == RECORD_DONE || state == RECORD_ODD) && !parse_adapted(s))
		state = RECORD_NO_MEMORY;
	shrink(&s->adapted);
	shrink(&s->flags);
	return state;
}

/* ------------------------------------------------------------------------
 * Where to go on
 * ------------------------------------------------------------------------
 */

static bool
has_width(const RowSplitter *s, int nfields)
{
	int			ncolumns = s->form->ncolumns;

	return ncolumns == 0 || nfields == ncolumns || (s->form->pad && nfields < ncolumns);
}

/* Whether a row in good form and of the right width begins with a line. */
static bool
fits(RowSplitter *s, const char *line, const char *end)
{
	const RowForm *form = s->form;
	const char *newline = rows_find_newline(line, end);
	const char *next;
	int64_t		nlines;
	int			odd_field;
	RecordState state;

	if (newline == end || newline == line)
		return false;
	if (memchr(line, form->quote, newline - line) == NULL)
	{
		int			nfields = 1;

		for (const char *p = line; (p = memchr(p, form->delimiter, newline - p)) != NULL; p++)
			nfields += form->delimiter != ' ' || (p > line && p[-1] != ' ' && p + 1 < newline);
		return form->ncolumns == 0 || nfields == form->ncolumns;
	}
	state = rows_adapt(s, line, look_ahead(line, end), false, &next, &nlines, &odd_field);
	return state == RECORD_DONE && !s->bare_quote &&
		(form->ncolumns == 0 || (int) s->flags.len == form->ncolumns);
}

/* The first line behind the first one that fits, or NULL. */
static const char *
find_fit(RowSplitter *s, const char *text, const char *end)
{
	const char *line = rows_behind_newline(rows_find_newline(text, end), end);

	while (line < end)
	{
		if (fits(s, line, end))
			return line;
		line = rows_behind_newline(rows_find_newline(line, end), end);
	}
	return NULL;
}

/*
 * What find_fit would find behind a row that begins at text, without looking for the end
 * of its quotes, which may be far: or each of many rows with a broken quote would be
 * read to there.  NULL where it is doubtful, or not certain, that the row is broken.
 */
static const char *
find_early_fit(RowSplitter *s, const char *text, const char *end, int *field)
{
	const char *line = rows_behind_newline(rows_find_newline(text, end), end);
	const char *ahead = line;	/* the quotes stay open until there */
	const char *next;
	int			nlines = 0;		/* from line to ahead */
	int64_t		ignored;
	int			ignored_field;
	bool		broken;

	if (line == end || rows_adapt(s, text, line, false, &next, &ignored, field) != RECORD_OPEN)
		return NULL;
	broken = s->never_closes || s->odd_quote;
	if (rows_adapt(s, text, line, true, &next, &ignored, &ignored_field) == RECORD_DONE && has_width(s, (int) s->flags.len))
		return NULL;
	if (s->no_fit_left)
		return line;
	/* A text in one column may have any quotes in it, if only it ends. */
	if (!s->form->quote || (s->form->ncolumns == 1 && !s->never_closes))
		return NULL;
	while (line - text <= ROWS_MAX_ROW)
	{
		if (broken && nlines > LINES_OF_FIT)
		{
			if (fits(s, line, end))
				return line;
			line = rows_behind_newline(rows_find_newline(line, end), end);
			nlines--;
		}
		else
		{
			ahead = rows_pass_quoted_line(s->form, ahead, end, &broken);
			if (ahead == NULL)
				return NULL;
			nlines++;
		}
	}
	return NULL;
}

static int64_t
count_lines(const char *text, const char *end)
{
	int64_t		n = 0;

	for (; text < end; n++)
		text = rows_behind_newline(rows_find_newline(text, end), end);
	return n;
}

/* Lines with a broken quote: what stands between delimiters, whatever the quotes. */
static bool
broken_row(RowSplitter *s, const char *text, const char *end, int field)
{
	int64_t		nlines = count_lines(text, end);
	const char *newline = end;

	while (newline > text && is_newline(newline[-1]) && end - newline < 2)
		newline--;
	for (const char *p = text;; p++)
	{
		const char *delimiter = memchr(p, s->form->delimiter, newline - p);
		size_t		len = (delimiter ? delimiter : newline) - p;
		char	   *copy = rows_alloc(s->block, len);

		if (copy == NULL)
			return false;
		memcpy(copy, p, len);
		if (!rows_add_field(s, copy, len, false))
			return false;
		if (delimiter == NULL)
			break;
		p = delimiter;
	}
	return rows_finish(s, nlines, ROW_BROKEN_QUOTE,
					   nlines > 1 ? "a quote is opened and not closed; the lines up to the next whole row belong to it" :
					   "a quote is not closed, or something stands behind the closing one", field);
}

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

bool
rows_read_record(RowSplitter *s, size_t *pos, bool at_end, bool *open)
{
	const char *text = s->block->text + *pos;
	const char *end = s->block->text + s->block->text_len;
	const char *next;
	const char *fit = NULL;
	int64_t		nlines;
	int			odd_field = -1;
	RecordState state = RECORD_REFUSED;

	/* A newline at the end may be half of one. */
	if (!at_end && end[-1] == '\r')
		end--;
	if (s->form->quote)
		state = read_strict(s, text, end, &next, &nlines, &odd_field);
	if (state == RECORD_REFUSED || (state == RECORD_OPEN && s->never_closes))
	{
		fit = find_early_fit(s, text, end, &odd_field);
		if (fit)
		{
			*pos = fit - s->block->text;
			return broken_row(s, text, fit, odd_field);
		}
	}
	if (state == RECORD_REFUSED)
		state = read_adapted(s, text, end, at_end, &next, &nlines, &odd_field);
	if (state == RECORD_NO_MEMORY)
		return false;
	if (state == RECORD_OPEN)
	{
		if (!at_end && end - text <= ROWS_MAX_ROW)
		{
			*open = true;
			return true;
		}
		return finish_open(s, pos, end, at_end, odd_field);
	}
	if (nlines > 1 && s->form->quote && (state == RECORD_ODD || !has_width(s, s->nfields)) &&
		!(s->form->ncolumns == 1 && s->nfields == 1))
		fit = find_fit(s, text, next);
	if (fit)
	{
		rows_drop_fields(s);
		*pos = fit - s->block->text;
		return broken_row(s, text, fit, odd_field);
	}
	*pos = next - s->block->text;
	if (next - text > ROWS_MAX_ROW)
	{
		rows_drop_fields(s);
		return rows_finish(s, nlines, ROW_TOO_LONG, "it has more than 16 MB", -1);
	}
	if (state == RECORD_ODD && !has_width(s, s->nfields))
		return rows_finish(s, nlines, ROW_BROKEN_QUOTE, "something stands behind a closing quote", odd_field);
	return rows_finish(s, nlines, 0, NULL, -1);
}

/*
 * A row whose end is not in sight: the text ends, or there is too much of it.
 */
static bool
finish_open(RowSplitter *s, size_t *pos, const char *end, bool at_end, int field)
{
	const char *text = s->block->text + *pos;
	const char *fit = s->form->quote ? find_fit(s, text, end) : NULL;
	const char *line = rows_behind_newline(rows_find_newline(text, end), end);
	const char *next;
	int64_t		nlines;

	/* Of the first line, which is what the fields at fault are counted in. */
	(void) rows_adapt(s, text, line, false, &next, &nlines, &field);
	if (at_end)
	{
		s->never_closes = true;
		s->no_fit_left = fit == NULL;
		if (fit == NULL)
			fit = line;
	}
	if (fit)
	{
		*pos = fit - s->block->text;
		if (fit - text <= ROWS_MAX_ROW)
			return broken_row(s, text, fit, field);
		return rows_finish(s, count_lines(text, fit), ROW_TOO_LONG, "it has more than 16 MB", -1);
	}
	if (!rows_finish(s, 0, ROW_TOO_LONG, "it has more than 16 MB", -1))
		return false;
	s->lost = true;
	s->lost_in_quotes = true;
	s->lost_in_line = !is_newline(end[-1]);
	s->lines_done += count_lines(text, end) - s->lost_in_line;
	*pos = end - s->block->text;
	return true;
}

/*
 * The rest of a row that was too long ends with a newline outside of quotes, or
 * before a line that fits.
 */
bool
rows_pass_lost(RowSplitter *s, size_t *pos, bool at_end)
{
	const char *end = s->block->text + s->block->text_len;
	char		quote = s->form->quote;

	while (s->lost && *pos < s->block->text_len)
	{
		const char *line = s->block->text + *pos;
		const char *newline = rows_find_newline(line, end);
		bool		whole = newline < end && !(newline + 1 == end && *newline == '\r' && !at_end);

		if (quote && !s->lost_in_line && s->lost_in_quotes)
		{
			/* A short line is looked at when all of it is there. */
			if (!whole && end - line < SHORT_LINE)
				return true;
			if (fits(s, line, end))
			{
				s->lost = false;
				return true;
			}
		}
		for (const char *p = line; quote && (p = memchr(p, quote, newline - p)) != NULL; p++)
			s->lost_in_quotes = !s->lost_in_quotes;
		*pos = newline - s->block->text;
		s->lost_in_line = !whole;
		if (!whole)
			return true;
		*pos = rows_behind_newline(newline, end) - s->block->text;
		s->lines_done++;
		s->lost = s->lost_in_quotes;
	}
	return true;
}
