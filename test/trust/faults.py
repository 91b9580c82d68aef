"""The faults, by the numbers of docs/reliability.md.

Each has a name, a title, how often it is injected in the whole and in the short form, and one of
    inject      does it once, while the workload runs
    program     does all of it, on servers of its own
before and after frame the injections of one run; shim asks for a server with shim.so."""

import random
import time

from context import Context, Fault
from faults_machine import (chaos_suite, fill_disk, fill_disk_before, fill_wal, nth_call, set_clock, set_clock_before,
                            set_clock_right, short_of_memory)
from faults_objects import change_database, change_role, change_table, drop_extension, leave_template1, template1, update_extension
from faults_server import (cancel, contend, drop_listener, kill_postmaster, kill_scheduler, kill_worker, lock_tables, nothing,
                           pin_horizon, prepare, shut_down, signal_scheduler, storm, storm_after, storm_before, take_connections,
                           take_slots, terminate_worker, time_out, unpin_horizon, wake_listener)
from workload import Workload


FAULTS = [
    Fault('F35', 'clients outside that are late, answer twice, or die', 200, 5, nothing),
    Fault('F01', 'kill -9 of a worker', 200, 4, kill_worker),
    Fault('F02', 'kill -9 of scheduler and launcher', 100, 3, kill_scheduler),
    Fault('F03', 'kill -9 of the postmaster', 50, 2, kill_postmaster),
    Fault('F04', 'shutdown: fast, immediate, smart', 150, 3, shut_down),
    Fault('F05', 'pg_terminate_backend of a worker', 200, 8, terminate_worker),
    Fault('F06', 'signals to scheduler and launcher', 50, 6, signal_scheduler),
    Fault('F07', 'jobs.cancel at random moments', 1000, 12, cancel),
    Fault('F08', 'timeouts at random moments', 500, 6, time_out),
    Fault('F12', 'locks on tables', 50, 4, lock_tables),
    Fault('F13', 'roles dropped, renamed, locked out', 120, 6, change_role),
    Fault('F14', 'tables dropped, altered, truncated', 100, 4, change_table),
    Fault('F15', 'DROP EXTENSION', 30, 3, drop_extension),
    Fault('F16', 'DROP, RENAME and copies of databases', 30, 3, change_database),
    Fault('F17', 'the extension in template1', 50, 3, template1, after=leave_template1),
    Fault('F19', 'ALTER EXTENSION UPDATE', 20, 3, update_extension),
    Fault('F24', 'max_worker_processes used up', 20, 3, take_slots),
    Fault('F25', 'max_connections used up', 20, 2, take_connections),
    Fault('F27', 'listeners dropped, asleep', 200, 4, drop_listener, after=wake_listener),
    Fault('F28', 'an open snapshot', 20, 3, pin_horizon, after=unpin_horizon),
    Fault('F32', 'deadlocks and failures to serialize', 500, 6, contend),
    Fault('F34', 'prepared transactions', 20, 3, prepare),
    Fault('F31', 'freezing, all the time', 20, 4, storm, before=storm_before, after=storm_after),
    Fault('F10', 'no room for tables', 20, 4, fill_disk, before=fill_disk_before, shim=True),
    Fault('F11', 'no room for the WAL', 5, 1, fill_wal, before=fill_disk_before, shim=True),
    Fault('F29', 'the clock is set', 20, 6, set_clock, before=set_clock_before, after=set_clock_right, shim=True),
    Fault('F09', 'the n-th call fails', 0, 0, program=nth_call),
    Fault('F30', 'rows larger than memory', 10, 4, program=short_of_memory),
    Fault('F36', 'throughput after disturbances', 5, 5, program=chaos_suite),
]


# ----------------------------------------------------------------------------
# Soak
# ----------------------------------------------------------------------------

def soak(driver):
    """All kinds of jobs, and one fault or another each two seconds, for a time."""
    server = driver.create_server('soak')
    mix = [f for f in FAULTS if f.inject and not f.shim and f.name not in ('F17', 'F28', 'F31', 'F27')]
    deadline = time.monotonic() + driver.options.soak
    minute = 0
    counts = {}
    try:
        while time.monotonic() < deadline:
            minute += 1
            seed = f'{driver.options.seed} soak {minute}'
            workload = Workload(server, seed, slack=driver.options.slack)
            context = Context(driver, server, workload, random.Random(seed), 0)
            workload.start()
            until = min(deadline, time.monotonic() + 60)
            while time.monotonic() < until:
                fault = context.random.choice(mix)
                try:
                    fault.inject(context)
                except Exception as error:
                    context.complain('driver', f'{fault.name}: {type(error).__name__}: {error}')
                context.done += 1
                driver.injections += 1
                counts[fault.name] = counts.get(fault.name, 0) + 1
                time.sleep(2)
            driver.check_round(context, None, last=True)
            driver.violated |= {invariant for invariant, _ in context.found}
            driver.ok(not context.found, f'minute {minute}: {context.done} faults, {len(workload.ledger.entries)} submissions, seed "{seed}"',
                      [f'{i}: {t}' for i, t in context.found[:12]])
            server.sql('TRUNCATE trust.effect, trust.target')
            server.sql("SELECT count(jobs.delete(id)) FROM jobs.job WHERE finished_at IS NOT NULL")
        server.stop('fast')
    finally:
        server.stop('immediate')
    driver.note(', '.join(f'{name} {n}' for name, n in sorted(counts.items())))
    print(f'1..{driver.tests}')
    return 1 if driver.failures else 0
