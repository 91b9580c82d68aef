/*-------------------------------------------------------------------------
 *
 * address.c
 *	  Where messages may go: addresses, and the settings that allow them.
 *
 * An address is asked for by any role and used by a program that may reach more
 * than that role can, so only what is surely one address passes: names in ASCII,
 * no machine's number, no user in a URL, no detour in a mail address.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "delivery/address.h"
#include "guc.h"
#include "import/rules.h"
#include "lib/stringinfo.h"

#define MAX_URL			2000
#define HTTPS			"https://"
#define HTTPS_PORT		443
#define MAX_TEMPLATE	1000

/* What separates the elements of a list. */
#define BLANKS			", \t\n\r"

static bool is_host(const char *host, int len);
static bool is_plain(const char *text);
static int	port_of(const char *text, int len);
static bool split_url(const char *url, const char **host, int *len, int *port);
static bool split_address(JobsChannel channel, const char *address, const char **host, int *len, int *port);
pg_noreturn static void refuse_address(JobsChannel channel);
pg_noreturn static void refuse_channel(JobsChannel channel);
static bool split_pattern(JobsChannel channel, const char *pattern, int len, int *host_len, int *port);
static bool pattern_fits(const char *pattern, int pattern_len, const char *host, int len);
static const char *allowed_list(JobsChannel channel);
static bool check_list(JobsChannel channel, const char *list);

/* ------------------------------------------------------------------------
 * What an address is
 * ------------------------------------------------------------------------
 */

/*
 * In ASCII, and of those that are registered.  A last label that is a number would make
 * an address of a machine of the whole, in one of its many forms.
 */
static bool
is_host(const char *host, int len)
{
	const char *last = host;

	if (!jobs_is_host(host, len))
		return false;
	for (int i = 0; i < len; i++)
	{
		if (IS_HIGHBIT_SET(host[i]) || host[i] == '_')
			return false;
		if (host[i] == '.')
			last = host + i + 1;
	}
	return !isdigit((unsigned char) *last);
}

/* Printable ASCII without blanks, and without what no URL has. */
static bool
is_plain(const char *text)
{
	for (const char *p = text; *p; p++)
	{
		if (*p <= ' ' || *p >= 0x7f || IS_HIGHBIT_SET(*p) || strchr("<>\"\\^`{|}#", *p) != NULL)
			return false;
	}
	return true;
}

/* 0 for what is no port. */
static int
port_of(const char *text, int len)
{
	int			port = 0;

	if (len < 1 || len > 5)
		return 0;
	for (int i = 0; i < len; i++)
	{
		if (!isdigit((unsigned char) text[i]))
			return 0;
		port = port * 10 + (text[i] - '0');
	}
	return port <= 65535 ? port : 0;
}

static bool
split_url(const char *url, const char **host, int *len, int *port)
{
	const char *colon;
	int			size;

	if (strlen(url) > MAX_URL || !is_plain(url) || pg_strncasecmp(url, HTTPS, strlen(HTTPS)) != 0)
		return false;
	*host = url + strlen(HTTPS);
	size = strcspn(*host, "/?");
	colon = memchr(*host, ':', size);
	*len = colon ? colon - *host : size;
	*port = colon ? port_of(colon + 1, size - *len - 1) : HTTPS_PORT;
	return *port > 0 && is_host(*host, *len);
}

/* The host that an address leads to; false for what is no address. */
static bool
split_address(JobsChannel channel, const char *address, const char **host, int *len, int *port)
{
	if (channel == CHANNEL_WEBHOOK)
		return split_url(address, host, len, port);

	/* Some servers take % and ! for a way on to another, and a hyphen may be an option. */
	*port = 0;
	if (!jobs_is_email(address, strlen(address)) || address[0] == '-')
		return false;
	for (const char *p = address; *p; p++)
	{
		if (IS_HIGHBIT_SET(*p) || *p == '%' || *p == '!' || *p == '`' || *p == '|')
			return false;
	}
	*host = strchr(address, '@') + 1;
	*len = strlen(*host);
	return is_host(*host, *len);
}

void
jobs_address_check(JobsChannel channel, const char *address)
{
	const char *host;
	int			len;
	int			port;

	if (!split_address(channel, address, &host, &len, &port))
		refuse_address(channel);
	if (!jobs_channel_on(channel))
		refuse_channel(channel);
	if (jobs_address_allowed(channel, address))
		return;
	if (channel == CHANNEL_EMAIL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("e-mail to the domain \"%.*s\" is not allowed", len, host),
				 errhint("An administrator allows it by jobs.mail_domains.")));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("webhooks to port %d of the host \"%.*s\" are not allowed", port, len, host),
			 errhint("An administrator allows it by jobs.webhook_hosts.")));
}

/* The value is not repeated: it may have line ends, or a million characters. */
static void
refuse_address(JobsChannel channel)
{
	if (channel == CHANNEL_EMAIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"email\" of notify must be one address, in ASCII characters"),
				 errhint("For example {\"email\": \"ada@example.com\"}.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"webhook\" of notify must be an HTTPS URL with the name of a host"),
			 errhint("For example {\"webhook\": \"https://hooks.example.com/jobs\"}.")));
}

static void
refuse_channel(JobsChannel channel)
{
	if (channel == CHANNEL_EMAIL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("this server is not allowed to deliver e-mail"),
				 errhint("An administrator allows it by jobs.mail_domains; without that, LISTEN to the channel jobs for the end of the job.")));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("this server is not allowed to deliver webhooks"),
			 errhint("An administrator allows it by jobs.webhook_hosts; without that, LISTEN to the channel jobs for the end of the job.")));
}

/* ------------------------------------------------------------------------
 * What is allowed
 * ------------------------------------------------------------------------
 */

static const char *
allowed_list(JobsChannel channel)
{
	const char *list = channel == CHANNEL_EMAIL ? jobs_mail_domains : jobs_webhook_hosts;

	return list ? list : "";
}

const char *
jobs_channel_setting(JobsChannel channel)
{
	return channel == CHANNEL_EMAIL ? "jobs.mail_domains" : "jobs.webhook_hosts";
}

bool
jobs_channel_on(JobsChannel channel)
{
	const char *list = allowed_list(channel);

	return list[strspn(list, BLANKS)] != '\0';
}

bool
jobs_address_allowed(JobsChannel channel, const char *address)
{
	const char *host;
	int			len;
	int			port;

	if (!split_address(channel, address, &host, &len, &port))
		return false;
	for (const char *p = allowed_list(channel); *(p += strspn(p, BLANKS));)
	{
		int			size = strcspn(p, BLANKS);
		int			pattern_len;
		int			pattern_port;

		if (split_pattern(channel, p, size, &pattern_len, &pattern_port) &&
			pattern_port == port && pattern_fits(p, pattern_len, host, len))
			return true;
		p += size;
	}
	return false;
}

/* "*", "*.example.com", "example.com"; of a host also with ":port". */
static bool
split_pattern(JobsChannel channel, const char *pattern, int len, int *host_len, int *port)
{
	const char *colon = channel == CHANNEL_WEBHOOK ? memchr(pattern, ':', len) : NULL;
	int			skip = 0;

	*host_len = colon ? colon - pattern : len;
	*port = 0;
	if (channel == CHANNEL_WEBHOOK)
		*port = colon ? port_of(colon + 1, len - *host_len - 1) : HTTPS_PORT;
	if (channel == CHANNEL_WEBHOOK && *port == 0)
		return false;
	if (*host_len == 1 && pattern[0] == '*')
		return true;
	if (*host_len > 2 && pattern[0] == '*' && pattern[1] == '.')
		skip = 2;
	return is_host(pattern + skip, *host_len - skip);
}

/* A name without a dot is one of the network inside, which must be named itself. */
static bool
pattern_fits(const char *pattern, int pattern_len, const char *host, int len)
{
	if (pattern[0] != '*')
		return pattern_len == len && pg_strncasecmp(pattern, host, len) == 0;
	if (pattern_len == 1)
		return memchr(host, '.', len) != NULL;
	pattern++;
	pattern_len--;
	return len > pattern_len && pg_strncasecmp(pattern, host + len - pattern_len, pattern_len) == 0;
}

/* ------------------------------------------------------------------------
 * Hooks of the settings
 * ------------------------------------------------------------------------
 */

static bool
check_list(JobsChannel channel, const char *list)
{
	for (const char *p = list; *(p += strspn(p, BLANKS));)
	{
		int			size = strcspn(p, BLANKS);
		int			len;
		int			port;

		if (!split_pattern(channel, p, size, &len, &port))
		{
			GUC_check_errdetail("\"%.*s\" is not the name of a %s.", size, p,
								channel == CHANNEL_EMAIL ? "domain" : "host");
			GUC_check_errhint(channel == CHANNEL_EMAIL ?
							  "List domains, such as example.com, *.example.com for all below it, or * for any." :
							  "List hosts, such as hooks.example.com, hooks.example.com:8443, *.example.com for all below it, or * for any.");
			return false;
		}
		p += size;
	}
	return true;
}

bool
jobs_check_mail_domains(char **newval, void **extra, GucSource source)
{
	return check_list(CHANNEL_EMAIL, *newval);
}

bool
jobs_check_webhook_hosts(char **newval, void **extra, GucSource source)
{
	return check_list(CHANNEL_WEBHOOK, *newval);
}

/* What it makes stands in HTML and in JSON as it is. */
bool
jobs_check_link_template(char **newval, void **extra, GucSource source)
{
	StringInfoData rest;
	bool		valid;

	if (**newval == '\0')
		return true;
	initStringInfo(&rest);
	valid = strlen(*newval) <= MAX_TEMPLATE &&
		(pg_strncasecmp(*newval, HTTPS, strlen(HTTPS)) == 0 || pg_strncasecmp(*newval, "http://", 7) == 0);
	for (const char *p = *newval; *p; p++)
	{
		if (strncmp(p, "{token}", 7) == 0)
			p += 6;
		else if (strncmp(p, "{job}", 5) == 0)
			p += 4;
		else
			appendStringInfoChar(&rest, *p == '#' ? '-' : *p);
	}
	valid = valid && is_plain(rest.data) && rest.len < strlen(*newval);
	pfree(rest.data);
	if (!valid)
	{
		GUC_check_errdetail("A template is a URL with {token} or {job} in it, and nothing else in braces.");
		GUC_check_errhint("For example https://app.example.com/files/{token}.");
	}
	return valid;
}
