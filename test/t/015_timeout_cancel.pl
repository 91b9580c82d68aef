# Cancelling and timing out whatever a job may be doing, also when it begins, when
# it commits, and when it does not want to stop.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# Streaming, for the waits of the last part.
my $node = JobsTest->create('main', init => { allows_streaming => 1 }, conf => <<CONF);
max_connections = 30
shared_buffers = '32MB'
max_wal_size = '1GB'
work_mem = '64MB'
CONF

$node->sql(q{CREATE TABLE effect (job int);
	CREATE TABLE numbers AS SELECT g AS n, md5(g::text) AS t FROM generate_series(1, 100000) g;
	CREATE TABLE locked ();
	GRANT SELECT ON locked TO PUBLIC;
	CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$;
	CREATE TABLE deferred (job int);
	CREATE CONSTRAINT TRIGGER later AFTER INSERT ON deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION later();
	CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. 100000 LOOP
			UPDATE locked_away SET n = n + 1;
			COMMIT;
		END LOOP;
	END $$;
	CREATE TABLE locked_away AS SELECT 0 AS n;
	CREATE FUNCTION stubborn() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		LOOP
			BEGIN
				PERFORM pg_sleep(600);
			EXCEPTION WHEN query_canceled THEN
			END;
		END LOOP;
	END $$});
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE locked');

my %work = (
	'pg_sleep' => q{run('INSERT INTO effect VALUES (1); SELECT pg_sleep(600)'},
	'a sort' => q{run('INSERT INTO effect VALUES (1); SELECT count(*) FROM (SELECT a.t || b.t AS x FROM numbers a, numbers b WHERE b.n <= 200 ORDER BY 1) s'},
	'a lock' => q{run('INSERT INTO effect VALUES (1); SELECT * FROM locked'},
	'a loop' => q{run('INSERT INTO effect VALUES (1); DO $$ BEGIN LOOP END LOOP; END $$'},
	'an export' => q{export('SELECT a.n, a.t FROM numbers a, numbers b'},
	'a compressed export' => q{export('SELECT a.n, a.t FROM numbers a, numbers b', options => '{"compression": "gzip"}'},
	'an export that sorts' => q{export('SELECT a.t || b.t AS x FROM numbers a, numbers b WHERE b.n <= 200 ORDER BY 1'},
	'a deferred trigger' => q{run('INSERT INTO deferred VALUES (1)'},
	'a procedure that commits' => q{run('CALL commits()'});

# ----------------------------------------------------------------------------
# Cancel
# ----------------------------------------------------------------------------

for my $what (sort keys %work)
{
	my $job = $node->sql("SELECT jobs.$work{$what})");

	$node->wait_running($job);
	my $from = time;
	is($node->sql("SELECT jobs.cancel($job)"), 't', "cancel $what");
	is($node->wait_job($job), 'cancelled', "$what: cancelled");
	cmp_ok(time - $from, '<', 2, "$what: at once");
	is($node->job($job, 'attempt, error_code, error_message'), '1||', "$what: without an error");
	is($node->sql("SELECT jobs.cancel($job)"), 'f', "$what: a second time there is nothing to cancel");
}
is($node->sql('SELECT (SELECT count(*) FROM effect) + (SELECT count(*) FROM deferred)'), '0', 'nothing of their work is left');
is($node->sql('SELECT (SELECT count(*) FROM jobs.chunk) + (SELECT count(*) FROM jobs.file)'), '0', 'nor of their files');
cmp_ok($node->sql('SELECT n FROM locked_away'), '>', 0, 'but for what a procedure has committed');

# By the server's own means, and twice at once.
my $job = $node->sql("SELECT jobs.$work{pg_sleep})");
my $pid = $node->wait_running($job);
$node->sql("SELECT pg_cancel_backend($pid)");
is($node->wait_job($job), 'cancelled', 'pg_cancel_backend cancels');
$job = $node->sql("SELECT jobs.$work{pg_sleep})");
$node->wait_running($job);
like($node->sql("SELECT jobs.cancel($job), jobs.cancel($job)"), qr/^t\|[tf]$/, 'cancel twice');
is($node->wait_job($job), 'cancelled', 'is the same as once');
is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT pg_sleep(0.05)')})), 'succeeded', 'and does not hit the next job');

# Before it has begun: taken back with the transaction.
$node->sql(q{SELECT jobs.pause('night')});
$job = $node->sql(q{SELECT jobs.run('SELECT 1', queue => 'night')});
is($node->sql("BEGIN; SELECT jobs.cancel($job); ROLLBACK"), 't', 'cancel a job that has not begun, and roll back');
$node->sql(q{SELECT jobs.resume('night')});
is($node->wait_job($job), 'succeeded', 'runs all the same');

# ----------------------------------------------------------------------------
# Timeouts
# ----------------------------------------------------------------------------

for my $what (sort keys %work)
{
	next if $what =~ /compressed|loop/;
	my $job = $node->sql("SELECT jobs.$work{$what}, timeout => '200 ms')");

	is($node->wait_job($job), 'failed', "timeout of $what");
	is($node->job($job, 'error_code, error_message'), '57014|timeout after 200 ms', "$what: with the reason");
	my $seconds = $node->job($job, 'extract(epoch FROM finished_at - started_at)');
	cmp_ok($seconds, '>=', 0.2, "$what: not before");
	cmp_ok($seconds, '<', 2, "$what: soon after");
}
is($node->sql('SELECT (SELECT count(*) FROM effect) + (SELECT count(*) FROM deferred) + (SELECT count(*) FROM jobs.chunk)'), '0', 'nothing of their work is left');

$job = $node->sql(q{SELECT jobs.run('SELECT pg_sleep(600)', timeout => '50 ms', max_attempts => 3)});
is($node->wait_job($job), 'failed', 'a timeout counts for each attempt');
is($node->job($job, 'attempt, error_message'), '3|timeout after 50 ms', 'of which there are three');

$node->sql(q{SELECT jobs.pause('night')});
$job = $node->sql(q{SELECT jobs.run('SELECT 1', timeout => '50 ms', queue => 'night')});
is($node->sql("SELECT jobs.wait($job, '200 ms')"), 'waiting', 'a job that waits longer than its timeout');
$node->sql(q{SELECT jobs.resume('night')});
is($node->wait_job($job), 'succeeded', 'does not run out of time by that');

# What a session of the role would be subject to.
$node->sql(q{CREATE ROLE hasty LOGIN; ALTER ROLE hasty SET statement_timeout = '100ms'; ALTER ROLE hasty SET lock_timeout = '60ms'});
for my $case (
	[ 'SELECT pg_sleep(600)', '57014|canceling statement due to statement timeout' ],
	[ 'SELECT * FROM locked', '55P03|canceling statement due to lock timeout' ])
{
	$job = $node->safe_psql('postgres', "SELECT jobs.run('$case->[0]')", extra_params => [ '-U', 'hasty' ]);
	is($node->wait_job($job), 'failed', "a role's own timeout: $case->[0]");
	is($node->job($job, 'error_code, error_message'), $case->[1], 'with its own words');
}
$holder->query_safe('COMMIT');

# ----------------------------------------------------------------------------
# What does not heed it is ended with its process
# ----------------------------------------------------------------------------

my $cancelled = $node->sql(q{SELECT jobs.run('SELECT stubborn()', max_attempts => 2)});
my $timed_out = $node->sql(q{SELECT jobs.run('SELECT stubborn()', timeout => '100 ms')});
$node->wait_running($cancelled);
is($node->sql("SELECT jobs.cancel($cancelled)"), 't', 'cancel a job that ignores it');
is($node->wait_job($cancelled), 'cancelled', 'it is cancelled in the end');
is($node->job($cancelled, 'attempt, error_code, error_message'), '1||', 'without an error');
is($node->wait_job($timed_out), 'failed', 'one that ignores its timeout fails in the end');
is($node->job($timed_out, 'error_code, error_message'), '57014|timeout after 100 ms', 'with that reason');

# ----------------------------------------------------------------------------
# In the middle of a commit
# ----------------------------------------------------------------------------

# With a synchronous standby that is not there, a commit that has been written
# is not yet seen, for as long as we want.
sub synchronous
{
	my ($names) = @_;

	$node->append_conf('postgresql.conf', "synchronous_standby_names = '$names'");
	$node->reload;
	$node->poll("current_setting('synchronous_standby_names') = '$names'");
	return;
}

sub wait_for_commit
{
	ok($node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'jobs worker' AND wait_event = 'SyncRep')}), $_[0]);
	return;
}

my $local = q{SET synchronous_commit = local};

$job = $node->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (2); SELECT pg_sleep(0.5)')});
$node->wait_running($job);
synchronous('nobody');
wait_for_commit('a job waits in its commit');
like($node->error("$local; SELECT jobs.cancel($job)"), qr/ERROR:  55000: job $job cannot be cancelled at the moment/, 'then it is too late to cancel it');
synchronous('');
is($node->wait_job($job), 'succeeded', 'and it succeeds');
is($node->sql('SELECT count(*) FROM effect WHERE job = 2'), '1', 'with its effect');

# In the commit of "running": the cancel waits for that, and then stops it, also
# where the canceller's transaction stays open.
for my $begin ('', 'BEGIN')
{
	synchronous('nobody');
	$job = $node->sql("$local; SELECT jobs.run('INSERT INTO effect VALUES (3); SELECT pg_sleep(600)')");
	wait_for_commit('a job waits in the commit of its start');
	is($node->job($job, 'state'), 'queued', 'others still see it queued');
	my $session = $node->background_psql('postgres');
	$session->query_safe("$local; $begin");
	$session->{stdin} .= "SELECT jobs.cancel($job);\n";
	$session->{run}->pump_nb;
	$node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE query ~ '^SELECT jobs.cancel' AND wait_event_type = 'Lock')});
	synchronous('');
	is($node->sql("SELECT jobs.wait($job, '5 s')"), 'cancelled', "it is cancelled as soon as it runs ($begin)");
	$session->query_safe('COMMIT') if $begin;
	$session->quit;
}
is($node->sql('SELECT count(*) FROM effect WHERE job = 3'), '0', 'without an effect');

$holder->quit;
$node->log_ok;
$node->stop;
done_testing();
