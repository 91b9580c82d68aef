-- An export whose query is run by parallel workers stores its chunks meanwhile.
SELECT current_user AS superuser \gset
CREATE TABLE parallel_data AS
    SELECT i AS id, md5(i::text) AS hash, repeat('x', 100) AS filler FROM generate_series(1, 20000) i;
ALTER TABLE parallel_data SET (parallel_workers = 2);
ANALYZE parallel_data;

-- The role's settings make the worker's planner choose a parallel plan.
CREATE ROLE regress_jobs_parallel LOGIN;
GRANT SELECT ON parallel_data TO regress_jobs_parallel;
ALTER ROLE regress_jobs_parallel SET parallel_setup_cost = 0;
ALTER ROLE regress_jobs_parallel SET parallel_tuple_cost = 0;
ALTER ROLE regress_jobs_parallel SET min_parallel_table_scan_size = 0;
ALTER ROLE regress_jobs_parallel SET max_parallel_workers_per_gather = 2;
\c - regress_jobs_parallel
EXPLAIN (COSTS OFF) SELECT * FROM parallel_data;
SELECT jobs.export('SELECT * FROM parallel_data') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT state, processed, error_code, error_message FROM jobs.job WHERE id = :job;

-- Several chunks, none lost and none doubled, whatever the order of the rows.
SELECT count(*) > 1 AS several, sum(length(c)) = (SELECT bytes FROM jobs.artifact WHERE job = :job) AS complete
  FROM jobs.download(:job) c;
SELECT count(*), count(DISTINCT line)
  FROM (SELECT string_agg(c, '') AS file FROM jobs.download(:job) c) f,
       string_to_table(convert_from(file, 'UTF8'), E'\n') line
 WHERE line LIKE '%,%x';
SELECT jobs.delete(:job);

\c - :superuser
DROP TABLE parallel_data;
DROP ROLE regress_jobs_parallel;
