/*-------------------------------------------------------------------------
 *
 * download.c
 *	  Reading the files that exports made, and sharing them by token.
 *
 * A download hands out one chunk per call, so it needs the memory of one chunk
 * whatever the size of the file.  All chunks come from one snapshot, which is
 * taken with the first: a file that expires or is deleted meanwhile is still
 * read to its end.  Nothing is written, so that a standby and a read-only
 * transaction can download; the scheduler counts from a note in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "args.h"
#include "delivery/delivery.h"
#include "download.h"
#include "filename.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq/be-fsstubs.h"
#include "libpq/libpq-fs.h"
#include "miscadmin.h"
#include "rights.h"
#include "store.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(jobs_download);
PG_FUNCTION_INFO_V1(jobs_download_token);
PG_FUNCTION_INFO_V1(jobs_download_lo);
PG_FUNCTION_INFO_V1(jobs_share);
PG_FUNCTION_INFO_V1(jobs_unshare);
PG_FUNCTION_INFO_V1(jobs_shared_artifact);

#define TOKEN_BYTES		32		/* of randomness */
#define TOKEN_LEN		43		/* the same in base64url, without padding */
#define HASH_BYTES		32		/* SHA-256 */

/* A file while it is read. */
typedef struct Download
{
	JobId		job;
	int64		chunks;
	int64		next;			/* the chunk to give next */
	int64		left;			/* bytes that the rest must have */
	Snapshot	snapshot;
	ResourceOwner owner;		/* that keeps the snapshot */
} Download;

static Datum next_chunk(FunctionCallInfo fcinfo);
static void start_srf(FunctionCallInfo fcinfo, const JobsFile *file);
static void end_srf(Datum arg);
static void download_begin(Download *d, const JobsFile *file);
static bytea *download_next(Download *d);
static void download_end(Download *d);
pg_noreturn static void chunk_missing(const Download *d);
static JobsFile *file_of(JobId id);
static JobsFile *file_of_token(text *token);
static bool has_expired(const JobsFile *file);
pg_noreturn static void no_file(const Job *job);
pg_noreturn static void file_expired(JobId id);
static TimestampTz token_expiry(const JobsFile *file, const Interval *expires_in);
static text *new_token(void);
static const uint8 *token_hash(text *token);

/* ------------------------------------------------------------------------
 * Downloading
 * ------------------------------------------------------------------------
 */

/*
 * jobs.download(job bigint)
 */
Datum
jobs_download(PG_FUNCTION_ARGS)
{
	JobId		id = jobs_job_arg(fcinfo);	/* no rows would look like an empty file */

	if (SRF_IS_FIRSTCALL())
		start_srf(fcinfo, file_of(id));
	return next_chunk(fcinfo);
}

/*
 * jobs.download(token text)
 */
Datum
jobs_download_token(PG_FUNCTION_ARGS)
{
	jobs_require_arg(fcinfo, 0, "token", "Pass the token that jobs.share has returned.");
	if (SRF_IS_FIRSTCALL())
		start_srf(fcinfo, file_of_token(PG_GETARG_TEXT_PP(0)));
	return next_chunk(fcinfo);
}

static Datum
next_chunk(FunctionCallInfo fcinfo)
{
	FuncCallContext *funcctx = SRF_PERCALL_SETUP();
	Download   *d = funcctx->user_fctx;
	bytea	   *chunk = download_next(d);

	if (chunk)
		SRF_RETURN_NEXT(funcctx, PointerGetDatum(chunk));

	/* At once, for what holds a snapshot holds up vacuum. */
	UnregisterExprContextCallback(((ReturnSetInfo *) fcinfo->resultinfo)->econtext,
								  end_srf, PointerGetDatum(d));
	download_end(d);
	jobs_note_download(d->job);
	SRF_RETURN_DONE(funcctx);
}

/*
 * The callback is for a query that ends before the file does.  It is called
 * before the memory of the calls goes, because it is registered after that.
 */
static void
start_srf(FunctionCallInfo fcinfo, const JobsFile *file)
{
	FuncCallContext *funcctx = SRF_FIRSTCALL_INIT();
	Download   *d = MemoryContextAllocZero(funcctx->multi_call_memory_ctx, sizeof(Download));

	download_begin(d, file);
	funcctx->user_fctx = d;
	RegisterExprContextCallback(((ReturnSetInfo *) fcinfo->resultinfo)->econtext,
								end_srf, PointerGetDatum(d));
}

static void
end_srf(Datum arg)
{
	download_end((Download *) DatumGetPointer(arg));
}

static void
download_begin(Download *d, const JobsFile *file)
{
	d->job = file->job;
	d->chunks = file->chunks;
	d->left = file->bytes;
	d->owner = CurrentResourceOwner;
	d->snapshot = RegisterSnapshotOnOwner(GetLatestSnapshot(), d->owner);
}

/* NULL after the last chunk.  The result is in the current memory context. */
static bytea *
download_next(Download *d)
{
	bytea	   *chunk;

	CHECK_FOR_INTERRUPTS();
	if (d->next >= d->chunks)
	{
		if (d->left != 0)
			chunk_missing(d);
		return NULL;
	}
	chunk = jobs_store_get_chunk(d->job, d->next, d->snapshot);
	if (chunk == NULL)
		chunk_missing(d);
	d->left -= VARSIZE_ANY_EXHDR(chunk);
	d->next++;
	return chunk;
}

static void
download_end(Download *d)
{
	if (d->snapshot)
		UnregisterSnapshotFromOwner(d->snapshot, d->owner);
	d->snapshot = NULL;
}

/*
 * Never ends a file early without a word.  Between the look at the file and the
 * snapshot it can have expired, or been made anew by a retry.
 */
static void
chunk_missing(const Download *d)
{
	JobsFile   *file = jobs_store_find_file(d->job);

	if (file && has_expired(file))
		file_expired(d->job);
	if (file == NULL || file->chunks != d->chunks)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the file of job %lld has just been removed", (long long) d->job),
				 errhint("Look at the job in the view jobs.job, and download again if it has a new file.")));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the file of job %lld is incomplete", (long long) d->job),
			 errdetail("After chunk %lld of %lld, %lld bytes are missing.",
					   (long long) d->next, (long long) d->chunks, (long long) d->left),
			 errhint("Submit the export again as a new job.")));
}

/*
 * jobs.download_lo(job bigint)
 *
 * Goes through the functions that SQL calls, which tidy up after errors.
 */
Datum
jobs_download_lo(PG_FUNCTION_ARGS)
{
	JobId		id = jobs_changed_job_arg(fcinfo, "jobs.download_lo()");
	Download	d = {0};
	MemoryContext chunk_context;
	MemoryContext old;
	bytea	   *chunk;
	Datum		lo;
	int			fd;

	download_begin(&d, file_of(id));
	chunk_context = AllocSetContextCreate(CurrentMemoryContext, "jobs chunk", ALLOCSET_DEFAULT_SIZES);
	lo = DirectFunctionCall1(be_lo_create, ObjectIdGetDatum(InvalidOid));
	fd = DatumGetInt32(DirectFunctionCall2(be_lo_open, lo, Int32GetDatum(INV_WRITE)));
	old = MemoryContextSwitchTo(chunk_context);
	while ((chunk = download_next(&d)) != NULL)
	{
		(void) lo_write(fd, VARDATA_ANY(chunk), VARSIZE_ANY_EXHDR(chunk));
		MemoryContextReset(chunk_context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(chunk_context);
	(void) DirectFunctionCall1(be_lo_close, Int32GetDatum(fd));
	download_end(&d);
	jobs_note_download(id);
	PG_RETURN_DATUM(lo);
}

/* ------------------------------------------------------------------------
 * Which file
 * ------------------------------------------------------------------------
 */

/* The file of a job that the caller may control, not expired; else an error. */
static JobsFile *
file_of(JobId id)
{
	bool		own;
	Job		   *job = jobs_find_controlled(id, &own);
	JobsFile   *file = jobs_store_find_file(id);

	if (file == NULL)
		no_file(job);
	if (has_expired(file))
		file_expired(id);
	return file;
}

/*
 * The token alone decides: its holder may be any role, of any tenant.  Whoever
 * has none learns nothing, so there is one answer to all that is not a token.
 * The look-up is by hash, so its time tells nothing about tokens that exist.
 */
static JobsFile *
file_of_token(text *token)
{
	JobsFile   *file = NULL;
	JobId		job;
	TimestampTz expires_at;

	if (jobs_store_find_token(token_hash(token), &job, &expires_at))
		file = jobs_store_find_file(job);
	if (file == NULL || has_expired(file) || expires_at <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("this link is not valid"),
				 errhint("It may have expired or been taken back; ask for a new one.")));
	return file;
}

/* Its bytes go some time after it has expired; a file without any never had some. */
static bool
has_expired(const JobsFile *file)
{
	return file->expires_at <= GetCurrentTimestamp() || (file->chunks == 0 && file->bytes > 0);
}

static void
no_file(const Job *job)
{
	const char *hint;

	if (job->kind != JOB_EXPORT)
		hint = "Only exports make a file.";
	else if (!job_state_is_final(job->state))
		hint = "It has not ended yet; jobs.wait waits for that.";
	else if (job->state == JOB_FAILED || job->state == JOB_CANCELLED)
		hint = "It has not succeeded; jobs.retry queues it again.";
	else
		hint = "Submit the export again as a new job.";
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("job %lld has no file", (long long) job->id),
			 errhint("%s", hint)));
}

static void
file_expired(JobId id)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the file of job %lld has expired", (long long) id),
			 errhint("Submit the export again as a new job.")));
}

/* ------------------------------------------------------------------------
 * Sharing
 * ------------------------------------------------------------------------
 */

/*
 * jobs.share(job bigint, expires_in interval)
 */
Datum
jobs_share(PG_FUNCTION_ARGS)
{
	JobId		id = jobs_changed_job_arg(fcinfo, "jobs.share()");
	TimestampTz expires_at = token_expiry(file_of(id), PG_ARGISNULL(1) ? NULL : PG_GETARG_INTERVAL_P(1));
	text	   *token = new_token();

	jobs_store_add_token(token_hash(token), id, expires_at);
	PG_RETURN_TEXT_P(token);
}

char *
jobs_token_for(JobId id)
{
	JobsFile   *file = jobs_store_find_file(id);
	text	   *token;

	if (file == NULL || has_expired(file))
		return NULL;
	token = new_token();
	jobs_store_add_token(token_hash(token), id, file->expires_at);
	return text_to_cstring(token);
}

/*
 * jobs.unshare(job bigint)
 *
 * Also where the file has gone: its tokens are then gone too.  What is sent from now
 * on has none.
 */
Datum
jobs_unshare(PG_FUNCTION_ARGS)
{
	JobId		id = jobs_changed_job_arg(fcinfo, "jobs.unshare()");
	bool		own;

	(void) jobs_find_controlled(id, &own);
	jobs_outbox_unlink(id);
	jobs_store_remove_tokens(id);
	PG_RETURN_VOID();
}

/*
 * jobs.shared(token text): what a gateway needs for the headers of an answer.
 */
Datum
jobs_shared_artifact(PG_FUNCTION_ARGS)
{
	JobsFile   *file = file_of_token(PG_GETARG_TEXT_PP(0));
	TupleDesc	desc;
	Datum		values[6];
	bool		nulls[6] = {false};

	desc = jobs_result_desc(fcinfo, lengthof(values));
	values[0] = CStringGetTextDatum(file->filename);
	values[1] = CStringGetTextDatum(file->media_type);
	values[2] = CStringGetTextDatum(jobs_disposition(file->filename));
	values[3] = Int64GetDatum(file->bytes);
	values[4] = CStringGetTextDatum(file->sha256);
	values[5] = TimestampTzGetDatum(file->expires_at);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* A token never outlives its file.  Days have 24 hours and months 30 days. */
static TimestampTz
token_expiry(const JobsFile *file, const Interval *expires_in)
{
	TimestampTz now = GetCurrentTimestamp();
	double		usecs;

	if (expires_in == NULL)
		return file->expires_at;

	/* Intervals can be longer than 64 bits count in microseconds. */
	usecs = (expires_in->month * (double) DAYS_PER_MONTH + expires_in->day) * USECS_PER_DAY + expires_in->time;
	if (usecs <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expires_in must be more than zero"),
				 errhint("Leave it out to share the file for as long as it exists.")));
	if (usecs >= file->expires_at - now)
		return file->expires_at;
	return now + (int64) usecs;
}

static text *
new_token(void)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8		random[TOKEN_BYTES];
	char		token[TOKEN_LEN];
	uint32		bits = 0;
	int			nbits = 0;
	int			n = 0;

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random token")));
	for (int i = 0; i < TOKEN_BYTES; i++)
	{
		bits = bits << 8 | random[i];
		nbits += 8;
		while (nbits >= 6)
		{
			nbits -= 6;
			token[n++] = digits[bits >> nbits & 63];
		}
	}
	token[n++] = digits[bits << (6 - nbits) & 63];
	Assert(n == TOKEN_LEN);
	return cstring_to_text_with_len(token, TOKEN_LEN);
}

/* Only this is stored: whoever reads the table has no token. */
static const uint8 *
token_hash(text *token)
{
	bytea	   *hash = DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, PointerGetDatum(token)));

	Assert(VARSIZE_ANY_EXHDR(hash) == HASH_BYTES);
	return (const uint8 *) VARDATA_ANY(hash);
}
