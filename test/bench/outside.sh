# outside.sh
#	  How fast clients do work outside of the server; sourced by run.sh.
#
# The clients are pgbench's, which read what they claim and answer in another
# transaction.  They do nothing else, so that this is what the queue costs.

OUTSIDE_CLIENTS=4

# Runs clients for so many transactions of a script and some more, since not every
# claim finds as much as it asks for; prints seconds.
outside_clients()
{
	local transactions=$1 began
	shift

	began=$(date +%s%N)
	transactions=$((transactions + transactions / 50 + 40))
	"$PGBIN/pgbench" -n -M prepared -c "$OUTSIDE_CLIENTS" -j 2 -t "$((transactions / OUTSIDE_CLIENTS))" "$@" \
		>"$WORK/pgbench.log" 2>&1 || { tail -n 3 "$WORK/pgbench.log" >&2; return 1; }
	echo "$((($(date +%s%N) - began) / 1000000))" | awk '{ print $1 / 1000 }'
}

# One line: rate of items for a batch size.
outside_items()
{
	local batch=$1 n=$2 aim=$3 job seconds state

	cat >"$WORK/items.sql" <<-'SQL'
		SELECT coalesce(array_agg(item_no), '{}')::text AS items, coalesce(max(claim), 0) AS claim, json_agg(payload)::text AS payloads
		  FROM jobs.claim_items(:job, :batch) \gset
		SELECT jobs.finish_items(:job, (:items)::text::bigint[], claim => :claim);
	SQL
	job=$(sql -c "SELECT jobs.bulk(NULL, (SELECT jsonb_agg(jsonb_build_object('to', 'user' || n || '@example.com', 'n', n))
		FROM generate_series(1, $n) AS n), workers => $OUTSIDE_CLIENTS)")
	seconds=$(outside_clients "$((n / batch))" -f "$WORK/items.sql" -D job="$job" -D batch="$batch") || return
	sql -c "SELECT jobs.wait($job, '1 min')" >/dev/null
	state=$(sql -c "SELECT state, succeeded FROM jobs.job WHERE id = $job")
	[ "$state" = "succeeded $n" ] || say "The job is $state." >&2
	row "claim and finish items outside, batches of $batch, $OUTSIDE_CLIENTS clients, $n items" \
		"$([ "$aim" = - ] && echo - || echo "$aim/s")" "$(awk "BEGIN { printf \"%.0f/s\", $n / $seconds }")" \
		"$([ "$aim" = - ] && echo - || quotient "$(awk "BEGIN { print $n / $seconds }")" "$aim")"
	sql -c "SELECT jobs.delete($job)" >/dev/null
}

# The same for whole jobs, each with a row and an end of its own.
outside_jobs()
{
	local batch=$1 n=$2 seconds done

	cat >"$WORK/jobs.sql" <<-'SQL'
		SELECT coalesce(array_agg(job), '{}')::text AS jobs, coalesce(max(claim), 0) AS claim, json_agg(payload)::text AS payloads
		  FROM jobs.claim('bench', :batch) \gset
		SELECT jobs.finish(job, claim => :claim) FROM unnest((:jobs)::text::bigint[]) AS job;
	SQL
	sql -c "SELECT count(jobs.submit('bench', to_jsonb(n))) FROM generate_series(1, $n) AS n" >/dev/null
	seconds=$(outside_clients "$((n / batch))" -f "$WORK/jobs.sql" -D batch="$batch") || return
	settle
	done=$(sql -c "SELECT count(*) FROM jobs.job WHERE queue = 'bench' AND state = 'succeeded'")
	[ "$done" = "$n" ] || say "Only $done of $n jobs have been done." >&2
	row "claim and finish whole jobs, batches of $batch, $OUTSIDE_CLIENTS clients, $n jobs" "-" \
		"$(awk "BEGIN { printf \"%.0f/s\", $n / $seconds }")" "-"
	sql -c "SELECT count(jobs.delete(id)) FROM jobs.job WHERE queue = 'bench'" >/dev/null
}

measure_outside()
{
	outside_items 100 "$(scaled 1000000 20000)" 30000
	outside_items 1 "$(scaled 20000 1000)" -
	outside_jobs 100 "$(scaled 40000 2000)"
	outside_jobs 1 "$(scaled 10000 400)"
}
