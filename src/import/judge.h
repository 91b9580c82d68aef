/*-------------------------------------------------------------------------
 *
 * judge.h
 *	  What the files that judge rows by constraints share.
 *
 * Private to them.  constraints.c leads: it sends the rows of a batch to their
 * tables, runs the steps of each that may run user code (see Step), and then asks
 * keys.c, exclude.c and foreign.c, which look up what the steps have prepared.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_JUDGE_H
#define JOBS_JUDGE_H

#include "postgres.h"

#include "access/attmap.h"
#include "import/constraints.h"
#include "import/keyset.h"
#include "import/lookup.h"
#include "nodes/execnodes.h"
#include "partitioning/partdefs.h"

typedef struct Leaf Leaf;
typedef struct Step Step;
typedef struct KeyCheck KeyCheck;
typedef struct Exclusion Exclusion;
typedef struct ForeignKey ForeignKey;
typedef struct Policy Policy;
typedef struct Routing Routing;
typedef struct Merging Merging;
typedef struct OwnKey OwnKey;
typedef struct Referenced Referenced;

/* A row of the batch. */
typedef struct Judged
{
	CheckedRow *row;
	Leaf	   *leaf;			/* the table that it would go to; NULL: none */
	TupleTableSlot *whole;		/* as it would be, in the target's form */
	TupleTableSlot *slot;		/* the same in that table's form */
	bool		update;			/* of the row in row->existing, which is ... */
	TupleTableSlot *old;		/* ... this, in the target's form */
	List	   *met;			/* attributes of the key that has led there */
	bool		refused;		/* by an issue: it takes no key */
} Judged;

/*
 * What is computed of each row of a table and may run user code, in a guard.  An
 * error is an issue of the row with this code, and "what" begins its message.
 */
struct Step
{
	void		(*run) (Constraints *c, Judged *judged, Step *step);
	const char *code;
	const char *what;
	void	   *of;				/* the constraint that it belongs to */
};

/* The key of one row of the batch. */
typedef struct KeyEntry
{
	int			row;			/* of c->rows */
	Key			key;
	ItemPointerData existing;	/* the row that has it, or invalid */
	Oid			existing_rel;	/* ... and its table */
} KeyEntry;

/* Those of a constraint, in the order of the rows and the batch's context; all zero before it. */
typedef struct KeyEntries
{
	KeyEntry   *entries;
	int			n;
	int			size;
	int			next;			/* the first that was not met */
} KeyEntries;

/* A table whose constraints apply: the target, or a partition or child of it. */
struct Leaf
{
	Relation	rel;
	AttrMap    *map;			/* of its attributes, those of the target; NULL: the same */
	TupleTableSlot **slots;		/* rows in its form, where map is needed */
	int			nslots;
	int			nused;
	Bitmapset  *unknown;		/* input->unknown in its attributes, and those that the target has not */
	AttrNumber *not_nulls;
	int			nnot_nulls;
	List	   *steps;			/* of Step * */
	int			nkey_steps;		/* the first of them make keys that rows may be met by */
	List	   *keys;			/* of KeyCheck * */
	List	   *exclusions;		/* of Exclusion * */
	List	   *foreign_keys;	/* of ForeignKey * */
};

struct Constraints
{
	Relation	target;
	const ConstraintInput *input;
	MemoryContext context;
	MemoryContext batch;		/* of what lasts until the next batch */
	Snapshot	snapshot;		/* registered */
	EState	   *estate;
	ExprContext *econtext;		/* its memory is that of one row */
	KeyMemory	memory;
	List	   *leaves;			/* of Leaf * */
	List	   *others;			/* those that rows were found in, and none was sent to yet */
	List	   *shared_sets;	/* of keys.c: one set for all partitions of an index */
	List	   *referenced;		/* of Referenced * */
	Routing    *routing;		/* NULL: not partitioned */
	Policy	   *policy;			/* NULL: none applies */
	OwnKey	   *own_key;		/* options.unique; NULL: none */
	Merging    *merging;		/* NULL: rows update nothing */
	Bitmapset  *filled;			/* input->columns as a set */
	Judged	   *rows;			/* of the batch */
	int			nrows;
	int			rows_size;
};

/* constraints.c */

/* The leaf for a table, which gets its constraints if it is new; the lock is the caller's. */
extern Leaf *jobs_judge_leaf(Constraints *c, Relation rel);
extern void jobs_judge_step(Leaf *leaf, void (*run) (Constraints *, Judged *, Step *),
							const char *code, const char *what, void *of);

/* Attributes of a leaf as attributes of the target. */
extern AttrNumber jobs_judge_root_attno(const Leaf *leaf, AttrNumber attno);

/* The leaf of a table that no row may have been sent to yet. */
extern Leaf *jobs_judge_leaf_of(Constraints *c, Oid table);

/*
 * Sends a row, by judged->whole, to its table; refuses it where there is none.  One of
 * a child table stays there.
 */
extern void jobs_judge_send(Constraints *c, Judged *judged);

/* Whether an expression over a leaf's row uses an attribute that nobody knows yet. */
extern bool jobs_judge_unknown(const Leaf *leaf, Node *expression);

/* Attributes of the target (integer list) that an expression over a leaf's row uses. */
extern List *jobs_judge_used(const Leaf *leaf, Node *expression);

/*
 * Makes a key of the row in the batch's context.  copy: values by reference do not
 * last as long as the batch.
 */
extern void jobs_judge_key(Constraints *c, KeyEntries *entries, const KeyShape *shape, Judged *judged,
						   const Datum *values, const bool *nulls, bool copy);

/* The key of a row, or NULL; rows are asked for in their order, each once. */
extern KeyEntry *jobs_judge_met(Constraints *c, KeyEntries *entries, Judged *judged);

/* finding.c: words. */

/* The file's name of an attribute of the target; as it begins a sentence. */
extern const char *jobs_judge_name(Constraints *c, AttrNumber attno);
extern char *jobs_judge_names(Constraints *c, List *attnos);
extern char *jobs_judge_sentence(const char *name);

/* The value as the file has it; NULL for a null or a sensitive column. */
extern char *jobs_judge_value(Constraints *c, CheckedRow *row, AttrNumber attno);

/* Values in quotes, with a space before, or "" where one of them is not to be shown. */
extern char *jobs_judge_values(Constraints *c, CheckedRow *row, List *attnos);

/* ": " and the words of an error; "" where they may hold a value that is not to be shown. */
extern const char *jobs_judge_reason(Constraints *c, const Judged *judged, const ErrorData *error);

/*
 * An issue about attributes of the target (integer list).  The message is palloc'd
 * in the batch's context, as the functions above give it.
 */
extern void jobs_judge_issue(Constraints *c, Judged *judged, Severity severity, const char *code,
							 List *attnos, char *message, const char *action, RowAction row_action);

/* The usual: an error, will skip. */
extern void jobs_judge_refuse(Constraints *c, Judged *judged, const char *code, List *attnos, char *message);

/* keys.c */
extern void jobs_keys_open(Constraints *c, Leaf *leaf);
extern void jobs_keys_begin_batch(Leaf *leaf);
extern void jobs_keys_look_up(Constraints *c, Leaf *leaf, bool updates_only);
extern void jobs_keys_close(Constraints *c);

/* For one row, in the file's order: the rows before, and then itself. */
extern void jobs_keys_met(Constraints *c, Judged *judged);
extern void jobs_keys_take(Constraints *c, Judged *judged);

/* foreign.c: looks up in step with the batch, so that issues come before keys are taken. */
extern void jobs_foreign_open(Constraints *c, Leaf *leaf);
extern void jobs_foreign_begin_batch(Leaf *leaf);
extern void jobs_foreign_look_up(Constraints *c, Leaf *leaf);
extern void jobs_foreign_met(Constraints *c, Judged *judged);

/* referenced.c: how a foreign key looks for rows, by columns of an index. */
typedef struct Reference
{
	Oid			index;
	int			nkeys;
	bool		temporal;		/* the last is a PERIOD */
	Oid			types[INDEX_MAX_KEYS];	/* of the values */
	Oid			subtypes[INDEX_MAX_KEYS];	/* that the operators take them for */
	Oid			functions[INDEX_MAX_KEYS];	/* ... of these operators */
	uint16		strategies[INDEX_MAX_KEYS];
} Reference;

/* The same for all that look for the same by the same index. */
extern Referenced *jobs_referenced_open(Constraints *c, Oid table, const Reference *reference);
extern bool jobs_referenced_has(Referenced *referenced, const Key *key);
extern void jobs_referenced_close(Constraints *c);

/* Whether the row itself has these values in a unique index, given by its uppermost parent. */
extern bool jobs_keys_is_own(Constraints *c, Judged *judged, Oid index, const Datum *values, const bool *nulls);

/* The file's keys of a unique index, or NULL; and their shape. */
extern KeySet *jobs_keys_of_index(Constraints *c, Oid index, const KeyShape **shape);

/* policy.c: opened before leaves; in each guard that has run a step of it, end or, after an error, forget. */
extern void jobs_policy_open(Constraints *c);
extern void jobs_policy_step(Constraints *c, Leaf *leaf);
extern void jobs_policy_end(Constraints *c);
extern void jobs_policy_forget(Constraints *c);

/* merge.c: rows that update others, once their keys are looked up. */
extern void jobs_merging_open(Constraints *c);
extern void jobs_merging_merge(Constraints *c);
extern void jobs_merging_met(Constraints *c, Judged *judged);
extern void jobs_merging_take(Constraints *c, Judged *judged);

/* Whether a row of the file before is one that updates another. */
extern bool jobs_merging_has_updated(Constraints *c, int64 row_no);
extern void jobs_merging_close(Constraints *c);

/* keys.c: the existing row that the row's keys have met first, and the key's attributes. */
extern KeyEntry *jobs_keys_existing(Constraints *c, Judged *judged, List **attnos);

/* own_key.c: what keys.c asks of options.unique; one for all partitions. */
extern void jobs_own_key_open(Constraints *c);
extern const KeyShape *jobs_own_key_shape(Constraints *c, KeySet **file, const AttrNumber **attnos);
extern void jobs_own_key_look_up(Constraints *c, KeyEntry **entries, const Key **keys, int n, ItemPointerData *tids);
extern void jobs_own_key_close(Constraints *c);

/* exclude.c */
extern void jobs_exclusion_open(Constraints *c, Leaf *leaf, Relation index);
extern void jobs_exclusions_begin_batch(Leaf *leaf);
extern void jobs_exclusions_look_up(Constraints *c, Leaf *leaf);
extern void jobs_exclusions_met(Constraints *c, Judged *judged);
extern void jobs_exclusions_take(Constraints *c, Judged *judged);
extern void jobs_exclusions_close(Leaf *leaf);

/* index.c: what an index is of. */
extern bool jobs_index_unknown(const Leaf *leaf, IndexInfo *info);
extern List *jobs_index_attnos(const Leaf *leaf, IndexInfo *info);
extern void jobs_index_types(const Leaf *leaf, IndexInfo *info, Oid *types);
extern Oid	jobs_index_top(Relation index);

/* partition.c: the place of a key's partition in the description, or -1. */
extern int	jobs_partition_of(PartitionKey key, PartitionDesc desc, Datum *values, bool *nulls);

/* Finds the leaf of a row, or refuses it. */
extern void jobs_routing_open(Constraints *c);
extern void jobs_routing_send(Constraints *c, Judged *judged);
extern void jobs_routing_close(Constraints *c);

#endif							/* JOBS_JUDGE_H */
