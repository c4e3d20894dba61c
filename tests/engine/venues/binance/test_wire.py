import json

import pytest

from engine.model.instrument import InstrumentId, Market
from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from engine.venues.binance.wire import (
    Trades,
    spot_dialect,
    usdm_market_dialect,
    usdm_public_dialect,
)
from engine.venues.dialect import ControlKind
from tests.engine.venues import frames
from tests.engine.venues.reading import Reader, recorded, recorded_all

BTC = InstrumentId("binance", Market.LINEAR, "BTCUSDT")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "LRCBTC", "NKNUSDT", "AKROUSDT", "SUSHIUSDT")


def reader(make, market: Market = Market.LINEAR) -> Reader:
    return Reader(make(), [InstrumentId("binance", market, symbol) for symbol in SYMBOLS])


def spot() -> Reader:
    return reader(spot_dialect, Market.SPOT)


def usdm_trades() -> Reader:
    into = reader(usdm_market_dialect)
    for symbol in SYMBOLS:
        instrument = InstrumentId("binance", Market.LINEAR, symbol)
        channel = Trades(instrument, into.ticks.append, into.counters)
        into.add({f"{symbol.lower()}@trade": channel})
    return into


@pytest.mark.parametrize(
    ("make", "pattern", "frame_count", "kind"),
    [
        (spot, "spot_trade_*", 15_863, TradeTick),
        (spot, "spot_bookTicker_*", 52_200, QuoteTick),
        (lambda: reader(usdm_market_dialect), "usdm_aggTrade_*", 48, TradeTick),
        (lambda: reader(usdm_market_dialect), "usdm_markPrice_1s_*", 514, MarkTick),
        (lambda: reader(usdm_public_dialect), "usdm_bookTicker_*", 126_889, QuoteTick),
        (usdm_trades, "usdm_trade_*", 36_862, TradeTick),
    ],
)
def test_every_recorded_frame_of_a_channel_is_read(recordings, make, pattern, frame_count, kind):
    total = 0
    for name, lines in recorded_all(recordings / "binance", pattern):
        into = make()
        assert into.read(lines) == len(lines), name
        skipped = into.counters.pop("dropped.not_market", 0)
        assert len(into.ticks) == len(lines) - skipped, name
        assert not into.counters, name
        assert {type(tick) for tick in into.ticks} == {kind}
        total += len(lines)
    assert total == frame_count


def test_the_insurance_fund_is_no_market_trade(recordings):
    lines = recorded(recordings / "binance" / "usdm_trade_btcusdt_20230404.jsonl.gz")
    into = usdm_trades()
    into.read(lines)
    assert len(into.ticks) == len(lines) - 1
    assert into.counters["dropped.not_market"] == 1
    assert 28722.5 not in {tick.price for tick in into.ticks}
    assert max(tick.price for tick in into.ticks) < 28_300


def test_spot_quotes_carry_no_time_and_are_ordered_by_update(recordings):
    lines = recorded(recordings / "binance" / "spot_bookTicker_altcoins_2021.jsonl")
    into = spot()
    into.read(lines)
    assert {tick.venue_time_ms for tick in into.ticks} == {0}
    updates = [json.loads(line)["data"]["u"] for line in lines]
    assert [tick.sequence for tick in into.ticks] == updates


def test_a_receive_clock_behind_the_venue_loses_nothing(recordings):
    """The venue's clock is never compared with ours (E lies 1.27 s after receipt here)."""
    folder = recordings / "binance"
    lines = recorded(folder / "spot_trade_btcusdt_20240808.jsonl.gz")
    stamps = [int(text) for text in recorded(folder / "spot_trade_btcusdt_20240808.recv_ns.txt")]
    into = spot()
    channel = into.router.channels[b"btcusdt@trade"]
    behind = 0
    for line, stamp_ns in zip(lines, stamps, strict=True):
        into.read([line], stamp_ns)
        assert into.ticks[-1].received_ns == channel.advanced_ns == stamp_ns
        behind += into.ticks[-1].venue_time_ms * 1_000_000 > stamp_ns
    assert len(into.ticks) == len(lines)
    assert behind > 9_000


def test_fields_land_where_they_belong():
    into = reader(usdm_public_dialect)
    into.read([frames.binance_quote("BTCUSDT", "1.5", "1.6", 7, e="bookTicker", T=11, E=12)])
    assert into.ticks == [QuoteTick(BTC, 1.5, 1.6, 1.0, 2.0, 11, 7, 1)]
    into = reader(usdm_market_dialect)
    into.read(
        [frames.binance_aggregate("BTCUSDT", "2.5", 3), frames.binance_mark("BTCUSDT", "4", 9)]
    )
    assert into.ticks == [
        TradeTick(BTC, 2.5, 4003, 3, 1),
        MarkTick(BTC, 4.0, 0.0001, 9_000_000, 9, 1),
    ]


def test_older_frames_are_dropped_on_every_channel():
    into = usdm_trades()
    for number in (5, 4, 5):
        into.read(
            [
                frames.binance_trade("BTCUSDT", 1, number),
                frames.binance_aggregate("BTCUSDT", 1, number),
                frames.binance_mark("BTCUSDT", 1, number),
            ]
        )
    assert len(into.ticks) == 6
    assert dict(into.counters) == {"dropped.older": 3}
    into = spot()
    into.read([frames.binance_quote("BTCUSDT", 1, 2, number) for number in (5, 4, 5)])
    assert [tick.sequence for tick in into.ticks] == [5, 5]


@pytest.mark.parametrize("price", ["0", "-1", "nan", "inf"])
def test_what_is_no_price_is_dropped_on_every_channel(price):
    into = usdm_trades()
    into.read(
        [
            frames.binance_trade("BTCUSDT", price, 1),
            frames.binance_aggregate("BTCUSDT", price, 1),
            frames.binance_mark("BTCUSDT", price, 1),
        ]
    )
    assert into.ticks == []
    assert dict(into.counters) == {"dropped.not_a_price": 3}
    into = spot()
    into.read([frames.binance_quote("BTCUSDT", price, "5", 1)])
    assert into.ticks == []
    assert into.counters.total() == 1


def test_a_contract_without_funding_keeps_its_mark_price():
    into = reader(usdm_market_dialect)
    into.read(
        [
            frames.binance_mark("BTCUSDT", "4", 1, r="", T=0),
            frames.binance_mark("BTCUSDT", "4", 2, r="inf"),
        ]
    )
    assert [tick.funding_rate for tick in into.ticks] == [None, None]


@pytest.mark.parametrize(
    ("message", "kind", "request_id"),
    [
        ({"result": None, "id": 3}, ControlKind.ACK, "3"),
        ({"result": ["a@trade"], "id": 0}, ControlKind.ACK, "0"),
        ({"code": 2, "msg": "Invalid request"}, ControlKind.REFUSED, ""),
        ({"error": {"code": 3, "msg": "Invalid JSON"}, "id": 4}, ControlKind.REFUSED, "4"),
        ({"e": "serverShutdown", "E": 1}, ControlKind.SHUTDOWN, ""),
        ({"stream": "!serverShutdown", "data": {}}, ControlKind.SHUTDOWN, ""),
        ({"stream": "x@trade", "data": {"e": "trade"}}, ControlKind.DATA, ""),
        ({"e": "trade", "p": "1"}, ControlKind.UNKNOWN, ""),
        ({"hello": 1}, ControlKind.UNKNOWN, ""),
        ("text", ControlKind.UNKNOWN, ""),
    ],
)
def test_other_frames_are_told_apart(message, kind, request_id):
    control = spot_dialect().classify(message)
    assert (control.kind, control.request_id) == (kind, request_id)


def test_requests_are_written_as_the_venue_wants_them():
    dialect = spot_dialect()
    assert json.loads(dialect.request(["a@trade"], "7", subscribe=True)) == {
        "method": "SUBSCRIBE", "params": ["a@trade"], "id": 7,
    }  # fmt: skip
    assert json.loads(dialect.request(["a@trade"], "8", subscribe=False))["method"] == "UNSUBSCRIBE"
