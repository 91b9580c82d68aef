# An extension with nothing to do holds no process in any database, and does not
# wake up; whatever has its time then is done at that time all the same.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = JobsTest->create('main', conf => <<CONF);
jobs.worker_idle_timeout = '1s'
jobs.retry_delay = '4s'
CONF

$node->sql('CREATE TABLE effect (job text)');

my $processes = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('jobs scheduler', 'jobs worker')};

sub wakeups_of
{
	my ($pid) = @_;

	return slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m ? $1 : die;
}

# ----------------------------------------------------------------------------
# Everybody leaves
# ----------------------------------------------------------------------------

my $launcher = $node->wait_process('launcher');
my $job = $node->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''first'')')});
is($node->wait_job($job), 'succeeded', 'a job has run');
isnt($node->sql($processes), '0', 'processes stay for a moment');

# What has its time later: a job, a second attempt, the end of a file and of a row.
my $later = $node->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''later'')', run_at => now() + '4 s')});
my $export = $node->sql(q{SELECT jobs.export('SELECT 1 AS a', expires_in => '4 s')});
# Neither does one that waits for somebody hold a process.
$node->sql(q{SELECT jobs.pause('night')});
my $night = $node->sql(q{SELECT jobs.run('SELECT 1', queue => 'night')});
my $fails = $node->sql(q{SELECT jobs.run('SELECT 1/0', max_attempts => 2)});
is($node->wait_job($export), 'succeeded', 'a file is made');
$node->poll("SELECT attempt = 1 AND state = 'scheduled' FROM jobs.job WHERE id = $fails");

ok($node->poll("($processes) = 0"), 'all of them leave');
is($node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL AND pid <> pg_backend_pid()}), '0',
	'no process is in a database');
is($node->wait_process('launcher'), $launcher, 'the launcher stays');
my $wakeups = wakeups_of($launcher);
is($node->job($later, 'state'), 'scheduled', 'a job for later is not forgotten');

# ----------------------------------------------------------------------------
# And come back in time
# ----------------------------------------------------------------------------

is($node->wait_job($later), 'succeeded', 'it runs');
cmp_ok($node->job($later, 'extract(epoch FROM started_at - run_at)'), '<', 1, 'on time');
cmp_ok($node->job($later, 'extract(epoch FROM started_at - run_at)'), '>=', 0, 'and not before');
is($node->wait_job($fails), 'failed', 'a second attempt is made');
cmp_ok($node->job($fails, 'extract(epoch FROM started_at - run_at)'), '<', 1, 'on time, too');
ok($node->poll("NOT EXISTS (SELECT FROM jobs.chunk WHERE job = $export)"), 'a file that has expired is removed');
cmp_ok(wakeups_of($launcher) - $wakeups, '<', 50, 'the launcher did not poll meanwhile');

# ----------------------------------------------------------------------------
# Gone again: what somebody does brings them back
# ----------------------------------------------------------------------------

ok($node->poll("($processes) = 0"), 'all leave again');
$node->sql(q{SELECT jobs.resume('night')});
is($node->wait_job($night), 'succeeded', 'a queue that is resumed');

set('jobs.enabled', 'off');
$job = $node->sql(q{SELECT jobs.run('SELECT 1')});
ok($node->poll("($processes) = 0"), 'with jobs.enabled = off they leave though a job is queued');
set('jobs.enabled', 'on');
is($node->wait_job($job), 'succeeded', 'it runs when that is on again');

ok($node->poll("($processes) = 0"), 'all leave once more');
set('jobs.history_retention', '0');
ok($node->poll(q{NOT EXISTS (SELECT FROM jobs.job)}), 'a shorter retention is heeded at once');

# ----------------------------------------------------------------------------
# After a restart
# ----------------------------------------------------------------------------

$later = $node->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''after restart'')', run_at => now() + '4 s')});
$node->restart;
$node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'jobs launcher')});
ok($node->poll("($processes) = 0"), 'after a restart they look and leave');
ok($node->poll(q{EXISTS (SELECT FROM effect WHERE job = 'after restart')}), 'and a job runs at its time');

$node->log_ok;
$node->stop;
done_testing();

sub set
{
	my ($name, $value) = @_;

	$node->append_conf('postgresql.conf', "$name = $value");
	$node->reload;
	$node->poll("current_setting('$name') = '$value'");
	return;
}
