# What run.sh measures of exports: others and ours in turns on the same rows, and
# the ratio of their time to ours.  The file of ours is stored and can be downloaded.

# Runs an export and prints how long it took, in milliseconds, from its
# submission to the answer of jobs.wait; the file is deleted.  A query, options,
# and the format.
time_export()
{
	sql <<-SQL
		SELECT clock_timestamp() AS t \gset
		SELECT jobs.export('$1', '${3:-csv}', options => '$2') AS id \gset
		SELECT FROM jobs.wait(:id);
		SELECT 1000 * extract(epoch FROM clock_timestamp() - :'t') FROM jobs.job WHERE id = :id AND state = 'succeeded';
		SELECT FROM jobs.delete(:id);
	SQL
}

# Runs a command and prints how long it took, in milliseconds.
time_command()
{
	local begin=$(date +%s%N)

	"$@" >/dev/null || return
	echo $((($(date +%s%N) - begin) / 1000))e-3
}

# Prints how long a COPY took, in milliseconds, without the start of psql.
time_copy()
{
	sql -c '\timing on' -c "COPY ($1) TO $2 (FORMAT csv, HEADER)" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
}

# Others.  A query, and where the rows go.
copy_to()
{
	sql -c "COPY ($1) TO $2 (FORMAT csv, HEADER)"
}

psql_gzip()
{
	sql -c "\\copy ($1) TO STDOUT (FORMAT csv, HEADER)" | gzip >"$WORK/bench.csv.gz"
}

node_gzip()
{
	NODE_PATH=$WORK/npm/node_modules node "$TOP/test/bench/stream.js" "$1" "$WORK/bench.csv.gz" 2>>"$WORK/peers.log"
}

# In turns, an export with these options and the command of somebody else.
versus()
{
	local what=$1 aim=$2 runs=$3 query=$4 options=$5 i theirs ours

	shift 5
	rm -f "$WORK"/times.*
	[ "$runs" = 1 ] || time_command "$@" >/dev/null || return
	time_export "$query" "$options" >/dev/null
	for ((i = 1; i <= runs; i++)); do
		time_command "$@" >>"$WORK/times.theirs" || return
		time_export "$query" "$options" | grep . >>"$WORK/times.ours"
	done
	rm -f "$WORK"/data/bench.csv* "$WORK"/bench.csv*
	theirs=$(median <"$WORK/times.theirs")
	ours=$(median <"$WORK/times.ours")
	row "$what" "$aim" "$(printf '%.2f s : %.2f s' "${theirs}e-3" "${ours}e-3")" "$(quotient "$theirs" "$ours")"
}

GZIP='{"compression": "gzip"}'
SALES='SELECT * FROM bench.sale'
ORDERED='SELECT * FROM bench.sale ORDER BY sold_at DESC'
# With parallel workers it would have another result.
SERIAL='SELECT *, row_number() OVER () FROM bench.sale'

measure_export()
{
	local n file="'$WORK/data/bench.csv'" runs=$(scaled 5 2)

	need_sales
	n=$(sql -c 'SELECT count(*) FROM bench.sale')
	versus "COPY to a file : export of $(number "$n") rows to csv, medians of $runs" "1.3 times" "$runs" \
		"$SALES" '{}' copy_to "$SALES" "$file"
	versus "… ordered" "1.3 times" 3 "$ORDERED" '{}' copy_to "$ORDERED" "$file"
	versus "… a query that cannot run in parallel" "as before" 3 "$SERIAL" '{}' copy_to "$SERIAL" "$file"
}

measure_gzip()
{
	local program="PROGRAM 'gzip -1 > $WORK/data/bench.csv.gz'"

	need_sales
	versus "COPY to gzip -1 : export with gzip, medians of 3" "2 times" 3 "$SALES" "$GZIP" copy_to "$SALES" "$program"
	versus "… ordered" "2 times" 3 "$ORDERED" "$GZIP" copy_to "$ORDERED" "$program"
	versus "psql, \\copy to gzip : the same" "2.5 times" 1 "$SALES" "$GZIP" psql_gzip "$SALES"
}

# As applications do it.
measure_node()
{
	if [ "${BENCH_PEERS:-1}" = 0 ] || ! npm_modules pg pg-query-stream csv-stringify; then
		row "Node: pg-query-stream, csv-stringify, zlib" "10 times" "left out, npm or its registry cannot be reached" "-"
		return
	fi
	need_sales
	versus "Node: pg-query-stream, csv-stringify, zlib : export with gzip" "10 times" 1 "$SALES" "$GZIP" node_gzip "$SALES"
}

# The most private memory that the worker of an export has had, in kB.
worker_memory()
{
	local id pid state most=0 now

	id=$(sql -c "SELECT jobs.export('$1', '$2', options => '$3')")
	while read -r state pid < <(sql -c "SELECT state, pid FROM jobs.progress WHERE id = $id") &&
		[[ $state = @(queued|running) ]]; do
		now=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status" 2>/dev/null)
		[ "${now:-0}" -le "$most" ] || most=$now
		sleep 0.05
	done
	sql -c "SELECT FROM jobs.delete($id)"
	echo "$most"
}

measure_memory()
{
	local n=$(scaled 1000000 1000)

	need_sales
	row "private memory of the worker: csv, csv with gzip, jsonl of all rows" "64 MB" \
		"$(for o in "csv {}" "csv $GZIP" "jsonl {}"; do worker_memory "$SALES" ${o%% *} "${o#* }"; done | awk '{ printf "%s%.1f MB", s, $1 / 1024; s = ", " }')" "-"
	row "… xlsx of $(number "$n") rows, and pdf of 48,291" "64 MB, 500 MB" \
		"$( { worker_memory "$SALES LIMIT $n" xlsx '{}'; worker_memory "$SALES LIMIT 48291" pdf '{}'; } | awk '{ printf "%s%.1f MB", s, $1 / 1024; s = ", " }')" "-"
}

measure_pdf()
{
	local i

	need_sales
	rm -f "$WORK"/times.*
	for i in 1 2 3; do time_export "$SALES LIMIT 48291" '{}' pdf | grep . >>"$WORK/times.ours"; done
	row "export of 48,291 rows to pdf, median of 3" "30 s" "$(printf '%.1f s' "$(median <"$WORK/times.ours")e-3")" "-"
}

# As many rows as a sheet has room for.  The library gets them from memory.
measure_xlsx()
{
	local n=$(scaled 1000000 1000) i query log direct export

	need_sales
	query="SELECT * FROM bench.sale LIMIT $n"
	log=$(mktemp)
	if ! echo '#include <xlsxwriter.h>' | gcc -E - >/dev/null 2>&1 && ! jobs_apt "$log" libxlsxwriter-dev; then
		say "  libxlsxwriter is not to be had" >&2
		return
	fi
	rm -f "$log" "$WORK"/times.*
	gcc -O2 -o "$WORK/xlsx_direct" "$TOP/test/bench/xlsx_direct.c" -lxlsxwriter || return
	sql -c "COPY (SELECT id, customer, quantity, amount, extract(epoch FROM sold_at AT TIME ZONE 'UTC' - timestamp '1899-12-30') / 86400,
		paid, note FROM ($query) s) TO '$WORK/data/bench.tsv'"
	time_export "$query" '{}' xlsx >/dev/null
	for i in 1 2 3; do
		"$WORK/xlsx_direct" "$WORK/data/bench.tsv" "$WORK/bench.xlsx" >>"$WORK/times.direct"
		time_export "$query" '{}' xlsx | grep . >>"$WORK/times.export"
	done
	rm -f "$WORK/data/bench.tsv" "$WORK/bench.xlsx"
	direct=$(median <"$WORK/times.direct")
	export=$(median <"$WORK/times.export")
	row "libxlsxwriter called from C : export to xlsx, $(number "$n") rows, medians of 3" "0.8 times" \
		"$(printf '%.2f s : %.2f s' "${direct}e-3" "${export}e-3")" "$(quotient "$direct" "$export")"
}

measure_small()
{
	local n i p50 p95 p99

	n=$(scaled 100 10)
	need_sales
	rm -f "$WORK"/times.*
	for ((i = 1; i <= n; i++)); do
		time_copy "SELECT * FROM bench.sale LIMIT 100" "'$WORK/data/bench.csv'" >>"$WORK/times.copy"
		sql >/dev/null <<-'SQL'
			SELECT clock_timestamp() AS t \gset
			SELECT jobs.export('SELECT * FROM bench.sale LIMIT 100') AS id \gset
			SELECT FROM jobs.wait(:id);
			INSERT INTO bench.timed VALUES ('small', 1000 * extract(epoch FROM clock_timestamp() - :'t'));
		SQL
	done
	read -r p50 p95 p99 <<<"$(percentiles "SELECT ms FROM bench.timed WHERE what = 'small'")"
	row "export of 100 rows, from submission to jobs.wait's answer, p50 and p99 of $n : COPY, median" "-" \
		"$p50, $p99 ms : $(median <"$WORK/times.copy") ms" "$(quotient "$p50" "$(median <"$WORK/times.copy")")"
}
