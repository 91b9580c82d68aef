-- jobs.wait flushes the write-ahead log before it answers, also where that
-- ends at the end of a page.
SELECT jobs.run('SELECT 1', title => 'Short') AS job \gset
SELECT jobs.wait(:job);

-- A message that begins a page, one whose size besides its text is found, and
-- one that fills the page to its end; then the wait.  Counts the pages that
-- ended so; what the server writes of itself meanwhile can spoil a try.
CREATE PROCEDURE pg_temp.end_page_and_wait(job bigint, wanted integer) LANGUAGE plpgsql AS $$
DECLARE
    page CONSTANT integer := current_setting('wal_block_size');
    header CONSTANT integer := 24;      -- of a page
    start pg_lsn;
    overhead integer;
    room integer;
    found integer := 0;
BEGIN
    FOR try IN 1 .. 1000 LOOP
        PERFORM pg_logical_emit_message(false, '', repeat('x', 1000));
        start := pg_current_wal_insert_lsn();
        PERFORM pg_logical_emit_message(false, '', repeat('x', 1000));
        overhead := pg_current_wal_insert_lsn() - start - 1000;
        room := page - (pg_current_wal_insert_lsn() - '0/0') % page;
        CONTINUE WHEN overhead > 500 OR room < overhead + 300;
        PERFORM pg_logical_emit_message(false, '', repeat('x', room - overhead));
        IF (pg_current_wal_insert_lsn() - '0/0') % page = header THEN
            found := found + 1;
        END IF;
        PERFORM jobs.wait(job);
        EXIT WHEN found = wanted;
    END LOOP;
    RAISE INFO 'waited at the end of % pages', found;
END $$;
CALL pg_temp.end_page_and_wait(:job, 20);
