/*-------------------------------------------------------------------------
 *
 * arena.h
 *	  Memory of the values of one batch of rows: a pointer that moves on.
 *
 * Its block stays from batch to batch; what does not fit is palloc'd in the
 * batch's memory context.  Nothing is freed alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ARENA_H
#define JOBS_ARENA_H

#include "postgres.h"

typedef struct Arena
{
	char	   *block;
	char	   *next;
	char	   *end;
	MemoryContext batch;		/* for what does not fit */
} Arena;

static inline void
jobs_arena_init(Arena *arena, Size size, MemoryContext batch)
{
	arena->block = arena->next = palloc(size);
	arena->end = arena->block + size;
	arena->batch = batch;
}

/* Forgets all values; resetting the batch's context is the caller's. */
static inline void
jobs_arena_reset(Arena *arena)
{
	arena->next = arena->block;
}

static inline void *
jobs_arena_alloc(Arena *arena, Size size)
{
	char	   *chunk = arena->next;

	if (likely(size <= (Size) (arena->end - chunk)))
	{
		arena->next = chunk + Min(MAXALIGN(size), (Size) (arena->end - chunk));
		return chunk;
	}
	return MemoryContextAlloc(arena->batch, size);
}

#endif							/* JOBS_ARENA_H */
