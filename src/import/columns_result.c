/*-------------------------------------------------------------------------
 *
 * columns_result.c
 *	  What a preview tells of the columns of its file, and the word for a row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "import/columns.h"

static JsonbValue *push_names(JsonbParseState **state, const char *key, List *names);
static void push_key(JsonbParseState **state, const char *key);
static void push_string(JsonbParseState **state, const char *string);

char *
jobs_columns_entity(const char *relname)
{
	char	   *word = pstrdup(relname);
	int			len = strlen(word);

	for (char *p = word; *p != '\0'; p++)
	{
		if (*p == '_')
			*p = ' ';
	}
	if (len > 3 && strcmp(word + len - 3, "ies") == 0)
		strcpy(word + len - 3, "y");
	else if (len > 4 && (strcmp(word + len - 4, "sses") == 0 || strcmp(word + len - 4, "ches") == 0 ||
						 strcmp(word + len - 4, "shes") == 0))
		word[len - 2] = '\0';
	else if (len > 3 && strcmp(word + len - 3, "xes") == 0)
		word[len - 2] = '\0';
	else if (len >= 6 && strcmp(word + len - 6, "people") == 0)
		strcpy(word + len - 6, "person");
	else if (len > 2 && word[len - 1] == 's' && word[len - 2] != 's' && word[len - 2] != 'u' && word[len - 2] != 'i')
		word[len - 1] = '\0';
	return word;
}

Jsonb *
jobs_columns_to_jsonb(const ColumnMap *map, Relation target)
{
	JsonbParseState *state = NULL;
	JsonbValue *result;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_key(&state, "columns");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < map->nfields; i++)
	{
		if (map->attnums[i] == InvalidAttrNumber)
			continue;
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		push_key(&state, "file");
		push_string(&state, map->names[i]);
		push_key(&state, "target");
		push_string(&state, NameStr(TupleDescAttr(RelationGetDescr(target), map->attnums[i] - 1)->attname));
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	push_names(&state, "left_over", map->left_over);
	push_names(&state, "missing", map->missing);
	if (map->generated != NIL)
		push_names(&state, "generated", map->generated);
	push_key(&state, "suggestions");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i + 1 < list_length(map->suggestions); i += 2)
	{
		push_key(&state, list_nth(map->suggestions, i));
		push_string(&state, list_nth(map->suggestions, i + 1));
	}
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(result);
}

static JsonbValue *
push_names(JsonbParseState **state, const char *key, List *names)
{
	ListCell   *lc;

	push_key(state, key);
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, names)
	{
		JsonbValue	v;

		v.type = jbvString;
		v.val.string.val = lfirst(lc);
		v.val.string.len = strlen(v.val.string.val);
		pushJsonbValue(state, WJB_ELEM, &v);
	}
	return pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	v;

	v.type = jbvString;
	v.val.string.val = unconstify(char *, key);
	v.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &v);
}

static void
push_string(JsonbParseState **state, const char *string)
{
	JsonbValue	v;

	v.type = jbvString;
	v.val.string.val = unconstify(char *, string);
	v.val.string.len = strlen(string);
	pushJsonbValue(state, WJB_VALUE, &v);
}
