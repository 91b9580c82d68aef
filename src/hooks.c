/*-------------------------------------------------------------------------
 *
 * hooks.c
 *	  Utility commands that the extension must not stand in the way of.
 *
 * Commands that need a database without sessions (DROP, RENAME, SET TABLESPACE,
 * use as a template) make its scheduler and idle workers leave first, for
 * before PostgreSQL 19 nobody tells background workers to.  A running job is
 * like any session: it is in the way until it ends.
 *
 * DROP EXTENSION ends the running jobs too, because an export holds locks on
 * the extension's tables.  Where the transaction is rolled back they run again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "compat.h"
#include "hooks.h"
#include "miscadmin.h"
#include "shmem.h"
#include "slots.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "wake.h"

#define WAIT_STEP_US	2000L
#define WAIT_US			(3 * USECS_PER_SEC) /* PostgreSQL itself waits for 5 s */

static ProcessUtility_hook_type prev_ProcessUtility_hook = NULL;

/*
 * Databases that this transaction keeps quiet (of JobsDatabase *), in its memory.
 * It ends that when it ends, also by a FATAL error.
 */
static List *quieted = NIL;

static void process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
							ProcessUtilityContext context, ParamListInfo params,
							QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc);
static Oid	database_to_empty(Node *statement);
static Oid	template_of(CreatedbStmt *statement);
static bool may_empty(Oid dboid, bool as_template);
static bool drops_extension(Node *statement);
static JobsDatabase *make_quiet(Oid dboid);
static void end_quiet(JobsDatabase *db);
static void wait_until_empty(JobsDatabase *db, bool busy_too);
static bool is_empty(JobsDatabase *db, bool busy_too);
static void stop_workers(Oid dboid);
static void at_xact_end(XactEvent event, void *arg);

void
jobs_hooks_init(void)
{
	prev_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	RegisterXactCallback(at_xact_end, NULL);
}

static void
process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *statement = pstmt->utilityStmt;
	Oid			dboid = database_to_empty(statement);
	JobsDatabase *db;
	TransactionStmt *transaction = IsA(statement, TransactionStmt) ? (TransactionStmt *) statement : NULL;
	bool		ends_prepared = transaction && (transaction->kind == TRANS_STMT_COMMIT_PREPARED ||
												transaction->kind == TRANS_STMT_ROLLBACK_PREPARED);

	if (OidIsValid(dboid) && (db = make_quiet(dboid)) != NULL)
		wait_until_empty(db, false);
	else if (drops_extension(statement) && (db = make_quiet(MyDatabaseId)) != NULL)
		wait_until_empty(db, true);
	if (transaction && transaction->kind == TRANS_STMT_PREPARE)
		jobs_wake_prepare(transaction->gid);
	if (ends_prepared)
		jobs_wake_end_prepared(transaction->gid);

	if (prev_ProcessUtility_hook)
		prev_ProcessUtility_hook(pstmt, query, read_only_tree, context, params, env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, env, dest, qc);

	if (ends_prepared)
		jobs_wake_prepared_ended();
}

/* ------------------------------------------------------------------------
 * Which commands
 * ------------------------------------------------------------------------
 */

/* The database that must have no sessions for this command, if its caller may ask for that. */
static Oid
database_to_empty(Node *statement)
{
	Oid			dboid = InvalidOid;
	bool		as_template = false;

	if (IsA(statement, DropdbStmt))
		dboid = get_database_oid(((DropdbStmt *) statement)->dbname, true);
	else if (IsA(statement, RenameStmt) && ((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
		dboid = get_database_oid(((RenameStmt *) statement)->subname, true);
	else if (IsA(statement, AlterDatabaseStmt))
	{
		AlterDatabaseStmt *alter = (AlterDatabaseStmt *) statement;
		ListCell   *cell;

		foreach(cell, alter->options)
		{
			if (strcmp(lfirst_node(DefElem, cell)->defname, "tablespace") == 0)
				dboid = get_database_oid(alter->dbname, true);
		}
	}
	else if (IsA(statement, CreatedbStmt))
	{
		dboid = template_of((CreatedbStmt *) statement);
		as_template = true;
	}
	/* One's own database can only be a template. */
	if (!OidIsValid(dboid) || (dboid == MyDatabaseId && !as_template) || !may_empty(dboid, as_template))
		return InvalidOid;
	return dboid;
}

static Oid
template_of(CreatedbStmt *statement)
{
	const char *name = "template1";
	ListCell   *cell;

	foreach(cell, statement->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "template") == 0 && option->arg)
			name = defGetString(option);
	}
	return get_database_oid(name, true);
}

/* Those who will be refused must not disturb anybody on the way. */
static bool
may_empty(Oid dboid, bool as_template)
{
	HeapTuple	tuple;
	bool		may = jobs_database_ownercheck(dboid, GetUserId());

	if (may || !as_template)
		return may;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	may = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (!may)
		return false;
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dboid));
	may = HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return may;
}

static bool
drops_extension(Node *statement)
{
	DropStmt   *drop = (DropStmt *) statement;
	ListCell   *cell;
	Oid			extension;

	if (!IsA(statement, DropStmt) || drop->removeType != OBJECT_EXTENSION)
		return false;
	foreach(cell, drop->objects)
	{
		if (strcmp(strVal(lfirst(cell)), "jobs") != 0)
			continue;
		extension = get_extension_oid("jobs", true);
		return OidIsValid(extension) && jobs_extension_ownercheck(extension, GetUserId());
	}
	return false;
}

/* ------------------------------------------------------------------------
 * Quiet
 * ------------------------------------------------------------------------
 */

/* From now on nothing starts there.  NULL where nothing could have. */
static JobsDatabase *
make_quiet(Oid dboid)
{
	JobsDatabase *db = jobs_database(dboid, false);
	MemoryContext old;

	if (db == NULL)
		return NULL;
	old = MemoryContextSwitchTo(TopTransactionContext);
	quieted = lappend(quieted, db);
	MemoryContextSwitchTo(old);
	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	db->quiet++;
	db->leave = true;
	if (db->scheduler_latch)
		SetLatch(db->scheduler_latch);
	LWLockRelease(jobs_shared->lock);
	return db;
}

/* A database that is gone is found out by the launcher, an extension by the scheduler. */
static void
end_quiet(JobsDatabase *db)
{
	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	if (--db->quiet == 0)
	{
		db->leave = false;
		db->wanted = db->scheduler_pid == 0;
		/* One that could not leave deals again. */
		if (db->scheduler_latch)
			SetLatch(db->scheduler_latch);
	}
	LWLockRelease(jobs_shared->lock);
	/* Their jobs may have gone with the extension. */
	for (int i = 0; i < JOBS_WAIT_CVS; i++)
		ConditionVariableBroadcast(&db->changed[i]);
	jobs_wake_launcher();
}

/*
 * Busy workers are stopped at each turn, for one that was only about to start
 * can have begun a job since the last.
 */
static void
wait_until_empty(JobsDatabase *db, bool busy_too)
{
	TimestampTz until = GetCurrentTimestamp() + WAIT_US;

	while (!is_empty(db, busy_too) && GetCurrentTimestamp() < until)
	{
		CHECK_FOR_INTERRUPTS();
		if (busy_too)
			stop_workers(db->dboid);
		pg_usleep(WAIT_STEP_US);
	}
}

/* While a job runs, waiting for the rest would be in vain. */
static bool
is_empty(JobsDatabase *db, bool busy_too)
{
	bool		empty;

	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	empty = db->scheduler_pid == 0 && !db->starting;
	LWLockRelease(jobs_shared->lock);
	return (empty && !jobs_has_slots(db->dboid)) || (!busy_too && jobs_any_busy(db->dboid));
}

static void
stop_workers(Oid dboid)
{
	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	for (int i = 0; i < jobs_shared->nslots; i++)
	{
		JobsSlot   *slot = &jobs_shared->slots[i];

		/* A job that drops the extension ends with its own transaction. */
		if (slot->dboid == dboid && slot->state == SLOT_ALIVE && slot->pid != MyProcPid)
			kill(slot->pid, SIGTERM);
	}
	LWLockRelease(jobs_shared->lock);
}

static void
at_xact_end(XactEvent event, void *arg)
{
	ListCell   *cell;

	if (quieted == NIL || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE))
		return;
	foreach(cell, quieted)
		end_quiet(lfirst(cell));
	quieted = NIL;
}
