"""The session that every feed uses: connections come and go, its topics stay subscribed.

A connection is opened when something is watched and closed when nothing is. When one is lost, its
instruments are reported lost once and a new one is opened after a jittered exponential pause. When
one is about to be cut by the venue (old age, an announced shutdown), its successor is opened first
and takes over once its topics are acknowledged; the channels drop what both deliver.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping

import structlog
from msgspec import Struct

from engine.ports import Clock
from engine.venues.channel import Channel, Counters, Router
from engine.venues.dialect import Dialect
from engine.venues.link import Link, LinkTimings, Seen
from engine.venues.liveness import Liveness
from engine.venues.transport import CONNECT_TIMEOUT_SECONDS, Connector, TransportError

log = structlog.get_logger(__name__)

MAX_PATIENCE = 8.0

YOUNG_SECONDS = 10.0
"""A connection to be replaced this soon meets a venue that is going down: no hurry then."""


class Timings(Struct, frozen=True):
    """How a session paces itself, in seconds.

    Attributes:
        backoff_seconds: longest pause after the first failure; doubles with each further one.
        max_backoff_seconds: where the doubling ends.
        life_seconds: age at which connections are replaced; None takes the venue's own.
    """

    connect_seconds: float = CONNECT_TIMEOUT_SECONDS + 2.0
    backoff_seconds: float = 0.5
    max_backoff_seconds: float = 30.0
    life_seconds: float | None = None
    link: LinkTimings = LinkTimings()


class Ignored(Channel):
    """Takes the frames of a topic until the venue has ended its subscription."""

    __slots__ = ()
    kind = "unwatched"

    def read(self, frame: bytes, received_ns: int) -> None:
        """Count the frame."""
        self.counters["unwatched"] += 1


class Session:
    """One kind of connection of a venue, kept alive by ``run``."""

    def __init__(
        self,
        dialect: Dialect,
        url: str,
        connector: Connector,
        clock: Clock,
        liveness: Liveness,
        counters: Counters,
        rng: random.Random,
        timings: Timings,
    ) -> None:
        self.dialect = dialect
        self._url = url
        self._connector = connector
        self._clock = clock
        self._liveness = liveness
        self._counters = counters
        self._rng = rng
        self._timings = timings
        self._wanted: dict[str, Channel] = {}
        self._some_wanted = asyncio.Event()
        self._router = Router(dialect.opening)
        self._seen = Seen(dialect.name, counters)
        self._links: list[Link] = []
        self._failures = 0
        self._patience = 1.0

    def watch(self, channels: Mapping[str, Channel]) -> None:
        """Subscribe to topics, now or as soon as there is a connection."""
        self._wanted.update(channels)
        for topic, channel in channels.items():
            self._router.channels[topic.encode()] = channel
        self._poke()

    def unwatch(self, topics: Iterable[str]) -> None:
        """End the subscription of topics; their frames are ignored from now on."""
        for topic in topics:
            channel = self._wanted.pop(topic, None)
            if channel is not None:
                ignored = Ignored(channel.instrument, _nowhere, self._counters)
                self._router.channels[topic.encode()] = ignored
        self._poke()

    async def run(self) -> None:
        """Keep the topics subscribed until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._some_wanted.wait()
                link = await self._open()
                if link is None:
                    await self._pause()
                    continue
                group.create_task(self._keep(link))
                await link.replaceable.wait()
                if self._wanted and (link.down or link.age_seconds() < YOUNG_SECONDS):
                    await self._pause()

    def _poke(self) -> None:
        if self._wanted:
            self._some_wanted.set()
        else:
            self._some_wanted.clear()
        for link in self._links:
            link.poke()

    async def _open(self) -> Link | None:
        try:
            async with asyncio.timeout(self._timings.connect_seconds):
                transport = await self._connector.connect(self._url)
        except (TransportError, TimeoutError) as error:
            reason = str(error) or "timed out"
            log.warning("feed.connect_failed", feed=self.dialect.name, reason=reason)
            self._failures += 1
            self._lose(f"connect failed: {reason}")
            return None
        log.info("feed.connected", feed=self.dialect.name)
        link = Link(
            transport,
            self._connector,
            self.dialect,
            self._wanted,
            self._router,
            self._liveness,
            self._seen,
            self._clock,
            patience=self._patience,
            life_seconds=self._timings.life_seconds or self.dialect.life_seconds,
            timings=self._timings.link,
            on_ready=self._replace_others,
        )
        self._links.append(link)
        return link

    async def _keep(self, link: Link) -> None:
        try:
            cause = await link.run()
            self._links.remove(link)
            self._learn(link, cause)
            self._lose(cause)
        finally:
            await link.close()

    def _learn(self, link: Link, cause: str) -> None:
        self._failures = 1 if link.fresh else self._failures + 1
        if cause == "silent":
            # A quiet market must not be reconnected for ever: wait longer the next time.
            self._patience = min(self._patience * 2, MAX_PATIENCE)
        elif link.fresh:
            self._patience = 1.0

    def _lose(self, cause: str) -> None:
        if self._wanted and not any(link.ready for link in self._links):
            self._liveness.lose(list(self._wanted.values()), cause)

    def _replace_others(self, link: Link) -> None:
        for other in self._links:
            if other is not link:
                other.retire()

    async def _pause(self) -> None:
        longest_s = min(
            self._timings.backoff_seconds * 2.0 ** min(self._failures - 1, 16),
            self._timings.max_backoff_seconds,
        )
        # Full jitter: all clients of a restarted venue must not come back at once.
        await asyncio.sleep(longest_s * (0.1 + 0.9 * self._rng.random()))


def _nowhere(tick: object) -> None:
    del tick
