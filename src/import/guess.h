/*-------------------------------------------------------------------------
 *
 * guess.h
 *	  Which type the values of a column have.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_GUESS_H
#define JOBS_GUESS_H

#include "postgres.h"

#include "import/dialect.h"

typedef struct TypeGuess
{
	uint32		possible;		/* types that all values so far can have */
	int64		values;			/* that are not null */
	int64		nulls;
	bool		day_first;		/* a date like 31/12/2024 was met */
	bool		month_first;
	uint32		words;			/* of truth values, which were met */
} TypeGuess;

/* name: of the column, or NULL; a phone number or a postcode is text, whatever its digits. */
extern void jobs_guess_begin(TypeGuess *guess, const char *name);

/* Text is NULL for a null. */
extern void jobs_guess_add(TypeGuess *guess, const Dialect *dialect, const char *text, int len, bool quoted);

/* The type's name in SQL; "text" where no other takes all values. */
extern const char *jobs_guess_type(const TypeGuess *guess);

#endif							/* JOBS_GUESS_H */
