/* sql/jobs--1.0.sql */

-- complain if the script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION jobs" to load this file. \quit

-- Plain CREATE throughout: nothing that was planted beforehand is adopted.
CREATE SCHEMA jobs;
COMMENT ON SCHEMA jobs IS 'long-running actions: exports and SQL in the background';
GRANT USAGE ON SCHEMA jobs TO PUBLIC;

-------------------------------------------------------------------------------
-- Tables.  Nobody but the library reads or writes them; it goes through the
-- table access methods and not through SQL, so no role needs a grant.  Row
-- security without a policy keeps out those who have rights on all tables
-- (pg_write_all_data, default privileges, a GRANT on the whole schema): a row
-- that they could write would run as any role that they like.
-------------------------------------------------------------------------------

CREATE SEQUENCE jobs.job_id AS bigint;
REVOKE ALL ON SEQUENCE jobs.job_id FROM PUBLIC;

-- Jobs that are not final.  No index stands on a column that changes while a
-- job runs, so that its updates are heap-only.  Columns in an index have the
-- collation C, which the library asks for.
CREATE TABLE jobs.live (
    id             bigint NOT NULL CONSTRAINT live_pkey PRIMARY KEY,
    kind           text NOT NULL,
    title          text NOT NULL,
    owner          oid NOT NULL,
    owner_name     text NOT NULL,       -- as it was at submission
    session_role   oid NOT NULL,        -- session_user at submission
    by_membership  boolean NOT NULL,    -- session_role was then a member of owner
    tenant         text COLLATE "C" NOT NULL,   -- '' is none
    queue          text NOT NULL,
    priority       integer NOT NULL,
    state          text NOT NULL,
    round          integer NOT NULL,
    attempt        integer NOT NULL,
    max_attempts   integer NOT NULL,
    created_at     timestamptz NOT NULL,
    run_at         timestamptz NOT NULL,
    started_at     timestamptz,
    finished_at    timestamptz,
    timeout        interval,            -- null is none
    processed      bigint,
    total          bigint,
    succeeded      bigint,
    failed         bigint,
    skipped        bigint,
    warnings       bigint,
    error_code     text,
    error_message  text,
    error_detail   text,
    error_hint     text,
    result         jsonb,
    unique_key     text COLLATE "C",
    command        text NOT NULL,
    options        jsonb,
    settings       text[],              -- captured at submission, name=value
    notify         jsonb,
    origin         bigint NOT NULL      -- of the cluster and database it belongs to
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE UNIQUE INDEX live_unique_key ON jobs.live (owner, tenant, unique_key) WHERE unique_key IS NOT NULL;
ALTER TABLE jobs.live ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.live FROM PUBLIC;

-- Jobs that are final, until they are deleted or jobs.history_retention ends.
CREATE TABLE jobs.history (
    LIKE jobs.live,
    CONSTRAINT history_pkey PRIMARY KEY (id)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE INDEX history_finished_at ON jobs.history (finished_at);
ALTER TABLE jobs.history ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.history FROM PUBLIC;

-- What a waiting job waits for.
CREATE TABLE jobs.dependency (
    job    bigint NOT NULL,
    after  bigint NOT NULL,
    CONSTRAINT dependency_pkey PRIMARY KEY (job, after)
);
CREATE INDEX dependency_after ON jobs.dependency (after);
ALTER TABLE jobs.dependency ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.dependency FROM PUBLIC;

-- Paused queues: owner 0 pauses the queue for everybody.
CREATE TABLE jobs.paused (
    queue      text COLLATE "C" NOT NULL,
    owner      oid NOT NULL,
    tenant     text COLLATE "C" NOT NULL,
    paused_at  timestamptz NOT NULL,
    CONSTRAINT paused_pkey PRIMARY KEY (queue, owner, tenant)
);
ALTER TABLE jobs.paused ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.paused FROM PUBLIC;

-- One row for each file that an export made, and its bytes in chunks.
CREATE TABLE jobs.file (
    job         bigint NOT NULL CONSTRAINT file_pkey PRIMARY KEY,
    owner       oid NOT NULL,
    tenant      text NOT NULL,
    filename    text NOT NULL,
    format      text NOT NULL,
    media_type  text NOT NULL,
    rows        bigint NOT NULL,
    bytes       bigint NOT NULL,
    sha256      text NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    downloads   bigint NOT NULL,
    chunks      bigint NOT NULL          -- 0 once the bytes have been removed
);
CREATE INDEX file_expires_at ON jobs.file (expires_at) WHERE chunks OPERATOR(pg_catalog.>) 0;
ALTER TABLE jobs.file ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.file FROM PUBLIC;

-- Pieces of chunks.  A row fills a page; with plain storage it is not cut
-- further, nor compressed once more.
CREATE TABLE jobs.chunk (
    job         bigint NOT NULL,
    seq         bigint NOT NULL,
    piece       integer NOT NULL,
    compressed  boolean NOT NULL,       -- the whole chunk, before it was cut
    data        bytea NOT NULL,
    CONSTRAINT chunk_pkey PRIMARY KEY (job, seq, piece)
);
ALTER TABLE jobs.chunk ALTER COLUMN data SET STORAGE PLAIN;
ALTER TABLE jobs.chunk ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.chunk FROM PUBLIC;

-- Tokens of shared files; only their SHA-256 is stored.
CREATE TABLE jobs.share_token (
    hash        bytea NOT NULL CONSTRAINT share_token_pkey PRIMARY KEY,
    job         bigint NOT NULL,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX share_token_job ON jobs.share_token (job);
ALTER TABLE jobs.share_token ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.share_token FROM PUBLIC;

-------------------------------------------------------------------------------
-- Tables of bulk jobs, see src/bulk/ledger.h
-------------------------------------------------------------------------------

-- Items and their payloads, which never change.
CREATE TABLE jobs.item_chunk (
    job       bigint NOT NULL,
    first_no  bigint NOT NULL,
    n         integer NOT NULL,
    payloads  bytea NOT NULL,           -- n values of jsonb, one after the other
    CONSTRAINT item_chunk_pkey PRIMARY KEY (job, first_no)
);
ALTER TABLE jobs.item_chunk ALTER COLUMN payloads SET STORAGE MAIN;
ALTER TABLE jobs.item_chunk ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.item_chunk FROM PUBLIC;

-- What became of n items of a chunk in a round; rows are only added.
CREATE TABLE jobs.outcome (
    job          bigint NOT NULL,
    first_no     bigint NOT NULL,
    round        integer NOT NULL,
    n            integer NOT NULL,
    state        "char" NOT NULL,       -- s succeeded, f failed, k skipped
    finished_at  timestamptz NOT NULL,
    code         text,                  -- null, as the next three, where they succeeded
    message      text,
    detail       text,
    hint         text,
    results      bytea,                 -- as payloads; null: none has one
    CONSTRAINT outcome_pkey PRIMARY KEY (job, first_no, round)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.1);
ALTER TABLE jobs.outcome ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.outcome FROM PUBLIC;

-- Failed items that a round made open again, or that were settled as skipped.
CREATE TABLE jobs.item_rule (
    job      bigint NOT NULL,
    seq      integer NOT NULL,
    round    integer NOT NULL,
    skip     boolean NOT NULL,
    reason   text,                      -- null: whatever their error was
    made_at  timestamptz NOT NULL,
    CONSTRAINT item_rule_pkey PRIMARY KEY (job, seq)
);
ALTER TABLE jobs.item_rule ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.item_rule FROM PUBLIC;

-- Bulk jobs and uploads that have been deleted and whose rows go in batches.
CREATE TABLE jobs.garbage (
    job  bigint NOT NULL CONSTRAINT garbage_pkey PRIMARY KEY
);
ALTER TABLE jobs.garbage ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.garbage FROM PUBLIC;

-------------------------------------------------------------------------------
-- Tables of uploads, see src/import/upload.h; their bytes are in jobs.chunk
-------------------------------------------------------------------------------

CREATE TABLE jobs.upload_entry (
    id          bigint NOT NULL CONSTRAINT upload_entry_pkey PRIMARY KEY,
    owner       oid NOT NULL,
    tenant      text NOT NULL,
    filename    text,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL    -- infinity while a job uses it
);
CREATE INDEX upload_entry_expires_at ON jobs.upload_entry (expires_at);
ALTER TABLE jobs.upload_entry ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.upload_entry FROM PUBLIC;

-- Jobs that read an upload, or may again; it is kept as long as one of them.
CREATE TABLE jobs.upload_use (
    job     bigint NOT NULL CONSTRAINT upload_use_pkey PRIMARY KEY,
    upload  bigint NOT NULL
);
CREATE INDEX upload_use_upload ON jobs.upload_use (upload);
ALTER TABLE jobs.upload_use ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.upload_use FROM PUBLIC;

-------------------------------------------------------------------------------
-- Tables of previews and imports.  Their verdicts and the record for
-- jobs.undo_import are in jobs.chunk, see src/import/verdict.h and undo.h.
-------------------------------------------------------------------------------

-- Findings, in the file's order; at most jobs.max_issues of a job.
CREATE TABLE jobs.issue (
    job          bigint NOT NULL,
    issue_no     bigint NOT NULL,
    row_no       bigint NOT NULL,
    line_no      bigint NOT NULL,
    column_name  text,                  -- as the file names it
    value        text,
    severity     text NOT NULL,
    code         text NOT NULL,
    message      text NOT NULL,
    action       text NOT NULL,
    CONSTRAINT issue_pkey PRIMARY KEY (job, issue_no)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.1);
ALTER TABLE jobs.issue ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.issue FROM PUBLIC;

-------------------------------------------------------------------------------
-- Messages about the ends of jobs, see src/delivery/delivery.h
-------------------------------------------------------------------------------

CREATE SEQUENCE jobs.delivery_id AS bigint;
REVOKE ALL ON SEQUENCE jobs.delivery_id FROM PUBLIC;

-- One for each end of a job and each channel of its option notify.
CREATE TABLE jobs.outbox (
    id          bigint NOT NULL CONSTRAINT outbox_pkey PRIMARY KEY,
    job         bigint NOT NULL,
    owner       oid NOT NULL,           -- of the job, as are the next three
    owner_name  text NOT NULL,
    tenant      text NOT NULL,
    origin      bigint NOT NULL,
    channel     text COLLATE "C" NOT NULL,
    address     text NOT NULL,
    message_id  text NOT NULL,          -- the same for all attempts
    created_at  timestamptz NOT NULL,
    state       text NOT NULL,          -- pending, claimed, delivered, failed
    attempts    integer NOT NULL,
    due_at      timestamptz,            -- next attempt, or the end of the lease; null in the last two states
    claimed_at  timestamptz,
    courier     text,                   -- the role that claimed
    ended_at    timestamptz,
    answer      text,
    link        boolean NOT NULL,       -- a token is made for each attempt; none is stored
    subject     text NOT NULL,
    body        text,                   -- what is sent, as are the next two, with marks for
    html        text,                   -- the token, see src/delivery/message.h; null in the
    payload     text                    -- last two states
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX outbox_due ON jobs.outbox (channel, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_job ON jobs.outbox (job);
CREATE INDEX outbox_owner ON jobs.outbox (owner, created_at);
ALTER TABLE jobs.outbox ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.outbox FROM PUBLIC;

-- What came of each attempt.
CREATE TABLE jobs.outbox_attempt (
    job         bigint NOT NULL,
    delivery    bigint NOT NULL,
    attempt     integer NOT NULL,
    courier     text NOT NULL,
    claimed_at  timestamptz NOT NULL,
    ended_at    timestamptz NOT NULL,
    outcome     text NOT NULL,          -- delivered, failed, lapsed
    answer      text,
    CONSTRAINT outbox_attempt_pkey PRIMARY KEY (job, delivery, attempt)
);
ALTER TABLE jobs.outbox_attempt ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.outbox_attempt FROM PUBLIC;

-------------------------------------------------------------------------------
-- Internal functions.  The views call them, so every role may; each shows its
-- caller nothing that the views would not.
-------------------------------------------------------------------------------

CREATE FUNCTION jobs._visible(owner oid, tenant text) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_visible' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION jobs._visible(oid, text) IS 'internal: whether the caller may see a job of that owner and tenant';

CREATE FUNCTION jobs._recent_floor() RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_recent_floor' LANGUAGE C STABLE PARALLEL RESTRICTED COST 100;
COMMENT ON FUNCTION jobs._recent_floor() IS 'internal: no job that ended within the last hour has an id below this';

CREATE FUNCTION jobs._live_floor() RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_live_floor' LANGUAGE C STABLE PARALLEL RESTRICTED COST 100;
COMMENT ON FUNCTION jobs._live_floor() IS 'internal: no live job has an id below this';

CREATE FUNCTION jobs._waiting(id bigint, state text, queue text, owner oid, tenant text, run_at timestamptz,
    attempt integer, origin bigint, kind text, command text, total bigint, OUT shown_state text, OUT waiting_for text)
AS 'MODULE_PATHNAME', 'jobs_waiting' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs._waiting(bigint, text, text, oid, text, timestamptz, integer, bigint, text, text, bigint)
    IS 'internal: the state of a job that is not final as its reader sees it, and what it waits for';

CREATE FUNCTION jobs._slots(OUT id bigint, OUT phase text, OUT processed bigint, OUT total bigint,
    OUT percent double precision, OUT bytes bigint, OUT succeeded bigint, OUT failed bigint, OUT skipped bigint,
    OUT warnings bigint, OUT rows_per_second double precision, OUT eta interval, OUT message text, OUT pid integer,
    OUT estimated boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_slots' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 4;
COMMENT ON FUNCTION jobs._slots() IS 'internal: live progress of the running jobs of this database that the caller may see';

CREATE FUNCTION jobs._describe(kind text, state text, processed bigint, total bigint, succeeded bigint, failed bigint,
    skipped bigint, warnings bigint, percent double precision, round integer, run_at timestamptz,
    started_at timestamptz, finished_at timestamptz, phase text, message text, waiting_for text, error_message text,
    format text, rows bigint, bytes bigint, expires_at timestamptz, estimated boolean, mailed boolean,
    OUT headline text, OUT detail text)
AS 'MODULE_PATHNAME', 'jobs_describe' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION jobs._describe(text, text, bigint, bigint, bigint, bigint, bigint, bigint, double precision, integer,
    timestamptz, timestamptz, timestamptz, text, text, text, text, text, bigint, bigint, timestamptz, boolean, boolean)
    IS 'internal: a job in the words of jobs.panel';

CREATE FUNCTION jobs._actions(owner oid, tenant text, kind text, state text, usable boolean) RETURNS text[]
AS 'MODULE_PATHNAME', 'jobs_actions' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION jobs._actions(oid, text, text, text, boolean) IS 'internal: what the caller can call on a job now';

CREATE FUNCTION jobs._mail_expected(notify jsonb) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_mail_expected' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION jobs._mail_expected(jsonb) IS 'internal: whether somebody will get a mail when a job with that option ends';

-------------------------------------------------------------------------------
-- Submitting
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.run(command text, title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_run' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.run(text, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb)
    IS 'runs any SQL as a background job and returns the id of the job';

CREATE FUNCTION jobs.export(query text, format text DEFAULT 'csv', filename text DEFAULT NULL,
    options jsonb DEFAULT '{}', expires_in interval DEFAULT NULL,
    title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_export' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.export(text, text, text, jsonb, interval, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb)
    IS 'writes the result of a query to a file in the background and returns the id of the job';

-------------------------------------------------------------------------------
-- Controlling
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.cancel(job bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_cancel' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.cancel(bigint) IS 'stops a job that is not final; false if it already was';

CREATE FUNCTION jobs.retry(job bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_retry' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.retry(bigint) IS 'queues a failed or cancelled job again, from the start';

CREATE FUNCTION jobs.delete(job bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_delete' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.delete(bigint) IS 'removes a final job with its artifact';

CREATE FUNCTION jobs.wait(job bigint, timeout interval DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'jobs_wait' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.wait(bigint, interval) IS 'blocks until a job is final and returns its state, or the current one at the timeout';

CREATE FUNCTION jobs.pause(queue text) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_pause' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.pause(text) IS 'stops a queue from starting new jobs: for everybody when called by a superuser or a member of pg_signal_backend, else for the jobs of the calling role';

CREATE FUNCTION jobs.resume(queue text) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_resume' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.resume(text) IS 'undoes jobs.pause';

CREATE FUNCTION jobs.report_progress(processed bigint, total bigint DEFAULT NULL, message text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_report_progress' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs.report_progress(bigint, bigint, text) IS 'inside a job: shows at once how far it is to everybody who may see it';

-------------------------------------------------------------------------------
-- Uploads
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.upload(filename text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_upload' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.upload(text) IS 'begins an upload, to which jobs.upload_append adds, and returns its id';

CREATE FUNCTION jobs.upload_append(upload bigint, data bytea) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_upload_append' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.upload_append(bigint, bytea) IS 'adds bytes to the end of an upload';

CREATE FUNCTION jobs.upload_lo(lo oid, filename text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_upload_lo' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.upload_lo(oid, text) IS 'makes an upload of the bytes of a large object and returns its id';

CREATE FUNCTION jobs.upload_file(path text) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_upload_file' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.upload_file(text) IS 'makes an upload of a file on the server and returns its id; for members of pg_read_server_files';

CREATE FUNCTION jobs.upload_delete(upload bigint) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_upload_delete' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.upload_delete(bigint) IS 'removes an upload that no job uses';

CREATE FUNCTION jobs._upload_size(upload bigint) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_upload_size' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs._upload_size(bigint) IS 'internal: the bytes of an upload that the caller may see';

-------------------------------------------------------------------------------
-- Imports
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.sniff(data bytea, options jsonb DEFAULT '{}', OUT dialect jsonb, OUT columns jsonb, OUT first_rows jsonb)
AS 'MODULE_PATHNAME', 'jobs_sniff_data' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION jobs.sniff(bytea, jsonb) IS 'how the bytes of a file are written, its columns with guessed types, and its first rows';

CREATE FUNCTION jobs.sniff(content text, options jsonb DEFAULT '{}', OUT dialect jsonb, OUT columns jsonb, OUT first_rows jsonb)
AS 'MODULE_PATHNAME', 'jobs_sniff_content' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION jobs.sniff(text, jsonb) IS 'how the text of a file is written, its columns with guessed types, and its first rows';

CREATE FUNCTION jobs.sniff(upload bigint, options jsonb DEFAULT '{}', OUT dialect jsonb, OUT columns jsonb, OUT first_rows jsonb)
AS 'MODULE_PATHNAME', 'jobs_sniff_upload' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs.sniff(bigint, jsonb) IS 'how an uploaded file is written, its columns with guessed types, and its first rows';

CREATE FUNCTION jobs.create_table_for(upload bigint, name text) RETURNS text
AS 'MODULE_PATHNAME', 'jobs_create_table_for' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs.create_table_for(bigint, text) IS 'the CREATE TABLE statement for a table that takes an uploaded file';

CREATE FUNCTION jobs.import_template(target regclass) RETURNS text
AS 'MODULE_PATHNAME', 'jobs_import_template' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION jobs.import_template(regclass) IS 'the header of an empty file for a table: the columns that the caller may import';

CREATE FUNCTION jobs.import_preview(target regclass, data bytea, filename text DEFAULT NULL,
    options jsonb DEFAULT '{}', title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_import_preview_data' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.import_preview(regclass, bytea, text, jsonb, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb)
    IS 'shows what an import of a file would do to each of its rows, and returns the id of the job';

CREATE FUNCTION jobs.import_preview(target regclass, content text, filename text DEFAULT NULL,
    options jsonb DEFAULT '{}', title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_import_preview_content' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.import_preview(regclass, text, text, jsonb, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb)
    IS 'shows what an import of a file would do to each of its rows, and returns the id of the job';

CREATE FUNCTION jobs.import_preview(target regclass, upload bigint, filename text DEFAULT NULL,
    options jsonb DEFAULT '{}', title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_import_preview_upload' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.import_preview(regclass, bigint, text, jsonb, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb)
    IS 'shows what an import of a file would do to each of its rows, and returns the id of the job';

CREATE FUNCTION jobs.import(preview bigint, include_warnings boolean DEFAULT true, title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_import' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.import(bigint, boolean, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb)
    IS 'imports the rows that a preview has found good and returns the id of the job';

CREATE FUNCTION jobs.import_summary(job bigint, OUT rows_parsed bigint, OUT ready bigint, OUT warnings bigint,
    OUT errors bigint, OUT to_insert bigint, OUT to_update bigint, OUT to_skip bigint)
AS 'MODULE_PATHNAME', 'jobs_import_summary' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs.import_summary(bigint) IS 'how many rows of a previewed file are in order, and what will happen to them';

CREATE FUNCTION jobs.rejects(job bigint) RETURNS SETOF bytea
AS 'MODULE_PATHNAME', 'jobs_rejects' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION jobs.rejects(bigint)
    IS 'the rows of a file that a preview or an import leaves out, with the reasons, as a file of the same form';

CREATE FUNCTION jobs.undo_import(job bigint, OUT deleted bigint, OUT restored bigint, OUT kept bigint, OUT message text)
AS 'MODULE_PATHNAME', 'jobs_undo_import' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.undo_import(bigint) IS 'takes an import back: deletes the rows that it inserted and restores those that it updated, unless they have been changed since';

-------------------------------------------------------------------------------
-- Bulk jobs
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.bulk(command text, items jsonb, workers integer DEFAULT 1, stop_after integer DEFAULT 1000,
    title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_bulk' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.bulk(text, jsonb, integer, integer, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb)
    IS 'runs a command for each item of a JSON array in the background and returns the id of the job';

CREATE FUNCTION jobs.bulk_query(command text, items_query text, workers integer DEFAULT 1,
    stop_after integer DEFAULT 1000,
    title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_bulk_query' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.bulk_query(text, text, integer, integer, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb)
    IS 'runs a command for each row of a query in the background and returns the id of the job';

CREATE FUNCTION jobs.retry_failed(job bigint, reason text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_retry_failed' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.retry_failed(bigint, text)
    IS 'queues the failed items of a bulk job again, all or those of one reason, and returns how many';

CREATE FUNCTION jobs.skip_failed(job bigint, reason text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_skip_failed' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.skip_failed(bigint, text)
    IS 'settles the failed items of a bulk job as skipped, all or those of one reason, and returns how many';

CREATE FUNCTION jobs.failures(job bigint, OUT reason text, OUT error_code text, OUT count bigint, OUT example jsonb)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_failures' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION jobs.failures(bigint) IS 'the failed items of a bulk job by reason, most first, each with an example';

CREATE FUNCTION jobs.item_history(job bigint, item_no bigint DEFAULT NULL, OUT item_no bigint, OUT round integer,
    OUT state text, OUT error_code text, OUT error_message text, OUT error_detail text, OUT error_hint text,
    OUT result jsonb, OUT finished_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_item_history' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs.item_history(bigint, bigint)
    IS 'what became of the items of a bulk job, or of one of them, in each round';

CREATE FUNCTION jobs._items(job bigint, first_no bigint, OUT item_no bigint, OUT payload jsonb, OUT state text,
    OUT round integer, OUT error_code text, OUT error_message text, OUT error_detail text, OUT error_hint text,
    OUT result jsonb, OUT finished_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_items' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED ROWS 256;
COMMENT ON FUNCTION jobs._items(bigint, bigint) IS 'internal: the items of one chunk, where the caller may see the job';

-------------------------------------------------------------------------------
-- Work for clients outside of the server
-------------------------------------------------------------------------------

-- Queued jobs that clients can claim, in the order of the primary key; also bulk
-- jobs that are running, whose items they can.
CREATE TABLE jobs.offer (
    queue   text COLLATE "C" NOT NULL,
    owner   oid NOT NULL,
    rank    bigint NOT NULL,            -- minus the priority
    job     bigint NOT NULL,
    tenant  text NOT NULL,
    items   boolean NOT NULL,
    CONSTRAINT offer_pkey PRIMARY KEY (queue, owner, rank, job)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE jobs.offer ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.offer FROM PUBLIC;

-- Jobs that clients have claimed.
CREATE TABLE jobs.job_lease (
    job          bigint NOT NULL CONSTRAINT job_lease_pkey PRIMARY KEY,
    claim        bigint NOT NULL,       -- a random number, which the client knows
    owner        oid NOT NULL,          -- of the job, as is tenant
    tenant       text NOT NULL,
    client       oid NOT NULL,          -- the role that claimed
    session      bigint NOT NULL,       -- and its session
    claimed_at   timestamptz NOT NULL,
    lease_until  timestamptz NOT NULL,
    processed    bigint,
    total        bigint,
    percent      double precision,
    message      text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE jobs.job_lease ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.job_lease FROM PUBLIC;

-- Items of a bulk job that clients have claimed: n of one chunk, those of them that
-- have no outcome yet.  One whose time is over stays until they are claimed again.
CREATE TABLE jobs.item_lease (
    job          bigint NOT NULL,
    first_no     bigint NOT NULL,
    n            integer NOT NULL,
    claim        bigint NOT NULL,       -- these as in jobs.job_lease
    owner        oid NOT NULL,
    tenant       text NOT NULL,
    client       oid NOT NULL,
    session      bigint NOT NULL,
    claimed_at   timestamptz NOT NULL,
    lease_until  timestamptz NOT NULL,
    CONSTRAINT item_lease_pkey PRIMARY KEY (job, first_no)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE jobs.item_lease ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.item_lease FROM PUBLIC;

-- Who may claim the jobs of others.  The names are there because an OID can be used
-- again for another role.
CREATE TABLE jobs.claimer (
    queue        text COLLATE "C" NOT NULL,
    owner        oid NOT NULL,          -- 0: of everybody
    client       oid NOT NULL,
    owner_name   text NOT NULL,
    client_name  text NOT NULL,
    CONSTRAINT claimer_pkey PRIMARY KEY (queue, owner, client)
);
ALTER TABLE jobs.claimer ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON jobs.claimer FROM PUBLIC;

CREATE FUNCTION jobs.submit(queue text, payload jsonb DEFAULT NULL, title text DEFAULT NULL,
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 3, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_submit_external' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.submit(text, jsonb, text, integer, timestamptz, bigint[], interval, integer, text, jsonb)
    IS 'submits work that a client does, outside of the server, and returns the id of the job';

CREATE FUNCTION jobs.claim(queue text, n integer DEFAULT 1, lease interval DEFAULT '1 minute',
    OUT job bigint, OUT payload jsonb, OUT title text, OUT owner text, OUT tenant text, OUT attempt integer,
    OUT claim bigint, OUT lease_until timestamptz) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_claim' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION jobs.claim(text, integer, interval) IS 'takes jobs of a queue for a client to do before the lease ends';

CREATE FUNCTION jobs.finish(job bigint, result jsonb DEFAULT NULL, claim bigint DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_finish' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.finish(bigint, jsonb, bigint) IS 'a client has done a job that it had claimed';

CREATE FUNCTION jobs.fail(job bigint, message text, code text DEFAULT NULL, retry boolean DEFAULT true,
    claim bigint DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'jobs_fail' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.fail(bigint, text, text, boolean, bigint)
    IS 'a client could not do a job that it had claimed; returns the job''s state, scheduled where it has another attempt';

CREATE FUNCTION jobs.release(job bigint, claim bigint DEFAULT NULL, items bigint[] DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_release' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.release(bigint, bigint, bigint[])
    IS 'gives a claimed job, or items of a claim or what is left of them, back as if it had not been claimed';

CREATE FUNCTION jobs.extend_lease(job bigint, lease interval DEFAULT '1 minute', claim bigint DEFAULT NULL,
    items bigint[] DEFAULT NULL) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'jobs_extend_lease' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.extend_lease(bigint, interval, bigint, bigint[])
    IS 'keeps a claimed job, or items of a claim or what is left of them, for longer; returns until when';

CREATE FUNCTION jobs.report_progress_of(job bigint, processed bigint, total bigint DEFAULT NULL,
    message text DEFAULT NULL, claim bigint DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_report_progress_of' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.report_progress_of(bigint, bigint, bigint, text, bigint)
    IS 'shows how far a claimed job is to everybody who may see it';

CREATE FUNCTION jobs.claimable(queue text, OUT job bigint, OUT title text, OUT owner text, OUT tenant text)
    RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_claimable' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION jobs.claimable(text) IS 'the bulk jobs of a queue whose items the caller can claim';

CREATE FUNCTION jobs.claim_items(job bigint, n integer DEFAULT 1, lease interval DEFAULT '1 minute',
    OUT item_no bigint, OUT payload jsonb, OUT lease_until timestamptz, OUT claim bigint) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_claim_items' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION jobs.claim_items(bigint, integer, interval) IS 'takes items of a bulk job for a client to do before the lease ends';

CREATE FUNCTION jobs.finish_items(job bigint, items bigint[], results jsonb DEFAULT NULL, claim bigint DEFAULT NULL)
    RETURNS void
AS 'MODULE_PATHNAME', 'jobs_finish_items' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.finish_items(bigint, bigint[], jsonb, bigint) IS 'a client has done items that it had claimed';

CREATE FUNCTION jobs.fail_item(job bigint, item_no bigint, message text, code text DEFAULT NULL,
    claim bigint DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_fail_item' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.fail_item(bigint, bigint, text, text, bigint)
    IS 'a client could not do an item that it had claimed, or with the code JB001 it was not to be done';

CREATE FUNCTION jobs.grant_claim(queue text, client regrole, everybody boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_grant_claim' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.grant_claim(text, regrole, boolean)
    IS 'lets another role claim the caller''s jobs of a queue, or for a superuser everybody''s; false if it already could';

CREATE FUNCTION jobs.revoke_claim(queue text, client regrole, everybody boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_revoke_claim' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.revoke_claim(text, regrole, boolean) IS 'undoes jobs.grant_claim';

-------------------------------------------------------------------------------
-- Couriers.  They read the messages about everybody's jobs, so these are nobody's
-- until an administrator grants them to the role that his couriers log in as.
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.claim_deliveries(channel text, n integer DEFAULT 10, lease interval DEFAULT '1 minute',
    OUT delivery bigint, OUT attempt integer, OUT message_id text, OUT job bigint, OUT address text, OUT subject text,
    OUT body text, OUT html text, OUT payload text, OUT created_at timestamptz, OUT claimed_until timestamptz)
    RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_claim_deliveries' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION jobs.claim_deliveries(text, integer, interval)
    IS 'takes messages about jobs for a courier to deliver before the lease ends';

CREATE FUNCTION jobs.finish_delivery(delivery bigint, attempt integer, response text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_finish_delivery' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.finish_delivery(bigint, integer, text)
    IS 'a courier has delivered a message; false where that came too late to count';

CREATE FUNCTION jobs.fail_delivery(delivery bigint, attempt integer, reason text, permanent boolean DEFAULT false)
    RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_fail_delivery' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.fail_delivery(bigint, integer, text, boolean)
    IS 'a courier could not deliver a message, now or for good; false where that came too late to count';

CREATE FUNCTION jobs.next_delivery(channel text) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'jobs_next_delivery' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.next_delivery(text)
    IS 'when the next message of a channel is to be delivered, or the lease of one ends; null where there is none';

-------------------------------------------------------------------------------
-- Artifacts
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.download(job bigint) RETURNS SETOF bytea
AS 'MODULE_PATHNAME', 'jobs_download' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION jobs.download(bigint) IS 'the bytes of an export''s file, chunk by chunk in order';

CREATE FUNCTION jobs.download(token text) RETURNS SETOF bytea
AS 'MODULE_PATHNAME', 'jobs_download_token' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION jobs.download(text) IS 'the bytes of a shared file, for whoever holds the token that jobs.share gave';

CREATE FUNCTION jobs.download_lo(job bigint) RETURNS oid
AS 'MODULE_PATHNAME', 'jobs_download_lo' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.download_lo(bigint) IS 'copies an export''s file to a new large object, for \lo_export';

CREATE FUNCTION jobs.share(job bigint, expires_in interval DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'jobs_share' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.share(bigint, interval) IS 'a token with which anybody can download the file of a job';

CREATE FUNCTION jobs.shared(token text, OUT filename text, OUT media_type text, OUT content_disposition text,
    OUT bytes bigint, OUT sha256 text, OUT expires_at timestamptz)
AS 'MODULE_PATHNAME', 'jobs_shared_artifact' LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT;
COMMENT ON FUNCTION jobs.shared(text) IS 'what a shared file is called and how long it is, for the headers of an HTTP answer; for whoever holds its token';

CREATE FUNCTION jobs.content_disposition(filename text) RETURNS text
AS 'MODULE_PATHNAME', 'jobs_content_disposition' LANGUAGE C IMMUTABLE PARALLEL SAFE STRICT;
COMMENT ON FUNCTION jobs.content_disposition(text) IS 'an HTTP header''s value that makes a browser save a file under its name';

CREATE FUNCTION jobs.unshare(job bigint) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_unshare' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.unshare(bigint) IS 'takes back every token of the file of a job';

-------------------------------------------------------------------------------
-- Views.  They run with their owner's rights behind a security barrier, so
-- that a leaky function in a query sees no row that jobs._visible refuses.
--
-- The barrier of a view does not reach into the arms of its UNION ALL, so each
-- table of jobs has barriers of its own, and everything else is above them.
--
-- The condition stands in a second place of FROM, because a view of one table
-- alone could be written through, with its owner's rights, by whoever has rights
-- on all views.
-------------------------------------------------------------------------------

CREATE VIEW jobs._live WITH (security_barrier) AS
SELECT l.* FROM jobs.live l, LATERAL (SELECT jobs._visible(l.owner, l.tenant) AS visible) v
 WHERE l.id OPERATOR(pg_catalog.>=) jobs._live_floor() AND v.visible;
COMMENT ON VIEW jobs._live IS 'internal: the jobs that are not final and that the reader may see';
REVOKE ALL ON jobs._live FROM PUBLIC;

CREATE VIEW jobs._history WITH (security_barrier) AS
SELECT h.* FROM jobs.history h, LATERAL (SELECT jobs._visible(h.owner, h.tenant) AS visible) v
 WHERE v.visible;
COMMENT ON VIEW jobs._history IS 'internal: the final jobs that the reader may see';
REVOKE ALL ON jobs._history FROM PUBLIC;

CREATE VIEW jobs._recent WITH (security_barrier) AS
SELECT h.* FROM jobs.history h, LATERAL (SELECT jobs._visible(h.owner, h.tenant) AS visible) v
 WHERE v.visible
   AND h.id OPERATOR(pg_catalog.>=) jobs._recent_floor()
   AND (pg_catalog.now() OPERATOR(pg_catalog.-) h.finished_at) OPERATOR(pg_catalog.<) '1 hour'::interval
 ORDER BY h.id DESC;
COMMENT ON VIEW jobs._recent IS 'internal: the jobs that ended within the last hour and that the reader may see';
REVOKE ALL ON jobs._recent FROM PUBLIC;

CREATE VIEW jobs.job WITH (security_barrier) AS
SELECT l.id, l.kind, l.title, pg_catalog.pg_get_userbyid(l.owner) AS owner, l.queue, l.priority,
       w.shown_state AS state, w.waiting_for, l.round, l.attempt, l.max_attempts, l.created_at, l.run_at,
       l.started_at, l.finished_at, l.timeout, l.processed, l.total, l.succeeded, l.failed, l.skipped, l.warnings,
       l.error_code, l.error_message, l.error_detail, l.error_hint, l.result, l.unique_key, l.tenant, l.command,
       l.options
  FROM jobs._live l,
       LATERAL jobs._waiting(l.id, l.state, l.queue, l.owner, l.tenant, l.run_at, l.attempt, l.origin, l.kind,
           l.command, coalesce(l.total, -1)) w
UNION ALL
SELECT h.id, h.kind, h.title, pg_catalog.pg_get_userbyid(h.owner) AS owner, h.queue, h.priority,
       h.state, NULL::text, h.round, h.attempt, h.max_attempts, h.created_at, h.run_at,
       h.started_at, h.finished_at, h.timeout, h.processed, h.total, h.succeeded, h.failed, h.skipped, h.warnings,
       h.error_code, h.error_message, h.error_detail, h.error_hint, h.result, h.unique_key, h.tenant, h.command,
       h.options
  FROM jobs._history h;
COMMENT ON VIEW jobs.job IS 'the jobs of the roles that the reader is a member of';
GRANT SELECT ON jobs.job TO PUBLIC;

CREATE VIEW jobs.progress WITH (security_barrier) AS
SELECT l.id, l.kind, l.title, w.shown_state AS state, s.phase,
       coalesce(s.processed, l.processed) AS processed, coalesce(s.total, l.total) AS total, s.percent, s.bytes,
       coalesce(s.succeeded, l.succeeded) AS succeeded, coalesce(s.failed, l.failed) AS failed,
       coalesce(s.skipped, l.skipped) AS skipped, coalesce(s.warnings, l.warnings) AS warnings,
       s.rows_per_second, s.eta, s.message, l.started_at,
       CASE WHEN l.state OPERATOR(pg_catalog.=) 'running'
            THEN greatest(pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) l.started_at, '0'::interval) END AS elapsed,
       w.waiting_for, s.pid, s.estimated AS total_is_estimate
  FROM jobs._live l
       CROSS JOIN LATERAL jobs._waiting(l.id, l.state, l.queue, l.owner, l.tenant, l.run_at, l.attempt, l.origin, l.kind,
           l.command, coalesce(l.total, -1)) w
       LEFT JOIN jobs._slots() s ON s.id OPERATOR(pg_catalog.=) l.id AND l.state OPERATOR(pg_catalog.=) 'running'
UNION ALL
SELECT h.id, h.kind, h.title, h.state, NULL::text, h.processed, h.total,
       CASE WHEN h.state OPERATOR(pg_catalog.=) ANY (ARRAY['succeeded', 'partial']) THEN 100::double precision END,
       f.bytes, h.succeeded, h.failed, h.skipped, h.warnings,
       CASE WHEN h.finished_at OPERATOR(pg_catalog.>) h.started_at
            THEN (h.processed::double precision OPERATOR(pg_catalog./)
                  extract(epoch FROM h.finished_at OPERATOR(pg_catalog.-) h.started_at)::double precision) END,
       NULL::interval, NULL::text, h.started_at, h.finished_at OPERATOR(pg_catalog.-) h.started_at,
       NULL::text, NULL::integer, CASE WHEN h.total IS NOT NULL THEN false END
  FROM jobs._recent h
       LEFT JOIN jobs.file f ON f.job OPERATOR(pg_catalog.=) h.id;
COMMENT ON VIEW jobs.progress IS 'jobs that are not final or ended within the last hour, live';
GRANT SELECT ON jobs.progress TO PUBLIC;

-- Each half comes in the order of its primary key, so that a LIMIT reads no more than it shows.
CREATE VIEW jobs.panel WITH (security_barrier) AS
SELECT id, title, state, headline, detail, percent, can_leave, actions
  FROM ((SELECT l.id, l.title, w.shown_state AS state, d.headline, d.detail, s.percent,
                true AS can_leave,
                jobs._actions(l.owner, l.tenant, l.kind, w.shown_state, false) AS actions
           FROM jobs._live l
                CROSS JOIN LATERAL jobs._waiting(l.id, l.state, l.queue, l.owner, l.tenant, l.run_at, l.attempt, l.origin, l.kind,
           l.command, coalesce(l.total, -1)) w
                LEFT JOIN jobs._slots() s ON s.id OPERATOR(pg_catalog.=) l.id AND l.state OPERATOR(pg_catalog.=) 'running'
                CROSS JOIN LATERAL jobs._describe(l.kind, w.shown_state, coalesce(s.processed, l.processed),
                    coalesce(s.total, l.total), coalesce(s.succeeded, l.succeeded), coalesce(s.failed, l.failed),
                    coalesce(s.skipped, l.skipped), coalesce(s.warnings, l.warnings), s.percent, l.round, l.run_at,
                    l.started_at, NULL, s.phase, s.message, w.waiting_for, l.error_message,
                    NULL, NULL, s.bytes, NULL, s.estimated, jobs._mail_expected(l.notify)) d
          ORDER BY l.id DESC)
        UNION ALL
        (SELECT h.id, h.title, h.state, d.headline, d.detail,
                CASE WHEN h.state OPERATOR(pg_catalog.=) ANY (ARRAY['succeeded', 'partial']) THEN 100::double precision END,
                false,
                jobs._actions(h.owner, h.tenant, h.kind, h.state,
                              CASE WHEN h.kind OPERATOR(pg_catalog.=) 'import_preview' THEN
                                      h.result OPERATOR(pg_catalog.@>) '{"rejected": false, "stopped_early": false}'
                                      AND NOT h.result OPERATOR(pg_catalog.?) 'import'
                                  WHEN h.kind OPERATOR(pg_catalog.=) 'import' THEN
                                      h.result OPERATOR(pg_catalog.@>) '{"undoable": true}'
                                      AND NOT h.result OPERATOR(pg_catalog.?) 'undone_at'
                                  ELSE
                                      f.chunks OPERATOR(pg_catalog.>) 0
                                      AND f.expires_at OPERATOR(pg_catalog.>) pg_catalog.now()
                              END IS TRUE)
           FROM jobs._recent h
                LEFT JOIN jobs.file f ON f.job OPERATOR(pg_catalog.=) h.id
                CROSS JOIN LATERAL jobs._describe(h.kind, h.state, h.processed, h.total, h.succeeded, h.failed,
                    h.skipped, h.warnings, NULL, h.round, h.run_at, h.started_at, h.finished_at, NULL, NULL, NULL,
                    h.error_message, f.format, f.rows, f.bytes, f.expires_at, false, false) d
          ORDER BY h.id DESC)) p
 ORDER BY id DESC;
COMMENT ON VIEW jobs.panel IS 'the same jobs as a person reads them, newest first';
GRANT SELECT ON jobs.panel TO PUBLIC;

CREATE VIEW jobs.artifact WITH (security_barrier) AS
SELECT f.job, f.filename, f.format, f.media_type, f.rows, f.bytes, f.sha256, f.created_at, f.expires_at, f.downloads
  FROM jobs.file f,
       LATERAL (SELECT jobs._visible(f.owner, f.tenant) AS visible) v
 WHERE v.visible;
COMMENT ON VIEW jobs.artifact IS 'the files that exports made';
GRANT SELECT ON jobs.artifact TO PUBLIC;

CREATE VIEW jobs.upload WITH (security_barrier) AS
SELECT u.id, u.filename, pg_catalog.pg_get_userbyid(u.owner) AS owner, jobs._upload_size(u.id) AS bytes, u.created_at,
       CASE WHEN pg_catalog.isfinite(u.expires_at) THEN u.expires_at END AS expires_at,
       ARRAY(SELECT x.job FROM jobs.upload_use x WHERE x.upload OPERATOR(pg_catalog.=) u.id ORDER BY x.job) AS jobs
  FROM jobs.upload_entry u,
       LATERAL (SELECT jobs._visible(u.owner, u.tenant) AS visible) v
 WHERE v.visible;
COMMENT ON VIEW jobs.upload IS 'the files that were uploaded, how far they are, and the jobs that use them';
GRANT SELECT ON jobs.upload TO PUBLIC;

CREATE VIEW jobs._job_lease WITH (security_barrier) AS
SELECT l.* FROM jobs.job_lease l, LATERAL (SELECT jobs._visible(l.owner, l.tenant) AS visible) v
 WHERE v.visible;
COMMENT ON VIEW jobs._job_lease IS 'internal: the claimed jobs that the reader may see';
REVOKE ALL ON jobs._job_lease FROM PUBLIC;

CREATE VIEW jobs._item_lease WITH (security_barrier) AS
SELECT l.* FROM jobs.item_lease l, LATERAL (SELECT jobs._visible(l.owner, l.tenant) AS visible) v
 WHERE v.visible;
COMMENT ON VIEW jobs._item_lease IS 'internal: the claimed items of jobs that the reader may see';
REVOKE ALL ON jobs._item_lease FROM PUBLIC;

CREATE VIEW jobs.lease WITH (security_barrier) AS
SELECT j.job, NULL::bigint AS first_item, NULL::integer AS items, pg_catalog.pg_get_userbyid(j.client) AS client,
       j.claimed_at, j.lease_until
  FROM jobs._job_lease j
UNION ALL
SELECT i.job, i.first_no, i.n, pg_catalog.pg_get_userbyid(i.client), i.claimed_at, i.lease_until
  FROM jobs._item_lease i;
COMMENT ON VIEW jobs.lease IS 'the jobs and items that clients have claimed, and until when';
GRANT SELECT ON jobs.lease TO PUBLIC;

CREATE VIEW jobs.claim_grant WITH (security_barrier) AS
SELECT c.queue, CASE WHEN c.owner OPERATOR(pg_catalog.<>) 0 THEN c.owner_name END AS owner,
       c.client_name AS client
  FROM jobs.claimer c,
       LATERAL (SELECT c.owner OPERATOR(pg_catalog.=) 0 OR jobs._visible(c.owner, '')
                       OR pg_catalog.pg_has_role(c.client, 'USAGE') AS visible) v
 WHERE v.visible;
COMMENT ON VIEW jobs.claim_grant IS 'which roles may claim the jobs of others; without an owner it is everybody''s';
GRANT SELECT ON jobs.claim_grant TO PUBLIC;

CREATE VIEW jobs._outbox WITH (security_barrier) AS
SELECT o.* FROM jobs.outbox o, LATERAL (SELECT jobs._visible(o.owner, o.tenant) AS visible) v
 WHERE v.visible;
COMMENT ON VIEW jobs._outbox IS 'internal: the deliveries that the reader may see';
REVOKE ALL ON jobs._outbox FROM PUBLIC;

CREATE VIEW jobs.delivery WITH (security_barrier) AS
SELECT o.id, o.job, o.channel, o.address, o.state, o.attempts, o.due_at AS next_attempt_at,
       CASE WHEN o.state OPERATOR(pg_catalog.<>) 'delivered' THEN o.answer END AS last_error,
       CASE WHEN o.state OPERATOR(pg_catalog.=) 'delivered' THEN o.answer END AS response,
       o.created_at, o.claimed_at,
       CASE WHEN o.state OPERATOR(pg_catalog.=) 'delivered' THEN o.ended_at END AS delivered_at,
       o.message_id, o.subject
  FROM jobs._outbox o;
COMMENT ON VIEW jobs.delivery IS 'the messages about ends of jobs, and how far they are';
GRANT SELECT ON jobs.delivery TO PUBLIC;

CREATE VIEW jobs.delivery_attempt WITH (security_barrier) AS
SELECT a.delivery, a.job, a.attempt, a.courier, a.claimed_at, a.ended_at, a.outcome, a.answer
  FROM jobs._outbox o
       JOIN jobs.outbox_attempt a ON a.job OPERATOR(pg_catalog.=) o.job AND a.delivery OPERATOR(pg_catalog.=) o.id;
COMMENT ON VIEW jobs.delivery_attempt IS 'what came of each attempt to deliver a message';
GRANT SELECT ON jobs.delivery_attempt TO PUBLIC;

CREATE VIEW jobs.item WITH (security_barrier) AS
SELECT c.job, i.item_no, i.payload, i.state, i.round, i.error_code, i.error_message, i.error_detail, i.error_hint,
       i.result, i.finished_at
  FROM (SELECT l.id FROM jobs._live l WHERE l.kind OPERATOR(pg_catalog.=) 'bulk'
        UNION ALL
        SELECT h.id FROM jobs._history h WHERE h.kind OPERATOR(pg_catalog.=) 'bulk') j
       JOIN jobs.item_chunk c ON c.job OPERATOR(pg_catalog.=) j.id
       CROSS JOIN LATERAL jobs._items(c.job, c.first_no) i;
COMMENT ON VIEW jobs.item IS 'the items of bulk jobs and what became of them';
GRANT SELECT ON jobs.item TO PUBLIC;

CREATE VIEW jobs.import_issue WITH (security_barrier) AS
SELECT i.job, i.row_no, i.line_no, i.column_name, i.value, i.severity, i.code, i.message, i.action
  FROM (SELECT h.id FROM jobs._history h
         WHERE h.kind OPERATOR(pg_catalog.=) ANY (ARRAY['import_preview', 'import'])) j
       JOIN jobs.issue i ON i.job OPERATOR(pg_catalog.=) j.id;
COMMENT ON VIEW jobs.import_issue IS 'what previews and imports have found, row by row';
GRANT SELECT ON jobs.import_issue TO PUBLIC;

-- No function is anybody's by default; these are what the contract gives to every role.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA jobs FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA jobs TO PUBLIC;
REVOKE EXECUTE ON FUNCTION jobs.claim_deliveries(text, integer, interval), jobs.finish_delivery(bigint, integer, text),
    jobs.fail_delivery(bigint, integer, text, boolean), jobs.next_delivery(text) FROM PUBLIC;
