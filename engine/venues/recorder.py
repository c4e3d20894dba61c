"""Records live streams as they arrive, in the layout that the simulator plays.

The real feed runs over a connector that wraps another one and keeps a copy of each message: the
bytes as received, before any parsing, with the moment at which they arrived. ``Recorder`` puts the
parts together; docs/recording.md describes the files.
"""

import asyncio
import contextlib
import difflib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import httpx
import msgspec

from engine.clock import NS_PER_SECOND, to_datetime
from engine.model.errors import Rejected
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.ports import Clock
from engine.venues.binance import feed as binance_feed
from engine.venues.binance.instruments import SPOT_PATH, USDM_PATH
from engine.venues.bybit import feed as bybit_feed
from engine.venues.bybit.instruments import PATH as BYBIT_PATH
from engine.venues.channel import UNREADABLE, Counters
from engine.venues.dialect import ControlKind, Dialect
from engine.venues.feed import Endpoint, StreamFeed
from engine.venues.recorder_files import Recording, Stream
from engine.venues.registry import BybitUrls, VenueUrls, build_feed, build_instruments
from engine.venues.transport import Connector, Transport, TransportError

NEAR_NAMES = 3


def stream_name(instrument: InstrumentId, topic: str, tag: str) -> str:
    """Name the file of a topic: ``publicTrade.BTCUSDT``, ``btcusdt@markPrice@1s``."""
    if instrument.venue == "bybit":
        *channel, symbol = topic.split(".")
        return f"bybit/v5_{''.join(channel)}_{instrument.market}_{symbol.lower()}_{tag}"
    symbol, *channel = topic.split("@")
    prefix = _binance_prefix(instrument.market)
    return f"binance/{prefix}_{'_'.join(channel)}_{symbol}_{tag}"


def control_name(venue: str, market: Market, tag: str) -> str:
    """Name the file of the frames that belong to no topic."""
    if venue == "bybit":
        return f"bybit/v5_control_{market}_{tag}"
    return f"binance/{_binance_prefix(market)}_control_{tag}"


def _binance_prefix(market: Market) -> str:
    return "spot" if market is Market.SPOT else "usdm"


class Door:
    """Where the messages of one address go: by topic, and to control what has none."""

    def __init__(
        self, dialect: Dialect, streams: Mapping[bytes, Stream], control: Stream, sent: Stream
    ) -> None:
        self.control = control
        self.sent = sent
        self._dialect = dialect
        self._streams = streams
        self._offset = len(dialect.opening)

    def stream_of(self, frame: bytes) -> Stream:
        """Find the file of a frame. Only topics that were asked for have one of their own."""
        offset = self._offset
        stream = self._streams.get(frame[offset : frame.find(b'"', offset)])
        return stream if stream is not None else self._look_inside(frame)

    def _look_inside(self, frame: bytes) -> Stream:
        try:
            control = self._dialect.classify(msgspec.json.decode(frame))
        except UNREADABLE:
            return self.control
        name = control.text.encode() if control.kind is ControlKind.DATA else b""
        return self._streams.get(name, self.control)


class TeeTransport:
    """A connection whose messages are kept on their way.

    Attributes:
        frames: messages that were kept and wait for the reader.
    """

    def __init__(self, inner: Transport, door: Door, recording: Recording, clock: Clock) -> None:
        self.frames: deque[tuple[bytes, int]] = deque()
        self._inner = inner
        self._door = door
        self._recording = recording
        self._clock = clock

    async def wait(self) -> None:
        """Keep and return what has come; raises the library's errors once there will be none."""
        await self._inner.wait()
        arrived = self._inner.frames
        while arrived:
            frame, stamp_ns = arrived.popleft()
            self._recording.add(self._door.stream_of(frame), frame, stamp_ns)
            self.frames.append((frame, stamp_ns))
        if self._recording.full:
            # A disk that does not keep up holds the socket back; nothing is left out.
            await self._recording.flush()

    async def send(self, message: str) -> None:
        """Send a text message; it is kept once it was handed over."""
        at_ns = self._clock.monotonic_ns()
        await self._inner.send(message)
        self._recording.add(self._door.sent, message.encode(), at_ns)

    async def close(self) -> None:
        """Close with a handshake of bounded time."""
        await self._inner.close()


class TeeConnector:
    """Opens connections by another connector and keeps their messages."""

    def __init__(
        self, inner: Connector, doors: Mapping[str, Door], recording: Recording, clock: Clock
    ) -> None:
        self.errors = inner.errors
        self._inner = inner
        self._doors = doors
        self._recording = recording
        self._clock = clock

    async def connect(self, url: str) -> Transport:
        """Open a connection.

        Raises:
            TransportError: refused, unreachable, or not a WebSocket.
        """
        transport = await self._inner.connect(url)
        return TeeTransport(transport, self._doors[url], self._recording, self._clock)

    def explain(self, error: Exception) -> TransportError:
        """Turn one of ``errors`` into the close code and reason that it carries."""
        return self._inner.explain(error)


class Replies:
    """Keeps instrument lists as the venues answered them; ``note`` hooks into an httpx client."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = {}

    async def note(self, response: httpx.Response) -> None:
        """Keep an answer if it is a page of a list."""
        name = _list_name(response.request.url)
        if name and response.status_code == httpx.codes.OK:
            self.bodies.setdefault(name, []).append(await response.aread())


def _list_name(url: httpx.URL) -> str:
    if url.path.endswith(BYBIT_PATH):
        return f"bybit/rest/v5_market_instruments-info_{url.params.get('category')}"
    if url.path.endswith(SPOT_PATH):
        return "binance/rest/spot_exchangeInfo"
    return "binance/rest/usdm_exchangeInfo" if url.path.endswith(USDM_PATH) else ""


class Recorder:
    """Records instruments into a directory.

    Attributes:
        recording: the files; their counts are final after ``run``.
    """

    def __init__(
        self,
        directory: Path,
        urls: Mapping[str, VenueUrls],
        clock: Clock,
        stale_feed_seconds: float,
        connector: Connector,
        *,
        compress: bool = False,
    ) -> None:
        self._urls = urls
        self._connector = connector
        self._clock = clock
        self._stale_feed_seconds = stale_feed_seconds
        self._replies = Replies()
        now_ns, self._began_ns = clock.now_ns(), clock.monotonic_ns()
        day = to_datetime(now_ns).strftime("%Y%m%d")
        self.recording = Recording(directory, day, now_ns - self._began_ns, compress=compress)

    async def load(self, wanted: Sequence[InstrumentId]) -> list[Instrument]:
        """Read the lists that name the instruments.

        Raises:
            Rejected: an instrument is not listed; the message has near names.
            Retryable: a venue could not be reached.
        """
        hooks = {"response": [self._replies.note]}
        async with httpx.AsyncClient(event_hooks=hooks) as client:
            listed: dict[InstrumentId, Instrument] = {}
            for venue, market in dict.fromkeys((each.venue, each.market) for each in wanted):
                source = build_instruments(venue, self._urls[venue], client)
                listed |= {found.id: found for found in await source.load(market)}
        for each in wanted:
            if each not in listed:
                raise Rejected(_unknown(each, listed.values()))
        return [listed[each] for each in dict.fromkeys(wanted)]

    async def run(
        self,
        instruments: Sequence[Instrument],
        stop: asyncio.Event,
        seconds: float,
        show: Callable[[], None] | None = None,
    ) -> float:
        """Record until the time is over or ``stop`` is set; returns the seconds it took.

        ``show`` is called each second.

        Raises:
            Misconfigured: the directory cannot be written.
        """
        self._began_ns = self._clock.monotonic_ns()
        try:
            await self.recording.save(self._replies.bodies)
            feeds = [self._feed(venue, instruments) for venue in self._urls]
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(feed.run()) for feed in feeds]
                running.append(group.create_task(self.recording.run()))
                if show is not None:
                    running.append(group.create_task(_each_second(show)))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await stop.wait()
                took_s = self.elapsed_seconds()
                for task in running:
                    task.cancel()
        finally:
            await self.recording.close()
        return took_s

    def elapsed_seconds(self) -> float:
        """Return the time since the recording began."""
        return (self._clock.monotonic_ns() - self._began_ns) / NS_PER_SECOND

    def _feed(self, venue: str, instruments: Sequence[Instrument]) -> StreamFeed:
        own = [each for each in instruments if each.id.venue == venue]
        clock, urls = self._clock, self._urls[venue]
        connector = TeeConnector(
            self._connector,
            self._doors(venue, [each.id for each in own]),
            self.recording,
            clock,
        )
        feed = build_feed(
            venue,
            urls,
            clock,
            _nowhere,
            _nowhere,
            self._stale_feed_seconds,
            connector=connector,
        )
        for each in own:
            feed.watch(each)
        return feed

    def _doors(self, venue: str, instruments: Sequence[InstrumentId]) -> dict[str, Door]:
        doors: dict[str, Door] = {}
        tag, stream = self.recording.tag, self.recording.stream
        for market, endpoints in _endpoints(self._urls[venue]).items():
            name = control_name(venue, market, tag)
            for dialect, url in endpoints:
                streams = {
                    topic.encode(): stream(stream_name(each, topic, tag), each)
                    for each in instruments
                    if each.market is market
                    for topic in dialect.channels(each, _nowhere, Counters())
                }
                doors[url] = Door(dialect, streams, stream(name), stream(f"{name}.sent"))
        return doors


async def _each_second(do: Callable[[], None]) -> None:
    while True:
        do()
        await asyncio.sleep(1)


def _endpoints(urls: VenueUrls) -> Mapping[Market, Sequence[Endpoint]]:
    if isinstance(urls, BybitUrls):
        return bybit_feed.endpoints(urls.ws_public)
    return binance_feed.endpoints(urls.spot_ws, urls.usdm_ws)


def _nowhere(event: object) -> None:
    del event


def _unknown(wanted: InstrumentId, listed: Iterable[Instrument]) -> str:
    names = [
        each.id.symbol
        for each in listed
        if (each.id.venue, each.id.market) == (wanted.venue, wanted.market) and each.trading
    ]
    near = difflib.get_close_matches(wanted.symbol, names, n=NEAR_NAMES)
    hint = f"near names: {', '.join(near)}" if near else "look the name up at the venue"
    return f"--instrument {wanted}: {wanted.venue} lists no such {wanted.market} instrument; {hint}"
