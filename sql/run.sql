-- jobs.run: any SQL as a background job.

CREATE TABLE run_log (n serial PRIMARY KEY, what text UNIQUE DEFERRABLE INITIALLY DEFERRED);

-- Runs a command to its end and tells what became of it.  It waits in short
-- transactions, because some commands wait for the snapshots of others.
CREATE PROCEDURE test_run(command text, INOUT id bigint DEFAULT NULL, INOUT state text DEFAULT NULL,
    INOUT processed bigint DEFAULT NULL, INOUT result jsonb DEFAULT NULL, INOUT error text DEFAULT NULL) LANGUAGE plpgsql AS $$
BEGIN
    id := jobs.run(command);
    LOOP
        COMMIT;
        state := jobs.wait(id, '50 ms');
        EXIT WHEN state IN ('succeeded', 'failed', 'cancelled');
    END LOOP;
    SELECT j.processed, j.result, j.error_code || ': ' || j.error_message || coalesce(E'\nDETAIL: ' || j.error_detail, '') ||
           coalesce(E'\nHINT: ' || j.error_hint, '')
      INTO processed, result, error FROM jobs.job j WHERE j.id = test_run.id;
    id := NULL;
END $$;

-- Queries and their counts.
CALL test_run('SELECT 1');
CALL test_run('SELECT * FROM generate_series(1, 12345)');
CALL test_run('SELECT 1 WHERE false');
CALL test_run('SELECT');
CALL test_run('VALUES (1), (2)');
CALL test_run('TABLE run_log');
CALL test_run('WITH x AS (SELECT 1) SELECT * FROM x');

-- Changes.
CALL test_run($$INSERT INTO run_log (what) SELECT 'row ' || i FROM generate_series(1, 5) i$$);
CALL test_run($$UPDATE run_log SET what = what || '!' WHERE n > 3$$);
CALL test_run($$DELETE FROM run_log WHERE n = 1 RETURNING what$$);
CALL test_run($$MERGE INTO run_log r USING (VALUES ('row 2'), ('row 6')) v (what) ON r.what = v.what
    WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT (what) VALUES (v.what)$$);
CALL test_run($$WITH d AS (DELETE FROM run_log WHERE n = 2 RETURNING *) INSERT INTO run_log (what) SELECT 'again ' || what FROM d$$);
SELECT what FROM run_log ORDER BY n;
TRUNCATE run_log RESTART IDENTITY;

-- Definitions, settings, utility commands.
CALL test_run('CREATE TABLE run_made (a int)');
CALL test_run('CREATE TABLE run_copy AS SELECT generate_series(1, 3) AS a');
CALL test_run('DROP TABLE run_made, run_copy');
CALL test_run('SET work_mem = ''1MB''');
CALL test_run('SHOW work_mem');
CALL test_run('EXPLAIN SELECT 1');
CALL test_run('VACUUM (ANALYZE) run_log');
CALL test_run('CREATE INDEX CONCURRENTLY run_index ON run_log (what)');
CALL test_run('NOTIFY run_channel');
CALL test_run('LOCK TABLE run_log');
CALL test_run('DO $$BEGIN PERFORM 1; END$$');
CALL test_run('DECLARE c CURSOR FOR SELECT 1');
CALL test_run('PREPARE p AS SELECT 1; EXECUTE p');

-- Several statements are one transaction; what is counted is their sum, what is
-- kept is the last one's tag.
CALL test_run($$INSERT INTO run_log (what) VALUES ('a'), ('b'); INSERT INTO run_log (what) VALUES ('c'); SELECT 1 WHERE false$$);
CALL test_run($$;;INSERT INTO run_log (what) VALUES ('d');; CREATE TABLE run_made (a int); -- the end$$);
CALL test_run($$CREATE TABLE run_next (a int); INSERT INTO run_next VALUES (1); ALTER TABLE run_next ADD b int; UPDATE run_next SET b = a$$);
SELECT count(DISTINCT xmin::text) FROM run_log WHERE what < 'd';
CALL test_run($$INSERT INTO run_log (what) VALUES ('x'); DROP TABLE run_made; SELECT 1/0; INSERT INTO run_log (what) VALUES ('y')$$);
CALL test_run($$INSERT INTO run_log (what) VALUES ('x'); VACUUM run_log$$);
SELECT what FROM run_log ORDER BY n;
SELECT count(*) FROM run_made;
DROP TABLE run_made, run_next;

-- Errors of every sort become the job's.
CALL test_run('SELECT no_such_column');
CALL test_run('SELECT * FROM no_such_table');
CALL test_run('SELECT no_such_function()');
CALL test_run($$INSERT INTO run_log (n) VALUES (NULL)$$);
CALL test_run($r$DO $x$BEGIN RAISE EXCEPTION 'too %', 'bad' USING ERRCODE = 'ZX001', DETAIL = 'Some detail.', HINT = 'Some hint.'; END$x$$r$);
SELECT jobs.run($r$DO $x$BEGIN RAISE EXCEPTION '%', repeat('ü', 10000); END$x$$r$) AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, left(error_message, 3), length(error_message) FROM jobs.job WHERE id = :id;
CALL test_run($r$DO $x$BEGIN RAISE EXCEPTION ''; END$x$$r$);
CALL test_run($r$DO $x$BEGIN RAISE WARNING 'only a warning'; RAISE NOTICE 'a notice'; END$x$$r$);
CALL test_run('SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)');
CALL test_run('SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(10)');
CALL test_run($$SET statement_timeout = '10ms'; SELECT pg_sleep(10)$$);
CALL test_run($$SET lock_timeout = '10ms'; SELECT 1$$);
CALL test_run('SELECT $1');
CALL test_run('LISTEN run_channel');

-- A syntax error is told at submission, with its place in the command.
SELECT jobs.run(E'SELECT 1;\nSELEKT 2');
SELECT jobs.run('SELECT ''open');
SELECT jobs.run('SELECT 1 FROM');
SELECT jobs.run('\d run_log');

-- The transaction is the job's own.
SELECT jobs.run('BEGIN');
SELECT jobs.run('SELECT 1; COMMIT');
SELECT jobs.run('ROLLBACK; SELECT 1');
SELECT jobs.run('START TRANSACTION READ ONLY');
SELECT jobs.run('SAVEPOINT a');
SELECT jobs.run('COMMIT PREPARED ''x''');
SELECT jobs.run('PREPARE TRANSACTION ''x''');
CALL test_run('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM run_log');

-- There is no client to talk to.
SELECT jobs.run('COPY run_log FROM STDIN');
SELECT jobs.run('SELECT 1; COPY run_log TO STDOUT');
SELECT jobs.run('COPY (SELECT 1) TO STDOUT');
CALL test_run('COPY run_log TO ''/dev/null''');
CALL test_run('COPY run_log TO PROGRAM ''cat > /dev/null''');

-- A constraint that is checked at the end fails the job, whose changes are undone.
CALL test_run($$INSERT INTO run_log (what) VALUES ('a')$$);
CALL test_run($$INSERT INTO run_log (what) VALUES ('a'); SELECT 1; DELETE FROM run_log WHERE n = (SELECT min(n) FROM run_log)$$);
SELECT what FROM run_log ORDER BY n;
CREATE FUNCTION run_fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'refused by a trigger at the end'; END$$;
CREATE CONSTRAINT TRIGGER run_late AFTER INSERT ON run_log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION run_fail();
CALL test_run($$INSERT INTO run_log (what) VALUES ('late')$$);
SELECT count(*) FROM run_log WHERE what = 'late';
DROP TRIGGER run_late ON run_log;

-- A procedure that commits: what it has committed stays.
TRUNCATE run_log;
CREATE PROCEDURE run_steps(fail_at int DEFAULT 0) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..5 LOOP
        INSERT INTO run_log (what) VALUES ('step ' || i);
        IF i = fail_at THEN
            RAISE EXCEPTION 'step % failed', i;
        END IF;
        COMMIT;
        PERFORM jobs.report_progress(i, 5);
    END LOOP;
    INSERT INTO run_log (what) VALUES ('rolled back');
    ROLLBACK;
    INSERT INTO run_log (what) VALUES (current_user = session_user);
END $$;
CALL test_run('CALL run_steps()');
SELECT what FROM run_log ORDER BY n;
SELECT count(DISTINCT xmin::text) FROM run_log;
TRUNCATE run_log;
CALL test_run('CALL run_steps(fail_at => 3)');
SELECT what FROM run_log ORDER BY n;
CALL test_run('DO $$BEGIN INSERT INTO run_log (what) VALUES (''do''); COMMIT; END$$');
-- Not beside other statements, as in psql with several in one message.
CALL test_run('SELECT 1; CALL run_steps()');
CALL test_run('DO $$BEGIN COMMIT; END$$; SELECT 1');
SELECT what FROM run_log ORDER BY n;

-- A job can submit others, and look at itself; it can't wait for itself.
CALL test_run($$SELECT jobs.run('INSERT INTO run_log (what) VALUES (''from the child'')', title => 'child')$$);
SELECT jobs.wait(max(id)) FROM jobs.job WHERE title = 'child';
SELECT what FROM run_log ORDER BY n;
SELECT jobs.run('SELECT jobs.wait(id) FROM jobs.job WHERE title = ''itself''', title => 'itself') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, regexp_replace(error_message, '\d+', 'N') AS error_message, error_hint FROM jobs.job WHERE id = :id;
SELECT jobs.run('SELECT jobs.cancel(id), pg_sleep(10) FROM jobs.job WHERE title = ''cancels itself''', title => 'cancels itself') AS id \gset
SELECT jobs.wait(:id);

-- Rows go nowhere, however large they are.
CALL test_run('SELECT repeat(''x'', 10000000) FROM generate_series(1, 3)');

DROP TABLE run_log;
DROP FUNCTION run_fail();
DROP PROCEDURE run_steps(int);
DROP PROCEDURE test_run;
