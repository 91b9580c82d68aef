-- What would make a table refuse rows: every code, and each kind of constraint.

\getenv srcdir PG_ABS_SRCDIR
\set calls :srcdir '/test/import_calls.psql'
\set ECHO none
\i :calls
\set ECHO all
CREATE FUNCTION outcome(job bigint) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN state = 'succeeded' THEN format('%s insert, %s update, %s skip', result -> 'to_insert', result -> 'to_update', result -> 'to_skip')
                ELSE state || ' ' || error_code || ': ' || error_message || coalesce(E'\nHINT: ' || error_hint, '') END
      FROM jobs.job WHERE id = $1
$$;
CREATE VIEW issues AS SELECT job, row_no AS n, severity, code, column_name, value, message, action FROM jobs.import_issue;
\set show 'SELECT outcome(:id); SELECT n, severity, code, column_name, value, message || \' \' || action AS message FROM issues WHERE job = :id ORDER BY n, code, message;'

-- CHECK, with an error of its own, of several columns, and one that old rows violate; NOT NULL by a default.
CREATE TABLE articles (id int PRIMARY KEY, price numeric CHECK (price > 0), reduced numeric, kind text NOT NULL DEFAULT 'a',
    CONSTRAINT reduced_is_less CHECK (reduced < price), CONSTRAINT divides CHECK (100 / id > 0));
INSERT INTO articles VALUES (90, 1, 0.5, 'old');
ALTER TABLE articles ADD CONSTRAINT no_old CHECK (kind <> 'old') NOT VALID;
CALL test_preview('articles', E'id,price,reduced,kind\n1,10,5,x\n2,-1,-2,x\n3,5,6,x\n0,5,4,x\n5,5,4,old\n6,,,x\n7,5,4,""\n101,0,1,old\n') \gset
:show
CALL test_preview('articles', E'id,price\n101,-1\n0,-2\n', '{"sensitive": ["price"]}') \gset
:show

-- Unique keys: rows that are there, rows of the file, and that a refused row has none.
CREATE TABLE people (id int PRIMARY KEY, email text, first text, last text, born date, code varchar(10), CHECK (born > '1900-01-01'));
CREATE UNIQUE INDEX ON people (lower(email));
ALTER TABLE people ADD UNIQUE (first, last) DEFERRABLE INITIALLY DEFERRED;
CREATE UNIQUE INDEX ON people (born) WHERE last LIKE 'M%';
CREATE UNIQUE INDEX ON people (code DESC) INCLUDE (born);
INSERT INTO people VALUES (1, 'Alice@acme.com', 'Alice', 'Meier', '1980-01-01', 'A');
CALL test_preview('people', $$id,E-mail,first,last,born,code
2,ALICE@ACME.COM,Alicia,Smith,1980-01-01,B
1,,Bob,Smith,1981-01-01,C
3,bob@acme.com,Alice,Meier,1982-01-01,D
4,carl@acme.com,Carl,Meier,1980-01-01,E
5,dora@acme.com,Dora,Smith,1800-01-01,F
6,DORA@acme.com,Dora,Smith,1983-01-01,F
7,dora@ACME.com,Dora,Smith,1984-01-01,G
6,erna@acme.com,Erna,Muster,1985-01-01,H
8,fred@acme.com,Fred,Muster,1986-01-01,A
9,gerd@acme.com,Gerd,Muster,1987-01-01,I
10,hans@acme.com,Hans,Muster,1987-01-01,J
11,,,,,
12,,,,,
$$, '{"mapping": {"E-mail": "email"}}') \gset
:show
CALL test_preview('people', E'id,email,code\n5,alice@acme.com,x\n6,eve@acme.com,y\n7,Eve@acme.com,y\n', '{"sensitive": ["email"]}') \gset
:show
-- All that on_conflict says.
CALL test_preview('people', E'id,email\n1,new@acme.com\n2,new@acme.com\n2,newer@acme.com\n', '{"on_conflict": "error"}') \gset
:show
CALL test_preview('people', E'id,born\n1,1990-01-01\n2,1980-01-01\n1,1991-01-01\n1,1700-01-01\n', '{"on_conflict": "update"}') \gset
:show
INSERT INTO people VALUES (50, 'zoe@acme.com', 'Zoe', 'Meier', '1950-01-01', 'Z');
CALL test_preview('people', E'id,email,born\n1,zoe@acme.com,1990-01-01\n50,zoe@acme.com,1980-01-01\n50,alice2@acme.com,1951-01-01\n', '{"on_conflict": "update"}') \gset
:show

-- Types whose equal values look different, or have no hash function; nulls that are the same.
CREATE TABLE kinds (n numeric UNIQUE, f float8 UNIQUE, b bit(4) UNIQUE, r int4range UNIQUE, j jsonb UNIQUE, c char(5) UNIQUE,
    i interval UNIQUE, a int[] UNIQUE, d date);
CREATE UNIQUE INDEX ON kinds (d, n) NULLS NOT DISTINCT;
INSERT INTO kinds VALUES (1.0, '-0', '0001', '[1,3)', '{"a": 1}', 'x', '1 day', '{1,2}', '2024-01-01');
CALL test_preview('kinds', $$n,f,b,r,j,c,i,a,d
1.00,,,,,,,,2024-01-02
,0,,,,,,,2024-01-03
,,0001,,,,,,2024-01-04
,,,"[1,2]",,,,,2024-01-05
,,,,"{""a"":   1}",,,,2024-01-06
,,,,,"x  ",,,2024-01-07
,,,,,,24 hours,,2024-01-08
,,,,,,,"{1, 2}",2024-01-09
,,,,,,,,2024-01-10
,,,,,,,,2024-01-10
5,NaN,0101,"[5,6)","[1]",y,1 mon,"{3}",
5.000,nan,0101,"(4,5]","[1.0]",y ,30 days,"{ 3 }",
6,,,,,,,,
,,,,,,,,
,,,,,,,,
$$) \gset
:show

-- A key that the table has not: with an index, without one, of columns that may not be read, and where policies hide rows.
CREATE TABLE visits (customer int, day date, note text);
INSERT INTO visits VALUES (1, '2024-01-01', 'first'), (1, '2024-01-01', 'again'), (2, '2024-01-01', 'hidden');
\set visits 'customer,day,note\n1,2024-01-01,x\n1,2024-01-02,x\n1,2024-01-02,y\n2,2024-01-01,x\n,2024-01-01,x\n,2024-01-01,y\n'
CALL test_preview('visits', E:'visits', '{"unique": ["customer", "day"]}') \gset
:show
CREATE INDEX ON visits (day, customer, note);
CALL test_preview('visits', E:'visits', '{"unique": ["customer", "day"], "on_conflict": "update"}') \gset
:show
CREATE ROLE clerk;
GRANT INSERT ON visits TO clerk;
GRANT ALL ON articles TO clerk;
GRANT SELECT ON issues TO clerk;
SET ROLE clerk;
CALL test_preview('visits', E:'visits', '{"unique": ["customer", "day"]}') \gset
RESET ROLE;
GRANT SELECT ON visits TO clerk;
ALTER TABLE visits ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON visits FOR SELECT USING (customer = 1);
CREATE POLICY add ON visits FOR INSERT WITH CHECK (note <> 'y' AND customer IS NOT NULL);
CREATE POLICY never ON visits AS RESTRICTIVE FOR INSERT WITH CHECK (day > '2024-01-01' OR EXISTS (SELECT FROM articles WHERE id = customer + 88));
SET ROLE clerk;
CALL test_preview('visits', E:'visits', '{"unique": ["customer", "day"]}') \gset
:show
RESET ROLE;
-- Not for the owner, unless forced; a policy that fails; nor when no policy lets in anything.
CALL test_preview('visits', E'customer,note\n1,y\n') \gset
SELECT outcome(:id);
CREATE POLICY fails ON visits AS RESTRICTIVE FOR INSERT WITH CHECK (10 / customer > 0);
SET ROLE clerk;
CALL test_preview('visits', E'customer,day,note\n0,2025-01-01,x\n2,2025-01-01,x\n0,2025-01-01,x\n11,2025-01-01,x\n') \gset
:show
RESET ROLE;
-- An update must satisfy its own policies, for the row that is there and for what it becomes.
CREATE TABLE notes (id int PRIMARY KEY, author text, v int);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY notes_see ON notes FOR SELECT USING (true);
CREATE POLICY notes_add ON notes FOR INSERT WITH CHECK (v < 5);
CREATE POLICY notes_change ON notes FOR UPDATE USING (author = 'clerk') WITH CHECK (v < 7);
GRANT ALL ON notes TO clerk;
INSERT INTO notes VALUES (1, 'clerk', 1), (2, 'boss', 1), (3, 'clerk', 1);
SET ROLE clerk;
CALL test_preview('notes', E'id,v\n1,6\n2,1\n3,8\n4,6\n5,1\n', '{"on_conflict": "update"}') \gset
:show
RESET ROLE;

-- Foreign keys: of several columns, MATCH FULL, another type, a partitioned table, the table itself, not valid, disabled.
CREATE TABLE country (code text, town text, PRIMARY KEY (town, code));
INSERT INTO country VALUES ('FR', 'Paris'), ('DE', 'Berlin');
CREATE TABLE customer (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE customer_1 PARTITION OF customer FOR VALUES FROM (0) TO (10);
CREATE TABLE customer_2 PARTITION OF customer FOR VALUES FROM (10) TO (100) PARTITION BY HASH (id);
CREATE TABLE customer_2a PARTITION OF customer_2 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO customer VALUES (1), (17);
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customer DEFERRABLE INITIALLY DEFERRED, code varchar(2), town text, parent int REFERENCES orders,
    kind smallint, FOREIGN KEY (code, town) REFERENCES country (code, town) MATCH FULL);
CREATE TABLE kind (k numeric PRIMARY KEY);
INSERT INTO orders VALUES (100, 1, NULL, NULL, NULL, 26);
ALTER TABLE orders ADD FOREIGN KEY (kind) REFERENCES kind NOT VALID;
CALL test_preview('orders', $$id,Customer,code,town,parent,kind
1,17,FR,Paris,,
2,18,FR,Paris,100,
3,,FR,,1,
4,1,FR,Berlin,4,
5,1,,,9,
6,1,,,2,
7,1,,,,26
8,500,,,,
$$) \gset
:show
ALTER TABLE orders DISABLE TRIGGER ALL;
CALL test_preview('orders', E'id,customer\n1,99\n') \gset
SELECT outcome(:id);
ALTER TABLE orders ENABLE TRIGGER ALL;
CALL test_preview('orders', E'id,kind\n100,26\n', '{"on_conflict": "update"}') \gset
:show
CALL test_preview('orders', E'id,parent\n100,1000\n', '{"on_conflict": "update"}') \gset
:show
-- Who may not read the referenced table learns what an INSERT would tell.
GRANT ALL ON orders TO clerk;
SET ROLE clerk;
CALL test_preview('orders', E'id,customer\n1,1\n2,99\n') \gset
:show
RESET ROLE;

-- Exclusion constraints: in an order, without one, of a partial index, by equality only.
CREATE TABLE booking (room int, during int4range, area box, seat int, EXCLUDE USING gist (during WITH &&) WHERE (room IS NULL),
    EXCLUDE USING gist (area WITH &&), EXCLUDE USING btree (room WITH =, seat WITH =));
INSERT INTO booking VALUES (NULL, '[1,5)', '(0,0),(1,1)', NULL), (1, '[1,5)', NULL, 1);
CALL test_preview('booking', $$room,during,area,seat
,"[5,7)",,
,"[4,8)",,
,"[6,8)",,
,"[20,30)",,
,"[10,15)",,
,"[14,21)",,
,empty,,
,empty,,
1,"[1,100)",,2
1,"[1,100)",,1
1,"[1,100)",,2
2,,"(5,5),(6,6)",
2,,"(6,6),(8,8)",
2,,"(1,1),(3,3)",
2,,"(7,7),(8,8)",
$$) \gset
:show

-- Partitions: none, their own constraints in another order of columns, and one as the target.
CREATE TABLE sales (id int, day date, amount int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE sales_2023 (amount int CHECK (amount > 0), gone text, day date NOT NULL, id int NOT NULL UNIQUE);
ALTER TABLE sales_2023 DROP COLUMN gone;
ALTER TABLE sales ATTACH PARTITION sales_2023 FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE sales_2024 PARTITION OF sales (amount NOT NULL) FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY HASH (id);
CREATE TABLE sales_2024_0 PARTITION OF sales_2024 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO sales VALUES (1, '2023-05-05', 1), (1, '2024-05-05', 3);
\set sales 'id,day,amount\n1,2023-05-05,1\n1,2023-06-06,1\n2,2023-06-06,-1\n2,2023-06-06,1\n2,2023-07-07,1\n1,2024-05-05,3\n1,2024-05-06,4\n1,2024-05-07,5\n3,2024-05-07,\n4,2025-01-01,1\n4,2024-05-06,6\n4,2024-05-06,6\n'
CALL test_preview('sales', E:'sales') \gset
:show
CALL test_preview('sales_2023', E:'sales') \gset
:show
CALL test_preview('sales', E'id,day,amount\n1,2023-05-05,-1\n1,2024-05-05,6\n1,2024-05-05,9\n1,2023-05-05,5\n', '{"on_conflict": "update"}') \gset
:show
CREATE TABLE sales_rest PARTITION OF sales DEFAULT;
CALL test_preview('sales', E'id,day,amount\n4,2025-01-01,1\n4,2025-01-01,1\n', '{"unique": ["id"]}') \gset
:show
CREATE TABLE measures (id int, kind text, v int) PARTITION BY LIST ((12 / v));
CREATE TABLE measures_3 PARTITION OF measures FOR VALUES IN (3, 4) PARTITION BY LIST (kind);
CREATE TABLE measures_3a PARTITION OF measures_3 FOR VALUES IN ('a', NULL);
CREATE UNIQUE INDEX ON measures_3a (id);
CALL test_preview('measures', E'id,kind,v\n1,a,4\n1,,3\n2,b,3\n3,,12\n4,a,0\n') \gset
:show

-- A branch with another order of columns, rows that are in another partition than theirs, and no partition at all.
CREATE TABLE sales_2026 (amount int, day date NOT NULL, id int NOT NULL) PARTITION BY HASH (id);
CREATE TABLE sales_2026_0 PARTITION OF sales_2026 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
ALTER TABLE sales ATTACH PARTITION sales_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO sales VALUES (70, '2023-08-08', 1), (71, '2026-01-01', 1), (72, '2024-06-06', 1);
CALL test_preview('sales', E'id,day,amount\n70,2026-05-05,2\n71,2026-01-02,2\n72,2023-09-09,-2\n73,2023-09-09,3\n73,2026-01-01,3\n',
                  '{"unique": ["id"], "on_conflict": "update"}') \gset
:show
CALL test_import(:id) \gset
SELECT state, result -> 'inserted' AS inserted, result -> 'updated' AS updated FROM jobs.job WHERE id = :id;
SELECT tableoid::regclass, * FROM sales WHERE id >= 70 ORDER BY id;
CREATE TABLE sales_none (id int) PARTITION BY RANGE (id);
CALL test_preview('sales_none', E'id\n1\n') \gset
:show

-- Keys of small types, long values, a generated column that fails, and a row to which two rows lead by different keys.
CREATE TABLE classes (n numeric, s int2, b bool, word text UNIQUE, g int GENERATED ALWAYS AS (100 / (s - 7)) STORED, UNIQUE (n, s, b));
INSERT INTO classes VALUES (1, 1, true, repeat('long', 50)), (2, 2, false, 'other');
SELECT repeat('long', 50) AS long \gset
CALL test_preview('classes', E'n,s,b,word\n1.0,1,t,\n3,3,f,a\n3.00,3,f,b\n3.000,3,t,c\n,,,' || :'long' || E'\n,,,d\n,,,d\n') \gset
:show
CALL test_preview('classes', format(E'n,s,b,word\n1.0,1,t,first\n9,9,t,%s\n8,7,t,other\n', :'long'), '{"on_conflict": "update"}') \gset
:show

-- Exclusion by equality and overlap, by what the index only guesses, and of rows that update themselves.
CREATE EXTENSION btree_gist;
CREATE TABLE shift (id serial PRIMARY KEY, room int, during int4range, spot circle, EXCLUDE USING gist (room WITH =, during WITH &&),
    EXCLUDE USING gist (spot WITH &&), EXCLUDE USING btree (id WITH =));
INSERT INTO shift VALUES (1, 1, '[1,5)', '<(0,0),1>'), (2, 2, '[1,5)', '<(10,10),1>'), (3, NULL, '[1,5)', NULL);
CALL test_preview('shift', E'id;room;during;spot\n1;1;[2,6);<(0,0),2>\n2;1;[4,6);\n10;2;[5,7);<(11.5,11.5),1>\n11;2;[6,8);<(11,11),1>\n12;;[1,5);\n13;2;[7,8);<(9,9),1>\n',
                  '{"on_conflict": "update", "delimiter": ";"}') \gset
:show
CALL test_preview('shift', E'room;during\n1;[1,2)\n1;[7,9)\n1;[8,10)\n', '{"delimiter": ";"}') \gset
:show
DROP TABLE shift;
DROP EXTENSION btree_gist;

-- Keys by what no index serves, with nulls; long foreign keys; and replicas, which check none.
INSERT INTO visits VALUES (NULL, '2024-01-01', 'nobody');
DROP INDEX visits_day_customer_note_idx;
CREATE INDEX ON visits USING brin (customer, day);
CREATE INDEX ON visits (customer, day) WHERE note = 'first';
CREATE INDEX ON visits (customer, customer, day);
CALL test_preview('visits', E:'visits', '{"unique": ["customer", "day"]}') \gset
SELECT outcome(:id);
GRANT ALL ON visits TO clerk;
CREATE POLICY change ON visits FOR UPDATE USING (customer = 1);
DROP POLICY fails ON visits;
SET ROLE clerk;
CALL test_preview('visits', E'customer,day,note\n1,2024-01-01,changed\n1,2024-01-03,new\n', '{"unique": ["customer", "day"], "on_conflict": "update"}') \gset
:show
RESET ROLE;
INSERT INTO country VALUES (repeat('long', 200), 'Paris');
CREATE TABLE towns (code text, town text, FOREIGN KEY (code, town) REFERENCES country (code, town));
CALL test_preview('towns', format(E'code,town\n%s,Paris\n%1$s,Rome\n%1$s,Paris\n', repeat('long', 200))) \gset
SELECT outcome(:id);
SELECT format('ALTER DATABASE %I SET session_replication_role = replica', current_database()) \gexec
CALL test_preview('towns', E'code,town\nno,Where\n') \gset
SELECT outcome(:id);
SELECT format('ALTER DATABASE %I RESET session_replication_role', current_database()) \gexec

-- What nobody knows before: keys by a sequence, partitions by a clock.
CREATE TABLE unknown (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, at timestamptz DEFAULT clock_timestamp() CHECK (at > '2000-01-01'), a int CHECK (a > 0),
    twice int GENERATED ALWAYS AS (2 * a) STORED UNIQUE);
CALL test_preview('unknown', E'a\n1\n2\n1\n-1\n') \gset
:show

CREATE TABLE stamped (a int UNIQUE, by text NOT NULL CHECK (by <> ''));
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.by := 'me'; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();
CALL test_preview('stamped', E'a\n1\n2\n1\n') \gset
:show
CALL test_preview('stamped', E'a,by\n1,\n2,x\n') \gset
:show

DROP VIEW issues;
DROP FUNCTION outcome;
DROP PROCEDURE test_preview, test_import;
DROP TABLE sales_none, classes, towns, articles, people, kinds, visits, notes, country, customer, orders, kind, booking, sales, measures, unknown, stamped;
DROP FUNCTION stamp;
DROP ROLE clerk;
