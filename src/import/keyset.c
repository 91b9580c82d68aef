/*-------------------------------------------------------------------------
 *
 * keyset.c
 *	  Keys of a file's rows, each with the row that has it, in bounded memory.
 *
 * Whether a row repeats a key must be known when its batch is judged, so what is
 * usual for large sets, to partition all keys and compare later, is no way here.
 *
 * Keys are written one after the other to a log, which only a match ever reads:
 *
 *	 ascending	 As long as each key is above the one before, there is nothing but
 *				 the log.  Numbers counted up cost a comparison.
 *	 table		 8 bytes for a key: 24 bits of its hash and its place in the log.
 *				 10 more bits choose one of 1,024 tables, which stand one after the
 *				 other in large pages, as a search is one read from memory anywhere.
 *				 A match of the 34 bits is verified in the log.
 *	 run		 Where the tables reach the limit they are merged, in the order of
 *				 hashes, into one sorted file; a Bloom filter in memory (up to 2
 *				 bytes for a key) says of nearly all new keys that they are not in it.
 *
 * Keys whose type has an order but no hash function are in a tree in memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>

#include "common/hashfn.h"
#include "compat.h"
#include "import/keyset.h"
#include "import/keytree.h"
#include "lib/bloomfilter.h"
#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#define TABLE_BITS		10
#define NUM_TABLES		(1 << TABLE_BITS)
#define HASH_BITS		24		/* in an entry, beside those that choose the table */
#define PLACE_BITS		40
#define ROW_NO_BITS		40
#define FIRST_SLOTS		4
#define PAGE_BYTES		4096	/* of memory; a multiple would do as well */
#define HUGE_BYTES		(4 * 1024 * 1024)	/* from here on large pages are asked for */
#define LOG_UNIT		8		/* bytes; entries count in these */
#define LOG_BUFFER		(256 * 1024)
#define RUN_WINDOW		512		/* entries that are read at once */

/* Hash bits above, place in the log (from 1) below; 0 is free. */
typedef uint64 Entry;

#define ENTRY_PLACE(entry)	((entry) & ((UINT64CONST(1) << PLACE_BITS) - 1))
#define ENTRY_HASH(entry)	((entry) >> PLACE_BITS)

/* What stands before each key in the log. */
typedef struct LogHead
{
	uint64		row_no:ROW_NO_BITS;
	uint64		len:24;
} LogHead;

struct KeySet
{
	const KeyShape *shape;
	KeyMemory  *memory;
	MemoryContext context;
	ResourceOwner owner;

	BufFile    *log;			/* NULL while all is in tail */
	int64		log_written;	/* bytes */
	char	   *tail;			/* the end of the log */
	int			tail_len;
	int			tail_size;
	char	   *found;			/* a key read back */
	int			found_size;

	bool		ascending;
	char	   *last;			/* the greatest key, while ascending */
	int			last_size;
	MemoryContext last_context; /* ... and its values by reference */
	Datum		last_values[INDEX_MAX_KEYS];
	bool		last_nulls[INDEX_MAX_KEYS];
	int64		nkeys;

	Entry	   *slots;			/* of all tables; NULL while there are none */
	uint32		nslots;			/* of each */
	uint32	   *used;			/* of each; NULL while ascending */
	Size		tables_bytes;
	KeyTree    *tree;			/* where there is no hash function */

	BufFile    *run;			/* NULL: none */
	int64	   *run_starts;		/* of each table's entries, and the end */
	bloom_filter *run_filter;
	Size		filter_bytes;
};

static void end_ascent(KeySet *set);
static void remember_last(KeySet *set, const Key *key);
static uint64 log_append(KeySet *set, const Key *key, int64 row_no);
static void log_read(KeySet *set, int64 at, void *data, int len);
static int64 matching_row(KeySet *set, uint64 place, const Key *key);
static void table_add(KeySet *set, uint64 hash, uint64 place);
static void table_insert(KeySet *set, uint32 t, Entry entry);
static void grow(KeySet *set);
static Entry *new_slots(KeySet *set, Size bytes);
static int64 run_find(KeySet *set, const Key *key);
static void merge(KeySet *set);

static inline uint32
hash_table(uint64 hash)
{
	return hash >> (64 - TABLE_BITS);
}

static inline uint32
hash_rest(uint64 hash)
{
	return (hash >> (64 - TABLE_BITS - HASH_BITS)) & ((1 << HASH_BITS) - 1);
}

/* What the filter knows of a key: all that is left of its hash. */
static inline uint64
hash_known(uint32 table, uint32 rest)
{
	return ((uint64) table << HASH_BITS) | rest;
}

KeySet *
jobs_keyset_create(const KeyShape *shape, KeyMemory *memory)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "jobs keys", ALLOCSET_DEFAULT_SIZES);
	KeySet	   *set = MemoryContextAllocZero(context, sizeof(KeySet));

	set->shape = shape;
	set->memory = memory;
	set->context = context;
	set->owner = CurrentResourceOwner;

	/* Keys that are nothing but bytes have no order. */
	set->ascending = OidIsValid(shape->columns[0].compare.fn_oid);
	if (!set->ascending)
		set->used = MemoryContextAllocZero(context, NUM_TABLES * sizeof(uint32));
	set->last_context = AllocSetContextCreate(context, "jobs last key", ALLOCSET_SMALL_SIZES);
	return set;
}

void
jobs_keyset_free(KeySet *set)
{
	if (set->log)
		BufFileClose(set->log);
	if (set->run)
		BufFileClose(set->run);
	set->memory->used -= set->tables_bytes + set->filter_bytes;
	if (set->tree)
		set->memory->used -= jobs_keytree_bytes(set->tree);
	MemoryContextDelete(set->context);
}

/* Where a search of a table begins. */
static inline uint32
home_slot(const KeySet *set, uint32 rest)
{
	return ((uint64) rest * set->nslots) >> HASH_BITS;
}

void
jobs_keyset_prefetch(KeySet *set, const Key *key)
{
	if (set->slots)
		__builtin_prefetch(set->slots + (Size) hash_table(key->hash) * set->nslots +
						   home_slot(set, hash_rest(key->hash)));
}

int64
jobs_keyset_find(KeySet *set, const Key *key)
{
	if (set->ascending)
	{
		if (set->nkeys == 0 ||
			jobs_key_compare(set->shape, set->last_values, set->last_nulls, key->values, key->nulls) < 0)
			return 0;
		end_ascent(set);
	}
	if (set->tree)
		return jobs_keytree_find(set->tree, key);

	if (set->slots)
	{
		const Entry *slots = set->slots + (Size) hash_table(key->hash) * set->nslots;
		uint32		rest = hash_rest(key->hash);

		for (uint32 i = home_slot(set, rest); slots[i] != 0; i = i + 1 == set->nslots ? 0 : i + 1)
		{
			if (ENTRY_HASH(slots[i]) == rest)
			{
				int64		row_no = matching_row(set, ENTRY_PLACE(slots[i]), key);

				if (row_no != 0)
					return row_no;
			}
		}
	}
	return set->run ? run_find(set, key) : 0;
}

void
jobs_keyset_add(KeySet *set, const Key *key, int64 row_no)
{
	uint64		place;

	set->nkeys++;
	if (set->tree)
	{
		jobs_keytree_add(set->tree, key, row_no);
		return;
	}
	Assert(row_no > 0 && row_no < INT64CONST(1) << ROW_NO_BITS);
	place = log_append(set, key, row_no);
	if (set->ascending)
		remember_last(set, key);
	else
		table_add(set, key->hash, place);
}

/* The key's bytes are copied, and its values with them. */
static void
remember_last(KeySet *set, const Key *key)
{
	MemoryContext old;

	if (set->shape->ncolumns == 1 && set->shape->columns[0].typbyval)
	{
		set->last_values[0] = key->values[0];
		set->last_nulls[0] = key->nulls[0];
		return;
	}
	MemoryContextReset(set->last_context);
	old = MemoryContextSwitchTo(set->last_context);
	jobs_key_unpack(set->shape, key->bytes, set->last_values, set->last_nulls);
	MemoryContextSwitchTo(old);
}

/* The first key that is not above all others: from now on there is a table. */
static void
end_ascent(KeySet *set)
{
	MemoryContext context = AllocSetContextCreate(set->context, "jobs keys read back", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(set->context);
	int64		end = set->log_written + set->tail_len;
	LogHead		head;

	if (set->shape->hashable)
		set->used = palloc0(NUM_TABLES * sizeof(uint32));
	else
		set->tree = jobs_keytree_create(set->shape, set->memory);
	set->ascending = false;
	MemoryContextSwitchTo(context);
	for (int64 at = 0; at < end; at += TYPEALIGN(LOG_UNIT, sizeof(LogHead) + head.len))
	{
		Datum		values[INDEX_MAX_KEYS];
		bool		nulls[INDEX_MAX_KEYS];
		Key			key;
		char	   *bytes;

		CHECK_FOR_INTERRUPTS();
		log_read(set, at, &head, sizeof(head));
		bytes = palloc(head.len);
		log_read(set, at + sizeof(head), bytes, head.len);
		jobs_key_unpack(set->shape, bytes, values, nulls);
		jobs_key_make(set->shape, values, nulls, &key);
		if (set->tree)
			jobs_keytree_add(set->tree, &key, head.row_no);
		else
			table_add(set, key.hash, at / LOG_UNIT + 1);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* The log. */

static void
log_flush(KeySet *set)
{
	MemoryContext old = MemoryContextSwitchTo(set->context);
	ResourceOwner owner = CurrentResourceOwner;

	if (set->log == NULL)
	{
		CurrentResourceOwner = set->owner;
		set->log = BufFileCreateTemp(false);
		CurrentResourceOwner = owner;
	}
	if (BufFileSeek(set->log, 0, set->log_written, SEEK_SET) != 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not seek in a temporary file of keys: %m")));
	BufFileWrite(set->log, set->tail, set->tail_len);
	set->log_written += set->tail_len;
	set->tail_len = 0;
	MemoryContextSwitchTo(old);
}

/* Returns the place, as entries have it. */
static uint64
log_append(KeySet *set, const Key *key, int64 row_no)
{
	LogHead		head = {.row_no = row_no,.len = key->len};
	int			size = TYPEALIGN(LOG_UNIT, sizeof(head) + key->len);
	int64		at;

	if (set->tail_len > 0 && set->tail_len + size > LOG_BUFFER)
		log_flush(set);
	if (set->tail_len + size > set->tail_size)
	{
		set->tail_size = Max(Min(2 * set->tail_size, LOG_BUFFER), Max(1024, set->tail_len + size));
		if (set->tail)
			set->tail = repalloc(set->tail, set->tail_size);
		else
			set->tail = MemoryContextAlloc(set->context, set->tail_size);
	}
	at = set->log_written + set->tail_len;
	if (at / LOG_UNIT + 1 >= INT64CONST(1) << PLACE_BITS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the keys of the file are too many")));
	memcpy(set->tail + set->tail_len, &head, sizeof(head));
	memcpy(set->tail + set->tail_len + sizeof(head), key->bytes, key->len);
	set->tail_len += size;
	return at / LOG_UNIT + 1;
}

/* What is read was written at once, so it is on one side. */
static void
log_read(KeySet *set, int64 at, void *data, int len)
{
	if (at >= set->log_written)
	{
		memcpy(data, set->tail + (at - set->log_written), len);
		return;
	}
	if (BufFileSeek(set->log, 0, at, SEEK_SET) != 0 || BufFileRead(set->log, data, len) != len)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not read a temporary file of keys: %m")));
}

static int64
matching_row(KeySet *set, uint64 place, const Key *key)
{
	int64		at = (place - 1) * LOG_UNIT;
	LogHead		head;

	log_read(set, at, &head, sizeof(head));
	if (head.len > set->found_size)
	{
		if (set->found)
			pfree(set->found);
		set->found_size = Max(head.len, 256);
		set->found = MemoryContextAlloc(set->context, set->found_size);
	}
	log_read(set, at + sizeof(head), set->found, head.len);
	return jobs_key_equal(set->shape, key, set->found, head.len) ? head.row_no : 0;
}

/* The tables. */

static void
table_add(KeySet *set, uint64 hash, uint64 place)
{
	uint32		t = hash_table(hash);

	/* Growing may have put all into the run instead, and then there are no tables. */
	while ((set->used[t] + 1) * 6 > set->nslots * 5)
		grow(set);
	table_insert(set, t, ((Entry) hash_rest(hash) << PLACE_BITS) | place);
}

static void
table_insert(KeySet *set, uint32 t, Entry entry)
{
	Entry	   *slots = set->slots + (Size) t * set->nslots;
	uint32		i = home_slot(set, ENTRY_HASH(entry));

	while (slots[i] != 0)
		i = i + 1 == set->nslots ? 0 : i + 1;
	slots[i] = entry;
	set->used[t]++;
}

/*
 * Makes the tables half as large again.  At the limit all entries go to the run
 * instead, unless this set is only a small part of what is in memory.
 */
static void
grow(KeySet *set)
{
	uint32		nslots = set->nslots ? set->nslots + set->nslots / 2 : FIRST_SLOTS;
	Size		bytes = (Size) NUM_TABLES * nslots * sizeof(Entry);
	uint32		old_nslots = set->nslots;
	Entry	   *old = set->slots;

	if (set->memory->used + bytes - set->tables_bytes > set->memory->limit &&
		set->tables_bytes >= set->memory->limit / 8)
	{
		merge(set);
		return;
	}
	set->slots = new_slots(set, bytes);
	set->nslots = nslots;
	memset(set->used, 0, NUM_TABLES * sizeof(uint32));
	for (uint32 t = 0; t < NUM_TABLES && old; t++)
	{
		for (uint32 i = 0; i < old_nslots; i++)
		{
			if (old[(Size) t * old_nslots + i] != 0)
				table_insert(set, t, old[(Size) t * old_nslots + i]);
		}
	}
	if (old)
		pfree(old);
	set->memory->used += bytes - set->tables_bytes;
	set->tables_bytes = bytes;
}

static Entry *
new_slots(KeySet *set, Size bytes)
{
	Entry	   *slots = MemoryContextAllocHuge(set->context, bytes);

#ifdef MADV_HUGEPAGE
	/* A hint that may be in vain. */
	if (bytes >= HUGE_BYTES)
		(void) madvise((void *) TYPEALIGN(PAGE_BYTES, slots), TYPEALIGN_DOWN(PAGE_BYTES, bytes - PAGE_BYTES),
					   MADV_HUGEPAGE);
#endif
	memset(slots, 0, bytes);
	return slots;
}

/* The run. */

static int
compare_entries(const void *a, const void *b)
{
	Entry		left = *(const Entry *) a;
	Entry		right = *(const Entry *) b;

	return left < right ? -1 : left > right ? 1 : 0;
}

/* A table's entries, in order, at the beginning of its slots. */
static Entry *
sort_table(KeySet *set, uint32 t)
{
	Entry	   *slots = set->slots + (Size) t * set->nslots;
	uint32		n = 0;

	for (uint32 i = 0; i < set->nslots; i++)
	{
		if (slots[i] != 0)
			slots[n++] = slots[i];
	}
	qsort(slots, n, sizeof(Entry), compare_entries);
	return slots;
}

static void
run_write(KeySet *set, BufFile *run, uint32 table, Entry entry)
{
	uint64		known = hash_known(table, ENTRY_HASH(entry));

	BufFileWrite(run, &entry, sizeof(entry));
	bloom_add_element(set->run_filter, (unsigned char *) &known, sizeof(known));
}

static Entry
run_read(BufFile *run)
{
	Entry		entry;

	if (BufFileRead(run, &entry, sizeof(entry)) != sizeof(entry))
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not read a temporary file of keys: %m")));
	return entry;
}

/* A filter for n entries, in up to a quarter of the memory. */
static void
new_filter(KeySet *set, int64 n)
{
	Size		limit = Max(set->memory->limit / 4, 1024 * 1024);

	if (set->run_filter)
		bloom_free(set->run_filter);
	set->memory->used -= set->filter_bytes;
	set->run_filter = bloom_create(n, limit / 1024, 0);
	set->filter_bytes = Min(limit, 2 * n);
	set->memory->used += set->filter_bytes;
}

/* Merges the tables into the run, and empties them. */
static void
merge(KeySet *set)
{
	MemoryContext old = MemoryContextSwitchTo(set->context);
	ResourceOwner owner = CurrentResourceOwner;
	BufFile    *run;
	int64		n = 0;

	CurrentResourceOwner = set->owner;
	run = BufFileCreateTemp(false);
	CurrentResourceOwner = owner;
	new_filter(set, set->nkeys);
	if (set->run && BufFileSeek(set->run, 0, 0, SEEK_SET) != 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not seek in a temporary file of keys: %m")));
	if (set->run_starts == NULL)
		set->run_starts = palloc0((NUM_TABLES + 1) * sizeof(int64));
	for (int t = 0; t < NUM_TABLES; t++)
	{
		Entry	   *slots = sort_table(set, t);
		int64		left = set->run_starts[t + 1] - set->run_starts[t];
		Entry		entry = left > 0 ? run_read(set->run) : 0;

		CHECK_FOR_INTERRUPTS();
		/* The starts of the new run take the place of those that have been used. */
		set->run_starts[t] = n;
		n += left + set->used[t];
		for (uint32 i = 0; i < set->used[t];)
		{
			if (left > 0 && entry < slots[i])
			{
				run_write(set, run, t, entry);
				entry = --left > 0 ? run_read(set->run) : 0;
			}
			else
				run_write(set, run, t, slots[i++]);
		}
		for (; left > 0; entry = --left > 0 ? run_read(set->run) : 0)
			run_write(set, run, t, entry);
	}
	set->run_starts[NUM_TABLES] = n;
	if (set->run)
		BufFileClose(set->run);
	set->run = run;
	pfree(set->slots);
	set->slots = NULL;
	set->nslots = 0;
	memset(set->used, 0, NUM_TABLES * sizeof(uint32));
	set->memory->used -= set->tables_bytes;
	set->tables_bytes = 0;
	MemoryContextSwitchTo(old);
}

/* Reads entries of the run into window, and returns how many there are. */
static int
run_window(KeySet *set, int64 from, int64 to, Entry *window)
{
	int			n = Min(to - from, RUN_WINDOW);

	if (BufFileSeek(set->run, 0, from * sizeof(Entry), SEEK_SET) != 0 ||
		BufFileRead(set->run, window, n * sizeof(Entry)) != n * sizeof(Entry))
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not read a temporary file of keys: %m")));
	return n;
}

/* Hashes are even, so a table's entry is near where its hash would have it. */
static int64
run_find(KeySet *set, const Key *key)
{
	uint32		t = hash_table(key->hash);
	uint32		rest = hash_rest(key->hash);
	uint64		known = hash_known(t, rest);
	int64		first = set->run_starts[t];
	int64		end = set->run_starts[t + 1];
	Entry		window[RUN_WINDOW];
	int64		from;
	int			n;

	if (first == end || bloom_lacks_element(set->run_filter, (unsigned char *) &known, sizeof(known)))
		return 0;
	from = first + (int64) (((uint64) (end - first) * rest) >> HASH_BITS) - RUN_WINDOW / 2;
	from = Max(first, Min(from, end - RUN_WINDOW));
	n = run_window(set, from, end, window);
	while (from > first && ENTRY_HASH(window[0]) >= rest)
	{
		from = Max(first, from - RUN_WINDOW + 1);
		n = run_window(set, from, end, window);
	}
	for (;;)
	{
		for (int i = 0; i < n; i++)
		{
			int64		row_no;

			if (ENTRY_HASH(window[i]) > rest)
				return 0;
			if (ENTRY_HASH(window[i]) == rest &&
				(row_no = matching_row(set, ENTRY_PLACE(window[i]), key)) != 0)
				return row_no;
		}
		from += n;
		if (from >= end)
			return 0;
		CHECK_FOR_INTERRUPTS();
		n = run_window(set, from, end, window);
	}
}
