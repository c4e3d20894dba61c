"""What the session makes of lost, silent, odd and dying connections."""

import asyncio
import itertools
import random

import pytest
from structlog.testing import capture_logs

from engine.model.events import FeedResumed
from engine.model.instrument import Market
from engine.model.ticks import TradeTick
from engine.venues.bybit.feed import endpoints as bybit_endpoints
from engine.venues.feed import StreamFeed
from engine.venues.stream import Timings
from tests.engine.venues import frames
from tests.engine.venues.feeds import (
    BNB,
    BNB_SPOT,
    BTC,
    ETH,
    QUICK,
    make_feed,
    running,
    subscribed,
    watch,
)
from tests.engine.venues.venue_server import until


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


async def test_an_unreachable_venue_is_told_once_and_tried_again(library, heard):
    feed = StreamFeed(
        "bybit", bybit_endpoints("ws://127.0.0.1:9/v5/public"),
        library(heard.clock.monotonic_ns), heard.clock, heard.tick, heard.event, 30.0,
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


async def test_an_odd_frame_in_a_run_leads_no_other_astray(server, heard):
    feed = make_feed(server, heard)
    watch(feed, BTC, ETH)
    async with running(feed):
        await subscribed(server, 6)
        await server.send(
            frames.bybit_trade("BTCUSDT", 1, 1),
            b'{"topic":"publicTrade.BTCUSDT!',  # no end of the name
            frames.bybit_trade("ETHUSDT", 2, 2),
            frames.bybit_trade("ETHUSDT", 3, 3),
            b'{"topic":"publicTrade.ETHUSDT',
            frames.bybit_trade("BTCUSDT", 4, 4),
            b"\x00",
            frames.bybit_trade("BTCUSDT", 5, 5),
        )
        await until(lambda: len(heard.ticks) == 5)
    told = [(tick.instrument, tick.price) for tick in heard.ticks]
    assert told == [(BTC, 1.0), (ETH, 2.0), (ETH, 3.0), (BTC, 4.0), (BTC, 5.0)]


async def test_an_instrument_unwatched_while_its_prices_run_tells_no_more(server, heard):
    feed = make_feed(server, heard)
    watch(feed, BTC)
    async with running(feed):
        await subscribed(server, 3)
        await server.send(*(frames.bybit_trade("BTCUSDT", 1, seq) for seq in range(1, 30)))
        await until(lambda: len(heard.ticks) == 29)
        feed.unwatch(BTC)
        await server.send(*(frames.bybit_trade("BTCUSDT", 1, seq) for seq in range(30, 60)))
        await until(lambda: feed.counters["unwatched"] == 30)
    assert len(heard.ticks) == 29


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
