"""Everything that was recorded or documented of what we ask parses; the rest is listed."""

import json

import msgspec
import pytest

from engine.venues.bybit.parse import SHAPES, TOPICS, Frame

# Replies that name no endpoint in the index of the examples.
EXAMPLES = {
    "example_http_get_account_info.json": "GET /v5/account/info",
    "example_http_get_executions.json": "GET /v5/execution/list",
    "example_http_get_fee_rate.json": "GET /v5/account/fee-rate",
    "example_http_get_instruments_inverse.json": "GET /v5/market/instruments-info",
    "example_http_get_instruments_inverse_symbol_type.json": "GET /v5/market/instruments-info",
    "example_http_get_instruments_linear.json": "GET /v5/market/instruments-info",
    "example_http_get_instruments_linear_symbol_type.json": "GET /v5/market/instruments-info",
    "example_http_get_instruments_spot.json": "GET /v5/market/instruments-info",
    "example_http_get_instruments_spot_xstocks.json": "GET /v5/market/instruments-info",
    "example_http_get_klines_linear.json": "GET /v5/market/kline",
    "example_http_get_orders_history.json": "GET /v5/order/history",
    "example_http_get_orders_realtime.json": "GET /v5/order/realtime",
    "example_http_get_orders_realtime_tp_sl.json": "GET /v5/order/realtime",
    "example_http_get_positions.json": "GET /v5/position/list",
    "example_http_get_wallet_balance.json": "GET /v5/account/wallet-balance",
}
UNUSED_REPLIES = {
    "example_http_get_funding_history.json",
    "example_http_get_orderbook.json",
    "example_http_get_trades_recent.json",
    "GET_v5_asset_coin_query-info.json",
    "GET_v5_market_funding_history.json",
    "GET_v5_market_mark-price-kline.json",
    "GET_v5_market_orderbook.json",
    "GET_v5_market_price-limit.json",
    "GET_v5_market_recent-trade.json",
    "GET_v5_market_tickers.json",
    "GET_v5_market_tickers__GetSpotTickers.json",
    "GET_v5_position_closed-pnl.json",
    "POST_v5_order_amend-batch.json",
    "POST_v5_order_amend.json",
    "POST_v5_order_cancel-all.json",
    "POST_v5_order_cancel-batch.json",
    "POST_v5_order_create-batch.json",
    "POST_v5_order_disconnected-cancel-all.json",
    "POST_v5_order_pre-check.json",
    "POST_v5_position_add-margin.json",
    "POST_v5_position_set-auto-add-margin.json",
    "POST_v5_position_set-tpsl-mode.json",
    "POST_v5_position_switch-isolated.json",
    "POST_v5_position_switch-mode.json",
    "POST_v5_position_trading-stop.json",
}
NEVER_SHOWN = {"GET /v5/market/time"}
"""Asked, but no reply of it is among the examples."""

UNUSED_TOPICS = {
    "execution.fast",
    "allLiquidation.ETHUSDT",
    "priceLimit.BTCUSDT",
    "publicTrade.BTCUSDT",
    "system.status",
    "tickers.BTCUSDT",
}


def replies(recordings):
    folder = recordings / "bybit" / "rest"
    for row in json.loads((folder / "index.json").read_bytes()):
        name = EXAMPLES.get(row["file"])
        if "path" in row:
            name = f"{row['method']} {row['path']}"
        yield row["file"], name, folder / row["file"]


def test_every_reply_of_an_endpoint_that_is_asked_parses(recordings):
    used = set()
    for file, name, path in replies(recordings):
        if name in SHAPES:
            answer = msgspec.json.decode(path.read_bytes(), type=SHAPES[name])
            rows = getattr(answer.result, "rows", None)
            assert rows is None or rows, file
            used.add(name)
    assert used == set(SHAPES) - NEVER_SHOWN


def test_replies_that_are_not_used_are_listed(recordings):
    unused = {file for file, name, _ in replies(recordings) if name not in SHAPES}
    assert unused == UNUSED_REPLIES


def frames(recordings):
    folder = recordings / "bybit" / "examples"
    for name in ("user_data.jsonl", "subscriptions_recv.jsonl", "control.jsonl"):
        yield from (folder / name).read_bytes().splitlines()


def test_every_account_frame_parses(recordings):
    topics = set()
    for line in frames(recordings):
        frame = msgspec.json.decode(line, type=Frame)
        if frame.topic in TOPICS:
            assert msgspec.json.decode(frame.data, type=TOPICS[frame.topic])
            topics.add(frame.topic)
    assert topics == set(TOPICS)


def test_topics_that_are_not_used_are_listed(recordings):
    told = {msgspec.json.decode(line, type=Frame).topic for line in frames(recordings)}
    assert told - {""} - set(TOPICS) == UNUSED_TOPICS


def test_a_refused_log_in_and_a_refused_subscription_say_why(recordings):
    lines = (recordings / "bybit" / "examples" / "control.jsonl").read_bytes().splitlines()
    told = [msgspec.json.decode(line, type=Frame) for line in lines]
    refused = [frame for frame in told if frame.success is False]
    assert [(frame.op, frame.ret_code) for frame in refused] == [("auth", 10003), ("subscribe", 0)]
    assert refused[0].message == "Invalid apikey"
    assert refused[1].ret_msg.startswith("Invalid topic")


@pytest.mark.parametrize("topic", TOPICS)
def test_rows_without_what_is_read_of_them_are_refused(topic):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'[{"symbol":"BTCUSDT"}]', type=TOPICS[topic])
