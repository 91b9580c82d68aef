-- Each change of a role's settings takes a new worker for its next job, which
-- must not get lost on the way from one to the other.
CREATE TABLE settings_seen (work_mem text);
CREATE PROCEDURE change_and_run(rounds integer) LANGUAGE plpgsql AS $$
DECLARE
    job bigint;
BEGIN
    FOR i IN 1 .. rounds LOOP
        EXECUTE format('ALTER ROLE CURRENT_USER SET work_mem = %L', i || 'MB');
        job := jobs.run($job$INSERT INTO settings_seen VALUES (current_setting('work_mem'))$job$);
        COMMIT;
        IF jobs.wait(job, '60 s') <> 'succeeded' THEN
            RAISE EXCEPTION 'a job has not ended in round %', i;
        END IF;
    END LOOP;
END $$;
CALL change_and_run(40);
SELECT count(DISTINCT work_mem) FROM settings_seen;
ALTER ROLE CURRENT_USER RESET work_mem;
DROP TABLE settings_seen;
DROP PROCEDURE change_and_run;
