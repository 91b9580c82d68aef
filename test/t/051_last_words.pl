# What a worker leaves: for its next job nothing of the last one, in the log
# nothing of jobs that it has long finished, and in its job's row a reason that
# is valid text.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main', conf => "jobs.max_workers = 1\n");

$node->sql(q{CREATE ROLE mallory LOGIN});

# One worker, two tenants of a role (P24 and P25 of the list of attacks).
$node->sql(q{CREATE TABLE docs (owner name, doc text); INSERT INTO docs VALUES ('mallory', 'hers'), ('bob', 'his');
	CREATE TABLE found (pid integer, what text);
	ALTER TABLE docs ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON docs USING (true);
	GRANT ALL ON docs, found TO mallory; CREATE ROLE team; GRANT team TO mallory; GRANT CREATE ON SCHEMA public TO mallory});

sub job_of_tenant
{
	my ($tenant, $command) = @_;
	my $id = $node->safe_psql('postgres', qq{SET jobs.tenant = '$tenant'; SELECT jobs.run(\$job\$$command\$job\$)},
		extra_params => [ '-U', 'mallory' ]) =~ s/.*\n//sr;

	return $node->wait_job($id);
}

my $look = q{INSERT INTO found SELECT pg_backend_pid(), concat_ws('|', current_user, session_user, docs(), coalesce(current_setting('app.secret', true), ''),
	coalesce(to_regclass('left_over')::text, '-'), coalesce(to_regproc('pg_temp.left_over')::text, '-'), (SELECT count(*) FROM pg_prepared_statements),
	(SELECT count(*) FROM pg_cursors), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()), current_setting('work_mem'),
	current_setting('transaction_isolation'), current_setting('jobs.tenant'), current_setting('search_path'))};
is( job_of_tenant('acme', q{CREATE FUNCTION docs() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT string_agg(doc, '','' ORDER BY doc) FROM docs); END';
	SELECT docs(); SELECT docs(); } . $look), 'succeeded', 'one job');
is( job_of_tenant('acme', q{SET app.secret = 'acme''s'; CREATE TEMP TABLE left_over AS SELECT 1; CREATE FUNCTION pg_temp.left_over() RETURNS text LANGUAGE sql AS 'SELECT 1';
	PREPARE left_over AS SELECT 1; DECLARE left_over CURSOR WITH HOLD FOR SELECT 1; SELECT pg_advisory_lock(4711); SET work_mem = '77MB';
	SET default_transaction_isolation = 'serializable'; SET search_path = pg_temp; SET ROLE team}), 'succeeded', 'leaves much');
$node->sql('DROP POLICY p ON docs; CREATE POLICY p ON docs USING (owner = current_user)');
is(job_of_tenant('other', $look), 'succeeded', 'another job');
is($node->sql('SELECT count(DISTINCT pid) FROM found'), '1', 'in the same session');
is($node->sql('SELECT what FROM found'), <<FOUND =~ s/\n\z//r, 'finds nothing of it, and the policies that hold now');
mallory|mallory|hers,his||-|-|0|0|0|4MB|read committed|acme|"\$user", public
mallory|mallory|hers||-|-|0|0|0|4MB|read committed|other|"\$user", public
FOUND

# An idle worker that is terminated tells of no statement; it has none.
my $job = $node->sql(q{SELECT jobs.run('SELECT 1 / length(''''), ''the secret of the job''')});
is($node->wait_job($job), 'failed', 'a job fails');
like($node->log_since(0), qr/the secret of the job/, 'the log has its statement');
my ($pid) = $node->pids('worker');
$node->poll("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
my $from = $node->log_length;
$node->sql("SELECT pg_terminate_backend($pid)");
$node->wait_gone($pid);
$node->poll('SELECT true');
like($node->log_since($from), qr/FATAL:  terminating background worker/, 'its idle worker is terminated');
unlike($node->log_since($from), qr/STATEMENT/, 'which logs no statement');

# The end of a job can't be written, and its error is longer than there is room.
$job = $node->safe_psql('postgres',
	q{ALTER ROLE mallory SET lock_timeout = '100 ms'; SELECT jobs.run('SELECT pg_advisory_lock(1); DO $$ BEGIN RAISE ''xy%'', repeat(''ä'', 400); END $$', max_attempts => 1)},
	extra_params => [ '-U', 'mallory' ]) =~ s/.*\n//sr;
is($node->wait_job($job), 'failed', 'a job with a long error');
is($node->job($job, 'length(error_message)'), '402', 'which its row has');
my ($holder, $admin) = map { $node->background_psql('postgres') } 1 .. 2;
$holder->query_safe('SELECT pg_advisory_lock(1)');
$job = $node->safe_psql('postgres',
	q{SELECT jobs.run('SET lock_timeout = 0; SELECT pg_advisory_lock(1); DO $$ BEGIN RAISE ''xy%'', repeat(''ä'', 400); END $$')},
	extra_params => [ '-U', 'mallory' ]);
$pid = $node->wait_running($job);
$admin->query_safe('BEGIN; LOCK TABLE jobs.history IN SHARE MODE');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
$node->wait_gone($pid);
$admin->query_safe('COMMIT');
is($node->wait_job($job), 'failed', 'the same where its row can not be written at once');
is($node->job($job, q{error_message = 'xy' || repeat('ä', 126)}), 't', 'has as much of it as there is room for');
is($node->job($job, q{length(convert_to(error_message, 'LATIN1'))}), '128', 'in valid characters');

$_->quit for $holder, $admin;
$node->log_ok;
$node->stop;
done_testing;
