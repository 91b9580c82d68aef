-- Bulk jobs: items, counts, reasons, rounds.
CREATE TABLE sink (n integer PRIMARY KEY, email text);
CREATE FUNCTION invite(payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF payload->>'email' IS NULL THEN
		RAISE EXCEPTION 'no email address' USING ERRCODE = '23502', DETAIL = 'Item ' || (payload->>'n') || '.', HINT = 'Ask.';
	ELSIF payload->>'email' NOT LIKE '%@%' THEN
		RAISE EXCEPTION 'invalid email address';
	ELSIF payload->>'email' LIKE '%@example.org' THEN
		RAISE EXCEPTION 'has left' USING ERRCODE = 'JB001';
	END IF;
	INSERT INTO sink VALUES ((payload->>'n')::integer, payload->>'email');
END $$;
CREATE FUNCTION people(n integer, bad integer[] DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_agg(jsonb_build_object('n', i, 'email', 'p' || i || CASE WHEN i = ANY (bad) THEN '' ELSE '@acme.com' END) ORDER BY i)
	  FROM generate_series(1, n) i
$$;
CREATE VIEW ended AS
SELECT state, round, processed, total, succeeded, failed, skipped, error_code, error_message FROM jobs.job ORDER BY id DESC LIMIT 1;

-- 50 invitations, 3 of which fail
SELECT jobs.bulk('SELECT invite($1)', people(50, '{7,8,31}'), title => 'Bulk invite') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT title, state, headline, detail, percent, actions FROM jobs.panel WHERE id = :job;
SELECT * FROM jobs.failures(:job);
SELECT item_no, payload, state, round, error_code, error_message, error_detail, error_hint, result, finished_at IS NOT NULL AS finished
  FROM jobs.item WHERE job = :job AND state = 'failed' ORDER BY item_no;
SELECT state, count(*) FROM jobs.item WHERE job = :job GROUP BY state ORDER BY state;
SELECT count(*) FROM sink;

-- another round for what failed; two of the three have been helped
CREATE OR REPLACE FUNCTION fix(payload jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT CASE WHEN payload->>'n' IN ('7', '31') THEN payload || '{"email": "x@acme.com"}' ELSE payload END $$;
ALTER FUNCTION invite(jsonb) RENAME TO invite_as_it_is;
CREATE FUNCTION invite(payload jsonb) RETURNS void LANGUAGE sql AS 'SELECT invite_as_it_is(fix(payload))';
SELECT jobs.retry_failed(:job);
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT headline, detail, actions FROM jobs.panel WHERE id = :job;
SELECT item_no, round, state, error_message FROM jobs.item_history(:job) WHERE item_no IN (7, 8, 9);
SELECT item_no, round, state, error_message FROM jobs.item_history(:job, 8);
SELECT * FROM jobs.failures(:job);

-- and the last one is left at that
SELECT jobs.skip_failed(:job);
SELECT * FROM ended;
SELECT headline, detail, actions FROM jobs.panel WHERE id = :job;
SELECT item_no, state, round, error_message FROM jobs.item WHERE job = :job AND state <> 'succeeded';
SELECT item_no, round, state, error_message FROM jobs.item_history(:job, 8);
SELECT jobs.retry_failed(:job), jobs.skip_failed(:job);

-- by one reason only, whatever the others are
DROP FUNCTION invite(jsonb);
ALTER FUNCTION invite_as_it_is(jsonb) RENAME TO invite;
TRUNCATE sink;
SELECT jobs.bulk('SELECT invite($1)', '[{"n": 1, "email": "a@acme.com"}, {"n": 2}, {"n": 3, "email": "x"}, {"n": 4, "email": "y"},
	{"n": 5, "email": "b@example.org"}, {"n": 1, "email": "again@acme.com"}]') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT item_no, state, error_code, error_message, error_detail, error_hint FROM jobs.item WHERE job = :job ORDER BY item_no;
SELECT * FROM jobs.failures(:job);
SELECT headline, detail FROM jobs.panel WHERE id = :job;
SELECT jobs.retry_failed(:job, reason => 'nobody knows this one');
SELECT jobs.retry_failed(:job, reason => 'invalid email address');
SELECT jobs.wait(:job, '1 min');
SELECT round, processed, succeeded, failed, skipped FROM ended;
SELECT item_no, state, round FROM jobs.item WHERE job = :job ORDER BY item_no;
SELECT jobs.skip_failed(:job, reason => 'no email address');
SELECT round, state, succeeded, failed, skipped FROM ended;

-- results are kept, of any type; a command may return nothing, but not two rows
SELECT jobs.bulk('UPDATE sink SET email = lower(email) WHERE n = ($1->>0)::integer RETURNING n + 0.5', '[[1], [2], [3]]') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT item_no, state, result FROM jobs.item WHERE job = :job ORDER BY item_no;
SELECT jobs.bulk('SELECT generate_series(1, $1::integer)', '[0, 1, 2]') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT item_no, payload, state, result, error_code, error_message, error_hint FROM jobs.item WHERE job = :job ORDER BY item_no;

-- items of any type; a query's rows are objects
SELECT jobs.bulk('SELECT $1', '[1, "two", true, [4], {"five": 5}]') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT item_no, payload, result FROM jobs.item WHERE job = :job ORDER BY item_no;
SELECT jobs.bulk_query('INSERT INTO sink SELECT * FROM jsonb_populate_record(NULL::sink, $1)',
	'SELECT i AS n, i || ''@acme.com'' AS email FROM generate_series(101, 103) i') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT item_no, payload, state FROM jobs.item WHERE job = :job ORDER BY item_no;
SELECT jobs.bulk_query('SELECT $1', 'SELECT 1 AS n WHERE false') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT headline, detail FROM jobs.panel WHERE id = :job;

-- a query that fails midway leaves no item; the job can be retried
SELECT jobs.bulk_query('SELECT $1', 'SELECT 1 / (3 - i) AS n FROM generate_series(1, 5) i') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT count(*) FROM jobs.item WHERE job = :job;
SELECT jobs.retry(:job);
SELECT jobs.wait(:job, '1 min');

-- what an item defers is its own
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (parent integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION adopt(n integer, also_parent boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO child VALUES (n);
	IF also_parent THEN INSERT INTO parent VALUES (n); END IF;
END $$;
SELECT jobs.bulk('SELECT adopt($1::integer, $1::integer % 3 <> 0)', (SELECT jsonb_agg(i ORDER BY i) FROM generate_series(1, 10) i)) AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT * FROM ended;
SELECT item_no, error_code, error_message, error_detail FROM jobs.item WHERE job = :job AND state = 'failed' ORDER BY item_no;
SELECT array_agg(parent ORDER BY parent) FROM child;

-- what an item changes in its session goes with it
CREATE FUNCTION meddle(n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before text := current_setting('work_mem') || ' ' || coalesce(current_setting('my.own', true), '') || ' ' || current_user;
BEGIN
	PERFORM set_config('work_mem', '1MB', false), set_config('my.own', n::text, false), pg_advisory_lock(n);
	RETURN before;
END $$;
SELECT jobs.bulk('SELECT meddle($1::integer)', '[1, 2, 3]') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT item_no, result FROM jobs.item WHERE job = :job ORDER BY item_no;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid <= 2;
CREATE PROCEDURE commits(n jsonb) LANGUAGE plpgsql AS 'BEGIN INSERT INTO parent VALUES (-1); COMMIT; END';
CREATE PROCEDURE behaves(n jsonb) LANGUAGE plpgsql AS 'BEGIN INSERT INTO parent VALUES (100 + n::integer); END';
SELECT jobs.bulk('CALL commits($1)', '[1]') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT state, error_code, error_message FROM jobs.item WHERE job = :job;
SELECT jobs.bulk('CALL behaves($1)', '[1, 2]') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT count(*) FROM parent WHERE id > 100;
SELECT count(*) FROM parent WHERE id < 0;

-- statement_timeout is one item's
SET jobs.capture_settings = 'search_path, statement_timeout';
SET statement_timeout = '500ms';
SELECT jobs.bulk('SELECT pg_sleep($1::float8)', '[0, 30, 0]') AS job \gset
RESET statement_timeout;
RESET jobs.capture_settings;
SELECT jobs.wait(:job, '1 min');
SELECT item_no, state, error_code, error_message FROM jobs.item WHERE job = :job ORDER BY item_no;

-- report_progress speaks of the item, the counts are of the job
SELECT jobs.bulk('SELECT jobs.report_progress($1::bigint, 10, ''looking'')', '[3]') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT state, processed, total FROM ended;

DROP VIEW ended;
DROP TABLE sink, child, parent;
DROP FUNCTION invite, people, fix, adopt, meddle;
DROP PROCEDURE commits, behaves;
