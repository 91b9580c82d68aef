"""Faults that need the C library's help (shim.c), or a server of their own."""

import mmap
import os
import re
import signal
import struct
import time

import psycopg2

from context import CRASH
from faults_server import first_start
from workload import Workload


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
    """A retry that was put off by the clock of a day ahead is not waited for until then."""
    shim_of(context).set(clock=0)
    for job, title in context.server.sql("SELECT id, title FROM jobs.job WHERE run_at > clock_timestamp() + interval '30 min' AND title LIKE 'k%%'"):
        context.workload.ledger.entries[int(title[1:])]['cancelled'] = True
        context.server.sql('SELECT jobs.cancel(%s)', job)


FIXTURES = {
    'run': "jobs.run('INSERT INTO trust.effect VALUES (KEY, 0); SELECT count(*) FROM (SELECT * FROM trust.numbers ORDER BY hash OFFSET 1) x', title => 'kKEY')",
    'export csv': "jobs.export('SELECT * FROM trust.numbers WHERE n <= 3000', title => 'kKEY')",
    'export gzip': "jobs.export('SELECT * FROM trust.numbers WHERE n <= 3000', options => '{\"compression\": \"gzip\"}', title => 'kKEY')",
    'export jsonl': "jobs.export('SELECT * FROM trust.numbers WHERE n <= 3000', 'jsonl', title => 'kKEY')",
    'export xlsx': "jobs.export('SELECT * FROM trust.numbers WHERE n <= 300', 'xlsx', title => 'kKEY')",
    'export pdf': "jobs.export('SELECT * FROM trust.numbers WHERE n <= 300', 'pdf', title => 'kKEY')",
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
                if kind in ('export xlsx', 'export pdf') and calls == 1:
                    continue        # libxlsxwriter does not look at all of its own allocations, and glib gives up
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

    def ask(query, *arguments):
        """A kill may come after the job's end too, and then in the middle of anything."""
        try:
            return server.value(query, *arguments)
        except psycopg2.Error as error:
            if not action:
                context.complain('F09', f'{kind}: call {n} of kind {calls} failed, and then: {error}')
            server.wait_ready()
            return server.value(query, *arguments)

    try:
        job = server.value('SELECT ' + call.replace('KEY', str(entry['key'])))
    except psycopg2.Error:
        # The worker has begun, and was killed, before the submission was answered.
        job = ask("SELECT max(id) FROM jobs.job WHERE title = %s", f"k{entry['key']}")
        if job is None:
            shim.set(pid=0, calls=0, left=0)
            return True
    entry['job'], entry['fate'] = job, 'committed'
    state = ask("SELECT jobs.wait(%s, '30 s')", job)
    hit = shim.get('left') == 0
    shim.set(pid=0, calls=0, left=0)
    if state not in ('succeeded', 'partial', 'failed', 'cancelled'):
        context.complain('I2', f'{kind}: call {n} of kind {calls} failed, and the job is {state}')
    after = ask("SELECT jobs.run('SELECT 1', max_attempts => 2)")
    if ask("SELECT jobs.wait(%s, '30 s')", after) != 'succeeded':
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
