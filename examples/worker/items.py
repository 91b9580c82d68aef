#!/usr/bin/env python3
"""Does the items of the bulk jobs of a queue: items.py QUEUE.  Needs psycopg2; PGHOST and the like say where."""
import re, select, sys
import psycopg2, psycopg2.errors, psycopg2.extras

def invite(payload):
    """Would send a mail; returns the item's result."""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", payload["to"]):
        raise ValueError("invalid email address")
    return {"sent": payload["to"]}

def perform(call, job, items):
    done, results, claim = [], [], items[0][2]
    for item_no, payload, _ in items:
        try:
            results.append(invite(payload))
            done.append(item_no)
        except Exception as error:
            call("SELECT jobs.fail_item(%s, %s, %s, '22023', claim => %s)", job, item_no, str(error), claim)
    call("SELECT jobs.finish_items(%s, %s::bigint[], %s, claim => %s)", job, done, psycopg2.extras.Json(results), claim)

def main(queue):
    db = psycopg2.connect("")
    db.autocommit = True
    def call(sql, *values):
        with db.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else None
    call("LISTEN jobs")
    while True:
        db.notifies.clear()
        for (job,) in call("SELECT job FROM jobs.claimable(%s)", queue):
            while items := call("SELECT item_no, payload, claim FROM jobs.claim_items(%s, 100)", job):
                try:
                    perform(call, job, items)
                except psycopg2.errors.ObjectNotInPrerequisiteState as error:
                    print(error, file=sys.stderr)       # cancelled, or the lease ran out
        if not db.notifies:     # anybody can notify, so a message only wakes; and one may get lost
            select.select([db], [], [], 60)
            db.poll()

main(sys.argv[1])
