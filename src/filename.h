/*-------------------------------------------------------------------------
 *
 * filename.h
 *	  Names of files that exports make.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_FILENAME_H
#define JOBS_FILENAME_H

/*
 * Checks a file name for an artifact: not empty, at most 255 bytes, no slash,
 * backslash, control or bidirectional formatting character, neither "." nor
 * "..".  Raises 22023.
 */
extern void jobs_filename_check(const char *filename);

/*
 * The value of an HTTP header Content-Disposition that makes a browser save a
 * file under its name (RFC 6266): in ASCII for old readers, and in UTF-8.
 */
extern char *jobs_disposition(const char *filename);

#endif							/* JOBS_FILENAME_H */
