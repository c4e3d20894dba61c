"""The demo, played once; its judge, on copies of what it kept with something altered."""

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.demo import plan
from api.demo.books import differences
from api.demo.facts import read_facts
from api.demo.judge import judge, read_prints
from api.demo.parts import PARTS
from api.demo.summary import read_notes
from tests.scenarios.processes import command

# A demo takes a quarter of a minute, more on a busy machine; others may be waited for.
pytestmark = pytest.mark.timeout(240)

KEYS = {
    "ok",
    "signals",
    "positions_opened",
    "positions_closed",
    "closes",
    "closes_on",
    "ticks",
    "reaction_ms",
    "realized_pnl",
    "fees",
    "ledger_matches_venue",
    "restarted",
    "venues",
    "parts",
    "duration_s",
}
SIDES = {
    "ledger": ("data/tickguard.sqlite", "trades"),
    "venue": ("data/paper.sqlite", "fills"),
    "wire ledger": ("data-wire/tickguard.sqlite", "trades"),
    "wire venue": ("data-wire/wire.sqlite", "fills"),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A demo on seeded prices, played once for all workers: what it kept, and what it said."""
    common = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        common = common.parent
    home = common / "demo-seeded"
    with (common / "demo-seeded.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = home / "said.json"
        if not said.exists():
            home.mkdir()
            said.write_text(play(home))
    return home / "kept", json.loads(said.read_text())


def play(home: Path) -> str:
    """Play a demo from a folder with somebody else's settings, which are not the demo's."""
    (home / ".env").write_text("TRADING_MODE=live\nSTOP_LOSS_PERCENT=nonsense\nAPI_PORT=1\n")
    env = {"TICKGUARD_RECORDED": str(home / "nowhere"), "HTTP_PROXY": "http://127.0.0.1:1"}
    with command("demo", "--json", "--keep", "kept", cwd=home, env=env) as ran:
        assert ran.wait(within_s=180) == 0, ran.log.read_text()
        assert len(ran.lines) == 1
        return ran.lines[0]


@pytest.fixture
def copy(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """The kept folder to be altered; the sent frames are only linked."""
    kept, _ = demo
    folder = tmp_path / "copy"
    for part in PARTS:
        shutil.copytree(kept / part.data, folder / part.data)
    shutil.copy(kept / "demo.json", folder)
    os.link(kept / "sent.jsonl", folder / "sent.jsonl")
    return folder


def verdict(folder: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["demo", "--verify", str(folder)])
    return result.exit_code, result.output


@contextmanager
def database(folder: Path, name: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / name)) as opened:
        yield opened
        opened.commit()


def one_unit_more(text: str) -> str:
    """The next decimal number of as many places."""
    amount = Decimal(text)
    return f"{amount + Decimal((0, (1,), int(amount.as_tuple().exponent))):f}"


def test_it_holds_and_tells_all_that_was_promised(demo: tuple[Path, dict[str, Any]]) -> None:
    _, summary = demo
    assert summary.keys() == KEYS
    assert summary["ok"] is summary["ledger_matches_venue"] is summary["restarted"] is True
    assert summary["closes_on"].keys() == {"recorded", "seeded", "scripted"}
    assert summary["closes_on"]["seeded"] > 0
    assert summary["closes_on"]["scripted"] > 0
    assert summary["closes_on"]["recorded"] == 0
    assert summary["closes"].keys() == {"take_profit", "stop_loss", "manual", "signal"}
    assert sum(summary["closes"].values()) == summary["positions_closed"]
    assert summary["positions_closed"] <= summary["positions_opened"] < summary["signals"]
    assert summary["venues"] == ["binance", "bybit"]
    assert {name: part["ledger_matches_venue"] for name, part in summary["parts"].items()} == {
        "paper": True, "wire": True
    }  # fmt: skip
    assert summary["parts"]["wire"]["positions_closed"] == len(plan.WIRE)
    assert 0 < summary["reaction_ms"]["p50"] <= summary["reaction_ms"]["p99"]
    assert summary["reaction_ms"]["p99"] <= summary["reaction_ms"]["max"]
    assert {type(summary[name]) for name in ("realized_pnl", "fees")} == {str}
    assert summary["ticks"] > 100
    assert summary["duration_s"] < 60


def test_a_kept_demo_is_judged_again_alike(demo: tuple[Path, dict[str, Any]]) -> None:
    kept, summary = demo
    result = CliRunner().invoke(app, ["demo", "--verify", str(kept), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == summary


def test_piped_it_is_plain_lines(demo: tuple[Path, dict[str, Any]]) -> None:
    kept, summary = demo
    with command("demo", "--verify", str(kept), cwd=kept.parent) as ran:
        assert ran.wait() == 0
        lines = dict(line.split(": ", 1) for line in ran.lines)
    assert lines.keys() == summary.keys()
    assert lines["ok"] == "True"
    assert lines["realized_pnl"] == summary["realized_pnl"]
    assert not any("\x1b" in line or "│" in line for line in ran.lines)


@pytest.mark.parametrize("field", ["qty", "price", "fee"])
@pytest.mark.parametrize("side", SIDES)
def test_one_unit_in_the_last_place_of_one_fill_is_noticed(
    copy: Path, side: str, field: str
) -> None:
    name, table = SIDES[side]
    with database(copy, name) as opened:
        query = f"SELECT rowid, {field} FROM {table} WHERE {field} != '0' LIMIT 1"
        row, text = opened.execute(query).fetchone()
        opened.execute(
            f"UPDATE {table} SET {field} = ? WHERE rowid = ?", (one_unit_more(text), row)
        )
    code, said = verdict(copy)
    assert code == 1
    assert "ledger_matches_venue: False" in said
    assert "WRONG: fill " in said


@pytest.mark.parametrize("side", SIDES)
def test_no_fill_may_differ_by_one_unit(copy: Path, side: str) -> None:
    name, table = SIDES[side]
    part = next(part for part in PARTS if name.startswith(f"{part.data}/"))
    ledger, venue = copy / part.data / "tickguard.sqlite", copy / part.data / part.record
    assert differences(ledger, venue) == []
    with closing(sqlite3.connect(copy / name)) as opened:
        rows = opened.execute(f"SELECT rowid, qty, price, fee FROM {table}").fetchall()
    for row, *amounts in rows:
        for field, text in zip(("qty", "price", "fee"), amounts, strict=True):
            change = f"UPDATE {table} SET {field} = ? WHERE rowid = ?"
            with database(copy, name) as opened:
                opened.execute(change, (one_unit_more(text), row))
            assert differences(ledger, venue), (table, row, field, text)
            with database(copy, name) as opened:
                opened.execute(change, (text, row))
    assert differences(ledger, venue) == []


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        (
            "data/tickguard.sqlite",
            "DELETE FROM trades WHERE id = (SELECT min(id) FROM trades)",
            "fill",
        ),
        (
            "data/paper.sqlite",
            "DELETE FROM fills WHERE rowid = (SELECT max(rowid) FROM fills)",
            "fill",
        ),
        (
            "data/tickguard.sqlite",
            "UPDATE balances SET total = total || '1' WHERE asset = 'USDT' AND venue = 'bybit'",
            "balance",
        ),
        (
            "data/paper.sqlite",
            "UPDATE wallets SET free = free || '1' WHERE asset = 'USDT' AND venue = 'binance'",
            "balance",
        ),
        (
            "data/tickguard.sqlite",
            "UPDATE positions SET realized_pnl = '1000' WHERE exit_reason = 'manual'",
            "realized_pnl",
        ),
        (
            "data/tickguard.sqlite",
            "UPDATE positions SET exit_reason = 'stop_loss' WHERE exit_reason = 'take_profit'",
            "position",
        ),
        (
            "data/tickguard.sqlite",
            "UPDATE signals SET outcome = 'ignored' WHERE external_id = 'too-small'",
            "signal too-small",
        ),
        ("data-wire/wire.sqlite", "UPDATE fills SET side = 'buy' WHERE side = 'sell'", "fill"),
        (
            "data-wire/wire.sqlite",
            "UPDATE wallets SET total = total || '1' WHERE asset = 'spot/USDT'",
            "balance binance/spot/USDT",
        ),
    ],
)
def test_a_changed_record_is_noticed(copy: Path, name: str, change: str, complaint: str) -> None:
    with database(copy, name) as opened:
        assert opened.execute(change).rowcount > 0
    code, said = verdict(copy)
    assert code == 1
    assert f"WRONG: {complaint}" in said


def scripted_close(folder: Path) -> dict[str, Any]:
    """A position that a scripted price closed: SOL on Bybit's spot, up to its take-profit."""
    with database(folder, "data/tickguard.sqlite") as opened:
        row = opened.execute(
            "SELECT p.id, o.trigger_price FROM positions p JOIN orders o"
            " ON o.position_id = p.id AND o.purpose = 'exit' WHERE p.strategy = 'byb-spot-2'"
        ).fetchone()
    return dict(zip(("id", "trigger_price"), row, strict=True))


def rewrite(folder: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Replace the linked sent log by an altered one."""
    path = folder / "sent.jsonl"
    rows = change([json.loads(line) for line in path.read_text().splitlines()])
    path.unlink()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def sol_trades(rows: list[dict[str, Any]]) -> Iterator[tuple[int, Decimal]]:
    """Place in the log, and price, of every trade of SOL on Bybit's spot."""
    for index, row in enumerate(rows):
        if (row["market"], row["symbol"], row["channel"]) == ("spot", "SOLUSDT", "publicTrade"):
            yield index, Decimal(json.loads(row["frame"])["data"][0]["p"])


def test_a_crossing_frame_that_was_never_sent_is_noticed(copy: Path) -> None:
    close = scripted_close(copy)

    def without(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        limit = Decimal(close["trigger_price"])
        crossing = next(index for index, price in sol_trades(rows) if price == limit)
        return rows[:crossing] + rows[crossing + 1 :]

    rewrite(copy, without)
    code, said = verdict(copy)
    assert code == 1
    assert f"WRONG: position {close['id']}" in said


def test_no_close_is_explained_without_the_frames_of_its_price(
    demo: tuple[Path, dict[str, Any]],
) -> None:
    kept, summary = demo
    notes = read_notes(kept)
    prints = read_prints(kept / "sent.jsonl", notes.epoch_offset_ns)
    count = 0
    for part in PARTS:
        data, windows = kept / part.data, notes.windows[part.name]
        ledger, record = data / "tickguard.sqlite", data / part.record
        facts = read_facts(ledger, record, part.planned, notes.epoch_offset_ns)
        closed = [each for each in facts if each.exit_reason in {"take_profit", "stop_loss"}]
        count += len(closed)
        for each in closed:
            seen = prints[each.instrument]
            assert judge(each, seen, windows).ok
            others = [one for one in seen if one.price != each.trigger_price]
            assert not judge(each, others, windows).ok
    assert count == sum(summary["closes_on"].values())


def test_an_earlier_crossing_that_nobody_acted_on_is_noticed(copy: Path) -> None:
    close = scripted_close(copy)

    def with_another(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Let one of the steps before the last be beyond the limit."""
        step = next(index for index, price in sol_trades(rows) if 160 < price < 170)
        frame = json.loads(rows[step]["frame"])
        frame["data"][0]["p"] = "180.00"
        return [*rows[:step], rows[step] | {"frame": json.dumps(frame)}, *rows[step:]]

    rewrite(copy, with_another)
    code, said = verdict(copy)
    assert code == 1
    assert f"WRONG: position {close['id']}" in said
    assert "expected: take_profit at 180.00" in said


def test_a_folder_that_is_no_demo_is_refused(copy: Path, tmp_path: Path) -> None:
    code, said = verdict(tmp_path / "nothing-here")
    assert code == 1
    assert "is not what a demo with --keep leaves" in said
    (copy / "sent.jsonl").unlink()
    (copy / "sent.jsonl").write_text("{torn")
    assert verdict(copy)[0] == 1
    (copy / "demo.json").write_text("{}")
    assert verdict(copy)[0] == 1


@pytest.mark.recordings
def test_recorded_prices_close_positions(recordings: Path, tmp_path: Path) -> None:
    env = {"TICKGUARD_RECORDED": str(recordings), "TMPDIR": str(tmp_path)}
    with command("demo", cwd=tmp_path, env=env) as ran:
        assert ran.wait(within_s=180) == 0, ran.log.read_text() + "\n".join(ran.lines)
    lines = dict(line.split(": ", 1) for line in ran.lines if ": " in line)
    assert lines["ok"] == "True"
    closes = dict(each.split(" ") for each in lines["closes_on"].split(", "))
    assert int(closes["recorded"]) > 0
    assert [path.name for path in tmp_path.iterdir()] == ["demo.log"]
