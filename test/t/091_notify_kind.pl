# Every notification names the job's kind, also those of the changes of state
# that the scheduler finds in the table.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('notify');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'jobs'\n");
$node->start;

# Once another job has ended half a second later, all of the first one's
# messages are there.
my $output = $node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION jobs;
LISTEN jobs;
SELECT jobs.export('SELECT 1');
SELECT jobs.wait(1);
SELECT jobs.run('SELECT pg_sleep(0.5)');
SELECT jobs.wait(2);
SQL

my @messages = $output =~ /("job": 1, "kind": "\w+", "state": "\w+")/g;
is(join("\n", @messages), join("\n", map { qq{"job": 1, "kind": "export", "state": "$_"} } qw(queued running succeeded)),
	'queued, running and succeeded, each of an export');

$node->stop;
done_testing();
