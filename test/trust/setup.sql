-- What the workload works on.
CREATE EXTENSION jobs;
CREATE EXTENSION amcheck;
CREATE SCHEMA trust;
GRANT USAGE ON SCHEMA trust TO PUBLIC;
CREATE ROLE trust_alice LOGIN;
CREATE ROLE trust_bob LOGIN;
CREATE ROLE trust_team NOLOGIN;
CREATE ROLE trust_carol LOGIN IN ROLE trust_team;

CREATE TABLE trust.ledger (key integer PRIMARY KEY, role name, kind text, job bigint, fate text, n integer, sha text,
    predecessor integer, run_at timestamptz, cancelled boolean, clock_moved boolean);
CREATE TABLE trust.effect (key integer, item integer);
GRANT INSERT ON trust.effect TO PUBLIC;
CREATE TABLE trust.numbers AS SELECT n, md5(n::text) AS hash, repeat('x', n % 100) AS filler FROM generate_series(1, 200000) n;
GRANT SELECT ON trust.numbers TO PUBLIC;
CREATE TABLE trust.contended AS SELECT n, 0::bigint AS hits FROM generate_series(0, 4) n;
GRANT ALL ON trust.contended TO PUBLIC;
CREATE TABLE trust.target (key integer, n integer, email text);
GRANT SELECT, INSERT ON trust.target TO PUBLIC;
CREATE TABLE trust.storm (n integer);
CREATE TABLE trust.canary AS SELECT 'secret'::text AS secret;
ALTER TABLE trust.canary SET (autovacuum_enabled = false);

-- One item: an effect, three of a hundred fail, some are not to be done, some
-- take longer.
CREATE FUNCTION trust.act(key integer, n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trust.effect VALUES (key, n);
    IF n % 33 = 0 THEN RAISE EXCEPTION 'no %', n % 66; END IF;
    IF n % 41 = 0 THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'JB001'; END IF;
    IF n % 50 = 0 THEN PERFORM count(*) FROM generate_series(1, 20000); END IF;
    RETURN CASE WHEN n % 3 = 0 THEN n END;
END $$;

-- An item that others are in the way of: deadlocks, and with REPEATABLE READ
-- serialization failures.
CREATE FUNCTION trust.contend(key integer, n integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trust.effect VALUES (key, n);
    UPDATE trust.contended SET hits = hits + 1 WHERE contended.n = contend.n % 5;
    UPDATE trust.contended SET hits = hits + 1 WHERE contended.n = (contend.n * 7 + 3) % 5;
END $$;

-- Everything that says who may do what.
CREATE VIEW trust.rights AS
SELECT 'roles' AS what, md5(string_agg(a::text, '|' ORDER BY a.oid)) AS hash
  FROM (SELECT oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, rolvaliduntil FROM pg_authid) a
UNION ALL SELECT 'members', md5(string_agg(m::text, '|' ORDER BY m.roleid, m.member)) FROM pg_auth_members m
UNION ALL SELECT 'functions', md5(string_agg(p.oid || ':' || p.proowner || p.prosecdef || coalesce(p.proacl::text, '') || coalesce(p.proconfig::text, '') || p.prosrc, '|' ORDER BY p.oid)) FROM pg_proc p
UNION ALL SELECT 'relations', md5(string_agg(c.oid || ':' || c.relowner || c.relrowsecurity || coalesce(c.relacl::text, '') || coalesce(c.reloptions::text, ''), '|' ORDER BY c.oid))
            FROM pg_class c WHERE relkind IN ('r', 'v', 'S') AND relpersistence = 'p'
UNION ALL SELECT 'schemas', md5(string_agg(n.oid || ':' || n.nspowner || coalesce(n.nspacl::text, ''), '|' ORDER BY n.oid)) FROM pg_namespace n WHERE nspname !~ '^pg_(toast_)?temp'
UNION ALL SELECT 'settings', md5(string_agg(s::text, '|' ORDER BY s.setdatabase, s.setrole)) FROM pg_db_role_setting s;
CREATE TABLE trust.baseline AS SELECT * FROM trust.rights LIMIT 0;
-- With the view and the table themselves.
INSERT INTO trust.baseline SELECT * FROM trust.rights;
