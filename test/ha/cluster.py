"""Two servers that Patroni manages, with etcd: started, killed, frozen, and asked, whichever of them is the primary."""

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import psycopg2

from server import Asker, Server, alive, children

PR_SET_PDEATHSIG = 1
HOST = '127.0.0.1'
TTL = 10                # seconds without a sign of life after which a primary is given up

open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def free_ports(n):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def wait_until(condition, seconds, what):
    """Waits for a condition; returns the seconds that it took."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise RuntimeError(f'{what}: not after {seconds} s')
        time.sleep(0.02)
    return time.monotonic() - started


class Program:
    """A process of ours that ends with us, whatever ends us."""

    def __init__(self, log, *command):
        self.command = command
        self.log = log
        self.process = None

    def start(self):
        def follow_parent():
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with open(self.log, 'a') as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=follow_parent)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def end(self, what=signal.SIGTERM, seconds=60):
        if self.running():
            self.process.send_signal(what)
            # A frozen one has to be thawed to hear it.
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Etcd(Program):
    def __init__(self, directory):
        self.port, peer = free_ports(2)
        super().__init__(os.path.join(directory, 'etcd.log'), 'etcd', '--name', 'jobs', '--data-dir', os.path.join(directory, 'etcd'),
                         '--listen-client-urls', f'http://{HOST}:{self.port}', '--advertise-client-urls', f'http://{HOST}:{self.port}',
                         '--listen-peer-urls', f'http://{HOST}:{peer}', '--initial-advertise-peer-urls', f'http://{HOST}:{peer}',
                         '--initial-cluster', f'jobs=http://{HOST}:{peer}')


class Node:
    """A server and its Patroni."""

    def __init__(self, name, directory, etcd, parameters):
        self.name = name
        self.directory = os.path.join(directory, name)
        self.data = os.path.join(self.directory, 'data')
        self.log = os.path.join(self.directory, 'server.log')
        self.config = os.path.join(self.directory, 'patroni.yml')
        self.port, self.rest = free_ports(2)
        self.patroni = Program(self.log, 'patroni', self.config)
        self.asker = Asker(host=HOST, port=self.port, connect_timeout=5)
        os.mkdir(self.directory)
        with open(self.config, 'w') as f:
            json.dump(self.settings(etcd, parameters), f, indent=2)

    def settings(self, etcd, parameters):
        return {
            'scope': 'jobs',
            'name': self.name,
            'restapi': {'listen': f'{HOST}:{self.rest}', 'connect_address': f'{HOST}:{self.rest}'},
            'etcd3': {'host': f'{HOST}:{etcd.port}'},
            'log': {'dir': self.directory, 'level': 'INFO'},
            'bootstrap': {
                'dcs': {
                    'ttl': TTL, 'loop_wait': 1, 'retry_timeout': 3,
                    'maximum_lag_on_failover': 1 << 30,
                    # A primary that has crashed gives way at once.
                    'primary_start_timeout': 0,
                    'synchronous_mode': True,
                    'postgresql': {'use_pg_rewind': True, 'use_slots': True, 'parameters': parameters},
                },
                'initdb': [{'encoding': 'UTF8'}, {'locale': 'C.UTF-8'}, {'auth': 'trust'}, 'no-sync'],
            },
            'postgresql': {
                'listen': f'{HOST}:{self.port}', 'connect_address': f'{HOST}:{self.port}',
                'data_dir': self.data, 'bin_dir': Server.bindir(), 'pgpass': os.path.join(self.directory, 'pgpass'),
                'authentication': {'superuser': {'username': 'postgres'}, 'replication': {'username': 'replicator'}},
                'parameters': {'unix_socket_directories': self.directory},
                'pg_hba': ['local all all trust', f'host all all {HOST}/32 trust', f'host replication all {HOST}/32 trust'],
                'basebackup': {'checkpoint': 'fast'},
                'remove_data_directory_on_rewind_failure': True,
                'remove_data_directory_on_diverged_timelines': True,
            },
        }

    def get(self, path):
        """(status, document) of Patroni's answer, or (None, {}) without one."""
        try:
            with open_url(f'http://{HOST}:{self.rest}{path}', timeout=2) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, {}
        except (OSError, ValueError):
            return None, {}

    def is_primary(self):
        return self.get('/primary')[0] == 200

    def postmaster(self):
        """The postmaster's PID, or None."""
        try:
            with open(os.path.join(self.data, 'postmaster.pid')) as f:
                pid = int(f.readline())
        except (OSError, ValueError):
            return None
        return pid if alive(pid) else None

    def processes(self):
        postmaster = self.postmaster()
        return ([postmaster] + children(postmaster) if postmaster else []) + ([self.patroni.process.pid] if self.patroni.running() else [])

    def kill_server(self):
        """kill -9 of the postmaster; returns how long its processes stayed."""
        postmaster = self.postmaster()
        orphans = children(postmaster)
        os.kill(postmaster, signal.SIGKILL)
        return wait_until(lambda: not any(alive(pid) for pid in orphans), 30, f'the processes of {self.name} leave')

    def freeze(self):
        """Stops all of it in the middle of whatever it does, as a machine that hangs."""
        frozen = self.processes()
        # The postmaster and Patroni first, so that nobody is started meanwhile.
        for pid in sorted(frozen, key=lambda pid: pid not in (self.postmaster(), self.patroni.process.pid)):
            stop(pid, signal.SIGSTOP)
        return set(frozen) | set(self.processes())

    def thaw(self):
        for pid in self.processes():
            stop(pid, signal.SIGCONT)

    def log_since(self, offset):
        with open(self.log, 'rb') as f:
            f.seek(offset)
            return f.read()


def stop(pid, what):
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        pass


class Cluster(Asker):
    """What clients see: one connection string with both servers, which leads to the primary."""

    def __init__(self, directory, parameters):
        self.directory = directory
        self.etcd = Etcd(directory)
        self.nodes = [Node(name, directory, self.etcd, parameters) for name in ('a', 'b')]
        self.synchronous = True
        super().__init__(host=','.join(HOST for _ in self.nodes), port=','.join(str(node.port) for node in self.nodes),
                         target_session_attrs='read-write', connect_timeout=2)

    def start(self):
        self.etcd.start()
        first, second = self.nodes
        first.patroni.start()
        wait_until(first.is_primary, 60, 'the first server')
        second.patroni.start()
        self.wait_healthy()

    def stop(self):
        """In good order: the standby first.  True where both servers have shut down cleanly."""
        self.admin = None
        for node in sorted(self.nodes, key=Node.is_primary):
            node.thaw()
            node.patroni.end()
        clean = not any(node.postmaster() for node in self.nodes)
        self.etcd.end()
        return clean

    def primary(self):
        for node in self.nodes:
            if node.is_primary():
                return node
        return None

    def other(self, node):
        return self.nodes[1 - self.nodes.index(node)]

    def wait_primary(self, node, seconds=90):
        """Until a node is the primary and takes writes."""
        return wait_until(lambda: node.is_primary() and self.writes_to(node), seconds, f'{node.name} takes over')

    def writes_to(self, node):
        try:
            return node.asker.value('SELECT NOT pg_is_in_recovery()')
        except psycopg2.Error:
            return False

    def wait_healthy(self, seconds=180):
        """Until there are a primary and a standby that follows it, synchronously where that is asked for."""
        wait_until(self.healthy, seconds, 'a primary and its standby')

    def healthy(self):
        node = self.primary()
        if node is None:
            return False
        standby = self.other(node)
        if standby.get('/replica')[0] != 200 or self.synchronous and standby.get('/synchronous')[0] != 200:
            return False
        try:
            return node.asker.value("SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming' AND application_name = %s"
                                    " AND (sync_state = 'sync') = %s", standby.name, self.synchronous)
        except psycopg2.Error:
            return False

    def sql(self, query, *arguments):
        """As of any server, but waits for a primary."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return super().sql(query, *arguments)
            except psycopg2.OperationalError:
                if self.admin is not None and not self.admin.closed or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def patronictl(self, *arguments):
        done = subprocess.run(['patronictl', '-c', self.nodes[0].config, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, text=True)
        if done.returncode != 0:
            raise RuntimeError(f'patronictl {" ".join(arguments)}: {done.stdout}')
        return done.stdout

    def configure(self, **settings):
        """Changes the settings of all servers, in etcd."""
        self.patronictl('edit-config', '--force', *[word for name, value in settings.items() for word in ('-s', f'{name}={json.dumps(value)}')])

    def ready_at(self, node):
        """When a server said last that it took writes, as a literal."""
        found = re.findall(r'^(\S+ \S+ \S+) .*database system is ready to accept connections', node.log_since(0).decode(errors='replace'), re.M)
        return found[-1] if found else None
