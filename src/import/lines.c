/*-------------------------------------------------------------------------
 *
 * lines.c
 *	  Text into rows: blocks, and lines that can be split where they stand.
 *
 * A line without quotes is a row whose fields are what stands between
 * delimiters.  They stay in the block's text, ended by NULs.  All that is special
 * in such a line is found 32 bytes at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "import/rows_private.h"

#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define ROWS_PER_BLOCK	(ROWS_BLOCK / 2)	/* in text that was more than ROWS_BLOCK */
#define GROUP			32		/* bytes that are looked at together */
#define PIECE_SIZE		(ROWS_BLOCK / 2)
#define MUCH			(1024 * 1024)	/* what a block does not keep */

struct RowMemory
{
	RowMemory  *next;
	size_t		used;
	size_t		size;
	char		data[];
};

/* What ends the search in a clean line. */
typedef struct Specials
{
	char		delimiter;
	char		quote;			/* or what is special without quotes; '\n' for nothing */
} Specials;

static bool grow_fields(RowBlock *block);
static bool grow_rows(RowBlock *block);
static bool skip_preamble(RowSplitter *s, size_t *pos, bool at_end);
static bool pass_line(RowSplitter *s, size_t *pos, bool at_end);
static bool split_clean(RowSplitter *s, size_t *pos, bool at_end, bool *special);
static bool too_long(RowSplitter *s, size_t *pos);
static void verify_block(RowSplitter *s, bool at_end);
static bool check_encoding(RowSplitter *s, FileRow *row, int first);
static bool mark_invalid(RowSplitter *s, char *text, int len);
static bool is_blank_row(const RowSplitter *s, int first);

/* ------------------------------------------------------------------------
 * Memory
 * ------------------------------------------------------------------------
 */

RowSplitter *
rows_begin(const RowForm *form)
{
	RowSplitter *s = calloc(1, sizeof(RowSplitter));

	if (s == NULL)
		return NULL;
	s->form = form;
	s->null_len = strlen(form->null);
	s->skip_lines = form->skip_lines;
	s->header_rows = form->header_rows;
	if (!rows_fields_begin(s))
	{
		free(s);
		return NULL;
	}
	return s;
}

void
rows_end(RowSplitter *s)
{
	rows_fields_end(s);
	free(s);
}

bool
rows_block_init(RowBlock *block)
{
	memset(block, 0, sizeof(RowBlock));
	return rows_block_reserve(block, ROWS_BLOCK) && grow_fields(block) && grow_rows(block);
}

void
rows_block_free(RowBlock *block)
{
	rows_block_reset(block);
	free(block->memory);
	free(block->text);
	free(block->rows);
	free(block->fields);
	free(block->lengths);
	free(block->quoted);
	memset(block, 0, sizeof(RowBlock));
}

void
rows_block_reset(RowBlock *block)
{
	/* One piece of usual size is kept. */
	while (block->memory && (block->memory->next || block->memory->size > PIECE_SIZE))
	{
		RowMemory  *next = block->memory->next;

		free(block->memory);
		block->memory = next;
	}
	if (block->memory)
		block->memory->used = 0;
	if (block->text_size > MUCH)
	{
		free(block->text);
		block->text = NULL;
		block->text_size = 0;
	}
	block->text_len = 0;
	block->nrows = 0;
	block->nfields = 0;
}

bool
rows_block_reserve(RowBlock *block, size_t n)
{
	size_t		size = block->text_size ? block->text_size : ROWS_BLOCK;
	char	   *text;

	if (block->text && block->text_len + n <= block->text_size)
		return true;
	while (size < block->text_len + n)
		size += size / 2;
	text = realloc(block->text, size + ROWS_SLACK);
	if (text == NULL)
		return false;
	block->text = text;
	block->text_size = size;
	return true;
}

static bool
grow_fields(RowBlock *block)
{
	int			size = block->fields_size ? 2 * block->fields_size : ROWS_BLOCK / 16;
	char	  **fields = realloc(block->fields, size * sizeof(char *));
	int		   *lengths;
	bool	   *quoted;

	if (fields == NULL)
		return false;
	block->fields = fields;
	lengths = realloc(block->lengths, size * sizeof(int));
	if (lengths == NULL)
		return false;
	block->lengths = lengths;
	quoted = realloc(block->quoted, size * sizeof(bool));
	if (quoted == NULL)
		return false;
	block->quoted = quoted;
	block->fields_size = size;
	return true;
}

static bool
grow_rows(RowBlock *block)
{
	int			size = block->rows_size ? 2 * block->rows_size : ROWS_BLOCK / 128 + 1;
	FileRow    *rows = realloc(block->rows, size * sizeof(FileRow));

	if (rows == NULL)
		return false;
	block->rows = rows;
	block->rows_size = size;
	return true;
}

char *
rows_alloc(RowBlock *block, size_t len)
{
	RowMemory  *piece = block->memory;
	char	   *result;

	if (piece == NULL || piece->size - piece->used < len + 1)
	{
		size_t		size = len + 1 > PIECE_SIZE ? len + 1 : PIECE_SIZE;

		piece = malloc(offsetof(RowMemory, data) + size);
		if (piece == NULL)
			return NULL;
		piece->size = size;
		piece->used = 0;
		piece->next = block->memory;
		block->memory = piece;
	}
	result = piece->data + piece->used;
	piece->used += len + 1;
	return result;
}

/* ------------------------------------------------------------------------
 * Newlines
 * ------------------------------------------------------------------------
 */

/* A bit for each of the next GROUP bytes that is one of three. */
static inline uint32_t
find_specials(const char *p, const Specials *specials)
{
#ifdef __SSE2__
	uint32_t	mask = 0;

	for (int i = 0; i < GROUP; i += 16)
	{
		__m128i		chunk = _mm_loadu_si128((const __m128i *) (p + i));
		__m128i		hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(chunk, _mm_set1_epi8(specials->delimiter)),
													_mm_cmpeq_epi8(chunk, _mm_set1_epi8(specials->quote))),
									   _mm_or_si128(_mm_cmpeq_epi8(chunk, _mm_set1_epi8('\n')),
													_mm_cmpeq_epi8(chunk, _mm_set1_epi8('\r'))));

		mask |= (uint32_t) _mm_movemask_epi8(hit) << i;
	}
	return mask;
#else
	uint32_t	mask = 0;

	for (int i = 0; i < GROUP; i++)
		mask |= (uint32_t) (p[i] == specials->delimiter || p[i] == specials->quote || is_newline(p[i])) << i;
	return mask;
#endif
}

/* The same near the end of the text. */
static inline uint32_t
find_specials_until(const char *p, const char *end, const Specials *specials)
{
	uint32_t	mask = find_specials(p, specials);

	return end - p < GROUP ? mask & (((uint32_t) 1 << (end - p)) - 1) : mask;
}

/* Text has ROWS_SLACK bytes behind its end. */
const char *
rows_find_newline(const char *text, const char *end)
{
	static const Specials newlines = {'\n', '\n'};

	for (; text < end; text += GROUP)
	{
		uint32_t	mask = find_specials_until(text, end, &newlines);

		if (mask)
			return text + __builtin_ctz(mask);
	}
	return end;
}

const char *
rows_behind_newline(const char *newline, const char *end)
{
	if (newline < end && *newline == '\r' && newline + 1 < end && newline[1] == '\n')
		return newline + 2;
	return newline < end ? newline + 1 : end;
}

/* ------------------------------------------------------------------------
 * Making a row
 * ------------------------------------------------------------------------
 */

bool
rows_add_field(RowSplitter *s, char *text, size_t len, bool quoted)
{
	RowBlock   *block = s->block;
	int			n = block->nfields;
	bool		null;

	/* Between two spaces of many. */
	if (s->form->delimiter == ' ' && len == 0 && !quoted)
		return true;
	/* Counted, but not kept: they are more than any table has. */
	if (s->nfields++ >= ROWS_MAX_FIELDS)
		return true;
	if (n == block->fields_size && !grow_fields(block))
		return false;
	if (s->form->trim)
	{
		while (len > 0 && is_blank(text[0]))
			text++, len--;
		while (len > 0 && is_blank(text[len - 1]))
			len--;
	}
	null = !quoted && len == s->null_len && memcmp(text, s->form->null, len) == 0;
	block->fields[n] = null ? NULL : text;
	block->lengths[n] = null ? 0 : (int) len;
	block->quoted[n] = quoted;
	block->nfields++;
	return true;
}

void
rows_drop_fields(RowSplitter *s)
{
	s->block->nfields -= s->nfields < ROWS_MAX_FIELDS ? s->nfields : ROWS_MAX_FIELDS;
	s->nfields = 0;
}

/* Nothing, or nothing but spaces where that cannot be a value. */
static bool
is_blank_row(const RowSplitter *s, int first)
{
	const RowBlock *block = s->block;
	const char *text = block->fields[first];

	if (s->nfields != 1 || block->quoted[first])
		return false;
	if (block->lengths[first] > 0 && s->form->ncolumns == 1)
		return false;
	for (int i = 0; i < block->lengths[first]; i++)
	{
		if (!is_blank(text[i]))
			return false;
	}
	/* A null that is written as a word is one. */
	return text != NULL || s->null_len == 0;
}

bool
rows_finish(RowSplitter *s, int64_t nlines, int flaws, const char *detail, int field)
{
	RowBlock   *block = s->block;
	const RowForm *form = s->form;
	int			kept = s->nfields < ROWS_MAX_FIELDS ? s->nfields : ROWS_MAX_FIELDS;
	int			first = block->nfields - kept;
	bool		blank = flaws == 0 && (s->nfields == 0 || is_blank_row(s, first));
	FileRow    *row;

	s->lines_done += nlines;
	if (blank || s->header_rows > 0)
	{
		s->header_rows -= !blank;
		rows_drop_fields(s);
		return true;
	}
	if (s->nfields > ROWS_MAX_FIELDS)
		flaws |= ROW_TOO_MANY;
	/* What is beyond the last column is left out where it is nothing. */
	while (form->pad && flaws == 0 && form->ncolumns > 0 && s->nfields > form->ncolumns &&
		   block->fields[block->nfields - 1] == NULL)
	{
		block->nfields--;
		s->nfields--;
	}
	while (form->pad && s->nfields < form->ncolumns && flaws == 0)
	{
		if (block->nfields == block->fields_size && !grow_fields(block))
			return false;
		block->fields[block->nfields] = NULL;
		block->lengths[block->nfields] = 0;
		block->quoted[block->nfields++] = false;
		s->nfields++;
	}
	kept = s->nfields < ROWS_MAX_FIELDS ? s->nfields : ROWS_MAX_FIELDS;
	if (form->ncolumns > 0 && flaws == 0 && s->nfields != form->ncolumns)
		flaws |= s->nfields < form->ncolumns ? ROW_TOO_FEW : ROW_TOO_MANY;
	if (block->nrows == block->rows_size && !grow_rows(block))
		return false;
	for (int i = first; i < block->nfields; i++)
	{
		if (block->fields[i])
			block->fields[i][block->lengths[i]] = '\0';
	}
	row = &block->rows[block->nrows++];
	row->row_no = ++s->rows_done;
	row->line_no = s->lines_done - nlines + 1;
	row->nfields = kept;
	row->fields = (char **) (uintptr_t) first;	/* until the block is done */
	row->flaws = flaws;
	row->flaw_detail = detail;
	row->flaw_field = field;
	s->nfields = 0;
	return s->verified || check_encoding(s, row, first);
}

/* Only where something in the block is not valid. */
static bool
check_encoding(RowSplitter *s, FileRow *row, int first)
{
	RowBlock   *block = s->block;

	for (int i = first; i < first + row->nfields; i++)
	{
		char	   *text = block->fields[i];
		int			len = block->lengths[i];

		if (len == 0 || s->form->verify((unsigned char *) text, len) == len)
			continue;
		if (s->form->fallback)
		{
			char	   *decoded = rows_alloc(block, (size_t) len * DECODE_MAX);

			if (decoded == NULL)
				return false;
			len = decode_table(s->form->fallback, text, len, decoded);
			decoded[len] = '\0';
			block->fields[i] = text = decoded;
			block->lengths[i] = len;
		}
		if (mark_invalid(s, text, len))
		{
			if (row->flaws == 0)
				row->flaw_field = i - first;
			row->flaws |= ROW_BAD_ENCODING;
		}
	}
	return true;
}

/* Shows bytes that are not valid as question marks; false where there are none. */
static bool
mark_invalid(RowSplitter *s, char *text, int len)
{
	bool		any = false;
	int			valid;

	while (len > 0 && (valid = s->form->verify((unsigned char *) text, len)) < len)
	{
		text[valid] = '?';
		text += valid + 1;
		len -= valid + 1;
		any = true;
	}
	return any;
}

/* ------------------------------------------------------------------------
 * Splitting
 * ------------------------------------------------------------------------
 */

/*
 * Looks at whole lines only: a character may be cut where the text ends.
 */
static void
verify_block(RowSplitter *s, bool at_end)
{
	RowBlock   *block = s->block;
	size_t		len = block->text_len;
	size_t		from = s->valid_until;

	s->verified = true;
	if (s->form->verify == NULL)
		return;
	while (!at_end && len > from && !is_newline(block->text[len - 1]))
		len--;
	if (len > from)
		s->verified = s->form->verify((unsigned char *) block->text + from, (int) (len - from)) == (int) (len - from);
	s->valid_until = s->verified ? len : 0;
}

/* Passes over the rest of a line; false where it is not all there. */
static bool
pass_line(RowSplitter *s, size_t *pos, bool at_end)
{
	const char *text = s->block->text;
	const char *end = text + s->block->text_len;
	const char *newline = rows_find_newline(text + *pos, end);
	const char *next = rows_behind_newline(newline, end);

	/* A CR at the end may have its LF behind it. */
	if (newline == end || (newline + 1 == end && *newline == '\r' && !at_end))
		return false;
	*pos = next - text;
	s->lines_done++;
	return true;
}

static bool
skip_preamble(RowSplitter *s, size_t *pos, bool at_end)
{
	while (s->skip_lines > 0)
	{
		if (!pass_line(s, pos, at_end))
		{
			size_t		len = s->block->text_len;

			*pos = len > 0 && s->block->text[len - 1] == '\r' ? len - 1 : len;
			return false;
		}
		s->skip_lines--;
	}
	return true;
}

bool
rows_split(RowSplitter *s, RowBlock *block, bool at_end, size_t *used, size_t *wanted)
{
	size_t		pos = 0;
	bool		ok = true;

	s->block = block;
	s->nfields = 0;
	*wanted = 0;
	/* The last line ends like all others; a Ctrl-Z behind it is how DOS ended files. */
	if (at_end && block->text_len > 0 && block->text[block->text_len - 1] == 0x1a)
		block->text_len--;
	if (at_end && block->text_len > 0 && !is_newline(block->text[block->text_len - 1]))
		block->text[block->text_len++] = '\n';
	memset(block->text + block->text_len, 0, ROWS_SLACK - 1);
	verify_block(s, at_end);
	if (!skip_preamble(s, &pos, at_end))
		goto done;
	while (ok && pos < block->text_len && block->nrows < ROWS_PER_BLOCK)
	{
		bool		open = false;
		bool		special = false;

		if (s->lost)
		{
			size_t		before = pos;

			ok = rows_pass_lost(s, &pos, at_end);
			if (pos < block->text_len && s->lost && pos == before)
			{
				*wanted = 2 * (block->text_len - pos);
				break;
			}
			continue;
		}
		if ((s->form->comment && block->text[pos] == s->form->comment) ||
			(s->form->only_libcsv && is_newline(block->text[pos])))
			open = !pass_line(s, &pos, at_end);
		else
		{
			special = s->form->only_libcsv;
			if (!special)
				ok = split_clean(s, &pos, at_end, &special);
			if (ok && special)
				ok = rows_read_record(s, &pos, at_end, &open);
			else if (ok && block->nrows < ROWS_PER_BLOCK)
				open = pos < block->text_len && !(s->form->comment && block->text[pos] == s->form->comment);
		}
		if (open && block->text_len - pos > ROWS_MAX_ROW)
			ok = too_long(s, &pos);
		else if (open)
		{
			/* Each time twice as much, or a long row would be read over and over. */
			*wanted = 2 * (block->text_len - pos);
			if (*wanted > ROWS_MAX_ROW + 1)
				*wanted = ROWS_MAX_ROW + 1;
			break;
		}
	}
done:
	for (int i = 0; i < block->nrows; i++)
	{
		size_t		first = (size_t) (uintptr_t) block->rows[i].fields;

		block->rows[i].fields = block->fields + first;
		block->rows[i].lengths = block->lengths + first;
		block->rows[i].quoted = block->quoted + first;
	}
	*used = pos;
	s->valid_until = s->valid_until > pos ? s->valid_until - pos : 0;
	return ok;
}

/*
 * What begins at *pos and has no end yet is more than a row may have.
 */
static bool
too_long(RowSplitter *s, size_t *pos)
{
	s->lost = true;
	s->lost_in_quotes = false;
	s->lost_in_line = true;
	*pos = s->block->text_len - (s->block->text[s->block->text_len - 1] == '\r');
	return rows_finish(s, 0, ROW_TOO_LONG, "it has more than 16 MB", -1);
}

/*
 * Splits lines until one is special: it has a quote in it, or is a comment.  That
 * one begins at *pos then, as does one that is not complete.
 */
static bool
split_clean(RowSplitter *s, size_t *pos, bool at_end, bool *special)
{
	RowBlock   *block = s->block;
	const RowForm *form = s->form;
	const Specials specials = {form->delimiter, form->quote ? form->quote : form->escape ? form->escape : '\n'};
	const bool	plain = s->null_len == 0 && !form->trim && form->delimiter != ' ';
	const int	ncolumns = form->ncolumns;
	char	   *end = block->text + block->text_len;
	char	   *row_start = block->text + *pos;
	char	   *field = row_start;
	int			first = block->nfields;

	for (char *base = row_start; base < end; base += GROUP)
	{
		uint32_t	mask = find_specials_until(base, end, &specials);

		while (mask)
		{
			char	   *at = base + __builtin_ctz(mask);
			char		c = *at;
			size_t		len = at - field;
			char	   *next;
			int			n;

			mask &= mask - 1;
			if (c != form->delimiter && !is_newline(c))
			{
				*special = true;
				goto partial;
			}
			if (at < field)
				continue;		/* the LF of a CRLF */
			next = at + 1;
			if (c == '\r')
			{
				if (next == end && !at_end)
					goto partial;
				if (next < end && *next == '\n')
					next++;
			}
			if (plain && block->nfields - first < ROWS_MAX_FIELDS && block->nfields < block->fields_size)
			{
				n = block->nfields++;
				block->fields[n] = len > 0 ? field : NULL;
				block->lengths[n] = (int) len;
				block->quoted[n] = false;
				s->nfields++;
			}
			else if (!rows_add_field(s, field, len, false))
				return false;
			field = next;
			if (c == form->delimiter)
				continue;

			/* A row has ended. */
			n = s->nfields;
			if (n == ncolumns && n > 1 && n <= ROWS_MAX_FIELDS && s->verified && s->header_rows == 0 &&
				block->nrows < block->rows_size && field - row_start <= ROWS_MAX_ROW)
			{
				FileRow    *row = &block->rows[block->nrows++];

				for (int i = first; i < first + n; i++)
				{
					if (block->fields[i])
						block->fields[i][block->lengths[i]] = '\0';
				}
				row->row_no = ++s->rows_done;
				row->line_no = ++s->lines_done;
				row->nfields = n;
				row->flaws = 0;
				row->flaw_detail = NULL;
				row->flaw_field = -1;
				row->fields = (char **) (uintptr_t) first;	/* until the block is done */
				s->nfields = 0;
			}
			else if (field - row_start > ROWS_MAX_ROW)
			{
				rows_drop_fields(s);
				if (!rows_finish(s, 1, ROW_TOO_LONG, "it has more than 16 MB", -1))
					return false;
			}
			else if (!rows_finish(s, 1, 0, NULL, -1))
				return false;
			row_start = field;
			first = block->nfields;
			if (block->nrows >= ROWS_PER_BLOCK ||
				(form->comment && row_start < end && *row_start == form->comment))
				goto partial;
		}
	}
partial:
	rows_drop_fields(s);
	*pos = row_start - block->text;
	return true;
}
