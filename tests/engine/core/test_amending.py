"""Exit rules changed on an open position: each field, refused sets, and races."""

from decimal import Decimal
from typing import Any

import pytest

from engine.model.events import ExitsAmended
from engine.model.exit_lines import exit_lines
from engine.model.exit_set import ExitChanges, Exits
from engine.model.exits import AtPrice, Disarmed, ExitReason, Percent, Points
from engine.model.order import OrderStatus
from engine.model.position import Position, PositionStatus
from engine.model.rules.break_even import BreakEven
from engine.model.rules.confirmation import Confirmation
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing
from engine.model.ticks import PriceSource
from tests.engine.core.ladders import rungs
from tests.engine.core.restarts import KEY, answer_absent, restart
from tests.engine.core.rig import BTC_SPOT, ETH_PERP, SECOND, T0, Rig

D = Decimal
NONE = Disarmed()


def opened(action: str = "buy", **fields: Any) -> tuple[Rig, Position]:
    """A position of one unit at 100."""
    rig = Rig()
    return rig, rig.open(action, **fields)


def problems(rig: Rig, position: Position, **changes: Any) -> list[str]:
    event = ExitsAmended(position.id, ExitChanges(**changes), "owner", rig.now)
    return [problem.field for problem in rig.guardian.amendment_problems(event)]


# Fields


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"take_profit": Percent(D(20))}, {"take_profit": Percent(D(20))}),
        ({"take_profit": NONE}, {"take_profit": NONE}),
        ({"stop_loss": AtPrice(D(90))}, {"stop_loss": AtPrice(D(90))}),
        ({"trailing": Percent(D(2))}, {"trailing": Trailing(Percent(D(2)))}),
        (
            {
                "trailing": Points(D(2)),
                "trailing_activation": Percent(D(3)),
                "trailing_step": Points(D(1)),
            },
            {"trailing": Trailing(Points(D(2)), Percent(D(3)), Points(D(1)))},
        ),
        ({"break_even": Percent(D(2))}, {"break_even": BreakEven(Percent(D(2)))}),
        (
            {"break_even": Percent(D(2)), "break_even_offset": D("0.5")},
            {"break_even": BreakEven(Percent(D(2)), D("0.5"))},
        ),
        ({"ladder": rungs("2:0.5")}, {"ladder": rungs("2:0.5")}),
        (
            {"ladder": rungs("2:0.5"), "break_even_after_rung": 1},
            {"ladder": rungs("2:0.5"), "break_even": BreakEven(after_rung=1)},
        ),
        ({"max_hold_ns": SECOND}, {"time": TimeStop(max_hold_ns=SECOND)}),
        ({"close_at_ns": T0 + SECOND}, {"time": TimeStop(close_at_ns=T0 + SECOND)}),
        ({"confirm_ms": 5, "confirm_ticks": 2}, {"confirmation": Confirmation(5, 2)}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_each_field_changes_its_rule_and_no_other(
    changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    rig, position = opened()
    rig.amend(position, **changes)
    assert "position.amended" in rig.logged(rig.last)
    exits = rig.position(position).exits
    for name in Exits.__struct_fields__:
        assert getattr(exits, name) == expected.get(name, getattr(position.exits, name)), name


def test_new_limits_hold_and_the_ones_before_do_not() -> None:
    rig, position = opened()
    rig.amend(position, take_profit=Percent(D(20)), stop_loss=Percent(D(8)))
    rig.trade(95.0)
    rig.trade(110.0)
    assert rig.exits() == []
    assert (rig.position(position).take_profit, rig.position(position).stop_loss) == (D(120), D(92))
    rig.trade(92.0)
    assert rig.exits()[0].reason is ExitReason.STOP_LOSS


def test_limits_that_are_taken_away_do_not_close() -> None:
    rig, position = opened()
    rig.amend(position, take_profit=NONE, stop_loss=NONE)
    rig.trade(200.0)
    rig.trade(1.0)
    assert rig.exits() == []
    assert list(exit_lines(rig.position(position))) == []


def test_a_trailing_stop_given_later_follows_from_the_price_now() -> None:
    rig, position = opened()
    rig.trade(108.0)
    rig.trade(104.0)
    rig.amend(position, trailing=Points(D(2)))
    assert rig.position(position).progress.peak == D(104)
    rig.trade(102.1)
    assert rig.exits() == []
    rig.trade(102.0)
    assert rig.exits()[0].reason is ExitReason.TRAILING


def test_a_changed_distance_is_from_the_peak_reached_so_far() -> None:
    rig, position = opened(trailing=Points(D(4)))
    rig.trade(108.0)
    rig.trade(106.0)
    rig.amend(position, trailing=Points(D(3)))
    assert rig.position(position).progress.peak == D(108)
    rig.trade(105.0)
    assert rig.exits()[0].reason is ExitReason.TRAILING


def test_a_trailing_stop_taken_away_and_given_again_starts_anew() -> None:
    rig, position = opened(trailing=Points(D(4)))
    rig.trade(108.0)
    rig.amend(position, trailing=NONE)
    assert rig.position(position).progress.peak is None
    rig.trade(101.0)
    rig.amend(position, trailing=Points(D(4)))
    assert rig.position(position).progress.peak == D(101)


def test_an_activation_taken_away_lets_it_follow_from_the_price_now() -> None:
    rig, position = opened(trailing=Points(D(2)), trailing_activation=Percent(D(8)))
    rig.trade(104.0)
    rig.amend(position, trailing_activation=NONE)
    rig.trade(102.0)
    assert rig.exits()[0].reason is ExitReason.TRAILING


def test_without_a_price_of_its_source_a_new_trailing_stop_follows_from_the_entry() -> None:
    rig, position = opened()
    rig.amend(position, trailing=Points(D(2)), trigger=PriceSource.MARK)
    assert rig.position(position).progress.peak == D(100)
    rig.mark(98.0)
    assert rig.exits()[0].reason is ExitReason.TRAILING


def test_the_source_can_be_changed_and_changed_again() -> None:
    rig, position = opened(trailing=Points(D(20)))
    rig.trade(104.0)
    rig.amend(position, trigger=PriceSource.MARK)
    assert rig.position(position).progress.peak == D(104)
    rig.trade(95.0)
    assert rig.exits() == []
    rig.mark(100.0)
    rig.amend(position, trigger=PriceSource.BOOK)
    rig.mark(95.0)
    rig.quote(95.1, 95.2)
    assert rig.exits() == []
    rig.quote(95.0, 95.2)  # a long closes at the bid
    assert (rig.exits()[0].reason, rig.exits()[0].trigger_price) == (ExitReason.STOP_LOSS, D(95))


def test_a_short_on_the_book_is_compared_with_the_ask() -> None:
    rig, position = opened("sell")
    rig.amend(position, trigger=PriceSource.BOOK)
    rig.quote(104.9, 104.95)
    assert rig.exits() == []
    rig.quote(104.9, 105.0)
    assert rig.exits()[0].reason is ExitReason.STOP_LOSS


# The ladder


def test_a_new_ladder_begins_with_its_first_rung() -> None:
    rig, position = opened(take_profit=NONE, ladder=rungs("2:0.5"))
    rig.trade(102.0)
    rig.filled(rig.exits()[0], "102")
    rig.amend(position, ladder=rungs("4:0.3", "6:0.1"))
    rig.trade(104.0)
    assert [o.qty for o in rig.exits()] == [D("0.5"), D("0.3")]


def test_a_rung_in_flight_when_the_ladder_is_replaced_counts_for_the_one_before() -> None:
    rig, position = opened(take_profit=NONE, ladder=rungs("2:0.5"))
    rig.trade(102.0)
    rig.amend(position, ladder=rungs("4:0.3"))
    rig.trade(104.0)
    rig.filled(rig.exits()[0], "102")
    rig.filled(rig.exits()[1], "104")
    assert [o.qty for o in rig.exits()] == [D("0.5"), D("0.3")]
    assert rig.position(position).qty_open == D("0.2")


def test_a_rung_refused_after_the_ladder_was_replaced_is_asked_for_again() -> None:
    rig, position = opened(take_profit=NONE, ladder=rungs("2:0.5"))
    rig.trade(102.0)
    rig.amend(position, ladder=rungs("4:0.3"))
    rig.update(rig.exits()[0], OrderStatus.REJECTED, message="busy")
    rig.wait(1.1)
    assert [o.qty for o in rig.exits()] == [D("0.5"), D("0.5")]


def test_a_ladder_taken_away_asks_for_nothing_more() -> None:
    rig, position = opened(take_profit=NONE, ladder=rungs("2:0.5", "4:0.5"))
    rig.trade(102.0)
    rig.update(rig.exits()[0], OrderStatus.REJECTED, message="busy")
    rig.amend(position, ladder=())
    rig.wait(5)
    rig.trade(104.0)
    assert len(rig.exits()) == 1


# Refused


@pytest.mark.parametrize(
    ("action", "changes", "field"),
    [
        ("buy", {"take_profit": Percent(D("0.5"))}, "take_profit_percent"),
        ("buy", {"take_profit": AtPrice(D(101))}, "take_profit"),
        ("sell", {"take_profit": AtPrice(D(101))}, "take_profit"),
        ("buy", {"stop_loss": AtPrice(D(101))}, "stop_loss"),
        ("sell", {"stop_loss": AtPrice(D(101))}, "stop_loss"),
        ("buy", {"stop_loss": Percent(D(100))}, "stop_loss_percent"),
        ("buy", {"trailing_step": Percent(D(1))}, "trailing_step_percent"),
        ("buy", {"trailing": Percent(D(100))}, "trailing_percent"),
        (
            "buy",
            {"trailing": Percent(D(1)), "trailing_activation": Percent(D(10))},
            "trailing_activation_percent",
        ),
        ("buy", {"break_even": Percent(D(10))}, "break_even_percent"),
        ("buy", {"break_even_offset": D(1)}, "break_even_offset_percent"),
        ("buy", {"break_even_after_rung": 1}, "break_even_after_rung"),
        ("buy", {"ladder": rungs("0.5:0.5")}, "ladder"),
        ("buy", {"ladder": rungs("2:0.6", "4:0.6")}, "ladder"),
        ("buy", {"close_at_ns": T0}, "close_at"),
        ("buy", {"confirm_ms": 60_001}, "confirm_ms"),
    ],
)
def test_a_set_that_cannot_hold_is_refused_by_its_field_and_changes_nothing(
    action: str, changes: dict[str, Any], field: str
) -> None:
    rig, _ = opened(action)
    rig.trade(101.0)
    before = rig.guardian.positions()
    position = before[0]
    assert problems(rig, position, **changes) == [field]
    rig.amend(position, **(changes | {"max_hold_ns": SECOND}))
    assert rig.logged(rig.last) == ["position.amendment_refused"]
    assert rig.guardian.positions() == before
    rig.wait(5)
    assert rig.exits() == []


def test_mark_is_refused_on_spot() -> None:
    rig = Rig()
    position = rig.open(instrument=BTC_SPOT)
    assert problems(rig, position, trigger=PriceSource.MARK) == ["trigger"]


def test_the_price_that_counts_is_that_of_the_new_source() -> None:
    rig, position = opened()
    rig.mark(94.0)
    assert problems(rig, position, trigger=PriceSource.MARK) == ["stop_loss_percent"]
    rig.mark(96.0)
    assert problems(rig, position, trigger=PriceSource.MARK) == []


def test_done_rungs_do_not_stand_against_other_changes() -> None:
    rig, position = opened(take_profit=NONE, ladder=rungs("2:0.5", "8:0.2"))
    rig.trade(103.0)
    assert problems(rig, position, stop_loss=Percent(D(3))) == []


def test_a_stop_at_break_even_is_not_held_against_the_stop_that_was_asked_for() -> None:
    rig, position = opened(break_even=Percent(D(2)), stop_loss=AtPrice(D(95)))
    rig.trade(102.0)
    rig.amend(position, trigger=PriceSource.MARK)
    rig.mark(101.0)
    assert problems(rig, position, take_profit=Percent(D(30))) == []


# When nothing is open


@pytest.mark.parametrize("closing", [True, False], ids=["closing", "opening"])
def test_only_an_open_position_is_amended(closing: bool) -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    if closing:
        rig.filled(rig.submitted()[-1], "100")
        rig.trade(95.0)
    before = rig.guardian.positions()
    rig.amend(KEY, stop_loss=NONE)
    assert (rig.last, rig.guardian.positions()) == ((), before)


def test_amending_what_is_unknown_or_closed_does_nothing() -> None:
    rig, position = opened()
    rig.trade(95.0)
    rig.filled(rig.exits()[0], "95")
    assert rig.position(position).status is PositionStatus.CLOSED
    assert (rig.amend(position, stop_loss=NONE), problems(rig, position)) == ((), [])


# Races and restarts


def test_an_amendment_after_the_trigger_does_not_take_the_close_back() -> None:
    rig, position = opened()
    rig.trade(95.0)
    rig.amend(position, stop_loss=Percent(D(20)))
    rig.filled(rig.exits()[0], "95")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_an_amendment_before_the_trigger_holds() -> None:
    rig, position = opened()
    rig.trade(95.1)
    rig.amend(position, stop_loss=Percent(D(20)))
    rig.trade(95.0)
    assert rig.exits() == []


def test_an_amendment_while_the_venue_is_asked_after_a_start_holds() -> None:
    old, _ = opened()
    rig = restart(old)
    rig.amend(KEY, stop_loss=Percent(D(2)))
    rig.trade(98.0)
    answer_absent(rig, 0, 1, 2, 3)
    assert rig.exits()[0].trigger_price == D(98)


def test_amended_rules_are_kept_over_a_restart() -> None:
    old, position = opened()
    old.amend(position, trailing=Points(D(2)), ladder=rungs("4:0.5"))
    rig = restart(old)
    answer_absent(rig, 0, 1, 2, 3)
    rig.trade(104.0)
    rig.trade(102.0)
    assert [o.reason for o in rig.exits()] == [ExitReason.LADDER, ExitReason.TRAILING]


def test_other_positions_of_the_instrument_keep_their_rules() -> None:
    rig, position = opened(strategy="a")
    other = rig.open(strategy="b")
    rig.open(instrument=ETH_PERP)
    rig.amend(position, stop_loss=Percent(D(20)))
    rig.trade(95.0)
    assert [o.position_id for o in rig.exits()] == [other.id]


def test_a_rung_reached_by_a_price_whose_closes_are_due_is_not_one_of_a_new_ladder() -> None:
    rig = Rig(max_open_positions=100)
    rig.balance("USDT", "1000000")
    fields = {"take_profit": NONE, "ladder": rungs("2:0.5", "4:0.25")}
    positions = [rig.open(strategy=str(number), **fields) for number in range(40)]
    rig.trade(104.0)
    last = positions[-1]
    served = {order.position_id for order in rig.exits()}
    assert last.id not in served  # its turn is yet to come
    rig.amend(last, ladder=rungs("5:0.5", "6:0.1"))
    before = rig.position(last)
    while any(type(effect).__name__ == "Continue" for effect in rig.last):
        rig.go_on()
    rig.go_on()
    assert len(rig.exits()) == 39
    assert rig.position(last).progress == before.progress


def test_an_activation_whose_turn_is_yet_to_come_does_not_start_what_was_taken_away() -> None:
    rig = Rig(max_open_positions=100)
    rig.balance("USDT", "1000000")
    fields = {"trailing": Points(D(2)), "trailing_activation": Percent(D(3))}
    positions = [rig.open(strategy=str(number), **fields) for number in range(40)]
    rig.trade(104.0)
    assert rig.logged(rig.last).count("position.trailing_activated") < 40
    rig.amend(positions[-1], trailing=NONE)
    rig.amend(positions[-2], trailing_activation=NONE)
    rig.go_on()
    rig.go_on()
    assert rig.logged().count("position.trailing_activated") == 38
    assert rig.position(positions[-1]).progress.peak is None
    assert rig.position(positions[-2]).progress.peak == D(104)
