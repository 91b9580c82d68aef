-- jobs.wait: until a job has ended.

SELECT pg_advisory_lock(20004);
SELECT jobs.run('SELECT pg_advisory_xact_lock(20004)') AS id \gset

-- The state at the timeout.
SELECT test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', :id));
SELECT jobs.wait(:id, '0');
SELECT clock_timestamp() AS before \gset
SELECT jobs.wait(:id, '100 ms');
SELECT clock_timestamp() - :'before' >= interval '100 ms' AS waited;
SELECT jobs.wait(job => :id, timeout => '1 ms');

-- In any transaction that can see it, also a read-only one or with an old snapshot.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) FROM jobs.job WHERE id = :id AND state = 'running';
SELECT pg_advisory_unlock(20004);
SELECT jobs.wait(:id);
SELECT state FROM jobs.job WHERE id = :id;
COMMIT;
SELECT state FROM jobs.job WHERE id = :id;
SELECT jobs.wait(:id);
SELECT jobs.wait(:id, '0');
SELECT jobs.wait(:id, '178000000 years');

-- For several at once.
CREATE TABLE wait_jobs AS SELECT jobs.run('SELECT ' || i) AS id FROM generate_series(1, 100) i;
SELECT jobs.wait(id), count(*) FROM wait_jobs GROUP BY 1;

-- In a procedure, once the submission is committed.
DO $$
DECLARE
    id bigint := jobs.run('SELECT 1');
BEGIN
    COMMIT;
    RAISE NOTICE '%', jobs.wait(id);
END $$;
SELECT test_error('DO $$BEGIN PERFORM jobs.wait(jobs.run(''SELECT 1'')); END$$');
SELECT test_error('SELECT jobs.wait(jobs.run(''SELECT 1''))');

-- A transaction that has to do with many jobs can still wait for others.
SELECT jobs.pause('wait_held');
CREATE TABLE wait_held AS SELECT i, jobs.run('SELECT 1', queue => 'wait_held') AS id FROM generate_series(1, 60) i;
BEGIN;
SELECT bool_and(jobs.cancel(id)) AS cancelled FROM wait_held WHERE i % 2 = 0;
SELECT DISTINCT jobs.wait(id, '0') FROM wait_held WHERE i % 2 = 1;
SELECT DISTINCT jobs.wait(id, '0') FROM wait_held WHERE i % 2 = 0;
ROLLBACK;
SELECT DISTINCT jobs.wait(id, '0') FROM wait_held;
SELECT bool_and(jobs.cancel(id)) AS cancelled FROM wait_held;
SELECT jobs.resume('wait_held');

-- Errors.
SELECT jobs.wait(NULL);
SELECT jobs.wait(NULL, '1 s');
SELECT jobs.wait(999999999);
SELECT jobs.wait(0, '0');
SELECT jobs.wait(:id, '-1 s');
SELECT jobs.wait(:id, '-178000000 years');
SELECT jobs.wait(1, 'soon');
BEGIN;
SELECT jobs.run('SELECT 1') AS own \gset
SELECT test_error(format('SELECT jobs.wait(%s)', :own));
SAVEPOINT s;
SELECT test_error(format('SELECT jobs.wait(%s)', :own));
SELECT jobs.run('SELECT 1') AS own \gset
SELECT test_error(format('SELECT jobs.wait(%s)', :own));
RELEASE s;
SELECT test_error(format('SELECT jobs.wait(%s)', :own));
-- Others can be waited for meanwhile.
SELECT jobs.wait(:id);
COMMIT;
SELECT jobs.wait(:own);

-- It can be interrupted.
SELECT pg_advisory_lock(20004);
SELECT jobs.run('SELECT pg_advisory_xact_lock(20004)') AS id \gset
SET statement_timeout = '50ms';
SELECT jobs.wait(:id);
RESET statement_timeout;
-- It ends with the job, however that ends.
SELECT jobs.run(format('SELECT jobs.cancel(%s)', :id)) AS canceller \gset
SELECT jobs.wait(:id);
SELECT jobs.wait(:canceller);
SELECT pg_advisory_unlock(20004);

-- A job that waits for the session that waits for it: for its lock, or for its
-- snapshot, which jobs.wait holds like every query.
SET deadlock_timeout = '50 ms';
CREATE TABLE wait_locked (a int);
SELECT pg_advisory_lock(20004);
SELECT jobs.run('SELECT pg_advisory_xact_lock(20004)') AS gate \gset
SELECT jobs.run('INSERT INTO wait_locked VALUES (1)', after => ARRAY[:gate]) AS id \gset
SELECT test_error(format('SELECT jobs.wait(%s)', :gate));
BEGIN;
LOCK TABLE wait_locked;
SELECT pg_advisory_unlock(20004);
SELECT jobs.wait(:gate);
SELECT test_error(format('SELECT jobs.wait(%s)', :id));
SELECT test_error(format('SELECT jobs.wait(%s, ''10 min'')', :id));
SELECT jobs.wait(:id, '10 ms');
COMMIT;
SELECT jobs.wait(:id);
SELECT pg_advisory_lock(20004);
SELECT jobs.run('SELECT pg_advisory_xact_lock(20004)') AS gate \gset
SELECT jobs.run('CREATE INDEX CONCURRENTLY ON wait_locked (a)', after => ARRAY[:gate]) AS id \gset
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM wait_locked;
SELECT pg_advisory_unlock(20004);
SELECT test_error(format('SELECT jobs.wait(%s)', :id));
COMMIT;
CREATE PROCEDURE wait_shortly(id bigint, INOUT state text DEFAULT NULL) LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        COMMIT;
        state := jobs.wait(id, '20 ms');
        EXIT WHEN state NOT IN ('queued', 'running');
    END LOOP;
END $$;
CALL wait_shortly(:id);
DROP PROCEDURE wait_shortly;
DROP TABLE wait_locked;
RESET deadlock_timeout;

-- In a job, for another.
SELECT jobs.run('SELECT 1', run_at => now() + interval '50 ms') AS other \gset
SELECT jobs.run(format('SELECT jobs.wait(%s)', :other)) AS id \gset
SELECT jobs.wait(:id);
SELECT a.finished_at <= b.finished_at AS after FROM jobs.job a, jobs.job b WHERE a.id = :other AND b.id = :id;

DROP TABLE wait_jobs, wait_held;
