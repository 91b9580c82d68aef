/*-------------------------------------------------------------------------
 *
 * hangs.h
 *	  Hosts that do not answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COURIER_HANGS_H
#define COURIER_HANGS_H

#include <stdbool.h>
#include <stdint.h>

/* So many requests in a row without an answer are enough. */
#define MANY_HANGS 3

/*
 * Milliseconds for which a host is to be left alone.  0: ask it, and tell how that
 * went; until then, one that has hung is left alone by others.
 */
extern int64_t hangs_wait(const char *host, int64_t now);
extern void hangs_note(const char *host, bool hung, int64_t now);

#endif							/* COURIER_HANGS_H */
