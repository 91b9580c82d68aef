# Random files that Python's csv module has written have the rows that it reads,
# whether their form is said or found.  JOBS_TEST_SEED chooses other files.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs python3' if system('python3', '-c', 'import csv') != 0;

my $node = JobsTest->create('main');
my $lib = dirname(abs_path(__FILE__)) . '/../lib';
my $dir = PostgreSQL::Test::Utils::tempdir();
my $seed = $ENV{JOBS_TEST_SEED} || 1;
my $count = 3000;

is(system("python3 '$lib/csv_cases.py' $seed $count > '$dir/cases'"), 0, 'files are made');
$node->sql(<<"SQL");
CREATE TABLE cases (n int GENERATED ALWAYS AS IDENTITY, data bytea, options jsonb, header jsonb, rows jsonb);
COPY cases (data, options, header, rows) FROM '$dir/cases';
-- For Python there are no nulls, and for us none in quotes.
CREATE FUNCTION without_nulls(rows jsonb) RETURNS jsonb LANGUAGE sql AS
  \$\$SELECT jsonb_agg(values ORDER BY n) FROM jsonb_array_elements(rows) WITH ORDINALITY r (row, n),
      LATERAL (SELECT jsonb_agg(CASE WHEN value = 'null' THEN '""' ELSE value END ORDER BY m) FROM jsonb_array_elements(row) WITH ORDINALITY v (value, m)) v (values)\$\$;
CREATE FUNCTION sniffed(data bytea, options jsonb, OUT header jsonb, OUT rows jsonb, OUT dialect jsonb) LANGUAGE plpgsql AS \$\$
BEGIN
  SELECT s.dialect -> 'columns', without_nulls(first_rows), s.dialect INTO header, rows, dialect FROM jobs.sniff(data, options) s;
EXCEPTION WHEN OTHERS THEN
  rows := to_jsonb(SQLERRM);
END \$\$;
CREATE TABLE different AS
  SELECT n, options = '{}' AS found, convert_from(data, 'UTF8') AS text, c.rows AS wanted, s.rows, s.dialect
  FROM cases c, sniffed(data, options) s WHERE c.rows IS DISTINCT FROM s.rows OR (c.header IS NOT NULL AND c.header IS DISTINCT FROM s.header);
SQL
is($node->sql('SELECT count(*) FROM cases'), $count, 'and loaded');
is($node->sql('SELECT n, text, wanted, rows FROM different WHERE NOT found ORDER BY n LIMIT 5'), '', 'rows are the same where the form is said');
is($node->sql('SELECT n, text, wanted, rows, dialect FROM different WHERE found ORDER BY n LIMIT 5'), '', 'and where it is found');

done_testing();
