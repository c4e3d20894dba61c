"""Stop orders at the venue on their way: after their commit, and only if they are wanted then."""

import threading

from engine.model.effects import SaveOrder
from engine.model.events import OrderUpdated
from engine.model.instrument import Market
from engine.model.order import OrderStatus
from tests.engine.core.flow_rig import World, until, world

LINEAR = frozenset({Market.LINEAR})


def purposes(w: World) -> list[str]:
    return [str(order.purpose) for order in w.broker.orders]


async def test_a_backstop_is_sent_after_its_commit_and_cancelled_after_the_close() -> None:
    async with world(backstops=LINEAR) as w:
        await w.opened()
        await until(lambda: len(w.broker.orders) == 2)
        assert purposes(w) == ["entry", "backstop"]
        assert w.broker.on_disk == [True, True]
        backstop = w.broker.orders[1]
        at_ns = w.clock.now_ns()
        w.flow.handle(OrderUpdated(backstop.client_order_id, OrderStatus.ACKNOWLEDGED, at_ns))
        w.price(95.0)
        assert purposes(w) == ["entry", "backstop", "exit"]
        assert w.broker.cancelled == [backstop.client_order_id]


async def test_one_that_is_not_wanted_any_more_when_it_is_on_disk_is_never_sent() -> None:
    async with world(backstops=LINEAR) as w:
        await w.run()
        await w.flow.handle_durably(w.signal())
        w.price(100.0)
        await until(lambda: len(w.broker.orders) == 1)
        await w.settled()
        w.ledger.gate = threading.Event()
        w.fill(w.broker.orders[0], "100")
        w.price(95.0)
        w.ledger.gate.set()
        await w.settled()
        assert purposes(w) == ["entry", "exit"]
        assert w.broker.cancelled == []
        saved = [r.order for r in w.ledger.records if isinstance(r, SaveOrder)]
        ends = [order.status for order in saved if order.purpose == "backstop"]
        assert ends[-1] is OrderStatus.CANCELLED
