# DROP EXTENSION with running and queued jobs is quick and leaves no process
# behind; rolled back, it takes nothing away; and CREATE EXTENSION begins anew.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = JobsTest->create('main', conf => "max_prepared_transactions = 5\n");

$node->sql('CREATE TABLE effect (job int)');
$node->add_gate;

my $processes = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('jobs scheduler', 'jobs worker')};

# Jobs in every state; returns those that run.
sub submit
{
	$node->sql('TRUNCATE effect');
	$node->close_gate;
	my $run = $node->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (1); SELECT wait_to_go()')});
	my $export = $node->sql(q{SELECT jobs.export('SELECT g, CASE WHEN g = 1000 THEN wait_to_go()::text END FROM generate_series(1, 1000) g')});
	$node->wait_running($_) foreach ($run, $export);
	$node->sql(q{SELECT jobs.run('SELECT 1', run_at => now() + '1 day')});
	$node->sql(q{SELECT jobs.pause('night'); SELECT jobs.run('SELECT 1', queue => 'night')});
	$node->sql(q{SELECT count(jobs.run(format('INSERT INTO effect VALUES (%s); SELECT pg_sleep(0.05)', g + 100))) FROM generate_series(1, 40) g});
	$node->poll('EXISTS (SELECT FROM effect WHERE job > 100)');
	return ($run, $export);
}

# ----------------------------------------------------------------------------
# Committed
# ----------------------------------------------------------------------------

for my $command ('DROP EXTENSION jobs', 'DROP EXTENSION jobs CASCADE')
{
	submit();
	$node->sql('CREATE VIEW mine AS SELECT * FROM jobs.job') if $command =~ /CASCADE/;
	my $from = time;
	$node->sql($command);
	cmp_ok(time - $from, '<', 2, "$command is quick");
	ok($node->poll("($processes) = 0"), 'no process is left');
	is($node->sql('SELECT count(*) FROM effect WHERE job = 1'), '0', 'what ran has no effect');
	is($node->sql(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'jobs'}), '0', 'the schema is gone');
	$node->sql('CREATE EXTENSION jobs');
	is($node->sql('SELECT count(*) FROM jobs.job'), '0', 'created again it has no jobs');
	is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')})), 'succeeded', 'and runs new ones');
}

# Sessions that wait for a job are not in the way; they learn that it is gone.
my ($run, $export) = submit();
my $wait = IPC::Run::start([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-v', 'VERBOSITY=verbose', '-c', "SELECT jobs.wait($run)" ],
	'2>', \my $error);
$node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE query ~ '^SELECT jobs.wait' AND wait_event_type = 'Extension')});
my $from = time;
$node->sql('DROP EXTENSION jobs');
cmp_ok(time - $from, '<', 2, 'DROP EXTENSION is quick while somebody waits for a job');
$wait->finish;
like($error, qr/ERROR:  55000: extension "jobs" is not installed in this database/, 'who is told');
$node->sql('CREATE EXTENSION jobs');

# ----------------------------------------------------------------------------
# Rolled back
# ----------------------------------------------------------------------------

for my $end ('ROLLBACK', 'ROLLBACK TO a; COMMIT', 'SELECT pg_terminate_backend(pg_backend_pid())')
{
	($run, $export) = submit();

	$node->psql('postgres', "BEGIN; SAVEPOINT a; DROP EXTENSION jobs; $end");
	$node->wait_running($_) foreach ($run, $export);
	is($node->job($_, 'attempt, error_message'), '1|', "$end: a job runs again, with the same attempt") foreach ($run, $export);
	$node->open_gate;
	is($node->wait_job($_), 'succeeded', "$end: and succeeds") foreach ($run, $export);
	ok($node->poll('(SELECT count(*) FROM effect) = 41'), "$end: the others run, too");
	is($node->sql('SELECT count(DISTINCT job) FROM effect'), '41', "$end: each once");
}

# ----------------------------------------------------------------------------
# Prepared
# ----------------------------------------------------------------------------

($run, $export) = submit();
$node->sql(q{BEGIN; DROP EXTENSION jobs; PREPARE TRANSACTION 'drop'});
ok($node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'jobs scheduler' AND wait_event_type = 'Lock')}),
	'the scheduler waits for the end of a prepared DROP');
$from = time;
$node->restart;
cmp_ok(time - $from, '<', 5, 'a fast shutdown does not wait for it');
$node->sql(q{ROLLBACK PREPARED 'drop'});
$node->wait_running($_) foreach ($run, $export);
is($node->job($_, 'attempt, error_message'), '1|', "rolled back, a job runs again") foreach ($run, $export);

$node->sql(q{BEGIN; DROP EXTENSION jobs; PREPARE TRANSACTION 'drop'});
$node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'jobs scheduler' AND wait_event_type = 'Lock')});
$node->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'jobs scheduler'});
$node->sql(q{COMMIT PREPARED 'drop'});
ok($node->poll("($processes) = 0"), 'committed, no process is left');

# ----------------------------------------------------------------------------
# Created and used in one transaction
# ----------------------------------------------------------------------------

# Whoever looks meanwhile sees no extension yet.
$node->sql('CREATE DATABASE fresh');
my $session = $node->background_psql('fresh');
$session->query_safe('BEGIN');
$session->query_safe('CREATE EXTENSION jobs');
my $job = $session->query_safe(q{SELECT jobs.run('SELECT 1')});
my $offset = $node->log_length;
$node->append_conf('postgresql.conf', 'log_min_messages = debug1');
$node->reload;
kill 'TERM', $node->wait_process('launcher');
ok($node->wait_for_log(qr/("jobs scheduler" \(PID \d+\) exited with exit code 0.*){3}/s, $offset),
	'schedulers have looked into all three databases and found no extension');
$session->query_safe('COMMIT');
is($node->wait_job($job, 'fresh'), 'succeeded', 'a job that was submitted in the transaction of CREATE EXTENSION runs');

# In quick succession, while the processes of the one before still leave.
for my $i (1 .. 10)
{
	$session->query_safe('DROP EXTENSION jobs');
	$session->query_safe('CREATE EXTENSION jobs');
	$job = $session->query_safe(q{SELECT jobs.run('SELECT 1')});
	is($session->query_safe("SELECT jobs.wait($job, '20 s')"), 'succeeded', "DROP, CREATE and run, $i");
}
$session->quit;

# ----------------------------------------------------------------------------
# Somebody who may not
# ----------------------------------------------------------------------------

$node->sql('CREATE ROLE mallory LOGIN');
my $worker = join ' ', $node->pids('worker', 'fresh');
like($node->error('DROP EXTENSION jobs', dbname => 'fresh', extra_params => [ '-U', 'mallory' ]),
	qr/ERROR:  42501: must be owner of extension jobs/, 'refused to another role');
is(join(' ', $node->pids('worker', 'fresh')), $worker, 'without disturbing anybody');

$node->log_ok;
$node->stop;
done_testing();
