/*-------------------------------------------------------------------------
 *
 * detect_value.c
 *	  What a value looks like: a number, a date, an address, or just text.
 *
 * Kinds are judged by form alone.  Of dates and numbers the flags tell in which
 * of the ways of the world they are written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "import/detect.h"

typedef struct Reading
{
	const char *p;
	const char *end;
} Reading;

static bool may_be_number(char first);
static bool may_be_date(char first);
static bool number(const char *text, int len, Value *value);
static int	fraction_flags(const char *digits, int len);
static bool grouped(const char *text, int len, char separator);
static void integer_flags(const char *digits, int len, bool negative, Value *value);
static bool currency(Reading *r);
static bool date(const char *text, int len, Value *value);
static bool numeric_date(Reading *r, Value *value);
static bool named_date(Reading *r, Value *value);
static int	month_name(Reading *r);
static bool time_of_day(Reading *r);
static bool time_zone(Reading *r);
static int	take_digits(Reading *r, int max, int *ndigits);
static bool take_char(Reading *r, char c);
static bool is_word(const char *text, int len, const char *const *words);
static bool is_uuid(const char *text, int len);
static bool is_email(const char *text, int len);
static bool is_json(const char *text, int len);

Value
jobs_detect_value(const char *text, int len)
{
	static const char *const booleans[] = {"true", "false", "yes", "no", "t", "f", "y", "n", "on", "off", NULL};
	static const char *const missing[] = {"null", "\\n", "n/a", "na", "nan", "none", "-", "--", "?", "#n/a", NULL};
	Value		value = {VALUE_TEXT, 0};

	while (len > 0 && (*text == ' ' || *text == '\t'))
		text++, len--;
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;

	if (len == 0)
		value.kind = VALUE_EMPTY;
	else if (may_be_number(text[0]) && number(text, len, &value))
		;
	else if (may_be_date(text[0]) && date(text, len, &value))
		;
	else if (len <= 5 && is_word(text, len, booleans))
		value.kind = VALUE_BOOLEAN;
	else if (len <= 4 && is_word(text, len, missing))
		value.kind = VALUE_MISSING;
	else if (is_uuid(text, len))
		value.kind = VALUE_UUID;
	else if (is_email(text, len))
		value.kind = VALUE_EMAIL;
	else if (len > 8 && (memcmp(text, "http://", 7) == 0 || memcmp(text, "https://", 8) == 0))
		value.kind = VALUE_URL;
	else if (is_json(text, len))
		value.kind = VALUE_JSON;
	return value;
}

bool
jobs_value_is_typed(ValueKind kind)
{
	return kind != VALUE_EMPTY && kind != VALUE_TEXT && kind != VALUE_MISSING;
}

/* ------------------------------------------------------------------------
 * Numbers
 * ------------------------------------------------------------------------ */

/* Most values are neither number nor date, which their first byte tells. */
static bool
may_be_number(char first)
{
	return (first >= '0' && first <= '9') || IS_HIGHBIT_SET(first) ||
		(first != '\0' && strchr("+-.$EUGC", first) != NULL);
}

static bool
may_be_date(char first)
{
	return (first >= '0' && first <= '9') || (first != '\0' && strchr("JFMASONDjfmasond", first) != NULL);
}

/* Optional sign or currency, digits, separators, exponent, per cent sign. */
static bool
number(const char *text, int len, Value *value)
{
	Reading		r = {text, text + len};
	int			flags = 0;
	bool		negative = false;
	bool		whole = true;
	const char *digits;
	const char *p;
	int			n;

	if (currency(&r))
		flags |= VALUE_MONEY;
	if (r.p < r.end && (*r.p == '-' || *r.p == '+'))
	{
		negative = *r.p == '-';
		if (!negative)
			flags |= VALUE_PLUS;
		r.p++;
	}
	if (currency(&r))
		flags |= VALUE_MONEY;

	digits = r.p;
	for (p = digits; p < r.end && ((*p >= '0' && *p <= '9') || *p == '.' || *p == ',' || *p == '\'' || *p == ' '); p++)
		;
	while (p > digits && p[-1] == ' ')
		p--;
	n = p - digits;
	for (int i = 0; i < n; i++)
		whole &= digits[i] >= '0' && digits[i] <= '9';
	if (n == 0 || (digits[0] != '.' && (digits[0] < '0' || digits[0] > '9')) || p[-1] < '0' || p[-1] > '9')
		return false;
	r.p = p;
	if (r.p + 1 < r.end && (*r.p == 'e' || *r.p == 'E'))
	{
		int			ndigits;

		r.p++;
		if (*r.p == '-' || *r.p == '+')
			r.p++;
		(void) take_digits(&r, 4, &ndigits);
		if (ndigits == 0)
			return false;
		flags |= VALUE_EXPONENT;
	}
	if (currency(&r) || take_char(&r, '%'))
		flags |= VALUE_MONEY;
	if (r.p != r.end)
		return false;

	value->flags = flags;
	if (whole)
		integer_flags(digits, n, negative, value);
	else
	{
		n = fraction_flags(digits, n);
		if (n < 0)
			return false;
		value->kind = VALUE_NUMBER;
		value->flags |= n;
	}
	if (flags & (VALUE_MONEY | VALUE_EXPONENT))
		value->kind = VALUE_NUMBER;
	return true;
}

/*
 * How digits with separators among them are meant; -1 where they make no number.
 * One separator before exactly three digits can be either, and 1.234 is more
 * often a fraction, 1,234 more often a thousand.
 */
static int
fraction_flags(const char *digits, int len)
{
	const char *dot = NULL;
	const char *comma = NULL;
	int			dots = 0;
	int			commas = 0;
	int			others = 0;
	int			whole;

	for (int i = 0; i < len; i++)
	{
		if (digits[i] == '.')
			dot = digits + i, dots++;
		else if (digits[i] == ',')
			comma = digits + i, commas++;
		else if (digits[i] == ' ' || digits[i] == '\'')
			others++;
	}
	if (dots <= 1 && commas == 0)
	{
		whole = dot ? dot - digits : len;
		if (others > 0 && !grouped(digits, whole, memchr(digits, ' ', len) ? ' ' : '\''))
			return -1;
		return (dot ? VALUE_DOT : 0) | (others ? VALUE_GROUPED : 0) |
			(dot && len - whole - 1 == 3 && whole >= 1 && whole <= 3 && digits[0] != '0' ? VALUE_EITHER : 0);
	}
	if (commas == 1 && dots == 0)
	{
		whole = comma - digits;
		if (others > 0)
			return grouped(digits, whole, memchr(digits, ' ', len) ? ' ' : '\'') ? VALUE_COMMA | VALUE_GROUPED : -1;
		if (len - whole - 1 == 3 && whole >= 1 && whole <= 3 && digits[0] != '0')
			return VALUE_GROUPED | VALUE_EITHER;
		return whole > 0 ? VALUE_COMMA : -1;
	}
	if (others > 0)
		return -1;
	if (dots == 1 && comma < dot)
		return grouped(digits, dot - digits, ',') ? VALUE_DOT | VALUE_GROUPED : -1;
	if (commas == 1 && dot < comma)
		return grouped(digits, comma - digits, '.') ? VALUE_COMMA | VALUE_GROUPED : -1;
	if (dots == 0)
		return grouped(digits, len, ',') ? VALUE_GROUPED : -1;
	if (commas == 0)
		return grouped(digits, len, '.') ? VALUE_COMMA | VALUE_GROUPED : -1;
	return -1;
}

/* Groups of three digits, the first of one to three. */
static bool
grouped(const char *text, int len, char separator)
{
	int			run = 0;
	bool		first = true;

	for (int i = 0; i <= len; i++)
	{
		if (i < len && text[i] >= '0' && text[i] <= '9')
			run++;
		else if (i == len || text[i] == separator)
		{
			if (first ? run < 1 || run > 3 : run != 3)
				return false;
			first = false;
			run = 0;
		}
		else
			return false;
	}
	return true;
}

static void
integer_flags(const char *digits, int len, bool negative, Value *value)
{
	value->kind = VALUE_INTEGER;
	if (len > 1 && digits[0] == '0')
		value->flags |= VALUE_LEADING_ZERO;
	else if (len == 4 && ((digits[0] == '1' && digits[1] == '9') || (digits[0] == '2' && digits[1] == '0')))
		value->flags |= VALUE_YEAR;
	while (len > 1 && digits[0] == '0')
		digits++, len--;
	if (len > 19 || (len == 19 && memcmp(digits, negative ? "9223372036854775808" : "9223372036854775807", 19) > 0))
		value->flags |= VALUE_HUGE | VALUE_BIGINT;
	else if (len > 10 || (len == 10 && memcmp(digits, negative ? "2147483648" : "2147483647", 10) > 0))
		value->flags |= VALUE_BIGINT;
}

/* A currency sign, with spaces around it: $, or those of UTF-8 and Windows-1252. */
static bool
currency(Reading *r)
{
	static const char *const signs[] = {"$", "\xe2\x82\xac", "\xc2\xa3", "\xc2\xa5", "\x80", "\xa3", "\xa5", "EUR", "USD", "GBP", "CHF"};
	const char *p = r->p;

	while (p < r->end && *p == ' ')
		p++;
	for (int i = 0; i < lengthof(signs); i++)
	{
		int			n = strlen(signs[i]);

		if (r->end - p >= n && memcmp(p, signs[i], n) == 0)
		{
			for (p += n; p < r->end && *p == ' '; p++)
				;
			r->p = p;
			return true;
		}
	}
	return false;
}

/* ------------------------------------------------------------------------
 * Dates and times
 * ------------------------------------------------------------------------ */

static bool
date(const char *text, int len, Value *value)
{
	Reading		r = {text, text + len};
	bool		spaced;

	value->flags = 0;
	if (len < 4 || len > 40)
		return false;
	if (time_of_day(&r) && r.p == r.end)
	{
		value->kind = VALUE_TIME;
		return true;
	}
	r.p = text;
	if (!numeric_date(&r, value))
	{
		r.p = text;
		value->flags = 0;
		if (!named_date(&r, value))
			return false;
	}
	value->kind = VALUE_DATE;
	if (r.p == r.end)
		return true;

	spaced = *r.p == ' ';
	if (!spaced && *r.p != 'T')
		return false;
	for (r.p++; r.p < r.end && *r.p == ' '; r.p++)
		;
	if (!time_of_day(&r))
		return false;
	value->kind = VALUE_TIMESTAMP;
	if (r.p == r.end)
		return true;
	value->kind = VALUE_TIMESTAMPTZ;
	return time_zone(&r) && r.p == r.end;
}

/* 2024-01-31, 2024/1/31, 31.12.2024, 12/31/24. */
static bool
numeric_date(Reading *r, Value *value)
{
	int			number[3];
	int			ndigits[3];
	char		separator = '\0';

	for (int i = 0; i < 3; i++)
	{
		if (i > 0)
		{
			if (r->p >= r->end || (*r->p != '-' && *r->p != '/' && *r->p != '.') || (i == 2 && *r->p != separator))
				return false;
			separator = *r->p++;
		}
		number[i] = take_digits(r, 4, &ndigits[i]);
		if (ndigits[i] == 0 || (r->p < r->end && *r->p >= '0' && *r->p <= '9'))
			return false;
	}

	if (ndigits[0] == 4)
		return ndigits[1] <= 2 && ndigits[2] <= 2 && number[1] >= 1 && number[1] <= 12 && number[2] >= 1 && number[2] <= 31;
	if (ndigits[0] > 2 || ndigits[1] > 2 || (ndigits[2] != 4 && ndigits[2] != 2) ||
		number[0] < 1 || number[0] > 31 || number[1] < 1 || number[1] > 31 || (number[0] > 12 && number[1] > 12))
		return false;
	/* A month never has a dot between it and a day that follows. */
	value->flags |= VALUE_NUMERIC_DATE;
	if (number[0] > 12 || (separator == '.' && number[1] <= 12))
		value->flags |= VALUE_DAY_FIRST;
	else if (number[1] > 12)
		value->flags |= VALUE_MONTH_FIRST;
	return true;
}

/* 31 Jan 2024, 31-Jan-24, Jan 31, 2024. */
static bool
named_date(Reading *r, Value *value)
{
	int			ndigits;
	int			number;
	char		separator;

	value->flags |= VALUE_LOOSE;
	if (month_name(r))
	{
		if (!take_char(r, ' '))
			return false;
		number = take_digits(r, 2, &ndigits);
		if (ndigits == 0 || number < 1 || number > 31)
			return false;
		(void) take_char(r, ',');
		if (!take_char(r, ' '))
			return false;
	}
	else
	{
		number = take_digits(r, 2, &ndigits);
		if (ndigits == 0 || number < 1 || number > 31 || r->p >= r->end || (*r->p != ' ' && *r->p != '-'))
			return false;
		separator = *r->p++;
		if (!month_name(r) || !take_char(r, separator))
			return false;
	}
	(void) take_digits(r, 4, &ndigits);
	return ndigits == 4 || ndigits == 2;
}

/* English months, short or long, in any case; 0 where there is none. */
static int
month_name(Reading *r)
{
	static const char *const months[] = {"january", "february", "march", "april", "may", "june", "july", "august",
	"september", "october", "november", "december"};

	for (int i = 0; i < 12; i++)
	{
		int			full = strlen(months[i]);
		int			n = r->end - r->p;

		if (n >= full && pg_strncasecmp(r->p, months[i], full) == 0)
			r->p += full;
		else if (n >= 3 && pg_strncasecmp(r->p, months[i], 3) == 0)
			r->p += 3;
		else
			continue;
		return i + 1;
	}
	return 0;
}

/* 9:05, 09:05:30, 09:05:30.123, 9:05 PM. */
static bool
time_of_day(Reading *r)
{
	int			ndigits;
	int			number = take_digits(r, 2, &ndigits);
	Reading		rest;

	if (ndigits == 0 || number > 24 || !take_char(r, ':'))
		return false;
	number = take_digits(r, 2, &ndigits);
	if (ndigits != 2 || number > 59)
		return false;
	if (take_char(r, ':'))
	{
		number = take_digits(r, 2, &ndigits);
		if (ndigits != 2 || number > 60)
			return false;
		if (take_char(r, '.') || take_char(r, ','))
		{
			(void) take_digits(r, 9, &ndigits);
			if (ndigits == 0)
				return false;
		}
	}
	rest = *r;
	(void) take_char(&rest, ' ');
	if (rest.end - rest.p >= 2 && (pg_strncasecmp(rest.p, "am", 2) == 0 || pg_strncasecmp(rest.p, "pm", 2) == 0))
		r->p = rest.p + 2;
	return true;
}

/* Z, UTC, +02, +0200, -05:30. */
static bool
time_zone(Reading *r)
{
	int			ndigits;

	(void) take_char(r, ' ');
	if (take_char(r, 'Z'))
		return true;
	if (r->end - r->p == 3 && (memcmp(r->p, "UTC", 3) == 0 || memcmp(r->p, "GMT", 3) == 0))
	{
		r->p += 3;
		return true;
	}
	if (!take_char(r, '+') && !take_char(r, '-'))
		return false;
	(void) take_digits(r, 4, &ndigits);
	if (ndigits == 4)
		return true;
	if (ndigits != 2)
		return false;
	if (!take_char(r, ':'))
		return true;
	(void) take_digits(r, 2, &ndigits);
	return ndigits == 2;
}

static int
take_digits(Reading *r, int max, int *ndigits)
{
	int			number = 0;

	for (*ndigits = 0; *ndigits < max && r->p < r->end && *r->p >= '0' && *r->p <= '9'; (*ndigits)++)
		number = number * 10 + (*r->p++ - '0');
	return number;
}

static bool
take_char(Reading *r, char c)
{
	if (r->p >= r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

/* ------------------------------------------------------------------------
 * Others
 * ------------------------------------------------------------------------ */

static bool
is_word(const char *text, int len, const char *const *words)
{
	for (; *words != NULL; words++)
	{
		if (strlen(*words) == len && pg_strncasecmp(text, *words, len) == 0)
			return true;
	}
	return false;
}

static bool
is_uuid(const char *text, int len)
{
	if (len != 36)
		return false;
	for (int i = 0; i < len; i++)
	{
		char		c = text[i];

		if (i == 8 || i == 13 || i == 18 || i == 23 ? c != '-' :
			!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
			return false;
	}
	return true;
}

/* Good enough to tell an address from the name of its column. */
static bool
is_email(const char *text, int len)
{
	const char *at = memchr(text, '@', len);

	return at != NULL && at > text && at + 3 < text + len && memchr(at, '.', text + len - at) != NULL &&
		memchr(text, ' ', len) == NULL;
}

static bool
is_json(const char *text, int len)
{
	return len >= 2 && ((text[0] == '{' && text[len - 1] == '}' && (len == 2 || memchr(text, ':', len) != NULL)) ||
						(text[0] == '[' && text[len - 1] == ']'));
}
