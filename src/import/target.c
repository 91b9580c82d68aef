/*-------------------------------------------------------------------------
 *
 * target.c
 *	  The table or view that a file goes to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "common/hashfn.h"
#include "import/import.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

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
