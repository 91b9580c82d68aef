# An installation that was updated equals a new one: in objects, their definitions
# and order of columns, privileges, dependencies and comments.  Every path that the
# scripts of sql/ have is gone; and two made-up versions show that the comparison
# finds what differs.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->create('main', bare => 1);
my $sharedir = `pg_config --sharedir`;
chomp $sharedir;
my $dir = "$sharedir/extension";

# Everything of the extension in a database, a line each.  Recent minor versions note
# a version of its own, pg_attver, with each column of some relations.
my $describe = <<'SQL';
WITH member AS (
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
	 WHERE d.refclassid = 'pg_extension'::regclass AND e.extname = 'jobs' AND d.deptype = 'e'),
relation AS (SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
	UNION SELECT i.* FROM pg_class i JOIN pg_index x ON x.indexrelid = i.oid JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = x.indrelid
	UNION SELECT t.* FROM pg_class t JOIN pg_class c ON c.reltoastrelid = t.oid JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid),
named AS (SELECT r.*, CASE r.relkind WHEN 't' THEN 'toast of ' || (SELECT c.oid::regclass FROM pg_class c WHERE c.reltoastrelid = r.oid) ELSE r.oid::regclass::text END AS name FROM relation r),
line AS (
	SELECT 'member ' || pg_describe_object(classid, objid, 0) AS line FROM member
	UNION ALL SELECT 'extension: ' || extrelocatable || ' ' || extnamespace::regnamespace || ' config ' ||
			coalesce((SELECT string_agg(t::regclass || ' ' || c, ', ' ORDER BY t::regclass::text) FROM unnest(extconfig, extcondition) u (t, c)), '-') FROM pg_extension WHERE extname = 'jobs'
	UNION ALL SELECT format('relation %s: %s %s owner %s, options %s, identity %s, security %s %s, method %s', name, relkind, relpersistence, relowner::regrole,
			reloptions, relreplident, relrowsecurity, relforcerowsecurity, (SELECT amname FROM pg_am WHERE oid = relam)) FROM named
	UNION ALL SELECT format('column %s.%s %s: %s %s, not null %s, default %s, collation %s, storage %s %s, statistics %s, identity "%s" "%s", options %s', name, attnum, attname,
			format_type(atttypid, atttypmod), attndims, attnotnull, pg_get_expr(adbin, adrelid), CASE WHEN attcollation > 0 THEN attcollation::regcollation END,
			attstorage, attcompression, attstattarget, attidentity, attgenerated, array(SELECT o FROM unnest(attoptions) o WHERE o !~ '^pg_attver='))
		FROM named r JOIN pg_attribute a ON a.attrelid = r.oid LEFT JOIN pg_attrdef ON adrelid = r.oid AND adnum = attnum
		WHERE relkind <> 't' AND (attnum > 0 OR attisdropped) AND relkind <> 'i'
	UNION ALL SELECT format('constraint %s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(c.oid)) FROM pg_constraint c JOIN relation r ON conrelid = r.oid
	UNION ALL SELECT format('index %s: %s, valid %s, clustered %s, replica %s', name, pg_get_indexdef(r.oid), indisvalid, indisclustered, indisreplident) FROM named r JOIN pg_index ON indexrelid = r.oid WHERE relkind = 'i'
	UNION ALL SELECT format('rule of %s: %s', name, pg_get_ruledef(u.oid)) FROM named r JOIN pg_rewrite u ON ev_class = r.oid
	UNION ALL SELECT format('trigger on %s: %s', name, pg_get_triggerdef(t.oid)) FROM named r JOIN pg_trigger t ON tgrelid = r.oid
	UNION ALL SELECT format('policy %s on %s', polname, name) FROM named r JOIN pg_policy ON polrelid = r.oid
	UNION ALL SELECT format('sequence %s: %s %s %s %s %s %s %s', name, seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle) FROM named r JOIN pg_sequence ON seqrelid = r.oid
	UNION ALL SELECT format('function %s: owner %s, %s in %s, %s', p.oid::regprocedure, proowner::regrole, prosrc, probin, pg_get_functiondef(p.oid)) FROM member JOIN pg_proc p ON classid = 'pg_proc'::regclass AND objid = p.oid
	UNION ALL SELECT format('type %s: owner %s, %s %s', t.oid::regtype, typowner::regrole, typtype, typcategory) FROM member JOIN pg_type t ON classid = 'pg_type'::regclass AND objid = t.oid
	UNION ALL SELECT format('schema %s: owner %s', nspname, nspowner::regrole) FROM member JOIN pg_namespace n ON classid = 'pg_namespace'::regclass AND objid = n.oid
	UNION ALL SELECT format('privilege on %s: %s %s by %s, %s', what, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege_type, grantor::regrole, is_grantable) FROM (
			SELECT name, relacl FROM named UNION ALL SELECT name || '.' || attname, attacl FROM named r JOIN pg_attribute ON attrelid = r.oid
			UNION ALL SELECT p.oid::regprocedure::text, proacl FROM member JOIN pg_proc p ON classid = 'pg_proc'::regclass AND objid = p.oid
			UNION ALL SELECT t.oid::regtype::text, typacl FROM member JOIN pg_type t ON classid = 'pg_type'::regclass AND objid = t.oid
			UNION ALL SELECT nspname, nspacl FROM member JOIN pg_namespace n ON classid = 'pg_namespace'::regclass AND objid = n.oid) a (what, acl), aclexplode(acl)
	UNION ALL SELECT format('privilege at first on %s: %s %s %s', pg_describe_object(i.classoid, i.objoid, i.objsubid), CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege_type, is_grantable)
		FROM pg_init_privs i JOIN member m ON m.classid = i.classoid AND m.objid = i.objoid, aclexplode(i.initprivs)
	UNION ALL SELECT format('comment on %s: %s', pg_describe_object(c.classoid, c.objoid, c.objsubid), description)
		FROM pg_description c JOIN (SELECT * FROM member UNION SELECT 'pg_extension'::regclass, oid FROM pg_extension WHERE extname = 'jobs'
			UNION SELECT 'pg_class'::regclass, oid FROM relation UNION SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k JOIN relation r ON conrelid = r.oid) m ON m.classid = c.classoid AND m.objid = c.objoid
	UNION ALL SELECT format('dependency of %s on %s: %s', pg_describe_object(d.classid, d.objid, d.objsubid), pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), d.deptype)
		FROM pg_depend d JOIN member m ON m.classid = d.classid AND m.objid = d.objid)
SELECT regexp_replace(line, '\s+', ' ', 'g') FROM line ORDER BY 1
SQL

# Lines that only one of two databases has.
sub differences
{
	my ($one, $other) = @_;
	my %lines;

	$lines{$_}++ foreach split /\n/, $node->sql($describe, $one);
	$lines{$_}-- foreach split /\n/, $node->sql($describe, $other);
	my @found = map { ($lines{$_} > 0 ? "only $one: " : "only $other: ") . $_ } grep { $lines{$_} } sort keys %lines;

	splice @found, 20 if @found > 20;
	return join "\n", @found;
}

sub create_database
{
	my ($name, @commands) = @_;

	$node->sql("CREATE DATABASE $name");
	$node->sql($_, $name) foreach @commands;
	return;
}

# ----------------------------------------------------------------------------
# What was released
# ----------------------------------------------------------------------------

my ($default) = slurp_file("$dir/jobs.control") =~ /^default_version\s*=\s*'?([^'\n]+)/m;
my @released = map { /^jobs--([^-]+)\.sql$/ ? $1 : () } map { s{.*/}{}r } glob "$dir/jobs--*.sql";

ok((grep { $_ eq $default } @released), "there is a script for version $default");
create_database('fresh', "CREATE EXTENSION jobs VERSION '$default'");
cmp_ok(scalar(split /\n/, $node->sql($describe, 'fresh')), '>', 1000, 'the description is not empty');
for my $version (grep { $_ ne $default } @released)
{
	# From there to the default version there must be a way.
	create_database('updated', "CREATE EXTENSION jobs VERSION '$version'", "ALTER EXTENSION jobs UPDATE TO '$default'");
	is(differences('fresh', 'updated'), '', "$version updated is the same as $default");
	is($node->wait_job($node->sql(q{SELECT jobs.run('SELECT 1')}, 'updated'), 'updated'), 'succeeded', 'and runs jobs');
	$node->sql('DROP DATABASE updated');
}
for my $script (map { s{.*/}{}r } glob "$dir/jobs--*--*.sql")
{
	my ($from, $to) = $script =~ /^jobs--(.+)--(.+)\.sql$/;

	is($node->sql("SELECT path IS NOT NULL FROM pg_extension_update_paths('jobs') WHERE source = '$from' AND target = '$default'"), 't', "$script leads to $default")
	  unless $from eq $default;
}

# ----------------------------------------------------------------------------
# Versions made up
# ----------------------------------------------------------------------------

SKIP:
{
	skip 'the directory of extensions cannot be written', 8 unless -w $dir;

	my $step1 = q{
ALTER TABLE jobs.history ADD COLUMN added integer;
CREATE TABLE jobs.more (id bigint PRIMARY KEY, note text);
COMMENT ON TABLE jobs.more IS 'more';
CREATE FUNCTION jobs.more(n integer) RETURNS integer AS 'int4abs' LANGUAGE internal STRICT IMMUTABLE;
COMMENT ON FUNCTION jobs.more(integer) IS 'more';
REVOKE ALL ON FUNCTION jobs.more(integer) FROM PUBLIC;
};
	my $step2 = q{
GRANT EXECUTE ON FUNCTION jobs.more(integer) TO PUBLIC;
CREATE VIEW jobs.much AS SELECT id FROM jobs.more;
GRANT SELECT ON jobs.much TO PUBLIC;
COMMENT ON COLUMN jobs.much.id IS 'a number';
};
	my $base = slurp_file("$dir/jobs--$default.sql");
	my %scripts = (
		"$default--98test" => $step1,
		'98test--99test' => $step2,
		'99test' => "$base$step1$step2");
	my @files;

	for my $name (keys %scripts)
	{
		push @files, "$dir/jobs--$name.sql";
		append_to_file($files[-1], $scripts{$name});
	}
	create_database('newest', q{CREATE EXTENSION jobs VERSION '99test'});
	create_database('updated', 'CREATE EXTENSION jobs', q{ALTER EXTENSION jobs UPDATE TO '98test'}, q{ALTER EXTENSION jobs UPDATE TO '99test'});
	create_database('leapt', 'CREATE EXTENSION jobs', q{ALTER EXTENSION jobs UPDATE TO '99test'});
	is(differences('newest', 'updated'), '', 'two updates are the same as a new installation');
	is(differences('newest', 'leapt'), '', 'both at once too');
	isnt(differences('newest', 'fresh'), '', 'the version before is not');

	# Each of these would be forgotten in an update script.
	for my $forgotten (
		[ 'a privilege', 'REVOKE SELECT ON jobs.much FROM PUBLIC' ],
		[ 'a comment', 'COMMENT ON FUNCTION jobs.more(integer) IS NULL' ],
		[ 'a default', 'ALTER TABLE jobs.more ALTER note SET DEFAULT 0' ],
		[ 'an index', 'CREATE INDEX ON jobs.more (note)' ],
		[ 'a property of a function', 'ALTER FUNCTION jobs.more(integer) VOLATILE' ],
		[ 'the order of columns', 'ALTER EXTENSION jobs DROP VIEW jobs.much; DROP VIEW jobs.much; ALTER TABLE jobs.more DROP id, ADD id bigint PRIMARY KEY' ])
	{
		my ($what, $sql) = @$forgotten;

		isnt($node->sql("BEGIN; $sql; COPY ($describe) TO STDOUT; ROLLBACK", 'leapt'), $node->sql("COPY ($describe) TO STDOUT", 'newest'), "$what is seen");
	}
	unlink @files;
}

$node->log_ok;
done_testing();
