# pg_upgrade carries jobs, history and files along; nothing runs while it works,
# and afterwards what had not ended waits for somebody to decide.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = JobsTest->create('old');

$old->sql('CREATE TABLE effect (job text)');
$old->add_gate;
my $export = $old->sql(q{SELECT jobs.export('SELECT g FROM generate_series(1, 100000) g')});
$old->wait_job($export);
my $sha256 = $old->sql("SELECT sha256 FROM jobs.artifact WHERE job = $export");
my $running = $old->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''running''); SELECT wait_to_go()')});
$old->wait_running($running);
my $later = $old->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''later'')', run_at => now() + '100 ms', queue => 'night')});
$old->sql(q{SELECT jobs.pause('night')});
$old->stop;

my $new = JobsTest->create('new', bare => 1, start => 0);
command_ok(
	[
		'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir,
		'-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'),
		'-s', $new->host, '-p', $old->port, '-P', $new->port
	],
	'pg_upgrade');
$new->start;

is($new->sql("SELECT encode(sha256(string_agg(d, '')), 'hex') FROM jobs.download($export) d"), $sha256, 'a file is still there');
is($new->job($export, 'state'), 'succeeded', 'as is its job');
$new->sql(q{SELECT jobs.resume('night')});
my $job = $new->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''new'')')});
is($new->wait_job($job), 'succeeded', 'new jobs run');
is($new->job($_, 'state, waiting_for'), 'queued|the server that it was submitted to, of which this is a copy', 'one that had not ended waits')
  foreach ($running, $later);
is($new->sql('SELECT string_agg(job, $$ $$) FROM effect'), 'new', 'and has not run');
$new->open_gate;
for my $id ($running, $later)
{
	$new->sql("SELECT jobs.cancel($id); SELECT jobs.retry($id)");
	is($new->wait_job($id), 'succeeded', 'until it is cancelled and retried');
}
is($new->sql('SELECT string_agg(job, $$ $$ ORDER BY job) FROM effect'), 'later new running', 'each once');

$_->log_ok foreach ($old, $new);
done_testing();
