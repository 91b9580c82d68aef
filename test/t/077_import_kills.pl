# Imports whose workers, and whose server, are killed at random moments: all rows are
# there or none, and what an import leaves behind is what its state says.
#
# JOBS_KILLS is the number of kills (default 12); JOBS_SEED repeats a run.

use strict;
use warnings;

use JobsTest;
use Test::More;
use Time::HiRes ();

my $kills = $ENV{JOBS_KILLS} || 12;
my $seed = $ENV{JOBS_SEED} || time;
my $nrows = 60_000;
srand($seed);
note("JOBS_SEED=$seed");

my $node = JobsTest->create('main', conf => "jobs.retry_delay = '1ms'\nmax_wal_size = '2GB'\n");
$node->sql(qq{
	CREATE TABLE target (id integer PRIMARY KEY, code text UNIQUE, day date);
	INSERT INTO target VALUES (0, 'here');
	CREATE TABLE seen (n bigint);
	CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS \$\$
	BEGIN INSERT INTO seen SELECT count(*) FROM rows; RETURN NULL; END \$\$;
	CREATE TRIGGER see AFTER INSERT ON target REFERENCING NEW TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION see();
	CREATE TABLE file AS SELECT convert_to('id,code,day' || E'\\n' || string_agg(
		CASE WHEN i % 1000 = 7 THEN i || ',here,' ELSE i || ',c' || i || ',2026-01-01' END, E'\\n' ORDER BY i), 'UTF8') AS bytes
		FROM generate_series(1, $nrows) i;
});
my $good = $nrows - $nrows / 1000;

my %faults = (
	terminate => sub { $node->psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'jobs worker'}); },
	cancel => sub { $node->psql('postgres', "SELECT jobs.cancel($_[0])"); },
	kill => sub
	{
		my ($status, $pid) = $node->psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'jobs worker' LIMIT 1});
		return if $status != 0 || !$pid;
		my $launcher = $node->wait_process('launcher');
		kill 'KILL', $pid;
		$node->wait_restarted($launcher);
	},
	fast => sub { $node->restart; },
	immediate => sub { $node->stop('immediate'); $node->start; });
my @faults = (('terminate') x 5, ('cancel') x 5, ('kill') x 2, 'fast', 'immediate');
my %done;

for (my $round = 1; $kills > 0; $round++)
{
	my $preview = run("SELECT jobs.import_preview('target', (SELECT bytes FROM file), max_attempts => 1000)", 0.5);
	my $import = run("SELECT jobs.import($preview, max_attempts => 1000)", 1.0);

	is($node->sql("SELECT count(*) - 1 || ' ' || (SELECT string_agg(n::text, ' ') FROM seen) FROM target"), "$good $good",
		"round $round: each row is there once, and the statement's trigger has fired once");
	is($node->sql("SELECT result->>'inserted' || ' ' || (result->>'skipped') || ' ' || (SELECT count(*) FROM jobs.import_issue WHERE job = $preview)
			FROM jobs.job WHERE id = $import"),
		$good . ' ' . ($nrows - $good) . ' ' . ($nrows - $good), "round $round: counts");
	is($node->sql("SELECT deleted || ' ' || kept FROM jobs.undo_import($import)"), "$good 0", "round $round: taken back");
	$node->sql("TRUNCATE seen; SELECT jobs.delete($import); SELECT jobs.delete($preview)");
}
note(join ', ', map { "$_ $done{$_}" } sort keys %done);
$node->poll('NOT EXISTS (SELECT FROM jobs.garbage)');
is($node->sql('SELECT (SELECT count(*) FROM jobs.issue) + (SELECT count(*) FROM jobs.chunk) + (SELECT count(*) FROM jobs.upload_entry)'), 0,
	'deleted jobs have left nothing');
$node->log_ok;
$node->stop;
done_testing();

# ----------------------------------------------------------------------------

# Submits a job and hits it until it has succeeded; none of its rows show before.
sub run
{
	my ($submit, $longest) = @_;
	my $job = $node->sql($submit);

	for (;;)
	{
		my ($status, $got) = $node->psql('postgres', "SELECT state || ' ' || (SELECT count(*) FROM target) FROM jobs.job WHERE id = $job");
		next if $status != 0;
		my ($state, $rows) = split ' ', $got;

		if ($state eq 'succeeded')
		{
			return $job;
		}
		fail("no half import: $rows rows while $state") if $rows != 1 && $rows != $good + 1;
		if ($state eq 'failed' || $state eq 'cancelled')
		{
			is($rows, 1, "nothing is left by a job that has $state");
			$node->sql("SELECT jobs.retry($job)");
		}
		if ($kills > 0 && $state eq 'running')
		{
			my $fault = $faults[ rand @faults ];

			Time::HiRes::sleep(rand($longest));
			$faults{$fault}->($job);
			$done{$fault}++;
			$kills--;
		}
		else
		{
			Time::HiRes::sleep(0.01);
		}
	}
}
