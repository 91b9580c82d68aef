/*-------------------------------------------------------------------------
 *
 * verdict.c
 *	  The verdict on every row of a file, in few bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "import/verdict.h"
#include "lib/stringinfo.h"
#include "store.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#define CHUNK_BYTES		(128 * 1024)
#define MAX_REASONS		10000	/* different ones; later ones are left out */
#define MAX_REASON_LEN	256		/* bytes, with the NUL */

struct VerdictWriter
{
	JobId		job;
	int64		next_chunk;
	int64		rows;			/* up to which one the runs go */
	int64		run;			/* length of the last run, not written yet */
	int			kind;			/* action << 2 | severity */
	int			reason;
	HTAB	   *reasons;
	int			nreasons;
	char		last_reason[MAX_REASON_LEN];
	int			last_number;
	StringInfoData buf;
	MemoryContext context;
};

typedef struct ReasonEntry
{
	char		text[MAX_REASON_LEN];
	int			number;
	bool		written;
} ReasonEntry;

struct VerdictReader
{
	JobId		job;
	int64		next_chunk;
	Snapshot	snapshot;
	bytea	   *chunk;
	const char *p;
	const char *end;
	uint64		left;			/* of the run */
	Verdict		verdict;
	char	  **reasons;
	int			nreasons;
	int			max_reasons;
	MemoryContext context;
};

static int	reason_number(VerdictWriter *writer, const char *text);
static void end_run(VerdictWriter *writer);
static void write_chunk(VerdictWriter *writer);
static bool next_run(VerdictReader *reader);
static const char *read_reason(VerdictReader *reader, uint64 number);

/* ------------------------------------------------------------------------
 * Integers
 * ------------------------------------------------------------------------
 */

void
jobs_append_varint(StringInfo buf, uint64 value)
{
	enlargeStringInfo(buf, 10);
	while (value >= 0x80)
	{
		buf->data[buf->len++] = (char) (value | 0x80);
		value >>= 7;
	}
	buf->data[buf->len++] = (char) value;
	buf->data[buf->len] = '\0';
}

uint64
jobs_read_varint(const char **p, const char *end)
{
	uint64		value = 0;

	for (int shift = 0; *p < end && shift < 64; shift += 7)
	{
		unsigned char byte = *(*p)++;

		value |= (uint64) (byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return value;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the record of an import is damaged")));
	return 0;					/* not reached */
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------
 */

VerdictWriter *
jobs_verdicts_begin(JobId job, int64 first_chunk)
{
	VerdictWriter *writer = palloc0(sizeof(VerdictWriter));

	writer->job = job;
	writer->next_chunk = first_chunk;
	writer->context = CurrentMemoryContext;
	initStringInfo(&writer->buf);
	appendStringInfoSpaces(&writer->buf, VARHDRSZ);
	return writer;
}

void
jobs_verdicts_put(VerdictWriter *writer, int64 row_no, const Verdict *verdict)
{
	int			kind = verdict->action << 2 | verdict->severity;
	int			reason = verdict->reason ? reason_number(writer, verdict->reason) : 0;

	Assert(row_no > writer->rows);
	if (row_no > writer->rows + 1)
	{
		Verdict		plain = {ROW_INSERT, SEVERITY_NONE, NULL};
		int64		gap = row_no - writer->rows - 1;

		jobs_verdicts_put(writer, writer->rows + 1, &plain);
		writer->run += gap - 1;
		writer->rows = row_no - 1;
	}
	if (writer->run > 0 && (kind != writer->kind || reason != writer->reason))
		end_run(writer);
	writer->kind = kind;
	writer->reason = reason;
	writer->run++;
	writer->rows = row_no;
}

/* Neighbours often have the same one. */
static int
reason_number(VerdictWriter *writer, const char *text)
{
	char		key[MAX_REASON_LEN];
	ReasonEntry *entry;
	bool		found;

	if (writer->nreasons > 0 && strcmp(writer->last_reason, text) == 0)
		return writer->last_number;
	if (writer->reasons == NULL)
	{
		HASHCTL		ctl = {.keysize = MAX_REASON_LEN, .entrysize = sizeof(ReasonEntry), .hcxt = writer->context};

		writer->reasons = hash_create("jobs reasons", 64, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	strlcpy(key, text, sizeof(key));
	entry = hash_search(writer->reasons, key, writer->nreasons < MAX_REASONS ? HASH_ENTER : HASH_FIND, &found);
	if (entry == NULL)
		return 0;
	if (!found)
	{
		entry->number = ++writer->nreasons;
		entry->written = false;
	}
	strlcpy(writer->last_reason, text, sizeof(writer->last_reason));
	writer->last_number = entry->number;
	return entry->number;
}

/* Numbers are given in the order in which reasons come, which is that of the runs. */
static void
end_run(VerdictWriter *writer)
{
	jobs_append_varint(&writer->buf, (uint64) writer->run << 4 | writer->kind);
	jobs_append_varint(&writer->buf, writer->reason);
	if (writer->reason > 0)
	{
		HASH_SEQ_STATUS status;
		ReasonEntry *entry;

		/* The newest is the only one that can be unwritten. */
		if (writer->reason == writer->last_number)
			entry = hash_search(writer->reasons, writer->last_reason, HASH_FIND, NULL);
		else
		{
			hash_seq_init(&status, writer->reasons);
			while ((entry = hash_seq_search(&status)) != NULL && entry->number != writer->reason)
				;
			if (entry)
				hash_seq_term(&status);
		}
		if (entry && !entry->written)
		{
			int			len = strlen(entry->text);

			jobs_append_varint(&writer->buf, len);
			appendBinaryStringInfo(&writer->buf, entry->text, len);
			entry->written = true;
		}
	}
	writer->run = 0;
	if (writer->buf.len >= CHUNK_BYTES)
		write_chunk(writer);
}

static void
write_chunk(VerdictWriter *writer)
{
	SET_VARSIZE(writer->buf.data, writer->buf.len);
	jobs_store_add_chunk(writer->job, writer->next_chunk++, (bytea *) writer->buf.data, true);
	writer->buf.len = VARHDRSZ;
}

void
jobs_verdicts_end(VerdictWriter *writer)
{
	if (writer->run > 0)
		end_run(writer);
	if (writer->buf.len > VARHDRSZ)
		write_chunk(writer);
}
