-- Paused queues.

SELECT current_user AS admin \gset
CREATE ROLE regress_jobs_alice LOGIN;
CREATE ROLE regress_jobs_bob LOGIN;
CREATE ROLE regress_jobs_operator LOGIN IN ROLE pg_signal_backend, pg_read_all_stats;

-- Of a superuser, for everybody.
SELECT jobs.pause('pause_a');
\c - regress_jobs_alice
SELECT jobs.run('SELECT 1', title => 'paused', queue => 'pause_a') AS a \gset
SELECT jobs.run('SELECT 1', title => 'other queue', queue => 'pause_b') AS b \gset
SELECT jobs.wait(:b);
SELECT title, state, waiting_for FROM jobs.job WHERE id = :a;
SELECT jobs.wait(:a, '0');
-- One of his jobs' owners can't resume it.
SELECT jobs.resume('pause_a');
SELECT state, waiting_for FROM jobs.job WHERE id = :a;
-- It can be cancelled, though.
SELECT jobs.cancel(:a);
SELECT jobs.retry(:a);
\c - :admin
SELECT jobs.resume('pause_a');
SELECT jobs.wait(:a);

-- Of another role, for its own jobs.
\c - regress_jobs_alice
SELECT jobs.pause('pause_a');
SELECT jobs.run('SELECT 1', title => 'of alice', queue => 'pause_a') AS a \gset
\c - regress_jobs_bob
SELECT jobs.run('SELECT 1', title => 'of bob', queue => 'pause_a') AS b \gset
SELECT jobs.wait(:b);
SELECT jobs.resume('pause_a');
\c - :admin
SELECT jobs.resume('pause_a');
SELECT title, owner, state, waiting_for FROM jobs.job WHERE id = :a;
SELECT queue, owner::regrole, tenant, paused_at BETWEEN now() - interval '5 min' AND now() AS now FROM jobs.paused WHERE queue LIKE 'pause%';
\c - regress_jobs_alice
SELECT jobs.resume('pause_a');
SELECT jobs.wait(:a);

-- A member of pg_signal_backend is an operator, too.
\c - regress_jobs_operator
SELECT jobs.pause('pause_a');
\c - regress_jobs_alice
SELECT jobs.run('SELECT 1', queue => 'pause_a') AS a \gset
SELECT state, waiting_for FROM jobs.job WHERE id = :a;
\c - regress_jobs_operator
SELECT jobs.resume('pause_a');
SELECT jobs.wait(:a);

-- Of a session with a tenant, for that tenant's jobs of the role.
\c - regress_jobs_alice
SET jobs.tenant = 'acme';
SELECT jobs.pause('pause_a');
SELECT jobs.run('SELECT 1', title => 'of acme', queue => 'pause_a') AS a \gset
SET jobs.tenant = 'umbrella';
SELECT jobs.run('SELECT 1', title => 'of umbrella', queue => 'pause_a') AS b \gset
SELECT jobs.wait(:b);
SELECT jobs.resume('pause_a');
RESET jobs.tenant;
SELECT jobs.run('SELECT 1', title => 'of nobody', queue => 'pause_a') AS c \gset
SELECT jobs.wait(:c);
SELECT jobs.resume('pause_a');
SELECT title, state FROM jobs.job WHERE id = :a;
SET jobs.tenant = 'acme';
SELECT jobs.resume('pause_a');
SELECT jobs.wait(:a);
RESET jobs.tenant;
\c - :admin
SELECT jobs.pause('pause_a');
SET jobs.tenant = 'acme';
SELECT jobs.run('SELECT 1', queue => 'pause_a') AS a \gset
-- Also a superuser's is then for its tenant only.
SELECT jobs.resume('pause_a');
SELECT state, waiting_for FROM jobs.job WHERE id = :a;
RESET jobs.tenant;
SELECT jobs.resume('pause_a');
SELECT jobs.wait(:a);

-- Twice is once; what is not paused can be resumed.
SELECT jobs.pause('pause_a');
SELECT jobs.pause('pause_a');
SELECT count(*) FROM jobs.paused WHERE queue = 'pause_a';
SELECT jobs.resume('pause_a');
SELECT jobs.resume('pause_a');
SELECT count(*) FROM jobs.paused WHERE queue = 'pause_a';

-- With the transaction only.
BEGIN;
SELECT jobs.pause('pause_a');
SELECT count(*) FROM jobs.paused WHERE queue = 'pause_a';
ROLLBACK;
SELECT jobs.run('SELECT 1', queue => 'pause_a') AS a \gset
SELECT jobs.wait(:a);
BEGIN;
SELECT jobs.pause('pause_a');
SELECT jobs.run('SELECT 1', queue => 'pause_a') AS a \gset
COMMIT;
SELECT state FROM jobs.job WHERE id = :a;

-- What runs goes on; what was going to be next does not start.
SELECT jobs.resume('pause_a');
SELECT jobs.wait(:a);
SELECT pg_advisory_lock(20005);
SELECT jobs.run('SELECT pg_advisory_xact_lock(20005)', queue => 'pause_a') AS a \gset
SELECT test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', :a));
SELECT jobs.pause('pause_a');
SELECT jobs.run('SELECT 1', queue => 'pause_a') AS b \gset
SELECT pg_advisory_unlock(20005);
SELECT jobs.wait(:a);
SELECT state FROM jobs.job WHERE id = :b;
SELECT jobs.wait(:b, '50 ms');
SELECT jobs.resume('pause_a');
SELECT jobs.wait(:b);

-- The queue "default" is one like any other.
SELECT jobs.pause('default');
SELECT jobs.run('SELECT 1') AS a \gset
SELECT waiting_for FROM jobs.job WHERE id = :a;
SELECT jobs.resume('default');
SELECT jobs.wait(:a);

-- No role has any number of them.  An operator's are not counted.
\c - regress_jobs_alice
DO $$
BEGIN
    FOR i IN 1..1000 LOOP
        PERFORM jobs.pause('pause_' || i);
    END LOOP;
END $$;
SELECT jobs.pause('pause_1');
SELECT jobs.pause('pause_a');
SET jobs.tenant = 'acme';
SELECT jobs.pause('pause_1');
RESET jobs.tenant;
\c - regress_jobs_bob
SELECT jobs.pause('pause_a');
SELECT jobs.resume('pause_a');
\c - regress_jobs_operator
SELECT jobs.pause('pause_a');
SELECT jobs.resume('pause_a');
\c - regress_jobs_alice
SELECT jobs.resume('pause_1000');
SELECT jobs.pause('pause_a');
SELECT jobs.run('SELECT 1', queue => 'pause_a') AS a \gset
SELECT jobs.run('SELECT 1', queue => 'pause_999') AS b \gset
SELECT jobs.run('SELECT 1', queue => 'pause_1000') AS c \gset
SELECT jobs.wait(:c);
SELECT state, waiting_for FROM jobs.job WHERE id IN (:a, :b, :c) ORDER BY id;
DO $$
BEGIN
    FOR i IN 1..1000 LOOP
        PERFORM jobs.resume('pause_' || i);
    END LOOP;
END $$;
SELECT jobs.resume('pause_a');
SELECT jobs.wait(:a), jobs.wait(:b);
\c - :admin

-- Wrong names.
SELECT jobs.pause(NULL);
SELECT jobs.resume(NULL);
SELECT jobs.pause('');
SELECT jobs.resume('');
SELECT jobs.pause(repeat('q', 64));
SELECT jobs.resume(repeat('q', 64));
BEGIN READ ONLY;
SELECT jobs.pause('pause_a');
ROLLBACK;
BEGIN READ ONLY;
SELECT jobs.resume('pause_a');
ROLLBACK;

SELECT count(*) FROM jobs.paused WHERE queue LIKE 'pause%';
DROP ROLE regress_jobs_alice, regress_jobs_bob, regress_jobs_operator;
