# The chunks of files in a tablespace of the operator's choice.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main');
my $dir = PostgreSQL::Test::Utils::tempdir();

# Bytes of all files in a directory.
sub size
{
	my ($bytes) = `du -sb "$_[0]"` =~ /^(\d+)/;

	return $bytes;
}

my $before = $node->sql(q{SELECT jobs.export('SELECT g FROM generate_series(1, 100) g')});
is($node->wait_job($before), 'succeeded', 'an export');
$node->safe_psql('postgres', "CREATE TABLESPACE archive LOCATION '$dir'");
$node->sql('ALTER TABLE jobs.chunk SET TABLESPACE archive');
$node->sql('ALTER INDEX jobs.chunk_pkey SET TABLESPACE archive');
my $size = size($dir);

my $after = $node->sql(
	q{SELECT jobs.export('SELECT md5(g::text) || sha256(g::text::bytea)::text FROM generate_series(1, 50000) g', options => '{"compression": "gzip"}')});
is($node->wait_job($after), 'succeeded', 'an export in the tablespace');
$node->sql('CHECKPOINT');
my $bytes = $node->sql("SELECT bytes FROM jobs.artifact WHERE job = $after");
cmp_ok(size($dir) - $size, '>=', $bytes, "its $bytes bytes are there");
is($node->sql("SELECT count(*) FROM jobs.artifact a WHERE sha256 =
		(SELECT encode(sha256(string_agg(c, '' ORDER BY n)), 'hex') FROM jobs.download(a.job) WITH ORDINALITY d (c, n))"),
	2, 'both files are read');

$node->log_ok;
$node->stop;
done_testing();
