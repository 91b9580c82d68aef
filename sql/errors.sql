-- The SQLSTATE of each error: 22023 for a wrong argument, 42704 for a job that is
-- not there, 42501 for what is not allowed, 55000 for a wrong state.

SELECT jobs.run('SELECT 1', run_at => now() + interval '1 day') AS scheduled \gset
SELECT jobs.run('SELECT 1') AS done \gset
SELECT jobs.export('SELECT 1 AS a') AS file \gset
SELECT jobs.run('SELECT 1/0', unique_key => 'errors') AS failed \gset
SELECT jobs.wait(:done), jobs.wait(:file), jobs.wait(:failed);
SELECT jobs.run('SELECT 1', unique_key => 'errors', run_at => now() + interval '1 day') AS taken \gset
CREATE TABLE errors_call (n serial, call text, arguments text[]);
INSERT INTO errors_call (call, arguments) VALUES
    ('jobs.run(%s)', ARRAY['NULL', '''''', '''--''', '''SELEKT''', '''COMMIT''', '''COPY pg_class TO STDOUT''',
        '''SELECT 1'', title => ''''', '''SELECT 1'', title => repeat(''x'', 1000000)', '''SELECT 1'', title => E''\n''', '''SELECT 1'', queue => ''''',
        '''SELECT 1'', queue => repeat(''x'', 64)', '''SELECT 1'', run_at => ''infinity''', '''SELECT 1'', run_at => ''-infinity''',
        '''SELECT 1'', timeout => ''-1 s''', '''SELECT 1'', timeout => ''0''', '''SELECT 1'', max_attempts => 0', '''SELECT 1'', unique_key => ''''',
        '''SELECT 1'', after => ARRAY[NULL::bigint]', '''SELECT 1'', after => ARRAY[-1]', '''SELECT 1'', notify => ''{}''']),
    ('jobs.export(%s)', ARRAY['NULL', '''''', '''SELECT 1; SELECT 2''', '''DELETE FROM errors_call''', '''SELECT''',
        '''SELECT * FROM errors_call FOR UPDATE''', '''SELECT 1 INTO x''', '''WITH d AS (DELETE FROM errors_call) SELECT 1''', '''SELEKT''',
        '''SELECT * FROM no_such_table''', '''SELECT no_such_column''', '''SELECT 1'', format => ''doc''',
        '''SELECT 1'', options => ''[]''', '''SELECT 1'', options => ''{"x": 1}''', '''SELECT 1'', options => ''{"delimiter": "ab"}''',
        '''SELECT 1'', options => ''{"encoding": "x"}''', '''SELECT 1'', options => ''{"force_quote": ["x"]}''', '''SELECT 1'', filename => ''a/b''',
        '''SELECT 1'', expires_in => ''-1 s''', '''SELECT 1'', timeout => ''-1 s''', '''SELECT 1'', notify => ''{}''', '''SELECT 1'', after => ARRAY[0]']),
    ('jobs.cancel(%s)', ARRAY['NULL', '0', '999999999']), ('jobs.retry(%s)', ARRAY['NULL', '0', '{scheduled}', '{done}', '{failed}']),
    ('jobs.delete(%s)', ARRAY['NULL', '0', '{scheduled}']), ('jobs.wait(%s)', ARRAY['NULL', '0', '0, ''-1 s''', 'jobs.run(''SELECT 1'')']),
    ('jobs.pause(%s)', ARRAY['NULL', '''''', 'repeat(''x'', 64)']), ('jobs.resume(%s)', ARRAY['NULL', '''''', 'repeat(''x'', 64)']),
    ('jobs.report_progress(%s)', ARRAY['NULL', '-1', '1, -1', '1']), ('jobs.download(%s)', ARRAY['NULL::bigint', '0', '{done}', '{scheduled}', 'NULL::text', '''x''']),
    ('jobs.download_lo(%s)', ARRAY['NULL', '0', '{done}']), ('jobs.share(%s)', ARRAY['NULL', '0', '{done}', '{file}, ''-1 s''']),
    ('jobs.unshare(%s)', ARRAY['NULL', '0']);
SELECT left(test_error('SELECT ' || replace(replace(replace(replace(format(call, a),
       '{scheduled}', :'scheduled'), '{done}', :'done'), '{failed}', :'failed'), '{file}', :'file')), 5) AS code, format(call, a) AS call
  FROM errors_call, unnest(arguments) WITH ORDINALITY u (a, i) ORDER BY n, i;

-- Nothing of all this has left anything.
SELECT count(*) FROM jobs.job WHERE id > :taken;
SELECT jobs.cancel(:scheduled), jobs.cancel(:taken);

DROP TABLE errors_call;
