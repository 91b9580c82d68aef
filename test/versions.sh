#!/bin/bash
#
# versions.sh
#	  Runs check.sh on the versions of PostgreSQL that other releases of Debian
#	  have: `make check-versions`.
#
#	    versions.sh [suite ...] [test ...]	all of SUITES below, or those named; all
#										tests, or these
#
# Each suite is a minimal system in a folder of its own, made by debootstrap
# and kept in JOBS_VERSIONS_DIR (/var/cache/jobs-versions) for the next time;
# remove the folder to have it made anew.  Packages come from where this
# machine's apt gets its own.  Nothing stays mounted: the tests run in their own
# mount and process namespaces, which end with them.  Needs root, or sudo.
#
# One line a version is printed; the whole output is in the folder, in
# suite.log, and its end is shown where something failed.

if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "This needs root, or sudo." >&2; exit 1; }
	exec sudo --preserve-env=JOBS_VERSIONS_DIR,http_proxy,https_proxy,no_proxy,KEEP bash "$0" "$@"
fi

. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

# suite and major version
SUITES='trixie 17
forky 18'
DIR=${JOBS_VERSIONS_DIR:-/var/cache/jobs-versions}

main()
{
	local suite major status=0 suites=() tests=()

	mkdir -p "$DIR" || die "Could not make $DIR."
	exec 9>"$DIR/lock"
	flock -n 9 || die "Another run uses $DIR."
	unshare --mount --pid --fork true 2>/dev/null ||
		die "This machine allows no mount namespaces (a container without the capability SYS_ADMIN?)."
	for suite; do
		if grep -q "^$suite " <<<"$SUITES"; then
			suites+=("$suite")
		elif [ -n "$(find "$TOP"/sql/"$suite".sql "$TOP"/test/{specs,t}/"$suite".* 2>/dev/null)" ]; then
			tests+=("$suite")
		else
			die "There is no suite and no test $suite; suites are: $(cut -d ' ' -f 1 <<<"$SUITES" | xargs)."
		fi
	done
	while read -r suite major; do
		[ ${#suites[@]} = 0 ] || [[ " ${suites[*]} " == *" $suite "* ]] || continue
		if prepare "$suite" "$major" >"$DIR/$suite.prepare.log" 2>&1 </dev/null; then
			check "$suite" "$major" "${tests[@]}" </dev/null || status=1
		else
			say "PostgreSQL $major: could not prepare $suite; the end of $DIR/$suite.prepare.log:"
			tail -n 15 "$DIR/$suite.prepare.log"
			status=1
		fi
	done <<<"$SUITES"
	return $status
}

# Prints the mirror of Debian that this machine uses.
mirror()
{
	local found

	found=$(grep -hsvE '^[[:space:]]*#' /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} |
		grep -oE 'https?://[^][:space:]]+/debian/?([[:space:]]|$)' | head -n 1 | tr -d '[:space:]')
	echo "${found:-http://deb.debian.org/debian}"
}

# Prints those settings of this machine's apt that say how to reach a mirror and
# how old its lists may be.
apt_settings()
{
	apt-config dump | grep -E '^Acquire::((https?|ftp)::([^ ]*::)?Proxy|Check-Valid-Until|Max-ValidTime|Retries|[^ ]*Timeout)[: ]'
}

# Makes the system of a suite.  Only a finished one gets the suite's name.
prepare()
{
	local suite=$1 major=$2 root=$DIR/$1 url script=

	if [ ! -e "$root/.packages" ]; then
		url=$(mirror)
		command -v debootstrap >/dev/null ||
			jobs_apt /dev/stdout debootstrap debian-archive-keyring || return 1
		# Newer releases than debootstrap are like sid.
		[ -e "/usr/share/debootstrap/scripts/$suite" ] || script=/usr/share/debootstrap/scripts/sid
		if [ ! -d "$root" ]; then
			rm -rf --one-file-system "$root.new"
			proxy_environment debootstrap --variant=minbase "$suite" "$root.new" "$url" $script || return 1
			mv "$root.new" "$root" || return 1
		fi
		apt_settings >"$root/etc/apt/apt.conf.d/90jobs"
		[ ! -f /etc/ssl/certs/ca-certificates.crt ] || [ -e "$root/etc/ssl/certs/ca-certificates.crt" ] ||
			install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt" || return 1
		mkdir -p "$root/etc/postgresql-common/createcluster.d"
		echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.d/jobs.conf"
		# No package may start a service.
		printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod 755 "$root/usr/sbin/policy-rc.d"
		inside "$root" sh -ec 'export DEBIAN_FRONTEND=noninteractive
			apt-get update
			apt-get install -y --no-install-recommends "$@"
			apt-get clean
			touch /.packages' \
			sh "postgresql-$major" "postgresql-server-dev-$major" gcc libc6-dev make perl \
			libcsv-dev zlib1g-dev libisal-dev libipc-run-perl pkg-config libpango1.0-dev poppler-utils \
			fonts-dejavu-core fonts-noto-core fonts-droid-fallback fonts-noto-color-emoji || return 1
	fi
}

# Debootstrap knows no apt configuration, only these variables.
proxy_environment()
{
	local proxy

	proxy=$(apt-config dump | sed -nE 's/^Acquire::http::Proxy "(.+)";/\1/p')
	if [ -n "$proxy" ] && [ -z "${http_proxy:-}" ]; then
		http_proxy=$proxy https_proxy=$proxy "$@"
	else
		"$@"
	fi
}

# Runs a command in a suite's system, where it finds /proc, shared memory and
# this machine's name servers.  Its processes end with it.
inside()
{
	local root=$1
	shift

	unshare --mount --propagation private --pid --fork --kill-child bash -c '
		root=$1; shift
		mount -t proc proc "$root/proc" &&
			mount --rbind /dev "$root/dev" &&
			mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" || exit 1
		[ ! -f /etc/resolv.conf ] || [ ! -f "$root/etc/resolv.conf" ] || [ -L "$root/etc/resolv.conf" ] ||
			mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
		[ ! -f "$root/etc/hosts" ] || mount --bind /etc/hosts "$root/etc/hosts"
		cd / && exec chroot "$root" "$@"' bash "$root" "$@" 9>&-
}

check()
{
	local suite=$1 major=$2 root=$DIR/$1 log=$DIR/$1.log version status
	shift 2

	rm -rf --one-file-system "$root/jobs" "$root"/tmp/jobs.*
	mkdir "$root/jobs"
	tar -C "$TOP" --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' -cf - . |
		tar -C "$root/jobs" --no-same-owner -xf - || return 1
	inside "$root" env -u TMPDIR KEEP="${KEEP:-}" PG_CONFIG="/usr/lib/postgresql/$major/bin/pg_config" \
		bash /jobs/test/check.sh "$@" >"$log" 2>&1
	status=$?
	version=$(chroot "$root" "/usr/lib/postgresql/$major/bin/pg_config" --version)
	[ $status = 0 ] || tail -n 60 "$log"
	say "$(cut -d ' ' -f 1,2 <<<"$version"): $(tail -n 1 "$log")"
	return $status
}

main "$@"
