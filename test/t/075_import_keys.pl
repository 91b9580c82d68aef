# What previews say of keys and other constraints: the same as INSERTs one by one, for
# random tables and files; and with more keys than fit into memory.
# JOBS_IMPORT_CASES is how many random cases there are of each kind.

use strict;
use warnings;

use FindBin;
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = JobsTest->create('main', conf => <<CONF);
max_wal_size = '4GB'
shared_buffers = '256MB'
maintenance_work_mem = '4MB'
CONF

# --- random tables and files -------------------------------------------------------
my $cases = $ENV{JOBS_IMPORT_CASES} || 100;

$node->sql(slurp_file("$FindBin::Bin/../import_cases.psql"));
for my $update ('false', 'true')
{
	my $n = $update eq 'true' ? int($cases / 2) : $cases;

	$node->sql("CALL d.run(1, $n, $update)");
	is($node->sql(q{SELECT seed || ' row ' || n || ': ' || real || ' ' || ours || ' ' || ddl FROM d.difference ORDER BY seed, n LIMIT 5}),
		'', "$n random tables and files, " . ($update eq 'true' ? 'updating' : 'inserting'));
}
note($node->sql('SELECT code, sum(n) FROM d.count GROUP BY 1 ORDER BY 1'));
is($node->sql(q{SELECT count(DISTINCT code) FROM d.count}), '8', 'every code was met');

# --- equal by a collation ------------------------------------------------------------
SKIP:
{
	skip 'needs ICU', 1 if $node->psql('postgres',
		q{CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)}) != 0;
	$node->sql(q{CREATE TABLE nocase (t text COLLATE nocase UNIQUE); INSERT INTO nocase VALUES ('Abc')});
	my $job = $node->sql(q{SELECT jobs.import_preview('nocase', E't\nABC\nxyz\nXyZ\n')});
	$node->wait_job($job);
	is($node->sql("SELECT string_agg(row_no || ' ' || message, ', ' ORDER BY row_no) FROM jobs.import_issue WHERE job = $job"),
		'1 Duplicate of existing nocase "ABC", 3 Same t "XyZ" as row 2', 'a collation that is not deterministic');
}

# --- a target that changes while it is previewed, and locks ---------------------------
$node->sql('CREATE TABLE held (id int PRIMARY KEY, v int); ALTER TABLE held ENABLE ROW LEVEL SECURITY; CREATE ROLE rider;
	GRANT ALL ON held TO rider; CREATE POLICY p ON held USING (true)');
my $writer = $node->background_psql('postgres');
$writer->query_safe('BEGIN; INSERT INTO held VALUES (1, 1); LOCK TABLE held IN SHARE ROW EXCLUSIVE MODE');
my $rows = join "\n", 'id,v', map { "$_,$_" } 1 .. 10;
my $job = $node->sql("SELECT jobs.import_preview('held', '$rows\n')");
is($node->wait_job($job), 'succeeded', 'writers are not in the way');
is($node->job($job, q{result -> 'to_insert'}), '10', 'what is not committed is not there');
$writer->query_safe('COMMIT');
$writer->quit;

# --- more keys than fit into memory ----------------------------------------------------
# Ids ascend, fall back and repeat; keys and numbers come in no order.  What INSERT ...
# ON CONFLICT DO NOTHING takes, in the order of the rows, is the truth.
my $rows_of_file = 400_000;

$node->sql(<<SQL);
CREATE TABLE big (id int PRIMARY KEY, k text UNIQUE, n numeric UNIQUE, CHECK (n % 1000 <> 7));
INSERT INTO big SELECT -i, 'old ' || i, i + 0.5 FROM generate_series(1, 30000) i;
ANALYZE big;
CREATE TABLE rows AS
	SELECT i, CASE WHEN i < 300000 THEN i WHEN i % 3 = 0 THEN i - 250000 WHEN i % 10 = 1 THEN -(i % 60000) ELSE i END AS id,
		CASE WHEN i % 7 = 0 THEN 'old ' || (i * 13) % 90000 ELSE md5(((i * 7919::bigint) % 380000)::text) END AS k,
		((i * 104729::bigint) % 390000) + CASE WHEN i % 9 = 0 THEN 0.50 ELSE 0.0 END AS n
	  FROM generate_series(1, $rows_of_file) i;
CREATE TABLE truth (LIKE big INCLUDING ALL, i int);
INSERT INTO truth SELECT * FROM big;
INSERT INTO truth SELECT id, k, n, i FROM rows WHERE n % 1000 <> 7 ORDER BY i ON CONFLICT DO NOTHING;
SQL
my $temporary = $node->sql('SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()');
my $session = $node->background_psql('postgres');
my $most = 0;
$job = $node->sql(q{SELECT jobs.import_preview('big', 'id,k,n' || E'\n' || string_agg(format('%s,%s,%s', id, k, n), E'\n' ORDER BY i)) FROM rows});
while (1)
{
	my ($state, $pid) = split /\|/, $session->query_safe("SELECT state, pid FROM jobs.progress WHERE id = $job");
	my $memory = $pid && -e "/proc/$pid" ? eval { $node->memory_of($pid) } || 0 : 0;

	$most = $memory if $memory > $most;
	last if $state eq 'succeeded' || $state eq 'failed';
	usleep(50_000);
}
$session->quit;
is($node->job($job, 'state, error_message'), 'succeeded|', 'a preview with many keys');
is($node->job($job, q{result -> 'to_insert'}), $node->sql('SELECT count(i) FROM truth'), 'takes as many rows as a table would');
is($node->job($job, q{result -> 'to_skip'}), $node->sql("SELECT $rows_of_file - count(i) FROM truth"), 'and leaves out the others');
note("worker: $most kB at most");
SKIP:
{
	skip 'a sanitizer takes memory of its own', 1 if $node->has_sanitizer;
	cmp_ok($most / 1024, '<', 128, 'memory of the worker');
}
ok($node->poll("SELECT temp_bytes > $temporary + 5000000 FROM pg_stat_database WHERE datname = current_database()"),
	'the rest was on disk');
my $import = $node->sql("SELECT jobs.import($job)");
is($node->wait_job($import), 'succeeded', 'its import');
is($node->sql('SELECT count(*) FROM (SELECT id, k, n FROM truth EXCEPT SELECT * FROM big) d'), '0', 'takes the same rows');
is($node->sql('SELECT count(*) FROM big'), $node->sql('SELECT count(*) FROM truth'), 'and no others');

# --- partitions that refer to partitions -------------------------------------------------
# What is kept of the tables that are referred to does not grow with the partitions that refer to them.
$node->add_gate;
$node->sql(<<SQL);
CREATE FUNCTION passes(n int) RETURNS boolean LANGUAGE plpgsql AS
	\$\$BEGIN IF n = 0 THEN PERFORM wait_to_go(); END IF; RETURN true; END\$\$;
CREATE TABLE months (month int, id int, PRIMARY KEY (id, month)) PARTITION BY LIST (month);
CREATE TABLE facts (n int CHECK (passes(n)), month int, id int, other int, PRIMARY KEY (month, n)) PARTITION BY LIST (month);
DO \$\$BEGIN
	FOR m IN 1..100 LOOP
		EXECUTE format('CREATE TABLE months_%s PARTITION OF months FOR VALUES IN (%1\$s)', m);
		EXECUTE format('CREATE TABLE facts_%s (id int, month int NOT NULL, other int, n int NOT NULL, CONSTRAINT facts_n_check CHECK (passes(n)))', m);
		EXECUTE format('ALTER TABLE facts ATTACH PARTITION facts_%s FOR VALUES IN (%1\$s)', m);
	END LOOP;
END\$\$;
INSERT INTO months SELECT m, i FROM generate_series(1, 100) m, generate_series(1, 100) i;
ALTER TABLE facts ADD FOREIGN KEY (month, id) REFERENCES months (month, id), ADD FOREIGN KEY (month, other) REFERENCES months (month, id);
SQL
$job = $node->sql(q{SELECT jobs.import_preview('facts', E'n,month,id,other\n' ||
	(SELECT string_agg(format('%s,%s,%s,%s', i, 1 + i % 100, 1 + i * 7919 % 101, 1 + i / 501), E'\n' ORDER BY i) FROM generate_series(1, 50000) i) || E'\n0,1,1,1\n')});
my $worker = $node->wait_running($job);
ok($node->poll("(SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $worker)"), 'a preview with 100 partitions that refer to 100');
my $memory = $node->memory_of($worker);
note("worker: $memory kB");
SKIP:
{
	skip 'a sanitizer takes memory of its own', 1 if $node->has_sanitizer;
	cmp_ok($memory / 1024, '<', 64, 'memory of the worker');
}
$node->open_gate;
is($node->wait_job($job), 'succeeded', 'goes to its end');
is($node->job($job, q{result -> 'to_insert'}),
	$node->sql('SELECT count(*) + 1 FROM generate_series(1, 50000) i WHERE i * 7919 % 101 < 100'), 'and finds the rows that refer to some');

$node->log_ok;
done_testing();
