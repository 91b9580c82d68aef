# Two databases with the extension share a few workers; a third has none of it
# and costs nothing.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = JobsTest->create('main', bare => 1, conf => "jobs.max_workers = 2\n");

for my $dbname (qw(one two none))
{
	$node->sql("CREATE DATABASE $dbname");
	next if $dbname eq 'none';
	$node->sql('CREATE EXTENSION jobs; CREATE TABLE effect (job int)', $dbname);
	$node->add_gate($dbname);
}

# ----------------------------------------------------------------------------
# At the same time
# ----------------------------------------------------------------------------

# So that its jobs have numbers that the other has not had yet.
$node->sql(q{SELECT setval('jobs.job_id', 1000)}, 'one');

my $many = q{SELECT count(jobs.run(format('INSERT INTO effect VALUES (%s); SELECT pg_sleep(0.02)', g))) FROM generate_series(1, 50) g};
$node->sql($many, 'one');
$node->sql($many, 'two');
ok($node->wait_all($_), "all jobs of $_ have ended") foreach qw(one two);
is($node->sql('SELECT count(*), count(DISTINCT job) FROM effect', $_), '50|50', "each once in $_") foreach qw(one two);
is($node->sql('SELECT count(*) FROM jobs.job', $_), '50', "each database has its own ($_)") foreach qw(one two);
my %span = map { $_ => [ split /\|/, $node->sql('SELECT extract(epoch FROM min(finished_at)), extract(epoch FROM max(finished_at)) FROM jobs.job', $_) ] } qw(one two);
cmp_ok($span{two}[0], '<', $span{one}[1], 'the first of the second ended before the last of the first');

# ----------------------------------------------------------------------------
# One fills all workers
# ----------------------------------------------------------------------------

# With short jobs: the other gets its turn.
$node->sql(q{SELECT count(jobs.run('SELECT pg_sleep(0.1)')) FROM generate_series(1, 100)}, 'one');
$node->poll(q{(SELECT count(*) FROM jobs.progress WHERE state = 'running') = 2}, 'one');
my $from = time;
my $job = $node->sql(q{SELECT jobs.run('SELECT 1')}, 'two');
is($node->wait_job($job, 'two'), 'succeeded', 'a job of the other database has run');
cmp_ok(time - $from, '<', 2, 'soon');
isnt($node->sql(q{SELECT count(*) FROM jobs.job WHERE state NOT IN ('succeeded')}, 'one'), '0', 'before all those of the first');
$node->sql(q{SELECT jobs.cancel(id) FROM jobs.job WHERE state NOT IN ('succeeded', 'cancelled')}, 'one');
ok($node->wait_all('one'), 'the rest is cancelled');

# With jobs that do not end: the other waits, and says for what.
my @long = split /\n/, $node->sql(q{SELECT jobs.run('SELECT wait_to_go()') FROM generate_series(1, 2)}, 'one');
$node->wait_running($_, 'one') foreach @long;
$job = $node->sql(q{SELECT jobs.run('SELECT 1')}, 'two');
is($node->sql("SELECT jobs.wait($job, '100 ms')", 'two'), 'queued', 'a job without a free worker does not start');
is($node->job($job, 'waiting_for', 'two'), 'a free worker (all 2 of jobs.max_workers are busy)', 'and says why');
is($node->sql("SELECT headline FROM jobs.panel WHERE id = $job", 'two'),
	'Queued · Waiting for a free worker (all 2 of jobs.max_workers are busy)', 'and in the panel');
$node->sql("SELECT jobs.cancel($long[0])", 'one');
$from = time;
is($node->wait_job($job, 'two'), 'succeeded', 'it runs when a worker has become free');
cmp_ok(time - $from, '<', 2, 'at once');

# Jobs of two databases have the same numbers.
$node->sql("SELECT setval('jobs.job_id', $long[1], false)", 'two');
my $same = $node->sql("SELECT jobs.run('SELECT wait_to_go()')", 'two');
is($same, $long[1], 'a job of each database has the same number');
$node->wait_running($same, 'two');
$node->sql("SELECT jobs.cancel($same)", 'two');
is($node->wait_job($same, 'two'), 'cancelled', 'one is cancelled');
is($node->job($long[1], 'state', 'one'), 'running', 'the other is not');
is($node->sql('SELECT count(*) FROM jobs.progress WHERE pid IS NOT NULL', 'two'), '0', 'nor is it seen in the other database');

# ----------------------------------------------------------------------------
# What happens in one does not disturb the other
# ----------------------------------------------------------------------------

my $holder = $node->background_psql('one');
$holder->query_safe('BEGIN; LOCK TABLE jobs.live, jobs.history');
is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')}, 'two'), 'two'), 'succeeded', 'a lock on the tables of one database does not hold up the other');
$holder->query_safe('COMMIT');
$holder->quit;

kill 'TERM', $node->wait_running($long[1], 'one');
is($node->wait_job($long[1], 'one'), 'failed', 'a worker of one is terminated');
is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')}, 'two'), 'two'), 'succeeded', 'jobs of the other run');

# ----------------------------------------------------------------------------
# Without the extension
# ----------------------------------------------------------------------------

my $processes = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'jobs %' AND datname IN ('none', 'postgres', 'template1')};
$node->restart;
$node->poll(q{(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'jobs scheduler' AND datname IN ('one', 'two')) = 2});
ok($node->poll("($processes) = 0"), 'databases without the extension have no process');
is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')}, $_), $_), 'succeeded', "jobs of $_ run after a restart") foreach qw(one two);
is($node->sql($processes), '0', 'nor have they one now');
is($node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'jobs launcher' AND datname IS NULL}), '1', 'the launcher is in no database');

$node->log_ok;
$node->stop;
done_testing();
