/*-------------------------------------------------------------------------
 *
 * convert.h
 *	  Text of a file to values of a type.
 *
 * Common types are parsed here, without a call of their input functions and
 * without memory of their own for each value; the result is that of the input
 * function.  Other types, and forms that are not parsed here, go through it, and
 * may raise any error: the caller guards (see guard.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_CONVERT_H
#define JOBS_CONVERT_H

#include "postgres.h"

#include "fmgr.h"
#include "import/arena.h"
#include "nodes/pg_list.h"

typedef enum Conversion
{
	CONVERTED,
	CONVERT_UNSURE,				/* of a parser: only the input function knows */
	CONVERT_MALFORMED,
	CONVERT_OUT_OF_RANGE,
	CONVERT_TOO_LONG,
	CONVERT_NOT_IN_LIST,		/* an enum has no such value */
	CONVERT_REFUSED,			/* by a domain's CHECK */
	CONVERT_NULL				/* refused by a domain's NOT NULL */
} Conversion;

/* Of all columns of a file. */
typedef struct ConvertStyle
{
	char		decimal;		/* '.' or ',' */
	int			date_order;		/* DATEORDER_YMD, ..., or -1: the session's */
	Arena	   *arena;			/* for values */
} ConvertStyle;

typedef struct Converter Converter;

/* Text is NUL-terminated at len and stays as it is; never returns CONVERTED without a value. */
typedef Conversion (*ConvertParser) (Converter *converter, const char *text, int len, Datum *value);

struct Converter
{
	ConvertParser parse;		/* or NULL */
	const ConvertStyle *style;
	const char *noun;			/* "a whole number", or NULL: such a value is called malformed */
	bool		is_string;		/* an empty text is a value */
	int32		typmod;
	int			limit;			/* characters of varchar(n) and char(n), or -1 */
	Oid			type;			/* the base type of a domain */
	Oid			ioparam;
	FmgrInfo	input;
	List	   *labels;			/* of an enum: char *, in order */
	Oid		   *label_oids;
	Oid			domain;			/* whose constraints are checked, or InvalidOid */
	void	   *domain_cache;
	MemoryContext context;
};

/* Lives in the current memory context. */
extern void jobs_converter_init(Converter *converter, Oid type, int32 typmod, const ConvertStyle *style);

/*
 * One value.  May raise what the type's input function or the domain's CHECK does;
 * jobs_convert_error says what that error means.
 */
extern Conversion jobs_convert(Converter *converter, const char *text, int len, Datum *value);
extern Conversion jobs_convert_error(const ErrorData *error);

/* Raises where the domain does not take null. */
extern void jobs_convert_null(Converter *converter);

/* Parsers: convert_number.c */
extern Conversion jobs_parse_int2(Converter *converter, const char *text, int len, Datum *value);
extern Conversion jobs_parse_int4(Converter *converter, const char *text, int len, Datum *value);
extern Conversion jobs_parse_int8(Converter *converter, const char *text, int len, Datum *value);
extern Conversion jobs_parse_float4(Converter *converter, const char *text, int len, Datum *value);
extern Conversion jobs_parse_float8(Converter *converter, const char *text, int len, Datum *value);
extern Conversion jobs_parse_numeric(Converter *converter, const char *text, int len, Datum *value);

/*
 * Writes a number that has a decimal comma with a point, and without the points between
 * its thousands; result has room for len + 1 bytes.  -1 where it is no number.
 */
extern int	jobs_number_with_point(const char *text, int len, char *result);

/* Parsers: convert_time.c */
extern Conversion jobs_parse_date(Converter *converter, const char *text, int len, Datum *value);
extern Conversion jobs_parse_timestamp(Converter *converter, const char *text, int len, Datum *value);
extern Conversion jobs_parse_timestamptz(Converter *converter, const char *text, int len, Datum *value);

#endif							/* JOBS_CONVERT_H */
