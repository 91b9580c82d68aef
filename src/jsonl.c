/*-------------------------------------------------------------------------
 *
 * jsonl.c
 *	  One JSON object a line, with the values that to_jsonb gives.
 *
 * Common types are written directly; all others go through to_jsonb itself,
 * with its arrays, composites and casts.  The file is in UTF-8, as JSON is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "format.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "options.h"
#include "outbuf.h"
#include "scalar.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

typedef struct Column
{
	JobsScalar	scalar;
	char	   *key;			/* with the comma before and the colon behind it */
	Size		key_len;
	FmgrInfo	to_jsonb;
} Column;

typedef struct Jsonl
{
	bool		transcode;
	MemoryContext row_context;
	int			ncolumns;
	Column	   *columns;
	JobsOutbuf	out;
} Jsonl;

static JobsFormatOptions *jsonl_options(Jsonb *options);
static void prepare_column(Jsonl *jsonl, Column *column, Form_pg_attribute attr, bool first);
static JobsScalar scalar_of(Oid type);
static void put_value(Jsonl *jsonl, Column *column, Datum value);
static bool put_scalar(Jsonl *jsonl, JobsScalar scalar, Datum value);
static void put_jsonb(Jsonl *jsonl, Jsonb *jsonb);
static void put_string(Jsonl *jsonl, const char *s, Size len);

static const JobsOption known_options[] = {
	{"compression", jobs_set_compression, offsetof(JobsFormatOptions, gzip)}
};

static JobsFormatOptions *
jsonl_options(Jsonb *options)
{
	JobsFormatOptions *result = palloc0(sizeof(JobsFormatOptions));

	jobs_read_options(options, known_options, lengthof(known_options), "JSONL", result);
	return result;
}

static char *
jsonl_media_type(const JobsFormatOptions *options)
{
	return pstrdup("application/jsonl");
}

static void *
jsonl_begin(const JobsFormatOptions *options, TupleDesc desc, const JobsFormatFile *file,
			JobsSink sink, void *arg)
{
	Jsonl	   *jsonl = palloc(sizeof(Jsonl));

	memset(jsonl, 0, offsetof(Jsonl, out.data));
	jsonl->out.sink = sink;
	jsonl->out.arg = arg;
	jsonl->transcode = GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII;
	jsonl->row_context = AllocSetContextCreate(CurrentMemoryContext, "jobs jsonl row", ALLOCSET_DEFAULT_SIZES);
	jsonl->ncolumns = desc->natts;
	jsonl->columns = palloc0(desc->natts * sizeof(Column));
	for (int i = 0; i < desc->natts; i++)
		prepare_column(jsonl, &jsonl->columns[i], TupleDescAttr(desc, i), i == 0);
	return jsonl;
}

static void
prepare_column(Jsonl *jsonl, Column *column, Form_pg_attribute attr, bool first)
{
	StringInfoData key;
	const char *name = NameStr(attr->attname);

	if (jsonl->transcode)
		name = pg_server_to_any(name, strlen(name), PG_UTF8);
	initStringInfo(&key);
	appendStringInfoChar(&key, first ? '{' : ',');
	escape_json(&key, name);
	appendStringInfoChar(&key, ':');
	column->key = key.data;
	column->key_len = key.len;
	column->scalar = scalar_of(attr->atttypid);
	fmgr_info(F_TO_JSONB, &column->to_jsonb);
	/* It asks the call's expression for its argument's type. */
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID,
											 list_make1(makeNullConst(attr->atttypid, attr->atttypmod,
																	  attr->attcollation)),
											 InvalidOid, attr->attcollation, COERCE_EXPLICIT_CALL),
					   &column->to_jsonb);
}

/* A type of somebody's own may have a cast to json, which to_jsonb honours. */
static JobsScalar
scalar_of(Oid type)
{
	Oid			base = getBaseType(type);
	Oid			function;
	bool		varlena;
	FmgrInfo	output;

	if (base >= FirstNormalObjectId)
		return SCALAR_ANY;
	getTypeOutputInfo(base, &function, &varlena);
	fmgr_info(function, &output);
	if (base == JSONOID || output.fn_addr == float4out || output.fn_addr == float8out)
		return SCALAR_ANY;
	return jobs_scalar_of(output.fn_addr);
}

static void
jsonl_row(void *state, TupleTableSlot *slot)
{
	Jsonl	   *jsonl = state;
	MemoryContext old;

	slot_getallattrs(slot);
	old = MemoryContextSwitchTo(jsonl->row_context);
	for (int i = 0; i < jsonl->ncolumns; i++)
	{
		Column	   *column = &jsonl->columns[i];

		jobs_outbuf_put(&jsonl->out, column->key, column->key_len);
		if (slot->tts_isnull[i])
			jobs_outbuf_put(&jsonl->out, "null", 4);
		else
			put_value(jsonl, column, slot->tts_values[i]);
	}
	jobs_outbuf_put(&jsonl->out, "}\n", 2);
	MemoryContextSwitchTo(old);
	MemoryContextReset(jsonl->row_context);
}

static void
put_value(Jsonl *jsonl, Column *column, Datum value)
{
	if (column->scalar == SCALAR_TEXT)
	{
		struct varlena *text = PG_DETOAST_DATUM_PACKED(value);

		put_string(jsonl, VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
	}
	else if (column->scalar == SCALAR_JSONB)
		put_jsonb(jsonl, DatumGetJsonbP(value));
	else if (column->scalar == SCALAR_ANY || !put_scalar(jsonl, column->scalar, value))
		put_jsonb(jsonl, DatumGetJsonbP(FunctionCall1(&column->to_jsonb, value)));
}

/* False for what only to_jsonb knows how to write. */
static bool
put_scalar(Jsonl *jsonl, JobsScalar scalar, Datum value)
{
	char	   *out = jobs_outbuf_room(&jsonl->out, JOBS_SCALAR_MAX + 8);
	bool		number = scalar >= SCALAR_INT2 && scalar <= SCALAR_NUMERIC && scalar != SCALAR_OID;
	int			n;

	if (scalar == SCALAR_BOOL)
	{
		bool		is_true = DatumGetBool(value);

		jobs_outbuf_put(&jsonl->out, is_true ? "true" : "false", is_true ? 4 : 5);
		return true;
	}
	n = jobs_scalar_put(scalar, value, number ? out : out + 1);
	if (n < 0)
		return false;
	if (number)
	{
		jsonl->out.used += n;
		return true;
	}
	out[0] = '"';
	if ((scalar == SCALAR_TIMESTAMP || scalar == SCALAR_TIMESTAMPTZ) && memchr(out + 1, ' ', n))
	{
		/* XML Schema's way: a T before the time, and an offset with its minutes. */
		*(char *) memchr(out + 1, ' ', n) = 'T';
		if (memchr(out + 1, ' ', n) != NULL)
			return false;		/* BC */
		if (scalar == SCALAR_TIMESTAMPTZ && (out[n - 2] == '+' || out[n - 2] == '-'))
		{
			memcpy(out + 1 + n, ":00", 3);
			n += 3;
		}
	}
	out[n + 1] = '"';
	jsonl->out.used += n + 2;
	return true;
}

static void
put_jsonb(Jsonl *jsonl, Jsonb *jsonb)
{
	StringInfoData text;
	const char *s;
	Size		len;

	initStringInfo(&text);
	(void) JsonbToCString(&text, &jsonb->root, VARSIZE(jsonb));
	s = text.data;
	len = text.len;
	if (jsonl->transcode)
	{
		s = pg_server_to_any(text.data, text.len, PG_UTF8);
		if (s != text.data)
			len = strlen(s);
	}
	jobs_outbuf_put(&jsonl->out, s, len);
}

/* Only a few bytes can't stand in a string as they are. */
static void
put_string(Jsonl *jsonl, const char *s, Size len)
{
	const char *end;
	const char *start;

	if (jsonl->transcode)
	{
		const char *converted = pg_server_to_any(s, len, PG_UTF8);

		if (converted != s)
			len = strlen(converted);
		s = converted;
	}
	end = s + len;
	jobs_outbuf_char(&jsonl->out, '"');
	for (start = s; s < end; s++)
	{
		char		escape[8];

		if (likely((unsigned char) *s >= ' ' && *s != '"' && *s != '\\'))
			continue;
		jobs_outbuf_put(&jsonl->out, start, s - start);
		start = s + 1;
		switch (*s)
		{
			case '"':
				strcpy(escape, "\\\"");
				break;
			case '\\':
				strcpy(escape, "\\\\");
				break;
			case '\b':
				strcpy(escape, "\\b");
				break;
			case '\f':
				strcpy(escape, "\\f");
				break;
			case '\n':
				strcpy(escape, "\\n");
				break;
			case '\r':
				strcpy(escape, "\\r");
				break;
			case '\t':
				strcpy(escape, "\\t");
				break;
			default:
				snprintf(escape, sizeof(escape), "\\u%04x", (unsigned char) *s);
		}
		jobs_outbuf_put(&jsonl->out, escape, strlen(escape));
	}
	jobs_outbuf_put(&jsonl->out, start, end - start);
	jobs_outbuf_char(&jsonl->out, '"');
}

static void
jsonl_end(void *state)
{
	Jsonl	   *jsonl = state;

	jobs_outbuf_flush(&jsonl->out);
	MemoryContextDelete(jsonl->row_context);
}

static void
jsonl_flush(void *state)
{
	jobs_outbuf_flush(&((Jsonl *) state)->out);
}

static Size
jsonl_pending(const void *state)
{
	return ((const Jsonl *) state)->out.used;
}

const JobsFormat jobs_jsonl_format = {
	.name = "jsonl",
	.lines = true,
	.options = jsonl_options,
	.media_type = jsonl_media_type,
	.begin = jsonl_begin,
	.row = jsonl_row,
	.flush = jsonl_flush,
	.end = jsonl_end,
	.pending = jsonl_pending
};
