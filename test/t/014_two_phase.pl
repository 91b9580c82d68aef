# Two-phase commit: what a transaction did to jobs happens at COMMIT PREPARED, in
# whatever session and however long after, and not at all at ROLLBACK PREPARED.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main', conf => "max_prepared_transactions = 10\n");

$node->sql('CREATE TABLE effect (job text)');

# Runs commands in a transaction and prepares it; returns what they return.
sub prepare
{
	my ($name, $commands) = @_;

	return $node->sql("BEGIN; $commands; PREPARE TRANSACTION '$name'");
}

# ----------------------------------------------------------------------------
# Submitting
# ----------------------------------------------------------------------------

my $job = prepare('submit', q{INSERT INTO effect VALUES ('client'); SELECT jobs.run('INSERT INTO effect VALUES (''job'')')});
is($node->sql('SELECT count(*) FROM jobs.job'), '0', 'a job of a prepared transaction is not seen');
$node->sql(q{COMMIT PREPARED 'submit'});
is($node->wait_job($job), 'succeeded', 'it runs after COMMIT PREPARED');
is($node->sql('SELECT string_agg(job, $$ $$ ORDER BY job) FROM effect'), 'client job', 'with the effects of both');

my @jobs = split /\n/, prepare('many', q{SELECT jobs.run('SELECT 1') FROM generate_series(1, 100)});
$node->sql(q{COMMIT PREPARED 'many'});
ok($node->wait_all, 'many jobs of one transaction run');
is($node->sql(q{SELECT count(*) FROM jobs.job WHERE state = 'succeeded'}), 1 + @jobs, 'all of them');

$job = prepare('rollback', q{SELECT jobs.run('INSERT INTO effect VALUES (''rolled back'')')});
$node->sql(q{ROLLBACK PREPARED 'rollback'});
is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')})), 'succeeded', 'after ROLLBACK PREPARED others run');
is($node->sql("SELECT count(*) FROM jobs.job WHERE id = $job"), '0', 'and that one is not there');

# Across a restart and a crash.
my $restart = prepare('restart', q{SELECT jobs.run('INSERT INTO effect VALUES (''restart'')')});
my $crash = prepare('crash', q{SELECT jobs.run('INSERT INTO effect VALUES (''crash'')')});
$node->restart;
$node->sql(q{COMMIT PREPARED 'restart'});
is($node->wait_job($restart), 'succeeded', 'COMMIT PREPARED after a restart');
my $launcher = $node->wait_process('launcher');
kill 'KILL', $launcher;
$node->wait_restarted($launcher);
$node->sql(q{COMMIT PREPARED 'crash'});
is($node->wait_job($crash), 'succeeded', 'COMMIT PREPARED after a crash');
is($node->sql(q{SELECT count(*) FROM effect WHERE job IN ('restart', 'crash')}), '2', 'each once');

# Dependants, and a time ahead.
my ($first, $second, $later) = split /\n/, prepare('chain', q{
	SELECT jobs.run('SELECT 1', title => 'first');
	SELECT jobs.run('SELECT 1', after => ARRAY[currval('jobs.job_id')]);
	SELECT jobs.run('SELECT 1', run_at => now() + '100 ms')});
$node->sql(q{COMMIT PREPARED 'chain'});
is($node->wait_job($_), 'succeeded', 'jobs that depend on one another, and on time') foreach ($second, $later);

# ----------------------------------------------------------------------------
# A unique key
# ----------------------------------------------------------------------------

my $submit = q{SELECT jobs.run('SELECT 1', unique_key => 'k', queue => 'night')};
$node->sql(q{SELECT jobs.pause('night')});
for my $end ('COMMIT', 'ROLLBACK')
{
	my $one = prepare('key', $submit);
	my $session = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', $submit ], '>', \my $two);

	$node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'advisory')});
	$node->sql("$end PREPARED 'key'");
	$session->finish;
	chomp $two;
	is($two eq $one ? 'the same' : 'another', $end eq 'COMMIT' ? 'the same' : 'another',
		"the second submission with a key waits for $end PREPARED of the first");
	$node->sql("SELECT jobs.cancel($two)");
}

# ----------------------------------------------------------------------------
# Controlling
# ----------------------------------------------------------------------------

$job = $node->sql(q{SELECT jobs.run('SELECT 1', queue => 'night')});
my $other = $node->sql(q{SELECT jobs.run('SELECT 1', queue => 'night')});
prepare('cancel', "SELECT jobs.cancel($job)");
prepare('cancel other', "SELECT jobs.cancel($other)");
$node->sql(q{SELECT jobs.resume('night')});
is($node->sql("SELECT jobs.wait($job, '200 ms')"), 'queued', 'a job whose cancel is prepared does not start');
$node->sql(q{COMMIT PREPARED 'cancel'});
is($node->wait_job($job), 'cancelled', 'and is cancelled by COMMIT PREPARED');
$node->sql(q{ROLLBACK PREPARED 'cancel other'});
is($node->wait_job($other), 'succeeded', 'or runs after ROLLBACK PREPARED');

prepare('retry', "SELECT jobs.retry($job)");
is($node->job($job, 'state'), 'cancelled', 'a prepared retry is not seen');
$node->sql(q{COMMIT PREPARED 'retry'});
ok($node->poll("SELECT state = 'succeeded' FROM jobs.job WHERE id = $job"), 'and runs after COMMIT PREPARED');

prepare('delete', "SELECT jobs.delete($job)");
$node->sql(q{COMMIT PREPARED 'delete'});
is($node->sql("SELECT count(*) FROM jobs.job WHERE id = $job"), '0', 'a prepared delete');

# A queue that the scheduler knows.
prepare('pause', q{SELECT jobs.pause('night')});
$node->sql(q{COMMIT PREPARED 'pause'});
$job = $node->sql(q{SELECT jobs.run('SELECT 1', queue => 'night')});
is($node->sql("SELECT jobs.wait($job, '200 ms')"), 'waiting', 'a prepared pause');
prepare('resume', q{SELECT jobs.resume('night')});
$node->sql(q{COMMIT PREPARED 'resume'});
is($node->wait_job($job), 'succeeded', 'and a prepared resume');

# ----------------------------------------------------------------------------
# Clients
# ----------------------------------------------------------------------------

$job = $node->sql(q{SELECT jobs.bulk(NULL, '[1, 2, 3]')});
my $claim = $node->sql("SELECT min(claim) FROM jobs.claim_items($job, 3)");
$node->sql("SELECT jobs.finish_items($job, '{1}', claim => $claim)");
prepare('answer', "SELECT jobs.finish_items($job, '{2}', claim => $claim)");
is($node->sql("SELECT processed FROM jobs.progress WHERE id = $job"), '1', 'a prepared answer does not count');
$node->sql(q{COMMIT PREPARED 'answer'});
ok($node->poll("SELECT processed = 2 FROM jobs.progress WHERE id = $job"), 'until it is committed');
$node->sql("SELECT jobs.finish_items($job, '{3}', claim => $claim)");
is($node->wait_job($job), 'succeeded', 'its job ends');

# Items are counted again after COMMIT PREPARED.  An answer that comes meanwhile counts once.
$job = $node->sql(q{SELECT jobs.bulk(NULL, '[1, 2, 3, 4]')});
$claim = $node->sql("SELECT min(claim) FROM jobs.claim_items($job, 3)");
my $other = $node->sql("SELECT claim FROM jobs.claim_items($job)");
my ($client, $gate) = map { $node->background_psql('postgres') } 1 .. 2;
$client->query_safe("BEGIN; SELECT jobs.finish_items($job, '{1, 2}', claim => $claim)");
prepare('recount', "SELECT jobs.finish_items($job, '{4}', claim => $other)");
$gate->query_safe('BEGIN; LOCK TABLE jobs.item_chunk');
$node->sql(q{COMMIT PREPARED 'recount'});
ok($node->poll(q{EXISTS (SELECT FROM pg_locks WHERE relation = 'jobs.item_chunk'::regclass AND NOT granted)}),
	'the scheduler counts');
$client->query_safe('COMMIT');
$gate->query_safe('COMMIT');
is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')})), 'succeeded', 'and has counted');
is($node->sql("SELECT processed, succeeded FROM jobs.progress WHERE id = $job"), '3|3', 'what was answered meanwhile counts once');
$node->sql("SELECT jobs.finish_items($job, '{3}', claim => $claim)");
is($node->wait_job($job), 'succeeded', 'that job ends, too');
$_->quit foreach ($client, $gate);

# ----------------------------------------------------------------------------
# Transactions that have nothing to do with jobs
# ----------------------------------------------------------------------------

# What clients can claim is told of again after each look at everything.
my $listener = $node->background_psql('postgres');
my $heard = '';
$listener->query_safe('LISTEN jobs');
$node->sql(q{SELECT jobs.submit('clients')});
$heard .= $listener->query('SELECT 1') until $heard =~ /"external"/;
$heard = '';
for my $i (1 .. 50)
{
	prepare('other', q{UPDATE effect SET job = 'other' WHERE job = 'restart'});
	$node->sql(($i % 2 ? 'COMMIT' : 'ROLLBACK') . q{ PREPARED 'other'});
}
$job = $node->sql(q{SELECT jobs.run('SELECT 1')});
$heard .= $listener->query('SELECT 1') until $heard =~ /"job": $job,.*"succeeded"/;
unlike($heard, qr/"external"/, 'make the scheduler look at nothing');
$listener->quit;

# The name of one that was refused its end, and whatever had it before.
$node->sql('CREATE ROLE mallory LOGIN');
$job = prepare('other', q{SELECT jobs.run('SELECT 1')});
like($node->error(q{COMMIT PREPARED 'other'}, extra_params => [ '-U', 'mallory' ]), qr/permission denied to finish prepared transaction/,
	'a stranger cannot end it');
$node->sql(q{COMMIT PREPARED 'other'});
is($node->wait_job($job), 'succeeded', 'its job runs all the same');
like($node->error(q{BEGIN; INSERT INTO effect VALUES ('failed'); SELECT pg_export_snapshot(); PREPARE TRANSACTION 'other'}),
	qr/cannot PREPARE/, 'one that cannot be prepared');
$job = prepare('other', q{SELECT jobs.run('SELECT 1')});
$node->sql(q{COMMIT PREPARED 'other'});
is($node->wait_job($job), 'succeeded', 'leaves nothing to the next of its name');

# ----------------------------------------------------------------------------
# CREATE EXTENSION itself
# ----------------------------------------------------------------------------

$node->sql('CREATE DATABASE fresh');
$job = $node->sql(q{BEGIN; CREATE EXTENSION jobs; SELECT jobs.run('SELECT 1'); PREPARE TRANSACTION 'create'}, 'fresh');
$node->restart;
$node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'jobs scheduler' AND datname = 'postgres')});
$node->poll(q{NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'jobs scheduler' AND datname <> 'postgres')});
$node->sql(q{COMMIT PREPARED 'create'}, 'fresh');
is($node->wait_job($job, 'fresh'), 'succeeded', 'a job of the prepared transaction that created the extension runs');

$node->log_ok;
$node->stop;
done_testing();
