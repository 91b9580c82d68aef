# What becomes of a job whose role is dropped, renamed, locked out or deprived of
# something, between its submission and its start, and while it runs.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = JobsTest->create('main', bare => 1);

# In a database of its own, where CONNECT is granted role by role.
$node->sql('CREATE DATABASE app');
$node->sql('CREATE EXTENSION jobs', 'app');
$node->sql(q{REVOKE CONNECT ON DATABASE app FROM PUBLIC;
	CREATE TABLE effect (job text, by name DEFAULT current_user);
	GRANT INSERT, SELECT ON effect TO PUBLIC}, 'app');
$node->add_gate('app');

sub create_role
{
	my ($role, $options) = @_;

	$node->sql("CREATE ROLE $role " . ($options || 'LOGIN') . "; GRANT CONNECT ON DATABASE app TO $role", 'app');
	return;
}

# What a session of a role says.
sub as_role
{
	my ($role, $sql) = @_;

	return $node->safe_psql('app', $sql, extra_params => [ '-U', $role ]);
}

sub state_of
{
	my ($id) = @_;

	return $node->job($id, 'state, error_code, error_message, attempt', 'app');
}

# ----------------------------------------------------------------------------
# Between submission and start
# ----------------------------------------------------------------------------

# name, submission, what happens, outcome.  All may try again, which would be in vain.
my $insert = q{jobs.run('INSERT INTO effect VALUES (''%s'')', max_attempts => 5)};
my @cases = (
	[ 'dropped', '%s', 'DROP OWNED BY dropped; DROP ROLE dropped',
		'failed|42704|role "dropped" no longer exists|0' ],
	[ 'nologin', '%s', 'ALTER ROLE nologin NOLOGIN',
		'failed|42501|role "nologin" is not permitted to log in|0' ],
	[ 'expired', '%s', q{ALTER ROLE expired VALID UNTIL '2000-01-01'},
		'failed|42501|the password of role "expired" has expired|0' ],
	[ 'no_connect', '%s', 'REVOKE CONNECT ON DATABASE app FROM no_connect',
		'failed|42501|role "no_connect" has no CONNECT privilege on the database|0' ],
	[ 'left', 'SET ROLE team; %s', 'REVOKE team FROM left_team',
		'failed|42501|role "left_team" is no longer a member of role "team"|0', 'left_team' ],
	[ 'gone', 'SET ROLE team; %s', 'DROP OWNED BY gone_member; DROP ROLE gone_member',
		'failed|42704|the role that submitted the job no longer exists|0', 'gone_member' ],
	[ 'locked', 'SET ROLE team; %s', 'ALTER ROLE locked_member NOLOGIN',
		'failed|42501|role "locked_member" is not permitted to log in|0', 'locked_member' ],
	[ 'no_insert', '%s', 'REVOKE INSERT ON effect FROM PUBLIC; GRANT INSERT ON effect TO team, renamed, member, unlocked',
		'failed|42501|permission denied for table effect|5' ],
	[ 'renamed', '%s', 'ALTER ROLE renamed RENAME TO other_name', 'succeeded|||1' ],
	[ 'member', 'SET ROLE team; %s', 'ALTER ROLE team RENAME TO crew', 'succeeded|||1' ],
	[ 'unlocked', '%s', q{ALTER ROLE unlocked NOLOGIN; ALTER ROLE unlocked LOGIN VALID UNTIL '2100-01-01'}, 'succeeded|||1' ]);

create_role('team', 'NOLOGIN');
create_role($_->[4] || $_->[0]) foreach @cases;
$node->sql("GRANT team TO $_", 'app') foreach qw(left_team gone_member locked_member member);
$node->sql(q{SELECT jobs.pause('default')}, 'app');
for my $case (@cases)
{
	my ($name, $submission, undef, undef, $role) = @$case;

	$case->[5] = as_role($role || $name, sprintf($submission, 'SELECT ' . sprintf($insert, $name)));
}
for my $case (@cases)
{
	$node->sql($case->[2], 'app');
}
my $from = time;
$node->sql(q{SELECT jobs.resume('default')}, 'app');
for my $case (@cases)
{
	my ($name, undef, $event, $outcome, undef, $id) = @$case;

	$node->wait_job($id, 'app');
	is(state_of($id), $outcome, "queued, then $event");
}
cmp_ok(time - $from, '<', 10, 'soon');
is($node->sql('SELECT job, by FROM effect ORDER BY 1', 'app'), "member|crew\nrenamed|other_name\nunlocked|unlocked",
	'and only what succeeded has an effect, as its owner');
is($node->job($cases[8][5], 'owner', 'app'), 'other_name', 'a renamed owner is shown by the new name');

# With the time of its start ahead.
create_role('later');
my $later = as_role('later', q{SELECT jobs.run('SELECT 1', run_at => now() + '300 ms')});
$node->sql('ALTER ROLE later NOLOGIN', 'app');
is($node->wait_job($later, 'app'), 'failed', 'a scheduled job of a role that was locked out has failed');

# What would wait for such a job is cancelled.
create_role('waits');
$node->sql(q{SELECT jobs.pause('default')}, 'app');
my $first = as_role('waits', q{SELECT jobs.run('SELECT 1', title => 'first')});
my $second = as_role('waits', "SELECT jobs.run('SELECT 1', after => ARRAY[$first])");
$node->sql(q{ALTER ROLE waits NOLOGIN; SELECT jobs.resume('default')}, 'app');
is($node->wait_job($second, 'app'), 'cancelled', 'what waits for it is cancelled');
is($node->job($second, 'error_message', 'app'), 'the job "first" that it waited for has failed', 'with the reason');

# ----------------------------------------------------------------------------
# While it runs, and afterwards in the worker that stays
# ----------------------------------------------------------------------------

for my $case (
	[ 'run_dropped', 'DROP OWNED BY run_dropped; DROP ROLE run_dropped', '' ],
	[ 'run_nologin', 'ALTER ROLE run_nologin NOLOGIN', 'role "run_nologin" is not permitted to log in' ],
	[ 'run_connect', 'REVOKE CONNECT ON DATABASE app FROM run_connect', 'role "run_connect" has no CONNECT privilege on the database' ])
{
	my ($role, $event, $message) = @$case;

	create_role($role);
	$node->close_gate('app');
	$node->sql("GRANT INSERT ON effect TO $role", 'app');
	my $running = as_role($role, "SELECT jobs.run('INSERT INTO effect VALUES (''$role''); SELECT wait_to_go()')");
	my $next = as_role($role, "SELECT jobs.run('SELECT 1', after => ARRAY[$running])");
	my $worker = $node->wait_running($running, 'app');
	$node->sql($event, 'app');
	$node->open_gate('app');
	is($node->wait_job($running, 'app'), 'succeeded', "running, then $event: goes on to its end, as a session would");
	is($node->sql("SELECT count(*) FROM effect WHERE job = '$role'", 'app'), '1', 'with its effect');
	is($node->wait_job($next, 'app'), 'failed', 'and the next one fails');
	is($node->job($next, 'error_message', 'app'), $message || qq(role "$role" no longer exists), 'with the reason');
}

# ----------------------------------------------------------------------------
# A role of the same name is not the same role
# ----------------------------------------------------------------------------

create_role('again');
my $old = as_role('again', q{SELECT jobs.export('SELECT 1 AS secret')});
$node->wait_job($old, 'app');
is(as_role('again', 'SELECT count(*) FROM jobs.artifact'), '1', 'a role has a file');
$node->sql('DROP OWNED BY again; DROP ROLE again', 'app');
create_role('again');
is(as_role('again', 'SELECT count(*) FROM jobs.job'), '0', 'one of the same name, made later, has not its jobs');
is(as_role('again', 'SELECT count(*) FROM jobs.artifact'), '0', 'nor its files');
for my $call ('cancel', 'retry', 'delete', 'download', 'share', 'wait')
{
	like($node->error("SELECT jobs.$call($old)", dbname => 'app', extra_params => [ '-U', 'again' ]),
		qr/ERROR:  42704: job $old does not exist/, "jobs.$call does not find them");
}
like($node->job($old, 'owner', 'app'), qr/^unknown \(OID=\d+\)$/, 'an operator still sees the jobs of a role that is gone');
is($node->sql("SELECT jobs.delete($old)", 'app'), 't', 'and can delete them');

# ----------------------------------------------------------------------------
# Nothing of this has harmed anything
# ----------------------------------------------------------------------------

is(as_role('other_name', q{SELECT jobs.run('SELECT 1') IS NOT NULL}), 't', 'jobs of other roles can be submitted');
ok($node->wait_all('app'), 'and run');
unlike($node->log_since(0), qr/FATAL/, 'no process failed to connect');
$node->log_ok;
$node->stop;
done_testing();
