# What other sessions do between a preview and its import, and in the middle of one.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main', conf => "autovacuum = off\n");

$node->add_gate;

sub preview_of
{
	my ($table, $content, $options) = @_;
	my $id = $node->sql(qq{SELECT jobs.import_preview('$table', content => E'$content', options => '} . ($options // '{}') . q{')});

	is($node->wait_job($id), 'succeeded', "a preview of $table");
	return $id;
}

sub counts
{
	my ($id) = @_;

	return $node->job($id, q{concat_ws(' ', state, error_code, result ->> 'inserted', result ->> 'updated', result ->> 'fell_out')});
}

# Whether a job's worker waits for a lock that somebody has.
sub wait_locked
{
	my ($id) = @_;

	return $node->poll("SELECT EXISTS (SELECT FROM jobs.progress p JOIN pg_stat_activity a USING (pid) WHERE p.id = $id AND a.wait_event_type = 'Lock')");
}

# ----------------------------------------------------------------------------
# Rows that others change while an import wants to update them
# ----------------------------------------------------------------------------

$node->sql(q{CREATE TABLE part (id int, a text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
	CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
	CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (100) TO (200);
	INSERT INTO part VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four')});
my $preview = preview_of('part', 'id,a\n1,uno\n2,due\n3,tre\n4,quattro\n', '{"on_conflict": "update"}');
my $other = $node->background_psql('postgres');
$other->query_safe(q{BEGIN; UPDATE part SET id = 101 WHERE id = 1; UPDATE part SET a = 'changed' WHERE id = 2;
	UPDATE part SET id = 30 WHERE id = 3; DELETE FROM part WHERE id = 4});
my $import = $node->sql("SELECT jobs.import($preview)");
ok(wait_locked($import), 'an import waits for the transaction that changes its rows');
$other->query_safe('COMMIT');
is($node->wait_job($import), 'succeeded', 'and goes on after it');
is(counts($import), 'succeeded 0 1 3', 'what has moved to another partition, has another key or has gone falls out alone');
is($node->sql(q{SELECT string_agg(id || ' ' || a, ', ' ORDER BY id) FROM part}), '2 due, 30 three, 101 one', 'what was only changed is updated');
is($node->sql("SELECT deleted || ' ' || restored || ' ' || kept FROM jobs.undo_import($import)"), '0 1 0', 'and restored');
is($node->sql('SELECT a FROM part WHERE id = 2'), 'changed', 'to what it was then');

# ----------------------------------------------------------------------------
# One preview, two imports
# ----------------------------------------------------------------------------

$node->sql('CREATE TABLE once (a int)');
$preview = preview_of('once', 'a\n1\n');
my $first = $node->sql("SELECT jobs.import($preview, run_at => 'tomorrow')");
$node->sql("SELECT jobs.cancel($first)");
$other->query_safe("BEGIN; SELECT jobs.import($preview)");
like($node->error("SET lock_timeout = '200 ms'; SELECT jobs.retry($first)"), qr/55P03/,
	'a cancelled import cannot be retried while somebody submits another of its preview');
$other->query_safe('COMMIT');
like($node->error("SELECT jobs.retry($first)"), qr/55000: preview \d+ is imported by job \d+\n.*HINT: .*preview it again/s, 'nor afterwards');
ok($node->wait_all, 'the other one ends');
is($node->sql('SELECT count(*) FROM once'), '1', 'and the file is in the table once');
$preview = preview_of('once', 'a\n2\n');
$first = $node->sql("SELECT jobs.import($preview, run_at => 'tomorrow')");
$node->sql("SELECT jobs.cancel($first)");
$other->query_safe("BEGIN; SELECT jobs.retry($first)");
like($node->error("SET lock_timeout = '200 ms'; SELECT jobs.import($preview)"), qr/55P03/, 'nor is another submitted while one is retried');
$other->query_safe('COMMIT');
like($node->error("SELECT jobs.import($preview)"), qr/55000: preview \d+ (has been|is being) imported/, 'nor afterwards');
ok($node->wait_all, 'it ends');
is($node->sql('SELECT count(*) FROM once WHERE a = 2'), '1', 'and that file is there once, too');

# ----------------------------------------------------------------------------
# Taking back in a transaction that is older than the import
# ----------------------------------------------------------------------------

$preview = preview_of('once', 'a\n3\n');
$other->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM once');
$import = $node->sql("SELECT jobs.import($preview)");
is($node->wait_job($import), 'succeeded', 'an import that an older transaction does not see');
is( $other->query_safe(qq{SAVEPOINT s;
	DO \$\$BEGIN PERFORM jobs.undo_import($import); EXCEPTION WHEN OTHERS THEN PERFORM set_config('test.error', SQLSTATE, false); END\$\$;
	SHOW test.error}),
	'40001', 'cannot be taken back there');
$other->query_safe('COMMIT');
is($node->sql("SELECT deleted, kept FROM jobs.undo_import($import)"), '1|0', 'but afterwards');

# ----------------------------------------------------------------------------
# Many rows that fall out
# ----------------------------------------------------------------------------

$node->sql(q{CREATE TABLE many (id int PRIMARY KEY, a int); INSERT INTO many SELECT i, 0 FROM generate_series(1, 300000) i;
	CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM wait_to_go(); RETURN NULL; END$$;
	CREATE TRIGGER hold AFTER INSERT ON many EXECUTE FUNCTION hold()});
$preview = $node->sql(q{SELECT jobs.import_preview('many', content => E'id,a\n' || string_agg(i || ',1', E'\n'), options => '{"on_conflict": "update"}')
	FROM generate_series(1, 300000) i});
is($node->wait_job($preview), 'succeeded', 'a preview of many updates');
$node->sql('DELETE FROM many');
$import = $node->sql("SELECT jobs.import($preview)");
my $pid = $node->wait_running($import);
$node->poll("SELECT processed = 300000 FROM jobs.progress WHERE id = $import");
SKIP:
{
	skip 'memory under a sanitizer', 1 if $node->has_sanitizer;
	my $memory = $node->memory_of($pid);

	cmp_ok($memory, '<', 64 * 1024, "memory of a worker with 300,000 rows that have fallen out ($memory kB)");
}
$node->open_gate;
is($node->wait_job($import), 'succeeded', 'their import ends');
is(counts($import), 'succeeded 0 0 300000', 'with a count of all');
is($node->sql("SELECT count(*), count(DISTINCT message) FROM jobs.import_issue WHERE job = $import"), '10000|1', 'and words for the first');

$other->quit;
$node->log_ok;
$node->stop;
done_testing();
