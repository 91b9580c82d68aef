/*-------------------------------------------------------------------------
 *
 * value_number.c
 *	  Numbers from text, as the input functions of their types read them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "common/int.h"
#include "compat.h"
#include "import/value.h"
#include "utils/numeric.h"

/*
 * A numeric as it is stored, in its short form: a word with sign, scale and
 * weight, then digits of base 10000.  Data files keep this from version to version.
 */
#define NUM_SHORT				0x8000
#define NUM_SHORT_NEGATIVE		0x2000
#define NUM_SHORT_SCALE_SHIFT	7
#define NUM_SHORT_WEIGHT_MASK	0x007F
#define NUM_BASE_DIGITS			4

/* Decimal digits of a numeric that is put together here; the scale's limit is 63. */
#define MAX_DIGITS				40

/* A double holds whole numbers of so many digits, and powers of ten up to this one. */
#define EXACT_DIGITS			15
#define EXACT_POWER				22

/* What a numeric(p, s) says of itself. */
#define TYPMOD_PRECISION(t)		((((t) - VARHDRSZ) >> 16) & 0xffff)
#define TYPMOD_SCALE(t)			(((((t) - VARHDRSZ) & 0x7ff) ^ 1024) - 1024)

static ValueResult parse_integer(const char *text, int len, int64 least, int64 most, int64 *result);
static bool looks_like_number(const char *text);
static ValueResult put_numeric(ValueParser *parser, bool negative, const char *integer, int nint,
							  const char *fraction, int nfrac, Datum *value);

ValueResult
jobs_parse_int2(ValueParser *parser, const char *text, int len, Datum *value)
{
	int64		number;
	ValueResult	result = parse_integer(text, len, PG_INT16_MIN, PG_INT16_MAX, &number);

	*value = Int16GetDatum((int16) number);
	return result;
}

ValueResult
jobs_parse_int4(ValueParser *parser, const char *text, int len, Datum *value)
{
	int64		number;
	ValueResult	result = parse_integer(text, len, PG_INT32_MIN, PG_INT32_MAX, &number);

	*value = Int32GetDatum((int32) number);
	return result;
}

ValueResult
jobs_parse_int8(ValueParser *parser, const char *text, int len, Datum *value)
{
	int64		number;
	ValueResult	result = parse_integer(text, len, PG_INT64_MIN, PG_INT64_MAX, &number);

	*value = Int64GetDatum(number);
	return result;
}

/* Counts down, since the least number has no positive one beside it. */
static ValueResult
parse_integer(const char *text, int len, int64 least, int64 most, int64 *result)
{
	const char *p = text;
	bool		negative = false;
	bool		overflow = false;
	int64		number = 0;
	const char *digits;

	*result = 0;
	while (isspace((unsigned char) *p))
		p++;
	if (*p == '-' || *p == '+')
		negative = *p++ == '-';
	for (digits = p; *p >= '0' && *p <= '9'; p++)
	{
		int			digit = *p - '0';

		if (p - digits < 18)
			number = number * 10 - digit;
		else if (pg_mul_s64_overflow(number, 10, &number) || pg_sub_s64_overflow(number, digit, &number))
		{
			overflow = true;
			number = 0;
		}
	}
	if (p > digits)
	{
		while (isspace((unsigned char) *p))
			p++;
	}
	if (p == digits || *p != '\0')
		return JOBS_INTEGERS_HAVE_PREFIXES && *digits >= '0' && *digits <= '9' ? VALUE_UNSURE : VALUE_MALFORMED;
	if (overflow || (negative ? number < least : number < -most))
		return VALUE_OUT_OF_RANGE;
	*result = negative ? number : -number;
	return VALUE_READ;
}

/* ------------------------------------------------------------------------
 * Floating point
 * ------------------------------------------------------------------------
 */

/*
 * Whether the input function may take it: it has a digit or the letters of NaN and
 * infinity, and no character that no number has.
 */
static bool
looks_like_number(const char *text)
{
	bool		any = false;

	for (const char *p = text; *p != '\0'; p++)
	{
		if (isdigit((unsigned char) *p))
			any = true;
		else if (strchr("nNiI", *p) != NULL)
			any = true;
		else if (!isspace((unsigned char) *p) && strchr("+-.eEaAfFtTyYxXpPbBoO_cCdD()", *p) == NULL)
			return false;
	}
	return any;
}

/* The quotient of two exact doubles is rounded right. */
ValueResult
jobs_parse_float8(ValueParser *parser, const char *text, int len, Datum *value)
{
	static const double powers[] = {
		1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15
	};
	const char *p = text;
	bool		negative = false;
	int64		number = 0;
	int			ndigits = 0;
	int			nfrac = 0;
	double		result;

	if (*p == '-')
	{
		negative = true;
		p++;
	}
	for (; *p >= '0' && *p <= '9'; p++, ndigits++)
		number = ndigits < EXACT_DIGITS ? number * 10 + (*p - '0') : 0;
	if (*p == '.')
	{
		for (p++; *p >= '0' && *p <= '9'; p++, ndigits++, nfrac++)
			number = ndigits < EXACT_DIGITS ? number * 10 + (*p - '0') : 0;
	}
	if (ndigits == 0 || ndigits > EXACT_DIGITS || *p != '\0')
		return looks_like_number(text) ? VALUE_UNSURE : VALUE_MALFORMED;
	result = (double) number / powers[nfrac];
	*value = Float8GetDatum(negative ? -result : result);
	return VALUE_READ;
}

ValueResult
jobs_parse_float4(ValueParser *parser, const char *text, int len, Datum *value)
{
	return looks_like_number(text) ? VALUE_UNSURE : VALUE_MALFORMED;
}

/* ------------------------------------------------------------------------
 * numeric
 * ------------------------------------------------------------------------
 */

ValueResult
jobs_parse_numeric(ValueParser *parser, const char *text, int len, Datum *value)
{
	const char *p = text;
	bool		negative = false;
	const char *integer;
	const char *fraction = NULL;
	int			nint;
	int			nfrac = 0;

	if (*p == '-' || *p == '+')
		negative = *p++ == '-';
	integer = p;
	while (*p >= '0' && *p <= '9')
		p++;
	nint = p - integer;
	if (*p == '.')
	{
		fraction = ++p;
		while (*p >= '0' && *p <= '9')
			p++;
		nfrac = p - fraction;
	}
	if (*p != '\0' || nint + nfrac == 0)
		return looks_like_number(text) ? VALUE_UNSURE : VALUE_MALFORMED;
	while (nint > 0 && *integer == '0')
	{
		integer++;
		nint--;
	}
	if (nint + nfrac > MAX_DIGITS)
		return VALUE_UNSURE;
	return put_numeric(parser, negative, integer, nint, fraction, nfrac, value);
}

static ValueResult
put_numeric(ValueParser *parser, bool negative, const char *integer, int nint,
			const char *fraction, int nfrac, Datum *value)
{
	int16		digits[MAX_DIGITS / NUM_BASE_DIGITS + 2];
	int			ndigits = 0;
	int			first = 0;
	int			weight = (nint + NUM_BASE_DIGITS - 1) / NUM_BASE_DIGITS - 1;
	int			scale = nfrac;
	int			digit = 0;
	uint16		header;
	char	   *result;

	if (parser->typmod >= (int32) VARHDRSZ)
	{
		int			limit = TYPMOD_SCALE(parser->typmod);

		while (nfrac > Max(limit, 0) && fraction[nfrac - 1] == '0')
			nfrac--;
		/* What has to be rounded, or must begin with zeros, is rare enough for the input function. */
		if (limit < nfrac || limit > 63 || limit > TYPMOD_PRECISION(parser->typmod))
			return VALUE_UNSURE;
		if (nint > TYPMOD_PRECISION(parser->typmod) - limit)
			return VALUE_OUT_OF_RANGE;
		scale = limit;
	}

	for (int i = 0; i < nint; i++)
	{
		digit = digit * 10 + (integer[i] - '0');
		if ((nint - 1 - i) % NUM_BASE_DIGITS == 0)
		{
			digits[ndigits++] = digit;
			digit = 0;
		}
	}
	for (int i = 0; i < nfrac || i % NUM_BASE_DIGITS != 0; i++)
	{
		digit = digit * 10 + (i < nfrac ? fraction[i] - '0' : 0);
		if (i % NUM_BASE_DIGITS == NUM_BASE_DIGITS - 1)
		{
			digits[ndigits++] = digit;
			digit = 0;
		}
	}
	while (ndigits > first && digits[ndigits - 1] == 0)
		ndigits--;
	while (first < ndigits && digits[first] == 0)
	{
		first++;
		weight--;
	}
	if (first == ndigits)
	{
		weight = 0;
		negative = false;
	}

	header = NUM_SHORT | (negative ? NUM_SHORT_NEGATIVE : 0) | scale << NUM_SHORT_SCALE_SHIFT |
		(weight & NUM_SHORT_WEIGHT_MASK);
	result = jobs_arena_alloc(parser->style->arena,
							  VARHDRSZ + sizeof(uint16) + (ndigits - first) * sizeof(int16));
	SET_VARSIZE(result, VARHDRSZ + sizeof(uint16) + (ndigits - first) * sizeof(int16));
	memcpy(result + VARHDRSZ, &header, sizeof(header));
	memcpy(result + VARHDRSZ + sizeof(uint16), digits + first, (ndigits - first) * sizeof(int16));
	*value = PointerGetDatum(result);
	return VALUE_READ;
}

/* ------------------------------------------------------------------------
 * Decimal commas
 * ------------------------------------------------------------------------
 */

/* Points and spaces only in front of three digits each, since "1.5" must not become 15. */
int
jobs_number_with_point(const char *text, int len, char *result)
{
	char	   *to = result;
	bool		comma = false;
	int			group = 0;		/* digits since a separator or the beginning */
	bool		grouped = false;

	for (const char *p = text; p < text + len; p++)
	{
		if (*p == ',')
		{
			if (comma || (grouped && group != 3))
				return -1;
			comma = true;
			*to++ = '.';
		}
		else if (*p == '.' || (*p == ' ' && group > 0 && isdigit((unsigned char) p[1])))
		{
			if (comma || group == 0 || group > 3 || (grouped && group != 3) || !isdigit((unsigned char) p[1]))
				return -1;
			grouped = true;
			group = 0;
		}
		else
		{
			if (isdigit((unsigned char) *p))
				group++;
			*to++ = *p;
		}
	}
	if (grouped && !comma && group != 3)
		return -1;
	*to = '\0';
	return to - result;
}
