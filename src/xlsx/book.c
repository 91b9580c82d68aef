/*-------------------------------------------------------------------------
 *
 * book.c
 *	  A workbook from its beginning to its end.
 *
 * The widths of the columns stand before the rows in a sheet.  So the first
 * rows wait in memory until the widths are known; from then on rows go through
 * the zip file to the sink as they come, and nothing is kept of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "book.h"
#include "lib.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

#define MEASURED_ROWS		500
#define MEASURED_BYTES		(1024 * 1024)
#define DRAIN_BYTES			(64 * 1024)
#define FILTER_BUTTON		3	/* characters that it takes in a header */

/* A sheet has less than 4 GB, whatever the largest row may add. */
#define MAX_SHEET_BYTES		UINT64CONST(3000000000)

#define SHEET_FORMAT		"xl/worksheets/sheet%d.xml"
#define ROWS_HERE			"<sheetData/>"

/* What can be written before the number of sheets is known; the first tells many programs what the file is. */
static const char *const first_parts[] = {"_rels/.rels", "docProps/core.xml", "xl/theme/theme1.xml"};

static void *book_begin(const JobsXlsxHost *host, const JobsXlsxOptions *options, TupleDesc desc,
						const JobsFormatFile *file, JobsSink sink, void *arg);
static void book_row(void *state, TupleTableSlot *slot);
static void book_end(void *state);
static char *sheet_name(const char *title, const char *filename);
static char *numbered_name(const char *name, int n);
static int	cut_name(const char *name, int max);
static void open_sheet(XlsxBook *book);
static void write_head(XlsxBook *book);
static void close_sheet(XlsxBook *book);
static void drain(XlsxBook *book);
static ZipPart *find_part(List *parts, const char *name);
static char *sheet_frame(XlsxBook *book, List *parts, char **tail);
static bool is_first_part(const char *name);

extern PGDLLEXPORT const void *jobs_xlsx_module(int version);

/* A JobsXlsxModule, see module.h. */
const void *
jobs_xlsx_module(int version)
{
	static const JobsXlsxModule module = {book_begin, book_row, book_end};

	return version == JOBS_XLSX_VERSION ? &module : NULL;
}

static void *
book_begin(const JobsXlsxHost *host, const JobsXlsxOptions *options, TupleDesc desc,
		   const JobsFormatFile *file, JobsSink sink, void *arg)
{
	XlsxBook   *book = palloc0(sizeof(XlsxBook));
	XlsxSheet  *sheet = palloc0(sizeof(XlsxSheet));

	/* Columns never come near the 16384 of a sheet. */
	StaticAssertStmt(MaxTupleAttributeNumber < 16384, "too many columns for a sheet");

	book->host = *host;
	book->header = options->header;
	book->title = pg_server_to_any(pstrdup(file->title), strlen(file->title), PG_UTF8);
	book->context = CurrentMemoryContext;
	book->row_context = AllocSetContextCreate(CurrentMemoryContext, "jobs xlsx row", ALLOCSET_DEFAULT_SIZES);
	book->ncolumns = desc->natts;
	book->columns = palloc0(desc->natts * sizeof(XlsxColumn));
	for (int i = 0; i < desc->natts; i++)
		xlsx_prepare_column(book, &book->columns[i], TupleDescAttr(desc, i));
	book->measuring = true;
	book->lib = xlsx_lib_begin(book);
	book->zip = zip_begin(&book->host, sink, arg);

	if (options->sheet)
		sheet->name = pg_server_to_any(options->sheet, strlen(options->sheet), PG_UTF8);
	else
		sheet->name = sheet_name(book->title,
								 pg_server_to_any(file->filename, strlen(file->filename), PG_UTF8));
	book->sheets = list_make1(sheet);
	open_sheet(book);
	return book;
}

static void
book_row(void *state, TupleTableSlot *slot)
{
	XlsxBook   *book = state;
	MemoryContext old;

	slot_getallattrs(slot);
	old = MemoryContextSwitchTo(book->row_context);
	if (book->sheet->nrows == XLSX_MAX_ROWS || zip_part_len(book->zip) > MAX_SHEET_BYTES)
	{
		char	   *name = numbered_name(((XlsxSheet *) linitial(book->sheets))->name, list_length(book->sheets) + 1);

		close_sheet(book);
		MemoryContextSwitchTo(book->context);
		book->sheet = palloc0(sizeof(XlsxSheet));
		book->sheet->name = pstrdup(name);
		book->sheets = lappend(book->sheets, book->sheet);
		MemoryContextSwitchTo(book->row_context);
		open_sheet(book);
	}
	book->row++;
	for (int i = 0; i < book->ncolumns; i++)
	{
		if (!slot->tts_isnull[i])
			xlsx_put_value(book, i, slot->tts_values[i]);
	}
	book->sheet->nrows++;
	drain(book);
	MemoryContextSwitchTo(old);
	MemoryContextReset(book->row_context);
}

static void
book_end(void *state)
{
	XlsxBook   *book = state;
	MemoryContext old = MemoryContextSwitchTo(book->row_context);
	ListCell   *cell;

	close_sheet(book);
	foreach(cell, xlsx_lib_package(book->lib))
	{
		ZipPart    *part = lfirst(cell);

		if (!is_first_part(part->name) && strncmp(part->name, SHEET_FORMAT, strcspn(SHEET_FORMAT, "%")) != 0)
			zip_add(book->zip, part);
	}
	zip_end(book->zip);
	xlsx_lib_end(book->lib);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(book->row_context);
}

/* ------------------------------------------------------------------------
 * Names of sheets
 * ------------------------------------------------------------------------
 */

/*
 * From the title "Export: sales.xlsx" it is "sales", and from other titles what
 * Excel allows of them.
 */
static char *
sheet_name(const char *title, const char *filename)
{
	const char *prefix = "Export: ";
	const char *end;
	char	   *name = palloc(strlen(title) + 16);
	char	   *p = name;

	if (strncmp(title, prefix, strlen(prefix)) == 0)
		title += strlen(prefix);
	end = title + strlen(title);
	if (strcmp(title, filename) == 0 && strrchr(title, '.') > title)
		end = strrchr(title, '.');
	for (; title < end; title++)
	{
		char		c = (unsigned char) *title <= ' ' || *title == 0x7f || strchr(XLSX_BAD_IN_SHEET_NAME, *title) ? ' ' : *title;

		/* One space for many, and none at the beginning. */
		if ((c != ' ' && c != '\'') || (p > name && c != p[-1]))
			*p++ = c;
	}
	*p = '\0';
	p = name + cut_name(name, XLSX_MAX_SHEET_NAME);
	while (p > name && (p[-1] == ' ' || p[-1] == '\''))
		p--;
	*p = '\0';
	if (name[0] == '\0')
		strcpy(name, "Sheet1");
	else if (pg_strcasecmp(name, "History") == 0)
		strcat(name, " 1");
	return name;
}

/* "Name (2)" */
static char *
numbered_name(const char *name, int n)
{
	char		number[16];
	int			len = snprintf(number, sizeof(number), " (%d)", n);

	return psprintf("%.*s%s", cut_name(name, XLSX_MAX_SHEET_NAME - len), name, number);
}

/* Bytes of what has at most so many of Excel's characters. */
static int
cut_name(const char *name, int max)
{
	int			len = 0;

	while (name[len])
	{
		int			n = pg_utf_mblen((const unsigned char *) name + len);

		max -= jobs_utf16_length(name + len, n);
		if (max < 0)
			break;
		len += n;
	}
	return len;
}

/* ------------------------------------------------------------------------
 * Sheets
 * ------------------------------------------------------------------------
 */

/* The last sheet of the list. */
static void
open_sheet(XlsxBook *book)
{
	book->sheet = llast(book->sheets);
	xlsx_lib_open_sheet(book->lib);
	if (book->header)
	{
		for (int i = 0; i < book->ncolumns; i++)
		{
			xlsx_put_text(book, i, book->columns[i].name, strlen(book->columns[i].name), STYLE_HEADER);
			if (book->measuring)
				book->columns[i].width += FILTER_BUTTON;
		}
		book->sheet->nrows++;
	}
	if (!book->measuring)
		write_head(book);
}

static void
write_head(XlsxBook *book)
{
	List	   *parts = xlsx_lib_package(book->lib);
	char	   *tail;
	char	   *head = sheet_frame(book, parts, &tail);

	for (int i = 0; list_length(book->sheets) == 1 && i < lengthof(first_parts); i++)
		zip_add(book->zip, find_part(parts, first_parts[i]));
	zip_open(book->zip, psprintf(SHEET_FORMAT, list_length(book->sheets)));
	zip_write(book->zip, head, strlen(head));
}

static void
close_sheet(XlsxBook *book)
{
	char	   *tail;

	if (book->measuring)
	{
		book->measuring = false;
		write_head(book);
	}
	xlsx_lib_close_sheet(book->lib);
	drain(book);
	(void) sheet_frame(book, xlsx_lib_package(book->lib), &tail);
	zip_write(book->zip, tail, strlen(tail));
	zip_close(book->zip);
}

/* Gives rows to the zip file, once it is known what stands before them. */
static void
drain(XlsxBook *book)
{
	Size		len;
	const char *data = xlsx_lib_data(book->lib, &len);

	if (book->measuring)
	{
		if (book->row < MEASURED_ROWS && len < MEASURED_BYTES)
			return;
		book->measuring = false;
		write_head(book);
	}
	if (len > 0)
		zip_write(book->zip, data, len);
	xlsx_lib_clear(book->lib);
}

static ZipPart *
find_part(List *parts, const char *name)
{
	ListCell   *cell;

	foreach(cell, parts)
	{
		ZipPart    *part = lfirst(cell);

		if (strcmp(part->name, name) == 0)
			return part;
	}
	elog(ERROR, "the library has written a workbook without %s", name);
}

/*
 * What stands before and after the rows of the last sheet.  Its size is left
 * out, as it is not known before the rows.
 */
static char *
sheet_frame(XlsxBook *book, List *parts, char **tail)
{
	char	   *head = zip_unpack(find_part(parts, psprintf(SHEET_FORMAT, list_length(book->sheets))));
	char	   *rows = strstr(head, ROWS_HERE);
	char	   *dimension = strstr(head, "<dimension ");

	if (rows == NULL)
		elog(ERROR, "the library has written a sheet without rows");
	*tail = psprintf("</sheetData>%s", rows + strlen(ROWS_HERE));
	strcpy(rows, "<sheetData>");
	if (dimension)
	{
		char	   *end = strstr(dimension, "/>") + 2;

		memmove(dimension, end, strlen(end) + 1);
	}
	return head;
}

static bool
is_first_part(const char *name)
{
	for (int i = 0; i < lengthof(first_parts); i++)
	{
		if (strcmp(first_parts[i], name) == 0)
			return true;
	}
	return false;
}
