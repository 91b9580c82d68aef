# The mixed workload under faults of every kind, a few of each, and the invariants
# after each fault: test/trust.  docs/reliability.md says what the faults are.
#
# JOBS_TRUST=full is what `make trust` runs, and takes hours; JOBS_TRUST=soak injects
# them at random for JOBS_TRUST_SECONDS.  JOBS_TRUST_FAULTS names some of them
# (F01,F09), JOBS_TRUST_SEED repeats a run, JOBS_TRUST_SLACK is how many times
# slower than promised is still right here.

use strict;
use warnings;

use File::Temp;

# Its output is this test's.
my $dir = File::Temp->newdir(DIR => $ENV{TMPDIR} || '/tmp', TEMPLATE => 'trXXXX', CLEANUP => 0);
my $logs = $ENV{TESTLOGDIR} || '.';
my @arguments = ('--dir', "$dir", '--slack', $ENV{JOBS_TRUST_SLACK} || 5);

push @arguments, '--full' if ($ENV{JOBS_TRUST} || '') eq 'full';
push @arguments, '--faults', $ENV{JOBS_TRUST_FAULTS} if $ENV{JOBS_TRUST_FAULTS};
push @arguments, '--soak', $ENV{JOBS_TRUST_SECONDS} || 3600 if ($ENV{JOBS_TRUST} || '') eq 'soak';
push @arguments, '--seed', $ENV{JOBS_TRUST_SEED} if $ENV{JOBS_TRUST_SEED};
my $status = system('/usr/bin/python3', '-B', 'test/trust/trust.py', @arguments);

# For check.sh to look into them, but for those of servers whose disk was full.
system('sh', '-c', <<'SH', 'sh', "$dir", $logs);
mkdir -p "$2"
for log in "$1"/*/server.log; do
	name=${log%/server.log}
	name=${name##*/}
	case $name in shimmed | nth) ;; *) cp "$log" "$2/trust_$name.log" ;; esac
done
rm -rf "$1"
SH
exit($status == 0 ? 0 : 1);
