-- Clients do the items of bulk jobs without a command.

SELECT current_user AS admin \gset
CREATE ROLE regress_jobs_alice LOGIN;
CREATE ROLE regress_jobs_fleet LOGIN;
\c - regress_jobs_alice

-- Claimed, finished with results, failed, skipped; counts at once.
SELECT jobs.bulk(NULL, '[{"to": "a@b.de"}, {"to": "bob@"}, "text", 4, [5], {"to": "f@b.de"}]', title => 'Invite 6 people',
    queue => 'outside_mail') AS job \gset
SELECT kind, title, state, waiting_for, command, processed, total FROM jobs.job WHERE id = :job;
SELECT headline, detail, actions FROM jobs.panel WHERE id = :job;
SELECT job = :job AS same, title, owner, tenant FROM jobs.claimable('outside_mail');
SELECT count(*) FROM jobs.claim('outside_mail', 10);
SELECT item_no, payload, claim > 0 AS claim, lease_until BETWEEN now() + '50 s' AND now() + '2 min' AS lease
  FROM jobs.claim_items(:job, 4);
SELECT state, attempt, started_at IS NOT NULL AS started FROM jobs.job WHERE id = :job;
SELECT first_item, items, client FROM jobs.lease WHERE job = :job;
SELECT headline, detail FROM jobs.panel WHERE id = :job;
SELECT jobs.finish_items(:job, '{4,1}', '[{"id": "m-4"}, {"id": "m-1"}]');
SELECT jobs.fail_item(:job, 2, 'invalid email address', '22023');
SELECT processed, total, percent, succeeded, failed, skipped, phase FROM jobs.progress WHERE id = :job;
SELECT first_item, items, client FROM jobs.lease WHERE job = :job;
SELECT item_no, state, error_code, error_message, result FROM jobs.item WHERE job = :job ORDER BY item_no;
SELECT item_no FROM jobs.claim_items(:job, 10);
SELECT item_no FROM jobs.claim_items(:job, 10);
SELECT jobs.fail_item(:job, 3, 'not any more', 'JB001');
SELECT jobs.finish_items(:job, '{5,6}', '[null, 6]');
SELECT jobs.wait(:job);
SELECT state, processed, total, succeeded, failed, skipped, round, attempt FROM jobs.job WHERE id = :job;
SELECT headline, detail, actions FROM jobs.panel WHERE id = :job;
SELECT item_no, state, round, error_code, error_message, result FROM jobs.item WHERE job = :job ORDER BY item_no;
SELECT * FROM jobs.failures(:job);
SELECT count(*) FROM jobs.claimable('outside_mail');
SELECT count(*) FROM jobs.claim_items(:job);
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{2}'')', :job));

-- The next round: only the failed ones.
SELECT jobs.retry_failed(:job);
SELECT state, waiting_for, round, processed, failed FROM jobs.job WHERE id = :job;
SELECT item_no, payload FROM jobs.claim_items(:job, 10);
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{1}'')', :job));
SELECT jobs.finish_items(:job, '{2}');
SELECT jobs.wait(:job);
SELECT state, succeeded, failed, skipped, round FROM jobs.job WHERE id = :job;
SELECT detail FROM jobs.panel WHERE id = :job;
SELECT jobs.delete(:job);

-- Answers all or none; what was never claimed, and numbers that are none.
SELECT jobs.bulk(NULL, '[1, 2, 3, 4, 5]', queue => 'outside_mail') AS job \gset
SELECT claim FROM jobs.claim_items(:job, 2) LIMIT 1 \gset
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{1,2,3}'')', :job));
SELECT count(*) FROM jobs.item WHERE job = :job AND state = 'open';
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{0}'')', :job));
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{6}'')', :job));
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{1,1}'')', :job));
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{1,NULL}'')', :job));
SELECT test_error(format('SELECT jobs.finish_items(%s, NULL)', :job));
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{1}'', ''{}'')', :job));
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{1}'', ''1'')', :job));
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{1}'', ''[1, 2]'')', :job));
SELECT jobs.finish_items(:job, '{}');
SELECT test_error(format('SELECT jobs.fail_item(%s, NULL, ''m'')', :job));
SELECT test_error(format('SELECT jobs.fail_item(%s, 1, NULL)', :job));
SELECT test_error(format('SELECT jobs.fail_item(%s, 1, ''m'', ''x'')', :job));
SELECT test_error(format('SELECT jobs.fail_item(%s, 4, ''m'')', :job));
SELECT test_error(format('SELECT count(*) FROM jobs.claim_items(%s, 0)', :job));
SELECT test_error(format('SELECT count(*) FROM jobs.claim_items(%s, 1, ''-1 s'')', :job));
SELECT test_error('SELECT count(*) FROM jobs.claim_items(NULL)');
SELECT test_error('SELECT count(*) FROM jobs.claim_items(0)');
SELECT test_error('SELECT * FROM jobs.claimable(NULL)');
-- Functions for whole jobs, and for items of a job that has none.
SELECT test_error(format('SELECT jobs.finish(%s)', :job));
SELECT test_error(format('SELECT jobs.report_progress_of(%s, 1)', :job));
SELECT jobs.submit('outside_mail') AS whole \gset
SELECT test_error(format('SELECT count(*) FROM jobs.claim_items(%s)', :whole));
SELECT jobs.cancel(:whole);
SELECT jobs.bulk('SELECT $1', '[1]') AS here \gset
SELECT test_error(format('SELECT count(*) FROM jobs.claim_items(%s)', :here));
SELECT jobs.wait(:here);

-- In another session only with the number.
\c - regress_jobs_alice
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{1}'')', :job));
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{1}'', claim => 1)', :job));
SELECT test_error(format('SELECT jobs.extend_lease(%s)', :job));
SELECT test_error(format('SELECT jobs.extend_lease(%s, claim => 1)', :job));
SELECT jobs.extend_lease(:job, '1 hour', claim => :claim) > now() + '59 min' AS extended;
SELECT jobs.finish_items(:job, '{1}', claim => :claim);
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{1}'', claim => %s)', :job, :claim));
-- What is left is given back; it is there at once, in whatever session.
SELECT jobs.release(:job, claim => :claim);
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{2}'', claim => %s)', :job, :claim));
SELECT item_no FROM jobs.claim_items(:job, 2);

-- Some of a claim's items are kept for longer; the others have the time that they had.
SELECT jobs.bulk(NULL, '[1, 2, 3, 4, 5, 6]', queue => 'outside_mail') AS some \gset
SELECT claim FROM jobs.claim_items(:some, 6, '1 hour') LIMIT 1 \gset
SELECT jobs.finish_items(:some, '{3}');
SELECT jobs.extend_lease(:some, '2 hours', items => '{5,2,4}') > now() + '119 min' AS extended;
SELECT first_item, items, lease_until > now() + '119 min' AS longer FROM jobs.lease WHERE job = :some ORDER BY 1;
SELECT jobs.extend_lease(:some, '1 min', items => '{5}') < now() + '2 min' AS asked;
SELECT first_item, items, lease_until > now() + '119 min' AS longer FROM jobs.lease WHERE job = :some ORDER BY 1;
SELECT test_error(format('SELECT jobs.extend_lease(%s, items => ''{2,3}'')', :some));
SELECT test_error(format('SELECT jobs.extend_lease(%s, items => ''{7}'')', :some));
SELECT test_error(format('SELECT jobs.extend_lease(%s, items => ''{1,1}'')', :some));
SELECT test_error(format('SELECT jobs.extend_lease(%s, items => ''{1,NULL}'')', :some));
SELECT test_error(format('SELECT jobs.extend_lease(%s, claim => 1, items => ''{1}'')', :some));
SELECT jobs.extend_lease(:some, items => '{}') >= now() AS nothing;
-- Or given back.
SELECT jobs.release(:some, items => '{1,4}');
SELECT item_no FROM jobs.claim_items(:some, 10, '1 hour');
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{1}'', claim => %s)', :some, :claim));
SELECT jobs.finish_items(:some, '{2,5,6}', claim => :claim);
SELECT jobs.finish_items(:some, '{1,4}');
SELECT jobs.wait(:some);
SELECT jobs.submit('outside_mail') AS whole \gset
SELECT count(*) FROM jobs.claim('outside_mail');
SELECT test_error(format('SELECT jobs.extend_lease(%s, items => ''{1}'')', :whole));
SELECT test_error(format('SELECT jobs.release(%s, items => ''{1}'')', :whole));
SELECT jobs.cancel(:whole);

-- Failures in a row with the same error stop the job; another outcome between them, or another error, does not.
SELECT jobs.bulk(NULL, (SELECT jsonb_agg(n) FROM generate_series(1, 12) AS n), stop_after => 3, title => 'Stops') AS stops \gset
SELECT count(*) FROM jobs.claim_items(:stops, 12);
SELECT jobs.fail_item(:stops, n, 'no route') FROM generate_series(1, 2) AS n;
SELECT jobs.finish_items(:stops, '{3}');
SELECT jobs.fail_item(:stops, n, 'no route') FROM generate_series(4, 5) AS n;
SELECT jobs.fail_item(:stops, 6, 'no route', '08006');
SELECT jobs.fail_item(:stops, n, 'no route') FROM generate_series(7, 8) AS n;
BEGIN;
SELECT jobs.fail_item(:stops, 9, 'no route');
ROLLBACK;
SELECT state, failed FROM jobs.progress WHERE id = :stops;
SELECT jobs.fail_item(:stops, 9, 'no route');
SELECT jobs.wait(:stops);
SELECT state, processed, failed, error_code, error_message FROM jobs.job WHERE id = :stops;
SELECT headline, actions FROM jobs.panel WHERE id = :stops;
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{10}'')', :stops));
SELECT jobs.retry(:stops);
SELECT item_no FROM jobs.claim_items(:stops, 12);
SELECT jobs.finish_items(:stops, '{10,11,12}');
SELECT jobs.wait(:stops);
SELECT state, processed, succeeded, failed FROM jobs.job WHERE id = :stops;
-- It holds in each round.
SELECT jobs.retry_failed(:stops);
SELECT count(*) FROM jobs.claim_items(:stops, 12);
SELECT jobs.fail_item(:stops, n, 'still none') FROM generate_series(1, 2) AS n;
SELECT jobs.fail_item(:stops, 4, 'still none');
SELECT jobs.wait(:stops);
SELECT error_message FROM jobs.job WHERE id = :stops;

-- A lease that runs out gives its items back, as often as it likes.
SELECT jobs.finish_items(:job, '{2,3}');
SELECT item_no FROM jobs.claim_items(:job, 2, '1 ms');
SELECT pg_sleep(0.002);
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{4}'')', :job));
SELECT item_no FROM jobs.claim_items(:job, 1, '1 ms');
SELECT pg_sleep(0.002);
SELECT item_no FROM jobs.claim_items(:job, 2);
SELECT attempt, state FROM jobs.job WHERE id = :job;

-- A paused queue gives nothing out; answers count.
SELECT jobs.pause('outside_mail');
SELECT jobs.finish_items(:job, '{4}');
SELECT jobs.release(:job);
SELECT count(*) FROM jobs.claim_items(:job);
SELECT count(*) FROM jobs.claimable('outside_mail');
SELECT jobs.resume('outside_mail');
SELECT item_no FROM jobs.claim_items(:job);

-- Cancelled: what is done stays done, the rest is refused, and can be done later.
SELECT jobs.cancel(:job);
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{5}'')', :job));
SELECT test_error(format('SELECT jobs.extend_lease(%s)', :job));
SELECT state, processed, succeeded, total FROM jobs.job WHERE id = :job;
SELECT jobs.retry(:job);
SELECT item_no FROM jobs.claim_items(:job, 10);
SELECT jobs.finish_items(:job, '{5}');
SELECT jobs.wait(:job);
SELECT state, processed, succeeded, total FROM jobs.job WHERE id = :job;

-- Rolled back, with a savepoint too.
SELECT jobs.bulk(NULL, (SELECT jsonb_agg(n) FROM generate_series(1, 1000) AS n)) AS job \gset
BEGIN;
SELECT count(*), min(item_no), max(item_no) FROM jobs.claim_items(:job, 600);
ROLLBACK;
SELECT state FROM jobs.job WHERE id = :job;
BEGIN;
SELECT count(*), min(item_no), max(item_no) FROM jobs.claim_items(:job, 300);
SAVEPOINT s;
SELECT count(*), min(item_no), max(item_no) FROM jobs.claim_items(:job, 300);
ROLLBACK TO s;
SELECT count(*), min(item_no), max(item_no) FROM jobs.claim_items(:job, 300);
SELECT jobs.finish_items(:job, (SELECT array_agg(n) FROM generate_series(2, 600, 2) AS n));
SAVEPOINT s;
SELECT jobs.finish_items(:job, (SELECT array_agg(n) FROM generate_series(1, 600, 2) AS n));
ROLLBACK TO s;
COMMIT;
SELECT processed, succeeded FROM jobs.progress WHERE id = :job;
-- The gaps of an earlier claim, and leases that are as short.
SELECT jobs.release(:job);
SELECT count(*), min(item_no), max(item_no) FROM jobs.claim_items(:job, 10000);
SELECT count(*) FROM jobs.claim_items(:job);
SELECT jobs.finish_items(:job, (SELECT array_agg(item_no) FROM jobs.item WHERE job = :job AND state = 'open'));
SELECT jobs.wait(:job);
SELECT state, processed, succeeded, total FROM jobs.job WHERE id = :job;

-- A timeout ends the leases and the job, or the attempt.
SELECT jobs.bulk(NULL, '[1, 2]', timeout => '2 s') AS job \gset
SELECT count(*) FROM jobs.claim_items(:job, 2, '1 hour');
SELECT jobs.finish_items(:job, '{1}');
SELECT jobs.wait(:job);
SELECT state, error_code, error_message, processed, succeeded FROM jobs.job WHERE id = :job;
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{2}'')', :job));

-- All failed.
SELECT jobs.bulk(NULL, '[1]') AS job \gset
SELECT count(*) FROM jobs.claim_items(:job);
SELECT jobs.fail_item(:job, 1, repeat('x', 5000));
SELECT jobs.wait(:job);
SELECT state, failed FROM jobs.job WHERE id = :job;
SELECT length(error_message), error_code FROM jobs.item WHERE job = :job;

SELECT jobs.bulk(NULL, '[1]', queue => 'outside_mail') AS job \gset
SELECT count(*) FROM jobs.claim_items(:job);
SELECT test_error(format('SELECT jobs.finish_items(%s, array_fill(1, ARRAY[10001]))', :job));
SELECT test_error(format('SELECT jobs.finish_items(%s, ''{1}'', jsonb_build_array(repeat(''x'', 17000000)))', :job));
SELECT jobs.finish_items(:job, '{1}');
SELECT jobs.wait(:job);

-- The items of a query are found by the server, and then done by clients.
SELECT jobs.bulk_query(NULL, 'SELECT n FROM generate_series(1, 3) AS n', queue => 'outside_mail', title => 'Found here') AS job \gset
SELECT test_poll(format('EXISTS (SELECT FROM jobs.claimable(''outside_mail'') WHERE job = %s)', :job));
SELECT state, waiting_for, attempt, processed, total FROM jobs.job WHERE id = :job;
SELECT item_no, payload FROM jobs.claim_items(:job, 10);
SELECT jobs.finish_items(:job, '{1,2,3}');
SELECT jobs.wait(:job);
SELECT state, attempt, processed, total, succeeded FROM jobs.job WHERE id = :job;
SELECT jobs.bulk_query(NULL, 'SELECT 1 AS n WHERE false', queue => 'outside_mail') AS job \gset
SELECT jobs.wait(:job);
SELECT state, processed, total FROM jobs.job WHERE id = :job;
SELECT jobs.bulk_query(NULL, 'SELECT 1 / (n - 1) FROM generate_series(1, 3) AS n', queue => 'outside_mail') AS job \gset
SELECT jobs.wait(:job);
SELECT state, error_message, total FROM jobs.job WHERE id = :job;

-- Who: a grant, a tenant.
SELECT jobs.bulk(NULL, '[1, 2]', queue => 'outside_mail') AS job \gset
\c - regress_jobs_fleet
SELECT count(*) FROM jobs.claimable('outside_mail');
SELECT test_error(format('SELECT count(*) FROM jobs.claim_items(%s)', :job));
\c - regress_jobs_alice
SELECT jobs.grant_claim('outside_mail', 'regress_jobs_fleet');
\c - regress_jobs_fleet
SELECT job = :job AS same, owner FROM jobs.claimable('outside_mail');
SELECT item_no, payload FROM jobs.claim_items(:job, 1);
SELECT jobs.finish_items(:job, '{1}');
SELECT count(*) FROM jobs.item;
SELECT count(*) FROM jobs.lease;
SET jobs.tenant = 'acme';
SELECT test_error(format('SELECT count(*) FROM jobs.claim_items(%s)', :job));
SELECT count(*) FROM jobs.claimable('outside_mail');
RESET jobs.tenant;
SELECT jobs.fail_item(:job, item_no, 'no') FROM jobs.claim_items(:job);
\c - regress_jobs_alice
SELECT jobs.wait(:job);
SELECT jobs.revoke_claim('outside_mail', 'regress_jobs_fleet');
BEGIN READ ONLY;
SELECT * FROM jobs.claim_items(:job);
ROLLBACK;
BEGIN READ ONLY;
SELECT jobs.finish_items(:job, '{1}');
ROLLBACK;

-- Nothing is left.
\c - :admin
SELECT count(*) FROM jobs.item_lease;
SELECT count(*) FROM jobs.offer;
SELECT count(jobs.delete(id)) > 0 AS deleted FROM jobs.job WHERE kind = 'bulk';
DROP ROLE regress_jobs_alice, regress_jobs_fleet;
