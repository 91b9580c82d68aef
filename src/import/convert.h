/*-------------------------------------------------------------------------
 *
 * convert.h
 *	  From a file's encoding to the database's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_CONVERT_H
#define JOBS_CONVERT_H

#include "postgres.h"

#include "import/decode.h"

/* How a file is brought to the database's encoding. */
typedef struct Conversion
{
	DecodeKind	decode;			/* by a thread, which needs nothing of the server */
	bool		server;			/* the server's functions are needed, with a Converter */
	int			encoding;		/* what those start from */
} Conversion;

/*
 * Finds out; fills the table if it is needed.  name is that of the dialect, which may
 * be UTF-16LE or UTF-16BE, and encoding the server's number for it.  0A000 where the
 * server has no conversion.
 */
extern Conversion jobs_conversion(const char *name, int encoding, DecodeTable *table);

/* What becomes of each byte of an encoding with one byte a character. */
extern void jobs_conversion_table(int encoding, DecodeTable *table);

/* Conversion by the server's functions, bit by bit, in the current memory context. */
typedef struct Converter Converter;

extern Converter *jobs_converter_begin(const char *name, int encoding);

/*
 * Converts len bytes; those of a character that is cut wait for the next.  *out is the
 * result, valid until the next call.  at_end: there are no more.
 */
extern size_t jobs_converter_run(Converter *converter, const char *in, size_t len, bool at_end, const char **out);

#endif							/* JOBS_CONVERT_H */
