/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  The rows of an uploaded file, whatever its form.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "import/convert.h"
#include "import/pump.h"
#include "import/reader.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define SNIFF_BYTES		(256 * 1024)
#define THREAD_BYTES	(1024 * 1024)	/* of a file that is worth a thread */
#define CONVERT_BYTES	(PUMP_SLOT_SIZE / MAX_CONVERSION_GROWTH / 2)

struct Reader
{
	Input	   *input;
	const Dialect *dialect;
	PumpForm	form;
	Converter  *converter;		/* or NULL */
	const char *converted;		/* what of its output waits for a slot */
	size_t		nconverted;
	bool		input_ended;
	Pump	   *pump;
	RowBlock   *block;			/* at hand */
	int			next_row;
	int64		bytes_read;
	MemoryContextCallback callback;
};

static void set_form(Reader *reader);
static int	verify(const unsigned char *text, int len);
static void release(void *arg);
static bool next_block(Reader *reader);
static void fill_slots(Reader *reader);
static int	read_converted(Reader *reader, char *buffer, int size);

/* ------------------------------------------------------------------------
 * Opening
 * ------------------------------------------------------------------------
 */

Reader *
jobs_reader_open(Input *input, Jsonb *options)
{
	int			len;
	bool		at_end;
	const char *raw = jobs_input_peek(input, SNIFF_BYTES, &len, &at_end);

	return jobs_reader_reopen(input, jobs_dialect_find(raw, len, at_end, jobs_input_is_gzip(input), options));
}

Reader *
jobs_reader_reopen(Input *input, const Dialect *dialect)
{
	Reader	   *reader = palloc0(sizeof(Reader));

	reader->input = input;
	reader->dialect = dialect;
	set_form(reader);
	reader->callback.func = release;
	reader->callback.arg = reader;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &reader->callback);
	reader->pump = pump_begin(&reader->form, jobs_input_bytes_total(input) >= THREAD_BYTES);
	if (reader->pump == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	return reader;
}

static void
set_form(Reader *reader)
{
	const Dialect *dialect = reader->dialect;
	PumpForm   *form = &reader->form;
	Conversion	conversion = jobs_conversion(dialect->encoding_name, dialect->encoding, &form->table);

	form->rows.delimiter = dialect->delimiter;
	form->rows.quote = dialect->quote;
	form->rows.escape = dialect->escape;
	form->rows.comment = dialect->comment;
	form->rows.trim = dialect->trim;
	form->rows.pad = dialect->pad;
	form->rows.null = dialect->null ? dialect->null : "";
	form->rows.ncolumns = dialect->ncolumns;
	form->rows.skip_lines = dialect->skip_lines;
	form->rows.header_rows = dialect->has_header ? Max(dialect->header_rows, 1) : 0;
	form->rows.verify = verify;
	form->decode = conversion.decode;
	form->bom = conversion.encoding == PG_UTF8 && !conversion.server;
	if (conversion.server)
		reader->converter = jobs_converter_begin(dialect->encoding_name, dialect->encoding);
	if (dialect->ascii && GetDatabaseEncoding() == PG_UTF8)
	{
		jobs_conversion_table(PG_WIN1252, &form->table);
		form->rows.fallback = &form->table;
	}
	form->gzip = jobs_input_is_gzip(reader->input) && !conversion.server;
	form->max_inflated = jobs_input_max_inflated();
}

/* Called in a thread, as this function of the server's may be: it only looks at the bytes. */
static int
verify(const unsigned char *text, int len)
{
	return pg_encoding_verifymbstr(GetDatabaseEncoding(), (const char *) text, len);
}

const Dialect *
jobs_reader_dialect(Reader *reader)
{
	return reader->dialect;
}

/* Also when the memory context goes, which after an error is the only way. */
static void
release(void *arg)
{
	Reader	   *reader = arg;

	if (reader->pump)
		pump_end(reader->pump);
	reader->pump = NULL;
	reader->block = NULL;
}

void
jobs_reader_close(Reader *reader)
{
	release(reader);
	jobs_input_close(reader->input);
}

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------
 */

/* Text in the database's encoding; 0 at the end. */
static int
read_converted(Reader *reader, char *buffer, int size)
{
	int			n;

	while (reader->nconverted == 0 && !reader->input_ended)
	{
		char		raw[CONVERT_BYTES];
		int			len = jobs_input_read(reader->input, raw, sizeof(raw));

		reader->input_ended = len == 0;
		reader->nconverted = jobs_converter_run(reader->converter, raw, len, len == 0, &reader->converted);
	}
	n = Min(size, reader->nconverted);
	memcpy(buffer, reader->converted, n);
	reader->converted += n;
	reader->nconverted -= n;
	return n;
}

/* All that are free, unless the input has ended. */
static void
fill_slots(Reader *reader)
{
	char	   *slot;

	while ((slot = pump_slot(reader->pump)) != NULL)
	{
		int			len = reader->converter ? read_converted(reader, slot, PUMP_SLOT_SIZE) :
			jobs_input_read_stored(reader->input, slot, PUMP_SLOT_SIZE);

		CHECK_FOR_INTERRUPTS();
		if (len == 0)
			pump_put_end(reader->pump);
		else
			pump_put(reader->pump, len, jobs_input_bytes_read(reader->input));
	}
}

static bool
next_block(Reader *reader)
{
	PumpState	state;

	do
	{
		CHECK_FOR_INTERRUPTS();
		fill_slots(reader);
		state = pump_next(reader->pump, &reader->block);
	} while (state == PUMP_INPUT);
	reader->next_row = 0;
	if (state == PUMP_BLOCK)
	{
		reader->bytes_read = reader->block->source_bytes;
		return true;
	}
	reader->block = NULL;
	switch (state)
	{
		case PUMP_GZIP_CUT:
			jobs_input_gzip_cut();
		case PUMP_GZIP_BROKEN:
			jobs_input_gzip_broken();
		case PUMP_GZIP_LARGE:
			jobs_input_gzip_large();
		case PUMP_NO_MEMORY:
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
		default:
			break;
	}
	reader->bytes_read = jobs_input_bytes_total(reader->input);
	return false;
}

int
jobs_reader_next_rows(Reader *reader, FileRow **rows, int max)
{
	int			n;

	if ((reader->block == NULL || reader->next_row == reader->block->nrows) && !next_block(reader))
		return 0;
	*rows = reader->block->rows + reader->next_row;
	n = Min(max, reader->block->nrows - reader->next_row);
	reader->next_row += n;
	return n;
}

FileRow *
jobs_reader_next(Reader *reader)
{
	FileRow    *row;

	return jobs_reader_next_rows(reader, &row, 1) == 0 ? NULL : row;
}

int64
jobs_reader_bytes_read(Reader *reader)
{
	return reader->bytes_read;
}

int64
jobs_reader_bytes_total(Reader *reader)
{
	return jobs_input_bytes_total(reader->input);
}
