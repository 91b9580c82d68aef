# measure.sh
#	  The measurements of run.sh, a function for each name.

# Waits until no worker has anything to do.
settle()
{
	local tries=0

	while [ "$(sql -c 'SELECT count(*) FROM jobs.live')" != 0 ] && [ $((tries += 1)) -le 600 ]; do
		sleep 0.1
	done
}

# Prints "median p95 p99" of a column of a query, rounded.
percentiles()
{
	sql -c "SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY v)::numeric, 2),
	               round(percentile_cont(0.95) WITHIN GROUP (ORDER BY v)::numeric, 2),
	               round(percentile_cont(0.99) WITHIN GROUP (ORDER BY v)::numeric, 2) FROM ($1) q (v)"
}

# Prints the median of numbers, one a line.
median()
{
	sort -g | awk '{ v[NR] = $1 } END { if (NR) print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2; else print "-" }'
}

# A line of the table from a file of milliseconds, and the aim in milliseconds.
row_of_times()
{
	local middle worst

	middle=$(median <"$3")
	worst=$(sort -g "$3" | tail -n 1)
	row "$1" "$2 ms" "$(printf '%.1f ms, %.1f ms' "$middle" "$worst")" "$(quotient "$middle" "$2")"
}

# ---------------------------------------------------------------------------
# Beginning
# ---------------------------------------------------------------------------

# Runs the samples of bench.latency anew.
sample_latency()
{
	sql -c "CALL bench.submit_slowly(20, 0.02)" -c 'SELECT pg_sleep(0.5)' -c 'TRUNCATE bench.begun, bench.submitted' \
		-c "CALL bench.submit_slowly($1, 0.02)" -c 'SELECT pg_sleep(0.5)' >/dev/null
}

measure_latency()
{
	local n p50 p95 p99 r50 r95 r99

	n=$(scaled 1000 20)
	sample_latency "$n"
	read -r p50 p95 p99 <<<"$(percentiles 'SELECT from_done FROM bench.latency')"
	read -r r50 r95 r99 <<<"$(percentiles 'SELECT from_record FROM bench.latency')"
	row "commit → work begins, warm worker, p50 of $n" "1 ms" "$p50 ms" "$(quotient "$p50" 1)"
	row "… p99" "10 ms" "$p99 ms" "$(quotient "$p99" 10)"
	row "… from the commit's record, before its flush, p50 and p99" "-" "$r50 ms, $r99 ms" "-"
}

# Submits a job in a database and prints how long its work took to begin.
submit_cold()
{
	local db=$1 tries=0

	sql -d "$db" -c 'TRUNCATE begun, submitted' >/dev/null
	sql -d "$db" >/dev/null <<-'SQL'
		DO $$
		DECLARE x xid8 := pg_current_xact_id();
		BEGIN
		    PERFORM jobs.run('INSERT INTO begun VALUES (clock_timestamp())');
		    COMMIT;
		    INSERT INTO submitted VALUES (clock_timestamp());
		END $$;
	SQL
	while [ "$(sql -d "$db" -c 'SELECT count(*) FROM begun')" = 0 ] && [ $((tries += 1)) -le 500 ]; do
		sleep 0.02
	done
	sql -d "$db" -c 'SELECT 1000 * extract(epoch FROM b.at - s.at) FROM begun b, submitted s'
}

# Whether any scheduler or worker is connected to a database.
anybody_connected()
{
	[ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'jobs%' AND datid <> 0")" != 0 ]
}

wait_until_alone()
{
	local until=$((SECONDS + 300))

	while anybody_connected && [ "$SECONDS" -lt "$until" ]; do
		sleep 1
	done
	! anybody_connected
}

measure_cold()
{
	local n i

	n=$(scaled 10 2)
	for ((i = 1; i <= n; i++)); do
		sql -c "CREATE DATABASE cold$i"
		sql -d "cold$i" -c 'CREATE TABLE begun (at timestamptz); CREATE TABLE submitted (at timestamptz); CREATE EXTENSION jobs'
		submit_cold "cold$i" >>"$WORK/cold.first"
	done
	wait_until_alone || say "  schedulers did not leave" >&2
	for ((i = 1; i <= n; i++)); do
		submit_cold "cold$i" >>"$WORK/cold.idle"
	done
	for ((i = 1; i <= n; i++)); do
		jobs_as "$PGBIN/pg_ctl" -D "$WORK/data" -l "$WORK/server.log" -w -m fast restart >/dev/null
		submit_cold "cold$i" >>"$WORK/cold.restart"
	done
	row_of_times "the same, no worker or scheduler alive: a database's first job, median and worst of $n" "50" "$WORK/cold.first"
	row_of_times "… after everybody has left an idle server" "50" "$WORK/cold.idle"
	row_of_times "… right after a restart of the server" "50" "$WORK/cold.restart"
	for ((i = 1; i <= n; i++)); do
		sql -c "DROP DATABASE cold$i WITH (FORCE)"
	done
}

# ---------------------------------------------------------------------------
# Many jobs
# ---------------------------------------------------------------------------

# Fills the queue while nothing starts, then lets it go.  Sets SUBMIT_RATE and RUN_RATE.
run_many()
{
	local n=$1 ms result

	settle
	sql -c 'ALTER SYSTEM SET jobs.enabled = off' -c 'SELECT pg_reload_conf()' -c 'SELECT pg_sleep(0.2)' >/dev/null
	ms=$(sql -c '\timing on' -c "SELECT count(jobs.run('select 1')) FROM generate_series(1, $n)" |
		sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p')
	SUBMIT_RATE=$(awk -v n="$n" -v ms="$ms" 'BEGIN { print n * 1000 / ms }')
	sql -c 'VACUUM ANALYZE jobs.live' -c 'ALTER SYSTEM RESET jobs.enabled'
	result=$(sql -c 'TRUNCATE bench.go' \
		-c 'INSERT INTO bench.go VALUES (clock_timestamp())' -c 'SELECT max(id) FROM jobs.live')
	sql -c 'SELECT pg_reload_conf()' -c "SELECT jobs.wait($result)" >/dev/null
	settle
	RUN_RATE=$(sql -c "SELECT $n / extract(epoch FROM max(h.finished_at) - max(g.at))
	                     FROM jobs.history h, bench.go g WHERE h.id > $result - $n")
}

measure_throughput()
{
	local n

	n=$(scaled 100000 1000)
	run_many "$n"
	row "jobs.run('select 1') from a full queue of $(number "$n")" "10,000/s" "$(number "$RUN_RATE")/s" "$(quotient "$RUN_RATE" 10000)"
	row "submitting $(number "$n") from generate_series" "50,000/s" "$(number "$SUBMIT_RATE")/s" "$(quotient "$SUBMIT_RATE" 50000)"
	JOBS_RATE=$RUN_RATE
}

# ---------------------------------------------------------------------------
# Stopping
# ---------------------------------------------------------------------------

need_sales()
{
	[ "$(sql -c 'SELECT count(*) FROM bench.sale')" != 0 ] && return
	sql -c "CALL bench.fill_sale($(scaled 5000000 10000))" -c 'VACUUM ANALYZE bench.sale' -c 'CHECKPOINT'
}

measure_cancel()
{
	local n what p50 p95 p99

	n=$(scaled 200 8)
	need_sales
	sql -c 'TRUNCATE bench.stopped' -c "CALL bench.stop('{sleep,sort,export,loop}', $n, false)"
	read -r p50 p95 p99 <<<"$(percentiles 'SELECT 1000 * extract(epoch FROM took) FROM bench.stopped')"
	row "cancel → stopped, p95 of $n (pg_sleep, sort, export, PL/pgSQL loop)" "100 ms" "$p95 ms" "$(quotient "$p95" 100)"
	what=$(sql -c "SELECT string_agg(format('%s %s ms', what, p), ', ' ORDER BY what)
	                 FROM (SELECT what, round(1000 * percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM took))::numeric, 1) AS p
	                         FROM bench.stopped GROUP BY what) q")
	row "… p50, p99; p95 of each" "-" "$p50 ms, $p99 ms; $what" "-"
	[ "$(sql -c "SELECT count(*) FROM bench.stopped WHERE state <> 'cancelled'")" = 0 ] ||
		row "… jobs that did not end cancelled" "0" "$(sql -c "SELECT count(*) FROM bench.stopped WHERE state <> 'cancelled'")" "-"
}

measure_terminate()
{
	local n p50 p95 p99

	n=$(scaled 60 4)
	need_sales
	sql -c 'TRUNCATE bench.stopped' -c "CALL bench.stop('{sleep,export,loop}', $n, true)"
	read -r p50 p95 p99 <<<"$(percentiles 'SELECT 1000 * extract(epoch FROM took) FROM bench.stopped')"
	row "worker gets SIGTERM → its job failed with the reason, p50, p95, p99 of $n" "100 ms" "$p50, $p95, $p99 ms" "$(quotient "$p95" 100)"
	[ "$(sql -c "SELECT count(*) FROM bench.stopped WHERE state <> 'failed'")" = 0 ] ||
		row "… jobs that did not end failed" "0" "$(sql -c "SELECT count(*) FROM bench.stopped WHERE state <> 'failed'")" "-"
}

# Prints the time at which the server last said that it is ready.
ready_at()
{
	grep -a 'database system is ready to accept connections' "$WORK/server.log" | tail -n 1 | cut -d ' ' -f 1-3
}

# Waits until the server answers, and a query's result is true.
until_true()
{
	local tries=0

	until [ "$(sql -c "$1" 2>/dev/null)" = t ] || [ $((tries += 1)) -gt 3000 ]; do
		sleep 0.01
	done
}

# Two jobs: one that is not to run again, and one that is.
measure_crash()
{
	local n i once again pid ready

	n=$(scaled 10 2)
	sql -c "ALTER SYSTEM SET jobs.retry_delay = 0" -c 'SELECT pg_reload_conf()' >/dev/null
	for ((i = 1; i <= n; i++)); do
		once=$(sql -c "SELECT jobs.run('SELECT pg_sleep(600)')")
		again=$(sql -c "SELECT jobs.run('SELECT pg_sleep(600)', max_attempts => 5)")
		until_true "SELECT count(*) = 2 FROM jobs.progress WHERE id IN ($once, $again) AND pid IS NOT NULL"
		pid=$(sql -c "SELECT pid FROM jobs.progress WHERE id = $once")
		ready=$(ready_at)
		kill -KILL "$pid"
		while [ "$(ready_at)" = "$ready" ]; do
			sleep 0.01
		done
		until_true "SELECT state = 'running' AND attempt = 2 FROM jobs.job WHERE id = $again"
		until_true "SELECT state = 'failed' FROM jobs.job WHERE id = $once"
		ready=$(ready_at)
		sql -c "SELECT 1000 * extract(epoch FROM finished_at - '$ready') FROM jobs.job WHERE id = $once" >>"$WORK/crash.failed"
		sql -c "SELECT 1000 * extract(epoch FROM started_at - '$ready') FROM jobs.job WHERE id = $again" >>"$WORK/crash.running"
		sql -c "SELECT jobs.cancel($again)" -c "SELECT jobs.wait($again)" >/dev/null
	done
	sql -c "ALTER SYSTEM RESET jobs.retry_delay" -c 'SELECT pg_reload_conf()' >/dev/null
	row_of_times "kill -9 of a worker, from \"ready to accept connections\" → its job failed with the reason, median and worst of $n" "1000" "$WORK/crash.failed"
	row_of_times "… → one with attempts left runs again, jobs.retry_delay 0" "1000" "$WORK/crash.running"
}

# ---------------------------------------------------------------------------
# Progress
# ---------------------------------------------------------------------------

# Writes of the tables of the extension, without the inserts.
dead_rows()
{
	sql -c 'SELECT pg_sleep(1.5)' >/dev/null
	sql -c "SELECT sum(n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE schemaname = 'jobs'"
}

# Runs a loop as a job; prints the rows that it left dead beside those of any job.
run_loop()
{
	local what=$1 body=$2 n=$3 before

	before=$(dead_rows)
	sql >/dev/null <<-SQL
		SELECT jobs.run(\$j\$ DO \$x\$
		    DECLARE t timestamptz := clock_timestamp();
		    BEGIN
		        FOR i IN 1..$n LOOP $body END LOOP;
		        INSERT INTO bench.loops VALUES ('$what', clock_timestamp() - t);
		    END \$x\$ \$j\$) AS id \gset
		SELECT jobs.wait(:id);
	SQL
	echo $(($(dead_rows) - before))
}

# What one call costs, ten thousand times, is the share of each second.
measure_progress()
{
	local n share dead=0 base=0 i

	n=$(scaled 2000000 10000)
	sql -c 'TRUNCATE bench.loops'
	for i in 1 2 3; do
		base=$(run_loop without 'NULL;' "$n")
		dead=$(run_loop with "PERFORM jobs.report_progress(i, $n);" "$n")
	done
	share=$(sql -c "SELECT round(1000000.0 / $n * (extract(epoch FROM min(took) FILTER (WHERE what = 'with'))
	                               - extract(epoch FROM min(took) FILTER (WHERE what = 'without')))::numeric, 2) FROM bench.loops")
	row "report_progress 10,000 times a second, share of the job's time" "1 %" "$share %" "$(quotient "$share" 1)"
	row "… dead rows by $(number "$n") calls" "0" "$((dead - base))" "-"
}

# ---------------------------------------------------------------------------
# Nothing to do, and much in the past
# ---------------------------------------------------------------------------

measure_idle()
{
	local pid before wakeups

	settle
	wait_until_alone || say "  somebody stays connected to a database" >&2
	pid=$(sql -c "SELECT pid FROM pg_stat_activity WHERE backend_type = 'jobs launcher'")
	before=$(awk '/^(non)?voluntary_ctxt_switches/ { n += $2 } END { print n }' "/proc/$pid/status")
	sleep "$IDLE_SECONDS"
	wakeups=$(($(awk '/^(non)?voluntary_ctxt_switches/ { n += $2 } END { print n }' "/proc/$pid/status") - before))
	row "$IDLE_SECONDS s with nothing to do: wake-ups" "0" "$wakeups" "-"
	row "… connections to databases" "0" "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'jobs%' AND datid <> 0")" "-"
}

# A new extension with a history of some jobs, and one that has just ended.
new_history()
{
	settle
	sql -c 'DROP EXTENSION jobs' -c 'CREATE EXTENSION jobs'
	sql -c "SELECT setval('jobs.job_id', $1 + 1)" >/dev/null
	sql >/dev/null <<-'SQL'
		SELECT jobs.run('SELECT 1') AS id \gset
		SELECT jobs.wait(:id);
	SQL
	sql -c "CALL bench.fill_history($1)" -c 'VACUUM ANALYZE jobs.history'
}

# Prints the median time of a query, in milliseconds.
time_of()
{
	sql -c 'TRUNCATE bench.timed' -c "CALL bench.time_query('query', '$1', 50)"
	percentiles 'SELECT ms FROM bench.timed' | cut -d ' ' -f 1
}

# Three times so many jobs, then everything else.  Sets RUN_RATE, L50, L99, PANEL and BYID.
sample_history()
{
	local n=$1

	run_many "$n"
	run_many "$n"
	run_many "$n"
	# What autovacuum would do within a minute.
	sql -c 'VACUUM ANALYZE jobs.live, jobs.history'
	sample_latency "$(scaled 300 20)"
	read -r L50 _ L99 <<<"$(percentiles 'SELECT from_done FROM bench.latency')"
	PANEL=$(time_of 'SELECT * FROM jobs.panel LIMIT 50')
	BYID=$(time_of "SELECT * FROM jobs.job WHERE id = $(sql -c 'SELECT max(id) - 5 FROM jobs.history')")
}

# Holds a snapshot until release_snapshot.
hold_snapshot()
{
	{
		echo 'BEGIN ISOLATION LEVEL REPEATABLE READ;'
		echo 'SELECT count(*) FROM pg_class;'
		while [ ! -e "$WORK/release" ]; do sleep 0.5; done
	} | sql >/dev/null &
	HOLDER=$!
	until_true "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND state = 'idle in transaction')"
}

release_snapshot()
{
	touch "$WORK/release"
	wait "$HOLDER"
}

# Lines of the table: the last sample beside the values of an empty table.
rows_of_history()
{
	row "$1: commit → work begins, p50" "as empty" "$L50 ms : $2 ms" "$(quotient "$L50" "$2")"
	row "… p99" "as empty" "$L99 ms : $3 ms" "$(quotient "$L99" "$3")"
	row "… jobs from a full queue" "as empty" "$(number "$RUN_RATE")/s : $(number "$4")/s" "$(quotient "$RUN_RATE" "$4")"
	row "… jobs.panel, 50 rows, when these jobs have just ended" "as empty" "$PANEL ms : $5 ms" "$(quotient "$PANEL" "$5")"
	row "… a job by its id" "as empty" "$BYID ms : $6 ms" "$(quotient "$BYID" "$6")"
}

# The same three times: with an empty history, with a full one, and with an
# empty one while a snapshot is held that was taken before all the jobs.
measure_history()
{
	local n=$(scaled 1000000 10000) churn=$(scaled 20000 1000)
	local few empty panel

	new_history 0
	few=$(time_of 'SELECT * FROM jobs.panel LIMIT 50')
	sample_history "$churn"
	empty=("$L50" "$L99" "$RUN_RATE" "$PANEL" "$BYID")
	new_history "$n"
	panel=$(time_of 'SELECT * FROM jobs.panel LIMIT 50')
	row "$(number "$n") finished jobs in the history : none: jobs.panel" "as empty" "$panel ms : $few ms" "$(quotient "$panel" "$few")"
	sample_history "$churn"
	rows_of_history "… with $(number $((3 * churn))) more jobs" "${empty[@]}"
	new_history 0
	hold_snapshot
	sample_history "$churn"
	rows_of_history "a snapshot held over $(number $((3 * churn))) jobs : none" "${empty[@]}"
	release_snapshot
}

# ---------------------------------------------------------------------------
# Others
# ---------------------------------------------------------------------------

# Installs modules into a temporary directory; false where they are not to be had.
npm_modules()
{
	command -v npm >/dev/null && mkdir -p "$WORK/npm" && (cd "$WORK/npm" &&
		timeout 300 npm install --silent --no-fund --no-audit "$@" >"$WORK/npm.log" 2>&1 </dev/null)
}

# Runs one of the programs; prints a value of its output.
peer()
{
	NODE_PATH=$WORK/npm/node_modules PGDATABASE=peers node "$TOP/test/bench/$1.js" "$2" "$3" 2>>"$WORK/peers.log" >"$WORK/peer.out" ||
		{ tail -n 5 "$WORK/peers.log" >&2; return 1; }
}

peer_value()
{
	sed -n "s/^$1=//p" "$WORK/peer.out"
}

measure_peers()
{
	local n samples name

	if [ "${BENCH_PEERS:-1}" = 0 ]; then
		return
	fi
	if ! npm_modules graphile-worker pg-boss pg; then
		say "  The peers are left out: npm is not there, or its registry cannot be reached." >&2
		row "graphile-worker, pg-boss" "-" "left out, npm or its registry cannot be reached" "-"
		return
	fi
	sql -c 'CREATE DATABASE peers'
	n=$(scaled 100000 2000)
	samples=$(scaled 1000 20)
	[ -n "${JOBS_RATE:-}" ] || { run_many "$n"; JOBS_RATE=$RUN_RATE; }

	peer graphile latency "$samples" &&
		row "graphile-worker $(peer_version graphile-worker): before submitting → task begins, p50 and p99 of $samples" "-" \
			"$(printf '%.2f ms, %.2f ms' "$(peer_value p50)" "$(peer_value p99)")" "-"
	measure_end_to_end "$samples"
	peer graphile throughput "$n" && {
		row "graphile-worker, local queue and batches: jobs from a queue of $(number "$n"); ours : it" "-" \
			"$(number "$JOBS_RATE")/s : $(number "$(peer_value batched)")/s" "$(quotient "$JOBS_RATE" "$(peer_value batched)")"
		row "… without batches" "-" "$(number "$JOBS_RATE")/s : $(number "$(peer_value single)")/s" "$(quotient "$JOBS_RATE" "$(peer_value single)")"
	}
	peer pgboss latency "$(scaled 100 10)" &&
		row "pg-boss $(peer_version pg-boss), which polls: before submitting → task begins, p50 and p99" "-" \
			"$(printf '%.0f ms, %.0f ms' "$(peer_value p50)" "$(peer_value p99)")" "-"
	peer pgboss throughput "$n" &&
		row "pg-boss, batches of 1,000: jobs from a queue of $(number "$n"); ours : it" "-" \
			"$(number "$JOBS_RATE")/s : $(number "$(peer_value rate)")/s" "$(quotient "$JOBS_RATE" "$(peer_value rate)")"
}

peer_version()
{
	sed -n 's/.*"version": "\([^"]*\)".*/\1/p' "$WORK/npm/node_modules/$1/package.json" | head -n 1
}

# Ours from before the submitting statement, as the peers are measured.
measure_end_to_end()
{
	local p50 p99

	sql -c 'TRUNCATE bench.begun' >/dev/null
	PGDATABASE=$PGDATABASE NODE_PATH=$WORK/npm/node_modules node "$TOP/test/bench/ours.js" "$1" 2>>"$WORK/peers.log" >"$WORK/peer.out" || return
	p50=$(peer_value p50) p99=$(peer_value p99)
	row "jobs, measured in the same way" "-" "$(printf '%.2f ms, %.2f ms' "$p50" "$p99")" "-"
}
