"""After a start: rungs that may have been closed without a journal, and prices meanwhile."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.core.ladder import rungs_closed_by
from engine.model.exits import ExitReason, Percent
from engine.model.order import OrderStatus
from engine.model.position import PositionStatus
from tests.engine.core.ladders import entering, opened, quantities, refuse, rungs
from tests.engine.core.restarts import KEY, answer_absent, exit_id, possible, restart
from tests.engine.core.rig import BTC_SPOT, Rig

D = Decimal


def crashed(rig: Rig, step: Callable[[], Any]) -> Rig:
    """The process ends before the journal of what ``step`` did; the venue got its orders."""
    saved = list(rig.effects)
    step()
    rig.effects = saved
    return restart(rig)


def test_a_rung_sent_and_never_journalled_is_not_closed_twice() -> None:
    old, _ = opened("2:0.5", "4:0.25")
    rig = crashed(old, lambda: old.trade(102.0))
    part = possible(rig, 0, "0.5")
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(part, "102"), qty=D("0.5"))
    answer_absent(rig, 1, 2, 3, 4)
    rig.trade(102.0)
    assert rig.exits() == []
    left = rig.position(KEY)
    assert (left.status, left.qty_open, left.progress.rungs_done) == ("open", D("0.5"), 1)
    rig.trade(104.0)
    assert quantities(rig) == [D("0.25")]


@pytest.mark.parametrize("pairs", [("2:0.5",), ("2:0.5", "4:0.25")], ids=["one", "two"])
def test_a_found_rung_is_not_closed_twice_when_a_price_comes_before_the_answer(
    pairs: tuple[str, ...],
) -> None:
    old, _ = opened(*pairs, take_profit=Percent(D(10)))
    rig = crashed(old, lambda: old.trade(102.0))
    rig.trade(102.0)
    part = possible(rig, 0, "0.5")
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(part, "102"), qty=D("0.5"))
    answer_absent(rig, 1, 2, 3, 4)
    rig.trade(102.5)
    assert rig.exits() == []
    assert rig.position(KEY).progress.rungs_done == 1


def test_a_found_rung_that_is_not_filled_yet_is_not_closed_twice() -> None:
    old, _ = opened("2:0.5")
    rig = crashed(old, lambda: old.trade(102.0))
    rig.found(exit_id(0), OrderStatus.ACKNOWLEDGED, qty=D("0.5"))
    answer_absent(rig, 1, 2, 3, 4)
    rig.trade(102.0)
    assert rig.exits() == []
    rig.filled(possible(rig, 0, "0.5"), "102")
    assert (rig.position(KEY).qty_open, len(rig.exits())) == (D("0.5"), 0)


def test_a_found_order_of_two_rungs_counts_for_both() -> None:
    old, _ = opened("2:0.5", "4:0.25")
    rig = crashed(old, lambda: old.trade(105.0))
    part = possible(rig, 0, "0.75")
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(part, "105"), qty=D("0.75"))
    answer_absent(rig, 1, 2, 3, 4)
    rig.trade(105.0)
    assert rig.exits() == []
    assert rig.position(KEY).progress.rungs_done == 2


def test_a_found_rung_near_a_trailing_stop_is_known_as_a_rung() -> None:
    old, _ = opened("2:0.5", trailing=Percent(D(1)))
    old.trade(101.9)
    old.wait(2)
    rig = crashed(old, lambda: old.trade(102.0))
    part = possible(rig, 0, "0.5")
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(part, "101.1"), qty=D("0.5"))
    answer_absent(rig, 1, 2, 3, 4)
    rig.trade(102.0)
    assert rig.exits() == []


def test_a_part_the_owner_closed_and_nobody_journalled_is_no_rung() -> None:
    old, position = opened("10:0.5")
    rig = crashed(old, lambda: old.close(position, "0.4"))
    part = possible(rig, 0, "0.4")
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(part, "100"), qty=D("0.4"))
    answer_absent(rig, 1, 2, 3, 4)
    rig.trade(110.0)
    assert quantities(rig) == [D("0.5")]


def test_a_rung_reached_while_the_venue_is_asked_is_closed_when_it_answers() -> None:
    old, _ = opened("2:0.5", "4:0.25")
    rig = restart(old)
    rig.trade(102.0)
    rig.trade(100.0)
    assert rig.exits() == []
    answer_absent(rig, 0, 1, 2, 3)
    order = rig.exits()[0]
    assert (order.qty, order.reason, order.trigger_price) == (
        D("0.5"),
        ExitReason.LADDER,
        D(102),
    )


def test_the_farthest_price_while_the_venue_is_asked_counts() -> None:
    old, _ = opened("2:0.5", "4:0.25")
    rig = restart(old)
    for price in (104.0, 100.0, 102.0):
        rig.trade(price)
    answer_absent(rig, 0, 1, 2, 3)
    assert quantities(rig) == [D("0.75")]


def test_rungs_of_a_ladder_given_while_the_venue_is_asked_are_not_reached_by_prices_before() -> (
    None
):
    old, _ = opened("2:0.5", "4:0.25")
    rig = restart(old)
    rig.trade(104.0)
    rig.amend(KEY, ladder=rungs("5:0.5", "6:0.25"))
    answer_absent(rig, 0, 1, 2, 3)
    assert rig.exits() == []
    rig.trade(105.0)
    assert quantities(rig) == [D("0.5")]


def test_a_last_rung_of_dust_reached_while_the_venue_is_asked_ends_it() -> None:
    old, entry = entering("2:1", instrument=BTC_SPOT)
    old.fill(entry, "100", "0.000005")
    old.update(entry, OrderStatus.CANCELLED)
    rig = restart(old)
    rig.trade(102.0, BTC_SPOT)
    answer_absent(rig, 0, 1, 2, 3)
    assert (rig.position(KEY).status, rig.exits()) == (PositionStatus.CLOSED, [])


def test_a_part_larger_than_the_rungs_is_the_owners() -> None:
    old, position = opened("2:0.3")
    rig = crashed(old, lambda: old.close(position, "0.6"))
    part = possible(rig, 0, "0.6")
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(part, "102"), qty=D("0.6"))
    assert rig.order(exit_id(0)).reason is ExitReason.MANUAL
    assert rig.position(KEY).progress.rungs_done == 0


def test_an_entry_that_fees_took_whole_has_no_rungs_to_find() -> None:
    old, position = opened("2:0.5")
    nothing = replace(position, base_fees=position.qty)
    assert rungs_closed_by(old.guardian._state, nothing, D("0.5"), None) is None


def test_the_rest_of_a_rung_that_was_sent_and_never_journalled_is_not_closed_twice() -> None:
    old, _ = opened("2:0.5")
    old.trade(102.0)
    first = old.exits()[0]
    fill = old.fill_of(first, "102", "0.2")
    rig = restart(old)  # the fill, the end of the order and the next one were lost
    rest = possible(rig, 1, "0.3")
    rig.found(rest, OrderStatus.ACKNOWLEDGED, qty=D("0.3"))
    assert rig.last == ()
    rig.found(first, OrderStatus.CANCELLED, fill, qty=D("0.5"))
    rig.wait(1.1)
    assert exit_id(1) in rig.asked()
    rig.found(rest, OrderStatus.ACKNOWLEDGED, qty=D("0.3"))
    answer_absent(rig, 2, 3, 4, 5)
    assert (rig.exits(), rig.order(exit_id(1)).reason) == ([], ExitReason.LADDER)
    rig.filled(rest, "102")
    assert (rig.exits(), rig.position(KEY).qty_open) == ([], D("0.5"))


def test_a_refused_rung_that_was_sent_again_and_never_journalled_is_not_closed_twice() -> None:
    old, _ = opened("2:0.5", "4:0.25")
    old.trade(102.0)
    refuse(old, old.exits()[0])
    rig = crashed(old, lambda: old.wait(1.1))
    part = possible(rig, 1, "0.5")
    rig.found(exit_id(1), OrderStatus.FILLED, rig.fill_of(part, "102"), qty=D("0.5"))
    answer_absent(rig, 2, 3, 4, 5)
    assert (rig.exits(), rig.position(KEY).progress.rungs_done) == ([], 1)


def test_a_refused_rung_is_asked_for_again_after_a_restart() -> None:
    old, _ = opened("2:0.5")
    old.trade(102.0)
    refuse(old, old.exits()[0])
    rig = restart(old)
    answer_absent(rig, 1, 2, 3, 4)
    assert [(o.client_order_id, o.qty) for o in rig.exits()] == [(exit_id(1), D("0.5"))]


def test_a_rung_in_flight_over_a_restart_is_not_asked_for_again() -> None:
    old, _ = opened("2:0.5")
    old.trade(102.0)
    rig = restart(old)
    rig.found(exit_id(0), OrderStatus.ACKNOWLEDGED, qty=D("0.5"))
    answer_absent(rig, 1, 2, 3, 4)
    assert rig.exits() == []
    rig.filled(old.exits()[0], "102")
    assert rig.position(KEY).progress.rung_filled == D("0.5")


def test_a_found_rung_moves_the_stop_too() -> None:
    old, _ = opened("2:0.5", break_even_after_rung=1)
    rig = crashed(old, lambda: old.trade(102.0))
    part = possible(rig, 0, "0.5")
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(part, "102"), qty=D("0.5"))
    answer_absent(rig, 1, 2, 3, 4)
    assert rig.position(KEY).stop_loss == D("100.2")
