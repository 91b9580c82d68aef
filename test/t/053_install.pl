# P01 to P04 and P51 of the list of attacks: what was there before the extension
# is not adopted and not run, and event triggers see nothing that they should not.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main', bare => 1);

$node->sql('CREATE ROLE mallory LOGIN CREATEDB');

# A database of mallory's own, with objects of hers that scripts might find.
sub make_database
{
	my ($name, $sql) = @_;

	$node->sql("CREATE DATABASE $name OWNER mallory");
	$node->safe_psql($name, q{CREATE TABLE public.struck (who name);
		CREATE FUNCTION public.strike() RETURNS integer LANGUAGE sql AS 'INSERT INTO public.struck VALUES (current_user); SELECT 1'; } . $sql,
		extra_params => [ '-U', 'mallory' ]);
	return;
}

sub no_harm
{
	my ($dbname, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($node->sql('SELECT count(*) FROM public.struck', $dbname), '0', $name);
}

make_database('p01', 'CREATE SCHEMA jobs; CREATE TABLE jobs.live (id bigint); CREATE FUNCTION jobs.cancel(job bigint) RETURNS boolean LANGUAGE sql AS \'SELECT true\'');
like($node->error('CREATE EXTENSION jobs', dbname => 'p01'), qr/ERROR:  42P06: schema "jobs" already exists/, 'P01 a schema made beforehand: refused');
like($node->error('CREATE EXTENSION jobs SCHEMA jobs', dbname => 'p01'), qr/ERROR:  0A000: extension "jobs" must be installed in schema "pg_catalog"/,
	'P01 the same, named: refused');
is($node->sql("SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND refobjid IN (SELECT oid FROM pg_extension WHERE extname = 'jobs')", 'p01'),
	'0', 'P01 nothing is adopted: expected');

# A schema of hers is no extension: nobody writes into her tables.
my ($status, $out, $err) = $node->psql('p01', 'SELECT jobs.cancel(1)');
is($out, 't', 'P01 only her own functions are there');
is($node->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'jobs scheduler' AND datname = 'p01'"), '0', 'P01 no scheduler serves them: expected');

make_database('p02', q{
	CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT public.strike(); SELECT pg_catalog.now()';
	CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE sql AS 'SELECT public.strike(); SELECT $1';
	CREATE FUNCTION public._visible(oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT public.strike(); SELECT true';
	CREATE FUNCTION public.eq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT public.strike(); SELECT true';
	CREATE OPERATOR public.= (FUNCTION = public.eq, LEFTARG = text, RIGHTARG = text);
	CREATE OPERATOR public.|| (FUNCTION = public.format, LEFTARG = text, RIGHTARG = text);
	CREATE DOMAIN public.jsonb AS pg_catalog.jsonb CHECK (public.strike() = 1);
	CREATE DOMAIN public.text AS pg_catalog.text CHECK (public.strike() = 1);
	ALTER DATABASE p02 SET search_path = public, pg_catalog});
$node->sql('CREATE EXTENSION jobs', 'p02');
my $job = $node->sql(q{SET search_path = pg_catalog; SELECT jobs.run('SELECT 1')}, 'p02');
is($node->sql("SET search_path = pg_catalog; SELECT jobs.wait($job)", 'p02'), 'succeeded', 'P02 a job');
$node->sql('SET search_path = pg_catalog; SELECT * FROM jobs.job; SELECT * FROM jobs.panel; SELECT * FROM jobs.progress; SELECT * FROM jobs.artifact', 'p02');
no_harm('p02', 'P02 functions, operators and types planted in public: expected');
is($node->sql(q{SELECT count(*) FROM pg_depend d JOIN pg_extension e ON d.objid = e.oid WHERE e.extname = 'jobs' AND d.classid = 'pg_extension'::regclass
	AND d.refclassid <> 'pg_namespace'::regclass}, 'p02'), '0', 'P02 the extension depends on none of them: expected');
is($node->sql(q{SELECT count(*) FROM pg_depend d JOIN pg_class c ON d.objid = c.oid OR d.objid IN (SELECT oid FROM pg_rewrite WHERE ev_class = c.oid)
	WHERE c.relnamespace = 'jobs'::regnamespace AND
		((d.refclassid = 'pg_proc'::regclass AND (SELECT pronamespace FROM pg_proc WHERE oid = d.refobjid) = 'public'::regnamespace) OR
		 (d.refclassid = 'pg_type'::regclass AND (SELECT typnamespace FROM pg_type WHERE oid = d.refobjid) = 'public'::regnamespace) OR
		 (d.refclassid = 'pg_operator'::regclass AND (SELECT oprnamespace FROM pg_operator WHERE oid = d.refobjid) = 'public'::regnamespace))}, 'p02'),
	'0', 'P02 nor do its views: expected');

# The next version adds what somebody has made before.
SKIP:
{
	my $sharedir = `pg_config --sharedir`;

	chomp $sharedir;
	skip 'the directory of extensions cannot be written', 3 unless -w "$sharedir/extension";
	my $script = "$sharedir/extension/jobs--1.0--1.0test.sql";
	append_to_file($script, "CREATE FUNCTION jobs.added() RETURNS integer LANGUAGE sql AS 'SELECT 1';\nCREATE TABLE jobs.added_too (n integer);\n");
	$node->sql('GRANT CREATE ON SCHEMA jobs TO mallory', 'p02');
	$node->safe_psql('p02', q{CREATE FUNCTION jobs.added() RETURNS integer LANGUAGE sql AS 'SELECT public.strike()'}, extra_params => [ '-U', 'mallory' ]);
	like($node->error(q{ALTER EXTENSION jobs UPDATE TO '1.0test'}, dbname => 'p02'), qr/ERROR:  42723: function "added" already exists/,
		'P03 a function that the next version adds: refused');
	$node->safe_psql('p02', 'DROP FUNCTION jobs.added(); CREATE TABLE jobs.added_too (n integer)', extra_params => [ '-U', 'mallory' ]);
	like($node->error(q{ALTER EXTENSION jobs UPDATE TO '1.0test'}, dbname => 'p02'), qr/ERROR:  42P07: relation "added_too" already exists/,
		'P03 a table that the next version adds: refused');
	is($node->sql(q{SELECT extversion FROM pg_extension WHERE extname = 'jobs'}, 'p02'), '1.0', 'P03 nothing is adopted: expected');
	unlink $script;
}

# Library and script of different versions (F18 of docs/reliability.md).
make_database('f18', '');
$node->sql('CREATE EXTENSION jobs', 'f18');
SKIP:
{
	my $sharedir = `pg_config --sharedir`;

	chomp $sharedir;
	skip 'the directory of extensions cannot be written', 2 unless -w "$sharedir/extension";
	my $script = "$sharedir/extension/jobs--1.0--2.0test.sql";
	append_to_file($script, "CREATE FUNCTION jobs.later() RETURNS integer AS 'MODULE_PATHNAME', 'jobs_later' LANGUAGE C;\n");
	like($node->error(q{ALTER EXTENSION jobs UPDATE TO '2.0test'}, dbname => 'f18'), qr/ERROR:  42883: could not find function "jobs_later"/,
		'F18 a script that is newer than the library: refused');
	is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')}, 'f18'), 'f18'), 'succeeded', 'F18 and all goes on');
	unlink $script;
}
$node->sql('ALTER TABLE jobs.live ADD COLUMN later integer', 'f18');
like($node->error(q{SELECT jobs.run('SELECT 1')}, dbname => 'f18'), qr/ERROR:  55000: extension "jobs" is of another version than its library/,
	'F18 tables of another version than the library: refused');
is($node->sql(q{SELECT count(*) FROM pg_extension WHERE extname = 'jobs'}, 'f18'), '1', 'F18 nobody is harmed');

# Two such databases do not keep the others from being looked into after a restart.
make_database('f18b', '');
$node->sql('CREATE EXTENSION jobs; ALTER TABLE jobs.live ADD COLUMN later integer', 'f18b');
make_database('f18c', '');
$node->sql('CREATE EXTENSION jobs', 'f18c');
$node->sql(q{SELECT jobs.run('SELECT 1', run_at => now() + '1 day')}, 'f18c');
$node->restart;
ok($node->poll(q{EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'jobs scheduler' AND datname = 'f18c')}),
	'F18 after a restart a database behind two of another version is looked into');

# What makes that so, in every script.
for my $script (glob 'sql/jobs--*.sql')
{
	my $sql = slurp_file($script) =~ s/--.*//gr;

	unlike($sql, qr/\bOR\s+REPLACE\b|\bIF\s+NOT\s+EXISTS\b|\bSECURITY\s+DEFINER\b|\@extschema|\@extowner/i, "$script adopts nothing and raises no rights");
}
unlike(slurp_file('jobs.control'), qr/^trusted\s*=\s*true/m, 'the extension is not trusted');

make_database('p04', '');
($status, $out, $err) = $node->psql('p04', "\\set VERBOSITY verbose\nCREATE EXTENSION jobs", extra_params => [ '-U', 'mallory' ]);
like($err, qr/ERROR:  42501: permission denied to create extension "jobs"/, 'P04 CREATE EXTENSION by the owner of the database: refused');

# P51: an administrator's event triggers.
make_database('p51', '');
$node->sql(q{CREATE TABLE seen (tag text, who name, what text);
	GRANT ALL ON seen TO PUBLIC;
	CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.seen VALUES (tg_tag, current_user, tg_event); END';
	CREATE EVENT TRIGGER starts ON ddl_command_start EXECUTE FUNCTION see();
	CREATE EVENT TRIGGER ends ON ddl_command_end EXECUTE FUNCTION see();
	CREATE EVENT TRIGGER drops ON sql_drop EXECUTE FUNCTION see();
	CREATE EVENT TRIGGER rewrites ON table_rewrite EXECUTE FUNCTION see()}, 'p51');
$node->sql('CREATE EXTENSION jobs', 'p51');
$node->sql('TRUNCATE seen', 'p51');
$job = $node->sql(q{SELECT jobs.export('SELECT 1')}, 'p51');
is($node->wait_job($job, 'p51'), 'succeeded', 'P51 an export');
$node->sql("SELECT jobs.share($job); SELECT jobs.unshare($job); SELECT jobs.delete($job)", 'p51');
is($node->sql('SELECT count(*) FROM seen', 'p51'), '0', 'P51 the library runs no DDL of its own: expected');
$job = $node->safe_psql('p51', q{SELECT jobs.run('CREATE TEMP TABLE t (n int); CREATE TABLE public.made (n int)')}, extra_params => [ '-U', 'mallory' ]);
is($node->wait_job($job, 'p51'), 'succeeded', 'P51 a job with DDL');
is($node->sql('SELECT string_agg(DISTINCT who::text, \' \') FROM seen', 'p51'), 'mallory', 'P51 its triggers fire as its owner: expected');
$node->sql('TRUNCATE seen', 'p51');
$job = $node->safe_psql('p51', q{SELECT jobs.run('SELECT 1')}, extra_params => [ '-U', 'mallory' ]);
is($node->wait_job($job, 'p51'), 'succeeded', 'P51 the next job, before which temporary tables go');
is($node->sql('SELECT count(*) FROM seen', 'p51'), '0', 'P51 the cleaning of a session fires none: expected');
$node->sql('DROP EXTENSION jobs', 'p51');
is($node->sql(q{SELECT count(*) FROM seen WHERE tag = 'DROP EXTENSION'}, 'p51') > 0, 1, 'P51 they see DROP EXTENSION, which works: expected');

$node->log_ok;
$node->stop;
done_testing;
