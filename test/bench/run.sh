#!/bin/bash
#
# run.sh
#	  Measures how fast the extension is, on a server of its own: `make bench`.
#
#	    run.sh [name ...]		all measurements, or those named (see NAMES)
#
# Prints a table: what, the aim, what was measured, and a ratio, which is of the
# measured value to the aim, or to the other side where both were measured.
# Nothing is asserted: machines differ, ratios less.
#
#	    BENCH_OUT=file		writes the tables there too, as Markdown; `make bench`
#						writes docs/benchmarks.md
#	    BENCH_SCALE=0.1		share of the samples and rows; 1 is the full size
#	    IDLE_SECONDS=90		how long an idle server is watched; an hour is 3600
#	    BENCH_PEERS=0		leaves out other programs, which come from npm into a
#						temporary directory, and from Debian

. "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"
. "$(dirname "${BASH_SOURCE[0]}")/measure.sh"
. "$(dirname "${BASH_SOURCE[0]}")/exports.sh"
. "$(dirname "${BASH_SOURCE[0]}")/bulk.sh"
. "$(dirname "${BASH_SOURCE[0]}")/outside.sh"
. "$(dirname "${BASH_SOURCE[0]}")/imports.sh"
. "$(dirname "${BASH_SOURCE[0]}")/cron.sh"

NAMES='latency cold throughput cancel terminate crash progress idle history export gzip node xlsx pdf memory small import import_memory import_peers bulk outside peers cron'
SCALE=${BENCH_SCALE:-1}
IDLE_SECONDS=${IDLE_SECONDS:-90}
SETTINGS=(
	"shared_buffers = 512MB"
	"max_wal_size = 4GB"
	"checkpoint_timeout = 15min"
	"track_commit_timestamp = on"
	"log_line_prefix = '%m [%p] %q%a '"
)
ROWS=()

main()
{
	local name names=${*:-$NAMES}

	for name in $names; do
		[[ " $NAMES " == *" $name "* ]] || die "Unknown measurement $name; there are: $NAMES."
	done
	jobs_packages
	jobs_workdir
	say "Building with $("$PG_CONFIG" --version)"
	jobs_build || die "The build failed."
	jobs_start "${SETTINGS[@]}" || die "The server did not start."
	sql -c 'CREATE EXTENSION jobs' && sql -f - <"$TOP/test/bench/setup.sql" || die "Could not prepare the database."
	describe_machine
	for name in $names; do
		section "$name"
		say "Measuring: $name (load $(cut -d ' ' -f 1 /proc/loadavg))" >&2
		"measure_$name"
		[ -z "${BENCH_OUT:-}" ] || print_markdown >"$BENCH_OUT"
	done
	print_table
}

# Runs psql; what it prints is unaligned, without headings.
sql()
{
	"$PGBIN/psql" -X -A -t -q -v ON_ERROR_STOP=1 -F ' ' "$@"
}

# Prints a number of things at the chosen scale, at least the second argument.
scaled()
{
	awk -v n="$1" -v least="${2:-1}" -v scale="$SCALE" 'BEGIN { v = int(n * scale); print v < least ? least : v }'
}

# Prints the quotient of two numbers.
quotient()
{
	awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }'
}

# Prints a number with commas.
number()
{
	printf '%.0f' "$1" | sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta'
}

# Begins a table, where a measurement is of another kind than the one before.
section()
{
	local title

	case $1 in
		export | gzip | node | xlsx | pdf | memory | small) title='Exports' ;;
		import | import_memory | import_peers) title='Imports' ;;
		bulk) title='Bulk jobs' ;;
		outside) title='Work outside the database' ;;
		peers | cron) title='Other queues and schedulers' ;;
		*) title='Jobs' ;;
	esac
	[[ " ${ROWS[*]-} " == *"#$title "* ]] || ROWS+=("#$title")
}

# Adds a line to the table: what, aim, measured, ratio.
row()
{
	ROWS+=("$1|$2|$3|$4")
	say "  $1: $3 (aim: $2, ratio $4)" >&2
}

# Adds a sentence below the rows so far.
remark()
{
	ROWS+=(">$1")
	say "  $1" >&2
}

describe_machine()
{
	MACHINE="$(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)), PostgreSQL $("$PG_CONFIG" --version | cut -d ' ' -f 2), \
fsync and synchronous_commit on, shared_buffers 512 MB, jobs settings as they come; a flush of the WAL takes $(flush_time) ms here"
	[ "$SCALE" = 1 ] || MACHINE+="; scale $SCALE"
}

# Prints the median time of a small commit, in milliseconds.
flush_time()
{
	sql -c 'CREATE TABLE bench.flush (n int)'
	sql >/dev/null <<-'SQL'
		DO $$
		DECLARE t timestamptz;
		BEGIN
		    FOR i IN 1..100 LOOP
		        INSERT INTO bench.flush VALUES (i);
		        t := clock_timestamp();
		        COMMIT;
		        INSERT INTO bench.timed VALUES ('flush', 1000 * extract(epoch FROM clock_timestamp() - t));
		    END LOOP;
		END $$;
	SQL
	sql -c "SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::numeric, 1) FROM bench.timed WHERE what = 'flush'"
}

print_table()
{
	say
	say "$MACHINE"
	say
	{
		echo 'what|aim|measured|ratio'
		printf '%s\n' "${ROWS[@]#[#>]}"
	} | column -t -s '|'
}

print_markdown()
{
	local row table=

	say '# Benchmarks'
	say
	say '`make bench` has measured this and written this page, on a server of its own. Where two sides stand in a line, they ran in'
	say 'one go on the same rows, and the other side stands first. A ratio is that of the measured value to the aim, or of their time to'
	say 'ours (of our rate to theirs). Nothing depends on it: machines differ, ratios less.'
	say
	say "Measured on $(date +%F): $MACHINE."
	for row in "${ROWS[@]}"; do
		if [[ $row == '#'* ]]; then
			printf '\n## %s\n\n' "${row#\#}"
			table=
		elif [[ $row == '>'* ]]; then
			printf '\n%s\n\n' "${row#>}"
			table=
		else
			[ -n "$table" ] || printf '| what | aim | measured | ratio |\n|---|---|---|---|\n'
			table=1
			sed 's/|/ | /g; s/^/| /; s/$/ |/' <<<"$row"
		fi
	done
}

main "$@"
