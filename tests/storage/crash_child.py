"""Commit steps for ever, and print the number of each one that the ledger acknowledged.

Run as a process that is going to be killed: ``python crash_child.py URL FIRST_NUMBER``.
"""

import sys
from itertools import count

from engine.model.effects import (
    AppendEvent,
    Record,
    SaveFill,
    SaveOrder,
    SavePosition,
    SaveSignal,
    SendNotice,
)
from engine.model.signal import SignalRecord
from storage.database import open_database, upgrade
from storage.ledger import SqlLedger
from tests.storage.structs import NOON_NS, fill, order, position, position_id, signal


def step(number: int) -> list[Record]:
    """One position with all that belongs to it, each row findable by the number."""
    return [
        SaveSignal(SignalRecord(signal(number))),
        SavePosition(position(number, signal_id=f"s{number}")),
        SaveOrder(order(number)),
        SaveFill(fill(number, number), position_id(number)),
        AppendEvent("crash.step", "guard", NOON_NS, {"number": number}),
        SendNotice("crash.step", NOON_NS, {"number": number}),
    ]


def main(url: str, first: int) -> None:
    engine = open_database(url)
    upgrade(engine)
    ledger = SqlLedger(engine)
    for number in count(first):
        ledger.commit(step(number))
        print(number, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
