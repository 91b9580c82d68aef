/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  Deliveries on their way, each in a thread.
 *
 * Threads, because libcurl's multi interface stands still while a mail server
 * thinks about a message, and everything else with it.  There are "parallel" of
 * them for each channel.  One takes a transfer, has libcurl do it, judges how that
 * went, and puts it back; all else, and so all of the database, is the main
 * thread's.  Of a Transfer only who has it reads and writes anything, and who has it
 * changes under "lock".
 *
 *-------------------------------------------------------------------------
 */
#include "courier.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Seconds after which the connection to a mail server is closed. */
#define IDLE_SECONDS 15

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;	/* todo or closing */
static Transfer *todo[CHANNELS];
static Transfer *done;
static bool closing;
static int	wake_fd;
static pthread_t *threads;
static int	nthreads;

static void *work(void *arg);
static Transfer *take(Channel channel, CURL **easy);
static void perform(Transfer *transfer, CURL *easy);
static void report(Transfer *transfer);
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

/* ---------------------------------------------------------------------------
 * The main thread
 * ---------------------------------------------------------------------------
 */

bool
transfer_open(const Config *config, int fd)
{
	static const Channel channels[CHANNELS] = {CHANNEL_EMAIL, CHANNEL_WEBHOOK};
	sigset_t	all;
	sigset_t	before;
	bool		good = true;

	wake_fd = fd;
	threads = allocate(sizeof(pthread_t) * CHANNELS * config->parallel);
	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (int channel = 0; channel < CHANNELS; channel++)
	{
		for (int i = 0; good && config->channels[channel] && i < config->parallel; i++)
		{
			good = pthread_create(&threads[nthreads], NULL, work, (void *) &channels[channel]) == 0;
			nthreads += good;
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!good)
		say("could not start a thread");
	return good;
}

void
transfer_close(void)
{
	pthread_mutex_lock(&lock);
	closing = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < nthreads; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}

void
transfer_start(Courier *courier, const Delivery *delivery)
{
	Transfer   *transfer = allocate(sizeof(Transfer));

	transfer->courier = courier;
	transfer->delivery = *delivery;
	transfer->began = now_ms();
	courier->channels[delivery->channel].active++;

	pthread_mutex_lock(&lock);
	transfer->next = todo[delivery->channel];
	todo[delivery->channel] = transfer;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void
transfer_step(Courier *courier)
{
	Transfer   *ended;

	pthread_mutex_lock(&lock);
	ended = done;
	done = NULL;
	pthread_mutex_unlock(&lock);
	while (ended != NULL)
	{
		Transfer   *next = ended->next;

		courier->channels[ended->delivery.channel].active--;
		/* Logging in again at once would be the same, or lock the account. */
		if (ended->code == CURLE_LOGIN_DENIED)
			courier->channels[ended->delivery.channel].not_before = now_ms() + 60000;
		report(ended);
		ended = next;
	}
}

/* Tells how a transfer has ended, and forgets it. */
static void
report(Transfer *transfer)
{
	static const char *const words[] = {"delivered", "not delivered, to be tried again", "not delivered"};
	Delivery   *delivery = &transfer->delivery;

	say("%s %s, attempt %s: %s in %lld ms (%s%s)", channel_names[delivery->channel], delivery->id, delivery->attempt,
		words[transfer->verdict], (long long) (transfer->ended - transfer->began), transfer->reason, transfer->figures);
	outcome_add(transfer->courier, delivery, transfer->verdict, transfer->reason, transfer->wait);
	free(delivery->message_id);
	free(delivery->address);
	free(delivery->subject);
	free(delivery->body);
	free(delivery->html);
	free(delivery->payload);
	free(transfer);
}

/* ---------------------------------------------------------------------------
 * The others
 * ---------------------------------------------------------------------------
 */

/*
 * One thread of a channel.  Its handle has the connection to the mail server, for
 * the next mail; webhooks have nothing that another could want.
 */
static void *
work(void *arg)
{
	Channel		channel = *(const Channel *) arg;
	CURL	   *easy = NULL;
	Transfer   *transfer;

	while ((transfer = take(channel, &easy)) != NULL)
	{
		if (easy == NULL)
			easy = curl_easy_init();
		perform(transfer, easy);
		if (channel == CHANNEL_WEBHOOK)
		{
			curl_easy_cleanup(easy);
			easy = NULL;
		}
		pthread_mutex_lock(&lock);
		transfer->next = done;
		done = transfer;
		pthread_mutex_unlock(&lock);
		/* A full pipe wakes as well. */
		if (write(wake_fd, "", 1) < 0)
			continue;
	}
	curl_easy_cleanup(easy);
	return NULL;
}

/* Waits for a transfer; NULL: there will be none.  A handle that idles is closed. */
static Transfer *
take(Channel channel, CURL **easy)
{
	Transfer   *transfer;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += IDLE_SECONDS;
	pthread_mutex_lock(&lock);
	while (todo[channel] == NULL && !closing)
	{
		if (*easy == NULL)
			pthread_cond_wait(&changed, &lock);
		else if (pthread_cond_timedwait(&changed, &lock, &until) == ETIMEDOUT)
		{
			pthread_mutex_unlock(&lock);
			curl_easy_cleanup(*easy);
			*easy = NULL;
			pthread_mutex_lock(&lock);
		}
	}
	transfer = todo[channel];
	if (transfer != NULL)
		todo[channel] = transfer->next;
	pthread_mutex_unlock(&lock);
	return transfer;
}

/* Does a transfer, and judges it. */
static void
perform(Transfer *transfer, CURL *easy)
{
	Channel		channel = transfer->delivery.channel;

	transfer->easy = easy;
	transfer->verdict = RETRY;
	if (easy == NULL)
		snprintf(transfer->reason, REASON, "libcurl failed");
	else
	{
		curl_easy_reset(easy);
		curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
		if (prepare[channel] (transfer, &transfer->verdict, transfer->reason))
		{
			transfer->code = curl_easy_perform(easy);
			if (channel == CHANNEL_EMAIL && mail_again(transfer, transfer->code))
				transfer->code = curl_easy_perform(easy);
			transfer->verdict = judge[channel] (transfer, transfer->code, transfer->reason);
		}
		/* Nothing of the handle may point here any more. */
		curl_easy_reset(easy);
	}
	curl_url_cleanup(transfer->url);
	curl_slist_free_all(transfer->list);
	buffer_free(&transfer->message);
	transfer->ended = now_ms();
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
