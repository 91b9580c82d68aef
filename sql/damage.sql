-- Tables that somebody has written to, as only a superuser can: what is damaged is
-- called so, no file ends early without a word, and no item is made up.

\getenv srcdir PG_ABS_SRCDIR
\set calls :srcdir '/test/import_calls.psql'
\set ECHO none
\i :calls
\set ECHO all
CREATE FUNCTION damage(command text, id bigint, change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    EXECUTE format(change, id);
    said := regexp_replace(replace(test_error(format(command, id)), 'lz4', 'pglz'), '\m(preview|import) \d+', '\1 N', 'g');
    RAISE EXCEPTION USING message = said, errcode = 'JB999';
EXCEPTION WHEN SQLSTATE 'JB999' THEN
    RETURN said;
END $$;

-- The file of an export.
SELECT jobs.export($$SELECT string_agg(md5((i * 100 + j)::text), '') FROM generate_series(1, 300) i, generate_series(1, 50) j GROUP BY i$$) AS id \gset
SELECT jobs.wait(:id);
\set download 'SELECT jobs.download(%s)'
SELECT damage(:'download', :id, 'DELETE FROM jobs.chunk WHERE job = %s AND seq = 1');
SELECT damage(:'download', :id, 'DELETE FROM jobs.chunk WHERE job = %s AND seq = 0 AND piece = 1');
SELECT damage(:'download', :id, 'DELETE FROM jobs.chunk WHERE job = %s AND (seq, piece) = (SELECT seq, piece FROM jobs.chunk WHERE job = %1$s ORDER BY 1 DESC, 2 DESC LIMIT 1)');
SELECT damage('SELECT jobs.download_lo(%s)', :id, 'DELETE FROM jobs.chunk WHERE job = %s AND seq = 1');
SELECT damage(:'download', :id, 'DELETE FROM jobs.file WHERE job = %s');
SELECT damage('SELECT jobs.retry(%s)', :id, 'UPDATE jobs.history SET state = ''done'' WHERE id = %s');
SELECT damage('SELECT jobs.retry(%s)', :id, 'UPDATE jobs.history SET kind = ''letter'' WHERE id = %s');

-- Items.
SELECT jobs.bulk('SELECT $1', '[1, 2, 3]') AS id \gset
SELECT jobs.wait(:id);
\set items 'SELECT * FROM jobs.item WHERE job = %s'
SELECT damage(:'items', :id, 'UPDATE jobs.item_chunk SET n = 0 WHERE job = %s');
SELECT damage(:'items', :id, 'UPDATE jobs.item_chunk SET n = 4 WHERE job = %s');
SELECT damage(:'items', :id, 'UPDATE jobs.item_chunk SET payloads = ''\xffffff00'' WHERE job = %s');
SELECT damage(:'items', :id, 'UPDATE jobs.outcome SET n = 4, results = NULL WHERE job = %s');
SELECT damage(:'items', :id, 'UPDATE jobs.outcome SET results = ''\x00'' WHERE job = %s');

-- What a preview has found, and what its import has written down.
CREATE TABLE damage_target (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO damage_target VALUES (1, 'there');
CALL test_preview('damage_target', E'id,name\n1,one\n2,\n3,three\n', '{"on_conflict": "update"}') \gset
SELECT :id AS preview \gset
\set spoil 'UPDATE jobs.chunk SET compressed = false, data = %L WHERE job = %%s AND seq = %s'
SELECT format(:'spoil', '\xff', 0) AS spoil_head, format(:'spoil', '\x120503', 0) AS spoil_reason \gset
SELECT damage('SELECT jobs.rejects(%s)', :preview, :'spoil_head');
SELECT damage('SELECT jobs.rejects(%s)', :preview, :'spoil_reason');
CALL test_import(:preview) \gset
SELECT state, result -> 'inserted' AS inserted, result -> 'updated' AS updated FROM jobs.job WHERE id = :id;
SELECT damage('SELECT jobs.import_summary(%s)', :id, 'DELETE FROM jobs.history WHERE id = (SELECT (options ->> ''preview'')::bigint FROM jobs.history WHERE id = %s)');
SELECT format(:'spoil', '\x80', 1::bigint << 40) AS spoil_inserted, format(:'spoil', '\x80', 2::bigint << 40) AS spoil_updated \gset
SELECT damage('SELECT jobs.undo_import(%s)', :id, :'spoil_inserted');
SELECT damage('SELECT jobs.undo_import(%s)', :id, :'spoil_updated');
SELECT damage('SELECT jobs.undo_import(%s)', :id, $$UPDATE jobs.chunk SET compressed = false, data = (
    SELECT substr(data, 1, length(data) - 2) || '\x7f' FROM jobs.chunk WHERE job = %s AND seq = 2::bigint << 40) WHERE job = %1$s AND seq = 2::bigint << 40$$);
SELECT format(:'spoil', '\xffffffffffffff7f', 1::bigint << 40) AS spoil_age \gset
SELECT damage('SELECT jobs.undo_import(%s)', :id, :'spoil_age');
SELECT deleted, restored, kept FROM jobs.undo_import(:id);
TABLE damage_target;

-- A file that has lost its end since it was previewed.
SELECT jobs.upload('file.csv') AS upload \gset
SELECT jobs.upload_append(:upload, convert_to(E'id,name\n' || string_agg(format('%s,%s', i, repeat('x', 100)), E'\n'), 'UTF8'))
  FROM generate_series(2, 3000) i;
SELECT jobs.import_preview('damage_target', :upload) AS preview \gset
SELECT jobs.wait(:preview);
DELETE FROM jobs.chunk WHERE job = :upload AND seq = (SELECT max(seq) FROM jobs.chunk WHERE job = :upload);
CALL test_import(:preview) \gset
SELECT state, error_code, regexp_replace(error_message, 'preview \d+', 'preview N'), error_hint FROM jobs.job WHERE id = :id;
TABLE damage_target;

-- Functions of the library that somebody has declared otherwise.
SELECT jobs.export('SELECT 1') AS id \gset
SELECT jobs.wait(:id);
SELECT jobs.share(:id) AS token \gset
CREATE FUNCTION damage_summary(bigint) RETURNS bigint AS 'jobs', 'jobs_import_summary' LANGUAGE C;
SELECT damage_summary(:preview);
CREATE FUNCTION damage_shared(text, OUT a bigint, OUT b bigint) AS 'jobs', 'jobs_shared_artifact' LANGUAGE C;
SELECT damage_shared(:'token');
CREATE FUNCTION damage_sniff(text, jsonb) RETURNS SETOF record AS 'jobs', 'jobs_sniff_content' LANGUAGE C;
SELECT * FROM damage_sniff('a,b', '{}') AS t (a jsonb);
CREATE FUNCTION damage_describe(text, text) RETURNS text AS 'jobs', 'jobs_describe' LANGUAGE C;
SELECT damage_describe('run', 'queued');
CREATE FUNCTION damage_waiting(bigint) RETURNS text AS 'jobs', 'jobs_waiting' LANGUAGE C;
SELECT damage_waiting(:id);

SELECT count(jobs.delete(id)) > 0 AS deleted FROM jobs.job WHERE state IN ('succeeded', 'failed');
DROP FUNCTION damage, damage_summary, damage_shared, damage_sniff, damage_describe, damage_waiting;
DROP PROCEDURE test_preview, test_import;
DROP TABLE damage_target;
