#!/usr/bin/python3
"""Random calls of the functions that change a job's state, by several roles, against a model of what they must do.

    model.py --dir DIRECTORY [--steps N] [--seed N]

The jobs are such as clients do, outside of the server, so that nothing happens by itself but what the scheduler does:
lets wait what waits, offers what is due, and takes back leases.  After each call the answer, or the SQLSTATE, must be
the model's, and soon the states of all jobs too."""

import argparse
import os
import random
import sys
import time

import psycopg2

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from server import Server

FINAL = ('succeeded', 'partial', 'failed', 'cancelled')
MEMBERS = {'bob': ('carol',)}           # who else has the rights of a role
ROLES = ('alice', 'bob', 'carol')
WATCHER, OPERATOR = 'watcher', 'operator'       # pg_read_all_stats, pg_signal_backend
QUEUES = ('one', 'two')


class Refused(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Job:
    def __init__(self, owner, queue, priority, max_attempts, after):
        self.owner = owner
        self.queue = queue
        self.priority = priority
        self.max_attempts = max_attempts
        self.after = set(after)
        self.attempt = 0
        self.state = 'queued'
        self.claim = None


class Model:
    def __init__(self):
        self.jobs = {}
        self.paused = set()

    # Rights

    def owns(self, role, owner):
        return role == owner or role in MEMBERS.get(owner, ())

    def get(self, role, id, cancelling=False):
        """The job, for one who may control it."""
        job = self.jobs.get(id)
        if job is None:
            raise Refused('42704')
        if self.owns(role, job.owner) or cancelling and role == OPERATOR:
            return job
        raise Refused('42501' if role == WATCHER else '42704')

    def wait(self, role, id):
        job = self.jobs.get(id)
        if job is None or not (self.owns(role, job.owner) or role == WATCHER):
            raise Refused('42704')
        # As the views show it.
        return 'waiting' if job.state == 'queued' and (job.owner, job.queue) in self.paused else job.state

    # Calls

    def submit(self, id, role, queue, priority, max_attempts, after):
        job = Job(role, queue, priority, max_attempts, after)
        self.jobs[id] = job
        ends = [self.jobs[a].state for a in after]
        if any(state in ('failed', 'cancelled') for state in ends):
            self.end(id, 'cancelled')
        else:
            job.after = {a for a in after if self.jobs[a].state not in FINAL}
            job.state = 'waiting' if job.after else 'queued'

    def best(self, role, queue):
        """Any of these may be given out: the first of each owner."""
        found = {}
        for id, job in self.jobs.items():
            if job.state == 'queued' and job.queue == queue and self.owns(role, job.owner) and (job.owner, queue) not in self.paused:
                key = (-job.priority, id)
                if job.owner not in found or key < found[job.owner][0]:
                    found[job.owner] = (key, id)
        return {id for _, id in found.values()}

    def claimed(self, id, claim):
        job = self.jobs[id]
        job.state, job.claim = 'running', claim
        job.attempt += 1

    def answering(self, role, id, claim):
        job = self.get(role, id)
        if job.state != 'running' or job.claim != claim:
            raise Refused('55000')
        return job

    def finish(self, role, id, claim):
        self.answering(role, id, claim)
        self.end(id, 'succeeded')

    def fail(self, role, id, claim, retry):
        job = self.answering(role, id, claim)
        return self.failed(id, job, retry)

    def failed(self, id, job, retry):
        if retry and job.attempt < job.max_attempts:
            job.state = 'queued'        # it is scheduled, for a moment
            return 'scheduled'
        self.end(id, 'failed')
        return 'failed'

    def release(self, role, id, claim):
        job = self.answering(role, id, claim)
        job.state = 'queued'
        job.attempt -= 1

    def cancel(self, role, id):
        job = self.get(role, id, cancelling=True)
        if job.state in FINAL:
            return False
        self.end(id, 'cancelled')
        return True

    def retry(self, role, id):
        job = self.get(role, id)
        if job.state not in ('failed', 'cancelled'):
            raise Refused('55000')
        job.state, job.attempt, job.after = 'queued', 0, set()
        return True

    def delete(self, role, id):
        job = self.get(role, id)
        if job.state not in FINAL:
            raise Refused('55000')
        del self.jobs[id]
        return True

    def end(self, id, state):
        self.jobs[id].state = state
        for other, job in list(self.jobs.items()):
            if job.state == 'waiting' and id in job.after:
                if state == 'succeeded':
                    job.after.discard(id)
                    if not job.after:
                        job.state = 'queued'
                else:
                    self.end(other, 'cancelled')


class Run:
    def __init__(self, server, seed):
        self.server = server
        self.random = random.Random(seed)
        self.model = Model()
        self.connections = {role: server.connect(role) for role in ROLES + (WATCHER, OPERATOR)}
        self.claims = []        # (job, claim) that somebody has had
        self.counts = {}

    def call(self, role, query, *arguments):
        """A value, or the error's code."""
        try:
            with self.connections[role].cursor() as cursor:
                cursor.execute(query, arguments)
                row = cursor.fetchone()
                return row[0] if row else None
        except psycopg2.Error as error:
            return error.pgcode

    def some_job(self):
        ids = list(self.model.jobs)
        return self.random.choice(ids) if ids and self.random.random() < 0.97 else self.random.choice((0, -1, 10 ** 15))

    def some_role(self):
        return self.random.choice(ROLES * 4 + (WATCHER, OPERATOR))

    def step(self):
        what = self.random.choice(['submit'] * 5 + ['claim'] * 6 + ['finish'] * 4 + ['fail'] * 3 + ['release', 'cancel', 'cancel', 'retry', 'retry',
                                  'delete', 'delete', 'wait', 'pause', 'resume', 'lapse'])
        if what == 'submit' and len(self.model.jobs) > 40:
            what = 'delete'
        self.counts[what] = self.counts.get(what, 0) + 1
        return what, getattr(self, what)()

    def compare(self, what, got, want):
        return None if got == want else f'{what}: {got!r}, the model says {want!r}'

    def expect(self, what, got, act, *arguments):
        try:
            want = act(*arguments)
        except Refused as refused:
            want = refused.code
        return self.compare(f'{what}{arguments}', got, want)

    def submit(self):
        role = self.random.choice(ROLES)
        visible = [id for id, job in self.model.jobs.items() if self.model.owns(role, job.owner)]
        after = self.random.sample(visible, min(len(visible), self.random.choice((0, 0, 1, 2))))
        queue, priority, attempts = self.random.choice(QUEUES), self.random.randint(0, 2), self.random.randint(1, 3)
        id = self.call(role, 'SELECT jobs.submit(%s, priority => %s, max_attempts => %s, after => %s)', queue, priority, attempts, after or None)
        if not isinstance(id, int):
            return f'submit by {role} after {after}: {id}'
        self.model.submit(id, role, queue, priority, attempts, after)

    def claim(self, lease='1 h'):
        role, queue = self.random.choice(ROLES), self.random.choice(QUEUES)
        best = self.model.best(role, queue)
        with self.connections[role].cursor() as cursor:
            cursor.execute('SELECT job, claim FROM jobs.claim(%s, 1, %s)', (queue, lease))
            row = cursor.fetchone()
        if row is None:
            return f'claim by {role} of {queue}: nothing, the model says {best}' if best else None
        if row[0] not in best:
            return f'claim by {role} of {queue}: {row[0]}, the model says {best}'
        self.model.claimed(*row)
        self.claims.append(row)
        return row

    def lapse(self):
        """A client that says nothing until its lease is over."""
        row = self.claim(lease='1 ms')
        if isinstance(row, tuple):
            self.model.failed(row[0], self.model.jobs[row[0]], True)
            return None
        return row

    def some_claim(self):
        if self.claims and self.random.random() < 0.95:
            return self.random.choice(self.claims[-8:])
        return self.some_job(), self.random.randint(1, 2 ** 62)

    def finish(self):
        role, (id, claim) = self.some_role(), self.some_claim()
        got = self.call(role, 'SELECT jobs.finish(%s, claim => %s)', id, claim)
        return self.expect('finish', None if got == '' else got, self.model.finish, role, id, claim)

    def fail(self):
        role, (id, claim), retry = self.some_role(), self.some_claim(), self.random.random() < 0.7
        got = self.call(role, "SELECT jobs.fail(%s, 'no', retry => %s, claim => %s)", id, retry, claim)
        return self.expect('fail', got, self.model.fail, role, id, claim, retry)

    def release(self):
        role, (id, claim) = self.some_role(), self.some_claim()
        got = self.call(role, 'SELECT jobs.release(%s, %s)', id, claim)
        return self.expect('release', None if got == '' else got, self.model.release, role, id, claim)

    def cancel(self):
        role, id = self.some_role(), self.some_job()
        return self.expect('cancel', self.call(role, 'SELECT jobs.cancel(%s)', id), self.model.cancel, role, id)

    def retry(self):
        role, id = self.some_role(), self.some_job()
        return self.expect('retry', self.call(role, 'SELECT jobs.retry(%s)', id), self.model.retry, role, id)

    def delete(self):
        role, id = self.some_role(), self.some_job()
        return self.expect('delete', self.call(role, 'SELECT jobs.delete(%s)', id), self.model.delete, role, id)

    def wait(self):
        role, id = self.some_role(), self.some_job()
        return self.expect('wait', self.call(role, "SELECT jobs.wait(%s, '0')", id), self.model.wait, role, id)

    def pause(self):
        role, queue = self.random.choice(ROLES), self.random.choice(QUEUES)
        self.call(role, 'SELECT jobs.pause(%s)', queue)
        self.model.paused.add((role, queue))

    def resume(self):
        role, queue = self.random.choice(ROLES), self.random.choice(QUEUES)
        self.call(role, 'SELECT jobs.resume(%s)', queue)
        self.model.paused.discard((role, queue))

    def settled(self):
        """What differs between the model and the tables, after at most some seconds."""
        want = {id: (job.state, job.attempt) for id, job in self.model.jobs.items()}
        deadline = time.monotonic() + 15
        while True:
            got = {row[0]: row[1:] for row in self.server.sql('SELECT id, state, attempt FROM jobs.live UNION ALL SELECT id, state, attempt FROM jobs.history')}
            if got == want:
                return []
            if time.monotonic() > deadline:
                return [f'job {id}: {got.get(id)}, the model says {want.get(id)}' for id in sorted(set(got) | set(want)) if got.get(id) != want.get(id)]
            time.sleep(0.003)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--dir', required=True)
    parser.add_argument('--steps', type=int, default=1500)
    parser.add_argument('--seed', type=int, default=int(time.time()))
    options = parser.parse_args()
    server = Server(options.dir, "jobs.retry_delay = '1ms'\n")
    server.start()
    bad = []
    try:
        server.sql("CREATE EXTENSION jobs; CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE carol LOGIN IN ROLE bob;"
                   "CREATE ROLE watcher LOGIN IN ROLE pg_read_all_stats; CREATE ROLE operator LOGIN IN ROLE pg_signal_backend")
        run = Run(server, options.seed)
        for step in range(options.steps):
            what, wrong = run.step()
            wrong = [wrong] if isinstance(wrong, str) else run.settled()
            if wrong:
                bad = [f'step {step}, {what}: {text}' for text in wrong]
                break
        print(f"{'not ok' if bad else 'ok'} 1 - {step + 1} random calls do what the model does, seed {options.seed}: "
              + ', '.join(f'{name} {n}' for name, n in sorted(run.counts.items())))
        for text in bad[:10]:
            print('#   ' + text)
        server.stop('fast')
    finally:
        server.stop('immediate')
    print('1..1')
    sys.exit(1 if bad else 0)


if __name__ == '__main__':
    main()
