# The panel of examples/panel in a browser: its five states, and what must not
# be possible.  test/panel/browser.js drives Chromium and reports in TAP's words;
# this file has the server and tells it what it reads.
#
# Needs: browser
#
# JOBS_SCREENSHOTS names a directory for the pictures of docs/images.

use strict;
use warnings;

use File::Basename qw(dirname);
use IPC::Run;
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = dirname(dirname(dirname(__FILE__)));
my $dir = PostgreSQL::Test::Utils::tempdir();

# Debian's have names of their own; JOBS_BROWSER is another.
my ($browser) = grep { -x } $ENV{JOBS_BROWSER} // (),
  map { my $path = `command -v $_ 2>/dev/null`; chomp $path; $path } qw(chromium-headless-shell chromium google-chrome);
plan skip_all => 'needs node' if system('command -v node >/dev/null 2>&1') != 0;
plan skip_all => 'needs Chromium' unless $browser;
my $failure = JobsTest->node_modules($dir, 'pg', 'pg-query-stream', 'playwright-core', 'axe-core');
plan skip_all => $failure if $failure;
PostgreSQL::Test::RecursiveCopy::copypath($_->[0], "$dir/$_->[1]", filterfn => sub { $_[0] !~ /node_modules/ })
  foreach [ "$top/examples/panel", 'panel' ], [ "$top/test/panel", 'test' ];

my $node = JobsTest->create('main', conf => "jobs.progress_interval = '50ms'\njobs.retry_delay = '10ms'\n");
$node->psql('postgres', slurp_file("$dir/panel/demo.sql"), on_error_die => 1);

local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', HOME => $dir);
my ($in, $out, $err) = ('', '', '');
my $script = IPC::Run::start([ 'env', '-C', $dir, 'node', 'test/browser.js', $browser ], '<', \$in, '>', \$out, '2>', \$err,
	my $timer = IPC::Run::timer(2 * $PostgreSQL::Test::Utils::timeout_default));

# Lines that begin with "!" ask for something of the server's, and wait for a word.
my %orders = (stop => sub { $node->stop('fast') }, start => sub { $node->start });
my $done;

while (!$done)
{
	if ($out !~ s/^(.*)\n//)
	{
		last unless $script->pumpable;
		eval { $script->pump; 1 } or last;
		last if $timer->is_expired;
		next;
	}
	my $line = $1;

	$timer->start if $line ne '';
	if ($line =~ /^!(\w+)$/)
	{
		$orders{$1}->();
		$in .= "$1\n";
	}
	elsif ($line =~ /^(not )?ok - (.*)$/) { ok(!$1, $2) }
	elsif ($line =~ /^# (.*)$/) { diag $1 }
	elsif ($line eq 'end') { $done = 1 }
	else { note $line }
}
ok($done, 'the script has come to its end') or diag $err;
$done ? $script->finish : $script->kill_kill;

$node->log_ok;
$node->stop;
done_testing();
