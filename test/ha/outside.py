"""The clients of examples/worker, as they are, those who give them work, and one who has large files."""

import json
import os
import subprocess
import sys
import threading

import psycopg2

from workload import Actor, Submitter

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'examples', 'worker')
CUSTOMERS = 5
PEOPLE = 40


class Example:
    """A program of examples/worker, which has nothing but the environment of libpq."""

    def __init__(self, cluster, role, log, program, *arguments):
        where = cluster.where
        env = dict(os.environ, PGHOST=where['host'], PGPORT=where['port'], PGTARGETSESSIONATTRS=where['target_session_attrs'],
                   PGCONNECT_TIMEOUT=str(where['connect_timeout']), PGUSER=role, PGDATABASE='postgres')
        self.name = program
        with open(log, 'a') as out:
            self.process = subprocess.Popen(['/usr/bin/python3', '-B', os.path.join(EXAMPLES, program), *arguments], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out, env=env)

    def running(self):
        return self.process.poll() is None

    def end(self):
        self.process.kill()
        self.process.wait()


class Employer(Actor):
    """Submits invoices to be written, and mails to be sent."""

    def __init__(self, workload):
        super().__init__(workload, 'trust_alice', 'employer')

    def step(self, cursor):
        if self.random.random() < 0.7:
            self.submit(cursor, 'invoices', CUSTOMERS, "jobs.submit('invoices', %s, title => %s, max_attempts => 20)",
                        lambda key: {'customers': [f'c{i}' for i in range(CUSTOMERS)], 'month': f'k{key}'})
        else:
            self.submit(cursor, 'mail', PEOPLE, "jobs.bulk(NULL, %s, title => %s, queue => 'mail', max_attempts => 20)",
                        lambda key: [{'to': f'p{i}@example.org' if i % 10 else f'p{i}@'} for i in range(PEOPLE)])
        self.leaving.wait(self.random.expovariate(3.0))

    def submit(self, cursor, kind, n, call, payload):
        entry = self.workload.ledger.add(kind=kind, role=self.role, n=n)
        cursor.execute('BEGIN')
        try:
            cursor.execute(f'SELECT {call}', (json.dumps(payload(entry['key'])), f"k{entry['key']}"))
            job = cursor.fetchone()[0]
            entry['fate'] = 'unsure'
            cursor.execute('COMMIT')
            entry['job'], entry['fate'] = job, 'committed'
        except psycopg2.Error:
            if not self.connection.closed:
                cursor.execute('ROLLBACK')
                entry['fate'] = 'absent'
            raise


class Importer(Submitter):
    """Previews and imports that take a while."""

    def __init__(self, workload):
        super().__init__(workload, 'trust_bob', 'importer')

    def preview_rows(self):
        return 30000

    def step(self, cursor):
        if self.workload.backlog < 30:
            self.preview(cursor)
        self.leaving.wait(0.5)
        self.take_in(cursor)
        self.leaving.wait(0.5)


def complaints(server, directory):
    """What the examples owe: every invoice is written, every mail is sent but for the addresses that are none."""
    for key, job, state, result, message in server.sql(
            "SELECT l.key, l.job, j.state, j.result ->> 'files', j.error_message FROM trust.ledger l JOIN jobs.job j ON j.id = l.job"
            " WHERE l.kind = 'invoices' AND l.fate = 'committed' AND NOT l.cancelled"):
        missing = [i for i in range(CUSTOMERS) if not os.path.exists(os.path.join(directory, f'k{key}-c{i}.txt'))]
        if state != 'succeeded' or result != str(CUSTOMERS) or missing:
            yield f'job {job}: {state}, {result} files, {message}; missing are {missing}'
    for row in server.sql(
            "SELECT l.job, j.state, j.total, j.succeeded, j.failed, (SELECT count(*) FROM jobs.item i WHERE i.job = l.job AND i.state = 'succeeded'"
            "   AND i.result = jsonb_build_object('sent', i.payload -> 'to')) FROM trust.ledger l JOIN jobs.job j ON j.id = l.job"
            " WHERE l.kind = 'mail' AND l.fate = 'committed' AND NOT l.cancelled"):
        if row[1:] != ('partial', PEOPLE, PEOPLE - PEOPLE // 10, PEOPLE // 10, PEOPLE - PEOPLE // 10):
            yield f'job {row[0]}: {row[1:]}'


class Fleet(threading.Thread):
    """Keeps looking that the examples are alive: a lost connection must not end them."""

    def __init__(self, cluster, directory, log):
        super().__init__(name='fleet', daemon=True)
        invoices = 'worker.py', 'invoices', directory, 'trust_alice'
        self.examples = [Example(cluster, 'trust_alice', log, *arguments) for arguments in (invoices, invoices, ('items.py', 'mail', 'trust_alice'))]
        self.leaving = threading.Event()
        self.ended = []

    def run(self):
        while not self.leaving.wait(0.2):
            for example in self.examples:
                if not example.running() and example.name not in self.ended:
                    self.ended.append(example.name)
                    print(f'# {example.name} has ended', file=sys.stderr)

    def end(self):
        self.leaving.set()
        self.join()
        for example in self.examples:
            example.end()
