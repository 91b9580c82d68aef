/*-------------------------------------------------------------------------
 *
 * dialect_options.h
 *	  Options that say how a file is written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_DIALECT_OPTIONS_H
#define JOBS_DIALECT_OPTIONS_H

#include "postgres.h"

#include "import/detect.h"
#include "import/dialect.h"

/* A dialect of which said tells what is set; the rest are defaults. */
typedef struct DialectOptions
{
	Dialect		dialect;
	FormSaid	said;
	bool		said_encoding;
} DialectOptions;

/*
 * Reads the dialect's options, passing over all others; raises 22023 with a hint.
 * A value of null says nothing.  Strings are in the current memory context.
 */
extern void jobs_dialect_read_options(Jsonb *options, DialectOptions *result);

/* The value of a key of an object, or NULL where it is missing or null. */
extern JsonbValue *jobs_dialect_key(Jsonb *object, const char *name);

#endif							/* JOBS_DIALECT_OPTIONS_H */
