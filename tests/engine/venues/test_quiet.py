"""Silence of a symbol that nobody trades, and of one whose prices are missing."""

from collections.abc import Callable

import httpx
import pytest

from engine.clock import SystemClock
from engine.model.events import FeedLost, FeedResumed, PricesChecked
from engine.model.instrument import InstrumentId, Market
from engine.model.ticks import QuoteTick, TradeTick
from engine.venues.channel import Channel, Counters
from engine.venues.liveness import ASKING_NS, Liveness
from engine.venues.registry import BinanceUrls, build_feed
from tests.engine.simulator.rig import FakeClock, ids
from tests.engine.venues import frames
from tests.engine.venues.feeds import QUICK, running
from tests.engine.venues.rest_server import RestServer
from tests.engine.venues.venue_server import Heard, VenueServer, WebsocketsConnector, until

BTC = ids("binance:spot:BTCUSDT")
SECOND_MS = 1000


def ignore(_: object) -> None:
    """Take a tick."""


class Periodic(Channel):
    __slots__ = ()
    periodic = True


class Rig:
    """An instrument with trades and quotes, live since a second; stale after ten."""

    def __init__(self, *, asks: bool = True, kinds: tuple[type[Channel], ...] = ()) -> None:
        self.clock = FakeClock()
        self.told: list[FeedLost | FeedResumed] = []
        self.asked: list[InstrumentId] = []
        ask: Callable[[InstrumentId], None] | None = self.asked.append if asks else None
        self.liveness = Liveness(self.clock, self.told.append, 10.0, ask)
        self.channels = [kind(BTC, ignore, Counters()) for kind in (Channel, Channel, *kinds)]
        self.liveness.add(BTC, [self.channels])
        self.clock.advance_ms(SECOND_MS)
        now_ns = self.clock.monotonic_ns()
        self.channels[0].tick = TradeTick(BTC, 100.0, 0, 1, now_ns)
        self.channels[1].tick = QuoteTick(BTC, 99.0, 101.0, 1.0, 1.0, 0, 1, now_ns)
        for channel in self.channels:
            self.hear(channel)
        assert self.told == [FeedResumed((BTC,), self.clock.now_ns())]
        self.told.clear()

    def hear(self, channel: Channel) -> None:
        channel.advanced_ns = self.clock.monotonic_ns()
        self.liveness.settle(channel)

    def after(self, seconds: float) -> None:
        self.clock.advance_ms(round(seconds * SECOND_MS))
        self.liveness.check()

    def answer(self, last: float = 100.0, bid: float = 99.0, ask: float = 101.0) -> None:
        now_ns = self.clock.monotonic_ns()
        event = PricesChecked(BTC, self.clock.now_ns(), now_ns, last, bid, ask)
        self.liveness.note_checked(event)

    @property
    def lost(self) -> list[str]:
        return [event.cause for event in self.told if isinstance(event, FeedLost)]


def test_a_silent_symbol_is_asked_about_and_quiet_when_nothing_has_changed():
    rig = Rig()
    rig.after(9.9)
    assert rig.asked == []
    rig.after(0.2)
    rig.after(0.2)
    assert rig.asked == [BTC]
    rig.answer()
    rig.after(9.9)
    assert rig.asked == [BTC]
    assert rig.told == []
    assert rig.liveness.is_live(BTC)


def test_it_is_asked_about_again_as_long_as_it_is_silent():
    rig = Rig()
    for _ in range(5):
        rig.after(10.1)
        rig.answer()
    assert rig.asked == [BTC] * 5
    assert rig.told == []


@pytest.mark.parametrize(
    "prices", [(99.9, 99.0, 101.0), (100.0, 98.9, 101.0), (100.0, 99.0, 101.1)]
)
def test_other_prices_than_ours_are_missing_ones(prices: tuple[float, float, float]):
    rig = Rig()
    rig.after(10.1)
    rig.answer(*prices)
    assert rig.lost == ["silent"]
    assert not rig.liveness.is_live(BTC)
    for channel in rig.channels:
        rig.clock.advance_ms(1)
        rig.hear(channel)
    assert [type(event) for event in rig.told] == [FeedLost, FeedResumed]


def test_without_an_answer_it_is_lost():
    rig = Rig()
    rig.after(10.1)
    rig.after(ASKING_NS / 1e9 - 0.001)
    assert rig.lost == []
    rig.after(0.001)
    assert rig.lost == ["silent"]
    rig.answer()
    rig.after(1)
    assert rig.lost == ["silent"]
    assert not rig.liveness.is_live(BTC)


def test_nobody_to_ask_is_a_loss_at_once():
    rig = Rig(asks=False)
    rig.after(10.1)
    assert rig.lost == ["silent"]


def test_what_speaks_every_second_is_not_quiet_when_it_is_silent():
    rig = Rig(kinds=(Periodic,))
    rig.after(10.1)
    assert (rig.asked, rig.lost) == ([], ["silent"])


def test_a_price_that_arrives_while_it_is_asked_settles_it():
    rig = Rig()
    rig.after(10.1)
    rig.clock.advance_ms(1)
    rig.hear(rig.channels[0])
    rig.answer(last=90.0)
    assert rig.told == []
    rig.after(10.1)
    rig.clock.advance_ms(1)
    rig.hear(rig.channels[0])
    rig.after(1)
    rig.answer(last=90.0)
    assert rig.told == []
    assert rig.asked == [BTC, BTC]


def test_answers_that_it_did_not_ask_for_are_nothing_to_it():
    rig = Rig()
    rig.answer(last=90.0)
    rig.after(10.1)
    rig.liveness.remove(BTC)
    rig.answer(last=90.0)
    assert rig.told == []


def test_of_a_symbol_that_has_not_traded_the_touch_speaks():
    rig = Rig()
    rig.channels[0].tick = None
    rig.after(10.1)
    rig.answer(last=55.0)
    assert rig.told == []


def test_of_a_symbol_without_a_touch_nothing_is_known():
    rig = Rig()
    rig.channels[1].tick = None
    rig.after(10.1)
    rig.answer()
    assert rig.lost == ["silent"]


async def test_a_feed_keeps_a_quiet_symbol_and_its_connection():
    heard = Heard()
    trade, quote = "/api/v3/ticker/price", "/api/v3/ticker/bookTicker"
    async with (
        VenueServer(WebsocketsConnector).running() as server,
        RestServer().running() as rest,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        rest.answer(trade, {"symbol": BTC.symbol, "price": "100.0"})
        sides = {"symbol": BTC.symbol, "bidPrice": "99.0", "askPrice": "101.0"}
        rest.answer(quote, sides)
        urls = BinanceUrls(rest.url, server.url, "", rest.url, server.url)
        feed = build_feed(
            "binance", urls, SystemClock(), heard.tick, heard.event, 0.2,
            client=client, timings=QUICK,
        )  # fmt: skip
        feed.watch(frames.instrument("binance", Market.SPOT, BTC.symbol))
        async with running(feed):
            await until(lambda: len(server.topics()) >= 2)
            await server.send(frames.binance_trade("btcusdt", 100.0, 1))
            await server.send(frames.binance_quote("btcusdt", 99.0, 101.0, 1))
            await until(lambda: len(rest.asked[trade]) >= 3)
            assert heard.lost == []
            assert feed.is_live(BTC)
            rest.answer(quote, sides | {"bidPrice": "99.5"})
            await until(lambda: heard.lost)
        assert [event.cause for event in heard.lost] == ["silent"]
        assert len(server.connections) == 1
