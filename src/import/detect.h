/*-------------------------------------------------------------------------
 *
 * detect.h
 *	  Finding out how a file is written, from its first bytes.
 *
 * Pure code over bytes: nothing in here calls the server, allocates, or raises
 * an error, so that it can be fuzzed on its own (test/fuzz).  dialect.c puts the
 * parts together.  Text is in an encoding whose ASCII characters are bytes of
 * their own, which all are that a server can have.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_DETECT_H
#define JOBS_DETECT_H

#include "postgres.h"

/* ------------------------------------------------------------------------
 * Bytes: detect_bytes.c
 * ------------------------------------------------------------------------ */

typedef enum TextCoding
{
	CODING_ASCII,
	CODING_UTF8,				/* maybe with broken bytes here and there */
	CODING_UTF16LE,
	CODING_UTF16BE,
	CODING_8BIT					/* not UTF-8 */
} TextCoding;

/* What bytes are where they are no text: "an Excel workbook (xlsx)", and what to do; or NULL. */
typedef struct NoText
{
	const char *what;
	const char *hint;
} NoText;

extern const NoText *jobs_detect_no_text(const char *raw, int len);

/* *bom is the length of the byte order mark, which belongs to no text. */
extern TextCoding jobs_detect_coding(const char *raw, int len, bool at_end, int *bom);

/* Writes UTF-8, at most len / 2 * 3 bytes; returns its length.  Halves of pairs become U+FFFD. */
extern int	jobs_detect_from_utf16(const char *raw, int len, bool big_endian, char *out);

/* ------------------------------------------------------------------------
 * Records: detect_scan.c
 * ------------------------------------------------------------------------ */

/* How records are cut. */
typedef struct ScanForm
{
	char		delimiter;		/* ' ': one or more spaces */
	char		quote;			/* '\0': none */
	char		escape;
	char		comment;		/* '\0': none */
} ScanForm;

/* A field as it stands in the file, without its quotes and the spaces around them. */
typedef struct ScanCell
{
	const char *text;
	int			len;
	bool		quoted;
	bool		spaced;			/* spaces before it, after the delimiter */
} ScanCell;

/* Fields of a record that are looked at; a wider one is judged by these. */
#define SCAN_CELLS		256

typedef struct Scan
{
	ScanForm	form;
	const char *next;
	const char *end;
	bool		at_end;			/* end is the end of the file, too */
	int			unclosed;		/* quotes that were never closed, so far */
	/* the record at hand */
	int			line;			/* its first line, from 1 */
	int			next_line;
	int			ncells;			/* may be more than are kept */
	ScanCell   *cells;			/* the caller's, with room for max_cells */
	int			max_cells;
	bool		first_filled;	/* the first field is not empty */
	bool		blank;
	bool		is_comment;
	int			broken;			/* quotes that make no sense */
	int			nquoted;
	char		newline[2];		/* how it ends: "\n", "\r\n", "\r", or nothing */
} Scan;

extern void jobs_scan_begin(Scan *scan, const ScanForm *form, const char *text, int len, bool at_end,
							ScanCell *cells, int max_cells);

/* The next record, a blank line too; false at the end.  One that is cut is not given. */
extern bool jobs_scan_next(Scan *scan);

/* ------------------------------------------------------------------------
 * Values: detect_value.c
 * ------------------------------------------------------------------------ */

typedef enum ValueKind
{
	VALUE_EMPTY,
	VALUE_TEXT,
	VALUE_BOOLEAN,
	VALUE_INTEGER,
	VALUE_NUMBER,				/* with a fraction, an exponent or separators */
	VALUE_DATE,
	VALUE_TIMESTAMP,
	VALUE_TIMESTAMPTZ,
	VALUE_TIME,
	VALUE_UUID,
	VALUE_EMAIL,
	VALUE_URL,
	VALUE_JSON,
	VALUE_MISSING				/* NULL, N/A, -: words for nothing */
} ValueKind;

enum
{
	VALUE_LEADING_ZERO = 1 << 0,	/* 007, not 0.7 */
	VALUE_BIGINT = 1 << 1,		/* an integer beyond 32 bits */
	VALUE_HUGE = 1 << 2,		/* ... or beyond 64 */
	VALUE_DOT = 1 << 3,			/* a decimal point */
	VALUE_COMMA = 1 << 4,		/* a decimal comma */
	VALUE_GROUPED = 1 << 5,		/* separators between thousands */
	VALUE_MONEY = 1 << 6,		/* a currency or per cent sign */
	VALUE_DAY_FIRST = 1 << 7,	/* 31/12/2024, 31.12.2024 */
	VALUE_MONTH_FIRST = 1 << 8, /* 12/31/2024 */
	VALUE_NUMERIC_DATE = 1 << 9,	/* 01/02/2024: one of the two */
	VALUE_YEAR = 1 << 10,		/* an integer from 1900 to 2100 */
	VALUE_PLUS = 1 << 11,		/* a plus sign before it */
	VALUE_EXPONENT = 1 << 12,
	VALUE_LOOSE = 1 << 13,		/* a date with the month's name */
	VALUE_EITHER = 1 << 14		/* 1.234, 1,234: a fraction or thousands */
};

typedef struct Value
{
	ValueKind	kind;
	int			flags;
} Value;

/* Spaces around it do not count. */
extern Value jobs_detect_value(const char *text, int len);

/* Whether a kind is more than letters, so that a header hardly has it. */
extern bool jobs_value_is_typed(ValueKind kind);

/* ------------------------------------------------------------------------
 * The whole: detect_form.c (delimiter, quote), detect_table.c (header and more)
 * ------------------------------------------------------------------------ */

/* What is said and need not be found. */
typedef struct FormSaid
{
	bool		delimiter,
				quote,
				escape,
				header,
				header_rows,
				skip_lines,
				comment,
				trim,
				null,
				decimal,
				date_order;
} FormSaid;

/* In: the fields that are said; out: all. */
typedef struct FileForm
{
	ScanForm	scan;
	bool		separator_line; /* the first line is "sep=;", say */
	bool		trim;
	bool		has_header;
	int			header_rows;
	int			skip_lines;
	const char *null;			/* "", "\\N", "NULL" */
	char		decimal;
	const char *date_order;		/* "DMY", "MDY" or NULL */
	const char *newline;		/* "LF", "CRLF", "CR", "mixed", or NULL without any */
	int			width;			/* fields of most rows; 0 where there is no record */
} FileForm;

extern void jobs_detect_form(const char *text, int len, bool at_end, const FormSaid *said, FileForm *form);

/* The second half of it: with a known delimiter, quote and escape. */
extern void jobs_detect_table(const char *text, int len, bool at_end, const FormSaid *said, FileForm *form);

#endif							/* JOBS_DETECT_H */
