# Commits that wait for a synchronous standby: nobody is told of an end before it
# is there too, and neither a timeout nor a cancel ends the wait of a job's commit.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = JobsTest->create('primary', init => { allows_streaming => 1 }, conf => "wal_sender_timeout = 0\n");

$primary->sql('CREATE TABLE effect (job text)');
$primary->add_gate;
$primary->backup('backup');
my $standby = JobsTest->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', "wal_receiver_timeout = 0\n");
$standby->start;
$primary->append_conf('postgresql.conf', "synchronous_standby_names = '*'\n");
$primary->reload;
$primary->poll(q{SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'});
my $receiver = $standby->sql('SELECT pid FROM pg_stat_wal_receiver');

# Does not wait itself.
sub at_once
{
	my ($query) = @_;

	return $primary->sql("SET synchronous_commit = local; $query");
}

# While the standby does not answer.
sub wait_in_commit
{
	my ($job) = @_;

	return $primary->poll("SELECT wait_event = 'SyncRep' FROM pg_stat_activity JOIN jobs.progress p USING (pid) WHERE p.id = $job");
}

# ----------------------------------------------------------------------------
# The last commit
# ----------------------------------------------------------------------------

my $job = $primary->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''last''); SELECT wait_to_go()', timeout => '3 s')});
$primary->wait_running($job);
my $listener = $primary->background_psql('postgres');
$listener->query_safe('LISTEN jobs');
kill 'STOP', $receiver;
at_once(q{SELECT setval('go', 2)});
ok(wait_in_commit($job), 'a job waits for the standby');
$primary->poll("SELECT clock_timestamp() > started_at + interval '4 s' FROM jobs.job WHERE id = $job");
is($primary->job($job, 'state'), 'running', 'its timeout has passed, and it waits');
like($primary->error("SET synchronous_commit = local; SELECT jobs.cancel($job)"), qr/ERROR:  55000: job $job cannot be cancelled at the moment/,
	'a cancel comes too late');
is($primary->sql("SELECT jobs.wait($job, '0 s')"), 'running', 'nobody is told that it has ended');
unlike($listener->query_safe('SELECT'), qr/"state": "succeeded"/, 'nor does a listener hear of it');
is($primary->sql('SELECT count(*) FROM effect'), '0', 'nor is its effect seen');
ok(wait_in_commit($job), 'it still waits');
kill 'CONT', $receiver;
is($primary->wait_job($job), 'succeeded', 'and has succeeded when the standby has it');
$primary->wait_for_catchup($standby);
is($standby->sql("SELECT state FROM jobs.job WHERE id = $job"), 'succeeded', 'there too');
$listener->quit;
unlike(slurp_file($primary->logfile), qr/canceling wait for synchronous replication/, 'the wait was not cut short');

# ----------------------------------------------------------------------------
# The claim
# ----------------------------------------------------------------------------

kill 'STOP', $receiver;
$job = at_once(q{SELECT jobs.run('INSERT INTO effect VALUES (''claimed''); SELECT pg_sleep(600)')});
ok($primary->poll(q{SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE backend_type = 'jobs worker'}), 'a claim waits for the standby');
is($primary->job($job, 'state'), 'queued', 'the job has not begun');
like($primary->error("SET synchronous_commit = local; SET lock_timeout = '100ms'; SELECT jobs.cancel($job)"), qr/ERROR:  55P03: /,
	'a cancel waits with it');
is($primary->sql('SELECT count(*) FROM effect'), '1', 'it has done nothing');
kill 'CONT', $receiver;
$primary->wait_running($job);
is($primary->sql("SELECT jobs.cancel($job)"), 't', 'it is cancelled when it runs');
is($primary->wait_job($job), 'cancelled', 'at once');

$_->log_ok foreach ($primary, $standby);
done_testing();
