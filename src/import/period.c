/*-------------------------------------------------------------------------
 *
 * period.c
 *	  Periods in keys: what WITHOUT OVERLAPS and PERIOD of constraints ask of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "import/period.h"
#include "nodes/pg_list.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/multirangetypes.h"
#include "utils/rangetypes.h"

static void add_ranges(const Cover *cover, Pointer period, RangeType ***ranges, int *n);

bool
jobs_period_is_empty(Oid type, Datum period)
{
	if (type_is_multirange(getBaseType(type)))
		return MultirangeIsEmpty(DatumGetMultirangeTypeP(period));
	return RangeIsEmpty(DatumGetRangeTypeP(period));
}

Cover *
jobs_cover_create(Oid type)
{
	Cover	   *cover = palloc0(sizeof(Cover));
	Oid			base = getBaseType(type);

	cover->of_multiranges = type_is_multirange(base);
	cover->multirange = cover->of_multiranges ? base : get_range_multirange(base);
	cover->range = lookup_type_cache(cover->of_multiranges ? get_multirange_range(base) : base, TYPECACHE_RANGE_INFO);
	return cover;
}

void
jobs_cover_reset(Cover *cover)
{
	cover->periods = NIL;
}

void
jobs_cover_add(Cover *cover, Datum period)
{
	cover->periods = lappend(cover->periods, DatumGetPointer(datumCopy(period, false, -1)));
}

bool
jobs_cover_contains(const Cover *cover, Datum period)
{
	RangeType **ranges = NULL;
	int			n = 0;
	MultirangeType *all;
	ListCell   *lc;

	if (cover->periods == NIL)
		return false;
	foreach(lc, cover->periods)
		add_ranges(cover, lfirst(lc), &ranges, &n);
	all = make_multirange(cover->multirange, cover->range, n, ranges);
	if (cover->of_multiranges)
		return multirange_contains_multirange_internal(cover->range, all, DatumGetMultirangeTypeP(period));
	return multirange_contains_range_internal(cover->range, all, DatumGetRangeTypeP(period));
}

/* The ranges of one period, behind those that are there. */
static void
add_ranges(const Cover *cover, Pointer period, RangeType ***ranges, int *n)
{
	RangeType  *one;
	RangeType **more = &one;
	int32		nmore = 1;

	if (cover->of_multiranges)
		multirange_deserialize(cover->range, DatumGetMultirangeTypeP(PointerGetDatum(period)), &nmore, &more);
	else
		one = DatumGetRangeTypeP(PointerGetDatum(period));
	*ranges = *ranges ? repalloc(*ranges, (*n + nmore) * sizeof(RangeType *)) : palloc((*n + nmore + 1) * sizeof(RangeType *));
	for (int i = 0; i < nmore; i++)
		(*ranges)[(*n)++] = more[i];
}
