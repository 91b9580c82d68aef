/*-------------------------------------------------------------------------
 *
 * phrase.c
 *	  Numbers, sizes and times as a person reads them, in English.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "phrase.h"
#include "utils/timestamp.h"

#define MAX_LINE_CHARS		200 /* of an error or a message */

void
jobs_say_dot(StringInfo buf)
{
	if (buf->len > 0)
		appendStringInfoString(buf, JOBS_DOT);
}

/* Digits in groups of three, whatever the locale; n is not negative. */
void
jobs_say_number(StringInfo buf, int64 n)
{
	char	   *digits = psprintf("%lld", (long long) n);
	int			len = strlen(digits);

	for (int i = 0; i < len; i++)
	{
		if (i > 0 && (len - i) % 3 == 0)
			appendStringInfoChar(buf, ',');
		appendStringInfoChar(buf, digits[i]);
	}
}

void
jobs_say_count(StringInfo buf, int64 n, const char *noun)
{
	jobs_say_number(buf, n);
	appendStringInfo(buf, " %s%s", noun, n == 1 ? "" : "s");
}

void
jobs_say_ordinal(StringInfo buf, int32 n)
{
	const char *suffix = "th";

	if (n % 100 < 11 || n % 100 > 13)
	{
		switch (n % 10)
		{
			case 1:
				suffix = "st";
				break;
			case 2:
				suffix = "nd";
				break;
			case 3:
				suffix = "rd";
				break;
		}
	}
	jobs_say_number(buf, n);
	appendStringInfoString(buf, suffix);
}

/* Decimal units, three digits at most: 999 bytes, 1.0 kB, 12.4 MB, 999 MB. */
void
jobs_say_size(StringInfo buf, int64 bytes)
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	double		value = bytes;
	int			unit = -1;

	if (bytes < 1000)
	{
		jobs_say_count(buf, bytes, "byte");
		return;
	}

	/* What would be rounded to 1000 belongs to the next unit. */
	while (value >= 999.5 && unit < (int) lengthof(units) - 1)
	{
		value /= 1000;
		unit++;
	}
	if (rint(value * 10) < 1000)
		appendStringInfo(buf, "%.1f %s", rint(value * 10) / 10, units[unit]);
	else
		appendStringInfo(buf, "%.0f %s", rint(value), units[unit]);
}

/* A clock that was set back must not make the past the future. */
void
jobs_say_ago(StringInfo buf, TimestampTz time, TimestampTz now)
{
	int64		minutes = (now - time) / (60 * USECS_PER_SEC);

	if (minutes < 1)
		appendStringInfoString(buf, "just now");
	else if (minutes < 60)
		appendStringInfo(buf, "%lld min ago", (long long) minutes);
	else if (minutes < 48 * 60)
		appendStringInfo(buf, "%lld h ago", (long long) minutes / 60);
	else
	{
		jobs_say_number(buf, minutes / (24 * 60));
		appendStringInfoString(buf, " days ago");
	}
}

/*
 * "in 3 h", or in full "in 3 hours".  Rounded to the nearest, unlike the past:
 * a link of 24 hours has 24 hours left when it is first looked at.
 */
void
jobs_say_until(StringInfo buf, int64 usecs, bool in_full)
{
	int64		seconds = Max((usecs + USECS_PER_SEC / 2) / USECS_PER_SEC, 1);
	int64		minutes = (seconds + 30) / 60;
	int64		hours = (seconds + 1800) / 3600;

	if (seconds < 60)
	{
		if (in_full)
			appendStringInfoString(buf, "in less than a minute");
		else
			appendStringInfo(buf, "in %lld s", (long long) seconds);
		return;
	}
	appendStringInfoString(buf, "in ");
	if (minutes >= 60 && hours >= 48)
		jobs_say_count(buf, (seconds + SECS_PER_DAY / 2) / SECS_PER_DAY, "day");
	else if (in_full)
		jobs_say_count(buf, minutes < 60 ? minutes : hours, minutes < 60 ? "minute" : "hour");
	else if (minutes < 60)
		appendStringInfo(buf, "%lld min", (long long) minutes);
	else
		appendStringInfo(buf, "%lld h", (long long) hours);
}

int
jobs_char_len(const char *p)
{
	int			len;

	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		return pg_mblen(p);
	len = pg_utf_mblen((const unsigned char *) p);
	return strnlen(p, len) == len && pg_utf8_islegal((const unsigned char *) p, len) ? len : 1;
}

/* The first line of a text, not longer than a person reads at a glance. */
void
jobs_say_line(StringInfo buf, const char *text)
{
	int			chars = 0;

	for (const char *p = text; *p && *p != '\n' && *p != '\r'; p += jobs_char_len(p))
	{
		if (chars++ == MAX_LINE_CHARS)
		{
			appendStringInfoString(buf, JOBS_ELLIPSIS);
			break;
		}
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			appendStringInfoChar(buf, ' ');
		else
			appendBinaryStringInfo(buf, p, jobs_char_len(p));
	}
}
