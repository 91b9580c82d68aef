# What tables can have in later versions than 15: previews say what imports do.
# Random tables of that kind are among those of 075_import_keys.

use strict;
use warnings;

use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = JobsTest->new('main');

plan skip_all => 'needs PostgreSQL 18' if $node->pg_version < 18;
$node->init;
$node->configure;
$node->start;
$node->sql('CREATE EXTENSION jobs');
my $gist = $node->psql('postgres', 'CREATE EXTENSION btree_gist') == 0;

# A preview's issues and the import's result: what was inserted and updated, and how many fell out.
sub import_rows
{
	my ($table, $content, $options) = @_;
	my $preview = $node->sql("SELECT jobs.import_preview('$table', \$\$$content\$\$, options => '" . ($options || '{}') . "')");

	return $node->job($preview, 'error_code, error_message') if $node->wait_job($preview) ne 'succeeded';
	my $issues = $node->sql("SELECT string_agg(row_no || ' ' || code || ': ' || message, '; ' ORDER BY row_no, code) FROM jobs.import_issue WHERE job = $preview");
	my $import = $node->sql("SELECT jobs.import($preview)");
	return $node->job($import, 'error_code, error_message') if $node->wait_job($import) ne 'succeeded';
	return ($issues, $node->job($import, q{result ->> 'inserted', result ->> 'updated', result ->> 'fell_out'}), $import);
}

# ----------------------------------------------------------------------------
# Generated columns that are not stored
# ----------------------------------------------------------------------------

$node->sql(q{CREATE TABLE made (a int, b int GENERATED ALWAYS AS (a * 2) NOT NULL, c int GENERATED ALWAYS AS (100 / (a - 7)) VIRTUAL,
	CHECK (b < 100), CONSTRAINT divides CHECK (c <> 50))});
my ($issues, $result) = import_rows('made', "a\n1\n\"\"\n60\n7\n9\n");
is($issues, '2 missing_required: Missing required field "b"; 3 check_violation: A "60" violates check "made_b_check"; '
	  . '4 check_violation: Check "divides" failed: division by zero; 5 check_violation: A "9" violates check "divides"',
	'virtual columns: NOT NULL and CHECK');
is($result, '1|0|0', 'the import does the same');
is($node->sql('SELECT a, b, c FROM made'), '1|2|-16', 'and the table has it');
($issues, $result) = import_rows('made', "a,b\n2,5\n");
like($issues // '', qr/generated_column|^$/, 'a file with values for a virtual column');
is($result, '1|0|0', 'is imported without them');
($issues, $result) = import_rows('made', "a\n3\n4\n", '{"rules": {"a": {"check": "sql:row.b < 7"}}}');
is($result, '1|0|0', 'a rule reads a virtual column');

$node->sql(q{CREATE TABLE parted (k int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (nullif(a, 3)) VIRTUAL NOT NULL) PARTITION BY RANGE (k);
	CREATE TABLE parted1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
	CREATE TABLE parted2 (b int GENERATED ALWAYS AS (nullif(a, 3)) VIRTUAL NOT NULL, a int, k int NOT NULL);
	ALTER TABLE parted ATTACH PARTITION parted2 FOR VALUES FROM (10) TO (20);
	INSERT INTO parted VALUES (1, 1)});
my $import;
($issues, $result, $import) = import_rows('parted', "k,a\n1,2\n2,3\n11,5\n12,3\n", '{"on_conflict": "update"}');
is($issues, '2 missing_required: Missing required field "b"; 4 missing_required: Missing required field "b"', 'in partitions, with updates');
is($result, '1|1|0', 'the import does the same');
is($node->sql('SELECT k, b FROM parted ORDER BY k'), "1|2\n11|5", 'and the table has it');
is($node->sql("SELECT deleted, restored FROM jobs.undo_import($import)"), '1|1', 'an import is taken back');
is($node->sql('SELECT k, b FROM parted ORDER BY k'), '1|1', 'and the table is as before');

my $export = $node->sql(q{SELECT jobs.export('SELECT * FROM made ORDER BY a')});
is($node->wait_job($export), 'succeeded', 'an export of virtual columns');
is($node->sql("SELECT string_agg(convert_from(d, 'UTF8'), '') FROM jobs.download($export) d"), "a,b,c\n1,2,-16\n2,4,-20\n3,6,-25", 'has their values');

# ----------------------------------------------------------------------------
# Constraints that are not enforced, or not valid
# ----------------------------------------------------------------------------

$node->sql(q{CREATE TABLE other (k int PRIMARY KEY);
	CREATE TABLE lax (a int, b int, CHECK (a > 0) NOT ENFORCED, FOREIGN KEY (a) REFERENCES other NOT ENFORCED);
	INSERT INTO lax VALUES (1, NULL);
	ALTER TABLE lax ADD CONSTRAINT there NOT NULL b NOT VALID});
($issues, $result) = import_rows('lax', "a,b\n-1,1\n5,2\n6,\n");
is($issues, '3 missing_required: Missing required field "b"', 'not enforced is not asked for, not valid is');
is($result, '2|0|0', 'the import does the same');

# ----------------------------------------------------------------------------
# Keys WITHOUT OVERLAPS, and foreign keys of PERIODs
# ----------------------------------------------------------------------------

SKIP:
{
	skip 'needs btree_gist', 11 unless $gist;

	$node->sql(q{CREATE TABLE price (product int, valid int4range, PRIMARY KEY (product, valid WITHOUT OVERLAPS));
		INSERT INTO price VALUES (1, '[0,10)'), (1, '[10,20)'), (1, '[30,40)')});
	($issues, $result) = import_rows('price', qq{product,valid\n1,"[5,15)"\n2,"[0,10)"\n2,"[9,12)"\n3,empty\n2,"[10,12)"\n});
	is($issues, '1 exclusion: Product, valid "1", "[5,15)" conflicts with an existing price; '
		  . '3 exclusion: Product, valid "2", "[9,12)" conflicts with row 2; 4 check_violation: Valid must not be empty',
		'WITHOUT OVERLAPS');
	is($result, '2|0|0', 'the import does the same');

	$node->sql(q{CREATE TABLE sale (product int, during int4range, FOREIGN KEY (product, PERIOD during) REFERENCES price (product, PERIOD valid))});
	($issues, $result) = import_rows('sale', qq{product,during\n1,"[3,18)"\n1,"[15,32)"\n4,"[0,1)"\n1,\n1,empty\n2,"[0,12)"\n,"[50,60)"\n});
	my $gap = 'does not exist, or not for all of the period';
	is($issues, qq{2 foreign_key: Product, during "1", "[15,32)" $gap; 3 foreign_key: Product, during "4", "[0,1)" $gap; }
		  . qq{5 foreign_key: Product, during "1", "empty" $gap}, 'a foreign key of PERIODs');
	is($result, '4|0|0', 'the import does the same');

	$node->sql(q{CREATE TABLE span (product int, valid int4multirange, UNIQUE (product, valid WITHOUT OVERLAPS));
		CREATE TABLE spell (product int, during int4multirange, FOREIGN KEY (product, PERIOD during) REFERENCES span (product, PERIOD valid));
		INSERT INTO span VALUES (1, '{[0,10),[20,30)}'), (1, '{[10,15)}')});
	($issues, $result) = import_rows('span', qq{product,valid\n1,"{[12,14)}"\n1,"{[16,18)}"\n2,"{}"\n,"{}"\n});
	like($issues, qr/^1 exclusion: .*; 3 check_violation: Valid must not be empty; 4 check_violation: Valid must not be empty$/, 'multiranges');
	is($result, '1|0|0', 'the import does the same');
	($issues, $result) = import_rows('spell', qq{product,during\n1,"{[5,13),[22,24)}"\n1,"{[5,16)}"\n});
	like($issues, qr/^2 foreign_key: [^;]*$/, 'a foreign key of multiranges');
	is($result, '1|0|0', 'the import does the same');

	$node->sql(q{CREATE TABLE tree (id int, valid int4range, parent int, PRIMARY KEY (id, valid WITHOUT OVERLAPS),
		FOREIGN KEY (parent, PERIOD valid) REFERENCES tree (id, PERIOD valid))});
	is((import_rows('tree', qq{id,valid,parent\n1,"[0,10)",\n}))[0],
		'0A000|cannot check rows for foreign key "tree_parent_valid_fkey", by which table "tree" refers to periods of itself', 'of the table on itself: refused');

	$node->sql(q{CREATE TABLE whole (k int, p int4range, PRIMARY KEY (k, p WITHOUT OVERLAPS)) PARTITION BY LIST (k);
		CREATE TABLE whole1 PARTITION OF whole FOR VALUES IN (1); CREATE TABLE whole2 (p int4range NOT NULL, k int NOT NULL);
		ALTER TABLE whole ATTACH PARTITION whole2 FOR VALUES IN (2);
		INSERT INTO whole VALUES (1, '[0,10)'), (2, '[0,5)'), (2, '[5,9)');
		CREATE TABLE piece (p int4range, k int, FOREIGN KEY (k, PERIOD p) REFERENCES whole (k, PERIOD p))});
	($issues, $result) = import_rows('piece', qq{k,p\n1,"[0,10)"\n2,"[2,8)"\n2,"[2,10)"\n3,"[0,1)"\n});
	is(join(',', $issues =~ /(\d) foreign_key/g), '3,4', 'of a partitioned table');
	is($result, '2|0|0', 'the import does the same');
}

$node->log_ok;
done_testing();
