# CourierTest.pm
#	  Couriers, and servers for what they deliver: what their tests share.
#
# An object has a directory of its own with certificates, configurations and logs.
# JOBS_COURIER_TOOL names a command to run couriers with, like
# "valgrind --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite
# --fair-sched=yes" (a name server's thread may still wait at the end).

package CourierTest;

use strict;
use warnings;

use Carp qw(croak);
use File::Basename;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils ();
use Test::More ();
use Time::HiRes ();

my $top = dirname(dirname(dirname(__FILE__)));

# 32 bytes, and others for one host.
our $secret = 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=';
our $other_secret = 'whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=';

# PIDs of all that has been started and not ended.
my %running;
my $owner = $$;

# What is missing here for such tests; undef: nothing.
sub missing
{
	return 'built without jobs-courier (libcurl 7.87)' unless -x program();
	return 'needs aiosmtpd (Debian: python3-aiosmtpd)' if system('/usr/bin/python3 -c "import aiosmtpd" 2>/dev/null') != 0;
	return 'needs openssl' if system('openssl version >/dev/null 2>&1') != 0;
	return;
}

sub program
{
	chomp(my $bindir = `@{[ $ENV{PG_CONFIG} || 'pg_config' ]} --bindir`);
	return "$bindir/jobs-courier";
}

sub new
{
	my ($class) = @_;
	my $self = bless { dir => PostgreSQL::Test::Utils::tempdir(), servers => [], couriers => [], n => 0 }, $class;
	my $dir = $self->{dir};

	# A certificate authority, and what it says of this machine.
	PostgreSQL::Test::Utils::append_to_file("$dir/server.ext", "subjectAltName=DNS:localhost,DNS:*.test,IP:127.0.0.1\n");
	for my $command (
		"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Test-CA -keyout $dir/ca.key -out $dir/ca.crt"
		. " -addext keyUsage=critical,keyCertSign",
		"openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout $dir/server.key -out $dir/server.csr",
		"openssl x509 -req -in $dir/server.csr -CA $dir/ca.crt -CAkey $dir/ca.key -CAcreateserial -days 2"
		. " -extfile $dir/server.ext -out $dir/server.crt")
	{
		system("$command >>$dir/openssl.log 2>&1") == 0 or croak "failed: $command";
	}
	return $self;
}

# ----------------------------------------------------------------------------
# Servers
# ----------------------------------------------------------------------------

# Starts smtp_server.py or http_server.py; returns its port.  "as" tells several apart.
sub start_server
{
	my ($self, $kind, %params) = @_;
	my $dir = "$self->{dir}/" . ($params{as} || $kind);
	my @tls = $params{tls} ? ('--tls', "$self->{dir}/server.crt", "$self->{dir}/server.key") : ();

	mkdir $dir;
	unlink "$dir/$kind.port";
	my $run = IPC::Run::start([ '/usr/bin/python3', "$top/test/courier/${kind}_server.py", $dir, @tls, @{ $params{options} || [] } ],
		'>>', "$dir/output", '2>>', "$dir/output");
	$running{ $run->{KIDS}[0]{PID} } = 1;
	push @{ $self->{servers} }, $run;
	$self->until(sub { -e "$dir/$kind.port" }) or croak "no server: " . PostgreSQL::Test::Utils::slurp_file("$dir/output");
	return PostgreSQL::Test::Utils::slurp_file("$dir/$kind.port");
}

# Events in a server's log, as hashes.
sub events
{
	my ($self, $kind, $as) = @_;
	my $log = "$self->{dir}/" . ($as || $kind) . "/$kind.log";

	return -e $log ? map { decode_json($_) } split /\n/, PostgreSQL::Test::Utils::slurp_file($log) : ();
}

# What read.py says.
sub read_arrived
{
	my ($self, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ '/usr/bin/python3', "$top/test/courier/read.py", @arguments ], '>', \$out, '2>', \$err);
	return $out . $err;
}

# Lets mails to "slow", and requests of /slow, go on.
sub release
{
	my ($self, $as) = @_;

	PostgreSQL::Test::Utils::append_to_file("$self->{dir}/$as/release", '');
	return;
}

# ----------------------------------------------------------------------------
# Couriers
# ----------------------------------------------------------------------------

# Writes a configuration; returns its name.  Without a value, a setting is left out.
sub configure
{
	my ($self, $node, %settings) = @_;
	my $file = "$self->{dir}/" . ++$self->{n} . '.conf';
	my %all = (
		dsn => $node->connstr('postgres'),
		ca_file => "$self->{dir}/ca.crt",
		mail_from => 'jobs@example.com',
		webhook_secret => $secret,
		%settings);

	PostgreSQL::Test::Utils::append_to_file($file,
		join '', map { "$_ = $all{$_}\n" } grep { defined $all{$_} } sort keys %all);
	chmod 0600, $file;
	return $file;
}

# Starts a courier.  It has no environment but what is given: env => { ... }.
sub start
{
	my ($self, $file, %params) = @_;
	my $log = "$self->{dir}/" . ++$self->{n} . '.log';
	my %env = (PATH => $ENV{PATH}, HOME => $self->{dir}, %{ $params{env} || {} });
	my $run = IPC::Run::start(
		[
			'env', '-i', (map { "$_=$env{$_}" } sort keys %env), split(/ /, $ENV{JOBS_COURIER_TOOL} || ''),
			program(), '--config', $file
		],
		'<', '/dev/null', '>', $log, '2>&1');
	my $courier = { run => $run, log => $log, pid => $run->{KIDS}[0]{PID} };

	$running{ $courier->{pid} } = 1;
	push @{ $self->{couriers} }, $courier;
	$self->heard($courier, qr/connected to database/) unless $params{no_wait};
	return $courier;
}

# Waits until a courier has said something.
sub heard
{
	my ($self, $courier, $pattern) = @_;

	return 1 if $self->until(sub { $self->said($courier) =~ $pattern });
	Test::More::diag "not said: $pattern\n" . $self->said($courier);
	return 0;
}

sub said
{
	my ($self, $courier) = @_;

	return PostgreSQL::Test::Utils::slurp_file($courier->{log});
}

# Ends a courier by a signal; returns its status, or "signal N".
sub stop
{
	my ($self, $courier, $signal) = @_;

	kill $signal || 'TERM', $courier->{pid} if $courier->{run};
	return $self->ended($courier);
}

# Waits for its end.
sub ended
{
	my ($self, $courier) = @_;
	my $run = delete $courier->{run} or return $courier->{status};

	eval { $run->finish };
	delete $running{ $courier->{pid} };
	my $status = ($run->full_results)[0];
	$courier->{status} = $status & 127 ? 'signal ' . ($status & 127) : $status >> 8;
	return $courier->{status};
}

# Runs the program to its end; returns its status and what it has printed.
sub run_program
{
	my ($self, $arguments, %env) = @_;
	my $out = '';

	IPC::Run::run([ 'env', '-i', "PATH=$ENV{PATH}", "HOME=$self->{dir}", (map { "$_=$env{$_}" } sort keys %env), program(), @$arguments ],
		'<', '/dev/null', '>', \$out, '2>&1');
	return ($? >> 8, $out);
}

# What sanitizers and the like have found in all couriers that have ended.
sub complaints
{
	my ($self) = @_;

	return join '', grep { /Sanitizer|runtime error|^==\d+== .*(Invalid|uninitialised|definitely lost: [1-9])/ }
	  map { split /^/, PostgreSQL::Test::Utils::slurp_file($_->{log}) } @{ $self->{couriers} };
}

# ----------------------------------------------------------------------------
# Waiting
# ----------------------------------------------------------------------------

sub until
{
	my ($self, $condition) = @_;
	my $deadline = Time::HiRes::time() + $PostgreSQL::Test::Utils::timeout_default;

	while (Time::HiRes::time() < $deadline)
	{
		return 1 if $condition->();
		Time::HiRes::usleep(10_000);
	}
	return 0;
}

# However the test ends.
END
{
	# The status of this program is not theirs.
	local $?;

	kill 'KILL', keys %running if $$ == $owner;
}

1;
