-- Progress: seen by others at once, from inside a running transaction.

CREATE ROLE regress_jobs_alice LOGIN;
CREATE ROLE regress_jobs_bob LOGIN;

-- The job stops at each of these locks until we let go of it.
SELECT count(pg_advisory_lock(20040 + i)) FROM generate_series(1, 8) i;
CREATE FUNCTION progress_stop(n int) RETURNS void LANGUAGE sql AS $$SELECT pg_advisory_xact_lock(20040 + n)$$;
CREATE FUNCTION progress_reached(n int) RETURNS boolean LANGUAGE sql AS $$
    SELECT test_poll(format('count(*) = 1 FROM pg_locks WHERE locktype = ''advisory'' AND objid = %s AND NOT granted', 20040 + n))
$$;
CREATE TABLE progress_log (a int);
SELECT jobs.run($$
    SELECT progress_stop(1);
    INSERT INTO progress_log VALUES (1);
    SELECT jobs.report_progress(5);
    SELECT progress_stop(2);
    SELECT jobs.report_progress(10, 40, 'a quarter');
    SELECT progress_stop(3);
    SELECT jobs.report_progress(30, 40);
    SELECT progress_stop(4);
    SELECT jobs.report_progress(20, 40, 'back');
    SELECT progress_stop(5);
    SELECT jobs.report_progress(20, 10, '');
    SELECT progress_stop(6);
    SELECT jobs.report_progress(5000, 40, 'far too many');
    SELECT progress_stop(7);
    SELECT jobs.report_progress(40, 40);
    SELECT progress_stop(8);
$$, title => 'reports') AS id \gset
SELECT progress_reached(1);
SELECT kind, state, phase, processed, total, percent, bytes, succeeded, failed, skipped, warnings, rows_per_second, eta, message,
       waiting_for, started_at <= clock_timestamp() AS started, elapsed >= '0' AS elapsed, pid IS NOT NULL AS pid
  FROM jobs.progress WHERE id = :id \gx
SELECT headline, detail, percent, can_leave, actions FROM jobs.panel WHERE id = :id;

-- Without a total.
SELECT pg_advisory_unlock(20041);
SELECT progress_reached(2);
SELECT processed, total, percent, message, eta FROM jobs.progress WHERE id = :id;
SELECT headline, detail, percent FROM jobs.panel WHERE id = :id;
-- It is not committed, and the job's row is not touched.
SELECT count(*) FROM progress_log;
SELECT processed, total, state FROM jobs.job WHERE id = :id;
SELECT ctid AS place FROM jobs.live WHERE id = :id \gset

-- With one.
SELECT pg_advisory_unlock(20042);
SELECT progress_reached(3);
SELECT processed, total, percent, message FROM jobs.progress WHERE id = :id;
SELECT headline, detail, percent FROM jobs.panel WHERE id = :id;
SELECT test_poll(format('rows_per_second > 0 AND eta > ''0'' FROM jobs.progress WHERE id = %s', :id));
SELECT pg_advisory_unlock(20043);
SELECT progress_reached(4);
SELECT processed, total, percent, message FROM jobs.progress WHERE id = :id;

-- The percentage never goes back, and stays under 100.
SELECT pg_advisory_unlock(20044);
SELECT progress_reached(5);
SELECT processed, total, percent, message FROM jobs.progress WHERE id = :id;
SELECT pg_advisory_unlock(20045);
SELECT progress_reached(6);
SELECT processed, total, percent, message FROM jobs.progress WHERE id = :id;
SELECT pg_advisory_unlock(20046);
SELECT progress_reached(7);
SELECT processed, total, percent, message FROM jobs.progress WHERE id = :id;
SELECT headline, detail, percent FROM jobs.panel WHERE id = :id;
SELECT pg_advisory_unlock(20047);
SELECT progress_reached(8);
SELECT processed, total, percent, message, eta FROM jobs.progress WHERE id = :id;
SELECT ctid = :'place' AS untouched FROM jobs.live WHERE id = :id;

-- Final counts are those last told, in the row and for an hour in the view.
SELECT pg_advisory_unlock(20048);
SELECT jobs.wait(:id);
SELECT processed, total, state FROM jobs.job WHERE id = :id;
SELECT state, phase, processed, total, percent, eta, message, waiting_for, pid, elapsed > '0' AS elapsed, rows_per_second > 0 AS rate
  FROM jobs.progress WHERE id = :id;
SELECT headline, detail, percent, can_leave FROM jobs.panel WHERE id = :id;

-- A failed job shows what was done by nobody.
SELECT jobs.run('SELECT jobs.report_progress(50, 100, ''half''); SELECT 1/0') AS id \gset
SELECT jobs.wait(:id);
SELECT state, processed, total, percent, message FROM jobs.progress WHERE id = :id;

-- Counting without reporting: what an export does, and a command's rows.
SELECT pg_advisory_lock(20041);
CREATE FUNCTION progress_slow(i int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF i = 700 THEN
        PERFORM progress_stop(1);
    END IF;
    RETURN i;
END $$;
CREATE TABLE progress_rows AS SELECT i FROM generate_series(1, 1000) i;
-- From 16 on a table may have more blocks than rows need; this gives them back.
VACUUM ANALYZE progress_rows;
SELECT jobs.export('SELECT progress_slow(i) AS i FROM progress_rows', title => 'slow') AS id \gset
SELECT progress_reached(1);
SELECT kind, state, phase, processed, total, total_is_estimate, percent, bytes, message FROM jobs.progress WHERE id = :id;
SELECT headline, detail, percent FROM jobs.panel WHERE id = :id;
SELECT pg_advisory_unlock(20041);
SELECT jobs.wait(:id);
SELECT kind, state, phase, processed, total, total_is_estimate, percent, bytes, message FROM jobs.progress WHERE id = :id;
-- An estimate that is too low grows with the rows.
SELECT pg_advisory_lock(20041);
SELECT jobs.export('SELECT progress_slow(i) AS i FROM progress_rows WHERE i + 0 = abs(i) OFFSET 0', title => 'underestimated') AS id \gset
SELECT progress_reached(1);
SELECT processed, total = processed AS total, percent FROM jobs.progress WHERE id = :id;
SELECT pg_advisory_unlock(20041);
SELECT jobs.wait(:id);
SELECT processed, total, percent FROM jobs.progress WHERE id = :id;

-- Told is told, also in a block that is rolled back.
SELECT jobs.run($$DO $do$
BEGIN
    BEGIN
        PERFORM jobs.report_progress(7, 10, 'in a block that fails');
        RAISE EXCEPTION 'no';
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
END $do$ $$) AS id \gset
SELECT jobs.wait(:id);
SELECT processed, total FROM jobs.job WHERE id = :id;

-- Long messages are cut.
SELECT pg_advisory_lock(20041);
SELECT jobs.run('SELECT jobs.report_progress(1, message => repeat(''ü'', 10000)); SELECT progress_stop(1)') AS id \gset
SELECT progress_reached(1);
SELECT length(message) BETWEEN 50 AND 1000 AS cut, rtrim(message, 'ü') AS rest FROM jobs.progress WHERE id = :id;
SELECT pg_advisory_unlock(20041);
SELECT jobs.wait(:id);

-- Only those who may see the job see it.
GRANT EXECUTE ON FUNCTION progress_stop(int) TO PUBLIC;
SELECT pg_advisory_lock(20041);
SET ROLE regress_jobs_alice;
SET jobs.tenant = 'acme';
SELECT jobs.run('SELECT jobs.report_progress(1, 2); SELECT progress_stop(1)', title => 'of acme') AS id \gset
SELECT progress_reached(1);
SELECT title, processed FROM jobs.progress WHERE title = 'of acme';
SELECT processed FROM jobs._slots();
SET jobs.tenant = 'umbrella';
SELECT title, processed FROM jobs.progress WHERE title = 'of acme';
SELECT processed FROM jobs._slots();
RESET jobs.tenant;
SELECT title, processed FROM jobs.progress WHERE title = 'of acme';
SET ROLE regress_jobs_bob;
SELECT title, processed FROM jobs.progress WHERE title = 'of acme';
SELECT processed FROM jobs._slots();
RESET ROLE;
SELECT pg_advisory_unlock(20041);
SELECT jobs.wait(:id);

-- The phases of an export.  The rows are counted first where that is cheap, so the
-- query runs twice, and stops twice; then the file's row has to wait for us.
CREATE FUNCTION progress_twice(i int) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF i = 700 THEN
        PERFORM pg_advisory_lock(20040 + n), pg_advisory_unlock(20040 + n) FROM generate_series(1, 2) n;
    END IF;
    RETURN i;
END $$;
SELECT count(pg_advisory_lock(20040 + i)) FROM generate_series(1, 2) i;
SELECT jobs.export('SELECT progress_twice(a.i) AS i FROM progress_rows a JOIN progress_rows b USING (i)', title => 'phases') AS id \gset
SELECT progress_reached(1);
SELECT phase, processed, total, percent FROM jobs.progress WHERE id = :id;
SELECT headline FROM jobs.panel WHERE id = :id;
SELECT pg_advisory_unlock(20041);
SELECT progress_reached(2);
SELECT phase FROM jobs.progress WHERE id = :id;
SELECT pg_advisory_lock(20041);
SELECT pg_advisory_unlock(20042);
SELECT progress_reached(1);
SELECT phase, processed > 0 AS processed, total, total_is_estimate FROM jobs.progress WHERE id = :id;
BEGIN;
LOCK TABLE jobs.file IN SHARE MODE;
SELECT pg_advisory_unlock(20041);
SELECT test_poll(format('phase = ''finishing'' FROM jobs.progress WHERE id = %s', :id));
SELECT phase, processed, total, percent FROM jobs.progress WHERE id = :id;
SELECT headline FROM jobs.panel WHERE id = :id;
COMMIT;
SELECT jobs.wait(:id);

-- Errors.
SELECT jobs.report_progress(1);
SELECT jobs.report_progress(NULL);
SELECT jobs.report_progress(-1);
SELECT jobs.report_progress(1, -1);
SELECT jobs.run('SELECT jobs.report_progress(NULL)') AS a \gset
SELECT jobs.run('SELECT jobs.report_progress(-1)') AS b \gset
SELECT jobs.run('SELECT jobs.report_progress(1, -1)') AS c \gset
SELECT jobs.run('SELECT jobs.report_progress(9223372036854775807, 9223372036854775807)') AS d \gset
SELECT jobs.run('SELECT jobs.report_progress(0, 0)') AS e \gset
SELECT jobs.wait(:a), jobs.wait(:b), jobs.wait(:c), jobs.wait(:d), jobs.wait(:e);
SELECT state, error_code, error_message, processed, total FROM jobs.job WHERE id BETWEEN :a AND :e ORDER BY id;

-- As often as one likes.
SELECT jobs.run('SELECT jobs.report_progress(i, 10000) FROM generate_series(1, 10000) i') AS id \gset
SELECT jobs.wait(:id);
SELECT processed, total FROM jobs.job WHERE id = :id;

DROP TABLE progress_log, progress_rows;
DROP FUNCTION progress_reached(int);
DROP FUNCTION progress_slow(int);
DROP FUNCTION progress_twice(int);
DROP FUNCTION progress_stop(int);
DROP ROLE regress_jobs_alice, regress_jobs_bob;
