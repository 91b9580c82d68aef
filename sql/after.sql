-- Jobs that wait for others: the argument "after".

SELECT current_user AS admin \gset
CREATE ROLE regress_jobs_alice LOGIN;
CREATE ROLE regress_jobs_bob LOGIN;
CREATE TABLE after_log (n serial, what text);
GRANT ALL ON after_log, after_log_n_seq TO PUBLIC;
SELECT jobs.pause('after_held');

-- A chain runs in order, whatever the priorities.
SELECT jobs.run('INSERT INTO after_log (what) VALUES (''a'')', title => 'Export: Q4 Revenue Report', queue => 'after_held', priority => -5) AS a \gset
SELECT jobs.run('INSERT INTO after_log (what) VALUES (''b'')', title => 'b', after => ARRAY[:a]) AS b \gset
SELECT jobs.run('INSERT INTO after_log (what) VALUES (''c'')', title => 'c', after => ARRAY[:b], priority => 9) AS c \gset
SELECT jobs.run('INSERT INTO after_log (what) VALUES (''d'')', title => 'd', after => ARRAY[:a, :b, :c], priority => 99) AS d \gset
SELECT title, state, waiting_for FROM jobs.job WHERE id BETWEEN :a AND :d ORDER BY id;
SELECT title, headline, detail, actions FROM jobs.panel WHERE id BETWEEN :a AND :d ORDER BY id;
SELECT title, state, waiting_for, phase, percent FROM jobs.progress WHERE id BETWEEN :a AND :d ORDER BY id;
SELECT jobs.resume('after_held');
SELECT jobs.wait(:d);
SELECT what FROM after_log ORDER BY n;
SELECT title, state, waiting_for FROM jobs.job WHERE id BETWEEN :a AND :d ORDER BY id;
SELECT count(*) FROM jobs.dependency;
TRUNCATE after_log RESTART IDENTITY;
SELECT jobs.pause('after_held');

-- Given twice, it is waited for once.
SELECT jobs.run('SELECT 1', title => 'a', queue => 'after_held') AS a \gset
SELECT jobs.run('SELECT 1', after => ARRAY[:a, :a, :a]) AS b \gset
SELECT waiting_for FROM jobs.job WHERE id = :b;
-- What has ended well is not waited for, and nothing is nothing.
SELECT jobs.run('SELECT 1') AS done \gset
SELECT jobs.wait(:done);
SELECT jobs.run('SELECT 1', queue => 'after_held', after => ARRAY[:done]) AS c \gset
SELECT state, waiting_for FROM jobs.job WHERE id = :c;
SELECT jobs.run('SELECT 1', after => '{}') AS c \gset
SELECT jobs.wait(:c);
SELECT jobs.run('SELECT 1', after => ARRAY[:done, :a]) AS d \gset
SELECT waiting_for FROM jobs.job WHERE id = :d;
-- What has failed or was cancelled before is never going to end well.
SELECT jobs.run('SELECT 1/0', title => 'broken') AS failed \gset
SELECT jobs.wait(:failed);
SELECT jobs.run('SELECT 1', after => ARRAY[:failed]) AS e \gset
SELECT jobs.wait(:e);
SELECT state, error_code, error_message, attempt FROM jobs.job WHERE id = :e;

-- A failure cancels all that wait, and what waits for those, with the reason.
SELECT jobs.run('SELECT 1/0', title => 'first', queue => 'after_held') AS a \gset
SELECT jobs.run('SELECT 1', title => 'second', after => ARRAY[:a]) AS b \gset
SELECT jobs.run('SELECT 1', title => 'third', after => ARRAY[:b]) AS c \gset
SELECT jobs.run('SELECT 1', title => 'fourth', after => ARRAY[:a, :c]) AS d \gset
SELECT jobs.resume('after_held');
SELECT jobs.wait(:d);
SELECT jobs.wait(:c);
SELECT title, state, error_code, error_message, started_at, attempt FROM jobs.job WHERE id BETWEEN :b AND :d ORDER BY id;
SELECT title, headline, actions FROM jobs.panel WHERE id BETWEEN :b AND :d ORDER BY id;
SELECT count(*) FROM jobs.dependency;
SELECT jobs.pause('after_held');

-- So does a cancellation.
SELECT jobs.run('SELECT 1', title => 'first', queue => 'after_held') AS a \gset
SELECT jobs.run('SELECT 1', title => 'second', after => ARRAY[:a]) AS b \gset
SELECT jobs.run('SELECT 1', title => 'third', after => ARRAY[:b]) AS c \gset
SELECT jobs.cancel(:a);
SELECT jobs.wait(:c);
SELECT title, state, error_code, error_message FROM jobs.job WHERE id BETWEEN :a AND :c ORDER BY id;
-- A retry of the first does not bring back the others; each has its own.
SELECT jobs.retry(:a);
SELECT title, state FROM jobs.job WHERE id BETWEEN :a AND :c ORDER BY id;
SELECT jobs.retry(:c);
SELECT jobs.wait(:c);

-- An attempt that fails is not the end.
INSERT INTO after_log (what) VALUES ('one');
SELECT jobs.run('SELECT 1 / (count(*) - 1) FROM after_log', title => 'needs two', max_attempts => 20) AS a \gset
SELECT jobs.run('SELECT 1', after => ARRAY[:a]) AS b \gset
SELECT test_poll(format('attempt = 1 AND error_code IS NOT NULL OR state IN (''succeeded'', ''failed'') FROM jobs.job WHERE id = %s', :a));
INSERT INTO after_log (what) VALUES ('two');
SELECT jobs.wait(:b);
SELECT attempt > 1 AS again FROM jobs.job WHERE id = :a;

-- Deleting what failed, before those that wait have been looked at, is no way out.
SELECT jobs.run('SELECT 1', title => 'first', queue => 'after_held') AS a \gset
SELECT jobs.run('SELECT 1', title => 'second', after => ARRAY[:a]) AS b \gset
BEGIN;
SELECT jobs.cancel(:a);
SELECT jobs.delete(:a);
COMMIT;
SELECT jobs.wait(:b);
SELECT state, regexp_replace(error_message, '\d+', 'N') AS error_message FROM jobs.job WHERE id = :b;

-- After a job of the same transaction, even of the same statement.
BEGIN;
SELECT jobs.run('INSERT INTO after_log (what) VALUES (''same transaction 1'')') AS a \gset
SELECT jobs.run('INSERT INTO after_log (what) VALUES (''same transaction 2'')', after => ARRAY[:a]) AS b \gset
COMMIT;
SELECT jobs.wait(:b);
SELECT jobs.run('INSERT INTO after_log (what) VALUES (''same statement 2'')', after => ARRAY[
       jobs.run('INSERT INTO after_log (what) VALUES (''same statement 1'')')]) AS b \gset
SELECT jobs.wait(:b);
SELECT what FROM after_log WHERE what LIKE 'same%' ORDER BY n;
-- Of which the first is rolled back.
BEGIN;
SAVEPOINT s;
SELECT jobs.run('SELECT 1') AS a \gset
ROLLBACK TO s;
SELECT test_error(format('SELECT jobs.run(''SELECT 1'', after => ARRAY[%s])', :a));
COMMIT;

-- A job that has run_at too waits for both.
SELECT jobs.run('SELECT 1', queue => 'after_held') AS a \gset
SELECT jobs.run('SELECT 1', after => ARRAY[:a], run_at => now() + interval '100 ms') AS b \gset
SELECT state FROM jobs.job WHERE id = :b;
SELECT jobs.resume('after_held');
SELECT jobs.wait(:b);
SELECT b.started_at >= b.run_at AND b.started_at >= a.finished_at AS after_both FROM jobs.job a, jobs.job b WHERE a.id = :a AND b.id = :b;
SELECT jobs.pause('after_held');

-- Errors.  A cycle can't be made: a job can only name those that are there.
SELECT jobs.run('SELECT 1', after => ARRAY[999999999]);
SELECT jobs.run('SELECT 1', after => ARRAY[0]);
SELECT jobs.run('SELECT 1', after => ARRAY[-1]);
SELECT jobs.run('SELECT 1', after => ARRAY[NULL]::bigint[]);
SELECT test_error(format('SELECT jobs.run(''SELECT 1'', after => ARRAY[%s, NULL, %1$s])', :a));
SELECT test_error(format('SELECT jobs.run(''SELECT 1'', after => ARRAY[%s, 999999999])', :a));
SELECT jobs.export('SELECT 1', after => ARRAY[999999999]);
SELECT test_error(format('SELECT jobs.run(''SELECT 1'', after => ARRAY[%s])', last_value + 1)) FROM jobs.job_id;
SELECT count(*) FROM jobs.dependency;

-- Only jobs that one may see, in the same words as for those that are not there.
\c - regress_jobs_alice
SELECT jobs.run('SELECT 1', title => 'secret of alice', queue => 'after_held') AS secret \gset
\c - regress_jobs_bob
SELECT test_error(format('SELECT jobs.run(''SELECT 1'', after => ARRAY[%s])', :secret));
-- A session with a tenant sees that tenant's only.
\c - regress_jobs_alice
SET jobs.tenant = 'acme';
SELECT test_error(format('SELECT jobs.run(''SELECT 1'', after => ARRAY[%s])', :secret));
RESET jobs.tenant;
-- Of a job that its reader may not see the title stays unsaid.
SELECT jobs.run('SELECT 1', title => 'of alice', after => ARRAY[:secret]) AS a \gset
SELECT waiting_for FROM jobs.job WHERE id = :a;
\c - :admin
GRANT pg_read_all_stats TO regress_jobs_bob;
\c - regress_jobs_bob
SELECT jobs.run('SELECT 1', title => 'of bob', after => ARRAY[:secret]) AS b \gset
SELECT waiting_for FROM jobs.job WHERE id = :b;
\c - :admin
REVOKE pg_read_all_stats FROM regress_jobs_bob;
\c - regress_jobs_bob
SELECT waiting_for FROM jobs.job WHERE id = :b;
\c - :admin
SELECT jobs.cancel(:secret);
SELECT jobs.wait(:b);

-- A hundred that wait for one, and one that waits for a hundred.
SELECT jobs.run('INSERT INTO after_log (what) VALUES (''root'')', queue => 'after_held') AS root \gset
CREATE TABLE after_many AS
    SELECT jobs.run('INSERT INTO after_log (what) VALUES (''branch'')', after => ARRAY[:root]) AS id FROM generate_series(1, 100);
SELECT jobs.run('INSERT INTO after_log (what) VALUES (''tip'')', after => array_agg(id)) AS tip FROM after_many \gset
SELECT waiting_for FROM jobs.job WHERE id = :tip;
SELECT jobs.resume('after_held');
SELECT jobs.wait(:tip);
SELECT what, count(*) FROM after_log WHERE what IN ('root', 'branch', 'tip') GROUP BY what ORDER BY min(n);
SELECT count(*) FROM jobs.dependency;

DROP TABLE after_log, after_many;
DROP ROLE regress_jobs_alice, regress_jobs_bob;
