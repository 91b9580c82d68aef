# Attacks of the list P01 to P52 that the tests sql/security_*.sql and 05x_*.pl do
# not try: time, load, messages, large objects, temporary files, and what
# programs make of the texts.  docs/security.md says which test tries which.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = JobsTest->create('main', conf => "jobs.max_workers = 4\nwork_mem = '64kB'\n");

$node->sql(q{CREATE ROLE mallory LOGIN; CREATE ROLE bob LOGIN; GRANT CREATE ON SCHEMA public TO mallory, bob});

# What a role gets for a command: its result, or the error with its SQLSTATE.
sub as
{
	my ($role, $command) = @_;
	my ($status, $out, $err) =
	  $node->psql('postgres', "\\set VERBOSITY verbose\n$command", extra_params => [ '-U', $role ]);

	return $status == 0 ? $out : ($err =~ /(?:ERROR|FATAL):  (\w{5}: .*)/)[0] // $err;
}

sub refused
{
	my ($probe, $what, $command, $error, $role) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like(as($role // 'mallory', $command), qr/^$error/, "$probe $what: refused, $error");
}

sub expected
{
	my ($probe, $what, $got, $expected) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($got, $expected // 't', "$probe $what: expected");
}

# ----------------------------------------------------------------------------
# P19: does the time tell whether a job is there?
# ----------------------------------------------------------------------------

my $hidden = as('bob', q{SELECT jobs.run('SELECT 1', run_at => now() + '1 day', title => 'secret')});

# In turns, so that whatever else the machine does is the same for both.
as('mallory', q{CREATE FUNCTION took(id bigint) RETURNS double precision LANGUAGE plpgsql AS $$
	DECLARE
		started timestamptz := clock_timestamp();
	BEGIN
		BEGIN
			PERFORM jobs.cancel(id);
		EXCEPTION WHEN undefined_object THEN
		END;
		RETURN extract(epoch FROM clock_timestamp() - started) * 1e6;
	END $$});
my ($there, $absent, $spread) = split /\|/, as('mallory', <<SQL);
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a), percentile_cont(0.5) WITHIN GROUP (ORDER BY b),
       percentile_cont(0.9) WITHIN GROUP (ORDER BY b) - percentile_cont(0.1) WITHIN GROUP (ORDER BY b)
  FROM (SELECT took($hidden) AS a, took(999999999) AS b FROM generate_series(1, 5000) OFFSET 0) x
SQL
note(sprintf 'a hidden job takes %.1f us, none %.1f us; calls differ by %.1f us', $there, $absent, $spread);
ok(abs($there - $absent) < 25, 'P19 the time of a hidden job and of none: expected');

# ----------------------------------------------------------------------------
# P34: temporary files
# ----------------------------------------------------------------------------

# What is open in a worker that writes much more than it may keep in memory, and
# what it leaves where others could put a file or a link before.
as('bob', q{CREATE TABLE much AS SELECT g AS n, repeat('x', 200) AS t FROM generate_series(1, 60000) g});
my $data_dir = $node->data_dir;
my $outside = sub { return join ' ', sort glob '/tmp/pgsql* /tmp/jobs_* /tmp/tmp* /tmp/lxw* /var/tmp/*' };
my $before = $outside->();
my (%strange, %open);
for my $format ('csv', 'jsonl', 'xlsx', 'pdf')
{
	my $id = as('bob', "SELECT jobs.export('SELECT * FROM much ORDER BY t, n DESC', '$format')");

	next if $id =~ /0A000/;		# built without
	my $pid = $node->wait_running($id);
	while ($node->job($id, 'state') eq 'running')
	{
		for my $fd (glob "/proc/$pid/fd/*")
		{
			my $path = readlink($fd) // next;
			my @stat = stat $fd;

			next unless @stat && -f _;
			$open{$path} = 1 if $path =~ /pgsql_tmp/;
			# A file without a name is nobody else's; the rest has to be the server's own.
			next if $path =~ /\(deleted\)$|^\/memfd/ || $path !~ m{^/} || $path =~ m{^/(usr|etc|proc|sys|dev)/|\.so|/var/cache/fontconfig};
			$strange{"$format $path"} = 1 if index($path, $data_dir) != 0 && -w $fd && $path !~ /\.log$/;
			$strange{"$format $path is open to others"} = 1 if $path =~ /pgsql_tmp/ && $stat[2] & 077;
		}
		Time::HiRes::usleep(2_000);
	}
	expected('P34', "an export as $format", $node->job($id, 'state'), 'succeeded');
}
expected('P34', 'files that workers have open are the server\'s own (' . scalar(keys %open) . ' temporary ones seen)', join(', ', sort keys %strange), '');
expected('P34', 'nothing is left in directories that all may write to', $outside->(), $before);

# ----------------------------------------------------------------------------
# P39: one role asks for everything
# ----------------------------------------------------------------------------

for my $call ("run('SELECT 1', timeout => '-1')", "run('SELECT 1', timeout => '-1 second')", "run('SELECT 1', max_attempts => 0)",
	q{bulk('SELECT $1', '[1]', workers => 1000000)}, q{bulk('SELECT $1', '[1]', workers => 0)}, q{claim('q', 1000000000)}, q{claim('q', -1)})
{
	refused('P39', $call, "SELECT jobs.$call", '22023');
}
# A job can only wait for jobs that are there, so there is no circle.
refused('P39', 'a job that waits for itself',
	q{SELECT jobs.run('SELECT 1', after => ARRAY[(SELECT jobs.run('SELECT 1') + 1)])}, '42704');
like(as('mallory', q{SELECT count(jobs.run('SELECT 1', title => 'x' || g, queue => 'q' || g % 1000, run_at => '2200-01-01')) FROM generate_series(1, 10000) g}),
	qr/^10000$/, 'P39 10,000 jobs in 1,000 queues');
as('mallory', q{SELECT jobs.run('SELECT 1', after => array_agg(id)) FROM jobs.job WHERE title ~ '^x[1-9]\d{3}$'});
as('mallory', q{SELECT count(jobs.run('SELECT pg_sleep(0.05)', priority => 2147483647)) FROM generate_series(1, 10000) g});
as('mallory', q{SELECT jobs.bulk_query('SELECT pg_sleep(0.001 * ($1->>''n'')::integer / ($1->>''n'')::integer)', 'SELECT n FROM generate_series(1, 1000000) n', workers => 1024, priority => 2147483647)});
as('mallory', q{SELECT count(pg_notify('jobs', 'x' || g)) FROM generate_series(1, 20000) g});
my @waited;
for (1 .. 5)
{
	my $id = as('bob', q{SELECT jobs.run('SELECT 1', priority => -2147483648)});

	is($node->wait_job($id), 'succeeded', 'P39 a job of another role');
	push @waited, $node->job($id, 'extract(epoch FROM started_at - created_at)');
}
note('it began after ' . join(', ', map { sprintf '%.0f ms', 1000 * $_ } @waited));
ok((sort { $a <=> $b } @waited)[2] < 1, 'P39 begins within a second, whatever another role has asked for: expected');
$node->sql(q{SELECT count(jobs.cancel(id)) FROM jobs.job WHERE owner = 'mallory' AND state IN ('queued', 'running')});

# ----------------------------------------------------------------------------
# P41, P48: texts that programs would calculate with or execute
# ----------------------------------------------------------------------------

my @formulas = ('=HYPERLINK("http://evil/","x")', '@SUM(1+1)*cmd|\' /C calc\'!A0', "\t=1+1", "\r=1+1", '+1+1', '-1+1', "\xef\xbc\x9d1+1");
my $values = join ', ', map { '($f$' . $_ . '$f$)' } @formulas;
my $csv = as('bob', qq{SELECT jobs.export(\$q\$SELECT v FROM (VALUES $values) f(v)\$q\$, options => '{"escape_formulas": true, "header": false}')});
expected('P41', 'an export of formulas', $node->wait_job($csv), 'succeeded');
my $file = $node->sql("SELECT encode(string_agg(d, ''), 'hex') FROM jobs.download($csv) d");
my @lines = split /\n/, pack('H*', $file);
expected('P41', "as CSV with escape_formulas: $formulas[$_]" =~ s/[\t\r]/ /gr, $lines[$_] =~ /^"?'/ ? 't' : $lines[$_]) for 0 .. $#formulas;

my $xss = '<img src=x onerror=alert(1)>';
my $panel = as('bob', qq{SELECT jobs.run('SELECT 1/0', title => '$xss', queue => '$xss')});
$node->wait_job($panel);
expected('P48', 'the panel makes no markup of a title', $node->sql("SELECT title FROM jobs.panel WHERE id = $panel"), $xss);
$panel = as('bob', qq{SELECT jobs.run('DO \$\$BEGIN RAISE ''$xss''; END\$\$')});
$node->wait_job($panel);
expected('P48', 'nor of an error', $node->sql("SELECT headline FROM jobs.panel WHERE id = $panel"), "Failed \xe2\x80\x94 $xss");
like($node->sql(q{SELECT jobs.content_disposition('a"; x=<script>.csv')}), qr/^attachment; filename="[^"\\]*"(; filename\*=UTF-8''[\w.%~-]*)?$/,
	'P48 a file\'s name in an HTTP header stays in its quotes: expected');
refused('P48', 'a file\'s name with a header', q{SELECT jobs.export('SELECT 1', filename => E'a\r\nSet-Cookie: x')}, '22023');

# ----------------------------------------------------------------------------
# P46, P47: messages, before an administrator has allowed any and after; what a courier
# does with addresses inside is 096_courier_attacks's
# ----------------------------------------------------------------------------

my @urls = ('http://127.0.0.1/', 'https://127.0.0.1/', 'http://169.254.169.254/latest/meta-data', 'https://169.254.169.254/', 'https://[::ffff:127.0.0.1]/',
	'https://2130706433/', 'https://0x7f.0.0.1/', 'file:///etc/passwd', 'gopher://x/', 'https://user:pass@example.com/', 'https://localhost/');

refused('P46', "webhook to $_", qq{SELECT jobs.run('SELECT 1', notify => '{"webhook": "$_"}')}, '(22023|42501)') for @urls;
refused('P46', 'webhook', q{SELECT jobs.run('SELECT 1', notify => '{"webhook": "https://example.com/"}')}, '42501');
refused('P46', 'webhook of a superuser, too', q{SELECT jobs.run('SELECT 1', notify => '{"webhook": "https://example.com/"}')}, '42501', $node->sql('SELECT current_user'));
refused('P47', 'mail', q{SELECT jobs.run('SELECT 1', notify => '{"email": "bob@example.com"}')}, '42501');
refused('P47', 'a title with a line end', q{SELECT jobs.run('SELECT 1', title => E'x\r\nBcc: all@example.com')}, '22023');
refused('P47', "$_ by a role to whom it was not granted", "SELECT jobs.$_", '42501')
  for q{claim_deliveries('email')}, 'finish_delivery(1, 1)', q{fail_delivery(1, 1, 'x')}, q{next_delivery('email')};
refused('P47', 'a domain allowed by anybody', q{SET jobs.mail_domains = '*'}, '55P02');
refused('P47', 'a limit raised by anybody', q{SET jobs.max_deliveries_per_role = 0}, '42501');

$node->append_conf('postgresql.conf', "jobs.mail_domains = 'example.com'\njobs.webhook_hosts = '*'\njobs.max_deliveries_per_role = 50");
$node->reload;
ok($node->poll(q{current_setting('jobs.webhook_hosts') = '*'}), 'messages are allowed');
refused('P46', "webhook to $_, where any host is allowed", qq{SELECT jobs.run('SELECT 1', notify => '{"webhook": "$_"}')}, '(22023|42501)') for @urls;
refused('P47', "mail to $_->[0]", qq{SELECT jobs.run('SELECT 1', notify => jsonb_build_object('email', $_->[1]))}, $_->[2])
  for ['an address with a line end', q{E'bob@example.com\r\nBcc: all@example.com'}, '22023'],
  ['two addresses', q{'bob@example.com,all@example.com'}, '22023'],
  ['a million characters', q{repeat('x', 1000000) || '@example.com'}, '22023'],
  ['another domain', q{'bob@evil.com'}, '42501'];
as('mallory', <<'SQL');
DO $$
BEGIN
	FOR i IN 1 .. 10000 LOOP
		BEGIN
			PERFORM jobs.cancel(jobs.run('SELECT 1', run_at => 'tomorrow', notify => '{"email": "bob@example.com"}'));
		EXCEPTION WHEN configuration_limit_exceeded THEN
			EXIT;
		END;
	END LOOP;
END $$
SQL
expected('P47', 'mails of 10,000 that were asked for', $node->sql('SELECT count(*) FROM jobs.delivery'), '50');
refused('P47', 'one more', q{SELECT jobs.run('SELECT 1', notify => '{"email": "bob@example.com"}')}, '53400', 'mallory');

# ----------------------------------------------------------------------------
# P49: large objects
# ----------------------------------------------------------------------------

refused('P49', 'download_lo of another role\'s file', "SELECT jobs.download_lo($csv)", '42704');
my $lo = as('bob', "SELECT jobs.download_lo($csv)");
refused('P49', "$_ of another role's large object", "SELECT $_", '42501')
  for "lo_get($lo)", "lo_unlink($lo)", "lo_put($lo, 0, '\\x00')", "lo_export($lo, '/tmp/x')";
expected('P49', 'its owner is who called, and nobody else has a right', $node->sql("SELECT lomowner::regrole, lomacl FROM pg_largeobject_metadata WHERE oid = $lo"), 'bob|');
expected('P49', 'it is his to remove', as('bob', "SELECT lo_unlink($lo)"), '1');
as('bob', "BEGIN; SELECT jobs.download_lo($csv); ROLLBACK");
expected('P49', 'and none is left', $node->sql('SELECT count(*) FROM pg_largeobject_metadata'), '0');

# ----------------------------------------------------------------------------
# The list in the documentation
# ----------------------------------------------------------------------------

my %where = slurp_file('docs/security.md') =~ /^\| (P\d\d) \|.*\| ([^|]*) \|$/mg;
for my $probe (map { sprintf 'P%02d', $_ } 1 .. 52)
{
	my @tests = map { glob "sql/$_.sql test/t/$_.pl" } ($where{$probe} // '') =~ /`(\w+)`/g;
	my @trying = grep { -e && slurp_file($_) =~ /\b$probe\b/ } @tests;

	ok(@trying, "$probe is tried by a test that docs/security.md names");
}

$node->log_ok;
$node->stop('immediate');
done_testing;
