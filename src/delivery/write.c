/*-------------------------------------------------------------------------
 *
 * write.c
 *	  From the option notify of a job to rows of the outbox, when it ends.
 *
 * In whatever process ends the job, as whoever is current there; all that is
 * needed is C code and the extension's own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/address.h"
#include "delivery/message.h"
#include "rolesetting.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

const char *const jobs_channel_names[JOBS_NUM_CHANNELS] = {"email", "webhook"};

const char *const jobs_delivery_state_names[JOBS_NUM_DELIVERY_STATES] = {
	"pending", "claimed", "delivered", "failed"
};

static void check_members(Jsonb *notify);
static bool reached_limit(Oid owner, int *limit);
static char *new_message_id(void);

/* ------------------------------------------------------------------------
 * At submission
 * ------------------------------------------------------------------------
 */

Jsonb *
jobs_notify_arg(Jsonb *notify, Oid owner)
{
	int			limit;

	check_members(notify);
	for (int c = 0; c < JOBS_NUM_CHANNELS; c++)
	{
		char	   *address = jobs_notify_address(notify, c);

		if (address)
			jobs_address_check(c, address);
	}
	if (reached_limit(owner, &limit))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("there have been %d messages about jobs of this role within an hour", limit),
				 errhint("Leave out notify, or ask an administrator to raise jobs.max_deliveries_per_role.")));
	return notify;
}

/* An object with at least one channel, and strings. */
static void
check_members(Jsonb *notify)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;
	bool		valid = JB_ROOT_IS_OBJECT(notify) && JB_ROOT_COUNT(notify) > 0;

	if (valid)
	{
		it = JsonbIteratorInit(&notify->root);
		while (valid && (token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		{
			bool		known = false;

			for (int c = 0; c < JOBS_NUM_CHANNELS && token == WJB_KEY; c++)
				known |= v.val.string.len == strlen(jobs_channel_names[c]) &&
					memcmp(v.val.string.val, jobs_channel_names[c], v.val.string.len) == 0;
			if ((token == WJB_KEY && !known) || (token == WJB_VALUE && v.type != jbvString))
				valid = false;
		}
	}
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("notify must be an object with the strings \"email\" and \"webhook\", or one of them"),
				 errhint("For example {\"email\": \"ada@example.com\"}.")));
}

char *
jobs_notify_address(const Jsonb *notify, JobsChannel channel)
{
	JsonbValue	buffer;
	JsonbValue *value = NULL;

	if (JB_ROOT_IS_OBJECT(notify))
		value = getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &notify->root),
											 jobs_channel_names[channel],
											 strlen(jobs_channel_names[channel]), &buffer);

	return value && value->type == jbvString ?
		pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}

static bool
reached_limit(Oid owner, int *limit)
{
	*limit = jobs_role_max_deliveries(owner);
	return *limit > 0 && jobs_outbox_count(owner, GetCurrentTimestamp() - JOBS_LIMIT_US, *limit) >= *limit;
}

/* ------------------------------------------------------------------------
 * At the end
 * ------------------------------------------------------------------------
 */

/*
 * What is more than the limit is there to be read, but leaves nobody: a job must not
 * fail for that.
 */
void
jobs_delivery_write(const Job *job)
{
	int			limit;

	for (int c = 0; job->notify && c < JOBS_NUM_CHANNELS; c++)
	{
		JobsDelivery delivery = {
			.job = job->id,
			.owner = job->owner,
			.owner_name = job->owner_name,
			.tenant = job->tenant,
			.origin = jobs_origin(),
			.channel = c,
			.address = jobs_notify_address(job->notify, c)
		};

		if (delivery.address == NULL)
			continue;
		delivery.message_id = new_message_id();
		delivery.created_at = delivery.due_at = GetCurrentTimestamp();
		jobs_message_write(job, &delivery);
		if (reached_limit(job->owner, &limit))
		{
			delivery.state = DELIVERY_FAILED;
			delivery.due_at = 0;
			delivery.ended_at = delivery.created_at;
			delivery.answer = psprintf("there had been %d messages about jobs of this role within an hour", limit);
			delivery.body = delivery.html = delivery.payload = NULL;
		}
		jobs_outbox_add(&delivery);
	}
}

int
jobs_delivery_channels(const Job *job)
{
	int			channels = 0;

	for (int c = 0; job->notify && job_state_is_final(job->state) && c < JOBS_NUM_CHANNELS; c++)
	{
		if (jobs_notify_address(job->notify, c))
			channels |= JOBS_CHANNEL_BIT(c);
	}
	return channels;
}

/* A random UUID. */
static char *
new_message_id(void)
{
	uint8		r[16];

	if (!pg_strong_random(r, sizeof(r)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random message id")));
	r[6] = (r[6] & 0x0f) | 0x40;
	r[8] = (r[8] & 0x3f) | 0x80;
	return psprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
					r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7],
					r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
}
