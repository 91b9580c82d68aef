"""Faults of processes, jobs and what a server has of everything."""

import os
import re
import signal
import time

import psycopg2

from context import some
from server import alive


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
