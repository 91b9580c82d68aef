/*-------------------------------------------------------------------------
 *
 * checker_options.c
 *	  Options of an import that are about columns, rules and conflicts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "executor/executor.h"
#include "import/checker_private.h"
#include "miscadmin.h"
#include "options.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static List *named_columns(Relation target, Jsonb *options, const char *option);
static OnConflict on_conflict_option(Jsonb *options);
static void check_finding(Relation target, const CheckOptions *options);
static void check_reading(Relation target, const CheckOptions *options);

void
jobs_checker_check(Relation target, Jsonb *options)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "jobs checker options", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	EState	   *estate = CreateExecutorState();
	Arena		arena;
	ValueStyle	style;
	CheckOptions checked;
	JsonbValue *decimal = jobs_columns_option(options, "decimal");
	JsonbValue *date_order = jobs_columns_option(options, "date_order");

	jobs_arena_init(&arena, 1024, context);
	style.decimal = decimal != NULL && decimal->type == jbvString && decimal->val.string.len == 1
		? decimal->val.string.val[0] : '.';
	style.date_order = date_order != NULL && date_order->type == jbvString
		? jobs_date_order(pnstrdup(date_order->val.string.val, date_order->val.string.len)) : -1;
	style.arena = &arena;

	jobs_columns_check_target(target);
	jobs_check_options(target, options, &checked);
	(void) jobs_rules_read(target, options, &style, estate);
	FreeExecutorState(estate);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

int
jobs_date_order(const char *name)
{
	if (name == NULL)
		return -1;
	if (pg_strcasecmp(name, "YMD") == 0)
		return DATEORDER_YMD;
	if (pg_strcasecmp(name, "DMY") == 0)
		return DATEORDER_DMY;
	if (pg_strcasecmp(name, "MDY") == 0)
		return DATEORDER_MDY;
	return -1;
}

void
jobs_check_options(Relation target, Jsonb *options, CheckOptions *result)
{
	ListCell   *lc;

	memset(result, 0, sizeof(*result));
	jobs_columns_check_mapping(target, options);
	result->on_conflict = on_conflict_option(options);
	result->unique = named_columns(target, options, "unique");
	foreach(lc, named_columns(target, options, "sensitive"))
		result->sensitive = bms_add_member(result->sensitive, lfirst_int(lc));
	if (result->on_conflict == CONFLICT_UPDATE || result->unique != NIL)
	{
		check_finding(target, result);
		check_reading(target, result);
	}
}

/* Rows are found, and updated, by where they are in a table of this server. */
static void
check_finding(Relation target, const CheckOptions *options)
{
	const char *option = options->unique != NIL ? "\"unique\"" : "\"on_conflict\" \"update\"";
	char		kind = target->rd_rel->relkind;
	ListCell   *lc;

	if (kind == RELKIND_VIEW || kind == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("option %s cannot be used for \"%s\"", option, RelationGetRelationName(target)),
				 errdetail_relkind_not_supported(kind),
				 errhint("Import into a table, or leave the option out.")));
	foreach(lc, find_all_inheritors(RelationGetRelid(target), NoLock, NULL))
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("option %s cannot be used for \"%s\"", option, RelationGetRelationName(target)),
					 errdetail("Foreign table \"%s\" is a part of it.", get_rel_name(lfirst_oid(lc))),
					 errhint("Import into a table without foreign tables, or leave the option out.")));
	}
}

/* An update finds its rows by reading them, and a key that the target has not tells of its rows. */
static void
check_reading(Relation target, const CheckOptions *options)
{
	Oid			table = RelationGetRelid(target);
	bool		allowed = true;

	if (options->on_conflict == CONFLICT_UPDATE)
		allowed = pg_class_aclcheck(table, GetUserId(), ACL_UPDATE) == ACLCHECK_OK ||
			pg_attribute_aclcheck_all(table, GetUserId(), ACL_UPDATE, ACLMASK_ANY) == ACLCHECK_OK;
	allowed &= pg_class_aclcheck(table, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
	if (!allowed)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(target->rd_rel->relkind), RelationGetRelationName(target));
}

/* A name, or an array of names; as attribute numbers. */
static List *
named_columns(Relation target, Jsonb *options, const char *option)
{
	JsonbValue *value = jobs_columns_option(options, option);
	List	   *attnums = NIL;
	JsonbIterator *it;
	JsonbValue	v;

	if (value == NULL)
		return NIL;
	if (value->type == jbvString)
		return list_make1_int(jobs_columns_named(target, pnstrdup(value->val.string.val, value->val.string.len),
												 option));
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		jobs_refuse_option(errmsg("option \"%s\" must be an array of column names", option));
	it = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&it, &v, true);
	while (JsonbIteratorNext(&it, &v, true) == WJB_ELEM)
	{
		if (v.type != jbvString)
			jobs_refuse_option(errmsg("option \"%s\" must be an array of column names", option));
		attnums = list_append_unique_int(attnums,
										 jobs_columns_named(target, pnstrdup(v.val.string.val, v.val.string.len),
															option));
	}
	return attnums;
}

static OnConflict
on_conflict_option(Jsonb *options)
{
	static const char *const names[] = {"skip", "update", "error"};
	JsonbValue *value = jobs_columns_option(options, "on_conflict");

	if (value == NULL)
		return CONFLICT_SKIP;
	for (int i = 0; i < lengthof(names); i++)
	{
		if (value->type == jbvString && value->val.string.len == strlen(names[i]) &&
			strncmp(value->val.string.val, names[i], value->val.string.len) == 0)
			return (OnConflict) i;
	}
	jobs_refuse_option(errmsg("option \"on_conflict\" is not recognized"),
					   errhint("It is one of skip, update and error."));
	return CONFLICT_SKIP;
}
