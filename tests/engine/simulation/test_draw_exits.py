"""Exit rules and sizes of simulated entries."""

import random
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.core.admission import Refused, admit
from engine.core.state import State
from engine.model.events import Balance
from engine.model.exit_checks import Situation, exit_problems
from engine.model.exit_set import Exits, amended
from engine.model.exits import AtPrice, Disarmed, Percent, Points, Side
from engine.model.instrument import Market
from engine.model.money import exact
from engine.model.rules.ladder import closes_all
from engine.model.signal import Action, Signal, SizeKind
from engine.model.ticks import PriceSource
from engine.simulation.draw_exits import (
    Entering,
    draw_amendment,
    draw_defaults,
    draw_exits,
    draw_part,
    draw_size,
    draw_wide_exits,
    part_of_largest,
)
from engine.simulation.plan import EPOCH_NS
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, config

D = Decimal
PRICE = 61_234.5
MANY = 600


def entering(seed, instrument=BTC_PERP, **changes):
    draw = random.Random(f"defaults/{seed}")
    side = Side.LONG if instrument.id.market is Market.SPOT else draw.choice(tuple(Side))
    made = Entering(instrument, side, PRICE, 5000, draw_defaults(draw), PriceSource.LAST)
    return replace(made, **changes)


def drawn(instrument=BTC_PERP, **changes):
    entries = [entering(seed, instrument, **changes) for seed in range(MANY)]
    return [(each, draw_exits(random.Random(f"x/{n}"), each)) for n, each in enumerate(entries)]


def situation(each, changes=None):
    return Situation(
        side=each.side,
        instrument=each.instrument.id,
        trigger=(changes.trigger if changes else None) or each.trigger,
        at_ns=EPOCH_NS + each.at_ms * 1_000_000,
        entry_price=exact(each.price),
        price=exact(each.price),
        fee_rate=D("0.001"),
    )


def test_sets_hold_together():
    for each, changes in drawn():
        assert not exit_problems(amended(each.defaults, changes), situation(each, changes))


def test_defaults_hold_for_either_side():
    for seed in range(MANY):
        each = entering(seed)
        assert not exit_problems(each.defaults, situation(each))


def test_nearly_all_entries_are_admitted():
    state = State(config())
    state.balances["bybit", None, "USDT"] = Balance("bybit", "USDT", D(10_000), D(10_000), D(0))
    state.at_ns = EPOCH_NS + 5_000_000_000
    refused = []
    for number, (each, changes) in enumerate(drawn(replace(BTC_PERP, qty_step=D("0.0001")))):
        state.config = config(exits=each.defaults)
        signal = Signal(
            id=f"s{number}",
            received_at_ns=state.at_ns,
            source="webhook",
            action=Action.BUY if each.side is Side.LONG else Action.SELL,
            instrument=each.instrument,
            size=draw_size(random.Random(number), each, changes),
            exits=changes,
        )
        try:
            admit(state, signal, exact(PRICE))
        except Refused as error:
            refused.append(str(error))
    assert 0 < len(refused) < MANY * 0.06, refused[:5]


def test_every_rule_is_used():
    sets = [changes for _, changes in drawn()]
    for name in (
        "take_profit",
        "stop_loss",
        "trailing",
        "trailing_activation",
        "trailing_step",
        "break_even",
        "break_even_offset",
        "break_even_after_rung",
        "ladder",
        "max_hold_ns",
        "close_at_ns",
        "confirm_ms",
        "confirm_ticks",
        "trigger",
    ):
        used = [getattr(each, name) for each in sets]
        assert sum(bool(value) and not isinstance(value, Disarmed) for value in used) >= 5, name


def test_limits_are_percents_prices_and_off():
    kinds = {type(each.stop_loss) for _, each in drawn()}
    assert {Percent, AtPrice, Disarmed} <= kinds
    assert {type(each.trailing) for _, each in drawn()} >= {Percent, Points, Disarmed}


def test_prices_of_limits_lie_on_the_right_side():
    found = 0
    for each, changes in drawn():
        if isinstance(changes.stop_loss, AtPrice):
            found += 1
            assert (exact(PRICE) - changes.stop_loss.value) * each.side.sign > 0
    assert found > 20


def test_ladders_close_all_or_leave_a_rest():
    ladders = [each.ladder for _, each in drawn() if each.ladder]
    assert {closes_all(ladder) for ladder in ladders} == {True, False}


def test_no_limit_lies_so_far_that_prices_never_reach_it():
    for _, changes in drawn():
        for limit in (changes.take_profit, changes.stop_loss, changes.trailing):
            assert not isinstance(limit, Percent) or limit.value <= 10


def test_spot_is_hardly_ever_asked_for_a_mark_price():
    asked = [changes.trigger for _, changes in drawn(BTC_SPOT, trigger=PriceSource.MARK)]
    assert 0 < asked.count(None) < MANY * 0.15
    assert PriceSource.MARK not in asked
    assert PriceSource.MARK not in [changes.trigger for _, changes in drawn(BTC_SPOT)]


def test_wide_limits_leave_room():
    for seed in range(50):
        changes = draw_wide_exits(random.Random(seed), entering(seed))
        assert min(changes.take_profit.value, changes.stop_loss.value) >= 4
        assert isinstance(changes.trailing, Disarmed)


def test_amendments_turn_rules_on_and_off():
    changes = [draw_amendment(random.Random(seed)) for seed in range(200)]
    assert not any(each.is_empty for each in changes)
    for name in ("stop_loss", "take_profit", "trailing", "break_even"):
        assert {type(getattr(each, name)) for each in changes} >= {Percent, Disarmed}


def test_an_amendment_on_its_own_can_hold():
    bare = Exits(Disarmed(), Disarmed())
    each = entering(1, side=Side.LONG)
    held = [
        not exit_problems(amended(bare, draw_amendment(random.Random(seed))), situation(each))
        for seed in range(200)
    ]
    assert sum(held) > 150


# Sizes


def test_sizes_of_every_kind_are_drawn():
    sizes = [
        draw_size(random.Random(number), each, changes)
        for number, (each, changes) in enumerate(drawn())
    ]
    assert None in sizes
    assert {size.kind for size in sizes if size} == set(SizeKind)


def test_risk_is_never_measured_without_a_stop():
    for number, (each, changes) in enumerate(drawn()):
        size = draw_size(random.Random(number), each, changes)
        if size and size.kind is SizeKind.RISK_PERCENT:
            assert not isinstance(changes.stop_loss, Disarmed)


@pytest.mark.parametrize("seed", range(20))
def test_an_entry_of_a_sliced_instrument_comes_close_to_its_largest_order(seed):
    sliced = replace(BTC_PERP, max_market_qty=D("0.100"))
    size = part_of_largest(random.Random(seed), sliced)
    assert size.kind is SizeKind.QTY
    assert D("0.075") <= size.value <= D("0.100")
    assert size.value % sliced.qty_step == 0


def test_without_a_largest_order_nothing_comes_close_to_it():
    assert part_of_largest(random.Random(1), BTC_PERP) is None


def test_closes_are_whole_parts_and_quantities():
    parts = [draw_part(random.Random(seed), BTC_PERP, PRICE) for seed in range(100)]
    kinds = {part.kind if part else None for part in parts}
    assert kinds == {None, SizeKind.PERCENT, SizeKind.QTY}
