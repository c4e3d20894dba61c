"""The paper account's own record: one SQLite file, written by its own transactions.

It plays the venue's database. Nothing of our ledger writes or reads it, so a comparison of the two
means something. Amounts are TEXT in plain decimal notation.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from engine.model.errors import Misconfigured, Retryable
from engine.model.events import FundingPaid
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import exact, plain
from engine.model.order import Fill, FillKind, OrderSide
from engine.simulator.account import Account, Funding, LinearPosition
from engine.simulator.matching import VenueModel, VenueOrder, VenueRules

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (
    venue TEXT PRIMARY KEY, next_id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS wallets (
    venue TEXT, asset TEXT, total TEXT NOT NULL, free TEXT NOT NULL, locked TEXT NOT NULL,
    PRIMARY KEY (venue, asset));
CREATE TABLE IF NOT EXISTS openings (
    venue TEXT, asset TEXT, amount TEXT NOT NULL, PRIMARY KEY (venue, asset));
CREATE TABLE IF NOT EXISTS positions (
    venue TEXT, market TEXT, symbol TEXT, qty TEXT NOT NULL, value TEXT NOT NULL,
    leverage TEXT NOT NULL, instrument TEXT NOT NULL, PRIMARY KEY (venue, market, symbol));
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
    openings: tuple[tuple[str, Decimal], ...]
    wallet: tuple[tuple[str, Decimal, Decimal, Decimal], ...]
    positions: tuple[LinearPosition, ...]
    funding_due: tuple[tuple[InstrumentId, Funding], ...]


def take_changes(model: VenueModel) -> Changes:
    """Copy what changed since the last call and forget it."""
    account = model.account
    changes = Changes(
        next_id=model.next_id,
        orders=tuple(model.changed_orders.values()),
        fills=tuple(model.new_fills),
        funding=tuple(model.new_funding),
        openings=tuple(account.openings.items()),
        wallet=tuple(
            (asset, total, account.free(asset), account.locked(asset))
            for asset, total in account.wallet.items()
        ),
        positions=tuple(replace(position) for position in account.positions.values()),
        funding_due=tuple(model.funding.items()),
    )
    model.changed_orders.clear()
    model.new_fills.clear()
    model.new_funding.clear()
    model.unsaved = False
    return changes


class PaperStore:
    """One venue's part of the file. Blocking; used from one thread at a time.

    Raises:
        Misconfigured: the file cannot be used; the message names it.
    """

    def __init__(self, path: Path, venue: str, busy_timeout_s: float = 5.0) -> None:
        self._venue = venue
        self._busy = Lock()
        try:
            self._db = _open(path, busy_timeout_s)
        except sqlite3.DatabaseError as error:
            raise Misconfigured(
                f"{path.name} in DATA_DIR, the paper account's record, cannot be used: {error};"
                " repair it, or move it away to begin anew with PAPER_BALANCE"
            ) from error

    def close(self) -> None:
        """Close after a write that is under way: the library does not survive the opposite."""
        with self._busy:
            self._db.close()

    def load(
        self, rules: VenueRules, opening: dict[str, Decimal], first_id: int, now_ns: int
    ) -> VenueModel:
        """Read the account; a new one starts with ``opening`` balances.

        An asset of ``opening`` that was never credited is credited now. Ids go on from the last
        one or from ``first_id``, whichever is higher: an older copy of the file must not give ids
        again that were told before.
        """
        account = Account(rules.leverage)
        for asset, total in self._rows("SELECT asset, total FROM wallets WHERE venue = ?"):
            account.wallet[asset] = Decimal(total)
        for asset, amount in self._rows("SELECT asset, amount FROM openings WHERE venue = ?"):
            account.openings[asset] = Decimal(amount)
        for asset, credit in opening.items():
            account.open(asset, credit)
        query = "SELECT instrument, leverage, qty, value FROM positions WHERE venue = ?"
        for body, leverage, qty, value in self._rows(query):
            instrument = msgspec.json.decode(body, type=Instrument)
            account.positions[instrument.id] = LinearPosition(
                instrument, Decimal(leverage), Decimal(qty), Decimal(value)
            )
        return self._load_model(VenueModel(rules, account, first_id), now_ns)

    def _load_model(self, model: VenueModel, now_ns: int) -> VenueModel:
        for (next_id,) in self._rows("SELECT next_id FROM meta WHERE venue = ?"):
            model.next_id = max(model.next_id, next_id)
        query = "SELECT body FROM orders WHERE venue = ? ORDER BY CAST(venue_order_id AS INTEGER)"
        bodies = self._rows(query)
        model.restore([msgspec.json.decode(b, type=VenueOrder) for (b,) in bodies], now_ns)
        for market, symbol, next_ms, rate in self._rows(
            "SELECT market, symbol, next_ms, rate FROM funding_due WHERE venue = ?"
        ):
            key = InstrumentId(self._venue, Market(market), symbol)
            model.funding[key] = Funding(next_ms, float(rate))
        return model

    def liquidations(self, traded: Iterable[Instrument]) -> list[Fill]:
        """Return the latest executions without an order, oldest first.

        A hundred are more than can have been told and not journalled when a process ended.
        """
        instruments = {(each.id.market, each.id.symbol): each for each in traded}
        latest = self._rows(
            "SELECT market, symbol, venue_trade_id, side, qty, price, fee, fee_asset, kind, time_ns"
            " FROM fills WHERE venue = ? AND client_order_id IS NULL"
            " ORDER BY CAST(venue_trade_id AS INTEGER) DESC LIMIT 100"
        )
        return [
            _foreign_fill(instruments[Market(market), symbol], *values)
            for market, symbol, *values in reversed(latest)
        ]

    def write(self, changes: Changes) -> None:
        """Write one batch in one transaction.

        Raises:
            Retryable: SQLite refused; nothing was written.
        """
        try:
            with self._busy:
                self._transact(changes)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # our own mistake: trying again would not help
        except sqlite3.DatabaseError as error:
            raise Retryable(f"the paper account's record refuses: {error}") from error

    def _transact(self, changes: Changes) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            self._write_all(changes)
            db.execute("COMMIT")
        finally:
            if db.in_transaction:  # not after a commit, nor where SQLite has rolled back
                db.execute("ROLLBACK")

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
        db.executemany(
            "INSERT OR REPLACE INTO openings VALUES (?, ?, ?)",
            [(venue, asset, plain(amount)) for asset, amount in changes.openings],
        )
        db.execute("DELETE FROM positions WHERE venue = ?", (venue,))
        db.executemany(
            "INSERT INTO positions VALUES (?, ?, ?, ?, ?, ?, ?)",
            [_position_row(venue, position) for position in changes.positions],
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
        # Replaced, not only inserted: a commit that reported an error may still have happened.
        db.executemany(
            "INSERT OR REPLACE INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [_fill_row(venue, fill) for fill in changes.fills],
        )
        db.executemany(
            "INSERT OR REPLACE INTO funding VALUES (?, ?, ?, ?, ?, ?)",
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
                (venue, key.market, key.symbol, due.next_ms, plain(exact(due.rate)))
                for key, due in changes.funding_due
            ],
        )

    def _rows(self, query: str) -> list[Any]:
        return self._db.execute(query, (self._venue,)).fetchall()


def _open(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    db = sqlite3.connect(
        path, check_same_thread=False, isolation_level=None, timeout=busy_timeout_s
    )
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise sqlite3.DatabaseError(f"its version is {version}, not {SCHEMA_VERSION}")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        if version == 0:
            db.executescript(f"{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};")
    except BaseException:
        db.close()
        raise
    return db


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


def _foreign_fill(
    instrument: Instrument,
    venue_trade_id: str,
    side: str,
    qty: str,
    price: str,
    fee: str,
    fee_asset: str,
    kind: str,
    time_ns: int,
) -> Fill:
    return Fill(
        venue_trade_id=venue_trade_id,
        instrument=instrument,
        side=OrderSide(side),
        qty=Decimal(qty),
        price=Decimal(price),
        fee=Decimal(fee),
        fee_asset=fee_asset,
        time_ns=time_ns,
        kind=FillKind(kind),
    )


def _position_row(venue: str, position: LinearPosition) -> tuple[object, ...]:
    instrument = position.instrument
    return (
        venue,
        instrument.id.market,
        instrument.id.symbol,
        plain(position.qty),
        plain(position.value),
        plain(position.leverage),
        _json(instrument),
    )
