"""Both records of one long position, as SQLite files, by the columns that the judge reads."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

POSITION = "abcdefghijklmnopqrstuvwxyz"

LEDGER = """
CREATE TABLE signals (id, external_id, outcome, reason, position_id);
CREATE TABLE positions (id, venue, market, symbol, side, status, exit_reason, instrument, signal_id,
    quote, qty_open, realized_pnl, fees);
CREATE TABLE orders (position_id, purpose, generation, trigger_price);
CREATE TABLE trades (venue, market, symbol, venue_trade_id, side, qty, price, fee, fee_asset);
CREATE TABLE balances (venue, wallet, asset, total, free, locked);
"""
VENUE = """
CREATE TABLE orders (client_order_id, body);
CREATE TABLE fills (venue, market, symbol, venue_trade_id, client_order_id, side, qty, price, fee,
    fee_asset, time_ns);
CREATE TABLE positions (venue, market, symbol, qty);
CREATE TABLE wallets (venue, asset, total, free, locked);
"""
PLACE = ("bybit", "linear", "BTCUSDT")


def write(folder: Path) -> tuple[Path, Path]:
    """Write ledger and venue of a position bought in two fills and sold in one; they agree."""
    ledger, venue = folder / "ledger.sqlite", folder / "venue.sqlite"
    fills = [
        ("1", "e0", "buy", "1", "100", "0.1", "USDT", 5_000),
        ("2", "e0", "buy", "2", "101", "0.001", "BTC", 6_000),
        ("3", "x0", "sell", "3", "110", "0.33", "USDT", 9_000),
    ]
    with closing(sqlite3.connect(ledger)) as ours:
        ours.executescript(LEDGER)
        ours.execute("INSERT INTO signals VALUES ('s', 'sent-1', 'opened', NULL, ?)", (POSITION,))
        instrument = json.dumps({"tick_size": "0.10"})
        ours.execute(
            "INSERT INTO positions VALUES (?, ?, ?, ?, 'long', 'closed', 'take_profit', ?, 's',"
            " 'USDT', '0', ?, '0.531')",
            (POSITION, *PLACE, instrument, "28"),
        )
        ours.execute("INSERT INTO orders VALUES (?, 'entry', 0, NULL)", (POSITION,))
        ours.execute("INSERT INTO orders VALUES (?, 'exit', 0, '110.0')", (POSITION,))
        for key, _, *values, _ in fills:
            ours.execute(
                "INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*PLACE, key, *values)
            )
        ours.execute("INSERT INTO balances VALUES ('bybit', '', 'USDT', '10.50', '10', '0.5')")
        ours.commit()
    with closing(sqlite3.connect(venue)) as theirs:
        theirs.executescript(VENUE)
        for number, due_ns in (("e0", 4), ("x0", 100_000_008)):
            body = json.dumps({"due_ns": due_ns})
            theirs.execute("INSERT INTO orders VALUES (?, ?)", (POSITION + number, body))
        for key, number, *values in fills:
            theirs.execute(
                "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*PLACE, key, POSITION + number, *values),
            )
        theirs.execute("INSERT INTO wallets VALUES ('bybit', 'USDT', '10.5', '10.0', '0.50')")
        theirs.commit()
    return ledger, venue


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute(statement, values).rowcount
        database.commit()
