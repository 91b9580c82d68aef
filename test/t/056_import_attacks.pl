# Attacks by imported files and rules, and on what imports read and write: P32,
# P33, P40 to P44 of the list of attacks, and again those of the identity, where
# the code that an import meets is not its owner's.

use strict;
use warnings;

use File::Temp;
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = JobsTest->create('main', conf => "jobs.max_workers = 2\njobs.max_upload_size = '64MB'\nwork_mem = '4MB'\n");

$node->sql(q{CREATE ROLE mallory LOGIN; CREATE ROLE bob LOGIN; GRANT CREATE ON SCHEMA public TO mallory, bob});

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

# How a preview of a text has ended, with what it found, and its id.
sub preview
{
	my ($role, $target, $content, $options) = @_;
	my $id = as($role, "SELECT jobs.import_preview('$target', content => \$c\$$content\$c\$, options => \$o\$" . ($options // '{}') . '$o$)');

	return ($id, 'at once') unless $id =~ /^\d+$/;
	$node->wait_job($id);
	return ($node->job($id, q{concat_ws(' ', state, error_code)})
		  . join(', ', '', split /\n/, $node->sql("SELECT concat_ws(' ', row_no, column_name, code) FROM jobs.import_issue WHERE job = $id ORDER BY 1")), $id);
}

sub import_of
{
	my ($role, $preview) = @_;
	my $id = as($role, "SELECT jobs.import($preview)");

	return $id unless $id =~ /^\d+$/;
	$node->wait_job($id);
	return $node->job($id, q{concat_ws(' ', state, error_code, result ->> 'inserted')});
}

# ----------------------------------------------------------------------------
# P32, P33: files of the server
# ----------------------------------------------------------------------------

my $dir = File::Temp->newdir;
chmod 0755, "$dir";
append_to_file("$dir/file", "a\n1\n");
symlink '/etc/passwd', "$dir/link";
system('mkfifo', "$dir/fifo");
for my $path ('/etc/passwd', 'PG_VERSION', "$dir/file", "$dir/link", '/dev/zero', '/proc/self/environ')
{
	refused('P32', $path =~ s/^\Q$dir\E/.../r, "SELECT jobs.upload_file('$path')", '42501');
}
$node->sql('GRANT pg_read_server_files TO bob');
for my $path ("$dir/fifo", '/dev/zero', '/dev/null', '/proc/self/environ', '/proc/self/mem', $dir, "$dir/missing")
{
	my $got = as('bob', "SELECT jobs.upload_file('$path')");

	like($got, qr/^(42|58)\w{3}:/, 'P32 as a member, ' . ($path =~ s/^\Q$dir\E/.../r) . ': refused');
}
like(as('bob', "SELECT jobs.upload_file('$dir/file')"), qr/^\d+$/, 'P32 as a member, a file: expected');
my $upload = as('bob', "SELECT jobs.upload_file('$dir/file')");
as('bob', 'CREATE TABLE bobs (a int)');
$node->sql('REVOKE pg_read_server_files FROM bob');
# The bytes were read at the call, as its caller, and are his: nothing is read later.
my $job = as('bob', "SELECT jobs.import_preview('bobs', upload => $upload)");
expected('P33', 'the right revoked after the upload, whose bytes are there', $node->wait_job($job), 'succeeded');
refused('P33', 'and before the next', "SELECT jobs.upload_file('$dir/file')", '42501', 'bob');
refused('P33', 'the upload of somebody else', "SELECT jobs.import_preview('bobs', upload => $upload)", '(42704|42501)');
refused('P33', 'bytes added to it', "SELECT jobs.upload_append($upload, 'x')", '42704');
refused('P33', 'its deletion', "SELECT jobs.upload_delete($upload)", '42704');
refused('P33', 'a look at it', "SELECT jobs.sniff($upload)", '42704');
refused('P33', 'a table for it', "SELECT jobs.create_table_for($upload, 'x')", '42704');
expected('P33', 'nor is it seen', as('mallory', 'SELECT count(*) FROM jobs.upload'), '0');

# ----------------------------------------------------------------------------
# P40: files that want to break something
# ----------------------------------------------------------------------------

as('mallory', 'CREATE TABLE hers (a text, b text)');

# Written by Python, which makes gzip of 64 MB in no time; sizes are such as a test may have.
my %files = (
	'gzip of 200 MB' => q{import gzip; w(gzip.compress(b'a,b\n' + b'x' * 200_000_000))},
	'gzip in gzip' => q{import gzip; w(gzip.compress(gzip.compress(b'a,b\n1,2\n' * 10000)))},
	'gzip cut off' => q{import gzip; w(gzip.compress(b'a,b\n' + b'1,2\n' * 100000)[:200])},
	'gzip with garbage behind' => q{import gzip; w(gzip.compress(b'a,b\n1,2\n') + b'garbage')},
	'field of 60 MB' => q{w(b'a,b\n1,"' + b'x' * 60_000_000 + b'"\n')},
	'quote that never ends' => q{w(b'a,b\n1,"' + b'x\n' * 20_000_000)},
	'500,000 columns' => q{w(b','.join(b'c%d' % i for i in range(500000)) + b'\n' + b',' * 499999 + b'\n')},
	'50,000,000 commas' => q{w(b'a,b\n' + b',' * 50_000_000 + b'\n')},
	'only line ends' => q{w(b'\n' * 30_000_000)},
	'NUL' => q{w(b'a,b\n1,\x00\n2,3\n')},
	'invalid UTF-8' => q{w(b'a,b\n1,\xff\xfe\xc3\n2,3\n')},
	'lone surrogates' => q{w(b'a,b\n1,\xed\xa0\x80\n2,3\n')},
	'UTF-16' => q{w('a,b\n1,2\n'.encode('utf-16'))},
	'UTF-7' => q{w(b'a,b\n+AD0-1+-1,2\n')},
	'CR only' => q{w(b'a,b\r1,2\r3,4\r')},
	'random bytes' => q{import random; random.seed(1); w(random.randbytes(1_000_000))},
	'nothing' => q{w(b'')});
my $most = 0;
my $id;
for my $name (sort keys %files)
{
	my $path = "$dir/hostile";

	system('python3', '-c', "def w(b): open('$path', 'wb').write(b)\n$files{$name}") == 0 or die "no $name";
	my $id = $node->sql("SELECT jobs.upload_file('$path')");
	my ($preview, $state) = ('refused at once', 'refused at once');
	my $from = Time::HiRes::time();
	if ($id =~ /^\d+$/)
	{
		$node->sql("GRANT ALL ON hers TO PUBLIC");
		$preview = as($node->sql('SELECT current_user'), "SELECT jobs.import_preview('hers', upload => $id)");
		if ($preview =~ /^\d+$/)
		{
			while (($state = $node->job($preview, q{concat_ws(' ', state, error_code)})) =~ /queued|running/)
			{
				my $pid = $node->sql("SELECT pid FROM jobs.progress WHERE id = $preview");
				my $memory = $pid ? eval { $node->memory_of($pid) } || 0 : 0;

				$most = $memory if $memory > $most;
				Time::HiRes::usleep(10_000);
				last if Time::HiRes::time() - $from > 120;
			}
		}
		else
		{
			$state = "refused, $preview";
		}
	}
	my $looked = $id =~ /^\d+$/ ? as($node->sql('SELECT current_user'), "SET statement_timeout = '60 s'; SELECT count(*) FROM jobs.sniff($id)") : '22';

	like($looked, qr/^(1|(22|42|54)\w{3}.*)$|^22$/, "P40 a look at $name: expected");
	like($state, qr/^(succeeded|refused|failed (22|42|53|54|55)\w{3})/, "P40 $name: expected ($state)");
}
SKIP:
{
	skip 'memory under a sanitizer', 1 if $node->has_sanitizer;
	cmp_ok($most, '<', 256 * 1024, "P40 a worker's memory whatever the file: expected ($most kB)");
}
# A gzip may hold what an upload may have, however it is decoded, and not a byte more.
for my $encoding ('UTF8', 'UTF-16LE', 'EUC_JP')
{
	for my $more (0, 1)
	{
		system('python3', '-c', "import gzip; text = ('a,b\\n' + ('x' * 1023 + '\\n') * 65536).encode('$encoding')[:64 << 20]; "
			  . "open('$dir/inflated', 'wb').write(gzip.compress(text + b'x' * $more, 1))") == 0 or die 'no gzip';
		$id = $node->sql("SELECT jobs.import_preview('hers', upload => jobs.upload_file('$dir/inflated'), options => '{\"encoding\": \"$encoding\"}')");
		$node->wait_job($id);
		expected('P40', "a gzip of 64 MB and $more bytes in $encoding", $node->job($id, q{concat_ws(' ', state, error_code, error_message)}),
			$more ? 'failed 54000 the gzip file holds more than 64 MB' : 'succeeded');
	}
}
# Names that are equal but for case.
$id = $node->sql(q{SELECT jobs.import_preview('hers', content => (SELECT string_agg('a' || i, ',') FROM generate_series(1, 30000) i) || E'\n',
	options => jsonb_build_object('header', true, 'mapping', (SELECT jsonb_object_agg('A' || i, CASE WHEN i = 7 THEN 'B' END) FROM generate_series(1, 30000) i)),
	timeout => '20 s')});
$node->wait_job($id);
expected('P40', 'a mapping of 30,000 names that differ by case only', $node->job($id, q{concat_ws(' ', state, error_code, result #> '{columns,columns}')}),
	'succeeded [{"file": "a7", "target": "b"}]');
refused('P40', 'an upload above the limit', q{SELECT jobs.upload_append(jobs.upload(), repeat('x', 70000000)::bytea)}, '54000');
refused('P40', 'options a million levels deep',
	q{SELECT jobs.import_preview('hers', content => 'a', options => (repeat('{"a":', 1000000) || '1' || repeat('}', 1000000))::jsonb)}, '(54001|22023|22P02)');

# ----------------------------------------------------------------------------
# P41: what goes out again
# ----------------------------------------------------------------------------

as('mallory', 'CREATE TABLE checked (a int, b text)');
my $found;
($found, $id) = preview('mallory', 'checked', "a,b\nx,=HYPERLINK(\"\"http://evil\"\")\ny,\@SUM(1)\n");
my $rejects = $node->sql("SELECT convert_from(string_agg(c, ''), 'UTF8') FROM jobs.rejects($id) c");
# They are the file's own bytes, to be mended and uploaded again; what is ours, the reason, begins with a word.
like($rejects, qr/^x,"=HYPERLINK.*,1,"A ""x"" is not/m, 'P41 the rows that were left out are as they came, and say why in words: expected');

# ----------------------------------------------------------------------------
# P42: rules
# ----------------------------------------------------------------------------

as('bob', q{CREATE TABLE secrets (s text); INSERT INTO secrets VALUES ('secret')});
($found) = preview('mallory', 'hers', "a,b\n1,2\n", q({"rules": {"a": {"check": "sql: EXISTS (SELECT FROM secrets WHERE s LIKE value)"}}}));
like($found, qr/42501|22023|0A000|rule_failed/, "P42 a rule that reads another role's table: refused ($found)");
for my $rule (q{sql: (SELECT count(*) FROM pg_authid) > 0}, q{sql: pg_read_file('/etc/passwd') IS NULL}, q{sql: 1); DROP TABLE hers; --},
	q{sql: set_config('role', 'bob', false) IS NULL}, q{sql: value; SELECT 1})
{
	my $options = $rule =~ s/"/\\"/gr;

	($found) = preview('mallory', 'hers', "a,b\n1,2\n", qq({"rules": {"a": {"check": "$options"}}}));
	like($found, qr/\d{2}[\dA-Z]{3}|rule_failed/, "P42 $rule: refused ($found)");
}
expected('P42', 'the table is still there', $node->sql(q{SELECT count(*) FROM pg_class WHERE relname = 'hers'}), '1');
for my $slow (q{sql: pg_sleep(600) IS NULL}, q{regex:^(a+)+$})
{
	my $options = $slow =~ s/\\/\\\\/gr;
	my $start = as('mallory', qq{SELECT jobs.import_preview('hers', content => E'a,b\\n} . 'a' x 40 . qq{!,2\\n', options => \$o\${"rules": {"a": {"check": "$options"}}}\$o\$, timeout => '500 ms')});

	if ($start =~ /^\d+$/)
	{
		my $from = Time::HiRes::time();
		my $end = $node->wait_job($start);

		ok(Time::HiRes::time() - $from < 10, "P42 $slow: ends by its timeout, or is none: expected ($end)");
	}
	else
	{
		ok(1, "P42 $slow: refused, $start");
	}
}

# ----------------------------------------------------------------------------
# P43: targets
# ----------------------------------------------------------------------------

for my $target ('pg_catalog.pg_class', 'pg_authid', 'jobs.live', 'jobs.job', 'secrets', 'pg_toast.pg_toast_1255', 'information_schema.tables')
{
	for my $role ('mallory', $node->sql('SELECT current_user'))
	{
		next if $role ne 'mallory' && $target eq 'secrets';
		my ($end) = preview($role, $target, "a\n1\n");

		like($end, qr/^(42|22|55|0A|failed (42|22|55|0A))/, "P43 into $target as " . ($role eq 'mallory' ? $role : 'a superuser') . ": refused ($end)");
	}
}
# A row of a job, by who may write into every table.
refused('P43', 'a superuser\'s rows for jobs of his own making', q{SELECT jobs.import_preview('jobs.live', content => E'id,kind,command\\n1,run,DROP\\n')}, '42501',
	$node->sql('SELECT current_user'));
# The same rights as an INSERT by hand.
as('bob', q{CREATE TABLE partly (a int, b int, c int DEFAULT 7); GRANT INSERT (a), SELECT (a) ON partly TO mallory});
($found, $id) = preview('mallory', 'partly', "a,b\n1,2\n");
like($found, qr/42501/, "P43 a column without INSERT: refused ($found)");
($found, $id) = preview('mallory', 'partly', "a\n1\n");
expected('P43', 'the column with it', import_of('mallory', $id), 'succeeded 1');
expected('P43', 'which is there, and the default with it', $node->sql('SELECT * FROM partly'), '1||7');
# It goes meanwhile.
($found, $id) = preview('mallory', 'partly', "a\n2\n");
as('bob', 'REVOKE ALL (a) ON partly FROM mallory');
like(import_of('mallory', $id), qr/42501/, 'P43 a right that was revoked after the preview: refused, 42501');
refused('P43', 'the import of another role\'s preview', "SELECT jobs.import($id)", '42704', 'bob');
# Whose SQL its rules are.
refused('P43', 'and a superuser\'s, who would run its rules', "SELECT jobs.import($id)", '42501', $node->sql('SELECT current_user'));
# Whose code an import meets: a table of bob's with a trigger, a default, a check and a policy that strike.
as('bob', q{CREATE TABLE struck (who name, what text); GRANT INSERT ON struck TO PUBLIC;
	CREATE FUNCTION strike(what text) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		BEGIN ALTER ROLE bob SUPERUSER; what := what || ' SUPERUSER'; EXCEPTION WHEN OTHERS THEN END;
		BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN END;
		BEGIN SET SESSION AUTHORIZATION DEFAULT; EXCEPTION WHEN OTHERS THEN END;
		BEGIN ALTER ROLE bob SUPERUSER; what := what || ' SUPERUSER'; EXCEPTION WHEN OTHERS THEN END;
		-- A preview is read only.
		BEGIN INSERT INTO public.struck VALUES (current_user, what); EXCEPTION WHEN OTHERS THEN END;
		RETURN 1;
	END $$;
	CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM public.strike(TG_NAME); RETURN NEW; END$$;
	CREATE DOMAIN guarded AS int CHECK (public.strike('domain') = 1);
	CREATE TABLE trapped (a guarded, b int DEFAULT public.strike('default'), c int CHECK (public.strike('check') = 1));
	CREATE TRIGGER before_row BEFORE INSERT ON trapped FOR EACH ROW EXECUTE FUNCTION trap();
	CREATE TRIGGER after_statement AFTER INSERT ON trapped EXECUTE FUNCTION trap();
	CREATE CONSTRAINT TRIGGER deferred_row AFTER INSERT ON trapped DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trap();
	GRANT INSERT, SELECT ON trapped TO mallory});
($found, $id) = preview('mallory', 'trapped', "a,c\n1,2\n3,4\n");
import_of('mallory', $id) if $id =~ /^\d+$/;
cmp_ok($node->sql('SELECT count(DISTINCT what) FROM struck'), '>=', 3, 'P43 code that belongs to a table runs');
expected('P43', 'as the owner of the import, who gains nothing, also at the commit', $node->sql('SELECT string_agg(DISTINCT who::text, \',\'), bool_or(what ~ \'SUPERUSER\') FROM struck'), 'mallory|f');
expected('P43', 'nobody became a superuser', $node->sql(q{SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname IN ('bob', 'mallory')}), '0');

# ----------------------------------------------------------------------------
# P44: does a preview tell what one may not see?
# ----------------------------------------------------------------------------

as('bob', q{CREATE TABLE people (email text PRIMARY KEY, owner name DEFAULT current_user); ALTER TABLE people ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON people USING (owner = current_user) WITH CHECK (true);
	INSERT INTO people VALUES ('secret@example.com', 'bob'); GRANT SELECT, INSERT ON people TO mallory;
	CREATE TABLE parents (id int PRIMARY KEY); INSERT INTO parents VALUES (4711);
	CREATE TABLE children (parent int REFERENCES parents); GRANT INSERT, SELECT ON children TO mallory; GRANT REFERENCES ON parents TO mallory});
my ($hidden) = preview('mallory', 'people', "email\nsecret\@example.com\n");
my ($absent) = preview('mallory', 'people', "email\nnobody\@example.com\n");
my $by_hand = as('mallory', q{INSERT INTO people VALUES ('secret@example.com')});
like($by_hand, qr/^23505/, 'P44 an INSERT by hand tells of the key that is taken');
note("a hidden row: $hidden; none: $absent; by hand: $by_hand");
ok($hidden eq $absent || $by_hand =~ /^23505/, 'P44 a preview tells no more than an INSERT by hand: expected');
unlike($node->sql(q{SELECT coalesce(string_agg(message, ' '), '') FROM jobs.import_issue WHERE message ~ 'bob'}), qr/bob/, 'P44 nor whose the row is: expected');
my ($points) = preview('mallory', 'children', "parent\n4711\n");
my ($misses) = preview('mallory', 'children', "parent\n4712\n");
note("a foreign key that is there: $points; that is not: $misses");
like(as('mallory', 'INSERT INTO children VALUES (4712)'), qr/^23503/, 'P44 and so it is with foreign keys: by hand it tells');
as('bob', q{CREATE TABLE blind (email text PRIMARY KEY); INSERT INTO blind VALUES ('secret@example.com'); GRANT INSERT ON blind TO mallory});
my ($blind) = preview('mallory', 'blind', "email\nsecret\@example.com\n");
note("without SELECT: $blind");
ok($blind !~ /secret/, 'P44 a table that one may only insert into: no value of it: expected');

# Another role's previews.
($found, $id) = preview('bob', 'bobs', "a\nx\n");
refused('P18', "$_ of another role's preview", "SELECT jobs.$_($id)", '42704') for 'import', 'rejects', 'undo_import';
expected('P18', 'its issues', as('mallory', "SELECT count(*) FROM jobs.import_issue WHERE job = $id"), '0');
like(as('mallory', "SELECT rows_parsed FROM jobs.import_summary($id)"), qr/^(42704.*)?$/, 'P18 its summary: refused, or nothing');

$node->log_ok;
$node->stop('immediate');
done_testing;
