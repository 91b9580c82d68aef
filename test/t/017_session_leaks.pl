# After many thousands of jobs the processes that stay have neither more memory
# nor more open files than after the first ones.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main', conf => <<CONF);
shared_buffers = '32MB'
max_wal_size = '2GB'
jobs.retry_delay = '0'
CONF

$node->sql(q{CREATE TABLE effect (job int); CREATE ROLE alice LOGIN; GRANT INSERT ON effect TO alice;
	CREATE PROCEDURE one_by_one(n int) LANGUAGE plpgsql AS $$
	DECLARE
		job bigint;
	BEGIN
		FOR i IN 1 .. n LOOP
			job := jobs.run('SELECT 1');
			COMMIT;
			PERFORM jobs.wait(job);
			COMMIT;
		END LOOP;
	END $$});

# Jobs of some kinds, of two roles, some of which fail, are cancelled, or wait.
sub run_many
{
	my ($n) = @_;

	for my $role ('postgres', 'alice')
	{
		$node->safe_psql('postgres', <<SQL, extra_params => [ '-U', $role ]);
SELECT count(jobs.run('INSERT INTO effect VALUES (1)', queue => 'q' || g % 10)) FROM generate_series(1, $n) g;
SELECT count(jobs.run('SELECT 1/0', max_attempts => 2)) FROM generate_series(1, $n / 50) g;
SELECT count(jobs.export('SELECT 1 AS a')) FROM generate_series(1, $n / 50) g;
SELECT count(jobs.cancel(jobs.run('SELECT 1'))) FROM generate_series(1, $n / 50) g;
SELECT count(jobs.run('SELECT 1', run_at => now() + '10 ms')) FROM generate_series(1, $n / 50) g;
SQL
	}
	ok($node->wait_all, 'all have ended');
	return;
}

# One after the other, each a round of the scheduler of its own.
sub run_each
{
	my ($n) = @_;

	$node->sql("CALL one_by_one($n)");
	return;
}

# What is in use in a process's memory contexts, in kB.
sub used_by
{
	my ($pid) = @_;
	my $offset = $node->log_length;
	my $total = qr/\[$pid\] .*Grand total: .* (\d+) used/;

	$node->sql("SELECT pg_log_backend_memory_contexts($pid)");
	$node->wait_for_log($total, $offset);
	return $node->log_since($offset) =~ $total ? $1 / 1024 : die;
}

sub measure
{
	my %of = (
		launcher => $node->wait_process('launcher'),
		scheduler => $node->wait_process('scheduler', 'postgres'));

	return map { $_ => [ $of{$_}, $node->memory_of($of{$_}), scalar(() = glob "/proc/$of{$_}/fd/*") ] } keys %of;
}

# As many at once each time: the queue in memory keeps the size it once had.
run_many(2500) foreach 1 .. 2;
my %before = measure();
run_many(2500) foreach 1 .. 4;
my %after = measure();

for my $process (sort keys %before)
{
	note("$process: $before{$process}[1] kB, then $after{$process}[1] kB");
	is($after{$process}[0], $before{$process}[0], "the $process is the same");
	cmp_ok($after{$process}[1] - $before{$process}[1], '<', 1024, "the $process has no more memory") unless $node->has_sanitizer;
	cmp_ok($after{$process}[2] - $before{$process}[2], '<=', 5, 'and no more open files');
}
# To the byte: what each job leaves behind would show.
my %pid = map { $_ => $after{$_}[0] } keys %after;
run_each(200);
my %used = map { $_ => used_by($pid{$_}) } keys %pid;
run_each(1000);
for my $process (sort keys %pid)
{
	my $more = used_by($pid{$process}) - $used{$process};

	note("$process: $more kB more in use");
	cmp_ok($more, '<', 30, "the $process keeps nothing of each of a thousand jobs");
}
cmp_ok($node->memory_of($_), '<', 30 * 1024, 'nor has a worker') foreach $node->has_sanitizer ? () : $node->pids('worker');
is($node->sql(q{SELECT count(*) FROM effect}), 2 * 6 * 2500, 'all effects are there');
is($node->sql(q{SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type ~ '^jobs ' AND locktype <> 'virtualxid'}),
	'0', 'no locks are left');
is($node->sql('SELECT (SELECT count(*) FROM jobs.live) + (SELECT count(*) FROM jobs.dependency)'), '0', 'nor rows');

$node->log_ok;
$node->stop;
done_testing();
