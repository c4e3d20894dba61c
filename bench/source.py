"""The other end of a bench: a process that sends Bybit frames over a real WebSocket.

``blast`` sends a fixed number of prebuilt frames as fast as the reader takes them. ``pace`` sends a
given number of frames a second, singly or in bursts; each frame carries the monotonic time at which
it was handed to the socket in its ``T`` field, in microseconds.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

SYMBOL = "BTCUSDT"
PRICE = 65_000.0
END_PRICE = 70_000.0
CHUNK = 64


def trade_frame(price: float, sequence: int, time_number: int) -> bytes:
    """One ``publicTrade`` frame of linear BTCUSDT, shaped like the recorded ones."""
    row = {
        "T": time_number,
        "s": SYMBOL,
        "S": "Buy",
        "v": "0.004",
        "p": f"{price:.2f}",
        "L": "ZeroPlusTick",
        "i": f"a9188a0a-82bc-50de-be60-{sequence:012x}",
        "BT": False,
        "RPI": False,
        "seq": 700_000_000_000 + sequence,
    }
    frame = {
        "topic": f"publicTrade.{SYMBOL}",
        "type": "snapshot",
        "ts": time_number,
        "data": [row],
    }
    return json.dumps(frame, separators=(",", ":")).encode()


def quote_frame(price: float, sequence: int, time_number: int) -> bytes:
    """One ``orderbook.1`` frame."""
    data = {
        "s": SYMBOL,
        "b": [[f"{price:.2f}", "6.054"]],
        "a": [[f"{price + 0.1:.2f}", "10.486"]],
        "u": sequence,
        "seq": 700_000_000_000 + sequence,
    }
    frame = {
        "topic": f"orderbook.1.{SYMBOL}",
        "type": "snapshot",
        "ts": time_number,
        "data": data,
        "cts": time_number,
    }
    return json.dumps(frame, separators=(",", ":")).encode()


def on_wire(payload: bytes) -> bytes:
    """A server's unmasked text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    return bytes((0x81, 126)) + size.to_bytes(2, "big") + payload


def blast_frames(count: int) -> list[bytes]:
    """Frames around ``PRICE``; the last one stands alone at ``END_PRICE``."""
    noise = random.Random(1)
    now_ms = time.time_ns() // 1_000_000
    frames = [
        trade_frame(PRICE + noise.uniform(-50, 50), number, now_ms + number // 100)
        for number in range(1, count)
    ]
    return [*frames, trade_frame(END_PRICE, count, now_ms + count)]


async def _subscribed(socket: ServerConnection) -> bool:
    """Acknowledge requests until trades are asked for; False when the reader left before."""
    async for message in socket:
        request = json.loads(message)
        if request.get("op") != "subscribe":
            continue
        ack = {"success": True, "ret_msg": "", "conn_id": "bench", "op": "subscribe"}
        await socket.send(json.dumps(ack | {"req_id": request.get("req_id", "")}))
        if any(topic.startswith("publicTrade") for topic in request["args"]):
            return True
    return False


async def _blast(socket: ServerConnection, wire: list[bytes]) -> None:
    for chunk in wire:
        socket.transport.write(chunk)
        if socket.transport.get_write_buffer_size() > 1 << 20:
            while socket.transport.get_write_buffer_size() > 1 << 18:
                await asyncio.sleep(0)


async def _pace(socket: ServerConnection, facts: dict[str, Any]) -> None:
    """Every ``every``-th frame steps to the next whole price, which crosses one threshold."""
    burst, per_second = facts["burst"], facts["per_second"]
    begun = time.monotonic()
    for number in range(facts["frames"] // burst):
        wait = begun + number * burst / per_second - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        for inside in range(burst):
            count = number * burst + inside
            crossing = count % facts["every"] == facts["every"] - 1
            price = PRICE + 1 + count // facts["every"] if crossing else PRICE - 10
            sent_us = time.monotonic_ns() // 1000
            socket.transport.write(on_wire(trade_frame(price, count + 1, sent_us)))


async def _main(facts: dict[str, Any]) -> None:
    wire: list[bytes] = []
    if facts["mode"] == "blast":
        frames = [on_wire(frame) for frame in blast_frames(facts["frames"])]
        wire = [b"".join(frames[at : at + CHUNK]) for at in range(0, len(frames), CHUNK)]

    async def answer(socket: ServerConnection) -> None:
        try:
            if await _subscribed(socket):
                await asyncio.sleep(0.2)
                if facts["mode"] == "blast":
                    await _blast(socket, wire)
                else:
                    await _pace(socket, facts)
                await socket.wait_closed()
        except ConnectionClosed:
            return

    async with serve(answer, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        await server.serve_forever()


@contextmanager
def running(**facts: Any) -> Iterator[str]:
    """Run a source in a process of its own; yields the address before ``/linear``."""
    command = [sys.executable, "-m", "bench.source", json.dumps(facts)]
    with Popen(command, stdout=PIPE) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            yield f"ws://127.0.0.1:{port}/v5/public"
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
