/*-------------------------------------------------------------------------
 *
 * dialect.h
 *	  How a file of rows is written: said in options, or found by looking at it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_DIALECT_H
#define JOBS_DIALECT_H

#include "postgres.h"

#include "utils/jsonb.h"

typedef struct Dialect
{
	char		delimiter;
	char		quote;			/* '\0': none */
	char		escape;			/* quote itself where doubled */
	int			encoding;		/* pg_enc; PG_UTF8 for UTF-16, which the input converts */
	const char *encoding_name;	/* as shown: also UTF-16LE, which pg_enc has not */
	bool		has_header;
	int			header_rows;
	int			skip_lines;		/* preamble above the header */
	const char *null;			/* text of a null; "" by default */
	char		comment;		/* '\0': none */
	bool		trim;
	bool		pad;			/* ragged => "pad" */
	char		decimal;		/* '.' or ',' */
	const char *date_order;		/* "YMD", "DMY", "MDY", or NULL: DateStyle's */
	const char *newline;		/* "LF", "CRLF", "CR", "mixed" */
	bool		gzip;
	bool		bom;
	bool		ascii;			/* all that was looked at is ASCII and nobody said the encoding: if bytes
								 * that are no UTF-8 come later, read on as PG_WIN1252 */
	int			ncolumns;
	char	  **columns;		/* names of the header, or NULL without one */
} Dialect;

/*
 * Checks the names and values of the dialect's options (others are passed over);
 * raises 22023 with a hint.  What jobs.import_preview and jobs.sniff call first.
 */
extern void jobs_dialect_check_options(Jsonb *options);

/*
 * The dialect of a file from its first bytes: raw is as they stand in the file,
 * inflated; at_end tells that they are the whole file.  What options say is not
 * looked for.  Raises 22P04 with a hint for what is no text at all (an xlsx, a
 * PDF, an image, an empty file), by name.  Result in the current memory context.
 */
extern Dialect *jobs_dialect_find(const char *raw, int len, bool at_end, bool gzip, Jsonb *options);

/* As the result of a preview tells it; the second takes back what the first gave. */
extern Jsonb *jobs_dialect_to_jsonb(const Dialect *dialect);
extern Dialect *jobs_dialect_from_jsonb(Jsonb *jsonb);

#endif							/* JOBS_DIALECT_H */
