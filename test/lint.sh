#!/bin/bash
#
# lint.sh
#	  Static analysis of all sources: gcc's analyzer, cppcheck, clang-tidy.
#
#	    lint.sh [analyzer | cppcheck | tidy] ...
#
# Prints what they find and exits with 1 if that is anything.  What is left out, and
# why, stands with each of them.

. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

main()
{
	local tool found=0 log

	jobs_packages
	command -v cppcheck >/dev/null && command -v clang-tidy >/dev/null || {
		log=$(mktemp)
		jobs_apt "$log" cppcheck clang-tidy || { tail -n 30 "$log" >&2; rm -f "$log"; die "Could not install cppcheck and clang-tidy."; }
		rm -f "$log"
	}
	jobs_workdir
	jobs_as mkdir "$WORK/src"
	tar -C "$TOP" -cf - Makefile src | jobs_as tar -C "$WORK/src" --no-same-owner -xf -
	read_commands
	[ $# -gt 0 ] || set -- analyzer cppcheck tidy
	for tool; do
		"lint_$tool" >"$WORK/$tool.out"
		if [ -s "$WORK/$tool.out" ]; then
			say "$tool:"
			sed "s#$WORK/src/##g" "$WORK/$tool.out"
			found=1
		else
			say "$tool: nothing"
		fi
	done
	return $found
}

# One line for each source file: its name, and what the compiler is told of it.
read_commands()
{
	jobs_as make -C "$WORK/src" -nB WERROR= PG_CONFIG="$PG_CONFIG" all 2>/dev/null |
		sed -nE 's/^gcc (.*) -c -o [^ ]+\.o ([^ ]+\.c).*/\2 \1/; T; s/ +$//; p' >"$WORK/commands"
	[ -s "$WORK/commands" ] || die "There is nothing to look at."
}

each_file()
{
	jobs_as xargs -a "$WORK/commands" -P "$(nproc)" -L 1 sh -c "cd '$WORK/src'; file=\$1; shift; $1" sh
}

# It is optimized, since the analyzer knows only then that ereport(ERROR) does not
# return.  Left out are
#	malloc-leak			the memory context goes with an error
#	too-complex			says nothing of the code
#	null-dereference	of pg_list.h: lists that have a cell wherever their first is taken;
#						of create_table.c: bsearch() for what is in the array
lint_analyzer()
{
	each_file 'gcc "$@" -O2 -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-too-complex -c -o /dev/null "$file" 2>&1' |
		grep -E 'warning: |error: ' | grep -vE '/(pg_list\.h|create_table\.c):.*-Wanalyzer-null-dereference' || true
}

# The macros that end a function or a branch have to be told; the rest of the server's
# headers only slows it down.  Left out are
#	legacyUninitvar			what is set within PG_TRY
#	uninitvar				detect_form.c: set in the first round of a loop that has one;
#							detect_scan.c: filled by those who are given its address
#	nullPointerRedundantCheck	checker_rows.c: there is a text only where there is a column
lint_cppcheck()
{
	jobs_as tee "$WORK/lint.h" >/dev/null <<-MACROS
		#define PG_VERSION_NUM $((PG_MAJOR * 10000))
		#define foreach(cell, list) for (cell = list->elements; cell; cell++)
		#define forboth(cell1, list1, cell2, list2) for (cell1 = list1->elements, cell2 = list2->elements; cell1; cell1++, cell2++)
		#define PG_FUNCTION_INFO_V1(f) extern int f##_info
		#define PG_FUNCTION_ARGS FunctionCallInfo fcinfo
		#define PG_MODULE_MAGIC extern int magic
		#define PG_RETURN_VOID() return 0
		#define PG_TRY() if (setjmp(0) == 0) {
		#define PG_CATCH() } else {
		#define PG_FINALLY() } {
		#define PG_END_TRY() }
		#define ereport(level, ...) exit(1)
		#define elog(...) exit(1)
		#define pg_attribute_unused()
		#define pg_noreturn __attribute__((noreturn))
		#define FLEXIBLE_ARRAY_MEMBER
		#define INT64CONST(x) x##L
		#define UINT64CONST(x) x##UL
		#define INT64_FORMAT "%ld"
		#define UINT64_FORMAT "%lu"
	MACROS
	jobs_as cppcheck --quiet --std=c11 --enable=warning,performance,portability -j "$(nproc)" --include="$WORK/lint.h" \
		--suppress=missingInclude --suppress=legacyUninitvar --suppress=uninitvar:'*/detect_form.c' \
		--suppress=uninitvar:'*/detect_scan.c' --suppress=nullPointerRedundantCheck:'*/checker_rows.c' \
		--template='{file}:{line}: {id}: {message}' -I "$WORK/src/src" "$WORK/src/src" 2>&1
}

# The path-sensitive checks are the analyzer's above, which is several times faster.
# Left out are checks that ask for another style (names, macros, parameters of one
# type, branches that are equal on purpose), and
#	narrowing-conversions, implicit-widening	PostgreSQL's own types make them everywhere
#	not-null-terminated-result	texts here have lengths
#	too-small-loop-variable		AttrNumber, of which there are 1600 at most
#	suspicious-missing-comma	units that begin with a degree sign
#	integer-division			a bound, not a result
#	cert-flp30-c				a step that grows
#	cert-err33-c				fclose() of a temporary file that nobody wants any more
lint_tidy()
{
	local off=(
		bugprone-easily-swappable-parameters bugprone-reserved-identifier bugprone-macro-parentheses cert-dcl37-c
		cert-dcl51-cpp bugprone-branch-clone bugprone-narrowing-conversions
		bugprone-implicit-widening-of-multiplication-result bugprone-not-null-terminated-result
		bugprone-too-small-loop-variable bugprone-suspicious-missing-comma bugprone-integer-division
		cert-flp30-c cert-err33-c
	)

	each_file "clang-tidy --quiet \"\$file\" --checks='-*,bugprone-*,cert-*$(printf ',-%s' "${off[@]}")' -- \"\$@\" -w 2>/dev/null" |
		grep -E ': (warning|error): ' | sort -u || true
}

main "$@"
