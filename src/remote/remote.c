/*-------------------------------------------------------------------------
 *
 * remote.c
 *	  Runs a query on another server and hands its rows over, with libpq.
 *
 * The one function of the module jobs_remote.  Waiting can be interrupted;
 * after any error the query there is cancelled and the connection closed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "../compat.h"
#include "fmgr.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "../source.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT const void *jobs_remote_module(int version);

static void run(const JobsRemoteQuery *query);
static PGconn *connect_to(const JobsRemoteQuery *query);
static void wait_for(PGconn *conn, int events);
static void command(PGconn *conn, const char *sql);
static PGresult *get_result(PGconn *conn);
static void select_rows(PGconn *conn, const JobsRemoteQuery *query);
static void hand_over(PGresult *result, const JobsRemoteQuery *query, char **values);
pg_noreturn static void report(PGconn *conn, PGresult *result);
static void stop(int code, Datum arg);

/* A JobsRemoteModule, see module.h. */
const void *
jobs_remote_module(int version)
{
	static const JobsRemoteModule module = {run};

	return version == JOBS_REMOTE_VERSION ? &module : NULL;
}

/* The query there must end with the worker, also where that is terminated. */
static void
run(const JobsRemoteQuery *query)
{
	PGconn	   *conn = connect_to(query);

	PG_ENSURE_ERROR_CLEANUP(stop, PointerGetDatum(conn));
	{
		command(conn, query->settings);
		command(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
		select_rows(conn, query);
		command(conn, "COMMIT");
	}
	PG_END_ENSURE_ERROR_CLEANUP(stop, PointerGetDatum(conn));
	PQfinish(conn);
	ReleaseExternalFD();
}

static PGconn *
connect_to(const JobsRemoteQuery *query)
{
	PGconn	   *volatile conn;

	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to the other server"),
				 errdetail("There are too many open files on the local server."),
				 errhint("Raise the server's max_files_per_process and/or \"ulimit -n\" limits.")));
	conn = PQconnectStartParams(query->keywords, query->values, false);
	PG_TRY();
	{
		PostgresPollingStatusType status = PGRES_POLLING_WRITING;

		if (conn == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
		while (PQstatus(conn) != CONNECTION_BAD && status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED)
		{
			wait_for(conn, status == PGRES_POLLING_READING ? WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE);
			status = PQconnectPoll(conn);
		}
		if (PQstatus(conn) != CONNECTION_OK)
			ereport(ERROR,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("could not connect to the other server"),
					 errdetail_internal("%s", pchomp(PQerrorMessage(conn)))));
		if (query->need_password && !PQconnectionUsedPassword(conn))
			ereport(ERROR,
					(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
					 errmsg("password is required"),
					 errdetail("Non-superuser cannot connect if the server does not request a password."),
					 errhint("Target server's authentication method must be changed or password_required=false set in the user mapping attributes.")));
	}
	PG_CATCH();
	{
		PQfinish(conn);
		ReleaseExternalFD();
		PG_RE_THROW();
	}
	PG_END_TRY();
	return conn;
}

static void
wait_for(PGconn *conn, int events)
{
	(void) WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | events, PQsocket(conn), -1L,
							 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* One statement or several; their results are thrown away. */
static void
command(PGconn *conn, const char *sql)
{
	PGresult   *result;

	if (!PQsendQuery(conn, sql))
		report(conn, NULL);
	while ((result = get_result(conn)) != NULL)
	{
		ExecStatusType status = PQresultStatus(result);

		if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
			report(conn, result);
		PQclear(result);
	}
}

/* The next result of what was sent, NULL after the last. */
static PGresult *
get_result(PGconn *conn)
{
	while (PQisBusy(conn))
	{
		wait_for(conn, WL_SOCKET_READABLE);
		if (!PQconsumeInput(conn))
			report(conn, NULL);
	}
	return PQgetResult(conn);
}

/*
 * Not by a cursor, whose query could not run in parallel.  The rows come one by
 * one, so that their size does not matter.  The extended protocol takes no more
 * than one statement, however the other server reads the string.
 */
static void
select_rows(PGconn *conn, const JobsRemoteQuery *query)
{
	char	  **values = palloc((query->ncolumns + 1) * sizeof(char *));
	PGresult   *result;

	if (!PQsendQueryParams(conn, query->query, 0, NULL, NULL, NULL, NULL, 0) || !PQsetSingleRowMode(conn))
		report(conn, NULL);
	while ((result = get_result(conn)) != NULL)
	{
		ExecStatusType status = PQresultStatus(result);

		if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK)
			report(conn, result);
		hand_over(result, query, values);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(values);
}

/* Gives the rows of a result to the caller's function and clears it. */
static void
hand_over(PGresult *result, const JobsRemoteQuery *query, char **values)
{
	PG_TRY();
	{
		if (PQnfields(result) != query->ncolumns)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("the query has %d columns on the other server, not %d",
							PQnfields(result), query->ncolumns),
					 errhint("Tables and views that it reads must be the same on both servers.")));
		for (int i = 0; i < PQntuples(result); i++)
		{
			for (int j = 0; j < query->ncolumns; j++)
				values[j] = PQgetisnull(result, i, j) ? NULL : PQgetvalue(result, i, j);
			query->row(query->arg, values);
		}
	}
	PG_CATCH();
	{
		PQclear(result);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PQclear(result);
}

/* Raises the other server's error, or libpq's where there is none. */
static void
report(PGconn *conn, PGresult *result)
{
	const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	int			sqlstate = ERRCODE_CONNECTION_FAILURE;
	char	   *message = pstrdup(primary ? primary : pchomp(PQerrorMessage(conn)));
	char	   *detail_copy = detail ? pstrdup(detail) : NULL;
	char	   *hint_copy = hint ? pstrdup(hint) : NULL;

	if (code)
		sqlstate = MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]);
	PQclear(result);
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg_internal("%s", message),
			 detail_copy ? errdetail_internal("%s", detail_copy) : 0,
			 hint_copy ? errhint("%s", hint_copy) : 0,
			 errcontext("on the other server")));
}

/* In an error handler, or while the process exits. */
static void
stop(int code, Datum arg)
{
	PGconn	   *conn = (PGconn *) DatumGetPointer(arg);

	if (PQtransactionStatus(conn) == PQTRANS_ACTIVE)
	{
		PGcancel   *cancel = PQgetCancel(conn);
		char		buffer[256];

		if (cancel)
			(void) PQcancel(cancel, buffer, sizeof(buffer));
		PQfreeCancel(cancel);
	}
	PQfinish(conn);
	ReleaseExternalFD();
}
