/*-------------------------------------------------------------------------
 *
 * pump.h
 *	  From the stored bytes of a file to blocks of rows, in a thread.
 *
 * The caller puts bytes in, in slots, and gets blocks of rows out.  Between them a
 * thread inflates, decodes and splits.  It calls nothing of the server and sees no
 * signal.  Where no thread can be had, or the file is not worth one, the caller's
 * own does the work when it asks for a block.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_PUMP_H
#define JOBS_PUMP_H

#include "import/decode.h"
#include "import/rows.h"

#define PUMP_SLOT_SIZE	(2 * ROWS_BLOCK)

typedef enum PumpState
{
	PUMP_BLOCK,					/* here is one */
	PUMP_INPUT,					/* a slot is free, and wanted; or it takes long: ask again */
	PUMP_END,					/* there are no more rows */
	PUMP_GZIP_CUT,
	PUMP_GZIP_BROKEN,
	PUMP_GZIP_LARGE,
	PUMP_NO_MEMORY
} PumpState;

typedef struct PumpForm
{
	RowForm		rows;
	bool		gzip;
	int64_t		max_inflated;	/* bytes that a gzip may hold; 0: any number */
	bool		bom;			/* passes over one of UTF-8 at the beginning of the text */
	DecodeKind	decode;
	DecodeTable table;
} PumpForm;

typedef struct Pump Pump;

/* NULL where memory is out.  form must stay as it is. */
extern Pump *pump_begin(const PumpForm *form, bool thread);

/* Ends the thread, whatever it is at, and frees all. */
extern void pump_end(Pump *pump);

/* A buffer of PUMP_SLOT_SIZE to fill, or NULL. */
extern char *pump_slot(Pump *pump);

/* It has been filled with len bytes; position is how far in the source that is. */
extern void pump_put(Pump *pump, size_t len, int64_t position);

/* There are no more bytes. */
extern void pump_put_end(Pump *pump);

/*
 * Gives back the block that was got before, and waits for the next.  Only while there
 * are slots that were filled, or the end has been put, can one come.
 */
extern PumpState pump_next(Pump *pump, RowBlock **block);

#endif							/* JOBS_PUMP_H */
