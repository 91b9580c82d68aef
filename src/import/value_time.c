/*-------------------------------------------------------------------------
 *
 * value_time.c
 *	  Dates and times from text, as the input functions of their types read them.
 *
 * What begins with a year of four digits is read here.  The rest goes through
 * the server's decoder, which says what is wrong without raising an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "import/value.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* What the decoder found. */
typedef struct Decoded
{
	int			kind;			/* DTK_DATE, DTK_EPOCH, DTK_LATE or DTK_EARLY */
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;
} Decoded;

/* A clock's time in the ISO form. */
typedef struct IsoTime
{
	int			year;
	int			month;
	int			day;
	int64		usecs;			/* since midnight */
} IsoTime;

static const char *read_date(const char *p, IsoTime *iso);
static const char *read_time(const char *p, IsoTime *iso);
static bool read_zone(const char *p, int *seconds);
static ValueResult decode(ValueParser *parser, const char *text, Decoded *decoded);
static bool needs_rounding(ValueParser *parser);

static inline int
two_digits(const char *p)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return -1;
	return (p[0] - '0') * 10 + (p[1] - '0');
}

/* Behind a date, or NULL where it has another form or there is no such day. */
static const char *
read_date(const char *p, IsoTime *iso)
{
	int			century = two_digits(p);
	int			year = century < 0 ? -1 : two_digits(p + 2);

	if (year < 0 || p[4] != '-' || (iso->month = two_digits(p + 5)) < 1 || iso->month > MONTHS_PER_YEAR ||
		p[7] != '-' || (iso->day = two_digits(p + 8)) < 1)
		return NULL;
	iso->year = century * 100 + year;
	if (iso->year == 0 || iso->day > day_tab[isleap(iso->year)][iso->month - 1])
		return NULL;
	return p + 10;
}

/* Behind a time of day, or NULL. */
static const char *
read_time(const char *p, IsoTime *iso)
{
	int			hour = two_digits(p);
	int			minute;
	int			second = 0;
	int			fraction = 0;

	if (hour < 0 || hour > 23 || p[2] != ':' || (minute = two_digits(p + 3)) < 0 || minute > 59)
		return NULL;
	p += 5;
	if (*p == ':')
	{
		if ((second = two_digits(p + 1)) < 0 || second > 59)
			return NULL;
		p += 3;
		if (*p == '.')
		{
			int			digits = 0;

			for (p++; *p >= '0' && *p <= '9'; p++, digits++)
				fraction = digits < 6 ? fraction * 10 + (*p - '0') : 0;
			if (digits == 0 || digits > 6)
				return NULL;
			for (; digits < 6; digits++)
				fraction *= 10;
		}
	}
	iso->usecs = ((hour * MINS_PER_HOUR + minute) * (int64) SECS_PER_MINUTE + second) * USECS_PER_SEC + fraction;
	return p;
}

ValueResult
jobs_parse_date(ValueParser *parser, const char *text, int len, Datum *value)
{
	IsoTime		iso;
	const char *end = read_date(text, &iso);
	Decoded		d;
	DateADT		date;
	ValueResult	result;

	if (end != NULL && *end == '\0')
	{
		*value = DateADTGetDatum(date2j(iso.year, iso.month, iso.day) - POSTGRES_EPOCH_JDATE);
		return VALUE_READ;
	}
	if ((result = decode(parser, text, &d)) != VALUE_READ)
		return result;
	switch (d.kind)
	{
		case DTK_DATE:
			break;
		case DTK_EPOCH:
			GetEpochTime(&d.tm);
			break;
		case DTK_LATE:
			DATE_NOEND(date);
			*value = DateADTGetDatum(date);
			return VALUE_READ;
		case DTK_EARLY:
			DATE_NOBEGIN(date);
			*value = DateADTGetDatum(date);
			return VALUE_READ;
		default:
			return VALUE_MALFORMED;
	}
	if (!IS_VALID_JULIAN(d.tm.tm_year, d.tm.tm_mon, d.tm.tm_mday))
		return VALUE_OUT_OF_RANGE;
	date = date2j(d.tm.tm_year, d.tm.tm_mon, d.tm.tm_mday) - POSTGRES_EPOCH_JDATE;
	if (!IS_VALID_DATE(date))
		return VALUE_OUT_OF_RANGE;
	*value = DateADTGetDatum(date);
	return VALUE_READ;
}

/* Whether the type cuts fractions of seconds: rare enough for the input function. */
static bool
needs_rounding(ValueParser *parser)
{
	return parser->typmod >= 0 && parser->typmod < MAX_TIMESTAMP_PRECISION;
}

static inline int64
clock_of(const IsoTime *iso)
{
	return (date2j(iso->year, iso->month, iso->day) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY + iso->usecs;
}

/* The iso form of a timestamp up to its zone, or NULL. */
static const char *
read_clock(const char *text, IsoTime *iso)
{
	const char *p = read_date(text, iso);

	if (p == NULL)
		return NULL;
	iso->usecs = 0;
	if (*p == '\0')
		return p;
	if (*p != ' ' && *p != 'T')
		return NULL;
	return read_time(p + 1, iso);
}

/* The decoder's result as a timestamp; zone: NULL, or that of a timestamptz. */
static ValueResult
decoded_timestamp(Decoded *d, bool zone, Timestamp *time)
{
	switch (d->kind)
	{
		case DTK_DATE:
			if (tm2timestamp(&d->tm, d->fsec, zone ? &d->tz : NULL, time) != 0)
				return VALUE_OUT_OF_RANGE;
			return VALUE_READ;
		case DTK_EPOCH:
			*time = SetEpochTimestamp();
			return VALUE_READ;
		case DTK_LATE:
			TIMESTAMP_NOEND(*time);
			return VALUE_READ;
		case DTK_EARLY:
			TIMESTAMP_NOBEGIN(*time);
			return VALUE_READ;
		default:
			return VALUE_MALFORMED;
	}
}

ValueResult
jobs_parse_timestamp(ValueParser *parser, const char *text, int len, Datum *value)
{
	IsoTime		iso;
	const char *end = needs_rounding(parser) ? NULL : read_clock(text, &iso);
	Timestamp	time;
	Decoded		d;
	ValueResult	result;

	if (end != NULL && *end == '\0')
	{
		*value = TimestampGetDatum(clock_of(&iso));
		return VALUE_READ;
	}
	if ((result = decode(parser, text, &d)) != VALUE_READ ||
		(result = decoded_timestamp(&d, false, &time)) != VALUE_READ)
		return result;
	if (needs_rounding(parser))
		jobs_AdjustTimestampForTypmod(&time, parser->typmod);
	*value = TimestampGetDatum(time);
	return VALUE_READ;
}

ValueResult
jobs_parse_timestamptz(ValueParser *parser, const char *text, int len, Datum *value)
{
	IsoTime		iso;
	const char *end = needs_rounding(parser) ? NULL : read_clock(text, &iso);
	int			seconds;
	TimestampTz time;
	Decoded		d;
	ValueResult	result;

	if (end != NULL && *end != '\0' && read_zone(end, &seconds))
	{
		*value = TimestampTzGetDatum(clock_of(&iso) - seconds * USECS_PER_SEC);
		return VALUE_READ;
	}
	if (end != NULL && *end == '\0')
	{
		struct pg_tm tm = {0};

		tm.tm_year = iso.year;
		tm.tm_mon = iso.month;
		tm.tm_mday = iso.day;
		tm.tm_hour = iso.usecs / USECS_PER_HOUR;
		tm.tm_min = iso.usecs / USECS_PER_MINUTE % MINS_PER_HOUR;
		tm.tm_sec = iso.usecs / USECS_PER_SEC % SECS_PER_MINUTE;
		tm.tm_isdst = -1;
		*value = TimestampTzGetDatum(clock_of(&iso) + DetermineTimeZoneOffset(&tm, session_timezone) * USECS_PER_SEC);
		return VALUE_READ;
	}
	if ((result = decode(parser, text, &d)) != VALUE_READ ||
		(result = decoded_timestamp(&d, true, &time)) != VALUE_READ)
		return result;
	if (needs_rounding(parser))
		jobs_AdjustTimestampForTypmod(&time, parser->typmod);
	*value = TimestampTzGetDatum(time);
	return VALUE_READ;
}

/* "Z", "+hh" and "+hh:mm": seconds east of Greenwich. */
static bool
read_zone(const char *p, int *seconds)
{
	bool		west = *p == '-';
	int			hours;
	int			minutes = 0;

	*seconds = 0;
	if (*p == 'Z')
		return p[1] == '\0';
	if (*p != '+' && *p != '-')
		return false;
	if ((hours = two_digits(p + 1)) < 0 || hours > 14)
		return false;
	p += 3;
	if (*p == ':')
	{
		if ((minutes = two_digits(p + 1)) < 0 || minutes > 59)
			return false;
		p += 3;
	}
	*seconds = (hours * MINS_PER_HOUR + minutes) * SECS_PER_MINUTE;
	if (west)
		*seconds = -*seconds;
	return *p == '\0';
}

static ValueResult
decode(ValueParser *parser, const char *text, Decoded *decoded)
{
	char		workbuf[MAXDATELEN + 1];
	char	   *field[MAXDATEFIELDS];
	int			ftype[MAXDATEFIELDS];
	int			nf;
	int			saved = DateOrder;
	int			error;

	memset(decoded, 0, sizeof(*decoded));
	error = ParseDateTime(text, workbuf, sizeof(workbuf), field, ftype, MAXDATEFIELDS, &nf);
	if (error != 0)
		return VALUE_MALFORMED;
	if (parser->style->date_order >= 0)
		DateOrder = parser->style->date_order;
	error = jobs_DecodeDateTime(field, ftype, nf, &decoded->kind, &decoded->tm, &decoded->fsec, &decoded->tz);
	DateOrder = saved;
	return error != 0 ? VALUE_MALFORMED : VALUE_READ;
}
