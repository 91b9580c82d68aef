-- The extension: what it consists of, who may use it, and its settings.

-- For all the tests.  Whether a condition comes true in some time.
CREATE FUNCTION test_poll(condition text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    found boolean;
BEGIN
    FOR i IN 1..6000 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXECUTE 'SELECT ' || condition INTO found;
        IF found THEN
            RETURN true;
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN false;
END $$;

-- The error that a command raises, with the ids of jobs left out.
CREATE FUNCTION test_error(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE command;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN format('%s: %s', SQLSTATE, regexp_replace(message, '\mjob \d+', 'job N', 'g'))
        || coalesce(E'\nDETAIL: ' || nullif(detail, ''), '') || coalesce(E'\nHINT: ' || nullif(hint, ''), '');
END $$;

-- Loads the configuration, and waits until workers have it too.
CREATE PROCEDURE test_reload() LANGUAGE plpgsql AS $$
DECLARE
    before timestamptz := clock_timestamp();
    id bigint;
    state text;
BEGIN
    PERFORM pg_reload_conf();
    LOOP
        id := jobs.run(format('SELECT 1 / (pg_conf_load_time() > %L)::int', before));
        COMMIT;
        state := jobs.wait(id);
        PERFORM jobs.delete(id);
        EXIT WHEN state = 'succeeded';
    END LOOP;
END $$;

-- A schema of its name that somebody has made is not adopted.
CREATE SCHEMA jobs;
\set SHOW_CONTEXT never
CREATE EXTENSION jobs;
\set SHOW_CONTEXT errors
DROP SCHEMA jobs;

-- Not for everybody.
CREATE ROLE regress_jobs_install;
GRANT CREATE ON DATABASE :"DBNAME" TO regress_jobs_install;
SET ROLE regress_jobs_install;
CREATE EXTENSION jobs;
RESET ROLE;
REVOKE CREATE ON DATABASE :"DBNAME" FROM regress_jobs_install;

CREATE EXTENSION jobs;
SELECT x.extversion, x.extrelocatable, n.nspname, x.extconfig
  FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace WHERE x.extname = 'jobs';

-- Everything is in the schema jobs.
SELECT DISTINCT o.schema
  FROM pg_depend d, LATERAL pg_identify_object(d.classid, d.objid, 0) o
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'jobs')
   AND d.classid <> 'pg_namespace'::regclass;
SELECT nspname, pg_catalog.obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'jobs';

\a
-- Functions: each with its comment, none with another's rights, all in C.
SELECT format('%s(%s) %s', p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid)) AS function,
       provolatile AS v, proparallel AS p, proisstrict AS s
  FROM pg_proc p WHERE p.pronamespace = 'jobs'::regnamespace AND p.proname !~ '^_'
 ORDER BY p.proname COLLATE "C", pg_get_function_arguments(p.oid) COLLATE "C";
SELECT p.proname FROM pg_proc p
 WHERE p.pronamespace = 'jobs'::regnamespace AND p.proname ~ '^_' ORDER BY p.proname COLLATE "C";
SELECT p.oid::regprocedure AS strange FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
 WHERE p.pronamespace = 'jobs'::regnamespace
   AND (p.prosecdef OR p.proconfig IS NOT NULL OR l.lanname <> 'c' OR obj_description(p.oid, 'pg_proc') IS NULL);

-- Every view has its comment, and keeps leaky functions from what it does not show.
SELECT relname AS strange FROM pg_class
 WHERE relnamespace = 'jobs'::regnamespace AND relkind = 'v'
   AND (reloptions <> '{security_barrier=true}' OR obj_description(oid, 'pg_class') IS NULL) IS NOT FALSE;

-- And so has every column of those for everybody.
SELECT relname, attname AS strange FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
 WHERE relnamespace = 'jobs'::regnamespace AND relkind = 'v' AND relname !~ '^_' AND col_description(c.oid, attnum) IS NULL;

-- Columns of the views for everybody, in order.
SELECT c.relname, string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) AS columns,
       c.reloptions, split_part(obj_description(c.oid, 'pg_class'), E'\n', 1) AS comment
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
 WHERE c.relnamespace = 'jobs'::regnamespace AND c.relkind = 'v' AND c.relname !~ '^_'
 GROUP BY c.oid ORDER BY c.relname COLLATE "C" \gx
\a

-- Who has which right on what, beside the owner: reading the views, calling the
-- functions, and nothing else.
SELECT CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END AS grantee, acl.privilege_type, 'schema' AS kind, 1 AS objects,
       string_agg(nspname, ' ') AS names
  FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) acl
 WHERE nspname = 'jobs' AND acl.grantee <> nspowner GROUP BY 1, 2
UNION ALL
SELECT CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END, acl.privilege_type, 'function', count(*), NULL
  FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) acl
 WHERE pronamespace = 'jobs'::regnamespace AND acl.grantee <> proowner GROUP BY 1, 2
UNION ALL
SELECT CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END, acl.privilege_type, 'relation', count(*),
       string_agg(relname, ' ' ORDER BY relname COLLATE "C")
  FROM pg_class, aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))) acl
 WHERE relnamespace = 'jobs'::regnamespace AND relkind <> 'i' AND acl.grantee <> relowner GROUP BY 1, 2
 ORDER BY kind DESC;
SELECT relkind, string_agg(relname, ' ' ORDER BY relname COLLATE "C") AS names, count(*)
  FROM pg_class WHERE relnamespace = 'jobs'::regnamespace GROUP BY relkind ORDER BY relkind;
SELECT count(*) AS functions FROM pg_proc WHERE pronamespace = 'jobs'::regnamespace;
SELECT attrelid::regclass, attname, attacl FROM pg_attribute
 WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'jobs'::regnamespace) AND attacl IS NOT NULL;
-- No right that can be handed on, none on types, none by default; all objects are
-- the installing superuser's, and of these kinds.
SELECT 'with grant option' AS strange, grantee, privilege_type
  FROM (SELECT (aclexplode(relacl)).* FROM pg_class WHERE relnamespace = 'jobs'::regnamespace
        UNION ALL SELECT (aclexplode(proacl)).* FROM pg_proc WHERE pronamespace = 'jobs'::regnamespace
        UNION ALL SELECT (aclexplode(nspacl)).* FROM pg_namespace WHERE nspname = 'jobs') acl
 WHERE is_grantable AND grantee <> grantor
UNION ALL SELECT 'type', typowner, typname FROM pg_type WHERE typnamespace = 'jobs'::regnamespace AND typacl IS NOT NULL
UNION ALL SELECT 'default', defaclrole, defaclacl::text FROM pg_default_acl WHERE defaclnamespace IN (0, 'jobs'::regnamespace)
UNION ALL SELECT 'owner', o.owner, o.name
  FROM (SELECT relowner AS owner, relname AS name FROM pg_class WHERE relnamespace = 'jobs'::regnamespace
        UNION ALL SELECT proowner, proname FROM pg_proc WHERE pronamespace = 'jobs'::regnamespace
        UNION ALL SELECT typowner, typname FROM pg_type WHERE typnamespace = 'jobs'::regnamespace
        UNION ALL SELECT nspowner, nspname FROM pg_namespace WHERE nspname = 'jobs') o
 WHERE o.owner <> current_user::regrole;
SELECT DISTINCT i.type
  FROM pg_depend d, LATERAL pg_identify_object(d.classid, d.objid, 0) i
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND i.type <> 'type'   -- of tables, since 17
   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'jobs') ORDER BY 1;

-- Settings.
SELECT name, setting, unit, context, vartype AS type, min_val, max_val
  FROM pg_settings WHERE name LIKE 'jobs.%' ORDER BY name COLLATE "C";
SELECT name FROM pg_settings WHERE name LIKE 'jobs.%' AND (short_desc = '' OR category = '');
SET jobs.no_such_setting = 1;
SET jobs.enabled = off;
SET jobs.max_workers = 5;
SET jobs.history_retention = 0;
-- Each version shows a range in its own way.
\set VERBOSITY sqlstate
SET jobs.default_timeout = '-1';
SET jobs.artifact_ttl = 0;
SET jobs.max_running_per_role = '-1';
SELECT set_config('jobs.tenant', repeat('x', 501), false);
\set VERBOSITY default
SET ROLE regress_jobs_install;
SET jobs.default_timeout = '5min';
SET jobs.artifact_ttl = '1h';
SET jobs.tenant = 'acme';
SHOW jobs.tenant;
SET jobs.capture_settings = 'app.user';
SET jobs.max_timeout = 0;
SET jobs.max_artifact_bytes_per_role = 0;
SET jobs.max_artifact_size = '20GB';
SET jobs.max_artifact_ttl = '1y';
SET jobs.max_running_per_role = 0;
RESET ROLE;
RESET jobs.default_timeout;
RESET jobs.artifact_ttl;
RESET jobs.tenant;
DROP ROLE regress_jobs_install;

-- It can be dropped, with jobs in every state, and made again.  What ran or was
-- about to is ended.
SELECT jobs.run('SELECT 1') AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.run('SELECT 1', run_at => now() + interval '1 day') IS NOT NULL AS scheduled;
SELECT jobs.run('SELECT pg_sleep(600)') AS id \gset
SELECT jobs.run('SELECT 1', after => ARRAY[:id]) IS NOT NULL AS waiting;
DROP EXTENSION jobs;
SELECT test_poll($$count(*) = 0 FROM pg_stat_activity
    WHERE backend_type IN ('jobs worker', 'jobs scheduler') AND datname = current_database()$$);
SELECT count(*) FROM pg_namespace WHERE nspname = 'jobs';
CREATE EXTENSION jobs;
SELECT count(*) FROM jobs.job;
SELECT jobs.run('SELECT 1') AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.delete(:id);
