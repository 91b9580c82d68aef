-- What must be so after every fault, whatever happened.  Each query finds what is
-- not; a row is a violation.  The driver (trust.py) has stopped submitting, all
-- jobs have come to an end, and its own ledger is in trust.ledger:
--
--    key            number of the submission, and 'k' || key the title of its job
--    fate           committed, or absent: rolled back, or never committed
--    n, sha         items of a bulk job; SHA-256 of what COPY makes of an export
--    predecessor    key of the job that this one waits for
--
-- Each effect of a job is a row of trust.effect, a table without any index.

-- I1: every job whose submission was committed is there, and none of another
SELECT l.key, l.kind, l.job, l.fate, j.title
  FROM trust.ledger l LEFT JOIN jobs.job j ON j.id = l.job
 WHERE l.fate = 'committed' AND (j.id IS NULL OR j.title <> 'k' || l.key OR j.owner <> l.role);
SELECT l.key, l.kind, l.fate, j.id
  FROM trust.ledger l JOIN jobs.job j ON j.title = 'k' || l.key
 WHERE l.fate = 'absent' OR j.id <> l.job;

-- I2: every job has come to an end
SELECT id, kind, title, state, waiting_for, attempt
  FROM jobs.job WHERE state NOT IN ('succeeded', 'partial', 'failed', 'cancelled');

-- I3: nothing is left of a run that has ended
SELECT 'live', id, state FROM jobs.live WHERE title IN (SELECT 'k' || key FROM trust.ledger);
SELECT 'slot', id, phase FROM jobs._slots();
SELECT 'lease', job, client FROM jobs.lease WHERE first_item IS NULL;
SELECT 'offer', job, queue FROM jobs.offer;
SELECT 'dependency', job, after FROM jobs.dependency;

-- I4: an effect is there once for what succeeded, and not at all for what did not
WITH effect AS (SELECT key, item, count(*) AS n FROM trust.effect GROUP BY key, item)
SELECT l.key, l.kind, l.job, j.state, j.attempt, coalesce(e.n, 0) AS effects
  FROM trust.ledger l JOIN jobs.job j ON j.id = l.job LEFT JOIN effect e ON e.key = l.key
 WHERE l.kind IN ('run', 'outside') AND coalesce(e.n, 0) <> (j.state = 'succeeded')::integer;
WITH effect AS (SELECT e.key, e.item, count(*) AS n FROM trust.effect e JOIN trust.ledger l USING (key)
                 WHERE l.kind IN ('bulk', 'outside items') GROUP BY 1, 2),
     item AS (SELECT l.key, i.item_no AS item, i.state FROM trust.ledger l JOIN jobs.item i ON i.job = l.job
               WHERE l.kind IN ('bulk', 'outside items'))
SELECT key, item, i.state, coalesce(e.n, 0) AS effects
  FROM item i FULL JOIN effect e USING (key, item)
 WHERE coalesce(e.n, 0) <> coalesce((i.state = 'succeeded')::integer, 0);
SELECT e.key, count(*) AS effects FROM trust.effect e LEFT JOIN trust.ledger l ON l.key = e.key AND l.fate = 'committed'
 WHERE l.key IS NULL GROUP BY e.key;

-- I5: counts of bulk jobs are those of their items
SELECT l.key, l.job, j.state, j.total, j.processed, j.succeeded, j.failed, j.skipped, i.*
  FROM trust.ledger l JOIN jobs.job j ON j.id = l.job,
       LATERAL (SELECT count(*) AS items, count(*) FILTER (WHERE i.state = 'succeeded') AS s,
                       count(*) FILTER (WHERE i.state = 'failed') AS f, count(*) FILTER (WHERE i.state = 'skipped') AS k,
                       count(*) FILTER (WHERE i.state = 'open') AS o, count(DISTINCT i.item_no) AS numbers
                  FROM jobs.item i WHERE i.job = l.job) i
 WHERE l.kind IN ('bulk', 'outside items')
   AND (i.items NOT IN (0, l.n) OR i.items <> i.numbers
        OR i.items > 0 AND (j.total, j.succeeded, j.failed, j.skipped, j.processed) IS DISTINCT FROM (i.items, i.s, i.f, i.k, i.s + i.f + i.k)
        OR j.state = 'succeeded' AND (i.items = 0 OR i.f + i.o > 0)
        OR j.state = 'partial' AND (i.f = 0 OR i.o > 0));
SELECT j.id, h.item_no, h.round, count(*) FROM trust.ledger l JOIN jobs.job j ON j.id = l.job, jobs.item_history(j.id) h
 WHERE l.kind IN ('bulk', 'outside items') GROUP BY 1, 2, 3 HAVING count(*) > 1;

-- I6: an export has its whole file if it succeeded, and nothing of one if it did not
SELECT l.key, l.job, j.state, a.sha256, l.sha
  FROM trust.ledger l JOIN jobs.job j ON j.id = l.job LEFT JOIN jobs.artifact a ON a.job = l.job
 WHERE l.kind = 'export' AND ((a.job IS NOT NULL) <> (j.state = 'succeeded') OR a.sha256 <> l.sha);
SELECT f.job, f.chunks, count(DISTINCT c.seq) FROM jobs.file f LEFT JOIN jobs.chunk c ON c.job = f.job
 WHERE f.job NOT IN (SELECT job FROM jobs.garbage)
 GROUP BY f.job, f.chunks HAVING count(DISTINCT c.seq) <> f.chunks;
SELECT c.job, h.kind, h.state, count(*)
  FROM jobs.chunk c LEFT JOIN jobs.file f ON f.job = c.job LEFT JOIN jobs.history h ON h.id = c.job LEFT JOIN jobs.upload_entry u ON u.id = c.job
 WHERE NOT (f.job IS NOT NULL OR u.id IS NOT NULL OR h.kind IN ('import_preview', 'import') AND h.state = 'succeeded') IS TRUE
   AND c.job NOT IN (SELECT job FROM jobs.garbage)
 GROUP BY c.job, h.kind, h.state;
SELECT i.job, h.kind, h.state, count(*) FROM jobs.issue i LEFT JOIN jobs.history h ON h.id = i.job
 WHERE (h.kind IN ('import_preview', 'import') AND h.state = 'succeeded') IS NOT TRUE GROUP BY i.job, h.kind, h.state;
SELECT u.job, u.upload FROM jobs.upload_use u LEFT JOIN jobs.history h ON h.id = u.job LEFT JOIN jobs.upload_entry e ON e.id = u.upload
 WHERE h.id IS NULL OR e.id IS NULL;
SELECT f.job FROM jobs.file f LEFT JOIN jobs.history h ON h.id = f.job WHERE h.id IS NULL;

-- I7: an import has inserted all that it says, or nothing
WITH target AS (SELECT key::text, count(*) AS n, count(DISTINCT n) AS different FROM trust.target GROUP BY key),
     import AS (
    SELECT l.key, l.job, l.n, coalesce(t.n, 0) AS inserted, coalesce(t.different, 0) AS different
      FROM trust.ledger l LEFT JOIN target t ON t.key = l.sha
     WHERE l.kind = 'import' AND l.fate = 'committed')
SELECT l.key, l.job, j.state, j.result ->> 'inserted' AS told, l.n, l.inserted
  FROM import l JOIN jobs.job j ON j.id = l.job
 WHERE (l.inserted <> CASE WHEN j.state = 'succeeded' THEN l.n ELSE 0 END OR l.inserted <> l.different
        OR j.state = 'succeeded' AND l.inserted <> (j.result ->> 'inserted')::bigint);
WITH previewed AS MATERIALIZED (
    SELECT l.key, l.job, l.n FROM trust.ledger l JOIN jobs.job j ON j.id = l.job WHERE l.kind = 'preview' AND j.state = 'succeeded')
SELECT l.key, s.* FROM previewed l, jobs.import_summary(l.job) s
 WHERE (s.rows_parsed, s.ready, s.errors) IS DISTINCT FROM (l.n, l.n - l.n / 50, l.n / 50);
SELECT t.key, count(*) FROM trust.target t LEFT JOIN trust.ledger l ON l.kind = 'import' AND l.fate = 'committed' AND l.sha = t.key::text
 WHERE l.key IS NULL GROUP BY t.key;

-- I8: states, attempts and times are such as the state machine makes
SELECT l.key, j.id, j.state, j.attempt, j.max_attempts, j.created_at, j.started_at, j.finished_at, j.error_code
  FROM trust.ledger l JOIN jobs.job j ON j.id = l.job
 WHERE j.attempt > j.max_attempts OR j.finished_at IS NULL
    OR j.state IN ('succeeded', 'partial') AND (j.started_at IS NULL OR j.attempt < 1)
    OR j.state = 'failed' AND (j.error_code IS NULL OR j.error_message IS NULL)
    OR j.state = 'cancelled' AND NOT (l.cancelled OR j.error_message IS NOT NULL)
    OR j.state = 'failed' AND j.error_message LIKE 'timeout after %' AND j.timeout IS NULL
    OR NOT l.clock_moved AND (j.finished_at < j.started_at OR j.started_at < j.created_at OR j.started_at < l.run_at);

-- I9: what waits for another begins after its success, or is cancelled for its end
SELECT l.key, j.state, j.started_at, p.state, p.finished_at
  FROM trust.ledger l JOIN jobs.job j ON j.id = l.job JOIN trust.ledger b ON b.key = l.predecessor JOIN jobs.job p ON p.id = b.job
 WHERE j.started_at IS NOT NULL
       AND (p.state NOT IN ('succeeded', 'partial') OR j.started_at < p.finished_at AND NOT l.clock_moved)
    OR p.state NOT IN ('succeeded', 'partial') AND j.state <> 'cancelled';

-- I12: nobody has gained a right, and nobody has read what is nobody's
SELECT coalesce(b.what, n.what), b.hash, n.hash FROM trust.baseline b FULL JOIN trust.rights n USING (what)
 WHERE b.hash IS DISTINCT FROM n.hash;
SELECT seq_scan, idx_scan, n_tup_ins, n_tup_upd FROM pg_stat_user_tables
 WHERE relid = 'trust.canary'::regclass AND seq_scan > 0;

-- I13: nothing is held that nobody needs
SELECT 'process', a.pid, a.backend_type, a.state, a.query FROM pg_stat_activity a
 WHERE a.backend_type LIKE 'jobs %' AND (a.xact_start < clock_timestamp() - interval '5 s' OR a.backend_xmin IS NOT NULL AND a.state = 'idle')
    OR a.backend_type = 'parallel worker';
SELECT 'too many', backend_type, datname, count(*) FROM pg_stat_activity
 WHERE backend_type LIKE 'jobs %' GROUP BY backend_type, datname
HAVING count(*) > CASE backend_type WHEN 'jobs worker' THEN current_setting('jobs.max_workers')::integer ELSE 1 END;
SELECT 'temporary file', name, size FROM pg_ls_tmpdir();
SELECT 'lock', l.locktype, l.relation::regclass, l.mode, a.backend_type FROM pg_locks l JOIN pg_stat_activity a USING (pid)
 WHERE a.backend_type LIKE 'jobs %' AND l.locktype IN ('advisory', 'tuple', 'object')
    OR a.backend_type = 'jobs worker' AND l.locktype = 'relation' AND a.state = 'idle';
SELECT 'prepared transaction', gid FROM pg_prepared_xacts;
SELECT 'replication slot', slot_name FROM pg_replication_slots WHERE NOT active;

-- I16: tables and indexes are sound
SELECT c.oid::regclass, v.* FROM pg_class c, LATERAL verify_heapam(c.oid) v
 WHERE c.relnamespace = 'jobs'::regnamespace AND c.relkind = 'r';
SELECT i.oid::regclass, bt_index_parent_check(i.oid, true)
  FROM (SELECT oid FROM pg_class WHERE relnamespace = 'jobs'::regnamespace AND relkind = 'i' OFFSET 0) i
 WHERE bt_index_parent_check(i.oid, true)::text <> '';
