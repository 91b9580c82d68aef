-- Attacks on the identity of a job: its owner's SQL runs as the owner and can't
-- leave that, whether the owner has LOGIN, is reached by SET ROLE, or was
-- reached by a superuser.  P10 to P16 of the list of attacks.
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/security.psql'
\set cleanup :srcdir '/test/security_end.psql'
\set ECHO none
\i :setup
\set ECHO all
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;

-- One who was a superuser when he took the role.
CREATE ROLE regress_jobs_app NOLOGIN;
GRANT ALL ON SCHEMA evil TO regress_jobs_app;
CREATE ROLE regress_jobs_admin LOGIN SUPERUSER;

-- Objects that the attacks use; each role makes its own, so that it owns them.
CREATE PROCEDURE sec.make_traps() LANGUAGE plpgsql AS $$
BEGIN
    -- A deferred trigger, and one that arms itself again.
    CREATE TABLE trap (n integer, CONSTRAINT trap_key UNIQUE (n) DEFERRABLE INITIALLY DEFERRED);
    CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM sec.strike(); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER spring AFTER INSERT OR UPDATE OR DELETE ON trap DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION spring();
    CREATE TABLE rearming (n integer);
    CREATE FUNCTION rearm() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN
             PERFORM sec.strike();
             IF NEW.n > 0 THEN
                 SET CONSTRAINTS ALL DEFERRED;
                 INSERT INTO rearming VALUES (NEW.n - 1);
             END IF;
             RETURN NULL;
         END';
    CREATE CONSTRAINT TRIGGER rearm AFTER INSERT ON rearming DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION rearm();
    CREATE TABLE climbing (n integer);
    CREATE FUNCTION climb() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN
             BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN END;
             BEGIN SET ROLE regress_jobs_admin; EXCEPTION WHEN OTHERS THEN END;
             BEGIN RESET SESSION AUTHORIZATION; EXCEPTION WHEN OTHERS THEN END;
             PERFORM sec.strike();
             RETURN NULL;
         END';
    CREATE CONSTRAINT TRIGGER climb AFTER INSERT ON climbing DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION climb();
    -- Procedures that end transactions.
    CREATE PROCEDURE committing() LANGUAGE plpgsql AS
        'BEGIN COMMIT; PERFORM sec.strike(); COMMIT; SET ROLE regress_jobs_admin; PERFORM sec.strike(); END';
    CREATE PROCEDURE rolling_back() LANGUAGE plpgsql AS
        'BEGIN PERFORM sec.strike(); ROLLBACK; RESET ROLE; PERFORM sec.strike(); PERFORM 1 / 0; END';
    CREATE PROCEDURE chain() LANGUAGE plpgsql AS
        'BEGIN INSERT INTO rearming VALUES (1); COMMIT AND CHAIN; INSERT INTO climbing VALUES (1); COMMIT; PERFORM sec.strike(); END';
    -- Functions with settings of their own.
    CREATE FUNCTION with_role() RETURNS integer LANGUAGE plpgsql SET role = 'none' AS
        'BEGIN RETURN sec.strike(); END';
    CREATE FUNCTION with_session() RETURNS integer LANGUAGE plpgsql AS
        'BEGIN PERFORM set_config(''session_authorization'', ''regress_jobs_admin'', true); RETURN sec.strike(); END';
    CREATE FUNCTION defining() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS
        'BEGIN
             BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN END;
             BEGIN SET SESSION AUTHORIZATION DEFAULT; EXCEPTION WHEN OTHERS THEN END;
             RETURN sec.strike();
         END';
    -- What maintenance commands evaluate.
    CREATE FUNCTION indexed(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN
             IF current_user NOT IN (''regress_jobs_mallory'', ''regress_jobs_team'', ''regress_jobs_app'') THEN
                 RAISE EXCEPTION ''indexed as %'', current_user;
             END IF;
             RETURN n;
         END';
    CREATE TABLE maintained (n integer);
    CREATE INDEX maintained_indexed ON maintained (indexed(n));
    INSERT INTO maintained VALUES (1), (2);
    CREATE MATERIALIZED VIEW materialized AS SELECT indexed(n) FROM maintained;
END $$;

-- Each attack is tried by three owners.  Where one is answered, the code after it
-- strikes anyway; and another job follows it in the same session.
INSERT INTO sec.attacks (probe, what, command) VALUES
('P10', 'deferred trigger', 'INSERT INTO trap VALUES (1)'),
('P10', 'deferred trigger, two statements', 'INSERT INTO trap VALUES (2); UPDATE trap SET n = 3 WHERE n = 2; DELETE FROM trap'),
('P10', 'deferred trigger that climbs', 'INSERT INTO climbing VALUES (1)'),
('P11', 'SET CONSTRAINTS in the job', 'SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO trap VALUES (4); SET CONSTRAINTS ALL DEFERRED; INSERT INTO trap VALUES (5)'),
('P11', 'deferred trigger that arms itself again', 'INSERT INTO rearming VALUES (4)'),
('P11', 'arming in a subtransaction', 'DO $do$ BEGIN BEGIN INSERT INTO rearming VALUES (1); PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN END; INSERT INTO rearming VALUES (2); END $do$'),
('P12', 'cursor WITH HOLD that strikes at commit', 'DECLARE c CURSOR WITH HOLD FOR SELECT sec.strike()'),
('P12', 'cursor WITH HOLD that arms a trigger at commit', 'CREATE FUNCTION arming() RETURNS integer LANGUAGE sql AS ''INSERT INTO climbing VALUES (1) RETURNING n''; DECLARE c CURSOR WITH HOLD FOR SELECT arming()'),
('P12', 'cursor without, left open', 'DECLARE c CURSOR FOR SELECT sec.strike(); FETCH c'),
('P12', 'temporary table that deletes rows at commit', 'CREATE TEMP TABLE t (n integer) ON COMMIT DELETE ROWS; CREATE INDEX ON t (indexed(n)); INSERT INTO t VALUES (1); SELECT sec.strike()'),
('P12', 'temporary table that goes at commit', 'CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1 AS n; SELECT sec.strike()'),
('P12', 'temporary objects that the next job''s start removes', 'CREATE TEMP TABLE t (n integer CHECK (indexed(n) > 0)) PARTITION BY RANGE (indexed(n)); CREATE TEMP TABLE t1 PARTITION OF t FOR VALUES FROM (1) TO (2); CREATE INDEX ON t (indexed(n)); CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE sql AS ''SELECT sec.strike()'''),
('P12', 'notification from a function', 'SELECT pg_notify(''jobs'', sec.strike()::text)'),
('P13', 'SET ROLE', 'SET ROLE regress_jobs_admin'),
('P13', 'SET LOCAL ROLE', 'SET LOCAL ROLE regress_jobs_admin'),
('P13', 'SET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION regress_jobs_admin'),
('P13', 'SET ROLE of another role', 'SET ROLE regress_jobs_bob'),
('P13', 'SET SESSION AUTHORIZATION of another role', 'SET SESSION AUTHORIZATION regress_jobs_bob'),
('P13', 'set_config(role)', 'SELECT set_config(''role'', ''regress_jobs_admin'', false)'),
('P13', 'set_config(role), local', 'SELECT set_config(''role'', ''regress_jobs_admin'', true)'),
('P13', 'set_config(session_authorization)', 'SELECT set_config(''session_authorization'', ''regress_jobs_admin'', false)'),
('P13', 'update of pg_settings', 'UPDATE pg_settings SET setting = ''regress_jobs_admin'' WHERE name = ''role'''),
('P13', 'SET ROLE in a DO block', 'DO $do$ BEGIN SET ROLE regress_jobs_admin; PERFORM sec.strike(); END $do$'),
('P13', 'SET ROLE by EXECUTE', 'DO $do$ BEGIN EXECUTE format(''SET ROLE %I'', ''regress_jobs_admin''); PERFORM sec.strike(); END $do$'),
('P13', 'RESET ROLE, then strike', 'RESET ROLE; SELECT sec.strike()'),
('P13', 'SET ROLE NONE, then strike', 'SET ROLE NONE; SELECT sec.strike()'),
('P13', 'SET SESSION AUTHORIZATION DEFAULT, then strike', 'SET SESSION AUTHORIZATION DEFAULT; SELECT sec.strike()'),
('P13', 'RESET SESSION AUTHORIZATION, then strike', 'RESET SESSION AUTHORIZATION; SELECT sec.strike()'),
('P13', 'set_config to nothing, then strike', 'SELECT set_config(''role'', NULL, false), set_config(''session_authorization'', NULL, false); SELECT sec.strike()'),
('P13', 'RESET ALL, then strike', 'RESET ALL; SELECT sec.strike()'),
('P13', 'DISCARD ALL', 'DISCARD ALL'),
('P13', 'DISCARD ALL, then strike', 'DISCARD ALL; SELECT sec.strike()'),
('P13', 'all of these, with the errors handled', 'DO $do$ DECLARE c text; BEGIN FOREACH c IN ARRAY ARRAY[''RESET ROLE'', ''SET ROLE NONE'', ''SET ROLE regress_jobs_admin'', ''SET LOCAL ROLE regress_jobs_admin'', ''RESET SESSION AUTHORIZATION'', ''SET SESSION AUTHORIZATION DEFAULT'', ''SET SESSION AUTHORIZATION regress_jobs_admin'', ''RESET ALL'', ''DISCARD ALL''] LOOP BEGIN EXECUTE c; EXCEPTION WHEN OTHERS THEN END; PERFORM sec.strike(); END LOOP; END $do$'),
('P13', 'prepared statement', 'PREPARE p AS SELECT set_config(''role'', ''none'', false); EXECUTE p; EXECUTE p; SELECT sec.strike()'),
('P13', 'function with SET role', 'SELECT with_role()'),
('P13', 'function with set_config', 'SELECT with_session()'),
('P13', 'function of the owner''s, SECURITY DEFINER', 'SELECT defining()'),
('P13', 'role in the settings of the owner', 'DO $do$ BEGIN EXECUTE format(''ALTER ROLE %I SET role = regress_jobs_admin'', current_user); END $do$'),
('P13', 'session_authorization in the settings of the owner', 'DO $do$ BEGIN EXECUTE format(''ALTER ROLE %I SET session_authorization = regress_jobs_admin'', current_user); END $do$'),
('P13', 'settings taken back', 'DO $do$ BEGIN EXECUTE format(''ALTER ROLE %I RESET ALL'', current_user); END $do$'),
('P13', 'settings with the captured names', 'SET search_path = evil; SET TimeZone = ''Asia/Tokyo''; SET jobs.tenant = ''x''; SELECT sec.strike()'),
('P14', 'procedure that commits', 'CALL committing()'),
('P14', 'procedure that rolls back, resets and fails', 'CALL rolling_back()'),
('P14', 'procedure that commits with triggers to come', 'CALL chain()'),
('P14', 'COMMIT in a DO block', 'DO $do$ BEGIN COMMIT; PERFORM sec.strike(); ROLLBACK; RESET ROLE; PERFORM sec.strike(); END $do$'),
('P14', 'transaction commands', 'COMMIT; SELECT sec.strike()'),
('P14', 'error, then another statement', 'SELECT 1 / 0; SELECT sec.strike()'),
('P14', 'strike after subtransactions that fail', 'DO $do$ BEGIN FOR i IN 1..3 LOOP BEGIN PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN PERFORM sec.strike(); END; END LOOP; PERFORM sec.strike(); END $do$'),
('P14', 'error at commit', 'INSERT INTO trap VALUES (7), (7)'),
('P14', 'cancels itself', 'SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(1)'),
('P14', 'terminates itself', 'SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(1)'),
('P14', 'VACUUM', 'VACUUM maintained'),
('P14', 'ANALYZE', 'ANALYZE maintained; SELECT sec.strike()'),
('P14', 'REINDEX', 'REINDEX TABLE maintained'),
('P14', 'CREATE INDEX', 'CREATE INDEX ON maintained (indexed(n + 1)); SELECT sec.strike()'),
('P14', 'REFRESH MATERIALIZED VIEW', 'REFRESH MATERIALIZED VIEW materialized; SELECT sec.strike()'),
('P14', 'view and rule of the owner', 'CREATE VIEW v AS SELECT sec.strike() AS n; CREATE RULE r AS ON INSERT TO v DO INSTEAD SELECT sec.strike(); SELECT * FROM v; INSERT INTO v VALUES (1)'),
('P14', 'event trigger', 'CREATE FUNCTION event() RETURNS event_trigger LANGUAGE plpgsql AS ''BEGIN PERFORM sec.strike(); END''; CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION event()'),
('P14', 'function given to a superuser', 'CREATE FUNCTION gift() RETURNS integer LANGUAGE sql SECURITY DEFINER AS ''SELECT sec.strike()''; ALTER FUNCTION gift() OWNER TO regress_jobs_admin'),
('P14', 'ALTER ROLE', 'ALTER ROLE regress_jobs_mallory SUPERUSER'),
('P14', 'ALTER SYSTEM', 'ALTER SYSTEM SET work_mem = ''8MB'''),
('P14', 'LOAD', 'LOAD ''dblink'''),
('P14', 'COPY TO PROGRAM', 'COPY (SELECT 1) TO PROGRAM ''true'''),
('P14', 'COPY FROM a file', 'CREATE TEMP TABLE t (x text); COPY t FROM ''/etc/passwd'''),
('P14', 'settings of superusers', 'SET session_replication_role = replica'),
('P14', 'limits of administrators', 'SET jobs.max_timeout = 0');
GRANT SELECT ON ALL TABLES IN SCHEMA sec TO PUBLIC;

-- An owner with LOGIN.
SET SESSION AUTHORIZATION regress_jobs_mallory;
SET search_path = evil;
CALL sec.make_traps();
CALL sec.attack_all();
SELECT line FROM sec.lines ORDER BY n;

-- An owner without, reached by SET ROLE.  Until 16 its session is mallory's;
-- from 17 on it is its own, and some things may then be done that are of no use.
RESET SESSION AUTHORIZATION;
DROP SCHEMA evil CASCADE;
CREATE SCHEMA evil AUTHORIZATION regress_jobs_team;
SET SESSION AUTHORIZATION regress_jobs_mallory;
SET ROLE regress_jobs_team;
SET search_path = evil;
CALL sec.make_traps();
CALL sec.attack_all(brief => true);
SELECT count(*) AS attacks, count(*) FILTER (WHERE line LIKE '%: expected') AS expected FROM sec.lines;
SELECT line FROM sec.lines WHERE line NOT LIKE '%: expected' ORDER BY n;
RESET ROLE;

-- The same, but it is a superuser's session until 16.
RESET SESSION AUTHORIZATION;
DROP SCHEMA evil CASCADE;
CREATE SCHEMA evil AUTHORIZATION regress_jobs_app;
SET SESSION AUTHORIZATION regress_jobs_admin;
SET ROLE regress_jobs_app;
SET search_path = evil;
CALL sec.make_traps();
CALL sec.attack_all(brief => true);
SELECT count(*) AS attacks, count(*) FILTER (WHERE line LIKE '%: expected') AS expected FROM sec.lines;
SELECT line FROM sec.lines WHERE line NOT LIKE '%: expected' ORDER BY n;
RESET ROLE;

-- To see that the test would notice: a superuser as himself.
SET SESSION AUTHORIZATION regress_jobs_admin;
CALL sec.attack('P13', 'a superuser, so this must be harm', 'SELECT 1');
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_jobs_mallory NOSUPERUSER;
DROP OWNED BY regress_jobs_app CASCADE;
DROP ROLE regress_jobs_app;
\set ECHO none
\i :cleanup
