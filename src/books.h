/*-------------------------------------------------------------------------
 *
 * books.h
 *	  The scheduler's dealings with the tables.
 *
 * Jobs that may have changed are noted, then looked at together in one
 * transaction, which brings the queue in memory up to date, releases and
 * cancels dependants, and settles jobs whose worker is gone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_BOOKS_H
#define JOBS_BOOKS_H

#include "jobs.h"
#include "shmem.h"

/*
 * Reads all live jobs and paused queues; running ones without a worker have
 * died.  With announce, NOTIFY tells of all of them; else only of those that
 * are noted or change from now on.
 */
extern void jobs_books_open(JobsDatabase *db, bool announce);

/* Lets readers of the views know from which id on there are live jobs. */
extern void jobs_books_publish(void);

/* Notes a job, or a range, to be looked at. */
extern void jobs_books_note(JobId id);
extern void jobs_books_note_range(JobId lo, JobId hi, bool again);

/* Notes that a file was read to its end. */
extern void jobs_books_note_download(JobId id);

/* A job has ended; those that wait for it are looked at. */
extern void jobs_books_ended(JobId id);

/* Whether listeners have lately been told of a job's end, of one of its runs at least. */
extern bool jobs_books_end_told(JobId id);

/* Reads the paused queues anew. */
extern void jobs_books_read_paused(void);

/* NOTIFY tells of the state of a job. */
extern void jobs_books_announce(const Job *job);

/* Tells clients that jobs can be claimed that could not before. */
extern void jobs_books_wake_clients(void);

/* Looks at all that was noted, and at what held.h has due. */
extern void jobs_books_look(void);

/*
 * Settles what a worker that is gone has left in its slot.  With requeue, at a
 * shutdown, a job that was running is queued as if it had not begun.
 */
extern void jobs_books_settle_slot(int slotno, bool requeue);

#endif							/* JOBS_BOOKS_H */
