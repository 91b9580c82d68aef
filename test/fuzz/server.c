/*-------------------------------------------------------------------------
 *
 * server.c
 *	  For libFuzzer: what needs the server's own functions around it.
 *
 * Linked into a copy of the library by run.sh beside this file, and called by
 * fuzz(target, arguments) in a backend, which ends as libFuzzer does.  An error
 * is what the input deserves, but for an internal one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <zlib.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "filename.h"
#include "format.h"
#include "gzip.h"
#include "import/dialect_options.h"
#include "import/import.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "shmem.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "worker.h"

PG_FUNCTION_INFO_V1(fuzz);

extern int	LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback) (const uint8_t *data, size_t size));

typedef void (*Target) (const uint8_t *data, size_t size);

static int	run_one(const uint8_t *data, size_t size);
static void options(const uint8_t *data, size_t size);
static void check_dialect(Jsonb *json);
static void write_row(const JsonbValue *value, const JobsFormat *format, const JobsFormatOptions *read);
static void ignore(void *arg, const char *data, Size len);
static void token(const uint8_t *data, size_t size);
static void filename(const uint8_t *data, size_t size);
static void progress(const uint8_t *data, size_t size);
static void check_progress(JobsSlot *slot, double *percent, bool again);
static int64 number(const uint8_t **data, const uint8_t *end);
static void gzip(const uint8_t *data, size_t size);
static void append(void *arg, const char *data, Size len);

static const struct
{
	const char *name;
	Target		run;
}			targets[] = {
	{"options", options},
	{"token", token},
	{"filename", filename},
	{"progress", progress},
	{"gzip", gzip}
};

static Target target;
static MemoryContext context;
static const char *real_token;
static FmgrInfo shared_fn;

#define check(holds) \
	do \
	{ \
		if (!(holds)) \
		{ \
			fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #holds); \
			abort(); \
		} \
	} while (0)

/*
 * fuzz(target text, token text, output text, arguments text[]): the token is of a
 * file that exists, for the target of that name; libFuzzer has its arguments, and
 * writes to the file output.
 */
Datum
fuzz(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *output = text_to_cstring(PG_GETARG_TEXT_PP(2));
	Datum	   *elements;
	int			argc;
	char	  **argv;

	for (int i = 0; i < lengthof(targets); i++)
	{
		if (strcmp(name, targets[i].name) == 0)
			target = targets[i].run;
	}
	if (target == NULL)
		ereport(ERROR, errmsg("there is no target \"%s\"", name));
	real_token = text_to_cstring(PG_GETARG_TEXT_PP(1));
	fmgr_info(DatumGetObjectId(DirectFunctionCall1(regprocedurein, CStringGetDatum("jobs.shared(text)"))), &shared_fn);
	if (freopen(output, "w", stderr) == NULL)
		ereport(ERROR, errmsg("could not open \"%s\": %m", output));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &argc);
	argv = palloc0((argc + 2) * sizeof(char *));
	argv[0] = name;
	for (int i = 0; i < argc; i++)
		argv[i + 1] = TextDatumGetCString(elements[i]);
	argc++;
	context = AllocSetContextCreate(TopMemoryContext, "fuzz", ALLOCSET_DEFAULT_SIZES);
	PG_RETURN_INT32(LLVMFuzzerRunDriver(&argc, &argv, run_one));
}

static int
run_one(const uint8_t *data, size_t size)
{
	MemoryContext before = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		target(data, size);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTERNAL_ERROR)
		{
			fprintf(stderr, "%s\n", error->message);
			abort();
		}
	}
	PG_END_TRY();
	MemoryContextSwitchTo(before);
	CurrentResourceOwner = owner;
	MemoryContextReset(context);
	return 0;
}

/* ------------------------------------------------------------------------
 * Options: the first byte chooses what they are of, the rest is JSON
 * ------------------------------------------------------------------------
 */

static void
options(const uint8_t *data, size_t size)
{
	static const JobsFormat *const formats[] = {&jobs_csv_format, &jobs_jsonl_format, &jobs_xlsx_format, &jobs_pdf_format};
	char	   *text;
	Jsonb	   *json;

	if (size < 1)
		return;
	text = pnstrdup((const char *) data + 1, size - 1);
	/* As SQL would have refused it. */
	(void) pg_verifymbstr(text, strlen(text), false);
	json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	if (data[0] % 5 == 4)
	{
		jobs_preview_check_options(json);
		check_dialect(json);
	}
	else
	{
		const JobsFormat *format = formats[data[0] % 5];
		JobsFormatOptions *read = format->options(json);

		(void) format->media_type(read);
		if (format->lines)
			write_row(jobs_dialect_key(json, "null"), format, read);
	}
}

/* What is refused cannot be in a dialect, and a dialect can be told and read back. */
static void
check_dialect(Jsonb *json)
{
	DialectOptions said;
	Dialect    *d = &said.dialect;
	Jsonb	   *told;
	Jsonb	   *again;

	jobs_dialect_check_options(json);
	jobs_dialect_read_options(json, &said);
	check(d->delimiter != '\0' && d->delimiter != '\n' && d->delimiter != '\r');
	check(!IS_HIGHBIT_SET(d->delimiter) && !IS_HIGHBIT_SET(d->quote) && !IS_HIGHBIT_SET(d->escape) && !IS_HIGHBIT_SET(d->comment));
	check(d->header_rows >= 0 && d->header_rows <= 100 && d->has_header == (d->header_rows > 0));
	check(d->skip_lines >= 0 && d->skip_lines <= 1000000);
	check(d->decimal == '.' || d->decimal == ',');
	check(strpbrk(d->null, "\r\n") == NULL);
	/* Only what a file can have: the search for the rest has seen to it. */
	if (d->delimiter == d->quote || d->delimiter == d->escape || d->comment == d->delimiter)
		return;
	told = jobs_dialect_to_jsonb(d);
	again = jobs_dialect_to_jsonb(jobs_dialect_from_jsonb(told));
	check(compareJsonbContainers(&told->root, &again->root) == 0);
}

/* A text column and a number's, with the options and in the null's own words. */
static void
write_row(const JsonbValue *value, const JobsFormat *format, const JobsFormatOptions *read)
{
	TupleDesc	desc = CreateTemplateTupleDesc(2);
	JobsFormatFile file = {.title = "t", .filename = "f", .rows = 1};
	TupleTableSlot *slot;
	void	   *state;

	TupleDescInitEntry(desc, 1, "a", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 2, "=b\"", INT4OID, -1, 0);
	if (format->check_columns)
		format->check_columns(read, desc);
	slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	state = format->begin(read, desc, &file, ignore, NULL);
	for (int i = 0; i < 3; i++)
	{
		ExecClearTuple(slot);
		slot->tts_values[0] = value && value->type == jbvString ?
			PointerGetDatum(cstring_to_text_with_len(value->val.string.val, value->val.string.len)) : CStringGetTextDatum("=1,\";\\.");
		slot->tts_values[1] = Int32GetDatum(-i);
		slot->tts_isnull[0] = i == 2;
		slot->tts_isnull[1] = i == 1;
		ExecStoreVirtualTuple(slot);
		format->row(state, slot);
	}
	format->end(state);
	ExecDropSingleTupleTableSlot(slot);
}

static void
ignore(void *arg, const char *data, Size len)
{
	static volatile uint32 sum;

	sum += crc32(0, (const Bytef *) data, len);
}

/* ------------------------------------------------------------------------
 * Tokens: any bytes, or the real one with some of them changed
 * ------------------------------------------------------------------------
 */

static void
token(const uint8_t *data, size_t size)
{
	LOCAL_FCINFO(fcinfo, 1);
	text	   *given;
	volatile bool hit = false;

	if (size < 1)
		return;
	if (data[0] & 1)
		given = cstring_to_text_with_len((const char *) data + 1, size - 1);
	else
	{
		given = cstring_to_text(real_token);
		for (size_t i = 1; i + 1 < size; i += 2)
			VARDATA(given)[data[i] % strlen(real_token)] ^= data[i + 1];
		if (data[0] & 2)
			SET_VARSIZE(given, VARSIZE(given) - (data[0] >> 2) % strlen(real_token));
	}
	InitFunctionCallInfoData(*fcinfo, &shared_fn, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = PointerGetDatum(given);
	fcinfo->args[0].isnull = false;
	PG_TRY();
	{
		(void) FunctionCallInvoke(fcinfo);
		hit = true;
	}
	PG_CATCH();
	{
		check(geterrcode() == ERRCODE_UNDEFINED_OBJECT);
		FlushErrorState();
	}
	PG_END_TRY();
	check(hit == (VARSIZE_ANY_EXHDR(given) == strlen(real_token) && memcmp(VARDATA_ANY(given), real_token, strlen(real_token)) == 0));
}

/* ------------------------------------------------------------------------
 * Names of files: what is let through cannot leave its place in a header
 * ------------------------------------------------------------------------
 */

static void
filename(const uint8_t *data, size_t size)
{
	char	   *name = pnstrdup((const char *) data, size);
	char	   *header;
	int			quotes = 0;

	(void) pg_verifymbstr(name, strlen(name), false);
	jobs_filename_check(name);
	header = jobs_disposition(name);
	for (const char *p = header; *p; p++)
	{
		check(*p >= ' ' && *p <= '~' && *p != '\\');
		quotes += *p == '"';
	}
	check(quotes == 2 && strchr(name, '/') == NULL && strcmp(name, "..") != 0);
}

/* ------------------------------------------------------------------------
 * Percent and time left: calls with numbers of all sizes
 * ------------------------------------------------------------------------
 */

static void
progress(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;
	JobsSlot   *slot = palloc0(sizeof(JobsSlot));
	JobsSlot   *mine = jobs_my_slot;
	double		percent = -1;

	jobs_my_slot = slot;
	for (int i = 0; i < 4; i++)
		pg_atomic_init_u64(&slot->items[i], 0);
	jobs_progress_job(1, JOB_RUN);
	jobs_progress_begin("running", -1);
	while (data < end)
	{
		uint8_t		what = *data++;
		Job			job = {0};
		double		part;
		int64		whole;
		char	   *text;

		switch (what % 7)
		{
			case 0:
				jobs_progress_begin("again", number(&data, end));
				percent = -1;
				break;
			case 1:
				jobs_progress_total(number(&data, end), what & 64);
				break;
			case 2:
				jobs_progress_done(number(&data, end), number(&data, end));
				break;
			case 3:
				part = number(&data, end);
				whole = number(&data, end);
				jobs_progress_part(part / Max(whole, 1), number(&data, end), 0);
				break;
			case 4:
				/* The clock may have been set since, by a thousand years. */
				slot->progress.counted_at = GetCurrentTimestamp() +
					number(&data, end) % (1000 * (int64) SECS_PER_YEAR * USECS_PER_SEC) * (what & 64 ? 1 : -1);
				break;
			case 5:
				/* Counts of items are of rows that exist: fewer than 2^61. */
				job.total = number(&data, end) >> 2;
				job.succeeded = number(&data, end) >> 2;
				job.failed = number(&data, end) >> 2;
				job.processed = job.succeeded + job.failed;
				if (job.succeeded >= 0 && job.failed >= 0)
					jobs_progress_items(&job);
				break;
			case 6:
				text = pnstrdup((const char *) data, end - data);
				if (pg_verifymbstr(text, strlen(text), true))
					jobs_progress_message(text);
				break;
		}
		check_progress(slot, &percent, what % 7 == 0);
	}
	jobs_my_slot = mine;
}

/* Small ones, and such as are near a power of two. */
static int64
number(const uint8_t **data, const uint8_t *end)
{
	uint8_t		byte = *data < end ? *(*data)++ : 0;
	uint64		value;

	if (byte < 128)
		return byte - 1;
	/* Past the largest comes -1, which is "not known". */
	value = ((uint64) 1 << (byte & 63)) - 1 + (*data < end ? *(*data)++ : 0);
	return value > PG_INT64_MAX ? -1 : (int64) value;
}

static void
check_progress(JobsSlot *slot, double *percent, bool again)
{
	JobsProgress copy;
	Datum		values[JOBS_SLOTS_COLUMNS];
	bool		nulls[JOBS_SLOTS_COLUMNS];

	check(jobs_progress_read(slot, &copy));
	check(!isnan(copy.percent) && copy.percent <= JOBS_MAX_PERCENT && copy.percent >= *percent);
	/* That of items goes with their counts, which the reader adds up. */
	*percent = slot->progress.percent;
	jobs_progress_values(&copy, 1, values, nulls);
	check(nulls[4] || (DatumGetFloat8(values[4]) >= 0 && DatumGetFloat8(values[4]) < 100));
	check(nulls[10] || DatumGetFloat8(values[10]) >= 0);
	check(nulls[11] || DatumGetIntervalP(values[11])->time >= 0);
	check(nulls[3] || nulls[2] || DatumGetInt64(values[3]) >= DatumGetInt64(values[2]));
	check(slot->progress.total >= -1);
}

/* ------------------------------------------------------------------------
 * Gzip: what was written in pieces comes back, and nothing else
 * ------------------------------------------------------------------------
 */

static void
gzip(const uint8_t *data, size_t size)
{
	StringInfoData file;
	StringInfoData plain;
	JobsGzip   *writer;
	z_stream	stream = {0};
	char	   *back;
	uint32		repeat;

	if (size < 3)
		return;
	initStringInfo(&file);
	initStringInfo(&plain);
	/* Over a block's end now and then, and with threads. */
	repeat = data[0] % 16 == 0 ? 1 + data[1] * 8 : 1 + data[1] % 4;
	writer = jobs_gzip_begin(data[0] % 64 == 16 ? 2 : 0, append, &file);
	for (uint32 i = 0; i < repeat; i++)
	{
		Size		half = data[2] * i % size;

		jobs_gzip_write(writer, (const char *) data, half);
		jobs_gzip_write(writer, (const char *) data + half, size - half);
		appendBinaryStringInfo(&plain, (const char *) data, size);
	}
	jobs_gzip_end(writer);

	check(inflateInit2(&stream, 15 + 16) == Z_OK);
	back = palloc(plain.len + 1);
	stream.next_in = (Bytef *) file.data;
	stream.avail_in = file.len;
	stream.next_out = (Bytef *) back;
	stream.avail_out = plain.len + 1;
	check(inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_in == 0);
	check(stream.total_out == plain.len && memcmp(back, plain.data, plain.len) == 0);
	(void) inflateEnd(&stream);
}

static void
append(void *arg, const char *data, Size len)
{
	appendBinaryStringInfo(arg, data, len);
}
