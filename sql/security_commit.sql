-- What a job's code does at the very end of its transaction, and settings of its
-- role, keep nobody from stopping it: neither jobs.cancel nor a timeout.
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/security.psql'
\set cleanup :srcdir '/test/security_end.psql'
\set ECHO none
\i :setup
\set ECHO all
\pset format unaligned
\pset tuples_only on

-- Settings of a role reach a session that rests, and not one that goes from job to job.
CREATE FUNCTION sec.rest() RETURNS boolean LANGUAGE sql AS
$$SELECT test_poll($x$count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'jobs worker' AND state <> 'idle'$x$)$$;
GRANT pg_read_all_stats TO regress_jobs_mallory;

SET SESSION AUTHORIZATION regress_jobs_mallory;
SET search_path = evil, public;

-- A trigger that defers itself until the commit, and sleeps there.
CREATE TABLE late (n integer);
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.n > 0 THEN
        SET CONSTRAINTS ALL DEFERRED;
        INSERT INTO late VALUES (NEW.n - 1);
    ELSE
        PERFORM jobs.report_progress(1);
        PERFORM pg_sleep(600);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
SELECT jobs.run('INSERT INTO evil.late VALUES (2)', timeout => '300 ms') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;
SELECT jobs.run('INSERT INTO evil.late VALUES (2)') AS id \gset
SELECT test_poll('processed = 1 FROM jobs.progress WHERE id = ' || :id);
SELECT jobs.cancel(:id);
SELECT jobs.wait(:id);
SELECT count(*) FROM late;

-- A cursor that is read to its end by the commit.
CREATE FUNCTION slow() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM jobs.report_progress(2), pg_sleep(600);
    RETURN 1;
EXCEPTION WHEN query_canceled THEN
    RETURN 2;
END $$;
SELECT jobs.run('DECLARE c CURSOR WITH HOLD FOR SELECT pg_sleep(600)', timeout => '300 ms') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;

-- One that takes no notice has not got further than the commit's end.
SELECT jobs.run('DECLARE c CURSOR WITH HOLD FOR SELECT evil.slow()') AS id \gset
SELECT test_poll('processed = 2 FROM jobs.progress WHERE id = ' || :id);
SELECT jobs.cancel(:id);
SELECT jobs.wait(:id);
SELECT jobs.run('DECLARE c CURSOR WITH HOLD FOR SELECT evil.slow()', timeout => '300 ms') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;

-- The timeout of statements holds for the commit as it does in a session.
ALTER ROLE regress_jobs_mallory SET statement_timeout = '300 ms';
SELECT sec.rest();
SELECT jobs.run('DECLARE c CURSOR WITH HOLD FOR SELECT pg_sleep(600)') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;
ALTER ROLE regress_jobs_mallory RESET statement_timeout;

-- The owner's limit holds, also where somebody else has logged in.
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_jobs_team SET jobs.max_timeout = '300 ms';
SET SESSION AUTHORIZATION regress_jobs_mallory;
SET ROLE regress_jobs_team;
SHOW jobs.max_timeout;
SELECT jobs.run('SELECT pg_sleep(600)') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;
SELECT jobs.run('SELECT pg_sleep(600)', timeout => '1 h') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;
RESET ROLE;

-- Transactions that wait for others to end are the job's own, where it can be
-- seen and stopped, and not those of the bookkeeping.
ALTER ROLE regress_jobs_mallory SET default_transaction_isolation = serializable;
ALTER ROLE regress_jobs_mallory SET default_transaction_read_only = on;
ALTER ROLE regress_jobs_mallory SET default_transaction_deferrable = on;
SELECT sec.rest();
SELECT jobs.run('SELECT 1', run_at => clock_timestamp() + '300 ms') AS id \gset
BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE;
SELECT count(*) FROM late;
SELECT jobs.wait(:id, '2 s');
SELECT jobs.cancel(:id);
SELECT jobs.wait(:id, '30 s');
COMMIT;
SELECT jobs.run('SELECT 1') AS id \gset
SELECT jobs.wait(:id);
ALTER ROLE regress_jobs_mallory RESET ALL;

RESET SESSION AUTHORIZATION;
\set ECHO none
\i :cleanup
