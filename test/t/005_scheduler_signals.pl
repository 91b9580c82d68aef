# Signals to the launcher and to a scheduler: they come back at once, nothing is
# lost, and jobs that run do not notice.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = JobsTest->create('main');
my $postmaster = $node->postmaster_pid;

$node->sql('CREATE TABLE effect (job int)');
$node->add_gate;

# ----------------------------------------------------------------------------
# SIGTERM
# ----------------------------------------------------------------------------

for my $victim ('scheduler', 'launcher', 'both')
{
	$node->sql('TRUNCATE effect');
	$node->close_gate;
	my $running = $node->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (0); SELECT wait_to_go()')});
	my $worker = $node->wait_running($running);
	my $after = $node->sql("SELECT jobs.run('SELECT 1', after => ARRAY[$running])");
	my $later = $node->sql(q{SELECT jobs.run('SELECT 1', run_at => now() + '500 ms')});
	my $scheduler = $node->wait_process('scheduler', 'postgres');
	my $launcher = $node->wait_process('launcher');
	my @pids = $victim eq 'both' ? ($scheduler, $launcher) : $victim eq 'scheduler' ? ($scheduler) : ($launcher);

	kill 'TERM', @pids;
	$node->sql(q{SELECT count(jobs.run(format('INSERT INTO effect VALUES (%s)', g))) FROM generate_series(1, 100) g});
	my $from = time;
	$node->wait_process('scheduler', 'postgres', $victim eq 'launcher' ? undef : $scheduler);
	$node->wait_process('launcher', undef, $victim eq 'scheduler' ? undef : $launcher);
	cmp_ok(time - $from, '<', 5, "$victim: back after SIGTERM");
	ok($node->poll('(SELECT count(*) FROM effect) = 100'), "$victim: jobs submitted meanwhile have run");
	is($node->sql('SELECT count(DISTINCT job) FROM effect'), '100', "$victim: each once");
	is($node->wait_job($later), 'succeeded', "$victim: a job with a time has run");
	is($node->job($running, 'state, attempt'), 'running|1', "$victim: the running job still does");
	is($node->sql("SELECT pid FROM jobs.progress WHERE id = $running"), $worker, "$victim: in the same worker");
	$node->open_gate;
	is($node->wait_job($running), 'succeeded', "$victim: and succeeds");
	is($node->wait_job($after), 'succeeded', "$victim: as does what waited for it");
}

# A running job can be cancelled, and ended, through a scheduler that took over.
$node->close_gate;
my @jobs = split /\n/, $node->sql(q{SELECT jobs.run('SELECT wait_to_go()') FROM generate_series(1, 2)});
$node->wait_running($_) foreach @jobs;
my $scheduler = $node->wait_process('scheduler', 'postgres');
kill 'TERM', $scheduler;
$node->wait_process('scheduler', 'postgres', $scheduler);
is($node->sql("SELECT jobs.cancel($jobs[0])"), 't', 'cancel after a change of scheduler');
is($node->wait_job($jobs[0]), 'cancelled', 'which ends the job');
kill 'TERM', $node->wait_running($jobs[1]);
is($node->wait_job($jobs[1]), 'failed', 'a worker that ends after a change of scheduler');
is($node->job($jobs[1], 'error_message'), 'terminated by administrator', 'is settled with the reason');

# Many times in a row, faster than they can be back.
for my $i (1 .. 10)
{
	$node->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type IN ('jobs scheduler', 'jobs launcher')});
}
my $from = time;
is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')})), 'succeeded', 'after ten SIGTERMs in a row jobs run');
cmp_ok(time - $from, '<', 10, 'soon');

# ----------------------------------------------------------------------------
# SIGINT and SIGHUP
# ----------------------------------------------------------------------------

$scheduler = $node->wait_process('scheduler', 'postgres');
my $launcher = $node->wait_process('launcher');
$node->sql("SELECT pg_cancel_backend($scheduler), pg_cancel_backend($launcher)");
$node->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'jobs worker'");
is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')})), 'succeeded', 'after SIGINT jobs run');

# Off starts nothing and lets what runs go on; on again starts what has waited.
my $running = $node->sql(q{SELECT jobs.run('SELECT wait_to_go()')});
$node->wait_running($running);
set_enabled('off');
my $queued = $node->sql(q{SELECT jobs.run('SELECT 1')});
ok($node->poll("SELECT waiting_for = 'jobs.enabled to be on' FROM jobs.job WHERE id = $queued"), 'off: a job says that it waits for on');
$node->open_gate;
is($node->wait_job($running), 'succeeded', 'off: what runs goes on');
is($node->sql("SELECT jobs.wait($queued, '0 s')"), 'queued', 'off: nothing starts');
set_enabled('on');
is($node->wait_job($queued), 'succeeded', 'on: what has waited runs');

is($node->wait_process('scheduler', 'postgres'), $scheduler, 'the scheduler has stayed');
is($node->wait_process('launcher'), $launcher, 'and the launcher');

# ----------------------------------------------------------------------------
# SIGSTOP delays, and loses nothing
# ----------------------------------------------------------------------------

$node->sql('TRUNCATE effect');
kill 'STOP', $scheduler, $launcher;
$node->sql(q{SELECT count(jobs.run(format('INSERT INTO effect VALUES (%s)', g))) FROM generate_series(1, 500) g});
# More changes than the scheduler's list has room for.
my $ids = $node->sql(q{SELECT jobs.run('SELECT 1', run_at => now() + '1 day') FROM generate_series(1, 100)});
$node->sql(join '', map { "SELECT jobs.cancel($_);\n" } split /\n/, $ids);
kill 'CONT', $scheduler, $launcher;
ok($node->poll('(SELECT count(*) FROM effect) = 500'), 'after SIGSTOP and SIGCONT all jobs run');
ok($node->wait_all, 'and all are final');

is($node->postmaster_pid, $postmaster, 'the server has not been restarted');
unlike($node->log_since(0), qr/terminating any other active server processes/, 'nor its processes');
$node->log_ok;
$node->stop;
done_testing();

sub set_enabled
{
	my ($value) = @_;

	$node->append_conf('postgresql.conf', "jobs.enabled = $value");
	$node->reload;
	$node->poll("current_setting('jobs.enabled') = '$value'");
	return;
}
