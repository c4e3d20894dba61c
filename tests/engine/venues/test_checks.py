import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from engine.model.errors import Retryable
from engine.model.events import PricesChecked
from engine.model.instrument import InstrumentId, Market
from engine.venues.checks import (
    CHECK_SECONDS,
    MANY,
    MAX_A_MINUTE,
    MAX_RUNNING,
    MAX_WAITING,
    Checks,
)
from engine.venues.prices import Prices
from tests.engine.simulator.rig import FakeClock
from tests.engine.venues.venue_server import until

PRICES = Prices(100.5, 100.0, 101.0, 100.25)


def named(number: int) -> InstrumentId:
    return InstrumentId("bybit", Market.LINEAR, f"C{number}USDT")


ONE = named(1)


class Source:
    """A ``PriceSource`` that answers when the test lets it."""

    def __init__(self) -> None:
        self.asked: list[InstrumentId] = []
        self.asked_all: list[tuple[Market, float]] = []
        self.seconds: list[float] = []
        self.ended: list[InstrumentId] = []
        self.answer: Prices | Exception = PRICES
        self.open = asyncio.Event()
        self.open.set()

    async def ask(self, instrument: InstrumentId, seconds: float) -> Prices:
        self.asked.append(instrument)
        self.seconds.append(seconds)
        try:
            await self.open.wait()
        finally:
            self.ended.append(instrument)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def ask_all(self, market: Market, seconds: float) -> dict[str, Prices]:
        self.asked_all.append((market, seconds))
        await self.open.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return {f"C{number}USDT": self.answer for number in range(100)}


class Rig:
    def __init__(self) -> None:
        self.source = Source()
        self.clock = FakeClock()
        self.heard: list[PricesChecked] = []
        self.on_heard: Callable[[PricesChecked], None] = self.heard.append
        self.checks = Checks(self.source, self.clock, self.hear)

    def ask_alone(self, number: int) -> None:
        """Ask about an instrument as if nobody had asked about others."""
        self.checks._recent[Market.LINEAR].clear()
        self.checks.ask(named(number))

    def hear(self, event: PricesChecked) -> None:
        self.on_heard(event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        before = asyncio.all_tasks()
        task = asyncio.create_task(self.checks.run())
        try:
            yield
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.all_tasks() == before, "checks left tasks behind"

    async def heard_of(self, count: int) -> None:
        await until(lambda: len(self.heard) >= count)


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def test_a_check_is_answered_with_both_times(rig):
    rig.source.open.clear()
    async with rig.running():
        rig.checks.ask(ONE)
        await until(lambda: rig.source.asked)
        rig.clock.advance_ms(300)
        rig.source.open.set()
        await rig.heard_of(1)
    now, monotonic = rig.clock.now_ns(), rig.clock.monotonic_ns()
    assert rig.heard == [PricesChecked(ONE, now, monotonic, 100.5, 100.0, 101.0, 100.25)]


async def test_an_instrument_is_asked_of_once_at_a_time(rig):
    rig.source.open.clear()
    async with rig.running():
        rig.checks.ask(ONE)
        await until(lambda: rig.source.asked)
        rig.checks.ask(ONE)
        rig.source.open.set()
        await rig.heard_of(1)
        rig.checks.ask(ONE)
        await rig.heard_of(2)
    assert rig.source.asked == [ONE, ONE]


async def test_an_instrument_may_be_asked_of_again_from_within_its_answer(rig):
    def again(event: PricesChecked) -> None:
        rig.heard.append(event)
        if len(rig.heard) == 1:
            rig.checks.ask(ONE)

    rig.on_heard = again
    async with rig.running():
        rig.checks.ask(ONE)
        await rig.heard_of(2)


async def test_what_is_asked_before_the_start_waits_for_it(rig):
    rig.checks.ask(ONE)
    rig.clock.advance_ms(500)
    async with rig.running():
        await rig.heard_of(1)
    assert rig.source.seconds == [CHECK_SECONDS - 0.5]


async def test_what_has_waited_too_long_is_not_asked(rig):
    rig.checks.ask(ONE)
    rig.clock.advance_ms(CHECK_SECONDS * 1000)
    with capture_logs() as logs:
        async with rig.running():
            await until(lambda: logs)
            rig.checks.ask(named(2))
            await rig.heard_of(1)
    assert rig.source.asked == [named(2)]
    assert logs[0]["event"] == "prices.check_failed"
    assert "waited 1.5 s" in logs[0]["reason"]


async def test_more_than_the_bound_wait_for_their_turn_and_the_rest_is_refused(rig):
    rig.source.open.clear()
    async with rig.running():
        for number in range(MAX_RUNNING):
            rig.ask_alone(number)
        await until(lambda: len(rig.source.asked) == MAX_RUNNING)
        with capture_logs() as logs:
            for number in range(100, 100 + MAX_WAITING + 1):
                rig.ask_alone(number)
        last = str(named(100 + MAX_WAITING))
        assert [(e["event"], e["reason"], e["instrument"]) for e in logs] == [
            ("prices.not_asked", "too_many_waiting", last)
        ]
        assert len(rig.source.asked) == MAX_RUNNING
        rig.source.open.set()
        await rig.heard_of(MAX_RUNNING + MAX_WAITING)


async def test_a_minute_has_its_bound(rig):
    async with rig.running():
        for number in range(MAX_A_MINUTE):
            rig.ask_alone(number)
            if number % MAX_WAITING == 0:
                await rig.heard_of(number + 1)
        await rig.heard_of(MAX_A_MINUTE)
        with capture_logs() as logs:
            rig.checks.ask(ONE)
        assert [entry["reason"] for entry in logs] == ["too_many_a_minute"]
        rig.clock.advance_ms(60_000)
        rig.checks.ask(ONE)
        await rig.heard_of(MAX_A_MINUTE + 1)


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (Retryable("HTTP 500"), "prices.check_failed"),
        (Prices(), "prices.check_failed"),
        (RuntimeError("a bug of a library"), "prices.check_crashed"),
    ],
)
async def test_what_cannot_be_had_is_a_log_line_and_nothing_else(rig, answer, event):
    rig.source.answer = answer
    async with rig.running():
        with capture_logs() as logs:
            rig.checks.ask(ONE)
            await until(lambda: logs)
        assert [(entry["event"], entry["instrument"]) for entry in logs] == [(event, str(ONE))]
        assert rig.heard == []
        rig.source.answer = PRICES
        rig.checks.ask(ONE)
        await rig.heard_of(1)


async def test_what_the_sink_refuses_is_seen(rig):
    def refuse(event: PricesChecked) -> None:
        raise ValueError("our books contradict themselves")

    rig.on_heard = refuse
    rig.checks.ask(ONE)
    with pytest.raises(ExceptionGroup) as failure:
        async with asyncio.timeout(5):
            await rig.checks.run()
    assert failure.group_contains(ValueError, match="contradict")


async def test_the_end_cancels_what_is_under_way(rig):
    rig.source.open.clear()
    async with rig.running():
        rig.checks.ask(ONE)
        await until(lambda: rig.source.asked)
    assert rig.source.ended == [ONE]
    assert rig.heard == []
    rig.checks.ask(ONE)  # and a new start is not blocked by it
    rig.source.open.set()
    async with rig.running():
        await rig.heard_of(1)


async def test_many_instruments_of_a_market_share_one_request(rig):
    async with rig.running():
        for number in range(10):
            rig.checks.ask(named(number))
        rig.checks.ask(InstrumentId("bybit", Market.SPOT, "C50USDT"))
        await rig.heard_of(11)
    assert len(rig.source.asked) == MANY + 1
    assert rig.source.asked_all == [(Market.LINEAR, CHECK_SECONDS)]
    assert {
        event.instrument for event in rig.heard if event.instrument.market is Market.LINEAR
    } == {named(number) for number in range(10)}
    assert all(event.last == 100.5 for event in rig.heard)


async def test_a_crowd_is_asked_about_together_as_long_as_it_is_one(rig):
    async with rig.running():
        for number in range(10):
            rig.checks.ask(named(number))
        await rig.heard_of(10)
        rig.clock.advance_ms(1000)
        for number in range(10):
            rig.checks.ask(named(number))
            rig.checks.ask(named(number))
        await rig.heard_of(20)
        assert (len(rig.source.asked), len(rig.source.asked_all)) == (MANY, 2)
        rig.clock.advance_ms(1500)
        rig.checks.ask(ONE)
        await rig.heard_of(21)
    assert (len(rig.source.asked), len(rig.source.asked_all)) == (MANY + 1, 2)


async def test_what_the_market_does_not_name_is_not_told(rig):
    async with rig.running():
        for number in range(1000, 1000 + MANY + 1):
            rig.checks.ask(named(number))
        await until(lambda: rig.source.asked_all)
        await rig.heard_of(MANY)
    assert named(1000 + MANY) not in [event.instrument for event in rig.heard]


@pytest.mark.parametrize(
    ("answer", "event"),
    [(Retryable("HTTP 500"), "prices.check_failed"), (RuntimeError("x"), "prices.check_crashed")],
)
async def test_a_market_that_cannot_be_had_is_a_log_line(rig, answer, event):
    async with rig.running():
        for number in range(MANY):
            rig.checks.ask(named(number))
        await rig.heard_of(MANY)
        rig.source.answer = answer
        with capture_logs() as logs:
            rig.checks.ask(named(MANY))
            await until(lambda: logs)
        assert [(entry["event"], entry["market"]) for entry in logs] == [(event, "linear")]
        rig.source.answer = PRICES
        rig.checks.ask(named(MANY))
        await rig.heard_of(MANY + 1)
