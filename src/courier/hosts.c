/*-------------------------------------------------------------------------
 *
 * hosts.c
 *	  Which of several servers an attempt to connect begins with.
 *
 * A connection string may name several, of which one is the primary.  libpq goes on to
 * the next where one refuses, or is not what is asked for; but one that says nothing it
 * leaves only in calls that wait, as connect_timeout has it.  Here nothing waits, so an
 * attempt that takes too long is given up, and the next one begins with another host.
 *
 *-------------------------------------------------------------------------
 */
#include "courier.h"

#include <stdlib.h>
#include <string.h>

/* Where connect_timeout does not say otherwise, and what libpq has it be at least. */
#define CONNECT_MS 15000
#define LEAST_CONNECT_MS 2000

/* Each has one element, or as many as the others. */
static const char *const keywords[HOST_LISTS] = {"host", "hostaddr", "port"};

static int	rotate(char **list, const char *value);

/*
 * Words of the connection string go before the first four.  A host that has vanished
 * is noticed in a minute.
 */
PGconn *
hosts_begin_connect(const Hosts *hosts, const Config *config)
{
	const char *const names[] = {
		"keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
		"dbname", "fallback_application_name", "client_encoding",
		keywords[0], keywords[1], keywords[2], NULL
	};
	const char *const values[] = {
		"30", "10", "3", "30000",
		config->dsn, PROGRAM, "UTF8",
		hosts->lists[0], hosts->lists[1], hosts->lists[2], NULL
	};

	return PQconnectStartParams(names, values, 1);
}

int64_t
hosts_patience(PGconn *conn)
{
	PQconninfoOption *options = PQconninfo(conn);
	int64_t		ms = CONNECT_MS;

	for (PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++)
	{
		if (strcmp(option->keyword, "connect_timeout") == 0 && option->val != NULL && atoi(option->val) > 0)
			ms = atoi(option->val) * INT64_C(1000);
	}
	PQconninfoFree(options);
	return ms > LEAST_CONNECT_MS ? ms : LEAST_CONNECT_MS;
}

/* The lists may be in the string, the environment or a service's file; libpq has found them. */
int
hosts_next(Hosts *hosts, PGconn *conn)
{
	PQconninfoOption *options = PQconninfo(conn);
	int			most = 1;

	for (PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++)
	{
		for (int i = 0; i < HOST_LISTS; i++)
		{
			if (strcmp(option->keyword, keywords[i]) == 0 && option->val != NULL)
			{
				int			n = rotate(&hosts->lists[i], option->val);

				most = n > most ? n : most;
			}
		}
	}
	PQconninfoFree(options);
	return most;
}

/* Makes the first element the last; returns how many there are.  One alone stays what it is. */
static int
rotate(char **list, const char *value)
{
	const char *comma = strchr(value, ',');
	Buffer		rotated = {NULL};
	int			n = 1;

	for (const char *c = comma; c != NULL; c = strchr(c + 1, ','))
		n++;
	if (comma == NULL)
		return n;
	buffer_printf(&rotated, "%s,", comma + 1);
	buffer_append(&rotated, value, comma - value);
	free(*list);
	*list = rotated.data;
	return n;
}

void
hosts_free(Hosts *hosts)
{
	for (int i = 0; i < HOST_LISTS; i++)
		free(hosts->lists[i]);
	*hosts = (Hosts) {0};
}
