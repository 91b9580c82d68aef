/*-------------------------------------------------------------------------
 *
 * artifact.c
 *	  Writing a file, chunk by chunk, in the job's transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "artifact.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "guc.h"
#include "miscadmin.h"
#include "store.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define BYTES_PER_MB	(INT64CONST(1024) * 1024)

struct JobsArtifact
{
	const Job  *job;
	bool		compress;
	pg_cryptohash_ctx *hash;
	int64		bytes;
	int64		chunks;
	int64		max_bytes;		/* of this file */
	int64		max_of_role;	/* of all the owner's files; 0 none */
	int64		others;			/* bytes of the owner's other files */
	Size		used;			/* bytes of the chunk being filled */
	bytea	   *chunk;
};

static void check_limits(const JobsArtifact *artifact, int64 bytes);
pg_noreturn static void hash_failed(JobsArtifact *artifact);
static void store_chunk(JobsArtifact *artifact);
static char *hash_digits(JobsArtifact *artifact);

JobsArtifact *
jobs_artifact_begin(const Job *job, bool compress)
{
	JobsArtifact *artifact = palloc0(sizeof(JobsArtifact));

	artifact->job = job;
	artifact->compress = compress;
	artifact->chunk = palloc(VARHDRSZ + JOBS_CHUNK_SIZE);
	artifact->max_bytes = jobs_max_artifact_size * BYTES_PER_MB;
	artifact->max_of_role = jobs_max_artifact_bytes_per_role * BYTES_PER_MB;
	if (artifact->max_of_role > 0)
		artifact->others = jobs_store_file_bytes(job->owner);
	check_limits(artifact, 0);
	artifact->hash = pg_cryptohash_create(PG_SHA256);
	if (pg_cryptohash_init(artifact->hash) < 0)
		hash_failed(artifact);
	return artifact;
}

/* Refuses a file of so many bytes. */
static void
check_limits(const JobsArtifact *artifact, int64 bytes)
{
	if (bytes > artifact->max_bytes)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the file would be larger than %d MB", jobs_max_artifact_size),
				 errhint("Export fewer rows, compress the file, or ask an administrator to raise \"jobs.max_artifact_size\".")));
	if (artifact->max_of_role > 0 && artifact->others + bytes > artifact->max_of_role)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the files of this role would be larger than %d MB together",
						jobs_max_artifact_bytes_per_role),
				 errhint("Delete jobs whose files are no longer needed, or ask an administrator to raise \"jobs.max_artifact_bytes_per_role\".")));
}

static void
hash_failed(JobsArtifact *artifact)
{
	/* Nothing else is known to make it fail. */
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("could not compute SHA-256: %s", pg_cryptohash_error(artifact->hash))));
}

void
jobs_artifact_write(JobsArtifact *artifact, const char *data, Size len)
{
	check_limits(artifact, artifact->bytes + (int64) len);
	artifact->bytes += len;
	while (len > 0)
	{
		Size		n = Min(len, JOBS_CHUNK_SIZE - artifact->used);

		CHECK_FOR_INTERRUPTS();
		if (pg_cryptohash_update(artifact->hash, (const uint8 *) data, n) < 0)
			hash_failed(artifact);
		memcpy(VARDATA(artifact->chunk) + artifact->used, data, n);
		artifact->used += n;
		if (artifact->used == JOBS_CHUNK_SIZE)
			store_chunk(artifact);
		data += n;
		len -= n;
	}
}

static void
store_chunk(JobsArtifact *artifact)
{
	SET_VARSIZE(artifact->chunk, VARHDRSZ + artifact->used);
	jobs_store_add_chunk(artifact->job->id, artifact->chunks, artifact->chunk, artifact->compress);
	artifact->chunks++;
	artifact->used = 0;
}

int64
jobs_artifact_bytes(const JobsArtifact *artifact)
{
	return artifact->bytes;
}

char *
jobs_artifact_end(JobsArtifact *artifact, const char *filename, const char *format,
				  const char *media_type, int64 rows, TimestampTz expires_at)
{
	JobsFile	file = {0};

	/* An empty file has a chunk too: none would mean that it has expired. */
	if (artifact->used > 0 || artifact->chunks == 0)
		store_chunk(artifact);

	/* Other exports of the role may have ended meanwhile. */
	if (artifact->max_of_role > 0)
	{
		artifact->others = jobs_store_file_bytes(artifact->job->owner);
		check_limits(artifact, artifact->bytes);
	}

	file.job = artifact->job->id;
	file.owner = artifact->job->owner;
	file.tenant = artifact->job->tenant;
	file.filename = unconstify(char *, filename);
	file.format = unconstify(char *, format);
	file.media_type = unconstify(char *, media_type);
	file.rows = rows;
	file.bytes = artifact->bytes;
	file.sha256 = hash_digits(artifact);
	file.created_at = GetCurrentTimestamp();
	file.expires_at = expires_at;
	file.chunks = artifact->chunks;
	jobs_store_add_file(&file);
	pfree(artifact->chunk);
	pfree(artifact);
	return file.sha256;
}

static char *
hash_digits(JobsArtifact *artifact)
{
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
	char	   *digits = palloc(2 * PG_SHA256_DIGEST_LENGTH + 1);

	if (pg_cryptohash_final(artifact->hash, hash, sizeof(hash)) < 0)
		hash_failed(artifact);
	pg_cryptohash_free(artifact->hash);
	digits[hex_encode((const char *) hash, sizeof(hash), digits)] = '\0';
	return digits;
}
