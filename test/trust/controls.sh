#!/bin/bash
#
# controls.sh
#	  Shows that trust.py finds what it is there to find: for each patch in
#	  broken/, which breaks one invariant, a build with it must be found out.
#
#	    controls.sh [I04 ...]
#
# The sources themselves stay whole; the patches are applied to a copy.

. "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"

jobs_packages
jobs_workdir
say "Building with $("$PG_CONFIG" --version)"
jobs_build || die "The build failed."

make_it()
{
	jobs_as make -C "$WORK/src" -j "$(nproc)" PG_CONFIG="$PG_CONFIG" WERROR= all install DESTDIR="$WORK/pg" \
		>"$WORK/build.log" 2>&1 </dev/null || { tail -n 20 "$WORK/build.log" >&2; return 1; }
}

found=0
missed=
for patch in "$TOP"/test/trust/broken/*.patch; do
	name=$(basename "$patch" .patch)
	[ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
	invariant=I$((10#${name#I}))
	jobs_as patch -s -p1 -d "$WORK/src" -i "$patch" && make_it || die "$name cannot be built."
	dir=$WORK/$name
	jobs_as mkdir "$dir"
	# A few runs, since what is broken need not show in each.
	for try in 1 2 3; do
		jobs_as rm -rf "$dir/plain"
		if jobs_as env PATH="$PGBIN:$PATH" python3 -B "$WORK/src/test/trust/trust.py" --dir "$dir" --slack 5 --patience 8 \
			--faults F35,F05,F01 --seed $try --expect $invariant >"$dir/out" 2>&1
		then
			found=$((found + 1))
			say "$name found: $(head -n 1 "$patch")"
			sed -n "s/^#   \($invariant: .*\)/    \1/p" "$dir/out" | head -n 1 | cut -c 1-200
			break
		fi
		[ $try != 3 ] || { missed="$missed $name"; say "$name NOT FOUND: $(head -n 1 "$patch")"; tail -n 20 "$dir/out"; }
	done
	jobs_as patch -s -R -p1 -d "$WORK/src" -i "$patch"
done
say "$found found${missed:+, not found:$missed}"
[ -z "$missed" ]
