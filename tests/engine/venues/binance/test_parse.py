"""Everything that was recorded or documented of what we ask parses; the rest is listed."""

import json
from decimal import Decimal

import msgspec
import pytest

from engine.model.exits import Side
from engine.model.order import OrderStatus
from engine.venues.binance import parse, parse_frames
from engine.venues.binance.parse_frames import KINDS, UNUSED, read_frame

Orders, Algos = list[parse.OrderRow], list[parse.AlgoRow]
SHAPES = {
    "GET /api/v3/time": parse.ServerTime,
    "GET /fapi/v1/time": parse.ServerTime,
    "POST /api/v3/order": parse.OrderRow,
    "GET /api/v3/order": parse.OrderRow,
    "DELETE /api/v3/order": parse.OrderRow,
    "GET /api/v3/openOrders": Orders,
    "GET /api/v3/allOrders": Orders,
    "GET /api/v3/myTrades": list[parse.SpotTrade],
    "GET /api/v3/account": parse.SpotAccount,
    "GET /api/v3/klines": list[parse.Bar],
    "GET /sapi/v1/account/apiRestrictions": parse.KeyRights,
    "POST /fapi/v1/order": parse.OrderRow,
    "GET /fapi/v1/order": parse.OrderRow,
    "DELETE /fapi/v1/order": parse.OrderRow,
    "GET /fapi/v1/openOrders": Orders,
    "GET /fapi/v1/allOrders": Orders,
    "GET /fapi/v1/userTrades": list[parse.UsdmTrade],
    "GET /fapi/v1/income": list[parse.Income],
    "GET /fapi/v3/positionRisk": list[parse.PositionRow],
    "GET /fapi/v3/balance": list[parse.UsdmBalance],
    "GET /fapi/v1/accountConfig": parse.AccountConfig,
    "GET /fapi/v1/symbolConfig": list[parse.SymbolConfig],
    "GET /fapi/v1/commissionRate": parse.CommissionRate,
    "POST /fapi/v1/leverage": parse.LeverageSet,
    "POST /fapi/v1/marginType": parse.Done,
    "POST /fapi/v1/listenKey": parse.ListenKey,
    "PUT /fapi/v1/listenKey": parse.Done,
    "POST /fapi/v1/algoOrder": parse.AlgoRow,
    "GET /fapi/v1/algoOrder": parse.AlgoRow,
    "DELETE /fapi/v1/algoOrder": parse.AlgoDone,
    "GET /fapi/v1/openAlgoOrders": Algos,
    "GET /fapi/v1/allAlgoOrders": Algos,
}
# Replies that name no endpoint in the index of the examples.
EXAMPLES = {
    "example_usdm_balance.json": "GET /fapi/v3/balance",
    "example_usdm_open_algo_orders.json": "GET /fapi/v1/openAlgoOrders",
    "example_usdm_order_response.json": "GET /fapi/v1/order",
    "example_usdm_position_risk.json": "GET /fapi/v3/positionRisk",
    "example_spot_account_response.json": "GET /api/v3/account",
    "example_spot_account_trades_response.json": "GET /api/v3/myTrades",
    "example_spot_all_orders_response.json": "GET /api/v3/allOrders",
    "example_spot_cancel_order_response.json": "DELETE /api/v3/order",
    "example_spot_klines_response.json": "GET /api/v3/klines",
    "example_spot_new_order_full_response.json": "POST /api/v3/order",
    "example_spot_open_orders_response.json": "GET /api/v3/openOrders",
    "example_spot_order_response.json": "GET /api/v3/order",
    "example_spot_server_time_response.json": "GET /api/v3/time",
}
NEVER_SHOWN = {
    "GET /fapi/v1/time",
    "GET /fapi/v1/symbolConfig",
    "GET /sapi/v1/account/apiRestrictions",
}
"""Asked, but no reply of it is among the examples."""

ASKED_ELSEWHERE = {
    "GET /api/v3/aggTrades",
    "GET /api/v3/exchangeInfo",
    "GET /api/v3/ticker/bookTicker",
    "GET /api/v3/ticker/price",
    "GET /fapi/v1/aggTrades",
    "GET /fapi/v1/exchangeInfo",
    "GET /fapi/v1/klines",
    "GET /fapi/v1/markPriceKlines",
    "GET /fapi/v1/premiumIndex",
    "GET /fapi/v1/ticker/bookTicker",
    "GET /fapi/v2/ticker/price",
}
"""Prices, gaps and instruments: their own tests read them."""

UNUSED_EXAMPLES = {
    "example_usdm_account_info_v2.json",
    "example_spot_avg_price_response.json",
    "example_spot_book_ticker_response.json",
    "example_spot_cancel_open_orders_response.json",
    "example_spot_depth_response.json",
    "example_spot_exchange_info_response.json",
    "example_spot_ping_response.json",
    "example_spot_ticker_24hr_response.json",
    "example_spot_ticker_price_response.json",
    "example_spot_trades_response.json",
}

UNUSED_ENDPOINTS = {
    "DELETE /api/v3/openOrders",
    "DELETE /api/v3/orderList",
    "DELETE /fapi/v1/algoOpenOrders",
    "DELETE /fapi/v1/allOpenOrders",
    "DELETE /fapi/v1/batchOrders",
    "DELETE /fapi/v1/listenKey",
    "DELETE /sapi/v1/algo/futures/order",
    "GET /api/v3/account/commission",
    "GET /api/v3/allOrderList",
    "GET /api/v3/openOrderList",
    "GET /api/v3/orderList",
    "GET /api/v3/rateLimit/order",
    "GET /api/v3/ticker/24hr",
    "GET /api/v3/trades",
    "GET /fapi/v1/adlQuantile",
    "GET /fapi/v1/depth",
    "GET /fapi/v1/forceOrders",
    "GET /fapi/v1/fundingInfo",
    "GET /fapi/v1/fundingRate",
    "GET /fapi/v1/leverageBracket",
    "GET /fapi/v1/multiAssetsMargin",
    "GET /fapi/v1/openOrder",
    "GET /fapi/v1/orderAmendment",
    "GET /fapi/v1/ticker/24hr",
    "GET /fapi/v1/trades",
    "GET /fapi/v2/account",
    "GET /fapi/v2/positionRisk",
    "GET /fapi/v3/account",
    "GET /sapi/v1/algo/futures/historicalOrders",
    "GET /sapi/v1/algo/futures/openOrders",
    "GET /sapi/v1/algo/futures/subOrders",
    "GET /sapi/v1/asset/tradeFee",
    "GET /sapi/v1/blvt/redeem/record",
    "GET /sapi/v1/blvt/subscribe/record",
    "GET /sapi/v1/pay/transactions",
    "POST /api/v3/order/cancelReplace",
    "POST /api/v3/order/test",
    "POST /api/v3/orderList/oco",
    "POST /api/v3/orderList/oto",
    "POST /api/v3/orderList/otoco",
    "POST /fapi/v1/batchOrders",
    "POST /fapi/v1/countdownCancelAll",
    "POST /fapi/v1/positionMargin",
    "POST /fapi/v1/positionSide/dual",
    "POST /sapi/v1/algo/futures/newOrderTwap",
    "POST /sapi/v1/algo/futures/newOrderVp",
    "POST /sapi/v1/algo/spot/newOrderTwap",
    "POST /sapi/v1/blvt/redeem",
    "POST /sapi/v1/blvt/subscribe",
    "PUT /api/v3/order/amend/keepPriority",
    "PUT /fapi/v1/batchOrders",
    "PUT /fapi/v1/order",
}


def replies(recordings):
    folder = recordings / "binance" / "rest"
    for row in json.loads((folder / "index.json").read_bytes()):
        name = f"{row['method']} {row['path']}" if "path" in row else EXAMPLES.get(row["file"])
        yield row["file"], name, folder / row["file"]


def test_every_reply_of_an_endpoint_that_is_asked_parses(recordings):
    used = set()
    for _, name, path in replies(recordings):
        if name in SHAPES:
            msgspec.json.decode(path.read_bytes(), type=SHAPES[name])
            used.add(name)
    assert set(SHAPES) - used == NEVER_SHOWN


def test_replies_that_are_not_used_are_known(recordings):
    unused = {(file, name) for file, name, _ in replies(recordings) if name not in SHAPES}
    assert {file for file, name in unused if name is None} == UNUSED_EXAMPLES
    elsewhere = {name for _, name in unused if name is not None}
    assert elsewhere - ASKED_ELSEWHERE == UNUSED_ENDPOINTS


def frames(recordings):
    folder = recordings / "binance" / "examples"
    for name in ("spot_user_data", "usdm_user_data"):
        for line in (folder / f"{name}.jsonl").read_bytes().splitlines():
            yield line
    names = (folder / "subscriptions_recv.names.txt").read_text().splitlines()
    lines = (folder / "subscriptions_recv.jsonl").read_bytes().splitlines()
    for name, line in zip(names, lines, strict=True):
        if name.startswith("Spot/Account/") or name in USDM_ACCOUNT:
            data = json.loads(line)
            yield json.dumps(data["data"]).encode() if "data" in data else line


USDM_ACCOUNT = {
    "UsdFutures/AccountUpdate",
    "UsdFutures/AlgoOrderUpdate",
    "UsdFutures/ConditionalTrigger",
    "UsdFutures/Leverage",
    "UsdFutures/MarginUpdate",
    "UsdFutures/MultiAssetMode",
    "UsdFutures/OrderUpdate",
}
OF_MARGIN = {"USER_LIABILITY_CHANGE", "MARGIN_LEVEL_STATUS_CHANGE"}
"""Told of margin accounts, which we have nothing to do with."""


def test_every_frame_of_user_data_parses_or_is_known_not_to_be_used(recordings):
    seen = set()
    for frame in frames(recordings):
        _, kind, told = read_frame(frame)
        if kind and kind not in OF_MARGIN:
            assert (told is not None) == (kind in KINDS), kind
            assert (told is None) == (kind in UNUSED), kind
            seen.add(kind)
    never_shown = {"eventStreamTerminated", "serverShutdown", "listenKeyExpired"}
    assert set(KINDS) - seen == never_shown


def test_a_trade_on_the_spot_stream_is_read_exactly(recordings):
    told = [read_frame(frame)[2] for frame in frames(recordings)]
    trade = next(
        each for each in told if isinstance(each, parse_frames.ExecutionReport) and each.t > 0
    )
    assert (trade.l, trade.L, trade.n, trade.N) == (1, 2500, Decimal("0.001"), "ETH")
    assert trade.own_id == "x-TD67BGP9-T0000000000000"


def test_legs_of_futures_are_told_apart(recordings):
    told = [read_frame(frame)[2] for frame in frames(recordings)]
    change = next(each for each in told if isinstance(each, parse_frames.AccountUpdate))
    assert [(row.ps, row.pa) for row in change.a.P] == [("BOTH", 0), ("LONG", 20), ("SHORT", -10)]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("NEW", OrderStatus.ACKNOWLEDGED),
        ("PARTIALLY_FILLED", OrderStatus.PARTIALLY_FILLED),
        ("FILLED", OrderStatus.FILLED),
        ("CANCELED", OrderStatus.CANCELLED),
        ("EXPIRED", OrderStatus.CANCELLED),
        ("EXPIRED_IN_MATCH", OrderStatus.CANCELLED),
        ("REJECTED", OrderStatus.REJECTED),
        ("SOMETHING_NEW", OrderStatus.UNKNOWN),
    ],
)
def test_each_status_of_the_venue_has_one_of_ours(name, status):
    assert parse.order_status(name) is status


@pytest.mark.parametrize(("written", "child"), [("", None), ("0", None), ("974", 974), (974, 974)])
def test_a_conditional_order_has_a_child_once_it_triggered(written, child):
    order = parse.AlgoRow(1, "a", "BTCUSDT", "SELL", "NEW", Decimal(1), actual_order_id=written)
    told = parse_frames.AlgoOrder("a", 1, "BTCUSDT", "NEW", ai=written)
    assert (order.child_id, told.child_id) == (child, child)


def test_the_leg_of_a_trade_is_told_in_hedge_mode_only():
    def trade(position_side):
        return parse.UsdmTrade(
            "BTCUSDT", 1, 1, Decimal(1), Decimal(1), Decimal(0), "USDT", 1, "BUY", position_side
        )

    assert [trade(each).leg for each in ("LONG", "SHORT", "BOTH")] == [Side.LONG, Side.SHORT, None]


def test_a_frame_of_a_kind_that_we_read_in_another_shape_is_no_silent_loss():
    with pytest.raises(msgspec.ValidationError):
        read_frame(b'{"e":"ORDER_TRADE_UPDATE","o":{"s":"BTCUSDT"}}')
