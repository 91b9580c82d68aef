-- Which job is next: priority, then order of submission, and no role starves another.

CREATE ROLE regress_jobs_alice LOGIN;
CREATE ROLE regress_jobs_bob LOGIN;
CREATE ROLE regress_jobs_carol LOGIN;
ALTER ROLE regress_jobs_alice SET jobs.max_running_per_role = 1;
CREATE TABLE priority_log (n serial, what text);
GRANT ALL ON priority_log, priority_log_n_seq TO PUBLIC;

-- Higher first, equal ones in order of submission, whatever their queue.
SELECT jobs.pause('priority_a'), jobs.pause('priority_b');
SET ROLE regress_jobs_alice;
SELECT count(jobs.run(format('INSERT INTO priority_log (what) VALUES (%L)', format('%s %s %s', p, queue, i)), queue => queue, priority => p))
  FROM generate_series(1, 2) i,
       unnest('{0, -1, 5, 5, 2147483647, -2147483648, 0}'::int[],
              '{priority_a, priority_b, priority_a, priority_b, priority_a, priority_b, priority_b}'::text[]) AS u (p, queue);
RESET ROLE;
BEGIN;
SELECT jobs.resume('priority_a'), jobs.resume('priority_b');
COMMIT;
SELECT test_poll($$count(*) = 14 FROM jobs.job WHERE queue LIKE 'priority_%' AND state = 'succeeded'$$);
SELECT what FROM priority_log ORDER BY n;
SELECT count(*) FROM (
    SELECT row_number() OVER (ORDER BY started_at) AS started, row_number() OVER (ORDER BY priority DESC, id) AS wanted
      FROM jobs.job WHERE queue LIKE 'priority_%') j WHERE started <> wanted;
TRUNCATE priority_log RESTART IDENTITY;

-- A later job of higher priority overtakes those that wait.
SELECT pg_advisory_lock(20006);
SET ROLE regress_jobs_alice;
SELECT jobs.run('SELECT pg_advisory_xact_lock(20006)') AS first \gset
SELECT test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', :first));
SELECT count(jobs.run(format('INSERT INTO priority_log (what) VALUES (%L)', 'low ' || i))) FROM generate_series(1, 3) i;
SELECT jobs.run('INSERT INTO priority_log (what) VALUES (''high'')', priority => 1) AS high \gset
SELECT state, waiting_for FROM jobs.job WHERE id = :high;
RESET ROLE;
SELECT test_poll(format('clock_timestamp() - started_at > interval ''100 ms'' FROM jobs.job WHERE id = %s', :first));
SELECT pg_advisory_unlock(20006);
SELECT test_poll($$count(*) = 4 FROM priority_log$$);
SELECT what FROM priority_log ORDER BY n;
TRUNCATE priority_log RESTART IDENTITY;

-- Bob has many jobs, which take all four workers; his next ones take long too.
SELECT pg_advisory_lock(20006), pg_advisory_lock(20007);
SET ROLE regress_jobs_bob;
SELECT count(jobs.run('SELECT pg_advisory_xact_lock_shared(20006)', title => 'bob 1')) FROM generate_series(1, 4);
SELECT test_poll($$count(*) = 4 FROM jobs.job WHERE title = 'bob 1' AND state = 'running'$$);
SELECT count(jobs.run('SELECT pg_advisory_xact_lock_shared(20007)', title => 'bob 2', priority => 1000)) FROM generate_series(1, 20);
SELECT DISTINCT state, waiting_for FROM jobs.job WHERE title = 'bob 2';
-- Those of others come all the same, higher first, as soon as a worker is free.
SET ROLE regress_jobs_carol;
SELECT jobs.run('INSERT INTO priority_log (what) VALUES (''carol'')') AS carol \gset
SELECT state, waiting_for FROM jobs.job WHERE id = :carol;
SELECT headline, detail FROM jobs.panel WHERE id = :carol;
RESET ROLE;
SELECT pg_advisory_unlock(20006);
SELECT jobs.wait(:carol);
SELECT count(*) AS unfinished FROM jobs.job WHERE title = 'bob 2' AND finished_at IS NULL;
SELECT pg_advisory_unlock(20007);
SELECT test_poll($$count(*) = 24 FROM jobs.job WHERE title LIKE 'bob _' AND state = 'succeeded'$$);

-- Of two roles that have no worker, the job of higher priority comes first.
SELECT count(pg_advisory_lock(20010 + i)) FROM generate_series(1, 4) i;
SET ROLE regress_jobs_bob;
SELECT count(jobs.run(format('SELECT pg_advisory_xact_lock_shared(%s)', 20010 + i), title => 'bob 3')) FROM generate_series(1, 4) i;
SELECT test_poll($$count(*) = 4 FROM jobs.job WHERE title = 'bob 3' AND state = 'running'$$);
SET ROLE regress_jobs_carol;
SELECT jobs.run('INSERT INTO priority_log (what) VALUES (''carol, low'')', priority => -1) AS carol \gset
SET ROLE regress_jobs_alice;
SELECT jobs.run('INSERT INTO priority_log (what) VALUES (''alice, high'')', priority => 1) AS alice \gset
RESET ROLE;
SELECT pg_advisory_unlock(20012);
SELECT jobs.wait(:alice), jobs.wait(:carol);
SELECT what FROM priority_log WHERE what LIKE '%,%' ORDER BY n;
SELECT count(pg_advisory_unlock(20010 + i)) FROM unnest('{1, 3, 4}'::int[]) i;
SELECT test_poll($$count(*) = 4 FROM jobs.job WHERE title = 'bob 3' AND state = 'succeeded'$$);

DROP TABLE priority_log;
DROP ROLE regress_jobs_alice, regress_jobs_bob, regress_jobs_carol;
