/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  Text of a file to values of a type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "import/convert.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

/* A number with a decimal comma that is longer is malformed. */
#define MAX_NUMBER	512

static void load_labels(Converter *converter);
static Conversion parse_text(Converter *converter, const char *text, int len, Datum *value);
static Conversion parse_varchar(Converter *converter, const char *text, int len, Datum *value);
static Conversion parse_bpchar(Converter *converter, const char *text, int len, Datum *value);
static Conversion parse_bool(Converter *converter, const char *text, int len, Datum *value);
static Conversion parse_uuid(Converter *converter, const char *text, int len, Datum *value);
static Conversion parse_enum(Converter *converter, const char *text, int len, Datum *value);
static Conversion call_input(Converter *converter, const char *text, Datum *value);

/*
 * The code behind an input function tells how it is parsed, and not the type, so
 * that types such as citext are as fast.
 */
static const struct
{
	PGFunction	input;
	ConvertParser parse;
	const char *noun;
}			known[] = {
	{textin, parse_text, NULL},
	{varcharin, parse_varchar, NULL},
	{bpcharin, parse_bpchar, NULL},
	{boolin, parse_bool, "true or false"},
	{int2in, jobs_parse_int2, "a whole number"},
	{int4in, jobs_parse_int4, "a whole number"},
	{int8in, jobs_parse_int8, "a whole number"},
	{float4in, jobs_parse_float4, "a number"},
	{float8in, jobs_parse_float8, "a number"},
	{numeric_in, jobs_parse_numeric, "a number"},
	{date_in, jobs_parse_date, "a date"},
	{timestamp_in, jobs_parse_timestamp, "a date and time"},
	{timestamptz_in, jobs_parse_timestamptz, "a date and time"},
	{time_in, NULL, "a time"},
	{timetz_in, NULL, "a time"},
	{interval_in, NULL, "a length of time"},
	{uuid_in, parse_uuid, "a UUID"},
	{json_in, NULL, "JSON"},
	{jsonb_in, NULL, "JSON"},
	{enum_in, parse_enum, NULL},
};

void
jobs_converter_init(Converter *converter, Oid type, int32 typmod, const ConvertStyle *style)
{
	Oid			function;
	char		category;
	bool		preferred;

	memset(converter, 0, sizeof(*converter));
	converter->style = style;
	converter->context = CurrentMemoryContext;
	converter->typmod = typmod;
	converter->type = getBaseTypeAndTypmod(type, &converter->typmod);
	if (converter->type != type && DomainHasConstraints(type))
		converter->domain = type;
	converter->limit = -1;
	if ((converter->type == VARCHAROID || converter->type == BPCHAROID) && converter->typmod >= (int32) VARHDRSZ)
		converter->limit = converter->typmod - VARHDRSZ;

	getTypeInputInfo(converter->type, &function, &converter->ioparam);
	fmgr_info(function, &converter->input);
	get_type_category_preferred(converter->type, &category, &preferred);
	converter->is_string = category == TYPCATEGORY_STRING;

	for (int i = 0; i < lengthof(known); i++)
	{
		if (known[i].input == converter->input.fn_addr)
		{
			converter->parse = known[i].parse;
			converter->noun = known[i].noun;
			if (converter->parse == parse_text)
				converter->is_string = true;
		}
	}
	if (converter->parse == parse_enum)
		load_labels(converter);
}

Conversion
jobs_convert(Converter *converter, const char *text, int len, Datum *value)
{
	Conversion	result = CONVERT_UNSURE;
	char		number[MAX_NUMBER + 1];

	if (converter->style->decimal == ',' && converter->noun != NULL &&
		(strcmp(converter->noun, "a number") == 0 || strcmp(converter->noun, "a whole number") == 0))
	{
		if (len > MAX_NUMBER || (len = jobs_number_with_point(text, len, number)) < 0)
			return CONVERT_MALFORMED;
		text = number;
	}
	if (converter->parse != NULL)
		result = converter->parse(converter, text, len, value);
	if (result == CONVERT_UNSURE)
		result = call_input(converter, text, value);
	if (result == CONVERTED && OidIsValid(converter->domain))
		domain_check(*value, false, converter->domain, &converter->domain_cache, converter->context);
	return result;
}

void
jobs_convert_null(Converter *converter)
{
	if (OidIsValid(converter->domain))
		domain_check((Datum) 0, true, converter->domain, &converter->domain_cache, converter->context);
}

static Conversion
call_input(Converter *converter, const char *text, Datum *value)
{
	int			saved = DateOrder;

	/* An error leaves it changed; who catches it sets it back. */
	if (converter->style->date_order >= 0)
		DateOrder = converter->style->date_order;
	*value = InputFunctionCall(&converter->input, unconstify(char *, text), converter->ioparam,
							   converter->typmod);
	DateOrder = saved;
	return CONVERTED;
}

Conversion
jobs_convert_error(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE:
		case ERRCODE_INTERVAL_FIELD_OVERFLOW:
			return CONVERT_OUT_OF_RANGE;
		case ERRCODE_STRING_DATA_RIGHT_TRUNCATION:
			return CONVERT_TOO_LONG;
		case ERRCODE_CHECK_VIOLATION:
			return CONVERT_REFUSED;
		case ERRCODE_NOT_NULL_VIOLATION:
			return CONVERT_NULL;
		default:
			return CONVERT_MALFORMED;
	}
}

/* ------------------------------------------------------------------------
 * Strings
 * ------------------------------------------------------------------------
 */

static Datum
make_text(Converter *converter, const char *text, int len, int padding)
{
	text	   *result = jobs_arena_alloc(converter->style->arena, VARHDRSZ + len + padding);

	SET_VARSIZE(result, VARHDRSZ + len + padding);
	memcpy(VARDATA(result), text, len);
	if (padding > 0)
		memset(VARDATA(result) + len, ' ', padding);
	return PointerGetDatum(result);
}

static Conversion
parse_text(Converter *converter, const char *text, int len, Datum *value)
{
	*value = make_text(converter, text, len, 0);
	return CONVERTED;
}

/* Spaces beyond the limit are cut off, and nothing else. */
static bool
fits(const char *text, int *len, int limit)
{
	int			mblen;

	if (*len <= limit || pg_mbstrlen_with_len(text, *len) <= limit)
		return true;
	mblen = pg_mbcharcliplen(text, *len, limit);
	for (int i = mblen; i < *len; i++)
	{
		if (text[i] != ' ')
			return false;
	}
	*len = mblen;
	return true;
}

static Conversion
parse_varchar(Converter *converter, const char *text, int len, Datum *value)
{
	if (converter->limit >= 0 && !fits(text, &len, converter->limit))
		return CONVERT_TOO_LONG;
	*value = make_text(converter, text, len, 0);
	return CONVERTED;
}

static Conversion
parse_bpchar(Converter *converter, const char *text, int len, Datum *value)
{
	int			padding = 0;

	if (converter->limit >= 0)
	{
		if (!fits(text, &len, converter->limit))
			return CONVERT_TOO_LONG;
		padding = converter->limit - pg_mbstrlen_with_len(text, len);
	}
	*value = make_text(converter, text, len, padding);
	return CONVERTED;
}

/* ------------------------------------------------------------------------
 * Booleans, UUIDs and enums
 * ------------------------------------------------------------------------
 */

static Conversion
parse_bool(Converter *converter, const char *text, int len, Datum *value)
{
	bool		b;

	while (len > 0 && isspace((unsigned char) *text))
		text++, len--;
	while (len > 0 && isspace((unsigned char) text[len - 1]))
		len--;
	if (!parse_bool_with_len(text, len, &b))
		return CONVERT_MALFORMED;
	*value = BoolGetDatum(b);
	return CONVERTED;
}

static inline int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hyphens after any four digits, and braces around, as uuid_in takes them. */
static Conversion
parse_uuid(Converter *converter, const char *text, int len, Datum *value)
{
	pg_uuid_t  *uuid = jobs_arena_alloc(converter->style->arena, sizeof(pg_uuid_t));
	const char *p = text;
	bool		braces = *p == '{';

	if (braces)
		p++;
	for (int i = 0; i < UUID_LEN; i++)
	{
		int			high = hex_digit(p[0]);
		int			low = high < 0 ? -1 : hex_digit(p[1]);

		if (low < 0)
			return CONVERT_MALFORMED;
		uuid->data[i] = high << 4 | low;
		p += 2;
		if (*p == '-' && i % 2 == 1 && i < UUID_LEN - 1)
			p++;
	}
	if (braces && *p++ != '}')
		return CONVERT_MALFORMED;
	if (*p != '\0')
		return CONVERT_MALFORMED;
	*value = UUIDPGetDatum(uuid);
	return CONVERTED;
}

static int
compare_labels(const ListCell *a, const ListCell *b)
{
	float4		x = ((Form_pg_enum) lfirst(a))->enumsortorder;
	float4		y = ((Form_pg_enum) lfirst(b))->enumsortorder;

	return x < y ? -1 : x > y;
}

static void
load_labels(Converter *converter)
{
	CatCList   *list = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(converter->type));
	List	   *rows = NIL;
	ListCell   *lc;
	int			n = 0;

	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_enum row = palloc(sizeof(FormData_pg_enum));

		*row = *(Form_pg_enum) GETSTRUCT(&list->members[i]->tuple);
		rows = lappend(rows, row);
	}
	ReleaseCatCacheList(list);
	list_sort(rows, compare_labels);
	converter->label_oids = palloc(sizeof(Oid) * (list_length(rows) + 1));
	foreach(lc, rows)
	{
		Form_pg_enum row = lfirst(lc);

		converter->label_oids[n++] = row->oid;
		converter->labels = lappend(converter->labels, NameStr(row->enumlabel));
	}
}

static Conversion
parse_enum(Converter *converter, const char *text, int len, Datum *value)
{
	ListCell   *lc;

	foreach(lc, converter->labels)
	{
		if (strcmp(lfirst(lc), text) == 0)
		{
			*value = ObjectIdGetDatum(converter->label_oids[foreach_current_index(lc)]);
			return CONVERTED;
		}
	}
	return CONVERT_NOT_IN_LIST;
}
