/*-------------------------------------------------------------------------
 *
 * message.c
 *	  A mail as SMTP carries it.
 *
 * Header by RFC 5322, words in it by RFC 2047, parts by RFC 2046 in
 * quoted-printable (RFC 2045).  All of it is ASCII in lines of at most 76
 * characters, which no server on the way has a reason to change.  Texts are
 * UTF-8; bytes that are not pass as they are.
 *
 *-------------------------------------------------------------------------
 */
#include "message.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE 76
/* "=?UTF-8?B?" and "?=" leave room for 63 digits in an encoded word of 75. */
#define WORD_BYTES 45

static void add_date(Buffer *out, int64_t written);
static void add_from(Buffer *out, const char *name, const char *address);
static void add_words(Buffer *out, const char *field, const char *text);
static bool is_plain(const char *text);
static void add_encoded(Buffer *out, size_t start, const char *text);
static void add_part(Buffer *out, const char *type, const char *text);
static void add_quoted_printable(Buffer *out, const char *text);
static size_t line_break(const char *text);

bool
message_id_ok(const char *id)
{
	size_t		len = strnlen(id, 101);

	return len > 0 && len <= 100 &&
		strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

void
message_build(Buffer *out, const Mail *mail)
{
	add_date(out, mail->written);
	add_from(out, mail->from_name, mail->from);
	buffer_printf(out, "To: %s\r\n", mail->to);
	add_words(out, "Subject", mail->subject);
	buffer_printf(out, "Message-ID: <%s%s>\r\n", mail->id, strchr(mail->from, '@'));
	/* Keeps answers like "I am on holiday" away (RFC 3834). */
	buffer_puts(out, "Auto-Submitted: auto-generated\r\n"
				"MIME-Version: 1.0\r\n");
	if (mail->html == NULL)
	{
		add_part(out, "text/plain", mail->body);
		buffer_puts(out, "\r\n");
		return;
	}
	/* A line of the parts has no "=_" in it, and so never the boundary. */
	buffer_printf(out, "Content-Type: multipart/alternative;\r\n boundary=\"=_%s\"\r\n\r\n", mail->id);
	buffer_printf(out, "--=_%s\r\n", mail->id);
	add_part(out, "text/plain", mail->body);
	buffer_printf(out, "\r\n--=_%s\r\n", mail->id);
	add_part(out, "text/html", mail->html);
	buffer_printf(out, "\r\n--=_%s--\r\n", mail->id);
}

/* ---------------------------------------------------------------------------
 * The header
 * ---------------------------------------------------------------------------
 */

static void
add_date(Buffer *out, int64_t written)
{
	time_t		moment = written;
	struct tm	parts;
	char		date[64];

	/* The program is in the locale C, where names are English. */
	if (gmtime_r(&moment, &parts) != NULL &&
		strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &parts) > 0)
		buffer_printf(out, "Date: %s\r\n", date);
}

static void
add_from(Buffer *out, const char *name, const char *address)
{
	if (name == NULL)
	{
		buffer_printf(out, "From: %s\r\n", address);
		return;
	}
	if (is_plain(name) && strlen(name) < LINE - 10)
	{
		buffer_puts(out, "From: \"");
		for (; *name != '\0'; name++)
		{
			if (*name == '"' || *name == '\\')
				buffer_puts(out, "\\");
			buffer_append(out, name, 1);
		}
		buffer_puts(out, "\"");
	}
	else
	{
		size_t		start = out->len;

		buffer_puts(out, "From: ");
		add_encoded(out, start, name);
	}
	buffer_printf(out, "\r\n <%s>\r\n", address);
}

/* A field of words without structure. */
static void
add_words(Buffer *out, const char *field, const char *text)
{
	size_t		start = out->len;

	buffer_printf(out, "%s: ", field);
	if (is_plain(text) && strlen(field) + 2 + strlen(text) <= LINE)
		buffer_puts(out, text);
	else
		add_encoded(out, start, text);
	buffer_puts(out, "\r\n");
}

/* Whether a text can stand in a header as it is. */
static bool
is_plain(const char *text)
{
	if (text[0] == ' ' || strstr(text, "=?") != NULL)
		return false;
	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c < ' ' || *c >= 0x7f || (*c == ' ' && c[1] == '\0'))
			return false;
	}
	return true;
}

/*
 * Appends encoded words, each with whole characters, on lines that are not too
 * long; the line at hand begins at "start".
 */
static void
add_encoded(Buffer *out, size_t start, const char *text)
{
	while (*text != '\0')
	{
		size_t		room = LINE - 12 - (out->len - start);
		size_t		most = room / 4 * 3 < WORD_BYTES ? room / 4 * 3 : WORD_BYTES;
		size_t		len = strnlen(text, most);
		char		bytes[WORD_BYTES];

		if (text[len] != '\0')
		{
			size_t		whole = len;

			while (whole > 0 && ((unsigned char) text[whole] & 0xc0) == 0x80)
				whole--;
			if (whole > 0)
				len = whole;
		}
		for (size_t i = 0; i < len; i++)
			bytes[i] = (unsigned char) text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
		buffer_puts(out, "=?UTF-8?B?");
		buffer_base64(out, bytes, len);
		buffer_puts(out, "?=");
		text += len;
		if (*text != '\0')
		{
			buffer_puts(out, "\r\n");
			start = out->len;
			buffer_puts(out, " ");
		}
	}
}

/* ---------------------------------------------------------------------------
 * The parts
 * ---------------------------------------------------------------------------
 */

static void
add_part(Buffer *out, const char *type, const char *text)
{
	buffer_printf(out, "Content-Type: %s; charset=utf-8\r\n"
				  "Content-Transfer-Encoding: quoted-printable\r\n\r\n", type);
	add_quoted_printable(out, text);
}

static void
add_quoted_printable(Buffer *out, const char *text)
{
	size_t		column = 0;

	while (*text != '\0')
	{
		unsigned char c = *text;
		size_t		end = line_break(text);
		char		token[4];

		if (end > 0)
		{
			buffer_puts(out, "\r\n");
			column = 0;
			text += end;
			continue;
		}
		/* "From " at the start of a line is changed by some. */
		if ((c > ' ' && c < 0x7f && c != '=' && !(column == 0 && c == 'F' && strncmp(text, "From ", 5) == 0)) ||
			((c == ' ' || c == '\t') && text[1] != '\0' && line_break(text + 1) == 0))
			snprintf(token, sizeof(token), "%c", c);
		else
			snprintf(token, sizeof(token), "=%02X", c);
		if (column + strlen(token) > LINE - 1)
		{
			buffer_puts(out, "=\r\n");
			column = 0;
		}
		buffer_puts(out, token);
		column += strlen(token);
		text++;
	}
}

/* The length of the line break that a text begins with, 0 for none. */
static size_t
line_break(const char *text)
{
	if (text[0] == '\r' && text[1] == '\n')
		return 2;
	return text[0] == '\r' || text[0] == '\n' ? 1 : 0;
}
