# All functions with random arguments, and files and options of imports, by three roles in five sessions at once, in
# and out of transactions: there may be errors of every kind but internal ones, and
# the server stays up.
#
# JOBS_SEED repeats the statements (not how they meet); JOBS_CALLS is how many there
# are in each session (default 1500).

use strict;
use warnings;

use IPC::Run;
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{JOBS_SEED} || time;
my $calls = $ENV{JOBS_CALLS} || 1500;
my @roles = ('postgres', 'alice', 'alice', 'bob', 'bob');
srand($seed);
note("JOBS_SEED=$seed");

my $node = JobsTest->create('main', init => { extra => [ '--encoding=UTF8', '--locale=C' ] }, conf => <<CONF);
jobs.retry_delay = '1ms'
max_prepared_transactions = 10
statement_timeout = '3s'
idle_in_transaction_session_timeout = '30s'
CONF
$node->sql(<<'SQL');
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
CREATE TABLE public.sink (id integer PRIMARY KEY, x text);
GRANT ALL ON public.sink TO PUBLIC;
GRANT CREATE ON SCHEMA public TO PUBLIC;

-- Where imports go to, and where they may not.
CREATE SCHEMA target;
GRANT USAGE ON SCHEMA target TO PUBLIC;
SET search_path = target;
CREATE TABLE ref (id integer PRIMARY KEY);
INSERT INTO ref SELECT generate_series(0, 50, 2);
CREATE TABLE plain (id integer, a text, n numeric(6, 2), d date);
CREATE TABLE keyed (id integer PRIMARY KEY, a text UNIQUE, n numeric CHECK (10 / (n - 5) < 8), d date DEFAULT now() NOT NULL,
	g integer GENERATED ALWAYS AS (id + 1) STORED, r int4range, EXCLUDE USING gist (r WITH &&));
CREATE TABLE child (id integer REFERENCES ref, a text, parent integer REFERENCES keyed DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE part (id integer, a text, d date) PARTITION BY LIST (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1, 2, NULL);
CREATE TABLE part2 (d date, a text UNIQUE, id integer);
ALTER TABLE part ATTACH PARTITION part2 FOR VALUES IN (3, 4);
CREATE TABLE guarded (id integer, a text);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON guarded USING (id % 2 = 0);
CREATE TABLE forbidden (id integer, a text);
CREATE TABLE half (id integer, a text);
CREATE TABLE "odd "" name" ("id" integer, "A b" text, " x" integer[], n money);
CREATE TABLE nothing ();
CREATE VIEW over AS SELECT id, a FROM keyed WHERE id < 1000 WITH CHECK OPTION;
CREATE VIEW joined AS SELECT plain.id, ref.id AS other FROM plain JOIN ref USING (id);
CREATE MATERIALIZED VIEW kept AS SELECT 1 AS id;
CREATE SEQUENCE counter;
CREATE INDEX an_index ON plain (a);
CREATE TYPE pair AS (id integer, a text);
GRANT ALL ON ref, plain, keyed, child, part, part1, guarded, "odd "" name", nothing, over, joined, kept, counter TO PUBLIC;
GRANT INSERT (id), SELECT (a) ON half TO PUBLIC;
RESET search_path;
SELECT jobs.grant_claim('q1', 'bob', everybody => true);
SQL
is($node->sql("SELECT current_setting('is_superuser')"), 'on', 'the first role is a superuser');

# ----------------------------------------------------------------------------
# What is called
# ----------------------------------------------------------------------------

sub one { return $_[ int(rand(@_)) ]; }

# There are more jobs as time goes on.
my $jobs = 5;
sub job { return 1 + int(rand($jobs)); }

# Those of a session that is made at the moment.
sub upload { return '(SELECT id FROM jobs.upload ' . one('', '', "WHERE owner <> current_user ") . 'ORDER BY random() LIMIT 1)'; }
sub target
{
	return one("'target.plain'", "'target.keyed'", "'target.child'", "'target.part'", "'target.guarded'", "'target.over'") if rand() < 0.5;
	return one("'target.plain'", "'target.keyed'", "'target.child'", "'target.part'",
		"'target.part1'", "'target.part2'", "'target.guarded'", "'target.forbidden'", "'target.half'", q{'target."odd "" name"'},
		"'target.nothing'", "'target.over'", "'target.joined'", "'target.kept'", "'target.counter'", "'target.an_index'", "'target.pair'",
		"'public.sink'", "'pg_class'", "'pg_authid'", "'pg_stat_activity'", "'information_schema.tables'", "'jobs.job'", "'jobs.upload'",
		"'jobs.live'", "'jobs.upload_entry'", "'jobs.chunk'", "'jobs.outcome'", "'jobs.import_issue'",
		"'pg_toast.pg_toast_1255'", 'NULL', 0, 4294967295);
}

# A file of few or many rows, good and bad.
sub file
{
	return one('NULL', "''", "E'\\ufeff'", "E'\\n'", "','", "'id'", "'id,a'", "E'id,a\\n'", "repeat(E'\\n', 3000)", "repeat(',', 3000)",
		"repeat('\"', 1001)", "E'id,id\\n1,2\\n'", "E'id;a;n;d\\n1;x;1,5;31.12.2024\\n2;y;1.000,25;30.02.2024\\n'") if rand() < 0.2;
	my @columns = sort { rand() <=> 0.5 } one('id', 'ID', 'Id '), one('a', 'A b', 'id', 'reason'), one('n', 'd', 'g', 'r', 'parent', 'row_no', ''), one('d', 'r', 'x');
	my $rows = one(0, 1, 5, 5, 5, 20, 500, 5000);
	my $field = '(' . one('i', 'i', 'i % ' . one(3, 5, 40), 'i - 3', 'nullif(i % 4, 2)') . ')::text';
	my @fields = map { one($field, $field, $field, "'\"' || i || E'\\n\"'", "chr((i * 7919 % 55000) + 1)", "'2024-02-' || i % 31", "'[' || i || ',' || i + 1 || ')'",
			"repeat('x', i)", "'\"'", "''", "'1e' || i", "'a\@' || i || '.de'", "'NaN'", "'{' || i || '}'") } 1 .. one(4, 4, 4, 4, 4, 4, 1, 3, 5);
	my $between = one(',', ',', ',', ';', '|', "\\t");
	my $end = one("\\n", "\\n", "\\r\\n", "\\r");
	my $head = rand() < 0.85 ? "E'" . join($between, @columns) . "$end' || " : '';

	return "(SELECT ${head}coalesce(string_agg(concat_ws(E'$between', " . join(', ', @fields) . "), E'$end' ORDER BY i), '') FROM generate_series(1, $rows) AS i)";
}

sub options
{
	return "'{}'" if rand() < 0.5;
	return one('NULL', "'[]'", "'null'", "'\"x\"'") if rand() < 0.05;
	my @options = (
		'"on_conflict": ' . one('"update"', '"update"', '"skip"', '"error"', '"no"', 1),
		'"header": ' . one('true', 'false', 'null', '1', '"x"'),
		'"delimiter": ' . one('","', '";"', '"ab"', '"\\t"', '""', '5', '"\\""'),
		'"quote": ' . one('null', '"\u0027"', '"\\""', '","', '""', 'false'),
		'"escape": ' . one('null', '"\\\\"', '"\\""', '"x"'),
		'"encoding": ' . one('"UTF8"', '"latin1"', '"utf-16"', '"cp1252"', '"mule_internal"', '"sjis"', '"no"', 3),
		'"skip_lines": ' . one(0, 1, 2, 5000, 2147483648, -1, '1e400', '"1"'),
		'"header_rows": ' . one(0, 1, 2, 5, 100000, -1),
		'"null": ' . one('"NULL"', '""', '"1"', '"\\n"', 'null'),
		'"comment": ' . one('"#"', '"1"', '"ab"', 'null'),
		'"trim": ' . one('true', 'false', '"x"'),
		'"ragged": ' . one('"pad"', '"reject"', '"x"', 'true'),
		'"decimal": ' . one('","', '"."', '"x"'),
		'"date_order": ' . one('"DMY"', '"MDY"', '"YMD"', '"no"'),
		'"max_errors": ' . one(0, 1, 10, -1, '1e30', '"x"'),
		'"max_error_ratio": ' . one(0, 0.1, 1, 2, -1),
		'"sensitive": ' . one('["a"]', '["no"]', '"a"', '[1]', '[]'),
		'"unique": ' . one('["a"]', '["id", "a"]', '["d", "id"]', '["r"]', '["no"]', '[]', '["a", "a"]', '"a"'),
		'"mapping": ' . one('{"a": "a"}', '{"a": null}', '{"id": "a", "a": "id"}', '{"1": "id"}', '{"x": "a"}', '{"g": "g"}', '[]', '{"a": 5}', '{"id": "no"}'),
		'"rules": ' . one('{"a": "email"}', '{"a": {"check": "email", "on_fail": "null"}}', '{"id": [{"min": 2}, "max:100"]}', '{"a": {"regex": "(a+)+$"}}',
			'{"a": {"regex": "("}}', '{"id": "sql:10 / (value - 3) > 0"}', '{"id": "sql:row.id > 2 and value < 50"}', '{"id": "sql:random() < 0.5"}',
			'{"a": "sql:(SELECT 1) = 1"}', '{"id": {"check": "sql:value > 3", "on_fail": "default"}}', '{"id": {"in": [1, 2, 3, null], "on_fail": "reject"}}',
			'{"a": {"max": 3, "message": "%s%n"}}', '{"d": "date", "n": "required"}', '{"no": "required"}', '[]', '{"a": []}', '{"a": {}}', '{"r": {"min": "[1,2)"}}'),
		'"no": 1');
	my %chosen = map { one(@options) => 1 } 1 .. one(1, 1, 1, 2, 4);

	return "\$o\${" . join(', ', sort keys %chosen) . '}$o$';
}

# An own preview or import, in whatever state.
sub of_kind
{
	my ($kind, $where) = @_;
	return "(SELECT id FROM jobs.job WHERE kind ~ '^import" . ($kind eq 'import' ? '$' : '') . "'" . ($where // '') . ' ORDER BY random() LIMIT 1)';
}

# Values of a type, many of them at its limits.
my %values = (
	bigint => sub { one(job(), job(), job(), job(), 'NULL', 0, -1, 1, 2, 3, 300, '9223372036854775807', "'-9223372036854775808'") },
	integer => sub { one('NULL', 0, 1, 2, 5, 100, -1, 2147483647, "'-2147483648'") },
	boolean => sub { one('NULL', 'true', 'false') },
	text => sub {
		one('NULL', "''", "'default'", "'q1'", "'q1'", "'q2'", "'SELECT 1'", "'SELECT 1 / (\$1->>''n'')::integer'", "'SELECT \$1'",
			"'INSERT INTO public.sink VALUES ((\$1->>''n'')::integer) RETURNING id'", "'SELECT n FROM generate_series(0, 300) AS n'",
			"'SELECT * FROM public.sink'", "'SELECT pg_sleep(0.05)'", "'SELECT pg_sleep(0.01) WHERE \$1 IS NOT NULL'", "'SELECT * FROM nowhere'",
			"'csv'", "'jsonl'", "'xlsx'", "'a/b'", "E'\\u00e9\\u4e2d\\n'", "repeat('x', 600)", "repeat(E'\\u00e4', 5000)", "'22023'", "'JB001'", "'no'")
	},
	jsonb => sub {
		one('NULL', "'{}'", "'[]'", "'[null]'", "'[1]'", "'[1, 2, 3]'", "'null'", "'\"x\"'", "'{\"n\": 1}'", "'[{\"n\": 0}, {\"n\": 1}, {\"n\": 2}]'",
			"'{\"compression\": \"gzip\"}'", "'{\"delimiter\": 5}'", "(SELECT jsonb_agg(jsonb_build_object('n', n)) FROM generate_series(0, 700) AS n)",
			"to_jsonb(repeat('x', 100000))", "'{\"email\": \"a\@b.de\"}'", "'{\"header\": false}'")
	},
	interval => sub { one('NULL', "'1 s'", "'10 ms'", "'1 min'", "'0'", "'-1 s'", "'178000000 years'", "'-178000000 years'", "'1 day'", "'200 ms'") },
	'timestamp with time zone' => sub { one('NULL', 'now()', "'infinity'", "'-infinity'", "now() + '100 ms'", "now() - '1 day'", "'294276-01-01'", "'4713-01-01 BC'") },
	'bigint[]' => sub {
		one('NULL', "'{}'", "'{1}'", "'{1,2,3}'", "'{NULL}'", "'{1,1}'", "'{{1,2},{3,4}}'", "'[5:6]={1,2}'", "'{0,-1}'",
			"'{9223372036854775807}'", "ARRAY[" . job() . "]::bigint[]", "(SELECT array_agg(n) FROM generate_series(1, 300) AS n)",
			"(SELECT array_agg(n) FROM generate_series(1, 20000) AS n)")
	},
	bytea => sub { one('NULL', "''", "'\\x1f8b08'", "'a,b'::bytea", "convert_to(E'id,x\\n1,a\\n2,b\\n', 'UTF8')") },
	regclass => sub { one('NULL', "'public.sink'", "'pg_class'", "'jobs.job'", '4294967295') },
	regrole => sub { one('NULL', "'bob'", "'alice'", "'pg_read_all_stats'", '4294967295') },
	oid => sub { one('NULL', 0, 1, 16384, 4294967295) },
	# Only of views, with whole rows.
);

my @functions = map { [ split /\|/, $_, -1 ] } split /\n/, $node->sql(q{
	SELECT p.proname, p.proretset, coalesce(string_agg(a.name || ' ' || format_type(a.type, NULL), ';' ORDER BY a.n), '')
	  FROM pg_proc p
	  LEFT JOIN LATERAL (SELECT u.n, p.proargnames[u.n] AS name, u.type FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS u (type, n)) a ON true
	 WHERE p.pronamespace = 'jobs'::regnamespace AND p.prokind = 'f'
	 GROUP BY p.oid, p.proname, p.proretset ORDER BY p.proname, p.oid});
my @views = split /\n/, $node->sql(q{SELECT relname FROM pg_class WHERE relnamespace = 'jobs'::regnamespace AND relkind = 'v' AND relname !~ '^_' ORDER BY 1});
cmp_ok(scalar @functions, '>', 40, 'functions');

# Now and then an argument of the least and not of the last kinds is left out.
sub call
{
	my ($name, $set, $arguments) = @{ one(@functions) };
	my @given;

	for my $argument (split /;/, $arguments)
	{
		my ($argname, $type) = split / /, $argument, 2;
		next if @given && rand() < 0.5;
		my $kind = $values{$argument} ? $argument : $type;
		# Exports and submissions have options of their own.
		$kind = $type if $argument eq 'options jsonb' && $name !~ /^(sniff|import)/;
		my $value = $values{$kind} ? $values{$kind}->() : 'NULL';
		push @given, "$argname => $value" . ($value eq 'NULL' || rand() < 0.5 ? "::$type" : '');
	}
	return $set eq 't' ? "SELECT count(*) FROM jobs.$name(" . join(', ', @given) . ')' : "SELECT jobs.$name(" . join(', ', @given) . ')';
}

# What random arguments seldom reach.
my @scenes = (
	sub { "SELECT jobs.bulk(NULL, (SELECT jsonb_agg(n) FROM generate_series(1, " . one(1, 3, 300, 1000) . ") AS n), queue => " .
		  one("'q1'", "'q2'") . ", stop_after => " . one(1, 3, 'NULL') . ", workers => " . one(1, 4) . ")" },
	sub { "SELECT jobs.bulk('INSERT INTO public.sink VALUES (\$1::integer) ON CONFLICT DO NOTHING', '[1, 2, 3, 4]', workers => 2)" },
	sub { "SELECT jobs.bulk_query('SELECT 1 / (\$1->>''n'')::integer', 'SELECT n FROM generate_series(-300, 300) AS n', stop_after => 2)" },
	sub { "SELECT jobs.submit('q1', '{\"a\": 1}')" },
	sub { "SELECT jobs.finish(job, '1', claim) FROM jobs.claim('q1', " . one(1, 3, 10) . ", " . one("'1 ms'", "'1 min'") . ')' },
	sub { "SELECT jobs.fail(job, 'no', claim => claim) FROM jobs.claim('q1', 2)" },
	sub { "SELECT jobs.finish_items(" . job() . ", array_agg(item_no), claim => min(claim)) FROM jobs.claim_items(" . job() . ", 10)" },
	sub { my $j = job(); "SELECT jobs.finish_items($j, array_agg(item_no), jsonb_agg(payload), min(claim)) FROM jobs.claim_items($j, " . one(1, 10, 300, 10000) . ", " . one("'1 ms'", "'1 min'") . ')' },
	sub { my $j = job(); "SELECT jobs.extend_lease($j, '1 min', min(claim), array_agg(item_no) FILTER (WHERE item_no % 2 = 0)) FROM jobs.claim_items($j, 50)" },
	sub { my $j = job(); "SELECT jobs.release($j, min(claim), array_agg(item_no) FILTER (WHERE item_no % 3 = 0)) FROM jobs.claim_items($j, 50)" },
	sub { my $j = job(); "SELECT jobs.fail_item($j, item_no, 'bad', claim => claim) FROM jobs.claim_items($j, 5)" },
	sub { 'SELECT jobs.retry_failed(id) FROM jobs.job WHERE state = ' . "'partial' LIMIT 1" },
	sub { 'SELECT jobs.retry(id) FROM jobs.job WHERE state = ' . "'failed' LIMIT 1" },
	sub { 'SELECT jobs.cancel(id) FROM jobs.job WHERE state = ' . "'running' LIMIT 1" },
	sub { 'SELECT count(jobs.delete(id)) FROM (SELECT id FROM jobs.job WHERE finished_at IS NOT NULL LIMIT 2) j' },
	sub { 'SELECT count(*) FROM (SELECT * FROM jobs.' . one(@views) . ' LIMIT 500) v' },
	sub { 'SELECT count(v::text) FROM jobs.' . one(@views) . ' v' },
	sub { "SELECT count(*) FROM jobs.item WHERE job = " . job() },
	sub { one("SET jobs.tenant = 'acme'", 'RESET jobs.tenant', 'RESET jobs.tenant', 'SET default_transaction_isolation = serializable',
			'RESET default_transaction_isolation', 'SET lock_timeout = 50', 'RESET lock_timeout') },
	(sub { "SELECT jobs.import_preview(" . target() . ", content => " . file() . ", options => " . options() . ")" }) x 4,
	sub { "SELECT jobs.import_preview(" . target() . ", upload => " . upload() . ", options => " . options() . ")" },
	sub { "SELECT jobs.upload_append(jobs.upload(), convert_to(" . file() . ", 'UTF8'))" },
	sub { "SELECT jobs.upload_append(" . upload() . ", convert_to(" . file() . ", 'UTF8'))" },
	sub { "SELECT * FROM jobs.sniff(" . file() . ", " . options() . ")" },
	sub { "SELECT * FROM jobs.sniff(upload => " . upload() . ", options => " . options() . ")" },
	(sub { "SELECT jobs.import(" . of_kind('preview', one('', " AND state = 'succeeded'", " AND state = 'succeeded'")) . ", " . one('true', 'true', 'false', 'NULL') . ")" }) x 4,
	sub { "SELECT jobs.undo_import(" . of_kind(one('import', 'import', 'preview')) . ")" },
	sub { "SELECT * FROM jobs.import_summary(" . of_kind(one('import', 'preview')) . ")" },
	sub { "SELECT sum(length(r)) FROM jobs.rejects(" . of_kind(one('import', 'preview')) . ") r" . one('', '', ' LIMIT 1') },
	sub { "SELECT count(message), count(DISTINCT code) FROM jobs.import_issue" . one('', " WHERE job = " . job()) },
	sub { one("ALTER TABLE target.plain ADD x integer", "ALTER TABLE target.plain DROP x", "DELETE FROM target.keyed WHERE id % 3 = 0",
			"UPDATE target.keyed SET a = a || '!' WHERE id = 3", "TRUNCATE target.plain", "DELETE FROM target.child",
			"DO 'BEGIN DROP TABLE IF EXISTS target.part1; CREATE TABLE target.part1 PARTITION OF target.part FOR VALUES IN (1, 2); GRANT ALL ON target.part1 TO PUBLIC; END'") },
	sub { one('LISTEN jobs', 'UNLISTEN *', "SELECT jobs.resume('q1')", "SELECT jobs.resume('default')", "SELECT jobs.resume('q2')") });

my $prepared = 0;
sub script
{
	my ($session) = @_;
	my @lines = ('\set VERBOSITY verbose', '\set ON_ERROR_ROLLBACK ' . ($session % 2 ? 'on' : 'off'), 'SET client_min_messages = error;');

	while (@lines < $calls)
	{
		$jobs = 5 + @lines / 8;
		my $n = rand() < 0.75 ? 0 : 1 + int(rand(4));
		push @lines, one('BEGIN;', 'BEGIN;', 'BEGIN ISOLATION LEVEL REPEATABLE READ;', 'BEGIN ISOLATION LEVEL SERIALIZABLE;', 'BEGIN READ ONLY;') if $n;
		for (0 .. $n)
		{
			push @lines, 'SAVEPOINT s;' if $n && rand() < 0.3;
			push @lines, (rand() < 0.5 ? call() : one(@scenes)->()) . ';';
			push @lines, one('ROLLBACK TO s;', 'RELEASE s;') if $n && rand() < 0.3;
		}
		push @lines, one('COMMIT;', 'COMMIT;', 'ROLLBACK;') if $n;
		if ($n && rand() < 0.1)
		{
			my $name = "'p$session." . ++$prepared . "'";
			push @lines, 'BEGIN;', one(@scenes)->() . ';', "PREPARE TRANSACTION $name;", one('COMMIT', 'ROLLBACK') . " PREPARED $name;";
		}
	}
	return join("\n", @lines, 'ROLLBACK;', '');
}

# ----------------------------------------------------------------------------
# Calling it
# ----------------------------------------------------------------------------

my @sessions;
for my $i (0 .. $#roles)
{
	my %session = (script => script($i), out => '');
	my $superuser = $i == 0 ? $ENV{USER} || getpwuid($<) : $roles[$i];

	$session{run} = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') . " user=$superuser" ],
		'<', \$session{script}, '>', \$session{out}, '2>&1', IPC::Run::timeout(4 * $PostgreSQL::Test::Utils::timeout_default));
	push @sessions, \%session;
}
for my $session (@sessions)
{
	$session->{run}->finish;
	unlike($session->{out}, qr/ XX\d{3}: /, 'no internal error') or diag($session->{out} =~ /(.*XX\d{3}:.*\n.*\n.*)/);
	unlike($session->{out}, qr/server closed the connection|connection to server was lost/, 'the connection lasts');
	my %codes;
	$codes{$1}++ while $session->{out} =~ /^(?:psql:[^:]*:\d+: )?ERROR:  (\w{5}):/mg;
	note(join(' ', map { "$_ $codes{$_}" } sort keys %codes));
	cmp_ok(scalar keys %codes, '>', 3, 'errors of several kinds');
}
is($node->sql("SELECT count(*) > 0 FROM jobs.job WHERE kind = 'bulk' AND succeeded > 0"), 't', 'some items have been done');
is($node->sql("SELECT count(*) > 0 FROM jobs.job WHERE kind = 'import' AND state = 'succeeded'"), 't', 'and something has been imported');
note($node->sql(q{SELECT string_agg(concat_ws(' ', kind, state, error_code, n), ', ' ORDER BY kind, state, error_code)
	FROM (SELECT kind, state, error_code, count(*) AS n FROM jobs.job WHERE kind ~ '^import' GROUP BY 1, 2, 3) j}));
is($node->sql("SELECT string_agg(DISTINCT error_message, E'\\n') FROM jobs.job WHERE error_code ~ '^XX'"), '', 'no job has failed for an internal error');

# Whatever is left goes on or can be stopped, and counts are those of the items.
$node->sql(q{SELECT jobs.resume(queue) FROM (SELECT DISTINCT queue FROM jobs.job) q; SELECT jobs.cancel(id) FROM jobs.job WHERE finished_at IS NULL});
ok($node->poll('NOT EXISTS (SELECT FROM jobs.live)'), 'all jobs have ended');
is($node->sql(q{SELECT count(*) FROM jobs.job j JOIN LATERAL (SELECT count(*) FILTER (WHERE i.state = 'succeeded') AS s,
	count(*) FILTER (WHERE i.state = 'failed') AS f, count(*) FILTER (WHERE i.state = 'skipped') AS k FROM jobs.item i WHERE i.job = j.id) i ON true
	WHERE j.kind = 'bulk' AND j.total >= 0 AND (j.succeeded, j.failed, j.skipped) IS DISTINCT FROM (i.s, i.f, i.k)}), '0', 'counts are those of the items');
is($node->sql('SELECT (SELECT count(*) FROM jobs.item_lease), (SELECT count(*) FROM jobs.job_lease), (SELECT count(*) FROM jobs.offer)'),
	'0|0|0', 'no claim is left');
$node->log_ok;
$node->stop;
done_testing();
