/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  Deliveries on their way.
 *
 *-------------------------------------------------------------------------
 */
#include "courier.h"

#include <stdio.h>
#include <stdlib.h>

static void end(Transfer *transfer, Verdict verdict, const char *reason);
static size_t ignore_body(char *bytes, size_t size, size_t count, void *arg);

/* How each channel does it. */
static bool (*const prepare[CHANNELS]) (Transfer *transfer, Verdict *verdict, char *reason) =
{
	mail_prepare, webhook_prepare
};
static Verdict(*const judge[CHANNELS]) (Transfer *transfer, CURLcode code, char *reason) =
{
	mail_judge, webhook_judge
};

void
transfer_start(Courier *courier, const Delivery *delivery)
{
	Transfer   *transfer = allocate(sizeof(Transfer));
	Verdict		verdict = RETRY;
	char		reason[REASON] = "libcurl failed";

	transfer->courier = courier;
	transfer->delivery = *delivery;
	transfer->began = now_ms();
	transfer->next = courier->transfers;
	courier->transfers = transfer;
	courier->channels[delivery->channel].active++;

	transfer->easy = curl_easy_init();
	if (transfer->easy == NULL)
	{
		end(transfer, verdict, reason);
		return;
	}
	if (!prepare[delivery->channel] (transfer, &verdict, reason))
	{
		end(transfer, verdict, reason);
		return;
	}
	curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(transfer->easy, CURLOPT_ERRORBUFFER, transfer->error);
	if (curl_multi_add_handle(courier->multi, transfer->easy) != CURLM_OK)
		end(transfer, RETRY, "libcurl failed");
}

/*
 * Nothing comes from the environment, ~/.netrc or the like, and nothing waits for
 * a name server that does not answer.
 */
void
transfer_defaults(CURL *easy, const Config *config)
{
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	if (config->ca_file != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_CAINFO, config->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore_body);
}

static size_t
ignore_body(char *bytes, size_t size, size_t count, void *arg)
{
	return size * count;
}

void
transfer_step(Courier *courier)
{
	int			running;
	int			left;
	CURLMsg    *message;

	curl_multi_perform(courier->multi, &running);
	while ((message = curl_multi_info_read(courier->multi, &left)) != NULL)
	{
		char	   *private = NULL;
		CURLcode	code = message->data.result;
		char		reason[REASON] = "";
		Transfer   *transfer;
		Verdict		verdict;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
		transfer = (Transfer *) private;
		curl_multi_remove_handle(courier->multi, transfer->easy);
		verdict = judge[transfer->delivery.channel] (transfer, code, reason);
		/* Logging in again at once would be the same, or lock the account. */
		if (code == CURLE_LOGIN_DENIED)
			courier->channels[transfer->delivery.channel].not_before = now_ms() + 60000;
		end(transfer, verdict, reason);
	}
}

/* Reports how a transfer has ended, and forgets it. */
static void
end(Transfer *transfer, Verdict verdict, const char *reason)
{
	static const char *const words[] = {"delivered", "not delivered, to be tried again", "not delivered"};
	Courier    *courier = transfer->courier;
	Delivery   *delivery = &transfer->delivery;
	Transfer  **link = &courier->transfers;

	while (*link != transfer)
		link = &(*link)->next;
	*link = transfer->next;
	courier->channels[delivery->channel].active--;

	say("%s %s, attempt %s: %s in %lld ms (%s)", channel_names[delivery->channel], delivery->id,
		delivery->attempt, words[verdict], (long long) (now_ms() - transfer->began), reason);
	outcome_add(courier, delivery, verdict, reason);

	if (transfer->easy != NULL)
		curl_easy_cleanup(transfer->easy);
	curl_url_cleanup(transfer->url);
	curl_slist_free_all(transfer->list);
	buffer_free(&transfer->message);
	free(delivery->message_id);
	free(delivery->address);
	free(delivery->subject);
	free(delivery->body);
	free(delivery->html);
	free(delivery->payload);
	free(transfer);
}
