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
#include "mb/pg_wchar.h"
#include "store.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#define CHUNK_BYTES		(128 * 1024)
#define MAX_REASONS		10000	/* different ones; later ones are left out */
#define MAX_REASON_LEN	256		/* bytes, with the NUL */

typedef struct ReasonEntry
{
	char		text[MAX_REASON_LEN];
	int			number;			/* 0: not written yet */
} ReasonEntry;

struct VerdictWriter
{
	JobId		job;
	int64		next_chunk;
	int64		rows;			/* up to which one the runs go */
	int64		run;			/* length of the last run, not written yet */
	int			kind;			/* action << 2 | severity */
	ReasonEntry *reason;
	HTAB	   *reasons;
	int			nreasons;
	int			nwritten;
	ReasonEntry *last;			/* that was asked for */
	StringInfoData buf;
	MemoryContext context;
};

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

static ReasonEntry *find_reason(VerdictWriter *writer, const char *text);
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
	jobs_record_damaged();
}

void
jobs_record_damaged(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the record of an import is damaged")));
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
	ReasonEntry *reason = verdict->reason ? find_reason(writer, verdict->reason) : NULL;

	Assert(row_no > writer->rows);
	if (row_no > writer->rows + 1)
	{
		Verdict		plain = {ROW_INSERT, SEVERITY_NONE, NULL};
		int64		gap = row_no - writer->rows - 1;

		jobs_verdicts_put(writer, writer->rows + 1, &plain);
		writer->run += gap - 1;
	}
	if (writer->run > 0 && (kind != writer->kind || reason != writer->reason))
		end_run(writer);
	writer->kind = kind;
	writer->reason = reason;
	writer->run++;
	writer->rows = row_no;
}

/* Neighbours often have the same one. */
static ReasonEntry *
find_reason(VerdictWriter *writer, const char *text)
{
	ReasonEntry *entry;
	char		key[MAX_REASON_LEN];
	bool		found;

	if (writer->last && strcmp(writer->last->text, text) == 0)
		return writer->last;
	if (writer->reasons == NULL)
	{
		HASHCTL		ctl = {.keysize = MAX_REASON_LEN, .entrysize = sizeof(ReasonEntry), .hcxt = writer->context};

		writer->reasons = hash_create("jobs reasons", 64, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	strlcpy(key, text, sizeof(key));
	key[pg_mbcliplen(key, strlen(key), MAX_REASON_LEN - 1)] = '\0';
	entry = hash_search(writer->reasons, key, writer->nreasons < MAX_REASONS ? HASH_ENTER : HASH_FIND, &found);
	if (entry && !found)
	{
		entry->number = 0;
		writer->nreasons++;
	}
	writer->last = entry;
	return entry;
}

/* Reasons have their numbers in the order in which they are written. */
static void
end_run(VerdictWriter *writer)
{
	ReasonEntry *reason = writer->reason;
	bool		first = reason && reason->number == 0;

	if (first)
		reason->number = ++writer->nwritten;
	jobs_append_varint(&writer->buf, (uint64) writer->run << 4 | writer->kind);
	jobs_append_varint(&writer->buf, reason ? reason->number : 0);
	if (first)
	{
		int			len = strlen(reason->text);

		jobs_append_varint(&writer->buf, len);
		appendBinaryStringInfo(&writer->buf, reason->text, len);
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

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------
 */

VerdictReader *
jobs_verdicts_open(JobId job, int64 first_chunk, Snapshot snapshot)
{
	VerdictReader *reader = palloc0(sizeof(VerdictReader));

	reader->job = job;
	reader->next_chunk = first_chunk;
	reader->snapshot = snapshot;
	reader->context = CurrentMemoryContext;
	return reader;
}

const Verdict *
jobs_verdicts_next(VerdictReader *reader)
{
	while (reader->left == 0)
	{
		if (!next_run(reader))
		{
			reader->verdict = (Verdict) {ROW_INSERT, SEVERITY_NONE, NULL};
			reader->left = PG_UINT64_MAX;
		}
	}
	reader->left--;
	return &reader->verdict;
}

static bool
next_run(VerdictReader *reader)
{
	uint64		head;

	if (reader->p == reader->end)
	{
		MemoryContext old = MemoryContextSwitchTo(reader->context);

		if (reader->chunk)
			pfree(reader->chunk);
		reader->chunk = jobs_store_get_chunk(reader->job, reader->next_chunk, reader->snapshot);
		MemoryContextSwitchTo(old);
		if (reader->chunk == NULL)
			return false;
		reader->next_chunk++;
		reader->p = VARDATA_ANY(reader->chunk);
		reader->end = reader->p + VARSIZE_ANY_EXHDR(reader->chunk);
	}
	head = jobs_read_varint(&reader->p, reader->end);
	reader->left = head >> 4;
	reader->verdict.action = head >> 2 & 3;
	reader->verdict.severity = head & 3;
	reader->verdict.reason = read_reason(reader, jobs_read_varint(&reader->p, reader->end));
	return true;
}

static const char *
read_reason(VerdictReader *reader, uint64 number)
{
	uint64		len;

	if (number == 0)
		return NULL;
	if (number <= reader->nreasons)
		return reader->reasons[number - 1];
	len = jobs_read_varint(&reader->p, reader->end);
	if (number != reader->nreasons + 1 || len > reader->end - reader->p)
		jobs_record_damaged();
	if (reader->nreasons == reader->max_reasons)
	{
		reader->max_reasons = Max(64, 2 * reader->max_reasons);
		reader->reasons = reader->reasons ?
			repalloc(reader->reasons, reader->max_reasons * sizeof(char *)) :
			MemoryContextAlloc(reader->context, reader->max_reasons * sizeof(char *));
	}
	reader->reasons[reader->nreasons] = MemoryContextStrdup(reader->context, pnstrdup(reader->p, len));
	reader->p += len;
	return reader->reasons[reader->nreasons++];
}
