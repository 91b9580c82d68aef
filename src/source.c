/*-------------------------------------------------------------------------
 *
 * source.c
 *	  Exports whose query another server runs, such as a read replica.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "compat.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "module.h"
#include "nodes/pg_list.h"
#include "source.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static const JobsModule remote_module = {
	"jobs_remote", "jobs_remote_module", JOBS_REMOTE_VERSION,
	"an export from another server is", "libpq's headers are installed (Debian: libpq-dev)"
};

/* Rows on their way from text to the format. */
typedef struct Reader
{
	TupleTableSlot *slot;
	FmgrInfo   *input;
	Oid		   *ioparams;
	MemoryContext row_context;
	JobsSourceRow row;
	void	   *arg;
} Reader;

static ForeignServer *find_server(const char *name);
static bool password_is_needed(const UserMapping *mapping);
static void add_options(List *options, const char **keywords, const char **values, int *n);
static char *session_settings(void);
static Reader *reader_begin(TupleDesc desc, JobsSourceRow row, void *arg);
static void read_row(void *arg, char **values);

/* Those of postgres_fdw that are not for a connection. */
static const char *const other_options[] = {
	"use_remote_estimate", "fdw_startup_cost", "fdw_tuple_cost", "extensions", "updatable", "truncatable",
	"fetch_size", "batch_size", "async_capable", "parallel_commit", "parallel_abort", "analyze_sampling",
	"keep_connections", "password_required", "use_scram_passthrough"
};

void
jobs_source_check(const char *name)
{
	ForeignServer *server = find_server(name);
	UserMapping *mapping = GetUserMapping(GetUserId(), server->serverid);

	if (password_is_needed(mapping))
	{
		ListCell   *cell;
		bool		found = false;

		foreach(cell, mapping->options)
		{
			DefElem    *option = lfirst_node(DefElem, cell);

			found |= strcmp(option->defname, "password") == 0 && strVal(option->arg)[0] != '\0';
		}
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
					 errmsg("password is required"),
					 errdetail("Non-superusers must provide a password in the user mapping."),
					 errhint("Use ALTER USER MAPPING to add the option password.")));
	}
	jobs_require_module(&remote_module);
}

static ForeignServer *
find_server(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, false);
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(server->fdwid);

	if (jobs_foreign_server_aclcheck(server->serverid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, name);
	if (strcmp(wrapper->fdwname, "postgres_fdw") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("server \"%s\" is not one of postgres_fdw", name),
				 errhint("Create a server with FOREIGN DATA WRAPPER postgres_fdw.")));
	return server;
}

/*
 * As in postgres_fdw: without it, whoever may make a user mapping could connect
 * as what the server's operating system user can connect as.
 */
static bool
password_is_needed(const UserMapping *mapping)
{
	ListCell   *cell;

	if (superuser_arg(mapping->userid ? mapping->userid : GetUserId()))
		return false;
	foreach(cell, mapping->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "password_required") == 0)
			return defGetBoolean(option);
	}
	return true;
}

void
jobs_source_run(const char *name, const char *query, TupleDesc desc, JobsSourceRow row, void *arg)
{
	ForeignServer *server;
	UserMapping *mapping;
	const char **keywords;
	const char **values;
	int			n = 0;
	JobsRemoteQuery remote = {0};

	jobs_source_check(name);
	server = find_server(name);
	mapping = GetUserMapping(GetUserId(), server->serverid);
	n = list_length(server->options) + list_length(mapping->options) + 3;
	keywords = palloc0(n * sizeof(char *));
	values = palloc0(n * sizeof(char *));
	n = 0;
	add_options(server->options, keywords, values, &n);
	add_options(mapping->options, keywords, values, &n);
	keywords[n] = "fallback_application_name";
	values[n++] = "jobs";
	keywords[n] = "client_encoding";
	values[n++] = GetDatabaseEncodingName();

	remote.keywords = keywords;
	remote.values = values;
	remote.need_password = password_is_needed(mapping);
	remote.settings = session_settings();
	remote.query = query;
	remote.ncolumns = desc->natts;
	remote.row = read_row;
	remote.arg = reader_begin(desc, row, arg);
	((const JobsRemoteModule *) jobs_load_module(&remote_module))->run(&remote);
}

static void
add_options(List *options, const char **keywords, const char **values, int *n)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);
		bool		other = false;

		for (int i = 0; i < lengthof(other_options); i++)
			other |= strcmp(option->defname, other_options[i]) == 0;
		if (other)
			continue;
		keywords[*n] = option->defname;
		values[(*n)++] = defGetString(option);
	}
}

/* The query means there what it means here, and values come in a form that loses nothing. */
static char *
session_settings(void)
{
	return psprintf("SELECT pg_catalog.set_config('search_path', %s, false), pg_catalog.set_config('TimeZone', %s, false); "
					"SET DateStyle = ISO; SET IntervalStyle = postgres; SET extra_float_digits = 3; SET bytea_output = hex",
					quote_literal_cstr(namespace_search_path),
					quote_literal_cstr(GetConfigOption("TimeZone", false, false)));
}

static Reader *
reader_begin(TupleDesc desc, JobsSourceRow row, void *arg)
{
	Reader	   *reader = palloc0(sizeof(Reader));

	reader->slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	reader->input = palloc0(desc->natts * sizeof(FmgrInfo));
	reader->ioparams = palloc0(desc->natts * sizeof(Oid));
	reader->row_context = AllocSetContextCreate(CurrentMemoryContext, "jobs source row", ALLOCSET_DEFAULT_SIZES);
	reader->row = row;
	reader->arg = arg;
	for (int i = 0; i < desc->natts; i++)
	{
		Oid			function;

		getTypeInputInfo(TupleDescAttr(desc, i)->atttypid, &function, &reader->ioparams[i]);
		fmgr_info(function, &reader->input[i]);
	}
	return reader;
}

static void
read_row(void *arg, char **values)
{
	Reader	   *reader = arg;
	TupleTableSlot *slot = reader->slot;
	MemoryContext old = MemoryContextSwitchTo(reader->row_context);

	ExecClearTuple(slot);
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
	{
		slot->tts_isnull[i] = values[i] == NULL;
		slot->tts_values[i] = InputFunctionCall(&reader->input[i], values[i], reader->ioparams[i],
												TupleDescAttr(slot->tts_tupleDescriptor, i)->atttypmod);
	}
	ExecStoreVirtualTuple(slot);
	MemoryContextSwitchTo(old);
	reader->row(reader->arg, slot);
	MemoryContextReset(reader->row_context);
}
