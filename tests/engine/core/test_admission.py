"""Whether an entry may be made, and how large."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.core.admission import liquidation_price
from engine.model.events import Balance, BalancesReported, BotSwitched
from engine.model.exits import AtPrice, Disarmed, Percent, Side
from engine.model.instrument import Instrument
from engine.model.order import OrderStatus
from engine.model.signal import Outcome, Size, SizeKind
from engine.model.ticks import PriceSource
from tests.engine.core.accounts_rig import reads, report, row, settled
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, ETH_PERP, SECOND, Rig, config

D = Decimal


def size(kind: str, value: str) -> Size:
    return Size(SizeKind(kind), D(value))


def code(rig: Rig, action: str = "buy", instrument: Instrument = BTC_PERP, **fields: Any) -> str:
    """Send an entry at a price of 100; returns the code of its refusal, or "opened"."""
    signal = rig.signal(action, instrument, **fields)
    if signal.id in rig.guardian._state.waiting:
        rig.trade(100.0, instrument)
    record = rig.outcome(signal)
    if record.outcome is Outcome.PENDING:
        return "opened"
    assert record.outcome is Outcome.REJECTED
    assert record.reason
    assert rig.notices()[-1] == "signal.rejected"
    return record.reason.split(":")[0]


def entered(rig: Rig, **fields: Any) -> Decimal:
    assert code(rig, **fields) == "opened"
    return rig.submitted()[-1].qty


# Refusals


def test_a_stopped_bot_takes_no_entries() -> None:
    rig = Rig()
    rig.handle(BotSwitched(False, "owner", rig.now))
    assert code(rig) == "bot_stopped"


@pytest.mark.parametrize(("age", "outcome"), [(60, "opened"), (61, "too_old")])
def test_an_entry_is_refused_when_it_is_too_old(age: int, outcome: str) -> None:
    rig = Rig()
    assert code(rig, sent_at_ns=rig.now - age * SECOND) == outcome


def test_an_entry_without_a_time_counts_from_its_arrival() -> None:
    rig = Rig()
    assert code(rig, received_at_ns=rig.now - 61 * SECOND) == "too_old"


def test_an_entry_sent_before_a_close_that_came_already_is_superseded() -> None:
    rig = Rig()
    rig.signal("close", sent_at_ns=rig.now - 5 * SECOND)
    assert code(rig, sent_at_ns=rig.now - 6 * SECOND) == "superseded"
    assert code(rig, sent_at_ns=rig.now - 4 * SECOND) == "opened"


def test_a_later_close_with_an_earlier_time_takes_nothing_back() -> None:
    rig = Rig()
    rig.signal("close", sent_at_ns=rig.now - 5 * SECOND)
    rig.signal("close", sent_at_ns=rig.now - 9 * SECOND)
    assert code(rig, sent_at_ns=rig.now - 6 * SECOND) == "superseded"


def test_an_instrument_that_is_not_trading_is_refused() -> None:
    assert code(Rig(), instrument=replace(BTC_PERP, trading=False)) == "not_trading"


def test_spot_has_no_mark_price_to_be_guarded_by() -> None:
    rig = Rig(trigger=PriceSource.MARK)
    assert code(rig, instrument=BTC_SPOT) == "no_mark_on_spot"
    assert code(rig) == "opened"


def test_positions_count_towards_the_limit_and_entries_once_they_are_made() -> None:
    rig = Rig(max_open_positions=2)
    rig.open()
    first, second = rig.signal("buy", ETH_PERP), rig.signal("buy", ETH_PERP, strategy="b")
    assert rig.outcome(second).outcome is Outcome.PENDING
    rig.trade(100.0, ETH_PERP)
    assert [order.signal_id for order in rig.submitted()][1:] == [first.id]
    assert str(rig.outcome(second).reason).startswith("max_open_positions")


@pytest.mark.parametrize(
    ("action", "reference", "outcome"),
    [
        ("buy", "99", "price_moved"),  # 1 is more than 1 % of 99
        ("buy", "100", "opened"),
        ("buy", "200", "opened"),  # better than what the sender saw
        ("sell", "101.02", "price_moved"),
        ("sell", "101", "opened"),
        ("sell", "50", "opened"),
    ],
)
def test_a_market_worse_than_the_sender_saw_is_refused(
    action: str, reference: str, outcome: str
) -> None:
    assert code(Rig(), action, reference_price=D(reference)) == outcome


@pytest.mark.parametrize(
    ("action", "name", "price", "outcome"),
    [
        ("buy", "take_profit", "100", "take_profit_on_wrong_side"),
        ("buy", "take_profit", "100.1", "opened"),
        ("buy", "stop_loss", "100", "stop_loss_on_wrong_side"),
        ("buy", "stop_loss", "99.9", "opened"),
        ("sell", "take_profit", "100.1", "take_profit_on_wrong_side"),
        ("sell", "stop_loss", "99.9", "stop_loss_on_wrong_side"),
        ("sell", "stop_loss", "101", "opened"),
    ],
)
def test_limits_must_lie_on_their_side_of_the_price(
    action: str, name: str, price: str, outcome: str
) -> None:
    assert code(Rig(), action, **{name: AtPrice(D(price))}) == outcome


@pytest.mark.parametrize(
    ("instrument", "qty", "outcome"),
    [
        (BTC_PERP, "0.0009", "below_min_qty"),
        (replace(BTC_PERP, max_market_qty=D(2)), "2.001", "above_max_qty"),
        (replace(BTC_PERP, max_market_qty=D(2)), "2", "opened"),
        (replace(BTC_SPOT, min_qty=D(1)), "1.001", "below_min_qty"),  # 0.999999 after the fee
        (replace(BTC_SPOT, min_qty=D(1)), "1.002", "opened"),
        (BTC_PERP, "0.05", "below_min_notional"),  # 4.75 at its stop
        (BTC_PERP, "0.058", "opened"),  # 5.51 at its stop
        (BTC_PERP, "0.057", "below_min_notional"),
        (BTC_SPOT, "0.0579", "below_min_notional"),  # 5.4949 at its stop after the fee
        (BTC_SPOT, "0.058", "opened"),
    ],
)
def test_a_size_must_be_tradable_and_closable_at_its_stop(
    instrument: Instrument, qty: str, outcome: str
) -> None:
    assert code(Rig(), instrument=instrument, size=size("qty", qty)) == outcome


def test_an_entry_below_the_minimum_value_is_refused_though_its_stop_is_above_it() -> None:
    fields = {"stop_loss": AtPrice(D(150)), "size": size("qty", "0.04")}
    assert code(Rig(leverage=D(1)), "sell", **fields) == "below_min_notional"


def test_without_a_stop_the_price_stands_for_it() -> None:
    fields = {"stop_loss": Disarmed(), "size": size("qty", "0.055")}
    assert code(Rig(), **fields) == "opened"
    assert code(Rig(), stop_loss=Disarmed(), size=size("qty", "0.054")) == "below_min_notional"


@pytest.mark.parametrize(
    ("action", "stop", "outcome"),
    [
        ("buy", "91", "opened"),  # liquidated at 90.5, half a per cent of price is 0.5
        ("buy", "90.9", "stop_beyond_liquidation"),
        ("sell", "109", "opened"),
        ("sell", "109.1", "stop_beyond_liquidation"),
    ],
)
def test_the_stop_must_lie_well_before_the_liquidation(
    action: str, stop: str, outcome: str
) -> None:
    assert code(Rig(leverage=D(10)), action, stop_loss=AtPrice(D(stop))) == outcome


def test_on_cross_margin_the_liquidation_is_what_the_venue_reports_and_no_estimate_bars() -> None:
    rig = Rig(leverage=D(10), cross_margin=True)
    assert code(rig, "buy", stop_loss=AtPrice(D("90.9"))) == "opened"


def test_the_liquidation_price_is_on_the_losing_side() -> None:
    ten = config(leverage=D(10))
    assert liquidation_price(ten, Side.LONG, D(100)) == D("90.5")
    assert liquidation_price(ten, Side.SHORT, D(100)) == D("109.5")


def test_spot_knows_no_liquidation() -> None:
    stop = AtPrice(D("0.01"))
    assert code(Rig(), instrument=BTC_SPOT, stop_loss=stop, size=size("qty", "90")) != (
        "stop_beyond_liquidation"
    )


def test_what_is_not_free_cannot_be_spent() -> None:
    rig = Rig()
    rig.balance("USDT", "99.99")
    assert code(rig, instrument=BTC_SPOT) == "insufficient_balance"
    rig.balance("USDT", "100")
    assert code(rig, instrument=BTC_SPOT) == "opened"


def test_linear_takes_margin_and_fee() -> None:
    rig = Rig(leverage=D(10))
    rig.balance("USDT", "10.054")
    assert code(rig) == "insufficient_balance"
    rig.balance("USDT", "10.055")
    assert code(rig) == "opened"


def test_an_asset_of_which_no_balance_was_told_is_empty() -> None:
    assert code(Rig(), instrument=replace(BTC_PERP, quote="USDC")) == "insufficient_balance"


def test_entries_in_flight_reserve_their_funds_until_they_end() -> None:
    rig = Rig()
    rig.balance("USDT", "150")
    assert code(rig, instrument=BTC_SPOT) == "opened"
    entry = rig.submitted()[-1]
    assert code(rig, instrument=BTC_SPOT, strategy="two") == "insufficient_balance"
    assert code(rig, instrument=replace(BTC_PERP, quote="USDC")) == "insufficient_balance"
    rig.update(entry, OrderStatus.REJECTED)
    assert code(rig, instrument=BTC_SPOT) == "opened"


def test_funds_of_another_quote_asset_are_not_touched_by_a_reservation() -> None:
    rig = Rig()
    rig.balance("USDC", "150")
    assert code(rig, instrument=BTC_SPOT) == "opened"
    other = replace(BTC_PERP, id=replace(BTC_PERP.id, symbol="BTCUSDC"), quote="USDC")
    assert code(rig, instrument=other) == "opened"


# Sizes


def test_the_default_size_is_in_quote_and_rounded_down_to_the_step() -> None:
    rig = Rig(position_size=D("123.45678"))
    assert entered(rig) == D("1.234")


@pytest.mark.parametrize(
    ("kind", "value", "qty"),
    [
        ("qty", "1.5", "1.5"),
        ("quote_qty", "250", "2.5"),
        ("percent", "10", "10"),
        ("percent", "100", "99.945"),  # the fee has to fit too
        ("risk_percent", "1", "19.580"),  # 100 / (5 + 0.00055 x (100 + 95))
    ],
)
def test_each_kind_of_size(kind: str, value: str, qty: str) -> None:
    assert entered(Rig(), size=size(kind, value)) == D(qty)


def test_percent_is_of_what_is_free_and_not_of_what_is_locked() -> None:
    rig = Rig()
    balance = Balance("bybit", "USDT", D(1000), D(400), D(600))
    rig.handle(BalancesReported((balance,), rig.now))
    assert entered(rig, size=size("percent", "50")) == D(2)


def test_risk_needs_a_stop() -> None:
    assert code(Rig(), size=size("risk_percent", "1"), stop_loss=Disarmed()) == "no_stop"
    beyond = Percent(D(100))  # never reached, so no stop either
    assert code(Rig(), size=size("risk_percent", "1"), stop_loss=beyond) == "exits_contradict"


def test_risk_is_of_equity_with_what_is_open() -> None:
    rig = Rig(position_size=D(1000))
    rig.open(instrument=BTC_SPOT, price="100")  # 10 BTC
    rig.open(instrument=ETH_PERP, price="100")  # 10 ETH
    rig.balance("USDT", "9000")
    rig.trade(110.0, BTC_SPOT)
    rig.quote(89.0, 91.0, ETH_PERP)
    rig.trade(97.0, ETH_PERP)
    # 9,000 + 10 x 110 - 10 x 3 = 10,070; 1 % of it over 5.10725 a unit
    assert entered(rig, size=size("risk_percent", "1")) == D("19.717")


def test_risk_leaves_out_other_accounts_and_what_is_not_filled() -> None:
    rig = Rig()
    other = replace(BTC_PERP, id=replace(BTC_PERP.id, symbol="X"), quote="USDC")
    rig.balance("USDC", "10000")
    rig.open(instrument=other, price="100")
    rig.signal("buy", ETH_PERP)
    rig.trade(100.0, ETH_PERP)
    assert entered(rig, size=size("risk_percent", "1")) == D("19.580")


def test_risk_of_an_account_of_which_nothing_was_told_is_of_nothing() -> None:
    nothing = replace(BTC_PERP, quote="USDC")
    assert code(Rig(), instrument=nothing, size=size("risk_percent", "1")) == "below_min_qty"


def test_a_buy_meets_the_ask_and_a_sell_the_bid() -> None:
    for action, qty in (("buy", "0.8"), ("sell", "1.25")):
        rig = Rig()
        rig.signal(action)
        rig.quote(80.0, 125.0)
        assert rig.submitted()[-1].qty == D(qty)


# What the venue holds


def beside(qty: str, instrument: Instrument = BTC_PERP) -> Rig:
    """The venue holds so much that is not ours."""
    rig = Rig()
    rig.guardian._state.foreign[instrument.id] = D(qty)
    return rig


@pytest.mark.parametrize(
    ("action", "qty", "expected"),
    [
        ("buy", "-2", "foreign_position"),
        ("sell", "2", "foreign_position"),
        ("buy", "2", "opened"),
        ("sell", "-2", "opened"),
    ],
)
def test_an_entry_must_not_close_what_is_not_ours(action: str, qty: str, expected: str) -> None:
    assert code(beside(qty), action) == expected


def test_other_instruments_and_spot_balances_do_not_stand_against_an_entry() -> None:
    assert code(beside("-2"), instrument=ETH_PERP) == "opened"
    assert code(beside("2", BTC_SPOT), instrument=BTC_SPOT) == "opened"


def test_a_refusal_for_what_is_not_ours_has_the_account_read_once() -> None:
    rig = beside("-2")
    assert code(rig) == "foreign_position"
    rig.wait(5)
    assert reads(rig) == 1
    assert code(rig) == "foreign_position"
    rig.wait(1)
    assert reads(rig) == 0  # not for each signal
    rig.wait(4)
    assert reads(rig) == 1
    report(rig)
    assert code(rig) == "opened"


def test_an_instrument_whose_holdings_are_not_explained_takes_no_entries() -> None:
    rig = Rig(add_on_same=True)
    rig.open()
    settled(rig, times=3)
    signal = rig.signal("buy")
    assert rig.outcome(signal).reason == (
        "unexplained: the venue holds 0 BTC where our books say more;"
        " entries wait until that is explained"
    )
    settled(rig, row("long", "1"))
    assert entered(rig) == D(1)
