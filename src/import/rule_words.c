/*-------------------------------------------------------------------------
 *
 * rule_words.c
 *	  Texts that look like an address.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "import/rules.h"

/* RFC 5321, section 4.5.3.1; RFC 1035, section 2.3.4. */
#define MAX_EMAIL		254
#define MAX_LOCAL		64
#define MAX_HOST		253
#define MAX_LABEL		63

static bool is_number(const char *text, int len);

/* Letters of other scripts are taken, in both parts. */
static inline bool
is_letter(char c)
{
	return isalnum((unsigned char) c) || IS_HIGHBIT_SET(c);
}

/*
 * name@host, where the host has a dot and a name at its end.  Quoted names and
 * addresses of machines, which the standard has, are no addresses of people.
 */
bool
jobs_is_email(const char *text, int len)
{
	const char *at = memchr(text, '@', len);
	int			local = at != NULL ? at - text : 0;
	const char *dot;

	if (len > MAX_EMAIL || local == 0 || local > MAX_LOCAL)
		return false;
	for (int i = 0; i < local; i++)
	{
		if (text[i] == '.' ? i == 0 || i == local - 1 || text[i - 1] == '.'
			: !is_letter(text[i]) && strchr("!#$%&'*+/=?^_`{|}~-", text[i]) == NULL)
			return false;
	}
	if (!jobs_is_host(at + 1, len - local - 1))
		return false;
	for (dot = text + len - 1; dot > at && *dot != '.';)
		dot--;
	return dot > at && !is_number(dot + 1, text + len - dot - 1);
}

/* http, https or ftp, "://", a host with or without a port, and no spaces. */
bool
jobs_is_url(const char *text, int len)
{
	static const char *const schemes[] = {"http://", "https://", "ftp://"};
	const char *host = NULL;
	const char *end = text + len;
	const char *stop;
	const char *at;

	for (int i = 0; i < lengthof(schemes); i++)
	{
		if (pg_strncasecmp(text, schemes[i], strlen(schemes[i])) == 0)
			host = text + strlen(schemes[i]);
	}
	if (host == NULL)
		return false;
	for (const char *p = host; p < end; p++)
	{
		if ((unsigned char) *p <= ' ' || *p == 0x7f || strchr("<>\"\\^`{|}", *p) != NULL)
			return false;
	}
	stop = host + strcspn(host, "/?#");
	at = memchr(host, '@', stop - host);
	if (at != NULL)
		host = at + 1;
	if (*host == '[')
	{
		const char *close = memchr(host, ']', stop - host);

		if (close == NULL || strspn(host + 1, "0123456789abcdefABCDEF:.") != close - host - 1)
			return false;
		return close + 1 == stop || (close[1] == ':' && is_number(close + 2, stop - close - 2));
	}
	for (const char *colon = host; colon < stop; colon++)
	{
		if (*colon == ':')
		{
			if (!is_number(colon + 1, stop - colon - 1))
				return false;
			stop = colon;
		}
	}
	return jobs_is_host(host, stop - host);
}

/* Labels of letters, digits and inner hyphens, with dots between them. */
bool
jobs_is_host(const char *host, int len)
{
	int			label = 0;

	if (len == 0 || len > MAX_HOST)
		return false;
	for (int i = 0; i <= len; i++)
	{
		if (i == len || host[i] == '.')
		{
			if (label == 0 || label > MAX_LABEL || host[i - 1] == '-')
				return false;
			label = 0;
		}
		else if (is_letter(host[i]) || (host[i] == '-' && label > 0) || host[i] == '_')
			label++;
		else
			return false;
	}
	return true;
}

static bool
is_number(const char *text, int len)
{
	for (int i = 0; i < len; i++)
	{
		if (!isdigit((unsigned char) text[i]))
			return false;
	}
	return len > 0;
}
