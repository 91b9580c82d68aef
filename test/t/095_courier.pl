# From the end of a job to a mailbox and a webhook: the extension, couriers, a mail
# server and a web server, all of them real; killed, stopped and restarted.

use strict;
use warnings;

use CourierTest;
use JSON::PP;
use JobsTest;
use MIME::Base64 ();
use PostgreSQL::Test::Utils;
use Test::More;

my $missing = CourierTest::missing();
plan skip_all => $missing if $missing;

my $kit = CourierTest->new;
my $dir = $kit->{dir};
my $smtp = $kit->start_server('smtp', tls => 1, options => ['--login']);
my $http = $kit->start_server('http', tls => 1);
my $node = JobsTest->create('main', conf => <<CONF);
jobs.mail_domains = 'example.com'
jobs.webhook_hosts = 'localhost:$http'
jobs.link_template = 'https://app.example.com/files/{token}'
CONF

$node->sql(q{CREATE ROLE courier LOGIN; CREATE ROLE ada LOGIN;
	GRANT EXECUTE ON FUNCTION jobs.claim_deliveries, jobs.finish_delivery, jobs.fail_delivery, jobs.next_delivery TO courier});
my %settings = (
	dsn => $node->connstr('postgres') . ' user=courier',
	smtp_url => "smtp://localhost:$smtp",
	smtp_user => 'courier',
	smtp_password => 's3cret pass=word#',
	mail_from_name => 'Example App',
	webhook_allow_private => 'on');

# A job whose end is told; returns its id.
sub submit
{
	my ($command, $notify, $title) = @_;

	return $node->sql("SET ROLE ada; SELECT jobs.$command, title => " . ($title || q('Q4 Revenue Report')) . ", notify => '$notify')");
}

sub delivered
{
	my ($job, $n) = @_;

	return $node->poll("SELECT count(*) = " . ($n || 1) . " FROM jobs.delivery WHERE job = $job AND state = 'delivered'")
	  || diag $node->sql("SELECT * FROM jobs.delivery WHERE job = $job");
}

sub mails
{
	return grep { $_->{event} eq 'mail' } $kit->events('smtp');
}

sub requests
{
	return grep { $_->{event} eq 'request' } $kit->events('http');
}

# The header Message-ID of a mail.
sub message_id
{
	my ($mail) = @_;

	return (slurp_file($mail->{file}) =~ /^Message-ID: <(.*)\@example\.com>\r$/m)[0];
}

# ----------------------------------------------------------------------------
# Both channels
# ----------------------------------------------------------------------------

my $hook = "https://localhost:$http";
my $courier = $kit->start($kit->configure($node, %settings));
my $job = submit(q{export('SELECT * FROM generate_series(1, 48291)'}, qq({"email": "ada\@example.com", "webhook": "$hook/ok"}));
ok(delivered($job, 2), 'an export is told by mail and by webhook');

my $mail = $kit->read_arrived('mail', (mails())[0]{file});
like($mail, qr/^From: Example App <jobs\@example\.com>\nTo: ada\@example\.com\nSubject: .*Q4 Revenue Report.* ready: 48,291 rows .* CSV/m, 'the mail');
like($mail, qr/^part: text\/plain utf-8.*https:\/\/app\.example\.com\/files\/[\w-]{43}.*^part: text\/html utf-8.*https:\/\/app\.example\.com\/files\/[\w-]{43}/ms,
	'the link in both of its forms');
unlike($mail, qr/defect|wrong date|not ASCII|long line|CRLF/, 'its form');
my ($token) = $mail =~ m{/files/([\w-]{43})};
is($node->sql("SELECT media_type FROM jobs.shared('$token')"), 'text/csv; charset=utf-8', 'the link is good');
is((mails())[0]{user}, 'courier', 'the courier has logged in');

my ($request) = requests();
my $payload = decode_json(MIME::Base64::decode_base64($request->{body}));
is($payload->{type}, 'job.succeeded', 'the webhook');
is($payload->{data}{job}, $job, 'its job');
is($payload->{data}{rows}, 48291, 'its rows');
like($payload->{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, 'its time');
is($kit->read_arrived('signatures', "$dir/http/http.log", $CourierTest::secret), "/ok good\n", 'Python finds its signature right');
is($node->sql("SELECT message_id FROM jobs.delivery WHERE job = $job AND channel = 'email'"), message_id((mails())[0]), 'the message id of the mail');
is('msg_' . $node->sql("SELECT message_id FROM jobs.delivery WHERE job = $job AND channel = 'webhook'"), $request->{headers}{'webhook-id'}, 'and of the webhook');
is($node->sql("SELECT string_agg(concat_ws(' ', channel, attempts, response), ', ' ORDER BY channel) FROM jobs.delivery WHERE job = $job"),
	'email 1 250 2.0.0 kept as 1, webhook 1 HTTP 204', 'what the servers said');

# A title that wants to be more is refused at submission, or stays one.
$job = submit(q{run('SELECT 1/0'}, q({"email": "ada@example.com"}), q('Größe der "Fläche" — ☃ .'));
ok(delivered($job), 'a failure');
$mail = $kit->read_arrived('mail', (mails())[-1]{file});
like($mail, qr/^Subject: .*Größe der "Fläche" — ☃ \..*/m, 'its title');
like($mail, qr/division by zero/, 'its reason');
unlike($mail, qr/defect|wrong date|not ASCII|long line|CRLF/, 'its form');

# ----------------------------------------------------------------------------
# Servers that refuse
# ----------------------------------------------------------------------------

sub comes_to
{
	my ($notify, $expected, $what) = @_;
	my $job = submit(q{run('SELECT'}, $notify);

	ok($node->poll("SELECT count(*) = 1 FROM jobs.delivery WHERE job = $job AND attempts = 1 AND concat_ws(' ', state, last_error) ~ '$expected'"), $what)
	  or diag $node->sql("SELECT * FROM jobs.delivery WHERE job = $job");
	return $job;
}

comes_to('{"email": "gone@example.com"}', '^failed .*550 5.1.1 of this name', '550 is for good');
comes_to('{"email": "full@example.com"}', '^pending .*452 4.2.2 mailbox full', '452 is tried again');
comes_to(qq({"webhook": "$hook/status/410"}), '^failed HTTP 410', '410 is for good');
comes_to(qq({"webhook": "$hook/status/503"}), '^pending HTTP 503', '503 is tried again');
my $busy = comes_to(qq({"webhook": "$hook/busy/503/1800"}), '^pending HTTP 503: asks to wait for 1800 s', 'and later where it asks for that');
is($node->sql("SELECT next_attempt_at - claimed_at BETWEEN '29 min' AND '31 min' FROM jobs.delivery WHERE job = $busy"), 't', 'as late as it has asked for');
comes_to(qq({"webhook": "$hook/status/302"}), '^pending HTTP 302', 'a redirect is not followed');
comes_to(qq({"webhook": "$hook/big"}), '^delivered', 'a gigabyte of an answer');
my $hanging = submit(q{run('SELECT'}, qq({"webhook": "$hook/hang"}));
ok($kit->until(sub { grep { $_->{path} eq '/hang' } requests() }), 'a server hangs');
is($kit->stop($courier), 0, 'the courier waits for it as long as ever, and leaves');
is($node->sql("SELECT state, attempts, last_error FROM jobs.delivery WHERE job = $hanging"), 'pending|1|no answer within 10 s', 'which is tried again');

# Where private addresses are refused, the server's list of hosts does not help.
$courier = $kit->start($kit->configure($node, %settings, webhook_allow_private => undef));
comes_to(qq({"webhook": "$hook/ok"}), '^pending refused: .* is a loopback address', 'a host that is listed, and means 127.0.0.1');
is($kit->stop($courier), 0, 'the courier leaves');

# ----------------------------------------------------------------------------
# Killed in the middle
# ----------------------------------------------------------------------------

# Its lease is as short as it may be.
my $file = $kit->configure($node, %settings, lease => 20, smtp_timeout => 10);
$courier = $kit->start($file);
my $slow = submit(q{run('SELECT'}, qq({"email": "slow\@example.com", "webhook": "$hook/slow"}));
ok($kit->until(sub { (grep { ($_->{recipient} // '') eq 'slow@example.com' && $_->{event} eq 'message' } $kit->events('smtp'))
			&& (grep { $_->{path} eq '/slow' } requests()) }), 'both servers have everything, and have not answered');
is($kit->stop($courier, 'KILL'), 'signal 9', 'the courier is killed');
is($node->sql("SELECT string_agg(state, ' ') FROM jobs.delivery WHERE job = $slow"), 'claimed claimed', 'nothing has been reported');
$kit->release('smtp');
$kit->release('http');

# Of two others, one gets each when the lease is over.
my @couriers = map { $kit->start($file) } 1, 2;
ok(delivered($slow, 2), 'both are delivered by others');
is($node->sql("SELECT string_agg(attempts::text, ' ') FROM jobs.delivery WHERE job = $slow"), '2 2', 'at their second attempt');
my @slow = grep { $_->{recipients}[0] eq 'slow@example.com' } mails();
is(scalar @slow, 2, 'the mail has come twice');
is(slurp_file($slow[0]{file}), slurp_file($slow[1]{file}), 'byte for byte the same');
my @ids = map { $_->{headers}{'webhook-id'} } grep { $_->{path} eq '/slow' } requests();
is(scalar @ids, 2, 'the webhook has come twice');
is($ids[0], $ids[1], 'with the same id');

# ----------------------------------------------------------------------------
# Two at once, and a database that restarts
# ----------------------------------------------------------------------------

# So many that both have some; each is sent once.
my $sent = @{ [ mails() ] };
$node->sql(q{SET ROLE ada; SELECT jobs.run('SELECT', title => 'Job ' || n, notify => '{"email": "ada@example.com"}') FROM generate_series(1, 60) AS n});
ok($node->poll(q{SELECT count(*) = 60 FROM jobs.delivery JOIN jobs.job j ON j.id = job WHERE j.title ~ '^Job ' AND delivery.state = 'delivered'}), 'two couriers, sixty mails')
  or diag $node->sql('SELECT state, count(*), max(last_error) FROM jobs.delivery GROUP BY 1');
my @sent = mails();
my %sent;
$sent{ message_id($_) }++ for @sent[ $sent .. $#sent ];
is(scalar keys %sent, 60, 'each is sent');
# On a machine that is slow enough, a mail server's answer comes too late, and another attempt is made.
my @once = split /\n/, $node->sql(q{SELECT message_id FROM jobs.delivery d JOIN jobs.job j ON j.id = d.job WHERE j.title ~ '^Job ' AND attempts = 1});
is(join(' ', grep { ($sent{$_} // 0) != 1 } @once), '', 'and once, where there was one attempt');
for my $courier (@couriers)
{
	cmp_ok(scalar(() = $kit->said($courier) =~ /attempt 1: delivered/g), '>', 0, 'one of the two has sent some');
}
is($kit->stop($couriers[1]), 0, 'one of them leaves');

$node->restart;
ok($kit->heard($couriers[0], qr/the connection to the database is lost.*connected to database/s), 'the other finds the database again');
ok(delivered(submit(q{run('SELECT'}, q({"email": "ada@example.com"}))), 'and delivers');

# What has been sent while the database is away is reported afterwards.
unlink "$dir/http/release";
$slow = submit(q{run('SELECT'}, qq({"webhook": "$hook/slow"}));
ok($kit->until(sub { 3 == grep { $_->{path} eq '/slow' } requests() }), 'a webhook is on its way');
$node->stop;
$kit->release('http');
ok($kit->heard($couriers[0], qr/delivered in \d+ ms \(HTTP 200\)\n.*\z/), 'its answer comes while the database is away');
$node->start;
ok(delivered($slow), 'and is reported when it is back');
is($node->sql("SELECT attempts FROM jobs.delivery WHERE job = $slow"), '1', 'at the first attempt');

# ----------------------------------------------------------------------------
# A transaction that somebody leaves open; an extension that goes and comes
# ----------------------------------------------------------------------------

unlink "$dir/smtp/release";
my $held = submit(q{run('SELECT'}, q({"email": "slow@example.com"}));
ok($kit->until(sub { 3 == grep { ($_->{recipient} // '') eq 'slow@example.com' && $_->{event} eq 'message' } $kit->events('smtp') }), 'a mail is on its way');
my $delivery = $node->sql("SELECT id FROM jobs.delivery WHERE job = $held");
my $deleting = $node->background_psql('postgres');
$deleting->query_safe("SET ROLE ada; BEGIN; SELECT jobs.delete($held)");
$kit->release('smtp');
ok($kit->heard($couriers[0], qr/email $delivery, attempt 1: delivered/), 'it is sent, and its job is held by somebody who deletes it');
my $began = time;
ok(delivered(submit(q{run('SELECT'}, q({"email": "ada@example.com"}))), 'others are delivered meanwhile');
cmp_ok(time - $began, '<', 50, 'and soon');
ok($kit->heard($couriers[0], qr/email $delivery, attempt 1: could not be reported, will be delivered again/), 'what cannot be reported is left to its lease');
unlike($kit->said($couriers[0]), qr/will be delivered again.*no answer from the server/s, 'without losing the connection');
$deleting->query_safe('COMMIT');
$deleting->quit;
is($node->sql("SELECT count(*) FROM jobs.delivery WHERE job = $held"), '0', 'its job is deleted');

$node->sql('DROP EXTENSION jobs');
$node->sql(q{NOTIFY jobs_delivery, 'email'});
ok($kit->heard($couriers[0], qr/schema "jobs" does not exist.*next attempt/s), 'the extension is dropped');
$node->sql(q{CREATE EXTENSION jobs;
	GRANT EXECUTE ON FUNCTION jobs.claim_deliveries, jobs.finish_delivery, jobs.fail_delivery, jobs.next_delivery TO courier});
ok(delivered(submit(q{run('SELECT'}, q({"email": "ada@example.com"}))), 'and created again: the same courier delivers');

# ----------------------------------------------------------------------------
# Leaving
# ----------------------------------------------------------------------------

unlink "$dir/smtp/release";
$slow = submit(q{run('SELECT'}, q({"email": "slow@example.com"}));
ok($kit->until(sub { 4 == grep { ($_->{recipient} // '') eq 'slow@example.com' && $_->{event} eq 'message' } $kit->events('smtp') }), 'a mail is on its way');
ok(delivered(submit(q{run('SELECT'}, qq({"email": "ada\@example.com", "webhook": "$hook/ok"})), 2), 'others are delivered meanwhile');
kill 'TERM', $couriers[0]{pid};
ok($kit->heard($couriers[0], qr/finishes what is being sent, then leaves/), 'the courier is told to leave');
my $late = submit(q{run('SELECT'}, q({"email": "ada@example.com"}));
is($node->wait_job($late), 'succeeded', 'another job ends');
$kit->release('smtp');
is($kit->ended($couriers[0]), 0, 'the courier leaves');
is($node->sql("SELECT state FROM jobs.delivery WHERE job = $slow"), 'delivered', 'when it has sent and reported its mail');
is($node->sql("SELECT state, attempts FROM jobs.delivery WHERE job = $late"), 'pending|0', 'and takes no other');

$courier = $kit->start($file);
ok(delivered($late), 'which the next one finds at its start');
unlink "$dir/smtp/release";
submit(q{run('SELECT'}, q({"email": "slow@example.com"}));
ok($kit->until(sub { 5 == grep { ($_->{recipient} // '') eq 'slow@example.com' && $_->{event} eq 'message' } $kit->events('smtp') }), 'a mail is on its way');
kill 'TERM', $courier->{pid};
$kit->heard($courier, qr/finishes/);
is($kit->stop($courier, 'TERM'), 1, 'told twice, it leaves at once');

is($kit->complaints, '', 'no sanitizer has complained');
$node->log_ok;
$node->stop;
done_testing();
