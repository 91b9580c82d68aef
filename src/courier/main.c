/*-------------------------------------------------------------------------
 *
 * main.c
 *	  jobs-courier, which delivers mail and webhooks for the extension jobs.
 *
 *-------------------------------------------------------------------------
 */
#include "courier.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Time for the last reports after the last delivery, where the database is away. */
#define LAST_WORDS_MS 10000

/* Time for mail servers to see the connections closed. */
#define FAREWELL_SECONDS 5

/*
 * Signals write a byte here, and threads do when something has ended, so that
 * neither is missed between look and wait.
 */
static int	wake_pipe[2];
static volatile sig_atomic_t signals;

static void set_up_signals(void);
static void take_signal(int number);
static int	run(const Config *config);
static void wait_for_something(Courier *courier, short *revents);
static void heed_signals(Courier *courier);
static bool done(const Courier *courier, int64_t *since);
static void give_up(int number);
static void usage(FILE *out);

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"check", no_argument, NULL, 'n'},
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0}
	};
	const char *file = getenv("JOBS_COURIER_CONFIG");
	bool		only_check = false;
	Config	   *config;
	int			status;
	int			option;

	while ((option = getopt_long(argc, argv, "c:hnV", options, NULL)) != -1)
	{
		switch (option)
		{
			case 'c':
				file = optarg;
				break;
			case 'n':
				only_check = true;
				break;
			case 'h':
				usage(stdout);
				return 0;
			case 'V':
				printf("%s %s (%s)\n", PROGRAM, COURIER_VERSION, curl_version());
				return 0;
			default:
				fprintf(stderr, "Try \"%s --help\".\n", PROGRAM);
				return EX_USAGE;
		}
	}
	if (optind < argc)
	{
		fprintf(stderr, "%s takes options only.  Try \"%s --help\".\n", PROGRAM, PROGRAM);
		return EX_USAGE;
	}
	if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
		return 1;
	config = config_read(file);
	signal(SIGPIPE, SIG_IGN);
	status = only_check ? check(config) : run(config);
	config_free(config);
	curl_global_cleanup();
	return status;
}

static void
usage(FILE *out)
{
	fprintf(out,
			"%s delivers the mail and the webhooks of the PostgreSQL extension jobs.\n\n"
			"Usage:\n"
			"  %s [OPTION]...\n\n"
			"Options:\n"
			"  -c, --config=FILE   settings, lines of \"key = value\" (or JOBS_COURIER_CONFIG)\n"
			"  -n, --check         try the configuration, send nothing, and exit\n"
			"  -V, --version       print the version and exit\n"
			"  -h, --help          print this and exit\n\n"
			"Settings (in the environment JOBS_COURIER_ and the name in capitals):\n"
			"  dsn                    where the database is, as for psql\n"
			"  channels               email, webhook, or both; by default what is set up\n"
			"  parallel               deliveries at once, for each channel (4)\n"
			"  lease                  seconds after which another courier tries (60)\n"
			"  ca_file                certificates to trust in place of the system's\n"
			"  smtp_url               smtp://host:587 or smtps://host\n"
			"  smtp_tls               require, try or none (require)\n"
			"  smtp_user, smtp_password or smtp_password_file\n"
			"  smtp_timeout           seconds for one mail (30)\n"
			"  mail_from, mail_from_name\n"
			"  webhook_secret or webhook_secret_file\n"
			"                         whsec_...; of several, each signs\n"
			"  webhook_secret.HOST    those for one host (in the file only)\n"
			"  webhook_allow_private  on: private and loopback addresses too (off)\n"
			"  webhook_allow_http     on: http too, for tests (off)\n\n"
			"SIGTERM: what is being sent is finished, then the courier leaves.\n",
			PROGRAM, PROGRAM);
}

/* ---------------------------------------------------------------------------
 * Signals
 * ---------------------------------------------------------------------------
 */

static void
set_up_signals(void)
{
	struct sigaction action = {.sa_handler = take_signal, .sa_flags = SA_RESTART};

	if (pipe(wake_pipe) != 0)
	{
		say("could not make a pipe: %s", strerror(errno));
		exit(1);
	}
	for (int i = 0; i < 2; i++)
	{
		fcntl(wake_pipe[i], F_SETFL, O_NONBLOCK);
		fcntl(wake_pipe[i], F_SETFD, FD_CLOEXEC);
	}
	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static void
take_signal(int number)
{
	int			saved = errno;
	ssize_t		written;

	signals++;
	written = write(wake_pipe[1], "", 1);
	/* It fails where the pipe is full of them. */
	(void) written;
	errno = saved;
}

/* What they ask for. */
static void
heed_signals(Courier *courier)
{
	char		bytes[64];

	while (read(wake_pipe[0], bytes, sizeof(bytes)) > 0)
		continue;
	if (signals > 0 && !courier->leaving)
	{
		courier->leaving = true;
		say("finishes what is being sent, then leaves");
	}
	if (signals > 1)
	{
		say("leaves at once; what is being sent will be sent again");
		_exit(1);
	}
}

/* ---------------------------------------------------------------------------
 * The loop
 * ---------------------------------------------------------------------------
 */

static int
run(const Config *config)
{
	Courier		courier = {.config = config};
	int64_t		since = 0;

	set_up_signals();
	if (!transfer_open(config, wake_pipe[1]))
		return 1;
	database_start(&courier);
	while (!done(&courier, &since))
	{
		short		revents;

		wait_for_something(&courier, &revents);
		heed_signals(&courier);
		transfer_step(&courier);
		database_step(&courier, revents);
	}
	database_stop(&courier);

	/* Servers are told that we leave, and may take their time to answer. */
	signal(SIGALRM, give_up);
	alarm(FAREWELL_SECONDS);
	transfer_close();
	alarm(0);
	say("has left");
	return 0;
}

static void
give_up(int number)
{
	_exit(0);
}

/* Until a socket, a signal, or the time has come. */
static void
wait_for_something(Courier *courier, short *revents)
{
	struct pollfd fds[2] = {{.fd = wake_pipe[0], .events = POLLIN}};
	int64_t		timeout = database_timeout(courier);
	bool		polled = database_poll(courier, &fds[1]);

	if (courier->leaving && (timeout < 0 || timeout > 1000))
		timeout = 1000;
	if (timeout > INT_MAX)
		timeout = INT_MAX;
	if (poll(fds, polled ? 2 : 1, timeout) < 0)
		fds[1].revents = 0;
	*revents = polled ? fds[1].revents : 0;
}

/*
 * Whether a courier that leaves has nothing left to do.  "since" is when it had
 * nothing to send any more.
 */
static bool
done(const Courier *courier, int64_t *since)
{
	Request		request = courier->database.request;

	if (!courier->leaving || request == REQUEST_CLAIM ||
		courier->channels[CHANNEL_EMAIL].active > 0 || courier->channels[CHANNEL_WEBHOOK].active > 0)
		return false;
	if (*since == 0)
		*since = now_ms();
	if (courier->outcomes == NULL && request != REQUEST_REPORT)
		return true;
	if (now_ms() - *since < LAST_WORDS_MS)
		return false;
	say("could not report all, some will be delivered again");
	return true;
}
