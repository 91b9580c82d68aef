/*-------------------------------------------------------------------------
 *
 * decode.c
 *	  Text of UTF-16 and of encodings with one byte a character.
 *
 *-------------------------------------------------------------------------
 */
#include "import/decode.h"

#include <string.h>

static size_t decode_utf16(Decoder *decoder, const char *in, size_t len, char *out);
static char *put_unit(Decoder *decoder, uint32_t unit, char *out);
static char *put_utf8(uint32_t c, char *out);

#define is_high(unit)	((unit) >= 0xd800 && (unit) < 0xdc00)
#define is_low(unit)	((unit) >= 0xdc00 && (unit) < 0xe000)

void
decode_begin(Decoder *decoder, DecodeKind kind, const DecodeTable *table)
{
	decoder->kind = kind;
	decoder->table = table;
	decoder->pending = -1;
	decoder->high = 0;
}

size_t
decode_some(Decoder *decoder, const char *in, size_t len, char *out)
{
	switch (decoder->kind)
	{
		case DECODE_TABLE:
			return decode_table(decoder->table, in, len, out);
		case DECODE_UTF16LE:
		case DECODE_UTF16BE:
			return decode_utf16(decoder, in, len, out);
		case DECODE_NONE:
			break;
	}
	memcpy(out, in, len);
	return len;
}

size_t
decode_rest(Decoder *decoder, char *out)
{
	size_t		n = 0;

	if (decoder->high)
		out[n++] = '\0';
	if (decoder->pending >= 0)
		out[n++] = '\0';
	decoder->high = 0;
	decoder->pending = -1;
	return n;
}

size_t
decode_table(const DecodeTable *table, const char *in, size_t len, char *out)
{
	char	   *p = out;

	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = in[i];

		memcpy(p, table->bytes[c], DECODE_MAX);
		p += table->length[c];
	}
	return p - out;
}

static size_t
decode_utf16(Decoder *decoder, const char *in, size_t len, char *out)
{
	const unsigned char *p = (const unsigned char *) in;
	const unsigned char *end = p + len;
	const int	low = decoder->kind == DECODE_UTF16LE ? 0 : 1;	/* which byte of a unit */
	char	   *to = out;

	if (decoder->pending >= 0 && p < end)
	{
		unsigned char unit[2] = {(unsigned char) decoder->pending, *p++};

		to = put_unit(decoder, unit[low] | unit[1 - low] << 8, to);
		decoder->pending = -1;
	}
	for (; end - p >= 2; p += 2)
	{
		uint32_t	unit = p[low] | p[1 - low] << 8;

		if (unit < 0x80 && decoder->high == 0)
			*to++ = (char) unit;
		else
			to = put_unit(decoder, unit, to);
	}
	if (p < end)
		decoder->pending = *p;
	return to - out;
}

/* Half of a pair without the other one is no character. */
static char *
put_unit(Decoder *decoder, uint32_t unit, char *out)
{
	uint32_t	high = decoder->high;

	decoder->high = 0;
	if (high && is_low(unit))
		return put_utf8(0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00), out);
	if (high)
		*out++ = '\0';
	if (is_high(unit))
		decoder->high = unit;
	else if (is_low(unit))
		*out++ = '\0';
	else
		out = put_utf8(unit, out);
	return out;
}

static char *
put_utf8(uint32_t c, char *out)
{
	if (c < 0x80)
		*out++ = (char) c;
	else if (c < 0x800)
	{
		*out++ = (char) (0xc0 | c >> 6);
		*out++ = (char) (0x80 | (c & 0x3f));
	}
	else if (c < 0x10000)
	{
		*out++ = (char) (0xe0 | c >> 12);
		*out++ = (char) (0x80 | (c >> 6 & 0x3f));
		*out++ = (char) (0x80 | (c & 0x3f));
	}
	else
	{
		*out++ = (char) (0xf0 | c >> 18);
		*out++ = (char) (0x80 | (c >> 12 & 0x3f));
		*out++ = (char) (0x80 | (c >> 6 & 0x3f));
		*out++ = (char) (0x80 | (c & 0x3f));
	}
	return out;
}
