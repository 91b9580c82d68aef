/*-------------------------------------------------------------------------
 *
 * columns.h
 *	  Which column of a file goes to which of the target.
 *
 * By name, where case, spaces, "_" and "-" do not count; by options.mapping, whose
 * keys are names of the file or numbers of its columns, and whose values are
 * names of the target, or null to leave one out; by position where the file has
 * no header.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_COLUMNS_H
#define JOBS_COLUMNS_H

#include "postgres.h"

#include "access/attnum.h"
#include "import/dialect.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

typedef struct ColumnMap
{
	int			nfields;		/* columns of the file */
	AttrNumber *attnums;		/* of each of them; 0: not taken */
	char	  **names;			/* as messages call each: the header's, or the target's name */
	List	   *left_over;		/* of char *: names of the file that nothing takes */
	List	   *generated;		/* of char *: names of the file whose values the target makes itself */
	List	   *missing;		/* of char *: columns of the target that the file does not fill */
	List	   *suggestions;	/* of char *: pairs, a left-over name and the column it may mean */
} ColumnMap;

/*
 * Refuses what cannot be a target: 42809 and 0A000 by its kind, 42501 where the
 * current user may insert into none of its columns.
 */
extern void jobs_columns_check_target(Relation target);

/* Refuses a mapping whose targets are not there: 22023. */
extern void jobs_columns_check_mapping(Relation target, Jsonb *options);

/* The attribute number of a column that option names, or 22023. */
extern AttrNumber jobs_columns_named(Relation target, const char *name, const char *option);

/* The option's value, or NULL where it is not given or null. */
extern JsonbValue *jobs_columns_option(Jsonb *options, const char *name);

/*
 * In the current memory context.  Raises 42703 where nothing fits, 42701 where two
 * columns go to one, 42501 where the current user may not insert into one.
 */
extern ColumnMap *jobs_columns_match(Relation target, const Dialect *dialect, Jsonb *options);

extern Jsonb *jobs_columns_to_jsonb(const ColumnMap *map, Relation target);

/* The word for one row of a table: "contact" for contacts, "order item" for order_items. */
extern char *jobs_columns_entity(const char *relname);

#endif							/* JOBS_COLUMNS_H */
