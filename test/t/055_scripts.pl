# What the scripts of the extension must not do, since they run as a superuser in
# a database that others have been in: find a name, an operator or an object that
# somebody has planted, or adopt one.  The checks are those of pgspot, stricter
# where we need less.  Then the lint itself is shown to find what it should.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

# What looks like a call of a function and is none.
my %words = map { $_ => 1 } qw(all any array as check coalesce exists extract from greatest in index join key lateral least on or and
  not over references returns select set table union values with when where then unique using view filter by interval numeric varchar row operator);

# Returns complaints about a script.
sub lint
{
	my ($sql) = @_;
	my @found;

	$sql =~ s/^\\echo .*\\quit$//m;
	push @found, "psql command: $1" while $sql =~ /^(\\\w+)/mg;
	$sql =~ s{/\*.*?\*/}{}gs;
	$sql =~ s/--[^\n]*//g;
	push @found, "placeholder: $1" while $sql =~ /(\@\w+\@)/g;
	$sql =~ s/'(?:[^']|'')*'/''/g;
	push @found, "quoted body: $1" while $sql =~ /(\$\w*\$)/g;
	for my $statement (split /;/, $sql)
	{
		my $text = $statement =~ s/\s+/ /gr =~ s/^ | $//gr;
		next if $text eq '';
		my $start = substr $text, 0, 60;

		push @found, "$1: $start"
		  if $text =~ /\b(OR REPLACE|IF NOT EXISTS|IF EXISTS|SECURITY DEFINER|SET search_path|SET SCHEMA|LANGUAGE (?!C\b)\w+|DO \$|EXECUTE (?!ON)\w+|CASCADE)\b/i;
		push @found, "no name of schema jobs: $start"
		  if $text =~ /^CREATE (?:UNLOGGED )?(?:TABLE|VIEW|FUNCTION|PROCEDURE|SEQUENCE|TYPE|DOMAIN|AGGREGATE|OPERATOR|CAST|TRIGGER) (?!jobs\.)/i
		  || $text =~ /^CREATE (?:UNIQUE )?INDEX \w+ ON (?!jobs\.)/i
		  || $text =~ /^(?:ALTER|DROP) (?:TABLE|VIEW|FUNCTION|SEQUENCE|TYPE|INDEX) (?!jobs\.)/i
		  || $text =~ /^CREATE SCHEMA (?!jobs$)/i;
		push @found, "cannot be undone by DROP EXTENSION: $start" if $text =~ /^(?:CREATE|ALTER) (?:ROLE|USER|DATABASE|TABLESPACE|SYSTEM|EVENT)/i;

		# The minus of a constant is none, nor is this an expression.
		$text =~ s/(?<=[(, ])-(?=\d)//g;
		$text =~ s/\bextract\(epoch FROM /extract(/g;
		$text =~ s/\(\s*LIKE jobs\./(jobs./;

		# Relations behind FROM and JOIN that are no subquery, no alias of one and no function.
		while ($text =~ /\b(?:FROM|JOIN)\s+(?:LATERAL\s+)?([\w.]+)/gi)
		{
			my $name = $1;
			push @found, "relation $name: $start" unless $name =~ /^(?:jobs|pg_catalog)\.|^PUBLIC$/i;
		}
		my $expressions = $text;
		$expressions =~ s/OPERATOR\(pg_catalog\.[^\s()]+\)/ /g;
		$expressions =~ s/\bWITH \([^()]*\)//g;
		$expressions =~ s/\bSET \([^()]*\)//g;
		while ($expressions =~ /([\w."]*\w"?)\s*\(/g)
		{
			my $name = $1;
			push @found, "function $name: $start"
			  unless $name =~ /\./ || $words{ lc $name } || $expressions =~ /\b(?:AS|CONSTRAINT|INTO|REFERENCES) \Q$name\E ?\(/i
			  || $text =~ /^COMMENT ON FUNCTION|^(?:GRANT|REVOKE)/i || $expressions =~ /^CREATE (?:UNIQUE )?INDEX \w+ ON jobs\.\w+ \(/i;
		}
		$expressions =~ s/\b\w+\.\*//g;
		push @found, "operator $1: $start" while $expressions =~ /((?<![\w.])[-+*\/<>=~!@#%^&|`?]+)/g;
		push @found, "operator behind $1: $start"
		  while $expressions =~ /\b(LIKE|ILIKE|SIMILAR TO|BETWEEN|NULLIF|IS (?:NOT )?DISTINCT FROM|NOT IN|IN \(|USING \(|CASE (?!WHEN)\w+)/gi;
	}
	return @found;
}

my @scripts = glob 'sql/jobs--*.sql';

cmp_ok(scalar @scripts, '>=', 1, 'there are scripts');
is(join("\n", lint(slurp_file($_))), '', "$_ finds and adopts nothing of others") for @scripts;

my $control = slurp_file('jobs.control');
like($control, qr/^schema\s*=\s*'?pg_catalog'?$/m, 'scripts run with pg_catalog as their search_path');
like($control, qr/^relocatable\s*=\s*false$/m, 'the schema is fixed');
unlike($control, qr/^(?:trusted\s*=\s*true|superuser\s*=\s*false)/m, 'only a superuser creates the extension');

# The lint finds each of these.
for my $bad (
	'CREATE OR REPLACE FUNCTION jobs.f() RETURNS int AS \'MODULE_PATHNAME\' LANGUAGE C',
	'CREATE TABLE IF NOT EXISTS jobs.t (n int)',
	'CREATE SCHEMA IF NOT EXISTS jobs',
	'CREATE TABLE t (n int)',
	'CREATE INDEX i ON t (n)',
	'CREATE FUNCTION jobs.f() RETURNS int LANGUAGE sql AS \'SELECT 1\'',
	'CREATE FUNCTION jobs.f() RETURNS int LANGUAGE C SECURITY DEFINER AS \'MODULE_PATHNAME\'',
	'CREATE VIEW jobs.v AS SELECT count(*) FROM jobs.t',
	'CREATE VIEW jobs.v AS SELECT n FROM t',
	'CREATE VIEW jobs.v AS SELECT n FROM jobs.t WHERE n = 1',
	'CREATE VIEW jobs.v AS SELECT n || n FROM jobs.t',
	'CREATE VIEW jobs.v AS SELECT n FROM jobs.t WHERE n BETWEEN x AND y',
	'CREATE VIEW jobs.v AS SELECT CASE n WHEN x THEN y END FROM jobs.t',
	'CREATE VIEW jobs.v AS SELECT n FROM jobs.t JOIN jobs.u USING (n)',
	'CREATE VIEW jobs.v AS SELECT n FROM jobs.t WHERE n IN (1, 2)',
	'CREATE VIEW jobs.v AS SELECT n IS DISTINCT FROM m FROM jobs.t',
	'DO $$ BEGIN END $$',
	'SET search_path = pg_catalog',
	'CREATE ROLE jobs_admin',
	'\i other.sql',
	'COMMENT ON SCHEMA jobs IS \'@extowner@\'')
{
	isnt(join('', lint("$bad;\n")), '', "the lint finds: $bad");
}

done_testing;
