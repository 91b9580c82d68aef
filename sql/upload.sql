-- Uploads: in pieces, from large objects, from files; rights, tenants, limits.

SELECT current_user AS admin, coalesce(max(id), 0) AS before FROM jobs.upload \gset
CREATE ROLE regress_jobs_alice LOGIN;
CREATE ROLE regress_jobs_bob LOGIN;
CREATE ROLE regress_jobs_team;
GRANT regress_jobs_team TO regress_jobs_alice;

-- The bytes of an upload as they are stored, in order; and what their rows look like.
CREATE FUNCTION test_bytes(id bigint) RETURNS bytea LANGUAGE sql AS $$
    SELECT coalesce(string_agg(data, '' ORDER BY seq, piece), '') FROM jobs.chunk WHERE job = id
$$;
CREATE FUNCTION test_shape(id bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s: %s%s', seq, n, CASE WHEN compressed THEN ' compressed' END), ', ' ORDER BY seq)
      FROM (SELECT seq, count(*) AS n, compressed FROM jobs.chunk WHERE job = id GROUP BY seq, compressed) c
$$;
-- Errors name uploads, too.
CREATE FUNCTION test_upload_error(command text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(test_error(command), '\mupload \d+', 'upload N', 'g')
$$;
GRANT EXECUTE ON FUNCTION test_upload_error TO PUBLIC;

-- In pieces.
\c - regress_jobs_alice
SELECT jobs.upload('contacts.csv') AS id \gset
SELECT jobs.upload_append(:id, 'name,email'), jobs.upload_append(:id, E'\\x0a');
SELECT jobs.upload_append(:id, '');
SELECT jobs.upload_append(:id, convert_to(E'Größe,x@y\n', 'UTF8'));
SELECT filename, owner, bytes, created_at BETWEEN now() - interval '5 min' AND now() AS created, expires_at BETWEEN now() + interval '23:59' AND now() + interval '1 day' AS expires, jobs
  FROM jobs.upload WHERE id = :id;
SELECT jobs.upload() IS NOT NULL AS uploaded;
SELECT filename IS NULL AS unnamed, bytes FROM jobs.upload WHERE filename IS NULL;
\c - :admin
SELECT convert_from(test_bytes(:id), 'UTF8');

-- Many small ones make no small rows; large ones fill chunks, however they come.
DO $$
DECLARE
    small bigint := jobs.upload('small');
    odd bigint := jobs.upload('odd');
    large bigint := jobs.upload('large');
    bytes bytea := (SELECT string_agg(convert_to(md5(i::text), 'UTF8'), '') FROM generate_series(1, 20000) i);
    at integer := 1;
BEGIN
    FOR i IN 1..3000 LOOP
        PERFORM jobs.upload_append(small, substr(bytes, (i - 1) * 10 + 1, 10));
    END LOOP;
    FOR i IN 1..40 LOOP
        PERFORM jobs.upload_append(odd, substr(bytes, at, i * 777));
        at := at + i * 777;
    END LOOP;
    PERFORM jobs.upload_append(odd, substr(bytes, at));
    PERFORM jobs.upload_append(large, convert_to(repeat(E'1,some words,2024-01-01\n', 30000), 'UTF8'));
END $$;
SELECT u.filename, u.bytes, test_shape(u.id), length(test_bytes(u.id)) = u.bytes AS whole,
       test_bytes(u.id) = substr((SELECT string_agg(convert_to(md5(i::text), 'UTF8'), '') FROM generate_series(1, 20000) i), 1, u.bytes::integer) AS same
  FROM jobs.upload u WHERE filename IN ('small', 'odd') ORDER BY id;
SELECT filename, bytes, test_shape(id) ~ '^0: \d+ compressed, 1: \d+ compressed, 2: \d+$' AS shape FROM jobs.upload WHERE filename = 'large';

-- Transactions take back what they have added, savepoints too.
BEGIN;
SELECT jobs.upload('gone') AS gone \gset
SELECT jobs.upload_append(:gone, 'abc');
SAVEPOINT s;
SELECT jobs.upload_append(:gone, 'def');
ROLLBACK TO s;
SELECT jobs.upload_append(:gone, 'ghi');
SELECT convert_from(test_bytes(:gone), 'UTF8'), bytes FROM jobs.upload WHERE id = :gone;
ROLLBACK;
SELECT count(*) FROM jobs.upload WHERE id = :gone;
SELECT count(*) FROM jobs.chunk WHERE job = :gone;

-- From large objects, with their owner's rights.
\c - regress_jobs_alice
SELECT lo_from_bytea(0, convert_to(repeat(E'some,line\n', 100000), 'UTF8')) AS lo \gset
SELECT jobs.upload_lo(:lo, 'lines.csv') AS from_lo \gset
SELECT filename, bytes FROM jobs.upload WHERE id = :from_lo;
SELECT lo_creat(-1) AS empty \gset
SELECT jobs.upload_lo(lo => :empty) AS from_empty \gset
SELECT bytes FROM jobs.upload WHERE id = :from_empty;
\c - regress_jobs_bob
SELECT test_error(format('SELECT jobs.upload_lo(%s)', :lo)) ~ '^42501: permission denied for large object \d+$' AS refused;
SELECT test_error('SELECT jobs.upload_lo(4000000000)');
SELECT test_error('SELECT jobs.upload_lo(NULL)');
\c - regress_jobs_alice
GRANT SELECT ON LARGE OBJECT :lo TO regress_jobs_bob;
\c - regress_jobs_bob
SELECT jobs.upload_lo(:lo, 'granted.csv') IS NOT NULL AS uploaded;
SELECT bytes FROM jobs.upload WHERE filename = 'granted.csv';

-- From files; more in test/t/070_uploads.pl.
SELECT test_error('SELECT jobs.upload_file(''PG_VERSION'')');
\c - :admin
GRANT pg_read_server_files TO regress_jobs_bob;
\c - regress_jobs_bob
SELECT jobs.upload_file('PG_VERSION') AS id \gset
SELECT filename, bytes > 0 AS some FROM jobs.upload WHERE id = :id;
SELECT test_error('SELECT jobs.upload_file(''no/such/file'')');
SELECT test_error('SELECT jobs.upload_file(''base'')');
SELECT test_error('SELECT jobs.upload_file(NULL)');
SELECT test_error('SELECT jobs.upload_file(''/proc/self/mem'')');
\c - :admin
REVOKE pg_read_server_files FROM regress_jobs_bob;

-- Arguments.
SELECT test_error('SELECT jobs.upload('''')');
SELECT test_error(format('SELECT jobs.upload(%L)', repeat('x', 501)));
SELECT test_error('SELECT jobs.upload_append(NULL, ''x'')');
SELECT test_error(format('SELECT jobs.upload_append(%s, NULL)', :from_lo));
SELECT test_upload_error('SELECT jobs.upload_append(0, ''x'')');
SELECT test_upload_error('SELECT jobs.upload_delete(0)');
SELECT test_error('SELECT jobs.upload_delete(NULL)');
BEGIN READ ONLY;
SELECT test_error('SELECT jobs.upload()');
SELECT test_error('SELECT jobs.upload_append(1, ''x'')');
SELECT test_error('SELECT jobs.upload_lo(1)');
SELECT test_error('SELECT jobs.upload_file(''PG_VERSION'')');
SELECT test_error('SELECT jobs.upload_delete(1)');
SELECT bytes FROM jobs.upload WHERE id = :from_lo;
COMMIT;

-- Whose they are: the role's that uploads, not its member's.
\c - regress_jobs_alice
SET ROLE regress_jobs_team;
SELECT jobs.upload('of the team') AS team \gset
RESET ROLE;
SELECT jobs.upload_append(:team, 'by a member');
SELECT owner, bytes FROM jobs.upload WHERE id = :team;
\c - regress_jobs_bob
SELECT count(*) FROM jobs.upload WHERE id IN (:team, :from_lo);
SELECT test_upload_error(format('SELECT jobs.upload_append(%s, ''x'')', :team));
SELECT test_upload_error(format('SELECT jobs.upload_delete(%s)', :team));
SELECT jobs._upload_size(:team) IS NULL AS hidden;
\c - :admin
GRANT pg_read_all_stats TO regress_jobs_bob;
\c - regress_jobs_bob
SELECT owner, bytes FROM jobs.upload WHERE id = :team;
SELECT test_upload_error(format('SELECT jobs.upload_append(%s, ''x'')', :team));
SELECT test_upload_error(format('SELECT jobs.upload_delete(%s)', :team));
SELECT count(*) FROM jobs.upload_entry;
\c - :admin
REVOKE pg_read_all_stats FROM regress_jobs_bob;

-- Tenants.
\c - regress_jobs_alice
SET jobs.tenant = 'one';
SELECT jobs.upload('of one') AS one \gset
SET jobs.tenant = 'two';
SELECT count(*) FROM jobs.upload WHERE id = :one;
SELECT test_upload_error(format('SELECT jobs.upload_append(%s, ''x'')', :one));
SELECT test_upload_error(format('SELECT jobs.upload_delete(%s)', :one));
SET jobs.tenant = 'one';
SELECT jobs.upload_append(:one, 'x');
RESET jobs.tenant;
SELECT jobs.upload_append(:one, 'y');
SELECT bytes FROM jobs.upload WHERE id = :one;

-- The limit holds while an upload grows, and for each way.
SELECT test_error('SET jobs.max_upload_size = ''1MB''');
\c - :admin
SET jobs.max_upload_size = '1MB';
SELECT jobs.upload('limited') AS id \gset
SELECT jobs.upload_append(:id, convert_to(repeat('x', 1000000), 'UTF8'));
SELECT test_upload_error(format('SELECT jobs.upload_append(%s, convert_to(repeat(''x'', 48577), ''UTF8''))', :id));
SELECT jobs.upload_append(:id, convert_to(repeat('x', 48576), 'UTF8'));
SELECT test_upload_error(format('SELECT jobs.upload_append(%s, ''x'')', :id));
SELECT bytes FROM jobs.upload WHERE id = :id;
SELECT lo_from_bytea(0, convert_to(repeat('x', 1048577), 'UTF8')) AS lo \gset
SELECT test_error(format('SELECT jobs.upload_lo(%s)', :lo));
RESET jobs.max_upload_size;

-- Deleting; the bytes go in batches.
SELECT jobs.upload_delete(:id);
SELECT count(*) FROM jobs.upload WHERE id = :id;
SELECT test_upload_error(format('SELECT jobs.upload_append(%s, ''x'')', :id));
SELECT test_poll(format('NOT EXISTS (SELECT FROM jobs.chunk WHERE job = %s) AND NOT EXISTS (SELECT FROM jobs.garbage)', :id));

-- One that is used cannot be changed, and is kept as long as the job.
SELECT jobs.run('SELECT 1') AS job \gset
SELECT jobs.wait(:job);
SELECT jobs.upload('used') AS used \gset
SELECT jobs.upload_append(:used, 'x');
INSERT INTO jobs.upload_use VALUES (:job, :used);
UPDATE jobs.upload_entry SET expires_at = 'infinity' WHERE id = :used;
SELECT jobs = ARRAY[:job::bigint] AS jobs, expires_at FROM jobs.upload WHERE id = :used;
SELECT test_upload_error(format('SELECT jobs.upload_append(%s, ''x'')', :used));
SELECT test_upload_error(format('SELECT jobs.upload_delete(%s)', :used));
SELECT jobs.delete(:job);
SELECT count(*) FROM jobs.upload WHERE id = :used;
SELECT test_poll(format('NOT EXISTS (SELECT FROM jobs.chunk WHERE job = %s)', :used));

-- Retention: a day after the last piece, and no waiting for who has the row.
SELECT jobs.upload('old') AS old \gset
SELECT jobs.upload('new') AS new \gset
SELECT jobs.upload_append(:old, 'x'), jobs.upload_append(:new, 'x');
UPDATE jobs.upload_entry SET expires_at = now() - interval '1 min' WHERE id = :old;
UPDATE jobs.upload_entry SET expires_at = now() + interval '1 hour' WHERE id = :new;
SELECT jobs.upload_append(:new, 'y');
SELECT expires_at > now() + interval '23 hours' AS kept_on FROM jobs.upload WHERE id = :new;
SELECT test_poll(format('NOT EXISTS (SELECT FROM jobs.upload WHERE id = %s) AND NOT EXISTS (SELECT FROM jobs.chunk WHERE job = %s)', :old, :old));
SELECT bytes FROM jobs.upload WHERE id = :new;

-- Nothing is left behind.
SELECT jobs.upload_delete(id) FROM jobs.upload WHERE id > :before;
SELECT test_poll('NOT EXISTS (SELECT FROM jobs.garbage)');
SELECT lo_unlink(oid) FROM pg_largeobject_metadata;
DROP FUNCTION test_bytes, test_shape, test_upload_error;
DROP ROLE regress_jobs_alice, regress_jobs_bob, regress_jobs_team;
