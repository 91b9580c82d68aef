# Clients that do jobs outside of the server: killed, slow, told by NOTIFY; the
# server killed and restarted under them; the examples.
#
# JOBS_NODE_MODULES names a directory with the module pg for Node, where Debian's
# is not there.

use strict;
use warnings;

use Fcntl;
use File::Basename;
use IPC::Run;
use JSON::PP;
use JobsTest;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $top = dirname(dirname(dirname(__FILE__)));
my $node = JobsTest->create('main', conf => <<CONF);
jobs.progress_interval = '50ms'
jobs.worker_idle_timeout = '1s'
CONF

# Takes one job of a queue; returns its id and the claim's number.
sub claim
{
	my ($session, $queue, $lease) = @_;

	return split /\|/, $session->query_safe("SELECT job, claim FROM jobs.claim('$queue', lease => '$lease')");
}

# ----------------------------------------------------------------------------
# Clients that die
# ----------------------------------------------------------------------------

my $job = $node->sql(q{SELECT jobs.submit('work', '"dies"')});
my $client = $node->background_psql('postgres');
my ($got, $claim) = claim($client, 'work', '500 ms');
is($got, $job, 'a client claims the job');
my $pid = $client->query_safe('SELECT pg_backend_pid()');
$client->{run}->kill_kill;
ok($node->poll("SELECT attempt = 1 AND state <> 'running' FROM jobs.job WHERE id = $job"), 'its lease runs out');
is($node->job($job, 'error_code, error_message'), "08006|the client's lease ran out", 'which is told');
ok($node->poll(q{SELECT count(*) = 1 FROM jobs.claim('work', lease => '1 hour')}), 'another client gets it');
like($node->error("SELECT jobs.finish($job, claim => $claim)"), qr/55000.*no longer claimed/, 'late, the first is refused');

# A client in the middle of a transaction: what it had claimed there is free at once.
$job = $node->sql(q{SELECT jobs.submit('work2')});
$client = $node->background_psql('postgres');
$client->query_safe('BEGIN');
($got) = claim($client, 'work2', '1 hour');
is($got, $job, 'claimed in a transaction');
is($node->sql(q{SELECT count(*) FROM jobs.claim('work2')}), '0', 'nobody else gets it');
$client->{run}->kill_kill;
ok($node->poll(q{SELECT count(*) = 1 FROM jobs.claim('work2')}), 'until the client has gone');

# ----------------------------------------------------------------------------
# The server restarts, or is killed
# ----------------------------------------------------------------------------

$job = $node->sql(q{SELECT jobs.submit('restart')});
my $lost = $node->sql(q{SELECT jobs.submit('restart', max_attempts => 1)});
(undef, $claim) = split /\|/, $node->sql(q{SELECT job, claim FROM jobs.claim('restart', lease => '1 hour')});
$node->sql(q{SELECT job, claim FROM jobs.claim('restart', lease => '1 s')});
$node->stop('immediate');
usleep(1_100_000);
$node->start;
is($node->wait_job($lost), 'failed', 'a lease that ran out while the server was down');
is($node->job($lost, 'error_message'), "the client's lease ran out", 'and its reason');
is($node->job($job, 'state'), 'running', 'another has lasted');
$node->sql("SELECT jobs.report_progress_of($job, 5, 10, claim => $claim)");
$node->restart;
is($node->sql("SELECT processed, total FROM jobs.progress WHERE id = $job"), '5|10', 'its progress too');
$node->sql("SELECT jobs.finish($job, claim => $claim)");
is($node->wait_job($job), 'succeeded', 'and its client has answered');

# The scheduler has nothing to do and leaves; it comes again when a lease ends.
$job = $node->sql(q{SELECT jobs.submit('restart', max_attempts => 1)});
$node->sql(q{SELECT FROM jobs.claim('restart', lease => '3 s')});
ok($node->poll(q{NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'jobs scheduler')}), 'the scheduler leaves');
is($node->wait_job($job), 'failed', 'and comes back for the end of the lease');

# ----------------------------------------------------------------------------
# What listeners hear
# ----------------------------------------------------------------------------

my $listener = $node->background_psql('postgres');
my $heard = '';
$listener->query_safe('LISTEN jobs');
$listener->query_safe('LISTEN jobs_progress');

sub hear
{
	my ($pattern, $what) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $deadline)
	{
		$heard .= $listener->query_safe('SELECT') . "\n";
		if ($heard =~ $pattern)
		{
			$heard = '';
			pass($what);
			return;
		}
		usleep(5_000);
	}
	fail($what);
	diag "not heard: $pattern\n$heard";
	return;
}

$job = $node->sql(q{SELECT jobs.submit('heard')});
hear(qr/"job": $job, "kind": "external", "state": "queued"/, 'a job to be claimed');
$client = $node->background_psql('postgres');
(undef, $claim) = claim($client, 'heard', '1 min');
hear(qr/"job": $job, .*"state": "running"/, 'claimed');
$client->query_safe("SELECT jobs.report_progress_of($job, 3, 4)");
hear(qr/jobs_progress.*"job": $job, .*"state": "running", "processed": 3, "total": 4, "percent": 75/, 'how far it is');
$client->query_safe("SELECT jobs.release($job)");
hear(qr/"job": $job, .*"state": "queued"/, 'given back');
claim($client, 'heard', '1 min');
hear(qr/"job": $job, .*"state": "running"/, 'claimed again');
# As fast as the scheduler can look, or faster.
$client->query_safe("SELECT jobs.release($job); SELECT FROM jobs.claim('heard'); SELECT jobs.release($job)");
hear(qr/"job": $job, .*"state": "queued"/, 'given back at once');
$node->sql(q{SELECT jobs.pause('heard')});
is(scalar claim($client, 'heard', '1 min'), 0, 'nothing to be had while the queue is paused');
$node->sql(q{SELECT jobs.resume('heard')});
hear(qr/"job": $job, .*"state": "queued"/, 'its queue is resumed');
$node->append_conf('postgresql.conf', 'jobs.enabled = off');
$node->reload;
ok($node->poll(q{current_setting('jobs.enabled') = 'off'}), 'jobs.enabled is off');
is($node->sql(q{SELECT count(*) FROM jobs.claim('heard')}), '0', 'nothing to be had then');
is($node->job($job, 'waiting_for'), 'jobs.enabled to be on', 'and what it waits for');
$node->append_conf('postgresql.conf', 'jobs.enabled = on');
$node->reload;
hear(qr/"job": $job, .*"state": "queued"/, 'jobs.enabled is on again');
claim($client, 'heard', '1 min');
$node->sql("SELECT jobs.cancel($job)");
hear(qr/"job": $job, .*"state": "cancelled"/, 'cancelled');
$job = $node->sql(q{SELECT jobs.submit('heard', run_at => now() + interval '50 ms')});
hear(qr/"job": $job, .*"state": "queued"/, 'due');
$client->query_safe(q{SELECT FROM jobs.claim('heard')});
$client->query_safe("SELECT jobs.fail($job, 'no')");
hear(qr/"job": $job, .*"state": "queued"/, 'its next attempt is due');
$client->quit;
$listener->quit;

# ----------------------------------------------------------------------------
# The examples
# ----------------------------------------------------------------------------

my %env = (PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres');
my $owner = $node->sql('SELECT current_user');
my $elsewhere = PostgreSQL::Test::Utils::tempdir();
my $modules = join ':', grep { defined } $ENV{JOBS_NODE_MODULES}, '/usr/share/nodejs';

$node->sql('CREATE ROLE mallory');

sub has
{
	my (@command) = @_;
	local %ENV = (%ENV, NODE_PATH => $modules);

	return IPC::Run::run(\@command, '<', \undef, '>&', \my $output);
}

sub try_example
{
	my @command = @_;
	my ($name) = $command[-1] =~ m{([^/]+)$};
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $output = '';
	my $payload = encode_json({ month => '2026-10', customers => [qw(acme umbrella)] });
	local %ENV = (%ENV, %env, NODE_PATH => $modules);
	my $example = IPC::Run::start([ @command, 'invoices', $dir, $owner ], '<', \undef, '>&', \$output);

	# It listens, and has found nothing.
	ok($node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE query ~ 'FROM jobs.claim' AND state = 'idle')}), "$name waits")
	  or diag $output;
	$node->sql(q{SELECT pg_notify('jobs', 'forged')});
	my $id = $node->sql("SELECT jobs.submit('invoices', '$payload', title => 'Generate: Monthly Invoice PDFs')");
	is($node->wait_job($id), 'succeeded', "$name does a job") or diag $output;
	is($node->job($id, 'result, processed, total'), '{"files": 2}|2|2', 'result and counts');
	is(slurp_file("$dir/2026-10-umbrella.txt"), "Invoice for umbrella, 2026-10\n", 'what it has made');
	$id = $node->sql("SELECT jobs.submit('invoices', '{\"customers\": 1}', max_attempts => 1)");
	is($node->wait_job($id), 'failed', "$name fails") or diag $output;
	isnt($node->job($id, 'error_message'), '', 'with a message: ' . $node->job($id, 'error_message'));

	# A payload is a stranger's, and so may be the job.
	$id = $node->sql(sprintf q{SELECT jobs.submit('invoices', '%s', max_attempts => 1)},
		encode_json({ month => '2026-11', directory => $elsewhere, customers => ['acme'] }));
	$node->wait_job($id);
	is(join(' ', glob("$dir/2026-11-* $elsewhere/*")), "$dir/2026-11-acme.txt", "$name writes into its own directory alone");
	$id = $node->sql(sprintf q{SELECT jobs.submit('invoices', '%s', max_attempts => 1)},
		encode_json({ month => '2026-11', directory => $elsewhere, customers => [ 'globex', '/../../' . basename($elsewhere) . '/x' ] }));
	is($node->wait_job($id), 'failed', "$name refuses a name that leads elsewhere");
	is(join('', glob("$elsewhere/* $dir/*globex*")), '', 'and has written nothing');
	$id = $node->sql("SET ROLE mallory; SELECT jobs.submit('invoices', '$payload', max_attempts => 1)");
	is($node->wait_job($id), 'failed', "$name does no jobs of an owner who is not named");
	is($node->job($id, 'error_message'), 'jobs of mallory are not done here', 'and says so');

	# The work fails after the job was cancelled: the client's word is refused, and it goes on.  Its
	# file is a pipe that is full, so it waits there until nobody can read it any more.
	my $file = "$dir/2026-10-stops.txt";
	my $pid = $example->{KIDS}[0]{PID};
	POSIX::mkfifo($file, 0600) or die "mkfifo: $!";
	sysopen(my $pipe, $file, O_RDWR | O_NONBLOCK) or die "$file: $!";
	1 while syswrite($pipe, 'x' x 4096);
	$payload =~ s/"acme","umbrella"/"stops"/;
	$id = $node->sql("SELECT jobs.submit('invoices', '$payload')");
	for (my $until = time + $PostgreSQL::Test::Utils::timeout_default; time < $until; usleep(10_000))
	{
		last if grep { (readlink($_) // '') eq $file } glob "/proc/$pid/fd/*";
	}
	is($node->sql("SELECT jobs.cancel($id)"), 't', "a job that $name is at is cancelled");
	close $pipe;
	$payload =~ s/"stops"/"umbrella"/;
	$id = $node->sql("SELECT jobs.submit('invoices', '$payload')");
	is($node->wait_job($id), 'succeeded', "$name goes on") or diag $output;
	$example->pump_nb;
	like($output, qr/was cancelled/, 'and has been told');
	$example->kill_kill;
	return;
}

SKIP:
{
	my @python = ('/usr/bin/python3');
	skip 'psycopg2 is missing (Debian: python3-psycopg2)', 14 unless has(@python, '-c', 'import psycopg2');
	try_example(@python, "$top/examples/worker/worker.py");
}
SKIP:
{
	skip 'psycopg2 is missing (Debian: python3-psycopg2)', 5 unless has('/usr/bin/python3', '-c', 'import psycopg2');
	my $output = '';
	local %ENV = (%ENV, %env);
	my $example = IPC::Run::start([ '/usr/bin/python3', "$top/examples/worker/items.py", 'mail', $owner ], '<', \undef, '>&', \$output);

	ok($node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE query ~ 'FROM jobs.claimable' AND state = 'idle')}), 'items.py waits');
	$node->sql(q{SELECT pg_notify('jobs', 'forged')});
	my $stranger = $node->sql(q{SET ROLE mallory; SELECT jobs.bulk(NULL, '[{"to": "bob@acme.com"}]', queue => 'mail')});
	my $id = $node->sql(q{SELECT jobs.bulk(NULL, '[{"to": "alice@acme.com"}, {"to": "bob@"}, {"to": "carol@acme.com"}]', queue => 'mail')});
	is($node->wait_job($id), 'partial', 'items.py does items') or diag $output;
	is($node->sql("SELECT string_agg(state, ' ' ORDER BY item_no) FROM jobs.item WHERE job = $id"),
		'succeeded failed succeeded', 'each for itself');
	is($node->sql("SELECT reason, count FROM jobs.failures($id)"), 'invalid email address|1', 'with the reason');
	is($node->job($stranger, 'state'), 'queued', 'and none of an owner who is not named');
	$example->kill_kill;
}
SKIP:
{
	skip 'Node or its module pg is missing (Debian: node-pg; else JOBS_NODE_MODULES)', 14
	  unless has('node', '-e', 'require("pg")');
	try_example('node', "$top/examples/worker/worker.js");
}

$node->log_ok;
done_testing();
