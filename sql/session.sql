-- The session that each job gets.

SELECT current_user AS admin \gset
CREATE ROLE regress_jobs_alice LOGIN;
CREATE ROLE regress_jobs_web NOLOGIN;
CREATE ROLE regress_jobs_authenticator LOGIN NOINHERIT IN ROLE regress_jobs_web;
ALTER ROLE regress_jobs_alice SET jobs.max_running_per_role = 1;
CREATE SCHEMA session_a;
CREATE TABLE session_log (n serial, what text, value text);
CREATE FUNCTION session_note(what text, value text) RETURNS void LANGUAGE sql AS
    $$INSERT INTO public.session_log (what, value) VALUES (what, value)$$;
GRANT ALL ON session_log, session_log_n_seq TO PUBLIC;

-- Who it is.
\c - regress_jobs_alice
SELECT jobs.run($$SELECT public.session_note('users', concat_ws(' ', current_user, session_user, current_setting('role'), current_setting('is_superuser')))$$) AS id \gset
SELECT jobs.wait(:id);
SELECT value FROM session_log WHERE what = 'users';

-- What an operator sees of it.
SELECT jobs.run('SELECT pg_sleep(0.01) FROM generate_series(1, 6000)', title => 'Monthly figures') AS id \gset
SELECT test_poll(format('count(*) = 1 FROM pg_stat_activity WHERE application_name = ''jobs %s run''', :id));
SELECT usename, datname = current_database() AS here, backend_type, state, client_addr,
       replace(query, :'id', 'N') AS query, pid = (SELECT pid FROM jobs.progress WHERE id = :id) AS pid, xact_start IS NOT NULL AS in_transaction
  FROM pg_stat_activity WHERE application_name = format('jobs %s run', :id) \gx
SELECT jobs.cancel(:id);
SELECT jobs.wait(:id);
SELECT test_poll($$count(*) = 0 FROM pg_stat_activity WHERE query LIKE 'job%Monthly figures%' AND state = 'active'$$);

-- The owner's and the database's settings, as at a login.
\c - :admin
ALTER DATABASE :"DBNAME" SET work_mem = '1001kB';
ALTER DATABASE :"DBNAME" SET app.of_database = 'database';
ALTER ROLE regress_jobs_alice SET maintenance_work_mem = '2002kB';
ALTER ROLE regress_jobs_alice IN DATABASE :"DBNAME" SET work_mem = '1003kB';
ALTER ROLE regress_jobs_alice SET app.of_role = 'role';
\c - regress_jobs_alice
TRUNCATE session_log;
SET work_mem = '1004kB';
SET app.of_session = 'session';
SELECT jobs.run($$SELECT public.session_note(name, current_setting(name, true))
    FROM unnest('{work_mem, maintenance_work_mem, app.of_database, app.of_role, app.of_session}'::text[]) name$$) AS id \gset
SELECT jobs.wait(:id);
SELECT what, value FROM session_log ORDER BY n;
-- Changed, they hold for the next job.
\c - :admin
ALTER ROLE regress_jobs_alice IN DATABASE :"DBNAME" RESET work_mem;
ALTER ROLE regress_jobs_alice SET app.of_role = 'changed';
\c - regress_jobs_alice
TRUNCATE session_log;
SELECT jobs.run($$SELECT public.session_note(name, current_setting(name, true)) FROM unnest('{work_mem, app.of_role}'::text[]) name$$) AS id \gset
SELECT jobs.wait(:id);
SELECT what, value FROM session_log ORDER BY n;
\c - :admin
ALTER DATABASE :"DBNAME" RESET work_mem;
ALTER DATABASE :"DBNAME" RESET app.of_database;
-- Jobs start however often they change.
CREATE PROCEDURE session_changes(INOUT state text DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
BEGIN
    FOR i IN 1..50 LOOP
        EXECUTE format('ALTER ROLE regress_jobs_alice SET app.of_role = %L', i);
        SET LOCAL ROLE regress_jobs_alice;
        id := jobs.run('SELECT 1');
        COMMIT;
        state := jobs.wait(id, '1 min');
        EXIT WHEN state <> 'succeeded';
    END LOOP;
END $$;
CALL session_changes();

-- Settings that are captured at submission: by default those that change what
-- a query means and how its result reads.
\c - regress_jobs_alice
TRUNCATE session_log;
SET search_path = session_a, "$user", "odd, ""name""";
SET DateStyle = 'German, DMY';
SET IntervalStyle = 'iso_8601';
SET TimeZone = 'Asia/Kathmandu';
SET extra_float_digits = 0;
SELECT jobs.run($$SELECT public.session_note(name, current_setting(name)) FROM unnest('{search_path, DateStyle, IntervalStyle, TimeZone, extra_float_digits}'::text[]) name$$) AS id \gset
SELECT jobs.export($$SELECT timestamptz '2026-01-02 03:04:05 UTC', interval '1 day 2 hours'$$) AS export \gset
RESET search_path;
RESET DateStyle;
SELECT jobs.wait(:id), jobs.wait(:export);
SELECT what, value FROM session_log ORDER BY n;
SELECT convert_from(chunk, 'UTF8') FROM jobs.download(:export) chunk;
-- Also those that a function or SET LOCAL has for a moment.
TRUNCATE session_log;
BEGIN;
SET LOCAL TimeZone = 'America/Lima';
SELECT jobs.run($$SELECT public.session_note('TimeZone', current_setting('TimeZone'))$$) AS id \gset
COMMIT;
SELECT jobs.wait(:id);
SELECT what, value FROM session_log ORDER BY n;

-- What row-level policies read.
\c - :admin
ALTER DATABASE :"DBNAME" SET jobs.capture_settings = 'request.jwt.claims, search_path, no.such_setting';
CREATE TABLE session_rows AS SELECT i AS id, CASE i % 2 WHEN 0 THEN 'even' ELSE 'odd' END AS who FROM generate_series(1, 9) i;
ALTER TABLE session_rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON session_rows USING (who = current_setting('request.jwt.claims', true)::jsonb ->> 'sub');
GRANT SELECT ON session_rows TO regress_jobs_web, regress_jobs_alice;
\c - regress_jobs_authenticator
SET ROLE regress_jobs_web;
SET request.jwt.claims = '{"sub": "even", "note": "= , ''\""}';
SELECT jobs.export('SELECT id FROM session_rows ORDER BY id') AS even \gset
SET request.jwt.claims = '{"sub": "odd"}';
SELECT jobs.export('SELECT id FROM session_rows ORDER BY id') AS odd \gset
SET request.jwt.claims = '{}';
SELECT jobs.export('SELECT id FROM session_rows ORDER BY id') AS none \gset
SELECT jobs.wait(:even), jobs.wait(:odd), jobs.wait(:none);
SELECT convert_from(chunk, 'UTF8') AS even FROM jobs.download(:even) chunk;
SELECT convert_from(chunk, 'UTF8') AS odd FROM jobs.download(:odd) chunk;
SELECT convert_from(chunk, 'UTF8') AS none FROM jobs.download(:none) chunk;
-- A retry has them too.
SET request.jwt.claims = '{"sub": "even"}';
SELECT jobs.export('SELECT id FROM session_rows ORDER BY id', run_at => now() + interval '1 day') AS even \gset
RESET request.jwt.claims;
SELECT jobs.cancel(:even), jobs.retry(:even);
SELECT jobs.wait(:even);
SELECT owner, rows FROM jobs.job j JOIN jobs.artifact a ON a.job = j.id WHERE j.id = :even;

-- A role without LOGIN that was reached by SET ROLE: its job is its own, and
-- has no way out.
SELECT jobs.run($$SELECT public.session_note('web', current_user::text)$$) AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.run('SET ROLE regress_jobs_authenticator') AS a \gset
SELECT jobs.run('SET SESSION AUTHORIZATION regress_jobs_authenticator') AS b \gset
SELECT jobs.run($$SELECT set_config('role', 'regress_jobs_authenticator', false)$$) AS c \gset
SELECT jobs.wait(:a), jobs.wait(:b), jobs.wait(:c);
SELECT error_code FROM jobs.job WHERE id IN (:a, :b, :c);
RESET ROLE;
-- The authenticator, who inherits nothing, does not see it.
SELECT count(*) FROM jobs.job WHERE id = :id;
\c - :admin
SELECT value FROM session_log WHERE what = 'web';
-- Where its membership has gone, its jobs do not start any more.
SELECT jobs.pause('session_held');
\c - regress_jobs_authenticator
SET ROLE regress_jobs_web;
SELECT jobs.run('SELECT 1', queue => 'session_held') AS id \gset
\c - :admin
REVOKE regress_jobs_web FROM regress_jobs_authenticator;
SELECT jobs.resume('session_held');
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;

-- What its owner may not set is not set for him either.
ALTER DATABASE :"DBNAME" SET jobs.capture_settings = 'log_min_messages';
\c - regress_jobs_alice
SELECT jobs.run('SELECT 1') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;
\c - :admin
ALTER DATABASE :"DBNAME" SET jobs.capture_settings = '';
\c - regress_jobs_alice
TRUNCATE session_log;
SET search_path = session_a;
SELECT jobs.run($$SELECT public.session_note('search_path', current_setting('search_path'))$$) AS id \gset
SELECT jobs.wait(:id);
SELECT what, value FROM public.session_log;
\c - :admin
ALTER DATABASE :"DBNAME" SET jobs.capture_settings = 'a, "b';
ALTER DATABASE :"DBNAME" RESET jobs.capture_settings;

-- Nothing of one job is left for the next in the same process.
\c - regress_jobs_alice
TRUNCATE session_log;
SELECT jobs.run($$
    CREATE TEMP TABLE session_temp (a int);
    PREPARE session_statement AS SELECT 1;
    SET work_mem = '1234kB';
    SET app.left_behind = 'left';
    SELECT pg_advisory_lock(20030);
    SELECT nextval('session_log_n_seq');
    DECLARE session_cursor CURSOR WITH HOLD FOR SELECT 1;
    SET default_transaction_read_only = on;
    SELECT set_config('search_path', 'pg_temp, session_a', false);
    SET statement_timeout = '1ms';
    SET LOCAL synchronous_commit = off;
$$) AS first \gset
SELECT jobs.run($$
    SELECT public.session_note('temp', to_regclass('session_temp')::text);
    SELECT public.session_note('prepared', count(*)::text) FROM pg_prepared_statements;
    SELECT public.session_note('cursors', count(*)::text) FROM pg_cursors WHERE name <> '';
    SELECT public.session_note('work_mem', (current_setting('work_mem') = '1234kB')::text);
    SELECT public.session_note('app.left_behind', nullif(current_setting('app.left_behind', true), ''));
    SELECT public.session_note('search_path', current_setting('search_path'));
    SELECT public.session_note('locks', count(*)::text) FROM pg_locks WHERE locktype = 'advisory' AND objid = 20030;
    SELECT public.session_note('read_only', current_setting('transaction_read_only'));
    SELECT public.session_note('statement_timeout', current_setting('statement_timeout'));
    SELECT public.session_note('synchronous_commit', current_setting('synchronous_commit'));
    SELECT public.session_note('application_name', regexp_replace(current_setting('application_name'), '\d+', 'N'));
$$, after => ARRAY[:first]) AS second \gset
SELECT jobs.wait(:second);
SELECT state, error_message FROM jobs.job WHERE id = :first;
SELECT what, value FROM session_log ORDER BY n;
-- Nor of one that failed, or was cancelled; and locks go when it ends.
SELECT jobs.run('SELECT pg_advisory_lock(20030); SET work_mem = ''1234kB''; SELECT 1/0') AS id \gset
SELECT jobs.wait(:id);
SELECT test_poll($$count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 20030$$);
SELECT jobs.run('SELECT pg_advisory_lock(20030); SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(10)') AS id \gset
SELECT jobs.wait(:id);
SELECT test_poll($$count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 20030$$);
-- It was one process all the time.
TRUNCATE session_log;
SELECT jobs.run('SELECT public.session_note(''pid'', pg_backend_pid()::text)') AS id \gset
SELECT jobs.run('SELECT public.session_note(''pid'', pg_backend_pid()::text)', after => ARRAY[:id]) AS id \gset
SELECT jobs.wait(:id);
SELECT count(DISTINCT value) AS processes, count(*) AS jobs FROM session_log;
-- A right that is taken away between two jobs is missing in the second.
\c - :admin
REVOKE SELECT ON session_rows FROM regress_jobs_alice;
ALTER TABLE session_rows DISABLE ROW LEVEL SECURITY;
CREATE FUNCTION session_count() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) FROM session_rows); END$$;
GRANT SELECT ON session_rows TO regress_jobs_alice;
\c - regress_jobs_alice
SELECT jobs.run('SELECT session_count()') AS id \gset
SELECT jobs.wait(:id);
\c - :admin
REVOKE SELECT ON session_rows FROM regress_jobs_alice;
\c - regress_jobs_alice
SELECT jobs.run('SELECT session_count()') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;
\c - :admin

DROP TABLE session_log, session_rows;
DROP FUNCTION session_note(text, text);
DROP FUNCTION session_count();
DROP PROCEDURE session_changes;
DROP SCHEMA session_a;
DROP ROLE regress_jobs_alice, regress_jobs_web, regress_jobs_authenticator;
