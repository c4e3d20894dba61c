"""A venue's stream of account events: one session class for all, kept alive by ``run``.

The client libraries' own streams end for good after an outage of seconds (../shared/wire), so the
connection is ours; what is said on it is the venue's ``AccountDialect``. A session logs in, reads,
pings, and is opened anew after a jittered, growing pause whenever it ends, is silent for too long
or cannot be read. After each log-in it tells ``AccountResumed``: what came before may be missed.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol

import structlog
from msgspec import Struct

from engine.model.events import AccountResumed, TradingStopped
from engine.ports import BrokerEvent, Clock
from engine.venues.account import Outcome, RequestFailed
from engine.venues.transport import (
    CONNECT_TIMEOUT_SECONDS,
    Connector,
    Transport,
    TransportError,
)

NS_PER_SECOND = 1_000_000_000

log = structlog.get_logger(__name__)


class Heard(Struct, frozen=True):
    """What one frame says; the default is a frame that says nothing (a pong, an acknowledgement).

    Attributes:
        events: go to the broker's sink, in this order, before anything else of the frame counts.
        send: messages to send now, as the subscriptions after a log-in.
        ready: logged in and everything is subscribed.
        ended: why a new session is needed (expired, terminated, shut down); empty to go on.
        failure: the log-in or a subscription was refused, and what that means.
    """

    events: tuple[BrokerEvent, ...] = ()
    send: tuple[str, ...] = ()
    ready: bool = False
    ended: str = ""
    failure: RequestFailed | None = None


NOTHING_HEARD = Heard()


class AccountDialect(Protocol):
    """What a session has to know of a venue's account stream.

    Attributes:
        name: for log lines, as ``bybit.private``.
        ping_seconds: time between two of ``ping``.
        silence_seconds: without any frame for so long the connection is taken for dead. More than
            ``ping_seconds``, or, without pings of our own, enough for the venue's periodic frames;
            None leaves it to the WebSocket's own pings (every 20 s).
        life_seconds: age at which a session is replaced before the venue cuts it; None never.
    """

    name: str
    ping_seconds: float
    silence_seconds: float | None
    life_seconds: float | None

    async def url(self) -> str:
        """Return the address of the next session; a listen key is asked for here.

        Raises:
            RequestFailed: it cannot be had now.
        """

    def hello(self) -> Sequence[str]:
        """Return what is sent first: the log-in, or subscriptions. Nothing: ready at once."""

    def ping(self) -> str | None:
        """Return the text of a ping; None when the venue wants none."""

    def read(self, frame: bytes) -> Heard:
        """Say what a frame is. What it raises ends the session and is logged with the trace."""


class StreamTimings(Struct, frozen=True):
    """How a session paces itself, in seconds.

    Attributes:
        log_in_seconds: from the open connection to ``ready``.
        backoff_seconds: longest pause after the first failure; doubles with each further one.
        settled_seconds: a session that was ready for so long ends the doubling.
    """

    connect_seconds: float = CONNECT_TIMEOUT_SECONDS + 2.0
    log_in_seconds: float = 10.0
    send_seconds: float = 5.0
    close_seconds: float = 2.0
    backoff_seconds: float = 0.5
    max_backoff_seconds: float = 30.0
    settled_seconds: float = 10.0


class SessionOver(Exception):
    """The session has ended; the text is the cause, ``wait_ns`` how long to stay away."""

    def __init__(self, cause: str, wait_ns: int = 0) -> None:
        super().__init__(cause)
        self.wait_ns = wait_ns


class AccountStream:
    """The account stream of one venue (or of one of its wallets), kept alive by ``run``.

    Args:
        sleep: waits between sessions, in seconds.

    Attributes:
        is_ready: logged in and subscribed now.
    """

    def __init__(
        self,
        venue: str,
        dialect: AccountDialect,
        connector: Connector,
        clock: Clock,
        sink: Callable[[BrokerEvent], None],
        rng: random.Random | None = None,
        timings: StreamTimings | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.is_ready = False
        self._venue = venue
        self._dialect = dialect
        self._connector = connector
        self._clock = clock
        self._sink = sink
        self._rng = rng or random.SystemRandom()
        self._timings = timings or StreamTimings()
        self._sleep = sleep
        self._failures = 0
        self._heard_ns = 0
        self._restart: asyncio.Future[str] | None = None

    def restart(self, cause: str) -> None:
        """End the session that runs, so that a new one is opened; without one, nothing."""
        if self._restart is not None and not self._restart.done():
            self._restart.set_result(cause)

    async def run(self) -> None:
        """Keep a session alive until cancelled."""
        while True:
            began_ns = self._clock.monotonic_ns()
            over = await self._serve()
            was_ready, self.is_ready = self.is_ready, False
            lasted_ns = self._clock.monotonic_ns() - began_ns
            settled = was_ready and lasted_ns >= self._timings.settled_seconds * NS_PER_SECOND
            self._failures = 1 if settled else self._failures + 1
            log.warning("account.stream_lost", stream=self._dialect.name, reason=str(over))
            await self._sleep(self._pause_seconds() + over.wait_ns / NS_PER_SECOND)

    async def _serve(self) -> SessionOver:
        """Open a session and serve it to its end; returns why it ended."""
        try:
            transport = await self._open()
            try:
                # In a task of its own: in Python 3.11 a group that ends by an error leaves a
                # cancellation counted in its task, which timeouts around it take for theirs.
                return await asyncio.create_task(self._talk(transport))
            finally:
                await self._close(transport)
        except SessionOver as over:
            return over
        except RequestFailed as error:
            return self._judge(error)
        except (TransportError, TimeoutError) as error:
            return SessionOver(f"connect failed: {str(error) or 'timed out'}")

    async def _open(self) -> Transport:
        async with asyncio.timeout(self._timings.connect_seconds):
            with self._guarded("url"):
                url = await self._dialect.url()
            return await self._connector.connect(url)

    @contextlib.contextmanager
    def _guarded(self, part: str, frame: bytes = b"") -> Iterator[None]:
        """A defect in what is said to one venue ends the session, not the guard of the others."""
        try:
            yield
        except (RequestFailed, TransportError, TimeoutError):
            raise
        except Exception as error:
            log.exception(
                "account.stream_defect", stream=self._dialect.name, part=part, frame=frame[:200]
            )
            raise SessionOver(f"{part}: {type(error).__name__}: {error}") from error

    async def _close(self, transport: Transport) -> None:
        try:
            async with asyncio.timeout(self._timings.close_seconds):
                await transport.close()
        except TimeoutError:
            log.debug("account.close_timed_out", stream=self._dialect.name)

    async def _talk(self, transport: Transport) -> SessionOver:
        self._heard_ns = self._clock.monotonic_ns()
        self._restart = asyncio.get_running_loop().create_future()
        over = SessionOver("ended")
        try:
            async with asyncio.TaskGroup() as group:
                for part in (self._read(transport), self._ping(transport), self._watch()):
                    group.create_task(part)
        except* SessionOver as ends:
            over = ends.exceptions[0]  # type: ignore[assignment]  # the tasks raise no groups
        except* self._connector.errors as ends:
            over = SessionOver(str(self._connector.explain(ends.exceptions[0])))
        finally:
            self._restart = None
        return over

    async def _read(self, transport: Transport) -> None:
        with self._guarded("hello"):
            hello = self._dialect.hello()
        await self._send(transport, hello)
        if not hello:
            self._ready()
        while True:
            await transport.wait()
            while transport.frames:
                frame, self._heard_ns = transport.frames.popleft()
                await self._obey(transport, self._hear(frame))

    def _hear(self, frame: bytes) -> Heard:
        # What cannot be read may have been a fill: the next session's log-in has all read again.
        with self._guarded("read", frame):
            return self._dialect.read(frame)

    async def _obey(self, transport: Transport, heard: Heard) -> None:
        for event in heard.events:
            self._sink(event)
        if heard.failure is not None:
            raise self._judge(heard.failure)
        if heard.ended:
            raise SessionOver(heard.ended)
        if heard.send:
            await self._send(transport, heard.send)
        if heard.ready and not self.is_ready:
            self._ready()

    def _ready(self) -> None:
        self.is_ready = True
        log.info("account.stream_ready", stream=self._dialect.name)
        self._sink(AccountResumed(self._venue, self._clock.now_ns()))

    def _judge(self, error: RequestFailed) -> SessionOver:
        verdict = error.verdict
        if verdict.outcome is Outcome.STOP:
            message = verdict.remedy or str(error)
            self._sink(TradingStopped(self._venue, message, self._clock.now_ns()))
        return SessionOver(str(error), verdict.wait_ns)

    async def _send(self, transport: Transport, messages: Sequence[str]) -> None:
        for message in messages:
            try:
                async with asyncio.timeout(self._timings.send_seconds):
                    await transport.send(message)
            except TimeoutError as error:
                raise SessionOver("a message could not be sent in time") from error

    async def _ping(self, transport: Transport) -> None:
        while True:
            await asyncio.sleep(self._dialect.ping_seconds)
            with self._guarded("ping"):
                text = self._dialect.ping()
            if text is not None:
                await self._send(transport, (text,))

    async def _watch(self) -> None:
        """End the session at its deadlines: the log-in, silence, age, or when told to."""
        restart = self._restart
        if restart is None:
            return
        began_ns = self._clock.monotonic_ns()
        while True:
            done, _ = await asyncio.wait({restart}, timeout=0.1)
            if done:
                raise SessionOver(restart.result())
            self._check_deadlines(began_ns, self._clock.monotonic_ns())

    def _check_deadlines(self, began_ns: int, now_ns: int) -> None:
        dialect = self._dialect
        age_s = (now_ns - began_ns) / NS_PER_SECOND
        silent_s = (now_ns - self._heard_ns) / NS_PER_SECOND
        if not self.is_ready and age_s > self._timings.log_in_seconds:
            raise SessionOver("not logged in in time")
        if dialect.silence_seconds is not None and silent_s > dialect.silence_seconds:
            raise SessionOver(f"silent for {silent_s:.3g} s")
        if dialect.life_seconds is not None and age_s > dialect.life_seconds:
            raise SessionOver("replaced at the end of its life")

    def _pause_seconds(self) -> float:
        timings = self._timings
        longest_s = min(
            timings.backoff_seconds * 2.0 ** min(self._failures - 1, 16),
            timings.max_backoff_seconds,
        )
        # Full jitter: all clients of a restarted venue must not come back at once.
        return longest_s * (0.1 + 0.9 * self._rng.random())
