# Uploads from files and by psql; what survives a crash; and clients that send a
# file in pieces.  JOBS_NODE_MODULES names a directory with pg; python3 needs psycopg2.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
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
