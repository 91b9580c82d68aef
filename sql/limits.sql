-- Limits: running jobs of a role, running time, size of files, jobs.enabled.

SELECT current_user AS admin \gset
CREATE ROLE regress_jobs_alice LOGIN;
CREATE ROLE regress_jobs_bob LOGIN;

-- Two jobs of a role at once; the rest wait for their turn and say so.
ALTER ROLE regress_jobs_alice SET jobs.max_running_per_role = 2;
SELECT pg_advisory_lock(20020);
SET ROLE regress_jobs_alice;
CREATE TEMP TABLE limited AS
    SELECT jobs.run('SELECT pg_advisory_xact_lock_shared(20020)', title => 'limited ' || i) AS id FROM generate_series(1, 5) i;
SELECT test_poll('count(*) = 2 FROM limited JOIN jobs.job USING (id) WHERE state = ''running''');
-- Those that were submitted first, although each of them takes its time.
SELECT title, state, waiting_for FROM jobs.job JOIN limited USING (id) ORDER BY id;
SELECT jobs.wait(max(id), '0') FROM limited;
SELECT headline, actions FROM jobs.panel JOIN limited USING (id) WHERE state = 'waiting' ORDER BY id LIMIT 1;
-- It is nobody else's limit.
SET ROLE regress_jobs_bob;
SELECT jobs.run('SELECT 1') AS id \gset
SELECT jobs.wait(:id);
-- Raised, it lets more run at once.
RESET ROLE;
ALTER ROLE regress_jobs_alice SET jobs.max_running_per_role = 3;
SELECT test_poll('count(*) = 3 FROM limited JOIN jobs.job USING (id) WHERE state = ''running''');
-- Lowered, it takes nothing from what runs.
ALTER ROLE regress_jobs_alice SET jobs.max_running_per_role = 1;
SELECT test_poll('bool_and(waiting_for LIKE ''%at most 1 at once)'') FROM limited JOIN jobs.job USING (id) WHERE state = ''waiting''');
SELECT count(*) FROM limited JOIN jobs.job USING (id) WHERE state = 'running';
SELECT pg_advisory_unlock(20020);
SELECT test_poll('bool_and(state = ''succeeded'') FROM limited JOIN jobs.job USING (id)');
ALTER ROLE regress_jobs_alice RESET jobs.max_running_per_role;
DROP TABLE limited;

-- Among settings of many kilobytes, which are stored apart, of a role that nobody has asked for before.
CREATE ROLE regress_jobs_carol LOGIN;
DO $$
BEGIN
    EXECUTE format('ALTER ROLE regress_jobs_carol SET limits.note = %L', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i));
END $$;
ALTER ROLE regress_jobs_carol SET jobs.max_running_per_role = 1;
SELECT count(*) > 0 AS apart FROM pg_toast.pg_toast_2964;
SELECT pg_advisory_lock(20020);
SET ROLE regress_jobs_carol;
SELECT jobs.run('SELECT pg_advisory_xact_lock_shared(20020)') AS first \gset
SELECT test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', :first));
SELECT jobs.run('SELECT 1') AS id \gset
SELECT test_poll(format('waiting_for LIKE ''%%at most 1 at once)'' FROM jobs.job WHERE id = %s', :id));
RESET ROLE;
SELECT pg_advisory_unlock(20020);
SELECT jobs.wait(:id);
DROP ROLE regress_jobs_carol;

-- A database's limit counts where the role has none.
ALTER DATABASE :"DBNAME" SET jobs.max_running_per_role = 1;
SELECT pg_advisory_lock(20020);
SET ROLE regress_jobs_bob;
SELECT jobs.run('SELECT pg_advisory_xact_lock_shared(20020)') AS first \gset
SELECT test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', :first));
SELECT jobs.run('SELECT 1') AS id \gset
SELECT test_poll(format('state = ''waiting'' FROM jobs.job WHERE id = %s', :id));
SELECT waiting_for FROM jobs.job WHERE id = :id;
RESET ROLE;
SELECT pg_advisory_unlock(20020);
SELECT jobs.wait(:id);
ALTER DATABASE :"DBNAME" RESET jobs.max_running_per_role;

-- Those that do not heed a timeout or a cancellation are ended with their process
-- after some seconds; we look at them at the end.
CREATE PROCEDURE limits_deaf() LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        BEGIN
            PERFORM pg_sleep(600);
        EXCEPTION WHEN query_canceled THEN
            NULL;
        END;
    END LOOP;
END $$;
SELECT jobs.run('CALL limits_deaf()', timeout => '50 ms') AS deaf_a \gset
SELECT jobs.run('CALL limits_deaf()', timeout => '5 min') AS deaf_b \gset
SELECT test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', :deaf_b));
SELECT jobs.cancel(:deaf_b);

-- Timeouts count running time; the reason is in words.
SELECT jobs.run('SELECT pg_sleep(60)', timeout => '50 ms') AS id \gset
SELECT jobs.wait(:id);
SELECT state, error_code, error_message, error_detail, error_hint, finished_at - started_at >= interval '50 ms' AS in_time,
       finished_at - started_at < interval '30 s' AS at_once FROM jobs.job WHERE id = :id;
SELECT headline, detail FROM jobs.panel WHERE id = :id;
SELECT jobs.run('SELECT 1', timeout => '1 s', run_at => now() + interval '1.1 s') AS later \gset
SELECT jobs.export('SELECT pg_sleep(60)', timeout => '0.05 s') AS id \gset
SELECT jobs.wait(:id);
SELECT error_message FROM jobs.job WHERE id = :id;
SELECT jobs.run('DO $$BEGIN LOOP NULL; END LOOP; END$$', timeout => '50 ms') AS id \gset
SELECT jobs.wait(:id);
SELECT error_message FROM jobs.job WHERE id = :id;
-- One who catches errors can't catch this one for ever.
SELECT jobs.run('DO $$BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END$$', timeout => '50 ms') AS id \gset
SELECT jobs.wait(:id);
SELECT state, error_code, error_message FROM jobs.job WHERE id = :id;
SELECT jobs.wait(:later);

-- jobs.default_timeout for jobs without one, of the session that submits.
SET jobs.default_timeout = '50 ms';
SELECT jobs.run('SELECT pg_sleep(60)') AS id \gset
SELECT jobs.run('SELECT 1', timeout => '5 min') AS id2 \gset
RESET jobs.default_timeout;
SELECT jobs.wait(:id);
SELECT timeout, error_message FROM jobs.job WHERE id = :id;
SELECT timeout FROM jobs.job WHERE id = :id2;

-- jobs.max_timeout is the ceiling, with or without a timeout.
ALTER ROLE regress_jobs_alice SET jobs.max_timeout = '2 min';
ALTER ROLE regress_jobs_alice SET jobs.default_timeout = '1 h';
\c - regress_jobs_alice
SELECT jobs.run('SELECT 1') AS a \gset
SELECT jobs.run('SELECT 1', timeout => '1 day') AS b \gset
SELECT jobs.run('SELECT 1', timeout => '178000000 years') AS c \gset
SELECT jobs.run('SELECT 1', timeout => '1 min') AS d \gset
SET jobs.default_timeout = 0;
SELECT jobs.run('SELECT 1') AS e \gset
SET jobs.max_timeout = 0;
SELECT jobs.run('SELECT 1') AS f \gset
SELECT id - :a AS n, timeout FROM jobs.job WHERE id BETWEEN :a AND :f ORDER BY id;
SELECT jobs.wait(:f);
\c - :admin
ALTER ROLE regress_jobs_alice SET jobs.max_timeout = '50 ms';
\c - regress_jobs_alice
SELECT jobs.run('SELECT pg_sleep(60)', timeout => '5 min') AS id \gset
SELECT jobs.wait(:id);
SELECT timeout, error_message FROM jobs.job WHERE id = :id;
\c - :admin

-- statement_timeout of the owner holds in his jobs, for each statement.
ALTER ROLE regress_jobs_bob SET statement_timeout = '2 s';
\c - regress_jobs_bob
SET statement_timeout = 0;
SELECT jobs.run('SELECT pg_sleep(60)') AS id \gset
SELECT jobs.run('SELECT pg_sleep(1.1); SELECT pg_sleep(1.1)') AS id2 \gset
SELECT jobs.export('SELECT pg_sleep(60)') AS id3 \gset
SELECT jobs.wait(:id), jobs.wait(:id3);
SELECT DISTINCT error_code, error_message FROM jobs.job WHERE id IN (:id, :id3);
\c - :admin
SELECT jobs.wait(:id2);

-- Sizes of files.
ALTER ROLE regress_jobs_alice SET jobs.max_artifact_size = '1MB';
ALTER ROLE regress_jobs_bob SET jobs.max_artifact_bytes_per_role = '1MB';
ALTER ROLE regress_jobs_alice RESET jobs.max_timeout;
ALTER ROLE regress_jobs_bob RESET statement_timeout;
\c - regress_jobs_alice
SELECT jobs.export('SELECT repeat(''x'', 1000) FROM generate_series(1, 1040)') AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.export('SELECT repeat(''x'', 1000) FROM generate_series(1, 1100)') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message, error_hint FROM jobs.job WHERE id = :id;
SELECT count(*) FROM jobs.artifact WHERE job = :id;
-- What counts is the size of the file.
SELECT jobs.export('SELECT repeat(''x'', 1000) FROM generate_series(1, 1100)', options => '{"compression": "gzip"}') AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.export('SELECT repeat(''x'', 2000000)') AS id \gset
SELECT jobs.wait(:id);
\c - regress_jobs_bob
SELECT jobs.export('SELECT repeat(''x'', 1000) FROM generate_series(1, 600)') AS first \gset
SELECT jobs.wait(:first);
SELECT jobs.export('SELECT repeat(''x'', 1000) FROM generate_series(1, 600)') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message, error_hint FROM jobs.job WHERE id = :id;
SELECT jobs.delete(:first);
SELECT jobs.retry(:id);
SELECT jobs.wait(:id);
SELECT count(*), sum(rows) FROM jobs.artifact;
\c - :admin

-- jobs.enabled: off starts nothing, but lets everybody submit.  What runs goes on.
CREATE TABLE limits_go (go boolean);
CREATE FUNCTION limits_wait() RETURNS boolean LANGUAGE sql AS $$SELECT test_poll('count(*) = 1 FROM limits_go')$$;
SELECT jobs.run('SELECT limits_wait()') AS running \gset
SELECT test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', :running));
SELECT jobs.pause('limits_held');
SELECT jobs.run('SELECT 1', queue => 'limits_held') AS id \gset
ALTER SYSTEM SET jobs.enabled = off;
SELECT pg_reload_conf();
\c -
SHOW jobs.enabled;
SELECT jobs.resume('limits_held');
INSERT INTO limits_go VALUES (true);
SELECT jobs.wait(:running);
SELECT state, waiting_for FROM jobs.job WHERE id = :id;
SELECT jobs.wait(:id, '100 ms');
SELECT headline FROM jobs.panel WHERE id = :id;
SELECT jobs.run('SELECT 1') AS id2 \gset
SELECT state, waiting_for FROM jobs.job WHERE id = :id2;
ALTER SYSTEM RESET jobs.enabled;
SELECT pg_reload_conf();
SELECT jobs.wait(:id), jobs.wait(:id2);

-- The deaf ones.
SELECT jobs.wait(:deaf_a), jobs.wait(:deaf_b);
SELECT state, error_code, error_message FROM jobs.job WHERE id IN (:deaf_a, :deaf_b) ORDER BY id;

DROP PROCEDURE limits_deaf();
DROP FUNCTION limits_wait();
DROP TABLE limits_go;
DROP ROLE regress_jobs_alice, regress_jobs_bob;
