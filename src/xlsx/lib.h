/*-------------------------------------------------------------------------
 *
 * lib.h
 *	  All that is done by libxlsxwriter.
 *
 * The library writes rows in its mode of constant memory, one after the other,
 * not to a temporary file of its own but to a buffer here, which the caller
 * empties.  All the rest of a workbook is small and comes as a package, from
 * a second workbook that has no rows.
 *
 * It takes its memory from malloc, and gives it back when the memory context
 * goes in which xlsx_lib_begin was called.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_XLSX_LIB_H
#define JOBS_XLSX_LIB_H

#include "book.h"

extern XlsxLib *xlsx_lib_begin(const XlsxBook *book);
extern void xlsx_lib_end(XlsxLib *lib);

/* The following rows go to a new sheet, whose first is row 0. */
extern void xlsx_lib_open_sheet(XlsxLib *lib);
extern void xlsx_lib_close_sheet(XlsxLib *lib);

extern void xlsx_lib_number(XlsxLib *lib, uint32 row, int col, double value, XlsxStyle style);
extern void xlsx_lib_boolean(XlsxLib *lib, uint32 row, int col, bool value);

/* False where the text is too long for a cell; UTF-8 with a NUL. */
extern bool xlsx_lib_text(XlsxLib *lib, uint32 row, int col, const char *text, XlsxStyle style);

/* What has come of the rows so far; the caller sets the length to 0. */
extern const char *xlsx_lib_data(const XlsxLib *lib, Size *len);
extern void xlsx_lib_clear(XlsxLib *lib);

/*
 * The workbook as it is now, without its rows: a list of ZipPart *.  The
 * sheets' elements sheetData are empty.
 */
extern List *xlsx_lib_package(XlsxLib *lib);

#endif							/* JOBS_XLSX_LIB_H */
