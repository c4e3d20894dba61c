import json
from decimal import Decimal

import msgspec
import pytest

from engine.model.events import FundingPaid
from engine.model.exits import Side
from engine.model.instrument import Market
from engine.model.order import FillKind, OrderSide, OrderStatus, Refusal
from engine.venues.bybit.parse import ExecutionRow, OrderRow, PositionRow, WalletRow
from engine.venues.bybit.parse_events import (
    STATUSES,
    Unreadable,
    base_qty,
    market_of,
    moment_ns,
    number,
    read_balances,
    read_fill,
    read_funding,
    read_order,
    read_position,
    side_of,
    status_of,
)
from tests.engine.venues.bybit.venue import BTC_LINEAR, BTC_SPOT, POSITION_ID

OURS = f"{POSITION_ID}e0"


def order_row(**changes):
    row = {
        "symbol": "BTCUSDT",
        "orderId": "v1",
        "orderLinkId": OURS,
        "side": "Buy",
        "qty": "0.01",
        "orderStatus": "Filled",
        "cumExecQty": "0.01",
        "rejectReason": "EC_NoError",
        "cancelType": "UNKNOWN",
    }
    return msgspec.convert(row | changes, OrderRow)


def execution(**changes):
    row = {
        "symbol": "BTCUSDT",
        "orderId": "v1",
        "orderLinkId": OURS,
        "side": "Buy",
        "execId": "t1",
        "execPrice": "50000.5",
        "execQty": "0.01",
        "execFee": "0.275",
        "execType": "Trade",
        "execTime": "1700000000123",
        "feeCurrency": "",
        "closedSize": "",
    }
    return msgspec.convert(row | changes, ExecutionRow)


def position(**changes):
    row = {"symbol": "BTCUSDT", "side": "Buy", "size": "0.5", "positionIdx": 0}
    return msgspec.convert(row | {"avgPrice": "50000", "liqPrice": "45000"} | changes, PositionRow)


@pytest.mark.parametrize("text", [None, "", "0", "0.00"])
def test_numbers_that_are_left_out_are_zero(text):
    assert number(text) == 0


@pytest.mark.parametrize("text", ["nan", "Infinity", "-inf", "1,5", "x"])
def test_what_is_no_number_is_never_taken_for_one(text):
    with pytest.raises(Unreadable):
        number(text)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "soon"])
def test_what_is_no_moment_is_never_taken_for_one(text):
    with pytest.raises(Unreadable):
        moment_ns(text)


def test_a_side_is_one_of_two():
    assert side_of("Sell") is OrderSide.SELL
    with pytest.raises(Unreadable):
        side_of("")


def test_markets_that_are_not_traded_are_none():
    assert [market_of(text) for text in ("spot", "linear", "inverse", "option", "")] == [
        Market.SPOT,
        Market.LINEAR,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("New", OrderStatus.ACKNOWLEDGED),
        ("Untriggered", OrderStatus.ACKNOWLEDGED),
        ("Triggered", OrderStatus.ACKNOWLEDGED),
        ("PartiallyFilled", OrderStatus.PARTIALLY_FILLED),
        ("Filled", OrderStatus.FILLED),
        ("PartiallyFilledCanceled", OrderStatus.CANCELLED),
        ("Cancelled", OrderStatus.CANCELLED),
        ("Deactivated", OrderStatus.CANCELLED),
        ("Rejected", OrderStatus.REJECTED),
    ],
)
def test_every_status_of_an_order_has_its_own(text, status):
    assert status_of(order_row(orderStatus=text)) is status


def test_a_status_that_nobody_documented_is_not_final():
    assert "Suspended" not in STATUSES
    assert status_of(order_row(orderStatus="Suspended")) is OrderStatus.ACKNOWLEDGED


def test_an_order_of_ours_is_told_with_what_the_venue_counts_as_filled():
    told = read_order(order_row(orderStatus="PartiallyFilled", cumExecQty="0.004"), 7)
    assert told.client_order_id == OURS
    assert (told.status, told.at_ns) == (OrderStatus.PARTIALLY_FILLED, 7)
    assert (told.filled_qty, told.venue_order_id) == (Decimal("0.004"), "v1")
    assert (told.message, told.refusal) == (None, Refusal.OTHER)


@pytest.mark.parametrize("link", ["", "by-hand-1", "x" * 30])
def test_orders_of_others_are_not_told(link):
    assert read_order(order_row(orderLinkId=link), 7) is None


def test_a_late_rejection_says_why_and_what_may_be_done():
    row = order_row(
        orderStatus="Cancelled", cumExecQty="0", cancelType="CancelByReduceOnly", rejectReason=""
    )
    told = read_order(row, 7)
    assert (told.status, told.message) == (OrderStatus.CANCELLED, "CancelByReduceOnly")
    assert told.refusal is Refusal.REDUCE_ONLY
    row = order_row(orderStatus="Rejected", cumExecQty="", rejectReason="EC_EcInvalidQty")
    told = read_order(row, 7)
    assert (told.filled_qty, told.message) == (Decimal(0), "EC_EcInvalidQty")
    assert told.refusal is Refusal.FILTERS


def test_a_quantity_in_quote_asset_is_not_taken_for_base():
    assert base_qty(order_row(marketUnit="quoteCoin")) is None
    assert base_qty(order_row(marketUnit="baseCoin")) == Decimal("0.01")
    assert base_qty(order_row()) == Decimal("0.01")


def test_a_fill_of_linear_pays_its_fee_in_quote_asset():
    fill = read_fill(execution(), BTC_LINEAR, hedged=False)
    assert (fill.venue_trade_id, fill.client_order_id, fill.venue_order_id) == ("t1", OURS, "v1")
    assert (fill.side, fill.qty, fill.price) == (
        OrderSide.BUY,
        Decimal("0.01"),
        Decimal("50000.5"),
    )
    assert (fill.fee, fill.fee_asset, fill.fee_rate) == (Decimal("0.275"), "USDT", None)
    assert fill.time_ns == 1_700_000_000_123_000_000
    assert (fill.kind, fill.leg) == (FillKind.TRADE, None)


def test_a_fee_names_its_asset_or_is_paid_in_what_was_bought():
    bought = read_fill(execution(), BTC_SPOT, hedged=False)
    sold = read_fill(execution(side="Sell"), BTC_SPOT, hedged=False)
    third = read_fill(execution(feeCurrency="MNT"), BTC_SPOT, hedged=False)
    assert [fill.fee_asset for fill in (bought, sold, third)] == ["BTC", "USDT", "MNT"]


def test_an_order_that_has_no_name_of_ours_has_none():
    assert read_fill(execution(orderLinkId=""), BTC_SPOT, hedged=False).client_order_id is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Trade", FillKind.TRADE),
        ("BlockTrade", FillKind.TRADE),
        ("MovePosition", FillKind.TRADE),
        ("BustTrade", FillKind.LIQUIDATION),
        ("AdlTrade", FillKind.ADL),
    ],
)
def test_every_kind_of_execution_that_changes_a_position_is_a_fill(kind, expected):
    assert read_fill(execution(execType=kind), BTC_LINEAR, hedged=False).kind is expected


@pytest.mark.parametrize("kind", ["Funding", "Delivery", "Settle", "SessionSettlePnL", "New"])
def test_other_executions_are_no_fills(kind):
    assert read_fill(execution(execType=kind), BTC_LINEAR, hedged=False) is None


@pytest.mark.parametrize(
    ("side", "closed", "leg"),
    [
        ("Buy", "0", Side.LONG),
        ("Sell", "0", Side.SHORT),
        ("Sell", "0.01", Side.LONG),
        ("Buy", "0.01", Side.SHORT),
        ("Buy", "", None),
    ],
)
def test_in_hedge_mode_what_an_execution_closed_tells_its_leg(side, closed, leg):
    row = execution(side=side, closedSize=closed)
    assert read_fill(row, BTC_LINEAR, hedged=True).leg is leg
    assert read_fill(row, BTC_LINEAR, hedged=False).leg is None


def test_funding_is_positive_when_paid():
    row = execution(execType="Funding", execFee="1.25", execId="f1")
    assert read_funding(row, BTC_LINEAR) == FundingPaid(
        "f1", BTC_LINEAR, Decimal("1.25"), 1_700_000_000_123_000_000
    )


def test_a_position_is_read_from_either_spelling_of_its_entry():
    long = read_position(position())
    assert (long.side, long.qty, long.entry_price) == (Side.LONG, Decimal("0.5"), Decimal(50000))
    assert long.liquidation_price == Decimal(45000)
    short = read_position(position(side="Sell", avgPrice=None, entryPrice="51000", liqPrice=""))
    assert (short.side, short.entry_price) == (Side.SHORT, Decimal(51000))
    assert short.liquidation_price is None
    assert read_position(position(liqPrice="0")).liquidation_price is None


@pytest.mark.parametrize("flat", [{"size": "0", "side": ""}, {"size": "0"}, {"side": ""}])
def test_what_is_flat_is_no_position(flat):
    assert read_position(position(**flat)) is None


def wallet(*coins):
    return msgspec.json.decode(json.dumps({"coin": list(coins)}), type=WalletRow)


def test_margins_and_orders_lock_what_is_in_the_wallet():
    coin = {
        "coin": "USDT",
        "walletBalance": "1000",
        "locked": "100",
        "totalOrderIM": "20",
        "totalPositionIM": "3",
    }
    (balance,) = read_balances([wallet(coin)])
    assert (balance.venue, balance.asset, balance.market) == ("bybit", "USDT", None)
    assert (balance.total, balance.free, balance.locked) == (
        Decimal(1000),
        Decimal(877),
        Decimal(123),
    )


def test_margin_that_other_assets_back_leaves_nothing_free_and_not_less():
    coin = {"coin": "USDT", "walletBalance": "10", "totalPositionIM": "30"}
    (balance,) = read_balances([wallet(coin)])
    assert (balance.total, balance.free, balance.locked) == (Decimal(10), Decimal(0), Decimal(10))


def test_wallets_without_coins_have_no_balances():
    assert read_balances([wallet()]) == ()
