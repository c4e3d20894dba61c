"""One connection: its reader, its subscriber, its pings and its watchdog, as one task group."""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import structlog

from engine.ports import Clock
from engine.venues.channel import UNREADABLE, Channel, Counters, Malformed, Router
from engine.venues.dialect import Control, ControlKind, Dialect
from engine.venues.liveness import NS_PER_SECOND, Liveness
from engine.venues.subscriptions import RETRY_SECONDS, Failure, Subscriptions
from engine.venues.transport import Connector, Transport

CHECK_EVERY = 8
"""Frames between two looks at the time; 1024 trades in a frame take about 0.5 ms to read."""

SLICE_NS = 2_000_000
"""A longer run of frames than this (2 ms) lets the other tasks of the loop run."""

QUOTED_CHARACTERS = 200

log = structlog.get_logger(__name__)


class LinkDown(Exception):
    """The connection is over; the text is the cause."""


class LinkTimings(msgspec.Struct, frozen=True):
    """Deadlines of one connection, in seconds."""

    ack_seconds: float = 5.0
    send_seconds: float = 5.0
    close_seconds: float = 3.0
    watch_seconds: float = 0.25
    retry_seconds: tuple[float, ...] = RETRY_SECONDS


class Seen:
    """Kinds of odd frames met so far; each is logged once, by its first characters."""

    def __init__(self, name: str, counters: Counters) -> None:
        self._name = name
        self._counters = counters
        self._kinds: set[str] = set()

    def note(self, event: str, kind: str, frame: bytes) -> None:
        """Count a frame under ``event.kind``, and log it if it is the first of its kind."""
        key = f"{event}.{kind}"
        self._counters[key] += 1
        if key not in self._kinds:
            self._kinds.add(key)
            text = frame[: 4 * QUOTED_CHARACTERS].decode(errors="replace")[:QUOTED_CHARACTERS]
            log.warning(f"feed.{event}", feed=self._name, kind=kind, frame=text)


class Link:
    """A connection that is open. ``run`` ends when it is down and returns the cause.

    Attributes:
        replaceable: set when a successor should be opened: retiring, or down.
        ready: every wanted topic was once acknowledged.
        down: ``run`` has ended.
    """

    def __init__(
        self,
        transport: Transport,
        connector: Connector,
        dialect: Dialect,
        wanted: Mapping[str, Channel],
        router: Router,
        liveness: Liveness,
        seen: Seen,
        clock: Clock,
        *,
        patience: float,
        life_seconds: float | None,
        timings: LinkTimings,
        on_ready: Callable[["Link"], None],
    ) -> None:
        self.replaceable = asyncio.Event()
        self.ready = False
        self.down = False
        self.fresh = False
        self._transport = transport
        self._connector = connector
        self._dialect = dialect
        self._wanted = wanted
        self._router = router
        self._liveness = liveness
        self._seen = seen
        self._clock = clock
        self._silence_ns = round(liveness.stale_ns * patience)
        self._life_seconds = life_seconds
        self._timings = timings
        self._on_ready = on_ready
        self._subscriptions = Subscriptions(
            wanted, dialect.max_topics, timings.ack_seconds, timings.retry_seconds
        )
        self._changed = asyncio.Event()
        self._retired = False
        self._began_ns = self._quiet_since_ns = clock.monotonic_ns()

    def age_seconds(self) -> float:
        """Time since the connection was opened."""
        return (self._clock.monotonic_ns() - self._began_ns) / NS_PER_SECOND

    def poke(self) -> None:
        """Say that what is wanted has changed."""
        self._quiet_since_ns = max(self._quiet_since_ns, self._clock.monotonic_ns())
        self._changed.set()

    def retire(self) -> None:
        """End the connection: a successor carries its topics."""
        self._retired = True

    async def run(self) -> str:
        """Serve the connection until it is down; returns the cause."""
        cause = ""
        try:
            async with asyncio.TaskGroup() as group:
                for part in (self._read(), self._subscribe(), self._ping(), self._watch()):
                    group.create_task(part)
        except* LinkDown as downs:
            cause = str(downs.exceptions[0])
        finally:
            self.down = True
            self.replaceable.set()
        return cause

    async def close(self) -> None:
        """Close the connection, in bounded time."""
        try:
            async with asyncio.timeout(self._timings.close_seconds):
                await self._transport.close()
        except TimeoutError:
            log.debug("feed.close_timed_out", feed=self._dialect.name)

    async def _read(self) -> None:
        # The hot path. The watchdog bounds the wait: a deadline for each frame would cost too much.
        # Prices come in runs: of busy streams as recorded, 7 to 9 of 10 frames are of the same
        # channel as the one before, which costs a fifth of looking the name up.
        wait, frames = self._transport.wait, self._transport.frames
        take, find_channel, offset = frames.popleft, self._router.channels.get, self._router.offset
        liveness, now = self._liveness, self._clock.monotonic_ns
        count, channel = 0, None
        opening: bytes | tuple[()] = ()  # of the frame before; an empty tuple opens none
        try:
            while True:
                await wait()
                resumed_ns = now()
                opening = ()  # what is watched may have changed meanwhile
                while frames:
                    frame, stamp_ns = take()
                    try:
                        if not frame.startswith(opening):
                            end = frame.find(b'"', offset)
                            channel = find_channel(frame[offset:end])
                            opening = frame[: end + 1] or ()
                        if channel is None:
                            self._read_other(frame, stamp_ns)
                        else:
                            channel.read(frame, stamp_ns)
                            if liveness.waiting:
                                liveness.settle(channel)
                    except UNREADABLE:
                        self._seen.note("malformed", channel.kind if channel else "", frame)
                    count += 1
                    if not count % CHECK_EVERY and now() - resumed_ns > SLICE_NS:
                        await asyncio.sleep(0)
                        resumed_ns, opening = now(), ()
        except self._connector.errors as error:
            raise self._explain(error) from error

    def _read_other(self, frame: bytes, stamp_ns: int) -> None:
        try:
            control = self._dialect.classify(msgspec.json.decode(frame))
        except UNREADABLE:
            self._seen.note("malformed", "unparsed", frame)
            return
        if control.kind is ControlKind.DATA:
            self._read_named(control.text, frame, stamp_ns)
        elif control.kind is ControlKind.UNKNOWN:
            self._seen.note("unknown", control.text, frame)
        else:
            self._obey(control)

    def _read_named(self, name: str, frame: bytes, stamp_ns: int) -> None:
        try:
            channel = self._router.read(name.encode(), frame, stamp_ns)
        except Malformed as error:
            self._seen.note("malformed", str(error), frame)
            return
        if channel is None:
            self._seen.note("unknown", "stream", frame)
            return
        self._seen.note("unusual", "layout", frame)
        self._liveness.settle(channel)

    def _obey(self, control: Control) -> None:
        if control.kind is ControlKind.SHUTDOWN:
            log.warning("feed.server_shutdown", feed=self._dialect.name)
            self.replaceable.set()
        elif control.kind is ControlKind.ACK:
            self._acknowledged(control)
        elif control.kind is ControlKind.REFUSED:
            failure = self._subscriptions.refuse(control.request_id, control.text, self._now_s())
            if failure is None:
                log.error("feed.venue_error", feed=self._dialect.name, message=control.text)
            else:
                self._failed(failure)

    def _acknowledged(self, control: Control) -> None:
        request = self._subscriptions.acknowledge(control.request_id)
        if request is not None:
            log.info(
                "feed.subscribed" if request.subscribe else "feed.unsubscribed",
                feed=self._dialect.name,
                topics=request.topics,
            )
        self._after_answer()

    def _failed(self, failure: Failure) -> None:
        log.error(
            "feed.subscription_failed",
            feed=self._dialect.name,
            topics=failure.request.topics,
            reason=failure.reason,
            reported=failure.reported,
        )
        channels = [self._wanted[t] for t in failure.reported if t in self._wanted]
        if channels:
            self._liveness.lose(channels, f"subscription failed: {failure.reason}")
        self._after_answer()

    def _after_answer(self) -> None:
        self._changed.set()
        if not self.ready and self._subscriptions.complete():
            self.ready = True
            self._on_ready(self)

    async def _subscribe(self) -> None:
        while True:
            self._changed.clear()
            for failure in self._subscriptions.expire(self._now_s()):
                self._failed(failure)
            request = self._subscriptions.next_request(self._now_s())
            if request is None:
                await self._wait_changed()
                continue
            await self._send(
                self._dialect.request(
                    request.topics, request.request_id, subscribe=request.subscribe
                )
            )
            await asyncio.sleep(self._dialect.request_pause_seconds)

    async def _wait_changed(self) -> None:
        try:
            async with asyncio.timeout(self._subscriptions.wait_seconds(self._now_s())):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _ping(self) -> None:
        message = self._dialect.ping
        while message is not None:
            await asyncio.sleep(self._dialect.ping_seconds)
            await self._send(message)

    async def _send(self, message: str) -> None:
        try:
            async with asyncio.timeout(self._timings.send_seconds):
                await self._transport.send(message)
        except TimeoutError as error:
            raise LinkDown("send timed out") from error
        except self._connector.errors as error:
            raise self._explain(error) from error

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._timings.watch_seconds)
            now_ns = self._clock.monotonic_ns()
            channels = self._wanted.values()
            newest_ns = max((c.advanced_ns for c in channels), default=0)
            self.fresh = self.fresh or newest_ns > self._began_ns
            self._end_if_useless(now_ns, max(newest_ns, *(c.quiet_ns for c in channels), 0))
            if self._life_seconds and now_ns - self._began_ns > self._life_seconds * NS_PER_SECOND:
                self.replaceable.set()

    def _end_if_useless(self, now_ns: int, newest_ns: int) -> None:
        if self._retired:
            raise LinkDown("replaced")
        if not self._wanted:
            raise LinkDown("nothing_watched")
        periodic = any(channel.periodic for channel in self._wanted.values())
        silence_ns = self._silence_ns + (0 if periodic else self._liveness.asking_ns)
        if now_ns - max(newest_ns, self._quiet_since_ns) > silence_ns:
            log.warning("feed.silent", feed=self._dialect.name)
            raise LinkDown("silent")

    def _explain(self, error: Exception) -> LinkDown:
        why = self._connector.explain(error)
        log.warning("feed.closed", feed=self._dialect.name, code=why.code, reason=str(why))
        return LinkDown(f"closed {why.code}: {why}")

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / NS_PER_SECOND
