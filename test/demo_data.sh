# demo_data.sh
#	  What make demo and make panel share: a table of sales, of a file or made
#	  up, and mail.  Sourced after setup.sh, on a server that runs:
#
#	    sql args			psql as the role of PGUSER
#	    value command		one value
#	    number n			with commas
#	    load_sales [file]	makes the table; sets KEY and ROWS
#	    spawn name command	runs a command in the background
#	    start_mail program	a mail server and a courier; mails go to $WORK/mail/mail
#	    stop_spawned		ends all of these

SPAWNED=()

sql()
{
	"$PGBIN/psql" -X -q -v ON_ERROR_STOP=1 "$@"
}

value()
{
	sql -At -c "$1"
}

number()
{
	printf '%d' "$1" | sed -E ':a; s/^(-?[0-9]+)([0-9]{3})/\1,\2/; ta'
}

load_sales()
{
	if [ -n "${1:-}" ]; then
		load_csv "$1"
	else
		make_sales
	fi
	sql -c "ALTER TABLE sales ADD PRIMARY KEY ($KEY)" -c "ANALYZE sales" || die "Could not prepare the table."
	ROWS=$(value "SELECT count(*) FROM sales")
	[ "$ROWS" -gt 0 ] || die "There are no rows to show anything with."
}

make_sales()
{
	KEY=id
	sql <<-'SQL' || die "Could not make the data."
		SELECT setseed(0.42) \g /dev/null
		CREATE TABLE sales AS
		SELECT id,
		       timestamp '2026-01-01' + id * interval '27 seconds' AS sold_at,
		       'Product ' || (1 + floor(random() * 5000))::integer AS product,
		       (1 + floor(random() * 12))::integer AS quantity,
		       round((0.5 + random() * 40)::numeric, 2) AS unit_price,
		       (ARRAY['France', 'Germany', 'Ireland', 'Japan', 'Norway', 'United Kingdom'])[1 + floor(random() * 6)] AS country
		  FROM generate_series(1, 1000000) AS id;
	SQL
}

unpack()
{
	case $1 in
		*.gz) gzip -dc "$1" ;;
		*) cat "$1" ;;
	esac
}

# Every column is text at first; then those that can be get a better type.
load_csv()
{
	local file=$1 header names delimiter encoding loaded=

	say "Loading $(basename "$file")."
	# Whoever unpacks a large file is cut off after its first line.
	header=$(unpack "$file" 2>/dev/null | head -n 1) || [ -n "$header" ] || die "Could not read $file."
	read_header <<<"$header" >"$WORK/header" || die "The first line of $file is no header."
	{ read -r delimiter; read -r KEY; read -r names; } <"$WORK/header"
	sql -c "CREATE TABLE raw ($KEY bigint GENERATED ALWAYS AS IDENTITY, ${names//\",/\" text,} text)" ||
		die "Could not make a table of the header."
	for encoding in UTF8 WIN1252; do
		unpack "$file" | sql -c "COPY raw ($names) FROM STDIN (FORMAT csv, HEADER, DELIMITER '$delimiter', ENCODING '$encoding')" \
			2>"$WORK/copy.err" && { loaded=1; break; }
		grep -q 'invalid byte sequence' "$WORK/copy.err" || break
	done
	[ -n "$loaded" ] || { cat "$WORK/copy.err" >&2; die "Could not load $file."; }
	guess_types || die "Could not give the columns types."
}

# From the header line to three: the delimiter, a name for the column with the
# line's number, and the columns' names, quoted.
read_header()
{
	perl -e '
		my $line = <STDIN>;
		exit 1 unless defined $line;
		$line =~ s/^\xEF\xBB\xBF//;
		$line =~ s/[\r\n]+$//;
		my %n = map { my $d = $_; $d => scalar(() = $line =~ /\Q$d\E/g) } (",", ";", "\t", "|");
		my ($delimiter) = sort { $n{$b} <=> $n{$a} } (",", ";", "\t", "|");
		my (@names, %seen);
		while ($line =~ /\G(?:"((?:[^"]|"")*)"|([^\Q$delimiter\E]*))(\Q$delimiter\E|$)/g) {
			my $name = defined $1 ? $1 : $2;
			my $more = length $3;
			$name =~ s/""/"/g;
			$name =~ s/^\s+|\s+$//g;
			$name =~ s/([a-z])(?=[A-Z])/$1_/g;
			($name = lc $name) =~ s/[^a-z0-9]+/_/g;
			$name =~ s/^_+|_+$//g;
			$name = substr($name, 0, 50) || "column_" . (@names + 1);
			$name .= "_" . (@names + 1) if $seen{$name}++;
			push @names, $name;
			last unless $more;
		}
		exit 1 unless @names;
		my ($key) = grep { !$seen{$_} } qw(id line_no row_no line_number row_number);
		print "$delimiter\n$key\n", join(", ", map { "\"$_\"" } @names), "\n";'
}

# A column becomes what all of its values look like.  Numbers with leading
# zeros are codes, and stay text.
guess_types()
{
	sql -v key="$KEY" <<-'SQL'
		SET client_min_messages = warning;
		CREATE FUNCTION pg_temp.guess(key name) RETURNS text LANGUAGE plpgsql AS $$
		DECLARE
		    patterns CONSTANT jsonb := '[
		        ["bigint", "^-?(0|[1-9][0-9]{0,17})$"],
		        ["numeric", "^-?(0|[1-9][0-9]{0,29})?([.][0-9]{1,20})?$"],
		        ["date", "^[0-9]{4}-[01][0-9]-[0-3][0-9]$"],
		        ["timestamp", "^[0-9]{4}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?$"]]';
		    col name;
		    list text := quote_ident(key);
		    pattern jsonb;
		    fits boolean;
		    type text;
		BEGIN
		    FOR col IN SELECT attname FROM pg_attribute
		                WHERE attrelid = 'raw'::regclass AND attnum > 1 ORDER BY attnum
		    LOOP
		        type := 'text';
		        FOR pattern IN SELECT * FROM jsonb_array_elements(patterns) LOOP
		            -- The first rows rule most types out without a look at all of them.
		            EXECUTE format('SELECT coalesce(bool_and(%1$I ~ %2$L), false) FROM
		                            (SELECT %1$I FROM raw WHERE %1$I <> '''' LIMIT 1000) AS sample', col, pattern ->> 1) INTO fits;
		            CONTINUE WHEN NOT fits;
		            BEGIN
		                EXECUTE format('SELECT bool_and(%1$I ~ %2$L), max(%1$I::%3$s) FROM raw', col, pattern ->> 1, pattern ->> 0) INTO fits;
		            EXCEPTION WHEN data_exception THEN
		                fits := false;
		            END;
		            IF fits THEN
		                type := pattern ->> 0;
		                EXIT;
		            END IF;
		        END LOOP;
		        list := list || format(', %1$I::%2$s', col, type);
		    END LOOP;
		    RETURN format('CREATE TABLE sales AS SELECT %s FROM raw ORDER BY %I', list, key);
		END $$;
		SELECT pg_temp.guess(:'key') \gexec
		DROP TABLE raw;
	SQL
}

# ---------------------------------------------------------------------------
# Programs in the background, and mail
# ---------------------------------------------------------------------------

# The job of the shell is not the program itself, which tells its own number.
spawn()
{
	local name=$1
	shift

	jobs_as sh -c 'echo $$ >"$0"; exec "$@"' "$WORK/$name.pid" "$@" &
	SPAWNED+=($!)
}

stop_spawned()
{
	local file

	[ "${#SPAWNED[@]}" != 0 ] || return 0
	for file in "$WORK"/*.pid; do
		[ ! -s "$file" ] || kill "$(cat "$file")" 2>/dev/null
	done
	wait "${SPAWNED[@]}" 2>/dev/null
	rm -f "$WORK"/*.pid
	SPAWNED=()
}

wait_until()
{
	local tries=0

	until eval "$1"; do
		[ $((tries += 1)) -le 200 ] || return 1
		sleep 0.05
	done
}

# A mail server of Python's and a courier, on this machine only.
start_mail()
{
	local program=$1

	PGUSER=postgres sql -c "CREATE ROLE courier LOGIN" -c "GRANT EXECUTE ON FUNCTION jobs.claim_deliveries,
		jobs.finish_delivery, jobs.fail_delivery, jobs.next_delivery TO courier" || die "Could not set mail up."
	jobs_as mkdir "$WORK/mail"
	spawn smtp /usr/bin/python3 "$WORK/src/test/courier/smtp_server.py" "$WORK/mail" >"$WORK/smtp.log" 2>&1
	wait_until "[ -e '$WORK/mail/smtp.port' ]" || { cat "$WORK/smtp.log" >&2; die "The mail server did not start."; }
	jobs_as tee "$WORK/courier.conf" >/dev/null <<-CONF
		dsn = host=$WORK dbname=demo user=courier
		smtp_url = smtp://127.0.0.1:$(cat "$WORK/mail/smtp.port")
		smtp_tls = none
		mail_from = jobs@app.example.com
		mail_from_name = Example App
	CONF
	spawn courier "$program" --config "$WORK/courier.conf" 2>"$WORK/courier.log"
	wait_until "grep -q 'connected to database' '$WORK/courier.log'" ||
		{ cat "$WORK/courier.log" >&2; die "The courier did not start."; }
}
