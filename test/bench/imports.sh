# What run.sh measures of imports: others and ours on the same file of seven
# columns, one run each, and the ratio of their time to ours.

IMPORT_COLUMNS='id bigint, email text, name text, amount numeric(12,2), created_at timestamp, active boolean, notes text'

# Makes the files: clean, with a bad value in one row of a hundred, and in every row.
need_import_files()
{
	local n=$(scaled 5000000 1000)

	[ -z "${IMPORT_ROWS:-}" ] || return 0
	IMPORT_ROWS=$n
	sql -c "CREATE FUNCTION bench.line(i bigint, bad boolean) RETURNS text LANGUAGE sql IMMUTABLE AS \$\$
		SELECT i || ',user.' || i || '@example.com,First' || i % 997 || ' Last' || i % 8887 || ','
			|| CASE WHEN bad THEN 'twelve' ELSE (i * 7919 % 100000) / 100.0 || '' END
			|| ',2026-' || lpad((1 + i % 12)::text, 2, '0') || '-' || lpad((1 + i % 28)::text, 2, '0') || ' 10:'
			|| lpad((i % 60)::text, 2, '0') || ':' || lpad((i * 7 % 60)::text, 2, '0') || ',' || (i % 3 = 0) || ',\"' || repeat('some words, ', 3 + (i % 5)::int) || '\"' \$\$"
	import_file clean false
	import_file bad1 'i % 100 = 7'
	import_file bad100 true
	sql <<-SQL
		CREATE UNLOGGED TABLE bench.heap ($IMPORT_COLUMNS);
		CREATE TABLE bench.target ($IMPORT_COLUMNS, PRIMARY KEY (id), UNIQUE (email), CHECK (amount >= 0));
		ALTER TABLE bench.target ALTER name SET NOT NULL;
	SQL
}

import_file()
{
	sql -c "COPY (SELECT * FROM (VALUES ('id,email,name,amount,created_at,active,notes')) h
		UNION ALL SELECT bench.line(i, $2) FROM generate_series(1, $IMPORT_ROWS) i)
		TO '$WORK/data/bench_$1.csv'"
}

# Prints how long an import of a file took, in milliseconds: preview, import, both.
time_import()
{
	sql <<-SQL
		TRUNCATE bench.target;
		SELECT jobs.upload_file('$WORK/data/bench_$1.csv') AS upload \gset
		CHECKPOINT;
		SELECT clock_timestamp() AS t \gset
		SELECT jobs.import_preview('${2:-bench.target}', :upload) AS id \gset
		SELECT FROM jobs.wait(:id);
		SELECT clock_timestamp() AS u \gset
		SELECT jobs.import(:id) AS import \gset
		SELECT FROM jobs.wait(:import);
		SELECT 1000 * extract(epoch FROM timestamptz :'u' - :'t'), 1000 * extract(epoch FROM clock_timestamp() - :'u'),
			1000 * extract(epoch FROM clock_timestamp() - :'t')
			FROM jobs.job i, jobs.job p WHERE i.id = :import AND p.id = :id AND i.state = 'succeeded' AND p.state = 'succeeded';
		SELECT FROM jobs.delete(:import);
		SELECT FROM jobs.delete(:id);
	SQL
}

# The same of a preview alone.
time_preview()
{
	sql <<-SQL
		TRUNCATE bench.target, bench.heap;
		SELECT jobs.upload_file('$WORK/data/bench_$1.csv') AS upload \gset
		CHECKPOINT;
		SELECT clock_timestamp() AS t \gset
		SELECT jobs.import_preview('$2', :upload) AS id \gset
		SELECT FROM jobs.wait(:id);
		SELECT 1000 * extract(epoch FROM clock_timestamp() - :'t') FROM jobs.job WHERE id = :id AND state = 'succeeded';
		SELECT FROM jobs.delete(:id);
	SQL
}

# Prints how long SQL takes, in milliseconds, with the tables empty before.
time_import_sql()
{
	sql -c 'TRUNCATE bench.target, bench.heap' -c 'CHECKPOINT' -c '\timing on' -c "$1" |
		sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | awk '{ t += $1 } END { print t }'
}

# COPY into a staging table, checks, and INSERT: what people write today.
staging_sql()
{
	cat <<-SQL
		BEGIN;
		CREATE TEMPORARY TABLE staging (n bigserial, id text, email text, name text, amount text, created_at text, active text, notes text);
		COPY staging (id, email, name, amount, created_at, active, notes) FROM '$WORK/data/bench_clean.csv' (FORMAT csv, HEADER);
		SELECT count(*) FROM staging WHERE id !~ '^[0-9]+$' OR amount !~ '^-?[0-9]+(\.[0-9]+)?$' OR name IS NULL
			OR created_at !~ '^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$' OR active !~ '^(true|false)$';
		SELECT count(*) FROM (SELECT 1 FROM staging GROUP BY email HAVING count(*) > 1) d;
		SELECT count(*) FROM staging s JOIN bench.target t ON t.email = s.email;
		INSERT INTO bench.target SELECT id::bigint, email, name, amount::numeric, created_at::timestamp, active::boolean, notes
			FROM staging WHERE id ~ '^[0-9]+$' AND amount ~ '^-?[0-9]+(\.[0-9]+)?$' AND name IS NOT NULL ORDER BY n ON CONFLICT DO NOTHING;
		COMMIT;
	SQL
}

measure_import()
{
	local copy staging heap ours both preview bad1 bad100

	need_import_files
	copy=$(time_import_sql "COPY bench.target FROM '$WORK/data/bench_clean.csv' (FORMAT csv, HEADER)")
	IMPORT_COPY=$copy
	ours=($(time_import clean))
	both=${ours[2]:-0}
	staging=$(staging_sql | { sql -c 'TRUNCATE bench.target, bench.heap' -c CHECKPOINT; time_command sql -f - | awk '{ print $1 + 0 }'; })
	heap=$(time_import_sql "COPY bench.heap FROM '$WORK/data/bench_clean.csv' (FORMAT csv, HEADER)")
	preview=$(time_preview clean bench.target)
	bad1=($(time_import bad1))
	bad100=$(time_preview bad100 bench.target)
	import_row "COPY into a table with two unique indexes, $(number "$IMPORT_ROWS") rows : preview and import" "0.6 times" "$copy" "$both"
	import_row "staging table, checks in SQL, INSERT … ON CONFLICT : preview and import" "1.5 times" "$staging" "$both"
	import_row "COPY into an unlogged table without indexes : preview" "1 times" "$heap" "$preview"
	import_row "preview and import of a clean file : with one bad row in a hundred" "0.5 times" "$both" "${bad1[2]:-0}"
	import_row "preview of a clean file : with every row bad" "0.5 times" "$preview" "$bad100"
}

import_row()
{
	row "$1" "$2" "$(printf '%.1f s : %.1f s' "${3}e-3" "${4}e-3")" "$(quotient "$3" "$4")"
}

# The most private memory that the workers of a preview and its import have had.
measure_import_memory()
{
	local id

	need_import_files
	sql -c 'TRUNCATE bench.target'
	id=$(sql -c "SELECT jobs.import_preview('bench.target', jobs.upload_file('$WORK/data/bench_clean.csv'))")
	watch_import "$id" preview
	id=$(sql -c "SELECT jobs.import($id)")
	watch_import "$id" import
}

watch_import()
{
	local pid state most=0 now

	while read -r state pid < <(sql -c "SELECT state, pid FROM jobs.progress WHERE id = $1") &&
		[[ $state = @(queued|running) ]]; do
		now=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status" 2>/dev/null)
		[ "${now:-0}" -le "$most" ] || most=$now
		sleep 0.1
	done
	row "private memory of the worker: $2 of $(number "$IMPORT_ROWS") rows" "256 MB" "$(awk -v m="$most" 'BEGIN { printf "%.0f MB", m / 1024 }')" "-"
}

# Other programs on the same file.
measure_import_peers()
{
	local theirs ours both

	if [ "${BENCH_PEERS:-1}" = 0 ] || ! npm_modules pg csv-parse @duckdb/node-api; then
		row "imports by other programs" "-" "left out, npm or its registry cannot be reached" "-"
		return
	fi
	need_import_files
	ours=($(time_import clean))
	both=${ours[2]:-0}
	sql -c 'TRUNCATE bench.target'
	theirs=$(NODE_PATH=$WORK/npm/node_modules time_command node "$TOP/test/bench/import.js" "$WORK/data/bench_clean.csv" bench.target 2>>"$WORK/peers.log" | awk '{ print $1 + 0 }')
	import_row "Node: csv-parse, checks, INSERT of many rows : preview and import" "10 times" "${theirs:-0}" "$both"
	[ -z "${IMPORT_COPY:-}" ] ||
		remark "COPY into the same table, which checks nothing, is $(quotient "${theirs:-0}" "$IMPORT_COPY") times as fast as Node here."
	rm -f "$WORK"/times.*
	for _ in 1 2 3; do
		NODE_PATH=$WORK/npm/node_modules time_command node "$TOP/test/bench/duckdb.js" "$WORK/data/bench_clean.csv" 2>>"$WORK/peers.log" |
			awk '{ print $1 + 0 }' >>"$WORK/times.duckdb"
		time_preview clean bench.heap >>"$WORK/times.ours"
	done
	import_row "DuckDB: read_csv with store_rejects, reading only : preview, no keys, medians of 3" "0.5 times" \
		"$(median <"$WORK/times.duckdb")" "$(median <"$WORK/times.ours")"
	command -v pgloader >/dev/null || jobs_as_root apt-get install -y -qq pgloader >/dev/null 2>&1
	if command -v pgloader >/dev/null; then
		sql -c 'TRUNCATE bench.target'
		theirs=$(time_command pgloader --type csv --field 'id,email,name,amount,created_at,active,notes' --with 'skip header = 1' \
			--with "fields terminated by ','" "$WORK/data/bench_clean.csv" \
			"postgresql://$PGUSER@unix:$PGHOST:$PGPORT/postgres?tablename=bench.target" | awk '{ print $1 + 0 }')
		import_row "pgloader : preview and import" "2 times" "${theirs:-0}" "$both"
	else
		row "pgloader : preview and import" "2 times" "left out, the package cannot be had" "-"
	fi
}
