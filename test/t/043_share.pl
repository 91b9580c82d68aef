# Shared files by HTTP: examples/download/server.js, with a role that has
# nothing but the functions of tokens.  JOBS_NODE_MODULES names a directory with
# pg and pg-query-stream; without it they are installed by npm.

use strict;
use warnings;
use utf8;

use Digest::SHA qw(sha256_hex);
use File::Copy qw(copy);
use File::Basename qw(dirname);
use IPC::Run;
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $example = dirname(dirname(dirname(__FILE__))) . '/examples/download';
my $dir = PostgreSQL::Test::Utils::tempdir();

plan skip_all => 'needs node and curl' if system('command -v node curl >/dev/null 2>&1') != 0;
copy("$example/$_", "$dir/$_") or die "$_: $!" foreach qw(server.js package.json);
{
	my $failure = JobsTest->node_modules($dir, 'pg', 'pg-query-stream');

	plan skip_all => $failure if $failure;
}

my $node = JobsTest->create('main');

# The rights of docs/sharing.md.
$node->sql(<<'SQL');
CREATE ROLE application;
CREATE ROLE analyst LOGIN IN ROLE application;
CREATE ROLE gateway LOGIN;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA jobs FROM PUBLIC;
REVOKE USAGE ON SCHEMA jobs FROM PUBLIC;
GRANT USAGE ON SCHEMA jobs TO application, gateway;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA jobs TO application;
REVOKE EXECUTE ON FUNCTION jobs.claim_deliveries, jobs.finish_delivery, jobs.fail_delivery, jobs.next_delivery FROM application;
GRANT EXECUTE ON FUNCTION jobs.shared(text), jobs.download(text) TO gateway;
SQL

sub as
{
	my ($role, $query) = @_;

	return $node->safe_psql('postgres', $query, extra_params => [ '-U', $role ]);
}

my $job = as('analyst', q{SELECT jobs.export('SELECT g, md5(g::text) FROM generate_series(1, 300000) g', filename => 'Größe "1".csv')});
is($node->wait_job($job), 'succeeded', 'export');
my $secret = as('analyst', q{SELECT jobs.export('SELECT 42', filename => 'secret.csv')});
$node->wait_job($secret);
my $empty = as('analyst', q{SELECT jobs.export('SELECT 1 WHERE false', filename => 'empty.csv', options => '{"header": false}')});
$node->wait_job($empty);
my ($sha256, $bytes) = split /\|/, as('analyst', "SELECT sha256, bytes FROM jobs.artifact WHERE job = $job");
my $token = as('analyst', "SELECT jobs.share($job)");

# ----------------------------------------------------------------------------
# The role
# ----------------------------------------------------------------------------

for my $query ("SELECT jobs.download($job)", "SELECT jobs.download_lo($job)", "SELECT jobs.share($job)",
	"SELECT jobs.unshare($job)", "SELECT jobs.delete($job)", "SELECT jobs.export('SELECT 1')", "SELECT jobs.run('SELECT 1')",
	"SELECT jobs.cancel($job)", "SELECT jobs.wait($job)", 'SELECT * FROM jobs.chunk', 'SELECT * FROM jobs.file',
	'SELECT * FROM jobs.share_token', 'SELECT * FROM jobs.history', 'SELECT * FROM jobs._slots()')
{
	like($node->error($query, extra_params => [ '-U', 'gateway' ]), qr/ERROR:  42501: permission denied/, "gateway: $query");
}
for my $view ('job', 'artifact', 'progress', 'panel')
{
	my $error = $node->error("SELECT 1 / count(*) FROM jobs.$view", extra_params => [ '-U', 'gateway' ]);

	like($error, qr/ERROR:  (42501: permission denied|22012: division by zero)/, "gateway sees nothing in jobs.$view");
}
is(as('gateway', "SELECT filename = 'Größe \"1\".csv', bytes, sha256 FROM jobs.shared('$token')"), "t|$bytes|$sha256", 'gateway: the shared file');

# ----------------------------------------------------------------------------
# By HTTP
# ----------------------------------------------------------------------------

# Starts the gateway; returns its process and its port.
sub start_server
{
	my (%settings) = @_;
	my ($out, $err) = ('', '');
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', PGUSER => 'gateway', PORT => 0, %settings);
	my $server = IPC::Run::start([ 'env', '-C', $dir, 'node', 'server.js' ], '<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

	$server->pump until $out =~ /port (\d+)/ || !$server->pumpable;
	$out =~ /port (\d+)/ or BAIL_OUT("server.js did not start: $err");
	return ($server, $1);
}

my ($server, $usual) = start_server();
my $port = $usual;

# Returns the status, headers in lower case, and the name of the file.
sub get
{
	my ($path, @options) = @_;
	my ($headers, $curl_err);

	unlink "$dir/file";
	IPC::Run::run([ 'curl', '-sS', '--noproxy', '*', '-D', '-', '-o', "$dir/file", @options, "http://127.0.0.1:$port/$path" ],
		'>', \$headers, '2>', \$curl_err);
	my ($status) = $headers =~ m{^HTTP/1.1 (\d+)};
	my %headers = map { /^([\w-]+): (.*?)\r?$/ ? (lc $1, $2) : () } split /\n/, $headers;
	return ($status // $curl_err, \%headers);
}

my ($status, $headers) = get($token);
is($status, 200, 'found');
is(Digest::SHA->new(256)->addfile("$dir/file")->hexdigest, $sha256, 'the same file');
is($headers->{'content-type'}, 'text/csv; charset=utf-8', 'Content-Type');
is($headers->{'content-length'}, $bytes, 'Content-Length');
is($headers->{'content-disposition'}, as('gateway', "SELECT content_disposition FROM jobs.shared('$token')"), 'Content-Disposition');
like($headers->{'content-disposition'}, qr/^attachment; filename="[ -~]*"; filename\*=UTF-8''Gr%C3%B6%C3%9Fe%20%221%22\.csv$/,
	'in ASCII, and in UTF-8');
ok($node->poll("SELECT downloads = 1 FROM jobs.artifact WHERE job = $job"), 'it is counted');

($status, $headers) = get($token, '-I');
is("$status $headers->{'content-length'}", "200 $bytes", 'HEAD');
is((get($token, '-X', 'POST'))[0], 405, 'POST');

# One that is not read to its end disturbs nobody, nor does one beside another.
get($token, '--max-filesize', '1000');
is((get($token))[0], 200, 'after a download that was broken off');
is(Digest::SHA->new(256)->addfile("$dir/file")->hexdigest, $sha256, 'the same file again');

# One that takes a little now and then, half a megabyte a second where ten are asked for.
(my $strict, $port) = start_server(RATE => 10_000_000, PATIENCE => 1);
get($token, '--limit-rate', '500k');
cmp_ok(-s "$dir/file", '<', $bytes, 'a reader who is too slow is cut off');
$strict->kill_kill;
$port = $usual;

($status, $headers) = get(as('analyst', "SELECT jobs.share($empty)"));
is("$status $headers->{'content-length'}", '200 0', 'an empty file');

for my $path ('', 'nothing', $job, "$token.", "../$token/x", '%00', '%FF', "x'%3B--")
{
	is((get($path, '--path-as-is'))[0], 404, "not found: /" . ($path =~ s/\Q$token\E/<token>/r));
}

as('analyst', "SELECT jobs.unshare($job)");
is((get($token))[0], 404, 'taken back: at once');
is(slurp_file("$dir/file"), "This link is not valid.\n", 'with a word');

$token = as('analyst', "SELECT jobs.share($job, expires_in => '1 millisecond')");
ok($node->poll("NOT EXISTS (SELECT FROM jobs.share_token WHERE job = $job AND expires_at > clock_timestamp())"), 'a token expires');
is((get($token))[0], 404, 'expired');

$token = as('analyst', "SELECT jobs.share($job)");
is((get($token))[0], 200, 'shared once more');
as('analyst', "SELECT jobs.delete($job)");
is((get($token))[0], 404, 'the file is gone');

$token = as('analyst', "SELECT jobs.share($secret)");
$node->stop;
is((get($token))[0], 503, 'the database is down');
$node->start;
is((get($token))[0], 200, 'it is up again');

$server->kill_kill;
$node->log_ok;
$node->stop;
done_testing();
