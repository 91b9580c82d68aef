"""What all faults need: what is known of a run, and its clocks."""

import datetime
import re
import time

CLOCKS = {
    'settled after the end of its worker': 0.1,
    'running again after the end of its worker': 1.0,
    'running again after "ready to accept connections"': 1.0,
    'DROP, RENAME or copy of a database that is idle': 1.0,
}

CRASH = re.compile('was terminated by signal 9')


class Context:
    """What one fault's run has."""

    def __init__(self, driver, server, workload, rng, n):
        self.driver = driver
        self.server = server
        self.workload = workload
        self.random = rng
        self.n = n
        self.done = 0
        self.submitted = 0
        self.found = []
        self.bears_in_log = None    # what the log may have
        self.keep = {}

    def complain(self, invariant, text):
        self.found.append((invariant, text))

    def away(self):
        """From now until a scheduler is there again nobody is told anything."""
        return Away(self)


class Away:
    def __init__(self, context):
        self.context = context

    def __enter__(self):
        self.since = self.context.workload.now()
        # What had ended a moment before may not have been told either.
        return self

    def __exit__(self, *_):
        server = self.context.server
        server.wait_ready()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not server.pids('scheduler'):
            time.sleep(0.01)
        second = datetime.timedelta(seconds=1)
        self.context.workload.away.append((self.since - second, self.context.workload.now() + second))


def some(context, kind):
    pids = context.server.pids(kind)
    return context.random.choice(pids) if pids else None


class Fault:
    def __init__(self, name, title, full, short, inject=None, before=None, after=None, program=None, shim=False):
        self.name = name
        self.title = title
        self.full = full
        self.short = short
        self.inject = inject
        self.before = before
        self.after = after
        self.program = program
        self.shim = shim
