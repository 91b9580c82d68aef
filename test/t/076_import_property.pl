# Random tables and files: an import does exactly what its preview has said, which is
# what INSERTs of one row after the other do, and jobs.undo_import takes it back.
#
# JOBS_IMPORTS is the number of files (default 150); JOBS_SEED repeats a run.

use strict;
use warnings;

use JobsTest;
use Test::More;

my $cases = $ENV{JOBS_IMPORTS} || 150;
my $seed = $ENV{JOBS_SEED} || time;
srand($seed);
note("JOBS_SEED=$seed");

my $node = JobsTest->create('main', conf => "fsync = off\nautovacuum = off\nclient_min_messages = error\n");
my $has_gist = $node->psql('postgres', 'CREATE EXTENSION btree_gist') == 0;
$node->sql(<<'SQL');
CREATE ROLE alice LOGIN;
CREATE SCHEMA alice AUTHORIZATION alice;
ALTER ROLE alice SET search_path = alice;
SET SESSION AUTHORIZATION alice;
CREATE TYPE kind AS ENUM ('red', 'green', 'blue');
CREATE DOMAIN percent AS integer CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN word AS text NOT NULL;
CREATE TABLE parent (id integer PRIMARY KEY);
INSERT INTO parent SELECT generate_series(1, 4);
CREATE TABLE halves (id integer, letter bpchar, PRIMARY KEY (id, letter)) PARTITION BY RANGE (id);
CREATE TABLE halves_1 PARTITION OF halves FOR VALUES FROM (1) TO (3) PARTITION BY LIST (letter);
CREATE TABLE halves_1a PARTITION OF halves_1 FOR VALUES IN ('a', 'b', 'c');
CREATE TABLE halves_2 PARTITION OF halves FOR VALUES FROM (3) TO (9);
INSERT INTO halves SELECT i, chr(96 + n) FROM generate_series(1, 4) i, generate_series(1, 3) n WHERE i <> n;
CREATE TABLE fired (what text, n bigint);
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.note := NEW.mark || 'x'; RETURN NEW; END$$;
CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN INSERT INTO fired SELECT TG_OP, count(*) FROM rows; RETURN NULL; END$$;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
SQL

my @columns = qw(mark id code n grp kind pct day ok span amount w tag bits);
my %done;
for my $case (1 .. $cases)
{
	last unless run_case($case);
}
note(join ', ', map { "$_ $done{$_}" } sort keys %done);
$node->log_ok;
$node->stop;
done_testing();

# ----------------------------------------------------------------------------

sub chance { return rand() < $_[0]; }
sub pick { return $_[ rand @_ ]; }

# One table, some rows that are there, one file.
sub run_case
{
	my ($case) = @_;
	my $table = random_table();
	my @there = map { random_row($_ - 1000, 0.05) } 1 .. int(rand(8));
	my $nrows = pick(0, 1, 5, 20, 60, 200);
	my $bad = pick(0, 0.02, 0.1, 0.4);
	my @rows = map { random_row($_, $bad) } 1 .. $nrows;
	my $mode = pick('skip', 'skip', 'error', $table->{keys} ? 'update' : 'skip');
	my $delimiter = pick(',', ';', "\t", '|');
	my $content = csv($delimiter, $bad, \@rows);
	my $inserts = join '', map { "BEGIN INSERT INTO NAME VALUES ($_); EXCEPTION WHEN OTHERS THEN NULL; END;\n" }
	  map { values_of($_) } grep { !$_->{ragged} } @rows;
	my $there = join '', map { "BEGIN INSERT INTO NAME VALUES ($_); EXCEPTION WHEN OTHERS THEN NULL; END;\n" }
	  map { values_of($_) } @there;
	my $script = '';

	foreach my $name ('t', 'u')
	{
		(my $ddl = $table->{ddl}) =~ s/NAME/$name/g;
		(my $first = $there) =~ s/NAME/$name/g;
		(my $rest = $inserts) =~ s/NAME/$name/g;
		$script .= "DROP TABLE IF EXISTS $name CASCADE;\n$ddl\n";
		$script .= "DO \$do\$BEGIN\n$first END\$do\$;\n" if $first;
		$script .= "DO \$do\$BEGIN\n$rest END\$do\$;\n" if $name eq 'u' && $rest;
	}
	(my $literal = $content) =~ s/'/''/g;
	$script = <<"SQL" . $script . <<"SQL2";
SET SESSION AUTHORIZATION alice;
SET search_path = alice;
SET client_min_messages = error;
SQL
TRUNCATE fired;
CREATE TEMPORARY TABLE before AS SELECT * FROM t;
SELECT jobs.import_preview('t', '$literal'::text, options => '{"delimiter": "@{[ $delimiter eq "\t" ? '\t' : $delimiter ]}", "header": true, "on_conflict": "$mode"}') AS p \\gset
SELECT jobs.wait(:p) AS preview_state \\gset
SELECT jobs.import(:p) AS i \\gset
SELECT jobs.wait(:i) AS import_state \\gset
SELECT coalesce((SELECT error_message FROM jobs.job WHERE id = :i), '') AS message \\gset
CREATE TEMPORARY TABLE after AS SELECT * FROM t;
CREATE TEMPORARY TABLE inserted AS SELECT mark FROM after WHERE mark > 0 EXCEPT SELECT mark FROM before;
SELECT 'state ' || :'preview_state' || ' ' || :'import_state' || ' ' || :'message';
SELECT 'counts ' || (p.result->>'to_insert') || ' ' || (p.result->>'to_update') || ' ' || (p.result->>'to_skip') || ' = '
	|| (i.result->>'inserted') || ' ' || (i.result->>'updated') || ' ' || (i.result->>'skipped') || ' ' || (i.result->>'fell_out')
	FROM jobs.job p, jobs.job i WHERE p.id = :p AND i.id = :i;
SELECT 'added ' || (SELECT count(*) FROM after) - (SELECT count(*) FROM before);
SELECT 'marks ' || coalesce(string_agg(mark::text, ' ' ORDER BY mark), '') FROM inserted;
SELECT 'naive ' || coalesce(string_agg(mark::text, ' ' ORDER BY mark), '') FROM u WHERE mark > 0;
SELECT 'differ ' || count(*) FROM (SELECT to_jsonb(t) - 'serial' FROM t WHERE mark > 0 EXCEPT SELECT to_jsonb(u) - 'serial' FROM u) d;
SELECT 'fired ' || coalesce(string_agg(what || ' ' || n, ', ' ORDER BY what), 'nothing') FROM fired;
SELECT 'undo ' || message FROM jobs.undo_import(:i);
SELECT 'left ' || count(*) FROM ((TABLE t EXCEPT ALL TABLE before) UNION ALL (TABLE before EXCEPT ALL TABLE t)) d;
SELECT 'issue' || row_no || ' ' || code || ' ' || coalesce(column_name, '') || ' ' || replace(message, e'\n', ' ') FROM jobs.import_issue WHERE job = :p;
SELECT 'deleted ' || jobs.delete(:i) || jobs.delete(:p);
SQL2
	my ($status, $out, $err) = $node->psql('postgres', $script);
	my %got = map { /^(\w+) (.*)$/ ? ($1 => $2) : () } split /\n/, $out;
	my @wrong;

	$done{$mode}++;
	push @wrong, "psql: $err" if $err;
	push @wrong, "states: $got{state}" if ($got{state} || '') ne 'succeeded succeeded ' && ($got{state} || '') ne '';
	if (($got{counts} || '') =~ /^(\d+) (\d+) (\d+) = (\d+) (\d+) (\d+) (\d+)$/)
	{
		push @wrong, "counts: $got{counts}" if $1 != $4 || $2 != $5 || $3 != $6 || $7 != 0;
		push @wrong, "added: $got{added} instead of $1" if $got{added} != $1;
		push @wrong, "fired: $got{fired}" if $table->{statement} && $1 > 0 && $got{fired} ne "INSERT $1";
		$done{rows} += $1;
	}
	else
	{
		push @wrong, 'no counts: ' . join(' ', map { "$_=$got{$_}" } sort keys %got);
	}
	if ($mode ne 'update')
	{
		push @wrong, differing($got{marks} // '', $got{naive} // '', \@rows, \%got) if ($got{marks} // '') ne ($got{naive} // '');
		push @wrong, "values differ: $got{differ}" if ($got{differ} // '') ne '0';
	}
	push @wrong, "undo: $got{undo}, $got{left} rows differ" if ($got{left} // '') ne '0';
	ok(!@wrong, "case $case") or diag(join "\n", "JOBS_SEED=$seed case $case $mode", @wrong, $table->{ddl});
	return !@wrong || $case < 20;
}

# The rows that only one way has taken.
sub differing
{
	my ($marks, $naive, $rows, $got) = @_;
	my %here = map { $_ => 1 } split ' ', $marks;
	my %there = map { $_ => 1 } split ' ', $naive;

	return map { ($here{$_} ? 'only the import took ' : 'the import did not take ') . values_of($rows->[ $_ - 1 ]) . ' ' . ($got->{"issue$_"} // '') }
	  grep { ($here{$_} || 0) != ($there{$_} || 0) } 1 .. @$rows;
}

sub random_table
{
	my @keys;
	my @also;
	my $partition = chance(0.25);
	my $ddl;

	if (!$partition)
	{
		push @keys, 'PRIMARY KEY (id)' if chance(0.5);
		push @keys, 'UNIQUE (code)' if chance(0.5);
		push @keys, 'UNIQUE (grp, kind)' if chance(0.2);
		push @keys, 'UNIQUE (amount) DEFERRABLE' if chance(0.1);
		push @keys, 'UNIQUE (tag)' if chance(0.1);
		push @keys, 'UNIQUE (tag, amount)' if chance(0.1);
		push @keys, 'UNIQUE (bits, tag)' if chance(0.2);
		push @also, 'EXCLUDE USING gist (span WITH &&)' if chance(0.2);
		push @also, 'EXCLUDE USING gist (span WITH &&, grp WITH =)' if $has_gist && chance(0.2);
	}
	else
	{
		push @keys, 'PRIMARY KEY (id, n)' if chance(0.5);
	}
	push @also, 'CHECK (id <> n)' if chance(0.3);
	push @also, 'CHECK (amount < 500 OR ok)' if chance(0.3);
	push @also, 'FOREIGN KEY (grp) REFERENCES parent' if chance(0.5);
	push @also, 'FOREIGN KEY (grp, tag) REFERENCES halves' if chance(0.2);
	my %type = (code => 'varchar(6)', pct => 'percent');
	$type{code} .= ' NOT NULL' if chance(0.3);
	$type{day} = 'date' . (chance(0.3) ? ' NOT NULL' : '');
	$type{w} = chance(0.2) ? 'word' : 'text';
	$ddl = "CREATE TABLE NAME (mark integer, id integer, code $type{code}, n smallint, grp integer, kind kind, pct $type{pct}, "
	  . "day $type{day}, ok boolean, span int4range, amount numeric(6,2), w $type{w}, tag bpchar, bits bit(2)[], note text DEFAULT 'none', "
	  . "twice integer GENERATED ALWAYS AS (id / 2) STORED, serial integer GENERATED BY DEFAULT AS IDENTITY"
	  . join('', map { ", $_" } @keys, @also) . ')' . ($partition ? ' PARTITION BY RANGE (n)' : '') . ";\n";
	if ($partition)
	{
		$ddl .= "CREATE TABLE NAME_a PARTITION OF NAME FOR VALUES FROM (MINVALUE) TO (30);\n"
		  . "CREATE TABLE NAME_b PARTITION OF NAME FOR VALUES FROM (30) TO (60)"
		  . (@keys ? ";\n" : " PARTITION BY LIST (kind);\nCREATE TABLE NAME_b1 PARTITION OF NAME_b FOR VALUES IN ('red', 'green');\n")
		  . (chance(0.5) ? "CREATE TABLE NAME_d PARTITION OF NAME DEFAULT;\n" : '');
	}
	$ddl .= "CREATE UNIQUE INDEX ON NAME (lower(code)) WHERE ok;\n" if !$partition && chance(0.15);
	$ddl .= "CREATE TRIGGER change BEFORE INSERT ON NAME FOR EACH ROW EXECUTE FUNCTION change();\n" if chance(0.2);
	$ddl .= "CREATE TRIGGER after AFTER INSERT ON NAME FOR EACH ROW EXECUTE FUNCTION nothing();\n" if chance(0.2);
	my $statement = chance(0.3);
	my $trigger = $statement ? "CREATE TRIGGER counted AFTER INSERT ON NAME REFERENCING NEW TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION count_rows();\n" : '';
	# Only the first of the two tables counts.
	$ddl .= "DO \$x\$ BEGIN IF 'NAME' = 't' THEN EXECUTE \$y\$$trigger\$y\$; END IF; END \$x\$;\n" if $statement;
	$ddl .= "ALTER TABLE NAME ENABLE ROW LEVEL SECURITY; ALTER TABLE NAME FORCE ROW LEVEL SECURITY;\n"
	  . "CREATE POLICY p ON NAME USING (true) WITH CHECK (grp IS DISTINCT FROM 2);\n" if chance(0.2);
	return { ddl => $ddl, keys => scalar(@keys) && !$partition, statement => $statement };
}

sub random_row
{
	my ($mark, $bad) = @_;
	my $from = int(rand(10000));
	my %row = (
		mark => $mark,
		id => int(rand(300)),
		code => pick('a', 'B', 'cc', 'D"d', "e'e", 'f,f', 'g;g') . int(rand(200)),
		n => int(rand(65)),
		grp => 1 + int(rand(4)),
		kind => pick('red', 'green', 'blue'),
		pct => int(rand(101)),
		day => sprintf('2026-%02d-%02d', 1 + int(rand(12)), 1 + int(rand(28))),
		ok => pick('true', 'f', 'yes', '0'),
		span => sprintf('[%d,%d)', $from, $from + 1 + int(rand(20))),
		amount => sprintf('%d.%02d', rand(1000), rand(100)),
		tag => pick('a', 'a ', 'b', 'c  ', 'd' . int(rand(500))),
		bits => '{' . join(',', map { pick('00', '01', '10', '11') } 1 .. 1 + int(rand(4))) . '}',
		w => pick('word', "two\nlines", '', ' spaces ', 'a"b', 'x' x 50));

	foreach my $column (@columns[ 1 .. $#columns ])
	{
		$row{$column} = undef if chance(0.05);
		next unless chance($bad / 4);
		$row{$column} = pick(undef, '', 'x', '-1', '99999999999', '2026-02-30', '3.14159', 'purple', '101', '[5,1)', 'toolongtoolong', '7', '1e3', 'NaN');
	}
	$row{ragged} = pick(-1, 1) if $mark > 0 && chance($bad / 10);
	return \%row;
}

sub values_of
{
	my ($row) = @_;

	# Where it is no text, an empty value in quotes is null, too.
	return join ', ', map { my $v = $row->{$_}; defined $v && ($v ne '' || /^(code|w|tag)$/) ? do { $v =~ s/'/''/g; "'$v'" } : 'NULL' } @columns;
}

# In the file, an empty field is null unless it stands in quotes.
sub csv
{
	my ($delimiter, $bad, $rows) = @_;
	my $text = join($delimiter, @columns) . "\n";

	foreach my $row (@$rows)
	{
		my @fields = map {
			my $v = $row->{$_};
			if (defined $v && ($v eq '' || $v =~ /["\n\r\Q$delimiter\E]/ || chance(0.05))) { $v =~ s/"/""/g; $v = "\"$v\""; }
			defined $v ? $v : ''
		} @columns;
		pop @fields if ($row->{ragged} || 0) < 0;
		push @fields, 'more' if ($row->{ragged} || 0) > 0;
		$text .= join($delimiter, @fields) . "\n";
	}
	return $text;
}
