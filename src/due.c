/*-------------------------------------------------------------------------
 *
 * due.c
 *	  Rows that are superfluous from some time on, for retention.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "due.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define GET(a)		(slot->tts_values[a])

/*
 * What was removed earlier is passed over by from: as long as a snapshot is held the
 * index still has it.
 */
int
jobs_due(const JobsTimetable *table, TimestampTz from, TimestampTz before, JobsDue *due, int max)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData keys[2];
	int			n = 0;

	jobs_rel_open(&r, table->rel, AccessShareLock);
	ScanKeyInit(&keys[0], 1, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE, TimestampTzGetDatum(from));
	ScanKeyInit(&keys[1], 1, BTLessStrategyNumber, F_TIMESTAMPTZ_LT, TimestampTzGetDatum(before));
	jobs_rel_scan(&scan, &r, table->index, keys, 2, GetLatestSnapshot());
	while (n < max && jobs_rel_next(&scan))
	{
		TupleTableSlot *slot = r.slot;

		slot_getallattrs(slot);
		due[n].job = DatumGetInt64(GET(0));
		due[n++].time = DatumGetTimestampTz(GET(table->attno - 1));
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	return n;
}

void
jobs_due_passed(const JobsDue *due, bool removed, bool *left, TimestampTz *from)
{
	*left |= !removed;
	if (!*left)
		*from = due->time;
}

TimestampTz
jobs_due_first(const JobsTimetable *table, TimestampTz from)
{
	JobsDue			due;

	return jobs_due(table, from, DT_NOEND, &due, 1) > 0 ? due.time : DT_NOEND;
}
