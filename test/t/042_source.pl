# Exports whose query a read replica runs: option source.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs postgres_fdw (Debian: part of the server package)'
  unless -e `"$ENV{PG_CONFIG}" --sharedir` =~ s/\s+$//r . '/extension/postgres_fdw.control';
plan skip_all => 'needs the module jobs_remote (Debian: libpq-dev)'
  unless -e `"$ENV{PG_CONFIG}" --pkglibdir` =~ s/\s+$//r . '/jobs_remote.so';

my $primary = JobsTest->create('primary', init => { allows_streaming => 1 },
	conf => "timezone = 'Asia/Kathmandu'\njobs.worker_idle_timeout = '1h'\n");

# ----------------------------------------------------------------------------
# A primary, its replica, roles and servers
# ----------------------------------------------------------------------------

$primary->sql(<<'SQL');
CREATE EXTENSION postgres_fdw;
CREATE ROLE alice LOGIN PASSWORD 'secret of alice';
CREATE ROLE bob LOGIN PASSWORD 'secret of bob';
CREATE ROLE carol LOGIN PASSWORD 'secret of carol';
CREATE ROLE dave LOGIN PASSWORD 'secret of dave';
GRANT CREATE ON SCHEMA public TO alice;
ALTER ROLE alice SET timezone = 'America/St_Johns';
ALTER ROLE alice SET datestyle = 'German';
ALTER ROLE alice SET intervalstyle = 'sql_standard';
ALTER ROLE alice SET bytea_output = 'escape';
ALTER ROLE alice SET extra_float_digits = -3;
ALTER ROLE alice SET search_path = "odd ""schema", public;
CREATE SCHEMA "odd ""schema";
GRANT USAGE ON SCHEMA "odd ""schema" TO alice;
CREATE TYPE mood AS ENUM ('sad', 'o''k', 'happy, "very"');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TABLE "odd ""schema".kinds (
	id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, n2 numeric(12, 3), t text, v varchar(20),
	c char(5), by bytea, d date, ti time, ttz timetz, ts timestamp, tstz timestamptz, iv interval, u uuid, j json, jb jsonb,
	a int[], ta text[], tza timestamptz[], r int4range, tr tstzrange, m mood, p pair, s small, ip inet, mac macaddr,
	bits varbit, pt point, x xml, l pg_lsn, tsv tsvector, na name, o oid);
INSERT INTO "odd ""schema".kinds VALUES
(1, true, -32768, 9223372036854775807, 0.1, 0.1, 1.10, 123456789.125, 'a,b"c' || chr(10) || 'd', 'ünï', 'ab',
 '\x00ff5c27', '2024-02-29', '23:59:59.999999', '12:00+05:45', '2024-01-31 01:02:03.4', '2024-07-01 00:00:00.000001+00',
 '-1 year -2 mons +3 days -04:05:06.7', '11111111-2222-3333-4444-555555555555', '{"b": 1,  "a": [null]}',
 '{"b": 1, "a": "\u00e9"}', '{1,NULL,-3}', ARRAY['', NULL, 'a"b\c', 'NULL'], ARRAY['2024-07-01 12:00+00'::timestamptz],
 '[1,5)', '[2024-01-01 00:00+00,)', 'happy, "very"', '(1,"a,""b")', 99, '10.0.0.1/8', '08:00:2b:01:02:03', B'10110',
 '(1.5,-2)', '<a>1</a>', '16/B374D848', 'fat:2 cat:1A', 'Name', 4294967295),
(2, false, 0, 0, 'NaN', '-Infinity', 'NaN', 0, '', '', '', '', '-infinity', '00:00', '00:00-12', 'infinity', '-infinity',
 '-1 day +02:00', NULL, 'null', 'null', '{}', '{}', '{}', 'empty', 'empty', 'sad', '(,)', -5, '::1', NULL, B'', NULL, NULL,
 '0/0', '', '', 0),
(3, NULL, NULL, NULL, 3.4028235e38, 5e-324, 1e-50, -0.001, '\.', 'NULL', 'x    ', '\x', '0044-03-15 BC', NULL, NULL,
 '0044-03-15 12:00 BC', '0044-03-15 12:00+00 BC', '1 mon -1 day', NULL, NULL, NULL, '[2:3]={7,8}', '{{a,b},{c,d}}', NULL,
 '(,)', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
GRANT SELECT ON "odd ""schema".kinds TO alice;
CREATE TABLE numbers AS SELECT g, g % 100 AS r FROM generate_series(1, 20000) g;
CREATE TABLE wide AS SELECT g, (SELECT string_agg(md5(g::text || h), '') FROM generate_series(1, 32768) h) AS t
  FROM generate_series(1, 100) g;
CREATE TABLE missing (a int);
CREATE TABLE other_columns (a int);
CREATE TABLE target (a int);
GRANT SELECT ON numbers, wide, missing, other_columns TO PUBLIC;
GRANT ALL ON target TO alice;
CREATE DATABASE elsewhere;
\c elsewhere
CREATE TABLE other_columns (a int, b int);
GRANT SELECT ON other_columns TO PUBLIC;
SQL

$primary->backup('backup');
my $replica = JobsTest->new('replica');
$replica->init_from_backup($primary, 'backup', has_streaming => 1);
$replica->append_conf('postgresql.conf', "log_statement = all\n");
unlink $replica->data_dir . '/pg_hba.conf';
$replica->append_conf('pg_hba.conf', <<'HBA');
local all dave trust
local all postgres trust
local all all scram-sha-256
HBA
$replica->start;

my ($host, $port) = ($replica->host, $replica->port);
$primary->sql(<<SQL);
CREATE SERVER replica1 FOREIGN DATA WRAPPER postgres_fdw
	OPTIONS (host '$host', port '$port', dbname 'postgres', fetch_size '7', use_remote_estimate 'true');
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'elsewhere');
CREATE FOREIGN DATA WRAPPER another;
CREATE SERVER another FOREIGN DATA WRAPPER another;
GRANT USAGE ON FOREIGN SERVER replica1, elsewhere, another TO alice, bob, carol, dave;
CREATE SERVER forbidden FOREIGN DATA WRAPPER postgres_fdw;
CREATE USER MAPPING FOR alice SERVER replica1 OPTIONS (user 'alice', password 'secret of alice');
CREATE USER MAPPING FOR alice SERVER elsewhere OPTIONS (user 'alice', password 'secret of alice');
CREATE USER MAPPING FOR alice SERVER another;
CREATE USER MAPPING FOR bob SERVER replica1 OPTIONS (user 'bob');
CREATE USER MAPPING FOR carol SERVER replica1 OPTIONS (user 'carol', password 'not hers');
CREATE USER MAPPING FOR dave SERVER replica1 OPTIONS (user 'dave', password 'secret of dave');
SQL
$primary->wait_for_catchup($replica);

sub submission
{
	my ($role, $query, $format, $options) = @_;

	return "SELECT jobs.export(\$query\$$query\$query\$, '$format', options => '$options')";
}

# As in a session of the role, with its settings.
sub submit
{
	my ($role, $query, $source, %params) = @_;
	my $options = $source ? qq({"source": "$source"}) : '{}';

	return $primary->safe_psql('postgres', submission($role, $query, $params{format} || 'csv', $options),
		extra_params => [ '-U', $role ]);
}

sub outcome
{
	my ($job) = @_;
	my $state = $primary->wait_job($job);

	return $primary->job($job, "concat_ws('|', state, error_code, error_message, error_detail, error_hint)");
}

# ----------------------------------------------------------------------------
# The same bytes
# ----------------------------------------------------------------------------

for my $format ('csv', 'jsonl')
{
	for my $query ('SELECT * FROM kinds ORDER BY id', 'SELECT * FROM numbers ORDER BY g', 'SELECT * FROM numbers WHERE g < 0',
		'SELECT p, ARRAY[p], now() - now() AS zero, g FROM kinds, generate_series(1, 1500) g ORDER BY id, g -- a comment',
		q{SELECT E'back\\\\slash' AS "odd ""name", 'é', current_user, 'a\b'})
	{
		my $local = submit('alice', $query, undef, format => $format);
		my $remote = submit('alice', $query, 'replica1', format => $format);
		my $file = 'SELECT rows, bytes, sha256, filename FROM jobs.artifact WHERE job = ';

		is(outcome($local), 'succeeded', "$format here: $query");
		is(outcome($remote), 'succeeded', "$format there: $query");
		is($primary->sql($file . $remote), $primary->sql($file . $local), "$format: the same file");
		is($primary->sql("SELECT string_agg(c, '' ORDER BY o) IS NOT DISTINCT FROM (SELECT string_agg(c, '' ORDER BY o)
				FROM jobs.download($local) WITH ORDINALITY l (c, o)) FROM jobs.download($remote) WITH ORDINALITY r (c, o)"),
			't', "$format: the same bytes");
	}
}
like(slurp_file($replica->logfile), qr/ jobs LOG:  execute <unnamed>: SELECT \* FROM kinds ORDER BY id/,
	'the replica ran it');

my $job = submit('alice', 'SELECT pg_is_in_recovery()', 'replica1');
is(outcome($job), 'succeeded', 'a query that knows where it is');
is($primary->sql("SELECT convert_from(c, 'UTF8') FROM jobs.download($job) c"), "pg_is_in_recovery\nt\n", 'it was the replica');

# Rows of a megabyte, and a query that then goes on for long.
my $there = q{EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'jobs' AND usename = 'alice'};

$job = submit('alice', 'SELECT * FROM wide UNION ALL SELECT 0, pg_sleep(600)::text', 'replica1');
ok($replica->poll("$there AND wait_event = 'PgSleep')"), 'rows of a megabyte');
ok($primary->poll("SELECT processed >= 99 FROM jobs.progress WHERE id = $job"), 'are there as soon as they come');
SKIP:
{
	skip 'memory tells nothing here', 1 if $primary->has_sanitizer;
	my $memory = $primary->memory_of($primary->wait_running($job));

	cmp_ok($memory, '<', 32 * 1024, 'the worker keeps none') or diag "$memory kB";
	note "$memory kB";
}
$primary->sql("SELECT jobs.cancel($job)");
like(outcome($job), qr/^cancelled/, 'it is cancelled');

# ----------------------------------------------------------------------------
# Errors at submission
# ----------------------------------------------------------------------------

sub refused
{
	my ($role, $options, $expected, $name) = @_;

	like($primary->error(submission($role, 'SELECT g FROM numbers', 'csv', $options), extra_params => [ '-U', $role ]),
		$expected, $name);
	return;
}

refused('alice', '{"source": "nowhere"}', qr/ERROR:  42704: server "nowhere" does not exist/, 'no such server');
refused('alice', '{"source": "forbidden"}', qr/ERROR:  42501: permission denied for foreign server forbidden/, 'no USAGE');
refused('alice', '{"source": "another"}', qr/ERROR:  22023: server "another" is not one of postgres_fdw/, 'another wrapper');
refused('bob', '{"source": "elsewhere"}', qr/ERROR:  42704: user mapping not found for .*bob/, 'no user mapping');
refused('bob', '{"source": "replica1"}', qr/ERROR:  2F003: password is required/, 'no password');
refused('alice', '{"source": 5}', qr/ERROR:  22023: option "source" must be a string/, 'a number');
refused('alice', '{"source": ""}', qr/ERROR:  42704: server "" does not exist/, 'an empty name');

# ----------------------------------------------------------------------------
# Errors of the job
# ----------------------------------------------------------------------------

like(outcome(submit('dave', 'SELECT g FROM numbers', 'replica1')), qr/^failed\|2F003\|password is required\|/, 'trust');
like(outcome(submit('carol', 'SELECT g FROM numbers', 'replica1')),
	qr/^failed\|08001\|could not connect to the other server\|.*password authentication failed for user "carol"/s,
	'wrong password');
is(outcome(submit('alice', 'SELECT 1 / (r - 99) FROM numbers', 'replica1')), 'failed|22012|division by zero',
	'an error after some rows');
is(outcome(submit('alice', 'SELECT a FROM missing', 'elsewhere')), 'failed|42P01|relation "missing" does not exist',
	'a table that is missing there');
is(outcome(submit('alice', 'SELECT * FROM other_columns', 'elsewhere')),
	'failed|42804|the query has 2 columns on the other server, not 1|Tables and views that it reads must be the same on both servers.',
	'other columns there');

# What is one string here must not be two statements there.
my $two = q{SELECT 'a\\'; COMMIT; SELECT pg_advisory_lock(99); --' AS a};
$job = $primary->safe_psql('postgres',
	"SET standard_conforming_strings = off; SET escape_string_warning = off; " . submission('alice', $two, 'csv', '{"source": "replica1"}'),
	extra_params => [ '-U', 'alice' ]);
outcome($job);
unlike(slurp_file($replica->logfile), qr/statement: SELECT pg_advisory_lock|LOG:  execute.*: SELECT pg_advisory_lock/,
	'never two statements');

# ----------------------------------------------------------------------------
# The end of one is the end of the other
# ----------------------------------------------------------------------------

$job = submit('alice', 'SELECT pg_sleep(600)', 'replica1');
ok($replica->poll("$there AND state = 'active' AND wait_event = 'PgSleep')"), 'it runs on the replica');
is($primary->sql("SELECT state FROM jobs.progress WHERE id = $job"), 'running', 'and the job runs');
$primary->sql("SELECT jobs.cancel($job)");
like(outcome($job), qr/^cancelled/, 'cancelled');
ok($replica->poll("NOT $there)"), 'its query there has ended');

$job = submit('alice', 'SELECT pg_sleep(600)', 'replica1');
ok($replica->poll("$there AND wait_event = 'PgSleep')"), 'another runs there');
$replica->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'jobs'});
like(outcome($job), qr/^failed\|57P01\|/, 'its session there was terminated');

$job = submit('alice', 'SELECT pg_sleep(600)', 'replica1');
ok($replica->poll("$there AND wait_event = 'PgSleep')"), 'a third runs there');
$primary->sql("SELECT pg_terminate_backend($_)") foreach $primary->wait_running($job);
like(outcome($job), qr/^failed\|57P01\|/, 'the worker was terminated');
ok($replica->poll("NOT $there)"), 'its query there has ended too');

# Rights are looked at when it runs, too.
$primary->sql(q{SELECT jobs.pause('default')});
$job = submit('alice', 'SELECT g FROM numbers', 'replica1');
$primary->sql(q{REVOKE USAGE ON FOREIGN SERVER replica1 FROM alice; SELECT jobs.resume('default')});
like(outcome($job), qr/^failed\|42501\|permission denied for foreign server replica1/, 'USAGE revoked meanwhile');
$primary->sql('GRANT USAGE ON FOREIGN SERVER replica1 TO alice');

$replica->stop;
like(outcome(submit('alice', 'SELECT g FROM numbers', 'replica1')),
	qr/^failed\|08001\|could not connect to the other server\|/, 'the replica is down');

$primary->log_ok;
$primary->stop;
done_testing();
