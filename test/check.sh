#!/bin/bash
#
# check.sh
#	  Builds the extension and runs all its tests on servers of their own.
#
#	    check.sh [--asan | --coverage | --valgrind] [name ...]
#
# Three kinds of test: sql/*.sql by pg_regress, test/specs/*.spec by
# pg_isolation_regress, test/t/*.pl by prove; and fuzz, half a minute of libFuzzer
# for each target of test/fuzz where clang is there.  Names choose among them; the
# regression test install always runs, as the others need its extension.
# Last comes a look into the logs of all the servers that were started.
#
#	    --asan			with AddressSanitizer, UndefinedBehaviorSanitizer, assertions
#	    --valgrind		regression tests only, on a server under memcheck
#	    --coverage		tells how many lines of each source file were executed
#
# KEEP=1 leaves the build, outputs and logs behind; JOBS_TEST_LIMIT is the
# number of seconds that one program of tests may take, JOBS_FUZZ_SECONDS what
# each target of test/fuzz takes.
#
# The last line of output is "N passed, N failed".  The exit status is 0 only
# if nothing failed and there was something to run.

. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
jobs_reap "$@"

MODE=
NAMES=
PASSED=0
FAILED=0
COMPLETE=
CHILD=
LIMIT=${JOBS_TEST_LIMIT:-1800}

main()
{
	local build=()

	read_arguments "$@"
	trap finish EXIT
	jobs_packages
	! wanted_tap | grep -q browser || jobs_browser
	prepare_mode
	prepare_recipes
	jobs_workdir
	trap finish EXIT
	PGXS_TESTS=$(cd "$(dirname "$("$PG_CONFIG" --pgxs)")/../test" && pwd) ||
		die "$PG_CONFIG comes without PostgreSQL's test programs."
	mkdir "$WORK/tap" && chown "$JOBS_USER" "$WORK/tap"

	case $MODE in
		asan) build=(WERROR= COPT="-O1 -fno-lto -fno-omit-frame-pointer -DUSE_ASSERT_CHECKING
			-fsanitize=address,undefined -fno-sanitize-recover=undefined") ;;
		valgrind) build=(WERROR= COPT="-O1 -fno-lto -fno-omit-frame-pointer -DUSE_ASSERT_CHECKING") ;;
		coverage) build=(WERROR= COPT="-O0 -fno-lto --coverage -fprofile-update=atomic") ;;
	esac
	say "Building with $("$PG_CONFIG" --version)${MODE:+, $MODE}"
	if ! jobs_build "${build[@]//[$'\n\t']/ }"; then
		say "The build failed."
		return
	fi
	wrap_server
	write_config

	run_regress
	[ "$MODE" = valgrind ] || run_isolation
	[ "$MODE" = valgrind ] || run_tap
	[ -n "$MODE" ] || run_fuzz
	if [ $((PASSED + FAILED)) = 0 ]; then
		say "There are no tests${NAMES:+ of these names}."
		return
	fi
	check_logs
	[ "$MODE" != valgrind ] || check_valgrind
	[ "$MODE" != coverage ] || print_coverage
	COMPLETE=1
}

read_arguments()
{
	local argument

	for argument; do
		case $argument in
			--asan | --coverage | --valgrind) MODE=${argument#--} ;;
			-*) sed -n '/^# check.sh/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
			*) NAMES="$NAMES $(basename "${argument%.*}")" ;;
		esac
	done
}

# What the TAP tests that will run say that they need.
wanted_tap()
{
	local name

	for name in $(choose "$TOP"/test/t/*.pl); do
		sed -n 's/^# Needs: //p' "$TOP/test/t/$name.pl"
	done
}

# The tools of a mode, and more time for it.
prepare_mode()
{
	local log

	case $MODE in
		asan) LIMIT=$((LIMIT * 4)) ;;
		coverage) LIMIT=$((LIMIT * 2)); export JOBS_COVERAGE=1 ;;
		valgrind)
			LIMIT=$((LIMIT * 20))
			command -v valgrind >/dev/null && return
			log=$(mktemp)
			jobs_apt "$log" valgrind libc6-dbg || { tail -n 30 "$log" >&2; rm -f "$log"; die "Could not install valgrind."; }
			rm -f "$log"
			;;
	esac
}

# What recipes in docs/ are written for.  Tests skip those whose framework cannot be had.
prepare_recipes()
{
	local package wanted= missing= log

	[ -n "$(choose "$TOP"/test/t/09[03]_*.pl)" ] || return 0
	/usr/bin/python3 -c 'import django' 2>/dev/null || wanted="python3-django"
	ruby -e 'require "pg"; require "active_record"; require "action_controller"' 2>/dev/null ||
		wanted="$wanted ruby ruby-pg ruby-activerecord ruby-actionpack"
	! command -v javac >/dev/null || [ -e /usr/share/java/postgresql.jar ] || wanted="$wanted libpostgresql-jdbc-java"
	[ -e "$("$PG_CONFIG" --sharedir)/extension/pg_cron.control" ] || wanted="$wanted postgresql-$PG_MAJOR-cron"
	for package in $wanted; do
		! apt-cache show "$package" >/dev/null 2>&1 || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	say "Installing Debian packages for recipes:$missing"
	log=$(mktemp)
	jobs_apt "$log" $missing || { tail -n 5 "$log"; say "Not all could be installed; tests of recipes skip what is missing."; }
	rm -f "$log"
}

# Puts a script before the private copy of the server, so that the server and
# nothing else runs with a tool.  The short-lived forms of it, which initdb
# calls, all have an option of two dashes first, or -V or -C.
wrap_server()
{
	local tool

	case $MODE in
		asan)
			# The server itself is not built with it, so the first malloc would
			# start it: on Debian 12 that is one of p11-kit's, inside of
			# newlocale(), where it deadlocks.  This one starts it before.
			gcc -x c -fsanitize=address -fPIC -shared -Wl,-z,initfirst -o "$WORK/first.so" - <<<'int jobs_first;' ||
				die "gcc has no AddressSanitizer here."
			tool="env 'LD_PRELOAD=$(gcc -print-file-name=libasan.so) $WORK/first.so'
				ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=0:print_summary=1
				UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1:print_summary=1"
			;;
		valgrind)
			jobs_as mkdir "$WORK/memcheck"
			tool="valgrind --quiet --tool=memcheck --leak-check=no --num-callers=30 --fullpath-after=
				--error-limit=no --error-markers=BEGIN,END --log-file=$WORK/memcheck/%p.log"
			;;
		*) return ;;
	esac
	jobs_as mv "$PGBIN/postgres" "$PGBIN/postgres.bin"
	jobs_as tee "$PGBIN/postgres" >/dev/null <<-SCRIPT
		#!/bin/sh
		case "\${1:-}" in
			--* | -V | -C) exec "$PGBIN/postgres.bin" "\$@" ;;
		esac
		exec ${tool//[$'\n\t']/ } "$PGBIN/postgres.bin" "\$@"
	SCRIPT
	jobs_as chmod 755 "$PGBIN/postgres"
}

# Every server logs the SQLSTATE, for check_logs to find internal errors.
LOG_PREFIX='%m [%p] %e %q%a '

write_config()
{
	jobs_as tee "$WORK/tap.conf" >/dev/null <<<"log_line_prefix = '$LOG_PREFIX'"
	cat "$WORK/src/test/regress.conf" "$WORK/tap.conf" | jobs_as tee "$WORK/regress.conf" >/dev/null
}

# Runs a program of tests in $WORK/src, its output into a file.  It gets a
# process group of its own, so that what a hanging test started ends with it.
# Sockets and temporary files go to $WORK, whose path is short.
run_tests()
{
	local log=$1 status
	shift

	set -m
	jobs_as env -C "$WORK/src" TMPDIR="$WORK" PATH="$PGBIN:$PATH" PGCTLTIMEOUT="$((LIMIT / 20))" \
		PG_TEST_TIMEOUT_DEFAULT="$((LIMIT / 10))" \
		timeout --foreground -k 10 "$LIMIT" "$@" >"$log" 2>&1 </dev/null &
	CHILD=$!
	set +m
	wait "$CHILD"
	status=$?
	stop_child
	[ $status != 124 ] || say "  stopped after $LIMIT seconds"
	return $status
}

stop_child()
{
	[ -z "$CHILD" ] || kill -TERM -- "-$CHILD" 2>/dev/null || true
	CHILD=
}

# Prints the names of tests among the given files that the caller wants.
choose()
{
	local file name

	for file; do
		name=$(basename "${file%.*}")
		[ -f "$file" ] || continue
		[ -n "$NAMES" ] && [[ " $NAMES " != *" $name "* ]] || echo "$name"
	done
}

run_regress()
{
	local file inputs=() tests=

	for file in "$TOP"/sql/*.sql; do
		[[ $file == *--* ]] || inputs+=("$file")
	done
	tests=$(choose "${inputs[@]}" | xargs)
	# Nothing to do for one who named tests of other kinds only.
	[ -n "$tests" ] || return 0
	[ ! -f "$TOP/sql/install.sql" ] || tests="install $(xargs -n 1 <<<"$tests" | grep -vx install | xargs)"
	run_pg_regress regression "$PGXS_TESTS/regress/pg_regress" "$WORK/src" contrib_regression "$tests"
}

run_isolation()
{
	run_pg_regress isolation "$PGXS_TESTS/isolation/pg_isolation_regress" "$WORK/src/test" isolation_regression \
		"$(choose "$TOP"/test/specs/*.spec | xargs)" --load-extension=jobs
}

# Runs pg_regress or its sibling and counts the tests that it reports as ok.
# All others that it was given have failed, whatever kept them from running.
run_pg_regress()
{
	local kind=$1 program=$2 input=$3 database=$4 tests=$5 out=$WORK/$1 name status ok=0 bad=
	shift 5

	[ -n "${tests// /}" ] || return 0
	jobs_as mkdir "$out"
	# A missing file would end the whole run.
	for name in $tests; do
		[ -f "$input/expected/$name.out" ] || jobs_as sh -c 'mkdir -p "${1%/*}" && touch "$1"' sh "$input/expected/$name.out"
	done
	# The port is part of a socket's name only.
	run_tests "$out.out" "$program" --bindir="$PGBIN" --dlpath="$WORK/pg$("$PG_CONFIG" --pkglibdir)" \
		--inputdir="$input" --outputdir="$out" --temp-instance="$out/instance" --temp-config="$WORK/regress.conf" \
		--port=5432 --no-locale --encoding=UTF8 --dbname="$database" "$@" $tests
	status=$?
	for name in $tests; do
		# 15 says "test name ... ok", later versions "ok 1 - name".
		if grep -qE "^(test)? +$name +\.\.\. ok |^ok +[0-9]+ +[-+] $name " "$out.out"; then
			ok=$((ok + 1))
		else
			bad="$bad $name"
		fi
	done
	report "$kind" $ok "$bad"
	[ -n "$bad" ] || [ $status = 0 ] || report "$kind (the program itself)" 0 pg_regress
	[ $status = 0 ] || show_pg_regress "$out"
}

# Adds to the counts and prints a line.
report()
{
	local kind=$1 ok=$2 bad

	read -ra bad <<<"$3"
	PASSED=$((PASSED + ok))
	FAILED=$((FAILED + ${#bad[@]}))
	say "  $kind: $ok passed${bad:+, ${#bad[@]} failed: ${bad[*]}}"
}

show_pg_regress()
{
	local out=$1 last

	if [ -s "$out/regression.diffs" ]; then
		head -n 150 "$out/regression.diffs"
		[ "$(wc -l <"$out/regression.diffs")" -le 150 ] || say "(KEEP=1 leaves the rest in $out/regression.diffs)"
	else
		tail -n 20 "$out.out"
		echo
		last=$(ls -t "$out"/results/*.out 2>/dev/null | head -n 1)
		[ -z "$last" ] || { say "--- end of $(basename "$last")"; tail -n 10 "$last"; }
		[ ! -f "$out/log/postmaster.log" ] || { say "--- end of the server's log"; tail -n 10 "$out/log/postmaster.log"; }
	fi
}

# One test, and a whole file in prove's words.
SKIPPED='^ok [0-9]+.*# skip|^test/t/.* skipped: '

# One program a file, with the environment that PGXS gives it.
run_tap()
{
	local name out status ok bad skipped

	for name in $(choose "$TOP"/test/t/*.pl); do
		out=$WORK/tap/$name.out
		run_tests "$out" env TESTDIR="$WORK/tap" TESTDATADIR="$WORK/tap/tmp_check" TESTLOGDIR="$WORK/tap/tmp_check/log" \
			top_builddir="$WORK/tap" PGPORT=65432 PG_REGRESS="$PGXS_TESTS/regress/pg_regress" \
			PG_CONFIG="$PGBIN/pg_config" TEMP_CONFIG="$WORK/tap.conf" \
			prove --norc --nocolor --verbose -I "$PGXS_TESTS/perl" -I "$WORK/src" -I "$WORK/src/test/lib" "test/t/$name.pl"
		status=$?
		ok=$(grep -E '^ok [0-9]+' "$out" | grep -vciE '# skip')
		skipped=$(grep -ciE "$SKIPPED" "$out")
		bad=$(grep -E '^not ok [0-9]+' "$out" | grep -vciE '# todo')
		# A file that died, or ran fewer tests than it planned.
		[ $status = 0 ] || [ "$bad" -gt 0 ] || bad=1
		PASSED=$((PASSED + ok))
		FAILED=$((FAILED + bad))
		say "  $name: $ok passed$([ "$bad" = 0 ] || echo ", $bad failed")$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
		[ "$skipped" = 0 ] || grep -iE "$SKIPPED" "$out" | head -n 5
		[ $status = 0 ] || show_tap "$out" "$name"
	done
}

show_tap()
{
	local log=$WORK/tap/tmp_check/log/regress_log_$2

	grep -vE '^ok ' "$1" | head -n 60
	[ ! -f "$log" ] || { say "--- end of the test's log"; tail -n 15 "$log"; }
}

# libFuzzer, for so long that `make check` may take; it brings its own build.
run_fuzz()
{
	local out=$WORK/fuzz.out

	[ -z "$NAMES" ] || [[ " $NAMES " == *" fuzz "* ]] || return 0
	jobs_fuzzer || { say "  fuzz: skipped, needs clang with libFuzzer"; return 0; }
	set -m
	PG_CONFIG=$PG_CONFIG timeout --foreground -k 10 "$LIMIT" bash "$TOP/test/fuzz/run.sh" "${JOBS_FUZZ_SECONDS:-30}" >"$out" 2>&1 </dev/null &
	CHILD=$!
	set +m
	wait "$CHILD" || true
	CHILD=
	report fuzz "$(grep -c '^ok - ' "$out")" "$(sed -n 's/^not ok - \([a-z]*\).*/\1/p' "$out" | xargs)"
	grep -q '^ok - ' "$out" || grep -q '^not ok - ' "$out" || report fuzz 0 run.sh
	! grep -vqE '^ok - |^Building ' "$out" || grep -vE '^ok - ' "$out" | tail -n 60
}

# What must never be in a server's log, whatever the tests did to the server:
# failed assertions, crashes, internal errors, resources not given back.
check_logs()
{
	local logs found

	logs=$(find "$WORK/regression" "$WORK/isolation" "$WORK/tap" -name '*.log' ! -name 'initdb*.log' 2>/dev/null)
	[ -n "$logs" ] || { [ "$NAMES" = " fuzz" ] || report "server logs clean" 0 missing; return; }
	# A sanitizer's report goes on for some lines.
	# shellcheck disable=SC2046
	found=$(grep -aHE $([ "$MODE" != asan ] || echo "-A 10") \
		-e '^TRAP: ' -e 'PANIC:  ' -e 'Sanitizer' -e ' runtime error: ' \
		-e 'was terminated by signal (4|6|7|8|11)\b' \
		-e '^[^ ]+ [^ ]+ [^ ]+ \[[0-9]+\] XX000 ' \
		-e '(ERROR|FATAL|WARNING|LOG):  .*cache lookup failed' \
		-e 'WARNING:  .*(leak|not closed|non-empty SPI stack|in alloc set|own a lock)' \
		$logs | sed "s#^$WORK/##")
	if [ -n "$found" ]; then
		report "server logs clean" 0 found
		head -n 25 <<<"$found" | cut -c 1-300
	else
		report "server logs clean" 1 ""
	fi
}

# The server is not built for memcheck and has harmless reports of its own, for
# instance of padding that goes into the WAL.  Ours are those with one of our
# lines in the stack, the ways into the WAL and to other processes set aside, and a
# memmove() of its own that glibc checks by the code of memcpy().
check_valgrind()
{
	local found

	[ -n "$(ls "$WORK/memcheck")" ] || { report "memcheck" 0 missing; return; }
	found=$(cat "$WORK"/memcheck/*.log | sed -E 's/^==[0-9]+== ?//; s/0x[0-9A-Fa-f]+: //' | awk -v ours="($WORK/src/src/" '
		/^BEGIN/	{ block = ""; next }
		/^END/		{ if (index(block, ours) && block !~ /XLog(Insert|Write|Flush|Background)|RE_compile_and_cache|Syscall param/) print block; next }
					{ block = block $0 "\n" }')
	if [ -n "$found" ]; then
		report "memcheck" 0 found
		head -n 60 <<<"$found"
	else
		report "memcheck" 1 ""
	fi
}

# Processes add to the counts as they exit, so the servers must be down.
print_coverage()
{
	jobs_as mkdir "$WORK/coverage"
	jobs_as env -C "$WORK/src" sh -c 'for dir in src src/*/; do
			gcov --preserve-paths --object-directory "$dir" "${dir%/}"/*.c 2>/dev/null
		done
		mv -- *.gcov "$1"' sh "$WORK/coverage" |
		awk -F "[':% ]+" '
			/^File /			{ file = $2 ~ /^src\/.*\.c$/ ? $2 : "" }
			/^Lines executed/	{ if (file != "" && !(file in seen)) {
									seen[file]; printf "  %-24s %6.2f %% of %5d lines\n", file, $3, $5
									lines += $5; hit += $3 * $5 / 100 }
								  file = "" }
			END					{ if (lines) printf "  %-24s %6.2f %% of %5d lines\n", "all", 100 * hit / lines, lines }'
}

# However the script ends, it cleans up and its last line is the result.
finish()
{
	local status=$?

	trap - EXIT
	trap '' INT TERM HUP
	stop_child
	if [ -n "$WORK" ]; then
		(KEEP=1 jobs_cleanup >/dev/null)
		jobs_stop_strays
		(jobs_cleanup)
	fi
	[ $status -lt 128 ] || exit $status
	[ -n "$COMPLETE" ] || [ $FAILED -gt 0 ] || FAILED=1
	say "$PASSED passed, $FAILED failed"
	[ $FAILED = 0 ] || exit 1
	exit $status
}

main "$@"
