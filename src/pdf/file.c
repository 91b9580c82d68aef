/*-------------------------------------------------------------------------
 *
 * file.c
 *	  PDF files: from rows to a table, and from the table to the file.
 *
 * Widths of columns come from the data, so nothing can be drawn before the last
 * row.  While rows come, they are measured and kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "parser/parse_coerce.h"
#include "table.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_MODULE_MAGIC;

#define TITLE_PREFIX	"Export: "	/* of jobs that were given no title */

typedef struct Pdf
{
	PdfTable	table;
	JobsSink	sink;
	void	   *arg;
	MemoryContext context;
	MemoryContext row_context;
	FmgrInfo   *outputs;		/* of each column */
	bool	   *booleans;
	PdfCell    *cells;
	float	   *widths;
} Pdf;

static void *begin(const JobsFormatOptions *options, TupleDesc desc, const JobsFormatFile *file,
				   JobsSink sink, void *arg);
static void row(void *state, TupleTableSlot *slot);
static void end(void *state);
static void refuse_rows(const JobsPdfOptions *options);
static void begin_column(Pdf *pdf, int i, Form_pg_attribute attr);
static bool is_number(Oid type);
static bool is_whole(Oid type);
static void set_titles(PdfTable *table, const JobsFormatFile *file);
static char *one_line(const char *s);
static void make_cell(Pdf *pdf, int i, Datum value, PdfCell *cell);
static const char *to_utf8(const char *s);

static const JobsPdfModule functions = {begin, row, end};

extern PGDLLEXPORT const void *jobs_pdf_module(int version);

/* A JobsPdfModule, see module.h. */
const void *
jobs_pdf_module(int version)
{
	return version == JOBS_PDF_VERSION ? &functions : NULL;
}

/* ------------------------------------------------------------------------
 * The beginning
 * ------------------------------------------------------------------------
 */

static void *
begin(const JobsFormatOptions *options, TupleDesc desc, const JobsFormatFile *file, JobsSink sink, void *arg)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "jobs pdf", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Pdf		   *pdf = palloc0(sizeof(Pdf));

	pdf->table.options = (const JobsPdfOptions *) options;
	if (file->rows > pdf->table.options->max_rows)
		refuse_rows(pdf->table.options);
	jobs_pdf_init_fonts();

	pdf->sink = sink;
	pdf->arg = arg;
	pdf->context = context;
	pdf->row_context = AllocSetContextCreate(context, "jobs pdf row", ALLOCSET_DEFAULT_SIZES);
	pdf->table.ncolumns = desc->natts;
	pdf->table.columns = palloc0(desc->natts * sizeof(PdfColumn));
	pdf->outputs = palloc0(desc->natts * sizeof(FmgrInfo));
	pdf->booleans = palloc0(desc->natts * sizeof(bool));
	pdf->cells = palloc0(desc->natts * sizeof(PdfCell));
	for (int i = 0; i < desc->natts; i++)
		begin_column(pdf, i, TupleDescAttr(desc, i));
	pdf->table.sample = jobs_pdf_begin_sample(desc->natts);
	pdf->widths = palloc0(desc->natts * sizeof(float));
	pdf->table.rows = jobs_pdf_begin_rows(desc->natts);
	set_titles(&pdf->table, file);
	MemoryContextSwitchTo(old);
	return pdf;
}

static void
refuse_rows(const JobsPdfOptions *options)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a PDF file cannot have more than %d rows", options->max_rows),
			 errhint("Export fewer rows, choose another format, or ask an administrator to raise \"jobs.pdf_max_rows\".")));
}

static void
begin_column(Pdf *pdf, int i, Form_pg_attribute attr)
{
	PdfColumn  *column = &pdf->table.columns[i];
	Oid			type = getBaseType(attr->atttypid);
	const char *name = to_utf8(NameStr(attr->attname));
	Oid			function;
	bool		varlena;

	getTypeOutputInfo(attr->atttypid, &function, &varlena);
	fmgr_info(function, &pdf->outputs[i]);
	pdf->booleans[i] = type == BOOLOID;
	column->number = is_number(type);
	column->whole = column->number || is_whole(type);
	column->name = jobs_pdf_clean(PDF_BOLD, pstrdup(name), strlen(name));
	column->name_extent = jobs_pdf_measure(PDF_BOLD, &column->name);
}

/* Without oid and its kin, which nobody adds up. */
static bool
is_number(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case CASHOID:
			return true;
		default:
			return type >= FirstNormalObjectId && TypeCategory(type) == TYPCATEGORY_NUMERIC;
	}
}

/* Types whose values look odd on two lines. */
static bool
is_whole(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case UUIDOID:
		case INETOID:
		case MACADDROID:
			return true;
		default:
			return false;
	}
}

/* Text of the database, as UTF-8; what is of no known encoding is taken for that. */
static const char *
to_utf8(const char *s)
{
	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return s;
	return pg_server_to_any(s, strlen(s), PG_UTF8);
}

/*
 * The title that a job was given, or else the name of the file.  Its date is that
 * of the snapshot, so of the data.
 */
static void
set_titles(PdfTable *table, const JobsFormatFile *file)
{
	const char *title = table->options->title;
	Size		prefix = strlen(TITLE_PREFIX);

	if (title == NULL)
	{
		title = file->title;
		if (strncmp(title, TITLE_PREFIX, prefix) == 0 && strcmp(title + prefix, file->filename) == 0)
		{
			Size		len = strlen(file->filename);

			title = pstrdup(file->filename);
			if (len > 4 && pg_strcasecmp(title + len - 4, ".pdf") == 0)
				((char *) title)[len - 4] = '\0';
		}
	}
	table->metadata_title = one_line(title[0] ? title : file->title);
	title = one_line(title);
	table->title = jobs_pdf_clean(PDF_BOLD, title, strlen(title));
	table->date = GetCurrentTransactionStartTimestamp();
}

/* Without line breaks, as UTF-8. */
static char *
one_line(const char *s)
{
	const char *utf8 = to_utf8(s);
	PdfText		text = jobs_pdf_clean(PDF_BOLD, utf8, strlen(utf8));
	char	   *line = pnstrdup(text.data, text.len);

	for (char *p = line; *p; p++)
	{
		if (*p == '\n')
			*p = ' ';
	}
	return line;
}

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

static void
row(void *state, TupleTableSlot *slot)
{
	Pdf		   *pdf = state;
	MemoryContext old;

	if (pdf->table.nrows >= pdf->table.options->max_rows)
		refuse_rows(pdf->table.options);
	slot_getallattrs(slot);
	old = MemoryContextSwitchTo(pdf->row_context);
	for (int i = 0; i < pdf->table.ncolumns; i++)
	{
		pdf->cells[i].null = slot->tts_isnull[i];
		if (!slot->tts_isnull[i])
			make_cell(pdf, i, slot->tts_values[i], &pdf->cells[i]);
		pdf->widths[i] = slot->tts_isnull[i] ? 0 : pdf->cells[i].width;
	}
	jobs_pdf_note_row(pdf->table.sample, pdf->widths);
	pdf->table.nrows++;
	jobs_pdf_add_row(pdf->table.rows, pdf->cells);
	MemoryContextSwitchTo(old);
	MemoryContextReset(pdf->row_context);
}

static void
make_cell(Pdf *pdf, int i, Datum value, PdfCell *cell)
{
	const char *s;
	PdfExtent	extent;

	if (pdf->booleans[i])
		s = DatumGetBool(value) ? "true" : "false";
	else
		s = to_utf8(OutputFunctionCall(&pdf->outputs[i], value));
	cell->text = jobs_pdf_clean(PDF_REGULAR, s, strlen(s));
	extent = jobs_pdf_measure(PDF_REGULAR, &cell->text);
	cell->width = extent.width;
	cell->rtl = extent.rtl;
	cell->paragraphs = memchr(cell->text.data, '\n', cell->text.len) != NULL;
	jobs_pdf_note_cell(&pdf->table.columns[i], &extent);
}

/* ------------------------------------------------------------------------
 * The end
 * ------------------------------------------------------------------------
 */

static void
end(void *state)
{
	Pdf		   *pdf = state;
	MemoryContext old = MemoryContextSwitchTo(pdf->context);

	jobs_pdf_draw_table(&pdf->table, pdf->sink, pdf->arg);
	jobs_pdf_end_rows(pdf->table.rows);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(pdf->context);
}
