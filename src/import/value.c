/*-------------------------------------------------------------------------
 *
 * value.c
 *	  Text of a file to values of a type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "import/value.h"
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

static void load_labels(ValueParser *parser);
static ValueResult parse_text(ValueParser *parser, const char *text, int len, Datum *value);
static ValueResult parse_varchar(ValueParser *parser, const char *text, int len, Datum *value);
static ValueResult parse_bpchar(ValueParser *parser, const char *text, int len, Datum *value);
static ValueResult parse_boolean(ValueParser *parser, const char *text, int len, Datum *value);
static ValueResult parse_uuid(ValueParser *parser, const char *text, int len, Datum *value);
static ValueResult parse_enum(ValueParser *parser, const char *text, int len, Datum *value);
static ValueResult call_input(ValueParser *parser, const char *text, Datum *value);

/*
 * The code behind an input function tells how it is parsed, and not the type, so
 * that types such as citext are as fast.
 */
static const struct
{
	PGFunction	input;
	ValueFunction parse;
	const char *noun;
}			known[] = {
	{textin, parse_text, NULL},
	{varcharin, parse_varchar, NULL},
	{bpcharin, parse_bpchar, NULL},
	{boolin, parse_boolean, "true or false"},
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
jobs_value_init(ValueParser *parser, Oid type, int32 typmod, const ValueStyle *style)
{
	Oid			function;
	char		category;
	bool		preferred;

	memset(parser, 0, sizeof(*parser));
	parser->style = style;
	parser->context = CurrentMemoryContext;
	parser->typmod = typmod;
	parser->type = getBaseTypeAndTypmod(type, &parser->typmod);
	if (parser->type != type && DomainHasConstraints(type))
		parser->domain = type;
	parser->limit = -1;
	if ((parser->type == VARCHAROID || parser->type == BPCHAROID) && parser->typmod >= (int32) VARHDRSZ)
		parser->limit = parser->typmod - VARHDRSZ;

	getTypeInputInfo(parser->type, &function, &parser->ioparam);
	fmgr_info(function, &parser->input);
	get_type_category_preferred(parser->type, &category, &preferred);
	parser->is_string = category == TYPCATEGORY_STRING;

	for (int i = 0; i < lengthof(known); i++)
	{
		if (known[i].input == parser->input.fn_addr)
		{
			parser->parse = known[i].parse;
			parser->noun = known[i].noun;
			if (parser->parse == parse_text)
				parser->is_string = true;
		}
	}
	if (parser->noun != NULL)
		parser->refusal = psprintf("is not %s", parser->noun);
	if (parser->parse == parse_enum)
		load_labels(parser);
}

ValueResult
jobs_value_parse(ValueParser *parser, const char *text, int len, Datum *value)
{
	ValueResult	result = VALUE_UNSURE;
	char		number[MAX_NUMBER + 1];

	parser->error = NULL;
	if (parser->style->decimal == ',' && parser->noun != NULL &&
		(strcmp(parser->noun, "a number") == 0 || strcmp(parser->noun, "a whole number") == 0))
	{
		if (len > MAX_NUMBER || (len = jobs_number_with_point(text, len, number)) < 0)
			return VALUE_MALFORMED;
		text = number;
	}
	if (parser->parse != NULL)
		result = parser->parse(parser, text, len, value);
	if (result == VALUE_UNSURE)
		result = call_input(parser, text, value);
	if (result == VALUE_READ && OidIsValid(parser->domain))
		domain_check(*value, false, parser->domain, &parser->domain_cache, parser->context);
	return result;
}

void
jobs_value_check_null(ValueParser *parser)
{
	if (OidIsValid(parser->domain))
		domain_check((Datum) 0, true, parser->domain, &parser->domain_cache, parser->context);
}

static ValueResult
call_input(ValueParser *parser, const char *text, Datum *value)
{
	int			saved = DateOrder;

	/* An error leaves it changed; who catches it sets it back. */
	if (parser->style->date_order >= 0)
		DateOrder = parser->style->date_order;
	parser->error = jobs_input_call(&parser->input, unconstify(char *, text), parser->ioparam,
									parser->typmod, value);
	DateOrder = saved;
	return parser->error == NULL ? VALUE_READ : jobs_value_error(parser->error);
}

ValueResult
jobs_value_error(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE:
		case ERRCODE_INTERVAL_FIELD_OVERFLOW:
			return VALUE_OUT_OF_RANGE;
		case ERRCODE_STRING_DATA_RIGHT_TRUNCATION:
			return VALUE_TOO_LONG;
		case ERRCODE_CHECK_VIOLATION:
			return VALUE_REFUSED;
		case ERRCODE_NOT_NULL_VIOLATION:
			return VALUE_NULL;
		default:
			return VALUE_MALFORMED;
	}
}

/* ------------------------------------------------------------------------
 * Strings
 * ------------------------------------------------------------------------
 */

static Datum
make_text(ValueParser *parser, const char *text, int len, int padding)
{
	struct varlena *result = jobs_arena_alloc(parser->style->arena, VARHDRSZ + len + padding);

	SET_VARSIZE(result, VARHDRSZ + len + padding);
	memcpy(VARDATA(result), text, len);
	if (padding > 0)
		memset(VARDATA(result) + len, ' ', padding);
	return PointerGetDatum(result);
}

static ValueResult
parse_text(ValueParser *parser, const char *text, int len, Datum *value)
{
	*value = make_text(parser, text, len, 0);
	return VALUE_READ;
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

static ValueResult
parse_varchar(ValueParser *parser, const char *text, int len, Datum *value)
{
	if (parser->limit >= 0 && !fits(text, &len, parser->limit))
		return VALUE_TOO_LONG;
	*value = make_text(parser, text, len, 0);
	return VALUE_READ;
}

static ValueResult
parse_bpchar(ValueParser *parser, const char *text, int len, Datum *value)
{
	int			padding = 0;

	if (parser->limit >= 0)
	{
		if (!fits(text, &len, parser->limit))
			return VALUE_TOO_LONG;
		padding = parser->limit - pg_mbstrlen_with_len(text, len);
	}
	*value = make_text(parser, text, len, padding);
	return VALUE_READ;
}

/* ------------------------------------------------------------------------
 * Booleans, UUIDs and enums
 * ------------------------------------------------------------------------
 */

static ValueResult
parse_boolean(ValueParser *parser, const char *text, int len, Datum *value)
{
	bool		b;

	/* As programs write them, ahead of what the input function takes besides. */
	if ((len == 4 && memcmp(text, "true", 4) == 0) || (len == 5 && memcmp(text, "false", 5) == 0) ||
		(len == 1 && (*text == 't' || *text == 'f')))
	{
		*value = BoolGetDatum(*text == 't');
		return VALUE_READ;
	}
	while (len > 0 && isspace((unsigned char) *text))
		text++, len--;
	while (len > 0 && isspace((unsigned char) text[len - 1]))
		len--;
	if (!parse_bool_with_len(text, len, &b))
		return VALUE_MALFORMED;
	*value = BoolGetDatum(b);
	return VALUE_READ;
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
static ValueResult
parse_uuid(ValueParser *parser, const char *text, int len, Datum *value)
{
	pg_uuid_t  *uuid = jobs_arena_alloc(parser->style->arena, sizeof(pg_uuid_t));
	const char *p = text;
	bool		braces = *p == '{';

	if (braces)
		p++;
	for (int i = 0; i < UUID_LEN; i++)
	{
		int			high = hex_digit(p[0]);
		int			low = high < 0 ? -1 : hex_digit(p[1]);

		if (low < 0)
			return VALUE_MALFORMED;
		uuid->data[i] = high << 4 | low;
		p += 2;
		if (*p == '-' && i % 2 == 1 && i < UUID_LEN - 1)
			p++;
	}
	if (braces && *p++ != '}')
		return VALUE_MALFORMED;
	if (*p != '\0')
		return VALUE_MALFORMED;
	*value = UUIDPGetDatum(uuid);
	return VALUE_READ;
}

static int
compare_labels(const ListCell *a, const ListCell *b)
{
	float4		x = ((Form_pg_enum) lfirst(a))->enumsortorder;
	float4		y = ((Form_pg_enum) lfirst(b))->enumsortorder;

	return x < y ? -1 : x > y;
}

static void
load_labels(ValueParser *parser)
{
	CatCList   *list = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(parser->type));
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
	parser->label_oids = palloc(sizeof(Oid) * (list_length(rows) + 1));
	foreach(lc, rows)
	{
		Form_pg_enum row = lfirst(lc);

		parser->label_oids[n++] = row->oid;
		parser->labels = lappend(parser->labels, NameStr(row->enumlabel));
	}
}

static ValueResult
parse_enum(ValueParser *parser, const char *text, int len, Datum *value)
{
	ListCell   *lc;

	foreach(lc, parser->labels)
	{
		if (strcmp(lfirst(lc), text) == 0)
		{
			*value = ObjectIdGetDatum(parser->label_oids[foreach_current_index(lc)]);
			return VALUE_READ;
		}
	}
	return VALUE_NOT_IN_LIST;
}
