#!/bin/bash
#
# panel.sh
#	  The panel of examples/panel with the demo's data, on a throw-away server:
#	  make panel
#
#	    PORT=8080		where the panel listens
#	    CSV=path		sales of your own, as for make demo
#	    KEEP=1		leaves the server's directory behind
#
# It tells the address and the users, and ends with Ctrl-C.

. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
. "$(dirname "${BASH_SOURCE[0]}")/demo_data.sh"

CALLER_DIR=$PWD
EXAMPLE=$TOP/examples/panel
MAIL=0

main()
{
	local file=

	if [ -n "${CSV:-}" ]; then
		file=$(cd "$CALLER_DIR" && realpath -e "$CSV") || die "There is no file $CSV."
	fi
	jobs_packages
	jobs_workdir
	trap end EXIT
	say "Building the extension with $("$PG_CONFIG" --version)."
	jobs_build || die "The build failed."
	jobs_start "jobs.progress_interval = '250ms'" "jobs.mail_domains = 'example.com'" \
		"jobs.link_template = 'http://localhost:${PORT:-8080}/#job-{job}'" || die "The server did not start."
	make_database "$file"
	make_users
	[ ! -x "$PGBIN/jobs-courier" ] || { start_mail "$PGBIN/jobs-courier"; MAIL=1; }
	start_panel
	wait "${SPAWNED[-1]}"
	die "The panel has ended by itself."
}

make_database()
{
	say "Making a database with tables of orders, contacts, guests and sales."
	sql -d postgres -c "CREATE DATABASE demo" || die "Could not make a database."
	export PGDATABASE=demo
	sql -c "CREATE EXTENSION jobs" -f "$EXAMPLE/demo.sql" || die "Could not make the tables."
	load_sales "$1"
	sql -c "GRANT SELECT ON sales TO ada, grace" &&
		sql -c "COPY (SELECT * FROM contacts_file) TO STDOUT (FORMAT csv, HEADER)" | jobs_as tee "$WORK/contacts.csv" >/dev/null ||
		die "Could not make a file to import."
}

# The same password for both, another each time.
make_users()
{
	local hash

	jobs_as mkdir "$WORK/panel"
	tar -C "$EXAMPLE" --exclude=./node_modules -cf - . | jobs_as tar -C "$WORK/panel" --no-same-owner -xf -
	jobs_node_modules "$WORK/panel" pg pg-query-stream || die "Could not install the packages pg and pg-query-stream by npm."
	PASSWORD=$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
	hash=$(jobs_as node "$WORK/panel/sessions.js" <<<"$PASSWORD") || die "Node does not run the panel: $(node --version)."
	jobs_as tee "$WORK/panel/users.json" >/dev/null <<-JSON
		{"ada": {"name": "Ada Lovelace", "role": "ada", "email": "ada@example.com", "password": "$hash"},
		 "grace": {"name": "Grace Hopper", "role": "grace", "email": "grace@example.com", "password": "$hash"}}
	JSON
}

start_panel()
{
	local log=$WORK/panel/log

	spawn panel env -C "$WORK/panel" PGUSER=panel PORT="${PORT:-8080}" PANEL_MAIL=$MAIL node server.js >"$log"
	until [ -s "$log" ]; do
		kill -0 "${SPAWNED[-1]}" 2>/dev/null || die "The panel did not start. Where the port is taken, PORT=8081 make panel takes another."
		sleep 0.05
	done
	say
	say "    $(sed "s/ and listens.*/./; q" "$log")"
	say
	say "    Users     ada and grace, who do not see each other's jobs"
	say "    Password  $PASSWORD"
	say "    A file    $WORK/contacts.csv, to drop on it"
	[ $MAIL = 0 ] || say "    Mail      arrives in $WORK/mail/mail"
	say
	say "Ctrl-C ends it, and the server."
}

# Ctrl-C is the way that it is meant to end.
end()
{
	local status=$?

	trap - EXIT
	stop_spawned
	[ $status != 130 ] || { status=0; say; say "Ended."; }
	(exit $status)
	jobs_cleanup
}

main
