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

$node->log_ok;
$node->stop;
done_testing();
