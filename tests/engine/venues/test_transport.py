"""What each library promises: whole messages, honest stamps, bounded queues, known ends."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from engine.clock import SystemClock
from engine.venues.transport import Limits
from tests.engine.venues.sockets import by_hand, connected, connector_of, end_of, take
from tests.engine.venues.venue_server import Library, until


async def test_messages_come_whole_and_in_order_whatever_their_fragments(library: Library) -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send("one")
        await socket.send(["t", "", "wo"])
        await socket.send(["", "", ""])
        await socket.ping()
        await socket.send(b"\x00three")
        socket.transport.write(b"\x01\x03fir\x89\x00\x80\x02st")  # a ping between the fragments

    async with connected(library, script) as connection:
        assert await take(connection, 5) == [b"one", b"two", b"", b"\x00three", b"first"]


async def test_a_message_keeps_its_bytes_when_others_follow(library: Library) -> None:
    sent = [f"{number:05}" * 50 for number in range(3000)]
    go_on = asyncio.Event()

    async def script(socket: ServerConnection) -> None:
        await socket.send(sent[0])
        await go_on.wait()
        for message in sent[1:]:
            await socket.send(message)

    async with connected(library, script) as connection:
        first = await take(connection, 1)
        go_on.set()
        assert first + await take(connection, len(sent) - 1) == [each.encode() for each in sent]


async def test_a_message_may_be_longer_than_many_reads(library: Library) -> None:
    sent = ["small", "x" * 3_000_000, "small", "y" * 1_000_000]

    async def script(socket: ServerConnection) -> None:
        for message in sent:
            await socket.send(message)

    async with connected(library, script) as connection:
        assert await take(connection, 4) == [message.encode() for message in sent]


async def test_a_stamp_is_taken_when_the_bytes_that_complete_a_message_arrive(
    library: Library,
) -> None:
    clock = SystemClock()
    half_sent_ns: list[int] = []
    go_on = asyncio.Event()

    async def halves() -> AsyncIterator[str]:
        yield "first half, "
        half_sent_ns.append(clock.monotonic_ns())
        await go_on.wait()
        yield "second half"

    async def script(socket: ServerConnection) -> None:
        await socket.send("before")
        await socket.send(halves())

    async with connected(library, script) as connection:
        await take(connection, 1)
        await asyncio.sleep(0.05)
        before_ns = clock.monotonic_ns()
        go_on.set()
        await connection.wait()
        message, stamp_ns = connection.frames.popleft()
    assert message == b"first half, second half"
    assert half_sent_ns[0] < before_ns <= stamp_ns <= clock.monotonic_ns()


async def test_messages_of_one_read_share_its_stamp_also_behind_a_ping(library: Library) -> None:
    async def script(socket: ServerConnection) -> None:
        socket.transport.write(b"\x81\x01a\x81\x01b\x89\x00")
        await socket.recv()
        socket.transport.write(b"\x81\x01c\x81\x01d")

    clock = SystemClock()
    async with connected(library, script) as connection:
        await connection.wait()
        first = [connection.frames.popleft() for _ in range(2)]
        before_ns = clock.monotonic_ns()
        await connection.send("go on")
        await connection.wait()
        second = [connection.frames.popleft() for _ in range(2)]
    assert [message for message, _ in first + second] == [b"a", b"b", b"c", b"d"]
    assert first[0][1] == first[1][1] < before_ns < second[0][1] == second[1][1]


@pytest.mark.parametrize(
    ("close", "code", "reason"),
    [
        (b"\x88\x09\x03\xf4restart", 1012, "restart"),
        (b"\x88\x08\x0f\xa1my own", 4001, "my own"),
        (b"\x88\x02\x03\xe8", 1000, "closed by the venue"),
        (b"\x88\x00", 1005, "closed by the venue"),
    ],
    ids=["1012", "4001", "1000", "none"],
)
async def test_the_messages_before_the_end_are_read_before_it_is_told(
    library: Library, close: bytes, code: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    frames = b"\x81\x04last\x81\x05words" + close + b"\x81\x04late"
    async with by_hand([], frames) as (url, go_on, _):
        go_on.set()
        connection = await connector_of(library, Limits(close_seconds=0.1)).connect(url)
        assert await take(connection, 2) == [b"last", b"words"]
        end = await end_of(library, connection)
        await connection.close()
    assert (end.code, str(end)) == (code, reason)
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


async def test_a_close_of_the_venue_is_answered(library: Library) -> None:
    answers: list[int | None] = []

    async def script(socket: ServerConnection) -> None:
        await socket.close(1012, "restart")
        answers.append(socket.protocol.close_rcvd and socket.protocol.close_rcvd.code)

    async with connected(library, script) as connection:
        await end_of(library, connection)
        await until(lambda: answers)
    assert answers == [1012]


async def test_a_waiting_reader_learns_of_the_end(library: Library) -> None:
    waits = asyncio.Event()

    async def script(socket: ServerConnection) -> None:
        await waits.wait()
        socket.transport.abort()

    async with connected(library, script) as connection:
        asyncio.get_running_loop().call_soon(waits.set)
        assert (await end_of(library, connection)).code == 1006


async def test_what_is_sent_after_the_end_is_an_error(library: Library) -> None:
    async def script(socket: ServerConnection) -> None:
        socket.transport.abort()

    async with connected(library, script) as connection:
        await end_of(library, connection)
        with pytest.raises(connector_of(library).errors):
            await connection.send("too late")


async def test_a_cancelled_wait_loses_nothing(library: Library) -> None:
    go_on = asyncio.Event()

    async def script(socket: ServerConnection) -> None:
        await go_on.wait()
        await socket.send("late")

    async with connected(library, script) as connection:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.wait(), 0.01)
        go_on.set()
        assert await take(connection, 1) == [b"late"]


@pytest.mark.parametrize("tls", [False, True])
async def test_a_reader_that_lags_stops_the_socket_and_then_gets_everything(
    library: Library, tls: bool
) -> None:
    limits = Limits(queued_frames=8, read_bytes=4096)
    sent = [f"{number:04}" * 1000 for number in range(4000)]
    done = asyncio.Event()

    async def script(socket: ServerConnection) -> None:
        for message in sent:
            await socket.send(message)
        done.set()

    async with connected(library, script, limits, tls=tls) as connection:
        await until(lambda: len(connection.frames) > 8)
        await asyncio.sleep(0.2)
        # 16 MB are more than any kernel's buffers: the venue has to wait. TLS decrypts in records.
        assert len(connection.frames) <= 8 + (70 if tls else 3)
        assert not done.is_set()
        assert await take(connection, len(sent)) == [message.encode() for message in sent]


async def test_one_read_is_bounded(library: Library) -> None:
    """Other tasks run between two reads of a burst, so no read may take all of it."""
    limits = Limits(read_bytes=2048)
    burst = b"\x81\x64" + b"x" * 100

    async def script(socket: ServerConnection) -> None:
        socket.transport.write(burst * 10_000)

    async with connected(library, script, limits) as connection:
        most = taken = 0
        while taken < 10_000:
            await connection.wait()
            most = max(most, len(connection.frames))
            taken += len(connection.frames)
            connection.frames.clear()
    assert most <= 2 * (2048 // len(burst) + 1)


@pytest.mark.parametrize(
    "frames",
    [
        b"\x81\x7f" + (1 << 40).to_bytes(8, "big") + b"x" * 100,
        b"\x81\x7e" + (2000).to_bytes(2, "big") + b"x" * 2000,
        (b"\x01\x7e" + (600).to_bytes(2, "big") + b"x" * 600)
        + (b"\x80\x7e" + (600).to_bytes(2, "big") + b"x" * 600),
    ],
    ids=["announced", "whole", "in_fragments"],
)
async def test_a_message_beyond_the_bound_ends_the_connection(
    library: Library, frames: bytes
) -> None:
    async def script(socket: ServerConnection) -> None:
        socket.transport.write(frames)

    async with connected(library, script, Limits(message_bytes=1000)) as connection:
        end = await end_of(library, connection)
    assert "1009" in f"{end.code} {end}"
    assert not connection.frames


@pytest.mark.parametrize(
    "frames",
    [b"\x80\x02no", b"\x01\x02no\x81\x02no", b"\xc1\x02no", b"\x91\x02no", b"\x83\x02no"],
    ids=["end_of_nothing", "message_in_message", "compressed", "reserved_bit", "no_such_kind"],
)
async def test_a_venue_that_breaks_the_protocol_is_left(library: Library, frames: bytes) -> None:
    async def script(socket: ServerConnection) -> None:
        socket.transport.write(frames + b"\x81\x02no")

    async with connected(library, script) as connection:
        end = await end_of(library, connection)
    assert "1002" in f"{end.code} {end}"
    assert not connection.frames


async def test_pings_are_answered_and_sent_for_as_long_as_they_are_answered(
    library: Library,
) -> None:
    pings: list[bytes] = []
    limits = Limits(keepalive_seconds=0.03)

    class Counting(ServerConnection):
        def process_event(self, event) -> None:
            if event.__class__.__name__ == "Frame" and event.opcode == 9:
                pings.append(bytes(event.data))
            super().process_event(event)

    async def script(socket: ServerConnection) -> None:
        await (await socket.ping())
        await until(lambda: len(pings) > 3)
        await socket.send("alive")

    async with connected(library, script, limits, create_connection=Counting) as connection:
        assert await take(connection, 1) == [b"alive"]
    assert len(set(pings)) == len(pings)


async def test_a_venue_that_answers_no_ping_is_gone(library: Library) -> None:
    async def script(socket: ServerConnection) -> None:
        socket.transport.pause_reading()

    async with connected(library, script, Limits(keepalive_seconds=0.05)) as connection:
        end = await end_of(library, connection)
    assert end.code == 1006


async def test_an_answer_to_another_ping_is_no_sign_of_life(library: Library) -> None:
    async def script(socket: ServerConnection) -> None:
        socket.transport.pause_reading()
        while not socket.transport.is_closing():
            socket.transport.write(b"\x8a\x05other")
            await asyncio.sleep(0.01)

    async with connected(library, script, Limits(keepalive_seconds=0.05)) as connection:
        assert (await end_of(library, connection)).code == 1006


async def test_a_close_is_a_handshake(library: Library) -> None:
    codes: list[int | None] = []

    async def script(socket: ServerConnection) -> None:
        await socket.wait_closed()
        codes.append(socket.close_code)

    async with connected(library, script) as connection:
        await connection.close()
        await until(lambda: codes)
        assert (await end_of(library, connection)).code in {1000, 1006}
    assert codes == [1000]


async def test_a_close_in_the_midst_of_messages_is_a_handshake_too(library: Library) -> None:
    codes: list[int | None] = []

    async def script(socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send("more")
                await asyncio.sleep(0.001)
        codes.append(socket.close_code)

    async with connected(library, script) as connection:
        await take(connection, 10)
        await connection.close()
        await until(lambda: codes)
    assert codes == [1000]


async def test_a_venue_that_does_not_answer_a_close_is_left_alone(library: Library) -> None:
    ended = asyncio.Event()

    async def script(socket: ServerConnection) -> None:
        socket.transport.pause_reading()
        await ended.wait()
        socket.transport.abort()

    async with connected(library, script, Limits(close_seconds=0.1)) as connection:
        async with asyncio.timeout(5):
            await connection.close()
        ended.set()


async def test_sending_waits_for_a_venue_that_takes_nothing(library: Library) -> None:
    go_on = asyncio.Event()
    message = "x" * (1 << 20)

    async def script(socket: ServerConnection) -> None:
        socket.transport.pause_reading()
        await go_on.wait()
        socket.transport.resume_reading()
        heard = [await socket.recv() for _ in range(50)]
        await socket.send("all" if heard == [message] * 50 else "not all")

    async def send_much() -> None:
        for _ in range(50):
            await connection.send(message)

    async with connected(library, script, max_size=None) as connection:
        sending = asyncio.create_task(send_much())
        await asyncio.wait({sending}, timeout=0.2)
        assert not sending.done()
        go_on.set()
        await sending
        assert await take(connection, 1) == [b"all"]
