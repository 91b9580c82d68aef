# Doors beside the functions: options of a connection, signals, a database that
# is closed, connections that a library keeps.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main', conf => "jobs.max_workers = 1\njobs.worker_idle_timeout = 1h\n");

$node->sql(q{CREATE ROLE mallory LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE operator LOGIN; GRANT pg_signal_backend TO operator});

# Options of a connection come as bytes that nobody has looked at.
sub with_options
{
	my ($options, $command) = @_;

	local $ENV{PGOPTIONS} = $options;
	my ($status, $out, $err) = $node->psql('postgres', $command, extra_params => [ '-U', 'mallory' ]);
	return $status == 0 ? $out : $err;
}

like(with_options("-c jobs.tenant=x\xf0", 'SELECT 1'), qr/invalid value for parameter "jobs.tenant"/, 'a tenant that is no text is refused');
like(with_options("-c search_path=x\xf0", q{SELECT jobs.run('SELECT 1')}), qr/invalid byte sequence/, 'and so is a captured setting');
is(with_options("-c jobs.tenant=\xc3\xa4", 'SHOW jobs.tenant'), "\xc3\xa4", 'one that is text is not');
like(with_options('-c jobs.max_timeout=0', 'SELECT 1'), qr/permission denied to set parameter "jobs.max_timeout"/, 'limits are not for everybody');
like(with_options('-c role=bob', 'SELECT 1'), qr/permission denied to set role/, 'nor other roles');

# P38: an operator's signals.  The launcher, the scheduler and a superuser's job
# are not his to stop; what a superuser stops comes back.
my $job = $node->sql(q{SELECT jobs.run('SELECT pg_sleep(600)')});
my $pid = $node->wait_running($job);
for my $kind ('launcher', 'scheduler', 'worker')
{
	for my $call ('pg_terminate_backend', 'pg_cancel_backend')
	{
		my ($status, $out, $err) = $node->psql('postgres',
			"SELECT $call(pid) FROM pg_stat_activity WHERE backend_type = 'jobs $kind'", extra_params => [ '-U', 'operator' ]);

		# Until 15 the function says no by a warning and false for some of them.
		ok($status != 0 || $out !~ /t/, "$call of the $kind by an operator");
	}
}
is($node->job($job, 'state'), 'running', 'a superuser\'s job goes on');
my ($status, $out, $err) = $node->psql('postgres', "SELECT jobs.cancel($job)", extra_params => [ '-U', 'operator' ]);
like($err, qr/does not exist/, 'jobs.cancel by an operator who may not see the job');
$node->sql('GRANT pg_read_all_stats TO operator');
($status, $out, $err) = $node->psql('postgres', "SELECT jobs.cancel($job)", extra_params => [ '-U', 'operator' ]);
like($err, qr/permission denied for job/, 'jobs.cancel of a superuser\'s job by an operator');
is($node->sql("SELECT jobs.cancel($job)"), 't', 'by a superuser');
is($node->wait_job($job), 'cancelled', 'and it is');
$job = $node->safe_psql('postgres', q{SELECT jobs.run('SELECT pg_sleep(600)')}, extra_params => [ '-U', 'mallory' ]);
$node->wait_running($job);
is($node->safe_psql('postgres', "SELECT jobs.cancel($job)", extra_params => [ '-U', 'operator' ]), 't', 'of anybody else\'s by an operator');
is($node->wait_job($job), 'cancelled', 'and it is');
like(($node->psql('postgres', "SELECT jobs.retry($job)", extra_params => [ '-U', 'operator' ]))[2], qr/permission denied for job/, 'but no more');
my $scheduler = $node->wait_process('scheduler', 'postgres');
$node->sql("SELECT pg_terminate_backend($scheduler)");
$node->wait_gone($scheduler);
$job = $node->sql(q{SELECT jobs.run('SELECT 1')});
is($node->wait_job($job), 'succeeded', 'a scheduler that was terminated is replaced');

# What operators read of a job is for those who may read it.
$job = $node->safe_psql('postgres', q{SELECT jobs.run('SELECT pg_sleep(600), ''secret''', title => 'the secret')}, extra_params => [ '-U', 'bob' ]);
$pid = $node->wait_running($job);
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'secret' AND backend_type = 'jobs worker'", extra_params => [ '-U', 'mallory' ]),
	'0', 'pg_stat_activity of another role\'s job');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'the secret' AND pid = $pid", extra_params => [ '-U', 'bob' ]),
	'1', 'of one\'s own');
is($node->safe_psql('postgres', "SELECT application_name FROM pg_stat_activity WHERE pid = $pid", extra_params => [ '-U', 'mallory' ]) =~ /secret/, '',
	'its name tells nothing');
$node->sql("SELECT jobs.cancel($job)");
$node->wait_job($job);

# P29: a database that allows no connections starts no job.
$node->sql('CREATE DATABASE other');
$node->sql('CREATE EXTENSION jobs; CREATE TABLE effect (n int); GRANT ALL ON effect TO mallory', 'other');
$job = $node->safe_psql('other', q{SELECT jobs.run('INSERT INTO effect VALUES (1)', run_at => clock_timestamp() + '2 s')}, extra_params => [ '-U', 'mallory' ]);
$node->poll(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'jobs scheduler' AND datname = 'other'});
$node->sql('ALTER DATABASE other ALLOW_CONNECTIONS false');
$node->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'other'});
$node->poll(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'other'});
my $wait = $node->sql(q{SELECT jobs.run('SELECT 1', run_at => clock_timestamp() + '3 s')});
is($node->wait_job($wait), 'succeeded', 'another database goes on meanwhile');
$node->sql('ALTER DATABASE other ALLOW_CONNECTIONS true');
is($node->sql('SELECT count(*) FROM effect', 'other'), '0', 'nothing starts in a database that allows no connections');
ok($node->poll(q{SELECT count(*) = 1 FROM effect}, 'other'), 'and when it does, the job is not forgotten');

# Connections that dblink keeps are not for another tenant's job.
SKIP:
{
	skip 'no dblink', 3 unless $node->sql(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'dblink'});
	$node->sql(q{CREATE EXTENSION dblink; CREATE ROLE app LOGIN SUPERUSER; CREATE TABLE found (tenant text, connections text[])});
	for my $tenant ('acme', 'other')
	{
		my $id = $node->safe_psql('postgres', qq{SET jobs.tenant = '$tenant'; SELECT jobs.run(\$job\$
			INSERT INTO found SELECT '$tenant', dblink_get_connections();
			SELECT dblink_connect('kept', format('host=%s dbname=postgres user=app', '${\ $node->host }'))\$job\$)}, extra_params => [ '-U', 'app' ]) =~ s/.*\n//sr;

		is($node->wait_job($id), 'succeeded', "a job of tenant $tenant");
	}
	is($node->sql('SELECT count(*) FROM found WHERE connections IS NOT NULL'), '0', 'finds no connection of the other');
}

$node->log_ok;
$node->stop;
done_testing;
