/*
 * xlsx_direct.c
 *	  What libxlsxwriter itself needs for the rows of bench.sale.
 *
 *	    xlsx_direct rows.tsv book.xlsx
 *
 * The file is what COPY writes, the time as the number that a cell has.  It is
 * read and converted before the clock starts, so that only the library is
 * measured: in its mode of constant memory, with the formats and the frame that
 * an export has.  Prints milliseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xlsxwriter.h>

#define NCOLUMNS	7

typedef struct Row
{
	double		id;
	const char *customer;
	double		quantity;
	double		amount;
	double		sold_at;
	int			paid;
	const char *note;			/* or NULL */
} Row;

static char *
read_file(const char *name)
{
	FILE	   *file = fopen(name, "rb");
	char	   *data;
	long		size;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
		exit(1);
	size = ftell(file);
	rewind(file);
	data = malloc(size + 1);
	if (data == NULL || fread(data, 1, size, file) != (size_t) size)
		exit(1);
	data[size] = '\0';
	fclose(file);
	return data;
}

static Row *
parse(char *data, size_t *nrows)
{
	size_t		n = 0;
	size_t		i = 0;
	Row		   *rows;

	for (char *p = data; *p; p++)
		n += *p == '\n';
	rows = malloc(n * sizeof(Row));
	for (char *line = strtok(data, "\n"); line && rows; line = strtok(NULL, "\n"), i++)
	{
		char	   *field[NCOLUMNS];

		for (int c = 0; c < NCOLUMNS; c++)
			field[c] = strsep(&line, "\t");
		rows[i] = (Row) {strtod(field[0], NULL), field[1], strtod(field[2], NULL), strtod(field[3], NULL),
			strtod(field[4], NULL), field[5][0] == 't', strcmp(field[6], "\\N") == 0 ? NULL : field[6]};
	}
	*nrows = i;
	return rows;
}

static lxw_format *
number_format(lxw_workbook *workbook, const char *format)
{
	lxw_format *result = workbook_add_format(workbook);

	format_set_num_format(result, format);
	return result;
}

static int
write_workbook(const char *name, const Row *rows, size_t nrows)
{
	static const char *const names[NCOLUMNS] = {"id", "customer", "quantity", "amount", "sold_at", "paid", "note"};
	lxw_workbook_options options = {.constant_memory = LXW_TRUE};
	lxw_workbook *workbook = workbook_new_opt(name, &options);
	lxw_worksheet *sheet = workbook_add_worksheet(workbook, "rows");
	lxw_format *bold = workbook_add_format(workbook);
	lxw_format *integer = number_format(workbook, "0");
	lxw_format *decimal = number_format(workbook, "0.00");
	lxw_format *timestamp = number_format(workbook, "yyyy-mm-dd hh:mm:ss");

	format_set_bold(bold);
	worksheet_freeze_panes(sheet, 1, 0);
	worksheet_autofilter(sheet, 0, 0, nrows, NCOLUMNS - 1);
	for (int c = 0; c < NCOLUMNS; c++)
	{
		worksheet_set_column(sheet, c, c, 20, NULL);
		worksheet_write_string(sheet, 0, c, names[c], bold);
	}
	for (size_t i = 0; i < nrows; i++)
	{
		const Row  *row = &rows[i];

		worksheet_write_number(sheet, i + 1, 0, row->id, integer);
		worksheet_write_string(sheet, i + 1, 1, row->customer, NULL);
		worksheet_write_number(sheet, i + 1, 2, row->quantity, integer);
		worksheet_write_number(sheet, i + 1, 3, row->amount, decimal);
		worksheet_write_number(sheet, i + 1, 4, row->sold_at, timestamp);
		worksheet_write_boolean(sheet, i + 1, 5, row->paid, NULL);
		if (row->note)
			worksheet_write_string(sheet, i + 1, 6, row->note, NULL);
	}
	return workbook_close(workbook) == LXW_NO_ERROR;
}

int
main(int argc, char **argv)
{
	struct timespec start;
	struct timespec end;
	size_t		nrows;
	Row		   *rows;

	if (argc != 3)
		return 2;
	rows = parse(read_file(argv[1]), &nrows);
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (rows == NULL || !write_workbook(argv[2], rows, nrows))
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%.1f\n", (end.tv_sec - start.tv_sec) * 1e3 + (end.tv_nsec - start.tv_nsec) / 1e6);
	return 0;
}
