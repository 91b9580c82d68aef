-- Values of files are what the input functions of their types make of them: some thousand strings, right and wrong ones, in
-- columns of many types.  Each is also put into a table by INSERT, one by one.

SET client_min_messages = warning;
CREATE TYPE value_mood AS ENUM ('sad', 'ok', 'happy', 'very happy');
CREATE DOMAIN value_posint AS int CHECK (value > 0);
CREATE TYPE value_pair AS (a int, b text);
CREATE TABLE value_type (i serial, type text);
INSERT INTO value_type (type)
SELECT unnest(ARRAY['int2', 'int4', 'int8', 'float4', 'float8', 'numeric', 'numeric(10,2)', 'numeric(5,3)', 'numeric(20,18)', 'bool', 'text',
    'varchar', 'varchar(5)', 'char(5)', '"char"', 'name', 'date', 'timestamp', 'timestamp(3)', 'timestamptz', 'timestamptz(0)', 'time', 'interval', 'uuid',
    'value_mood', 'value_posint', 'int[]', 'int4range', 'jsonb', 'inet', 'value_pair', 'oid']);

CREATE TABLE value_string (n serial, s text);
INSERT INTO value_string (s) SELECT unnest(ARRAY[
    '0', '-0', '+0', '1', '-1', '+1', '12', '32767', '-32768', '32768', '2147483647', '-2147483648', '2147483648', '-2147483649',
    '9223372036854775807', '-9223372036854775808', '9223372036854775808', '123456789012345678901234567890', '00012', '1 ', ' 1', '  42  ', E'\t7', E'7\n',
    '1.0', '1.', '.5', '-.5', '.', '-', '+', '+-1', '1e3', '1E-3', '1e', 'e1', '1.5e10', '1e400', '-1e400', '1e-400', 'NaN', 'nan', 'inf', '-inf',
    'Infinity', '-Infinity', '+infinity', 'infinit', '0x1F', '1_000', '0b1', '0o7', '1,5', '1.234,56', '$5', '12a', 'a12', '1 2', 'abc', 'null', 'none',
    '123.456', '0.001', '100.00', '999.995', '99.9995', '12345678.12', '123456789.12', '99999999.99', '99999999.995', '0.00000000000000000001',
    '1234567890123456789.1234567890123456789', '12345678901234567890123456789012345678901234567890.5', '0.1', '0.3', '1.7976931348623157e308',
    '2.2250738585072014e-308', '4.9e-324', '3.4028235e38', '3.5e38', '1e-46', '123456789012345', '1234567890123456', '0.123456789012345',
    '9007199254740993', '10000', '100000000', '0.0001', '0.00001', '10000.0001', '79.1900000000000000', '-79.195000', '79.10500', '-0.000000', '12345678.990000', '123456789.000', '1.000000000000000000000', 't', 'f', 'true', 'false', 'TRUE', 'yes', 'no', 'y', 'n', 'on', 'off', 'of', 'o', '  true ', 'tru', 'yess',
    '2024-01-31', '2024-02-29', '2023-02-29', '2024-02-30', '2024-13-01', '2024-1-1', '2024/01/31', '31/01/2024', '01/31/2024', '31.01.2024', '20240131',
    'Jan 31 2024', '31 Jan 2024', 'January 8, 1999', '1999-Jan-08', '08-Jan-99', '99-08-01', '0001-01-01', '0000-01-01', '9999-12-31', '10000-01-01',
    '5874897-12-31', '5874898-01-01', '4713-01-01 BC', '4714-11-24 BC', '4715-01-01 BC', 'J2451187', 'infinity', '-infinity', 'epoch', '99/1/8', '1/8/99',
    '2024-01-31x', '2024-01-31 ', '2024-01-31T', '1999.008', '2024-01-31 10:20', '2024-01-31 10:20:30', '2024-01-31T10:20:30', '2024-01-31 10:20:30.5',
    '2024-01-31 10:20:30.123456', '2024-01-31 10:20:30.1234567', '2024-01-31 24:00:00', '2024-01-31 24:00:01', '2024-01-31 23:59:60', '2024-01-31 23:59:61',
    '2024-01-31 25:00', '2024-01-31 10:60', '2024-01-31 10:20:30Z', '2024-01-31T10:20:30+02', '2024-01-31 10:20:30+02:00', '2024-01-31 10:20:30-05:30',
    '2024-01-31 10:20:30+0530', '2024-01-31 10:20:30 +02', '2024-01-31 10:20:30 UTC', '2024-01-31 10:20:30 EST', '2024-01-31 10:20:30 Europe/Berlin',
    '2024-01-31 10:20:30 Mars/Base', '2024-01-31 10:20 PM', '2024-03-10 02:30:00', '2024-11-03 01:30:00', '2024-03-31 02:30:00', '2024-10-27 02:30:00',
    '1883-11-18 12:00:00', '2024-01-31 10:20:30+15', '2024-01-31 10:20:30+16', '2024-01-31 10:20:30+14:60', '2024-01-31 10:20:30.', '2024-01-31  10:20:30',
    '2024-01-31 1:2:3', '2024-01-31 10', '12/1/2010 8:26', '294276-12-31 23:59:59', '294277-01-01', '4714-11-23 BC', '0044-03-15 10:00:00 BC',
    '2024-06-30 23:59:59.9999995', '10:20:30', '10:20', '25:00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
    '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', 'a0eebc999c0b4ef8bb6d6bb9bd380a11', 'a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111', 'g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 ', '-a0eebc999c0b4ef8bb6d6bb9bd380a11', 'sad', 'ok', 'happy',
    'very happy', 'Happy', 'happy ', 'ABCD', 'äöü', 'äöüßé', 'äöüßéa', 'äöüßé  ', 'abcde', 'abcdef', 'abcde   ', '日本語日本', '日本語日本語', '{1,2,3}', '{1,2', '{}',
    '[1,5)', '[5,1)', 'empty', '(1,x)', '(1', '{"a": 1}', '{"a": }', '[]', '192.168.0.1', '192.168.0.256', '::1', '1 day', 'P1Y', '1 fortnight', '\', '''']);
SELECT setseed(0.5);
INSERT INTO value_string (s)
SELECT v FROM value_string, generate_series(1, 9) g (g),
       LATERAL (SELECT substr('0123456789+-.:/ eTZabcxBC', 1 + (random() * 24)::int, 1) AS c, 1 + (random() * length(s))::int AS at WHERE g > 0) r,
       LATERAL (SELECT CASE g % 4 WHEN 0 THEN overlay(s PLACING c FROM at FOR 1) WHEN 1 THEN overlay(s PLACING '' FROM at FOR 1)
                                  WHEN 2 THEN overlay(s PLACING c FROM at FOR 0) ELSE s || c END) m (v)
 WHERE v <> '';

CREATE FUNCTION value_input(table_name text, s text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r text;
BEGIN
    EXECUTE format('INSERT INTO %I VALUES (%L) RETURNING v::text', table_name, s) INTO r;
    RETURN r;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- All types in one file, in which a value that is refused is null; n identifies the string.
CREATE PROCEDURE value_compare() LANGUAGE plpgsql AS $$
DECLARE
    rows text;
    rules jsonb;
    preview bigint;
    import bigint;
BEGIN
    SELECT string_agg(n || repeat(',"' || replace(s, '"', '""') || '"', types), E'\n' ORDER BY n) INTO rows
      FROM value_string, (SELECT count(*)::int AS types FROM value_type) t;
    SELECT jsonb_object_agg('v' || i, '{"on_fail": "null"}'::jsonb) INTO rules FROM value_type;
    preview := jobs.import_preview('value_target', content => rows, options => jsonb_build_object('header', false, 'delimiter', ',', 'quote', '"',
        'escape', '"', 'encoding', 'UTF8', 'trim', false, 'rules', rules));
    COMMIT;
    PERFORM jobs.wait(preview);
    COMMIT;
    import := jobs.import(preview);
    COMMIT;
    IF jobs.wait(import) <> 'succeeded' THEN
        RAISE EXCEPTION '%', (SELECT error_message FROM jobs.job WHERE id = import);
    END IF;
END $$;

SELECT format('CREATE TABLE value_target (n int, %s)', string_agg(format('v%s %s', i, type), ', ' ORDER BY i)) FROM value_type \gexec
SELECT format('CREATE UNLOGGED TABLE value_%s (v %s)', i, type) FROM value_type ORDER BY i \gexec

SELECT format('CREATE VIEW value_got AS SELECT n, i, v FROM value_target, LATERAL (VALUES %s) t (i, v)',
              string_agg(format('(%s, v%s::text)', i, i), ', ' ORDER BY i)) FROM value_type \gexec
CREATE VIEW value_difference AS
SELECT type, count(*) AS different, min(format('%L: %s, not %s', s, coalesce(v, 'refused'), coalesce(expected, 'refused'))) AS example
  FROM value_string JOIN value_got USING (n) JOIN value_type USING (i), LATERAL (SELECT value_input('value_' || i, s)) e (expected)
 WHERE v IS DISTINCT FROM expected GROUP BY type;

CALL value_compare();
SELECT count(*) > 2000 AS enough FROM value_target;
SELECT min(n) > 1 AS all_taken FROM (SELECT count(v) AS n FROM value_got GROUP BY i) c;
TABLE value_difference;

-- In other styles of dates, and with clocks that change.
TRUNCATE value_target;
SET DateStyle = 'German, DMY';
SET TimeZone = 'America/New_York';
CALL value_compare();
TABLE value_difference;
