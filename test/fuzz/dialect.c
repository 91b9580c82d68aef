/*-------------------------------------------------------------------------
 *
 * dialect.c
 *	  For libFuzzer: finds out how some bytes are written, and splits them so.
 *
 * The first bytes of the input choose what is said and needs no finding.  Run
 * by run.sh beside this file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "import/detect.h"
#include "import/rows.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void find_form(const char *text, int len, bool at_end, const uint8_t *choice, FileForm *form);
static void split(const char *text, size_t len, const FileForm *form, bool pad);

#define CHOICES		4

#define check(holds) \
	do \
	{ \
		if (!(holds)) \
		{ \
			fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #holds); \
			abort(); \
		} \
	} while (0)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FileForm	form;
	TextCoding	coding;
	char	   *text = NULL;
	int			len;
	int			bom;
	bool		at_end;

	if (size < CHOICES)
		return 0;
	at_end = data[0] & 1;
	/* A copy, so that not one byte can be read behind it. */
	len = size - CHOICES;
	text = malloc(Max(len, 1));
	memcpy(text, data + CHOICES, len);

	(void) jobs_detect_no_text(text, len);
	coding = jobs_detect_coding(text, len, at_end, &bom);
	check(bom <= len);
	if (coding == CODING_UTF16LE || coding == CODING_UTF16BE)
	{
		char	   *raw = text;

		text = malloc(len / 2 * 3 + 1);
		len = jobs_detect_from_utf16(raw + bom, len - bom, coding == CODING_UTF16BE, text);
		bom = 0;
		free(raw);
	}
	find_form(text + bom, len - bom, at_end, data, &form);
	split(text + bom, len - bom, &form, data[0] & 2);
	free(text);
	return 0;
}

static void
find_form(const char *text, int len, bool at_end, const uint8_t *choice, FileForm *form)
{
	static const char chars[] = ",;\t| :^'\"\\#x";
	FormSaid	said = {0};

	memset(form, 0, sizeof(*form));
	form->scan.delimiter = ',';
	form->scan.quote = form->scan.escape = '"';
	form->has_header = true;
	form->header_rows = 1;
	form->null = "";
	form->decimal = '.';
	if (choice[1] & 1)
	{
		said.delimiter = true;
		form->scan.delimiter = chars[choice[2] % (sizeof(chars) - 1)];
	}
	if (choice[1] & 2)
	{
		said.quote = true;
		form->scan.quote = choice[3] & 1 ? '"' : choice[3] & 2 ? '\'' : '\0';
		form->scan.escape = form->scan.quote;
	}
	if (choice[1] & 4)
	{
		said.escape = true;
		form->scan.escape = '\\';
	}
	if (choice[1] & 8)
	{
		said.skip_lines = true;
		form->skip_lines = choice[3] >> 4;
	}
	if (choice[1] & 16)
	{
		said.header = said.header_rows = true;
		form->header_rows = choice[3] >> 6;
		form->has_header = form->header_rows > 0;
	}
	if (choice[1] & 32)
	{
		said.comment = true;
		form->scan.comment = '#';
	}
	/* As the check of options has it. */
	if (form->scan.delimiter == form->scan.quote)
	{
		said.quote = true;
		form->scan.quote = form->scan.escape = '\0';
	}
	if (said.escape && form->scan.escape == form->scan.delimiter)
		said.escape = false;
	jobs_detect_form(text, len, at_end, &said, form);
	check(form->width >= 0 && form->header_rows >= 0 && form->skip_lines >= 0 && form->null != NULL);
	check(form->scan.delimiter != form->scan.quote);
}

/* No row has lost its number, and each field ends where it says. */
static void
split(const char *text, size_t len, const FileForm *form, bool pad)
{
	RowForm		rows = {
		.delimiter = form->scan.delimiter,
		.quote = form->scan.quote,
		.escape = form->scan.escape,
		.comment = form->scan.comment,
		.trim = form->trim,
		.pad = pad,
		.null = form->null,
		.ncolumns = form->width,
		.skip_lines = form->skip_lines,
		.header_rows = form->header_rows
	};
	RowSplitter *splitter = rows_begin(&rows);
	static RowBlock block;
	size_t		used;
	size_t		wanted;
	int64_t		line_no = 0;

	check(splitter != NULL && (block.text != NULL || rows_block_init(&block)) && rows_block_reserve(&block, len + 1));
	memcpy(block.text, text, len);
	block.text_len = len;
	check(rows_split(splitter, &block, true, &used, &wanted));
	for (int i = 0; i < block.nrows; i++)
	{
		const FileRow *row = &block.rows[i];

		check(row->row_no == i + 1 && row->line_no >= line_no);
		line_no = row->line_no;
		for (int f = 0; f < row->nfields; f++)
			check(row->fields[f] == NULL ? row->lengths[f] == 0 : row->fields[f][row->lengths[f]] == '\0');
	}
	rows_block_reset(&block);
	rows_end(splitter);
}
