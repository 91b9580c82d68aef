/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  User code of many rows in one subtransaction, until one of them fails.
 *
 * A subtransaction for each row would cost more than most of what it guards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bulk/items.h"
#include "import/guard.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

static bool is_no_row_s_fault(const ErrorData *error);

ErrorData *
jobs_guard(JobsGuarded work, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;
	Oid			user;
	int			sec_context;

	GetUserIdAndSecContext(&user, &sec_context);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		SetUserIdAndSecContext(user, sec_context);
		if (jobs_stops_job(error) || is_no_row_s_fault(error))
			ReThrowError(error);
	}
	PG_END_TRY();
	return error;
}

/* A lack of memory or disk space, a failing disk, corrupted data. */
static bool
is_no_row_s_fault(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_SYSTEM_ERROR ||
		error->sqlerrcode == ERRCODE_DATA_CORRUPTED || error->sqlerrcode == ERRCODE_INDEX_CORRUPTED;
}
