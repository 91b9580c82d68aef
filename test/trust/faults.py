"""The faults, by the numbers of docs/reliability.md.

Each has a name, a title, how often it is injected in the whole and in the short form, and one of
    inject      does it once, while the workload runs
    program     does all of it, on servers of its own
before and after frame the injections of one run; shim asks for a server with shim.so."""

import mmap
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import time

import psycopg2

from server import alive
from workload import Workload

CLOCKS = {
    'settled after the end of its worker': 0.1,
    'running again after the end of its worker': 1.0,
    'running again after "ready to accept connections"': 1.0,
    'DROP, RENAME or copy of a database that is idle': 1.0,
}

CRASH = re.compile('was terminated by signal 9')


class Context:
    """What one fault's run has."""

    def __init__(self, driver, server, workload, rng, n):
        self.driver = driver
        self.server = server
        self.workload = workload
        self.random = rng
        self.n = n
        self.done = 0
        self.submitted = 0
        self.found = []
        self.bears_in_log = None    # what the log may have
        self.keep = {}

    def complain(self, invariant, text):
        self.found.append((invariant, text))

    def away(self):
        """From now until a scheduler is there again nobody is told anything."""
        return Away(self)


class Away:
    def __init__(self, context):
        self.context = context

    def __enter__(self):
        self.since = self.context.workload.now()
        # What had ended a moment before may not have been told either.
        return self

    def __exit__(self, *_):
        server = self.context.server
        server.wait_ready()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not server.pids('scheduler'):
            time.sleep(0.01)
        import datetime
        second = datetime.timedelta(seconds=1)
        self.context.workload.away.append((self.since - second, self.context.workload.now() + second))


def some(context, kind):
    pids = context.server.pids(kind)
    return context.random.choice(pids) if pids else None


# ----------------------------------------------------------------------------
# Processes
# ----------------------------------------------------------------------------

def kill_and_recover(context, pid):
    """kill -9 of one of the server's processes, which restarts all of them."""
    server = context.server
    if pid is None:
        return
    before = server.ready_at()
    with context.away():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + 60
        while server.ready_at() == before and time.monotonic() < deadline:
            time.sleep(0.01)
    first_start(context)


def first_start(context):
    """How long it took from the server's readiness to the first start of a job."""
    server = context.server
    ready = server.ready_at()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        took = server.value("SELECT extract(epoch FROM min(started_at) - %s::timestamptz)::float8 FROM jobs.job WHERE started_at >= %s::timestamptz", ready, ready)
        if took is not None:
            context.driver.clock('running again after "ready to accept connections"', took)
            return
        time.sleep(0.05)
    context.complain('I2', 'no job has begun in 20 seconds after the restart')


def kill_worker(context):
    kill_and_recover(context, some(context, 'worker'))


def kill_scheduler(context):
    kill_and_recover(context, some(context, context.random.choice(('scheduler', 'launcher'))))


def kill_postmaster(context):
    with context.away():
        took = context.server.kill_postmaster()
        if took > 1.0 * context.workload.slack:
            context.complain('I13', f'orphans stay for {took:.1f} s')
        context.driver.clock('orphans gone after the end of the postmaster', took)
        context.server.start()
    first_start(context)


def shut_down(context):
    mode = context.random.choice(('fast', 'fast', 'immediate', 'smart'))
    with context.away():
        if mode == 'smart':
            # It waits for sessions, which are told to leave.
            context.server.stop('smart', wait=False)
            context.server.stop('fast')
        else:
            started = time.monotonic()
            context.server.stop(mode)
            took = time.monotonic() - started
            if mode == 'fast' and took > 5 * context.workload.slack:
                context.complain('F04', f'a fast shutdown took {took:.1f} s')
        context.server.start()
    first_start(context)


def terminate_worker(context):
    """One of the workload's, and one of a job that has attempts left: how soon it is settled, and runs again."""
    server = context.server
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'jobs worker' ORDER BY random() LIMIT 1")
    job = server.value("SELECT jobs.run('SELECT pg_sleep(600)', max_attempts => 1000)")
    pid = wait_for(server, 'SELECT pid FROM jobs.progress WHERE id = %s AND pid IS NOT NULL', job)
    if pid is None:
        context.complain('I2', f'job {job} does not begin')
        return
    attempt = server.value('SELECT attempt FROM jobs.live WHERE id = %s', job)
    server.sql('SELECT pg_terminate_backend(%s)', pid)
    started = time.monotonic()
    gone = settled = again = None
    while time.monotonic() - started < 10 and again is None:
        if gone is None and not alive(pid):
            gone = time.monotonic()
        state, now = server.sql("SELECT state, attempt FROM jobs.live WHERE id = %s", job)[0]
        if settled is None and (state, now) != ('running', attempt):
            settled = time.monotonic()
        if (state, now) == ('running', attempt + 1):
            again = time.monotonic()
    if again is None:
        context.complain('I3', f'job {job} does not run again in 10 s after the end of its worker')
    else:
        # From the end of the process on, which may first have to roll back.
        gone = gone or settled
        context.driver.clock('settled after the end of its worker', max(0, settled - gone))
        context.driver.clock('running again after the end of its worker', again - gone)
    server.sql('SELECT jobs.cancel(%s)', job)


def wait_for(server, query, *arguments, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = server.value(query, *arguments)
        if found is not None:
            return found
        time.sleep(0.005)


def signal_scheduler(context):
    kind = context.random.choice(('scheduler', 'launcher'))
    what = context.random.choice((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP))
    pid = some(context, kind)
    if pid is None:
        return
    with context.away():
        try:
            if what == signal.SIGSTOP:
                context.workload.suspended = True
                os.kill(pid, signal.SIGSTOP)
                time.sleep(30 if context.driver.options.full and context.random.random() < 0.05 else 0.3)
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.3)
            else:
                os.kill(pid, what)
        except ProcessLookupError:
            pass
        finally:
            context.workload.suspended = False
    started = time.monotonic()
    while not (context.server.pids('scheduler') and context.server.pids('launcher')):
        if time.monotonic() - started > 2 * context.workload.slack:
            context.complain('F06', f'{what.name} of the {kind}: not back after {time.monotonic() - started:.1f} s')
            break
        time.sleep(0.02)


# ----------------------------------------------------------------------------
# Jobs
# ----------------------------------------------------------------------------

def cancel(context):
    """At whatever it does, also twice, also at its commit."""
    server = context.server
    rows = server.sql("SELECT id, title FROM jobs.job WHERE state = 'running' OR state = 'queued' ORDER BY random() LIMIT 1")
    if not rows:
        return
    job, title = rows[0]
    entry = context.workload.ledger.entries.get(int(title[1:])) if re.fullmatch(r'k\d+', title) else None
    if entry:
        entry['cancelled'] = True
    for _ in range(context.random.choice((1, 1, 2))):
        try:
            said = server.value('SELECT jobs.cancel(%s)', job)
        except psycopg2.errors.UndefinedObject:
            return
    started = time.monotonic()
    while time.monotonic() - started < 10:
        state = server.value('SELECT state FROM jobs.job WHERE id = %s', job)
        if state in ('cancelled', 'succeeded', 'partial', 'failed', None):
            break
        time.sleep(0.002)
    took = time.monotonic() - started
    context.driver.clock('ended after jobs.cancel', took)
    if took > 1 * context.workload.slack:
        context.complain('F07', f'job {job} ends {took:.1f} s after its cancel')
    if said and state in ('succeeded', 'partial'):
        # It may have committed already when it was told.
        context.driver.clock('succeeded in spite of jobs.cancel', 0.001)


def time_out(context):
    """A job that is asked to end at a random moment; what it did is gone."""
    ms = context.random.randint(1, 300)
    server = context.server
    entry = context.workload.ledger.add(kind='run', role='postgres')
    job = server.value("SELECT jobs.run(%s, title => %s, timeout => %s::interval)",
                       f"INSERT INTO trust.effect VALUES ({entry['key']}, 0); SELECT count(*) FROM trust.numbers a, trust.numbers b", f"k{entry['key']}", f'{ms} ms')
    entry['job'], entry['fate'] = job, 'committed'
    server.sql("SELECT jobs.wait(%s, '20 s')", job)
    row = server.sql("SELECT state, error_message, extract(epoch FROM finished_at - started_at)::float8 FROM jobs.job WHERE id = %s", job)[0]
    if row[0] != 'failed' or not row[1].startswith('timeout after'):
        context.complain('F08', f'a job with a timeout of {ms} ms: {row}')
    else:
        context.driver.clock('past its timeout', row[2] - ms / 1000)


def lock_tables(context):
    """Somebody holds a lock on a table of the jobs, or on all of ours."""
    server = context.server
    table = context.random.choice(('trust.effect', 'trust.numbers', 'jobs.live', 'jobs.history', 'jobs.outcome', 'jobs.chunk', 'jobs.offer'))
    connection = server.connect(autocommit=False)
    context.workload.suspended = table.startswith('jobs.')
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5 s'")
            try:
                cursor.execute(f'LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE')
            except psycopg2.errors.LockNotAvailable:
                return
            time.sleep(context.random.uniform(0.05, 0.4))
    finally:
        connection.rollback()
        connection.close()
        time.sleep(0.1)
        context.workload.suspended = False


# ----------------------------------------------------------------------------
# Roles and tables, in the middle of it
# ----------------------------------------------------------------------------

def change_role(context):
    """A role loses something, with one of its jobs running and others to come."""
    context.workload.borne |= {'42501'}
    server = context.server
    n = context.done
    role = f'trust_victim_{n}'
    way = context.random.choice(('drop', 'rename', 'nologin', 'expire', 'revoke', 'membership'))
    server.sql(f"CREATE ROLE {role} LOGIN; GRANT INSERT ON trust.effect TO {role}")
    server.sql(f"CREATE ROLE {role}_team; GRANT {role}_team TO {role}")
    dropped = {role}
    try:
        keys = {name: context.workload.ledger.add(kind='run', role='?')['key'] for name in ('running', 'queued', 'later')}

        def call(name, then, more=''):
            return f"SELECT jobs.run('INSERT INTO trust.effect VALUES ({keys[name]}, 0); {then}', title => 'k{keys[name]}'{more})"
        acting = f'SET ROLE {role}_team' if way == 'membership' else 'SELECT 1'
        running = server.in_database('postgres', acting, call('running', 'SELECT pg_sleep(0.3)'), role=role)[0][0]
        for _ in range(200):
            if server.value("SELECT state FROM jobs.job WHERE id = %s", running) != 'queued':
                break
            time.sleep(0.01)
        # Its queue stands still until the role has been changed, however long that takes.
        server.sql(f"SELECT jobs.pause('victim {n}')")
        queued = server.in_database('postgres', acting, call('queued', 'SELECT 1', f", queue => 'victim {n}'"), role=role)[0][0]
        later = server.in_database('postgres', acting, call('later', 'SELECT 1', f', after => ARRAY[{queued}]'), role=role)[0][0]
        expected = {'drop': '42704', 'rename': None, 'nologin': '42501', 'expire': '42501', 'revoke': '42501', 'membership': '42501'}[way]
        if way == 'drop':
            server.sql(f'DROP OWNED BY {role}; DROP ROLE {role}')
            dropped.clear()
        elif way == 'rename':
            server.sql(f'ALTER ROLE {role} RENAME TO {role}_renamed')
            dropped = {role + '_renamed'}
        elif way == 'nologin':
            server.sql(f'ALTER ROLE {role} NOLOGIN')
        elif way == 'expire':
            server.sql(f"ALTER ROLE {role} VALID UNTIL '2001-01-01'")
        elif way == 'membership':
            server.sql(f'REVOKE {role}_team FROM {role}')
        else:
            server.sql(f'REVOKE INSERT ON trust.effect FROM {role}; REVOKE INSERT ON trust.effect FROM PUBLIC')
        server.sql(f"SELECT jobs.resume('victim {n}')")
        for job in (running, queued, later):
            server.sql("SELECT jobs.wait(%s, '20 s')", job)
        states = dict((i, (s, c)) for i, s, c in server.sql("SELECT id, state, error_code FROM jobs.job WHERE id = ANY (%s)", [running, queued, later]))
        want = ('succeeded', None) if expected is None else ('failed', expected)
        if states[queued] != want:
            context.complain('F13', f'{way}: the job that waited is {states[queued]}, not {want}')
        if states[later][0] != ('succeeded' if expected is None else 'cancelled'):
            context.complain('F13', f'{way}: the job after it is {states[later]}')
    finally:
        server.sql('GRANT INSERT ON trust.effect TO PUBLIC')
        # The ledger's jobs are checked here; their role is gone.
        for key in keys.values():
            context.workload.ledger.entries.pop(key, None)
        server.sql('DELETE FROM trust.effect WHERE key = ANY (%s)', list(keys.values()))
        for name in dropped | {role + '_team'}:
            server.sql(f'DROP OWNED BY {name}; DROP ROLE {name}')


def change_table(context):
    """A table of a running export is dropped, altered, truncated or renamed."""
    server = context.server
    rows = 20000
    server.sql(f'DROP TABLE IF EXISTS trust.victim; CREATE TABLE trust.victim AS SELECT n, repeat(\'y\', 50) AS t FROM generate_series(1, {rows}) n')
    way = context.random.choice(('DROP TABLE trust.victim', 'ALTER TABLE trust.victim ALTER n TYPE text', 'TRUNCATE trust.victim',
                                 'ALTER TABLE trust.victim RENAME TO victim2; DROP TABLE trust.victim2', 'ALTER TABLE trust.victim DROP COLUMN t'))
    job = server.value("SELECT jobs.export('SELECT * FROM trust.victim', title => 'victim')")
    time.sleep(context.random.uniform(0, 0.05))
    try:
        server.sql(way)
    except psycopg2.errors.DeadlockDetected:
        pass
    server.sql("SELECT jobs.wait(%s, '20 s')", job)
    state, code, n = server.sql("SELECT state, error_code, (SELECT rows FROM jobs.artifact WHERE job = id) FROM jobs.job WHERE id = %s", job)[0]
    # The table of a preview, before its import.
    server.sql("DROP TABLE IF EXISTS trust.victim; CREATE TABLE trust.victim (a int, b text)")
    preview = server.value("SELECT jobs.import_preview('trust.victim', content => E'a,b\\n1,2\\n', title => 'victim')")
    server.sql("SELECT jobs.wait(%s, '20 s')", preview)
    server.sql('DROP TABLE trust.victim' if 'DROP TABLE' in way else 'ALTER TABLE trust.victim ADD COLUMN c int NOT NULL' if 'ALTER' in way else 'ALTER TABLE trust.victim DROP COLUMN b')
    try:
        job = server.value('SELECT jobs.import(%s)', preview)
        server.sql("SELECT jobs.wait(%s, '20 s')", job)
        end = server.sql('SELECT state, error_code FROM jobs.job WHERE id = %s', job)[0]
    except psycopg2.Error as error:
        end = ('failed', error.pgcode)
    if end not in (('failed', '55000'), ('failed', '42P01'), ('failed', '42704')):
        context.complain('F14', f'the table of a preview was changed: the import is {end}')
    # TRUNCATE and rewrites are not MVCC-safe, as PostgreSQL's documentation says.
    if not (state == 'succeeded' and n in (0, rows) or state == 'failed' and code in ('42P01', '42703', '40001', '0A000', 'XX000')):
        context.complain('F14', f'{way}: the export is {state} {code} with {n} rows')
    server.sql('DROP TABLE IF EXISTS trust.victim')


# ----------------------------------------------------------------------------
# Databases and the extension
# ----------------------------------------------------------------------------

def drop_extension(context):
    """In a database beside the one of the workload, with jobs that run and wait."""
    server = context.server
    if not server.value("SELECT count(*) FROM pg_database WHERE datname = 'beside'"):
        server.sql('CREATE DATABASE beside')
    server.in_database('beside', 'CREATE EXTENSION IF NOT EXISTS jobs', "SELECT jobs.run('SELECT pg_sleep(60)') FROM generate_series(1, 2)",
                       "SELECT jobs.export('SELECT g, pg_sleep(0.001) FROM generate_series(1, 100000) g')",
                       "SELECT jobs.bulk_query('SELECT pg_sleep(0.01) WHERE $1 IS NOT NULL', 'SELECT generate_series(1, 1000) AS n', workers => 2)",
                       "SELECT jobs.run('SELECT 1', run_at => now() + '1 day')")
    time.sleep(context.random.uniform(0, 0.5))
    started = time.monotonic()
    server.in_database('beside', context.random.choice(('DROP EXTENSION jobs', 'DROP EXTENSION jobs CASCADE')))
    took = time.monotonic() - started
    if took > 2 * context.workload.slack:
        context.complain('F15', f'DROP EXTENSION took {took:.1f} s')
    deadline = time.monotonic() + 10
    while server.value("SELECT count(*) FROM pg_stat_activity WHERE datname = 'beside' AND backend_type LIKE 'jobs %%'"):
        if time.monotonic() > deadline:
            context.complain('F15', 'processes stay after DROP EXTENSION')
            break
        time.sleep(0.02)
    server.in_database('beside', 'CREATE EXTENSION jobs')
    job = server.in_database('beside', "SELECT jobs.run('SELECT 1')")[0][0]
    state = server.in_database('beside', f"SELECT jobs.wait({job}, '20 s')")[0][0]
    if state != 'succeeded':
        context.complain('F15', f'after DROP and CREATE a job is {state}')


def change_database(context):
    """DROP, RENAME and copies of a database whose extension is idle, or is not."""
    server = context.server
    name = f'beside_{context.done}'
    server.sql(f'CREATE DATABASE {name}')
    server.in_database(name, 'CREATE EXTENSION jobs')
    busy = context.random.random() < 0.4
    job = server.in_database(name, f"SELECT jobs.run('SELECT {'pg_sleep(60)' if busy else '1'}')")[0][0]
    if busy:
        while server.in_database(name, f'SELECT state FROM jobs.job WHERE id = {job}')[0][0] != 'running':
            time.sleep(0.02)
    else:
        server.in_database(name, f"SELECT jobs.wait({job})")
    # A session needs a moment to leave.
    while server.value("SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'", name):
        time.sleep(0.01)
    command = context.random.choice((f'ALTER DATABASE {name} RENAME TO {name}_new', f'CREATE DATABASE {name}_copy TEMPLATE {name}', f'DROP DATABASE {name}'))
    started = time.monotonic()
    try:
        server.sql(command)
        if busy:
            context.complain('F16', f'{command} with a running job is no error')
    except psycopg2.errors.ObjectInUse as error:
        if not busy:
            context.complain('F16', f'{command} while nothing runs: {error}')
    took = time.monotonic() - started
    if not busy:
        context.driver.clock('DROP, RENAME or copy of a database that is idle', took)
        if took > 1 * context.workload.slack + 0.5:
            context.complain('F16', f'{command} took {took:.1f} s')
    for left in (name, name + '_new', name + '_copy'):
        server.sql(f'DROP DATABASE IF EXISTS {left} WITH (FORCE)')


def template1(context):
    """CREATE DATABASE, with the extension in the template."""
    server = context.server
    server.in_database('template1', 'CREATE EXTENSION IF NOT EXISTS jobs')
    name = f'from_template_{context.done}'
    started = time.monotonic()
    server.sql(f'CREATE DATABASE {name}')
    took = time.monotonic() - started
    if took > 3 * context.workload.slack:
        context.complain('F17', f'CREATE DATABASE took {took:.1f} s')
    job = server.in_database(name, "SELECT jobs.run('SELECT 1')")[0][0]
    state = server.in_database(name, f"SELECT jobs.wait({job}, '10 s')")[0][0]
    if state != 'succeeded':
        context.complain('F17', f'the first job of a new database is {state}')
    server.sql(f'DROP DATABASE {name} WITH (FORCE)')


def leave_template1(context):
    context.server.in_database('template1', 'DROP EXTENSION jobs')
    context.server.sql('DROP DATABASE IF EXISTS beside WITH (FORCE)')


def update_extension(context):
    """ALTER EXTENSION UPDATE to a version that adds a function, and back."""
    server = context.server
    directory = os.path.join(subprocess.check_output(['pg_config', '--sharedir'], text=True).strip(), 'extension')
    if not os.access(directory, os.W_OK):
        return
    scripts = {'jobs--1.0--1.0trust.sql': 'CREATE FUNCTION jobs._trust() RETURNS integer LANGUAGE sql AS \'SELECT 1\';',
               'jobs--1.0trust--1.0.sql': 'DROP FUNCTION jobs._trust();'}
    for name, text in scripts.items():
        with open(os.path.join(directory, name), 'w') as f:
            f.write(text)
    try:
        server.sql("ALTER EXTENSION jobs UPDATE TO '1.0trust'")
        time.sleep(context.random.uniform(0, 0.2))
        server.sql("ALTER EXTENSION jobs UPDATE TO '1.0'")
    finally:
        for name in scripts:
            os.unlink(os.path.join(directory, name))


# ----------------------------------------------------------------------------
# Resources
# ----------------------------------------------------------------------------

def take_slots(context):
    """Other background workers take what the server has."""
    server = context.server
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute('SET max_parallel_workers_per_gather = 8; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0')
            cursor.execute('SELECT count(*) FROM trust.numbers a JOIN trust.numbers b USING (hash)')
    finally:
        connection.close()


def take_connections(context):
    """All of max_connections are taken for a moment."""
    server = context.server
    held = []
    context.workload.borne |= {'53300'}
    try:
        while len(held) < 100:
            held.append(server.connect())
    except psycopg2.OperationalError:
        pass
    try:
        ran = held[0].cursor()
        ran.execute("SELECT jobs.run('SELECT 1')")
        job = ran.fetchone()[0]
        ran.execute("SELECT jobs.wait(%s, '10 s')", (job,))
        if ran.fetchone()[0] != 'succeeded':
            context.complain('F25', 'without a free connection no job runs')
    finally:
        for connection in held:
            connection.close()


def drop_listener(context):
    """Listeners are cut off, come back, and one sleeps in a transaction."""
    server = context.server
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE '%%jobs.job WHERE id%%' AND backend_type = 'client backend' AND pid <> pg_backend_pid()")
    if 'sleeper' not in context.keep:
        context.keep['sleeper'] = sleeper = server.connect()
        with sleeper.cursor() as cursor:
            cursor.execute('LISTEN jobs; LISTEN jobs_progress')
            cursor.execute('BEGIN; SELECT 1')


def wake_listener(context):
    context.keep['sleeper'].close()


def pin_horizon(context):
    if 'pin' not in context.keep:
        context.keep['pin'] = pin = context.server.connect()
        with pin.cursor() as cursor:
            cursor.execute('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txid_current()')
        context.keep['began'] = time.monotonic()
    job = context.server.sql("SELECT jobs.run('SELECT 1')")[0][0]
    context.server.sql("SELECT jobs.wait(%s, '10 s')", job)
    context.driver.clock('started under a pinned horizon', context.server.value(
        "SELECT extract(epoch FROM started_at - created_at)::float8 FROM jobs.job WHERE id = %s", job))


def unpin_horizon(context):
    if context.driver.options.full:
        while time.monotonic() - context.keep['began'] < 1800:
            time.sleep(1)
            pin_horizon(context)
    context.keep['pin'].close()


def storm_before(context):
    context.server.sql("ALTER SYSTEM SET autovacuum_naptime = '1s'")
    context.server.sql("ALTER SYSTEM SET vacuum_freeze_min_age = 0")
    context.server.sql("ALTER SYSTEM SET vacuum_freeze_table_age = 0")
    context.server.sql("SELECT pg_reload_conf()")


def storm(context):
    """Transactions are used up and everything is frozen, all the time."""
    server = context.server
    server.sql("DO $$ BEGIN FOR i IN 1..2000 LOOP BEGIN INSERT INTO trust.storm VALUES (i); EXCEPTION WHEN division_by_zero THEN END; END LOOP; END $$")
    server.sql('VACUUM (FREEZE) jobs.live, jobs.history, jobs.outcome, jobs.chunk')


def storm_after(context):
    context.server.sql('ALTER SYSTEM RESET ALL')
    context.server.sql('SELECT pg_reload_conf()')


def contend(context):
    """Somebody from outside is in the way of items: deadlocks, and failures to serialize."""
    server = context.server
    connection = server.connect(autocommit=False)
    try:
        with connection.cursor() as cursor:
            cursor.execute(context.random.choice(('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED')))
            for n in context.random.sample(range(5), 3):
                cursor.execute('UPDATE trust.contended SET hits = hits + 1 WHERE n = %s', (n,))
                time.sleep(0.02)
        connection.commit()
    except (psycopg2.errors.DeadlockDetected, psycopg2.errors.SerializationFailure):
        connection.rollback()
    finally:
        connection.close()


def prepare(context):
    """A submission in a prepared transaction, which something else happens to meanwhile."""
    server = context.server
    entry = context.workload.ledger.add(kind='run', role='postgres')
    name = f"trust {entry['key']}"
    server.sql(f"BEGIN; SELECT jobs.run('INSERT INTO trust.effect VALUES ({entry['key']}, 0)', title => 'k{entry['key']}', max_attempts => 100); PREPARE TRANSACTION '{name}'")
    way = context.random.choice(('commit', 'rollback', 'restart', 'crash'))
    if way == 'restart':
        with context.away():
            server.stop('fast')
            server.start()
    elif way == 'crash':
        kill_and_recover(context, some(context, 'worker'))
    server.sql(f"{'ROLLBACK' if way == 'rollback' else 'COMMIT'} PREPARED '{name}'")
    if way != 'rollback':
        entry['fate'] = 'committed'
        entry['job'] = server.value("SELECT id FROM jobs.job WHERE title = %s", f"k{entry['key']}")


def nothing(context):
    """The workload alone, with its clients that are late, answer twice or not at all."""
    time.sleep(0.2)


# ----------------------------------------------------------------------------
# What only the C library can do, see shim.c
# ----------------------------------------------------------------------------

class Shim:
    LAYOUT = {'clock': (0, 'q'), 'full': (8, 'i'), 'pid': (12, 'i'), 'calls': (16, 'i'), 'action': (20, 'i'), 'left': (24, 'q')}

    def __init__(self):
        with open(os.environ['JOBS_SHIM'], 'r+b') as f:
            self.map = mmap.mmap(f.fileno(), 64)

    def set(self, **values):
        for name, value in values.items():
            at, kind = self.LAYOUT[name]
            struct.pack_into(kind, self.map, at, value)

    def get(self, name):
        at, kind = self.LAYOUT[name]
        return struct.unpack_from(kind, self.map, at)[0]


def shim_of(context):
    if 'shim' not in context.keep:
        context.keep['shim'] = Shim()
    return context.keep['shim']


def fill_disk_before(context):
    context.workload.borne |= {'53100'}


def fill_disk(context):
    """No file of a table grows any more; then there is room again."""
    shim = shim_of(context)
    context.workload.suspended = True
    # A scheduler that has no room for what it wants to write ends, and another begins.
    with context.away():
        shim.set(full=1)
        time.sleep(context.random.uniform(0.1, 0.5))
        shim.set(full=0)
    time.sleep(0.3)
    context.workload.suspended = False


def fill_wal(context):
    """The WAL has no room: the server stops, and is started again when it has."""
    shim = shim_of(context)
    server = context.server
    context.bears_in_log = re.compile('PANIC:  .*No space left|terminated by signal 6|could not write to (log )?file|TRAP')
    with context.away():
        shim.set(full=2)
        # A new segment is needed for certain.
        for _ in range(3):
            try:
                server.sql("SELECT pg_switch_wal(), pg_logical_emit_message(false, '', repeat('x', 1000000))")
            except psycopg2.Error:
                break
        time.sleep(0.3)
        shim.set(full=0)
        time.sleep(0.2)
        try:
            server.wait_ready(10)
        except psycopg2.Error:
            server.stop('immediate')
            server.start()
    first_start(context)


def set_clock_before(context):
    # Leases and times are those of the wall clock, and so are the server's timers.
    context.workload.without = {'outside', 'items', 'timeout', 'later'}
    context.workload.ledger.moved = True


def set_clock(context):
    """The wall clock jumps, also backwards, while jobs run."""
    shim = shim_of(context)
    hours = context.random.choice((-24, -1, 1, 24, 0))
    shim.set(clock=int(hours * 3600 * 1000000))
    # What is due by the clock is due; what is scheduled a day ahead can wait.
    job = context.server.value("SELECT jobs.run('SELECT count(*) FROM generate_series(1, 50000)')")
    started = time.monotonic()
    state = context.server.value("SELECT jobs.wait(%s, '20 s')", job)
    took = time.monotonic() - started
    if state != 'succeeded' or took > 2 * context.workload.slack:
        context.complain('F29', f'the clock moved to {hours:+} h: a small job is {state} after {took:.1f} s')
    strange = context.server.sql("SELECT id, percent, elapsed, eta, rows_per_second FROM jobs.progress WHERE percent NOT BETWEEN 0 AND 100 OR elapsed < '0' OR eta < '0' OR rows_per_second < 0")
    if strange:
        context.complain('F29', f'the clock moved to {hours:+} h: {strange[:2]}')


def set_clock_right(context):
    shim_of(context).set(clock=0)


FIXTURES = {
    'run': "jobs.run('INSERT INTO trust.effect VALUES (KEY, 0); SELECT count(*) FROM (SELECT * FROM trust.numbers ORDER BY hash OFFSET 1) x', title => 'kKEY')",
    'export csv': "jobs.export('SELECT * FROM trust.numbers WHERE n <= 3000', title => 'kKEY')",
    'export gzip': "jobs.export('SELECT * FROM trust.numbers WHERE n <= 3000', options => '{\"compression\": \"gzip\"}', title => 'kKEY')",
    'export jsonl': "jobs.export('SELECT * FROM trust.numbers WHERE n <= 3000', 'jsonl', title => 'kKEY')",
    'export xlsx': "jobs.export('SELECT * FROM trust.numbers WHERE n <= 300', 'xlsx', title => 'kKEY')",
    'preview': "jobs.import_preview('trust.target', content => CONTENT, title => 'kKEY')",
    'import': "jobs.import(PREVIEW, title => 'kKEY')",
    'bulk': "jobs.bulk_query('SELECT trust.act(KEY, ($1->>''n'')::integer)', 'SELECT n FROM generate_series(1, 49) n ORDER BY n', title => 'kKEY')",
}
CONTENT = "(SELECT E'key,n,email\\n' || string_agg(format('KEY,%s,p%s@example.org', i, i), E'\\n') FROM generate_series(1, 2000) i)"
CALLS = {'malloc': 1, 'growing a file': 2, 'opening a file': 4}


def nth_call(context):
    """Fails the n-th call of each kind in the worker of each kind of job, for n = 1, 2, 3 ... until it runs through;
    and once more with a kill -9 there, for a sample of n."""
    driver = context.driver
    server = driver.create_server('nth', conf="jobs.max_workers = 1\njobs.worker_idle_timeout = '1h'\nmax_parallel_workers_per_gather = 0\nwork_mem = '64kB'\nautovacuum = off\nfsync = off\n", preload=True)
    shim = Shim()
    workload = Workload(server, 'nth')
    context.server, context.workload = server, workload
    most = {}
    try:
        for kind, call in FIXTURES.items():
            for name, calls in CALLS.items():
                if kind == 'export xlsx' and calls == 1:
                    continue        # libxlsxwriter does not look at all of its own allocations
                n = 1
                while one_call(context, shim, kind, call, calls, n, 0) and n < 5000:
                    n += 1 if driver.options.full or n < 20 else context.random.randint(1, 1 + n // 3)
                    context.done += 1
                most[f'{kind}, {name}'] = n
                if driver.options.full:
                    for m in sorted(context.random.sample(range(1, n + 1), min(n, 10))):
                        one_call(context, shim, kind, call, calls, m, signal.SIGKILL)
                        context.done += 1
        driver.note('n-th calls: ' + ', '.join(f'{what} {n}' for what, n in most.items()))
        workload.listener = type('None', (), {'missed': lambda *_: []})
        driver.check(context)
        server.stop('fast')
    finally:
        server.stop('immediate')


def one_call(context, shim, kind, call, calls, n, action):
    """Whether there was an n-th call.  The job fails by it, or does not need what failed; the next one runs."""
    server = context.server
    n_rows = {'bulk': 49, 'import': 2000}.get(kind)
    entry = context.workload.ledger.add(kind=kind.split()[0] if kind != 'preview' else 'other', role='postgres', n=n_rows)
    pids = server.pids('worker')
    if not pids:
        warm = server.value("SELECT jobs.run('SELECT 1')")
        server.sql('SELECT jobs.wait(%s)', warm)
        pids = server.pids('worker')
    call = call.replace('CONTENT', CONTENT)
    if kind == 'import':
        preview = server.value(f"SELECT jobs.import_preview('trust.target', content => {CONTENT.replace('KEY', str(entry['key']))})")
        server.sql('SELECT jobs.wait(%s)', preview)
        call = call.replace('PREVIEW', str(preview))
        entry['sha'] = str(entry['key'])
        pids = server.pids('worker')
    shim.set(pid=pids[0], calls=calls, action=action, left=n)
    job = server.value('SELECT ' + call.replace('KEY', str(entry['key'])))
    entry['job'], entry['fate'] = job, 'committed'
    try:
        state = server.value("SELECT jobs.wait(%s, '30 s')", job)
    except psycopg2.Error:
        server.wait_ready()
        state = server.value("SELECT jobs.wait(%s, '30 s')", job)
    hit = shim.get('left') == 0
    shim.set(pid=0, calls=0, left=0)
    if state not in ('succeeded', 'partial', 'failed', 'cancelled'):
        context.complain('I2', f'{kind}: call {n} of kind {calls} failed, and the job is {state}')
    after = server.value("SELECT jobs.run('SELECT 1')")
    if server.value("SELECT jobs.wait(%s, '30 s')", after) != 'succeeded':
        context.complain('F09', f'{kind}: after call {n} of kind {calls} failed no job runs')
    return hit


# ----------------------------------------------------------------------------
# Servers of their own
# ----------------------------------------------------------------------------

def short_of_memory(context):
    """Rows that are larger than the memory the server may have."""
    driver = context.driver
    server = driver.create_server('memory', conf="shared_buffers = '16MB'\nmax_connections = 20\n")
    server.stop('fast')
    server.limit = 600 * 1024 * 1024
    server.start()
    try:
        for i in range(context.n):
            mb = 50 * (i + 1)
            job = server.value(f"SELECT jobs.export('SELECT repeat(''x'', n) AS a, repeat(''y'', n) AS b FROM (SELECT {mb} * 1000000 AS n OFFSET 0) x')")
            state = server.value("SELECT jobs.wait(%s, '60 s')", job)
            code = server.value('SELECT error_code FROM jobs.job WHERE id = %s', job)
            if not (state == 'succeeded' or state == 'failed' and code in ('53200', '54000')):
                context.complain('F30', f'a row of {2 * mb} MB: {state} {code}')
            job = server.value("SELECT jobs.run('SELECT 1')")
            if server.value("SELECT jobs.wait(%s, '30 s')", job) != 'succeeded':
                context.complain('F30', f'after a row of {2 * mb} MB no job runs')
            context.done += 1
        if CRASH.search(server.log_since(0)):
            context.complain('F30', 'a process was killed')
        server.stop('fast')
    finally:
        server.stop('immediate')


def chaos_suite(context):
    """Throughput of small jobs before and after five disturbances."""
    driver = context.driver
    server = driver.create_server('chaos', conf='fsync = off\n')

    def throughput():
        n = 3000 if driver.options.full else 600
        # Rows of the last measurement are not this one's.
        server.sql("SELECT count(jobs.delete(id)) FROM jobs.job WHERE state = 'succeeded'")
        started = time.monotonic()
        ids = [row[0] for row in server.sql("SELECT jobs.run('SELECT 1', max_attempts => 1000) FROM generate_series(1, %s)", n)]
        server.sql('SELECT jobs.wait(%s)', ids[-1])
        while server.value("SELECT count(*) FROM jobs.live WHERE id = ANY (%s)", ids):
            time.sleep(0.005)
        took = time.monotonic() - started
        if server.value("SELECT count(*) FROM jobs.job WHERE id = ANY (%s) AND state = 'succeeded'", ids) != n:
            context.complain('I1', 'jobs are lost')
        return n / took

    def crash():
        pid = server.pids('worker')
        before = server.ready_at()
        if pid:
            os.kill(pid[0], signal.SIGKILL)
            while server.ready_at() == before:
                time.sleep(0.01)
        server.wait_ready()

    def restart():
        server.stop('fast')
        server.start()

    def kill_all():
        server.kill_postmaster()
        server.start()

    def terminate():
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'jobs %%'")
        time.sleep(1.2)

    def repeated():
        for _ in range(5):
            terminate()

    try:
        throughput()
        ratios = []
        for scenario in (restart, crash, repeated, kill_all, terminate):
            before = max(throughput() for _ in range(3))
            scenario()
            context.done += 1
            throughput()
            after = max(throughput() for _ in range(3))
            ratios.append(f'{scenario.__name__} {100 * after / before:.0f} %')
            if after < before * 0.98 / driver.options.slack:
                context.complain('F36', f'after {scenario.__name__} {after:.0f} jobs/s, before {before:.0f}')
        driver.note('throughput after and before: ' + ', '.join(ratios))
        server.stop('fast')
    finally:
        server.stop('immediate')


class Fault:
    def __init__(self, name, title, full, short, inject=None, before=None, after=None, program=None, shim=False):
        self.name = name
        self.title = title
        self.full = full
        self.short = short
        self.inject = inject
        self.before = before
        self.after = after
        self.program = program
        self.shim = shim


FAULTS = [
    Fault('F35', 'clients outside that are late, answer twice, or die', 200, 5, nothing),
    Fault('F01', 'kill -9 of a worker', 200, 4, kill_worker),
    Fault('F02', 'kill -9 of scheduler and launcher', 100, 3, kill_scheduler),
    Fault('F03', 'kill -9 of the postmaster', 50, 2, kill_postmaster),
    Fault('F04', 'shutdown: fast, immediate, smart', 150, 3, shut_down),
    Fault('F05', 'pg_terminate_backend of a worker', 200, 8, terminate_worker),
    Fault('F06', 'signals to scheduler and launcher', 50, 6, signal_scheduler),
    Fault('F07', 'jobs.cancel at random moments', 1000, 12, cancel),
    Fault('F08', 'timeouts at random moments', 500, 6, time_out),
    Fault('F12', 'locks on tables', 50, 4, lock_tables),
    Fault('F13', 'roles dropped, renamed, locked out', 120, 6, change_role),
    Fault('F14', 'tables dropped, altered, truncated', 100, 4, change_table),
    Fault('F15', 'DROP EXTENSION', 30, 3, drop_extension),
    Fault('F16', 'DROP, RENAME and copies of databases', 30, 3, change_database),
    Fault('F17', 'the extension in template1', 50, 3, template1, after=leave_template1),
    Fault('F19', 'ALTER EXTENSION UPDATE', 20, 3, update_extension),
    Fault('F24', 'max_worker_processes used up', 20, 3, take_slots),
    Fault('F25', 'max_connections used up', 20, 2, take_connections),
    Fault('F27', 'listeners dropped, asleep', 200, 4, drop_listener, after=wake_listener),
    Fault('F28', 'an open snapshot', 20, 3, pin_horizon, after=unpin_horizon),
    Fault('F32', 'deadlocks and failures to serialize', 500, 6, contend),
    Fault('F34', 'prepared transactions', 20, 3, prepare),
    Fault('F31', 'freezing, all the time', 20, 4, storm, before=storm_before, after=storm_after),
    Fault('F10', 'no room for tables', 20, 4, fill_disk, before=fill_disk_before, shim=True),
    Fault('F11', 'no room for the WAL', 5, 1, fill_wal, before=fill_disk_before, shim=True),
    Fault('F29', 'the clock is set', 20, 6, set_clock, before=set_clock_before, after=set_clock_right, shim=True),
    Fault('F09', 'the n-th call fails', 0, 0, program=nth_call),
    Fault('F30', 'rows larger than memory', 10, 4, program=short_of_memory),
    Fault('F36', 'throughput after disturbances', 5, 5, program=chaos_suite),
]


# ----------------------------------------------------------------------------
# Soak
# ----------------------------------------------------------------------------

def soak(driver):
    """All kinds of jobs, and one fault or another each two seconds, for a time."""
    server = driver.create_server('soak')
    mix = [f for f in FAULTS if f.inject and not f.shim and f.name not in ('F17', 'F28', 'F31', 'F27')]
    deadline = time.monotonic() + driver.options.soak
    minute = 0
    counts = {}
    try:
        while time.monotonic() < deadline:
            minute += 1
            seed = f'{driver.options.seed} soak {minute}'
            workload = Workload(server, seed, slack=driver.options.slack)
            context = Context(driver, server, workload, random.Random(seed), 0)
            workload.start()
            until = min(deadline, time.monotonic() + 60)
            while time.monotonic() < until:
                fault = context.random.choice(mix)
                try:
                    fault.inject(context)
                except Exception as error:
                    context.complain('driver', f'{fault.name}: {type(error).__name__}: {error}')
                context.done += 1
                driver.injections += 1
                counts[fault.name] = counts.get(fault.name, 0) + 1
                time.sleep(2)
            driver.check_round(context, None, last=True)
            driver.violated |= {invariant for invariant, _ in context.found}
            driver.ok(not context.found, f'minute {minute}: {context.done} faults, {len(workload.ledger.entries)} submissions, seed "{seed}"',
                      [f'{i}: {t}' for i, t in context.found[:12]])
            server.sql('TRUNCATE trust.effect, trust.target')
            server.sql("SELECT count(jobs.delete(id)) FROM jobs.job WHERE finished_at IS NOT NULL")
        server.stop('fast')
    finally:
        server.stop('immediate')
    driver.note(', '.join(f'{name} {n}' for name, n in sorted(counts.items())))
    print(f'1..{driver.tests}')
    return 1 if driver.failures else 0
