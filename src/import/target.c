/*-------------------------------------------------------------------------
 *
 * target.c
 *	  The table or view that a file goes to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "common/hashfn.h"
#include "import/import.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "parser/parsetree.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static bool is_handled(Relation view);

Relation
jobs_target_open(Oid target, const char *name, LOCKMODE mode)
{
	Relation	rel = try_relation_open(target, mode);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 name ? errmsg("table %s has been dropped", name) : errmsg("there is no table with OID %u", target),
				 errhint("Preview the file again, with a table that is there.")));
	return rel;
}

char *
jobs_target_version(Relation target)
{
	TupleDesc	desc = RelationGetDescr(target);
	StringInfoData shape;

	initStringInfo(&shape);
	appendStringInfo(&shape, "%u %c", RelationGetRelid(target), target->rd_rel->relkind);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(desc, i);

		if (!a->attisdropped)
			appendStringInfo(&shape, ";%d %s %u %d %u %c %c", a->attnum, NameStr(a->attname), a->atttypid, a->atttypmod,
							 a->attcollation, a->attidentity ? a->attidentity : '-',
							 a->attgenerated ? a->attgenerated : '-');
	}
	if (target->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
	{
		ListCell   *cell;

		foreach(cell, find_all_inheritors(RelationGetRelid(target), AccessShareLock, NULL))
			appendStringInfo(&shape, ",%u", lfirst_oid(cell));
	}
	return psprintf("%016llx", (unsigned long long) hash_bytes_extended((unsigned char *) shape.data, shape.len, 0));
}

char *
jobs_target_name(Oid target)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(target)), get_rel_name(target));
}

/* A simple view hands on what it shows as it is, and not what it computes ... */
bool
jobs_target_generates(Relation target, AttrNumber attnum)
{
	Bitmapset  *column;
	Query	   *query;
	Var		   *var;
	Relation	base;
	bool		generated;

	if (target->rd_rel->relkind != RELKIND_VIEW)
		return TupleDescAttr(RelationGetDescr(target), attnum - 1)->attgenerated != '\0';
	if (is_handled(target))
		return false;
	column = bms_make_singleton(attnum - FirstLowInvalidHeapAttributeNumber);
	if ((relation_is_updatable(RelationGetRelid(target), NIL, true, column) & (1 << CMD_INSERT)) == 0)
		return true;

	/* ... nor what its table does. */
	query = get_view_query(target);
	var = castNode(Var, get_tle_by_resno(query->targetList, attnum)->expr);
	base = relation_open(rt_fetch(var->varno, query->rtable)->relid, AccessShareLock);
	generated = jobs_target_generates(base, var->varattno);
	relation_close(base, NoLock);
	return generated;
}

/* By an INSTEAD OF trigger or a rule, to which all columns go. */
static bool
is_handled(Relation view)
{
	if (view->trigdesc && view->trigdesc->trig_insert_instead_row)
		return true;
	for (int i = 0; i < view->rd_rules->numLocks; i++)
	{
		RewriteRule *rule = view->rd_rules->rules[i];

		if (rule->event == CMD_INSERT && rule->isInstead && rule->qual == NULL)
			return true;
	}
	return false;
}
