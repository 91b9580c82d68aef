/*-------------------------------------------------------------------------
 *
 * rows_private.h
 *	  What lines.c, fields.c and adapt.c share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ROWS_PRIVATE_H
#define JOBS_ROWS_PRIVATE_H

#include "rows.h"

#include <csv.h>

/* What became of an attempt to read one row. */
typedef enum RecordState
{
	RECORD_DONE,				/* it ended, and all is in form */
	RECORD_ODD,					/* it ended, but something stood after a quote */
	RECORD_OPEN,				/* the text ends before it does */
	RECORD_REFUSED,				/* libcsv alone cannot read it */
	RECORD_NO_MEMORY
} RecordState;

/* Text that grows. */
typedef struct RowText
{
	char	   *data;
	size_t		len;
	size_t		size;
} RowText;

struct RowSplitter
{
	const RowForm *form;
	size_t		null_len;
	int64_t		lines_done;		/* physical lines that are behind us */
	int64_t		rows_done;		/* rows of data */
	int64_t		skip_lines;		/* still to be passed over */
	int			header_rows;
	bool		verified;		/* all of the block's text is valid */
	size_t		valid_until;	/* of text that is carried over: so much is known to be valid */
	bool		no_memory;

	/* After the beginning of a row that is too long: what follows it is passed over. */
	bool		lost;
	bool		lost_in_quotes;
	bool		lost_in_line;	/* of the line at hand, something has been passed over */

	/* Reading by libcsv. */
	struct csv_parser parser;
	RowBlock   *block;			/* where fields go */
	const char *cursor;			/* in the text that libcsv reads: where the next field begins */
	bool		row_ended;
	int			nfields;		/* of the row being read */
	RowText		adapted;
	RowText		flags;			/* for each adapted field: it stood in quotes */
	bool		use_flags;
	int			nread;			/* adapted fields of the row, so far */
	bool		bare_quote;		/* adapting has met one in a field without quotes */
	bool		odd_quote;		/* and one within quotes that ends nothing */

	/* Known of all that is behind the row at hand, since the end has been seen. */
	bool		never_closes;	/* quotes that are open where a line ends stay so */
	bool		no_fit_left;	/* no line begins a row that fits */
};

#define is_newline(c)	((c) == '\n' || (c) == '\r')
#define is_blank(c)		((c) == ' ' || (c) == '\t')

/* lines.c */

/* The first newline in text, or its end; and behind the newline, CR and LF being one. */
extern const char *rows_find_newline(const char *text, const char *end);
extern const char *rows_behind_newline(const char *newline, const char *end);

/* Adds a field to the row that is being made; text is NUL-terminated and stays. */
extern bool rows_add_field(RowSplitter *s, char *text, size_t len, bool quoted);

/* Takes back the fields of a row. */
extern void rows_drop_fields(RowSplitter *s);

/*
 * Ends the row that is being made, unless it is blank or part of the header; nlines
 * is how many physical lines it takes.
 */
extern bool rows_finish(RowSplitter *s, int64_t nlines, int flaws, const char *detail, int field);

/* Memory of a block for len bytes and a NUL. */
extern char *rows_alloc(RowBlock *block, size_t len);

/* fields.c */
extern bool rows_fields_begin(RowSplitter *s);
extern void rows_fields_end(RowSplitter *s);

/*
 * Reads the row that begins at *pos, and moves on.  *open is set, and nothing done,
 * where it is not complete.
 */
extern bool rows_read_record(RowSplitter *s, size_t *pos, bool at_end, bool *open);

/* Passes over what belongs to a row that was too long. */
extern bool rows_pass_lost(RowSplitter *s, size_t *pos, bool at_end);

/* adapt.c */

/*
 * Writes the row at text in the form that libcsv reads, into s->adapted and s->flags.
 * *end is where it ends, *nlines how many physical lines it takes.  With keep_spaces,
 * those before a quote make it part of the value.
 */
extern RecordState rows_adapt(RowSplitter *s, const char *text, const char *text_end, bool keep_spaces,
							  const char **end, int64_t *nlines, int *odd_field);

/*
 * From a place within quotes to behind the line's end; *odd is set where a quote stands
 * that ends nothing.  NULL where the quotes end, or the text does.
 */
extern const char *rows_pass_quoted_line(const RowForm *form, const char *at, const char *end, bool *odd);

/* What is written around each adapted field. */
static inline char
adapted_quote(const RowForm *form)
{
	if (form->quote)
		return form->quote;
	return form->delimiter == '"' ? '\'' : '"';
}

#endif							/* JOBS_ROWS_PRIVATE_H */
