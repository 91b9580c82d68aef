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
		if (jobs_stops_job(error))
			ReThrowError(error);
	}
	PG_END_TRY();
	return error;
}
