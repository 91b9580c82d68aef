-- Exports whose rows are found and written by parallel workers: the bytes are
-- COPY's, in its order.
SELECT current_user AS superuser \gset
CREATE TABLE parallel_data AS
    SELECT i AS id, i * 7919 % 1000 AS k, CASE WHEN i % 50 > 0 THEN md5((i % 300)::text) END AS hash, now() + i * interval '1 second' AS t, repeat('x', i % 200) AS filler
      FROM generate_series(1, 40000) i;
-- Rows that moved, and blocks without any.
UPDATE parallel_data SET k = k + 1 WHERE id % 97 = 0;
DELETE FROM parallel_data WHERE id BETWEEN 9000 AND 12000;
VACUUM ANALYZE parallel_data;
INSERT INTO parallel_data SELECT i, i, 'late', now(), '' FROM generate_series(50001, 50100) i;
CREATE TABLE parallel_empty (a int, b text);
CREATE TABLE parallel_wide (id int, wide text, t text);
ALTER TABLE parallel_wide ALTER wide SET STORAGE EXTERNAL;
INSERT INTO parallel_wide SELECT i, CASE i WHEN 20 THEN repeat('0123456789abcde,', 1250000) ELSE repeat(md5(i::text), i * 100) END, 'short' FROM generate_series(1, 40) i;
CREATE TABLE parallel_parent (id int, t text);
CREATE TABLE parallel_child () INHERITS (parallel_parent);
INSERT INTO parallel_parent SELECT i, 'parent' FROM generate_series(1, 5000) i;
INSERT INTO parallel_child SELECT i, 'child' FROM generate_series(1, 5000) i;
CREATE TABLE parallel_parts (id int, t text) PARTITION BY RANGE (id);
CREATE TABLE parallel_part1 PARTITION OF parallel_parts FOR VALUES FROM (0) TO (3000);
CREATE TABLE parallel_part2 PARTITION OF parallel_parts FOR VALUES FROM (3000) TO (9000);
INSERT INTO parallel_parts SELECT i, md5(i::text) FROM generate_series(0, 8999) i;
CREATE MATERIALIZED VIEW parallel_mat AS SELECT id, hash FROM parallel_data WHERE id % 2 = 0;
CREATE VIEW parallel_view AS SELECT id, upper(hash) AS hash FROM parallel_data WHERE k < 500;
CREATE TABLE parallel_policy AS SELECT i AS id, CASE WHEN i % 3 = 0 THEN 'regress_jobs_parallel' ELSE 'other' END AS who FROM generate_series(1, 20000) i;
ALTER TABLE parallel_policy ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON parallel_policy USING (who = current_user);
CREATE FUNCTION parallel_volatile(i int) RETURNS int LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS 'BEGIN RETURN i + 1; END';
CREATE FUNCTION parallel_unsafe(i int) RETURNS int LANGUAGE plpgsql PARALLEL UNSAFE AS 'BEGIN RETURN i + 1; END';
CREATE FUNCTION parallel_restricted(i int) RETURNS int LANGUAGE plpgsql PARALLEL RESTRICTED AS 'BEGIN RETURN i + 1; END';
-- What kind of process calls it.
CREATE FUNCTION parallel_where(i int) RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS
    $$BEGIN RETURN CASE WHEN i % 4000 <> 0 THEN '' WHEN EXISTS (SELECT FROM pg_stat_activity WHERE pid = pg_backend_pid() AND backend_type = 'parallel worker') THEN 'parallel' ELSE 'leader' END; END$$;
DO $$
DECLARE
    t regclass;
BEGIN
    FOREACH t IN ARRAY '{parallel_data, parallel_empty, parallel_wide, parallel_parent, parallel_child, parallel_part1, parallel_part2, parallel_mat, parallel_policy}'::regclass[] LOOP
        EXECUTE format('ALTER %s %s SET (parallel_workers = 3)', CASE WHEN t::text = 'parallel_mat' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, t);
        EXECUTE 'ANALYZE ' || t;
    END LOOP;
END $$;

-- The role's settings make the worker's planner choose a parallel plan.
CREATE ROLE regress_jobs_parallel LOGIN IN ROLE pg_write_server_files, pg_read_server_files;
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO regress_jobs_parallel;
GRANT pg_read_all_settings TO regress_jobs_parallel;
GRANT SELECT ON parallel_data, parallel_empty, parallel_wide, parallel_parent, parallel_parts, parallel_mat, parallel_view, parallel_policy TO regress_jobs_parallel;
GRANT CREATE ON SCHEMA public TO regress_jobs_parallel;
ALTER ROLE regress_jobs_parallel SET parallel_setup_cost = 0;
ALTER ROLE regress_jobs_parallel SET parallel_tuple_cost = 0;
ALTER ROLE regress_jobs_parallel SET min_parallel_table_scan_size = 0;
ALTER ROLE regress_jobs_parallel SET max_parallel_workers_per_gather = 3;
ALTER ROLE regress_jobs_parallel SET synchronize_seqscans = off;
\c - regress_jobs_parallel
EXPLAIN (COSTS OFF) SELECT * FROM parallel_data;

-- An export, and COPY without parallel workers; of rows in no order, sorted lines.
CREATE PROCEDURE parallel_check(query text, ordered boolean DEFAULT true) LANGUAGE plpgsql AS $$
DECLARE
    path text := current_setting('data_directory') || '/export_parallel.csv';
    id bigint := jobs.export(query);
    theirs bytea;
    ours bytea;
    n bigint;
BEGIN
    COMMIT;
    IF jobs.wait(id) <> 'succeeded' THEN
        RAISE NOTICE '%: %', query, (SELECT j.error_message FROM jobs.job j WHERE j.id = parallel_check.id);
        RETURN;
    END IF;
    PERFORM set_config('max_parallel_workers_per_gather', '0', true);
    EXECUTE format('COPY (%s) TO %L WITH (FORMAT csv, HEADER)', query, path);
    theirs := pg_read_binary_file(path);
    SELECT f.rows INTO n FROM jobs.artifact f WHERE f.job = id;
    SELECT string_agg(c, '') INTO ours FROM jobs.download(id) c;
    IF NOT ordered THEN
        SELECT convert_to(string_agg(l, E'\n' ORDER BY l COLLATE "C"), 'UTF8') INTO ours FROM string_to_table(convert_from(ours, 'UTF8'), E'\n') l;
        SELECT convert_to(string_agg(l, E'\n' ORDER BY l COLLATE "C"), 'UTF8') INTO theirs FROM string_to_table(convert_from(theirs, 'UTF8'), E'\n') l;
    END IF;
    RAISE NOTICE '%: % rows, %', query, n, CASE WHEN sha256(ours) = sha256(theirs) THEN 'the same' ELSE 'DIFFERENT' END;
    PERFORM jobs.delete(id);
    COMMIT;
END $$;
\set VERBOSITY terse

-- A table as it is, and parts of it with gaps.
CALL parallel_check('SELECT * FROM parallel_data');
CALL parallel_check('TABLE parallel_data');
CALL parallel_check('SELECT hash, id, t FROM parallel_data');
CALL parallel_check('SELECT id + 1 AS a, id AS b, hash || k AS c, id AS d, NULL AS e, 1 AS f FROM parallel_data');
CALL parallel_check('SELECT * FROM parallel_data WHERE id % 1000 = 0');
CALL parallel_check('SELECT * FROM parallel_data WHERE id BETWEEN 100 AND 200 OR id BETWEEN 20000 AND 30000 OR id > 50000');
CALL parallel_check('SELECT * FROM parallel_data WHERE k % 13 < 6');
CALL parallel_check('SELECT * FROM parallel_data WHERE id < 0');
CALL parallel_check('SELECT ctid, tableoid::regclass, id FROM parallel_data WHERE k < 900');
CALL parallel_check('SELECT p, p.id FROM parallel_data p');
CALL parallel_check('SELECT d.* FROM parallel_data d WHERE k = (SELECT max(k) FROM parallel_data)');
CALL parallel_check('SELECT d.id, (SELECT count(*) FROM parallel_empty) FROM parallel_data d WHERE EXISTS (SELECT FROM parallel_parts p WHERE p.id = d.k)', ordered => false);
CALL parallel_check('SELECT * FROM parallel_empty');
CALL parallel_check('SELECT * FROM parallel_wide');
CALL parallel_check('SELECT t, wide FROM parallel_wide WHERE id > 15');
CALL parallel_check('SELECT * FROM parallel_parent', ordered => false);
CALL parallel_check('SELECT * FROM ONLY parallel_parent');
CALL parallel_check('SELECT * FROM parallel_parts', ordered => false);
CALL parallel_check('SELECT * FROM parallel_mat');
CALL parallel_check('SELECT * FROM parallel_view', ordered => false);
CALL parallel_check('SELECT * FROM parallel_policy');
CALL parallel_check('SELECT * FROM (SELECT id, k FROM parallel_data) s WHERE k > 10', ordered => false);
CALL parallel_check('WITH w AS (SELECT id, k FROM parallel_data) SELECT * FROM w', ordered => false);
CALL parallel_check('SELECT 1 AS one FROM parallel_data LIMIT 100');
CALL parallel_check('SELECT * FROM parallel_data OFFSET 39000');

-- In the order of a query whose keys leave no choice.
CALL parallel_check('SELECT * FROM parallel_data ORDER BY id');
CALL parallel_check('SELECT * FROM parallel_data ORDER BY id DESC');
CALL parallel_check('SELECT id, t FROM parallel_data ORDER BY hash NULLS FIRST, k DESC, id');
CALL parallel_check('SELECT filler, hash FROM parallel_data ORDER BY hash DESC NULLS LAST, id DESC');
CALL parallel_check('SELECT id, hash FROM parallel_data ORDER BY hash COLLATE "C" NULLS FIRST, id');
CALL parallel_check('SELECT id, hash FROM parallel_data ORDER BY upper(hash) COLLATE "ucs_basic", id % 10 DESC, id');
CALL parallel_check('SELECT hash AS a, hash AS b, id FROM parallel_data ORDER BY 1, 2, 3');
CALL parallel_check('SELECT id + 1 AS n FROM parallel_data WHERE k > 500 ORDER BY n');
CALL parallel_check('SELECT d.id, p.t FROM parallel_data d JOIN parallel_parts p ON p.id = d.k ORDER BY d.id, p.id');
CALL parallel_check('SELECT k, count(*), max(hash) FROM parallel_data GROUP BY k ORDER BY k');
CALL parallel_check('SELECT DISTINCT hash FROM parallel_data ORDER BY hash');
CALL parallel_check('SELECT id, row_number() OVER (ORDER BY id) FROM parallel_data ORDER BY id DESC');
CALL parallel_check('SELECT * FROM parallel_parts ORDER BY id DESC');
CALL parallel_check('SELECT id, wide FROM parallel_wide ORDER BY id DESC');
CALL parallel_check('SELECT id FROM parallel_wide ORDER BY wide, id');
CALL parallel_check('SELECT id FROM parallel_data ORDER BY hash, id LIMIT 1000');
CALL parallel_check('SELECT * FROM parallel_empty ORDER BY a');

-- Functions that not every process may call.
CALL parallel_check('SELECT id, parallel_volatile(k) FROM parallel_data');
CALL parallel_check('SELECT id, parallel_unsafe(k) FROM parallel_data');
CALL parallel_check('SELECT id, parallel_restricted(k) FROM parallel_data', ordered => false);
CALL parallel_check('SELECT id FROM parallel_data WHERE parallel_unsafe(k) > 500');
CALL parallel_check('SELECT id, parallel_restricted(k) FROM parallel_data ORDER BY id');
CALL parallel_check('SELECT generate_series(1, 2) AS g, id FROM parallel_data', ordered => false);

-- An error in a parallel worker is the job's.
SELECT jobs.export('SELECT 1 / (id - 39999) FROM parallel_data') AS job \gset
SELECT jobs.wait(:job);
SELECT error_code, error_message FROM jobs.job WHERE id = :job;

-- Rows as JSON lines are in order, too.
SELECT jobs.export('SELECT * FROM parallel_data', 'jsonl') AS job \gset
SELECT jobs.wait(:job);
SELECT count(*), count(*) FILTER (WHERE line::jsonb = to_jsonb(d)) AS same
  FROM (SELECT line, n FROM (SELECT string_agg(c, '') AS file FROM jobs.download(:job) c) f,
               string_to_table(rtrim(convert_from(file, 'UTF8'), E'\n'), E'\n') WITH ORDINALITY AS l (line, n)) f
  FULL JOIN (SELECT d, row_number() OVER (ORDER BY ctid) AS n FROM parallel_data d) d USING (n);

-- Who calls the functions of a query: parallel workers, but not with a setting of 0.
CREATE PROCEDURE parallel_who() LANGUAGE plpgsql AS $$
DECLARE
    job bigint := jobs.export('SELECT parallel_where(id) FROM parallel_data WHERE id % 4000 = 0', options => '{"header": false}');
BEGIN
    COMMIT;
    RAISE NOTICE '%: %', jobs.wait(job), (SELECT string_agg(DISTINCT w, ', ') FROM jobs.download(job) c, string_to_table(rtrim(convert_from(c, 'UTF8'), E'\n'), E'\n') w);
END $$;
CALL parallel_who();
-- A parallel plan where no worker is to be had.
ALTER ROLE regress_jobs_parallel SET max_parallel_workers = 0;
\c -
\set VERBOSITY terse
CALL parallel_who();
CALL parallel_check('SELECT * FROM parallel_data');
CALL parallel_check('SELECT * FROM parallel_data ORDER BY hash DESC, id');
CALL parallel_check('SELECT id, wide FROM parallel_wide ORDER BY id DESC');
ALTER ROLE regress_jobs_parallel RESET max_parallel_workers;
\c - :superuser
ALTER ROLE regress_jobs_parallel SET jobs.max_export_workers = 0;
\c - regress_jobs_parallel
\set VERBOSITY terse
SHOW jobs.max_export_workers;
SET jobs.max_export_workers = 1;
CALL parallel_who();
CALL parallel_check('SELECT * FROM parallel_data');
CALL parallel_check('SELECT * FROM parallel_data ORDER BY id DESC');

\c - :superuser
DROP VIEW parallel_view;
DROP MATERIALIZED VIEW parallel_mat;
DROP TABLE parallel_data, parallel_empty, parallel_wide, parallel_child, parallel_parent, parallel_parts, parallel_policy;
DROP FUNCTION parallel_volatile, parallel_unsafe, parallel_restricted, parallel_where;
DROP OWNED BY regress_jobs_parallel;
REVOKE EXECUTE ON FUNCTION pg_read_binary_file(text) FROM regress_jobs_parallel;
DROP ROLE regress_jobs_parallel;
