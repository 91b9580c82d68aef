/*-------------------------------------------------------------------------
 *
 * cell.c
 *	  From values to cells.
 *
 * A number of a cell is a double, of which Excel shows 15 digits.  A number
 * with more digits stays what it is as text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "book.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "datatype/timestamp.h"
#include "lib.h"
#include "mb/pg_wchar.h"
#include "utils/date.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#define MAX_DIGITS		15

/* Excel knows no larger number, and none between this and 0. */
#define LARGEST			9.99999999999999e307
#define SMALLEST		DBL_MIN

/*
 * Days are counted so that 2000-01-01 is 36526.  Before 1900-03-01 the count is
 * wrong by a day that there was not, 1900-02-29.
 */
#define DAY_OF_2000		36526
#define FIRST_DAY		61
#define END_OF_DAYS		2958466 /* 10000-01-01 */

static XlsxStyle style_of(JobsScalar scalar, Oid type, int32 typmod);
static bool put_typed(XlsxBook *book, int col, Datum value);
static bool put_integer(XlsxBook *book, int col, int64 value);
static bool put_double(XlsxBook *book, int col, double value);
static bool is_number(double value);
static bool put_numeric(XlsxBook *book, int col, Datum value);
static bool put_timestamp(XlsxBook *book, int col, Timestamp time);
static void put_number(XlsxBook *book, int col, double value, XlsxStyle style);
static bool has_few_digits(const char *s, int len);
static char *escape(const char *s, Size len);
static bool looks_escaped(const char *s, Size len);
pg_noreturn static void too_long(const XlsxBook *book, int col, int len);
static void measure(XlsxBook *book, int col, int width);
static int	text_width(const char *s, Size len);

void
xlsx_prepare_column(XlsxBook *book, XlsxColumn *column, Form_pg_attribute attr)
{
	int32		typmod = attr->atttypmod;
	Oid			type = getBaseTypeAndTypmod(attr->atttypid, &typmod);
	Oid			function;
	bool		varlena;

	getTypeOutputInfo(attr->atttypid, &function, &varlena);
	fmgr_info(function, &column->output);
	column->name = pstrdup(NameStr(attr->attname));
	column->scalar = book->host.scalar_of(column->output.fn_addr);
	column->style = style_of(column->scalar, type, typmod);
}

static XlsxStyle
style_of(JobsScalar scalar, Oid type, int32 typmod)
{
	switch (scalar)
	{
		case SCALAR_INT2:
		case SCALAR_INT4:
		case SCALAR_INT8:
		case SCALAR_OID:
			return STYLE_INTEGER;
		case SCALAR_DATE:
			return STYLE_DATE;
		case SCALAR_TIMESTAMP:
		case SCALAR_TIMESTAMPTZ:
			return STYLE_TIMESTAMP;
		case SCALAR_NUMERIC:
			if (type == NUMERICOID && typmod >= (int32) VARHDRSZ)
			{
				/* The scale has 11 bits with a sign. */
				int			scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;

				if (scale <= 0)
					return STYLE_INTEGER;
				if (scale <= XLSX_MAX_SCALE)
					return STYLE_SCALE + scale;
			}
			return STYLE_GENERAL;
		default:
			return STYLE_GENERAL;
	}
}

void
xlsx_put_value(XlsxBook *book, int col, Datum value)
{
	XlsxColumn *column = &book->columns[col];
	const char *s;

	if (put_typed(book, col, value))
		return;
	if (column->scalar == SCALAR_TEXT)
	{
		struct varlena *text = PG_DETOAST_DATUM_PACKED(value);

		xlsx_put_text(book, col, VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text), STYLE_GENERAL);
		return;
	}
	s = OutputFunctionCall(&column->output, value);
	xlsx_put_text(book, col, s, strlen(s), STYLE_GENERAL);
}

/* False for a value that must be text. */
static bool
put_typed(XlsxBook *book, int col, Datum value)
{
	switch (book->columns[col].scalar)
	{
		case SCALAR_BOOL:
			xlsx_lib_boolean(book->lib, book->sheet->nrows, col, DatumGetBool(value));
			measure(book, col, 5);
			return true;
		case SCALAR_INT2:
			return put_integer(book, col, DatumGetInt16(value));
		case SCALAR_INT4:
			return put_integer(book, col, DatumGetInt32(value));
		case SCALAR_INT8:
			return put_integer(book, col, DatumGetInt64(value));
		case SCALAR_OID:
			return put_integer(book, col, DatumGetObjectId(value));
		case SCALAR_FLOAT4:
			{
				char		digits[FLOAT_SHORTEST_DECIMAL_LEN];

				/* 0.1 and not 0.100000001490116, which is the same as float4. */
				float_to_shortest_decimal_buf(DatumGetFloat4(value), digits);
				return put_double(book, col, strtod(digits, NULL));
			}
		case SCALAR_FLOAT8:
			return put_double(book, col, DatumGetFloat8(value));
		case SCALAR_NUMERIC:
			return put_numeric(book, col, value);
		case SCALAR_DATE:
			{
				int64		day = (int64) DatumGetDateADT(value) + DAY_OF_2000;

				if (day < FIRST_DAY || day >= END_OF_DAYS)
					return false;
				xlsx_lib_number(book->lib, book->sheet->nrows, col, day, STYLE_DATE);
				measure(book, col, 10);
				return true;
			}
		case SCALAR_TIMESTAMP:
			return put_timestamp(book, col, DatumGetTimestamp(value));
		case SCALAR_TIMESTAMPTZ:
			{
				TimestampTz time = DatumGetTimestampTz(value);

				/* Before, as local time is not defined for all. */
				return !TIMESTAMP_NOT_FINITE(time) && put_timestamp(book, col, book->host.local_time(time));
			}
		default:
			return false;
	}
}

/* ------------------------------------------------------------------------
 * Numbers and times
 * ------------------------------------------------------------------------
 */

static bool
put_integer(XlsxBook *book, int col, int64 value)
{
	if (value > INT64CONST(999999999999999) || value < -INT64CONST(999999999999999))
		return false;
	put_number(book, col, value, book->columns[col].style);
	return true;
}

static bool
put_double(XlsxBook *book, int col, double value)
{
	if (!is_number(value))
		return false;
	put_number(book, col, value, STYLE_GENERAL);
	return true;
}

/* NaN and the infinities are none. */
static bool
is_number(double value)
{
	return value == 0 || (fabs(value) >= SMALLEST && fabs(value) <= LARGEST);
}

static bool
put_numeric(XlsxBook *book, int col, Datum value)
{
	char		digits[JOBS_SCALAR_MAX + 1];
	int			len = book->host.scalar_put(SCALAR_NUMERIC, value, digits);
	double		number;

	if (len < 0 || !has_few_digits(digits, len))
		return false;
	digits[len] = '\0';
	number = strtod(digits, NULL);
	if (!is_number(number))
		return false;
	xlsx_lib_number(book->lib, book->sheet->nrows, col, number, book->columns[col].style);
	measure(book, col, len);
	return true;
}

static void
put_number(XlsxBook *book, int col, double value, XlsxStyle style)
{
	xlsx_lib_number(book->lib, book->sheet->nrows, col, value, style);
	if (book->measuring)
	{
		char		digits[32];

		measure(book, col, snprintf(digits, sizeof(digits), "%.15g", value));
	}
}

/* Whether a decimal number needs no more digits than Excel keeps of one. */
static bool
has_few_digits(const char *s, int len)
{
	int			digits = 0;
	int			zeros = 0;		/* of the fraction, that may be its last */
	bool		fraction = false;

	for (int i = 0; i < len; i++)
	{
		if (s[i] == '.')
			fraction = true;
		else if (s[i] >= '1' && s[i] <= '9')
		{
			digits += zeros + 1;
			zeros = 0;
		}
		else if (s[i] == '0' && digits > 0)
		{
			if (fraction)
				zeros++;
			else
				digits++;
		}
	}
	return digits <= MAX_DIGITS;
}

static bool
put_timestamp(XlsxBook *book, int col, Timestamp time)
{
	int64		day;
	int64		usecs;
	bool		fraction;

	if (TIMESTAMP_NOT_FINITE(time))
		return false;
	day = time / USECS_PER_DAY;
	usecs = time % USECS_PER_DAY;
	if (usecs < 0)
	{
		day--;
		usecs += USECS_PER_DAY;
	}
	day += DAY_OF_2000;
	if (day < FIRST_DAY || day >= END_OF_DAYS)
		return false;
	fraction = usecs % USECS_PER_SEC != 0;
	xlsx_lib_number(book->lib, book->sheet->nrows, col, day + (double) usecs / USECS_PER_DAY,
					fraction ? STYLE_TIMESTAMP_MS : STYLE_TIMESTAMP);
	measure(book, col, fraction ? 23 : 19);
	return true;
}

/* ------------------------------------------------------------------------
 * Text
 * ------------------------------------------------------------------------
 */

void
xlsx_put_text(XlsxBook *book, int col, const char *s, Size len, XlsxStyle style)
{
	int			encoding = GetDatabaseEncoding();
	char	   *escaped;

	if (encoding != PG_UTF8)
	{
		const char *utf8 = pg_server_to_any(s, len, PG_UTF8);

		if (utf8 != s)
			len = strlen(utf8);
		s = utf8;
	}
	if (len > XLSX_MAX_CELL)
	{
		int			units = jobs_utf16_length(s, len);

		if (units > XLSX_MAX_CELL)
			too_long(book, col, units);
	}
	if (book->measuring)
		measure(book, col, text_width(s, len));
	escaped = escape(s, len);
	/* The library counts escapes, too. */
	if (!xlsx_lib_text(book->lib, book->sheet->nrows, col, escaped, style))
		too_long(book, col, jobs_utf16_length(escaped, strlen(escaped)));
}

static void
too_long(const XlsxBook *book, int col, int len)
{
	const char *name = book->columns[col].name;

	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("value of column \"%s\" in row %lld is too long for a cell", name, (long long) book->row),
			 errdetail("It has %d characters; a cell of an Excel workbook holds %d.", len, XLSX_MAX_CELL),
			 errhint("Shorten it in the query, for example by left(), or use the format csv.")));
}

/*
 * A copy with a NUL.  The library writes control characters as _xHHHH_; what
 * reads like that in the text must be told apart, and two characters that XML
 * does not allow are written so, too.
 */
static char *
escape(const char *s, Size len)
{
	StringInfoData buf;
	Size		start = 0;

	initStringInfo(&buf);
	enlargeStringInfo(&buf, len);
	for (Size i = 0; i < len; i++)
	{
		const char *replacement;
		int			n;

		if (s[i] == '_' && looks_escaped(s + i, len - i))
		{
			replacement = "_x005F_";
			n = 1;
		}
		else if (s[i] == '\xEF' && len - i >= 3 && s[i + 1] == '\xBF' && (s[i + 2] == '\xBE' || s[i + 2] == '\xBF'))
		{
			replacement = s[i + 2] == '\xBE' ? "_xFFFE_" : "_xFFFF_";
			n = 3;
		}
		else
			continue;
		appendBinaryStringInfo(&buf, s + start, i - start);
		appendStringInfoString(&buf, replacement);
		start = i + n;
		i = start - 1;
	}
	appendBinaryStringInfo(&buf, s + start, len - start);
	return buf.data;
}

static bool
looks_escaped(const char *s, Size len)
{
	return len >= 7 && s[1] == 'x' && isxdigit((unsigned char) s[2]) && isxdigit((unsigned char) s[3]) &&
		isxdigit((unsigned char) s[4]) && isxdigit((unsigned char) s[5]) && s[6] == '_';
}

/* ------------------------------------------------------------------------
 * Widths
 * ------------------------------------------------------------------------
 */

static void
measure(XlsxBook *book, int col, int width)
{
	if (book->measuring && width > book->columns[col].width)
		book->columns[col].width = width;
}

/* Of the longest line, as on a terminal. */
static int
text_width(const char *s, Size len)
{
	const char *end = s + len;
	int			longest = 0;
	int			width = 0;

	while (s < end && longest < 256)
	{
		int			n = pg_utf_mblen((const unsigned char *) s);

		if (s + n > end)
			break;
		width = *s == '\n' ? 0 : width + Max(pg_encoding_dsplen(PG_UTF8, s), 0);
		longest = Max(longest, width);
		s += n;
	}
	return longest;
}
