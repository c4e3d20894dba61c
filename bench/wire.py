"""Frames a second through the whole path against receiving and decoding alone.

Both read the same frames from another process over a real WebSocket with the same library. The
whole path is the product's: session, channel, guardian with 1,000 open positions, paper account.
"""

import asyncio
import time
from decimal import Decimal

import msgspec
from websockets.asyncio.client import connect

from bench.path import guarding, position
from bench.report import Report, finish, spread
from bench.source import END_PRICE, running
from engine.model.order import Order
from engine.venues.bybit.wire import TradeFrame

FRAMES = 150_000
ROUNDS = 7
POSITIONS = 1_000
SUBSCRIBE = '{"req_id":"1","op":"subscribe","args":["publicTrade.BTCUSDT"]}'


async def bare(url: str) -> float:
    """Seconds from the first frame to the last, received and decoded by the same typed struct."""
    decode = msgspec.json.Decoder(TradeFrame, strict=False).decode
    async with connect(f"{url}/linear", compression=None, ping_interval=None) as socket:
        await socket.send(SUBSCRIBE)
        await socket.recv()
        decode(await socket.recv(decode=False))
        begun = time.perf_counter()
        recv = socket.recv
        while decode(await recv(decode=False)).data[0].p < END_PRICE:
            pass
        return time.perf_counter() - begun


async def whole(url: str) -> float:
    """Seconds from the first tick to the close that the last frame causes."""
    done = asyncio.Event()
    times: list[float] = []

    def handed(order: Order) -> None:
        times.append(time.perf_counter())
        done.set()

    far = [position(number, Decimal(200_000) + number) for number in range(2, POSITIONS + 1)]
    sentinel = position(1, Decimal(str(END_PRICE)))
    async with guarding(url, [*far, sentinel], handed) as flow:
        while flow.price(sentinel.instrument.id) is None:
            await asyncio.sleep(0)
        begun = time.perf_counter()
        async with asyncio.timeout(60):
            await done.wait()
    return times[0] - begun


def main() -> None:
    """Measure in interleaved rounds and report."""
    rates: dict[str, list[float]] = {"bare": [], "whole": []}
    with running(mode="blast", frames=FRAMES) as url:
        for number in range(ROUNDS + 1):
            for name, measure in (("bare", bare), ("whole", whole)):
                rate = FRAMES / asyncio.run(measure(url))
                if number:
                    rates[name].append(rate)
    ratios = [ours / theirs for ours, theirs in zip(rates["whole"], rates["bare"], strict=True)]
    rows = [
        {"path": "receive and decode", "frames_per_s": spread(rates["bare"], 0)},
        {
            "path": f"whole path, {POSITIONS} open positions",
            "frames_per_s": spread(rates["whole"], 0),
        },
        {"path": "whole / bare", "ratio": spread(ratios, 3)},
    ]
    ratio = spread(ratios, 4)["median"]
    finish(Report("wire", rows, {"whole_over_bare": ratio}, {"whole_over_bare": 0.85}))


if __name__ == "__main__":
    main()
