-- What the measurements of run.sh call.  Times are the server's clock; every
-- procedure commits in between, as clients would.

CREATE SCHEMA bench;

-- Jobs write here when their work begins.
CREATE TABLE bench.begun (n integer, at timestamptz);
CREATE TABLE bench.submitted (n integer, xid xid8, done_at timestamptz);
CREATE TABLE bench.stopped (what text, took interval, state text);
CREATE TABLE bench.loops (what text, took interval);
CREATE TABLE bench.go (at timestamptz);
CREATE TABLE bench.timed (what text, ms double precision);

-- Seven columns as they occur in business, of seven types.
CREATE TABLE bench.sale (
    id        bigint,
    customer  text,
    quantity  integer,
    amount    numeric(10,2),
    sold_at   timestamptz,
    paid      boolean,
    note      text
);

CREATE PROCEDURE bench.fill_sale(rows bigint) LANGUAGE sql AS $$
    INSERT INTO bench.sale
    SELECT i, 'Customer ' || i * 7919 % 100003, i * 31 % 20 + 1, (i * 7907 % 1000000) / 100.0,
           timestamptz '2024-01-01' + i * interval '7 seconds', i % 3 <> 0,
           CASE WHEN i % 10 = 0 THEN 'He said "keep it, please"'
                WHEN i % 4 <> 0 THEN 'Delivery to door number ' || i * 104729 % 9999 || ', ring twice' END
      FROM generate_series(1, rows) i
$$;

-- Submits jobs at a low rate, each with a worker that waits for it.
CREATE PROCEDURE bench.submit_slowly(samples integer, gap double precision) LANGUAGE plpgsql AS $$
DECLARE
    xids xid8[];
    ends timestamptz[];
BEGIN
    FOR i IN 1..samples LOOP
        PERFORM jobs.run(format('INSERT INTO bench.begun VALUES (%s, clock_timestamp())', i));
        xids[i] := pg_current_xact_id();
        COMMIT;
        ends[i] := clock_timestamp();
        PERFORM pg_sleep(gap);
    END LOOP;
    FOR i IN 1..samples LOOP
        INSERT INTO bench.submitted VALUES (i, xids[i], ends[i]);
    END LOOP;
END $$;

-- From the commit's record, which is written before the commit is flushed, and
-- from when the submitting session went on after it.
CREATE VIEW bench.latency AS
SELECT n, 1000 * extract(epoch FROM b.at - pg_xact_commit_timestamp(s.xid::xid))::float8 AS from_record,
       1000 * extract(epoch FROM b.at - s.done_at)::float8 AS from_done
  FROM bench.submitted s JOIN bench.begun b USING (n);

-- Waits until a job runs, and a little longer, so that it is at its work.
CREATE PROCEDURE bench.wait_running(job bigint) LANGUAGE plpgsql AS $$
BEGIN
    WHILE NOT EXISTS (SELECT FROM jobs.progress p WHERE p.id = job AND p.pid IS NOT NULL) LOOP
        PERFORM pg_sleep(0.002);
    END LOOP;
    PERFORM pg_sleep(0.01 + random() * 0.1);
END $$;

-- Starts a job that would run for long.
CREATE FUNCTION bench.start_long(what text) RETURNS bigint LANGUAGE sql AS $$
    SELECT CASE what
        WHEN 'sleep' THEN jobs.run('SELECT pg_sleep(600)')
        WHEN 'loop' THEN jobs.run('DO $x$ BEGIN LOOP PERFORM 1; END LOOP; END $x$')
        WHEN 'sort' THEN jobs.run('SELECT count(*) FROM (SELECT * FROM bench.sale a, generate_series(1, 100) '
                                  'ORDER BY md5(note || a.id) OFFSET 0) s')
        WHEN 'export' THEN jobs.export('SELECT * FROM bench.sale, generate_series(1, 100)')
    END
$$;

-- Stops jobs at work, by jobs.cancel or by a signal to their process, and
-- measures until everybody can see that they have ended.
CREATE PROCEDURE bench.stop(kinds text[], samples integer, by_signal boolean) LANGUAGE plpgsql AS $$
DECLARE
    what text;
    job bigint;
    process integer;
    t timestamptz;
    state text;
BEGIN
    FOR i IN 1..samples LOOP
        what := kinds[1 + i % array_length(kinds, 1)];
        job := bench.start_long(what);
        COMMIT;
        CALL bench.wait_running(job);
        SELECT pid INTO process FROM jobs.progress WHERE id = job;
        t := clock_timestamp();
        IF by_signal THEN
            PERFORM pg_terminate_backend(process);
        ELSE
            PERFORM jobs.cancel(job);
        END IF;
        COMMIT;
        state := jobs.wait(job);
        INSERT INTO bench.stopped VALUES (what, clock_timestamp() - t, state);
        COMMIT;
    END LOOP;
END $$;

-- Runs a query some times; each time goes to bench.timed.
CREATE PROCEDURE bench.time_query(what text, query text, times integer) LANGUAGE plpgsql AS $$
DECLARE
    t timestamptz;
BEGIN
    FOR i IN 1..times LOOP
        t := clock_timestamp();
        EXECUTE query;
        INSERT INTO bench.timed VALUES (what, 1000 * extract(epoch FROM clock_timestamp() - t));
        COMMIT;
    END LOOP;
END $$;

-- Finished jobs of the last days, like the newest one that there is.
CREATE PROCEDURE bench.fill_history(jobs bigint) LANGUAGE plpgsql AS $$
DECLARE
    columns text;
BEGIN
    SELECT string_agg(CASE attname
               WHEN 'id' THEN 'h.id - ended.i'
               WHEN 'created_at' THEN 'ended.at'
               WHEN 'started_at' THEN 'ended.at'
               WHEN 'finished_at' THEN 'ended.at'
               WHEN 'run_at' THEN 'ended.at'
               ELSE 'h.' || quote_ident(attname) END, ', ' ORDER BY attnum)
      INTO columns
      FROM pg_attribute WHERE attrelid = 'jobs.history'::regclass AND attnum > 0 AND NOT attisdropped;
    EXECUTE format('INSERT INTO jobs.history SELECT %s FROM (SELECT * FROM jobs.history ORDER BY id DESC LIMIT 1) h, '
                   'LATERAL (SELECT now() - interval ''2 hours'' - i * interval ''5 days'' / %s AS at, i '
                   '           FROM generate_series(%s, 1, -1) i) ended', columns, jobs, jobs);
END $$;
