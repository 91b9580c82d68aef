#!/bin/bash
#
# deb.sh
#	  Builds the Debian packages in a copy of the tree: make deb
#
#	    deb.sh [directory]		where the packages go; by default above the tree
#
# One package for each server whose headers are installed, of the versions that
# debian/pgversions names.  The control file is made anew for these.

set -eu -o pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
OUT=$(realpath -m "${1:-$TOP/..}")
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

for program in dpkg-buildpackage pg_buildext dh; do
	command -v "$program" >/dev/null || {
		echo "$program is missing; Debian: apt-get install build-essential debhelper postgresql-server-dev-all" >&2
		exit 1
	}
done
mkdir -p "$OUT" "$WORK/jobs"
tar -C "$TOP" --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' --exclude='./tmp_check*' -cf - . | tar -C "$WORK/jobs" -xf -
cd "$WORK/jobs"
pg_buildext updatecontrol
dpkg-buildpackage -b -us -uc "${DEB_FLAGS:--jauto}"
mv "$WORK"/*.deb "$OUT/"
ls -l "$OUT"/postgresql-*-jobs_*.deb "$OUT"/jobs-courier_*.deb
