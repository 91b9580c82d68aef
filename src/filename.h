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

#endif							/* JOBS_FILENAME_H */
