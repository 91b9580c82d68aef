#!/bin/bash
#
# run.sh
#	  Feeds code with what nobody has written, under libFuzzer with
#	  AddressSanitizer and UndefinedBehaviorSanitizer.
#
#	    bash test/fuzz/run.sh [seconds [target ...]]
#
# rows, gunzip and dialect are programs of their own; options, token, filename,
# progress and gzip run in backends of a server whose library is built for it.
# Each gets so many seconds (60), as many at a time as there are processors.
# Prints a line for each; the exit status is 0 if nothing was found.  What was
# found is kept, with the input that shows it, in the directory that is named.
#
# Needs clang 14 or later with libFuzzer.  Inputs to begin with are the files of
# test/data/corpus and those of test/fuzz/corpus, which holds what was found before.

. "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"

PROGRAMS="rows gunzip dialect"
BACKENDS="options token filename progress gzip"
EACH=${1:-60}
[ $# = 0 ] || shift
CHOSEN=${*:-$PROGRAMS $BACKENDS}

main()
{
	local target running=0 failed=0 file

	jobs_packages
	jobs_fuzzer || die "Needs clang with libFuzzer: apt-get install clang, and libclang-rt-dev of its version."
	jobs_workdir
	jobs_as mkdir "$WORK/fuzz"
	say "Building with $("$PG_CONFIG" --version), $("$CLANG" --version | head -n 1)"
	jobs_build CC="$CLANG" WERROR= COPT="$SANITIZE,fuzzer-no-link -shared-libasan" || die "The build failed."
	for target in $CHOSEN; do
		make_seeds "$target"
		[[ " $BACKENDS " == *" $target "* ]] || build_program "$target" || die "$target cannot be built."
	done
	if [ "$(printf '%s\n' $CHOSEN $BACKENDS | sort | uniq -d | wc -l)" -gt 0 ]; then
		link_library && start_server || die "The server for fuzzing does not come."
	fi
	for target in $CHOSEN; do
		run_target "$target" &
		running=$((running + 1))
		[ $running -lt "$(nproc)" ] || { wait -n || failed=1; running=$((running - 1)); }
	done
	while [ $running -gt 0 ]; do
		wait -n || failed=1
		running=$((running - 1))
	done
	[ $failed = 0 ] || { KEEP=1; export KEEP; }
	return $failed
}

# Overflow of signed numbers is defined, as in every build of PostgreSQL; division
# of floats by zero is what IEEE 754 says.
SANITIZE="-g -O1 -fno-lto -fno-omit-frame-pointer -fno-sanitize-recover=undefined -fsanitize=address,undefined"

build_program()
{
	local sources flags=

	case $1 in
		rows) sources="test/rows/rows.c src/import/lines.c src/import/fields.c src/import/adapt.c src/import/gunzip.c
				src/import/decode.c src/import/pump.c"
			flags="-DROWS_FUZZ -DROWS_BLOCK=256" ;;
		gunzip) sources="test/fuzz/gunzip.c src/import/gunzip.c" ;;
		dialect) sources="test/fuzz/dialect.c src/import/detect_*.c src/import/lines.c src/import/fields.c
				src/import/adapt.c src/import/decode.c" ;;
	esac
	# shellcheck disable=SC2086
	jobs_as sh -c "cd '$WORK/src' && $CLANG $SANITIZE,fuzzer -w $flags -Isrc -I$("$PG_CONFIG" --includedir-server) \
		${sources//[$'\n\t']/ } -L$("$PG_CONFIG" --pkglibdir) -L$("$PG_CONFIG" --libdir) \
		-lpgcommon -lpgport -lcsv -lz -lpthread -o '$WORK/fuzz/$1'"
}

# The library once more, with libFuzzer and server.c in it.  What counts executed
# code must be libFuzzer's and not the sanitizer's, hence -Bsymbolic.
link_library()
{
	local pkglibdir=$WORK/pg$("$PG_CONFIG" --pkglibdir)

	jobs_as sh -c "cd '$WORK/src' && rm jobs.so &&
		$CLANG $SANITIZE,fuzzer-no-link -fPIC -w -Isrc -I$("$PG_CONFIG" --includedir-server) -c test/fuzz/server.c -o server.o &&
		make PG_CONFIG='$PG_CONFIG' CC='$CLANG' WERROR= COPT='$SANITIZE,fuzzer-no-link -shared-libasan' \
			LDFLAGS_SL='server.o -Wl,-Bsymbolic -Wl,--whole-archive $FUZZER -Wl,--no-whole-archive -lstdc++' jobs.so &&
		cp jobs.so '$pkglibdir/'" >"$WORK/link.log" 2>&1 || { tail -n 20 "$WORK/link.log" >&2; return 1; }
}

# See check.sh for first.so.
start_server()
{
	local first=$WORK/first.so runtime

	runtime=$("$CLANG" -print-file-name="libclang_rt.asan-$(uname -m).so")
	"$CLANG" -fsanitize=address -shared-libasan -fPIC -shared -Wl,-z,initfirst -o "$first" -x c - <<<'int jobs_first;' || return 1
	jobs_as mv "$PGBIN/postgres" "$PGBIN/postgres.bin"
	jobs_as tee "$PGBIN/postgres" >/dev/null <<-SCRIPT
		#!/bin/sh
		case "\${1:-}" in
			--* | -V | -C) exec "$PGBIN/postgres.bin" "\$@" ;;
		esac
		exec env 'LD_PRELOAD=$runtime $first' ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=0:handle_segv=0 \\
			UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1 "$PGBIN/postgres.bin" "\$@"
	SCRIPT
	jobs_as chmod 755 "$PGBIN/postgres"
	jobs_start || return 1
	"$PGBIN/psql" -XAtq -v ON_ERROR_STOP=1 <<-'SQL'
		CREATE EXTENSION jobs;
		CREATE FUNCTION fuzz(text, text, text, text[]) RETURNS integer AS '$libdir/jobs' LANGUAGE c;
		SELECT jobs.export('SELECT 1') AS job \gset
		SELECT jobs.wait(:job) AS state \gset
		CREATE TABLE token AS SELECT jobs.share(:job) AS token;
	SQL
}

make_seeds()
{
	local seeds=$WORK/fuzz/$1.seeds file

	jobs_as mkdir "$seeds" "$WORK/fuzz/$1.corpus"
	[ ! -d "$TOP/test/fuzz/corpus/$1" ] || for file in "$TOP/test/fuzz/corpus/$1"/*; do
		jobs_as cp "$WORK/src/${file#"$TOP/"}" "$seeds/"
	done
	# Before the bytes of a file stand those that choose what is said.
	case $1 in
		rows | dialect)
			for file in "$TOP"/test/data/corpus/*.csv; do
				{ printf '\1\0\0\0'; cat "$file"; } | jobs_as tee "$seeds/$(basename "$file")" >/dev/null
			done ;;
	esac
}

run_target()
{
	local target=$1 arguments out=$WORK/fuzz/$1.out

	arguments=(-max_total_time="$EACH" -timeout=25 -rss_limit_mb=4096 -print_final_stats=1
		-artifact_prefix="$WORK/fuzz/$target.")
	[ ! -f "$TOP/test/fuzz/$target.dict" ] || arguments+=(-dict="$WORK/src/test/fuzz/$target.dict")
	[[ $target != @(rows|dialect) ]] || arguments+=(-max_len=4096)
	arguments+=("$WORK/fuzz/$target.corpus" "$WORK/fuzz/$target.seeds")
	if [[ " $BACKENDS " == *" $target "* ]]; then
		"$PGBIN/psql" -XAtq -v target="$target" -v out="$out" -v arguments="{$(printf '"%s",' "${arguments[@]}" | sed 's/,$//')}" \
			>"$out.psql" 2>&1 <<-'SQL'
			SELECT fuzz(:'target', token, :'out', :'arguments') FROM token;
		SQL
	else
		jobs_as env ASAN_OPTIONS=detect_leaks=0 "$WORK/fuzz/$target" "${arguments[@]}" >"$out" 2>&1
	fi
	# A backend has nobody to tell its exit status to.
	if grep -q '^Done [0-9]' "$out" 2>/dev/null; then
		say "ok - $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$out") executions, $(
			ls "$WORK/fuzz/$target.corpus" | wc -l) inputs kept"
	else
		say "not ok - $target: see $WORK/fuzz"
		cat "$out.psql" "$out" 2>/dev/null | grep -vE '^#[0-9]+\s+(NEW|REDUCE|pulse|RELOAD)' | tail -n 40
		return 1
	fi
}

main
