/*-------------------------------------------------------------------------
 *
 * couriers.c
 *	  Which couriers there are: sessions that have claimed deliveries.
 *
 * They are in shared memory, guarded by JobsShared->lock, from their first claim to
 * the end of the session, and only for what the panel says.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/address.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "shmem.h"
#include "storage/ipc.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(jobs_mail_expected);

static JobsCourier *my_place(bool create);
static void leave(int code, Datum arg);

/* The lock is held. */
static JobsCourier *
my_place(bool create)
{
	JobsCourier *unused = NULL;

	for (int i = 0; i < JOBS_MAX_COURIERS; i++)
	{
		JobsCourier *courier = &jobs_shared->couriers[i];

		if (courier->pid == MyProcPid)
			return courier;
		if (courier->pid == 0 && unused == NULL)
			unused = courier;
	}
	return create ? unused : NULL;
}

/* One for which there is no place works as well as the others. */
void
jobs_courier_register(JobsChannel channel)
{
	static bool registered = false;
	JobsCourier *courier;

	if (!registered)
	{
		before_shmem_exit(leave, (Datum) 0);
		registered = true;
	}
	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	courier = my_place(true);
	if (courier)
	{
		courier->pid = MyProcPid;
		courier->dboid = MyDatabaseId;
		courier->channels |= JOBS_CHANNEL_BIT(channel);
	}
	LWLockRelease(jobs_shared->lock);
}

static void
leave(int code, Datum arg)
{
	JobsCourier *courier;

	LWLockAcquire(jobs_shared->lock, LW_EXCLUSIVE);
	courier = my_place(false);
	if (courier)
		memset(courier, 0, sizeof(JobsCourier));
	LWLockRelease(jobs_shared->lock);
}

bool
jobs_courier_alive(JobsChannel channel)
{
	bool		alive = false;

	if (jobs_shared == NULL)
		return false;
	LWLockAcquire(jobs_shared->lock, LW_SHARED);
	for (int i = 0; i < JOBS_MAX_COURIERS && !alive; i++)
		alive = jobs_shared->couriers[i].dboid == MyDatabaseId &&
			(jobs_shared->couriers[i].channels & JOBS_CHANNEL_BIT(channel)) != 0;
	LWLockRelease(jobs_shared->lock);
	return alive;
}

/*
 * jobs._mail_expected(notify jsonb)
 *
 * Whether somebody will get a mail when a job with that option ends.
 */
Datum
jobs_mail_expected(PG_FUNCTION_ARGS)
{
	char	   *address = jobs_notify_address(PG_GETARG_JSONB_P(0), CHANNEL_EMAIL);

	PG_RETURN_BOOL(address != NULL && jobs_address_allowed(CHANNEL_EMAIL, address) &&
				   jobs_courier_alive(CHANNEL_EMAIL));
}
