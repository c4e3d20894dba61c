"""The other end of a bench: a process that sends a venue's frames over a real WebSocket.

``blast`` sends prebuilt frames as fast as the reader takes them: Bybit's or, with ``venue`` set to
``binance``, those of Binance's spot ``trade`` streams, where the address is the subscription.
``pace`` sends so many frames a second, singly or in bursts that are one write each; every frame
carries the monotonic time of its write in the field ``T``, in microseconds. Clocks of one machine
are one clock. Sending begins a while after the subscription, so that subscribing is not measured,
and the moment is printed.

It ends when its standard input does: a bench that dies leaves nothing behind.
"""

import asyncio
import json
import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.shared.frames import blasted, on_wire, paced, stamped
from bench.shared.report import BenchFailed

ROOT = Path(__file__).resolve().parents[2]
PAUSE_S = 0.3
ACK_S = 0.05
"""No venue is nearer; pybit notes a subscription after sending it, and dies of an earlier ack."""

CHUNK = 64
START_S = 20.0
STOP_S = 5.0


class Source:
    """A running source: its address before any path, that before ``/linear``, what it tells."""

    def __init__(self, process: Popen[bytes]) -> None:
        self._process = process
        self.root = f"ws://127.0.0.1:{self._line(START_S)['port']}"
        self.url = f"{self.root}/v5/public"

    def begun_ns(self) -> int:
        """When the frames of the next connection not yet asked for began to be sent, monotonic."""
        value = self._line(START_S)["begun_ns"]
        assert isinstance(value, int)
        return value

    def _line(self, patience_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], patience_s)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            raise BenchFailed("the sending process ended or is stuck; its error is above, if any")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def running(**facts: Any) -> Iterator[Source]:
    """Run a source in a process of its own."""
    command = [sys.executable, "-m", "bench.shared.source", json.dumps(facts)]
    with Popen(command, stdin=PIPE, stdout=PIPE, bufsize=0, cwd=ROOT) as process:
        try:
            yield Source(process)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except TimeoutExpired:
                process.kill()


async def _subscribed(socket: ServerConnection) -> bool:
    """Acknowledge requests until trades are asked for; False when the reader left before."""
    if socket.request is not None and socket.request.path.endswith("@trade"):
        return True
    async for message in socket:
        request = json.loads(message)
        if request.get("op") != "subscribe":
            continue
        await asyncio.sleep(ACK_S)
        ack = {"success": True, "ret_msg": "", "conn_id": "bench", "op": "subscribe"}
        await socket.send(json.dumps(ack | {"req_id": request.get("req_id", "")}))
        if any(topic.startswith("publicTrade") for topic in request["args"]):
            return True
    return False


def _tell(**facts: int) -> None:
    print(json.dumps(facts), flush=True)


async def _blast(socket: ServerConnection, wire: list[bytes]) -> None:
    socket.transport.set_write_buffer_limits(high=1 << 20, low=1 << 18)
    for chunk in wire:
        socket.transport.write(chunk)
        await socket.drain()


def _sleep_until(moment_s: float) -> None:
    # Blocking on purpose: the loop's own timers are no finer than a millisecond.
    wait_s = moment_s - time.monotonic()
    if wait_s > 0:
        time.sleep(wait_s)


async def _pace(
    socket: ServerConnection, wire: list[tuple[bytes, bytes]], per_second: int, burst: int
) -> None:
    begun = time.monotonic()
    for at in range(0, len(wire), burst):
        _sleep_until(begun + at / per_second)
        parts = wire[at : at + burst]
        sent_us = time.monotonic_ns() // 1000
        socket.transport.write(b"".join([stamped(each, sent_us) for each in parts]))
        if socket.transport.get_write_buffer_size():
            await socket.drain()
            await asyncio.sleep(0)


async def _serve(facts: dict[str, Any]) -> None:
    blast: list[bytes] = []
    pace: list[tuple[bytes, bytes]] = []
    if facts["mode"] == "blast":
        now_ms = time.time_ns() // 1_000_000
        sent = blasted(facts["frames"], now_ms, facts.get("venue", "bybit"))
        frames = [on_wire(frame) for frame in sent]
        blast = [b"".join(frames[at : at + CHUNK]) for at in range(0, len(frames), CHUNK)]
    else:
        pace = list(paced(facts["frames"], facts["every"]))

    async def answer(socket: ServerConnection) -> None:
        try:
            if await _subscribed(socket):
                await asyncio.sleep(PAUSE_S)
                _tell(begun_ns=time.monotonic_ns())
                await _blast(socket, blast)
                if pace:
                    await _pace(socket, pace, facts["per_second"], facts["burst"])
            await socket.wait_closed()
        except ConnectionClosed:
            return

    async with serve(answer, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        _tell(port=server.sockets[0].getsockname()[1])
        await server.serve_forever()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(_serve(json.loads(sys.argv[1])))
