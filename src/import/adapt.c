/*-------------------------------------------------------------------------
 *
 * adapt.c
 *	  Rows that libcsv does not read as they are meant, written as it does.
 *
 * Escapes by a backslash become doubled quotes; spaces between a delimiter and a
 * quote go; a quote that ends nothing, because something other than a delimiter
 * follows it, is doubled: it is a character of the value.
 *
 *-------------------------------------------------------------------------
 */
#include "import/rows_private.h"

#include <stdlib.h>
#include <string.h>

/* Where in the row we are. */
typedef struct Adapter
{
	RowSplitter *s;
	const char *at;
	const char *text_end;
	char		quote;			/* of what is written */
	int64_t		nlines;
	int			field;
	int			odd_field;		/* -1: none */
	bool		no_memory;
} Adapter;

static void put(Adapter *a, RowText *to, char c);
static void put_value(Adapter *a, char c);
static const char *behind_blanks(const Adapter *a, const char *at);
static bool ends_field(const Adapter *a, const char *at);
static void put_newline(Adapter *a);
static bool adapt_quoted(Adapter *a);
static bool adapt_bare(Adapter *a);
static bool adapt_unquoted_escape(Adapter *a);

static void
put(Adapter *a, RowText *to, char c)
{
	if (to->len == to->size)
	{
		size_t		size = to->size ? 2 * to->size : 1024;
		char	   *data = realloc(to->data, size);

		if (data == NULL)
		{
			a->no_memory = true;
			return;
		}
		to->data = data;
		to->size = size;
	}
	to->data[to->len++] = c;
}

/* A character of a value, which stands in quotes. */
static void
put_value(Adapter *a, char c)
{
	if (c == a->quote)
		put(a, &a->s->adapted, c);
	put(a, &a->s->adapted, c);
}

static const char *
behind_blanks(const Adapter *a, const char *at)
{
	while (at < a->text_end && is_blank(*at) && *at != a->s->form->delimiter)
		at++;
	return at;
}

static bool
ends_field(const Adapter *a, const char *at)
{
	return at == a->text_end || *at == a->s->form->delimiter || is_newline(*at);
}

/* A newline within a value. */
static void
put_newline(Adapter *a)
{
	const char *next = rows_behind_newline(a->at, a->text_end);

	while (a->at < next)
		put_value(a, *a->at++);
	a->nlines++;
}

/* From behind the opening quote to behind the closing one; false: it is open. */
static bool
adapt_quoted(Adapter *a)
{
	const RowForm *form = a->s->form;

	while (a->at < a->text_end)
	{
		const char *next = a->at + 1;

		if (form->escape && form->escape != form->quote && *a->at == form->escape && next < a->text_end &&
			(*next == form->quote || *next == form->escape))
		{
			put_value(a, *next);
			a->at += 2;
		}
		else if (is_newline(*a->at))
			put_newline(a);
		else if (*a->at != form->quote)
			put_value(a, *a->at++);
		else if (next < a->text_end && *next == form->quote)
		{
			put_value(a, form->quote);
			a->at += 2;
		}
		else
		{
			next = behind_blanks(a, next);
			if (ends_field(a, next))
			{
				a->at = next;
				return true;
			}
			if (a->odd_field < 0)
				a->odd_field = a->field;
			put_value(a, *a->at++);
		}
	}
	return false;
}

/* Where there are no quotes a backslash may stand before a delimiter or newline. */
static bool
adapt_unquoted_escape(Adapter *a)
{
	const char *next = a->at + 1;

	if (next == a->text_end)
		return false;
	a->at = next;
	if (is_newline(*next))
		put_newline(a);
	else if (*next == 'n' || *next == 't' || *next == 'r')
	{
		put_value(a, *next == 'n' ? '\n' : *next == 't' ? '\t' : '\r');
		a->at++;
	}
	else if (*next == a->s->form->delimiter || *next == a->s->form->escape)
		put_value(a, *a->at++);
	else
		put_value(a, a->s->form->escape);
	return true;
}

static bool
adapt_bare(Adapter *a)
{
	const RowForm *form = a->s->form;

	while (!ends_field(a, a->at))
	{
		if (form->quote == '\0' && form->escape && *a->at == form->escape)
		{
			if (!adapt_unquoted_escape(a))
				return false;
		}
		else
		{
			a->s->bare_quote |= form->quote && *a->at == form->quote;
			put_value(a, *a->at++);
		}
	}
	return true;
}

RecordState
rows_adapt(RowSplitter *s, const char *text, const char *text_end, bool keep_spaces,
		   const char **end, int64_t *nlines, int *odd_field)
{
	Adapter		a = {.s = s,.at = text,.text_end = text_end,.nlines = 1,.odd_field = -1};

	a.quote = adapted_quote(s->form);
	s->adapted.len = 0;
	s->flags.len = 0;
	s->bare_quote = false;
	for (;; a.field++)
	{
		const char *start = keep_spaces ? a.at : behind_blanks(&a, a.at);
		bool		quoted = s->form->quote && start < text_end && *start == s->form->quote;
		bool		closed;

		put(&a, &s->flags, quoted);
		put(&a, &s->adapted, a.quote);
		if (quoted)
			a.at = start + 1;
		closed = quoted ? adapt_quoted(&a) : adapt_bare(&a);
		put(&a, &s->adapted, a.quote);
		*nlines = a.nlines;
		*end = a.at;
		*odd_field = a.odd_field;
		s->odd_quote = a.odd_field >= 0;
		if (a.no_memory)
			return RECORD_NO_MEMORY;
		if (!closed || a.at == text_end)
		{
			*odd_field = a.odd_field >= 0 ? a.odd_field : a.field;
			return RECORD_OPEN;
		}
		if (is_newline(*a.at))
			break;
		put(&a, &s->adapted, *a.at++);
	}
	put(&a, &s->adapted, '\n');
	*end = rows_behind_newline(a.at, text_end);
	if (a.no_memory)
		return RECORD_NO_MEMORY;
	return a.odd_field >= 0 ? RECORD_ODD : RECORD_DONE;
}

const char *
rows_pass_quoted_line(const RowForm *form, const char *at, const char *end, bool *odd)
{
	while (at < end && !is_newline(*at))
	{
		const char *next = at + 1;

		if (form->escape && form->escape != form->quote && *at == form->escape && next < end &&
			(*next == form->quote || *next == form->escape))
			at += 2;
		else if (*at != form->quote)
			at++;
		else if (next < end && *next == form->quote)
			at += 2;
		else
		{
			while (next < end && is_blank(*next) && *next != form->delimiter)
				next++;
			if (next == end || *next == form->delimiter || is_newline(*next))
				return NULL;
			*odd = true;
			at++;
		}
	}
	return at < end ? rows_behind_newline(at, end) : NULL;
}
