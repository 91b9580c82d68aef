# Uploads from files and by psql; what survives a crash; and clients that send a
# file in pieces.  JOBS_NODE_MODULES names a directory with pg; python3 needs psycopg2.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use Encode ();
use IPC::Run;
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $bytes = join '', map { sprintf "%d,some words,%s\n", $_, sha256_hex($_) } 1 .. 60_000;
my $file = "$dir/rows.csv";

PostgreSQL::Test::Utils::append_to_file($file, $bytes);

# How many bytes an upload has; that they are the same is seen where they are read.
sub is_upload
{
	my ($id, $what) = @_;

	is($node->sql("SELECT bytes FROM jobs.upload WHERE id = $id"), length $bytes, "$what: whole");
	return;
}

# --- files on the server ---------------------------------------------------------
$node->sql('CREATE ROLE reader LOGIN; GRANT pg_read_server_files TO reader; CREATE ROLE other LOGIN');
is_upload($node->safe_psql('postgres', "SELECT jobs.upload_file('$file')", extra_params => [ '-U', 'reader' ]), 'file');
is($node->sql(q{SELECT filename || ' ' || owner FROM jobs.upload}), 'rows.csv reader', 'its name and owner');
like($node->error("SELECT jobs.upload_file('$file')", extra_params => [ '-U', 'other' ]),
	qr/42501: permission denied to read files on the server/, 'not for everybody');
like($node->error("SELECT jobs.upload_file(repeat('x', 600))"), qr/22023: could not open file .*: File name too long/, 'a name that is too long');
symlink 'loop', "$dir/loop" or die "$!";
like($node->error("SELECT jobs.upload_file('$dir/loop')"), qr/42809: could not open file/, 'a link that leads nowhere but to itself');
like($node->error("SELECT jobs.upload_file('$dir')"), qr/42809: "\Q$dir\E" is not a regular file/, 'a directory');
SKIP:
{
	skip 'needs mkfifo', 1 if system('mkfifo', "$dir/pipe") != 0;
	like($node->error("SELECT jobs.upload_file('$dir/pipe')"), qr/42809: .* is not a regular file/, 'a pipe does not block');
}
chmod 0, $file;
like($node->error("SELECT jobs.upload_file('$file')"), qr/42501: could not open file .*Permission denied.*HINT/s, 'not readable') if $> != 0;
chmod 0600, $file;
like($node->error("SET jobs.max_upload_size = '1MB'; SELECT jobs.upload_file('$file')"),
	qr/54000: the upload would be larger than 1 MB/, 'too large');
like($node->error("SET statement_timeout = 1; SELECT jobs.upload_file('$file')"), qr/57014/, 'can be cancelled');
is($node->sql('SELECT count(*) FROM jobs.upload'), '1', 'errors leave nothing');

# --- psql ------------------------------------------------------------------------
my ($status, $stdout, $stderr) = $node->psql('postgres', <<"SQL");
\\lo_import '$file'
SELECT jobs.upload_lo(:LASTOID, 'rows.csv') AS upload \\gset
\\lo_unlink :LASTOID
\\echo upload :upload
SQL
is($status, 0, 'psql') or diag $stderr;
is_upload($stdout =~ /upload (\d+)/, 'psql');

# --- what was uploaded is what is imported, whatever its encoding -------------------
# The rows of a file that has gone all the way into a table with two columns, and issues.
sub imported
{
	my ($dbname, $upload, $options) = @_;
	my $job = $node->sql("TRUNCATE target; SELECT jobs.import_preview('target'::regclass, upload => $upload, options => '$options')", $dbname);
	my $failed = "SELECT error_message FROM jobs.job WHERE id = %s AND error_message IS NOT NULL";
	my @errors = map { s/^\n//r } $node->sql("SELECT FROM jobs.wait($job); " . sprintf($failed, $job), $dbname);

	if ($errors[0] eq '')
	{
		my $import = $node->sql("SELECT jobs.import($job)", $dbname);

		push @errors, $node->sql("SELECT FROM jobs.wait($import); " . sprintf($failed, $import), $dbname);
	}
	return join "\n", grep { $_ ne '' } map { s/^\n//r } @errors, $node->sql(<<"SQL", $dbname);
SET client_encoding = 'UTF8';
SELECT id || ':' || name FROM target ORDER BY id;
SELECT row_no || '/' || line_no || ' ' || code FROM jobs.import_issue WHERE job = $job ORDER BY row_no;
SQL
}

# An upload of bytes, in two pieces.
sub upload
{
	my ($dbname, $data) = @_;
	my $half = int(length($data) / 2);

	my $id = $node->sql('SELECT jobs.upload()', $dbname);

	$node->sql("SELECT jobs.upload_append($id, decode('" . unpack('H*', $_) . "', 'hex'))", $dbname)
	  foreach substr($data, 0, $half), substr($data, $half);
	return $id;
}

$node->sql('CREATE DATABASE latin1 ENCODING LATIN1 TEMPLATE template0 LOCALE "C"');
$node->sql('CREATE EXTENSION jobs', 'latin1');
$node->sql('CREATE TABLE target (id integer, name text)', $_) foreach qw(postgres latin1);

# Characters of Windows-1252 and no more, of Latin-1 and no more, and others.
for my $case (
	[ 'UTF-8', "\x{e4}\x{df}", '{}', 'postgres', 'latin1' ],
	[ 'cp1252', "\x{e4}\x{20ac}", '{"encoding": "WIN1252"}', 'postgres' ],
	[ 'cp1252', "\x{e4}\x{df}", '{"encoding": "WIN1252"}', 'postgres' ],
	[ 'iso-8859-1', "\x{e4}\x{df}", '{"encoding": "LATIN1"}', 'postgres', 'latin1' ],
	[ 'iso-8859-15', "\x{20ac}", '{"encoding": "LATIN9"}', 'postgres' ],
	[ 'koi8-r', "\x{43c}\x{438}\x{440}", '{"encoding": "KOI8R"}', 'postgres' ],
	[ 'shiftjis', "\x{65e5}\x{672c}\x{8868}", '{"encoding": "SJIS"}', 'postgres' ],
	[ 'big5-eten', "\x{4e2d}\x{6587}", '{"encoding": "BIG5"}', 'postgres' ],
	[ 'gbk', "\x{4e2d}\x{6587}", '{"encoding": "GBK"}', 'postgres' ],
	[ 'euc-kr', "\x{d55c}", '{"encoding": "EUC_KR"}', 'postgres' ],
	[ 'UTF-16LE', "\x{e4}\x{df}", '{}', 'postgres', 'latin1' ],
	[ 'UTF-16BE', "\x{65e5}\x{1f600}", '{}', 'postgres' ])
{
	my ($encoding, $word, $options, @databases) = @$case;
	my $bom = $encoding =~ /16/ ? "\x{feff}" : '';
	my $data = Encode::encode($encoding, $bom . "id,name\n" . join '', map { "$_,$word $_\n" } 1 .. 30);
	my $expected = Encode::encode('UTF-8', join "\n", map { "$_:$word $_" } 1 .. 30);

	is(imported($_, upload($_, $data), $options), $expected, "$encoding into $_") foreach @databases;
}
is(imported('latin1', upload('latin1', "id,name\n1,\xe2\x82\xac\n2,x\n"), '{}'), "2:x\n1/2 bad_encoding", 'what the database cannot have');
is(imported('postgres', upload('postgres', "id,name\n1,\x81\xe4\n2,\xe4\n"), '{"encoding": "WIN1252"}'), "2:\xc3\xa4\n1/2 bad_encoding", 'what the encoding has not');
is(imported('postgres', upload('postgres', "id,name\n" . "1,x\n" x 300_000 . "2,\xe4\n"), '{}') =~ s/^(1:x\n)+//r, "2:\xc3\xa4",
	'a file that is ASCII but for its end is Windows-1252');

# --- an upload that has been committed is there after a crash ------------------------
my $id = $node->sql("SELECT jobs.upload('crash')");
$node->sql("SELECT jobs.upload_append($id, 'abc')");
my $open = $node->background_psql('postgres');
$open->query("BEGIN; SELECT jobs.upload_append($id, 'def')");
$node->stop('immediate');
$node->start;
is($node->sql("SELECT bytes FROM jobs.upload WHERE id = $id"), '3', 'the committed piece, and not the other');
$node->sql("SELECT jobs.upload_append($id, 'ghi')");
is($node->sql("SELECT bytes FROM jobs.upload WHERE id = $id"), '6', 'goes on');
eval { $open->quit };

# --- the scheduler is there in time, although no job ever is ------------------------
$node->sql("ALTER SYSTEM SET jobs.worker_idle_timeout = 0; SELECT pg_reload_conf()");
$node->sql("UPDATE jobs.upload_entry SET expires_at = now() + interval '2 s' WHERE id = $id; SELECT jobs.upload('wakes')");
ok($node->poll("NOT EXISTS (SELECT FROM jobs.upload WHERE id = $id)"), 'goes when its time has come');
ok($node->poll("NOT EXISTS (SELECT FROM jobs.chunk WHERE job = $id)"), 'and its bytes');

done_testing();
