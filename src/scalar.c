/*-------------------------------------------------------------------------
 *
 * scalar.c
 *	  Values of common types as text, without a call of their output function.
 *
 * The bytes are those of the output functions, which a test compares.  What is
 * saved is the call, memory for each value, and for times with a zone a search
 * in the zone's table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/shortest_dec.h"
#include "compat.h"
#include "datatype/timestamp.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "scalar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/*
 * A numeric as it is stored: a header of one or two words, then digits of base
 * 10000.  Data files keep this from version to version.
 */
#define NUM_SHORT			0x8000
#define NUM_SPECIAL			0xC000
#define NUM_LONG_NEGATIVE	0x4000
#define NUM_SHORT_NEGATIVE	0x2000
#define NUM_SHORT_DSCALE(h)	(((h) & 0x1F80) >> 7)
#define NUM_SHORT_WEIGHT(h)	(((h) & 0x0040 ? ~0x003F : 0) | ((h) & 0x003F))
#define NUM_LONG_DSCALE(h)	((h) & 0x3FFF)
#define DIGITS_OF_4			4

/* Offsets of the session's time zone, for days in which it does not change. */
#define ZONE_CACHE_SIZE		512

typedef struct ZoneDay
{
	int64		day;			/* since 2000-01-01 UTC */
	int			gmtoff;			/* seconds east of Greenwich */
	bool		known;
} ZoneDay;

static ZoneDay zone_cache[ZONE_CACHE_SIZE];
static pg_tz *zone_cached = NULL;

static char *put_two(char *p, int n);
static char *put_digits(char *p, int n, int width);
static int	put_numeric(Numeric num, char *out);
static char *put_date(char *p, int julian, bool *bc);
static char *put_time(char *p, int64 usecs);
static int	put_timestamp(Timestamp time, char *out);
static int	put_timestamptz(TimestampTz time, char *out);
static bool zone_offset(TimestampTz time, int *gmtoff);
static int	put_uuid(const unsigned char *bytes, char *out);
static int	put_word(char *out, const char *word);

JobsScalar
jobs_scalar_of(PGFunction output)
{
	static const struct
	{
		PGFunction	output;
		JobsScalar	scalar;
	}			known[] = {
		{textout, SCALAR_TEXT}, {varcharout, SCALAR_TEXT}, {bpcharout, SCALAR_TEXT},
		{json_out, SCALAR_TEXT}, {jsonb_out, SCALAR_JSONB}, {boolout, SCALAR_BOOL},
		{int2out, SCALAR_INT2}, {int4out, SCALAR_INT4}, {int8out, SCALAR_INT8}, {oidout, SCALAR_OID},
		{float4out, SCALAR_FLOAT4}, {float8out, SCALAR_FLOAT8}, {numeric_out, SCALAR_NUMERIC},
		{date_out, SCALAR_DATE}, {timestamp_out, SCALAR_TIMESTAMP},
		{timestamptz_out, SCALAR_TIMESTAMPTZ}, {uuid_out, SCALAR_UUID}
	};

	for (int i = 0; i < lengthof(known); i++)
	{
		if (known[i].output == output)
			return known[i].scalar;
	}
	return SCALAR_ANY;
}

int
jobs_scalar_put(JobsScalar scalar, Datum value, char *out)
{
	switch (scalar)
	{
		case SCALAR_BOOL:
			*out = DatumGetBool(value) ? 't' : 'f';
			return 1;
		case SCALAR_INT2:
			return pg_itoa(DatumGetInt16(value), out);
		case SCALAR_INT4:
			return pg_ltoa(DatumGetInt32(value), out);
		case SCALAR_INT8:
			return pg_lltoa(DatumGetInt64(value), out);
		case SCALAR_OID:
			return pg_ultoa_n(DatumGetObjectId(value), out);
		case SCALAR_FLOAT4:
			return extra_float_digits > 0 ? float_to_shortest_decimal_buf(DatumGetFloat4(value), out) : -1;
		case SCALAR_FLOAT8:
			return extra_float_digits > 0 ? double_to_shortest_decimal_buf(DatumGetFloat8(value), out) : -1;
		case SCALAR_NUMERIC:
			return put_numeric((Numeric) PG_DETOAST_DATUM_PACKED(value), out);
		case SCALAR_DATE:
			{
				DateADT		date = DatumGetDateADT(value);
				bool		bc;
				char	   *p;

				if (DATE_NOT_FINITE(date))
					return put_word(out, date == DATEVAL_NOBEGIN ? "-infinity" : "infinity");
				if (DateStyle != USE_ISO_DATES)
					return -1;
				p = put_date(out, date + POSTGRES_EPOCH_JDATE, &bc);
				return p - out + (bc ? put_word(p, " BC") : 0);
			}
		case SCALAR_TIMESTAMP:
			return put_timestamp(DatumGetTimestamp(value), out);
		case SCALAR_TIMESTAMPTZ:
			return put_timestamptz(DatumGetTimestampTz(value), out);
		case SCALAR_UUID:
			return put_uuid(DatumGetUUIDP(value)->data, out);
		default:
			return -1;
	}
}

static int
put_word(char *out, const char *word)
{
	int			len = strlen(word);

	memcpy(out, word, len);
	return len;
}

/* ------------------------------------------------------------------------
 * Numbers
 * ------------------------------------------------------------------------
 */

static char *
put_two(char *p, int n)
{
	p[0] = '0' + n / 10;
	p[1] = '0' + n % 10;
	return p + 2;
}

static char *
put_digits(char *p, int n, int width)
{
	for (int i = width - 1; i >= 0; i--, n /= 10)
		p[i] = '0' + n % 10;
	return p + width;
}

/* Digits before the point without leading zeros, then dscale digits. */
static int
put_numeric(Numeric num, char *out)
{
	char	   *start = VARDATA_ANY(num);
	int			size = VARSIZE_ANY_EXHDR(num);
	uint16		header;
	int			weight;
	int			dscale;
	bool		negative;
	const char *digits;
	int			ndigits;
	char	   *p = out;

	/* A value with a short header may lie on any address. */
	memcpy(&header, start, sizeof(header));
	if ((header & NUM_SPECIAL) == NUM_SPECIAL)
		return -1;
	if (header & NUM_SHORT)
	{
		negative = (header & NUM_SHORT_NEGATIVE) != 0;
		dscale = NUM_SHORT_DSCALE(header);
		weight = NUM_SHORT_WEIGHT(header);
		digits = start + sizeof(uint16);
	}
	else
	{
		int16		w;

		memcpy(&w, start + sizeof(uint16), sizeof(w));
		negative = (header & NUM_SPECIAL) == NUM_LONG_NEGATIVE;
		dscale = NUM_LONG_DSCALE(header);
		weight = w;
		digits = start + 2 * sizeof(uint16);
	}
	ndigits = (start + size - digits) / sizeof(int16);
	if ((Max(weight, 0) + 1) * DIGITS_OF_4 + dscale + DIGITS_OF_4 > JOBS_SCALAR_MAX - 2)
		return -1;

#define DIGIT(i, d) \
	do { int16 d_ = 0; if ((i) >= 0 && (i) < ndigits) memcpy(&d_, digits + (i) * sizeof(int16), sizeof(int16)); \
		(d) = d_; } while (0)

	if (negative)
		*p++ = '-';
	if (weight < 0)
		*p++ = '0';
	for (int i = 0; i <= weight; i++)
	{
		int			d;

		DIGIT(i, d);
		if (i > 0)
			p = put_digits(p, d, DIGITS_OF_4);
		else
			p += pg_ultoa_n(d, p);
	}
	if (dscale > 0)
	{
		char	   *end;

		*p++ = '.';
		end = p + dscale;
		for (int i = weight + 1; p < end; i++)
		{
			int			d;

			DIGIT(i, d);
			p = put_digits(p, d, DIGITS_OF_4);
		}
		p = end;
	}
	return p - out;
#undef DIGIT
}

/* ------------------------------------------------------------------------
 * Dates and times, in the ISO style
 * ------------------------------------------------------------------------
 */

static char *
put_date(char *p, int julian, bool *bc)
{
	int			year;
	int			month;
	int			day;

	j2date(julian, &year, &month, &day);
	*bc = year <= 0;
	if (year <= 0)
		year = 1 - year;
	if (year < 10000)
		p = put_digits(p, year, 4);
	else
		p += pg_ultoa_n(year, p);
	*p++ = '-';
	p = put_two(p, month);
	*p++ = '-';
	return put_two(p, day);
}

/* Zeros at the end of a fraction are left out. */
static char *
put_time(char *p, int64 usecs)
{
	int			fraction = usecs % USECS_PER_SEC;
	int			seconds = usecs / USECS_PER_SEC;

	p = put_two(p, seconds / SECS_PER_HOUR);
	*p++ = ':';
	p = put_two(p, seconds / SECS_PER_MINUTE % MINS_PER_HOUR);
	*p++ = ':';
	p = put_two(p, seconds % SECS_PER_MINUTE);
	if (fraction != 0)
	{
		*p++ = '.';
		p = put_digits(p, fraction, 6);
		while (p[-1] == '0')
			p--;
	}
	return p;
}

static inline int64
day_of(int64 usecs)
{
	return usecs >= 0 ? usecs / USECS_PER_DAY : -((-usecs + USECS_PER_DAY - 1) / USECS_PER_DAY);
}

static int
put_timestamp(Timestamp time, char *out)
{
	int64		day;
	bool		bc;
	char	   *p;

	if (TIMESTAMP_NOT_FINITE(time))
		return put_word(out, TIMESTAMP_IS_NOBEGIN(time) ? "-infinity" : "infinity");
	if (DateStyle != USE_ISO_DATES)
		return -1;
	day = day_of(time);
	p = put_date(out, day + POSTGRES_EPOCH_JDATE, &bc);
	*p++ = ' ';
	p = put_time(p, time - day * USECS_PER_DAY);
	return p - out + (bc ? put_word(p, " BC") : 0);
}

static int
put_timestamptz(TimestampTz time, char *out)
{
	int			gmtoff;
	int			seconds;
	int64		local;
	int64		day;
	bool		bc;
	char	   *p;

	if (TIMESTAMP_NOT_FINITE(time))
		return put_word(out, TIMESTAMP_IS_NOBEGIN(time) ? "-infinity" : "infinity");
	if (DateStyle != USE_ISO_DATES || !zone_offset(time, &gmtoff))
		return -1;
	local = time + gmtoff * USECS_PER_SEC;
	day = day_of(local);
	p = put_date(out, day + POSTGRES_EPOCH_JDATE, &bc);
	*p++ = ' ';
	p = put_time(p, local - day * USECS_PER_DAY);

	*p++ = gmtoff >= 0 ? '+' : '-';
	seconds = abs(gmtoff);
	p = put_two(p, seconds / SECS_PER_HOUR);
	if (seconds % SECS_PER_HOUR != 0)
	{
		*p++ = ':';
		p = put_two(p, seconds / SECS_PER_MINUTE % MINS_PER_HOUR);
		if (seconds % SECS_PER_MINUTE != 0)
		{
			*p++ = ':';
			p = put_two(p, seconds % SECS_PER_MINUTE);
		}
	}
	return p - out + (bc ? put_word(p, " BC") : 0);
}

Timestamp
jobs_local_time(TimestampTz time)
{
	int			gmtoff;

	if (zone_offset(time, &gmtoff))
		return time + gmtoff * USECS_PER_SEC;
	return DatumGetTimestamp(DirectFunctionCall1(timestamptz_timestamp, TimestampTzGetDatum(time)));
}

/*
 * False on the days on which the offset changes, and where times are further
 * away than the zone's tables reach, which the output function does its own way.
 */
static bool
zone_offset(TimestampTz time, int *gmtoff)
{
	int64		day = day_of(time);
	ZoneDay    *cached = &zone_cache[(uint64) day % ZONE_CACHE_SIZE];

	if (zone_cached != session_timezone)
	{
		memset(zone_cache, 0, sizeof(zone_cache));
		zone_cached = session_timezone;
	}
	if (!cached->known || cached->day != day)
	{
		pg_time_t	start = day * SECS_PER_DAY + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY;
		pg_time_t	boundary;
		long int	before;
		long int	after;
		int			before_isdst;
		int			after_isdst;
		int			result;

		result = pg_next_dst_boundary(&start, &before, &before_isdst, &boundary, &after, &after_isdst,
									  session_timezone);
		if (result < 0 || (result > 0 && boundary < start + SECS_PER_DAY))
			return false;
		cached->day = day;
		cached->gmtoff = before;
		cached->known = true;
	}
	*gmtoff = cached->gmtoff;
	return true;
}

static int
put_uuid(const unsigned char *bytes, char *out)
{
	static const char hex[] = "0123456789abcdef";
	char	   *p = out;

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[bytes[i] >> 4];
		*p++ = hex[bytes[i] & 15];
	}
	return p - out;
}
