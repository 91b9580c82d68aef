#!/bin/bash
#
# demo.sh
#	  The product in a terminal, on a throw-away server: make demo
#
#	    CSV=path		data of your own, .csv or .csv.gz, with a header line;
#					without it 1,000,000 rows are made
#	    PSQL=1		leaves a psql prompt at the end
#	    KEEP=1		leaves the server's directory behind
#
# Everything after the set-up is what an application would do: one connection
# submits and closes, another watches, a third downloads.  The exit status is
# that of the comparison of the downloaded file with what COPY writes.

. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
. "$(dirname "${BASH_SOURCE[0]}")/demo_data.sh"

CALLER_DIR=$PWD
BAR=32				# characters of the progress bar
NOTICES=()			# notifications that the watcher has received
ON_THE_WAY=			# what the views said in the middle of the export

main()
{
	local file=

	if [ -n "${CSV:-}" ]; then
		file=$(cd "$CALLER_DIR" && realpath -e "$CSV") || die "There is no file $CSV."
	fi
	jobs_packages
	heading "Set-up"
	jobs_workdir
	trap end EXIT
	say "Building the extension with $("$PG_CONFIG" --version)."
	jobs_build || die "The build failed."
	# By default twice a second, of which a short export has too few to show.
	jobs_start "jobs.progress_interval = '100ms'" "jobs.mail_domains = 'example.com'" \
		"jobs.link_template = 'https://app.example.com/files/{token}'" || die "The server did not start."
	make_database
	say "A throw-away server runs in $WORK, database \"demo\"."

	load_data "$file"
	export_and_watch
	download_and_compare
	show_failure
	show_chain
	show_mail
	show_end
	[ -z "${PSQL:-}" ] || prompt
	[ "$EQUAL" = yes ] || exit 1
}

# However the script ends.
end()
{
	local status=$?

	stop_spawned
	(exit $status)
	jobs_cleanup
}

# ---------------------------------------------------------------------------
# Small things
# ---------------------------------------------------------------------------

heading()
{
	printf '\n== %s ==\n\n' "$*"
}

# Shows a statement, then its result.
show()
{
	printf '%s\n\n' "$1"
	sql -P pager=off -P footer=off -c "$1"
}

# ---------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------

# The extension is the administrator's; everything else an ordinary role's.
make_database()
{
	sql -c "CREATE ROLE analyst LOGIN" -c "CREATE DATABASE demo OWNER analyst" || die "Could not make a database."
	sql -d demo -c "CREATE EXTENSION jobs" || die "Could not create the extension."
	export PGUSER=analyst PGDATABASE=demo
}

load_data()
{
	heading "1. Data"
	load_sales "$1"
	say "Table sales: $(number "$ROWS") rows, columns $(value "
		SELECT string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
		  FROM pg_attribute WHERE attrelid = 'sales'::regclass AND attnum > 0")."
}

# ---------------------------------------------------------------------------
# The export, and somebody who watches
# ---------------------------------------------------------------------------

export_and_watch()
{
	local call="SELECT jobs.export('SELECT * FROM sales ORDER BY $KEY', title => 'Transactions')"

	heading "2. An export in the background"
	start_watcher
	say "One connection submits it and closes:"
	printf '\n    %s;\n\n' "$call"
	JOB=$(value "$call") || die "The export was refused."
	say "Job $JOB.  Another connection watches jobs.progress:"
	say
	watch_job
	stop_watcher
	say
	if [ -n "$ON_THE_WAY" ]; then
		say "The views, as they were on the way:"
		say
		printf '%s\n\n' "$ON_THE_WAY"
		say "What a person reads now:"
	else
		say "What a person reads, jobs.panel:"
	fi
	say
	show "SELECT * FROM jobs.panel"
	show_notifications
}

look_at_views()
{
	show "SELECT state, processed, total, percent, rows_per_second, eta FROM jobs.progress WHERE id = $JOB"
	show "SELECT * FROM jobs.panel"
}

# A psql of its own, which listens and answers one query after the other.
start_watcher()
{
	coproc WATCHER { sql -At -F ' ' 2>&1; }
	WATCHER_JOB=$WATCHER_PID
	printf 'LISTEN jobs; LISTEN jobs_progress;\n' >&"${WATCHER[1]}"
}

stop_watcher()
{
	# The last notifications may be on their way.
	value "SELECT jobs.wait($JOB)" >/dev/null
	sleep 0.2
	ask "SELECT 1" >/dev/null
	printf '\\q\n' >&"${WATCHER[1]}"
	wait "$WATCHER_JOB" 2>/dev/null
}

# Puts the answer to a query of one row into ANSWER; notifications that come
# along are kept.
ask()
{
	local line

	ANSWER=
	printf "%s;\nSELECT 'end of answer';\n" "$1" >&"${WATCHER[1]}"
	while read -r line <&"${WATCHER[0]}"; do
		case $line in
			'end of answer') return 0 ;;
			'Asynchronous notification '*) NOTICES+=("$line") ;;
			*) ANSWER=$line ;;
		esac
	done
	die "The watching connection has been lost."
}

# Draws until the job is final.
watch_job()
{
	local state phase percent processed rate eta last=-1

	while :; do
		ask "SELECT state, coalesce(phase, '-'), coalesce(floor(percent), 0), coalesce(processed, 0),
		            coalesce(round(rows_per_second), 0), coalesce(to_char(eta, 'MI:SS'), '-')
		       FROM jobs.progress WHERE id = $JOB"
		read -r state phase percent processed rate eta <<<"$ANSWER"
		[ -n "$percent" ] || die "The job has vanished from jobs.progress: $ANSWER"
		if [ -t 1 ]; then
			printf '\r%s' "$(progress_line)"
		elif [ "$percent" -ge $((last + 10)) ] || [ "$state" = succeeded ]; then
			progress_line
			last=$percent
		fi
		if [ "$state" = running ] && [ "$percent" -ge 30 ] && [ -z "$ON_THE_WAY" ]; then
			ON_THE_WAY=$(look_at_views)
		fi
		case $state in
			succeeded) break ;;
			failed | cancelled) die "The export has $state: $(value "SELECT error_message FROM jobs.job WHERE id = $JOB")" ;;
		esac
		sleep 0.05
	done
	[ ! -t 1 ] || printf '\n'
}

# In watch_job's variables.
progress_line()
{
	local full=$((percent * BAR / 100)) bar word=$phase

	printf -v bar '%*s' "$full" ''
	[ "$phase" != - ] || word=$state
	[ "$rate" != 0 ] || rate=
	printf '[%-*s] %3d %%  %11s rows  %9s rows/s  eta %5s  %-9s' "$BAR" "${bar// /#}" "$percent" \
		"$(number "$processed")" "$([ -z "$rate" ] && echo - || number "$rate")" "$eta" "$word"
	[ -t 1 ] || printf '\n'
}

show_notifications()
{
	local line shown=0 channel payload

	say "Notifications that the watching connection received (LISTEN jobs; LISTEN jobs_progress):"
	say
	for line in "${NOTICES[@]}"; do
		channel=${line#*\"}
		channel=${channel%%\"*}
		payload=${line#*with payload \"}
		printf '    %-14s %s\n' "$channel" "${payload%\" received from*}"
		[ $((shown += 1)) -lt 8 ] || break
	done
	[ "${#NOTICES[@]}" -gt 0 ] || die "No notification has arrived."
	[ "${#NOTICES[@]}" -le $shown ] || say "    and $((${#NOTICES[@]} - shown)) more"
}

# ---------------------------------------------------------------------------
# The file
# ---------------------------------------------------------------------------

download_and_compare()
{
	local file=$WORK/transactions.csv sums

	heading "3. The file"
	show "SELECT filename, media_type, rows, bytes, sha256 FROM jobs.artifact WHERE job = $JOB"
	say "Downloaded as a stream, and compared with COPY (SELECT * FROM sales ORDER BY $KEY) TO STDOUT (FORMAT csv, HEADER):"
	say
	sql -c "COPY (SELECT translate(encode(jobs.download($JOB), 'base64'), E'\n', '')) TO STDOUT" |
		base64 -d >"$file" || die "The download failed."
	sha256sum <"$file" | sed 's/ .*/  downloaded/' >"$WORK/sums"
	sql -c "COPY (SELECT * FROM sales ORDER BY $KEY) TO STDOUT (FORMAT csv, HEADER)" |
		sha256sum | sed 's/ .*/  COPY/' >>"$WORK/sums" || die "COPY failed."
	value "SELECT sha256 || '  jobs.artifact' FROM jobs.artifact WHERE job = $JOB" >>"$WORK/sums"
	sed 's/^/    /' "$WORK/sums"
	sums=$(cut -d ' ' -f 1 "$WORK/sums" | sort | uniq -c | wc -l)
	say
	if [ "$sums" = 1 ] && [ "$(wc -l <"$WORK/sums")" = 3 ]; then
		EQUAL=yes
		say "All three are equal.  The file begins:"
	else
		EQUAL=no
		say "THEY DIFFER.  The file begins:"
	fi
	say
	head -n 4 "$file" | cut -c 1-110 | sed 's/^/    /'
}

# ---------------------------------------------------------------------------
# What goes wrong, and what waits
# ---------------------------------------------------------------------------

show_failure()
{
	local middle=$(((ROWS + 1) / 2)) broken report

	heading "4. A job that fails"
	say "The query fails at row $(number "$middle"); another job was to run after it:"
	say
	broken=$(value "SELECT jobs.export('SELECT $KEY, 100 / ($KEY - $middle) AS share FROM sales ORDER BY $KEY', title => 'Shares')")
	report=$(value "SELECT jobs.run('SELECT 1', title => 'Report on shares', after => ARRAY[$broken])")
	value "SELECT jobs.wait($broken), jobs.wait($report)" >/dev/null
	show "SELECT id, title, state, error_code, error_message FROM jobs.job WHERE id IN ($broken, $report) ORDER BY id"
	say "It has left no file behind: $(value "SELECT count(*) FROM jobs.artifact WHERE job = $broken") artifacts."
}

show_chain()
{
	local first second third

	heading "5. A chain, and a paused queue"
	sql -c "CREATE TABLE totals (month timestamp, sales bigint)"
	first=$(value "SELECT jobs.run('INSERT INTO totals SELECT now(), count(*) FROM sales, pg_sleep(1)', title => 'Monthly totals')")
	second=$(value "SELECT jobs.export('SELECT * FROM totals', title => 'Totals as a file', after => ARRAY[$first])")
	sql -c "SELECT jobs.pause('nightly')" >/dev/null
	third=$(value "SELECT jobs.run('SELECT 1', title => 'Clean up', queue => 'nightly')")
	until_running "$first"
	show "SELECT id, title, state, waiting_for FROM jobs.job WHERE id IN ($first, $second, $third) ORDER BY id"
	sql -c "SELECT jobs.resume('nightly')" >/dev/null
	value "SELECT jobs.wait($second), jobs.wait($third)" >/dev/null
	say "After the first had ended and the queue had been resumed:"
	say
	show "SELECT id, title, state, headline, detail FROM jobs.panel WHERE id IN ($first, $second, $third) ORDER BY id"
}

# A mail server of Python's and a courier, on this machine only.
show_mail()
{
	local program=$PGBIN/jobs-courier
	local call="SELECT jobs.export('SELECT * FROM sales ORDER BY $KEY LIMIT 100', title => 'First hundred sales',
        notify => '{\"email\": \"ada@example.com\"}')"

	heading "6. A mail when it is done"
	if [ ! -x "$program" ]; then
		say "Not built: jobs-courier needs libcurl 7.87 or later."
		return
	fi
	start_mail "$program"
	say "The administrator has allowed mail to example.com and runs a courier, who has a role of its own.  Then"
	printf '\n    %s;\n\n' "$call"
	MAILED=$(value "$call") || die "The export was refused."
	wait_until "[ -e '$WORK/mail/mail/1.eml' ]" || { cat "$WORK/courier.log" >&2; die "No mail has arrived."; }
	say "and the mail server has got, in plain text (it has a form in HTML too):"
	say
	read_mail "$WORK/mail/mail/1.eml" | sed 's/^/    /'
	say
	wait_until "[ \"\$(value \"SELECT state FROM jobs.delivery WHERE job = $MAILED\")\" = delivered ]" ||
		die "The courier has not reported the mail."
	show "SELECT job, channel, address, state, attempts, response FROM jobs.delivery WHERE job = $MAILED"
	stop_spawned
	sed -n 's/^.*jobs-courier: \(email.*\)/    \1/p' "$WORK/courier.log" >"$WORK/courier.said"
	say "The courier's log:"
	say
	cat "$WORK/courier.said"
}

read_mail()
{
	/usr/bin/python3 - "$1" <<-'PYTHON'
		import email, email.policy, sys
		with open(sys.argv[1], 'rb') as file:
		    mail = email.message_from_binary_file(file, policy=email.policy.default)
		for name in 'From', 'To', 'Subject':
		    print(f'{name}: {mail[name]}')
		print()
		print(mail.get_body(('plain',)).get_content().rstrip())
	PYTHON
}

# Evaluates a condition again and again, for ten seconds at most.
until_running()
{
	local tries=0

	while [ "$(value "SELECT state FROM jobs.job WHERE id = $1")" = queued ] && [ $((tries += 1)) -lt 50 ]; do
		sleep 0.05
	done
}

show_end()
{
	heading "End"
	if [ "$EQUAL" = yes ]; then
		say "$(number "$ROWS") rows exported in the background; the file is byte for byte what COPY writes."
	else
		say "The downloaded file is NOT what COPY writes."
	fi
}

prompt()
{
	heading "psql"
	say "You are analyst in database demo; jobs.panel, jobs.job and jobs.progress are there.  \\q ends the server."
	"$PGBIN/psql" -X
}

main
