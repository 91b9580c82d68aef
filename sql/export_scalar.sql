-- Values of the types that exports write themselves: the bytes are COPY's, and
-- in JSON lines the values are to_jsonb's.
CREATE TABLE scalar_tally (format text, what text, same boolean);
CREATE TABLE scalar_values ();
CREATE FUNCTION scalar_file(job bigint) RETURNS bytea LANGUAGE sql AS
    $$SELECT coalesce(string_agg(c, ''), '') FROM jobs.download(job) c$$;

-- The same query by COPY and as an export.
CREATE PROCEDURE scalar_csv(query text, copy_options text, options jsonb) LANGUAGE plpgsql AS $$
DECLARE
    path text := current_setting('data_directory') || '/export_scalar.csv';
    job bigint;
    theirs bytea;
    ours bytea;
BEGIN
    EXECUTE format('COPY (%s) TO %L WITH (FORMAT csv, HEADER%s)', query, path, ', ' || nullif(copy_options, ''));
    theirs := pg_read_binary_file(path);
    job := jobs.export(query, options => options);
    COMMIT;
    IF jobs.wait(job) <> 'succeeded' THEN
        RAISE EXCEPTION '% %: %', query, options, (SELECT error_message FROM jobs.job WHERE id = job);
    END IF;
    ours := scalar_file(job);
    INSERT INTO scalar_tally VALUES ('csv', query || ' ' || options, sha256(ours) = sha256(theirs));
    IF sha256(ours) <> sha256(theirs) THEN
        RAISE NOTICE '% %: % and not %', query, options,
            (SELECT l FROM string_to_table(convert_from(ours, 'UTF8'), E'\n') WITH ORDINALITY o (l, n)
               FULL JOIN string_to_table(convert_from(theirs, 'UTF8'), E'\n') WITH ORDINALITY t (m, n) USING (n) WHERE l IS DISTINCT FROM m LIMIT 1),
            (SELECT m FROM string_to_table(convert_from(ours, 'UTF8'), E'\n') WITH ORDINALITY o (l, n)
               FULL JOIN string_to_table(convert_from(theirs, 'UTF8'), E'\n') WITH ORDINALITY t (m, n) USING (n) WHERE l IS DISTINCT FROM m LIMIT 1);
    END IF;
    PERFORM jobs.delete(job);
    COMMIT;
END $$;

-- As JSON lines: values, numbers of digits and the order of keys.
CREATE PROCEDURE scalar_jsonl(query text) LANGUAGE plpgsql AS $$
DECLARE
    job bigint := jobs.export(query, 'jsonl');
    line record;
    n bigint := 0;
BEGIN
    COMMIT;
    IF jobs.wait(job) <> 'succeeded' THEN
        RAISE EXCEPTION '%: %', query, (SELECT error_message FROM jobs.job WHERE id = job);
    END IF;
    FOR line IN EXECUTE format($q$
        SELECT ours, row_to_json(t)::text AS keys, to_jsonb(t)::text AS theirs
          FROM (SELECT q, row_number() OVER () AS n FROM (%s) q) s (t, n)
          FULL JOIN string_to_table(rtrim(convert_from(scalar_file(%s), 'UTF8'), E'\n'), E'\n') WITH ORDINALITY o (ours, n) USING (n)$q$, query, job)
    LOOP
        INSERT INTO scalar_tally VALUES ('jsonl', query, line.ours::jsonb::text IS NOT DISTINCT FROM line.theirs
            AND ARRAY(SELECT json_object_keys(line.ours::json)) = ARRAY(SELECT json_object_keys(line.keys::json)));
        IF line.ours::jsonb::text IS DISTINCT FROM line.theirs THEN
            RAISE NOTICE '%: % and not %', query, left(line.ours, 100), left(line.theirs, 100);
        END IF;
    END LOOP;
    PERFORM jobs.delete(job);
    COMMIT;
END $$;

-- Values of a type, as they stand in a table and as they come from a function,
-- with characters and words that may stand in them as delimiters, quotes and nulls.
CREATE PROCEDURE scalar_type(type text, vals text[]) LANGUAGE plpgsql AS $$
DECLARE
    o record;
    v text;
BEGIN
    DROP TABLE scalar_values;
    EXECUTE format('CREATE TABLE scalar_values (n int, v %s, t text, w %1$s)', type);
    FOREACH v IN ARRAY vals LOOP
        EXECUTE 'INSERT INTO scalar_values VALUES ($1, $2::' || type || ', ''t'', $2::' || type || ')' USING length(v), v;
    END LOOP;
    INSERT INTO scalar_values VALUES (NULL, NULL, NULL, NULL);
    COMMIT;
    FOR o IN SELECT * FROM (VALUES
        ('', '{}'::jsonb),
        ('DELIMITER '':''', '{"delimiter": ":"}'),
        ('DELIMITER ''-''', '{"delimiter": "-"}'),
        ('DELIMITER ''.''', '{"delimiter": "."}'),
        ('DELIMITER '' ''', '{"delimiter": " "}'),
        ('DELIMITER ''t''', '{"delimiter": "t"}'),
        ('DELIMITER ''1''', '{"delimiter": "1"}'),
        ('DELIMITER ''+''', '{"delimiter": "+"}'),
        ('NULL ''0''', '{"null": "0"}'),
        ('NULL ''t''', '{"null": "t"}'),
        ('NULL ''NaN''', '{"null": "NaN"}'),
        ('NULL ''-infinity''', '{"null": "-infinity"}'),
        ('NULL ''2000-01-01''', '{"null": "2000-01-01"}'),
        ('FORCE_QUOTE *', '{"force_quote": "*"}'),
        ('FORCE_QUOTE (v), NULL ''f''', '{"force_quote": ["v"], "null": "f"}'),
        ('QUOTE ''0''', '{"quote": "0"}'),
        ('QUOTE ''-'', ESCAPE ''1''', '{"quote": "-", "escape": "1"}')) o (copy, export)
    LOOP
        CALL scalar_csv('SELECT * FROM scalar_values', o.copy, o.export);
    END LOOP;
    CALL scalar_csv(format('SELECT v::text::%s AS v FROM scalar_values', type), '', '{}');
    CALL scalar_jsonl('SELECT * FROM scalar_values');
END $$;

CALL scalar_type('smallint', '{0, 1, -1, 9, 10, 99, 100, 32767, -32768}');
CALL scalar_type('integer', '{0, 1, -1, 9, 10, 99, 100, 99999, 100000, 2147483647, -2147483648}');
CALL scalar_type('bigint', '{0, 1, -1, 4294967295, 4294967296, 9999999999, 10000000000, 9223372036854775807, -9223372036854775808}');
CALL scalar_type('oid', '{0, 1, 2147483648, 4294967295}');
CALL scalar_type('boolean', '{t, f}');
CALL scalar_type('uuid', '{00000000-0000-0000-0000-000000000000, ffffffff-ffff-ffff-ffff-ffffffffffff, 01234567-89ab-cdef-0123-456789abcdef}');

SELECT string_agg(lpad((i * 7919 % 10000)::text, 4, '0'), '') AS long FROM generate_series(1, 8000) i \gset
-- Headers short and long, no digits, more decimals than digits, digits cut off at
-- either end, and what is too long to be written without the output function.
CALL scalar_type('numeric', ARRAY['0', '-0', '0.0', '0.00000000', '1', '-1', '9999', '10000', '10001', '-99999999', '100000000', '1000000000000000000000',
    '1.0', '1.10', '-1.5', '0.1', '-0.1', '0.0001', '0.00001', '0.00010000', '0.000000000000000000000000000000000001', '123.4567', '1234.56789', '12345.6789000',
    '1e63', '1e-63', '1e64', '1e-64', '1e100', '-1e100', '1e-100', '1e115', '1e120', '1e-115', '1e-120', '1e252', '1e256', '-1e-16383', '1e131071',
    '99999999999999999999999999999999999999999999999999.99999999999999999999999999999999999999999999999999',
    repeat('9', 118), repeat('9', 119), repeat('9', 120), repeat('9', 121), '-' || repeat('9', 122), '0.' || repeat('7', 113), '0.' || repeat('7', 114),
    '0.' || repeat('7', 115), '0.' || repeat('7', 116), '-0.' || repeat('7', 117), '0.' || repeat('7', 118), '0.' || repeat('7', 127), '1.' || repeat('0', 100),
    'NaN', 'Infinity', '-Infinity', repeat('1', 5000) || '.' || repeat('2', 5000),
    :'long']);
CALL scalar_type('numeric(12, 4)', '{0, 1, -1.5, 99999999.9999, -0.0001, 0.00004, NaN}');

CALL scalar_type('real', '{0, -0, 1, -1, 0.1, 1e10, 1e-10, 123456, 1234567, 3.4028235e38, -3.4028235e38, 1e-45, NaN, Infinity, -Infinity}');
CALL scalar_type('double precision', '{0, -0, 1, -1, 0.1, 1e14, 1e15, 1e16, 1e-4, 1e-5, 1e-6, 0.30000000000000004, 1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 2.2250738585072014e-308, NaN, Infinity, -Infinity}');
ALTER ROLE CURRENT_USER SET extra_float_digits = 0;
SET extra_float_digits = 0;
CALL scalar_type('real', '{0, -0, 0.1, 1234567, 3.4e38, NaN, -Infinity}');
CALL scalar_type('double precision', '{0, -0, 0.1, 0.30000000000000004, 1e15, 1e16, NaN, -Infinity}');
ALTER ROLE CURRENT_USER SET extra_float_digits = -3;
SET extra_float_digits = -3;
CALL scalar_type('double precision', '{0.1, 0.30000000000000004, 123456789012345}');
ALTER ROLE CURRENT_USER RESET extra_float_digits;
RESET extra_float_digits;

-- Dates and times; in 1890 there were local times with seconds.
CREATE PROCEDURE scalar_times() LANGUAGE plpgsql AS $$
DECLARE
    dates text[] := '{2000-01-01, 1999-12-31, 2004-02-29, 1900-02-28, 0001-01-01, 9999-12-31, 10000-01-01, 99999-06-07, 5874897-12-31, 0001-12-31 BC, 0044-03-15 BC, 4714-11-24 BC}';
    times text[] := '{2000-01-01 00:00:00, 1999-12-31 23:59:59.999999, 2026-11-25 12:34:56.1, 2026-11-25 12:34:56.120, 2026-11-25 00:00:00.000001,
        1890-07-01 12:00:00, 0001-01-01 00:00:00, 9999-12-31 23:59:59.5, 10000-01-01 00:00:00, 294276-12-31 00:00:00, 0001-12-31 23:59:59.999 BC, 0044-03-15 10:00:00 BC, 4713-01-02 12:00:00 BC,
        2026-03-29 00:59:59.999999, 2026-03-29 01:00:00, 2026-03-29 03:00:00, 2026-10-24 23:00:00, 2026-10-25 00:30:00, 2026-10-25 01:30:00, 2026-10-26 00:00:00,
        2026-03-08 03:31:00, 2026-03-08 05:30:00, 2026-11-01 04:29:59, 2026-11-01 04:30:00, 2026-11-01 05:30:00, 2040-07-01 00:00:00, 2500-07-01 00:00:00, infinity, -infinity}';
    with_zone text[] := ARRAY(SELECT CASE WHEN t ~ 'BC' THEN replace(t, ' BC', '+00 BC') WHEN t ~ 'inf' THEN t ELSE t || '+00' END FROM unnest(times) t);
BEGIN
    CALL scalar_type('date', dates || '{infinity, -infinity}'::text[]);
    CALL scalar_type('timestamp', times);
    -- The same moments, whatever the zone.
    CALL scalar_type('timestamptz', with_zone);
END $$;
SET DateStyle = 'ISO, DMY';
SET TimeZone = 'UTC';
CALL scalar_times();
SET TimeZone = 'Europe/Vienna';
CALL scalar_times();
SET TimeZone = 'America/St_Johns';
CALL scalar_times();
SET TimeZone = 'Asia/Kolkata';
CALL scalar_times();
-- The styles that the output functions write; not all of that can be read again with LMT.
SET TimeZone = 'UTC';
SET DateStyle = 'Postgres, MDY';
CALL scalar_times();
SET DateStyle = 'German';
CALL scalar_times();
SET DateStyle = 'SQL, DMY';
CALL scalar_times();
RESET DateStyle;
RESET TimeZone;

-- Each hour around the changes of the clock, and one hour of each year.
SET TimeZone = 'America/St_Johns';
CALL scalar_csv($$SELECT t FROM generate_series(timestamptz '1880-01-01 00:30+00', '2100-01-01', '61 days 7 hours 11 minutes 1.25 seconds') t$$, '', '{}');
CALL scalar_csv($$SELECT t FROM generate_series(timestamptz '2026-10-30 00:00+00', '2026-11-03', '10 minutes') t$$, '', '{}');
CALL scalar_jsonl($$SELECT t FROM generate_series(timestamptz '1880-01-01 00:30+00', '2100-01-01', '61 days 7 hours 11 minutes 1.25 seconds') t$$);
RESET TimeZone;

-- Text, and types whose output is theirs or another's.
CREATE DOMAIN scalar_int AS int;
CREATE DOMAIN scalar_numeric AS numeric(8, 2);
CREATE DOMAIN scalar_text AS text;
CREATE DOMAIN scalar_stamp AS timestamptz;
CREATE TYPE scalar_enum AS ENUM ('t', 'a,b', '0');
CALL scalar_type('scalar_int', '{0, -1, 2147483647}');
CALL scalar_type('scalar_numeric', '{0, -1.5, 123456.78}');
CALL scalar_type('scalar_stamp', '{2026-11-25 12:00+00, infinity}');
CALL scalar_type('scalar_enum', '{t, "a,b", 0}');
SELECT array_agg(t) AS texts
  FROM unnest(ARRAY['', ' ', 'a', 'a b', '"', 'a"b', ',', 'a,b', '\', '\.', '\N', 't', '0', '-', '=1+1', 'NaN', E'a\nb', E'a\r\nb', E'\t', E'\x01\x1f\x7f', E'\b\f', 'äöü', '漢字 🎉',
                    repeat('x', 7) || ',', repeat('x', 8) || ',', repeat('x', 127), repeat('ü', 5000), repeat('"', 300)]) t \gset
CALL scalar_type('text', :'texts');
CALL scalar_type('varchar', :'texts');
CALL scalar_type('scalar_text', :'texts');
CALL scalar_type('bpchar(10)', ARRAY['', 'a', 't', 'a,b', 'ü']);
CALL scalar_type('name', ARRAY['', 'a', 't', 'a,b']);
CALL scalar_type('"char"', '{"", a, t}');
CALL scalar_type('bytea', '{"", \\x00ff, \\x2c}');
CALL scalar_type('interval', '{0, 1 day, -1 day, 1 year 2 mons -3 days 04:05:06.789}');
CALL scalar_type('time', '{00:00, 23:59:59.999999, 24:00}');
CALL scalar_type('money', '{0, -1.5, 1234567.89}');
CALL scalar_type('inet', '{127.0.0.1, ::1, 10.0.0.0/8}');
CALL scalar_type('int[]', ARRAY['{}', '{1}', '{1,NULL,-3}', '{{1,2},{3,4}}']);
CALL scalar_type('text[]', ARRAY['{}', '{a}', '{"a,b","\"",NULL}']);
CALL scalar_type('json', ARRAY['{"b" : 1,  "a":[1, 2.50, null]}', '"t"', '0', 'null', '[]']);
CALL scalar_type('jsonb', ARRAY['{"b" : 1,  "a":[1, 2.50, null]}', '"t"', '0', 'null', '[]', '{"a": {"b": "\n"}}']);

-- One column alone, and names of columns that must be quoted.
CALL scalar_csv($$SELECT v AS "\." FROM (VALUES ('\.'), (''), (NULL), ('.'), ('\..')) v (v)$$, '', '{}');
CALL scalar_csv($$SELECT 1 AS "a,b", 2 AS "a""b", 3 AS " ", 4 AS "a
b", 5 AS "a,b"$$, '', '{}');
CALL scalar_jsonl($$SELECT 1 AS "a,b", 2 AS "a""b", 3 AS "b\", 4 AS "a
b", 5 AS "ü", ROW(1, 'x') AS "row", ARRAY[ROW(1, 2)] AS "rows"$$);

SELECT format, count(*), count(*) FILTER (WHERE same) AS same FROM scalar_tally GROUP BY format ORDER BY format;
SELECT format, what FROM scalar_tally WHERE NOT same ORDER BY format, what COLLATE "C" LIMIT 10;

DROP TABLE scalar_tally, scalar_values;
DROP PROCEDURE scalar_csv, scalar_jsonl, scalar_type, scalar_times;
DROP FUNCTION scalar_file;
DROP DOMAIN scalar_int, scalar_numeric, scalar_text, scalar_stamp;
DROP TYPE scalar_enum;
