/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  The reader's inner part outside of the server: prints, measures, compares.
 *
 * Builds with libcsv and zlib alone, as test/t/071_rows.pl does; ROWS_NO_COMPARE is for
 * limits so small that they depend on how the bytes come.  A target for libFuzzer is
 * clang -g -fsanitize=fuzzer,address,undefined -DROWS_FUZZ -DROWS_BLOCK=256.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "import/gunzip.h"
#include "import/pump.h"

/* What one run has read, as text: compared between runs, and printed. */
typedef struct Result
{
	char	   *data;
	size_t		len;
	size_t		size;
	int64_t		rows;
	int64_t		flaws;
	uint64_t	sum;			/* of all lengths, where nothing is kept */
	PumpState	state;
} Result;

static void
put(Result *result, const char *text, size_t len)
{
	if (result->len + len > result->size)
	{
		result->size = 2 * (result->len + len);
		result->data = realloc(result->data, result->size);
		if (result->data == NULL)
			abort();
	}
	memcpy(result->data + result->len, text, len);
	result->len += len;
}

static void
put_row(Result *result, const FileRow *row)
{
	char		number[80];

	put(result, number, snprintf(number, sizeof(number), "%lld/%lld", (long long) row->row_no, (long long) row->line_no));
	if (row->flaws)
		put(result, number, snprintf(number, sizeof(number), " flaws %d at %d", row->flaws, row->flaw_field));
	for (int i = 0; i < row->nfields; i++)
	{
		if (row->fields[i] == NULL)
		{
			put(result, " NULL", 5);
			continue;
		}
		if (row->fields[i][row->lengths[i]] != '\0' || strlen(row->fields[i]) != (size_t) row->lengths[i])
			abort();
		put(result, row->quoted[i] ? " \"" : " [", 2);
		put(result, row->fields[i], row->lengths[i]);
		put(result, row->quoted[i] ? "\"" : "]", 1);
	}
	put(result, "\n", 1);
}

/* The bytes are put in bits of step. */
static void
read_all(const PumpForm *form, const char *bytes, size_t len, size_t step, bool thread, bool keep, Result *result)
{
	Pump	   *pump = pump_begin(form, thread);
	size_t		done = 0;

	memset(result, 0, sizeof(Result));
	if (pump == NULL)
		abort();
	for (;;)
	{
		RowBlock   *block;
		char	   *slot;

		while ((slot = pump_slot(pump)) != NULL)
		{
			size_t		n = len - done < step ? len - done : step;

			if (n == 0)
			{
				pump_put_end(pump);
				break;
			}
			memcpy(slot, bytes + done, n);
			done += n;
			pump_put(pump, n, done);
		}
		result->state = pump_next(pump, &block);
		if (result->state == PUMP_INPUT)
			continue;
		if (result->state != PUMP_BLOCK)
			break;
		for (int i = 0; i < block->nrows; i++)
		{
			result->rows++;
			result->flaws += block->rows[i].flaws != 0;
			if (keep)
				put_row(result, &block->rows[i]);
			else
				for (int j = 0; j < block->rows[i].nfields; j++)
					result->sum += block->rows[i].lengths[j];
		}
	}
	pump_end(pump);
}

/* UTF-8, as the server's: how many bytes at the beginning are valid. */
static int
verify_utf8(const unsigned char *text, int len)
{
	int			i = 0;
	int			n;

	while (i < len)
	{
		unsigned char c;
		uint64_t	word;

		if (i + 8 <= len && (memcpy(&word, text + i, 8), (word & 0x8080808080808080) == 0) &&
			((word - 0x0101010101010101) & ~word & 0x8080808080808080) == 0)
		{
			i += 8;
			continue;
		}
		c = text[i];
		n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

		if (n == 0 || c == 0 || i + n > len)
			return i;
		for (int j = 1; j < n; j++)
		{
			if ((text[i + j] & 0xc0) != 0x80)
				return i;
		}
		if ((c == 0xe0 && text[i + 1] < 0xa0) || (c == 0xed && text[i + 1] > 0x9f) ||
			(c == 0xf0 && text[i + 1] < 0x90) || (c == 0xf4 && text[i + 1] > 0x8f))
			return i;
		i += n;
	}
	return len;
}

/* Whatever the bits the bytes come in, with a thread or without, by libcsv alone or not. */
static void
compare(const PumpForm *form, const char *bytes, size_t len, bool verbose)
{
	static const size_t steps[] = {PUMP_SLOT_SIZE, 1, 7, 1000};
	static unsigned int threads;	/* they take long to start */
	PumpForm   *other = malloc(sizeof(PumpForm));
	Result		first;

	*other = *form;
	other->rows.only_libcsv = true;
	read_all(form, bytes, len, PUMP_SLOT_SIZE, false, true, &first);
	for (int i = 0; i < 6; i++)
	{
		Result		result;

		if (len / steps[i % 4] > 100000 || (i == 3 && threads++ % 16 != 0))
			continue;
		read_all(i >= 4 ? other : form, bytes, len, steps[i % 4] < PUMP_SLOT_SIZE ? steps[i % 4] : PUMP_SLOT_SIZE,
				 i == 3, true, &result);
#ifdef ROWS_NO_COMPARE
		free(result.data);
		continue;
#endif
		if (result.state != first.state || result.len != first.len ||
			(first.len > 0 && memcmp(result.data, first.data, first.len) != 0))
		{
			fprintf(stderr, "run %d differs\n--- first\n%.*s--- this\n%.*s", i,
					(int) first.len, first.data ? first.data : "", (int) result.len, result.data ? result.data : "");
			abort();
		}
		free(result.data);
	}
	if (verbose && (first.state == PUMP_GZIP_CUT || first.state == PUMP_GZIP_BROKEN))
		fprintf(stderr, "the gzip is %s\n", first.state == PUMP_GZIP_CUT ? "cut short" : "broken");
	else if (verbose)
		fwrite(first.data, 1, first.len, stdout);
	free(first.data);
	free(other);
}

static void
default_form(PumpForm *form)
{
	memset(form, 0, sizeof(PumpForm));
	form->bom = true;
	form->rows.delimiter = ',';
	form->rows.quote = form->rows.escape = '"';
	form->rows.null = "";
	form->rows.verify = verify_utf8;
}

#ifdef ROWS_FUZZ

extern int	LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* The first bytes choose the form. */
int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static PumpForm form;

	if (size < 4)
		return 0;
	default_form(&form);
	form.rows.delimiter = ",;\t|"[data[0] & 3];
	form.rows.quote = data[0] & 4 ? '\'' : data[0] & 8 ? '\0' : '"';
	form.rows.escape = data[0] & 16 ? '\\' : form.rows.quote;
	form.rows.comment = data[0] & 32 ? '#' : '\0';
	form.rows.trim = data[0] & 64;
	form.rows.pad = data[0] & 128;
	form.rows.ncolumns = data[1] & 7;
	form.rows.header_rows = data[1] >> 3 & 3;
	form.rows.skip_lines = data[1] >> 5 & 3;
	form.rows.null = data[1] & 128 ? "x" : "";
	form.decode = data[2] & 3;
	form.rows.fallback = data[2] & 4 ? &form.table : NULL;
	form.gzip = gunzip_is_gzip((const char *) data + 4, size - 4);
	for (int i = 0; i < 256; i++)
	{
		form.table.length[i] = i < 128 ? 1 : 2;
		form.table.bytes[i][0] = i < 128 ? i : i == 255 ? 0 : 0xc0 | i >> 6;
		form.table.bytes[i][1] = 0x80 | (i & 63);
	}
	form.table.length[255] = 1;
	compare(&form, (const char *) data + 4, size - 4, false);
	return 0;
}

#else

static char *
read_file(const char *path, size_t *len)
{
	FILE	   *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	char	   *bytes = NULL;
	size_t		size = 0;

	*len = 0;
	if (file == NULL)
	{
		fprintf(stderr, "could not open \"%s\": %s\n", path, strerror(errno));
		exit(2);
	}
	do
	{
		size += size / 2 + 1024 * 1024;
		bytes = realloc(bytes, size);
		if (bytes == NULL)
			abort();
		*len += fread(bytes + *len, 1, size - *len, file);
	} while (*len == size);
	return bytes;
}

static double
cpu_time(void)
{
	struct timespec t;

	/* Of the process: other processes do not count, and threads are added up. */
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void
measure(const PumpForm *form, const char *bytes, size_t len, bool thread)
{
	double		began = cpu_time();
	Result		result;
	double		seconds;

	read_all(form, bytes, len, PUMP_SLOT_SIZE, thread, false, &result);
	seconds = cpu_time() - began;
	printf("%lld rows, %lld with flaws, sum %llu, state %d, %.0f MB of text a second of processor time%s\n", (long long) result.rows,
		   (long long) result.flaws, (unsigned long long) result.sum, result.state, len / 1e6 / seconds,
		   thread ? " with a thread" : "");
}

/* rows [option=value ...] print|compare|measure file */
int
main(int argc, char **argv)
{
	static PumpForm form;
	size_t		len;
	char	   *bytes;
	int			i;

	default_form(&form);
	for (i = 1; i < argc && strchr(argv[i], '='); i++)
	{
		char	   *value = strchr(argv[i], '=');

		*value++ = '\0';
		if (strcmp(argv[i], "delimiter") == 0)
			form.rows.delimiter = value[0] == 't' ? '\t' : value[0];
		else if (strcmp(argv[i], "quote") == 0)
			form.rows.quote = form.rows.escape = value[0];
		else if (strcmp(argv[i], "escape") == 0)
			form.rows.escape = value[0];
		else if (strcmp(argv[i], "comment") == 0)
			form.rows.comment = value[0];
		else if (strcmp(argv[i], "null") == 0)
			form.rows.null = value;
		else if (strcmp(argv[i], "trim") == 0)
			form.rows.trim = atoi(value);
		else if (strcmp(argv[i], "pad") == 0)
			form.rows.pad = atoi(value);
		else if (strcmp(argv[i], "columns") == 0)
			form.rows.ncolumns = atoi(value);
		else if (strcmp(argv[i], "header") == 0)
			form.rows.header_rows = atoi(value);
		else if (strcmp(argv[i], "skip") == 0)
			form.rows.skip_lines = atoi(value);
		else if (strcmp(argv[i], "utf16") == 0)
			form.decode = value[0] == 'l' ? DECODE_UTF16LE : DECODE_UTF16BE;
		else if (strcmp(argv[i], "libcsv") == 0)
			form.rows.only_libcsv = atoi(value);
		else
		{
			fprintf(stderr, "unknown option \"%s\"\n", argv[i]);
			return 2;
		}
	}
	if (argc - i != 2)
	{
		fprintf(stderr, "usage: rows [option=value ...] print|compare|measure file\n");
		return 2;
	}
	bytes = read_file(argv[i + 1], &len);
	form.gzip = gunzip_is_gzip(bytes, len);
	if (strcmp(argv[i], "measure") == 0)
	{
		measure(&form, bytes, len, false);
		measure(&form, bytes, len, true);
	}
	else if (strcmp(argv[i], "compare") == 0)
		compare(&form, bytes, len, false);
	else
		compare(&form, bytes, len, true);
	free(bytes);
	return 0;
}

#endif
