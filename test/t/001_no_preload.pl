# Without shared_preload_libraries the extension can be created, looked at,
# dumped and restored; only what needs its processes says what is missing.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $with = JobsTest->create('with');
my $without = JobsTest->create('without', bare => 1, conf => "shared_preload_libraries = ''\n");

# ----------------------------------------------------------------------------
# An extension that nobody serves
# ----------------------------------------------------------------------------

$without->sql('CREATE EXTENSION jobs');
for my $view (qw(job progress panel artifact))
{
	is($without->sql("SELECT count(*) FROM jobs.$view"), '0', "jobs.$view can be read");
}
for my $call (
	q{jobs.run('SELECT 1')},
	q{jobs.export('SELECT 1 AS a')},
	q{jobs.retry(1)},
	q{jobs.pause('default')},
	q{jobs.resume('default')})
{
	like($without->error("SELECT $call"),
		qr/ERROR:  55000: jobs must be loaded via shared_preload_libraries\nHINT:  Add jobs to shared_preload_libraries in postgresql.conf and restart the server./,
		"$call says what is missing");
}
for my $call ('jobs.cancel(1)', 'jobs.wait(1)', 'jobs.delete(1)', 'jobs.download(1)', 'jobs.share(1)', 'jobs.unshare(1)')
{
	like($without->error("SELECT $call"), qr/ERROR:  42704: job 1 does not exist/, "$call finds no job");
}
like($without->error('SELECT jobs.report_progress(1)'),
	qr/ERROR:  55000: there is no job in this session/, 'jobs.report_progress has no job');
is($without->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'jobs %'}),
	'0', 'there are no processes');

# In one session, so that the library is loaded late.
is($without->sql(q{LOAD 'jobs'; SET jobs.tenant = 'a'; SHOW jobs.tenant}), 'a', 'its settings can be set');
like($without->error(q{LOAD 'jobs'; SET jobs.max_workers = 3}),
	qr/ERROR:  55P02: parameter "jobs.max_workers" cannot be changed now/, 'except those of the server');

# ----------------------------------------------------------------------------
# Dump and restore, from a server that runs jobs
# ----------------------------------------------------------------------------

my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';

$with->sql(q{CREATE TABLE mails (recipient text); INSERT INTO mails VALUES ('alice')});
my $done = $with->sql(q{SELECT jobs.export('SELECT * FROM mails')});
is($with->wait_job($done), 'succeeded', 'a job has ended');
$with->sql(q{SELECT jobs.pause('night')});
$with->sql(q{SELECT jobs.run('DELETE FROM mails', queue => 'night')});
$with->sql(q{SELECT jobs.run('DELETE FROM mails', run_at => now() + '1 day')});
is($with->sql('SELECT count(*) FROM jobs.job'), '3', 'and two have not begun');

for my $format ('plain', 'custom')
{
	$with->command_ok([ 'pg_dump', "--format=$format", "--file=$dump.$format", '-d', $with->connstr('postgres') ],
		"pg_dump, $format");
}
my $text = slurp_file("$dump.plain");
like($text, qr/^CREATE EXTENSION IF NOT EXISTS jobs/m, 'the dump has the extension');
like($text, qr/^COPY public\.mails/m, 'and the user\'s table');
unlike($text, qr/jobs\.(live|history|file|chunk|paused)|job_id/, 'and no jobs');

for my $target ([ $with, 'with' ], [ $without, 'without' ])
{
	my ($node, $name) = @$target;

	$node->sql('CREATE DATABASE plain');
	$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.plain", '-d', $node->connstr('plain') ],
		"restored by psql, $name the library");
	$node->sql('CREATE DATABASE custom');
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('custom'), "$dump.custom" ],
		"restored by pg_restore, $name the library");
	for my $dbname ('plain', 'custom')
	{
		is($node->sql('SELECT count(*) FROM jobs.job', $dbname), '0', "the copy has no jobs ($name, $dbname)");
		is($node->sql('SELECT count(*) FROM mails', $dbname), '1', "and its data ($name, $dbname)");
	}
}

# The copy is a database like any other.
is($with->wait_job($with->sql(q{SELECT jobs.run('DELETE FROM mails')}, 'plain'), 'plain'),
	'succeeded', 'a job runs in the copy');
is($with->sql('SELECT count(*) FROM mails', 'plain'), '0', 'and does its work there');
is($with->sql('SELECT count(*) FROM mails'), '1', 'and only there');

# Dumped without the library as well.
$without->command_ok([ 'pg_dump', '-f', "$dump.again", '-d', $without->connstr('custom') ],
	'pg_dump without the library');
$without->sql('DROP EXTENSION jobs');
pass('the extension can be dropped without the library');

# ----------------------------------------------------------------------------
# The library comes, with jobs that were submitted before it went
# ----------------------------------------------------------------------------

$without->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'jobs'");
$without->restart;
my $job = $without->sql(q{SELECT jobs.run('DELETE FROM mails', run_at => now() + '1 day')}, 'custom');
$without->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$without->restart;
is($without->job($job, 'state', 'custom'), 'scheduled', 'a job waits for its time without the library');
is($without->sql("SELECT state, percent, pid FROM jobs.progress WHERE id = $job", 'custom'), 'scheduled||', 'has no progress');
is($without->sql('SELECT count(*) FROM jobs._slots()', 'custom'), '0', 'and neither has any other');
is($without->sql("SELECT jobs.cancel($job)", 'custom'), 't', 'it can be cancelled');
is($without->job($job, 'state', 'custom'), 'cancelled', 'which shows');

$_->log_ok foreach ($with, $without);
done_testing();
