# All functions with random arguments, by three roles in five sessions at once, in
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
		my $value = $values{$type} ? $values{$type}->() : 'NULL';
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
