-- A worker that finds its role's settings changed gives the job back and makes
-- room for a new one; no job gets lost on the way.
CREATE TABLE warm_settings (work_mem text);
CREATE PROCEDURE pg_temp.change_and_run(times integer) LANGUAGE plpgsql AS $$
DECLARE
    job bigint;
    state text;
BEGIN
    FOR i IN 1 .. times LOOP
        EXECUTE format('ALTER ROLE CURRENT_USER SET work_mem = %s', 1000 + i);
        job := jobs.run('INSERT INTO warm_settings VALUES (current_setting(''work_mem''))');
        COMMIT;
        state := jobs.wait(job, '20 s');
        IF state <> 'succeeded' THEN
            RAISE 'the job after change % is %', i, state;
        END IF;
    END LOOP;
END $$;
CALL pg_temp.change_and_run(40);
SELECT count(*) FROM warm_settings;
ALTER ROLE CURRENT_USER RESET work_mem;
DROP TABLE warm_settings;
