-- Jobs with a time to come: run_at, and the attempts after a failure.

-- None starts before its time, and each soon after it.
CREATE TABLE schedule_jobs AS
    SELECT jobs.run('SELECT 1', run_at => clock_timestamp() + i * interval '1 ms') AS id FROM generate_series(-100, 200) i;
SELECT max(id) AS last FROM schedule_jobs \gset
SELECT jobs.wait(:last);
SELECT test_poll('bool_and(state = ''succeeded'') FROM schedule_jobs JOIN jobs.job USING (id)');
SELECT count(*), bool_and(started_at >= run_at) AS in_time, count(*) FILTER (WHERE run_at < created_at) BETWEEN 100 AND 110 AS past
  FROM schedule_jobs JOIN jobs.job USING (id);

-- One that is far ahead does not hold up anybody.
SELECT jobs.run('SELECT 1', run_at => now() + interval '100 years', priority => 100) AS far \gset
SELECT jobs.run('SELECT 1') AS id \gset
SELECT jobs.wait(:id);
SELECT state, waiting_for, started_at FROM jobs.job WHERE id = :far;
SELECT state, started_at, elapsed, percent, pid FROM jobs.progress WHERE id = :far;
SELECT jobs.wait(:far, '0');
SELECT jobs.wait(:far, '10 ms');
SELECT jobs.cancel(:far);

-- In a paused queue its time comes, and then it waits for its queue.
SELECT jobs.pause('schedule_held');
SELECT jobs.run('SELECT 1', queue => 'schedule_held', run_at => now() + interval '50 ms') AS id \gset
SELECT test_poll(format('state = ''waiting'' FROM jobs.job WHERE id = %s', :id));
SELECT waiting_for FROM jobs.job WHERE id = :id;
SELECT jobs.resume('schedule_held');
SELECT jobs.wait(:id);

-- Attempts: without a delay at once, but not more than max_attempts.
ALTER SYSTEM SET jobs.retry_delay = 0;
CALL test_reload();
CREATE SEQUENCE schedule_attempts;
SELECT jobs.run($$SELECT 1 / (nextval('schedule_attempts') / 100)$$, max_attempts => 5) AS id \gset
SELECT jobs.wait(:id);
SELECT state, attempt, max_attempts, error_code, error_message FROM jobs.job WHERE id = :id;
SELECT last_value FROM schedule_attempts;
SELECT jobs.run($$SELECT 1 / (nextval('schedule_attempts') / 12)$$, max_attempts => 100) AS id \gset
SELECT jobs.wait(:id);
SELECT state, attempt, max_attempts, error_code, error_message, error_detail, error_hint FROM jobs.job WHERE id = :id;
-- A retry begins to count anew.
SELECT setval('schedule_attempts', 1000);
SELECT jobs.run($$SELECT 1 / (nextval('schedule_attempts') / 1000000)$$, max_attempts => 2) AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.retry(:id);
SELECT jobs.wait(:id);
SELECT attempt, last_value FROM jobs.job, schedule_attempts WHERE id = :id;
-- Every failure is worth another attempt: also a lost worker, or a timeout.
SELECT setval('schedule_attempts', 1000);
SELECT jobs.run($$SELECT CASE WHEN nextval('schedule_attempts') < 1003 THEN pg_terminate_backend(pg_backend_pid()) END, pg_sleep(0.1)$$,
                max_attempts => 3) AS id \gset
SELECT jobs.wait(:id);
SELECT attempt FROM jobs.job WHERE id = :id;
SELECT setval('schedule_attempts', 1000);
SELECT jobs.run($$SELECT CASE WHEN nextval('schedule_attempts') < 1003 THEN pg_sleep(100) END$$, timeout => '50 ms', max_attempts => 3) AS id \gset
SELECT jobs.wait(:id);
SELECT attempt FROM jobs.job WHERE id = :id;
-- But not a cancellation.
SELECT jobs.run('SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(10)', max_attempts => 3) AS id \gset
SELECT jobs.wait(:id);
SELECT attempt FROM jobs.job WHERE id = :id;
-- What an attempt has done is undone.
CREATE TABLE schedule_log (attempt int);
SELECT setval('schedule_attempts', 1000);
SELECT jobs.run($$INSERT INTO schedule_log VALUES (nextval('schedule_attempts') - 1000); SELECT 1 / (last_value / 1003) FROM schedule_attempts$$,
                max_attempts => 3) AS id \gset
SELECT jobs.wait(:id);
SELECT * FROM schedule_log;
-- An export too, of which the last has made a file.
SELECT setval('schedule_attempts', 1000);
CREATE FUNCTION schedule_fails() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RETURN 1 / (SELECT CASE WHEN attempt < 3 THEN 0 ELSE 1 END FROM jobs.job WHERE title = 'third time');
END $$;
SELECT jobs.export('SELECT g, CASE WHEN g = 1000 THEN schedule_fails() END FROM generate_series(1, 1000) g', title => 'third time',
                   max_attempts => 5) AS id \gset
SELECT jobs.wait(:id);
SELECT attempt, rows FROM jobs.job j JOIN jobs.artifact a ON a.job = j.id WHERE j.id = :id;

-- The delay doubles each time: 100, 200 and 400 ms, each a quarter less or more.
ALTER SYSTEM SET jobs.retry_delay = '100ms';
CALL test_reload();
SELECT jobs.run('SELECT 1/0', max_attempts => 4) AS id \gset
SELECT jobs.wait(:id);
SELECT attempt, finished_at - created_at > interval '525 ms' AS delayed FROM jobs.job WHERE id = :id;
-- An hour, a quarter less or more.
ALTER SYSTEM SET jobs.retry_delay = '1h';
CALL test_reload();
SELECT jobs.run('SELECT 1/0', max_attempts => 3, title => 'later') AS id \gset
SELECT test_poll(format('state = ''scheduled'' FROM jobs.job WHERE id = %s', :id));
SELECT state, waiting_for, attempt, started_at, finished_at, error_code, error_message,
       run_at - now() BETWEEN interval '44 min' AND interval '76 min' AS about_an_hour
  FROM jobs.job WHERE id = :id \gx
SELECT headline ~ '^Scheduled · Next attempt in (4[4-9]|5[0-9]) min$|^Scheduled · Next attempt in 1 h$' AS headline, detail, actions
  FROM jobs.panel WHERE id = :id;
SELECT jobs.wait(:id, '0');
SELECT jobs.cancel(:id);
SELECT state, attempt, error_code, error_message FROM jobs.job WHERE id = :id;
ALTER SYSTEM RESET jobs.retry_delay;
CALL test_reload();

DROP TABLE schedule_jobs, schedule_log;
DROP SEQUENCE schedule_attempts;
DROP FUNCTION schedule_fails();
