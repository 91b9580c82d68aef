/*-------------------------------------------------------------------------
 *
 * decode.h
 *	  Text of UTF-16 and of encodings with one byte a character.
 *
 * Runs in a thread: knows nothing of the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_DECODE_H
#define JOBS_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum DecodeKind
{
	DECODE_NONE,				/* bytes stay as they are */
	DECODE_TABLE,
	DECODE_UTF16LE,				/* to UTF-8 */
	DECODE_UTF16BE
} DecodeKind;

/* One input unit becomes at most so many bytes. */
#define DECODE_MAX		4

/* What becomes of each byte: its length, 1 to DECODE_MAX, and the bytes. */
typedef struct DecodeTable
{
	unsigned char length[256];
	char		bytes[256][DECODE_MAX];
} DecodeTable;

typedef struct Decoder
{
	DecodeKind	kind;
	const DecodeTable *table;
	int			pending;		/* first half of a unit, or -1 */
	uint32_t	high;			/* first half of a surrogate pair, or 0 */
} Decoder;

extern void decode_begin(Decoder *decoder, DecodeKind kind, const DecodeTable *table);

/*
 * Decodes all of the input; out has room for DECODE_MAX bytes for each of its, and
 * DECODE_MAX more.  What the encoding does not have becomes a NUL, which no text has
 * either.  Returns how much was written.
 */
extern size_t decode_some(Decoder *decoder, const char *in, size_t len, char *out);

/* The same by a table, of text that stands alone. */
extern size_t decode_table(const DecodeTable *table, const char *in, size_t len, char *out);

/* What is left at the end of the input. */
extern size_t decode_rest(Decoder *decoder, char *out);

#endif							/* JOBS_DECODE_H */
