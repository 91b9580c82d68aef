# What one role's open transaction or short settings must not do to others:
# nobody's locked rows stop the scheduler, and no job is forgotten.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main', conf => "jobs.max_workers = 4\n");

$node->sql('CREATE ROLE mallory LOGIN; CREATE ROLE bob LOGIN; CREATE TABLE effect (job text)');
$node->sql('GRANT ALL ON effect TO PUBLIC');

# A session of a role that stays open.
sub session_of
{
	my ($role) = @_;

	return $node->background_psql('postgres', extra_params => [ '-U', $role ]);
}

# Runs one SQL command in a session of its own and returns its result.
sub as
{
	my ($role, $command) = @_;

	return $node->safe_psql('postgres', $command, extra_params => [ '-U', $role ]);
}

# Whether another role's job still starts and ends.
sub bob_is_served
{
	my ($name) = @_;
	my $id = as('bob', q{SELECT jobs.run('SELECT 1')});

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(as('bob', "SELECT jobs.wait($id, '10 s')"), 'succeeded', "bob is served $name");
}

my $mallory = session_of('mallory');

# Her transaction deletes a job whose file has just been downloaded.
my $export = as('mallory', q{SELECT jobs.export('SELECT 1')});
is(as('mallory', "SELECT jobs.wait($export)"), 'succeeded', 'an export');
$mallory->query_safe("BEGIN; SELECT jobs.delete($export)");
is(as('mallory', "SELECT count(*) FROM jobs.download($export)"), '1', 'is downloaded while it is being deleted');
bob_is_served('while the file is locked');
$mallory->query_safe('ROLLBACK');

# Her transaction takes back the tokens of a file that expires.
$export = as('mallory', q{SELECT jobs.export('SELECT 1', expires_in => '1 s')});
is(as('mallory', "SELECT jobs.wait($export)"), 'succeeded', 'an export that expires soon');
as('mallory', "SELECT jobs.share($export)");
$mallory->query_safe("BEGIN; SELECT jobs.unshare($export)");
$node->poll("SELECT expires_at < now() FROM jobs.artifact WHERE job = $export");
# A reload makes the scheduler look for what has expired.
$node->reload;
bob_is_served('before the file that expires');
bob_is_served('while the tokens of a file that has expired are locked');
$mallory->query_safe('COMMIT');
$node->reload;
ok( $node->poll("SELECT NOT EXISTS (SELECT FROM jobs.chunk WHERE job = $export)"),
	'and once they are not, the bytes of the file go');

# The same where the whole job goes, which its file does not hold for long.
$export = as('mallory', q{SELECT jobs.export('SELECT 1', expires_in => '3 seconds')});
is(as('mallory', "SELECT jobs.wait($export)"), 'succeeded', 'an export that history lets go of');
my $other = as('mallory', q{SELECT jobs.run('SELECT 1')});
as('mallory', "SELECT jobs.wait($other)");
as('mallory', "SELECT jobs.share($export)");
$mallory->query_safe("BEGIN; SELECT jobs.unshare($export)");
$node->sql(q{ALTER SYSTEM SET jobs.history_retention = 0});
$node->reload;
ok($node->poll("SELECT NOT EXISTS (SELECT FROM jobs.history WHERE id = $other)"), 'another job goes');
$node->sql(q{ALTER SYSTEM SET jobs.history_retention = '1h'});
$node->reload;
bob_is_served('while the tokens of a job that shall go are locked');
$mallory->query_safe('COMMIT');
$node->sql(q{ALTER SYSTEM SET jobs.history_retention = 0});
$node->reload;
ok($node->poll("SELECT NOT EXISTS (SELECT FROM jobs.history WHERE id = $export)"), 'and once they are not, it goes');
$node->sql(q{ALTER SYSTEM RESET jobs.history_retention});
$node->reload;

# Her transaction previews the upload of a preview that history lets go of once more.
$node->sql('CREATE TABLE target (a text); GRANT ALL ON target TO mallory');
my $upload = as('mallory', q{SELECT jobs.upload('file.csv')});
as('mallory', "SELECT jobs.upload_append($upload, 'a\nb\n')");
my $preview = as('mallory', "SELECT jobs.import_preview('target', upload => $upload)");
is(as('mallory', "SELECT jobs.wait($preview)"), 'succeeded', 'a preview');
$mallory->query_safe("BEGIN; SELECT jobs.import_preview('target', upload => $upload)");
$other = as('mallory', q{SELECT jobs.run('SELECT 1')});
as('mallory', "SELECT jobs.wait($other)");
$node->sql(q{ALTER SYSTEM SET jobs.history_retention = 0});
$node->reload;
ok($node->poll("SELECT NOT EXISTS (SELECT FROM jobs.history WHERE id = $other)"), 'another job goes while its upload is locked');
$node->sql(q{ALTER SYSTEM SET jobs.history_retention = '1h'});
$node->reload;
bob_is_served('while the upload of a job that shall go is locked');
$mallory->query_safe('ROLLBACK');
$node->sql(q{ALTER SYSTEM SET jobs.history_retention = 0});
$node->reload;
ok($node->poll("SELECT NOT EXISTS (SELECT FROM jobs.upload_entry WHERE id = $upload)"), 'and once it is not, it goes with its preview');
$node->sql(q{ALTER SYSTEM RESET jobs.history_retention});
$node->reload;

# What a job waits for ends while the job is locked; the lock goes without a change.
my $holder = session_of('bob');
$holder->query_safe('SELECT pg_advisory_lock(2)');
my $first = as('mallory', q{SELECT jobs.run('SELECT pg_advisory_lock(2)')});
$node->wait_running($first);
my $second = as('mallory', qq{SELECT jobs.run('SELECT 2', after => ARRAY[$first])});
$mallory->query_safe("BEGIN; SELECT jobs.cancel($second)");
$holder->query_safe('SELECT pg_advisory_unlock(2)');
is($node->wait_job($first), 'succeeded', 'the first of two jobs');
bob_is_served('while the second is locked');
$mallory->query_safe('ROLLBACK');
is(as('mallory', "SELECT jobs.wait($second, '10 s')"), 'succeeded', 'the second goes on after that');

# The same where the first fails, so that the second is to be cancelled.
$holder->query_safe('SELECT pg_advisory_lock(2)');
$first = as('mallory', q{SELECT jobs.run('SELECT pg_advisory_lock(2); SELECT 1 / 0')});
$node->wait_running($first);
$second = as('mallory', qq{SELECT jobs.run('SELECT 2', after => ARRAY[$first])});
$mallory->query_safe("BEGIN; SELECT jobs.cancel($second)");
$holder->query_safe('SELECT pg_advisory_unlock(2)');
is($node->wait_job($first), 'failed', 'the first of two jobs fails');
bob_is_served('while the second is locked again');
$mallory->query_safe('ROLLBACK');
is(as('mallory', "SELECT jobs.wait($second, '10 s')"), 'cancelled', 'the second is cancelled after that');
$holder->query_safe('SELECT pg_advisory_unlock_all()');

# A worker dies while somebody holds the row of its job.
my $lost = as('mallory', q{SELECT jobs.run('SELECT pg_sleep(600)')});
my $pid = $node->wait_running($lost);
my $admin = $node->background_psql('postgres');
$admin->query_safe("BEGIN; SELECT id FROM jobs.live WHERE id = $lost FOR UPDATE");
$node->sql("SELECT pg_terminate_backend($pid)");
$node->wait_gone($pid);
bob_is_served('while the row of a job that has lost its worker is locked');
bob_is_served('and again');
$admin->query_safe('ROLLBACK');
is($node->wait_job($lost), 'failed', 'that job is settled after that');
is($node->job($lost, 'error_code, error_message'), '57P01|terminated by administrator', 'with the reason');

# The scheduler is in the middle of a look, which takes long: readers see what it has not seen yet.
ok($node->poll('jobs._live_floor() = 9223372036854775807'), 'the scheduler knows of no live job');
$admin->query_safe('BEGIN; LOCK TABLE jobs.offer');
my ($due, $at) = split /\|/, $mallory->query_safe(q{BEGIN; SELECT jobs.submit('due', run_at => now() + '100 ms'), now()});
$node->poll("clock_timestamp() > timestamptz '$at' + '100 ms'");
$mallory->query_safe('COMMIT');
$at = $node->sql('SELECT clock_timestamp()');
$node->poll(q{EXISTS (SELECT FROM pg_locks WHERE relation = 'jobs.offer'::regclass AND NOT granted)});
# For two seconds the commit itself would have shown it.
$node->poll("clock_timestamp() > timestamptz '$at' + '3 s'");
is($node->sql("SELECT state FROM jobs.job WHERE id = $due"), 'queued', 'a job is seen before the scheduler has looked at it');
$admin->query_safe('ROLLBACK');
$node->sql("SELECT jobs.cancel($due)");

# A role's settings change again and again.  Each time its jobs need a new
# session, and none is forgotten between the old one and the new.
my @ids;
for my $i (1 .. 25)
{
	$node->sql("ALTER ROLE mallory SET work_mem = '${i}MB'");
	push @ids, as('mallory', q{SELECT jobs.run('INSERT INTO effect SELECT ''mallory''') FROM generate_series(1, 3)});
}
ok($node->poll(q{SELECT count(*) = 75 FROM effect}), 'no job is forgotten between two sessions')
  or diag $node->sql(q{SELECT id, state, waiting_for FROM jobs.job WHERE state NOT IN ('succeeded', 'failed')});

# A job that waits for very many others, which end one after the other.
as('mallory', q{SELECT jobs.pause('many')});
is(as('mallory', q{SELECT count(jobs.run('SELECT 1', queue => 'many')) FROM generate_series(1, 5000)}), '5000', 'many jobs');
my $last = as('mallory', q{SELECT jobs.run('SELECT 1', after => (SELECT array_agg(id) FROM jobs.job WHERE queue = 'many'))});
as('mallory', q{SELECT jobs.resume('many')});
for my $i (1 .. 3)
{
	my $id = as('bob', q{SELECT jobs.run('SELECT 1')});

	is(as('bob', "SELECT jobs.wait($id, '1 s')"), 'succeeded', 'bob is served while they end');
}
is($node->wait_job($last), 'succeeded', 'and so is who waits for all of them');
is($node->sql('SELECT count(*) FROM jobs.dependency'), '0', 'nothing is left of that');

# One of them fails.
as('mallory', q{SELECT jobs.pause('many')});
is( as('mallory', q{SELECT count(jobs.run(CASE i WHEN 500 THEN 'SELECT 1 / 0' ELSE 'SELECT 1' END, queue => 'many', title => i::text)) FROM generate_series(1, 1000) i}),
	'1000', 'some jobs');
$last = as('mallory', q{SELECT jobs.run('SELECT 1', after => (SELECT array_agg(id) FROM jobs.job WHERE queue = 'many' AND state NOT IN ('succeeded', 'failed')))});
as('mallory', q{SELECT jobs.resume('many')});
is($node->wait_job($last), 'cancelled', 'who waits for one that fails is cancelled');
is($node->job($last, 'error_message'), 'the job "500" that it waited for has failed', 'and says why');
is($node->sql('SELECT count(*) FROM jobs.dependency'), '0', 'nothing is left of that');

# Tenants come and go, and the scheduler does not grow with them.
my @memory;
for my $round (1 .. 3)
{
	my $id = as('mallory', qq{SELECT max(id) FROM (SELECT set_config('jobs.tenant', '$round-' || i, false), jobs.run('SELECT 1') AS id FROM generate_series(1, 5000) i) x});

	is($node->wait_job($id), 'succeeded', 'jobs of 5,000 tenants');
	$node->wait_all;
	push @memory, $node->memory_of($node->wait_process('scheduler', 'postgres'));
}
cmp_ok($memory[2] - $memory[0], '<', 2000, 'the scheduler has not grown by 2 MB (it had ' . join(', ', @memory) . ' kB)');

$_->quit for $mallory, $holder, $admin;
$node->log_ok;
$node->stop;
done_testing;
