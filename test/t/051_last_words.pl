# What a worker leaves when it goes: in the log nothing of jobs that it has long
# finished, and in its job's row a reason that is valid text.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main', conf => "jobs.max_workers = 1\n");

$node->sql(q{CREATE ROLE mallory LOGIN});

# An idle worker that is terminated tells of no statement; it has none.
my $job = $node->sql(q{SELECT jobs.run('SELECT 1 / length(''''), ''the secret of the job''')});
is($node->wait_job($job), 'failed', 'a job fails');
like($node->log_since(0), qr/the secret of the job/, 'the log has its statement');
my ($pid) = $node->pids('worker');
$node->poll("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
my $from = $node->log_length;
$node->sql("SELECT pg_terminate_backend($pid)");
$node->wait_gone($pid);
$node->poll('SELECT true');
like($node->log_since($from), qr/FATAL:  terminating background worker/, 'its idle worker is terminated');
unlike($node->log_since($from), qr/STATEMENT/, 'which logs no statement');

# The end of a job can't be written, and its error is longer than there is room.
$job = $node->safe_psql('postgres',
	q{ALTER ROLE mallory SET lock_timeout = '100 ms'; SELECT jobs.run('SELECT pg_advisory_lock(1); DO $$ BEGIN RAISE ''xy%'', repeat(''ä'', 400); END $$', max_attempts => 1)},
	extra_params => [ '-U', 'mallory' ]) =~ s/.*\n//sr;
is($node->wait_job($job), 'failed', 'a job with a long error');
is($node->job($job, 'length(error_message)'), '402', 'which its row has');
my ($holder, $admin) = map { $node->background_psql('postgres') } 1 .. 2;
$holder->query_safe('SELECT pg_advisory_lock(1)');
$job = $node->safe_psql('postgres',
	q{SELECT jobs.run('SET lock_timeout = 0; SELECT pg_advisory_lock(1); DO $$ BEGIN RAISE ''xy%'', repeat(''ä'', 400); END $$')},
	extra_params => [ '-U', 'mallory' ]);
$pid = $node->wait_running($job);
$admin->query_safe('BEGIN; LOCK TABLE jobs.history IN SHARE MODE');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
$node->wait_gone($pid);
$admin->query_safe('COMMIT');
is($node->wait_job($job), 'failed', 'the same where its row can not be written at once');
is($node->job($job, q{error_message = 'xy' || repeat('ä', 126)}), 't', 'has as much of it as there is room for');
is($node->job($job, q{length(convert_to(error_message, 'LATIN1'))}), '128', 'in valid characters');

$_->quit for $holder, $admin;
$node->log_ok;
$node->stop;
done_testing;
