# A database that takes no connections costs one look every few seconds, and no
# line in the log.

use strict;
use warnings;

use JobsTest;
use Test::More;

my $node = JobsTest->create('main');

# ----------------------------------------------------------------------------
# What an interrupted DROP DATABASE leaves
# ----------------------------------------------------------------------------

$node->sql('CREATE DATABASE half');
$node->sql(q{UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half'});
my $from = $node->log_length;
$node->restart;
my $job = $node->sql(q{SELECT jobs.run('SELECT 1')});
is($node->wait_job($job), 'succeeded', 'a job runs beside an invalid database');
unlike($node->log_since($from), qr/cannot connect to invalid database/, 'which nobody tries to connect to');
$node->sql('DROP DATABASE half');

# ----------------------------------------------------------------------------
# ALLOW_CONNECTIONS
# ----------------------------------------------------------------------------

$node->sql('CREATE DATABASE closed');
$node->sql('CREATE EXTENSION jobs', 'closed');
$node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')}, 'closed'), 'closed');
my $scheduler = $node->wait_process('scheduler', 'closed');

# Sessions that are there may stay.
my $session = $node->background_psql('closed');
$session->query_safe('SELECT 1');
$node->sql('ALTER DATABASE closed ALLOW_CONNECTIONS false');
kill 'TERM', $scheduler;
$node->wait_gone($scheduler);
$from = $node->log_length;
$job = $session->query_safe(q{SELECT jobs.run('SELECT 1')});
is($session->query_safe("SELECT jobs.wait($job, '3 s')"), 'queued', 'a job waits while its database is closed');
$session->quit;
$node->sql('ALTER DATABASE closed ALLOW_CONNECTIONS true');
is($node->wait_job($job, 'closed'), 'succeeded', 'and runs once it is open again');
unlike($node->log_since($from), qr/not currently accepting connections/, 'no scheduler was started for nothing');

# Those that are closed while the launcher begins anew do not keep the others from being looked into.
$node->sql("CREATE DATABASE $_") foreach 'closed2', 'behind';
$node->sql('CREATE EXTENSION jobs', $_) foreach 'closed2', 'behind';
for my $dbname ('closed', 'closed2')
{
	$node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')}, $dbname), $dbname);
	$scheduler = $node->wait_process('scheduler', $dbname);
	$node->sql("ALTER DATABASE $dbname ALLOW_CONNECTIONS false");
	kill 'TERM', $scheduler;
	$node->wait_gone($scheduler);
}
is(join(' ', $node->pids('scheduler', 'behind')), '', 'nobody has looked into a new database');
kill 'TERM', $node->wait_process('launcher');
ok($node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'jobs scheduler' AND datname = 'behind')}),
	'a new launcher does, behind two that are closed');

$node->log_ok;
$node->stop;
done_testing();
