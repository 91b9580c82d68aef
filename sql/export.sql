-- Exports to CSV: byte for byte what COPY writes.

CREATE TABLE export_case (n serial, query text, options jsonb, copy_options text, state text, rows bigint, bytes bigint,
    media_type text, same boolean);

-- Runs all cases that have not been run, and compares each file with COPY's.
CREATE PROCEDURE export_cases() LANGUAGE plpgsql AS $$
DECLARE
    c export_case;
    job_id bigint;
    path text := current_setting('data_directory') || '/regress_jobs_export.csv';
    copied bytea;
BEGIN
    FOR c IN SELECT * FROM export_case WHERE state IS NULL ORDER BY n LOOP
        job_id := jobs.export(c.query, options => coalesce(c.options, '{}'));
        COMMIT;
        c.state := jobs.wait(job_id);
        COMMIT;
        EXECUTE format(E'COPY (%s\n) TO %L WITH (FORMAT csv, HEADER %s %s)', rtrim(c.query, '; '), path,
                       coalesce(c.options ->> 'header', 'true'), coalesce(', ' || c.copy_options, ''));
        copied := pg_read_binary_file(path);
        UPDATE export_case e
           SET state = c.state, rows = a.rows, bytes = a.bytes, media_type = a.media_type,
               same = a.bytes = length(copied) AND a.sha256 = encode(sha256(copied), 'hex') AND
                      copied = (SELECT string_agg(chunk, ''::bytea ORDER BY i) FROM jobs.download(job_id) WITH ORDINALITY d (chunk, i))
          FROM jobs.artifact a WHERE e.n = c.n AND a.job = job_id;
        UPDATE export_case e SET state = c.state || coalesce(': ' || j.error_message, '') FROM jobs.job j WHERE j.id = job_id AND e.n = c.n;
        COMMIT;
    END LOOP;
END $$;

-- Types, each with values that are awkward in CSV.
CREATE TYPE export_enum AS ENUM ('plain', 'with "quotes"', 'with, comma', '');
CREATE TYPE export_composite AS (a int, b text, c export_enum);
CREATE DOMAIN export_domain AS text CHECK (length(value) < 100);
CREATE TABLE export_types (
    int2 int2, int4 int4, int8 int8, numeric numeric, float4 float4, float8 float8, money money, bool bool, text text, varchar varchar(20),
    bpchar char(10), name name, char "char", bytea bytea, date date, time time, timetz timetz, timestamp timestamp, timestamptz timestamptz,
    interval interval, uuid uuid, json json, jsonb jsonb, xml text, inet inet, cidr cidr, macaddr macaddr, bit bit(5), varbit varbit,
    point point, box box, path path, circle circle, int4range int4range, tstzrange tstzrange, multirange int4multirange,
    ints int[], texts text[], nested int[][], tsvector tsvector, tsquery tsquery, oid oid, regclass regclass, enum export_enum,
    composite export_composite, domain export_domain);
INSERT INTO export_types DEFAULT VALUES;
INSERT INTO export_types VALUES (
    -32768, -2147483648, -9223372036854775808, 'NaN', '-Infinity', 'NaN', '-1234.56', true, '', '', '', '', '', '', '-infinity', '00:00', '00:00+00',
    'infinity', '-infinity', '0', '00000000-0000-0000-0000-000000000000', '{}', '{}', '<a b="c,d"/>', '0.0.0.0/0', '0.0.0.0/0',
    '00:00:00:00:00:00', B'00000', B'', '(0,0)', '((0,0),(1,1))', '[(0,0)]', '<(0,0),0>', 'empty', 'empty', '{}', '{}', '{}', '{}', '', '', 0, 0, '',
    ROW(NULL, NULL, NULL), '');
INSERT INTO export_types VALUES (
    32767, 2147483647, 9223372036854775807, '123456789012345678901234567890.123456789', 1e-37, 1.7976931348623157e308, '92233720368547758.07', false,
    E'a,b "c"\r\nd\\e\tf', ' lead', 'trail', 'NULL', '"', '\x00ff22', '4713-01-01 BC', '24:00', '23:59:59.999999-15:59', '294276-12-31 23:59:59.999999',
    '2026-03-29 01:30 Europe/Berlin', '-1 year 2 days -03:04:05.678', 'ffffffff-ffff-ffff-ffff-ffffffffffff', E'{"a": "b,\\"c\\"",\n "d": 1}',
    '{"a": [1, 2, {"b": null}], "ü": "\""}', E'line\nbreak', '::ffff:1.2.3.4/64', '2001:db8::/32', 'ff:ff:ff:ff:ff:ff', B'10101', B'1', '(1.5,-2)',
    '((3,4),(1,2))', '((0,0),(1,1),(2,0))', '<(1,2),3>', '[1,10)', '["2026-01-01 00:00+00",)', '{[1,3),[5,7)}', '{1,NULL,3}',
    ARRAY['a,b', 'c"d', '', NULL, 'NULL', E'e\nf'], '{{1,2},{3,4}}', 'a:1 fat:2,4', 'fat & (rat | cat)', 4294967295, 'pg_class', 'with "quotes"',
    ROW(1, 'x,"y"', 'with, comma'), 'ünïcödé 漢字 🎉');
INSERT INTO export_case (query) VALUES
    ('SELECT * FROM export_types'),
    ('TABLE export_types ORDER BY int4 NULLS FIRST'),
    ('SELECT t, t.composite FROM export_types t'),
    ('SELECT * FROM pg_class ORDER BY oid'),
    ('SELECT * FROM pg_type ORDER BY oid'),
    ('SELECT g, g::int2, g::int8, -g, g::text, g::numeric / 7 FROM generate_series(1, 10000) g');
-- Queries of every form.
INSERT INTO export_case (query) VALUES
    ('VALUES (1, ''a''), (2, NULL), (3, '''')'),
    ('WITH x AS (SELECT 1 AS a UNION ALL SELECT 2) SELECT * FROM x'),
    ('WITH RECURSIVE x (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x WHERE i < 50) SELECT i, repeat(''x'', i) FROM x'),
    ('SELECT 1 AS a UNION SELECT 2 ORDER BY 1 DESC'),
    ('(SELECT 1 AS a) INTERSECT (SELECT 1)'),
    ('SELECT count(*), sum(int4) FROM export_types'),
    ('SELECT relkind, count(*) FROM pg_class WHERE relnamespace = ''pg_catalog''::regnamespace GROUP BY ROLLUP (relkind) ORDER BY 1'),
    ('SELECT row_number() OVER () FROM generate_series(1, 3)'),
    ('SELECT unnest(ARRAY[1, 2]), unnest(ARRAY[''a'', ''b'', ''c''])'),
    ('SELECT a.i, b.j FROM generate_series(1, 3) a (i) LEFT JOIN generate_series(2, 4) b (j) ON i = j'),
    ('SELECT ''constant'', NULL, 1.5, ''unknown'''),
    ('SELECT * FROM generate_series(1, 5) LIMIT 2 OFFSET 2'),
    ('SELECT 1; '),
    (E'SELECT 1 -- comment\n');
-- Names of columns: twice the same, awkward, none of its own.
INSERT INTO export_case (query) VALUES
    ('SELECT 1 AS a, 2 AS a, 3 AS a'),
    ('SELECT 1, 2, true, now() IS NULL'),
    ('SELECT 1 AS "with, comma", 2 AS "with ""quotes""", 3 AS "with
newline", 5 AS " ", 6 AS "ünïcödé", 7 AS "\."'),
    ('SELECT 1 AS "\."'),
    ('SELECT ' || (SELECT string_agg(i || ' AS column_' || i, ', ') FROM generate_series(1, 1600) i));
-- Results that are empty, or a single awkward field.
INSERT INTO export_case (query, options) VALUES
    ('SELECT * FROM export_types WHERE false', '{}'),
    ('SELECT * FROM export_types WHERE false', '{"header": false}'),
    ('SELECT 1 WHERE false', '{"header": false}'),
    ('SELECT NULL', '{}'), ('SELECT NULL', '{"header": false}'), ('SELECT ''''', '{"header": false}'),
    ('SELECT ''\.''', '{"header": false}'), ('SELECT ''\.'', 1', '{"header": false}'), ('SELECT ''\.x''', '{}'), ('SELECT E''\r''', '{}'),
    ('SELECT E''\n''', '{}'), ('SELECT '' ''', '{}'), ('SELECT ''"''', '{}'), ('SELECT '',''', '{}');
-- Every option of COPY.
INSERT INTO export_case (query, options, copy_options) VALUES
    ('SELECT * FROM export_types', '{"delimiter": ";"}', 'DELIMITER '';'''),
    ('SELECT * FROM export_types', '{"delimiter": "\t"}', 'DELIMITER E''\t'''),
    ('SELECT * FROM export_types', '{"delimiter": "1"}', 'DELIMITER ''1'''),
    ('SELECT * FROM export_types', '{"delimiter": "-"}', 'DELIMITER ''-'''),
    ('SELECT * FROM export_types', '{"delimiter": " "}', 'DELIMITER '' '''),
    ('SELECT * FROM export_types', '{"header": false}', NULL),
    ('SELECT * FROM export_types', '{"header": true}', NULL),
    ('SELECT * FROM export_types', '{"null": "NULL"}', 'NULL ''NULL'''),
    ('SELECT * FROM export_types', '{"null": "\\N"}', 'NULL ''\N'''),
    ('SELECT * FROM export_types', '{"null": "0"}', 'NULL ''0'''),
    ('SELECT i, i::text, i::int8 FROM generate_series(-3, 3) i', '{"null": "-1"}', 'NULL ''-1'''),
    ('SELECT * FROM export_types', '{"null": "ü"}', 'NULL ''ü'''),
    ('SELECT * FROM export_types', '{"quote": "''"}', 'QUOTE '''''''''),
    ('SELECT * FROM export_types', '{"quote": "a"}', 'QUOTE ''a'''),
    ('SELECT * FROM export_types', '{"escape": "\\"}', 'ESCAPE ''\'''),
    ('SELECT * FROM export_types', '{"quote": "$", "escape": "a"}', 'QUOTE ''$'', ESCAPE ''a'''),
    ('SELECT * FROM export_types', '{"force_quote": "*"}', 'FORCE_QUOTE *'),
    ('SELECT * FROM export_types', '{"force_quote": ["int4", "text", "timestamptz"]}', 'FORCE_QUOTE (int4, text, timestamptz)'),
    ('SELECT 1 AS a, 2 AS a', '{"force_quote": ["a"]}', 'FORCE_QUOTE (a)'),
    ('SELECT * FROM export_types', '{"force_quote": []}', NULL),
    ('SELECT * FROM export_types', '{"delimiter": "|", "quote": "!", "escape": "!", "null": "-", "force_quote": ["text"], "header": false}',
        'DELIMITER ''|'', QUOTE ''!'', ESCAPE ''!'', NULL ''-'', FORCE_QUOTE (text)'),
    ('SELECT text, name, varchar FROM export_types', '{"encoding": "UTF8"}', 'ENCODING ''UTF8'''),
    ('SELECT text, name, ''äöüß€'' AS "grüße" FROM export_types', '{"encoding": "LATIN9"}', 'ENCODING ''LATIN9'''),
    ('SELECT text, ''äöüß€“”'' AS a FROM export_types', '{"encoding": "WIN1252"}', 'ENCODING ''WIN1252'''),
    ('SELECT text, ''漢字 表示 ソース'' AS a FROM export_types', '{"encoding": "SJIS", "null": "ソ"}', 'ENCODING ''SJIS'', NULL ''ソ'''),
    ('SELECT ''ソ,"ソ\能'', ''"'' || ''表"\'', ''ソ|ソ''', '{"encoding": "SJIS", "escape": "\\", "delimiter": "|"}', 'ENCODING ''SJIS'', ESCAPE ''\'', DELIMITER ''|'''),
    ('SELECT text, ''漢字'' AS a FROM export_types', '{"encoding": "GBK"}', 'ENCODING ''GBK'''),
    ('SELECT text, ''漢字'' AS a FROM export_types', '{"encoding": "GB18030"}', 'ENCODING ''GB18030'''),
    ('SELECT text, ''漢字'' AS a FROM export_types', '{"encoding": "BIG5", "delimiter": "@"}', 'ENCODING ''BIG5'', DELIMITER ''@'''),
    ('SELECT text, ''漢字'' AS a FROM export_types', '{"encoding": "EUC_JP"}', 'ENCODING ''EUC_JP'''),
    ('SELECT text, ''ünïcödé'' AS a FROM export_types', '{"encoding": "SQL_ASCII"}', 'ENCODING ''SQL_ASCII''');
-- Much of everything.
INSERT INTO export_case (query, options, copy_options) VALUES
    ('SELECT repeat(''a"b'', 2000000) AS a, repeat(''x'', 3000000) AS b, g FROM generate_series(1, 3) g', '{}', NULL),
    ('SELECT repeat(E''\n'', 65535), repeat(''x'', 65536), repeat('','', 65537)', '{"escape": "\\"}', 'ESCAPE ''\'''),
    ('SELECT repeat(''ü'', 2000000) AS a', '{"encoding": "LATIN1"}', 'ENCODING ''LATIN1'''),
    ('SELECT g, md5(g::text), repeat(''y'', g % 200) FROM generate_series(1, 100000) g', '{}', NULL);
CALL export_cases();
SELECT n, left(query, 60) AS query, options, state, rows, media_type, same FROM export_case WHERE same IS NOT TRUE OR state <> 'succeeded' ORDER BY n;
SELECT count(*), count(DISTINCT media_type), sum(rows) > 100000 AS rows, sum(bytes) > 20000000 AS bytes FROM export_case WHERE same;
SELECT DISTINCT options ->> 'encoding' AS encoding, media_type FROM export_case WHERE options ? 'encoding' ORDER BY 1;

DROP PROCEDURE export_cases();
DROP TABLE export_case, export_types;
DROP TYPE export_composite, export_enum;
DROP DOMAIN export_domain;
