/*-------------------------------------------------------------------------
 *
 * undo.h
 *	  What an import has to remember so that it can be taken back.
 *
 * Of an inserted row where it stands, and which command of which transaction wrote
 * it: runs of neighbours, some bytes a page.  Of an updated row the same of its new version,
 * and the old values of the file's columns as text.  Both are kept in chunks of
 * the job, see verdict.h for their numbers.
 *
 *	 chunk		= varint(full id of the import's transaction), entries
 *	 inserted	= 0, varint(table), varint(its file), varint(transaction), varint(command), varint(how)
 *				| varint(block - last block, zigzag, + 1), varint(offset), varint(count)
 *	 updated	= varint(table), varint(its file), varint(transaction), varint(block),
 *				  varint(offset), varint(length of what follows), the values as
 *				  jobs_undo_pack wrote them
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_UNDO_H
#define JOBS_UNDO_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "jobs.h"
#include "lib/stringinfo.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

typedef struct UndoRecord UndoRecord;

/* In the current memory context. */
extern UndoRecord *jobs_undo_begin(JobId job);

/* A row that has been inserted by a command of a transaction; cheap for neighbours. */
extern void jobs_undo_inserted(UndoRecord *undo, Relation rel, TransactionId xid, CommandId cid, ItemPointer tid);

/* All rows of the target that this command has inserted: where nobody could tell where they are. */
extern void jobs_undo_inserted_by(UndoRecord *undo, TransactionId xid, CommandId cid);

/* A row that has been updated; old is what jobs_undo_pack made. */
extern void jobs_undo_updated(UndoRecord *undo, Oid rel, TransactionId xid, ItemPointer tid, bytea *old);

extern void jobs_undo_end(UndoRecord *undo);

/*
 * Output functions write values so that their types take them back, whatever the
 * settings, between these two; the second must be called after an error, too.
 */
extern void jobs_undo_set_formats(void);
extern void jobs_undo_reset_formats(void);

/* n texts, NULL for null, in one value; in the current memory context. */
extern bytea *jobs_undo_pack(char **values, int n);

#endif							/* JOBS_UNDO_H */
