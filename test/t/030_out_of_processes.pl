# A server with few background workers: who has nothing to do gives way to who
# has, also in another database and long before jobs.worker_idle_timeout.

use strict;
use warnings;

use JobsTest;
use Test::More;
use Time::HiRes qw(time);

# One is the launcher's; a scheduler and a worker of one database need the rest.
my $node = JobsTest->create('main', conf => <<'CONF');
max_worker_processes = 3
jobs.worker_idle_timeout = '10min'
CONF
$node->sql("CREATE DATABASE $_"), $node->sql('CREATE EXTENSION jobs', $_) for qw(one two);
my $processes = q{FROM pg_stat_activity WHERE backend_type IN ('jobs scheduler', 'jobs worker')};

for my $db (qw(one two one two))
{
	my $from = time;
	my $job = $node->sql(q{SELECT jobs.run('SELECT 1')}, $db);

	is($node->wait_job($job, $db), 'succeeded', "a job in database $db");
	cmp_ok(time - $from, '<', 10, 'without waiting for others to get tired');
	$node->poll("SELECT count(*) = 2 AND bool_and(datname = '$db') $processes");
}

# Who works is left alone, and the other waits and says for what.
my $long = $node->sql(q{SELECT jobs.run('SELECT pg_sleep(600)')}, 'two');
my $pid = $node->wait_running($long, 'two');
my $other = $node->sql(q{SELECT jobs.run('SELECT 1')}, 'one');
ok($node->poll("SELECT waiting_for LIKE 'a background worker of the server%' FROM jobs.job WHERE id = $other", 'one'),
	'a job waits for a background worker');
is($node->sql("SELECT pid FROM jobs.progress WHERE id = $long", 'two'), $pid, 'while the work of others goes on');
my $from = time;
$node->sql("SELECT jobs.cancel($long)", 'two');
is($node->wait_job($other, 'one'), 'succeeded', 'and runs when it has ended');
cmp_ok(time - $from, '<', 10, 'soon');

done_testing();
