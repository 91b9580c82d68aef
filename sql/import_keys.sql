-- Keys that are equal though they look different, or have no hash function; exclusion with ranges first; rows that partitions refer to.

\getenv srcdir PG_ABS_SRCDIR
\set calls :srcdir '/test/import_calls.psql'
\set ECHO none
\i :calls
\set ECHO all
CREATE VIEW issues AS SELECT job, row_no AS n, severity, code, column_name, value, message, action FROM jobs.import_issue;
\set show 'SELECT n, severity, code, column_name, value, message || \' \' || action AS message FROM issues WHERE job = :id ORDER BY n, code, message; SELECT result -> \'to_insert\' AS to_insert, error_message FROM jobs.job WHERE id = :id;'
\set imported 'SELECT state, result -> \'inserted\' AS inserted, result -> \'fell_out\' AS fell_out, error_message FROM jobs.job WHERE id = :id;'

-- Arrays, composites and ranges of types without a hash function; a domain over one.
CREATE TYPE flagged AS (n int, flag bit(2));
CREATE TYPE moneyrange AS RANGE (subtype = money);
CREATE DOMAIN prices AS moneyrange;
CREATE TABLE parts (b bit(3)[] UNIQUE, m money[] UNIQUE, f flagged UNIQUE, r moneyrange UNIQUE, p prices UNIQUE, n int, UNIQUE (n, m));
INSERT INTO parts VALUES ('{101}', '{1}', '(1,01)', '[1,3)', '[1,3)', 1);
CALL test_preview('parts', $$b;m;f;r;p;n
{101};;;;;
{001};;;;;
;{1.00};;;;
;{2};;;;
;;(1,01);;;
;;(01,11);;;
;;;[1,3);;
;;;[0,3);;
;;;;[1,3);
;;;;(1,3];
{001};;;;;
;{2.00};;;;
;;(1,11);;;
;;;[0.00,3);;
;;;;(1,3.00];
;{3};;;;5
;{4};;;;5
;{4};;;;5
$$, '{"delimiter": ";"}') \gset
:show
CALL test_import(:id) \gset
:imported
SELECT count(*) FROM parts;
-- The same without an index.
CREATE TABLE loose (b bit(3)[], f flagged);
INSERT INTO loose VALUES ('{101}', '(1,01)'), ('{101,111}', '(1,01)');
CALL test_preview('loose', E'b;f\n{101};(1,01)\n{111};(1,01)\n{101,111};(2,01)\n{ 111 };(2,01)\n', '{"delimiter": ";", "unique": ["b"]}') \gset
:show

-- bpchar without a length; alone, with others, and where rows are there.
CREATE TABLE padded (c bpchar UNIQUE, d bpchar, n numeric, i int, UNIQUE (d, i), UNIQUE (i, n));
CREATE UNIQUE INDEX ON padded (d bpchar_pattern_ops, n);
INSERT INTO padded VALUES ('old ', 'x ', 1.0, 1);
CALL test_preview('padded', $$c,d,n,i
a,,,
"a  ",,,
b,,,
"old",,,
"a ",,,
,x,,1
,"x  ",1.00,
,y,2,2
,"y ",,2
,"y ",2.0,
,z,1.00,2
,z,1,2
$$) \gset
:show
CALL test_import(:id) \gset
:imported

-- Ranges that exclude each other come before what has to be equal.
CREATE EXTENSION btree_gist;
CREATE TABLE booking (during int4range, room text, EXCLUDE USING gist (during WITH &&, room WITH =) INITIALLY DEFERRED);
CALL test_preview('booking', E'during;room\n[1,10);M\n[20,30);A\n[5,25);A\n[10,20);A\n[3,4);A\n[9,40);M\n[10,40);M\n[12,13);M\n', '{"delimiter": ";"}') \gset
:show
CALL test_import(:id) \gset
:imported
CREATE TABLE seats (seat bpchar, during int4range, room int, EXCLUDE USING gist (seat WITH =, during WITH &&, room WITH =));
CALL test_preview('seats', E'seat;during;room\na;[1,10);2\n"a ";[20,30);1\na;[5,25);1\na;[1,3);1\n"a  ";[9,12);2\nb;[9,12);2\n', '{"delimiter": ";"}') \gset
:show
CALL test_import(:id) \gset
:imported
DROP TABLE booking, seats;
DROP EXTENSION btree_gist;

-- Partitions that refer to a table with partitions: by lists and ranges below, by wider and narrower integers, and by values of no partition.
CREATE TABLE month (day date, region text, PRIMARY KEY (region, day)) PARTITION BY LIST (region);
CREATE TABLE month_n (region text NOT NULL, day date NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE month_n1 PARTITION OF month_n FOR VALUES FROM ('2024-01-01') TO ('2024-07-01');
CREATE TABLE month_n2 PARTITION OF month_n DEFAULT;
ALTER TABLE month ATTACH PARTITION month_n FOR VALUES IN ('n');
CREATE TABLE month_s PARTITION OF month FOR VALUES IN ('s', 't');
CREATE TABLE wide (id bigint, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE wide_0 PARTITION OF wide FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE wide_1 PARTITION OF wide FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE wide_2 PARTITION OF wide FOR VALUES WITH (MODULUS 3, REMAINDER 2);
CREATE TABLE narrow (id smallint PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE narrow_1 PARTITION OF narrow FOR VALUES FROM (MINVALUE) TO (10);
CREATE TABLE narrow_2 PARTITION OF narrow FOR VALUES FROM (10) TO (20);
INSERT INTO month VALUES ('2024-01-01', 'n'), ('2024-08-01', 'n'), ('2024-01-01', 's');
INSERT INTO wide SELECT generate_series(-3, 3);
INSERT INTO narrow VALUES (1), (-1), (11);
CREATE TABLE entries (id bigint, region varchar(5), day date, small smallint REFERENCES wide, medium int REFERENCES wide, large bigint REFERENCES narrow,
    FOREIGN KEY (region, day) REFERENCES month) PARTITION BY RANGE (id);
CREATE TABLE entries_1 PARTITION OF entries FOR VALUES FROM (MINVALUE) TO (10);
CREATE TABLE entries_2 (medium int, day date, region varchar(5), large bigint, small smallint, id bigint);
ALTER TABLE entries ATTACH PARTITION entries_2 FOR VALUES FROM (10) TO (MAXVALUE);
CALL test_preview('entries', $$id,region,day,small,medium,large
1,n,2024-01-01,,,
11,n,2024-01-01,,,
2,n,2024-08-01,,,
12,n,2024-08-02,,,
3,s,2024-01-01,,,
13,t,2024-01-01,,,
4,x,2024-01-01,,,
14,n,2020-01-01,,,
5,,,-3,3,
15,,,3,-2,
6,,,4,,
16,,,,-4,
7,,,,,11
17,,,,,-1
8,,,,,12
18,,,,,1000000
$$) \gset
:show
CALL test_import(:id) \gset
:imported
-- And to themselves.
CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree) PARTITION BY RANGE (id);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES FROM (10) TO (20);
INSERT INTO tree VALUES (1, 1), (11, 1);
CALL test_preview('tree', E'id,parent\n2,11\n12,1\n3,12\n13,13\n4,14\n14,4\n15,30\n') \gset
:show
CALL test_import(:id) \gset
:imported

DROP VIEW issues;
DROP PROCEDURE test_preview, test_import;
DROP TABLE parts, loose, padded, entries, month, wide, narrow, tree;
DROP DOMAIN prices;
DROP TYPE flagged, moneyrange;
