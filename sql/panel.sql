-- The panel: a job in words, and what its reader can call on it.

-- jobs._describe with what matters alone, the rest null.
CREATE FUNCTION describe(kind text, state text, processed bigint DEFAULT NULL, total bigint DEFAULT NULL, succeeded bigint DEFAULT NULL,
    failed bigint DEFAULT NULL, skipped bigint DEFAULT NULL, percent float8 DEFAULT NULL, round int DEFAULT NULL,
    run_at interval DEFAULT NULL, started_at interval DEFAULT NULL, finished_at interval DEFAULT NULL, message text DEFAULT NULL,
    waiting_for text DEFAULT NULL, error_message text DEFAULT NULL, format text DEFAULT NULL, rows bigint DEFAULT NULL,
    bytes bigint DEFAULT NULL, expires_at interval DEFAULT NULL, estimated boolean DEFAULT NULL, warnings bigint DEFAULT NULL, mailed boolean DEFAULT NULL,
    OUT headline text, OUT detail text) LANGUAGE sql AS $$
    SELECT d.headline, d.detail
      FROM jobs._describe(kind, state, processed, total, succeeded, failed, skipped, warnings, percent, round, statement_timestamp() + run_at,
           statement_timestamp() - started_at, statement_timestamp() - finished_at, 'phase', message, waiting_for, error_message,
           format, rows, bytes, statement_timestamp() + expires_at, estimated, mailed) d
$$;

-- The examples of the contract.
SELECT * FROM describe('export', 'running', total => 48291, processed => 32355, percent => 67.0, started_at => '2 min');
SELECT * FROM describe('export', 'succeeded', rows => 48291, bytes => 12400000, format => 'csv', expires_at => '24 hours');
SELECT * FROM describe('import', 'succeeded', succeeded => 839, processed => 839, finished_at => '5 min');
SELECT * FROM describe('import_preview', 'succeeded', processed => 842, succeeded => 839, warnings => 2, failed => 1, finished_at => '5 min');
SELECT * FROM describe('import_preview', 'succeeded', processed => 1, succeeded => 1, warnings => 0, failed => 0, finished_at => '5 min');
SELECT * FROM describe('run', 'failed', error_message => 'timeout after 5 min');
SELECT * FROM describe('export', 'waiting', waiting_for => 'Export: Q4 Revenue Report to finish');
SELECT * FROM describe('bulk', 'partial', total => 50, succeeded => 47, failed => 3);

-- Scheduled.
SELECT * FROM describe('run', 'scheduled');
SELECT (describe('run', 'scheduled', run_at => t)).headline
  FROM unnest('{1 s, 59 s, 60 s, 89 s, 91 s, 59 min, 60 min, 89 min, 91 min, 47 h, 48 h, 60 h, 100 days, 10000 days}'::interval[]) t;
SELECT detail FROM jobs._describe('run', 'scheduled', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2100-01-02 03:04:05.678901 UTC',
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM describe('run', 'scheduled', run_at => '3 min', error_message => 'division by zero');
-- Its time has come.
SELECT * FROM describe('run', 'scheduled', run_at => '-1 s');

-- Waiting, queued.
SELECT * FROM describe('run', 'queued');
SELECT * FROM describe('run', 'queued', waiting_for => 'a background worker of the server (all of max_worker_processes are in use)');
SELECT * FROM describe('run', 'waiting', waiting_for => 'queue "reports" to be resumed');
SELECT * FROM describe('run', 'queued', error_message => 'could not connect');

-- Running: rows or items, singular and plural, with or without a total.
SELECT d.* FROM unnest('{NULL, 0, 1, 2, 999, 1000, 1234567890}'::bigint[]) n, describe('run', 'running', processed => n, started_at => '0') d;
SELECT d.headline FROM unnest('{0, 1, 2, 999, 1000, 999999, 1000000, 9223372036854775807}'::bigint[]) n, describe('export', 'running', total => n) d;
SELECT d.headline FROM unnest('{1, 2000}'::bigint[]) n, describe('bulk', 'running', total => n) d;
SELECT d.detail FROM unnest('{0, 0.4, 0.99, 1, 50.5, 99.9, 100, 250, -1, NaN}'::float8[]) p, describe('export', 'running', percent => p) d;
SELECT * FROM describe('bulk', 'running', total => 50, processed => 10, percent => 20, started_at => '3 h', message => 'invoices');
SELECT * FROM describe('run', 'running', message => E'first line\nsecond line');
SELECT headline, length(detail), right(detail, 3) FROM describe('run', 'running', message => repeat('ü', 1000));

-- Times.
SELECT t, detail FROM unnest('{-1 h, 0, 1 s, 59 s, 60 s, 119 s, 120 s, 59 min, 60 min, 119 min, 2 h, 47 h, 48 h, 71 h, 72 h, 1000 days}'::interval[]) t,
       LATERAL describe('import', 'succeeded', succeeded => 1, finished_at => t) d;

-- Sizes.
SELECT bytes, split_part(headline, ' · ', 2) AS size
  FROM unnest('{0, 1, 2, 999, 1000, 1049, 1050, 1234, 99949, 99950, 999499, 999500, 12400000, 999000000, 999499999, 999500000,
                1000000000, 10000000000, 1000000000000, 1000000000000000, 9223372036854775807}'::bigint[]) bytes,
       LATERAL describe('export', 'succeeded', rows => 1, bytes => bytes, format => 'csv', expires_at => '1 h') d;

-- Exports.
SELECT headline FROM unnest('{0, 1, 2, 1000}'::bigint[]) n, describe('export', 'succeeded', rows => n, bytes => 5, format => 'csv', expires_at => '1 h');
SELECT t, detail FROM unnest('{-1 s, 0, 1 s, 59 s, 60 s, 89 s, 91 s, 119 s, 2 min, 59 min, 60 min, 89 min, 91 min, 24 h, 47 h, 48 h, 30 days}'::interval[]) t,
       LATERAL describe('export', 'succeeded', rows => 1, bytes => 5, format => 'csv', expires_at => t) d;
SELECT * FROM describe('export', 'succeeded', processed => 7);
SELECT * FROM describe('export', 'succeeded');
SELECT * FROM describe('export', 'partial', rows => 1, bytes => 1, format => 'jsonl', expires_at => '1 day');

-- Bulk operations.
SELECT * FROM describe('bulk', 'succeeded', total => 50, succeeded => 50, failed => 0, skipped => 0);
SELECT * FROM describe('bulk', 'succeeded', total => 1, succeeded => 1);
SELECT * FROM describe('bulk', 'partial', total => 1234567, succeeded => 1234000, failed => 560, skipped => 7, round => 2);
SELECT right(detail, 12) FROM unnest('{1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 101, 111, 1002}'::int[]) r, describe('bulk', 'partial', succeeded => 1, round => r);
SELECT * FROM describe('bulk', 'succeeded');

-- Imports, runs.
SELECT * FROM describe('import', 'succeeded', succeeded => 1, finished_at => '0');
SELECT * FROM describe('import', 'succeeded');
SELECT * FROM describe('run', 'succeeded', finished_at => '5 min');
SELECT * FROM describe('run', 'succeeded', processed => 1, finished_at => '5 min');
SELECT * FROM describe('run', 'succeeded', processed => 12345);

-- Failed, cancelled.
SELECT * FROM describe('run', 'failed', error_message => 'division by zero', finished_at => '1 h');
SELECT * FROM describe('run', 'failed');
SELECT * FROM describe('run', 'failed', error_message => E'duplicate key\nDETAIL: more');
SELECT length(headline) FROM describe('run', 'failed', error_message => repeat('x', 4000));
SELECT * FROM describe('run', 'cancelled', finished_at => '49 h');
SELECT * FROM describe('run', 'cancelled', error_message => 'the job "first" that it waited for has failed');
SELECT * FROM describe('run', 'failed', error_message => E'a\tb\x01c');

-- Somebody will get a mail.
SELECT d.* FROM unnest('{scheduled, waiting, queued, running, succeeded, partial, failed, cancelled}'::text[]) state, describe('run', state, mailed => true) d;

-- What it does not know.
SELECT * FROM describe('run', 'no such state');
SELECT * FROM describe('no such kind', 'succeeded');
SELECT * FROM describe(NULL, 'succeeded');
SELECT * FROM describe('run', NULL);
SELECT * FROM jobs._describe('export', 'running', -5, -5, -5, -5, -5, -5, 'Infinity', -5, 'infinity', '-infinity', 'infinity', '', '', '', '', '', -5, -5, 'infinity', true, NULL);

-- A total that is an estimate has two digits.
SELECT n, headline FROM unnest('{0, 1, 9, 10, 99, 100, 104, 105, 995, 999, 48291, 48500, 541909, 99999999, 9223372036854775807}'::bigint[]) n,
       LATERAL describe('export', 'running', total => n, processed => 0, estimated => true);
SELECT * FROM describe('export', 'running', total => 48291, processed => 32355, percent => 67.0, started_at => '2 min', estimated => false);

-- Actions, of one who may do what he likes.
CREATE FUNCTION actions(kind text, state text, has_file boolean DEFAULT false) RETURNS text[] LANGUAGE sql AS
    $$SELECT jobs._actions(10, '', kind, state, has_file)$$;
SELECT state, actions('run', state) AS run, actions('export', state, state = 'succeeded') AS export, actions('bulk', state) AS bulk,
       actions('import_preview', state, state = 'succeeded') AS import_preview, actions('import', state, state = 'succeeded') AS import
  FROM unnest('{scheduled, waiting, queued, running, succeeded, partial, failed, cancelled, unknown}'::text[]) state;
CREATE ROLE regress_jobs_panel;
SET ROLE regress_jobs_panel;
SELECT state, actions('run', state) AS run, actions('export', state, true) AS export FROM unnest('{running, succeeded, failed}'::text[]) state;
RESET ROLE;
GRANT pg_signal_backend TO regress_jobs_panel;
SET ROLE regress_jobs_panel;
SELECT jobs._actions(10, '', 'run', 'running', false) AS of_superuser, jobs._actions('pg_monitor'::regrole::oid, '', 'run', 'running', false) AS of_another,
       jobs._actions('pg_monitor'::regrole::oid, '', 'run', 'failed', false) AS failed;
SET jobs.tenant = 'acme';
SELECT jobs._actions('regress_jobs_panel'::regrole, '', 'run', 'running', false) AS of_none, jobs._actions('regress_jobs_panel'::regrole, 'acme', 'run', 'running', false) AS of_acme;
RESET jobs.tenant;
RESET ROLE;
DROP ROLE regress_jobs_panel;

-- The view: newest first, those that have not ended and those of the last hour.
SELECT jobs.run('SELECT 1', title => 'panel 1') AS a \gset
SELECT jobs.export('SELECT i FROM generate_series(1, 1234) i', filename => 'numbers.csv') AS b \gset
SELECT jobs.run('SELECT 1/0', title => 'panel 3') AS c \gset
SELECT jobs.run('SELECT 1', title => 'panel 4', run_at => now() + interval '3 hours 2 s') AS d \gset
SELECT jobs.wait(:a), jobs.wait(:b), jobs.wait(:c);
SELECT id - :a AS n, title, state, headline, CASE WHEN id = :d THEN left(detail, 3) ELSE detail END AS detail, percent, can_leave, actions
  FROM jobs.panel WHERE id BETWEEN :a AND :d;
-- After an hour they are in jobs.job only.
UPDATE jobs.history SET finished_at = finished_at - interval '30 min' WHERE id IN (:a, :b);
UPDATE jobs.history SET finished_at = finished_at - interval '61 min' WHERE id = :c;
SELECT title, headline, detail FROM jobs.panel WHERE id BETWEEN :a AND :d AND id <> :d;
SELECT title, state FROM jobs.progress WHERE id BETWEEN :a AND :d ORDER BY id;
SELECT title, state FROM jobs.job WHERE id BETWEEN :a AND :d ORDER BY id;
SELECT jobs.cancel(:d);

DROP FUNCTION describe;
DROP FUNCTION actions;
