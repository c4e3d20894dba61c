"""Requests that a venue did not take, and entries that wait for their commit meanwhile."""

from engine.model.effects import SubmitOrder
from engine.model.events import ClockAdvanced, OrderDeferred
from tests.engine.core.flow_rig import until, world
from tests.engine.core.rig import SECOND


async def test_a_pause_is_counted_from_the_clock_however_late_that_is() -> None:
    async with world() as w:
        await w.opened()
        w.price(95.0)
        close = w.broker.orders[-1]
        w.clock.now += 60 * SECOND  # the loop stood still
        w.flow.handle(OrderDeferred(close.client_order_id, 0, 7 * SECOND))
        w.clock.now += 6 * SECOND
        w.flow.handle(ClockAdvanced(w.clock.now, w.clock.now))
        assert w.broker.orders[-1] is close
        w.clock.now += 2 * SECOND
        w.flow.handle(ClockAdvanced(w.clock.now, w.clock.now))
        assert w.broker.orders.count(close) == 2


async def test_an_entry_whose_venue_asked_for_a_pause_is_not_sent_by_its_commit() -> None:
    async with world() as w:
        await w.opened()
        w.price(95.0)
        w.flow.handle(w.signal(2))
        w.flow.handle(OrderDeferred(w.broker.orders[-1].client_order_id, w.clock.now, 7 * SECOND))
        await w.settled()
        assert [str(order.purpose) for order in w.broker.orders] == ["entry", "exit"]


async def test_an_entry_that_is_asked_for_again_before_its_commit_is_sent_once() -> None:
    async with world() as w:
        await w.run()
        w.flow.handle(w.signal(1))
        w.price(100.0)
        await until(lambda: len(w.broker.orders) == 1)
        [entry] = w.broker.orders
        w.flow.handle(OrderDeferred(entry.client_order_id, w.clock.now, SECOND))
        w.ledger.failing = True
        w.clock.now += 2 * SECOND
        w.flow.handle(ClockAdvanced(w.clock.now, w.clock.now))  # waits for its commit
        w.flow.handle(w.signal(2))
        w.flow._carry_out([SubmitOrder(entry, after_commit=True)], None)
        w.ledger.failing = False
        await until(lambda: len(w.broker.orders) > 1)
        await w.settled()
        assert [o.client_order_id for o in w.broker.orders].count(entry.client_order_id) == 2
