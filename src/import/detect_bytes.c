/*-------------------------------------------------------------------------
 *
 * detect_bytes.c
 *	  What the bytes of a file are: text, in which family of encodings, or
 *	  something else that people take for a table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "import/detect.h"

static const NoText *known_format(const unsigned char *raw, int len);
static bool begins_with_word(const unsigned char *raw, int len, const char *word);
static const NoText *zip_content(const char *raw, int len);
static bool contains(const char *raw, int len, const char *word);
static bool is_binary(const unsigned char *raw, int len);
static TextCoding coding_of_utf16(const unsigned char *raw, int len);
static bool valid_utf16(const unsigned char *raw, int len, bool big_endian);
static TextCoding coding_of_bytes(const unsigned char *raw, int len, bool at_end);
static int	utf8_sequence(const unsigned char *p, const unsigned char *end);

#define SAVE_AS_CSV		"Open it in the spreadsheet and save it as CSV."
#define UNPACK			"Unpack it and upload the text file that is in it."
#define UPLOAD_TEXT		"Upload a text file with one row a line, such as CSV."

/* ------------------------------------------------------------------------
 * What is no text
 * ------------------------------------------------------------------------ */

const NoText *
jobs_detect_no_text(const char *raw, int len)
{
	static const NoText empty = {"empty", "Upload a file with a header and rows."};
	static const NoText binary = {"a binary file", UPLOAD_TEXT};
	static const NoText utf32 = {"a UTF-32 file", "Save it as UTF-8."};
	const NoText *known;
	int			bom;
	TextCoding	coding;

	if (len == 0)
		return &empty;
	known = known_format((const unsigned char *) raw, len);
	if (known != NULL)
		return known;
	if (len >= 4 && (memcmp(raw, "\xff\xfe\0\0", 4) == 0 || memcmp(raw, "\0\0\xfe\xff", 4) == 0))
		return &utf32;
	coding = jobs_detect_coding(raw, len, false, &bom);
	if (bom == len)
		return &empty;
	if (coding != CODING_UTF16LE && coding != CODING_UTF16BE && is_binary((const unsigned char *) raw, len))
		return &binary;
	return NULL;
}

/* Formats by the bytes that they begin with. */
static const NoText *
known_format(const unsigned char *raw, int len)
{
	static const struct
	{
		const char *magic;
		int			len;
		NoText		no_text;
	}			formats[] = {
		{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, {"an Excel workbook of the old form (xls)", SAVE_AS_CSV}},
		{"%PDF-", 5, {"a PDF file", UPLOAD_TEXT}},
		{"\x89PNG\r\n\x1a\n", 8, {"an image (PNG)", UPLOAD_TEXT}},
		{"\xff\xd8\xff", 3, {"an image (JPEG)", UPLOAD_TEXT}},
		{"GIF87a", 6, {"an image (GIF)", UPLOAD_TEXT}},
		{"GIF89a", 6, {"an image (GIF)", UPLOAD_TEXT}},
		{"II*\0", 4, {"an image (TIFF)", UPLOAD_TEXT}},
		{"MM\0*", 4, {"an image (TIFF)", UPLOAD_TEXT}},
		{"\x1f\x8b\x08", 3, {"a gzip file inside of a gzip file", "Compress it only once."}},
		{"BZh", 3, {"a bzip2 file", UNPACK}},
		{"\xfd" "7zXZ\0", 6, {"an xz file", UNPACK}},
		{"\x28\xb5\x2f\xfd", 4, {"a Zstandard file", UNPACK}},
		{"7z\xbc\xaf\x27\x1c", 6, {"a 7z archive", UNPACK}},
		{"Rar!\x1a\x07", 6, {"a RAR archive", UNPACK}},
		{"PAR1", 4, {"a Parquet file", "Save it as CSV."}},
		{"SQLite format 3\0", 16, {"an SQLite database", "Export its table as CSV."}},
		{"{\\rtf", 5, {"an RTF document", "Save it as plain text."}},
		{"PGCOPY\n\xff\r\n\0", 11, {"a file of COPY in binary format", "Write it with COPY ... (FORMAT csv, HEADER)."}},
		{"PGDMP", 5, {"a dump of pg_dump", "Restore it with pg_restore."}},
		{"\x7f" "ELF", 4, {"a program", UPLOAD_TEXT}},
	};
	static const NoText html = {"an HTML page", SAVE_AS_CSV};
	static const NoText xml = {"an XML document", SAVE_AS_CSV};

	if (begins_with_word(raw, len, "<!doctype") || begins_with_word(raw, len, "<html"))
		return &html;
	if (begins_with_word(raw, len, "<?xml"))
		return &xml;
	if (len >= 4 && memcmp(raw, "PK\003\004", 4) == 0)
		return zip_content((const char *) raw, len);
	for (int i = 0; i < lengthof(formats); i++)
	{
		if (len < formats[i].len || memcmp(raw, formats[i].magic, formats[i].len) != 0)
			continue;
		/* "BZh" may also begin a text. */
		if (raw[0] == 'B' && (len < 10 || memcmp(raw + 4, "\x31\x41\x59\x26\x53\x59", 6) != 0))
			continue;
		/* So may "PAR1" and "PGDMP". */
		if (raw[0] == 'P' && !is_binary(raw, len))
			continue;
		return &formats[i].no_text;
	}
	return NULL;
}

static bool
begins_with_word(const unsigned char *raw, int len, const char *word)
{
	int			i = len >= 3 && memcmp(raw, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

	while (i < len && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\n' || raw[i] == '\r'))
		i++;
	return len - i >= strlen(word) && pg_strncasecmp((const char *) raw + i, word, strlen(word)) == 0;
}

/* What a zip file is, by the names of its first members, which are not compressed. */
static const NoText *
zip_content(const char *raw, int len)
{
	static const NoText xlsx = {"an Excel workbook (xlsx)", SAVE_AS_CSV};
	static const NoText ods = {"an OpenDocument spreadsheet (ods)", SAVE_AS_CSV};
	static const NoText numbers = {"a Numbers spreadsheet", SAVE_AS_CSV};
	static const NoText docx = {"a Word document (docx)", UPLOAD_TEXT};
	static const NoText zip = {"a zip file", UNPACK};

	if (len > 65536)
		len = 65536;
	if (contains(raw, len, "opendocument.spreadsheet"))
		return &ods;
	if (contains(raw, len, "word/"))
		return &docx;
	if (contains(raw, len, "xl/") || contains(raw, len, "[Content_Types].xml"))
		return &xlsx;
	if (contains(raw, len, "Index/Document.iwa"))
		return &numbers;
	return &zip;
}

static bool
contains(const char *raw, int len, const char *word)
{
	int			n = strlen(word);
	const char *p = raw;
	const char *end = raw + len;

	while (end - p >= n && (p = memchr(p, word[0], end - p - n + 1)) != NULL)
	{
		if (memcmp(p, word, n) == 0)
			return true;
		p++;
	}
	return false;
}

/*
 * Whether bytes, which are not UTF-16, are no text: one in twenty is a control
 * character.  A few NULs are a flaw of some rows and not of the file.
 */
static bool
is_binary(const unsigned char *raw, int len)
{
	int			controls = 0;

	for (int i = 0; i < len; i++)
	{
		unsigned char c = raw[i];

		/* Those left out stand in text files, if only as separators. */
		if (c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != '\v' && c != 0x1a && c != 0x1b &&
			!(c >= 0x1c && c <= 0x1f) && c != 0x01)
			controls++;
	}
	return controls >= 4 && (int64) controls * 20 >= len;
}

/* ------------------------------------------------------------------------
 * Encodings
 * ------------------------------------------------------------------------ */

TextCoding
jobs_detect_coding(const char *raw, int len, bool at_end, int *bom)
{
	const unsigned char *bytes = (const unsigned char *) raw;
	TextCoding	coding;

	*bom = 0;
	if (len >= 3 && memcmp(raw, "\xef\xbb\xbf", 3) == 0)
	{
		*bom = 3;
		return CODING_UTF8;
	}
	if (len >= 2 && memcmp(raw, "\xff\xfe", 2) == 0)
	{
		*bom = 2;
		return CODING_UTF16LE;
	}
	if (len >= 2 && memcmp(raw, "\xfe\xff", 2) == 0)
	{
		*bom = 2;
		return CODING_UTF16BE;
	}
	coding = coding_of_utf16(bytes, len);
	return coding != CODING_ASCII ? coding : coding_of_bytes(bytes, len, at_end);
}

/*
 * UTF-16 without a byte order mark: every delimiter, newline and digit has a NUL
 * beside it, nearly always on the same side.  CODING_ASCII where it is not.
 */
static TextCoding
coding_of_utf16(const unsigned char *raw, int len)
{
	int			nuls[2] = {0, 0};
	bool		big_endian;

	for (int i = 0; i < len; i++)
	{
		if (raw[i] == '\0')
			nuls[i & 1]++;
	}
	big_endian = nuls[0] > nuls[1];
	if ((nuls[0] + nuls[1]) * (int64) 50 < len || len < 4 ||
		nuls[big_endian ? 1 : 0] * (int64) 4 > nuls[big_endian ? 0 : 1] ||
		!valid_utf16(raw, len, big_endian))
		return CODING_ASCII;
	return big_endian ? CODING_UTF16BE : CODING_UTF16LE;
}

/* Pairs of surrogates fit, there are no control characters, and there is a newline, comma or tab. */
static bool
valid_utf16(const unsigned char *raw, int len, bool big_endian)
{
	bool		structure = false;

	for (int i = 0; i + 1 < len; i += 2)
	{
		int			unit = big_endian ? raw[i] << 8 | raw[i + 1] : raw[i + 1] << 8 | raw[i];

		if (unit == '\n' || unit == '\r' || unit == '\t' || unit == ',' || unit == ';')
			structure = true;
		else if (unit < 0x20)
			return false;
		if (unit >= 0xD800 && unit <= 0xDBFF && i + 3 < len)
		{
			int			low = big_endian ? raw[i + 2] : raw[i + 3];

			if (low < 0xDC || low > 0xDF)
				return false;
			i += 2;
		}
		else if (unit >= 0xDC00 && unit <= 0xDFFF)
			return false;
	}
	return structure;
}

/*
 * UTF-8 unless more bytes contradict it than speak for it, so that one broken
 * byte does not change the reading of all others.
 */
static TextCoding
coding_of_bytes(const unsigned char *raw, int len, bool at_end)
{
	const unsigned char *end = raw + len;
	int			good = 0;
	int			bad = 0;

	for (const unsigned char *p = raw; p < end;)
	{
		int			n;

		if (*p < 0x80)
		{
			p++;
			continue;
		}
		n = utf8_sequence(p, end);
		if (n > 0)
			good++;
		else if (at_end || end - p >= 4)
			bad++;
		p += n > 0 ? n : 1;
	}
	if (good == 0 && bad == 0)
		return CODING_ASCII;
	return bad > good ? CODING_8BIT : CODING_UTF8;
}

/* The length of the sequence that begins here, by RFC 3629; 0 where it is none. */
static int
utf8_sequence(const unsigned char *p, const unsigned char *end)
{
	int			n = *p < 0xC2 ? 0 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : *p < 0xF5 ? 4 : 0;

	if (n == 0 || end - p < n)
		return 0;
	for (int i = 1; i < n; i++)
	{
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	}
	if ((*p == 0xE0 && p[1] < 0xA0) || (*p == 0xED && p[1] > 0x9F) ||
		(*p == 0xF0 && p[1] < 0x90) || (*p == 0xF4 && p[1] > 0x8F))
		return 0;
	return n;
}

int
jobs_detect_from_utf16(const char *raw, int len, bool big_endian, char *out)
{
	const unsigned char *p = (const unsigned char *) raw;
	const unsigned char *end = p + (len & ~1);
	unsigned char *o = (unsigned char *) out;

	while (p < end)
	{
		uint32		c = big_endian ? p[0] << 8 | p[1] : p[1] << 8 | p[0];

		p += 2;
		if (c >= 0xD800 && c <= 0xDFFF)
		{
			uint32		low = p < end ? (big_endian ? p[0] << 8 | p[1] : p[1] << 8 | p[0]) : 0;

			if (c <= 0xDBFF && low >= 0xDC00 && low <= 0xDFFF)
			{
				c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
				p += 2;
			}
			else
				c = 0xFFFD;
		}
		if (c < 0x80)
			*o++ = c;
		else if (c < 0x800)
		{
			*o++ = 0xC0 | c >> 6;
			*o++ = 0x80 | (c & 0x3F);
		}
		else if (c < 0x10000)
		{
			*o++ = 0xE0 | c >> 12;
			*o++ = 0x80 | (c >> 6 & 0x3F);
			*o++ = 0x80 | (c & 0x3F);
		}
		else
		{
			*o++ = 0xF0 | c >> 18;
			*o++ = 0x80 | (c >> 12 & 0x3F);
			*o++ = 0x80 | (c >> 6 & 0x3F);
			*o++ = 0x80 | (c & 0x3F);
		}
	}
	return (char *) o - out;
}
