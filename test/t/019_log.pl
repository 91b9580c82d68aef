# What an operator finds in the server's log and in pg_stat_activity.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main');

$node->sql('CREATE ROLE alice LOGIN; CREATE TABLE mine (n int); ALTER TABLE mine OWNER TO alice');
$node->add_gate;

# What the log gets while a call, made by alice, comes to its end.
sub logged
{
	my ($call) = @_;
	my $offset = $node->log_length;
	my $job = $node->safe_psql('postgres', "SELECT jobs.$call", extra_params => [ '-U', 'alice' ]);

	$node->wait_job($job);
	return ($job, $node->log_since($offset));
}

# ----------------------------------------------------------------------------
# Errors name their job
# ----------------------------------------------------------------------------

my ($job, $log) = logged(q{run('SELECT 1/0', title => 'Nightly sums')});
like($log, qr/ 22012 ERROR:  division by zero$/m, 'an error of a job is in the log');
like($log, qr/CONTEXT:  job $job "Nightly sums" of role alice$/m, 'its context names the job, which a prefix cannot do for background workers');
like($log, qr/STATEMENT:  SELECT 1\/0$/m, 'and its command');

($job, $log) = logged(q{run('DO $$ BEGIN RAISE EXCEPTION ''no'' USING DETAIL = ''why'', HINT = ''do''; END $$')});
like($log, qr/ERROR:  no\n.*DETAIL:  why\n.*HINT:  do\n.*CONTEXT:  PL\/pgSQL function inline_code_block line 1 at RAISE\n\tjob $job /, 'detail, hint and an inner context come before');
is($node->job($job, 'error_detail, error_hint'), 'why|do', 'and are in the view');

($job, $log) = logged(q{export('SELECT 1/(g - 500) FROM generate_series(1, 1000) g', title => 'Ratios')});
like($log, qr/ERROR:  division by zero\n.*CONTEXT:  job $job "Ratios" of role alice$/m, 'so does an error of an export');

($job, $log) = logged(q{run('DO $$ BEGIN RAISE WARNING ''careful''; RAISE LOG ''by the way''; END $$', title => 'Talk')});
like($log, qr/WARNING:  careful\n(.*\n\t)*.*\n?\tjob $job "Talk" of role alice/, 'a warning');
like($log, qr/LOG:  by the way\n(.*\n\t)*.*\n?\tjob $job "Talk" of role alice/, 'and a message for the log');

($job, $log) = logged(q{run('SELECT pg_sleep(600)', timeout => '50 ms', title => 'Slow')});
like($log, qr/ERROR:  canceling statement.*\n.*CONTEXT:  job $job "Slow" of role alice/, 'a timeout');

($job, $log) = logged(q{run('SELECT pg_terminate_backend(pg_backend_pid())', title => 'Last')});
like($log, qr/57P01 FATAL:  terminating background worker "jobs worker" due to administrator command\n.*CONTEXT:  job $job "Last" of role alice/, 'a termination');

($job, $log) = logged(q{run('SELECT 1', title => 'Quiet')});
is($log, '', 'a job that succeeds is not in the log');

# A title cannot forge a line.
like($node->error(q{SELECT jobs.run('SELECT 1/0', title => E'a\nLOG:  b')}), qr/ERROR:  22023/, 'a title is one line');

# ----------------------------------------------------------------------------
# pg_stat_activity
# ----------------------------------------------------------------------------

$job = $node->safe_psql('postgres', q{SELECT jobs.run('SELECT wait_to_go()', title => 'Watch me')}, extra_params => [ '-U', 'alice' ]);
my $pid = $node->wait_running($job);
is($node->sql("SELECT backend_type, usename, datname, application_name, state, query FROM pg_stat_activity WHERE pid = $pid"),
	qq(jobs worker|alice|postgres|jobs $job run|active|job $job "Watch me": SELECT wait_to_go()), 'a running job in pg_stat_activity');
$node->open_gate;
$node->wait_job($job);
ok($node->poll(qq(SELECT application_name <> 'jobs $job run' AND state = 'idle' FROM pg_stat_activity WHERE pid = $pid)), 'and afterwards');

# Where the worker's session is somebody else's, he need not see what runs in it.
$node->sql(q{CREATE ROLE team; CREATE FUNCTION submit() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS
	'SELECT jobs.run(''SELECT wait_to_go()'', title => ''Secret'')'; ALTER FUNCTION submit() OWNER TO team});
$node->close_gate;
$job = $node->safe_psql('postgres', 'SELECT submit()', extra_params => [ '-U', 'alice' ]);
$pid = $node->wait_running($job);
is($node->safe_psql('postgres', "SELECT application_name, query FROM pg_stat_activity WHERE pid = $pid", extra_params => [ '-U', 'alice' ]),
	$node->sql('SHOW server_version_num') < 170000 ? "jobs $job run|job $job" : 'jobs ' . $job . ' run|<insufficient privilege>',
	'a job of a role without LOGIN does not show its command to who had it submitted');
$node->open_gate;
$node->wait_job($job);
is($node->sql(q{SELECT string_agg(format('%s %s %s', backend_type, coalesce(datname, '-'), application_name), ', ' ORDER BY 1)
	FROM pg_stat_activity WHERE backend_type IN ('jobs launcher', 'jobs scheduler')}),
	'jobs launcher - jobs launcher, jobs scheduler postgres jobs scheduler', 'launcher and scheduler');

$node->log_ok;
$node->stop;
done_testing();
