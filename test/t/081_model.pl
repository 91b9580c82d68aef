# Random calls of the functions that change a job's state, by roles with and without
# rights, against a model of what they must do: test/trust/model.py.
#
# JOBS_MODEL_STEPS is how many (1500); JOBS_TRUST_SEED repeats a run.

use strict;
use warnings;

use File::Temp;

my $dir = File::Temp->newdir(DIR => $ENV{TMPDIR} || '/tmp', TEMPLATE => 'moXXXX');
my @arguments = ('--dir', "$dir", '--steps', $ENV{JOBS_MODEL_STEPS} || 1500);

push @arguments, '--seed', $ENV{JOBS_TRUST_SEED} if $ENV{JOBS_TRUST_SEED};
my $status = system('/usr/bin/python3', '-B', 'test/trust/model.py', @arguments);
my $logs = $ENV{TESTLOGDIR} || '.';

system('sh', '-c', 'mkdir -p "$2" && cp "$1/server.log" "$2/model.log"', 'sh', "$dir", $logs);
exit($status == 0 ? 0 : 1);
