/*-------------------------------------------------------------------------
 *
 * database.c
 *	  The connection to the database: claims deliveries, reports what became of
 *	  them, and listens for new ones.
 *
 * Nothing here waits.  One command at a time is under way; when its answer is
 * there, next_request chooses another: first what is to be reported, then a claim
 * for each channel with free places that may have something, then the question
 * when the next delivery comes due.  After that the server is left alone until
 * it notifies or the time has come.
 *
 * Whoever deletes a job holds its deliveries until the transaction ends, which
 * any role can leave open.  A report does not wait for that: it is put off, and
 * after some attempts the delivery is left to its lease.
 *
 * A connection that is lost, and a command that fails, lead to a new connection
 * after a while.  Outcomes wait for it; a claim whose answer is lost is as good
 * as that of a courier that died.  A notification can be forged by any role, and
 * so leads to a look and to nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "courier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_MS 60000
#define MAX_RETRY_MS 30000

/* Between two claims that find nothing, whatever notifications say. */
#define LOOK_MS 100

/* What the server says where somebody else has the row. */
#define LOCK_NOT_AVAILABLE "55P03"

/* How often an outcome is reported before its delivery is left to its lease. */
#define MAX_ERRORS 3

#define SETUP_SQL "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false)," \
	" pg_catalog.set_config('lock_timeout', '1s', false); LISTEN jobs_delivery"
#define FINISH_SQL "SELECT jobs.finish_delivery($1, $2, $3)"
#define FAIL_SQL "SELECT jobs.fail_delivery($1, $2, $3, $4, $5)"
#define CLAIM_SQL "SELECT delivery, attempt, message_id, address, subject, body, html, payload," \
	" extract(epoch FROM created_at)::bigint FROM jobs.claim_deliveries($1, $2, $3)"
#define NEXT_SQL "SELECT extract(epoch FROM jobs.next_delivery($1) - clock_timestamp())"

static void go_on_connecting(Courier *courier, short revents);
static void go_on(Courier *courier);
static void lose(Courier *courier, const char *why);
static void read_notifications(Courier *courier);
static void next_request(Courier *courier);
static void send_request(Courier *courier, Request request, Channel channel, const char *sql,
						 int n, const char *const *values);
static void send_outcome(Courier *courier);
static void take_result(Courier *courier, PGresult *result);
static void take_error(Courier *courier, PGresult *result);
static void count_error(Courier *courier);
static void take_report(Courier *courier, PGresult *result);
static void take_claim(Courier *courier, PGresult *result);
static void take_next(Courier *courier, PGresult *result);
static int64_t claim_time(const Courier *courier, Channel channel);
static void drop_outcome(Courier *courier);

void
database_start(Courier *courier)
{
	for (int channel = 0; channel < CHANNELS; channel++)
		courier->channels[channel].due = INT64_MAX;
}

bool
database_poll(const Courier *courier, struct pollfd *fd)
{
	const Database *database = &courier->database;

	if (database->conn == NULL)
		return false;
	fd->fd = PQsocket(database->conn);
	fd->events = POLLIN;
	if (!database->connected)
		fd->events = database->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT;
	else if (database->unsent)
		fd->events |= POLLOUT;
	fd->revents = 0;
	return fd->fd >= 0;
}

int64_t
database_timeout(const Courier *courier)
{
	const Database *database = &courier->database;
	int64_t		when = INT64_MAX;
	int64_t		now = now_ms();

	if (database->conn == NULL)
		when = database->retry;
	else if (!database->connected || database->request != REQUEST_NONE)
		when = database->deadline;
	else
	{
		for (int channel = 0; channel < CHANNELS; channel++)
		{
			int64_t		claim = claim_time(courier, channel);

			when = claim < when ? claim : when;
		}
	}
	return when == INT64_MAX ? -1 : when > now ? when - now : 0;
}

void
database_step(Courier *courier, short revents)
{
	Database   *database = &courier->database;

	if (database->conn == NULL)
	{
		if (now_ms() < database->retry)
			return;
		database->conn = hosts_begin_connect(&database->hosts, courier->config);
		database->polling = PGRES_POLLING_WRITING;
		database->deadline = now_ms() + hosts_patience(database->conn);
		if (database->conn == NULL || PQstatus(database->conn) == CONNECTION_BAD)
			lose(courier, database->conn != NULL ? PQerrorMessage(database->conn) : "out of memory");
	}
	else if (!database->connected)
		go_on_connecting(courier, revents);
	else
		go_on(courier);
}

static void
go_on_connecting(Courier *courier, short revents)
{
	Database   *database = &courier->database;

	if (revents != 0)
		database->polling = PQconnectPoll(database->conn);
	if (database->polling == PGRES_POLLING_FAILED)
		lose(courier, PQerrorMessage(database->conn));
	else if (database->polling == PGRES_POLLING_OK)
	{
		database->connected = true;
		PQsetnonblocking(database->conn, 1);
		next_request(courier);
	}
	else if (now_ms() >= database->deadline)
		lose(courier, "no answer to the attempt to connect");
}

/* Takes what has come and sends what is next. */
static void
go_on(Courier *courier)
{
	Database   *database = &courier->database;

	if (PQconsumeInput(database->conn) == 0)
	{
		lose(courier, PQerrorMessage(database->conn));
		return;
	}
	if (database->unsent)
		database->unsent = PQflush(database->conn) == 1;
	while (database->request != REQUEST_NONE && !PQisBusy(database->conn))
	{
		PGresult   *result = PQgetResult(database->conn);

		if (result == NULL)
		{
			Request		ended = database->request;

			database->request = REQUEST_NONE;
			if (database->error[0] != '\0')
			{
				lose(courier, database->error);
				return;
			}
			if (ended == REQUEST_SETUP)
			{
				database->ready = true;
				say("connected to database \"%s\" as \"%s\", PostgreSQL %s", PQdb(database->conn),
					PQuser(database->conn), PQparameterStatus(database->conn, "server_version"));
			}
			break;
		}
		take_result(courier, result);
		PQclear(result);
	}
	read_notifications(courier);
	if (PQstatus(database->conn) == CONNECTION_BAD)
		lose(courier, PQerrorMessage(database->conn));
	else if (database->request == REQUEST_NONE)
		next_request(courier);
	else if (now_ms() >= database->deadline)
		lose(courier, "no answer from the server");
}

/* Gives the connection up; another is made after a while that grows. */
static void
lose(Courier *courier, const char *why)
{
	Database   *database = &courier->database;
	int64_t		wait = 500;
	char		reason[REASON];

	make_printable(reason, sizeof(reason), why, strlen(why));
	for (int i = 0; i < database->failures && wait < MAX_RETRY_MS; i++)
		wait *= 2;
	if (wait > MAX_RETRY_MS)
		wait = MAX_RETRY_MS;
	say("%s: %s; next attempt in %.1f s", database->ready ? "the connection to the database is lost" : "no connection to the database",
		reason, wait / 1000.0);
	hosts_next(&database->hosts, database->conn);
	PQfinish(database->conn);
	*database = (Database) {
		.failures = database->failures + 1,
			.retry = now_ms() + wait,
			.hosts = database->hosts
	};
	for (int channel = 0; channel < CHANNELS; channel++)
	{
		courier->channels[channel].look = false;
		courier->channels[channel].ask = false;
		courier->channels[channel].due = INT64_MAX;
	}
}

static void
read_notifications(Courier *courier)
{
	PGnotify   *notify;

	while ((notify = PQnotifies(courier->database.conn)) != NULL)
	{
		for (int channel = 0; channel < CHANNELS; channel++)
		{
			if (strcmp(notify->extra, channel_names[channel]) == 0)
				courier->channels[channel].look = true;
		}
		PQfreemem(notify);
	}
}

/* ---------------------------------------------------------------------------
 * Requests
 * ---------------------------------------------------------------------------
 */

static void
next_request(Courier *courier)
{
	const Config *config = courier->config;

	if (!courier->database.ready)
	{
		send_request(courier, REQUEST_SETUP, 0, SETUP_SQL, 0, NULL);
		for (int channel = 0; channel < CHANNELS; channel++)
			courier->channels[channel].look = config->channels[channel];
		return;
	}
	if (courier->outcomes != NULL)
	{
		send_outcome(courier);
		return;
	}
	for (int channel = 0; channel < CHANNELS; channel++)
	{
		ChannelState *state = &courier->channels[channel];
		char		wanted[16];
		char		lease[32];
		const char *values[] = {channel_names[channel], wanted, lease};

		if (state->ask && !courier->leaving)
		{
			send_request(courier, REQUEST_NEXT, channel, NEXT_SQL, 1, values);
			return;
		}
		if (claim_time(courier, channel) > now_ms())
			continue;
		state->wanted = config->parallel - state->active;
		state->look = false;
		state->due = INT64_MAX;
		snprintf(wanted, sizeof(wanted), "%d", state->wanted);
		snprintf(lease, sizeof(lease), "%d seconds", config->lease);
		send_request(courier, REQUEST_CLAIM, channel, CLAIM_SQL, 3, values);
		return;
	}
}

/* The now_ms at which a channel's next claim is due; INT64_MAX: not by time. */
static int64_t
claim_time(const Courier *courier, Channel channel)
{
	const ChannelState *state = &courier->channels[channel];
	int64_t		when = state->look ? 0 : state->due;

	if (courier->leaving || !courier->config->channels[channel] ||
		state->active >= courier->config->parallel || when == INT64_MAX)
		return INT64_MAX;
	return when > state->not_before ? when : state->not_before;
}

static void
send_request(Courier *courier, Request request, Channel channel, const char *sql,
			 int n, const char *const *values)
{
	Database   *database = &courier->database;
	int			sent;

	sent = n == 0 ? PQsendQuery(database->conn, sql) :
		PQsendQueryParams(database->conn, sql, n, NULL, values, NULL, NULL, 0);
	if (!sent)
	{
		lose(courier, PQerrorMessage(database->conn));
		return;
	}
	database->request = request;
	database->channel = channel;
	database->deadline = now_ms() + REQUEST_MS;
	database->unsent = PQflush(database->conn) == 1;
}

static void
send_outcome(Courier *courier)
{
	const Outcome *outcome = courier->outcomes;
	char		wait[32];
	const char *values[] = {
		outcome->id, outcome->attempt, outcome->reason, outcome->verdict == PERMANENT ? "true" : "false",
		outcome->wait > 0 ? wait : NULL
	};

	snprintf(wait, sizeof(wait), "%lld seconds", (long long) outcome->wait);

	if (outcome->verdict == DELIVERED)
		send_request(courier, REQUEST_REPORT, outcome->channel, FINISH_SQL, 3, values);
	else
		send_request(courier, REQUEST_REPORT, outcome->channel, FAIL_SQL, 5, values);
}

/* ---------------------------------------------------------------------------
 * Answers
 * ---------------------------------------------------------------------------
 */

static void
take_result(Courier *courier, PGresult *result)
{
	switch (PQresultStatus(result))
	{
		case PGRES_TUPLES_OK:
			break;
		case PGRES_COMMAND_OK:
			return;
		default:
			take_error(courier, result);
			return;
	}
	/* Only now: one without rights can connect, but no more. */
	if (courier->database.request != REQUEST_SETUP)
		courier->database.failures = 0;
	switch (courier->database.request)
	{
		case REQUEST_REPORT:
			take_report(courier, result);
			break;
		case REQUEST_CLAIM:
			take_claim(courier, result);
			break;
		case REQUEST_NEXT:
			take_next(courier, result);
			break;
		case REQUEST_SETUP:
		case REQUEST_NONE:
			break;
	}
}

static void
take_error(Courier *courier, PGresult *result)
{
	Database   *database = &courier->database;
	const char *message = PQresultErrorMessage(result);
	const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (database->request == REQUEST_REPORT && code != NULL && strcmp(code, LOCK_NOT_AVAILABLE) == 0)
	{
		count_error(courier);
		return;
	}
	make_printable(database->error, sizeof(database->error), message, strlen(message));
	if (database->error[0] == '\0')
		snprintf(database->error, sizeof(database->error), "the server's answer is of no known kind");
	/* Where the server goes down, the outcome is not to blame. */
	if (database->request == REQUEST_REPORT && PQstatus(database->conn) == CONNECTION_OK)
		count_error(courier);
}

/* The outcome at hand could not be reported: the others go first, or it is given up. */
static void
count_error(Courier *courier)
{
	Outcome    *outcome = courier->outcomes;
	Outcome   **last = &courier->outcomes;

	if (++outcome->errors >= MAX_ERRORS)
	{
		say("%s %s, attempt %s: could not be reported, will be delivered again",
			channel_names[outcome->channel], outcome->id, outcome->attempt);
		courier->channels[outcome->channel].ask = true;
		drop_outcome(courier);
		return;
	}
	courier->outcomes = outcome->next;
	outcome->next = NULL;
	while (*last != NULL)
		last = &(*last)->next;
	*last = outcome;
}

static void
take_report(Courier *courier, PGresult *result)
{
	const Outcome *outcome = courier->outcomes;

	if (PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 0), "t") != 0)
		say("%s %s, attempt %s: reported too late, another attempt has begun",
			channel_names[outcome->channel], outcome->id, outcome->attempt);
	/* It may come due again. */
	if (outcome->verdict == RETRY)
		courier->channels[outcome->channel].ask = true;
	drop_outcome(courier);
}

static void
take_claim(Courier *courier, PGresult *result)
{
	Channel		channel = courier->database.channel;
	ChannelState *state = &courier->channels[channel];
	int			n = PQntuples(result);

	for (int i = 0; i < n; i++)
	{
		Delivery	delivery = {.channel = channel};

		snprintf(delivery.id, sizeof(delivery.id), "%s", PQgetvalue(result, i, 0));
		snprintf(delivery.attempt, sizeof(delivery.attempt), "%s", PQgetvalue(result, i, 1));
		delivery.message_id = copy_string(PQgetvalue(result, i, 2));
		delivery.address = copy_string(PQgetvalue(result, i, 3));
		delivery.subject = copy_string(PQgetvalue(result, i, 4));
		delivery.body = copy_string(PQgetvalue(result, i, 5));
		delivery.html = PQgetisnull(result, i, 6) ? NULL : copy_string(PQgetvalue(result, i, 6));
		delivery.payload = copy_string(PQgetvalue(result, i, 7));
		delivery.created = strtoll(PQgetvalue(result, i, 8), NULL, 10);
		transfer_start(courier, &delivery);
	}
	state->found_none = n == 0;
	if (n == 0)
		state->not_before = now_ms() + LOOK_MS;
	if (n >= state->wanted)
		state->look = true;
	else
		state->ask = true;
}

static void
take_next(Courier *courier, PGresult *result)
{
	ChannelState *state = &courier->channels[courier->database.channel];
	double		seconds;

	state->ask = false;
	if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0))
	{
		state->due = INT64_MAX;
		return;
	}
	seconds = strtod(PQgetvalue(result, 0, 0), NULL);
	/* Due, but nothing to be had: another courier is just taking it. */
	if (state->found_none && seconds < 1)
		seconds = 1;
	if (!(seconds > 0))
		seconds = 0;
	if (seconds > 86400)
		seconds = 86400;
	/* Its clock and ours do not tick together. */
	state->due = now_ms() + (int64_t) (seconds * 1000) + 5;
}

/* ---------------------------------------------------------------------------
 * Outcomes
 * ---------------------------------------------------------------------------
 */

void
outcome_add(Courier *courier, const Delivery *delivery, Verdict verdict, const char *reason, int64_t wait)
{
	Outcome    *outcome = allocate(sizeof(Outcome));
	Outcome   **last = &courier->outcomes;

	outcome->channel = delivery->channel;
	memcpy(outcome->id, delivery->id, sizeof(outcome->id));
	memcpy(outcome->attempt, delivery->attempt, sizeof(outcome->attempt));
	outcome->verdict = verdict;
	snprintf(outcome->reason, sizeof(outcome->reason), "%s", reason);
	outcome->wait = wait;
	while (*last != NULL)
		last = &(*last)->next;
	*last = outcome;
}

/* The first is done with. */
static void
drop_outcome(Courier *courier)
{
	Outcome    *outcome = courier->outcomes;

	courier->outcomes = outcome->next;
	free(outcome);
}

void
database_stop(Courier *courier)
{
	while (courier->outcomes != NULL)
		drop_outcome(courier);
	PQfinish(courier->database.conn);
	courier->database.conn = NULL;
	hosts_free(&courier->database.hosts);
}
