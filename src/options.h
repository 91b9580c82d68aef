/*-------------------------------------------------------------------------
 *
 * options.h
 *	  Reading the options of a format from JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_OPTIONS_H
#define JOBS_OPTIONS_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* Wrong options all have this code. */
#define jobs_refuse_option(...) \
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), __VA_ARGS__))

/* Puts a value into a field of the format's struct of options, or raises 22023. */
typedef void (*JobsOptionSetter) (const char *name, const JsonbValue *value, void *field);

typedef struct JobsOption
{
	const char *name;
	JobsOptionSetter set;
	Size		field;			/* its offset in the struct */
} JobsOption;

/* Column names, or all of them. */
typedef struct JobsColumnNames
{
	bool		all;
	List	   *names;			/* of char * */
} JobsColumnNames;

/*
 * Reads an object; every key must be in the table, in whose order a hint names
 * them.  What is missing is left as it is.  format is for messages: "CSV".
 */
extern void jobs_read_options(Jsonb *options, const JobsOption *table, int n, const char *format,
							  void *result);

extern void jobs_set_bool(const char *name, const JsonbValue *value, void *field);
extern void jobs_set_char(const char *name, const JsonbValue *value, void *field);
extern void jobs_set_string(const char *name, const JsonbValue *value, void *field);	/* char * */
extern void jobs_set_encoding(const char *name, const JsonbValue *value, void *field);	/* int */
extern void jobs_set_compression(const char *name, const JsonbValue *value, void *field);	/* bool: gzip */
extern void jobs_set_columns(const char *name, const JsonbValue *value, void *field);	/* JobsColumnNames */

#endif							/* JOBS_OPTIONS_H */
