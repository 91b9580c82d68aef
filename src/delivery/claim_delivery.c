/*-------------------------------------------------------------------------
 *
 * claim_delivery.c
 *	  What couriers call: claiming deliveries, and saying how they went.
 *
 * Whoever has been granted EXECUTE on these functions reads the messages about
 * everybody's jobs, with links to their files, and answers for them; nobody has it
 * but the extension's owner until then.
 *
 * A courier locks a row with SKIP, so couriers do not wait for each other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "args.h"
#include "common/pg_prng.h"
#include "delivery/address.h"
#include "delivery/message.h"
#include "download.h"
#include "funcapi.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "rights.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(jobs_claim_deliveries);
PG_FUNCTION_INFO_V1(jobs_finish_delivery);
PG_FUNCTION_INFO_V1(jobs_fail_delivery);
PG_FUNCTION_INFO_V1(jobs_next_delivery);

#define CLAIM_COLUMNS	11
#define MAX_CLAIM		1000	/* deliveries at once */
#define DEFAULT_CLAIM	10

#define FIRST_DELAY_US	USECS_PER_MINUTE	/* doubled with each attempt ... */
#define MAX_DELAY_US	(2 * USECS_PER_HOUR)	/* ... up to this ... */
#define JITTER			0.1		/* ... give or take this part */

/* The other side may ask for more time, up to this, and to so much before the day is over. */
#define MAX_ASKED_US	(6 * USECS_PER_HOUR)
#define LAST_CALL_US	USECS_PER_MINUTE

/* One that has ended so many leases without an answer may be what ends couriers. */
#define MAX_ATTEMPTS	50

#define MAX_ANSWER		1000	/* bytes of an answer that are kept */

/* A courier that finds all that is due taken need not ask again at once. */
#define LEAST_WAIT_US	(50 * 1000)

typedef struct Claim
{
	int			wanted;
	int64		lease_us;
	int			n;				/* claimed */
	ReturnSetInfo *rsinfo;
} Claim;

/* One call of jobs_delivery_give_up. */
typedef struct GiveUp
{
	TimestampTz before;			/* those that were due then */
	TimestampTz next;			/* when the first of the others is due */
	int			left;			/* so many more */
} GiveUp;

static JobsChannel channel_arg(FunctionCallInfo fcinfo);
static bool claim_due(int64 id, TimestampTz due_at, const char *tenant, void *arg);
static const char *why_not(const JobsDelivery *d);
static void return_claimed(Claim *claim, const JobsDelivery *d);
static JobsDelivery *lock_answered(FunctionCallInfo fcinfo, const char *function);
static char *answer_arg(FunctionCallInfo fcinfo, int n);
static int64 asked_arg(FunctionCallInfo fcinfo, int n);
static TimestampTz next_attempt(const JobsDelivery *d, int64 asked);
static void end_delivery(JobsDelivery *d, JobsDeliveryState state, const char *answer);
static bool note_due(int64 id, TimestampTz due_at, const char *tenant, void *arg);
static bool note_any(int64 id, TimestampTz due_at, const char *tenant, void *arg);
static bool give_up_due(int64 id, TimestampTz due_at, const char *tenant, void *arg);

/* ------------------------------------------------------------------------
 * Claiming
 * ------------------------------------------------------------------------
 */

/*
 * jobs.claim_deliveries(channel text, n integer, lease interval)
 */
Datum
jobs_claim_deliveries(PG_FUNCTION_ARGS)
{
	Claim		claim = {0};
	JobsChannel channel;

	jobs_require_preload();
	jobs_check_can_change("jobs.claim_deliveries()");
	channel = channel_arg(fcinfo);
	claim.wanted = jobs_claim_arg(fcinfo, 1, DEFAULT_CLAIM, MAX_CLAIM);
	claim.lease_us = jobs_lease_arg(fcinfo, 2, 1,
									 "Others take a delivery when its lease is over, so choose what sending it takes at most.");
	InitMaterializedSRF(fcinfo, 0);
	claim.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	jobs_courier_register(channel);
	if (jobs_enabled && jobs_channel_on(channel))
		jobs_outbox_due(channel, GetCurrentTimestamp(), claim_due, &claim);
	/* A worker may have ended a job without waiting for the disk; what is sent must have happened. */
	if (claim.n > 0)
		jobs_flush();
	return (Datum) 0;
}

static JobsChannel
channel_arg(FunctionCallInfo fcinfo)
{
	const char *hint = "Pass email or webhook.";
	char	   *name;

	jobs_require_arg(fcinfo, 0, "channel", hint);
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	for (int c = 0; c < JOBS_NUM_CHANNELS; c++)
	{
		if (strcmp(name, jobs_channel_names[c]) == 0)
			return (JobsChannel) c;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized channel: \"%s\"", name),
			 errhint("%s", hint)));
	return CHANNEL_EMAIL;		/* not reached */
}

/* Whether another one is wanted. */
static bool
claim_due(int64 id, TimestampTz due_at, const char *tenant, void *arg)
{
	Claim	   *claim = arg;
	JobsDelivery *d = jobs_tenant_fits(tenant) ? jobs_outbox_lock(id, JOBS_WAIT_SKIP) : NULL;
	TimestampTz now = GetCurrentTimestamp();
	const char *refused;

	if (d == NULL || d->due_at == 0 || d->due_at > now)
		return true;
	if (d->state == DELIVERY_CLAIMED)
	{
		d->answer = "the courier's lease ran out";
		jobs_outbox_add_attempt(d, "lapsed", d->answer);
	}
	refused = why_not(d);
	if (refused)
		end_delivery(d, DELIVERY_FAILED, refused);
	else
	{
		d->state = DELIVERY_CLAIMED;
		d->attempts++;
		d->claimed_at = now;
		d->due_at = now + claim->lease_us;
		d->courier = GetUserNameFromId(GetUserId(), false);
		jobs_outbox_update(d);
		return_claimed(claim, d);
	}
	return claim->n < claim->wanted;
}

/*
 * Why a delivery is not made (any more), or NULL.  Copies of a server carry its
 * outbox along, and settings and roles change.
 */
static const char *
why_not(const JobsDelivery *d)
{
	if (d->origin != jobs_origin())
		return "the job ended on another server";
	if (GetCurrentTimestamp() - d->created_at > JOBS_DELIVERY_US)
		return d->attempts > 0 && d->answer ? d->answer : "no courier has taken it for a day";
	if (GetUserNameFromId(d->owner, true) == NULL)
		return psprintf("role \"%s\" no longer exists", d->owner_name);
	if (!jobs_address_allowed(d->channel, d->address))
		return psprintf("the address is no longer allowed by %s", jobs_channel_setting(d->channel));
	if (d->attempts >= MAX_ATTEMPTS)
		return psprintf("%d attempts have failed", d->attempts);
	return NULL;
}

static void
return_claimed(Claim *claim, const JobsDelivery *d)
{
	Datum		values[CLAIM_COLUMNS];
	bool		nulls[CLAIM_COLUMNS] = {false};
	char	   *token = d->link ? jobs_token_for(d->job) : NULL;
	const char *texts[3] = {d->body, d->html, d->payload};

	values[0] = Int64GetDatum(d->id);
	values[1] = Int32GetDatum(d->attempts);
	values[2] = CStringGetTextDatum(d->message_id);
	values[3] = Int64GetDatum(d->job);
	values[4] = CStringGetTextDatum(d->address);
	values[5] = CStringGetTextDatum(d->subject);
	for (int i = 0; i < lengthof(texts); i++)
	{
		nulls[6 + i] = texts[i] == NULL;
		values[6 + i] = texts[i] ? CStringGetTextDatum(jobs_message_fill(texts[i], token)) : (Datum) 0;
	}
	values[9] = TimestampTzGetDatum(d->created_at);
	values[10] = TimestampTzGetDatum(d->due_at);
	tuplestore_putvalues(claim->rsinfo->setResult, claim->rsinfo->setDesc, values, nulls);
	claim->n++;
}

/* ------------------------------------------------------------------------
 * Answers
 * ------------------------------------------------------------------------
 */

/*
 * The delivery, locked, while the attempt is the one under way; else NULL.  One
 * whose lease is over and that nobody else has taken yet still counts.
 */
static JobsDelivery *
lock_answered(FunctionCallInfo fcinfo, const char *function)
{
	JobsDelivery *d;

	jobs_require_preload();
	jobs_check_can_change(function);
	jobs_require_arg(fcinfo, 0, "delivery", "Pass what jobs.claim_deliveries has returned.");
	jobs_require_arg(fcinfo, 1, "attempt", "Pass what jobs.claim_deliveries has returned.");
	d = jobs_outbox_lock(PG_GETARG_INT64(0), JOBS_WAIT_BLOCK);
	if (d == NULL || !jobs_tenant_fits(d->tenant) || d->state != DELIVERY_CLAIMED ||
		d->attempts != PG_GETARG_INT32(1))
		return NULL;
	return d;
}

/* In one line, and not longer than anybody reads; NULL for none. */
static char *
answer_arg(FunctionCallInfo fcinfo, int n)
{
	char	   *text = jobs_text_arg(fcinfo, n);

	if (text == NULL || text[0] == '\0')
		return NULL;
	text[pg_mbcliplen(text, strlen(text), MAX_ANSWER)] = '\0';
	for (char *p = text; *p; p += pg_mblen(p))
	{
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			*p = ' ';
	}
	return text;
}

/*
 * jobs.finish_delivery(delivery bigint, attempt integer, response text)
 */
Datum
jobs_finish_delivery(PG_FUNCTION_ARGS)
{
	JobsDelivery *d = lock_answered(fcinfo, "jobs.finish_delivery()");
	char	   *response = answer_arg(fcinfo, 2);

	if (d == NULL)
		PG_RETURN_BOOL(false);
	jobs_outbox_add_attempt(d, "delivered", response);
	end_delivery(d, DELIVERY_DELIVERED, response);
	PG_RETURN_BOOL(true);
}

/*
 * jobs.fail_delivery(delivery bigint, attempt integer, reason text, permanent boolean,
 *					  retry_after interval)
 */
Datum
jobs_fail_delivery(PG_FUNCTION_ARGS)
{
	char	   *reason = answer_arg(fcinfo, 2);
	bool		permanent = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	int64		asked = asked_arg(fcinfo, 4);
	JobsDelivery *d;

	if (reason == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reason must not be null or empty"),
				 errhint("Say what the other side has answered.")));
	d = lock_answered(fcinfo, "jobs.fail_delivery()");
	if (d == NULL)
		PG_RETURN_BOOL(false);
	jobs_outbox_add_attempt(d, "failed", reason);
	d->due_at = next_attempt(d, asked);
	if (permanent || d->due_at - d->created_at > JOBS_DELIVERY_US)
		end_delivery(d, DELIVERY_FAILED, reason);
	else
	{
		d->state = DELIVERY_PENDING;
		d->answer = reason;
		jobs_outbox_update(d);
	}
	PG_RETURN_BOOL(true);
}

/* For how long the other side wants to be left alone, in microseconds; 0 where it has not said. */
static int64
asked_arg(FunctionCallInfo fcinfo, int n)
{
	Interval   *asked;
	double		usecs;

	if (PG_ARGISNULL(n))
		return 0;
	asked = PG_GETARG_INTERVAL_P(n);
	usecs = (asked->month * (double) DAYS_PER_MONTH + asked->day) * USECS_PER_DAY + asked->time;
	return (int64) Max(0, Min(usecs, MAX_ASKED_US));
}

/*
 * Later and later.  Who asks for more time gets it, but not for so long that the
 * day goes by without another attempt.
 */
static TimestampTz
next_attempt(const JobsDelivery *d, int64 asked)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz last = d->created_at + JOBS_DELIVERY_US - LAST_CALL_US;
	double		delay = FIRST_DELAY_US;

	for (int i = 1; i < d->attempts && delay < MAX_DELAY_US; i++)
		delay *= 2;
	delay = Min(delay, MAX_DELAY_US);
	delay *= 1 - JITTER + 2 * JITTER * pg_prng_double(&pg_global_prng_state);
	return Max(now + (int64) delay, Min(now + asked, last));
}

/* What was to be sent is not needed any more. */
static void
end_delivery(JobsDelivery *d, JobsDeliveryState state, const char *answer)
{
	d->state = state;
	d->due_at = 0;
	d->ended_at = GetCurrentTimestamp();
	d->answer = answer ? pstrdup(answer) : NULL;
	d->body = d->html = d->payload = NULL;
	jobs_outbox_update(d);
}

/* ------------------------------------------------------------------------
 * What comes next
 * ------------------------------------------------------------------------
 */

/*
 * jobs.next_delivery(channel text)
 */
Datum
jobs_next_delivery(PG_FUNCTION_ARGS)
{
	JobsChannel channel = channel_arg(fcinfo);
	TimestampTz next = DT_NOEND;

	if (jobs_enabled && jobs_channel_on(channel))
		jobs_outbox_due(channel, DT_NOEND, note_due, &next);
	if (next == DT_NOEND)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(Max(next, GetCurrentTimestamp() + LEAST_WAIT_US));
}

/* The first that is the caller's is the one. */
static bool
note_due(int64 id, TimestampTz due_at, const char *tenant, void *arg)
{
	if (!jobs_tenant_fits(tenant))
		return true;
	return note_any(id, due_at, tenant, arg);
}

static bool
note_any(int64 id, TimestampTz due_at, const char *tenant, void *arg)
{
	*(TimestampTz *) arg = due_at;
	return false;
}

/* ------------------------------------------------------------------------
 * For the scheduler
 * ------------------------------------------------------------------------
 */

/* Those that a courier has at the moment are its own. */
static bool
give_up_due(int64 id, TimestampTz due_at, const char *tenant, void *arg)
{
	GiveUp	   *g = arg;
	JobsDelivery *d;

	if (due_at > g->before || g->left == 0)
	{
		g->next = Min(g->next, due_at);
		return false;
	}
	d = jobs_outbox_lock(id, JOBS_WAIT_SKIP);
	if (d && d->due_at != 0 && d->due_at <= g->before)
	{
		const char *answer = d->answer ? d->answer : "no courier has taken it for a day";

		if (d->state == DELIVERY_CLAIMED)
		{
			answer = "the courier's lease ran out";
			jobs_outbox_add_attempt(d, "lapsed", answer);
		}
		end_delivery(d, DELIVERY_FAILED, answer);
	}
	g->left--;
	return true;
}

TimestampTz
jobs_delivery_give_up(TimestampTz now, int limit)
{
	GiveUp		g = {.before = now - JOBS_DELIVERY_US, .next = DT_NOEND, .left = limit};

	for (int c = 0; c < JOBS_NUM_CHANNELS; c++)
		jobs_outbox_due(c, DT_NOEND, give_up_due, &g);
	return g.next == DT_NOEND ? DT_NOEND : g.next + JOBS_DELIVERY_US;
}

int
jobs_delivery_waiting(void)
{
	int			channels = 0;

	for (int c = 0; c < JOBS_NUM_CHANNELS; c++)
	{
		TimestampTz next = DT_NOEND;

		jobs_outbox_due(c, DT_NOEND, note_any, &next);
		if (next != DT_NOEND)
			channels |= JOBS_CHANNEL_BIT(c);
	}
	return channels;
}
