# DROP, RENAME, SET TABLESPACE and use as a template, of a database with the
# extension: quick while nothing runs there, an error while a job does, as with
# any session, and FORCE ends it.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = JobsTest->create('main', conf => "max_worker_processes = 24\n");

sub create_database
{
	my ($dbname) = @_;

	$node->sql("CREATE DATABASE $dbname");
	$node->sql('CREATE EXTENSION jobs', $dbname);
	return;
}

# Leaves a scheduler and an idle worker behind.
sub run_something
{
	my ($dbname) = @_;

	is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')}, $dbname), $dbname), 'succeeded', "a job runs in $dbname");
	cmp_ok(scalar $node->pids('scheduler', $dbname), '==', 1, "$dbname has a scheduler");
	cmp_ok(scalar $node->pids('worker', $dbname), '>=', 1, "and a worker");
	return;
}

# What the machine needs for such a command alone, at this moment.
my $alone = 0;
sub measure
{
	my $from = time;

	$node->sql('CREATE DATABASE plain');
	$node->sql('DROP DATABASE plain');
	$alone = time - $from;
	return;
}

# PostgreSQL alone would wait for five seconds and give up.
sub quick
{
	my ($command, $dbname) = @_;

	measure();
	my $from = time;
	$node->sql($command, $dbname);
	cmp_ok(time - $from, '<', 1 + $alone, "under a second: $command");
	return;
}

# ----------------------------------------------------------------------------
# With an idle extension
# ----------------------------------------------------------------------------

create_database('a');
run_something('a');
quick('ALTER DATABASE a RENAME TO b');
run_something('b');
quick('CREATE DATABASE c TEMPLATE b');
run_something('b');
run_something('c');

my $tablespace = PostgreSQL::Test::Utils::tempdir_short();
$node->sql("CREATE TABLESPACE space LOCATION '$tablespace'");
quick('ALTER DATABASE b SET TABLESPACE space');
run_something('b');
quick('DROP DATABASE b');
quick('DROP DATABASE c WITH (FORCE)');
is($node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('jobs scheduler', 'jobs worker') AND datname <> 'postgres'}),
	'0', 'no process is left of them');

# Again and again, with the name that was there before.
for my $i (1 .. 5)
{
	create_database('d');
	$node->sql(q{SELECT jobs.run('SELECT 1')}, 'd');
	quick('DROP DATABASE d');
}
run_something('postgres');

# ----------------------------------------------------------------------------
# With jobs that have not begun
# ----------------------------------------------------------------------------

create_database('d');
$node->sql(q{SELECT jobs.run('SELECT 1', run_at => now() + '1 day')}, 'd');
$node->sql(q{SELECT jobs.pause('night'); SELECT count(jobs.run('SELECT 1', queue => 'night')) FROM generate_series(1, 100)}, 'd');
quick('ALTER DATABASE d RENAME TO e');
is($node->sql(q{SELECT count(*) FROM jobs.job WHERE state IN ('scheduled', 'waiting')}, 'e'), '101', 'they are still there after a RENAME');
quick('ALTER DATABASE e RENAME TO d');

# A queue that many short jobs keep busy stands still meanwhile, and goes on.
$node->sql(q{SELECT count(jobs.run('SELECT pg_sleep(0.05)')) FROM generate_series(1, 100)}, 'd');
$node->poll(q{EXISTS (SELECT FROM jobs.job WHERE state = 'succeeded')}, 'd');
quick('ALTER DATABASE d RENAME TO e');
ok($node->poll(q{(SELECT count(*) FROM jobs.job WHERE state = 'succeeded') = 100}, 'e'), 'they go on after a RENAME');
$node->sql(q{SELECT count(jobs.run('SELECT pg_sleep(0.05)')) FROM generate_series(1, 100)}, 'e');
$node->poll(q{(SELECT count(*) FROM jobs.job WHERE state = 'succeeded') > 100}, 'e');
quick('DROP DATABASE e');

# ----------------------------------------------------------------------------
# With a running job
# ----------------------------------------------------------------------------

create_database('d');
my $job = $node->sql(q{SELECT jobs.run('SELECT pg_sleep(600)')}, 'd');
$node->wait_running($job, 'd');
my $drop = IPC::Run::start([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-c', '\set VERBOSITY verbose', '-c', 'DROP DATABASE d' ],
	'2>', \my $error);
$node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE query = 'DROP DATABASE d' AND state = 'active')});
my $other = $node->sql(q{SELECT jobs.run('SELECT 1')}, 'd');
$drop->finish;
like($error, qr/ERROR:  55006: database "d" is being accessed by other users/, 'DROP with a running job is an error');
is($node->job($job, 'state', 'd'), 'running', 'and the job goes on');
is($node->wait_job($other, 'd'), 'succeeded', 'one that was submitted meanwhile runs afterwards');

quick('DROP DATABASE d WITH (FORCE)');
is($node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('jobs scheduler', 'jobs worker') AND datname <> 'postgres'}),
	'0', 'FORCE ends the job');
run_something('postgres');

# Nobody is left to settle a worker whose database is gone; it must not keep its slot.
for my $i (1 .. $node->sql('SHOW jobs.max_workers') + 1)
{
	create_database('d');
	$node->wait_running($node->sql(q{SELECT jobs.run('SELECT pg_sleep(600)')}, 'd'), 'd');
	quick('DROP DATABASE d WITH (FORCE)');
}
run_something('postgres');

# Cancelled in the middle, by the session's end too: everything goes on.
create_database('d');
$job = $node->sql(q{SELECT jobs.run('SELECT pg_sleep(600)')}, 'd');
$node->wait_running($job, 'd');
my $rename = IPC::Run::start([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-c', 'ALTER DATABASE d RENAME TO e' ], '2>', \$error);
$node->poll(q{SELECT count(pg_terminate_backend(pid)) = 1 FROM pg_stat_activity WHERE query = 'ALTER DATABASE d RENAME TO e' AND state = 'active'});
$rename->finish;
is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')}, 'd'), 'd'), 'succeeded', 'after a command that was terminated jobs run');
$node->sql("SELECT jobs.cancel($job)", 'd');
is($node->wait_job($job, 'd'), 'cancelled', 'the running one can be cancelled');
quick('DROP DATABASE d');

# ----------------------------------------------------------------------------
# Somebody who may not
# ----------------------------------------------------------------------------

create_database('d');
run_something('d');
$node->sql('CREATE ROLE mallory LOGIN CREATEDB');
my $worker = join ' ', $node->pids('worker', 'd');
for my $command ('DROP DATABASE d', 'ALTER DATABASE d RENAME TO e', 'CREATE DATABASE e TEMPLATE d')
{
	like($node->error($command, extra_params => [ '-U', 'mallory' ]), qr/ERROR:  42501: /, "refused: $command");
}
is(join(' ', $node->pids('worker', 'd')), $worker, 'without disturbing anybody');
quick('DROP DATABASE d');

# ----------------------------------------------------------------------------
# In template1, so that every new database has it
# ----------------------------------------------------------------------------

$node->sql('CREATE EXTENSION jobs', 'template1');
run_something('template1');
for my $i (1 .. 5)
{
	quick("CREATE DATABASE t$i");
	my $from = time;
	$job = $node->sql(q{SELECT jobs.run('SELECT 1')}, "t$i");
	is($node->wait_job($job, "t$i"), 'succeeded', "a job runs in t$i");
	cmp_ok(time - $from, '<', 2, 'soon');
}
$node->restart;
quick('CREATE DATABASE t6');
run_something('t1');
quick("DROP DATABASE t$_") foreach 1 .. 6;

# A copy of a database does not run the jobs that it carries along.
$node->sql('CREATE DATABASE original');
$node->sql('CREATE TABLE effect (of text)', 'original');
$node->sql("SELECT jobs.pause('default')", 'original');
my $queued = $node->sql("SELECT jobs.run('INSERT INTO effect VALUES (current_database())')", 'original');
quick('CREATE DATABASE copy TEMPLATE original');
for my $dbname ('copy', 'original')
{
	$node->sql("SELECT jobs.resume('default')", $dbname);
}
is($node->wait_job($queued, 'original'), 'succeeded', 'a job that was queued runs in the original');
my $later = $node->sql("SELECT jobs.run('SELECT 1', priority => -1)", 'copy');
is($node->wait_job($later, 'copy'), 'succeeded', 'and one of its own in the copy');
is($node->sql("SELECT state, waiting_for FROM jobs.job WHERE id = $queued", 'copy'),
	'queued|the server that it was submitted to, of which this is a copy', 'but not the one that was copied');
is($node->sql('SELECT count(*) FROM effect', 'copy'), '0', 'which has no effect there');

$node->log_ok;
unlike($node->log_since(0), qr/FATAL:  (?!terminating)/, 'and no process failed to connect');
$node->stop;
done_testing();
