/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Bytes that grow, lines of the log, and the clock.
 *
 *-------------------------------------------------------------------------
 */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void make_room(Buffer *buffer, size_t more);
static void out_of_memory(void) __attribute__((noreturn));

void
buffer_append(Buffer *buffer, const char *bytes, size_t len)
{
	make_room(buffer, len);
	if (len > 0)
		memcpy(buffer->data + buffer->len, bytes, len);
	buffer->len += len;
	buffer->data[buffer->len] = '\0';
}

void
buffer_puts(Buffer *buffer, const char *string)
{
	buffer_append(buffer, string, strlen(string));
}

void
buffer_printf(Buffer *buffer, const char *format,...)
{
	va_list		args;
	int			len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		out_of_memory();
	make_room(buffer, len);
	va_start(args, format);
	vsnprintf(buffer->data + buffer->len, (size_t) len + 1, format, args);
	va_end(args);
	buffer->len += len;
}

void
buffer_base64(Buffer *buffer, const void *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = bytes;

	for (size_t i = 0; i < len; i += 3)
	{
		uint32_t	group = (uint32_t) in[i] << 16;
		char		out[4];

		if (i + 1 < len)
			group |= (uint32_t) in[i + 1] << 8;
		if (i + 2 < len)
			group |= in[i + 2];
		out[0] = digits[group >> 18];
		out[1] = digits[(group >> 12) & 63];
		out[2] = i + 1 < len ? digits[(group >> 6) & 63] : '=';
		out[3] = i + 2 < len ? digits[group & 63] : '=';
		buffer_append(buffer, out, 4);
	}
}

void
buffer_free(Buffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}

/* There is room for that many bytes and a NUL afterwards. */
static void
make_room(Buffer *buffer, size_t more)
{
	size_t		size = buffer->size > 0 ? buffer->size : 256;
	char	   *data;

	if (more > SIZE_MAX / 4 || buffer->len > SIZE_MAX / 4)
		out_of_memory();
	while (size < buffer->len + more + 1)
		size *= 2;
	if (size == buffer->size)
		return;
	data = realloc(buffer->data, size);
	if (data == NULL)
		out_of_memory();
	buffer->data = data;
	buffer->size = size;
}

void *
allocate(size_t size)
{
	void	   *memory = calloc(1, size);

	if (memory == NULL)
		out_of_memory();
	return memory;
}

char *
copy_string(const char *string)
{
	char	   *copy;

	if (string == NULL)
		return NULL;
	copy = strdup(string);
	if (copy == NULL)
		out_of_memory();
	return copy;
}

static void
out_of_memory(void)
{
	say("out of memory");
	exit(1);
}

void
make_printable(char *out, size_t size, const char *bytes, size_t len)
{
	size_t		n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++)
	{
		unsigned char c = bytes[i];

		if (c == '\r' || c == '\n' || c == '\t')
			c = ' ';
		if (c == ' ' && n == 0)
			continue;
		out[n++] = c >= ' ' && c < 0x7f ? c : '?';
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

/* The journal has times and processes of its own. */
void
say(const char *format,...)
{
	char		line[2048];
	size_t		len = 0;
	va_list		args;

	if (getenv("JOURNAL_STREAM") == NULL)
	{
		time_t		now = time(NULL);
		struct tm	parts;

		len = strftime(line, 40, "%Y-%m-%d %H:%M:%S UTC ", gmtime_r(&now, &parts));
		len += snprintf(line + len, 40, "[%ld] ", (long) getpid());
	}
	len += snprintf(line + len, 40, "%s: ", PROGRAM);
	va_start(args, format);
	vsnprintf(line + len, sizeof(line) - 1 - len, format, args);
	va_end(args);
	len = strlen(line);
	line[len++] = '\n';
	/* Nobody is left to tell where that fails. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
