"""A price that closes hundreds of positions, on a real event loop: others have their turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from engine.core.guardian import Guardian
from engine.core.prices import SLICE
from engine.flow import Flow
from engine.model.effects import SaveOrder
from engine.model.events import Balance, BalancesReported, SignalReceived
from engine.model.ids import Purpose
from engine.model.instrument import Instrument
from engine.model.order import Order
from engine.model.ticks import TradeTick
from tests.engine.core.flow_rig import World, until, world
from tests.engine.core.rig import BTC_PERP, ETH_PERP, T0, D, config, position_id

MANY = 300


@asynccontextmanager
async def crowded() -> AsyncIterator[World]:
    """A flow with ``MANY`` longs of BTC and one of ETH, all from 100 with their stop at 95."""
    async with world() as w:
        w.guardian = Guardian(config(max_open_positions=1000, max_tick_jump_percent=D(20)))
        adapters = ({"bybit": w.broker}, {"bybit": w.feed})
        w.flow = Flow(w.guardian, w.ledger, w.clock, *adapters, clock_period_s=0.005)
        await w.run()
        w.flow.handle(BalancesReported((Balance("bybit", "USDT", D(10**6), D(10**6), D(0)),), T0))
        for number in range(MANY + 1):
            enter(w, number, BTC_PERP if number else ETH_PERP)
        tell(w, BTC_PERP, 100)
        tell(w, ETH_PERP, 100)
        await until(lambda: len(w.broker.orders) == MANY + 1)
        for order in list(w.broker.orders):
            w.fill(order, "100")
        await w.settled()
        yield w


def enter(w: World, number: int, instrument: Instrument) -> None:
    signal = replace(w.signal(number).signal, instrument=instrument, strategy=str(number))
    w.flow.handle(SignalReceived(signal, position_id(number), T0))


def tell(w: World, instrument: Instrument, price: float) -> None:
    w.flow.on_tick(TradeTick(instrument.id, price, 0, 0, T0))


def exits(w: World, instrument: Instrument) -> list[Order]:
    return [o for o in w.broker.orders if o.purpose is Purpose.EXIT and o.instrument == instrument]


async def test_other_events_have_their_turn_between_slices() -> None:
    async with crowded() as w:
        loop = asyncio.get_running_loop()
        met: list[int] = []

        def other_price() -> None:
            tell(w, ETH_PERP, 94)
            met.append(len(exits(w, BTC_PERP)))
            assert len(exits(w, ETH_PERP)) == 1

        tell(w, BTC_PERP, 94)
        assert len(exits(w, BTC_PERP)) == SLICE
        loop.call_soon(other_price)
        await until(lambda: len(exits(w, BTC_PERP)) == MANY)
        assert met == [2 * SLICE]
        assert len(w.broker.orders) == 2 * (MANY + 1)


async def test_each_turn_waits_for_the_callbacks_that_came_before_it() -> None:
    async with crowded() as w:
        loop = asyncio.get_running_loop()
        met: list[int] = []

        def look() -> None:
            met.append(len(exits(w, BTC_PERP)))
            if met[-1] < MANY:
                loop.call_soon(look)

        tell(w, BTC_PERP, 94)
        look()
        await until(lambda: met[-1] == MANY)
        assert met == [min(SLICE * turn, MANY) for turn in range(1, len(met) + 1)]


async def test_a_stop_in_between_loses_no_close() -> None:
    async with crowded() as w:
        tell(w, BTC_PERP, 94)
        await w.stop()
        await w.flow.drain()
        stored = {r.order.client_order_id for r in w.ledger.records if isinstance(r, SaveOrder)}
        assert {order.client_order_id for order in w.broker.orders} <= stored
        assert len(exits(w, BTC_PERP)) == MANY


async def test_a_stop_after_the_journal_was_written_loses_no_close() -> None:
    async with crowded() as w:
        await w.stop()
        assert not w.flow._journal.steps
        tell(w, BTC_PERP, 94)
        await w.flow.drain()
        saved = [r.order for r in w.ledger.records if isinstance(r, SaveOrder)]
        assert len({o.position_id for o in saved if o.purpose is Purpose.EXIT}) == MANY


async def test_a_price_in_doubt_is_asked_for_once() -> None:
    async with crowded() as w:
        tell(w, BTC_PERP, 60)
        tell(w, BTC_PERP, 61)
        assert w.feed.checked == [BTC_PERP.id]
        assert exits(w, BTC_PERP) == []
        assert w.flow.tick_counts() == {"bybit.last.held": 2}
        w.clock.now += 2 * 10**9
        await until(lambda: len(exits(w, BTC_PERP)) == MANY)
        assert w.flow.tick_counts() == {"bybit.last.held": 2, "bybit.last.unconfirmed": 1}
