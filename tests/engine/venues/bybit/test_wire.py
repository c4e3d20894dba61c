import json

import pytest

from engine.model.instrument import InstrumentId, Market
from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from engine.venues.bybit.wire import BybitDialect, Tickers
from engine.venues.channel import Counters
from engine.venues.dialect import ControlKind
from tests.engine.venues import frames
from tests.engine.venues.reading import Reader, recorded

BTC = InstrumentId("bybit", Market.LINEAR, "BTCUSDT")
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def reader(market: Market = Market.LINEAR) -> Reader:
    return Reader(BybitDialect(market), [InstrumentId("bybit", market, s) for s in SYMBOLS])


@pytest.mark.parametrize(("market", "frame_count", "ticks"), [("linear", 28, 34), ("spot", 11, 11)])
def test_every_recorded_trade_frame_is_read(recordings, market, frame_count, ticks):
    lines = recorded(recordings / "bybit" / f"v5_publicTrade_{market}.jsonl")
    into = reader(Market(market))
    assert into.read(lines) == len(lines) == frame_count
    assert len(into.ticks) == ticks
    assert not into.counters
    rows = [row for line in lines for row in json.loads(line)["data"]]
    prices = [tick.price for tick in into.ticks]
    # Frames of more than four trades pass on high, low and last only.
    assert len(rows) > ticks or market == "spot"
    assert (min(prices), max(prices)) == extremes(rows)


def extremes(rows):
    prices = [float(row["p"]) for row in rows]
    return min(prices), max(prices)


def test_every_recorded_linear_ticker_is_merged_though_few_carry_a_last_price(recordings):
    lines = recorded(recordings / "bybit" / "v5_tickers_linear.jsonl")
    into = reader()
    assert into.read(lines) == len(lines) == 401
    assert not into.counters
    messages = [json.loads(line) for line in lines]
    assert sum("lastPrice" not in m["data"] for m in messages) == 381
    marked = [m for m in messages if "markPrice" in m["data"]]
    assert [tick.mark for tick in into.ticks] == [float(m["data"]["markPrice"]) for m in marked]
    assert len(into.ticks) == 52
    assert all(isinstance(tick, MarkTick) for tick in into.ticks)
    # Deltas seldom carry funding; the snapshot's stays.
    assert all(tick.funding_rate is not None and tick.next_funding_ms for tick in into.ticks)


def test_every_recorded_spot_ticker_is_read_and_none_carries_a_mark_price(recordings):
    lines = recorded(recordings / "bybit" / "v5_tickers_spot.jsonl")
    instrument, ticks = InstrumentId("bybit", Market.SPOT, "BTCUSDT"), []
    channel = Tickers(instrument, ticks.append, counters := Counters())
    for line in lines:
        channel.read(line, 1)
    assert len(lines) == 41
    assert ticks == []
    assert not counters
    assert "tickers.BTCUSDT" not in BybitDialect(Market.SPOT).channels(instrument, print, counters)


@pytest.mark.parametrize(("market", "frame_count"), [("linear", 835), ("spot", 300)])
def test_level_one_of_every_recorded_book_frame_is_read(recordings, market, frame_count):
    lines = recorded(recordings / "bybit" / f"v5_orderbook200_{market}.jsonl")
    into = reader(Market(market))
    touches = list(level_one(lines))
    assert into.read(frame for frame, _, _ in touches) == len(lines) == frame_count
    assert not into.counters
    assert [(t.bid, t.ask) for t in into.ticks] == [(bid, ask) for _, bid, ask in touches]


def level_one(lines):
    """Rebuild the book of each frame, and write its best prices as a level-1 frame."""
    books = {}
    for line in lines:
        message = json.loads(line)
        data = message["data"]
        if message["type"] == "snapshot":
            books[data["s"]] = ({}, {})
        bids, asks = books[data["s"]]
        for side, rows in ((bids, data["b"]), (asks, data["a"])):
            for price, qty in rows:
                side[price] = qty
                if float(qty) == 0:
                    del side[price]
        bid, ask = max(bids, key=float), min(asks, key=float)
        frame = frames.bybit_book(
            data["s"], [[bid, bids[bid]]], [[ask, asks[ask]]], data["u"], message["ts"]
        )
        yield frame, float(bid), float(ask)


def test_every_example_of_level_one_is_read(recordings):
    lines = recorded(recordings / "bybit" / "examples" / "market.jsonl")
    books = [line for line in lines if b'"orderbook.1.' in line]
    into = reader()
    assert into.read(sorted(books, key=lambda line: json.loads(line)["ts"])) == len(books) == 2
    # The second example empties the ask: ignored.
    assert [(tick.bid, tick.ask) for tick in into.ticks] == [(27450.0, 27451.0)]
    assert dict(into.counters) == {"dropped.empty_book": 1}


def test_every_recorded_answer_is_an_acknowledgement(recordings):
    for market, count in (("linear", 17), ("spot", 7)):
        lines = recorded(recordings / "bybit" / f"v5_control_{market}.jsonl")
        kinds = [BybitDialect(Market(market)).classify(json.loads(line)).kind for line in lines]
        assert kinds == [ControlKind.ACK] * count
    refused = recorded(recordings / "bybit" / "examples" / "control.jsonl")[4]
    control = BybitDialect(Market.LINEAR).classify(json.loads(refused))
    assert control.kind is ControlKind.REFUSED
    assert control.text.startswith("Invalid topic")


def test_block_trades_are_no_prices():
    into = reader()
    into.read([frames.bybit_trade("BTCUSDT", 900, 1, BT=True), frames.bybit_trade("BTCUSDT", 5, 2)])
    assert [tick.price for tick in into.ticks] == [5.0]
    assert dict(into.counters) == {"dropped.block_trade": 1}


def test_a_long_frame_passes_on_high_low_and_last_in_order():
    rows = [(price, 10 + at, {}) for at, price in enumerate([5, 9, 6, 1, 7, 9, 1, 4])]
    rows[2] = (777, 12, {"BT": True})
    rows.insert(3, ("nan", 12, {}))
    rows.insert(4, (999, 9, {}))
    into = reader()
    into.read([frames.bybit_trades("BTCUSDT", rows)])
    assert [(tick.price, tick.sequence) for tick in into.ticks] == [(9.0, 11), (1.0, 13), (4.0, 17)]
    assert dict(into.counters) == {
        "dropped.not_a_price": 1, "dropped.older": 1, "dropped.block_trade": 1,
    }  # fmt: skip


def test_a_frame_of_1024_trades_is_read():
    rows = [(100 + at % 7, at + 1, {}) for at in range(1024)]
    into = reader()
    into.read([frames.bybit_trades("BTCUSDT", rows)])
    assert [tick.price for tick in into.ticks] == [100.0, 106.0, 101.0]


def test_trades_without_a_sequence_are_ordered_by_time():
    into = reader()
    into.read(
        [
            frames.bybit_trade("BTCUSDT", 1, 0, T=20),
            frames.bybit_trade("BTCUSDT", 2, 0, T=10),
            frames.bybit_trade("BTCUSDT", 3, 0, T=20),
        ]
    )
    assert into.ticks == [TradeTick(BTC, 1.0, 20, 0, 1), TradeTick(BTC, 3.0, 20, 0, 1)]


def test_an_unchanged_book_sent_again_is_a_sign_of_life():
    into = reader()
    into.read([frames.bybit_quote("BTCUSDT", 1, 2, 7, ts=1000)], received_ns=10)
    into.read([frames.bybit_quote("BTCUSDT", 1, 2, 7, ts=4000)], received_ns=20)
    into.read([frames.bybit_quote("BTCUSDT", 1, 2, 7, ts=4000)], received_ns=30)
    assert len(into.ticks) == 3
    assert isinstance(into.ticks[0], QuoteTick)
    assert into.ticks[0].venue_time_ms == 999
    assert into.router.channels[b"orderbook.1.BTCUSDT"].advanced_ns == 20


def test_update_one_is_a_restart_of_the_service():
    into = reader()
    into.read([frames.bybit_quote("BTCUSDT", 1, 2, n) for n in (500, 499, 1, 2)])
    assert [tick.sequence for tick in into.ticks] == [500, 1, 2]
    assert dict(into.counters) == {"dropped.older": 1, "sequence_restarted": 1}


def test_a_book_that_counts_anew_without_saying_so_is_followed_too():
    into = reader()
    into.read([frames.bybit_quote("BTCUSDT", 1, 2, n, ts=9000) for n in (500, *range(2, 40))])
    assert into.ticks[-1].sequence == 39
    assert into.counters["sequence_restarted"] == 1


def test_funding_merges_by_field_and_odd_values_cost_no_mark_price():
    into = reader()
    into.read([
        frames.bybit_ticker("BTCUSDT", 1, "snapshot", markPrice="10", fundingRate="0.0001",
                            nextFundingTime="1786320000000"),
        frames.bybit_ticker("BTCUSDT", 2, lastPrice="11"),
        frames.bybit_ticker("BTCUSDT", 3, fundingRate="-0.0002"),
        frames.bybit_ticker("BTCUSDT", 4, markPrice="12"),
        frames.bybit_ticker("BTCUSDT", 3, markPrice="13"),
        frames.bybit_ticker("BTCUSDT", 5, markPrice="14", fundingRate="", nextFundingTime=""),
        frames.bybit_ticker("BTCUSDT", 6, markPrice="15", fundingRate="nan"),
    ])  # fmt: skip
    assert [(t.mark, t.funding_rate, t.next_funding_ms) for t in into.ticks] == [
        (10.0, 0.0001, 1786320000000),
        (12.0, -0.0002, 1786320000000),
        (14.0, None, 0),
        (15.0, None, 0),
    ]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"op": "ping", "success": True, "ret_msg": "pong"}, ControlKind.PONG),
        ({"op": "pong", "args": ["1"]}, ControlKind.PONG),
        ({"op": "subscribe", "success": True, "req_id": "4"}, ControlKind.ACK),
        ({"op": "unsubscribe", "success": True, "req_id": "4"}, ControlKind.ACK),
        ({"op": "subscribe", "success": False, "ret_msg": "Invalid topic"}, ControlKind.REFUSED),
        ({"op": "subscribe", "success": False, "ret_msg": "error:already subscribed"},
         ControlKind.ACK),
        ({"topic": "kline.1.X"}, ControlKind.DATA),
        ({"op": "dcp"}, ControlKind.UNKNOWN),
        ({"hello": 1}, ControlKind.UNKNOWN),
        ([1], ControlKind.UNKNOWN),
    ],
)  # fmt: skip
def test_other_frames_are_told_apart(message, kind):
    assert BybitDialect(Market.LINEAR).classify(message).kind is kind


def test_requests_are_written_as_the_venue_wants_them():
    dialect = BybitDialect(Market.SPOT)
    assert json.loads(dialect.request(["a", "b"], "7", subscribe=True)) == {
        "req_id": "7", "op": "subscribe", "args": ["a", "b"],
    }  # fmt: skip
    assert json.loads(dialect.request(["a"], "8", subscribe=False))["op"] == "unsubscribe"
