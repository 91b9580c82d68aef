# Files as people have them, test/data/corpus: each has a JSON file beside it that
# tells how it is written, its rows, and what is wrong with which of them.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main');
my $dir = dirname(abs_path(__FILE__)) . '/../data/corpus';

# Prints a line for each file: its name, and what differs.
sub check_files
{
	my ($what, $query) = @_;

	foreach my $line (split /\n/, $node->sql($query))
	{
		my ($name, $difference) = split /\|/, $line, 2;

		is($difference, '', "$what: $name");
	}
	return;
}

$node->sql(<<"SQL");
CREATE TABLE corpus AS
  SELECT regexp_replace(name, '\\.json\$', '') AS name, e, pg_read_binary_file('$dir/' || (e ->> 'file')) AS data, COALESCE(e -> 'options', '{}') AS options
  FROM pg_ls_dir('$dir') AS d (name), LATERAL (SELECT pg_read_file('$dir/' || name)::jsonb) j (e) WHERE name LIKE '%.json';
-- What of the left is not in the right, and of the right not in the left.
CREATE FUNCTION difference(wanted jsonb, found jsonb) RETURNS text LANGUAGE sql AS
  \$\$SELECT CASE WHEN wanted IS DISTINCT FROM found THEN format('%s wanted, %s found; ', wanted, found) ELSE '' END\$\$;
-- The rows of a file that is refused are the refusal.
CREATE FUNCTION sniffed(data bytea, options jsonb, OUT dialect jsonb, OUT first_rows jsonb) LANGUAGE plpgsql AS \$\$
BEGIN
  SELECT s.dialect, s.first_rows INTO dialect, first_rows FROM jobs.sniff(data, options) s;
EXCEPTION WHEN OTHERS THEN
  first_rows := to_jsonb(SQLERRM);
END \$\$;
SQL
cmp_ok($node->sql('SELECT count(*) FROM corpus'), '>', 80, 'there is a corpus');

# --- what jobs.sniff says of them ---------------------------------------------------
check_files('found', <<'SQL');
SELECT name,
    (SELECT COALESCE(string_agg(difference(jsonb_build_object(key, value), jsonb_build_object(key, dialect -> key)), ''), '') FROM jsonb_each(e -> 'dialect')) ||
    difference(e -> 'columns', dialect -> 'columns') || difference(e -> 'rows', first_rows)
FROM corpus, sniffed(data, options) ORDER BY name
SQL

done_testing();
