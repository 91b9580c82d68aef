/*-------------------------------------------------------------------------
 *
 * scalar.h
 *	  Values of common types as text, without a call of their output function.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_SCALAR_H
#define JOBS_SCALAR_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"

typedef enum JobsScalar
{
	SCALAR_ANY,					/* through the output function */
	SCALAR_TEXT,				/* the value's bytes are its output */
	SCALAR_JSONB,
	/* from here on by jobs_scalar_put */
	SCALAR_BOOL,
	SCALAR_INT2,
	SCALAR_INT4,
	SCALAR_INT8,
	SCALAR_OID,
	SCALAR_FLOAT4,
	SCALAR_FLOAT8,
	SCALAR_NUMERIC,
	SCALAR_DATE,
	SCALAR_TIMESTAMP,
	SCALAR_TIMESTAMPTZ,
	SCALAR_UUID
} JobsScalar;

/* The most that jobs_scalar_put writes. */
#define JOBS_SCALAR_MAX		128

/* All the bytes that it can write. */
#define JOBS_SCALAR_ALPHABET	"0123456789+-.: BCINabcdefinty"

/*
 * How a type's values are written.  The code behind its output function tells,
 * and not the type, so that domains and types such as citext are as fast.
 */
extern JobsScalar jobs_scalar_of(PGFunction output);

/*
 * Writes a value without NUL; returns its length, or -1 where only the output
 * function knows how, as for very long numbers and other styles of dates.
 */
extern int	jobs_scalar_put(JobsScalar scalar, Datum value, char *out);

/* A finite time as the clock of the session's time zone shows it. */
extern Timestamp jobs_local_time(TimestampTz time);

#endif							/* JOBS_SCALAR_H */
