#!/usr/bin/env python3
"""Does the items of the bulk jobs of a queue: items.py QUEUE [OWNER ...], those of all who let it where no owner is named.
Needs psycopg2; PGHOST and the like say where."""
import re, sys
import psycopg2, psycopg2.errors, psycopg2.extras
from worker import Database

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

def main(queue, *owners):
    call = Database()
    while True:
        for job, owner in call("SELECT job, owner FROM jobs.claimable(%s)", queue):
            if owners and owner not in owners:
                continue
            try:
                while items := call("SELECT item_no, payload, claim FROM jobs.claim_items(%s, 100)", job):
                    perform(call, job, items)
            except (psycopg2.errors.ObjectNotInPrerequisiteState, psycopg2.errors.UndefinedObject) as error:
                print(error, file=sys.stderr)       # cancelled, deleted, done by others, or the lease ran out
        call.wait(60)

main(*sys.argv[1:])
