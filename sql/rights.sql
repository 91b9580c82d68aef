-- Who may see and control which jobs.

SELECT current_user AS admin \gset
CREATE ROLE regress_jobs_alice LOGIN;
CREATE ROLE regress_jobs_bob LOGIN;
CREATE ROLE regress_jobs_team;
CREATE ROLE regress_jobs_carol LOGIN IN ROLE regress_jobs_team;
CREATE ROLE regress_jobs_dave LOGIN IN ROLE regress_jobs_team;
CREATE ROLE regress_jobs_reader LOGIN IN ROLE pg_read_all_stats;
CREATE ROLE regress_jobs_signaller LOGIN IN ROLE pg_signal_backend;
CREATE FUNCTION rights_try(job bigint) RETURNS TABLE (call text, result text) LANGUAGE sql AS $$
    SELECT c, test_error(format('SELECT jobs.%s', replace(c, '$1', job::text)))
      FROM unnest('{cancel($1),retry($1),delete($1),"wait($1, ''0'')","download($1)","download_lo($1)","share($1)","unshare($1)",
                    "run(''SELECT 1'', after => ARRAY[$1], run_at => ''2200-01-01'')"}'::text[]) c
$$;
\set seen 'SELECT (SELECT count(*) FROM jobs.job) AS jobs, (SELECT count(*) FROM jobs.progress) AS progress, (SELECT count(*) FROM jobs.panel) AS panel, (SELECT count(*) FROM jobs.artifact) AS artifacts, (SELECT count(*) FROM jobs._slots()) AS running;'

-- Jobs of alice: a finished export, one that runs, one that waits, one that failed.
SELECT jobs.pause('rights_held');
\c - regress_jobs_alice
SELECT jobs.export('SELECT 1 AS a', title => 'export of alice') AS export \gset
SELECT jobs.run('SELECT pg_sleep(600)', title => 'running of alice') AS running \gset
SELECT jobs.run('SELECT 1', title => 'waiting of alice', queue => 'rights_held') AS waiting \gset
SELECT jobs.run('SELECT 1/0', title => 'failed of alice') AS failed \gset
SELECT jobs.wait(:export), jobs.wait(:failed);
SELECT test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', :running));
:seen
SELECT title, owner, actions FROM jobs.panel JOIN jobs.job j USING (id, title) ORDER BY id;

-- Another role sees nothing, and can do nothing: the words are those for a job
-- that does not exist.
\c - regress_jobs_bob
:seen
SELECT id FROM jobs.job WHERE id = :export;
SELECT result, count(*), min(call) FROM rights_try(:export) GROUP BY 1;
SELECT result, count(*) FROM rights_try(:running) GROUP BY 1;
SELECT result, count(*) FROM rights_try(:waiting) GROUP BY 1;
SELECT result, count(*) FROM rights_try(:failed) GROUP BY 1;
SELECT result, count(*) FROM rights_try(999999999) GROUP BY 1;
-- Functions in a query that tell what they see are not shown any.
CREATE FUNCTION pg_temp.leak(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$BEGIN RAISE NOTICE 'leaked %', t; RETURN true; END$$;
SELECT count(*) FROM jobs.job WHERE pg_temp.leak(title);
SELECT count(*) FROM jobs.progress WHERE pg_temp.leak(title);
SELECT count(*) FROM jobs.panel WHERE pg_temp.leak(title);
SELECT count(*) FROM jobs.artifact WHERE pg_temp.leak(filename);

-- Nobody but the extension reads or writes the tables.
SELECT t, test_error(format(c, t)) FROM unnest('{live,history,dependency,paused,file,chunk,share_token}'::text[]) t,
       unnest('{SELECT FROM jobs.%s,DELETE FROM jobs.%s}'::text[]) c ORDER BY 1, c;
SELECT left(test_error(c), 5) AS code, c FROM unnest(ARRAY[
    'INSERT INTO jobs.paused VALUES (''x'', 0, '''', now())', 'UPDATE jobs.live SET owner = 10', 'TRUNCATE jobs.history', 'LOCK TABLE jobs.live',
    'COPY jobs.live FROM PROGRAM ''true''', 'SELECT * FROM jobs._live', 'SELECT * FROM jobs._history', 'SELECT * FROM jobs.live FOR UPDATE',
    'CREATE INDEX ON jobs.live (title)', 'ALTER TABLE jobs.live DISABLE TRIGGER ALL',
    'CREATE TRIGGER x AFTER INSERT ON jobs.live EXECUTE FUNCTION suppress_redundant_updates_trigger()',
    'CREATE RULE x AS ON INSERT TO jobs.live DO NOTHING', 'CREATE POLICY x ON jobs.live', 'COMMENT ON TABLE jobs.live IS ''x''',
    'CREATE TABLE public.x (id bigint REFERENCES jobs.live)', 'GRANT ALL ON jobs.live TO PUBLIC',
    'SELECT nextval(''jobs.job_id'')', 'SELECT setval(''jobs.job_id'', 1)', 'SELECT last_value FROM jobs.job_id',
    'UPDATE jobs.job SET title = ''x''', 'DELETE FROM jobs.panel', 'INSERT INTO jobs.artifact (job) VALUES (1)', 'UPDATE jobs.progress SET percent = 1',
    'CREATE TRIGGER x INSTEAD OF INSERT ON jobs.job FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
    'CREATE TABLE jobs.x (a int)', 'CREATE FUNCTION jobs.x() RETURNS int LANGUAGE sql AS ''SELECT 1''', 'DROP VIEW jobs.job', 'DROP SCHEMA jobs CASCADE',
    'DROP EXTENSION jobs', 'ALTER EXTENSION jobs UPDATE', 'ALTER FUNCTION jobs.run OWNER TO CURRENT_USER',
    'CREATE VIEW pg_temp.x AS SELECT * FROM jobs.live; SELECT * FROM pg_temp.x']) c;
-- Nor what the planner knows of them.
SELECT count(*) FROM pg_stats WHERE schemaname = 'jobs';

-- A member of pg_read_all_stats sees all, and can do nothing.
\c - regress_jobs_reader
SELECT count(*) FROM jobs.job WHERE title LIKE '% of alice';
SELECT title, state, actions FROM jobs.panel WHERE title LIKE '% of alice' ORDER BY id;
SELECT filename, rows FROM jobs.artifact WHERE job = :export;
SELECT jobs.wait(:export);
SELECT call, result FROM rights_try(:export);
SELECT call, result FROM rights_try(:running) WHERE call LIKE 'cancel%';

-- A member of pg_signal_backend may cancel, but sees nothing.
\c - regress_jobs_signaller
SELECT count(*) FROM jobs.job WHERE title LIKE '% of alice';
SELECT call, result FROM rights_try(:export) WHERE call NOT LIKE 'cancel%';
SELECT jobs.cancel(:export);
SELECT jobs.cancel(:running);
SELECT jobs.cancel(:waiting);
-- But not a superuser's.
\c - :admin
SELECT jobs.run('SELECT 1', run_at => now() + interval '1 day', title => 'of a superuser') AS super \gset
\c - regress_jobs_signaller
SELECT test_error(format('SELECT jobs.cancel(%s)', :super));
\c - :admin
SELECT state FROM jobs.job WHERE id = :super;
SELECT jobs.wait(:running), jobs.wait(:waiting);
SELECT jobs.cancel(:super);

-- A superuser sees and may do everything.
SELECT title, actions FROM jobs.panel WHERE title LIKE '% of alice' ORDER BY id;
SELECT jobs.retry(:waiting);
SELECT jobs.cancel(:waiting);
SELECT count(*) FROM jobs.download(:export);

-- Jobs of a role are those of its members.
\c - regress_jobs_carol
SET ROLE regress_jobs_team;
SELECT jobs.export('SELECT 1 AS a', title => 'of the team') AS team \gset
SELECT jobs.wait(:team);
RESET ROLE;
SELECT jobs.run('SELECT 1', title => 'of carol') AS carol \gset
SELECT jobs.wait(:carol);
SELECT title, owner FROM jobs.job ORDER BY id;
\c - regress_jobs_dave
SELECT title, owner FROM jobs.job ORDER BY id;
SELECT count(*) FROM jobs.download(:team);
SELECT test_error(format('SELECT jobs.download(%s)', :carol));
\c - regress_jobs_alice
SELECT count(*) FROM jobs.job WHERE id = :team;
-- Who leaves the role loses sight of them.
\c - :admin
REVOKE regress_jobs_team FROM regress_jobs_dave;
\c - regress_jobs_dave
SELECT title, owner FROM jobs.job ORDER BY id;
SELECT test_error(format('SELECT jobs.download(%s)', :team));

-- The owner is who calls: in a SECURITY DEFINER function its owner, after SET ROLE
-- the role, also once it is reset.
\c - :admin
CREATE FUNCTION rights_definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$SELECT jobs.run('SELECT 1', title => 'by a function of alice')$$;
ALTER FUNCTION rights_definer() OWNER TO regress_jobs_alice;
\c - regress_jobs_bob
SELECT rights_definer() AS id \gset
SELECT count(*) FROM jobs.job WHERE id = :id;
\c - regress_jobs_alice
SELECT owner, jobs.wait(id) FROM jobs.job WHERE id = :id;
\c - regress_jobs_carol
BEGIN;
SET LOCAL ROLE regress_jobs_team;
SELECT jobs.run('SELECT 1 / (current_user = ''regress_jobs_team'')::int', title => 'for the team') AS id \gset
COMMIT;
SELECT owner, jobs.wait(id) FROM jobs.job WHERE id = :id;

-- Tenants: with one a session has to do with its jobs only, without one with all.
\c - regress_jobs_bob
SET jobs.tenant = 'acme';
SELECT jobs.export('SELECT current_setting(''jobs.tenant'') AS tenant', title => 'of acme') AS acme \gset
SET jobs.tenant = 'umbrella';
SELECT jobs.export('SELECT current_setting(''jobs.tenant'') AS tenant', title => 'of umbrella') AS umbrella \gset
RESET jobs.tenant;
SELECT jobs.export('SELECT current_setting(''jobs.tenant'') AS tenant', title => 'of nobody') AS nobody \gset
SELECT jobs.wait(:acme), jobs.wait(:umbrella), jobs.wait(:nobody);
SELECT title, tenant FROM jobs.job ORDER BY id;
SELECT convert_from(chunk, 'UTF8') FROM unnest(ARRAY[:acme, :umbrella, :nobody]) job, jobs.download(job) chunk;
SET jobs.tenant = 'acme';
:seen
SELECT title, tenant FROM jobs.job ORDER BY id;
SELECT filename FROM jobs.artifact;
SELECT count(*) FROM jobs.download(:acme);
SELECT result, count(*) FROM rights_try(:umbrella) GROUP BY 1;
SELECT result, count(*) FROM rights_try(:nobody) GROUP BY 1;
SET jobs.tenant = 'ACME';
SELECT count(*) FROM jobs.job;
\c - :admin
SET jobs.tenant = 'umbrella';
SELECT title, owner, tenant FROM jobs.job;
RESET jobs.tenant;

-- Roles that have gone: their jobs do not start, and their successors in name find nothing.
SELECT jobs.pause('rights_held');
\c - regress_jobs_bob
SELECT jobs.run('SELECT 1', title => 'of the late bob', queue => 'rights_held') AS late \gset
\c - :admin
DROP ROLE regress_jobs_bob;
CREATE ROLE regress_jobs_bob LOGIN;
SELECT jobs.resume('rights_held');
SELECT jobs.wait(:late);
SELECT title, owner LIKE 'unknown (OID=%)' AS unknown, error_code, error_message FROM jobs.job WHERE id = :late;
\c - regress_jobs_bob
:seen
\c - :admin
-- So it is where the submitter has gone, and the role that he had taken is still there.
SELECT jobs.pause('rights_held');
\c - regress_jobs_carol
SET ROLE regress_jobs_team;
SELECT jobs.run('SELECT 1', queue => 'rights_held') AS id \gset
\c - :admin
DROP ROLE regress_jobs_carol;
SELECT jobs.resume('rights_held');
SELECT jobs.wait(:id);
SELECT owner, error_code, error_message FROM jobs.job WHERE id = :id;
CREATE ROLE regress_jobs_carol;

-- CONNECT is needed, at submission and at the start.
SELECT jobs.pause('rights_held');
\c - regress_jobs_alice
SELECT jobs.run('SELECT 1', queue => 'rights_held') AS id \gset
\c - :admin
REVOKE CONNECT ON DATABASE :"DBNAME" FROM PUBLIC;
SET ROLE regress_jobs_alice;
SELECT jobs.run('SELECT 1');
RESET ROLE;
SELECT jobs.resume('rights_held');
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;
GRANT CONNECT ON DATABASE :"DBNAME" TO PUBLIC;
-- So is a password that has not expired, of the one who logged in.
SELECT jobs.pause('rights_held');
\c - regress_jobs_alice
SELECT jobs.run('SELECT 1', queue => 'rights_held') AS id \gset
\c - :admin
ALTER ROLE regress_jobs_alice VALID UNTIL '2001-01-01';
SELECT jobs.resume('rights_held');
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;

DROP FUNCTION rights_definer();
DROP FUNCTION rights_try(bigint);
DROP ROLE regress_jobs_alice, regress_jobs_bob, regress_jobs_carol, regress_jobs_dave, regress_jobs_reader, regress_jobs_signaller, regress_jobs_team;
