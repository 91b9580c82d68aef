-- Exports as PDF: options, limits, and what becomes of errors.  What is on the
-- pages is in test/t/040_pdf.pl.

SELECT current_user AS admin \gset
CREATE ROLE regress_jobs_alice LOGIN;
CREATE TABLE pdf_data AS SELECT i AS id, 'Customer ' || i AS name, i * 1.25 AS amount FROM generate_series(1, 30) i;
CREATE VIEW pdf_view AS SELECT * FROM pdf_data;
GRANT SELECT ON pdf_data, pdf_view TO regress_jobs_alice;
CREATE FUNCTION pdf(query text, options jsonb = '{}') RETURNS bigint LANGUAGE sql
AS $$ SELECT jobs.export(query, 'pdf', 'report.pdf', options, title => 'Report') $$;
\c - regress_jobs_alice

-- A file.
SELECT jobs.export('SELECT * FROM pdf_data', 'pdf') AS id \gset
SELECT jobs.wait(:id);
SELECT j.title, j.state, j.processed, j.total, a.filename, a.format, a.media_type, a.rows, a.bytes > 5000 AS bytes
  FROM jobs.job j JOIN jobs.artifact a ON a.job = j.id WHERE j.id = :id;
SELECT substr(file, 1, 5) = '%PDF-' AS pdf, position('%%EOF'::bytea IN file) > 0 AS whole, octet_length(file) = a.bytes AS length,
       encode(sha256(file), 'hex') = a.sha256 AS sha256
  FROM jobs.artifact a, (SELECT string_agg(chunk, '' ORDER BY n) AS file FROM jobs.download(:id) WITH ORDINALITY AS d (chunk, n)) f
 WHERE a.job = :id;
SELECT split_part(headline, ' · ', 1) AS rows, split_part(headline, ' · ', 3) AS format FROM jobs.panel WHERE id = :id;

-- Every option, in any case.
SELECT pdf('SELECT * FROM pdf_view', '{"paper": "A4", "orientation": "portrait", "title": "A title", "header": true}') AS id \gset
SELECT jobs.wait(:id);
SELECT error_message FROM jobs.job WHERE id = :id;
SELECT pdf('SELECT * FROM pdf_view', '{"paper": "letter", "orientation": "LANDSCAPE", "title": "", "header": false}') AS id \gset
SELECT jobs.wait(:id);
SELECT error_message FROM jobs.job WHERE id = :id;
SELECT pdf('TABLE pdf_view', '{"paper": "a4", "orientation": "auto"}') AS id \gset
SELECT jobs.wait(:id);
SELECT error_message FROM jobs.job WHERE id = :id;

-- No rows, nothing but nulls, empty text, and an array, a composite, a domain.
SELECT pdf('SELECT * FROM pdf_data WHERE false') AS id \gset
SELECT jobs.wait(:id);
SELECT processed, error_message FROM jobs.job WHERE id = :id;
SELECT pdf('SELECT NULL::int AS a, NULL AS b, '''' AS c FROM generate_series(1, 3)') AS id \gset
SELECT jobs.wait(:id);
SELECT processed, error_message FROM jobs.job WHERE id = :id;
SELECT pdf($$SELECT ARRAY[1, 2], ROW(1, 'x'), 'information'::information_schema.sql_identifier, '{"a": [1]}'::jsonb,
                          'infinity'::date, 'NaN'::float8, '\x00ff'::bytea, true, '1 day'::interval, 9.99::money$$) AS id \gset
SELECT jobs.wait(:id);
SELECT processed, error_message FROM jobs.job WHERE id = :id;

-- Wrong options.
SELECT test_error(format('SELECT jobs.export(''SELECT 1'', ''pdf'', options => %L)', options)) AS error
  FROM unnest(ARRAY['[]', '{"size": 9}', '{"paper": "A3"}', '{"paper": 4}', '{"orientation": "diagonal"}', '{"orientation": null}',
                    '{"title": 1}', '{"header": "yes"}', '{"header": 1}', '{"compression": "gzip"}', '{"delimiter": ";"}']) options;
SELECT test_error(format('SELECT jobs.export(''SELECT 1'', ''pdf'', options => %L)', jsonb_build_object('title', repeat('x', 501))));
SELECT test_error('SELECT jobs.export(''SELECT FROM pdf_data'', ''pdf'')');

-- The query's own errors, before the first row and in the middle.
SELECT test_error('SELECT jobs.export(''SELECT * FROM pdf_nothing'', ''pdf'')');
SELECT pdf('SELECT 1 / (20 - id) FROM pdf_data') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;
SELECT count(*) FROM jobs.artifact WHERE job = :id;

-- The limit of rows is an administrator's.
SHOW jobs.pdf_max_rows;
SET jobs.pdf_max_rows = 10;
\c - :admin
ALTER ROLE regress_jobs_alice SET jobs.pdf_max_rows = 29;
\c - regress_jobs_alice
SELECT pdf('SELECT * FROM pdf_data WHERE id < 30') AS id \gset
SELECT jobs.wait(:id);
SELECT processed, error_message FROM jobs.job WHERE id = :id;
SELECT pdf('SELECT * FROM pdf_data') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message, error_hint FROM jobs.job WHERE id = :id;
SELECT count(*) FROM jobs.artifact WHERE job = :id;

-- The same where the rows are counted beforehand.
SELECT pdf('SELECT * FROM generate_series(1, 5000) i') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;

-- A file that is too large fails while it is drawn.
\c - :admin
ALTER ROLE regress_jobs_alice SET jobs.max_artifact_size = '1MB';
ALTER ROLE regress_jobs_alice RESET jobs.pdf_max_rows;
\c - regress_jobs_alice
SELECT pdf('SELECT i, md5(i::text), md5((-i)::text), md5((2 * i)::text) FROM generate_series(1, 20000) i') AS id \gset
SELECT jobs.wait(:id);
SELECT error_code, error_message FROM jobs.job WHERE id = :id;
SELECT count(*) FROM jobs.artifact WHERE job = :id;
-- The worker is as good as before.
SELECT pdf('SELECT * FROM pdf_data') AS id \gset
SELECT jobs.wait(:id);
SELECT processed, error_message FROM jobs.job WHERE id = :id;

-- Cancelled in the middle of it.
SELECT pdf('SELECT i, pg_sleep(0.01) FROM generate_series(1, 100000) i') AS id \gset
SELECT test_poll(format('processed > 3 FROM jobs.progress WHERE id = %s', :id));
SELECT jobs.cancel(:id);
SELECT jobs.wait(:id);

\c - :admin
SELECT count(*) > 10 AS deleted FROM (SELECT jobs.delete(id) FROM jobs.job WHERE owner = 'regress_jobs_alice') d;
DROP OWNED BY regress_jobs_alice;
DROP FUNCTION pdf;
DROP VIEW pdf_view;
DROP TABLE pdf_data;
DROP ROLE regress_jobs_alice;
