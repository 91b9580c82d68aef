/*-------------------------------------------------------------------------
 *
 * guess.c
 *	  Which type the values of a column have.
 *
 * A guess is right if an import takes the same values into a column of the type,
 * so every value must be of it, as the dialect writes it.  What is not for
 * reckoning stays text: identifiers with leading zeros, phone numbers, postcodes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "common/jsonapi.h"
#include "compat.h"
#include "import/detect.h"
#include "import/guess.h"
#include "mb/pg_wchar.h"

/* Deeper JSON is text: the parser is recursive. */
#define MAX_JSON_DEPTH	200

/* In the order in which they are preferred. */
enum
{
	TYPE_BOOLEAN = 1 << 0,
	TYPE_INTEGER = 1 << 1,
	TYPE_BIGINT = 1 << 2,
	TYPE_NUMERIC = 1 << 3,
	TYPE_DATE = 1 << 4,
	TYPE_TIMESTAMP = 1 << 5,
	TYPE_TIMESTAMPTZ = 1 << 6,
	TYPE_UUID = 1 << 7,
	TYPE_JSONB = 1 << 8,
	TYPE_ALL = (1 << 9) - 1
};

static const char *const type_names[] = {"boolean", "integer", "bigint", "numeric", "date", "timestamp", "timestamptz", "uuid", "jsonb"};

static bool is_code(const char *name);
static uint32 types_of(TypeGuess *guess, const Dialect *dialect, const char *text, int len);
static uint32 types_of_integer(Value value);
static uint32 types_of_number(Value value, char decimal);
static bool is_jsonb(const char *text, int len);
static bool is_unicode_escape(const char **p, const char *end);
static int	hex_code(const char *p, const char *end);
static uint32 truth_word(const char *text, int len);

void
jobs_guess_begin(TypeGuess *guess, const char *name)
{
	memset(guess, 0, sizeof(TypeGuess));
	guess->possible = name != NULL && is_code(name) ? 0 : TYPE_ALL;
}

/* Whether a column's name has a word for digits that are no number. */
static bool
is_code(const char *name)
{
	static const char *const words[] = {"phone", "telephone", "telefon", "tel", "mobile", "fax", "zip", "zipcode", "postcode", "postal",
	"postalcode", "plz", "iban", "isbn", "ean", "gtin", "upc", "ssn", "vat"};

	for (const char *p = name; *p != '\0';)
	{
		int			n = 0;

		while (isalpha((unsigned char) p[n]))
			n++;
		for (int i = 0; i < lengthof(words); i++)
		{
			if (strlen(words[i]) == n && pg_strncasecmp(p, words[i], n) == 0)
				return true;
		}
		p += Max(n, 1);
	}
	return false;
}

void
jobs_guess_add(TypeGuess *guess, const Dialect *dialect, const char *text, int len, bool quoted)
{
	if (text == NULL || (len == 0 && quoted && dialect->null[0] == '\0'))
	{
		guess->nulls++;
		return;
	}
	guess->values++;
	if (guess->possible != 0)
		guess->possible &= types_of(guess, dialect, text, len);
}

const char *
jobs_guess_type(const TypeGuess *guess)
{
	uint32		possible = guess->possible;

	if (guess->values == 0)
		return "text";
	/* Dates of which some have the day first and some the month are none. */
	if (guess->day_first && guess->month_first)
		possible &= ~(TYPE_DATE | TYPE_TIMESTAMP | TYPE_TIMESTAMPTZ);
	/* A column of nothing but "no" may be one of countries. */
	if ((guess->words & (guess->words - 1)) == 0 && (guess->words & 3) == 0)
		possible &= ~TYPE_BOOLEAN;
	for (int i = 0; i < lengthof(type_names); i++)
	{
		if (possible & (1 << i))
			return type_names[i];
	}
	return "text";
}

/* The types whose input takes a text. */
static uint32
types_of(TypeGuess *guess, const Dialect *dialect, const char *text, int len)
{
	Value		value = jobs_detect_value(text, len);
	bool		spaced = len > 0 && (text[0] == ' ' || text[0] == '\t' || text[len - 1] == ' ' || text[len - 1] == '\t');
	uint32		word;

	switch (value.kind)
	{
		case VALUE_BOOLEAN:
			word = truth_word(text, len);
			guess->words |= word;
			return word != 0 ? TYPE_BOOLEAN : 0;
		case VALUE_INTEGER:
			return types_of_integer(value);
		case VALUE_NUMBER:
			return types_of_number(value, dialect->decimal);
		case VALUE_DATE:
		case VALUE_TIMESTAMP:
		case VALUE_TIMESTAMPTZ:
			guess->day_first |= (value.flags & VALUE_DAY_FIRST) != 0;
			guess->month_first |= (value.flags & VALUE_MONTH_FIRST) != 0;
			/* Without an order, such a date is read as the session's DateStyle says. */
			if ((value.flags & VALUE_DAY_FIRST) && dialect->date_order != NULL && strcmp(dialect->date_order, "DMY") != 0)
				return 0;
			if ((value.flags & VALUE_MONTH_FIRST) && dialect->date_order != NULL && strcmp(dialect->date_order, "MDY") != 0)
				return 0;
			return value.kind == VALUE_DATE ? TYPE_DATE | TYPE_TIMESTAMP | TYPE_TIMESTAMPTZ :
				value.kind == VALUE_TIMESTAMP ? TYPE_TIMESTAMP | TYPE_TIMESTAMPTZ : TYPE_TIMESTAMPTZ;
		case VALUE_UUID:
			return spaced ? 0 : TYPE_UUID;
		case VALUE_JSON:
			return is_jsonb(text, len) ? TYPE_JSONB : 0;
		default:
			return 0;
	}
}

static uint32
types_of_integer(Value value)
{
	if (value.flags & (VALUE_LEADING_ZERO | VALUE_PLUS))
		return 0;
	if (value.flags & VALUE_HUGE)
		return TYPE_NUMERIC;
	return (value.flags & VALUE_BIGINT ? 0 : TYPE_INTEGER) | TYPE_BIGINT | TYPE_NUMERIC;
}

/* With a decimal comma, points and spaces between thousands are read, too. */
static uint32
types_of_number(Value value, char decimal)
{
	if (value.flags & (VALUE_MONEY | VALUE_PLUS))
		return 0;
	if (decimal == '.')
		return value.flags & VALUE_DOT && !(value.flags & VALUE_GROUPED) ? TYPE_NUMERIC : 0;
	return value.flags & VALUE_COMMA && !(value.flags & VALUE_EXPONENT) ? TYPE_NUMERIC : 0;
}

/* What jsonb takes: JSON without NUL characters and without halves of surrogate pairs. */
static bool
is_jsonb(const char *text, int len)
{
	int			depth = 0;

	for (const char *p = text; p < text + len; p++)
	{
		if (*p == '[' || *p == '{')
		{
			if (++depth > MAX_JSON_DEPTH)
				return false;
		}
		else if (*p == ']' || *p == '}')
			depth--;
		else if (*p == '\\' && ++p < text + len && *p == 'u' && !is_unicode_escape(&p, text + len))
			return false;
	}
	return pg_parse_json(jobs_json_lexer(text, len), &nullSemAction) == JSON_SUCCESS;
}

/* *p is at the u of \u00e9, and moves to its last digit. */
static bool
is_unicode_escape(const char **p, const char *end)
{
	int			code = hex_code(*p + 1, end);

	*p += 4;
	if (code <= 0 || (code >= 0x80 && GetDatabaseEncoding() != PG_UTF8))
		return false;
	if (code < 0xD800 || code > 0xDFFF)
		return true;
	if (code > 0xDBFF || end - *p < 3 || (*p)[1] != '\\' || (*p)[2] != 'u')
		return false;
	code = hex_code(*p + 3, end);
	*p += 6;
	return code >= 0xDC00 && code <= 0xDFFF;
}

/* Four hexadecimal digits, or -1. */
static int
hex_code(const char *p, const char *end)
{
	int			code = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		if (!isxdigit((unsigned char) p[i]))
			return -1;
		code = code * 16 + (p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
	}
	return code;
}

/* One bit for each truth value that PostgreSQL reads, true and false being the first two. */
static uint32
truth_word(const char *text, int len)
{
	static const char *const words[] = {"true", "false", "yes", "no", "t", "f", "y", "n", "on", "off"};

	while (len > 0 && (*text == ' ' || *text == '\t'))
		text++, len--;
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	for (int i = 0; i < lengthof(words); i++)
	{
		if (strlen(words[i]) == len && pg_strncasecmp(words[i], text, len) == 0)
			return 1 << i;
	}
	return 0;
}
