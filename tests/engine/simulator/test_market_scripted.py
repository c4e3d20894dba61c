import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from engine.clock import SystemClock
from engine.model.errors import Misconfigured
from engine.model.instrument import Market
from engine.simulator.dialects import bybit_listings
from engine.simulator.market import InstrumentState, MarketPlace
from engine.simulator.market_events import Mark, MarketEvent, Prints
from engine.simulator.market_listings import Listings
from engine.simulator.market_pace import Pace, VenueTime
from engine.simulator.market_scripted import (
    MarkSource,
    Overrides,
    ScriptRow,
    ScriptSource,
    parse_price,
    read_script,
)
from tests.engine.simulator.rig import ids, refusal, script

LISTINGS = Listings(bybit_listings.built_in())
BTC = ids("bybit:linear:BTCUSDT")


class Stage:
    """A market whose events are heard, and a pace."""

    def __init__(self, speed: float = 1.0) -> None:
        time = VenueTime(SystemClock())
        self.place = MarketPlace(LISTINGS, time)
        self.pace = Pace(time, speed)
        self.heard: list[MarketEvent] = []
        self.place.listen("bybit", Market.LINEAR, self.heard.append)

    def prices(self) -> list[str]:
        return [event.prints[0].price for event in self.heard if isinstance(event, Prints)]


class Owner:
    """A source that counts how often it got the price back."""

    def __init__(self) -> None:
        self.releases = 0

    def release(self, state: InstrumentState) -> None:
        self.releases += 1


def test_rows_are_read_in_order_of_time(tmp_path: Path) -> None:
    path = script(tmp_path, "2.5,bybit:linear:btcusdt,101", "0,bybit:linear:BTCUSDT, 100.5 ")
    rows = read_script(Path(path), LISTINGS)
    assert rows == [ScriptRow(0, BTC, Decimal("100.5")), ScriptRow(2.5, BTC, Decimal(101))]


def test_milliseconds_are_offsets_or_instants(tmp_path: Path) -> None:
    header = "time_ms,instrument,price"
    path = script(tmp_path, "250,bybit:linear:BTCUSDT,1", header=header)
    assert read_script(Path(path), LISTINGS)[0].at_s == 0.25
    rows = [f"{1_700_000_000_000 + ms},bybit:linear:BTCUSDT,1" for ms in (0, 500)]
    path = script(tmp_path, *rows, header=header)
    assert [row.at_s for row in read_script(Path(path), LISTINGS)] == [0.0, 0.5]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("x,bybit:linear:BTCUSDT,1", ("line 2", "seconds", "not a number")),
        ("NaN,bybit:linear:BTCUSDT,1", ("line 2", "seconds", "not a number")),
        ("-1,bybit:linear:BTCUSDT,1", ("line 2", "negative", "0 or more")),
        ("0,bybit:linear:BTCUSDT,-5", ("line 2", "price", "positive")),
        ("0,bybit:linear:BTCUSDT", ("line 2", "price", "positive")),
        ("0,BTCUSDT,1", ("line 2", "instrument", "venue:market:symbol")),
        ("0,bybit:linear:NOPEUSDT,1", ("line 2", "instrument", "not listed")),
    ],
)
def test_bad_rows_name_the_line_and_the_field(
    tmp_path: Path, row: str, words: tuple[str, ...]
) -> None:
    with refusal(Misconfigured, *words):
        read_script(Path(script(tmp_path, row)), LISTINGS)


def test_bad_files_name_the_remedy(tmp_path: Path) -> None:
    with refusal(Misconfigured, "seconds,instrument,price"):
        read_script(Path(script(tmp_path, "1", header="time")), LISTINGS)
    with refusal(Misconfigured, "holds no prices"):
        read_script(Path(script(tmp_path, "", header="seconds,instrument,price")), LISTINGS)
    with refusal(Misconfigured, "nowhere.csv", "No such file"):
        read_script(tmp_path / "nowhere.csv", LISTINGS)


@pytest.mark.parametrize(
    ("value", "price"),
    [
        ("1.5", Decimal("1.5")),
        (3, Decimal(3)),
        (Decimal("0.1"), Decimal("0.1")),
        (True, None),
        (0.5, None),
        (None, None),
        ("Infinity", None),
        ("0", None),
        ("abc", None),
    ],
)
def test_prices_are_positive_finite_decimals(value: object, price: Decimal | None) -> None:
    assert parse_price(value) == price


async def test_a_script_is_played_at_its_times() -> None:
    stage = Stage(speed=10.0)
    rows = [ScriptRow(at_s, BTC, Decimal(price)) for at_s, price in ((0, 5), (0.5, 6), (1, 7))]
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    await ScriptSource(stage.place, stage.pace, rows).run()
    assert 0.09 <= loop.time() - start_s < 0.5
    assert stage.prices() == ["5.00", "6.00", "7.00"]
    assert stage.place.state(BTC).scripted


async def test_marks_are_derived_each_second_of_source_time() -> None:
    stage = Stage(speed=50.0)
    stage.place.script(BTC, Decimal(5))
    stage.place.state(BTC).scripted = True
    running = asyncio.create_task(MarkSource(stage.place, stage.pace).run())
    await asyncio.sleep(0.2)
    running.cancel()
    marks = [event.mark for event in stage.heard if isinstance(event, Mark)]
    assert len(marks) >= 5
    assert set(marks) == {"5.00"}


async def test_a_walk_gets_its_price_back_at_once_and_a_recording_on_release() -> None:
    stage = Stage()
    async with asyncio.TaskGroup() as tasks:
        overrides = Overrides(stage.place, tasks)
        walk, recording = Owner(), Owner()
        overrides.own(BTC, walk, holds=False)
        eth = ids("bybit:linear:ETHUSDT")
        overrides.own(eth, recording, holds=True)
        overrides.price(BTC, Decimal(5))
        overrides.price(eth, Decimal(5))
        assert (walk.releases, recording.releases) == (1, 0)
        assert not stage.place.state(BTC).scripted
        assert stage.place.state(eth).scripted
        overrides.release(eth)
        assert recording.releases == 1
        assert not stage.place.state(eth).scripted


async def test_without_a_source_an_instrument_stays_scripted() -> None:
    stage = Stage()
    async with asyncio.TaskGroup() as tasks:
        overrides = Overrides(stage.place, tasks)
        overrides.price(BTC, Decimal(5))
        overrides.release(BTC)
        assert stage.place.state(BTC).scripted


async def test_a_stretch_sends_its_prices_and_then_gives_the_price_back() -> None:
    stage = Stage()
    async with asyncio.TaskGroup() as tasks:
        overrides = Overrides(stage.place, tasks)
        walk = Owner()
        overrides.own(BTC, walk, holds=False)
        overrides.path(BTC, [Decimal(n) for n in (1, 2, 3)], 0.01)
        assert stage.place.state(BTC).scripted
    assert stage.prices() == ["1.00", "2.00", "3.00"]
    assert walk.releases == 1


async def test_a_new_price_ends_a_stretch() -> None:
    stage = Stage()
    async with asyncio.TaskGroup() as tasks:
        overrides = Overrides(stage.place, tasks)
        overrides.path(BTC, [Decimal(n) for n in (1, 2, 3)], 5.0)
        await asyncio.sleep(0.01)
        overrides.price(BTC, Decimal(9))
        overrides.path(BTC, [Decimal(4)] * 2, 5.0)
        await asyncio.sleep(0.01)
        overrides.stop()
    assert stage.prices() == ["1.00", "9.00", "4.00"]
