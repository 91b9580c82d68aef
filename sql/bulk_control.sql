-- Bulk jobs: bad input, and what stops, pauses and resumes them.
CREATE TABLE done (n integer);
CREATE VIEW ended AS
SELECT state, attempt, processed, total, succeeded, failed, skipped, error_code, error_message FROM jobs.job ORDER BY id DESC LIMIT 1;
CREATE TEMP TABLE here (n integer);
CREATE ROLE regress_jobs_bulk LOGIN;
SELECT count(*) AS before FROM jobs.job \gset

-- items
SELECT test_error($$SELECT jobs.bulk('SELECT $1', NULL)$$);
SELECT test_error($$SELECT jobs.bulk('SELECT $1', '{"n": 1}')$$);
SELECT test_error($$SELECT jobs.bulk('SELECT $1', '1')$$);
SELECT test_error($$SELECT jobs.bulk('SELECT $1', '[]')$$);
SELECT test_error($$SELECT jobs.bulk('SELECT $1', '[1, {"n": null}, null]')$$);
SELECT test_error($$SELECT jobs.bulk('SELECT $1', jsonb_build_array(1, repeat('x', 100000000)))$$);
SELECT test_error($$SELECT jobs.bulk_query('SELECT $1', NULL)$$);
SELECT test_error($$SELECT jobs.bulk_query('SELECT $1', '')$$);
SELECT test_error($$SELECT jobs.bulk_query('SELECT $1', 'SELECT 1; SELECT 2')$$);
SELECT test_error($$SELECT jobs.bulk_query('SELECT $1', 'DELETE FROM done RETURNING n')$$);
SELECT test_error($$SELECT jobs.bulk_query('SELECT $1', 'WITH d AS (DELETE FROM done RETURNING n) SELECT * FROM d')$$);
SELECT test_error($$SELECT jobs.bulk_query('SELECT $1', 'SELECT * FROM done FOR UPDATE')$$);
SELECT test_error($$SELECT jobs.bulk_query('SELECT $1', 'SELECT * FROM nowhere')$$);
SELECT test_error($$SELECT jobs.bulk_query('SELECT $1', 'SELECT * FROM here')$$);

-- commands
SELECT test_error($$SELECT jobs.bulk('', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('SELECT $1; SELECT $1', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('SELEC $1', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('SELECT 1', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('SELECT $1, $2', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('SELECT $1, 2', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('SELECT nothing($1)', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('INSERT INTO here SELECT $1::integer', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('SELECT $1 INTO there', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('COMMIT', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('SET work_mem = 64', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('SET ROLE postgres', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('LISTEN x', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('PREPARE p AS SELECT 1', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('CREATE TEMP TABLE t AS SELECT $1', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk('DO ''BEGIN END''', '[1]')$$);

-- numbers
SELECT test_error($$SELECT jobs.bulk('SELECT $1', '[1]', workers => 0)$$);
SELECT test_error($$SELECT jobs.bulk('SELECT $1', '[1]', workers => 1000000)$$);
SELECT test_error($$SELECT jobs.bulk('SELECT $1', '[1]', stop_after => 0)$$);

-- what the caller may not do
SET ROLE regress_jobs_bulk;
SELECT test_error($$SELECT jobs.bulk('INSERT INTO done VALUES ($1::integer)', '[1]')$$);
SELECT test_error($$SELECT jobs.bulk_query('SELECT $1', 'SELECT n FROM done')$$);
RESET ROLE;
SELECT count(*) - :before AS left_behind FROM jobs.job;
SELECT count(*) FROM jobs.item_chunk WHERE job NOT IN (SELECT id FROM jobs.job);

-- an error that hits every item stops the job; what is open goes on after it is mended
CREATE FUNCTION work(n jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF n::integer % 10 = 0 THEN RAISE EXCEPTION 'a ten'; END IF;
	EXECUTE 'INSERT INTO done VALUES ($1)' USING n::integer;
END $$;
ALTER TABLE done RENAME TO gone;
SELECT jobs.bulk_query('SELECT work($1->''n'')', 'SELECT 1 + i % 9 AS n FROM generate_series(1, 2000) i', stop_after => 20) AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT headline, actions FROM jobs.panel WHERE id = :job;
SELECT state, count(*) FROM jobs.item WHERE job = :job GROUP BY state ORDER BY state;
SELECT test_error(format('SELECT jobs.retry_failed(%s)', :job));
ALTER TABLE gone RENAME TO done;
SELECT jobs.retry(:job);
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT jobs.retry_failed(:job);
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT count(*) FROM done;
-- not where others fail in between, nor with null
TRUNCATE done;
SELECT jobs.bulk_query('SELECT work(to_jsonb(($1->>''n'')::integer))', 'SELECT i AS n FROM generate_series(1, 500) i', stop_after => 2) AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT jobs.bulk('SELECT work(''10'') FROM (SELECT $1) x', (SELECT jsonb_agg(i) FROM generate_series(1, 1100) i), stop_after => NULL) AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT count(*) < 50 AS few_rows FROM jobs.outcome WHERE job = :job;

-- a cancel keeps what is finished
TRUNCATE done;
CREATE FUNCTION waits(n integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO done VALUES (n);
	IF n = 30 THEN PERFORM pg_advisory_xact_lock(20077); END IF;
END $$;
SELECT pg_advisory_lock(20077);
SELECT jobs.bulk('SELECT waits($1::integer)', (SELECT jsonb_agg(i ORDER BY i) FROM generate_series(1, 50) i)) AS job \gset
SELECT test_poll(format('EXISTS (SELECT FROM pg_locks WHERE locktype = ''advisory'' AND objid = 20077 AND NOT granted) AND EXISTS (SELECT FROM jobs.job WHERE id = %s)', :job));
SELECT jobs.cancel(:job);
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT headline FROM jobs.panel WHERE id = :job;
SELECT count(*), max(n) FROM done;
SELECT state, min(item_no), max(item_no) FROM jobs.item WHERE job = :job GROUP BY state ORDER BY state;
SELECT pg_advisory_unlock(20077);
SELECT jobs.retry(:job);
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT count(*), count(DISTINCT n) FROM done;

-- so does its timeout
TRUNCATE done;
SELECT pg_advisory_lock(20077);
SELECT jobs.bulk('SELECT waits($1::integer)', (SELECT jsonb_agg(i ORDER BY i) FROM generate_series(1, 50) i), timeout => '300 ms', max_attempts => 1) AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT pg_advisory_unlock(20077);
SELECT jobs.retry(:job);
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT count(*), count(DISTINCT n) FROM done;

-- one whose queue is paused lets go, and goes on when it is resumed
TRUNCATE done;
CREATE FUNCTION dawdles(n integer) RETURNS void LANGUAGE sql AS 'INSERT INTO done VALUES (n); SELECT pg_sleep(0.01)';
SELECT jobs.bulk('SELECT dawdles($1::integer)', (SELECT jsonb_agg(i ORDER BY i) FROM generate_series(1, 200) i), queue => 'regress_bulk') AS job \gset
SELECT test_poll('count(*) >= 5 FROM done');
SELECT jobs.pause('regress_bulk');
SELECT test_poll(format('state <> ''running'' FROM jobs.job WHERE id = %s', :job));
SELECT state, waiting_for, attempt, processed = (SELECT count(*) FROM done) AS exact, total FROM jobs.job WHERE id = :job;
SELECT headline, regexp_replace(detail, '^\d+', 'N') AS detail, actions FROM jobs.panel WHERE id = :job;
SELECT jobs.resume('regress_bulk');
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT count(*), count(DISTINCT n) FROM done;

-- several workers, which a cancel reaches all
TRUNCATE done;
CREATE FUNCTION who(n integer) RETURNS integer LANGUAGE sql AS 'INSERT INTO done VALUES (n); SELECT pg_sleep(0.01); SELECT pg_backend_pid()';
SELECT jobs.bulk('SELECT who($1::integer)', (SELECT jsonb_agg(i ORDER BY i) FROM generate_series(1, 400) i), workers => 3) AS job \gset
SELECT test_poll(format('count(DISTINCT result) = 3 FROM jobs.item WHERE job = %s AND result IS NOT NULL', :job));
SELECT jobs.cancel(:job);
SELECT jobs.wait(:job, '1 min');
SELECT state, processed = (SELECT count(*) FROM done) AS exact, processed < total AS stopped FROM ended;
SELECT jobs.retry(:job);
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT count(*), count(DISTINCT n) FROM done;
SELECT test_poll($$NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid IN (75, 76))$$);

-- items of several workers that are in each other's way
TRUNCATE done;
CREATE FUNCTION counts(n integer) RETURNS void LANGUAGE sql AS 'INSERT INTO done SELECT n FROM (SELECT count(*) FROM done) x';
SET jobs.capture_settings = 'search_path, default_transaction_isolation';
SET default_transaction_isolation = 'serializable';
SELECT jobs.bulk('SELECT counts($1::integer)', (SELECT jsonb_agg(i ORDER BY i) FROM generate_series(1, 1000) i), workers => 3, stop_after => NULL) AS job \gset
RESET default_transaction_isolation;
RESET jobs.capture_settings;
SELECT jobs.wait(:job, '1 min') IN ('succeeded', 'partial') AS ended;
SELECT processed, total, succeeded > 0 AS some, succeeded = (SELECT count(*) FROM done) AS exact, error_message FROM jobs.job WHERE id = :job;
SELECT error_code FROM jobs.failures(:job) WHERE error_code <> '40001';

-- an item that takes the cancel as its own does not keep the job going
CREATE FUNCTION swallows(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO done VALUES (n);
    PERFORM pg_sleep(600);
    RETURN n;
EXCEPTION WHEN query_canceled THEN
    RETURN n;
END $$;
SELECT jobs.bulk('SELECT swallows($1::integer)', '[1, 2, 3]') AS job \gset
SELECT test_poll(format('EXISTS (SELECT FROM jobs.progress WHERE id = %s AND pid IS NOT NULL)', :job));
SELECT test_poll('EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = ''PgSleep'' AND backend_type = ''jobs worker'')');
SELECT jobs.cancel(:job);
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;

-- equal failures to the very end: nothing is left open, so it is no stop
SELECT jobs.bulk('SELECT 1 / $1::integer', '[0, 0, 0]', stop_after => 3) AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT count(*) FROM jobs.item_history(:job, 1);
SELECT count(*) FROM jobs.item_history(:job, 0);
SELECT count(*) FROM jobs.item_history(:job, -1);
SELECT count(*) FROM jobs.item_history(:job, 4);

-- settings that a deferred trigger or the query of the items changes reach no item
CREATE TABLE deferring (n integer);
CREATE FUNCTION changes_settings(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('work_mem', '77MB', false);
    RETURN n;
END $$;
CREATE FUNCTION defers() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM changes_settings(1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER defers AFTER INSERT ON deferring DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION defers();
SELECT jobs.bulk_query('INSERT INTO deferring VALUES (($1->>''n'')::integer) RETURNING current_setting(''work_mem'')',
    'SELECT changes_settings(n) AS n FROM generate_series(1, 3) AS n') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT count(*), count(DISTINCT result), bool_or(result = '"77MB"') AS changed FROM jobs.item WHERE job = :job;

-- the query of the items may run in parallel
CREATE TABLE many AS SELECT n FROM generate_series(1, 20000) AS n;
SET jobs.capture_settings = 'search_path, parallel_setup_cost, parallel_tuple_cost, min_parallel_table_scan_size';
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT n FROM many WHERE n % 2 = 0;
SELECT jobs.bulk_query('SELECT $1', 'SELECT n FROM many WHERE n % 2 = 0') AS job \gset
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET jobs.capture_settings;
SELECT jobs.wait(:job, '1 min');
SELECT state, total, succeeded, error_message FROM jobs.job WHERE id = :job;

-- the owner's lock_timeout is for the locks of items, not for workers that wait for each other
SET jobs.capture_settings = 'search_path, lock_timeout';
SET lock_timeout = '10ms';
TRUNCATE done;
CREATE FUNCTION slow(n integer) RETURNS void LANGUAGE sql AS 'INSERT INTO done VALUES (n); SELECT pg_sleep(CASE WHEN n IN (3, 4) THEN 0.5 ELSE 0.03 END)';
SELECT jobs.bulk('SELECT slow($1::integer)', (SELECT jsonb_agg(i ORDER BY i) FROM generate_series(1, 8) i), workers => 3) AS job \gset
RESET lock_timeout;
RESET jobs.capture_settings;
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;

-- what an item says is shown, whichever worker it is in
CREATE FUNCTION says(n integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM jobs.report_progress(n, message => 'in ' || pg_backend_pid());
    PERFORM pg_sleep(0.05);
END $$;
SELECT jobs.bulk('SELECT says($1::integer)', (SELECT jsonb_agg(i) FROM generate_series(1, 10000) i), workers => 2) AS job \gset
SELECT test_poll(format('EXISTS (SELECT FROM jobs.progress WHERE id = %s AND message LIKE ''in '' || pid || '' (%%'')', :job)) AS leader;
SELECT test_poll(format('EXISTS (SELECT FROM jobs.progress WHERE id = %s AND message LIKE ''in %%'' AND message NOT LIKE ''in '' || pid || '' (%%'')',
    :job)) AS helper;
SELECT jobs.cancel(:job);
SELECT jobs.wait(:job);

-- a setting that a cursor changes at the commit does not outlive the batch
CREATE FUNCTION keeps_cursor(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DECLARE kept_%s CURSOR WITH HOLD FOR SELECT set_config(''work_mem'', ''%s64kB'', false)', n, n);
    PERFORM pg_sleep(0.03);     -- a slow item ends its batch
    RETURN current_setting('work_mem') = current_setting('jobs_test.work_mem');
END $$;
SELECT set_config('jobs_test.work_mem', current_setting('work_mem'), false);
ALTER FUNCTION keeps_cursor SET jobs_test.work_mem FROM CURRENT;
SELECT jobs.bulk('SELECT keeps_cursor($1::integer)', '[1, 2, 3]') AS job \gset
SELECT jobs.wait(:job);
SELECT item_no, state, result, error_message FROM jobs.item WHERE job = :job ORDER BY 1;

-- jobs of other kinds have no items; of others one sees nothing
SELECT jobs.run('SELECT 1') AS run \gset
SELECT jobs.wait(:run, '1 min');
SELECT test_error(format('SELECT jobs.retry_failed(%s)', :run));
SELECT test_error(format('SELECT * FROM jobs.failures(%s)', :run));
SET ROLE regress_jobs_bulk;
SELECT count(*) FROM jobs.item;
SELECT count(*) FROM jobs._items(:job, 1);
SELECT test_error(format('SELECT * FROM jobs.failures(%s)', :job));
SELECT test_error(format('SELECT * FROM jobs.item_history(%s)', :job));
SELECT test_error(format('SELECT jobs.retry_failed(%s)', :job));
SELECT test_error(format('SELECT jobs.skip_failed(%s)', :job));
RESET ROLE;

-- a result that is too large fails its item
SELECT jobs.bulk('SELECT CASE WHEN $1 = ''1'' THEN repeat(''x'', 16 * 1024 * 1024) ELSE $1::text END', '[1, 2]') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT item_no, state, error_code, error_message, error_hint, result FROM jobs.item WHERE job = :job ORDER BY item_no;

-- with the same unique key there are no second items
SELECT jobs.pause('regress_bulk');
SELECT jobs.bulk('SELECT $1', '[1, 2]', queue => 'regress_bulk', unique_key => 'k') AS job \gset
SELECT jobs.bulk('SELECT $1', '[3]', queue => 'regress_bulk', unique_key => 'k') = :job AS same;
SELECT item_no, payload, state FROM jobs.item WHERE job = :job ORDER BY item_no;
SELECT state, processed, total FROM ended;
SELECT jobs.cancel(:job);
SELECT * FROM ended;
SELECT jobs.resume('regress_bulk');

-- nothing is left of one that is deleted
SELECT jobs.delete(:job);
SELECT count(*) FROM jobs.item WHERE job = :job;
SELECT test_poll(format('NOT EXISTS (SELECT FROM jobs.garbage) AND NOT EXISTS (SELECT FROM jobs.item_chunk WHERE job = %s)', :job));

-- nor of one whose time is over
SELECT jobs.bulk('SELECT $1', (SELECT jsonb_agg(i) FROM generate_series(1, 1000) i)) AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT count(*) FROM jobs.item_chunk WHERE job = :job;
ALTER SYSTEM SET jobs.history_retention = 0;
SELECT pg_reload_conf();
SELECT test_poll(format('NOT EXISTS (SELECT FROM jobs.item_chunk WHERE job = %s) AND NOT EXISTS (SELECT FROM jobs.outcome WHERE job = %s)', :job, :job));
SELECT count(*) FROM jobs.job WHERE id = :job;
ALTER SYSTEM RESET jobs.history_retention;
SELECT pg_reload_conf();

-- an owner who may not log in any more, while his job runs
CREATE TABLE go (n integer);
CREATE FUNCTION holds(n integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(0.03);     -- a slow item ends its batch
    WHILE NOT EXISTS (SELECT FROM go) LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
GRANT SELECT ON go TO regress_jobs_bulk;
SELECT current_user AS admin \gset
\c - regress_jobs_bulk
SELECT jobs.bulk('SELECT holds($1::integer)', '[1, 2, 3]') AS job \gset
\c - :admin
SELECT test_poll(format('EXISTS (SELECT FROM jobs.progress WHERE id = %s AND pid IS NOT NULL)', :job));
SELECT test_poll('EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = ''PgSleep'' AND backend_type = ''jobs worker'')');
ALTER ROLE regress_jobs_bulk NOLOGIN;
INSERT INTO go VALUES (1);
SELECT jobs.wait(:job, '1 min');
SELECT state, processed, total, error_code, error_message FROM jobs.job WHERE id = :job;

DROP VIEW ended;
DROP TABLE done, deferring, many, go;
DROP FUNCTION work, waits, dawdles, who, counts, swallows, changes_settings, defers, slow, holds, says, keeps_cursor;
DROP ROLE regress_jobs_bulk;
