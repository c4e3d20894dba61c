"""The session against a real WebSocket server on loopback, through the real library."""

import asyncio
import itertools

from structlog.testing import capture_logs

from engine.model.events import FeedLost
from engine.model.instrument import InstrumentId, Market
from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from tests.engine.venues import frames
from tests.engine.venues.feeds import (
    BNB,
    BTC,
    BTC_SPOT,
    ETH,
    make_feed,
    running,
    subscribed,
    watch,
)
from tests.engine.venues.venue_server import until


async def test_ticks_arrive_with_the_stamp_of_their_bytes(server, heard):
    feed = make_feed(server, heard)
    async with running(feed):
        watch(feed, BTC)
        await subscribed(server, 3)
        before = heard.clock.monotonic_ns()
        await server.send(
            frames.bybit_trade("BTCUSDT", "100.5", 7),
            frames.bybit_quote("BTCUSDT", "100.4", "100.6", 8),
            frames.bybit_ticker("BTCUSDT", 9, markPrice="100.45", fundingRate="0.0001"),
        )
        await until(lambda: len(heard.ticks) == 3)
    after = heard.clock.monotonic_ns()
    trade, quote, mark = heard.ticks
    assert isinstance(trade, TradeTick)
    assert isinstance(quote, QuoteTick)
    assert isinstance(mark, MarkTick)
    assert trade == TradeTick(BTC, 100.5, 1007, 7, trade.received_ns)
    assert (quote.bid, quote.ask, quote.bid_qty, quote.ask_qty) == (100.4, 100.6, 1.0, 2.0)
    assert (mark.mark, mark.funding_rate) == (100.45, 0.0001)
    assert before < trade.received_ns <= quote.received_ns <= mark.received_ns < after


async def test_no_connection_is_opened_while_nothing_is_watched(server, heard):
    feed = make_feed(server, heard)
    async with running(feed):
        await asyncio.sleep(0.1)
        assert not server.connections
        watch(feed, BTC_SPOT)
        await subscribed(server, 2)
        assert server.paths == ["/v5/public/spot"]
        feed.unwatch(BTC_SPOT)
        await until(lambda: server.live.state.name != "OPEN")
    assert len(server.connections) == 1
    assert heard.events == []


async def test_watch_and_unwatch_at_run_time_use_the_same_connection(server, heard):
    feed = make_feed(server, heard)
    async with running(feed):
        watch(feed, BTC, BTC)
        await subscribed(server, 3)
        watch(feed, ETH)
        await subscribed(server, 6)
        feed.unwatch(BTC)
        feed.unwatch(BTC)
        await until(lambda: server.requests[-1][1]["op"] == "unsubscribe")
        await server.send(frames.bybit_trade("BTCUSDT", 1, 1), frames.bybit_trade("ETHUSDT", 2, 2))
        await until(lambda: heard.ticks)
    assert len(server.connections) == 1
    assert sorted(server.requests[-1][1]["args"]) == [
        "orderbook.1.BTCUSDT", "publicTrade.BTCUSDT", "tickers.BTCUSDT",
    ]  # fmt: skip
    assert [tick.instrument for tick in heard.ticks] == [ETH]
    assert feed.counters["unwatched"] == 1


async def test_a_request_carries_at_most_ten_topics(server, heard):
    feed = make_feed(server, heard)
    for number in range(12):
        watch(feed, InstrumentId("bybit", Market.SPOT, f"C{number}USDT"))
    async with running(feed):
        await subscribed(server, 24)
    sizes = [len(request["args"]) for _, request in server.requests]
    assert max(sizes) <= 10
    assert len(set(server.topics())) == 24


async def test_binance_requests_are_paced(server, heard):
    feed = make_feed(server, heard, "binance")
    async with running(feed):
        for number in range(4):
            watch(feed, InstrumentId("binance", Market.SPOT, f"C{number}USDT"))
            await subscribed(server, 2 * (number + 1))
    moments = [at for at, _ in server.requests]
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert min(gaps) > 0.2


async def test_usdm_channels_go_to_their_routes(server, heard):
    feed = make_feed(server, heard, "binance")
    async with running(feed):
        watch(feed, BNB)
        await subscribed(server, 3)
    assert sorted(server.paths) == ["/market/stream", "/public/stream"]
    assert sorted(server.topics()) == [
        "bnbusdt@aggTrade", "bnbusdt@bookTicker", "bnbusdt@markPrice@1s",
    ]  # fmt: skip


async def test_application_pings_are_sent(server, heard):
    feed = make_feed(server, heard)
    session = feed._sessions[Market.LINEAR][0]
    session.dialect.ping_seconds = 0.05
    async with running(feed):
        watch(feed, BTC)
        await until(lambda: server.pings >= 2)
    assert heard.ticks == []


async def test_a_refused_topic_is_retried_alone_then_reported_and_the_others_live(server, heard):
    server.refuse = {"publicTrade.ETHUSDT"}
    feed = make_feed(server, heard)
    watch(feed, BTC, ETH)
    with capture_logs() as logs:
        async with running(feed):
            await until(lambda: heard.lost)
            await server.send(frames.bybit_trade("BTCUSDT", 1, 1))
            await until(lambda: heard.resumed)
    batch, *singles = [request["args"] for _, request in server.requests]
    assert len(batch) == 6
    assert all(len(each) == 1 for each in singles)
    assert [event.instruments for event in heard.lost] == [(ETH,)]
    assert "Invalid topic" in heard.lost[0].cause
    assert [event.instruments for event in heard.resumed] == [(BTC,)]
    assert "feed.subscription_failed" in {entry["event"] for entry in logs}


async def test_a_missing_acknowledgement_is_an_error(server, heard):
    server.mute_acks = True
    feed = make_feed(server, heard)
    watch(feed, BTC)
    with capture_logs() as logs:
        async with running(feed):
            await until(lambda: heard.lost)
    failed = [entry for entry in logs if entry["event"] == "feed.subscription_failed"]
    assert {entry["reason"] for entry in failed} == {"not acknowledged"}
    assert heard.lost == [
        FeedLost((BTC,), "subscription failed: not acknowledged", heard.lost[0].at_ns)
    ]


async def test_an_acknowledgement_without_an_id_answers_the_oldest_request(server, heard):
    server.nameless_acks = True
    feed = make_feed(server, heard)
    watch(feed, BTC)
    async with running(feed):
        await subscribed(server, 3)
        await asyncio.sleep(0.5)
    assert len(server.requests) == 1
    assert heard.lost == []


async def test_an_acknowledged_topic_without_a_first_tick_is_reported(server, heard):
    feed = make_feed(server, heard, stale=0.3)
    watch(feed, BTC)
    async with running(feed):
        await until(lambda: heard.lost)
    assert heard.lost[0].instruments == (BTC,)
    assert len(heard.lost) == 1
