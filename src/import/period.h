/*-------------------------------------------------------------------------
 *
 * period.h
 *	  Periods: values of range and multirange types in keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_PERIOD_H
#define JOBS_PERIOD_H

#include "postgres.h"

#include "utils/typcache.h"

/* Whether a period of this type, or of a domain over one, is empty. */
extern bool jobs_period_is_empty(Oid type, Datum period);

/* Several periods together. */
typedef struct Cover
{
	TypeCacheEntry *range;		/* the type of their ranges */
	Oid			multirange;		/* and the type of several */
	bool		of_multiranges;
	List	   *periods;		/* of Pointer */
} Cover;

/* For periods of a type, or of a domain over one; in the current memory context. */
extern Cover *jobs_cover_create(Oid type);

/* None; those that were added are the caller's to free. */
extern void jobs_cover_reset(Cover *cover);

/* One more, copied to the current memory context. */
extern void jobs_cover_add(Cover *cover, Datum period);

/* Whether there is one, and all together leave nothing of this period open. */
extern bool jobs_cover_contains(const Cover *cover, Datum period);

#endif							/* JOBS_PERIOD_H */
