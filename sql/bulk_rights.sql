-- As whom the items of a bulk job run: its owner, before and after errors, with
-- and without LOGIN, in every worker, and in what they defer.
CREATE ROLE regress_bulk_team NOLOGIN;
CREATE ROLE regress_bulk_member LOGIN IN ROLE regress_bulk_team;
CREATE SCHEMA regress_bulk AUTHORIZATION regress_bulk_team;
GRANT USAGE ON SCHEMA regress_bulk TO regress_bulk_member;

-- Who is at work, and what the item tries, if anything.
CREATE FUNCTION regress_bulk.who(attempt text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF attempt <> '' THEN
		EXECUTE attempt;
	END IF;
	RETURN current_user;
END $$;
CREATE TABLE regress_bulk.seen (who text, super boolean);
CREATE FUNCTION regress_bulk.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.who = 'refused' THEN RAISE EXCEPTION 'refused late by %', current_user; END IF;
	UPDATE regress_bulk.seen SET who = current_user, super = current_setting('is_superuser')::boolean WHERE ctid = NEW.ctid;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON regress_bulk.seen DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION regress_bulk.note();
ALTER TABLE regress_bulk.seen OWNER TO regress_bulk_team;

CREATE VIEW verdicts AS
SELECT item_no, state, result, error_code, error_message FROM jobs.item WHERE job = (SELECT max(id) FROM jobs.job) ORDER BY item_no;

SET SESSION AUTHORIZATION regress_bulk_member;
SET ROLE regress_bulk_team;
SELECT jobs.bulk('SELECT regress_bulk.who($1->>0)', '[[""], ["SELECT 1/0"], [""], ["SET ROLE postgres"], [""],
	["SELECT set_config(''role'', ''postgres'', false)"], [""], ["SET SESSION AUTHORIZATION postgres"], [""], ["CREATE ROLE regress_jobs_x SUPERUSER"], [""]]') AS job \gset
SELECT jobs.wait(:job, '1 min');
RESET SESSION AUTHORIZATION;
-- the words about SET ROLE are not the same in a session of the role's own (17 and later)
SELECT item_no, state, result, error_code IN ('42501', '22023') AS refused FROM verdicts;

-- deferred triggers are the owner's too, and the item's that deferred them
SET SESSION AUTHORIZATION regress_bulk_member;
SET ROLE regress_bulk_team;
SELECT jobs.bulk('INSERT INTO regress_bulk.seen VALUES ($1->>0)', '[["a"], ["refused"], ["b"]]') AS job \gset
SELECT jobs.wait(:job, '1 min');
RESET SESSION AUTHORIZATION;
SELECT * FROM verdicts;
SELECT * FROM regress_bulk.seen;

-- one with LOGIN, with what it may become; the next item is itself again
SET SESSION AUTHORIZATION regress_bulk_member;
SELECT jobs.bulk('SELECT regress_bulk.who($1->>0)', '[[""], ["SET ROLE regress_bulk_team"], [""], ["SET ROLE regress_bulk_team; SELECT 1/0"], [""], ["SET ROLE postgres"], [""]]') AS job \gset
SELECT jobs.wait(:job, '1 min');
RESET SESSION AUTHORIZATION;
SELECT * FROM verdicts;

-- a query's items, and what turns them into JSON, are the owner's
CREATE TYPE regress_bulk.mood AS ENUM ('fine', 'bad');
CREATE FUNCTION regress_bulk.to_json(m regress_bulk.mood) RETURNS json LANGUAGE sql AS 'SELECT to_json(current_user || '' is '' || m::text)';
CREATE CAST (regress_bulk.mood AS json) WITH FUNCTION regress_bulk.to_json(regress_bulk.mood);
SET SESSION AUTHORIZATION regress_bulk_member;
SELECT jobs.bulk_query('SELECT (CASE WHEN $1->>''m'' IS NULL THEN ''bad'' ELSE ''fine'' END)::regress_bulk.mood',
	'SELECT m FROM unnest(enum_range(NULL::regress_bulk.mood)) m') AS job \gset
SELECT jobs.wait(:job, '1 min');
RESET SESSION AUTHORIZATION;
SELECT payload, result FROM jobs.item WHERE job = :job ORDER BY item_no;

-- a privilege that is lost meanwhile hits the items, not the job's end
CREATE TABLE regress_bulk.private (n integer);
GRANT INSERT ON regress_bulk.private TO regress_bulk_member;
SELECT jobs.pause('regress_bulk');
SET SESSION AUTHORIZATION regress_bulk_member;
SELECT jobs.bulk('INSERT INTO regress_bulk.private VALUES ($1::integer)', '[1, 2]', queue => 'regress_bulk') AS job \gset
RESET SESSION AUTHORIZATION;
REVOKE INSERT ON regress_bulk.private FROM regress_bulk_member;
SELECT jobs.resume('regress_bulk');
SELECT jobs.wait(:job, '1 min');
SELECT * FROM verdicts;

-- tenants see their own items only
SET SESSION AUTHORIZATION regress_bulk_member;
SET jobs.tenant = 'acme';
SELECT jobs.bulk('SELECT current_setting(''jobs.tenant'') FROM (SELECT $1) x', '[1]') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT payload, result FROM jobs.item;
SET jobs.tenant = 'other';
SELECT payload, result FROM jobs.item;
SELECT test_error(format('SELECT * FROM jobs.failures(%s)', :job));
SELECT test_error(format('SELECT jobs.skip_failed(%s)', :job));
RESET jobs.tenant;
RESET SESSION AUTHORIZATION;

DROP VIEW verdicts;
SET client_min_messages = warning;
DROP SCHEMA regress_bulk CASCADE;
DROP ROLE regress_bulk_member, regress_bulk_team;
