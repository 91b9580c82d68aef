/*-------------------------------------------------------------------------
 *
 * keytree.h
 *	  Keys with an order but no hash function, in a tree in memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_KEYTREE_H
#define JOBS_KEYTREE_H

#include "import/keyset.h"

typedef struct KeyTree KeyTree;

/* In the current memory context, which must last as long.  Raises 54000 at the limit. */
extern KeyTree *jobs_keytree_create(const KeyShape *shape, KeyMemory *memory);
extern int64 jobs_keytree_find(KeyTree *tree, const Key *key);
extern void jobs_keytree_add(KeyTree *tree, const Key *key, int64 row_no);
extern Size jobs_keytree_bytes(KeyTree *tree);

/* Raises 54000 where keys that have to stay in memory outgrow it. */
extern void jobs_keytree_check_bytes(Size bytes, const KeyMemory *memory);

#endif							/* JOBS_KEYTREE_H */
