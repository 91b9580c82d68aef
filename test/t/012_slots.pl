# The server is out of background workers, or jobs.max_workers is.  A job that
# waits for one says so, starts when one is free, and the log stays quiet.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# The launcher, a scheduler and two workers.
my $node = JobsTest->create('main', conf => "max_worker_processes = 4\n");
my $shortage = 'a background worker of the server (all of max_worker_processes are in use)';

$node->sql($_) foreach ('CREATE DATABASE other', 'CREATE ROLE alice LOGIN', 'CREATE ROLE bob LOGIN');
$node->sql('CREATE EXTENSION jobs', 'other');
$node->add_gate;

sub as_role
{
	my ($role, $sql, $dbname) = @_;

	return $node->safe_psql($dbname || 'postgres', $sql, extra_params => [ '-U', $role ]);
}

sub starts_soon
{
	my ($job, $name, $dbname) = @_;
	my $from = time;

	is($node->wait_job($job, $dbname), 'succeeded', $name);
	cmp_ok(time - $from, '<', 5, 'soon');
	return;
}

# ----------------------------------------------------------------------------
# No process for a worker
# ----------------------------------------------------------------------------

my $offset = $node->log_length;
my @long = map { as_role('alice', q{SELECT jobs.run('SELECT wait_to_go()')}) } 1 .. 2;
$node->wait_running($_) foreach @long;
my $same = as_role('alice', q{SELECT jobs.run('SELECT 1')});
my $job = as_role('bob', q{SELECT jobs.run('SELECT 1')});
for my $id ($same, $job)
{
	ok($node->poll("SELECT waiting_for = '$shortage' FROM jobs.job WHERE id = $id"), 'a job waits for a background worker');
	is($node->job($id, 'state'), 'queued', 'and is queued');
}
is(as_role('bob', "SELECT headline FROM jobs.panel WHERE id = $job"), "Queued · Waiting for $shortage", 'which the panel says too');
is(as_role('bob', "SELECT jobs.wait($job, '2500 ms')"), 'queued', 'it goes on waiting');
is($node->log_since($offset), '', 'with nothing in the log');
$node->sql("SELECT jobs.cancel($long[0])");
starts_soon($same, 'it starts when a worker is free');
starts_soon($job, 'and one of another role when a worker can be spared');
$node->open_gate;
is($node->wait_job($long[1]), 'succeeded', 'the one that ran all the time has succeeded');

# An idle worker makes room for another role.
for my $role ('alice', 'bob', 'alice', 'bob')
{
	my @jobs = map { as_role($role, q{SELECT jobs.run('SELECT pg_sleep(0.01)')}) } 1 .. 4;

	starts_soon($_, "idle workers make room for $role") foreach @jobs;
}

# ----------------------------------------------------------------------------
# No process for a scheduler
# ----------------------------------------------------------------------------

$node->close_gate;
@long = map { as_role('alice', q{SELECT jobs.run('SELECT wait_to_go()')}) } 1 .. 2;
$node->wait_running($_) foreach @long;
$offset = $node->log_length;
$job = $node->sql(q{SELECT jobs.run('SELECT 1')}, 'other');
ok($node->poll("SELECT waiting_for = '$shortage' FROM jobs.job WHERE id = $job", 'other'), 'a job of a database without a scheduler says so');
is($node->sql("SELECT jobs.wait($job, '1200 ms')", 'other'), 'queued', 'and waits');
is($node->log_since($offset), '', 'with nothing in the log');
$node->sql("SELECT jobs.cancel($_)") foreach @long;
$node->wait_job($_) foreach @long;
starts_soon($job, 'it starts when workers are idle', 'other');
is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')})), 'succeeded', 'as do those of the first database');

# ----------------------------------------------------------------------------
# No process for anything: after the server's start without the launcher's share
# ----------------------------------------------------------------------------

$node->append_conf('postgresql.conf', "max_worker_processes = 2\n");
$node->restart;
$job = $node->sql(q{SELECT jobs.run('SELECT 1')});
ok($node->poll("SELECT waiting_for = '$shortage' FROM jobs.job WHERE id = $job"), 'with too few processes for any worker a job says so');
$node->append_conf('postgresql.conf', "max_worker_processes = 8\n");
$node->restart;
starts_soon($job, 'and starts when there are more');

# ----------------------------------------------------------------------------
# jobs.max_workers
# ----------------------------------------------------------------------------

$node->append_conf('postgresql.conf', "jobs.max_workers = 1\n");
$node->restart;
my $long = as_role('alice', q{SELECT jobs.run('SELECT wait_to_go()')});
$node->wait_running($long);
$job = as_role('bob', q{SELECT jobs.run('SELECT 1')});
is(as_role('bob', "SELECT jobs.wait($job, '300 ms')"), 'queued', 'the only worker is busy');
is($node->job($job, 'waiting_for'), 'a free worker (all 1 of jobs.max_workers are busy)', 'and the job says so');
$node->open_gate;
starts_soon($job, 'it starts when the other job has ended');
is($node->wait_job($long), 'succeeded', 'which succeeded');

# More roles than workers.
$node->sql("CREATE ROLE role_$_ LOGIN") foreach 1 .. 5;
for my $role (1 .. 5)
{
	as_role("role_$role", q{SELECT count(jobs.run('SELECT pg_sleep(0.01)')) FROM generate_series(1, 5)});
}
ok($node->wait_all, 'five roles take turns at one worker');

$node->log_ok;
$node->stop;
done_testing();
