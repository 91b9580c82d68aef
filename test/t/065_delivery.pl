# Messages about the ends of jobs, seen by couriers: told of by NOTIFY, raced for,
# killed with one in the hand; jobs that end by a crash; the server killed and
# restarted, copied, and promoted.

use strict;
use warnings;

use JSON::PP;
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = JobsTest->create('main', init => { allows_streaming => 1 }, conf => <<CONF);
jobs.mail_domains = 'example.com'
jobs.webhook_hosts = 'hooks.example.com'
jobs.link_template = 'https://app.example.com/files/{token}'
jobs.max_deliveries_per_role = 0
jobs.worker_idle_timeout = '1s'
CONF

my $mail = q{'{"email": "ada@example.com"}'};
my $both = q{'{"email": "ada@example.com", "webhook": "https://hooks.example.com/"}'};

$node->sql(<<'SQL');
CREATE ROLE courier LOGIN;
GRANT EXECUTE ON FUNCTION jobs.claim_deliveries, jobs.finish_delivery, jobs.fail_delivery, jobs.next_delivery TO courier;
SQL
$node->add_gate;

sub courier
{
	my $session = $node->background_psql('postgres', extra_params => [ '-U', 'courier' ]);

	$session->query_safe('LISTEN jobs_delivery');
	return $session;
}

# What each session has been told and the test has not asked for yet.
my %told;

# The answer to a query, without the messages that have come with it.
sub ask
{
	my ($session, $query) = @_;
	my $answer = $session->query_safe($query);

	$told{$session} .= "$1\n" while $answer =~ s/\n?(Asynchronous notification .*)//;
	return $answer;
}

# Waits until a session has been told of something.
sub hear
{
	my ($session, $pattern, $what) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	while (time < $deadline)
	{
		ask($session, 'SELECT');
		if (($told{$session} // '') =~ $pattern)
		{
			$told{$session} = '';
			return pass($what);
		}
		usleep(5_000);
	}
	fail($what);
	diag "not heard: $pattern\n$told{$session}";
	return;
}

# ----------------------------------------------------------------------------
# What couriers hear
# ----------------------------------------------------------------------------

my $courier = courier();
my $id = $node->sql("SELECT jobs.run('SELECT 1', title => 'told', notify => $mail)");
hear($courier, qr/"jobs_delivery" with payload "email"/, 'a courier is told of a message');
is(ask($courier, q{SELECT subject FROM jobs.claim_deliveries('email')}), 'told has finished: 1 row processed', 'and has it');
is(ask($courier, 'SELECT count(*) FROM jobs.job'), '0', 'it does not see the job');
is(ask($courier, 'SELECT count(*) FROM jobs.delivery'), '0', 'nor the delivery');
$id = $node->sql("SELECT jobs.cancel(jobs.run('SELECT 1', run_at => 'tomorrow', notify => '{\"webhook\": \"https://hooks.example.com/\"}'))");
hear($courier, qr/"jobs_delivery" with payload "webhook"/, 'of one about a job that was cancelled as it was submitted');
$id = $node->sql("SELECT jobs.submit('fleet', max_attempts => 1, notify => $mail)");
$node->sql("SELECT jobs.fail(job, 'no') FROM jobs.claim('fleet')");
hear($courier, qr/"jobs_delivery" with payload "email"/, 'of one about a job of a client');
$id = $node->sql("SELECT jobs.submit('fleet', max_attempts => 1, notify => $mail)");
$node->sql("SELECT FROM jobs.claim('fleet', lease => '1 ms')");
hear($courier, qr/"jobs_delivery" with payload "email"/, 'of one about a lease that ran out');

# ----------------------------------------------------------------------------
# A database in another encoding
# ----------------------------------------------------------------------------

# Couriers read UTF-8, in which WIN1252 has no byte 81.
$node->sql(q{CREATE DATABASE west ENCODING 'WIN1252' LOCALE 'C' TEMPLATE template0});
$node->sql('CREATE EXTENSION jobs', 'west');
for my $title (q('caf' || chr(233) || ' ' || chr(129) || '!'), q('another'))
{
	$id = $node->sql("SELECT jobs.run('SELECT 1', title => $title, notify => $both)", 'west');
	is($node->sql("SELECT jobs.wait($id)", 'west'), 'succeeded', 'a job with a title in WIN1252');
}
is($node->sql(q{SET client_encoding = 'UTF8'; SELECT string_agg(subject, ', ' ORDER BY job) FROM jobs.claim_deliveries('email')}, 'west'),
	"caf\xc3\xa9 ?! has finished: 1 row processed, another has finished: 1 row processed", 'does not keep couriers from its message and others');
is($node->sql(q{SET client_encoding = 'UTF8'; SELECT string_agg(payload::jsonb #>> '{data,title}', ', ' ORDER BY job) FROM jobs.claim_deliveries('webhook')}, 'west'),
	"caf\xc3\xa9 ?!, another", 'nor of webhooks');
$node->sql('DROP DATABASE west (FORCE)');

# One without an encoding takes any bytes; those of UTF-8 arrive, and others are no error.
$node->sql(q{CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0});
$node->sql('CREATE EXTENSION jobs', 'bytes');
for my $case (
	[ q{run('SELECT 1'}, q{E'caf\xc3\xa9 \xff\xe2\x80\xae\xf0\x9f\x92!\xc3'} ],
	[ q{run('SELECT 1'}, q{repeat(E'\xc3\xa9', 200)} ],
	[ q{run('DO $$ BEGIN RAISE EXCEPTION USING message = E''\xfe'' || repeat(E''\xc3\xa9'', 3000); END $$'}, q('error') ],
	[ q{bulk('SELECT ($1 #>> ''{}'')::int', E'["\xff"]'}, q('item') ],
	[ q{run('SELECT 1'}, q('another') ])
{
	my ($command, $title) = @$case;

	$id = $node->sql("SELECT jobs.$command, title => $title, notify => $both)", 'bytes');
	$node->sql("SELECT jobs.wait($id)", 'bytes');
}
my @subjects = split /\n/, $node->sql(q{SET client_encoding = 'UTF8'; SELECT subject FROM jobs.claim_deliveries('email') ORDER BY job}, 'bytes');
is($subjects[0], "caf\xc3\xa9 ????!? has finished: 1 row processed", 'bytes of no character');
is($subjects[1], "\xc3\xa9" x 150 . '... has finished: 1 row processed', 'a title is cut between characters');
like($subjects[2], qr/^error has failed: \?(\xc3\xa9)+\.\.\.$/, 'so is an error');
is($subjects[4], 'another has finished: 1 row processed', 'none keeps couriers from others');
my @payloads = split /\n/, $node->sql(q{SET client_encoding = 'UTF8'; SELECT payload FROM jobs.claim_deliveries('webhook') ORDER BY job}, 'bytes');
is(scalar(grep { eval { decode_json($_) } } @payloads), 5, 'webhooks are JSON in UTF-8');
like(decode_json($payloads[0])->{data}{title}, qr/^caf\xe9 \?\x{202e}\?\?\?!\?$/, 'the title');
like(decode_json($payloads[3])->{data}{reasons}[0]{error_message}, qr/"\?"$/, 'the reason of an item');
like(decode_json($payloads[2])->{data}{error_message}, qr/^\?\xe9+\?$/, 'the error, which is cut');
$node->sql('DROP DATABASE bytes (FORCE)');

# ----------------------------------------------------------------------------
# Couriers that race
# ----------------------------------------------------------------------------

$node->sql(q{SELECT count(jobs.finish_delivery(delivery, attempt)) FROM jobs.claim_deliveries('email', 1000)});
$node->sql("SELECT count(jobs.run('SELECT 1', title => 'race', notify => $mail)) FROM generate_series(1, 300)");
$node->wait_all;
my @couriers = map { courier() } 1 .. 6;
my $race = q{SELECT jobs.finish_delivery(delivery, attempt) FROM jobs.claim_deliveries('email', 3)};

# All of them at once: each asks before any has answered.
for (1 .. 1000)
{
	$_->{stdin} .= "$race;\n\\echo done\n" for @couriers;
	$_->{run}->pump_nb for @couriers;
	last if $node->sql(q{SELECT count(*) FROM jobs.delivery WHERE state IN ('pending', 'claimed') AND channel = 'email'}) eq '0';
}
$_->quit for @couriers;
is($node->sql(q{SELECT state, attempts, count(*) FROM jobs.delivery WHERE subject ~ '^race' GROUP BY 1, 2}),
	'delivered|1|300', 'each message is delivered by one courier, once');
is($node->sql(q{SELECT count(*), count(DISTINCT delivery) FROM jobs.delivery_attempt a JOIN jobs.delivery d ON d.id = a.delivery WHERE subject ~ '^race'}),
	'300|300', 'and recorded once');

# ----------------------------------------------------------------------------
# A courier that dies
# ----------------------------------------------------------------------------

$id = $node->sql("SELECT jobs.export('SELECT 1', notify => $mail)");
$node->wait_job($id);
my $victim = courier();
my ($delivery, $attempt, $message) =
  split /\|/, ask($victim, q{SELECT delivery, attempt, message_id FROM jobs.claim_deliveries('email', lease => '2 s')});
ok(defined $message, 'a courier claims a message');
is(ask($courier, q{SELECT count(*) FROM jobs.claim_deliveries('email')}), '0', 'nobody else gets it');
is(ask($courier, q{SELECT jobs.next_delivery('email') - clock_timestamp() <= '2 s'}), 't', 'but hears when it can be had');
$victim->{run}->kill_kill;
ok($node->poll("EXISTS (SELECT FROM jobs.claim_deliveries('email') c WHERE c.delivery = $delivery AND c.message_id = '$message' AND c.attempt = 2)"),
	'it dies, and another has the message when the lease is over');
is(ask($courier, "SELECT jobs.finish_delivery($delivery, $attempt)"), 'f', 'an answer of the first comes too late');
is($node->sql("SELECT jobs.finish_delivery($delivery, 2, 'ok')"), 't', 'that of the second counts');
is($node->sql("SELECT string_agg(attempt || ' ' || outcome, ', ' ORDER BY attempt) FROM jobs.delivery_attempt WHERE delivery = $delivery"),
	'1 lapsed, 2 delivered', 'both are on record');

# In the middle of a transaction what it had claimed is free at once.
$id = $node->sql("SELECT jobs.run('SELECT 1', notify => $mail)");
$node->wait_job($id);
$victim = courier();
ask($victim, 'BEGIN');
is(ask($victim, q{SELECT count(*) FROM jobs.claim_deliveries('email', lease => '1 hour')}), '1', 'claimed in a transaction');
$victim->{run}->kill_kill;
ok($node->poll(q{EXISTS (SELECT FROM jobs.claim_deliveries('email') c WHERE c.attempt = 1 AND jobs.finish_delivery(c.delivery, c.attempt))}),
	'it dies, and the message is there as if nothing had been');

# ----------------------------------------------------------------------------
# Jobs that end by the death of a worker, or of the server
# ----------------------------------------------------------------------------

$id = $node->sql("SELECT jobs.run('SELECT wait_to_go()', title => 'killed', notify => $both)");
my $pid = $node->wait_running($id);
$node->sql("SELECT pg_terminate_backend($pid)");
is($node->wait_job($id), 'failed', 'a worker is terminated');
is($node->sql("SELECT string_agg(channel || ' ' || subject, ', ' ORDER BY channel) FROM jobs.delivery WHERE job = $id"),
	'email killed has failed: terminated by administrator, webhook killed has failed: terminated by administrator', 'and its messages written');

$courier->quit;
$id = $node->sql("SELECT jobs.run('SELECT wait_to_go()', title => 'crashed', notify => $both)");
$pid = $node->wait_running($id);
my $launcher = $node->wait_process('launcher');
kill 'KILL', $pid;
$node->wait_restarted($launcher);
is($node->wait_job($id), 'failed', 'a worker is killed');
is($node->sql("SELECT count(*), min(subject) FROM jobs.delivery WHERE job = $id"),
	'2|crashed has failed: the server was restarted while the job was running', 'and its messages written');

# The end of a job and its message are one: whenever the server is killed, there is
# one message for each job that has ended, and none for the others.
$node->sql("SELECT count(jobs.run('SELECT 1', title => 'swarm', notify => $both)) FROM generate_series(1, 2000)");
ok($node->poll(q{(SELECT count(*) FROM jobs.job WHERE title = 'swarm' AND state = 'succeeded') > 100}), 'jobs end');
$node->kill_postmaster;
$node->start;
my $unlike = q{SELECT count(*) FROM jobs.job j WHERE title = 'swarm'
	AND (SELECT count(*) FROM jobs.delivery d WHERE d.job = j.id) <> CASE WHEN finished_at IS NULL THEN 0 ELSE 2 END};
is($node->sql($unlike), '0', 'the server is killed: messages and ends of jobs agree');
ok($node->poll(q{NOT EXISTS (SELECT FROM jobs.job WHERE title = 'swarm' AND finished_at IS NULL)}), 'all end');
is($node->sql($unlike), '0', 'and agree then');

# What was sent of jobs that were deleted counts for an hour, and is forgotten then.
my @gone = map { $node->sql("SELECT jobs.run('SELECT 1', title => 'gone', notify => $mail)") } 1, 2;
$node->wait_job($_) for @gone;
$node->sql("UPDATE jobs.outbox SET attempts = 1, created_at = created_at - CASE WHEN job = $gone[0] THEN interval '61 min' ELSE '1 s' END
	WHERE job IN ($gone[0], $gone[1])");
my ($old, $young) = map { $node->sql("SELECT id FROM jobs.outbox WHERE job = $_") } @gone;
$node->sql("UPDATE jobs.outbox SET job = 0, due_at = NULL, state = 'failed' WHERE id = $old; SELECT jobs.delete($gone[1])");
is($node->sql("SELECT string_agg(concat_ws(' ', id, job), ', ' ORDER BY id) FROM jobs.outbox WHERE id IN ($old, $young)"), "$old 0, $young 0",
	'messages that have been sent count for the limit after their jobs were deleted');

# Deliveries survive, and couriers that come are told though nothing happens.
$courier = courier();
$node->restart;
$courier = courier();
is($node->sql(q{SELECT jobs.next_delivery('email') <= clock_timestamp() + interval '1 s'}), 't', 'they are due after a restart');
$node->sql(q{SELECT jobs.run('SELECT 1')});
ok($node->poll("NOT EXISTS (SELECT FROM jobs.outbox WHERE id = $old)"), 'what has been sent before the hour is forgotten');
is($node->sql("SELECT job FROM jobs.outbox WHERE id = $young"), '0', 'and counts within it');
is(ask($courier, q{SELECT count(*) FROM jobs.claim_deliveries('email', 1000)}), '1000', 'and can be claimed');
$node->append_conf('postgresql.conf', 'jobs.enabled = off');
$node->reload;
ok($node->poll(q{current_setting('jobs.enabled') = 'off'}), 'jobs.enabled is off');
is(ask($courier, q{SELECT count(*) FROM jobs.claim_deliveries('webhook')}), '0', 'nothing is to be had');
is(ask($courier, q{SELECT jobs.next_delivery('webhook') IS NULL}), 't', 'and nothing due');
$node->append_conf('postgresql.conf', 'jobs.enabled = on');
$node->reload;
hear($courier, qr/"jobs_delivery" with payload "webhook"/, 'it is on again');
is(ask($courier, q{SELECT count(jobs.finish_delivery(delivery, attempt)) FROM jobs.claim_deliveries('webhook', 1000)}), '1000', 'and all there');

# ----------------------------------------------------------------------------
# A prepared transaction
# ----------------------------------------------------------------------------

$node->append_conf('postgresql.conf', 'max_prepared_transactions = 5');
$courier->quit;
$node->restart;
$courier = courier();
$node->sql('SELECT count(jobs.finish_delivery(delivery, attempt)) FROM unnest(ARRAY[\'email\', \'webhook\']) c, jobs.claim_deliveries(c, 1000)') for 1 .. 5;
$id = $node->sql("SELECT jobs.run('SELECT 1', run_at => 'tomorrow', title => 'prepared', notify => $mail)");
$node->sql("BEGIN; SELECT jobs.cancel($id); PREPARE TRANSACTION 'p'");
is(ask($courier, q{SELECT count(*) FROM jobs.claim_deliveries('email')}), '0', 'not before it is committed');
$node->sql("COMMIT PREPARED 'p'");
hear($courier, qr/"jobs_delivery" with payload "email"/, 'a courier is told then');
is(ask($courier, q{SELECT subject FROM jobs.claim_deliveries('email')}), 'prepared was cancelled', 'and has it');

# ----------------------------------------------------------------------------
# Retention
# ----------------------------------------------------------------------------

$id = $node->sql("SELECT jobs.run('SELECT 1', title => 'kept', notify => $mail)");
my $other = $node->sql("SELECT jobs.run('SELECT 1', title => 'not kept')");
$node->wait_job($_) for $id, $other;
$node->append_conf('postgresql.conf', q{jobs.history_retention = '1s'});
$node->reload;
ok($node->poll("NOT EXISTS (SELECT FROM jobs.job WHERE id = $other)"), 'a job goes when its time is over');
is($node->job($id, 'state'), 'succeeded', 'one that has something to be delivered stays');
is($node->sql(q{SELECT count(jobs.finish_delivery(delivery, attempt)) FROM jobs.claim_deliveries('email') WHERE subject ~ '^kept'}), '1', 'until then');
ok($node->poll("NOT EXISTS (SELECT FROM jobs.job WHERE id = $id) OR jobs.run('SELECT 1') IS NULL"), 'and goes after it');
is($node->sql("SELECT count(*) FROM jobs.outbox WHERE job = $id"), '0', 'with its message');
$node->append_conf('postgresql.conf', q{jobs.history_retention = '7d'});
$node->reload;
ok($node->poll(q{current_setting('jobs.history_retention') = '7d'}), 'jobs.history_retention is long again');

# ----------------------------------------------------------------------------
# Copies of the server
# ----------------------------------------------------------------------------

$id = $node->sql("SELECT jobs.run('SELECT 1', title => 'copied', notify => $mail)");
$node->wait_job($id);
$node->backup('copy');
my $standby = JobsTest->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay');
like($standby->error(q{SELECT jobs.claim_deliveries('email')}), qr/25006/, 'a standby delivers nothing');
is($standby->sql("SELECT state FROM jobs.delivery WHERE job = $id"), 'pending', 'and shows what is to be delivered');
$node->stop;
$standby->promote;
ok($standby->poll('NOT pg_is_in_recovery()'), 'it is promoted');
is($standby->sql(q{SELECT subject FROM jobs.claim_deliveries('email') WHERE subject ~ '^copied'}), 'copied has finished: 1 row processed', 'then it delivers');
$node->log_ok;
$standby->log_ok('nor in that of the standby');
done_testing();
