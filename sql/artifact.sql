-- Artifacts: downloading, sharing, expiring.

SELECT current_user AS admin \gset
CREATE ROLE regress_jobs_alice LOGIN;
CREATE ROLE regress_jobs_bob LOGIN;
CREATE TABLE artifact_data AS SELECT i AS id, repeat('x', 100) AS filler FROM generate_series(1, 20000) i;
GRANT SELECT ON artifact_data TO PUBLIC;
\c - regress_jobs_alice

-- The file in words, and its bytes in chunks.
SELECT jobs.export('SELECT * FROM artifact_data ORDER BY id', title => 'Large') AS id \gset
SELECT jobs.wait(:id);
SELECT filename, format, media_type, rows, bytes, length(sha256) AS sha256, expires_at - created_at > interval '23:59' AS kept,
       created_at BETWEEN now() - interval '5 min' AND now() AS created, downloads
  FROM jobs.artifact WHERE job = :id \gx
SELECT count(*) > 3 AS several, sum(length(chunk)) = (SELECT bytes FROM jobs.artifact WHERE job = :id) AS complete
  FROM jobs.download(:id) chunk;
SELECT encode(sha256(string_agg(chunk, ''::bytea ORDER BY n)), 'hex') = (SELECT sha256 FROM jobs.artifact WHERE job = :id) AS sha256
  FROM jobs.download(:id) WITH ORDINALITY AS d (chunk, n);
SELECT result ->> 'sha256' = a.sha256 AS sha256, (result ->> 'bytes')::bigint = a.bytes AS bytes,
       result ->> 'filename' = a.filename AS filename, (result ->> 'rows')::bigint = a.rows AS rows
  FROM jobs.job j JOIN jobs.artifact a ON a.job = j.id WHERE j.id = :id;

-- Part of it can be read; only a whole one counts as a download.
SELECT test_poll(format('downloads = 2 FROM jobs.artifact WHERE job = %s', :id));
SELECT length(chunk) > 0 AS some FROM (SELECT jobs.download(:id) AS chunk LIMIT 1) first;
-- What is being read stays, although the job is deleted meanwhile.
BEGIN;
DECLARE c CURSOR FOR SELECT length(chunk) > 0 AS more FROM jobs.download(:id) chunk;
MOVE 1 FROM c;
SELECT jobs.delete(:id);
SELECT count(*) FROM jobs.artifact WHERE job = :id;
SELECT test_error(format('SELECT jobs.download(%s)', :id));
FETCH 1 FROM c;
ROLLBACK;
BEGIN READ ONLY;
SELECT count(*) > 3 AS read_only FROM jobs.download(:id);
COMMIT;

-- As a large object, which is its caller's.
SELECT jobs.download_lo(:id) AS lo \gset
SELECT encode(sha256(lo_get(:lo)), 'hex') = (SELECT sha256 FROM jobs.artifact WHERE job = :id) AS sha256;
SELECT rolname FROM pg_largeobject_metadata m JOIN pg_roles r ON r.oid = m.lomowner WHERE m.oid = :lo;
SELECT lo_unlink(:lo);

-- Empty files are files.
SELECT jobs.export('SELECT 1 AS a WHERE false', options => '{"header": false}') AS empty \gset
SELECT jobs.wait(:empty);
SELECT rows, bytes, sha256 = encode(sha256(''), 'hex') AS sha256 FROM jobs.artifact WHERE job = :empty;
SELECT octet_length(string_agg(chunk, '')) FROM jobs.download(:empty) chunk;
SELECT jobs.download_lo(:empty) AS lo \gset
SELECT octet_length(lo_get(:lo));
SELECT lo_unlink(:lo);

-- There is none.
SELECT jobs.run('SELECT 1') AS run \gset
SELECT jobs.wait(:run);
SELECT jobs.export('SELECT 1/(2 - i) FROM generate_series(1, 5) i') AS failed \gset
SELECT jobs.wait(:failed);
SELECT jobs.export('SELECT 1', run_at => now() + interval '1 day') AS scheduled \gset
SELECT test_error(format('SELECT jobs.download(%s)', :run));
SELECT test_error(format('SELECT jobs.download(%s)', :failed));
SELECT test_error(format('SELECT jobs.download(%s)', :scheduled));
SELECT test_error(format('SELECT jobs.download_lo(%s)', :run));
SELECT test_error(format('SELECT jobs.share(%s)', :scheduled));
SELECT jobs.download(999999999);
SELECT jobs.download_lo(999999999);
SELECT jobs.share(999999999);
SELECT jobs.unshare(999999999);
SELECT jobs.download(NULL::bigint);
SELECT jobs.download(NULL::text);
SELECT jobs.download_lo(NULL);
SELECT jobs.share(NULL);
SELECT jobs.unshare(NULL);
BEGIN READ ONLY;
SELECT jobs.share(:id);
ROLLBACK;
BEGIN READ ONLY;
SELECT jobs.download_lo(:id);
ROLLBACK;

-- Shared: whoever holds the token can download, and see nothing else.
SELECT jobs.share(:id) AS token \gset
SELECT jobs.share(:id) AS token2 \gset
SELECT :'token' ~ '^[A-Za-z0-9_-]{43}$' AS form, :'token' <> :'token2' AS other;
\c - regress_jobs_bob
SELECT count(*) FROM jobs.artifact;
SELECT test_error(format('SELECT jobs.download(%s)', :id));
SELECT test_error(format('SELECT jobs.download_lo(%s)', :id));
SELECT test_error(format('SELECT jobs.share(%s)', :id));
SELECT test_error(format('SELECT jobs.unshare(%s)', :id));
SELECT count(*) > 3 AS downloaded FROM jobs.download(:'token');
SET jobs.tenant = 'elsewhere';
SELECT count(*) > 3 AS downloaded FROM jobs.download(:'token2');
RESET jobs.tenant;
-- What is no token is told in the same words.
SELECT jobs.download('');
SELECT jobs.download('x');
SELECT jobs.download(lower(:'token'));
SELECT jobs.download(:'token' || ' ');
SELECT jobs.download(left(:'token', 42));
SELECT jobs.download(repeat('A', 1000000));
-- A number in quotes is taken for a token.
SELECT jobs.download('1');
\c - regress_jobs_alice
SELECT jobs.unshare(:id);
SELECT jobs.download(:'token');
SELECT jobs.download(:'token2');
-- Taken back already, or never given: no error.
SELECT jobs.unshare(:id);
SELECT jobs.unshare(:run);

-- A token may live shorter than the file, not longer.
SELECT jobs.share(:id, '1 hour') IS NOT NULL AS shared;
SELECT jobs.share(:id, '178000000 years') IS NOT NULL AS shared;
SELECT jobs.share(:id, '0');
SELECT jobs.share(:id, '-1 hour');
SELECT jobs.share(:id, '1 microsecond') AS token \gset
SELECT jobs.download(:'token');
-- It goes with the job.
SELECT jobs.share(:id) AS token \gset
SELECT jobs.delete(:id);
SELECT jobs.download(:'token');
SELECT count(*) FROM jobs.artifact WHERE job = :id;

-- Tokens are not readable anywhere; only their SHA-256 is stored.
\c - :admin
SELECT jobs.export('SELECT 1 AS a') AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.share(:id) AS token \gset
SELECT hash = sha256(:'token') AS hash FROM jobs.share_token WHERE job = :id;

-- What has expired says so.  The row stays and tells what there was.
SELECT jobs.export('SELECT 1 AS a', expires_in => '1 second') AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.share(:id) AS token \gset
SELECT expires_at - created_at <= interval '1.1 s' AS soon FROM jobs.artifact WHERE job = :id;
SELECT test_poll(format('expires_at < clock_timestamp() FROM jobs.artifact WHERE job = %s', :id));
SELECT test_error(format('SELECT jobs.download(%s)', :id));
SELECT test_error(format('SELECT jobs.download_lo(%s)', :id));
SELECT test_error(format('SELECT jobs.share(%s)', :id));
-- Its bytes and tokens go soon after.
SELECT test_poll(format('count(*) = 0 FROM jobs.chunk WHERE job = %s', :id));
SELECT count(*) FROM jobs.share_token WHERE job = :id;
SELECT test_error(format('SELECT jobs.download(%s)', :id));
SELECT jobs.download(:'token');
SELECT jobs.unshare(:id);
SELECT headline, detail, actions FROM jobs.panel WHERE id = :id;
SELECT rows, bytes FROM jobs.artifact WHERE job = :id;

-- Times that are none.
SELECT jobs.export('SELECT 1', expires_in => '0');
SELECT jobs.export('SELECT 1', expires_in => '-1 day');
SELECT jobs.export('SELECT 1', expires_in => '0.9 seconds');
-- Too long is as long as jobs.max_artifact_ttl, which is 30 days.
SELECT jobs.export('SELECT 1', expires_in => '178000000 years') AS id \gset
SELECT jobs.wait(:id);
SELECT round(extract(epoch FROM expires_at - created_at) / 86400) AS days FROM jobs.artifact WHERE job = :id;
SET jobs.artifact_ttl = '2h';
SELECT jobs.export('SELECT 1') AS id \gset
SELECT jobs.wait(:id);
SELECT round(extract(epoch FROM expires_at - created_at) / 60) AS minutes FROM jobs.artifact WHERE job = :id;

SELECT jobs.cancel(:scheduled);
DROP TABLE artifact_data;
DROP ROLE regress_jobs_alice, regress_jobs_bob;
