"""The book fires what a naive scan over exact decimals would fire."""

from decimal import Decimal
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from engine.core.book import InstrumentBook, Thresholds
from engine.model.exit_set import Exits
from engine.model.exits import Disarmed, ExitReason, Side
from engine.model.position import Position
from engine.model.ticks import PriceSource
from tests.engine.core.rig import BTC_PERP, position_id

D = Decimal
# Prices near each other on a coarse grid, so that exact touches are common; and far digits.
NEAR = st.integers(995, 1005).map(lambda n: D(n) / 10)
FAR = st.decimals("0.00000001", "999999", allow_nan=False, places=8)
PRICES = st.one_of(NEAR, FAR)


def position(number: int, side: Side, trigger: PriceSource, *limits: Decimal | None) -> Position:
    take_profit, stop_loss = limits
    return Position(
        id=position_id(number),
        instrument=BTC_PERP,
        side=side,
        exits=Exits(Disarmed(), Disarmed()),
        trigger=trigger,
        created_at_ns=0,
        take_profit=take_profit,
        stop_loss=stop_loss,
    )


def reached(rule: tuple[Side, ExitReason], threshold: Decimal, price: Decimal) -> bool:
    rises = rule in {
        (Side.LONG, ExitReason.TAKE_PROFIT),
        (Side.SHORT, ExitReason.STOP_LOSS),
    }
    return price >= threshold if rises else price <= threshold


LIMITS = st.tuples(st.sampled_from(Side), st.none() | PRICES, st.none() | PRICES)


@given(st.lists(LIMITS, max_size=12), st.lists(PRICES, max_size=25), st.data())
def test_the_same_rules_fire_on_the_same_ticks_as_in_a_scan_of_decimals(
    limits: list[tuple[Side, Decimal | None, Decimal | None]],
    prices: list[Decimal],
    data: st.DataObject,
) -> None:
    book = InstrumentBook()
    naive: dict[tuple[str, ExitReason], tuple[Side, Decimal]] = {}
    positions = [
        position(n, side, PriceSource.LAST, take_profit, stop)
        for n, (side, take_profit, stop) in enumerate(limits)
    ]
    for p in positions:
        book.arm(p)
        for reason, threshold in (
            (ExitReason.TAKE_PROFIT, p.take_profit),
            (ExitReason.STOP_LOSS, p.stop_loss),
        ):
            if threshold is not None:
                naive[p.id, reason] = (p.side, threshold)
    for price in prices:
        if positions and data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(positions))
            book.disarm(gone)
            naive = {key: rule for key, rule in naive.items() if key[0] != gone.id}
        expected = {
            key
            for key, (side, threshold) in naive.items()
            if reached((side, key[1]), threshold, price)
        }
        fired = book.last.reached(float(price))
        assert (fired is None) == (not expected)
        assert len(fired or ()) == len(expected)
        assert set(fired or ()) == expected
        for key in expected:
            del naive[key]


@given(
    st.decimals("1e-12", "1e12", allow_nan=False).map(lambda d: D(f"{d:.14e}")),
    st.integers(-2, 2),
)
def test_doubles_compare_as_the_decimals_of_15_digits_they_stand_for(
    value: Decimal, ulps: int
) -> None:
    other = value + ulps * D(1).scaleb(value.adjusted() - 14)
    other = D(f"{other:.14e}")
    assert (float(value) < float(other)) == (value < other)
    assert (float(value) == float(other)) == (value == other)


def test_the_first_threshold_to_be_reached_is_given_first_then_the_oldest() -> None:
    falling = Thresholds(-1)
    for name, price in (("a", 90.0), ("b", 95.0), ("c", 95.0)):
        falling.add((name, ExitReason.STOP_LOSS), price)
    assert [key[0] for key in falling.pop_reached(80.0)] == ["b", "c", "a"]
    assert (len(falling), falling.nearest) == (0, -inf)


def test_a_rule_that_moves_is_reached_only_where_it_is_now() -> None:
    rising = Thresholds(1)
    key = ("a", ExitReason.TAKE_PROFIT)
    rising.add(key, 100.0)
    rising.add(key, 110.0)
    assert rising.nearest == 110.0
    assert rising.pop_reached(105.0) == []
    assert rising.pop_reached(110.0) == [key]


def test_moving_a_rule_for_ever_does_not_grow_the_book() -> None:
    rising = Thresholds(1)
    rising.add(("a", ExitReason.TAKE_PROFIT), 1.0)
    for step in range(1000):
        rising.add(("b", ExitReason.TAKE_PROFIT), 10.0 + step)
    rising.discard(("nobody", ExitReason.TAKE_PROFIT))
    assert len(rising._heap) < 40
    assert len(rising) == 2


def test_each_source_has_its_own_thresholds_and_a_quote_closes_longs_at_the_bid() -> None:
    book = InstrumentBook()
    for number, (side, source) in enumerate(
        [
            (Side.LONG, PriceSource.LAST),
            (Side.LONG, PriceSource.MARK),
            (Side.LONG, PriceSource.BOOK),
            (Side.SHORT, PriceSource.BOOK),
        ]
    ):
        stop = D(95) if side is Side.LONG else D(105)
        book.arm(position(number, side, source, None, stop))
    nearest = [
        (channel.falls.nearest, channel.rises.nearest)
        for channel in (book.last, book.mark, book.bid, book.ask)
    ]
    assert nearest == [(95.0, inf), (95.0, inf), (95.0, inf), (-inf, 105.0)]
