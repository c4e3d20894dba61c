import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from engine.model.errors import Retryable
from engine.model.events import MissedPrice, PricesMissed
from engine.model.instrument import InstrumentId
from engine.model.ticks import PriceSource
from engine.venues.missed import (
    MAX_RUNNING,
    MAX_WAITING,
    MINUTE_MS,
    Fetches,
    Missed,
    bar,
    bars_then_trades,
    moment_ms,
    trade,
)
from tests.engine.simulator.rig import FakeClock, ids
from tests.engine.venues.venue_server import until

BTC, ETH = ids("bybit:linear:BTCUSDT"), ids("bybit:linear:ETHUSDT")
LAST, MARK = PriceSource.LAST, PriceSource.MARK
FOUND = Missed((MissedPrice(7, 7, 99.0, 99.0),), complete=False)


class Source:
    """A ``MissedSource`` that answers as it is told, once the test lets it."""

    def __init__(self) -> None:
        self.asked: list[tuple[InstrumentId, PriceSource, int]] = []
        self.answers: list[Missed | Exception] = []
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self, instrument: InstrumentId, source: PriceSource, since_ms: int) -> Missed:
        self.asked.append((instrument, source, since_ms))
        await self.open.wait()
        answer = self.answers.pop(0) if self.answers else FOUND
        if isinstance(answer, Exception):
            raise answer
        return answer


class Rig:
    def __init__(self, fetch_seconds: float = 5.0) -> None:
        self.source = Source()
        self.clock = FakeClock()
        self.heard: list[PricesMissed] = []
        self.fetches = Fetches(
            self.source,
            self.clock,
            self.heard.append,
            fetch_seconds=fetch_seconds,
            pauses_seconds=(0.0, 0.001),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        before = asyncio.all_tasks()
        task = asyncio.create_task(self.fetches.run())
        try:
            yield
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.all_tasks() == before, "fetches left tasks behind"


async def test_what_is_found_is_told_as_it_was_asked_for():
    rig = Rig()
    async with rig.running():
        rig.fetches.ask(BTC, MARK, 5)
        await until(lambda: rig.heard)
    assert rig.source.asked == [(BTC, MARK, 5)]
    assert rig.heard == [PricesMissed(BTC, MARK, FOUND.prices, False, rig.clock.now_ns())]


async def test_what_fails_is_tried_three_times():
    rig = Rig()
    rig.source.answers = [Retryable("busy"), Retryable("busy")]
    async with rig.running():
        rig.fetches.ask(BTC, LAST, 5)
        await until(lambda: rig.heard)
    assert len(rig.source.asked) == 3


async def test_what_fails_three_times_is_a_log_line_and_the_next_goes_on():
    rig = Rig()
    rig.source.answers = [Retryable("HTTP 404")] * 3
    with capture_logs() as logs:
        async with rig.running():
            rig.fetches.ask(BTC, LAST, 5)
            await until(lambda: any(entry["event"] == "gap.fetch_failed" for entry in logs))
            rig.fetches.ask(ETH, LAST, 6)
            await until(lambda: rig.heard)
    assert [event.instrument for event in rig.heard] == [ETH]
    (failed,) = [entry for entry in logs if entry["event"] == "gap.fetch_failed"]
    assert (failed["instrument"], failed["reason"]) == (str(BTC), "HTTP 404")


async def test_a_venue_that_is_silent_is_given_up():
    rig = Rig(fetch_seconds=0.02)
    rig.source.open.clear()
    with capture_logs() as logs:
        async with rig.running():
            rig.fetches.ask(BTC, LAST, 5)
            await until(lambda: any(entry["event"] == "gap.fetch_failed" for entry in logs))
            rig.source.open.set()
            rig.fetches.ask(ETH, LAST, 6)
            await until(lambda: rig.heard)
    assert [event.instrument for event in rig.heard] == [ETH]
    assert [e["reason"] for e in logs if e["event"] == "gap.fetch_failed"] == ["not done in 0.02 s"]


async def test_a_defect_in_a_fetch_does_not_end_the_others():
    rig = Rig()
    rig.source.answers = [ZeroDivisionError("oops")]
    with capture_logs() as logs:
        async with rig.running():
            rig.fetches.ask(BTC, LAST, 5)
            rig.fetches.ask(ETH, LAST, 6)
            await until(lambda: rig.heard)
            await until(lambda: any(entry["event"] == "gap.fetch_crashed" for entry in logs))
    assert [event.instrument for event in rig.heard] == [ETH]


async def test_only_so_many_are_made_at_a_time_and_each_has_its_turn():
    rig = Rig()
    rig.source.open.clear()
    async with rig.running():
        for since_ms in range(5):
            rig.fetches.ask(BTC, LAST, since_ms)
        await until(lambda: len(rig.source.asked) == MAX_RUNNING)
        await asyncio.sleep(0.01)
        assert len(rig.source.asked) == MAX_RUNNING
        rig.source.open.set()
        await until(lambda: len(rig.heard) == 5)
    assert [since_ms for _, _, since_ms in rig.source.asked] == [0, 1, 2, 3, 4]


async def test_more_than_can_wait_are_not_asked():
    rig = Rig()
    with capture_logs() as logs:
        for since_ms in range(MAX_WAITING + 1):
            rig.fetches.ask(BTC, LAST, since_ms)
    assert [entry["event"] for entry in logs] == ["gap.not_asked"]


def at(minute: float, price: float = 100.0) -> MissedPrice:
    return trade(price, round(minute * MINUTE_MS))


def of(minute: int) -> MissedPrice:
    return bar(minute * MINUTE_MS, "101", "99")


def test_a_minute_is_told_by_its_bar_or_by_its_trades():
    bars = [of(minute) for minute in range(5)]
    trades = [at(2.5), at(2.9), at(3), at(3.5), at(4.1)]
    assert bars_then_trades(bars, trades) == (*bars[:3], *trades[2:])


def test_without_trades_there_are_bars():
    assert bars_then_trades([of(1)], []) == (of(1),)


@pytest.mark.parametrize("written", ["", "0", "nan", None])
def test_a_trade_has_a_price(written):
    with pytest.raises(Retryable):
        trade(written, 5)


@pytest.mark.parametrize(("high", "low"), [("1", "2"), ("", "1"), ("1", "0")])
def test_a_bar_has_a_top_and_a_bottom(high, low):
    with pytest.raises(Retryable):
        bar(0, high, low)


def test_a_bar_lasts_a_minute():
    assert bar(60_000, "2.5", "1.5") == MissedPrice(60_000, 120_000, 1.5, 2.5)


@pytest.mark.parametrize("written", ["", "-1", "1.5", "x"])
def test_a_time_is_a_whole_number(written):
    with pytest.raises(Retryable):
        moment_ms(written)
