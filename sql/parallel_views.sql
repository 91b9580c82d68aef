-- The views, and the functions that only read, in queries with a parallel plan.
CREATE TABLE parallel_views AS SELECT generate_series(1, 20000) AS n;
ANALYZE parallel_views;
SELECT jobs.bulk_query('SELECT 1 / (($1->>''n'')::integer - 3)', 'SELECT n FROM generate_series(1, 5) n', title => 'parallel') AS bulk \gset
SELECT jobs.wait(:bulk);
SELECT jobs.export('SELECT 1', title => 'parallel') AS export \gset
SELECT jobs.wait(:export);
SELECT jobs.pause('parallel');
SELECT jobs.run('SELECT 1', queue => 'parallel', title => 'parallel') AS held \gset
SELECT jobs.run('SELECT 1', after => ARRAY[:held], title => 'parallel') AS waiting \gset
SELECT jobs.submit('parallel outside', title => 'parallel') AS outside \gset
SELECT jobs.bulk(NULL, '[1, 2]', queue => 'parallel outside', title => 'parallel') AS items \gset
SELECT count(*) FROM jobs.claim('parallel outside');
SELECT count(*) FROM jobs.claim_items(:items);

SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
CREATE FUNCTION parallel_count(source text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    query text := format('SELECT (SELECT count(n) FROM parallel_views), (SELECT count(x) FROM %s x)', source);
    plan text;
    found bigint;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    EXECUTE format('SELECT (q).c FROM (%s) q(b, c)', query) INTO found;
    RETURN format('%s, %s', CASE WHEN plan LIKE '%Gather%' THEN 'parallel' ELSE 'not parallel' END, found > 0);
END $$;
SELECT v, parallel_count('jobs.' || v) FROM unnest('{job,progress,panel,artifact,item,lease}'::text[]) v;
SELECT v, parallel_count('jobs.' || v) ~ '^parallel' AS parallel FROM unnest('{claim_grant,import_issue,upload}'::text[]) v;
SELECT parallel_count(format('jobs.failures(%s)', :bulk)), parallel_count(format('jobs.item_history(%s)', :bulk));

SELECT jobs.resume('parallel');
SELECT jobs.wait(:waiting);
SELECT jobs.cancel(:outside), jobs.cancel(:items);
SELECT count(jobs.delete(id)) FROM jobs.job WHERE title = 'parallel';
DROP TABLE parallel_views;
DROP FUNCTION parallel_count(text);
