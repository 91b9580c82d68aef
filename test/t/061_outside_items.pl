# Items that clients do: clients are killed and slow, transactions are rolled
# back, the server crashes and restarts, and each item is done exactly once.

use strict;
use warnings;

use IPC::Run;
use POSIX ();
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $items = 20000;
my $rounds = 200;
my $node = JobsTest->create('main', conf => <<CONF);
jobs.worker_idle_timeout = '1s'
max_connections = 30
CONF

# The effect of an item and its answer are one transaction here, so that an item
# that was done twice would have two rows.
$node->sql(<<'SQL');
CREATE TABLE effect (job bigint, item_no bigint);
CREATE TABLE late (item_no bigint);
CREATE FUNCTION answer(job bigint, items bigint[], claim bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    bad bigint;
BEGIN
    FOREACH bad IN ARRAY items LOOP
        CONTINUE WHEN bad % 100 <> 0;
        PERFORM jobs.fail_item(job, bad, 'a hundred', claim => claim);
        INSERT INTO effect VALUES (job, bad);
        items := array_remove(items, bad);
    END LOOP;
    INSERT INTO effect SELECT job, unnest(items);
    PERFORM jobs.finish_items(job, items, claim => claim);
    RETURN 'done';
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    INSERT INTO late SELECT unnest(items);
    RETURN 'late';
END $$;
SQL

# Some claims are rolled back, some leases run out, some are given back.
my $script = PostgreSQL::Test::Utils::tempdir() . '/client.sql';
PostgreSQL::Test::Utils::append_to_file($script, <<'SQL');
\set n random(1, 40)
\set dice random(1, 20)
\if :dice = 1
BEGIN;
SELECT count(*) FROM jobs.claim_items(:job, :n);
ROLLBACK;
\endif
SELECT coalesce(array_agg(item_no)::text, '{}') AS items, coalesce(max(claim), 0) AS claim, count(*) AS got
  FROM jobs.claim_items(:job, :n, lease => '300 ms') \gset
\if :dice = 2
\sleep 400 ms
\elif :dice < 12
\sleep 10 ms
\endif
\if :got = 0
\sleep 20 ms
\elif :dice = 3
SELECT jobs.release(:job, claim => :claim);
\elif :dice = 4
SELECT answer(:job, (':items'::bigint[])[1:2], :claim);
\else
SELECT answer(:job, ':items', :claim);
\endif
SQL

sub start_client
{
	my ($job) = @_;
	my $output = '';

	return IPC::Run::start([ 'pgbench', '-n', '-c', 1, '-T', 600, '-f', $script, '-D', "job=$job", $node->connstr('postgres') ],
		'<', \undef, '>&', \$output);
}

my $job = $node->sql("SELECT jobs.bulk(NULL, (SELECT jsonb_agg(n) FROM generate_series(1, $items) AS n), workers => 4, queue => 'stress')");
is($node->job($job, 'state, waiting_for, total'), "queued|a client to claim its items|$items", 'submitted');

my @clients = map { start_client($job) } 1 .. 4;
my ($kills, $crashes) = (0, 0);
for my $round (1 .. $rounds)
{
	usleep(int(rand(100_000)));
	last if $node->job($job, 'state') !~ /^(queued|running)$/;
	if ($round % 20 == 0)
	{
		# As the kernel does when memory is short: the whole server goes through a crash.
		my $launcher = $node->wait_process('launcher');
		my $pid = $node->sql(q{SELECT min(pid) FROM pg_stat_activity WHERE query ~ '(claim_items|answer)\\(' AND pid <> pg_backend_pid()});

		next if $pid eq '';
		kill 'KILL', $pid;
		$node->wait_restarted($launcher);
		$crashes++;
		$_->kill_kill for @clients;
		@clients = map { start_client($job) } 1 .. 4;
		next;
	}
	my $victim = int(rand(4));
	$clients[$victim]->kill_kill;
	$kills++;
	$clients[$victim] = start_client($job);
}
cmp_ok($crashes, '>', 0, "clients were killed $kills times, the server $crashes times");
is($node->wait_job($job), 'partial', 'the job ends');
$_->kill_kill for @clients;
is($node->job($job, 'processed, succeeded, failed, skipped, total'),
	join('|', $items, $items - $items / 100, $items / 100, 0, $items), 'its counts are exact');
is($node->sql("SELECT count(*), count(DISTINCT item_no) FROM effect WHERE job = $job"), "$items|$items", 'each item was done once');
is($node->sql("SELECT sum(n) FROM jobs.outcome WHERE job = $job"), $items, 'and has one outcome');
cmp_ok($node->sql('SELECT count(*) FROM late'), '>', 0, 'some answers came late');
is($node->sql('SELECT (SELECT count(*) FROM jobs.item_lease), (SELECT count(*) FROM jobs.offer)'), '0|0', 'nothing is left');

# A lease that ends while others wait for it is told.
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN jobs');
$job = $node->sql(q{SELECT jobs.bulk(NULL, '[1, 2]', queue => 'told')});
is($node->sql("SELECT count(*) FROM jobs.claim_items($job, 2, '1 s')"), 2, 'a client takes all');
is($node->sql("SELECT count(*) FROM jobs.claim_items($job)"), 0, 'nothing for another');

# The first message is of the beginning, the second that there is something again.
my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
my $heard = '';
my $count = 0;
while (time < $deadline && $count < 2)
{
	$heard .= $listener->query_safe('SELECT') . "\n";
	$count = () = $heard =~ /"job": $job, "kind": "bulk", "state": "running"/g;
	usleep(5_000);
}
is($count, 2, 'when the lease ends, listeners are told');
ok($node->sql("SELECT lease_until <= now() FROM jobs.lease WHERE job = $job") eq 't', 'and not before');
my ($first, $claim) = split /\|/, $node->sql("SELECT min(item_no), min(claim) FROM jobs.claim_items($job, 2)");
is($first, 1, 'and get the items');

# A timeout beyond the end of time is none: it keeps nobody busy, nor from other jobs.
sub cpu_time
{
	my ($pid) = @_;
	my @words = split ' ', slurp_file("/proc/$pid/stat") =~ s/.*\)//sr;

	# Of user and system, in seconds.
	return ($words[11] + $words[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

my $endless = $node->sql(q{SELECT jobs.bulk(NULL, '[1, 2]', timeout => '1000000 years')});
is($node->sql("SELECT item_no FROM jobs.claim_items($endless)"), 1, 'an item of a job with a million years');
my $scheduler = $node->wait_process('scheduler', 'postgres');
is($node->job($endless, 'state'), 'running', 'runs');
my $used = cpu_time($scheduler);
my $timed = $node->sql(q{SELECT jobs.run('SELECT 1', run_at => now() + '1 s')});
is($node->sql("SELECT jobs.wait($timed, '10 s')"), 'succeeded', 'what has its time begins then');
cmp_ok(cpu_time($scheduler) - $used, '<', 0.2, 'and the scheduler has rested until then');
$node->sql("SELECT jobs.cancel($endless)");

# Counts of many jobs at once.
my $many = $node->sql(q{SELECT array_agg(jobs.bulk(NULL, '[1, 2, 3]', queue => 'many')) FROM generate_series(1, 200)});
$node->sql("SELECT count(*) FROM unnest('$many'::bigint[]) AS j, jobs.claim_items(j, 3)\\; SELECT jobs.finish_items(j, '{2}'), jobs.fail_item(j, 1, 'no') FROM unnest('$many'::bigint[]) AS j");
is($node->sql("SELECT count(*), sum(processed), sum(succeeded), sum(failed) FROM jobs.progress WHERE id = ANY ('$many')"),
	'200|400|200|200', 'counts of 200 jobs');
$node->sql("SELECT jobs.cancel(j) FROM unnest('$many'::bigint[]) AS j");

# A claim that is rolled back is told, for others have passed over the job meanwhile; with a savepoint, too.
sub heard
{
	my ($regex) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my $heard = '';

	while (time < $deadline && $heard !~ /$regex/)
	{
		$heard .= $listener->query_safe('SELECT') . "\n";
		usleep(5_000);
	}
	return $heard =~ /$regex/;
}

my $whole = $node->sql(q{SELECT jobs.submit('undone')});
ok(heard(qr/"job": $whole, "kind": "external", "state": "queued"/), 'a job is told');
my $client = $node->background_psql('postgres');
for my $undo ('ROLLBACK', 'ROLLBACK TO s; COMMIT')
{
	$client->query_safe('BEGIN; SAVEPOINT s');
	is($client->query_safe(q{SELECT job FROM jobs.claim('undone')}), $whole, 'claimed');
	is($node->sql(q{SELECT count(*) FROM jobs.claim('undone')}), '0', 'nobody else gets it');
	$client->query_safe($undo);
	ok(heard(qr/"job": $whole, "kind": "external", "state": "queued"/), "told after $undo");
}
my $other = $node->sql(q{SELECT jobs.bulk(NULL, '[1, 2]', queue => 'undone')});
ok(heard(qr/"job": $other, "kind": "bulk", "state": "queued"/), 'a bulk job is told');
$client->query_safe("BEGIN; SELECT count(*) FROM jobs.claim_items($other, 2); ROLLBACK");
ok(heard(qr/"job": $other, "kind": "bulk", "state": "queued"/), 'and after a rollback');

# So is all when jobs.enabled is on again, also where the scheduler has gone meanwhile.
$node->sql(q{ALTER SYSTEM SET jobs.enabled = off});
$node->reload;
ok($node->poll(q{SELECT count(*) = 0 FROM jobs.claimable('undone')}), 'nothing to be claimed');
ok($node->poll(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'jobs scheduler'}), 'the scheduler leaves');
$listener->query_safe('SELECT');
$node->sql(q{ALTER SYSTEM RESET jobs.enabled});
$node->reload;
ok(heard(qr/"job": $whole, "kind": "external", "state": "queued"/), 'told when jobs.enabled is on');
$node->sql("SELECT jobs.cancel($whole), jobs.cancel($other)");
$client->{run}->kill_kill;

# The server stops in between; the lease is there after it.
$node->restart;
$node->sql("SELECT jobs.finish_items($job, '{1}', claim => $claim)");
is($node->sql("SELECT processed, total, succeeded FROM jobs.progress WHERE id = $job"), '1|2|1', 'progress after a restart');
$node->stop('immediate');
$node->start;
$node->sql("SELECT jobs.finish_items($job, '{2}', claim => $claim)");
is($node->wait_job($job), 'succeeded', 'its client goes on');
$listener->{run}->kill_kill;

$node->log_ok;
done_testing();
