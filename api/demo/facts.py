"""Facts for the judge: what was asked (from the plan) and what happened (from both records)."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from api.demo.judge import Facts
from api.demo.plan import LATENCY_MS, PlannedSignal
from engine.clock import NS_PER_MS

DEFAULT_PERCENT = "15"


def read_outcomes(ledger: Path) -> dict[str, tuple[str, str | None, str | None]]:
    """Return outcome, reason and position of every signal, by the sender's id."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT external_id, outcome, reason, position_id FROM signals")
        return {key: (outcome, reason, position) for key, outcome, reason, position in rows}


def read_facts(
    ledger: Path, venue: Path, plan: Mapping[str, PlannedSignal], epoch_offset_ns: int
) -> list[Facts]:
    """Read the facts of every position that was not rejected.

    Args:
        plan: planned signals by the sender's id.
        epoch_offset_ns: UTC minus monotonic time on this machine, nanoseconds.
    """
    with (
        closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as ours,
        closing(sqlite3.connect(f"file:{venue}?mode=ro", uri=True)) as theirs,
    ):
        ours.row_factory = theirs.row_factory = sqlite3.Row
        rows = ours.execute(
            "SELECT p.*, s.external_id FROM positions p JOIN signals s ON s.id = p.signal_id"
        ).fetchall()
        found = [_facts(row, plan, ours, theirs, epoch_offset_ns) for row in rows]
    return [facts for facts in found if facts is not None]


def _facts(
    row: sqlite3.Row,
    plan: Mapping[str, PlannedSignal],
    ours: sqlite3.Connection,
    theirs: sqlite3.Connection,
    epoch_offset_ns: int,
) -> Facts | None:
    fills = _fills(theirs, row["id"] + "e%")
    if not fills and row["status"] == "rejected":
        return None
    body = plan[row["external_id"]].body
    exit_order = ours.execute(
        "SELECT trigger_price FROM orders WHERE position_id = ? AND purpose = 'exit'"
        " ORDER BY generation LIMIT 1",
        (row["id"],),
    ).fetchone()
    return Facts(
        position_id=row["id"],
        instrument=f"{row['venue']}:{row['market']}:{row['symbol']}",
        side=row["side"],
        status=row["status"],
        exit_reason=row["exit_reason"],
        trigger_price=_decimal(exit_order["trigger_price"]) if exit_order else None,
        take_profit_percent=Decimal(body.get("take_profit_percent", DEFAULT_PERCENT)),
        stop_loss_percent=Decimal(body.get("stop_loss_percent", DEFAULT_PERCENT)),
        entry_qty=sum((Decimal(fill["qty"]) for fill in fills), Decimal(0)),
        entry_value=sum((Decimal(f["qty"]) * Decimal(f["price"]) for f in fills), Decimal(0)),
        entered_ns=min((fill["time_ns"] for fill in fills), default=0) - epoch_offset_ns,
        exit_taken_ns=_exit_taken_ns(theirs, row["id"]),
        tick_size=Decimal(json.loads(row["instrument"])["tick_size"]),
    )


def _exit_taken_ns(venue: sqlite3.Connection, position_id: str) -> int | None:
    """When the venue got the first exit order, monotonic; None without one."""
    query = "SELECT body FROM orders WHERE client_order_id LIKE ?"
    bodies = [json.loads(row["body"]) for row in venue.execute(query, (position_id + "x%",))]
    due_ns = min((body["due_ns"] for body in bodies), default=None)
    return None if due_ns is None else due_ns - LATENCY_MS * NS_PER_MS


def _fills(venue: sqlite3.Connection, pattern: str) -> list[sqlite3.Row]:
    """Fills by client order id, which ends in purpose and generation; oldest first."""
    query = "SELECT qty, price, time_ns FROM fills WHERE client_order_id LIKE ? ORDER BY time_ns"
    return venue.execute(query, (pattern,)).fetchall()


def _decimal(text: Any) -> Decimal | None:
    return None if text is None else Decimal(text)
