"""The whole path: every frame judged, every crossing closed once, failures told at once."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from bench.shared.frames import PRICE
from bench.shared.path import guarding, position
from bench.shared.source import running
from engine.model.order import Order, Purpose
from engine.model.position import PositionStatus
from engine.model.ticks import Tick
from engine.ports import TickSink

FRAMES, EVERY = 400, 20


def counting(ticks: list[Tick], done: asyncio.Event, count: int) -> Callable[[TickSink], TickSink]:
    def wrap(sink: TickSink) -> TickSink:
        def see(tick: Tick) -> None:
            sink(tick)
            ticks.append(tick)
            if len(ticks) == count:
                done.set()

        return see

    return wrap


@pytest.mark.parametrize("burst", [1, 50])
async def test_every_frame_is_judged_and_every_crossing_closes_its_position(burst: int) -> None:
    ticks: list[Tick] = []
    orders: list[Order] = []
    done = asyncio.Event()
    guarded = [position(n + 1, Decimal(PRICE + 1 + n)) for n in range(FRAMES // EVERY)]
    facts: dict[str, Any] = {"frames": FRAMES, "per_second": 4_000, "every": EVERY, "burst": burst}
    with running(mode="pace", **facts) as source:
        wrap = counting(ticks, done, FRAMES)
        async with guarding(source.url, guarded, orders.append, wrap) as flow, asyncio.timeout(30):
            await done.wait()
            statuses = [each.status for each in flow.positions()]
    assert len(ticks) == FRAMES
    assert statuses == [PositionStatus.CLOSING] * len(guarded)
    assert [order.position_id for order in orders] == [each.id for each in guarded]
    assert [order.trigger_price for order in orders] == [each.take_profit for each in guarded]
    assert {order.purpose for order in orders} == {Purpose.EXIT}


async def test_the_account_holds_what_is_guarded_so_that_closes_fill() -> None:
    guarded = [position(1, Decimal(PRICE + 1)), position(2, Decimal(PRICE * 2))]
    facts: dict[str, Any] = {"frames": EVERY, "per_second": 4_000, "every": EVERY, "burst": 1}
    with running(mode="pace", **facts) as source:
        async with guarding(source.url, guarded, lambda _: None) as flow, asyncio.timeout(30):
            # The account tells of its fill when it likes; nothing outside it hears of that.
            while len(flow.positions()) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            assert [each.id for each in flow.positions()] == [guarded[1].id]


async def test_a_part_that_fails_ends_the_bench_at_once() -> None:
    def fail(sink: TickSink) -> TickSink:
        def see(tick: Tick) -> None:
            raise LookupError("a mistake in the code under test")

        return see

    facts: dict[str, Any] = {"frames": EVERY, "per_second": 4_000, "every": EVERY, "burst": 1}
    with running(mode="pace", **facts) as source, pytest.raises(ExceptionGroup) as raised:
        async with guarding(source.url, [position(1, Decimal(1))], lambda _: None, fail):
            await asyncio.Event().wait()
    assert raised.value.subgroup(LookupError) is not None
