# kill -9 of a worker, the scheduler, the launcher and the postmaster, while jobs
# run.  PostgreSQL restarts all its processes then.  Afterwards no job is lost,
# the effects of each are there once or not at all, a job that cannot be tried
# again says why, and work goes on by itself.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $NJOBS = 60;

my $node = JobsTest->create('main');
$node->sql('CREATE TABLE effect (victim text, job int)');
$node->sql('CREATE TABLE numbers AS SELECT g AS n FROM generate_series(1, 50000) g');

crash('worker', sub { kill 'KILL', $_[0] });
crash('scheduler', sub { kill 'KILL', $node->wait_process('scheduler', 'postgres') });
crash('launcher', sub { kill 'KILL', $node->wait_process('launcher') });
crash('postmaster', sub { kill_postmaster() });

$node->log_ok;
$node->stop;
done_testing();

# ----------------------------------------------------------------------------

# Jobs of every kind and in every state, then the fault, then a look at all of them.
sub crash
{
	my ($victim, $fault) = @_;
	my $before = $node->sql('SELECT count(*) FROM jobs.job');
	my $launcher = $node->wait_process('launcher');
	my $long = submit($victim, 'long', 'SELECT pg_sleep(600)', '');
	my $again = submit($victim, 'again', sleep_at_first("$victim again"), ', max_attempts => 2');
	my $export = $node->sql(q{SELECT jobs.export('SELECT n, repeat(''x'', 1000) FROM numbers UNION ALL SELECT 0, pg_sleep(600)::text')});
	my $after = submit($victim, 'after', 'SELECT 1', ", after => ARRAY[$long]");
	my $later = submit($victim, 'later', 'SELECT 1', ", run_at => now() + '1 day'");

	$node->wait_running($_) foreach ($long, $again, $export);
	$node->poll("SELECT processed >= 50000 FROM jobs.progress WHERE id = $export");
	$node->sql("SELECT jobs.run(format('INSERT INTO effect VALUES (''$victim'', %s); SELECT pg_sleep(0.005)', g),
		title => '$victim ' || g, max_attempts => 20) FROM generate_series(1, $NJOBS) g");
	$node->poll("EXISTS (SELECT FROM effect WHERE victim = '$victim')");
	is($node->sql("SELECT count(*) FROM effect WHERE victim = '$victim' AND job < 0"), '0',
		"$victim: what runs has no effect yet");

	$fault->($node->sql("SELECT pid FROM jobs.progress WHERE id = $long"));
	$node->wait_restarted($launcher);

	ok($node->poll("NOT EXISTS (SELECT FROM jobs.job WHERE title NOT LIKE '% later'
		AND state NOT IN ('succeeded', 'failed', 'cancelled'))"), "$victim: all jobs come to an end");
	is($node->sql('SELECT count(*) FROM jobs.job') - $before, $NJOBS + 5, "$victim: no job is lost");
	is($node->sql("SELECT string_agg(DISTINCT state, ' ') FROM jobs.job WHERE title ~ '^$victim [0-9]'"),
		'succeeded', "$victim: those with attempts left have succeeded");
	is($node->sql("SELECT count(*), count(DISTINCT job) FROM effect WHERE victim = '$victim' AND job > 0"),
		"$NJOBS|$NJOBS", "$victim: each has had its effect once");

	is($node->job($long, 'state, error_code, error_message, attempt'),
		'failed|57P02|the server was restarted while the job was running|1', "$victim: one without has failed, with the reason");
	is($node->job($again, 'state, error_code, attempt'), 'succeeded||2', "$victim: one that ran and has another attempt has succeeded");
	is($node->sql("SELECT job, count(*) FROM effect WHERE victim = '$victim' AND job < 0 GROUP BY 1"), '-2|1',
		"$victim: only that one's effect is there, and once");
	is($node->job($after, 'state, error_message'), qq(cancelled|the job "$victim long" that it waited for has failed),
		"$victim: what waited for the failed one is cancelled, with the reason");
	is($node->job($later, 'state'), 'scheduled', "$victim: one for tomorrow is still there");
	is($node->job($export, 'state'), 'failed', "$victim: an export has failed");
	is($node->sql("SELECT (SELECT count(*) FROM jobs.chunk WHERE job = $export) + (SELECT count(*) FROM jobs.file WHERE job = $export)"),
		'0', "$victim: and left nothing of its file");

	cmp_ok(seconds_to_restart($again), '<', 3, "$victim: running again soon after the server is ready");
	is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')})), 'succeeded', "$victim: a new job runs");
	is($node->sql("SELECT jobs.retry($long)"), 't', "$victim: the failed one can be retried");
	$node->wait_running($long);
	$node->sql("SELECT jobs.cancel($long)");
	is($node->wait_job($long), 'cancelled', "$victim: and cancelled");
	return;
}

sub submit
{
	my ($victim, $name, $command, $arguments) = @_;
	my %number = (long => -1, again => -2, after => -3, later => -4);

	return $node->sql("SELECT jobs.run(\$\$INSERT INTO effect VALUES ('$victim', $number{$name}); $command\$\$,
		title => '$victim $name' $arguments)");
}

# A job can read its own row.
sub sleep_at_first
{
	my ($title) = @_;

	return "SELECT pg_sleep(CASE WHEN attempt = 1 THEN 600 ELSE 0 END) FROM jobs.job WHERE title = '$title'";
}

sub kill_postmaster
{
	my @pids = map { $node->pids($_) } qw(launcher scheduler worker);

	cmp_ok(scalar @pids, '>=', 5, 'postmaster: processes are there');
	$node->kill_postmaster;
	is(scalar(grep { !$node->wait_gone($_) } @pids), 0, 'postmaster: and all of them go by themselves');
	$node->start;
	return;
}

# From the last "ready to accept connections" to the second start of a job.
sub seconds_to_restart
{
	my ($job) = @_;
	my @ready = $node->log_since(0) =~ /^(\S+ \S+ \S+) .*database system is ready to accept connections/mg;

	return $node->job($job, "extract(epoch FROM started_at - '$ready[-1]')");
}
