"""The simulated exchanges' own books as a file, in the layout of the paper account's record.

So that one judge and one comparison serve both parts of the demo. They are what the simulator tells
of its accounts, and of the requests that came in; nothing of it comes from our ledger.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from api.demo.plan import LATENCY_MS
from engine.clock import NS_PER_MS

_TABLES = """
CREATE TABLE orders (client_order_id TEXT, body TEXT);
CREATE TABLE fills (venue TEXT, market TEXT, symbol TEXT, venue_trade_id TEXT,
    client_order_id TEXT, side TEXT, qty TEXT, price TEXT, fee TEXT, fee_asset TEXT,
    time_ns INTEGER);
CREATE TABLE positions (venue TEXT, market TEXT, symbol TEXT, qty TEXT);
CREATE TABLE wallets (venue TEXT, asset TEXT, total TEXT, free TEXT, locked TEXT);
"""

Json = dict[str, Any]
Row = tuple[Any, ...]


def write_record(path: Path, accounts: Iterable[Json], requests: Iterable[Json]) -> None:
    """Write what the exchanges have on record.

    Args:
        accounts: each wallet's snapshot, as the control side tells it.
        requests: signed requests that came in, with their monotonic time.
    """
    accounts = list(accounts)
    with closing(sqlite3.connect(path)) as record:
        record.executescript(_TABLES)
        for table, rows in (
            ("orders", _orders(requests)),
            ("fills", (row for each in accounts for row in _fills(each))),
            ("positions", (row for each in accounts for row in _positions(each))),
            ("wallets", (row for each in accounts for row in _wallets(each))),
        ):
            for row in rows:
                marks = ",".join("?" * len(row))
                record.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # noqa: S608 - ours
        record.commit()


def _orders(requests: Iterable[Json]) -> Iterator[Row]:
    """The first request of each order, told as if it had been matched after the paper's latency."""
    seen: set[str] = set()
    for request in requests:
        key = request["client_order_id"]
        if request["method"] == "POST" and key is not None and key not in seen:
            seen.add(key)
            yield key, json.dumps({"due_ns": request["at_ns"] + LATENCY_MS * NS_PER_MS})


def _place(row: Json) -> tuple[str, str, str]:
    named = row["instrument"]["id"]
    return named["venue"], named["market"], named["symbol"]


def _fills(account: Json) -> Iterator[Row]:
    for fill in account["executions"]:
        of_order = (fill["venue_trade_id"], fill["client_order_id"], fill["side"])
        amounts = (fill["qty"], fill["price"], fill["fee"], fill["fee_asset"])
        yield (*_place(fill), *of_order, *amounts, fill["time_ns"])


def _positions(account: Json) -> Iterator[Row]:
    for held in account["positions"]:
        sign = "" if held["side"] == "long" else "-"
        yield (*_place(held), sign + held["qty"])


def _wallets(account: Json) -> Iterator[Row]:
    """Where a venue keeps a wallet for each market, the asset's name begins with the market."""
    markets = account["markets"]
    prefix = f"{markets[0]}/" if len(markets) == 1 else ""
    for row in account["balances"]:
        yield row["venue"], prefix + row["asset"], row["total"], row["free"], row["locked"]
