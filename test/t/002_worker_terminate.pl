# SIGTERM to a worker in the middle of its job.  The job is settled at once and
# says why, it is tried again where it has attempts left, and nothing else in
# the server notices.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = JobsTest->create('main');
my $postmaster = $node->postmaster_pid;
my $launcher = $node->wait_process('launcher');

$node->sql('CREATE TABLE effect (job int)');

# A job with one attempt, terminated by SQL.
my $job = $node->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (1); SELECT pg_sleep(600)')});
my $pid = $node->wait_running($job);
my $from = time;
is($node->sql("SELECT pg_terminate_backend($pid)"), 't', 'terminate a worker');
is($node->wait_job($job), 'failed', 'its job has failed');
cmp_ok(time - $from, '<', 2, 'at once');
is($node->job($job, 'error_code, error_message, attempt'),
	'57P01|terminated by administrator|1', 'with the reason');
is($node->sql('SELECT count(*) FROM effect'), '0', 'and without its effects');
is($node->sql("SELECT headline FROM jobs.panel WHERE id = $job"),
	'Failed — terminated by administrator', 'which the panel shows');

# Terminated by a signal from outside.
$job = $node->sql(q{SELECT jobs.run('SELECT pg_sleep(600)')});
$pid = $node->wait_running($job);
kill 'TERM', $pid;
is($node->wait_job($job), 'failed', 'the same by a signal from outside');
is($node->job($job, 'error_message'), 'terminated by administrator', 'with the same reason');

# One that may try again: the first attempt waits for a lock, the second gets it.
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE effect');
$job = $node->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (2)', max_attempts => 3)});
$pid = $node->wait_running($job);
kill 'TERM', $pid;
$node->poll("SELECT attempt = 2 AND state = 'running' FROM jobs.job WHERE id = $job");
$holder->query_safe('COMMIT');
$holder->quit;
is($node->wait_job($job), 'succeeded', 'a job with more attempts succeeds after all');
is($node->job($job, 'attempt, error_code, error_message'), '2||', 'with its second');
is($node->sql('SELECT count(*) FROM effect WHERE job = 2'), '1', 'and with its effect once');

# Terminated in each of its attempts.
$job = $node->sql(q{SELECT jobs.run('SELECT pg_sleep(600)', max_attempts => 2)});
for my $attempt (1, 2)
{
	$node->poll("SELECT attempt = $attempt AND state = 'running' FROM jobs.job WHERE id = $job");
	kill 'TERM', $node->wait_running($job);
}
is($node->wait_job($job), 'failed', 'a job that is terminated each time');
is($node->job($job, 'attempt, error_message'), '2|terminated by administrator', 'fails with its last attempt');

# A worker without work.
$node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')}));
$pid = $node->wait_process('worker');
kill 'TERM', $pid;
ok($node->wait_gone($pid), 'an idle worker heeds the signal');
is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')})), 'succeeded', 'and the next job gets another');

# Terminating itself, as a careless job may.
$job = $node->sql(q{SELECT jobs.run('SELECT pg_terminate_backend(pg_backend_pid())')});
is($node->wait_job($job), 'failed', 'a job that terminates its own process has failed');

is($node->postmaster_pid, $postmaster, 'the server has not been restarted');
is($node->wait_process('launcher'), $launcher, 'nor its processes');
$node->log_ok;
$node->stop;
done_testing();
