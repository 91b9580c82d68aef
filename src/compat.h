/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Every difference between PostgreSQL 15, 16, 17 and 18 that the code meets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_COMPAT_H
#define JOBS_COMPAT_H

#include "postgres.h"

#include "catalog/pg_database.h"
#include "fmgr.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "jobs supports PostgreSQL 15 to 18"
#endif

/*
 * 16 took the macros for values of variable length out of postgres.h.  Can go with 15.
 */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#include "varatt.h"
#endif

/*
 * 18 has a word for functions that do not return, in front of a declaration;
 * before, there was an attribute behind it.  Can go with 17.
 */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/*
 * Came with minor versions of 15 and before.  Can go with 15.
 */
#ifndef DATCONNLIMIT_INVALID_DB
#define DATCONNLIMIT_INVALID_DB	(-2)
#endif

/*
 * 16 put a role's right to SET ROLE beside plain membership.  Can go with 15.
 */
#if PG_VERSION_NUM >= 160000
#define jobs_can_set_role(member, role) member_can_set_role(member, role)
#else
#define jobs_can_set_role(member, role) is_member_of_role(member, role)
#endif

/*
 * 16 replaced pg_database_aclcheck and its kind by one function.  Can go with 15.
 */
#if PG_VERSION_NUM >= 160000
#define jobs_database_aclcheck(db, role, mode) \
	object_aclcheck(DatabaseRelationId, db, role, mode)
#else
#define jobs_database_aclcheck(db, role, mode) pg_database_aclcheck(db, role, mode)
#endif

/*
 * 16 replaced the ownercheck of each kind by one function, too.  Can go with 15.
 */
#if PG_VERSION_NUM >= 160000
#define jobs_database_ownercheck(db, role) object_ownercheck(DatabaseRelationId, db, role)
#define jobs_extension_ownercheck(ext, role) object_ownercheck(ExtensionRelationId, ext, role)
#define jobs_foreign_server_aclcheck(server, role, mode) \
	object_aclcheck(ForeignServerRelationId, server, role, mode)
#define jobs_proc_aclcheck(proc, role, mode) object_aclcheck(ProcedureRelationId, proc, role, mode)
#else
#define jobs_database_ownercheck(db, role) pg_database_ownercheck(db, role)
#define jobs_extension_ownercheck(ext, role) pg_extension_ownercheck(ext, role)
#define jobs_foreign_server_aclcheck(server, role, mode) pg_foreign_server_aclcheck(server, role, mode)
#define jobs_proc_aclcheck(proc, role, mode) pg_proc_aclcheck(proc, role, mode)
#endif

/*
 * 17 lets a background worker connect as a role without LOGIN.  Before, such
 * a job runs with its submitter as the session's role.  Can go with 16.
 */
#if PG_VERSION_NUM >= 170000
#define JOBS_CONNECT_FLAGS	BGWORKER_BYPASS_ROLELOGINCHECK
#define JOBS_CAN_BYPASS_LOGIN	true
#else
#define JOBS_CONNECT_FLAGS	0
#define JOBS_CAN_BYPASS_LOGIN	false
#endif

/*
 * 18 dropped run_once from PortalRun and execute_once from ExecutorRun.  Can go with 17.
 */
#if PG_VERSION_NUM >= 180000
#define jobs_PortalRun(portal, count, top, dest, altdest, qc) \
	PortalRun(portal, count, top, dest, altdest, qc)
#define jobs_ExecutorRun(desc, dir, count) ExecutorRun(desc, dir, count)
#else
#define jobs_PortalRun(portal, count, top, dest, altdest, qc) \
	PortalRun(portal, count, top, true, dest, altdest, qc)
#define jobs_ExecutorRun(desc, dir, count) ExecutorRun(desc, dir, count, true)
#endif

/*
 * 16 gave EvalPlanQualInit a list of result relations.  Can go with 15.
 */
#if PG_VERSION_NUM >= 160000
#define jobs_EvalPlanQualInit(epq, estate) EvalPlanQualInit(epq, estate, NULL, NIL, -1, NIL)
#else
#define jobs_EvalPlanQualInit(epq, estate) EvalPlanQualInit(epq, estate, NULL, NIL, -1)
#endif

/*
 * 16 can leave out summarizing indexes.  Can go with 15.
 */
#if PG_VERSION_NUM >= 160000
#define jobs_ExecInsertIndexTuples(target, slot, estate) \
	ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL, false)
#else
#define jobs_ExecInsertIndexTuples(target, slot, estate) \
	ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL)
#endif

/*
 * 17 lets an index keep pins of buffers from one insert to the next.  Can go with 16.
 */
#if PG_VERSION_NUM >= 170000
#define jobs_keeps_pins(index) ((index)->rd_indam->aminsertcleanup != NULL)
#define jobs_index_insert_cleanup(index, info) index_insert_cleanup(index, info)
#else
#define jobs_keeps_pins(index) ((void) (index), false)
#define jobs_index_insert_cleanup(index, info) ((void) (index), (void) (info))
#endif

/*
 * 18 counts index searches in an argument of index_beginscan.  Can go with 17.
 */
#if PG_VERSION_NUM >= 180000
#define jobs_index_beginscan(rel, index, snapshot, nkeys) \
	index_beginscan(rel, index, snapshot, NULL, nkeys, 0)
#else
#define jobs_index_beginscan(rel, index, snapshot, nkeys) \
	index_beginscan(rel, index, snapshot, nkeys, 0)
#endif

/*
 * 16 keeps permissions apart from the range table, and 18 wants to know which
 * relations were not pruned.  Can go with 15 and 17.
 */
#if PG_VERSION_NUM >= 180000
#define jobs_ExecInitRangeTable(estate, pstate) \
	ExecInitRangeTable(estate, (pstate)->p_rtable, (pstate)->p_rteperminfos, bms_make_singleton(1))
#elif PG_VERSION_NUM >= 160000
#define jobs_ExecInitRangeTable(estate, pstate) \
	ExecInitRangeTable(estate, (pstate)->p_rtable, (pstate)->p_rteperminfos)
#else
#define jobs_ExecInitRangeTable(estate, pstate) ExecInitRangeTable(estate, (pstate)->p_rtable)
#endif

/*
 * 16 makes the map from a partitioned table to a partition when it is asked for.
 * Can go with 15.
 */
#if PG_VERSION_NUM >= 160000
#define jobs_root_to_child_map(rri, estate) ExecGetRootToChildMap(rri, estate)
#else
#define jobs_root_to_child_map(rri, estate) ((rri)->ri_RootToPartitionMap)
#endif

/*
 * 16 calls the number of a table's file by another name.  Can go with 15.
 */
#if PG_VERSION_NUM >= 160000
#define jobs_file_number(rel) ((rel)->rd_locator.relNumber)
#else
#define jobs_file_number(rel) ((rel)->rd_node.relNode)
#endif

/*
 * 16 reads whole numbers as 0x1F and 1_000, too.  Can go with 15.
 */
#define JOBS_INTEGERS_HAVE_PREFIXES	(PG_VERSION_NUM >= 160000)

/*
 * 16 gave the decoder of times room to say what is wrong, and the rounding of
 * their fractions a way to do so.  Can go with 15.
 */
#if PG_VERSION_NUM >= 160000
#define jobs_DecodeDateTime(field, ftype, nf, dtype, tm, fsec, tz) \
	DecodeDateTime(field, ftype, nf, dtype, tm, fsec, tz, &(DateTimeErrorExtra) {0})
#define jobs_AdjustTimestampForTypmod(time, typmod) ((void) AdjustTimestampForTypmod(time, typmod, NULL))
#else
#define jobs_DecodeDateTime(field, ftype, nf, dtype, tm, fsec, tz) \
	DecodeDateTime(field, ftype, nf, dtype, tm, fsec, tz)
#define jobs_AdjustTimestampForTypmod(time, typmod) AdjustTimestampForTypmod(time, typmod)
#endif

/*
 * 16 lets maps of attributes have holes.  Can go with 15.
 */
#if PG_VERSION_NUM >= 160000
#define jobs_attrmap_if_req(in, out) build_attrmap_by_name_if_req(in, out, false)
#else
#define jobs_attrmap_if_req(in, out) build_attrmap_by_name_if_req(in, out)
#endif

/*
 * 18 has constraints that are not enforced, or of periods, and generated columns that
 * are not stored; an expression that has one is expanded before it is used.
 * Can go with 17.
 */
#if PG_VERSION_NUM >= 180000
#include "rewrite/rewriteHandler.h"
#define jobs_is_temporal(constraint) ((constraint)->conperiod)
#define jobs_without_overlaps(info) ((info)->ii_WithoutOverlaps)
#define jobs_check_is_enforced(check) ((check)->ccenforced)
#define jobs_is_virtual(att) ((att)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#define jobs_expand_generated(node, rel) expand_generated_columns_in_expr(node, rel, 1)
#else
#define jobs_is_temporal(constraint) false
#define jobs_without_overlaps(info) false
#define jobs_check_is_enforced(check) true
#define jobs_is_virtual(att) false
#define jobs_expand_generated(node, rel) ((void) (rel), (Node *) (node))
#endif

/*
 * 17 can begin the parsing of JSON in memory of the caller.  Can go with 16.
 */
#if PG_VERSION_NUM >= 170000
#define jobs_json_lexer(text, len) \
	makeJsonLexContextCstringLen(NULL, text, len, GetDatabaseEncoding(), false)
#else
#define jobs_json_lexer(text, len) \
	makeJsonLexContextCstringLen(unconstify(char *, text), len, GetDatabaseEncoding(), false)
#endif

/*
 * 16 lets input functions say that they refuse a text without raising an error,
 * where they can; the result is NULL, or what they say.  Can go with 15.
 */
#if PG_VERSION_NUM >= 160000
static inline ErrorData *
jobs_input_call(FmgrInfo *function, char *text, Oid ioparam, int32 typmod, Datum *value)
{
	ErrorSaveContext context = {T_ErrorSaveContext};

	context.details_wanted = true;
	if (InputFunctionCallSafe(function, text, ioparam, typmod, (Node *) &context, value))
		return NULL;
	return context.error_data;
}
#else
static inline ErrorData *
jobs_input_call(FmgrInfo *function, char *text, Oid ioparam, int32 typmod, Datum *value)
{
	*value = InputFunctionCall(function, text, ioparam, typmod);
	return NULL;
}
#endif

#endif							/* JOBS_COMPAT_H */
