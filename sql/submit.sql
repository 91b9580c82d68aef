-- Submitting: the arguments that jobs.run and jobs.export have in common.

-- Nothing starts in this queue, so that what was submitted can be looked at.
SELECT jobs.pause('submit_held');

-- Everything left out.
SELECT jobs.run('SELECT 1', queue => 'submit_held') AS id \gset
SELECT kind, title, owner = current_user AS own, queue, priority, state, waiting_for, round, attempt, max_attempts,
       created_at BETWEEN now() - interval '1 min' AND now() AS created, run_at BETWEEN now() - interval '1 min' AND created_at AS due,
       started_at, finished_at, timeout, processed, total, succeeded, failed, skipped, warnings,
       error_code, error_message, error_detail, error_hint, result, unique_key, tenant, command, options
  FROM jobs.job WHERE id = :id \gx

-- NULL is the same as left out.
SELECT jobs.run('SELECT 1', NULL, 'submit_held', NULL, NULL, NULL, NULL, NULL, NULL, NULL) AS id2 \gset
SELECT count(*) FROM (
    SELECT kind, title, queue, priority, state, max_attempts, timeout, unique_key, run_at <= created_at FROM jobs.job WHERE id IN (:id, :id2)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) same;
SELECT jobs.run('SELECT 1', queue => NULL) AS id3 \gset
SELECT queue FROM jobs.job WHERE id = :id3;
SELECT jobs.wait(:id3);

-- Everything given.
SELECT jobs.run(command => 'SELECT 1', title => 'Überraschung & Söhne', queue => 'submit_held', priority => -7,
                run_at => '2200-01-01 00:00 UTC', after => ARRAY[:id, :id2], timeout => '1 day 2 hours',
                max_attempts => 3, unique_key => 'key 1', notify => NULL) AS id3 \gset
SELECT title, queue, priority, run_at AT TIME ZONE 'UTC' AS run_at, state, waiting_for, timeout, max_attempts, unique_key
  FROM jobs.job WHERE id = :id3 \gx
SELECT :id < :id2 AND :id2 < :id3 AS ascending;

-- The command, the query.
SELECT jobs.run(NULL);
SELECT jobs.run('');
SELECT jobs.run(E' \n;; -- nothing\n/* at all */');
SELECT jobs.export(NULL);

-- Titles.  One is made from the command, in one line and not too long.
SELECT jobs.run(E'SELECT\t1,\n\n       2  -- two', queue => 'submit_held') AS id \gset
SELECT title FROM jobs.job WHERE id = :id;
SELECT jobs.run('SELECT ' || repeat('1 + ', 100) || '1', queue => 'submit_held') AS id \gset
SELECT title FROM jobs.job WHERE id = :id;
SELECT jobs.run('SELECT ' || quote_literal(repeat('ü', 100)), queue => 'submit_held') AS id \gset
SELECT title FROM jobs.job WHERE id = :id;
SELECT jobs.run('SELECT 1', repeat('ü', 500), 'submit_held') AS id \gset
SELECT length(title) FROM jobs.job WHERE id = :id;
SELECT jobs.run('SELECT 1', repeat('ü', 501));
SELECT jobs.run('SELECT 1', repeat('x', 1048576));
SELECT jobs.run('SELECT 1', '');
SELECT jobs.run('SELECT 1', E'two\nlines');
SELECT jobs.run('SELECT 1', E'a\tb');
SELECT jobs.run('SELECT 1', E'a\x7fb');
SELECT jobs.run('SELECT 1', '<img src=x onerror="alert(1)"> ''; DROP TABLE x; --', 'submit_held') AS id \gset
SELECT title FROM jobs.job WHERE id = :id;

-- Queues.
SELECT jobs.run('SELECT 1', queue => repeat('q', 63), run_at => now() + interval '1 day') AS id \gset
SELECT length(queue) FROM jobs.job WHERE id = :id;
SELECT jobs.cancel(:id);
SELECT jobs.run('SELECT 1', queue => repeat('q', 64));
SELECT jobs.run('SELECT 1', queue => repeat('ü', 32));
SELECT jobs.run('SELECT 1', queue => '');
SELECT jobs.run('SELECT 1', queue => E'a\r');

-- Priorities.
SELECT jobs.run('SELECT 1', queue => 'submit_held', priority => 2147483647) AS id \gset
SELECT jobs.run('SELECT 1', queue => 'submit_held', priority => -2147483648) AS id2 \gset
SELECT priority FROM jobs.job WHERE id IN (:id, :id2) ORDER BY 1;
SELECT jobs.run('SELECT 1', priority => 2147483648);

-- Times.
SELECT jobs.run('SELECT 1', run_at => 'infinity');
SELECT jobs.run('SELECT 1', run_at => '-infinity');
SELECT jobs.run('SELECT 1', run_at => '1999-12-31') AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.run('SELECT 1', run_at => '294000-01-01') AS id \gset
SELECT state, waiting_for FROM jobs.job WHERE id = :id;
SELECT jobs.cancel(:id);
SELECT jobs.run('SELECT 1', timeout => '-1 second');
SELECT jobs.run('SELECT 1', timeout => '0');
SELECT jobs.run('SELECT 1', timeout => '1 month -31 days');
SELECT jobs.run('SELECT 1', timeout => '-178000000 years');
SELECT jobs.run('SELECT 1', timeout => '178000000 years') AS id \gset
SELECT jobs.wait(:id);
SELECT timeout FROM jobs.job WHERE id = :id;
SELECT jobs.run('SELECT 1', timeout => '1 microsecond', queue => 'submit_held') AS id \gset

-- Attempts.
SELECT jobs.run('SELECT 1', max_attempts => 0);
SELECT jobs.run('SELECT 1', max_attempts => -1);
SELECT jobs.run('SELECT 1', max_attempts => 2147483647) AS id \gset
SELECT jobs.wait(:id);

-- Messages are off until an administrator allows them.
SELECT jobs.run('SELECT 1', notify => '{"email": "alice@example.com"}');
SELECT jobs.run('SELECT 1', notify => '{}');
SELECT jobs.export('SELECT 1', notify => '{"webhook": "https://example.com/"}');

-- A unique key gives the id of the job that has it, until that is final.
SELECT jobs.run('SELECT 1', unique_key => 'one', queue => 'submit_held') AS id \gset
SELECT jobs.run('SELECT 2', unique_key => 'one', priority => 5) = :id AS same;
SELECT jobs.export('SELECT 2', unique_key => 'one') = :id AS same;
SELECT count(DISTINCT jobs.run('SELECT 2', unique_key => 'two', queue => 'submit_held')) FROM generate_series(1, 5);
SELECT command, priority FROM jobs.job WHERE unique_key = 'one' ORDER BY id;
SET jobs.tenant = 'acme';
SELECT jobs.run('SELECT 1', unique_key => 'one', queue => 'submit_held') = :id AS same;
RESET jobs.tenant;
CREATE ROLE regress_jobs_submit LOGIN;
SET ROLE regress_jobs_submit;
SELECT jobs.run('SELECT 1', unique_key => 'one', queue => 'submit_held') = :id AS same;
RESET ROLE;
SELECT jobs.cancel(:id);
SELECT jobs.run('SELECT 1', unique_key => 'one', queue => 'submit_held') AS id2 \gset
SELECT :id2 > :id AS other;
-- A retry would give two of them.
SELECT test_error(format('SELECT jobs.retry(%s)', :id));
SELECT jobs.cancel(:id2);
SELECT jobs.retry(:id);
SELECT jobs.run('SELECT 1', unique_key => 'one') = :id AS same;
SELECT jobs.run('SELECT 1', unique_key => '');
SELECT jobs.run('SELECT 1', unique_key => repeat('k', 501));
SELECT jobs.run('SELECT 1', unique_key => E'\t');

-- All other errors come first: a mistake is told although the key exists.
SELECT jobs.run('SELECT 1', unique_key => 'one', timeout => '-1 s');

-- Submitting is transactional.
SELECT count(*) AS before FROM jobs.job \gset
BEGIN;
SELECT jobs.run('SELECT 1') AS id \gset
SELECT state FROM jobs.job WHERE id = :id;
SELECT test_error(format('SELECT jobs.wait(%s)', :id));
SELECT test_error(format('SELECT jobs.wait(%s, ''0'')', :id));
ROLLBACK;
SELECT jobs.run('SELECT 1/0 AS at_submission', after => ARRAY[0]);
SELECT count(*) - :before AS more FROM jobs.job;
BEGIN;
SAVEPOINT a;
SELECT jobs.run('SELECT 1', queue => 'submit_held') AS id \gset
ROLLBACK TO a;
SELECT jobs.run('SELECT 2', queue => 'submit_held') AS id2 \gset
SAVEPOINT b;
SELECT jobs.run('SELECT 3', queue => 'submit_held') AS id3 \gset
RELEASE b;
COMMIT;
SELECT id = :id AS first, command FROM jobs.job WHERE id IN (:id, :id2, :id3) ORDER BY id;
DO $$
BEGIN
    PERFORM jobs.run('SELECT 4', title => 'in a block that fails');
    RAISE EXCEPTION 'no';
EXCEPTION WHEN raise_exception THEN
    PERFORM jobs.run('SELECT 5', title => 'in its handler', queue => 'submit_held');
END $$;
SELECT title FROM jobs.job WHERE command IN ('SELECT 4', 'SELECT 5');

-- Nothing shows to others before the commit.
SELECT pg_advisory_lock(20001);
SELECT jobs.run($$SELECT pg_advisory_xact_lock(20001);
    SELECT jobs.report_progress(count(*)) FROM jobs.job WHERE title = 'seen by others'$$) AS observer \gset
BEGIN;
SELECT jobs.run('SELECT 1', title => 'seen by others') AS id \gset
SELECT pg_advisory_unlock(20001);
SELECT jobs.wait(:observer);
SELECT processed AS seen FROM jobs.job WHERE id = :observer;
SELECT state, started_at FROM jobs.job WHERE id = :id;
COMMIT;
SELECT jobs.wait(:id);

-- Every isolation level, but no read-only transaction.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT jobs.run('SELECT 1') AS id \gset
COMMIT;
SELECT jobs.wait(:id);
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT jobs.run('SELECT 1', unique_key => 'serializable') AS id \gset
SELECT jobs.run('SELECT 1', unique_key => 'serializable') = :id AS same;
COMMIT;
SELECT jobs.wait(:id);
BEGIN READ ONLY;
SELECT jobs.run('SELECT 1');
ROLLBACK;
BEGIN READ ONLY;
SELECT jobs.export('SELECT 1');
ROLLBACK;

-- Two-phase commit.
BEGIN;
SELECT jobs.run('SELECT 1', unique_key => 'prepared') AS id \gset
PREPARE TRANSACTION 'regress_jobs_submit';
SELECT count(*) FROM jobs.job WHERE id = :id;
COMMIT PREPARED 'regress_jobs_submit';
SELECT jobs.wait(:id);
BEGIN;
SELECT jobs.run('SELECT 1') AS id \gset
PREPARE TRANSACTION 'regress_jobs_submit';
ROLLBACK PREPARED 'regress_jobs_submit';
SELECT test_error(format('SELECT jobs.wait(%s)', :id));

-- Not for somebody else, behind his back.
CREATE FUNCTION submit_sneak() RETURNS bigint LANGUAGE sql AS $$SELECT jobs.run('SELECT 1')$$;
CREATE MATERIALIZED VIEW submit_view AS SELECT submit_sneak() AS id WITH NO DATA;
REFRESH MATERIALIZED VIEW submit_view;
DROP MATERIALIZED VIEW submit_view;
DROP FUNCTION submit_sneak();

-- Many at once.
SELECT count(jobs.run('SELECT 1', title => 'one of many')) FROM generate_series(1, 1000);
SELECT test_poll($$count(*) = 1000 FROM jobs.job WHERE title = 'one of many' AND state = 'succeeded'$$);
SELECT count(DISTINCT id), min(attempt), max(attempt), count(result) FROM jobs.job WHERE title = 'one of many';

SELECT count(*) > 10 AS held, bool_and(jobs.cancel(id)) AS cancelled FROM jobs.job WHERE queue = 'submit_held' AND state NOT IN ('cancelled');
SELECT jobs.resume('submit_held');
DROP ROLE regress_jobs_submit;
