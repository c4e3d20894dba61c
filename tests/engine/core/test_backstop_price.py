from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.model.effects import SaveOrder, SavePosition
from engine.model.events import InstrumentRefreshed
from engine.model.exit_set import Exits
from engine.model.exits import AtPrice, Disarmed, Limit, Percent, Side
from engine.model.ids import MAX_GENERATION
from engine.model.order import OrderSide
from tests.engine.core.backstop_rig import ALL, BackstopRig
from tests.engine.core.restarts import answer_absent, restarted
from tests.engine.core.rig import BTC_PERP, BTC_SPOT

D = Decimal


def trigger_of(action: str = "buy", price: str = "100", **fields: Any) -> Decimal | None:
    rig = BackstopRig()
    rig.open(action, price, **fields)
    return rig.placed()[-1].trigger_price


def test_it_lies_beyond_the_stop_and_is_rounded_away_from_it() -> None:
    assert trigger_of() == D("90.2")  # 95 x 0.95 is 90.25
    assert trigger_of("sell") == D("110.3")  # 105 x 1.05 is 110.25


def test_how_far_beyond_is_a_setting() -> None:
    rig = BackstopRig(backstop_extra_percent=D(10))
    rig.open()
    assert rig.placed()[-1].trigger_price == D("85.5")


@pytest.mark.parametrize(("limit", "trigger"), [(Disarmed(), "90.2"), (AtPrice(D(90)), "85.5")])
def test_without_a_stop_the_default_one_is_taken_from_the_entry(limit: Limit, trigger: str) -> None:
    assert trigger_of(stop_loss=limit) == D(trigger)


@pytest.mark.parametrize("limit", [Disarmed(), AtPrice(D(50)), Percent(D(100))])
def test_where_there_is_no_usable_default_it_is_15_percent(limit: Limit) -> None:
    rig = BackstopRig(exits=Exits(Percent(D(10)), limit))
    rig.open(stop_loss=Disarmed())
    assert rig.placed()[-1].trigger_price == D("80.7")  # 85 x 0.95 is 80.75


@pytest.mark.parametrize(("distance", "trigger"), [("3", "92.1"), ("8", "90.2")])
def test_of_stop_and_trailing_stop_the_one_reached_first_counts(
    distance: str, trigger: str
) -> None:
    assert trigger_of(trailing=Percent(D(distance))) == D(trigger)


def test_of_a_shorts_stops_the_lower_one_counts() -> None:
    assert trigger_of("sell", trailing=Percent(D(3))) == D("108.2")  # 103 x 1.05 is 108.15


def test_a_trailing_stop_that_waits_for_its_activation_is_none() -> None:
    assert trigger_of(trailing=Percent(D(3)), trailing_activation=Percent(D(5))) == D("90.2")


def test_it_closes_what_is_held() -> None:
    rig = BackstopRig()
    position = rig.open("sell")
    order = rig.placed()[-1]
    assert (order.side, order.qty, order.reduce_only) == (OrderSide.BUY, D(1), True)
    assert order.client_order_id == f"{position.id}b0"
    assert order.reason == "backstop"


def test_on_spot_it_sells_what_the_fee_left_in_steps() -> None:
    rig = BackstopRig(backstops=ALL)
    rig.trade(100.0, BTC_SPOT)
    rig.signal("buy", BTC_SPOT)
    rig.trade(100.0, BTC_SPOT)
    entry = rig.submitted()[-1]
    rig.sent(entry)
    rig.filled(entry, "100", fee=D("0.0010005"), fee_asset="BTC")
    order = rig.placed()[-1]
    assert (order.qty, order.reduce_only) == (D("0.998999"), False)


def test_on_spot_there_is_none_unless_all_is_asked_for() -> None:
    rig = BackstopRig()
    rig.open("buy", instrument=BTC_SPOT)
    assert rig.placed() == []


def test_more_than_the_venue_takes_in_one_order_is_protected_in_part_and_said() -> None:
    rig = BackstopRig()
    position, first = rig.protected()
    smaller = replace(BTC_PERP, max_market_qty=D("0.6005"))
    rig.handle(InstrumentRefreshed(smaller, rig.now))
    rig.gone(first)
    assert rig.rest().qty == D("0.6")
    assert rig.position(position).backstop_problem == (
        "too_large: the venue takes 0.6005 BTC in one order"
    )
    assert len(rig.told("backstop.too_large")) == 1


def test_below_the_smallest_order_there_is_none() -> None:
    rig = BackstopRig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.sent(entry)
    rig.fill(entry, "100", "0.0005")
    rig.wait(3)
    assert rig.placed() == []


def test_it_lies_before_the_liquidation() -> None:
    rig = BackstopRig()
    _, order = rig.protected()
    rig.liquidates_at("91")
    rig.wait(5)
    rig.gone(order)
    assert rig.placed()[-1].trigger_price == D("91.4")  # 91 x 1.005 is 91.455


def test_a_shorts_lies_before_the_liquidation_too() -> None:
    rig = BackstopRig()
    _, order = rig.protected("sell")
    rig.liquidates_at("109", Side.SHORT)
    rig.wait(5)
    rig.gone(order)
    assert rig.placed()[-1].trigger_price == D("108.5")  # 109 x 0.995 is 108.455


def test_a_liquidation_far_away_changes_nothing() -> None:
    rig = BackstopRig()
    rig.protected()
    rig.liquidates_at("60")
    rig.wait(6)
    assert len(rig.placed()) == 1
    assert rig.cancelled(rig.effects) == []


def test_with_little_room_before_the_liquidation_it_lies_right_behind_the_stop() -> None:
    rig = BackstopRig()
    _, order = rig.protected()
    rig.liquidates_at("94.7")
    rig.wait(5)
    rig.gone(order)
    assert rig.placed()[-1].trigger_price == D("94.9")


def test_without_room_before_the_liquidation_there_is_none_and_the_owner_is_told_once() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.liquidates_at("94.9")
    assert rig.cancelled(rig.effects) == [order.client_order_id]
    rig.gone(order)
    rig.liquidates_at("94.95")
    rig.wait(10)
    found = rig.position(position)
    assert found.backstop is None
    assert str(found.backstop_problem).startswith("no_room: the venue liquidates at 94.95,")
    assert len(rig.told("backstop.no_room")) == 1
    assert len(rig.placed()) == 1
    rig.liquidates_at(None)  # the venue tells none any more
    rig.rest()
    assert rig.position(position).backstop == D("90.2")
    assert rig.position(position).backstop_problem is None
    rig.liquidates_at("96")
    assert len(rig.told("backstop.no_room")) == 2


def test_other_venues_reports_say_nothing_of_a_liquidation() -> None:
    rig = BackstopRig()
    rig.protected()
    rig.liquidates_at("60")
    rig.account(venue="binance")
    rig.wait(6)
    assert len(rig.placed()) == 1


def test_a_trigger_at_zero_is_none() -> None:
    rig = BackstopRig(backstop_extra_percent=D(100))
    position = rig.open()
    assert rig.placed() == []
    problem = "no_price: BACKSTOP_EXTRA_PERCENT leaves no price above zero"
    assert rig.position(position).backstop_problem == problem


def test_without_ids_left_there_is_none() -> None:
    old = BackstopRig()
    position = old.open()
    old.gone(old.placed()[-1])
    used_up = replace(old.position(position), backstop_generation=MAX_GENERATION)
    old.effects = [effect for effect in old.effects if not isinstance(effect, SaveOrder)]
    old.effects.append(SavePosition(used_up))
    rig = restarted(BackstopRig(), old)
    answer_absent(rig, 0, 1, 2, 3)
    problem = "no_id: too many were placed for this position"
    assert rig.position(position).backstop_problem == problem
