/*-------------------------------------------------------------------------
 *
 * phrase.h
 *	  Numbers, sizes and times as a person reads them, in English.
 *
 * What the words of the panel and of messages are made of.  Nothing here reads a
 * table, and nothing depends on a locale or on a session's settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_PHRASE_H
#define JOBS_PHRASE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

/* Signs of the contract; other encodings than UTF-8 may not have them. */
#define JOBS_IN_UTF8(utf8, ascii)	(GetDatabaseEncoding() == PG_UTF8 ? (utf8) : (ascii))
#define JOBS_DOT		JOBS_IN_UTF8(" \302\267 ", " - ")
#define JOBS_DASH		JOBS_IN_UTF8(" \342\200\224 ", " - ")
#define JOBS_ELLIPSIS	JOBS_IN_UTF8("\342\200\246", "...")

/* A dot between this and what comes next, unless there is nothing yet. */
extern void jobs_say_dot(StringInfo buf);

/* Digits in groups of three; n is not negative. */
extern void jobs_say_number(StringInfo buf, int64 n);
extern void jobs_say_count(StringInfo buf, int64 n, const char *noun);	/* "1 row", "2 rows" */
extern void jobs_say_ordinal(StringInfo buf, int32 n);
extern void jobs_say_size(StringInfo buf, int64 bytes);

/* "5 min ago"; "in 3 h", or in full "in 3 hours". */
extern void jobs_say_ago(StringInfo buf, TimestampTz time, TimestampTz now);
extern void jobs_say_until(StringInfo buf, int64 usecs, bool in_full);

/* Bytes of a character; those of no known encoding are taken for UTF-8 where they are that. */
extern int	jobs_char_len(const char *p);

/* The first line of a text, not longer than a person reads at a glance. */
extern void jobs_say_line(StringInfo buf, const char *text);

#endif							/* JOBS_PHRASE_H */
