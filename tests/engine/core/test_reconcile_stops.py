"""Stops against the liquidation price that the venue tells."""

from decimal import Decimal

import pytest

from engine.model.exits import AtPrice, Disarmed
from engine.model.order import OrderStatus
from tests.engine.core.accounts_rig import report, row, told
from tests.engine.core.rig import BTC_PERP, ETH_PERP, Rig

D = Decimal
BEYOND = "position.stop_beyond_liquidation"
BEFORE = "position.stop_before_liquidation"


@pytest.mark.parametrize(
    ("action", "side", "near", "far"),
    [("buy", "long", "94.51", "94.5"), ("sell", "short", "105.49", "105.5")],
)
def test_a_stop_must_lie_before_the_liquidation_by_half_a_percent_of_price(
    action: str, side: str, near: str, far: str
) -> None:
    rig = Rig()
    position = rig.open(action)
    for _ in range(2):
        rig.wait(5)
        report(rig, row(side, "1", near))
    data = {"position_id": position.id, "liquidation_price": near}
    assert told(rig, BEYOND) == [data]
    assert rig.logged().count(BEYOND) == 1
    for _ in range(2):
        rig.wait(5)
        report(rig, row(side, "1", far))
    assert told(rig, BEFORE) == [data | {"liquidation_price": far}]
    assert rig.logged().count(BEFORE) == 1


def test_each_position_is_told_of_by_its_own_stop() -> None:
    rig = Rig()
    rig.open(strategy="a")
    near = rig.open(strategy="b", stop_loss=AtPrice(D(60)))
    rig.wait(5)
    report(rig, row("long", "2", "70"))
    assert [data["position_id"] for data in told(rig, BEYOND)] == [near.id]


def test_a_stop_that_is_amended_clears_the_alarm() -> None:
    rig = Rig()
    position = rig.open()
    rig.wait(5)
    report(rig, row("long", "1", "96"))
    rig.amend(position, stop_loss=AtPrice(D(98)))
    rig.wait(5)
    report(rig, row("long", "1", "96"))
    assert len(told(rig, BEFORE)) == 1


@pytest.mark.parametrize(
    "venue_row",
    [
        row("long", "1"),  # nowhere
        row("short", "1", "96"),  # the other leg
        row("long", "1", "96", instrument=ETH_PERP),
    ],
)
def test_no_price_for_the_side_says_nothing(venue_row: object) -> None:
    rig = Rig()
    rig.open()
    rig.wait(5)
    report(rig, venue_row)  # type: ignore[arg-type]
    assert told(rig, BEYOND) == []


def test_a_position_without_a_stop_has_none_to_lie_wrong() -> None:
    rig = Rig()
    rig.open(stop_loss=Disarmed())
    rig.wait(5)
    report(rig, row("long", "1", "96"))
    assert told(rig, BEYOND) == []


def test_an_entry_of_which_nothing_is_filled_has_no_stop_yet() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    rig.wait(5)
    report(rig, row("long", "3", "96"))
    assert told(rig, BEYOND) == []


def test_what_is_being_closed_is_not_told_of() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position)
    rig.wait(5)
    report(rig, row("long", "1", "96"))
    assert told(rig, BEYOND) == []


def test_a_position_that_ended_is_forgotten() -> None:
    rig = Rig()
    position = rig.open()
    rig.wait(5)
    report(rig, row("long", "1", "96"))
    assert rig.guardian._state.accounts.beyond_liquidation == {position.id}
    rig.close(position)
    exit_order = rig.exits()[0]
    rig.fill(exit_order, "100")
    rig.update(exit_order, OrderStatus.FILLED)
    rig.open(instrument=ETH_PERP)
    rig.wait(5)
    report(rig, row("long", "1", instrument=ETH_PERP))
    assert rig.guardian._state.accounts.beyond_liquidation == set()
    assert BTC_PERP.id not in rig.guardian._state.markets
