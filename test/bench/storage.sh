#!/bin/bash
#
# storage.sh
#	  Whether expiry leaves the table of chunks at its size, and how much memory
#	  a large download takes.
#
#	    storage.sh [cycles [megabytes of the large file]]
#
# Each cycle exports 50 MB, which expire, and 1 MB, which stays, and vacuums;
# psql then downloads a large file chunk by chunk.

. "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"

CYCLES=${1:-20}
LARGE=${2:-2000}

sql()
{
	"$PGBIN/psql" -XqAt -v ON_ERROR_STOP=1 -c "$1"
}

# Lines of 100 bytes that don't compress to nothing.
export_megabytes()
{
	sql "SELECT jobs.export('SELECT md5(g::text) || md5((-g)::text) || repeat(''x'', 35) FROM generate_series(1, $1 * 10000) g',
		options => '{\"header\": false}', expires_in => '$2')"
}

wait_for()
{
	until [ "$(sql "SELECT $1")" = t ]; do sleep 0.1; done
}

anonymous()
{
	awk '/^RssAnon/ { print $2 }' "/proc/$1/status" 2>/dev/null || echo 0
}

jobs_packages
jobs_workdir
trap jobs_cleanup EXIT
jobs_build || die "The build failed."
jobs_start "max_wal_size = '1GB'" "checkpoint_completion_target = 0.1" || die "The server did not start."
sql 'CREATE EXTENSION jobs'

for ((i = 1; i <= CYCLES; i++)); do
	job=$(export_megabytes 50 '1 second')
	[ "$(sql "SELECT jobs.wait($job)")" = succeeded ] || die "The export failed."
	# One that stays keeps vacuum from giving the end of the table back.
	kept=$(export_megabytes 1 '1 day')
	[ "$(sql "SELECT jobs.wait($kept)")" = succeeded ] || die "The export failed."
	wait_for "chunks = 0 FROM jobs.file WHERE job = $job"
	size=$(sql "SELECT pg_table_size('jobs.chunk') / 1048576 || ' MB, index ' || pg_indexes_size('jobs.chunk') / 1024 || ' kB'")
	sql 'VACUUM jobs.chunk'
	say "cycle $i: $size; after vacuum $(sql "SELECT pg_table_size('jobs.chunk') / 1048576 || ' MB'")"
done

[ "$LARGE" -gt 0 ] || exit 0
job=$(export_megabytes "$LARGE" '1 day')
[ "$(sql "SELECT jobs.wait($job)")" = succeeded ] || die "The large export failed."
say "large file: $(sql "SELECT bytes FROM jobs.artifact WHERE job = $job") bytes"
PGAPPNAME=storage "$PGBIN/psql" -XqAt -c "COPY (SELECT translate(encode(jobs.download($job), 'base64'), E'\n', '')) TO STDOUT" \
	> >(base64 -d | sha256sum >"$WORK/sum") &
client=$!
server= most_server=0 most_client=0
while kill -0 $client 2>/dev/null; do
	[ -n "$server" ] || server=$(sql "SELECT pid FROM pg_stat_activity WHERE application_name = 'storage'")
	rss=$(anonymous "$server"); [ "${rss:-0}" -le $most_server ] || most_server=$rss
	rss=$(anonymous $client); [ "${rss:-0}" -le $most_client ] || most_client=$rss
	sleep 0.2
done
wait_for "downloads > 0 FROM jobs.file WHERE job = $job"
while [ ! -s "$WORK/sum" ]; do sleep 0.1; done
[ "$(cut -d ' ' -f 1 <"$WORK/sum")" = "$(sql "SELECT sha256 FROM jobs.artifact WHERE job = $job")" ] || die "The bytes differ."
say "downloaded: most private memory of the backend $most_server kB, of psql $most_client kB"
