# The files of exports, read by programs that are not ours, and compared with
# what COPY writes of random tables.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = JobsTest->create('main', conf => <<CONF);
jobs.worker_idle_timeout = '1h'
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
max_parallel_workers_per_gather = 2
synchronize_seqscans = off
CONF
my $dir = PostgreSQL::Test::Utils::tempdir();

sub has
{
	my ($command) = @_;
	return system("$command >/dev/null 2>&1") == 0;
}

# Exports a query and returns the name of the file.
sub export
{
	my ($query, $format, $options, $file) = @_;
	my $job = $node->sql("SELECT jobs.export(\$q\$$query\$q\$, '$format', options => '$options')");

	is($node->wait_job($job), 'succeeded', "export $query as $format $options")
	  or diag $node->job($job, 'error_message');
	return download($job, "$dir/$file");
}

sub download
{
	my ($job, $file) = @_;
	my $hex = $node->sql("SELECT encode(c, 'hex') FROM jobs.download($job) c");

	$hex =~ s/\s//g;
	open my $out, '>:raw', $file or die "$file: $!";
	print $out pack('H*', $hex);
	close $out;
	return $file;
}

# The name of a program in Java that writes what a compressed file holds.
sub gunzip_in_java
{
	my $file = "$dir/Gunzip.java";

	open my $out, '>', $file or die "$file: $!";
	print $out <<'JAVA';
import java.io.FileInputStream;
import java.util.zip.GZIPInputStream;

class Gunzip {
    public static void main(String[] files) throws Exception {
        try (var in = new GZIPInputStream(new FileInputStream(files[0]))) {
            in.transferTo(System.out);
        }
        System.out.flush();
    }
}
JAVA
	close $out;
	return $file;
}

# What a command writes.
sub output
{
	my (@command) = @_;
	open my $pipe, '-|', @command or die "@command: $!";
	binmode $pipe;
	local $/;
	my $out = <$pipe>;
	close $pipe;
	return $out;
}

$node->sql(<<'SQL');
CREATE TABLE orders AS
    SELECT i AS id, md5(i::text) AS hash, i * 1.25 AS amount, timestamptz '2026-01-01' + i * interval '1 hour' AS at,
           CASE WHEN i % 7 > 0 THEN E'a "quoted", text\nof lines ' || i END AS note, i % 2 = 0 AS even
      FROM generate_series(1, 60000) i;
ALTER TABLE orders SET (parallel_workers = 2);
ANALYZE orders;
SQL

# ----------------------------------------------------------------------------
# Compressed files
# ----------------------------------------------------------------------------

my $plain = slurp_file(export('SELECT * FROM orders', 'csv', '{}', 'orders.csv'));
my $packed = export('SELECT * FROM orders', 'csv', '{"compression": "gzip"}', 'orders.csv.gz');
my $empty = export('SELECT 1 AS a WHERE false', 'csv', '{"compression": "gzip", "header": false}', 'empty.csv.gz');
my %readers = (
	gunzip => [ 'gzip', '-dc' ],
	python3 => [ 'python3', '-c', 'import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())' ],
	java => [ 'java', gunzip_in_java() ],
	node => [ 'node', '-e', 'process.stdout.write(require("zlib").gunzipSync(require("fs").readFileSync(process.argv[1])))' ],
);

for my $reader (sort keys %readers)
{
	# Java runs a file of source only where it has its compiler.
	my %needs = (gunzip => 'gzip --version', java => 'java --list-modules | grep jdk.compiler');

  SKIP:
	{
		skip "$reader is not here", 2 unless has($needs{$reader} // "$reader --version");
		ok(output(@{ $readers{$reader} }, $packed) eq $plain, "$reader reads a compressed file");
		is(output(@{ $readers{$reader} }, $empty), '', "$reader reads an empty one");
	}
}

# The same bytes, whoever writes them.
for my $case ([ 'csv', '{}' ], [ 'csv', '{"compression": "gzip"}' ], [ 'jsonl', '{"compression": "gzip"}' ])
{
	my ($format, $options) = @$case;
	my %sums;

	for my $workers (0, 1, 4)
	{
		$node->sql("ALTER SYSTEM SET jobs.max_export_workers = $workers");
		$node->restart;
		for my $query ('SELECT * FROM orders', 'SELECT * FROM orders ORDER BY hash DESC')
		{
			my $file = export($query, $format, $options, 'same');

			$sums{$query}{ sha256_hex(slurp_file($file)) }++;
		}
	}
	is(scalar keys %{ $sums{$_} }, 1, "$_ as $format $options is the same for any number of workers") for sort keys %sums;
}

# ----------------------------------------------------------------------------
# Rows
# ----------------------------------------------------------------------------

my $csv_reader = <<'PYTHON';
import csv, hashlib, sys
rows = list(csv.reader(open(sys.argv[1], newline='', encoding='utf-8')))
print(len(rows), len(set(len(row) for row in rows)), ','.join(rows[0]))
print(hashlib.md5('\x1e'.join('\x1f'.join(row) for row in rows[1:]).encode()).hexdigest())
PYTHON
my $json_reader = <<'PYTHON';
import hashlib, json, sys
rows = [json.loads(line) for line in open(sys.argv[1], encoding='utf-8')]
print(len(rows), len(set(tuple(row) for row in rows)), ','.join(rows[0]))
print(hashlib.md5('\x1e'.join('\x1f'.join([str(row['id']), row['hash'], row['note'] or '', 't' if row['even'] else 'f']) for row in rows).encode()).hexdigest())
PYTHON

my $jsonl = export('SELECT * FROM orders', 'jsonl', '{}', 'orders.jsonl');

SKIP:
{
	skip 'no python3', 2 unless has('python3 --version');
	is(output('python3', '-c', $csv_reader, "$dir/orders.csv"), "60001 1 id,hash,amount,at,note,even\n" . $node->sql(<<'SQL') . "\n", 'Python reads the CSV');
SELECT md5(string_agg(concat_ws(E'\x1f', id, hash, amount, at, coalesce(note, ''), CASE WHEN even THEN 't' ELSE 'f' END), E'\x1e' ORDER BY id)) FROM orders
SQL
	is(output('python3', '-c', $json_reader, $jsonl), "60000 1 id,hash,amount,at,note,even\n" . $node->sql(<<'SQL') . "\n", 'Python reads the JSON lines');
SELECT md5(string_agg(concat_ws(E'\x1f', id, hash, coalesce(note, ''), CASE WHEN even THEN 't' ELSE 'f' END), E'\x1e' ORDER BY id)) FROM orders
SQL
}
SKIP:
{
	skip 'no jq', 1 unless has('jq --version');
	is(output('jq', '-cr', 'select(.id % 20000 == 0) | [.id, .hash, .even, .note] | @json', $jsonl),
		$node->sql(q{SELECT string_agg(format('[%s,%s,%s,%s]', id, to_json(hash), to_json(even), coalesce(to_json(note), 'null')), E'\n' ORDER BY id) FROM orders WHERE id % 20000 = 0}) . "\n",
		'jq reads the JSON lines');
}

# JSON lines are UTF-8, whatever the database's encoding is.
$node->sql(q{CREATE DATABASE latin1 TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'});
$node->sql('CREATE EXTENSION jobs', 'latin1');
my $latin = $node->sql(<<'SQL', 'latin1');
SELECT jobs.export(format('SELECT %L AS %I, jsonb_build_object(%L, %L) AS j, ''plain'' AS plain',
                          'caf' || chr(233), 'n' || chr(252), 'k' || chr(228), chr(223)), 'jsonl')
SQL
is($node->wait_job($latin, 'latin1'), 'succeeded', 'JSON lines of a database in LATIN1');
is($node->sql("SELECT convert_from(c, 'UTF8') = convert_from(c, 'LATIN1'), encode(c, 'hex') FROM jobs.download($latin) c", 'latin1'),
	'f|' . unpack('H*', qq({"n\xc3\xbc":"caf\xc3\xa9","j":{"k\xc3\xa4": "\xc3\x9f"},"plain":"plain"}\n)), 'are UTF-8');

# ----------------------------------------------------------------------------
# Random tables and options against COPY
# ----------------------------------------------------------------------------

my $seed = $ENV{JOBS_SEED} || int(time);
my $seconds = $ENV{JOBS_SECONDS} || 20;
my %types = (
	int2 => '(random() * 65535 - 32768)::int2',
	int4 => '((random() - 0.5) * 10 ^ (random() * 9))::int4',
	int8 => '((random() - 0.5) * 10 ^ (random() * 18))::int8',
	numeric => '((random() - 0.5)::numeric * 10::numeric ^ (random() * 60 - 30)::int)',
	'numeric(20,6)' => '((random() - 0.5) * 10 ^ (random() * 12))::numeric(20,6)',
	float4 => '((random() - 0.5) * 10 ^ (random() * 60 - 30))::float4',
	float8 => '((random() - 0.5) * 10 ^ (random() * 600 - 300))::float8',
	text => q{left(translate(md5(random()::text), '0123', E',"\n;'), (random() * 40)::int)},
	varchar => q{repeat(chr(32 + (random() * 500)::int), (random() * 20)::int)},
	date => q{date '2000-01-01' + ((random() - 0.5) * 800000)::int},
	timestamp => q{timestamp '2000-01-01' + (random() - 0.5) * interval '3000 years'},
	timestamptz => q{timestamptz '2000-01-01' + (random() - 0.5) * interval '300 years'},
	bool => 'random() < 0.5',
	uuid => 'gen_random_uuid()',
	jsonb => q{jsonb_build_object('a', random(), 'b', ARRAY[1, NULL], 'c', md5(random()::text))},
	json => q{json_build_array(random(), NULL, 'x"y')},
	bytea => q{decode(md5(random()::text), 'hex')},
	interval => q{random() * interval '400 days'},
	'int[]' => 'ARRAY[(random() * 10)::int, NULL]',
);
my @zones = ('UTC', 'Europe/Vienna', 'America/St_Johns', 'Asia/Kolkata', 'Australia/Lord_Howe');
my @options = (
	[ delimiter => "DELIMITER '%s'", ',', ';', '|', ':', '-', '.', ' ', 't', "\t" ],
	[ null => "NULL '%s'", '', 'NULL', '0', 't', 'f', '\\N' ],
	[ quote => "QUOTE '%s'", '"', "#", '9', 'a' ],
	[ escape => "ESCAPE '%s'", '\\', '~', '"' ],
);

srand($seed);
my ($tried, $different, $until) = (0, 0, time + $seconds);
my ($script, @cases) = ('');

while (time < $until && $tried < 1000)
{
	my @columns = map { (keys %types)[ rand keys %types ] } 0 .. rand 6;
	my $n = 0;
	my $definition = join ', ', map { 'CASE WHEN random() < 0.9 THEN ' . $types{$_} . " END AS c" . $n++ } sort @columns;
	my $rows = int(10**rand(3.7));
	my $where = rand() < 0.3 ? ' WHERE id % 7 <> 3' : '';
	my $order = rand() < 0.4 ? ' ORDER BY ' . join(', ', ('id % 5', 'id DESC')[ rand 2 .. 1 ]) : '';
	my (%chosen, %json, @copy);

	for my $option (@options)
	{
		my ($name, $text, @values) = @$option;

		$chosen{$name} = $values[ rand @values ] if rand() < 0.4;
	}
	my $delimiter = $chosen{delimiter} // ',';
	my $quote = $chosen{quote} // '"';

	next if $delimiter eq $quote || index($chosen{null} // '', $delimiter) >= 0 || index($chosen{null} // '', $quote) >= 0;
	for my $option (@options)
	{
		next unless exists $chosen{ $option->[0] };
		push @copy, sprintf $option->[1], $chosen{ $option->[0] };
		(my $value = $chosen{ $option->[0] }) =~ s/(["\\])/\\$1/g;
		$value =~ s/\t/\\t/g;
		$json{ $option->[0] } = "\"$value\"";
	}
	if (rand() < 0.3) { push @copy, 'FORCE_QUOTE *'; $json{force_quote} = '"*"'; }
	my $options = '{' . join(', ', map { "\"$_\": $json{$_}" } sort keys %json) . '}';
	my $copy = join ', ', 'FORMAT csv, HEADER', @copy;
	my $settings = "SET TimeZone = '$zones[rand @zones]'; SET DateStyle = '" . (rand() < 0.8 ? 'ISO' : 'SQL, DMY') . "';";
	my $select = "SELECT * FROM random_rows$where$order" . ($order && $order !~ /id DESC/ ? ', id' : '');
	my $i = @cases;
	$script .= <<SQL;
RESET ALL;
$settings
SET client_min_messages = warning;
DROP TABLE IF EXISTS random_rows;
SELECT setseed(${\ rand});
CREATE TABLE random_rows AS SELECT i AS id, $definition FROM generate_series(1, $rows) i;
ALTER TABLE random_rows SET (parallel_workers = 2);
ANALYZE random_rows;
SET max_parallel_workers_per_gather = 0;
COPY ($select) TO '$dir/copy$i.csv' WITH ($copy);
SELECT jobs.export('$select', options => '$options') AS job \\gset
SELECT '= $i ' || jobs.wait(:job) || ' ' || coalesce((SELECT error_message FROM jobs.job WHERE id = :job), '') AS state \\gset
SELECT :'state' || coalesce((SELECT sha256 FROM jobs.artifact WHERE job = :job), '');
SQL
	push @cases, "$settings $definition; $rows rows; $select; $copy; $options";
	# One psql for several, which is what takes the time.
	next if @cases < 20 && time < $until;
	my %results = $node->sql($script) =~ /^= (\d+) (.*)$/mg;

	for my $case (0 .. $#cases)
	{
		my $result = $results{$case} // 'no result';

		$tried++;
		next if $result eq 'succeeded ' . sha256_hex(slurp_file("$dir/copy$case.csv"));
		$different++;
		diag "seed $seed: $result: $cases[$case]" if $different <= 3;
	}
	($script, @cases) = ('');
}
is($different, 0, "exports of random tables are what COPY writes");
cmp_ok($tried, '>', 10, 'of some tables');
note "$tried tables, seed $seed";

$node->log_ok;
$node->stop;
done_testing();
