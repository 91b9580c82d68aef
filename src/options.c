/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Reading the options of a format from JSON.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "options.h"

static void set_option(const JobsOption *table, int n, const char *format, void *result,
					   const char *name, const JsonbValue *value);
static char *option_names(const JobsOption *table, int n);
static char *string_option(const char *name, const JsonbValue *value);

void
jobs_read_options(Jsonb *options, const JobsOption *table, int n, const char *format, void *result)
{
	JsonbIterator *it;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(options))
		jobs_refuse_option(errmsg("options must be a JSON object"),
						   errhint("For example '{\"%s\": ...}'.", table[0].name));

	it = JsonbIteratorInit(&options->root);
	(void) JsonbIteratorNext(&it, &value, true);	/* WJB_BEGIN_OBJECT */
	while (JsonbIteratorNext(&it, &value, true) == WJB_KEY)
	{
		char	   *name = pnstrdup(value.val.string.val, value.val.string.len);

		(void) JsonbIteratorNext(&it, &value, true);
		set_option(table, n, format, result, name, &value);
	}
}

static void
set_option(const JobsOption *table, int n, const char *format, void *result,
		   const char *name, const JsonbValue *value)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(name, table[i].name) == 0)
		{
			table[i].set(name, value, (char *) result + table[i].field);
			return;
		}
	}
	jobs_refuse_option(errmsg("option \"%s\" not recognized", name),
					   n == 1 ? errhint("The only option of %s exports is %s.", format, table[0].name)
					   : errhint("Options of %s exports are %s.", format, option_names(table, n)));
}

static char *
option_names(const JobsOption *table, int n)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < n; i++)
		appendStringInfo(&names, "%s%s", i == 0 ? "" : i == n - 1 ? " and " : ", ", table[i].name);
	return names.data;
}

static char *
string_option(const char *name, const JsonbValue *value)
{
	if (value->type != jbvString)
		jobs_refuse_option(errmsg("option \"%s\" must be a string", name));
	return pnstrdup(value->val.string.val, value->val.string.len);
}

void
jobs_set_bool(const char *name, const JsonbValue *value, void *field)
{
	if (value->type != jbvBool)
		jobs_refuse_option(errmsg("option \"%s\" must be true or false", name));
	*(bool *) field = value->val.boolean;
}

void
jobs_set_char(const char *name, const JsonbValue *value, void *field)
{
	char	   *string = string_option(name, value);

	if (strlen(string) != 1)
		jobs_refuse_option(errmsg("%s must be a single one-byte character", name));
	*(char *) field = string[0];
}

void
jobs_set_string(const char *name, const JsonbValue *value, void *field)
{
	*(char **) field = string_option(name, value);
}

void
jobs_set_encoding(const char *name, const JsonbValue *value, void *field)
{
	int			encoding = pg_char_to_encoding(string_option(name, value));

	if (encoding < 0)
		jobs_refuse_option(errmsg("option \"%s\" must be a valid encoding name", name),
						   errhint("Use a name such as UTF8, LATIN1 or WIN1252."));
	*(int *) field = encoding;
}

void
jobs_set_compression(const char *name, const JsonbValue *value, void *field)
{
	char	   *string = string_option(name, value);

	if (strcmp(string, "gzip") != 0 && strcmp(string, "none") != 0)
		jobs_refuse_option(errmsg("compression \"%s\" not recognized", string),
						   errhint("Compressions are \"gzip\" and \"none\"."));
	*(bool *) field = string[0] == 'g';
}

void
jobs_set_columns(const char *name, const JsonbValue *value, void *field)
{
	JobsColumnNames *columns = field;
	JsonbContainer *array;

	if (value->type == jbvString && value->val.string.len == 1 && value->val.string.val[0] == '*')
	{
		columns->all = true;
		return;
	}
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		jobs_refuse_option(errmsg("option \"%s\" must be an array of column names, or \"*\"", name));
	array = value->val.binary.data;
	for (uint32 i = 0; i < JsonContainerSize(array); i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);

		if (element->type != jbvString)
			jobs_refuse_option(errmsg("option \"%s\" must be an array of column names, or \"*\"", name));
		columns->names = lappend(columns->names, string_option(name, element));
	}
}
