/*-------------------------------------------------------------------------
 *
 * create_table.c
 *	  A table for a file, and a file for a table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "access/relation.h"
#include "args.h"
#include "catalog/heap.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "import/import.h"
#include "import/sniff.h"
#include "import/upload.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(jobs_create_table_for);
PG_FUNCTION_INFO_V1(jobs_import_template);

#define MANY_NUMBERED	16

static char *table_name(const char *name);
static bool is_unnamed(const SniffColumn *column, int i);
static char *sql_name(const char *name);
static int	compare_names(const void *a, const void *b);
static bool is_taken(const char **names, int n, const char *name);
static bool takes_values(Relation target, AttrNumber attnum, bool all);
static void put_header(StringInfo line, const char *name);

/* ------------------------------------------------------------------------
 * jobs.create_table_for
 * ------------------------------------------------------------------------ */

/* All of the file is read, so that no value of it is left out of account. */
Datum
jobs_create_table_for(PG_FUNCTION_ARGS)
{
	Reader	   *reader;
	const Dialect *dialect;
	SniffColumn *columns;
	StringInfoData sql;
	MemoryContext row_context;
	MemoryContext caller;
	FileRow    *row;
	int			n = 0;

	jobs_require_arg(fcinfo, 0, "upload", "Pass the id that jobs.upload has returned.");
	jobs_require_arg(fcinfo, 1, "name", "Pass the name of the table to be.");
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", table_name(text_to_cstring(PG_GETARG_TEXT_PP(1))));

	reader = jobs_reader_open(jobs_input_open(jobs_upload_find_controlled(PG_GETARG_INT64(0))->id),
							  DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"))));
	dialect = jobs_reader_dialect(reader);
	columns = jobs_sniff_columns(dialect);
	row_context = AllocSetContextCreate(CurrentMemoryContext, "row of a file", ALLOCSET_SMALL_SIZES);
	while ((row = jobs_reader_next(reader)) != NULL)
	{
		caller = MemoryContextSwitchTo(row_context);
		jobs_sniff_row(columns, dialect, row);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(row_context);
	}
	jobs_reader_close(reader);

	for (int i = 0; i < dialect->ncolumns; i++)
	{
		if (dialect->ncolumns > 1 && is_unnamed(&columns[i], i))
			continue;
		appendStringInfo(&sql, "%s\n    %s %s", n++ > 0 ? "," : "", quote_identifier(columns[i].sql_name),
						 jobs_guess_type(&columns[i].guess));
	}
	if (n > MaxHeapAttributeNumber)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("the file has %d columns, and tables can have at most %d", n, MaxHeapAttributeNumber),
				 errhint("Leave columns out of the file, or import it into a table of those that you need.")));
	appendStringInfoString(&sql, "\n);");
	PG_RETURN_TEXT_P(cstring_to_text_with_len(sql.data, sql.len));
}

/* The name as SQL takes it, with a schema or without. */
static char *
table_name(const char *name)
{
	List	   *parts;

	if (!SplitIdentifierString(pstrdup(name), '.', &parts) || list_length(parts) < 1 || list_length(parts) > 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid name of a table: \"%s\"", name),
				 errhint("Write it as in SQL, in double quotes if it has other characters than letters, digits and underscores.")));
	if (list_length(parts) == 1)
		return pstrdup(quote_identifier(linitial(parts)));
	return quote_qualified_identifier(linitial(parts), lsecond(parts));
}

/* Nothing but a delimiter at the end of each line. */
static bool
is_unnamed(const SniffColumn *column, int i)
{
	return column->guess.values == 0 && column->name != NULL && strcmp(column->name, psprintf("column%d", i + 1)) == 0;
}

/* ------------------------------------------------------------------------
 * Names
 * ------------------------------------------------------------------------ */

const char **
jobs_sql_names(char *const *names, int n)
{
	const char **result = palloc(n * sizeof(char *));
	const char **sorted = palloc(n * sizeof(char *));

	for (int i = 0; i < n; i++)
		sorted[i] = result[i] = names ? sql_name(names[i]) : psprintf("column%d", i + 1);
	qsort(sorted, n, sizeof(char *), compare_names);

	/* Names that differ by case or spaces only are taken as they stand in the file. */
	for (int i = 0; names && i < n; i++)
	{
		const char **found = bsearch(&result[i], sorted, n, sizeof(char *), compare_names);
		int			number = 2;

		if (!((found > sorted && strcmp(found[-1], *found) == 0) ||
			  (found < sorted + n - 1 && strcmp(found[1], *found) == 0)))
			continue;
		if (strlen(names[i]) < NAMEDATALEN)
			result[i] = names[i];
		else
		{
			char	   *base = pnstrdup(result[i], pg_mbcliplen(result[i], strlen(result[i]), NAMEDATALEN - 8));

			/* From the column's own number on, where there are many: then one is soon free. */
			do
			{
				CHECK_FOR_INTERRUPTS();
				result[i] = psprintf("%s_%d", base, number);
				number = number < MANY_NUMBERED ? number + 1 : Max(number, i) + 1;
			} while (bsearch(&result[i], sorted, n, sizeof(char *), compare_names) != NULL || is_taken(result, i, result[i]));
		}
	}
	return result;
}

/* One name by itself. */
static char *
sql_name(const char *name)
{
	char	   *lower = str_tolower(name, strlen(name), DEFAULT_COLLATION_OID);

	for (char *p = lower; *p != '\0'; p++)
	{
		if (isspace((unsigned char) *p) && !IS_HIGHBIT_SET(*p))
			*p = '_';
	}
	lower[pg_mbcliplen(lower, strlen(lower), NAMEDATALEN - 1)] = '\0';
	if (SystemAttributeByName(lower) != NULL)
		lower = psprintf("%s_", lower);
	return lower;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static bool
is_taken(const char **names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------------
 * jobs.import_template
 * ------------------------------------------------------------------------ */

Datum
jobs_import_template(PG_FUNCTION_ARGS)
{
	Relation	target;
	StringInfoData line;
	bool		all;

	jobs_require_arg(fcinfo, 0, "target", "Pass the name of a table.");
	target = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
	if (target == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", PG_GETARG_OID(0)),
				 errhint("Pass the name of a table.")));
	if (!strchr("rpvf", target->rd_rel->relkind))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table or view", RelationGetRelationName(target)),
				 errhint("Files are imported into tables, views and foreign tables.")));
	all = pg_class_aclcheck(RelationGetRelid(target), GetUserId(), ACL_INSERT) == ACLCHECK_OK;

	initStringInfo(&line);
	for (int i = 0; i < RelationGetNumberOfAttributes(target); i++)
	{
		if (takes_values(target, i + 1, all))
			put_header(&line, NameStr(TupleDescAttr(RelationGetDescr(target), i)->attname));
	}
	if (!all && line.len == 0)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(target->rd_rel->relkind), RelationGetRelationName(target));
	relation_close(target, AccessShareLock);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(line.data, line.len));
}

/* Whether a file may have a column: the table does not always make it, and the caller may. */
static bool
takes_values(Relation target, AttrNumber attnum, bool all)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(target), attnum - 1);

	return !att->attisdropped && att->attidentity != ATTRIBUTE_IDENTITY_ALWAYS && !jobs_target_generates(target, attnum) &&
		(all || pg_attribute_aclcheck(RelationGetRelid(target), attnum, GetUserId(), ACL_INSERT) == ACLCHECK_OK);
}

static void
put_header(StringInfo line, const char *name)
{
	if (line->len > 0)
		appendStringInfoChar(line, ',');
	if (strpbrk(name, ",;|\t\"\r\n# ") == NULL)
	{
		appendStringInfoString(line, name);
		return;
	}
	appendStringInfoChar(line, '"');
	for (const char *p = name; *p != '\0'; p++)
	{
		if (*p == '"')
			appendStringInfoChar(line, '"');
		appendStringInfoChar(line, *p);
	}
	appendStringInfoChar(line, '"');
}
