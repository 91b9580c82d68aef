-- What imports do where the world is not as their preview has found it, or not as simple.

\getenv srcdir PG_ABS_SRCDIR
\set calls :srcdir '/test/import_calls.psql'
\set ECHO none
\i :calls
\set ECHO all
-- How it has ended: counts, or the error with its hint.
CREATE FUNCTION outcome(job bigint) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN state <> 'succeeded'
                THEN state || ' ' || error_code || ': ' || regexp_replace(error_message, '\m(preview|job) \d+', '\1 N', 'g')
                     || coalesce(E'\nHINT: ' || error_hint, '')
                WHEN kind = 'import'
                THEN format('%s in, %s updated, %s skipped, %s fell out', result ->> 'inserted', result ->> 'updated',
                            result ->> 'skipped', result ->> 'fell_out')
                ELSE format('%s to insert, %s to update, %s to skip', result ->> 'to_insert', result ->> 'to_update',
                            result ->> 'to_skip') END
      FROM jobs.job WHERE id = $1
$$;
CREATE FUNCTION refusal(command text) RETURNS text LANGUAGE sql AS
    $$SELECT regexp_replace(test_error(command), '\m(preview|import|job) \d+', '\1 N', 'g')$$;
CREATE VIEW found AS SELECT job, row_no, column_name, code, message, action FROM jobs.import_issue;
GRANT SELECT ON found TO PUBLIC;
CREATE ROLE regress_changes_anna LOGIN;
CREATE ROLE regress_changes_boss LOGIN;
GRANT regress_changes_anna TO regress_changes_boss;

-- Rows that refer to one of the file that falls out do so with it, and no others.
CREATE TABLE node (id int PRIMARY KEY, parent int REFERENCES node, code text UNIQUE);
CALL test_preview('node', E'id,parent,code\n1,,a\n2,1,b\n3,2,c\n4,,d\n5,4,e\n6,6,f\n') \gset
INSERT INTO node VALUES (100, NULL, 'a');
CALL test_import(:id) \gset
SELECT outcome(:id);
SELECT * FROM node ORDER BY id;
SELECT row_no, code, message FROM found WHERE job = :id;
-- Of partitions, too, whose rows are not written in the file's order.
CREATE TABLE branch (id int PRIMARY KEY, parent int REFERENCES branch, code text) PARTITION BY RANGE (id);
CREATE TABLE branch_1 PARTITION OF branch FOR VALUES FROM (0) TO (100);
CREATE TABLE branch_2 PARTITION OF branch FOR VALUES FROM (100) TO (200);
CALL test_preview('branch', E'id,parent,code\n150,,a\n1,150,b\n151,,c\n2,1,d\n152,151,e\n3,152,f\n') \gset
INSERT INTO branch VALUES (151, NULL, 'taken');
ALTER TABLE branch ADD CHECK (code <> 'd');
CALL test_import(:id) \gset
SELECT outcome(:id);
SELECT * FROM branch ORDER BY id;
SELECT row_no, code FROM found WHERE job = :id;
-- A key that an update of the same file gives is not there when rows are inserted.
CALL test_preview('node', E'id,parent,code\n100,,z\n7,100,g\n8,101,h\n', '{"on_conflict": "update"}') \gset
SELECT outcome(:id);
CREATE TABLE leaf (id int PRIMARY KEY, code text UNIQUE, parent text REFERENCES leaf (code));
INSERT INTO leaf VALUES (1, 'old'), (2, 'there');
CALL test_preview('leaf', E'id,code,parent\n1,new,\n3,c,new\n2,there,new\n4,d,there\n', '{"on_conflict": "update"}') \gset
SELECT outcome(:id);
SELECT row_no, column_name, code, message FROM found WHERE job = :id;
CALL test_import(:id) \gset
SELECT outcome(:id);
SELECT * FROM leaf ORDER BY id;
DROP TABLE node, branch, leaf;

-- A row that its preview left out takes no key, no number of a sequence and no update from others.
CREATE TABLE owner (id int PRIMARY KEY);
CREATE TABLE pet (id serial PRIMARY KEY, name text UNIQUE, owner int REFERENCES owner, note text);
INSERT INTO owner VALUES (1);
INSERT INTO pet (name, owner) VALUES ('Rex', 1);
CALL test_preview('pet', E'name,owner\nTom,2\nTom,1\nRex,2\nRex,1\nAda,1\n', '{"on_conflict": "update"}') \gset
SELECT outcome(:id);
INSERT INTO owner VALUES (2);
CALL test_import(:id) \gset
SELECT outcome(:id);
SELECT id, name, owner FROM pet ORDER BY id;
DROP TABLE pet, owner;

-- Triggers may refuse rows with codes of their own; what no row can have fails the import.
CREATE TABLE guarded (a int);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.a = 2 THEN RAISE 'no twos' USING ERRCODE = 'T0002'; END IF;
    IF NEW.a = 3 THEN RAISE 'threes are not for you' USING ERRCODE = 'insufficient_privilege'; END IF;
    IF NEW.a = 4 THEN RAISE 'not in a routine' USING ERRCODE = 'external_routine_exception'; END IF;
    IF NEW.a = 5 THEN RAISE 'busy' USING ERRCODE = 'lock_not_available'; END IF;
    IF NEW.a = 10 THEN RAISE 'none' USING ERRCODE = 'not_null_violation'; END IF;
    IF NEW.a = 11 THEN RAISE 'much' USING ERRCODE = 'string_data_right_truncation'; END IF;
    IF NEW.a = 12 THEN RAISE 'many' USING ERRCODE = 'numeric_value_out_of_range'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION refuse();
CALL test_preview('guarded', E'a\n1\n2\n3\n4\n6\n10\n11\n12\n') \gset
CALL test_import(:id) \gset
SELECT outcome(:id);
SELECT row_no, code, message FROM found WHERE job = :id;
CALL test_preview('guarded', E'a\n2\n3\n', '{"sensitive": ["a"]}') \gset
CALL test_import(:id) \gset
SELECT outcome(:id);
SELECT row_no, code, message FROM found WHERE job = :id;
CALL test_preview('guarded', E'a\n7\n5\n') \gset
CALL test_import(:id) \gset
SELECT outcome(:id);
CREATE TABLE audit (a int);
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO audit VALUES (NEW.a); RETURN NEW; END$$;
GRANT INSERT ON guarded TO regress_changes_anna;
SET SESSION AUTHORIZATION regress_changes_anna;
CALL test_preview('guarded', E'a\n8\n9\n') \gset
CALL test_import(:id) \gset
SELECT outcome(:id);
RESET SESSION AUTHORIZATION;
SELECT * FROM guarded;
DROP TABLE guarded, audit;
DROP FUNCTION refuse;

-- What an index of block ranges keeps from one row to the next is let go of, also where a row is refused.
CREATE TABLE ranged (id int PRIMARY KEY, b int, filler text DEFAULT repeat('x', 200));
CREATE INDEX ON ranged USING brin (b) WITH (pages_per_range = 1);
SELECT E'id,b\n' || string_agg(format(E'%s,%s\n', i, i % 7), '') AS content FROM generate_series(1, 3000) i \gset
CALL test_preview('ranged', :'content') \gset
INSERT INTO ranged VALUES (100, 1), (1500, 1), (1501, 1), (2999, 1);
CALL test_import(:id) \gset
SELECT outcome(:id);
SET enable_seqscan = off;
SELECT count(*) FROM ranged WHERE b = 3;
RESET enable_seqscan;
SELECT deleted, kept FROM jobs.undo_import(:id);
DROP TABLE ranged;

-- Partitions by what only the import knows, and by what a trigger would fill in too late.
CREATE SEQUENCE number;
CREATE TABLE measured (n int DEFAULT nextval('number'), a int) PARTITION BY RANGE (n);
CREATE TABLE measured_1 PARTITION OF measured FOR VALUES FROM (0) TO (3);
CALL test_preview('measured', E'a\n1\n2\n3\n4\n') \gset
SELECT outcome(:id);
CALL test_import(:id) \gset
SELECT outcome(:id);
SELECT * FROM measured ORDER BY n;
SELECT row_no, code, message FROM found WHERE job = :id;
CREATE TABLE dated (day date, a int) PARTITION BY RANGE (day);
CREATE TABLE dated_1 PARTITION OF dated FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE FUNCTION set_day() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.day := '2026-05-05'; RETURN NEW; END$$;
CREATE TRIGGER set_day BEFORE INSERT ON dated FOR EACH ROW EXECUTE FUNCTION set_day();
CALL test_preview('dated', E'a\n1\n') \gset
SELECT outcome(:id);
SELECT row_no, code, message FROM found WHERE job = :id;
DROP TABLE measured, dated;
DROP SEQUENCE number;
DROP FUNCTION set_day;

-- An identity that is always the table's own, where mapping names it: inserted past a policy, and kept by updates.
CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, grp int DEFAULT 1);
INSERT INTO numbered (name) VALUES ('one'), ('two');
GRANT ALL ON numbered TO regress_changes_anna;
ALTER TABLE numbered ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON numbered USING (grp = 1) WITH CHECK (grp = 1 AND name <> 'no');
SET SESSION AUTHORIZATION regress_changes_anna;
CALL test_preview('numbered', E'id,name\n1,uno\n10,ten\n11,no\n2,no\n', '{"on_conflict": "update", "mapping": {"id": "id"}}') \gset
SELECT outcome(:id);
SELECT row_no, code, message FROM found WHERE job = :id;
CALL test_import(:id) \gset
SELECT outcome(:id);
SELECT id, name FROM numbered ORDER BY id;
SELECT deleted, restored, kept FROM jobs.undo_import(:id);
SELECT id, name FROM numbered ORDER BY id;
CALL test_preview('numbered', E'id\n1\n', '{"on_conflict": "update", "mapping": {"id": "id"}}') \gset
SELECT outcome(:id);
RESET SESSION AUTHORIZATION;
-- Where a policy applies, a default is evaluated once, and a row that is in no policy's way is updated or told once.
CREATE TABLE counted (id serial PRIMARY KEY, name text UNIQUE, grp int DEFAULT 1);
INSERT INTO counted (name, grp) VALUES ('mine', 1), ('yours', 2);
GRANT ALL ON counted, counted_id_seq TO regress_changes_anna;
ALTER TABLE counted ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON counted USING (grp = 1);
SET SESSION AUTHORIZATION regress_changes_anna;
CALL test_preview('counted', E'name,grp\na,1\nb,1\nmine,2\nyours,2\n', '{"on_conflict": "update"}') \gset
SELECT outcome(:id);
SELECT row_no, code, message FROM found WHERE job = :id;
CALL test_import(:id) \gset
SELECT outcome(:id);
RESET SESSION AUTHORIZATION;
SELECT * FROM counted ORDER BY id;
DROP TABLE numbered, counted;

-- Rights are asked for when a preview is submitted, runs and is imported: also those of updates, by column.
CREATE TABLE partly (id int PRIMARY KEY, a int, b int);
INSERT INTO partly VALUES (1, 1, 1);
GRANT SELECT, INSERT, UPDATE (id, a) ON partly TO regress_changes_anna;
SET SESSION AUTHORIZATION regress_changes_anna;
CALL test_preview('partly', E'id,a,b\n1,2,2\n', '{"on_conflict": "update"}') \gset
SELECT outcome(:id);
CALL test_preview('partly', E'id,a\n1,2\n', '{"on_conflict": "update"}') \gset
SELECT outcome(:id);
CALL test_import(:id) \gset
SELECT outcome(:id);
SELECT jobs.import_preview('partly', E'id,a\n1,2\n'::text, options => '{"unique": ["a"]}', run_at => 'tomorrow') AS later \gset
RESET SESSION AUTHORIZATION;
REVOKE SELECT ON partly FROM regress_changes_anna;
SET SESSION AUTHORIZATION regress_changes_anna;
SELECT jobs.cancel(:later);
SELECT jobs.retry(:later);
SELECT jobs.wait(:later);
SELECT outcome(:later);
RESET SESSION AUTHORIZATION;
-- A preview is imported by the role whose rights it was made with: its rules are that role's SQL.
GRANT ALL ON partly TO regress_changes_anna, regress_changes_boss;
SET SESSION AUTHORIZATION regress_changes_anna;
CALL test_preview('partly', E'id,a\n5,5\n', '{"rules": {"a": "sql:value > 0"}}') \gset
SET SESSION AUTHORIZATION regress_changes_boss;
SELECT refusal(format('SELECT jobs.import(%s)', :id));
SELECT actions FROM jobs.panel WHERE id = :id;
SET ROLE regress_changes_anna;
SELECT actions FROM jobs.panel WHERE id = :id;
CALL test_import(:id) \gset
SELECT outcome(:id);
RESET SESSION AUTHORIZATION;
SELECT refusal('SELECT jobs.import_preview(''jobs.live'', E''id,kind\n1,run\n''::text)');
SELECT refusal('SELECT jobs.import_preview(''jobs.issue'', E''job,row_no\n1,2\n''::text)');
DROP TABLE partly;

-- What a value means is as in the preview, who asks as in the call of jobs.import.
SET jobs.capture_settings = 'DateStyle, app.person';
CREATE TABLE visit (day date, who text DEFAULT current_setting('app.person'));
SET DateStyle = 'ISO, DMY';
SET app.person = 'previewer';
CALL test_preview('visit', E'day\n01/02/2026\n') \gset
SET DateStyle = 'ISO, MDY';
SET app.person = 'importer';
CALL test_import(:id) \gset
SELECT outcome(:id);
RESET DateStyle;
SELECT to_char(day, 'DD Mon') AS day, who FROM visit;
RESET jobs.capture_settings;
DROP TABLE visit;

-- One that was taken back can be imported again; what has gone or is another's cannot be retried.
CREATE TABLE plain (a int PRIMARY KEY);
CALL test_preview('plain', E'a\n1\n2\n') \gset
SELECT :id AS preview \gset
CALL test_import(:preview) \gset
SELECT :id AS first \gset
SELECT refusal(format('SELECT jobs.import(%s)', :preview));
SELECT actions FROM jobs.panel WHERE id = :preview;
SELECT deleted, kept FROM jobs.undo_import(:first);
SELECT actions FROM jobs.panel WHERE id IN (:preview, :first) ORDER BY id;
CALL test_import(:preview) \gset
SELECT outcome(:id);
SELECT refusal(format('SELECT jobs.import(%s)', :preview));
SELECT deleted, kept FROM jobs.undo_import(:id);
SELECT jobs.import(:preview, run_at => 'tomorrow') AS third \gset
SELECT jobs.cancel(:third);
CALL test_import(:preview) \gset
SELECT outcome(:id);
SELECT refusal(format('SELECT jobs.retry(%s)', :third));
DROP TABLE plain;
SELECT refusal(format('SELECT jobs.undo_import(%s)', :id));
SELECT jobs.delete(:preview);
SELECT refusal(format('SELECT jobs.retry(%s)', :third));

-- Taking an import back leaves what triggers have done with other rows, also where rows are known by what has written them
-- only: old ones that they changed, moved to another partition, or added.
CREATE TABLE version (id int, key text, current boolean DEFAULT true);
CREATE TABLE version_parted (LIKE version INCLUDING ALL) PARTITION BY LIST (current);
CREATE TABLE version_current PARTITION OF version_parted FOR VALUES IN (true);
CREATE TABLE version_old PARTITION OF version_parted FOR VALUES IN (false);
CREATE TABLE version_moved (LIKE version INCLUDING ALL);
CREATE FUNCTION close_others() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE %I SET current = false WHERE key = $1 AND id <> $2', TG_ARGV[0]) USING NEW.key, NEW.id;
    IF NEW.key = 'b' THEN
        EXECUTE format('INSERT INTO %I VALUES (10 * $1, ''added'')', TG_ARGV[0]) USING NEW.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER close_others AFTER INSERT ON version FOR EACH ROW WHEN (NEW.current) EXECUTE FUNCTION close_others('version');
CREATE TRIGGER close_others AFTER INSERT ON version_parted FOR EACH ROW WHEN (NEW.current) EXECUTE FUNCTION close_others('version_parted');
CREATE TRIGGER close_others BEFORE INSERT ON version_moved FOR EACH ROW WHEN (NEW.current) EXECUTE FUNCTION close_others('version_moved');
INSERT INTO version VALUES (1, 'a');
INSERT INTO version_parted VALUES (1, 'a');
INSERT INTO version_moved VALUES (1, 'a');
ALTER TABLE version ENABLE ROW LEVEL SECURITY;
ALTER TABLE version_parted ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON version USING (true);
CREATE POLICY p ON version_parted USING (true);
GRANT ALL ON version, version_parted TO regress_changes_anna;
SET SESSION AUTHORIZATION regress_changes_anna;
CALL test_preview('version', E'id,key\n2,a\n3,b\n4,c\n5,d\n') \gset
CALL test_import(:id) \gset
SELECT outcome(:id);
SELECT * FROM version ORDER BY id;
-- One that somebody has locked is found, one that somebody has tried to change is not known any more.
BEGIN;
SELECT FROM version WHERE id = 4 FOR KEY SHARE;
COMMIT;
BEGIN;
DELETE FROM version WHERE id = 5;
ROLLBACK;
SELECT deleted, kept, message FROM jobs.undo_import(:id);
SELECT * FROM version ORDER BY id;
CALL test_preview('version_parted', E'id,key\n2,a\n3,b\n') \gset
CALL test_import(:id) \gset
SELECT outcome(:id);
SELECT tableoid::regclass, * FROM version_parted ORDER BY id;
SELECT deleted, kept FROM jobs.undo_import(:id);
SELECT tableoid::regclass, * FROM version_parted ORDER BY id;
RESET SESSION AUTHORIZATION;
CALL test_preview('version_moved', E'id,key\n2,a\n3,b\n4,c\n5,d\n') \gset
CALL test_import(:id) \gset
SELECT outcome(:id);
DELETE FROM version_moved WHERE id = 4;
VACUUM FULL version_moved;
SELECT * FROM version_moved ORDER BY id;
SELECT deleted, kept FROM jobs.undo_import(:id);
SELECT * FROM version_moved ORDER BY id;
DROP TABLE version, version_parted, version_moved;
DROP FUNCTION close_others;

-- Names of columns that are longer than the counts of issues keep are cut between characters.
CREATE TABLE wide (a int);
SELECT repeat('ä', 100) AS long \gset
CALL test_preview('wide', :'long' || E'\nx\n', jsonb_build_object('mapping', jsonb_build_object(:'long', 'a'))) \gset
SELECT i ->> 'code' AS code, length(i ->> 'column') AS characters, octet_length(i ->> 'column') AS bytes
  FROM jobs.job, jsonb_array_elements(result -> 'issues') i WHERE id = :id;
DROP TABLE wide;

-- Many rows that fall out: the first ones in words, the others by their kind.
SELECT format('ALTER DATABASE %I SET jobs.max_issues = 2', current_database()) \gexec
CREATE TABLE many (a int PRIMARY KEY, b int);
INSERT INTO many SELECT i FROM generate_series(1, 5) i;
CALL test_preview('many', E'a,b\n1,1\n2,1\n3,1\n4,1\n5,1\n6,1\n7,1\n8,1\n', '{"on_conflict": "update"}') \gset
DELETE FROM many;
ALTER TABLE many ADD CHECK (a < 8);
INSERT INTO many VALUES (6), (7);
CALL test_import(:id) \gset
SELECT outcome(:id);
SELECT row_no, code, message FROM found WHERE job = :id;
SELECT convert_from(string_agg(chunk, ''), 'UTF8') FROM jobs.rejects(:id) AS chunk;
SELECT format('ALTER DATABASE %I RESET jobs.max_issues', current_database()) \gexec
DROP TABLE many;

SELECT count(jobs.delete(id)) > 0 AS deleted FROM jobs.job WHERE kind IN ('import', 'import_preview');
DROP VIEW found;
DROP FUNCTION outcome, refusal;
DROP PROCEDURE test_preview, test_import;
DROP ROLE regress_changes_anna, regress_changes_boss;
