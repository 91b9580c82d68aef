/*-------------------------------------------------------------------------
 *
 * detect_form.c
 *	  Which delimiter, quote and escape a file is written with.
 *
 * Every form that may be is tried on the first records, all of them, and judged
 * by how many records have the same number of fields as the most, and by how
 * much the fields look like values.  One odd record moves the sum a little and
 * decides nothing.  Where nothing speaks for another form, the file is taken for
 * comma and double quote.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "import/detect.h"

#define TRIAL_BYTES		131072
#define TRIAL_RECORDS	1000

/* From this mark on, characters that are no usual delimiters need not be tried. */
#define GOOD_SCORE		0.6

/* What a trial has counted. */
typedef struct Trial
{
	ScanForm	form;
	int			records;
	int			width;			/* fields of most records; 1 where no form is seen */
	int			at_width;		/* records with as many */
	int			stable;			/* with as many as a neighbour, and more than one */
	bool		first_at_width;
	int			cells;
	int			clean;			/* sum of marks from 0 to 10 for each */
	int			typed;
	int			aligned;		/* records with two spaces in a row */
	int			whole_typed;	/* that are one value, such as a time */
	int			nquoted;
	int			broken;
	double		score;
} Trial;

/* A delimiter that may be, and how sure one must be to believe it. */
typedef struct Candidate
{
	char		delimiter;
	double		prior;
	double		consistency;
	int			width;
	bool		first_at_width;
} Candidate;

static const Candidate candidates[] = {
	{',', 1.00, 0.5, 2, false},
	{';', 0.99, 0.5, 2, false},
	{'\t', 0.99, 0.5, 2, false},
	{'|', 0.98, 0.5, 2, false},
	{'\x1f', 0.98, 0.5, 2, false},
	{'\x01', 0.98, 0.5, 2, false},
	{'^', 0.8, 0.8, 2, true},
	{'~', 0.8, 0.8, 2, true},
	{':', 0.6, 0.9, 3, true},
	{' ', 0.5, 0.95, 2, true},
};

static bool separator_line(const char *text, int len, FileForm *form, const FormSaid *said, int *after);
static Trial best_quotes(const char *text, int len, bool at_end, const FormSaid *said, const ScanForm *given);
static void try_form(const char *text, int len, bool at_end, const ScanForm *form, Trial *trial);
static void look_at_line(const char *line, int len, Trial *trial);
static int	cell_mark(const Scan *scan, const ScanCell *cell, bool *typed);
static void find_width(Trial *trial, const uint16 *widths);
static double consistency(const Trial *trial);
static void judge(Trial *trial);
static bool credible(const Trial *trial, const Candidate *candidate);
static bool may_quote(const char *text, int len, char quote);

void
jobs_detect_form(const char *text, int len, bool at_end, const FormSaid *said, FileForm *form)
{
	FormSaid	known = *said;
	int			after = 0;
	int			trial_len;
	Trial		best = {0};
	bool		trial_at_end;
	bool		found = false;

	form->separator_line = separator_line(text, len, form, said, &after);
	if (form->separator_line)
		known.delimiter = true;
	trial_len = Min(len - after, TRIAL_BYTES);
	if (memchr(text + after, '\n', trial_len) == NULL && memchr(text + after, '\r', trial_len) == NULL)
		trial_len = len - after;

	text += after;
	len -= after;
	trial_at_end = at_end && trial_len == len;
	if (known.delimiter)
		best = best_quotes(text, trial_len, trial_at_end, &known, &form->scan);
	else
	{
		for (int i = 0; i < lengthof(candidates); i++)
		{
			ScanForm	given = form->scan;
			Trial		trial;

			given.delimiter = candidates[i].delimiter;
			if (found && best.score > GOOD_SCORE && candidates[i].first_at_width)
				break;
			if (memchr(text, given.delimiter, trial_len) == NULL || (known.quote && given.quote == given.delimiter))
				continue;
			trial = best_quotes(text, trial_len, trial_at_end, &known, &given);
			trial.score *= candidates[i].prior;
			if (credible(&trial, &candidates[i]) && (!found || trial.score > best.score))
			{
				best = trial;
				found = true;
			}
		}
		if (!found)
		{
			form->scan.delimiter = known.quote && form->scan.quote == ',' ? ';' : ',';
			best = best_quotes(text, trial_len, trial_at_end, &known, &form->scan);
		}
	}
	form->scan = best.form;
	jobs_detect_table(text - after, len + after, at_end, said, form);
}

/* A first line of "sep=;", which Excel writes and heeds; *after is where it ends. */
static bool
separator_line(const char *text, int len, FileForm *form, const FormSaid *said, int *after)
{
	if (said->delimiter || len < 6 || pg_strncasecmp(text, "sep=", 4) != 0 || (text[5] != '\r' && text[5] != '\n') ||
		text[4] == '"' || text[4] == '\r' || text[4] == '\n')
		return false;
	form->scan.delimiter = text[4];
	*after = len > 6 && text[5] == '\r' && text[6] == '\n' ? 7 : 6;
	return true;
}

/* Tries the quotes and escapes that may be with one delimiter. */
static Trial
best_quotes(const char *text, int len, bool at_end, const FormSaid *said, const ScanForm *given)
{
	static const char quotes[] = {'"', '\''};
	Trial		best;
	Trial		trial;
	bool		tried = false;

	for (int i = 0; i < lengthof(quotes); i++)
	{
		ScanForm	form = *given;

		if (!said->quote)
			form.quote = quotes[i];
		else if (i > 0)
			break;
		/* Apostrophes are only taken for quotes where they quote all that they begin. */
		if (i > 0 && (best.nquoted > 0 || form.quote == form.delimiter || !may_quote(text, len, form.quote)))
			break;
		if (!said->escape)
			form.escape = form.quote;
		try_form(text, len, at_end, &form, &trial);
		if (!tried || (trial.nquoted >= 2 && trial.broken * 10 <= trial.nquoted && trial.score > best.score))
			best = trial;
		tried = true;
		if (!said->escape && form.quote != '\0' && form.delimiter != '\\' && memchr(text, '\\', len) != NULL)
		{
			form.escape = '\\';
			try_form(text, len, at_end, &form, &trial);
			if (trial.nquoted > 0 && trial.broken < best.broken && (i == 0 || trial.nquoted >= 2))
				best = trial;
		}
	}
	if (!said->quote && best.broken > best.nquoted)
	{
		ScanForm	form = *given;

		form.quote = form.escape = '\0';
		try_form(text, len, at_end, &form, &trial);
		/* Quotes that were not closed once or twice are flaws of those rows. */
		if (best.broken >= 3 && trial.score > best.score)
			best = trial;
	}
	return best;
}

static void
try_form(const char *text, int len, bool at_end, const ScanForm *form, Trial *trial)
{
	uint16		widths[TRIAL_RECORDS];
	ScanCell	cells[SCAN_CELLS];
	Scan		scan;

	memset(trial, 0, sizeof(*trial));
	trial->form = *form;
	jobs_scan_begin(&scan, form, text, len, at_end, cells, SCAN_CELLS);
	while (trial->records < TRIAL_RECORDS)
	{
		const char *start = scan.next;

		if (!jobs_scan_next(&scan))
			break;
		if (scan.blank || scan.is_comment)
			continue;
		widths[trial->records++] = Min(scan.ncells, PG_UINT16_MAX);
		trial->nquoted += scan.nquoted;
		trial->broken += scan.broken;
		if (scan.ncells < 2)
			continue;
		for (int i = 0; i < Min(scan.ncells, SCAN_CELLS); i++)
		{
			bool		typed;

			trial->clean += cell_mark(&scan, &scan.cells[i], &typed);
			trial->typed += typed;
			trial->cells++;
		}
		if (form->delimiter == ':' || form->delimiter == ' ')
			look_at_line(start, scan.next - start, trial);
	}
	find_width(trial, widths);
	judge(trial);
}

/* Whether a line is one value as a whole, and whether spaces align something in it. */
static void
look_at_line(const char *line, int len, Trial *trial)
{
	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	trial->whole_typed += jobs_value_is_typed(jobs_detect_value(line, len).kind);
	for (int i = 1; i < len; i++)
	{
		if (line[i] == ' ' && line[i - 1] == ' ')
		{
			trial->aligned++;
			break;
		}
	}
}

/* How much a field looks like a value, and not like a piece of a line that was cut wrongly. */
static int
cell_mark(const Scan *scan, const ScanCell *cell, bool *typed)
{
	static const char delimiters[] = {',', ';', '\t', '|'};
	ValueKind	kind;

	*typed = false;
	if (cell->quoted)
		return 10;
	kind = jobs_detect_value(cell->text, cell->len).kind;
	if (kind == VALUE_EMPTY)
		return 7;
	*typed = jobs_value_is_typed(kind);
	if (*typed || kind == VALUE_MISSING)
		return 10;
	if (cell->len >= 2 && cell->text[0] == cell->text[cell->len - 1] && (cell->text[0] == '"' || cell->text[0] == '\''))
		return cell->text[0] == '"' ? 2 : 5;
	for (int i = 0; i < lengthof(delimiters); i++)
	{
		if (delimiters[i] != scan->form.delimiter && memchr(cell->text, delimiters[i], cell->len) != NULL)
			return delimiters[i] == '\t' ? 2 : 4;
	}
	return cell->spaced ? 7 : 8;
}

/* Most records' number of fields, of those with more than one; of two as frequent, the larger. */
static void
find_width(Trial *trial, const uint16 *widths)
{
	int			counts[1024] = {0};

	for (int i = 0; i < trial->records; i++)
	{
		int			width = Min(widths[i], lengthof(counts) - 1);

		counts[width]++;
		if (width >= 2 && ((i > 0 && widths[i - 1] == widths[i]) ||
						   (i + 1 < trial->records && widths[i + 1] == widths[i])))
			trial->stable++;
	}
	trial->width = 1;
	for (int width = 2; width < lengthof(counts); width++)
	{
		if (counts[width] > 0 && counts[width] >= trial->at_width)
		{
			trial->width = width;
			trial->at_width = counts[width];
		}
	}
	trial->first_at_width = trial->records > 0 && Min(widths[0], lengthof(counts) - 1) == trial->width;
}

/* The share of records that fit, from 0 to 1. */
static double
consistency(const Trial *trial)
{
	if (trial->records == 0)
		return 0;
	return Max((trial->at_width + trial->stable) / (2.0 * trial->records), trial->records == 1 ? 0.5 : 0);
}

static void
judge(Trial *trial)
{
	double		clean = trial->cells > 0 ? trial->clean / (10.0 * trial->cells) : 0.5;
	double		broken = trial->records > 0 ? (double) trial->broken / trial->records : 0;

	trial->score = (0.01 + consistency(trial)) * clean * clean * (1 - 0.5 / trial->width) / (1 + broken);
	if (!trial->first_at_width)
		trial->score *= 0.9;
}

static bool
credible(const Trial *trial, const Candidate *candidate)
{
	if (trial->width < candidate->width || consistency(trial) < candidate->consistency ||
		(candidate->first_at_width && !trial->first_at_width))
		return false;
	if (candidate->delimiter == ':')
		return trial->whole_typed * 10 < trial->records && trial->records >= 2;
	if (candidate->delimiter == ' ')
		return trial->records >= 3 && trial->whole_typed * 10 < trial->records &&
			(trial->typed * 10 >= trial->cells * 6 || (trial->width >= 3 && trial->aligned * 2 >= trial->records));
	return true;
}

/* Whether a quote stands where a field may begin. */
static bool
may_quote(const char *text, int len, char quote)
{
	const char *p = text;

	while ((p = memchr(p, quote, text + len - p)) != NULL)
	{
		if (p == text || strchr(",;\t|\n\r:^~\x1f\x01 ", p[-1]) != NULL)
			return true;
		p++;
	}
	return false;
}
