/*-------------------------------------------------------------------------
 *
 * pump.c
 *	  From the stored bytes of a file to blocks of rows, in a thread.
 *
 *-------------------------------------------------------------------------
 */
#include "import/pump.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "import/gunzip.h"

#define SLOTS			3
#define BLOCKS			4
#define RAW_SIZE		(ROWS_BLOCK / 2)	/* bytes that are decoded at once */
#define WAIT_NS			100000000	/* that pump_next waits */
#define LARGE			(2 * 1024 * 1024)	/* a block of which there is only one */

typedef struct Slot
{
	char	   *data;
	size_t		len;
	int64_t		position;
	bool		full;			/* guarded by mutex */
} Slot;

typedef struct Block
{
	RowBlock	rows;
	bool		full;			/* guarded by mutex */
} Block;

/* Text that was put back, because a block of usual size had been enough. */
typedef struct Pending
{
	char	   *data;
	size_t		size;
	size_t		from;
	size_t		to;
} Pending;

struct Pump
{
	const PumpForm *form;
	bool		threaded;
	pthread_t	thread;
	pthread_mutex_t mutex;
	pthread_cond_t work;		/* for the thread: a slot is full, a block empty, or stop */
	pthread_cond_t done;		/* for the caller: the opposite */
	bool		stop;
	bool		put_end;
	bool		given;			/* the caller has the block next_out */
	PumpState	end_state;		/* PUMP_BLOCK until the last block is full */

	/* The caller's. */
	int			next_slot;
	int			next_out;

	/* The thread's, from here on. */
	Slot		slots[SLOTS];
	Block		blocks[BLOCKS];
	int			slot;
	int			block;
	const char *in;				/* what is left of the slot at hand; NULL: none is */
	size_t		in_len;
	int64_t		position;
	int64_t		inflated;		/* bytes, so far */
	Gunzip	   *gunzip;
	Decoder		decoder;
	char	   *raw;
	RowSplitter *splitter;
	Pending		pending;
	size_t		wanted;
	bool		at_end;			/* all bytes have been read */
	bool		begun;			/* the beginning of the text was looked at */
};

static bool prepare(Pump *pump);
static void start_thread(Pump *pump);
static void wait_a_while(Pump *pump);
static void *thread_main(void *arg);
static PumpState step(Pump *pump);
static PumpState fill(Pump *pump, RowBlock *block);
static PumpState read_source(Pump *pump, char *out, size_t size, size_t *n);
static bool next_slot(Pump *pump);
static bool take_pending(Pump *pump, RowBlock *block);
static bool put_back(Pump *pump, RowBlock *block, size_t used, size_t from_pending);

/* ------------------------------------------------------------------------
 * The caller's side
 * ------------------------------------------------------------------------
 */

Pump *
pump_begin(const PumpForm *form, bool thread)
{
	Pump	   *pump = calloc(1, sizeof(Pump));

	if (pump == NULL)
		return NULL;
	pump->form = form;
	pthread_mutex_init(&pump->mutex, NULL);
	pthread_cond_init(&pump->work, NULL);
	pthread_cond_init(&pump->done, NULL);
	if (!prepare(pump))
	{
		pump_end(pump);
		return NULL;
	}
	if (thread)
		start_thread(pump);
	return pump;
}

static bool
prepare(Pump *pump)
{
	const PumpForm *form = pump->form;

	decode_begin(&pump->decoder, form->decode, &form->table);
	pump->splitter = rows_begin(&form->rows);
	if (form->gzip)
		pump->gunzip = gunzip_begin();
	if (form->decode != DECODE_NONE)
		pump->raw = malloc(RAW_SIZE);
	if (pump->splitter == NULL || (form->gzip && pump->gunzip == NULL) ||
		(form->decode != DECODE_NONE && pump->raw == NULL))
		return false;
	for (int i = 0; i < SLOTS; i++)
	{
		pump->slots[i].data = malloc(PUMP_SLOT_SIZE);
		if (pump->slots[i].data == NULL)
			return false;
	}
	for (int i = 0; i < BLOCKS; i++)
	{
		if (!rows_block_init(&pump->blocks[i].rows))
			return false;
	}
	return true;
}

static void
start_thread(Pump *pump)
{
	sigset_t	all;
	sigset_t	old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pump->threaded = pthread_create(&pump->thread, NULL, thread_main, pump) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void
pump_end(Pump *pump)
{
	if (pump->threaded)
	{
		pthread_mutex_lock(&pump->mutex);
		pump->stop = true;
		pthread_cond_signal(&pump->work);
		pthread_mutex_unlock(&pump->mutex);
		pthread_join(pump->thread, NULL);
	}
	for (int i = 0; i < SLOTS; i++)
		free(pump->slots[i].data);
	for (int i = 0; i < BLOCKS; i++)
		rows_block_free(&pump->blocks[i].rows);
	if (pump->splitter)
		rows_end(pump->splitter);
	if (pump->gunzip)
		gunzip_end(pump->gunzip);
	free(pump->raw);
	free(pump->pending.data);
	pthread_cond_destroy(&pump->done);
	pthread_cond_destroy(&pump->work);
	pthread_mutex_destroy(&pump->mutex);
	free(pump);
}

char *
pump_slot(Pump *pump)
{
	Slot	   *slot = &pump->slots[pump->next_slot];
	bool		full;

	pthread_mutex_lock(&pump->mutex);
	full = slot->full || pump->put_end;
	pthread_mutex_unlock(&pump->mutex);
	return full ? NULL : slot->data;
}

void
pump_put(Pump *pump, size_t len, int64_t position)
{
	Slot	   *slot = &pump->slots[pump->next_slot];

	slot->len = len;
	slot->position = position;
	pump->next_slot = (pump->next_slot + 1) % SLOTS;
	pthread_mutex_lock(&pump->mutex);
	slot->full = true;
	pthread_cond_signal(&pump->work);
	pthread_mutex_unlock(&pump->mutex);
}

void
pump_put_end(Pump *pump)
{
	pthread_mutex_lock(&pump->mutex);
	pump->put_end = true;
	pthread_cond_signal(&pump->work);
	pthread_mutex_unlock(&pump->mutex);
}

PumpState
pump_next(Pump *pump, RowBlock **result)
{
	PumpState	state = PUMP_BLOCK;

	pthread_mutex_lock(&pump->mutex);
	if (pump->given)
	{
		pump->blocks[pump->next_out].full = false;
		pump->next_out = (pump->next_out + 1) % BLOCKS;
		pump->given = false;
		pthread_cond_signal(&pump->work);
	}
	while (!pump->blocks[pump->next_out].full)
	{
		if (pump->end_state != PUMP_BLOCK)
		{
			state = pump->end_state;
			break;
		}
		if (pump->threaded && !pump->put_end && !pump->slots[pump->next_slot].full)
		{
			state = PUMP_INPUT;
			break;
		}
		if (pump->threaded)
		{
			/* Also woken by a step that has made no row. */
			wait_a_while(pump);
			if (pump->blocks[pump->next_out].full || pump->end_state != PUMP_BLOCK)
				continue;
			state = PUMP_INPUT;
			break;
		}
		pthread_mutex_unlock(&pump->mutex);
		state = step(pump);
		pthread_mutex_lock(&pump->mutex);
		if (state == PUMP_INPUT)
			break;
		if (state != PUMP_BLOCK)
			pump->end_state = state;
		else if (!pump->blocks[pump->next_out].full)
		{
			state = PUMP_INPUT;
			break;
		}
		state = PUMP_BLOCK;
	}
	if (state == PUMP_BLOCK)
	{
		pump->given = true;
		*result = &pump->blocks[pump->next_out].rows;
	}
	pthread_mutex_unlock(&pump->mutex);
	return state;
}

/* For the thread, but not longer than WAIT_NS, for the caller may have been cancelled. */
static void
wait_a_while(Pump *pump)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += WAIT_NS;
	if (until.tv_nsec >= 1000000000)
	{
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	(void) pthread_cond_timedwait(&pump->done, &pump->mutex, &until);
}

/* ------------------------------------------------------------------------
 * The thread
 * ------------------------------------------------------------------------
 */

static void *
thread_main(void *arg)
{
	Pump	   *pump = arg;
	bool		alone = false;	/* the next block waits until all others are empty */

	pthread_mutex_lock(&pump->mutex);
	while (!pump->stop && pump->end_state == PUMP_BLOCK)
	{
		PumpState	state;
		bool		busy = pump->blocks[pump->block].full;

		for (int i = 0; alone && i < BLOCKS; i++)
			busy |= pump->blocks[i].full;
		if (busy)
		{
			pthread_cond_wait(&pump->work, &pump->mutex);
			continue;
		}
		pthread_mutex_unlock(&pump->mutex);
		state = step(pump);
		pthread_mutex_lock(&pump->mutex);
		alone = pump->wanted > LARGE || pump->blocks[(pump->block + BLOCKS - 1) % BLOCKS].rows.text_size > LARGE;
		if (state == PUMP_INPUT)
		{
			while (!pump->stop && !pump->put_end && !pump->slots[pump->slot].full)
				pthread_cond_wait(&pump->work, &pump->mutex);
		}
		else if (state != PUMP_BLOCK)
			pump->end_state = state;
		pthread_cond_signal(&pump->done);
	}
	pthread_mutex_unlock(&pump->mutex);
	return NULL;
}

/*
 * Fills the block at hand as far as there is input.  The result is PUMP_BLOCK when it
 * was filled, or PUMP_INPUT; the rest is the end.
 */
static PumpState
step(Pump *pump)
{
	RowBlock   *block = &pump->blocks[pump->block].rows;
	PumpState	state;
	size_t		used;
	size_t		from_pending = 0;

	if (block->nrows > 0 || block->text_len == 0)
	{
		rows_block_reset(block);
		if (!take_pending(pump, block))
			return PUMP_NO_MEMORY;
		from_pending = block->text_len;
	}
	state = fill(pump, block);
	if (state != PUMP_BLOCK)
		return state;
	if (pump->at_end && block->text_len == 0)
		return PUMP_END;
	if (!rows_split(pump->splitter, block, pump->at_end && pump->pending.from == pump->pending.to, &used, &pump->wanted) ||
		!put_back(pump, block, used, from_pending))
		return PUMP_NO_MEMORY;
	block->source_bytes = pump->position;
	/* Without any progress there has to be more next time. */
	if (used == 0 && pump->wanted <= block->text_len)
		pump->wanted = block->text_len + 1;
	if (block->nrows == 0)
	{
		block->text_len = 0;
		return PUMP_BLOCK;
	}
	pthread_mutex_lock(&pump->mutex);
	pump->blocks[pump->block].full = true;
	pthread_mutex_unlock(&pump->mutex);
	pump->block = (pump->block + 1) % BLOCKS;
	return PUMP_BLOCK;
}

/* Reads on until the block has what is wanted, or the input ends. */
static PumpState
fill(Pump *pump, RowBlock *block)
{
	size_t		wanted = pump->wanted > ROWS_BLOCK ? pump->wanted : ROWS_BLOCK;

	while (block->text_len < wanted && pump->pending.from == pump->pending.to && !pump->at_end)
	{
		bool		decode = pump->form->decode != DECODE_NONE;
		PumpState	state;
		size_t		n;

		if (!rows_block_reserve(block, decode ? (RAW_SIZE + 1) * DECODE_MAX : wanted - block->text_len))
			return PUMP_NO_MEMORY;
		state = read_source(pump, decode ? pump->raw : block->text + block->text_len,
							decode ? RAW_SIZE : wanted - block->text_len, &n);
		if (state != PUMP_BLOCK && state != PUMP_END)
			return state;
		if (decode)
			n = decode_some(&pump->decoder, pump->raw, n, block->text + block->text_len);
		block->text_len += n;
		if (state == PUMP_END)
		{
			pump->at_end = true;
			if (decode)
				block->text_len += decode_rest(&pump->decoder, block->text + block->text_len);
		}
	}
	if (!pump->begun && pump->form->bom && block->text_len >= 3 && memcmp(block->text, "\xef\xbb\xbf", 3) == 0)
	{
		block->text_len -= 3;
		memmove(block->text, block->text + 3, block->text_len);
	}
	pump->begun = true;
	return PUMP_BLOCK;
}

/* Some bytes as they stand in the file: PUMP_BLOCK, or PUMP_END. */
static PumpState
read_source(Pump *pump, char *out, size_t size, size_t *n)
{
	*n = 0;
	while (*n == 0)
	{
		if (pump->in_len == 0 && !next_slot(pump))
		{
			bool		ended;

			pthread_mutex_lock(&pump->mutex);
			ended = pump->put_end && !pump->slots[pump->slot].full;
			pthread_mutex_unlock(&pump->mutex);
			if (!ended)
				return PUMP_INPUT;
			return pump->gunzip && !gunzip_is_whole(pump->gunzip) ? PUMP_GZIP_CUT : PUMP_END;
		}
		if (pump->gunzip == NULL)
		{
			*n = pump->in_len < size ? pump->in_len : size;
			memcpy(out, pump->in, *n);
			pump->in += *n;
			pump->in_len -= *n;
		}
		else if (!gunzip_some(pump->gunzip, &pump->in, &pump->in_len, out, size, n))
			return PUMP_GZIP_BROKEN;
		else
		{
			pump->inflated += *n;
			if (pump->form->max_inflated > 0 && pump->inflated > pump->form->max_inflated)
				return PUMP_GZIP_LARGE;
		}
	}
	return PUMP_BLOCK;
}

/* Gives back the slot at hand and takes the next; false where none is full. */
static bool
next_slot(Pump *pump)
{
	bool		full;

	pthread_mutex_lock(&pump->mutex);
	if (pump->in)
	{
		pump->slots[pump->slot].full = false;
		pump->slot = (pump->slot + 1) % SLOTS;
		pump->in = NULL;
		pthread_cond_signal(&pump->done);
	}
	full = pump->slots[pump->slot].full;
	pthread_mutex_unlock(&pump->mutex);
	if (full)
	{
		pump->in = pump->slots[pump->slot].data;
		pump->in_len = pump->slots[pump->slot].len;
		pump->position = pump->slots[pump->slot].position;
	}
	return full;
}

/* The beginning of a block's text is what the one before has not used. */
static bool
take_pending(Pump *pump, RowBlock *block)
{
	Pending    *pending = &pump->pending;
	size_t		wanted = pump->wanted > ROWS_BLOCK ? pump->wanted : ROWS_BLOCK;
	size_t		n = pending->to - pending->from;

	n = n < wanted ? n : wanted;
	if (!rows_block_reserve(block, n))
		return false;
	if (n > 0)
		memcpy(block->text, pending->data + pending->from, n);
	block->text_len = n;
	pending->from += n;
	return true;
}

/* Where it came from there, by moving back; much text is not copied with each block. */
static bool
put_back(Pump *pump, RowBlock *block, size_t used, size_t from_pending)
{
	Pending    *pending = &pump->pending;
	size_t		n = block->text_len - used;

	if (from_pending == block->text_len && n <= pending->from)
	{
		pending->from -= n;
		return true;
	}
	if (n > pending->size)
	{
		free(pending->data);
		pending->size = 0;
		pending->data = malloc(n);
		if (pending->data == NULL)
			return false;
		pending->size = n;
	}
	if (n > 0)
		memcpy(pending->data, block->text + used, n);
	pending->from = 0;
	pending->to = n;
	if (pending->size > LARGE && n < LARGE / 2)
	{
		char	   *smaller = realloc(pending->data, LARGE);

		if (smaller)
		{
			pending->data = smaller;
			pending->size = LARGE;
		}
	}
	return true;
}
