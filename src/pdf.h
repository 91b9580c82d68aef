/*-------------------------------------------------------------------------
 *
 * pdf.h
 *	  PDF files: what jobs.so and jobs_pdf.so know of each other.
 *
 * The libraries that draw are linked to a module of its own, which only a
 * worker that makes a PDF loads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_PDF_H
#define JOBS_PDF_H

#include "postgres.h"

#include "format.h"

/* A module of another version does not know these structs. */
#define JOBS_PDF_VERSION	1

typedef enum JobsPdfPaper
{
	PAPER_A4,
	PAPER_LETTER
} JobsPdfPaper;

typedef enum JobsPdfOrientation
{
	ORIENTATION_AUTO,
	ORIENTATION_PORTRAIT,
	ORIENTATION_LANDSCAPE
} JobsPdfOrientation;

typedef struct JobsPdfOptions
{
	JobsFormatOptions common;
	int			paper;			/* a JobsPdfPaper */
	int			orientation;	/* a JobsPdfOrientation */
	char	   *title;			/* NULL: from the job; "": none */
	bool		header;
	int			max_rows;		/* jobs.pdf_max_rows */
} JobsPdfOptions;

/* The functions of JobsFormat that make a file. */
typedef struct JobsPdfModule
{
	void	   *(*begin) (const JobsFormatOptions *options, TupleDesc desc,
						  const JobsFormatFile *file, JobsSink sink, void *arg);
	void		(*row) (void *state, TupleTableSlot *slot);
	void		(*end) (void *state);
} JobsPdfModule;

#endif							/* JOBS_PDF_H */
