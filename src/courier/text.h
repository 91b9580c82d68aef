/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Bytes that grow, lines of the log, and the clock.
 *
 * Memory that is not to be had ends the program: whoever starts it again finds
 * all deliveries where they were.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COURIER_TEXT_H
#define COURIER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROGRAM "jobs-courier"

/* All zero is an empty one.  With data != NULL there is a NUL behind len bytes. */
typedef struct Buffer
{
	char	   *data;
	size_t		len;
	size_t		size;
} Buffer;

extern void buffer_append(Buffer *buffer, const char *bytes, size_t len);
extern void buffer_puts(Buffer *buffer, const char *string);
extern void buffer_printf(Buffer *buffer, const char *format,...) __attribute__((format(printf, 2, 3)));
extern void buffer_base64(Buffer *buffer, const void *bytes, size_t len);
extern void buffer_free(Buffer *buffer);

extern void *allocate(size_t size);		/* zeroed */
extern char *copy_string(const char *string);	/* NULL of NULL */

/*
 * Copies bytes that a stranger chose so that they can stand in a log and in the
 * database: printable ASCII on one line, without blanks at its ends, cut to the
 * size of "out", where a NUL ends them.
 */
extern void make_printable(char *out, size_t size, const char *bytes, size_t len);

/* A line to stderr, in one piece. */
extern void say(const char *format,...) __attribute__((format(printf, 1, 2)));

/* Milliseconds that only grow. */
extern int64_t now_ms(void);

#endif							/* COURIER_TEXT_H */
