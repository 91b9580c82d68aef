-- Attacks by those who have, had or borrow a role: P22 and P24 to P31 of the list
-- of attacks.
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/security.psql'
\set cleanup :srcdir '/test/security_end.psql'
\set ECHO none
\i :setup
\set ECHO all
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;

-- How a job ended.
CREATE FUNCTION sec.ended(job bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM jobs.wait(job, '1 min');
    RETURN (SELECT concat_ws(', ', state, error_code || ' ' || sec.text_of(error_message)) FROM jobs.job WHERE id = $1);
END $$;
-- Whether everybody rests: the settings of a role reach only a session that does.
CREATE FUNCTION sec.rest() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS
$$SELECT public.test_poll($x$count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'jobs worker' AND state <> 'idle'$x$)$$;
CREATE TABLE shared.log (what text);
GRANT ALL ON shared.log TO PUBLIC;

-- ----------------------------------------------------------------------------
-- P22: whose job it is
-- ----------------------------------------------------------------------------

-- A function of bob's that runs with his rights submits his jobs, whoever calls it.
SET SESSION AUTHORIZATION regress_jobs_bob;
CREATE FUNCTION shared.bobs(command text) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT jobs.run(command)';
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT shared.bobs('INSERT INTO shared.log VALUES (current_user)') AS id \gset
SELECT sec.try('P22', 'control of a job that one has submitted as another', 'SELECT jobs.cancel(' || :id || ')');
RESET SESSION AUTHORIZATION;
SELECT sec.ended(:id);
SELECT sec.holds('P22', 'a job of a SECURITY DEFINER function is its owner''s', owner = 'regress_jobs_bob') FROM jobs.job WHERE id = :id;

-- The same for an owner without LOGIN, called by one who is no member, by a
-- member, and by a superuser: until 16 the session is theirs, the job is not.
SET SESSION AUTHORIZATION regress_jobs_mallory;
SET ROLE regress_jobs_team;
CREATE FUNCTION shared.teams(command text) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT jobs.run(command)';
RESET SESSION AUTHORIZATION;
SELECT shared.teams('DO $x$ BEGIN BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN END; PERFORM sec.strike(); END $x$') AS id1 \gset
SELECT shared.teams('DECLARE c CURSOR WITH HOLD FOR SELECT sec.strike()') AS id2 \gset
SET SESSION AUTHORIZATION regress_jobs_bob;
SELECT shared.teams('SELECT sec.strike()') AS id3 \gset
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT shared.teams('SELECT sec.strike()') AS id4 \gset
RESET SESSION AUTHORIZATION;
SELECT sec.ended(:id1), sec.ended(:id2), sec.ended(:id3), sec.ended(:id4);
SELECT sec.holds('P22', 'whoever calls, it is the owner who runs', count(*) = 4 AND bool_and(who = 'regress_jobs_team' AND outcome = '42501')) FROM sec.struck;
DELETE FROM sec.struck;

-- The role at the call counts, not that at the commit.
SET SESSION AUTHORIZATION regress_jobs_mallory;
BEGIN;
SET LOCAL ROLE regress_jobs_team;
SELECT jobs.run('INSERT INTO shared.log VALUES (current_user)') AS id \gset
RESET ROLE;
COMMIT;
SELECT sec.holds('P22', 'the role at the call counts', owner = 'regress_jobs_team') FROM jobs.job WHERE id = :id;
SELECT sec.ended(:id);
-- A job that submits another cannot do it as anybody else.
SELECT jobs.run($$SET ROLE regress_jobs_team; SELECT jobs.run('INSERT INTO shared.log VALUES (''nested '' || current_user)'); RESET ROLE;
                  SELECT jobs.run('INSERT INTO shared.log VALUES (''nested '' || current_user)')$$) AS id \gset
SELECT sec.ended(:id);
SELECT test_poll($$count(*) = 2 FROM shared.log WHERE what LIKE 'nested %'$$);
SELECT what, count(*) FROM shared.log GROUP BY what ORDER BY what;

-- ----------------------------------------------------------------------------
-- P24: plans of one job, rows of the next
-- ----------------------------------------------------------------------------

RESET SESSION AUTHORIZATION;
CREATE TABLE shared.docs (owner name, doc text);
INSERT INTO shared.docs VALUES ('regress_jobs_mallory', 'hers'), ('regress_jobs_bob', 'his');
ALTER TABLE shared.docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON shared.docs USING (true);
GRANT SELECT ON shared.docs TO PUBLIC;
SET SESSION AUTHORIZATION regress_jobs_mallory;
CREATE FUNCTION evil.docs() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT string_agg(doc, '','' ORDER BY doc) FROM shared.docs); END';
SELECT jobs.run('PREPARE p AS SELECT evil.docs(); EXECUTE p; EXECUTE p; INSERT INTO shared.log SELECT ''P24 '' || evil.docs()') AS id \gset
SELECT sec.ended(:id);
RESET SESSION AUTHORIZATION;
DROP POLICY p ON shared.docs;
CREATE POLICY p ON shared.docs USING (owner = current_user);
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT sec.rest();
SELECT jobs.run('INSERT INTO shared.log SELECT ''P24 '' || evil.docs()') AS id \gset
SELECT sec.ended(:id);
RESET SESSION AUTHORIZATION;
REVOKE SELECT ON shared.docs FROM PUBLIC;
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT sec.rest();
SELECT jobs.run('INSERT INTO shared.log SELECT ''P24 '' || evil.docs()') AS id \gset
SELECT sec.ended(:id);
SELECT what FROM shared.log WHERE what LIKE 'P24 %' ORDER BY length(what) DESC;

-- ----------------------------------------------------------------------------
-- P25: what one tenant's job leaves for another's
-- ----------------------------------------------------------------------------

SET jobs.tenant = 'acme';
SELECT sec.rest();
SELECT jobs.run($$SET app.secret = 'acme''s'; CREATE TEMP TABLE left_over AS SELECT 'acme''s' AS secret;
    CREATE FUNCTION pg_temp.left_over() RETURNS text LANGUAGE sql AS 'SELECT ''acme''''s'''; PREPARE left_over AS SELECT 1; DECLARE left_over CURSOR WITH HOLD FOR SELECT 1;
    SELECT pg_advisory_lock(4711); SET work_mem = '77MB'; SET search_path = pg_temp; SET ROLE regress_jobs_team; SET plpgsql.extra_warnings = 'all'$$) AS id \gset
SELECT sec.ended(:id);
SET jobs.tenant = 'other';
SELECT sec.rest();
SELECT jobs.run($$INSERT INTO shared.log SELECT 'P25 ' || concat_ws(' ', current_user, coalesce(current_setting('app.secret', true), ''),
    to_regclass('left_over'), to_regproc('pg_temp.left_over'), (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objid = 4711), current_setting('work_mem'), current_setting('plpgsql.extra_warnings'),
    current_setting('jobs.tenant'), current_setting('search_path'))$$) AS id \gset
SELECT sec.ended(:id);
RESET jobs.tenant;
SELECT what FROM shared.log WHERE what LIKE 'P25 %';

-- ----------------------------------------------------------------------------
-- P26: who has left a role
-- ----------------------------------------------------------------------------

RESET SESSION AUTHORIZATION;
SELECT pg_advisory_lock(4712);
SELECT jobs.pause('P26');
SET SESSION AUTHORIZATION regress_jobs_mallory;
SET ROLE regress_jobs_team;
SELECT jobs.export('SELECT ''of the team''') AS artifact \gset
SELECT sec.ended(:artifact);
SELECT jobs.share(:artifact) AS token \gset
SELECT jobs.run('SELECT 1', queue => 'P26') AS queued \gset
-- The last two go on until after she has left; one calls a function with rights.
SELECT jobs.run($$SELECT pg_advisory_lock(4712); SELECT jobs.run('SELECT sec.strike()')$$) AS chain \gset
SELECT jobs.run($$SELECT pg_advisory_lock(4712); SELECT shared.bobs('INSERT INTO shared.log VALUES (''by bob'')')$$) AS chain2 \gset
RESET SESSION AUTHORIZATION;
SELECT test_poll($$count(*) = 2 FROM jobs.job WHERE state = 'running'$$);
-- She is still in the team when somebody throws her out: her session stays there.
-- The lock goes when other sessions have been told, which is after they can see it.
SELECT jobs.run('SELECT pg_advisory_xact_lock(4713); REVOKE regress_jobs_team FROM regress_jobs_mallory', run_at => clock_timestamp() + '300 ms') AS id \gset
SET SESSION AUTHORIZATION regress_jobs_mallory;
SET ROLE regress_jobs_team;
SELECT test_poll($$count(*) = 0 FROM pg_auth_members WHERE roleid = 'regress_jobs_team'::regrole AND member = 'regress_jobs_mallory'::regrole$$);
SELECT pg_advisory_xact_lock(4713);
SELECT current_user;
SELECT sec.try('P26', 'a session that is still in the role', 'SELECT jobs.run(''SELECT sec.strike()'')');
SELECT sec.try('P26', 'the same, an export', 'SELECT jobs.export(''SELECT 1'')');
RESET ROLE;
SELECT sec.try('P26', 'old artifacts', 'SELECT jobs.download(' || :artifact || ')');
SELECT sec.try('P26', 'old jobs', 'SELECT jobs.cancel(' || :queued || ')');
SELECT sec.holds('P26', 'views', count(*) = 0) FROM jobs.job WHERE owner = 'regress_jobs_team';
-- A link is for whoever has it, until it is taken back.
SELECT sec.holds('P26', 'old links are valid until they are taken back', count(*) = 1) FROM jobs.download(:'token'::text);
RESET SESSION AUTHORIZATION;
SELECT jobs.unshare(:artifact);
SELECT pg_advisory_unlock(4712);
SELECT jobs.resume('P26');
SELECT 'P26 job that waited: ' || sec.ended(:queued);
SELECT 'P26 job that ran, and submits another: ' || sec.ended(:chain);
SELECT 'P26 job that ran, and calls a function of bob''s: ' || sec.ended(:chain2);
SELECT test_poll($$count(*) = 1 FROM shared.log WHERE what = 'by bob'$$);
SELECT sec.holds('P26', 'nothing more ran as the team', count(*) = 0) FROM sec.struck;
GRANT regress_jobs_team TO regress_jobs_mallory;

-- ----------------------------------------------------------------------------
-- P27, P28: roles that go, come back, or may not log in
-- ----------------------------------------------------------------------------

CREATE ROLE regress_jobs_carol LOGIN;
SET SESSION AUTHORIZATION regress_jobs_carol;
SELECT jobs.export('SELECT 1', title => 'carol''s') AS done \gset
SELECT sec.ended(:done);
SELECT jobs.run('SELECT sec.strike()', run_at => now() + interval '1 day', unique_key => 'carol') AS queued \gset
SELECT jobs.pause('carol');
RESET SESSION AUTHORIZATION;
DROP ROLE regress_jobs_carol;
CREATE ROLE regress_jobs_carol LOGIN;
SET SESSION AUTHORIZATION regress_jobs_carol;
SELECT sec.holds('P27', 'a new role of an old name has none of its jobs', (SELECT count(*) FROM jobs.job) + (SELECT count(*) FROM jobs.panel) + (SELECT count(*) FROM jobs.artifact) = 0);
SELECT sec.try('P27', 'file of the old one', 'SELECT jobs.download(' || :done || ')');
SELECT sec.try('P27', 'job of the old one', 'SELECT jobs.cancel(' || :queued || ')');
SELECT sec.holds('P27', 'key of the old one', jobs.run('SELECT 1', unique_key => 'carol') <> :queued);
SELECT jobs.run('SELECT 1', queue => 'carol') AS id \gset
SELECT 'P27 queue of the old one: ' || sec.ended(:id);
RESET SESSION AUTHORIZATION;
DROP ROLE regress_jobs_carol;
CREATE ROLE regress_jobs_carol LOGIN;
SET SESSION AUTHORIZATION regress_jobs_carol;
SELECT jobs.run('SELECT sec.strike()', run_at => clock_timestamp() + '300 ms') AS id \gset
RESET SESSION AUTHORIZATION;
DROP ROLE regress_jobs_carol;
CREATE ROLE regress_jobs_carol LOGIN;
SELECT 'P27 job of a role that has gone: ' || sec.ended(:id);
SELECT sec.holds('P27', 'nothing ran', count(*) = 0) FROM sec.struck;
SET SESSION AUTHORIZATION regress_jobs_carol;
SELECT jobs.run('SELECT sec.strike()', run_at => clock_timestamp() + '300 ms') AS id \gset
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_jobs_carol NOLOGIN;
SELECT 'P28 job of a role that may not log in any more: ' || sec.ended(:id);
SET SESSION AUTHORIZATION regress_jobs_carol;
SELECT sec.try('P28', 'a session that it still has', 'SELECT jobs.run(''SELECT 1'')');
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_jobs_carol LOGIN VALID UNTIL '2020-01-01';
SET SESSION AUTHORIZATION regress_jobs_carol;
SELECT sec.try('P28', 'a role whose password has expired', 'SELECT jobs.run(''SELECT 1'')');
RESET SESSION AUTHORIZATION;
SELECT sec.holds('P28', 'nothing ran', count(*) = 0) FROM sec.struck;
DROP ROLE regress_jobs_carol;

-- ----------------------------------------------------------------------------
-- P29: databases that a role may not enter
-- ----------------------------------------------------------------------------

SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT jobs.run('SELECT sec.strike()', run_at => clock_timestamp() + '300 ms') AS id \gset
RESET SESSION AUTHORIZATION;
REVOKE CONNECT ON DATABASE :"DBNAME" FROM PUBLIC;
SELECT 'P29 job in a database without CONNECT: ' || sec.ended(:id);
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT sec.try('P29', 'a session that is still there', 'SELECT jobs.run(''SELECT 1'')');
SET ROLE regress_jobs_team;
SELECT sec.try('P29', 'the same as a role without LOGIN', 'SELECT jobs.run(''SELECT 1'')') ~ 'refused, 42501' AS refused;
RESET SESSION AUTHORIZATION;
GRANT CONNECT ON DATABASE :"DBNAME" TO PUBLIC;
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT jobs.run('SELECT sec.strike()', run_at => clock_timestamp() + '300 ms') AS id \gset
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_jobs_mallory CONNECTION LIMIT 0;
SELECT 'P29 job of a role that may have no connection: ' || sec.ended(:id);
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT sec.try('P29', 'a session that it still has', 'SELECT jobs.run(''SELECT 1'')');
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_jobs_mallory CONNECTION LIMIT -1;
ALTER DATABASE :"DBNAME" CONNECTION LIMIT 0;
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT sec.try('P29', 'a database that may have no connection', 'SELECT jobs.run(''SELECT 1'')');
RESET SESSION AUTHORIZATION;
ALTER DATABASE :"DBNAME" CONNECTION LIMIT -1;
SELECT sec.holds('P29', 'nothing ran', count(*) = 0) FROM sec.struck;

-- ----------------------------------------------------------------------------
-- P30, P31: settings of roles
-- ----------------------------------------------------------------------------

CREATE TABLE sec.settings (setting text, value text, command text);
INSERT INTO sec.settings VALUES ('default_transaction_read_only', 'on', 'INSERT INTO shared.log VALUES (1)'), ('statement_timeout', '50ms', 'SELECT pg_sleep(60)'),
    ('lock_timeout', '50ms', 'SELECT pg_advisory_lock(4713)'), ('row_security', 'off', 'SELECT * FROM shared.docs'),
    ('work_mem', '123kB', 'DO $x$ BEGIN ASSERT current_setting(''work_mem'') = ''123kB''; END $x$'), ('temp_file_limit', '1', 'SELECT 1'),
    ('local_preload_libraries', 'no_such_library', 'SELECT 1'), ('session_preload_libraries', 'no_such_library', 'SELECT 1');
GRANT SELECT ON sec.settings TO PUBLIC;
GRANT SELECT ON shared.docs TO PUBLIC;
SELECT pg_advisory_lock(4713);
-- Each setting that the role may give to itself, and a job under it.
CREATE PROCEDURE sec.under_settings() LANGUAGE plpgsql AS $$
DECLARE
    s record;
    id bigint;
BEGIN
    FOR s IN SELECT * FROM sec.settings ORDER BY setting LOOP
        BEGIN
            EXECUTE format('ALTER ROLE CURRENT_USER SET %s = %L', s.setting, s.value);
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO sec.lines VALUES (0, format('P31 %s: refused, %s %s', s.setting, SQLSTATE, SQLERRM));
            CONTINUE;
        END;
        COMMIT;
        PERFORM sec.rest();
        id := jobs.run(s.command);
        COMMIT;
        INSERT INTO sec.lines VALUES (0, format('P30 %s: %s', s.setting, sec.ended(id)));
        EXECUTE format('ALTER ROLE CURRENT_USER RESET %s', s.setting);
        COMMIT;
    END LOOP;
END $$;
SET SESSION AUTHORIZATION regress_jobs_mallory;
CALL sec.under_settings();
SELECT line FROM sec.lines ORDER BY line;
RESET SESSION AUTHORIZATION;
SELECT pg_advisory_unlock(4713);

-- A role without LOGIN gives itself settings that would be another's identity;
-- they are applied to a superuser's session on 15 and 16.
CREATE ROLE regress_jobs_admin LOGIN SUPERUSER;
SET SESSION AUTHORIZATION regress_jobs_admin;
SET ROLE regress_jobs_team;
ALTER ROLE regress_jobs_team SET role = 'regress_jobs_admin';
ALTER ROLE regress_jobs_team SET session_authorization = 'regress_jobs_admin';
SELECT sec.rest();
CALL sec.attack('P13', 'identity in the settings of a role without LOGIN', 'SELECT sec.strike()');
CALL sec.attack('P13', 'the same with RESET ROLE', 'DO $x$ BEGIN BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN END; PERFORM sec.strike(); END $x$');
ALTER ROLE regress_jobs_team RESET ALL;

-- To see that these tests would notice: a superuser as himself.
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_jobs_admin;
CALL sec.attack('P13', 'a superuser, so this must be harm', 'SELECT 1');
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_jobs_mallory NOSUPERUSER;
\set ECHO none
\i :cleanup
