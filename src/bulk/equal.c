/*-------------------------------------------------------------------------
 *
 * equal.c
 *	  Items of a bulk job that fail in a row with the same error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bulk/equal.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"

uint32
jobs_equal_hash(int sqlstate, const char *message)
{
	return hash_bytes((const unsigned char *) message, strlen(message)) ^ (uint32) sqlstate;
}

void
jobs_equal_note(JobsSlot *slot, JobId job, const JobsVerdict *verdict)
{
	uint32		hash;
	int			len;

	if (verdict->state != ITEM_FAILED)
	{
		if (slot->equal_count > 0)
		{
			SpinLockAcquire(&slot->mutex);
			if (slot->job == job)
				slot->equal_count = 0;
			SpinLockRelease(&slot->mutex);
		}
		return;
	}
	len = pg_mbcliplen(verdict->message, strlen(verdict->message), JOBS_REASON_LEN - 1);
	hash = jobs_equal_hash(verdict->sqlstate, verdict->message);
	SpinLockAcquire(&slot->mutex);
	if (slot->job == job)
	{
		if (slot->equal_count == 0 || slot->equal_hash != hash)
		{
			slot->equal_hash = hash;
			slot->equal_count = 0;
			slot->equal_code = verdict->sqlstate;
			memcpy(slot->equal_message, verdict->message, len);
			slot->equal_message[len] = '\0';
		}
		slot->equal_count++;
	}
	SpinLockRelease(&slot->mutex);
}

bool
jobs_equal_reached(const JobsSlot *slot, JobId job, int64 stop_after)
{
	return stop_after > 0 && slot->job == job && slot->equal_count >= stop_after;
}

void
jobs_equal_save(JobsSlot *slot, JobsEqual *saved)
{
	SpinLockAcquire(&slot->mutex);
	saved->hash = slot->equal_hash;
	saved->count = slot->equal_count;
	SpinLockRelease(&slot->mutex);
}

/* The message is that of the last error; of a count that was begun by another it is left alone. */
void
jobs_equal_restore(JobsSlot *slot, JobId job, const JobsEqual *saved)
{
	SpinLockAcquire(&slot->mutex);
	if (slot->job == job)
		slot->equal_count = slot->equal_hash == saved->hash ? saved->count : 0;
	SpinLockRelease(&slot->mutex);
}

char *
jobs_equal_text(int64 stop_after, const char *message)
{
	return psprintf("stopped after %lld equal failures in a row: %s", (long long) stop_after, message);
}

void
jobs_equal_raise(JobsSlot *slot, int64 stop_after)
{
	char		message[JOBS_REASON_LEN];
	int			code;

	SpinLockAcquire(&slot->mutex);
	memcpy(message, slot->equal_message, sizeof(message));
	code = slot->equal_code;
	SpinLockRelease(&slot->mutex);
	ereport(ERROR,
			(errcode(code),
			 errmsg("%s", jobs_equal_text(stop_after, message)),
			 errhint("%s", JOBS_EQUAL_HINT)));
}
