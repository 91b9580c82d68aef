-- The query of an export: checked at submission, and again when it runs.

SELECT current_user AS admin \gset
CREATE ROLE regress_jobs_alice LOGIN;
CREATE TABLE query_data AS SELECT i AS id, i % 7 AS v FROM generate_series(1, 1000) i;
CREATE TABLE query_log (what text);
CREATE VIEW query_view AS SELECT * FROM query_data;
CREATE SEQUENCE query_sequence;
CREATE TEMP TABLE query_temp (a int);
SELECT count(*) AS before FROM jobs.job WHERE owner = current_user \gset

-- Not a query.
SELECT jobs.export('');
SELECT jobs.export('  -- nothing');
SELECT jobs.export(';');
SELECT jobs.export('INSERT INTO query_log VALUES (''x'')');
SELECT jobs.export('INSERT INTO query_log VALUES (''x'') RETURNING *');
SELECT jobs.export('UPDATE query_data SET v = 0');
SELECT jobs.export('DELETE FROM query_data RETURNING *');
SELECT jobs.export('MERGE INTO query_data USING query_log ON true WHEN MATCHED THEN DELETE');
SELECT jobs.export('CREATE TABLE x AS SELECT 1');
SELECT jobs.export('DROP TABLE query_data');
SELECT jobs.export('EXPLAIN SELECT 1');
SELECT jobs.export('EXPLAIN ANALYZE DELETE FROM query_data');
SELECT jobs.export('SHOW work_mem');
SELECT jobs.export('SET work_mem = ''1MB''');
SELECT jobs.export('BEGIN');
SELECT jobs.export('COPY query_data TO STDOUT');
SELECT jobs.export('CALL test_reload()');
SELECT jobs.export('DO $$BEGIN NULL; END$$');
SELECT jobs.export('EXECUTE x');
SELECT jobs.export('FETCH ALL FROM x');
SELECT jobs.export('VACUUM query_data');
SELECT jobs.export('query_data');

-- More than one.
SELECT jobs.export('SELECT 1; SELECT 2');
SELECT jobs.export('SELECT 1; DELETE FROM query_data');
SELECT jobs.export('SELECT 1;;;DROP TABLE query_data;--');

-- Queries that write or lock.
SELECT jobs.export('WITH d AS (DELETE FROM query_data RETURNING *) SELECT * FROM d');
SELECT jobs.export('WITH d AS (INSERT INTO query_log VALUES (''x'') RETURNING *) SELECT 1');
SELECT jobs.export('WITH d AS (UPDATE query_data SET v = 0) SELECT 1');
SELECT jobs.export('SELECT * FROM query_data FOR UPDATE');
SELECT jobs.export('SELECT * FROM query_data FOR KEY SHARE SKIP LOCKED');
SELECT jobs.export('SELECT * FROM (SELECT * FROM query_data FOR SHARE) x');
SELECT jobs.export('SELECT id INTO query_into FROM query_data');
SELECT jobs.export('SELECT id INTO TEMP query_into FROM query_data');
CREATE VIEW query_locks AS SELECT * FROM query_data FOR UPDATE;
SELECT jobs.export('SELECT * FROM query_locks');

-- Without columns.
SELECT jobs.export('SELECT');
SELECT jobs.export('SELECT FROM query_data');
CREATE TABLE query_no_columns ();
SELECT jobs.export('TABLE query_no_columns');

-- Temporary tables: the job has none of them.
SELECT jobs.export('SELECT * FROM query_temp');
SELECT jobs.export('SELECT (SELECT count(*) FROM query_temp)');
CREATE TEMP VIEW query_temp_view AS SELECT * FROM query_data;
SELECT jobs.export('SELECT * FROM query_temp_view');

-- Mistakes, with their place in the query.
SELECT jobs.export('SELEKT 1');
SELECT jobs.export(E'SELECT id,\n  no_such_column\nFROM query_data');
SELECT jobs.export('SELECT * FROM no_such_table');
SELECT jobs.export('SELECT * FROM no_such_schema.no_such_table');
SELECT jobs.export('SELECT no_such_function(1)');
SELECT jobs.export('SELECT 1 + ''x''::point');
SELECT jobs.export('SELECT $1');
SELECT jobs.export('SELECT ''x''::int');
SELECT jobs.export('SELECT 1 WHERE ''a');
SELECT jobs.export('SELECT id FROM query_data GROUP BY v');
SELECT jobs.export('SELECT * FROM query_data ORDER BY 3');

-- Rights: the caller's, who becomes the owner.
\c - regress_jobs_alice
SELECT jobs.export('SELECT * FROM query_data');
SELECT jobs.export('SELECT * FROM query_view');
SELECT jobs.export('SELECT * FROM pg_authid');
SELECT jobs.export('SELECT pg_read_file(''PG_VERSION'')');
\c - :admin
GRANT SELECT (id) ON query_data TO regress_jobs_alice;
\c - regress_jobs_alice
SELECT jobs.export('SELECT id FROM query_data') AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.export('SELECT id, v FROM query_data');
SELECT jobs.export('TABLE query_data');
\c - :admin

-- None of these has left anything behind.
SELECT count(*) - :before AS jobs FROM jobs.job WHERE owner = current_user;
SELECT count(*) FROM query_data;
SELECT count(*) FROM query_log;
SELECT to_regclass('query_into');

-- A function that writes is refused when it does.
CREATE FUNCTION query_writes() RETURNS int LANGUAGE plpgsql AS $$BEGIN INSERT INTO query_log VALUES ('written'); RETURN 1; END$$;
CREATE FUNCTION query_opens() RETURNS int LANGUAGE plpgsql AS
    $$BEGIN PERFORM set_config('transaction_read_only', 'off', false); INSERT INTO query_log VALUES ('written'); RETURN 1; END$$;
CREATE FUNCTION query_defines() RETURNS int LANGUAGE plpgsql AS $$BEGIN CREATE TABLE query_made (a int); RETURN 1; END$$;
CREATE FUNCTION query_level() RETURNS text LANGUAGE sql AS
    $$SELECT current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only')$$;
CREATE TABLE query_run AS
    SELECT q, jobs.export(q) AS id FROM unnest(ARRAY[
        'SELECT query_writes()', 'SELECT query_opens()', 'SELECT query_defines()', 'SELECT nextval(''query_sequence'')',
        'SELECT setval(''query_sequence'', 100)', 'SELECT jobs.run(''SELECT 1'')', 'SELECT jobs.export(''SELECT 1'')',
        'SELECT jobs.cancel(1)', 'SELECT * FROM query_data WHERE query_writes() = 1']) q;
SELECT q, jobs.wait(id) FROM query_run ORDER BY id;
SELECT q, error_code, error_message FROM query_run JOIN jobs.job USING (id) ORDER BY id;
SELECT count(*) FROM query_log;
SELECT count(*) FROM query_run JOIN jobs.artifact ON job = id;
SELECT jobs.export('SELECT query_level()') AS id \gset
SELECT jobs.wait(:id);
SELECT convert_from(chunk, 'UTF8') FROM jobs.download(:id) chunk;

-- It sees one snapshot: that of its start, not that of its submission.
SELECT jobs.pause('query_held');
SELECT jobs.export('SELECT count(*), count(DISTINCT xmin::text) FROM query_data', queue => 'query_held') AS id \gset
DELETE FROM query_data WHERE id > 900;
SELECT jobs.resume('query_held');
SELECT jobs.wait(:id);
SELECT convert_from(chunk, 'UTF8') FROM jobs.download(:id) chunk;
SELECT pg_advisory_lock(20050);
CREATE FUNCTION query_stop() RETURNS int LANGUAGE sql AS $$SELECT 1 FROM pg_advisory_xact_lock(20050)$$;
CREATE FUNCTION query_count() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) FROM query_data); END$$;
SELECT jobs.export('SELECT query_count() AS before, query_stop() AS stop, query_count() AS after FROM generate_series(1, 2)') AS id \gset
SELECT test_poll('count(*) = 1 FROM pg_locks WHERE locktype = ''advisory'' AND objid = 20050 AND NOT granted');
DELETE FROM query_data WHERE id > 800;
SELECT pg_advisory_unlock(20050);
SELECT jobs.wait(:id);
SELECT convert_from(chunk, 'UTF8') FROM jobs.download(:id) chunk;

-- A query that fails at row 400,000 leaves nothing behind, and says why.
SELECT jobs.export('SELECT g, 1 / (400000 - g) AS quotient FROM generate_series(1, 500000) g', title => 'fails late') AS id \gset
SELECT jobs.wait(:id);
SELECT state, error_code, error_message, processed, total, result FROM jobs.job WHERE id = :id;
SELECT count(*) FROM jobs.artifact WHERE job = :id;
SELECT count(*) FROM jobs.chunk WHERE job = :id;
SELECT headline, actions FROM jobs.panel WHERE id = :id;

-- What it stands on has changed between submission and start.
SELECT jobs.pause('query_held');
CREATE TABLE query_dropped (a int);
CREATE TABLE query_altered (a int, b int);
CREATE TABLE query_emptied (a int);
CREATE TABLE query_retyped (a int);
INSERT INTO query_retyped VALUES (1);
CREATE VIEW query_replaced AS SELECT * FROM query_data;
GRANT SELECT ON query_view TO regress_jobs_alice;
CREATE FUNCTION query_held(query text, options jsonb DEFAULT '{}') RETURNS bigint LANGUAGE sql AS
    $$SELECT jobs.export(query, queue => 'query_held', options => options, title => query)$$;
SELECT query_held('SELECT * FROM query_dropped') AS a \gset
SELECT count(query_held(q)) FROM unnest('{SELECT b FROM query_altered, TABLE query_emptied, TABLE query_retyped, TABLE query_replaced}'::text[]) q;
SELECT query_held('SELECT * FROM query_altered', '{"force_quote": ["b"]}') AS forced \gset
SET ROLE regress_jobs_alice;
SELECT query_held('SELECT count(*) FROM query_view') AS b \gset
RESET ROLE;
DROP TABLE query_dropped;
ALTER TABLE query_altered DROP b;
ALTER TABLE query_emptied DROP a;
ALTER TABLE query_retyped ALTER a TYPE text USING 'text, now';
CREATE OR REPLACE VIEW query_replaced AS SELECT * FROM query_data FOR UPDATE;
REVOKE SELECT ON query_view FROM regress_jobs_alice;
SELECT jobs.resume('query_held');
SELECT title, jobs.wait(id) FROM jobs.job WHERE id BETWEEN :a AND :b ORDER BY id;
SELECT title, error_code, error_message FROM jobs.job WHERE id BETWEEN :a AND :b ORDER BY id;
SELECT count(*) FROM jobs.artifact WHERE job BETWEEN :a AND :b;
-- Mended, a retry makes the file.
CREATE TABLE query_dropped AS SELECT 'made again' AS a;
SELECT jobs.retry(:a);
SELECT jobs.wait(:a);
SELECT convert_from(chunk, 'UTF8') FROM jobs.download(:a) chunk;

-- One that has succeeded can't be retried, so its file stays.
SELECT test_error(format('SELECT jobs.retry(%s)', :a));
SELECT rows FROM jobs.artifact WHERE job = :a;

-- A type of somebody's own, and a row of 64 MB.
SET client_min_messages = warning;
CREATE TYPE query_type;
CREATE FUNCTION query_type_in(cstring) RETURNS query_type LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION query_type_out(query_type) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE query_type (INPUT = query_type_in, OUTPUT = query_type_out);
SELECT jobs.export('SELECT ''as text''::query_type AS a, NULL::query_type AS b') AS a \gset
SELECT jobs.export('SELECT repeat(''0123456789abcdef'', g) AS a, repeat(''x,'', g * 8) AS b FROM generate_series(2000000, 2000000) g',
                   options => '{"compression": "gzip", "header": false}') AS b \gset
SELECT jobs.wait(:a), jobs.wait(:b);
SELECT convert_from(chunk, 'UTF8') FROM jobs.download(:a) chunk;
SELECT rows FROM jobs.artifact WHERE job = :b;

-- Cancelled in the middle, it leaves nothing.
SELECT jobs.export('SELECT g, pg_sleep(0.001) FROM generate_series(1, 1000000) g', title => 'long') AS id \gset
SELECT test_poll(format('processed > 10 FROM jobs.progress WHERE id = %s', :id));
SELECT jobs.cancel(:id);
SELECT jobs.wait(:id);
SELECT count(*) FROM jobs.artifact WHERE job = :id;
SELECT count(*) FROM jobs.chunk WHERE job = :id;

DROP TABLE query_run, query_log, query_no_columns, query_dropped, query_altered, query_emptied, query_retyped;
DROP VIEW query_replaced, query_locks, query_view;
DROP TABLE query_data;
DROP SEQUENCE query_sequence;
DROP FUNCTION query_writes(), query_opens(), query_defines(), query_level(), query_stop(), query_count(), query_held(text, jsonb);
DROP TYPE query_type CASCADE;
RESET client_min_messages;
DROP ROLE regress_jobs_alice;
