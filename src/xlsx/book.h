/*-------------------------------------------------------------------------
 *
 * book.h
 *	  A workbook while it is written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_XLSX_BOOK_H
#define JOBS_XLSX_BOOK_H

#include "postgres.h"

#include "../compat.h"
#include "../xlsx.h"
#include "fmgr.h"
#include "zip.h"

/* How cells look.  Numbers of a fixed scale have a style for each scale. */
typedef enum XlsxStyle
{
	STYLE_GENERAL,
	STYLE_HEADER,
	STYLE_INTEGER,
	STYLE_DATE,
	STYLE_TIMESTAMP,
	STYLE_TIMESTAMP_MS,
	STYLE_SCALE					/* and the number of decimals, from 1 */
} XlsxStyle;

#define XLSX_MAX_SCALE		30
#define XLSX_NUM_STYLES		(STYLE_SCALE + XLSX_MAX_SCALE + 1)

typedef struct XlsxColumn
{
	const char *name;
	JobsScalar	scalar;
	XlsxStyle	style;			/* of its numbers */
	int			width;			/* characters of the longest cell seen so far */
	FmgrInfo	output;
} XlsxColumn;

typedef struct XlsxSheet
{
	char	   *name;			/* UTF-8 */
	uint32		nrows;			/* with the header */
} XlsxSheet;

typedef struct XlsxLib XlsxLib;

typedef struct XlsxBook
{
	JobsXlsxHost host;
	bool		header;
	const char *title;			/* UTF-8 */
	int			ncolumns;
	XlsxColumn *columns;
	List	   *sheets;			/* of XlsxSheet * */
	XlsxSheet  *sheet;			/* the last of them */
	int64		row;			/* of the result, from 1 */
	bool		measuring;		/* widths are not known yet */
	XlsxLib    *lib;
	JobsZip    *zip;
	MemoryContext context;
	MemoryContext row_context;
} XlsxBook;

/* cell.c: fills in scalar and style; writes a value that is not null. */
extern void xlsx_prepare_column(XlsxBook *book, XlsxColumn *column, Form_pg_attribute attr);
extern void xlsx_put_value(XlsxBook *book, int col, Datum value);

/* Writes text in the server's encoding. */
extern void xlsx_put_text(XlsxBook *book, int col, const char *s, Size len, XlsxStyle style);

#endif							/* JOBS_XLSX_BOOK_H */
