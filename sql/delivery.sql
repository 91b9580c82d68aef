-- Messages about the ends of jobs: who may ask for them, what they say, and what
-- couriers do with them.
CREATE ROLE regress_jobs_ada LOGIN;
CREATE ROLE regress_jobs_eve LOGIN;
CREATE ROLE regress_jobs_courier LOGIN;

-- What differs from run to run.
CREATE FUNCTION shown(message text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(message,
        '("job":|\mJob|job=) ?\d+', '\1 N', 'g'),
        '\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?', 'TIME', 'g'),
        '\m[0-9a-f]{64}\M', 'HASH', 'g'),
        '[A-Za-z0-9_-]{43}', 'TOKEN', 'g'),
        'took \d+ \w+( \d+ \w+)?', 'took TIME', 'g')
$$;
-- The error of asking for a message at an address.
CREATE FUNCTION asked(channel text, address text) RETURNS text LANGUAGE sql AS $$
    SELECT test_error(format('SELECT jobs.run(''SELECT 1'', queue => ''held'', notify => %L)', jsonb_build_object(channel, address)))
$$;
SELECT jobs.pause('held');

-- ----------------------------------------------------------------------------
-- Off until an administrator allows it
-- ----------------------------------------------------------------------------

SELECT asked('email', 'ada@example.com');
SELECT asked('webhook', 'https://hooks.example.com/jobs');
SELECT count(*) FROM jobs.claim_deliveries('email');
SELECT jobs.next_delivery('email');

-- The lists and the template.
ALTER SYSTEM SET jobs.mail_domains = 'example.com, http://example.org';
ALTER SYSTEM SET jobs.mail_domains = '*.*';
ALTER SYSTEM SET jobs.mail_domains = 'exämple.com';
ALTER SYSTEM SET jobs.mail_domains = '10.0.0.1';
ALTER SYSTEM SET jobs.webhook_hosts = 'hooks.example.com:0';
ALTER SYSTEM SET jobs.webhook_hosts = 'hooks.example.com:99999';
ALTER SYSTEM SET jobs.webhook_hosts = 'https://hooks.example.com';
ALTER SYSTEM SET jobs.webhook_hosts = '[::1]:443';
ALTER SYSTEM SET jobs.link_template = 'javascript:alert({token})';
ALTER SYSTEM SET jobs.link_template = 'https://app.example.com/files';
ALTER SYSTEM SET jobs.link_template = 'https://app.example.com/{files}/{token}';
ALTER SYSTEM SET jobs.link_template = 'https://app.example.com/{token}" onclick="';
SET jobs.mail_domains = '*';
SET ROLE regress_jobs_ada;
SET jobs.max_deliveries_per_role = 0;
RESET ROLE;

ALTER SYSTEM SET jobs.mail_domains = 'example.com, *.Example.org';
ALTER SYSTEM SET jobs.webhook_hosts = 'hooks.example.com api.example.com:8443, localhost:9443';
ALTER SYSTEM SET jobs.link_template = 'https://app.example.com/files/{token}?job={job}&from=''mail''';
CALL test_reload();

-- ----------------------------------------------------------------------------
-- What may be asked for
-- ----------------------------------------------------------------------------

\pset format unaligned
\pset tuples_only on
SELECT notify, test_error(format('SELECT jobs.run(''SELECT 1'', notify => %L)', notify))
  FROM unnest(ARRAY['null', '1', '[]', '{}', '"ada@example.com"', '{"email": null}', '{"email": 1}', '{"email": ["ada@example.com"]}', '{"sms": "1"}',
       '{"email": "ada@example.com", "Email": "ada@example.com"}', '[{"email": "ada@example.com"}]']) notify;
SELECT to_json(left(address, 60)), asked('email', address)
  FROM unnest(ARRAY['', 'ada', 'ada@', '@example.com', 'ada@example.com,bob@example.com', 'ada@example.com bob@example.com',
       E'ada@example.com\r\nBcc: all@example.com', E'ada@example.com\n', 'Ada <ada@example.com>', '"ada"@example.com', 'ada@localhost',
       'ada@127.0.0.1', 'ada@[127.0.0.1]', 'ada@2130706433', 'ada%evil.com@example.com', 'evil.com!ada@example.com', '-oQ@example.com',
       'äda@example.com', 'ada@exämple.com', 'ada..x@example.com', 'ada@example..com', 'ada@-example.com', 'ada@example.com.',
       repeat('a', 65) || '@example.com', repeat('a', 1000000) || '@example.com', 'ada@' || repeat('a.', 500000) || 'com']) address;
SELECT address, asked('email', address)
  FROM unnest('{ada@example.org, ada@notexample.com, ada@example.com.evil.com, ada@sub.example.com, ada@xexample.org}'::text[]) address;
SELECT to_json(left(url, 60)), asked('webhook', url)
  FROM unnest(ARRAY['', 'hooks.example.com', 'http://hooks.example.com/', 'ftp://hooks.example.com/', 'file:///etc/passwd', 'gopher://x/',
       'https://', 'https:///x', 'https://hooks.example.com:/', 'https://hooks.example.com:0/', 'https://hooks.example.com:65536/',
       'https://hooks.example.com:+443/', 'https://user:pass@hooks.example.com/', 'https://hooks.example.com@evil.com/',
       'https://hooks.example.com/a b', E'https://hooks.example.com/\r\nX: y', 'https://hooks.example.com/#x', 'https://hooks.example.com\@evil.com/',
       'https://127.0.0.1/', 'https://[::1]/', 'https://[::ffff:127.0.0.1]/', 'https://2130706433/', 'https://0x7f000001/', 'https://0x7f.1/',
       'https://hooks.example.com./', 'https://höoks.example.com/', 'https://hooks.example.com/ü',
       'https://hooks.example.com/' || repeat('x', 1975)]) url;
SELECT url, asked('webhook', url)
  FROM unnest('{https://example.com/, https://evil.hooks.example.com/, https://hooks.example.com:8443/, https://api.example.com/, https://localhost/,
       https://hooks.example.com.evil.com/}'::text[]) url;
-- These are allowed.
SELECT asked('email', address) FROM unnest('{ADA@EXAMPLE.com, a.b+c-d_e=f@x.example.org, ada@a.b.example.org}'::text[]) address;
SELECT asked('webhook', url) FROM unnest('{https://hooks.example.com, HTTPS://Hooks.Example.COM:443/a?b=c&d=%20, https://api.example.com:8443?x,
       https://localhost:9443/}'::text[]) url;
SELECT count(jobs.cancel(id)) FROM jobs.job WHERE queue = 'held' AND finished_at IS NULL;
SELECT count(jobs.delete(id)), count(DISTINCT state) FROM jobs.job WHERE queue = 'held';
SELECT count(*) FROM jobs.outbox;

-- ----------------------------------------------------------------------------
-- What messages say, and how a courier gets them
-- ----------------------------------------------------------------------------

SET ROLE regress_jobs_ada;
SELECT jobs.export('SELECT n, n::bigint * n AS square FROM generate_series(1, 48291) n', filename => 'q4.csv', title => 'Export: Q4 Revenue Report',
                   notify => '{"email": "ada@example.com", "webhook": "https://hooks.example.com/jobs"}') AS job \gset
SELECT jobs.wait(:job);
SELECT channel, address, state, attempts, next_attempt_at = created_at AS due, last_error, response, delivered_at, message_id ~ '^[0-9a-f-]{36}$' AS id, subject
  FROM jobs.delivery ORDER BY id;
-- Not hers to take.
SELECT test_error($$SELECT jobs.claim_deliveries('email')$$);
SELECT test_error($$SELECT jobs.finish_delivery(1, 1)$$);
SELECT test_error($$SELECT jobs.fail_delivery(1, 1, 'x')$$);
SELECT test_error($$SELECT jobs.next_delivery('email')$$);
SELECT test_error($$SELECT * FROM jobs.outbox$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION jobs.claim_deliveries, jobs.finish_delivery, jobs.fail_delivery, jobs.next_delivery TO regress_jobs_courier;
SET ROLE regress_jobs_courier;
SELECT jobs.next_delivery('email') <= clock_timestamp() + interval '1 s' AS due;
CREATE TEMPORARY TABLE mail AS SELECT * FROM jobs.claim_deliveries('email', 5, '2 minutes');
SELECT attempt, message_id ~ '^[0-9a-f-]{36}$' AS id, job = :job AS job, address, payload, claimed_until - now() BETWEEN '100 s' AND '140 s' AS lease FROM mail;
SELECT shown(subject) FROM mail;
SELECT shown(body) FROM mail;
SELECT shown(html) FROM mail;
CREATE TEMPORARY TABLE hook AS SELECT * FROM jobs.claim_deliveries('webhook');
SELECT attempt, address, subject = (SELECT subject FROM mail) AS same_subject, message_id <> (SELECT message_id FROM mail) AS own_id, body, html FROM hook;
SELECT shown(payload) FROM hook;
SELECT payload::jsonb #>> '{data,link}' LIKE 'https://app.example.com/files/%?job=' || :job || '&from=''mail''' AS link FROM hook;
-- A courier sees the messages, not the jobs.
SELECT count(*) FROM jobs.job;
SELECT count(*) FROM jobs.delivery;
SELECT count(*) FROM jobs.claim_deliveries('email');
SELECT jobs.next_delivery('email') - now() BETWEEN '100 s' AND '140 s' AS when_the_lease_ends;
-- Anybody can download by the link, and no row has it.
SELECT substring(body FROM 'files/([A-Za-z0-9_-]{43})') AS token FROM mail \gset
SELECT (payload::jsonb #>> '{data,link}') AS link FROM hook \gset
SELECT sum(length(d)) > 500000 AS whole FROM jobs.download(:'token'::text) d;
SELECT sum(length(d)) > 500000 AS whole FROM jobs.download(substring(:'link' FROM 'files/([A-Za-z0-9_-]{43})')) d;
RESET ROLE;
SELECT count(*) FROM jobs.outbox o WHERE o::text LIKE '%' || :'token' || '%';
SELECT count(*) FROM jobs.share_token WHERE job = :job;
SET ROLE regress_jobs_courier;

-- Answers: of another attempt, of none, and the one that counts.
SELECT jobs.finish_delivery(delivery, attempt + 1), jobs.finish_delivery(delivery, attempt - 1), jobs.finish_delivery(-1, 1) FROM mail;
SELECT jobs.finish_delivery(delivery, attempt, E'250 2.0.0 Ok:\r\nqueued as 4F2') FROM mail;
SELECT jobs.finish_delivery(delivery, attempt), jobs.fail_delivery(delivery, attempt, 'late') FROM mail;
SELECT jobs.fail_delivery(delivery, attempt, 'HTTP 503') FROM hook;
SELECT jobs.fail_delivery(delivery, attempt, 'HTTP 503'), jobs.finish_delivery(delivery, attempt) FROM hook;
SET ROLE regress_jobs_ada;
SELECT channel, state, attempts, last_error, response, delivered_at >= claimed_at AS delivered,
       extract(epoch FROM next_attempt_at - now()) BETWEEN 50 AND 70 AS in_a_minute FROM jobs.delivery ORDER BY id;
SELECT d.channel, a.attempt, a.courier, a.ended_at >= a.claimed_at AS ended, a.outcome, a.answer
  FROM jobs.delivery_attempt a JOIN jobs.delivery d ON d.id = a.delivery ORDER BY 1, 2;
SET ROLE regress_jobs_eve;
SELECT count(*) FROM jobs.delivery;
SELECT count(*) FROM jobs.delivery_attempt;
RESET ROLE;
-- What was sent is not kept.
SELECT channel, body IS NULL AS no_body, html IS NULL AS no_html, payload IS NULL AS no_payload FROM jobs.outbox ORDER BY id;

-- ----------------------------------------------------------------------------
-- Again, later and later, and for a day
-- ----------------------------------------------------------------------------

-- Nothing to be had before it is due; then the same message, with a link of its own.
SELECT count(*) FROM jobs.claim_deliveries('webhook');
UPDATE jobs.outbox SET due_at = now() WHERE state = 'pending';
SELECT h.message_id = c.message_id AS same_id, h.job = c.job AS same_job, c.attempt,
       h.payload = c.payload AS same_link, shown(h.payload) = shown(c.payload) AS same_text
  FROM hook h, jobs.claim_deliveries('webhook') c;
-- The minutes until the next attempt, of each.
CREATE FUNCTION fail_again() RETURNS numeric LANGUAGE sql AS $$
    UPDATE jobs.outbox SET due_at = now() WHERE state <> 'delivered';
    SELECT jobs.fail_delivery(delivery, attempt, 'HTTP 500 ' || attempt) FROM jobs.claim_deliveries('webhook');
    SELECT round(log(2, extract(epoch FROM next_attempt_at - clock_timestamp()) / 60)) FROM jobs.delivery WHERE channel = 'webhook' AND state = 'pending'
$$;
SELECT string_agg(fail_again()::text, ' ') FROM generate_series(1, 8);
SELECT string_agg(attempt || ' ' || outcome || ' ' || answer, ', ' ORDER BY attempt) FROM jobs.delivery_attempt WHERE answer LIKE 'HTTP%' OR outcome = 'lapsed';
-- After a day the next attempt is none.
UPDATE jobs.outbox SET created_at = created_at - interval '23 hours' WHERE channel = 'webhook';
SELECT fail_again() IS NULL AS given_up;
SELECT state, attempts, last_error, next_attempt_at FROM jobs.delivery WHERE channel = 'webhook';

-- Where the lease ends without an answer, another courier takes it; the first is late.
SET ROLE regress_jobs_ada;
SELECT jobs.run('SELECT 1', title => 'A lease', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.wait(:job);
RESET ROLE;
CREATE TEMPORARY TABLE first AS SELECT * FROM jobs.claim_deliveries('email', lease => '1 ms');
SELECT test_poll($$clock_timestamp() > (SELECT claimed_until FROM first)$$);
CREATE TEMPORARY TABLE second AS SELECT * FROM jobs.claim_deliveries('email', lease => '1 ms');
SELECT f.message_id = s.message_id AS same, f.attempt, s.attempt FROM first f, second s;
SELECT jobs.finish_delivery(delivery, attempt), jobs.fail_delivery(delivery, attempt, 'x') FROM first;
-- The second is late too, but nobody else has it.
SELECT test_poll($$clock_timestamp() > (SELECT claimed_until FROM second)$$);
SELECT jobs.finish_delivery(delivery, attempt) FROM second;
SELECT attempt, outcome, answer FROM jobs.delivery_attempt WHERE job = :job ORDER BY attempt;

-- Not for ever, and not what nobody takes.
SELECT jobs.run('SELECT 1', title => 'Ends couriers', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.wait(:job);
UPDATE jobs.outbox SET state = 'claimed', attempts = 50, claimed_at = now(), courier = 'x', due_at = now() WHERE job = :job;
SELECT count(*) FROM jobs.claim_deliveries('email');
SELECT state, attempts, last_error FROM jobs.delivery WHERE job = :job;
SELECT jobs.run('SELECT 1', title => 'Stale', notify => '{"email": "ada@example.com", "webhook": "https://hooks.example.com/"}') AS job \gset
SELECT jobs.wait(:job);
UPDATE jobs.outbox SET created_at = now() - interval '25 hours', due_at = now() - interval '23 hours' WHERE job = :job AND channel = 'email';
SELECT count(*) FROM jobs.claim_deliveries('email');
UPDATE jobs.outbox SET due_at = now() - interval '25 hours' WHERE job = :job AND channel = 'webhook';
SELECT jobs.run('SELECT 1') AS job2 \gset
SELECT test_poll(format($$(SELECT count(*) = 2 FROM jobs.delivery WHERE job = %s AND state = 'failed')$$, :job));
SELECT channel, state, attempts, last_error FROM jobs.delivery WHERE job = :job ORDER BY channel;
SELECT jobs.delete(:job2);

-- The other side may ask for more time: not less than the own steps, not for ever, and within the day.
SELECT jobs.run('SELECT 1', title => 'Busy', notify => '{"webhook": "https://hooks.example.com/"}') AS job \gset
SELECT jobs.wait(:job);
CREATE FUNCTION fail_asked(job bigint, failed integer, age interval, retry_after interval) RETURNS numeric LANGUAGE sql AS $$
    DELETE FROM jobs.outbox_attempt a WHERE a.job = $1;
    UPDATE jobs.outbox o SET due_at = now(), attempts = $2, created_at = now() - $3 WHERE o.job = $1;
    SELECT jobs.fail_delivery(delivery, attempt, 'HTTP 503', retry_after => $4) FROM jobs.claim_deliveries('webhook');
    SELECT round(extract(epoch FROM next_attempt_at - clock_timestamp()) / 60) FROM jobs.delivery d WHERE d.job = $1
$$;
SELECT asked, fail_asked(:job, 0, '0', asked) AS minutes
  FROM unnest('{NULL, -1 day, 0, 30 s, 10 min, 6 hours, 7 days, 178000000 years}'::interval[]) asked;
SELECT fail_asked(:job, 3, '0', '2 min') BETWEEN 7 AND 9 AS own_steps, fail_asked(:job, 3, '20 hours', '6 hours') AS within_the_day,
       fail_asked(:job, 3, '23:55', '6 hours') IS NULL AS the_day_is_over;
SELECT state, last_error FROM jobs.delivery WHERE job = :job;

-- For good.
SELECT jobs.run('SELECT 1', title => 'No such mailbox', notify => '{"email": "bob@example.com"}') AS job \gset
SELECT jobs.wait(:job);
SELECT jobs.fail_delivery(delivery, attempt, repeat('ü', 1000), true) FROM jobs.claim_deliveries('email');
SELECT state, length(last_error), next_attempt_at FROM jobs.delivery WHERE job = :job;
SELECT jobs.next_delivery('email');

-- Arguments.
SELECT call, test_error('SELECT jobs.' || call) FROM unnest(ARRAY['claim_deliveries(NULL)', 'claim_deliveries(''sms'')', 'claim_deliveries(''Email'')',
       'claim_deliveries(''email'', 0)', 'claim_deliveries(''email'', 1001)', 'claim_deliveries(''email'', 1, ''0'')', 'claim_deliveries(''email'', 1, ''-1 s'')',
       'claim_deliveries(''email'', 1, ''2 hours'')', 'claim_deliveries(''email'', 1, ''178000000 years'')', 'claim_deliveries(''email'', NULL, NULL)',
       'finish_delivery(NULL, 1)', 'finish_delivery(1, NULL)', 'fail_delivery(NULL, 1, ''x'')', 'fail_delivery(1, NULL, ''x'')', 'fail_delivery(1, 1, NULL)',
       'fail_delivery(1, 1, '''')', 'fail_delivery(1, 1, ''x'', NULL)', 'next_delivery(NULL)', 'next_delivery('''')']) call;
BEGIN READ ONLY;
SELECT test_error($$SELECT jobs.claim_deliveries('email')$$);
SELECT test_error($$SELECT jobs.finish_delivery(1, 1)$$);
SELECT test_error($$SELECT jobs.fail_delivery(1, 1, 'x')$$);
SELECT jobs.next_delivery('email');
COMMIT;

-- ----------------------------------------------------------------------------
-- Between the end of a job and its delivery
-- ----------------------------------------------------------------------------

-- A link that is taken back before, or whose file has gone, is not sent.
CREATE FUNCTION downloads() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT shown(substring(body FROM '(Download: [^\n]*|Its link is no longer valid.)') || coalesce(' ' || substring(html FROM '>Download<|no longer valid'), ''))
      FROM jobs.claim_deliveries('email') c WHERE jobs.finish_delivery(c.delivery, c.attempt) ORDER BY job
$$;
SELECT jobs.export('SELECT 1', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.export('SELECT 1', notify => '{"email": "ada@example.com"}') AS job2 \gset
SELECT jobs.export('SELECT 1', notify => '{"email": "ada@example.com"}', expires_in => '1 s') AS job3 \gset
SELECT jobs.wait(:job), jobs.wait(:job2), jobs.wait(:job3);
SELECT jobs.unshare(:job2);
SELECT test_poll(format($$(SELECT expires_at < clock_timestamp() FROM jobs.artifact WHERE job = %s)$$, :job3));
SELECT downloads();
-- A deleted job's message is not sent, and its courier comes too late.
SELECT jobs.run('SELECT 1', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.run('SELECT 1', notify => '{"email": "ada@example.com"}') AS job2 \gset
SELECT jobs.wait(:job), jobs.wait(:job2);
SELECT jobs.delete(:job);
CREATE TEMPORARY TABLE last AS SELECT * FROM jobs.claim_deliveries('email');
SELECT count(*) FROM last;
SELECT jobs.delete(:job2);
SELECT jobs.finish_delivery(delivery, attempt) FROM last;
SELECT count(*) FROM jobs.outbox WHERE job IN (:job, :job2);
-- An address that is not allowed any more.
SELECT jobs.run('SELECT 1', notify => '{"email": "ada@x.example.org"}') AS job \gset
SELECT jobs.wait(:job);
ALTER SYSTEM SET jobs.mail_domains = 'example.com';
CALL test_reload();
SELECT count(*) FROM jobs.claim_deliveries('email');
SELECT state, attempts, last_error FROM jobs.delivery WHERE job = :job;
-- While it is off altogether, or nothing is to start, messages wait.
SELECT jobs.run('SELECT 1', title => 'Waits', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.wait(:job);
ALTER SYSTEM SET jobs.mail_domains = '';
CALL test_reload();
SELECT count(*) FROM jobs.claim_deliveries('email');
SELECT jobs.next_delivery('email');
ALTER SYSTEM SET jobs.mail_domains = '*';
CALL test_reload();
SELECT jobs.next_delivery('email') IS NOT NULL AS due;
-- Nor does it go out from a copy of the server, or for a role that has gone.
UPDATE jobs.outbox SET origin = 0 WHERE job = :job;
SELECT count(*) FROM jobs.claim_deliveries('email');
SELECT state, last_error FROM jobs.delivery WHERE job = :job;
CREATE ROLE regress_jobs_gone LOGIN;
SET ROLE regress_jobs_gone;
SELECT jobs.run('SELECT 1', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.wait(:job);
RESET ROLE;
DROP ROLE regress_jobs_gone;
SELECT count(*) FROM jobs.claim_deliveries('email');
SELECT state, last_error FROM jobs.delivery WHERE job = :job;

-- ----------------------------------------------------------------------------
-- Every way in which a job can end
-- ----------------------------------------------------------------------------

CREATE FUNCTION fail_with(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', $1; END $$;
CREATE FUNCTION subject(job bigint) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT j.state || ', ' || d.state || ': ' || d.subject FROM jobs.delivery d JOIN jobs.job j ON j.id = d.job WHERE d.job = $1 ORDER BY d.id
$$;
SET ROLE regress_jobs_ada;
-- Failed, and with a second attempt, which is told of once.
SELECT jobs.run('SELECT 1/0', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.wait(:job);
SELECT subject(:job);
SELECT jobs.run('SELECT 1/0', max_attempts => 2, title => 'Twice', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.wait(:job);
SELECT subject(:job);
-- And again at the end of a retry.
SELECT jobs.retry(:job);
SELECT jobs.wait(:job);
SELECT subject(:job);
SELECT jobs.run('SELECT pg_sleep(60)', title => 'Slow', timeout => '50 ms', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.wait(:job);
SELECT subject(:job);
-- Cancelled: waiting, running, and because of another job.
SELECT jobs.run('SELECT 1', title => 'Later', run_at => now() + interval '1 day', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.cancel(:job);
SELECT subject(:job);
SELECT jobs.run('SELECT pg_sleep(60)', title => 'Stopped', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.run('SELECT 1', title => 'Next', after => ARRAY[:job], notify => '{"email": "ada@example.com"}') AS job2 \gset
SELECT test_poll(format($$(SELECT pid IS NOT NULL FROM jobs.progress WHERE id = %s)$$, :job));
SELECT jobs.cancel(:job);
SELECT jobs.wait(:job), jobs.wait(:job2);
SELECT subject(:job), subject(:job2);
-- Bulk jobs, with the reasons of what failed.
SELECT jobs.bulk($$SELECT 1 / (($1 ->> 'n')::integer % 10)$$, (SELECT jsonb_agg(jsonb_build_object('n', n)) FROM generate_series(1, 50) n), title => 'Bulk: 50 items',
                 notify => '{"email": "ada@example.com", "webhook": "https://hooks.example.com/"}') AS job \gset
SELECT jobs.wait(:job);
SELECT subject(:job);
SELECT jobs.retry_failed(:job);
SELECT jobs.wait(:job);
SELECT subject(:job);
SELECT jobs.bulk($$SELECT fail_with('reason <' || ($1 ->> 'n') || '>')$$, (SELECT jsonb_agg(jsonb_build_object('n', n % 8)) FROM generate_series(1, 20) n),
                 title => '<b>&"x"</b>', notify => '{"email": "ada@example.com", "webhook": "https://hooks.example.com/"}') AS job3 \gset
SELECT jobs.wait(:job3);
-- Those that clients do.
SELECT jobs.submit('outside', title => 'Invoices', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.submit('outside', title => 'Invoices 2', max_attempts => 1, notify => '{"email": "ada@example.com"}') AS job2 \gset
SELECT jobs.report_progress_of(job, 48, 48), jobs.finish(job) FROM jobs.claim('outside') WHERE job = :job;
SELECT jobs.fail(job, 'no printer') FROM jobs.claim('outside') WHERE job = :job2;
SELECT subject(:job), subject(:job2);
SELECT jobs.bulk(NULL, '[1, 2]', queue => 'outside', title => 'Two for clients', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT count(*) FROM (SELECT jobs.finish_items(:job, ARRAY[item_no], claim => claim) FROM jobs.claim_items(:job, 10)) x;
SELECT jobs.wait(:job);
SELECT subject(:job);
-- Imports and their previews; nothing of the file but counts, and no value of a sensitive column.
RESET ROLE;
CREATE SCHEMA regress_jobs_delivery AUTHORIZATION regress_jobs_ada;
SET ROLE regress_jobs_ada;
CREATE TABLE regress_jobs_delivery.contact (name text NOT NULL, ssn text UNIQUE CHECK (length(ssn) = 4));
SELECT jobs.import_preview('regress_jobs_delivery.contact', E'name,ssn\nAda,1111\nBob,2222\n,3333\nEve,secret\n', filename => 'people.csv', options => '{"sensitive": ["ssn"]}',
                           notify => '{"email": "ada@example.com", "webhook": "https://hooks.example.com/"}') AS job3 \gset
SELECT jobs.wait(:job3);
SELECT subject(:job3);
SELECT jobs.import(:job3, notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.wait(:job);
SELECT subject(:job);
-- What a trigger says may be about such a value.
CREATE FUNCTION regress_jobs_delivery.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'bad number %', NEW.ssn; END $$;
CREATE CONSTRAINT TRIGGER tell AFTER INSERT ON regress_jobs_delivery.contact DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION regress_jobs_delivery.tell();
SELECT jobs.import_preview('regress_jobs_delivery.contact', E'name,ssn\nDan,4444\n', options => '{"sensitive": ["ssn"]}') AS job \gset
SELECT jobs.wait(:job);
SELECT jobs.import(:job, notify => '{"email": "ada@example.com", "webhook": "https://hooks.example.com/"}') AS job2 \gset
SELECT jobs.wait(:job2);
SELECT error_message FROM jobs.job WHERE id = :job2;
SELECT subject(:job2);
-- In a transaction that does more, or that is rolled back.
BEGIN;
SELECT jobs.run('SELECT 1', title => 'At once', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.cancel(:job);
SELECT subject(:job);
ROLLBACK;
SELECT subject(:job);
RESET ROLE;
-- Whose owner may not run anything any more.
CREATE ROLE regress_jobs_left LOGIN;
SET SESSION AUTHORIZATION regress_jobs_left;
SELECT jobs.run('SELECT 1', title => 'Left', queue => 'held', notify => '{"email": "ada@example.com"}') AS job \gset
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_jobs_left NOLOGIN;
SELECT jobs.resume('held');
SELECT jobs.wait(:job);
SELECT subject FROM jobs.delivery WHERE job = :job;
-- All of it.
SELECT count(*) > 15 AS mails FROM jobs.claim_deliveries('email', 100);
CREATE TEMPORARY TABLE hooks AS SELECT * FROM jobs.claim_deliveries('webhook', 100);
SELECT shown(payload) FROM hooks ORDER BY job;
SELECT count(*) FROM hooks WHERE shown(payload) ~ 'secret|1111|2222|3333|4444';
SELECT count(*) FROM jobs.outbox WHERE shown(concat(subject, body, html, payload)) ~ 'secret|1111|2222|3333|4444';
SELECT shown(body), shown(html) FROM jobs.outbox WHERE subject LIKE '<b>%' AND channel = 'email';
SELECT count(*) FROM jobs.outbox WHERE html ~ '<b>' OR html !~ '^<!DOCTYPE html>' OR subject ~ '[[:cntrl:]]';

-- ----------------------------------------------------------------------------
-- Odd texts
-- ----------------------------------------------------------------------------

SELECT jobs.run('SELECT 1', title => repeat('x', 500), notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.wait(:job);
SELECT length(subject), right(subject, 30) FROM jobs.delivery WHERE job = :job;
SELECT jobs.run('SELECT 1', title => U&'evil\202Efdp.exe \0085\2028 <img src=x onerror=alert(1)>', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.wait(:job);
SELECT subject FROM jobs.delivery WHERE job = :job;
SELECT html ~ '<img' AS img, html ~ '&lt;img src=x onerror=alert\(1\)&gt;' AS escaped, body ~ U&'\202E' AS reversed FROM jobs.claim_deliveries('email');
SELECT jobs.run($$SELECT fail_with(E'line one\r\nBcc: all@example.com\t\x01\x02\x03\x04 <b>')$$, title => 'Lines', notify => '{"email": "ada@example.com", "webhook": "https://hooks.example.com/"}') AS job \gset
SELECT jobs.wait(:job);
SELECT subject FROM jobs.delivery WHERE job = :job AND channel = 'email';
SELECT shown(body) FROM jobs.claim_deliveries('email');
SELECT payload::jsonb #> '{data,error_message}' FROM jobs.claim_deliveries('webhook');

-- A template without a token is a link for every job.
ALTER SYSTEM SET jobs.link_template = 'https://app.example.com/#/jobs/{job}';
CALL test_reload();
SELECT jobs.run('SELECT 1', notify => '{"email": "ada@example.com", "webhook": "https://hooks.example.com/"}') AS job \gset
SELECT jobs.wait(:job);
SELECT shown(replace(body, :'job', 'N')) FROM jobs.claim_deliveries('email');
SELECT replace(payload::jsonb #>> '{data,link}', :'job', 'N') FROM jobs.claim_deliveries('webhook');

-- ----------------------------------------------------------------------------
-- Not too many
-- ----------------------------------------------------------------------------

ALTER ROLE regress_jobs_eve SET jobs.max_deliveries_per_role = 3;
SET SESSION AUTHORIZATION regress_jobs_eve;
SELECT count(jobs.run('SELECT 1', title => 'flood', run_at => now() + interval '1 day', notify => '{"email": "ada@example.com"}')) FROM generate_series(1, 10);
SELECT count(jobs.cancel(id)) FROM jobs.job WHERE title = 'flood';
SELECT state, count(*), min(last_error) FROM jobs.delivery GROUP BY state ORDER BY state;
SELECT test_error($$SELECT jobs.run('SELECT 1', notify => '{"email": "ada@example.com"}')$$);
RESET SESSION AUTHORIZATION;
SET ROLE regress_jobs_eve;
SELECT test_error($$SELECT jobs.run('SELECT 1', notify => '{"email": "ada@example.com"}')$$);
RESET ROLE;
-- Deleting jobs whose messages have been sent does not help; they are not to be seen any more, and forgotten after the hour.
UPDATE jobs.outbox SET state = 'claimed', attempts = 1, claimed_at = now(), courier = 'x', due_at = now() + interval '1 minute'
 WHERE id IN (SELECT id FROM jobs.outbox WHERE owner = 'regress_jobs_eve'::regrole AND state = 'pending' ORDER BY id LIMIT 2);
SET ROLE regress_jobs_eve;
SELECT count(jobs.delete(id)) FROM jobs.job WHERE title = 'flood' AND id IN (SELECT job FROM jobs.delivery WHERE state = 'claimed');
SELECT state, count(*) FROM jobs.delivery GROUP BY state ORDER BY state;
SELECT test_error($$SELECT jobs.run('SELECT 1', notify => '{"email": "ada@example.com"}')$$);
RESET ROLE;
SELECT state, count(*), max(concat(address, subject, body, html, payload, answer)) FROM jobs.outbox WHERE job = 0 AND owner = 'regress_jobs_eve'::regrole GROUP BY state;
-- One that nobody has taken yet has not been sent.
SET ROLE regress_jobs_eve;
SELECT count(jobs.delete(id)) FROM jobs.job WHERE title = 'flood' AND id IN (SELECT job FROM jobs.delivery WHERE state = 'pending');
SELECT test_error($$SELECT jobs.run('SELECT 1', title => 'scheduled', run_at => '2100-01-01 UTC', notify => '{"email": "ada@example.com"}')$$);
RESET ROLE;
-- Those of another hour do not count, nor those that were too many.
UPDATE jobs.outbox SET created_at = created_at - interval '1 hour' WHERE owner = 'regress_jobs_eve'::regrole;
SET ROLE regress_jobs_eve;
SELECT jobs.run('SELECT 1', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.wait(:job);
RESET ROLE;

-- ----------------------------------------------------------------------------
-- Tenants; the panel; retention
-- ----------------------------------------------------------------------------

SELECT count(*) > 0 AS rest FROM jobs.claim_deliveries('email', 1000);
SET jobs.tenant = 'acme';
SELECT jobs.run('SELECT 1', title => 'of acme', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.wait(:job);
SET jobs.tenant = 'umbrella';
SELECT count(*) FROM jobs.delivery;
SELECT count(*) FROM jobs.claim_deliveries('email', 1000);
SELECT jobs.next_delivery('email');
SET jobs.tenant = 'acme';
SELECT subject FROM jobs.delivery;
SELECT subject FROM jobs.claim_deliveries('email', 1000);
RESET jobs.tenant;

-- This session is a courier for mail and for webhooks; where there is none the panel says nothing of mail.
SELECT jobs.pause('held');
SELECT jobs.run('SELECT 1', title => 'with mail', queue => 'held', notify => '{"email": "ada@example.com"}') AS job \gset
SELECT jobs.run('SELECT 1', title => 'with a webhook', queue => 'held', notify => '{"webhook": "https://hooks.example.com/"}') AS job2 \gset
SELECT jobs.run('SELECT 1', title => 'without', queue => 'held') AS job3 \gset
SELECT jobs.run('SELECT 1', title => 'scheduled', run_at => '2100-01-01 UTC', notify => '{"email": "ada@example.com"}') AS job4 \gset
SELECT title, state, detail FROM jobs.panel WHERE id IN (:job, :job2, :job3, :job4) ORDER BY id;
\c -
\pset format unaligned
\pset tuples_only on
SELECT title, detail FROM jobs.panel WHERE title LIKE 'with%' ORDER BY id;
SELECT count(*) FROM jobs.claim_deliveries('webhook');
SELECT title, detail FROM jobs.panel WHERE title LIKE 'with%' ORDER BY id;
SELECT count(*) FROM jobs.claim_deliveries('email');
SELECT title, detail FROM jobs.panel WHERE title LIKE 'with%' ORDER BY id;
ALTER SYSTEM SET jobs.mail_domains = 'example.org';
CALL test_reload();
SELECT title, detail FROM jobs.panel WHERE title LIKE 'with%' ORDER BY id;

ALTER SYSTEM RESET jobs.mail_domains;
ALTER SYSTEM RESET jobs.webhook_hosts;
ALTER SYSTEM RESET jobs.link_template;
CALL test_reload();
SELECT jobs.resume('held');
SELECT count(jobs.cancel(id)) FROM jobs.job WHERE title = 'scheduled';
SELECT test_poll($$NOT EXISTS (SELECT FROM jobs.job WHERE queue = 'held' AND finished_at IS NULL)$$);
SELECT count(jobs.delete(id)) > 30 AS deleted FROM jobs.job WHERE queue = 'held' OR id IN (SELECT job FROM jobs.delivery);
SELECT (SELECT count(*) FROM jobs.outbox WHERE job <> 0) AS outbox, (SELECT count(*) FROM jobs.outbox_attempt) AS attempts;
DROP SCHEMA regress_jobs_delivery CASCADE;
DROP OWNED BY regress_jobs_ada, regress_jobs_courier, regress_jobs_left, regress_jobs_eve;
DROP ROLE regress_jobs_ada, regress_jobs_eve, regress_jobs_courier, regress_jobs_left;
DROP FUNCTION shown(text), asked(text, text), fail_again(), fail_asked(bigint, integer, interval, interval), downloads(), fail_with(text), subject(bigint);
