# The documentation does what it says.
#
# In README.md and docs/*.md, blocks of SQL (```sql) run in the order in which
# they stand, in a database of their own for each file, and none may fail.
# What a block needs and the reader does not is in a comment: <!-- sql ... -->.
# Blocks that follow <!-- run: download --> must leave transactions.csv, the file of
# job 1; those that follow <!-- run: upload --> must upload contacts.csv; the queries in
# YAML that follow <!-- run: queries --> must have the columns that it names.  They run
# where their language is there, see test/lib/DocsTest.pm.  Blocks that follow another
# <!-- run: ... --> are for 093_recipes, and <!-- run: webhook --> for 096_courier_attacks.
# Output, errors and what needs another server stand in ```text.
#
# Then: the generated pages are as the generator makes them, the reference names all that
# there is, links lead somewhere, and the guide to the sources names every one of them.

use strict;
use warnings;

use Digest::SHA;
use DocsTest;
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = dirname(dirname(dirname(__FILE__)));
my @documents = ("$top/README.md", glob "$top/docs/*.md");

my $node = PostgreSQL::Test::Cluster->new('docs');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'jobs'
max_worker_processes = 16
listen_addresses = '127.0.0.1'
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE docs_monitor LOGIN IN ROLE pg_monitor');

# ----------------------------------------------------------------------------
# Blocks
# ----------------------------------------------------------------------------

sub run_sql
{
	my ($name, $dbname, @blocks) = @_;
	my $script = '';

	$script .= sprintf("\\echo === line %d\n%s", $_->{line}, $_->{text}) for @blocks;
	my ($status, $stdout, $stderr) = $node->psql($dbname, $script, on_error_stop => 1, on_error_die => 0);

	# Old versions of psql tell the block only by what came before.
	is($status, 0, "$name: " . @blocks . ' blocks of SQL')
	  or diag "after " . ($stdout =~ /.*(=== line \d+)/s)[0] . ": $stderr";
	return;
}

# Runs a block that downloads or uploads, in a directory of its own.
sub run_program
{
	my ($name, $dbname, $block) = @_;
	my $dir = File::Temp->newdir;
	my $what = "$name: $block->{run} in $block->{language}, line $block->{line}";
	my $contacts = join '', map { "$_,contact $_\n" } 1 .. 200_000;

	append_to_file("$dir/contacts.csv", $contacts) if $block->{run} eq 'upload';
  SKIP:
	{
		skip "$what: cannot be run here", 1 unless can_run($block, "$dir");
		my (undef, $out) = run_block($block, "$dir");

		if ($block->{run} eq 'upload')
		{
			is($node->safe_psql($dbname, 'SELECT bytes FROM jobs.upload ORDER BY id DESC LIMIT 1'), length $contacts, $what)
			  or diag $out;
		}
		else
		{
			is(-e "$dir/transactions.csv" ? Digest::SHA->new(256)->addfile("$dir/transactions.csv")->hexdigest : $out,
				$node->safe_psql($dbname, 'SELECT sha256 FROM jobs.artifact WHERE job = 1'), $what);
		}
	}
	return;
}

# The queries of an exporter, as plain SQL by a monitoring role.
sub run_queries
{
	my ($name, $dbname, $yaml) = @_;
	my $n = 0;

	# The page may have ended with its removal.
	$node->safe_psql($dbname, 'CREATE EXTENSION IF NOT EXISTS jobs');
	while ($yaml =~ /^(\w+):\n(?:  master: true\n)?  query: \|\n((?:    .*\n)+)  metrics:\n((?:    .*\n)+)/mg)
	{
		my ($metric, $query, $columns) = ($1, $2, $3);
		my @named = $columns =~ /^    - (\w+):/mg;
		my (undef, $out, $err) = $node->psql($dbname, $query, extra_params => [ '-U', 'docs_monitor', '-P', 'tuples_only=off', '-P', 'footer=off' ]);

		is((split /\n/, $out)[0] // $err, join('|', @named), "$name: query $metric");
		$n++;
	}
	is($n, scalar(() = $yaml =~ /^\w+:/mg), "$name: all queries are read");
	return;
}

for my $file (@documents)
{
	my $name = basename($file);
	my $dbname = lc $name =~ s/\..*//r;
	my @blocks = blocks($file);

	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => $dbname, PGUSER => scalar getpwuid $<);
	$node->safe_psql('postgres', "CREATE DATABASE $dbname");
	run_sql($name, $dbname, grep { $_->{language} eq 'sql' && !$_->{run} } @blocks);
	run_program($name, $dbname, $_) for grep { ($_->{run} // '') =~ /^(?:download|upload)$/ } @blocks;
	run_queries($name, $dbname, $_->{text}) for grep { ($_->{run} // '') eq 'queries' } @blocks;

	# What is code is run: only these stand for themselves.
	my @idle = grep { !$_->{run} && $_->{language} !~ /^(?:sql|text|json)$/ } @blocks;
	is(join(', ', map { "line $_->{line}" } @idle), '', "$name: every block of code is run");
}

# ----------------------------------------------------------------------------
# The generated pages
# ----------------------------------------------------------------------------

my $reference = slurp_file("$top/docs/reference.md");
my $generated = PostgreSQL::Test::Utils::tempdir();
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';

chomp(my $sharedir = `$pg_config --sharedir`);
$node->safe_psql('postgres', 'CREATE EXTENSION jobs');
{
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres');
	command_ok([ $^X, "$top/test/docs/reference.pl", $top, $generated, "$sharedir/errcodes.txt" ], 'the generator of pages runs');
}
for my $page ('reference.md', 'errors.md')
{
	my @committed = split /\n/, slurp_file("$top/docs/$page");
	my @fresh = split /\n/, slurp_file("$generated/$page");
	my %committed = map { $_ => 1 } @committed;
	my ($new) = grep { !$committed{$_} } @fresh;

	ok("@committed" eq "@fresh", "docs/$page is as `make reference` writes it")
	  or diag 'the first line that is new: ' . ($new // '(none; some have gone)');
}

for my $query (
	"SELECT DISTINCT 'jobs.' || proname FROM pg_proc WHERE pronamespace = 'jobs'::regnamespace",
	"SELECT 'jobs.' || relname FROM pg_class WHERE relnamespace = 'jobs'::regnamespace AND relkind IN ('r', 'v', 'S')",
	"SELECT DISTINCT attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
	  WHERE relnamespace = 'jobs'::regnamespace AND relkind = 'v' AND relname !~ '^_'",
	"SELECT DISTINCT unnest(proargnames) FROM pg_proc
	  WHERE pronamespace = 'jobs'::regnamespace AND proname !~ '^_'",
	"SELECT name FROM pg_settings WHERE name ~ '^jobs[.]'")
{
	my @missing = grep { $reference !~ /(?<![\w.])\Q$_\E(?!\w)/ } split /\n/, $node->safe_psql('postgres', $query);

	is("@missing", '', 'reference.md names: ' . ($query =~ /SELECT (.*) FROM/)[0]);
}

# ----------------------------------------------------------------------------
# Links and names of files
# ----------------------------------------------------------------------------

# As GitHub makes them of headings.
sub anchors
{
	my ($file) = @_;
	my %anchors;

	for my $heading (slurp_file($file) =~ /^#+ (.*)$/mg)
	{
		(my $anchor = lc $heading) =~ s/[^\w\- ]//g;
		$anchor =~ tr/ /-/;
		$anchors{$anchor} = 1;
	}
	return \%anchors;
}

for my $file (@documents, "$top/CONTRIBUTING.md", "$top/CHANGELOG.md", "$top/src/README.md")
{
	my @broken;

	for my $link (slurp_file($file) =~ /\]\(([^)\s]+)\)/g)
	{
		next if $link =~ /^https?:/;
		my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
		my $target = $path eq '' ? $file : dirname($file) . "/$path";

		push @broken, $link
		  if !-e $target || (defined $anchor && !anchors($target)->{$anchor});
	}
	is("@broken", '', basename($file) . ': links lead somewhere');
}

# Tests that a promise is said to be shown by: those are there, each row of a table of
# promises, attacks and faults has one, and those of attacks say which they try.
sub test_file
{
	my ($name) = @_;

	$name =~ s/^sql\///;
	return (grep { -e } "$top/test/t/$name.pl", "$top/sql/$name.sql", "$top/test/specs/$name.spec", "$top/test/$name/run.sh")[0];
}

for my $file ("$top/docs/reliability.md", "$top/docs/security.md")
{
	my @missing = grep { !test_file($_) } slurp_file($file) =~ /`(\d{3}_\w+|sql\/\w+)`/g;

	is("@missing", '', basename($file) . ' names tests that are there');
}

my %rows;
for my $line (split /\n/, slurp_file("$top/docs/reliability.md") . slurp_file("$top/docs/security.md"))
{
	my ($id, @cells) = split /\s*\|\s*/, $line =~ s/^\|\s*//r;

	$rows{$id}{$line} = [ $cells[-1] =~ /`((?:sql\/)?\w+)`/g ] if $line =~ /^\| (?:[FIP]?\d+) \|/;
}

my (@unshown, @absent, @silent);
for my $id ((map { sprintf 'P%02d', $_ } 1 .. 52), (map { sprintf 'F%02d', $_ } 1 .. 36), map { "I$_" } 1 .. 16)
{
	push @absent, $id unless $rows{$id};
}
for my $id (sort keys %rows)
{
	while (my ($line, $tests) = each %{ $rows{$id} })
	{
		my @files = grep { $_ } map { test_file($_) } @$tests;

		next if $id =~ /^I/ || $line =~ /so no test does/;
		push @unshown, $id if !@$tests || @files != @$tests;
		push @silent, $id if $id =~ /^P/ && !grep { slurp_file($_) =~ /\b$id\b/ } @files;
	}
}
is("@absent", '', 'all attacks, faults and invariants have their row');
is("@unshown", '', 'each of them and each promise has its tests');
is("@silent", '', 'which say what attack they try');
my @uncontrolled = grep { !-e sprintf "$top/test/trust/broken/I%02d.patch", $_ } 1 .. 16;
is("@uncontrolled", '', 'each invariant has a build that breaks it');

my $guide = slurp_file("$top/src/README.md");
my @unnamed = grep { index($guide, $_) < 0 } map { basename($_) } glob "$top/src/*.c $top/src/import/*.c $top/src/bulk/*.c";
is("@unnamed", '', 'src/README.md names every source file');
my @gone = grep { my $name = $_; !grep { -e } "$top/src/$name", glob "$top/src/*/$name" } $guide =~ /\b(\w+\.[ch])\b/g;
is("@gone", '', 'src/README.md names no other');

$node->stop;
done_testing();
