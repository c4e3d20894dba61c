"""The simulated venues' books beside our ledger, to the last digit; written without our ledger."""

import contextlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

ID_LENGTH = 26
"""Client order ids of ours begin with a position's id."""

Json = dict[str, Any]
Key = tuple[str, str, str, str]
"""Venue, market, symbol, trade id."""


def instrument_of(row: Json) -> tuple[str, str, str]:
    named = row["instrument"]["id"]
    return named["venue"], named["market"], named["symbol"]


def is_ours(client_order_id: str | None, positions: set[str]) -> bool:
    return client_order_id is not None and client_order_id[:ID_LENGTH] in positions


def differences(ledger: Path, accounts: list[Json]) -> list[str]:
    """Return what the ledger and the venues' accounts say differently; empty when they agree.

    Args:
        accounts: what ``GET /control/account`` tells of each wallet when all is at rest.
    """
    with contextlib.closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [
            *_repeated(accounts),
            *_fills(database, accounts),
            *_positions(database, accounts),
            *_spot_rests(database, accounts),
            *_cash(database, accounts),
        ]


def _repeated(accounts: list[Json]) -> Iterator[str]:
    """Orders that were made twice under one id, or filled beyond what was asked for."""
    for account in accounts:
        filled: Counter[str] = Counter()
        for row in account["orders"]:
            record = row["record"]
            order = record["order"]
            if Decimal(record["filled_qty"]) > 0:
                filled[order["client_order_id"]] += 1
            if Decimal(record["filled_qty"]) > Decimal(order["qty"]) > 0:
                yield f"{order['client_order_id']} was filled beyond its quantity"
        for key, times in filled.items():
            if times > 1:
                yield f"{key} was executed {times} times"


def _fills(database: sqlite3.Connection, accounts: list[Json]) -> Iterator[str]:
    """Each execution of ours is one row of the ledger, with the same figures."""
    booked: dict[Key, Json] = {}
    for row in database.execute("SELECT * FROM trades WHERE kind != 'adopted'"):
        key = (row["venue"], row["market"], row["symbol"], row["venue_trade_id"])
        if key in booked:
            yield f"the ledger has {key} twice"
        booked[key] = dict(row)
    ours = {row["id"] for row in database.execute("SELECT id FROM positions")}
    made: dict[Key, Json] = {
        (*instrument_of(fill), fill["venue_trade_id"]): fill
        for account in accounts
        for fill in account["executions"]
        if is_ours(fill["client_order_id"], ours)
    }
    yield from (f"the venue's {key} is not in the ledger" for key in made.keys() - booked.keys())
    yield from (f"the ledger's {key} was never made" for key in booked.keys() - made.keys())
    for key in made.keys() & booked.keys():
        for name in ("qty", "price", "fee"):
            there, here = Decimal(made[key][name]), Decimal(booked[key][name])
            if there != here:
                yield f"{name} of {key} is {here} in the ledger, {there} at the venue"
        for name in ("side", "fee_asset", "client_order_id"):
            if made[key][name] != booked[key][name]:
                yield f"{name} of {key} is {booked[key][name]}, at the venue {made[key][name]}"


def _positions(database: sqlite3.Connection, accounts: list[Json]) -> Iterator[str]:
    """What is open on linear is open at the venue, on its side, and nothing else is."""
    held: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for account in accounts:
        for row in account["positions"]:
            sign = 1 if row["side"] == "long" else -1
            held[instrument_of(row)] += sign * Decimal(row["qty"])
    rows = database.execute("SELECT * FROM positions WHERE market = 'linear'")
    for row in rows:
        sign = 1 if row["side"] == "long" else -1
        held[row["venue"], row["market"], row["symbol"]] -= sign * _open(row)
    yield from (f"{key} differs by {qty}" for key, qty in held.items() if qty)


def _open(row: sqlite3.Row) -> Decimal:
    received = Decimal(row["qty"]) - Decimal(row["base_fees"])
    return received - Decimal(row["exit_qty"]) - Decimal(row["dust"])


def _spot_rests(database: sqlite3.Connection, accounts: list[Json]) -> Iterator[str]:
    """Of what was bought on spot, what is open and what is dust are left."""
    left: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in database.execute("SELECT * FROM positions WHERE market = 'spot'"):
        base = row["symbol"].removesuffix("USDT")
        left[row["venue"], base] += _open(row) + Decimal(row["dust"])
    totals = {
        (balance["venue"], balance["asset"]): Decimal(balance["total"])
        for account in accounts
        for balance in account["balances"]
    }
    for (venue, base), qty in left.items():
        there = totals.get((venue, base), Decimal(0))
        if there != qty:
            yield f"{base} on {venue}: {there} is there, {qty} by the ledger"


def _cash(database: sqlite3.Connection, accounts: list[Json]) -> Iterator[str]:
    """What each wallet's USDT changed by is what the ledger's trades and funding moved."""
    for account in accounts:
        opening = Decimal(account["opening"]["USDT"])
        total = next(Decimal(b["total"]) for b in account["balances"] if b["asset"] == "USDT")
        venue, markets = account["venue"], account["markets"]
        moved = Decimal(0)
        marks = ",".join("?" * len(markets))
        trades = f"SELECT * FROM trades WHERE venue = ? AND market IN ({marks})"
        for row in database.execute(trades, (venue, *markets)):
            sign = -1 if row["side"] == "buy" else 1
            moved += sign * Decimal(row["qty"]) * Decimal(row["price"])
            if row["fee_asset"] == "USDT":
                moved -= Decimal(row["fee"])
        funded = f"SELECT funding FROM positions WHERE venue = ? AND market IN ({marks})"
        for row in database.execute(funded, (venue, *markets)):
            moved -= Decimal(row["funding"])
        if total - opening != moved:
            where = f"{venue} {'+'.join(markets)}"
            yield f"{where}: USDT moved by {total - opening}, by the ledger {moved}"
