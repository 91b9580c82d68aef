-- jobs.sniff, jobs.create_table_for, jobs.import_template; files of many kinds are in test/t/072_corpus.pl.

CREATE FUNCTION refused(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    EXECUTE query;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN format(E'%s: %s\n%s', SQLSTATE, SQLERRM, hint);
END $$;
CREATE FUNCTION types(content text, options jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS
    $$SELECT string_agg(format('%s %s%s', c ->> 'column', c ->> 'type', CASE WHEN (c -> 'nullable')::boolean THEN ' null' END), ', ' ORDER BY n)
      FROM jobs.sniff(content, options), jsonb_array_elements(columns) WITH ORDINALITY e (c, n)$$;

-- All of it, of bytes, text and an upload.
SELECT jsonb_pretty(dialect) AS dialect, columns, first_rows FROM jobs.sniff(E'Name,E-mail,Born\nAl,al@example.com,1999-12-31\n"Bo ""B"" Li",,2000-01-01\n'::bytea);
SELECT dialect - 'columns' AS dialect, first_rows FROM jobs.sniff(E'Name;Price\r\n"Caf\u00e9";1,5\r\nTea;2,25\r\n');
SELECT jobs.upload('contacts.csv') AS upload \gset
SELECT jobs.upload_append(:upload, E'id|day|at|ok\n1|31.12.2023|2024-01-01 10:00|yes\n');
SELECT jobs.upload_append(:upload, E'2|01.02.2024|2024-01-01 10:00:00.5|no\n');
SELECT dialect ->> 'delimiter' AS delimiter, dialect ->> 'date_order' AS date_order, first_rows FROM jobs.sniff(:upload);
-- What was found can be said of the next file.
SELECT s.dialect = again.dialect AS same FROM jobs.sniff(E'x;y\n1,5;a\n2,5;b\n') s, jobs.sniff(E'x;y\n1,5;a\n2,5;b\n', s.dialect) again;
-- A value that is long is shown in part, a file with much in it too.
SELECT length(first_rows -> 0 ->> 0) AS shown, length(columns -> 0 ->> 'example') AS example FROM jobs.sniff(E'a\n' || repeat('x', 5000) || E'\n');
SELECT jsonb_array_length(first_rows) FROM jobs.sniff(E'a\n' || repeat(E'x\n', 5000));
-- Without rows, and rows that are broken.
SELECT columns, first_rows FROM jobs.sniff(E'a,b\n');
SELECT first_rows FROM jobs.sniff(E'a,b\n1,2\n3\n4,5,6\n');

-- Types.
SELECT types(E'a,b,c,d,e\n1,2147483648,1.5,12345678901234567890,1e3\n2,-9,2,1,1.5e3\n');
SELECT types(E'a,b,c,d\n2024-01-31,2024-01-31 10:00,2024-01-31T10:00:00Z,10:00\n1999-12-31,2024-01-31,2024-01-31 10:00:00+02,11:00\n');
SELECT types(E'a,b,c,d,e\ntrue,yes,t,NO,on\nFALSE,no,f,NO,off\n');
SELECT types(E'a|b|c\n6f9619ff-8b86-d011-b42d-00c04fc964ff|{"a": [1, null]}|[1]\n6F9619FF-8B86-D011-B42D-00C04FC964FF|{}|[1\n');
SELECT types(E'json\n"{""a"": ""\\u00e9""}"\n'), types(E'json\n"{""a"": ""\\u0000""}"\n'), types(E'json\n"{""a"": ""\\ud83d\\ude00""}"\n'),
    types(E'json\n"{""a"": ""\\ud83d""}"\n'), types('json' || E'\n' || repeat('[', 100000) || repeat(']', 100000) || E'\n');
-- What is not for reckoning, and what an input function would refuse.
SELECT types(E'article,phone,zip,PLZ,version,account\n0815,491511234567,10115,10115,1.2.3,+49\n4711,491511234568,10117,10117,1.2,+50\n');
SELECT types(E'a,b,c,d,e\n1,2024-01-01,x,12%,$5\nn/a,2024-02-30,,13%,$6\n');
SELECT types(E'a;b;c\n1.234,5;1,5;x\n2.345,25;2,5;y\n'), types(E'a;b\n1,234;"1,234.5"\n2,345;"2,345.5"\n');
SELECT types(E'a,b\n1,\n,\n'), types(E'a,b\n"1",""\n"","x"\n');
-- Dates of one order, of both, of an order that is said.
SELECT types(E'd\n31/12/2024\n01/02/2024\n'), types(E'd\n12/31/2024\n01/02/2024\n'), types(E'd\n31/12/2024\n12/31/2024\n'),
    types(E'd\n01/02/2024\n'), types(E'd\n31/12/2024\n', '{"date_order": "MDY"}');

-- Options.
SELECT dialect - '{bom,gzip,newline,ascii}'::text[] AS dialect FROM jobs.sniff(E'x\n# c\na~b\n1~''2\\''3''\n', '{"delimiter": "~", "quote": "''", "escape": "\\", "encoding": "latin1", "header": true, "skip_lines": 1,
    "null": "-", "comment": "#", "trim": true, "ragged": "pad", "decimal": ",", "date_order": "dmy", "mapping": {"others": "are passed over"}}');
SELECT dialect -> 'columns' AS columns, dialect -> 'header_rows' AS header_rows, first_rows FROM jobs.sniff(E'Q1,,Q2,\nsum,n,sum,n\n1,2,3,4\n', '{"header_rows": 2}');
SELECT dialect -> 'columns' AS columns, first_rows FROM jobs.sniff(E'a,b\n1,2\n', '{"header_rows": 0}');
SELECT dialect ->> 'delimiter' = E'\t' AS tab FROM jobs.sniff('a', '{"delimiter": "\\t"}') UNION ALL SELECT dialect ->> 'delimiter' = E'\t' FROM jobs.sniff('a', '{"delimiter": "tab"}');
SELECT dialect ->> 'quote' AS quote, dialect ? 'escape' AS has_escape, first_rows FROM jobs.sniff(E'a,b\n"1,2\n', '{"quote": ""}');
SELECT dialect ->> 'escape' AS escape, first_rows FROM jobs.sniff(E'a|b\n1\\|2|"3\n', '{"quote": "", "escape": "\\"}');
SELECT options, refused(format('SELECT jobs.sniff(%L, %L)', 'a,b', options)) FROM (VALUES ('[]'), ('1'), ('{"delimiter": ""}'), ('{"delimiter": ",,"}'), ('{"delimiter": "ü"}'), ('{"delimiter": "\n"}'), ('{"delimiter": 1}'),
    ('{"delimiter": "\""}'), ('{"delimiter": "''", "quote": "''"}'), ('{"quote": "ab"}'), ('{"escape": ""}'), ('{"escape": ",", "delimiter": ","}'),
    ('{"encoding": "EBCDIC"}'), ('{"encoding": 8}'), ('{"header": "yes"}'), ('{"skip_lines": -1}'), ('{"skip_lines": 1.5}'), ('{"skip_lines": "1"}'), ('{"skip_lines": 1e20}'), ('{"header_rows": 101}'),
    ('{"header": false, "header_rows": 1}'), ('{"null": 0}'), ('{"null": "a\nb"}'), ('{"comment": "//"}'), ('{"comment": ",", "delimiter": ","}'), ('{"trim": 1}'), ('{"ragged": "skip"}'), ('{"decimal": ";"}'),
    ('{"date_order": "DYM"}')) v (options);
SELECT refused('SELECT jobs.sniff(NULL::bytea)'), refused('SELECT jobs.sniff(NULL::text)'), refused('SELECT jobs.sniff(NULL::bigint)'), refused('SELECT jobs.sniff(0::bigint)');
SELECT dialect ->> 'delimiter' AS delimiter FROM jobs.sniff('a;b', NULL);

-- What is no text.
\set nested '\\x1f8b080000000000020393efe66000012666ef2b9e8f8cae183e6262a8669fce0512050050c9d0be1c000000'
SELECT name, refused(format('SELECT jobs.sniff(%L::bytea)', data)) FROM (VALUES
    ('empty', ''::bytea), ('blank lines', '\x0a0a'), ('a mark only', '\xefbbbf'), ('xlsx', '\x504b0304'::bytea || repeat('\000', 26)::bytea || 'xl/workbook.xml'::bytea), ('ods', '\x504b0304'::bytea || 'mimetypeapplication/vnd.oasis.opendocument.spreadsheet'::bytea),
    ('zip', '\x504b0304'::bytea || 'data.csv'::bytea), ('xls', '\xd0cf11e0a1b11ae1'), ('PDF', '%PDF-1.7'), ('PNG', '\x89504e470d0a1a0a'), ('JPEG', '\xffd8ffe0'), ('parquet', '\x5041523100000000'), ('HTML', '\x0a'::bytea || '<!DOCTYPE html>'::bytea),
    ('XML', '<?xml version="1.0"?>'), ('binary', decode(repeat('00ff1042', 100), 'hex')), ('UTF-32', '\xfffe0000610000002c000000'), ('gzip in gzip', :'nested'::bytea),
    ('cut gzip', substr(:'nested'::bytea, 1, 30))) v (name, data);

SELECT name, refused(format('SELECT jobs.sniff(%L::bytea)', data)) FROM (VALUES
    ('docx', '\x504b0304'::bytea || 'word/document.xml'::bytea), ('numbers', '\x504b0304'::bytea || 'Index/Document.iwa'::bytea),
    ('large zip', '\x504b0304'::bytea || convert_to(repeat('data', 20000) || 'word/', 'UTF8')), ('bzip2', '\x425a6839314159265359'::bytea),
    ('begins like bzip2', 'BZh,b'::bytea), ('begins like parquet', 'PAR1,b'::bytea)) v (name, data);

-- gzip: files one after the other, zeros behind the end, and what is damaged.
SELECT jobs.export('SELECT i AS a, i AS b FROM generate_series(1, 3) i', options => '{"compression": "gzip"}') AS gzip \gset
SELECT jobs.wait(:gzip);
SELECT string_agg(c, '') AS gzip FROM jobs.download(:gzip) c \gset
SELECT first_rows FROM jobs.sniff(:'gzip'::bytea || :'gzip'::bytea || '\x0000'::bytea);
SELECT refused(format('SELECT jobs.sniff(%L::bytea)', data)) FROM (VALUES (:'gzip'::bytea || '\x00ff'), (:'gzip'::bytea || 'x'),
    (overlay(:'gzip'::bytea PLACING '\xffffffffffff' FROM 11))) v (data);

-- Escapes outside of quotes and within, quotes with something around them, a halved character at the end of UTF-16.
SELECT first_rows FROM jobs.sniff(E'a|b\n1\\n2\\t3\\r4|x\\|y\n5\\\n6|z\\\\\n7\\q|\\N\n8|\\', '{"quote": "", "escape": "\\", "delimiter": "|"}');
SELECT first_rows FROM jobs.sniff(E'a,b\n"x\\"y\\\\z",""\n"p\\q",1\n  "r" , "s"\n', '{"escape": "\\", "header": true}');
SELECT first_rows FROM jobs.sniff(E'a,b\n"x"y,1\n"a""b" c,2\n"open\n3,d\n4,"e"\n', '{"header": true, "delimiter": ",", "quote": "\""}');
SELECT dialect ->> 'encoding' AS encoding, first_rows FROM jobs.sniff('\xfeff0061002c0062000ad83dde00002c4e2d000ad8000078002c0031000adc00002c0032000a0033002cd83d'::bytea);
SELECT dialect ->> 'encoding' AS encoding, first_rows FROM jobs.sniff('\xfffe61002c0062000a0033002c0034000a00ff'::bytea);
SELECT dialect ->> 'encoding' AS encoding, dialect -> 'columns' AS columns FROM jobs.sniff('\x612c62e40a312c320a'::bytea, '{"encoding": "UTF8"}');

-- Names of columns: in lower case, with underscores; all different, none empty, none a system column's.
SELECT types(E'Full Name,order,Preis (\u20ac),,ctid,a\tb\n1,2,3,4,5,6\n');
SELECT types(E'a,a,a_2,A,"b c",b_c\n1,2,3,4,5,6\n'), types(repeat('x', 70) || ',' || repeat('x', 80) || ',' || repeat('x', 70) || E'\n1,2,3\n');

-- The table for a file.
SELECT jobs.create_table_for(:upload, 'sniffed');
SELECT jobs.create_table_for(:upload, 'sniffed') AS statement \gset
:statement
\d sniffed
SELECT jobs.create_table_for(:upload, 'Some.Table'), jobs.create_table_for(:upload, '"Some"."Tab le"');
SELECT jobs.upload() AS wide \gset
SELECT jobs.upload_append(:wide, convert_to(string_agg('c' || g, ',') || E'\n' || string_agg('1', ','), 'UTF8')) FROM generate_series(1, 1601) g;
-- Delimiters at the ends of lines make no columns; neither does a value far below, in a column of numbers, make an integer of itself.
SELECT jobs.upload() AS odd \gset
SELECT jobs.upload_append(:odd, convert_to(E'Id,Id,order\n' || repeat(E'1,2,3,\n', 300000) || E'1,2,x,\n', 'UTF8'));
SELECT jobs.create_table_for(:odd, 'odd'), columns -> 2 ->> 'type' AS guessed FROM jobs.sniff(:odd);
SELECT refused(format('SELECT jobs.create_table_for(%L, %L)', upload, name)) FROM (VALUES (:upload, 'a b'), (:upload, 'a.b.c'), (:upload, ''), (:upload, NULL), (NULL, 'a'), (0, 'a'), (:wide, 'wide')) v (upload, name);

-- Uploads of others.
CREATE ROLE sniff_alice;
CREATE ROLE sniff_bob;
SET ROLE sniff_alice;
SELECT jobs.upload() AS hers \gset
SELECT jobs.upload_append(:hers, 'secret,b');
SELECT columns -> 0 ->> 'name' AS name FROM jobs.sniff(:hers);
SET ROLE sniff_bob;
SELECT replace(refused(format('SELECT jobs.sniff(%s::bigint)', :hers)), 'upload ' || :hers, 'upload of alice') AS sniff,
    replace(refused(format('SELECT jobs.create_table_for(%s, ''a'')', :hers)), 'upload ' || :hers, 'upload of alice') AS create_table_for;
RESET ROLE;

-- A file for a table: the columns that it does not make itself and that the caller may fill.
CREATE TABLE sniff_target (id int GENERATED ALWAYS AS IDENTITY, "Full Name" text, mail text, twice text GENERATED ALWAYS AS (mail || mail) STORED, gone int, n int GENERATED BY DEFAULT AS IDENTITY, "a""b,c" int);
ALTER TABLE sniff_target DROP COLUMN gone;
CREATE VIEW sniff_view AS SELECT mail, n FROM sniff_target;
SELECT jobs.import_template('sniff_target'), jobs.import_template('sniff_view');
GRANT INSERT (mail, n) ON sniff_target TO sniff_alice;
SET ROLE sniff_alice;
SELECT jobs.import_template('sniff_target');
SELECT refused('SELECT jobs.import_template(''sniff_view'')');
RESET ROLE;
SELECT refused('SELECT jobs.import_template(''sniff_target_id_seq'')'), refused('SELECT jobs.import_template(NULL)'), refused('SELECT jobs.import_template(''no_such_table'')'), refused('SELECT jobs.import_template(0)');

SELECT jobs.upload_delete(u) FROM unnest(ARRAY[:upload, :wide, :odd, :hers]) u;
DROP VIEW sniff_view;
DROP TABLE sniffed, sniff_target;
DROP FUNCTION refused(text), types(text, jsonb);
DROP ROLE sniff_alice, sniff_bob;

-- Headers of very many columns: names in groups, names that are the same where they are cut, more fields than a row
-- keeps.  Each once took minutes, or crashed.
SET statement_timeout = '30s';
SELECT jsonb_array_length(columns), columns->119999->'name' AS name
FROM jobs.sniff('a' || repeat(',', 119999) || E'\nb' || repeat(',', 119998) || E'c\n1\n', '{"header_rows": 2, "delimiter": ","}');
SELECT jsonb_array_length(columns), columns->2500->'column' AS sql_name,
	(SELECT count(DISTINCT c->>'column') FROM jsonb_array_elements(columns) c) AS distinct_names
FROM jobs.sniff((SELECT string_agg(repeat('x', 64) || i, ',') FROM generate_series(1, 3500) i) || E'\n1,2\n');
SELECT jsonb_array_length(columns), jsonb_array_length(first_rows), jsonb_array_length(first_rows->0) AS fields
FROM jobs.sniff(repeat('a,', 99999) || E'a\n' || repeat('b,', 99999) || E'b\n' || repeat('c,', 99999) || E'c\n');
RESET statement_timeout;
