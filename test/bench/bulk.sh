# bulk.sh
#	  Measurements of bulk jobs, sourced by run.sh.

# The items of the jobs that follow: their number.
bulk_items()
{
	sql -c "TRUNCATE bench.items" -c "INSERT INTO bench.items
		SELECT jsonb_agg(to_jsonb(q)) FROM (SELECT n FROM generate_series(1, $1) AS n) q"
}

# Prints the running time of a bulk job in milliseconds: more arguments of jobs.bulk.
bulk_time()
{
	local job

	sql -c 'TRUNCATE bench.sink'
	job=$(sql -c "SELECT jobs.bulk(\$\$INSERT INTO bench.sink VALUES ((\$1->>'n')::integer, 'x')\$\$,
		items${1:+, $1}) FROM bench.items")
	[ "$(sql -c "SELECT jobs.wait($job)")" = succeeded ] || die "A bulk job of the bench has not succeeded."
	sql -c "SELECT 1000 * extract(epoch FROM finished_at - started_at) FROM jobs.job WHERE id = $job"
}

# The same work in one PL/pgSQL loop with an exception block for each item.
bulk_loop_time()
{
	sql -c "
		DO \$\$
		DECLARE
		    p jsonb;
		    t timestamptz := clock_timestamp();
		BEGIN
		    FOR p IN SELECT to_jsonb(q) FROM (SELECT n FROM generate_series(1, $1) AS n) q LOOP
		        BEGIN
		            INSERT INTO bench.sink VALUES ((p->>'n')::integer, 'x');
		        EXCEPTION WHEN OTHERS THEN
		            NULL;
		        END;
		    END LOOP;
		    INSERT INTO bench.timed VALUES ('loop', 1000 * extract(epoch FROM clock_timestamp() - t));
		END \$\$" -c "WITH d AS (DELETE FROM bench.timed WHERE what = 'loop' RETURNING ms) SELECT max(ms) FROM d"
}

# One loop, and two at once that do twice as much: how much more this machine does
# with its second core, whatever the extension does.
bulk_loops_scale()
{
	local i one both began ended

	for i in 1 2 3; do
		sql -c 'TRUNCATE bench.sink'
		one=$(bulk_loop_time "$1")
		sql -c 'TRUNCATE bench.sink'
		began=$(date +%s%N)
		bulk_loop_time "$1" >/dev/null &
		bulk_loop_time "$1" >/dev/null
		wait
		ended=$(date +%s%N)
		both=$(awk -v a="$began" -v b="$ended" 'BEGIN { print (b - a) / 1e6 }')
		quotient "$(awk -v t="$one" 'BEGIN { print 2 * t }')" "$both"
		echo
	done | grep . | median
}

# The application's way, in Node; nothing where npm is not there.
bulk_node_ms()
{
	command -v npm >/dev/null || return 1
	[ -d "$WORK/npm/node_modules/pg" ] ||
		jobs_as npm install --prefix "$WORK/npm" --no-audit --no-fund --silent pg >"$WORK/npm.log" 2>&1 || return 1
	sql -c 'TRUNCATE bench.sink'
	NODE_PATH=$WORK/npm/node_modules node "$TOP/test/bench/bulk.js" "$1" 2>>"$WORK/npm.log" | sed -n 's/^ms=//p'
}

measure_bulk()
{
	local i n million few ours loop one two node job

	n=$(scaled 200000 1000)
	million=$(scaled 1000000 5000)
	few=$(scaled 20000 500)
	sql -c 'CREATE TABLE bench.sink (n integer, x text)' -c 'CREATE TABLE bench.items (items jsonb)'

	bulk_items "$n"
	for i in 1 2 3; do
		bulk_time >>"$WORK/bulk.ours"
		sql -c 'TRUNCATE bench.sink'
		bulk_loop_time "$n" >>"$WORK/bulk.loop"
	done
	ours=$(median <"$WORK/bulk.ours")
	loop=$(median <"$WORK/bulk.loop")
	row "bulk: $(number "$n") items, a loop without a ledger takes $(number "$loop") ms" "2.00 times" "$(number "$ours") ms" \
		"$(quotient "$ours" "$loop")"

	node=$(bulk_node_ms "$few") && [ -n "$node" ] &&
		row "bulk: items/s, in Node, a transaction each, $(quotient "$few" "$(quotient "$node" 1000)")" "10 times" \
			"$(number "$(awk -v n="$n" -v ms="$ours" 'BEGIN { print n / ms * 1000 }')")" \
			"$(awk -v a="$ours" -v n="$n" -v b="$node" -v few="$few" 'BEGIN { printf "%.2f", (b / few) / (a / n) }')"

	bulk_items "$million"
	for i in 1 2 3 4 5; do
		bulk_time >>"$WORK/bulk.one"
		bulk_time 'workers => 2' >>"$WORK/bulk.two"
	done
	one=$(median <"$WORK/bulk.one")
	two=$(median <"$WORK/bulk.two")
	row "bulk: $(number "$million") items, one worker $(number "$one") ms, two" "1.70 times faster" "$(number "$two") ms" \
		"$(quotient "$one" "$two")"
	row "bulk: two such loops at once in place of one after the other" "-" "-" "$(bulk_loops_scale "$n")"
	row "bulk: bytes of an item with its outcome" "-" "$(sql -c "SELECT round((pg_total_relation_size('jobs.item_chunk') +
		pg_total_relation_size('jobs.outcome'))::numeric / (SELECT sum(total) FROM jobs.job WHERE kind = 'bulk'), 1)")" "-"

	sql -c 'TRUNCATE bench.sink' -c 'ALTER TABLE bench.sink ADD CONSTRAINT tenth CHECK (n % 10 <> 0)'
	job=$(sql -c "SELECT jobs.bulk_query(\$\$INSERT INTO bench.sink VALUES ((\$1->>'n')::integer, 'x')\$\$,
		'SELECT n FROM generate_series(1, $million) AS n')")
	sql -c "SELECT jobs.wait($job)" >/dev/null
	bulk_call "failures of $(number "$million") items, a tenth failed" 1000 "SELECT * FROM jobs.failures($job)"
	bulk_call "panel beside them" 10 'SELECT * FROM jobs.panel LIMIT 10'
	bulk_call "retry_failed" 1000 "SELECT jobs.retry_failed($job)"
	sql -c "SELECT jobs.wait($job)" >/dev/null
	bulk_call "delete" 100 "SELECT jobs.delete($job)"
	bulk_call "submitting an array of $(number "$million") items" 1000 \
		"SELECT jobs.bulk('SELECT \$1', items, run_at => 'tomorrow') FROM bench.items"
}

# Measures one statement: what, aim in ms, statement.
bulk_call()
{
	local began ended

	began=$(date +%s%N)
	sql -c "$3" >/dev/null
	ended=$(date +%s%N)
	row "bulk: $1" "$2 ms" "$(awk -v a="$began" -v b="$ended" 'BEGIN { printf "%.0f ms", (b - a) / 1e6 }')" \
		"$(awk -v a="$began" -v b="$ended" -v aim="$2" 'BEGIN { printf "%.2f", (b - a) / 1e6 / aim }')"
}
