/*-------------------------------------------------------------------------
 *
 * columns.c
 *	  Which column of a file goes to which of the target.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/catalog.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "commands/defrem.h"
#include "compat.h"
#include "import/columns.h"
#include "import/import.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "options.h"
#include "rel.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

/* Of names in a message or hint, so that a file of 1,000 columns does not flood it. */
#define MAX_NAMED_COLUMNS	20

/* Columns of the file for which one of the target is looked for that it may mean. */
#define MAX_SUGGESTIONS		100

/* Words of the last columns of a file of rejects. */
static const char *const rejects_columns[] = {"row_no", "reason"};

/* A name of the file, to be looked for among many. */
typedef struct FieldName
{
	const char *name;
	int			field;
} FieldName;

static bool is_column(Form_pg_attribute att);
static bool takes_values(Relation target, AttrNumber attnum);
static void match_by_mapping(ColumnMap *map, Relation target, const Dialect *dialect, Jsonb *options, bool *settled);
static FieldName *sort_names(char *const *names, int n, bool squeezed);
static int	compare_names(const void *a, const void *b);
static int	first_named(const FieldName *names, int n, const char *name);
static int	field_named(const Dialect *dialect, const FieldName *exact, const FieldName *squeezed, const char *name);
static void match_by_name(ColumnMap *map, Relation target, const Dialect *dialect, bool *settled);
static AttrNumber column_for(Relation target, char *const *squeezed, const char *name, const Bitmapset *taken);
static AttrNumber column_named(Relation target, char *const *squeezed, const char *name, const char *option);
static char **squeeze_columns(Relation target);
static void match_by_position(ColumnMap *map, Relation target, const Dialect *dialect, bool *settled);
static void pass_over_rejects(ColumnMap *map, Relation target, const Dialect *dialect, bool *settled);
static void take(ColumnMap *map, Relation target, int field, AttrNumber attnum, bool explicitly);
static void refuse_unmatched(const ColumnMap *map, Relation target, const Dialect *dialect);
static void find_missing(ColumnMap *map, Relation target);
static void find_suggestions(ColumnMap *map);
static char **squeeze_list(const List *names, int *n);
static int	distance(const char *x, const char *y);
static char *squeeze(const char *name);
static char *target_names(Relation target);
static char *name_list(char *const *names, int n);

/* ------------------------------------------------------------------------
 * Targets
 * ------------------------------------------------------------------------
 */

void
jobs_columns_check_target(Relation target)
{
	char		kind = target->rd_rel->relkind;
	const char *name = RelationGetRelationName(target);

	switch (kind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			break;
		case RELKIND_VIEW:
			if ((relation_is_updatable(RelationGetRelid(target), NIL, true, NULL) & (1 << CMD_INSERT)) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("cannot import into view \"%s\"", name),
						 errhint("Give it an INSTEAD OF INSERT trigger, or import into its table.")));
			break;
		case RELKIND_FOREIGN_TABLE:
			if ((relation_is_updatable(RelationGetRelid(target), NIL, true, NULL) & (1 << CMD_INSERT)) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot import into foreign table \"%s\", which takes no inserts", name)));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("cannot import into \"%s\"", name),
					 errdetail_relkind_not_supported(kind)));
	}
	if (RELATION_IS_OTHER_TEMP(target) || target->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot import into temporary table \"%s\"", name),
				 errhint("A job runs in a session of its own: use a table that is not temporary.")));
	if (IsCatalogRelation(target) && !allowSystemTableMods)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied: \"%s\" is a system catalog", name)));
	if (RelationGetNamespace(target) == jobs_rel_schema())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied: \"%s\" belongs to extension \"jobs\"", name),
				 errhint("Import into a table of your own, and use the functions of schema jobs for its jobs.")));

	if (pg_class_aclcheck(RelationGetRelid(target), GetUserId(), ACL_INSERT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(RelationGetRelid(target), GetUserId(), ACL_INSERT, ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(kind), name);
}

static bool
is_column(Form_pg_attribute att)
{
	return !att->attisdropped;
}

/* By name or position: not where the table says that it always makes them. */
static bool
takes_values(Relation target, AttrNumber attnum)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(target), attnum - 1);

	return is_column(att) && att->attidentity != ATTRIBUTE_IDENTITY_ALWAYS && !jobs_target_generates(target, attnum);
}

AttrNumber
jobs_columns_named(Relation target, const char *name, const char *option)
{
	return column_named(target, NULL, name, option);
}

/* squeezed: the names of the columns, or NULL where few are asked for. */
static AttrNumber
column_named(Relation target, char *const *squeezed, const char *name, const char *option)
{
	TupleDesc	desc = RelationGetDescr(target);
	AttrNumber	attnum = InvalidAttrNumber;

	for (int i = 0; i < desc->natts && attnum == InvalidAttrNumber; i++)
	{
		if (is_column(TupleDescAttr(desc, i)) && strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			attnum = i + 1;
	}
	if (attnum == InvalidAttrNumber)
		attnum = column_for(target, squeezed ? squeezed : squeeze_columns(target), name, NULL);
	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" names column \"%s\", which \"%s\" does not have",
						option, name, RelationGetRelationName(target)),
				 errhint("Its columns are %s.", target_names(target))));
	return attnum;
}

JsonbValue *
jobs_columns_option(Jsonb *options, const char *name)
{
	JsonbValue *value;

	if (!JB_ROOT_IS_OBJECT(options))
		return NULL;
	value = getKeyJsonValueFromContainer(&options->root, name, strlen(name), NULL);
	return value != NULL && value->type != jbvNull ? value : NULL;
}

void
jobs_columns_check_mapping(Relation target, Jsonb *options)
{
	JsonbValue *mapping = jobs_columns_option(options, "mapping");
	char	  **squeezed;
	JsonbIterator *it;
	JsonbValue	v;

	if (mapping == NULL)
		return;
	if (mapping->type != jbvBinary || !JsonContainerIsObject(mapping->val.binary.data))
		jobs_refuse_option(errmsg("option \"mapping\" must be a JSON object"),
						   errhint("For example {\"mapping\": {\"E-mail\": \"email\", \"Notes\": null}}."));
	squeezed = squeeze_columns(target);
	it = JsonbIteratorInit(mapping->val.binary.data);
	(void) JsonbIteratorNext(&it, &v, true);
	while (JsonbIteratorNext(&it, &v, true) == WJB_KEY)
	{
		char	   *key = pnstrdup(v.val.string.val, v.val.string.len);

		CHECK_FOR_INTERRUPTS();
		(void) JsonbIteratorNext(&it, &v, true);
		if (v.type == jbvNull)
			continue;
		if (v.type != jbvString)
			jobs_refuse_option(errmsg("option \"mapping\": the column for \"%s\" must be a string or null", key));
		(void) column_named(target, squeezed, pnstrdup(v.val.string.val, v.val.string.len), "mapping");
	}
}

/* ------------------------------------------------------------------------
 * Matching
 * ------------------------------------------------------------------------
 */

ColumnMap *
jobs_columns_match(Relation target, const Dialect *dialect, Jsonb *options)
{
	ColumnMap  *map = palloc0(sizeof(ColumnMap));
	bool	   *settled = palloc0(sizeof(bool) * (dialect->ncolumns + 1));
	bool		any = false;

	map->nfields = dialect->ncolumns;
	map->attnums = palloc0(sizeof(AttrNumber) * (map->nfields + 1));
	map->names = palloc0(sizeof(char *) * (map->nfields + 1));
	for (int i = 0; i < map->nfields; i++)
		map->names[i] = pstrdup(dialect->columns != NULL && dialect->columns[i] != NULL ? dialect->columns[i] : "");

	match_by_mapping(map, target, dialect, options, settled);
	if (dialect->columns != NULL)
	{
		pass_over_rejects(map, target, dialect, settled);
		match_by_name(map, target, dialect, settled);
	}
	else
		match_by_position(map, target, dialect, settled);

	for (int i = 0; i < map->nfields; i++)
	{
		if (map->attnums[i] != InvalidAttrNumber)
			any = true;
		else if (!settled[i])
			map->left_over = lappend(map->left_over, map->names[i]);
	}
	find_missing(map, target);
	find_suggestions(map);
	if (!any)
		refuse_unmatched(map, target, dialect);
	return map;
}

/* settled: it is said, or known, what becomes of a field. */
static void
match_by_mapping(ColumnMap *map, Relation target, const Dialect *dialect, Jsonb *options, bool *settled)
{
	JsonbValue *mapping = jobs_columns_option(options, "mapping");
	FieldName  *exact;
	FieldName  *squeezed;
	JsonbIterator *it;
	JsonbValue	v;

	if (mapping == NULL)
		return;
	jobs_columns_check_mapping(target, options);
	exact = sort_names(dialect->columns, dialect->ncolumns, false);
	squeezed = sort_names(dialect->columns, dialect->ncolumns, true);
	it = JsonbIteratorInit(mapping->val.binary.data);
	(void) JsonbIteratorNext(&it, &v, true);
	while (JsonbIteratorNext(&it, &v, true) == WJB_KEY)
	{
		char	   *key = pnstrdup(v.val.string.val, v.val.string.len);
		int			field = field_named(dialect, exact, squeezed, key);

		CHECK_FOR_INTERRUPTS();
		(void) JsonbIteratorNext(&it, &v, true);
		if (field < 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("option \"mapping\" names column \"%s\", which the file does not have", key),
					 dialect->columns != NULL
					 ? errhint("Its columns are %s.", name_list(dialect->columns, dialect->ncolumns))
					 : errhint("It has no header: its columns are numbered from 1 to %d.", dialect->ncolumns)));
		if (settled[field])
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("option \"mapping\" names column %d of the file twice", field + 1)));
		settled[field] = true;
		if (v.type == jbvString)
			take(map, target, field,
				 jobs_columns_named(target, pnstrdup(v.val.string.val, v.val.string.len), "mapping"), true);
	}
}

/* The file's names, squeezed or as they are, or NULL where it has none. */
static FieldName *
sort_names(char *const *names, int n, bool squeezed)
{
	FieldName  *sorted;

	if (names == NULL)
		return NULL;
	sorted = palloc(sizeof(FieldName) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sorted[i] = (FieldName) {squeezed ? squeeze(names[i]) : names[i], i};
	}
	qsort(sorted, n, sizeof(FieldName), compare_names);
	return sorted;
}

static int
compare_names(const void *a, const void *b)
{
	const FieldName *x = a;
	const FieldName *y = b;
	int			order = strcmp(x->name, y->name);

	return order != 0 ? order : x->field - y->field;
}

/* The first field of that name, or -1. */
static int
first_named(const FieldName *names, int n, const char *name)
{
	int			low = 0;
	int			high = n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (strcmp(names[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && strcmp(names[low].name, name) == 0 ? names[low].field : -1;
}

/* The field that a key of the mapping names, or -1. */
static int
field_named(const Dialect *dialect, const FieldName *exact, const FieldName *squeezed, const char *name)
{
	char	   *end;
	long		number;
	int			found = -1;

	if (exact != NULL)
	{
		found = first_named(exact, dialect->ncolumns, name);
		if (found < 0)
			found = first_named(squeezed, dialect->ncolumns, squeeze(name));
	}
	if (found >= 0)
		return found;
	number = strtol(name, &end, 10);
	if (*name != '\0' && *end == '\0' && number >= 1 && number <= dialect->ncolumns)
		return number - 1;
	return -1;
}

static void
match_by_name(ColumnMap *map, Relation target, const Dialect *dialect, bool *settled)
{
	TupleDesc	desc = RelationGetDescr(target);
	char	  **squeezed = squeeze_columns(target);
	Bitmapset  *taken = NULL;

	for (int i = 0; i < map->nfields; i++)
	{
		if (map->attnums[i] != InvalidAttrNumber)
			taken = bms_add_member(taken, map->attnums[i]);
	}

	/* Names that are equal come first, so that "E-Mail" and "email" may both be there. */
	for (int round = 0; round < 2; round++)
	{
		Bitmapset  *before = bms_copy(taken);

		for (int i = 0; i < map->nfields; i++)
		{
			AttrNumber	attnum = InvalidAttrNumber;
			const char *name = dialect->columns[i];

			CHECK_FOR_INTERRUPTS();
			if (settled[i])
				continue;
			/* No column's name is longer than an identifier can be. */
			if (strlen(name) >= NAMEDATALEN)
				name = pnstrdup(name, pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1));
			for (int a = 0; round == 0 && a < desc->natts; a++)
			{
				if (is_column(TupleDescAttr(desc, a)) &&
					strcmp(NameStr(TupleDescAttr(desc, a)->attname), name) == 0)
					attnum = a + 1;
			}
			if (round == 1)
				attnum = column_for(target, squeezed, name, before);
			if (attnum == InvalidAttrNumber)
				continue;
			settled[i] = true;
			take(map, target, i, attnum, false);
			taken = bms_add_member(taken, attnum);
		}
	}
}

/*
 * The one column whose name is the same but for case, spaces, "_" and "-"; of
 * several, the one that is not taken.
 */
static AttrNumber
column_for(Relation target, char *const *squeezed, const char *name, const Bitmapset *taken)
{
	TupleDesc	desc = RelationGetDescr(target);
	char	   *wanted = squeeze(name);
	AttrNumber	found = InvalidAttrNumber;
	int			nfree = 0;

	if (*wanted == '\0')
		return InvalidAttrNumber;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!is_column(att) || strcmp(squeezed[i], wanted) != 0)
			continue;
		if (!bms_is_member(i + 1, taken))
		{
			found = i + 1;
			nfree++;
		}
		else if (found == InvalidAttrNumber)
			found = i + 1;
	}
	return nfree > 1 ? InvalidAttrNumber : found;
}

static char **
squeeze_columns(Relation target)
{
	TupleDesc	desc = RelationGetDescr(target);
	char	  **squeezed = palloc(sizeof(char *) * (desc->natts + 1));

	for (int i = 0; i < desc->natts; i++)
		squeezed[i] = squeeze(NameStr(TupleDescAttr(desc, i)->attname));
	return squeezed;
}

static void
match_by_position(ColumnMap *map, Relation target, const Dialect *dialect, bool *settled)
{
	TupleDesc	desc = RelationGetDescr(target);
	int			field = 0;

	for (int i = 0; i < desc->natts && field < map->nfields; i++)
	{
		if (!is_column(TupleDescAttr(desc, i)) || jobs_target_generates(target, i + 1))
			continue;
		if (!settled[field])
		{
			bool		mapped = false;

			for (int f = 0; f < map->nfields; f++)
				mapped |= map->attnums[f] == i + 1;
			if (mapped)
				continue;
			settled[field] = true;
			take(map, target, field, i + 1, false);
		}
		field++;
	}
	for (; field < map->nfields; field++)
	{
		if (!settled[field])
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the file has %d columns and no header, and \"%s\" has no column for number %d",
							map->nfields, RelationGetRelationName(target), field + 1),
					 errhint("Leave some out by option \"mapping\", as {\"%d\": null}, "
							 "or set option \"header\" if the file has one.", field + 1)));
	}
}

/* A mended file of rejects comes back with the columns that were added to it. */
static void
pass_over_rejects(ColumnMap *map, Relation target, const Dialect *dialect, bool *settled)
{
	for (int w = 0; w < lengthof(rejects_columns); w++)
	{
		int			last = -1;
		int			n = 0;

		for (int i = 0; i < map->nfields; i++)
		{
			if (strcmp(dialect->columns[i], rejects_columns[w]) == 0)
			{
				last = i;
				n++;
			}
		}
		if (last >= 0 && !settled[last] &&
			(n > 1 || column_for(target, squeeze_columns(target), rejects_columns[w], NULL) == InvalidAttrNumber))
			settled[last] = true;
	}
}

static void
take(ColumnMap *map, Relation target, int field, AttrNumber attnum, bool explicitly)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(target), attnum - 1);

	if (*map->names[field] == '\0')
		map->names[field] = pstrdup(NameStr(att->attname));
	for (int i = 0; i < map->nfields; i++)
	{
		if (map->attnums[i] == attnum)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("columns \"%s\" (%d) and \"%s\" (%d) of the file both go to column \"%s\"",
							map->names[Min(i, field)], Min(i, field) + 1,
							map->names[Max(i, field)], Max(i, field) + 1, NameStr(att->attname)),
					 errhint("Leave one out by option \"mapping\", as {\"%d\": null}.", Max(i, field) + 1)));
	}
	if (jobs_target_generates(target, attnum) || (att->attidentity == ATTRIBUTE_IDENTITY_ALWAYS && !explicitly))
	{
		map->generated = lappend(map->generated, map->names[field]);
		return;
	}
	if (pg_attribute_aclcheck(RelationGetRelid(target), attnum, GetUserId(), ACL_INSERT) != ACLCHECK_OK &&
		pg_class_aclcheck(RelationGetRelid(target), GetUserId(), ACL_INSERT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for column \"%s\" of \"%s\"", NameStr(att->attname),
						RelationGetRelationName(target)),
				 errhint("Leave the file's column out by option \"mapping\", as {\"%s\": null}.", map->names[field])));
	map->attnums[field] = attnum;
}

static void
refuse_unmatched(const ColumnMap *map, Relation target, const Dialect *dialect)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("no column of the file is one of \"%s\": the file has %s, the target %s",
					RelationGetRelationName(target),
					dialect->columns != NULL ? name_list(dialect->columns, dialect->ncolumns) : "no header",
					target_names(target)),
			 errhint("Say which goes where by option \"mapping\", or set option \"header\" to false if the file has none.")));
}

static void
find_missing(ColumnMap *map, Relation target)
{
	TupleDesc	desc = RelationGetDescr(target);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		filled = false;

		if (!takes_values(target, i + 1))
			continue;
		for (int f = 0; f < map->nfields; f++)
			filled |= map->attnums[f] == i + 1;
		if (!filled)
			map->missing = lappend(map->missing, pstrdup(NameStr(att->attname)));
	}
}

/* ------------------------------------------------------------------------
 * Near misses
 * ------------------------------------------------------------------------
 */

static void
find_suggestions(ColumnMap *map)
{
	int			nfile;
	int			ncolumns;
	char	  **file = squeeze_list(map->left_over, &nfile);
	char	  **column = squeeze_list(map->missing, &ncolumns);

	for (int f = 0; f < nfile && f < MAX_SUGGESTIONS; f++)
	{
		int			best = -1;
		int			least = PG_INT32_MAX;

		for (int i = 0; i < ncolumns; i++)
		{
			int			d = distance(file[f], column[i]);

			if (d >= 0 && d < least)
			{
				least = d;
				best = i;
			}
		}
		if (best >= 0)
			map->suggestions = lappend(lappend(map->suggestions, list_nth(map->left_over, f)),
									   list_nth(map->missing, best));
	}
}

static char **
squeeze_list(const List *names, int *n)
{
	char	  **squeezed = palloc(sizeof(char *) * (list_length(names) + 1));
	ListCell   *lc;

	*n = 0;
	foreach(lc, names)
		squeezed[(*n)++] = squeeze(lfirst(lc));
	return squeezed;
}

/* How far two squeezed names are from each other; -1: too far to mean the same. */
static int
distance(const char *x, const char *y)
{
	int			xlen = strlen(x);
	int			ylen = strlen(y);
	int			limit = Max(xlen, ylen) / 3;
	int			d;

	if (xlen == 0 || ylen == 0 || xlen > 4 * NAMEDATALEN || ylen > 4 * NAMEDATALEN)
		return -1;
	if (limit > 0)
	{
		d = varstr_levenshtein_less_equal(x, xlen, y, ylen, 1, 1, 1, limit, true);
		if (d <= limit)
			return d;
	}
	/* "e-mail adress" has the whole of "email" in it. */
	if (Min(xlen, ylen) >= 4 && (strstr(x, y) != NULL || strstr(y, x) != NULL))
		return limit + abs(xlen - ylen);
	return -1;
}

/* Without what does not count: case, spaces, "_" and "-". */
static char *
squeeze(const char *name)
{
	char	   *lower = str_tolower(name, strlen(name), DEFAULT_COLLATION_OID);
	char	   *to = lower;

	for (char *p = lower; *p != '\0'; p++)
	{
		if (*p != ' ' && *p != '_' && *p != '-' && *p != '\t' && *p != '\n' && *p != '\r')
			*to++ = *p;
	}
	*to = '\0';
	return lower;
}

/* ------------------------------------------------------------------------
 * Words
 * ------------------------------------------------------------------------
 */

static char *
target_names(Relation target)
{
	TupleDesc	desc = RelationGetDescr(target);
	char	  **names = palloc(sizeof(char *) * (desc->natts + 1));
	int			n = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		if (is_column(TupleDescAttr(desc, i)))
			names[n++] = NameStr(TupleDescAttr(desc, i)->attname);
	}
	return name_list(names, n);
}

static char *
name_list(char *const *names, int n)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < n && i < MAX_NAMED_COLUMNS; i++)
	{
		const char *name = names[i] != NULL ? names[i] : "";
		int			len = pg_mbcliplen(name, strlen(name), NAMEDATALEN);

		appendStringInfo(&list, "%s\"%.*s\"", i > 0 ? ", " : "", len, name);
	}
	if (n > MAX_NAMED_COLUMNS)
		appendStringInfo(&list, " and %d more", n - MAX_NAMED_COLUMNS);
	return list.data;
}
