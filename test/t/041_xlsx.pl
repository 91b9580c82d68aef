# Workbooks, read back by a program that knows nothing of how they were made.

use strict;
use warnings;
use utf8;

use File::Basename qw(dirname);
use FindBin;
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $reader = "$FindBin::RealBin/../lib/xlsx.py";
my ($python) = grep { system("$_ -c 'import openpyxl' 2>/dev/null") == 0 } '/usr/bin/python3', 'python3';

plan skip_all => 'needs openpyxl (Debian: python3-openpyxl)' unless defined $python;

my $node = JobsTest->create('main', conf => <<CONF);
timezone = 'Europe/Berlin'
jobs.worker_idle_timeout = '1h'
CONF
my $dir = PostgreSQL::Test::Utils::tempdir();

# Exports a query and returns the name of the file.
sub export
{
	my ($name, $query, %params) = @_;
	my $format = $params{format} || 'xlsx';
	my $options = $params{options} || '{}';
	my $title = $params{title} ? "'$params{title}'" : 'NULL';
	my $dbname = $params{dbname} || 'postgres';
	my $file = "$dir/$name.$format";
	my $job = $node->sql("SELECT jobs.export(\$query\$$query\$query\$, '$format', '$name.$format', '$options', title => $title)",
		$dbname);
	my $state = $node->wait_job($job, $dbname);

	is($state, 'succeeded', "$name: export")
	  or diag $node->job($job, "error_code || ': ' || error_message", $dbname);
	download($job, $file, $dbname);
	return $file;
}

sub download
{
	my ($job, $file, $dbname) = @_;
	my $hex = $node->sql("SELECT encode(c, 'hex') FROM jobs.download($job) c", $dbname);

	$hex =~ s/\s//g;
	open my $out, '>:raw', $file or die "$file: $!";
	print $out pack('H*', $hex);
	close $out;
	return;
}

sub read_with
{
	my ($command, @files) = @_;
	my ($out, $err) = run_command([ $python, $reader, $command, @files ]);

	utf8::decode($out);
	return $err eq '' ? "$out\n" : $err;
}

# ----------------------------------------------------------------------------
# Values
# ----------------------------------------------------------------------------

my $file = export('types', <<'SQL', title => 'All types');
SELECT * FROM (VALUES
 (true, 32767::int2, 2147483647, 999999999999999, 4294967295::oid, 0.1::float4, 0.1::float8, 1.5::numeric),
 (false, (-32768)::int2, -2147483648, -999999999999999, 0::oid, 'NaN'::float4, 'Infinity'::float8, 'NaN'::numeric),
 (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (NULL, 0, 0, 1000000000000000, NULL, 3.4028235e38::float4, 1.7976931348623157e308, 123456789012345),
 (NULL, NULL, NULL, 9223372036854775807, NULL, 1e-45, 5e-324, 1234567890123456),
 (NULL, NULL, NULL, -9223372036854775808, NULL, '-Infinity', '-Infinity', 0.1234567890123456),
 (NULL, NULL, NULL, -1000000000000000, NULL, -0.1, 9.99999999999999e307, 0.000000000000000000123456789012345),
 (NULL, NULL, NULL, NULL, NULL, NULL, 1e15, 'Infinity'),
 (NULL, NULL, NULL, NULL, NULL, NULL, -1.5, 100000000000000000000),
 (NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1.10)
) v (bool, int2, int4, int8, oid, float4, float8, num)
SQL
is(read_with('cells', $file), <<'CELLS', 'numbers and booleans');
All types!A1 text 'bool'
All types!B1 text 'int2'
All types!C1 text 'int4'
All types!D1 text 'int8'
All types!E1 text 'oid'
All types!F1 text 'float4'
All types!G1 text 'float8'
All types!H1 text 'num'
All types!A2 boolean True
All types!B2 number 32767 as 0
All types!C2 number 2147483647 as 0
All types!D2 number 999999999999999 as 0
All types!E2 number 4294967295 as 0
All types!F2 number 0.1 as General
All types!G2 number 0.1 as General
All types!H2 number 1.5 as General
All types!A3 boolean False
All types!B3 number -32768 as 0
All types!C3 number -2147483648 as 0
All types!D3 number -999999999999999 as 0
All types!E3 number 0 as 0
All types!F3 text 'NaN'
All types!G3 text 'Infinity'
All types!H3 text 'NaN'
All types!B5 number 0 as 0
All types!C5 number 0 as 0
All types!D5 text '1000000000000000'
All types!F5 number 3.4028235e+38 as General
All types!G5 text '1.7976931348623157e+308'
All types!H5 number 123456789012345 as General
All types!D6 text '9223372036854775807'
All types!F6 number 1e-45 as General
All types!G6 text '5e-324'
All types!H6 text '1234567890123456'
All types!D7 text '-9223372036854775808'
All types!F7 text '-Infinity'
All types!G7 text '-Infinity'
All types!H7 text '0.1234567890123456'
All types!D8 text '-1000000000000000'
All types!F8 number -0.1 as General
All types!G8 number 9.99999999999999e+307 as General
All types!H8 number 1.23456789012345e-19 as General
All types!G9 number 1000000000000000 as General
All types!H9 text 'Infinity'
All types!G10 number -1.5 as General
All types!H10 text '100000000000000000000'
All types!H11 number 1.1 as General
CELLS

$node->sql(<<'SQL');
CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE >= 0);
CREATE DOMAIN birthday AS date;
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE styles (whole numeric(20,0), price price, ten numeric(20,10), hundreds numeric(5,-2), birthday birthday);
INSERT INTO styles VALUES (12, 12.5, 0.5, 1234, '2000-02-29');
SQL
$file = export('styles', 'TABLE styles', options => '{"header": false}', title => 'Styles');
is(read_with('cells', $file), <<'CELLS', 'scales and domains');
Styles!A1 number 12 as 0
Styles!B1 number 12.5 as 0.00
Styles!C1 number 0.5 as 0.0000000000
Styles!D1 number 1200 as 0
Styles!E1 time 2000-02-29 00:00:00 as yyyy\-mm\-dd
CELLS

# Berlin is an hour ahead of UTC in winter, two in summer.
$file = export('times', <<'SQL', title => 'Times', options => '{"header": false}');
VALUES
 (date '1900-03-01', timestamp '1900-03-01', timestamptz '2026-11-25 23:30+00'),
 ('9999-12-31', '9999-12-31 23:59:59.999', '2026-07-01 12:00:00+00'),
 ('1900-02-28', '1900-02-28 23:59:59.999999', '1900-02-28 23:30+00'),
 ('10000-01-01', '10000-01-01', '9999-12-31 23:30+00'),
 ('0044-03-15 BC', '0044-03-15 BC', '2026-03-29 00:59:59+00'),
 ('infinity', '-infinity', '2026-03-29 01:00:00+00'),
 ('-infinity', 'infinity', 'infinity'),
 ('1969-07-20', '1969-07-20 20:17:40.25', '1969-07-20 20:17:40.25+00'),
 (NULL, '2000-01-01 00:00:00', NULL)
SQL
is(read_with('cells', $file), <<'CELLS', 'dates and times');
Times!A1 time 1900-03-01 00:00:00 as yyyy\-mm\-dd
Times!B1 time 1900-03-01 00:00:00 as yyyy\-mm\-dd\ hh:mm:ss
Times!C1 time 2026-11-26 00:30:00 as yyyy\-mm\-dd\ hh:mm:ss
Times!A2 time 9999-12-31 00:00:00 as yyyy\-mm\-dd
Times!B2 time 9999-12-31 23:59:59.999000 as yyyy\-mm\-dd\ hh:mm:ss.000
Times!C2 time 2026-07-01 14:00:00 as yyyy\-mm\-dd\ hh:mm:ss
Times!A3 text '1900-02-28'
Times!B3 text '1900-02-28 23:59:59.999999'
Times!C3 time 1900-03-01 00:30:00 as yyyy\-mm\-dd\ hh:mm:ss
Times!A4 text '10000-01-01'
Times!B4 text '10000-01-01 00:00:00'
Times!C4 text '10000-01-01 00:30:00+01'
Times!A5 text '0044-03-15 BC'
Times!B5 text '0044-03-15 00:00:00 BC'
Times!C5 time 2026-03-29 01:59:59 as yyyy\-mm\-dd\ hh:mm:ss
Times!A6 text 'infinity'
Times!B6 text '-infinity'
Times!C6 time 2026-03-29 03:00:00 as yyyy\-mm\-dd\ hh:mm:ss
Times!A7 text '-infinity'
Times!B7 text 'infinity'
Times!C7 text 'infinity'
Times!A8 time 1969-07-20 00:00:00 as yyyy\-mm\-dd
Times!B8 time 1969-07-20 20:17:40.250000 as yyyy\-mm\-dd\ hh:mm:ss.000
Times!C8 time 1969-07-20 21:17:40.250000 as yyyy\-mm\-dd\ hh:mm:ss.000
Times!B9 time 2000-01-01 00:00:00 as yyyy\-mm\-dd\ hh:mm:ss
CELLS

# The zone is the submitter's.
my $job = $node->sql(q{SET TimeZone = 'Asia/Kolkata';
	SELECT jobs.export($$SELECT timestamptz '2026-11-25 00:00+00' AS t$$, 'xlsx', title => 'Kolkata')});
$node->wait_job($job);
download($job, "$dir/zone.xlsx");
like(read_with('cells', "$dir/zone.xlsx"), qr/A2 time 2026-11-25 05:30:00 as/, 'the time zone of the submitter');

$file = export('text', <<'SQL', title => 'Text', options => '{"header": false}');
VALUES ('plain'), ('=1+1'), ('+1'), ('@x'), ('http://example.com/'), ('mailto:a@b.c'), ('00123'), ('1e5'), ('TRUE'), (''), (NULL),
 (E'a\tb\nc\r\nd'), (E'\x01\x08\x0b\x1f\x7f'), ('_x0041_ _x005F_ _x_ _xZZZZ_ __x000a_'), ('<a href="x">&amp;</a>'), (' both '), (E'\n'),
 (E'caf\u00e9 \u0391\u03b8\u03ae\u03bd\u03b1 \u041c\u043e\u0441\u043a\u0432\u0430 \u05e2\u05d1\u05e8\u05d9\u05ea \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0939\u093f\u0928\u094d\u0926\u0940 \u4e2d\u6587 e\u0301'),
 (E'\U0001F600\U0001F468\u200D\U0001F469'), (E'\u0085\u009f\u2028\ufdd0\ufffd'), (E'\ufffe\uffff'), (repeat('x', 32767))
SQL
is( read_with('cells', $file) =~ s/x{32767}/32767 times x/r,
	<<'CELLS', 'text');
Text!A1 text 'plain'
Text!A2 text '=1+1'
Text!A3 text '+1'
Text!A4 text '@x'
Text!A5 text 'http://example.com/'
Text!A6 text 'mailto:a@b.c'
Text!A7 text '00123'
Text!A8 text '1e5'
Text!A9 text 'TRUE'
Text!A12 text 'a\tb\nc\r\nd'
Text!A13 text '\x01\x08\x0b\x1f\x7f'
Text!A14 text '_x0041_ _x005F_ _x_ _xZZZZ_ __x000a_'
Text!A15 text '<a href="x">&amp;</a>'
Text!A16 text ' both '
Text!A17 text '\n'
Text!A18 text 'caf\xe9 \u0391\u03b8\u03ae\u03bd\u03b1 \u041c\u043e\u0441\u043a\u0432\u0430 \u05e2\u05d1\u05e8\u05d9\u05ea \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0939\u093f\u0928\u094d\u0926\u0940 \u4e2d\u6587 e\u0301'
Text!A19 text '\U0001f600\U0001f468\u200d\U0001f469'
Text!A20 text '\x85\x9f\u2028\ufdd0\ufffd'
Text!A21 text '\ufffe\uffff'
Text!A22 text '32767 times x'
CELLS

$file = export('others', <<'SQL', title => 'Others', options => '{"header": false}');
SELECT ARRAY[1,NULL,3], '{"a": [1, "b"]}'::json, '{"a": [1, "b"]}'::jsonb, '\x0102'::bytea, '{5b1c9f0e-0000-4000-8000-000000000001}'::uuid,
       interval '1 day 02:03', time '10:11:12.5', int4range(1, 5), point '(1,2)', 'sad'::mood, ROW(1, 'x')::pair, 'pg_class'::regclass,
       'name'::name, 'c'::"char", 'ab'::char(4), '10.0.0.1'::inet, B'101', xmlelement(name a, 1)
SQL
is(read_with('cells', $file), <<'CELLS', 'all other types are text');
Others!A1 text '{1,NULL,3}'
Others!B1 text '{"a": [1, "b"]}'
Others!C1 text '{"a": [1, "b"]}'
Others!D1 text '\\x0102'
Others!E1 text '5b1c9f0e-0000-4000-8000-000000000001'
Others!F1 text '1 day 02:03:00'
Others!G1 text '10:11:12.5'
Others!H1 text '[1,5)'
Others!I1 text '(1,2)'
Others!J1 text 'sad'
Others!K1 text '(1,x)'
Others!L1 text 'pg_class'
Others!M1 text 'name'
Others!N1 text 'c'
Others!O1 text 'ab  '
Others!P1 text '10.0.0.1'
Others!Q1 text '101'
Others!R1 text '<a>1</a>'
CELLS

# Many values of many sizes, against what the CSV export has.
my $random = <<'SQL';
SELECT i AS id, (random() * 1e6)::int - 500000 AS int4, (random() * 10 ^ (random() * 19))::numeric::int8 AS int8,
       round((random() * 10 ^ (random() * 20))::numeric, (random() * 12)::int) AS num, (random() * 1e5)::numeric(12,3) AS scaled,
       ((random() - 0.5) * 10 ^ (random() * 14)::int)::float4 AS float4, random() > 0.5 AS ok,
       date '1850-01-01' + (random() * 100000)::int AS day,
       timestamp '1890-01-01' + random() * interval '200 years' AS at, timestamptz '1890-01-01' + random() * interval '200 years' AS tz,
       (SELECT string_agg(chr(1 + (random() * 400)::int), '') FROM generate_series(1, (random() * 20)::int + i - i)) AS txt,
       CASE WHEN random() < 0.5 THEN md5(i::text) END AS nullable
  FROM generate_series(1, 5000) i
SQL
$node->sql("SELECT setseed(0.5); CREATE TABLE random AS $random");
$file = export('random', 'SELECT * FROM random ORDER BY id');
is( read_with('compare', $file, export('random', 'SELECT * FROM random ORDER BY id', format => 'csv')),
	"60012 cells, 0 different\n", 'random values are those of the CSV file');

# ----------------------------------------------------------------------------
# The frame
# ----------------------------------------------------------------------------

my $wide = q{SELECT 1 AS id, 'x' AS "a rather long heading", repeat('w', 30) AS text, repeat('w', 100) AS long,
	repeat(E'\u4e2d', 10) AS wide, date '2000-01-01' AS day, now()::timestamp(0) AS at, true AS ok, E'one\nlong line of several' AS lines};
is(read_with('frame', export('frame', $wide, title => 'Export: frame.xlsx')), <<'FRAME', 'frame');
title: Export: frame.xlsx
sheet "frame" A1:I2
  filter: A1:I2, frozen at: A2
  bold: 1
  widths: A 9 B 26 C 32 D 61 E 22 F 12 G 21 H 9 I 22
FRAME
is(read_with('frame', export('bare', $wide, options => '{"header": false, "sheet": "Own name"}')), <<'FRAME', 'no header');
title: Export: bare.xlsx
sheet "Own name" A1:I1
  filter: None, frozen at: None
  bold: none
  widths: A 9 B 9 C 32 D 61 E 22 F 12 G 21 H 9 I 22
FRAME
like(read_with('frame', export('none', 'SELECT 1 AS a, 2 AS b WHERE false')), qr/sheet "none" A1:B1\n  filter: A1:B1, frozen at: A2\n  bold: 1\n/,
	'no rows');

# The widths come from the first rows, not the first sheet's all.
like(read_with('frame', export('measured', q{SELECT repeat('x', CASE WHEN i = 400 THEN 40 WHEN i = 2000 THEN 50 ELSE 1 END) AS x
	FROM generate_series(1, 2000) i})), qr/widths: A 42\n/, 'width from the first rows');

my %names = (
	'Q4 Revenue Report' => 'Q4 Revenue Report',
	'Export: Q4 Revenue Report' => 'Q4 Revenue Report',
	'a/b\\c:d*e?f[g]h' => 'a b c d e f g h',
	'x' x 40 => 'x' x 31,
	"\x{1F600}" x 20 => "\x{1F600}" x 15,
	"''quoted''" => 'quoted',
	'history' => 'history 1',
	'???' => 'Sheet1',
	"it''s" => "it's");
foreach my $title (sort keys %names)
{
	my $encoded = $title;

	utf8::encode($encoded);
	$file = export('name', 'SELECT 1', title => $encoded);
	like(read_with('frame', $file), qr/^sheet "\Q$names{$title}\E" A1/m, "sheet of \"$encoded\"");
}

# ----------------------------------------------------------------------------
# More than one sheet
# ----------------------------------------------------------------------------

$file = export('sheets', 'SELECT i AS n FROM generate_series(1, 1048577) i', options => '{"sheet": "A name of all the 31 characters"}');
is(read_with('rows', $file), <<'ROWS', 'rows beyond the last of a sheet are on another');
A name of all the 31 characters: 1048576 rows to 1048576, filter A1:A1048576, first n, last 1048575
A name of all the 31 charac (2): 3 rows to 3, filter A1:A3, first n, last 1048577
ROWS
$file = export('sheets', 'SELECT i AS n FROM generate_series(1, 1048576) i', options => '{"header": false}');
is(read_with('rows', $file), "sheets: 1048576 rows to 1048576, filter None, first 1, last 1048576\n", 'as many as a sheet has');

# ----------------------------------------------------------------------------
# Databases in other encodings
# ----------------------------------------------------------------------------

foreach my $encoding ('LATIN1', 'SQL_ASCII')
{
	my $dbname = lc $encoding;

	$node->sql("CREATE DATABASE $dbname TEMPLATE template0 ENCODING $encoding LOCALE 'C'");
	$node->sql('CREATE EXTENSION jobs', $dbname);
}
$file = export('latin1', q{SELECT chr(233) || '=' || chr(252) AS umlaut}, dbname => 'latin1');
like(read_with('cells', $file), qr/A2 text '\\xe9=\\xfc'/, 'LATIN1');
$job = $node->sql(q{SELECT jobs.export('SELECT chr(233) AS byte', 'xlsx')}, 'sql_ascii');
is($node->wait_job($job, 'sql_ascii'), 'failed', 'bytes that are no UTF-8');
is( $node->job($job, q{error_code || ' ' || error_message}, 'sql_ascii'),
	'22021 invalid byte sequence for encoding "UTF8": 0xe9', 'the reason');

# ----------------------------------------------------------------------------
# Resources
# ----------------------------------------------------------------------------

# Much larger than what a worker may take.
$node->sql('CREATE TABLE large AS SELECT i AS id, repeat(md5(i::text), 30) AS text FROM generate_series(1, 200000) i');
$job = $node->sql(q{SELECT jobs.export('SELECT * FROM large', 'xlsx')});
my $pid = $node->wait_running($job);
my $most = 0;
while ($node->sql("SELECT state FROM jobs.job WHERE id = $job") eq 'running')
{
	my $memory = eval { $node->memory_of($pid) } || 0;

	$most = $memory if $memory > $most;
}
is($node->wait_job($job), 'succeeded', 'a large workbook');
SKIP:
{
	# AddressSanitizer keeps for a while what was freed.
	skip 'memory is not as usual', 1 if slurp_file("/proc/$pid/maps") =~ /libasan/;
	cmp_ok($most, '<', 64 * 1024, 'memory stays small');
}

# Ends that leave nothing behind.
$job = $node->sql(q{SELECT jobs.export('SELECT l.* FROM large l, large m', 'xlsx')});
$pid = $node->wait_running($job);
$node->poll("SELECT processed > 10000 FROM jobs.progress WHERE id = $job");
my $start = Time::HiRes::time();
is($node->sql("SELECT jobs.cancel($job); SELECT jobs.wait($job)"), "t\ncancelled", 'cancel');
my $elapsed = Time::HiRes::time() - $start;
cmp_ok($elapsed, '<', 2, 'at once');
$node->poll("NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid AND state = 'active')");
ok(eventually(sub { my @threads = glob "/proc/$pid/task/*"; @threads <= 1 }), 'no thread is left');
is(scalar(() = glob $node->data_dir . '/base/pgsql_tmp/*'), 0, 'no temporary file is left');

sub eventually
{
	my ($condition) = @_;
	my $deadline = Time::HiRes::time() + $PostgreSQL::Test::Utils::timeout_default;

	until ($condition->())
	{
		return 0 if Time::HiRes::time() > $deadline;
		Time::HiRes::usleep(10_000);
	}
	return 1;
}

# ----------------------------------------------------------------------------
# A server that was built without the library
# ----------------------------------------------------------------------------

my $module = $node->config_data('--pkglibdir') . '/jobs_xlsx.so';
SKIP:
{
	skip 'the module is not ours to take away', 2 unless -w dirname($module);
	rename $module, "$module.away" or die $!;
	my $error = $node->error(q{SELECT jobs.export('SELECT 1', 'xlsx')});
	rename "$module.away", $module or die $!;
	like($error, qr/ERROR:  0A000: format "xlsx" is not available on this server/, 'no module');
	like($error, qr/HINT:  .* libxlsxwriter /, 'with a hint');
}

$node->log_ok;
$node->stop;
done_testing();
