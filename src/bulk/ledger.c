/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  The items of bulk jobs and what became of them, in tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/toast_internals.h"
#include "access/xact.h"
#include "bulk/ledger.h"
#include "miscadmin.h"
#include "rel.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Columns of jobs.item_chunk. */
enum
{
	CHUNK_JOB, CHUNK_FIRST_NO, CHUNK_N, CHUNK_PAYLOADS, CHUNK_COUNT
};
StaticAssertDecl(CHUNK_COUNT == JOBS_ITEM_CHUNK_NATTS, "JOBS_ITEM_CHUNK_NATTS is wrong");

/* Columns of jobs.outcome. */
enum
{
	OUT_JOB, OUT_FIRST_NO, OUT_ROUND, OUT_N, OUT_STATE, OUT_FINISHED_AT, OUT_CODE, OUT_MESSAGE, OUT_DETAIL, OUT_HINT,
	OUT_RESULTS, OUT_COUNT
};
StaticAssertDecl(OUT_COUNT == JOBS_OUTCOME_NATTS, "JOBS_OUTCOME_NATTS is wrong");

/* Columns of jobs.item_rule. */
enum
{
	RULE_JOB, RULE_SEQ, RULE_ROUND, RULE_SKIP, RULE_REASON, RULE_MADE_AT, RULE_COUNT
};
StaticAssertDecl(RULE_COUNT == JOBS_ITEM_RULE_NATTS, "JOBS_ITEM_RULE_NATTS is wrong");

#define CHUNK_BYTES			(64 * 1024) /* of payloads, unless one alone has more */
#define MIN_COMPRESSED		64
#define CHUNKS_PER_WORKER	16		/* at least, where there are several */

#ifdef USE_LZ4
#define PAYLOAD_COMPRESSION	TOAST_LZ4_COMPRESSION
#else
#define PAYLOAD_COMPRESSION	TOAST_PGLZ_COMPRESSION
#endif

struct JobsItemWriter
{
	JobId		job;
	int			workers;
	int64		expected;
	int64		total;			/* in chunks that are stored */
	MemoryContext context;		/* of the payloads of one chunk */
	int			n;
	Size		bytes;
	Jsonb	   *payloads[JOBS_CHUNK_ITEMS];
};

struct JobsLedger
{
	JobId		job;
	int32		round;
	Snapshot	snapshot;
	bool		results;
	List	   *rules;			/* of JobsItemRule * */
	MemoryContext context;		/* of what was read last */
};

const char *const jobs_item_state_names[ITEM_NUM_STATES] = {"open", "succeeded", "failed", "skipped"};

/* What the tables say for them. */
static const char state_letters[ITEM_NUM_STATES] = {'o', 's', 'f', 'k'};

static bytea *pack(Jsonb **values, int n);
static void unpack(bytea *packed, int n, Jsonb **values);
static int	chunk_limit(const JobsItemWriter *writer);
static void store_chunk(JobsItemWriter *writer);
static List *read_rules(const JobsLedger *ledger);
static Snapshot snapshot_of(const JobsLedger *ledger);
static bool find_chunk(JobsLedger *ledger, int64 item_no, JobsItems *items);
static void read_chunk_row(TupleTableSlot *slot, JobsItems *items);
static void read_outcomes(JobsLedger *ledger, JobsItems *items);
static JobsOutcome *row_to_outcome(TupleTableSlot *slot, bool results);
static int	compare_outcomes(const ListCell *a, const ListCell *b);
static void apply_rules(const JobsLedger *ledger, JobsItems *items, int32 round, bool skip);
static void apply_outcome(JobsItems *items, const JobsOutcome *outcome);

#define GET(a)			(slot->tts_values[a])
#define GET_TEXT(a)		(slot->tts_isnull[a] ? NULL : TextDatumGetCString(GET(a)))

/* ------------------------------------------------------------------------
 * Values in a row: one after the other, as they are in memory
 * ------------------------------------------------------------------------
 */

/* A word of 0 stands for none. */
static bytea *
pack(Jsonb **values, int n)
{
	Size		size = VARHDRSZ;
	bytea	   *packed;
	char	   *p;

	for (int i = 0; i < n; i++)
		size += values[i] ? INTALIGN(VARSIZE(values[i])) : sizeof(int32);
	packed = palloc0(size);
	SET_VARSIZE(packed, size);
	p = VARDATA(packed);
	for (int i = 0; i < n; i++)
	{
		if (values[i])
			memcpy(p, values[i], VARSIZE(values[i]));
		p += values[i] ? INTALIGN(VARSIZE(values[i])) : sizeof(int32);
	}
	return packed;
}

static void
unpack(bytea *packed, int n, Jsonb **values)
{
	char	   *p = VARDATA(packed);
	char	   *end = (char *) packed + VARSIZE(packed);

	for (int i = 0; i < n; i++)
	{
		Jsonb	   *value = (Jsonb *) p;

		if (p + sizeof(int32) > end || (*(int32 *) p != 0 && p + VARSIZE(value) > end))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("items of a bulk job are damaged")));
		values[i] = *(int32 *) p != 0 ? value : NULL;
		p += values[i] ? INTALIGN(VARSIZE(value)) : sizeof(int32);
	}
}

/* ------------------------------------------------------------------------
 * Adding items
 * ------------------------------------------------------------------------
 */

JobsItemWriter *
jobs_items_begin(JobId job, int workers, int64 expected)
{
	JobsItemWriter *writer = palloc0(sizeof(JobsItemWriter));

	writer->job = job;
	writer->workers = workers;
	writer->expected = expected;
	writer->context = AllocSetContextCreate(CurrentMemoryContext, "jobs items", ALLOCSET_DEFAULT_SIZES);
	return writer;
}

/*
 * Small enough for several workers to end at about the same time: where nobody
 * knows how many items there will be, each chunk is a part of those before it.
 */
static int
chunk_limit(const JobsItemWriter *writer)
{
	int64		items = writer->expected >= 0 ? writer->expected : writer->total;

	if (writer->workers <= 1)
		return JOBS_CHUNK_ITEMS;
	items /= (int64) writer->workers * CHUNKS_PER_WORKER;
	return Min(Max(items, 1), JOBS_CHUNK_ITEMS);
}

void
jobs_items_add(JobsItemWriter *writer, const Jsonb *payload)
{
	MemoryContext old;
	Size		size = VARSIZE(payload);

	if (size > JOBS_MAX_PAYLOAD)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("item %lld has more than %d MB", (long long) writer->total + writer->n + 1,
						JOBS_MAX_PAYLOAD / (1024 * 1024)),
				 errhint("Keep large data in a table, and let the item say which.")));
	if (writer->n > 0 && (writer->n >= chunk_limit(writer) || writer->bytes + size > CHUNK_BYTES))
		store_chunk(writer);
	old = MemoryContextSwitchTo(writer->context);
	writer->payloads[writer->n] = palloc(size);
	memcpy(writer->payloads[writer->n++], payload, size);
	writer->bytes += size;
	MemoryContextSwitchTo(old);
}

static void
store_chunk(JobsItemWriter *writer)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);
	JobsRel		r;
	Datum		values[CHUNK_COUNT];
	Datum		compressed = (Datum) 0;

	values[CHUNK_JOB] = Int64GetDatum(writer->job);
	values[CHUNK_FIRST_NO] = Int64GetDatum(writer->total + 1);
	values[CHUNK_N] = Int32GetDatum(writer->n);
	values[CHUNK_PAYLOADS] = PointerGetDatum(pack(writer->payloads, writer->n));
	if (writer->bytes >= MIN_COMPRESSED)
		compressed = toast_compress_datum(values[CHUNK_PAYLOADS], PAYLOAD_COMPRESSION);
	if (DatumGetPointer(compressed) != NULL)
		values[CHUNK_PAYLOADS] = compressed;
	jobs_rel_open(&r, REL_ITEM_CHUNK, RowExclusiveLock);
	jobs_rel_insert_rows(&r, values, 1);
	jobs_rel_close(&r);
	writer->total += writer->n;
	writer->n = 0;
	writer->bytes = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->context);
}

int64
jobs_items_end(JobsItemWriter *writer)
{
	int64		total;

	if (writer->n > 0)
		store_chunk(writer);
	CommandCounterIncrement();
	total = writer->total;
	MemoryContextDelete(writer->context);
	pfree(writer);
	return total;
}

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------
 */

JobsLedger *
jobs_ledger_open(JobId job, int32 round, Snapshot snapshot, bool results)
{
	JobsLedger *ledger = palloc0(sizeof(JobsLedger));

	ledger->job = job;
	ledger->round = round;
	ledger->snapshot = snapshot;
	ledger->results = results;
	ledger->context = AllocSetContextCreate(CurrentMemoryContext, "jobs ledger", ALLOCSET_DEFAULT_SIZES);
	ledger->rules = read_rules(ledger);
	return ledger;
}

void
jobs_ledger_close(JobsLedger *ledger)
{
	MemoryContextDelete(ledger->context);
	pfree(ledger);
}

static Snapshot
snapshot_of(const JobsLedger *ledger)
{
	return ledger->snapshot ? ledger->snapshot : jobs_rel_snapshot();
}

static List *
read_rules(const JobsLedger *ledger)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData key;
	TupleTableSlot *slot;
	List	   *rules = NIL;

	jobs_rel_open(&r, REL_ITEM_RULE, AccessShareLock);
	slot = r.slot;
	jobs_key_int8(&key, 1, ledger->job);
	jobs_rel_scan(&scan, &r, "item_rule_pkey", &key, 1, snapshot_of(ledger));
	while (jobs_rel_next(&scan))
	{
		JobsItemRule *rule = palloc(sizeof(JobsItemRule));

		slot_getallattrs(slot);
		rule->round = DatumGetInt32(GET(RULE_ROUND));
		rule->skip = DatumGetBool(GET(RULE_SKIP));
		rule->reason = GET_TEXT(RULE_REASON);
		rule->made_at = DatumGetTimestampTz(GET(RULE_MADE_AT));
		rules = lappend(rules, rule);
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	return rules;
}

JobsItems *
jobs_ledger_read(JobsLedger *ledger, int64 item_no)
{
	MemoryContext old;
	JobsItems  *items;
	ListCell   *cell;
	int32		round = 1;

	MemoryContextReset(ledger->context);
	old = MemoryContextSwitchTo(ledger->context);
	items = palloc0(sizeof(JobsItems));
	items->context = ledger->context;
	if (!find_chunk(ledger, item_no, items))
	{
		MemoryContextSwitchTo(old);
		return NULL;
	}
	read_outcomes(ledger, items);
	for (int i = 0; i < items->n; i++)
		items->item[i].round = ledger->round;
	foreach(cell, items->outcomes)
	{
		const JobsOutcome *outcome = lfirst(cell);

		for (; round < outcome->round; round++)
		{
			apply_rules(ledger, items, round, true);
			apply_rules(ledger, items, round + 1, false);
		}
		apply_outcome(items, outcome);
	}
	for (; round < ledger->round; round++)
	{
		apply_rules(ledger, items, round, true);
		apply_rules(ledger, items, round + 1, false);
	}
	apply_rules(ledger, items, round, true);
	for (int i = 0; i < items->n; i++)
		items->nopen += items->item[i].state == ITEM_OPEN;
	MemoryContextSwitchTo(old);
	return items;
}

/* The last chunk that does not begin behind the item, or the first that does. */
static bool
find_chunk(JobsLedger *ledger, int64 item_no, JobsItems *items)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData keys[3];
	bool		found;

	jobs_rel_open(&r, REL_ITEM_CHUNK, AccessShareLock);
	jobs_key_int8(&keys[0], 1, ledger->job);
	jobs_key_int8_range(&keys[1], 2, 0, item_no);
	jobs_rel_scan(&scan, &r, "item_chunk_pkey", keys, 3, snapshot_of(ledger));
	found = jobs_rel_previous(&scan);
	if (found)
		read_chunk_row(r.slot, items);
	jobs_rel_scan_end(&scan);
	if (!found || items->first_no + items->n <= item_no)
	{
		jobs_key_int8_range(&keys[1], 2, item_no, PG_INT64_MAX);
		jobs_rel_scan(&scan, &r, "item_chunk_pkey", keys, 3, snapshot_of(ledger));
		found = jobs_rel_next(&scan);
		if (found)
			read_chunk_row(r.slot, items);
		jobs_rel_scan_end(&scan);
	}
	jobs_rel_close(&r);
	return found;
}

/* The payloads as they are stored; most readers of a chunk want few of them, or none. */
static void
read_chunk_row(TupleTableSlot *slot, JobsItems *items)
{
	struct varlena *stored;

	slot_getallattrs(slot);
	items->first_no = DatumGetInt64(GET(CHUNK_FIRST_NO));
	items->n = DatumGetInt32(GET(CHUNK_N));
	if (items->n < 1 || items->n > JOBS_CHUNK_ITEMS)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("items of a bulk job are damaged")));
	stored = (struct varlena *) DatumGetPointer(GET(CHUNK_PAYLOADS));
	items->packed = palloc(VARSIZE_ANY(stored));
	memcpy(items->packed, stored, VARSIZE_ANY(stored));
}

Jsonb *
jobs_items_payload(JobsItems *items, int i)
{
	if (items->payloads == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(items->context);
		bytea	   *packed = (bytea *) pg_detoast_datum(items->packed);

		items->payloads = palloc(items->n * sizeof(Jsonb *));
		unpack(packed, items->n, items->payloads);
		MemoryContextSwitchTo(old);
	}
	return items->payloads[i];
}

/* Those of rounds to come are left out, for whoever wants to see an earlier one. */
static void
read_outcomes(JobsLedger *ledger, JobsItems *items)
{
	JobsRel		r;
	JobsRelScan scan;
	ScanKeyData keys[3];

	jobs_rel_open(&r, REL_OUTCOME, AccessShareLock);
	jobs_key_int8(&keys[0], 1, ledger->job);
	jobs_key_int8_range(&keys[1], 2, items->first_no, items->first_no + items->n - 1);
	jobs_rel_scan(&scan, &r, "outcome_pkey", keys, 3, snapshot_of(ledger));
	while (jobs_rel_next(&scan))
	{
		JobsOutcome *outcome = row_to_outcome(r.slot, ledger->results);

		if (outcome->first_no + outcome->n > items->first_no + items->n)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("items of a bulk job are damaged")));
		if (outcome->round <= ledger->round)
			items->outcomes = lappend(items->outcomes, outcome);
	}
	jobs_rel_scan_end(&scan);
	jobs_rel_close(&r);
	list_sort(items->outcomes, compare_outcomes);
}

static JobsOutcome *
row_to_outcome(TupleTableSlot *slot, bool results)
{
	JobsOutcome *outcome = palloc0(sizeof(JobsOutcome));
	char		letter;

	slot_getallattrs(slot);
	outcome->first_no = DatumGetInt64(GET(OUT_FIRST_NO));
	outcome->round = DatumGetInt32(GET(OUT_ROUND));
	outcome->n = DatumGetInt32(GET(OUT_N));
	letter = DatumGetChar(GET(OUT_STATE));
	for (int i = 0; i < ITEM_NUM_STATES; i++)
	{
		if (state_letters[i] == letter)
			outcome->state = i;
	}
	outcome->finished_at = DatumGetTimestampTz(GET(OUT_FINISHED_AT));
	outcome->code = GET_TEXT(OUT_CODE);
	outcome->message = GET_TEXT(OUT_MESSAGE);
	outcome->detail = GET_TEXT(OUT_DETAIL);
	outcome->hint = GET_TEXT(OUT_HINT);
	if (results && !slot->tts_isnull[OUT_RESULTS])
	{
		outcome->results = palloc(outcome->n * sizeof(Jsonb *));
		unpack(DatumGetByteaPCopy(GET(OUT_RESULTS)), outcome->n, outcome->results);
	}
	return outcome;
}

static int
compare_outcomes(const ListCell *a, const ListCell *b)
{
	const JobsOutcome *x = lfirst(a);
	const JobsOutcome *y = lfirst(b);

	if (x->round != y->round)
		return x->round < y->round ? -1 : 1;
	return x->first_no < y->first_no ? -1 : x->first_no > y->first_no;
}

/* Those that begin a round, or with skip those that were made after it. */
static void
apply_rules(const JobsLedger *ledger, JobsItems *items, int32 round, bool skip)
{
	ListCell   *cell;

	foreach(cell, ledger->rules)
	{
		const JobsItemRule *rule = lfirst(cell);

		if (rule->round != round || rule->skip != skip)
			continue;
		for (int i = 0; i < items->n; i++)
		{
			JobsItem   *item = &items->item[i];

			if (item->state != ITEM_FAILED ||
				(rule->reason && strcmp(rule->reason, item->outcome->message) != 0))
				continue;
			item->state = skip ? ITEM_SKIPPED : ITEM_OPEN;
			item->finished_at = skip ? rule->made_at : 0;
			if (!skip)
				item->round = ledger->round;
		}
	}
}

static void
apply_outcome(JobsItems *items, const JobsOutcome *outcome)
{
	for (int i = 0; i < outcome->n; i++)
	{
		JobsItem   *item = &items->item[outcome->first_no - items->first_no + i];

		item->state = outcome->state;
		item->round = outcome->round;
		item->finished_at = outcome->finished_at;
		item->outcome = outcome;
	}
}

void
jobs_ledger_count(JobId job, int32 round, Snapshot snapshot, JobsItemCounts *counts)
{
	JobsLedger *ledger = jobs_ledger_open(job, round, snapshot, false);
	JobsItems  *items;

	memset(counts, 0, sizeof(JobsItemCounts));
	while ((items = jobs_ledger_read(ledger, counts->total + 1)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < items->n; i++)
			counts->state[items->item[i].state]++;
		counts->total = items->first_no + items->n - 1;
	}
	jobs_ledger_close(ledger);
}

void
jobs_ledger_count_job(Job *job)
{
	JobsItemCounts counts;

	if (job->total < 0)
		return;
	jobs_ledger_count(job->id, job->round, NULL, &counts);
	job->succeeded = counts.state[ITEM_SUCCEEDED];
	job->failed = counts.state[ITEM_FAILED];
	job->skipped = counts.state[ITEM_SKIPPED];
	job->processed = job->succeeded + job->failed + job->skipped;
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------
 */

void
jobs_ledger_add(JobsLedger *ledger, const JobsOutcome *outcome)
{
	JobsRel		r;
	Datum		values[OUT_COUNT] = {0};
	bool		nulls[OUT_COUNT] = {false};
	bytea	   *packed = outcome->results ? pack(outcome->results, outcome->n) : NULL;

#define PUT_TEXT(a, string) \
	do { if (!(nulls[a] = (string) == NULL)) values[a] = CStringGetTextDatum(string); } while (0)

	Assert(outcome->state != ITEM_OPEN);
	values[OUT_JOB] = Int64GetDatum(ledger->job);
	values[OUT_FIRST_NO] = Int64GetDatum(outcome->first_no);
	values[OUT_ROUND] = Int32GetDatum(ledger->round);
	values[OUT_N] = Int32GetDatum(outcome->n);
	values[OUT_STATE] = CharGetDatum(state_letters[outcome->state]);
	values[OUT_FINISHED_AT] = TimestampTzGetDatum(outcome->finished_at);
	PUT_TEXT(OUT_CODE, outcome->code);
	PUT_TEXT(OUT_MESSAGE, outcome->message);
	PUT_TEXT(OUT_DETAIL, outcome->detail);
	PUT_TEXT(OUT_HINT, outcome->hint);
	nulls[OUT_RESULTS] = packed == NULL;
	values[OUT_RESULTS] = PointerGetDatum(packed);
	jobs_rel_open(&r, REL_OUTCOME, RowExclusiveLock);
	jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
	for (int i = OUT_CODE; i < OUT_COUNT; i++)
	{
		if (!nulls[i])
			pfree(DatumGetPointer(values[i]));
	}
}

void
jobs_ledger_add_rule(JobsLedger *ledger, const JobsItemRule *rule)
{
	JobsRel		r;
	Datum		values[RULE_COUNT] = {0};
	bool		nulls[RULE_COUNT] = {false};
	JobsItemRule *copy = palloc(sizeof(JobsItemRule));

	values[RULE_JOB] = Int64GetDatum(ledger->job);
	values[RULE_SEQ] = Int32GetDatum(list_length(ledger->rules) + 1);
	values[RULE_ROUND] = Int32GetDatum(rule->round);
	values[RULE_SKIP] = BoolGetDatum(rule->skip);
	PUT_TEXT(RULE_REASON, rule->reason);
	values[RULE_MADE_AT] = TimestampTzGetDatum(rule->made_at);
	jobs_rel_open(&r, REL_ITEM_RULE, RowExclusiveLock);
	jobs_rel_insert(&r, values, nulls);
	jobs_rel_close(&r);
	*copy = *rule;
	ledger->rules = lappend(ledger->rules, copy);
}
