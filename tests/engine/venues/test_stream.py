"""The session against a real WebSocket server on loopback, through the real library."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from engine.clock import SystemClock
from engine.model.events import FeedLost, FeedResumed
from engine.model.instrument import InstrumentId, Market
from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from engine.venues.bybit.feed import endpoints as bybit_endpoints
from engine.venues.feed import StreamFeed
from engine.venues.link import LinkTimings
from engine.venues.registry import BinanceUrls, BybitUrls, build_feed
from engine.venues.stream import Timings
from engine.venues.transport import WebsocketsConnector
from tests.engine.venues import frames
from tests.engine.venues.venue_server import Heard, VenueServer, until

BTC = InstrumentId("bybit", Market.LINEAR, "BTCUSDT")
ETH = InstrumentId("bybit", Market.LINEAR, "ETHUSDT")
BTC_SPOT = InstrumentId("bybit", Market.SPOT, "BTCUSDT")
BNB = InstrumentId("binance", Market.LINEAR, "BNBUSDT")
BNB_SPOT = InstrumentId("binance", Market.SPOT, "BNBUSDT")

QUICK = Timings(
    connect_seconds=2.0,
    backoff_seconds=0.02,
    max_backoff_seconds=0.1,
    link=LinkTimings(
        ack_seconds=0.3,
        send_seconds=1.0,
        close_seconds=0.5,
        watch_seconds=0.02,
        retry_seconds=(0.05, 60.0),
    ),
)


def make_feed(
    server: VenueServer, heard: Heard, venue: str = "bybit", stale: float = 30.0,
    timings: Timings = QUICK,
) -> StreamFeed:  # fmt: skip
    url = server.url
    urls = (
        BybitUrls(rest=url, ws_public=f"{url}/v5/public/", ws_private=url)
        if venue == "bybit"
        else BinanceUrls(url, url, url, url, url)
    )
    return build_feed(
        venue, urls, SystemClock(), heard.tick, heard.event, stale,
        rng=random.Random(7), timings=timings,
    )  # fmt: skip


@asynccontextmanager
async def running(feed: StreamFeed) -> AsyncIterator[asyncio.Task[None]]:
    before = asyncio.all_tasks()
    task = asyncio.create_task(feed.run())
    try:
        yield task
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        left = {each for each in asyncio.all_tasks() - before if "feed" in repr(each.get_coro())}
        assert not left, "the feed left tasks behind"


@pytest.fixture
async def server() -> AsyncIterator[VenueServer]:
    async with VenueServer().running() as server:
        yield server


@pytest.fixture
def heard() -> Heard:
    return Heard()


def watch(feed: StreamFeed, *ids: InstrumentId) -> None:
    for each in ids:
        feed.watch(frames.instrument(each.venue, each.market, each.symbol))


async def subscribed(server: VenueServer, count: int) -> None:
    await until(lambda: len(server.topics()) >= count)


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


async def test_a_close_1012_is_logged_and_told_once_and_the_topics_come_back(server, heard):
    feed = make_feed(server, heard)
    watch(feed, BTC, ETH)
    with capture_logs() as logs:
        async with running(feed):
            await subscribed(server, 6)
            await server.send(
                frames.bybit_trade("BTCUSDT", 1, 1), frames.bybit_trade("ETHUSDT", 1, 1)
            )
            await until(lambda: len(heard.resumed) == 2)
            await server.live.close(1012, "service restart")
            await subscribed(server, 12)
            await server.send(frames.bybit_trade("BTCUSDT", 2, 2))
            await until(lambda: len(heard.resumed) == 3)
            await server.send(frames.bybit_trade("ETHUSDT", 2, 2))
            await until(lambda: len(heard.resumed) == 4)
    assert len(heard.lost) == 1
    assert sorted(heard.lost[0].instruments) == [BTC, ETH]
    assert heard.lost[0].cause == "closed 1012: service restart"
    closed = [entry for entry in logs if entry["event"] == "feed.closed"]
    assert closed[0]["code"] == 1012
    # The first fresh tick of each comes before the word that it is back.
    tail = list(heard.order)[-4:]
    assert [type(each) for each in tail] == [TradeTick, FeedResumed, TradeTick, FeedResumed]


async def test_an_unreachable_venue_is_told_once_and_tried_again(server, heard):
    feed = StreamFeed(
        "bybit", bybit_endpoints("ws://127.0.0.1:9/v5/public"),
        WebsocketsConnector(heard.clock.monotonic_ns), heard.clock, heard.tick, heard.event, 30.0,
        rng=random.Random(1), timings=QUICK,
    )  # fmt: skip
    watch(feed, BTC)
    with capture_logs() as logs:
        async with running(feed):
            await until(lambda: len([e for e in logs if e["event"] == "feed.connect_failed"]) > 3)
    assert len(heard.lost) == 1
    assert heard.lost[0].cause.startswith("connect failed")


async def test_pongs_and_acknowledgements_are_no_data(server, heard):
    """Half-open: the venue answers pings but sends nothing (fault 3)."""
    feed = make_feed(server, heard, stale=0.25)
    feed._sessions[Market.LINEAR][0].dialect.ping_seconds = 0.03
    watch(feed, BTC)
    async with running(feed):
        await until(lambda: len(server.connections) >= 2)
    assert server.pings > 3
    assert len(heard.lost) == 1
    assert heard.lost[0].cause in {"silent", "no_first_tick"}


async def test_a_frame_repeated_for_ever_is_a_frozen_feed(server, heard):
    """Age counts from the last rise of the venue's time or sequence, not from receipt (fault 2)."""
    feed = make_feed(server, heard, stale=0.25)
    watch(feed, BTC)
    async with running(feed):
        await subscribed(server, 3)
        frozen = frames.bybit_trade("BTCUSDT", 1, 1)
        started = heard.clock.monotonic_ns()
        while not heard.lost and heard.clock.monotonic_ns() - started < 2e9:
            await server.send(frozen)
            await asyncio.sleep(0.02)
    assert [event.instruments for event in heard.resumed] == [(BTC,)]
    assert [event.cause for event in heard.lost] == ["silent"]
    assert len(heard.ticks) > 5


async def test_one_silent_symbol_is_lost_and_comes_back_while_the_other_lives(server, heard):
    feed = make_feed(server, heard, stale=0.3)
    watch(feed, BTC, ETH)
    async with running(feed):
        await subscribed(server, 6)
        for seq in range(1, 60):
            await server.send(frames.bybit_ticker("BTCUSDT", seq, markPrice="1"))
            if seq < 5 or len(heard.lost) > 0:
                await server.send(frames.bybit_ticker("ETHUSDT", seq, markPrice="1"))
            if len(heard.resumed) == 3:
                break
            await asyncio.sleep(0.02)
    assert [event.instruments for event in heard.lost] == [(ETH,)]
    assert [event.instruments for event in heard.resumed] == [(BTC,), (ETH,), (ETH,)]
    assert len(server.connections) == 1


async def test_reordered_frames_are_dropped_and_equal_ones_kept(server, heard):
    feed = make_feed(server, heard)
    watch(feed, BTC)
    async with running(feed):
        await subscribed(server, 3)
        await server.send(
            *(
                frames.bybit_trade("BTCUSDT", price, seq)
                for price, seq in [(1, 5), (2, 7), (3, 6), (4, 7), (5, 8)]
            )
        )
        await until(lambda: len(heard.ticks) == 4)
    assert [tick.price for tick in heard.ticks] == [1.0, 2.0, 4.0, 5.0]
    assert feed.counters["dropped.older"] == 1


async def test_garbage_never_stops_the_feed_and_is_logged_once_a_kind(server, heard):
    feed = make_feed(server, heard)
    watch(feed, BTC)
    garbage = [
        b"", b"[]", b"7", b"not json " + b"x" * 500, b'{"topic":"publicTrade.BTCUSDT",',
        b'{"topic":"publicTrade.BTCUSDT","data":7}', b'{"topic":"publicTrade.OTHER","data":[]}',
        b'{"op":"news"}', b'{"a":1}', b"[" * 100_000, frames.bybit_trade("BTCUSDT", "", 3),
    ]  # fmt: skip
    with capture_logs() as logs:
        async with running(feed):
            await subscribed(server, 3)
            await server.send(*garbage, *garbage)
            await server.live.send(b"\xff\xfe\x00")
            await server.send(frames.bybit_trade("BTCUSDT", 1, 9))
            await until(lambda: heard.ticks)
    assert len(server.connections) == 1
    assert feed.counters["malformed.trade"] == 6
    assert feed.counters["malformed.unparsed"] == 7
    assert feed.counters["unknown.stream"] == 2
    assert feed.counters["unknown.op_news"] == 2
    assert feed.counters["unknown.message"] == 2
    assert feed.counters["unknown.not_an_object"] == 4
    odd = [e for e in logs if e["event"] in {"feed.malformed", "feed.unknown"}]
    assert len({(e["event"], e["kind"]) for e in odd}) == len(odd)
    assert max(len(e["frame"]) for e in odd) <= 200


async def test_a_frame_with_another_order_of_keys_is_still_read(server, heard):
    feed = make_feed(server, heard)
    watch(feed, BTC)
    unusual = frames.compact(
        {"type": "snapshot", "data": [{"T": 1, "p": "3", "seq": 1}], "topic": "publicTrade.BTCUSDT"}
    )
    spoiled = frames.compact({"type": "snapshot", "data": 1, "topic": "publicTrade.BTCUSDT"})
    async with running(feed):
        await subscribed(server, 3)
        await server.send(unusual, spoiled)
        await until(lambda: feed.counters["malformed.trade"])
    assert [tick.price for tick in heard.ticks] == [3.0]
    assert [event.instruments for event in heard.resumed] == [(BTC,)]
    assert feed.counters["unusual.layout"] == 1


async def test_a_server_shutdown_moves_to_a_new_connection_without_a_gap(server, heard):
    feed = make_feed(server, heard, "binance")
    watch(feed, BNB_SPOT)
    async with running(feed):
        await subscribed(server, 2)
        await server.send(frames.binance_trade("BNBUSDT", 1, 1))
        await until(lambda: heard.resumed)
        old = server.live
        server.mute_acks = True
        await server.send(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}')
        await subscribed(server, 4)
        await old.send(frames.binance_trade("BNBUSDT", 2, 2).decode())
        # The old connection serves until the new one's topics are acknowledged.
        await until(lambda: heard.ticks[-1].price == 2.0)
        await server.send(frames.compact({"result": None, "id": server.requests[-1][1]["id"]}))
        await server.send(
            frames.binance_trade("BNBUSDT", 2, 2), frames.binance_trade("BNBUSDT", 3, 3)
        )
        await until(lambda: heard.ticks[-1].price == 3.0)
        await until(lambda: old.state.name != "OPEN")
        await server.send(frames.binance_trade("BNBUSDT", 4, 4))
        await until(lambda: heard.ticks[-1].price == 4.0)
    assert len(server.connections) == 2
    assert heard.lost == []
    assert len(heard.resumed) == 1


async def test_connections_are_replaced_before_the_venue_cuts_them(server, heard):
    timings = Timings(backoff_seconds=0.02, life_seconds=0.2, link=QUICK.link)
    feed = make_feed(server, heard, "binance", timings=timings)
    watch(feed, BNB_SPOT)
    async with running(feed):
        await until(lambda: len(server.connections) >= 3)
        await until(lambda: server.connections[0].state.name != "OPEN")
        await server.send(frames.binance_trade("BNBUSDT", 1, 1))
        await until(lambda: heard.ticks)
    assert heard.lost == []


async def test_a_burst_does_not_starve_other_tasks(server, heard):
    """Counted in ticks between two turns of another task: wall time depends on the machine."""
    feed = make_feed(server, heard)
    watch(feed, BTC)
    burst = [frames.bybit_trade("BTCUSDT", 1, seq).decode() for seq in range(1, 20_001)]
    turns: list[int] = []

    async def measure() -> None:
        while True:
            await asyncio.sleep(0)
            turns.append(len(heard.ticks))

    async with running(feed):
        await subscribed(server, 3)
        meter = asyncio.create_task(measure())
        # Straight into the socket's buffer: the client then finds them all at once.
        server.live.transport.write(b"".join(text_frame(message) for message in burst))
        await until(lambda: len(heard.ticks) == len(burst), 20.0)
        meter.cancel()
    runs = [after - before for before, after in itertools.pairwise(turns)]
    assert sum(runs) > len(burst) * 0.9
    assert max(runs) < len(burst) / 5


def text_frame(message: str) -> bytes:
    payload = message.encode()
    assert 125 < len(payload) < 65536
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


async def test_an_error_of_the_sink_ends_the_feed_loudly(server, heard):
    def broken(tick: object) -> None:
        raise ZeroDivisionError

    heard.tick = broken
    feed = make_feed(server, heard)
    watch(feed, BTC)
    task = asyncio.create_task(feed.run())
    await subscribed(server, 3)
    await server.send(frames.bybit_trade("BTCUSDT", 1, 1))
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await asyncio.wait_for(task, 5)


async def test_both_connections_of_an_instrument_owe_a_fresh_tick(server, heard):
    feed = make_feed(server, heard, "binance")
    watch(feed, BNB)
    async with running(feed):
        await subscribed(server, 3)
        by_path = dict(zip(server.paths, server.connections, strict=True))
        market, public = by_path["/market/stream"], by_path["/public/stream"]
        await market.send(frames.binance_aggregate("BNBUSDT", 1, 1).decode())
        await until(lambda: heard.ticks)
        assert not feed.is_live(BNB)
        await public.send(frames.binance_quote("BNBUSDT", 1, 2, 1).decode())
        await until(lambda: heard.resumed)
        assert feed.is_live(BNB)
        assert 0 <= feed.age_seconds(BNB) < 5
        await public.close(1001)
        await until(lambda: heard.lost)
        await market.send(frames.binance_aggregate("BNBUSDT", 2, 2).decode())
        await until(lambda: len(heard.ticks) == 3)
        assert not feed.is_live(BNB)
    assert len(heard.resumed) == 1
    assert feed.age_seconds(BNB_SPOT) is None
    assert not feed.is_live(BNB_SPOT)


async def test_a_mark_price_that_stops_is_a_loss_though_trades_go_on(server, heard):
    feed = make_feed(server, heard, stale=0.3)
    watch(feed, BTC)
    async with running(feed):
        await subscribed(server, 3)
        await server.send(frames.bybit_ticker("BTCUSDT", 1, markPrice="1"))
        for seq in range(1, 60):
            await server.send(frames.bybit_trade("BTCUSDT", 1, seq))
            if heard.lost:
                break
            await asyncio.sleep(0.02)
        assert heard.lost[0].cause == "silent"
        await server.send(frames.bybit_ticker("BTCUSDT", 2, markPrice="1"))
        await until(lambda: len(heard.resumed) == 2)
    assert len(server.connections) == 1


async def test_an_error_message_of_the_venue_without_a_request_is_logged(server, heard):
    feed = make_feed(server, heard, "binance")
    watch(feed, BNB_SPOT)
    with capture_logs() as logs:
        async with running(feed):
            await subscribed(server, 2)
            await server.send(frames.binance_trade("BNBUSDT", 1, 1))
            await until(lambda: heard.ticks)
            await server.send('{"code":3,"msg":"Too many messages"}')
            await until(lambda: "feed.venue_error" in {entry["event"] for entry in logs})
    assert heard.lost == []


async def test_a_connection_cut_without_a_close_frame_is_1006(server, heard):
    feed = make_feed(server, heard)
    watch(feed, BTC)
    with capture_logs() as logs:
        async with running(feed):
            await subscribed(server, 3)
            server.live.transport.abort()
            await until(lambda: heard.lost)
    assert [e["code"] for e in logs if e["event"] == "feed.closed"] == [1006]
    assert heard.lost[0].cause.startswith("closed 1006")
