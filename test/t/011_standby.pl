# Copies of a server: a standby runs nothing until it is promoted, a clone with
# jobs.enabled = off runs nothing, and a logical subscriber nothing of another's.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $primary = JobsTest->create('primary', init => { allows_streaming => 'logical' }, conf => <<CONF);
max_connections = 30
shared_buffers = '16MB'
max_logical_replication_workers = 2
CONF

$primary->sql('CREATE TABLE effect (job text)');
$primary->add_gate;

# A subscriber can be set up while no job runs that writes.
my $subscriber = JobsTest->create('subscriber', init => { allows_streaming => 'logical' },
	conf => "max_connections = 30\nmax_logical_replication_workers = 4\n");
$subscriber->sql('CREATE TABLE effect (job text)');
$primary->sql('CREATE PUBLICATION everything FOR ALL TABLES');
$subscriber->sql("CREATE SUBSCRIPTION everything CONNECTION '" . $primary->connstr . " dbname=postgres' PUBLICATION everything");
$subscriber->wait_for_subscription_sync($primary, 'everything');

# Jobs in every state.
my $export = $primary->sql(q{SELECT jobs.export('SELECT g FROM generate_series(1, 200000) g', filename => 'numbers.csv')});
$primary->wait_job($export);
my $sha256 = $primary->sql("SELECT sha256 FROM jobs.artifact WHERE job = $export");
my $token = $primary->sql("SELECT jobs.share($export)");
$primary->sql(q{SELECT jobs.pause('night')});
my $night = $primary->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''night'')', queue => 'night')});
my $later = $primary->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''later'')', run_at => now() + '1 day')});
my $once = $primary->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''once''); SELECT wait_to_go()')});
my $twice = $primary->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''twice''); SELECT wait_to_go()', max_attempts => 2)});
my $after = $primary->sql("SELECT jobs.run('INSERT INTO effect VALUES (''after'')', after => ARRAY[$twice])");
$primary->wait_running($_) foreach ($once, $twice);

# ----------------------------------------------------------------------------
# Set up the copies
# ----------------------------------------------------------------------------

$primary->backup('backup');

my $standby = JobsTest->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

my $clone = JobsTest->new('clone');
$clone->init_from_backup($primary, 'backup');
$clone->append_conf('postgresql.conf', "jobs.enabled = off\n");
$clone->start;

my $outcomes = q{SELECT id, state, attempt, coalesce(waiting_for, '-') FROM jobs.job ORDER BY id};
my $processes = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^jobs '};

# ----------------------------------------------------------------------------
# The standby
# ----------------------------------------------------------------------------

$primary->wait_for_catchup($standby);
is($standby->sql($processes), '0', 'standby: no processes');
is($standby->sql($outcomes), <<ROWS =~ s/\n$//r, 'standby: the view shows the jobs of the primary server');
$export|succeeded|1|-
$night|queued|0|the primary server
$later|scheduled|0|its start time
$once|running|1|-
$twice|running|1|-
$after|waiting|0|Run: INSERT INTO effect VALUES ('twice'); SELECT wait_to_go() to finish
ROWS
is($standby->sql('SELECT count(*) FROM jobs.progress'), '6', 'standby: jobs.progress can be read');
is($standby->sql(q{SELECT count(*) FROM jobs.panel WHERE headline <> ''}), '6', 'standby: jobs.panel can be read');
for my $source ($export, "'$token'")
{
	is($standby->sql("SELECT encode(sha256(string_agg(d, '')), 'hex') FROM jobs.download($source) d"), $sha256,
		'standby: a file can be downloaded');
}
for my $call (q{run('SELECT 1')}, q{export('SELECT 1 AS a')}, "cancel($night)", "retry($export)", "delete($export)", q{pause('a')},
	q{resume('night')}, "share($export)", "unshare($export)", "download_lo($export)")
{
	my ($name) = $call =~ /^(\w+)/;

	like($standby->error("SELECT jobs.$call"), qr/ERROR:  25006: cannot execute jobs.$name\(\) (during recovery|in a read-only transaction)/,
		"standby: jobs.$name is refused");
}
is($standby->sql("SELECT jobs.wait($export)"), 'succeeded', 'standby: jobs.wait for a job that has ended');
is($standby->sql("SELECT jobs.wait($once)"), 'running', 'standby: and for one that runs, without waiting');

# ----------------------------------------------------------------------------
# The subscriber
# ----------------------------------------------------------------------------

my $foreign = $primary->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''foreign'')')});
is($primary->wait_job($foreign), 'succeeded', 'subscriber: a job runs on the publisher');
$primary->wait_for_catchup('everything');
is($subscriber->sql("SELECT state FROM jobs.job WHERE id = $foreign"), 'succeeded', 'subscriber: its row comes');
is($subscriber->sql(q{SELECT count(*) FROM effect WHERE job = 'foreign'}), '1', 'subscriber: its effect is there once');
is($subscriber->job($night, 'state, waiting_for'), 'queued|the server that it was submitted to, of which this is a copy',
	'subscriber: what has not begun waits for its own server');

# Rows that are there when a scheduler starts, and whose time comes.
my $soon = $primary->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''soon'')', run_at => now() + '500 ms')});
$primary->wait_for_catchup('everything');
$subscriber->restart;
$subscriber->wait_process('scheduler', 'postgres');
is($primary->wait_job($soon), 'succeeded', 'subscriber: a job runs on the publisher at its time');
$primary->wait_for_catchup('everything');
is($subscriber->sql(q{SELECT count(*) FROM effect WHERE job = 'soon'}), '1', 'subscriber: its effect is there once');
is($subscriber->job($_, 'state'), 'running', 'subscriber: what runs there is not settled here') foreach ($once, $twice);
$subscriber->sql('DROP SUBSCRIPTION everything');
$subscriber->sql(q{SELECT setval('jobs.job_id', 1000)});
is($subscriber->wait_job($subscriber->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''own'')')})), 'succeeded', 'subscriber: its own jobs run');
is($subscriber->sql(q{SELECT string_agg(job, ' ' ORDER BY job) FROM effect}), 'foreign own soon', 'subscriber: no others have run');

# ----------------------------------------------------------------------------
# Promotion
# ----------------------------------------------------------------------------

$primary->wait_for_catchup($standby);
$primary->stop('immediate');
$standby->promote;
my $from = time;
is($standby->wait_job($once), 'failed', 'promoted: what ran on the old server has failed');
cmp_ok(time - $from, '<', 5, 'promoted: which is found out at once');
is($standby->job($once, 'error_code, error_message'), '57P02|the server was restarted while the job was running', 'promoted: with the reason');
$standby->open_gate;
is($standby->wait_job($twice), 'succeeded', 'promoted: with another attempt it succeeds');
is($standby->wait_job($after), 'succeeded', 'promoted: as does what waited for it');
$standby->sql(q{SELECT jobs.resume('night')});
is($standby->wait_job($night), 'succeeded', 'promoted: a paused queue can be resumed');
is($standby->wait_job($standby->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''new'')')})), 'succeeded', 'promoted: new jobs run');
is($standby->sql(q{SELECT job, count(*) FROM effect GROUP BY 1 ORDER BY 1}),
	"after|1\nforeign|1\nnew|1\nnight|1\nsoon|1\ntwice|1", 'promoted: all effects are there once');

# ----------------------------------------------------------------------------
# The clone
# ----------------------------------------------------------------------------

$clone->wait_process('scheduler', 'postgres');
is($clone->wait_job($once), 'failed', 'clone: what ran when it was made has failed');
ok($clone->poll("SELECT state = 'queued' FROM jobs.job WHERE id = $twice"), 'clone: or is queued again');
$clone->sql(q{SELECT jobs.resume('night')});
my $new = $clone->sql(q{SELECT jobs.run('INSERT INTO effect VALUES (''new'')')});
is($clone->sql("SELECT jobs.wait($new, '200 ms')"), 'queued', 'clone: jobs can be submitted and do not start');
is($clone->job($_, 'state, waiting_for'), 'queued|jobs.enabled to be on', 'clone: and say why') foreach ($new, $night, $twice);
is($clone->sql('SELECT count(*) FROM effect'), '0', 'clone: nothing has run');
is($clone->sql("SELECT jobs.cancel($night)"), 't', 'clone: a job can be cancelled');
$clone->append_conf('postgresql.conf', "jobs.enabled = on\n");
$clone->reload;
is($clone->wait_job($new), 'succeeded', 'clone: with jobs.enabled = on they run');

$_->log_ok foreach ($primary, $standby, $clone, $subscriber);
done_testing();
