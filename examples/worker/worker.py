#!/usr/bin/env python3
"""Does the jobs of a queue, as they come: worker.py QUEUE DIRECTORY [OWNER ...], those of all who let it where no owner
is named.  Needs psycopg2; PGHOST and the like say where."""
import pathlib, re, select, sys, threading, time
import psycopg2, psycopg2.errors, psycopg2.extras

def work(payload, directory, report):
    """Writes an invoice for each customer into the directory; returns the job's result."""
    month, customers = payload["month"], payload["customers"]
    # A payload is a stranger's: where files are is not for it to say, and names are looked at.
    if not all(re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name) for name in [month, *customers]):
        raise ValueError("a month or customer is not a word")
    for n, customer in enumerate(customers, 1):
        pathlib.Path(directory, f"{month}-{customer}.txt").write_text(f"Invoice for {customer}, {month}\n")
        report(n, len(customers), f"{customer} done")
    return {"files": len(customers)}

def perform(call, directory, owners, job, owner, payload, claim):
    def keep():
        while not done.wait(20):
            call("SELECT jobs.extend_lease(%s, '1 minute', claim => %s)", job, claim)
    done = threading.Event()
    threading.Thread(target=keep, daemon=True).start()
    report = lambda *progress: call("SELECT jobs.report_progress_of(%s, %s, %s, %s, claim => %s)", job, *progress, claim)
    # It was cancelled, or even deleted, or the lease ran out: not ours any more.
    lost = psycopg2.errors.ObjectNotInPrerequisiteState, psycopg2.errors.UndefinedObject
    try:
        try:
            if owners and owner not in owners:
                raise ValueError(f"jobs of {owner} are not done here")
            result = work(payload, directory, report)
        except lost:
            raise
        except Exception as error:
            call("SELECT jobs.fail(%s, %s, claim => %s)", job, str(error) or repr(error), claim)
        else:
            call("SELECT jobs.finish(%s, %s, claim => %s)", job, psycopg2.extras.Json(result), claim)
    except lost as error:
        print(error, file=sys.stderr)
    finally:
        done.set()

class Database:
    """Says it again on a new connection where one is lost: the server restarts, or another has taken over."""
    db, lock = None, threading.Lock()

    def __call__(self, sql, *values):
        while True:
            try:
                with self.lock:
                    if self.db is None or self.db.closed:
                        self.db = psycopg2.connect("")
                        self.db.autocommit = True
                        self.db.cursor().execute("LISTEN jobs")
                    with self.db.cursor() as cursor:
                        cursor.execute(sql, values)
                        return cursor.fetchall() if cursor.description else None
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                if self.db and not self.db.closed:
                    raise
                print(error, file=sys.stderr)
                time.sleep(1)

    def wait(self, seconds):    # anybody can notify, so a message only wakes; and one may get lost
        try:
            self.db.notifies or select.select([self.db], [], [], seconds)
            self.db.poll()
            self.db.notifies.clear()
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            pass

def main(queue, directory, *owners):
    call = Database()
    while True:
        claimed = call("SELECT job, owner, payload, claim FROM jobs.claim(%s)", queue)
        for job in claimed:
            perform(call, directory, owners, *job)
        if not claimed:
            call.wait(60)

if __name__ == "__main__":
    main(*sys.argv[1:])
