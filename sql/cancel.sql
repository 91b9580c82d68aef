-- Cancelling, retrying and deleting: what becomes of the work and of the file.

CREATE TABLE cancel_log (n serial, what text);
CREATE FUNCTION cancel_running(job bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', job));
    RETURN jobs.cancel(job);
END $$;

-- Whatever a job does at the time, its work is undone.
SELECT jobs.run('INSERT INTO cancel_log (what) VALUES (''sleeping''); SELECT pg_sleep(600)') AS a \gset
SELECT cancel_running(:a);
SELECT jobs.wait(:a);
SELECT jobs.run('INSERT INTO cancel_log (what) VALUES (''busy''); DO $$BEGIN LOOP NULL; END LOOP; END$$') AS b \gset
SELECT cancel_running(:b);
SELECT jobs.wait(:b);
SELECT jobs.run('INSERT INTO cancel_log (what) VALUES (''sorting''); SELECT count(*) FROM (SELECT * FROM generate_series(1, 1000000000) g ORDER BY -g) x') AS c \gset
SELECT cancel_running(:c);
SELECT jobs.wait(:c);
SELECT pg_advisory_lock(20060);
SELECT jobs.run('INSERT INTO cancel_log (what) VALUES (''locked''); SELECT pg_advisory_xact_lock(20060)') AS d \gset
SELECT cancel_running(:d);
SELECT jobs.wait(:d);
SELECT pg_advisory_unlock(20060);
SELECT jobs.run('SELECT 1', title => 'never', run_at => now() + interval '1 day') AS never \gset
SELECT jobs.run('SELECT jobs.wait(id) FROM jobs.job WHERE title = ''never''', title => 'waiting') AS e \gset
SELECT cancel_running(:e);
SELECT jobs.wait(:e);
SELECT jobs.cancel(:never);
SELECT count(*) FROM cancel_log;
SELECT state, error_code, error_message, result, processed, finished_at >= started_at AS times, count(*) FROM jobs.job
 WHERE id IN (:a, :b, :c, :d, :e) GROUP BY 1, 2, 3, 4, 5, 6;
SELECT headline, detail, percent, actions FROM jobs.panel WHERE id = :a;

-- One that does not want to hear of it is cancelled at its end.
SELECT jobs.run($$DO $do$
BEGIN
    INSERT INTO cancel_log (what) VALUES ('deaf');
    PERFORM pg_sleep(600);
EXCEPTION WHEN query_canceled THEN
    INSERT INTO cancel_log (what) VALUES ('caught');
END $do$ $$) AS id \gset
SELECT cancel_running(:id);
SELECT jobs.wait(:id);
SELECT count(*) FROM cancel_log;

-- Again and again is once.
SELECT jobs.run('SELECT pg_sleep(600)') AS id \gset
SELECT cancel_running(:id);
SELECT jobs.cancel(:id) IS NOT NULL AS again;
SELECT jobs.wait(:id);
SELECT jobs.cancel(:id);

-- A cancellation hits the one job, not the next in the same worker.
CREATE TABLE cancel_jobs AS SELECT i, jobs.run('SELECT pg_sleep(0.0005)') AS id FROM generate_series(1, 300) i;
SELECT count(jobs.cancel(id)) FROM cancel_jobs WHERE i % 3 = 0;
SELECT jobs.wait(id) AS state, count(*) FROM cancel_jobs WHERE i % 3 <> 0 GROUP BY 1;
SELECT count(*) FROM cancel_jobs WHERE i % 3 = 0 AND jobs.wait(id) IN ('cancelled', 'succeeded');

-- As with pg_cancel_backend there is no taking it back.
SELECT jobs.run('SELECT pg_sleep(600)') AS id \gset
BEGIN;
SELECT cancel_running(:id);
ROLLBACK;
SELECT jobs.wait(:id);

-- A retry starts from the beginning, with the same arguments.
SELECT jobs.run('INSERT INTO cancel_log (what) VALUES (current_setting(''TimeZone''))', title => 'again', queue => 'cancel_queue', priority => 3,
                timeout => '1 hour', max_attempts => 2, unique_key => 'cancel', run_at => now() + interval '1 day') AS id \gset
SELECT jobs.cancel(:id);
BEGIN;
SET LOCAL TimeZone = 'Asia/Tokyo';
SELECT jobs.retry(:id);
COMMIT;
SELECT jobs.wait(:id);
SELECT title, queue, priority, timeout, max_attempts, unique_key, attempt, round, run_at < now() AS now, state FROM jobs.job WHERE id = :id;
SELECT what = current_setting('TimeZone') AS captured FROM cancel_log;

-- Deleting takes along the file, its bytes, its tokens.
SELECT jobs.export('SELECT 1 AS a') AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.share(:id) AS token \gset
SELECT (SELECT count(*) FROM jobs.file WHERE job = :id) AS files, (SELECT count(*) FROM jobs.chunk WHERE job = :id) AS chunks,
       (SELECT count(*) FROM jobs.share_token WHERE job = :id) AS tokens, (SELECT count(*) FROM jobs.history WHERE id = :id) AS jobs;
SELECT jobs.delete(:id);
SELECT (SELECT count(*) FROM jobs.file WHERE job = :id) AS files, (SELECT count(*) FROM jobs.chunk WHERE job = :id) AS chunks,
       (SELECT count(*) FROM jobs.share_token WHERE job = :id) AS tokens, (SELECT count(*) FROM jobs.history WHERE id = :id) AS jobs;
SELECT count(*) FROM jobs.job WHERE id = :id;
SELECT count(*) FROM jobs.progress WHERE id = :id;
SELECT count(*) FROM jobs.panel WHERE id = :id;
SELECT test_error(format('SELECT jobs.wait(%s)', :id));
SELECT jobs.download(:'token');

DROP TABLE cancel_log, cancel_jobs;
DROP FUNCTION cancel_running(bigint);
