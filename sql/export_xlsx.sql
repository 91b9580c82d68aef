-- Exports as Excel workbooks.  What is in them is read by test/t/041_xlsx.pl.
SET TimeZone = 'UTC';

-- The artifact.
SELECT jobs.export('SELECT i AS id, md5(i::text) AS hash FROM generate_series(1, 1000) i', 'xlsx', title => 'Q4/2026 [final]') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT state, processed, error_code, error_message FROM jobs.job WHERE id = :job;
SELECT filename, format, media_type, rows, bytes > 10000 AS has_bytes FROM jobs.artifact WHERE job = :job;
SELECT regexp_replace(headline, '[0-9.]+ kB', 'n kB') AS headline FROM jobs.panel WHERE id = :job;
-- A zip file whose first part tells what it is.
SELECT encode(substr(string_agg(c, ''), 1, 4), 'hex') AS magic, convert_from(substr(string_agg(c, ''), 31, 11), 'UTF8') AS first
  FROM jobs.download(:job) c;
SELECT length(string_agg(c, '')) = (SELECT bytes FROM jobs.artifact WHERE job = :job) AS complete FROM jobs.download(:job) c;

-- The same rows make the same bytes, whenever, and with or without threads.
SELECT sha256 FROM jobs.artifact WHERE job = :job \gset
SELECT jobs.export('SELECT i AS id, md5(i::text) AS hash FROM generate_series(1, 1000) i', 'xlsx', title => 'Q4/2026 [final]') AS again \gset
SELECT jobs.wait(:again, '1 min');
SELECT sha256 = :'sha256' AS same FROM jobs.artifact WHERE job = :again;
CREATE ROLE regress_jobs_no_threads;
ALTER ROLE regress_jobs_no_threads SET jobs.max_export_workers = 0;
SET ROLE regress_jobs_no_threads;
SELECT jobs.export('SELECT i AS id, md5(i::text) AS hash FROM generate_series(1, 1000) i', 'xlsx', title => 'Q4/2026 [final]') AS again \gset
SELECT jobs.wait(:again, '1 min');
SELECT sha256 = :'sha256' AS same FROM jobs.artifact WHERE job = :again;
RESET ROLE;

-- Names of files.
SELECT jobs.export('SELECT 1', 'xlsx', 'naïve.xlsx') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT filename FROM jobs.artifact WHERE job = :job;
SELECT jobs.export('SELECT oid FROM pg_class LIMIT 1', 'xlsx') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT filename FROM jobs.artifact WHERE job = :job;

-- Nothing in it is still a workbook.
SELECT jobs.export('SELECT 1 AS one WHERE false', 'xlsx') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT rows, bytes > 1000 AS has_bytes FROM jobs.artifact WHERE job = :job;
SELECT jobs.export('SELECT 1 AS one WHERE false', 'xlsx', options => '{"header": false}') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT rows, bytes > 1000 AS has_bytes FROM jobs.artifact WHERE job = :job;

-- Options.
SELECT jobs.export('SELECT 1', 'xlsx', options => '{"compression": "gzip"}');
SELECT jobs.export('SELECT 1', 'xlsx', options => '{"header": "yes"}');
SELECT jobs.export('SELECT 1', 'xlsx', options => '{"sheet": 1}');
SELECT jobs.export('SELECT 1', 'xlsx', options => '{"sheet": ""}');
SELECT jobs.export('SELECT 1', 'xlsx', options => '{"sheet": "a/b"}');
SELECT jobs.export('SELECT 1', 'xlsx', options => '{"sheet": "a[1]"}');
SELECT jobs.export('SELECT 1', 'xlsx', options => '{"sheet": "''a"}');
SELECT jobs.export('SELECT 1', 'xlsx', options => '{"sheet": "history"}');
SELECT jobs.export('SELECT 1', 'xlsx', options => '{"sheet": "a\nb"}');
SELECT jobs.export('SELECT 1', 'xlsx', options => jsonb_build_object('sheet', repeat('x', 32)));
SELECT jobs.export('SELECT 1', 'xlsx', options => jsonb_build_object('sheet', repeat(U&'\+01F600', 16)));
SELECT jobs.export('SELECT 1', 'xlsx', options => jsonb_build_object('sheet', repeat(U&'\+01F600', 15) || 'x')) AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT jobs.export('SELECT 1', 'XLSX');

-- What does not fit into a cell.  A character beyond the first 65536 counts twice, as Excel counts.
SELECT jobs.export($$SELECT i AS id, repeat('x', 32766 + i) AS long FROM generate_series(1, 3) i$$, 'xlsx') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT error_code, error_message, error_detail, error_hint FROM jobs.job WHERE id = :job \gx
SELECT jobs.export($$SELECT repeat(U&'\+01F600', 16384) AS "two ""words"""$$, 'xlsx') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT error_code, error_message, error_detail FROM jobs.job WHERE id = :job \gx
SELECT jobs.export($$SELECT repeat(U&'\+01F600', 16383) || 'x' AS just_fits$$, 'xlsx') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT jobs.export($$SELECT repeat('x', 10000000)::bytea AS bytes$$, 'xlsx') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT error_code, error_message, error_detail FROM jobs.job WHERE id = :job \gx

-- A file that would be too large, a query that fails on the way.
CREATE ROLE regress_jobs_small_files;
ALTER ROLE regress_jobs_small_files SET jobs.max_artifact_size = '1MB';
SET ROLE regress_jobs_small_files;
SELECT jobs.export('SELECT i, md5(i::text), sha512(i::text::bytea) FROM generate_series(1, 30000) i', 'xlsx') AS job \gset
SELECT jobs.wait(:job, '1 min');
RESET ROLE;
SELECT error_code, error_message FROM jobs.job WHERE id = :job;
SELECT count(*) FROM jobs.artifact WHERE job = :job;
SELECT jobs.export('SELECT 1 / (20000 - i) FROM generate_series(1, 30000) i', 'xlsx') AS job \gset
SELECT jobs.wait(:job, '1 min');
SELECT error_code, error_message FROM jobs.job WHERE id = :job;

-- Roles can be dropped once their jobs are.
SELECT count(jobs.delete(id)) FROM jobs.job WHERE owner IN ('regress_jobs_no_threads', 'regress_jobs_small_files');
DROP ROLE regress_jobs_no_threads;
DROP ROLE regress_jobs_small_files;
