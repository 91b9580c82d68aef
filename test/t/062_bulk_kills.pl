# Bulk jobs whose workers, and whose server, are killed at random moments.  Each
# item's effect is there once if it succeeded and not at all if it did not, the
# counts are those of the items, and jobs go on by themselves where they stood.
#
# JOBS_KILLS is the number of kills (default 24); JOBS_SEED repeats a run.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $kills = $ENV{JOBS_KILLS} || 24;
my $seed = $ENV{JOBS_SEED} || time;
my $nitems = 1500;
srand($seed);
note("JOBS_SEED=$seed");

my $node = JobsTest->create('main', conf => "jobs.retry_delay = '1ms'\n");
$node->sql(q{
	CREATE TABLE effect (job bigint, n integer);
	CREATE TABLE parent (id integer PRIMARY KEY);
	INSERT INTO parent SELECT generate_series(1, 1400);
	CREATE TABLE child (job bigint, n integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
	CREATE FUNCTION act(job bigint, n integer) RETURNS integer LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO effect VALUES (job, n);
		IF n % 50 = 0 THEN PERFORM pg_sleep(0.03); ELSE PERFORM pg_sleep(0.0005); END IF;
		IF n % 37 = 0 THEN RAISE EXCEPTION 'no %', n % 74; END IF;
		IF n % 41 = 0 THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'JB001'; END IF;
		IF n % 97 = 0 THEN INSERT INTO child VALUES (job, n); END IF;
		RETURN CASE WHEN n % 3 = 0 THEN n END;
	END $$;
	CREATE SEQUENCE job;
});

my %faults = (
	terminate => sub { $node->psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE backend_type = 'jobs worker' ORDER BY random() LIMIT 1}); },
	cancel => sub { $node->psql('postgres', "SELECT jobs.cancel($_[0])"); },
	kill => sub
	{
		my ($status, $pid) = $node->psql('postgres',
			q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'jobs worker' ORDER BY random() LIMIT 1});
		return 0 if $status != 0 || !$pid;
		my $launcher = $node->wait_process('launcher');
		kill 'KILL', $pid;
		$node->wait_restarted($launcher);
	},
	scheduler => sub
	{
		$node->psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'jobs scheduler'});
	},
	fast => sub { $node->restart; },
	immediate => sub { $node->stop('immediate'); $node->start; });
my @faults = (('terminate') x 8, ('cancel') x 6, ('scheduler') x 2, ('kill') x 2, 'fast', 'immediate');
my %done;

for (my $round = 1; $kills > 0; $round++)
{
	my $workers = 1 + int(rand(3));
	my $key = $node->sql(q{SELECT nextval('job')});
	my $job = $node->sql("SELECT jobs.bulk_query(\$\$SELECT act($key, (\$1->>'n')::integer)\$\$,
		'SELECT n FROM generate_series(1, $nitems) n ORDER BY n', workers => $workers, max_attempts => 100000)");
	my @did;

	while ($node->job($job, 'state') !~ /^(succeeded|partial|failed)$/)
	{
		Time::HiRes::sleep(0.02 + rand(0.4));
		if ($kills > 0 && $node->job($job, 'state') eq 'running')
		{
			my $fault = $faults[ rand @faults ];

			$faults{$fault}->($job);
			push @did, $fault;
			$done{$fault}++;
			$kills--;
		}
		$node->psql('postgres', "SELECT jobs.retry($job)") if $node->job($job, 'state') eq 'cancelled';
	}
	check($job, $key, "round $round: $workers workers, " . (join(' ', @did) || 'nothing'));
}
# By themselves, and without another attempt.
foreach my $how ('fast', 'immediate', 'kill')
{
	my $key = $node->sql(q{SELECT nextval('job')});
	my $job = $node->sql("SELECT jobs.bulk_query(\$\$SELECT act($key, (\$1->>'n')::integer)\$\$,
		'SELECT n FROM generate_series(1, $nitems) n ORDER BY n', workers => 2)");

	$node->poll("EXISTS (SELECT FROM jobs.progress WHERE id = $job AND succeeded >= 100)");
	$faults{$how}->($job);
	$node->poll("EXISTS (SELECT FROM jobs.job WHERE id = $job AND finished_at IS NOT NULL)");
	check($job, $key, "$how: goes on by itself");
	is($node->job($job, 'attempt'), 1, "$how: that was no other attempt");
}
note(join ', ', map { "$_ $done{$_}" } sort keys %done);
$node->log_ok;
$node->stop;
done_testing();

# ----------------------------------------------------------------------------

sub check
{
	my ($job, $key, $name) = @_;
	my $failed = grep { $_ % 37 == 0 || ($_ % 97 == 0 && $_ % 41 != 0 && $_ > 1400) } 1 .. $nitems;
	my $skipped = grep { $_ % 41 == 0 && $_ % 37 != 0 } 1 .. $nitems;
	my $succeeded = $nitems - $failed - $skipped;

	is( join("\n",
			$node->job($job, 'state, processed, total, succeeded, failed, skipped'),
			$node->sql("SELECT count(*), count(DISTINCT n) FROM effect WHERE job = $key"),
			$node->sql("SELECT count(*) FROM effect e FULL JOIN (SELECT * FROM jobs.item WHERE job = $job AND state = 'succeeded') i
				ON e.job = $key AND e.n = i.item_no
				WHERE (e.job = $key OR e.job IS NULL) AND (e.n IS NULL OR i.item_no IS NULL)"),
			$node->sql("SELECT count(*) FROM jobs.item WHERE job = $job AND state = 'succeeded'
				AND result IS DISTINCT FROM CASE WHEN item_no % 3 = 0 THEN to_jsonb(item_no) END"),
			$node->sql("SELECT count(*) FROM jobs.item_history($job) GROUP BY item_no, round HAVING count(*) > 1")),
		"partial|$nitems|$nitems|$succeeded|$failed|$skipped\n$succeeded|$succeeded\n0\n0\n",
		$name);
}
