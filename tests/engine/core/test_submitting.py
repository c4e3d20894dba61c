"""Orders leave at once, but for a venue that has said to wait."""

import pytest

from engine.model.effects import SubmitOrder
from engine.model.events import OrderDeferred
from engine.model.signal import Outcome
from tests.engine.core.rig import BTC_PERP, ETH_PERP, SECOND, Rig


def deferred_close() -> Rig:
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    close = rig.exits()[0]
    rig.sent(close)
    rig.deferred(close, 7)
    return rig


def test_nothing_of_a_venue_is_sent_before_the_time_it_named() -> None:
    rig = deferred_close()
    rig.signal("buy", ETH_PERP)
    rig.trade(100.0, ETH_PERP)
    for _ in range(6):
        assert rig.submitted(rig.wait(1)) == []
    sent = [e for e in rig.wait(1) if isinstance(e, SubmitOrder)]
    assert [(e.order.instrument.id, e.after_commit) for e in sent] == [
        (BTC_PERP.id, False),
        (ETH_PERP.id, True),
    ]


def test_an_entry_that_had_to_wait_too_long_is_rejected_with_the_reason() -> None:
    rig = Rig(signal_max_age_ns=3 * 10**9)
    rig.open()
    rig.trade(95.0)
    rig.deferred(rig.exits()[0], 7)
    entry = rig.signal("buy", ETH_PERP)
    rig.trade(100.0, ETH_PERP)
    rig.wait(8)
    assert str(rig.outcome(entry).reason).startswith("too_old")


def test_a_pause_without_a_time_holds_back_that_request_alone() -> None:
    rig = Rig()
    rig.open()
    rig.open(instrument=ETH_PERP)
    rig.trade(95.0)
    rig.deferred(rig.exits()[0])
    rig.trade(95.0, ETH_PERP)
    assert [order.instrument.id for order in rig.exits()] == [BTC_PERP.id, ETH_PERP.id]


def test_a_pause_that_is_told_again_holds_the_venue_back_also_where_utc_is_wrong() -> None:
    rig = deferred_close()
    rig.wait(7)
    again = rig.submitted(rig.last)[0]
    rig.sent(again)
    rig.set_wall_clock(3600)
    by_the_venue_ns = rig.now - 3600 * SECOND
    rig.handle(OrderDeferred(again.client_order_id, by_the_venue_ns, 7 * SECOND))
    rig.signal("buy", ETH_PERP)
    rig.trade(100.0, ETH_PERP)
    for _ in range(7):
        assert rig.submitted(rig.wait(1)) == []
    assert [order.instrument.id for order in rig.submitted(rig.wait(1))] == [ETH_PERP.id]


@pytest.mark.parametrize("seconds", [1, 7])
def test_what_waits_with_its_venue_is_not_looked_up(seconds: int) -> None:
    rig = deferred_close()
    rig.signal("buy", ETH_PERP)
    rig.trade(100.0, ETH_PERP)
    rig.wait(seconds - 0.5)
    assert rig.asked() == []


def test_an_entry_that_waits_for_its_commit_waits_for_its_venue_too() -> None:
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    rig.sent(rig.exits()[0])
    other = rig.signal("buy", ETH_PERP)
    rig.trade(100.0, ETH_PERP)
    entry = rig.submitted()[-1]
    assert not rig.guardian.waits(entry)
    rig.deferred(rig.exits()[0], 7)
    assert rig.guardian.waits(entry)
    rig.wait(8)
    assert entry in rig.submitted(rig.last)
    assert not rig.guardian.waits(entry)
    assert rig.outcome(other).outcome is Outcome.PENDING


def test_an_entry_that_is_to_be_sent_again_after_its_commit_waits_too() -> None:
    rig = Rig()
    rig.open()
    rig.signal("buy", ETH_PERP)
    rig.trade(100.0, ETH_PERP)
    entry = rig.submitted()[-1]
    rig.sent(entry)
    rig.deferred(entry)
    assert entry.client_order_id in [o.client_order_id for o in rig.submitted(rig.wait(1))]
    rig.trade(95.0)
    rig.sent(rig.exits()[0])
    rig.deferred(rig.exits()[0], 7)
    assert rig.guardian.waits(entry)
