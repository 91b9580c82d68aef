# The documentation does what it says.
#
# In README.md and docs/*.md, blocks of SQL (```sql) run in the order in which
# they stand, in a database of their own for each file, and none may fail.
# What a block needs and the reader does not is in a comment: <!-- sql ... -->.
# Blocks in other languages that follow <!-- run: download --> must leave
# transactions.csv, the file of job 1; those that follow <!-- run: upload --> must
# upload contacts.csv.  They run where their language is there (for JavaScript,
# JOBS_NODE_MODULES names a directory with the modules).
# Output, errors and what needs another server stand in ```text.
#
# Then: the reference names all that there is, links lead somewhere, and the
# guide to the sources names every one of them.

use strict;
use warnings;

use Digest::SHA;
use File::Basename;
use File::Temp;
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
CONF
$node->start;

# How to run a block, after a command that tells whether it can be run.
my %languages = (
	sh => [ [ 'sh', '-c', 'command -v base64' ], 'bash' ],
	python => [ [ 'python3', '-c', 'import psycopg' ], 'python3' ],
	'python of either psycopg' => [ [ 'python3', '-c', "try: import psycopg\nexcept ImportError: import psycopg2" ], 'python3' ],
	js => [ [ 'sh', '-c', 'test -d node_modules/pg-query-stream && command -v node' ], 'node' ],
);

# ----------------------------------------------------------------------------
# Blocks
# ----------------------------------------------------------------------------

# A list of [language, how, line, text]; language is hidden for a comment.
sub blocks
{
	my ($file) = @_;
	my (@blocks, $block, $run);

	for my $line (split /\n/, slurp_file($file))
	{
		if ($block)
		{
			if ($line eq $block->{end})
			{
				push @blocks, $block;
				undef $block;
			}
			else
			{
				$block->{text} .= "$line\n";
			}
		}
		elsif ($line =~ /^```(\w*)$/)
		{
			$block = { language => $1, run => $run, end => '```', text => '' };
			undef $run;
		}
		elsif ($line eq '<!-- sql')
		{
			$block = { language => 'sql', end => '-->', text => '' };
		}
		elsif ($line =~ /^<!-- run: (\w+) -->$/)
		{
			$run = $1;
		}
	}
	ok(!$block, basename($file) . ': every block ends');
	return @blocks;
}

sub run_sql
{
	my ($name, $dbname, @blocks) = @_;
	my $script = '';
	my $n = 0;

	$script .= sprintf("\\echo === block %d\n%s", ++$n, $_->{text}) for @blocks;
	my ($status, $stdout, $stderr) = $node->psql($dbname, $script, on_error_stop => 1, on_error_die => 0);

	# Old versions of psql tell the block only by what came before.
	is($status, 0, "$name: $n blocks of SQL")
	  or diag "after " . ($stdout =~ /.*(=== block \d+)/s)[0] . ": $stderr";
	return;
}

# Runs a block that downloads or uploads, in a directory of its own.
sub run_program
{
	my ($name, $dbname, $block) = @_;
	my $language = $block->{language} . ($block->{text} =~ /psycopg2/ ? ' of either psycopg' : '');
	my ($probe, $program) = @{ $languages{$language} };
	my $dir = File::Temp->newdir;
	my $what = "$name: $block->{run} in $block->{language}";
	my $contacts = join '', map { "$_,contact $_\n" } 1 .. 200_000;

	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => $dbname);
	symlink $ENV{JOBS_NODE_MODULES}, "$dir/node_modules" if $ENV{JOBS_NODE_MODULES};
	open my $script, '>', "$dir/script.mjs" or die "could not write: $!";
	print $script $block->{text};
	close $script;
	append_to_file("$dir/contacts.csv", $contacts) if $block->{run} eq 'upload';

  SKIP:
	{
		my $in_dir = sub { return [ 'env', '-C', "$dir", @_ ] };
		my ($out, $err) = ('', '');

		skip "$what: cannot be run here", 1 unless IPC::Run::run($in_dir->(@$probe), '>', \$out, '2>', \$err);
		IPC::Run::run($in_dir->($program, 'script.mjs'), '>', \$out, '2>', \$err);
		if ($block->{run} eq 'upload')
		{
			is($node->safe_psql($dbname, 'SELECT bytes FROM jobs.upload ORDER BY id DESC LIMIT 1'), length $contacts, $what)
			  or diag $err;
		}
		else
		{
			is(-e "$dir/transactions.csv" ? Digest::SHA->new(256)->addfile("$dir/transactions.csv")->hexdigest : $err,
				$node->safe_psql($dbname, 'SELECT sha256 FROM jobs.artifact WHERE job = 1'), $what);
		}
	}
	return;
}

for my $file (@documents)
{
	my $name = basename($file);
	my $dbname = lc $name =~ s/\..*//r;
	my @blocks = blocks($file);
	my @sql = grep { $_->{language} eq 'sql' } @blocks;

	$node->safe_psql('postgres', "CREATE DATABASE $dbname");
	run_sql($name, $dbname, @sql);
	run_program($name, $dbname, $_) for grep { $_->{run} } @blocks;
}

# ----------------------------------------------------------------------------
# The reference is complete
# ----------------------------------------------------------------------------

my $reference = slurp_file("$top/docs/reference.md");

$node->safe_psql('postgres', 'CREATE EXTENSION jobs');
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

# Defaults in the table, in the words of SHOW, but for these.
my %words = ('1d' => '24h', '1min' => '60s', '' => 'empty');
for my $line (split /\n/, $node->safe_psql('postgres', "SELECT name, current_setting(name) FROM pg_settings WHERE name ~ '^jobs[.]'"))
{
	my ($name, $value) = split /\|/, $line;
	my ($default) = $reference =~ /^\| `\Q$name\E` \| \w+, `?([^`|]*?)`? \|/m;

	$value = $words{ $value // '' } // $value;
	is($default // 'nothing', $value, "reference.md has the default of $name");
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
