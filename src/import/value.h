/*-------------------------------------------------------------------------
 *
 * value.h
 *	  Text of a file to values of a type.
 *
 * Common types are parsed here, without a call of their input functions and
 * without memory of their own for each value; the result is that of the input
 * function.  Other types, and forms that are not parsed here, go through it, and
 * may raise any error: the caller guards (see guard.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_VALUE_H
#define JOBS_VALUE_H

#include "postgres.h"

#include "fmgr.h"
#include "import/arena.h"
#include "nodes/pg_list.h"

typedef enum ValueResult
{
	VALUE_READ,
	VALUE_UNSURE,				/* of a parser: only the input function knows */
	VALUE_MALFORMED,
	VALUE_OUT_OF_RANGE,
	VALUE_TOO_LONG,
	VALUE_NOT_IN_LIST,		/* an enum has no such value */
	VALUE_REFUSED,			/* by a domain's CHECK */
	VALUE_NULL				/* refused by a domain's NOT NULL */
} ValueResult;

/* Of all columns of a file. */
typedef struct ValueStyle
{
	char		decimal;		/* '.' or ',' */
	int			date_order;		/* DATEORDER_YMD, ..., or -1: the session's */
	Arena	   *arena;			/* for values */
} ValueStyle;

typedef struct ValueParser ValueParser;

/* Text is NUL-terminated at len and stays as it is; never returns VALUE_READ without a value. */
typedef ValueResult (*ValueFunction) (ValueParser *parser, const char *text, int len, Datum *value);

struct ValueParser
{
	ValueFunction parse;		/* or NULL */
	const ValueStyle *style;
	const char *noun;			/* "a whole number", or NULL: such a value is called malformed */
	const char *refusal;		/* "is not a whole number" */
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
	ErrorData  *error;			/* of the last value, where the type said why without raising it */
};

/* Lives in the current memory context. */
extern void jobs_value_init(ValueParser *parser, Oid type, int32 typmod, const ValueStyle *style);

/*
 * One value.  May raise what the type's input function or the domain's CHECK does;
 * jobs_value_error says what that error means.
 */
extern ValueResult jobs_value_parse(ValueParser *parser, const char *text, int len, Datum *value);
extern ValueResult jobs_value_error(const ErrorData *error);

/* Raises where the domain does not take null. */
extern void jobs_value_check_null(ValueParser *parser);

/* Parsers: value_number.c */
extern ValueResult jobs_parse_int2(ValueParser *parser, const char *text, int len, Datum *value);
extern ValueResult jobs_parse_int4(ValueParser *parser, const char *text, int len, Datum *value);
extern ValueResult jobs_parse_int8(ValueParser *parser, const char *text, int len, Datum *value);
extern ValueResult jobs_parse_float4(ValueParser *parser, const char *text, int len, Datum *value);
extern ValueResult jobs_parse_float8(ValueParser *parser, const char *text, int len, Datum *value);
extern ValueResult jobs_parse_numeric(ValueParser *parser, const char *text, int len, Datum *value);

/*
 * Writes a number that has a decimal comma with a point, and without the points between
 * its thousands; result has room for len + 1 bytes.  -1 where it is no number.
 */
extern int	jobs_number_with_point(const char *text, int len, char *result);

/* Parsers: value_time.c */
extern ValueResult jobs_parse_date(ValueParser *parser, const char *text, int len, Datum *value);
extern ValueResult jobs_parse_timestamp(ValueParser *parser, const char *text, int len, Datum *value);
extern ValueResult jobs_parse_timestamptz(ValueParser *parser, const char *text, int len, Datum *value);

#endif							/* JOBS_VALUE_H */
