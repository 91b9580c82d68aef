# The memory of a worker does not grow with what it exports.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = JobsTest->create('main', conf => <<CONF);
shared_buffers = '32MB'
max_wal_size = '2GB'
jobs.max_workers = 1
CONF

plan skip_all => 'a sanitizer takes memory of its own' if $node->has_sanitizer;

# The most memory that a worker has while a job runs, in MB.
sub most_memory
{
	my ($call) = @_;
	my $job = $node->sql("SELECT jobs.$call");
	my ($most, $samples) = (0, 0);
	my $session = $node->background_psql('postgres');
	my $pid;

	while (1)
	{
		my ($state, $now) = split /\|/, $session->query_safe("SELECT state, pid FROM jobs.progress WHERE id = $job");

		$pid = $now if $now;
		if ($pid && -e "/proc/$pid")
		{
			my $memory = eval { $node->memory_of($pid) } || 0;

			$most = $memory if $memory > $most;
			$samples++;
		}
		last if $state eq 'succeeded' || $state eq 'failed';
		usleep(2_000);
	}
	$session->quit;
	is($node->job($job, 'state, error_message'), 'succeeded|', "done: $call");
	note("$call: $most kB at most, $samples samples");
	return $most / 1024;
}

is($node->wait_job($node->sql(q{SELECT jobs.export('SELECT 1 AS a')})), 'succeeded', 'a worker has started');
my $base = $node->memory_of($node->wait_process('worker')) / 1024;
cmp_ok($base, '<', 20, 'memory of a worker');

# Progress, however often.
cmp_ok(most_memory(q{run('SELECT jobs.report_progress(g, 1000000, ''row '' || g) FROM generate_series(1, 1000000) g')}) - $base,
	'<', 10, 'a million reports of progress take none');

# Many rows.
for my $export (
	q{export('SELECT g, md5(g::text) FROM generate_series(1, 1000000) g')},
	q{export('SELECT g, md5(g::text) FROM generate_series(1, 1000000) g', options => '{"compression": "gzip"}')})
{
	# With threads that compress, a few blocks of 512 kB each.
	cmp_ok(most_memory($export) - $base, '<', 20, 'a million rows take a few MB');
}

# Long rows: one at a time has to be in memory, in several forms.
for my $options ('{"force_quote": "*"}', '{"compression": "gzip"}')
{
	my $long = q{SELECT repeat(chr(64 + g % 20), 20000000) AS t FROM generate_series(1, %d) g};
	my $few = most_memory(sprintf "export('$long', options => '$options')", 2);
	my $many = most_memory(sprintf "export('$long', options => '$options')", 10);

	cmp_ok($many - $few, '<', 25, 'more rows of 20 MB take no more memory than a few');
	cmp_ok($many, '<', 150, 'which is a few times a row');
}
# Rows of one parallel worker that wait for another's: few in each batch, since blocks between them have none.
$node->add_gate;
$node->sql(q{
	CREATE TABLE sparse (id int, filler text) WITH (fillfactor = 10, parallel_workers = 2);
	INSERT INTO sparse SELECT g, repeat('x', 900) FROM generate_series(1, 20000) g;
	ANALYZE sparse;
	CREATE FUNCTION passes(id int) RETURNS boolean LANGUAGE plpgsql PARALLEL SAFE STABLE AS
		$$BEGIN IF id = 2 THEN PERFORM wait_to_go(); END IF; RETURN id % 2 = 0; END$$;
	ALTER FUNCTION wait_to_go() PARALLEL SAFE;
	ALTER DATABASE postgres SET parallel_setup_cost = 0});
my $merged = $node->sql(q{SELECT jobs.export('SELECT id FROM sparse WHERE passes(id)')});
my $leader = $node->wait_running($merged);
$node->poll(qq{(SELECT count(*) = 2 FROM pg_stat_activity WHERE leader_pid = $leader)}) or diag('no parallel workers');
# One of them waits at the first row; the other ends when the leader has taken all of its own.
$node->poll(qq{(SELECT count(*) = 1 FROM pg_stat_activity WHERE leader_pid = $leader)}) or diag('the other one does not end');
my $seen = $node->memory_of($leader);
cmp_ok($seen / 1024 - $base, '<', 20, "thousands of small batches take little memory ($seen kB)");
$node->open_gate;
is($node->wait_job($merged), 'succeeded', 'and come in order');
is($node->sql("SELECT md5(convert_from(string_agg(c, ''), 'UTF8')) = (SELECT md5(E'id\\n' || string_agg(g || E'\\n', '' ORDER BY g)) FROM generate_series(2, 20000, 2) g) FROM jobs.download($merged) c"), 't', 'all of them');

# Reading a file.
my $big = $node->sql('SELECT job FROM jobs.artifact ORDER BY bytes DESC LIMIT 1');
my $status = $node->sql(<<SQL);
COPY (SELECT jobs.download($big)) TO PROGRAM 'cat > /dev/null';
SELECT pg_read_file('/proc/self/status')
SQL
my ($memory) = $status =~ /^RssAnon:\s+(\d+) kB/m;
cmp_ok($node->sql("SELECT bytes FROM jobs.artifact WHERE job = $big") / 1048576, '>', 150, 'a large file');
cmp_ok($memory / 1024, '<', 40, 'is read in little memory');

$node->log_ok;
$node->stop;
done_testing();
