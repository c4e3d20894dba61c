"""Take the lease of a database and write under it, one commit or renewal for each line of stdin.

Run as a process that is going to be stopped or killed, with URL, HOLDER and LEASE_MS.
Each answer is one line: ``took EPOCH WAIT_MS``, ``held``, ``done`` or ``fenced``.
"""

import sys

from engine.clock import NS_PER_MS, SystemClock
from engine.model.effects import AppendEvent
from engine.model.errors import Fenced, Held
from storage.database import open_database
from storage.lease import Fence, SqlLease
from storage.ledger import SqlLedger
from tests.storage.structs import NOON_NS


def main(url: str, holder: str, lease_ms: str) -> None:
    engine, clock, lease_ns = open_database(url), SystemClock(), int(lease_ms) * NS_PER_MS
    lease = SqlLease(engine, settle_ns=NS_PER_MS)
    try:
        grant = lease.acquire(holder, clock.now_ns(), lease_ns)
    except Held:
        say("held")
        return
    say(f"took {grant.epoch} {grant.wait_ns // NS_PER_MS}")
    ledger = SqlLedger(engine, Fence(grant.epoch, lease_ns, clock))
    for line in sys.stdin:
        try:
            if line.strip() == "renew":
                lease.renew(grant.epoch, clock.now_ns())
            else:
                ledger.commit([AppendEvent("lease.child", holder, NOON_NS, {})])
        except Fenced:
            say("fenced")
        else:
            say("done")


def say(answer: str) -> None:
    print(answer, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
