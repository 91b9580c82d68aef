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
    job         bigint NOT NULL,        -- 0: it was deleted, and the row counts for the limit of its owner
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
CREATE INDEX outbox_owner ON jobs.outbox (owner, created_at)    -- of what was sent or is to be
    WHERE due_at IS NOT NULL OR attempts OPERATOR(pg_catalog.>) 0;
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
COMMENT ON FUNCTION jobs.run(text, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb) IS
'runs any SQL as a background job and returns the id of the job

The command is one statement, or several separated by semicolons; these are one transaction, together with the
end of the job. A statement that stands alone may be one that commits by itself, such as VACUUM or the CALL of a
procedure with COMMIT; such a job gives up the guarantee of one commit. Only the syntax is checked at the call.
Transaction control and COPY from or to the client are refused (22023).

The job''s processed is what the command reported last by jobs.report_progress, or else the number of rows of all
its statements; its result is the command tag of the last one and its rows. The arguments from title on are
those of every submission, see docs/submitting.md. See docs/run.md.';

CREATE FUNCTION jobs.export(query text, format text DEFAULT 'csv', filename text DEFAULT NULL,
    options jsonb DEFAULT '{}', expires_in interval DEFAULT NULL,
    title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_export' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.export(text, text, text, jsonb, interval, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb) IS
'writes the result of a query to a file in the background and returns the id of the job

The query is one SELECT, VALUES, TABLE or WITH ... SELECT. It is parsed, planned and checked for the caller''s
privileges at the call, and runs as the caller on one snapshot, read only. Statements that write, FOR UPDATE,
INTO and temporary tables are refused (22023). format is csv, jsonl, xlsx or pdf (0A000 where the library for it
is missing); docs/exports.md has the options of each. An unknown option, or one of the wrong type, is an error
(22023).

filename is a name without directory of at most 255 bytes; by default that of the query''s table, or export. The
file is kept for expires_in from the end of the export on, by default jobs.artifact_ttl and at most
jobs.max_artifact_ttl. The job''s result is filename, rows, bytes and sha256. The arguments from title on are
those of every submission, see docs/submitting.md.';

-------------------------------------------------------------------------------
-- Controlling
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.cancel(job bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_cancel' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.cancel(bigint) IS
'stops a job that is not final; false if it already was

It becomes cancelled and its effects are undone; a bulk job keeps the items that are finished. A running job is
signalled at once, whether or not the calling transaction commits; the cancellation of any other becomes true
with that commit. A job that is committing can''t be cancelled any more. Members of pg_signal_backend may cancel
all but a superuser''s jobs.';

CREATE FUNCTION jobs.retry(job bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_retry' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.retry(bigint) IS
'queues a failed or cancelled job again, from the start

It has all of its attempts again and no longer waits for other jobs or its run_at; a bulk job goes on with its
open items. Error 55000 for a job in another state, and where a newer job has its unique_key. A job that was
submitted to another server, of which this is a copy, becomes one of this server''s.';

CREATE FUNCTION jobs.delete(job bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_delete' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.delete(bigint) IS
'removes a final job with its artifact

Its items, issues and share tokens go along; the rows of many items go within seconds, in batches. Error 55000
for a job that is not final.';

CREATE FUNCTION jobs.wait(job bigint, timeout interval DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'jobs_wait' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.wait(bigint, interval) IS
'blocks until a job is final and returns its state, or the current one at the timeout

Nothing is polled. A final state that it returns outlives a crash of the server. Error 55000 for a job that the
same transaction has submitted, which can''t begin before the commit, and for the job that calls it. On a standby
the current state is returned at once.';

CREATE FUNCTION jobs.pause(queue text) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_pause' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.pause(text) IS
'stops a queue from starting new jobs: for everybody when called by a superuser or a member of pg_signal_backend, else for the jobs of the calling role

What runs goes on, but for bulk jobs, which are queued again after the batch at hand. In a session with
jobs.tenant it is for the jobs of that role and tenant. Each of these is a pause of its own, which the same kind
of caller resumes. A role can have 1,000 of them.';

CREATE FUNCTION jobs.resume(queue text) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_resume' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.resume(text) IS
'undoes jobs.pause

The queue''s jobs that are ready start at the commit. Another kind of caller''s pause stays.';

CREATE FUNCTION jobs.report_progress(processed bigint, total bigint DEFAULT NULL, message text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_report_progress' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs.report_progress(bigint, bigint, text) IS
'inside a job: shows at once how far it is to everybody who may see it

A total or message once given stays until it is given anew. Counts must not be negative; the message is cut at
255 bytes. In the command of a bulk job, whose counts are those of its items, the counts stand in the message:
looking (3 of 10). Error 55000 outside of a job.';

-------------------------------------------------------------------------------
-- Uploads
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.upload(filename text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_upload' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.upload(text) IS
'begins an upload, to which jobs.upload_append adds, and returns its id

filename is for people, at most 500 characters. An upload that no job uses goes a day after its last piece. It
belongs to the role that made it, and to the session''s tenant; its members may add to it, use and delete it, and
for all others it does not exist (42704).';

CREATE FUNCTION jobs.upload_append(upload bigint, data bytea) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_upload_append' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.upload_append(bigint, bytea) IS
'adds bytes to the end of an upload

Any number of them; 1 MB is a good size. It waits for other transactions that have added to the same upload.
Error 55000 once a job uses it, 54000 where it would be larger than jobs.max_upload_size.';

CREATE FUNCTION jobs.upload_lo(lo oid, filename text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_upload_lo' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.upload_lo(oid, text) IS
'makes an upload of the bytes of a large object and returns its id

The caller must be able to read the large object, which stays.';

CREATE FUNCTION jobs.upload_file(path text) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_upload_file' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.upload_file(text) IS
'makes an upload of a file on the server and returns its id; for members of pg_read_server_files

The file is a regular one; a relative path is one in the data directory, as for COPY. The upload has its name.';

CREATE FUNCTION jobs.upload_delete(upload bigint) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_upload_delete' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.upload_delete(bigint) IS
'removes an upload that no job uses

Error 55000 where one does; its bytes go soon after the commit.';

CREATE FUNCTION jobs._upload_size(upload bigint) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_upload_size' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs._upload_size(bigint) IS 'internal: the bytes of an upload that the caller may see';

-------------------------------------------------------------------------------
-- Imports
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.sniff(data bytea, options jsonb DEFAULT '{}', OUT dialect jsonb, OUT columns jsonb, OUT first_rows jsonb)
AS 'MODULE_PATHNAME', 'jobs_sniff_data' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION jobs.sniff(bytea, jsonb) IS
'how the bytes of a file are written, its columns with guessed types, and its first rows

It looks at the first 256 kB for the dialect and at about 1 MB for the columns, whatever the size of the file; a
preview finds the same. dialect has the keys of the options in docs/imports.md, so that it can be passed on, and
beside them columns, ncolumns, newline, bom, gzip and ascii. columns is an array of objects with name, column,
type, nullable and example. first_rows is an array of up to ten rows, each an array of strings and nulls. What
is said in the options is not guessed.';

CREATE FUNCTION jobs.sniff(content text, options jsonb DEFAULT '{}', OUT dialect jsonb, OUT columns jsonb, OUT first_rows jsonb)
AS 'MODULE_PATHNAME', 'jobs_sniff_content' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION jobs.sniff(text, jsonb) IS
'how the text of a file is written, its columns with guessed types, and its first rows';

CREATE FUNCTION jobs.sniff(upload bigint, options jsonb DEFAULT '{}', OUT dialect jsonb, OUT columns jsonb, OUT first_rows jsonb)
AS 'MODULE_PATHNAME', 'jobs_sniff_upload' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs.sniff(bigint, jsonb) IS
'how an uploaded file is written, its columns with guessed types, and its first rows';

CREATE FUNCTION jobs.create_table_for(upload bigint, name text) RETURNS text
AS 'MODULE_PATHNAME', 'jobs_create_table_for' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs.create_table_for(bigint, text) IS
'the CREATE TABLE statement for a table that takes an uploaded file

In psql, \gexec runs it. Unlike jobs.sniff it reads all of the file, so that no value far below contradicts a
type. name is written as in SQL, with a schema or without. Error 54011 for more than 1,600 columns.';

CREATE FUNCTION jobs.import_template(target regclass) RETURNS text
AS 'MODULE_PATHNAME', 'jobs_import_template' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION jobs.import_template(regclass) IS
'the header of an empty file for a table: the columns that the caller may import

Those that the table or view does not generate itself and that the caller may insert, separated by commas,
without a newline. Error 42501 where there is none.';

CREATE FUNCTION jobs.import_preview(target regclass, data bytea, filename text DEFAULT NULL,
    options jsonb DEFAULT '{}', title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_import_preview_data' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.import_preview(regclass, bytea, text, jsonb, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb) IS
'shows what an import of a file would do to each of its rows, and returns the id of the job

The target is a table, a partitioned or foreign table, or a view that takes rows; nothing is written to it. The
caller needs INSERT on the columns that the file fills, and with on_conflict update also UPDATE and SELECT. The
file may be compressed with gzip and is kept as long as the job. docs/imports.md has the options; an unknown one
is an error (22023). Targets that take no rows are refused (42809, 55000, 0A000), and so are temporary tables,
and the options unique and on_conflict update where rows can be in a foreign table or behind a view (0A000). A
file that is no file of rows fails the job (22P04), and so does a header that fits nothing (42703). The arguments
from title on are those of every submission, see docs/submitting.md.';

CREATE FUNCTION jobs.import_preview(target regclass, content text, filename text DEFAULT NULL,
    options jsonb DEFAULT '{}', title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_import_preview_content' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.import_preview(regclass, text, text, jsonb, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb) IS
'shows what an import of a file would do to each of its rows, and returns the id of the job

The file is the text itself.';

CREATE FUNCTION jobs.import_preview(target regclass, upload bigint, filename text DEFAULT NULL,
    options jsonb DEFAULT '{}', title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_import_preview_upload' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.import_preview(regclass, bigint, text, jsonb, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb) IS
'shows what an import of a file would do to each of its rows, and returns the id of the job

The file is an upload, which is kept as long as the job.';

CREATE FUNCTION jobs.import(preview bigint, include_warnings boolean DEFAULT true, title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_import' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.import(bigint, boolean, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb) IS
'imports the rows that a preview has found good and returns the id of the job

In one transaction, as the owner, with the table''s triggers. With include_warnings false, rows with warnings are
left out as well. Error 55000 for a preview that has not succeeded, was stopped early, was refused by a rule or
has been imported, and where the target has been altered since; 42P01 where it has gone. The arguments from
title on are those of every submission, see docs/submitting.md. See docs/imports.md.';

CREATE FUNCTION jobs.import_summary(job bigint, OUT rows_parsed bigint, OUT ready bigint, OUT warnings bigint,
    OUT errors bigint, OUT to_insert bigint, OUT to_update bigint, OUT to_skip bigint)
AS 'MODULE_PATHNAME', 'jobs_import_summary' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs.import_summary(bigint) IS
'how many rows of a previewed file are in order, and what will happen to them

ready + warnings + errors is rows_parsed: a row stands in the class of its worst issue. For an import it is the
summary of its preview. Error 55000 unless that has succeeded.';

CREATE FUNCTION jobs.rejects(job bigint) RETURNS SETOF bytea
AS 'MODULE_PATHNAME', 'jobs_rejects' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION jobs.rejects(bigint) IS
'the rows of a file that a preview or an import leaves out, with the reasons, as a file of the same form

It has two columns more, row_no and reason, which an import passes over. Chunks come in order. For members of
the job''s owner. Error 55000 for a job that has not succeeded.';

CREATE FUNCTION jobs.undo_import(job bigint, OUT deleted bigint, OUT restored bigint, OUT kept bigint, OUT message text)
AS 'MODULE_PATHNAME', 'jobs_undo_import' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.undo_import(bigint) IS
'takes an import back: deletes the rows that it inserted and restores those that it updated, unless they have been changed since

It runs in the caller''s transaction and with the caller''s rights; kept counts the rows that it let alone. Error
55000 for what has not succeeded, has been taken back, or can''t be: what went through a view or into a foreign
table, or more than two billion transactions ago. See docs/imports.md.';

-------------------------------------------------------------------------------
-- Bulk jobs
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.bulk(command text, items jsonb, workers integer DEFAULT 1, stop_after integer DEFAULT 1000,
    title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_bulk' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.bulk(text, jsonb, integer, integer, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb) IS
'runs a command for each item of a JSON array in the background and returns the id of the job

The command is one SELECT, VALUES, INSERT, UPDATE, DELETE, MERGE or CALL that uses $1, the item as jsonb, and no
other parameter, with one column at most; it is planned and checked for the caller''s privileges at the call. An
item may have 16 MB and must not be null. A null command leaves the items to clients, see docs/outside.md.
workers is how many background workers share the items, 1 to 1024; those beside the first come where nobody else
needs them. After stop_after failures in a row with the same code and message the job has failed; null is never.
The arguments from title on are those of every submission, see docs/submitting.md. See docs/bulk.md.';

CREATE FUNCTION jobs.bulk_query(command text, items_query text, workers integer DEFAULT 1,
    stop_after integer DEFAULT 1000,
    title text DEFAULT NULL, queue text DEFAULT 'default',
    priority integer DEFAULT 0, run_at timestamptz DEFAULT pg_catalog.now(), after bigint[] DEFAULT NULL,
    timeout interval DEFAULT NULL, max_attempts integer DEFAULT 1, unique_key text DEFAULT NULL,
    notify jsonb DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_bulk_query' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.bulk_query(text, text, integer, integer, text, text, integer, timestamptz, bigint[], interval, integer, text, jsonb) IS
'runs a command for each row of a query in the background and returns the id of the job

items_query is a query as for jobs.export. It runs when the job starts, as the owner, on one snapshot, and each
row is an item: a JSON object, in the order in which the rows come. If it fails, the job fails and there are no
items. All else is as for jobs.bulk.';

CREATE FUNCTION jobs.retry_failed(job bigint, reason text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_retry_failed' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.retry_failed(bigint, text) IS
'queues the failed items of a bulk job again, all or those of one reason, and returns how many

reason is the message of their error. The items are open again and the job is queued for its next round; where
there is none, it stays as it is. Error 55000 for a job that is not final, is no bulk job, or has failed or was
cancelled: jobs.retry goes on with the open items of such a one.';

CREATE FUNCTION jobs.skip_failed(job bigint, reason text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'jobs_skip_failed' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.skip_failed(bigint, text) IS
'settles the failed items of a bulk job as skipped, all or those of one reason, and returns how many

Their errors stay readable. A job without failed items has succeeded. Errors as for jobs.retry_failed.';

CREATE FUNCTION jobs.failures(job bigint, OUT reason text, OUT error_code text, OUT count bigint, OUT example jsonb)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_failures' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION jobs.failures(bigint) IS
'the failed items of a bulk job by reason, most first, each with an example

The reason is the message of the error, the example the payload of the first such item. For whoever may see the
job.';

CREATE FUNCTION jobs.item_history(job bigint, item_no bigint DEFAULT NULL, OUT item_no bigint, OUT round integer,
    OUT state text, OUT error_code text, OUT error_message text, OUT error_detail text, OUT error_hint text,
    OUT result jsonb, OUT finished_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_item_history' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION jobs.item_history(bigint, bigint) IS
'what became of the items of a bulk job, or of one of them, in each round

By item and round. For whoever may see the job.';

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
COMMENT ON FUNCTION jobs.submit(text, jsonb, text, integer, timestamptz, bigint[], interval, integer, text, jsonb) IS
'submits work that a client does, outside of the server, and returns the id of the job

The payload, any JSON of at most 16 MB, is what the client gets; it stands in the job''s options. The other
arguments are those of every submission, see docs/submitting.md, but that max_attempts is 3: a client that dies
has failed an attempt. Such a job takes no worker, and jobs.max_running_per_role does not count it. See
docs/outside.md.';

CREATE FUNCTION jobs.claim(queue text, n integer DEFAULT 1, lease interval DEFAULT '1 minute',
    OUT job bigint, OUT payload jsonb, OUT title text, OUT owner text, OUT tenant text, OUT attempt integer,
    OUT claim bigint, OUT lease_until timestamptz) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_claim' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION jobs.claim(text, integer, interval) IS
'takes jobs of a queue for a client to do before the lease ends

Up to n jobs, 10,000 at most, that are queued and that the caller may claim: as a member of the owner, or by
jobs.grant_claim. They are running when the calling transaction commits. It does not wait: where there is none,
the result is empty. Of one owner''s jobs those with the highest priority come first, and of equal ones those
submitted first; several owners get equal shares. claim is a random number, the same for all rows of the call,
by which the client is known when it answers. A lease is more than zero and at most 24 hours, and ends with the
job''s timeout at the latest. A paused queue gives out nothing.';

CREATE FUNCTION jobs.finish(job bigint, result jsonb DEFAULT NULL, claim bigint DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_finish' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.finish(bigint, jsonb, bigint) IS
'a client has done a job that it had claimed

It is succeeded, with this result; what the same transaction writes is committed with it. Error 55000 where the
job is no longer this client''s; its detail says why. Without claim it must be called in the session that
claimed.';

CREATE FUNCTION jobs.fail(job bigint, message text, code text DEFAULT NULL, retry boolean DEFAULT true,
    claim bigint DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'jobs_fail' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.fail(bigint, text, text, boolean, bigint) IS
'a client could not do a job that it had claimed; returns the job''s state, scheduled where it has another attempt

With retry false it is failed at once. code is an SQLSTATE, P0001 where it is left out. Error 55000 where the
job is no longer this client''s; its detail says why. Without claim it must be called in the session that
claimed.';

CREATE FUNCTION jobs.release(job bigint, claim bigint DEFAULT NULL, items bigint[] DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_release' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.release(bigint, bigint, bigint[]) IS
'gives a claimed job, or items of a claim or what is left of them, back as if it had not been claimed

For clients that are told to stop. No attempt is lost. Error 55000 where the job is no longer this client''s; its
detail says why. Without claim it must be called in the session that claimed.';

CREATE FUNCTION jobs.extend_lease(job bigint, lease interval DEFAULT '1 minute', claim bigint DEFAULT NULL,
    items bigint[] DEFAULT NULL) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'jobs_extend_lease' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.extend_lease(bigint, interval, bigint, bigint[]) IS
'keeps a claimed job, or items of a claim or what is left of them, for longer; returns until when

The lease lasts for this time from now on, if that is longer. Where one of the items is no longer the client''s,
none is kept. Error 55000 where the job is no longer this client''s; its detail says why. Without claim it must
be called in the session that claimed.';

CREATE FUNCTION jobs.report_progress_of(job bigint, processed bigint, total bigint DEFAULT NULL,
    message text DEFAULT NULL, claim bigint DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_report_progress_of' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.report_progress_of(bigint, bigint, bigint, text, bigint) IS
'shows how far a claimed job is to everybody who may see it

As jobs.report_progress does inside of a job. It does not extend the lease. Error 55000 where the job is no
longer this client''s; its detail says why. Without claim it must be called in the session that claimed.';

CREATE FUNCTION jobs.claimable(queue text, OUT job bigint, OUT title text, OUT owner text, OUT tenant text)
    RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_claimable' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION jobs.claimable(text) IS
'the bulk jobs of a queue whose items the caller can claim

For clients that start; later ones learn of such a job from the channel jobs.';

CREATE FUNCTION jobs.claim_items(job bigint, n integer DEFAULT 1, lease interval DEFAULT '1 minute',
    OUT item_no bigint, OUT payload jsonb, OUT lease_until timestamptz, OUT claim bigint) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_claim_items' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION jobs.claim_items(bigint, integer, interval) IS
'takes items of a bulk job for a client to do before the lease ends

Up to n items, 10,000 at most, of a bulk job without a command that are open and that no client has. The first
call makes the job running. The result is empty where there is none, also where the job has ended or its queue
is paused. Where others are just claiming the only items that are left, it waits for them for a tenth of a
second. An item whose lease runs out is open again.';

CREATE FUNCTION jobs.finish_items(job bigint, items bigint[], results jsonb DEFAULT NULL, claim bigint DEFAULT NULL)
    RETURNS void
AS 'MODULE_PATHNAME', 'jobs_finish_items' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.finish_items(bigint, bigint[], jsonb, bigint) IS
'a client has done items that it had claimed

results is an array with an element for each of them, in their order; null is none. Where one of them can''t be
answered for, none is. When the last item has an outcome, the job ends. Error 55000 where an item is no longer
this client''s; its detail says why. Without claim it must be called in the session that claimed.';

CREATE FUNCTION jobs.fail_item(job bigint, item_no bigint, message text, code text DEFAULT NULL,
    claim bigint DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_fail_item' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.fail_item(bigint, bigint, text, text, bigint) IS
'a client could not do an item that it had claimed, or with the code JB001 it was not to be done

It has failed with this message and SQLSTATE, P0001 where that is left out; with JB001 it is skipped. It is not
tried again before jobs.retry_failed. Error 55000 where the item is no longer this client''s; its detail says
why. Without claim it must be called in the session that claimed.';

CREATE FUNCTION jobs.grant_claim(queue text, client regrole, everybody boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_grant_claim' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.grant_claim(text, regrole, boolean) IS
'lets another role claim the caller''s jobs of a queue, or for a superuser everybody''s; false if it already could

The role and its members read payload, title, owner and tenant of what they claim, and answer for it; the views
do not show them more than before. Where client or owner is renamed it is needed anew.';

CREATE FUNCTION jobs.revoke_claim(queue text, client regrole, everybody boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_revoke_claim' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.revoke_claim(text, regrole, boolean) IS
'undoes jobs.grant_claim

False where there was nothing to undo. Answers for what was claimed are refused from then on.';

-------------------------------------------------------------------------------
-- Couriers.  They read the messages about everybody's jobs, so these are nobody's
-- until an administrator grants them to the role that his couriers log in as.
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.claim_deliveries(channel text, n integer DEFAULT 10, lease interval DEFAULT '1 minute',
    OUT delivery bigint, OUT attempt integer, OUT message_id text, OUT job bigint, OUT address text, OUT subject text,
    OUT body text, OUT html text, OUT payload text, OUT created_at timestamptz, OUT claimed_until timestamptz)
    RETURNS SETOF record
AS 'MODULE_PATHNAME', 'jobs_claim_deliveries' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION jobs.claim_deliveries(text, integer, interval) IS
'takes messages about jobs for a courier to deliver before the lease ends

Up to n messages, 1,000 at most, of the channel email or webhook that are due, the first to come due first; a lease is
an hour at most. For email there are subject, one line, body and html; for webhook payload, to be sent byte for byte.
message_id is the same in each attempt. It does not wait: where there is none, the result is empty. Commit before
sending. The session counts as a courier of the channel until it ends. Only roles to which EXECUTE has been granted can
call this, and the three functions below.';

CREATE FUNCTION jobs.finish_delivery(delivery bigint, attempt integer, response text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_finish_delivery' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.finish_delivery(bigint, integer, text) IS
'a courier has delivered a message; false where that came too late to count

It counts while the attempt is the last one, also after its lease. False is no error: another courier has the message by
now, or the job was deleted. Of response 1,000 bytes are kept. The texts of the message are removed.';

CREATE FUNCTION jobs.fail_delivery(delivery bigint, attempt integer, reason text, permanent boolean DEFAULT false,
    retry_after interval DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'jobs_fail_delivery' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.fail_delivery(bigint, integer, text, boolean, interval) IS
'a courier could not deliver a message, now or for good; false where that came too late to count

It is tried again after a minute, then two, four and so on up to two hours, for a day; where it is permanent, not again.
retry_after is how long the other side has asked to wait: it makes the next wait longer, up to six hours and within the
day, and never shorter.';

CREATE FUNCTION jobs.next_delivery(channel text) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'jobs_next_delivery' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.next_delivery(text) IS
'when the next message of a channel is to be delivered, or the lease of one ends; null where there is none

Never less than 50 ms from now. For how long a courier can sleep that listens to jobs_delivery.';

-------------------------------------------------------------------------------
-- Files of exports
-------------------------------------------------------------------------------

CREATE FUNCTION jobs.download(job bigint) RETURNS SETOF bytea
AS 'MODULE_PATHNAME', 'jobs_download' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION jobs.download(bigint) IS
'the bytes of an export''s file, chunk by chunk in order

Chunks have 256 kB, all of one snapshot. In a select list the server reads one at a time; in FROM it collects
them all first. A download that was read to its end is counted in jobs.artifact. It works in a read-only
transaction, and on a standby, where it is not counted. For members of the job''s owner. Error 55000 for a job
without a file and for one whose file has expired. A parameter whose type the driver leaves open would be taken
for a token: write $1::bigint.';

CREATE FUNCTION jobs.download(token text) RETURNS SETOF bytea
AS 'MODULE_PATHNAME', 'jobs_download_token' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION jobs.download(text) IS
'the bytes of a shared file, for whoever holds the token that jobs.share gave

Whatever is wrong with the token, the error is the same, 42704.';

CREATE FUNCTION jobs.download_lo(job bigint) RETURNS oid
AS 'MODULE_PATHNAME', 'jobs_download_lo' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.download_lo(bigint) IS
'copies an export''s file to a new large object, for \lo_export

The large object is the caller''s; remove it afterwards, by \lo_unlink or lo_unlink.';

CREATE FUNCTION jobs.share(job bigint, expires_in interval DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'jobs_share' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.share(bigint, interval) IS
'a token with which anybody can download the file of a job

43 characters that stand for 256 random bits; only its SHA-256 is stored, so it can''t be shown again. It ends
with the file, or earlier after expires_in. A job can have several. See docs/sharing.md.';

CREATE FUNCTION jobs.shared(token text, OUT filename text, OUT media_type text, OUT content_disposition text,
    OUT bytes bigint, OUT sha256 text, OUT expires_at timestamptz)
AS 'MODULE_PATHNAME', 'jobs_shared_artifact' LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT;
COMMENT ON FUNCTION jobs.shared(text) IS
'what a shared file is called and how long it is, for the headers of an HTTP answer; for whoever holds its token

expires_at is when the file goes. Whatever is wrong with the token, the error is the same, 42704.';

CREATE FUNCTION jobs.content_disposition(filename text) RETURNS text
AS 'MODULE_PATHNAME', 'jobs_content_disposition' LANGUAGE C IMMUTABLE PARALLEL SAFE STRICT;
COMMENT ON FUNCTION jobs.content_disposition(text) IS
'an HTTP header''s value that makes a browser save a file under its name

As RFC 6266 has it: attachment; filename="sales.csv", and beside it filename* where the name is not all ASCII.';

CREATE FUNCTION jobs.unshare(job bigint) RETURNS void
AS 'MODULE_PATHNAME', 'jobs_unshare' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION jobs.unshare(bigint) IS
'takes back every token of the file of a job';

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
COMMENT ON VIEW jobs.job IS
'the jobs of the roles that the reader is a member of

One row for each job, until it is deleted, or jobs.history_retention has passed since its end and its file has
expired.';
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
COMMENT ON VIEW jobs.progress IS
'jobs that are not final or ended within the last hour, live

What a running job has done shows here before it commits, and costs it next to nothing.';
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
COMMENT ON VIEW jobs.panel IS
'the same jobs as a person reads them, newest first

The words are English; in a database whose encoding is not UTF8, - stands for their signs. Sizes are decimal: 1
MB is 1,000,000 bytes.';
GRANT SELECT ON jobs.panel TO PUBLIC;

CREATE VIEW jobs.artifact WITH (security_barrier) AS
SELECT f.job, f.filename, f.format, f.media_type, f.rows, f.bytes, f.sha256, f.created_at, f.expires_at, f.downloads
  FROM jobs.file f,
       LATERAL (SELECT jobs._visible(f.owner, f.tenant) AS visible) v
 WHERE v.visible;
COMMENT ON VIEW jobs.artifact IS
'the files that exports made

One row for each, until its job goes; also after the file has expired.';
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
COMMENT ON VIEW jobs.lease IS
'the jobs and items that clients have claimed, and until when

One row for each job, and for neighbouring items of one claim.';
GRANT SELECT ON jobs.lease TO PUBLIC;

CREATE VIEW jobs.claim_grant WITH (security_barrier) AS
SELECT c.queue, CASE WHEN c.owner OPERATOR(pg_catalog.<>) 0 THEN c.owner_name END AS owner,
       c.client_name AS client
  FROM jobs.claimer c,
       LATERAL (SELECT c.owner OPERATOR(pg_catalog.=) 0 OR jobs._visible(c.owner, '')
                       OR pg_catalog.pg_has_role(c.client, 'USAGE') AS visible) v
 WHERE v.visible;
COMMENT ON VIEW jobs.claim_grant IS
'which roles may claim the jobs of others; without an owner it is everybody''s

The reader''s own grants, those to the reader, and those for everybody''s jobs.';
GRANT SELECT ON jobs.claim_grant TO PUBLIC;

CREATE VIEW jobs._outbox WITH (security_barrier) AS
SELECT o.* FROM jobs.outbox o, LATERAL (SELECT jobs._visible(o.owner, o.tenant) AS visible) v
 WHERE v.visible AND o.job OPERATOR(pg_catalog.<>) 0;
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
COMMENT ON VIEW jobs.item IS
'the items of bulk jobs and what became of them

Ask for one job at a time; a query with LIMIT reads no more than it shows.';
GRANT SELECT ON jobs.item TO PUBLIC;

CREATE VIEW jobs.import_issue WITH (security_barrier) AS
SELECT i.job, i.row_no, i.line_no, i.column_name, i.value, i.severity, i.code, i.message, i.action
  FROM (SELECT h.id FROM jobs._history h
         WHERE h.kind OPERATOR(pg_catalog.=) ANY (ARRAY['import_preview', 'import'])) j
       JOIN jobs.issue i ON i.job OPERATOR(pg_catalog.=) j.id;
COMMENT ON VIEW jobs.import_issue IS
'what previews and imports have found, row by row

At most jobs.max_issues of a job; all are counted.';
GRANT SELECT ON jobs.import_issue TO PUBLIC;

-------------------------------------------------------------------------------
-- Columns of the views
-------------------------------------------------------------------------------

COMMENT ON COLUMN jobs.job.id IS 'identifies the job; ids grow, with gaps';
COMMENT ON COLUMN jobs.job.kind IS 'run, export, import_preview, import, bulk or external';
COMMENT ON COLUMN jobs.job.title IS 'what people read';
COMMENT ON COLUMN jobs.job.owner IS 'the role that submitted it and that it runs as';
COMMENT ON COLUMN jobs.job.queue IS 'its queue, a name by which jobs are paused';
COMMENT ON COLUMN jobs.job.priority IS 'among the jobs of one role, higher first';
COMMENT ON COLUMN jobs.job.state IS 'scheduled, waiting, queued, running, succeeded, partial, failed or cancelled';
COMMENT ON COLUMN jobs.job.waiting_for IS 'what a job that has not begun waits for; null where nothing but its time or its worker''s start is missing';
COMMENT ON COLUMN jobs.job.round IS 'of a bulk job, each jobs.retry_failed begins the next; else 1';
COMMENT ON COLUMN jobs.job.attempt IS 'which attempt it is or was; 0 before the first';
COMMENT ON COLUMN jobs.job.max_attempts IS 'how many it has';
COMMENT ON COLUMN jobs.job.created_at IS 'time of the call';
COMMENT ON COLUMN jobs.job.run_at IS 'as submitted, or the time of the next attempt';
COMMENT ON COLUMN jobs.job.started_at IS 'of the last attempt';
COMMENT ON COLUMN jobs.job.finished_at IS 'of the last attempt''s end';
COMMENT ON COLUMN jobs.job.timeout IS 'of running time; null is none';
COMMENT ON COLUMN jobs.job.processed IS 'rows or items that it has done, once it has ended; jobs.progress has those of a running job';
COMMENT ON COLUMN jobs.job.total IS 'rows or items there are, likewise';
COMMENT ON COLUMN jobs.job.succeeded IS 'items of a bulk job that succeeded, exact whenever it does not run; rows of a preview that are ready, or of an import that went in; else null';
COMMENT ON COLUMN jobs.job.failed IS 'items of a bulk job that failed, likewise; rows of a preview with errors';
COMMENT ON COLUMN jobs.job.skipped IS 'items of a bulk job that were skipped, likewise; rows that a preview or an import leaves out';
COMMENT ON COLUMN jobs.job.warnings IS 'rows with warnings of a preview; else null';
COMMENT ON COLUMN jobs.job.error_code IS 'SQLSTATE of the last failure';
COMMENT ON COLUMN jobs.job.error_message IS 'its words, cut at 4,000 bytes';
COMMENT ON COLUMN jobs.job.error_detail IS 'its detail, likewise';
COMMENT ON COLUMN jobs.job.error_hint IS 'its hint, likewise';
COMMENT ON COLUMN jobs.job.result IS 'what it came to, by kind: see the functions that submit';
COMMENT ON COLUMN jobs.job.unique_key IS 'as submitted';
COMMENT ON COLUMN jobs.job.tenant IS 'jobs.tenant of the session that submitted it; empty is none';
COMMENT ON COLUMN jobs.job.command IS 'the command or query';
COMMENT ON COLUMN jobs.job.options IS 'of an export format, filename, ttl in seconds and options; of a bulk job workers, stop_after and items_query; of a client''s job payload';

COMMENT ON COLUMN jobs.progress.id IS 'as in jobs.job';
COMMENT ON COLUMN jobs.progress.kind IS 'as in jobs.job';
COMMENT ON COLUMN jobs.progress.title IS 'as in jobs.job';
COMMENT ON COLUMN jobs.progress.state IS 'as in jobs.job';
COMMENT ON COLUMN jobs.progress.phase IS 'of a running job: running; of an export counting where its rows are counted first, exporting, finishing; claimed where a client has it';
COMMENT ON COLUMN jobs.progress.processed IS 'rows or items that it has done, before it commits them';
COMMENT ON COLUMN jobs.progress.total IS 'rows or items there are; of a running export counted where that takes a moment, else an estimate: of one table from the blocks that have been read, else the planner''s, raised when more come';
COMMENT ON COLUMN jobs.progress.percent IS 'with one decimal; never goes back within an attempt, at most 99.9 while running, 100 after success; null where there is no total';
COMMENT ON COLUMN jobs.progress.bytes IS 'of an export''s file so far';
COMMENT ON COLUMN jobs.progress.succeeded IS 'as in jobs.job, so far';
COMMENT ON COLUMN jobs.progress.failed IS 'as in jobs.job, so far';
COMMENT ON COLUMN jobs.progress.skipped IS 'as in jobs.job, so far';
COMMENT ON COLUMN jobs.progress.warnings IS 'as in jobs.job, so far';
COMMENT ON COLUMN jobs.progress.rows_per_second IS 'since the start of the attempt';
COMMENT ON COLUMN jobs.progress.eta IS 'time that is left at that rate, in whole seconds';
COMMENT ON COLUMN jobs.progress.message IS 'what jobs.report_progress gave last';
COMMENT ON COLUMN jobs.progress.started_at IS 'of the running attempt, or of the last';
COMMENT ON COLUMN jobs.progress.elapsed IS 'of the running attempt, or of the last';
COMMENT ON COLUMN jobs.progress.waiting_for IS 'as in jobs.job';
COMMENT ON COLUMN jobs.progress.pid IS 'of the worker, as in pg_stat_activity; null where a client has the job';
COMMENT ON COLUMN jobs.progress.total_is_estimate IS 'whether total is one; null where there is no total';

COMMENT ON COLUMN jobs.panel.id IS 'as in jobs.job';
COMMENT ON COLUMN jobs.panel.title IS 'as in jobs.job';
COMMENT ON COLUMN jobs.panel.state IS 'as in jobs.job';
COMMENT ON COLUMN jobs.panel.headline IS 'what a person wants to know first: 541,909 rows, 51.7 MB, CSV';
COMMENT ON COLUMN jobs.panel.detail IS 'and then: 67%, started 2 min ago';
COMMENT ON COLUMN jobs.panel.percent IS 'as in jobs.progress';
COMMENT ON COLUMN jobs.panel.can_leave IS 'true while the job is not final: it goes on when its submitter has gone';
COMMENT ON COLUMN jobs.panel.actions IS 'what the reader can call now, by the functions'' names: cancel, retry, retry_failed, download, import, undo_import, delete';

COMMENT ON COLUMN jobs.artifact.job IS 'that made it';
COMMENT ON COLUMN jobs.artifact.filename IS 'without a directory';
COMMENT ON COLUMN jobs.artifact.format IS 'csv, jsonl, xlsx or pdf';
COMMENT ON COLUMN jobs.artifact.media_type IS 'for example text/csv; charset=utf-8';
COMMENT ON COLUMN jobs.artifact.rows IS 'without the header';
COMMENT ON COLUMN jobs.artifact.bytes IS 'of the file, compressed if it is';
COMMENT ON COLUMN jobs.artifact.sha256 IS 'of the file, 64 hexadecimal digits';
COMMENT ON COLUMN jobs.artifact.created_at IS 'when the export ended';
COMMENT ON COLUMN jobs.artifact.expires_at IS 'from then on it can''t be downloaded; its bytes are removed soon after';
COMMENT ON COLUMN jobs.artifact.downloads IS 'how often it was read to its end';

COMMENT ON COLUMN jobs.upload.id IS 'as jobs.upload returned it';
COMMENT ON COLUMN jobs.upload.filename IS 'null where none was given';
COMMENT ON COLUMN jobs.upload.owner IS 'the role that made it';
COMMENT ON COLUMN jobs.upload.bytes IS 'so far';
COMMENT ON COLUMN jobs.upload.created_at IS 'when it was begun';
COMMENT ON COLUMN jobs.upload.expires_at IS 'when it goes; null while a job uses it';
COMMENT ON COLUMN jobs.upload.jobs IS 'ids of the jobs that use it';

COMMENT ON COLUMN jobs.import_issue.job IS 'the preview or import';
COMMENT ON COLUMN jobs.import_issue.row_no IS 'number of the row, of data rows from 1; 0 is the header';
COMMENT ON COLUMN jobs.import_issue.line_no IS 'line of the file on which the row begins';
COMMENT ON COLUMN jobs.import_issue.column_name IS 'as the file names it; null where it is about the row';
COMMENT ON COLUMN jobs.import_issue.value IS 'what stands there; null for a sensitive column';
COMMENT ON COLUMN jobs.import_issue.severity IS 'warning or error';
COMMENT ON COLUMN jobs.import_issue.code IS 'a stable word, such as malformed, missing_required, duplicate_existing; see docs/imports.md';
COMMENT ON COLUMN jobs.import_issue.message IS 'in words';
COMMENT ON COLUMN jobs.import_issue.action IS 'what will become of the row, or has';

COMMENT ON COLUMN jobs.item.job IS 'its bulk job';
COMMENT ON COLUMN jobs.item.item_no IS 'from 1, in the order of the array or of the query';
COMMENT ON COLUMN jobs.item.payload IS 'what the command gets as $1';
COMMENT ON COLUMN jobs.item.state IS 'open, succeeded, failed or skipped';
COMMENT ON COLUMN jobs.item.round IS 'in which it came to this state; of an open item, the job''s';
COMMENT ON COLUMN jobs.item.error_code IS 'SQLSTATE; null where it succeeded or is open';
COMMENT ON COLUMN jobs.item.error_message IS 'cut at 4,000 bytes';
COMMENT ON COLUMN jobs.item.error_detail IS 'cut at 4,000 bytes';
COMMENT ON COLUMN jobs.item.error_hint IS 'cut at 4,000 bytes';
COMMENT ON COLUMN jobs.item.result IS 'what the command returned, or the client';
COMMENT ON COLUMN jobs.item.finished_at IS 'to a fraction of a second; items that are stored together have the same time';

COMMENT ON COLUMN jobs.lease.job IS 'that is claimed, or whose items are';
COMMENT ON COLUMN jobs.lease.first_item IS 'number of the first item; null for a whole job';
COMMENT ON COLUMN jobs.lease.items IS 'of how many; those of them that have no outcome yet are claimed';
COMMENT ON COLUMN jobs.lease.client IS 'the role that claimed';
COMMENT ON COLUMN jobs.lease.claimed_at IS 'when';
COMMENT ON COLUMN jobs.lease.lease_until IS 'its end; a lease of items whose time is over stays until they are claimed again';

COMMENT ON COLUMN jobs.claim_grant.queue IS 'of the jobs that may be claimed';
COMMENT ON COLUMN jobs.claim_grant.owner IS 'whose jobs; null is everybody''s';
COMMENT ON COLUMN jobs.claim_grant.client IS 'the role that may claim them';
COMMENT ON COLUMN jobs.delivery.id IS 'identifies the delivery';
COMMENT ON COLUMN jobs.delivery.job IS 'whose end it is about';
COMMENT ON COLUMN jobs.delivery.channel IS 'email or webhook';
COMMENT ON COLUMN jobs.delivery.address IS 'where it goes';
COMMENT ON COLUMN jobs.delivery.state IS 'pending, claimed by a courier, delivered or failed';
COMMENT ON COLUMN jobs.delivery.attempts IS 'how many have begun';
COMMENT ON COLUMN jobs.delivery.next_attempt_at IS 'of a claimed one, the end of its lease; null once it is delivered or has failed';
COMMENT ON COLUMN jobs.delivery.last_error IS 'why the last attempt failed, or why there was none';
COMMENT ON COLUMN jobs.delivery.response IS 'what the other side has answered, once it is delivered';
COMMENT ON COLUMN jobs.delivery.created_at IS 'the end of the job';
COMMENT ON COLUMN jobs.delivery.claimed_at IS 'when the last attempt began';
COMMENT ON COLUMN jobs.delivery.delivered_at IS 'when a courier said so';
COMMENT ON COLUMN jobs.delivery.message_id IS 'a UUID, the same in all attempts';
COMMENT ON COLUMN jobs.delivery.subject IS 'of the mail; also in the body of a webhook';
COMMENT ON COLUMN jobs.delivery_attempt.delivery IS 'of jobs.delivery';
COMMENT ON COLUMN jobs.delivery_attempt.job IS 'whose end it is about';
COMMENT ON COLUMN jobs.delivery_attempt.attempt IS 'counted from 1';
COMMENT ON COLUMN jobs.delivery_attempt.courier IS 'the role that made it';
COMMENT ON COLUMN jobs.delivery_attempt.claimed_at IS 'when it began';
COMMENT ON COLUMN jobs.delivery_attempt.ended_at IS 'when it was answered, or its lease was found to be over';
COMMENT ON COLUMN jobs.delivery_attempt.outcome IS 'delivered, failed, or lapsed: no answer before the lease ended';
COMMENT ON COLUMN jobs.delivery_attempt.answer IS 'of the other side, or why it failed';

-------------------------------------------------------------------------------
-- Rights
-------------------------------------------------------------------------------

-- No function is anybody's by default; these are what the contract gives to every role.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA jobs FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA jobs TO PUBLIC;
REVOKE EXECUTE ON FUNCTION jobs.claim_deliveries(text, integer, interval), jobs.finish_delivery(bigint, integer, text),
    jobs.fail_delivery(bigint, integer, text, boolean, interval), jobs.next_delivery(text) FROM PUBLIC;
