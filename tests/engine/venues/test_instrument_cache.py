"""Lists that outlive a process, and a catalogue that uses them."""

import asyncio
import random
from pathlib import Path

import msgspec
import pytest
import structlog

from engine.model.errors import Retryable
from engine.model.instrument import Market
from engine.venues.catalog import Catalog
from engine.venues.instrument_cache import InstrumentCache
from tests.engine.venues import frames
from tests.engine.venues.test_catalog import QUICK, Source

BTC = frames.instrument("bybit", Market.SPOT, "BTCUSDT")
ORIGIN = {"bybit": "https://mainnet"}


def cache(folder: Path, origin: str = "https://mainnet") -> InstrumentCache:
    return InstrumentCache(folder / "instruments", {"bybit": origin})


def test_a_list_is_read_as_it_was_written(tmp_path):
    assert cache(tmp_path).read("bybit", Market.SPOT) == ()
    cache(tmp_path).write("bybit", Market.SPOT, [BTC])
    assert cache(tmp_path).read("bybit", Market.SPOT) == (BTC,)
    assert cache(tmp_path).read("bybit", Market.LINEAR) == ()
    assert [path.name for path in (tmp_path / "instruments").iterdir()] == ["bybit.spot.json"]


def test_a_list_of_another_place_is_not_used(tmp_path):
    cache(tmp_path, "https://testnet").write("bybit", Market.SPOT, [BTC])
    assert cache(tmp_path).read("bybit", Market.SPOT) == ()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b'{"version":1,"origin":"https://mainnet"}']
)
def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path, content):
    cache(tmp_path).write("bybit", Market.SPOT, [BTC])
    (tmp_path / "instruments" / "bybit.spot.json").write_bytes(content)
    with structlog.testing.capture_logs() as logs:
        assert cache(tmp_path).read("bybit", Market.SPOT) == ()
    assert [line["event"] for line in logs] == ["instruments.cache_unreadable"]
    cache(tmp_path).write("bybit", Market.SPOT, [BTC])
    assert cache(tmp_path).read("bybit", Market.SPOT) == (BTC,)


def test_a_list_of_another_version_is_not_used(tmp_path):
    cache(tmp_path).write("bybit", Market.SPOT, [BTC])
    path = tmp_path / "instruments" / "bybit.spot.json"
    listed = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(listed | {"version": 0}))
    assert cache(tmp_path).read("bybit", Market.SPOT) == ()


def test_a_write_that_fails_leaves_the_list_before_and_a_log_line(tmp_path, monkeypatch):
    kept = cache(tmp_path)
    kept.write("bybit", Market.SPOT, [BTC])

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with structlog.testing.capture_logs() as logs:
        kept.write("bybit", Market.SPOT, [])
    assert [line["event"] for line in logs] == ["instruments.cache_not_written"]
    assert kept.read("bybit", Market.SPOT) == (BTC,)


async def test_a_start_while_the_venue_is_down_knows_what_the_run_before_knew(tmp_path):
    source = Source("bybit", ["BTCUSDT"])
    before = Catalog([source], random.Random(3), QUICK, cache(tmp_path))
    before.restore()
    assert not before.available("bybit", Market.SPOT)
    await before.refresh()
    source.failure = Retryable("down")
    after = Catalog([source], random.Random(3), QUICK, cache(tmp_path))
    assert not after.available("bybit", Market.SPOT)
    after.restore()
    assert after.lookup("bybit", Market.SPOT, "BTCUSDT") == BTC
    with pytest.raises(Retryable):
        await after.refresh()
    assert after.lookup("bybit", Market.LINEAR, "BTCUSDT") is not None


async def test_what_the_venue_says_now_goes_before_what_it_said_then(tmp_path):
    source = Source("bybit", ["BTCUSDT"])
    catalog = Catalog([source], random.Random(3), QUICK, cache(tmp_path))
    await catalog.refresh()
    source.symbols = ["ETHUSDT"]
    await catalog.refresh()
    catalog.restore()  # comes too late
    assert catalog.lookup("bybit", Market.SPOT, "BTCUSDT") is None


async def test_filters_that_were_read_again_are_looked_up_from_then_on(tmp_path):
    catalog = Catalog([Source("bybit", ["BTCUSDT"])], random.Random(3), QUICK)
    fresh = msgspec.structs.replace(BTC, min_notional=BTC.min_notional * 2)
    catalog.put(fresh)  # of a list that was never read
    assert not catalog.available("bybit", Market.SPOT)
    await catalog.refresh()
    catalog.put(fresh)
    assert catalog.lookup("bybit", Market.SPOT, "BTCUSDT") == fresh
    await asyncio.sleep(0)
