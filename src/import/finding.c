/*-------------------------------------------------------------------------
 *
 * finding.c
 *	  Words for what constraints find wrong with rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "import/judge.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define SHOWN_BYTES		100		/* of a value, in a message */

static int	column_of(Constraints *c, AttrNumber attno);
static char *clipped(Constraints *c, const char *value);

/* Where the file has an attribute: an index of input->columns, or -1. */
static int
column_of(Constraints *c, AttrNumber attno)
{
	for (int i = 0; i < c->input->ncolumns; i++)
	{
		if (c->input->columns[i] == attno)
			return i;
	}
	return -1;
}

const char *
jobs_judge_name(Constraints *c, AttrNumber attno)
{
	int			i = column_of(c, attno);

	if (i >= 0)
		return c->input->names[i];
	return NameStr(TupleDescAttr(RelationGetDescr(c->target), attno - 1)->attname);
}

/* customer_id, or "first, last". */
char *
jobs_judge_names(Constraints *c, List *attnos)
{
	MemoryContext old = MemoryContextSwitchTo(c->batch);
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, attnos)
	{
		if (names.len > 0)
			appendStringInfoString(&names, ", ");
		appendStringInfoString(&names, jobs_judge_name(c, lfirst_int(lc)));
	}
	MemoryContextSwitchTo(old);
	return names.data;
}

char *
jobs_judge_sentence(const char *name)
{
	int			first = *name ? pg_mblen(name) : 0;
	char	   *upper = str_toupper(name, first, DEFAULT_COLLATION_OID);

	return psprintf("%s%s", upper, name + first);
}

static char *
clipped(Constraints *c, const char *value)
{
	int			len = strlen(value);
	char	   *copy;

	if (len <= SHOWN_BYTES)
		return MemoryContextStrdup(c->batch, value);
	len = pg_mbcliplen(value, len, SHOWN_BYTES);
	copy = MemoryContextAlloc(c->batch, len + 4);
	memcpy(copy, value, len);
	strcpy(copy + len, "...");
	return copy;
}

char *
jobs_judge_value(Constraints *c, CheckedRow *row, AttrNumber attno)
{
	int			i = column_of(c, attno);
	Oid			output;
	bool		varlena;
	bool		isnull;
	Datum		value;

	if (bms_is_member(attno, c->input->sensitive))
		return NULL;
	if (i >= 0 && c->input->fields && row->fields && c->input->fields[i] < row->nfields &&
		row->fields[c->input->fields[i]])
		return clipped(c, row->fields[c->input->fields[i]]);
	value = slot_getattr(row->slot, attno, &isnull);
	if (isnull)
		return NULL;
	getTypeOutputInfo(TupleDescAttr(RelationGetDescr(c->target), attno - 1)->atttypid, &output, &varlena);
	return clipped(c, OidOutputFunctionCall(output, value));
}

char *
jobs_judge_values(Constraints *c, CheckedRow *row, List *attnos)
{
	MemoryContext old = MemoryContextSwitchTo(c->batch);
	StringInfoData values;
	ListCell   *lc;

	initStringInfo(&values);
	foreach(lc, attnos)
	{
		AttrNumber	attno = lfirst_int(lc);
		char	   *value = jobs_judge_value(c, row, attno);

		if (bms_is_member(attno, c->input->sensitive))
		{
			resetStringInfo(&values);
			break;
		}
		if (value)
			appendStringInfo(&values, "%s \"%s\"", values.len > 0 ? "," : "", value);
		else
			appendStringInfo(&values, "%s null", values.len > 0 ? "," : "");
	}
	MemoryContextSwitchTo(old);
	return values.data;
}

/* They may have values of any column, and of a row to update that policies hide. */
const char *
jobs_judge_reason(Constraints *c, const Judged *judged, const ErrorData *error)
{
	if (c->input->sensitive || (judged->update && c->policy))
		return "";
	return psprintf(": %s", error->message);
}

void
jobs_judge_issue(Constraints *c, Judged *judged, Severity severity, const char *code,
				 List *attnos, char *message, const char *action, RowAction row_action)
{
	MemoryContext old = MemoryContextSwitchTo(c->batch);
	Issue	   *issue = palloc0(sizeof(Issue));

	issue->severity = severity;
	issue->code = code;
	if (list_length(attnos) == 1)
	{
		issue->column = jobs_judge_name(c, linitial_int(attnos));
		issue->value = jobs_judge_value(c, judged->row, linitial_int(attnos));
	}
	issue->message = message;
	issue->action = action;
	jobs_issue_add(judged->row, issue, row_action);
	if (row_action >= ROW_SKIP)
		judged->refused = true;
	MemoryContextSwitchTo(old);
}

void
jobs_judge_refuse(Constraints *c, Judged *judged, const char *code, List *attnos, char *message)
{
	jobs_judge_issue(c, judged, SEVERITY_ERROR, code, attnos, message, "will skip", ROW_SKIP);
}
