# jobs.psql, as it is installed: what a person at a psql prompt does with it.

use strict;
use warnings;

use Digest::SHA;
use IPC::Run;
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';

chomp(my $sharedir = `$pg_config --sharedir`);
ok(-f "$sharedir/extension/jobs.psql", 'it is installed with the extension');

# Sends lines to a psql in $dir; returns what it prints, and its complaints.
sub run_psql
{
	my ($script, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'env', '-C', $dir, 'psql', '-XAtq', '-d', $node->connstr('postgres'), @arguments, '-f', '-' ],
		'<', \"\\i `$pg_config --sharedir`/extension/jobs.psql\n$script", '>', \$out, '2>', \$err, IPC::Run::timeout(300));
	return ($out, $err);
}

sub sha256
{
	my ($name) = @_;

	return -e "$dir/$name" ? Digest::SHA->new(256)->addfile("$dir/$name")->hexdigest : "there is no $name";
}

# ----------------------------------------------------------------------------
# Files out
# ----------------------------------------------------------------------------

my ($out, $err) = run_psql(<<'PSQL');
SELECT jobs.export('SELECT g, md5(g::text) FROM generate_series(1, 100000) g', filename => 'Größe 1.csv') AS job \gset
SELECT jobs.wait(:job);
:save_file
SELECT count(*) FROM pg_largeobject_metadata;
PSQL
is($err, '', ':save_file: no complaint');
is($out, "succeeded\njob-1-Größe_1.csv\n0\n", '... its name, no large object left');
is(sha256('job-1-Größe_1.csv'), $node->sql('SELECT sha256 FROM jobs.artifact'), '... the file is the export');

# The name of a file is chosen by whoever made the export, and must do nothing to who saves it.
for my $name ('.psqlrc', '~root', '-n', '|touch x', q{`touch x`'"; $(touch x) & {x,y} :job %}, 'é' x 127)
{
	my $job = $node->sql(sprintf q{SELECT jobs.export('SELECT 1', filename => $q$%s$q$)}, $name);

	$node->wait_job($job);
	append_to_file("$dir/$name", 'mine') if $name eq '.psqlrc';
	($out, $err) = run_psql("\\set job $job\n:save_file\n");
	is($err, '', ":save_file of $name: no complaint");
	like($out, qr/^job-$job-[^\x00-,\/:-@\[-^`{-\x7f]+$/, '... a name that is none of those that were there');
	is(sha256($out =~ s/\n//r), $node->sql("SELECT sha256 FROM jobs.artifact WHERE job = $job"), '... the file is the export');
}
is(slurp_file("$dir/.psqlrc"), 'mine', ':save_file has left a file alone that was there');
ok(!-e "$dir/x", '... and has run nothing');

($out, $err) = run_psql(<<'PSQL');
SELECT jobs.run('SELECT 1') AS job \gset
SELECT jobs.wait(:job);
:save_file
SELECT count(*) FROM pg_largeobject_metadata;
PSQL
like($err, qr/ERROR:  job \d+ has no file/, '... of a job without a file: the error of the server');
like($out, qr/^0$/m, '... nothing is left behind');

# ----------------------------------------------------------------------------
# Files in
# ----------------------------------------------------------------------------

$node->sql('CREATE TABLE contacts (name text NOT NULL, email text UNIQUE)');
append_to_file("$dir/my contacts.csv", "name,email\nAnn,ann\@acme.com\n,nobody\@acme.com\nBob,bob\@acme.com\nAnn,ann\@acme.com\n");
($out, $err) = run_psql(<<'PSQL', '-F', ' | ');
\set file 'my contacts.csv'
\set table contacts
:preview_file
:import_file
:save_rejects
SELECT count(*) FROM pg_largeobject_metadata;
SELECT filename FROM jobs.upload;
PSQL
is($err, '', ':preview_file, :import_file, :save_rejects: no complaint');
is($out =~ s/\| [^|]* \| \{/| {/gr, <<'OUT', '... what they say');
4 rows: 2 ready · 1 warning · 1 error | {import,delete}
2 | name | Missing required field "name" | will skip
4 | email | Same email "ann@acme.com" as row 1 | will skip
2 rows imported | {undo_import,delete}
my contacts-rejects.csv
0
my contacts.csv
OUT
is($node->sql('SELECT string_agg(name, \',\' ORDER BY name) FROM contacts'), 'Ann,Bob', '... the rows are there');
is(slurp_file("$dir/my contacts-rejects.csv"), <<'CSV', '... the file of rejects');
name,email,row_no,reason
,nobody@acme.com,2,"Missing required field ""name"""
Ann,ann@acme.com,4,"Same email ""ann@acme.com"" as row 1"
CSV

# With a directory in front, and options.
mkdir "$dir/in";
append_to_file("$dir/in/more.csv", "name;email\nAnne;ann\@acme.com\nZoe;zoe\@acme.com\n");
($out, $err) = run_psql(<<'PSQL', '-F', ' | ');
\set file in/more.csv
\set table contacts
\set options '{"on_conflict": "update"}'
:preview_file
:import_file
SELECT filename FROM jobs.upload ORDER BY id DESC LIMIT 1;
PSQL
is($err, '', 'a file in another directory, with options: no complaint');
like($out, qr/^more\.csv$/m, '... its name is without the directory');
is($node->sql('SELECT string_agg(name, \',\' ORDER BY name) FROM contacts'), 'Anne,Bob,Zoe', '... and the options hold');

# A file that is not there ends in nothing, and nothing old is taken for it.
my $before = $node->sql('SELECT count(*) FROM jobs.job');
($out, $err) = run_psql(<<'PSQL');
\set file more.csv
\set table contacts
\set LASTOID 12345
:preview_file
:import_file
PSQL
like($err, qr/could not open file "more\.csv"/, 'a file that is not there: the error says so');
is($node->sql('SELECT count(*) FROM jobs.job'), $before, '... and no job comes of it');

# ----------------------------------------------------------------------------
# Watching
# ----------------------------------------------------------------------------

# A psql that draws again and again, until it has shown what is waited for.
sub watch_until
{
	my ($command, $pattern) = @_;
	my ($in, $shown, $complaints) = ("\\i `$pg_config --sharedir`/extension/jobs.psql\n$command\n", '', '');
	my $psql = IPC::Run::start([ 'psql', '-Xq', '-P', 'pager=off', '-d', $node->connstr('postgres'), '-f', '-' ],
		'<', \$in, '>', \$shown, '2>', \$complaints, IPC::Run::timeout(300));

	eval { $psql->pump while $psql->pumpable && $shown !~ $pattern };
	$psql->kill_kill;
	return $complaints eq '' ? $shown : $complaints;
}

my $job = $node->sql(q{SELECT jobs.run('SELECT jobs.report_progress(45, 100, ''nearly half''), pg_sleep(600)', title => 'Long')});
like(watch_until(':progress \watch 0.1', qr/Long(?:.*\n)+.*Long/), qr/\| running +\| #########\.{11} \|\s+45 \|\s+45 \|\s+100 \|.*nearly half/,
	':progress \watch draws bars');
my $watched = watch_until(':panel \watch 0.1', qr/Long(?:.*\n)+.*Long/);
like($watched, qr/\| Long +\| running +\| Processing 100 items|\| Long +\| running +\| Processing 100/, ':panel \watch shows the panel');
like($watched, qr/\{cancel\}/, '... with what can be done');
$node->sql("SELECT jobs.cancel($job), jobs.wait($job)");

($out, $err) = run_psql(":panel;\n:progress;\n");
is($err, '', 'both can be asked once');
like($out, qr/\|Long\|cancelled\|Cancelled\|/, '... and show what has ended');

$node->stop;
done_testing;
