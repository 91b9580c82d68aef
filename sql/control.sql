-- Calls that control a job: what their transaction does to them, and wrong ones.

CREATE FUNCTION control_state(job bigint) RETURNS text LANGUAGE sql AS $$
    SELECT j.state || ' (' || coalesce(l.state, 'history') || ')' ||
           CASE WHEN j.started_at IS NULL THEN '' ELSE ' started' END || CASE WHEN j.finished_at IS NULL THEN '' ELSE ' finished' END
      FROM jobs.job j LEFT JOIN jobs.live l ON l.id = j.id WHERE j.id = job
$$;

-- A transaction that is rolled back changes no state.
SELECT jobs.pause('control_held');
SELECT jobs.run('SELECT 1', queue => 'control_held') AS id \gset
BEGIN;
SELECT jobs.cancel(:id);
SELECT control_state(:id);
SELECT jobs.delete(:id);
SELECT control_state(:id);
ROLLBACK;
SELECT control_state(:id);
BEGIN;
SELECT jobs.cancel(:id);
SELECT jobs.resume('control_held');
ROLLBACK;
SELECT control_state(:id);
SELECT jobs.resume('control_held');
SELECT jobs.wait(:id);
BEGIN;
SELECT jobs.delete(:id);
ROLLBACK;
SELECT control_state(:id);
SELECT jobs.run('SELECT 1/0') AS id \gset
SELECT jobs.wait(:id);
BEGIN;
SELECT jobs.retry(:id);
ROLLBACK;
SELECT control_state(:id);

-- A job that is cancelled in the transaction of its submission never starts.
BEGIN;
SELECT jobs.run('SELECT 1') AS id \gset
SELECT jobs.cancel(:id);
SELECT jobs.wait(:id);
COMMIT;
SELECT control_state(:id);
BEGIN;
SELECT jobs.run('SELECT 1') AS id \gset
SELECT jobs.cancel(:id);
SELECT jobs.retry(:id);
SELECT test_error(format('SELECT jobs.wait(%s)', :id));
COMMIT;
SELECT jobs.wait(:id);

-- Wrong arguments, and transactions that must not write.
SELECT jobs.cancel(NULL);
SELECT jobs.retry(NULL);
SELECT jobs.delete(NULL);
SELECT jobs.cancel(999999999);
SELECT jobs.retry(999999999);
SELECT jobs.delete(999999999);
SELECT jobs.cancel(-1);
SELECT jobs.retry(0);
SELECT jobs.delete(9223372036854775807);
BEGIN READ ONLY;
SELECT jobs.cancel(:id);
ROLLBACK;
BEGIN READ ONLY;
SELECT jobs.retry(:id);
ROLLBACK;
BEGIN READ ONLY;
SELECT jobs.delete(:id);
ROLLBACK;

-- Nor one that runs in somebody else's name.
SELECT jobs.pause('control_held');
SELECT jobs.run('SELECT 1', queue => 'control_held', title => 'control sneak') AS id \gset
CREATE FUNCTION control_sneak(call text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT jobs.%s(id) FROM jobs.job WHERE title = ''control sneak''', call);
    RETURN true;
END $$;
\set SHOW_CONTEXT never
CREATE MATERIALIZED VIEW control_cancel AS SELECT control_sneak('cancel') WITH NO DATA;
REFRESH MATERIALIZED VIEW control_cancel;
CREATE MATERIALIZED VIEW control_share AS SELECT control_sneak('share') WITH NO DATA;
REFRESH MATERIALIZED VIEW control_share;
\set SHOW_CONTEXT errors
SELECT state FROM jobs.job WHERE id = :id;
SELECT jobs.cancel(:id), jobs.delete(:id);
DROP MATERIALIZED VIEW control_cancel, control_share;
DROP FUNCTION control_sneak(text);
SELECT jobs.resume('control_held');

DROP FUNCTION control_state(bigint);
