-- Attacks by what an export reads: P15, P16, P45 and P50 of the list of attacks.
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/security.psql'
\set cleanup :srcdir '/test/security_end.psql'
\set ECHO none
\i :setup
\set ECHO all
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;
CREATE ROLE regress_jobs_admin LOGIN SUPERUSER;

CREATE FUNCTION sec.ended(job bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM jobs.wait(job, '1 min');
    RETURN (SELECT concat_ws(', ', state, error_code || ' ' || sec.text_of(error_message)) FROM jobs.job WHERE id = $1);
END $$;
CREATE FUNCTION sec.content(job bigint) RETURNS text LANGUAGE sql AS $$SELECT convert_from(string_agg(d, ''), 'UTF8') FROM jobs.download(job) d$$;

-- Tells as whom it runs, and is an error to all but the roles of the test, so
-- that nothing else can have run it where the job succeeds.  An export can't
-- write, but a setting of the session tells who planned.
CREATE FUNCTION sec.mine() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM set_config('sec.seen', concat_ws(' ', current_setting('sec.seen', true), current_user), false);
    IF current_user <> current_setting('sec.owner', true) THEN
        RAISE EXCEPTION 'ran as %', current_user;
    END IF;
    RETURN current_user;
END $$;
CREATE FUNCTION sec.planned() RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN sec.mine(); END';
SET jobs.capture_settings = 'search_path, sec.owner';

-- Everything that a query can meet, made by the owner of each.
CREATE PROCEDURE sec.make() LANGUAGE plpgsql AS $$
BEGIN
    CREATE TYPE mood AS ENUM ('calm', 'evil');
    CREATE FUNCTION mood_json(mood) RETURNS json LANGUAGE sql AS 'SELECT sec.strike(); SELECT ''"x"''::json';
    CREATE CAST (mood AS json) WITH FUNCTION mood_json(mood);
    CREATE FUNCTION mood_text(mood) RETURNS text LANGUAGE sql AS 'SELECT sec.strike(); SELECT ''x''::text';
    CREATE CAST (mood AS text) WITH FUNCTION mood_text(mood) AS ASSIGNMENT;
    CREATE TYPE pair AS (m mood, t text);
    CREATE DOMAIN checked AS text CHECK (VALUE <> sec.mine());
    CREATE TYPE moods AS RANGE (SUBTYPE = text);
    CREATE TABLE read (n integer, m mood, p pair, c checked, r moods, g text GENERATED ALWAYS AS (sec.planned()) STORED);
    CREATE INDEX ON read ((sec.planned() || n));
    INSERT INTO read SELECT i, 'evil', row('evil'::mood, 'x')::pair, 'x', moods('a', 'b') FROM generate_series(1, 3) i;
    ALTER TABLE read ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY p ON read USING (sec.mine() IS NOT NULL);
    CREATE VIEW seen AS SELECT sec.mine() AS stable, sec.planned() AS immutable, * FROM read WHERE sec.planned() = sec.mine();
    CREATE FUNCTION noted() RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT sec.mine()';
    CREATE AGGREGATE agg (integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
END $$;

-- ----------------------------------------------------------------------------
-- P15, P16, for an owner with LOGIN
-- ----------------------------------------------------------------------------

SET SESSION AUTHORIZATION regress_jobs_mallory;
SET sec.owner = 'regress_jobs_mallory';
SET search_path = evil, public;
CALL sec.make();
DELETE FROM sec.struck;
SET sec.seen = '';
SELECT jobs.export('SELECT * FROM seen ORDER BY n') AS id \gset
SELECT sec.holds('P16', 'at the submission it is the caller who plans', current_setting('sec.seen') ~ '^[ ]*regress_jobs_mallory( regress_jobs_mallory)*$');
SELECT sec.ended(:id);
SELECT sec.content(:id);
SELECT sec.holds('P15', 'no cast of a type is called to write it', NOT EXISTS (SELECT FROM sec.struck));
SELECT jobs.export('SELECT noted(), p, r, ARRAY[m], row(m, c) FROM seen', options => '{"escape_formulas": true, "force_quote": "*"}') AS id \gset
SELECT sec.ended(:id);
SELECT jobs.run('CREATE TABLE results AS SELECT m, p FROM read; SELECT m, p, r FROM read') AS id \gset
SELECT sec.ended(:id);
SELECT sec.holds('P15', 'nor for the result of a run', NOT EXISTS (SELECT FROM sec.struck));
-- An error that shows a value of such a type.
SELECT jobs.run($j$DO $x$ BEGIN RAISE EXCEPTION '% %', 'evil'::evil.mood, row('evil'::evil.mood, 'x')::evil.pair; END $x$$j$) AS id \gset
SELECT sec.ended(:id);
SELECT jobs.run($$SELECT 'angry'::evil.mood$$) AS id \gset
SELECT sec.ended(:id);
SELECT sec.holds('P15', 'nor for an error', NOT EXISTS (SELECT FROM sec.struck));
-- A second attempt, and a retry.
SELECT jobs.export('SELECT n, stable FROM seen') AS id \gset
SELECT sec.ended(:id);
ALTER TABLE read RENAME TO read_not;
SELECT jobs.run($j$DO $x$ BEGIN ALTER TABLE evil.read_not RENAME TO read; END $x$; SELECT count(*) FROM evil.seen; SELECT 1 / 0$j$, max_attempts => 2) AS id \gset
SELECT sec.ended(:id);
SELECT sec.holds('P16', 'it was tried twice', attempt = 2) FROM jobs.job WHERE id = :id;
SELECT jobs.retry(:id);
SELECT sec.ended(:id);
ALTER TABLE read_not RENAME TO read;
-- The planner runs this one, at the submission and in the worker.
SELECT jobs.export('SELECT n FROM read WHERE sec.planned() = ''x''') AS id \gset
SELECT sec.ended(:id);
SELECT sec.holds('P16', 'whatever ran, ran as the owner', NOT EXISTS (SELECT FROM jobs.job WHERE error_message ~ 'ran as'));

-- Somebody else's view: its functions run as who exports, who may not like it.
SET SESSION AUTHORIZATION regress_jobs_mallory;
GRANT USAGE ON SCHEMA evil TO regress_jobs_bob;
CREATE VIEW trap AS SELECT 1 AS n;
GRANT SELECT ON trap TO regress_jobs_bob;
CREATE FUNCTION striking() RETURNS integer LANGUAGE plpgsql STABLE AS 'BEGIN RAISE EXCEPTION ''struck as %, read only %'', current_user, current_setting(''transaction_read_only''); END';
CREATE OR REPLACE VIEW trap AS SELECT striking() AS n;
SET SESSION AUTHORIZATION regress_jobs_bob;
SELECT jobs.export('SELECT * FROM evil.trap') AS id \gset
SELECT 'P16 view of another: ' || sec.ended(:id);

-- ----------------------------------------------------------------------------
-- The same for an owner without LOGIN, in the session of a superuser until 16
-- ----------------------------------------------------------------------------

RESET SESSION AUTHORIZATION;
DROP SCHEMA evil CASCADE;
CREATE SCHEMA evil AUTHORIZATION regress_jobs_team;
SET SESSION AUTHORIZATION regress_jobs_admin;
SET ROLE regress_jobs_team;
SET sec.owner = 'regress_jobs_team';
SET search_path = evil, public;
CALL sec.make();
DELETE FROM sec.struck;
SET sec.seen = '';
SELECT jobs.export('SELECT * FROM seen ORDER BY n') AS id \gset
SELECT sec.holds('P16', 'at the submission it is the role that was set', current_setting('sec.seen') ~ '^[ ]*regress_jobs_team( regress_jobs_team)*$');
SELECT sec.ended(:id);
SELECT sec.content(:id);
SELECT jobs.run('CREATE TABLE results AS SELECT m, p FROM read; SELECT m, p, r FROM read') AS id \gset
SELECT sec.ended(:id);
SELECT jobs.run($j$DO $x$ BEGIN RAISE EXCEPTION '%', row('evil'::evil.mood, 'x')::evil.pair; END $x$$j$) AS id \gset
SELECT sec.ended(:id);
SELECT sec.holds('P15', 'no cast is called', NOT EXISTS (SELECT FROM sec.struck));

-- ----------------------------------------------------------------------------
-- P50: parallel workers
-- ----------------------------------------------------------------------------

-- In a parallel worker each row says who it is and what it sees; the leader's
-- process must be none of them.
CREATE TABLE many AS SELECT i FROM generate_series(1, 20000) i;
CREATE FUNCTION who() RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RETURN concat_ws(' ', current_user, current_setting('role'),
                     current_setting('sec.owner'), has_table_privilege('pg_authid', 'SELECT'));
END $$;
CREATE FUNCTION process() RETURNS integer LANGUAGE plpgsql STABLE PARALLEL SAFE AS 'BEGIN RETURN pg_backend_pid(); END';
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_jobs_team SET min_parallel_table_scan_size = 0;
ALTER ROLE regress_jobs_team SET parallel_setup_cost = 0;
ALTER ROLE regress_jobs_team SET parallel_tuple_cost = 0;
ALTER ROLE regress_jobs_team SET parallel_leader_participation = off;
ANALYZE evil.many;
SELECT public.test_poll($x$count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'jobs worker' AND state <> 'idle'$x$);
SET SESSION AUTHORIZATION regress_jobs_admin;
SET ROLE regress_jobs_team;
SET sec.owner = 'regress_jobs_team';
SET search_path = evil, public;
SELECT jobs.export('SELECT DISTINCT who(), process() <> (SELECT pg_backend_pid()) AS parallel FROM many', options => '{"header": false}') AS id \gset
SELECT sec.ended(:id);
SELECT 'P50 parallel workers of an export are: ' || sec.content(:id);
SELECT jobs.run($j$DO $x$ BEGIN ASSERT (SELECT bool_and(who() LIKE 'regress\_jobs\_team none %f') FROM many); END $x$$j$) AS id \gset
SELECT 'P50 and of a run: ' || sec.ended(:id);
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_jobs_team RESET ALL;

-- ----------------------------------------------------------------------------
-- P45: queries that do more than read
-- ----------------------------------------------------------------------------

CREATE TABLE shared.target (n integer);
CREATE SEQUENCE shared.counter;
GRANT ALL ON shared.target, shared.counter TO PUBLIC;
SET SESSION AUTHORIZATION regress_jobs_mallory;
SET search_path = shared, public;
CREATE FUNCTION shared.writes() RETURNS integer LANGUAGE sql AS 'INSERT INTO shared.target VALUES (1) RETURNING n';
CREATE FUNCTION shared.opens_up() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    BEGIN PERFORM set_config('transaction_read_only', 'off', true); EXCEPTION WHEN OTHERS THEN END;
    BEGIN SET TRANSACTION READ WRITE; EXCEPTION WHEN OTHERS THEN END;
    BEGIN SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; EXCEPTION WHEN OTHERS THEN END;
    BEGIN EXECUTE 'RESET transaction_read_only'; EXCEPTION WHEN OTHERS THEN END;
    BEGIN EXECUTE 'RESET ALL'; EXCEPTION WHEN OTHERS THEN END;
    INSERT INTO shared.target VALUES (1);
    RETURN 1;
END $$;
SELECT sec.try('P45', q, format('SELECT jobs.export(%L)', q)) FROM unnest(ARRAY[
    'INSERT INTO target VALUES (1)', 'DELETE FROM target RETURNING n', 'WITH x AS (INSERT INTO target VALUES (1) RETURNING n) SELECT * FROM x',
    'SELECT * FROM (SELECT 1) x, LATERAL (WITH y AS (DELETE FROM target RETURNING n) SELECT * FROM y) z', 'SELECT * FROM target FOR UPDATE', 'SELECT * FROM target FOR KEY SHARE',
    'SELECT * FROM (SELECT * FROM target FOR SHARE) x', 'SELECT 1 INTO x', 'CREATE TABLE x AS SELECT 1', 'SELECT 1; SELECT 2', 'SELECT 1; DROP TABLE target', 'EXPLAIN ANALYZE SELECT shared.writes()',
    'COPY (SELECT 1) TO PROGRAM ''id''', 'COPY target TO STDOUT', 'EXECUTE p', 'CALL p()', 'DO $$BEGIN END$$', 'SET ROLE postgres', 'SHOW ALL', 'FETCH ALL FROM c', 'LOCK TABLE target',
    '-- nothing', '', ';', 'SELECT $1', 'SELECT * FROM pg_authid', 'SELECT * FROM jobs.live', 'TABLE jobs.chunk', 'SELECT pg_read_file(''/etc/passwd'')', 'SELECT * FROM pg_ls_dir(''/'')',
    E'SELECT 1\\;DROP TABLE target']) q;
SELECT jobs.export(q) AS id, q INTO TEMP submitted FROM unnest(ARRAY['SELECT /* */ 1 -- ; DROP TABLE shared.target', 'SELECT 1 UNION ALL SELECT 2; --', 'SELECT shared.writes()', 'SELECT shared.opens_up()', 'SELECT nextval(''shared.counter'')', 'SELECT setval(''shared.counter'', 7)',
    'SELECT jobs.run(''SELECT 1'')', 'SELECT jobs.cancel(1)', 'SELECT jobs.pause(''default'')',
    'SELECT query_to_xml(''DELETE FROM shared.target'', true, true, '''')', 'SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)', 'SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)',
    'SELECT txid_current() > 0', 'SELECT pg_notify(''x'', ''y'')', 'SELECT pg_advisory_lock(1)']) q;
SELECT 'P45 ' || q || ': ' || sec.ended(id) FROM submitted ORDER BY id;
SELECT sec.holds('P45', 'nothing was written', (SELECT count(*) FROM shared.target) = 0 AND (SELECT NOT is_called FROM shared.counter));
SELECT public.test_poll($x$count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1$x$) AS no_lock_left;
RESET SESSION AUTHORIZATION;
\set ECHO none
\i :cleanup
