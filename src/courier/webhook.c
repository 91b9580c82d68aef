/*-------------------------------------------------------------------------
 *
 * webhook.c
 *	  Deliveries of the channel "webhook", by the Standard Webhooks convention.
 *
 * Whoever may submit jobs chooses the URL, within what jobs.webhook_hosts
 * allows, and its owner chooses what the name stands for and what the answer
 * is.  So no address is believed but that of the socket at hand, and an answer is
 * worth no more than its status: it is read to a limit, in size and in time,
 * and thrown away.
 *
 *-------------------------------------------------------------------------
 */
#include "courier.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "hangs.h"
#include "message.h"
#include "secret.h"

#define MAX_URL 4096

/* An answer after that is a late one. */
#define LATE_MS 5000

static bool open_url(Transfer *transfer, char *reason);
static bool is_plain(const char *url);
static bool sign(Transfer *transfer);
static void add_header(Transfer *transfer, const char *name, const char *value);
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address);
static size_t read_header(char *line, size_t size, size_t count, void *arg);
static size_t read_body(char *bytes, size_t size, size_t count, void *arg);
static void heed_retry_after(Transfer *transfer, char *reason);
static Verdict judge(Transfer *transfer, CURLcode code, char *reason);

bool
webhook_prepare(Transfer *transfer, Verdict *verdict, char *reason)
{
	const Config *config = transfer->courier->config;
	const Delivery *delivery = &transfer->delivery;
	CURL	   *easy = transfer->easy;
	const char *why;
	int64_t		wait;

	*verdict = PERMANENT;
	if (!message_id_ok(delivery->message_id))
	{
		snprintf(reason, REASON, "not a message id that can be used");
		return false;
	}
	if (!open_url(transfer, reason))
		return false;
	if (!sign(transfer))
	{
		*verdict = RETRY;
		snprintf(reason, REASON, "the courier has no webhook_secret for \"%s\"", transfer->host);
		return false;
	}
	why = hangs_refused(transfer->host, config->parallel, now_ms(), &wait);
	if (why != NULL)
	{
		*verdict = RETRY;
		transfer->wait = wait > 0 ? wait / 1000 + 1 : 0;
		snprintf(reason, REASON, "not sent: %s", why);
		return false;
	}

	transfer_defaults(easy, config);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, config->allow_http ? "https,http" : "https");
	curl_easy_setopt(easy, CURLOPT_CURLU, transfer->url);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	/* Another delivery must not come by a connection that it did not ask for. */
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) WEBHOOK_MS);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) WEBHOOK_MS);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, PROGRAM "/" COURIER_VERSION);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->list);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) strlen(delivery->payload));
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, delivery->payload);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, read_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, read_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	return true;
}

/*
 * The URL as libcurl will use it is what is looked at here, and libcurl reads it as
 * everybody else does, because there is only one way to.
 */
static bool
open_url(Transfer *transfer, char *reason)
{
	const char *url = transfer->delivery.address;
	char	   *part = NULL;
	bool		secure;
	bool		plain;
	unsigned char bits[16];

	transfer->url = curl_url();
	if (!is_plain(url) || transfer->url == NULL || curl_url_set(transfer->url, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
		curl_url_get(transfer->url, CURLUPART_SCHEME, &part, 0) != CURLUE_OK)
	{
		snprintf(reason, REASON, "not a URL that can be used");
		return false;
	}
	secure = strcmp(part, "https") == 0;
	plain = strcmp(part, "http") == 0;
	curl_free(part);
	if (!secure && !(plain && transfer->courier->config->allow_http))
	{
		snprintf(reason, REASON, "refused: only https is allowed");
		return false;
	}
	part = NULL;
	if (curl_url_get(transfer->url, CURLUPART_USER, &part, 0) == CURLUE_OK ||
		curl_url_get(transfer->url, CURLUPART_PASSWORD, &part, 0) == CURLUE_OK)
	{
		curl_free(part);
		snprintf(reason, REASON, "refused: a user or password in the URL");
		return false;
	}
	/* libcurl overlooks a slash too many. */
	url = strstr(url, "://");
	if (url == NULL || (!isalnum((unsigned char) url[3]) && url[3] != '[') ||
		curl_url_get(transfer->url, CURLUPART_HOST, &part, 0) != CURLUE_OK || strlen(part) >= sizeof(transfer->host))
	{
		curl_free(part);
		snprintf(reason, REASON, "not a URL that can be used");
		return false;
	}
	snprintf(transfer->host, sizeof(transfer->host), "%s", part);
	curl_free(part);
	transfer->literal = transfer->host[0] == '[' || inet_pton(AF_INET, transfer->host, bits) == 1;
	return true;
}

/* Visible ASCII that a URL can have. */
static bool
is_plain(const char *url)
{
	for (const char *c = url; *c != '\0'; c++)
	{
		if (*c <= ' ' || *c >= 0x7f || strchr("<>\"\\^`{|}#", *c) != NULL || c - url > MAX_URL)
			return false;
	}
	return true;
}

static bool
sign(Transfer *transfer)
{
	char		timestamp[24];
	Buffer		id = {NULL};
	Buffer		signature = {NULL};
	bool		signed_one;

	snprintf(timestamp, sizeof(timestamp), "%lld", (long long) time(NULL));
	buffer_printf(&id, "msg_%s", transfer->delivery.message_id);
	signed_one = secret_sign(&signature, transfer->courier->config->secrets, transfer->host,
							 id.data, timestamp, transfer->delivery.payload);
	if (signed_one)
	{
		add_header(transfer, "Content-Type", "application/json");
		add_header(transfer, "webhook-id", id.data);
		add_header(transfer, "webhook-timestamp", timestamp);
		add_header(transfer, "webhook-signature", signature.data);
		/* Not a question first, with a second's wait for "100 Continue". */
		add_header(transfer, "Expect", "");
	}
	buffer_free(&id);
	buffer_free(&signature);
	return signed_one;
}

/* With an empty value, libcurl sends none of its own. */
static void
add_header(Transfer *transfer, const char *name, const char *value)
{
	Buffer		line = {NULL};
	struct curl_slist *longer;

	buffer_printf(&line, "%s:%s%s", name, *value != '\0' ? " " : "", value);
	longer = curl_slist_append(transfer->list, line.data);
	if (longer != NULL)
		transfer->list = longer;
	buffer_free(&line);
}

/*
 * Called by libcurl for each address that it would connect to.  No name is looked
 * up after this.
 *
 * Whoever submits jobs reads the reason, and must not learn from it where names lead
 * inside of the network.
 */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	Transfer   *transfer = arg;
	const char *what = address_refused(&address->addr, transfer->courier->config->allow_private);

	if (what != NULL)
	{
		char		figures[INET6_ADDRSTRLEN];

		address_print(&address->addr, figures, sizeof(figures));
		snprintf(transfer->refused, sizeof(transfer->refused), "%s is %s", transfer->literal ? figures : transfer->host, what);
		if (!transfer->literal)
			snprintf(transfer->figures, sizeof(transfer->figures), ": %s", figures);
		return CURL_SOCKET_BAD;
	}
	transfer->connected = true;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Called by libcurl for each line of a header; there may be several, of 1xx. */
static size_t
read_header(char *line, size_t size, size_t count, void *arg)
{
	Transfer   *transfer = arg;
	size_t		len = size * count;

	transfer->answer += len;
	if (transfer->answer > MAX_ANSWER)
		return 0;
	/* Behind a body there can be more lines, which change nothing. */
	if (transfer->answered)
		return len;
	if (len > 5 && strncasecmp(line, "HTTP/", 5) == 0)
	{
		const char *blank = memchr(line, ' ', len);

		transfer->status = 0;
		for (const char *c = blank; c != NULL && c + 1 < line + len && c[1] >= '0' && c[1] <= '9' && c - blank < 3; c++)
			transfer->status = transfer->status * 10 + (c[1] - '0');
	}
	else if (line[0] == '\r' || line[0] == '\n')
		transfer->answered = transfer->status >= 200;
	return len;
}

static size_t
read_body(char *bytes, size_t size, size_t count, void *arg)
{
	Transfer   *transfer = arg;

	transfer->answer += size * count;
	return transfer->answer > MAX_ANSWER ? 0 : size * count;
}

/*
 * The receiver has said that it is too busy, and may have said for how long: in
 * seconds, or until a date by its clock.
 */
static void
heed_retry_after(Transfer *transfer, char *reason)
{
	curl_off_t	wait = 0;
	size_t		len = strlen(reason);

	if (curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &wait) != CURLE_OK || wait <= 0)
		return;
	transfer->wait = wait < MAX_WAIT ? wait : MAX_WAIT;
	snprintf(reason + len, REASON - len, ": asks to wait for %lld s", (long long) transfer->wait);
}

/* The host is judged by the time for all of it, since that is how long it has had a place. */
Verdict
webhook_judge(Transfer *transfer, CURLcode code, char *reason)
{
	Verdict		verdict = judge(transfer, code, reason);
	Answer		answer = ANSWER_GOOD;
	curl_off_t	took = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &took);
	if (!transfer->answered && code == CURLE_OPERATION_TIMEDOUT)
		answer = ANSWER_NONE;
	else if (verdict == RETRY || took / 1000 > LATE_MS)
		answer = ANSWER_BAD;
	hangs_note(transfer->host, answer, now_ms());
	return verdict;
}

/*
 * As Standard Webhooks has it: 2xx is a success, and all else a failure, after
 * which 410 alone says not to come again.  An answer without an end is one too,
 * as soon as its header is there.
 */
static Verdict
judge(Transfer *transfer, CURLcode code, char *reason)
{
	char		error[CURL_ERROR_SIZE];

	if (transfer->answered)
	{
		long		status = transfer->status;

		snprintf(reason, REASON, "HTTP %ld%s", status,
				 status == 410 ? ": gone" : status >= 300 && status < 400 ? ": redirects are not followed" : "");
		if (status == 429 || status == 503)
			heed_retry_after(transfer, reason);
		return status < 300 ? DELIVERED : status == 410 ? PERMANENT : RETRY;
	}
	if (transfer->refused[0] != '\0' && !transfer->connected)
	{
		/* A name may stand for another address soon. */
		snprintf(reason, REASON, "refused: %s", transfer->refused);
		return transfer->literal ? PERMANENT : RETRY;
	}
	if (code == CURLE_OPERATION_TIMEDOUT)
	{
		snprintf(reason, REASON, "no answer within %d s", WEBHOOK_MS / 1000);
		return RETRY;
	}
	if (transfer->answer > MAX_ANSWER)
	{
		snprintf(reason, REASON, "the header of the answer is longer than %d kB", MAX_ANSWER / 1024);
		return RETRY;
	}
	make_printable(error, sizeof(error), transfer->error, strlen(transfer->error));
	snprintf(reason, REASON, "%s", error[0] != '\0' ? error : curl_easy_strerror(code));
	return RETRY;
}
