-- Every change of state that a job can make, and those that are refused.

SELECT current_user AS admin \gset
CREATE ROLE regress_jobs_states LOGIN;
CREATE FUNCTION state_of(job bigint) RETURNS text LANGUAGE sql AS $$
    SELECT j.state || ' (' || coalesce(l.state, 'history') || ')' ||
           CASE WHEN j.started_at IS NULL THEN '' ELSE ' started' END || CASE WHEN j.finished_at IS NULL THEN '' ELSE ' finished' END
      FROM jobs.job j LEFT JOIN jobs.live l ON l.id = j.id WHERE j.id = job
$$;
SELECT jobs.pause('states_held');
SELECT pg_advisory_lock(20003);
CREATE TABLE states_switch AS SELECT false AS fails;

-- queued -> running -> succeeded
SELECT jobs.run('SELECT pg_advisory_xact_lock(20003)') AS id \gset
SELECT test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', :id));
SELECT state_of(:id);
-- running: no retry, no delete
SELECT test_error(format('SELECT jobs.retry(%s)', :id));
SELECT test_error(format('SELECT jobs.delete(%s)', :id));
SELECT pg_advisory_unlock(20003);
SELECT jobs.wait(:id);
SELECT state_of(:id);
-- succeeded: no cancel, no retry
SELECT jobs.cancel(:id);
SELECT test_error(format('SELECT jobs.retry(%s)', :id));
SELECT state_of(:id);
SELECT jobs.delete(:id);
SELECT state_of(:id);
SELECT test_error(format('SELECT jobs.delete(%s)', :id));

-- queued -> running -> failed -> queued -> running -> succeeded
UPDATE states_switch SET fails = true;
SELECT jobs.run('SELECT 1 / CASE WHEN fails THEN 0 ELSE 1 END FROM states_switch') AS id \gset
SELECT jobs.wait(:id);
SELECT state_of(:id);
SELECT attempt, error_code, error_message FROM jobs.job WHERE id = :id;
SELECT jobs.cancel(:id);
UPDATE states_switch SET fails = false;
BEGIN;
SELECT jobs.retry(:id);
SELECT state_of(:id);
SELECT attempt, error_code, error_message, result FROM jobs.job WHERE id = :id;
COMMIT;
SELECT jobs.wait(:id);
SELECT attempt, error_code, error_message, result FROM jobs.job WHERE id = :id;

-- queued -> cancelled -> queued -> running -> succeeded
SELECT jobs.run('SELECT 1', queue => 'states_held') AS id \gset
SELECT state_of(:id);
SELECT test_error(format('SELECT jobs.retry(%s)', :id));
SELECT test_error(format('SELECT jobs.delete(%s)', :id));
SELECT jobs.cancel(:id);
SELECT state_of(:id);
SELECT jobs.cancel(:id);
SELECT jobs.retry(:id);
SELECT state_of(:id);
SELECT jobs.resume('states_held');
SELECT jobs.wait(:id);
SELECT state_of(:id);
SELECT jobs.pause('states_held');

-- queued -> running -> cancelled -> queued
SELECT pg_advisory_lock(20003);
SELECT jobs.run('SELECT pg_advisory_xact_lock(20003)') AS id \gset
SELECT test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', :id));
SELECT jobs.cancel(:id);
SELECT jobs.wait(:id);
SELECT state_of(:id);
SELECT error_code, error_message, result FROM jobs.job WHERE id = :id;
SELECT jobs.retry(:id);
SELECT test_poll(format('state = ''running'' FROM jobs.job WHERE id = %s', :id));
SELECT pg_advisory_unlock(20003);
SELECT jobs.wait(:id);

-- scheduled -> running -> succeeded
SELECT jobs.run('SELECT 1', run_at => now() + interval '100 ms') AS id \gset
SELECT jobs.wait(:id);
SELECT started_at >= run_at AS in_time FROM jobs.job WHERE id = :id;

-- scheduled -> cancelled
SELECT jobs.run('SELECT 1', run_at => now() + interval '1 day') AS id \gset
SELECT state_of(:id);
SELECT test_error(format('SELECT jobs.retry(%s)', :id));
SELECT test_error(format('SELECT jobs.delete(%s)', :id));
SELECT jobs.cancel(:id);
SELECT state_of(:id);
-- cancelled -> queued: its time does not count any more
SELECT jobs.retry(:id);
SELECT jobs.wait(:id);

-- running -> scheduled (its next attempt) -> running -> failed
SELECT jobs.run('SELECT 1/0', max_attempts => 2) AS id \gset
SELECT jobs.wait(:id);
SELECT attempt, error_code, run_at - created_at > interval '0.7 s' AS later, started_at >= run_at AS in_time FROM jobs.job WHERE id = :id;

-- waiting -> cancelled
SELECT jobs.run('SELECT 1', queue => 'states_held') AS first \gset
SELECT jobs.run('SELECT 1', after => ARRAY[:first]) AS id \gset
SELECT state_of(:id);
SELECT test_error(format('SELECT jobs.retry(%s)', :id));
SELECT test_error(format('SELECT jobs.delete(%s)', :id));
SELECT jobs.cancel(:id);
SELECT state_of(:id);
-- cancelled -> queued: it does not wait any more
SELECT jobs.retry(:id);
SELECT jobs.wait(:id);
SELECT state_of(:first);

-- waiting -> queued -> succeeded, waiting -> scheduled -> cancelled
SELECT jobs.run('SELECT 1', after => ARRAY[:first]) AS id \gset
SELECT jobs.run('SELECT 1', after => ARRAY[:first], run_at => now() + interval '1 day') AS id2 \gset
SELECT state_of(:id2);
SELECT jobs.resume('states_held');
SELECT jobs.wait(:id);
SELECT test_poll(format('state = ''scheduled'' FROM jobs.job WHERE id = %s', :id2));
SELECT state_of(:id2);
SELECT jobs.cancel(:id2);
SELECT jobs.pause('states_held');

-- queued -> failed, scheduled -> failed: its owner may not log in any more
\c - regress_jobs_states
SELECT jobs.run('SELECT 1', queue => 'states_held') AS id \gset
SELECT jobs.run('SELECT 1', queue => 'states_held', run_at => now() + interval '100 ms') AS id2 \gset
\c - :admin
ALTER ROLE regress_jobs_states NOLOGIN;
SELECT jobs.resume('states_held');
SELECT jobs.wait(:id);
SELECT jobs.wait(:id2);
SELECT state_of(:id), state_of(:id2);
SELECT error_code, error_message, attempt FROM jobs.job WHERE id IN (:id, :id2);
-- failed -> queued -> succeeded
ALTER ROLE regress_jobs_states LOGIN;
SELECT jobs.retry(:id);
SELECT jobs.wait(:id);

DROP ROLE regress_jobs_states;
DROP FUNCTION state_of(bigint);
DROP TABLE states_switch;
