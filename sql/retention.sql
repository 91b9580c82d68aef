-- Retention: finished jobs and the bytes of files go in batches, by settings.

-- What other tests have left must not be counted.
SELECT bool_and(jobs.delete(id)) IS NOT FALSE AS cleared FROM jobs.job WHERE finished_at IS NOT NULL;
SELECT pg_advisory_lock(20002);
SELECT count(jobs.run('SELECT 1', title => 'retention ' || i)) FROM generate_series(1, 1200) i;
SELECT jobs.export('SELECT 1 AS a', title => 'retention file', expires_in => '1 second') AS file \gset
SELECT jobs.export('SELECT 1 AS a', title => 'retention link') AS link \gset
SELECT jobs.wait(:link);
SELECT jobs.share(:link) IS NOT NULL AS shared;
SELECT jobs.run('SELECT pg_advisory_xact_lock(20002)', title => 'retention running') AS running \gset
SELECT jobs.run('SELECT 1', title => 'retention waiting', after => ARRAY[:running]) AS waiting \gset
SELECT jobs.run('SELECT 1', title => 'retention scheduled', run_at => now() + interval '1 day') AS scheduled \gset
SELECT jobs.run('SELECT 1/0', title => 'retention failed') AS failed \gset
SELECT jobs.cancel(:failed) IS NOT NULL AS ended;
SELECT test_poll($$count(*) = 1203 FROM jobs.job WHERE title LIKE 'retention %' AND state IN ('succeeded', 'failed', 'cancelled')$$);
SELECT test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', :running));

-- More than a batch of finished jobs goes, with their files; those that have
-- not ended stay.
ALTER SYSTEM SET jobs.history_retention = 0;
SELECT pg_reload_conf();
SELECT test_poll($$count(*) = 1 FROM jobs.history WHERE title LIKE 'retention %'$$);
-- One whose file has not expired stays as well.
SELECT title, state FROM jobs.job WHERE id = :link;
SELECT jobs.delete(:link);
SELECT count(*) FROM jobs.chunk WHERE job IN (:file, :link);
SELECT count(*) FROM jobs.file WHERE job IN (:file, :link);
SELECT count(*) FROM jobs.share_token WHERE job IN (:file, :link);
SELECT count(*) FROM jobs.artifact WHERE job IN (:file, :link);
SELECT title, state FROM jobs.job WHERE title LIKE 'retention %' ORDER BY id;

-- The bytes of a large file go in several transactions, and the job with them.
SELECT jobs.export('SELECT md5(g::text) || md5(g || ''a'') FROM generate_series(1, 200000) g', title => 'retention large', expires_in => '2 s') AS large \gset
SELECT jobs.wait(:large);
-- To this snapshot they are still there, with the transactions that have deleted them.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) > 1000 AS large FROM jobs.chunk WHERE job = :large;
SELECT test_poll(format('count(*) = 0 FROM jobs.chunk WHERE job = %s AND xmax = ''0''', :large));
SELECT count(DISTINCT xmax::text) > 1 AS several FROM jobs.chunk WHERE job = :large;
COMMIT;
SELECT test_poll(format('NOT EXISTS (SELECT FROM jobs.garbage) AND NOT EXISTS (SELECT FROM jobs.file WHERE job = %s)', :large));

-- What ends goes within a second, but not before others know that it ended.
SELECT pg_advisory_unlock(20002);
SELECT test_poll($$count(*) = 1 FROM jobs.job WHERE title LIKE 'retention %'$$);
SELECT title, state FROM jobs.job WHERE title LIKE 'retention %' ORDER BY id;
SELECT test_error(format('SELECT jobs.wait(%s)', :running));

-- Without a limit they stay until they are deleted: the next look at what has
-- to go, a second later, leaves the first of these there.
ALTER SYSTEM SET jobs.history_retention = -1;
SELECT pg_reload_conf();
SELECT jobs.cancel(:scheduled);
SELECT jobs.run('SELECT 1', title => 'retention kept') AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.run('SELECT 1', title => 'retention later', run_at => now() + interval '1.2 s') AS id \gset
SELECT jobs.wait(:id);
SELECT title, state FROM jobs.job WHERE title LIKE 'retention %' ORDER BY id;
ALTER SYSTEM RESET jobs.history_retention;
SELECT pg_reload_conf();
SELECT bool_and(jobs.delete(id)) AS deleted FROM jobs.job WHERE title LIKE 'retention %';
SELECT count(*) FROM jobs.job WHERE title LIKE 'retention %';
