"""The exchanges' own books as a file that the demo's comparison and judge read."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api.demo.books import differences
from api.demo.wire_record import write_record
from engine.clock import NS_PER_MS
from tests.api.demo.records import PLACE, POSITION, write

INSTRUMENT = {"id": dict(zip(("venue", "market", "symbol"), PLACE, strict=True))}


def fill(key: str, number: str, side: str, qty: str, price: str, fee: str, asset: str) -> Any:
    amounts = {"qty": qty, "price": price, "fee": fee, "fee_asset": asset}
    of_order = {"venue_trade_id": key, "client_order_id": POSITION + number, "side": side}
    return {"instrument": INSTRUMENT, "time_ns": 5_000, **of_order, **amounts}


FILLS = [
    fill("1", "e0", "buy", "1", "100", "0.1", "USDT"),
    fill("2", "e0", "buy", "2", "101", "0.001", "BTC"),
    fill("3", "x0", "sell", "3", "110", "0.33", "USDT"),
]
USDT = {"venue": "bybit", "asset": "USDT", "total": "10.50", "free": "10", "locked": "0.5"}
WALLET = {"markets": ["spot", "linear"], "executions": FILLS, "positions": [], "balances": [USDT]}


def request(number: str, at_ns: int, method: str = "POST") -> Any:
    return {"client_order_id": POSITION + number, "method": method, "at_ns": at_ns}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return write(tmp_path)[0]


def test_books_that_agree_with_the_ledger_have_no_difference(ledger: Path, tmp_path: Path) -> None:
    write_record(tmp_path / "wire.sqlite", [WALLET], [])
    assert differences(ledger, tmp_path / "wire.sqlite") == []


def test_a_fill_that_is_missing_or_other_is_a_difference(ledger: Path, tmp_path: Path) -> None:
    other = [*FILLS[:2], FILLS[2] | {"price": "111"}]
    for number, fills in enumerate((FILLS[:2], other)):
        record = tmp_path / f"{number}.sqlite"
        write_record(record, [WALLET | {"executions": fills}], [])
        assert any("/3: " in each for each in differences(ledger, record))


def test_what_is_open_at_the_venue_only_is_a_difference(ledger: Path, tmp_path: Path) -> None:
    held = {"instrument": INSTRUMENT, "side": "short", "qty": "2"}
    write_record(tmp_path / "wire.sqlite", [WALLET | {"positions": [held]}], [])
    assert differences(ledger, tmp_path / "wire.sqlite") == [
        "position bybit/linear/BTCUSDT: ledger has none, venue -2"
    ]


def test_a_wallet_of_one_market_is_named_with_it(ledger: Path, tmp_path: Path) -> None:
    record = tmp_path / "wire.sqlite"
    write_record(record, [WALLET | {"markets": ["spot"]}], [])
    assert any("bybit/spot/USDT" in each for each in differences(ledger, record))
    with closing(sqlite3.connect(ledger)) as ours:
        ours.execute("UPDATE balances SET wallet = 'spot'")
        ours.commit()
    assert differences(ledger, record) == []


def test_of_an_order_the_first_request_counts(tmp_path: Path) -> None:
    asked = [request("x0", 7, "GET"), request("x0", 9 * NS_PER_MS), request("x0", 90 * NS_PER_MS)]
    asked.append({"client_order_id": None, "method": "POST", "at_ns": 1})
    write_record(tmp_path / "wire.sqlite", [], asked)
    with closing(sqlite3.connect(tmp_path / "wire.sqlite")) as record:
        rows = record.execute("SELECT client_order_id, body FROM orders").fetchall()
    assert [key for key, _ in rows] == [POSITION + "x0"]
    assert json.loads(rows[0][1])["due_ns"] == 109 * NS_PER_MS
