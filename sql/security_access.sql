-- Attacks on names, rights and views: P05 to P09 and P17 to P23 of the list of
-- attacks, and those that concern files and notifications, P35 to P37 and P52.
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/security.psql'
\set cleanup :srcdir '/test/security_end.psql'
\set ECHO none
\i :setup
\set ECHO all
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;

-- ----------------------------------------------------------------------------
-- P05 to P07: names and types of mallory's
-- ----------------------------------------------------------------------------

-- All of these strike when somebody's command finds them instead of the server's.
SET SESSION AUTHORIZATION regress_jobs_mallory;
SET search_path = evil;
CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql AS 'SELECT sec.strike(); SELECT pg_catalog.now()';
CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT sec.strike(); SELECT pg_catalog.now()';
CREATE FUNCTION pg_get_userbyid(oid) RETURNS name LANGUAGE sql AS 'SELECT sec.strike(); SELECT NULL::pg_catalog.name';
CREATE FUNCTION _visible(oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT sec.strike(); SELECT true';
CREATE FUNCTION eq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT sec.strike(); SELECT true';
CREATE FUNCTION eq(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT sec.strike(); SELECT true';
CREATE FUNCTION minus(timestamptz, timestamptz) RETURNS interval LANGUAGE sql AS 'SELECT sec.strike(); SELECT NULL::interval';
CREATE OPERATOR = (FUNCTION = eq, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR = (FUNCTION = eq, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR - (FUNCTION = minus, LEFTARG = timestamptz, RIGHTARG = timestamptz);
CREATE FUNCTION always(pg_catalog.text) RETURNS boolean LANGUAGE sql AS 'SELECT sec.strike() = 1';
CREATE DOMAIN text AS pg_catalog.text CHECK (always(VALUE));
CREATE DOMAIN jsonb AS pg_catalog.jsonb CHECK (sec.strike() = 1);
CREATE DOMAIN "interval" AS pg_catalog.interval CHECK (sec.strike() = 1);
CREATE TABLE job (id bigint, state pg_catalog.text);
CREATE TABLE live (LIKE job);

-- A superuser calls everything with that in his path, and his job has it too.
RESET SESSION AUTHORIZATION;
SET search_path = evil, pg_catalog;
SELECT jobs.run('SELECT 1', 'title', 'queue', 1, NULL, NULL, '1 h', 2, 'key', NULL) AS id \gset
SELECT jobs.wait(:id, '1 min');
SELECT jobs.export('SELECT 1 AS one', 'csv', 'f.csv', '{"null": "x"}', '1 h') AS id2 \gset
SELECT jobs.wait(:id2, '1 min');
SELECT state, owner FROM jobs.job WHERE id OPERATOR(pg_catalog.=) :id;
SELECT state, percent FROM jobs.progress WHERE id OPERATOR(pg_catalog.=) :id2;
SELECT headline FROM jobs.panel WHERE id OPERATOR(pg_catalog.=) :id2;
SELECT filename FROM jobs.artifact WHERE job OPERATOR(pg_catalog.=) :id2;
SELECT pg_catalog.length(jobs.download(:id2));
SELECT jobs.share(:id2) AS token \gset
SELECT pg_catalog.length(jobs.download(:'token'::pg_catalog.text));
SELECT jobs.unshare(:id2);
SELECT pg_catalog.lo_unlink(jobs.download_lo(:id2));
SELECT jobs.cancel(:id);
SELECT jobs.pause('queue'), jobs.resume('queue');
SELECT jobs.run('SELECT 1 / 0') AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.retry(:id);
SELECT jobs.wait(:id);
SELECT jobs.delete(:id), jobs.delete(:id2);
RESET search_path;
SELECT sec.holds('P05', 'functions, operators and types in the search_path of a caller', NOT EXISTS (SELECT FROM sec.struck));

-- The same in the caller's temporary schema, and in a job's.
CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT sec.strike(); SELECT pg_catalog.now()';
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (sec.strike() = 1);
CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (sec.strike() = 1);
CREATE TEMP TABLE live (id bigint);
CREATE TEMP TABLE history (id bigint);
CREATE TEMP TABLE job (id bigint, state pg_catalog.text);
SET search_path = pg_temp, pg_catalog;
SELECT jobs.run('SELECT 1', 'title'::pg_catalog.text) AS id \gset
SELECT jobs.wait(:id);
SELECT state FROM jobs.job WHERE id OPERATOR(pg_catalog.=) :id;
RESET search_path;
SELECT jobs.run('CREATE TEMP TABLE live (id bigint); CREATE TEMP TABLE history (id bigint); CREATE TEMP TABLE file (id bigint); CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (sec.strike() = 1); SET search_path = pg_temp, pg_catalog') AS id \gset
SELECT jobs.wait(:id);
SELECT sec.holds('P06', 'temporary objects in the session of a caller and of a job',
                 (SELECT count(*) FROM live) = 0 AND (SELECT count(*) FROM job) = 0 AND NOT EXISTS (SELECT FROM sec.struck));
DISCARD TEMP;

-- Values that need mallory's code to become arguments: it is hers that runs.
SET SESSION AUTHORIZATION regress_jobs_mallory;
SET search_path = evil, public;
CREATE TYPE command_of AS (n integer);
CREATE FUNCTION command_of(command_of) RETURNS pg_catalog.text LANGUAGE sql AS 'SELECT sec.strike(); SELECT ''SELECT 1''::pg_catalog.text';
CREATE CAST (command_of AS pg_catalog.text) WITH FUNCTION command_of(command_of) AS IMPLICIT;
CREATE DOMAIN options_of AS pg_catalog.jsonb CHECK (sec.strike() = 1);
SELECT jobs.run(row(1)::command_of) > 0, jobs.export('SELECT 1', options => '{}'::options_of) > 0;
SELECT 'P07 casts and domains of arguments ran as: ' || string_agg(DISTINCT who || ' ' || outcome, ', ') FROM sec.struck;
DELETE FROM sec.struck;

-- ----------------------------------------------------------------------------
-- P08, P09: rights
-- ----------------------------------------------------------------------------

RESET SESSION AUTHORIZATION;
RESET search_path;
SELECT 'P08 unexpected right: ' || c.relname || ' ' || a.privilege_type || ' ' || a.grantee
  FROM pg_class c, aclexplode(c.relacl) a
 WHERE c.relnamespace = 'jobs'::regnamespace AND a.grantee <> c.relowner AND (c.relkind <> 'v' OR a.privilege_type <> 'SELECT');
SELECT sec.holds('P08', 'nobody but the owner has rights on tables',
                 count(*) = 0) FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
 WHERE c.relnamespace = 'jobs'::regnamespace AND c.relkind = 'r' AND a.grantee <> c.relowner;
SELECT sec.holds('P08', 'tables have row security without policies, views a barrier, no function another''s rights',
                 (SELECT bool_and(relrowsecurity) FROM pg_class WHERE relnamespace = 'jobs'::regnamespace AND relkind = 'r')
                 AND (SELECT count(*) FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = 'jobs'::regnamespace) = 0
                 AND (SELECT bool_and('security_barrier=true' = ANY (reloptions)) FROM pg_class WHERE relnamespace = 'jobs'::regnamespace AND relkind = 'v')
                 AND NOT EXISTS (SELECT FROM pg_proc WHERE pronamespace = 'jobs'::regnamespace AND prosecdef));

-- Every statement that there is, on every relation.  Nobody needs to be refused
-- to read the views; and a GRANT without any right to it does nothing.
CREATE TABLE sec.statements (n serial, statement text);
INSERT INTO sec.statements (statement) VALUES ('SELECT * FROM %s'), ('INSERT INTO %s DEFAULT VALUES'), ('UPDATE %s SET %I = NULL'), ('DELETE FROM %s'),
    ('TRUNCATE %s'), ('LOCK TABLE %s IN ROW EXCLUSIVE MODE'), ('SELECT * FROM %s FOR UPDATE'),
    ('CREATE TRIGGER t BEFORE INSERT ON %s FOR EACH STATEMENT EXECUTE FUNCTION evil.trap()'), ('CREATE RULE r AS ON INSERT TO %s DO ALSO NOTHING'),
    ('CREATE POLICY p ON %s'), ('CREATE INDEX ON %s (%I)'), ('CREATE STATISTICS evil.s ON tableoid, xmin FROM %s'), ('CREATE TABLE evil.x (x bigint REFERENCES %s)'),
    ('CREATE TABLE evil.y () INHERITS (%s)'), ('ALTER TABLE %s ADD COLUMN x integer'), ('ALTER TABLE %s OWNER TO CURRENT_USER'), ('ALTER TABLE %s DISABLE ROW LEVEL SECURITY'),
    ('ALTER VIEW %s RESET (security_barrier)'), ('COMMENT ON TABLE %s IS '''''), ('GRANT ALL ON %s TO CURRENT_USER'), ('DROP TABLE %s'), ('DROP VIEW %s'),
    ('CREATE OR REPLACE VIEW %s AS SELECT 1'), ('CREATE PUBLICATION p FOR TABLE %s'), ('CLUSTER %s'), ('REINDEX TABLE %s');
GRANT SELECT ON sec.statements TO PUBLIC;
SET SESSION AUTHORIZATION regress_jobs_mallory;
CREATE FUNCTION evil.trap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM sec.strike(); RETURN NEW; END';
CREATE FUNCTION evil.attempt(command pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    RETURN 'ALLOWED';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
SELECT 'P09 ' || format(s.statement, CASE WHEN relkind = 'v' THEN 'views' ELSE 'tables' END, 'column') || ': ' ||
       string_agg(DISTINCT evil.attempt(format(s.statement, c.oid::regclass,
           (SELECT attname FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum = 1))), ' ')
  FROM pg_class c CROSS JOIN sec.statements s
 WHERE c.relnamespace = 'jobs'::regnamespace AND c.relkind IN ('r', 'v') GROUP BY relkind, s.n, s.statement ORDER BY relkind, s.n;
COPY jobs.live TO STDOUT;
SELECT sec.try('P09', 'sequence', 'SELECT nextval(''jobs.job_id'')');
SELECT sec.try('P09', 'sequence', 'SELECT setval(''jobs.job_id'', 1)');
SELECT sec.try('P09', 'an object in the schema', 'CREATE FUNCTION jobs.f() RETURNS integer LANGUAGE sql AS ''SELECT 1''');
SELECT sec.try('P09', 'a function replaced', 'CREATE OR REPLACE FUNCTION jobs.cancel(job bigint) RETURNS boolean LANGUAGE sql AS ''SELECT true''');
SELECT sec.try('P09', 'C functions of the library', 'CREATE FUNCTION evil.f(bigint) RETURNS boolean AS ''$libdir/jobs'', ''jobs_cancel'' LANGUAGE c');
SELECT sec.try('P09', 'the extension', 'DROP EXTENSION jobs CASCADE');
SELECT sec.try('P09', 'the extension', 'ALTER EXTENSION jobs UPDATE');
SELECT sec.try('P09', 'the extension', 'ALTER EXTENSION jobs DROP TABLE jobs.live');
SELECT sec.try('P09', 'the schema', 'ALTER SCHEMA jobs RENAME TO hidden');

SELECT sec.holds('P09', 'rights are as before', bool_and(a.grantee IN (0, c.relowner)))
  FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'jobs'::regnamespace;

-- Even those who were given rights on all tables can't write a row that would
-- run as somebody else, nor have others run their trigger.
RESET SESSION AUTHORIZATION;
GRANT ALL ON ALL TABLES IN SCHEMA jobs TO regress_jobs_mallory;
GRANT pg_read_all_data, pg_write_all_data TO regress_jobs_bob;
SELECT jobs.run('SELECT 1') AS id \gset
SELECT jobs.wait(:id);
CREATE TABLE sec.forged AS SELECT * FROM jobs.history WHERE id = :id;
GRANT SELECT ON sec.forged TO PUBLIC;
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT sec.try('P09', 'GRANT ALL ON ALL TABLES, a forged job', 'INSERT INTO jobs.live SELECT * FROM sec.forged');
SELECT sec.try('P09', 'the same, a queue paused for everybody', 'INSERT INTO jobs.paused VALUES (''default'', 0, '''', now())');
SELECT sec.try('P09', 'the same, artifacts through their view', 'UPDATE jobs.artifact SET job = 1');
SELECT sec.holds('P09', 'no view can be written through: ' || string_agg(relname, ', ' ORDER BY relname COLLATE "C"),
                 bool_and(pg_relation_is_updatable(oid, true) = 0))
  FROM pg_class WHERE relnamespace = 'jobs'::regnamespace AND relkind = 'v';
SELECT sec.holds('P09', 'the same, nothing to be read', (SELECT count(*) FROM jobs.history) + (SELECT count(*) FROM jobs.chunk) = 0);
CREATE TRIGGER trap BEFORE INSERT OR UPDATE OR DELETE ON jobs.live FOR EACH ROW EXECUTE FUNCTION evil.trap();
CREATE TRIGGER trap BEFORE INSERT OR UPDATE OR DELETE ON jobs.history FOR EACH ROW EXECUTE FUNCTION evil.trap();
CREATE CONSTRAINT TRIGGER trap2 AFTER INSERT OR DELETE ON jobs.live DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION evil.trap();
SET SESSION AUTHORIZATION regress_jobs_bob;
SELECT sec.try('P09', 'pg_write_all_data, a forged job', 'INSERT INTO jobs.live SELECT * FROM sec.forged');
SELECT sec.try('P09', 'the same, artifacts through their view', 'DELETE FROM jobs.artifact');
SELECT sec.holds('P09', 'pg_read_all_data', (SELECT count(*) FROM jobs.history) = 0);
RESET SESSION AUTHORIZATION;
SELECT jobs.run('SELECT 1') AS id2 \gset
SELECT jobs.wait(:id2);
SELECT jobs.delete(:id), jobs.delete(:id2);
SELECT sec.holds('P09', 'triggers of one who was given all rights', NOT EXISTS (SELECT FROM sec.struck));
DROP TRIGGER trap ON jobs.live;
DROP TRIGGER trap ON jobs.history;
DROP TRIGGER trap2 ON jobs.live;
REVOKE ALL ON ALL TABLES IN SCHEMA jobs FROM regress_jobs_mallory;
REVOKE pg_read_all_data, pg_write_all_data FROM regress_jobs_bob;

-- ----------------------------------------------------------------------------
-- P17: texts that would like to be SQL
-- ----------------------------------------------------------------------------

SET SESSION AUTHORIZATION regress_jobs_mallory;
SET search_path = evil, public;
CREATE TABLE "x""; DROP TABLE sec.struck; --" ("a""; SELECT sec.strike(); --" integer, "'); SELECT sec.strike(); --" pg_catalog.text);
INSERT INTO "x""; DROP TABLE sec.struck; --" VALUES (1, ''';SELECT sec.strike();--');
SELECT jobs.export('TABLE "x""; DROP TABLE sec.struck; --"', title => $$'; SELECT sec.strike(); --$$, queue => $$"'; SELECT sec.strike()$$,
                   unique_key => $$\'; SELECT sec.strike(); --$$,
                   options => $${"force_quote": ["a\"; SELECT sec.strike(); --"], "null": "'; SELECT sec.strike()"}$$) AS id \gset
SELECT jobs.wait(:id);
SELECT title, queue, unique_key FROM jobs.job WHERE id = :id;
SELECT filename FROM jobs.artifact WHERE job = :id;
SELECT convert_from(string_agg(d, ''), 'UTF8') FROM jobs.download(:id) d;
SET jobs.tenant = $$x'; SELECT sec.strike(); --$$;
SELECT jobs.run('SELECT 1', title => E'%s %n \\') AS id \gset
SELECT jobs.wait(:id);
SELECT title, tenant FROM jobs.job WHERE id = :id;
RESET jobs.tenant;
SELECT sec.try('P17', 'option that is none', $$SELECT jobs.export('SELECT 1', options => '{"\"; DROP TABLE x": 1}')$$);
SELECT sec.try('P17', 'format', $$SELECT jobs.export('SELECT 1', format => 'csv''; DROP TABLE x')$$);
SELECT sec.try('P17', 'file name with a path', $$SELECT jobs.export('SELECT 1', filename => '../../etc/passwd')$$);
SELECT sec.try('P17', 'file name with a line', $$SELECT jobs.export('SELECT 1', filename => E'a\r\nX-Evil: 1')$$);
SELECT sec.try('P17', 'title with a line', $$SELECT jobs.run('SELECT 1', title => E'a\nLOG: all is well')$$);
SELECT sec.try('P17', 'queue with a line', $$SELECT jobs.run('SELECT 1', queue => E'a\nb')$$);
SELECT sec.holds('P17', 'texts stay texts', NOT EXISTS (SELECT FROM sec.struck));

-- A key is looked up under a lock; no key of hers can meet the lock of another role's.
BEGIN;
SELECT jobs.run('SELECT 1', unique_key => 'key', run_at => now() + interval '1 day') AS id \gset
SELECT sec.holds('P17', 'the lock on a key is the role''s own', count(*) = 1 AND bool_and(classid = 'regress_jobs_mallory'::regrole))
  FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 74 AND pid = pg_backend_pid();
ROLLBACK;

-- ----------------------------------------------------------------------------
-- P18, P19: somebody else's jobs
-- ----------------------------------------------------------------------------

SET SESSION AUTHORIZATION regress_jobs_bob;
RESET search_path;
SELECT jobs.pause('bobs') AS paused;
SELECT jobs.run('SELECT ''secret''', title => 'secret queued', queue => 'bobs') AS queued \gset
SELECT jobs.run('SELECT 1', title => 'secret waiting', after => ARRAY[:queued]) AS waiting \gset
SELECT jobs.export('SELECT ''secret''', title => 'secret done') AS done \gset
SELECT jobs.run('SELECT 1 / 0', title => 'secret failed') AS failed \gset
SELECT jobs.wait(:done), jobs.wait(:failed);
SELECT jobs.share(:done) AS token \gset
RESET SESSION AUTHORIZATION;
CREATE TABLE sec.bobs AS SELECT id, title FROM jobs.job WHERE title LIKE 'secret %';
GRANT SELECT ON sec.bobs TO PUBLIC;
CREATE TABLE sec.calls (n serial, call text);
INSERT INTO sec.calls (call) VALUES ('jobs.cancel(%s)'), ('jobs.retry(%s)'), ('jobs.delete(%s)'), ('jobs.wait(%s)'), ('jobs.wait(%s, ''0'')'), ('jobs.share(%s)'),
    ('jobs.unshare(%s)'), ('jobs.download(%s)'), ('jobs.download_lo(%s)'), ('jobs.run(''SELECT 1'', after => ARRAY[%s])'), ('jobs.export(''SELECT 1'', after => ARRAY[%s])');
GRANT SELECT ON sec.calls TO PUBLIC;
SET SESSION AUTHORIZATION regress_jobs_mallory;
SET search_path = evil, public;
SELECT sec.try('P18', format(c.call, 'bob''s'), 'SELECT ' || format(c.call, b.id)) AS line
  FROM sec.calls c CROSS JOIN sec.bobs b GROUP BY 1 ORDER BY 1;
SELECT sec.holds('P19', 'a hidden job and one that does not exist get the same answer: ' || format(c.call, '...'),
                 count(DISTINCT sec.try('', '', 'SELECT ' || format(c.call, i.id))) = 1)
  FROM sec.calls c CROSS JOIN (SELECT id FROM sec.bobs UNION ALL VALUES (0), (-1), (9223372036854775807)) i GROUP BY c.call ORDER BY 1;
SELECT sec.holds('P18', 'views', (SELECT count(*) FROM jobs.job WHERE id IN (SELECT id FROM sec.bobs)) +
                                 (SELECT count(*) FROM jobs.progress WHERE id IN (SELECT id FROM sec.bobs)) +
                                 (SELECT count(*) FROM jobs.panel WHERE id IN (SELECT id FROM sec.bobs)) +
                                 (SELECT count(*) FROM jobs.artifact WHERE job IN (SELECT id FROM sec.bobs)) = 0);

-- The functions of the views, called with whatever one likes.
SELECT sec.holds('P18', 'jobs._waiting tells nothing of others'' jobs', w.shown_state = 'waiting' AND w.waiting_for IS NULL)
  FROM jobs._waiting((SELECT id FROM sec.bobs WHERE title = 'secret waiting'), 'waiting', 'default', 'regress_jobs_mallory'::regrole, '', now(), 0, 0, 'run', 'SELECT 1', -1) w;
SELECT sec.holds('P18', 'jobs._waiting tells nothing of others'' queues', w.waiting_for IS NULL)
  FROM pg_control_system() c, jobs._waiting(0, 'queued', 'bobs', 'regress_jobs_bob'::regrole, '', now(), 0, c.system_identifier, 'run', 'SELECT 1', -1) w;
SELECT sec.holds('P18', 'jobs._slots shows own jobs only', NOT EXISTS (SELECT FROM jobs._slots() WHERE id IN (SELECT id FROM sec.bobs)));
SELECT sec.holds('P18', 'jobs._actions', jobs._actions('regress_jobs_bob'::regrole, '', 'export', 'succeeded', true) = '{}');
SELECT sec.holds('P18', 'jobs._visible', NOT jobs._visible('regress_jobs_bob'::regrole, '') AND NOT jobs._visible(10, '') AND NOT jobs._visible(0, ''));

-- Tenants of one role.
SET jobs.tenant = 'acme';
SELECT jobs.run('SELECT 1', title => 'acme', queue => 'held', run_at => now() + interval '1 day') AS id \gset
SET jobs.tenant = 'other';
SELECT sec.try('P18', 'cancel of another tenant''s', 'SELECT jobs.cancel(' || :id || ')');
SELECT sec.try('P18', 'wait for another tenant''s', 'SELECT jobs.wait(' || :id || ')');
SELECT sec.try('P18', 'after another tenant''s', 'SELECT jobs.run(''SELECT 1'', after => ARRAY[' || :id || '])');
SELECT sec.holds('P18', 'views of another tenant', count(*) = 0) FROM jobs.job WHERE id = :id;
SELECT sec.try('P18', 'the tenant''s name in another case', 'SET jobs.tenant = ''ACME''; SELECT jobs.cancel(' || :id || ')');
SET jobs.tenant = 'acme';
SELECT jobs.cancel(:id);
RESET jobs.tenant;

-- ----------------------------------------------------------------------------
-- P20, P21: functions and statistics that tell
-- ----------------------------------------------------------------------------

CREATE TABLE leaked (what pg_catalog.text);
CREATE FUNCTION leak(pg_catalog.text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS 'BEGIN INSERT INTO evil.leaked VALUES ($1); RETURN true; END';
CREATE FUNCTION leak(bigint) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS 'BEGIN INSERT INTO evil.leaked VALUES ($1); RETURN true; END';
CREATE OPERATOR ~~~ (FUNCTION = leak, RIGHTARG = pg_catalog.text);
SELECT count(*) > 0 FROM jobs.job WHERE leak(title) AND leak(command) AND ~~~ coalesce(error_message, '') AND leak(id);
SELECT count(*) > 0 FROM jobs.progress WHERE leak(title) AND ~~~ title AND leak(id);
SELECT count(*) > 0 FROM jobs.panel WHERE leak(title) AND ~~~ headline AND leak(detail) AND leak(id);
SELECT count(*) > 0 FROM jobs.artifact WHERE leak(filename) AND ~~~ sha256 AND leak(job);
SELECT count(*) > 0 FROM jobs.job j JOIN jobs.panel p ON j.id = p.id AND leak(j.title || p.title) WHERE NOT leak(j.owner) OR leak(p.detail);
SELECT sec.holds('P20', 'leaky functions and operators in conditions', count(*) > 0 AND count(*) FILTER (WHERE what ~ 'secret|division' OR what IN (SELECT id::pg_catalog.text FROM sec.bobs)) = 0) FROM leaked;
SELECT sec.holds('P20', 'an error that would hit one row', sec.try('', '', format('SELECT FROM jobs.job WHERE 1 / (id - %s) < 2', id)) ~ 'ALLOWED') FROM sec.bobs GROUP BY 1;
SELECT sec.try('P20', 'a cast that shows a value', 'SELECT count(*) FROM jobs.job WHERE title::integer > 0') ~ 'secret' AS leaked;
RESET SESSION AUTHORIZATION;
ANALYZE jobs.live, jobs.history, jobs.file;
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT sec.holds('P21', 'planner''s statistics', (SELECT count(*) FROM pg_stats WHERE schemaname = 'jobs') +
                 (SELECT count(*) FROM pg_stats_ext WHERE schemaname = 'jobs') = 0);
SELECT sec.try('P21', 'planner''s statistics', 'SELECT 1 FROM pg_statistic');
SELECT sec.holds('P21', 'the sequence', last_value IS NULL) FROM pg_sequences WHERE schemaname = 'jobs';
SELECT sec.try('P21', 'the sequence', 'SELECT last_value FROM jobs.job_id');
SELECT sec.try('P21', 'TOAST', format('SELECT * FROM %s', reltoastrelid::regclass)) ~ 'refused, 42501' AS refused FROM pg_class WHERE oid = 'jobs.live'::regclass;

-- ----------------------------------------------------------------------------
-- P23: arguments that are none
-- ----------------------------------------------------------------------------

-- Every function with every combination of these for its first two arguments;
-- what it does is taken back.  Only codes of errors that a caller can make.
CREATE TABLE weird (type pg_catalog.text, value pg_catalog.text);
INSERT INTO weird
SELECT t, v FROM (VALUES ('bigint', '{NULL,0,-1,1,9223372036854775807,-9223372036854775808}'::pg_catalog.text[]), ('integer', '{NULL,0,-1,2147483647,-2147483648}'),
    ('oid', '{NULL,0,10,4294967295}'), ('text', ARRAY[NULL, '', 'SELECT', 'SELECT 1; SELECT 2', ';', '/*', '$$', '%s%n', 'x', repeat('SELECT 1;', 1000)]), ('boolean', '{NULL,true,false}'),
    ('timestamp with time zone', '{NULL,infinity,-infinity,4713-01-01 BC,294276-12-31}'), ('interval', '{NULL,0,-1 s,178000000 years,-178000000 years,1 us}'),
    ('jsonb', ARRAY[NULL, '{}', '[]', '1', 'null', '"x"', '{"delimiter": null}', '{"delimiter": ""}', '{"quote": "ää"}', '{"encoding": "x"}', '{"force_quote": [1]}', '{"header": "yes"}',
                    '{"compression": {"gzip": 1}}', '{"null": "\n"}', repeat('[', 1000) || repeat(']', 1000)]),
    ('double precision', '{NULL,NaN,Infinity,-Infinity,1e308}'), ('bigint[]', '{NULL,"{}","{NULL}","{0}","{{1,2},{3,4}}","[0:1]={1,2}"}')) x(t, vs), unnest(vs) v;
CREATE FUNCTION fuzz(call pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'SELECT ' || call;
    RAISE EXCEPTION USING ERRCODE = '00F00';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE VIEW fuzzing AS
SELECT p.proname, format('jobs.%I(%s)', p.proname, string_agg(
           CASE WHEN a.n = 1 THEN quote_nullable(w1.value) WHEN a.n = 2 THEN quote_nullable(w2.value) WHEN format_type(a.type, NULL) = 'text' THEN '''succeeded'''
                WHEN format_type(a.type, NULL) = 'boolean' THEN 'true' WHEN format_type(a.type, NULL) = 'interval' THEN '''1 h'''
                WHEN format_type(a.type, NULL) = 'jsonb' OR format_type(a.type, NULL) LIKE '%[]' OR format_type(a.type, NULL) LIKE 'timestamp%' THEN 'NULL' ELSE '1' END
           || '::' || format_type(a.type, NULL), ', ' ORDER BY a.n)) AS call
  FROM pg_proc p JOIN weird w1 ON w1.type = format_type(p.proargtypes[0], NULL) LEFT JOIN weird w2 ON w2.type = format_type(p.proargtypes[1], NULL),
       unnest(p.proargtypes::oid[]) WITH ORDINALITY a(type, n)
 WHERE p.pronamespace = 'jobs'::regnamespace GROUP BY p.oid, p.proname, w1.value, w2.value;
SELECT 'P23 ' || proname || ': ' || string_agg(DISTINCT fuzz(call), ' ') FROM fuzzing GROUP BY proname ORDER BY proname COLLATE "C";
SELECT sec.try('P23', 'jobs._waiting with a state that is none', $$SELECT jobs._waiting(1, 'asleep', '', 'regress_jobs_mallory'::regrole, '', now(), 0, 0, 'run', '', -1)$$);
SELECT jobs._actions('regress_jobs_mallory'::regrole, '', '', 'asleep', true);
SELECT jobs._describe('x', 'asleep', 1, 1, 1, 1, 1, 1, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, NULL, NULL);
-- The same for the third and later arguments of those that submit.
SELECT 'P23 jobs.run, ' || a.name || ': ' || string_agg(DISTINCT fuzz(format('jobs.run(''SELECT 1'', %I => %L::%s)', a.name, w.value, w.type)), ' ')
  FROM (VALUES ('title', 'text'), ('queue', 'text'), ('priority', 'integer'), ('run_at', 'timestamp with time zone'), ('after', 'bigint[]'), ('timeout', 'interval'),
               ('max_attempts', 'integer'), ('unique_key', 'text'), ('notify', 'jsonb')) a(name, type) JOIN weird w USING (type) GROUP BY a.name ORDER BY a.name;
SELECT 'P23 jobs.export, ' || a.name || ': ' || string_agg(DISTINCT fuzz(format('jobs.export(''SELECT 1'', %I => %L::%s)', a.name, w.value, w.type)), ' ')
  FROM (VALUES ('format', 'text'), ('filename', 'text'), ('options', 'jsonb'), ('expires_in', 'interval')) a(name, type) JOIN weird w USING (type) GROUP BY a.name ORDER BY a.name;

-- ----------------------------------------------------------------------------
-- P35 to P37, P52: files, tokens, notifications, errors
-- ----------------------------------------------------------------------------

-- Whoever has the token may have the file; near misses all get one answer.
SELECT sec.holds('P35', 'a token', length(jobs.download(:'token'::pg_catalog.text)) > 0);
SELECT sec.try('P35', 'a token that is not one', format('SELECT jobs.download(%L::pg_catalog.text)', t))
  FROM (VALUES (''), ('x'), (left(:'token', -1)), (:'token' || 'A'), (' ' || :'token'), (upper(:'token')), (lower(:'token')),
               (overlay(:'token' placing CASE right(:'token', 1) WHEN 'A' THEN 'B' ELSE 'A' END from 43)), (repeat('x', 1000000)),
               (encode(sha256(:'token'), 'hex'))) v(t) GROUP BY 1;
SET SESSION AUTHORIZATION regress_jobs_bob;
CREATE TEMP TABLE tokens AS SELECT jobs.share(:done) AS token FROM generate_series(1, 10000);
SELECT sec.holds('P35', '10,000 tokens', count(DISTINCT token) = 10000 AND bool_and(token ~ '^[A-Za-z0-9_-]{43}$') AND
                 min(length(token)) = 43) FROM tokens;
SELECT sec.holds('P35', 'no place of a token is foreseeable', min(n) > 10) FROM
    (SELECT count(DISTINCT substr(token, i, 1)) AS n FROM tokens, generate_series(1, 43) i GROUP BY i) x;
SELECT jobs.unshare(:done);
SELECT sec.try('P35', 'a token taken back', format('SELECT jobs.download(%L::text)', :'token'));
SELECT sec.try('P35', 'all of them', format('SELECT jobs.download(%L::text)', token)) FROM tokens GROUP BY 1;
SELECT jobs.share(:done, '1 ms') AS token \gset
SELECT pg_sleep(0.01);
SELECT sec.try('P35', 'a token that has expired', format('SELECT jobs.download(%L::text)', :'token'));
SELECT jobs.share(:done) AS token \gset
RESET SESSION AUTHORIZATION;
SELECT sec.holds('P35', 'tokens are not stored', count(*) = 1 AND bool_and(hash = sha256(:'token'))) FROM jobs.share_token WHERE job = :done AND expires_at > now();
SET SESSION AUTHORIZATION regress_jobs_bob;

-- A file that goes while it is read is read to its end.
SELECT jobs.export('SELECT repeat(''x'', 99) FROM generate_series(1, 10000)', options => '{"header": false}') AS big \gset
SELECT jobs.wait(:big);
SELECT jobs.share(:big) AS token \gset
BEGIN;
DECLARE c CURSOR FOR SELECT length(d), rtrim(convert_from(d, 'UTF8'), E'x\n') FROM jobs.download(:big) d;
FETCH 1 FROM c;
SELECT jobs.delete(:big);
FETCH ALL FROM c;
COMMIT;
SELECT sec.try('P36', 'a file that has gone', format('SELECT jobs.download(%s)', :big));
SELECT sec.try('P36', 'a token whose file has gone', format('SELECT jobs.download(%L::text)', :'token'));

-- Nobody believes a message.
SELECT jobs.run('SELECT 1', run_at => now() + interval '1 day') AS id \gset
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT pg_notify('jobs', format('{"job": %s, "kind": "run", "state": "succeeded"}', :id)), pg_notify('jobs_progress', 'x');
SELECT count(pg_notify('jobs', 'x' || i)) FROM generate_series(1, 10000) i;
SET SESSION AUTHORIZATION regress_jobs_bob;
SELECT sec.holds('P37', 'a forged notification changes nothing', state = 'scheduled') FROM jobs.job WHERE id = :id;
SELECT jobs.cancel(:id);

-- Values in errors are for those who may see the job.
CREATE TABLE shared.kept (email text PRIMARY KEY);
INSERT INTO shared.kept VALUES ('secret@example.com');
SELECT jobs.run('INSERT INTO shared.kept VALUES (''secret@example.com'')') AS id \gset
SELECT jobs.wait(:id);
SELECT error_message, error_detail FROM jobs.job WHERE id = :id;
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT sec.holds('P52', 'errors of others', (SELECT count(*) FROM jobs.job WHERE id = :id) + (SELECT count(*) FROM jobs.panel WHERE id = :id) = 0);
-- An owner who can't read the table gets no value of it.
SET SESSION AUTHORIZATION regress_jobs_bob;
GRANT INSERT ON shared.kept TO regress_jobs_mallory;
SET SESSION AUTHORIZATION regress_jobs_mallory;
SELECT jobs.run('INSERT INTO shared.kept VALUES (''secret@example.com'')') AS id \gset
SELECT jobs.wait(:id);
SELECT error_message, error_detail FROM jobs.job WHERE id = :id;

-- What mallory left waits for nothing.
SET SESSION AUTHORIZATION regress_jobs_bob;
SELECT jobs.cancel(:queued), jobs.resume('bobs') AS resumed;
RESET SESSION AUTHORIZATION;
\set ECHO none
\i :cleanup
