/*-------------------------------------------------------------------------
 *
 * pdf.c
 *	  The format pdf: its options, and the way to the module that draws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "jobs.h"
#include "mb/pg_wchar.h"
#include "module.h"
#include "options.h"
#include "pdf.h"

static const JobsModule pdf_module = {
	"jobs_pdf", "jobs_pdf_module", JOBS_PDF_VERSION,
	"format \"pdf\" is", "Pango is installed (Debian: libpango1.0-dev)"
};

static JobsFormatOptions *pdf_options(Jsonb *options);
static void set_paper(const char *name, const JsonbValue *value, void *field);
static void set_orientation(const char *name, const JsonbValue *value, void *field);
static void set_title(const char *name, const JsonbValue *value, void *field);
static void set_word(const char *name, const JsonbValue *value, const char *const *words, int n, void *field);

static const JobsPdfModule *module = NULL;

static const JobsOption known_options[] = {
	{"header", jobs_set_bool, offsetof(JobsPdfOptions, header)},
	{"orientation", set_orientation, offsetof(JobsPdfOptions, orientation)},
	{"paper", set_paper, offsetof(JobsPdfOptions, paper)},
	{"title", set_title, offsetof(JobsPdfOptions, title)}
};

/* ------------------------------------------------------------------------
 * Options
 * ------------------------------------------------------------------------
 */

static JobsFormatOptions *
pdf_options(Jsonb *options)
{
	JobsPdfOptions *result = palloc0(sizeof(JobsPdfOptions));

	jobs_require_module(&pdf_module);
	result->header = true;
	result->max_rows = jobs_pdf_max_rows;
	jobs_read_options(options, known_options, lengthof(known_options), "PDF", result);
	return &result->common;
}

static void
set_paper(const char *name, const JsonbValue *value, void *field)
{
	static const char *const words[] = {"A4", "Letter"};

	set_word(name, value, words, lengthof(words), field);
}

static void
set_orientation(const char *name, const JsonbValue *value, void *field)
{
	static const char *const words[] = {"auto", "portrait", "landscape"};

	set_word(name, value, words, lengthof(words), field);
}

/* As long as a job's own. */
static void
set_title(const char *name, const JsonbValue *value, void *field)
{
	jobs_set_string(name, value, field);
	if (pg_mbstrlen(*(char **) field) > JOBS_MAX_TITLE)
		jobs_refuse_option(errmsg("option \"%s\" must have at most %d characters", name, JOBS_MAX_TITLE));
}

/* The number of one of some words, in upper or lower case. */
static void
set_word(const char *name, const JsonbValue *value, const char *const *words, int n, void *field)
{
	char	   *word;
	StringInfoData all;

	jobs_set_string(name, value, &word);
	for (int i = 0; i < n; i++)
	{
		if (pg_strcasecmp(word, words[i]) == 0)
		{
			*(int *) field = i;
			return;
		}
	}
	initStringInfo(&all);
	for (int i = 0; i < n; i++)
		appendStringInfo(&all, "%s\"%s\"", i == 0 ? "" : i == n - 1 ? " and " : ", ", words[i]);
	jobs_refuse_option(errmsg("%s \"%s\" not recognized", name, word),
					   errhint("Values of the option \"%s\" are %s.", name, all.data));
}

static char *
pdf_media_type(const JobsFormatOptions *options)
{
	return pstrdup("application/pdf");
}

/* ------------------------------------------------------------------------
 * The file
 * ------------------------------------------------------------------------
 */

static void *
pdf_begin(const JobsFormatOptions *options, TupleDesc desc, const JobsFormatFile *file,
		  JobsSink sink, void *arg)
{
	module = jobs_load_module(&pdf_module);
	return module->begin(options, desc, file, sink, arg);
}

static void
pdf_row(void *state, TupleTableSlot *slot)
{
	module->row(state, slot);
}

static void
pdf_end(void *state)
{
	module->end(state);
}

const JobsFormat jobs_pdf_format = {
	.name = "pdf",
	.packed = true,
	.options = pdf_options,
	.media_type = pdf_media_type,
	.begin = pdf_begin,
	.row = pdf_row,
	.end = pdf_end
};
