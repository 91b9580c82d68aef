/*-------------------------------------------------------------------------
 *
 * hangs.h
 *	  Hosts that do not answer, or fail, or take their time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COURIER_HANGS_H
#define COURIER_HANGS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum Answer
{
	ANSWER_GOOD,
	ANSWER_BAD,					/* or late */
	ANSWER_NONE
} Answer;

/*
 * NULL: ask a host, and tell how that went; until then, it has one of so many places,
 * and one that has hung is left alone by others.  Else why not, and for how many
 * milliseconds at least, where that is known.
 */
extern const char *hangs_refused(const char *host, int places, int64_t now, int64_t *wait);
extern void hangs_note(const char *host, Answer answer, int64_t now);

#endif							/* COURIER_HANGS_H */
