/*-------------------------------------------------------------------------
 *
 * rows.h
 *	  From text to rows of fields.
 *
 * What is in here runs in a thread, so neither this header nor the files that
 * implement it (lines.c, fields.c, adapt.c) know anything of the server; they
 * build with libcsv alone.  Memory comes from malloc.
 *
 * A splitter is given a block with text and makes rows of it, in place where it
 * can.  Lines without quotes it splits itself; the rest goes through libcsv,
 * where necessary adapted first.  How it goes on after a broken line stands in
 * fields.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ROWS_H
#define JOBS_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "import/decode.h"

/* What is wrong with a row's form. */
typedef enum RowFlaw
{
	ROW_TOO_FEW = 1 << 0,		/* fields; only with ragged => "reject" */
	ROW_TOO_MANY = 1 << 1,
	ROW_BROKEN_QUOTE = 1 << 2,	/* opened and never closed, or text after it */
	ROW_BAD_ENCODING = 1 << 3,	/* bytes that the encoding does not have, or NUL; shown as "?" */
	ROW_TOO_LONG = 1 << 4		/* more than ROWS_MAX_ROW bytes; has no fields */
} RowFlaw;

/*
 * One row of data.  The fields of a row with a broken quote are what stands
 * between delimiters up to the line at which reading goes on.
 */
typedef struct FileRow
{
	int64_t		row_no;			/* of data rows, from 1 */
	int64_t		line_no;		/* physical line on which it starts, from 1 */
	int			nfields;
	int			flaws;			/* of RowFlaw */
	char	  **fields;			/* NUL-terminated, in the database's encoding; NULL is null */
	int		   *lengths;
	bool	   *quoted;			/* stood in quotes */
	const char *flaw_detail;	/* in words, for a message; or NULL */
	int			flaw_field;		/* number of the field at fault from 0, or -1 */
} FileRow;

/*
 * The text of a row, its quotes and delimiters included, has at most so many bytes.
 * This and the next two are less in tests.
 */
#ifndef ROWS_MAX_ROW
#define ROWS_MAX_ROW	(16 * 1024 * 1024)
#endif

/* And a row so many fields: more than any table has columns. */
#ifndef ROWS_MAX_FIELDS
#define ROWS_MAX_FIELDS	65536
#endif

/* Text that a block is filled with, unless one row needs more. */
#ifndef ROWS_BLOCK
#define ROWS_BLOCK		(128 * 1024)
#endif

/* Behind a block's text there is always room for so many bytes. */
#define ROWS_SLACK		64

/* How the text is written. */
typedef struct RowForm
{
	char		delimiter;		/* ' ': any number of spaces */
	char		quote;			/* '\0': none */
	char		escape;			/* the quote itself where it is doubled */
	char		comment;		/* '\0': none */
	bool		trim;			/* spaces and tabs around values do not count */
	bool		pad;			/* rows with too few fields are filled with nulls */
	const char *null;			/* what stands for null, outside of quotes */
	int			ncolumns;		/* 0: rows of any number of fields */
	int64_t		skip_lines;		/* physical lines at the beginning that are no rows */
	int			header_rows;	/* rows after those that are no data */

	bool		only_libcsv;	/* also for lines without quotes: for a test */

	/* How many bytes at the beginning of a text are valid in the database's encoding. */
	int			(*verify) (const unsigned char *text, int len);

	/* How a field is decoded that is not valid; NULL: it stays so. */
	const DecodeTable *fallback;
} RowForm;

typedef struct RowMemory RowMemory;

/* Text, and the rows that were made of it. */
typedef struct RowBlock
{
	char	   *text;
	size_t		text_size;		/* without ROWS_SLACK */
	size_t		text_len;
	int			nrows;
	FileRow    *rows;
	int			rows_size;
	int			nfields;		/* of all rows */
	int			fields_size;
	char	  **fields;
	int		   *lengths;
	bool	   *quoted;
	RowMemory  *memory;			/* what could not stay in text */
	int64_t		source_bytes;	/* bytes of the source that were read for it */
} RowBlock;

typedef struct RowSplitter RowSplitter;

/* All return NULL or false where memory is out.  form must stay as it is. */
extern RowSplitter *rows_begin(const RowForm *form);
extern void rows_end(RowSplitter *splitter);

extern bool rows_block_init(RowBlock *block);
extern void rows_block_free(RowBlock *block);

/* Forgets the rows, and gives back memory of one that was unusually long. */
extern void rows_block_reset(RowBlock *block);

/* Makes room for n more bytes of text. */
extern bool rows_block_reserve(RowBlock *block, size_t n);

/*
 * Makes rows of a block's text.  The bytes from *used on are those of a row that
 * is not complete; the text of the next block must begin with them, and there
 * must be more of it, at least *wanted bytes unless the text ends, since each time
 * they are looked at anew.  With at_end the text ends here and all is used.
 */
extern bool rows_split(RowSplitter *splitter, RowBlock *block, bool at_end, size_t *used, size_t *wanted);

#endif							/* JOBS_ROWS_H */
