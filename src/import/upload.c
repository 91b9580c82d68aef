/*-------------------------------------------------------------------------
 *
 * upload.c
 *	  Handing in files: in pieces, from large objects, from files on the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args.h"
#include "artifact.h"
#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "guc.h"
#include "import/upload.h"
#include "libpq/be-fsstubs.h"
#include "libpq/libpq-fs.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "rights.h"
#include "storage/fd.h"
#include "store.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(jobs_upload);
PG_FUNCTION_INFO_V1(jobs_upload_append);
PG_FUNCTION_INFO_V1(jobs_upload_lo);
PG_FUNCTION_INFO_V1(jobs_upload_file);
PG_FUNCTION_INFO_V1(jobs_upload_delete);
PG_FUNCTION_INFO_V1(jobs_upload_size);

#define KEEP_UPLOAD		USECS_PER_DAY	/* that nobody previews */
#define KEEP_AGAIN		USECS_PER_HOUR	/* how often that is written anew */
#define BYTES_PER_MB	INT64CONST(1048576)

/* An upload while it is read from somewhere. */
typedef struct Filling
{
	JobId		id;
	int64		bytes;
	char	   *buffer;			/* of JOBS_CHUNK_SIZE */
	MemoryContext context;		/* of one chunk */
} Filling;

static JobId new_upload(const char *filename);
static char *filename_arg(FunctionCallInfo fcinfo, int n);
static void check_size(int64 bytes);
static JobId upload_arg(FunctionCallInfo fcinfo);
static void filling_begin(Filling *filling, const char *filename);
static void filling_add(Filling *filling, size_t len);
static int	errcode_for_path(int error);
static int	open_file(const char *path);
static void refuse_reading(void);
pg_noreturn static void no_such_upload(JobId id);

/* ------------------------------------------------------------------------
 * For all ways
 * ------------------------------------------------------------------------
 */

/* The scheduler is told, which removes it a day later. */
static JobId
new_upload(const char *filename)
{
	TimestampTz now = GetCurrentTimestamp();
	Upload		upload = {
		.owner = GetUserId(),
		.tenant = jobs_tenant,
		.filename = (char *) filename,
		.created_at = now,
		.expires_at = now + KEEP_UPLOAD
	};

	jobs_require_preload();
	upload.id = jobs_store_next_id();
	jobs_store_add_upload(&upload);
	jobs_note_job(upload.id);
	return upload.id;
}

/* NULL where there is none. */
static char *
filename_arg(FunctionCallInfo fcinfo, int n)
{
	char	   *filename = jobs_text_arg(fcinfo, n);

	if (filename && (filename[0] == '\0' || pg_mbstrlen(filename) > JOBS_MAX_TITLE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("filename must have 1 to %d characters", JOBS_MAX_TITLE),
				 errhint("Pass the file's name without its directory, or leave it out.")));
	return filename;
}

static void
check_size(int64 bytes)
{
	if (bytes > jobs_max_upload_size * BYTES_PER_MB)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the upload would be larger than %d MB", jobs_max_upload_size),
				 errhint("Split the file, or ask an administrator to raise \"jobs.max_upload_size\".")));
}

static void
no_such_upload(JobId id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("upload %lld does not exist", (long long) id),
			 errhint("The view jobs.upload lists the uploads that you may see; one that nobody previews goes after a day.")));
}

Upload *
jobs_upload_find_controlled(JobId id)
{
	Upload	   *upload = jobs_store_find_upload(id, false);

	if (upload == NULL || !jobs_may_see(upload->owner, upload->tenant))
		no_such_upload(id);
	if (!jobs_may_control(upload->owner, upload->tenant))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for upload %lld", (long long) id),
				 errhint("Only members of the role that uploaded it may do that.")));
	return upload;
}

/* Its rights do not change, so they need not be asked again. */
Upload *
jobs_upload_lock_controlled(JobId id)
{
	Upload	   *upload;

	(void) jobs_upload_find_controlled(id);
	upload = jobs_store_find_upload(id, true);
	if (upload == NULL)
		no_such_upload(id);
	return upload;
}

JobId
jobs_upload_from_bytes(const char *bytes, size_t len, const char *filename)
{
	JobId		id;

	check_size(len);
	id = new_upload(filename);
	jobs_store_append(id, bytes, len);
	return id;
}

static JobId
upload_arg(FunctionCallInfo fcinfo)
{
	jobs_require_arg(fcinfo, 0, "upload", "Pass the id that jobs.upload has returned.");
	return PG_GETARG_INT64(0);
}

/* ------------------------------------------------------------------------
 * In pieces
 * ------------------------------------------------------------------------
 */

/*
 * jobs.upload(filename text)
 */
Datum
jobs_upload(PG_FUNCTION_ARGS)
{
	jobs_check_can_change("jobs.upload()");
	PG_RETURN_INT64(new_upload(filename_arg(fcinfo, 0)));
}

/*
 * jobs.upload_append(upload bigint, data bytea)
 *
 * What others append at the same time waits for the end of our transaction.
 */
Datum
jobs_upload_append(PG_FUNCTION_ARGS)
{
	JobId		id;
	Upload	   *upload;
	bytea	   *data;
	JobId		user;

	jobs_check_can_change("jobs.upload_append()");
	id = upload_arg(fcinfo);
	jobs_require_arg(fcinfo, 1, "data", "Pass the next bytes of the file.");
	upload = jobs_upload_lock_controlled(id);
	user = jobs_upload_user(id);
	if (user != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("upload %lld is used by job %lld", (long long) id, (long long) user),
				 errhint("Nothing can be added any more; make a new upload with jobs.upload.")));
	data = PG_GETARG_BYTEA_PP(1);
	check_size(jobs_upload_bytes(id) + VARSIZE_ANY_EXHDR(data));
	jobs_store_append(id, VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data));
	if (upload->expires_at < GetCurrentTimestamp() + KEEP_UPLOAD - KEEP_AGAIN)
		jobs_store_keep_upload(id, GetCurrentTimestamp() + KEEP_UPLOAD);
	PG_RETURN_VOID();
}

/*
 * jobs.upload_delete(upload bigint)
 */
Datum
jobs_upload_delete(PG_FUNCTION_ARGS)
{
	JobId		id;
	JobId		user;

	jobs_check_can_change("jobs.upload_delete()");
	id = upload_arg(fcinfo);
	(void) jobs_upload_lock_controlled(id);
	user = jobs_upload_user(id);
	if (user != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("upload %lld is used by job %lld", (long long) id, (long long) user),
				 errhint("Delete the job with jobs.delete; its upload goes with it.")));
	jobs_store_remove_upload(id);
	PG_RETURN_VOID();
}

/*
 * jobs._upload_size(upload bigint)
 */
Datum
jobs_upload_size(PG_FUNCTION_ARGS)
{
	Upload	   *upload = jobs_store_find_upload(PG_GETARG_INT64(0), false);

	if (upload == NULL || !jobs_may_see(upload->owner, upload->tenant))
		PG_RETURN_NULL();
	PG_RETURN_INT64(jobs_upload_bytes(upload->id));
}

/* ------------------------------------------------------------------------
 * From large objects and files
 * ------------------------------------------------------------------------
 */

static void
filling_begin(Filling *filling, const char *filename)
{
	filling->id = new_upload(filename);
	filling->bytes = 0;
	filling->buffer = palloc(JOBS_CHUNK_SIZE);
	filling->context = AllocSetContextCreate(CurrentMemoryContext, "jobs upload", ALLOCSET_DEFAULT_SIZES);
}

/* The first len bytes of the buffer. */
static void
filling_add(Filling *filling, size_t len)
{
	MemoryContext old = MemoryContextSwitchTo(filling->context);

	CHECK_FOR_INTERRUPTS();
	filling->bytes += len;
	check_size(filling->bytes);
	jobs_store_append(filling->id, filling->buffer, len);
	MemoryContextSwitchTo(old);
	MemoryContextReset(filling->context);
}

/*
 * jobs.upload_lo(lo oid, filename text)
 *
 * Goes through the functions that SQL calls, which check rights as lo_get does and
 * tidy up after errors.
 */
Datum
jobs_upload_lo(PG_FUNCTION_ARGS)
{
	Filling		filling;
	char	   *filename;
	int			fd;
	int			n;

	jobs_check_can_change("jobs.upload_lo()");
	jobs_require_arg(fcinfo, 0, "lo", "Pass the OID of a large object.");
	filename = filename_arg(fcinfo, 1);
	fd = DatumGetInt32(DirectFunctionCall2(be_lo_open, PG_GETARG_DATUM(0), Int32GetDatum(INV_READ)));
	filling_begin(&filling, filename);
	while ((n = lo_read(fd, filling.buffer, JOBS_CHUNK_SIZE)) > 0)
		filling_add(&filling, n);
	(void) DirectFunctionCall1(be_lo_close, Int32GetDatum(fd));
	MemoryContextDelete(filling.context);
	PG_RETURN_INT64(filling.id);
}

/*
 * jobs.upload_file(path text)
 */
Datum
jobs_upload_file(PG_FUNCTION_ARGS)
{
	Filling		filling;
	char	   *path;
	int			fd;
	ssize_t		n;

	jobs_check_can_change("jobs.upload_file()");
	jobs_require_arg(fcinfo, 0, "path", "Pass the path of a file on the server.");
	refuse_reading();
	path = text_to_cstring(PG_GETARG_TEXT_PP(0));
	canonicalize_path(path);
	fd = open_file(path);
	filling_begin(&filling, last_dir_separator(path) ? last_dir_separator(path) + 1 : path);
	for (;;)
	{
		size_t		got = 0;

		do
		{
			n = read(fd, filling.buffer + got, JOBS_CHUNK_SIZE - got);
			if (n < 0 && errno != EINTR)
				ereport(ERROR,
						(errcode_for_file_access(),
						 errmsg("could not read file \"%s\": %m", path)));
			got += Max(n, 0);
		} while (n != 0 && got < JOBS_CHUNK_SIZE);
		if (got > 0)
			filling_add(&filling, got);
		if (n == 0)
			break;
	}
	CloseTransientFile(fd);
	MemoryContextDelete(filling.context);
	PG_RETURN_INT64(filling.id);
}

/* As COPY does. */
static void
refuse_reading(void)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read files on the server"),
				 errdetail("Only roles with privileges of the \"pg_read_server_files\" role may upload from a file."),
				 errhint("Anyone can upload a file of his own with jobs.upload and jobs.upload_append, or with psql's \\lo_import and jobs.upload_lo.")));
}

/* errcode_for_file_access() takes these for internal errors, but it is the caller's path. */
static int
errcode_for_path(int error)
{
	switch (error)
	{
		case ENAMETOOLONG:
			return errcode(ERRCODE_INVALID_PARAMETER_VALUE);
		case ELOOP:
		case ENODEV:
		case ENXIO:
			return errcode(ERRCODE_WRONG_OBJECT_TYPE);
		default:
			return errcode_for_file_access();
	}
}

/* Does not wait for a writer, where the path is a pipe's. */
static int
open_file(const char *path)
{
	struct stat st;
	char		byte;
	int			fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	int			error = errno;

	if (fd < 0)
		ereport(ERROR,
				(errcode_for_path(error),
				 errmsg("could not open file \"%s\" for reading: %m", path),
				 errhint("The server reads the file, so it must be on the server's machine and its user must be able to read it.")));
	if (fstat(fd, &st) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", path)));
	/* What has a size of nothing and something in it is the kernel's, in /proc. */
	if (!S_ISREG(st.st_mode) || (st.st_size == 0 && read(fd, &byte, 1) > 0))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a regular file", path),
				 errhint("Directories, pipes, devices and files in /proc cannot be uploaded.")));
	return fd;
}
