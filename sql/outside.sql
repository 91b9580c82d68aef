-- Jobs that clients do: jobs.submit, jobs.claim, and what they answer.

SELECT current_user AS admin \gset
CREATE ROLE regress_jobs_alice LOGIN;
CREATE ROLE regress_jobs_bob LOGIN;
CREATE ROLE regress_jobs_fleet LOGIN;
SET ROLE regress_jobs_alice;

-- Submitted, shown, claimed, reported, finished.
SELECT jobs.submit('outside_a', '{"month": "2026-10"}', title => 'Generate: Monthly Invoice PDFs') AS job \gset
SELECT kind, title, state, waiting_for, max_attempts, command, options FROM jobs.job WHERE id = :job;
SELECT state, headline, detail, actions FROM jobs.panel WHERE id = :job;
SELECT jobs.wait(:job, '0');
SELECT job = :job AS same, payload, title, owner, tenant, attempt, claim > 0 AND claim < 2::numeric ^ 53 AS claim,
       lease_until BETWEEN now() + '50 s' AND now() + '2 min' AS lease
  FROM jobs.claim('outside_a');
SELECT count(*) FROM jobs.claim('outside_a');
SELECT client, lease_until - claimed_at < '61 s' AS lease FROM jobs.lease WHERE job = :job;
SELECT jobs.report_progress_of(:job, 12, 48, 'Customer 12 of 48');
SELECT state, phase, processed, total, percent, message, pid FROM jobs.progress WHERE id = :job;
SELECT headline, detail FROM jobs.panel WHERE id = :job;
-- The percentage does not go back.
SELECT jobs.report_progress_of(:job, 6);
SELECT processed, total, percent, message FROM jobs.progress WHERE id = :job;
SELECT jobs.extend_lease(:job, '1 hour') > now() + '59 min' AS extended;
SELECT jobs.extend_lease(:job, '1 s') > now() + '59 min' AS not_shortened;
SELECT jobs.finish(:job, '{"files": 48}');
SELECT state, attempt, processed, total, result, error_code FROM jobs.job WHERE id = :job;
SELECT headline, detail, actions FROM jobs.panel WHERE id = :job;
SELECT jobs.wait(:job);
SELECT count(*) FROM jobs.lease WHERE job = :job;

-- Nothing more can be said of it.
SELECT test_error(format('SELECT jobs.finish(%s)', :job));
SELECT test_error(format('SELECT jobs.fail(%s, ''late'')', :job));
SELECT test_error(format('SELECT jobs.release(%s)', :job));
SELECT test_error(format('SELECT jobs.extend_lease(%s)', :job));
SELECT test_error(format('SELECT jobs.report_progress_of(%s, 1)', :job));

-- Payloads of every kind, and none.
SELECT jobs.submit('outside_a', '"text"') IS NOT NULL, jobs.submit('outside_a', '[1, 2]') IS NOT NULL,
       jobs.submit('outside_a', 'null') IS NOT NULL, jobs.submit('outside_a') IS NOT NULL;
SELECT payload, payload IS NULL AS none, title FROM jobs.claim('outside_a', 10);
SELECT jobs.finish(job) FROM jobs.lease;

-- It takes no worker; background workers leave it alone.
SELECT jobs.submit('default') AS job \gset
SELECT jobs.run('SELECT 1') AS run \gset
SELECT jobs.wait(:run);
SELECT state FROM jobs.job WHERE id = :job;
SELECT test_error(format('SELECT jobs.finish(%s)', :run));
SELECT jobs.cancel(:job);

-- Priorities, then the order of submission; several at once.
SELECT jobs.submit('outside_a', to_jsonb(n), priority => n % 2) IS NOT NULL AS submitted FROM generate_series(1, 6) AS n;
SELECT payload FROM jobs.claim('outside_a', 2);
SELECT payload FROM jobs.claim('outside_a', 3);
SELECT payload FROM jobs.claim('outside_a', 3);
SELECT jobs.finish(job) FROM jobs.lease;

-- A failure, attempts, and none of them any more.
SELECT jobs.submit('outside_a', max_attempts => 2) AS job \gset
SELECT attempt FROM jobs.claim('outside_a');
SELECT jobs.fail(:job, 'No paper', 'JX001');
SELECT state, attempt, error_code, error_message, waiting_for FROM jobs.job WHERE id = :job;
SELECT headline ~ '^Scheduled · Next attempt in \d+ s$' AS headline, detail FROM jobs.panel WHERE id = :job;
SELECT test_poll('count(*) = 1 FROM jobs.claim(''outside_a'')');
SELECT state, attempt, error_code FROM jobs.job WHERE id = :job;
SELECT jobs.fail(:job, E'Still no paper\nsecond line');
SELECT state, attempt, error_code, error_message FROM jobs.job WHERE id = :job;
SELECT headline, actions FROM jobs.panel WHERE id = :job;
SELECT jobs.retry(:job);
SELECT attempt FROM jobs.claim('outside_a');
SELECT jobs.fail(:job, 'Never', retry => false);
SELECT jobs.delete(:job);

-- Given back.
SELECT jobs.submit('outside_a', max_attempts => 1) AS job \gset
SELECT attempt FROM jobs.claim('outside_a');
SELECT jobs.release(:job);
SELECT state, attempt, started_at FROM jobs.job WHERE id = :job;
SELECT test_error(format('SELECT jobs.finish(%s)', :job));

-- A claim that is rolled back was none; one with its end in the same transaction.
BEGIN;
SELECT attempt FROM jobs.claim('outside_a');
ROLLBACK;
SELECT state, attempt FROM jobs.job WHERE id = :job;
BEGIN;
SELECT attempt FROM jobs.claim('outside_a');
SELECT jobs.finish(:job);
COMMIT;
SELECT state, attempt FROM jobs.job WHERE id = :job;

-- A lease that runs out costs an attempt.
SELECT jobs.submit('outside_a', max_attempts => 1) AS job \gset
SELECT attempt FROM jobs.claim('outside_a', lease => '1 ms');
SELECT jobs.wait(:job);
SELECT state, attempt, error_code, error_message, error_detail FROM jobs.job WHERE id = :job;
SELECT test_error(format('SELECT jobs.finish(%s)', :job));
SELECT jobs.submit('outside_a', max_attempts => 2) AS job \gset
SELECT attempt FROM jobs.claim('outside_a', lease => '1 ms');
SELECT test_poll('count(*) = 1 FROM jobs.claim(''outside_a'')');
SELECT jobs.finish(:job);
SELECT state, attempt, error_code FROM jobs.job WHERE id = :job;

-- Also while its row says running still, where the scheduler has not seen it yet.
BEGIN;
SELECT jobs.submit('outside_a') AS job \gset
SELECT attempt FROM jobs.claim('outside_a', lease => '1 us');
SELECT test_error(format('SELECT jobs.finish(%s)', :job));
SELECT test_error(format('SELECT jobs.report_progress_of(%s, 1)', :job));
ROLLBACK;

-- The timeout ends the lease.
SELECT jobs.submit('outside_a', max_attempts => 1, timeout => '1 ms') AS job \gset
SELECT attempt FROM jobs.claim('outside_a', lease => '1 hour');
SELECT jobs.wait(:job);
SELECT state, error_code, error_message FROM jobs.job WHERE id = :job;

-- Cancelled: at once, and its client is told when it next says something.
SELECT jobs.submit('outside_a') AS job \gset
SELECT jobs.cancel(:job);
SELECT count(*) FROM jobs.claim('outside_a');
SELECT jobs.retry(:job);
SELECT attempt FROM jobs.claim('outside_a');
SELECT jobs.cancel(:job), jobs.cancel(:job);
SELECT state, error_code FROM jobs.job WHERE id = :job;
SELECT test_error(format('SELECT jobs.report_progress_of(%s, 1)', :job));
SELECT test_error(format('SELECT jobs.extend_lease(%s)', :job));
SELECT test_error(format('SELECT jobs.finish(%s)', :job));

-- The claim's number: of another claim, and in another session.
SELECT jobs.retry(:job);
SELECT claim AS old FROM jobs.claim('outside_a') \gset
SELECT jobs.release(:job);
SELECT claim FROM jobs.claim('outside_a') \gset
SELECT test_error(format('SELECT jobs.finish(%s, claim => %s)', :job, :old));
\c - regress_jobs_alice
SELECT test_error(format('SELECT jobs.finish(%s)', :job));
SELECT test_error(format('SELECT jobs.fail(%s, ''no'')', :job));
SELECT test_error(format('SELECT jobs.release(%s)', :job));
SELECT test_error(format('SELECT jobs.extend_lease(%s)', :job));
SELECT test_error(format('SELECT jobs.report_progress_of(%s, 1)', :job));
SELECT jobs.report_progress_of(:job, 1, claim => :claim);
SELECT jobs.extend_lease(:job, claim => :claim) > now() AS extended;
SELECT jobs.finish(:job, claim => :claim);

-- A time to come, another job, a unique key, a paused queue.
SELECT jobs.submit('outside_a', run_at => now() + '1 hour') AS job \gset
SELECT state, waiting_for FROM jobs.job WHERE id = :job;
SELECT count(*) FROM jobs.claim('outside_a');
SELECT jobs.cancel(:job);
SELECT jobs.submit('outside_a', run_at => now() + '10 ms') AS job \gset
SELECT test_poll('count(*) = 1 FROM jobs.claim(''outside_a'')');
SELECT jobs.submit('outside_a', after => ARRAY[:job]) AS next \gset
SELECT state, waiting_for FROM jobs.job WHERE id = :next;
SELECT count(*) FROM jobs.claim('outside_a');
SELECT jobs.finish(:job);
SELECT test_poll('count(*) = 1 FROM jobs.claim(''outside_a'')');
SELECT jobs.run('SELECT 1', after => ARRAY[:next]) AS run \gset
SELECT jobs.finish(:next);
SELECT jobs.wait(:run);
SELECT jobs.submit('outside_a', unique_key => 'u') = jobs.submit('outside_a', unique_key => 'u') AS same;
SELECT jobs.pause('outside_a');
SELECT state, waiting_for FROM jobs.job WHERE unique_key = 'u';
SELECT count(*) FROM jobs.claim('outside_a');
SELECT jobs.resume('outside_a');
SELECT jobs.finish(job) FROM jobs.claim('outside_a');

-- A member of nobody: not without a grant.
SELECT jobs.submit('outside_a', '"of alice"') AS job \gset
\c - regress_jobs_fleet
SELECT count(*) FROM jobs.claim('outside_a');
SELECT test_error(format('SELECT jobs.finish(%s)', :job));
SELECT test_error($$SELECT jobs.grant_claim('outside_a', 'regress_jobs_fleet', everybody => true)$$);
\c - regress_jobs_alice
SELECT jobs.grant_claim('outside_a', 'regress_jobs_fleet'), jobs.grant_claim('outside_a', 'regress_jobs_fleet');
\c - regress_jobs_bob
SELECT jobs.submit('outside_a', '"of bob"') AS bobs \gset
\c - regress_jobs_fleet
SELECT * FROM jobs.claim_grant;
SELECT job = :job AS alices, payload, owner, claim FROM jobs.claim('outside_a', 10) \gset
\echo :alices :payload :owner
SELECT count(*) FROM jobs.job;
SELECT test_error(format('SELECT jobs.cancel(%s)', :job));
SELECT test_error(format('SELECT jobs.finish(%s)', :bobs));
SELECT jobs.report_progress_of(:job, 1, claim => :claim);
-- Taken back while it works.
\c - regress_jobs_alice
SELECT client FROM jobs.lease WHERE job = :job;
SELECT jobs.revoke_claim('outside_a', 'regress_jobs_fleet'), jobs.revoke_claim('outside_a', 'regress_jobs_fleet');
\c - regress_jobs_fleet
SELECT test_error(format('SELECT jobs.finish(%s, claim => %s)', :job, :claim));
\c - :admin
SELECT jobs.grant_claim('outside_a', 'regress_jobs_fleet', everybody => true);
\c - regress_jobs_fleet
SELECT * FROM jobs.claim_grant;
SELECT jobs.finish(:job, claim => :claim);
SELECT payload, owner FROM jobs.claim('outside_a', 10);
SELECT jobs.finish(:bobs);
-- A role that comes after one that was dropped, or is called otherwise.
\c - :admin
ALTER ROLE regress_jobs_fleet RENAME TO regress_jobs_fleet2;
SELECT jobs.submit('outside_a') AS job \gset
\c - regress_jobs_fleet2
SELECT count(*) FROM jobs.claim('outside_a');
\c - :admin
ALTER ROLE regress_jobs_fleet2 RENAME TO regress_jobs_fleet;
SELECT jobs.cancel(:job);

-- Who may see it only.
GRANT pg_read_all_stats TO regress_jobs_fleet;
SELECT jobs.revoke_claim('outside_a', 'regress_jobs_fleet', everybody => true);
SELECT jobs.submit('outside_a') AS job \gset
\c - regress_jobs_fleet
SELECT test_error(format('SELECT jobs.finish(%s)', :job));
SELECT count(*) FROM jobs.claim('outside_a');
\c - :admin
SELECT jobs.cancel(:job);

-- Equal shares for owners.
SET ROLE regress_jobs_alice;
SELECT count(jobs.submit('outside_b', priority => 9)) FROM generate_series(1, 20);
SET ROLE regress_jobs_bob;
SELECT count(jobs.submit('outside_b')) FROM generate_series(1, 3);
RESET ROLE;
SELECT owner, count(*) FROM jobs.claim('outside_b', 4) GROUP BY owner ORDER BY owner;
SELECT owner, count(*) FROM jobs.claim('outside_b', 10) GROUP BY owner ORDER BY owner;
SELECT count(jobs.cancel(id)) FROM jobs.job WHERE queue = 'outside_b';

-- Tenants.
SET ROLE regress_jobs_alice;
SET jobs.tenant = 'acme';
SELECT jobs.submit('outside_a', '"for acme"') AS job \gset
SET jobs.tenant = 'umbrella';
SELECT count(*) FROM jobs.claim('outside_a');
SELECT test_error(format('SELECT jobs.finish(%s)', :job));
SET jobs.tenant = 'acme';
SELECT payload, tenant FROM jobs.claim('outside_a');
SELECT jobs.finish(:job);
SELECT jobs.submit('outside_a', '"for acme"') AS job \gset
RESET jobs.tenant;
SELECT payload, tenant FROM jobs.claim('outside_a');
SELECT jobs.finish(:job);

-- An owner who has left.
RESET ROLE;
SELECT jobs.grant_claim('outside_a', 'regress_jobs_fleet', everybody => true);
CREATE ROLE regress_jobs_leaver LOGIN;
SET SESSION AUTHORIZATION regress_jobs_leaver;
SELECT jobs.submit('outside_a') AS job \gset
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_jobs_leaver VALID UNTIL '2020-01-01';
\c - regress_jobs_fleet
SELECT count(*) FROM jobs.claim('outside_a');
\c - :admin
SELECT state, error_code, error_message FROM jobs.job WHERE id = :job;
SELECT jobs.delete(:job);
DROP ROLE regress_jobs_leaver;
SELECT jobs.revoke_claim('outside_a', 'regress_jobs_fleet', everybody => true);

-- A copy of another server's row.
SELECT jobs.submit('outside_a') AS job \gset
UPDATE jobs.live SET origin = 0 WHERE id = :job;
SELECT waiting_for FROM jobs.job WHERE id = :job;
SELECT count(*) FROM jobs.claim('outside_a');
SELECT count(*) FROM jobs.offer;
DELETE FROM jobs.live WHERE id = :job;

-- Wrong arguments.
SELECT test_error('SELECT jobs.submit(NULL)');
SELECT test_error('SELECT jobs.submit('''')');
SELECT test_error('SELECT jobs.submit(repeat(''q'', 64))');
SELECT test_error('SELECT jobs.submit(''outside_a'', max_attempts => 0)');
SELECT test_error('SELECT jobs.submit(''outside_a'', title => '''')');
SELECT test_error('SELECT jobs.submit(''outside_a'', after => ARRAY[0])');
SELECT test_error('SELECT * FROM jobs.claim(NULL)');
SELECT test_error('SELECT * FROM jobs.claim(''outside_a'', 0)');
SELECT test_error('SELECT * FROM jobs.claim(''outside_a'', 10001)');
SELECT test_error('SELECT * FROM jobs.claim(''outside_a'', 1, ''0'')');
SELECT test_error('SELECT * FROM jobs.claim(''outside_a'', 1, ''-1 s'')');
SELECT test_error('SELECT * FROM jobs.claim(''outside_a'', 1, ''25 hours'')');
SELECT test_error('SELECT * FROM jobs.claim(''outside_a'', 1, ''178000000 years'')');
SELECT count(*) FROM jobs.claim('no such queue', NULL, NULL);
SELECT test_error('SELECT jobs.finish(NULL)');
SELECT test_error('SELECT jobs.finish(0)');
SELECT test_error('SELECT jobs.finish(-1, NULL, 1)');
SELECT test_error('SELECT jobs.fail(NULL, ''m'')');
SELECT test_error('SELECT jobs.fail(0, NULL)');
SELECT test_error('SELECT jobs.fail(0, '''')');
SELECT test_error('SELECT jobs.fail(0, ''m'', ''1234'')');
SELECT test_error('SELECT jobs.fail(0, ''m'', ''abcde'')');
SELECT test_error('SELECT jobs.fail(0, ''m'', ''00000'')');
SELECT test_error('SELECT jobs.fail(0, ''m'', '''')');
SELECT test_error('SELECT jobs.release(NULL)');
SELECT test_error('SELECT jobs.extend_lease(NULL)');
SELECT jobs.submit('outside_a') AS job \gset
SELECT count(*) FROM jobs.claim('outside_a');
SELECT test_error(format('SELECT jobs.extend_lease(%s, ''0'')', :job));
SELECT test_error(format('SELECT jobs.report_progress_of(%s, NULL)', :job));
SELECT test_error(format('SELECT jobs.report_progress_of(%s, -1)', :job));
SELECT test_error(format('SELECT jobs.report_progress_of(%s, 1, -1)', :job));
SELECT jobs.report_progress_of(:job, 9223372036854775807, 1, repeat('ä', 200));
SELECT processed, total, percent, length(message) FROM jobs.progress WHERE id = :job;
SELECT jobs.finish(:job);
SELECT test_error('SELECT jobs.grant_claim(NULL, ''regress_jobs_fleet'')');
SELECT test_error('SELECT jobs.grant_claim(''outside_a'', NULL)');
SELECT test_error('SELECT jobs.grant_claim(''outside_a'', ''regress_jobs_fleet'', NULL)');
SELECT test_error('SELECT jobs.grant_claim('''', ''regress_jobs_fleet'')');
SELECT test_error('SELECT jobs.grant_claim(''outside_a'', 0)');
SELECT test_error('SELECT jobs.grant_claim(''outside_a'', ''regress_jobs_nobody'')');
SELECT test_error($$SELECT jobs.submit('outside_a', to_jsonb(repeat('x', 17000000)))$$);
SELECT jobs.submit('outside_a') AS job \gset
SELECT count(*) FROM jobs.claim('outside_a');
SELECT test_error(format('SELECT jobs.finish(%s, to_jsonb(repeat(''x'', 17000000)))', :job));
SELECT jobs.finish(:job);
BEGIN READ ONLY;
SELECT jobs.submit('outside_a');
ROLLBACK;
BEGIN READ ONLY;
SELECT * FROM jobs.claim('outside_a');
ROLLBACK;
BEGIN READ ONLY;
SELECT jobs.finish(0);
ROLLBACK;
BEGIN READ ONLY;
SELECT jobs.grant_claim('outside_a', 'regress_jobs_fleet');
ROLLBACK;

-- Nothing is left.
SELECT count(*) FROM jobs.offer;
SELECT count(*) FROM jobs.job_lease;
SELECT count(*) FROM jobs.claimer;
DROP ROLE regress_jobs_alice, regress_jobs_bob, regress_jobs_fleet;
