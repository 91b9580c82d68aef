/*-------------------------------------------------------------------------
 *
 * lib.c
 *	  All that is done by libxlsxwriter.
 *
 * No error may be raised while a function of the library is active, since it
 * would leave by longjmp.  So what the library writes goes to memory alone, and
 * errors there are kept until it has returned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <xlsxwriter.h>

#include "common/file_utils.h"
#include "lib.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#define STDIO_BUFFER	(32 * 1024)
#define MAX_WIDTH		60		/* characters of a column */
#define MIN_WIDTH		8

/* 1980-01-01, as of all dates in the file; 0 would be now. */
#define CREATED			INT64CONST(315532800)

struct XlsxLib
{
	const XlsxBook *book;
	lxw_workbook *workbook;		/* has the rows */
	lxw_worksheet *sheet;
	lxw_format *styles[XLSX_NUM_STYLES];
	char	   *data;			/* from malloc, as it grows while the library is active */
	Size		used;
	Size		size;
	bool		failed;			/* there was no memory */
	char	   *directory;		/* for the library's temporary files */
	MemoryContextCallback callback;
};

static char *make_directory(void);
static void release(void *arg);
static void make_styles(const XlsxBook *book, lxw_workbook *workbook, lxw_format **styles);
static ssize_t take(void *arg, const char *data, size_t len);
static void check(XlsxLib *lib, int col, lxw_error error);
static void describe(const XlsxBook *book, lxw_workbook *workbook);
static void describe_sheet(const XlsxBook *book, const XlsxSheet *sheet, lxw_worksheet *worksheet);
static char *read_all(File file, Size *len);
pg_noreturn static void failed(const char *what, lxw_error error);

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

XlsxLib *
xlsx_lib_begin(const XlsxBook *book)
{
	XlsxLib    *lib = palloc0(sizeof(XlsxLib));
	lxw_workbook_options options = {.constant_memory = LXW_TRUE};

	lib->book = book;
	lib->callback.func = release;
	lib->callback.arg = lib;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &lib->callback);
	lib->directory = make_directory();
	options.tmpdir = lib->directory;

	/* No file of this name is opened, as this workbook is never closed. */
	lib->workbook = workbook_new_opt("rows", &options);
	if (lib->workbook == NULL)
		failed("begin a workbook", LXW_ERROR_MEMORY_MALLOC_FAILED);
	make_styles(book, lib->workbook, lib->styles);
	return lib;
}

void
xlsx_lib_end(XlsxLib *lib)
{
	release(lib);
}

/*
 * The library removes its temporary files as soon as it has opened them.  Those
 * of a process that is killed between the two are removed when the server starts
 * again, as all is that lies in a directory with a name of this form.
 */
static char *
make_directory(void)
{
	File		file = OpenTemporaryFile(false);
	char	   *parent = pstrdup(FilePathName(file));
	char	   *directory;

	*strrchr(parent, '/') = '\0';
	directory = psprintf("%s/%s%d.xlsx", parent, PG_TEMP_FILE_PREFIX, MyProcPid);
	FileClose(file);
	PathNameCreateTemporaryDir(parent, directory);
	return directory;
}

static void
release(void *arg)
{
	XlsxLib    *lib = arg;

	if (lib->sheet && lib->sheet->optimize_tmpfile)
	{
		fclose(lib->sheet->optimize_tmpfile);
		lib->sheet->optimize_tmpfile = NULL;
	}
	if (lib->workbook)
		lxw_workbook_free(lib->workbook);
	free(lib->data);
	if (lib->directory)
		PathNameDeleteTemporaryDir(lib->directory);
	lib->sheet = NULL;
	lib->workbook = NULL;
	lib->data = NULL;
	lib->directory = NULL;
}

/*
 * Styles are numbered as they are first used, so all are used at once here.  The
 * same in the workbook with the rows and in the one with the rest.
 */
static void
make_styles(const XlsxBook *book, lxw_workbook *workbook, lxw_format **styles)
{
	static const char *const formats[] = {
		[STYLE_GENERAL] = NULL,
		[STYLE_HEADER] = NULL,
		[STYLE_INTEGER] = "0",
		[STYLE_DATE] = "yyyy\\-mm\\-dd",
		[STYLE_TIMESTAMP] = "yyyy\\-mm\\-dd\\ hh:mm:ss",
		[STYLE_TIMESTAMP_MS] = "yyyy\\-mm\\-dd\\ hh:mm:ss.000"
	};
	bool		needed[XLSX_NUM_STYLES] = {false};

	for (int i = STYLE_HEADER; i < STYLE_SCALE; i++)
		needed[i] = true;
	for (int i = 0; i < book->ncolumns; i++)
		needed[book->columns[i].style] = true;
	for (int i = STYLE_HEADER; i < XLSX_NUM_STYLES; i++)
	{
		lxw_format *style;

		if (!needed[i])
			continue;
		style = workbook_add_format(workbook);
		if (style == NULL)
			failed("add a format", LXW_ERROR_MEMORY_MALLOC_FAILED);
		if (i == STYLE_HEADER)
			format_set_bold(style);
		else if (i >= STYLE_SCALE)
		{
			char		format[XLSX_MAX_SCALE + 3] = "0.";

			memset(format + 2, '0', i - STYLE_SCALE);
			format_set_num_format(style, format);
		}
		else
			format_set_num_format(style, formats[i]);
		(void) lxw_format_get_xf_index(style);
		styles[i] = style;
	}
}

/*
 * The library opens a temporary file for the rows of each sheet, which is
 * replaced by a stream into memory before anything is in it.
 */
void
xlsx_lib_open_sheet(XlsxLib *lib)
{
	cookie_io_functions_t functions = {.write = take};
	FILE	   *file;

	lib->sheet = workbook_add_worksheet(lib->workbook, NULL);
	if (lib->sheet == NULL)
		failed("add a sheet", LXW_ERROR_CREATING_TMPFILE);
	fclose(lib->sheet->optimize_tmpfile);
	file = fopencookie(lib, "w", functions);
	lib->sheet->optimize_tmpfile = lib->sheet->file = file;
	if (file == NULL || setvbuf(file, NULL, _IOFBF, STDIO_BUFFER) != 0)
		failed("open a stream", LXW_ERROR_MEMORY_MALLOC_FAILED);
	(void) __fsetlocking(file, FSETLOCKING_BYCALLER);
}

void
xlsx_lib_close_sheet(XlsxLib *lib)
{
	lxw_worksheet_write_single_row(lib->sheet);
	fclose(lib->sheet->optimize_tmpfile);
	lib->sheet->optimize_tmpfile = lib->sheet->file = NULL;
	check(lib, -1, LXW_NO_ERROR);
}

/* The stream's write function. */
static ssize_t
take(void *arg, const char *data, size_t len)
{
	XlsxLib    *lib = arg;

	if (lib->used + len > lib->size)
	{
		Size		size = Max(lib->size * 2, lib->used + len);
		char	   *larger = realloc(lib->data, size);

		if (larger == NULL)
		{
			lib->failed = true;
			return 0;
		}
		lib->data = larger;
		lib->size = size;
	}
	memcpy(lib->data + lib->used, data, len);
	lib->used += len;
	return len;
}

const char *
xlsx_lib_data(const XlsxLib *lib, Size *len)
{
	*len = lib->used;
	return lib->data;
}

void
xlsx_lib_clear(XlsxLib *lib)
{
	lib->used = 0;
}

/* The library itself drops a cell for which it finds no memory. */
static void
check(XlsxLib *lib, int col, lxw_error error)
{
	if (error != LXW_NO_ERROR)
		failed("write a cell", error);
	if (lib->failed || (col >= 0 && lib->sheet->array[col] == NULL))
		failed("write a row", LXW_ERROR_MEMORY_MALLOC_FAILED);
}

void
xlsx_lib_number(XlsxLib *lib, uint32 row, int col, double value, XlsxStyle style)
{
	check(lib, col, worksheet_write_number(lib->sheet, row, col, value, lib->styles[style]));
}

void
xlsx_lib_boolean(XlsxLib *lib, uint32 row, int col, bool value)
{
	check(lib, col, worksheet_write_boolean(lib->sheet, row, col, value, NULL));
}

bool
xlsx_lib_text(XlsxLib *lib, uint32 row, int col, const char *text, XlsxStyle style)
{
	lxw_error	error;

	if (text[0] == '\0')
		return true;			/* there is no cell for it */
	error = worksheet_write_string(lib->sheet, row, col, text, lib->styles[style]);
	if (error == LXW_ERROR_MAX_STRING_LENGTH_EXCEEDED)
		return false;
	check(lib, col, error);
	return true;
}

/* ------------------------------------------------------------------------
 * The rest
 * ------------------------------------------------------------------------
 */

/* A workbook of a few kilobytes, by way of one of the server's temporary files. */
List *
xlsx_lib_package(XlsxLib *lib)
{
	File		file = OpenTemporaryFile(false);
	char	   *path = pstrdup(FilePathName(file));
	lxw_workbook_options options = {.tmpdir = lib->directory};
	lxw_format *styles[XLSX_NUM_STYLES];
	lxw_workbook *workbook;
	lxw_error	error;
	char	   *data;
	Size		len;

	workbook = workbook_new_opt(path, &options);
	if (workbook == NULL)
		failed("begin a workbook", LXW_ERROR_MEMORY_MALLOC_FAILED);
	PG_TRY();
	{
		make_styles(lib->book, workbook, styles);
		describe(lib->book, workbook);
	}
	PG_CATCH();
	{
		lxw_workbook_free(workbook);
		PG_RE_THROW();
	}
	PG_END_TRY();
	error = workbook_close(workbook);
	if (error != LXW_NO_ERROR)
		failed("write a workbook", error);
	data = read_all(file, &len);
	FileClose(file);
	return zip_parts(data, len);
}

static void
describe(const XlsxBook *book, lxw_workbook *workbook)
{
	lxw_doc_properties properties = {.title = unconstify(char *, book->title), .created = CREATED};
	lxw_error	error = workbook_set_properties(workbook, &properties);
	ListCell   *cell;

	if (error != LXW_NO_ERROR)
		failed("set properties", error);
	foreach(cell, book->sheets)
	{
		XlsxSheet  *sheet = lfirst(cell);
		lxw_worksheet *worksheet = workbook_add_worksheet(workbook, sheet->name);

		if (worksheet == NULL)
			failed("add a sheet", LXW_ERROR_MEMORY_MALLOC_FAILED);
		describe_sheet(book, sheet, worksheet);
	}
}

static void
describe_sheet(const XlsxBook *book, const XlsxSheet *sheet, lxw_worksheet *worksheet)
{
	uint32		last_row = Max(sheet->nrows, 1) - 1;
	int			last_col = book->ncolumns - 1;
	char		range[LXW_MAX_CELL_RANGE_LENGTH];
	lxw_error	error = LXW_NO_ERROR;

	for (int i = 0; i < book->ncolumns && error == LXW_NO_ERROR; i++)
		error = worksheet_set_column(worksheet, i, i,
									 Min(Max(book->columns[i].width + 1, MIN_WIDTH), MAX_WIDTH), NULL);
	if (book->header)
	{
		worksheet_freeze_panes(worksheet, 1, 0);
		if (error == LXW_NO_ERROR)
			error = worksheet_autofilter(worksheet, 0, 0, last_row, last_col);
	}
	/* Numbers that are text here are so on purpose; no mark in the cell's corner. */
	lxw_rowcol_to_range(range, 0, 0, last_row, last_col);
	if (error == LXW_NO_ERROR)
		error = worksheet_ignore_errors(worksheet, LXW_IGNORE_NUMBER_STORED_AS_TEXT, range);
	if (error != LXW_NO_ERROR)
		failed("describe a sheet", error);
}

static char *
read_all(File file, Size *len)
{
	off_t		size = FileSize(file);
	char	   *data;

	if (size < 0 || !AllocSizeIsValid(size))
		failed("measure a workbook", LXW_ERROR_READING_TMPFILE);
	data = palloc(Max(size, 1));
	for (off_t at = 0; at < size;)
	{
		int			n = FileRead(file, data + at, size - at, at, 0);

		if (n <= 0)
			failed("read a workbook", LXW_ERROR_READING_TMPFILE);
		at += n;
	}
	*len = size;
	return data;
}

static void
failed(const char *what, lxw_error error)
{
	ereport(ERROR,
			(errcode(error == LXW_ERROR_MEMORY_MALLOC_FAILED ? ERRCODE_OUT_OF_MEMORY : ERRCODE_IO_ERROR),
			 errmsg("could not %s: %s", what, lxw_strerror(error))));
}
