/*-------------------------------------------------------------------------
 *
 * xlsx.c
 *	  Excel workbooks: options, and the way to the module that writes them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "mb/pg_wchar.h"
#include "module.h"
#include "options.h"
#include "xlsx.h"

static const JobsModule xlsx_module = {
	"jobs_xlsx", "jobs_xlsx_module", JOBS_XLSX_VERSION,
	"format \"xlsx\" is", "libxlsxwriter is installed (Debian: libxlsxwriter-dev)"
};

/* A file while it is written. */
typedef struct Xlsx
{
	const JobsXlsxModule *module;
	JobsXlsxHost host;
	void	   *book;			/* the module's */
} Xlsx;

static void set_sheet(const char *name, const JsonbValue *value, void *field);

static const JobsOption known_options[] = {
	{"header", jobs_set_bool, offsetof(JobsXlsxOptions, header)},
	{"sheet", set_sheet, offsetof(JobsXlsxOptions, sheet)}
};

static JobsFormatOptions *
xlsx_options(Jsonb *options)
{
	JobsXlsxOptions *result = palloc0(sizeof(JobsXlsxOptions));

	jobs_require_module(&xlsx_module);
	result->header = true;
	jobs_read_options(options, known_options, lengthof(known_options), "XLSX", result);
	return &result->common;
}

/* Excel's rules for the name of a sheet. */
static void
set_sheet(const char *name, const JsonbValue *value, void *field)
{
	char	   *sheet;
	const char *utf8;
	const char *problem = NULL;

	jobs_set_string(name, value, &sheet);
	utf8 = pg_server_to_any(sheet, strlen(sheet), PG_UTF8);
	if (sheet[0] == '\0')
		problem = "must not be empty";
	else if (jobs_utf16_length(utf8, strlen(utf8)) > XLSX_MAX_SHEET_NAME)
		problem = "must have at most 31 characters";
	else if (strpbrk(sheet, XLSX_BAD_IN_SHEET_NAME))
		problem = "must not contain any of [ ] : * ? / \\";
	else if (sheet[0] == '\'' || sheet[strlen(sheet) - 1] == '\'')
		problem = "must not begin or end with an apostrophe";
	else if (pg_strcasecmp(sheet, "History") == 0)
		problem = "must not be \"History\"";
	for (const char *p = sheet; *p && problem == NULL; p++)
	{
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			problem = "must not contain control characters";
	}
	if (problem)
		jobs_refuse_option(errmsg("option \"sheet\" %s", problem),
						   errhint("The rules are those of Excel for the name of a sheet."));
	*(char **) field = sheet;
}

static char *
xlsx_media_type(const JobsFormatOptions *options)
{
	return pstrdup("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet");
}

static void *
xlsx_begin(const JobsFormatOptions *options, TupleDesc desc, const JobsFormatFile *file,
		   JobsSink sink, void *arg)
{
	Xlsx	   *xlsx = palloc0(sizeof(Xlsx));

	xlsx->module = jobs_load_module(&xlsx_module);
	xlsx->host.threads = jobs_max_export_workers;
	xlsx->host.gzip_begin = jobs_gzip_begin;
	xlsx->host.gzip_write = jobs_gzip_write;
	xlsx->host.gzip_end = jobs_gzip_end;
	xlsx->host.scalar_of = jobs_scalar_of;
	xlsx->host.scalar_put = jobs_scalar_put;
	xlsx->host.local_time = jobs_local_time;
	xlsx->book = xlsx->module->begin(&xlsx->host, (const JobsXlsxOptions *) options, desc, file, sink, arg);
	return xlsx;
}

static void
xlsx_row(void *state, TupleTableSlot *slot)
{
	Xlsx	   *xlsx = state;

	xlsx->module->row(xlsx->book, slot);
}

static void
xlsx_end(void *state)
{
	Xlsx	   *xlsx = state;

	xlsx->module->end(xlsx->book);
}

const JobsFormat jobs_xlsx_format = {
	.name = "xlsx",
	.packed = true,
	.options = xlsx_options,
	.media_type = xlsx_media_type,
	.begin = xlsx_begin,
	.row = xlsx_row,
	.end = xlsx_end
};
