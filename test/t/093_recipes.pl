# docs/recipes.md, and the receiver of docs/notifications.md: each recipe runs as it stands there, in its framework, where that can
# be had (see test/lib/DocsTest.pm), as a role of an application whose users are tenants.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256 sha256_hex);
use DocsTest;
use File::Basename;
use File::Temp;
use HTTP::Tiny;
use IPC::Run;
use JobsTest;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = dirname(dirname(dirname(__FILE__)));
my @blocks = blocks("$top/docs/recipes.md");
my %recipes = map { $_->{run} => $_ } grep { $_->{run} } @blocks;
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';

chomp(my $sharedir = `$pg_config --sharedir`);
my $has_cron = -e "$sharedir/extension/pg_cron.control";
my $node = JobsTest->create('main', bare => 1, conf => "listen_addresses = '127.0.0.1'\n"
	  . ($has_cron ? "shared_preload_libraries = 'pg_cron,jobs'\ncron.database_name = 'app'\ncron.use_background_workers = on\n" : ''));

# The blocks of SQL make what the others need.
$node->sql('CREATE DATABASE app');
my ($status, undef, $err) = $node->psql('app', join("\n", map { $_->{text} } grep { $_->{language} eq 'sql' && !$_->{run} } @blocks),
	on_error_stop => 1, on_error_die => 0);
is($status, 0, 'blocks of SQL') or diag $err;

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'app';
$ENV{PGUSER} = 'app';

my $wanted = sha256_hex($node->safe_psql('app', 'COPY (SELECT * FROM invoices ORDER BY id) TO STDOUT (FORMAT csv, HEADER)') . "\n");

# Runs the tests of a recipe, which get its block and a directory, or skips them.
sub recipe
{
	my ($name, $count, $tests, %around) = @_;
	my $block = $recipes{$name} or return fail("there is no recipe $name");
	my $dir = File::Temp->newdir;

  SKIP:
	{
		skip "$name: what it needs is not here", $count unless can_run($block, "$dir", %around);
		$tests->($block, "$dir");
	}
	return;
}

# A recipe that prints the job's state and leaves a file.
sub leaves_file
{
	my ($name, %around) = @_;

	recipe($name, 2, sub {
		my ($block, $dir) = @_;
		my ($ok, $out) = run_block($block, $dir, %around);

		is($out, "succeeded\nnobody else\n", "$name: progress, and others see nothing");
		is(-e "$dir/file.csv" ? sha256_hex(slurp_file("$dir/file.csv")) : 'no file', $wanted, "$name: the file");
	}, %around);
	return;
}

leaves_file('python', before => <<'BEFORE', after => <<'AFTER');
import psycopg2
BEFORE

connection = psycopg2.connect("")
job = submit(connection, "ada")
with connection, connection.cursor() as cursor:
    as_user(cursor, "ada")
    cursor.execute("SELECT jobs.wait(%s)", (job,))
print(panel(connection, "ada", job)[0])
print("nobody else" if panel(connection, "bob", job) is None else "bob too")
with open("file.csv", "wb") as file:
    for chunk in chunks(connection, "ada", job):
        file.write(chunk)
AFTER

leaves_file('django', before => <<'BEFORE', after => <<'AFTER');
import os, json, types
import django
from django.conf import settings
settings.configure(DEBUG=False, SECRET_KEY="x", USE_TZ=True, ALLOWED_HOSTS=["*"], DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], "USER": os.environ["PGUSER"],
    "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"]}})
django.setup()
BEFORE

from django.test import RequestFactory
def request(method, user):
    made = getattr(RequestFactory(), method)("/")
    made.user = types.SimpleNamespace(pk=user)
    return made
job = json.loads(export(request("post", "ada")).content)["job"]
with transaction.atomic():
    query(request("get", "ada"), "SELECT jobs.wait(%s)", job)
print(json.loads(progress(request("get", "ada"), job).content)["state"])
try:
    progress(request("get", "bob"), job)
except Http404:
    print("nobody else")
with open("file.csv", "wb") as file:
    for chunk in download(request("get", "ada"), job).streaming_content:
        file.write(chunk)
AFTER

leaves_file('rails', before => <<'BEFORE', after => <<'AFTER');
require 'logger'
require 'json'
require 'time'
require 'active_record'
require 'action_controller'
ActiveRecord::Base.establish_connection(adapter: 'postgresql', database: ENV['PGDATABASE'], host: ENV['PGHOST'], port: ENV['PGPORT'], username: ENV['PGUSER'])
BEFORE

ExportsController.allow_forgery_protection = false
def call(action, user, method = 'GET', **parameters)
  env = Rack::MockRequest.env_for('/', method: method, 'user' => user, 'action_dispatch.request.path_parameters' => parameters)
  ExportsController.action(action).call(env)
end
def text(body) = [].tap { |parts| body.each { |part| parts << part } }.join
job = JSON.parse(text(call(:create, 'ada', 'POST')[2]))['job']
ActiveRecord::Base.transaction do
  ActiveRecord::Base.connection.execute("SELECT set_config('jobs.tenant', 'ada', true)")
  ActiveRecord::Base.connection.execute("SELECT jobs.wait(#{job})")
end
puts JSON.parse(text(call(:show, 'ada', id: job)[2]))['state']
puts call(:show, 'bob', id: job)[0] == 404 ? 'nobody else' : 'bob too'
File.binwrite('file.csv', text(call(:download, 'ada', id: job)[2]))
AFTER

# A receiver of webhooks knows what is signed with its secret from what is not.
($recipes{webhook}) = grep { ($_->{run} // '') eq 'webhook' } blocks("$top/docs/notifications.md");
recipe('webhook', 1, sub {
	my ($block, $dir) = @_;
	my ($now, $key) = (time, 'k' x 32);
	my $signature = 'v1,' . encode_base64(hmac_sha256("msg_1.$now.{}", $key), '');
	my (undef, $out) = run_block($block, $dir, after => <<"AFTER");

headers = {"webhook-id": "msg_1", "webhook-timestamp": "$now", "webhook-signature": "v1,other $signature"}
secret = "whsec_${\ encode_base64($key, '')}"
verify(secret, headers, b"{}")
for made in (dict(headers, **{"webhook-id": "msg_2"}), dict(headers, **{"webhook-timestamp": "1"})):
    try:
        verify(secret, made, b"{}")
        print("taken")
    except ValueError as error:
        print(error)
AFTER

	is($out, "not ours\nnot ours\n", 'webhook: what is signed is taken, and nothing else');
});

recipe('java', 1, sub {
	my ($ok, $out) = run_block(@_);

	like($out, qr/^(?:\w+ .*\n)*succeeded .*\n\z/, 'java: it waits by messages for the end');
});

recipe('node', 6, sub {
	my ($block, $dir) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $out = '';

	local $ENV{PORT} = $port;
	open my $script, '>', "$dir/server.mjs" or die "could not write: $!\n";
	print $script $block->{text};
	close $script;
	my $server = IPC::Run::start([ 'env', '-C', $dir, 'node', 'server.mjs' ], '<', \undef, '>&', \$out);
	my $http = HTTP::Tiny->new(timeout => 60);
	my $as = sub { my ($user, $method, $path) = @_; return $http->request($method, "http://127.0.0.1:$port$path", { headers => { 'x-user' => $user } }) };
	my $up = 0;

	for (1 .. 600)
	{
		$up = $as->('ada', 'GET', '/')->{status} == 404 and last;
		select undef, undef, undef, 0.1;
	}
	ok($up, 'node: the server answers') or diag $out;
	my ($job) = ($as->('ada', 'POST', '/exports')->{content} // '') =~ /"job":"(\d+)"/;
	ok($job, 'node: an export is submitted');
	$job //= 0;

	# Reads the events until the last one.
	my $events = '';
	eval {
		$http->request('GET', "http://127.0.0.1:$port/events/$job", { headers => { 'x-user' => 'ada' },
			data_callback => sub { $events .= $_[0]; die "enough\n" if $events =~ /"state":"succeeded"/ } });
	};
	like($events, qr/"state":"succeeded","headline":"1,000 rows/, 'node: events tell of the end');
	my $file = $as->('ada', 'GET', "/files/$job");
	is(sha256_hex($file->{content}), $wanted, 'node: the file');
	is($file->{headers}{'content-disposition'}, 'attachment; filename="invoices.csv"', 'node: its name');
	is($as->('bob', 'GET', "/files/$job")->{status}, 404, 'node: not for others');
	$server->kill_kill;
});

SKIP:
{
	skip 'cron: pg_cron is not here (Debian: postgresql-15-cron)', 3 unless $has_cron;
	delete local $ENV{PGUSER};
	$node->sql('CREATE EXTENSION pg_cron; GRANT USAGE ON SCHEMA cron TO app', 'app');
	my $id = $node->safe_psql('app', $recipes{cron}{text}, extra_params => [ '-U', 'app' ]);

	like($id, qr/^\d+$/, 'cron: it is scheduled');
	$node->sql("UPDATE cron.job SET schedule = '* * * * *' WHERE jobid = $id", 'app');
	$node->poll_query_until('app', "SELECT count(*) > 0 FROM jobs.job WHERE unique_key = 'invoices'") or diag $node->sql('TABLE cron.job_run_details', 'app');
	$node->sql("SELECT cron.unschedule($id)", 'app');
	is($node->sql("SELECT DISTINCT owner || ' ' || jobs.wait(id) FROM jobs.job WHERE unique_key = 'invoices'", 'app'), 'app succeeded',
		'cron: the export has run as the role that scheduled it');
	is($node->sql("SELECT DISTINCT status FROM cron.job_run_details", 'app'), 'succeeded', 'cron: it has a record of it');
}

$node->stop;
done_testing;
