#!/usr/bin/python3
"""Runs the mixed workload under each fault and checks the invariants after it.

    trust.py --dir DIRECTORY [--full] [--faults F01,F05] [--times N] [--seed N] [--expect I4] [--slack X]

Prints TAP.  Each fault gets a line with the number of its injections, and the seed that repeats its moments; the
figures of the clocks come at the end.  --expect is for builds that are broken on purpose: the run is right when the
invariant is violated, and nothing else is asked of it.

What is promised, and what each fault is, stands in docs/reliability.md."""

import argparse
import os
import random
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import faults
import psycopg2
from context import CLOCKS, Context
from server import Server
from workload import Workload

HERE = os.path.dirname(os.path.abspath(__file__))

BAD_LOG = re.compile('|'.join((
    '^TRAP:', 'PANIC:  ', 'Sanitizer', ' runtime error: ', r'was terminated by signal (4|6|7|8|11)\b',
    r'^\S+ \S+ \S+ \[\d+\] XX00[0-2] ', '(ERROR|FATAL|WARNING|LOG):  .*cache lookup failed',
    'WARNING:  .*(leak|not closed|non-empty SPI stack|in alloc set|own a lock)', 'unrecognized')))


def read_invariants():
    """Pairs of a heading, such as 'I4: ...', and its queries."""
    with open(os.path.join(HERE, 'invariants.sql')) as f:
        text = f.read()
    parts = re.split(r'^-- (I\d+: .*)$', text, flags=re.M)[1:]
    for heading, body in zip(parts[::2], parts[1::2]):
        yield heading, [query for query in body.split(';') if query.strip()]


class Driver:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.tests = 0
        self.failures = 0
        self.injections = 0
        self.clocks = {}
        self.violated = set()
        self.log_read = 0

    # ------------------------------------------------------------------
    # TAP
    # ------------------------------------------------------------------

    def ok(self, good, name, notes=()):
        self.tests += 1
        self.failures += not good
        print(f"{'ok' if good else 'not ok'} {self.tests} - {name}")
        for note in notes:
            print('#   ' + str(note)[:400].replace('\n', '\n#   '))
        sys.stdout.flush()

    def note(self, text):
        print('# ' + text)
        sys.stdout.flush()

    def clock(self, name, seconds):
        self.clocks.setdefault(name, []).append(seconds)

    # ------------------------------------------------------------------
    # A server
    # ------------------------------------------------------------------

    def create_server(self, name, conf='', preload=False):
        directory = os.path.join(self.options.dir, name)
        os.mkdir(directory)
        library = None
        if preload:
            control = os.path.join(directory, 'shim')
            library = os.path.join(directory, 'shim.so')
            with open(control, 'wb') as f:
                f.write(bytes(64))
            subprocess.run(['gcc', '-O1', '-fPIC', '-shared', '-o', library, os.path.join(HERE, 'shim.c'), '-ldl'], check=True)
            os.environ['JOBS_SHIM'] = control
        server = Server(directory, conf, library)
        server.start()
        with open(os.path.join(HERE, 'setup.sql')) as f:
            setup = f.read()
        server.sql(setup)
        # The canary's counters begin after its making.
        server.sql("SELECT pg_stat_reset()")
        self.log_read = 0
        return server

    # ------------------------------------------------------------------
    # One fault
    # ------------------------------------------------------------------

    def times(self, fault):
        return self.options.times or (fault.full if self.options.full else fault.short)

    def run_fault(self, server, fault):
        server.sql('TRUNCATE trust.effect, trust.target')
        n = self.times(fault)
        seed = f'{self.options.seed} {fault.name}'
        rng = random.Random(seed)
        workload = Workload(server, seed, scale=5 if self.options.full else 1, slack=self.options.slack)
        context = Context(self, server, workload, rng, n)
        started = time.monotonic()
        if fault.before:
            fault.before(context)
        workload.start()
        time.sleep(0.3)
        try:
            for i in range(n):
                time.sleep(rng.uniform(0.02, 0.4))
                fault.inject(context)
                self.injections += 1
                context.done += 1
                if i % 50 == 49 and i < n - 1:
                    self.check_round(context, fault, last=False)
            if fault.after:
                fault.after(context)
        except Exception as error:
            context.complain('driver', f'{type(error).__name__}: {error}')
        try:
            self.check_round(context, fault, last=True)
        except psycopg2.Error as error:
            context.complain('driver', f'the server cannot be asked: {error}')
            self.tell_ends_of_logs(server)
            server.stop('immediate')
            server.start()
        found = context.found
        self.violated |= {invariant for invariant, _ in found}
        submitted = context.submitted + len(workload.ledger.entries)
        self.ok(not found, f'{fault.name} {fault.title}: {context.done} injections, {submitted} submissions, seed "{seed}", '
                f'{time.monotonic() - started:.1f} s', [f'{i}: {t}' for i, t in found[:12]])

    def tell_ends_of_logs(self, server):
        for name in (server.log + '.start', server.log):
            with open(name, errors='replace') as log:
                self.note('\n# '.join([f'the end of {name}:'] + log.read()[-2000:].splitlines()))

    def check_round(self, context, fault, last):
        """Drains, checks, and where there is more to come begins anew with an empty ledger."""
        server, workload = context.server, context.workload
        server.wait_ready()
        left = workload.drain(self.options.patience)
        for row in left[:5]:
            context.complain('I2', f'after {self.options.patience} s: {row}')
        self.check(context)
        if not last:
            context.submitted += len(workload.ledger.entries)
            workload.ledger.clear()
            server.sql('TRUNCATE trust.effect, trust.target')
            # What has been checked would only make the next checks longer.
            server.sql("SELECT count(jobs.delete(id)) FROM jobs.job WHERE finished_at IS NOT NULL")
            workload.start()
            time.sleep(0.3)

    def check(self, context):
        server, workload = context.server, context.workload
        workload.settle_fates()
        workload.store_ledger()
        self.wait_calm(server)
        for heading, queries in read_invariants():
            invariant = heading.split(':')[0]
            for query in queries:
                try:
                    rows = server.sql(query)
                except psycopg2.Error as error:
                    context.complain(invariant, f'{heading}: {error}')
                    continue
                if rows:
                    context.complain(invariant, f'{heading}: {len(rows)} rows, {rows[:3]}')
        ends = server.sql("SELECT j.id, j.state, j.finished_at, l.kind FROM jobs.job j JOIN trust.ledger l ON l.job = j.id WHERE l.fate = 'committed' AND NOT l.cancelled")
        if not workload.ledger.moved:
            for text in list(workload.listener.missed(ends, workload.away))[:5]:
                context.complain('I10', text)
        self.check_log(context)
        for invariant, text in workload.violations.take():
            context.complain(invariant, text)

    def wait_calm(self, server):
        """Until no worker is at work, which ends a moment after its last job has."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if not server.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'jobs worker' AND state <> 'idle' OR backend_type = 'parallel worker'"):
                return
            time.sleep(0.02)

    def check_log(self, context):
        server = context.server
        text = server.log_since(self.log_read)
        self.log_read += len(text.encode(errors='replace'))
        for line in text.split('\n'):
            if BAD_LOG.search(line) and not (context.bears_in_log and context.bears_in_log.search(line)):
                context.complain('I14', line)

    # ------------------------------------------------------------------
    # All of it
    # ------------------------------------------------------------------

    def run(self):
        chosen = [f for f in faults.FAULTS if not self.options.faults or f.name in self.options.faults]
        self.note(f'seed {self.options.seed}, {"whole" if self.options.full else "short"} form')
        started = time.monotonic()
        with open(os.path.join(Server.bindir(), 'postgres'), 'rb') as f:
            sanitized = f.read(2) == b'#!'
        if sanitized:
            self.note('without the faults of shim.c, which does not go with a sanitizer')
            chosen = [f for f in chosen if not f.shim and f.name != 'F09']
        for preload in (False, True):
            group = [f for f in chosen if f.shim == preload and f.inject]
            if group:
                server = self.create_server('shimmed' if preload else 'plain', preload=preload)
                try:
                    for fault in group:
                        self.run_fault(server, fault)
                    server.stop('fast')
                finally:
                    server.stop('immediate')
        for fault in chosen:
            if fault.program:
                self.run_program(fault)
        for name, values in sorted(self.clocks.items()):
            values.sort()
            self.note(f'{name}: {len(values)} times, median {1000 * values[len(values) // 2]:.0f} ms, '
                      f'p99 {1000 * values[min(len(values) - 1, int(len(values) * 0.99))]:.0f} ms, most {1000 * values[-1]:.0f} ms')
        for name, limit in CLOCKS.items():
            values = self.clocks.get(name)
            if values:
                p99 = values[min(len(values) - 1, int(len(values) * 0.99))]
                self.ok(p99 < limit * self.options.slack, f'{name}: p99 {1000 * p99:.0f} ms, promised {1000 * limit:.0f} ms'
                        + (f' (times {self.options.slack:g} on a busy machine)' if self.options.slack != 1 else ''))
        self.note(f'{self.injections} injections in {time.monotonic() - started:.0f} s, {self.failures} failures')
        print(f'1..{self.tests}')
        if self.options.expect:
            return 0 if self.options.expect in self.violated else 1
        return 1 if self.failures else 0

    def run_program(self, fault):
        """A fault with servers of its own."""
        context = Context(self, None, None, random.Random(f'{self.options.seed} {fault.name}'), self.times(fault))
        started = time.monotonic()
        try:
            fault.program(context)
        except Exception as error:
            context.complain('driver', f'{type(error).__name__}: {error}')
        self.injections += context.done
        self.violated |= {invariant for invariant, _ in context.found}
        self.ok(not context.found, f'{fault.name} {fault.title}: {context.done} injections, {time.monotonic() - started:.1f} s',
                [f'{i}: {t}' for i, t in context.found[:12]])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--dir', required=True, help='an empty directory with a short path')
    parser.add_argument('--full', action='store_true')
    parser.add_argument('--faults', type=lambda text: text.split(','))
    parser.add_argument('--times', type=int, help='injections of each fault')
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--slack', type=float, default=1.0)
    parser.add_argument('--patience', type=float, default=30.0, help='seconds that all jobs have to come to an end')
    parser.add_argument('--expect', help='the invariant that a broken build violates')
    parser.add_argument('--soak', type=float, help='seconds of random faults, one each two seconds')
    options = parser.parse_args()
    driver = Driver(options)
    sys.exit(faults.soak(driver) if options.soak else driver.run())


if __name__ == '__main__':
    main()
