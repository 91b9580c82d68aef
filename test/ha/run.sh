#!/bin/bash
#
# run.sh
#	  Two servers that Patroni and etcd manage, and fail-overs in the middle of
#	  everything: `make ha`.  Builds the extension and runs ha.py on it, with all
#	  its arguments:
#
#	    run.sh							every way of failing over, a few times
#	    run.sh --faults crash,freeze	some of them
#	    run.sh --rounds 10 --seed 7		each ten times, at the moments of a seed
#
# All of it runs on this machine and in $WORK, and ends with the script.  The last
# line of output is "N passed, N failed".

. "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"
jobs_reap "$@"

# Prints the packages that are missing.
missing()
{
	command -v patroni >/dev/null || echo patroni
	command -v etcd >/dev/null || echo etcd-server
}

finish()
{
	local out=$WORK/out passed failed

	trap - EXIT
	trap '' INT TERM HUP
	passed=$(grep -cE '^ok [0-9]+' "$out" 2>/dev/null)
	failed=$(grep -cE '^not ok [0-9]+' "$out" 2>/dev/null)
	# One that did not come to its end has failed.
	grep -qE '^1\.\.[0-9]+$' "$out" 2>/dev/null || failed=$((failed + 1))
	jobs_stop_strays
	(jobs_cleanup)
	say "${passed:-0} passed, ${failed:-1} failed"
	[ "${failed:-1}" = 0 ] || exit 1
	exit 0
}

jobs_packages
packages=$(missing | xargs)
if [ -n "$packages" ]; then
	say "Installing Debian packages: $packages"
	log=$(mktemp)
	jobs_apt "$log" $packages || { tail -n 30 "$log" >&2; rm -f "$log"; die "Could not install: $packages"; }
	rm -f "$log"
fi
jobs_workdir
trap finish EXIT
say "Building with $("$PG_CONFIG" --version), $(patroni --version), $(etcd --version | head -n 1)"
jobs_build || die "The build failed."
jobs_as mkdir "$WORK/t"
jobs_as env PATH="$PGBIN:$PATH" TMPDIR="$WORK" python3 -B "$WORK/src/test/ha/ha.py" --dir "$WORK/t" "$@" | tee "$WORK/out"
