/*-------------------------------------------------------------------------
 *
 * keytree.c
 *	  Keys with an order but no hash function, in a tree in memory.
 *
 * Few types are like that: tsvector, and arrays, composites and ranges of types such as
 * bit and money, are among PostgreSQL's own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "import/keytree.h"
#include "lib/rbtree.h"
#include "utils/datum.h"
#include "utils/memutils.h"

typedef struct KeyNode
{
	RBTNode		node;
	int64		row_no;
	Datum	   *values;
	bool	   *nulls;
} KeyNode;

struct KeyTree
{
	const KeyShape *shape;
	KeyMemory  *memory;
	MemoryContext context;
	RBTree	   *rbt;
	Size		bytes;
};

static int
compare(const RBTNode *a, const RBTNode *b, void *arg)
{
	const KeyNode *left = (const KeyNode *) a;
	const KeyNode *right = (const KeyNode *) b;

	return jobs_key_compare((const KeyShape *) arg, left->values, left->nulls, right->values, right->nulls);
}

/* Never called: a key is added once. */
static void
combine(RBTNode *existing, const RBTNode *newdata, void *arg)
{
}

static RBTNode *
allocate(void *arg)
{
	return palloc(sizeof(KeyNode));
}

KeyTree *
jobs_keytree_create(const KeyShape *shape, KeyMemory *memory)
{
	KeyTree    *tree = palloc0(sizeof(KeyTree));

	tree->shape = shape;
	tree->memory = memory;
	tree->context = CurrentMemoryContext;
	tree->rbt = rbt_create(sizeof(KeyNode), compare, combine, allocate, NULL, unconstify(KeyShape *, shape));
	return tree;
}

int64
jobs_keytree_find(KeyTree *tree, const Key *key)
{
	KeyNode		search;
	KeyNode	   *found;

	search.values = key->values;
	search.nulls = key->nulls;
	found = (KeyNode *) rbt_find(tree->rbt, &search.node);
	return found ? found->row_no : 0;
}

void
jobs_keytree_add(KeyTree *tree, const Key *key, int64 row_no)
{
	Size		bytes = sizeof(KeyNode) + 2 * key->len + 64 * tree->shape->ncolumns;
	MemoryContext old;
	KeyNode		node;
	bool		isnew;

	old = MemoryContextSwitchTo(tree->context);
	node.row_no = row_no;
	node.values = palloc(tree->shape->ncolumns * sizeof(Datum));
	node.nulls = palloc(tree->shape->ncolumns * sizeof(bool));
	jobs_key_unpack(tree->shape, key->bytes, node.values, node.nulls);
	rbt_insert(tree->rbt, &node.node, &isnew);
	MemoryContextSwitchTo(old);
	tree->bytes += bytes;
	tree->memory->used += bytes;
	jobs_keytree_check_bytes(tree->bytes, tree->memory);
}

void
jobs_keytree_check_bytes(Size bytes, const KeyMemory *memory)
{
	if (bytes > memory->limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the keys of the file do not fit into %zu MB of memory", memory->limit / (1024 * 1024)),
				 errdetail("Keys of an exclusion constraint, or of a data type without a hash function, "
						   "cannot be kept on disk."),
				 errhint("Import the file in parts.")));
}

Size
jobs_keytree_bytes(KeyTree *tree)
{
	return tree->bytes;
}
