import json
from pathlib import Path

from engine.simulator.market_events import Origin
from engine.simulator.sentlog import SentLog
from tests.engine.simulator.rig import FakeClock, quiet


def test_lines_are_whole_numbered_and_carry_the_frame_as_sent(tmp_path: Path) -> None:
    path = tmp_path / "below" / "sent.jsonl"
    log = SentLog(path, FakeClock())
    assert path.read_bytes() == b""
    frame = '{"p":"1","note":"ü\\"x"}'
    for _ in range(2):
        log.add("c1", "bybit", "linear", "BTCUSDT", "kline.1", Origin.SEEDED, frame.encode())
    assert path.read_bytes() == b""
    log.flush()
    log.flush()
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[0] == {
        "n": 1,
        "at_ns": 5_000_000_000,
        "conn": "c1",
        "venue": "bybit",
        "market": "linear",
        "symbol": "BTCUSDT",
        "channel": "kline.1",
        "origin": "seeded",
        "frame": frame,
    }
    assert lines[1]["n"] == 2


def test_without_a_path_frames_are_only_counted() -> None:
    log = SentLog(None, FakeClock())
    log.add("c", "bybit", "spot", "BTCUSDT", "trade", Origin.SEEDED, b"{}")
    log.flush()
    assert log.count == 1


async def test_the_log_equals_what_clients_received(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    async with (
        quiet(tmp_path, sent_log=path) as rig,
        rig.bybit() as one,
        rig.usdm("/market/stream?streams=btcusdt@aggTrade") as two,
    ):
        await one.subscribe("publicTrade.BTCUSDT", "orderbook.1.BTCUSDT", "tickers.BTCUSDT")
        for price in (100, 101, 102):
            await rig.price("bybit:linear:BTCUSDT", price)
            await rig.price("binance:linear:BTCUSDT", price)
        await one.drain(0.5)
        await two.drain(0.1)
        assert (await rig.ask("flush")).json()["frames"] > 0
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        conns = {line["venue"]: line["conn"] for line in lines}
        sent = {
            venue: [line["frame"] for line in lines if line["conn"] == conn]
            for venue, conn in conns.items()
        }
    assert sent["bybit"] == one.texts[1:]
    assert sent["binance"] == two.texts
    assert len(two.texts) == 3
    assert [line["n"] for line in lines] == list(range(1, len(lines) + 1))
    assert {line["origin"] for line in lines} == {"scripted"}
