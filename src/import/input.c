/*-------------------------------------------------------------------------
 *
 * input.c
 *	  The bytes of an upload, or of a value, inflated where they are gzip.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "import/gunzip.h"
#include "import/input.h"
#include "import/upload.h"
#include "miscadmin.h"
#include "utils/memutils.h"

struct Input
{
	JobId		upload;			/* 0: bytes */
	const char *bytes;			/* what is left of them, or of the chunk at hand */
	size_t		len;
	int64		next_chunk;
	MemoryContext chunk_context;
	const char *all;			/* the bytes, to begin anew */
	int64		read;
	int64		inflated;
	int64		total;
	bool		gzip;
	Gunzip	   *gunzip;
	MemoryContextCallback callback;
};

static Input *open_input(JobId upload, const char *bytes, int64 total);
static void rewind_input(Input *input);
static void release(void *arg);
static bool next_bytes(Input *input);

static Input *
open_input(JobId upload, const char *bytes, int64 total)
{
	Input	   *input = palloc0(sizeof(Input));

	input->upload = upload;
	input->all = bytes;
	input->total = total;
	if (upload != 0)
		input->chunk_context = AllocSetContextCreate(CurrentMemoryContext, "jobs upload chunk", ALLOCSET_DEFAULT_SIZES);
	input->callback.func = release;
	input->callback.arg = input;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &input->callback);
	rewind_input(input);
	input->gzip = next_bytes(input) && gunzip_is_gzip(input->bytes, input->len);
	return input;
}

Input *
jobs_input_open(JobId upload)
{
	return open_input(upload, NULL, jobs_upload_bytes(upload));
}

Input *
jobs_input_open_bytes(const char *bytes, size_t len)
{
	return open_input(0, bytes, len);
}

static void
rewind_input(Input *input)
{
	release(input);
	input->bytes = input->all;
	input->len = input->upload == 0 ? input->total : 0;
	input->next_chunk = 0;
	input->read = 0;
	input->inflated = 0;
}

static void
release(void *arg)
{
	Input	   *input = arg;

	if (input->gunzip)
		gunzip_end(input->gunzip);
	input->gunzip = NULL;
}

void
jobs_input_close(Input *input)
{
	release(input);
	if (input->chunk_context)
		MemoryContextDelete(input->chunk_context);
	input->chunk_context = NULL;
}

bool
jobs_input_is_gzip(Input *input)
{
	return input->gzip;
}

int64
jobs_input_bytes_read(Input *input)
{
	return input->read;
}

int64
jobs_input_bytes_total(Input *input)
{
	return input->total;
}

/* Has some of the stored bytes at hand; false at their end. */
static bool
next_bytes(Input *input)
{
	MemoryContext old;
	bytea	   *chunk;

	if (input->len > 0)
		return true;
	if (input->upload == 0 || input->read >= input->total)
		return false;
	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(input->chunk_context);
	old = MemoryContextSwitchTo(input->chunk_context);
	chunk = jobs_upload_chunk(input->upload, input->next_chunk++);
	MemoryContextSwitchTo(old);
	input->bytes = VARDATA_ANY(chunk);
	input->len = Min(VARSIZE_ANY_EXHDR(chunk), input->total - input->read);
	return input->len > 0;
}

int
jobs_input_read_stored(Input *input, char *buffer, int size)
{
	int			n;

	if (!next_bytes(input))
		return 0;
	n = Min(input->len, size);
	memcpy(buffer, input->bytes, n);
	input->bytes += n;
	input->len -= n;
	input->read += n;
	return n;
}

int
jobs_input_read(Input *input, char *buffer, int size)
{
	size_t		n = 0;

	if (!input->gzip)
		return jobs_input_read_stored(input, buffer, size);
	if (input->gunzip == NULL && (input->gunzip = gunzip_begin()) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	while (n == 0 && next_bytes(input))
	{
		size_t		before = input->len;

		if (!gunzip_some(input->gunzip, &input->bytes, &input->len, buffer, size, &n))
			jobs_input_gzip_broken();
		input->read += before - input->len;
		CHECK_FOR_INTERRUPTS();
	}
	if (n == 0 && !gunzip_is_whole(input->gunzip))
		jobs_input_gzip_cut();
	input->inflated += n;
	if (input->inflated > jobs_input_max_inflated())
		jobs_input_gzip_large();
	return n;
}

const char *
jobs_input_peek(Input *input, int len, int *got, bool *at_end)
{
	char	   *buffer = palloc(len + 1);
	char		more;
	int			n;

	Assert(input->read == 0);
	*got = 0;
	while (*got < len && (n = jobs_input_read(input, buffer + *got, len - *got)) > 0)
		*got += n;
	*at_end = *got < len || jobs_input_read(input, &more, 1) == 0;
	buffer[*got] = '\0';
	rewind_input(input);
	return buffer;
}

void
jobs_input_gzip_cut(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
			 errmsg("the gzip file ends too early"),
			 errhint("It was not uploaded to its end, or is damaged; \"gzip -t\" tells.  Upload the whole file again.")));
}

void
jobs_input_gzip_broken(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
			 errmsg("the gzip file is damaged"),
			 errhint("\"gzip -t\" tells whether it was before it was uploaded.  Upload a whole one again.")));
}

int64
jobs_input_max_inflated(void)
{
	return jobs_max_upload_size * INT64CONST(1048576);
}

void
jobs_input_gzip_large(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the gzip file holds more than %d MB", jobs_max_upload_size),
			 errhint("Split the file, or ask an administrator to raise \"jobs.max_upload_size\".")));
}
