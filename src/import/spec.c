/*-------------------------------------------------------------------------
 *
 * spec.c
 *	  What previews and imports have in their options and results.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "import/dialect_options.h"
#include "import/import.h"
#include "import/input.h"
#include "lib/stringinfo.h"
#include "options.h"
#include "store.h"
#include "submit.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

static JsonbValue *field(Jsonb *object, const char *key, JsonbValue *buffer);
static char *join(const char *const *names, int n);
static void push_key(JsonbParseState **state, const char *key);
static JsonbParseState *copy_open(Jsonb *object, const char *without);

/* ------------------------------------------------------------------------
 * Options
 * ------------------------------------------------------------------------
 */

PreviewSpec *
jobs_preview_spec(const Job *preview)
{
	PreviewSpec *spec = palloc0(sizeof(PreviewSpec));

	spec->target = (Oid) jobs_result_int(preview->options, "target");
	spec->upload = jobs_result_int(preview->options, "upload");
	spec->filename = jobs_result_text(preview->options, "filename");
	spec->options = jobs_result_object(preview->options, "options");
	if (spec->upload < 0 || spec->options == NULL)
		elog(ERROR, "options of job %lld are not those of a preview", (long long) preview->id);
	return spec;
}

/* Each part of the import checks the values of its own. */
void
jobs_preview_check_options(Jsonb *options)
{
	static const char *const names[] = {
		"comment", "date_order", "decimal", "delimiter", "encoding", "escape", "header", "header_rows", "mapping",
		"max_error_ratio", "max_errors", "null", "on_conflict", "quote", "ragged", "rules", "sensitive", "skip_lines",
		"trim", "unique"
	};
	JsonbIterator *it;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(options))
		jobs_refuse_option(errmsg("options must be a JSON object"),
						   errhint("For example '{\"on_conflict\": \"update\"}'."));
	it = JsonbIteratorInit(&options->root);
	(void) JsonbIteratorNext(&it, &value, true);	/* WJB_BEGIN_OBJECT */
	while (JsonbIteratorNext(&it, &value, true) == WJB_KEY)
	{
		char	   *name = pnstrdup(value.val.string.val, value.val.string.len);
		bool		known = false;

		for (int i = 0; i < lengthof(names); i++)
			known |= strcmp(name, names[i]) == 0;
		if (!known)
			jobs_refuse_option(errmsg("option \"%s\" not recognized", name),
							   errhint("Options of imports are %s.", join(names, lengthof(names))));
		(void) JsonbIteratorNext(&it, &value, true);
	}
	(void) jobs_preview_limit(options, "max_errors");
	if (jobs_preview_limit(options, "max_error_ratio") > 1)
		jobs_refuse_option(errmsg("option \"%s\" must be from 0 to 1", "max_error_ratio"),
						   errhint("It is the part of the rows that may have errors."));
}

static char *
join(const char *const *names, int n)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < n; i++)
		appendStringInfo(&list, "%s%s", i == 0 ? "" : i == n - 1 ? " and " : ", ", names[i]);
	return list.data;
}

double
jobs_preview_limit(Jsonb *options, const char *name)
{
	JsonbValue	buffer;
	JsonbValue *value = field(options, name, &buffer);
	double		number;

	if (value == NULL || value->type == jbvNull)
		return -1;
	number = value->type == jbvNumeric ?
		DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric))) : -1;
	if (!(number >= 0))
		jobs_refuse_option(errmsg("option \"%s\" must be a number that is not negative", name),
						   errhint("Leave it out for no limit."));
	return number;
}

JobId
jobs_import_preview_id(const Job *import)
{
	return jobs_result_int(import->options, "preview");
}

/* An import whose preview has gone is taken for one. */
bool
jobs_import_is_sensitive(const Job *job)
{
	Jsonb	   *options;
	bool		own;

	if (job->kind == JOB_IMPORT)
	{
		job = jobs_store_find(jobs_import_preview_id(job), &own);
		if (job == NULL)
			return true;
	}
	if (job->kind != JOB_IMPORT_PREVIEW)
		return false;
	options = jobs_result_object(job->options, "options");
	return options != NULL && jobs_dialect_key(options, "sensitive") != NULL;
}

bool
jobs_import_includes_warnings(const Job *import)
{
	return jobs_result_bool(import->options, "include_warnings");
}

/* ------------------------------------------------------------------------
 * Reading fields
 * ------------------------------------------------------------------------
 */

static JsonbValue *
field(Jsonb *object, const char *key, JsonbValue *buffer)
{
	if (object == NULL || !JB_ROOT_IS_OBJECT(object))
		return NULL;
	return getKeyJsonValueFromContainer(&object->root, key, strlen(key), buffer);
}

int64
jobs_result_int(Jsonb *result, const char *key)
{
	JsonbValue	buffer;
	JsonbValue *value = field(result, key, &buffer);

	if (value == NULL || value->type != jbvNumeric)
		return -1;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

bool
jobs_result_bool(Jsonb *result, const char *key)
{
	JsonbValue	buffer;
	JsonbValue *value = field(result, key, &buffer);

	return value && value->type == jbvBool && value->val.boolean;
}

char *
jobs_result_text(Jsonb *result, const char *key)
{
	JsonbValue	buffer;
	JsonbValue *value = field(result, key, &buffer);

	return value && value->type == jbvString ? pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}

Jsonb *
jobs_result_object(Jsonb *result, const char *key)
{
	JsonbValue	buffer;
	JsonbValue *value = field(result, key, &buffer);

	return value && value->type == jbvBinary ? JsonbValueToJsonb(value) : NULL;
}

/* ------------------------------------------------------------------------
 * Building
 * ------------------------------------------------------------------------
 */

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
}

void
jobs_push_int(JsonbParseState **state, const char *key, int64 number)
{
	JsonbValue	value;

	push_key(state, key);
	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	pushJsonbValue(state, WJB_VALUE, &value);
}

void
jobs_push_bool(JsonbParseState **state, const char *key, bool boolean)
{
	JsonbValue	value;

	push_key(state, key);
	value.type = jbvBool;
	value.val.boolean = boolean;
	pushJsonbValue(state, WJB_VALUE, &value);
}

void
jobs_push_jsonb(JsonbParseState **state, const char *key, Jsonb *jsonb)
{
	JsonbValue	value;

	push_key(state, key);
	JsonbToJsonbValue(jsonb, &value);
	pushJsonbValue(state, WJB_VALUE, &value);
}

static JsonbParseState *
copy_open(Jsonb *object, const char *without)
{
	JsonbParseState *state = NULL;
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbValue	value;

	(void) JsonbIteratorNext(&it, &value, true);	/* WJB_BEGIN_OBJECT */
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while (JsonbIteratorNext(&it, &value, true) == WJB_KEY)
	{
		bool		skip = value.val.string.len == strlen(without) &&
			memcmp(value.val.string.val, without, value.val.string.len) == 0;

		if (!skip)
			pushJsonbValue(&state, WJB_KEY, &value);
		(void) JsonbIteratorNext(&it, &value, true);
		if (!skip)
			pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return state;
}

Jsonb *
jobs_with_int(Jsonb *object, const char *key, int64 value)
{
	JsonbParseState *state = copy_open(object, key);

	jobs_push_int(&state, key, value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

Jsonb *
jobs_with_text(Jsonb *object, const char *key, const char *value)
{
	JsonbParseState *state = copy_open(object, key);

	jobs_push_text(&state, key, value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

Jsonb *
jobs_without(Jsonb *object, const char *key)
{
	JsonbParseState *state = copy_open(object, key);

	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* ------------------------------------------------------------------------
 * Mended files without a header
 * ------------------------------------------------------------------------
 */

bool
jobs_is_comeback(const FileRow *row)
{
	return row->nfields > 2 && row->fields[row->nfields - 2] && row->fields[row->nfields - 1] &&
		strncmp(row->fields[row->nfields - 2], COMEBACK_ROW_NO, strlen(COMEBACK_ROW_NO)) == 0 &&
		strncmp(row->fields[row->nfields - 1], COMEBACK_REASON, strlen(COMEBACK_REASON)) == 0;
}

/* The first row tells; a mapping leaves the two columns out. */
Jsonb *
jobs_comeback_options(const PreviewSpec *spec, const Dialect *dialect)
{
	Reader	   *reader;
	FileRow    *row;
	bool		comeback;
	JsonbParseState *state = NULL;
	Jsonb	   *mapping = jobs_result_object(spec->options, "mapping");
	JsonbValue	null = {.type = jbvNull};

	if (dialect->has_header)
		return spec->options;
	reader = jobs_reader_reopen(jobs_input_open(spec->upload), dialect);
	row = jobs_reader_next(reader);
	comeback = row && jobs_is_comeback(row);
	jobs_reader_close(reader);
	if (!comeback)
		return spec->options;

	state = mapping ? copy_open(mapping, "") : NULL;
	if (state == NULL)
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = dialect->ncolumns - 1; i <= dialect->ncolumns; i++)
	{
		push_key(&state, psprintf("%d", i));
		pushJsonbValue(&state, WJB_VALUE, &null);
	}
	mapping = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	state = copy_open(spec->options, "mapping");
	jobs_push_jsonb(&state, "mapping", mapping);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
