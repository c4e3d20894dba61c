import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.clock import SystemClock
from engine.model.instrument import InstrumentId
from engine.simulator.dialects import (
    binance_listings,
    binance_recorded,
    bybit_listings,
    bybit_recorded,
)
from engine.simulator.market import MarketPlace
from engine.simulator.market_events import Mark, MarketEvent, Origin, Prints, Quote, Ticker
from engine.simulator.market_listings import Listings
from engine.simulator.market_pace import Pace, VenueTime
from engine.simulator.market_playback import Player
from engine.simulator.recordings import Channel, Cue, Track, decode, encode, read_tracks
from tests.engine.simulator.rig import ids, simulator

LISTINGS = Listings([*bybit_listings.built_in(), *binance_listings.built_in()])
START_MS = 1_600_000_000_000


class Stage:
    """One track, a market that is listened to, and the player between them."""

    def __init__(self, track: Track, speed: float) -> None:
        time = VenueTime(SystemClock())
        self.place = MarketPlace(LISTINGS, time)
        self.pace = Pace(time, speed)
        self.heard: list[MarketEvent] = []
        instrument = track.instrument
        self.place.listen(instrument.venue, instrument.market, self.heard.append)
        read = bybit_recorded.read if instrument.venue == "bybit" else binance_recorded.read
        self.player = Player(self.place, self.pace, track, read)
        self.state = self.place.state(instrument)

    async def play(self, done: Callable[[], bool]) -> None:
        """Play until something holds."""
        running = asyncio.create_task(self.player.run())
        try:
            async with asyncio.timeout(10):
                await _until(done)
        finally:
            running.cancel()


async def _until(done: Callable[[], bool]) -> None:
    """Look again and again: players have no hook that a test could wait on."""
    while not done():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def cue(at_s: float, channel: Channel, payload: dict[str, Any], *, closes: bool = True) -> Cue:
    return Cue(at_s, channel, encode(payload), closes)


def binance_trade(at_s: float, number: int, price: str, source: str = "MARKET") -> Cue:
    ms = START_MS + int(at_s * 1000)
    payload = {"e": "trade", "E": ms + 2, "T": ms, "s": "BTCUSDT", "t": number, "p": price}
    return cue(at_s, Channel.TRADE, payload | {"q": "0.100", "X": source, "m": True})


def binance_quote(at_s: float, update: int, bid: str) -> Cue:
    ms = START_MS + int(at_s * 1000)
    payload = {"e": "bookTicker", "u": update, "s": "BTCUSDT", "b": bid, "B": "1.0"}
    return cue(at_s, Channel.QUOTE, payload | {"a": "9.9", "A": "2", "T": ms, "E": ms})


def binance_mark(at_s: float, price: str) -> Cue:
    ms = START_MS + int(at_s * 1000)
    payload = {"e": "markPriceUpdate", "E": ms, "s": "BTCUSDT", "p": price, "P": "1", "i": "2"}
    return cue(at_s, Channel.MARK, payload | {"r": "0.0003", "T": START_MS})


def usdm_track() -> Track:
    cues = (
        binance_mark(0, "7.12345678"),
        binance_quote(0.01, 500, "7.0"),
        binance_trade(0.02, 70, "7.1000"),
        binance_trade(0.03, 71, "9.9", "INSURANCE_FUND"),
        binance_trade(0.04, 72, "7.2"),
        binance_quote(0.05, 530, "7.10"),
    )
    return Track(ids("binance:linear:BTCUSDT"), cues, START_MS, 0.1)


def bybit_ticker(at_s: float, cs: int, kind: str, **fields: str) -> Cue:
    payload = {"topic": "tickers.BTCUSDT", "type": kind, "data": {"symbol": "BTCUSDT"} | fields}
    return cue(at_s, Channel.TICKER, payload | {"cs": cs, "ts": START_MS + int(at_s * 1000)})


def bybit_book(at_s: float, update: int, bid: str) -> Cue:
    data = {"s": "BTCUSDT", "b": [[bid, "1"]], "a": [["99", "2"]], "u": update, "seq": 9000}
    ms = START_MS + int(at_s * 1000)
    head = {"topic": "orderbook.1.BTCUSDT", "type": "snapshot", "ts": ms}
    return cue(at_s, Channel.QUOTE, head | {"data": data, "cts": ms - 1})


def bybit_trade(at_s: float, name: str, price: str) -> Cue:
    ms = START_MS + int(at_s * 1000)
    row = {"T": ms, "s": "BTCUSDT", "S": "Sell", "v": "1", "p": price, "L": "MinusTick", "i": name}
    row |= {"BT": name.endswith("b"), "RPI": False, "seq": 8000}
    head = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": ms + 1}
    return cue(at_s, Channel.TRADE, head | {"data": [row]})


def bybit_track() -> Track:
    trade = "00000000-0000-0000-0000-00000000000"
    cues = (
        bybit_ticker(0, 8000, "snapshot", lastPrice="5", markPrice="5.5", nextFundingTime="1"),
        bybit_book(0.01, 40, "4.9"),
        bybit_trade(0.02, f"{trade}a", "5.10"),
        bybit_trade(0.03, f"{trade}b", "6.66"),
        bybit_ticker(0.04, 8100, "delta", lastPrice="5.1"),
    )
    return Track(ids("bybit:linear:BTCUSDT"), cues, START_MS, 0.1)


async def test_a_loop_seam_raises_ids_and_times_and_keeps_everything_else() -> None:
    stage = Stage(usdm_track(), speed=2.0)
    await stage.play(lambda: stage.player._stamp.loop >= 3)
    trades = [event.raw for event in stage.heard if isinstance(event, Prints)]
    quotes = [event.raw for event in stage.heard if isinstance(event, Quote)]
    marks = [event.raw for event in stage.heard if isinstance(event, Mark)]
    numbers = [raw["t"] for raw in trades if raw]
    assert numbers == list(range(70, 70 + len(numbers)))
    updates = [raw["u"] for raw in quotes if raw]
    assert updates[:5] == [500, 530, 531, 561, 562]
    for raws, names in ((trades, "ET"), (quotes, "ET"), (marks, "E")):
        for name in names:
            times = [raw[name] for raw in raws if raw]
            assert times == sorted(times)
            assert abs(times[-1] - stage.place.time.now_ms()) < 2000
    recorded = [decode(c.data) for c in usdm_track().cues if c.channel is Channel.TRADE]
    for ours, theirs in zip(trades, recorded * 3, strict=False):
        assert ours is not None
        assert list(ours) == list(theirs)
        assert {k: v for k, v in ours.items() if k not in "tET"} == {
            k: v for k, v in theirs.items() if k not in "tET"
        }
    assert all(raw["T"] > raw["E"] and raw["T"] % 28_800_000 == 0 for raw in marks if raw)
    assert {raw["p"] for raw in marks if raw} == {"7.12345678"}


async def test_prints_of_the_insurance_fund_are_sent_but_are_no_price() -> None:
    stage = Stage(usdm_track(), speed=1.0)
    await stage.play(lambda: len(stage.heard) >= 10)
    prices = [e.prints[0].price for e in stage.heard if isinstance(e, Prints)]
    assert prices[:3] == ["7.1000", "9.9", "7.2"]
    assert "9.9" not in {p.price for p in stage.state.history.trades}


async def test_bybit_ids_stay_unique_over_loops() -> None:
    stage = Stage(bybit_track(), speed=2.0)
    await stage.play(lambda: stage.player._stamp.loop >= 3)
    trades = [event for event in stage.heard if isinstance(event, Prints)]
    names = [event.prints[0].id for event in trades]
    assert names[0].endswith("a")
    assert len(set(names)) == len(names) >= 6
    assert [event.prints[0].source for event in trades[:2]] == ["MARKET", "BLOCK"]
    for kind in (Prints, Ticker, Quote):
        seqs = [e.prints[0].seq if isinstance(e, Prints) else e.seq  # type: ignore[union-attr]
                for e in stage.heard if isinstance(e, kind)]  # fmt: skip
        assert seqs == sorted(seqs)
    assert stage.state.mark is not None
    assert stage.state.mark.mark == "5.5"


async def test_numeric_bybit_ids_go_on_from_loop_to_loop() -> None:
    cues = (bybit_trade(0, "900", "5"), bybit_trade(0.01, "901", "5"))
    stage = Stage(Track(ids("bybit:spot:BTCUSDT"), cues, START_MS, 0.02), speed=1.0)
    await stage.play(lambda: len(stage.heard) >= 6)
    names = [e.prints[0].id for e in stage.heard if isinstance(e, Prints)]
    assert names[:6] == [str(number) for number in range(900, 906)]


async def test_spot_quotes_without_a_time_get_that_of_their_playing() -> None:
    payload = {"u": 5, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"}
    cues = (cue(0, Channel.QUOTE, payload),)
    stage = Stage(Track(ids("binance:spot:BTCUSDT"), cues, START_MS, 0.05), speed=1.0)
    await stage.play(lambda: len(stage.heard) >= 2)
    quote = stage.heard[0]
    assert isinstance(quote, Quote)
    assert quote.raw == payload
    assert abs(quote.sent_ms - stage.place.time.now_ms()) < 1000


async def test_a_script_silences_the_recording_until_its_release() -> None:
    stage = Stage(usdm_track(), speed=1.0)
    await stage.play(lambda: len(stage.heard) >= 4)
    stage.state.scripted = True
    stage.place.script(stage.state.listing.id, Decimal(50))
    silent_from = len(stage.heard)
    running = asyncio.create_task(stage.player.run())
    await asyncio.sleep(0.3)
    assert len(stage.heard) == silent_from
    stage.state.scripted = False
    stage.player.release(stage.state)
    back = stage.heard[silent_from:]
    assert [type(event) for event in back] == [Quote, Mark]
    assert {event.origin for event in back} == {Origin.RECORDED}
    await asyncio.sleep(0.2)
    running.cancel()
    numbers = [e.prints[0].number for e in stage.heard if isinstance(e, Prints)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    updates = [e.update for e in stage.heard if isinstance(e, Quote)]
    assert updates == sorted(set(updates))


async def test_a_release_sends_the_ticker_as_it_became_meanwhile() -> None:
    stage = Stage(bybit_track(), speed=1.0)
    stage.state.scripted = True
    await stage.play(lambda: stage.player._stamp.loop >= 1)
    assert stage.heard == []
    stage.state.scripted = False
    stage.player.release(stage.state)
    ticker = stage.heard[0]
    assert isinstance(ticker, Ticker)
    assert ticker.full
    assert ticker.fields["lastPrice"] in {"5", "5.1"}
    assert ticker.fields["markPrice"] == "5.5"


def numbers_of(message: dict[str, Any]) -> dict[str, int]:
    """The rising numbers of a Binance frame, named by stream."""
    data, stream = message["data"], message["stream"]
    names = {"trade": "tET", "aggTrade": "aETl", "bookTicker": "u", "markPrice@1s": "E"}
    return {f"{stream}.{n}": data[n] for n in names[stream.partition("@")[2]]}


async def test_recorded_binance_streams_rise_and_agree(recordings: Path) -> None:
    streams = "btcusdt@trade/btcusdt@aggTrade/btcusdt@markPrice@1s/ethusdt@markPrice@1s"
    async with (
        simulator(prices="recorded", recordings=recordings, speed=20) as rig,
        rig.usdm(f"/market/stream?streams={streams}") as client,
    ):
        await client.drain(3)
    messages = [json.loads(text) for text in client.texts]
    series = defaultdict(list)
    for message in messages:
        for name, number in numbers_of(message).items():
            series[name].append(number)
    for name, numbers in series.items():
        assert numbers == sorted(numbers), name
    joined = series["btcusdt@aggTrade.a"]
    assert joined == list(range(joined[0], joined[0] + len(joined)))
    assert len(series["ethusdt@markPrice@1s.E"]) > 30
    trades = {m["data"]["t"]: m["data"] for m in messages if m["data"]["e"] == "trade"}
    whole = [
        m["data"] for m in messages if m["data"]["e"] == "aggTrade" and m["data"]["f"] in trades
    ]
    for entry in whole[1:]:
        parts = [trades[n] for n in range(entry["f"], entry["l"] + 1)]
        assert {(p["p"], p["m"], p["T"]) for p in parts} == {(entry["p"], entry["m"], entry["T"])}
        assert sum(Decimal(p["q"]) for p in parts) == Decimal(entry["q"])


async def test_recorded_bybit_frames_keep_their_text_and_rise(recordings: Path) -> None:
    tracks = {track.instrument: track for track in read_tracks(recordings)}
    track = tracks[InstrumentId.parse("bybit:linear:ETHUSDT")]
    recorded = {
        (row["p"], row["v"], row["S"], row["L"])
        for c in track.cues
        if c.channel is Channel.TRADE
        for row in decode(c.data)["data"]
    }
    async with (
        simulator(prices="recorded", recordings=recordings, speed=40) as rig,
        rig.bybit() as client,
    ):
        topics = ("publicTrade.ETHUSDT", "tickers.ETHUSDT", "orderbook.1.ETHUSDT")
        await client.subscribe(*topics)
        await client.drain(3)
    frames = [json.loads(text) for text in client.texts if '"topic"' in text]
    by_topic = defaultdict(list)
    for frame in frames:
        by_topic[frame["topic"]].append(frame)
    rows = [row for frame in by_topic[topics[0]] for row in frame["data"]]
    assert {(row["p"], row["v"], row["S"], row["L"]) for row in rows} <= recorded
    names = [row["i"] for row in rows]
    assert len(names) == len(set(names)) > len(recorded)
    for rising in (
        [frame["data"]["u"] for frame in by_topic[topics[2]]],
        [frame["cs"] for frame in by_topic[topics[1]]],
        [frame["ts"] for frame in by_topic[topics[1]]],
        [row["T"] for row in rows],
        [row["seq"] for row in rows],
    ):
        assert rising == sorted(rising)
    kinds = {frame["type"] for frame in by_topic[topics[1]]}
    assert kinds == {"snapshot", "delta"}


async def test_a_recorded_instrument_is_scripted_and_released(recordings: Path) -> None:
    name = "bybit:linear:BTCUSDT"
    async with (
        simulator(prices="recorded", recordings=recordings) as rig,
        rig.bybit() as client,
    ):
        await client.subscribe("tickers.BTCUSDT")
        before = await client.until(lambda m: "lastPrice" in m["data"])
        await rig.price(name, 50000)
        await client.until(lambda m: m["data"].get("lastPrice") == "50000.00")
        assert (await rig.state())["prices"][name]["scripted"]
        await rig.price(name, None)
        after = await client.until(lambda m: m["type"] == "snapshot")
        assert after["data"]["lastPrice"][:3] == before["data"]["lastPrice"][:3]
        await rig.price("bybit:linear:SOLUSDT", 150)
        assert (await rig.state())["prices"]["bybit:linear:SOLUSDT"]["scripted"]
