/*-------------------------------------------------------------------------
 *
 * courier.h
 *	  What the parts of a courier share.
 *
 * One process, and one connection to the database:
 *
 *	  database.c claims deliveries while there are free places, from the
 *	  server that hosts.c begins with, and
 *	  transfer.c has libcurl send them, each in a thread, as
 *	  mail.c or webhook.c say, which also judge how it went, and
 *	  database.c reports that.
 *
 * main.c waits for whatever moves first.  Nothing is written down here: a
 * delivery whose courier dies is claimed by another when the lease has run out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COURIER_H
#define COURIER_H

#include <curl/curl.h>
#include <libpq-fe.h>
#include <poll.h>

#include "config.h"
#include "text.h"

/* Longest answer to a webhook, header and body, that is read, and time for all of it. */
#define MAX_ANSWER (64 * 1024)
#define WEBHOOK_MS 10000

/* More seconds than that nobody is waited for; the database's limit is lower. */
#define MAX_WAIT 86400

/* As much of a reason as the database is told. */
#define REASON 500

/* A row of jobs.claim_deliveries; strings are "" where it has NULL, but html. */
typedef struct Delivery
{
	Channel		channel;
	char		id[24];
	char		attempt[16];
	char	   *message_id;
	char	   *address;
	char	   *subject;
	char	   *body;
	char	   *html;
	char	   *payload;
	int64_t		created;		/* seconds of the Unix epoch */
} Delivery;

typedef enum Verdict
{
	DELIVERED,
	RETRY,
	PERMANENT
} Verdict;

/* What the database has not been told yet, in order. */
typedef struct Outcome
{
	struct Outcome *next;
	Channel		channel;
	char		id[24];
	char		attempt[16];
	Verdict		verdict;
	char		reason[REASON];
	int64_t		wait;			/* seconds until the next attempt at least, or 0 */
	int			errors;			/* of reporting it */
} Outcome;

/* How far the dialogue of SMTP has got. */
typedef enum SmtpPhase
{
	SMTP_LOGIN,
	SMTP_SENDER,
	SMTP_RECIPIENT,
	SMTP_CONTENT
} SmtpPhase;

typedef struct Courier Courier;

/* One delivery on its way. */
typedef struct Transfer
{
	struct Transfer *next;
	Courier    *courier;
	Delivery	delivery;
	CURL	   *easy;
	CURLU	   *url;
	struct curl_slist *list;	/* of headers, or recipients */
	char		error[CURL_ERROR_SIZE];
	int64_t		began;
	int64_t		ended;
	CURLcode	code;
	Verdict		verdict;
	char		reason[REASON];
	int64_t		wait;			/* seconds until the next attempt at least, or 0 */

	/* A mail, and what the server said last. */
	Buffer		message;
	size_t		sent;
	SmtpPhase	phase;
	bool		over;			/* we have taken leave */
	char		reply[REASON];
	size_t		reply_len;
	bool		reply_complete;

	/* A webhook. */
	long		status;			/* of the answer whose header is being read, 0 before */
	bool		answered;		/* the final header is complete */
	size_t		answer;			/* bytes read */
	char		host[256];		/* of the URL */
	bool		literal;		/* it is an address */
	char		refused[400];	/* why a connection was not made */
	char		figures[64];	/* the address that was refused, where only the log may have it */
	bool		connected;		/* a connection was allowed */
} Transfer;

typedef struct ChannelState
{
	int			active;			/* transfers that have not been reported on */
	bool		look;			/* there may be something to claim */
	bool		ask;			/* when the next one is due is not known */
	int			wanted;			/* of the last claim */
	bool		found_none;		/* by it */
	int64_t		due;			/* now_ms at which to look; INT64_MAX: only if told */
	int64_t		not_before;		/* now_ms before which not to claim */
} ChannelState;

typedef enum Request
{
	REQUEST_NONE,
	REQUEST_SETUP,
	REQUEST_REPORT,
	REQUEST_CLAIM,
	REQUEST_NEXT
} Request;

/* Parameters of a connection that have an element for each host, as libpq knows them. */
#define HOST_LISTS 3

typedef struct Hosts
{
	char	   *lists[HOST_LISTS];	/* in the order to try; NULL: as configured */
} Hosts;

typedef struct Database
{
	PGconn	   *conn;			/* NULL: not connected */
	bool		connected;		/* else connecting */
	bool		ready;			/* listens */
	PostgresPollingStatusType polling;
	Request		request;		/* that has no answer yet */
	Channel		channel;		/* it is about */
	bool		unsent;			/* bytes of it */
	char		error[REASON];	/* of it */
	int64_t		deadline;		/* for it, or for connecting */
	int64_t		retry;			/* when to connect again */
	int			failures;		/* in a row */
	Hosts		hosts;
} Database;

struct Courier
{
	const Config *config;
	Database	database;
	ChannelState channels[CHANNELS];
	Outcome    *outcomes;
	bool		leaving;		/* nothing new is claimed */
};

/* database.c */
extern void database_start(Courier *courier);
/* What to poll for; false: there is no connection. */
extern bool database_poll(const Courier *courier, struct pollfd *fd);
/* Does what can be done without waiting; revents are of the former. */
extern void database_step(Courier *courier, short revents);
/* Milliseconds until there is something to do, -1: not by time alone. */
extern int64_t database_timeout(const Courier *courier);
extern void database_stop(Courier *courier);
/* Keeps an outcome for the database. */
extern void outcome_add(Courier *courier, const Delivery *delivery, Verdict verdict, const char *reason, int64_t wait);

/* hosts.c */
extern PGconn *hosts_begin_connect(const Hosts *hosts, const Config *config);
/* Milliseconds for the attempt. */
extern int64_t hosts_patience(PGconn *conn);
/* The next attempt will begin with another host than this one has; returns how many there are. */
extern int	hosts_next(Hosts *hosts, PGconn *conn);
extern void hosts_free(Hosts *hosts);

/* transfer.c */
/* Starts threads, which write to the file when something has ended. */
extern bool transfer_open(const Config *config, int fd);
/* Waits for them to end; there is nothing left to do. */
extern void transfer_close(void);
/* Takes over what the delivery points to. */
extern void transfer_start(Courier *courier, const Delivery *delivery);
/* Sees to transfers that have ended. */
extern void transfer_step(Courier *courier);
/* Options that every use of libcurl has here. */
extern void transfer_defaults(CURL *easy, const Config *config);

/*
 * mail.c and webhook.c: set a transfer up, or give the reason why it can't be
 * one; judge one that has ended.  "reason" has REASON bytes.
 */
extern bool mail_prepare(Transfer *transfer, Verdict *verdict, char *reason);
extern Verdict mail_judge(Transfer *transfer, CURLcode code, char *reason);

/*
 * Whether one that has failed is to be done once more, on a new connection, for which it
 * is set up then: it has got to no text on a connection that had idled, which the server
 * may just have closed.
 */
extern bool mail_again(Transfer *transfer, CURLcode code);
extern void mail_server(CURL *easy, const Config *config);
extern bool webhook_prepare(Transfer *transfer, Verdict *verdict, char *reason);
extern Verdict webhook_judge(Transfer *transfer, CURLcode code, char *reason);

/* check.c: tries what is configured, prints what it finds; the exit status. */
extern int	check(const Config *config);

#endif							/* COURIER_H */
