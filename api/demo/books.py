"""The comparison of our ledger with the paper account's own record, by plain SQL on both files."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

_LEDGER_FILLS = """
SELECT venue || '/' || market || '/' || symbol || '/' || venue_trade_id, side, qty, price, fee,
       fee_asset FROM trades"""
_VENUE_FILLS = """
SELECT venue || '/' || market || '/' || symbol || '/' || venue_trade_id, side, qty, price, fee,
       fee_asset FROM fills"""
_LEDGER_POSITIONS = """
SELECT venue || '/' || market || '/' || symbol, side, qty_open FROM positions
WHERE market = 'linear' AND status NOT IN ('closed', 'rejected')"""
_VENUE_POSITIONS = "SELECT venue || '/' || market || '/' || symbol, qty FROM positions"
_LEDGER_BALANCES = "SELECT venue || '/' || asset, total, free, locked FROM balances"
_VENUE_BALANCES = "SELECT venue || '/' || asset, total, free, locked FROM wallets"


def differences(ledger: Path, venue: Path) -> list[str]:
    """Return every difference between ledger and venue, a sentence each; empty when they agree."""
    with closing(_open(ledger)) as ours, closing(_open(venue)) as theirs:
        found = list(_compare("fill", _keyed(ours, _LEDGER_FILLS), _keyed(theirs, _VENUE_FILLS)))
        found += _compare("position", _netted(ours), _venue_positions(theirs))
        found += _compare(
            "balance", _keyed(ours, _LEDGER_BALANCES), _keyed(theirs, _VENUE_BALANCES)
        )
    return found


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def _keyed(database: sqlite3.Connection, query: str) -> dict[str, tuple[Any, ...]]:
    return {key: _exact(values) for key, *values in database.execute(query)}


def _exact(values: list[Any]) -> tuple[Any, ...]:
    """Amounts as decimals, so that 1.0 and 1 are equal; words stay words."""
    return tuple(Decimal(value) if _is_number(value) else value for value in values)


def _is_number(value: str) -> bool:
    return value[:1].isdigit() or value[:1] == "-"


def _netted(ledger: sqlite3.Connection) -> dict[str, tuple[Any, ...]]:
    held: dict[str, Decimal] = {}
    for key, side, qty in ledger.execute(_LEDGER_POSITIONS):
        signed = Decimal(qty) if side == "long" else -Decimal(qty)
        held[key] = held.get(key, Decimal(0)) + signed
    return {key: (qty,) for key, qty in held.items() if qty}


def _venue_positions(venue: sqlite3.Connection) -> dict[str, tuple[Any, ...]]:
    return {key: (Decimal(qty),) for key, qty in venue.execute(_VENUE_POSITIONS)}


def _compare(
    kind: str, ours: dict[str, tuple[Any, ...]], theirs: dict[str, tuple[Any, ...]]
) -> Iterator[str]:
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            yield f"{kind} {key}: ledger {_words(ours.get(key))}, venue {_words(theirs.get(key))}"


def _words(values: tuple[Any, ...] | None) -> str:
    return "has none" if values is None else " ".join(str(value) for value in values)
