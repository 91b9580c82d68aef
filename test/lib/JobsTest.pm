# JobsTest.pm
#	  A server with the extension, and what the tests ask of it.
#
# An object is a PostgreSQL::Test::Cluster with some methods more.  Tests wait
# for conditions, by jobs.wait or by poll, and never for a time.

package JobsTest;

use strict;
use warnings;

use parent 'PostgreSQL::Test::Cluster';

# Only these, because whatever is imported here becomes a method.
use Carp qw(croak);
use IPC::Run ();
use PostgreSQL::Test::Utils ();
use Test::More ();
use Time::HiRes ();

# Processes that leave in a hurry lose the counts of the lines that they executed.
if ($ENV{JOBS_COVERAGE})
{
	no warnings 'redefine';
	*PostgreSQL::Test::Cluster::teardown_node = sub { $_[0]->stop('fast', fail_ok => 1) };
}

# Makes, configures and starts a server with the extension in its database
# postgres.  Named arguments: conf is more configuration, init are arguments of
# init(); with start => 0 the server is not started.
sub create
{
	my ($class, $name, %params) = @_;
	my $node = $class->new($name);

	$node->init(%{ $params{init} || {} });
	$node->configure($params{conf});
	return $node if defined $params{start} && !$params{start};
	$node->start;
	$node->sql('CREATE EXTENSION jobs') unless $params{bare};
	return $node;
}

# Logs have the SQLSTATE, for check.sh and log_ok to find internal errors.
sub configure
{
	my ($self, $conf) = @_;

	$self->append_conf('postgresql.conf', <<CONF . (defined $conf ? $conf : ''));
shared_preload_libraries = 'jobs'
restart_after_crash = on
log_line_prefix = '%m [%p] %e %q%a '
log_statement = none
max_worker_processes = 16
max_logical_replication_workers = 0
jobs.retry_delay = '10ms'
CONF
	return;
}

# ----------------------------------------------------------------------------
# SQL
# ----------------------------------------------------------------------------

# A session whose time limit is one for each command, not for all together.
sub background_psql
{
	my ($self, @arguments) = @_;
	my $session = $self->SUPER::background_psql(@arguments);

	$session->set_query_timer_restart;
	return $session;
}

# The result of a query in the database postgres, or in another.
sub sql
{
	my ($self, $query, $dbname) = @_;

	return $self->safe_psql($dbname || 'postgres', $query);
}

# The error of a command that must fail, with its SQLSTATE and HINT.
sub error
{
	my ($self, $query, %params) = @_;
	my ($status, undef, $stderr) =
	  $self->psql($params{dbname} || 'postgres', "\\set VERBOSITY verbose\n$query",
		extra_params => $params{extra_params} || []);

	return $status == 0 ? 'no error' : $stderr;
}

# Waits until a condition holds; much shorter steps than poll_query_until.
sub poll
{
	my ($self, $condition, $dbname) = @_;
	my $deadline = Time::HiRes::time() + $PostgreSQL::Test::Utils::timeout_default;

	while (Time::HiRes::time() < $deadline)
	{
		# While the server restarts, psql may end before it has read the query.
		my ($status, $result) = eval { $self->psql($dbname || 'postgres', "SELECT ($condition)") };

		return 1 if defined $status && $status == 0 && $result eq 't';
		Time::HiRes::usleep(10_000);
	}
	Test::More::diag "timed out waiting for: $condition";
	return 0;
}

# A function wait_to_go(), for jobs that shall run until the gate is opened.  It
# looks at a sequence, whose last value every snapshot shows.
sub add_gate
{
	my ($self, $dbname) = @_;

	$self->sql(<<'SQL', $dbname);
CREATE SEQUENCE go;
GRANT SELECT ON go TO PUBLIC;
CREATE FUNCTION wait_to_go() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WHILE (SELECT last_value FROM go) = 1 LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$
SQL
	return;
}

sub open_gate
{
	my ($self, $dbname) = @_;

	$self->sql(q{SELECT setval('go', 2)}, $dbname);
	return;
}

sub close_gate
{
	my ($self, $dbname) = @_;

	$self->sql(q{SELECT setval('go', 1)}, $dbname);
	return;
}

# ----------------------------------------------------------------------------
# Jobs
# ----------------------------------------------------------------------------

# Waits until a job is final and returns its state.
sub wait_job
{
	my ($self, $id, $dbname) = @_;

	return $self->sql("SELECT jobs.wait($id, '$PostgreSQL::Test::Utils::timeout_default s')", $dbname);
}

# Waits until all the jobs of a database are final; false after the timeout.
sub wait_all
{
	my ($self, $dbname) = @_;

	return $self->poll(
		q{NOT EXISTS (SELECT FROM jobs.job WHERE state NOT IN ('succeeded', 'partial', 'failed', 'cancelled'))},
		$dbname);
}

# Waits until a job runs and returns the PID of its worker.
sub wait_running
{
	my ($self, $id, $dbname) = @_;

	$self->poll("SELECT pid IS NOT NULL FROM jobs.progress WHERE id = $id", $dbname)
	  or croak "job $id does not run: " . $self->job($id, 'state, attempt, waiting_for, error_message', $dbname);
	return $self->sql("SELECT pid FROM jobs.progress WHERE id = $id", $dbname);
}

# Columns of a job, as psql prints them.
sub job
{
	my ($self, $id, $columns, $dbname) = @_;

	return $self->sql("SELECT $columns FROM jobs.job WHERE id = $id", $dbname);
}

# ----------------------------------------------------------------------------
# Processes
# ----------------------------------------------------------------------------

# PIDs of the processes of a kind: launcher, scheduler or worker.
sub pids
{
	my ($self, $kind, $dbname) = @_;
	my $where = defined $dbname ? "AND datname = '$dbname'" : '';

	return split /\n/,
	  $self->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'jobs $kind' $where ORDER BY pid");
}

# Waits until the launcher or a database's scheduler is there, and returns its PID.
sub wait_process
{
	my ($self, $kind, $dbname, $not) = @_;
	my $where = "backend_type = 'jobs $kind'";

	$where .= " AND datname = '$dbname'" if defined $dbname;
	$where .= " AND pid <> $not" if defined $not;
	$self->poll("SELECT count(*) = 1 FROM pg_stat_activity WHERE $where") or croak "no jobs $kind";
	return $self->sql("SELECT pid FROM pg_stat_activity WHERE $where");
}

# In two steps, because pg_ctl restart would start the program that runs, past
# the script that check.sh puts before it for a sanitizer.
sub restart
{
	my ($self) = @_;

	$self->stop;
	$self->start;
	return;
}

# Whether the server runs with a sanitizer, whose memory tells nothing.
sub has_sanitizer
{
	my ($self) = @_;

	return PostgreSQL::Test::Utils::slurp_file('/proc/' . $self->postmaster_pid . '/maps') =~ /libasan/;
}

# Waits until the server has been through a crash and takes connections again.
# $before is what pg_postmaster_start_time can't tell: the PID of the launcher.
sub wait_restarted
{
	my ($self, $before) = @_;

	$self->wait_process('launcher', undef, $before);
	return;
}

sub postmaster_pid
{
	my ($self) = @_;

	return (split /\n/, PostgreSQL::Test::Utils::slurp_file($self->data_dir . '/postmaster.pid'))[0];
}

# kill -9 of the postmaster; returns when another can be started.
sub kill_postmaster
{
	my ($self) = @_;
	my $pid = $self->postmaster_pid;

	$self->kill9;
	Time::HiRes::usleep(1_000) while kill 0, $pid;
	return;
}

# Waits until a process is gone.  One that only waits for its parent counts as
# gone: not every container has an init that looks after orphans.
sub wait_gone
{
	my ($self, $pid) = @_;
	my $deadline = Time::HiRes::time() + $PostgreSQL::Test::Utils::timeout_default;

	while (Time::HiRes::time() < $deadline)
	{
		open(my $stat, '<', "/proc/$pid/stat") or return 1;
		return 1 if (<$stat> || '') =~ /^(\d+ \(.*\) Z|$)/;
		Time::HiRes::usleep(1_000);
	}
	Test::More::diag "process $pid is still there";
	return 0;
}

# Memory of a process that no other shares, in kB.
sub memory_of
{
	my ($self, $pid) = @_;
	my $status = PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status");

	return $status =~ /^RssAnon:\s+(\d+) kB/m ? $1 : croak 'no RssAnon in /proc';
}

# ----------------------------------------------------------------------------
# Node
# ----------------------------------------------------------------------------

# Makes node_modules in a directory with packages of npm: those of the directory
# that JOBS_NODE_MODULES names, or installed.  Returns what has gone wrong.
sub node_modules
{
	my ($class, $dir, @packages) = @_;
	my ($out, $ok) = ('', 0);

	if ($ENV{JOBS_NODE_MODULES} && !grep { !-d "$ENV{JOBS_NODE_MODULES}/$_" } @packages)
	{
		return symlink($ENV{JOBS_NODE_MODULES}, "$dir/node_modules") ? undef : "node_modules: $!";
	}
	local %ENV = (%ENV, HOME => $dir, npm_config_cache => "$dir/.npm", npm_config_fetch_retries => 0,
		npm_config_update_notifier => 'false');
	eval {
		$ok = IPC::Run::run([ 'npm', 'install', '--prefix', $dir, '--no-save', '--no-audit', '--no-fund', @packages ],
			'<', \undef, '>&', \$out, IPC::Run::timeout(180));
	};
	return if $ok;
	return "npm could not install @packages: " . ((grep { /\S/ } split /\n/, $out || $@)[0] // 'no npm');
}

# ----------------------------------------------------------------------------
# The log
# ----------------------------------------------------------------------------

# Nothing in the log that must never be there.
sub log_ok
{
	my ($self, $name) = @_;
	my @found = grep {
			 /^TRAP: /
		  || /PANIC:  /
		  || /was terminated by signal (4|6|7|8|11)\b/
		  || /^\S+ \S+ \S+ \[\d+\] XX000 /
		  || /(ERROR|FATAL|WARNING|LOG):  .*cache lookup failed/
		  || /WARNING:  .*(leak|not closed|non-empty SPI stack|own a lock)/
	} split /^/, PostgreSQL::Test::Utils::slurp_file($self->logfile);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return Test::More::is(join('', @found), '', $name || 'nothing in the log that must not be there');
}

# What the log has got since it had a length.
sub log_since
{
	my ($self, $offset) = @_;

	return PostgreSQL::Test::Utils::slurp_file($self->logfile, $offset);
}

sub log_length
{
	my ($self) = @_;

	return -s $self->logfile;
}

1;
