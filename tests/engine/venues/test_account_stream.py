"""A session with a venue's account stream over real sockets, whatever the venue does."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
import structlog
from websockets.asyncio.server import ServerConnection, serve

from engine.clock import SystemClock
from engine.model.events import AccountResumed, OrderUpdated, TradingStopped
from engine.model.order import OrderStatus
from engine.venues.account import Outcome
from engine.venues.account_stream import (
    NOTHING_HEARD,
    AccountStream,
    Heard,
    StreamTimings,
)
from engine.venues.websockets_transport import WebsocketsConnector
from tests.engine.venues.accounts import Told, failed
from tests.engine.venues.venue_server import until

QUICK = StreamTimings(
    connect_seconds=0.5,
    log_in_seconds=0.3,
    send_seconds=0.3,
    close_seconds=0.3,
    backoff_seconds=0.01,
    max_backoff_seconds=0.02,
    settled_seconds=5.0,
)
FILLED = OrderUpdated("key", OrderStatus.FILLED, 1)
Answer = Callable[[ServerConnection, str], Awaitable[None]]


class Venue:
    """A venue's side: answers each message as a test has it.

    Attributes:
        sessions: the messages of each session, in order.
    """

    def __init__(self) -> None:
        self.url = ""
        self.sessions: list[list[str]] = []
        self.live: list[ServerConnection] = []
        self.silent = False
        self.refusing = False
        self.pongs = True

    async def serve(self, socket: ServerConnection) -> None:
        self.sessions.append([])
        self.live.append(socket)
        async for message in socket:
            text = str(message)
            self.sessions[-1].append(text)
            if self.silent:
                continue
            if text == "log in":
                await socket.send("refused" if self.refusing else "welcome")
            elif text == "subscribe":
                await socket.send("subscribed")
            elif text == "ping" and self.pongs:
                await socket.send("pong")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with serve(self.serve, "127.0.0.1", 0, close_timeout=0.1) as server:
            port = server.sockets[0].getsockname()[1]
            self.url = f"ws://127.0.0.1:{port}"
            yield


class Speech:
    """An ``AccountDialect`` of the venue above."""

    name = "test.private"

    def __init__(self, venue: Venue) -> None:
        self.ping_seconds = 0.05
        self.silence_seconds: float | None = 1.0
        self.life_seconds: float | None = None
        self.greeting: Sequence[str] = ("log in",)
        self.address: list[Any] = []
        self.asked = 0
        self._venue = venue

    async def url(self) -> str:
        self.asked += 1
        step = self.address.pop(0) if self.address else self._venue.url
        if isinstance(step, Exception):
            raise step
        return str(step)

    def hello(self) -> Sequence[str]:
        return self.greeting

    def ping(self) -> str | None:
        return "ping"

    def read(self, frame: bytes) -> Heard:
        match frame:
            case b"welcome":
                return Heard(send=("subscribe",))
            case b"subscribed":
                return Heard(ready=True)
            case b"refused":
                return Heard(failure=failed(Outcome.STOP, "10003", remedy="make a new key"))
            case b"filled":
                return Heard(events=(FILLED,))
            case b"filled, and over":
                return Heard(events=(FILLED,), ended="the key has expired")
            case b"broken":
                raise KeyError("data")
        return NOTHING_HEARD


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    made = Venue()
    async with made.running():
        yield made


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def speech(venue: Venue) -> Speech:
    return Speech(venue)


@contextlib.asynccontextmanager
async def following(
    speech: Speech, told: Told, timings: StreamTimings = QUICK
) -> AsyncIterator[AccountStream]:
    clock = SystemClock()
    connector = WebsocketsConnector(clock.monotonic_ns)
    stream = AccountStream("bybit", speech, connector, clock, told, random.Random(2), timings)
    task = asyncio.create_task(stream.run())
    try:
        yield stream
    finally:
        assert not task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_session_logs_in_subscribes_and_is_told(venue, speech, told):
    async with following(speech, told) as stream:
        await until(lambda: stream.is_ready)
        assert venue.sessions[0][:2] == ["log in", "subscribe"]
        assert len(told.of(AccountResumed)) == 1
        assert told[0].venue == "bybit"


async def test_where_nothing_is_to_be_said_a_session_is_ready_at_once(venue, speech, told):
    speech.greeting = ()
    async with following(speech, told):
        await until(lambda: told.of(AccountResumed))
    assert not set(venue.sessions[0]) - {"ping"}


async def test_what_happens_to_orders_is_passed_on(venue, speech, told):
    async with following(speech, told) as stream:
        await until(lambda: stream.is_ready)
        await venue.live[-1].send("filled")
        await until(lambda: told.of(OrderUpdated))
    assert told.of(OrderUpdated) == [FILLED]


async def test_a_connection_that_is_cut_is_made_again_and_told(venue, speech, told):
    async with following(speech, told) as stream:
        for sessions in (1, 2, 3):
            await until(lambda n=sessions: len(told.of(AccountResumed)) == n)
            await venue.live[-1].close()
            await until(lambda n=sessions: not stream.is_ready or len(venue.sessions) > n)
        await until(lambda: len(told.of(AccountResumed)) == 4)


async def test_a_connection_that_dies_without_a_word_is_made_again(venue, speech, told):
    async with following(speech, told) as stream:
        await until(lambda: stream.is_ready)
        venue.live[-1].transport.abort()
        await until(lambda: len(told.of(AccountResumed)) == 2)


async def test_an_outage_of_the_venue_does_not_end_the_stream(speech, venue, told):
    speech.address = ["ws://127.0.0.1:1"] * 12
    async with following(speech, told) as stream:
        await until(lambda: stream.is_ready)
    assert speech.asked == 13


async def test_a_venue_that_falls_silent_is_left(venue, speech, told):
    speech.silence_seconds = 0.15
    async with following(speech, told) as stream:
        await until(lambda: stream.is_ready)
        await asyncio.sleep(0.4)
        assert len(venue.sessions) == 1  # pongs are a sign of life
        venue.pongs = False
        await until(lambda: len(venue.sessions) == 2)


async def test_without_a_deadline_of_silence_the_pings_of_the_socket_have_to_do(
    venue, speech, told
):
    speech.silence_seconds = None
    venue.pongs = False
    async with following(speech, told) as stream:
        await until(lambda: stream.is_ready)
        await asyncio.sleep(0.3)
        assert len(venue.sessions) == 1


async def test_a_log_in_that_is_not_answered_is_tried_anew(venue, speech, told):
    venue.silent = True
    async with following(speech, told) as stream:
        await until(lambda: len(venue.sessions) == 2)
        assert not stream.is_ready
        venue.silent = False
        await until(lambda: stream.is_ready)
    assert len(told.of(AccountResumed)) == 1


async def test_a_log_in_that_is_refused_tells_the_remedy_and_is_tried_anew(venue, speech, told):
    venue.refusing = True
    async with following(speech, told) as stream:
        await until(lambda: len(venue.sessions) >= 2)
        assert told.of(TradingStopped)[0].message == "make a new key"
        assert told.of(AccountResumed) == []
        venue.refusing = False
        await until(lambda: stream.is_ready)


async def test_a_venue_that_wants_silence_is_left_alone_so_long(venue, speech, told):
    speech.address = [failed(Outcome.WAIT, "banned", wait_ns=300_000_000)]
    async with following(speech, told) as stream:
        await asyncio.sleep(0.2)
        assert speech.asked == 1
        await until(lambda: stream.is_ready)
    assert told.of(TradingStopped) == []


@pytest.mark.parametrize("defect", [ValueError("odd"), OSError("no route")])
async def test_a_defect_in_asking_for_the_address_ends_nothing(venue, speech, told, defect):
    speech.address = [defect]
    with structlog.testing.capture_logs() as logs:
        async with following(speech, told) as stream:
            await until(lambda: stream.is_ready)
    [line] = [line for line in logs if line["event"] == "account.stream_defect"]
    assert line["exc_info"]


async def test_a_frame_that_cannot_be_read_has_the_account_read_anew(venue, speech, told):
    with structlog.testing.capture_logs() as logs:
        async with following(speech, told) as stream:
            await until(lambda: stream.is_ready)
            await venue.live[-1].send("broken")
            await until(lambda: len(told.of(AccountResumed)) == 2)
    [line] = [line for line in logs if line["event"] == "account.stream_defect"]
    assert (line["part"], line["frame"]) == ("read", b"broken")


async def test_what_a_last_frame_tells_is_told_before_the_session_ends(venue, speech, told):
    async with following(speech, told) as stream:
        await until(lambda: stream.is_ready)
        await venue.live[-1].send("filled, and over")
        await until(lambda: len(told.of(AccountResumed)) == 2)
    assert told[1] == FILLED


async def test_a_session_may_be_ended_from_outside(venue, speech, told):
    async with following(speech, told) as stream:
        stream.restart("there is none yet")
        await until(lambda: stream.is_ready)
        stream.restart("listen key lost")
        stream.restart("said twice")
        await until(lambda: len(told.of(AccountResumed)) == 2)
        await asyncio.sleep(0.1)
        assert len(venue.sessions) == 2


async def test_a_session_is_replaced_before_the_venue_cuts_it(venue, speech, told):
    speech.life_seconds = 0.3
    async with following(speech, told):
        await until(lambda: len(told.of(AccountResumed)) == 3)


async def test_a_core_that_fails_ends_the_stream(venue, speech, told):
    told.refuse = RuntimeError("boom")
    clock = SystemClock()
    connector = WebsocketsConnector(clock.monotonic_ns)
    stream = AccountStream("bybit", speech, connector, clock, told, timings=QUICK)
    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(3):
            await stream.run()


async def test_a_timeout_around_the_stream_works_after_many_sessions(venue, speech, told):
    """Groups that end by an error must not leave cancellations counted in the caller's task."""
    speech.life_seconds = 0.05
    clock = SystemClock()
    connector = WebsocketsConnector(clock.monotonic_ns)
    stream = AccountStream("bybit", speech, connector, clock, told, timings=QUICK)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.8):
            await stream.run()
    assert len(venue.sessions) > 1


async def test_failures_make_the_pauses_longer_and_a_settled_session_short_again(
    venue, speech, told
):
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    speech.address = ["ws://127.0.0.1:1"] * 5
    timings = StreamTimings(backoff_seconds=1.0, max_backoff_seconds=8.0, settled_seconds=0.1)
    clock = SystemClock()
    connector = WebsocketsConnector(clock.monotonic_ns)
    stream = AccountStream(
        "bybit", speech, connector, clock, told, random.Random(2), timings, sleep=note
    )
    task = asyncio.create_task(stream.run())
    await until(lambda: stream.is_ready)
    limits = [1.0, 2.0, 4.0, 8.0, 8.0]
    assert all(0.1 * most <= pause <= most for pause, most in zip(pauses, limits, strict=True))
    await asyncio.sleep(0.2)
    stream.restart("settled")
    await until(lambda: len(pauses) == 6)
    assert pauses[5] <= 1.0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
