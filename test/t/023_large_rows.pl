# However much jobs carry, the scheduler and whoever waits for one do not keep it in memory.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main', conf => <<CONF);
shared_buffers = '16MB'
max_wal_size = '2GB'
jobs.max_workers = 2
CONF

plan skip_all => 'a sanitizer takes memory of its own' if $node->has_sanitizer;

# The most memory that a process has had, in MB.
sub most_memory
{
	my ($pid) = @_;

	return slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m ? $1 / 1024 : die;
}

# One large and one small, again and again, so that a commit about many small ones is about all.
$node->sql(q{SELECT jobs.submit('large', to_jsonb(repeat('x', 16000000))), jobs.submit('small') FROM generate_series(1, 40)});
my $large = $node->sql(q{SELECT min(id) FROM jobs.job WHERE queue = 'large'});
my $last = $node->sql(q{SELECT jobs.run('SELECT 1', after => (SELECT array_agg(id) FROM jobs.job WHERE queue = 'large'))});
my $scheduler = $node->wait_process('scheduler', 'postgres');
my $base = most_memory($scheduler);

sub scheduler_is_small
{
	my ($name) = @_;
	my $job = $node->sql(q{SELECT jobs.run('SELECT 1')});

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($node->wait_job($job), 'succeeded', $name);
	is($node->wait_process('scheduler', 'postgres'), $scheduler, 'the scheduler is the same');
	return cmp_ok(most_memory($scheduler) - $base, '<', 64, 'and has not taken the memory of a few payloads');
}

$node->sql(q{SELECT count(jobs.cancel(id)) FROM jobs.job WHERE queue = 'small'});
scheduler_is_small('a commit about ids here and there');

# Who waits is woken by the ends of others, of each sixteenth at least.
my $session = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', "SELECT jobs.wait($large)" ], '>', \my $state);
my $waits = qq{FROM pg_stat_activity WHERE query = 'SELECT jobs.wait($large)'};
$node->poll("EXISTS (SELECT $waits)");
my $pid = $node->sql("SELECT pid $waits");
for (1 .. 20)
{
	my $job = $node->sql(q{SELECT max(jobs.run('SELECT 1')) FROM generate_series(1, 16)});

	$node->wait_job($job);
}
cmp_ok(most_memory($pid), '<', 100, 'neither has a session that waits for one of them');

$node->sql(q{SELECT count(jobs.cancel(id)) FROM jobs.job WHERE queue = 'large'});
$session->finish;
is($state, "cancelled\n", 'which hears of its end');
is($node->wait_job($last), 'cancelled', 'as does the job that waits for all of them');
scheduler_is_small('the ends of all');

$node->append_conf('postgresql.conf', 'jobs.history_retention = 0');
$node->reload;
ok($node->poll(q{NOT EXISTS (SELECT FROM jobs.history)}), 'history lets go of them');
cmp_ok(most_memory($scheduler) - $base, '<', 64, 'still without their memory');

$node->log_ok;
$node->stop;
done_testing();
