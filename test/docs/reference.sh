#!/bin/bash
#
# reference.sh
#	  Writes the generated parts of docs/reference.md and docs/errors.md anew, from
#	  a server of its own: make reference

. "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"

jobs_packages
jobs_workdir
say "Building with $("$PG_CONFIG" --version)"
jobs_build || die "The build failed."
jobs_start || die "The server did not start."
export PATH=$PGBIN:$PATH
psql -XAtq -c "CREATE EXTENSION jobs" || die "The extension could not be created."
perl "$TOP/test/docs/reference.pl" "$TOP" "$WORK" "$("$PG_CONFIG" --sharedir)/errcodes.txt" || die "The pages could not be made."
for page in reference.md errors.md; do
	cmp -s "$WORK/$page" "$TOP/docs/$page" && say "docs/$page is as it was." && continue
	cat "$WORK/$page" >"$TOP/docs/$page" && say "docs/$page has been written."
done
