/*-------------------------------------------------------------------------
 *
 * items.c
 *	  Running one item of a bulk job.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bulk/command.h"
#include "bulk/items.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "session.h"
#include "settle.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "worker.h"

struct JobsCommand
{
	const char *command;
	SPIPlanPtr	plan;			/* NULL until it could be made */
	Oid			result_type;	/* that to_jsonb is prepared for */
	FmgrInfo	to_jsonb;
	MemoryContext context;
	MemoryContext item_context; /* of one item */
};

static void assume_identity(Oid user, int sec_context);
static Jsonb *execute(JobsCommand *command, Jsonb *payload);
static Jsonb *result_of(JobsCommand *command);
static void stop_statement_timeout(void);

JobsCommand *
jobs_command_begin(const char *text)
{
	JobsCommand *command = palloc0(sizeof(JobsCommand));

	command->command = text;
	command->context = CurrentMemoryContext;
	command->item_context = AllocSetContextCreate(CurrentMemoryContext, "jobs item", ALLOCSET_DEFAULT_SIZES);
	return command;
}

void
jobs_command_free(JobsCommand *command)
{
	if (command->plan)
		SPI_freeplan(command->plan);
	command->plan = NULL;
}

/* An abort restores the identity of the transaction's start, which may be another. */
static void
assume_identity(Oid user, int sec_context)
{
	Oid			now_user;
	int			now_context;

	GetUserIdAndSecContext(&now_user, &now_context);
	if (now_user != user || now_context != sec_context)
		SetUserIdAndSecContext(user, sec_context);
}

void
jobs_command_run(JobsCommand *command, Jsonb *payload, Oid user, int sec_context, JobsVerdict *verdict)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	memset(verdict, 0, sizeof(JobsVerdict));
	verdict->state = ITEM_SUCCEEDED;
	assume_identity(user, sec_context);
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		Jsonb	   *result;
		int			nest;

		MemoryContextSwitchTo(command->item_context);
		nest = NewGUCNestLevel();
		jobs_start_statement_timeout();
		PushActiveSnapshot(GetTransactionSnapshot());
		result = execute(command, payload);
		PopActiveSnapshot();
		stop_statement_timeout();
		AtEOXact_GUC(false, nest);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (result)
		{
			verdict->result = palloc(VARSIZE(result));
			memcpy(verdict->result, result, VARSIZE(result));
		}
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		stop_statement_timeout();
		edata = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		assume_identity(user, sec_context);
		if (jobs_stops_job(edata))
		{
			verdict->state = ITEM_OPEN;
			verdict->stop = edata;
		}
		else
		{
			jobs_verdict_failed(edata, verdict);
			FreeErrorData(edata);
		}
	}
	PG_END_TRY();
	MemoryContextReset(command->item_context);
}

/*
 * The plan is made with the first item, so that an error of it is the item's:
 * a table may come back, and stop_after is for those that do not.
 */
static Jsonb *
execute(JobsCommand *command, Jsonb *payload)
{
	Datum		value = JsonbPGetDatum(payload);
	int			code;

	if (command->plan == NULL)
	{
		Oid			type = JSONBOID;
		SPIPlanPtr	plan = SPI_prepare(command->command, 1, &type);

		if (plan == NULL)
			elog(ERROR, "could not prepare the command of a bulk job: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
		command->plan = plan;
	}
	code = SPI_execute_plan(command->plan, &value, NULL, false, 2);
	if (code < 0)
		elog(ERROR, "could not execute the command of a bulk job: %s", SPI_result_code_string(code));
	return SPI_tuptable ? result_of(command) : NULL;
}

/* The one value that the command returned, in the item's context, or NULL. */
static Jsonb *
result_of(JobsCommand *command)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	Jsonb	   *result = NULL;
	Oid			type;
	Datum		value;
	bool		isnull;

	if (SPI_processed > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("the command returned more than one row"),
				 errhint("Return one value, by an aggregate for instance, or none.")));
	if (SPI_processed == 1 && desc->natts > 0)
	{
		type = SPI_gettypeid(desc, 1);
		value = SPI_getbinval(SPI_tuptable->vals[0], desc, 1, &isnull);
		if (!isnull && type != VOIDOID)
		{
			MemoryContext old = MemoryContextSwitchTo(command->context);

			if (command->result_type != type)
				jobs_to_jsonb_prepare(&command->to_jsonb, type);
			command->result_type = type;
			MemoryContextSwitchTo(old);
			result = jobs_to_jsonb(&command->to_jsonb, type, value);
			if (VARSIZE(result) > JOBS_MAX_PAYLOAD)
				ereport(ERROR,
						(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						 errmsg("the result of an item has more than %d MB", JOBS_MAX_PAYLOAD / (1024 * 1024)),
						 errhint("Keep large data in a table.")));
			/* A jsonb may be in the table of results. */
			if (type == JSONBOID)
			{
				Jsonb	   *copy = palloc(VARSIZE(result));

				memcpy(copy, result, VARSIZE(result));
				result = copy;
			}
		}
	}
	SPI_freetuptable(SPI_tuptable);
	return result;
}

void
jobs_command_settle(Oid user, int sec_context)
{
	int			nest = NewGUCNestLevel();

	assume_identity(user, sec_context);
	jobs_start_statement_timeout();
	AfterTriggerFireDeferred();
	stop_statement_timeout();
	AtEOXact_GUC(false, nest);
}

/* One that has run out just now must not hit the next item, nor look like a cancel. */
static void
stop_statement_timeout(void)
{
	jobs_stop_statement_timeout();
	if (get_timeout_indicator(STATEMENT_TIMEOUT, true) && !jobs_my_slot->cancel && !jobs_job_timed_out())
		QueryCancelPending = false;
}

void
jobs_verdict_failed(const ErrorData *edata, JobsVerdict *verdict)
{
	verdict->state = edata->sqlerrcode == JOBS_SKIPPED ? ITEM_SKIPPED : ITEM_FAILED;
	verdict->sqlstate = edata->sqlerrcode;
	verdict->message = jobs_error_text(edata->message ? edata->message : "");
	verdict->detail = jobs_error_text(edata->detail);
	verdict->hint = jobs_error_text(edata->hint);
}

/* The message's untranslated form tells a request from a statement's timeout. */
bool
jobs_stops_job(const ErrorData *edata)
{
	if (edata->sqlerrcode != ERRCODE_QUERY_CANCELED)
		return false;
	return jobs_job_timed_out() || jobs_my_slot->cancel ||
		(edata->message_id && strcmp(edata->message_id, "canceling statement due to user request") == 0);
}
