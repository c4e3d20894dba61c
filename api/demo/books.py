"""The comparison of our ledger with the paper account's own record, by plain SQL on both files.

Money is computed anew from the venue's fills, in exact fractions.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

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
# Where a venue keeps a wallet for each market, its record names them before the asset.
_LEDGER_BALANCES = """
SELECT venue || '/' || wallet || iif(wallet = '', '', '/') || asset, total, free, locked
FROM balances"""
_VENUE_BALANCES = "SELECT venue || '/' || asset, total, free, locked FROM wallets"
_LEDGER_MONEY = "SELECT id, side, quote, realized_pnl, fees FROM positions"
_VENUE_EXECUTIONS = "SELECT qty, price, fee, fee_asset FROM fills WHERE client_order_id LIKE ?"

ROUNDING = Fraction(1, 10**12)
"""An average entry price need not be a decimal number, so sums over it are rounded."""

Rows = dict[str, list[tuple[Any, ...]]]


def differences(ledger: Path, venue: Path) -> list[str]:
    """Return every difference between ledger and venue, a sentence each; empty when they agree."""
    with closing(_open(ledger)) as ours, closing(_open(venue)) as theirs:
        found = list(_compare("fill", _keyed(ours, _LEDGER_FILLS), _keyed(theirs, _VENUE_FILLS)))
        found += _compare("position", _netted(ours), _keyed(theirs, _VENUE_POSITIONS))
        found += _compare(
            "balance", _keyed(ours, _LEDGER_BALANCES), _keyed(theirs, _VENUE_BALANCES)
        )
        found += _wrong_money(ours, theirs)
    return found


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _keyed(database: sqlite3.Connection, query: str) -> Rows:
    """Rows by their first column; what is booked twice is there twice."""
    found: Rows = {}
    for key, *values in database.execute(query):
        found.setdefault(key, []).append(tuple(map(_exact, values)))
    return {key: sorted(rows, key=str) for key, rows in found.items()}


def _exact(value: Any) -> Any:
    """Amounts as decimals, so that 1.0 and 1 are equal; words stay words."""
    try:
        return Decimal(value)
    except (InvalidOperation, TypeError):
        return value


def _netted(ledger: sqlite3.Connection) -> Rows:
    held: dict[str, Decimal] = {}
    for key, side, qty in ledger.execute(_LEDGER_POSITIONS):
        signed = Decimal(qty) if side == "long" else -Decimal(qty)
        held[key] = held.get(key, Decimal(0)) + signed
    return {key: [(qty,)] for key, qty in held.items() if qty}


def _compare(kind: str, ours: Rows, theirs: Rows) -> Iterator[str]:
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            yield f"{kind} {key}: ledger {_words(ours.get(key))}, venue {_words(theirs.get(key))}"


def _words(rows: list[tuple[Any, ...]] | None) -> str:
    if rows is None:
        return "has none"
    return " and ".join(" ".join(str(value) for value in row) for row in rows)


def _wrong_money(ledger: sqlite3.Connection, venue: sqlite3.Connection) -> Iterator[str]:
    """Yield the positions whose P&L or fees are not what the venue's fills come to."""
    for position_id, side, quote, *booked in ledger.execute(_LEDGER_MONEY):
        entries = _executions(venue, f"{position_id}e%")
        exits = _executions(venue, f"{position_id}x%")
        due = (_realized(side, entries, exits), _fees(quote, [*entries, *exits]))
        for name, text, amount in zip(("realized_pnl", "fees"), booked, due, strict=True):
            if abs(Fraction(text) - amount) > ROUNDING:
                yield f"{name} of position {position_id}: ledger {text}, venue {float(amount)}"


class _Execution(NamedTuple):
    """One fill of the venue's record, in exact fractions."""

    qty: Fraction
    price: Fraction
    fee: Fraction
    fee_asset: str


def _executions(venue: sqlite3.Connection, pattern: str) -> list[_Execution]:
    return [
        _Execution(Fraction(qty), Fraction(price), Fraction(fee), fee_asset)
        for qty, price, fee, fee_asset in venue.execute(_VENUE_EXECUTIONS, (pattern,))
    ]


def _realized(side: str, entries: list[_Execution], exits: list[_Execution]) -> Fraction:
    """Closed quantity times exit less average entry, before fees."""
    if not exits or not entries:
        return Fraction(0)
    average = _value(entries) / sum((each.qty for each in entries), Fraction(0))
    gain = sum((each.qty * (each.price - average) for each in exits), Fraction(0))
    return gain if side == "long" else -gain


def _value(executions: Iterable[_Execution]) -> Fraction:
    return sum((each.qty * each.price for each in executions), Fraction(0))


def _fees(quote: str, executions: Iterable[_Execution]) -> Fraction:
    """In quote asset; a fee in the base asset is valued at its fill's price."""
    return sum(
        (each.fee * (1 if each.fee_asset == quote else each.price) for each in executions),
        Fraction(0),
    )
