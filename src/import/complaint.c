/*-------------------------------------------------------------------------
 *
 * complaint.c
 *	  What is said of a column's value: codes, words, and what is done about it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "import/complaint.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

/* Characters of a value in a message, and bytes of it in an issue. */
#define MAX_SHOWN		60
#define MAX_KEPT		1000
#define SHOWN_SIZE		(MAX_SHOWN * MAX_MULTIBYTE_CHAR_LEN + 8)

/* Labels of an enum in a message. */
#define MAX_LABELS		10

static const char *kept_value(const ColumnWords *words, const char *value);
static int	show_value(const ColumnWords *words, const char *value, char *shown);
static const char *fate(const ColumnWords *words, OnFail on_fail);
static const char *reason_of(const ErrorData *error, const ColumnWords *words);
static char *label_list(const List *labels);

void
jobs_issue_add(CheckedRow *row, const Issue *issue, RowAction action)
{
	Issue	   *copy = palloc(sizeof(Issue));

	*copy = *issue;
	row->issues = lappend(row->issues, copy);
	row->severity = Max(row->severity, issue->severity);
	row->action = Max(row->action, action);
}

void
jobs_words_init(ColumnWords *words, const char *name, bool sensitive)
{
	words->name = name;
	words->sensitive = sensitive;
	words->without = psprintf("will import without %s", name);
	words->with_default = psprintf("will import with the default of %s", name);
	words->missing = psprintf("Missing required field \"%s\"", name);
	if (name[0] >= 'a' && name[0] <= 'z')
	{
		char	   *label = pstrdup(name);

		label[0] = pg_toupper((unsigned char) label[0]);
		words->label = label;
	}
	else
		words->label = name;
}

/*
 * Writes a value in quotes behind a space, cut where it is long; nothing for a
 * sensitive column.  shown has room for SHOWN_SIZE bytes.
 */
static int
show_value(const ColumnWords *words, const char *value, char *shown)
{
	const char *p = value;
	char	   *to = shown;
	int			n = 0;

	if (words->sensitive || value == NULL)
		return 0;
	*to++ = ' ';
	*to++ = '"';
	for (; *p != '\0' && n < MAX_SHOWN; n++)
	{
		if (!IS_HIGHBIT_SET(*p))
		{
			*to++ = (unsigned char) *p < ' ' || *p == 0x7f ? ' ' : *p;
			p++;
		}
		else
		{
			int			len = pg_mblen(p);

			memcpy(to, p, len);
			to += len;
			p += len;
		}
	}
	if (*p != '\0')
	{
		memcpy(to, "...", 3);
		to += 3;
	}
	*to++ = '"';
	return to - shown;
}

static const char *
kept_value(const ColumnWords *words, const char *value)
{
	int			len;

	if (words->sensitive || value == NULL)
		return NULL;
	len = strlen(value);
	return len <= MAX_KEPT ? value : pnstrdup(value, pg_mbcliplen(value, len, MAX_KEPT));
}

static const char *
fate(const ColumnWords *words, OnFail on_fail)
{
	switch (on_fail)
	{
		case FAIL_SKIP:
			return "will skip";
		case FAIL_NULL:
			return words->without;
		case FAIL_DEFAULT:
			return words->with_default;
		case FAIL_REJECT:
			return "will refuse the file";
	}
	return NULL;
}

static void
add(CheckedRow *row, const ColumnWords *words, const char *value, const char *code, OnFail on_fail,
	const char *message)
{
	Issue		issue;

	issue.severity = on_fail == FAIL_SKIP || on_fail == FAIL_REJECT ? SEVERITY_ERROR : SEVERITY_WARNING;
	issue.code = code;
	issue.column = words->name;
	issue.value = kept_value(words, value);
	issue.message = message;
	issue.action = fate(words, on_fail);
	jobs_issue_add(row, &issue, on_fail == FAIL_REJECT ? ROW_REJECT : on_fail == FAIL_SKIP ? ROW_SKIP : ROW_INSERT);
}

void
jobs_find_value(CheckedRow *row, const ColumnWords *words, const char *value, const char *code,
				OnFail on_fail, const char *message)
{
	char		shown[SHOWN_SIZE];
	int			label_len = strlen(words->label);
	int			shown_len = show_value(words, value, shown);
	int			message_len = strlen(message);
	char	   *sentence = palloc(label_len + shown_len + message_len + 2);
	char	   *p = sentence;

	/* As many as there are rows, maybe, so without a format. */
	memcpy(p, words->label, label_len);
	p += label_len;
	memcpy(p, shown, shown_len);
	p += shown_len;
	*p++ = ' ';
	memcpy(p, message, message_len + 1);
	add(row, words, value, code, on_fail, sentence);
}

void
jobs_find_missing(CheckedRow *row, const ColumnWords *words, OnFail on_fail)
{
	add(row, words, NULL, "missing_required", on_fail, words->missing);
}

void
jobs_find_row(CheckedRow *row, const char *code, const char *message)
{
	Issue		issue = {SEVERITY_ERROR, code, NULL, NULL, message, "will skip"};

	jobs_issue_add(row, &issue, ROW_SKIP);
}

void
jobs_find_unread(CheckedRow *row, const ColumnWords *words, const char *value,
					 const ValueParser *parser, ValueResult result, OnFail on_fail,
					 const ErrorData *error)
{
	const char *message;
	const char *code;

	switch (result)
	{
		case VALUE_OUT_OF_RANGE:
			code = "out_of_range";
			message = "is out of range";
			break;
		case VALUE_TOO_LONG:
			code = "too_long";
			if (parser->limit > 0)
				message = psprintf("is too long: %d characters, at most %d",
								   pg_mbstrlen(value), parser->limit);
			else
				message = "is too long";
			break;
		case VALUE_NOT_IN_LIST:
			code = "not_in_list";
			message = psprintf("is not one of %s", label_list(parser->labels));
			break;
		case VALUE_REFUSED:
			code = "check_violation";
			message = error != NULL && error->constraint_name != NULL
				? psprintf("violates \"%s\"", error->constraint_name) : "violates a constraint of its type";
			break;
		case VALUE_NULL:
			jobs_find_missing(row, words, on_fail);
			return;
		default:
			code = "malformed";
			if (parser->noun != NULL)
				message = parser->refusal;
			else
				message = psprintf("is malformed%s", reason_of(error, words));
			break;
	}
	jobs_find_value(row, words, value, code, on_fail, message);
}

/* The words of a type that only it knows; they may hold the value. */
static const char *
reason_of(const ErrorData *error, const ColumnWords *words)
{
	const char *reason;

	if (error == NULL || words->sensitive)
		return "";
	reason = error->detail != NULL ? error->detail : error->message;
	if (reason == NULL)
		return "";
	return psprintf(": %s", pnstrdup(reason, pg_mbcliplen(reason, strlen(reason), 4 * MAX_SHOWN)));
}

static char *
label_list(const List *labels)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, labels)
	{
		int			i = foreach_current_index(lc);

		if (i == MAX_LABELS)
		{
			appendStringInfo(&list, " and %d more", list_length(labels) - i);
			break;
		}
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", (char *) lfirst(lc));
	}
	return list.data;
}

void
jobs_find_flaw(CheckedRow *row, const FileRow *file, const Dialect *dialect)
{
	static const struct
	{
		RowFlaw		flaw;
		const char *code;
		const char *message;
	}			flaws[] = {
		{ROW_BROKEN_QUOTE, "broken_quote", "Broken quote"},
		{ROW_BAD_ENCODING, "bad_encoding", "Text that is not in the encoding of the file"},
		{ROW_TOO_LONG, "too_long", "Row is too long"},
	};

	for (int i = 0; i < lengthof(flaws); i++)
	{
		if (file->flaws & flaws[i].flaw)
			jobs_find_row(row, flaws[i].code,
						  file->flaw_detail != NULL
						  ? psprintf("%s: %s", flaws[i].message, file->flaw_detail) : flaws[i].message);
	}
	if (file->flaws & ROW_TOO_FEW)
		jobs_find_row(row, "too_few_fields",
					  psprintf("Too few fields: %d instead of %d", file->nfields, dialect->ncolumns));
	if (file->flaws & ROW_TOO_MANY)
		jobs_find_row(row, "too_many_fields",
					  psprintf("Too many fields: %d instead of %d", file->nfields, dialect->ncolumns));
}
