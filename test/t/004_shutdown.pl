# Clean and unclean shutdowns while jobs run.  A clean one is quick, and takes no
# attempt from a job: it is queued as if it had not begun.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = JobsTest->create('main');

$node->sql('CREATE TABLE effect (job int)');
$node->add_gate;

# ----------------------------------------------------------------------------
# Jobs that run when a shutdown begins
# ----------------------------------------------------------------------------

for my $mode ('fast', 'smart')
{
	$node->sql('TRUNCATE effect');
	$node->close_gate;
	my $run = $node->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (1); SELECT wait_to_go()')});
	my $export = $node->sql(q{SELECT jobs.export('SELECT g, CASE WHEN g = 1000 THEN wait_to_go()::text END FROM generate_series(1, 1000) g')});
	my $after = $node->sql("SELECT jobs.run('INSERT INTO effect VALUES (2)', after => ARRAY[$run])");
	$node->wait_running($_) foreach ($run, $export);

	my $from = time;
	$node->stop($mode);
	cmp_ok(time - $from, '<', 5, "$mode: takes no time");
	$node->start;
	$node->wait_running($_) foreach ($run, $export);
	is($node->job($_, 'state, attempt, error_message'), 'running|1|', "$mode: a job runs again, with the same attempt")
	  foreach ($run, $export);
	is($node->job($after, 'state'), 'waiting', "$mode: what waits for it still does");
	$node->open_gate;
	is($node->wait_job($_), 'succeeded', "$mode: and succeeds") foreach ($run, $export, $after);
	is($node->sql('SELECT job, count(*) FROM effect GROUP BY 1 ORDER BY 1'), "1|1\n2|1", "$mode: with its effect once");
	is($node->sql("SELECT count(*) FROM jobs.chunk WHERE job = $export"), '1', "$mode: and one file");
}

# ----------------------------------------------------------------------------
# Restarts in quick succession under load
# ----------------------------------------------------------------------------

my $njobs = 300;
$node->sql('TRUNCATE effect');
$node->sql("SELECT count(jobs.run(format('INSERT INTO effect VALUES (%s); SELECT pg_sleep(0.005)', g), title => 'load'))
	FROM generate_series(1, $njobs) g");
for my $i (1 .. 4)
{
	my $count = $node->sql('SELECT count(*) FROM effect');

	# On a slow machine they may all be done by now.
	$node->poll("(SELECT count(*) FROM effect) > $count OR $count = $njobs");
	$node->restart;
}
ok($node->wait_all, 'all jobs have ended after four restarts');
is($node->sql(q{SELECT state, attempt, count(*) FROM jobs.job WHERE title = 'load' GROUP BY 1, 2}),
	"succeeded|1|$njobs", 'all have succeeded, with their only attempt');
is($node->sql('SELECT count(*), count(DISTINCT job) FROM effect'), "$njobs|$njobs", 'and with their effects once');

# ----------------------------------------------------------------------------
# A worker that takes long to stop
# ----------------------------------------------------------------------------

$node->close_gate;
my $slow = $node->sql(q{SELECT jobs.run('SELECT wait_to_go()')});
my $pid = $node->wait_running($slow);
my $scheduler = $node->wait_process('scheduler', 'postgres');
kill 'STOP', $pid;
my $stop = IPC::Run::start([ 'pg_ctl', '-D', $node->data_dir, '-m', 'fast', 'stop' ], '>', \my $out, '2>&1');
# Long enough for a scheduler that would not wait.
for (my $until = time + 2; time < $until && kill(0, $scheduler);)
{
	usleep(10_000);
}
kill 'CONT', $pid;
ok($stop->finish, 'a fast shutdown waits for a worker that is busy');
$node->_update_pid(0);
$node->start;
$node->wait_running($slow);
is($node->job($slow, 'state, attempt'), 'running|1', 'its job has not lost its attempt either');
$node->open_gate;
is($node->wait_job($slow), 'succeeded', 'and succeeds');

# ----------------------------------------------------------------------------
# An immediate shutdown is a crash
# ----------------------------------------------------------------------------

$node->sql('TRUNCATE effect');
$node->close_gate;
my $once = $node->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (1); SELECT wait_to_go()')});
my $twice = $node->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (2); SELECT wait_to_go()', max_attempts => 2)});
$node->wait_running($_) foreach ($once, $twice);
# "running" is committed without waiting for the disk; lost, it would be as if it had not begun.
$node->sql('CHECKPOINT');
$node->stop('immediate');
$node->start;
is($node->wait_job($once), 'failed', 'immediate: a job with one attempt has failed');
is($node->job($once, 'error_code, error_message'), '57P02|the server was restarted while the job was running',
	'immediate: with the reason');
$node->wait_running($twice);
$node->open_gate;
is($node->wait_job($twice), 'succeeded', 'immediate: one with two succeeds');
is($node->job($twice, 'attempt'), '2', 'immediate: with its second');
is($node->sql('SELECT string_agg(job::text, $$ $$) FROM effect'), '2', 'immediate: effects as it should be');

# ----------------------------------------------------------------------------
# With nothing to do
# ----------------------------------------------------------------------------

$node->poll(q{NOT EXISTS (SELECT FROM jobs.progress WHERE state = 'running')});
my $from = time;
$node->stop('fast');
cmp_ok(time - $from, '<', 5, 'a fast shutdown with idle workers takes no time');
$node->log_ok;
done_testing();
