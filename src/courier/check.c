/*-------------------------------------------------------------------------
 *
 * check.c
 *	  jobs-courier --check: whether what is configured works.
 *
 * Connects and logs in, asks for rights, and sends nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "courier.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

static const char *const functions[] = {
	"jobs.claim_deliveries(text, integer, interval)",
	"jobs.finish_delivery(bigint, integer, text)",
	"jobs.fail_delivery(bigint, integer, text, boolean, interval)",
	"jobs.next_delivery(text)"
};

static bool check_database(const Config *config);
static PGconn *connect_to_any(const Config *config, bool *good);
static bool connect_wait(PGconn *conn);
static bool check_functions(PGconn *conn);
static bool check_smtp(const Config *config);
static size_t count_reply(char *line, size_t size, size_t count, void *arg);
static void print(bool good, const char *what, const char *text);

int
check(const Config *config)
{
	bool		good = check_database(config);

	if (config->channels[CHANNEL_EMAIL])
		good = check_smtp(config) && good;
	if (config->channels[CHANNEL_WEBHOOK])
	{
		int			keys = 0;
		char		text[200];

		for (const Secret *secret = config->secrets; secret != NULL; secret = secret->next)
			keys++;
		snprintf(text, sizeof(text), "%d key%s%s%s", keys, keys == 1 ? "" : "s",
				 config->allow_private ? ", private addresses are allowed" : "",
				 config->allow_http ? ", http is allowed" : "");
		print(true, "webhooks", text);
	}
	return good ? 0 : 1;
}

static bool
check_database(const Config *config)
{
	bool		good;
	PGconn	   *conn = connect_to_any(config, &good);
	char		text[REASON];

	if (good)
	{
		snprintf(text, sizeof(text), "\"%s\" as \"%s\"", PQdb(conn), PQuser(conn));
		print(true, "database", text);
		good = check_functions(conn);
	}
	else
	{
		const char *message = conn != NULL ? PQerrorMessage(conn) : "out of memory";

		make_printable(text, sizeof(text), message, strlen(message));
		print(false, "database", text[0] != '\0' ? text : "no answer");
	}
	PQfinish(conn);
	return good;
}

/* Each of several hosts is the first once. */
static PGconn *
connect_to_any(const Config *config, bool *good)
{
	Hosts		hosts = {0};
	PGconn	   *conn = NULL;
	int			n = 1;

	*good = false;
	for (int i = 0; i < n && !*good; i++)
	{
		PQfinish(conn);
		conn = hosts_begin_connect(&hosts, config);
		*good = conn != NULL && connect_wait(conn);
		n = hosts_next(&hosts, conn);
	}
	hosts_free(&hosts);
	return conn;
}

static bool
connect_wait(PGconn *conn)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;
	int64_t		deadline = now_ms() + hosts_patience(conn);

	while (PQstatus(conn) != CONNECTION_BAD && status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED)
	{
		struct pollfd fd = {PQsocket(conn), status == PGRES_POLLING_READING ? POLLIN : POLLOUT, 0};
		int64_t		left = deadline - now_ms();

		if (left <= 0 || poll(&fd, 1, left) <= 0)
			return false;
		status = PQconnectPoll(conn);
	}
	return PQstatus(conn) == CONNECTION_OK;
}

static bool
check_functions(PGconn *conn)
{
	bool		good = true;

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
	{
		const char *values[] = {functions[i]};
		PGresult   *result = PQexecParams(conn, "SELECT pg_catalog.to_regprocedure($1) IS NOT NULL,"
										  " pg_catalog.has_function_privilege(pg_catalog.to_regprocedure($1), 'EXECUTE')",
										  1, NULL, values, NULL, NULL, 0);
		const char *found = PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "";
		const char *allowed = PQntuples(result) == 1 ? PQgetvalue(result, 0, 1) : "";

		if (PQresultStatus(result) != PGRES_TUPLES_OK)
		{
			char		text[REASON];

			make_printable(text, sizeof(text), PQresultErrorMessage(result), strlen(PQresultErrorMessage(result)));
			print(false, "rights", text);
			good = false;
		}
		else if (*found != 't' || *allowed != 't')
		{
			char		text[REASON];

			snprintf(text, sizeof(text), *found != 't' ? "there is no %s" : "no right to call %s", functions[i]);
			print(false, "rights", text);
			good = false;
		}
		PQclear(result);
		if (!good)
			return false;
	}
	print(true, "rights", "all functions can be called");
	return true;
}

/* The command NOOP, after logging in. */
static bool
check_smtp(const Config *config)
{
	CURL	   *easy = curl_easy_init();
	char		error[CURL_ERROR_SIZE] = "";
	char		text[REASON];
	CURLcode	code;

	if (easy == NULL)
		return false;
	mail_server(easy, config);
	curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "NOOP");
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, count_reply);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, 10L);
	code = curl_easy_perform(easy);
	curl_easy_cleanup(easy);
	make_printable(text, sizeof(text), error, strlen(error));
	if (code == CURLE_OK)
		snprintf(text, sizeof(text), "%s%s", config->smtp_url, config->smtp_user != NULL ? ", logged in" : "");
	else if (text[0] == '\0')
		snprintf(text, sizeof(text), "%s", curl_easy_strerror(code));
	print(code == CURLE_OK, "mail", text);
	return code == CURLE_OK;
}

/* Lines of the server's would go to stdout otherwise. */
static size_t
count_reply(char *line, size_t size, size_t count, void *arg)
{
	return size * count;
}

static void
print(bool good, const char *what, const char *text)
{
	printf("%-6s %s: %s\n", good ? "ok" : "FAILED", what, text);
}
