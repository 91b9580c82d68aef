# What somebody has been told of a job survives a crash, and a job that crashes
# the server does so once.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
# Nobody else brings to the disk what was committed without waiting for it.
$node->append_conf('postgresql.conf', <<CONF);
shared_preload_libraries = 'jobs'
restart_after_crash = on
wal_writer_delay = '10s'
autovacuum = off
jobs.max_running_per_role = 1
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION jobs');

# jobs.wait answers where the WAL ends at the beginning of a page.
my $job = $node->safe_psql('postgres', q(SELECT jobs.run('SELECT 1')));
is($node->safe_psql('postgres', "SELECT jobs.wait($job)"), 'succeeded', 'a job succeeds');
is( $node->safe_psql('postgres', "SELECT pg_switch_wal() > '0/0'; SELECT jobs.wait($job)"),
	"t\nsucceeded",
	'jobs.wait at the beginning of a WAL segment');

# The last job is in the way of the worker's own flush after the one before.
my ($in, $out, $err) = ('', '', '');
my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
$in .= "LISTEN jobs;\n";
$in .= "SELECT 'jobs ' || string_agg(jobs.run(c)::text, ' ') "
  . "FROM unnest(ARRAY['SELECT 1', 'SELECT 2', 'SELECT 3', 'SELECT pg_sleep(3600)']) c;\n";
$psql->pump until $out =~ /^jobs (\d+) (\d+) (\d+) (\d+)$/m;
my ($ended, $running) = ($3, $4);
until ($out =~ /"job": $ended, "kind": "run", "state": "succeeded"/)
{
	$in .= "SELECT 1;\n";
	$psql->pump;
}
$node->kill9;
$psql->kill_kill;
# A job whose end is lost must not be run again before we have seen that.
$node->append_conf('postgresql.conf', 'jobs.enabled = off');
# The other processes notice within milliseconds; until then they are in the way.
until ($node->start(fail_ok => 1))
{
	select(undef, undef, undef, 0.1);
	$node->stop('fast', fail_ok => 1);
}
is($node->safe_psql('postgres', "SELECT state FROM jobs.job WHERE id = $ended"),
	'succeeded', 'an end that was notified survives a crash');
$node->safe_psql('postgres', "SELECT jobs.cancel($running)");
$node->append_conf('postgresql.conf', 'jobs.enabled = on');
$node->reload;

# The claim of the first run is lost with the crash, that of the second is not.
my $marker = $node->basedir . '/crashes';
$node->psql('postgres', <<SQL);
SELECT jobs.run(\$\$COPY (SELECT 1) TO PROGRAM 'echo crash >>$marker; kill -9 \$PPID'\$\$, title => 'crash') AS job \\gset
SELECT jobs.wait(:job);
SQL
# While the server restarts, psql may end before it has read the query.
my $failed;
until (defined $failed)
{
	$failed = eval { $node->poll_query_until('postgres', "SELECT state = 'failed' FROM jobs.job WHERE title = 'crash'") };
}
ok($failed,
	'a job that crashes the server fails');
is($node->safe_psql('postgres', "SELECT attempt, error_message FROM jobs.job WHERE title = 'crash'"),
	'1|the server was restarted while the job was running', 'with the reason');
my $crashes = () = slurp_file($marker) =~ /crash/g;
cmp_ok($crashes, '<=', 2, 'and not again and again');

$node->stop;
done_testing();
