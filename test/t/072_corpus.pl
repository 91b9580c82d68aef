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
    difference(e -> 'columns', dialect -> 'columns') || difference(jsonb_path_query_array(e -> 'rows', '$[0 to 9]'), first_rows)
FROM corpus, sniffed(data, options) ORDER BY name
SQL

# --- what a preview and an import make of them ----------------------------------------
# One table has all columns as text and knows the order of its rows; the other is the one
# that jobs.create_table_for suggests.
$node->sql(<<'SQL');
CREATE TABLE done (name text, kind text, preview bigint, import bigint, target text);
CREATE PROCEDURE import_corpus() LANGUAGE plpgsql AS $$
DECLARE
  file record;
  upload bigint;
  preview bigint;
  import bigint;
BEGIN
  FOR file IN SELECT c.name, data, options, e, s.dialect FROM corpus c, sniffed(data, options) s ORDER BY c.name LOOP
    EXECUTE format('CREATE TABLE %I (%s, in_order int GENERATED ALWAYS AS IDENTITY)', 'text_' || file.name,
      (SELECT string_agg(format('%I text', COALESCE(file.dialect -> 'columns' ->> i, 'c' || i)), ', ' ORDER BY i)
       FROM generate_series(0, (file.dialect -> 'ncolumns')::int - 1) i));
    preview := jobs.import_preview(('text_' || file.name)::regclass, file.data, options => file.options);
    COMMIT;
    PERFORM jobs.wait(preview);
    import := jobs.import(preview);
    COMMIT;
    PERFORM jobs.wait(import);
    INSERT INTO done VALUES (file.name, 'text', preview, import, 'text_' || file.name);

    CONTINUE WHEN file.options <> '{}';
    upload := jobs.upload(file.name);
    PERFORM jobs.upload_append(upload, file.data);
    EXECUTE jobs.create_table_for(upload, 'made_' || file.name);
    preview := jobs.import_preview(('made_' || file.name)::regclass, upload);
    COMMIT;
    PERFORM jobs.wait(preview);
    import := jobs.import(preview);
    COMMIT;
    PERFORM jobs.wait(import);
    INSERT INTO done VALUES (file.name, 'made', preview, import, 'made_' || file.name);
  END LOOP;
END $$;
CREATE FUNCTION imported(target text, columns jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  result jsonb;
BEGIN
  EXECUTE format('SELECT COALESCE(jsonb_agg(to_jsonb(ARRAY[%s]) ORDER BY in_order), ''[]'') FROM %I',
    (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = target::regclass AND attnum > 0 AND attname <> 'in_order'), target) INTO result;
  RETURN result;
END $$;
SQL
$node->sql('CALL import_corpus()');

check_files('issues', <<'SQL');
SELECT name, difference(e -> 'issues', COALESCE(jsonb_agg(jsonb_build_array(row_no, line_no, code) ORDER BY row_no) FILTER (WHERE row_no IS NOT NULL), '[]')) ||
    COALESCE(min(j.error_message), '')
FROM done d JOIN corpus USING (name) JOIN jobs.job j ON j.id = preview LEFT JOIN jobs.import_issue i ON i.job = preview
WHERE d.kind = 'text' GROUP BY name, e ORDER BY name
SQL
check_files('imported', <<'SQL');
SELECT name, COALESCE(j.error_message, '') ||
    difference(COALESCE((SELECT jsonb_agg(row ORDER BY n) FROM jsonb_array_elements(e -> 'rows') WITH ORDINALITY r (row, n)
        WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(e -> 'issues') i WHERE (i -> 0)::int = n)), '[]'), imported(target, e -> 'columns'))
FROM done d JOIN corpus USING (name) JOIN jobs.job j ON j.id = import WHERE d.kind = 'text' ORDER BY name
SQL
check_files('taken by the table made for it', <<'SQL');
SELECT name, COALESCE(j.error_message, '') || difference(to_jsonb(jsonb_array_length(e -> 'rows') - jsonb_array_length(e -> 'issues')), j.result -> 'inserted')
FROM done d JOIN corpus USING (name) JOIN jobs.job j ON j.id = import WHERE d.kind = 'made' ORDER BY name
SQL

# --- beyond what is looked at ---------------------------------------------------------
# An encoding that shows late, in a file that began as ASCII; a form that changes late costs those rows.
is($node->sql(<<'SQL'), 'Jürgen', 'an umlaut of Windows after a megabyte');
CREATE TABLE late (id int, name text);
CREATE PROCEDURE import_late() LANGUAGE plpgsql AS $$
DECLARE
  preview bigint := jobs.import_preview('late', convert_to(E'id,name\n' || repeat(E'1,Ann\n', 200000), 'UTF8') || convert_to(U&'2,J\00FCrgen\000A', 'WIN1252'));
  import bigint;
BEGIN
  COMMIT;
  PERFORM jobs.wait(preview);
  import := jobs.import(preview);
  COMMIT;
  PERFORM jobs.wait(import);
END $$;
CALL import_late();
SELECT name FROM late WHERE id = 2;
SQL

# --- databases of other encodings -------------------------------------------------------
foreach my $encoding (qw(LATIN1 EUC_JP SQL_ASCII))
{
	$node->sql("CREATE DATABASE other ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$node->sql('CREATE EXTENSION jobs', 'other');
	is($node->sql(q{SET client_encoding = 'SQL_ASCII'; SELECT dialect ->> 'encoding' || ' ' || (dialect -> 'columns' ->> 0) || ' ' || (first_rows -> 0 ->> 1)
		FROM jobs.sniff('\xfffe'::bytea || '\x6e002c0062000a0031002c0078000a00')}, 'other'), 'UTF-16LE n x', "$encoding: UTF-16");
	is($node->sql(q{SELECT dialect ->> 'encoding' FROM jobs.sniff('n,b\n1,x')}, 'other'), $encoding, "$encoding: a text is of the database's encoding");
	$node->sql('DROP DATABASE other');
}
# --- what no table can take -----------------------------------------------------------
$node->sql('CREATE TABLE narrow (c1 int, c5000 text)');
my $wide = $node->sql(<<'SQL');
SELECT jobs.import_preview('narrow', convert_to(string_agg('c' || g, ',') || E'\n' || string_agg(g::text, ',') || E'\n', 'UTF8')) FROM generate_series(1, 5000) g
SQL
is($node->wait_job($wide), 'succeeded', '5,000 columns');
is($node->sql("SELECT result ->> 'ready' || ' ' || jsonb_array_length(result -> 'columns' -> 'left_over') FROM jobs.job WHERE id = $wide"), '1 4998', 'of which two are taken');
is($node->sql(<<'SQL'), '5000', 'and all are found');
SELECT jsonb_array_length(columns) FROM (SELECT convert_to(string_agg('c' || g, ',') || E'\n' || string_agg(g::text, ','), 'UTF8') FROM generate_series(1, 5000) g) f (data), jobs.sniff(data)
SQL

my $huge = PostgreSQL::Test::Utils::tempdir() . '/huge.csv.gz';
open my $gzip, '|-', "gzip -1 > '$huge'" or die;
print $gzip "id,note\n1,a\n2,\"";
print $gzip 'x' x 1048576 for 1 .. 500;
print $gzip "\"\n3,c\n";
close $gzip or die;
$node->sql('CREATE TABLE notes (id int, note text)');
my $upload = $node->sql("SELECT jobs.upload_file('$huge')");
is($node->sql("SELECT first_rows -> 0 FROM jobs.sniff($upload)"), '["1", "a"]', 'a field of 500 MB');
my $preview = $node->sql("SELECT jobs.import_preview('notes', $upload)");
is($node->wait_job($preview), 'succeeded', 'is previewed');
is($node->sql("SELECT row_no, line_no, code FROM jobs.import_issue WHERE job = $preview"), '2|3|too_long', 'its row is too long');
is($node->sql("SELECT rows_parsed, ready FROM jobs.import_summary($preview)"), '3|2', 'and the others are not');

done_testing();
