#!/bin/bash
#
# run.sh
#	  Builds the extension and runs trust.py on it, with all its arguments:
#
#	    run.sh --full				what `make trust` does
#	    run.sh --soak 3600			what `make soak` does
#	    run.sh --faults F01,F05		some of the faults, a few injections of each
#	    run.sh --times 50			so many of each
#
# JOBS_PATCH is a patch to apply to the copy of the sources before: how controls.sh
# makes builds that are broken on purpose.

. "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"

jobs_packages
jobs_workdir
say "Building with $("$PG_CONFIG" --version)${JOBS_PATCH:+, $(basename "$JOBS_PATCH")}"
jobs_build || die "The build failed."
jobs_as mkdir "$WORK/t"
jobs_as env PATH="$PGBIN:$PATH" python3 -B "$WORK/src/test/trust/trust.py" --dir "$WORK/t" "$@"
