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

typedef struct Leaf Leaf;
typedef struct Step Step;
typedef struct KeyCheck KeyCheck;
typedef struct Exclusion Exclusion;
typedef struct ForeignKey ForeignKey;
typedef struct Policy Policy;
typedef struct Routing Routing;

/* A row of the batch. */
typedef struct Judged
{
	CheckedRow *row;
	Leaf	   *leaf;			/* the table that it would go to; NULL: none */
	TupleTableSlot *slot;		/* in that table's form */
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

/* A table whose constraints apply: the target, or a partition of it. */
struct Leaf
{
	Relation	rel;
	AttrMap    *map;			/* of its attributes, those of the target; NULL: the same */
	TupleTableSlot **slots;		/* rows in its form, where map is needed */
	int			nslots;
	int			nused;
	Bitmapset  *unknown;		/* input->unknown in its attributes */
	AttrNumber *not_nulls;
	int			nnot_nulls;
	List	   *steps;			/* of Step * */
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
	List	   *shared_sets;	/* of keys.c: one set for all partitions of an index */
	Routing    *routing;		/* NULL: not partitioned */
	Policy	   *policy;			/* NULL: none applies */
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

/* Whether an expression over a leaf's row uses an attribute that nobody knows yet. */
extern bool jobs_judge_unknown(const Leaf *leaf, Node *expression);

/* Attributes of the target (integer list) that an expression over a leaf's row uses. */
extern List *jobs_judge_used(const Leaf *leaf, Node *expression);

/* finding.c: words. */

/* The file's name of an attribute of the target; as it begins a sentence. */
extern const char *jobs_judge_name(Constraints *c, AttrNumber attno);
extern char *jobs_judge_names(Constraints *c, List *attnos);
extern char *jobs_judge_sentence(const char *name);

/* The value as the file has it; NULL for a null or a sensitive column. */
extern char *jobs_judge_value(Constraints *c, CheckedRow *row, AttrNumber attno);

/* Values in quotes, with a space before, or "" where one of them is not to be shown. */
extern char *jobs_judge_values(Constraints *c, CheckedRow *row, List *attnos);

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
extern void jobs_keys_begin_batch(Constraints *c);
extern void jobs_keys_look_up(Constraints *c);
extern void jobs_keys_close(Constraints *c);

/* For one row, in the file's order: the rows before, and then itself. */
extern void jobs_keys_met(Constraints *c, Judged *judged);
extern void jobs_keys_take(Constraints *c, Judged *judged);

/* partition.c: finds the leaf of a row, or refuses it. */
extern void jobs_routing_open(Constraints *c);
extern void jobs_routing_send(Constraints *c, Judged *judged);
extern void jobs_routing_close(Constraints *c);

#endif							/* JOBS_JUDGE_H */
