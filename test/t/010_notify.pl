# What a session hears that listens to the channels jobs and jobs_progress.

use strict;
use warnings;

use IPC::Run;
use JSON::PP;
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = JobsTest->create('main', conf => <<CONF);
jobs.progress_interval = '100ms'
jobs.worker_idle_timeout = '1s'
max_prepared_transactions = 5
CONF
my $session = $node->background_psql('postgres');
my $heard = '';
my $read = 0;
my @decoded;
my @order = qw(scheduled waiting queued running succeeded partial failed cancelled);
my %rank = map { $order[$_] => $_ } 0 .. $#order;

$session->query_safe('LISTEN jobs');
$session->query_safe('LISTEN jobs_progress');

# psql prints what has arrived after each command.
sub command
{
	my ($sql) = @_;
	my $output = $session->query_safe($sql) . "\n";

	$heard .= $output;
	return $output;
}

# Waits until a state of a job has been told.
sub hear
{
	my ($job, $state) = @_;
	my $pattern = qr/"job": $job, "kind": "\w+", "state": "$state"/;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $deadline)
	{
		command('SELECT');
		return 1 if $heard =~ $pattern;
		usleep(5_000);
	}
	diag "not heard: $pattern\n$heard";
	return 0;
}

# All that has been heard of a channel, decoded, and of a job if one is given.
sub messages
{
	my ($channel, $job) = @_;

	my $new = substr($heard, $read);

	$read = length $heard;
	push @decoded, { channel => $1, message => decode_json($2) }
	  while $new =~ /^Asynchronous notification "(\w+)" with payload "(\{.*\})" received/mg;
	return grep { !defined $job || $_->{job} == $job } map { $_->{message} } grep { $_->{channel} eq $channel } @decoded;
}

sub states
{
	my ($job) = @_;

	return join ' ', map { $_->{state} } messages('jobs', $job);
}

sub submit
{
	my ($call) = @_;

	my $output = command("SELECT jobs.$call");
	return $output =~ /^(\d+)$/m ? $1 : die "no id in: $output";
}

# ----------------------------------------------------------------------------
# Every change of state, once
# ----------------------------------------------------------------------------

my $job = submit(q{run('SELECT 1', title => 'secret')});
ok(hear($job, 'succeeded'), 'the end of a job is heard');
is(states($job), 'queued running succeeded', 'and each state before it');
my ($queued, $running, $succeeded) = messages('jobs', $job);
is(join(' ', sort keys %$_), 'job kind percent processed state total', "keys of $_->{state}") foreach ($queued, $running);
is(join(' ', sort keys %$succeeded), 'failed job kind percent processed skipped state succeeded total warnings', 'keys of a final state');
is_deeply([ @$succeeded{qw(job kind processed percent)} ], [ $job, 'run', 1, 100 ], 'values of a final state');

$job = submit(q{run('SELECT 1/0 AS secret', title => 'secret', max_attempts => 2)});
hear($job, 'failed');
is(states($job), 'queued running scheduled running failed', 'a job that fails twice');

$job = submit(q{run('SELECT pg_sleep(600)', timeout => '10 ms')});
hear($job, 'failed');
is(states($job), 'queued running failed', 'a job that runs out of time');

$job = submit(q{run('SELECT pg_sleep(600)')});
hear($job, 'running');
command("SELECT jobs.cancel($job)");
hear($job, 'cancelled');
is(states($job), 'queued running cancelled', 'a running job that is cancelled');
is(join(' ', sort keys %{ (messages('jobs', $job))[2] }), 'failed job kind percent processed skipped state succeeded total warnings', 'keys of cancelled');

$job = submit(q{run('SELECT pg_sleep(600)')});
hear($job, 'running');
kill 'TERM', $node->wait_running($job);
hear($job, 'failed');
is(states($job), 'queued running failed', 'a job whose worker is terminated');

$job = submit(q{run('SELECT 1', run_at => now() + '100 ms')});
my $after = submit("run('SELECT 1', after => ARRAY[$job])");
hear($after, 'succeeded');
is(states($job), 'scheduled running succeeded', 'a job with a time');
is(states($after), 'waiting queued running succeeded', 'a job after another');

$job = submit(q{run('SELECT 1/0')});
$after = submit("run('SELECT 1', after => ARRAY[$job])");
hear($after, 'cancelled');
is(states($after), 'waiting cancelled', 'a job after one that fails');
command("SELECT jobs.retry($after)");
hear($after, 'succeeded');
is(states($after), 'waiting cancelled queued running succeeded', 'and is retried');

my $tomorrow = submit(q{run('SELECT 1', run_at => now() + '1 day')});
$job = submit(q{run('SELECT 1', run_at => now() + '1 day')});
hear($job, 'scheduled');
command("SELECT jobs.cancel($job)");
hear($job, 'cancelled');
is(states($job), 'scheduled cancelled', 'a job that is cancelled before its time');

$job = submit(q{export('SELECT g FROM generate_series(1, 1000) g', title => 'secret', filename => 'secret.csv')});
hear($job, 'succeeded');
is(states($job), 'queued running succeeded', 'an export');
is_deeply([ @{ (messages('jobs', $job))[2] }{qw(kind processed total percent)} ], [ 'export', 1000, 1000, 100 ], 'with its rows');

# ----------------------------------------------------------------------------
# Nothing of what was rolled back, and a message is not ahead of what it tells
# ----------------------------------------------------------------------------

my $rolled_back = $node->sql(q{BEGIN; SELECT jobs.run('SELECT 1'); ROLLBACK});
my $aborted = $node->sql(q{BEGIN; SAVEPOINT a; SELECT jobs.run('SELECT 1'); ROLLBACK TO a; COMMIT});
my $open = $node->background_psql('postgres');
my $uncommitted = $open->query_safe(q{BEGIN; SELECT jobs.run('SELECT 1')});
$job = submit(q{run('SELECT 1')});
hear($job, 'succeeded');
is(states($_), '', 'nothing is heard of a job that was rolled back') foreach ($rolled_back, $aborted);
is(states($uncommitted), '', 'nor of one that is not yet committed');
$open->query_safe('COMMIT');
hear($uncommitted, 'succeeded');
is(states($uncommitted), 'queued running succeeded', 'until it is');
$open->query_safe("BEGIN; SELECT jobs.cancel($tomorrow)");
$open->query_safe('ROLLBACK');
$open->quit;

# Whoever submits may prepare the transaction.
my $prepared = $node->sql(q{BEGIN; SELECT jobs.run('SELECT 1'); PREPARE TRANSACTION 'a'});
$node->sql(q{COMMIT PREPARED 'a'});
hear($prepared, 'succeeded');
is(states($prepared), 'queued running succeeded', 'a job of a prepared transaction');

my @jobs = split /\n/, $node->sql(q{SELECT jobs.run('SELECT 1') FROM generate_series(1, 300)});
my $ahead = 0;
my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
for (my $seen = scalar messages('jobs'); $seen < 1_000_000 && time < $deadline;)
{
	command('SELECT');
	my @new = messages('jobs');
	splice(@new, 0, $seen);
	$seen += @new;
	for my $new (@new[ grep { $_ < 3 } 0 .. $#new ])
	{
		my $output = command("SELECT 'state ' || state FROM jobs.job WHERE id = $new->{job}");
		$ahead++ if $output !~ /^state (\w+)$/m || $rank{$1} < $rank{ $new->{state} };
	}
	last if states($jobs[-1]) =~ /succeeded/;
}
is($ahead, 0, 'no message is ahead of what a reader sees');
ok($node->wait_all, 'many jobs have ended') if $node->sql("SELECT jobs.cancel($tomorrow)");
hear($tomorrow, 'cancelled');
my %told;
$told{ $_->{job} } .= " $_->{state}" foreach messages('jobs');
is(scalar(grep { $told{$_} ne ' queued running succeeded' } @jobs), 0, 'each of many jobs is heard of, each state once, in order');

# ----------------------------------------------------------------------------
# Progress
# ----------------------------------------------------------------------------

$node->sql(q{CREATE FUNCTION report(n int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. n LOOP
			PERFORM jobs.report_progress(i, n, 'secret');
			PERFORM pg_sleep(0.005);
		END LOOP;
	END $$});
$job = submit(q{run('SELECT report(150)', title => 'secret')});
hear($job, 'succeeded');
my @progress = messages('jobs_progress', $job);
my $seconds = $node->job($job, 'extract(epoch FROM finished_at - started_at)');
cmp_ok(scalar @progress, '>=', 3, 'progress of a running job is heard');
cmp_ok(scalar @progress, '<=', $seconds * 10 + 2, 'at most once in jobs.progress_interval');
is(scalar(grep { join(' ', sort keys %$_) ne 'job kind percent processed state total' || $_->{state} ne 'running' } @progress), 0,
	'with the keys of a running job');
my @processed = map { $_->{processed} } @progress;
is("@processed", join(' ', sort { $a <=> $b } keys %{ { map { $_ => 1 } @processed } }), 'always more, and only when something moved');
is($progress[-1]{total}, 150, 'with the total');
cmp_ok($progress[-1]{percent}, '<', 100, 'and less than 100 percent');

$job = submit(q{run('SELECT jobs.report_progress(1, 2); SELECT pg_sleep(0.6)')});
hear($job, 'succeeded');
is(scalar messages('jobs_progress', $job), 1, 'no progress is heard of while nothing moves');

unlike($heard, qr/secret|division/, 'no title, message or text of an error in any of all the messages');

# ----------------------------------------------------------------------------
# A scheduler that is late, or comes back, does not tell the same again
# ----------------------------------------------------------------------------

my $pid = $node->wait_process('scheduler', 'postgres');
kill 'STOP', $pid;
$job = submit(q{run('SELECT 1', run_at => now() + '1 day')});
command("SELECT jobs.cancel($job)");
command("SELECT jobs.retry($job)");
command("SELECT jobs.cancel($job)");
kill 'CONT', $pid;
hear($job, 'cancelled');
$after = submit(q{run('SELECT 1')});
hear($after, 'succeeded');
is(states($job), 'cancelled', 'a job that changed several times is told of as it is then');

my $scheduled = submit(q{run('SELECT 1', run_at => now() + '1 day')});
command(q{SELECT jobs.pause('night')});
my $night = submit(q{run('SELECT 1', queue => 'night')});
hear($night, 'queued');
$node->poll(q{NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type IN ('jobs scheduler', 'jobs worker'))});
$job = submit(q{run('SELECT 1')});
hear($job, 'succeeded');
is(states($job), 'queued running succeeded', 'a job that finds no scheduler');
is(states($scheduled), 'scheduled', 'one that was there before is not told of again');
is(states($night), 'queued', 'nor one in a paused queue');

# ----------------------------------------------------------------------------
# A full queue of notifications, and forged ones
# ----------------------------------------------------------------------------

command(qq(NOTIFY jobs, '{"job": $night, "state": "succeeded"}'));
command(qq(NOTIFY jobs, 'no JSON'));
is($node->job($night, 'state'), 'waiting', 'a forged message changes nothing');

$session->quit;
$node->log_ok;
$node->stop;
done_testing();
