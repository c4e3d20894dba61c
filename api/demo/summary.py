"""What the demo shows at its end, and whether it holds."""

import sqlite3
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from api.demo.books import differences
from api.demo.facts import read_facts, read_outcomes
from api.demo.judge import Facts, Print, Verdict, judge, read_prints
from api.demo.parts import PARTS, Part
from api.demo.plan import PlannedSignal
from api.demo.stage import DemoFailed
from engine.core.statistics import percentile
from engine.model.money import plain

NOTES = "demo.json"
SENT_LOG = "sent.jsonl"


class Notes(Struct, frozen=True):
    """What the course leaves for the judge beside the databases."""

    epoch_offset_ns: int
    windows: dict[str, list[tuple[int, int]]]
    restarted: bool
    duration_s: float


class Outcome(Struct, frozen=True):
    """The demo's result: the summary of CONTRACT.md section 2 and every complaint in words."""

    summary: dict[str, Any]
    complaints: list[str]
    rows: list[dict[str, Any]]


def write_notes(folder: Path, notes: Notes) -> None:
    (folder / NOTES).write_bytes(msgspec.json.encode(notes))


def read_notes(folder: Path) -> Notes:
    return msgspec.json.decode((folder / NOTES).read_bytes(), type=Notes)


def verify(folder: Path) -> Outcome:
    """Judge a finished demo from the files in ``folder``.

    Raises:
        DemoFailed: the folder does not hold all that a demo leaves, or it cannot be read.
    """
    try:
        return _verify(folder)
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, sqlite3.Error) as error:
        raise DemoFailed(
            f"{folder} is not what a demo with --keep leaves: {type(error).__name__}: {error}"
        ) from error


class _Judged(Struct, frozen=True):
    """One part, judged: its facts with their verdicts, and what is wrong in words."""

    part: Part
    ledger: Path
    facts: list[Facts]
    verdicts: dict[str, Verdict]
    complaints: list[str]
    books: list[str]


def _verify(folder: Path) -> Outcome:
    notes = read_notes(folder)
    prints = read_prints(folder / SENT_LOG, notes.epoch_offset_ns)
    judged = [_judge_part(folder, part, notes, prints) for part in PARTS]
    complaints = [complaint for each in judged for complaint in each.complaints]
    books = [difference for each in judged for difference in each.books]
    summary = _summary(notes, judged, sum(map(len, prints.values())))
    played = {seen.origin for each in prints.values() for seen in each}
    complaints += _coverage_complaints(summary, judged, played)
    summary["ledger_matches_venue"] = not books
    summary["ok"] = not complaints and not books
    return Outcome(summary, complaints + books, [row for each in judged for row in _rows(each)])


def _judge_part(folder: Path, part: Part, notes: Notes, prints: dict[str, list[Print]]) -> _Judged:
    ledger = folder / part.data / "tickguard.sqlite"
    venue = folder / part.data / part.record
    facts = read_facts(ledger, venue, part.planned, notes.epoch_offset_ns)
    verdicts = {
        each.position_id: judge(each, prints.get(each.instrument, []), notes.windows[part.name])
        for each in facts
    }
    complaints = _signal_complaints(ledger, part.planned)
    complaints += [
        f"position {each.position_id} ({each.instrument} {each.side}, {part.name}) is"
        f" {each.status} {each.exit_reason or ''} at {each.trigger_price},"
        f" expected: {verdict.expected}"
        for each in facts
        if not (verdict := verdicts[each.position_id]).ok
    ]
    return _Judged(part, ledger, facts, verdicts, complaints, differences(ledger, venue))


def _signal_complaints(ledger: Path, planned: dict[str, PlannedSignal]) -> list[str]:
    outcomes = read_outcomes(ledger)
    found = []
    for key, signal in planned.items():
        outcome, reason, _ = outcomes.get(key, ("missing", None, None))
        if outcome != signal.outcome:
            found.append(f"signal {key} is {outcome} ({reason}), expected {signal.outcome}")
    return found


def _coverage_complaints(
    summary: dict[str, Any], judged: list[_Judged], played: set[str]
) -> list[str]:
    """The demo must have shown both venues, both markets, both limits, a close by hand, a kill.

    Args:
        played: where the prices that were sent came from; each has to have closed a position.
    """
    wanted = {
        f"{venue}:{market}" for venue in ("bybit", "binance") for market in ("spot", "linear")
    }
    found = []
    for each in judged:
        closed = [facts for facts in each.facts if facts.status == "closed"]
        seen = {facts.instrument.rsplit(":", 1)[0] for facts in closed}
        found += [
            f"no position was closed on {missing} ({each.part.name})"
            for missing in sorted(wanted - seen)
        ]
        found += [
            f"no position was closed by {reason} ({each.part.name})"
            for reason in ("take_profit", "stop_loss", "manual", "signal")
            if reason not in {facts.exit_reason for facts in closed}
        ]
    found += [
        f"no position was closed on a {origin} price"
        for origin in sorted(played)
        if not summary["closes_on"][origin]
    ]
    if not summary["restarted"]:
        found.append("the service was not killed and restarted")
    return found


def _summary(notes: Notes, judged: list[_Judged], ticks: int) -> dict[str, Any]:
    facts = [each for part in judged for each in part.facts]
    closed = [
        (each, part.verdicts[each.position_id])
        for part in judged
        for each in part.facts
        if each.status == "closed"
    ]
    origins = Counter(verdict.origin for _, verdict in closed)
    signals, money, reactions = 0, [], []
    for part in judged:
        with closing(sqlite3.connect(f"file:{part.ledger}?mode=ro", uri=True)) as database:
            signals += database.execute("SELECT count(*) FROM signals").fetchone()[0]
            money += database.execute("SELECT realized_pnl, fees FROM positions").fetchall()
            told = "SELECT reaction_ms FROM positions WHERE reaction_ms IS NOT NULL"
            reactions += [row[0] for row in database.execute(told)]
    return {
        "ok": False,
        "signals": signals,
        "positions_opened": len(facts),
        "positions_closed": len(closed),
        "closes": dict(sorted(Counter(str(each.exit_reason) for each, _ in closed).items())),
        "closes_on": {name: origins[name] for name in ("recorded", "seeded", "scripted")},
        "ticks": ticks,
        "reaction_ms": _reaction(reactions),
        "realized_pnl": plain(sum((Decimal(row[0]) for row in money), Decimal(0))),
        "fees": plain(sum((Decimal(row[1]) for row in money), Decimal(0))),
        "ledger_matches_venue": False,
        "restarted": notes.restarted,
        "venues": sorted({each.instrument.split(":", 1)[0] for each in facts}),
        "parts": {part.part.name: _of_part(part) for part in judged},
        "duration_s": round(notes.duration_s, 1),
    }


def _of_part(part: _Judged) -> dict[str, Any]:
    """One part's share, and whether its ledger agrees with its venues' books."""
    closed = sum(each.status == "closed" for each in part.facts)
    return {
        "positions_opened": len(part.facts),
        "positions_closed": closed,
        "ledger_matches_venue": not part.books,
    }


def _reaction(values: list[float]) -> dict[str, float | None]:
    ordered = sorted(values)
    return {
        "p50": percentile(ordered, 50),
        "p99": percentile(ordered, 99),
        "max": max(ordered, default=None),
    }


def _rows(part: _Judged) -> list[dict[str, Any]]:
    """Closed and open positions as the closing table shows them."""
    with closing(sqlite3.connect(f"file:{part.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        rows = database.execute(
            "SELECT venue, market, symbol, side, status, exit_reason, entry_price, exit_price,"
            " net_pnl, reaction_ms FROM positions WHERE status != 'rejected' ORDER BY created_at"
        )
        return [dict(row) | {"part": part.part.name} for row in rows]
