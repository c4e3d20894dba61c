"""The paper account's own record: one SQLite file, written by its own transactions.

It plays the venue's database. Nothing of our ledger writes or reads it, so a comparison of the two
means something. Amounts are TEXT in plain decimal notation.
"""

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from engine.model.errors import Retryable
from engine.model.events import FundingPaid
from engine.model.instrument import Instrument, InstrumentId
from engine.model.money import plain
from engine.model.order import Fill
from engine.simulator.account import Account, LinearPosition
from engine.simulator.matching import Funding, VenueModel, VenueOrder, VenueRules

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (
    venue TEXT PRIMARY KEY, next_id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS wallets (
    venue TEXT, asset TEXT, total TEXT NOT NULL, free TEXT NOT NULL, locked TEXT NOT NULL,
    PRIMARY KEY (venue, asset));
CREATE TABLE IF NOT EXISTS positions (
    venue TEXT, market TEXT, symbol TEXT, qty TEXT NOT NULL, value TEXT NOT NULL,
    instrument TEXT NOT NULL, PRIMARY KEY (venue, market, symbol));
CREATE TABLE IF NOT EXISTS orders (
    venue TEXT, venue_order_id TEXT, client_order_id TEXT NOT NULL, status TEXT NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY (venue, venue_order_id));
CREATE TABLE IF NOT EXISTS fills (
    venue TEXT, venue_trade_id TEXT, venue_order_id TEXT, client_order_id TEXT,
    market TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL, qty TEXT NOT NULL,
    price TEXT NOT NULL, fee TEXT NOT NULL, fee_asset TEXT NOT NULL, kind TEXT NOT NULL,
    time_ns INTEGER NOT NULL, PRIMARY KEY (venue, venue_trade_id));
CREATE TABLE IF NOT EXISTS funding (
    venue TEXT, venue_trade_id TEXT, market TEXT NOT NULL, symbol TEXT NOT NULL,
    amount TEXT NOT NULL, time_ns INTEGER NOT NULL, PRIMARY KEY (venue, venue_trade_id));
CREATE TABLE IF NOT EXISTS funding_due (
    venue TEXT, market TEXT, symbol TEXT, next_ms INTEGER NOT NULL, rate TEXT NOT NULL,
    PRIMARY KEY (venue, market, symbol));
"""


class Changes(msgspec.Struct, frozen=True):
    """What one batch of the model's work changed, copied so that a thread may write it."""

    next_id: int
    orders: tuple[VenueOrder, ...]
    fills: tuple[Fill, ...]
    funding: tuple[FundingPaid, ...]
    wallet: tuple[tuple[str, Decimal, Decimal, Decimal], ...]
    positions: tuple[tuple[Instrument, Decimal, Decimal], ...]
    funding_due: tuple[tuple[InstrumentId, Funding], ...]


def take_changes(model: VenueModel) -> Changes:
    """Copy what changed since the last call and forget it."""
    account = model.account
    changes = Changes(
        next_id=model.next_id,
        orders=tuple(model.changed_orders.values()),
        fills=tuple(model.new_fills),
        funding=tuple(model.new_funding),
        wallet=tuple(
            (asset, total, account.free(asset), account.locked(asset))
            for asset, total in account.wallet.items()
        ),
        positions=tuple((p.instrument, p.qty, p.value) for p in account.positions.values()),
        funding_due=tuple(model.funding.items()),
    )
    model.changed_orders.clear()
    model.new_fills.clear()
    model.new_funding.clear()
    return changes


class PaperStore:
    """One venue's part of the file. Blocking; used from one thread at a time."""

    def __init__(self, path: Path, venue: str) -> None:
        self._venue = venue
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def load(
        self, rules: VenueRules, opening: dict[str, Decimal], first_id: int, now_ns: int
    ) -> VenueModel:
        """Read the account; a new one starts with ``opening`` balances and ids from ``first_id``.

        A quote asset that the account does not know yet is credited with its opening balance.
        """
        account = Account(rules.leverage)
        for asset, total in self._rows("SELECT asset, total FROM wallets WHERE venue = ?"):
            account.wallet[asset] = Decimal(total)
        for asset, amount in opening.items():
            account.wallet.setdefault(asset, amount)
        rows = self._rows("SELECT instrument, qty, value FROM positions WHERE venue = ?")
        for body, qty, value in rows:
            instrument = msgspec.json.decode(body, type=Instrument)
            position = LinearPosition(instrument, Decimal(qty), Decimal(value))
            account.positions[instrument.id] = position
        next_ids = self._rows("SELECT next_id FROM meta WHERE venue = ?")
        model = VenueModel(rules, account, next_ids[0][0] if next_ids else first_id)
        query = "SELECT body FROM orders WHERE venue = ? ORDER BY CAST(venue_order_id AS INTEGER)"
        bodies = self._rows(query)
        model.restore([msgspec.json.decode(b, type=VenueOrder) for (b,) in bodies], now_ns)
        for market, symbol, next_ms, rate in self._rows(
            "SELECT market, symbol, next_ms, rate FROM funding_due WHERE venue = ?"
        ):
            key = InstrumentId.parse(f"{self._venue}:{market}:{symbol}")
            model.funding[key] = Funding(next_ms, Decimal(rate))
        return model

    def write(self, changes: Changes) -> None:
        """Write one batch in one transaction.

        Raises:
            Retryable: SQLite refused; nothing was written.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._write_all(changes)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise Retryable(f"the paper account's record refuses: {error}") from error

    def _write_all(self, changes: Changes) -> None:
        db, venue = self._db, self._venue
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (venue, changes.next_id))
        db.executemany(
            "INSERT OR REPLACE INTO wallets VALUES (?, ?, ?, ?, ?)",
            [
                (venue, asset, plain(total), plain(free), plain(locked))
                for asset, total, free, locked in changes.wallet
            ],
        )
        db.execute("DELETE FROM positions WHERE venue = ?", (venue,))
        db.executemany(
            "INSERT INTO positions VALUES (?, ?, ?, ?, ?, ?)",
            [
                (venue, i.id.market, i.id.symbol, plain(qty), plain(value), _json(i))
                for i, qty, value in changes.positions
            ],
        )
        db.executemany(
            "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?)",
            [
                (venue, o.venue_order_id, o.order.client_order_id, o.status, _json(o))
                for o in changes.orders
            ],
        )
        self._write_executions(changes)

    def _write_executions(self, changes: Changes) -> None:
        db, venue = self._db, self._venue
        db.executemany(
            "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [_fill_row(venue, fill) for fill in changes.fills],
        )
        db.executemany(
            "INSERT INTO funding VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    venue,
                    paid.venue_trade_id,
                    paid.instrument.id.market,
                    paid.instrument.id.symbol,
                    plain(paid.amount),
                    paid.time_ns,
                )
                for paid in changes.funding
            ],
        )
        db.execute("DELETE FROM funding_due WHERE venue = ?", (venue,))
        db.executemany(
            "INSERT INTO funding_due VALUES (?, ?, ?, ?, ?)",
            [
                (venue, key.market, key.symbol, due.next_ms, plain(due.rate))
                for key, due in changes.funding_due
            ],
        )

    def _rows(self, query: str) -> list[Any]:
        return self._db.execute(query, (self._venue,)).fetchall()


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


def _fill_row(venue: str, fill: Fill) -> tuple[object, ...]:
    return (
        venue,
        fill.venue_trade_id,
        fill.venue_order_id,
        fill.client_order_id,
        fill.instrument.id.market,
        fill.instrument.id.symbol,
        fill.side,
        plain(fill.qty),
        plain(fill.price),
        plain(fill.fee),
        fill.fee_asset,
        fill.kind,
        fill.time_ns,
    )
