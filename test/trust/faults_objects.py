"""Faults of roles, tables, databases and the extension, under the jobs that use them."""

import os
import subprocess
import time

import psycopg2


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
