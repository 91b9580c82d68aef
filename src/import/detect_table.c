/*-------------------------------------------------------------------------
 *
 * detect_table.c
 *	  Where in a file the table begins, whether it has a header, and how its
 *	  values are written.
 *
 * The delimiter and quotes are known.  Lines are passed over as a preamble only
 * where the rows below leave no doubt; in doubt the header is the first line, and
 * what does not fit becomes an issue of that row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "import/detect.h"

#define HEAD_RECORDS	48		/* that may be above the table */
#define TALLY_RECORDS	500	/* of which every value is looked at; then some */
#define TALLY_EVERY		8

/* One of the first records. */
typedef struct HeadRecord
{
	int			line;
	int			width;
	int			filled;
	bool		after_blank;
	bool		hash;			/* begins with # */
	bool		words;			/* its first field has several */
} HeadRecord;

/* What the values of a column are. */
typedef struct ColumnTally
{
	int			n;				/* that are not empty */
	int			kinds[VALUE_MISSING + 1];
	int			years;
	int			repeats;		/* of the header's cell */
	int			dots;
	int			commas;
	int			day_first;
	int			month_first;
	int			empty;
	int			backslash_n;
	int			word_null;
} ColumnTally;

typedef struct Table
{
	const char *text;
	int			len;
	bool		at_end;
	FileForm   *form;
	HeadRecord	head[HEAD_RECORDS];
	int			nhead;
	int			records;
	int			width;			/* of the table */
	int			at_width;
	/* lines that may be comments */
	int			hashes;
	ScanCell	cells[SCAN_CELLS];	/* of the record at hand */
	/* from a look at the rows below a header */
	ScanCell	header[SCAN_CELLS];
	ScanCell	second[SCAN_CELLS];
	int			header_width;
	int			nheader;
	int			nsecond;
	int			second_line;
	int			rows;			/* with the table's width */
	int			spaced;			/* fields with spaces around them, of that many */
	int			fields;
	ColumnTally columns[SCAN_CELLS];
} Table;

static void look_at_widths(Table *table);
static void find_comments(Table *table);
static HeadRecord *find_start(Table *table);
static int	behind_block(Table *table, const HeadRecord *head, int nhead);
static bool like_preamble(const HeadRecord *record, int width);
static bool starts_table(Table *table, const HeadRecord *head, int start);
static void look_at_rows(Table *table, int first_line);
static void tally_row(Table *table, const Scan *scan);
static bool same_as_header(const Table *table, const Scan *scan);
static ValueKind kind_of_column(const ColumnTally *column);
static ValueKind comparable(ValueKind kind);
static void weigh_header(const Table *table, int *for_it, int *against);
static bool is_header(const Table *table);
static bool has_group_row(Table *table, const HeadRecord *start);
static bool has_units_row(const Table *table);
static bool is_unit(const ScanCell *cell);
static int	table_width(const Table *table);
static void find_values(const Table *table, const FormSaid *said);
static const char *find_null(const Table *table);

void
jobs_detect_table(const char *text, int len, bool at_end, const FormSaid *said, FileForm *form)
{
	Table		table;
	HeadRecord *start;
	HeadRecord	said_start = {0};

	memset(&table, 0, sizeof(table));
	table.text = text;
	table.len = len;
	table.at_end = at_end;
	table.form = form;
	look_at_widths(&table);
	if (!said->comment)
		find_comments(&table);

	if (said->skip_lines)
	{
		said_start.line = form->skip_lines + 1;
		start = &said_start;
	}
	else
	{
		start = find_start(&table);
		form->skip_lines = start ? start->line - 1 : 0;
	}

	if (!said->header && said->header_rows)
		form->has_header = form->header_rows > 0;
	look_at_rows(&table, form->skip_lines + 1);
	if (!said->header && !said->header_rows)
		form->has_header = is_header(&table);
	if (!said->header_rows)
		form->header_rows = form->has_header ? 1 : 0;
	if (form->has_header && !said->header_rows && start != NULL)
	{
		if (has_units_row(&table))
			form->header_rows = 2;
		else if (!said->skip_lines && has_group_row(&table, start))
			form->header_rows = 2;
		if (form->header_rows > 1)
			look_at_rows(&table, table.second_line);
	}
	find_values(&table, said);
	form->width = table.records > 0 ? table_width(&table) : 0;
}

/* ------------------------------------------------------------------------
 * Where it begins
 * ------------------------------------------------------------------------ */

/* Counts fields of all records, and ends of lines by their kind. */
static void
look_at_widths(Table *table)
{
	int			counts[1024] = {0};
	int			kinds[3] = {0};
	int			very_wide = 0;
	bool		after_blank = false;
	Scan		scan;

	table->nhead = table->records = table->at_width = table->hashes = 0;
	jobs_scan_begin(&scan, &table->form->scan, table->text, table->len, table->at_end, table->cells, SCAN_CELLS);
	while (jobs_scan_next(&scan))
	{
		kinds[scan.newline[1] ? 1 : scan.newline[0] == '\r' ? 2 : 0] += scan.newline[0] != '\0';
		if (scan.blank)
			after_blank = true;
		if (scan.blank || scan.is_comment)
			continue;
		if (table->nhead < HEAD_RECORDS)
		{
			HeadRecord *record = &table->head[table->nhead++];
			const char *text = scan.cells[0].text;

			record->line = scan.line;
			record->width = scan.ncells;
			record->filled = 0;
			for (int i = 0; i < Min(scan.ncells, SCAN_CELLS); i++)
				record->filled += jobs_detect_value(scan.cells[i].text, scan.cells[i].len).kind != VALUE_EMPTY;
			record->after_blank = after_blank;
			record->words = memchr(text, ' ', scan.cells[0].len) != NULL;
			record->hash = !scan.cells[0].quoted && scan.cells[0].len > 0 && text[0] == '#';
		}
		if (!scan.cells[0].quoted && scan.cells[0].len > 0 && scan.cells[0].text[0] == '#')
			table->hashes++;
		after_blank = false;
		table->records++;
		counts[Min(scan.ncells, lengthof(counts) - 1)]++;
		if (scan.ncells >= lengthof(counts) - 1 && very_wide == 0)
			very_wide = scan.ncells;
	}

	table->width = 1;
	for (int width = 2; width < lengthof(counts); width++)
	{
		if (counts[width] > 0 && counts[width] >= table->at_width)
		{
			table->width = width == lengthof(counts) - 1 ? very_wide : width;
			table->at_width = counts[width];
		}
	}
	/* One line with a delimiter in it does not make a table of a list. */
	if (table->at_width * 2 < counts[1])
	{
		table->width = 1;
		table->at_width = counts[1];
	}
	table->form->newline = kinds[0] && !kinds[1] && !kinds[2] ? "LF" : kinds[1] && !kinds[0] && !kinds[2] ? "CRLF" :
		kinds[2] && !kinds[0] && !kinds[1] ? "CR" : kinds[0] + kinds[1] + kinds[2] > 0 ? "mixed" : NULL;
}

/*
 * Lines that begin with # are comments where they cannot be rows: none has the
 * table's number of fields, and there are several, or one above the table.
 */
static void
find_comments(Table *table)
{
	ScanForm	form = table->form->scan;
	int			leading = 0;
	bool		at_width = false;
	Scan		scan;

	table->form->scan.comment = '\0';
	if (table->hashes == 0 || table->width < 2)
		return;
	while (leading < table->nhead && table->head[leading].hash)
		leading++;
	if (leading == 0 && table->hashes < 2)
		return;
	jobs_scan_begin(&scan, &form, table->text, table->len, table->at_end, table->cells, SCAN_CELLS);
	while (!at_width && jobs_scan_next(&scan))
		at_width = scan.ncells == table->width && scan.cells[0].len > 0 && scan.cells[0].text[0] == '#' &&
			!scan.cells[0].quoted;
	if (at_width || leading == table->nhead)
		return;
	table->form->scan.comment = '#';
	look_at_widths(table);
}

/* The record that the table begins with; NULL where there is none. */
static HeadRecord *
find_start(Table *table)
{
	HeadRecord *head = table->head;
	int			nhead = table->nhead;
	int			start = 0;

	if (table->form->separator_line && table->nhead > 1)
	{
		head++;
		nhead--;
	}
	if (nhead == 0)
		return NULL;
	if (nhead >= 3 && head[0].width >= 2 && head[1].width == head[0].width && head[2].width == head[0].width)
	{
		start = behind_block(table, head, nhead);
		if (start > 0)
			return &head[start];
		/* A table that goes on as it begins is the one, whatever comes below it. */
		table->width = head[0].width;
	}
	if (table->width == 1)
		return &head[0];

	while (start < nhead && like_preamble(&head[start], table->width))
		start++;
	if (start == 0 || start == nhead || head[start].width != table->width || start >= table->at_width ||
		!starts_table(table, head, start))
		return &head[0];
	return &head[start];
}

/*
 * Pairs of words and values above a table look like one: but they are few, have no
 * header, and the large table below has one.  Where that begins, or 0.
 */
static int
behind_block(Table *table, const HeadRecord *head, int nhead)
{
	int			width = table->width;
	int			first = 0;
	int			for_it;
	int			against;

	while (first < nhead && head[first].width < width)
		first++;
	if (first == 0 || first == nhead || head[first].width != width || table->at_width < 4 * first)
		return 0;
	look_at_rows(table, head[first].line);
	weigh_header(table, &for_it, &against);
	if (for_it <= against)
		return 0;
	table->width = head[0].width;
	look_at_rows(table, head[0].line);
	weigh_header(table, &for_it, &against);
	table->width = width;
	return for_it > against ? 0 : first;
}

static bool
like_preamble(const HeadRecord *record, int width)
{
	if (record->width < width)
		return record->width == 1 || (record->width == 2 && width >= 4) || (record->filled <= 1 && width >= 3);
	return record->width == width && record->filled <= 1 && width >= 3;
}

/*
 * Whether the lines above a record can be passed over.  A title above columns is
 * one; the name of a single column above values with commas in them is not.
 */
static bool
starts_table(Table *table, const HeadRecord *head, int start)
{
	bool		fields = false;
	bool		words = false;
	int			for_it;
	int			against;

	for (int i = 0; i < start; i++)
	{
		fields |= head[i].filled > 1 || head[i].width == table->width;
		words |= head[i].words;
	}
	if (!fields && (table->width > 2 || head[start].after_blank))
		return true;
	look_at_rows(table, head[start].line);
	weigh_header(table, &for_it, &against);
	if (for_it > against)
		return true;
	if (against > 0 || table->rows <= start || head[start].filled < table->width)
		return false;
	return fields ? table->width > 2 && head[0].filled <= 1 : words && table->spaced * 2 < table->fields;
}

/* ------------------------------------------------------------------------
 * The rows
 * ------------------------------------------------------------------------ */

/* Looks at the values below a header that is at or after first_line. */
static void
look_at_rows(Table *table, int first_line)
{
	Scan		scan;
	int			n = 0;

	table->nheader = table->nsecond = table->rows = table->spaced = table->fields = table->second_line = 0;
	memset(table->columns, 0, sizeof(table->columns));
	jobs_scan_begin(&scan, &table->form->scan, table->text, table->len, table->at_end, table->cells, SCAN_CELLS);
	while (jobs_scan_next(&scan))
	{
		if (scan.line < first_line || scan.blank || scan.is_comment)
			continue;
		n++;
		if (n == 1)
		{
			table->header_width = scan.ncells;
			table->nheader = Min(scan.ncells, SCAN_CELLS);
			memcpy(table->header, scan.cells, table->nheader * sizeof(ScanCell));
			continue;
		}
		if (n == 2)
		{
			table->second_line = scan.line;
			table->nsecond = Min(scan.ncells, SCAN_CELLS);
			memcpy(table->second, scan.cells, table->nsecond * sizeof(ScanCell));
		}
		if (scan.ncells != table->width || same_as_header(table, &scan) || (n > TALLY_RECORDS && n % TALLY_EVERY != 0))
			continue;
		tally_row(table, &scan);
	}
}

static void
tally_row(Table *table, const Scan *scan)
{
	table->rows++;
	for (int i = 0; i < Min(scan->ncells, SCAN_CELLS); i++)
	{
		const ScanCell *cell = &scan->cells[i];
		ColumnTally *column = &table->columns[i];
		Value		value = jobs_detect_value(cell->text, cell->len);

		if (i > 0)
		{
			table->fields++;
			table->spaced += cell->spaced;
		}
		if (value.kind == VALUE_EMPTY)
		{
			column->empty += !cell->quoted;
			continue;
		}
		if (!cell->quoted && cell->len == 2 && memcmp(cell->text, "\\N", 2) == 0)
			column->backslash_n++;
		else if (!cell->quoted && cell->len == 4 && memcmp(cell->text, "NULL", 4) == 0)
			column->word_null++;
		if (value.kind == VALUE_MISSING)
			continue;
		column->n++;
		column->kinds[comparable(value.kind)]++;
		column->years += (value.flags & VALUE_YEAR) != 0;
		column->dots += (value.flags & VALUE_DOT) != 0 && (value.flags & VALUE_EITHER) == 0;
		column->commas += (value.flags & VALUE_COMMA) != 0;
		column->day_first += (value.flags & VALUE_DAY_FIRST) != 0;
		column->month_first += (value.flags & VALUE_MONTH_FIRST) != 0;
		if (i < table->nheader && cell->len == table->header[i].len && memcmp(cell->text, table->header[i].text, cell->len) == 0)
			column->repeats++;
	}
}

/* Files that were put together from several have the header in them again. */
static bool
same_as_header(const Table *table, const Scan *scan)
{
	if (scan->ncells != table->nheader)
		return false;
	for (int i = 0; i < table->nheader; i++)
	{
		if (scan->cells[i].len != table->header[i].len ||
			memcmp(scan->cells[i].text, table->header[i].text, scan->cells[i].len) != 0)
			return false;
	}
	return table->nheader > 1;
}

/* The kind that four in five values of a column have, or VALUE_TEXT. */
static ValueKind
kind_of_column(const ColumnTally *column)
{
	for (int kind = 0; kind <= VALUE_MISSING; kind++)
	{
		if (column->n > 0 && column->kinds[kind] * 5 >= column->n * 4)
			return kind;
	}
	return column->n > 0 ? VALUE_TEXT : VALUE_EMPTY;
}

/* Kinds that stand for each other in one column. */
static ValueKind
comparable(ValueKind kind)
{
	switch (kind)
	{
		case VALUE_INTEGER:
			return VALUE_NUMBER;
		case VALUE_TIMESTAMP:
		case VALUE_TIMESTAMPTZ:
			return VALUE_DATE;
		default:
			return kind;
	}
}

/* ------------------------------------------------------------------------
 * The header
 * ------------------------------------------------------------------------ */

/* How many columns say that the first record is a header, and that it is a row. */
static void
weigh_header(const Table *table, int *for_it, int *against)
{
	*for_it = *against = 0;
	for (int i = 0; i < Min(table->nheader, Min(table->width, SCAN_CELLS)); i++)
	{
		const ColumnTally *column = &table->columns[i];
		Value		value = jobs_detect_value(table->header[i].text, table->header[i].len);
		ValueKind	kind = kind_of_column(column);

		if (value.kind == VALUE_EMPTY || kind == VALUE_EMPTY)
			continue;
		/* Years are names of columns, too; and so are No, N and T. */
		if ((value.flags & VALUE_YEAR) && column->years * 5 < column->n * 4)
			continue;
		if (value.kind == VALUE_MISSING || (value.kind == VALUE_BOOLEAN && kind != VALUE_BOOLEAN))
			value.kind = VALUE_TEXT;
		if (comparable(value.kind) == kind)
			*against += kind != VALUE_TEXT || column->repeats > 0;
		else if (jobs_value_is_typed(value.kind))
			*against += 1;
		else
			*for_it += 1;
	}
}

static bool
is_header(const Table *table)
{
	int			for_it;
	int			against;
	int			typed = 0;
	int			filled = 0;

	if (table->rows > 0)
	{
		weigh_header(table, &for_it, &against);
		return against <= for_it;
	}
	for (int i = 0; i < table->nheader; i++)
	{
		Value		value = jobs_detect_value(table->header[i].text, table->header[i].len);

		filled += value.kind != VALUE_EMPTY;
		typed += jobs_value_is_typed(value.kind) && value.kind != VALUE_BOOLEAN && !(value.flags & VALUE_YEAR);
	}
	return typed * 2 <= filled;
}

/*
 * A row of groups above the names: it is empty in places, the next one is full
 * and the header by its kinds of values.
 */
static bool
has_group_row(Table *table, const HeadRecord *start)
{
	int			filled = 0;
	int			for_it;
	int			against;
	int			names_line = table->second_line;
	bool		found;

	for (int i = 0; i < table->nheader; i++)
		filled += table->header[i].len > 0;
	if (filled < 2 || (table->nheader - filled) * 3 < table->nheader || table->nheader != table->width ||
		table->nsecond != table->width || table->rows < 2)
		return false;
	for (int i = 0; i < table->nsecond; i++)
	{
		ValueKind	kind = jobs_detect_value(table->second[i].text, table->second[i].len).kind;

		if (kind == VALUE_EMPTY || (jobs_value_is_typed(kind) && kind != VALUE_BOOLEAN))
			return false;
	}
	look_at_rows(table, names_line);
	weigh_header(table, &for_it, &against);
	found = for_it > 0 && against == 0;
	look_at_rows(table, start->line);
	return found;
}

/* A row of units below the names: nothing but units, above columns of nothing but numbers. */
static bool
has_units_row(const Table *table)
{
	int			units = 0;

	if (table->rows < 4 || table->nsecond > table->width)
		return false;
	for (int i = 0; i < table->nsecond; i++)
	{
		const ColumnTally *column = &table->columns[i];

		if (table->second[i].len == 0)
			continue;
		if (!is_unit(&table->second[i]))
			return false;
		/* The row itself is the only one that is no number. */
		if (column->n >= 4 && column->kinds[VALUE_NUMBER] == column->n - 1)
			units++;
	}
	return units >= 2 || (units == 1 && table->nsecond == 1);
}

static bool
is_unit(const ScanCell *cell)
{
	static const char *const units[] = {"kg", "g", "mg", "t", "lb", "lbs", "oz", "m", "cm", "mm", "km", "in", "ft", "mi", "s",
		"sec", "min", "h", "hr", "hrs", "ms", "us", "ns", "d", "days", "years", "yr", "%", "C", "F", "K", "\xc2\xb0""C",
		"\xc2\xb0""F", "\xb0""C", "\xb0""F", "USD", "EUR", "GBP", "CHF", "$", "\xe2\x82\xac", "\xc2\xa3", "\x80", "V", "mV",
		"A", "mA", "W", "kW", "MW", "Wh", "kWh", "MWh", "Hz", "kHz", "MHz", "GHz", "Pa", "hPa", "kPa", "bar", "mbar", "psi",
		"l", "L", "ml", "mL", "m/s", "km/h", "mph", "m2", "m\xc2\xb2", "m3", "m\xc2\xb3", "ppm", "ppb", "mol", "N", "J", "kJ",
	"deg", "rad", "dB", "lx", "-"};

	if (cell->len >= 3 && ((cell->text[0] == '(' && cell->text[cell->len - 1] == ')') ||
						   (cell->text[0] == '[' && cell->text[cell->len - 1] == ']')))
		return true;
	for (int i = 0; i < lengthof(units); i++)
	{
		if (strlen(units[i]) == cell->len && memcmp(units[i], cell->text, cell->len) == 0)
			return true;
	}
	return false;
}

/* Of the rows; but fields that the header does not name are only columns where they are empty. */
static int
table_width(const Table *table)
{
	if (!table->form->has_header || table->width <= table->header_width || table->rows == 0)
		return table->width;
	for (int i = table->header_width; i < Min(table->width, SCAN_CELLS); i++)
	{
		if (table->columns[i].n > 0)
			return table->header_width;
	}
	return table->width;
}

/* ------------------------------------------------------------------------
 * How values are written
 * ------------------------------------------------------------------------ */

static void
find_values(const Table *table, const FormSaid *said)
{
	FileForm   *form = table->form;
	int			dots = 0;
	int			commas = 0;
	int			day_first = 0;
	int			month_first = 0;

	for (int i = 0; i < Min(table->width, SCAN_CELLS); i++)
	{
		const ColumnTally *column = &table->columns[i];
		ValueKind	kind = kind_of_column(column);

		if (kind == VALUE_NUMBER)
		{
			dots += column->dots;
			commas += column->commas;
		}
		else if (kind == VALUE_DATE)
		{
			day_first += column->day_first;
			month_first += column->month_first;
		}
	}
	if (!said->decimal)
		form->decimal = commas > dots * 10 ? ',' : '.';
	if (!said->date_order)
		form->date_order = day_first > 0 && month_first == 0 ? "DMY" : month_first > 0 && day_first == 0 ? "MDY" : NULL;
	if (!said->trim)
		form->trim = table->fields > 0 && table->spaced * 5 >= table->fields * 4;
	if (!said->null)
		form->null = find_null(table);
}

/*
 * Words for nothing, if they are the file's only way to say it: a null that is
 * something else than an empty field makes a value of that.
 */
static const char *
find_null(const Table *table)
{
	int			backslash_n = 0;
	int			word_null = 0;

	for (int i = 0; i < Min(table->width, SCAN_CELLS); i++)
	{
		const ColumnTally *column = &table->columns[i];

		if (column->empty > 0 && jobs_value_is_typed(kind_of_column(column)))
			return "";
		backslash_n += column->backslash_n;
		if (jobs_value_is_typed(kind_of_column(column)))
			word_null += column->word_null;
	}
	return backslash_n > 0 ? "\\N" : word_null > 0 ? "NULL" : "";
}
