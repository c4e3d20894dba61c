"""A venue that takes requests and never answers, and a broker that keeps asking it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

from bench.shared.path import INSTRUMENT
from engine.clock import SystemClock
from engine.model.ids import Purpose, client_order_id, encode_id
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Order, OrderSide
from engine.venues.broker import VenueBroker
from engine.venues.registry import build_account
from engine.venues.urls import BinanceUrls, BybitUrls, VenueUrls

BACKLOG = 512
HANGING = 20
"""So many closes hang at once, and the questions after them: more than there are threads."""

ASKED_EACH_S = 1.0
"""How often the engine asks for more, as it does for as long as nothing is answered."""

SECRET = "s" * 64


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """Listen, and leave every connection where the kernel put it; gives ``host:port``."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(BACKLOG)
        yield "{}:{}".format(*listening.getsockname())


def _urls(venue: str, place: str) -> VenueUrls:
    rest, stream = f"http://{place}", f"ws://{place}"
    if venue == "bybit":
        return BybitUrls(rest, stream, stream)
    return BinanceUrls(rest, stream, stream, rest, stream)


def _unlisted(_venue: str, _market: Market, _symbol: str) -> Instrument | None:
    """No instrument of another is needed."""
    return None


@contextlib.asynccontextmanager
async def hung(venue: str) -> AsyncIterator[None]:
    """Have closes, look-ups and readings hang at a venue for as long as this lasts."""
    with deaf() as place:
        clock = SystemClock()
        urls = _urls(venue, place)
        account = build_account(venue, urls, "k" * 64, SECRET, clock, _unlisted)
        broker = VenueBroker(account, clock, lambda _: None)
        running = [asyncio.create_task(broker.run()), asyncio.create_task(_ask(broker, venue))]
        try:
            await asyncio.sleep(ASKED_EACH_S / 2)
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            await broker.drain()
            await broker.close()


async def _ask(broker: VenueBroker, venue: str) -> None:
    orders = [_exit(venue, generation) for generation in range(1, HANGING + 1)]
    for order in orders:
        broker.submit(order)
    while True:
        for order in orders:
            broker.look_up(order)
        broker.read_account(())
        await asyncio.sleep(ASKED_EACH_S)


def _exit(venue: str, generation: int) -> Order:
    key = InstrumentId(venue, Market.LINEAR, INSTRUMENT.id.symbol)
    position_id = encode_id(bytes(16))
    return Order(
        client_order_id=client_order_id(position_id, Purpose.EXIT, generation),
        position_id=position_id,
        instrument=Instrument(
            key,
            INSTRUMENT.base,
            INSTRUMENT.quote,
            INSTRUMENT.tick_size,
            INSTRUMENT.qty_step,
            INSTRUMENT.min_qty,
            INSTRUMENT.min_notional,
        ),
        side=OrderSide.SELL,
        purpose=Purpose.EXIT,
        generation=generation,
        qty=Decimal(1),
        reduce_only=True,
        created_at_ns=0,
        actor="bench",
    )
