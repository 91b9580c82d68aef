"""The mixed workload: roles that submit, clients that work outside, a listener and a sampler.

Each submission has a number, its key, and stands in the ledger with what became of its own transaction: committed,
absent (rolled back, or the connection was lost before the COMMIT was sent), or unsure (lost in the COMMIT)."""

import hashlib
import json
import random
import select
import threading
import time

import psycopg2

FINAL = ('succeeded', 'partial', 'failed', 'cancelled')
ROLES = ('trust_alice', 'trust_bob', 'trust_team')
LOGIN = {'trust_alice': 'trust_alice', 'trust_bob': 'trust_bob', 'trust_team': 'trust_carol'}

Lost = (psycopg2.OperationalError, psycopg2.InterfaceError)


class Ledger:
    next_key = 1        # of all ledgers

    def __init__(self):
        self.lock = threading.Lock()
        self.entries = {}
        self.moved = False      # the clock has been set: times of the database are not compared

    def add(self, **entry):
        with self.lock:
            key = Ledger.next_key
            Ledger.next_key += 1
            entry = dict(dict(job=None, fate='absent', n=None, sha=None, predecessor=None, run_at=None, cancelled=False,
                              at=time.monotonic()), key=key, **entry)
            self.entries[key] = entry
            return entry

    def jobs(self):
        with self.lock:
            return [e for e in self.entries.values() if e['job']]

    def clear(self):
        with self.lock:
            self.entries = {}


class Violations:
    """What only a client can see."""

    def __init__(self):
        self.lock = threading.Lock()
        self.found = []

    def add(self, invariant, text):
        with self.lock:
            self.found.append((invariant, text))

    def take(self):
        with self.lock:
            found, self.found = self.found, []
            return found


class Actor(threading.Thread):
    """A thread with a connection, which it makes anew when it is lost."""

    def __init__(self, workload, role, name):
        super().__init__(name=name, daemon=True)
        self.workload = workload
        self.server = workload.server
        self.role = role
        self.connection = None
        self.random = random.Random(f'{workload.seed} {name}')
        self.leaving = threading.Event()

    def connect(self):
        self.close()
        self.connection = self.server.connect(LOGIN.get(self.role, self.role), autocommit=True)
        with self.connection.cursor() as cursor:
            if self.role in LOGIN and LOGIN[self.role] != self.role:
                cursor.execute('SET ROLE ' + self.role)
            self.prepare(cursor)

    def close(self):
        if self.connection is not None:
            try:
                self.connection.close()
            except psycopg2.Error:
                pass
            self.connection = None

    def prepare(self, cursor):
        pass

    def run(self):
        while not self.leaving.is_set():
            try:
                if self.connection is None:
                    self.connect()
                with self.connection.cursor() as cursor:
                    self.step(cursor)
            except Lost:
                self.lost()
                self.close()
                time.sleep(0.02)
            except psycopg2.Error as error:
                if self.connection is None or self.connection.closed or error.pgcode is None:
                    self.lost()
                    self.close()
                elif not self.bears(error):
                    self.workload.violations.add('client', f'{self.name}: {error.pgcode} {error}')
            except Exception as error:
                self.workload.violations.add('client', f'{self.name}: {error!r}')
                self.close()
                time.sleep(0.1)
        self.close()

    def lost(self):
        pass

    def bears(self, error):
        """Whether an error is nothing to complain of, since a fault is there to make it."""
        return error.pgcode in ('57P01', '57P02', '57P03', '57014') or error.pgcode in self.workload.borne


class Submitter(Actor):
    def prepare(self, cursor):
        cursor.execute('SELECT jobs.pause(%s)', ('held ' + self.role,))

    def step(self, cursor):
        if self.workload.backlog > 50:
            self.leaving.wait(0.02)
            return
        kinds = ['small'] * 6 + ['fails', 'export', 'export', 'bulk', 'bulk', 'chain', 'later', 'held', 'timeout', 'outside', 'items',
                                 'cancel', 'cancel', 'share', 'contend', 'spy', 'preview', 'preview', 'take_in', 'take_in']
        getattr(self, self.random.choice([kind for kind in kinds if kind not in self.workload.without]))(cursor)
        self.leaving.wait(self.random.expovariate(1.0) * self.workload.pause)

    def submit(self, cursor, kind, call, **entry):
        """Submits in a transaction of its own; one of twenty is rolled back."""
        entry = self.workload.ledger.add(kind=kind, role=self.role, **entry)
        call = call.replace('KEY', str(entry['key']))
        give_up = self.random.random() < 0.05
        cursor.execute('BEGIN')
        try:
            cursor.execute(f"SELECT {call}, clock_timestamp()")
            job = cursor.fetchone()[0]
            if give_up:
                cursor.execute('ROLLBACK')
                return entry
            entry['fate'] = 'unsure'
            cursor.execute('COMMIT')
            entry['job'] = job
            entry['fate'] = 'committed'
        except psycopg2.Error:
            if not self.connection.closed:
                cursor.execute('ROLLBACK')
                if entry['fate'] == 'unsure':
                    entry['fate'] = 'absent'
            raise
        return entry

    def call_of_run(self, then, **more):
        arguments = ''.join(f", {name} => {value}" for name, value in more.items())
        return f"jobs.run('INSERT INTO trust.effect VALUES (KEY, 0); {then}', title => 'kKEY'{arguments})"

    def take(self, seconds):
        """A statement that takes a time; the server's own sleep goes by the wall clock."""
        return f'SELECT count(*) FROM generate_series(1, {int(seconds * 1e6)})' if self.workload.ledger.moved else f'SELECT pg_sleep({seconds:.4f})'

    def attempts(self):
        return self.random.choice((1, 3, 1000))

    def small(self, cursor):
        self.submit(cursor, 'run', self.call_of_run(self.take(self.random.expovariate(40)), max_attempts=self.attempts()))

    def fails(self, cursor):
        self.submit(cursor, 'run', self.call_of_run('SELECT 1 / 0', max_attempts=self.random.choice((1, 2))))

    def preview_rows(self):
        return self.workload.items * 2

    def preview(self, cursor):
        """A file of which two rows of a hundred are not in order."""
        n = self.preview_rows()
        content = (f"(SELECT E'key,n,email\\n' || string_agg(format('KEY,%s,p%s@example.org', CASE WHEN i % 50 = 0 THEN 'x' ELSE i::text END, i), E'\\n')"
                   f" FROM generate_series(1, {n}) i)")
        self.submit(cursor, 'preview', f"jobs.import_preview('trust.target', content => {content}, title => 'kKEY', max_attempts => {self.attempts()})", n=n)

    def take_in(self, cursor):
        """An import of what was previewed, which may have ended otherwise, or been imported already."""
        mine = [e for e in self.workload.ledger.jobs() if e['role'] == self.role and e['kind'] == 'preview' and not e.get('taken')][:1]
        if not mine:
            return
        mine[0]['taken'] = True
        try:
            self.submit(cursor, 'import', f"jobs.import({mine[0]['job']}, title => 'kKEY', max_attempts => {self.attempts()})",
                        n=mine[0]['n'] - mine[0]['n'] // 50, sha=str(mine[0]['key']))
        except (psycopg2.errors.ObjectNotInPrerequisiteState, psycopg2.errors.UndefinedObject):
            pass        # the preview has not ended, or not well

    def spy(self, cursor):
        """Whoever runs this may not read the table, and would be seen by its statistics."""
        self.submit(cursor, 'run', self.call_of_run('DO $x$ BEGIN PERFORM FROM trust.canary; EXCEPTION WHEN insufficient_privilege THEN END $x$'))

    def export(self, cursor):
        n, sha = self.random.choice(self.workload.files)
        style = self.random.choice(('plain', 'plain', 'gzip', 'jsonl', 'xlsx'))
        if style == 'xlsx':
            n = min(n, 2000)
        rest = {'plain': "'csv'", 'gzip': "'csv', options => '{\"compression\": \"gzip\"}'"}.get(style, f"'{style}'")
        self.submit(cursor, 'export', f"jobs.export('SELECT * FROM trust.numbers WHERE n <= {n} ORDER BY n', {rest},"
                    f" title => 'kKEY', max_attempts => {self.attempts()})", sha=sha if style == 'plain' else None)

    def bulk(self, cursor):
        n = self.workload.items
        self.submit(cursor, 'bulk', "jobs.bulk_query('SELECT trust.act(KEY, ($1->>''n'')::integer)',"
                    f" 'SELECT n FROM generate_series(1, {n}) n ORDER BY n', workers => {self.random.randint(1, 3)},"
                    f" max_attempts => {self.attempts()}, title => 'kKEY')", n=n)

    def contend(self, cursor):
        self.submit(cursor, 'bulk', "jobs.bulk_query('SELECT trust.contend(KEY, ($1->>''n'')::integer)',"
                    " 'SELECT n FROM generate_series(1, 40) n ORDER BY n', workers => 2, max_attempts => 100, title => 'kKEY')", n=40)

    def chain(self, cursor):
        """Five jobs, each after the one before; the first may fail."""
        before = None
        for _ in range(5):
            after = '' if before is None else f"ARRAY[{before['job']}]::bigint[]"
            more = {'after': after} if after else {}
            then = 'SELECT 1 / 0' if before is None and self.random.random() < 0.3 else 'SELECT 1'
            try:
                entry = self.submit(cursor, 'run', self.call_of_run(then, **more), predecessor=before and before['key'])
            except psycopg2.errors.UndefinedObject:
                return      # its predecessor was deleted, or never committed
            if entry['fate'] != 'committed':
                return
            before = entry

    def later(self, cursor):
        cursor.execute("SELECT clock_timestamp() + '200 ms'")
        at = cursor.fetchone()[0]
        self.submit(cursor, 'run', self.call_of_run('SELECT 1', run_at=f"'{at.isoformat()}'"), run_at=at)

    def held(self, cursor):
        self.submit(cursor, 'run', self.call_of_run('SELECT 1', queue=f"'held {self.role}'"))

    def timeout(self, cursor):
        self.submit(cursor, 'run', self.call_of_run(f'SELECT pg_sleep({self.random.random() / 2:.3f})',
                                                    timeout=f"'{self.random.randint(1, 400)} ms'", max_attempts=self.random.choice((1, 2))))

    def outside(self, cursor):
        self.submit(cursor, 'outside', f"jobs.submit('out {self.role}', to_jsonb(KEY), title => 'kKEY', max_attempts => 20)")

    def items(self, cursor):
        self.submit(cursor, 'outside items', f"jobs.bulk(NULL, (SELECT jsonb_agg(jsonb_build_object('key', KEY, 'n', n)) FROM generate_series(1, 30) n),"
                    f" title => 'kKEY', queue => 'out {self.role}', max_attempts => 20)", n=30)

    def cancel(self, cursor):
        mine = [e for e in self.workload.ledger.jobs() if e['role'] == self.role][-30:]
        if mine:
            entry = self.random.choice(mine)
            entry['cancelled'] = True
            for _ in range(self.random.choice((1, 1, 2))):
                cursor.execute('SELECT jobs.cancel(%s)', (entry['job'],))

    def share(self, cursor):
        """Downloads a file, which must be the one that its artifact says."""
        mine = [e['job'] for e in self.workload.ledger.jobs() if e['role'] == self.role and e['kind'] == 'export'][-20:]
        if not mine:
            return
        cursor.execute("SELECT job, sha256 FROM jobs.artifact WHERE job = ANY (%s) LIMIT 1", (mine,))
        row = cursor.fetchone()
        if row:
            cursor.execute('SELECT jobs.share(%s)', (row[0],))
            cursor.execute('SELECT jobs.download(%s::text)', (cursor.fetchone()[0],))
            sha = hashlib.sha256(b''.join(bytes(chunk[0]) for chunk in cursor.fetchall())).hexdigest()
            if sha != row[1]:
                self.workload.violations.add('I6', f'job {row[0]}: the bytes downloaded have {sha}, the artifact says {row[1]}')

    def bears(self, error):
        # A job that is deleted or not yet there, and one that is not a bulk job any more.
        return super().bears(error) or error.pgcode == '42704'


class Client(Actor):
    """Does jobs and items outside of the server: well, late, twice, or not at all."""

    def step(self, cursor):
        queue = 'out ' + self.role
        late = self.random.random() < 0.1
        lease = '100 ms' if late else '3 s'
        cursor.execute('SELECT job, payload, claim FROM jobs.claim(%s, 3, %s)', (queue, lease))
        for job, key, claim in cursor.fetchall():
            self.one(cursor, job, key, claim, late)
        cursor.execute('SELECT job FROM jobs.claimable(%s)', (queue,))
        for (job,) in cursor.fetchall():
            try:
                cursor.execute('SELECT item_no, payload, claim FROM jobs.claim_items(%s, 7, %s)', (job, lease))
            except (psycopg2.errors.UndefinedObject, psycopg2.errors.ObjectNotInPrerequisiteState):
                continue
            items = cursor.fetchall()
            if items:
                self.some(cursor, job, items, late)
        self.leaving.wait(0.05)

    def one(self, cursor, job, key, claim, late):
        if late:
            time.sleep(0.15)
        way = self.random.random()
        cursor.execute('BEGIN')
        try:
            if way < 0.1 and not late:
                cursor.execute("SELECT jobs.fail(%s, 'no luck', claim => %s)", (job, claim))
            elif way < 0.2 and not late:
                cursor.execute('SELECT jobs.release(%s, %s)', (job, claim))
            else:
                cursor.execute('INSERT INTO trust.effect VALUES (%s, 0)', (key,))
                cursor.execute("SELECT jobs.finish(%s, '1', %s)", (job, claim))
                if late:
                    self.workload.violations.add('I15', f'job {job}: an answer after the lease was taken')
            cursor.execute('COMMIT')
        except (psycopg2.errors.ObjectNotInPrerequisiteState, psycopg2.errors.UndefinedObject):
            cursor.execute('ROLLBACK')
        except psycopg2.Error:
            if not self.connection.closed:
                cursor.execute('ROLLBACK')
            raise
        if not late and way >= 0.2:
            self.again(cursor, 'SELECT jobs.finish(%s, %s, %s)', (job, '2', claim))

    def some(self, cursor, job, items, late):
        if late:
            time.sleep(0.15)
        claim = items[0][2]
        done = [item for item in items if item[1]['n'] % 10 != 0]
        cursor.execute('BEGIN')
        try:
            for number, payload, _ in items:
                if payload['n'] % 10 == 0:
                    cursor.execute("SELECT jobs.fail_item(%s, %s, 'no', claim => %s)", (job, number, claim))
                else:
                    cursor.execute('INSERT INTO trust.effect VALUES (%s, %s)', (payload['key'], payload['n']))
            if done:
                cursor.execute('SELECT jobs.finish_items(%s, %s, claim => %s)', (job, [item[0] for item in done], claim))
            if late:
                self.workload.violations.add('I15', f'items of job {job}: an answer after the lease was taken')
            cursor.execute('COMMIT')
        except (psycopg2.errors.ObjectNotInPrerequisiteState, psycopg2.errors.UndefinedObject):
            cursor.execute('ROLLBACK')
        except psycopg2.Error:
            if not self.connection.closed:
                cursor.execute('ROLLBACK')
            raise

    def again(self, cursor, call, arguments):
        """A second answer, which must change nothing."""
        try:
            cursor.execute(call, arguments)
            self.workload.violations.add('I15', f'{call} {arguments}: a second answer was taken')
        except (psycopg2.errors.ObjectNotInPrerequisiteState, psycopg2.errors.UndefinedObject):
            pass


class Listener(Actor):
    """Reads anew at each message, and remembers which ends it has heard of."""

    def __init__(self, workload):
        super().__init__(workload, 'postgres', 'listener')
        self.when = {}
        self.sessions = []      # [since, until, {job: [states]}]; times are the server's

    def prepare(self, cursor):
        cursor.execute('LISTEN jobs')
        cursor.execute('SELECT clock_timestamp()')
        self.sessions.append([cursor.fetchone()[0], None, {}])

    def step(self, cursor):
        if not select.select([self.connection], [], [], 0.1)[0]:
            cursor.execute('SELECT clock_timestamp()')
            self.sessions[-1][1] = cursor.fetchone()[0]
        self.connection.poll()
        while self.connection.notifies:
            try:
                message = json.loads(self.connection.notifies.pop(0).payload)
            except ValueError:
                continue        # somebody else's
            if 'job' not in message:
                continue
            cursor.execute('SELECT state, title FROM jobs.job WHERE id = %s', (message['job'],))
            row = cursor.fetchone()
            if message['state'] in FINAL:
                self.sessions[-1][2].setdefault(message['job'], []).append(message['state'])
                self.when.setdefault(message['job'], []).append((message['kind'], time.strftime('%H:%M:%S')))
                if row and row[0] != message['state']:
                    self.workload.violations.add('I10', f"job {message['job']}: told to be {message['state']}, shown as {row[0]}")
            if row is None:
                self.workload.violations.add('I10', f"job {message['job']}: told to be {message['state']}, and not to be seen")

    def missed(self, rows, away):
        """Ends (job, state, when) inside a session that it was not told of, or twice; away are times without a scheduler."""
        for job, state, finished_at, kind in rows:
            for since, until, heard in self.sessions:
                told = heard.get(job, [])
                if len(told) > 1:
                    yield f'job {job}, {kind}: told of its end as {told}, at {self.when.get(job)}'
                if until and finished_at and since < finished_at < until and not told and not any(a <= finished_at <= b for a, b in away):
                    yield f'job {job}, {kind}: not told that it is {state} since {finished_at}, in a session from {since} to {until}'


class Sampler(Actor):
    """Looks at progress and states twenty times a second."""

    def __init__(self, workload):
        super().__init__(workload, 'postgres', 'sampler')
        self.last = {}          # job: (started_at, percent, state)
        self.orphans = {}       # job: since when it runs without a process
        self.longest = 0.0

    def lost(self):
        self.orphans = {}

    def step(self, cursor):
        cursor.execute("""SELECT p.id, p.state, p.started_at, p.percent, p.processed, p.total, p.total_is_estimate,
                p.pid IS NOT NULL AND a.pid IS NOT NULL
                OR p.kind = 'external' OR p.kind = 'bulk' AND j.command = '' OR p.phase = 'claimed'
            FROM jobs.progress p JOIN jobs.job j USING (id) LEFT JOIN pg_stat_activity a ON a.pid = p.pid""")
        now = time.monotonic()
        seen = set()
        rows = cursor.fetchall()
        self.workload.backlog = sum(row[1] in ('queued', 'running') for row in rows)
        for job, state, started_at, percent, processed, total, estimated, living in rows:
            old = self.last.get(job)
            if percent is not None and percent > 100 or (processed is not None and total is not None and not estimated and processed > total):
                self.workload.violations.add('I11', f'job {job}: {percent} percent, {processed} of {total}')
            if old and old[0] == started_at and None not in (old[1], percent) and percent < old[1] and state == old[2]:
                self.workload.violations.add('I11', f'job {job}: from {old[1]} back to {percent} percent')
            if old and old[2] in FINAL and state != old[2]:
                self.workload.violations.add('I8', f'job {job}: {old[2]}, and then {state}')
            self.last[job] = (started_at, percent, state)
            if state == 'running' and not living:
                seen.add(job)
                since = self.orphans.setdefault(job, now)
                self.longest = max(self.longest, now - since)
                if now - since > 1.0 * self.workload.slack and not self.workload.suspended:
                    self.workload.violations.add('I3', f'job {job}: runs without a process for {now - since:.1f} s')
                    self.orphans[job] = now + 3600
        self.orphans = {job: since for job, since in self.orphans.items() if job in seen}
        self.leaving.wait(0.05)


class Workload:
    def __init__(self, server, seed, scale=1, slack=1, pause=0.02):
        self.server = server
        self.seed = seed
        self.slack = slack              # how much slower than promised is still right, on a busy machine
        self.backlog = 0                # jobs that are ready or running
        self.pause = pause              # seconds between two submissions of a role, on the average
        self.items = int(200 * scale)
        self.ledger = Ledger()
        self.violations = Violations()
        self.without = set()            # kinds of submission that are left out
        self.borne = set()              # SQLSTATEs that a fault makes for everybody
        self.suspended = False          # the scheduler is stopped, or has no room to write
        self.away = []                  # when there was no scheduler: pairs of the server's times
        self.actors = []
        self.files = [(n, self.hash_of(n)) for n in (10, 3000, int(20000 * scale))]

    def hash_of(self, n):
        """SHA-256 of what COPY makes of the query of an export."""
        digest = hashlib.sha256()

        class Sink:
            def write(self, data):
                digest.update(data if isinstance(data, bytes) else data.encode())
        connection = self.server.connect()
        with connection.cursor() as cursor:
            cursor.copy_expert(f'COPY (SELECT * FROM trust.numbers WHERE n <= {min(n, 200000)} ORDER BY n) TO STDOUT (FORMAT csv, HEADER)', Sink())
        connection.close()
        return digest.hexdigest()

    def start(self):
        self.listener = Listener(self)
        self.sampler = Sampler(self)
        self.submitters = [Submitter(self, role, f'{role} {len(self.ledger.entries)}') for role in ROLES]
        self.clients = [Client(self, role, role + ' client') for role in ROLES[:2]] + [Client(self, 'trust_team', 'team client')]
        self.actors = [self.listener, self.sampler] + self.clients + self.submitters
        for actor in self.actors:
            actor.start()

    def stop(self, actors):
        for actor in actors:
            actor.leaving.set()
        for actor in actors:
            actor.join(60)

    def now(self):
        return self.server.value('SELECT clock_timestamp()')

    def drain(self, seconds):
        """No more submissions; waits until all jobs are final.  Returns those that are not, after that time."""
        self.stop(self.submitters)
        for role in ROLES:
            try:
                self.server.in_database('postgres', 'SET ROLE ' + role, f"SELECT jobs.resume('held {role}')")
            except psycopg2.Error as error:
                self.violations.add('client', f'resume: {error}')
        deadline = time.monotonic() + seconds
        left = []
        while time.monotonic() < deadline:
            left = self.server.sql("SELECT id, title, kind, state, waiting_for, attempt FROM jobs.job WHERE state <> ALL (%s)", list(FINAL))
            if not left:
                break
            time.sleep(0.05)
        time.sleep(0.3)         # for the last messages
        self.stop(self.clients + [self.listener, self.sampler])
        return left

    def settle_fates(self):
        """What became of submissions whose COMMIT was not answered."""
        for entry in self.ledger.entries.values():
            if entry['fate'] == 'unsure':
                entry['job'] = self.server.value("SELECT id FROM jobs.job WHERE title = %s", f"k{entry['key']}")
                entry['fate'] = 'committed' if entry['job'] else 'absent'

    def store_ledger(self):
        from psycopg2.extras import execute_values
        self.server.sql('TRUNCATE trust.ledger')
        with self.server.admin.cursor() as cursor:
            execute_values(cursor, 'INSERT INTO trust.ledger VALUES %s', [
                tuple(e[name] for name in ('key', 'role', 'kind', 'job', 'fate', 'n', 'sha', 'predecessor', 'run_at', 'cancelled')) + (self.ledger.moved,)
                for e in self.ledger.entries.values()], page_size=1000)
