# What run.sh measures of pg_cron: how late many jobs begin that are due at one
# moment, and ours beside them.

CRON_JOBS=30

measure_cron()
{
	local theirs ours

	[ "${BENCH_PEERS:-1}" != 0 ] || return 0
	if ! start_cron; then
		row "pg_cron" "-" "left out, the package cannot be had" "-"
		return
	fi
	sql -c 'TRUNCATE bench.begun' -c "SELECT cron.schedule('bench' || i, '* * * * *',
		format('INSERT INTO bench.begun VALUES (%s, clock_timestamp())', i)) FROM generate_series(1, $CRON_JOBS) i" >/dev/null
	wait_begun
	sql -c "SELECT cron.unschedule(jobid) FROM cron.job" >/dev/null
	theirs=$(late "date_trunc('minute', at)")
	sql -c 'TRUNCATE bench.begun' -c "SELECT jobs.run(format('INSERT INTO bench.begun VALUES (%s, clock_timestamp())', i),
		run_at => date_trunc('second', now()) + '3 s') FROM generate_series(1, $CRON_JOBS) i" >/dev/null
	wait_begun
	ours=$(late "date_trunc('second', at)")
	row "pg_cron $(sql -c "SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'"), $CRON_JOBS jobs due at once: due → begun, p50 and the last" \
		"-" "$theirs" "-"
	row "jobs, measured in the same way" "-" "$ours" "-"
}

# Installs it, into the private copy of the server too, and restarts that.
start_cron()
{
	local dir

	if [ ! -f "$("$PG_CONFIG" --pkglibdir)/pg_cron.so" ]; then
		jobs_as_root apt-get install -y -qq "postgresql-$PG_MAJOR-cron" >/dev/null 2>&1 || return 1
	fi
	dir=$("$PG_CONFIG" --pkglibdir)
	jobs_as cp "$dir/pg_cron.so" "$WORK/pg$dir/" || return 1
	dir=$("$PG_CONFIG" --sharedir)/extension
	jobs_as cp "$dir"/pg_cron* "$WORK/pg$dir/" || return 1
	jobs_as tee -a "$WORK/data/postgresql.conf" >/dev/null <<-CONF
		shared_preload_libraries = 'jobs, pg_cron'
		cron.host = '$WORK'
		cron.database_name = 'postgres'
	CONF
	jobs_as "$PGBIN/pg_ctl" -D "$WORK/data" -l "$WORK/server.log" -w -m fast restart >/dev/null && sql -c 'CREATE EXTENSION pg_cron'
}

# Until each of them has begun, a minute and a half at most.
wait_begun()
{
	sql <<-SQL >/dev/null
		DO \$\$
		BEGIN
		    FOR i IN 1..900 LOOP
		        EXIT WHEN (SELECT count(DISTINCT n) FROM bench.begun) = $CRON_JOBS;
		        PERFORM pg_sleep(0.1);
		        COMMIT;
		    END LOOP;
		END \$\$;
	SQL
}

late()
{
	sql -c "SELECT format('%s ms, %s ms', round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)), round(max(ms)))
		FROM (SELECT 1000 * extract(epoch FROM min(at) - $1) AS ms FROM bench.begun GROUP BY n, $1 ORDER BY 1 LIMIT $CRON_JOBS) late"
}
