/*
 * Until dialect.c is there, which wins over these.
 */
#include "postgres.h"

#include "import/dialect.h"
#include "mb/pg_wchar.h"

extern Dialect *jobs_dialect_find(const char *raw, int len, bool at_end, bool gzip, Jsonb *options) __attribute__((weak));

Dialect *
jobs_dialect_find(const char *raw, int len, bool at_end, bool gzip, Jsonb *options)
{
	Dialect    *d = palloc0(sizeof(Dialect));

	d->delimiter = ',';
	d->quote = d->escape = '"';
	d->encoding = PG_UTF8;
	d->encoding_name = "UTF8";
	d->has_header = true;
	d->header_rows = 1;
	d->null = "";
	d->decimal = '.';
	d->newline = "LF";
	d->gzip = gzip;
	d->ncolumns = 1;
	for (int i = 0; i < len && raw[i] != '\n'; i++)
		d->ncolumns += raw[i] == ',';
	return d;
}
