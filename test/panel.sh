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
PANEL=

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
	jobs_start "jobs.progress_interval = '250ms'" || die "The server did not start."
	make_database "$file"
	make_users
	start_panel
	wait "$PANEL"
	PANEL=
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

	jobs_as env -C "$WORK/panel" PGUSER=panel PORT="${PORT:-8080}" sh -c 'echo $$ >pid; exec node server.js' >"$log" &
	PANEL=$!
	until [ -s "$log" ]; do
		kill -0 "$PANEL" 2>/dev/null || die "The panel did not start. Where the port is taken, PORT=8081 make panel takes another."
		sleep 0.05
	done
	say
	say "    $(sed "s/ and listens.*/./; q" "$log")"
	say
	say "    Users     ada and grace, who do not see each other's jobs"
	say "    Password  $PASSWORD"
	say "    A file    $WORK/contacts.csv, to drop on it"
	say
	say "Ctrl-C ends it, and the server."
}

# Ctrl-C is the way that it is meant to end.
end()
{
	local status=$?

	trap - EXIT
	if [ -n "$PANEL" ]; then
		kill -TERM "$(cat "$WORK/panel/pid")" 2>/dev/null
		wait "$PANEL" 2>/dev/null
	fi
	[ $status != 130 ] || { status=0; say; say "Ended."; }
	(exit $status)
	jobs_cleanup
}

main
