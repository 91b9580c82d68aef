# setup.sh
#	  What `make check`, `make demo` and their kin share: packages, a user, a
#	  build, a server.  Sourced by bash scripts, which then call in this order
#
#	    jobs_reap args		begins the script anew, with these arguments, as the
#						process that waits for orphans; only where servers are killed
#	    jobs_packages		installs what is missing; sets PG_CONFIG and PG_MAJOR
#	    jobs_browser		installs a browser, for the tests that need one
#	    jobs_workdir		makes $WORK, owned by the user that runs the server
#	    jobs_build [args]	builds a copy of this tree in $WORK/src, make's args
#						given, and installs it into a private copy of the
#						server's files; sets PGBIN
#	    jobs_as command		runs a command as that user
#	    jobs_node_modules	packages of Node for a program in a directory
#	    jobs_start [lines]	starts a server in $WORK/data with these lines of
#						configuration; sets PGHOST, PGPORT, PGUSER
#
# Nothing outside $WORK is written but missing Debian packages, so several of
# these scripts may run at once, and no installed server or cluster notices.
# When the script ends, its servers are stopped and $WORK is removed; KEEP=1
# leaves the directory.

set -u -o pipefail
export LC_ALL=C.UTF-8 LANG=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin
# Nothing of the caller's connections may leak in; only his choice of a server.
JOBS_PG_CONFIG=${PG_CONFIG:-}
unset ${!PG*}
TMPDIR=${TMPDIR:-/tmp}
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WORK=

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s\n' "$*" >&2
	exit 1
}

# A server that a test kills stays there as a zombie, and no other can start on
# its data, unless somebody waits for it.  The first process of a container often
# does not, so we do: prctl(PR_SET_CHILD_SUBREAPER), which exec keeps.
jobs_reap()
{
	if [ -z "${JOBS_REAPER:-}" ] && command -v perl >/dev/null; then
		export JOBS_REAPER=1
		[ -z "$JOBS_PG_CONFIG" ] || export PG_CONFIG=$JOBS_PG_CONFIG
		exec perl -MPOSIX -e '
			my %prctl = (x86_64 => 157, aarch64 => 167, riscv64 => 167, ppc64le => 171, s390x => 172);
			my $number = $prctl{(POSIX::uname())[4]};
			syscall($number, 36, 1, 0, 0, 0) if $number;
			exec @ARGV' bash "$0" "$@"
	fi
	unset JOBS_REAPER
}

# Runs a command as root, by sudo where need be.
jobs_as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		return 1
	fi
}

# Whether a pg_config belongs to a complete server of a supported version.
# Sets PG_MAJOR.
jobs_pg_usable()
{
	local pgxs bindir version

	pgxs=$("$1" --pgxs 2>/dev/null) && bindir=$("$1" --bindir) || return 1
	version=$("$1" --version)
	version=${version#PostgreSQL }
	PG_MAJOR=${version%%[!0-9]*}
	[ -f "$pgxs" ] && [ -f "$("$1" --includedir-server)/postgres.h" ] &&
		[ -x "$bindir/postgres" ] && [ -x "$bindir/initdb" ] && [ -x "$bindir/psql" ] &&
		[ "$PG_MAJOR" -ge 15 ] && [ "$PG_MAJOR" -le 18 ]
}

# Finds the server to work with: the caller's choice, or the first in the path,
# or one of Debian's, which keeps several beside each other.
jobs_find_pg()
{
	local candidate

	if [ -n "${JOBS_PG_CONFIG:-}" ] && [ "$JOBS_PG_CONFIG" != pg_config ]; then
		jobs_pg_usable "$JOBS_PG_CONFIG" ||
			die "PG_CONFIG=$JOBS_PG_CONFIG is not of a PostgreSQL 15 to 18 with server, client and server headers."
		PG_CONFIG=$JOBS_PG_CONFIG
		return 0
	fi
	for candidate in pg_config /usr/lib/postgresql/{15,16,17,18}/bin/pg_config; do
		if jobs_pg_usable "$candidate"; then
			PG_CONFIG=$(command -v "$candidate")
			return 0
		fi
	done
	return 1
}

# Whether there is a font that has a character, by its hexadecimal number.
jobs_font()
{
	fc-list ":charset=$1" family 2>/dev/null | grep -q .
}

# Prints the packages that are missing, one word each; "postgresql" stands for
# a server and its headers.
jobs_missing()
{
	jobs_find_pg || echo postgresql
	command -v make >/dev/null || echo make
	if command -v gcc >/dev/null; then
		echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1 || echo libc6-dev
		echo '#include <zlib.h>' | gcc -E - >/dev/null 2>&1 || echo zlib1g-dev
		printf '#include <stdio.h>\n#include <csv.h>\n' | gcc -E - >/dev/null 2>&1 || echo libcsv-dev
		{ [ -n "${PG_CONFIG:-}" ] && [ -f "$("$PG_CONFIG" --includedir)/libpq-fe.h" ]; } || echo libpq-dev
		echo '#include <xlsxwriter.h>' | gcc -E - >/dev/null 2>&1 || echo libxlsxwriter-dev
		echo '#include <curl/curl.h>' | gcc -E - >/dev/null 2>&1 || echo libcurl4-openssl-dev
		echo '#include <openssl/hmac.h>' | gcc -E - >/dev/null 2>&1 || echo libssl-dev
	else
		echo gcc libc6-dev zlib1g-dev libcsv-dev libpq-dev libxlsxwriter-dev libcurl4-openssl-dev libssl-dev
	fi
	# Compresses faster than zlib; for these machines only.
	[[ $(uname -m) != @(x86_64|aarch64) ]] || pkg-config --exists libisal 2>/dev/null || echo libisal-dev
	# For PDF files: what draws them, fonts for many scripts, and what reads them back.
	command -v pkg-config >/dev/null || echo pkg-config
	pkg-config --exists pangocairo cairo-pdf fontconfig 2>/dev/null || echo libpango1.0-dev
	jobs_font 928 || echo fonts-dejavu-core fonts-noto-core
	jobs_font 6f22 || echo fonts-droid-fallback
	jobs_font 1f600 || echo fonts-noto-color-emoji
	command -v pdftotext >/dev/null || echo poppler-utils
	command -v prove >/dev/null || echo perl
	perl -MIPC::Run -e 1 2>/dev/null || echo libipc-run-perl
	/usr/bin/python3 -c 'import openpyxl' 2>/dev/null || echo python3-openpyxl
	# A mail server, and certificates, for the courier's tests.
	/usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || echo python3-aiosmtpd
	command -v openssl >/dev/null || echo openssl
	# For examples/worker.  A Node that is not Debian's does not go with its packages.
	/usr/bin/python3 -c 'import psycopg2' 2>/dev/null || echo python3-psycopg2
	command -v node >/dev/null || echo nodejs node-pg
}

# Sets CLANG and FUZZER, the archive with libFuzzer.  Debian's headers of the
# server need clang, and its runtime is another package of the same version.
jobs_fuzzer()
{
	local arch log

	arch=$(uname -m)
	for CLANG in clang $(compgen -c clang- | grep -xE 'clang-[0-9]+' | sort -t - -k 2 -nr); do
		for FUZZER in "libclang_rt.fuzzer_no_main-$arch.a" libclang_rt.fuzzer_no_main.a; do
			FUZZER=$("$CLANG" -print-file-name="$FUZZER" 2>/dev/null) && [ -f "$FUZZER" ] && return 0
		done
		[ "${1:-}" = installed ] || ! command -v "$CLANG" >/dev/null || ! command -v apt-get >/dev/null || {
			log=$(mktemp)
			jobs_apt "$log" "libclang-rt-$("$CLANG" -dumpversion | cut -d . -f 1)-dev" && jobs_fuzzer installed && { rm -f "$log"; return 0; }
			rm -f "$log"
		}
	done
	return 1
}

# Installs Debian packages.  No cluster is made for a server that comes along, and
# no service is started.
jobs_apt()
{
	local log=$1 dir=/etc/postgresql-common/createcluster.d
	shift

	jobs_as_root env DEBIAN_FRONTEND=noninteractive sh -c '
		dir=$1 policy=/usr/sbin/policy-rc.d; shift
		mkdir -p "$dir" && echo "create_main_cluster = false" > "$dir/zz-jobs.conf"
		[ ! -e "$policy" ] || policy=
		[ -z "$policy" ] || { printf "#!/bin/sh\nexit 101\n" > "$policy" && chmod 755 "$policy"; }
		trap "rm -f $dir/zz-jobs.conf $policy" EXIT
		apt-get -o DPkg::Lock::Timeout=300 update
		packages=
		for package; do
			if [ "$package" = postgresql ]; then
				for major in 15 16 17 18; do
					apt-cache show "postgresql-server-dev-$major" >/dev/null 2>&1 && break
				done
				package="postgresql-$major postgresql-server-dev-$major"
			fi
			packages="$packages $package"
		done
		apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $packages' \
		sh "$dir" "$@" >"$log" 2>&1 </dev/null
}

jobs_packages()
{
	local missing log

	missing=$(jobs_missing | xargs)
	if [ -n "$missing" ]; then
		command -v apt-get >/dev/null ||
			die "Please install: $missing (Debian's names; this is not a Debian system)."
		[ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
			die "Please install: $missing (or run this as root or with sudo)."
		say "Installing Debian packages: $missing"
		log=$(mktemp)
		jobs_apt "$log" $missing || { tail -n 30 "$log" >&2; rm -f "$log"; die "Could not install: $missing"; }
		rm -f "$log"
	fi
	jobs_find_pg || die "No usable PostgreSQL 15 to 18 found after installing packages."
}

# A browser, and npm for what drives it.  Where there is none to be had, the tests
# that need it are skipped, and say so.
jobs_browser()
{
	local missing= log

	command -v chromium-headless-shell chromium >/dev/null || missing=chromium-headless-shell
	[ -z "$missing" ] || apt-cache show "$missing" >/dev/null 2>&1 || missing=chromium
	command -v npm >/dev/null || missing="$missing npm"
	[ -n "$missing" ] || return 0
	say "Installing Debian packages: $missing"
	log=$(mktemp)
	jobs_apt "$log" $missing || say "Could not install: $missing"
	rm -f "$log"
}

# Makes $1/node_modules with packages: those of a directory that JOBS_NODE_MODULES
# names, or of Debian, or by npm.
jobs_node_modules()
{
	local dir=$1 place package
	shift

	for place in ${JOBS_NODE_MODULES:+"$JOBS_NODE_MODULES"} /usr/share/nodejs; do
		for package; do
			[ -d "$place/$package" ] || continue 2
		done
		jobs_as ln -sfn "$place" "$dir/node_modules"
		return
	done
	jobs_as env -C "$dir" npm_config_cache="$dir/.npm" npm_config_update_notifier=false \
		npm install --no-save --no-audit --no-fund "$@" >"$WORK/npm.log" 2>&1 </dev/null || { tail -n 5 "$WORK/npm.log" >&2; return 1; }
}

# PostgreSQL refuses to run as root; then it is the user that Debian's package
# made for it, or else nobody.
jobs_workdir()
{
	if [ "$(id -u)" != 0 ]; then
		JOBS_USER=$(id -un)
	elif id -u postgres >/dev/null 2>&1; then
		JOBS_USER=postgres
	else
		JOBS_USER=nobody
	fi
	# Short, because the path of a socket has room for 107 bytes.
	[ "${#TMPDIR}" -le 40 ] || TMPDIR=/tmp
	export TMPDIR
	trap jobs_cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	WORK=$(mktemp -d "$TMPDIR/jobs.XXXXXX") || die "Could not make a directory in $TMPDIR."
	chmod 755 "$WORK"
	[ "$(id -u)" != 0 ] || chown "$JOBS_USER" "$WORK"
}

jobs_as()
{
	if [ "$(id -u)" = 0 ]; then
		(cd "$WORK" && exec runuser -u "$JOBS_USER" -- env HOME="$WORK" "$@")
	else
		(cd "$WORK" && exec "$@")
	fi
}

# Ends what still runs from this directory; a server that hangs before it
# writes its postmaster.pid is known in no other way.
jobs_stop_strays()
{
	local pid

	[ -n "$WORK" ] || return 0
	for pid in $(grep -lsF "$WORK/" /proc/[0-9]*/cmdline | cut -d / -f 3); do
		[ "$pid" = $$ ] || [ "$pid" = "$BASHPID" ] || kill -KILL "$pid" 2>/dev/null || true
	done
}

# Stops every server with its data under $WORK, whoever started it, and removes
# the directory.
jobs_cleanup()
{
	local status=$? file pid tries=0

	trap - EXIT INT TERM HUP
	[ -n "$WORK" ] && [ -d "$WORK" ] || exit $status
	for file in $(find "$WORK" -name postmaster.pid 2>/dev/null); do
		pid=$(head -n 1 "$file" 2>/dev/null)
		[ -z "$pid" ] || kill -QUIT "$pid" 2>/dev/null || true
		while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && [ $((tries += 1)) -le 100 ]; do
			sleep 0.05
		done
	done
	if [ -n "${KEEP:-}" ]; then
		say "Kept: $WORK"
	else
		rm -rf "$WORK"
	fi
	exit $status
}

# The server finds its files relative to its program, so that a copy of the
# three directories is a server of its own.
jobs_private_server()
{
	local dir

	for dir in $("$PG_CONFIG" --bindir) $("$PG_CONFIG" --sharedir) $("$PG_CONFIG" --pkglibdir); do
		jobs_as mkdir -p "$WORK/pg$dir"
		tar -C "$dir" --exclude=./bitcode --exclude=./pgxs -chf - . | jobs_as tar -C "$WORK/pg$dir" --no-same-owner -xf -
	done
	PGBIN=$WORK/pg$("$PG_CONFIG" --bindir)
}

jobs_build()
{
	jobs_as mkdir "$WORK/src"
	tar -C "$TOP" --exclude=./.git --exclude='*.o' --exclude='*.bc' --exclude='*.so' --exclude=./jobs-courier --exclude='./tmp_check*' \
		--exclude=./output_iso --exclude=./results --exclude=./log --exclude='./regression.*' \
		-cf - . | jobs_as tar -C "$WORK/src" --no-same-owner -xf -
	[ -z "${JOBS_PATCH:-}" ] || jobs_as patch -s -p1 -d "$WORK/src" -i "$JOBS_PATCH" || die "$JOBS_PATCH does not apply."
	jobs_private_server || die "Could not copy the server."
	if ! jobs_as make -C "$WORK/src" -j "$(nproc)" PG_CONFIG="$PG_CONFIG" "$@" all >"$WORK/build.log" 2>&1 </dev/null ||
		! jobs_as make -C "$WORK/src" PG_CONFIG="$PG_CONFIG" "$@" install DESTDIR="$WORK/pg" >>"$WORK/build.log" 2>&1 </dev/null
	then
		grep -E -B 2 -A 12 '(error|warning): |\*\*\* ' "$WORK/build.log" | cut -c 1-200 | head -n 100 >&2
		return 1
	fi
}

# No TCP port, so none can be taken; the socket lies in $WORK.
jobs_start()
{
	jobs_as "$PGBIN/initdb" -D "$WORK/data" -A trust -U postgres -E UTF8 --locale=C.UTF-8 --no-sync \
		>"$WORK/initdb.log" 2>&1 </dev/null || { cat "$WORK/initdb.log" >&2; return 1; }
	jobs_as tee -a "$WORK/data/postgresql.conf" >/dev/null <<-CONF
		listen_addresses = ''
		unix_socket_directories = '$WORK'
		shared_preload_libraries = 'jobs'
		$(printf '%s\n' "$@")
	CONF
	jobs_as "$PGBIN/pg_ctl" -D "$WORK/data" -l "$WORK/server.log" -w -t 60 start \
		>"$WORK/pg_ctl.log" 2>&1 </dev/null || { cat "$WORK/pg_ctl.log" "$WORK/server.log" >&2; return 1; }
	export PGHOST=$WORK PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}
