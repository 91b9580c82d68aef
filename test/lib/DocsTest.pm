# DocsTest.pm
#	  Blocks of code in the documentation, and how to run them.
#
# A block in Markdown stands between lines ```language and ```.  A comment before it says
# what it is for: <!-- run: download -->.  What blocks of SQL need and the reader does not
# is in comments <!-- sql ... -->.  JOBS_NODE_MODULES names a directory with modules for
# Node; without it, and where Debian's are not there, npm installs them.

package DocsTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename;
use File::Copy qw(copy);
use File::Temp;
use IPC::Run;
use PostgreSQL::Test::Utils qw(slurp_file);

our @EXPORT = qw(blocks can_run run_block);

my $top = abs_path(dirname(__FILE__) . '/../..');
my $jdbc = (grep { -e } glob '/usr/share/java/postgresql.jar /usr/share/java/postgresql-jdbc*.jar')[0] // '';
my $modules;

# How to run a block of a language, after a command that tells whether it can be.
my %languages = (
	sh => [ [ 'sh', '-c', 'command -v base64 bash' ], 'bash' ],
	python => [ [ 'python3', '-c', 'import psycopg' ], 'python3' ],
	'python alone' => [ [ 'python3', '-c', 'import hmac' ], 'python3' ],
	'python with psycopg2' => [ [ 'python3', '-c', 'import psycopg2' ], 'python3' ],
	'python with either psycopg' => [ [ 'python3', '-c', "try: import psycopg\nexcept ImportError: import psycopg2" ], 'python3' ],
	'python with django' => [ [ 'python3', '-c', 'import django, psycopg2' ], 'python3' ],
	js => [ [ 'sh', '-c', 'test -d node_modules/pg-query-stream && command -v node' ], 'node' ],
	ruby => [ [ 'ruby', '-e', 'require "pg"' ], 'ruby' ],
	'ruby with rails' => [ [ 'ruby', '-e', 'require "pg"; require "active_record"; require "action_controller"' ], 'ruby' ],
	java => [ [ 'sh', '-c', "test -e '$jdbc' && command -v javac java" ], 'java', '-cp', $jdbc ]);

# A list of { language, run, line, text }.  Dies where one does not end.
sub blocks
{
	my ($file) = @_;
	my (@blocks, $block, $run);
	my $line_no = 0;

	for my $line (split /\n/, slurp_file($file))
	{
		$line_no++;
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
			$block = { language => $1, run => $run, end => '```', text => '', line => $line_no };
			undef $run;
		}
		elsif ($line eq '<!-- sql')
		{
			$block = { language => 'sql', end => '-->', text => '', line => $line_no };
		}
		elsif ($line =~ /^<!-- run: (\w+) -->$/)
		{
			$run = $1;
		}
	}
	die "$file: the block in line $block->{line} does not end\n" if $block;
	return @blocks;
}

# A directory with modules for Node, or undef.
sub node_modules
{
	return $modules if defined $modules;
	return $modules = $ENV{JOBS_NODE_MODULES} if $ENV{JOBS_NODE_MODULES};

	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $out = '';

	copy("$top/examples/download/package.json", $dir) or die "package.json: $!\n";
	local %ENV = (%ENV, HOME => $dir, npm_config_cache => "$dir/cache", npm_config_fetch_retries => 0, npm_config_update_notifier => 'false');
	eval {
		IPC::Run::run([ 'npm', 'install', '--prefix', $dir, '--no-audit', '--no-fund' ], '<', \undef, '>&', \$out, IPC::Run::timeout(120));
	};
	return $modules = -d "$dir/node_modules/pg-query-stream" ? "$dir/node_modules" : '';
}

# The flavour of a language that a block needs.
sub flavour
{
	my ($block, %around) = @_;
	my $text = ($around{before} // '') . $block->{text};

	return $block->{language} . ($text =~ /\bdjango\b/ ? ' with django' : $text =~ /^ +import psycopg2/m ? ' with either psycopg'
		: $text =~ /^import psycopg2/m ? ' with psycopg2' : $text =~ /psycopg/ ? '' : ' alone') if $block->{language} eq 'python';
	return 'ruby with rails' if $block->{language} eq 'ruby' && $text =~ /ActionController/;
	return $block->{language};
}

# A block as a program.  Java wants a class around it, and url.
sub program
{
	my ($block) = @_;

	return $block->{text} unless $block->{language} eq 'java';
	return <<JAVA;
import java.io.*;
import java.nio.file.*;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;

public class Script
{
    public static void main(String[] arguments) throws Exception
    {
        String url = "jdbc:postgresql://127.0.0.1:" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE") + "?user=" + System.getenv("PGUSER");
$block->{text}
    }
}
JAVA
}

# Whether a block can be run here, in $dir, with a text before and behind it.
sub can_run
{
	my ($block, $dir, %around) = @_;
	my ($out, $err) = ('', '');
	my $known = $languages{ flavour($block, %around) } or return 0;

	if ($block->{language} eq 'js')
	{
		my $found = node_modules();

		symlink $found, "$dir/node_modules" if $found && !-e "$dir/node_modules";
	}
	return eval { IPC::Run::run([ 'env', '-C', $dir, @{ $known->[0] } ], '>', \$out, '2>', \$err) };
}

# Runs it there; returns whether that went well, and its output.
sub run_block
{
	my ($block, $dir, %around) = @_;
	my ($probe, @command) = @{ $languages{ flavour($block, %around) } };
	my $script = $block->{language} eq 'java' ? 'Script.java' : 'script.mjs';
	my $out = '';

	open my $file, '>', "$dir/$script" or die "could not write: $!\n";
	print $file $around{before} // '', program($block), $around{after} // '';
	close $file;
	my $ok = eval { IPC::Run::run([ 'env', '-C', $dir, @command, $script ], '<', \undef, '>&', \$out, IPC::Run::timeout(300)) };

	return ($ok, $out . ($@ // ''));
}

1;
