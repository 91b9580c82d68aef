-- Targets that are more than one table, or none: with children, with foreign tables, views.

\getenv srcdir PG_ABS_SRCDIR
\set calls :srcdir '/test/import_calls.psql'
\set ECHO none
\i :calls
\set ECHO all
CREATE FUNCTION outcome(job bigint) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN state <> 'succeeded' THEN state || ' ' || error_code || ': ' || error_message
                WHEN kind = 'import' THEN format('%s inserted, %s updated, %s fell out', result -> 'inserted', result -> 'updated', result -> 'fell_out')
                ELSE format('%s insert, %s update, %s skip', result -> 'to_insert', result -> 'to_update', result -> 'to_skip') END
      FROM jobs.job WHERE id = $1
$$;
CREATE FUNCTION refused(target regclass, options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    PERFORM jobs.import_preview(target, E'id\n1\n'::text, options => options);
    RAISE 'taken';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', SQLSTATE || ': ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
CREATE VIEW issues AS SELECT job, row_no AS n, severity, code, column_name, value, message || ' ' || action AS message FROM jobs.import_issue;
\set show 'SELECT outcome(:id); SELECT n, severity, code, column_name, value, message FROM issues WHERE job = :id ORDER BY n, code, message;'

-- A table without a key, and a row of its child.
CREATE TABLE contact (id int, email text);
CREATE TABLE vip () INHERITS (contact);
INSERT INTO vip VALUES (1, 'a@x');
CALL test_preview('contact', E'id,email\n1,b@x\n', '{"unique": ["id"]}') \gset
:show
CALL test_preview('contact', E'id,email\n1,b@x\n2,c@x\n1,d@x\n', '{"unique": ["id"], "on_conflict": "update"}') \gset
:show
CALL test_import(:id) \gset
:show
SELECT tableoid::regclass, * FROM contact ORDER BY id;
SELECT deleted, restored, kept FROM jobs.undo_import(:id);
SELECT tableoid::regclass, * FROM contact ORDER BY id;

-- A key of the table alone, and a child with other columns, another order of them, and constraints of its own.
CREATE TABLE client (id int PRIMARY KEY, email text CHECK (email <> ''), name text, twice int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE partner (gone int, level int NOT NULL CHECK (level > 0), name text NOT NULL, email text UNIQUE, id int NOT NULL UNIQUE,
    twice int GENERATED ALWAYS AS (id * 2) STORED, CONSTRAINT client_email_check CHECK (email <> ''), CHECK (level < 5 OR email LIKE '%@x'));
ALTER TABLE partner DROP COLUMN gone;
ALTER TABLE partner INHERIT client;
INSERT INTO client VALUES (1, '1@x', 'one');
INSERT INTO partner (level, name, email, id) VALUES (1, 'two', '2@x', 2), (1, 'three', '3@x', 3), (1, 'four', '4@x', 4), (5, 'five', '5@x', 5), (1, 'six', '6@x', 6);
\set clients 'id,email,name\n1,1@y,One\n2,2@y,Two\n3,"",Three\n4,2@x,Four\n5,5@y,Five\n6,6@y,""\n6,66@y,\n7,7@y,Seven\n7,77@y,\n'
CALL test_preview('client', E:'clients', '{"unique": ["id"], "on_conflict": "update"}') \gset
:show
CALL test_import(:id) \gset
:show
SELECT tableoid::regclass, * FROM client ORDER BY id;
SELECT level, id FROM partner ORDER BY id;
CALL test_preview('client', E'id,email\n1,1@z\n2,2@z\n7,7@z\n8,8@z\n', '{"unique": ["id"]}') \gset
:show
-- Without the option, the table's key knows of no children.
CALL test_preview('client', E'id,email\n1,1@z\n2,2@z\n', '{"on_conflict": "update"}') \gset
:show

-- Rows are found by where they are, which a foreign table and a view cannot say.
CREATE DOMAIN filled AS text NOT NULL;
CREATE EXTENSION postgres_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
CREATE FOREIGN TABLE far (id int NOT NULL, name text, kind filled) SERVER elsewhere;
CREATE TABLE pieces (id int, name text) PARTITION BY RANGE (id);
CREATE TABLE pieces_near PARTITION OF pieces FOR VALUES FROM (0) TO (10) PARTITION BY LIST (name);
CREATE FOREIGN TABLE pieces_far PARTITION OF pieces_near DEFAULT SERVER elsewhere;
CREATE FOREIGN TABLE contact_far () INHERITS (contact) SERVER elsewhere;
CREATE VIEW contacts AS SELECT id, email FROM contact;
SELECT refused(target, options) FROM unnest('{far,pieces,contact,contacts,vip}'::regclass[]) target,
    unnest('{"{\"unique\": [\"id\"]}","{\"on_conflict\": \"update\"}","{\"on_conflict\": \"skip\"}"}'::jsonb[]) options;
-- Only the server of a foreign table knows what it needs, but for a domain.
CALL test_preview('far', E'name,kind\nx,y\n') \gset
:show
CALL test_preview('far', E'name\nx\n') \gset
:show
DROP FOREIGN TABLE contact_far;
DROP TABLE pieces;
DROP EXTENSION postgres_fdw CASCADE;

-- Columns of a view through which no values go, by name, by position and by a mapping.
CREATE TABLE article (id int PRIMARY KEY, name text, price numeric, gross numeric GENERATED ALWAYS AS (price * 1.2) STORED,
    kind filled DEFAULT 'thing', made text DEFAULT 'here');
CREATE VIEW priced AS SELECT id, upper(name) AS uname, name, gross, price AS net, kind FROM article;
CREATE VIEW cheap AS SELECT uname, gross, id, net * 1 AS net, name FROM priced WHERE id > 0;
SELECT jobs.import_template('priced'), jobs.import_template('cheap');
CALL test_preview('priced', E'id,name,uname,gross,net\n1,a,A,12,10\n2,b,,,20\n') \gset
:show
SELECT result -> 'columns' ->> 'generated' AS generated, result -> 'columns' ->> 'missing' AS missing FROM jobs.job WHERE id = :id;
CALL test_import(:id) \gset
:show
CALL test_preview('cheap', E'3,c\n4,d\n', '{"header": false}') \gset
:show
CALL test_import(:id) \gset
:show
CALL test_preview('cheap', E'id,label\n5,e\n', '{"mapping": {"label": "uname"}}') \gset
:show
CALL test_import(:id) \gset
:show
SELECT * FROM article ORDER BY id;
-- All go to a trigger, or to a rule; before a trigger, a domain sees what is missing.
CREATE FUNCTION priced_insert() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO article VALUES (NEW.id, NEW.uname || NEW.gross, NEW.net, DEFAULT, 'trigger'); RETURN NEW; END$$;
CREATE TRIGGER priced_insert INSTEAD OF INSERT ON priced FOR EACH ROW EXECUTE FUNCTION priced_insert();
CREATE RULE cheap_insert AS ON INSERT TO cheap DO INSTEAD INSERT INTO article VALUES (NEW.id, NEW.uname || NEW.net);
SELECT jobs.import_template('priced'), jobs.import_template('cheap');
CALL test_preview('priced', E'id,uname,gross,net\n6,F,5,6\n') \gset
:show
CALL test_preview('priced', E'id,uname,gross,net,kind\n6,F,5,6,x\n') \gset
:show
CALL test_import(:id) \gset
:show
CALL test_preview('cheap', E'id,uname,net\n7,G,7\n') \gset
:show
CALL test_import(:id) \gset
:show
SELECT * FROM article WHERE id > 5 ORDER BY id;

DROP VIEW issues;
DROP FUNCTION outcome, refused;
DROP PROCEDURE test_preview, test_import;
DROP TABLE contact, vip, client, partner, article CASCADE;
DROP FUNCTION priced_insert;
DROP DOMAIN filled;
