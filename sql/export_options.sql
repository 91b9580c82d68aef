-- Options of a CSV export: those that COPY has not, and what is refused.

CREATE FUNCTION file_text(job bigint) RETURNS text LANGUAGE sql AS
    $$SELECT convert_from(string_agg(chunk, ''::bytea ORDER BY n), 'UTF8') FROM jobs.download(job) WITH ORDINALITY d (chunk, n)$$;
-- The file of an export, with its ends of lines made visible.
CREATE PROCEDURE test_export(query text, options jsonb, INOUT file text DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    job_id bigint := jobs.export(query, options => options);
BEGIN
    COMMIT;
    IF jobs.wait(job_id) <> 'succeeded' THEN
        SELECT error_code || ': ' || error_message INTO file FROM jobs.job WHERE id = job_id;
    ELSE
        file := replace(replace(file_text(job_id), E'\r', '<CR>'), U&'\FEFF', '<BOM>');
    END IF;
END $$;

-- A byte order mark, carriage returns.
CALL test_export('SELECT 1 AS a, ''ü'' AS b', '{"bom": true}');
CALL test_export('SELECT 1 AS a, ''ü'' AS b', '{"bom": true, "header": false}');
CALL test_export('SELECT 1 AS a WHERE false', '{"bom": true, "header": false}');
CALL test_export('SELECT 1 AS a', '{"bom": false, "crlf": false, "compression": "none"}');
CALL test_export('SELECT i, E''two\nlines'' AS b FROM generate_series(1, 2) i', '{"crlf": true}');
CALL test_export('SELECT i, NULL AS b FROM generate_series(1, 2) i', '{"crlf": true, "bom": true, "delimiter": ";", "force_quote": "*"}');

-- Cells that a spreadsheet would take for a formula, also in the header.
CALL test_export('SELECT * FROM (VALUES (''=1+1''), (''+1''), (''-1''), (''@SUM(A1)''), (E''\tx''), (E''\rx''), (''=HYPERLINK("http://x")''), ('' =1''),
    (''x=1''), (''''), (NULL), (''''''=1''), (E''\n=1'')) v (a)', '{"escape_formulas": true}');
CALL test_export('SELECT 1 AS "=a", 2 AS "@b", 3 AS c', '{"escape_formulas": true}');
CALL test_export('SELECT -1 AS a, -1.5 AS b, 1 AS c, ''-1''::text AS d, ''{=1}''::text[] AS e', '{"escape_formulas": true}');
-- Of every type whose text can begin with such a sign; numbers stay numbers.
CREATE TYPE test_sign AS ENUM ('=a', '-b');
CREATE DOMAIN test_signed AS text;
CREATE DOMAIN test_number AS int;
CALL test_export('SELECT ''-1.5''::money AS a, ''-1 day''::interval AS b, ''=x''::name AS c, ''@x''::varchar(9) AS d, ''+x''::char(3) AS e, ''=''::"char" AS f, ''=a''::test_sign AS g,
    ''=x''::test_signed AS h, ''"=x"''::json AS i, ''-1''::json AS j, ''-1''::jsonb AS k', '{"escape_formulas": true}');
CALL test_export('SELECT ''pg_catalog.=(int4,int4)''::regoperator AS a, ''-''::regclass AS b, ''=x''::xml AS c, ''(=1,)''::text AS d, row(''=1'') AS e, ''=a''::tsvector AS f', '{"escape_formulas": true}');
CALL test_export('SELECT ''-infinity''::date AS a, ''-infinity''::timestamp AS b, ''-infinity''::timestamptz AS c, ''-Infinity''::float8 AS d, ''-Infinity''::float4 AS e, ''-Infinity''::numeric AS f',
    '{"escape_formulas": true}');
CALL test_export('SELECT ''-1''::test_number AS a, -1::int2 AS b, -1::int8 AS c, -1.5::numeric AS d, -1e-7::float8 AS e, -0.5::float4 AS f, ''infinity''::date AS g, true AS h',
    '{"escape_formulas": true}');
CALL test_export('SELECT ''-infinity''::date AS a, -1 AS b', '{}');
DROP TYPE test_sign;
DROP DOMAIN test_signed, test_number;
CALL test_export('SELECT ''=1'' AS a, ''=2'' AS b', '{"escape_formulas": true, "force_quote": ["b"], "quote": "''"}');
CALL test_export('SELECT ''=1'' AS a', '{"escape_formulas": false}');

-- A file of gzip holds the same bytes.
SELECT current_setting('data_directory') || '/regress_jobs.csv.gz' AS path \gset
SELECT jobs.export('SELECT g, md5(g::text), repeat(''x'', g % 100) FROM generate_series(1, 50000) g', options => '{"compression": "gzip", "crlf": true}') AS packed \gset
SELECT jobs.export('SELECT g, md5(g::text), repeat(''x'', g % 100) FROM generate_series(1, 50000) g', options => '{"crlf": true}') AS plain \gset
SELECT jobs.wait(:packed), jobs.wait(:plain);
SELECT p.filename, p.media_type, p.bytes < u.bytes AS smaller, p.rows, u.filename, u.media_type FROM jobs.artifact p, jobs.artifact u WHERE p.job = :packed AND u.job = :plain;
SELECT jobs.download_lo(:packed) AS lo \gset
SELECT lo_export(:lo, :'path');
CREATE TEMP TABLE unpacked (sum text);
SELECT format($$COPY unpacked FROM PROGRAM 'gzip -dc < %s | sha256sum | cut -d " " -f 1'$$, :'path') AS command \gset
:command;
SELECT sum = sha256 AS same FROM unpacked, jobs.artifact WHERE job = :plain;
-- An empty one too; the same rows make the same file.
SELECT jobs.export('SELECT 1 AS a WHERE false', options => '{"compression": "gzip", "header": false}', filename => 'empty.gz') AS empty \gset
SELECT jobs.export('SELECT 1 AS a WHERE false', options => '{"compression": "gzip", "header": false}') AS empty2 \gset
SELECT jobs.wait(:empty), jobs.wait(:empty2);
SELECT filename, rows, bytes > 0 AS bytes, count(*) OVER (PARTITION BY sha256) AS same FROM jobs.artifact WHERE job IN (:empty, :empty2) ORDER BY job;
SELECT jobs.download_lo(:empty) AS lo2 \gset
SELECT lo_export(:lo2, :'path');
TRUNCATE unpacked;
:command;
SELECT sum = encode(sha256(''), 'hex') AS same FROM unpacked;
SELECT lo_unlink(:lo), lo_unlink(:lo2);

-- Names of files: the table's, or what was given.
CREATE TABLE "export Quarterly: A/B" (a int);
CREATE SCHEMA export_schema;
CREATE TABLE export_schema.orders (a int);
CREATE VIEW export_view AS SELECT * FROM export_schema.orders;
SELECT jobs.pause('export_held');
CREATE FUNCTION export_held(query text, filename text DEFAULT NULL, options jsonb DEFAULT '{}', title text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS
    $$SELECT jobs.export(query, filename => filename, options => options, title => title, queue => 'export_held')$$;
SELECT export_held('SELECT * FROM export_schema.orders') AS a \gset
SELECT export_held('TABLE "export Quarterly: A/B"') AS id \gset
SELECT export_held('SELECT o.a FROM export_schema.orders o JOIN export_schema.orders p USING (a)') AS id \gset
SELECT export_held('SELECT * FROM export_view') AS id \gset
SELECT export_held('SELECT * FROM export_view, export_schema.orders') AS id \gset
SELECT export_held('SELECT 1') AS id \gset
SELECT export_held('SELECT * FROM export_view', options => '{"compression": "gzip"}') AS id \gset
SELECT export_held('SELECT 1', 'Überblick 2026.csv') AS id \gset
SELECT export_held('SELECT 1', 'no extension') AS id \gset
SELECT export_held('SELECT 1', repeat('x', 255)) AS id \gset
SELECT export_held('SELECT 1', 'a.csv', title => 'Transactions') AS b \gset
SELECT left(title, 80) AS title, left(options ->> 'filename', 40) AS filename FROM jobs.job WHERE id BETWEEN :a AND :b ORDER BY id;
SELECT bool_and(jobs.cancel(id)) FROM jobs.job WHERE id BETWEEN :a AND :b;
SELECT jobs.resume('export_held');
SELECT jobs.export('SELECT 1', filename => '');
SELECT jobs.export('SELECT 1', filename => repeat('x', 256));
SELECT jobs.export('SELECT 1', filename => '.');
SELECT jobs.export('SELECT 1', filename => '..');
SELECT jobs.export('SELECT 1', filename => '../etc/passwd');
SELECT jobs.export('SELECT 1', filename => 'a\b.csv');
SELECT jobs.export('SELECT 1', filename => E'a\r\nSet-Cookie: x.csv');
SELECT jobs.export('SELECT 1', filename => E'a\x7f.csv');
SELECT jobs.export('SELECT 1', filename => U&'a\0085.csv');
SELECT jobs.export('SELECT 1', filename => U&'csv.\202Eexe');
SELECT jobs.export('SELECT 1', filename => U&'a\2066.csv');

-- Formats.
SELECT jobs.export('SELECT 1 AS a', format => 'jsonl') AS id \gset
SELECT jobs.wait(:id);
SELECT format, filename, media_type FROM jobs.artifact WHERE job = :id;
SELECT jobs.export('SELECT 1', format => 'jsonl', options => '{"header": true}');
SELECT jobs.export('SELECT 1', format => 'doc');
SELECT jobs.export('SELECT 1', format => 'CSV');
SELECT jobs.export('SELECT 1', format => '');
SELECT jobs.export('SELECT 1', format => NULL, options => NULL) AS id \gset
SELECT jobs.wait(:id);
SELECT format FROM jobs.artifact WHERE job = :id;

-- Options that there are not, and values that can't be.
SELECT jobs.export('SELECT 1', options => '[]');
SELECT jobs.export('SELECT 1', options => 'null');
SELECT jobs.export('SELECT 1', options => '"header"');
SELECT jobs.export('SELECT 1', options => '{"delimeter": ";"}');
SELECT jobs.export('SELECT 1', options => '{"Header": true}');
SELECT jobs.export('SELECT 1', options => '{"": true}');
SELECT jobs.export('SELECT 1', options => '{"header": "yes"}');
SELECT jobs.export('SELECT 1', options => '{"header": 1}');
SELECT jobs.export('SELECT 1', options => '{"header": null}');
SELECT jobs.export('SELECT 1', options => '{"bom": "true"}');
SELECT jobs.export('SELECT 1', options => '{"crlf": []}');
SELECT jobs.export('SELECT 1', options => '{"escape_formulas": {}}');
SELECT jobs.export('SELECT 1', options => '{"delimiter": ""}');
SELECT jobs.export('SELECT 1', options => '{"delimiter": "ab"}');
SELECT jobs.export('SELECT 1', options => '{"delimiter": "ü"}');
SELECT jobs.export('SELECT 1', options => '{"delimiter": 1}');
SELECT jobs.export('SELECT 1', options => '{"delimiter": "\n"}');
SELECT jobs.export('SELECT 1', options => '{"delimiter": "\r"}');
SELECT jobs.export('SELECT 1', options => '{"delimiter": "\""}');
SELECT jobs.export('SELECT 1', options => '{"quote": ""}');
SELECT jobs.export('SELECT 1', options => '{"quote": ","}');
SELECT jobs.export('SELECT 1', options => '{"quote": "ab"}');
SELECT jobs.export('SELECT 1', options => '{"escape": "ab"}');
SELECT jobs.export('SELECT 1', options => '{"escape": ""}');
SELECT jobs.export('SELECT 1', options => '{"null": 0}');
SELECT jobs.export('SELECT 1', options => '{"null": "a\nb"}');
SELECT jobs.export('SELECT 1', options => '{"null": "a,b"}');
SELECT jobs.export('SELECT 1', options => '{"null": "a\"b"}');
SELECT jobs.export('SELECT 1', options => '{"force_quote": "a"}');
SELECT jobs.export('SELECT 1', options => '{"force_quote": true}');
SELECT jobs.export('SELECT 1', options => '{"force_quote": [1]}');
SELECT jobs.export('SELECT 1 AS a', options => '{"force_quote": ["b"]}');
SELECT jobs.export('SELECT 1 AS a', options => '{"force_quote": ["a", "a"]}');
SELECT jobs.export('SELECT 1', options => '{"encoding": "klingon"}');
SELECT jobs.export('SELECT 1', options => '{"encoding": 8}');
SELECT jobs.export('SELECT 1', options => '{"encoding": "MULE_INTERNAL"}');
SELECT jobs.export('SELECT 1', options => '{"encoding": "LATIN1", "bom": true}');
SELECT jobs.export('SELECT 1', options => '{"compression": "zip"}');
SELECT jobs.export('SELECT 1', options => '{"compression": true}');
SELECT jobs.export('SELECT 1', options => '{"compression": null}');

-- Text that the encoding of the file does not have: the export fails and leaves nothing.
CALL test_export('SELECT ''漢字''', '{"encoding": "LATIN1"}');
CALL test_export('SELECT 1 AS "漢字"', '{"encoding": "LATIN1"}');
SELECT count(*) FROM jobs.artifact a JOIN jobs.job j ON j.id = a.job WHERE j.state <> 'succeeded';

DROP TABLE "export Quarterly: A/B";
DROP VIEW export_view;
DROP TABLE export_schema.orders;
DROP SCHEMA export_schema;
DROP FUNCTION export_held;
DROP PROCEDURE test_export;
DROP FUNCTION file_text;
