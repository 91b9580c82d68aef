"""A server of the driver's own: start, stop, kill, ask."""

import ctypes
import os
import re
import signal
import subprocess
import time

import psycopg2

PR_SET_CHILD_SUBREAPER = 36


class Asker:
    """Asks the server that the parameters of libpq in "where" lead to."""

    def __init__(self, **where):
        self.where = where
        self.admin = None

    def connect(self, role='postgres', dbname='postgres', autocommit=True):
        connection = psycopg2.connect(user=role, dbname=dbname, application_name='trust', **self.where)
        connection.autocommit = autocommit
        return connection

    def wait_ready(self, seconds=60):
        """Until the server takes connections, after a crash for instance."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.sql('SELECT 1')
                return
            except psycopg2.Error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def sql(self, query, *arguments):
        """Rows, by a connection that is kept for the driver itself; a lost one is made anew once."""
        for again in (True, False):
            try:
                if self.admin is None or self.admin.closed:
                    self.admin = self.connect()
                with self.admin.cursor() as cursor:
                    cursor.execute(query, arguments or None)
                    return cursor.fetchall() if cursor.description else []
            except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.DatabaseError):
                if self.admin is None or not self.admin.closed or not again:
                    raise
                self.admin = None

    def value(self, query, *arguments):
        rows = self.sql(query, *arguments)
        return rows[0][0] if rows else None

    def in_database(self, dbname, *commands, role='postgres'):
        connection = self.connect(role, dbname)
        try:
            with connection.cursor() as cursor:
                for command in commands:
                    cursor.execute(command)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def pids(self, kind):
        return [row[0] for row in self.sql('SELECT pid FROM pg_stat_activity WHERE backend_type = %s', 'jobs ' + kind)]


class Server(Asker):
    @staticmethod
    def bindir():
        return subprocess.check_output(['pg_config', '--bindir'], text=True).strip()

    def __init__(self, directory, conf='', preload=None):
        super().__init__(host=directory, port=5432, connect_timeout=30)
        self.programs = self.bindir()
        self.data = os.path.join(directory, 'data')
        self.socket = directory
        self.log = os.path.join(directory, 'server.log')
        self.preload = preload
        self.limit = None       # bytes of address space of each process
        # Orphans of a killed server are ours to bury, so that their data can be used again.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.run('initdb', '-D', self.data, '-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync')
        self.configure(f"""
port = 5432
listen_addresses = ''
unix_socket_directories = '{self.socket}'
shared_preload_libraries = 'jobs'
log_line_prefix = '%m [%p] %e %q%a '
max_worker_processes = 16
max_connections = 60
fsync = off
deadlock_timeout = '50ms'
max_prepared_transactions = 10
max_logical_replication_workers = 0
jobs.retry_delay = '10ms'
jobs.progress_interval = '50ms'
jobs.worker_idle_timeout = '3s'
{conf}""")

    def run(self, program, *arguments, check=True):
        result = subprocess.run([os.path.join(self.programs, program), *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        if check and result.returncode != 0:
            raise RuntimeError(f'{program}: {result.stdout}')
        return result.returncode

    def configure(self, text):
        with open(os.path.join(self.data, 'postgresql.conf'), 'a') as f:
            f.write(text + '\n')

    # ------------------------------------------------------------------
    # Life and death
    # ------------------------------------------------------------------

    def start(self):
        self.admin = None
        self.bury()
        command = [os.path.join(self.programs, 'pg_ctl'), '-D', self.data, '-l', self.log, '-w', '-t', '120', 'start']
        env = dict(os.environ)
        if self.preload:
            env['JOBS_PRELOAD'] = self.preload
            command = ['env', 'LD_PRELOAD=' + self.preload] + command
        if self.limit:
            command = ['prlimit', f'--as={self.limit}'] + command
        # Its processes keep a pipe open for longer than we want to wait.
        with open(self.log + '.start', 'w') as out:
            if subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env).returncode != 0:
                raise RuntimeError('the server does not start, see ' + self.log)
        self.pid = self.postmaster_pid()

    def stop(self, mode='fast', wait=True):
        self.admin = None
        return self.run('pg_ctl', '-D', self.data, '-m', mode, '-t', '120', '-w' if wait else '-W', 'stop', check=False)

    def postmaster_pid(self):
        with open(os.path.join(self.data, 'postmaster.pid')) as f:
            return int(f.readline())

    def kill_postmaster(self):
        """kill -9; returns how long the orphans stayed.  Stopped before, so that it forks none that we do not know."""
        os.kill(self.pid, signal.SIGSTOP)
        while state(self.pid) not in ('T', 'Z'):
            time.sleep(0.0005)
        orphans = children(self.pid)
        os.kill(self.pid, signal.SIGKILL)
        started = time.monotonic()
        while any(alive(pid) for pid in [self.pid] + orphans):
            if time.monotonic() - started > 30:
                raise RuntimeError('processes stay without a postmaster')
            time.sleep(0.002)
        took = time.monotonic() - started
        self.bury()
        self.admin = None
        return took

    def bury(self):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    def memory(self, pid):
        """kB that no other process shares."""
        with open(f'/proc/{pid}/status') as f:
            return int(re.search(r'^RssAnon:\s+(\d+)', f.read(), re.M).group(1))

    def log_size(self):
        return os.path.getsize(self.log)

    def log_since(self, offset):
        with open(self.log, errors='replace') as f:
            f.seek(offset)
            return f.read()

    def ready_at(self):
        """When it said last that it was ready, as a literal."""
        found = re.findall(r'^(\S+ \S+ \S+) .*database system is ready to accept connections', self.log_since(0), re.M)
        return found[-1] if found else None


def children(pid):
    found = []
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                with open(f'/proc/{entry}/stat') as f:
                    if int(f.read().rsplit(')', 1)[1].split()[1]) == pid:
                        found.append(int(entry))
            except (OSError, IndexError):
                pass
    return found


def state(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0]
    except OSError:
        return 'Z'


def alive(pid):
    return state(pid) != 'Z'
