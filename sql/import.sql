-- From a file to a table: previews, imports, what they leave out, and back.

\getenv srcdir PG_ABS_SRCDIR
\set calls :srcdir '/test/import_calls.psql'
\set ECHO none
\i :calls
\set ECHO all
-- How a job has ended: its result, without what is of no interest here, or its error.
CREATE FUNCTION ended(job bigint) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN state = 'succeeded'
                THEN (result - ARRAY['dialect', 'columns', 'table', 'table_version', 'preview', 'rejected', 'stopped_early',
                                     'undoable', 'updated_columns', 'rows_parsed', 'issues', 'file_issues'])::text
                ELSE state || ' ' || error_code || ': ' || regexp_replace(error_message, '\m(preview|job) \d+', '\1 N', 'g')
                     || coalesce(E'\nHINT: ' || error_hint, '') END
      FROM jobs.job WHERE id = $1
$$;
CREATE FUNCTION import_error(command text) RETURNS text LANGUAGE sql AS
    $$SELECT regexp_replace(test_error(command), '\m(preview|import) \d+', '\1 N', 'g')$$;
CREATE FUNCTION rejects_text(job bigint) RETURNS text LANGUAGE sql AS
    $$SELECT convert_from(string_agg(chunk, ''::bytea ORDER BY n), 'UTF8') FROM jobs.rejects($1) WITH ORDINALITY r (chunk, n)$$;
CREATE VIEW issues AS SELECT job, row_no, line_no, column_name, value, severity, code, message, action FROM jobs.import_issue;

-- A file of 842 rows: one with a bad address, one without a name, one that is there.
CREATE TABLE contacts (id serial PRIMARY KEY, name text NOT NULL, email text UNIQUE, phone text);
INSERT INTO contacts (name, email) VALUES ('Alice', 'alice@acme.com');
SELECT 'name,email,phone' || E'\n' || string_agg(format('%s,%s,"%s"',
           CASE WHEN i <> 203 THEN 'Person ' || i END,
           CASE i WHEN 142 THEN 'bob@' WHEN 587 THEN 'alice@acme.com' ELSE 'p' || i || '@example.com' END,
           CASE WHEN i % 100 = 0 THEN E'1\n2' ELSE '0' || i END), E'\n' ORDER BY i) AS content
  FROM generate_series(1, 842) i \gset
\set rules '{"rules": {"email": {"check": "email", "on_fail": "null"}}}'
CALL test_preview('contacts', :'content', :'rules') \gset
SELECT ended(:id);
SELECT title, state, processed, total, succeeded, warnings, failed, skipped FROM jobs.job WHERE id = :id;
SELECT row_no, line_no, column_name, value, severity, code, message, action FROM issues WHERE job = :id;
SELECT * FROM jobs.import_summary(:id);
SELECT title, headline, detail, actions FROM jobs.panel WHERE id = :id;
SELECT jsonb_pretty(result -> 'issues') FROM jobs.job WHERE id = :id;
SELECT rejects_text(:id);
SELECT count(*), max(id) FROM contacts;

-- Without the rows that have warnings.
SELECT :id AS preview \gset
CALL test_import(:preview, false) \gset
SELECT ended(:id);
SELECT count(*) FROM contacts;
SELECT title, headline, detail, actions FROM jobs.panel WHERE id >= :preview;
SELECT * FROM jobs.import_summary(:id);
SELECT rejects_text(:id);
-- Once only.
SELECT import_error(format('SELECT jobs.import(%s)', :preview));
SELECT deleted, restored, kept, message FROM jobs.undo_import(:id);
SELECT count(*) FROM contacts;
SELECT import_error(format('SELECT jobs.undo_import(%s)', :id));
SELECT actions FROM jobs.panel WHERE id = :id;

-- With them; then the mended rest, whose two columns more are passed over.
CALL test_preview('contacts', :'content', :'rules') \gset
SELECT :id AS preview \gset
CALL test_import(:preview) \gset
SELECT ended(:id);
SELECT count(*), count(email) FROM contacts;
SELECT replace(replace(rejects_text(:id), 'alice@', 'zoe@'), E'\n,', E'\nNobody,') AS mended \gset
CALL test_preview('contacts', :'mended', :'rules') \gset
SELECT ended(:id);
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT name, email, phone FROM contacts WHERE email IN ('p203@example.com', 'zoe@acme.com');

-- What the world changes between a preview and its import costs the rows that it is about.
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent SELECT generate_series(1, 5);
CREATE TABLE child (id int PRIMARY KEY, code text UNIQUE, parent int REFERENCES parent, n int CHECK (n > 0));
CALL test_preview('child', E'id,code,parent,n\n1,a,1,1\n2,b,2,2\n3,c,3,3\n4,d,4,4\n5,e,5,5\n6,f,1,0\n7,g,1,7\n') \gset
SELECT ended(:id);
INSERT INTO child VALUES (2, 'x');
INSERT INTO child VALUES (20, 'c');
DELETE FROM parent WHERE id = 4;
ALTER TABLE child ADD CONSTRAINT small CHECK (n < 7);
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT * FROM child ORDER BY id;
SELECT row_no, line_no, column_name, code, message, action FROM issues WHERE job = :id;
SELECT rejects_text(:id);
-- A row that the preview left out stays out, though it would be in order now.
CALL test_preview('child', E'id,code,parent,n\n30,z,4,1\n31,y,5,1\n') \gset
SELECT ended(:id);
INSERT INTO parent VALUES (4);
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT * FROM child WHERE id >= 30;

-- Updates change the columns of the file only, and can be taken back.
ALTER TABLE child ADD COLUMN at date DEFAULT '2026-02-01';
CALL test_preview('child', E'id,code,at\n1,aa,03.04.2026\n2,bb,\n3,cc,05.06.2026\n40,new,\n41,b2,\n31,gone,\n',
                  '{"on_conflict": "update", "unique": ["id"], "date_order": "DMY"}') \gset
SELECT ended(:id);
DELETE FROM child WHERE id = 31;
INSERT INTO child (id, code) VALUES (41, 'taken');
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT * FROM child ORDER BY id;
SELECT row_no, code, message, action FROM issues WHERE job = :id;
UPDATE child SET n = 6 WHERE id = 2;
SELECT deleted, restored, kept, message FROM jobs.undo_import(:id);
SELECT * FROM child ORDER BY id;

-- A row that will update is ready: it was asked for, and leaving out warnings does not leave it out.
CALL test_preview('child', E'id,n\n1,5\n1,6\n', '{"on_conflict": "update", "unique": "id"}') \gset
SELECT * FROM jobs.import_summary(:id);
SELECT row_no, code, action FROM issues WHERE job = :id;
SELECT jobs.import(:id, include_warnings => false) AS only_ready \gset
SELECT jobs.wait(:only_ready) = 'succeeded' AS done;
SELECT result ->> 'updated' AS updated, result ->> 'skipped' AS skipped FROM jobs.job WHERE id = :only_ready;
SELECT n FROM child WHERE id = 1;

-- Triggers: statements fire once, with all rows; one that leaves a row out or refuses it is told of.
CREATE TABLE told (n serial, what text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_LEVEL = 'STATEMENT' AND TG_WHEN = 'AFTER' THEN
        INSERT INTO told (what) SELECT format('%s %s %s of %s', TG_WHEN, TG_LEVEL, TG_OP, string_agg(code, ' ' ORDER BY code)) FROM new_rows;
    ELSIF TG_LEVEL = 'STATEMENT' THEN
        INSERT INTO told (what) VALUES (format('%s %s %s', TG_WHEN, TG_LEVEL, TG_OP));
    ELSE
        INSERT INTO told (what) VALUES (format('%s %s %s %s', TG_WHEN, TG_LEVEL, TG_OP, NEW.code));
        IF TG_WHEN = 'BEFORE' THEN
            IF NEW.code = 'left out' THEN RETURN NULL; END IF;
            IF NEW.code = 'refused' THEN RAISE 'not this one'; END IF;
            NEW.code := upper(NEW.code);
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER t1 BEFORE INSERT OR UPDATE ON child FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER t2 BEFORE INSERT OR UPDATE ON child FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER t3 AFTER INSERT OR UPDATE ON child FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER t4 AFTER INSERT ON child REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER t5 AFTER UPDATE ON child REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tell();
CALL test_preview('child', E'id,code\n1,first\n50,p\n51,left out\n52,q\n53,refused\n54,r\n',
                  '{"on_conflict": "update", "unique": "id"}') \gset
SELECT ended(:id);
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT row_no, code, message, action FROM issues WHERE job = :id;
SELECT what FROM told ORDER BY n;
SELECT id, code FROM child WHERE id = 1 OR id >= 50 ORDER BY id;

-- A deferred constraint that fails at the commit fails the import, which leaves nothing.
CREATE TABLE strict (a int PRIMARY KEY);
CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE check_violation USING MESSAGE = 'too late'; END$$;
CREATE CONSTRAINT TRIGGER never AFTER INSERT ON strict INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.a = 2) EXECUTE FUNCTION never();
CALL test_preview('strict', E'a\n1\n2\n') \gset
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT import_error(format('SELECT jobs.undo_import(%s)', :id));
SELECT * FROM strict;
-- It can be tried again.
DROP TRIGGER never ON strict;
SELECT jobs.retry(:id);
SELECT jobs.wait(:id);
SELECT ended(:id);
SELECT * FROM strict;

-- Partitions, generated and identity columns, domains, arrays, enums and ranges.
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE TABLE event (id int GENERATED ALWAYS AS IDENTITY, day date NOT NULL, mood mood, share percent, tags text[], span int4range,
                    twice int GENERATED ALWAYS AS (share * 2) STORED, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE event_2 (span int4range, gone int, id int NOT NULL, day date NOT NULL, mood mood, share percent, tags text[],
                      twice int GENERATED ALWAYS AS (share * 2) STORED);
ALTER TABLE event_2 DROP COLUMN gone;
ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CALL test_preview('event', E'day;mood;share;tags;span\n2026-01-05;good;10;{a,b};[1,5)\n2026-02-05;bad;20;{};empty\n2026-01-06;ugly;1;{};\n2026-01-07;good;101;{};\n2026-07-01;good;1;{};\n2026-02-06;;;;\n') \gset
SELECT ended(:id);
SELECT row_no, column_name, code, message, action FROM issues WHERE job = :id;
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT tableoid::regclass, * FROM event ORDER BY id;
SELECT deleted, kept FROM jobs.undo_import(:id);
SELECT count(*) FROM event;

-- A view takes rows by its trigger; policies hold for the owner of the job.
CREATE TABLE base (id int PRIMARY KEY, t text);
CREATE VIEW shown AS SELECT id, t FROM base;
CREATE FUNCTION shown_insert() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO base VALUES (NEW.id, upper(NEW.t)); RETURN NEW; END$$;
CREATE TRIGGER shown_insert INSTEAD OF INSERT ON shown FOR EACH ROW EXECUTE FUNCTION shown_insert();
CALL test_preview('shown', E'id,t\n1,x\n2,y\n3,z\n') \gset
INSERT INTO base VALUES (2, 'taken');
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT * FROM base ORDER BY id;
SELECT row_no, code, message FROM issues WHERE job = :id;
SELECT import_error(format('SELECT jobs.undo_import(%s)', :id));
CREATE ROLE regress_jobs_import LOGIN;
CREATE TABLE own (id int PRIMARY KEY, owner name DEFAULT current_user, n int);
ALTER TABLE own ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON own USING (owner = current_user) WITH CHECK (n < 10);
GRANT SELECT, INSERT, UPDATE, DELETE ON own TO regress_jobs_import;
GRANT SELECT ON issues TO regress_jobs_import;
SET SESSION AUTHORIZATION regress_jobs_import;
CALL test_preview('own', E'id,n\n1,1\n2,20\n3,3\n') \gset
SELECT ended(:id);
SELECT row_no, code, message, action FROM issues WHERE job = :id;
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT * FROM own ORDER BY id;
SELECT deleted, kept FROM jobs.undo_import(:id);
SELECT * FROM own;
-- Rights.
SELECT import_error('SELECT jobs.import_preview(''child'', ''a'')');
RESET SESSION AUTHORIZATION;
GRANT INSERT (a) ON strict TO regress_jobs_import;
SET SESSION AUTHORIZATION regress_jobs_import;
SELECT import_error('SELECT jobs.import_preview(''strict'', ''a'', options => ''{"on_conflict": "update"}'')');
SELECT import_error(format('SELECT jobs.import(%s)', :preview));
SELECT import_error(format('SELECT jobs.rejects(%s)', :preview));
SELECT import_error(format('SELECT jobs.undo_import(%s)', :preview));
SELECT import_error(format('SELECT jobs.import_summary(%s)', :preview));
SELECT count(*) FROM jobs.import_issue WHERE job = :preview;
RESET SESSION AUTHORIZATION;

-- What options and arguments must be.
SELECT import_error('SELECT jobs.import_preview(NULL, ''a''::text)');
SELECT import_error('SELECT jobs.import_preview(''child'', NULL::text)');
SELECT import_error('SELECT jobs.import_preview(''child'', 0)');
SELECT import_error('SELECT jobs.import_preview(''child'', ''a''::text, options => ''[]'')');
SELECT import_error('SELECT jobs.import_preview(''child'', ''a''::text, options => ''{"colour": 1}'')');
SELECT import_error('SELECT jobs.import_preview(''child'', ''a''::text, options => ''{"on_conflict": "maybe"}'')');
SELECT import_error('SELECT jobs.import_preview(''child'', ''a''::text, options => ''{"max_errors": "many"}'')');
SELECT import_error('SELECT jobs.import_preview(''child'', ''a''::text, options => ''{"max_error_ratio": 2}'')');
SELECT import_error('SELECT jobs.import_preview(''child'', ''a''::text, options => ''{"unique": ["nope"]}'')');
SELECT import_error('SELECT jobs.import_preview(''child'', ''a''::text, options => ''{"rules": {"nope": {"check": "email"}}}'')');
SELECT import_error('SELECT jobs.import_preview(''child'', ''a''::text, ''a/b.csv'')');
SELECT import_error('SELECT jobs.import_preview(''pg_class'', ''a''::text)');
SELECT import_error('SELECT jobs.import_preview(''issues'', ''a''::text)');
CREATE TEMPORARY TABLE passing (a int);
SELECT import_error('SELECT jobs.import_preview(''passing'', ''a''::text)');
CREATE MATERIALIZED VIEW stored AS SELECT 1 AS a;
SELECT import_error('SELECT jobs.import_preview(''stored'', ''a''::text)');
SELECT import_error('SELECT jobs.import(NULL)');
SELECT import_error('SELECT jobs.import(0)');
SELECT jobs.run('SELECT 1') AS id \gset
SELECT jobs.wait(:id);
SELECT import_error(format('SELECT jobs.import(%s)', :id));
SELECT import_error(format('SELECT jobs.rejects(%s)', :id));
SELECT import_error(format('SELECT jobs.undo_import(%s)', :id));
SELECT import_error(format('SELECT jobs.import_summary(%s)', :id));

-- What is no file of rows; nothing of it stays.
CALL test_preview('strict', '') \gset
SELECT ended(:id);
SELECT import_error(format('SELECT jobs.import(%s)', :id));
SELECT import_error(format('SELECT jobs.import_summary(%s)', :id));
CALL test_preview('strict', E'a\n') \gset
SELECT ended(:id);
CALL test_preview('strict', E'b,c\n1,2\n') \gset
SELECT ended(:id);
CALL test_preview('strict', E'%PDF-1.4\n') \gset
SELECT ended(:id);
SELECT jobs.import_preview('strict', '\x504b0304140000000800'::bytea) AS id \gset
SELECT jobs.wait(:id);
SELECT ended(:id);
SELECT jobs.import_preview('strict', '\x1f8b0800000000000003abcacc2b49'::bytea) AS id \gset
SELECT jobs.wait(:id);
SELECT ended(:id);
CALL test_preview('strict', E'a\n5\n', '{"rules": {"a": {"check": "sql:value / 0 = 1"}}}') \gset
SELECT ended(:id);
SELECT row_no, code, message, action FROM issues WHERE job = :id;
CREATE FUNCTION writes(int) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN INSERT INTO strict VALUES (99); RETURN true; END$$;
SELECT import_error('SELECT jobs.import_preview(''strict'', ''a''::text, options => ''{"rules": {"a": {"check": "sql:writes(value)"}}}'')');
ALTER FUNCTION writes(int) STABLE;
CALL test_preview('strict', E'a\n6\n', '{"rules": {"a": {"check": "sql:writes(value)"}}}') \gset
SELECT ended(:id);
SELECT row_no, code, message, action FROM issues WHERE job = :id;
SELECT * FROM strict;

-- A table that was altered or dropped after the preview, and a preview that is in use.
CALL test_preview('strict', E'a\n7\n') \gset
ALTER TABLE strict ADD COLUMN b int;
SELECT import_error(format('SELECT jobs.import(%s)', :id));
ALTER TABLE strict DROP COLUMN b;
SELECT jobs.import(:id, run_at => 'tomorrow') AS import \gset
SELECT import_error(format('SELECT jobs.import(%s)', :id));
SELECT import_error(format('SELECT jobs.delete(%s)', :id));
SELECT import_error(format('SELECT jobs.rejects(%s)', :import));
SELECT jobs.cancel(:import);
CALL test_preview('strict', E'a\n7\n') \gset
SELECT jobs.import(:id, run_at => now() + '1 s') AS import \gset
DROP TABLE strict;
SELECT jobs.wait(:import);
SELECT ended(:import);
SELECT import_error(format('SELECT jobs.import(%s)', :id));

-- A hopeless file ends early, and one with a row for which it is refused is not imported.
CREATE TABLE plain (a int);
SELECT E'a\n' || string_agg(CASE WHEN i % 2 = 0 THEN 'x' ELSE i::text END, E'\n' ORDER BY i) AS half FROM generate_series(1, 500) i \gset
CALL test_preview('plain', :'half', '{"max_errors": 10}') \gset
SELECT result -> 'stopped_early' AS stopped_early, processed < 100 AS soon FROM jobs.job WHERE id = :id;
SELECT import_error(format('SELECT jobs.import(%s)', :id));
SELECT actions FROM jobs.panel WHERE id = :id;
CALL test_preview('plain', :'half', '{"max_errors": 10, "max_error_ratio": 0.9}') \gset
SELECT ended(:id);
CALL test_preview('plain', E'a\n1\n-1\n', '{"rules": {"a": {"min": 0, "on_fail": "reject"}}}') \gset
SELECT ended(:id);
SELECT row_no, code, message, action FROM issues WHERE job = :id;
SELECT import_error(format('SELECT jobs.import(%s)', :id));
-- As many issues as the limit are kept; all are counted, and all rows come back.
SET jobs.max_issues = 3;
SELECT format('ALTER DATABASE %I SET jobs.max_issues = 3', current_database()) \gexec
CALL test_preview('plain', E'a\nx\ny\nz\nx1\nx2\n5\n') \gset
SELECT ended(:id), result -> 'issues' AS issues FROM jobs.job WHERE id = :id;
SELECT count(*) FROM issues WHERE job = :id;
SELECT rejects_text(:id);
SELECT format('ALTER DATABASE %I RESET jobs.max_issues', current_database()) \gexec

-- A preview under an isolation level of the owner's, and one with a unique key.
SELECT format('ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''', current_database()) \gexec
CALL test_preview('child', E'id,code\n60,sixty\n61,n\n') \gset
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT format('ALTER DATABASE %I RESET default_transaction_isolation', current_database()) \gexec
SELECT jobs.import_preview('plain', E'a\n1\n'::text, unique_key => 'once', run_at => 'tomorrow') AS id \gset
SELECT jobs.import_preview('plain', E'a\n1\n'::text, unique_key => 'once') = :id AS same;
SELECT jobs.cancel(:id);
CALL test_preview('plain', E'a\n1\n') \gset
SELECT jobs.import(:id, unique_key => 'once', run_at => 'tomorrow') AS import \gset
SELECT jobs.import(:id, unique_key => 'once') = :import AS same;
SELECT jobs.cancel(:import);

-- Files without a header, and in another form: what is left out comes back in it.
CALL test_preview('parent', E'8\nx\n9\n', '{"header": false}') \gset
SELECT rejects_text(:id);
SELECT replace(rejects_text(:id), 'x,', '10,') AS mended \gset
CALL test_preview('parent', :'mended', '{"header": false}') \gset
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT max(id) FROM parent;
CALL test_preview('base', U&'id;t\000D\000A10;"a;b"\000D\000Ax;"q""uote"\000D\000A11;"two\000Alines"\000D\000Ay;\00FC\000D\000A', '{"null": "-"}') \gset
SELECT ended(:id), replace(rejects_text(:id), E'\r', '<CR>');
SELECT jobs.import_preview('base', convert_to(U&'id\0009t\000Ax\0009\00FC\00E4\000A12\0009\00FC\000A', 'LATIN1'), options => '{"encoding": "LATIN1"}') AS id \gset
SELECT jobs.wait(:id);
SELECT ended(:id), encode(string_agg(r, ''), 'escape') FROM jobs.rejects(:id) r;
CALL test_preview('base', E'a file\nid|t\n|\n13|a"b\nx|c,d\n|e\n', '{"skip_lines": 1, "header_rows": 2, "quote": "", "delimiter": "|"}') \gset
SELECT ended(:id), rejects_text(:id);
SELECT rejects_text(:id) AS mended \gset
CALL test_preview('base', :'mended', '{"skip_lines": 1, "header_rows": 2, "quote": "", "delimiter": "|"}') \gset
SELECT ended(:id), rejects_text(:id);
-- With a backslash for what quotes would be for, values come back as they were, and so do names.
CREATE TABLE escaped (a int, b text, "c,d" text);
\set backslash '{"delimiter": ",", "quote": "", "escape": "\\\\", "mapping": {"c\\\\,d": "c,d"}}'
CALL test_preview('escaped', E'a,b,c\\,d\nx1,C:\\\\new,a\\,b\nx2,line\\\nbreak\\nline,tab\\there\\r\nx3,C:\\dir\\\\,\\\\\\,\\\\n\nx4,,\\x\n', :'backslash') \gset
SELECT ended(:id), rejects_text(:id);
SELECT replace(rejects_text(:id), E'\nx', E'\n') AS mended \gset
CALL test_preview('escaped', :'mended', :'backslash') \gset
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT a, to_json(b) AS b, to_json("c,d") AS c FROM escaped ORDER BY a;
DROP TABLE escaped;
CALL test_preview('plain', E'a\n,x\n5\n', '{"delimiter": ","}') \gset
SELECT ended(:id), rejects_text(:id);
SELECT jobs.import_preview('base', '\xfffe' || decode(regexp_replace(encode(convert_to(E'id,t\nx,\n14,y\n', 'UTF8'), 'hex'), '(..)', '\100', 'g'), 'hex'), options => '{"header": true}') AS id \gset
SELECT jobs.wait(:id);
SELECT ended(:id), encode(string_agg(r, ''), 'escape') FROM jobs.rejects(:id) r;

-- Generated columns that follow from a sequence, a default that fails where the file fills its column, a CHECK of the
-- table's identity, one that writes, a trigger that fills in what is missing, and a scale beyond the precision.
CREATE TABLE made (id serial PRIMARY KEY, tenant int NOT NULL DEFAULT current_setting('test.tenant')::int, part numeric(2, 5),
    note text UNIQUE, double int GENERATED ALWAYS AS (id * 2) STORED NOT NULL UNIQUE, shout text GENERATED ALWAYS AS (upper(note)) STORED,
    by_trigger int NOT NULL, CHECK (double > 0), CHECK (tableoid = 'made'::regclass), CONSTRAINT quiet CHECK (shout <> 'LOUD'));
CREATE TABLE seen (note text);
CREATE FUNCTION see(note text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN INSERT INTO seen VALUES (note); RETURN true; END$$;
ALTER TABLE made ADD CHECK (see(note));
CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.by_trigger := 7; RETURN NEW; END$$;
CREATE TRIGGER fill BEFORE INSERT ON made FOR EACH ROW EXECUTE FUNCTION fill();
CALL test_preview('made', E'tenant,part,note\n1,0,a\n2,0.00012,b\n3,0.00112,c\n,0,d\n5,0,loud\n6,,b\n', '{"sensitive": ["note"]}') \gset
SELECT ended(:id), (SELECT count(*) FROM seen) AS seen;
SELECT row_no, column_name, value, code, message FROM issues WHERE job = :id;
CALL test_import(:id) \gset
SELECT ended(:id);
CALL test_preview('made', E'tenant,part,note\n10,0.00099,a\n11,0,e\n', '{"on_conflict": "update", "unique": ["note"]}') \gset
SELECT ended(:id);
CALL test_import(:id) \gset
SELECT ended(:id);
SELECT tenant, part, note, double = id * 2 AS double, by_trigger FROM made ORDER BY note;
DROP TABLE made, seen;
DROP FUNCTION see, fill;

-- Deleting takes everything along.
SELECT count(jobs.delete(id)) > 0 AS deleted FROM jobs.job WHERE state IN ('succeeded', 'failed', 'cancelled') AND kind IN ('import', 'import_preview');
SELECT count(*) FROM jobs.import_issue;
SELECT count(*) FROM jobs.upload;

DROP TABLE contacts, child, parent, told, event, base, own, plain CASCADE;
DROP MATERIALIZED VIEW stored;
DROP TYPE mood;
DROP DOMAIN percent;
DROP VIEW issues;
DROP FUNCTION tell, never, shown_insert, writes, ended, rejects_text, import_error;
DROP PROCEDURE test_preview, test_import;
DROP ROLE regress_jobs_import;
