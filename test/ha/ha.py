#!/usr/bin/python3
"""Fail-overs of a cluster under Patroni, in the middle of everything that jobs do, and the invariants after each.

    ha.py --dir DIRECTORY [--rounds N] [--faults crash,freeze] [--seed N] [--slack X]

The workload and the invariants are those of test/trust, whose clients here have a connection string with both servers;
the clients of examples/worker are beside them.  Prints TAP.  docs/ha.md says what is promised."""

import argparse
import collections
import os
import random
import re
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'trust')]

import outside
import trust
from cluster import Cluster, stop, wait_until
from context import CLOCKS, Context, Fault
from server import children
from workload import Workload

PARAMETERS = {
    'shared_preload_libraries': 'jobs',
    'log_line_prefix': '%m [%p] %e %q%a ',
    'max_worker_processes': 16,
    'max_connections': 80,
    'wal_keep_size': '1GB',
    'deadlock_timeout': '50ms',
    'jobs.retry_delay': '10ms',
    'jobs.progress_interval': '50ms',
    'jobs.worker_idle_timeout': '3s',
}

# What a sender of WAL, called after its standby, says to an old primary that has to be rewound first.
AHEAD = re.compile(r'\] XX000 [ab] ')


# ----------------------------------------------------------------------------
# Ways to fail over
# ----------------------------------------------------------------------------

def wait_busy(context):
    """Until exports, imports and bulk jobs run, or some seconds have passed."""
    time.sleep(context.random.uniform(0.5, 2))
    asker = context.server.primary().asker
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        kinds = {row[0] for row in asker.sql("SELECT kind FROM jobs.progress WHERE state = 'running' AND pid IS NOT NULL")}
        if {'export', 'bulk'} <= kinds and kinds & {'import', 'import_preview'}:
            break


def fail_over(context, begin, end=None):
    """begin(primary) makes the other server take over; end(primary) has the old one come back."""
    cluster = context.server
    wait_busy(context)
    old = cluster.primary()
    new = cluster.other(old)
    with context.away():
        # Its server may not answer any more, and would keep us.
        cluster.admin = None
        started = time.monotonic()
        begin(old)
        cluster.wait_primary(new)
        context.driver.clock(f'taken over after {context.fault}', time.monotonic() - started)
        if end:
            time.sleep(context.random.uniform(0, 2))
            end(old)
        first_start(context, new)
    cluster.wait_healthy()


def first_start(context, node):
    """How long it took from the new primary's readiness to the first start of a job there."""
    ready = context.server.ready_at(node)
    took = []

    def started():
        found = node.asker.value('SELECT extract(epoch FROM min(started_at) - %s::timestamptz)::float8 FROM jobs.job WHERE started_at >= %s::timestamptz',
                                 ready, ready)
        took.append(found)
        return found is not None
    wait_until(started, 20, 'a job begins on the new primary')
    context.driver.clock('running again after "ready to accept connections"', took[-1])


def switch_over(context):
    cluster = context.server
    fail_over(context, lambda old: cluster.patronictl('switchover', '--candidate', cluster.other(old).name, '--force'))


def crash(context):
    """The whole machine: the server and its Patroni."""
    def begin(old):
        old.patroni.end(signal.SIGKILL)
        context.driver.clock('orphans gone after the end of the postmaster', old.kill_server())
    fail_over(context, begin, lambda old: old.patroni.start())


def crash_server(context):
    """The server alone: Patroni sees it, and gives way."""
    fail_over(context, lambda old: old.kill_server())


def freeze(context):
    """A machine that hangs, for longer than it is waited for, and then goes on as if nothing had been."""
    fail_over(context, lambda old: old.freeze(), lambda old: old.thaw())


def forsake(context):
    """Patroni alone: its server goes on as a second primary, until a watchdog resets the machine."""
    def end(old):
        old.kill_server()
        old.patroni.start()
    fail_over(context, lambda old: old.patroni.end(signal.SIGKILL), end)


def lose_standby(context):
    """Commits wait for the standby until Patroni gives it up."""
    cluster = context.server
    primary = cluster.primary()
    standby = cluster.other(primary)
    wait_busy(context)
    standby.patroni.end(signal.SIGKILL)
    standby.kill_server()
    took = wait_until(lambda: primary.asker.value("SELECT current_setting('synchronous_standby_names') = ''"), 60, 'the standby is given up')
    context.driver.clock('commits go on after the loss of the standby', took)
    time.sleep(context.random.uniform(0.5, 2))
    standby.patroni.start()
    cluster.wait_healthy()


def hold_standby(context):
    """Commits wait, with timeouts and cancels that come meanwhile."""
    cluster = context.server
    wait_busy(context)
    standby = cluster.other(cluster.primary())
    receivers = receivers_of(standby)
    for pid in receivers:
        stop(pid, signal.SIGSTOP)
    time.sleep(context.random.uniform(2, 5))
    for pid in receivers:
        stop(pid, signal.SIGCONT)
    cluster.wait_healthy()


def receivers_of(node):
    return [pid for pid in children(node.postmaster()) if b'walreceiver' in open(f'/proc/{pid}/cmdline', 'rb').read()]


def lose_etcd(context):
    """A primary that cannot show that it is one must not be one."""
    cluster = context.server
    wait_busy(context)
    with context.away():
        primary = cluster.primary()
        cluster.admin = None
        cluster.etcd.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: not cluster.writes_to(primary), 60, 'the primary gives up without etcd')
        time.sleep(context.random.uniform(0, 2))
        cluster.etcd.process.send_signal(signal.SIGCONT)
        wait_until(cluster.primary, 90, 'a primary')
    cluster.wait_healthy()


def crash_behind(context):
    """Asynchronously: the standby has not received the last seconds."""
    cluster = context.server

    def begin(old):
        receivers = receivers_of(cluster.other(old))
        for pid in receivers:
            stop(pid, signal.SIGSTOP)
        time.sleep(context.random.uniform(0.5, 1.5))
        old.patroni.end(signal.SIGKILL)
        old.kill_server()
        for pid in receivers:
            # What has arrived and was not written is not wanted either.
            stop(pid, signal.SIGTERM)
            stop(pid, signal.SIGCONT)
    fail_over(context, begin, lambda old: old.patroni.start())


SYNCHRONOUS = [
    Fault('switchover', 'patronictl switchover', 0, 0, switch_over),
    Fault('crash', 'kill -9 of the primary and its Patroni', 0, 0, crash),
    Fault('server', 'kill -9 of the primary alone', 0, 0, crash_server),
    Fault('freeze', 'SIGSTOP of the primary and its Patroni', 0, 0, freeze),
    Fault('patroni', "kill -9 of the primary's Patroni alone", 0, 0, forsake),
    Fault('standby', 'kill -9 of the standby and its Patroni', 0, 0, lose_standby),
    Fault('hang', 'SIGSTOP of what receives for the standby', 0, 0, hold_standby),
    Fault('etcd', 'SIGSTOP of etcd', 0, 0, lose_etcd),
]
ASYNCHRONOUS = [
    Fault('behind', 'kill -9 of a primary whose standby is behind', 0, 0, crash_behind),
]


# ----------------------------------------------------------------------------
# The driver
# ----------------------------------------------------------------------------

class Driver(trust.Driver):
    def __init__(self, options):
        super().__init__(options)
        self.cluster = Cluster(options.dir, PARAMETERS)
        self.directory = os.path.join(options.dir, 'invoices')
        self.log_read = {}
        self.lost = self.acknowledged = self.taken_back = 0
        self.retried = collections.Counter()
        self.interrupted = collections.Counter()
        os.mkdir(self.directory)

    def run(self):
        cluster = self.cluster
        self.note(f'seed {self.options.seed}')
        started = time.monotonic()
        try:
            cluster.start()
            with open(os.path.join(HERE, '..', 'trust', 'setup.sql')) as f:
                cluster.sql(f.read())
            cluster.sql('SELECT pg_stat_reset()')
            self.fleet = outside.Fleet(cluster, self.directory, os.path.join(self.options.dir, 'examples.log'))
            self.fleet.start()
            self.run_mode(SYNCHRONOUS, True)
            self.run_mode(ASYNCHRONOUS, False)
            self.summarize()
            self.fleet.end()
            self.ok(cluster.stop(), 'both servers shut down in good order')
        finally:
            cluster.stop()
        self.note(f'{self.injections} fail-overs in {time.monotonic() - started:.0f} s')
        print(f'1..{self.tests}')
        return 1 if self.failures else 0

    def run_mode(self, all_faults, synchronous):
        chosen = [fault for fault in all_faults if not self.options.faults or fault.name in self.options.faults]
        if not chosen:
            return
        if self.cluster.synchronous != synchronous:
            self.cluster.synchronous = synchronous
            self.cluster.configure(synchronous_mode=synchronous)
        self.cluster.wait_healthy()
        for fault in chosen:
            for n in range(self.options.rounds):
                self.run_round(fault, n)

    def run_round(self, fault, n):
        cluster = self.cluster
        cluster.sql('TRUNCATE trust.effect, trust.target')
        seed = f'{self.options.seed} {fault.name} {n}'
        workload = Workload(cluster, seed, scale=3, slack=self.options.slack)
        more = [outside.Employer(workload), outside.Importer(workload)]
        context = Context(self, cluster, workload, random.Random(seed), 1)
        context.fault = fault.title
        started = time.monotonic()
        workload.start()
        workload.submitters += more
        for actor in more:
            actor.start()
        try:
            time.sleep(0.5)
            fault.inject(context)
            self.injections += 1
            time.sleep(0.5)
        except Exception as error:
            context.complain('driver', f'{type(error).__name__}: {error}')
        submitted = len(workload.ledger.entries)
        self.check_round(context, fault, last=True)
        self.ok(not context.found, f'{"" if cluster.synchronous else "asynchronous: "}{fault.title}: {submitted} submissions, seed "{seed}", '
                f'{time.monotonic() - started:.1f} s', [f'{i}: {t}' for i, t in context.found[:12]])

    # ------------------------------------------------------------------
    # What is asked beyond the invariants of test/trust
    # ------------------------------------------------------------------

    def check(self, context):
        cluster, workload = self.cluster, context.workload
        cluster.wait_healthy()
        if not cluster.synchronous:
            self.forget_lost(workload)
        super().check(context)
        for text in outside.complaints(cluster, self.directory):
            context.complain('examples', text)
        for name in self.fleet.ended:
            context.complain('examples', f'{name} has ended')
        self.count_outcomes(context)
        standby = cluster.other(cluster.primary())
        if standby.asker.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'jobs %'"):
            context.complain('standby', 'a process of ours runs there')

    def forget_lost(self, workload):
        """Counts what was acknowledged and is not there any more; what is left has to be as ever."""
        workload.settle_fates()
        there = dict(self.cluster.sql("SELECT title, id FROM jobs.job WHERE title LIKE 'k%'"))
        cancelled = set()
        for entry in workload.ledger.entries.values():
            if entry['fate'] == 'committed':
                self.acknowledged += 1
                if f"k{entry['key']}" not in there:
                    self.lost += 1
                    if entry['cancelled']:
                        cancelled.add(entry['job'])
                    entry['fate'] = 'absent'
                    entry['job'] = None
        # Who cancels a lost job by its id cancels the one that has been given it since; docs/ha.md says so.
        for entry in workload.ledger.entries.values():
            if entry['job'] in cancelled:
                entry['cancelled'] = True
        for invariant, text in workload.violations.take():
            if invariant in ('I8', 'I15'):
                self.taken_back += 1
            else:
                workload.violations.add(invariant, text)

    def count_outcomes(self, context):
        """Jobs that were at work then: run again, or failed with a reason that says so."""
        for kind, state, attempt, code, message in self.cluster.sql(
                "SELECT l.kind, j.state, j.attempt, j.error_code, j.error_message FROM trust.ledger l JOIN jobs.job j ON j.id = l.job"
                " WHERE l.fate = 'committed' AND l.kind NOT IN ('outside', 'outside items', 'invoices', 'mail')"):
            if state in ('succeeded', 'partial') and attempt > 1:
                self.retried[kind] += 1
            elif code in ('57P01', '57P02'):
                self.interrupted[kind] += 1
                if not message:
                    context.complain('reason', f'{code} without a message')

    def check_log(self, context):
        for node in self.cluster.nodes:
            offset = self.log_read.get(node, 0)
            text = node.log_since(offset)
            self.log_read[node] = offset + len(text)
            for line in text.decode(errors='replace').split('\n'):
                if trust.BAD_LOG.search(line) and not AHEAD.search(line):
                    context.complain('I14', f'{node.name}: {line}')

    def summarize(self):
        self.note(f'interrupted, ran again and succeeded: {dict(self.retried)}; failed for it: {dict(self.interrupted)}')
        if not self.options.faults:
            self.ok({'run', 'export', 'bulk'} <= set(self.retried) | set(self.interrupted) and {'preview', 'import'} & (set(self.retried) | set(self.interrupted)),
                    'jobs of each kind were interrupted: some ran again, and some failed and say why')
        if self.acknowledged:
            self.note(f'asynchronous: {self.lost} of {self.acknowledged} acknowledged submissions were lost, and {self.taken_back} ends')
            self.ok(self.lost > 0, 'asynchronous replication loses what had not arrived')
        for name, values in sorted(self.clocks.items()):
            values.sort()
            self.note(f'{name}: {len(values)} times, median {values[len(values) // 2]:.2f} s, most {values[-1]:.2f} s')
        for name, limit in CLOCKS.items():
            if name in self.clocks:
                self.ok(self.clocks[name][-1] < limit * self.options.slack, f'{name}: at most {self.clocks[name][-1]:.2f} s')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--dir', required=True, help='an empty directory with a short path')
    parser.add_argument('--rounds', type=int, default=2, help='how often each way of failing over is tried')
    parser.add_argument('--faults', type=lambda text: text.split(','))
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--slack', type=float, default=5.0, help='how many times slower than promised is still right')
    parser.add_argument('--patience', type=float, default=90.0, help='seconds that all jobs have to come to an end')
    sys.exit(Driver(parser.parse_args()).run())


if __name__ == '__main__':
    main()
