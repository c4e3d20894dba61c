"""Fills become money: the identities of the contract over any fills."""

from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.core.accounting import apply_entry, apply_exit, fee_rate, split_fill
from engine.model.exit_set import Exits
from engine.model.exits import Disarmed, Side
from engine.model.instrument import Instrument
from engine.model.money import ZERO
from engine.model.order import Fill, OrderSide
from engine.model.position import Position
from engine.model.ticks import PriceSource
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, position_id

D = Decimal
QTY = st.decimals("0.00000001", "1000", allow_nan=False, places=8)
PRICE = st.decimals("0.01", "100000", allow_nan=False, places=4)
FEE = st.decimals("-0.001", "0.01", allow_nan=False, places=5)  # a fraction; negative is a rebate
ASSET = st.sampled_from(["USDT", "BTC", "BNB"])
FILLS = st.lists(st.tuples(QTY, PRICE, FEE, ASSET), min_size=1, max_size=6)
ROUNDING = D("1e-15")


def new(instrument: Instrument = BTC_SPOT, side: Side = Side.LONG) -> Position:
    exits = Exits(Disarmed(), Disarmed())
    return Position(position_id(1), instrument, side, exits, PriceSource.LAST, 0)


def fill(
    side: OrderSide, qty: Decimal, price: Decimal, fraction: Decimal, asset: str, time_ns: int = 5
) -> Fill:
    """A fill whose fee is a fraction of it, in the asset's own units."""
    fee = {"BTC": qty, "USDT": qty * price, "BNB": qty * price / 600}[asset] * fraction
    return Fill(
        venue_trade_id="t",
        instrument=BTC_SPOT,
        side=side,
        qty=qty,
        price=price,
        fee=fee.quantize(D("1e-8")),
        fee_asset=asset,
        fee_rate=D(600) if asset == "BNB" else None,
        time_ns=time_ns,
    )


def quote_cash(fills: list[Fill]) -> Decimal:
    """What the account's quote balance changed by."""
    total = ZERO
    for one in fills:
        total += one.qty * one.price * (1 if one.side is OrderSide.SELL else -1)
        total -= one.fee if one.fee_asset == "USDT" else ZERO
    return total


def third_fees(fills: list[Fill]) -> Decimal:
    return sum((one.fee * D(600) for one in fills if one.fee_asset == "BNB"), ZERO)


@given(FILLS, FILLS, st.integers(0, 100))
def test_on_spot_the_cash_is_explained_by_the_result_and_the_dust(
    entries: list[tuple[Decimal, Decimal, Decimal, str]],
    exits: list[tuple[Decimal, Decimal, Decimal, str]],
    share: int,
) -> None:
    bought = [fill(OrderSide.BUY, *one) for one in entries]
    position = new()
    for one in bought:
        position = apply_entry(position, one)
    assume(position.received > 0)
    to_sell = position.received * share / 100
    total = sum((one[0] for one in exits), ZERO)
    sold = [
        fill(OrderSide.SELL, qty * to_sell / total, price, fee, "USDT" if asset == "BTC" else asset)
        for qty, price, fee, asset in exits
        if to_sell
    ]
    for one in sold:
        position = apply_exit(position, one)
    average = position.entry_price
    assert average is not None
    dust = position.qty_open
    position = replace(position, dust=dust)
    assert position.qty_open == ZERO
    left = quote_cash(bought + sold) - third_fees(bought + sold)
    assert abs(left - (position.net_pnl - dust * average)) <= ROUNDING * max(1, position.received)


@given(st.sampled_from(Side), FILLS, FILLS)
def test_on_linear_the_result_of_a_closed_position_is_what_it_was_sold_for_less_what_it_cost(
    side: Side,
    entries: list[tuple[Decimal, Decimal, Decimal, str]],
    exits: list[tuple[Decimal, Decimal, Decimal, str]],
) -> None:
    position = new(BTC_PERP, side)
    spent = earned = fees = ZERO
    for qty, price, fraction, _ in entries:
        one = replace(fill(position.entry_side, qty, price, fraction, "USDT"), instrument=BTC_PERP)
        position = apply_entry(position, one)
        spent, fees = spent + qty * price, fees + one.fee
    rest = position.qty
    for number, (qty, price, fraction, _) in enumerate(exits):
        part = rest if number == len(exits) - 1 else min(qty, rest)
        one = replace(fill(position.exit_side, part, price, fraction, "USDT"), instrument=BTC_PERP)
        position = apply_exit(position, one)
        rest -= part
        earned, fees = earned + part * price, fees + one.fee
    assert position.qty_open == ZERO
    assert position.realized_pnl == side.sign * (earned - spent)  # exact: nothing is averaged
    assert position.net_pnl == position.realized_pnl - fees
    assert position.unrealized_pnl(D(123)) == ZERO


@given(FILLS, PRICE, st.integers(1, 99))
def test_what_is_realised_and_what_is_not_add_up_at_any_price(
    entries: list[tuple[Decimal, Decimal, Decimal, str]], price: Decimal, share: int
) -> None:
    position = new()
    for one in entries:
        position = apply_entry(position, fill(OrderSide.BUY, *one))
    assume(position.received > 0)
    whole = position.unrealized_pnl(price)
    part = fill(OrderSide.SELL, position.received * share / 100, price, ZERO, "USDT")
    position = apply_exit(position, part)
    assert abs(position.realized_pnl + position.unrealized_pnl(price) - whole) <= ROUNDING


def test_fills_of_one_fee_rate_give_their_weighted_average() -> None:
    position = new()
    for qty, price in ((D(1), D(100)), (D(3), D(104))):
        position = apply_entry(position, fill(OrderSide.BUY, qty, price, D("0.001"), "BTC"))
    assert position.entry_price == D(103)
    assert position.qty_open == D("3.996")


def test_a_base_fee_is_worth_its_fills_price_and_is_never_held() -> None:
    position = apply_entry(new(), fill(OrderSide.BUY, D(1), D(100), D("0.001"), "BTC"))
    assert (position.fees, position.qty_open) == (D("0.1"), D("0.999"))


def test_a_fee_without_a_rate_is_flagged_and_not_taken_for_nothing() -> None:
    unknown = replace(fill(OrderSide.BUY, D(1), D(100), D("0.001"), "BNB"), fee_rate=None)
    assert fee_rate(unknown) is None
    position = apply_entry(new(), unknown)
    assert (position.fees, position.fees_unvalued) == (ZERO, True)
    position = apply_entry(position, fill(OrderSide.BUY, D(1), D(100), D("0.001"), "USDT"))
    assert (position.fees, position.fees_unvalued) == (D("0.1"), True)


@given(FILLS, FILLS)
def test_fees_without_a_rate_leave_the_rest_of_the_identity_alone(
    entries: list[tuple[Decimal, Decimal, Decimal, str]],
    exits: list[tuple[Decimal, Decimal, Decimal, str]],
) -> None:
    """On linear nothing but the fee that has no rate is missing from the net result."""
    rated, bare = new(BTC_PERP), new(BTC_PERP)
    missing = ZERO
    for side, apply, fills in (
        (OrderSide.BUY, apply_entry, entries),
        (OrderSide.SELL, apply_exit, exits),
    ):
        for values in fills:
            one = replace(fill(side, *values), instrument=BTC_PERP)
            rated = apply(rated, one)
            bare = apply(bare, replace(one, fee_rate=None))
            missing += one.fee * 600 if one.fee_asset == "BNB" else ZERO
    assert bare.fees + missing == rated.fees
    assert bare.net_pnl - missing == rated.net_pnl
    assert (bare.qty_open, bare.realized_pnl) == (rated.qty_open, rated.realized_pnl)
    third = [one for one in (*entries, *exits) if one[3] == "BNB"]
    charged = any(fill(OrderSide.BUY, *one).fee for one in third)
    assert bare.fees_unvalued is charged
    assert not rated.fees_unvalued


@given(QTY, PRICE, FEE, st.integers(1, 999))
def test_the_parts_of_a_fill_in_a_third_asset_cost_what_the_whole_does(
    qty: Decimal, price: Decimal, fraction: Decimal, share: int
) -> None:
    whole = fill(OrderSide.SELL, qty, price, fraction, "BNB")
    position = replace(new(), qty=qty, entry_value=qty * price)
    parted = position
    for part in split_fill(whole, qty * share / 1000):
        assert part.fee_rate == D(600)
        parted = apply_exit(parted, part)
    assert parted == apply_exit(position, whole)


def test_no_fee_needs_no_rate() -> None:
    assert fee_rate(replace(fill(OrderSide.BUY, D(1), D(1), ZERO, "BNB"), fee_rate=None)) == 1


def test_a_base_fee_on_linear_takes_nothing_from_the_position() -> None:
    one = replace(fill(OrderSide.BUY, D(1), D(100), D("0.001"), "BTC"), instrument=BTC_PERP)
    assert apply_entry(new(BTC_PERP), one).qty_open == D(1)


def test_times_are_of_the_first_entry_and_the_last_exit() -> None:
    position = new()
    for time_ns in (5, 6):
        position = apply_entry(position, fill(OrderSide.BUY, D(1), D(1), ZERO, "USDT", time_ns))
    for time_ns in (7, 8):
        position = apply_exit(position, fill(OrderSide.SELL, D(1), D(1), ZERO, "USDT", time_ns))
    assert (position.entry_time_ns, position.exit_time_ns) == (5, 8)


@given(QTY, PRICE, FEE, st.integers(1, 999))
def test_the_parts_of_a_fill_add_up_to_it(
    qty: Decimal, price: Decimal, fraction: Decimal, share: int
) -> None:
    whole = fill(OrderSide.BUY, qty, price, fraction, "USDT")
    part, rest = split_fill(whole, qty * share / 1000)
    assert part.qty + rest.qty == whole.qty
    assert part.fee + rest.fee == whole.fee
