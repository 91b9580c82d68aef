/*-------------------------------------------------------------------------
 *
 * mail.c
 *	  Deliveries of the channel "email": what libcurl is told, and what became
 *	  of it.
 *
 * libcurl says that a server has refused something, but not what; so we listen
 * to the dialogue.  5xx to the recipient or the text is for good.  5xx to the
 * login or the sender is for the administrator, who may mend it within the day
 * that deliveries are tried for.
 *
 *-------------------------------------------------------------------------
 */
#include "courier.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "address.h"
#include "message.h"

/* Seconds for the server's answer to QUIT. */
#define FAREWELL_SECONDS 1

static size_t read_message(char *out, size_t size, size_t count, void *arg);
static size_t read_reply(char *line, size_t size, size_t count, void *arg);
static int	follow(CURL *easy, curl_infotype type, char *data, size_t len, void *arg);
static bool begins(const char *data, size_t len, const char *word);
static long refusal(const Transfer *transfer, CURLcode code);

bool
mail_prepare(Transfer *transfer, Verdict *verdict, char *reason)
{
	const Config *config = transfer->courier->config;
	const Delivery *delivery = &transfer->delivery;
	CURL	   *easy = transfer->easy;
	Mail		mail = {
		.from = config->mail_from,
		.from_name = config->mail_from_name,
		.to = delivery->address,
		.subject = delivery->subject,
		.id = delivery->message_id,
		.written = delivery->created,
		.body = delivery->body,
		.html = delivery->html
	};

	*verdict = PERMANENT;
	if (!address_mail_ok(delivery->address))
	{
		snprintf(reason, REASON, "not a mail address that can be used");
		return false;
	}
	if (!message_id_ok(delivery->message_id))
	{
		snprintf(reason, REASON, "not a message id that can be used");
		return false;
	}
	message_build(&transfer->message, &mail);
	transfer->list = curl_slist_append(NULL, delivery->address);

	mail_server(easy, config);
	curl_easy_setopt(easy, CURLOPT_MAIL_FROM, config->mail_from);
	curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, transfer->list);
	curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) transfer->message.len);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, read_message);
	curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, read_reply);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
	curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, follow);
	curl_easy_setopt(easy, CURLOPT_DEBUGDATA, transfer);
	return true;
}

/* The server, and how to log in there. */
void
mail_server(CURL *easy, const Config *config)
{
	transfer_defaults(easy, config);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	curl_easy_setopt(easy, CURLOPT_URL, config->smtp_url);
	curl_easy_setopt(easy, CURLOPT_USE_SSL,
					 (long) (config->smtp_tls == TLS_REQUIRE ? CURLUSESSL_ALL :
							 config->smtp_tls == TLS_TRY ? CURLUSESSL_TRY : CURLUSESSL_NONE));
	if (config->smtp_user != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_USERNAME, config->smtp_user);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, config->smtp_password);
	}
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, config->smtp_timeout * 1000L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, config->smtp_timeout * 1000L);
}

/* Called by libcurl for the text, when the server has asked for it. */
static size_t
read_message(char *out, size_t size, size_t count, void *arg)
{
	Transfer   *transfer = arg;
	size_t		len = transfer->message.len - transfer->sent;

	if (len > size * count)
		len = size * count;
	memcpy(out, transfer->message.data + transfer->sent, len);
	transfer->sent += len;
	transfer->phase = SMTP_CONTENT;
	return len;
}

/* Called by libcurl for each line of the server's; keeps the last reply. */
static size_t
read_reply(char *line, size_t size, size_t count, void *arg)
{
	Transfer   *transfer = arg;
	size_t		len = size * count;
	size_t		room;

	if (transfer->over)
		return len;
	if (transfer->reply_complete)
		transfer->reply_len = 0;
	transfer->reply_complete = len < 4 || line[3] != '-';
	room = sizeof(transfer->reply) - transfer->reply_len;
	if (len > room)
		memcpy(transfer->reply + transfer->reply_len, line, room);
	else
		memcpy(transfer->reply + transfer->reply_len, line, len);
	transfer->reply_len += len > room ? room : len;
	return len;
}

/*
 * Called by libcurl for all that goes to and fro, passwords too.  When it takes
 * leave, after something went wrong, it waits for the server's word: not for long,
 * since what went wrong is to be reported.
 */
static int
follow(CURL *easy, curl_infotype type, char *data, size_t len, void *arg)
{
	Transfer   *transfer = arg;

	if (type != CURLINFO_HEADER_OUT)
		return 0;
	if (begins(data, len, "MAIL FROM:"))
		transfer->phase = SMTP_SENDER;
	else if (begins(data, len, "RCPT TO:"))
		transfer->phase = SMTP_RECIPIENT;
	else if (begins(data, len, "QUIT"))
	{
		transfer->over = true;
		curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long) FAREWELL_SECONDS);
	}
	return 0;
}

static bool
begins(const char *data, size_t len, const char *word)
{
	return len >= strlen(word) && strncasecmp(data, word, strlen(word)) == 0;
}

bool
mail_again(Transfer *transfer, CURLcode code)
{
	long		connects = 1;
	curl_off_t	took = 0;
	long		left;

	curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connects);
	curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &took);
	left = transfer->courier->config->smtp_timeout * 1000L - took / 1000;
	if (connects > 0 || transfer->phase >= SMTP_CONTENT || left <= 0 ||
		(code != CURLE_SEND_ERROR && code != CURLE_RECV_ERROR) || refusal(transfer, code) > 0)
		return false;
	transfer->phase = SMTP_LOGIN;
	transfer->over = false;
	transfer->reply_len = 0;
	transfer->reply_complete = false;
	transfer->error[0] = '\0';
	curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(transfer->easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, 0L);
	curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, left);
	return true;
}

/* The reply by which the server has refused, or 0 where something else went wrong. */
static long
refusal(const Transfer *transfer, CURLcode code)
{
	long		status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return status >= 400 && status < 600 && code != CURLE_OPERATION_TIMEDOUT ? status : 0;
}

Verdict
mail_judge(Transfer *transfer, CURLcode code, char *reason)
{
	static const char *const refused[] = {
		[SMTP_LOGIN] = "the server refuses us",
		[SMTP_SENDER] = "the server refuses the sender",
		[SMTP_RECIPIENT] = "the server refuses the recipient",
		[SMTP_CONTENT] = "the server refuses the message"
	};
	char		reply[REASON];
	long		status;

	make_printable(reply, sizeof(reply), transfer->reply, transfer->reply_len);
	if (code == CURLE_OK)
	{
		snprintf(reason, REASON, "%s", reply);
		return DELIVERED;
	}
	status = refusal(transfer, code);
	if (status > 0)
	{
		snprintf(reason, REASON, "%s: %.400s", refused[transfer->phase], reply);
		return status >= 500 && transfer->phase >= SMTP_RECIPIENT ? PERMANENT : RETRY;
	}
	make_printable(reply, sizeof(reply), transfer->error, strlen(transfer->error));
	snprintf(reason, REASON, "%s", reply[0] != '\0' ? reply : curl_easy_strerror(code));
	return RETRY;
}
