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
static bool is_users_code(int sqlstate);

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

bool
jobs_is_row_error(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_WITH_CHECK_OPTION_VIOLATION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:	/* too large for an index */
		case ERRCODE_CARDINALITY_VIOLATION:
			return true;
			/* Of triggers: */
		case ERRCODE_TRIGGERED_ACTION_EXCEPTION:
		case ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION:
		case ERRCODE_SQL_ROUTINE_EXCEPTION:
		case ERRCODE_EXTERNAL_ROUTINE_EXCEPTION:
		case ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION:
		case ERRCODE_PLPGSQL_ERROR:
			return true;
	}
	/* Policies have this code, and triggers may; rights that are missing are missing for all rows. */
	if (error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE)
		return error->funcname == NULL || strncmp(error->funcname, "aclcheck_error", 14) != 0;
	return is_users_code(error->sqlerrcode);
}

/* SQL leaves classes that begin with 5 to 9 or I to Z to implementations; ours has these. */
static bool
is_users_code(int sqlstate)
{
	static const char *const known[] = {"53", "54", "55", "57", "58", "72", "P0", "XX"};
	const char *class = unpack_sql_state(sqlstate);

	if (!(class[0] >= '5' && class[0] <= '9') && !(class[0] >= 'I' && class[0] <= 'Z'))
		return false;
	for (int i = 0; i < lengthof(known); i++)
	{
		if (strncmp(class, known[i], 2) == 0)
			return false;
	}
	return true;
}
